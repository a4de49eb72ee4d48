//! A request as handlers get it: resolved, authenticated, authorized.

use http::HeaderMap;
use oncilla_iam::Principal;
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::operation::Operation;
use oncilla_wire::query::Query;

use crate::s3::body::PayloadForm;
use crate::{RequestBody, RequestContext};

/// A request to an operation.
pub struct S3Request {
    /// What it asks for.
    pub operation: Operation,
    /// The host it was sent to, as the client wrote it.
    pub host: String,
    /// The bucket's name; empty for operations on the service.
    pub bucket: String,
    /// The object's key; empty for operations on a bucket.
    pub key: String,
    /// The query, decoded.
    pub query: Query,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, not read yet.
    pub body: RequestBody,
    /// How the body is framed and what was signed of it.
    pub payload: PayloadForm,
    /// Who asks.
    pub principal: Principal,
    /// What the machinery knows of it.
    pub context: RequestContext,
}

impl S3Request {
    /// A header as text; `None` if it is absent or not text.
    pub fn header(&self, name: &http::HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Canonical id of the account that asks; empty for an anonymous request.
    pub fn account_id(&self) -> &str {
        self.principal.account().unwrap_or_default()
    }

    /// A numeric query parameter that is at most `max`; larger ones count as `max`, as S3 does.
    pub fn limit(&self, name: &str, max: u64) -> Result<u64, S3Error> {
        Ok(self.query.get_number(name)?.unwrap_or(max).min(max))
    }

    /// Refuses a version id other than `null`: the only version of an object in a bucket that
    /// never was versioned.
    pub fn refuse_other_versions(&self) -> Result<(), S3Error> {
        match self.query.get("versionId") {
            None | Some("null") => Ok(()),
            Some(other) => Err(no_such_version(other)),
        }
    }
}

/// The error for a version id that no object here can have.
pub fn no_such_version(version_id: &str) -> S3Error {
    let plausible =
        !version_id.is_empty() && version_id.bytes().all(|byte| byte.is_ascii_graphic());
    match plausible {
        true => S3Error::new(S3ErrorCode::NoSuchVersion).detail("VersionId", version_id),
        false => S3Error::invalid_argument("versionId", version_id, "Invalid version id specified"),
    }
}
