//! Objects that the server itself writes into a bucket of its users: access logs and inventories. They
//! pass the target bucket's own rules.

use bytes::Bytes;
use oncilla_hash::ChecksumAlgorithm;
use oncilla_store::bucket::BucketError;
use oncilla_store::object::{NewObject, PutObjectError};
use oncilla_store::{Bucket, Declared, Fault, Store};
use oncilla_wire::conditions::Conditions;
use oncilla_wire::error::{S3Error, S3ErrorCode};

/// A write on behalf of a bucket into another.
#[derive(Clone, Copy)]
pub struct ServiceWrite<'a> {
    /// The store, acting for the service.
    pub store: &'a Store,
    /// The service, such as `logging.s3.amazonaws.com`.
    pub service: &'static str,
    /// The bucket that the object is about.
    pub source_bucket: &'a str,
    /// Canonical id of its owner.
    pub source_account: &'a str,
    /// The bucket that gets it.
    pub target: &'a str,
}

/// Why an object was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteRefused {
    /// There is no target bucket.
    #[error("the target bucket does not exist")]
    NoTarget,
    /// It belongs to another account.
    #[error("the target bucket belongs to another account")]
    OtherOwner,
    /// A failure that may pass.
    #[error("{0}")]
    Failed(String),
}

impl From<Fault> for WriteRefused {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault.to_string())
    }
}

impl WriteRefused {
    /// What PutBucketLogging answers. Source: S3 API reference, `InvalidTargetBucketForLogging`.
    pub fn into_logging_error(self) -> S3Error {
        let message = match self {
            Self::NoTarget => "The target bucket for logging does not exist",
            Self::OtherOwner => {
                "The owner for the bucket to be logged and the target bucket must be the same."
            }
            Self::Failed(error) => {
                tracing::error!(error, "the target bucket cannot be looked at");
                return S3ErrorCode::ServiceUnavailable.into();
            }
        };
        S3Error::with_message(S3ErrorCode::InvalidTargetBucketForLogging, message)
    }
}

impl ServiceWrite<'_> {
    /// The target bucket.
    ///
    /// # Errors
    /// See [`WriteRefused`].
    pub async fn target(&self) -> Result<std::sync::Arc<Bucket>, WriteRefused> {
        match self.store.bucket(self.target).await {
            Ok(bucket) => Ok(bucket),
            Err(BucketError::NoSuchBucket) => Err(WriteRefused::NoTarget),
            Err(BucketError::Fault(fault)) => Err(fault.into()),
        }
    }

    /// Whether the target bucket takes objects of this service.
    ///
    /// # Errors
    /// See [`WriteRefused`].
    pub fn check(&self, target: &Bucket, _key: &str) -> Result<(), WriteRefused> {
        if target.record.owner == self.source_account {
            return Ok(());
        }
        let (service, source, target) = (self.service, self.source_bucket, &target.name);
        tracing::debug!(service, source, target, "refused: the owners differ");
        Err(WriteRefused::OtherOwner)
    }

    /// Writes an object.
    ///
    /// # Errors
    /// See [`WriteRefused`].
    pub async fn put(
        &self,
        target: &Bucket,
        key: &str,
        new: NewObject,
        body: Bytes,
    ) -> Result<(), WriteRefused> {
        self.check(target, key)?;
        let algorithm = ChecksumAlgorithm::Crc64Nvme;
        let size = body.len() as u64;
        let mut writer = self.store.begin_content(size, algorithm, false).await?;
        let failed = |error: &dyn std::fmt::Display| WriteRefused::Failed(error.to_string());
        writer.write(body).await.map_err(|error| failed(&error))?;
        let content = writer.finish(&Declared::default()).await;
        let content = content.map_err(|error| failed(&error))?;
        let conditions = Conditions::default();
        let put = self
            .store
            .put_object(target, key.as_bytes(), new, content, &conditions);
        match put.await {
            Ok(_) => Ok(()),
            Err(PutObjectError::NoSuchBucket) => Err(WriteRefused::NoTarget),
            Err(
                error @ (PutObjectError::Condition(_)
                | PutObjectError::Locked(_)
                | PutObjectError::Fault(_)),
            ) => Err(failed(&error)),
        }
    }
}
