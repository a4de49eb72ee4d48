//! Connections: a pool of HTTP/1.1 over TCP or TLS, and the watch for stalls.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as PooledClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::body::SendBody;
use crate::config::Settings;
use crate::error::Error;
use crate::tls::{self, TlsSettings};

/// Long enough for a far host on a bad line, short enough to try another address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Below the idle timeouts that servers and load balancers commonly have (60 s and more), so that
/// a pooled connection is rarely one the other side has just closed.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// A request in which neither side moved a byte for so long is given up. Completing a large
/// multipart upload is the longest that an honest endpoint is silent.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(120);

pub(crate) type HttpClient = PooledClient<HttpsConnector<HttpConnector>, SendBody>;

/// A client that trusts what the settings say. Reads the system's certificates only for `https`.
pub(crate) fn build(settings: &Settings) -> Result<HttpClient, Error> {
    let tls = match settings.endpoint.is_tls() || settings.insecure {
        true => tls::client_config(&TlsSettings {
            ca_bundle: settings.ca_bundle.clone(),
            insecure: settings.insecure,
        }),
        false => tls::trusting_nobody(),
    };
    let tls = tls.map_err(|error| Error::Config(error.to_string()))?;
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp);
    Ok(PooledClient::builder(TokioExecutor::new())
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .pool_timer(TokioTimer::new())
        .build(connector))
}

/// When a request last moved a byte. Clones share the moment.
#[derive(Clone, Debug)]
pub(crate) struct Activity {
    begun: Instant,
    last_ms: Arc<AtomicU64>,
}

impl Activity {
    pub(crate) fn new() -> Self {
        Self {
            begun: Instant::now(),
            last_ms: Arc::default(),
        }
    }

    /// Notes that something moved.
    pub(crate) fn touch(&self) {
        let elapsed_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(elapsed_ms, Ordering::Relaxed);
    }

    /// Returns once nothing has moved for `limit`.
    pub(crate) async fn stalled(&self, limit: Duration) {
        loop {
            let last = Duration::from_millis(self.last_ms.load(Ordering::Relaxed));
            let deadline = self.begun + last + limit;
            if deadline <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(deadline.into()).await;
        }
    }
}
