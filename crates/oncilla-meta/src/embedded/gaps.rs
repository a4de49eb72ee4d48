//! Key ranges of the records that are known to hold no live row.
//!
//! A log-structured tree keeps the marks of deleted rows until compaction drops them, and a scan
//! walks over each: about 0.5 µs, so 50 ms behind 100,000 deleted neighbours. Scans that know the
//! gap jump over it instead. Gaps are learned in two ways: from a scan that had to work long between
//! two rows, and by a background thread that looks around every [`PROBE_EVERY_DELETES`]th deleted
//! key. A jump has its price, since the library's iterator is opened anew behind it, so a gap that
//! is cheaper to walk than to jump over is not kept. Losing a gap costs time, never correctness; a
//! wrong gap would hide rows, so:
//!
//! - A gap carries the moment of the view it was learned from (`since`) and serves only views of
//!   that moment or later.
//! - Before a batch becomes visible, the committer takes the keys that it puts out of all gaps,
//!   and notes them in a log of recent puts.
//! - A gap learned from a view is accepted only if the log reaches back to that view and holds no
//!   later put inside the gap.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex, RwLock};

use super::Shared;
use super::view::View;
use crate::engine::{Scan, Space, next_key};

/// A step from one row to the next that takes more work is worth remembering: two hundred deleted
/// rows, three times what opening an iterator anew costs.
const LONG_STEP: Duration = Duration::from_micros(100);

/// What the first step of an iterator may take besides: it opens the iterator on every table, and
/// reads a block of each.
const OPENING: Duration = Duration::from_micros(100);

/// What a deleted row adds to the cost of walking over it.
const DELETED_ROW: Duration = Duration::from_nanos(500);

/// Gaps remembered. Two keys each, a megabyte or so in all.
const GAPS_MAX: usize = 4096;

/// Longer keys are not remembered; bounds the index to 8 MiB whatever the keys are.
const GAP_KEY_BYTES_MAX: usize = 1024;

/// Recent puts remembered: about a second at full load, and the longest scan takes less.
const RECENT_PUTS_MAX: usize = 16 * 1024;

/// One in so many deleted keys has its surroundings looked at in the background. A scan meets at
/// most about two times as many deleted rows that nobody has looked at yet, half a millisecond.
const PROBE_EVERY_DELETES: usize = if cfg!(test) { 3 } else { 500 };

/// Keys that wait to be looked at. More are dropped: scans then learn for themselves.
const PROBES_MAX: usize = 1024;

/// Measures the steps of a scan, by the work of its thread: what a step waited for a device or for
/// its turn on a core says nothing about deleted rows.
///
/// The thread's processor time costs a call of the system, so it is asked for when a step took long
/// by the wall clock, and then gives the least that the step can have worked.
pub(super) struct ScanClock {
    step_began: Instant,
    /// When both clocks were read last.
    read_at: Instant,
    worked: Duration,
}

impl ScanClock {
    pub(super) fn start() -> Self {
        let now = Instant::now();
        Self {
            step_began: now,
            read_at: now,
            worked: thread_time(),
        }
    }

    /// Ends a step and begins the next. How much work it was, if that was much. `opening`: it opened
    /// an iterator as well.
    pub(super) fn long_step(&mut self, opening: bool) -> Option<Duration> {
        // Unit tests learn from every step, so that they meet gaps everywhere.
        if cfg!(test) {
            return Some(8 * LONG_STEP);
        }
        let long = LONG_STEP + if opening { OPENING } else { Duration::ZERO };
        let now = Instant::now();
        let took = now - self.step_began;
        self.step_began = now;
        if took < long {
            return None;
        }
        let worked = thread_time();
        let waited = (now - self.read_at).saturating_sub(worked.saturating_sub(self.worked));
        self.read_at = now;
        self.worked = worked;
        Some(took.saturating_sub(waited)).filter(|work| *work >= long)
    }
}

/// Processor time of this thread.
fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    // It counts from the beginning of the thread, so neither part is negative.
    Duration::new(
        time.tv_sec.try_into().unwrap_or_default(),
        time.tv_nsec.try_into().unwrap_or_default(),
    )
}

#[derive(Debug)]
struct Gap {
    end: Bytes,
    /// Only views of this moment or later may use the gap.
    since: u64,
    /// What walking it cost: the cheapest are forgotten first.
    cost: Duration,
}

#[derive(Debug, Default)]
struct Index {
    /// By first key; they neither overlap nor touch.
    gaps: BTreeMap<Bytes, Gap>,
    /// Keys put, each with the moment of the newest view that does not show it.
    recent_puts: VecDeque<(u64, Bytes)>,
    /// Views of this moment or earlier cannot be checked against `recent_puts` any more.
    puts_forgotten_until: Option<u64>,
}

