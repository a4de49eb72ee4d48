//! What lies between hyper and a connection's bytes: it knows whether the connection is idle, reads
//! a head or serves a request, and gives hyper's own refusals of malformed heads the shape of S3.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;
use oncilla_wire::error::{S3Error, S3ErrorCode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::RequestId;
use crate::refusal;

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Between requests, or before the first.
    Idle,
    /// Some bytes of a request's head have come.
    Head,
    /// A request is being handled or its answer is on its way.
    Busy,
}

/// A connection's phase and since when. Shared by the connection's task, its IO and its requests.
#[derive(Debug)]
pub struct Activity {
    opened: Instant,
    phase: AtomicU8,
    since_ms: AtomicU64,
    /// Nothing of an earlier answer is still in hyper's buffer.
    flushed: AtomicBool,
    /// The connection is to be closed at once.
    is_cut: AtomicBool,
    /// hyper holds something of the answer under way.
    holds_piece: AtomicBool,
    /// Whoever waits for it to be written out.
    waits_for_room: AtomicWaker,
}

const PHASE_IDLE: u8 = 0;
const PHASE_HEAD: u8 = 1;
const PHASE_BUSY: u8 = 2;

impl Activity {
    /// A connection that was just opened.
    pub fn new() -> Self {
        Self {
            opened: Instant::now(),
            phase: AtomicU8::new(PHASE_IDLE),
            since_ms: AtomicU64::new(0),
            flushed: AtomicBool::new(true),
            is_cut: AtomicBool::new(false),
            holds_piece: AtomicBool::new(false),
            waits_for_room: AtomicWaker::new(),
        }
    }

    /// A request's head is complete.
    pub fn request_began(&self) {
        self.flushed.store(false, Ordering::Relaxed);
        self.enter(PHASE_BUSY);
    }

    /// hyper has taken the last byte of the answer.
    pub fn request_ended(&self) {
        self.enter(PHASE_IDLE);
    }

    /// The phase and how long it has lasted.
    pub fn phase(&self) -> (Phase, Duration) {
        let since = Duration::from_millis(self.since_ms.load(Ordering::Relaxed));
        let phase = match self.phase.load(Ordering::Relaxed) {
            PHASE_IDLE => Phase::Idle,
            PHASE_HEAD => Phase::Head,
            _ => Phase::Busy,
        };
        (phase, self.opened.elapsed().saturating_sub(since))
    }

    /// Nothing is lost when the connection is closed at this moment.
    pub fn is_quiet(&self) -> bool {
        self.phase.load(Ordering::Relaxed) != PHASE_BUSY && self.flushed.load(Ordering::Relaxed)
    }

    /// The connection is to be closed at once. Its task sees it when it is woken next.
    pub fn cut(&self) {
        self.is_cut.store(true, Ordering::Release);
    }

    /// Whether the connection is to be closed at once.
    pub fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::Acquire)
    }

    /// hyper has been given a piece of an answer.
    pub fn piece_given(&self) {
        self.holds_piece.store(true, Ordering::Relaxed);
    }

    /// Ready when all that hyper was given is written out.
    pub fn poll_room(&self, context: &Context<'_>) -> Poll<()> {
        if !self.holds_piece.load(Ordering::Relaxed) {
            return Poll::Ready(());
        }
        // The connection's own task writes and asks, so nothing can be written in between.
        self.waits_for_room.register(context.waker());
        Poll::Pending
    }

    fn bytes_read(&self) {
        if self.phase.load(Ordering::Relaxed) == PHASE_IDLE {
            self.enter(PHASE_HEAD);
        }
    }

    fn all_written(&self) {
        if self.holds_piece.swap(false, Ordering::Relaxed) {
            self.waits_for_room.wake();
        }
        if self.phase.load(Ordering::Relaxed) != PHASE_BUSY {
            self.flushed.store(true, Ordering::Relaxed);
        }
    }

    fn enter(&self, phase: u8) {
        let now_ms = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.since_ms.store(now_ms, Ordering::Relaxed);
        self.phase.store(phase, Ordering::Relaxed);
    }
}

impl Default for Activity {
    fn default() -> Self {
        Self::new()
    }
}

