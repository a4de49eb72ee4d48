//! Objects on a metadata engine and volumes in memory, so that no disk and no other thread has a
//! part in the count.

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use oncilla_blob::testing::FaultyFileSystem;
use oncilla_blob::{VolumeOptions, Volumes};
use oncilla_hash::ChecksumAlgorithm;
use oncilla_meta::Engine;
use oncilla_meta::memory::MemoryEngine;
use oncilla_store::bucket::NewBucket;
use oncilla_store::list::ListQuery;
use oncilla_store::object::NewObject;
use oncilla_store::{Bucket, Declared, ObjectRecord, Store, StoreOptions, WallClock};
use oncilla_wire::conditions::Conditions;
use tokio::runtime::Runtime;

use crate::count;
use crate::protocol::NOW_S;

const BODY_BYTES: usize = 4 << 10;

/// Keys in the listed bucket, under [`GROUPS`] prefixes.
const LISTED_KEYS: usize = 2000;
const GROUPS: usize = 100;

/// A wall clock that stands still.
struct StoppedClock;

impl WallClock for StoppedClock {
    fn now_ms(&self) -> u64 {
        NOW_S as u64 * 1000
    }
}

/// The runtime of a connection: one thread.
pub fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap()
}

/// A store in memory and the engine beneath it.
pub async fn open() -> (Store, Arc<dyn Engine>) {
    let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::new());
    let fs = Arc::new(FaultyFileSystem::new());
    let volumes = Volumes::open(fs, "/volumes".into(), VolumeOptions::default()).unwrap();
    let clock = Arc::new(StoppedClock);
    let store = Store::open(Arc::clone(&engine), volumes, clock, StoreOptions::default());
    (store.await.unwrap(), engine)
}

async fn create_bucket(store: &Store) -> Bucket {
    let new = NewBucket {
        name: "bucket".to_owned(),
        owner: "aa11".to_owned(),
        ..NewBucket::default()
    };
    store.create_bucket(new).await.unwrap()
}

async fn put(store: &Store, bucket: &Bucket, key: &str, body: &Bytes) -> ObjectRecord {
    let mut writer = store
        .begin_content(body.len() as u64, ChecksumAlgorithm::Crc64Nvme, false)
        .await
        .unwrap();
    writer.write(body.clone()).await.unwrap();
    let content = writer.finish(&Declared::default()).await.unwrap();
    let new = NewObject {
        owner: "aa11".to_owned(),
        headers: vec![("content-type".into(), "image/png".into())],
        metadata: vec![("camera".into(), "4711".into())],
        ..NewObject::default()
    };
    let conditions = Conditions::default();
    let written = store.put_object(bucket, key.as_bytes(), new, content, &conditions);
    written.await.unwrap()
}

fn record() -> ObjectRecord {
    runtime().block_on(async {
        let (store, _engine) = open().await;
        let bucket = create_bucket(&store).await;
        put(&store, &bucket, "key", &vec![b'x'; BODY_BYTES].into()).await
    })
}

pub fn object_record_encode(repetitions: usize) {
    let record = record();
    count(repetitions, || {
        black_box(black_box(&record).encode());
    });
}

pub fn object_record_decode(repetitions: usize) {
    let row = record().encode();
    count(repetitions, || {
        black_box(ObjectRecord::decode(black_box(&row).clone()).unwrap());
    });
}

/// A page of groups, each of which is skipped over rather than walked.
pub fn list_delimiter_page(repetitions: usize) {
    let runtime = runtime();
    let (store, bucket) = runtime.block_on(async {
        let (store, _engine) = open().await;
        let bucket = create_bucket(&store).await;
        let body = Bytes::from_static(b"x");
        for number in 0..LISTED_KEYS {
            let key = format!("photos/{:04}/{number:08}.png", number % GROUPS);
            put(&store, &bucket, &key, &body).await;
        }
        (store, bucket)
    });
    let query = ListQuery {
        prefix: "photos/".into(),
        delimiter: "/".into(),
        limit: 1000,
        ..ListQuery::default()
    };
    count(repetitions, || {
        let page = runtime.block_on(store.list_objects(&bucket, black_box(&query)));
        assert_eq!(page.unwrap().entries.len(), GROUPS);
    });
}

/// A small object under a new key: its digests, its mutation, the commit.
pub fn put_object_4_kib(repetitions: usize) {
    let runtime = runtime();
    let (store, bucket) = runtime.block_on(async {
        let (store, _engine) = open().await;
        let bucket = create_bucket(&store).await;
        (store, bucket)
    });
    let body = Bytes::from(vec![b'x'; BODY_BYTES]);
    let mut number = 0;
    count(repetitions, || {
        let key = format!("photos/{number:08}.png");
        number += 1;
        black_box(runtime.block_on(put(&store, &bucket, &key, &body)));
    });
}
