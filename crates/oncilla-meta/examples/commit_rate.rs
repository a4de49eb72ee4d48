//! How many durable commits per second the embedded engine makes, and how they share syncs.
//!
//! `cargo run --release -p oncilla-meta --example commit_rate [directory] [seconds]`

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use oncilla_meta::embedded::{EmbeddedEngine, EmbeddedOptions};
use oncilla_meta::{Engine, EngineError, Mutation, Space};

const TASKS: usize = 64;
const VALUE_BYTES: usize = 300;
const SECONDS_DEFAULT: u64 = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let parent = arguments
        .next()
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let seconds = arguments
        .next()
        .map_or(Ok(SECONDS_DEFAULT), |text| text.parse())?;
    let directory = parent.join(format!("oncilla-commit-rate-{}", std::process::id()));
    let engine = EmbeddedEngine::open(&directory, EmbeddedOptions::default())?;

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let began = Instant::now();
    runtime.block_on(load(Arc::clone(&engine), Duration::from_secs(seconds)))?;
    let elapsed = began.elapsed().as_secs_f64();

    let stats = engine.stats();
    let (commits, batches) = (stats.commits as f64, stats.batches.max(1) as f64);
    println!("commits per second  {:.0}", commits / elapsed);
    println!("commits per batch   {:.1}", commits / batches);
    println!(
        "sync, mean          {:.3} ms",
        stats.sync_seconds_sum / batches * 1e3
    );
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

async fn load(engine: Arc<EmbeddedEngine>, duration: Duration) -> Result<(), Box<dyn Error>> {
    let stop = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| tokio::spawn(put_pairs(engine.clone(), task, stop.clone())))
        .collect();
    tokio::time::sleep(duration).await;
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await??;
    }
    Ok(())
}

async fn put_pairs(
    engine: Arc<EmbeddedEngine>,
    task: usize,
    stop: Arc<AtomicBool>,
) -> Result<(), EngineError> {
    let value = Bytes::from(vec![b'v'; VALUE_BYTES]);
    let mut number = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let mut mutation = Mutation::new();
        for space in [Space::Records, Space::Bodies] {
            mutation.put(
                space,
                format!("bucket/{task:02}/{number:010}"),
                value.clone(),
            );
        }
        engine.commit(mutation).await?;
    }
    Ok(())
}

/// The kernel's figure for the largest memory this process had.
fn peak_memory() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    Some(line.trim_start_matches("VmHWM:").trim().to_owned())
}
