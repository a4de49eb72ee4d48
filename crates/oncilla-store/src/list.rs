//! Listings: one ordered scan per page, in time proportional to the page.
//!
//! A delimiter groups keys by their prefix up to the delimiter. A group is never walked: once its
//! prefix is known, the scan goes on behind the last key that could belong to it.

use bytes::Bytes;
use oncilla_meta::{Reader, Row};

use crate::bucket::{Bucket, next_key};
use crate::fault::Fault;
use crate::rows::DecodeError;
use crate::rows::key::{UniqueId, successor};
use crate::rows::object::{OBJECT_KEY_OFFSET, ObjectSummary, object_key, objects_of_bucket};
use crate::rows::upload::{
    UploadRecord, split_upload_key, upload_key, uploads_from_key, uploads_of_bucket,
};
use crate::store::{Store, scan};

/// Where a page begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum After {
    /// At the beginning.
    #[default]
    Nothing,
    /// After this key.
    Key(Bytes),
    /// After every key that starts with this common prefix.
    Group(Bytes),
}

/// Which objects (or uploads) to list.
#[derive(Clone, Debug, Default)]
pub struct ListQuery {
    /// Only keys that start so.
    pub prefix: Bytes,
    /// Group keys by what is between the prefix and this; empty for no groups.
    pub delimiter: Bytes,
    /// Where to begin.
    pub after: After,
    /// At most so many keys and groups together.
    pub limit: usize,
}

/// One line of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry<T> {
    /// A key and what is under it.
    Item(Bytes, T),
    /// A common prefix of keys.
    Group(Bytes),
}

impl<T> Entry<T> {
    /// Where the next page begins if this was the last entry of one.
    pub fn position(&self) -> After {
        match self {
            Entry::Item(key, _) => After::Key(key.clone()),
            Entry::Group(prefix) => After::Group(prefix.clone()),
        }
    }
}

/// A page of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// In the order of their keys.
    pub entries: Vec<Entry<T>>,
    /// Whether more follow.
    pub truncated: bool,
}

/// An open upload in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedUpload {
    /// Its id.
    pub id: UniqueId,
    /// What it is.
    pub record: UploadRecord,
}

/// Rows fetched at first when groups are expected: one row tells a group's prefix, and the rest of
/// what was fetched is thrown away if the group is large.
const GROUPED_SCAN_ROWS: usize = 16;

/// Most rows fetched at once; bounds the memory of a listing.
const SCAN_ROWS_MAX: usize = 1_024;

impl Store {
    /// Lists the objects of a bucket.
    pub async fn list_objects(
        &self,
        bucket: &Bucket,
        query: &ListQuery,
    ) -> Result<Page<ObjectSummary>, Fault> {
        let id = bucket.id();
        let bounds = objects_of_bucket(id);
        let plan = Plan {
            bounds,
            row_key: |key: &[u8]| object_key(id, key),
            decode: |row: Row| {
                let key = row.key.slice(OBJECT_KEY_OFFSET..);
                Ok((key, ObjectSummary::decode(row.value)?))
            },
        };
        plan.page(&*self.inner.engine.snapshot(), query, None).await
    }

    /// Lists the open uploads of a bucket. `after_upload` begins behind that upload of the key
    /// that [`After::Key`] names, instead of behind all its uploads.
    pub async fn list_uploads(
        &self,
        bucket: &Bucket,
        query: &ListQuery,
        after_upload: Option<UniqueId>,
    ) -> Result<Page<ListedUpload>, Fault> {
        let id = bucket.id();
        let begin = match (&query.after, after_upload) {
            (After::Key(key), Some(upload)) => Some(next_key(&upload_key(id, key, upload))),
            _ => None,
        };
        let plan = Plan {
            bounds: uploads_of_bucket(id),
            row_key: |key: &[u8]| uploads_from_key(id, key),
            decode: |row: Row| {
                let (_, key, upload) = split_upload_key(&row.key)?;
                Ok((
                    key,
                    ListedUpload {
                        id: upload,
                        record: UploadRecord::decode(row.value)?,
                    },
                ))
            },
        };
        plan.page(&*self.inner.engine.snapshot(), query, begin)
            .await
    }
}

