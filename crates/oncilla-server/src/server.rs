//! The server as a whole: listening sockets, runtimes, and their orderly end.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use oncilla_wire::error::{S3Error, S3ErrorCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::connection::ConnectionTimeouts;
use crate::front::Front;
use crate::in_flight::InFlightRequests;
use crate::listener::{self, ListenError};
use crate::local_socket::{self, LocalSocketError};
use crate::runtime::{Accepted, ConnectionSlot, Dispatcher, StopSignals, Worker};
use crate::tls::CertificateStore;
use crate::{Peer, RequestId, Service, refusal};

/// Client connections at most, by default. Each costs about 20 KiB while idle, and the usual limit
/// of 1,024 to 1,048,576 file descriptors bounds them anyway.
pub const CONNECTIONS_MAX_DEFAULT: usize = 10_000;

/// How many connections above the limit are told so at the same time; more are closed in silence.
const REFUSALS_MAX: usize = 128;

/// How long telling one connection may take.
const REFUSAL_TIME_MAX: Duration = Duration::from_secs(2);

/// How long an orderly end waits for requests in flight, by default.
pub const SHUTDOWN_GRACE_DEFAULT: Duration = Duration::from_secs(30);

/// How often an orderly end says in the log what it still waits for.
const SHUTDOWN_REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// How often an orderly end looks whether all is done.
const SHUTDOWN_POLL_INTERVAL: Duration = Duration::from_millis(10);

/// How long the threads may take to end once they have been told to drop everything.
const ABORT_TIME_MAX: Duration = Duration::from_secs(10);

/// Where and how to serve.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Addresses for plain HTTP. Port 0 takes any free port.
    pub listen: Vec<SocketAddr>,
    /// Addresses for HTTPS; they need certificates.
    pub listen_tls: Vec<SocketAddr>,
    /// The certificates that are presented on `listen_tls`.
    pub certificates: Option<Arc<CertificateStore>>,
    /// A socket file for administration by the server's own user. Requests that come through it
    /// have [`Peer::LocalSocket`].
    pub local_socket: Option<PathBuf>,
    /// Runtimes (threads) that serve connections.
    pub runtimes: usize,
    /// Client connections at most.
    pub connections_max: usize,
    /// How patient connections are.
    pub timeouts: ConnectionTimeouts,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            listen_tls: Vec::new(),
            certificates: None,
            local_socket: None,
            runtimes: std::thread::available_parallelism().map_or(1, usize::from),
            connections_max: CONNECTIONS_MAX_DEFAULT,
            timeouts: ConnectionTimeouts::default(),
        }
    }
}

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listen address could not be used.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The socket file could not be used.
    #[error(transparent)]
    LocalSocket(#[from] LocalSocketError),
    /// There are addresses for HTTPS and no certificate.
    #[error("listening with TLS needs a certificate")]
    NoCertificate,
    /// A thread or runtime could not be started.
    #[error("cannot start a runtime: {0}")]
    Runtime(#[source] io::Error),
}

/// A server that runs on threads of its own until [`Server::shut_down`].
#[derive(Debug)]
pub struct Server {
    addresses: Vec<SocketAddr>,
    addresses_tls: Vec<SocketAddr>,
    stop: StopSignals,
    requests: Vec<Arc<InFlightRequests>>,
    threads: Vec<JoinHandle<()>>,
}

/// How a shutdown ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShutdownOutcome {
    /// Every request in flight was answered.
    Complete,
    /// These requests were cut off.
    CutOff(Vec<String>),
}

