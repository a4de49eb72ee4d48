//! Bounds on what all requests together may use: how many run at once, and how much they buffer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The unit in which buffer memory is accounted. A permit count is a `u32` for one reservation, so
/// 1 KiB units reach 4 TiB, and nothing that a request buffers is worth counting finer.
const MEMORY_UNIT_BYTES: usize = 1024;

/// How long a request waits for buffer memory before it is refused with `SlowDown`. Long enough to
/// ride out a burst of uploads, short enough that a client (60 s timeouts are common) hears of it.
pub const MEMORY_WAIT_MAX: Duration = Duration::from_secs(10);

/// What an overloaded server suggests as `Retry-After`, in seconds. SDKs add their own backoff.
pub const RETRY_AFTER_SECONDS: u32 = 1;

/// There is no room now: answer `503 SlowDown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no room for another request now")]
pub struct Overloaded;

/// The memory for request buffers, shared by all requests, so that it is bounded in all.
#[derive(Clone, Debug)]
pub struct MemoryBudget {
    units: Arc<Semaphore>,
    total_bytes: usize,
}

/// Memory reserved from the budget; given back when dropped.
#[derive(Debug)]
#[must_use = "dropping a permit gives its memory back"]
pub struct MemoryPermit {
    permit: OwnedSemaphorePermit,
}

impl MemoryBudget {
    /// A budget of so many bytes, rounded down to whole KiB and at least one.
    pub fn new(total_bytes: usize) -> Self {
        let units = (total_bytes / MEMORY_UNIT_BYTES).clamp(1, Semaphore::MAX_PERMITS);
        Self {
            units: Arc::new(Semaphore::new(units)),
            total_bytes: units * MEMORY_UNIT_BYTES,
        }
    }

    /// Reserves `bytes` (rounded up to whole KiB), waiting up to [`MEMORY_WAIT_MAX`] for others to
    /// finish. Reserve once, before the first buffer is filled: requests that hold some and wait
    /// for more could wait for each other.
    ///
    /// # Errors
    /// [`Overloaded`] when there is still no room, or when the whole budget is smaller than that.
    pub async fn reserve(&self, bytes: usize) -> Result<MemoryPermit, Overloaded> {
        let units = self.units_for(bytes)?;
        if let Ok(permit) = Arc::clone(&self.units).try_acquire_many_owned(units) {
            return Ok(MemoryPermit { permit });
        }
        let waiting = Arc::clone(&self.units).acquire_many_owned(units);
        match tokio::time::timeout(MEMORY_WAIT_MAX, waiting).await {
            Ok(Ok(permit)) => Ok(MemoryPermit { permit }),
            Ok(Err(_closed)) => Err(Overloaded),
            Err(_elapsed) => Err(Overloaded),
        }
    }

    /// Reserves `bytes` if they are free at this moment.
    ///
    /// # Errors
    /// [`Overloaded`] when they are not.
    pub fn try_reserve(&self, bytes: usize) -> Result<MemoryPermit, Overloaded> {
        let units = self.units_for(bytes)?;
        let permit = Arc::clone(&self.units).try_acquire_many_owned(units);
        permit
            .map(|permit| MemoryPermit { permit })
            .map_err(|_| Overloaded)
    }

    /// The whole budget in bytes.
    pub fn total_bytes(&self) -> usize {
        self.total_bytes
    }

    /// What is reserved at this moment, in bytes.
    pub fn reserved_bytes(&self) -> usize {
        self.total_bytes - self.units.available_permits() * MEMORY_UNIT_BYTES
    }

    fn units_for(&self, bytes: usize) -> Result<u32, Overloaded> {
        if bytes > self.total_bytes {
            return Err(Overloaded);
        }
        u32::try_from(bytes.div_ceil(MEMORY_UNIT_BYTES)).map_err(|_| Overloaded)
    }
}

impl MemoryPermit {
    /// How much is reserved, in bytes.
    pub fn bytes(&self) -> usize {
        self.permit.num_permits() * MEMORY_UNIT_BYTES
    }

    /// Takes over another permit of the same budget.
    pub fn merge(&mut self, other: MemoryPermit) {
        self.permit.merge(other.permit);
    }

    /// Gives back all but `bytes` (rounded up to whole KiB), when less is needed than was feared.
    pub fn shrink_to(&mut self, bytes: usize) {
        let keep = bytes.div_ceil(MEMORY_UNIT_BYTES);
        let surplus = self.permit.num_permits().saturating_sub(keep);
        drop(self.permit.split(surplus));
    }
}

/// How many requests may be in the handlers at once.
#[derive(Clone, Debug)]
pub struct InFlightLimit {
    in_flight: Arc<AtomicUsize>,
    max: usize,
}

/// A request's place among those in flight; given back when dropped.
#[derive(Debug)]
pub struct InFlightSlot {
    in_flight: Arc<AtomicUsize>,
}

impl Drop for InFlightSlot {
    fn drop(&mut self) {
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

impl InFlightLimit {
    /// At most `max` requests at once.
    pub fn new(max: usize) -> Self {
        Self {
            in_flight: Arc::new(AtomicUsize::new(0)),
            max: max.max(1),
        }
    }

    /// A slot if one is free. Overload is answered at once and not queued: a queue would only add
    /// latency to requests whose clients give up.
    ///
    /// # Errors
    /// [`Overloaded`] when all slots are taken.
    pub fn try_enter(&self) -> Result<InFlightSlot, Overloaded> {
        // Counted first and taken back if it was one too many, so that one step decides.
        let slot = InFlightSlot {
            in_flight: Arc::clone(&self.in_flight),
        };
        let before = self.in_flight.fetch_add(1, Ordering::AcqRel);
        if before >= self.max {
            return Err(Overloaded);
        }
        Ok(slot)
    }

    /// How many requests are in flight now.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_back_and_never_exceeds_the_budget() {
        let budget = MemoryBudget::new(10 * 1024);
        let first = budget.try_reserve(6 * 1024).unwrap();
        assert_eq!(budget.try_reserve(5 * 1024).unwrap_err(), Overloaded);
        let mut second = budget.try_reserve(4 * 1024).unwrap();
        assert_eq!(budget.reserved_bytes(), 10 * 1024);
        second.shrink_to(1);
        assert_eq!(budget.reserved_bytes(), 7 * 1024);
        second.merge(first);
        assert_eq!(second.bytes(), 7 * 1024);
        drop(second);
        assert_eq!(budget.reserved_bytes(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_memory_ends() {
        let budget = MemoryBudget::new(4096);
        assert!(
            budget.reserve(4097).await.is_err(),
            "more than the whole budget can never be had"
        );
        let held = budget.reserve(4096).await.unwrap();
        assert!(budget.reserve(1).await.is_err());
        let waiter = tokio::spawn({
            let budget = budget.clone();
            async move { budget.reserve(1024).await.map(|permit| permit.bytes()) }
        });
        tokio::time::sleep(MEMORY_WAIT_MAX / 2).await;
        drop(held);
        assert_eq!(waiter.await.unwrap(), Ok(1024));
    }

    #[test]
    fn slots_are_counted() {
        let limit = InFlightLimit::new(1);
        let slot = limit.try_enter().unwrap();
        assert!(limit.try_enter().is_err());
        assert_eq!(limit.in_flight(), 1);
        drop(slot);
        assert!(limit.try_enter().is_ok());
    }
}
