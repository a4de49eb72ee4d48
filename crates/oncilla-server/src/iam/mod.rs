//! IAM and STS: who there is, what they may do, and temporary credentials, in the query protocol of
//! AWS.
//!
//! Their requests are forms that are posted to `/` of the same endpoint, signed for the service `iam`
//! or `sts`. `route` says which action is answered where; handlers are grouped by what they are about.
//! Every action is judged by the same evaluator as the operations of S3, and acts in the account of
//! its sender only; only AssumeRole reaches into another, as far as a role there trusts the sender.

mod access_keys;
mod account;
mod attached_policies;
mod call;
mod entities;
mod errors;
mod inline_policies;
mod policies;
mod providers;
mod roles;
mod route;
mod sts;

use std::sync::LazyLock;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Response};
use oncilla_hash::{Sha256, hex};
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::query_api::{
    FORM_BYTES_MAX, FORM_CONTENT_TYPE, Form, QueryAnswer, QueryError, QueryErrorCode, QueryService,
};
use oncilla_wire::sigv4::{PayloadDeclaration, RequestView, SignatureLocation, SignedRequest};
use serde_json::json;

pub use self::route::{IAM_ACTIONS, STS_ACTIONS};

use self::call::Call;
use crate::s3::S3Service;
use crate::s3::body::DOCUMENT_TIME_MAX;
use crate::{BodyError, MemoryBudget, MemoryPermit, RequestBody, RequestContext, ResponseBody};

/// What is counted and logged of a request whose action is not known.
const UNKNOWN_OPERATION: &str = "QueryApi";

/// What is counted and logged of a request to another service.
const OTHER_SERVICE: &str = "OtherService";

/// Names the operation in AWS's JSON protocol.
const X_AMZ_TARGET: HeaderName = HeaderName::from_static("x-amz-target");

/// What the operations of KMS begin with in it. Source: KMS API reference, "Examples" of ListKeys.
const KMS_TARGETS: &[u8] = b"TrentService.";

/// Memory for all forms together: some twenty of the longest, thousands of usual ones.
const FORMS_MEMORY_BYTES: usize = 20 << 20;

/// A form is read before it is known who sends it, so its memory is not that of other requests:
/// whoever has no key cannot take that away.
static FORMS_MEMORY: LazyLock<MemoryBudget> =
    LazyLock::new(|| MemoryBudget::new(FORMS_MEMORY_BYTES));

