//! Listing versions: present and history of every key, merged in the order that S3 has: by key, and
//! newest first. In time proportional to the page: both are ordered scans, and a group of keys
//! behind a delimiter is a seek in each of them.

use std::collections::VecDeque;

use bytes::Bytes;
use oncilla_meta::{Reader, Row, Space, next_key};

use super::find_version;
use crate::bucket::Bucket;
use crate::fault::Fault;
use crate::list::{After, Entry, ListQuery, Page, common_prefix};
use crate::rows::codec::SharedText;
use crate::rows::history::{
    DeleteMarker, Past, history_from_key, history_key, history_of_bucket, split_history_key,
};
use crate::rows::key::{BucketId, successor};
use crate::rows::object::{OBJECT_KEY_OFFSET, ObjectSummary, object_key, objects_of_bucket};
use crate::rows::version_id::VersionId;
use crate::store::{Store, is_empty, scan};

/// One version or delete marker in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedVersion {
    /// Its id.
    pub version_id: VersionId,
    /// Whether it is the newest of its key.
    pub is_latest: bool,
    /// What it is. A version became noncurrent when the one listed before it was written.
    pub entry: VersionEntry,
}

/// What an entry of the listing is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionEntry {
    /// An object.
    Object(ObjectSummary),
    /// A delete marker.
    DeleteMarker {
        /// Unix milliseconds.
        last_modified_ms: u64,
        /// Canonical id of the account that deleted.
        owner: String,
    },
}

/// Which versions to list. The embedded query's `after` names a key or a group behind which the page
/// begins; [`VersionMarker`] begins within a key instead.
#[derive(Clone, Debug, Default)]
pub struct ListVersionsQuery {
    /// Prefix, delimiter, limit, and where to begin.
    pub keys: ListQuery,
    /// Where to begin if it is within a key.
    pub marker: Option<VersionMarker>,
}

/// A place within the versions of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionMarker {
    /// The key.
    pub key: Bytes,
    /// The version behind which the page begins.
    pub version: VersionId,
}

impl VersionMarker {
    /// The place behind an entry of a listing; `None` behind a group.
    pub fn behind(entry: &Entry<ListedVersion>) -> Option<Self> {
        match entry {
            Entry::Item(key, version) => Some(Self {
                key: key.clone(),
                version: version.version_id,
            }),
            Entry::Group(_) => None,
        }
    }
}

/// Rows fetched at first: most of a bucket's rows are of one kind, so that few of the other are
/// needed for a page.
const FIRST_SCAN_ROWS: usize = 32;

/// Most rows fetched at once; bounds the memory of a listing.
const SCAN_ROWS_MAX: usize = 1_024;

impl Store {
    /// Lists the versions and delete markers of a bucket.
    pub async fn list_versions(
        &self,
        bucket: &Bucket,
        query: &ListVersionsQuery,
    ) -> Result<Page<ListedVersion>, Fault> {
        let snapshot = self.inner.engine.snapshot();
        let mut merge = Merge::begin(&*snapshot, bucket.id(), query).await?;
        merge.page(&query.keys).await
    }
}

/// A scan that can jump ahead.
struct Cursor<'a> {
    reader: &'a dyn Reader,
    /// Where the next fetch begins.
    start: Bytes,
    end: Bytes,
    fetched: VecDeque<Row>,
    more: bool,
    scan_rows: usize,
}

impl<'a> Cursor<'a> {
    fn new(reader: &'a dyn Reader, start: Bytes, end: Bytes) -> Self {
        Self {
            reader,
            start,
            end,
            fetched: VecDeque::new(),
            more: true,
            scan_rows: FIRST_SCAN_ROWS,
        }
    }

    async fn peek(&mut self) -> Result<Option<&Row>, Fault> {
        if self.fetched.is_empty() && self.more {
            let range = scan(self.start.clone(), self.end.clone(), self.scan_rows);
            let page = self.reader.scan(range).await?;
            if let Some(last) = page.rows.last() {
                self.start = next_key(&last.key);
            }
            self.more = page.more;
            self.fetched = page.rows.into();
            self.scan_rows = (self.scan_rows * 4).min(SCAN_ROWS_MAX);
        }
        Ok(self.fetched.front())
    }

