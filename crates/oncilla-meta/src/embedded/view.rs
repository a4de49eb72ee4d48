//! Consistent reads of one moment.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fjall::{Guard, Keyspace, Readable, Snapshot};

use super::database::library_error;
use super::gaps::{GapIndex, ScanClock};
use crate::engine::{Change, EngineError, Row, Scan, ScanPage, Space};

/// The database at one moment between two batches.
///
/// The committer takes one after every batch, and all readers share it until the next. Readers do
/// not open snapshots of their own: fjall 3.1.13 raises the visible sequence number not only when
/// a batch is applied (`batch/mod.rs`, `publish` after the memtable inserts, which come after the
/// journal's sync), but also when a flush or compaction ends (lsm-tree 3.1.10,
/// `version/super_version.rs`, `upgrade_version_with_seqno`). A snapshot opened while a batch is
/// being written can therefore have a number above that batch's, and see it appear row by row.
pub(super) struct View {
    snapshot: Snapshot,
    records: Keyspace,
    bodies: Keyspace,
    changes: Keyspace,
    /// Tells the committer whether views are left; the last field, so that it is dropped last.
    _alive: Arc<()>,
}

/// Rows in key order, forward or backward.
type RowIter = Box<dyn Iterator<Item = Guard>>;

impl View {
    pub(super) fn new(
        snapshot: Snapshot,
        [records, bodies, changes]: [Keyspace; 3],
        alive: Arc<()>,
    ) -> Self {
        Self {
            snapshot,
            records,
            bodies,
            changes,
            _alive: alive,
        }
    }

    fn keyspace(&self, space: Space) -> &Keyspace {
        match space {
            Space::Records => &self.records,
            Space::Bodies => &self.bodies,
        }
    }

