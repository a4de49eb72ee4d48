//! What a terminal shows while a round runs.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use oncilla_bench::round::Progress;

use super::print::rate_text;

/// A bar over the time of a round, or over the objects of a preparation.
pub struct RoundBar {
    bar: ProgressBar,
    duration: Option<Duration>,
}

impl RoundBar {
    /// A bar for a step with this title. `duration` is how long it will take, `operations` how
    /// many it will do, whichever is known.
    pub fn new(
        visible: bool,
        title: String,
        duration: Option<Duration>,
        operations: Option<u64>,
    ) -> Self {
        let target = if visible {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let length = match duration {
            Some(duration) => duration.as_millis() as u64,
            None => operations.unwrap_or(0),
        };
        let bar = ProgressBar::with_draw_target(Some(length), target);
        let style = ProgressStyle::with_template("{prefix} {bar:24} {msg}");
        // A template that does not parse is a mistake of this file; the default bar will do then.
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(title);
        Self { bar, duration }
    }

    /// Shows how far the step is.
    pub fn show(&self, progress: Progress) {
        let Some(elapsed) = progress.measuring_for else {
            self.bar.set_message("warming up");
            return;
        };
        self.bar.set_position(match self.duration {
            Some(_) => elapsed.as_millis() as u64,
            None => progress.operations,
        });
        let seconds = elapsed.as_secs_f64().max(1e-3);
        self.bar.set_message(format!(
            "{:.0} operations/s, {}",
            progress.operations as f64 / seconds,
            rate_text(progress.bytes as f64 / seconds)
        ));
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
