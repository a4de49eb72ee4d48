//! The suite that every engine passes, to be run from an engine's tests.
//!
//! Each check gets an empty engine and panics with its name when the engine is wrong. The last
//! one compares a long random history with [`MemoryEngine`], step by step; it prints its seed, and
//! the environment variable `ONCILLA_TEST_SEED` replays it.

use std::sync::Arc;

use bytes::Bytes;

use crate::engine::{Engine, Reader, Scan, ScanPage, Space};
use crate::memory::MemoryEngine;
use crate::mutation::{CommitOutcome, Mutation};

mod commits;
mod durable;
mod history;
mod limits;
mod races;
mod reads;

/// An engine under test.
pub trait Subject {
    /// The engine.
    fn engine(&self) -> Arc<dyn Engine>;

    /// Closes the engine and opens it again with what it has stored. Answers false, having done
    /// nothing, if the engine does not persist. The caller has dropped its own handles.
    fn reopen(&mut self) -> bool;
}

impl Subject for Arc<MemoryEngine> {
    fn engine(&self) -> Arc<dyn Engine> {
        Arc::<MemoryEngine>::clone(self)
    }

    fn reopen(&mut self) -> bool {
        false
    }
}

/// Runs every check, each on a fresh, empty engine from `make`. Needs a tokio runtime.
///
/// # Panics
///
/// When the engine does not conform; the message names what was expected.
pub async fn run<S: Subject>(make: impl Fn() -> S) {
    reads::point_reads(&*make().engine()).await;
    reads::ordered_scans(&*make().engine()).await;
    reads::any_bytes_in_keys(&*make().engine()).await;
    commits::single_preconditions(&*make().engine()).await;
    commits::empty_ranges(&*make().engine()).await;
    commits::conflicts_change_nothing(&*make().engine()).await;
    commits::counters(&*make().engine()).await;
    durable::change_order(&*make().engine()).await;
    limits::limits(&*make().engine()).await;
    limits::large_values(&*make().engine()).await;
    reads::snapshot_isolation(&*make().engine()).await;
    races::atomic_pairs(make().engine()).await;
    races::one_winner_per_race(make().engine()).await;
    races::order_within_queued_commits(make().engine()).await;
    durable::persistence(make()).await;
    let seed = history::seed();
    for round in 0..history::ROUNDS {
        history::compare_with_model(make(), seed.wrapping_add(round)).await;
    }
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn scan(start: &str, end: &str, reverse: bool, limit_rows: usize) -> Scan {
    Scan {
        space: Space::Records,
        start: bytes(start),
        end: bytes(end),
        reverse,
        limit_rows,
    }
}

async fn commit(engine: &dyn Engine, mutation: Mutation) -> u64 {
    match engine.commit(mutation).await.expect("the commit succeeds") {
        CommitOutcome::Committed { sequence } => sequence,
        CommitOutcome::Conflict { precondition } => panic!("precondition {precondition} failed"),
    }
}

async fn put(engine: &dyn Engine, key: &str, value: &str) {
    let mut mutation = Mutation::new();
    mutation.put(Space::Records, bytes(key), bytes(value));
    commit(engine, mutation).await;
}

async fn record(reader: &dyn Reader, key: &str) -> Option<Bytes> {
    reader
        .get(Space::Records, key.as_bytes())
        .await
        .expect("the read succeeds")
}

async fn page_keys(reader: &dyn Reader, scan: Scan) -> (Vec<String>, bool) {
    let ScanPage { rows, more } = reader.scan(scan).await.expect("the scan succeeds");
    let keys = rows
        .iter()
        .map(|row| String::from_utf8_lossy(&row.key).into_owned());
    (keys.collect(), more)
}
