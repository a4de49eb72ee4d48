//! GetBucketOwnershipControls, PutBucketOwnershipControls and DeleteBucketOwnershipControls.

use http::StatusCode;
use oncilla_store::{Bucket, DocumentKind, NewDocument};
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::xml::ownership::{MAX_OWNERSHIP_BODY_BYTES, ObjectOwnership};

use crate::s3::S3Service;
use crate::s3::access::acl_of_bucket;
use crate::s3::answer::{Answer, empty, xml};
use crate::s3::body::read_document;
use crate::s3::bucket::put_document;
use crate::s3::request::S3Request;

pub fn get_ownership(bucket: &Bucket) -> Answer {
    let Some(controls) = bucket.documents.get(DocumentKind::OwnershipControls) else {
        let error = S3Error::new(S3ErrorCode::OwnershipControlsNotFoundError);
        return Err(error.detail("BucketName", bucket.name.clone()));
    };
    Ok(xml(controls.text().to_vec()))
}

/// Sets the ownership. ACLs cannot be switched off while the bucket's gives anything to others.
/// Source: S3 user guide, "Prerequisites for disabling ACLs".
pub async fn put_ownership(
    service: &S3Service,
    request: &mut S3Request,
    bucket: &Bucket,
) -> Answer {
    let document = read_document(request, MAX_OWNERSHIP_BODY_BYTES as u64).await?;
    let ownership = ObjectOwnership::parse(&document)?;
    let is_private = acl_of_bucket(bucket)?.is_private_to(&bucket.record.owner);
    if ownership == ObjectOwnership::BucketOwnerEnforced && !is_private {
        return Err(S3ErrorCode::InvalidBucketAclWithObjectOwnership.into());
    }
    let new = NewDocument::of_text(ownership.to_xml());
    put_document(service, bucket, DocumentKind::OwnershipControls, Some(new)).await?;
    Ok(empty(StatusCode::OK))
}

pub async fn delete_ownership(service: &S3Service, bucket: &Bucket) -> Answer {
    put_document(service, bucket, DocumentKind::OwnershipControls, None).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}
