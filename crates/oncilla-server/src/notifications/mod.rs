//! Event notifications: what waits in the store's queue is sent to the web hooks that the operator
//! configured.
//!
//! Policy: at least once. An event is retried until its target answers 2xx, at growing intervals, for
//! as long as [`DeliveryOptions::keep_for`] and while no more than [`DeliveryOptions::keep_max`] wait
//! for the target; then the oldest are dropped, counted and logged, as are those of an owner of whose
//! buckets more than [`DeliveryOptions::keep_max_of_owner`] wait. The events of one key go one after
//! the other, those of other keys do not wait for them.
//!
//! Whoever configures a bucket makes up as many ARNs as they like, such that mean no target and such
//! that mean one that does not answer. So the look for targets goes round, of what waits for unknown
//! ones little is kept, a worker gives way when others wait for its place, and targets that failed
//! share a few workers, each after a pause of its own.

mod message;
mod queues;
mod sender;
mod standing;
mod target;
mod worker;

pub use target::{MessageFormat, Target, TargetError, Targets, can_mean_target, is_target_name};

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use oncilla_store::events::QueuedEvent;
use oncilla_store::{Fault, Store};

use crate::metrics::Collectors;
use crate::metrics_collectors::{Figure, count_of, figures};
use queues::Queues;
use sender::Sender;
use standing::{Place, Standing, Standings};
use worker::Worker;

/// Targets looked at in one look. The next one goes on behind them.
const LOOK_TARGETS_MAX: usize = 256;

/// How often the queue is looked at for targets with new events.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// How many events are kept for the buckets of one owner: so that none of them fills the store, nor
/// takes the place of what waits for others.
pub const KEEP_MAX_OF_OWNER: u64 = 200_000;

/// How events are delivered.
#[derive(Clone, Debug)]
pub struct DeliveryOptions {
    /// Region that messages name.
    pub region: String,
    /// How long an event is kept for a target that does not take it.
    pub keep_for: Duration,
    /// How many events are kept for a target. The bound is looked at every
    /// [`DeliveryOptions::trim_interval`], so that writes need not count.
    pub keep_max: u64,
    /// How many are kept of the buckets of one owner, for all targets together: of those beyond, the
    /// oldest go first, from where most of them wait.
    pub keep_max_of_owner: u64,
    /// How many are kept for an ARN that means no target of this server, and may mean one of the next
    /// start.
    pub keep_max_unknown: u64,
    /// How many are kept for all targets together. The longest queues give theirs first.
    pub keep_max_in_all: u64,
    /// How many are kept for all ARNs together that mean no target.
    pub keep_max_unknown_in_all: u64,
    /// How long a target is served while others wait for its place.
    pub turn: Duration,
    /// How often old and surplus events are dropped.
    pub trim_interval: Duration,
    /// Pause after the first failure; it doubles with each further one.
    pub retry_first: Duration,
    /// Longest pause.
    pub retry_max: Duration,
}

impl Default for DeliveryOptions {
    fn default() -> Self {
        Self {
            region: "auto".to_owned(),
            keep_for: Duration::from_secs(24 * 3_600),
            keep_max: 100_000,
            keep_max_of_owner: KEEP_MAX_OF_OWNER,
            keep_max_unknown: 1_000,
            keep_max_in_all: 1_000_000,
            keep_max_unknown_in_all: 10_000,
            turn: Duration::from_secs(30),
            trim_interval: Duration::from_secs(10),
            retry_first: Duration::from_secs(1),
            retry_max: Duration::from_secs(300),
        }
    }
}

impl DeliveryOptions {
    /// The pause after some failures before the last one: it doubles with each, and a random part of
    /// its second half keeps targets that came back from being overrun.
    fn pause_after(&self, failures: u32) -> Duration {
        let doubled = self
            .retry_first
            .saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX));
        let pause = doubled.min(self.retry_max);
        let mut random = [0; 4];
        // Without a random source all wait equally long.
        let _ = getrandom::fill(&mut random);
        let part = f64::from(u32::from_be_bytes(random)) / f64::from(u32::MAX);
        pause / 2 + (pause / 2).mul_f64(part)
    }
}

/// Figures since the server was started.
#[derive(Debug, Default)]
struct Stats {
    delivered: AtomicU64,
    failed: AtomicU64,
    expired: AtomicU64,
    surplus: AtomicU64,
    waiting: AtomicU64,
}

