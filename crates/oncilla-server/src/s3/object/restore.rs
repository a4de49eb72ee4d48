//! RestoreObject.

use http::StatusCode;
use oncilla_store::Bucket;
use oncilla_store::lifecycle::{RestoreError, Restored};
use oncilla_wire::xml::restore::{MAX_RESTORE_BODY_BYTES, RestoreRequest};

use crate::s3::answer::{Answer, empty, set_version};
use crate::s3::body::read_document;
use crate::s3::request::S3Request;
use crate::s3::{S3Service, errors};

/// Answers 202 if the object is being restored now, and 200 if it was before.
/// Source: S3 API reference, RestoreObject, "Responses".
pub async fn restore(service: &S3Service, request: &mut S3Request, bucket: &Bucket) -> Answer {
    let version = request.version_id()?;
    let document = read_document(request, MAX_RESTORE_BODY_BYTES as u64).await?;
    let asked = RestoreRequest::parse(&document)?;
    let restored = service
        .store
        .restore_object(bucket, request.key.as_bytes(), version, asked)
        .await;
    let mut response = match restored {
        Ok(Restored::Begun) => empty(StatusCode::ACCEPTED),
        Ok(Restored::Extended) => empty(StatusCode::OK),
        Err(RestoreError::Object(error)) => {
            return Err(service
                .not_found(request, bucket, &request.key, error)
                .await);
        }
        Err(error) => return Err(errors::restore(&request.key, error)),
    };
    if let Some(version) = version {
        set_version(&mut response, bucket, version)?;
    }
    Ok(response)
}
