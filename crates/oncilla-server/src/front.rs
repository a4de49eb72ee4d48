//! Where each request goes: through the limits, to `/-/` or to the S3 service, and out again with
//! the headers that every answer carries.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{CONNECTION, EXPECT, HOST, SERVER};
use http::{HeaderName, HeaderValue, Request, Response, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::service::TowerToHyperService;
use oncilla_wire::address::Addressing;
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::website::{LOCALHOST_WEBSITES, WebsiteHosts};

use crate::http_io::Activity;
use crate::in_flight::{InFlightRequests, RecordedBody, RequestRecord, RequestStart};
use crate::limits::{InFlightLimit, MemoryBudget};
use crate::metrics::Metrics;
use crate::refusal;
use crate::request_body::ContinueSent;
use crate::request_context::TlsSession;
use crate::{Peer, RequestBody, RequestContext, RequestFacts, RequestId, ResponseBody, Service};

/// Everything under this path is the server's own: no bucket name can begin with `-`.
pub const OWN_PATH: &str = "/-/";

/// The operation that requests under [`OWN_PATH`] are counted as.
const OWN_OPERATION: &str = "admin";

/// The longest answer of `/-/` that is taken into memory to be sent with its length: a metrics
/// page is about 100 KiB, a page of keys less.
const OWN_ANSWER_BYTES_MAX: usize = 16 << 20;

/// Largest request body in bytes, in the form it travels. S3's largest single upload is 5 GiB; in
/// aws-chunked form the smallest chunks (8 KiB) add 1.1 % of framing.
pub const BODY_BYTES_MAX_DEFAULT: u64 = (5 << 30) + (5 << 30) / 50;

/// Requests in flight at most, by default. Each holds a few KiB beside the memory it reserves from
/// the budget, so this bounds them to tens of MiB.
pub const IN_FLIGHT_MAX_DEFAULT: usize = 4096;

/// Memory for request buffers by default: small enough for a machine of 1 GiB, and 256 uploads with
/// 1 MiB of buffers each.
pub const MEMORY_BYTES_DEFAULT: usize = 256 << 20;

/// What the front lets through, and how long a client may be silent.
#[derive(Clone, Debug)]
pub struct FrontOptions {
    /// Requests in handlers or being answered, at most. Above it: `503 SlowDown`.
    pub in_flight_max: usize,
    /// Memory for request buffers in all.
    pub memory_bytes: usize,
    /// Largest request body in bytes, as it travels.
    pub body_bytes_max: u64,
    /// How long a request body may pause while the handler waits for it. It is reset by every byte.
    pub body_idle_timeout: Duration,
    /// Tells which hosts are buckets', as the S3 service reads them: their `/-/` is a key.
    pub addressing: Addressing,
    /// Tells which hosts are buckets' websites, as the S3 service reads them.
    pub websites: WebsiteHosts,
}

impl FrontOptions {
    /// Whether a host is a bucket's or its website's, so that its whole path is a key.
    fn is_bucket_host(&self, host: &str) -> bool {
        self.websites.bucket_of(host).is_some() || self.addressing.bucket_of_host(host).is_some()
    }
}

impl Default for FrontOptions {
    fn default() -> Self {
        Self {
            in_flight_max: IN_FLIGHT_MAX_DEFAULT,
            memory_bytes: MEMORY_BYTES_DEFAULT,
            body_bytes_max: BODY_BYTES_MAX_DEFAULT,
            body_idle_timeout: Duration::from_secs(60),
            addressing: Addressing::default(),
            websites: WebsiteHosts::new([LOCALHOST_WEBSITES]),
        }
    }
}

/// The front of the server, shared by all its connections.
#[derive(Debug)]
pub struct Front<S> {
    service: S,
    own: Option<TowerToHyperService<axum::Router>>,
    options: FrontOptions,
    in_flight: InFlightLimit,
    memory: MemoryBudget,
    metrics: Arc<Metrics>,
}

/// What a request's connection tells about it.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionContext {
    pub peer: Peer,
    pub tls: Option<TlsSession>,
    pub activity: Arc<Activity>,
    pub registry: Arc<InFlightRequests>,
}

