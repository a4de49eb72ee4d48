//! GetBucketEncryption, PutBucketEncryption and DeleteBucketEncryption.
//!
//! S3 says `AES256` for every bucket since 2023, because it encrypts everything. Here a bucket without
//! a configuration says so only if the server encrypts everything as well.

use http::StatusCode;
use oncilla_store::{Bucket, DocumentKind};
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::xml::encryption::{
    DefaultEncryption, EncryptionConfiguration, MAX_ENCRYPTION_BODY_BYTES,
};

use crate::s3::S3Service;
use crate::s3::answer::{Answer, empty, xml};
use crate::s3::body::read_document;
use crate::s3::bucket::set_document;
use crate::s3::request::S3Request;

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
    let text = Some(configuration.to_xml());
    set_document(service, bucket, DocumentKind::Encryption, "", text).await?;
    Ok(empty(StatusCode::OK))
}

pub async fn delete_encryption(service: &S3Service, bucket: &Bucket) -> Answer {
    set_document(service, bucket, DocumentKind::Encryption, "", None).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}
