//! What collection and compaction do to those who work meanwhile.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use oncilla_store::Bucket;
use oncilla_store::list::{After, ListQuery};

use crate::load::{load, small_body};
use crate::measure::{median, percentile};
use crate::scenes::object_name;
use crate::site::{Outcome, Random, Site};

/// How long each phase lasts.
const PHASE: Duration = Duration::from_secs(5);

/// Requests per second of each kind: a steady load that leaves the machine time for the
/// background, whose effect is to be seen and not that of a full queue.
const PUTS_PER_SECOND: u64 = 200;
const GETS_PER_SECOND: u64 = 500;
const LISTS_PER_SECOND: u64 = 50;

/// Objects deleted before a busy phase: each leaves an extent to be released.
const DELETED_OBJECTS: usize = 2_000;

/// Bytes in each: beyond what is kept in rows.
const DELETED_BYTES: usize = 64 << 10;

/// Objects loaded before a busy phase: many write buffers' worth, so that compaction has work.
const LOADED_OBJECTS: u64 = 300_000;

/// What is done in the background of a busy phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Busy {
    /// The collector releases extents.
    Collection,
    /// The engine flushes and compacts what was loaded just before.
    Compaction,
}

/// One kind of request, quiet and busy.
pub struct Disturbance {
    pub operation: &'static str,
    pub quiet_p99_us: f64,
    pub busy_p99_us: f64,
    pub ratio: f64,
}

/// What was done meanwhile, so that nobody mistakes an idle background for a gentle one.
pub struct Background {
    pub busy: Busy,
    pub released_extents: u64,
    /// Processor time of the threads that flush and compact, in the busy phases.
    pub library_cpu: Duration,
    pub lines: Vec<Disturbance>,
}

/// Alternates quiet and busy phases.
pub async fn disturb(
    site: &Arc<Site>,
    bucket: &Bucket,
    count: u64,
    rounds: usize,
    kind: Busy,
) -> Outcome<Background> {
    let mut background = Background {
        busy: kind,
        released_extents: 0,
        library_cpu: Duration::ZERO,
        lines: Vec::new(),
    };
    let (mut quiet, mut busy) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        settle().await;
        quiet.push(phase(site, bucket, count).await?);

        let name = format!("{kind:?}-{round}").to_lowercase();
        let other = site.create_bucket(&name).await?;
        let mut collector = None;
        if kind == Busy::Collection {
            make_garbage(site, &other).await?;
            let store = site.store.clone();
            collector = Some(tokio::spawn(async move { store.run_collector().await }));
        } else {
            load(site, &other, LOADED_OBJECTS, object_name).await?;
        }
        let freed_before = site.store.collector_stats().freed_extents;
        let cpu_before = library_cpu();
        busy.push(phase(site, bucket, count).await?);
        background.released_extents += site.store.collector_stats().freed_extents - freed_before;
        background.library_cpu += library_cpu().saturating_sub(cpu_before);
        if let Some(collector) = collector {
            collector.abort();
        }
    }
    let names = ["PUT 4 KiB, durable", "GET", "LIST 1,000"];
    for (kind, operation) in names.into_iter().enumerate() {
        let p99 = |phases: &[[Vec<f64>; 3]]| -> Vec<f64> {
            let of_kind = phases.iter().map(|phase| percentile(&phase[kind], 0.99));
            of_kind.collect()
        };
        let (quiet, busy) = (p99(&quiet), p99(&busy));
        let ratios: Vec<f64> = busy.iter().zip(&quiet).map(|(b, q)| b / q).collect();
        let line = Disturbance {
            operation,
            quiet_p99_us: median(&quiet),
            busy_p99_us: median(&busy),
            ratio: median(&ratios),
        };
        eprintln!(
            "  {:?}: {operation}: p99 {:.0} µs quiet, {:.0} µs busy, ratio {:.2}",
            background.busy, line.quiet_p99_us, line.busy_p99_us, line.ratio
        );
        background.lines.push(line);
    }
    Ok(background)
}

/// Waits until the library's threads have been idle for a while.
pub async fn settle() {
    let patience = Instant::now() + Duration::from_secs(120);
    while Instant::now() < patience {
        let before = library_cpu();
        tokio::time::sleep(Duration::from_secs(2)).await;
        if library_cpu().saturating_sub(before) < Duration::from_millis(20) {
            return;
        }
    }
}

async fn make_garbage(site: &Arc<Site>, bucket: &Bucket) -> Outcome<()> {
    let body = Bytes::from(vec![7; DELETED_BYTES]);
    for number in 0..DELETED_OBJECTS {
        let name = format!("{number}");
        site.put(bucket, name.as_bytes(), &body).await?;
    }
    for number in 0..DELETED_OBJECTS {
        site.delete(bucket, format!("{number}").as_bytes()).await?;
    }
    Ok(())
}

/// Requests at a steady rate, whatever the answers take; microseconds of each, by kind.
async fn phase(site: &Arc<Site>, bucket: &Bucket, count: u64) -> Outcome<[Vec<f64>; 3]> {
    let until = Instant::now() + PHASE;
    let put = steady(
        PUTS_PER_SECOND,
        until,
        site,
        bucket,
        async |site, bucket, number| {
            let body = Bytes::from(vec![1; 4 << 10]);
            let name = format!("while/{number:016x}");
            site.put(&bucket, name.as_bytes(), &body).await?;
            Ok(())
        },
    );
    let get = steady(
        GETS_PER_SECOND,
        until,
        site,
        bucket,
        async move |site, bucket, number| {
            let name = object_name(number % count);
            let bytes = site.get(&bucket, name.as_bytes()).await?;
            if bytes == small_body().len() as u64 {
                Ok(())
            } else {
                Err("another length".into())
            }
        },
    );
    let list = steady(
        LISTS_PER_SECOND,
        until,
        site,
        bucket,
        async move |site, bucket, number| {
            let query = ListQuery {
                after: After::Key(object_name(number % count).into()),
                limit: 1_000,
                ..ListQuery::default()
            };
            site.store.list_objects(&bucket, &query).await?;
            Ok(())
        },
    );
    let (put, get, list) = tokio::join!(put, get, list);
    Ok([put?, get?, list?])
}

async fn steady(
    per_second: u64,
    until: Instant,
    site: &Arc<Site>,
    bucket: &Bucket,
    operation: impl AsyncFn(Arc<Site>, Bucket, u64) -> Outcome<()>,
) -> Outcome<Vec<f64>> {
    let mut random = Random(until.elapsed().subsec_nanos().into());
    let pause = Duration::from_micros(1_000_000 / per_second);
    let mut due = Instant::now();
    let mut waits = Vec::new();
    while due < until {
        tokio::time::sleep_until(due.into()).await;
        let number = random.below(u64::MAX);
        operation(site.clone(), bucket.clone(), number).await?;
        // From when it was due: a request that had to wait for the one before counts in full.
        waits.push(due.elapsed().as_secs_f64() * 1e6);
        due += pause;
    }
    Ok(waits)
}

/// Processor time of the threads that flush and compact.
fn library_cpu() -> Duration {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else {
        return Duration::ZERO;
    };
    let nanoseconds = threads.flatten().filter_map(|thread| {
        let name = std::fs::read_to_string(thread.path().join("comm")).ok()?;
        if !name.starts_with("fjall") {
            return None;
        }
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}
