//! The model: an engine in memory, simple enough to be obviously right.
//!
//! Everything happens under one mutex, so commits are serial by construction. Other engines are
//! compared with this one, and tests of the crates above run on it. Nothing survives the process.

use std::collections::BTreeMap;
use std::future::ready;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::check::{DEFAULT_LIMITS, add_to_counter, check_mutation};
use crate::engine::{
    Change, Engine, EngineError, EngineFuture, EngineStats, Limits, Reader, Row, Scan, ScanPage,
    Space,
};
use crate::mutation::{CommitOutcome, Mutation, Precondition};

/// An engine that keeps everything in ordered maps in memory.
#[derive(Debug)]
pub struct MemoryEngine {
    state: Mutex<State>,
    limits: Limits,
}

#[derive(Debug, Default)]
struct State {
    rows: Rows,
    changes: BTreeMap<u64, Bytes>,
    /// Sequence of the newest commit.
    sequence: u64,
    commits: u64,
    conflicts: u64,
    fail_next_commit: Option<EngineError>,
}

/// The rows of both spaces. Cloning is cheap; the maps are copied at the first write after it.
#[derive(Clone, Debug, Default)]
struct Rows {
    records: Arc<BTreeMap<Bytes, Bytes>>,
    bodies: Arc<BTreeMap<Bytes, Bytes>>,
}

impl Rows {
    fn of(&self, space: Space) -> &BTreeMap<Bytes, Bytes> {
        match space {
            Space::Records => &self.records,
            Space::Bodies => &self.bodies,
        }
    }

    fn of_mut(&mut self, space: Space) -> &mut BTreeMap<Bytes, Bytes> {
        match space {
            Space::Records => Arc::make_mut(&mut self.records),
            Space::Bodies => Arc::make_mut(&mut self.bodies),
        }
    }

    fn holds(&self, precondition: &Precondition) -> bool {
        match precondition {
            Precondition::Absent(key) => !self.records.contains_key(key),
            Precondition::Present(key) => self.records.contains_key(key),
            Precondition::Equals(key, value) => self.records.get(key) == Some(value),
            Precondition::RangeEmpty(start, end) => {
                start >= end
                    || self
                        .records
                        .range(start.clone()..end.clone())
                        .next()
                        .is_none()
            }
        }
    }

    fn scan(&self, scan: &Scan) -> ScanPage {
        if scan.start >= scan.end || scan.limit_rows == 0 {
            return ScanPage::default();
        }
        let bounds = (Bound::Included(&scan.start), Bound::Excluded(&scan.end));
        let range = self.of(scan.space).range::<Bytes, _>(bounds);
        if scan.reverse {
            page(range.rev(), scan.limit_rows)
        } else {
            page(range, scan.limit_rows)
        }
    }
}

fn page<'a>(rows: impl Iterator<Item = (&'a Bytes, &'a Bytes)>, limit_rows: usize) -> ScanPage {
    let mut rows = rows.map(|(key, value)| Row {
        key: key.clone(),
        value: value.clone(),
    });
    let found: Vec<Row> = rows.by_ref().take(limit_rows).collect();
    ScanPage {
        rows: found,
        more: rows.next().is_some(),
    }
}

impl MemoryEngine {
    /// An empty engine with [`DEFAULT_LIMITS`].
    pub fn new() -> Self {
        Self::with_limits(DEFAULT_LIMITS)
    }

    /// An empty engine with limits of the caller's choice, so that tests reach them cheaply.
    pub fn with_limits(limits: Limits) -> Self {
        Self {
            state: Mutex::new(State::default()),
            limits,
        }
    }

    /// Makes the next commit fail with `error` and apply nothing. For tests of the layers above.
    pub fn fail_next_commit(&self, error: EngineError) {
        self.state.lock().fail_next_commit = Some(error);
    }

    fn apply(&self, mutation: Mutation) -> Result<CommitOutcome, EngineError> {
        check_mutation(&mutation, &self.limits)?;
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if let Some(error) = state.fail_next_commit.take() {
            return Err(error);
        }

        let failed = mutation
            .preconditions
            .iter()
            .position(|each| !state.rows.holds(each));
        if let Some(precondition) = failed {
            state.conflicts += 1;
            return Ok(CommitOutcome::Conflict { precondition });
        }

        // Additions can still fail, so they are computed before anything is written.
        let mut counters = Vec::with_capacity(mutation.additions.len());
        for (key, amount) in mutation.additions {
            let current = state.rows.records.get(&key).map(Bytes::as_ref);
            let value = add_to_counter(&key, current, amount)?;
            counters.push((Space::Records, key, value));
        }
        for (space, key, value) in mutation.puts {
            state.rows.of_mut(space).insert(key, value);
        }
        for (space, key) in mutation.deletes {
            state.rows.of_mut(space).remove(&key);
        }
        for (space, key, value) in counters {
            state.rows.of_mut(space).insert(key, value);
        }
        state.sequence += 1;
        state.commits += 1;
        if let Some(entry) = mutation.change {
            state.changes.insert(state.sequence, entry);
        }
        Ok(CommitOutcome::Committed {
            sequence: state.sequence,
        })
    }
}

impl Default for MemoryEngine {
    fn default() -> Self {
        Self::new()
    }
}

impl Reader for MemoryEngine {
    fn get<'a>(&'a self, space: Space, key: &'a [u8]) -> EngineFuture<'a, Option<Bytes>> {
        Box::pin(ready(Ok(self
            .state
            .lock()
            .rows
            .of(space)
            .get(key)
            .cloned())))
    }

    fn scan(&self, scan: Scan) -> EngineFuture<'_, ScanPage> {
        Box::pin(ready(Ok(self.state.lock().rows.scan(&scan))))
    }
}

impl Engine for MemoryEngine {
    fn commit(&self, mutation: Mutation) -> EngineFuture<'_, CommitOutcome> {
        Box::pin(ready(self.apply(mutation)))
    }

    fn snapshot(&self) -> Arc<dyn Reader> {
        Arc::new(MemorySnapshot(self.state.lock().rows.clone()))
    }

    fn changes_since(&self, sequence: u64, limit: usize) -> EngineFuture<'_, Vec<Change>> {
        let state = self.state.lock();
        let newer = state
            .changes
            .range((Bound::Excluded(sequence), Bound::Unbounded));
        let changes = newer
            .take(limit)
            .map(|(sequence, entry)| Change {
                sequence: *sequence,
                entry: entry.clone(),
            })
            .collect();
        Box::pin(ready(Ok(changes)))
    }

    fn forget_changes(&self, up_to: u64) -> EngineFuture<'_, ()> {
        let mut state = self.state.lock();
        let kept = match up_to.checked_add(1) {
            Some(first_kept) => state.changes.split_off(&first_kept),
            None => BTreeMap::new(),
        };
        state.changes = kept;
        Box::pin(ready(Ok(())))
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn stats(&self) -> EngineStats {
        let state = self.state.lock();
        EngineStats {
            commits: state.commits,
            conflicts: state.conflicts,
            batches: state.commits,
            ..EngineStats::default()
        }
    }
}

/// The rows of one moment.
struct MemorySnapshot(Rows);

impl Reader for MemorySnapshot {
    fn get<'a>(&'a self, space: Space, key: &'a [u8]) -> EngineFuture<'a, Option<Bytes>> {
        Box::pin(ready(Ok(self.0.of(space).get(key).cloned())))
    }

    fn scan(&self, scan: Scan) -> EngineFuture<'_, ScanPage> {
        Box::pin(ready(Ok(self.0.scan(&scan))))
    }
}
