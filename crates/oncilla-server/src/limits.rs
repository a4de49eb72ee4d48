//! Bounds on what all requests together may use: how many run at once, and how much they buffer.
//!
//! A slow client may be slow for ever while nobody else needs its memory. When a request has waited
//! for memory for a second, the slowest transfers that hold some are ended, as many as give those
//! who wait what they need. Only those who wait look for them, so that a request that gets its memory
//! at once pays nothing for it.
//!
//! Requests that compute over what they hold (S3 Select) may be at it for minutes and are not slow
//! transfers. All of them together get a part of the memory.
//!
//! There is no share of the memory for each access key or address. A few fast clients may use all of
//! it, which hurts nobody, since it comes back as fast as they are; and slow ones can be ended whoever
//! they are, while a share by key would not reach anonymous readers and one by address would not
//! tell apart those behind a proxy. What is left is to hold all memory by being just fast enough:
//! 64 KiB/s and more for each of hundreds of transfers.
//!
//! Three things this does not do. What the buffers of a reader's socket swallow (megabytes) counts
//! as moved when the kernel takes it, and then nothing moves until they have drained: a reader below
//! about half a MiB/s can be cut while others wait (measured: 300 KiB/s was, 400 KiB/s was not). An
//! upload of 64 KiB/s or more is not cut, unless it comes in lumps further apart than
//! 4 s. And slow clients that come again after each cut hold memory for 4 s each time before they are
//! judged: with a budget of 16 MiB, 100 of them delay others by about 20 s, and some of those get
//! `SlowDown`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::RequestFacts;
use crate::in_flight::{InFlightRequest, InFlightRequests};

/// The unit in which buffer memory is accounted. A permit count is a `u32` for one reservation, so
/// 1 KiB units reach 4 TiB, and nothing that a request buffers is worth counting finer.
const MEMORY_UNIT_BYTES: usize = 1024;

/// How long a request waits for buffer memory before it is refused with `SlowDown`. Long enough to
/// ride out a burst of uploads, short enough that a client (60 s timeouts are common) hears of it.
pub const MEMORY_WAIT_MAX: Duration = Duration::from_secs(10);

/// What requests that compute may always hold together: what a query of S3 Select takes with an expression
/// of usual length, so that a small budget allows one.
const COMPUTING_BYTES_LEAST: usize = 40 << 20;

/// How often a request that computes looks whether the memory it needs is free.
const COMPUTING_RETRY: Duration = Duration::from_millis(20);

/// How long a request waits before others are ended for its sake. Fast transfers give their memory
/// back within that, so that in a mere burst nobody is cut.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often a request that goes on waiting looks whom to end.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// How often all of them together look: a look goes through all requests in flight.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// What an overloaded server suggests as `Retry-After`, in seconds. SDKs add their own backoff.
pub const RETRY_AFTER_SECONDS: u32 = 1;

/// There is no room for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRoom {
    /// Others have it: answer `503 SlowDown`.
    #[error("no room for another request now")]
    Now,
    /// It needs more than all requests together may have, so that it never helps to try again.
    #[error("the request needs more memory than there is for all of them")]
    Ever,
}

/// The memory for request buffers, shared by all requests, so that it is bounded in all.
#[derive(Clone, Debug)]
pub struct MemoryBudget {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    units: Arc<Semaphore>,
    total_bytes: usize,
    /// What requests that compute may hold of it.
    computing: Arc<Semaphore>,
    relief: Relief,
}

/// What ends slow transfers for the sake of those who wait.
#[derive(Debug, Default)]
struct Relief {
    /// Where those who hold memory are found.
    registries: Mutex<Vec<Weak<InFlightRequests>>>,
    /// What those need who have lost their patience.
    wanted_units: AtomicUsize,
    last_look: Mutex<Option<Instant>>,
}

/// A request that has lost its patience; dropping it ends its wait.
#[derive(Debug)]
struct Wanted<'a> {
    relief: &'a Relief,
    units: usize,
}

/// Memory reserved from the budget; given back when dropped.
#[derive(Debug)]
#[must_use = "dropping a permit gives its memory back"]
pub struct MemoryPermit {
    permit: OwnedSemaphorePermit,
    holding: Option<Holding>,
    /// Its part of what requests that compute may hold.
    computing: Option<OwnedSemaphorePermit>,
}

