//! What a request declares about its body.

use std::borrow::Cow;

use http::HeaderMap;
use oncilla_hash::hex;

use crate::error::{S3Error, S3ErrorCode};

pub(super) const CONTENT_SHA256: &str = "x-amz-content-sha256";
pub(super) const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";
const STREAMING_SIGNED: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
const STREAMING_SIGNED_TRAILER: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
const STREAMING_UNSIGNED_TRAILER: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

/// What a request says about its body, in `x-amz-content-sha256`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadDeclaration {
    /// `UNSIGNED-PAYLOAD`, also the default of presigned URLs: the body is taken as it comes.
    UnsignedPayload,
    /// The SHA-256 of the body, which the receiver must verify.
    Sha256([u8; 32]),
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`: aws-chunked, every chunk signed.
    StreamingSigned,
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER`: aws-chunked, chunks and trailers signed.
    StreamingSignedTrailer,
    /// `STREAMING-UNSIGNED-PAYLOAD-TRAILER`: aws-chunked with trailers, nothing signed.
    StreamingUnsignedTrailer,
}

impl PayloadDeclaration {
    /// Reads the header `x-amz-content-sha256`, `None` if there is none. For anonymous requests,
    /// whose bodies may be framed as well; of signed ones, [`SignedRequest::payload`](super::SignedRequest::payload) says it.
    ///
    /// # Errors
    /// `InvalidArgument` for any other value, `NotImplemented` for ECDSA.
    pub fn from_headers(headers: &HeaderMap) -> Result<Option<Self>, S3Error> {
        match header_text(headers, CONTENT_SHA256)? {
            Some(text) => Self::parse(text).map(Some),
            None => Ok(None),
        }
    }

    /// The value of `x-amz-content-sha256`.
    pub fn to_text(self) -> Cow<'static, str> {
        match self {
            Self::UnsignedPayload => Cow::Borrowed(UNSIGNED_PAYLOAD),
            Self::Sha256(digest) => Cow::Owned(hex::encode(&digest)),
            Self::StreamingSigned => Cow::Borrowed(STREAMING_SIGNED),
            Self::StreamingSignedTrailer => Cow::Borrowed(STREAMING_SIGNED_TRAILER),
            Self::StreamingUnsignedTrailer => Cow::Borrowed(STREAMING_UNSIGNED_TRAILER),
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, S3Error> {
        match text {
            UNSIGNED_PAYLOAD => return Ok(Self::UnsignedPayload),
            STREAMING_SIGNED => return Ok(Self::StreamingSigned),
            STREAMING_SIGNED_TRAILER => return Ok(Self::StreamingSignedTrailer),
            STREAMING_UNSIGNED_TRAILER => return Ok(Self::StreamingUnsignedTrailer),
            _ => {}
        }
        if text.starts_with("STREAMING-AWS4-ECDSA-") {
            return Err(ecdsa_not_implemented());
        }
        hex::decode(text.as_bytes())
            .map(Self::Sha256)
            .ok_or_else(|| {
                S3Error::invalid_argument(
                    CONTENT_SHA256,
                    text,
                    "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, \
                 STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, \
                 STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, or a valid sha256 value.",
                )
            })
    }
}

/// The text of a header that may be given once only.
pub(super) fn header_text<'r>(
    headers: &'r HeaderMap,
    name: &'static str,
) -> Result<Option<&'r str>, S3Error> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let text = value.to_str().ok().filter(|_| values.next().is_none());
    text.map(|text| Some(text.trim())).ok_or_else(|| {
        S3Error::invalid_argument(
            name,
            &String::from_utf8_lossy(value.as_bytes()),
            format!("The header {name} must be given once and consist of ASCII characters."),
        )
    })
}

pub(super) fn ecdsa_not_implemented() -> S3Error {
    S3Error::with_message(
        S3ErrorCode::NotImplemented,
        "AWS4-ECDSA-P256-SHA256 signatures are not implemented. Please use AWS4-HMAC-SHA256.",
    )
}
