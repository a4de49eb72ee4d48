//! Whether the sender may do it. Every operation passes here before its handler; operations that
//! read a second object (copies) pass here for that too.

use oncilla_iam::{Principal, Request, authorize};
use oncilla_store::{Bucket, VersionId};
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::operation::{Level, Operation};
use oncilla_wire::xml::acl::CannedAcl;

use crate::s3::S3Service;
use crate::s3::errors;

/// Whether a canned ACL lets everybody read.
pub fn is_public_read(acl: CannedAcl) -> bool {
    matches!(acl, CannedAcl::PublicRead | CannedAcl::PublicReadWrite)
}

/// Whether an ACL lets the sender read: as one of everybody, or of everybody with an account.
fn grants_read(acl: CannedAcl, sender: &Principal) -> bool {
    match acl {
        CannedAcl::PublicRead | CannedAcl::PublicReadWrite => true,
        CannedAcl::AuthenticatedRead => sender.account().is_some(),
        CannedAcl::Private | CannedAcl::BucketOwnerRead | CannedAcl::BucketOwnerFullControl => {
            false
        }
    }
}

/// Whether a bucket's ACL lets everybody write objects. Of what S3 counts as writing, it opens whole
/// objects only: who knows the id of another's multipart upload may not touch it.
/// Source: S3 user guide, "Mapping of ACL permissions and access policy permissions".
fn grants_write(acl: CannedAcl, operation: Operation) -> bool {
    let writes_object = matches!(operation, Operation::PutObject | Operation::CopyObject);
    acl == CannedAcl::PublicReadWrite && writes_object
}

/// The object that an operation is on.
#[derive(Clone, Copy, Debug)]
pub struct ObjectTarget<'a> {
    /// Its key; empty for an operation on a bucket.
    pub key: &'a str,
    /// Which version of it; `None` for the newest.
    pub version: Option<VersionId>,
}

impl S3Service {
    /// Judges an operation on a bucket or an object in it.
    pub(super) async fn authorize_in_bucket(
        &self,
        principal: &Principal,
        operation: Operation,
        bucket: &Bucket,
        target: ObjectTarget<'_>,
    ) -> Result<(), S3Error> {
        let key = target.key;
        let mut request = Request {
            action: match target.version {
                Some(_) => operation.iam_action_on_version(),
                None => operation.iam_action(),
            },
            bucket: Some(&bucket.name),
            bucket_owner: Some(&bucket.record.owner),
            public_read: match operation.level() {
                Level::Object => bucket.record.public_objects,
                Level::Bucket | Level::Service => grants_read(bucket.record.acl, principal),
            },
            key: Some(key).filter(|key| !key.is_empty()),
        };
        let Err(denied) = authorize(principal, &request) else {
            return Ok(());
        };
        if grants_write(bucket.record.acl, operation) {
            return Ok(());
        }
        if matches!(operation, Operation::GetObject | Operation::HeadObject) {
            request.public_read = self.may_read_object(principal, bucket, target).await?;
            if authorize(principal, &request).is_ok() {
                return Ok(());
            }
        }
        tracing::debug!(bucket = bucket.name, operation = operation.name(), reason = %denied.reason, "denied");
        Err(S3ErrorCode::AccessDenied.into())
    }

    /// Judges an operation that concerns no existing bucket.
    pub(super) fn authorize_on_service(
        &self,
        principal: &Principal,
        operation: Operation,
        bucket: Option<&str>,
    ) -> Result<(), S3Error> {
        let action = operation.iam_action();
        let request = Request {
            action,
            bucket,
            bucket_owner: None,
            public_read: false,
            key: None,
        };
        authorize(principal, &request).map_err(|_| S3ErrorCode::AccessDenied.into())
    }

    /// Whether the object's own ACL lets the sender read it. That there is none is told to those
    /// who may list the bucket; others cannot tell it from an object they may not read.
    /// Source: S3 API reference, GetObject, "Permissions".
    async fn may_read_object(
        &self,
        sender: &Principal,
        bucket: &Bucket,
        target: ObjectTarget<'_>,
    ) -> Result<bool, S3Error> {
        use oncilla_store::object::GetObjectError;
        let key = target.key.as_bytes();
        match self.store.object_version(bucket, key, target.version).await {
            Ok(record) => Ok(grants_read(record.acl, sender)),
            Err(
                GetObjectError::NoSuchKey
                | GetObjectError::Deleted(_)
                | GetObjectError::NoSuchVersion(_)
                | GetObjectError::IsDeleteMarker(_),
            ) => Ok(grants_read(bucket.record.acl, sender)),
            Err(GetObjectError::Fault(fault)) => Err(errors::fault(fault)),
        }
    }
}
