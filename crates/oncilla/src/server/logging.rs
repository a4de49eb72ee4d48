//! Where the log goes: standard error, so that standard output keeps the banner.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

use super::settings::{LogFormat, Settings};

/// Libraries whose everyday events are not the operator's.
const LIBRARIES: &str = "fjall=warn,lsm_tree=warn";

/// Sends all events to standard error from now on. Does nothing if a log is set up already.
pub fn start(settings: &Settings) {
    // What the libraries beneath tell of their work is for those who ask for it by name.
    let filter = EnvFilter::new(format!("{LIBRARIES},{}", settings.log_level));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(stderr().is_terminal())
        .with_writer(stderr);
    // The only error is that one is set up already, which is as good.
    let _ = match settings.log_format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
}
