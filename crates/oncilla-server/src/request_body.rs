//! The body of a request as a handler reads it: bounded, counted, and cut when it stalls.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::Semaphore;
use tokio::time::{Instant, Sleep};

use crate::RequestFacts;
use crate::transfer::Waits;

/// How much of a body that nobody wants is read and thrown away after the handler has answered, so
/// that a client which sends before it reads finds the answer and not a reset connection. 16 MiB is
/// more than any SDK's part that travels without `Expect: 100-continue`.
const DISCARD_BYTES_MAX: u64 = 16 << 20;

/// How long such a body is listened to at most.
const DISCARD_TIME_MAX: Duration = Duration::from_secs(10);

/// How many such bodies are listened to at once. Each takes a connection's read buffer, which grows to
/// hundreds of KiB, and is nobody's request any more, so that no limit of requests reaches it. The
/// connections of further ones are closed.
static DISCARDS: Semaphore = Semaphore::const_new(128);

/// Why a body ended before its end. What can the handler do? Answer, and change nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BodyError {
    /// No byte came for the idle timeout: S3's `RequestTimeout`.
    #[error("no byte of the request body came for {} s", idle.as_secs_f32())]
    Stalled {
        /// The idle timeout.
        idle: Duration,
    },
    /// Bytes came, but slowly, and others waited for the memory that the request held: S3's
    /// `RequestTimeout`.
    #[error("the request body came too slowly while others waited for memory")]
    TooSlow,
    /// More bytes than the limit: S3's `EntityTooLarge`.
    #[error("the request body is longer than {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: u64,
    },
    /// The connection ended before the body did: S3's `IncompleteBody`.
    #[error("the request body ended early after {received_bytes} bytes: {detail}")]
    Incomplete {
        /// What had come.
        received_bytes: u64,
        /// What the connection reported.
        detail: String,
    },
}

/// Whether `100 Continue` was sent to a client that waits for it.
#[derive(Debug, Default)]
pub(crate) struct ContinueSent(AtomicBool);

impl ContinueSent {
    /// Whether the body was asked for. An empty body never is.
    pub fn was_sent(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The body of a request. Time spent outside of it (in the handler, on the disk) never counts
/// against the client: the idle clock runs only while the handler waits for bytes.
#[derive(Debug)]
pub struct RequestBody {
    source: Source,
    idle_timeout: Duration,
    limit_bytes: u64,
    received_bytes: u64,
    /// Where bytes are counted for the log and the metrics.
    facts: Arc<RequestFacts>,
    /// Made for the first wait and set anew for each further one.
    idle_clock: Option<Pin<Box<Sleep>>>,
    /// Whether the handler waits for bytes, and the clock runs.
    is_waiting: bool,
    ended: bool,
    /// Set if the client waits for `100 Continue`, which the first poll of the body sends.
    awaited_continue: Option<Arc<ContinueSent>>,
}

#[derive(Debug)]
enum Source {
    Connection(Incoming),
    Memory(Bytes),
}

impl RequestBody {
    /// Wraps a body that arrives on a connection.
    pub(crate) fn from_connection(
        incoming: Incoming,
        idle_timeout: Duration,
        limit_bytes: u64,
        awaited_continue: Option<Arc<ContinueSent>>,
        facts: Arc<RequestFacts>,
    ) -> Self {
        let ended = incoming.is_end_stream();
        Self {
            source: Source::Connection(incoming),
            idle_timeout,
            limit_bytes,
            received_bytes: 0,
            facts,
            idle_clock: None,
            is_waiting: false,
            ended,
            awaited_continue,
        }
    }

    /// A body that is already there; for handlers' own tests.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self {
            ended: bytes.is_empty(),
            source: Source::Memory(bytes),
            idle_timeout: Duration::MAX,
            limit_bytes: u64::MAX,
            received_bytes: 0,
            facts: Arc::default(),
            idle_clock: None,
            is_waiting: false,
            awaited_continue: None,
        }
    }

