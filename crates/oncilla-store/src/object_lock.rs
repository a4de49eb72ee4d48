//! Object Lock: which versions may not go away, and who may change that.
//!
//! Every version that goes away for good goes through `Store::let_go`, whoever asks and whatever
//! for: the deletion of a version, a write that takes over the id `null`, a lifecycle rule, the
//! destruction of a bucket. It judges the lock of the record that the mutation requires to be
//! unchanged, so a lock that comes first is seen.
//!
//! Locks end by [`Clock::certain_ms`](crate::Clock::certain_ms): a clock that is set forward while
//! the server runs ends none.

use oncilla_meta::{CommitOutcome, Mutation, Precondition, Space};
use oncilla_wire::event::EventKind;
use oncilla_wire::object_lock::{LegalHold, Retention, RetentionMode};

use crate::bucket::Bucket;
use crate::events::Event;
use crate::fault::Fault;
use crate::multipart::CompleteError;
use crate::object::get::ObjectRow;
use crate::object::put::too_many_writers;
use crate::object::{
    AppendError, CopyError, DeleteObjectError, GetObjectError, PutObjectError, RenameError,
};
use crate::rows::history::{Past, history_of_bucket};
use crate::rows::object::{ObjectRecord, objects_of_bucket};
use crate::rows::version_id::VersionId;
use crate::store::{CONFLICT_RETRIES_MAX, Store};
use crate::walk::Rows;

/// Which locks a request may override. Nothing overrides a legal hold or a COMPLIANCE retention.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LockOverride {
    /// None.
    #[default]
    Nothing,
    /// GOVERNANCE retentions: the sender has `s3:BypassGovernanceRetention` and asked for it.
    Governance,
}

/// A version is locked, and stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the version is protected by object lock")]
pub struct Locked;

