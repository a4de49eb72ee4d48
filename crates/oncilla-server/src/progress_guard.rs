//! Cuts connections whose other end has stopped reading.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// A socket on which every write must make progress within a time: a client that reads slowly, but
/// reads, is never cut; one that reads nothing for that long is.
///
/// It lies beneath TLS, so that it sees what the network takes.
#[derive(Debug)]
pub struct ProgressGuard<T> {
    inner: T,
    stall_timeout: Duration,
    clock: Option<Pin<Box<Sleep>>>,
}

impl<T> ProgressGuard<T> {
    /// Guards `inner`: a write that stalls for `stall_timeout` fails with `TimedOut`.
    pub fn new(inner: T, stall_timeout: Duration) -> Self {
        Self {
            inner,
            stall_timeout,
            clock: None,
        }
    }

    fn watch<R>(
        &mut self,
        context: &mut Context<'_>,
        progress: Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        if progress.is_ready() {
            self.clock = None;
            return progress;
        }
        let stall_timeout = self.stall_timeout;
        let clock = self.clock.get_or_insert_with(|| {
            Box::pin(tokio::time::sleep_until(Instant::now() + stall_timeout))
        });
        if clock.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        self.clock = None;
        let message = format!(
            "the client read nothing for {} s",
            stall_timeout.as_secs_f32()
        );
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, message)))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for ProgressGuard<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for ProgressGuard<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.watch(context, progress)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.inner).poll_write_vectored(context, slices);
        self.watch(context, progress)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let progress = Pin::new(&mut self.inner).poll_flush(context);
        self.watch(context, progress)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let progress = Pin::new(&mut self.inner).poll_shutdown(context);
        self.watch(context, progress)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_is_served_and_one_that_stopped_is_cut() {
        let (near, mut far) = tokio::io::duplex(64);
        let mut guarded = ProgressGuard::new(near, Duration::from_secs(60));
        let reader = tokio::spawn(async move {
            // 64 bytes every 50 s: far slower than the timeout in all, but never without progress.
            for _ in 0..20 {
                tokio::time::sleep(Duration::from_secs(50)).await;
                let mut buffer = [0; 64];
                far.read_exact(&mut buffer).await.unwrap();
            }
            far
        });
        guarded.write_all(&[1; 64 * 20]).await.unwrap();
        let _far = reader.await.unwrap();
        let error = guarded.write_all(&[1; 129]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
