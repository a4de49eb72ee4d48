//! The phases of a round, which its threads follow.

use std::sync::atomic::{AtomicU8, Ordering};

/// Where a round is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    /// Connections are made.
    Connecting = 0,
    /// Load runs and is not counted.
    WarmingUp = 1,
    /// Load runs and is counted.
    Measuring = 2,
    /// No operation begins any more.
    Draining = 3,
    /// Operations that still run are broken off.
    Aborting = 4,
}

impl Phase {
    /// The phase in a shared variable.
    pub fn load(from: &AtomicU8) -> Self {
        match from.load(Ordering::Relaxed) {
            0 => Self::Connecting,
            1 => Self::WarmingUp,
            2 => Self::Measuring,
            3 => Self::Draining,
            _ => Self::Aborting,
        }
    }

    /// Moves a shared variable on to this phase, never back.
    pub fn advance(self, shared: &AtomicU8) {
        shared.fetch_max(self as u8, Ordering::Relaxed);
    }
}
