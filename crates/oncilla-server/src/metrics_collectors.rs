//! Figures that are read when the metrics page is asked for: the process, the metadata engine, and
//! whatever else has a number to show.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use oncilla_blob::{SYNC_SECONDS_BOUNDS, VolumeStats};
use oncilla_meta::EngineStats;
use oncilla_store::collector::CollectorStats;
use oncilla_store::lifecycle::LifecycleStats;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::{MetricType, info::Info};

use crate::room::Room;

/// Something to show, as it is now.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    name: &'static str,
    help: &'static str,
    grows: bool,
    value: u64,
}

impl Figure {
    /// One that only ever grows.
    pub fn counter(name: &'static str, help: &'static str, value: u64) -> Self {
        Self {
            name,
            help,
            grows: true,
            value,
        }
    }

    /// One that goes up and down.
    pub fn gauge(name: &'static str, help: &'static str, value: u64) -> Self {
        Self {
            name,
            help,
            grows: false,
            value,
        }
    }

    fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let (name, help) = (self.name, self.help);
        if self.grows {
            let figure = ConstCounter::new(self.value);
            figure.encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)
        } else {
            let figure = ConstGauge::new(i64::try_from(self.value).unwrap_or(i64::MAX));
            figure.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
        }
    }
}

/// What was counted so far, by whoever counts as it works.
pub fn count_of(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

/// Encodes when the page is asked for.
type Encode = dyn Fn(&mut DescriptorEncoder<'_>) -> fmt::Result + Send + Sync;

/// A collector that is a function.
struct FromFunction(Box<Encode>);

impl fmt::Debug for FromFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FromFunction").finish_non_exhaustive()
    }
}

impl Collector for FromFunction {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        (self.0)(&mut encoder)
    }
}

