//! GetBucketAcl and PutBucketAcl.

use http::StatusCode;
use oncilla_store::{Bucket, DocumentKind, NewDocument};
use oncilla_wire::error::S3ErrorCode;
use oncilla_wire::xml::Owner;
use oncilla_wire::xml::acl::{Acl, CannedAcl, Grant, to_xml};

use crate::s3::S3Service;
use crate::s3::access::{BucketAccess, acl_of_bucket};
use crate::s3::acl::requested_acl;
use crate::s3::answer::{Answer, empty, xml};
use crate::s3::bucket::{put_document, update};
use crate::s3::request::S3Request;

pub async fn get_acl(service: &S3Service, bucket: &Bucket) -> Answer {
    let owner = &bucket.record.owner;
    let acl = match BucketAccess::of(bucket)?.is_owner_enforced() {
        true => Acl::default().into(),
        false => acl_of_bucket(bucket)?,
    };
    Ok(xml(service.acl_document(&acl, owner, owner).await?))
}

/// Sets the ACL. A document takes precedence over what the record says, so that each of the two
/// ways to set it takes effect with one commit.
pub async fn put_acl(service: &S3Service, request: &mut S3Request, bucket: &Bucket) -> Answer {
    let access = BucketAccess::of(bucket)?;
    if access.is_owner_enforced() {
        return Err(S3ErrorCode::AccessControlListNotSupported.into());
    }
    let requested = requested_acl(service, request).await?;
    let acl = requested.of(&bucket.record.owner)?;
    access.check_acl(acl)?;
    match canned_of_bucket(acl.clone()) {
        Acl::Canned(canned) => {
            update(service, bucket, |record| record.acl = canned).await?;
            put_document(service, bucket, DocumentKind::Acl, None).await?;
        }
        Acl::Grants(grants) => {
            let document = acl_document(&bucket.record.owner, &grants);
            put_document(service, bucket, DocumentKind::Acl, Some(document)).await?;
        }
    }
    Ok(empty(StatusCode::OK))
}

/// Grants as a bucket's document keeps them: names are looked up when they are shown.
pub fn acl_document(owner: &str, grants: &[Grant<'_>]) -> NewDocument {
    let owner = Owner {
        id: owner.into(),
        display_name: "".into(),
    };
    NewDocument::of_text(to_xml(&owner, grants, |_| String::new()))
}

/// A canned ACL as a bucket's. The two that speak of the bucket's owner mean objects; S3 ignores
/// them for a bucket, which then is private. Source: S3 user guide, "Canned ACL".
pub fn canned_of_bucket(acl: Acl) -> Acl {
    match acl {
        Acl::Canned(CannedAcl::BucketOwnerRead | CannedAcl::BucketOwnerFullControl) => {
            Acl::default()
        }
        acl => acl,
    }
}
