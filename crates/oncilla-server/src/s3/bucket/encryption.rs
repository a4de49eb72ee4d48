//! GetBucketEncryption, PutBucketEncryption and DeleteBucketEncryption.
//!
//! S3 says `AES256` for every bucket since 2023, because it encrypts everything. Here a bucket without
//! a configuration says so only if the server encrypts everything as well.

use bytes::Bytes;
use http::StatusCode;
use oncilla_store::{Bucket, DocumentKind, NewDocument};
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::xml::encryption::{
    DefaultEncryption, EncryptionConfiguration, MAX_ENCRYPTION_BODY_BYTES,
};

use crate::s3::answer::{Answer, empty, xml};
use crate::s3::body::read_document;
use crate::s3::request::S3Request;
use crate::s3::{S3Service, errors};

pub fn get_encryption(service: &S3Service, bucket: &Bucket) -> Answer {
    if let Some(document) = bucket.documents.get(DocumentKind::Encryption) {
        return Ok(xml(document.text().to_vec()));
    }
    if service.store.encrypts_at_rest() {
        let always = EncryptionConfiguration {
            default: Some(DefaultEncryption::S3),
            ..EncryptionConfiguration::default()
        };
        return Ok(xml(always.to_xml()));
    }
    let code = S3ErrorCode::ServerSideEncryptionConfigurationNotFoundError;
    Err(S3Error::new(code).detail("BucketName", bucket.name.clone()))
}

pub async fn put_encryption(
    service: &S3Service,
    request: &mut S3Request,
    bucket: &Bucket,
) -> Answer {
    let document = read_document(request, MAX_ENCRYPTION_BODY_BYTES as u64).await?;
    let configuration = EncryptionConfiguration::parse(&document)?;
    let new = NewDocument {
        text: Bytes::from(configuration.to_xml()),
        ..NewDocument::default()
    };
    set_document(service, bucket, Some(new)).await?;
    Ok(empty(StatusCode::OK))
}

pub async fn delete_encryption(service: &S3Service, bucket: &Bucket) -> Answer {
    set_document(service, bucket, None).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

async fn set_document(
    service: &S3Service,
    bucket: &Bucket,
    new: Option<NewDocument>,
) -> Result<(), S3Error> {
    let kind = DocumentKind::Encryption;
    let set = service.store.put_document(bucket, kind, "", new).await;
    set.map_err(|error| errors::put_document(error).detail("BucketName", bucket.name.clone()))
}
