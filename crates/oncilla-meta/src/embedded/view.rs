//! Consistent reads of one moment.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fjall::{Guard, Keyspace, Readable, Snapshot};

use super::database::library_error;
use super::gaps::{GapIndex, ScanClock};
use crate::engine::{Change, EngineError, Row, Scan, ScanPage, Space, next_key};

/// The database at one moment between two batches.
///
/// The committer takes one after every batch, and all readers share it until the next. Readers do
/// not open snapshots of their own: fjall 3.1.13 raises the visible sequence number not only when
/// a batch is applied (`batch/mod.rs`, `publish` after the memtable inserts, which come after the
/// journal's sync), but also when a flush or compaction ends (lsm-tree 3.1.10,
/// `version/super_version.rs`, `upgrade_version_with_seqno`). A snapshot opened while a batch is
/// being written can therefore have a number above that batch's, and see it appear row by row.
///
/// That same function writes and syncs a small file under the lock that every read takes for a
/// moment. So reads can wait for one or two syncs whenever a flush or compaction ends.
pub(super) struct View {
    snapshot: Snapshot,
    records: Keyspace,
    bodies: Keyspace,
    changes: Keyspace,
    /// Tells the committer whether views are left; the last field, so that it is dropped last.
    _alive: Arc<()>,
}

/// Rows that a scan makes room for at once: a page of a listing. Longer scans grow.
const ROWS_EXPECTED_MAX: usize = 1024;

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
        let mut rows = Vec::with_capacity(scan.limit_rows.min(ROWS_EXPECTED_MAX));
        while rows.len() < scan.limit_rows {
            let Some(row) = walk.next()? else {
                return Ok(ScanPage { rows, more: false });
            };
            rows.push(row);
        }
        let more = walk.next()?.is_some();
        Ok(ScanPage { rows, more })
    }

    /// Walks the range without a limit until `visit` answers false. What `visit` does counts as part of
    /// the step to the next row, so it should be little.
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
///
/// It goes from gap to gap: the library's iterator is opened for the stretch before the next known
/// gap only. A longer one would walk over every deleted row in the gap to find what comes next.
struct RowWalk<'a> {
    view: &'a View,
    space: Space,
    reverse: bool,
    /// What is left to walk, in buffers of its own: keeping the key of each row cost a page of a
    /// thousand rows as many allocations.
    start: Vec<u8>,
    end: Vec<u8>,
    gaps: Option<&'a GapIndex>,
    stretch: Option<Stretch>,
    clock: ScanClock,
}

/// What is walked before gaps are asked for again.
struct Stretch {
    rows: RowIter,
    /// Where it stops: the near edge of a gap, or the far end of the walk.
    edge: Bytes,
    /// Whether a row was asked for: the first one opens the iterator.
    opened: bool,
}

impl<'a> RowWalk<'a> {
    fn new(view: &'a View, scan: &Scan, gaps: Option<&'a GapIndex>) -> Self {
        // Only records are scanned by prefix; bodies have no gaps worth knowing.
        let gaps = gaps.filter(|_| scan.space == Space::Records);
        Self {
            view,
            space: scan.space,
            reverse: scan.reverse,
            start: scan.start.to_vec(),
            end: scan.end.to_vec(),
            gaps,
            stretch: None,
            clock: ScanClock::start(),
        }
    }

    fn next(&mut self) -> Result<Option<Row>, EngineError> {
        loop {
            if self.stretch.is_none() {
                self.stretch = self.next_stretch();
            }
            let Some(stretch) = &mut self.stretch else {
                return Ok(None);
            };
            let opening = !std::mem::replace(&mut stretch.opened, true);
            let found = match stretch.rows.next() {
                None => None,
                Some(guard) => Some(guard.into_inner().map_err(library_error)?),
            };
            if let Some(took) = self.clock.long_step(opening) {
                let key = found.as_ref().map(|(key, _)| key.as_ref());
                self.learn(key, took);
            }
            let Some((key, value)) = found else {
                self.leave_stretch();
                continue;
            };
            self.go_on_behind(&key);
            return Ok(Some(Row {
                key: key.into(),
                value: value.into(),
            }));
        }
    }

    /// Reports that nothing lives between where the walk is and the row it `found`, or the edge of
    /// the stretch.
    fn learn(&self, found: Option<&[u8]>, took: Duration) {
        let (Some(gaps), Some(Stretch { edge, .. })) = (self.gaps, &self.stretch) else {
            return;
        };
        let moment = self.view.moment();
        match (found, self.reverse) {
            (None, false) => gaps.learn(moment, &self.start, edge, took),
            (None, true) => gaps.learn(moment, edge, &self.end, took),
            (Some(key), false) => gaps.learn(moment, &self.start, key, took),
            (Some(key), true) => gaps.learn(moment, &next_key(key), &self.end, took),
        }
    }

    /// The walk has come to the edge of its stretch.
    fn leave_stretch(&mut self) {
        if let Some(stretch) = self.stretch.take() {
            self.go_on_at(&stretch.edge);
        }
    }

    /// The walk has come to `position`.
    fn go_on_at(&mut self, position: &[u8]) {
        let near = if self.reverse {
            &mut self.end
        } else {
            &mut self.start
        };
        near.clear();
        near.extend_from_slice(position);
    }

    /// The walk has passed the row `key`.
    fn go_on_behind(&mut self, key: &[u8]) {
        self.go_on_at(key);
        if !self.reverse {
            self.start.push(0);
        }
    }

    /// Jumps if the position lies in a known gap, and opens what is left up to the next one.
    /// None at the end of the walk.
    fn next_stretch(&mut self) -> Option<Stretch> {
        let mut next_gap = None;
        if let Some(gaps) = self.gaps.filter(|gaps| !gaps.is_empty()) {
            let moment = self.view.moment();
            let jump = if self.reverse {
                gaps.jump_backward(moment, &self.end)
            } else {
                gaps.jump_forward(moment, &self.start)
            };
            if let Some(behind) = jump.to {
                self.go_on_at(&behind);
            }
            next_gap = jump.next_gap;
        }
        if self.start >= self.end {
            return None;
        }
        let far_end = if self.reverse { &self.start } else { &self.end };
        let edge = next_gap
            .filter(|edge| self.start < *edge && *edge < self.end)
            .unwrap_or_else(|| Bytes::copy_from_slice(far_end));
        let (start, end): (&[u8], &[u8]) = if self.reverse {
            (&edge, &self.end)
        } else {
            (&self.start, &edge)
        };
        let rows = self.view.rows(self.space, start, end, self.reverse);
        Some(Stretch {
            rows,
            edge,
            opened: false,
        })
    }
}
