//! How much waits for the targets, and what of it is dropped.
//!
//! Writes do not count the events that they add. So each look counts those that came since the last
//! one, and takes off what was delivered and dropped; a queue is counted from its beginning only now
//! and then.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use oncilla_store::Fault;
use oncilla_store::events::{EventCount, QueuedEvent};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::Inner;

/// How often a queue is counted from its beginning: what a count and a delivery that met got wrong
/// lasts no longer.
const RECOUNT_INTERVAL: Duration = Duration::from_secs(600);

/// Targets read at a time.
const PAGE_TARGETS: usize = 1_000;

/// The lengths of all queues, as far as they were counted.
#[derive(Debug, Default)]
pub struct Queues {
    lengths: Mutex<HashMap<String, Length>>,
}

/// The length of one queue.
#[derive(Debug)]
struct Length {
    count: EventCount,
    /// When it was counted from its beginning.
    since: Instant,
    /// The look that found it last.
    look: u64,
}

/// A queue as a look found it.
#[derive(Debug)]
struct Found {
    arn: String,
    events: u64,
}

impl Length {
    fn take_off(&mut self, events: u64) {
        self.count.events = self.count.events.saturating_sub(events);
    }

    fn take_off_owner(&mut self, owner: &str, events: u64) {
        let Some(left) = self.count.by_owner.get_mut(owner) else {
            return;
        };
        *left = left.saturating_sub(events);
        if *left == 0 {
            self.count.by_owner.remove(owner);
        }
    }
}

impl Queues {
    /// Where the next count of a queue goes on; `None` if it begins at the beginning.
    fn counted_up_to(&self, arn: &str) -> Option<Bytes> {
        let mut lengths = self.lengths.lock();
        let length = lengths.get(arn)?;
        if length.since.elapsed() >= RECOUNT_INTERVAL {
            lengths.remove(arn);
            return None;
        }
        length.count.last.clone()
    }

    /// Adds a count; gives the length.
    fn add(&self, arn: &str, counted: EventCount, look: u64) -> u64 {
        let mut lengths = self.lengths.lock();
        let length = lengths.entry(arn.to_owned()).or_insert_with(|| Length {
            count: EventCount::default(),
            since: Instant::now(),
            look,
        });
        length.look = look;
        length.count.events += counted.events;
        for (owner, events) in counted.by_owner {
            *length.count.by_owner.entry(owner).or_default() += events;
        }
        if counted.last.is_some() {
            length.count.last = counted.last;
        }
        length.count.events
    }

    /// Takes off events that are gone.
    pub fn remove(&self, arn: &str, events: &[QueuedEvent]) {
        if let Some(length) = self.lengths.lock().get_mut(arn) {
            // What came later was never counted.
            for event in events {
                if length.count.last.as_ref() >= Some(&event.row_key) {
                    length.take_off(1);
                    length.take_off_owner(&event.record.bucket_owner, 1);
                }
            }
        }
    }

    /// Takes off the oldest events, which are the first to have been counted.
    fn remove_oldest(&self, arn: &str, dropped: &EventCount) {
        if let Some(length) = self.lengths.lock().get_mut(arn) {
            length.take_off(dropped.events);
            for (owner, events) in &dropped.by_owner {
                length.take_off_owner(owner, *events);
            }
        }
    }

    /// How many events wait in a queue.
    fn length(&self, arn: &str) -> u64 {
        let lengths = self.lengths.lock();
        lengths.get(arn).map_or(0, |length| length.count.events)
    }

    /// The owners of whose buckets more than `keep_max` events wait, each with the queues that they
    /// wait in.
    fn owners_beyond(&self, keep_max: u64) -> HashMap<String, Vec<Found>> {
        let lengths = self.lengths.lock();
        let mut sums: HashMap<&str, u64> = HashMap::new();
        for length in lengths.values() {
            for (owner, events) in &length.count.by_owner {
                *sums.entry(owner).or_default() += events;
            }
        }
        let mut owners: HashMap<String, Vec<Found>> = HashMap::new();
        for (arn, length) in lengths.iter() {
            for (owner, &events) in &length.count.by_owner {
                if sums.get(owner.as_str()).is_some_and(|sum| *sum > keep_max) {
                    let arn = arn.clone();
                    let found = Found { arn, events };
                    owners.entry(owner.clone()).or_default().push(found);
                }
            }
        }
        owners
    }

    /// Forgets the queues that a look did not find: they are empty.
    fn keep_found_by(&self, look: u64) {
        self.lengths.lock().retain(|_, length| length.look == look);
    }
}