#[derive(Debug, Default)]
pub(super) struct GapIndex {
    index: RwLock<Index>,
    /// Number of gaps, so that scans need no lock when there are none.
    count: AtomicUsize,
    deletes_since_probe: AtomicUsize,
    probes: Mutex<VecDeque<Bytes>>,
    probe_arrived: Condvar,
    stopped: AtomicBool,
}

/// Where a scan may go on, and where it should ask again.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Jump {
    /// Behind the gap that the position lies in, if it lies in one.
    pub(super) to: Option<Bytes>,
    /// Edge of the nearest gap ahead; none if there is none.
    pub(super) next_gap: Option<Bytes>,
}

impl GapIndex {
    /// Whether no gap is known, without taking a lock.
    pub(super) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// For a forward scan in a view of `moment` that is about to read `position` and above.
    pub(super) fn jump_forward(&self, moment: u64, position: &[u8]) -> Jump {
        let index = self.index.read();
        let around = index.gaps.range::<[u8], _>(up_to(position)).next_back();
        let to = around
            .filter(|(_, gap)| gap.since <= moment && position < gap.end.as_ref())
            .map(|(_, gap)| gap.end.clone());
        let ahead = (Bound::Excluded(position), Bound::Unbounded);
        let next_gap = index
            .gaps
            .range::<[u8], _>(ahead)
            .next()
            .map(|(start, _)| start.clone());
        Jump { to, next_gap }
    }

    /// For a backward scan in a view of `moment` that is about to read below `position`.
    pub(super) fn jump_backward(&self, moment: u64, position: &[u8]) -> Jump {
        let index = self.index.read();
        let mut lower = index.gaps.range::<[u8], _>(below(position)).rev();
        let Some((start, gap)) = lower.next() else {
            return Jump {
                to: None,
                next_gap: None,
            };
        };
        if position > gap.end.as_ref() {
            return Jump {
                to: None,
                next_gap: Some(gap.end.clone()),
            };
        }
        let to = (gap.since <= moment).then(|| start.clone());
        Jump {
            to,
            next_gap: lower.next().map(|(_, gap)| gap.end.clone()),
        }
    }

    /// Remembers that the view of `moment` shows no row in `start..end`, unless a row may have
    /// been put there since.
    pub(super) fn learn(&self, moment: u64, start: &[u8], end: &[u8], cost: Duration) {
        if start >= end || start.len().max(end.len()) > GAP_KEY_BYTES_MAX {
            return;
        }
        let mut index = self.index.write();
        if index
            .puts_forgotten_until
            .is_some_and(|forgotten| moment <= forgotten)
        {
            return;
        }
        let put_since = |(unseen_by, key): &(u64, Bytes)| {
            *unseen_by >= moment && start <= key.as_ref() && key.as_ref() < end
        };
        if index.recent_puts.iter().any(put_since) {
            return;
        }
        index.insert(moment, start, end, cost);
        self.count.store(index.gaps.len(), Ordering::Release);
    }

