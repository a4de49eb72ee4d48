//! Listings: one ordered scan per page, in time proportional to the page.
//!
//! A delimiter groups keys by their prefix up to the delimiter. A large group is not walked: after
//! a few of its keys, the scan goes on behind the last one that could belong to it.

use bytes::{Buf, Bytes};
use oncilla_meta::{Reader, Row, next_key};

use crate::bucket::Bucket;
use crate::fault::Fault;
use crate::rows::DecodeError;
use crate::rows::codec::SharedText;
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

/// Keys of a group that are walked before the scan goes on behind the group: going there costs as much
/// as walking some fifty keys, and most groups have fewer or many more.
const GROUP_KEYS_WALKED: usize = 16;

/// Most rows fetched at once, by engines that fetch; bounds the memory of a listing.
const SCAN_ROWS_MAX: usize = 1_024;

/// Entries that a page has room for at first; most listings are short.
const ENTRIES_EXPECTED: usize = 64;

impl Store {
    /// Lists the objects of a bucket.
    pub async fn list_objects(
        &self,
        bucket: &Bucket,
        query: &ListQuery,
    ) -> Result<Page<ObjectSummary>, Fault> {
        let id = bucket.id();
        let bounds = objects_of_bucket(id);
        let mut owners = SharedText::default();
        let plan = Plan {
            bounds,
            row_key: |key: &[u8]| object_key(id, key),
            decode: |mut row: Row| {
                row.key.advance(OBJECT_KEY_OFFSET);
                Ok((row.key, ObjectSummary::decode(row.value, &mut owners)?))
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
    Decode: FnMut(Row) -> Result<(Bytes, T), DecodeError> + Send,
    T: Send,
{
    /// Where the scan for keys behind every key with `prefix` begins.
    fn behind(&self, prefix: &[u8]) -> Bytes {
        successor(prefix).map_or_else(|| self.bounds.1.clone(), |next| (self.row_key)(&next))
    }

    /// Lists a page. `begin` overrides where the query says to begin.
    async fn page(
        mut self,
        reader: &dyn Reader,
        query: &ListQuery,
        begin: Option<Bytes>,
    ) -> Result<Page<T>, Fault> {
        let mut filling = Filling::new(query);
        if query.limit == 0 {
            return Ok(filling.page);
        }
        let end = self.behind(&query.prefix);
        let begin = begin.unwrap_or_else(|| match &query.after {
            After::Nothing => Bytes::new(),
            After::Key(key) => (self.row_key)(&next_key(key)),
            After::Group(prefix) => self.behind(prefix),
        });
        let mut start = begin.max((self.row_key)(&query.prefix));
        // One row more than the page holds tells whether the page is the last one.
        let fetched_rows = match query.delimiter.is_empty() {
            true => query.limit.saturating_add(1).min(SCAN_ROWS_MAX),
            false => GROUP_KEYS_WALKED,
        };
        loop {
            let range = scan(start, end.clone(), fetched_rows);
            let mut take = |row| filling.take(row, &mut self.decode);
            reader.visit(range, &mut take).await?;
            match filling.stopped.take() {
                None | Some(Stopped::AtLimit) => return Ok(filling.page),
                Some(Stopped::InGroup(prefix)) => start = self.behind(&prefix),
                Some(Stopped::Unreadable(error)) => return Err(error.into()),
            }
        }
    }
}

/// A page that is being filled, row by row.
struct Filling<'q, T> {
    query: &'q ListQuery,
    page: Page<T>,
    /// The group that the last row belonged to, and how many rows of it there were.
    group: Option<Bytes>,
    group_rows: usize,
    /// Why no more rows are wanted of the walk.
    stopped: Option<Stopped>,
}

/// Why a walk over rows was ended.
enum Stopped {
    /// The page is full, and there are more.
    AtLimit,
    /// It came into a group that may be large: go on behind everything with this prefix.
    InGroup(Bytes),
    /// A row is damaged.
    Unreadable(DecodeError),
}

impl<'q, T> Filling<'q, T> {
    fn new(query: &'q ListQuery) -> Self {
        Self {
            query,
            page: Page {
                entries: Vec::with_capacity(query.limit.min(ENTRIES_EXPECTED)),
                truncated: false,
            },
            group: None,
            group_rows: 0,
            stopped: None,
        }
    }

    /// Takes the next row. Whether another one is wanted.
    fn take(
        &mut self,
        row: Row,
        decode: &mut impl FnMut(Row) -> Result<(Bytes, T), DecodeError>,
    ) -> bool {
        self.stopped = match decode(row) {
            Ok((key, item)) => self.add(key, item),
            Err(error) => Some(Stopped::Unreadable(error)),
        };
        self.stopped.is_none()
    }

    fn add(&mut self, key: Bytes, item: T) -> Option<Stopped> {
        if let Some(prefix) = self.group.as_ref().filter(|group| key.starts_with(group)) {
            self.group_rows += 1;
            let is_large = self.group_rows == GROUP_KEYS_WALKED;
            return is_large.then(|| Stopped::InGroup(prefix.clone()));
        }
        let limit = self.query.limit;
        if self.page.entries.len() == limit {
            self.page.truncated = true;
            return Some(Stopped::AtLimit);
        }
        if self.page.entries.len() == ENTRIES_EXPECTED {
            self.page.entries.reserve_exact(limit - ENTRIES_EXPECTED);
        }
        self.group = common_prefix(&key, self.query);
        self.group_rows = 1;
        self.page.entries.push(match &self.group {
            Some(prefix) => Entry::Group(prefix.clone()),
            None => Entry::Item(key, item),
        });
        None
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
