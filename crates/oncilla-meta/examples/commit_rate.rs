//! How many durable commits per second the embedded engine makes, how they share syncs, and how
//! long the slowest of them wait.
//!
//! `cargo run --release -p oncilla-meta --example commit_rate [directory] [seconds] [body bytes]`
//!
//! Each commit is what a small PUT writes: a record under a key in no order, and a body under a
//! key that grows with time.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use oncilla_meta::embedded::{EmbeddedEngine, EmbeddedOptions};
use oncilla_meta::{Engine, EngineError, Mutation, Space};

const TASKS: usize = 64;
const RECORD_BYTES: usize = 300;
const BODY_BYTES_DEFAULT: usize = 300;
const SECONDS_DEFAULT: u64 = 5;

/// Slower commits are told one by one on standard error, with the second they happened in.
const STALL: Duration = Duration::from_millis(50);

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let parent = arguments
        .next()
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let seconds = arguments
        .next()
        .map_or(Ok(SECONDS_DEFAULT), |text| text.parse())?;
    let body_bytes = arguments
        .next()
        .map_or(Ok(BODY_BYTES_DEFAULT), |text| text.parse())?;
    let directory = parent.join(format!("oncilla-commit-rate-{}", std::process::id()));
    let engine = EmbeddedEngine::open(&directory, EmbeddedOptions::default())?;

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let began = Instant::now();
    let duration = Duration::from_secs(seconds);
    let load = load(Arc::clone(&engine), duration, body_bytes);
    let mut waits = runtime.block_on(load)?;
    let elapsed = began.elapsed().as_secs_f64();

    let stats = engine.stats();
    let (commits, batches) = (stats.commits as f64, stats.batches.max(1) as f64);
    println!("commits per second  {:.0}", commits / elapsed);
    println!("commits per batch   {:.1}", commits / batches);
    println!(
        "sync, mean          {:.3} ms",
        stats.sync_seconds_sum / batches * 1e3
    );
    waits.sort_unstable();
    for (name, share) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)] {
        let at = (waits.len() as f64 * share) as usize;
        let wait = waits.get(at).copied().unwrap_or_default();
        println!("wait, {name:<13} {:.2} ms", wait.as_secs_f64() * 1e3);
    }
    let longest = waits.last().copied().unwrap_or_default();
    println!("wait, longest       {:.2} ms", longest.as_secs_f64() * 1e3);
    println!(
        "on disk             {:.1} MiB",
        stats.disk_bytes as f64 / 1048576.0
    );
    if let Some(peak) = peak_memory() {
        println!("peak memory         {peak}");
    }
    engine.shutdown();
    std::fs::remove_dir_all(directory)?;
    Ok(())
}

async fn load(
    engine: Arc<EmbeddedEngine>,
    duration: Duration,
    body_bytes: usize,
) -> Result<Vec<Duration>, Box<dyn Error>> {
    let stop = Arc::new(AtomicBool::new(false));
    let time = Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            tokio::spawn(put_pairs(
                Arc::clone(&engine),
                Arc::clone(&time),
                Arc::clone(&stop),
                body_bytes,
            ))
        })
        .collect();
    tokio::time::sleep(duration).await;
    stop.store(true, Ordering::Relaxed);
    let mut waits = Vec::new();
    for task in tasks {
        waits.extend(task.await??);
    }
    Ok(waits)
}

async fn put_pairs(
    engine: Arc<EmbeddedEngine>,
    time: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    body_bytes: usize,
) -> Result<Vec<Duration>, EngineError> {
    let record = Bytes::from(vec![b'v'; RECORD_BYTES]);
    let body = Bytes::from(vec![b'v'; body_bytes]);
    let mut waits = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let number = time.fetch_add(1, Ordering::Relaxed);
        // A permutation of the numbers: multiplying by an odd constant loses nothing.
        let scattered = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut mutation = Mutation::new();
        mutation
            .put(
                Space::Records,
                format!("o-bucket-{scattered:016x}"),
                record.clone(),
            )
            .put(Space::Bodies, format!("{number:016x}"), body.clone())
            .add("n-objects", 1);
        let began = Instant::now();
        engine.commit(mutation).await?;
        let took = began.elapsed();
        if took > STALL && waits.last().is_none_or(|last| *last < STALL) {
            eprintln!(
                "stall of {:.0} ms at commit {number}",
                took.as_secs_f64() * 1e3
            );
        }
        waits.push(took);
    }
    Ok(waits)
}

/// The kernel's figure for the largest memory this process had.
fn peak_memory() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    Some(line.trim_start_matches("VmHWM:").trim().to_owned())
}
