//! How a command fails: what the user reads, and the exit status.

use std::io;
use std::path::Path;

use oncilla_client::exit_code;

use crate::output;

/// Why a command ends without success.
#[derive(Debug)]
pub struct Failure {
    /// What failed; empty when everything was said already.
    pub message: String,
    /// What the user can do about it.
    pub advice: Option<String>,
    /// The process exit status, one of [`oncilla_client::exit_code`] or [`INTERRUPTED`].
    pub exit_code: u8,
}

/// Exit status after Ctrl-C: 128 and the number of SIGINT, as shells have it.
pub const INTERRUPTED: u8 = 130;

impl Failure {
    /// A failure without a status of its own.
    pub fn general(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            advice: None,
            exit_code: exit_code::GENERAL,
        }
    }

    /// Arguments that make no sense together. Same status as clap's own refusals.
    pub fn usage(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            advice: None,
            exit_code: exit_code::AUTH,
        }
    }

    /// Failures that were printed as they happened.
    pub fn reported(exit_code: u8) -> Self {
        Self {
            message: String::new(),
            advice: None,
            exit_code,
        }
    }

    /// Nobody reads standard output any more (`| head`), which ends a command quietly.
    pub fn gone_reader() -> Self {
        Self::reported(exit_code::OK)
    }

    /// Whether this is [`Failure::gone_reader`].
    pub fn is_gone_reader(&self) -> bool {
        self.exit_code == exit_code::OK
    }

    /// A local file that cannot be used.
    pub fn io(path: &Path, error: &io::Error) -> Self {
        Self::general(format!("{}: {error}", path.display()))
    }

    /// Adds what to do next.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Writes the failure to stderr. Nothing else can be done if that fails.
    pub fn report(&self) {
        use io::Write;
        if self.message.is_empty() {
            return;
        }
        let mut stderr = io::stderr().lock();
        // It may name a key, and say what an endpoint said.
        let message = output::one_line(&self.message);
        let _ = writeln!(stderr, "oncilla: {message}");
        if let Some(advice) = &self.advice {
            // It may name a key too.
            let _ = writeln!(stderr, "  hint: {}", output::one_line(advice));
        }
    }
}

impl From<oncilla_client::Error> for Failure {
    fn from(error: oncilla_client::Error) -> Self {
        let exit_code = match error {
            oncilla_client::Error::Interrupted => INTERRUPTED,
            _ => error.exit_code(),
        };
        Self {
            advice: error.advice().map(str::to_owned),
            message: error.to_string(),
            exit_code,
        }
    }
}
