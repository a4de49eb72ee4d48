//! Checks that every engine makes of a mutation before it tries it.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;

use crate::engine::{EngineError, Limits, Space};
use crate::mutation::{Mutation, Precondition};

/// The limits of the engines in this crate.
///
/// - A key of 4 KiB holds the longest S3 key (1,024 bytes, at most doubled by escaping) with its
///   bucket, time and upload prefixes, and leaves room for longer prefixes later.
/// - A value of 4 MiB holds the record of an object of 10,000 parts (about 100 bytes per part, so
///   1 MiB) with room to spare, and any inline body.
/// - 50,000 operations let one mutation complete a multipart upload of 10,000 parts (about three
///   rows for each) or delete 1,000 objects with everything that belongs to them.
/// - 64 MiB bound what one mutation may hold in memory; it is also the least journal size the
///   embedded library accepts.
pub const DEFAULT_LIMITS: Limits = Limits {
    key_bytes_max: 4 * 1024,
    value_bytes_max: 4 * 1024 * 1024,
    operations_max: 50_000,
    mutation_bytes_max: 64 * 1024 * 1024,
};

/// A mutation that no engine can apply, however small it is: the caller's mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMutation {
    /// A row was to be written under the empty key.
    #[error("a key must have at least one byte")]
    EmptyKey,
}

/// Refuses a mutation that breaks one of `limits` or writes under the empty key.
pub(crate) fn check_mutation(mutation: &Mutation, limits: &Limits) -> Result<(), EngineError> {
    debug_assert!(
        writes_each_key_once(mutation),
        "a mutation writes one key more than once"
    );
    let operations = mutation.preconditions.len()
        + mutation.puts.len()
        + mutation.deletes.len()
        + mutation.additions.len();
    at_most(operations, limits.operations_max, "operations")?;

    for precondition in &mutation.preconditions {
        match precondition {
            Precondition::Absent(key) | Precondition::Present(key) => check_key(key, limits)?,
            Precondition::Equals(key, value) => {
                check_key(key, limits)?;
                at_most(value.len(), limits.value_bytes_max, "value bytes")?;
            }
            // The bounds of a range are not keys: they may be empty.
            Precondition::RangeEmpty(start, end) => {
                at_most(start.len(), limits.key_bytes_max, "key bytes")?;
                at_most(end.len(), limits.key_bytes_max, "key bytes")?;
            }
        }
    }
    for (_, key, value) in &mutation.puts {
        check_key(key, limits)?;
        at_most(value.len(), limits.value_bytes_max, "value bytes")?;
    }
    for (_, key) in &mutation.deletes {
        check_key(key, limits)?;
    }
    for (key, _) in &mutation.additions {
        check_key(key, limits)?;
    }
    let change_bytes = mutation.change.as_ref().map_or(0, Bytes::len);
    at_most(change_bytes, limits.value_bytes_max, "change entry bytes")?;
    at_most(
        mutation.byte_len(),
        limits.mutation_bytes_max,
        "mutation bytes",
    )
}

fn check_key(key: &[u8], limits: &Limits) -> Result<(), EngineError> {
    if key.is_empty() {
        return Err(EngineError::Failed {
            source: Arc::new(InvalidMutation::EmptyKey),
        });
    }
    at_most(key.len(), limits.key_bytes_max, "key bytes")
}

fn at_most(found: usize, limit: usize, what: &'static str) -> Result<(), EngineError> {
    if found > limit {
        return Err(EngineError::TooLarge { what, limit });
    }
    Ok(())
}

/// The new value of a counter whose row holds `current`.
pub(crate) fn add_to_counter(
    key: &[u8],
    current: Option<&[u8]>,
    amount: i64,
) -> Result<Bytes, EngineError> {
    let before = match current {
        None => 0,
        Some(value) => {
            let digits: [u8; 8] = value.try_into().map_err(|_| EngineError::Damaged {
                detail: format!(
                    "counter {} holds {} bytes instead of 8",
                    key.escape_ascii(),
                    value.len()
                ),
            })?;
            i64::from_be_bytes(digits)
        }
    };
    Ok(Bytes::copy_from_slice(
        &before.saturating_add(amount).to_be_bytes(),
    ))
}

fn writes_each_key_once(mutation: &Mutation) -> bool {
    let mut seen: HashSet<(Space, &[u8])> = HashSet::new();
    mutation
        .puts
        .iter()
        .all(|(space, key, _)| seen.insert((*space, key)))
        && mutation
            .deletes
            .iter()
            .all(|(space, key)| seen.insert((*space, key)))
        && mutation
            .additions
            .iter()
            .all(|(key, _)| seen.insert((Space::Records, key)))
}
