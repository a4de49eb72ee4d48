//! Errors of the doors as IAM and STS answer them.

use oncilla_iam::IamError;
use oncilla_iam::policy::{PolicyError, PolicyKind};
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::query_api::{QueryError, QueryErrorCode};

/// Too many requests hold memory.
pub fn overloaded() -> QueryError {
    let message = "The server has too much to do. Try again.";
    QueryError::new(QueryErrorCode::ServiceUnavailable, message)
}

/// An error of reading or authenticating a request.
pub fn of_s3(error: &S3Error) -> QueryError {
    let invalid_token = "The security token included in the request is invalid.";
    let (code, message) = match error.code {
        S3ErrorCode::AccessDenied => (QueryErrorCode::AccessDenied, None),
        S3ErrorCode::ExpiredToken => (
            QueryErrorCode::ExpiredToken,
            Some("The security token included in the request is expired"),
        ),
        S3ErrorCode::InvalidAccessKeyId | S3ErrorCode::InvalidToken => {
            (QueryErrorCode::InvalidClientTokenId, Some(invalid_token))
        }
        S3ErrorCode::NotImplemented => (QueryErrorCode::NotImplemented, None),
        S3ErrorCode::RequestTimeTooSkewed => (QueryErrorCode::RequestExpired, None),
        S3ErrorCode::SignatureDoesNotMatch => (QueryErrorCode::SignatureDoesNotMatch, None),
        S3ErrorCode::ServiceUnavailable | S3ErrorCode::SlowDown => {
            (QueryErrorCode::ServiceUnavailable, None)
        }
        code if code.status().is_server_error() => (QueryErrorCode::InternalFailure, None),
        // The codes that are left say what is wrong with a signature or a body.
        _ => (QueryErrorCode::IncompleteSignature, None),
    };
    QueryError::new(code, message.unwrap_or(&error.message))
}

/// What is wrong with a policy.
pub fn of_policy(error: &PolicyError, kind: PolicyKind<'_>) -> QueryError {
    let code = match error {
        PolicyError::TooLarge { .. } if kind == PolicyKind::Session => {
            QueryErrorCode::PackedPolicyTooLarge
        }
        PolicyError::TooLarge { .. } => QueryErrorCode::LimitExceeded,
        _ => QueryErrorCode::MalformedPolicyDocument,
    };
    QueryError::new(code, error.message(kind))
}

/// An error of the door.
pub fn of_iam(error: IamError) -> QueryError {
    let message = error.to_string();
    match error {
        IamError::NoSuchEntity { .. } => QueryError::new(QueryErrorCode::NoSuchEntity, message),
        IamError::NoSuchKey => QueryError::new(
            QueryErrorCode::NoSuchEntity,
            "The Access Key cannot be found.",
        ),
        IamError::NoSuchAccount => QueryError::new(QueryErrorCode::NoSuchEntity, message),
        IamError::EntityExists { .. } | IamError::AccountExists { .. } | IamError::KeyExists => {
            QueryError::new(QueryErrorCode::EntityAlreadyExists, message)
        }
        IamError::DeleteConflict(_) | IamError::AccountHasEntities | IamError::AccountHasKeys => {
            QueryError::new(QueryErrorCode::DeleteConflict, message)
        }
        IamError::InvalidName { what, rule } => {
            let rule = format!("Member must be {rule}");
            QueryError::new(
                QueryErrorCode::ValidationError,
                format!(
                    "1 validation error detected: Value at '{what}' failed to satisfy \
                     constraint: {rule}"
                ),
            )
        }
        IamError::LimitExceeded { what, limit } => {
            let message = format!("Cannot exceed quota for {what}: {limit}");
            QueryError::new(QueryErrorCode::LimitExceeded, message)
        }
        IamError::Policy(error) => of_policy(&error, PolicyKind::Identity),
        IamError::AwsManaged => QueryError::new(QueryErrorCode::AccessDenied, message),
        IamError::RootAccount => QueryError::new(QueryErrorCode::UnmodifiableEntity, message),
        IamError::CallersPrecondition { .. } | IamError::Contended => {
            QueryError::new(QueryErrorCode::ConcurrentModification, message)
        }
        IamError::Row(_) | IamError::Random(_) | IamError::Engine(_) => {
            tracing::error!(
                error = message,
                "accounts and keys could not be read or written"
            );
            let message = "The request could not be processed. Try again.";
            QueryError::new(QueryErrorCode::InternalFailure, message)
        }
    }
}
