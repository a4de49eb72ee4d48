//! What a run reports: the shape of `--json`, described field by field in docs/bench.md.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::stats::{KindRecord, Latencies, Record};
use crate::workload::{Kind, Operation, Workload};

/// The version of the shape; raised when a field changes its meaning or goes.
pub const FORMAT: u32 = 1;

/// A whole run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// [`FORMAT`]
    pub format: u32,
    /// The operation's name.
    pub operation: &'static str,
    /// The program's version.
    pub version: &'static str,
    /// The load.
    pub settings: Settings,
    /// Whether it was ended early.
    pub interrupted: bool,
    /// One entry per target.
    pub targets: Vec<TargetReport>,
    /// Ratios between targets, if they were compared.
    pub comparison: Option<crate::compare::Comparison>,
}

/// The load, as given or by default. Fields that the operation does not use are null.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "docs/bench.md describes every field")]
pub struct Settings {
    pub bucket: String,
    pub prefix: String,
    pub size: String,
    pub objects: u64,
    pub concurrency: usize,
    pub threads: usize,
    pub duration_s: Option<f64>,
    pub operations: Option<u64>,
    pub warmup_s: f64,
    pub rounds: u32,
    pub rate_per_s: Option<f64>,
    pub mix: Option<String>,
    pub page_keys: Option<u64>,
    pub range_size_bytes: Option<u64>,
    pub range_aligned: Option<bool>,
    pub part_size_bytes: Option<u64>,
    pub part_concurrency: Option<usize>,
    pub payload: &'static str,
    pub overwrite: bool,
    pub verify: bool,
    pub timeout_s: f64,
    pub seed: u64,
}

impl Settings {
    /// The settings of a workload.
    pub fn new(workload: &Workload, bucket: &str, prefix: &str, rounds: u32) -> Self {
        let operation = &workload.operation;
        let lists = operation.includes(Kind::List);
        let ranges = operation.includes(Kind::Range);
        let in_parts = workload.lanes() > 1 || operation.includes(Kind::Multipart);
        Self {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            size: workload.sizes.to_string(),
            objects: workload.objects,
            concurrency: workload.concurrency,
            threads: workload.threads,
            duration_s: workload.duration.map(|duration| duration.as_secs_f64()),
            operations: workload.operations,
            warmup_s: workload.warmup.as_secs_f64(),
            rounds,
            rate_per_s: workload.rate_per_s,
            mix: match operation {
                Operation::Mixed(mix) => Some(mix.to_string()),
                Operation::Only(_) => None,
            },
            page_keys: lists.then_some(workload.page_keys),
            range_size_bytes: ranges.then_some(workload.range_bytes),
            range_aligned: ranges.then_some(workload.range_aligned),
            part_size_bytes: in_parts.then_some(workload.part_bytes),
            part_concurrency: in_parts.then_some(workload.part_concurrency),
            payload: workload.payload.name(),
            overwrite: workload.overwrite,
            verify: workload.verify,
            timeout_s: workload.timeout.as_secs_f64(),
            seed: workload.seed,
        }
    }
}

/// One target.
#[derive(Debug, Serialize)]
pub struct TargetReport {
    /// Its name.
    pub name: String,
    /// Its endpoints.
    pub urls: Vec<String>,
    /// Whether requests were signed.
    pub signed: bool,
    /// Its bucket.
    pub bucket: String,
    /// Whether this run wrote the objects.
    pub prepared: bool,
    /// All rounds together.
    pub total: Stats,
    /// Each round.
    pub rounds: Vec<Stats>,
}

/// What was counted in one round, or in all of a target.
#[derive(Clone, Debug, Serialize)]
pub struct Stats {
    /// Measured time.
    pub elapsed_s: f64,
    /// Operations that succeeded.
    pub operations: u64,
    /// The same per second.
    pub operations_per_s: f64,
    /// Bytes of objects (and of listings) that were moved.
    pub bytes: u64,
    /// The same per second.
    pub bytes_per_s: f64,
    /// From the start to the last byte; null if nothing succeeded.
    pub latency_ms: Option<Percentiles>,
    /// From the start to the first byte of the answer; null for multipart uploads.
    pub first_byte_ms: Option<Percentiles>,
    /// Operations that failed.
    pub errors: u64,
    /// Those of them where bytes were wrong.
    pub mismatches: u64,
    /// Connections that were made again.
    pub reconnects: u64,
    /// The errors, most frequent first.
    pub errors_by_code: Vec<CodeCount>,
    /// The same by kind of operation.
    pub by_operation: BTreeMap<&'static str, KindStats>,
}

