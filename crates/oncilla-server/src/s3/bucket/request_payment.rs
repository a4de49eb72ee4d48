//! GetBucketRequestPayment and PutBucketRequestPayment. What it means for requests is in
//! `s3::payer`.

use http::StatusCode;
use oncilla_store::Bucket;
use oncilla_store::rows::document::DocumentKind;
use oncilla_wire::xml::request_payment::{MAX_REQUEST_PAYMENT_BODY_BYTES, Payer};

use crate::s3::S3Service;
use crate::s3::answer::{Answer, empty, xml};
use crate::s3::body::read_document;
use crate::s3::bucket::set_document;
use crate::s3::payer::payer_of;
use crate::s3::request::S3Request;

pub fn get_request_payment(bucket: &Bucket) -> Answer {
    Ok(xml(payer_of(bucket)?.to_xml()))
}

pub async fn put_request_payment(
    service: &S3Service,
    request: &mut S3Request,
    bucket: &Bucket,
) -> Answer {
    let document = read_document(request, MAX_REQUEST_PAYMENT_BODY_BYTES as u64).await?;
    let document = match Payer::parse(&document)? {
        // What every bucket begins with needs no document.
        Payer::BucketOwner => None,
        Payer::Requester => Some(Payer::Requester.to_xml()),
    };
    set_document(service, bucket, DocumentKind::RequestPayment, "", document).await?;
    Ok(empty(StatusCode::OK))
}
