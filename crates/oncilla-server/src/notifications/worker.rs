//! The delivery of one target's events.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use oncilla_store::Fault;
use oncilla_store::events::QueuedEvent;
use tokio::time::Instant;

use super::Inner;
use super::message::message;
use super::sender::SendError;
use super::standing::{Failures, Left, Standing};
use super::target::Target;

/// Messages on their way to a target at a time.
const AT_ONCE: usize = 8;

/// Events delivered between two looks at the queue.
const BATCH_EVENTS: usize = 64;

/// Events read from the queue at a time.
const PAGE_EVENTS: usize = 256;

/// How far a worker looks into the queue for events whose keys need not wait: bounds its memory to
/// a few MiB. When the first events of so many are all of keys that failed, the rest waits.
const LOOK_EVENTS_MAX: usize = 4_096;

/// Events in a row that got no answer at all, after which a target counts as down: it is then tried
/// with one event at a time. A target that refuses events is not down, and each of them waits alone.
const DOWN_AFTER: u32 = 3;

/// How long a worker pauses when the queue cannot be read or written.
const FAULT_PAUSE: Duration = Duration::from_secs(1);

/// How long a worker with nothing but waiting keys pauses at most, to see new ones.
const IDLE_PAUSE_MAX: Duration = Duration::from_secs(1);

/// An object, whose events go one after the other.
type ObjectName = (String, Bytes);

/// A key whose last delivery failed.
struct Waiting {
    failures: u32,
    until: Instant,
}

/// Delivers the events of one target until there are none left, or another one waits for its place
/// and either its turn is over or the target takes nothing now. The one after it does not know which
/// events failed: that costs a first attempt.
pub struct Worker<'a> {
    inner: &'a Inner,
    arn: String,
    target: Target,
    standing: Standing,
    /// What those before it found.
    failures: Failures,
    waiting: HashMap<ObjectName, Waiting>,
    unanswered_in_a_row: u32,
    /// Whether the target took an event.
    took: bool,
    begun: Instant,
}

/// What comes after a round.
enum Next {
    /// Nothing: the queue is empty.
    End,
    /// Another round.
    Round,
    /// Nothing can be delivered until then.
    PauseUntil(Instant),
}

/// What is to be delivered next.
struct Batch {
    /// Events of one key each, in order.
    of_keys: Vec<Vec<QueuedEvent>>,
    /// Whether the queue has any event at all.
    queue_is_empty: bool,
}

/// How the delivery of one key's events went.
struct KeyOutcome {
    name: ObjectName,
    delivered: Vec<QueuedEvent>,
    end: End,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// All were taken.
    Taken,
    /// One was refused.
    Refused,
    /// One got no answer.
    Unanswered,
    /// The first was left, since no other got an answer.
    NotTried,
}

/// How a round goes, so that it ends early when the target is down.
#[derive(Default)]
struct Progress {
    any_answered: AtomicBool,
    unanswered: AtomicU32,
}

impl Progress {
    fn is_vain(&self) -> bool {
        let unanswered = self.unanswered.load(Ordering::Relaxed);
        unanswered >= DOWN_AFTER && !self.any_answered.load(Ordering::Relaxed)
    }
}

impl<'a> Worker<'a> {
    pub fn new(
        inner: &'a Inner,
        arn: String,
        target: Target,
        standing: Standing,
        failures: Failures,
    ) -> Self {
        let unanswered_in_a_row = match failures.is_down {
            true => DOWN_AFTER.saturating_add(failures.times),
            false => 0,
        };
        Self {
            inner,
            arn,
            target,
            standing,
            failures,
            waiting: HashMap::new(),
            unanswered_in_a_row,
            took: false,
            begun: Instant::now(),
        }
    }

    /// Works until the queue is empty or it has to give way; gives the target's ARN, and how it was
    /// left.
    pub async fn run(mut self) -> (String, Left) {
        let left = self.work().await;
        (self.arn, left)
    }