/// Whether a request to `/` is one to IAM or STS. S3 has none that posts to the service.
pub(crate) fn is_query_request(head: &Parts) -> bool {
    if head.method != Method::POST {
        return false;
    }
    let content_type = head.headers.get(CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let is_form = |text: &str| {
        let media_type = text.split(';').next().unwrap_or_default().trim();
        media_type.eq_ignore_ascii_case(FORM_CONTENT_TYPE)
    };
    let names_action = |query: &str| query.split('&').any(|pair| pair.starts_with("Action="));
    content_type.is_some_and(is_form) || head.uri.query().is_some_and(names_action)
}

/// Whether a request to `/` is one to another service of AWS, in its JSON protocol. It is told so to
/// whoever asks, before any signature is looked at: it is all there is to know.
/// Source: Smithy, "AWS JSON 1.1 protocol".
pub(crate) fn is_to_other_service(head: &Parts) -> bool {
    head.method == Method::POST && head.headers.contains_key(X_AMZ_TARGET)
}

/// Refuses a request to another service, in the form that its clients read.
pub(crate) fn refuse_other_service(
    head: &Parts,
    context: &RequestContext,
) -> Response<ResponseBody> {
    let code = S3ErrorCode::NotImplemented;
    context.facts.note_operation(OTHER_SERVICE);
    context.facts.note_error_code(code.as_str());
    let target = head.headers.get(X_AMZ_TARGET);
    let is_kms = target.is_some_and(|target| target.as_bytes().starts_with(KMS_TARGETS));
    let advice = match is_kms {
        true => " Keys are managed by `oncilla kms`.",
        false => "",
    };
    let message = format!(
        "This is no request to S3, IAM or STS, which are all that is here. Nothing was \
         changed.{advice}"
    );
    let document = json!({ "__type": code.as_str(), "message": message }).to_string();
    let mut response = Response::new(ResponseBody::Full(document.into()));
    *response.status_mut() = code.status();
    let json = HeaderValue::from_static("application/x-amz-json-1.1");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// Answers a request to IAM or STS.
pub(crate) async fn answer(
    service: &S3Service,
    head: &Parts,
    body: RequestBody,
    context: &RequestContext,
) -> Response<ResponseBody> {
    let request_id = context.request_id.to_string();
    context.facts.note_operation(UNKNOWN_OPERATION);
    let mut asked = QueryService::Iam;
    let (status, document) = match handle(service, head, body, context, &mut asked).await {
        Ok(answer) => (http::StatusCode::OK, answer.finish(&request_id)),
        Err(error) => {
            context.facts.note_error_code(error.code.as_str());
            (error.code.status(), error.to_xml(asked, &request_id))
        }
    };
    let mut response = Response::new(ResponseBody::Full(document.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    // Answers may hold secrets.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn handle(
    service: &S3Service,
    head: &Parts,
    mut body: RequestBody,
    context: &RequestContext,
    asked: &mut QueryService,
) -> Result<QueryAnswer, QueryError> {
    let read = tokio::time::timeout(DOCUMENT_TIME_MAX, read_form(&mut body, &FORMS_MEMORY));
    let read = read.await.map_err(|_elapsed| {
        let timeout = S3Error::new(S3ErrorCode::RequestTimeout);
        errors::of_s3(&timeout)
    })?;
    let (body, _memory) = read?;
    let query = head.uri.query().unwrap_or_default();
    let form = Form::parse(query, &body)?;
    let action = form.get("Action").filter(|action| !action.is_empty());
    let Some(action) = action else {
        let message = "The request has no parameter Action.";
        return Err(QueryError::new(QueryErrorCode::MissingAction, message));
    };
    let by_version = form.get("Version").map(QueryService::of_version);
    if let Some(Some(by_version)) = by_version {
        *asked = by_version;
    }
    let found = route::find(action);
    let Some((action_service, action)) = found.filter(|_| by_version != Some(None)) else {
        return Err(unknown_action(action, form.get("Version")));
    };
    if by_version.is_some_and(|version| version != Some(action_service)) {
        return Err(unknown_action(action, form.get("Version")));
    }
    *asked = action_service;
    context.facts.note_operation(action);

    let view = RequestView {
        method: head.method.as_str(),
        raw_path: head.uri.path(),
        raw_query: query,
        headers: &head.headers,
    };
    let digest = Sha256::digest(&body);
    let digest_text = hex::encode(&digest);
    let signed = SignedRequest::parse_with_body(&view, &digest_text);
    let signed = signed.map_err(|error| errors::of_s3(&error))?;
    let Some(signed) = signed else {
        let message = "Request is missing Authentication Token";
        return Err(QueryError::new(
            QueryErrorCode::MissingAuthenticationToken,
            message,
        ));
    };
    // What the form says has to be signed: a presigned URL covers no body.
    let covers_body = signed.location == SignatureLocation::Header
        && signed.payload == PayloadDeclaration::Sha256(digest);
    if !covers_body {
        let message = "The signature has to be in the header, and to cover the body.";
        return Err(QueryError::new(
            QueryErrorCode::IncompleteSignature,
            message,
        ));
    }
    let identified = service
        .identify(&view, &signed, action_service.name(), context)
        .await
        .map_err(|error| errors::of_s3(&error))?;
    let call = Call::new(
        service.iam(),
        form,
        action_service,
        action,
        identified.found,
    )?;
    let call = call.with_facts(head, context, service.region())?;
    let mut answer = QueryAnswer::new(action_service, action);
    route::answer(&call, &mut answer.xml).await?;
    Ok(answer)
}

/// Reads a form whose sender is not known yet. What it takes is reserved as it comes, so that a client
/// holds no more than it sent.
async fn read_form(
    body: &mut RequestBody,
    memory: &MemoryBudget,
) -> Result<(Bytes, MemoryPermit), QueryError> {
    let too_large = || {
        let message = format!("The request is longer than {FORM_BYTES_MAX} bytes.");
        QueryError::new(QueryErrorCode::RequestEntityTooLarge, message)
    };
    let announced = body.length_bytes();
    if announced.is_some_and(|length| length > FORM_BYTES_MAX as u64) {
        return Err(too_large());
    }
    let reserve = |bytes| memory.try_reserve(bytes).map_err(|_| errors::overloaded());
    let mut reserved = reserve(0)?;
    let mut form = Vec::new();
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|error| match error {
            BodyError::TooLarge { .. } => too_large(),
            other => errors::of_s3(&crate::s3::errors::body(other)),
        })?;
        let length = form.len() + piece.len();
        if length > FORM_BYTES_MAX {
            return Err(too_large());
        }
        // The form, and its values once more.
        reserved.merge(reserve((2 * length).saturating_sub(reserved.bytes()))?);
        form.extend_from_slice(&piece);
    }
    Ok((form.into(), reserved))
}

fn unknown_action(action: &str, version: Option<&str>) -> QueryError {
    if route::is_missing(action) {
        let message = format!("{action} is not implemented. Nothing was changed.");
        return QueryError::new(QueryErrorCode::NotImplemented, message);
    }
    let shown: String = action.chars().take(64).collect();
    let version: String = version.unwrap_or_default().chars().take(16).collect();
    let message = format!("Could not find operation {shown} for version {version}");
    QueryError::new(QueryErrorCode::InvalidAction, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn forms_share_memory_of_their_own() {
        let memory = MemoryBudget::new(10 << 10);
        let read = async |bytes: usize| {
            let mut body = RequestBody::from_bytes(vec![b'x'; bytes]);
            read_form(&mut body, &memory).await
        };
        let (form, first) = read(3 << 10).await.unwrap();
        assert_eq!((form.len(), first.bytes()), (3 << 10, 6 << 10));
        let refused = read(3 << 10).await.unwrap_err();
        assert_eq!(refused.code, QueryErrorCode::ServiceUnavailable);
        let (_, second) = read(2 << 10).await.unwrap();
        assert_eq!(memory.reserved_bytes(), 10 << 10);
        drop((first, second));
        assert_eq!(memory.reserved_bytes(), 0);
        assert!(read(0).await.is_ok());
        let refused = read(FORM_BYTES_MAX + 1).await.unwrap_err();
        assert_eq!(refused.code, QueryErrorCode::RequestEntityTooLarge);
    }
}
