//! What lies under `/-/`: health and readiness, metrics, and administration.

pub mod api;
pub mod metrics_page;
pub mod readiness;
pub mod trust;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use crate::metrics::Metrics;
use crate::{MemoryBudget, admin::readiness::Readiness};

/// Routes under `/-/`. Handlers find the [`RequestContext`](crate::RequestContext) among the
/// request's extensions.
pub type OwnRoutes = Router;

/// What the pages under `/-/` show.
#[derive(Clone, Debug)]
pub struct OwnPages {
    /// What `/-/ready` checks.
    pub readiness: Arc<Readiness>,
    /// What `/-/metrics` shows.
    pub metrics: Arc<Metrics>,
    /// The memory whose use the metrics show.
    pub memory: MemoryBudget,
    /// Whether any client may read the metrics; see [`metrics_page`].
    pub metrics_public: bool,
}

/// The pages that need no credentials. Merge the administration's routes into it.
pub fn router(pages: OwnPages) -> OwnRoutes {
    Router::new()
        .route("/-/health", get(|| async { "ok\n" }))
        .route("/-/ready", get(readiness::page))
        .route("/-/metrics", get(metrics_page::page))
        .with_state(pages)
}
