//! One connection, and one request and answer on it.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::outgoing::SLICES_MAX;
use super::{Fed, Outgoing, ResponseError, ResponseParser};
use crate::contents::Contents;

/// What one read can take. Large enough that a 1 MiB body needs few system calls, small enough to
/// stay in a core's cache, which is why connections of a thread share it.
const READ_BUFFER_BYTES: usize = 256 * 1024;

/// Bytes handled before other connections of the thread get their turn.
const TURN_BYTES_MAX: usize = 4 * READ_BUFFER_BYTES;

thread_local! {
    static READ_BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BUFFER_BYTES]);
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// No connection.
    #[error("cannot connect: {0}")]
    Connect(#[source] io::Error),
    /// The connection broke.
    #[error("connection failed: {0}")]
    Io(#[source] io::Error),
    /// The connection was closed before a byte of the answer came. On one that was used before,
    /// this is how servers end idle connections.
    #[error("connection closed without an answer")]
    ClosedBeforeAnswer,
    /// The answer is no HTTP.
    #[error(transparent)]
    Response(#[from] ResponseError),
    /// Nothing moved for too long.
    #[error("no byte moved for {0:?}")]
    Timeout(Duration),
}

impl TransportError {
    /// A name to count by.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Connect(error) | Self::Io(error) => match error.kind() {
                io::ErrorKind::ConnectionRefused => "ConnectionRefused",
                io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe => "ConnectionReset",
                io::ErrorKind::TimedOut => "Timeout",
                // What rustls reports: certificates and protocol.
                io::ErrorKind::InvalidData => "TlsError",
                _ if matches!(self, Self::Connect(_)) => "ConnectionFailed",
                _ => "ConnectionBroken",
            },
            Self::ClosedBeforeAnswer | Self::Response(ResponseError::ClosedEarly) => {
                "ConnectionClosed"
            }
            Self::Response(_) => "MalformedResponse",
            Self::Timeout(_) => "Timeout",
        }
    }
}

/// What a thread's connections report while bytes move: for the live count of bytes, and to notice
/// silence.
#[derive(Debug)]
pub struct Activity {
    origin: Instant,
    last_ms: AtomicU64,
    is_counted: AtomicBool,
}

impl Default for Activity {
    fn default() -> Self {
        Self {
            origin: Instant::now(),
            last_ms: AtomicU64::new(0),
            is_counted: AtomicBool::new(true),
        }
    }
}

impl Activity {
    /// Notes that something moved.
    pub fn touch(&self) {
        let elapsed_ms = self.origin.elapsed().as_millis() as u64;
        self.last_ms.store(elapsed_ms, Ordering::Relaxed);
    }

    /// Whether the bytes of the present operation count.
    pub fn is_counted(&self) -> bool {
        self.is_counted.load(Ordering::Relaxed)
    }

    /// Decides whether the bytes of the next operation count.
    pub fn set_counted(&self, is_counted: bool) {
        self.is_counted.store(is_counted, Ordering::Relaxed);
    }

