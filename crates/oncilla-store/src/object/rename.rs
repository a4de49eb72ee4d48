//! Renaming: one mutation that moves an object to another key of its bucket, and no byte.

use oncilla_hash::Sha256;
use oncilla_meta::{CommitOutcome, Mutation, Space, next_key};
use oncilla_wire::conditions::{ConditionFailure, Conditions};
use oncilla_wire::event::EventKind;

use crate::bucket::Bucket;
use crate::events::Event;
use crate::fault::Fault;
use crate::object::GetObjectError;
use crate::object::copy::check_source;
use crate::object::delete::removal;
use crate::object::put::{Present, too_many_writers};
use crate::object_lock::{Locked, RemoveError};
use crate::rows::object::ObjectRecord;
use crate::rows::rename_token::{RenameToken, rename_token_key, rename_tokens_of_bucket};
use crate::store::{CONFLICT_RETRIES_MAX, Store, scan, unchanged};

/// How long a token is known: longer than any client goes on repeating a request. S3 does not say
/// how long it does.
pub const RENAME_TOKEN_KEPT_MS: u64 = 24 * 3_600_000;

/// Rows of earlier tokens that a rename with a token looks at, to remove those whose time is over.
/// More than one, so that they become fewer and not only no more.
const TOKENS_LOOKED_AT: usize = 4;

/// A rename to make.
pub struct RenameObject<'a> {
    /// The bucket of both keys.
    pub bucket: &'a Bucket,
    /// The object's key.
    pub source: &'a [u8],
    /// Whether an object that is under the key may be renamed: the right to it may have been judged
    /// by another one, or by none.
    pub is_source: &'a (dyn Fn(&ObjectRecord) -> bool + Sync),
    /// Conditions on the object (`x-amz-rename-source-if-…`).
    pub source_conditions: &'a Conditions,
    /// The key it gets.
    pub destination: &'a [u8],
    /// Conditions on what is under that key.
    pub conditions: &'a Conditions,
    /// By which a repeated request is known (`x-amz-client-token`).
    pub token: Option<&'a [u8]>,
}

