//! The configurations of a bucket, each one document behind a query parameter:
//! GetBucketVersioning, PutBucketLifecycleConfiguration, DeleteBucketPolicy and their kin.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, header};
use oncilla_hash::Md5;
use oncilla_wire::header::{X_AMZ_ACL, X_AMZ_TRANSITION_DEFAULT_MINIMUM_OBJECT_SIZE};
use oncilla_wire::xml::reader::XmlReader;

use crate::body::Body;
use crate::call::Call;
use crate::client::Client;
use crate::error::Error;

/// A configuration of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BucketDocument {
    /// `VersioningConfiguration`.
    Versioning,
    /// `LifecycleConfiguration`.
    Lifecycle,
    /// The bucket policy, which is JSON.
    Policy,
    /// `CORSConfiguration`.
    Cors,
    /// `ServerSideEncryptionConfiguration`.
    Encryption,
    /// `NotificationConfiguration`.
    Notification,
    /// `Tagging`.
    Tagging,
    /// `WebsiteConfiguration`.
    Website,
    /// `BucketLoggingStatus`.
    Logging,
    /// `AccessControlPolicy`, which every bucket has.
    Acl,
    /// `ObjectLockConfiguration`.
    ObjectLock,
    /// `PublicAccessBlockConfiguration`.
    PublicAccessBlock,
    /// `OwnershipControls`.
    OwnershipControls,
}

/// The ACL of a bucket that nobody gave another. Source: S3 User Guide, "Canned ACL".
const DEFAULT_ACL: &str = "private";

/// What a bucket is configured with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BucketConfiguration {
    /// The document.
    pub content: Bytes,
    /// What of a lifecycle configuration is beside the document: the header
    /// `x-amz-transition-default-minimum-object-size`. Putting a document without it takes S3's
    /// default, so whoever changes a configuration has to say it again.
    pub transition_minimum: Option<HeaderValue>,
}

impl From<Bytes> for BucketConfiguration {
    fn from(content: Bytes) -> Self {
        Self {
            content,
            transition_minimum: None,
        }
    }
}

impl From<Vec<u8>> for BucketConfiguration {
    fn from(content: Vec<u8>) -> Self {
        Bytes::from(content).into()
    }
}

impl BucketDocument {
    /// The query parameter of its requests.
    pub fn parameter(self) -> &'static str {
        match self {
            Self::Versioning => "versioning",
            Self::Lifecycle => "lifecycle",
            Self::Policy => "policy",
            Self::Cors => "cors",
            Self::Encryption => "encryption",
            Self::Notification => "notification",
            Self::Tagging => "tagging",
            Self::Website => "website",
            Self::Logging => "logging",
            Self::Acl => "acl",
            Self::ObjectLock => "object-lock",
            Self::PublicAccessBlock => "publicAccessBlock",
            Self::OwnershipControls => "ownershipControls",
        }
    }

    /// The root element of the document; `None` for the policy, which is no XML.
    pub fn root(self) -> Option<&'static str> {
        Some(match self {
            Self::Versioning => "VersioningConfiguration",
            Self::Lifecycle => "LifecycleConfiguration",
            Self::Policy => return None,
            Self::Cors => "CORSConfiguration",
            Self::Encryption => "ServerSideEncryptionConfiguration",
            Self::Notification => "NotificationConfiguration",
            Self::Tagging => "Tagging",
            Self::Website => "WebsiteConfiguration",
            Self::Logging => "BucketLoggingStatus",
            Self::Acl => "AccessControlPolicy",
            Self::ObjectLock => "ObjectLockConfiguration",
            Self::PublicAccessBlock => "PublicAccessBlockConfiguration",
            Self::OwnershipControls => "OwnershipControls",
        })
    }

    /// What stands for none where S3 has no request that deletes it. Source: S3 API reference,
    /// PutBucketLogging and PutBucketNotificationConfiguration: an empty element turns them off;
    /// PutObjectLockConfiguration: without a rule new versions have no retention.
    fn empty(self) -> Option<&'static [u8]> {
        match self {
            Self::Logging => {
                Some(br#"<BucketLoggingStatus xmlns="http://s3.amazonaws.com/doc/2006-03-01/"/>"#)
            }
            Self::Notification => Some(
                br#"<NotificationConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"/>"#,
            ),
            Self::ObjectLock => Some(
                br#"<ObjectLockConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>"#,
            ),
            Self::Versioning
            | Self::Lifecycle
            | Self::Policy
            | Self::Cors
            | Self::Encryption
            | Self::Tagging
            | Self::Website
            | Self::Acl
            | Self::PublicAccessBlock
            | Self::OwnershipControls => None,
        }
    }

    /// Whether this is how S3 says that logging or notifications are off: it answers an empty element
    /// where it has an error for every other configuration that is not set.
    fn is_off(self, content: &[u8]) -> bool {
        if !matches!(self, Self::Logging | Self::Notification) {
            return false;
        }
        let Some(root) = self.root() else {
            return false;
        };
        let Ok(mut document) = XmlReader::open(content, &[root]) else {
            return false;
        };
        matches!(document.child(), Ok(None))
    }

    /// The code by which S3 says that a bucket has none.
    fn absent_code(self) -> Option<&'static str> {
        match self {
            Self::Lifecycle => Some("NoSuchLifecycleConfiguration"),
            Self::Policy => Some("NoSuchBucketPolicy"),
            Self::Cors => Some("NoSuchCORSConfiguration"),
            Self::Encryption => Some("ServerSideEncryptionConfigurationNotFoundError"),
            Self::Tagging => Some("NoSuchTagSet"),
            Self::Website => Some("NoSuchWebsiteConfiguration"),
            Self::ObjectLock => Some("ObjectLockConfigurationNotFoundError"),
            Self::PublicAccessBlock => Some("NoSuchPublicAccessBlockConfiguration"),
            Self::OwnershipControls => Some("OwnershipControlsNotFoundError"),
            Self::Versioning | Self::Notification | Self::Logging | Self::Acl => None,
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Policy => "application/json",
            _ => oncilla_wire::xml::CONTENT_TYPE,
        }
    }
}