impl Inner {
    /// Drops what is too old or too much, again and again.
    pub async fn run_trim(&self) {
        for look in 0.. {
            if let Err(error) = self.trim(look).await {
                tracing::error!(%error, "the queue of events cannot be read; trying again");
            }
            tokio::time::sleep(self.options.trim_interval).await;
        }
    }

    async fn trim(&self, look: u64) -> Result<(), Fault> {
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        let mut after: Option<String> = None;
        loop {
            let page = self.store.event_targets(after.as_deref(), PAGE_TARGETS);
            let page = page.await?;
            after = page.last().cloned();
            let is_last = page.len() < PAGE_TARGETS;
            for arn in page {
                let (queues, keep_max) = match self.targets.resolve(&arn) {
                    Some(_) => (&mut known, self.options.keep_max),
                    None => (&mut unknown, self.options.keep_max_unknown),
                };
                match self.trim_target(&arn, keep_max, look).await {
                    Ok(()) => queues.push(arn),
                    Err(error) => {
                        tracing::error!(%error, target_arn = arn, "old events cannot be dropped");
                    }
                }
                // An engine in memory is ready at once, and deliveries run in this task too.
                tokio::task::yield_now().await;
            }
            if is_last {
                break;
            }
        }
        self.queues.keep_found_by(look);
        self.trim_owners().await?;
        let options = &self.options;
        let waiting = self.trim_sum(known, options.keep_max_in_all).await?
            + self
                .trim_sum(unknown, options.keep_max_unknown_in_all)
                .await?;
        self.stats.waiting.store(waiting, Ordering::Relaxed);
        Ok(())
    }

    /// Drops events of one target.
    async fn trim_target(&self, arn: &str, keep_max: u64, look: u64) -> Result<(), Fault> {
        let keep_for_ms = u64::try_from(self.options.keep_for.as_millis()).unwrap_or(u64::MAX);
        let before_ms = self.store.clock().now_ms().saturating_sub(keep_for_ms);
        let expired = self.store.drop_events_before(arn, before_ms).await?;
        if expired.events > 0 {
            self.queues.remove_oldest(arn, &expired);
            let expired = expired.events;
            self.stats.expired.fetch_add(expired, Ordering::Relaxed);
            self.tell_dropped(arn, expired, "their target did not take them in time");
        }
        let behind = self.queues.counted_up_to(arn);
        let counted = self.store.count_events(arn, behind.as_ref()).await?;
        let events = self.queues.add(arn, counted, look);
        self.shorten(arn, events, keep_max).await?;
        Ok(())
    }

    /// Drops events of the buckets of one owner until no more than are kept of one wait: the oldest,
    /// from the queues in which most of them wait.
    async fn trim_owners(&self) -> Result<(), Fault> {
        let keep_max = self.options.keep_max_of_owner;
        for (owner, queues) in self.queues.owners_beyond(keep_max) {
            let lengths = queues.iter().map(|queue| queue.events).collect();
            let length_max = common_length(lengths, keep_max);
            let mut surplus = 0;
            for Found { arn, events } in queues {
                let wanted = events.saturating_sub(length_max);
                if wanted == 0 {
                    continue;
                }
                let dropped = self.store.drop_oldest_events_of(&owner, &arn, wanted);
                let dropped = dropped.await?;
                self.queues.remove_oldest(&arn, &dropped);
                surplus += dropped.events;
            }
            if surplus == 0 {
                continue;
            }
            self.stats.surplus.fetch_add(surplus, Ordering::Relaxed);
            let reason = "too many of the buckets of one owner waited";
            tracing::warn!(owner, events = surplus, reason, "events were dropped");
        }
        Ok(())
    }

    /// Drops events until no more than `keep_max` wait in these queues together: the longest give
    /// theirs first. Says how many are left.
    async fn trim_sum(&self, arns: Vec<String>, keep_max: u64) -> Result<u64, Fault> {
        let found = |arn: String| Found {
            events: self.queues.length(&arn),
            arn,
        };
        let queues: Vec<Found> = arns.into_iter().map(found).collect();
        let lengths = queues.iter().map(|queue| queue.events).collect();
        let length_max = common_length(lengths, keep_max);
        let mut left = 0;
        for Found { arn, events } in queues {
            left += self.shorten(&arn, events, length_max).await?;
        }
        Ok(left)
    }

