//! What is counted while a round runs.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::workload::Kind;

/// Three significant digits: a percentile is right to 0.1 %.
const SIGNIFICANT_DIGITS: u8 = 3;

/// The finest difference that is kept, in nanoseconds; a request over loopback takes 20 µs.
const LATENCY_NS_MIN: u64 = 100;

/// An hour in nanoseconds; longer ones count as that.
const LATENCY_NS_MAX: u64 = 3_600_000_000_000;

/// Kinds of errors that are told apart; further ones count together.
const ERROR_CODES_MAX: usize = 64;

/// Latencies in nanoseconds.
#[derive(Clone, Debug)]
pub struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        Self(
            Histogram::new_with_bounds(LATENCY_NS_MIN, LATENCY_NS_MAX, SIGNIFICANT_DIGITS)
                .expect("constant bounds are valid"),
        )
    }
}

impl Latencies {
    /// Adds one.
    pub fn record(&mut self, latency: Duration) {
        let latency_ns = u64::try_from(latency.as_nanos()).unwrap_or(LATENCY_NS_MAX);
        self.0.saturating_record(latency_ns.min(LATENCY_NS_MAX));
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &Self) {
        self.0.add(&other.0).expect("both have the same bounds");
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The latency that a share `quantile` of all do not exceed, in milliseconds.
    pub fn quantile_ms(&self, quantile: f64) -> f64 {
        // The histogram answers with the upper end of a bucket, which can lie above the maximum.
        let value_ns = self.0.value_at_quantile(quantile).min(self.0.max());
        value_ns as f64 / NS_PER_MS
    }

    /// The mean in milliseconds.
    pub fn mean_ms(&self) -> f64 {
        self.0.mean() / NS_PER_MS
    }

    /// The longest in milliseconds.
    pub fn max_ms(&self) -> f64 {
        self.0.max() as f64 / NS_PER_MS
    }
}

const NS_PER_MS: f64 = 1e6;

/// Why an operation failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationError {
    /// S3's code, or a name for what happened on the way.
    pub code: String,
    /// S3's message, or what the network says.
    pub message: String,
    /// Whether the endpoint could not be reached or went away.
    pub is_connection: bool,
}

/// The code of errors where bytes are not those that were written.
pub const BODY_MISMATCH: &str = "BodyMismatch";

impl OperationError {
    /// An error with a code.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            is_connection: false,
        }
    }
}

/// Errors of one code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorCount {
    /// How many.
    pub count: u64,
    /// What the first of them said.
    pub first_message: String,
}

/// What is counted of one kind of operation.
#[derive(Clone, Debug, Default)]
pub struct KindRecord {
    /// From the (intended) start to the last byte.
    pub latency: Latencies,
    /// From the (intended) start to the first byte of the answer.
    pub first_byte: Latencies,
    /// Operations that succeeded.
    pub operations: u64,
    /// Operations that failed.
    pub errors: u64,
    /// Bytes of objects that were moved.
    pub bytes: u64,
}

/// What is counted of a round, by a thread or over all.
#[derive(Clone, Debug, Default)]
pub struct Record {
    kinds: [Option<Box<KindRecord>>; Kind::COUNT],
    /// Errors by code.
    pub errors: BTreeMap<String, ErrorCount>,
    /// Connections that were made anew after the first.
    pub reconnects: u64,
    /// Measured time.
    pub elapsed: Duration,
}

impl Record {
    /// The record of a kind, if any operation of it ended.
    pub fn kind(&self, kind: Kind) -> Option<&KindRecord> {
        self.kinds[kind.index()].as_deref()
    }

    fn kind_mut(&mut self, kind: Kind) -> &mut KindRecord {
        self.kinds[kind.index()].get_or_insert_default()
    }

    /// Counts a success.
    pub fn success(&mut self, kind: Kind, latency: Duration, first_byte: Option<Duration>) {
        let record = self.kind_mut(kind);
        record.operations += 1;
        record.latency.record(latency);
        if let Some(first_byte) = first_byte {
            record.first_byte.record(first_byte);
        }
    }

    /// Counts a failure.
    pub fn failure(&mut self, kind: Kind, error: OperationError) {
        self.kind_mut(kind).errors += 1;
        let known = self.errors.contains_key(&error.code);
        let code = if known || self.errors.len() < ERROR_CODES_MAX {
            error.code
        } else {
            "Other".to_owned()
        };
        self.add_errors(code, 1, error.message);
    }

