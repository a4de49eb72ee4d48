//! The runtimes that serve connections: one thread each, none of which ever moves a task to another.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connection::{self, ConnectionTimeouts};
use crate::front::Front;
use crate::in_flight::InFlightRequests;
use crate::progress_guard::ProgressGuard;
use crate::tls::{self, CertificateStore};
use crate::{Peer, Service};

/// How long a runtime waits at its end for blocking calls (file reads) that are still running.
const BLOCKING_CALLS_END: Duration = Duration::from_secs(5);

/// A connection on its way to a runtime.
pub(crate) struct Accepted {
    pub stream: std::net::TcpStream,
    pub peer: Peer,
    /// TLS, with these certificates.
    pub certificates: Option<Arc<CertificateStore>>,
    pub slot: ConnectionSlot,
}

/// A connection's place among those that are open; given back when dropped.
#[derive(Debug)]
pub(crate) struct ConnectionSlot {
    open: Arc<AtomicUsize>,
    gauge: Gauge,
}

impl ConnectionSlot {
    /// A slot, if fewer than `max` connections are open.
    pub(crate) fn take(open: &Arc<AtomicUsize>, max: usize, gauge: &Gauge) -> Option<Self> {
        let below_max = |count: usize| (count < max).then_some(count + 1);
        open.fetch_update(Ordering::AcqRel, Ordering::Acquire, below_max)
            .ok()?;
        gauge.inc();
        Some(Self {
            open: Arc::clone(open),
            gauge: gauge.clone(),
        })
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::AcqRel);
        self.gauge.dec();
    }
}

/// When serving ends: first gently, then at once.
#[derive(Clone, Debug, Default)]
pub(crate) struct StopSignals {
    /// Accept nothing more, finish what is in flight.
    pub drain: CancellationToken,
    /// Drop everything.
    pub abort: CancellationToken,
}

/// One runtime on its own thread. It ends when every clone of its intake is gone and its
/// connections are done.
#[derive(Debug)]
pub(crate) struct Worker {
    pub intake: Intake,
    pub requests: Arc<InFlightRequests>,
    pub thread: JoinHandle<()>,
}

/// The way to a runtime, with the number of connections it has or is about to have.
#[derive(Clone, Debug)]
pub(crate) struct Intake {
    sender: mpsc::UnboundedSender<(Accepted, LoadShare)>,
    load: Arc<AtomicUsize>,
}

/// One connection's share of a runtime's load.
#[derive(Debug)]
struct LoadShare(Arc<AtomicUsize>);

impl Drop for LoadShare {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Worker {
    /// Starts a runtime that serves connections with `front`.
    pub(crate) fn start<S: Service>(
        index: usize,
        front: Arc<Front<S>>,
        timeouts: ConnectionTimeouts,
        stop: StopSignals,
    ) -> io::Result<Self> {
        // Unbounded, because the connection limit bounds what can be in it.
        let (sender, mut receiver) = mpsc::unbounded_channel::<(Accepted, LoadShare)>();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let requests = Arc::new(InFlightRequests::default());
        let registry = Arc::clone(&requests);
        let serve = async move {
            let connections = TaskTracker::new();
            while let Some((accepted, share)) = receiver.recv().await {
                let (front, registry) = (Arc::clone(&front), Arc::clone(&registry));
                // A child, because polling the one token takes a lock that all cores share.
                let drain = stop.drain.child_token();
                connections.spawn(async move {
                    serve_accepted(accepted, front, registry, timeouts, drain).await;
                    drop(share);
                });
            }
            connections.close();
            tokio::select! {
                () = connections.wait() => {}
                () = stop.abort.cancelled() => {}
            }
        };
        let run = move || {
            runtime.block_on(serve);
            runtime.shutdown_timeout(BLOCKING_CALLS_END);
        };
        let thread = std::thread::Builder::new()
            .name(format!("oncilla-http-{index}"))
            .spawn(run)?;
        let intake = Intake {
            sender,
            load: Arc::default(),
        };
        Ok(Self {
            intake,
            requests,
            thread,
        })
    }
}

/// Hands connections to the runtime that has the fewest.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    intakes: Vec<Intake>,
    turn: AtomicUsize,
}

impl Dispatcher {
    pub(crate) fn new(intakes: Vec<Intake>) -> Self {
        Self {
            intakes,
            turn: AtomicUsize::new(0),
        }
    }

    /// Hands one connection over. Among equals they take turns.
    pub(crate) fn hand_over(&self, accepted: Accepted) {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.intakes.len().max(1);
        let (before, from) = self.intakes.split_at(turn);
        let in_turn = from.iter().chain(before);
        let Some(intake) = in_turn.min_by_key(|intake| intake.load.load(Ordering::Relaxed)) else {
            return;
        };
        intake.load.fetch_add(1, Ordering::Relaxed);
        let share = LoadShare(Arc::clone(&intake.load));
        // A runtime that has ended takes nothing more: the connection closes with the drop.
        let _ = intake.sender.send((accepted, share));
    }
}

async fn serve_accepted<S: Service>(
    accepted: Accepted,
    front: Arc<Front<S>>,
    registry: Arc<InFlightRequests>,
    timeouts: ConnectionTimeouts,
    drain: CancellationToken,
) {
    let Accepted {
        stream,
        peer,
        certificates,
        slot,
    } = accepted;
    let stream = match TcpStream::from_std(stream) {
        Ok(stream) => stream,
        Err(error) => {
            tracing::warn!(%peer, %error, "connection lost before it was served");
            return;
        }
    };
    let stream = ProgressGuard::new(stream, timeouts.write_stall);
    let Some(certificates) = certificates else {
        connection::serve(stream, peer, None, front, registry, timeouts, drain).await;
        drop(slot);
        return;
    };
    let handshake = certificates.acceptor().accept(stream);
    let handshake = tokio::time::timeout(timeouts.tls_handshake, handshake);
    let outcome = tokio::select! {
        outcome = handshake => outcome,
        () = drain.cancelled() => return,
    };
    let reason = match outcome {
        Ok(Ok(stream)) => {
            let session = tls::session(stream.get_ref().1);
            connection::serve(stream, peer, session, front, registry, timeouts, drain).await;
            drop(slot);
            return;
        }
        Ok(Err(error)) => error.to_string(),
        Err(_elapsed) => "it took too long".to_owned(),
    };
    front.metrics().tls_handshakes_failed.inc();
    tracing::debug!(%peer, reason, "TLS handshake failed");
}
