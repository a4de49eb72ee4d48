//! Counters of what the volumes do.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets of [`VolumeStats::sync_seconds`], in seconds: from a cached device
/// (50 µs) to one in trouble (ten seconds). A last bucket without bound follows.
pub const SYNC_SECONDS_BOUNDS: [f64; 14] = [
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0, 10.0,
];

/// How long syncs took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SyncHistogram {
    /// Syncs per bucket of [`SYNC_SECONDS_BOUNDS`], the unbounded one last; not cumulative.
    pub counts: [u64; SYNC_SECONDS_BOUNDS.len() + 1],
    /// All durations together, in seconds.
    pub sum_seconds: f64,
}

/// Totals since the volumes were opened.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VolumeStats {
    /// Payload bytes of finished extents.
    pub written_bytes: u64,
    /// Bytes read from files, checksum tables included.
    pub read_bytes: u64,
    /// Bytes given back to the file system.
    pub released_bytes: u64,
    /// Extents finished.
    pub extents_finished: u64,
    /// Extents begun and dropped.
    pub extents_abandoned: u64,
    /// Reads that found damage.
    pub damaged_reads: u64,
    /// Reads that were served from memory without leaving the asynchronous thread.
    pub reads_inline: u64,
    /// Reads that went through a blocking thread.
    pub reads_blocking: u64,
    /// Successful syncs for group commit.
    pub syncs: u64,
    /// Syncs that failed; each sealed a volume.
    pub syncs_failed: u64,
    /// Waiters served by those syncs; divided by their number it is the commit batch size.
    pub sync_waiters: u64,
    /// How long those syncs took.
    pub sync_seconds: SyncHistogram,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub written_bytes: AtomicU64,
    pub read_bytes: AtomicU64,
    pub released_bytes: AtomicU64,
    pub extents_finished: AtomicU64,
    pub extents_abandoned: AtomicU64,
    pub damaged_reads: AtomicU64,
    pub reads_inline: AtomicU64,
    pub reads_blocking: AtomicU64,
    syncs: AtomicU64,
    syncs_failed: AtomicU64,
    sync_waiters: AtomicU64,
    sync_counts: [AtomicU64; SYNC_SECONDS_BOUNDS.len() + 1],
    sync_sum_ns: AtomicU64,
}

pub(crate) fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}

impl Counters {
    pub fn record_sync(&self, took: Duration, waiters: usize, succeeded: bool) {
        add(
            if succeeded {
                &self.syncs
            } else {
                &self.syncs_failed
            },
            1,
        );
        add(&self.sync_waiters, waiters as u64);
        let seconds = took.as_secs_f64();
        let bucket = SYNC_SECONDS_BOUNDS.partition_point(|bound| *bound < seconds);
        add(&self.sync_counts[bucket], 1);
        add(
            &self.sync_sum_ns,
            u64::try_from(took.as_nanos()).unwrap_or(u64::MAX),
        );
    }

    pub fn snapshot(&self) -> VolumeStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        VolumeStats {
            written_bytes: get(&self.written_bytes),
            read_bytes: get(&self.read_bytes),
            released_bytes: get(&self.released_bytes),
            extents_finished: get(&self.extents_finished),
            extents_abandoned: get(&self.extents_abandoned),
            damaged_reads: get(&self.damaged_reads),
            reads_inline: get(&self.reads_inline),
            reads_blocking: get(&self.reads_blocking),
            syncs: get(&self.syncs),
            syncs_failed: get(&self.syncs_failed),
            sync_waiters: get(&self.sync_waiters),
            sync_seconds: SyncHistogram {
                counts: std::array::from_fn(|bucket| get(&self.sync_counts[bucket])),
                sum_seconds: get(&self.sync_sum_ns) as f64 / 1e9,
            },
        }
    }
}
