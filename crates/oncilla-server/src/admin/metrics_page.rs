//! `/-/metrics`. Operation counts and sizes tell a stranger how a server is used, so by default only
//! clients on the same machine read it; the setting `metrics_public` opens it to everybody.

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};

use super::{OwnPages, trust};
use crate::RequestContext;
use crate::metrics::METRICS_CONTENT_TYPE;

pub(super) async fn page(
    State(pages): State<OwnPages>,
    Extension(context): Extension<RequestContext>,
    headers: HeaderMap,
) -> Response {
    if !pages.metrics_public && !trust::is_local(context.peer, &headers) {
        let advice = "metrics are for clients on this machine; metrics_public = true opens them\n";
        return (StatusCode::FORBIDDEN, advice).into_response();
    }
    let reserved = i64::try_from(pages.memory.reserved_bytes()).unwrap_or(i64::MAX);
    pages.metrics.memory_reserved_bytes.set(reserved);
    match pages.metrics.encode() {
        Ok(page) => ([(CONTENT_TYPE, METRICS_CONTENT_TYPE)], page).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics page could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
