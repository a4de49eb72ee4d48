//! Objects that the server itself writes into a bucket of its users: access logs and inventories. They
//! pass the target bucket's own rules.

use bytes::Bytes;
use oncilla_hash::ChecksumAlgorithm;
use oncilla_iam::policy::{ContextTable, Effect, ObjectOwner};
use oncilla_iam::{Question, authorize_service};
use oncilla_store::bucket::BucketError;
use oncilla_store::object::{NewObject, PutObjectError};
use oncilla_store::{Bucket, Declared, Fault, Store};
use oncilla_wire::conditions::Conditions;
use oncilla_wire::error::{S3Error, S3ErrorCode};

use crate::s3::access::BucketAccess;
use crate::s3::encryption;

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
    /// Whether it may be another account's, if its policy allows it.
    pub may_cross_accounts: bool,
}

/// Why an object was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteRefused {
    /// There is no target bucket.
    #[error("the target bucket does not exist")]
    NoTarget,
    /// It belongs to another account, which allows nothing.
    #[error("the target bucket belongs to another account")]
    OtherOwner,
    /// Its policy denies it.
    #[error("the policy of the target bucket denies it")]
    Denied,
    /// The KMS key by which it encrypts new objects does not exist or is disabled: its owner's to mend.
    #[error("the default KMS key of the target bucket cannot be used: {0}")]
    Key(String),
    /// A failure that may pass.
    #[error("{0}")]
    Failed(String),
}

/// Why the target bucket takes an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllowedBy {
    /// Its policy allows it to the service.
    Policy,
    /// It belongs to the account of the bucket that the object is about, and its policy says nothing.
    Account,
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
            Self::Denied => "The policy of the target bucket denies the delivery of logs",
            Self::Key(_) => "The default KMS key of the target bucket cannot be used",
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

    /// Whether the target bucket takes an object of this service: its own account's, unless its policy
    /// denies it; another's, if the service may go there at all and the policy allows it.
    /// Source: S3 User Guide, "Enabling Amazon S3 server access logging" and "Granting permissions to
    /// publish ... inventory".
    ///
    /// # Errors
    /// See [`WriteRefused`].
    pub fn check(&self, target: &Bucket, key: &str) -> Result<AllowedBy, WriteRefused> {
        let access = BucketAccess::of(target);
        let access = access.map_err(|error| WriteRefused::Failed(error.message.into_owned()))?;
        let source_arn = format!("arn:aws:s3:::{}", self.source_bucket);
        let context = ContextTable::new()
            .with("aws:SourceAccount", self.source_account)
            .with("aws:SourceArn", &source_arn);
        let question = Question {
            action: "s3:PutObject",
            bucket: Some(&target.name),
            key: Some(key),
            context: &context,
        };
        let side = access.resource_side(ObjectOwner::Bucket);
        let decision = authorize_service(self.service, &question, side);
        let is_own = target.record.owner == self.source_account;
        let refused = match decision.effect {
            Effect::ExplicitDeny => WriteRefused::Denied,
            Effect::Allow if is_own || self.may_cross_accounts => return Ok(AllowedBy::Policy),
            Effect::ImplicitDeny if is_own => return Ok(AllowedBy::Account),
            Effect::Allow | Effect::ImplicitDeny => WriteRefused::OtherOwner,
        };
        let (service, source, target) = (self.service, self.source_bucket, &target.name);
        tracing::debug!(service, source, target, %refused, "nothing is delivered");
        Err(refused)
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
        let failed = |error: &dyn std::fmt::Display| WriteRefused::Failed(error.to_string());
        let encryption = encryption::by_bucket_default(self.store, target).await;
        let encryption = encryption.map_err(refused_key)?;
        let class = new.storage_class.as_str();
        let begun = self
            .store
            .begin_content_as(class, size, algorithm, false, encryption.as_ref());
        let mut writer = begun.await?;
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

fn refused_key(error: S3Error) -> WriteRefused {
    let message = error.message.into_owned();
    match error.code {
        S3ErrorCode::KmsNotFound | S3ErrorCode::KmsDisabled => WriteRefused::Key(message),
        _ => WriteRefused::Failed(message),
    }
}
