//! GetBucketAcl and PutBucketAcl, of canned ACLs.

use http::StatusCode;
use oncilla_store::Bucket;
use oncilla_wire::xml::acl::{self, CannedAcl};

use crate::s3::S3Service;
use crate::s3::acl::requested_acl;
use crate::s3::answer::{Answer, empty, xml};
use crate::s3::bucket::update;
use crate::s3::request::S3Request;

pub async fn get_acl(service: &S3Service, bucket: &Bucket) -> Answer {
    let owner = service.owner(&bucket.record.owner).await?;
    Ok(xml(acl::to_xml(
        &owner.as_xml(),
        bucket.record.acl,
        &owner.as_xml(),
    )))
}

pub async fn put_acl(service: &S3Service, request: &mut S3Request, bucket: &Bucket) -> Answer {
    let acl = acl_of_bucket(requested_acl(request, &bucket.record.owner).await?);
    update(service, bucket, |record| record.acl = acl).await?;
    Ok(empty(StatusCode::OK))
}

/// A canned ACL as a bucket's. The two that speak of the bucket's owner mean objects; S3 ignores
/// them for a bucket, which then is private. Source: S3 user guide, "Canned ACL".
pub fn acl_of_bucket(acl: CannedAcl) -> CannedAcl {
    match acl {
        CannedAcl::BucketOwnerRead | CannedAcl::BucketOwnerFullControl => CannedAcl::Private,
        acl => acl,
    }
}
