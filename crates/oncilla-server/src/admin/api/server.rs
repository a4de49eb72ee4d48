//! What the server says of itself.

use std::time::Instant;

use axum::Json;
use axum::extract::State;
use oncilla_iam::PAGE_ITEMS_MAX;
use oncilla_store::bucket::ListBuckets;
use serde::{Deserialize, Serialize};

use super::document::Parameters;
use super::error::ApiError;
use super::{AdminApi, Api};

/// What to tell.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerParameters {
    /// Also how much there is of everything, which takes a walk over all accounts and buckets.
    #[serde(default)]
    counts: bool,
}

/// The server.
#[derive(Serialize)]
pub struct ServerInfo {
    version: &'static str,
    cluster_id: String,
    root_account_id: String,
    region: String,
    endpoint_url: Option<String>,
    uptime_s: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    counts: Option<Counts>,
}

/// How much there is of everything.
#[derive(Default, Serialize)]
pub struct Counts {
    accounts: u64,
    keys: u64,
    buckets: u64,
    objects: u64,
    bytes: u64,
}

pub async fn show(
    State(api): State<Api>,
    Parameters(parameters): Parameters<ServerParameters>,
) -> Result<Json<ServerInfo>, ApiError> {
    let counts = match parameters.counts {
        true => Some(api.counts().await?),
        false => None,
    };
    let server = &api.server;
    Ok(Json(ServerInfo {
        version: server.version,
        cluster_id: server.cluster_id.clone(),
        root_account_id: server.root_account_id.clone(),
        region: server.region.clone(),
        endpoint_url: server.endpoint_url.get().cloned(),
        uptime_s: Instant::now().duration_since(server.started).as_secs(),
        counts,
    }))
}

impl AdminApi {
    /// Counts page by page, giving way to other requests in between. What changes meanwhile may or
    /// may not be counted.
    async fn counts(&self) -> Result<Counts, ApiError> {
        let mut counts = Counts::default();
        let mut after: Option<String> = None;
        loop {
            let page = self
                .iam
                .list_accounts(after.as_deref(), PAGE_ITEMS_MAX)
                .await?;
            for account in &page.items {
                counts.accounts += 1;
                counts.keys += self.key_count(&account.id).await?;
                tokio::task::yield_now().await;
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        loop {
            let query = ListBuckets {
                after: after.as_deref(),
                limit: PAGE_ITEMS_MAX,
                ..ListBuckets::default()
            };
            let page = self.store.list_buckets(query).await?;
            for bucket in &page.buckets {
                let usage = self.store.usage(bucket.record.id).await?;
                counts.buckets += 1;
                counts.objects += usage.objects;
                counts.bytes += usage.bytes;
            }
            tokio::task::yield_now().await;
            after = page.buckets.last().map(|bucket| bucket.name.clone());
            if !page.truncated {
                return Ok(counts);
            }
        }
    }

    async fn key_count(&self, account_id: &str) -> Result<u64, ApiError> {
        let mut count = 0;
        let mut after: Option<String> = None;
        loop {
            let page = match self
                .iam
                .list_keys(account_id, after.as_deref(), PAGE_ITEMS_MAX)
                .await
            {
                Ok(page) => page,
                // Deleted since it was listed.
                Err(oncilla_iam::IamError::NoSuchAccount) => return Ok(count),
                Err(error) => return Err(error.into()),
            };
            count += page.items.len() as u64;
            after = page.next;
            if after.is_none() {
                return Ok(count);
            }
        }
    }
}
