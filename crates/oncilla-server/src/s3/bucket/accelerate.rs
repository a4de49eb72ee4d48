//! GetBucketAccelerateConfiguration and PutBucketAccelerateConfiguration. The status is kept and
//! told; there are no edge locations, so every transfer takes the same way.

use http::StatusCode;
use oncilla_store::Bucket;
use oncilla_store::rows::document::DocumentKind;
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::xml::accelerate::{AccelerateStatus, MAX_ACCELERATE_BODY_BYTES};

use crate::s3::S3Service;
use crate::s3::answer::{Answer, empty, xml};
use crate::s3::body::read_document;
use crate::s3::bucket::set_document;
use crate::s3::request::S3Request;

pub fn get_accelerate(bucket: &Bucket) -> Answer {
    Ok(xml(match bucket.documents.get(DocumentKind::Accelerate) {
        Some(document) => document.text().to_vec(),
        None => AccelerateStatus::NeverSet.to_xml(),
    }))
}

/// Source of the refusal: S3 User Guide, "Requirements for using Amazon S3 Transfer Acceleration".
pub async fn put_accelerate(
    service: &S3Service,
    request: &mut S3Request,
    bucket: &Bucket,
) -> Answer {
    let document = read_document(request, MAX_ACCELERATE_BODY_BYTES as u64).await?;
    let status = AccelerateStatus::parse(&document)?.to_xml();
    if bucket.name.contains('.') {
        let message = "S3 Transfer Acceleration is not supported for buckets with periods (.) in \
                       their names";
        return Err(S3Error::with_message(S3ErrorCode::InvalidRequest, message));
    }
    set_document(service, bucket, DocumentKind::Accelerate, "", Some(status)).await?;
    Ok(empty(StatusCode::OK))
}
