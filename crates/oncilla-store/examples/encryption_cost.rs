//! What encryption costs: writes and reads of 16 MiB through the store, plain and encrypted, in turns.
//!
//!     cargo run --release -p oncilla-store --example encryption_cost
//!
//! Volumes are on a temporary directory without syncs, so that the processor is what is measured, and
//! reads come from the page cache. Each figure is the median of the rounds.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use oncilla_blob::fs::RealFileSystem;
use oncilla_blob::{Durability, VolumeOptions, Volumes};
use oncilla_hash::ChecksumAlgorithm;
use oncilla_keys::{Keys, MasterKey, MasterKeySource};
use oncilla_meta::Engine;
use oncilla_meta::memory::MemoryEngine;
use oncilla_store::bucket::NewBucket;
use oncilla_store::object::NewObject;
use oncilla_store::{Bucket, Declared, EncryptionChoice, Store, StoreOptions, SystemClock};
use oncilla_wire::conditions::Conditions;

const BODY_BYTES: usize = 16 << 20;

/// What a connection gives at a time.
const PIECE_BYTES: usize = 256 << 10;

const ROUNDS: usize = 15;

/// Bodies of one round.
const BODIES: usize = 8;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let (store, bucket) = open(directory.path()).await?;
    let mut rates: [[Vec<f64>; 2]; 2] = Default::default();
    // The first round is for warming up.
    for round in 0..=ROUNDS {
        for (is_encrypted, of_kind) in [false, true].into_iter().zip(&mut rates) {
            let [put_rates, get_rates] = of_kind;
            let start = Instant::now();
            for body in 0..BODIES {
                put(&store, &bucket, body, is_encrypted).await?;
            }
            let put_s = start.elapsed().as_secs_f64();
            let start = Instant::now();
            for body in 0..BODIES {
                get(&store, &bucket, body).await?;
            }
            let get_s = start.elapsed().as_secs_f64();
            if round > 0 {
                let gigabytes = (BODIES * BODY_BYTES) as f64 / 1e9;
                put_rates.push(gigabytes / put_s);
                get_rates.push(gigabytes / get_s);
            }
        }
    }
    let [plain, encrypted] = rates.map(|of_kind| of_kind.map(median));
    for (name, plain, encrypted) in [
        ("write 16 MiB", plain[0], encrypted[0]),
        ("read 16 MiB", plain[1], encrypted[1]),
    ] {
        let ratio = encrypted / plain;
        println!("{name:<13} plain {plain:.2} GB/s, encrypted {encrypted:.2} GB/s: {ratio:.2}");
    }
    store.close().await;
    Ok(())
}

async fn open(directory: &Path) -> Result<(Store, Bucket), Box<dyn Error>> {
    let options = VolumeOptions {
        durability: Durability::Os,
        ..VolumeOptions::default()
    };
    let volumes = Volumes::open(Arc::new(RealFileSystem), directory.to_owned(), options)?;
    let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::new());
    let master = MasterKeySource::Given(MasterKey::random()?);
    let keys = Keys::open(Arc::clone(&engine), master, Arc::new(|| 0)).await?;
    let options = StoreOptions {
        keys: Some(keys),
        ..StoreOptions::default()
    };
    let store = Store::open(engine, volumes, Arc::new(SystemClock), options).await?;
    let new = NewBucket {
        name: "bucket".to_owned(),
        owner: "owner".to_owned(),
        ..NewBucket::default()
    };
    let bucket = store.create_bucket(new).await?;
    Ok((store, bucket))
}

async fn put(
    store: &Store,
    bucket: &Bucket,
    body: usize,
    is_encrypted: bool,
) -> Result<(), Box<dyn Error>> {
    let encryption = match is_encrypted {
        true => Some(store.new_encryption(&EncryptionChoice::S3).await?),
        false => None,
    };
    let (size, algorithm) = (BODY_BYTES as u64, ChecksumAlgorithm::Crc64Nvme);
    let begun = store.begin_content_as("", size, algorithm, false, encryption.as_ref());
    let mut writer = begun.await?;
    let piece = Bytes::from(vec![0x5a; PIECE_BYTES]);
    for _ in 0..BODY_BYTES / PIECE_BYTES {
        writer.write(piece.clone()).await?;
    }
    let content = writer.finish(&Declared::default()).await?;
    let (key, conditions) = (format!("{body}"), Conditions::default());
    let new = NewObject::default();
    let put = store.put_object(bucket, key.as_bytes(), new, content, &conditions);
    put.await?;
    Ok(())
}

async fn get(store: &Store, bucket: &Bucket, body: usize) -> Result<(), Box<dyn Error>> {
    let key = format!("{body}");
    let opened = store.open_object(bucket, key.as_bytes()).await?;
    let mut reader = opened.read_all();
    let mut read = 0;
    while let Some(piece) = reader.next().await? {
        read += piece.len();
    }
    assert_eq!(read, BODY_BYTES);
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