impl Server {
    /// Binds all addresses and begins to serve.
    ///
    /// # Errors
    /// See [`StartError`]; nothing is left running.
    pub fn start<S: Service>(options: ServerOptions, front: Front<S>) -> Result<Self, StartError> {
        if !options.listen_tls.is_empty() && options.certificates.is_none() {
            return Err(StartError::NoCertificate);
        }
        let all: Vec<SocketAddr> = options
            .listen
            .iter()
            .chain(&options.listen_tls)
            .copied()
            .collect();
        let bind_all = |addresses: &[SocketAddr]| -> Result<Vec<_>, ListenError> {
            addresses
                .iter()
                .map(|address| listener::bind(*address, &all))
                .collect()
        };
        let plain = bind_all(&options.listen)?;
        let encrypted = bind_all(&options.listen_tls)?;
        let local = options
            .local_socket
            .as_deref()
            .map(local_socket::bind)
            .transpose()?;
        let front = Arc::new(front);
        let stop = StopSignals::default();
        let workers = (0..options.runtimes.max(1))
            .map(|index| Worker::start(index, Arc::clone(&front), options.timeouts, stop.clone()))
            .collect::<io::Result<Vec<Worker>>>()
            .map_err(StartError::Runtime)?;
        let local_addresses = |listeners: &[std::net::TcpListener]| {
            listeners
                .iter()
                .filter_map(|listener| listener.local_addr().ok())
                .collect()
        };
        let (addresses, addresses_tls) = (local_addresses(&plain), local_addresses(&encrypted));
        let local_requests = Arc::new(InFlightRequests::default());
        let mut requests: Vec<_> = workers
            .iter()
            .map(|worker| Arc::clone(&worker.requests))
            .collect();
        requests.push(Arc::clone(&local_requests));
        for registry in &requests {
            front.memory().watch(registry);
        }
        let admission = Admission {
            dispatcher: Dispatcher::new(workers.iter().map(|w| w.intake.clone()).collect()),
            open: Arc::default(),
            connections_max: options.connections_max,
            metrics: Arc::clone(front.metrics()),
            refusals: Arc::new(Semaphore::new(REFUSALS_MAX)),
        };
        let mut threads: Vec<_> = workers.into_iter().map(|worker| worker.thread).collect();
        let accepting = Accepting {
            plain,
            encrypted,
            certificates: options.certificates,
            local,
            front,
            local_requests,
            timeouts: options.timeouts,
            admission,
            stop: stop.clone(),
        };
        threads.push(accepting.start().map_err(StartError::Runtime)?);
        Ok(Self {
            addresses,
            addresses_tls,
            stop,
            requests,
            threads,
        })
    }

    /// The addresses for plain HTTP with their real ports, in the order of the options.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The addresses for HTTPS with their real ports.
    pub fn addresses_tls(&self) -> &[SocketAddr] {
        &self.addresses_tls
    }

    /// Ends the server: no new connections, requests in flight are answered within `grace`, what
    /// is left then (or once `hurry` says so) is cut off. Blocks until all threads have ended, and
    /// says in the log what it waits for.
    pub fn shut_down(self, grace: Duration, hurry: impl Fn() -> bool) -> ShutdownOutcome {
        let began = Instant::now();
        let mut next_report = SHUTDOWN_REPORT_INTERVAL;
        self.stop.drain.cancel();
        let all_ended = || self.threads.iter().all(JoinHandle::is_finished);
        while !all_ended() && began.elapsed() < grace && !hurry() {
            if began.elapsed() >= next_report {
                next_report += SHUTDOWN_REPORT_INTERVAL;
                for request in self.in_flight() {
                    tracing::info!(request, "shutdown waits for a request");
                }
            }
            std::thread::sleep(SHUTDOWN_POLL_INTERVAL);
        }
        if all_ended() {
            return ShutdownOutcome::Complete;
        }
        let cut_off = self.in_flight();
        for request in &cut_off {
            tracing::warn!(request, "shutdown cuts off a request");
        }
        self.stop.abort.cancel();
        let aborted = Instant::now();
        while !all_ended() && aborted.elapsed() < ABORT_TIME_MAX {
            std::thread::sleep(SHUTDOWN_POLL_INTERVAL);
        }
        if cut_off.is_empty() {
            ShutdownOutcome::Complete
        } else {
            ShutdownOutcome::CutOff(cut_off)
        }
    }

    /// A line for each request in flight.
    pub fn in_flight(&self) -> Vec<String> {
        self.requests
            .iter()
            .flat_map(|requests| requests.describe())
            .collect()
    }
}

/// Decides about each accepted connection. When it is dropped, the runtimes get no more.
#[derive(Debug)]
struct Admission {
    dispatcher: Dispatcher,
    open: Arc<AtomicUsize>,
    connections_max: usize,
    metrics: Arc<crate::metrics::Metrics>,
    refusals: Arc<Semaphore>,
}

