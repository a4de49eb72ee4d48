//! GetObjectRetention, PutObjectRetention, GetObjectLegalHold and PutObjectLegalHold.

use http::StatusCode;
use oncilla_store::Bucket;
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
    require_object_lock(bucket)?;
    let version = request.version_id()?;
    let key = request.key.as_bytes();
    let record = service.store.object_version(bucket, key, version).await;
    let record = record.map_err(|error| errors::get_object(&request.key, error))?;
    let retention = record.retention.as_ref();
    let retention = retention.ok_or_else(|| no_lock(&request.key))?;
    let mut response = xml(retention.to_xml());
    set_version(&mut response, bucket, record.version_id())?;
    Ok(response)
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
    let record = set.map_err(|error| errors::set_lock(&request.key, error))?;
    let mut response = empty(StatusCode::OK);
    set_version(&mut response, bucket, record.version_id())?;
    Ok(response)
}

pub async fn get_legal_hold(
    service: &S3Service,
    request: &mut S3Request,
    bucket: &Bucket,
) -> Answer {
    require_object_lock(bucket)?;
    let version = request.version_id()?;
    let key = request.key.as_bytes();
    let record = service.store.object_version(bucket, key, version).await;
    let record = record.map_err(|error| errors::get_object(&request.key, error))?;
    let hold = record.legal_hold.ok_or_else(|| no_lock(&request.key))?;
    let mut response = xml(hold.to_xml());
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
    let record = record.map_err(|error| errors::get_object(&request.key, error))?;
    let mut response = empty(StatusCode::OK);
    set_version(&mut response, bucket, record.version_id())?;
    Ok(response)
}

fn no_lock(key: &str) -> S3Error {
    S3Error::new(S3ErrorCode::NoSuchObjectLockConfiguration).detail("Key", key)
}
