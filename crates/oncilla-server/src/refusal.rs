//! Answers that the machinery itself gives, before or instead of a handler, in the shape of S3.

use http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response};
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::xml::writer::legal_text;

use crate::limits::RETRY_AFTER_SECONDS;
use crate::{RequestId, ResponseBody};

/// The name in the `Server` header.
pub const SERVER_NAME: &str = "Oncilla";

/// What to say to a request that HTTP does not allow.
pub fn malformed() -> S3Error {
    S3Error::with_message(
        S3ErrorCode::BadRequest,
        "An error occurred when parsing the HTTP request.",
    )
}

/// An S3 error answer. `SlowDown` and `ServiceUnavailable` carry `Retry-After`.
pub fn response(error: &S3Error, request_id: RequestId) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::from(error_document(error, request_id)));
    *response.status_mut() = error.code.status();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    if matches!(
        error.code,
        S3ErrorCode::SlowDown | S3ErrorCode::ServiceUnavailable
    ) {
        headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
    }
    response
}

/// The same answer as bytes, for connections that hyper does not serve; it closes the connection.
pub fn raw_response(error: &S3Error, request_id: RequestId) -> Vec<u8> {
    let answer = response(error, request_id);
    let document = error_document(error, request_id);
    let status = answer.status();
    let reason = status.canonical_reason().unwrap_or("Error");
    let now = jiff::fmt::rfc2822::DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&jiff::Timestamp::now())
        .unwrap_or_default();
    let mut raw = format!("HTTP/1.1 {} {reason}\r\n", status.as_str());
    for (name, value) in [
        (CONTENT_TYPE.as_str(), "application/xml"),
        ("content-length", document.len().to_string().as_str()),
        (CONNECTION.as_str(), "close"),
        ("date", now.as_str()),
        ("server", SERVER_NAME),
        ("x-amz-request-id", request_id.to_string().as_str()),
        ("x-amz-id-2", request_id.host_id().as_str()),
    ] {
        raw.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(retry_after) = answer
        .headers()
        .get(RETRY_AFTER)
        .and_then(|v| v.to_str().ok())
    {
        raw.push_str(&format!("{RETRY_AFTER}: {retry_after}\r\n"));
    }
    raw.push_str("\r\n");
    raw.push_str(&document);
    raw.into_bytes()
}

/// The `<Error>` document. Handlers have the protocol crate's writer with resource and details;
/// what is refused here has neither, and all its text is the program's own.
fn error_document(error: &S3Error, request_id: RequestId) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{}</Code><Message>{}</Message>\
         <RequestId>{request_id}</RequestId><HostId>{}</HostId></Error>",
        error.code.as_str(),
        legal_text(&error.message)
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;"),
        request_id.host_id(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_legal_xml() {
        let error = S3Error::with_message(S3ErrorCode::AccessDenied, "a\u{1}b\u{fffe}<");
        let document = error_document(&error, RequestId::next());
        let message = "<Message>a\u{fffd}b\u{fffd}&lt;</Message>";
        assert!(document.contains(message), "{document}");
    }

    #[test]
    fn a_raw_answer_announces_its_length() {
        let raw = raw_response(&S3Error::new(S3ErrorCode::SlowDown), RequestId::next());
        let text = String::from_utf8(raw).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())));
        assert!(head.contains("\r\nretry-after: 1"), "{head}");
        assert!(body.contains("<Code>SlowDown</Code>"));
    }
}
