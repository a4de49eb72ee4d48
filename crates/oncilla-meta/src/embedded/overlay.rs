//! What the mutations of a batch see and write, in order, before any of it is written.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use super::gaps::GapIndex;
use super::view::View;
use crate::check::add_to_counter;
use crate::engine::{EngineError, Scan, Space};
use crate::mutation::{CommitOutcome, Mutation, Precondition};

/// Rows to write: a value, or none for a row to be removed.
type Writes = BTreeMap<Bytes, Option<Bytes>>;

/// The newest durable state with the writes of the batch's earlier mutations laid over it.
///
/// Evaluating a mutation against it is the same as if those before had been committed already.
pub(super) struct Overlay<'a> {
    base: Arc<View>,
    gaps: &'a GapIndex,
    /// Rows of the base that were read already. Batches tend to ask for the same few: the bucket
    /// that they all write to.
    read: HashMap<Bytes, Option<Bytes>>,
    pub(super) records: Writes,
    pub(super) bodies: Writes,
    pub(super) changes: Vec<(u64, Bytes)>,
    /// Sequence of the next mutation that is applied.
    pub(super) next_sequence: u64,
    pub(super) applied: u64,
    /// Bytes of the mutations that were applied.
    pub(super) applied_bytes: u64,
    pub(super) conflicts: u64,
}

impl<'a> Overlay<'a> {
    pub(super) fn new(base: Arc<View>, gaps: &'a GapIndex, next_sequence: u64) -> Self {
        Self {
            base,
            gaps,
            read: HashMap::new(),
            records: BTreeMap::new(),
            bodies: BTreeMap::new(),
            changes: Vec::new(),
            next_sequence,
            applied: 0,
            applied_bytes: 0,
            conflicts: 0,
        }
    }

    /// Moment of the state beneath.
    pub(super) fn base_moment(&self) -> u64 {
        self.base.moment()
    }

    /// Adds the mutation's writes if its preconditions hold. After an error nothing is added.
    pub(super) fn apply(&mut self, mutation: Mutation) -> Result<CommitOutcome, EngineError> {
        for (index, precondition) in mutation.preconditions.iter().enumerate() {
            if !self.holds(precondition)? {
                self.conflicts += 1;
                return Ok(CommitOutcome::Conflict {
                    precondition: index,
                });
            }
        }
        let bytes = mutation.byte_len() as u64;
        // Additions can still fail, so they are computed before anything is added.
        let mut counters = Vec::with_capacity(mutation.additions.len());
        for (key, amount) in mutation.additions {
            let current = self.record(&key)?;
            let value = add_to_counter(&key, current.as_deref(), amount)?;
            counters.push((key, value));
        }

        for (space, key, value) in mutation.puts {
            self.writes_mut(space).insert(key, Some(value));
        }
        for (space, key) in mutation.deletes {
            self.writes_mut(space).insert(key, None);
        }
        for (key, value) in counters {
            self.records.insert(key, Some(value));
        }
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        self.applied += 1;
        self.applied_bytes += bytes;
        if let Some(entry) = mutation.change {
            self.changes.push((sequence, entry));
        }
        Ok(CommitOutcome::Committed { sequence })
    }

    fn writes_mut(&mut self, space: Space) -> &mut Writes {
        match space {
            Space::Records => &mut self.records,
            Space::Bodies => &mut self.bodies,
        }
    }

    fn holds(&mut self, precondition: &Precondition) -> Result<bool, EngineError> {
        match precondition {
            Precondition::Absent(key) => Ok(self.record(key)?.is_none()),
            Precondition::Present(key) => Ok(self.record(key)?.is_some()),
            Precondition::Equals(key, value) => Ok(self.record(key)?.as_ref() == Some(value)),
            Precondition::RangeEmpty(start, end) => self.is_range_empty(start, end),
        }
    }

    fn record(&mut self, key: &Bytes) -> Result<Option<Bytes>, EngineError> {
        if let Some(written) = self.records.get(key) {
            return Ok(written.clone());
        }
        if let Some(found) = self.read.get(key) {
            return Ok(found.clone());
        }
        let found = self.base.get(Space::Records, key)?;
        self.read.insert(key.clone(), found.clone());
        Ok(found)
    }

    fn is_range_empty(&self, start: &Bytes, end: &Bytes) -> Result<bool, EngineError> {
        if start >= end {
            return Ok(true);
        }
        let bounds = (Bound::Included(start), Bound::Excluded(end));
        if self
            .records
            .range::<Bytes, _>(bounds)
            .any(|(_, written)| written.is_some())
        {
            return Ok(false);
        }
        // All that the batch wrote in the range are deletions: is there another row?
        let mut is_empty = true;
        let scan = Scan {
            space: Space::Records,
            start: start.clone(),
            end: end.clone(),
            reverse: false,
            limit_rows: usize::MAX,
        };
        self.base.visit(&scan, Some(self.gaps), |row| {
            is_empty = self.records.contains_key(&row.key);
            is_empty
        })?;
        Ok(is_empty)
    }
}
