//! The trait that every engine implements, and the types of its reads.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

use crate::mutation::{CommitOutcome, Mutation};

/// A boxed future: engines are used as `Arc<dyn Engine>`. An embedded engine answers reads with a
/// future that is ready at once.
pub type EngineFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, EngineError>> + Send + 'a>>;

/// Which of the two ordered key spaces a row lives in.
///
/// They are separate so that scans over records stay dense: nothing large ever lies between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Space {
    /// Small rows that are scanned: buckets, objects, uploads, accounts.
    Records,
    /// Bodies of small objects and other larger values, only ever read by exact key.
    Bodies,
}

/// One row of a scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The whole key.
    pub key: Bytes,
    /// The value as it was put.
    pub value: Bytes,
}

/// An ordered scan over `start..end` (end exclusive) of one space.
#[derive(Clone, Debug)]
pub struct Scan {
    /// The space to scan.
    pub space: Space,
    /// First key that may be returned.
    pub start: Bytes,
    /// First key that may not be returned any more. `start >= end` is an empty scan.
    pub end: Bytes,
    /// Largest keys first.
    pub reverse: bool,
    /// At most so many rows; 0 is an empty page that says nothing about `more`.
    pub limit_rows: usize,
}

/// What a scan found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScanPage {
    /// The rows in scan order.
    pub rows: Vec<Row>,
    /// Whether rows remain in the range beyond the last one returned. False for an empty page.
    pub more: bool,
}

/// One entry of the change log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Position of the commit; strictly increasing in commit order, with gaps.
    pub sequence: u64,
    /// The entry as the mutation carried it.
    pub entry: Bytes,
}

/// Hard limits of an engine, checked before a commit is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest key in bytes. The shortest has one: no engine stores a row under the empty key.
    pub key_bytes_max: usize,
    /// Largest value in bytes.
    pub value_bytes_max: usize,
    /// Most operations (preconditions, puts, deletes, additions) in one mutation.
    pub operations_max: usize,
    /// Most bytes of keys and values in one mutation.
    pub mutation_bytes_max: usize,
}

/// Reads. An engine reads the newest durable state; a snapshot reads one moment of it.
pub trait Reader: Send + Sync {
    /// The value under `key`, if there is one.
    fn get<'a>(&'a self, space: Space, key: &'a [u8]) -> EngineFuture<'a, Option<Bytes>>;

    /// Rows in order. Every row returned belongs to one consistent moment.
    fn scan(&self, scan: Scan) -> EngineFuture<'_, ScanPage>;

    /// Gives the rows of a range to `visitor`, in order, until it answers false. For walks whose end
    /// shows on the way: nothing is kept, and nothing read in vain.
    ///
    /// An engine that has to fetch rows fetches [`Scan::limit_rows`] at once, which must not be 0. All
    /// rows belong to one moment if the reader is a snapshot.
    fn visit<'a>(
        &'a self,
        mut scan: Scan,
        visitor: &'a mut (dyn FnMut(Row) -> bool + Send),
    ) -> EngineFuture<'a, ()> {
        Box::pin(async move {
            loop {
                let page = self.scan(scan.clone()).await?;
                let last = page.rows.last().map(|row| row.key.clone());
                for row in page.rows {
                    if !visitor(row) {
                        return Ok(());
                    }
                }
                match last.filter(|_| page.more) {
                    None => return Ok(()),
                    Some(last) if scan.reverse => scan.end = last,
                    Some(last) => scan.start = next_key(&last),
                }
            }
        })
    }
}

/// The smallest key greater than `key`: where a walk goes on that has come to a row.
pub fn next_key(key: &[u8]) -> Bytes {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next.into()
}

/// An ordered, transactional key-value store.
///
/// Every implementation is strictly serialisable: commits happen in one order, and a read that
/// begins after a commit was acknowledged sees it. A reader never sees a state that a crash could
/// undo, unless the engine was opened with relaxed durability.
pub trait Engine: Reader + 'static {
    /// Applies a mutation atomically and durably, or reports which precondition did not hold.
    /// Dropping the future does not take the mutation back: it may or may not be applied.
    fn commit(&self, mutation: Mutation) -> EngineFuture<'_, CommitOutcome>;

    /// A consistent view of this moment. Hold it briefly: it keeps old rows from being reclaimed.
    fn snapshot(&self) -> Arc<dyn Reader>;

    /// Change-log entries after `sequence` in commit order, at most `limit`.
    fn changes_since(&self, sequence: u64, limit: usize) -> EngineFuture<'_, Vec<Change>>;

    /// Forgets change-log entries up to and including `sequence`.
    fn forget_changes(&self, up_to: u64) -> EngineFuture<'_, ()>;

    /// The engine's hard limits.
    fn limits(&self) -> Limits;

    /// Figures for the metrics page.
    fn stats(&self) -> EngineStats;
}

/// Counters and gauges of an engine, cumulative since it was opened.
#[derive(Clone, Debug, Default)]
pub struct EngineStats {
    /// Mutations committed.
    pub commits: u64,
    /// Mutations refused because a precondition did not hold.
    pub conflicts: u64,
    /// Batches written, each with one sync; `commits / batches` is the mean batch size.
    pub batches: u64,
    /// Histogram of mutations per batch: upper bounds and cumulative counts, as Prometheus has them.
    pub batch_size_buckets: Vec<(u64, u64)>,
    /// Histogram of seconds spent in a batch's durable write: upper bounds and cumulative counts.
    pub sync_seconds_buckets: Vec<(f64, u64)>,
    /// Sum of seconds spent in durable writes.
    pub sync_seconds_sum: f64,
    /// Bytes the engine occupies on disk.
    pub disk_bytes: u64,
}

/// Why an engine could not do what was asked. What can the caller do?
#[derive(Clone, Debug, thiserror::Error)]
pub enum EngineError {
    /// No space on the device. Nothing was applied; try again when there is space.
    #[error("no space left on the metadata device")]
    NoSpace,
    /// The mutation breaks one of [`Limits`]; a smaller one may pass.
    #[error("mutation exceeds the engine's limit of {limit} ({what})")]
    TooLarge {
        /// Which limit.
        what: &'static str,
        /// Its value.
        limit: usize,
    },
    /// The engine cannot serve now (shutting down, connection lost, overload); retry later.
    #[error("metadata engine unavailable: {reason}")]
    Unavailable {
        /// What is known about it.
        reason: String,
    },
    /// Stored data cannot be read back as it was written.
    #[error("metadata damaged: {detail}")]
    Damaged {
        /// What was found.
        detail: String,
    },
    /// Anything else of the device or the library beneath.
    #[error("metadata engine failed: {source}")]
    Failed {
        /// The cause.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
}
