//! The versions of a key: which there are, and what a write makes of those before it.
//!
//! The newest version of a key lies in its present row (`o`); what it superseded lies in the
//! history (`h`), newest first, together with the delete markers. A key whose newest version is a
//! delete marker has no present row. Every function here keeps to that:
//!
//! - `Store::make_way` moves what a write or a deletion supersedes into the history, or lets go of
//!   it where the bucket keeps no versions or the newcomer takes over its id `null`.
//! - [`Store::delete_version`](crate::Store::delete_version) moves the newest version left back into
//!   the present, if that is an object.
//!
//! A record moves as it is, and so do the references that it holds, which go by its identity.

mod list;

pub(crate) use list::Merge;
pub use list::{ListVersionsQuery, ListedVersion, VersionEntry, VersionMarker};

use bytes::Bytes;
use oncilla_meta::{Mutation, Precondition, Reader, Space};
use oncilla_wire::xml::versioning::VersioningStatus;

use crate::bucket::Bucket;
use crate::fault::Fault;
use crate::object::put::Present;
use crate::object_lock::{LockOverride, RemoveError};
use crate::rows::history::{Past, history_key, history_of_key, null_version_key};
use crate::rows::key::BucketId;
use crate::rows::object::object_key;
use crate::rows::usage::Counts;
use crate::rows::version_id::{VersionId, decode_null_time, encode_null_time};
use crate::store::{Store, scan};

/// A version of a key and where it is.
#[derive(Clone, Debug)]
pub(crate) struct FoundVersion {
    pub row_key: Bytes,
    pub row: Bytes,
    pub version: Past,
    /// Whether it is the present of its key.
    pub is_present: bool,
}

/// What comes to stand before the present of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Newcomer {
    /// An object, which takes the place of the present row.
    Object,
    /// A delete marker of this time.
    DeleteMarker(u64),
    /// Nothing: the key is free then. Only in a bucket that keeps no history.
    Nothing,
}

impl Bucket {
    /// Whether what writes supersede is kept, and deletions leave delete markers: versioning is
    /// enabled or was once.
    pub fn keeps_history(&self) -> bool {
        self.record.versioning != VersioningStatus::Unversioned
    }

    /// Whether what is written now gets a version id of its own.
    pub(crate) fn gives_version_ids(&self) -> bool {
        self.record.versioning == VersioningStatus::Enabled
    }
}

/// Finds a version of a key. `reader` must be of one moment: versions move between two rows.
pub(crate) async fn find_version(
    reader: &dyn Reader,
    bucket: BucketId,
    key: &[u8],
    version: VersionId,
) -> Result<Option<FoundVersion>, Fault> {
    let row_key = object_key(bucket, key);
    if let Some(row) = reader.get(Space::Records, &row_key).await?
        && VersionId::of_row(row.clone())? == version
    {
        return Ok(Some(FoundVersion {
            version: Past::decode(row.clone())?,
            row_key,
            row,
            is_present: true,
        }));
    }
    let time = match version {
        VersionId::Unique { time, .. } => time,
        VersionId::Null => {
            let null_key = null_version_key(bucket, key);
            match reader.get(Space::Records, &null_key).await? {
                Some(value) => decode_null_time(&value)?,
                None => return Ok(None),
            }
        }
    };
    let row_key = history_key(bucket, key, time);
    let Some(row) = reader.get(Space::Records, &row_key).await? else {
        return Ok(None);
    };
    let found = FoundVersion {
        version: Past::decode(row.clone())?,
        row_key,
        row,
        is_present: false,
    };
    Ok(Some(found).filter(|found| found.version.version_id() == version))
}

/// The newest entries in the history of a key, at most `limit`.
pub(crate) async fn newest_past(
    reader: &dyn Reader,
    bucket: BucketId,
    key: &[u8],
    limit: usize,
) -> Result<Vec<FoundVersion>, Fault> {
    let (start, end) = history_of_key(bucket, key);
    let page = reader.scan(scan(start, end, limit)).await?;
    let found = page.rows.into_iter().map(|row| {
        Ok(FoundVersion {
            version: Past::decode(row.value.clone())?,
            row_key: row.key,
            row: row.value,
            is_present: false,
        })
    });
    found.collect()
}

impl Store {
    /// Adds to `mutation` what becomes of a key's present, and of its null version, when `newcomer`
    /// comes before them. Does not write the present row itself. The mutation must require that the
    /// present and the bucket's versioning state are unchanged.
    pub(crate) async fn make_way(
        &self,
        mutation: &mut Mutation,
        bucket: &Bucket,
        key: &[u8],
        present: &Present,
        newcomer: Newcomer,
    ) -> Result<Counts, RemoveError> {
        let id = bucket.id();
        let takes_over_null = !bucket.gives_version_ids();
        let mut counts = Counts::default();
        // Where in the history the null version will be; `None` leaves it where it is.
        let mut null_moves_to: Option<Option<u64>> = None;
        let mut null_is_present = false;
        if let (Some(row), Some(old)) = (&present.row, &present.record) {
            counts.remove_object(old.size);
            null_is_present = !old.versioned;
            if bucket.keeps_history() && (old.versioned || !takes_over_null) {
                let past_key = history_key(id, key, old.time);
                mutation.put(Space::Records, past_key, row.clone());
                counts.add_past(old.size);
                if null_is_present {
                    null_moves_to = Some(Some(old.time));
                }
            } else {
                self.let_go(mutation, old, LockOverride::Nothing)?;
            }
        }
        let null_key = null_version_key(id, key);
        if bucket.keeps_history() && takes_over_null && !null_is_present {
            let snapshot = self.inner.engine.snapshot();
            let null_row = snapshot.get(Space::Records, &null_key).await;
            let null_row = null_row.map_err(Fault::from)?;
            mutation.require(crate::store::unchanged(&null_key, null_row.as_ref()));
            if null_row.is_some() {
                let found = find_version(&*snapshot, id, key, VersionId::Null).await?;
                // The snapshot may be of a later moment than the present row.
                if let Some(found) = found.filter(|found| !found.is_present) {
                    self.remove_past(mutation, &found, &mut counts, LockOverride::Nothing)?;
                }
                null_moves_to = Some(None);
            }
        }
        if let Newcomer::DeleteMarker(time) = newcomer
            && takes_over_null
        {
            null_moves_to = Some(Some(time));
        }
        match null_moves_to {
            Some(Some(time)) => {
                mutation.put(Space::Records, null_key, encode_null_time(time));
            }
            Some(None) => {
                mutation.delete(Space::Records, null_key);
            }
            None => {}
        }
        Ok(counts)
    }

    /// Adds to `mutation` that an entry of the history goes away for good, under the precondition
    /// that it still is what was found. The row of the null version is left to the caller.
    pub(crate) fn remove_past(
        &self,
        mutation: &mut Mutation,
        found: &FoundVersion,
        counts: &mut Counts,
        lock_override: LockOverride,
    ) -> Result<(), RemoveError> {
        mutation
            .require(Precondition::Equals(
                found.row_key.clone(),
                found.row.clone(),
            ))
            .delete(Space::Records, found.row_key.clone());
        counts.remove_past(found.version.size());
        if let Past::Object(record) = &found.version {
            self.let_go(mutation, record, lock_override)?;
        }
        Ok(())
    }
}