    fn add_errors(&mut self, code: String, count: u64, first_message: String) {
        let entry = self.errors.entry(code).or_insert(ErrorCount {
            count: 0,
            first_message,
        });
        entry.count += count;
    }

    /// Counts bytes.
    pub fn add_bytes(&mut self, kind: Kind, bytes: u64) {
        if bytes > 0 {
            self.kind_mut(kind).bytes += bytes;
        }
    }

    /// Adds all of another: counts, times, histograms.
    pub fn merge(&mut self, other: &Self) {
        for kind in Kind::ALL {
            let Some(theirs) = other.kind(kind) else {
                continue;
            };
            let ours = self.kind_mut(kind);
            ours.latency.merge(&theirs.latency);
            ours.first_byte.merge(&theirs.first_byte);
            ours.operations += theirs.operations;
            ours.errors += theirs.errors;
            ours.bytes += theirs.bytes;
        }
        for (code, theirs) in &other.errors {
            self.add_errors(code.clone(), theirs.count, theirs.first_message.clone());
        }
        self.reconnects += other.reconnects;
        self.elapsed += other.elapsed;
    }

    /// Adds the failures of another and nothing else of it.
    pub fn merge_errors(&mut self, other: &Self) {
        for kind in Kind::ALL {
            if let Some(theirs) = other.kind(kind).filter(|theirs| theirs.errors > 0) {
                self.kind_mut(kind).errors += theirs.errors;
            }
        }
        for (code, theirs) in &other.errors {
            self.add_errors(code.clone(), theirs.count, theirs.first_message.clone());
        }
    }

    /// Failures of all kinds.
    pub fn error_count(&self) -> u64 {
        self.errors.values().map(|error| error.count).sum()
    }

    /// Failures where bytes were not those that had been written.
    pub fn mismatch_count(&self) -> u64 {
        self.errors
            .get(BODY_MISMATCH)
            .map_or(0, |error| error.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles() {
        let mut latencies = Latencies::default();
        for ms in 1..=1000 {
            latencies.record(Duration::from_millis(ms));
        }
        for (quantile, expected) in [(0.5, 500.0), (0.9, 900.0), (0.99, 990.0), (0.999, 999.0)] {
            let found = latencies.quantile_ms(quantile);
            assert!(
                (found - expected).abs() <= expected * 0.002,
                "{quantile}: {found}"
            );
        }
        assert!((latencies.mean_ms() - 500.5).abs() < 1.0);
        assert!((latencies.max_ms() - 1000.0).abs() < 1.0);
        latencies.record(Duration::from_secs(100_000));
        assert!(latencies.max_ms() <= 3_600_000.0 * 1.002);
    }

    #[test]
    fn records_add_up() {
        let mut one = Record::default();
        one.success(Kind::Get, Duration::from_millis(1), None);
        one.failure(Kind::Get, OperationError::new("SlowDown", "first"));
        one.elapsed = Duration::from_secs(2);
        let mut two = Record::default();
        two.success(
            Kind::Get,
            Duration::from_millis(3),
            Some(Duration::from_millis(2)),
        );
        two.failure(Kind::Put, OperationError::new("SlowDown", "second"));
        two.failure(Kind::Put, OperationError::new(BODY_MISMATCH, "third"));
        two.add_bytes(Kind::Get, 7);
        two.elapsed = Duration::from_secs(3);
        one.merge(&two);
        let get = one.kind(Kind::Get).unwrap();
        assert_eq!((get.operations, get.errors, get.bytes), (2, 1, 7));
        assert_eq!((get.latency.count(), get.first_byte.count()), (2, 1));
        assert_eq!((one.error_count(), one.mismatch_count()), (3, 1));
        assert_eq!(one.errors["SlowDown"].count, 2);
        assert_eq!(one.errors["SlowDown"].first_message, "first");
        assert_eq!(one.elapsed, Duration::from_secs(5));
    }

    #[test]
    fn endless_kinds_of_errors_take_bounded_memory() {
        let mut record = Record::default();
        for n in 0..1000 {
            record.failure(Kind::Get, OperationError::new(format!("Code{n}"), ""));
        }
        assert!(record.errors.len() <= ERROR_CODES_MAX + 1);
        assert_eq!(record.error_count(), 1000);
    }
}