    async fn work(&mut self) -> Left {
        loop {
            if self.is_turn_over() {
                return match self.took && self.unanswered_in_a_row == 0 {
                    true => Left::Taking,
                    false => self.left_failing(),
                };
            }
            match self.round().await {
                Ok(Next::End) => return Left::Empty { took: self.took },
                Ok(Next::Round) => {}
                Ok(Next::PauseUntil(end)) => {
                    if !self.pause_until(end).await {
                        return self.left_failing();
                    }
                }
                Err(error) => {
                    let arn = &self.arn;
                    tracing::error!(%error, target_arn = arn, "events wait: the queue failed");
                    tokio::time::sleep(FAULT_PAUSE).await;
                }
            }
        }
    }

    fn left_failing(&self) -> Left {
        Left::Failing {
            took: self.took,
            is_down: self.unanswered_in_a_row > 0,
        }
    }

    fn is_turn_over(&self) -> bool {
        let is_over = self.begun.elapsed() >= self.inner.options.turn;
        is_over && self.inner.is_crowded(self.standing)
    }

    /// Pauses, unless another one waits for its place: says whether it stayed.
    async fn pause_until(&self, end: Instant) -> bool {
        while Instant::now() < end {
            if self.inner.is_crowded(self.standing) {
                return false;
            }
            tokio::time::sleep_until(end.min(Instant::now() + IDLE_PAUSE_MAX)).await;
        }
        true
    }

    /// Delivers a batch.
    async fn round(&mut self) -> Result<Next, Fault> {
        let batch = self.next_batch().await?;
        if batch.queue_is_empty {
            return Ok(Next::End);
        }
        if batch.of_keys.is_empty() {
            let earliest = self.waiting.values().map(|waiting| waiting.until).min();
            let idle_until = Instant::now() + IDLE_PAUSE_MAX;
            let until = earliest.map_or(idle_until, |at| at.min(idle_until));
            return Ok(Next::PauseUntil(until));
        }
        let of_keys = batch.of_keys.into_iter();
        let progress = Progress::default();
        let deliveries: Vec<_> = of_keys
            .map(|events| deliver_in_order(self.inner, &self.arn, &self.target, events, &progress))
            .collect();
        let outcomes: Vec<KeyOutcome> = stream::iter(deliveries)
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let mut delivered = Vec::new();
        for outcome in outcomes {
            delivered.extend(outcome.delivered);
            match outcome.end {
                End::Taken => {
                    self.waiting.remove(&outcome.name);
                }
                End::Refused | End::Unanswered => self.put_off(outcome.name),
                End::NotTried => {}
            }
        }
        self.took |= !delivered.is_empty();
        let any_answered = progress.any_answered.into_inner();
        let unanswered = progress.unanswered.into_inner();
        self.inner.forget(&self.arn, delivered).await?;
        match any_answered {
            true => self.unanswered_in_a_row = 0,
            false => self.unanswered_in_a_row = self.unanswered_in_a_row.saturating_add(unanswered),
        }
        Ok(match self.unanswered_in_a_row.checked_sub(DOWN_AFTER) {
            Some(times) => Next::PauseUntil(Instant::now() + self.pause_after(times)),
            None => Next::Round,
        })
    }

    /// Reads what may be delivered now: the first events of keys that need not wait.
    async fn next_batch(&self) -> Result<Batch, Fault> {
        if self.unanswered_in_a_row >= DOWN_AFTER {
            return self.next_trial().await;
        }
        let now = Instant::now();
        let mut of_keys: Vec<Vec<QueuedEvent>> = Vec::new();
        let mut places: HashMap<ObjectName, usize> = HashMap::new();
        let (mut looked_at, mut taken) = (0, 0);
        let mut from = None;
        loop {
            let page = self
                .inner
                .store
                .events_waiting(&self.arn, from, PAGE_EVENTS)
                .await?;
            let queue_is_empty = looked_at == 0 && page.events.is_empty() && page.next.is_none();
            looked_at += page.events.len();
            for event in page.events {
                let name = name_of(&event);
                let waits = self.waiting.get(&name);
                if taken == BATCH_EVENTS || waits.is_some_and(|key| key.until > now) {
                    continue;
                }
                taken += 1;
                match places.get(&name) {
                    Some(&place) => of_keys[place].push(event),
                    None => {
                        places.insert(name, of_keys.len());
                        of_keys.push(vec![event]);
                    }
                }
            }
            from = page.next;
            if from.is_none() || taken == BATCH_EVENTS || looked_at >= LOOK_EVENTS_MAX {
                return Ok(Batch {
                    of_keys,
                    queue_is_empty,
                });
            }
        }
    }