/// What was counted of one kind of operation.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "as in Stats")]
pub struct KindStats {
    pub operations: u64,
    pub operations_per_s: f64,
    pub bytes: u64,
    pub bytes_per_s: f64,
    pub latency_ms: Option<Percentiles>,
    pub first_byte_ms: Option<Percentiles>,
    pub errors: u64,
}

/// Errors of one code.
#[derive(Clone, Debug, Serialize)]
pub struct CodeCount {
    /// S3's code, or a name for what happened on the way.
    pub code: String,
    /// How many.
    pub count: u64,
    /// What the first of them said.
    pub first_message: String,
}

/// Latencies in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Percentiles {
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

impl Percentiles {
    fn of(latencies: &Latencies) -> Option<Self> {
        (latencies.count() > 0).then(|| Self {
            mean: latencies.mean_ms(),
            p50: latencies.quantile_ms(0.5),
            p90: latencies.quantile_ms(0.9),
            p99: latencies.quantile_ms(0.99),
            p999: latencies.quantile_ms(0.999),
            max: latencies.max_ms(),
        })
    }
}

impl Stats {
    /// The statistics of a record.
    pub fn of(record: &Record) -> Self {
        let mut all = KindRecord::default();
        let mut by_operation = BTreeMap::new();
        for kind in Kind::ALL {
            let Some(one) = record.kind(kind) else {
                continue;
            };
            all.latency.merge(&one.latency);
            all.first_byte.merge(&one.first_byte);
            all.operations += one.operations;
            all.bytes += one.bytes;
            by_operation.insert(
                kind.name(),
                KindStats {
                    operations: one.operations,
                    operations_per_s: per_second(one.operations, record.elapsed),
                    bytes: one.bytes,
                    bytes_per_s: per_second(one.bytes, record.elapsed),
                    latency_ms: Percentiles::of(&one.latency),
                    first_byte_ms: Percentiles::of(&one.first_byte),
                    errors: one.errors,
                },
            );
        }
        let mut errors_by_code: Vec<CodeCount> = record
            .errors
            .iter()
            .map(|(code, error)| CodeCount {
                code: code.clone(),
                count: error.count,
                first_message: error.first_message.clone(),
            })
            .collect();
        errors_by_code.sort_by_key(|error| std::cmp::Reverse(error.count));
        Self {
            elapsed_s: record.elapsed.as_secs_f64(),
            operations: all.operations,
            operations_per_s: per_second(all.operations, record.elapsed),
            bytes: all.bytes,
            bytes_per_s: per_second(all.bytes, record.elapsed),
            latency_ms: Percentiles::of(&all.latency),
            first_byte_ms: Percentiles::of(&all.first_byte),
            errors: record.error_count(),
            mismatches: record.mismatch_count(),
            reconnects: record.reconnects,
            errors_by_code,
            by_operation,
        }
    }
}

fn per_second(count: u64, elapsed: Duration) -> f64 {
    if elapsed.is_zero() {
        return 0.0;
    }
    count as f64 / elapsed.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::OperationError;

    #[test]
    fn the_shape_of_statistics() {
        let mut record = Record::default();
        record.success(
            Kind::Get,
            Duration::from_millis(2),
            Some(Duration::from_millis(1)),
        );
        record.success(Kind::Multipart, Duration::from_millis(4), None);
        record.failure(Kind::Get, OperationError::new("SlowDown", "Please reduce"));
        record.add_bytes(Kind::Get, 1000);
        record.elapsed = Duration::from_secs(2);
        let json = serde_json::to_value(Stats::of(&record)).unwrap();
        assert_eq!(json["operations"], 2);
        assert_eq!(json["operations_per_s"], 1.0);
        assert_eq!(json["bytes_per_s"], 500.0);
        assert_eq!(json["errors"], 1);
        assert_eq!(json["errors_by_code"][0]["code"], "SlowDown");
        assert_eq!(json["errors_by_code"][0]["first_message"], "Please reduce");
        assert_eq!(json["by_operation"]["get"]["operations"], 1);
        assert!(json["by_operation"]["multipart"]["first_byte_ms"].is_null());
        let latency = json["latency_ms"].as_object().unwrap();
        let names: Vec<&str> = latency.keys().map(String::as_str).collect();
        assert_eq!(names, ["max", "mean", "p50", "p90", "p99", "p999"]);
        assert!((latency["max"].as_f64().unwrap() - 4.0).abs() < 0.01);
    }

    #[test]
    fn nothing_measured_is_null_and_not_zero() {
        let json = serde_json::to_value(Stats::of(&Record::default())).unwrap();
        assert!(json["latency_ms"].is_null());
        assert_eq!(json["operations_per_s"], 0.0);
    }
}
