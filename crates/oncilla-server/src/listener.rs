//! Listening sockets and the tasks that accept connections from them.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Connections that the kernel may hold until they are accepted. Linux cuts it to
/// `net.core.somaxconn` (4,096 by default).
const BACKLOG: i32 = 4096;

/// How long accepting pauses when the process or the machine has no file descriptor left: without
/// a pause the loop would spin until a connection is closed.
const PAUSE_WITHOUT_DESCRIPTORS: Duration = Duration::from_millis(100);

/// Why a listen address could not be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct ListenError {
    /// The address as it was configured.
    pub address: SocketAddr,
    /// What the operating system said.
    #[source]
    pub source: io::Error,
}

/// Binds an address. `SO_REUSEADDR` lets a restarted server bind while old connections linger.
///
/// `SO_REUSEPORT` with a socket per runtime is left alone on purpose: the kernel then chooses the
/// runtime by a hash of the addresses, and the few dozen connections of a typical S3 client land
/// unevenly; it would also let a second server bind the same port in silence.
///
/// An IPv6 wildcard takes IPv4 connections as well, unless `others` contains an IPv4 address with
/// the same port.
///
/// # Errors
/// [`ListenError`] names the address.
pub fn bind(
    address: SocketAddr,
    others: &[SocketAddr],
) -> Result<std::net::TcpListener, ListenError> {
    let bind = || -> io::Result<std::net::TcpListener> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            let taken = |other: &SocketAddr| other.is_ipv4() && other.port() == address.port();
            socket.set_only_v6(others.iter().any(taken))?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    bind().map_err(|source| ListenError { address, source })
}

/// Accepts until `stop` is cancelled, giving each connection to `hand_over`.
pub(crate) async fn accept(
    listener: TcpListener,
    stop: CancellationToken,
    hand_over: impl Fn(tokio::net::TcpStream, SocketAddr),
) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => hand_over(stream, peer),
            Err(error) if is_the_clients_fault(&error) => {}
            Err(error) => {
                tracing::error!(%error, "accepting connections pauses");
                tokio::time::sleep(PAUSE_WITHOUT_DESCRIPTORS).await;
            }
        }
    }
}

/// Errors of the connection that was to be accepted, not of the listener (accept(2)).
fn is_the_clients_fault(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_use_is_named() {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let first = bind(any, &[]).unwrap();
        let taken = first.local_addr().unwrap();
        let error = bind(taken, &[]).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("cannot listen on {taken}: ")),
            "{error}"
        );
    }
}