    /// The next bytes as they came (never empty), or `None` at the end. The first call sends
    /// `100 Continue` to a client that waits for it. Cancel-safe: no byte is lost when the future
    /// is dropped.
    pub async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        std::future::poll_fn(|context| self.poll_data(context)).await
    }

    /// Reads the whole body, refusing one that is longer than `limit_bytes` before buffering more
    /// than that. For small documents; reserve memory for `limit_bytes` first.
    ///
    /// # Errors
    /// See [`BodyError`].
    pub async fn collect(&mut self, limit_bytes: u64) -> Result<Bytes, BodyError> {
        let too_large = BodyError::TooLarge { limit_bytes };
        if self.size_hint().lower() > limit_bytes {
            return Err(too_large);
        }
        let mut first = Bytes::new();
        let mut joined: Vec<u8> = Vec::new();
        while let Some(chunk) = self.next().await {
            let chunk = chunk?;
            let length = first.len() + joined.len() + chunk.len();
            if length as u64 > limit_bytes {
                return Err(too_large);
            }
            if first.is_empty() && joined.is_empty() {
                first = chunk;
                continue;
            }
            if joined.is_empty() {
                joined.extend_from_slice(&first);
                first = Bytes::new();
            }
            joined.extend_from_slice(&chunk);
        }
        Ok(if joined.is_empty() {
            first
        } else {
            Bytes::from(joined)
        })
    }

    /// The length that the head promised (`Content-Length`), if it did.
    pub fn length_bytes(&self) -> Option<u64> {
        match &self.source {
            Source::Connection(incoming) => incoming
                .size_hint()
                .exact()
                .map(|rest| rest + self.received_bytes),
            Source::Memory(bytes) => Some(bytes.len() as u64 + self.received_bytes),
        }
    }

    /// How many bytes have been read so far, as they came (before any decoding).
    pub fn received_bytes(&self) -> u64 {
        self.received_bytes
    }

    fn poll_data(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        loop {
            if self.ended {
                return Poll::Ready(None);
            }
            if self.received_bytes == 0 && self.size_hint().lower() > self.limit_bytes {
                // Refused by its announced length, before it is asked for.
                self.ended = true;
                return Poll::Ready(Some(Err(BodyError::TooLarge {
                    limit_bytes: self.limit_bytes,
                })));
            }
            if let Some(awaited) = &self.awaited_continue {
                awaited.0.store(true, Ordering::Relaxed);
            }
            let incoming = match &mut self.source {
                Source::Connection(incoming) => incoming,
                Source::Memory(bytes) => {
                    self.ended = true;
                    let bytes = std::mem::take(bytes);
                    self.received_bytes = bytes.len() as u64;
                    return Poll::Ready(Some(Ok(bytes)));
                }
            };
            match Pin::new(incoming).poll_frame(context) {
                Poll::Pending => {
                    if self.is_cut_while_waiting(context) {
                        self.ended = true;
                        return Poll::Ready(Some(Err(BodyError::TooSlow)));
                    }
                    ready!(self.poll_idle_clock(context));
                    self.ended = true;
                    return Poll::Ready(Some(Err(BodyError::Stalled {
                        idle: self.idle_timeout,
                    })));
                }
                Poll::Ready(None) => {
                    self.waits_no_longer();
                    self.ended = true;
                    return Poll::Ready(None);
                }
                Poll::Ready(Some(Err(error))) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(BodyError::Incomplete {
                        received_bytes: self.received_bytes,
                        detail: error.to_string(),
                    })));
                }
                Poll::Ready(Some(Ok(frame))) => {
                    self.waits_no_longer();
                    // Trailers of HTTP itself are not part of S3's protocol: aws-chunked has its own.
                    let Ok(data) = frame.into_data() else {
                        continue;
                    };
                    if data.is_empty() {
                        continue;
                    }
                    return Poll::Ready(Some(self.account(data)));
                }
            }
        }
    }

    /// Tells others that this waits for the client. Says whether they have ended it meanwhile.
    fn is_cut_while_waiting(&self, context: &Context<'_>) -> bool {
        let transfer = self.facts.transfer();
        transfer.wait(Waits::ForSender, self.received_bytes, context)
    }

    /// A cut that comes together with bytes is passed over here: the next wait finds it.
    fn waits_no_longer(&mut self) {
        if self.is_waiting {
            self.is_waiting = false;
            self.facts.transfer().go_on();
        }
    }

    /// Ready when the client has sent nothing for the idle timeout.
    fn poll_idle_clock(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let deadline = || {
            // A timeout beyond the clock's range means "never"; a year is as good.
            let year = Duration::from_secs(365 * 86_400);
            let now = Instant::now();
            now.checked_add(self.idle_timeout).unwrap_or(now + year)
        };
        let clock = match &mut self.idle_clock {
            Some(clock) => {
                if !self.is_waiting {
                    clock.as_mut().reset(deadline());
                }
                clock
            }
            None => self
                .idle_clock
                .insert(Box::pin(tokio::time::sleep_until(deadline()))),
        };
        self.is_waiting = true;
        clock.as_mut().poll(context)
    }

    fn account(&mut self, data: Bytes) -> Result<Bytes, BodyError> {
        self.received_bytes += data.len() as u64;
        self.facts.add_received_bytes(data.len() as u64);
        if self.received_bytes > self.limit_bytes {
            self.ended = true;
            return Err(BodyError::TooLarge {
                limit_bytes: self.limit_bytes,
            });
        }
        Ok(data)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.poll_data(context)
            .map(|next| next.map(|data| data.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Connection(incoming) => incoming.size_hint(),
            Source::Memory(bytes) => SizeHint::with_exact(bytes.len() as u64),
        }
    }
}

