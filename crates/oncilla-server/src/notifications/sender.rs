//! Posting messages: a pool of connections, certificates verified, redirects not followed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use oncilla_client::tls::{self, TlsSettings};

use super::target::{Target, TargetError, Targets};

/// Below the idle timeouts that servers commonly have (60 s), so that a pooled connection is rarely
/// one that the other side has just closed.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Idle connections kept per host.
const POOL_IDLE_MAX: usize = 8;

/// How much of an answer is read, so that its connection can be used again.
const ANSWER_BYTES_MAX: usize = 64 << 10;

const SENDER_NAME: &str = concat!("oncilla/", env!("CARGO_PKG_VERSION"));

type HttpClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Why a message was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The target answered something else than 2xx.
    #[error("the target answered {0}")]
    Refused(StatusCode),
    /// It did not answer in time.
    #[error("the target did not answer within {0:?}")]
    Timeout(Duration),
    /// It could not be reached.
    #[error("{0}")]
    Unreachable(String),
}

/// Posts messages to targets.
pub struct Sender {
    usual: HttpClient,
    /// For targets with certificates of their own, by the file that has them.
    of_bundles: BTreeMap<PathBuf, HttpClient>,
}

impl Sender {
    pub fn new(targets: &Targets) -> Result<Self, TargetError> {
        let needs_roots = |target: &Target| {
            target.url.scheme_str() == Some("https") && target.ca_bundle.is_none()
        };
        let usual = match targets.urls_allowed || targets.by_name.values().any(needs_roots) {
            true => tls::client_config(&TlsSettings::default())?,
            false => tls::trusting_nobody()?,
        };
        let mut of_bundles = BTreeMap::new();
        for path in targets.by_name.values().filter_map(|t| t.ca_bundle.clone()) {
            let config = tls::client_config(&TlsSettings {
                ca_bundle: Some(path.clone()),
                insecure: false,
            })?;
            of_bundles.insert(path, client(config));
        }
        Ok(Self {
            usual: client(usual),
            of_bundles,
        })
    }

    /// Posts a message; the target has taken it when this succeeds.
    pub async fn send(&self, target: &Target, message: Bytes) -> Result<(), SendError> {
        let own = target.ca_bundle.as_ref();
        let own = own.and_then(|path| self.of_bundles.get(path));
        let mut request = Request::post(target.url.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(USER_AGENT, HeaderValue::from_static(SENDER_NAME));
        if let Some(authorization) = &target.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        let request = request.body(Full::new(message)).map_err(unreachable)?;
        let exchange = async {
            let answer = own.unwrap_or(&self.usual).request(request).await;
            let (head, body) = answer.map_err(unreachable)?.into_parts();
            // What it says is of no interest; a longer answer only costs the connection.
            let _ = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            match head.status.is_success() {
                true => Ok(()),
                false => Err(SendError::Refused(head.status)),
            }
        };
        tokio::time::timeout(target.timeout, exchange)
            .await
            .unwrap_or(Err(SendError::Timeout(target.timeout)))
    }
}

fn client(tls: rustls::ClientConfig) -> HttpClient {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp);
    Client::builder(TokioExecutor::new())
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .pool_max_idle_per_host(POOL_IDLE_MAX)
        .pool_timer(TokioTimer::new())
        .build(connector)
}

/// Says the causes too: the outermost error alone is hardly ever of use.
fn unreachable(error: impl std::error::Error) -> SendError {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    SendError::Unreachable(text)
}
