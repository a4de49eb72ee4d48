//! How fast the body of a request, or of its answer, moves: so that of those who hold memory while
//! others wait for it, the slowest are known, and can be ended.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// A transfer for whose client the server has waited less than this is not judged, and the pace of
/// one is what moved in the last one or two such times. Twice this and the time before anybody is cut
/// lie below [`crate::limits::MEMORY_WAIT_MAX`]: a request that comes together with the slow ones gets
/// its turn too. What a reader's socket buffers swallow (megabytes) moves at once, and then nothing does
/// while they drain: readers below about half a MiB/s can look as if they had stopped (measured: those
/// of 300 KiB/s do, of 400 KiB/s not). A longer time would spare them and let slow ones hold memory
/// longer.
pub(crate) const JUDGED_AFTER: Duration = Duration::from_secs(4);

/// Slower than this is slow. Faster uploads are not cut, unless they come in lumps further apart than
/// [`JUDGED_AFTER`]; faster readers may be, while their socket's buffers drain. To hold the default
/// budget at this pace takes 150 Mbit/s without an end.
pub(crate) const SLOW_BYTES_PER_SECOND: u64 = 64 << 10;

/// Whom the server waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waits {
    /// A client that sends its request's body.
    ForSender,
    /// A client that reads its answer.
    ForReader,
}

/// A request's body or its answer's on its way.
///
/// Only requests that hold memory are timed, and of them only those whose client lets the server
/// wait: others cost one look at an atomic.
#[derive(Debug, Default)]
pub(crate) struct Transfer {
    held_units: AtomicUsize,
    pace: Mutex<Pace>,
}

/// What moved while the server waited for the client. Time that the server spends elsewhere, on the
/// disk or waiting for its turn, never counts against the client.
#[derive(Debug, Default)]
struct Pace {
    /// The time waited before the wait under way.
    waited: Duration,
    moved_bytes: u64,
    waiting: Option<Waiting>,
    earlier: Mark,
    later: Mark,
    is_cut: bool,
}

#[derive(Debug)]
struct Waiting {
    whom: Waits,
    since: Instant,
    waker: Waker,
}

/// What had moved when the server had waited for so long.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    waited: Duration,
    moved_bytes: u64,
}

/// A transfer that has been ended. Whoever waits is to be woken, to find that out.
#[derive(Debug)]
pub(crate) struct CutOff {
    pub whom: Waits,
    pub waker: Waker,
    pub moved_bytes: u64,
    /// How long the server waited for the client in all.
    pub waited: Duration,
}

impl Transfer {
    /// Memory was reserved for it.
    pub(crate) fn hold(&self, units: usize) {
        self.held_units.fetch_add(units, Ordering::Relaxed);
    }

    /// Memory was given back.
    pub(crate) fn release(&self, units: usize) {
        self.held_units.fetch_sub(units, Ordering::Relaxed);
    }

    /// What it holds of the budget, in its units.
    pub(crate) fn held_units(&self) -> usize {
        self.held_units.load(Ordering::Relaxed)
    }

    /// The client lets the server wait, after so many bytes in all. May be said again while it
    /// waits. Says whether the transfer has been cut.
    pub(crate) fn wait(&self, whom: Waits, moved_bytes: u64, context: &Context<'_>) -> bool {
        if self.held_units() == 0 {
            return false;
        }
        let mut pace = self.pace.lock();
        if pace.is_cut {
            return true;
        }
        match &mut pace.waiting {
            Some(waiting) => waiting.waker.clone_from(context.waker()),
            None => {
                let now = Instant::now();
                pace.mark(now);
                pace.moved_bytes = moved_bytes;
                pace.waiting = Some(Waiting {
                    whom,
                    since: now,
                    waker: context.waker().clone(),
                });
            }
        }
        false
    }

    /// The client no longer lets the server wait. Says whether the transfer has been cut.
    pub(crate) fn go_on(&self) -> bool {
        let mut pace = self.pace.lock();
        if let Some(waiting) = pace.waiting.take() {
            pace.waited += waiting.since.elapsed();
        }
        pace.is_cut
    }

    /// Whether it has been cut, and its memory is about to come back.
    pub(crate) fn is_cut(&self) -> bool {
        self.pace.lock().is_cut
    }

    /// The pace in bytes per second, if the server waits for its client and it is slow.
    pub(crate) fn slow_pace(&self) -> Option<u64> {
        let mut pace = self.pace.lock();
        if pace.is_cut || pace.waiting.is_none() {
            return None;
        }
        let now = Instant::now();
        pace.mark(now);
        let lasted = pace.waited_until(now) - pace.earlier.waited;
        if lasted < JUDGED_AFTER {
            return None;
        }
        let moved = pace.moved_bytes.saturating_sub(pace.earlier.moved_bytes);
        let per_second = u128::from(moved) * 1_000 / lasted.as_millis();
        let per_second = u64::try_from(per_second).unwrap_or(u64::MAX);
        (per_second < SLOW_BYTES_PER_SECOND).then_some(per_second)
    }

