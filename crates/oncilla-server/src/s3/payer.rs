//! Requester Pays: whoever is not the owner of the bucket has to say that they know who pays.
//! Source: S3 User Guide, "Using Requester Pays buckets for storage transfers and usage".

use http::HeaderValue;
use oncilla_store::Bucket;
use oncilla_store::rows::document::DocumentKind;
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::header::{X_AMZ_REQUEST_CHARGED, X_AMZ_REQUEST_PAYER};
use oncilla_wire::xml::request_payment::Payer;

use crate::s3::answer::Answer;
use crate::s3::request::S3Request;

/// The value of both headers.
const REQUESTER: &str = "requester";

/// Who pays for requests to a bucket.
pub fn payer_of(bucket: &Bucket) -> Result<Payer, S3Error> {
    let Some(document) = bucket.documents.get(DocumentKind::RequestPayment) else {
        return Ok(Payer::default());
    };
    let payer = document.parsed(Payer::parse);
    payer.map(|payer| *payer).map_err(|error| {
        tracing::error!(bucket = bucket.name, %error, "stored request payment is damaged");
        S3ErrorCode::InternalError.into()
    })
}

/// Whether the sender pays for the request.
///
/// # Errors
/// `AccessDenied` if the sender would have to pay and did not say that they know; anonymous ones
/// cannot.
pub fn check_payer(request: &S3Request, bucket: &Bucket) -> Result<bool, S3Error> {
    let account = request.principal.account();
    if payer_of(bucket)? == Payer::BucketOwner || account == Some(&bucket.record.owner) {
        return Ok(false);
    }
    let header = request.header(&X_AMZ_REQUEST_PAYER);
    let said = header.or_else(|| request.query.get(X_AMZ_REQUEST_PAYER.as_str()));
    if account.is_some() && said.is_some_and(|said| said.eq_ignore_ascii_case(REQUESTER)) {
        return Ok(true);
    }
    Err(S3ErrorCode::AccessDenied.into())
}

/// Tells a sender who pays so.
pub fn tell_charged(answer: Answer, charged: bool) -> Answer {
    let mut response = answer?;
    if charged {
        let value = HeaderValue::from_static(REQUESTER);
        response.headers_mut().insert(X_AMZ_REQUEST_CHARGED, value);
    }
    Ok(response)
}
