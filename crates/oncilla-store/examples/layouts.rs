//! Where a body of some size lies best, and how long a frame should be: what `inline_bytes_max` and
//! `frame_bytes` were chosen by (docs/decisions/0005-inline-bodies-and-frames.md).
//!
//!     cargo run --release -p oncilla-store --example layouts
//!
//! Stores with different settings stand side by side on the real engine, with every sync; the same is
//! done in each by turns. Figures are medians of the ratios of neighbouring rounds. Takes about four
//! minutes and 4 GB below the directory for temporary files (`TMPDIR`).

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use oncilla_blob::fs::RealFileSystem;
use oncilla_blob::{VolumeOptions, Volumes};
use oncilla_hash::ChecksumAlgorithm;
use oncilla_meta::Engine;
use oncilla_meta::embedded::{EmbeddedEngine, EmbeddedOptions};
use oncilla_store::bucket::NewBucket;
use oncilla_store::object::NewObject;
use oncilla_store::{Bucket, ByteRange, Declared, Store, StoreOptions, SystemClock};
use oncilla_wire::conditions::Conditions;
use tokio::task::JoinSet;

type Failure = Box<dyn Error + Send + Sync>;

/// Writers or readers at a time.
const TASKS: u64 = 16;

const ROUNDS: usize = 7;

const ROUND_TIME: Duration = Duration::from_millis(600);

/// Objects that are written anew and read in a round, so that all of it stays in memory.
const KEYS: u64 = 2_000;

const BODY_SIZES: [usize; 7] = [
    1 << 10,
    4 << 10,
    8 << 10,
    16 << 10,
    32 << 10,
    64 << 10,
    128 << 10,
];

const FRAME_SIZES: [u32; 4] = [16 << 10, 64 << 10, 256 << 10, 1 << 20];

/// The frames that the others are compared with.
const FRAME_BYTES: u32 = 64 << 10;

const LARGE_BODY_BYTES: u64 = 64 << 20;

/// One store of a comparison.
#[derive(Clone)]
struct Site {
    store: Store,
    bucket: Bucket,
}

#[derive(Clone, Copy)]
enum Work {
    Put {
        body_bytes: usize,
    },
    Get,
    /// Ranges of the large object.
    Range {
        length: u64,
    },
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let directory = tempfile::tempdir()?;
    println!("Inline (rows) against extents (volumes); ratios above 1 speak for rows.\n");
    println!("| Body | PUT | GET | bytes written by a PUT, inline | in extents |");
    println!("|---|---|---|---|---|");
    for body_bytes in BODY_SIZES {
        compare_places(directory.path(), body_bytes).await?;
    }
    println!("\nFrames against frames of 64 KiB; ratios above 1 speak for the length.\n");
    println!("| Frame | range of 4 KiB | of 64 KiB | of 1 MiB | all 64 MiB |");
    println!("|---|---|---|---|---|");
    for frame_bytes in FRAME_SIZES {
        compare_frames(directory.path(), frame_bytes).await?;
    }
    Ok(())
}

async fn compare_places(directory: &Path, body_bytes: usize) -> Result<(), Failure> {
    let place = |name: &str| directory.join(format!("{name}-{body_bytes}"));
    let rows = open(&place("rows"), 128 << 10, FRAME_BYTES).await?;
    let extents = open(&place("extents"), 0, FRAME_BYTES).await?;
    let put = Work::Put { body_bytes };
    let mut written = [0.0, 0.0];
    for (site, written) in [&rows, &extents].into_iter().zip(&mut written) {
        let before = bytes_written()?;
        let puts = run(site, put).await? * ROUND_TIME.as_secs_f64();
        *written = (bytes_written()? - before) as f64 / puts;
    }
    let puts = ratio(&rows, &extents, put).await?;
    fill(&rows, body_bytes).await?;
    fill(&extents, body_bytes).await?;
    let gets = ratio(&rows, &extents, Work::Get).await?;
    let (kib, [inline, apart]) = (body_bytes >> 10, written);
    println!("| {kib} KiB | {puts} | {gets} | {inline:.0} | {apart:.0} |");
    close([rows, extents], directory).await
}

async fn compare_frames(directory: &Path, frame_bytes: u32) -> Result<(), Failure> {
    let this = open(&directory.join("this"), 0, frame_bytes).await?;
    let usual = open(&directory.join("usual"), 0, FRAME_BYTES).await?;
    for site in [&this, &usual] {
        put(site, b"large", LARGE_BODY_BYTES as usize).await?;
    }
    print!("| {} KiB |", frame_bytes >> 10);
    for length in [4 << 10, 64 << 10, 1 << 20, LARGE_BODY_BYTES] {
        print!(" {} |", ratio(&this, &usual, Work::Range { length }).await?);
    }
    println!();
    close([this, usual], directory).await
}

