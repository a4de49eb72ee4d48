//! One client connection: TLS if it is to be, then HTTP/1.1 until either side is done.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use crate::front::{ConnectionContext, Front};
use crate::http_io::{Activity, HttpIo, Phase};
use crate::in_flight::InFlightRequests;
use crate::request_context::TlsSession;
use crate::{Peer, Service};

/// Longest head of a request in bytes, request line included. S3's own limit is 8 KiB of headers;
/// a presigned URL with a session token and a percent-encoded key of 1,024 bytes needs up to 8 KiB
/// more for its request line. What exceeds it is answered `RequestHeaderSectionTooLarge`.
pub const HEAD_BYTES_MAX: usize = 32 << 10;

/// Most headers in a request. It is hyper's default, which it keeps on the stack (any other value
/// costs an allocation per request); the SDKs send about 20, and S3 allows 2 KiB of user metadata.
pub const HEADERS_MAX: usize = 100;

/// Largest read buffer of a connection in bytes. It grows only while a body arrives faster than it
/// is taken, and 256 KiB per system call is where larger reads stop being faster.
const READ_BUFFER_BYTES_MAX: usize = 256 << 10;

/// How patient a connection is. None of these cuts a client that makes progress, however slow: only
/// who needs its memory does, see [`crate::limits`].
#[derive(Clone, Copy, Debug)]
pub struct ConnectionTimeouts {
    /// A request's head must be complete so soon after its first byte (checked at intervals of the
    /// same length, so it takes effect within twice this time).
    pub head: Duration,
    /// A connection without a request is closed after so long. Longer than the 60 s for which
    /// common proxies keep idle connections, so that they and not we decide.
    pub keep_alive: Duration,
    /// An answer of which the client takes no byte for so long is given up.
    pub write_stall: Duration,
    /// A TLS handshake must be complete so soon.
    pub tls_handshake: Duration,
}

impl Default for ConnectionTimeouts {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(30),
            keep_alive: Duration::from_secs(120),
            write_stall: Duration::from_secs(60),
            tls_handshake: Duration::from_secs(10),
        }
    }
}

/// Serves HTTP/1.1 on `io` until the client leaves, a timeout passes, or `shutdown` is cancelled
/// and what is in flight is answered.
pub async fn serve<S, T>(
    io: T,
    peer: Peer,
    tls: Option<TlsSession>,
    front: Arc<Front<S>>,
    registry: Arc<InFlightRequests>,
    timeouts: ConnectionTimeouts,
    shutdown: CancellationToken,
) where
    S: Service,
    T: AsyncRead + AsyncWrite + Unpin + Send,
{
    let activity = Arc::new(Activity::new());
    let context = ConnectionContext {
        peer,
        tls,
        activity: Arc::clone(&activity),
        registry,
    };
    let service = service_fn(move |request| {
        let front = Arc::clone(&front);
        let context = context.clone();
        async move { front.serve(request, context).await }
    });
    let io = TokioIo::new(HttpIo::new(io, Arc::clone(&activity)));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // Its clock would run between requests too; the watchdog below tells the two apart.
        .header_read_timeout(None)
        .max_header_size(HEAD_BYTES_MAX)
        .max_buf_size(READ_BUFFER_BYTES_MAX)
        // A client may close its sending side once its request is sent and still wants its answer.
        .half_close(true)
        .writev(true)
        .pipeline_flush(false)
        .serve_connection(io, service);
    tokio::pin!(connection);
    let mut stopping = false;
    loop {
        tokio::select! {
            outcome = connection.as_mut() => {
                if let Err(error) = outcome {
                    tracing::debug!(%peer, %error, "connection ended");
                }
                return;
            }
            () = shutdown.cancelled(), if !stopping => {
                if activity.is_quiet() {
                    return;
                }
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            () = cut(&activity) => {
                tracing::debug!(%peer, "connection cut: its answer went too slowly");
                return;
            }
            () = silence(&activity, timeouts) => {
                tracing::debug!(%peer, "connection closed: no request within the time");
                return;
            }
        }
    }
}

/// Ends when the connection is to be cut. Whoever cuts it wakes its task, so that this is polled.
async fn cut(activity: &Activity) {
    let look = |_: &mut Context<'_>| match activity.is_cut() {
        true => Poll::Ready(()),
        false => Poll::Pending,
    };
    std::future::poll_fn(look).await;
}

/// Ends when the connection has waited too long for a request, or for the rest of a head.
async fn silence(activity: &Activity, timeouts: ConnectionTimeouts) {
    loop {
        let (phase, lasted) = activity.phase();
        let left = match phase {
            Phase::Idle => timeouts.keep_alive.checked_sub(lasted),
            Phase::Head => timeouts.head.checked_sub(lasted),
            Phase::Busy => Some(timeouts.head),
        };
        // An answer that is not written out yet has its own clock beneath.
        let left = if activity.is_quiet() || phase == Phase::Busy {
            left
        } else {
            Some(timeouts.head)
        };
        let Some(left) = left.filter(|left| !left.is_zero()) else {
            return;
        };
        // A head may begin while this sleeps, so it never sleeps longer than a head may take.
        tokio::time::sleep(left.min(timeouts.head)).await;
    }
}
