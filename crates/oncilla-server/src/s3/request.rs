//! A request as handlers get it: resolved, authenticated, authorized.

use bytes::Bytes;
use http::HeaderMap;
use http::header::HOST;
use oncilla_iam::Principal;
use oncilla_store::{Bucket, Encryption, ObjectRecord, VersionId};
use oncilla_wire::digits::parse_digits;
use oncilla_wire::error::S3Error;
use oncilla_wire::header::{X_AMZ_TAGGING, X_AMZ_WRITE_OFFSET_BYTES, X_TIGRIS_RENAME};
use oncilla_wire::operation::Operation;
use oncilla_wire::query::Query;
use oncilla_wire::tagging::TagSet;

use crate::s3::acl::acl_headers;
use crate::s3::authenticate::Authentication;
use crate::s3::body::PayloadForm;
use crate::s3::judged::JudgedObjects;
use crate::{RequestBody, RequestContext};

/// A request to an operation.
pub struct S3Request {
    /// What it asks for.
    pub operation: Operation,
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
    /// The body, if it had to be read before the request could be judged.
    pub document: Option<Bytes>,
    /// How the body is framed and what was signed of it.
    pub payload: PayloadForm,
    /// Who asks.
    pub principal: Principal,
    /// How that is known; `None` of an anonymous request.
    pub authentication: Option<Authentication>,
    /// What it takes over from elsewhere.
    pub inherited: Inherited,
    /// The objects by which it was judged.
    pub judged: JudgedObjects,
    /// What the machinery knows of it.
    pub context: RequestContext,
}

/// What a request takes over from what is there already, whatever its own headers say. It is looked
/// up before the request is judged, and only if a policy asks for it.
#[derive(Debug, Default)]
pub struct Inherited {
    /// The tags of what is copied or renamed.
    pub tags: Option<TagSet>,
    /// How the upload is encrypted that it goes on with.
    pub encryption: Option<Box<Encryption>>,
    /// The name by which that upload asked for its KMS key; empty if by none.
    pub kms_key_name: String,
}

impl S3Request {
    /// Refuses to give the sender another object under the request's key than the one that was judged.
    ///
    /// # Errors
    /// As [`JudgedObjects::check`].
    pub fn check_judged(&self, bucket: &Bucket, record: &ObjectRecord) -> Result<(), S3Error> {
        let version = self.version_id()?;
        self.judged.check(bucket, &self.key, version, record)
    }

    /// A header as text; `None` if it is absent or not text.
    pub fn header(&self, name: &http::HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The number that a header holds; `InvalidArgument` if it is none.
    pub fn number_header(&self, name: &http::HeaderName) -> Result<Option<u64>, S3Error> {
        let Some(value) = self.headers.get(name) else {
            return Ok(None);
        };
        let text = String::from_utf8_lossy(value.as_bytes());
        let number = parse_digits(text.trim()).ok_or_else(|| {
            S3Error::invalid_argument(name.as_str(), &text, "The value is not a number.")
        });
        number.map(Some)
    }

    /// The host it was sent to, as the client wrote it; empty if it did not.
    pub fn host(&self) -> &str {
        self.header(&HOST).unwrap_or_default()
    }

    /// Canonical id of the account that asks; empty for an anonymous request.
    pub fn account_id(&self) -> &str {
        self.principal.account().unwrap_or_default()
    }

    /// A numeric query parameter that is at most `max`; larger ones count as `max`, as S3 does.
    pub fn limit(&self, name: &str, max: u64) -> Result<u64, S3Error> {
        Ok(self.query.get_number(name)?.unwrap_or(max).min(max))
    }

    /// The version that the request is about; `None` for the newest.
    ///
    /// # Errors
    /// As [`version_id`].
    pub fn version_id(&self) -> Result<Option<VersionId>, S3Error> {
        self.query.get("versionId").map(version_id).transpose()
    }

    /// `X-Tigris-Rename: true`: Tigris's form of RenameObject.
    ///
    /// # Errors
    /// `InvalidArgument` for a value that is neither true nor false.
    pub fn is_tigris_rename(&self) -> Result<bool, S3Error> {
        let Some(value) = self.headers.get(X_TIGRIS_RENAME) else {
            return Ok(false);
        };
        let value = String::from_utf8_lossy(value.as_bytes());
        match value.trim() {
            text if text.eq_ignore_ascii_case("true") => Ok(true),
            text if text.eq_ignore_ascii_case("false") => Ok(false),
            _ => {
                let message = "The value must be true or false.";
                let name = X_TIGRIS_RENAME;
                Err(S3Error::invalid_argument(name.as_str(), &value, message))
            }
        }
    }

    /// Whether it renames an object, in either form.
    pub fn renames(&self) -> bool {
        match self.operation {
            Operation::RenameObject => true,
            Operation::CopyObject => self.is_tigris_rename().unwrap_or(false),
            _ => false,
        }
    }

    /// Whether it appends to an object that has to be there. Its answer depends on what is there, as
    /// that to `If-Match` does. At offset 0 it may make a new one; if there is one, that is judged where
    /// it is found.
    pub fn extends_object(&self) -> bool {
        let appends = matches!(self.operation, Operation::PutObject | Operation::PostObject);
        let offset = self.headers.get(X_AMZ_WRITE_OFFSET_BYTES);
        appends && offset.is_some_and(|offset| offset.as_bytes().trim_ascii() != b"0")
    }
}

/// Refuses tags and an ACL of a request that goes on with an object which is there, and keeps its own:
/// they would be judged and not be set.
///
/// # Errors
/// `InvalidArgument`.
pub fn refuse_tags_and_acl(request: &S3Request) -> Result<(), S3Error> {
    for name in std::iter::once(X_AMZ_TAGGING).chain(acl_headers()) {
        let value = request.headers.get(&name);
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            return Err(S3Error::invalid_argument(
                name.as_str(),
                &String::from_utf8_lossy(value.as_bytes()),
                "Tags and an ACL cannot be set while data is appended to an object.",
            ));
        }
    }
    Ok(())
}

/// Reads a version id.
///
/// # Errors
/// `InvalidArgument` for a text that no version here can have.
pub fn version_id(text: &str) -> Result<VersionId, S3Error> {
    VersionId::parse(text).ok_or_else(|| {
        let message = match text {
            "" => "Version id cannot be the empty string",
            _ => "Invalid version id specified",
        };
        S3Error::invalid_argument("versionId", text, message)
    })
}