impl Drop for RequestBody {
    /// Reads on for a while when the handler answered without reading to the end: see
    /// `DISCARD_BYTES_MAX`. A body that still waits for `100 Continue` is left alone.
    fn drop(&mut self) {
        self.waits_no_longer();
        let waits = self
            .awaited_continue
            .as_ref()
            .is_some_and(|awaited| !awaited.was_sent());
        if self.ended || waits {
            return;
        }
        let source = std::mem::replace(&mut self.source, Source::Memory(Bytes::new()));
        let Source::Connection(incoming) = source else {
            return;
        };
        if incoming.is_end_stream() || incoming.size_hint().lower() > DISCARD_BYTES_MAX {
            return;
        }
        let Ok(permit) = DISCARDS.try_acquire() else {
            return;
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let discarded = discard(incoming, Arc::clone(&self.facts));
            runtime.spawn(async move {
                let _permit = permit;
                tokio::time::timeout(DISCARD_TIME_MAX, discarded).await
            });
        }
    }
}

async fn discard(mut incoming: Incoming, facts: Arc<RequestFacts>) {
    use http_body_util::BodyExt;
    let mut discarded_bytes = 0;
    while let Some(Ok(frame)) = incoming.frame().await {
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        facts.add_received_bytes(length);
        discarded_bytes += length;
        if discarded_bytes > DISCARD_BYTES_MAX {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_in_memory_is_given_once() {
        let mut body = RequestBody::from_bytes("abc");
        assert_eq!(body.length_bytes(), Some(3));
        assert_eq!(body.next().await.unwrap().unwrap(), "abc");
        assert!(body.next().await.is_none());
        assert_eq!(body.received_bytes(), 3);
        assert_eq!(body.length_bytes(), Some(3));
        assert!(RequestBody::from_bytes("").next().await.is_none());
    }

    #[tokio::test]
    async fn collecting_is_bounded() {
        assert_eq!(
            RequestBody::from_bytes("abc").collect(3).await.unwrap(),
            "abc"
        );
        let error = RequestBody::from_bytes("abcd")
            .collect(3)
            .await
            .unwrap_err();
        assert!(matches!(error, BodyError::TooLarge { limit_bytes: 3 }));
    }
}