/// How a kind of row is listed.
struct Plan<RowKey, Decode> {
    /// All rows of the bucket.
    bounds: (Bytes, Bytes),
    /// The smallest row key that a key's rows, or those of any greater key, can have.
    row_key: RowKey,
    decode: Decode,
}

impl<RowKey, Decode, T> Plan<RowKey, Decode>
where
    RowKey: Fn(&[u8]) -> Bytes,
    Decode: Fn(Row) -> Result<(Bytes, T), DecodeError>,
{
    /// Where the scan for keys behind every key with `prefix` begins.
    fn behind(&self, prefix: &[u8]) -> Bytes {
        successor(prefix).map_or_else(|| self.bounds.1.clone(), |next| (self.row_key)(&next))
    }

    /// Lists a page. `begin` overrides where the query says to begin.
    async fn page(
        &self,
        reader: &dyn Reader,
        query: &ListQuery,
        begin: Option<Bytes>,
    ) -> Result<Page<T>, Fault> {
        let mut page = Page {
            entries: Vec::new(),
            truncated: false,
        };
        if query.limit == 0 {
            return Ok(page);
        }
        let end = self.behind(&query.prefix);
        let begin = begin.unwrap_or_else(|| match &query.after {
            After::Nothing => Bytes::new(),
            After::Key(key) => (self.row_key)(&next_key(key)),
            After::Group(prefix) => self.behind(prefix),
        });
        let mut start = begin.max((self.row_key)(&query.prefix));
        // One row more than the page holds tells whether the page is the last one.
        let mut scan_rows = if query.delimiter.is_empty() {
            query.limit.saturating_add(1).min(SCAN_ROWS_MAX)
        } else {
            GROUPED_SCAN_ROWS
        };
        let mut group: Option<Bytes> = None;
        loop {
            let rows = reader
                .scan(scan(start.clone(), end.clone(), scan_rows))
                .await?;
            let Some(last) = rows.rows.last() else {
                return Ok(page);
            };
            let behind_rows = next_key(&last.key);
            page.entries
                .reserve(rows.rows.len().min(query.limit - page.entries.len()));
            for row in rows.rows {
                let (key, item) = (self.decode)(row)?;
                if group.as_ref().is_some_and(|prefix| key.starts_with(prefix)) {
                    continue;
                }
                group = common_prefix(&key, query);
                if page.entries.len() == query.limit {
                    page.truncated = true;
                    return Ok(page);
                }
                page.entries.push(match &group {
                    Some(prefix) => Entry::Group(prefix.clone()),
                    None => Entry::Item(key, item),
                });
            }
            if !rows.more {
                return Ok(page);
            }
            // The rows ended inside a group: it may be large, so go behind it.
            (start, scan_rows) = match &group {
                Some(prefix) => (self.behind(prefix), GROUPED_SCAN_ROWS),
                None => (behind_rows, (scan_rows * 4).min(SCAN_ROWS_MAX)),
            };
        }
    }
}

/// The group a key belongs to: the key up to and including the first delimiter behind the prefix.
pub(crate) fn common_prefix(key: &Bytes, query: &ListQuery) -> Option<Bytes> {
    if query.delimiter.is_empty() {
        return None;
    }
    let behind_prefix = &key[query.prefix.len()..];
    let at = match query.delimiter.as_ref() {
        [single] => behind_prefix.iter().position(|byte| byte == single)?,
        delimiter => behind_prefix
            .windows(delimiter.len())
            .position(|window| window == delimiter)?,
    };
    Some(key.slice(..query.prefix.len() + at + query.delimiter.len()))
}
