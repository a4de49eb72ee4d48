//! GetBucketAcl and PutBucketAcl, of canned ACLs.

use http::StatusCode;
use oncilla_store::Bucket;
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::header::X_AMZ_ACL;
use oncilla_wire::xml::acl::{self, CannedAcl};

use crate::s3::S3Service;
use crate::s3::answer::{Answer, empty, xml};
use crate::s3::body::read_document;
use crate::s3::bucket::acl_policy::{MAX_ACL_BODY_BYTES, canned_acl_of};
use crate::s3::bucket::update;
use crate::s3::request::S3Request;

/// What grant headers begin with.
const GRANT_PREFIX: &str = "x-amz-grant-";

pub async fn get_acl(service: &S3Service, bucket: &Bucket) -> Answer {
    let owner = service.owner(&bucket.record.owner).await?;
    Ok(xml(acl::to_xml(
        &owner.as_xml(),
        bucket.record.acl,
        &owner.as_xml(),
    )))
}

pub async fn put_acl(service: &S3Service, request: &mut S3Request, bucket: &Bucket) -> Answer {
    let by_header = canned_acl_header(request)?;
    let document = read_document(request, MAX_ACL_BODY_BYTES).await?;
    let acl = match (by_header, document.is_empty()) {
        (Some(acl), true) => acl,
        (None, false) => canned_acl_of(&document, &bucket.record.owner)?,
        // Two answers to one question.
        (Some(_), false) => return Err(S3ErrorCode::UnexpectedContent.into()),
        (None, true) => {
            let error = S3Error::new(S3ErrorCode::MissingSecurityHeader);
            return Err(error.detail("MissingHeaderName", X_AMZ_ACL.as_str()));
        }
    };
    update(service, bucket, |record| record.acl = acl).await?;
    Ok(empty(StatusCode::OK))
}

/// `x-amz-acl` as a bucket's, if given. The two that speak of the bucket's owner mean objects; S3
/// ignores them for a bucket, which then is private. Source: S3 user guide, "Canned ACL".
///
/// # Errors
/// `NotImplemented` for grants to single accounts, because leaving them out would be wrong either
/// way; `InvalidArgument` for a name that is not a canned ACL's.
pub fn canned_acl_header(request: &S3Request) -> Result<Option<CannedAcl>, S3Error> {
    let mut names = request.headers.keys().map(http::HeaderName::as_str);
    if let Some(name) = names.find(|name| name.starts_with(GRANT_PREFIX)) {
        return Err(S3Error::new(S3ErrorCode::NotImplemented).detail("Header", name));
    }
    let Some(value) = request.headers.get(X_AMZ_ACL) else {
        return Ok(None);
    };
    Ok(Some(
        match CannedAcl::parse(&String::from_utf8_lossy(value.as_bytes()))? {
            CannedAcl::BucketOwnerRead | CannedAcl::BucketOwnerFullControl => CannedAcl::Private,
            acl => acl,
        },
    ))
}
