//! One request from its head to the last byte of its answer: it is registered while it lasts, and
//! counted and logged when it is over, however it ends.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use jiff::Timestamp;
use parking_lot::Mutex;

use crate::access_log::{self, AccessLogLine};
use crate::bucket_logs::Ended;
use crate::http_io::Activity;
use crate::limits::InFlightSlot;
use crate::metrics::{Metrics, RequestMeasure};
use crate::request_context::RequestFacts;
use crate::{Peer, RequestId, ResponseBody};

/// The label of requests whose operation no handler named.
const OPERATION_UNKNOWN: &str = "unknown";

/// The requests in flight on one runtime, so that a shutdown can name what it waits for.
#[derive(Debug, Default)]
pub struct InFlightRequests {
    requests: Mutex<HashMap<u64, Arc<Description>>>,
    next: AtomicU64,
}

#[derive(Debug)]
struct Description {
    request_id: RequestId,
    peer: Peer,
    method: http::Method,
    uri: http::Uri,
    began: Instant,
}

impl InFlightRequests {
    /// A line for each request in flight, for the log.
    pub fn describe(&self) -> Vec<String> {
        let requests: Vec<_> = self.requests.lock().values().cloned().collect();
        let describe = |request: Arc<Description>| {
            format!(
                "{} {} {} from {} for {:.1} s",
                request.request_id,
                request.method,
                access_log::redacted_target(&request.uri),
                request.peer,
                request.began.elapsed().as_secs_f32()
            )
        };
        requests.into_iter().map(describe).collect()
    }
}

/// What a request needs to be registered, counted and logged.
#[derive(Debug)]
pub(crate) struct RequestStart {
    pub request_id: RequestId,
    pub peer: Peer,
    pub tls: bool,
    pub arrived: Instant,
    pub facts: Arc<RequestFacts>,
    pub activity: Arc<Activity>,
    pub registry: Arc<InFlightRequests>,
    pub metrics: Arc<Metrics>,
    /// Held, not read: its end is the end of the request.
    pub _slot: Option<InFlightSlot>,
}

/// A request in flight; dropping it ends it.
#[derive(Debug)]
pub(crate) struct RequestRecord {
    start: RequestStart,
    registered_as: u64,
    description: Arc<Description>,
    time: Timestamp,
    user_agent: Option<http::HeaderValue>,
    status: Option<u16>,
    first_byte: Option<Duration>,
    sent_bytes: u64,
    complete: bool,
}

impl RequestRecord {
    pub(crate) fn begin<B>(start: RequestStart, request: &http::Request<B>) -> Self {
        let description = Arc::new(Description {
            request_id: start.request_id,
            peer: start.peer,
            method: request.method().clone(),
            uri: request.uri().clone(),
            began: start.arrived,
        });
        let registered_as = start.registry.next.fetch_add(1, Ordering::Relaxed);
        start
            .registry
            .requests
            .lock()
            .insert(registered_as, Arc::clone(&description));
        start.metrics.requests_in_flight.inc();
        start.activity.request_began();
        let user_agent = request.headers().get(http::header::USER_AGENT);
        Self {
            start,
            registered_as,
            description,
            time: Timestamp::now(),
            user_agent: user_agent.cloned(),
            status: None,
            first_byte: None,
            sent_bytes: 0,
            complete: false,
        }
    }

    /// The handler has answered; what is left is to send the body.
    pub(crate) fn answered(&mut self, status: http::StatusCode) {
        self.status = Some(status.as_u16());
        self.first_byte = Some(self.start.arrived.elapsed());
    }
}

impl Drop for RequestRecord {
    fn drop(&mut self) {
        let start = &self.start;
        start.registry.requests.lock().remove(&self.registered_as);
        start.metrics.requests_in_flight.dec();
        start.activity.request_ended();
        let facts = start.facts.read();
        let total = start.arrived.elapsed();
        let received_bytes = start.facts.received_bytes();
        start.metrics.observe(RequestMeasure {
            operation: facts.operation.unwrap_or(OPERATION_UNKNOWN),
            status: self.status.filter(|_| self.complete),
            error_code: facts.error_code,
            duration: total,
            received_bytes,
            sent_bytes: self.sent_bytes,
        });
        if let Some(draft) = start.facts.bucket_log() {
            draft.end(Ended {
                request_id: start.request_id,
                peer: start.peer,
                method: &self.description.method,
                uri: &self.description.uri,
                user_agent: self.user_agent.as_ref(),
                facts: &facts,
                status: self.status,
                sent_bytes: self.sent_bytes,
                first_byte: self.first_byte,
                total,
            });
        }
        if !access_log::is_enabled() {
            return;
        }
        let user_agent = self.user_agent.as_ref().map(access_log::header_text);
        access_log::write(&AccessLogLine {
            time: self.time,
            request_id: start.request_id,
            peer: start.peer,
            tls: start.tls,
            method: self.description.method.as_str(),
            target: &access_log::redacted_target(&self.description.uri),
            user_agent: user_agent.as_deref(),
            facts: &facts,
            status: self.status,
            complete: self.complete,
            received_bytes,
            sent_bytes: self.sent_bytes,
            first_byte: self.first_byte,
            total,
        });
    }
}

/// The body of an answer together with the request it ends. hyper drops it when it has taken the
/// last byte, or when the client goes away.
#[derive(Debug)]
pub struct RecordedBody {
    body: ResponseBody,
    record: RequestRecord,
}

impl RecordedBody {
    pub(crate) fn new(body: ResponseBody, mut record: RequestRecord) -> Self {
        // hyper does not ask a body that is empty, nor that of an answer to HEAD.
        record.complete = body.is_end_stream() || record.description.method == http::Method::HEAD;
        Self { body, record }
    }
}

impl Body for RecordedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                self.record.sent_bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                self.record.complete = self.body.is_end_stream();
            }
            Some(Err(error)) => {
                let request_id = self.record.start.request_id;
                tracing::error!(%request_id, %error, "an answer could not be completed");
            }
            None => self.record.complete = true,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