/// A request's note of what it holds.
#[derive(Debug)]
struct Holding {
    facts: Arc<RequestFacts>,
    units: usize,
}

impl MemoryBudget {
    /// A budget of so many bytes, rounded down to whole KiB and at least one.
    pub fn new(total_bytes: usize) -> Self {
        let units = (total_bytes / MEMORY_UNIT_BYTES).clamp(1, Semaphore::MAX_PERMITS);
        let shared = Shared {
            units: Arc::new(Semaphore::new(units)),
            total_bytes: units * MEMORY_UNIT_BYTES,
            computing: Arc::new(Semaphore::new(computing_units(units))),
            relief: Relief::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Finds those who hold its memory among these requests too.
    pub(crate) fn watch(&self, requests: &Arc<InFlightRequests>) {
        let mut registries = self.shared.relief.registries.lock();
        registries.push(Arc::downgrade(requests));
    }

    /// Reserves `bytes` (rounded up to whole KiB), waiting up to [`MEMORY_WAIT_MAX`] for others to
    /// finish, or to be ended because they are slow. Reserve once, before the first buffer is filled:
    /// requests that hold some and wait for more could wait for each other.
    ///
    /// # Errors
    /// [`NoRoom::Now`] when there is still no room, [`NoRoom::Ever`] when the whole budget is smaller
    /// than that.
    pub async fn reserve(&self, bytes: usize) -> Result<MemoryPermit, NoRoom> {
        let units = self.units_for(bytes)?;
        if let Ok(permit) = self.units().try_acquire_many_owned(units) {
            return Ok(MemoryPermit::new(permit));
        }
        // On the heap, so that requests which need not wait are no larger for it.
        let permit = Box::pin(self.wait_for(units)).await?;
        Ok(MemoryPermit::new(permit))
    }

    /// Reserves memory for a request that computes over it for as long as its input takes, and whose client
    /// is not to blame for that. All such requests together get half of the budget, so that those which
    /// only move bytes find the other half; one that needs more than that runs by itself.
    ///
    /// # Errors
    /// As [`MemoryBudget::reserve`].
    pub async fn reserve_for_computing(&self, bytes: usize) -> Result<MemoryPermit, NoRoom> {
        let most = computing_units(self.total_bytes() / MEMORY_UNIT_BYTES);
        let share = u32::try_from(most).unwrap_or(u32::MAX);
        let share = self.units_for(bytes)?.min(share);
        let began = Instant::now();
        let computing = Arc::clone(&self.shared.computing).acquire_many_owned(share);
        let computing = tokio::time::timeout_at(began + MEMORY_WAIT_MAX, computing).await;
        let computing = computing.map_err(|_elapsed| NoRoom::Now)?;
        let computing = computing.map_err(|_closed| NoRoom::Now)?;
        let relief = &self.shared.relief;
        let mut wanted = None;
        loop {
            if let Ok(mut permit) = self.try_reserve(bytes) {
                permit.computing = Some(computing);
                return Ok(permit);
            }
            let waited = began.elapsed();
            if waited >= MEMORY_WAIT_MAX {
                return Err(NoRoom::Now);
            }
            if waited >= PATIENCE {
                wanted.get_or_insert_with(|| relief.want(bytes / MEMORY_UNIT_BYTES));
                relief.look();
            }
            // Not in the queue, where small requests would wait behind one that needs a lot.
            tokio::time::sleep(COMPUTING_RETRY).await;
        }
    }

    /// Waits for room, at first with patience.
    async fn wait_for(&self, units: u32) -> Result<OwnedSemaphorePermit, NoRoom> {
        let waiting = self.units().acquire_many_owned(units);
        tokio::pin!(waiting);
        if let Ok(acquired) = tokio::time::timeout(PATIENCE, &mut waiting).await {
            return acquired.map_err(|_closed| NoRoom::Now);
        }
        let relief = &self.shared.relief;
        let _wanted = relief.want(units as usize);
        let deadline = Instant::now() + (MEMORY_WAIT_MAX - PATIENCE);
        loop {
            relief.look();
            let next_look = deadline.min(Instant::now() + LOOK_INTERVAL);
            match tokio::time::timeout_at(next_look, &mut waiting).await {
                Ok(acquired) => return acquired.map_err(|_closed| NoRoom::Now),
                Err(_elapsed) if next_look == deadline => return Err(NoRoom::Now),
                Err(_elapsed) => {}
            }
        }
    }

    /// Reserves `bytes` if they are free at this moment.
    ///
    /// # Errors
    /// [`NoRoom::Now`] when they are not, [`NoRoom::Ever`] when the whole budget is smaller than that.
    pub fn try_reserve(&self, bytes: usize) -> Result<MemoryPermit, NoRoom> {
        let units = self.units_for(bytes)?;
        let permit = self.units().try_acquire_many_owned(units);
        permit.map(MemoryPermit::new).map_err(|_| NoRoom::Now)
    }

    /// The whole budget in bytes.
    pub fn total_bytes(&self) -> usize {
        self.shared.total_bytes
    }

    /// What is reserved at this moment, in bytes.
    pub fn reserved_bytes(&self) -> usize {
        self.total_bytes() - self.shared.units.available_permits() * MEMORY_UNIT_BYTES
    }

    fn units(&self) -> Arc<Semaphore> {
        Arc::clone(&self.shared.units)
    }

    fn units_for(&self, bytes: usize) -> Result<u32, NoRoom> {
        if bytes > self.total_bytes() {
            return Err(NoRoom::Ever);
        }
        u32::try_from(bytes.div_ceil(MEMORY_UNIT_BYTES)).map_err(|_| NoRoom::Ever)
    }
}

/// What requests that compute may hold of so many units: half, or the least if that is more.
fn computing_units(units: usize) -> usize {
    let half = units / 2;
    half.max(COMPUTING_BYTES_LEAST / MEMORY_UNIT_BYTES)
        .min(units)
}

impl Relief {
    fn want(&self, units: usize) -> Wanted<'_> {
        self.wanted_units.fetch_add(units, Ordering::Relaxed);
        Wanted {
            relief: self,
            units,
        }
    }

    /// Ends the slowest transfers until there is enough for those who wait, or none is slow.
    fn look(&self) {
        // Who finds another one looking, or that one just did, has nothing to add.
        let Some(mut last_look) = self.last_look.try_lock() else {
            return;
        };
        if last_look.is_some_and(|at| at.elapsed() < LOOK_PAUSE) {
            return;
        }
        *last_look = Some(Instant::now());
        let mut wanted = self.wanted_units.load(Ordering::Relaxed);
        let mut slow = BinaryHeap::new();
        let holders = self.holders();
        for (place, request) in holders.iter().enumerate() {
            if request.is_cut() {
                // What it holds is on its way back.
                wanted = wanted.saturating_sub(request.held_units());
            } else if let Some(pace) = request.slow_pace() {
                slow.push(Reverse((pace, place)));
            }
        }
        while wanted > 0
            && let Some(Reverse((_, place))) = slow.pop()
        {
            let request = &holders[place];
            let held = request.held_units();
            if request.cut() {
                wanted = wanted.saturating_sub(held);
            }
        }
    }

    fn holders(&self) -> Vec<Arc<InFlightRequest>> {
        let registries = self.registries.lock();
        let alive = registries.iter().filter_map(Weak::upgrade);
        alive.flat_map(|registry| registry.holders()).collect()
    }
}

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        let wanted = &self.relief.wanted_units;
        wanted.fetch_sub(self.units, Ordering::Relaxed);
    }
}

