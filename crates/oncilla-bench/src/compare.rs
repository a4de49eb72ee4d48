//! Side by side: ratios of targets that were measured in turns.
//!
//! On a shared machine absolute figures change by the minute. What two targets did in the same
//! round, one right after the other, met much the same machine; so ratios are taken per round, and
//! their spread says how much to believe of their median.

use serde::Serialize;

use crate::report::Stats;

/// Ratios of all targets to the first.
#[derive(Debug, Serialize)]
pub struct Comparison {
    /// The name of the first target.
    pub baseline: String,
    /// One entry per metric.
    pub metrics: Vec<Metric>,
}

/// One metric.
#[derive(Debug, Serialize)]
pub struct Metric {
    /// Its name, with its unit.
    pub metric: &'static str,
    /// `higher` or `lower`.
    pub better: &'static str,
    /// One entry per target, the first one included.
    pub targets: Vec<TargetRatio>,
}

/// One target's share in a metric.
#[derive(Debug, Serialize)]
pub struct TargetRatio {
    /// The target.
    pub name: String,
    /// Median over the rounds; null if a round has no value.
    pub median: Option<f64>,
    /// Median of `ratios`; null if there are none.
    pub ratio: Option<f64>,
    /// The least of `ratios`.
    pub ratio_min: Option<f64>,
    /// The greatest of `ratios`.
    pub ratio_max: Option<f64>,
    /// This target's value over the first target's in the same round; empty if any round has no
    /// value, because then nothing should be concluded.
    pub ratios: Vec<f64>,
}

type Value = fn(&Stats) -> Option<f64>;

/// What is compared.
const METRICS: [(&str, &str, Value); 8] = [
    ("operations_per_s", "higher", |stats| {
        positive(stats.operations_per_s)
    }),
    ("bytes_per_s", "higher", |stats| positive(stats.bytes_per_s)),
    ("latency_p50_ms", "lower", |stats| {
        stats.latency_ms.map(|p| p.p50)
    }),
    ("latency_p90_ms", "lower", |stats| {
        stats.latency_ms.map(|p| p.p90)
    }),
    ("latency_p99_ms", "lower", |stats| {
        stats.latency_ms.map(|p| p.p99)
    }),
    ("latency_p999_ms", "lower", |stats| {
        stats.latency_ms.map(|p| p.p999)
    }),
    ("first_byte_p50_ms", "lower", |stats| {
        stats.first_byte_ms.map(|p| p.p50)
    }),
    ("first_byte_p99_ms", "lower", |stats| {
        stats.first_byte_ms.map(|p| p.p99)
    }),
];

fn positive(value: f64) -> Option<f64> {
    (value > 0.0).then_some(value)
}

impl Comparison {
    /// Compares targets by their rounds. Rounds that not all of them have are left out. `None`
    /// without a target.
    pub fn of(targets: &[(&str, &[Stats])]) -> Option<Self> {
        let (baseline, _) = targets.first()?;
        let rounds = targets.iter().map(|(_, rounds)| rounds.len()).min()?;
        let metrics = METRICS.iter().map(|(metric, better, value)| {
            let values: Vec<Option<Vec<f64>>> = targets
                .iter()
                .map(|(_, stats)| stats[..rounds].iter().map(value).collect())
                .collect();
            let shares = targets.iter().zip(&values).map(|((name, _), own)| {
                let ratios = match (own, values.first()) {
                    (Some(own), Some(Some(first))) => own
                        .iter()
                        .zip(first)
                        .map(|(own, first)| own / first)
                        .collect(),
                    _ => Vec::new(),
                };
                TargetRatio {
                    name: (*name).to_owned(),
                    median: own.as_deref().and_then(median),
                    ratio: median(&ratios),
                    ratio_min: ratios.iter().copied().reduce(f64::min),
                    ratio_max: ratios.iter().copied().reduce(f64::max),
                    ratios,
                }
            });
            Metric {
                metric,
                better,
                targets: shares.collect(),
            }
        });
        Some(Self {
            baseline: (*baseline).to_owned(),
            metrics: metrics.collect(),
        })
    }
}

/// The value in the middle, or the mean of the two there; `None` of nothing.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some((sorted[middle - 1] + upper) / 2.0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::stats::Record;
    use crate::workload::Kind;

    fn stats(operations: u64, latency_ms: u64) -> Stats {
        let mut record = Record::default();
        for _ in 0..operations {
            record.success(Kind::Get, Duration::from_millis(latency_ms), None);
        }
        record.elapsed = Duration::from_secs(1);
        Stats::of(&record)
    }

    #[test]
    fn medians() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[4.0, 1.0, 3.0]), Some(3.0));
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
    }

    #[test]
    fn ratios_are_taken_per_round() {
        let a = [stats(10, 2), stats(100, 2), stats(20, 2)];
        let b = [stats(20, 4), stats(150, 4), stats(20, 4)];
        let comparison = Comparison::of(&[("a", &a), ("b", &b)]).unwrap();
        let operations = &comparison.metrics[0];
        assert_eq!(operations.targets[0].ratios, [1.0, 1.0, 1.0]);
        assert_eq!(operations.targets[1].ratios, [2.0, 1.5, 1.0]);
        assert_eq!(operations.targets[1].ratio, Some(1.5));
        assert_eq!(operations.targets[1].ratio_min, Some(1.0));
        assert_eq!(operations.targets[1].ratio_max, Some(2.0));
        assert_eq!(operations.targets[1].median, Some(20.0));
        let p50 = &comparison.metrics[2].targets[1];
        assert!((p50.ratio.unwrap() - 2.0).abs() < 0.01);
    }

    #[test]
    fn a_round_without_a_value_gives_no_ratio() {
        let a = [stats(10, 2), stats(10, 2)];
        let b = [stats(10, 2), stats(0, 0)];
        let comparison = Comparison::of(&[("a", &a), ("b", &b)]).unwrap();
        let share = &comparison.metrics[0].targets[1];
        assert_eq!((share.ratio, share.median), (None, None));
        assert!(Comparison::of(&[]).is_none());
        let interrupted = Comparison::of(&[("a", &a), ("b", &b[..1])]).unwrap();
        assert_eq!(interrupted.metrics[0].targets[1].ratios, [1.0]);
    }
}