impl<S: Service> Front<S> {
    /// A front before `service`, with `own` answering under [`OWN_PATH`]. Handlers of `own` find
    /// the [`RequestContext`] among the request's extensions.
    pub fn new(
        service: S,
        own: Option<axum::Router>,
        options: FrontOptions,
        memory: MemoryBudget,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            service,
            own: own.map(TowerToHyperService::new),
            in_flight: InFlightLimit::new(options.in_flight_max),
            memory,
            metrics,
            options,
        }
    }

    /// The counters of this server.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The memory that requests share.
    pub fn memory(&self) -> &MemoryBudget {
        &self.memory
    }

    pub(crate) async fn serve(
        &self,
        mut request: Request<Incoming>,
        connection: ConnectionContext,
    ) -> Result<Response<RecordedBody>, Infallible> {
        let arrived = Instant::now();
        let request_id = RequestId::next();
        let malformed = settle_host(&mut request).err();
        let facts = Arc::new(RequestFacts::default());
        let own = self.own.as_ref().filter(|_| self.is_own(&request));
        // Health and administration must answer above all when the server is busy.
        let admission = match own {
            Some(_) => Ok(None),
            None => self.in_flight.try_enter().map(Some),
        };
        let (slot, overloaded) = match admission {
            Ok(slot) => (slot, false),
            Err(_overloaded) => (None, true),
        };
        let mut record = RequestRecord::begin(
            RequestStart {
                request_id,
                peer: connection.peer,
                tls: connection.tls.is_some(),
                arrived,
                facts: Arc::clone(&facts),
                activity: connection.activity,
                registry: connection.registry,
                metrics: Arc::clone(&self.metrics),
                slot,
            },
            &request,
        );
        let expect = request.headers().get(EXPECT);
        let awaited_continue = expect
            .filter(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
            .map(|_| Arc::new(ContinueSent::default()));
        let request = request.map(|incoming| {
            RequestBody::from_connection(
                incoming,
                self.options.body_idle_timeout,
                self.options.body_bytes_max,
                awaited_continue.clone(),
                Arc::clone(&facts),
            )
        });
        let context = RequestContext {
            request_id,
            peer: connection.peer,
            tls: connection.tls.is_some(),
            tls_session: connection.tls,
            arrived,
            facts: Arc::clone(&facts),
            memory: self.memory.clone(),
        };
        let mut response = if let Some(error) = malformed {
            facts.note_error_code(error.code.as_str());
            refusal::response(&error, request_id)
        } else if overloaded {
            self.metrics.requests_refused.inc();
            facts.note_error_code(S3ErrorCode::SlowDown.as_str());
            let mut answer = refusal::response(&S3Error::new(S3ErrorCode::SlowDown), request_id);
            let (head, _) = request.into_parts();
            self.service.complete_refusal(&head, &mut answer).await;
            answer
        } else if let Some(own) = own {
            facts.note_operation(OWN_OPERATION);
            answer_own(own, request, context).await
        } else {
            self.service.handle(request, context).await
        };
        add_common_headers(&mut response, request_id);
        if awaited_continue.is_some_and(|awaited| !awaited.was_sent()) {
            // The client was answered in place of `100 Continue`. It may still send its body, and
            // botocore then takes the next answer on this connection for the rest of this one.
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        record.answered(response.status());
        Ok(response.map(|body| RecordedBody::new(body, record)))
    }

    fn is_own<B>(&self, request: &Request<B>) -> bool {
        let host = request.headers().get(HOST);
        let host = host.and_then(|value| value.to_str().ok());
        request.uri().path().starts_with(OWN_PATH)
            && !host.is_some_and(|host| self.options.is_bucket_host(host))
    }
}

/// Leaves a request with one host, which then both names the bucket and is what was signed: with two of
/// them, a URL presigned for one bucket would open another. The host of a target in absolute form takes
/// the place of the header.
///
/// Refuses a request that does not say which host it is for, says something that is none, or has two
/// headers: something before this server may have gone by the other one, or have joined the two.
/// HTTP/1.0 did not know hosts.
/// Source: RFC 9112 §3.2; RFC 3986 §3.2.2, of which names in DNS use a part.
fn settle_host<B>(request: &mut Request<B>) -> Result<(), S3Error> {
    let mut sent = request.headers().get_all(HOST).iter();
    let is_well_formed = match (sent.next(), sent.next()) {
        (None, _) => request.version() != Version::HTTP_11,
        (Some(host), None) => is_host(host),
        (Some(_), Some(_)) => false,
    };
    if !is_well_formed {
        return Err(refusal::malformed());
    }
    if let Some(authority) = request.uri().authority() {
        let host = HeaderValue::try_from(authority.as_str()).ok();
        let host = host.filter(is_host).ok_or_else(refusal::malformed)?;
        request.headers_mut().insert(HOST, host);
    }
    Ok(())
}

fn is_host(value: &HeaderValue) -> bool {
    let mut bytes = value.as_bytes().iter();
    bytes.all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(byte))
}