    /// How long nothing has moved.
    pub fn silent_for(&self) -> Duration {
        let last = Duration::from_millis(self.last_ms.load(Ordering::Relaxed));
        self.origin.elapsed().saturating_sub(last)
    }
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection that is kept alive for one request after the other.
pub struct Connection {
    stream: Stream,
    requests: u64,
}

/// How an exchange went, beside what the parser knows.
#[derive(Clone, Copy, Debug)]
pub struct Exchange {
    /// When the first byte of the answer was there.
    pub first_byte_at: Instant,
    /// Whether the connection can be used again.
    pub reusable: bool,
}

impl Connection {
    /// Connects to the first of `addresses` that answers, over TLS if a configuration is given.
    ///
    /// # Errors
    /// [`TransportError::Connect`]
    pub async fn open(
        addresses: &[SocketAddr],
        tls: Option<(&Arc<ClientConfig>, &ServerName<'static>)>,
    ) -> Result<Self, TransportError> {
        let tcp = TcpStream::connect(addresses)
            .await
            .map_err(TransportError::Connect)?;
        tcp.set_nodelay(true).map_err(TransportError::Connect)?;
        let stream = match tls {
            None => Stream::Plain(tcp),
            Some((config, name)) => {
                let connector = TlsConnector::from(config.clone());
                let stream = connector
                    .connect(name.clone(), tcp)
                    .await
                    .map_err(TransportError::Connect)?;
                Stream::Tls(Box::new(stream))
            }
        };
        Ok(Self {
            stream,
            requests: 0,
        })
    }

    /// Whether an answer has come over this connection already.
    pub fn was_used(&self) -> bool {
        self.requests > 0
    }

    /// Sends a request and reads its answer into `parser`, the body of a success to `body`.
    /// `sent` is told of data that was written. A server that answers before it has read
    /// everything (an error, usually) is heard at once.
    ///
    /// # Errors
    /// See [`TransportError`]; the connection is of no use then.
    pub async fn exchange(
        &mut self,
        outgoing: &mut Outgoing,
        contents: &Contents,
        parser: &mut ResponseParser,
        activity: &Activity,
        sent: &(dyn Fn(u64) + Sync),
        body: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<Exchange, TransportError> {
        let mut first_byte_at = None;
        let mut write_error = None;
        let complete = poll_fn(|cx| {
            if write_error.is_none() {
                write_error = self.write(cx, outgoing, contents, activity, sent).err();
            }
            self.read(cx, parser, activity, &mut first_byte_at, body)
        })
        .await;
        self.requests += 1;
        match complete {
            Ok(nothing_after) => {
                let reusable = nothing_after
                    && write_error.is_none()
                    && outgoing.is_done()
                    && parser.keeps_alive();
                Ok(Exchange {
                    first_byte_at: first_byte_at.unwrap_or_else(Instant::now),
                    reusable,
                })
            }
            // That the request could not be sent says more than that no answer came.
            Err(TransportError::ClosedBeforeAnswer)
                if write_error.is_some() && self.requests == 1 =>
            {
                Err(write_error.map_or(TransportError::ClosedBeforeAnswer, TransportError::Io))
            }
            Err(error) => Err(error),
        }
    }

    /// Writes as much as the socket takes; the rest when this is polled again.
    fn write(
        &mut self,
        cx: &mut Context<'_>,
        outgoing: &mut Outgoing,
        contents: &Contents,
        activity: &Activity,
        sent: &(dyn Fn(u64) + Sync),
    ) -> io::Result<()> {
        let mut turn_bytes = 0;
        while !outgoing.is_done() {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let count = outgoing.slices(contents, &mut slices);
            match self.stream.poll_write(cx, &slices[..count]) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => {
                    let data = outgoing.advance(written, contents);
                    activity.touch();
                    if data > 0 {
                        sent(data);
                    }
                    turn_bytes += written;
                    if turn_bytes >= TURN_BYTES_MAX {
                        cx.waker().wake_by_ref();
                        return Ok(());
                    }
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(()),
            }
        }
        match self.stream.poll_flush(cx) {
            Poll::Ready(Err(error)) => Err(error),
            _ => Ok(()),
        }
    }

    /// Reads until the answer is complete; says whether nothing came after it.
    fn read(
        &mut self,
        cx: &mut Context<'_>,
        parser: &mut ResponseParser,
        activity: &Activity,
        first_byte_at: &mut Option<Instant>,
        body: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Poll<Result<bool, TransportError>> {
        READ_BUFFER.with_borrow_mut(|buffer| {
            let mut turn_bytes = 0;
            loop {
                let mut into = ReadBuf::new(buffer);
                match self.stream.poll_read(cx, &mut into) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Err(error)) => {
                        return Poll::Ready(Err(broken(error, first_byte_at)));
                    }
                    Poll::Ready(Ok(())) => {}
                }
                let bytes = into.filled();
                if bytes.is_empty() {
                    if first_byte_at.is_none() {
                        return Poll::Ready(Err(TransportError::ClosedBeforeAnswer));
                    }
                    return Poll::Ready(parser.close().map(|()| false).map_err(Into::into));
                }
                first_byte_at.get_or_insert_with(Instant::now);
                activity.touch();
                match parser.feed(bytes, &mut |data| body(data)) {
                    Err(error) => return Poll::Ready(Err(error.into())),
                    Ok(Fed::Complete { used }) => return Poll::Ready(Ok(used == bytes.len())),
                    Ok(Fed::More) => {}
                }
                turn_bytes += bytes.len();
                if turn_bytes >= TURN_BYTES_MAX {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        })
    }
}

/// A reset before any answer is the same as a close: the server was done with the connection.
fn broken(error: io::Error, first_byte_at: &Option<Instant>) -> TransportError {
    let is_reset = matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    );
    if is_reset && first_byte_at.is_none() {
        return TransportError::ClosedBeforeAnswer;
    }
    // Without a close_notify a TLS stream ends so; the parser's word for it is clearer.
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return match first_byte_at {
            None => TransportError::ClosedBeforeAnswer,
            Some(_) => ResponseError::ClosedEarly.into(),
        };
    }
    TransportError::Io(error)
}

impl Stream {
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, from),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(cx, from),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, into),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, into),
        }
    }
}