/// Why an object was not renamed. Both keys are as they were.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RenameError {
    /// There is no source object.
    #[error("on the source: {0}")]
    Source(GetObjectError),
    /// One is there by now that [`RenameObject::is_source`] says no to.
    #[error("the source was replaced meanwhile")]
    SourceReplaced,
    /// The bucket was deleted meanwhile.
    #[error("no such bucket")]
    NoSuchBucket,
    /// Both keys are the same.
    #[error("the object would be renamed to itself")]
    Unchanged,
    /// A condition on the source does not hold.
    #[error("on the source: {0}")]
    SourceCondition(ConditionFailure),
    /// A condition on the destination does not hold.
    #[error(transparent)]
    Condition(#[from] ConditionFailure),
    /// The token came with another rename before.
    #[error("the token was used for another rename")]
    TokenReused,
    /// What would be replaced or removed is locked.
    #[error(transparent)]
    Locked(#[from] Locked),
    /// A failure beneath.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Store {
    /// Renames an object. In a bucket that never kept versions it moves, with its modification time;
    /// in one that does, the new key gets a new version and the old one a delete marker, as if it
    /// had been copied and deleted, but in one step. The answer is `None` to a request that was
    /// carried out before.
    pub async fn rename_object(
        &self,
        rename: RenameObject<'_>,
    ) -> Result<Option<ObjectRecord>, RenameError> {
        if rename.source == rename.destination {
            return Err(RenameError::Unchanged);
        }
        let mut bucket = rename.bucket.clone();
        let _turn = self
            .inner
            .locks
            .lock((bucket.id(), rename.destination))
            .await;
        for _ in 0..CONFLICT_RETRIES_MAX {
            let mut mutation = Mutation::new();
            mutation.require(bucket.unchanged());
            if self.is_repeated(&mut mutation, &rename).await? {
                return Ok(None);
            }
            let source = self.object_row(&bucket, rename.source, None).await;
            let source = source.map_err(source_error)?;
            let from = &source.record;
            if !(rename.is_source)(from) {
                return Err(RenameError::SourceReplaced);
            }
            check_source(from, rename.source_conditions).map_err(RenameError::SourceCondition)?;
            let present = self.present(&bucket, rename.destination).await?;
            present.check(rename.conditions)?;

            let time = self.inner.clock.tick();
            let now_ms = self.inner.clock.now_ms();
            let mut record = from.clone();
            record.id = self.inner.clock.unique_id().map_err(Fault::from)?;
            record.time = time;
            if bucket.keeps_history() {
                record.last_modified_ms = now_ms;
            }
            // The source's locks stay with its version.
            record.retention = None;
            record.legal_hold = None;
            mutation.require(unchanged(&source.row_key, Some(&source.row)));
            let shared = self.share(&mut mutation, &from.placement, record.id);
            let Some(placement) = shared.await? else {
                self.fail_if_unchanged(&source.row_key, Some(&source.row))
                    .await?;
                continue;
            };
            record.placement = placement;
            let placed = self.take_place(&mut mutation, &bucket, &present, &mut record, now_ms);
            let mut counts = match placed.await {
                Ok(counts) => counts,
                Err(RemoveError::Locked(_)) if self.has_changed(&bucket).await? => {
                    bucket = self.same_bucket(&bucket).await?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let source = Present {
                row_key: source.row_key,
                row: Some(source.row),
                record: Some(source.record),
            };
            let vacated = self.vacate(&mut mutation, &bucket, rename.source, &source, time);
            let (of_source, marker) = match vacated.await {
                Ok(vacated) => vacated,
                Err(RemoveError::Locked(_)) if self.has_changed(&bucket).await? => {
                    bucket = self.same_bucket(&bucket).await?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            counts.merge(of_source);
            counts.apply(&mut mutation, bucket.id());
            // Told as a copy and a deletion.
            let created = EventKind::CreatedCopy;
            let event = Event::of_object(created, rename.destination, time, &record);
            self.announce(&mut mutation, &bucket, &event)?;
            let event = removal(rename.source, time, marker.as_ref());
            self.announce(&mut mutation, &bucket, &event)?;
            match self.commit(mutation, time).await? {
                CommitOutcome::Committed { .. } => return Ok(Some(record)),
                CommitOutcome::Conflict { precondition: 0 } => {
                    bucket = self.same_bucket(&bucket).await?;
                }
                CommitOutcome::Conflict { .. } => {}
            }
        }
        Err(too_many_writers().into())
    }

    /// Whether the rename was carried out before; otherwise adds to `mutation` that it is now.
    async fn is_repeated(
        &self,
        mutation: &mut Mutation,
        rename: &RenameObject<'_>,
    ) -> Result<bool, RenameError> {
        let Some(token) = rename.token else {
            return Ok(false);
        };
        let now_ms = self.inner.clock.now_ms();
        let wanted = RenameToken {
            used_ms: now_ms,
            digest: digest_of(rename),
        };
        let is_over =
            |token: &RenameToken| now_ms.saturating_sub(token.used_ms) > RENAME_TOKEN_KEPT_MS;
        let id = rename.bucket.id();
        let row_key = rename_token_key(id, token);
        let row = self.get(&row_key).await?;
        if let Some(row) = &row {
            let known = RenameToken::decode(row.clone()).map_err(Fault::from)?;
            if !is_over(&known) {
                return match known.digest == wanted.digest {
                    true => Ok(true),
                    false => Err(RenameError::TokenReused),
                };
            }
        }
        mutation.require(unchanged(&row_key, row.as_ref())).put(
            Space::Records,
            row_key.clone(),
            wanted.encode(),
        );
        // Tokens are random, so over time every one of them comes to be looked at.
        let (start, end) = rename_tokens_of_bucket(id);
        let mut old = Vec::new();
        for from in [next_key(&row_key), start] {
            let limit = TOKENS_LOOKED_AT.saturating_sub(old.len());
            let page = self.inner.engine.scan(scan(from, end.clone(), limit)).await;
            old.extend(page.map_err(Fault::from)?.rows);
            if old.len() >= TOKENS_LOOKED_AT {
                break;
            }
        }
        old.sort_by(|a, b| a.key.cmp(&b.key));
        old.dedup_by(|a, b| a.key == b.key);
        for other in old {
            let token = RenameToken::decode(other.value).map_err(Fault::from)?;
            if other.key != row_key && is_over(&token) {
                mutation.delete(Space::Records, other.key);
            }
        }
        Ok(false)
    }
}

/// What a token stands for.
fn digest_of(rename: &RenameObject<'_>) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(&(rename.source.len() as u64).to_be_bytes());
    hasher.update(rename.source);
    hasher.update(rename.destination);
    let conditions = format!("{:?}{:?}", rename.source_conditions, rename.conditions);
    hasher.update(conditions.as_bytes());
    hasher.finish()
}

fn source_error(error: GetObjectError) -> RenameError {
    match error {
        GetObjectError::Fault(fault) => RenameError::Fault(fault),
        error => RenameError::Source(error),
    }
}
