//! Counters and histograms of the embedded engine.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::engine::EngineStats;

/// Upper bounds of the batch-size histogram; the last is the largest batch there can be.
const BATCH_SIZE_BOUNDS: [u64; 11] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

/// Upper bounds of the write-time histogram in microseconds: from an NVMe device's cache to a
/// stall that somebody should look at.
const SYNC_MICROS_BOUNDS: [u64; 13] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 1_000_000, 10_000_000,
];

#[derive(Default)]
pub(super) struct StatsCollector {
    commits: AtomicU64,
    conflicts: AtomicU64,
    batches: AtomicU64,
    /// One more than there are bounds: the last counts what is above them all.
    batch_sizes: [AtomicU64; BATCH_SIZE_BOUNDS.len() + 1],
    sync_micros: [AtomicU64; SYNC_MICROS_BOUNDS.len() + 1],
    sync_micros_sum: AtomicU64,
    forgotten_up_to: AtomicU64,
}

impl StatsCollector {
    pub(super) fn record_batch(&self, mutations: u64, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.commits.fetch_add(mutations, Relaxed);
        self.batches.fetch_add(1, Relaxed);
        self.batch_sizes[bucket(&BATCH_SIZE_BOUNDS, mutations)].fetch_add(1, Relaxed);
        self.sync_micros[bucket(&SYNC_MICROS_BOUNDS, micros)].fetch_add(1, Relaxed);
        self.sync_micros_sum.fetch_add(micros, Relaxed);
    }

    pub(super) fn record_conflicts(&self, conflicts: u64) {
        self.conflicts.fetch_add(conflicts, Relaxed);
    }

    pub(super) fn record_forgotten(&self, up_to: u64) {
        self.forgotten_up_to.fetch_max(up_to, Relaxed);
    }

    /// No change-log entry up to this sequence exists any more.
    pub(super) fn changes_forgotten_up_to(&self) -> u64 {
        self.forgotten_up_to.load(Relaxed)
    }

    pub(super) fn figures(&self, disk_bytes: u64) -> EngineStats {
        let batch_size_buckets = cumulative(&BATCH_SIZE_BOUNDS, &self.batch_sizes);
        let sync_seconds_buckets = cumulative(&SYNC_MICROS_BOUNDS, &self.sync_micros)
            .into_iter()
            .map(|(micros, count)| (micros as f64 / 1e6, count))
            .collect();
        EngineStats {
            commits: self.commits.load(Relaxed),
            conflicts: self.conflicts.load(Relaxed),
            batches: self.batches.load(Relaxed),
            batch_size_buckets,
            sync_seconds_buckets,
            sync_seconds_sum: self.sync_micros_sum.load(Relaxed) as f64 / 1e6,
            disk_bytes,
        }
    }
}

fn bucket(bounds: &[u64], value: u64) -> usize {
    bounds.partition_point(|bound| *bound < value)
}

fn cumulative(bounds: &[u64], counts: &[AtomicU64]) -> Vec<(u64, u64)> {
    let mut sum = 0;
    bounds
        .iter()
        .zip(counts)
        .map(|(bound, count)| {
            sum += count.load(Relaxed);
            (*bound, sum)
        })
        .collect()
}