    /// Drops the oldest events of a target that are more than `keep_max`; says how many are left.
    async fn shorten(&self, arn: &str, events: u64, keep_max: u64) -> Result<u64, Fault> {
        let surplus = events.saturating_sub(keep_max);
        if surplus == 0 {
            return Ok(events);
        }
        let dropped = self.store.drop_oldest_events(arn, surplus).await?;
        self.queues.remove_oldest(arn, &dropped);
        let surplus = dropped.events;
        self.stats.surplus.fetch_add(surplus, Ordering::Relaxed);
        self.tell_dropped(arn, surplus, "too many waited");
        Ok(events.saturating_sub(surplus))
    }

    fn tell_dropped(&self, arn: &str, events: u64, reason: &str) {
        match self.targets.resolve(arn) {
            Some(_) => {
                tracing::warn!(target_arn = arn, events, reason, "events were dropped");
            }
            // There can be as many of these as anybody makes up.
            None => tracing::debug!(target_arn = arn, events, reason, "events were dropped"),
        }
    }
}

/// The length to which queues have to be cut so that they hold no more than `keep_max` together.
fn common_length(mut lengths: Vec<u64>, keep_max: u64) -> u64 {
    lengths.sort_unstable();
    let mut left = keep_max;
    let mut queues = lengths.len() as u64;
    for length in lengths {
        let share = left / queues;
        if length > share {
            return share;
        }
        left -= length;
        queues -= 1;
    }
    u64::MAX
}

#[cfg(test)]
mod tests {
    use oncilla_store::rows::event::EventRecord;

    use super::*;

    #[test]
    fn the_longest_queues_are_cut_to_one_length() {
        for (lengths, keep_max, expected) in [
            (vec![], 10, u64::MAX),
            (vec![10], 10, u64::MAX),
            (vec![11], 10, 10),
            (vec![1, 100, 2, 50], 103, 50),
            (vec![1, 100, 2, 50], 93, 45),
            (vec![5, 5, 5], 14, 4),
            (vec![1, 1, 1], 2, 0),
        ] {
            assert_eq!(
                common_length(lengths.clone(), keep_max),
                expected,
                "{lengths:?}"
            );
        }
    }

    #[test]
    fn what_was_not_counted_is_not_taken_off() {
        let queues = Queues::default();
        let key = Bytes::from_static;
        assert_eq!(queues.counted_up_to("a"), None);
        assert_eq!(queues.add("a", counted(3, "o", b"3"), 1), 3);
        queues.remove("a", &[b"2", b"3", b"4"].map(|key| queued(key, "o")));
        assert_eq!(queues.counted_up_to("a"), Some(key(b"3")));
        assert_eq!(queues.add("a", counted(1, "o", b"5"), 2), 2);
        assert_eq!(queues.add("a", EventCount::default(), 2), 2);
        queues.remove_oldest("a", &counted(3, "o", b""));
        assert_eq!(queues.add("a", counted(1, "o", b"6"), 3), 1);
        assert_eq!(queues.length("a"), 1);
        queues.keep_found_by(4);
        assert_eq!(queues.counted_up_to("a"), None);
    }

    #[test]
    fn an_owner_is_counted_over_all_queues() {
        let queues = Queues::default();
        let beyond = |keep_max| {
            let mut owners: Vec<_> = queues
                .owners_beyond(keep_max)
                .into_iter()
                .map(|(owner, found)| (owner, found.iter().map(|queue| queue.events).sum::<u64>()))
                .collect();
            owners.sort();
            owners
        };
        let owned = |owner: &str, events| (owner.to_owned(), events);
        queues.add("a", counted(3, "one", b"3"), 1);
        queues.add("a", counted(1, "two", b"4"), 1);
        queues.add("b", counted(2, "one", b"2"), 1);
        assert_eq!(beyond(5), []);
        assert_eq!(beyond(4), [owned("one", 5)]);
        assert_eq!(beyond(0), [owned("one", 5), owned("two", 1)]);
        queues.remove("a", &[queued(b"4", "two")]);
        queues.remove_oldest("b", &counted(2, "one", b""));
        assert_eq!(beyond(0), [owned("one", 3)]);
    }

    fn counted(events: u64, owner: &str, last: &'static [u8]) -> EventCount {
        EventCount {
            events,
            by_owner: HashMap::from([(owner.to_owned(), events)]),
            last: Some(Bytes::from_static(last)),
        }
    }

    fn queued(row_key: &'static [u8], owner: &str) -> QueuedEvent {
        QueuedEvent {
            row_key: Bytes::from_static(row_key),
            record: EventRecord {
                bucket_owner: owner.to_owned(),
                ..EventRecord::default()
            },
        }
    }
}