impl Admission {
    fn admit(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        certificates: Option<Arc<CertificateStore>>,
    ) {
        self.metrics.connections_accepted.inc();
        let gauge = &self.metrics.connections_open;
        let Some(slot) = ConnectionSlot::take(&self.open, self.connections_max, gauge) else {
            self.metrics.connections_refused.inc();
            tracing::warn!(%peer, max = self.connections_max, "too many connections: one refused");
            if certificates.is_none() {
                self.refuse(stream);
            }
            return;
        };
        // Small answers go out at once; hyper writes whole pieces, so nothing is gained by waiting.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "connection lost before it was served");
            return;
        }
        match stream.into_std() {
            Ok(stream) => {
                let peer = Peer::Tcp(peer);
                self.dispatcher.hand_over(Accepted {
                    stream,
                    peer,
                    certificates,
                    slot,
                });
            }
            Err(error) => tracing::warn!(%peer, %error, "connection lost before it was served"),
        }
    }

    /// Tells a client why it is not served, rather than to let it wait: SDKs back off and retry on
    /// `SlowDown`. (With TLS there is no way to say it without a handshake: it is just closed.)
    fn refuse(&self, mut stream: TcpStream) {
        let Ok(permit) = Arc::clone(&self.refusals).try_acquire_owned() else {
            return;
        };
        let refuse = async move {
            let answer =
                refusal::raw_response(&S3Error::new(S3ErrorCode::SlowDown), RequestId::next());
            stream.write_all(&answer).await?;
            stream.shutdown().await?;
            // Closing with unread bytes would reset the connection and take the answer with it.
            let mut unread = [0; 4096];
            while stream.read(&mut unread).await? > 0 {}
            io::Result::Ok(())
        };
        tokio::spawn(async move {
            // Whether the client stays for the answer is its own affair.
            let _ = tokio::time::timeout(REFUSAL_TIME_MAX, refuse).await;
            drop(permit);
        });
    }
}

/// What the accepting thread works with.
struct Accepting<S> {
    plain: Vec<std::net::TcpListener>,
    encrypted: Vec<std::net::TcpListener>,
    certificates: Option<Arc<CertificateStore>>,
    local: Option<std::os::unix::net::UnixListener>,
    front: Arc<Front<S>>,
    local_requests: Arc<InFlightRequests>,
    timeouts: ConnectionTimeouts,
    admission: Admission,
    stop: StopSignals,
}

impl<S: Service> Accepting<S> {
    fn start(self) -> io::Result<JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let registered = {
            let _context = runtime.enter();
            let register = tokio::net::TcpListener::from_std;
            let mut listeners = Vec::new();
            for listener in self.plain {
                listeners.push((register(listener)?, None));
            }
            for listener in self.encrypted {
                listeners.push((register(listener)?, self.certificates.clone()));
            }
            let local = self
                .local
                .map(tokio::net::UnixListener::from_std)
                .transpose()?;
            (listeners, local)
        };
        let (listeners, local) = registered;
        let admission = Arc::new(self.admission);
        let serve = async move {
            let mut tasks = tokio::task::JoinSet::new();
            for (listener, certificates) in listeners {
                let (admission, drain) = (Arc::clone(&admission), self.stop.drain.clone());
                tasks.spawn(listener::accept(listener, drain, move |stream, peer| {
                    admission.admit(stream, peer, certificates.clone());
                }));
            }
            drop(admission);
            if let Some(listener) = local {
                let (front, requests) = (self.front, self.local_requests);
                tasks.spawn(local_socket::serve(
                    listener,
                    front,
                    requests,
                    self.timeouts,
                    self.stop.drain,
                ));
            }
            let all_ended = async { while tasks.join_next().await.is_some() {} };
            tokio::select! {
                () = all_ended => {}
                () = self.stop.abort.cancelled() => {}
            }
        };
        std::thread::Builder::new()
            .name("oncilla-accept".to_owned())
            .spawn(move || {
                runtime.block_on(serve);
            })
    }
}