    /// Ends it, if the server waits for its client.
    pub(crate) fn cut(&self) -> Option<CutOff> {
        let mut pace = self.pace.lock();
        let waiting = pace.waiting.take()?;
        pace.waited += waiting.since.elapsed();
        pace.is_cut = true;
        Some(CutOff {
            whom: waiting.whom,
            waker: waiting.waker,
            moved_bytes: pace.moved_bytes,
            waited: pace.waited,
        })
    }
}

impl Pace {
    fn waited_until(&self, now: Instant) -> Duration {
        let current = self.waiting.as_ref();
        self.waited + current.map_or(Duration::ZERO, |waiting| now - waiting.since)
    }

    /// Remembers where it stands, once in a while.
    fn mark(&mut self, now: Instant) {
        let waited = self.waited_until(now);
        if waited - self.later.waited < JUDGED_AFTER {
            return;
        }
        self.earlier = match waited - self.waited >= JUDGED_AFTER * 2 {
            // Nobody came to mark anything, and nothing has moved since this wait began.
            true => Mark {
                waited: self.waited,
                moved_bytes: self.moved_bytes,
            },
            false => self.later,
        };
        self.later = Mark {
            waited,
            moved_bytes: self.moved_bytes,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held() -> Transfer {
        let transfer = Transfer::default();
        transfer.hold(1);
        transfer
    }

    fn wait(transfer: &Transfer, moved_bytes: u64) -> bool {
        let context = Context::from_waker(Waker::noop());
        transfer.wait(Waits::ForSender, moved_bytes, &context)
    }

    /// Bytes that come after pauses.
    async fn moves(transfer: &Transfer, moved: &mut u64, bytes: u64, every: Duration, times: u32) {
        for _ in 0..times {
            assert!(!wait(transfer, *moved));
            tokio::time::sleep(every).await;
            assert!(!transfer.go_on());
            *moved += bytes;
        }
        assert!(!wait(transfer, *moved));
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_last_while_counts() {
        let (transfer, mut moved) = (held(), 0);
        let every = Duration::from_millis(500);
        moves(&transfer, &mut moved, 100, every, 7).await;
        assert_eq!(transfer.slow_pace(), None, "it is not judged so soon");
        moves(&transfer, &mut moved, 100, every, 2).await;
        assert_eq!(transfer.slow_pace(), Some(200));
        moves(&transfer, &mut moved, 1 << 20, every, 1).await;
        assert_eq!(transfer.slow_pace(), None);
        moves(&transfer, &mut moved, 1 << 20, every, 100).await;
        tokio::time::sleep(JUDGED_AFTER).await;
        assert_eq!(transfer.slow_pace(), None, "it was fast a moment ago");
        tokio::time::sleep(JUDGED_AFTER).await;
        assert_eq!(transfer.slow_pace(), Some(0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_buffer_swallowed_at_first_is_soon_forgotten() {
        let (transfer, mut moved) = (held(), 0);
        moves(&transfer, &mut moved, 8 << 20, Duration::from_millis(1), 1).await;
        tokio::time::sleep(JUDGED_AFTER * 2).await;
        assert_eq!(transfer.slow_pace(), Some(0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_in_lumps_is_not_slow() {
        let (transfer, mut moved) = (held(), 0);
        for _ in 0..50 {
            // A mebibyte at a time, no further apart than a transfer is judged after.
            moves(&transfer, &mut moved, 1 << 20, Duration::from_secs(4), 1).await;
            for _ in 0..39 {
                assert_eq!(transfer.slow_pace(), None);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            transfer.go_on();
            moved += 1 << 20;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn time_of_the_server_does_not_count() {
        let (transfer, mut moved) = (held(), 0);
        for _ in 0..10 {
            moves(&transfer, &mut moved, 1, Duration::from_millis(100), 1).await;
            assert_eq!(transfer.slow_pace(), None);
            transfer.go_on();
            tokio::time::sleep(Duration::from_secs(10)).await;
            assert_eq!(transfer.slow_pace(), None);
            assert!(transfer.cut().is_none());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_holds_nothing_is_not_timed() {
        let transfer = Transfer::default();
        assert!(!wait(&transfer, 0));
        tokio::time::sleep(JUDGED_AFTER * 3).await;
        assert_eq!(transfer.slow_pace(), None);
        assert!(transfer.cut().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_cut_is_seen_and_is_final() {
        let transfer = held();
        assert!(!wait(&transfer, 7));
        tokio::time::sleep(JUDGED_AFTER).await;
        let cut = transfer.cut().unwrap();
        assert_eq!((cut.whom, cut.moved_bytes), (Waits::ForSender, 7));
        assert_eq!(cut.waited, JUDGED_AFTER);
        assert!(transfer.cut().is_none());
        assert_eq!(transfer.slow_pace(), None);
        assert!(wait(&transfer, 8) && transfer.go_on() && transfer.is_cut());
    }
}
