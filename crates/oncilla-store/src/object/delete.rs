//! Deleting: the newest version of a key, which leaves a delete marker where versions are kept, or
//! one version for good.

use oncilla_meta::{CommitOutcome, Mutation, Precondition, Space};
use oncilla_wire::conditions::{ConditionFailure, Conditions, Existing};
use oncilla_wire::event::EventKind;

use crate::bucket::Bucket;
use crate::events::Event;
use crate::fault::Fault;
use crate::history::{FoundVersion, Newcomer, find_version, newest_past};
use crate::lifecycle::expiry::Expiry;
use crate::object::put::{Present, too_many_writers};
use crate::object_lock::{LockOverride, Locked, RemoveError};
use crate::rows::codec::UnknownFields;
use crate::rows::history::{DeleteMarker, Past, history_key, history_of_key, null_version_key};
use crate::rows::object::{ObjectRecord, object_key};
use crate::rows::usage::Counts;
use crate::rows::version_id::VersionId;
use crate::store::{CONFLICT_RETRIES_MAX, Store, unchanged};

/// Why an object was not deleted.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DeleteObjectError {
    /// The bucket was deleted meanwhile.
    #[error("no such bucket")]
    NoSuchBucket,
    /// A condition of the request does not hold.
    #[error(transparent)]
    Condition(#[from] ConditionFailure),
    /// It is locked.
    #[error(transparent)]
    Locked(#[from] Locked),
    /// A failure beneath.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// What a deletion did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deleted {
    /// The object that was the newest version, or the version deleted; `None` if there was none,
    /// which S3 counts as success.
    pub record: Option<ObjectRecord>,
    /// The delete marker that was made, or the version that was asked for; `None` in a bucket that
    /// never kept versions.
    pub version_id: Option<VersionId>,
    /// Whether `version_id` is that of a delete marker.
    pub delete_marker: bool,
}

impl Store {
    /// Deletes the object under a key, if there is one: for good in a bucket that never kept
    /// versions, and otherwise by a delete marker.
    pub async fn delete_object(
        &self,
        bucket: &Bucket,
        key: &[u8],
        conditions: &Conditions,
    ) -> Result<Deleted, DeleteObjectError> {
        let deleted = self.delete_object_if(bucket, key, conditions, |_| true);
        // Nothing is left alone where everything is to be deleted.
        Ok(deleted.await?.unwrap_or(Deleted {
            record: None,
            version_id: None,
            delete_marker: false,
        }))
    }

    /// As [`Store::delete_object`], if `wanted` says so of what is there at the commit; `None` if it
    /// does not.
    pub(crate) async fn delete_object_if(
        &self,
        bucket: &Bucket,
        key: &[u8],
        conditions: &Conditions,
        wanted: impl Fn(Option<&ObjectRecord>) -> bool,
    ) -> Result<Option<Deleted>, DeleteObjectError> {
        let _turn = self.inner.locks.lock((bucket.id(), key)).await;
        let mut changed: Option<Bucket> = None;
        for _ in 0..CONFLICT_RETRIES_MAX {
            let bucket = changed.as_ref().unwrap_or(bucket);
            let present = self.present(bucket, key).await?;
            if !wanted(present.record.as_ref()) {
                return Ok(None);
            }
            let exists = self.check_deletion(bucket, key, &present, conditions);
            if !exists.await? {
                return Ok(Some(Deleted {
                    record: None,
                    version_id: None,
                    delete_marker: false,
                }));
            }
            let mut mutation = Mutation::new();
            mutation
                .require(bucket.unchanged())
                .require(unchanged(&present.row_key, present.row.as_ref()));
            let time = self.inner.clock.tick();
            let vacated = self.vacate(&mut mutation, bucket, key, &present, time);
            let (counts, marker) = match vacated.await {
                Ok(vacated) => vacated,
                Err(RemoveError::Locked(_)) if self.has_changed(bucket).await? => {
                    changed = Some(self.same_bucket(bucket).await?);
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            counts.apply(&mut mutation, bucket.id());
            let event = removal(key, time, marker.as_ref());
            self.announce(&mut mutation, bucket, &event)?;
            match self.commit(mutation, time).await? {
                CommitOutcome::Committed { .. } => {
                    return Ok(Some(Deleted {
                        record: present.record,
                        version_id: marker.as_ref().map(DeleteMarker::version_id),
                        delete_marker: marker.is_some(),
                    }));
                }
                CommitOutcome::Conflict { precondition: 0 } => {
                    changed = Some(self.same_bucket(bucket).await?);
                }
                CommitOutcome::Conflict { .. } => {}
            }
        }
        Err(too_many_writers().into())
    }

    /// Judges the conditions of a deletion that names no version, and says whether there is anything
    /// to delete. A delete marker is judged as an object without entity tag and without bytes. If it
    /// meets the conditions, it is left alone all the same: they ask for an object, and there is none. A
    /// key without any version meets every condition, and is left alone too.
    /// Source: ceph/s3-tests, test_delete_object_current_if_match and its like, which take no refusal
    /// there; S3 answers `If-Match: *` with 412.
    async fn check_deletion(
        &self,
        bucket: &Bucket,
        key: &[u8],
        present: &Present,
        conditions: &Conditions,
    ) -> Result<bool, DeleteObjectError> {
        let etag = present.etag();
        if present.record.is_some() || !bucket.keeps_history() {
            conditions.evaluate_delete(present.existing(&etag))?;
            return Ok(present.record.is_some());
        }
        if conditions.is_empty() {
            return Ok(true);
        }
        let newest = newest_past(&*self.inner.engine, bucket.id(), key, 1).await?;
        match newest.first() {
            Some(found) => check_version(found, conditions)?,
            None => conditions.evaluate_delete(None)?,
        }
        Ok(false)
    }

    /// Adds to `mutation` that a key has no present any more from `time` on: in a bucket that keeps
    /// versions it has a delete marker then. The mutation must require that the present and the
    /// bucket's versioning state are unchanged.
    pub(super) async fn vacate(
        &self,
        mutation: &mut Mutation,
        bucket: &Bucket,
        key: &[u8],
        present: &Present,
        time: u64,
    ) -> Result<(Counts, Option<DeleteMarker>), RemoveError> {
        let (newcomer, marker) = match bucket.keeps_history() {
            true => {
                let marker = self.delete_marker(bucket, time)?;
                (Newcomer::DeleteMarker(time), Some(marker))
            }
            false => (Newcomer::Nothing, None),
        };
        let way = self.make_way(mutation, bucket, key, present, newcomer);
        let mut counts = way.await?;
        if let Some(marker) = &marker {
            let marker_key = history_key(bucket.id(), key, time);
            mutation.put(Space::Records, marker_key, marker.encode());
            counts.add_past(0);
        }
        if present.row.is_some() {
            mutation.delete(Space::Records, present.row_key.clone());
        }
        Ok((counts, marker))
    }

    /// A delete marker belongs to the bucket's owner, whoever deletes: it is what the bucket keeps.
    fn delete_marker(&self, bucket: &Bucket, time: u64) -> Result<DeleteMarker, Fault> {
        Ok(DeleteMarker {
            id: self.inner.clock.unique_id()?,
            last_modified_ms: self.inner.clock.now_ms(),
            time,
            owner: bucket.record.owner.clone(),
            versioned: bucket.gives_version_ids(),
            unknown: UnknownFields::default(),
        })
    }

    /// Deletes one version of a key for good, be it an object or a delete marker. If it was the
    /// newest, the next one takes its place. A version that is locked stays, unless `lock_override`
    /// says that this lock does not count.
    pub async fn delete_version(
        &self,
        bucket: &Bucket,
        key: &[u8],
        version: VersionId,
        conditions: &Conditions,
        lock_override: LockOverride,
    ) -> Result<Deleted, DeleteObjectError> {
        let deleted = self.delete_version_if(bucket, key, version, conditions, lock_override, None);
        Ok(deleted.await?.unwrap_or(Deleted {
            record: None,
            version_id: Some(version),
            delete_marker: false,
        }))
    }

    /// As [`Store::delete_version`], if there is such a version and, with an `expiry`, its deletion
    /// is due at the commit; `None` if not.
    pub(crate) async fn delete_version_if(
        &self,
        bucket: &Bucket,
        key: &[u8],
        version: VersionId,
        conditions: &Conditions,
        lock_override: LockOverride,
        expiry: Option<&Expiry>,
    ) -> Result<Option<Deleted>, DeleteObjectError> {
        let _turn = self.inner.locks.lock((bucket.id(), key)).await;
        for _ in 0..CONFLICT_RETRIES_MAX {
            let snapshot = self.inner.engine.snapshot();
            let found = find_version(&*snapshot, bucket.id(), key, version).await?;
            let Some(found) = found else {
                return Ok(None);
            };
            check_version(&found, conditions)?;
            let mut mutation = Mutation::new();
            if let Some(expiry) = expiry {
                let judged = expiry.judge_deletion(&*snapshot, bucket, key, &found);
                let Some(required) = judged.await? else {
                    return Ok(None);
                };
                mutation.preconditions = required;
            }
            let mut counts = Counts::default();
            if found.is_present {
                self.remove_present(&mut mutation, &found, &mut counts, lock_override)?;
                let next = newest_past(&*snapshot, bucket.id(), key, 1).await?;
                let next = next.into_iter().next();
                let is_replaced = next.is_some_and(|next| {
                    settle_newest(&mut mutation, bucket, key, next, &mut counts)
                });
                if !is_replaced {
                    mutation.delete(Space::Records, found.row_key.clone());
                }
            } else {
                self.remove_past(&mut mutation, &found, &mut counts, lock_override)?;
                if version == VersionId::Null {
                    mutation.delete(Space::Records, null_version_key(bucket.id(), key));
                }
                let row_key = object_key(bucket.id(), key);
                let present = snapshot.get(Space::Records, &row_key).await;
                if present.map_err(Fault::from)?.is_some() {
                    mutation.require(Precondition::Present(row_key));
                } else {
                    mutation.require(Precondition::Absent(row_key));
                    let newest = newest_past(&*snapshot, bucket.id(), key, 2).await?;
                    uncover(&mut mutation, bucket, key, &found, newest, &mut counts);
                }
            }
            counts.apply(&mut mutation, bucket.id());
            let time = self.inner.clock.tick();
            let event = Event::of_version(EventKind::RemovedDelete, key, time, version);
            self.announce(&mut mutation, bucket, &event)?;
            if let CommitOutcome::Committed { .. } = self.commit(mutation, time).await? {
                let (record, delete_marker) = match found.version {
                    Past::Object(record) => (Some(*record), false),
                    Past::DeleteMarker(_) => (None, true),
                };
                return Ok(Some(Deleted {
                    record,
                    version_id: Some(version),
                    delete_marker,
                }));
            }
        }
        Err(too_many_writers().into())
    }

    /// Adds to `mutation` that the present of a key goes away for good, under the precondition that
    /// it still is what was found. The row itself is left to the caller.
    fn remove_present(
        &self,
        mutation: &mut Mutation,
        found: &FoundVersion,
        counts: &mut Counts,
        lock_override: LockOverride,
    ) -> Result<(), RemoveError> {
        mutation.require(Precondition::Equals(
            found.row_key.clone(),
            found.row.clone(),
        ));
        counts.remove_object(found.version.size());
        if let Past::Object(record) = &found.version {
            self.let_go(mutation, record, lock_override)?;
        }
        Ok(())
    }
}

/// That a key has no present any more since `time`, for good or by a delete marker.
pub(super) fn removal<'a>(key: &'a [u8], time: u64, marker: Option<&DeleteMarker>) -> Event<'a> {
    let (kind, version) = match marker {
        Some(marker) => (EventKind::RemovedMarker, marker.version_id()),
        None => (EventKind::RemovedDelete, VersionId::Null),
    };
    Event::of_version(kind, key, time, version)
}

/// Adds to `mutation`, which removes `found` from the history of a key without present row, that
/// what comes next takes its place if it was the newest. `newest` are the two newest entries.
fn uncover(
    mutation: &mut Mutation,
    bucket: &Bucket,
    key: &[u8],
    found: &FoundVersion,
    newest: Vec<FoundVersion>,
    counts: &mut Counts,
) {
    let mut newest = newest.into_iter();
    let Some(first) = newest.next() else {
        return;
    };
    if first.row_key != found.row_key {
        // Something newer covers what is removed, and has to do so still.
        mutation.require(Precondition::Present(first.row_key));
        return;
    }
    let (start, _) = history_of_key(bucket.id(), key);
    mutation.require(Precondition::RangeEmpty(start, first.row_key));
    if let Some(next) = newest.next() {
        settle_newest(mutation, bucket, key, next, counts);
    }
}

/// Adds to `mutation`, after which `next` will be the newest version of a key, what makes it so: an
/// object moves into the present, which is told. Must be called whenever there is a next entry, even if that is a
/// delete marker, so that nobody removes it at the same time.
fn settle_newest(
    mutation: &mut Mutation,
    bucket: &Bucket,
    key: &[u8],
    next: FoundVersion,
    counts: &mut Counts,
) -> bool {
    mutation.require(Precondition::Equals(next.row_key.clone(), next.row.clone()));
    let Past::Object(record) = &next.version else {
        return false;
    };
    counts.remove_past(record.size);
    counts.add_object(record.size);
    if !record.versioned {
        mutation.delete(Space::Records, null_version_key(bucket.id(), key));
    }
    mutation.delete(Space::Records, next.row_key).put(
        Space::Records,
        object_key(bucket.id(), key),
        next.row,
    );
    true
}

/// Judges the conditions of a deletion on one version.
fn check_version(found: &FoundVersion, conditions: &Conditions) -> Result<(), DeleteObjectError> {
    let outcome = match &found.version {
        Past::Object(record) => {
            let etag = record.etag.to_string();
            conditions.evaluate_delete(Some(record.existing(&etag)))
        }
        Past::DeleteMarker(marker) => conditions.evaluate_delete(Some(Existing {
            etag: "",
            last_modified_ms: marker.last_modified_ms as i64,
            size: 0,
        })),
    };
    Ok(outcome?)
}
