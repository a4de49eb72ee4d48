//! Changes of what is kept beside an object's bytes: tags and access.

use oncilla_meta::{CommitOutcome, Mutation, Precondition, Space};
use oncilla_wire::event::EventKind;

use crate::bucket::Bucket;
use crate::events::Event;
use crate::object::GetObjectError;
use crate::object::get::ObjectRow;
use crate::object::put::too_many_writers;
use crate::rows::object::ObjectRecord;
use crate::rows::version_id::VersionId;
use crate::store::{CONFLICT_RETRIES_MAX, Store};

impl Store {
    /// Changes the record of an object by `change`, which may be called again if another change
    /// came first. `version` says of which version; `None` is the newest. Identity, bytes and
    /// modification time stay.
    pub async fn update_object(
        &self,
        bucket: &Bucket,
        key: &[u8],
        version: Option<VersionId>,
        change: impl Fn(&mut ObjectRecord),
    ) -> Result<ObjectRecord, GetObjectError> {
        self.update_object_and_tell(bucket, key, version, change, None)
            .await
    }

    /// As [`Store::update_object`]; the change is told as `kind`.
    pub async fn update_object_and_tell(
        &self,
        bucket: &Bucket,
        key: &[u8],
        version: Option<VersionId>,
        change: impl Fn(&mut ObjectRecord),
        kind: Option<EventKind>,
    ) -> Result<ObjectRecord, GetObjectError> {
        let _turn = self.inner.locks.lock((bucket.id(), key)).await;
        for _ in 0..CONFLICT_RETRIES_MAX {
            let ObjectRow {
                row_key,
                row,
                mut record,
            } = self.object_row(bucket, key, version).await?;
            change(&mut record);
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
