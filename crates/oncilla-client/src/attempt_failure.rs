//! Why one attempt at a request failed, and whether another is worth it.

use std::time::Duration;

use http::{Response, StatusCode, header};
use hyper::body::Incoming;
use oncilla_wire::header as s3_header;
use oncilla_wire::xml::error::ErrorDocument;

use crate::error::{Error, ServiceError};
use crate::response::{ObjectBody, error_chain, text};
use crate::retry::is_transient;

/// Largest `<Error>` document read; real ones have less than a kibibyte, those that echo a
/// canonical request a few.
const MAX_ERROR_BYTES: usize = 256 * 1024;

/// How one attempt ended badly.
pub(crate) struct Failure {
    pub(crate) error: Error,
    /// The request surely had no effect.
    pub(crate) had_no_effect: bool,
    pub(crate) transient: bool,
    pub(crate) retry_after: Option<Duration>,
}

/// A request that got no answer.
pub(crate) fn connection_failure(
    error: &hyper_util::client::legacy::Error,
    request: &str,
) -> Failure {
    let reason = error_chain(error);
    // A body that could not be read is our side's fault, and trying again reads it again.
    let source_failed = std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<hyper::Error>())
        .is_some_and(hyper::Error::is_user);
    // A certificate that is not trusted now will not be in a second either.
    let untrusted = reason.contains("invalid peer certificate");
    Failure {
        error: if source_failed {
            Error::Source(reason)
        } else {
            Error::Network {
                request: request.to_owned(),
                reason,
            }
        },
        had_no_effect: error.is_connect(),
        transient: !source_failed && !untrusted,
        retry_after: None,
    }
}

/// A request that got an answer which is not success.
pub(crate) async fn refusal(response: Response<Incoming>, is_head: bool, request: &str) -> Failure {
    let status = response.status();
    let request_id = text(response.headers(), s3_header::X_AMZ_REQUEST_ID);
    let retry_after = text(response.headers(), header::RETRY_AFTER)
        .and_then(|seconds| seconds.parse().ok())
        .map(Duration::from_secs);
    let bytes = if is_head {
        bytes::Bytes::new()
    } else {
        let body = ObjectBody::new(response.into_body(), request.to_owned(), None);
        // A refusal whose text does not arrive is still a refusal.
        body.collect(MAX_ERROR_BYTES).await.unwrap_or_default()
    };
    let document = ErrorDocument::parse(&bytes).ok();
    let document = match document.filter(|document| !document.code.is_empty()) {
        Some(document) => document,
        None => ErrorDocument {
            code: code_of_status(status).to_owned(),
            message: short_text(&bytes).unwrap_or_else(|| reason_of_status(status)),
            ..ErrorDocument::default()
        },
    };
    let transient = is_transient(status, &document.code);
    let request = request.to_owned();
    let service = ServiceError::new(status, document, request_id, request);
    Failure {
        // These two say that the request was turned away at the door.
        had_no_effect: matches!(status.as_u16(), 429 | 503),
        transient,
        retry_after,
        error: Error::from_service(service),
    }
}

/// What a proxy or an API other than S3 said, if it is short and text: not a page of HTML.
fn short_text(bytes: &[u8]) -> Option<String> {
    const SHORT_BYTES: usize = 1024;
    let text = std::str::from_utf8(bytes).ok()?.trim();
    let is_fit = !text.is_empty() && text.len() <= SHORT_BYTES && !text.starts_with('<');
    is_fit.then(|| text.to_owned())
}

fn reason_of_status(status: StatusCode) -> String {
    status
        .canonical_reason()
        .unwrap_or("the endpoint gave no reason")
        .to_owned()
}

/// The code that S3 would have put into the document which a HEAD answer does not have.
fn code_of_status(status: StatusCode) -> &'static str {
    match status.as_u16() {
        301 | 307 => "PermanentRedirect",
        304 => "NotModified",
        400 => "BadRequest",
        401 | 403 => "AccessDenied",
        404 => "NotFound",
        405 => "MethodNotAllowed",
        412 => "PreconditionFailed",
        416 => "InvalidRange",
        429 | 503 => "SlowDown",
        501 => "NotImplemented",
        507 => "InsufficientStorage",
        500..=599 => "InternalError",
        _ => "UnexpectedStatus",
    }
}
