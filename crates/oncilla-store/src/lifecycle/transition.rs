//! Moving a version to another storage class.

use oncilla_meta::{CommitOutcome, Mutation, Precondition, Space};
use oncilla_wire::event::EventKind;
use oncilla_wire::storage_class::StorageClass;

use crate::bucket::Bucket;
use crate::events::Event;
use crate::fault::Fault;
use crate::history::find_version;
use crate::lifecycle::expiry::Expiry;
use crate::object::put::too_many_writers;
use crate::rows::history::Past;
use crate::rows::version_id::VersionId;
use crate::store::{CONFLICT_RETRIES_MAX, Store};

/// A version that was moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moved {
    /// Bytes of its body.
    pub size: u64,
    /// Where it is now.
    pub class: StorageClass,
}

impl Store {
    /// Moves a version to the class that is due at the commit; `None` if none is. Identity, times and
    /// everything else stay; the bytes are written again if the class lies elsewhere, and those before become
    /// garbage in the same commit.
    pub(crate) async fn transition_version(
        &self,
        bucket: &Bucket,
        key: &[u8],
        version: VersionId,
        expiry: &Expiry,
    ) -> Result<Option<Moved>, Fault> {
        for _ in 0..CONFLICT_RETRIES_MAX {
            let snapshot = self.inner.engine.snapshot();
            let found = find_version(&*snapshot, bucket.id(), key, version).await?;
            let Some(found) = found else {
                return Ok(None);
            };
            let judged = expiry.judge_transition(&*snapshot, bucket, key, &found);
            let Some((class, required)) = judged.await? else {
                return Ok(None);
            };
            let Past::Object(mut record) = found.version else {
                return Ok(None);
            };
            let group = self.group_of_class(class.as_str());
            let mut relocated = None;
            if group != self.group_of_class(&record.storage_class) {
                let held = self.open_body(&record, &found.row_key, &found.row).await?;
                if held.is_none() {
                    continue;
                }
                relocated = self.relocate(&record.placement, group).await?;
                drop(held);
            }
            record.storage_class = class.as_str().to_owned();
            record.restoration = None;
            let mut mutation = Mutation::new();
            mutation.preconditions = required;
            mutation.require(Precondition::Equals(found.row_key.clone(), found.row));
            if let Some(relocated) = &mut relocated {
                self.drop_placement(&mut mutation, &record.placement, record.id)?;
                record.placement = relocated.placement();
                relocated.refer(&mut mutation, record.id);
            }
            mutation.put(Space::Records, found.row_key, record.encode());
            let time = self.inner.clock.tick();
            let event = Event {
                storage_class: class.as_str(),
                ..Event::of_object(EventKind::Transitioned, key, time, &record)
            };
            self.announce(&mut mutation, bucket, &event)?;
            if let CommitOutcome::Committed { .. } = self.commit(mutation, time).await? {
                return Ok(Some(Moved {
                    size: record.size,
                    class,
                }));
            }
            if let Some(relocated) = &mut relocated {
                relocated.commit_refused();
            }
        }
        Err(too_many_writers())
    }
}