/// The IO that hyper reads from and writes to.
#[derive(Debug)]
pub struct HttpIo<T> {
    inner: T,
    activity: Arc<Activity>,
    refusal: Option<Refusal>,
}

/// An answer of ours on its way in the place of hyper's.
#[derive(Debug)]
struct Refusal {
    bytes: Vec<u8>,
    written_bytes: usize,
    /// How many of hyper's bytes it stands for.
    replaces_bytes: usize,
}

impl<T> HttpIo<T> {
    /// Wraps a connection.
    pub fn new(inner: T, activity: Arc<Activity>) -> Self {
        Self {
            inner,
            activity,
            refusal: None,
        }
    }
}

impl<T: AsyncWrite + Unpin> HttpIo<T> {
    /// Puts our answer in the place of hyper's. What hyper writes while no request is being
    /// handled and no answer is unsent can only be its own refusal of a head.
    fn poll_refuse(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Option<Poll<io::Result<usize>>> {
        if self.refusal.is_none() {
            if !self.activity.is_quiet() {
                return None;
            }
            let answer = refusal_in_place_of(bytes)?;
            self.refusal = Some(Refusal {
                bytes: answer,
                written_bytes: 0,
                replaces_bytes: bytes.len(),
            });
        }
        let refusal = self.refusal.as_mut()?;
        while refusal.written_bytes < refusal.bytes.len() {
            let rest = &refusal.bytes[refusal.written_bytes..];
            match Pin::new(&mut self.inner).poll_write(context, rest) {
                Poll::Pending => return Some(Poll::Pending),
                Poll::Ready(Err(error)) => return Some(Poll::Ready(Err(error))),
                Poll::Ready(Ok(0)) => {
                    return Some(Poll::Ready(Err(io::ErrorKind::WriteZero.into())));
                }
                Poll::Ready(Ok(written)) => refusal.written_bytes += written,
            }
        }
        let replaced = refusal.replaces_bytes;
        self.refusal = None;
        Some(Poll::Ready(Ok(replaced)))
    }
}

/// The S3 error for a status line of hyper's; `None` for anything else.
fn refusal_in_place_of(bytes: &[u8]) -> Option<Vec<u8>> {
    // hyper writes head and end of such an answer in one piece; were it ever otherwise, it is left
    // as it is.
    let head = bytes
        .strip_prefix(b"HTTP/1.1 ")
        .or_else(|| bytes.strip_prefix(b"HTTP/1.0 "))?;
    if !bytes.ends_with(b"\r\n\r\n") {
        return None;
    }
    let error = match head.get(..3)? {
        b"400" => refusal::malformed(),
        b"431" => S3Error::new(S3ErrorCode::RequestHeaderSectionTooLarge),
        _ => return None,
    };
    let request_id = RequestId::next();
    tracing::debug!(%request_id, code = error.code.as_str(), "malformed request refused");
    Some(refusal::raw_response(&error, request_id))
}

impl<T: AsyncRead + Unpin> AsyncRead for HttpIo<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.activity.bytes_read();
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for HttpIo<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(progress) = self.poll_refuse(context, bytes) {
            return progress;
        }
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = slices.iter().find(|slice| !slice.is_empty());
        if let Some(progress) = first.and_then(|slice| self.poll_refuse(context, slice)) {
            return progress;
        }
        Pin::new(&mut self.inner).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.inner).poll_flush(context))?;
        // hyper flushes its connection only after its own buffer has been written out.
        self.activity.all_written();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hypers_own_refusals_are_replaced() {
        let refusal = refusal_in_place_of(b"HTTP/1.1 431 x\r\ncontent-length: 0\r\n\r\n").unwrap();
        let text = String::from_utf8(refusal).unwrap();
        assert!(text.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{text}");
        assert!(
            text.contains("<Code>RequestHeaderSectionTooLarge</Code>"),
            "{text}"
        );
        assert!(refusal_in_place_of(b"HTTP/1.1 100 Continue\r\n\r\n").is_none());
        assert!(refusal_in_place_of(b"HTTP/1.1 400 Bad").is_none());
        assert!(refusal_in_place_of(b"").is_none());
    }
}
