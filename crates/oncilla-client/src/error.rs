//! What can go wrong between asking an S3 endpoint and having its answer, by what the caller can do.

use std::path::PathBuf;

use http::StatusCode;
use oncilla_wire::xml::error::ErrorDocument;

/// An `<Error>` document, or what is known of a refusal that came without one (HEAD).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceError {
    /// Status of the response.
    pub status: StatusCode,
    /// S3's code, such as `NoSuchKey`. For a response without a document it is made from the status.
    pub code: String,
    /// S3's message, or the status line's reason.
    pub message: String,
    /// What of the request it is about, such as the principal in a policy (S3's `Detail`).
    pub detail: Option<Box<str>>,
    /// `x-amz-request-id`, to look the request up in the server's log.
    pub request_id: Option<String>,
    /// Method and URL of the request, without its query.
    pub request: String,
}

impl std::fmt::Display for ServiceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}: {}", self.request, self.code, self.message)?;
        if let Some(detail) = &self.detail {
            write!(f, ": {detail}")?;
        }
        write!(f, " (status {}", self.status.as_u16())?;
        if let Some(request_id) = &self.request_id {
            write!(f, ", request id {request_id}")?;
        }
        f.write_str(")")
    }
}

impl ServiceError {
    pub(crate) fn new(
        status: StatusCode,
        document: ErrorDocument,
        request_id: Option<String>,
        request: String,
    ) -> Self {
        Self {
            status,
            detail: document.detail("Detail").map(Box::from),
            code: document.code,
            message: document.message,
            request_id,
            request,
        }
    }

    /// Whether this refuses without saying why: by S3's standing message, or, as on a HEAD, by the status
    /// alone.
    fn tells_no_reason(&self) -> bool {
        let message = self.message.trim_end_matches('.');
        message.eq_ignore_ascii_case("Access Denied")
            || self.status.canonical_reason() == Some(message)
    }
}

/// What `hyper` says of an answer that is no HTTP, such as TLS's own.
const NO_HTTP: &str = "invalid HTTP version parsed";

/// What `rustls` says of an answer that is no TLS, such as HTTP's own.
const NO_TLS: &str = "corrupt message of type InvalidContentType";

/// Every failure of the client.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bucket, key, upload or version does not exist.
    #[error("{0}")]
    NotFound(ServiceError),
    /// The credentials are unknown, wrong, expired or not allowed to do this.
    #[error("{0}")]
    Auth(ServiceError),
    /// The endpoint asks to slow down, and still did after the last attempt.
    #[error("{0}")]
    RateLimited(ServiceError),
    /// A condition (`If-Match`, `If-None-Match`, …) did not hold.
    #[error("{0}")]
    PreconditionFailed(ServiceError),
    /// Any other refusal.
    #[error("{0}")]
    Service(ServiceError),
    /// No connection, or one that broke.
    #[error("{request}: cannot talk to the endpoint: {reason}")]
    Network {
        /// Method and URL of the request.
        request: String,
        /// What the network or TLS layer says.
        reason: String,
    },
    /// Nothing was heard for the whole idle timeout.
    #[error("{request}: no progress for {seconds} s")]
    Timeout {
        /// Method and URL of the request.
        request: String,
        /// The idle timeout in seconds.
        seconds: u64,
    },
    /// The bytes that arrived are not the bytes that were sent.
    #[error("{subject}: {what}: expected {expected}, found {found}")]
    Integrity {
        /// Object or file.
        subject: String,
        /// Which check failed: `length`, `CRC64NVME`, `MD5 ETag`, …
        what: String,
        /// The value that the sender stated.
        expected: String,
        /// The value computed here.
        found: String,
    },
    /// The object changed while it was being read in several requests.
    #[error("{subject}: changed while it was being transferred")]
    Changed {
        /// The object or file.
        subject: String,
    },
    /// The endpoint answered with something that S3 does not allow here.
    #[error("{request}: unexpected answer: {reason}")]
    InvalidResponse {
        /// Method and URL of the request.
        request: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A setting (flag, environment variable, profile) is missing or makes no sense.
    #[error("{0}")]
    Config(String),
    /// There are no credentials, or they cannot be read.
    #[error("{0}")]
    Credentials(String),
    /// A profile was found, and gives no credentials.
    #[error("profile {profile:?} {why}")]
    Profile {
        /// Its name.
        profile: String,
        /// Why it gives none.
        why: String,
        /// What the user can do about it.
        advice: String,
    },
    /// The local side failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The body given to an upload failed to produce its bytes.
    #[error("cannot read the data to send: {0}")]
    Source(String),
    /// The caller asked to stop (Ctrl-C).
    #[error("interrupted")]
    Interrupted,
}