/// Why a version was not removed, or nothing took its place.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum RemoveError {
    #[error("no such bucket")]
    NoSuchBucket,
    #[error(transparent)]
    Locked(#[from] Locked),
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl RemoveError {
    /// Whether nothing was written: a bucket that is gone, a lock and a full device refuse before
    /// anything is, other failures may not.
    pub(crate) fn applied_nothing(&self) -> bool {
        match self {
            Self::NoSuchBucket | Self::Locked(_) => true,
            Self::Fault(fault) => matches!(fault, Fault::NoSpace),
        }
    }
}

/// Every operation that removes or replaces a version can fail as [`RemoveError`] says, and each
/// tells it by its own error.
macro_rules! told_by {
    ($($error:ty),+ $(,)?) => {$(
        impl From<RemoveError> for $error {
            fn from(error: RemoveError) -> Self {
                match error {
                    RemoveError::NoSuchBucket => Self::NoSuchBucket,
                    RemoveError::Locked(locked) => Self::Locked(locked),
                    RemoveError::Fault(fault) => Self::Fault(fault),
                }
            }
        }
    )+};
}

told_by!(
    AppendError,
    CompleteError,
    CopyError,
    DeleteObjectError,
    PutObjectError,
    RenameError,
);

/// Why the lock of a version was not changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SetLockError {
    /// There is no such object.
    #[error(transparent)]
    Object(#[from] GetObjectError),
    /// The change would end a retention early.
    #[error(transparent)]
    Locked(#[from] Locked),
}

impl From<Fault> for SetLockError {
    fn from(fault: Fault) -> Self {
        Self::Object(GetObjectError::Fault(fault))
    }
}

/// Whether a retention still holds.
fn holds(retention: &Retention, certain_ms: u64) -> bool {
    // Beyond what a signed number counts there is no time.
    let certain_ms = i64::try_from(certain_ms).unwrap_or(i64::MAX);
    retention.until_ms > certain_ms
}

/// Whether a retention may become another one, or end.
fn may_become(
    before: Option<&Retention>,
    after: Option<&Retention>,
    certain_ms: u64,
    lock_override: LockOverride,
) -> bool {
    let Some(before) = before.filter(|before| holds(before, certain_ms)) else {
        return true;
    };
    let prolonged =
        after.is_some_and(|after| after.mode == before.mode && after.until_ms >= before.until_ms);
    prolonged
        || before.mode == RetentionMode::Governance && lock_override == LockOverride::Governance
}

impl ObjectRecord {
    /// Refuses to let the version go away at this time.
    pub(crate) fn check_lock(
        &self,
        certain_ms: u64,
        lock_override: LockOverride,
    ) -> Result<(), Locked> {
        let on_hold = self.legal_hold == Some(LegalHold::On);
        let retention = self.retention.as_ref();
        if on_hold || !may_become(retention, None, certain_ms, lock_override) {
            return Err(Locked);
        }
        Ok(())
    }
}

impl Store {
    /// Adds to `mutation` that a version goes away for good: the one way in which any does. The
    /// mutation must require that the version's row is unchanged.
    pub(crate) fn let_go(
        &self,
        mutation: &mut Mutation,
        record: &ObjectRecord,
        lock_override: LockOverride,
    ) -> Result<(), RemoveError> {
        record.check_lock(self.inner.clock.certain_ms(), lock_override)?;
        self.drop_placement(mutation, &record.placement, record.id)?;
        Ok(())
    }

    /// Whether a version in the bucket may not go away now. Reads every record of a bucket that has
    /// object lock; in others nothing is locked.
    pub async fn has_locked_versions(&self, bucket: &Bucket) -> Result<bool, Fault> {
        if bucket.record.object_lock.is_none() {
            return Ok(false);
        }
        let snapshot = self.inner.engine.snapshot();
        let certain_ms = self.inner.clock.certain_ms();
        for range in [
            objects_of_bucket(bucket.id()),
            history_of_bucket(bucket.id()),
        ] {
            let mut rows = Rows::new(&*snapshot, range);
            while let Some(row) = rows.next().await? {
                let Past::Object(record) = Past::decode(row.value)? else {
                    continue;
                };
                if record
                    .check_lock(certain_ms, LockOverride::Nothing)
                    .is_err()
                {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Sets until when a version may not go away; `None` ends its retention. A retention that holds
    /// can only be prolonged, unless it is a GOVERNANCE one and `lock_override` says so.
    /// `version` says of which version; `None` is the newest.
    pub async fn set_retention(
        &self,
        bucket: &Bucket,
        key: &[u8],
        version: Option<VersionId>,
        retention: Option<Retention>,
        lock_override: LockOverride,
    ) -> Result<ObjectRecord, SetLockError> {
        let clock = &self.inner.clock;
        let change = |record: &mut ObjectRecord| {
            let (before, after) = (record.retention.as_ref(), retention.as_ref());
            if !may_become(before, after, clock.certain_ms(), lock_override) {
                return Err(SetLockError::Locked(Locked));
            }
            record.retention = retention;
            Ok(())
        };
        self.change_object(bucket, key, version, change, None).await
    }

    /// Sets whether a version may not go away until further notice.
    pub async fn set_legal_hold(
        &self,
        bucket: &Bucket,
        key: &[u8],
        version: Option<VersionId>,
        hold: LegalHold,
    ) -> Result<ObjectRecord, GetObjectError> {
        let change = |record: &mut ObjectRecord| {
            record.legal_hold = Some(hold);
            Ok(())
        };
        self.change_object(bucket, key, version, change, None).await
    }

    /// Changes the record of an object by `change`, which may be called again if another change
    /// came first. It is told as `kind`.
    pub(crate) async fn change_object<E>(
        &self,
        bucket: &Bucket,
        key: &[u8],
        version: Option<VersionId>,
        change: impl Fn(&mut ObjectRecord) -> Result<(), E>,
        kind: Option<EventKind>,
    ) -> Result<ObjectRecord, E>
    where
        E: From<GetObjectError> + From<Fault>,
    {
        let _turn = self.inner.locks.lock((bucket.id(), key)).await;
        for _ in 0..CONFLICT_RETRIES_MAX {
            let ObjectRow {
                row_key,
                row,
                mut record,
            } = self.object_row(bucket, key, version).await?;
            change(&mut record)?;
            let mut mutation = Mutation::new();
            mutation
                .require(Precondition::Equals(row_key.clone(), row))
                .put(Space::Records, row_key, record.encode());
            let time = self.inner.clock.tick();
            if let Some(kind) = kind {
                let event = Event::of_object(kind, key, time, &record);
                self.announce(&mut mutation, bucket, &event)?;
            }
            if let CommitOutcome::Committed { .. } = self.commit(mutation, time).await? {
                return Ok(record);
            }
        }
        Err(too_many_writers().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retention_is_only_prolonged() {
        use RetentionMode::{Compliance, Governance};
        let of = |mode, until_ms| Retention { mode, until_ms };
        let nothing = LockOverride::Nothing;
        for mode in [Governance, Compliance] {
            let before = of(mode, 100);
            let allowed = |after: Option<Retention>, now_ms, lock_override| {
                may_become(Some(&before), after.as_ref(), now_ms, lock_override)
            };
            assert!(allowed(Some(of(mode, 100)), 99, nothing));
            assert!(allowed(Some(of(mode, 101)), 99, nothing));
            assert!(!allowed(Some(of(mode, 99)), 98, nothing));
            assert!(!allowed(None, 99, nothing));
            let other = match mode {
                Governance => Compliance,
                Compliance => Governance,
            };
            assert!(!allowed(Some(of(other, 200)), 99, nothing));
            // At its end it holds no more.
            assert!(allowed(None, 100, nothing));
            let bypassed = mode == Governance;
            assert_eq!(allowed(None, 0, LockOverride::Governance), bypassed);
            let shorter = Some(of(mode, 1));
            assert_eq!(allowed(shorter, 0, LockOverride::Governance), bypassed);
        }
        assert!(may_become(None, Some(&of(Compliance, 1)), 0, nothing));
    }
}
