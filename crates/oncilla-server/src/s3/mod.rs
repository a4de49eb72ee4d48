//! The S3 API: from a request to an answer.
//!
//! `dispatch` is the way every request takes: address, operation, authentication, bucket,
//! authorization, handler, error document. Handlers are grouped as the S3 API reference groups its
//! operations: `service`, `bucket`, `object`, `multipart`.

mod acl;
mod acl_policy;
mod answer;
pub(crate) mod authenticate;
mod authorize;
pub(crate) mod body;
mod bucket;
mod dispatch;
mod encryption;
pub(crate) mod errors;
mod multipart;
mod object;
mod owner;
mod request;
mod service;
mod tags;

use std::sync::Arc;

use oncilla_iam::Iam;
use oncilla_store::Store;
use oncilla_wire::address::Addressing;
use oncilla_wire::sigv4::SigningKey;
use quick_cache::sync::Cache;

use authenticate::SigningKeyName;

pub use encryption::CustomerKeysOverHttp;

/// Settings of the S3 API.
#[derive(Clone, Debug)]
pub struct S3Options {
    /// Base domains of virtual-hosted addresses; `localhost` is always one.
    pub domains: Vec<String>,
    /// The region that GetBucketLocation reports for buckets created without a constraint.
    pub region: String,
    /// Longest expiry of a presigned URL, in seconds. S3 allows 7 days.
    pub presign_expiry_max_s: u64,
    /// Which connections without TLS may carry clients' keys (SSE-C).
    pub customer_keys_over_http: CustomerKeysOverHttp,
    /// Whether `aws:kms` without a key id takes the key `alias/aws/s3`, which is made when it is first
    /// needed, as S3 does; otherwise such a request is refused.
    pub default_kms_key: bool,
}

/// Signing keys kept: one per access key, day and region.
const SIGNING_KEYS_MAX: usize = 100_000;

/// Answers S3 requests. Cheap to clone.
#[derive(Clone)]
pub struct S3Service {
    store: Store,
    iam: Iam,
    addressing: Arc<Addressing>,
    options: Arc<S3Options>,
    /// Deriving a signing key takes four HMACs, and the same one serves for a day.
    signing_keys: Arc<Cache<SigningKeyName, SigningKey>>,
}

impl S3Service {
    /// A service on a store, for the keys of `iam`.
    pub fn new(store: Store, iam: Iam, options: S3Options) -> Self {
        Self {
            store,
            iam,
            addressing: Arc::new(Addressing::new(&options.domains)),
            options: Arc::new(options),
            signing_keys: Arc::new(Cache::new(SIGNING_KEYS_MAX)),
        }
    }
}
