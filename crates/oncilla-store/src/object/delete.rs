//! Deleting an object.

use oncilla_meta::{CommitOutcome, Mutation, Precondition, Space};
use oncilla_wire::conditions::{ConditionFailure, Conditions};

use crate::bucket::Bucket;
use crate::fault::Fault;
use crate::object::put::too_many_writers;
use crate::rows::object::ObjectRecord;
use crate::rows::usage;
use crate::store::{CONFLICT_RETRIES_MAX, Store};

/// Why an object was not deleted.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DeleteObjectError {
    /// A condition of the request does not hold.
    #[error(transparent)]
    Condition(#[from] ConditionFailure),
    /// A failure beneath.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// What a deletion found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deleted {
    /// The object that was there; `None` if the key was free already, which S3 counts as success.
    pub record: Option<ObjectRecord>,
}

impl Store {
    /// Deletes the object under a key, if there is one.
    pub async fn delete_object(
        &self,
        bucket: &Bucket,
        key: &[u8],
        conditions: &Conditions,
    ) -> Result<Deleted, DeleteObjectError> {
        let _turn = self.inner.locks.lock((bucket.id(), key)).await;
        for _ in 0..CONFLICT_RETRIES_MAX {
            let present = self.present(bucket, key).await?;
            conditions.evaluate_delete(present.existing(&present.etag()))?;
            let (Some(row), Some(record)) = (present.row, present.record) else {
                return Ok(Deleted { record: None });
            };
            let mut mutation = Mutation::new();
            mutation
                .require(Precondition::Equals(present.row_key.clone(), row))
                .delete(Space::Records, present.row_key);
            self.drop_placement(&mut mutation, &record.placement, record.id)?;
            usage::count(&mut mutation, bucket.id(), -1, -(record.size as i64));
            let time = self.inner.clock.tick();
            if let CommitOutcome::Committed { .. } = self.commit(mutation, time).await? {
                return Ok(Deleted {
                    record: Some(record),
                });
            }
        }
        Err(too_many_writers().into())
    }
}