    /// To be called before a batch with these puts becomes visible. `moment` is that of the
    /// newest view, which does not show them yet.
    pub(super) fn before_puts<'a>(&self, moment: u64, keys: impl Iterator<Item = &'a Bytes>) {
        let mut index = self.index.write();
        for key in keys {
            index.take_out(key);
            index
                .recent_puts
                .push_back((moment, Bytes::copy_from_slice(key)));
        }
        while index.recent_puts.len() > RECENT_PUTS_MAX {
            if let Some((forgotten, _)) = index.recent_puts.pop_front() {
                index.puts_forgotten_until = Some(forgotten);
            }
        }
        self.count.store(index.gaps.len(), Ordering::Release);
    }

    /// To be called when the view of `moment` shows that these keys are deleted: gaps that end
    /// at one of them grow over it, and some are left for the background thread to look at.
    pub(super) fn after_deletes<'a>(&self, moment: u64, keys: impl Iterator<Item = &'a Bytes>) {
        let mut probes = Vec::new();
        let mut counted = self.deletes_since_probe.load(Ordering::Relaxed);
        let has_gaps = !self.is_empty();
        for key in keys {
            if has_gaps {
                self.grow_over(moment, key);
            }
            counted += 1;
            if counted >= PROBE_EVERY_DELETES {
                counted = 0;
                probes.push(Bytes::copy_from_slice(key));
            }
        }
        self.deletes_since_probe.store(counted, Ordering::Relaxed);
        if probes.is_empty() {
            return;
        }
        let mut waiting = self.probes.lock();
        let room = PROBES_MAX.saturating_sub(waiting.len());
        waiting.extend(probes.into_iter().take(room));
        drop(waiting);
        self.probe_arrived.notify_one();
    }

    fn grow_over(&self, moment: u64, deleted: &Bytes) {
        let behind = next_key(deleted);
        {
            let index = self.index.read();
            let before = index.gaps.range::<[u8], _>(below(deleted)).next_back();
            let touches_end = before.is_some_and(|(_, gap)| gap.end == *deleted);
            if !touches_end && !index.gaps.contains_key(&behind) {
                return;
            }
        }
        self.learn(moment, deleted, &behind, DELETED_ROW);
    }

    /// Forgets everything: the database was closed, and its moments may begin anew.
    pub(super) fn clear(&self) {
        *self.index.write() = Index::default();
        self.count.store(0, Ordering::Release);
    }

    pub(super) fn stop_learning(&self) {
        self.stopped.store(true, Ordering::Release);
        // Under the lock, so that the learner cannot miss it between its check and its wait.
        let _probes = self.probes.lock();
        self.probe_arrived.notify_all();
    }

    /// The next key to look around; none when the engine stops.
    fn next_probe(&self) -> Option<Bytes> {
        let mut waiting = self.probes.lock();
        loop {
            if self.stopped.load(Ordering::Acquire) {
                return None;
            }
            if let Some(key) = waiting.pop_front() {
                return Some(key);
            }
            self.probe_arrived.wait(&mut waiting);
        }
    }
}

impl Index {
    /// Adds a gap, joined with those that it overlaps or touches.
    fn insert(&mut self, moment: u64, start: &[u8], end: &[u8], cost: Duration) {
        let mut start = Bytes::copy_from_slice(start);
        let mut joined = Gap {
            end: Bytes::copy_from_slice(end),
            since: moment,
            cost,
        };
        let before = self.gaps.range::<Bytes, _>(..&start).next_back();
        if let Some((first, gap)) = before
            && gap.end >= start
        {
            start = first.clone();
        }
        while let Some((first, _)) = self.gaps.range::<Bytes, _>(&start..=&joined.end).next() {
            let first = first.clone();
            if let Some(gap) = self.gaps.remove(&first) {
                joined.end = joined.end.max(gap.end);
                joined.since = joined.since.max(gap.since);
                joined.cost = joined.cost.saturating_add(gap.cost);
            }
        }
        if self.gaps.len() >= GAPS_MAX {
            self.forget_cheaper_half();
        }
        self.gaps.insert(start, joined);
    }

    /// Half at once, so that the cost of choosing is shared by the many insertions to come.
    fn forget_cheaper_half(&mut self) {
        let mut costs: Vec<Duration> = self.gaps.values().map(|gap| gap.cost).collect();
        let middle = costs.len() / 2;
        let (_, median, _) = costs.select_nth_unstable(middle);
        let median = *median;
        let mut to_drop = middle;
        self.gaps.retain(|_, gap| {
            let drops = to_drop > 0 && gap.cost <= median;
            to_drop -= usize::from(drops);
            !drops
        });
    }

    /// Splits the gap that `key` lies in, so that neither half holds it.
    ///
    /// Where a range fills up again, every put splits a gap. Halves that are not worth a jump are
    /// forgotten: the gaps between the rows of a page would cost more than the page.
    fn take_out(&mut self, key: &[u8]) {
        let around = self.gaps.range::<[u8], _>(up_to(key)).next_back();
        let Some((start, gap)) = around else { return };
        if key >= gap.end.as_ref() {
            return;
        }
        let start = start.clone();
        let Some(mut upper) = self.gaps.remove(&start) else {
            return;
        };
        // Each half takes its share, or splitting and joining would grow the cost without end.
        upper.cost /= 2;
        if upper.cost < LONG_STEP {
            return;
        }
        let lower = Gap {
            end: Bytes::copy_from_slice(key),
            since: upper.since,
            cost: upper.cost,
        };
        let upper_start = next_key(key);
        if upper_start < upper.end {
            self.gaps.insert(upper_start, upper);
        }
        if start < lower.end {
            self.gaps.insert(start, lower);
        }
        if self.gaps.len() > GAPS_MAX {
            self.forget_cheaper_half();
        }
    }
}

fn up_to(key: &[u8]) -> (Bound<&[u8]>, Bound<&[u8]>) {
    (Bound::Unbounded, Bound::Included(key))
}

fn below(key: &[u8]) -> (Bound<&[u8]>, Bound<&[u8]>) {
    (Bound::Unbounded, Bound::Excluded(key))
}

