//! ACLs as requests set them: a canned ACL in `x-amz-acl`, or a policy that equals one.

use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::header::X_AMZ_ACL;
use oncilla_wire::xml::acl::CannedAcl;

use crate::s3::acl_policy::{MAX_ACL_BODY_BYTES, canned_acl_of};
use crate::s3::body::read_document;
use crate::s3::request::S3Request;

/// What grant headers begin with.
const GRANT_PREFIX: &str = "x-amz-grant-";

/// `x-amz-acl`, if given.
///
/// # Errors
/// `NotImplemented` for grants to single accounts, because leaving them out would be wrong either
/// way; `InvalidArgument` for a name that is not a canned ACL's.
pub fn canned_acl(request: &S3Request) -> Result<Option<CannedAcl>, S3Error> {
    let mut names = request.headers.keys().map(http::HeaderName::as_str);
    if let Some(name) = names.find(|name| name.starts_with(GRANT_PREFIX)) {
        return Err(S3Error::new(S3ErrorCode::NotImplemented).detail("Header", name));
    }
    match request.headers.get(X_AMZ_ACL) {
        Some(value) => CannedAcl::parse(&String::from_utf8_lossy(value.as_bytes())).map(Some),
        None => Ok(None),
    }
}

/// The ACL that a PutBucketAcl or PutObjectAcl asks for, of something that is `owner`'s.
///
/// # Errors
/// As [`canned_acl`] and [`canned_acl_of`]; `UnexpectedContent` for a header and a body at once,
/// `MissingSecurityHeader` for neither.
pub async fn requested_acl(request: &mut S3Request, owner: &str) -> Result<CannedAcl, S3Error> {
    let by_header = canned_acl(request)?;
    let document = read_document(request, MAX_ACL_BODY_BYTES).await?;
    match (by_header, document.is_empty()) {
        (Some(acl), true) => Ok(acl),
        (None, false) => canned_acl_of(&document, owner),
        // Two answers to one question.
        (Some(_), false) => Err(S3ErrorCode::UnexpectedContent.into()),
        (None, true) => {
            let error = S3Error::new(S3ErrorCode::MissingSecurityHeader);
            Err(error.detail("MissingHeaderName", X_AMZ_ACL.as_str()))
        }
    }
}
