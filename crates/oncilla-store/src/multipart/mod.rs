//! Multipart uploads: create, upload parts, complete, abort, list parts.
//!
//! A part's row is written once and stays where it is when the upload completes: completing adds
//! the object's record and the layout, whatever the size of the object.

mod complete;
mod part;

pub use complete::{CompleteError, CompleteUpload, CompletedPart, PART_BYTES_MIN, PARTS_MAX};
pub(crate) use part::parts_page;
pub use part::{ListedPart, PartPage};

use bytes::Bytes;
use oncilla_hash::ChecksumAlgorithm;
use oncilla_meta::{CommitOutcome, Interrupted, Mutation, Precondition, Space};

use crate::bucket::Bucket;
use crate::encryption::{EncryptionChoice, NewEncryption};
use crate::fault::Fault;
use crate::object::{NewObject, PutObjectError};
use crate::rows::bucket::bucket_name_key;
use crate::rows::codec::UnknownFields;
use crate::rows::garbage::Garbage;
use crate::rows::key::UniqueId;
use crate::rows::upload::{UploadRecord, part_writes_key, upload_key};
use crate::store::{CONFLICT_RETRIES_MAX, Store};

/// How the parts of an upload are summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadChecksum {
    /// By which algorithm.
    pub algorithm: ChecksumAlgorithm,
    /// Whether the object's checksum will be over the parts' checksums.
    pub composite: bool,
    /// Whether the client chose this.
    pub declared: bool,
}

/// Why an upload could not be had.
#[derive(Clone, Debug, thiserror::Error)]
pub enum UploadError {
    /// There is no such open upload.
    #[error("no such upload")]
    NoSuchUpload,
    /// A failure beneath.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<Interrupted> for UploadError {
    fn from(error: Interrupted) -> Self {
        Self::Fault(error.into())
    }
}

/// An open upload as it was when it was looked up.
#[derive(Clone, Debug)]
pub struct Upload {
    /// Its id.
    pub id: UniqueId,
    /// What its object will be.
    pub record: UploadRecord,
    pub(crate) row_key: Bytes,
    pub(crate) row: Bytes,
}

impl Store {
    /// Starts an upload, whose parts are encrypted only if everything is.
    pub async fn create_upload(
        &self,
        bucket: &Bucket,
        key: &[u8],
        new: NewObject,
        checksum: UploadChecksum,
    ) -> Result<UniqueId, PutObjectError> {
        let encryption = match self.inner.options.encrypt_at_rest {
            true => Some(self.new_encryption(&EncryptionChoice::S3).await),
            false => None,
        };
        let encryption = encryption.transpose().map_err(Fault::from)?;
        self.create_upload_as(bucket, key, new, checksum, encryption)
            .await
    }

    /// As [`Store::create_upload`], with parts that are encrypted as said and not otherwise.
    pub async fn create_upload_as(
        &self,
        bucket: &Bucket,
        key: &[u8],
        new: NewObject,
        checksum: UploadChecksum,
        encryption: Option<NewEncryption>,
    ) -> Result<UniqueId, PutObjectError> {
        let id = self.inner.clock.unique_id().map_err(Fault::from)?;
        let (encryption, kms_key_name) = match encryption {
            Some(new) => (Some(Box::new(new.stored)), new.kms_key_name),
            None => (None, String::new()),
        };
        let record = UploadRecord {
            started_ms: self.inner.clock.now_ms(),
            storage_class: new.storage_class,
            owner: new.owner,
            algorithm: checksum.algorithm,
            composite: checksum.composite,
            algorithm_declared: checksum.declared,
            acl: new.acl,
            headers: new.headers,
            metadata: new.metadata,
            tags: new.tags,
            retention: new.lock.retention,
            legal_hold: new.lock.legal_hold,
            encryption,
            kms_key_name,
            unknown: UnknownFields::default(),
        };
        let mut mutation = Mutation::new();
        mutation
            .require(Precondition::Present(bucket_name_key(bucket.id())))
            .put(
                Space::Records,
                upload_key(bucket.id(), key, id),
                record.encode(),
            );
        match self.commit(mutation, self.inner.clock.tick()).await? {
            CommitOutcome::Committed { .. } => Ok(id),
            CommitOutcome::Conflict { .. } => Err(PutObjectError::NoSuchBucket),
        }
    }

    /// Looks an open upload up.
    pub async fn upload(
        &self,
        bucket: &Bucket,
        key: &[u8],
        id: UniqueId,
    ) -> Result<Upload, UploadError> {
        let row_key = upload_key(bucket.id(), key, id);
        let row = self.get(&row_key).await?.ok_or(UploadError::NoSuchUpload)?;
        let record = UploadRecord::decode(row.clone()).map_err(Fault::from)?;
        Ok(Upload {
            id,
            record,
            row_key,
            row,
        })
    }

    /// Aborts an upload: its parts become garbage.
    pub async fn abort_upload(
        &self,
        bucket: &Bucket,
        key: &[u8],
        id: UniqueId,
    ) -> Result<(), UploadError> {
        for _ in 0..CONFLICT_RETRIES_MAX {
            let upload = self.upload(bucket, key, id).await?;
            if self.drop_upload(upload.row_key, upload.row, id).await? {
                return Ok(());
            }
        }
        Err(Fault::Unavailable("too many concurrent changes of one upload".to_owned()).into())
    }

    /// Removes an open upload and leaves its parts to the collector; false if it changed meanwhile.
    pub(crate) async fn drop_upload(
        &self,
        row_key: Bytes,
        row: Bytes,
        id: UniqueId,
    ) -> Result<bool, Fault> {
        let mut mutation = Mutation::new();
        mutation
            .require(Precondition::Equals(row_key.clone(), row))
            .delete(Space::Records, row_key)
            .delete(Space::Records, part_writes_key(id));
        self.note_garbage(&mut mutation, Garbage::Upload(id))?;
        let outcome = self.commit(mutation, self.inner.clock.tick()).await?;
        Ok(matches!(outcome, CommitOutcome::Committed { .. }))
    }
}
