//! The one way to change anything: a declarative mutation.

use bytes::Bytes;

use crate::engine::Space;

/// What must hold, at the moment of the commit, for a mutation to be applied.
/// Preconditions concern [`Space::Records`] only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// There is no row under the key.
    Absent(Bytes),
    /// There is a row under the key, whatever its value.
    Present(Bytes),
    /// The row under the key has exactly this value.
    Equals(Bytes, Bytes),
    /// No row lies in `start..end`.
    RangeEmpty(Bytes, Bytes),
}

/// Preconditions, puts, deletes, counter additions and a change-log entry: all or nothing.
///
/// Within one mutation a key may be written at most once; debug builds assert it.
#[derive(Clone, Debug, Default)]
pub struct Mutation {
    /// All must hold, or nothing is applied.
    pub preconditions: Vec<Precondition>,
    /// Rows to write, replacing what is there.
    pub puts: Vec<(Space, Bytes, Bytes)>,
    /// Rows to remove; removing an absent row is no error.
    pub deletes: Vec<(Space, Bytes)>,
    /// Amounts to add to counters. A counter is a row in [`Space::Records`] that holds a
    /// big-endian `i64`; an absent one counts as 0. Additions saturate.
    pub additions: Vec<(Bytes, i64)>,
    /// Appended to the change log in the same commit.
    pub change: Option<Bytes>,
}

/// How a commit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    /// Applied and durable. `sequence` is its position in the engine's commit order.
    Committed {
        /// Strictly increasing in commit order.
        sequence: u64,
    },
    /// Nothing was applied: the precondition with this index was the first that did not hold.
    Conflict {
        /// Index into [`Mutation::preconditions`].
        precondition: usize,
    },
}

impl Mutation {
    /// An empty mutation.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a precondition.
    pub fn require(&mut self, precondition: Precondition) -> &mut Self {
        self.preconditions.push(precondition);
        self
    }

    /// Writes a row.
    pub fn put(
        &mut self,
        space: Space,
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
    ) -> &mut Self {
        self.puts.push((space, key.into(), value.into()));
        self
    }

    /// Removes a row.
    pub fn delete(&mut self, space: Space, key: impl Into<Bytes>) -> &mut Self {
        self.deletes.push((space, key.into()));
        self
    }

    /// Adds to a counter.
    pub fn add(&mut self, key: impl Into<Bytes>, amount: i64) -> &mut Self {
        self.additions.push((key.into(), amount));
        self
    }

    /// Whether the mutation changes nothing.
    pub fn is_empty(&self) -> bool {
        self.puts.is_empty()
            && self.deletes.is_empty()
            && self.additions.is_empty()
            && self.change.is_none()
    }

    /// Bytes of keys and values that the mutation carries, for [`crate::Limits::mutation_bytes_max`].
    pub fn byte_len(&self) -> usize {
        let puts: usize = self
            .puts
            .iter()
            .map(|(_, key, value)| key.len() + value.len())
            .sum();
        let deletes: usize = self.deletes.iter().map(|(_, key)| key.len()).sum();
        let additions: usize = self.additions.iter().map(|(key, _)| key.len() + 8).sum();
        puts + deletes + additions + self.change.as_ref().map_or(0, Bytes::len)
    }
}
