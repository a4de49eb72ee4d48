//! Changes of what is kept beside an object's bytes: tags, access, and whose key protects its data key.

use oncilla_keys::KeysError;
use oncilla_meta::{CommitOutcome, Mutation, Precondition, Space};

use crate::bucket::Bucket;
use crate::encryption::{EncryptionChoice, UnlockError};
use crate::object::GetObjectError;
use crate::object::get::ObjectRow;
use crate::object::put::too_many_writers;
use crate::rows::encryption::{Encryption, Scheme};
use crate::rows::object::ObjectRecord;
use crate::rows::version_id::VersionId;
use crate::store::{CONFLICT_RETRIES_MAX, Store};

/// Why the encryption of an object was not changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum UpdateEncryptionError {
    /// There is no such object.
    #[error(transparent)]
    Object(#[from] GetObjectError),
    /// It is not encrypted by a key of the server's.
    #[error("the object is not encrypted by a key of the server's")]
    NotByServer,
    /// The present key cannot be had.
    #[error(transparent)]
    Unlock(#[from] UnlockError),
    /// The new key cannot be had.
    #[error(transparent)]
    Keys(#[from] KeysError),
}

impl Store {
    /// Puts the data key of an object under another key of the server's. Bytes, entity tag and
    /// modification time stay.
    pub async fn update_encryption(
        &self,
        bucket: &Bucket,
        key: &[u8],
        version: Option<VersionId>,
        choice: &EncryptionChoice,
    ) -> Result<ObjectRecord, UpdateEncryptionError> {
        let record = self.object_version(bucket, key, version).await?;
        let before = record.encryption.as_deref();
        let before = before.filter(|before| before.scheme != Scheme::Customer);
        let before = before.ok_or(UpdateEncryptionError::NotByServer)?;
        let data_key = self.data_key(before, None)?;
        let after = Encryption {
            salt: before.salt,
            ..self.protect(&data_key, choice).await?
        };
        let (id, after) = (record.id, Box::new(after));
        let changed = self.update_object(bucket, key, version, |record| {
            // Another object that took the key meanwhile has another data key.
            if record.id == id {
                record.encryption = Some(after.clone());
            }
        });
        let record = changed.await?;
        if record.id != id {
            return Err(GetObjectError::Fault(too_many_writers()).into());
        }
        Ok(record)
    }

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
            if let CommitOutcome::Committed { .. } = self.commit(mutation, time).await? {
                return Ok(record);
            }
        }
        Err(too_many_writers().into())
    }
}
