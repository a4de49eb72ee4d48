//! What uploads gain from being hashed in lanes: the store's whole write path without HTTP, on files
//! whose syncs are left to the system, with each upload hashed by the thread that receives it
//! ("here") and by the hash threads ("lanes"). All uploads of a cell run on one thread's runtime, as
//! in the server. The two ways alternate; printed are medians and their ratio.
//!
//! `cargo run --release -p oncilla-store --example upload_hashing [rounds]`

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use oncilla_blob::fs::RealFileSystem;
use oncilla_blob::{Durability, VolumeOptions, Volumes};
use oncilla_hash::ChecksumAlgorithm;
use oncilla_meta::memory::MemoryEngine;
use oncilla_store::{Declared, Store, StoreOptions, SystemClock, WrittenContent};

/// Rounds, unless the first argument says otherwise.
const ROUNDS_DEFAULT: usize = 9;

/// Bytes that each way takes in a round, at least.
const ROUND_BYTES: usize = 128 << 20;

/// What a connection reads at most at a time.
const PIECE_BYTES: usize = 64 << 10;

const BODY_BYTES: [usize; 4] = [48 << 10, 128 << 10, 1 << 20, 16 << 20];

const CONCURRENT_UPLOADS: [usize; 4] = [1, 4, 16, 64];

fn main() -> Result<(), Box<dyn Error>> {
    let rounds = match std::env::args().nth(1) {
        Some(text) => text.parse()?,
        None => ROUNDS_DEFAULT,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(measure(rounds))
}

async fn measure(rounds: usize) -> Result<(), Box<dyn Error>> {
    let threads = StoreOptions::default().hash_threads;
    println!("{threads} hash threads, median of {rounds} rounds; GB/s");
    println!(
        "{:>10} {:>8} {:>8} {:>8} {:>6}",
        "body", "uploads", "here", "lanes", "ratio"
    );
    for body_bytes in BODY_BYTES {
        for uploads in CONCURRENT_UPLOADS {
            let (mut here_rates, mut lanes_rates, mut ratios) = (vec![], vec![], vec![]);
            for _ in 0..rounds {
                let here_rate = rate(0, body_bytes, uploads).await?;
                let lanes_rate = rate(threads, body_bytes, uploads).await?;
                here_rates.push(here_rate);
                lanes_rates.push(lanes_rate);
                ratios.push(lanes_rate / here_rate);
            }
            println!(
                "{body_bytes:>10} {uploads:>8} {:>8.2} {:>8.2} {:>6.2}",
                median(here_rates),
                median(lanes_rates),
                median(ratios)
            );
        }
    }
    Ok(())
}

async fn open(directory: &Path, hash_threads: usize) -> Result<Store, Box<dyn Error>> {
    let options = VolumeOptions {
        durability: Durability::Os,
        ..VolumeOptions::default()
    };
    let volumes = Volumes::open(Arc::new(RealFileSystem), directory.to_owned(), options)?;
    let options = StoreOptions {
        hash_threads,
        ..StoreOptions::default()
    };
    let engine = Arc::new(MemoryEngine::new());
    Ok(Store::open(engine, volumes, Arc::new(SystemClock), options).await?)
}

/// In GB/s. Each time in a new store, and what was written is kept until the time is taken:
/// giving it back is work that would fall into the other way's time.
async fn rate(
    hash_threads: usize,
    body_bytes: usize,
    uploads: usize,
) -> Result<f64, Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let store = open(directory.path(), hash_threads).await?;
    let piece = Bytes::from(vec![0x5a; PIECE_BYTES]);
    let each = ROUND_BYTES.div_ceil(body_bytes * uploads);
    let start = Instant::now();
    let tasks = (0..uploads).map(|_| {
        let (store, piece) = (store.clone(), piece.clone());
        tokio::spawn(async move {
            let mut written = Vec::with_capacity(each);
            for _ in 0..each {
                written.push(upload(&store, &piece, body_bytes).await);
            }
            written
        })
    });
    let mut written = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        written.push(task.await?);
    }
    let elapsed_s = start.elapsed().as_secs_f64();
    store.close().await;
    drop(written);
    Ok((body_bytes * uploads * each) as f64 / elapsed_s / 1e9)
}

async fn upload(store: &Store, piece: &Bytes, body_bytes: usize) -> WrittenContent {
    let begun = store.begin_content(body_bytes as u64, ChecksumAlgorithm::Crc64Nvme, false);
    let mut writer = begun.await.expect("begins");
    let mut rest = body_bytes;
    while rest > 0 {
        let bytes = piece.slice(..rest.min(PIECE_BYTES));
        rest -= bytes.len();
        writer.write(bytes).await.expect("is written");
        // What a connection does between pieces: let the others have their turn.
        tokio::task::yield_now().await;
    }
    writer.finish(&Declared::default()).await.expect("ends")
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
