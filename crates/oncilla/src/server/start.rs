//! From settings to a running server, and to its orderly end.

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use oncilla_server::admin::readiness::Readiness;
use oncilla_server::admin::{self, OwnPages, OwnRoutes};
use oncilla_server::connection::ConnectionTimeouts;
use oncilla_server::front::{Front, FrontOptions};
use oncilla_server::jobs::Jobs;
use oncilla_server::metrics::{Collectors, Metrics};
use oncilla_server::server::{Server, ServerOptions, ShutdownOutcome};
use oncilla_server::tls::{CertificateFiles, CertificateStore};
use oncilla_server::{MemoryBudget, Service, metrics_collectors, self_signed};
use oncilla_wire::address::Addressing;
use oncilla_wire::website::WebsiteHosts;
use tokio::signal::unix::{SignalKind, signal};

use super::banner::{self, NewCredentials};
use super::foundation::Foundation;
use super::logging;
use super::options::ServerArgs;
use super::settings::{Settings, Tls};

/// Exit code for a setting that is not allowed.
const EXIT_BAD_SETTING: u8 = 2;

/// How often certificate files are looked at. Renewals happen days before the end.
const CERTIFICATE_CHECK_INTERVAL: Duration = Duration::from_secs(60);

/// What answers requests, made on the foundation.
pub struct Assembly<S> {
    /// Answers S3 requests.
    pub service: S,
    /// Further routes under `/-/`, such as the administration's.
    pub own_routes: OwnRoutes,
    /// Told the URL of the server once its addresses are bound.
    pub endpoint_url: Arc<OnceLock<String>>,
    /// Root credentials, if this start made them.
    pub new_credentials: Option<NewCredentials>,
    /// Background work, which has begun.
    pub jobs: Jobs,
    /// Figures of that work for the metrics page.
    pub collectors: Collectors,
}

/// Runs a server until it is told to end. `assemble` makes the handlers on the opened foundation.
pub fn run_with<S, F>(args: ServerArgs, assemble: F) -> ExitCode
where
    S: Service,
    F: AsyncFnOnce(&Settings, &Foundation) -> Result<Assembly<S>, String>,
{
    let settings = match Settings::resolve(args) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("oncilla server: {error}");
            return ExitCode::from(EXIT_BAD_SETTING);
        }
    };
    logging::start(&settings);
    oncilla_server::open_files::raise_limit();
    // For signals and background work; connections have runtimes of their own.
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("oncilla server: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(serve(settings, assemble)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(line) => {
            eprintln!("oncilla server: {}", line.replace('\n', " "));
            ExitCode::FAILURE
        }
    }
}

