//! The flags that every S3 command has.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Args;
use oncilla_client::transfer::{DEFAULT_CONCURRENCY, Options};
use oncilla_client::{Client, Overrides, Settings};
use tokio_util::sync::CancellationToken;

use crate::failure::{Failure, INTERRUPTED};

/// Endpoint, credentials and output.
#[derive(Args, Clone, Debug, Default)]
pub struct CommonArgs {
    /// S3 endpoint [env: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL]
    #[arg(long, value_name = "URL", help_heading = "Endpoint and credentials")]
    pub endpoint_url: Option<String>,

    /// Region for the signature [env: AWS_REGION] [default: auto]
    #[arg(long, value_name = "NAME", help_heading = "Endpoint and credentials")]
    pub region: Option<String>,

    /// Profile of ~/.aws/credentials and ~/.aws/config, with a key or a credential_process
    /// [env: AWS_PROFILE]
    #[arg(long, value_name = "NAME", help_heading = "Endpoint and credentials")]
    pub profile: Option<String>,

    /// Access key id [env: AWS_ACCESS_KEY_ID]
    #[arg(long, value_name = "ID", help_heading = "Endpoint and credentials")]
    pub access_key_id: Option<String>,

    /// Secret of the access key; other users of this machine can see it in the process list, so
    /// prefer the environment or a profile [env: AWS_SECRET_ACCESS_KEY]
    #[arg(long, value_name = "SECRET", help_heading = "Endpoint and credentials")]
    pub secret_access_key: Option<String>,

    /// Send requests without a signature, for public data
    #[arg(long, help_heading = "Endpoint and credentials")]
    pub no_sign_request: bool,

    /// PEM file of certificates to trust instead of the system's [env: AWS_CA_BUNDLE]
    #[arg(long, value_name = "FILE", help_heading = "Endpoint and credentials")]
    pub ca_bundle: Option<PathBuf>,

    /// Accept any certificate; anybody on the way can then read and change what is sent
    #[arg(
        long,
        alias = "no-verify-ssl",
        help_heading = "Endpoint and credentials"
    )]
    pub insecure: bool,

    /// Put the bucket into the path, never into the host name
    #[arg(long, help_heading = "Endpoint and credentials")]
    pub path_style: bool,

    /// Pay for the requests, which buckets with Requester Pays demand of all but their owner
    #[arg(long, help_heading = "Endpoint and credentials")]
    pub request_payer: bool,

    /// Print JSON
    #[arg(long, help_heading = "Output")]
    pub json: bool,

    /// Print nothing but errors and what was asked for
    #[arg(long, short, help_heading = "Output")]
    pub quiet: bool,

    /// No progress bar, also on a terminal
    #[arg(long, help_heading = "Output")]
    pub no_progress: bool,

    /// Log what happens to stderr; RUST_LOG chooses more finely
    #[arg(long, short, help_heading = "Output")]
    pub verbose: bool,

    /// Requests at once
    #[arg(long, value_name = "N", default_value_t = DEFAULT_CONCURRENCY, value_parser = parse_concurrency, help_heading = "Transfer")]
    pub concurrency: usize,
}

/// More connections than this help nobody and exhaust file descriptors (commonly 1,024).
const CONCURRENCY_MAX: usize = 512;

fn parse_concurrency(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..=CONCURRENCY_MAX) => Ok(number),
        _ => Err(format!("a number from 1 to {CONCURRENCY_MAX} is needed")),
    }
}

impl CommonArgs {
    /// The flags as the client library takes them.
    pub fn overrides(&self) -> Overrides {
        Overrides {
            endpoint_url: self.endpoint_url.clone(),
            region: self.region.clone(),
            profile: self.profile.clone(),
            access_key_id: self.access_key_id.clone(),
            secret_access_key: self.secret_access_key.clone(),
            no_sign_request: self.no_sign_request,
            ca_bundle: self.ca_bundle.clone(),
            insecure: self.insecure,
            path_style: self.path_style,
            request_payer: self.request_payer,
        }
    }

    /// A client for the endpoint that flags, environment and profile name.
    pub fn client(&self) -> Result<Client, Failure> {
        let settings = Settings::from_environment(&self.overrides())?;
        Ok(Client::new(settings)?)
    }

    /// How to transfer, with Ctrl-C wired up.
    pub fn transfer_options(&self) -> Options {
        let options = Options::new(self.concurrency);
        spawn_interrupt_handler(options.cancel.clone());
        options
    }

    /// Whether a progress bar may be drawn.
    pub fn shows_progress(&self) -> bool {
        !self.no_progress && !self.quiet && std::io::stderr().is_terminal()
    }
}

/// The first Ctrl-C lets transfers end tidily (unfinished uploads are removed), the second does not
/// wait for that.
fn spawn_interrupt_handler(cancel: CancellationToken) {
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_err() {
            return;
        }
        cancel.cancel();
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(i32::from(INTERRUPTED));
        }
    });
}
