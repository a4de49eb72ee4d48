//! UpdateObjectEncryption: puts the data key of an object under a KMS key. No byte of it moves.

use http::StatusCode;
use oncilla_store::object::UpdateEncryptionError;
use oncilla_store::{Bucket, EncryptionChoice, ObjectRecord};
use oncilla_wire::xml::encryption::{MAX_ENCRYPTION_BODY_BYTES, ObjectEncryption};

use crate::s3::answer::{Answer, empty, set_version};
use crate::s3::body::read_document;
use crate::s3::request::S3Request;
use crate::s3::{S3Service, encryption, errors};

pub async fn update_encryption(
    service: &S3Service,
    request: &mut S3Request,
    bucket: &Bucket,
) -> Answer {
    let version = request.version_id()?;
    let document = read_document(request, MAX_ENCRYPTION_BODY_BYTES as u64).await?;
    let asked = ObjectEncryption::parse(&document)?;
    let choice = EncryptionChoice::Kms {
        key: Some(asked.kms_key),
        context: String::new(),
        bucket_key: asked.bucket_key_enabled,
    };
    let key = request.key.as_str();
    let is_judged = |record: &ObjectRecord| request.judged.holds_for(bucket, key, version, record);
    let updated = service
        .store
        .update_encryption(bucket, key.as_bytes(), version, &choice, is_judged)
        .await;
    let record = match updated {
        Ok(record) => record,
        Err(UpdateEncryptionError::Object(error)) => {
            return Err(service.not_found(request, bucket, key, error).await);
        }
        Err(error) => return Err(errors::update_encryption(key, error)),
    };
    let mut response = empty(StatusCode::OK);
    encryption::set_headers(&mut response, record.encryption.as_deref(), None)?;
    set_version(&mut response, bucket, record.version_id())?;
    Ok(response)
}