async fn answer_own(
    own: &TowerToHyperService<axum::Router>,
    mut request: Request<RequestBody>,
    context: RequestContext,
) -> Response<ResponseBody> {
    let request_id = context.request_id;
    request.extensions_mut().insert(context);
    let answer = match hyper::service::Service::call(own, request).await {
        Ok(answer) => answer,
        Err(never) => match never {},
    };
    let (head, body) = answer.into_parts();
    match http_body_util::Limited::new(body, OWN_ANSWER_BYTES_MAX)
        .collect()
        .await
    {
        Ok(body) => Response::from_parts(head, ResponseBody::from(body.to_bytes())),
        Err(error) => {
            tracing::error!(%request_id, %error, "an administrative answer could not be written");
            refusal::response(&S3Error::new(S3ErrorCode::InternalError), request_id)
        }
    }
}

fn add_common_headers(response: &mut Response<ResponseBody>, request_id: RequestId) {
    const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");
    const HOST_ID: HeaderName = HeaderName::from_static("x-amz-id-2");
    let headers = response.headers_mut();
    headers.insert(SERVER, HeaderValue::from_static(refusal::SERVER_NAME));
    if let Ok(value) = HeaderValue::try_from(request_id.to_string()) {
        headers.insert(REQUEST_ID, value);
    }
    if let Ok(value) = HeaderValue::try_from(request_id.host_id()) {
        headers.insert(HOST_ID, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_one_host() {
        let (path, url) = ("/k", "http://b.localhost:1/k");
        for (version, target, hosts, expected) in [
            (Version::HTTP_10, path, 0, Some("")),
            (Version::HTTP_10, path, 1, Some("a.localhost")),
            (Version::HTTP_10, path, 2, None),
            (Version::HTTP_10, url, 0, Some("b.localhost:1")),
            (Version::HTTP_11, path, 0, None),
            (Version::HTTP_11, path, 1, Some("a.localhost")),
            (Version::HTTP_11, path, 2, None),
            (Version::HTTP_11, url, 0, None),
            (Version::HTTP_11, url, 1, Some("b.localhost:1")),
            (Version::HTTP_11, url, 2, None),
        ] {
            let mut request = Request::builder().version(version).uri(target);
            for _ in 0..hosts {
                request = request.header(HOST, "a.localhost");
            }
            let mut request = request.body(()).unwrap();
            let settled = settle_host(&mut request).ok().map(|()| {
                let host = request.headers().get(HOST);
                host.map_or("", |host| host.to_str().unwrap())
            });
            assert_eq!(settled, expected, "{version:?} {target} {hosts}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for (host, is_taken) in [
            ("a.localhost:9000", true),
            ("[::1]:9000", true),
            ("my_service", true),
            // RFC 9112 §3.2: of a target without an authority.
            ("", true),
            ("a, b", false),
            ("a,b", false),
            ("a b", false),
            ("user@a", false),
            ("a/b", false),
            ("a?b", false),
            ("a%2fb", false),
        ] {
            let request = Request::builder().uri("/k").header(HOST, host);
            let settled = settle_host(&mut request.body(()).unwrap());
            assert_eq!(settled.is_ok(), is_taken, "{host}");
        }
        for (target, host) in [("http://user@a/k", "a"), ("http://a/k", "user@a")] {
            let request = Request::builder().uri(target).header(HOST, host);
            let settled = settle_host(&mut request.body(()).unwrap());
            assert!(settled.is_err(), "{target} {host}");
        }
    }

    #[test]
    fn the_path_of_a_bucket_host_is_a_key() {
        let options = FrontOptions {
            addressing: Addressing::new(["s3.example.com", "eu.s3.example.com"]),
            websites: WebsiteHosts::new(["s3-website.example.com"]),
            ..FrontOptions::default()
        };
        for (host, is_bucket) in [
            ("b.localhost", true),
            ("b.localhost:9000", true),
            ("B.LOCALHOST.", true),
            ("a.b.s3.example.com", true),
            ("b.s3-website.example.com", true),
            ("b.s3-website-eu-west-1.example.com", true),
            ("b.s3-website-eu-west-1.example.com:9000", true),
            ("localhost", false),
            ("localhost:9000", false),
            ("127.0.0.1:9000", false),
            ("[::1]:9000", false),
            ("", false),
            (".localhost", false),
            ("s3.example.com", false),
            ("eu.s3.example.com", false),
            ("s3-website.example.com", false),
            ("s3-website-eu-west-1.example.com", false),
            ("other.example.com", false),
        ] {
            assert_eq!(options.is_bucket_host(host), is_bucket, "{host}");
        }
    }
}
