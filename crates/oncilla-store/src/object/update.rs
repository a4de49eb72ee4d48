//! Changes of what is kept beside an object's bytes: tags, access, and whose key protects its data key.

use oncilla_keys::KeysError;
use oncilla_wire::event::EventKind;

use crate::bucket::Bucket;
use crate::encryption::{EncryptionChoice, UnlockError};
use crate::fault::Fault;
use crate::object::GetObjectError;
use crate::object::put::too_many_writers;
use crate::rows::encryption::{Encryption, Scheme};
use crate::rows::object::ObjectRecord;
use crate::rows::version_id::VersionId;
use crate::store::Store;

/// Why the encryption of an object was not changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum UpdateEncryptionError {
    /// There is no such object.
    #[error(transparent)]
    Object(#[from] GetObjectError),
    /// It is not the one that is to be changed.
    #[error("the object was replaced meanwhile")]
    Replaced,
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

/// Why a record was not changed.
enum NotUpdated {
    Object(GetObjectError),
    /// It is not of the object that was to be changed.
    Other,
}

impl From<GetObjectError> for NotUpdated {
    fn from(error: GetObjectError) -> Self {
        Self::Object(error)
    }
}

impl From<Fault> for NotUpdated {
    fn from(fault: Fault) -> Self {
        Self::Object(GetObjectError::Fault(fault))
    }
}

impl Store {
    /// Puts the data key of an object that `is_wanted` under another key of the server's. Bytes, entity
    /// tag and modification time stay.
    pub async fn update_encryption(
        &self,
        bucket: &Bucket,
        key: &[u8],
        version: Option<VersionId>,
        choice: &EncryptionChoice,
        is_wanted: impl Fn(&ObjectRecord) -> bool,
    ) -> Result<ObjectRecord, UpdateEncryptionError> {
        let record = self.object_version(bucket, key, version).await?;
        if !is_wanted(&record) {
            return Err(UpdateEncryptionError::Replaced);
        }
        let before = record.encryption.as_deref();
        let before = before.filter(|before| before.scheme != Scheme::Customer);
        let before = before.ok_or(UpdateEncryptionError::NotByServer)?;
        let data_key = self.data_key(before, None)?;
        let after = Encryption {
            salt: before.salt,
            ..self.protect(&data_key, choice).await?
        };
        let (id, after) = (record.id, Box::new(after));
        // Another object that took the key meanwhile has another data key.
        let is_same = |record: &ObjectRecord| record.id == id && is_wanted(record);
        let change = |record: &mut ObjectRecord| record.encryption = Some(after.clone());
        let changed = self.update_object_if(bucket, key, version, is_same, change, None);
        changed.await?.ok_or(UpdateEncryptionError::Replaced)
    }

    /// Changes the record of an object by `change`, which may be called again if another change
    /// came first. `version` says of which version; `None` is the newest. Identity, bytes and
    /// modification time stay, and so do its locks, which have rules of their own
    /// ([`object_lock`](crate::object_lock)).
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
        let any = |_: &ObjectRecord| true;
        let changed = self.update_object_if(bucket, key, version, any, change, kind);
        // Any object is changed, so there always is one.
        let changed = changed.await?;
        changed.ok_or_else(|| GetObjectError::Fault(too_many_writers()))
    }

    /// As [`Store::update_object_and_tell`], of an object that `is_wanted`: any other one stays as it
    /// is, and the answer is `None`.
    pub async fn update_object_if(
        &self,
        bucket: &Bucket,
        key: &[u8],
        version: Option<VersionId>,
        is_wanted: impl Fn(&ObjectRecord) -> bool,
        change: impl Fn(&mut ObjectRecord),
        kind: Option<EventKind>,
    ) -> Result<Option<ObjectRecord>, GetObjectError> {
        let keeping_locks = |record: &mut ObjectRecord| {
            if !is_wanted(record) {
                return Err(NotUpdated::Other);
            }
            let (retention, legal_hold) = (record.retention, record.legal_hold);
            change(record);
            record.retention = retention;
            record.legal_hold = legal_hold;
            Ok(())
        };
        let changed = self.change_object(bucket, key, version, keeping_locks, kind);
        match changed.await {
            Ok(record) => Ok(Some(record)),
            Err(NotUpdated::Other) => Ok(None),
            Err(NotUpdated::Object(error)) => Err(error),
        }
    }
}
