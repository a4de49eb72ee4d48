//! Object Lock in requests and answers about objects: what a writer may say, who may override a
//! retention, and who is told of it.

use http::Response;
use oncilla_store::rows::object::ObjectRecord;
use oncilla_store::{Bucket, LockOverride, VersionId};
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::header::{
    X_AMZ_OBJECT_LOCK_LEGAL_HOLD, X_AMZ_OBJECT_LOCK_MODE, X_AMZ_OBJECT_LOCK_RETAIN_UNTIL_DATE,
};
use oncilla_wire::object_lock::{NewLock, bypasses_governance, require_digest};
use oncilla_wire::time::iso8601;

use crate::ResponseBody;
use crate::s3::S3Service;
use crate::s3::answer::set;
use crate::s3::authorize::ActionTarget;
use crate::s3::request::S3Request;

/// Refuses what is about locks in a bucket that has none.
pub fn require_object_lock(bucket: &Bucket) -> Result<(), S3Error> {
    match bucket.record.object_lock {
        Some(_) => Ok(()),
        None => Err(S3Error::with_message(
            S3ErrorCode::InvalidRequest,
            "Bucket is missing Object Lock Configuration",
        )),
    }
}

/// What a write says about the lock of its version. Whether the sender may set it is judged by the
/// head of the request (`authorize.rs`).
/// Source: S3 User Guide, "Object Lock considerations".
pub fn new_lock(
    service: &S3Service,
    request: &S3Request,
    bucket: &Bucket,
) -> Result<NewLock, S3Error> {
    if !NewLock::is_in(&request.headers) {
        return Ok(NewLock::default());
    }
    let now_ms = service.store.clock().now_ms() as i64;
    let lock = NewLock::from_headers(&request.headers, now_ms)?;
    require_object_lock(bucket)?;
    Ok(lock)
}

/// As [`new_lock`], for a request whose body becomes the object: a digest must protect it.
pub fn new_lock_of_body(
    service: &S3Service,
    request: &S3Request,
    bucket: &Bucket,
) -> Result<NewLock, S3Error> {
    let lock = new_lock(service, request, bucket)?;
    if !lock.is_empty() {
        require_digest(
            &request.headers,
            "Put Object requests with Object Lock parameters",
        )?;
    }
    Ok(lock)
}

/// Which locks the request may override. Who asks for that must be allowed to, be the version locked
/// or not. Source: S3 user guide, "Required permissions for Amazon S3 API operations".
pub async fn lock_override(
    service: &S3Service,
    request: &S3Request,
    bucket: &Bucket,
    key: &str,
    version: Option<VersionId>,
) -> Result<LockOverride, S3Error> {
    if !bypasses_governance(&request.headers) {
        return Ok(LockOverride::Nothing);
    }
    let bypass = "s3:BypassGovernanceRetention";
    let target = ActionTarget::Object { key, version };
    let judged = service.authorize_action(request, bucket, bypass, target);
    judged.await?;
    Ok(LockOverride::Governance)
}

/// Sets what an answer says about the lock of a version, as far as the sender may know.
/// Source: S3 API reference, HeadObject, `x-amz-object-lock-mode` and its like.
pub async fn set_lock(
    response: &mut Response<ResponseBody>,
    service: &S3Service,
    request: &S3Request,
    bucket: &Bucket,
    record: &ObjectRecord,
) -> Result<(), S3Error> {
    if record.retention.is_none() && record.legal_hold.is_none() {
        return Ok(());
    }
    let version = request.version_id()?;
    if let Some(retention) = &record.retention
        && may_know(service, request, bucket, version, "s3:GetObjectRetention").await
    {
        set(response, X_AMZ_OBJECT_LOCK_MODE, retention.mode.as_str())?;
        let until = iso8601(retention.until_ms);
        set(response, X_AMZ_OBJECT_LOCK_RETAIN_UNTIL_DATE, &until[..])?;
    }
    if let Some(hold) = record.legal_hold
        && may_know(service, request, bucket, version, "s3:GetObjectLegalHold").await
    {
        set(response, X_AMZ_OBJECT_LOCK_LEGAL_HOLD, hold.as_str())?;
    }
    Ok(())
}

/// Whether an answer may tell what the sender would need `action` to ask for.
pub async fn may_know(
    service: &S3Service,
    request: &S3Request,
    bucket: &Bucket,
    version: Option<VersionId>,
    action: &'static str,
) -> bool {
    let target = ActionTarget::Object {
        key: &request.key,
        version,
    };
    let judged = service.authorize_action(request, bucket, action, target);
    judged.await.is_ok()
}
