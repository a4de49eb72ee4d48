//! GetBucketPolicy, PutBucketPolicy, DeleteBucketPolicy and GetBucketPolicyStatus.

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use oncilla_iam::policy::{POLICY_TEXT_BYTES_MAX, Policy, PolicyError, PolicyKind};
use oncilla_store::{Bucket, DocumentKind, NewDocument};
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::header::X_AMZ_CONFIRM_REMOVE_SELF_BUCKET_ACCESS;
use oncilla_wire::xml::public_access::policy_status_xml;

use crate::ResponseBody;
use crate::s3::S3Service;
use crate::s3::access::{BucketAccess, LOCKS_OUT_OWNER};
use crate::s3::answer::{Answer, empty, xml};
use crate::s3::authenticate::iam_failure;
use crate::s3::body::read_document;
use crate::s3::bucket::put_document;
use crate::s3::request::S3Request;

/// Answers the policy to the byte as it was set.
pub fn get_policy(bucket: &Bucket) -> Answer {
    let Some(policy) = bucket.documents.get(DocumentKind::Policy) else {
        let error = S3Error::new(S3ErrorCode::NoSuchBucketPolicy);
        return Err(error.detail("BucketName", bucket.name.clone()));
    };
    let mut response = Response::new(ResponseBody::Full(policy.text().clone()));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    Ok(response)
}

pub async fn put_policy(service: &S3Service, request: &mut S3Request, bucket: &Bucket) -> Answer {
    let document = read_document(request, POLICY_TEXT_BYTES_MAX as u64).await?;
    let kind = PolicyKind::Bucket {
        bucket: &bucket.name,
    };
    let policy = Policy::parse_new(&document, kind);
    let policy = policy.map_err(|error| malformed(&error, kind))?;
    check_principals(service, &policy, kind).await?;
    if BucketAccess::of(bucket)?.block.block_public_policy && policy.is_public() {
        let message = "Access Denied: public policies are prevented by the BlockPublicPolicy \
                       setting of the bucket.";
        return Err(S3Error::with_message(S3ErrorCode::AccessDenied, message));
    }
    let confirmed = request.headers.get(X_AMZ_CONFIRM_REMOVE_SELF_BUCKET_ACCESS);
    let confirmed = confirmed.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"));
    let mut new = NewDocument::of_text(document);
    if confirmed {
        new.detail = LOCKS_OUT_OWNER.into();
    }
    put_document(service, bucket, DocumentKind::Policy, Some(new)).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// What is wrong with a policy, and with which word of it.
fn malformed(error: &PolicyError, kind: PolicyKind<'_>) -> S3Error {
    let refused = S3Error::with_message(S3ErrorCode::MalformedPolicy, error.message(kind));
    match error.detail() {
        Some(detail) => refused.detail("Detail", detail),
        None => refused,
    }
}

/// Refuses a policy that names an account, a user or a role which does not exist. (What is deleted
/// later stays named, and whatever is made by that name then is meant.)
/// Source: AWS re:Post, "Why am I getting the error 'Invalid principal in policy' when I update my
/// Amazon S3 bucket policy?".
async fn check_principals(
    service: &S3Service,
    policy: &Policy,
    kind: PolicyKind<'_>,
) -> Result<(), S3Error> {
    for principal in policy.principals() {
        let exists = service.iam.exists(principal).await;
        if !exists.map_err(iam_failure)? {
            return Err(malformed(&PolicyError::no_such_principal(principal), kind));
        }
    }
    Ok(())
}

pub async fn delete_policy(service: &S3Service, bucket: &Bucket) -> Answer {
    put_document(service, bucket, DocumentKind::Policy, None).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// Whether the bucket is public, by its policy or its ACL. S3 answers `NoSuchBucketPolicy` where
/// there is no policy; this follows ceph/s3-tests (test_get_bucket_policy_status,
/// test_get_public_acl_bucket_policy_status), which tells more.
pub fn get_policy_status(bucket: &Bucket) -> Answer {
    let is_public = BucketAccess::of(bucket)?.is_public()?;
    Ok(xml(policy_status_xml(is_public)))
}
