//! The socket file through which the server's own user administers it without a key.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connection::{self, ConnectionTimeouts};
use crate::front::Front;
use crate::in_flight::InFlightRequests;
use crate::{Peer, Service};

/// Only the server's own user may connect.
const SOCKET_MODE: u32 = 0o600;

/// Why the socket file could not be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on socket file {}: {source}", path.display())]
pub struct LocalSocketError {
    /// The file.
    pub path: PathBuf,
    /// What the operating system said.
    #[source]
    pub source: io::Error,
}

/// Binds the socket file. A socket left by an earlier server is replaced: the data directory's lock
/// guarantees that no other server uses it. Any other kind of file is left alone and is an error.
///
/// The directory is only its owner's (0700), so nobody gets in before the mode is set.
pub fn bind(path: &Path) -> Result<StdUnixListener, LocalSocketError> {
    let bind = || -> io::Result<StdUnixListener> {
        if std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
            std::fs::remove_file(path)?;
        }
        let listener = StdUnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(SOCKET_MODE))?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    bind().map_err(|source| LocalSocketError {
        path: path.to_owned(),
        source,
    })
}

/// Serves the socket until `drain` is cancelled and what is in flight is answered.
pub(crate) async fn serve<S: Service>(
    listener: UnixListener,
    front: Arc<Front<S>>,
    requests: Arc<InFlightRequests>,
    timeouts: ConnectionTimeouts,
    drain: CancellationToken,
) {
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = drain.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _address)) => {
                let (front, requests) = (Arc::clone(&front), Arc::clone(&requests));
                connections.spawn(connection::serve(
                    stream,
                    Peer::LocalSocket,
                    None,
                    front,
                    requests,
                    timeouts,
                    drain.clone(),
                ));
            }
            Err(error) => {
                tracing::error!(%error, "accepting on the socket file pauses");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
    connections.close();
    connections.wait().await;
}
