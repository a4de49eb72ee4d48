//! GetObjectLockConfiguration and PutObjectLockConfiguration.

use http::StatusCode;
use oncilla_store::Bucket;
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::object_lock::require_digest;
use oncilla_wire::xml::object_lock::{MAX_OBJECT_LOCK_BODY_BYTES, ObjectLockConfiguration};

use crate::s3::answer::{Answer, empty, xml};
use crate::s3::body::read_document;
use crate::s3::request::S3Request;
use crate::s3::{S3Service, errors};

pub fn get_object_lock(bucket: &Bucket) -> Answer {
    match &bucket.record.object_lock {
        Some(lock) => Ok(xml(lock.to_xml())),
        None => {
            let error = S3Error::new(S3ErrorCode::ObjectLockConfigurationNotFoundError);
            Err(error.detail("BucketName", bucket.name.clone()))
        }
    }
}

/// Enables Object Lock, also on a bucket that has objects already, or changes the retention of new
/// versions; what is locked stays as it is.
/// Source: S3 User Guide, "Enabling Object Lock on an existing Amazon S3 bucket".
pub async fn put_object_lock(
    service: &S3Service,
    request: &mut S3Request,
    bucket: &Bucket,
) -> Answer {
    require_digest(&request.headers, "Put Object Lock requests")?;
    let document = read_document(request, MAX_OBJECT_LOCK_BODY_BYTES as u64).await?;
    let asked = ObjectLockConfiguration::parse(&document)?;
    let set = service.store.set_object_lock(bucket, asked).await;
    set.map_err(|error| errors::set_versions(error).detail("BucketName", bucket.name.clone()))?;
    Ok(empty(StatusCode::OK))
}
