//! The one clock of the store: wall time for people, hybrid-logical time for order.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::rows::key::UniqueId;

/// Where wall time comes from: the system, or a test that steps it.
pub trait WallClock: Send + Sync + 'static {
    /// Unix milliseconds.
    fn now_ms(&self) -> u64;

    /// The Unix milliseconds that have come for certain, by which locks end: at most
    /// [`WallClock::now_ms`], and not moved forward by somebody who sets the clock.
    fn certain_ms(&self) -> u64 {
        self.now_ms()
    }
}

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl WallClock for SystemClock {
    fn now_ms(&self) -> u64 {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        since_epoch.map_or(0, |duration| duration.as_millis() as u64)
    }

    /// What the clock said when this process first asked, and the time that the process has run
    /// since. A clock that is set forward does not count until the next start, and one that is set
    /// back counts at once: so whatever is done to the clock of a running server, locks end late and
    /// never early. (A machine that slept, or whose clock was wrong at the start, ends them late too.)
    fn certain_ms(&self) -> u64 {
        static START: LazyLock<(Instant, u64)> =
            LazyLock::new(|| (Instant::now(), SystemClock.now_ms()));
        let (since, start_ms) = *START;
        let passed_ms = since.elapsed().as_millis() as u64;
        start_ms.saturating_add(passed_ms).min(self.now_ms())
    }
}

/// Bits of a hybrid-logical time below the milliseconds: a counter for events of one millisecond.
const COUNTER_BITS: u32 = 16;

/// Gives hybrid-logical times: close to wall time, strictly increasing whatever the wall clock
/// does, and across restarts too, because the store keeps the highest one it committed.
#[derive(Clone)]
pub struct Clock {
    wall: Arc<dyn WallClock>,
    last: Arc<AtomicU64>,
}

impl Clock {
    /// A clock that will only give times later than `last_time`.
    pub fn new(wall: Arc<dyn WallClock>, last_time: u64) -> Self {
        // So that a clock that measures from its first use begins now.
        let _ = wall.certain_ms();
        Self {
            wall,
            last: Arc::new(AtomicU64::new(last_time)),
        }
    }

    /// Wall time in Unix milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.wall.now_ms()
    }

    /// The Unix milliseconds that have come for certain: see [`WallClock::certain_ms`].
    pub fn certain_ms(&self) -> u64 {
        self.wall.certain_ms()
    }

    /// The next hybrid-logical time: milliseconds in the upper 48 bits, a counter in the lower 16.
    pub fn tick(&self) -> u64 {
        let wall = self.wall.now_ms() << COUNTER_BITS;
        let next = |last: u64| wall.max(last + 1);
        let last = self
            .last
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |last| Some(next(last)));
        next(last.unwrap_or_else(|last| last))
    }

    /// An identifier that is never given twice and sorts by time.
    pub fn unique_id(&self) -> Result<UniqueId, getrandom::Error> {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.tick().to_be_bytes());
        getrandom::fill(&mut id[8..])?;
        Ok(UniqueId(id))
    }
}

/// The milliseconds of a hybrid-logical time.
pub fn milliseconds(time: u64) -> u64 {
    time >> COUNTER_BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Stepped(AtomicU64);

    impl WallClock for Stepped {
        fn now_ms(&self) -> u64 {
            self.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn what_is_certain_never_is_ahead_of_the_clock() {
        for _ in 0..1_000 {
            let certain_ms = SystemClock.certain_ms();
            let now_ms = SystemClock.now_ms();
            assert!(certain_ms <= now_ms);
            assert!(now_ms - certain_ms < 60_000);
        }
    }

    #[test]
    fn never_runs_backwards() {
        let wall = Arc::new(Stepped(AtomicU64::new(1_000)));
        let clock = Clock::new(wall.clone(), 0);
        let first = clock.tick();
        assert_eq!(milliseconds(first), 1_000);
        wall.0.store(10, Ordering::Relaxed);
        let second = clock.tick();
        assert!(second > first);
        wall.0.store(5_000, Ordering::Relaxed);
        assert_eq!(milliseconds(clock.tick()), 5_000);
        let reopened = Clock::new(Arc::new(Stepped(AtomicU64::new(0))), clock.tick());
        assert!(milliseconds(reopened.tick()) >= 5_000);
    }
}
