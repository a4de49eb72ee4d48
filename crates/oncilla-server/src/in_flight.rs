//! One request from its head to the last byte of its answer: it is registered while it lasts, and
//! counted and logged when it is over, however it ends.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use jiff::Timestamp;
use oncilla_wire::error::S3ErrorCode;
use parking_lot::Mutex;

use crate::access_log::{self, AccessLogLine};
use crate::bucket_logs::Ended;
use crate::http_io::Activity;
use crate::limits::InFlightSlot;
use crate::metrics::{Metrics, RequestMeasure};
use crate::request_context::RequestFacts;
use crate::transfer::{CutOff, Waits};
use crate::{Peer, RequestId, ResponseBody};

/// The label of requests whose operation no handler named.
const OPERATION_UNKNOWN: &str = "unknown";

/// The requests in flight on one runtime, so that a shutdown can name what it waits for, and those
/// found that hold memory which others need.
#[derive(Debug, Default)]
pub struct InFlightRequests {
    requests: Mutex<HashMap<u64, Arc<InFlightRequest>>>,
    next: AtomicU64,
}

/// A request in flight, as others see it.
#[derive(Debug)]
pub(crate) struct InFlightRequest {
    request_id: RequestId,
    peer: Peer,
    method: http::Method,
    uri: http::Uri,
    began: Instant,
    facts: Arc<RequestFacts>,
    activity: Arc<Activity>,
}

impl InFlightRequests {
    /// A line for each request in flight, for the log.
    pub fn describe(&self) -> Vec<String> {
        let requests: Vec<_> = self.requests.lock().values().cloned().collect();
        let describe = |request: Arc<InFlightRequest>| request.to_string();
        requests.into_iter().map(describe).collect()
    }

    /// Those that hold memory of the budget.
    pub(crate) fn holders(&self) -> Vec<Arc<InFlightRequest>> {
        let requests = self.requests.lock();
        let holds = |request: &&Arc<InFlightRequest>| request.held_units() > 0;
        requests.values().filter(holds).cloned().collect()
    }
}

impl InFlightRequest {
    /// What it holds of the budget, in its units.
    pub(crate) fn held_units(&self) -> usize {
        self.facts.transfer().held_units()
    }

    /// Whether it was ended by [`InFlightRequest::cut`].
    pub(crate) fn is_cut(&self) -> bool {
        self.facts.transfer().is_cut()
    }

    /// How fast its client is, if it is slow: see [`crate::transfer::Transfer::slow_pace`].
    pub(crate) fn slow_pace(&self) -> Option<u64> {
        self.facts.transfer().slow_pace()
    }

    /// Ends it if the server waits for its client, and says so: an upload is answered, an answer
    /// that has begun can only break off.
    pub(crate) fn cut(&self) -> bool {
        let Some(cut) = self.facts.transfer().cut() else {
            return false;
        };
        let CutOff {
            whom,
            waker,
            moved_bytes,
            waited,
        } = cut;
        if whom == Waits::ForReader {
            let code = S3ErrorCode::RequestTimeout;
            self.facts.note_error_code(code.as_str());
            self.activity.cut();
        }
        waker.wake();
        let waited_s = waited.as_secs_f32();
        tracing::warn!(
            request = %self, moved_bytes, waited_s,
            "a slow transfer was cut: others waited for the memory it held"
        );
        true
    }
}

impl fmt::Display for InFlightRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {} from {} for {:.1} s",
            self.request_id,
            self.method,
            access_log::redacted_target(&self.uri),
            self.peer,
            self.began.elapsed().as_secs_f32()
        )
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
    pub slot: Option<InFlightSlot>,
}

/// A request in flight; dropping it ends it.
#[derive(Debug)]
pub(crate) struct RequestRecord {
    request: Arc<InFlightRequest>,
    tls: bool,
    registry: Arc<InFlightRequests>,
    registered_as: u64,
    metrics: Arc<Metrics>,
    /// Held, not read: its end is the end of the request.
    _slot: Option<InFlightSlot>,
    time: Timestamp,
    user_agent: Option<http::HeaderValue>,
    status: Option<u16>,
    first_byte: Option<Duration>,
    sent_bytes: u64,
    complete: bool,
}

