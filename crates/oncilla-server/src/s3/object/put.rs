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
use crate::s3::{S3Service, encryption, errors};

/// The checksum of objects whose writer names none. Source: S3 User Guide, "Checking object
/// integrity": S3 computes CRC64NVME itself.
pub const ALGORITHM_DEFAULT: ChecksumAlgorithm = ChecksumAlgorithm::Crc64Nvme;

pub async fn put(service: &S3Service, request: &mut S3Request, bucket: &Bucket) -> Answer {
    let mut new = new_object(request)?;
    // An anonymous writer (a public-read-write bucket) writes for the bucket's owner.
    if new.owner.is_empty() {
        new.owner.clone_from(&bucket.record.owner);
    }
    let conditions = Conditions::from_headers(&request.headers);
    let asked = encryption::asked(service, &request.headers, &request.context, bucket)?;
    let encrypted = encryption::new_encryption(service, &asked).await?;
    let content = receive(service, request, ALGORITHM_DEFAULT, encrypted.as_ref()).await?;
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
    let stored = record.encryption.as_deref();
    encryption::set_headers_of_new(&mut response, stored, asked.sent_key.as_ref())?;
    set(&mut response, X_AMZ_OBJECT_SIZE, record.size.to_string())?;
    Ok(response)
}
