//! The door of the administration.
//!
//! The socket file in the data directory is the server user's own: whoever can open it can also
//! read the data. Over TCP, being on the same machine proves nothing (any user, any proxy and any
//! web page in a browser can connect to loopback), so every request must be signed by a key that
//! may do everything, body included. Nothing is looked up or read for anybody else, and they all
//! get the same answer.

use std::fmt;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CACHE_CONTROL};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use oncilla_hash::Sha256;
use oncilla_iam::{BucketPattern, Grant, Principal, Role};
use oncilla_wire::error::S3ErrorCode;
use oncilla_wire::sigv4::RequestView;

use super::error::{ApiError, RefusalCode};
use super::{AdminApi, Api};
use crate::s3::body::PayloadForm;
use crate::{Peer, RequestContext, RequestId};

/// Longest body of a request: a key with all the grants it may have (100 of up to 300 bytes) twice
/// over. It is read into memory without a reservation, by those who may administer only.
pub const BODY_BYTES_MAX: usize = 64 << 10;

/// Who changes something, for the log.
#[derive(Clone, Debug)]
pub struct Caller {
    identity: Identity,
    request_id: RequestId,
}

#[derive(Clone, Debug)]
enum Identity {
    LocalSocket,
    Key(Arc<str>),
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.identity {
            Identity::LocalSocket => f.write_str("local socket"),
            Identity::Key(id) => f.write_str(id),
        }
    }
}

impl Caller {
    /// Writes a change to the log once it is done. Never pass a secret.
    pub fn note(&self, change: &'static str, subject: &str, detail: &str) {
        let request_id = self.request_id;
        tracing::info!(target: "admin", by = %self, change, subject, detail, %request_id, "changed");
    }
}

/// Lets a request in with its [`Caller`] among the extensions, or answers it.
pub async fn admit(State(api): State<Api>, request: Request, next: Next) -> Response {
    let context = request.extensions().get::<RequestContext>().cloned();
    let admitted = match &context {
        Some(context) => admitted(&api, request, context).await,
        None => Err(ApiError::access_denied()),
    };
    let mut response = match admitted {
        Ok(request) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    if let (Some(context), Some(code)) = (&context, response.extensions().get::<RefusalCode>()) {
        context.facts.note_error_code(code.0);
    }
    // Answers may hold secrets.
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, no_store);
    response
}

async fn admitted(
    api: &AdminApi,
    request: Request,
    context: &RequestContext,
) -> Result<Request, ApiError> {
    let (mut head, body) = request.into_parts();
    let (identity, digest) = match context.peer {
        Peer::LocalSocket => (Identity::LocalSocket, None),
        Peer::Tcp(_) => {
            let (key_id, digest) = signer(api, &head, context).await?;
            (Identity::Key(key_id), Some(digest))
        }
    };
    let body = read(body).await?;
    if digest.is_some_and(|digest| digest != Sha256::digest(&body)) {
        return Err(denied(context, "the body is not the one that was signed"));
    }
    head.extensions.insert(Caller {
        identity,
        request_id: context.request_id,
    });
    Ok(Request::from_parts(head, Body::from(body)))
}

/// The administrator's key that signed a request, and the SHA-256 that the body must have.
async fn signer(
    api: &AdminApi,
    head: &Parts,
    context: &RequestContext,
) -> Result<(Arc<str>, [u8; 32]), ApiError> {
    // A presigned URL is made to be handed on, and does not cover the body.
    if !head.headers.contains_key(AUTHORIZATION) {
        return Err(denied(context, "no authorization header"));
    }
    let view = RequestView {
        method: head.method.as_str(),
        raw_path: head.uri.path(),
        raw_query: head.uri.query().unwrap_or_default(),
        headers: &head.headers,
    };
    let sender = match api.s3.authenticate(&view, context).await {
        Ok(sender) => sender,
        Err(error) if error.code == S3ErrorCode::ServiceUnavailable => return Err(error.into()),
        Err(error) => return Err(denied(context, error.code.as_str())),
    };
    let Principal::Key(key) = sender.principal else {
        return Err(denied(context, "anonymous"));
    };
    // They would make themselves keys that last. Source: STS API reference, GetSessionToken: its
    // credentials cannot call IAM.
    if key.token_issued_ms.is_some() {
        return Err(denied(context, "the credentials are temporary"));
    }
    let administers =
        |grant: &Grant| grant.bucket == BucketPattern::Any && grant.role == Role::Admin;
    if !key.grants.iter().any(administers) {
        return Err(denied(context, "the key is not Admin of everything"));
    }
    if !api.iam.is_root(&key.account).await? {
        return Err(denied(
            context,
            "the key does not belong to the root account",
        ));
    }
    let PayloadForm::Sha256(digest) = sender.payload else {
        return Err(denied(context, "the body is not signed"));
    };
    Ok((key.key_id.as_str().into(), digest))
}

/// The reason is for the log alone.
fn denied(context: &RequestContext, reason: &str) -> ApiError {
    let request_id = context.request_id;
    tracing::debug!(target: "admin", peer = %context.peer, reason, %request_id, "denied");
    ApiError::access_denied()
}

async fn read(body: Body) -> Result<Bytes, ApiError> {
    // By its announced length, before a client that waits for `100 Continue` is asked to send it.
    if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
        return Err(body_too_long());
    }
    match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(body_too_long()),
        Err(error) => Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "IncompleteBody",
            format!("The body could not be read: {error}."),
        )),
    }
}

fn body_too_long() -> ApiError {
    ApiError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "MaxMessageLengthExceeded",
        format!("The body is longer than {BODY_BYTES_MAX} bytes."),
    )
}
