//! What an operation costs, here and there by turns.

use std::time::{Duration, Instant};

use crate::site::Outcome;

/// What some operations of one kind took.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Microseconds of each, from its call to its answer.
    pub wall_us: Vec<f64>,
    /// Microseconds of processor time of the whole process per operation, background included.
    pub cpu_us: f64,
}

/// One line of the table.
#[derive(Clone, Debug)]
pub struct Line {
    pub scene: String,
    pub operation: String,
    /// Median microseconds of one operation in the small place.
    pub small_us: f64,
    /// Median microseconds of one operation in the large place.
    pub large_us: f64,
    pub small_cpu_us: f64,
    pub large_cpu_us: f64,
    /// Median of the alternations' ratios of medians.
    pub ratio: f64,
    /// Least and greatest of them.
    pub spread: (f64, f64),
}

/// Runs `operation` so many times, one after the other.
pub async fn sample(
    count: usize,
    mut operation: impl AsyncFnMut() -> Outcome<()>,
) -> Outcome<Sample> {
    let mut sample = Sample::default();
    let cpu_before = process_cpu();
    for _ in 0..count {
        let began = Instant::now();
        operation().await?;
        sample.wall_us.push(began.elapsed().as_secs_f64() * 1e6);
    }
    let cpu = process_cpu().saturating_sub(cpu_before);
    sample.cpu_us = cpu.as_secs_f64() * 1e6 / count as f64;
    Ok(sample)
}

/// Alternates between both places and compares them.
pub async fn compare(
    scene: &str,
    operation: &str,
    rounds: usize,
    count: usize,
    mut small: impl AsyncFnMut() -> Outcome<()>,
    mut large: impl AsyncFnMut() -> Outcome<()>,
) -> Outcome<Line> {
    // The first of each warms both up alike and does not count.
    sample(count, &mut small).await?;
    sample(count, &mut large).await?;
    let (mut smalls, mut larges, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let one = sample(count, &mut small).await?;
        let other = sample(count, &mut large).await?;
        ratios.push(median(&other.wall_us) / median(&one.wall_us));
        smalls.push(one);
        larges.push(other);
    }
    let wall = |samples: &[Sample]| {
        median(
            &samples
                .iter()
                .map(|s| median(&s.wall_us))
                .collect::<Vec<_>>(),
        )
    };
    let cpu = |samples: &[Sample]| median(&samples.iter().map(|s| s.cpu_us).collect::<Vec<_>>());
    let line = Line {
        scene: scene.to_owned(),
        operation: operation.to_owned(),
        small_us: wall(&smalls),
        large_us: wall(&larges),
        small_cpu_us: cpu(&smalls),
        large_cpu_us: cpu(&larges),
        ratio: median(&ratios),
        spread: (
            ratios.iter().copied().fold(f64::INFINITY, f64::min),
            ratios.iter().copied().fold(0.0, f64::max),
        ),
    };
    eprintln!(
        "  {scene}: {operation}: {:.1} µs, {:.1} µs, ratio {:.2} ({:.2} to {:.2})",
        line.small_us, line.large_us, line.ratio, line.spread.0, line.spread.1
    );
    Ok(line)
}

pub fn median(values: &[f64]) -> f64 {
    percentile(values, 0.5)
}

/// The value below which `share` of the values lie.
pub fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() as f64 * share) as usize;
    let last = sorted.len().saturating_sub(1);
    sorted.get(at.min(last)).copied().unwrap_or(f64::NAN)
}

/// Processor time of all threads that are alive, in steps of nanoseconds.
fn process_cpu() -> Duration {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else {
        return Duration::ZERO;
    };
    let nanoseconds = threads.flatten().filter_map(|thread| {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}

/// A figure of the kernel about this process, such as `VmRSS`, in MiB.
pub fn memory_mib(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name));
    let number = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    number.unwrap_or(f64::NAN) / 1024.0
}