impl RequestRecord {
    pub(crate) fn begin<B>(start: RequestStart, request: &http::Request<B>) -> Self {
        start.metrics.requests_in_flight.inc();
        start.activity.request_began();
        let user_agent = request.headers().get(http::header::USER_AGENT);
        let request = Arc::new(InFlightRequest {
            request_id: start.request_id,
            peer: start.peer,
            method: request.method().clone(),
            uri: request.uri().clone(),
            began: start.arrived,
            facts: start.facts,
            activity: start.activity,
        });
        let registry = start.registry;
        let registered_as = registry.next.fetch_add(1, Ordering::Relaxed);
        let registered = Arc::clone(&request);
        registry.requests.lock().insert(registered_as, registered);
        Self {
            request,
            tls: start.tls,
            registry,
            registered_as,
            metrics: start.metrics,
            _slot: start.slot,
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
        self.first_byte = Some(self.request.began.elapsed());
    }
}

impl Drop for RequestRecord {
    fn drop(&mut self) {
        let request = &self.request;
        self.registry.requests.lock().remove(&self.registered_as);
        self.metrics.requests_in_flight.dec();
        request.activity.request_ended();
        let facts = request.facts.read();
        let total = request.began.elapsed();
        let received_bytes = request.facts.received_bytes();
        self.metrics.observe(RequestMeasure {
            operation: facts.operation.unwrap_or(OPERATION_UNKNOWN),
            status: self.status.filter(|_| self.complete),
            error_code: facts.error_code,
            duration: total,
            received_bytes,
            sent_bytes: self.sent_bytes,
        });
        if let Some(draft) = request.facts.bucket_log() {
            draft.end(Ended {
                request_id: request.request_id,
                peer: request.peer,
                method: &request.method,
                uri: &request.uri,
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
            request_id: request.request_id,
            peer: request.peer,
            tls: self.tls,
            method: request.method.as_str(),
            target: &access_log::redacted_target(&request.uri),
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
    /// Whether the server waits for the client to take what was given last.
    waits: bool,
}

impl RecordedBody {
    pub(crate) fn new(body: ResponseBody, mut record: RequestRecord) -> Self {
        // hyper does not ask a body that is empty, nor that of an answer to HEAD.
        record.complete = body.is_end_stream() || record.request.method == http::Method::HEAD;
        Self {
            body,
            record,
            waits: false,
        }
    }

    /// hyper asks for more: the client has taken what it was given. Says whether the answer has been
    /// ended meanwhile.
    fn is_cut_after_waiting(&mut self) -> bool {
        let waited = std::mem::take(&mut self.waits);
        waited && self.record.request.facts.transfer().go_on()
    }

    /// hyper has been given something, and asks again when there is room for more.
    fn wait_for_reader(&mut self, context: &Context<'_>) {
        let facts = &self.record.request.facts;
        let transfer = facts.transfer();
        if self.record.complete || transfer.held_units() == 0 {
            return;
        }
        let moved_bytes = facts.received_bytes() + self.record.sent_bytes;
        // That it has been cut is found by the next question.
        transfer.wait(Waits::ForReader, moved_bytes, context);
        self.waits = true;
    }
}

impl Body for RecordedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let comes_in_turn = self.body.comes_in_turn();
        if comes_in_turn {
            // Until there is room the wait for the reader goes on.
            ready!(self.record.request.activity.poll_room(context));
        }
        if self.is_cut_after_waiting() {
            let message = "the client read too slowly while others waited for memory";
            let error = io::Error::new(io::ErrorKind::TimedOut, message);
            return Poll::Ready(Some(Err(error)));
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if comes_in_turn {
            self.record.request.activity.piece_given();
        }
        match &frame {
            Some(Ok(frame)) => {
                self.record.sent_bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                self.record.complete = self.body.is_end_stream();
                self.wait_for_reader(context);
            }
            Some(Err(error)) => {
                let request_id = self.record.request.request_id;
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
