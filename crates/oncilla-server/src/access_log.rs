//! One line per request, through `tracing` with the target `access`.
//!
//! Secrets stay out: signatures, session tokens and clients' encryption keys in a query are replaced,
//! headers other than `User-Agent` are not written at all.

use std::borrow::Cow;
use std::time::Duration;

use jiff::Timestamp;
use oncilla_wire::sigv4::is_customer_key;

use crate::request_context::Facts;
use crate::{Peer, RequestId};

/// The target of the access log's events, for filters such as `info,access=off`.
pub const ACCESS_LOG_TARGET: &str = "access";

/// How much of a path or user agent is written. S3's longest key is 1,024 bytes, 3,072 when every
/// byte of it is percent-encoded; longer paths exist only in requests that were refused.
const LOGGED_TEXT_BYTES_MAX: usize = 4096;

/// Query parameters whose value is a secret, or good for a replay while it is valid; beside those that
/// carry a client's encryption key.
const SECRET_QUERY_PARAMETERS: [&str; 3] = ["x-amz-signature", "x-amz-security-token", "signature"];

/// A request that is over.
#[derive(Debug)]
pub struct AccessLogLine<'a> {
    /// When the head had been read, by the calendar.
    pub time: Timestamp,
    /// The id given to the client.
    pub request_id: RequestId,
    /// Who asked.
    pub peer: Peer,
    /// Over TLS.
    pub tls: bool,
    /// The method.
    pub method: &'a str,
    /// Path and query, redacted.
    pub target: &'a str,
    /// The client's own description of itself.
    pub user_agent: Option<&'a str>,
    /// What the handler noted.
    pub facts: &'a Facts,
    /// The status answered; `None` if the client went away before there was one.
    pub status: Option<u16>,
    /// Whether the whole answer was handed to the connection.
    pub complete: bool,
    /// Bytes of the request's body.
    pub received_bytes: u64,
    /// Bytes of the answer's body.
    pub sent_bytes: u64,
    /// From the head of the request to the head of the answer.
    pub first_byte: Option<Duration>,
    /// From the head of the request to the end of the answer.
    pub total: Duration,
}

/// Whether anybody reads the log: the line's text need not be gathered otherwise.
pub fn is_enabled() -> bool {
    tracing::enabled!(target: ACCESS_LOG_TARGET, tracing::Level::INFO)
}

/// Writes the line.
pub fn write(line: &AccessLogLine<'_>) {
    tracing::info!(
        target: ACCESS_LOG_TARGET,
        time = %line.time,
        request_id = %line.request_id,
        peer = %line.peer,
        tls = line.tls,
        access_key_id = line.facts.access_key_id.as_deref(),
        method = line.method,
        path = line.target,
        operation = line.facts.operation,
        bucket = line.facts.bucket.as_deref(),
        key = line.facts.key.as_deref(),
        status = line.status,
        error_code = line.facts.error_code,
        complete = line.complete,
        bytes_in = line.received_bytes,
        bytes_out = line.sent_bytes,
        total_ms = milliseconds(line.total),
        ttfb_ms = line.first_byte.map(milliseconds),
        user_agent = line.user_agent,
    );
}

/// Path and query as they are written to the log.
pub fn redacted_target(uri: &http::Uri) -> Cow<'_, str> {
    let Some(query) = uri.query() else {
        return Cow::Borrowed(shortened(uri.path()));
    };
    let whole = uri.path_and_query().map_or("", |target| target.as_str());
    let has_secret = query
        .split('&')
        .any(|parameter| is_secret(name_of(parameter)));
    if !has_secret && whole.starts_with('/') && whole.len() <= LOGGED_TEXT_BYTES_MAX {
        return Cow::Borrowed(whole);
    }
    let mut target = shortened(uri.path()).to_owned();
    for (index, parameter) in shortened(query).split('&').enumerate() {
        target.push(if index == 0 { '?' } else { '&' });
        let name = name_of(parameter);
        if is_secret(name) && parameter.len() > name.len() {
            target.push_str(name);
            target.push_str("=REDACTED");
        } else {
            target.push_str(parameter);
        }
    }
    Cow::Owned(target)
}

/// A header's text as it is written to the log.
pub fn header_text(value: &http::HeaderValue) -> Cow<'_, str> {
    match String::from_utf8_lossy(value.as_bytes()) {
        Cow::Borrowed(text) => Cow::Borrowed(shortened(text)),
        Cow::Owned(text) => Cow::Owned(shortened(&text).to_owned()),
    }
}

fn name_of(parameter: &str) -> &str {
    parameter.split('=').next().unwrap_or_default()
}

fn is_secret(parameter_name: &str) -> bool {
    // `X%2DAmz-Signature` means the same, so the decoded name is what counts.
    let name = percent_encoding::percent_decode_str(parameter_name).decode_utf8_lossy();
    is_customer_key(&name)
        || SECRET_QUERY_PARAMETERS
            .iter()
            .any(|secret| name.eq_ignore_ascii_case(secret))
}

fn shortened(text: &str) -> &str {
    let mut end = text.len().min(LOGGED_TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_never_reach_the_log() {
        for (uri, logged) in [
            ("/b/k", "/b/k"),
            ("/b/k?", "/b/k?"),
            ("/b/k?list-type=2&prefix=a", "/b/k?list-type=2&prefix=a"),
            ("http://localhost?acl", "/?acl"),
            (
                "/b/k?X-Amz-Credential=tid_a&X-Amz-Signature=5ec4e7&partNumber=1",
                "/b/k?X-Amz-Credential=tid_a&X-Amz-Signature=REDACTED&partNumber=1",
            ),
            (
                "/b/k?x%2Damz-signature=5ec4e7",
                "/b/k?x%2Damz-signature=REDACTED",
            ),
            (
                "/b/k?X-Amz-Security-Token=5ec4e7",
                "/b/k?X-Amz-Security-Token=REDACTED",
            ),
            ("/b/k?Signature=5ec4e7&acl", "/b/k?Signature=REDACTED&acl"),
            (
                "/b/k?X-Amz-Server-Side-Encryption-Customer-Key=5ec4e7&partNumber=1",
                "/b/k?X-Amz-Server-Side-Encryption-Customer-Key=REDACTED&partNumber=1",
            ),
            (
                "/b/k?x-amz-copy-source-server-side-encryption-customer%2Dkey=5ec4e7",
                "/b/k?x-amz-copy-source-server-side-encryption-customer%2Dkey=REDACTED",
            ),
        ] {
            assert_eq!(redacted_target(&uri.parse().unwrap()), logged);
        }
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let long = "é".repeat(LOGGED_TEXT_BYTES_MAX);
        assert_eq!(shortened(&long).len(), LOGGED_TEXT_BYTES_MAX);
        let odd = format!("x{long}");
        assert_eq!(shortened(&odd).len(), LOGGED_TEXT_BYTES_MAX - 1);
    }
}
