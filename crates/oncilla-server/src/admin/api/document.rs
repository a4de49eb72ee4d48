//! What requests carry: JSON documents, query parameters and names in paths. Everything that is not
//! known is refused by name, so that a misspelt field never passes for an absent one.

use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use bytes::Bytes;
use http::StatusCode;
use http::request::Parts;
use oncilla_iam::PAGE_ITEMS_MAX;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

use super::error::ApiError;

/// A request's JSON document. A request without a body counts as `{}`.
pub struct Document<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Document<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        // Its length was judged at the door.
        let bytes = Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|_| ApiError::invalid_argument("The body cannot be read."))?;
        parse(&bytes).map(Self)
    }
}

/// Reads a document from outside bytes.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let document: &[u8] = if bytes.is_empty() { b"{}" } else { bytes };
    serde_json::from_slice(document).map_err(|error| {
        let message = format!("The JSON document is not what is expected here: {error}.");
        ApiError::new(StatusCode::BAD_REQUEST, "MalformedJSON", message)
    })
}

/// A request's query parameters.
pub struct Parameters<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Parameters<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(parameters)) => Ok(Self(parameters)),
            Err(rejection) => Err(ApiError::invalid_argument(rejection.body_text())),
        }
    }
}

/// The id or name in a request's path, decoded.
pub struct Name(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(name)) => Ok(Self(name)),
            Err(rejection) => Err(ApiError::invalid_argument(rejection.body_text())),
        }
    }
}

/// For what takes no fields or parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// The parameters of a listing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListParameters {
    /// Id or name of the account whose things to list.
    pub account: Option<String>,
    /// `next` of the page before.
    pub after: Option<String>,
    /// Most items of the page; more than a page can have counts as that.
    limit: Option<usize>,
}

impl ListParameters {
    /// Most items of the page.
    pub fn limit(&self) -> Result<usize, ApiError> {
        page_limit(self.limit)
    }
}

/// Most items of a page for which a client asked for `limit`.
pub fn page_limit(limit: Option<usize>) -> Result<usize, ApiError> {
    match limit {
        Some(0) => Err(ApiError::invalid_argument("limit must be at least 1.")),
        Some(limit) => Ok(limit.min(PAGE_ITEMS_MAX)),
        None => Ok(PAGE_ITEMS_MAX),
    }
}

/// One page of a listing.
#[derive(Serialize)]
pub struct Page<T> {
    /// In the listing's order.
    pub items: Vec<T>,
    /// What to pass as `after` for the next page; absent from the last one.
    pub next: Option<String>,
}

/// Reads a field where `null` means "none from now on" and absence means "as it is".
pub fn present<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = parse::<super::super::keys::NewKeyDocument>(&bytes);
            let _ = parse::<super::super::accounts::AccountChanges>(&bytes);
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = "[".repeat(100_000);
        assert!(parse::<serde_json::Value>(deep.as_bytes()).is_err());
    }
}