    fn next(&mut self) -> Option<Row> {
        self.fetched.pop_front()
    }

    /// Goes on at `to`, or where it is if that is further.
    fn seek(&mut self, to: &Bytes) {
        while self.fetched.front().is_some_and(|row| row.key < *to) {
            self.fetched.pop_front();
        }
        if self.fetched.is_empty() && self.start < *to {
            // What was fetched beyond a group's first row is thrown away if the group is large.
            self.start = to.clone();
            self.scan_rows = FIRST_SCAN_ROWS;
        }
    }
}

/// The present and the history of a bucket, merged.
pub(crate) struct Merge<'a> {
    bucket: BucketId,
    present: Cursor<'a>,
    past: Cursor<'a>,
    /// The key of the last entry, or the key within which the page begins, if something newer than
    /// the entries to come was under it.
    newer_listed: Option<Bytes>,
}

impl<'a> Merge<'a> {
    async fn begin(
        reader: &'a dyn Reader,
        bucket: BucketId,
        query: &ListVersionsQuery,
    ) -> Result<Self, Fault> {
        let (objects_end, history_end) = (objects_of_bucket(bucket).1, history_of_bucket(bucket).1);
        let behind = |prefix: &[u8]| match successor(prefix) {
            Some(next) => (object_key(bucket, &next), history_from_key(bucket, &next)),
            None => (objects_end.clone(), history_end.clone()),
        };
        let from = |key: &[u8]| (object_key(bucket, key), history_from_key(bucket, key));
        let keys = &query.keys;
        let mut begin = match &keys.after {
            After::Nothing => from(b""),
            After::Key(key) => from(&next_key(key)),
            After::Group(prefix) => behind(prefix),
        };
        let mut newer_listed = None;
        if let Some(marker) = &query.marker {
            let place = Place::of(reader, bucket, marker).await?;
            begin = (place.present, place.past);
            newer_listed = place.newer_exists.then(|| marker.key.clone());
        }
        let first = from(&keys.prefix);
        let end = behind(&keys.prefix);
        Ok(Self {
            bucket,
            present: Cursor::new(reader, begin.0.max(first.0), end.0),
            past: Cursor::new(reader, begin.1.max(first.1), end.1),
            newer_listed,
        })
    }

    /// The rows of a bucket whose keys have a prefix, behind those of `after` and, with a time, behind the
    /// version of that key which was written then.
    pub(crate) fn rows(
        reader: &'a dyn Reader,
        bucket: BucketId,
        prefix: &[u8],
        after: Option<(&[u8], Option<u64>)>,
    ) -> Self {
        let (objects_end, history_end) = (objects_of_bucket(bucket).1, history_of_bucket(bucket).1);
        let end = match successor(prefix) {
            Some(next) => (object_key(bucket, &next), history_from_key(bucket, &next)),
            None => (objects_end, history_end),
        };
        let first = (object_key(bucket, prefix), history_from_key(bucket, prefix));
        let begin = after.map(|(key, time)| {
            let next = next_key(key);
            let past = match time {
                Some(time) => next_key(&history_key(bucket, key, time)),
                None => history_from_key(bucket, &next),
            };
            (object_key(bucket, &next), past)
        });
        let begin = begin.unwrap_or_else(|| first.clone());
        Self {
            bucket,
            present: Cursor::new(reader, begin.0.max(first.0), end.0),
            past: Cursor::new(reader, begin.1.max(first.1), end.1),
            newer_listed: None,
        }
    }

    /// The next row in the order of a listing, with its key, and whether it is the key's present.
    pub(crate) async fn next_row(&mut self) -> Result<Option<(Bytes, Row, bool)>, Fault> {
        let Some((key, is_present)) = self.next_key().await? else {
            return Ok(None);
        };
        let cursor = match is_present {
            true => &mut self.present,
            false => &mut self.past,
        };
        Ok(cursor.next().map(|row| (key, row, is_present)))
    }

