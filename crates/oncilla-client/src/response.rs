//! Answers: headers into [`ObjectInfo`], and bodies that notice when they are cut short.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use oncilla_hash::ChecksumAlgorithm;
use oncilla_wire::header as s3_header;
use oncilla_wire::time::parse_http_date;

use crate::error::Error;
use crate::http_client::IDLE_TIMEOUT;
use crate::types::ObjectInfo;

/// The bytes of an answer as they arrive.
#[derive(Debug)]
pub struct ObjectBody {
    incoming: Incoming,
    request: String,
    /// What `Content-Length` promised, less what has arrived.
    left: Option<u64>,
}

impl ObjectBody {
    pub(crate) fn new(incoming: Incoming, request: String, content_length: Option<u64>) -> Self {
        Self {
            incoming,
            request,
            left: content_length,
        }
    }

    /// The next piece, or `None` after the last one. An end before the promised length is an error.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let frame = tokio::time::timeout(IDLE_TIMEOUT, self.incoming.frame())
                .await
                .map_err(|_| Error::Timeout {
                    request: self.request.clone(),
                    seconds: IDLE_TIMEOUT.as_secs(),
                })?;
            let Some(frame) = frame else {
                return match self.left {
                    None | Some(0) => Ok(None),
                    Some(missing) => Err(Error::Network {
                        request: self.request.clone(),
                        reason: format!("the answer ended {missing} bytes too early"),
                    }),
                };
            };
            let frame = frame.map_err(|error| Error::Network {
                request: self.request.clone(),
                reason: error_chain(&error),
            })?;
            if let Ok(data) = frame.into_data() {
                self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
                return Ok(Some(data));
            }
        }
    }

    /// All of it, refusing more than `max_bytes`.
    pub async fn collect(mut self, max_bytes: usize) -> Result<Bytes, Error> {
        let mut collected = BytesMut::new();
        while let Some(piece) = self.chunk().await? {
            if collected.len() + piece.len() > max_bytes {
                return Err(Error::InvalidResponse {
                    request: self.request,
                    reason: format!("the answer is longer than {max_bytes} bytes"),
                });
            }
            collected.extend_from_slice(&piece);
        }
        Ok(collected.freeze())
    }
}

/// An error with its causes, which is where hyper keeps what the user needs to know.
pub(crate) fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// A header as text, if it is there and is text.
pub(crate) fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// A value that its writer chose freely. S3 stores what was sent, which is UTF-8 as a rule; HTTP knows no
/// encoding but ASCII.
fn stored_text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

fn is_utf8(value: &HeaderValue) -> bool {
    std::str::from_utf8(value.as_bytes()).is_ok()
}

/// An entity tag without its quotes.
pub(crate) fn etag(headers: &HeaderMap) -> Option<String> {
    text(headers, header::ETAG).map(|etag| unquoted(&etag).to_owned())
}

/// Takes the quotes off an entity tag.
pub(crate) fn unquoted(etag: &str) -> &str {
    etag.strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(etag)
}

impl ObjectInfo {
    pub(crate) fn from_headers(headers: &HeaderMap) -> Self {
        let number = |name: HeaderName| text(headers, name)?.parse::<u64>().ok();
        let content_length = number(header::CONTENT_LENGTH).unwrap_or_default();
        let whole = text(headers, header::CONTENT_RANGE).and_then(|range| {
            range
                .rsplit_once('/')
                .and_then(|(_, size)| size.parse().ok())
        });
        let checksums = ChecksumAlgorithm::ALL
            .into_iter()
            .filter_map(|algorithm| {
                let value = headers.get(algorithm.header_name())?.to_str().ok()?;
                Some((algorithm, value.to_owned()))
            })
            .collect();
        let metadata = headers
            .iter()
            .filter_map(|(name, value)| {
                let name = name
                    .as_str()
                    .strip_prefix(s3_header::USER_METADATA_PREFIX)?;
                Some((name.to_owned(), stored_text(value)))
            })
            .collect();
        Self {
            content_length,
            object_size: whole.unwrap_or(content_length),
            etag: etag(headers),
            last_modified_ms: headers
                .get(header::LAST_MODIFIED)
                .and_then(|value| parse_http_date(value.as_bytes())),
            content_type: headers.get(header::CONTENT_TYPE).map(stored_text),
            checksums,
            checksum_type: text(headers, s3_header::X_AMZ_CHECKSUM_TYPE),
            parts_count: number(s3_header::X_AMZ_MP_PARTS_COUNT)
                .and_then(|count| u32::try_from(count).ok()),
            metadata,
            headers: headers
                .iter()
                .map(|(name, value)| (name.to_string(), stored_text(value)))
                .collect(),
            not_utf8: headers
                .iter()
                .filter(|(_, value)| !is_utf8(value))
                .map(|(name, _)| name.to_string())
                .collect(),
        }
    }
}
