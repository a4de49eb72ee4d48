//! Event notifications: what waits in the store's queue is sent to the web hooks that the operator
//! configured.
//!
//! Policy: at least once. An event is retried until its target answers 2xx, at growing intervals, for
//! as long as [`DeliveryOptions::keep_for`] and while no more than [`DeliveryOptions::keep_max`] wait
//! for the target; then the oldest are dropped, counted and logged. The events of one key go one after
//! the other, those of other keys do not wait for them.

mod message;
mod sender;
mod target;
mod worker;

pub use target::{MessageFormat, Target, TargetError, Targets, is_target_name};

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use oncilla_store::Store;
use tokio::time::Instant;

use crate::metrics::Collectors;
use crate::metrics_collectors::{counter, gauge};
use sender::Sender;
use worker::Worker;

/// Targets served at a time. More wait until one has nothing left.
const TARGETS_MAX: usize = 64;

/// How often the queue is looked at for targets with new events.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

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
            trim_interval: Duration::from_secs(10),
            retry_first: Duration::from_secs(1),
            retry_max: Duration::from_secs(300),
        }
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
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Figures for the metrics page.
    pub fn collectors(&self) -> Collectors {
        let read = |figure: fn(&Stats) -> &AtomicU64| {
            let inner = Arc::clone(&self.inner);
            move || figure(&inner.stats).load(Ordering::Relaxed)
        };
        vec![
            counter(
                "notification_events_delivered",
                "Events that a target acknowledged",
                read(|stats| &stats.delivered),
            ),
            counter(
                "notification_attempts_failed",
                "Deliveries of events that failed and are tried again",
                read(|stats| &stats.failed),
            ),
            counter(
                "notification_events_expired",
                "Events dropped because their target did not take them in time",
                read(|stats| &stats.expired),
            ),
            counter(
                "notification_events_surplus",
                "Events dropped because too many waited for their target",
                read(|stats| &stats.surplus),
            ),
            gauge(
                "notification_events_waiting",
                "Events that wait for their delivery",
                read(|stats| &stats.waiting),
            ),
        ]
    }

    /// Delivers for as long as it is polled. Drop it to stop: what was not acknowledged waits in the
    /// store.
    pub async fn run(&self) {
        let inner = &*self.inner;
        let mut working = HashSet::new();
        let mut workers = FuturesUnordered::new();
        let mut trim_at = Instant::now();
        loop {
            if Instant::now() >= trim_at {
                trim_at = Instant::now() + inner.options.trim_interval;
                inner.trim().await;
            }
            for worker in inner.new_workers(&mut working).await {
                workers.push(worker.run());
            }
            let pause = tokio::time::sleep(POLL_INTERVAL);
            tokio::pin!(pause);
            loop {
                tokio::select! {
                    () = &mut pause => break,
                    Some(arn) = workers.next() => { working.remove(&arn); }
                }
            }
        }
    }
}

impl Inner {
    /// Workers for the targets that have events and no worker.
    async fn new_workers(&self, working: &mut HashSet<String>) -> Vec<Worker<'_>> {
        // Unknown targets are passed over, so more are looked at than served.
        let waiting = match self.store.event_targets(4 * TARGETS_MAX).await {
            Ok(waiting) => waiting,
            Err(error) => {
                tracing::error!(%error, "the queue of events cannot be read; trying again");
                return Vec::new();
            }
        };
        let mut workers = Vec::new();
        for arn in waiting {
            if working.len() == TARGETS_MAX || working.contains(&arn) {
                continue;
            }
            if let Some(target) = self.targets.resolve(&arn) {
                working.insert(arn.clone());
                workers.push(Worker::new(self, arn, target));
            }
        }
        workers
    }

    /// Drops what is too old or too much.
    async fn trim(&self) {
        let keep_for_ms = u64::try_from(self.options.keep_for.as_millis()).unwrap_or(u64::MAX);
        let before_ms = self.store.clock().now_ms().saturating_sub(keep_for_ms);
        let mut waiting = 0;
        let targets = match self.store.event_targets(usize::MAX).await {
            Ok(targets) => targets,
            Err(error) => {
                tracing::error!(%error, "the queue of events cannot be read; trying again");
                return;
            }
        };
        for arn in targets {
            match self
                .store
                .trim_events(&arn, before_ms, self.options.keep_max)
                .await
            {
                Ok(trimmed) => {
                    waiting += trimmed.waiting;
                    let dropped = trimmed.expired + trimmed.surplus;
                    self.stats
                        .expired
                        .fetch_add(trimmed.expired, Ordering::Relaxed);
                    self.stats
                        .surplus
                        .fetch_add(trimmed.surplus, Ordering::Relaxed);
                    if dropped > 0 {
                        tracing::warn!(
                            target_arn = arn,
                            expired = trimmed.expired,
                            surplus = trimmed.surplus,
                            "events were dropped: their target did not take them"
                        );
                    }
                }
                Err(error) => {
                    tracing::error!(%error, target_arn = arn, "old events cannot be dropped");
                }
            }
        }
        self.stats.waiting.store(waiting, Ordering::Relaxed);
    }
}
