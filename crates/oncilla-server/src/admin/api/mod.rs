//! `/-/admin/v1`: accounts, access keys, buckets with their owners, and the server itself, as JSON.
//!
//! `access` decides who gets in, before anything is looked up; one file per resource answers:
//! `accounts`, `keys`, `kms` (the keys of SSE-KMS), `buckets`, `storage` (a bucket with its key, in one call) and
//! `server`. A change is carried to its end (`to_its_end`) even if the client goes away meanwhile, so that
//! no step and no line of the log is left out. The reference for clients is `docs/admin-api.md`.

mod access;
mod accounts;
mod buckets;
mod document;
mod error;
mod keys;
mod kms;
mod server;
mod storage;

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{any, delete, get, post, put};
use oncilla_iam::{Account, Iam, IamError};
use oncilla_store::Store;

use self::error::ApiError;
use super::OwnRoutes;
use crate::s3::S3Service;

/// What the administration works on, and what it tells of the server.
pub struct AdminApi {
    /// Buckets and objects.
    pub store: Store,
    /// Accounts and keys.
    pub iam: Iam,
    /// Verifies signatures, by the same rules as for S3 requests.
    pub s3: S3Service,
    /// What the server says of itself.
    pub server: ServerFacts,
}

/// What a server knows of itself.
#[derive(Clone, Debug)]
pub struct ServerFacts {
    /// Version of the program.
    pub version: &'static str,
    /// Id of the data directory.
    pub cluster_id: String,
    /// Canonical id of the root account: the owner where a request names none.
    pub root_account_id: String,
    /// The region that printed configurations name.
    pub region: String,
    /// URL under which clients reach the server. Set it once the addresses are bound.
    pub endpoint_url: Arc<OnceLock<String>>,
    /// When the server started.
    pub started: Instant,
}

/// A handler's view of the administration.
type Api = Arc<AdminApi>;

/// The routes of the administration, each behind the door that `access` keeps.
pub fn routes(api: AdminApi) -> OwnRoutes {
    let api: Api = Arc::new(api);
    let resources = Router::new()
        .route("/server", get(server::show))
        .route("/accounts", get(accounts::list).post(accounts::create))
        .route(
            "/accounts/{account}",
            get(accounts::show)
                .patch(accounts::update)
                .delete(accounts::delete),
        )
        .route(
            "/accounts/{account}/disable",
            post(accounts::set_disabled::<true>),
        )
        .route(
            "/accounts/{account}/enable",
            post(accounts::set_disabled::<false>),
        )
        .route("/keys", get(keys::list).post(keys::create))
        .route(
            "/keys/{id}",
            get(keys::show).patch(keys::update).delete(keys::delete),
        )
        .route("/keys/{id}/rotate", post(keys::rotate))
        .route("/keys/{id}/disable", post(keys::set_disabled::<true>))
        .route("/keys/{id}/enable", post(keys::set_disabled::<false>))
        .route("/keys/{id}/grants", put(keys::set_grants))
        .route("/kms/keys", get(kms::list).post(kms::create))
        .route("/kms/keys/{id}/rotate", post(kms::rotate))
        .route("/kms/keys/{id}/disable", post(kms::set_disabled::<true>))
        .route("/kms/keys/{id}/enable", post(kms::set_disabled::<false>))
        .route("/buckets", get(buckets::list).post(buckets::create))
        .route(
            "/buckets/{name}",
            get(buckets::show).delete(buckets::delete),
        )
        .route("/storage", post(storage::create))
        .route("/storage/{name}", delete(storage::destroy));
    Router::new()
        .nest("/-/admin/v1", resources)
        .route("/-/admin", any(no_such_path))
        .route("/-/admin/{*rest}", any(no_such_path))
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(Arc::clone(&api), access::admit))
        // The layer is for these paths only, not for whatever else lies under `/-/`.
        .reset_fallback()
        .with_state(api)
}

async fn no_such_path() -> ApiError {
    ApiError::not_found("NotFound", "There is nothing at this path.")
}

async fn method_not_allowed() -> ApiError {
    ApiError::method_not_allowed()
}

impl AdminApi {
    /// An account by its id or its name.
    async fn account(&self, id_or_name: &str) -> Result<Account, ApiError> {
        match self.iam.account(id_or_name).await {
            Err(IamError::NoSuchAccount) => Ok(self.iam.account_by_name(id_or_name).await?),
            other => Ok(other?),
        }
    }

    /// The id of the account that a request names, or of the root account if it names none.
    async fn account_id_or_root(&self, id_or_name: Option<&str>) -> Result<String, ApiError> {
        match id_or_name {
            Some(id_or_name) => Ok(self.account(id_or_name).await?.id),
            None => Ok(self.server.root_account_id.clone()),
        }
    }
}