    /// The event that finds out whether a target is up again: the oldest of a key that did not fail
    /// yet, since it may be an event that the target cannot stand; otherwise the oldest of all. Each
    /// worker begins with another one than that before it.
    async fn next_trial(&self) -> Result<Batch, Fault> {
        let store = &self.inner.store;
        let page = store
            .events_waiting(&self.arn, None, LOOK_EVENTS_MAX)
            .await?;
        let queue_is_empty = page.events.is_empty() && page.next.is_none();
        let mut keys = HashSet::new();
        let mut places = Vec::new();
        for (place, event) in page.events.iter().enumerate() {
            let name = name_of(event);
            let did_not_fail = !self.waiting.contains_key(&name);
            if keys.insert(name) && did_not_fail {
                places.push(place);
            }
        }
        let begin = self.failures.times as usize;
        let turn = begin.checked_rem(places.len());
        let place = turn.map_or(0, |turn| places[turn]);
        let trial = page.events.into_iter().nth(place);
        Ok(Batch {
            of_keys: trial.map(|event| vec![event]).into_iter().collect(),
            queue_is_empty,
        })
    }

    /// Lets a key wait for longer than the last time.
    fn put_off(&mut self, name: ObjectName) {
        let failures = self
            .waiting
            .get(&name)
            .map_or(0, |waiting| waiting.failures);
        let until = Instant::now() + self.pause_after(failures);
        let failures = failures.saturating_add(1);
        self.waiting.insert(name, Waiting { failures, until });
        // Keys whose events were dropped meanwhile would stay for ever.
        if self.waiting.len() > LOOK_EVENTS_MAX {
            let now = Instant::now();
            self.waiting.retain(|_, waiting| waiting.until > now);
        }
    }

    fn pause_after(&self, failures: u32) -> Duration {
        self.inner.options.pause_after(failures)
    }
}

fn name_of(event: &QueuedEvent) -> ObjectName {
    (event.record.bucket.clone(), event.record.key.clone())
}

/// Delivers the events of one key until one fails, or the round is in vain.
async fn deliver_in_order(
    inner: &Inner,
    arn: &str,
    target: &Target,
    events: Vec<QueuedEvent>,
    progress: &Progress,
) -> KeyOutcome {
    let name = events.first().map(name_of).unwrap_or_default();
    let mut delivered = Vec::with_capacity(events.len());
    if progress.is_vain() {
        return KeyOutcome {
            name,
            delivered,
            end: End::NotTried,
        };
    }
    for event in events {
        if let Err(error) = deliver(inner, target, &event).await {
            inner.stats.failed.fetch_add(1, Ordering::Relaxed);
            let record = &event.record;
            tracing::warn!(
                target_arn = arn, bucket = record.bucket, %error,
                "an event was not taken; it is tried again"
            );
            let end = match error {
                SendError::Refused(_) => {
                    progress.any_answered.store(true, Ordering::Relaxed);
                    End::Refused
                }
                SendError::Timeout(_) | SendError::Unreachable(_) => {
                    progress.unanswered.fetch_add(1, Ordering::Relaxed);
                    End::Unanswered
                }
            };
            return KeyOutcome {
                name,
                delivered,
                end,
            };
        }
        progress.any_answered.store(true, Ordering::Relaxed);
        delivered.push(event);
    }
    KeyOutcome {
        name,
        delivered,
        end: End::Taken,
    }
}

async fn deliver(inner: &Inner, target: &Target, event: &QueuedEvent) -> Result<(), SendError> {
    // What the format has no words for is as good as delivered.
    let Some(text) = message(&event.record, target.format, &inner.options.region) else {
        return Ok(());
    };
    inner.sender.send(target, text).await?;
    inner.stats.delivered.fetch_add(1, Ordering::Relaxed);
    Ok(())
}
