//! PutObject.

use http::StatusCode;
use oncilla_hash::ChecksumAlgorithm;
use oncilla_store::{Bucket, ObjectRecord};
use oncilla_wire::conditions::Conditions;
use oncilla_wire::header::X_AMZ_WRITE_OFFSET_BYTES;

use crate::s3::answer::{
    Answer, OBJECT_HEADERS_USUAL, empty, set_checksum, set_etag, set_new_version,
};
use crate::s3::body::{NewContent, receive};
use crate::s3::encryption::SentKey;
use crate::s3::lifecycle::set_expiration;
use crate::s3::object::append::append;
use crate::s3::object::headers::new_object;
use crate::s3::object_lock::new_lock_of_body;
use crate::s3::request::S3Request;
use crate::s3::{S3Service, encryption, errors};

/// The checksum of objects whose writer names none. Source: S3 User Guide, "Checking object
/// integrity": S3 computes CRC64NVME itself.
pub const ALGORITHM_DEFAULT: ChecksumAlgorithm = ChecksumAlgorithm::Crc64Nvme;

pub async fn put(service: &S3Service, request: &mut S3Request, bucket: &Bucket) -> Answer {
    if let Some(offset) = request.number_header(&X_AMZ_WRITE_OFFSET_BYTES)? {
        return append(service, request, bucket, offset).await;
    }
    let mut new = new_object(service, request, bucket).await?;
    new.lock = new_lock_of_body(service, request, bucket)?;
    let conditions = Conditions::from_headers(&request.headers);
    let asked = encryption::asked(service, &request.headers, &request.context, bucket)?;
    let encrypted = encryption::new_encryption(service, &asked).await?;
    let keeping = NewContent {
        class: &new.storage_class,
        algorithm: ALGORITHM_DEFAULT,
        encryption: encrypted.as_ref(),
    };
    let content = receive(service, request, keeping).await?;
    let written = service
        .store
        .put_object(bucket, request.key.as_bytes(), new, content, &conditions)
        .await;
    let record = written.map_err(errors::put_object)?;
    written_answer(bucket, &request.key, &record, asked.sent_key.as_ref())
}

/// The answer to who wrote an object or appended to it.
pub(super) fn written_answer(
    bucket: &Bucket,
    key: &str,
    record: &ObjectRecord,
    sent_key: Option<&SentKey>,
) -> Answer {
    let mut response = empty(StatusCode::OK);
    response.headers_mut().reserve(OBJECT_HEADERS_USUAL);
    set_etag(&mut response, record.etag)?;
    if let Some(checksum) = &record.checksum {
        set_checksum(&mut response, checksum, record.etag.parts)?;
    }
    set_new_version(&mut response, record.version_id())?;
    set_expiration(&mut response, bucket, key, record)?;
    let stored = record.encryption.as_deref();
    encryption::set_headers_of_new(&mut response, stored, sent_key)?;
    Ok(response)
}