fn from_function(
    encode: impl Fn(&mut DescriptorEncoder<'_>) -> fmt::Result + Send + Sync + 'static,
) -> Box<dyn Collector> {
    Box::new(FromFunction(Box::new(encode)))
}

/// Shows figures that are read together by a function.
pub fn figures<const N: usize>(
    read: impl Fn() -> [Figure; N] + Send + Sync + 'static,
) -> Box<dyn Collector> {
    from_function(move |encoder| read().iter().try_for_each(|figure| figure.encode(encoder)))
}

/// Shows one number that only ever grows, read by a function.
pub fn counter(
    name: &'static str,
    help: &'static str,
    read: impl Fn() -> u64 + Send + Sync + 'static,
) -> Box<dyn Collector> {
    figures(move || [Figure::counter(name, help, read())])
}

/// Shows one number that goes up and down, read by a function.
pub fn gauge(
    name: &'static str,
    help: &'static str,
    read: impl Fn() -> u64 + Send + Sync + 'static,
) -> Box<dyn Collector> {
    figures(move || [Figure::gauge(name, help, read())])
}

/// Shows what the metadata engine counts.
pub fn engine(read: impl Fn() -> EngineStats + Send + Sync + 'static) -> Box<dyn Collector> {
    from_function(move |encoder| {
        let stats = read();
        for figure in [
            Figure::counter("meta_commits", "Mutations committed", stats.commits),
            Figure::counter(
                "meta_conflicts",
                "Mutations refused by a precondition",
                stats.conflicts,
            ),
            Figure::counter(
                "meta_batches",
                "Batches written, each with one sync",
                stats.batches,
            ),
            Figure::gauge(
                "meta_disk_bytes",
                "Bytes of the metadata engine on disk",
                stats.disk_bytes,
            ),
        ] {
            figure.encode(encoder)?;
        }
        let sizes: Vec<(f64, u64)> = stats
            .batch_size_buckets
            .iter()
            .map(|&(bound, count)| (bound as f64, count))
            .collect();
        encode_histogram(
            encoder,
            "meta_batch_size",
            "Mutations that shared a sync",
            &sizes,
            stats.commits as f64,
            stats.batches,
        )?;
        encode_histogram(
            encoder,
            "meta_sync_seconds",
            "Time of a batch's durable write",
            &stats.sync_seconds_buckets,
            stats.sync_seconds_sum,
            stats.batches,
        )
    })
}

/// Shows how long the volumes' syncs took.
pub fn volume_syncs(read: impl Fn() -> VolumeStats + Send + Sync + 'static) -> Box<dyn Collector> {
    from_function(move |encoder| {
        let histogram = read().sync_seconds;
        let mut count = 0;
        let cumulative: Vec<(f64, u64)> = SYNC_SECONDS_BOUNDS
            .into_iter()
            .chain([f64::INFINITY])
            .zip(histogram.counts)
            .map(|(bound, alone)| {
                count += alone;
                (bound, count)
            })
            .collect();
        encode_histogram(
            encoder,
            "volume_sync_seconds",
            "Time of a sync of a volume, failed ones too",
            &cumulative,
            histogram.sum_seconds,
            count,
        )
    })
}

/// Shows what the store's collector counts.
pub fn garbage(read: impl Fn() -> CollectorStats + Send + Sync + 'static) -> Box<dyn Collector> {
    figures(move || {
        let stats = read();
        [
            Figure::gauge(
                "garbage_bytes",
                "Bytes in extents that wait for the collector",
                stats.bytes_waiting,
            ),
            Figure::gauge(
                "garbage_notes",
                "Extents and uploads that wait for the collector",
                stats.notes_waiting,
            ),
            Figure::counter(
                "collector_freed_bytes",
                "Bytes that the collector gave back",
                stats.freed_bytes,
            ),
            Figure::counter(
                "collector_freed_extents",
                "Extents that the collector gave back",
                stats.freed_extents,
            ),
            Figure::counter(
                "collector_failures",
                "Rounds of the collector that ended with an error",
                stats.failures,
            ),
        ]
    })
}

/// Shows what the lifecycle worker counts.
pub fn lifecycle(read: impl Fn() -> LifecycleStats + Send + Sync + 'static) -> Box<dyn Collector> {
    figures(move || {
        let stats = read();
        [
            Figure::counter(
                "lifecycle_expired_objects",
                "Current versions that lifecycle rules expired",
                stats.expired_objects,
            ),
            Figure::counter(
                "lifecycle_expired_versions",
                "Noncurrent versions that lifecycle rules deleted",
                stats.expired_versions,
            ),
            Figure::counter(
                "lifecycle_expired_markers",
                "Delete markers that lifecycle rules deleted",
                stats.expired_markers,
            ),
            Figure::counter(
                "lifecycle_aborted_uploads",
                "Uploads that lifecycle rules aborted",
                stats.aborted_uploads,
            ),
            Figure::counter(
                "lifecycle_transitions",
                "Versions that lifecycle rules moved to another storage class",
                stats.transitions,
            ),
            Figure::counter(
                "lifecycle_expired_bytes",
                "Bytes of the versions that lifecycle rules deleted",
                stats.expired_bytes,
            ),
            Figure::counter(
                "lifecycle_transitioned_bytes",
                "Bytes of the versions that lifecycle rules moved",
                stats.transitioned_bytes,
            ),
            Figure::counter(
                "lifecycle_rows",
                "Versions and uploads that the lifecycle worker looked at",
                stats.rows,
            ),
            Figure::counter(
                "lifecycle_passes",
                "Passes of the lifecycle worker over a bucket",
                stats.passes,
            ),
            Figure::counter(
                "lifecycle_failures",
                "Actions and passes of the lifecycle worker that ended with an error",
                stats.failures,
            ),
            Figure::gauge(
                "lifecycle_last_pass_timestamp_seconds",
                "When the last pass over a bucket ended; 0 before the first",
                stats.last_pass_ms / 1_000,
            ),
            Figure::gauge(
                "lifecycle_lag_seconds",
                "How long the bucket waited for its pass that waited longest in the last round",
                stats.lag_ms / 1_000,
            ),
        ]
    })
}

/// The encoder takes the count of each bucket alone, where engines report cumulative counts.
fn encode_histogram(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    cumulative: &[(f64, u64)],
    sum: f64,
    count: u64,
) -> fmt::Result {
    let mut below = 0;
    let mut buckets: Vec<(f64, u64)> = Vec::with_capacity(cumulative.len() + 1);
    for &(bound, up_to_here) in cumulative.iter().filter(|(bound, _)| bound.is_finite()) {
        buckets.push((bound, up_to_here.saturating_sub(below)));
        below = up_to_here.max(below);
    }
    buckets.push((f64::INFINITY, count.saturating_sub(below)));
    encoder
        .encode_descriptor(name, help, None, MetricType::Histogram)?
        .encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
}

/// Shows how much room the file systems of the data directory have, and of the storage classes with
/// a directory of their own, by their names.
pub fn room(data: PathBuf, classes: Vec<(String, PathBuf)>) -> Box<dyn Collector> {
    from_function(move |encoder| {
        if let Ok(room) = Room::at(&data) {
            let help = "Bytes free on the file system of the data directory";
            Figure::gauge("data_free_bytes", help, room.free_bytes).encode(encoder)?;
            let help = "Bytes of the file system of the data directory";
            Figure::gauge("data_total_bytes", help, room.total_bytes).encode(encoder)?;
        }
        let rooms = classes.iter().filter_map(|(class, directory)| {
            let room = Room::at(directory).ok()?;
            Some((class.as_str(), room))
        });
        let rooms: Vec<_> = rooms.collect();
        let free = rooms.iter().map(|(class, room)| (*class, room.free_bytes));
        let help = "Bytes free on the file system of a storage class with a directory of its own";
        encode_by_class(encoder, "storage_class_free_bytes", help, free)?;
        let total = rooms.iter().map(|(class, room)| (*class, room.total_bytes));
        let help = "Bytes of the file system of a storage class with a directory of its own";
        encode_by_class(encoder, "storage_class_total_bytes", help, total)
    })
}

fn encode_by_class<'c>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl ExactSizeIterator<Item = (&'c str, u64)>,
) -> fmt::Result {
    if values.len() == 0 {
        return Ok(());
    }
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (class, value) in values {
        let labels = [("storage_class", class)];
        let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
        gauge.encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}

/// Shows memory, file descriptors, uptime and version of this process.
pub fn process(version: &'static str) -> Box<dyn Collector> {
    let started = Instant::now();
    from_function(move |encoder| {
        let build = Info::new([("version", version)]);
        let help = "The program that runs";
        build.encode(encoder.encode_descriptor("build", help, None, MetricType::Info)?)?;
        let uptime_seconds = started.elapsed().as_secs();
        let help = "Seconds since the start";
        Figure::gauge("process_uptime_seconds", help, uptime_seconds).encode(encoder)?;
        if let Some(bytes) = resident_bytes() {
            let help = "Resident memory of the process";
            Figure::gauge("process_resident_memory_bytes", help, bytes).encode(encoder)?;
        }
        if let Ok(descriptors) = fs::read_dir("/proc/self/fd") {
            let help = "Open file descriptors";
            let open = descriptors.count() as u64;
            Figure::gauge("process_open_fds", help, open).encode(encoder)?;
        }
        Ok(())
    })
}

/// From proc(5): a line such as `VmRSS:      1234 kB`.
fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn an_engines_histograms_are_shown_as_it_counts_them() {
        let mut metrics = Metrics::new();
        metrics.register_collector(engine(|| EngineStats {
            commits: 9,
            batches: 4,
            batch_size_buckets: vec![(1, 1), (2, 3), (4, 3)],
            sync_seconds_buckets: vec![(0.001, 4)],
            sync_seconds_sum: 0.002,
            ..EngineStats::default()
        }));
        metrics.register_collector(gauge("volumes_bytes", "Bytes", || 5));
        metrics.register_collector(process("1.2.3"));
        let page = metrics.encode().unwrap();
        for line in [
            "oncilla_meta_batch_size_bucket{le=\"1.0\"} 1",
            "oncilla_meta_batch_size_bucket{le=\"2.0\"} 3",
            "oncilla_meta_batch_size_bucket{le=\"4.0\"} 3",
            "oncilla_meta_batch_size_bucket{le=\"+Inf\"} 4",
            "oncilla_meta_batch_size_sum 9.0",
            "oncilla_meta_sync_seconds_count 4",
            "oncilla_meta_commits_total 9",
            "oncilla_volumes_bytes 5",
            "oncilla_build_info{version=\"1.2.3\"} 1",
        ] {
            assert!(
                page.lines().any(|found| found == line),
                "{line}\nis not in\n{page}"
            );
        }
        assert!(
            page.contains("oncilla_process_resident_memory_bytes "),
            "{page}"
        );
    }

    #[test]
    fn room_is_shown_of_the_data_directory_and_of_each_class() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        let total_bytes = Room::at(&path).unwrap().total_bytes;
        let mut metrics = Metrics::new();
        let classes = vec![
            ("GLACIER".to_owned(), path.clone()),
            ("DEEP_ARCHIVE".to_owned(), path.join("not-mounted")),
        ];
        metrics.register_collector(room(path, classes));
        let page = metrics.encode().unwrap();
        for line in [
            format!("oncilla_data_total_bytes {total_bytes}"),
            format!("oncilla_storage_class_total_bytes{{storage_class=\"GLACIER\"}} {total_bytes}"),
        ] {
            assert!(page.lines().any(|found| found == line), "{line}: {page}");
        }
        assert!(page.contains("\noncilla_data_free_bytes "), "{page}");
        let free = "\noncilla_storage_class_free_bytes{storage_class=\"GLACIER\"} ";
        assert!(page.contains(free), "{page}");
        assert!(!page.contains("DEEP_ARCHIVE"), "{page}");
    }

    #[test]
    fn volumes_and_garbage_are_shown() {
        let mut metrics = Metrics::new();
        metrics.register_collector(volume_syncs(|| {
            let mut stats = VolumeStats::default();
            stats.sync_seconds.counts[0] = 2;
            stats.sync_seconds.counts[4] = 3;
            stats.sync_seconds.counts[SYNC_SECONDS_BOUNDS.len()] = 1;
            stats.sync_seconds.sum_seconds = 12.5;
            stats
        }));
        metrics.register_collector(garbage(|| CollectorStats {
            freed_bytes: 1,
            freed_extents: 2,
            notes_waiting: 3,
            bytes_waiting: 4,
            failures: 5,
        }));
        metrics.register_collector(lifecycle(|| LifecycleStats {
            expired_objects: 6,
            last_pass_ms: 7_999,
            lag_ms: 8_000,
            ..LifecycleStats::default()
        }));
        let page = metrics.encode().unwrap();
        for line in [
            "oncilla_lifecycle_expired_objects_total 6",
            "oncilla_lifecycle_last_pass_timestamp_seconds 7",
            "oncilla_lifecycle_lag_seconds 8",
            "oncilla_volume_sync_seconds_bucket{le=\"0.00005\"} 2",
            "oncilla_volume_sync_seconds_bucket{le=\"0.001\"} 5",
            "oncilla_volume_sync_seconds_bucket{le=\"10.0\"} 5",
            "oncilla_volume_sync_seconds_bucket{le=\"+Inf\"} 6",
            "oncilla_volume_sync_seconds_sum 12.5",
            "oncilla_volume_sync_seconds_count 6",
            "oncilla_collector_freed_bytes_total 1",
            "oncilla_collector_freed_extents_total 2",
            "oncilla_garbage_notes 3",
            "oncilla_garbage_bytes 4",
            "oncilla_collector_failures_total 5",
        ] {
            assert!(
                page.lines().any(|found| found == line),
                "{line}\nis not in\n{page}"
            );
        }
    }
}
