//! Archived objects: classes whose objects cannot be read before they are restored, for so many
//! days.
//!
//! The bytes lie where they are, and a restoration says until when they may be read. So a restored
//! copy ends by itself, without anybody doing anything.
//! Source: S3 User Guide, "Restoring an archived object"; S3 API reference, RestoreObject.

use oncilla_meta::{CommitOutcome, Mutation, Precondition, Space};
use oncilla_wire::event::EventKind;
use oncilla_wire::storage_class::StorageClass;
use oncilla_wire::xml::restore::{RestoreRequest, RestoreTier};

use crate::bucket::Bucket;
use crate::events::Event;
use crate::fault::Fault;
use crate::lifecycle::calendar::Calendar;
use crate::object::GetObjectError;
use crate::object::put::too_many_writers;
use crate::rows::object::{ObjectRecord, Restoration};
use crate::rows::version_id::VersionId;
use crate::store::{CONFLICT_RETRIES_MAX, Store};

/// Whether an object can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchiveState {
    /// It is not archived.
    Active,
    /// It is archived, and nobody asked for it.
    Archived,
    /// It is being restored.
    Restoring,
    /// It can be read until then, in Unix milliseconds.
    Restored {
        /// When that ends.
        expires_ms: u64,
    },
}

impl ArchiveState {
    /// The state of an object of this class at `now_ms`.
    pub fn of(class: &str, restoration: Option<Restoration>, now_ms: u64) -> Self {
        let is_archive = StorageClass::from_name(class).is_some_and(StorageClass::is_archive);
        if !is_archive {
            return Self::Active;
        }
        match restoration {
            Some(restoration) if now_ms < restoration.ready_ms => Self::Restoring,
            Some(restoration) if now_ms < restoration.expires_ms => Self::Restored {
                expires_ms: restoration.expires_ms,
            },
            Some(_) | None => Self::Archived,
        }
    }

    /// Whether the object's bytes may be read.
    pub fn is_readable(self) -> bool {
        matches!(self, Self::Active | Self::Restored { .. })
    }
}

impl ObjectRecord {
    /// Whether the object can be read at `now_ms`.
    pub fn archive_state(&self, now_ms: u64) -> ArchiveState {
        // Nearly every object is of no class in particular.
        if self.storage_class.is_empty() {
            return ArchiveState::Active;
        }
        ArchiveState::of(&self.storage_class, self.restoration, now_ms)
    }
}

/// What asking for an archived object came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restored {
    /// It is being restored now.
    Begun,
    /// It was restored before; how long it stays so counts from now.
    Extended,
}

/// Why an object was not restored.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RestoreError {
    /// It could not be had.
    #[error(transparent)]
    Object(#[from] GetObjectError),
    /// It is not archived.
    #[error("the object's class is {0}, which needs no restoration")]
    NotArchived(String),
    /// It is being restored already.
    #[error("the object is being restored")]
    InProgress,
    /// Its class has no such tier.
    #[error("the class has no retrieval by this tier")]
    NoSuchTier,
}

impl Store {
    /// Restores an archived object for the days that the request says; `version` says of which
    /// version, `None` is the newest. How long it takes is a setting:
    /// [`StoreOptions::restore_time`](crate::StoreOptions).
    pub async fn restore_object(
        &self,
        bucket: &Bucket,
        key: &[u8],
        version: Option<VersionId>,
        request: RestoreRequest,
    ) -> Result<Restored, RestoreError> {
        let _turn = self.inner.locks.lock((bucket.id(), key)).await;
        for _ in 0..CONFLICT_RETRIES_MAX {
            let found = self.object_row(bucket, key, version).await?;
            let mut record = found.record;
            let now_ms = self.inner.clock.now_ms();
            let (outcome, ready_ms) = match record.archive_state(now_ms) {
                ArchiveState::Active => {
                    let class = record.storage_class().to_owned();
                    return Err(RestoreError::NotArchived(class));
                }
                ArchiveState::Restoring => return Err(RestoreError::InProgress),
                ArchiveState::Restored { .. } => (Restored::Extended, now_ms),
                ArchiveState::Archived => {
                    let time = self.inner.options.restore_time.as_millis();
                    let time = u64::try_from(time).unwrap_or(u64::MAX);
                    (Restored::Begun, now_ms.saturating_add(time))
                }
            };
            let is_deep = record.storage_class == StorageClass::DeepArchive.as_str();
            if is_deep && request.tier == RestoreTier::Expedited {
                return Err(RestoreError::NoSuchTier);
            }
            let expires_ms = Calendar::REAL.due_ms(ready_ms, request.days);
            record.restoration = Some(Restoration {
                ready_ms,
                expires_ms,
            });
            let mut mutation = Mutation::new();
            mutation
                .require(Precondition::Equals(found.row_key.clone(), found.row))
                .put(Space::Records, found.row_key, record.encode());
            let time = self.inner.clock.tick();
            // Of a restoration that takes its time nobody is there to tell when it is over.
            let kinds: &[EventKind] = match outcome {
                Restored::Begun if ready_ms <= now_ms => {
                    &[EventKind::RestorePost, EventKind::RestoreCompleted]
                }
                Restored::Begun => &[EventKind::RestorePost],
                Restored::Extended => &[],
            };
            for &kind in kinds {
                let event = Event {
                    storage_class: record.storage_class(),
                    restored_until_ms: expires_ms,
                    ..Event::of_object(kind, key, time, &record)
                };
                let announced = self.announce(&mut mutation, bucket, &event);
                announced.map_err(GetObjectError::Fault)?;
            }
            let committed = self.commit(mutation, time).await;
            if let CommitOutcome::Committed { .. } = committed.map_err(GetObjectError::Fault)? {
                return Ok(outcome);
            }
        }
        let fault: Fault = too_many_writers();
        Err(GetObjectError::from(fault).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archived_objects_are_read_while_they_are_restored() {
        let restoration = Some(Restoration {
            ready_ms: 10,
            expires_ms: 20,
        });
        for (class, restoration, now_ms, expected) in [
            ("", None, 0, ArchiveState::Active),
            ("GLACIER_IR", restoration, 0, ArchiveState::Active),
            ("GLACIER", None, 0, ArchiveState::Archived),
            ("GLACIER", restoration, 9, ArchiveState::Restoring),
            (
                "DEEP_ARCHIVE",
                restoration,
                10,
                ArchiveState::Restored { expires_ms: 20 },
            ),
            ("DEEP_ARCHIVE", restoration, 20, ArchiveState::Archived),
        ] {
            assert_eq!(ArchiveState::of(class, restoration, now_ms), expected);
        }
    }
}
