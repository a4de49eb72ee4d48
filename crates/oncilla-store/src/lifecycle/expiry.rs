//! Judging at the commit: what is due of the very rows that a commit requires to be unchanged.

use oncilla_meta::{Precondition, Reader, Space, next_key};
use oncilla_wire::storage_class::StorageClass;

use crate::bucket::Bucket;
use crate::fault::Fault;
use crate::history::FoundVersion;
use crate::lifecycle::calendar::Calendar;
use crate::lifecycle::rules::{Item, LifecycleRules};
use crate::rows::history::{Past, history_of_key};
use crate::rows::object::{ObjectRecord, object_key};
use crate::store::{is_empty, scan};

/// Newer versions that are counted: one more than a rule can name
/// ([`oncilla_wire::xml::lifecycle`], `NewerNoncurrentVersions`).
const NEWER_COUNTED_MAX: usize = 101;

/// The rules of a bucket at a moment.
#[derive(Clone, Debug)]
pub(crate) struct Expiry {
    pub rules: LifecycleRules,
    pub calendar: Calendar,
    pub now_ms: u64,
}

/// What made a version noncurrent, and how many noncurrent objects are newer than it.
#[derive(Clone, Debug)]
pub(crate) struct Superseded {
    /// When that was, in Unix milliseconds.
    pub since_ms: u64,
    /// Noncurrent objects that are newer, counted up to [`NEWER_COUNTED_MAX`].
    pub newer_versions: u64,
}

impl Expiry {
    /// Whether an object expires that is the current version of its key.
    pub fn current_expires(&self, key: &[u8], record: &ObjectRecord) -> bool {
        let item = Item::of_object(key, record);
        let due = self
            .rules
            .expiration(item, record.last_modified_ms, self.calendar);
        due.is_some_and(|due| due.at_ms <= self.now_ms)
    }

    /// The class that the current version of a key is to have, if it has another.
    pub fn current_moves(&self, key: &[u8], record: &ObjectRecord) -> Option<StorageClass> {
        let from = StorageClass::from_name(record.storage_class())?;
        let item = Item::of_object(key, record);
        let created_ms = record.last_modified_ms;
        let due = self
            .rules
            .transition(item, from, created_ms, self.now_ms, self.calendar);
        due.map(|(class, _)| class)
    }

    /// Whether a noncurrent version is deleted, be it an object or a delete marker.
    pub fn noncurrent_expires(&self, key: &[u8], version: &Past, superseded: &Superseded) -> bool {
        let item = match version {
            Past::Object(record) => Item::of_object(key, record),
            Past::DeleteMarker(_) => Item::without_body(key),
        };
        let Superseded {
            since_ms,
            newer_versions,
        } = *superseded;
        let due = self
            .rules
            .noncurrent_expiration(item, since_ms, newer_versions, self.calendar);
        due.is_some_and(|due| due.at_ms <= self.now_ms)
    }

    /// The class that a noncurrent version is to have, if it has another.
    pub fn noncurrent_moves(
        &self,
        key: &[u8],
        record: &ObjectRecord,
        superseded: &Superseded,
    ) -> Option<StorageClass> {
        let from = StorageClass::from_name(record.storage_class())?;
        let due = self.rules.noncurrent_transition(
            Item::of_object(key, record),
            from,
            superseded.since_ms,
            superseded.newer_versions,
            self.now_ms,
            self.calendar,
        );
        due.map(|(class, _)| class)
    }

    /// Whether a delete marker expires if it is the only version of its key.
    pub fn marker_expires(&self, key: &[u8], created_ms: u64) -> bool {
        let due = self.rules.marker_expiration(key, created_ms, self.calendar);
        due.is_some_and(|due| due.at_ms <= self.now_ms)
    }

    /// Judges the deletion of one version: `None` if it is not due, else what must hold at the
    /// commit besides what every deletion of a version requires. The newest version of a key is
    /// never deleted so, unless it is a delete marker that stands alone.
    pub async fn judge_deletion(
        &self,
        reader: &dyn Reader,
        bucket: &Bucket,
        key: &[u8],
        found: &FoundVersion,
    ) -> Result<Option<Vec<Precondition>>, Fault> {
        if found.is_present {
            return Ok(None);
        }
        let Some((superseded, successor)) = superseded(reader, bucket, key, found).await? else {
            // Deleting it requires that nothing newer came.
            let Past::DeleteMarker(marker) = &found.version else {
                return Ok(None);
            };
            let (_, end) = history_of_key(bucket.id(), key);
            let stands_alone = is_empty(reader, (next_key(&found.row_key), end)).await?;
            let expires = stands_alone && self.marker_expires(key, marker.last_modified_ms);
            return Ok(expires.then(Vec::new));
        };
        let expires = self.noncurrent_expires(key, &found.version, &superseded);
        Ok(expires.then(|| vec![successor]))
    }

    /// Judges the transition of one version: the class it is to have, and what must hold at the commit
    /// besides that it is unchanged.
    pub async fn judge_transition(
        &self,
        reader: &dyn Reader,
        bucket: &Bucket,
        key: &[u8],
        found: &FoundVersion,
    ) -> Result<Option<(StorageClass, Vec<Precondition>)>, Fault> {
        let Past::Object(record) = &found.version else {
            return Ok(None);
        };
        if found.is_present {
            let class = self.current_moves(key, record);
            return Ok(class.map(|class| (class, Vec::new())));
        }
        let Some((superseded, successor)) = superseded(reader, bucket, key, found).await? else {
            return Ok(None);
        };
        let class = self.noncurrent_moves(key, record, &superseded);
        Ok(class.map(|class| (class, vec![successor])))
    }
}

/// What superseded an entry of the history, and that it still does; `None` if it is the newest
/// version of its key. `reader` must be of one moment.
async fn superseded(
    reader: &dyn Reader,
    bucket: &Bucket,
    key: &[u8],
    found: &FoundVersion,
) -> Result<Option<(Superseded, Precondition)>, Fault> {
    let (start, _) = history_of_key(bucket.id(), key);
    let mut newer = scan(start, found.row_key.clone(), NEWER_COUNTED_MAX);
    newer.reverse = true;
    let newer = reader.scan(newer).await?.rows;
    let mut newer_versions = 0;
    for row in &newer {
        if let Past::Object(_) = Past::decode(row.value.clone())? {
            newer_versions += 1;
        }
    }
    let (row_key, row) = match newer.into_iter().next() {
        Some(nearest) => (nearest.key, nearest.value),
        None => {
            let row_key = object_key(bucket.id(), key);
            match reader.get(Space::Records, &row_key).await? {
                Some(row) => (row_key, row),
                None => return Ok(None),
            }
        }
    };
    let since_ms = written_ms(&Past::decode(row.clone())?);
    let superseded = Superseded {
        since_ms,
        newer_versions,
    };
    Ok(Some((superseded, Precondition::Equals(row_key, row))))
}

/// When a version was written, by the wall clock.
pub(crate) fn written_ms(version: &Past) -> u64 {
    match version {
        Past::Object(record) => record.last_modified_ms,
        Past::DeleteMarker(marker) => marker.last_modified_ms,
    }
}