/// The background thread that looks around deleted keys.
pub(super) struct GapLearner {
    shared: Arc<Shared>,
}

impl GapLearner {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    pub(super) fn run(self) {
        while let Some(key) = self.shared.gaps.next_probe() {
            // Taken anew for each key: an old view would see less and keep more from reclaim.
            let Some(view) = self.shared.view.load_full() else {
                continue;
            };
            if let Err(error) = look_around(&view, &self.shared.gaps, &key) {
                tracing::warn!(%error, "could not look for deleted neighbours");
            }
        }
    }
}

/// Finds the live rows on both sides of `key` and remembers the gap between them.
pub(super) fn look_around(
    view: &View,
    gaps: &GapIndex,
    key: &Bytes,
) -> Result<(), crate::EngineError> {
    let mut clock = ScanClock::start();
    let mut next_row = None;
    let upwards = Scan {
        space: Space::Records,
        start: key.clone(),
        end: Bytes::from_static(&[0xff; GAP_KEY_BYTES_MAX]),
        reverse: false,
        limit_rows: 1,
    };
    view.visit(&upwards, Some(gaps), |row| {
        next_row = Some(row.key);
        false
    })?;
    let mut previous_row = None;
    let downwards = Scan {
        start: Bytes::new(),
        end: key.clone(),
        reverse: true,
        ..upwards.clone()
    };
    view.visit(&downwards, Some(gaps), |row| {
        previous_row = Some(row.key);
        false
    })?;

    let Some(took) = clock.long_step(true) else {
        return Ok(());
    };
    if next_row.as_ref() == Some(key) {
        return Ok(());
    }
    let start = previous_row.map_or_else(Bytes::new, |row| next_key(&row));
    let end = next_row.unwrap_or(upwards.end);
    gaps.learn(view.moment(), &start, &end, took);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// What a gap costs that is worth keeping when it is split three times.
    const DEAR: Duration = Duration::from_micros(800);

    fn key(number: u8) -> Bytes {
        Bytes::from(vec![number])
    }

    #[derive(Clone, Debug)]
    enum Step {
        /// Commits a put of the first and a delete of the second key.
        Commit(Option<u8>, Option<u8>),
        /// Learns what lies around the key in the view that is so many commits old.
        Learn(usize, u8),
        /// Asks for a jump from the key in the view that is so many commits old.
        Jump(usize, u8),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let key = 0_u8..32;
        let step = prop_oneof![
            (prop::option::of(key.clone()), prop::option::of(key.clone()))
                .prop_map(|(put, delete)| Step::Commit(put, delete)),
            (0_usize..4, key.clone()).prop_map(|(age, key)| Step::Learn(age, key)),
            (0_usize..4, key).prop_map(|(age, key)| Step::Jump(age, key)),
        ];
        prop::collection::vec(step, 0..120)
    }

    /// First key behind the live row below `number`, and the next live row from `number` on.
    fn around(live: &BTreeSet<u8>, number: u8) -> (Bytes, Bytes) {
        let start = live
            .range(..number)
            .next_back()
            .map_or(Bytes::new(), |row| next_key(&[*row]));
        let end = live
            .range(number..)
            .next()
            .map_or(key(0xff), |row| key(*row));
        (start, end)
    }

    proptest! {
        /// Whatever was learned, put and deleted: no jump in any view passes over a live row.
        #[test]
        fn jumps_pass_over_no_live_row(steps in steps()) {
            let gaps = GapIndex::default();
            // The live rows at each moment.
            let mut moments: Vec<BTreeSet<u8>> = vec![BTreeSet::from([3, 9, 20])];
            for step in steps {
                let newest = moments.len() - 1;
                match step {
                    Step::Commit(put, delete) => {
                        let puts: Vec<Bytes> = put.into_iter().map(key).collect();
                        gaps.before_puts(newest as u64, puts.iter());
                        let mut live = moments[newest].clone();
                        live.extend(put);
                        let delete = delete.filter(|delete| Some(*delete) != put);
                        delete.map(|delete| live.remove(&delete));
                        moments.push(live);
                        let deletes: Vec<Bytes> = delete.into_iter().map(key).collect();
                        gaps.after_deletes(newest as u64 + 1, deletes.iter());
                    }
                    Step::Learn(age, number) => {
                        let moment = newest.saturating_sub(age);
                        let (start, end) = around(&moments[moment], number);
                        gaps.learn(moment as u64, &start, &end, DEAR);
                    }
                    Step::Jump(age, number) => {
                        let moment = newest.saturating_sub(age);
                        let live = &moments[moment];
                        let jump = gaps.jump_forward(moment as u64, &[number]);
                        if let Some(to) = jump.to {
                            let mut rows = live.range(number..).map(|row| key(*row));
                            prop_assert!(rows.next().is_none_or(|row| row >= to), "to {to:?}");
                        }
                        let jump = gaps.jump_backward(moment as u64, &[number]);
                        if let Some(to) = jump.to {
                            let mut rows = live.range(..number).map(|row| key(*row));
                            prop_assert!(rows.next_back().is_none_or(|row| row < to), "to {to:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn gaps_serve_and_are_split() {
        let gaps = GapIndex::default();
        gaps.learn(5, b"b", b"m", DEAR);
        assert_eq!(
            gaps.jump_forward(5, b"c").to,
            Some(Bytes::from_static(b"m"))
        );
        assert_eq!(
            gaps.jump_forward(4, b"c").to,
            None,
            "an older view may show rows there"
        );
        assert_eq!(
            gaps.jump_backward(5, b"m").to,
            Some(Bytes::from_static(b"b"))
        );
        assert_eq!(
            gaps.jump_backward(5, b"z").next_gap,
            Some(Bytes::from_static(b"m"))
        );
        gaps.before_puts(6, [Bytes::from_static(b"f")].iter());
        assert_eq!(
            gaps.jump_forward(7, b"c").to,
            Some(Bytes::from_static(b"f"))
        );
        assert_eq!(gaps.jump_forward(7, b"f").to, None);
        gaps.learn(6, b"b", b"m", DEAR);
        assert_eq!(
            gaps.jump_forward(7, b"f").to,
            None,
            "the view was older than the put"
        );
        gaps.after_deletes(8, [Bytes::from_static(b"f")].iter());
        assert_eq!(
            gaps.jump_forward(8, b"c").to,
            Some(Bytes::from_static(b"m")),
            "joined again"
        );
    }

    #[test]
    fn the_index_stays_bounded_and_keeps_what_was_dear() {
        let gaps = GapIndex::default();
        let start = |number: usize| Bytes::from(format!("{number:08}a"));
        let end = |number: usize| Bytes::from(format!("{number:08}b"));
        for number in 0..3 * GAPS_MAX {
            let cost = if number == 7 {
                Duration::from_secs(1)
            } else {
                DEAR
            };
            gaps.learn(1, &start(number), &end(number), cost);
        }
        assert!(gaps.count.load(Ordering::Relaxed) <= GAPS_MAX);
        assert_eq!(gaps.jump_forward(1, &start(7)).to, Some(end(7)));
        let puts: Vec<Bytes> = (0..RECENT_PUTS_MAX + 9).map(start).collect();
        gaps.before_puts(2, puts.iter());
        assert!(gaps.index.read().recent_puts.len() <= RECENT_PUTS_MAX);
        gaps.learn(2, b"x", b"y", DEAR);
        assert_eq!(
            gaps.jump_forward(9, b"x").to,
            None,
            "the log does not reach back to 2"
        );
    }

    #[test]
    fn a_range_that_fills_up_again_keeps_no_gaps_that_are_not_worth_a_jump() {
        let gaps = GapIndex::default();
        let key = |number: usize| Bytes::from(format!("{number:08}"));
        let last = key(9 * GAPS_MAX);
        gaps.learn(1, &key(0), &last, 4 * LONG_STEP);
        gaps.before_puts(2, std::iter::once(&key(7)));
        assert_eq!(gaps.jump_forward(3, &key(0)).to, Some(key(7)));
        assert_eq!(gaps.jump_forward(3, &key(8)).to, Some(last));
        for number in 8..3 * GAPS_MAX {
            gaps.before_puts(2, std::iter::once(&key(number)));
        }
        // Below 7 and between 7 and 8; what the third put would have made of the rest is forgotten.
        assert_eq!(gaps.count.load(Ordering::Relaxed), 2);
        assert_eq!(gaps.jump_forward(3, &key(0)).to, Some(key(7)));
    }

    #[test]
    fn a_range_that_fills_up_again_does_not_fill_the_index() {
        let gaps = GapIndex::default();
        let key = |number: usize| Bytes::from(format!("{number:08}"));
        let last = key(9 * GAPS_MAX);
        gaps.learn(1, &key(0), &last, Duration::from_secs(1 << 40));
        for number in (1..3 * GAPS_MAX).rev() {
            gaps.before_puts(2, std::iter::once(&key(number)));
        }
        assert!(gaps.count.load(Ordering::Relaxed) <= GAPS_MAX);
    }
}
