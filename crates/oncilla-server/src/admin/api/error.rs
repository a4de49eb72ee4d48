//! Refusals: a status, a code for programs and a sentence for people.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use oncilla_iam::IamError;
use oncilla_meta::Interrupted;
use oncilla_store::Fault;
use oncilla_store::bucket::{BucketError, CreateBucketError, DeleteBucketError};
use oncilla_wire::error::S3Error;
use serde::Serialize;

use crate::limits::RETRY_AFTER_SECONDS;
use crate::s3::errors;

/// A refusal. Written as `{"error": {"code": "…", "message": "…"}}`.
#[derive(Clone, Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
}

/// The code of a refusal, left among the answer's extensions for the access log.
#[derive(Clone, Copy, Debug)]
pub struct RefusalCode(pub &'static str);

#[derive(Serialize)]
struct Envelope<'a> {
    error: Detail<'a>,
}

#[derive(Serialize)]
struct Detail<'a> {
    code: &'a str,
    message: &'a str,
}

impl ApiError {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    /// Whoever is not let in gets this and nothing else, whatever the reason and whatever exists.
    pub fn access_denied() -> Self {
        let message = "Access denied. Administration takes the server's socket file, or requests \
                       signed with an Admin key of the root account, payload included. Temporary \
                       credentials do not administer.";
        Self::new(StatusCode::FORBIDDEN, "AccessDenied", message)
    }

    pub fn not_found(code: &'static str, message: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    pub fn method_not_allowed() -> Self {
        let message = "The method is not allowed at this path.";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
    }

    pub fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    pub fn invalid_argument(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidArgument", message)
    }

    pub fn internal() -> Self {
        let message = "An internal error occurred; the server's log says more.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
    }

    /// Whether the refusal is about something that does not exist.
    pub fn is_not_found(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
    }

    /// Whether the refusal says that a bucket name is taken.
    pub fn is_name_taken(&self) -> bool {
        matches!(self.code, "BucketAlreadyExists" | "BucketAlreadyOwnedByYou")
    }

    /// The same refusal with more to say.
    pub fn and(mut self, more: &str) -> Self {
        self.message.push(' ');
        self.message.push_str(more);
        self
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let envelope = Envelope {
            error: Detail {
                code: self.code,
                message: &self.message,
            },
        };
        let mut response = (self.status, Json(envelope)).into_response();
        response.extensions_mut().insert(RefusalCode(self.code));
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            let seconds = HeaderValue::from(RETRY_AFTER_SECONDS);
            response.headers_mut().insert(RETRY_AFTER, seconds);
        }
        response
    }
}

impl From<S3Error> for ApiError {
    fn from(error: S3Error) -> Self {
        Self::new(
            error.code.status(),
            error.code.as_str(),
            error.message.into_owned(),
        )
    }
}

impl From<Fault> for ApiError {
    fn from(fault: Fault) -> Self {
        errors::fault(fault).into()
    }
}

impl From<Interrupted> for ApiError {
    fn from(error: Interrupted) -> Self {
        tracing::error!(target: "admin", %error, "a change did not end as it should");
        Self::internal()
    }
}

impl From<BucketError> for ApiError {
    fn from(error: BucketError) -> Self {
        errors::bucket(error).into()
    }
}

impl From<CreateBucketError> for ApiError {
    fn from(error: CreateBucketError) -> Self {
        errors::create_bucket(error).into()
    }
}

impl From<DeleteBucketError> for ApiError {
    fn from(error: DeleteBucketError) -> Self {
        errors::delete_bucket(error).into()
    }
}

/// Exhaustive on purpose: a new variant does not compile until somebody decides here what clients
/// are told.
impl From<IamError> for ApiError {
    fn from(error: IamError) -> Self {
        match error {
            IamError::NoSuchAccount => {
                Self::not_found("NoSuchAccount", "There is no account with this id or name.")
            }
            IamError::AccountExists { attribute } => Self::conflict(
                "AccountAlreadyExists",
                format!("An account with this {attribute} already exists."),
            ),
            IamError::AccountHasKeys => Self::conflict(
                "AccountHasKeys",
                "The account still has access keys. Delete them first.",
            ),
            IamError::AccountHasEntities => Self::conflict(
                "AccountHasEntities",
                "The account still has users, groups, roles, policies or identity providers. \
                 Delete them first.",
            ),
            IamError::NoSuchEntity { .. } => Self::not_found("NoSuchEntity", &error.to_string()),
            IamError::EntityExists { .. } => {
                Self::conflict("EntityAlreadyExists", error.to_string())
            }
            IamError::DeleteConflict(message) => Self::conflict("DeleteConflict", message),
            IamError::Policy(error) => Self::invalid_argument(error.to_string()),
            IamError::AwsManaged => Self::conflict("UnmodifiablePolicy", error.to_string()),
            IamError::RootAccount => Self::conflict(
                "RootAccount",
                "The root account can be neither deleted nor disabled.",
            ),
            IamError::NoSuchKey => {
                Self::not_found("NoSuchKey", "There is no access key with this id.")
            }
            IamError::KeyExists => Self::conflict(
                "KeyAlreadyExists",
                "There already is an access key with this id, and it differs from this one.",
            ),
            IamError::InvalidName { what, rule } => {
                Self::invalid_argument(format!("Invalid {what}. Allowed: {rule}."))
            }
            IamError::LimitExceeded { what, limit } => Self::conflict(
                "LimitExceeded",
                format!("There can be no more than {limit} {what}."),
            ),
            IamError::CallersPrecondition { .. } => Self::conflict(
                "AccountHasBuckets",
                "The account still owns buckets. Delete them first.",
            ),
            IamError::Contended => Self::conflict(
                "OperationAborted",
                "Others keep changing the same account or key; nothing was changed. Try again.",
            ),
            IamError::Row(error) => {
                tracing::error!(%error, "accounts and keys are damaged");
                Self::internal()
            }
            IamError::Random(error) => {
                tracing::error!(%error, "the system's random source failed");
                Self::internal()
            }
            IamError::Engine(error) => Fault::from(error).into(),
        }
    }
}