/// Delivers events. Cheap to clone.
#[derive(Clone)]
pub struct Deliverer {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    targets: Targets,
    sender: Sender,
    options: DeliveryOptions,
    stats: Stats,
    queues: Queues,
    /// Of those who stand like this or worse, somebody waits for a worker: a [`Standing`], or 0.
    crowd: AtomicU8,
}

/// The look for targets that have events.
#[derive(Default)]
struct Look {
    /// The target that the last one ended with; `None` to begin with the first.
    after: Option<String>,
    standings: Standings,
}

impl Deliverer {
    /// A deliverer of the store's events.
    ///
    /// # Errors
    /// When a target's certificates cannot be read.
    pub fn new(
        store: Store,
        targets: Targets,
        options: DeliveryOptions,
    ) -> Result<Self, TargetError> {
        let inner = Inner {
            sender: Sender::new(&targets)?,
            store,
            targets,
            options,
            stats: Stats::default(),
            queues: Queues::default(),
            crowd: AtomicU8::new(0),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Figures for the metrics page.
    pub fn collectors(&self) -> Collectors {
        let inner = Arc::clone(&self.inner);
        let read = move || {
            let stats = &inner.stats;
            [
                Figure::counter(
                    "notification_events_delivered",
                    "Events that a target acknowledged",
                    count_of(&stats.delivered),
                ),
                Figure::counter(
                    "notification_attempts_failed",
                    "Deliveries of events that failed and are tried again",
                    count_of(&stats.failed),
                ),
                Figure::counter(
                    "notification_events_expired",
                    "Events dropped because their target did not take them in time",
                    count_of(&stats.expired),
                ),
                Figure::counter(
                    "notification_events_surplus",
                    "Events dropped because too many waited for their target",
                    count_of(&stats.surplus),
                ),
                Figure::gauge(
                    "notification_events_waiting",
                    "Events that wait for their delivery",
                    count_of(&stats.waiting),
                ),
            ]
        };
        vec![figures(read)]
    }

    /// Delivers for as long as it is polled. Drop it to stop: what was not acknowledged waits in the
    /// store.
    pub async fn run(&self) {
        tokio::join!(self.inner.run_trim(), self.inner.run_workers());
    }
}

impl Inner {
    async fn run_workers(&self) {
        let mut look = Look::default();
        let mut workers = FuturesUnordered::new();
        loop {
            for worker in self.new_workers(&mut look).await {
                workers.push(worker.run());
            }
            let pause = tokio::time::sleep(POLL_INTERVAL);
            tokio::pin!(pause);
            loop {
                tokio::select! {
                    () = &mut pause => break,
                    Some((arn, left)) = workers.next() => {
                        look.standings.leave(arn, left, &self.options);
                    }
                }
            }
        }
    }

    /// Workers for targets that have events and no worker.
    async fn new_workers(&self, look: &mut Look) -> Vec<Worker<'_>> {
        let after = look.after.as_deref();
        let waiting = match self.store.event_targets(after, LOOK_TARGETS_MAX).await {
            Ok(waiting) => waiting,
            Err(error) => {
                tracing::error!(%error, "the queue of events cannot be read; trying again");
                return Vec::new();
            }
        };
        let mut crowd = 0;
        let is_end = waiting.len() < LOOK_TARGETS_MAX;
        let mut workers = Vec::new();
        for arn in waiting {
            if let Some(target) = self.targets.resolve(&arn) {
                match look.standings.enter(&arn) {
                    Place::Taken(standing, failures) => {
                        let arn = arn.clone();
                        workers.push(Worker::new(self, arn, target, standing, failures));
                    }
                    Place::NotNow => {}
                    Place::Crowded(level) => {
                        crowd = crowd.max(level as u8);
                        if level == Standing::Taking {
                            // There is none for anybody. The next look begins with it.
                            self.crowd.store(crowd, Ordering::Relaxed);
                            return workers;
                        }
                    }
                }
            }
            look.after = Some(arn);
        }
        if is_end {
            look.after = None;
        }
        self.crowd.store(crowd, Ordering::Relaxed);
        workers
    }

    /// Whether somebody waits for the worker of a target that stands like this.
    fn is_crowded(&self, standing: Standing) -> bool {
        self.crowd.load(Ordering::Relaxed) >= standing as u8
    }

    /// Removes events of a target that were delivered.
    async fn forget(&self, arn: &str, events: Vec<QueuedEvent>) -> Result<(), Fault> {
        let row_keys = events.iter().map(|event| event.row_key.clone());
        self.store.forget_events(row_keys.collect()).await?;
        self.queues.remove(arn, &events);
        Ok(())
    }
}
