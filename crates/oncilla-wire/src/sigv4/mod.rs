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
mod hoist;
mod key;
mod parse;
mod payload;
mod post;
mod scope;
mod sign;
mod verify;

pub use chunk::{ChunkSeed, SIGNATURE_LENGTH_BYTES};
pub use date::AmzDate;
pub(crate) use hoist::hoist;
pub use hoist::hoist_headers;
pub use key::SigningKey;
pub use parse::SignedRequest;
pub(crate) use parse::{header_timestamp, parse_seconds};
pub use payload::PayloadDeclaration;
pub use post::SignedPolicy;
pub use scope::Scope;
pub use sign::{Credentials, SignError, Signer, UnsignedRequest};
pub use verify::{VerifyLimits, refuse_repeated_headers};
pub(crate) use verify::{check_skew, iso8601, spaced_hex};

use http::HeaderMap;

use crate::uri::{decode_query, raw_parameters};

/// The algorithm name in headers, queries and strings to sign.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The last component of every credential scope.
pub const SCOPE_TERMINATOR: &str = "aws4_request";

/// The service name of S3 requests.
pub const SERVICE_S3: &str = "s3";

/// The service in the scope of a signature for a directory bucket. Source: S3 User Guide, "Zonal
/// endpoint API operations authorization".
const SERVICE_S3_EXPRESS: &str = "s3express";

/// The service in the scope of a WriteGetObjectResponse. Source: service authorization reference,
/// "Actions, resources, and condition keys for Amazon S3 Object Lambda".
const SERVICE_S3_OBJECT_LAMBDA: &str = "s3-object-lambda";

/// What the names of headers begin with that say what a request does: S3's own, and those that Tigris
/// adds. Whoever is given a signed request must be able to add none of them.
const MEANINGFUL_PREFIXES: [&str; 2] = ["x-amz-", TIGRIS_PREFIX];

/// What the names of Tigris's own headers begin with.
pub(crate) const TIGRIS_PREFIX: &str = "x-tigris-";

/// Whether a header, named in lower case, has to be signed.
fn has_to_be_signed(name: &str) -> bool {
    MEANINGFUL_PREFIXES
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// Whether a header or a parameter of this name carries an encryption key of the client's, which has
/// no business in logs nor in documents that end up there.
pub fn is_customer_key(name: &str) -> bool {
    const SUFFIX: &str = "-customer-key";
    let start = name.len().checked_sub(SUFFIX.len());
    let end = start.and_then(|start| name.get(start..));
    end.is_some_and(|end| end.eq_ignore_ascii_case(SUFFIX))
}

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

impl RequestView<'_> {
    /// Whether its headers or its query carry an encryption key of the client's.
    pub(crate) fn has_customer_key(&self) -> bool {
        let in_query =
            |(name, _): (&str, _)| decode_query(name).is_ok_and(|name| is_customer_key(&name));
        let mut names = self.headers.keys();
        names.any(|name| is_customer_key(name.as_str()))
            || raw_parameters(self.raw_query).any(in_query)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_clients_are_known_by_name() {
        for name in [
            "x-amz-server-side-encryption-customer-key",
            "X-Amz-Copy-Source-Server-Side-Encryption-Customer-Key",
        ] {
            assert!(is_customer_key(name), "{name}");
        }
        for name in [
            "x-amz-server-side-encryption-customer-key-md5",
            "customer-key",
            "\u{e9}customer-key",
            "",
        ] {
            assert!(!is_customer_key(name), "{name}");
        }
        let headers = HeaderMap::new();
        let has = |raw_query: &str| {
            let view = RequestView {
                method: "GET",
                raw_path: "/",
                raw_query,
                headers: &headers,
            };
            view.has_customer_key()
        };
        assert!(has("a=b&X-Amz-Server-Side-Encryption-Customer%2DKey=x"));
        assert!(!has("a=-customer-key"));
    }
}