/// Exit statuses of command-line programs built on this client.
pub mod exit_code {
    /// Everything was done.
    pub const OK: u8 = 0;
    /// Anything without a status of its own.
    pub const GENERAL: u8 = 1;
    /// Bad credentials, no permission, or bad usage of the command line.
    pub const AUTH: u8 = 2;
    /// The bucket or object does not exist.
    pub const NOT_FOUND: u8 = 3;
    /// The endpoint asked to slow down and kept asking.
    pub const RATE_LIMIT: u8 = 4;
    /// The endpoint cannot be reached.
    pub const NETWORK: u8 = 5;
}

impl Error {
    /// The process exit status that stands for this failure, one of [`exit_code`].
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::NotFound(_) => exit_code::NOT_FOUND,
            Error::Auth(_) | Error::Credentials(_) | Error::Profile { .. } => exit_code::AUTH,
            Error::RateLimited(_) => exit_code::RATE_LIMIT,
            Error::Network { .. } | Error::Timeout { .. } => exit_code::NETWORK,
            Error::PreconditionFailed(_)
            | Error::Service(_)
            | Error::Integrity { .. }
            | Error::Changed { .. }
            | Error::InvalidResponse { .. }
            | Error::Config(_)
            | Error::Io { .. }
            | Error::Source(_)
            | Error::Interrupted => exit_code::GENERAL,
        }
    }

    /// The endpoint's own description, where there is one.
    pub fn service(&self) -> Option<&ServiceError> {
        match self {
            Error::NotFound(service)
            | Error::Auth(service)
            | Error::RateLimited(service)
            | Error::PreconditionFailed(service)
            | Error::Service(service) => Some(service),
            _ => None,
        }
    }

    /// Whether the endpoint answered with this S3 code.
    pub fn has_code(&self, code: &str) -> bool {
        self.service().is_some_and(|service| service.code == code)
    }

    /// Whether what was asked for does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Error::NotFound(_))
    }

    /// What the user can do about it, when that is not plain from the message.
    pub fn advice(&self) -> Option<&str> {
        match self {
            Error::Auth(service) => match service.code.as_str() {
                "InvalidAccessKeyId" => Some(
                    "check AWS_ACCESS_KEY_ID or the profile; the endpoint does not know this key",
                ),
                "SignatureDoesNotMatch" => {
                    Some("check AWS_SECRET_ACCESS_KEY; it does not fit the key id")
                }
                "RequestTimeTooSkewed" => {
                    Some("set this machine's clock; it differs from the endpoint's")
                }
                _ if service.tells_no_reason() => Some(
                    "check that this key has a role or policy that allows the operation on the bucket; where the bucket's owner has the requester pay, add --request-payer",
                ),
                _ => None,
            },
            Error::Profile { advice, .. } => Some(advice.as_str()),
            Error::Credentials(_) => Some(
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a --profile, or use --no-sign-request for public data",
            ),
            Error::Network { reason, .. } if reason.contains("certificate") => {
                Some(certificate_advice(reason))
            }
            Error::Network { reason, .. } if reason.contains(NO_HTTP) => Some(
                "the endpoint may speak https: begin --endpoint-url (or AWS_ENDPOINT_URL_S3) with https://",
            ),
            Error::Network { reason, .. } if reason.contains(NO_TLS) => Some(
                "the endpoint may speak http: begin --endpoint-url (or AWS_ENDPOINT_URL_S3) with http://",
            ),
            Error::Network { .. } => {
                Some("check --endpoint-url (or AWS_ENDPOINT_URL_S3) and that the server is running")
            }
            Error::Integrity { .. } => Some("nothing was kept of it; run the command again"),
            Error::RateLimited(_) => Some("try again later, or with a lower --concurrency"),
            // A HEAD has no text that would say so.
            Error::Service(service)
                if service.code == "BadRequest" && service.request.starts_with("HEAD ") =>
            {
                Some(
                    "if the object is encrypted by a key of your own (SSE-C), name it with --sse-c-key-file, or with --sse-c-source-key-file if it is the source of a copy within S3; if it is not, leave that away",
                )
            }
            _ => None,
        }
    }

    /// Sorts a refusal into the variants by status and code.
    pub(crate) fn from_service(service: ServiceError) -> Self {
        const AUTH_CODES: &[&str] = &[
            "AuthorizationHeaderMalformed",
            "AuthorizationQueryParametersError",
            "ExpiredToken",
            "InvalidToken",
        ];
        match service.status.as_u16() {
            429 => Error::RateLimited(service),
            503 if service.code == "SlowDown" => Error::RateLimited(service),
            404 => Error::NotFound(service),
            401 | 403 => Error::Auth(service),
            412 | 304 => Error::PreconditionFailed(service),
            _ if AUTH_CODES.contains(&service.code.as_str()) => Error::Auth(service),
            _ => Error::Service(service),
        }
    }

    /// A failure of a local file.
    pub fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Error::Io {
            path: path.into(),
            source,
        }
    }
}