impl Client {
    /// A configuration as it stands, or `None` if the bucket has none. Versioning, which is empty when
    /// it is off, and the ACL are always there.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such bucket.
    pub async fn bucket_document(
        &self,
        bucket: &str,
        document: BucketDocument,
    ) -> Result<Option<BucketConfiguration>, Error> {
        let call = Call::new(Method::GET, Some(bucket), None).query(document.parameter(), "");
        match self.send_for_document(call, Body::Empty).await {
            Ok(answer) if document.is_off(&answer.bytes) => Ok(None),
            Ok(mut answer) => Ok(Some(BucketConfiguration {
                content: answer.bytes,
                transition_minimum: answer
                    .headers
                    .remove(X_AMZ_TRANSITION_DEFAULT_MINIMUM_OBJECT_SIZE),
            })),
            Err(error) => match document.absent_code() {
                Some(code) if error.has_code(code) => Ok(None),
                _ => Err(error),
            },
        }
    }

    /// Puts a configuration in place of the present one.
    pub async fn put_bucket_document(
        &self,
        bucket: &str,
        document: BucketDocument,
        configuration: BucketConfiguration,
    ) -> Result<(), Error> {
        let BucketConfiguration {
            content,
            transition_minimum,
        } = configuration;
        // S3 demands it of most of these requests, and every implementation accepts it.
        let md5 = BASE64.encode(Md5::digest(&content));
        let mut call = Call::new(Method::PUT, Some(bucket), None)
            .query(document.parameter(), "")
            .header(HeaderName::from_static("content-md5"), &md5)?
            .header(header::CONTENT_TYPE, document.content_type())?;
        if let Some(minimum) = transition_minimum
            .as_ref()
            .and_then(|value| value.to_str().ok())
        {
            call = call.header(X_AMZ_TRANSITION_DEFAULT_MINIMUM_OBJECT_SIZE, minimum)?;
        }
        self.send_for_document(call, Body::Bytes(content))
            .await
            .map(|_| ())
    }

    /// Puts a canned ACL, such as `public-read`, in place of the bucket's.
    pub async fn put_canned_bucket_acl(&self, bucket: &str, acl: &str) -> Result<(), Error> {
        let call = Call::new(Method::PUT, Some(bucket), None)
            .query(BucketDocument::Acl.parameter(), "")
            .header(X_AMZ_ACL, acl)?;
        self.send_for_document(call, Body::Empty).await.map(|_| ())
    }

    /// Takes a configuration away; one that is not there counts as taken away. Versioning cannot be,
    /// an ACL becomes the default one, and of Object Lock it is the retention of new versions.
    pub async fn delete_bucket_document(
        &self,
        bucket: &str,
        document: BucketDocument,
    ) -> Result<(), Error> {
        if document == BucketDocument::Acl {
            return self.put_canned_bucket_acl(bucket, DEFAULT_ACL).await;
        }
        if document == BucketDocument::ObjectLock
            && self.bucket_document(bucket, document).await?.is_none()
        {
            // To put the empty one would enable Object Lock, which nothing undoes.
            return Ok(());
        }
        if let Some(empty) = document.empty() {
            let content = Bytes::from_static(empty);
            return self
                .put_bucket_document(bucket, document, content.into())
                .await;
        }
        let call = Call::new(Method::DELETE, Some(bucket), None).query(document.parameter(), "");
        self.send_for_document(call, Body::Empty).await.map(|_| ())
    }
}
