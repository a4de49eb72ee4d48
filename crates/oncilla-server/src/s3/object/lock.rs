//! GetObjectRetention, PutObjectRetention, GetObjectLegalHold and PutObjectLegalHold.

use http::StatusCode;
use oncilla_store::object_lock::SetLockError;
use oncilla_store::{Bucket, ObjectRecord};
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::object_lock::{LegalHold, Retention, check_future, require_digest};
use oncilla_wire::xml::object_lock::MAX_OBJECT_LOCK_BODY_BYTES;

use crate::s3::answer::{Answer, empty, set_version, xml};
use crate::s3::body::read_document;
use crate::s3::object_lock::{lock_override, require_object_lock};
use crate::s3::request::S3Request;
use crate::s3::{S3Service, errors};

pub async fn get_retention(
    service: &S3Service,
    request: &mut S3Request,
    bucket: &Bucket,
) -> Answer {
    let retention = |record: &ObjectRecord| record.retention.as_ref().map(Retention::to_xml);
    get_lock(service, request, bucket, retention).await
}

/// Sets until when a version may not go away; an empty document ends its retention.
/// Source: S3 API reference, PutObjectRetention; S3 User Guide, "Managing Object Lock".
pub async fn put_retention(
    service: &S3Service,
    request: &mut S3Request,
    bucket: &Bucket,
) -> Answer {
    require_object_lock(bucket)?;
    require_digest(&request.headers, "Put Object Retention requests")?;
    let document = read_document(request, MAX_OBJECT_LOCK_BODY_BYTES as u64).await?;
    let retention = Retention::parse(&document)?;
    if let Some(retention) = &retention {
        check_future(retention, service.store.clock().now_ms() as i64)?;
    }
    let version = request.version_id()?;
    let lock_override = lock_override(service, request, bucket, &request.key, version).await?;
    let key = request.key.as_bytes();
    let set = service
        .store
        .set_retention(bucket, key, version, retention, lock_override)
        .await;
    let record = match set {
        Ok(record) => record,
        Err(SetLockError::Object(error)) => {
            return Err(service
                .not_found(request, bucket, &request.key, error)
                .await);
        }
        Err(SetLockError::Locked(inner)) => return Err(errors::locked(inner)),
    };
    let mut response = empty(StatusCode::OK);
    set_version(&mut response, bucket, record.version_id())?;
    Ok(response)
}

pub async fn get_legal_hold(
    service: &S3Service,
    request: &mut S3Request,
    bucket: &Bucket,
) -> Answer {
    let hold = |record: &ObjectRecord| record.legal_hold.map(|hold| hold.to_xml());
    get_lock(service, request, bucket, hold).await
}

/// Answers with what `document` tells of the lock of a version.
async fn get_lock(
    service: &S3Service,
    request: &mut S3Request,
    bucket: &Bucket,
    document: impl Fn(&ObjectRecord) -> Option<Vec<u8>>,
) -> Answer {
    require_object_lock(bucket)?;
    let version = request.version_id()?;
    let key = request.key.as_bytes();
    let record = service.store.object_version(bucket, key, version).await;
    let record = service.found(request, bucket, record).await?;
    let document = document(&record).ok_or_else(|| no_lock(&request.key))?;
    let mut response = xml(document);
    set_version(&mut response, bucket, record.version_id())?;
    Ok(response)
}

pub async fn put_legal_hold(
    service: &S3Service,
    request: &mut S3Request,
    bucket: &Bucket,
) -> Answer {
    require_object_lock(bucket)?;
    require_digest(&request.headers, "Put Object Legal Hold requests")?;
    let document = read_document(request, MAX_OBJECT_LOCK_BODY_BYTES as u64).await?;
    let hold = LegalHold::parse(&document)?;
    let version = request.version_id()?;
    let key = request.key.as_bytes();
    let set = service.store.set_legal_hold(bucket, key, version, hold);
    let record = set.await;
    let record = service.found(request, bucket, record).await?;
    let mut response = empty(StatusCode::OK);
    set_version(&mut response, bucket, record.version_id())?;
    Ok(response)
}

fn no_lock(key: &str) -> S3Error {
    S3Error::new(S3ErrorCode::NoSuchObjectLockConfiguration).detail("Key", key)
}