    pub(super) fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        let found = self
            .snapshot
            .get(self.keyspace(space), key)
            .map_err(library_error)?;
        Ok(found.map(Bytes::from))
    }

    /// Number of the moment: whatever is written later has it or a larger one.
    pub(super) fn moment(&self) -> u64 {
        self.snapshot.seqno()
    }

    pub(super) fn disk_bytes(&self) -> u64 {
        self.records.disk_space() + self.bodies.disk_space() + self.changes.disk_space()
    }

    /// Rows of `start..end`; the bounds must be in order.
    fn rows(&self, space: Space, start: &[u8], end: &[u8], reverse: bool) -> RowIter {
        let rows = self.snapshot.range(self.keyspace(space), start..end);
        if reverse {
            Box::new(rows.rev())
        } else {
            Box::new(rows)
        }
    }

    pub(super) fn scan(
        &self,
        scan: &Scan,
        gaps: Option<&GapIndex>,
    ) -> Result<ScanPage, EngineError> {
        if scan.start >= scan.end || scan.limit_rows == 0 {
            return Ok(ScanPage::default());
        }
        let mut walk = RowWalk::new(self, scan, gaps);
        let mut rows = Vec::new();
        while rows.len() < scan.limit_rows {
            let Some(row) = walk.next()? else {
                return Ok(ScanPage { rows, more: false });
            };
            rows.push(row);
        }
        let more = walk.next()?.is_some();
        Ok(ScanPage { rows, more })
    }

    /// Walks the range without a limit until `visit` answers false.
    pub(super) fn visit(
        &self,
        scan: &Scan,
        gaps: Option<&GapIndex>,
        mut visit: impl FnMut(Row) -> bool,
    ) -> Result<(), EngineError> {
        if scan.start >= scan.end {
            return Ok(());
        }
        let mut walk = RowWalk::new(self, scan, gaps);
        while let Some(row) = walk.next()? {
            if !visit(row) {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn changes_since(
        &self,
        sequence: u64,
        limit: usize,
    ) -> Result<Vec<Change>, EngineError> {
        let after = sequence.to_be_bytes();
        let last = u64::MAX.to_be_bytes();
        let bounds = (Bound::Excluded(after), Bound::Included(last));
        if sequence == u64::MAX || limit == 0 {
            return Ok(Vec::new());
        }
        let mut changes = Vec::new();
        for guard in self.snapshot.range(&self.changes, bounds).take(limit) {
            let (key, entry) = guard.into_inner().map_err(library_error)?;
            changes.push(Change {
                sequence: change_sequence(&key)?,
                entry: entry.into(),
            });
        }
        Ok(changes)
    }

    /// Sequences of the oldest change-log entries in `from..=up_to`, at most `limit`.
    pub(super) fn oldest_changes(
        &self,
        from: u64,
        up_to: u64,
        limit: usize,
    ) -> Result<Vec<u64>, EngineError> {
        if from > up_to {
            return Ok(Vec::new());
        }
        let range = self
            .snapshot
            .range(&self.changes, from.to_be_bytes()..=up_to.to_be_bytes());
        let keys = range
            .take(limit)
            .map(|guard| guard.key().map_err(library_error));
        keys.map(|key| change_sequence(&key?)).collect()
    }

    /// Sequence of the newest change-log entry.
    pub(super) fn newest_change(&self) -> Result<Option<u64>, EngineError> {
        let range = 0_u64.to_be_bytes()..=u64::MAX.to_be_bytes();
        match self.snapshot.range(&self.changes, range).next_back() {
            None => Ok(None),
            Some(guard) => change_sequence(&guard.key().map_err(library_error)?).map(Some),
        }
    }
}

fn change_sequence(key: &[u8]) -> Result<u64, EngineError> {
    let digits: [u8; 8] = key.try_into().map_err(|_| EngineError::Damaged {
        detail: format!("change-log key of {} bytes instead of 8", key.len()),
    })?;
    Ok(u64::from_be_bytes(digits))
}

/// A walk over rows that jumps over known gaps and reports those it had to wade through.
struct RowWalk<'a> {
    view: &'a View,
    space: Space,
    reverse: bool,
    /// What is left to walk.
    start: Bytes,
    end: Bytes,
    rows: RowIter,
    gaps: Option<&'a GapIndex>,
    /// Edge of the next gap ahead; until the walk is there, no other gap needs looking up.
    next_gap: NextGap,
}

enum NextGap {
    Unknown,
    None,
    At(Bytes),
}

impl<'a> RowWalk<'a> {
    fn new(view: &'a View, scan: &Scan, gaps: Option<&'a GapIndex>) -> Self {
        // Only records are scanned by prefix; bodies have no gaps worth knowing.
        let gaps = gaps.filter(|_| scan.space == Space::Records);
        Self {
            view,
            space: scan.space,
            reverse: scan.reverse,
            start: scan.start.clone(),
            end: scan.end.clone(),
            rows: view.rows(scan.space, &scan.start, &scan.end, scan.reverse),
            gaps,
            next_gap: NextGap::Unknown,
        }
    }

    fn next(&mut self) -> Result<Option<Row>, EngineError> {
        self.jump_over_gap();
        if self.start >= self.end {
            return Ok(None);
        }
        let clock = ScanClock::start();
        let found = match self.rows.next() {
            None => None,
            Some(guard) => {
                let (key, value) = guard.into_inner().map_err(library_error)?;
                Some(Row {
                    key: key.into(),
                    value: value.into(),
                })
            }
        };
        if let Some(gaps) = self.gaps
            && let Some(took) = clock.long_step()
        {
            self.learn_from_step(gaps, found.as_ref(), took);
        }
        match &found {
            None => self.start = self.end.clone(),
            Some(row) if self.reverse => self.end = row.key.clone(),
            Some(row) => self.start = successor(&row.key),
        }
        Ok(found)
    }

    /// If the next keys to walk lie in a known gap, goes on behind it.
    fn jump_over_gap(&mut self) {
        let Some(gaps) = self.gaps.filter(|gaps| !gaps.is_empty()) else {
            return;
        };
        let is_near = match &self.next_gap {
            NextGap::Unknown => true,
            NextGap::None => false,
            NextGap::At(edge) if self.reverse => self.end <= *edge,
            NextGap::At(edge) => self.start >= *edge,
        };
        if !is_near {
            return;
        }
        let moment = self.view.moment();
        let jump = if self.reverse {
            gaps.jump_backward(moment, &self.end)
        } else {
            gaps.jump_forward(moment, &self.start)
        };
        self.next_gap = jump.next_gap.map_or(NextGap::None, NextGap::At);
        let Some(behind) = jump.to else { return };
        if self.reverse {
            self.end = behind;
        } else {
            self.start = behind;
        }
        if self.start < self.end {
            self.rows = self
                .view
                .rows(self.space, &self.start, &self.end, self.reverse);
        }
    }

    /// The step from where the walk was to the row it found took long: nothing lives between.
    fn learn_from_step(&self, gaps: &GapIndex, found: Option<&Row>, took: Duration) {
        let moment = self.view.moment();
        match (found, self.reverse) {
            (None, _) => gaps.learn(moment, &self.start, &self.end, took),
            (Some(row), false) => gaps.learn(moment, &self.start, &row.key, took),
            (Some(row), true) => gaps.learn(moment, &successor(&row.key), &self.end, took),
        }
    }
}

/// The smallest key above `key`.
pub(super) fn successor(key: &[u8]) -> Bytes {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next.into()
}