/// What the user can do about a certificate that was refused. The words are those of `rustls`.
fn certificate_advice(reason: &str) -> &'static str {
    if reason.contains("not valid for name") {
        return "name the endpoint by a name that its certificate has";
    }
    if reason.contains("expired") {
        return "the endpoint needs a new certificate, unless this machine's clock is wrong";
    }
    if reason.contains("not valid yet") {
        return "set this machine's clock, unless the endpoint's certificate is for later";
    }
    if reason.contains("CaUsedAsEndEntity") {
        return "the endpoint shows an authority's certificate as its own: put this very certificate into the file of --ca-bundle (or AWS_CA_BUNDLE)";
    }
    "name the file of the authority that signed it, or of the certificate itself, with --ca-bundle (or AWS_CA_BUNDLE)"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_is_refused_gets_advice_that_helps() {
        for (reason, advice) in [
            (
                "certificate not valid for name \"a\"; it is for b",
                "a name",
            ),
            (
                "certificate expired: verification time 2",
                "a new certificate",
            ),
            ("certificate not valid yet: verification time 2", "clock"),
            ("certificate: CaUsedAsEndEntity", "this very certificate"),
            ("certificate: UnknownIssuer", "the authority that signed"),
        ] {
            let error = Error::Network {
                request: "GET /".to_owned(),
                reason: format!("invalid peer {reason}"),
            };
            let told = error.advice().unwrap();
            assert!(told.contains(advice), "{reason}: {told}");
        }
    }

    #[test]
    fn the_other_protocol_is_advised_where_this_one_is_not_spoken() {
        for (reason, advice) in [
            (
                "client error (SendRequest): invalid HTTP version parsed",
                "https://",
            ),
            (
                "received corrupt message of type InvalidContentType",
                "http://",
            ),
        ] {
            let error = Error::Network {
                request: "GET /".to_owned(),
                reason: reason.to_owned(),
            };
            let told = error.advice().unwrap();
            assert!(told.ends_with(&format!("with {advice}")), "{told}");
        }
    }

    #[test]
    fn a_refusal_that_says_why_gets_no_advice() {
        for (request, message, is_advised) in [
            ("GET http://h/b", "Access Denied", true),
            ("GET http://h/b", "Access Denied.", true),
            ("HEAD http://h/b", "Forbidden", true),
            (
                "GET http://h/b",
                "User: u is not authorized to perform: s3:GetObject because of a deny",
                false,
            ),
            (
                "GET http://h/b",
                "Access Denied: policies are blocked",
                false,
            ),
        ] {
            let error = Error::from_service(ServiceError {
                status: StatusCode::FORBIDDEN,
                code: "AccessDenied".to_owned(),
                message: message.to_owned(),
                detail: None,
                request_id: None,
                request: request.to_owned(),
            });
            let advice = error.advice();
            assert_eq!(advice.is_some(), is_advised, "{message}: {advice:?}");
            assert!(advice.is_none_or(|told| told.contains("role or policy")));
        }
    }
}