    async fn page(&mut self, query: &ListQuery) -> Result<Page<ListedVersion>, Fault> {
        let mut page = Page {
            entries: Vec::new(),
            truncated: false,
        };
        if query.limit == 0 {
            return Ok(page);
        }
        let mut owners = SharedText::default();
        while let Some((key, is_present)) = self.next_key().await? {
            if page.entries.len() == query.limit {
                page.truncated = true;
                return Ok(page);
            }
            if let Some(group) = common_prefix(&key, query) {
                self.leave_group(&group);
                page.entries.push(Entry::Group(group));
                continue;
            }
            let cursor = match is_present {
                true => &mut self.present,
                false => &mut self.past,
            };
            let Some(row) = cursor.next() else {
                break;
            };
            let is_latest = self.newer_listed.as_ref() != Some(&key);
            self.newer_listed = Some(key.clone());
            let version = decode(row.value, is_latest, &mut owners)?;
            page.entries.push(Entry::Item(key, version));
        }
        Ok(page)
    }

    /// The key of the next entry, and whether that is the key's present.
    async fn next_key(&mut self) -> Result<Option<(Bytes, bool)>, Fault> {
        let present = self.present.peek().await?;
        let present = present.map(|row| row.key.slice(OBJECT_KEY_OFFSET..));
        let past = match self.past.peek().await? {
            Some(row) => Some(split_history_key(&row.key)?.1),
            None => None,
        };
        Ok(match (present, past) {
            (Some(present), Some(past)) if past < present => Some((past, false)),
            (Some(present), _) => Some((present, true)),
            (None, Some(past)) => Some((past, false)),
            (None, None) => None,
        })
    }

    fn leave_group(&mut self, group: &[u8]) {
        let (present, past) = match successor(group) {
            Some(next) => (
                object_key(self.bucket, &next),
                history_from_key(self.bucket, &next),
            ),
            None => (self.present.end.clone(), self.past.end.clone()),
        };
        self.present.seek(&present);
        self.past.seek(&past);
    }
}

/// Where the scans begin within a key.
struct Place {
    present: Bytes,
    past: Bytes,
    /// Whether a version of the key is newer than all that follow.
    newer_exists: bool,
}

impl Place {
    async fn of(
        reader: &dyn Reader,
        bucket: BucketId,
        marker: &VersionMarker,
    ) -> Result<Self, Fault> {
        let key = &marker.key;
        let present_key = object_key(bucket, key);
        let past_start = history_from_key(bucket, key);
        let time = match marker.version {
            VersionId::Unique { time, .. } => time,
            VersionId::Null => match find_version(reader, bucket, key, VersionId::Null).await? {
                Some(found) => found.version.time(),
                // It went away since the page before: rather show versions twice than not at all.
                None => {
                    return Ok(Self {
                        present: present_key,
                        past: past_start,
                        newer_exists: false,
                    });
                }
            },
        };
        let past = next_key(&history_key(bucket, key, time));
        let present = match reader.get(Space::Records, &present_key).await? {
            Some(row) => Some(Past::decode(row)?),
            None => None,
        };
        // The version of the marker may have been deleted, and older ones be newest now.
        if present
            .as_ref()
            .is_some_and(|present| present.time() < time)
        {
            return Ok(Self {
                present: present_key,
                past,
                newer_exists: false,
            });
        }
        let newer_exists =
            present.is_some() || !is_empty(reader, (past_start, past.clone())).await?;
        Ok(Self {
            present: next_key(&present_key),
            past,
            newer_exists,
        })
    }
}

fn decode(row: Bytes, is_latest: bool, owners: &mut SharedText) -> Result<ListedVersion, Fault> {
    let version_id = VersionId::of_row(row.clone())?;
    let entry = match DeleteMarker::decode(row.clone())? {
        Some(marker) => VersionEntry::DeleteMarker {
            last_modified_ms: marker.last_modified_ms,
            owner: marker.owner,
        },
        None => VersionEntry::Object(ObjectSummary::decode(row, owners)?),
    };
    Ok(ListedVersion {
        version_id,
        is_latest,
        entry,
    })
}
