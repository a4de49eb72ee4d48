//! PutObject.

use http::StatusCode;
use oncilla_hash::ChecksumAlgorithm;
use oncilla_store::Bucket;
use oncilla_wire::conditions::Conditions;
use oncilla_wire::header::X_AMZ_OBJECT_SIZE;

use crate::s3::answer::{
    Answer, OBJECT_HEADERS_USUAL, empty, set, set_checksum, set_etag, set_new_version,
};
use crate::s3::body::receive;
use crate::s3::object::headers::new_object;
use crate::s3::request::S3Request;
use crate::s3::{S3Service, errors};

/// The checksum of objects whose writer names none. Source: S3 User Guide, "Checking object
/// integrity": S3 computes CRC64NVME itself.
pub const ALGORITHM_DEFAULT: ChecksumAlgorithm = ChecksumAlgorithm::Crc64Nvme;

pub async fn put(service: &S3Service, request: &mut S3Request, bucket: &Bucket) -> Answer {
    let new = new_object(service, request, bucket).await?;
    let conditions = Conditions::from_headers(&request.headers);
    let content = receive(service, request, ALGORITHM_DEFAULT).await?;
    let written = service
        .store
        .put_object(bucket, request.key.as_bytes(), new, content, &conditions)
        .await;
    let record = written.map_err(errors::put_object)?;

    let mut response = empty(StatusCode::OK);
    response.headers_mut().reserve(OBJECT_HEADERS_USUAL);
    set_etag(&mut response, record.etag)?;
    if let Some(checksum) = &record.checksum {
        set_checksum(&mut response, checksum, record.etag.parts)?;
    }
    set_new_version(&mut response, record.version_id())?;
    set(&mut response, X_AMZ_OBJECT_SIZE, record.size.to_string())?;
    Ok(response)
}
