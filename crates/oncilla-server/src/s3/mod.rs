//! The S3 API: from a request to an answer.
//!
//! `dispatch` is the way every request takes: address, operation, authentication, bucket,
//! authorization, handler, error document. Handlers are grouped as the S3 API reference groups its
//! operations: `service`, `bucket`, `object`, `multipart`.

pub(crate) mod access;
mod acl;
mod answer;
pub(crate) mod authenticate;
mod authorize;
pub(crate) mod body;
mod bucket;
mod condition_keys;
mod cors;
mod dispatch;
pub(crate) mod encryption;
pub(crate) mod errors;
mod form_file;
mod judged;
mod lifecycle;
mod multipart;
mod object;
mod object_lock;
mod owner;
mod payer;
mod post_object;
mod request;
mod service;
mod tags;
mod website;

use std::sync::Arc;

use oncilla_iam::Iam;
use oncilla_store::{Cause, Origin, Store};
use oncilla_wire::address::Addressing;
use oncilla_wire::operation::Operation;
use oncilla_wire::sigv4::{SigningKey, VerifyLimits};
use oncilla_wire::website::{LOCALHOST_WEBSITES, WebsiteHosts};
use quick_cache::sync::Cache;

use crate::Peer;
use crate::bucket_logs::BucketLogs;
use crate::notifications::Targets;
use authenticate::SigningKeyName;
use request::S3Request;

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
    /// Domains below which buckets are served as websites.
    pub website_domains: Vec<String>,
    /// Whether Signature Version 2 is taken.
    pub sigv2: bool,
    /// Which connections without TLS may carry clients' keys (SSE-C).
    pub customer_keys_over_http: CustomerKeysOverHttp,
}

impl Default for S3Options {
    fn default() -> Self {
        Self {
            domains: Vec::new(),
            region: "auto".to_owned(),
            presign_expiry_max_s: VerifyLimits::default().presign_expiry_max_s,
            website_domains: vec![LOCALHOST_WEBSITES.to_owned()],
            sigv2: false,
            customer_keys_over_http: CustomerKeysOverHttp::default(),
        }
    }
}

/// Signing keys kept: one per access key, day and region.
const SIGNING_KEYS_MAX: usize = 100_000;

/// Answers S3 requests. Cheap to clone.
#[derive(Clone)]
pub struct S3Service {
    store: Store,
    iam: Iam,
    addressing: Arc<Addressing>,
    websites: Arc<WebsiteHosts>,
    options: Arc<S3Options>,
    /// Where event notifications may go.
    targets: Arc<Targets>,
    /// Access logs of buckets.
    bucket_logs: Option<BucketLogs>,
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
            websites: Arc::new(WebsiteHosts::new(&options.website_domains)),
            options: Arc::new(options),
            targets: Arc::default(),
            bucket_logs: None,
            signing_keys: Arc::new(Cache::new(SIGNING_KEYS_MAX)),
        }
    }

    /// The door to accounts.
    pub(crate) fn iam(&self) -> &Iam {
        &self.iam
    }

    /// The region that it is in.
    pub(crate) fn region(&self) -> &str {
        &self.options.region
    }

    /// The same service with targets for event notifications.
    #[must_use]
    pub fn with_targets(mut self, targets: Targets) -> Self {
        self.targets = Arc::new(targets);
        self
    }

    /// The same service, which writes lines into the logs of buckets.
    #[must_use]
    pub fn with_bucket_logs(mut self, logs: BucketLogs) -> Self {
        self.bucket_logs = Some(logs);
        self
    }

    /// The same service for one request: events tell that its sender caused them.
    fn acting_for(&self, request: &S3Request) -> Self {
        let context = &request.context;
        let origin = Origin {
            cause: match request.operation {
                Operation::PostObject => Cause::Form,
                _ => Cause::Request,
            },
            principal: request.account_id().to_owned(),
            source_ip: match context.peer {
                Peer::Tcp(address) => address.ip().to_canonical().to_string(),
                Peer::LocalSocket => String::new(),
            },
            request_id: context.request_id.to_string(),
            host_id: context.request_id.host_id(),
        };
        Self {
            store: self.store.acting_for(origin),
            ..self.clone()
        }
    }
}
