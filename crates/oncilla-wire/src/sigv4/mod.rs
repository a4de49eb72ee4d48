//! AWS Signature Version 4: reading, verifying and making the signatures of S3 requests.
//!
//! A request proves who sent it in its `Authorization` header or in its query (a presigned URL);
//! [`SignedRequest::parse`] reads either into one shape, the caller looks the key up by
//! [`SignedRequest::access_key_id`], and [`SignedRequest::verify`] decides. The other direction is
//! [`Signer`]. No clock is read here: the time is always a parameter.
//!
//! Source: S3 API reference, "Authenticating Requests (AWS Signature Version 4)".

mod canonical;
mod chunk;
mod date;
mod key;
mod parse;
mod payload;
mod post;
mod scope;
mod sign;
mod verify;

pub use chunk::{ChunkSeed, SIGNATURE_LENGTH_BYTES};
pub use date::AmzDate;
pub use key::SigningKey;
pub use parse::SignedRequest;
pub(crate) use parse::header_timestamp;
pub use payload::PayloadDeclaration;
pub use post::SignedPolicy;
pub use scope::Scope;
pub use sign::{Credentials, SignError, Signer, UnsignedRequest};
pub use verify::VerifyLimits;
pub(crate) use verify::{check_skew, iso8601, spaced_hex};

use http::HeaderMap;

/// The algorithm name in headers, queries and strings to sign.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The last component of every credential scope.
pub const SCOPE_TERMINATOR: &str = "aws4_request";

/// The service name of S3 requests.
pub const SERVICE_S3: &str = "s3";

/// Where a request carries its signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureLocation {
    /// In the `Authorization` header.
    Header,
    /// In the query: a presigned URL.
    Query,
}

/// A request as it stood on the wire, before anything is decoded.
#[derive(Clone, Copy, Debug)]
pub struct RequestView<'r> {
    /// The method, such as `GET`.
    pub method: &'r str,
    /// The path as the client sent it, percent-encoded, with its leading slash.
    pub raw_path: &'r str,
    /// The query as the client sent it, without the question mark; empty when there is none.
    pub raw_query: &'r str,
    /// The headers, with `host` among them.
    pub headers: &'r HeaderMap,
}