async fn serve<S, F>(settings: Settings, assemble: F) -> Result<(), String>
where
    S: Service,
    F: AsyncFnOnce(&Settings, &Foundation) -> Result<Assembly<S>, String>,
{
    // Before anything is opened: a signal from here on ends the server in good order.
    let listen_for = |kind| signal(kind).map_err(|error| format!("cannot handle signals: {error}"));
    let mut terminate = listen_for(SignalKind::terminate())?;
    let mut interrupt = listen_for(SignalKind::interrupt())?;
    let mut hangup = listen_for(SignalKind::hangup())?;

    let foundation = Foundation::open(&settings).await?;
    let certificates = certificates(&settings, &foundation)?;
    let assembly = assemble(&settings, &foundation).await?;
    let mut metrics = Metrics::new();
    foundation.register_metrics(&mut metrics);
    metrics.register_collector(metrics_collectors::process(env!("CARGO_PKG_VERSION")));
    for collector in assembly.collectors {
        metrics.register_collector(collector);
    }
    let metrics = Arc::new(metrics);
    let memory = MemoryBudget::new(settings.memory_limit_bytes);
    let readiness = Readiness::of_store(&foundation.store, foundation.directory.volumes());
    let readiness = Arc::new(readiness);
    let pages = admin::router(OwnPages {
        readiness: Arc::clone(&readiness),
        metrics: Arc::clone(&metrics),
        memory: memory.clone(),
        metrics_public: settings.metrics_public,
    });
    let front_options = FrontOptions {
        in_flight_max: settings.max_in_flight,
        memory_bytes: settings.memory_limit_bytes,
        body_idle_timeout: settings.idle_timeout,
        addressing: Addressing::new(&settings.domains),
        websites: WebsiteHosts::new(&settings.website_domains),
        ..FrontOptions::default()
    };
    let own = pages.merge(assembly.own_routes);
    let front = Front::new(assembly.service, Some(own), front_options, memory, metrics);
    let defaults = ServerOptions::default();
    let options = ServerOptions {
        listen: settings.listen.clone(),
        listen_tls: settings.listen_tls.clone(),
        certificates: certificates.clone(),
        local_socket: Some(foundation.directory.admin_socket()),
        runtimes: settings.threads.unwrap_or(defaults.runtimes),
        connections_max: settings.max_connections,
        timeouts: ConnectionTimeouts {
            write_stall: settings.idle_timeout,
            ..defaults.timeouts
        },
    };
    let new_credentials = assembly.new_credentials.as_ref();
    let server = match Server::start(options, front) {
        Ok(server) => server,
        Err(error) => {
            // They exist from now on and are never shown again, even if an address is taken.
            if let Some(credentials) = new_credentials {
                let url = endpoint_url(&settings, &settings.listen, &settings.listen_tls);
                print("The server did not start, but its data directory is made.\n");
                print(&banner::credentials_text(&url, credentials));
            }
            return Err(error.to_string());
        }
    };
    let url = endpoint_url(&settings, server.addresses(), server.addresses_tls());
    // Set nowhere else.
    let _ = assembly.endpoint_url.set(url);
    print_banner(
        &settings,
        server.addresses(),
        server.addresses_tls(),
        new_credentials,
    );

    let mut checks = tokio::time::interval(CERTIFICATE_CHECK_INTERVAL);
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => reload(certificates.as_deref()),
            _ = checks.tick() => reload(certificates.as_deref()),
        }
    }
    tracing::info!(grace_s = settings.shutdown_grace.as_secs(), "shutting down");
    readiness.stop();
    let hurry = Arc::new(AtomicBool::new(false));
    let hurried = Arc::clone(&hurry);
    let grace = settings.shutdown_grace;
    let mut ending = tokio::task::spawn_blocking(move || {
        server.shut_down(grace, || hurried.load(Ordering::Relaxed))
    });
    let outcome = loop {
        tokio::select! {
            outcome = &mut ending => break outcome,
            _ = terminate.recv() => hurry.store(true, Ordering::Relaxed),
            _ = interrupt.recv() => hurry.store(true, Ordering::Relaxed),
        }
    };
    let outcome = outcome.map_err(|error| format!("shutdown failed: {error}"))?;
    assembly.jobs.stop().await;
    foundation.store.close().await;
    match outcome {
        ShutdownOutcome::Complete => tracing::info!("ended in good order"),
        ShutdownOutcome::CutOff(requests) => {
            tracing::warn!(requests = requests.len(), "ended with requests cut off")
        }
    }
    Ok(())
}

fn certificates(
    settings: &Settings,
    foundation: &Foundation,
) -> Result<Option<Arc<CertificateStore>>, String> {
    if settings.listen_tls.is_empty() {
        return Ok(None);
    }
    let files: CertificateFiles = match &settings.tls {
        None => return Ok(None),
        Some(Tls::Files(files)) => files.clone(),
        Some(Tls::SelfSigned) => {
            self_signed::ensure(&foundation.directory.tls(), &settings.domains)
                .map_err(|error| error.to_string())?
        }
    };
    let store = CertificateStore::load(files).map_err(|error| error.to_string())?;
    Ok(Some(Arc::new(store)))
}

fn reload(certificates: Option<&CertificateStore>) {
    match certificates.map(CertificateStore::reload_if_changed) {
        Some(Ok(true)) => tracing::info!("certificates loaded again"),
        Some(Err(error)) => tracing::error!(%error, "certificates not loaded; those in use stay"),
        Some(Ok(false)) | None => {}
    }
}

/// The URL under which clients reach the server.
fn endpoint_url(settings: &Settings, plain: &[SocketAddr], encrypted: &[SocketAddr]) -> String {
    match &settings.endpoint_url {
        Some(url) => url.clone(),
        None => banner::endpoint_url(plain, encrypted),
    }
}

fn print_banner(
    settings: &Settings,
    plain: &[SocketAddr],
    encrypted: &[SocketAddr],
    credentials: Option<&NewCredentials>,
) {
    let url = endpoint_url(settings, plain, encrypted);
    let data = std::path::absolute(&settings.data).unwrap_or_else(|_| settings.data.clone());
    let self_signed = matches!(settings.tls, Some(Tls::SelfSigned)) && !encrypted.is_empty();
    let authority = self_signed.then(|| data.join("tls").join("ca.pem"));
    let text = banner::text(
        &url,
        plain,
        encrypted,
        &data,
        authority.as_deref(),
        credentials,
    );
    print(&text);
}

/// Writes to standard output.
fn print(text: &str) {
    let mut output = std::io::stdout().lock();
    // Without anybody to read it, the server serves all the same.
    let _ = output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush());
}
