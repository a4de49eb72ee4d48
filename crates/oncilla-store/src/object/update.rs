//! Changes of what is kept beside an object's bytes: tags and access.

use oncilla_meta::{CommitOutcome, Mutation, Precondition, Space};

use crate::bucket::Bucket;
use crate::fault::Fault;
use crate::object::put::too_many_writers;
use crate::rows::object::{ObjectRecord, object_key};
use crate::store::{CONFLICT_RETRIES_MAX, Store};

/// Why an object was not changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum UpdateObjectError {
    /// There is none under the key.
    #[error("no such key")]
    NoSuchKey,
    /// A failure beneath.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Store {
    /// Changes an object's record by `change`, which may be called again if another change came
    /// first. Identity, bytes and modification time stay.
    pub async fn update_object(
        &self,
        bucket: &Bucket,
        key: &[u8],
        change: impl Fn(&mut ObjectRecord),
    ) -> Result<ObjectRecord, UpdateObjectError> {
        let row_key = object_key(bucket.id(), key);
        let _turn = self.inner.locks.lock((bucket.id(), key)).await;
        for _ in 0..CONFLICT_RETRIES_MAX {
            let row = self
                .get(&row_key)
                .await?
                .ok_or(UpdateObjectError::NoSuchKey)?;
            let mut record = ObjectRecord::decode(row.clone()).map_err(Fault::from)?;
            change(&mut record);
            let mut mutation = Mutation::new();
            mutation
                .require(Precondition::Equals(row_key.clone(), row))
                .put(Space::Records, row_key.clone(), record.encode());
            let time = self.inner.clock.tick();
            if let CommitOutcome::Committed { .. } = self.commit(mutation, time).await? {
                return Ok(record);
            }
        }
        Err(too_many_writers().into())
    }
}