impl Holding {
    fn set(&mut self, units: usize) {
        let transfer = self.facts.transfer();
        transfer.hold(units);
        transfer.release(self.units);
        self.units = units;
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.facts.transfer().release(self.units);
    }
}

impl MemoryPermit {
    fn new(permit: OwnedSemaphorePermit) -> Self {
        Self {
            permit,
            holding: None,
            computing: None,
        }
    }

    /// Notes with a request that it holds this while its body or its answer is on its way, so that it
    /// can be ended for the sake of others.
    pub(crate) fn held_by(mut self, facts: &Arc<RequestFacts>) -> Self {
        let units = self.permit.num_permits();
        facts.transfer().hold(units);
        self.holding = Some(Holding {
            facts: Arc::clone(facts),
            units,
        });
        self
    }

    fn note_units(&mut self) {
        if let Some(holding) = &mut self.holding {
            holding.set(self.permit.num_permits());
        }
    }

    /// How much is reserved, in bytes.
    pub fn bytes(&self) -> usize {
        self.permit.num_permits() * MEMORY_UNIT_BYTES
    }

    /// Takes over another permit of the same budget.
    pub fn merge(&mut self, other: MemoryPermit) {
        self.permit.merge(other.permit);
        drop(other.holding);
        self.note_units();
    }