/// Median, least and greatest of how many times as much the first does in the same time.
async fn ratio(first: &Site, second: &Site, work: Work) -> Result<String, Failure> {
    let mut ratios = Vec::new();
    // The first round is for warming up.
    for round in 0..=ROUNDS {
        let pair = (run(first, work).await?, run(second, work).await?);
        if round > 0 {
            ratios.push(pair.0 / pair.1);
        }
    }
    ratios.sort_by(f64::total_cmp);
    let (median, least, most) = (ratios[ROUNDS / 2], ratios[0], ratios[ROUNDS - 1]);
    Ok(format!("{median:.2} ({least:.2}..{most:.2})"))
}

/// Works for a round; operations per second.
async fn run(site: &Site, work: Work) -> Result<f64, Failure> {
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let site = site.clone();
        tasks.spawn(async move {
            let mut done = 0;
            while start.elapsed() < ROUND_TIME {
                // Any order that visits all of them.
                let turn = (done * TASKS + task) * 7_919 % KEYS;
                one(&site, work, turn).await?;
                done += 1;
            }
            Ok::<u64, Failure>(done)
        });
    }
    let mut operations = 0;
    while let Some(done) = tasks.join_next().await {
        operations += done??;
    }
    Ok(operations as f64 / start.elapsed().as_secs_f64())
}

async fn one(site: &Site, work: Work, turn: u64) -> Result<(), Failure> {
    match work {
        Work::Put { body_bytes } => put(site, &key(turn), body_bytes).await,
        Work::Get => read(site, &key(turn), None).await,
        Work::Range { length } => {
            let places = (LARGE_BODY_BYTES - length) / (4 << 10) + 1;
            let start = (turn * 7_927 % places) * (4 << 10);
            let range = ByteRange {
                start,
                end: start + length,
            };
            read(site, b"large", Some(range)).await
        }
    }
}

fn key(turn: u64) -> Vec<u8> {
    format!("{turn:08}").into_bytes()
}

async fn fill(site: &Site, body_bytes: usize) -> Result<(), Failure> {
    let mut tasks = JoinSet::new();
    for turn in 0..KEYS {
        let site = site.clone();
        tasks.spawn(async move { put(&site, &key(turn), body_bytes).await });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

async fn put(site: &Site, key: &[u8], body_bytes: usize) -> Result<(), Failure> {
    let algorithm = ChecksumAlgorithm::Crc64Nvme;
    let begun = site
        .store
        .begin_content(body_bytes as u64, algorithm, false);
    let mut writer = begun.await?;
    writer.write(Bytes::from(vec![0x5a; body_bytes])).await?;
    let content = writer.finish(&Declared::default()).await?;
    let (new, conditions) = (NewObject::default(), Conditions::default());
    let put = site
        .store
        .put_object(&site.bucket, key, new, content, &conditions);
    put.await?;
    Ok(())
}

async fn read(site: &Site, key: &[u8], range: Option<ByteRange>) -> Result<(), Failure> {
    let body = site.store.open_object(&site.bucket, key).await?;
    let mut reader = match range {
        Some(range) => body.read(range),
        None => body.read_all(),
    };
    while reader.next().await?.is_some() {}
    Ok(())
}

async fn open(directory: &Path, inline_bytes_max: u64, frame_bytes: u32) -> Result<Site, Failure> {
    std::fs::create_dir_all(directory)?;
    let options = VolumeOptions {
        frame_bytes,
        ..VolumeOptions::default()
    };
    let volumes = Volumes::open(Arc::new(RealFileSystem), directory.join("volumes"), options)?;
    let engine = EmbeddedEngine::open(&directory.join("meta"), EmbeddedOptions::default())?;
    let engine: Arc<dyn Engine> = engine;
    let options = StoreOptions {
        inline_bytes_max,
        ..StoreOptions::default()
    };
    let store = Store::open(engine, volumes, Arc::new(SystemClock), options).await?;
    let new = NewBucket {
        name: "bucket".to_owned(),
        owner: "owner".to_owned(),
        ..NewBucket::default()
    };
    let bucket = store.create_bucket(new).await?;
    Ok(Site { store, bucket })
}

/// Ends the stores and removes what they kept.
async fn close(sites: [Site; 2], directory: &Path) -> Result<(), Failure> {
    for site in sites {
        site.store.close().await;
    }
    for entry in std::fs::read_dir(directory)? {
        std::fs::remove_dir_all(entry?.path())?;
    }
    Ok(())
}

/// What this process had written to the disk.
fn bytes_written() -> Result<u64, Failure> {
    let text = std::fs::read_to_string("/proc/self/io")?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("write_bytes: "));
    Ok(line.ok_or("no write_bytes in /proc/self/io")?.parse()?)
}
