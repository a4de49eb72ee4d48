//! The progress bar of long transfers.

use std::sync::Arc;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use oncilla_client::Progress;
use oncilla_client::transfer::Notice;

use crate::failure::Failure;

/// Bytes, rate and time left, on stderr. Without leave to draw it only counts.
#[derive(Clone)]
pub struct TransferBar {
    bar: ProgressBar,
}

/// Redraws per second: enough to look alive, little enough for slow terminals.
const REDRAWS_PER_SECOND: u8 = 8;

impl TransferBar {
    /// A bar that grows with [`TransferBar::expect`].
    pub fn new(visible: bool) -> Self {
        let target = if visible {
            ProgressDrawTarget::stderr_with_hz(REDRAWS_PER_SECOND)
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        let style = ProgressStyle::with_template(
            "{bar:30} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} eta {eta} {msg}",
        );
        // A template that does not parse is a mistake of this file; the default bar will do then.
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar }
    }

    /// Announces bytes that will be transferred.
    pub fn expect(&self, bytes: u64) {
        self.bar.inc_length(bytes);
    }

    /// What the client library reports to.
    pub fn sink(&self) -> Progress {
        let bar = self.bar.clone();
        Arc::new(move |delta| match u64::try_from(delta) {
            Ok(bytes) => bar.inc(bytes),
            Err(_) => bar.dec(delta.unsigned_abs()),
        })
    }

    /// What the client library gives messages to: they stand on stderr, above the bar.
    pub fn notices(&self) -> Notice {
        let bar = self.bar.clone();
        Arc::new(move |message: &str| bar.suspend(|| Failure::general(message).report()))
    }

    /// Does something that prints, without leaving pieces of the bar behind.
    pub fn pause<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