    /// Gives back all but `bytes` (rounded up to whole KiB), when less is needed than was feared.
    pub fn shrink_to(&mut self, bytes: usize) {
        let keep = bytes.div_ceil(MEMORY_UNIT_BYTES);
        let surplus = self.permit.num_permits().saturating_sub(keep);
        drop(self.permit.split(surplus));
        self.note_units();
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
    /// [`NoRoom::Now`] when all slots are taken.
    pub fn try_enter(&self) -> Result<InFlightSlot, NoRoom> {
        // Counted first and taken back if it was one too many, so that one step decides.
        let slot = InFlightSlot {
            in_flight: Arc::clone(&self.in_flight),
        };
        let before = self.in_flight.fetch_add(1, Ordering::AcqRel);
        if before >= self.max {
            return Err(NoRoom::Now);
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
    use std::task::{Context, Waker};

    use super::*;
    use crate::in_flight::{RequestRecord, RequestStart};
    use crate::metrics::Metrics;
    use crate::transfer::{JUDGED_AFTER, SLOW_BYTES_PER_SECOND, Waits};
    use crate::{Peer, RequestId};

    #[test]
    fn memory_is_given_back_and_never_exceeds_the_budget() {
        let budget = MemoryBudget::new(10 * 1024);
        let first = budget.try_reserve(6 * 1024).unwrap();
        assert_eq!(budget.try_reserve(5 * 1024).unwrap_err(), NoRoom::Now);
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
    async fn what_computes_leaves_memory_to_others() {
        let mib = |count: usize| count << 20;
        let budget = MemoryBudget::new(mib(256));
        let first = budget.reserve_for_computing(mib(100)).await.unwrap();
        let refused = budget.reserve_for_computing(mib(100)).await.unwrap_err();
        assert_eq!(refused, NoRoom::Now);
        assert_eq!(budget.reserved_bytes(), mib(100));
        let others = budget.try_reserve(mib(150)).unwrap();
        drop(first);
        // Small requests do not wait behind one that waits for a lot.
        let waiting = tokio::spawn({
            let budget = budget.clone();
            async move {
                budget
                    .reserve_for_computing(mib(120))
                    .await
                    .map(|it| it.bytes())
            }
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!waiting.is_finished());
        drop(budget.try_reserve(mib(106)).unwrap());
        drop(others);
        assert_eq!(waiting.await.unwrap(), Ok(mib(120)));
        // One that needs more than the share runs by itself, and a small budget allows one.
        assert!(budget.reserve_for_computing(mib(200)).await.is_ok());
        let small = MemoryBudget::new(mib(16));
        assert!(small.reserve_for_computing(mib(13)).await.is_ok());
        assert_eq!(budget.reserved_bytes(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_memory_ends() {
        let budget = MemoryBudget::new(4096);
        assert_eq!(budget.reserve(4097).await.unwrap_err(), NoRoom::Ever);
        assert_eq!(budget.try_reserve(4097).unwrap_err(), NoRoom::Ever);
        let refused = budget.reserve_for_computing(4097).await.unwrap_err();
        assert_eq!(refused, NoRoom::Ever);
        let held = budget.reserve(4096).await.unwrap();
        assert_eq!(budget.reserve(1).await.unwrap_err(), NoRoom::Now);
        let waiter = tokio::spawn({
            let budget = budget.clone();
            async move { budget.reserve(1024).await.map(|permit| permit.bytes()) }
        });
        tokio::time::sleep(MEMORY_WAIT_MAX / 2).await;
        drop(held);
        assert_eq!(waiter.await.unwrap(), Ok(1024));
    }

    /// A request whose client lets the server wait since it began.
    struct Client {
        facts: Arc<RequestFacts>,
        _record: RequestRecord,
        permit: Option<MemoryPermit>,
    }

    impl Client {
        async fn new(
            budget: &MemoryBudget,
            registry: &Arc<InFlightRequests>,
            bytes: usize,
        ) -> Self {
            let facts = Arc::<RequestFacts>::default();
            let start = RequestStart {
                request_id: RequestId::next(),
                peer: Peer::LocalSocket,
                tls: false,
                arrived: std::time::Instant::now(),
                facts: Arc::clone(&facts),
                activity: Arc::default(),
                registry: Arc::clone(registry),
                metrics: Arc::new(Metrics::new()),
                slot: None,
            };
            let record = RequestRecord::begin(start, &http::Request::new(()));
            let permit = budget.reserve(bytes).await.unwrap();
            let client = Self {
                permit: Some(permit.held_by(&facts)),
                facts,
                _record: record,
            };
            client.has_moved(0);
            client
        }

        fn has_moved(&self, bytes: u64) {
            let transfer = self.facts.transfer();
            transfer.go_on();
            let context = Context::from_waker(Waker::noop());
            transfer.wait(Waits::ForSender, bytes, &context);
        }

        fn is_cut(&self) -> bool {
            self.facts.transfer().is_cut()
        }
    }

    /// A budget that clients hold as a whole, one unit each.
    async fn held_by(count: usize) -> (MemoryBudget, Arc<InFlightRequests>, Vec<Client>) {
        let budget = MemoryBudget::new(count * MEMORY_UNIT_BYTES);
        let registry = Arc::<InFlightRequests>::default();
        budget.watch(&registry);
        let mut clients = Vec::new();
        for _ in 0..count {
            clients.push(Client::new(&budget, &registry, 1).await);
        }
        (budget, registry, clients)
    }

    fn cut_places(clients: &[Client]) -> Vec<usize> {
        let places = 0..clients.len();
        places.filter(|place| clients[*place].is_cut()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_cut_while_nobody_waits() {
        let (budget, _registry, mut clients) = held_by(3).await;
        tokio::time::sleep(JUDGED_AFTER * 100).await;
        assert!(budget.try_reserve(1).is_err());
        assert_eq!(cut_places(&clients), [0; 0]);
        clients[1].permit = None;
        assert!(budget.reserve(1).await.is_ok());
        assert_eq!(cut_places(&clients), [0; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_slowest_give_way_and_no_more_than_is_needed() {
        let (budget, _registry, mut clients) = held_by(5).await;
        let fast = SLOW_BYTES_PER_SECOND * 2;
        for second in 1..=20 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            for (client, pace) in clients.iter().zip([fast, 300, 100, 200, 400]) {
                client.has_moved(second * pace);
            }
        }
        let began = Instant::now();
        let waiting = tokio::spawn({
            let budget = budget.clone();
            async move { budget.reserve(2 * MEMORY_UNIT_BYTES).await }
        });
        tokio::time::sleep(PATIENCE - Duration::from_millis(1)).await;
        assert_eq!(cut_places(&clients), [0; 0], "it has patience at first");
        tokio::time::sleep(Duration::from_millis(2)).await;
        assert_eq!(cut_places(&clients), [2, 3]);
        // What was cut may take a while to go.
        tokio::time::sleep(LOOK_INTERVAL * 4).await;
        assert_eq!(cut_places(&clients), [2, 3]);
        clients.retain(|client| !client.is_cut());
        assert!(waiting.await.unwrap().is_ok());
        assert!(began.elapsed() < PATIENCE * 3);
        assert_eq!(budget.shared.relief.wanted_units.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn fast_transfers_are_never_cut() {
        let (budget, _registry, clients) = held_by(2).await;
        let waiting = tokio::spawn({
            let budget = budget.clone();
            async move { budget.reserve(1).await }
        });
        for second in 1..=20 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            for client in &clients {
                client.has_moved(second * SLOW_BYTES_PER_SECOND * 2);
            }
        }
        assert!(matches!(waiting.await.unwrap(), Err(NoRoom::Now)));
        assert_eq!(cut_places(&clients), [0; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_together_with_the_slow_ones_gets_a_turn() {
        let (budget, _registry, mut clients) = held_by(4).await;
        let waiting = tokio::spawn({
            let budget = budget.clone();
            async move { budget.reserve(1).await }
        });
        while cut_places(&clients).is_empty() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        clients.retain(|client| !client.is_cut());
        assert_eq!(clients.len(), 3);
        assert!(waiting.await.unwrap().is_ok());
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
