//! GetBucketCors, PutBucketCors and DeleteBucketCors. What the rules do is in `s3::cors`.

use http::StatusCode;
use oncilla_store::Bucket;
use oncilla_store::rows::document::DocumentKind;
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::xml::cors::{CorsConfiguration, MAX_CORS_BODY_BYTES};

use crate::s3::S3Service;
use crate::s3::answer::{Answer, empty, xml};
use crate::s3::body::read_document;
use crate::s3::bucket::set_document;
use crate::s3::request::S3Request;

pub fn get_cors(bucket: &Bucket) -> Answer {
    let document = bucket.documents.get(DocumentKind::Cors).ok_or_else(|| {
        let error = S3Error::new(S3ErrorCode::NoSuchCORSConfiguration);
        error.detail("BucketName", bucket.name.clone())
    })?;
    Ok(xml(document.text().to_vec()))
}

pub async fn put_cors(service: &S3Service, request: &mut S3Request, bucket: &Bucket) -> Answer {
    let document = read_document(request, MAX_CORS_BODY_BYTES as u64).await?;
    let rules = CorsConfiguration::parse(&document)?.to_xml();
    set_document(service, bucket, DocumentKind::Cors, "", Some(rules)).await?;
    Ok(empty(StatusCode::OK))
}

pub async fn delete_cors(service: &S3Service, bucket: &Bucket) -> Answer {
    set_document(service, bucket, DocumentKind::Cors, "", None).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}
