//! A store on disk, opened as the server opens it.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use oncilla_blob::fs::RealFileSystem;
use oncilla_blob::{VolumeOptions, Volumes};
use oncilla_hash::ChecksumAlgorithm;
use oncilla_meta::embedded::{EmbeddedEngine, EmbeddedOptions};
use oncilla_store::bucket::NewBucket;
use oncilla_store::object::NewObject;
use oncilla_store::{
    Bucket, Declared, ObjectRecord, Store, StoreOptions, SystemClock, WrittenContent,
};
use oncilla_wire::conditions::Conditions;

pub type Outcome<T> = Result<T, Box<dyn Error>>;

/// The account that owns everything.
const OWNER: &str = "b1946ac92492d2347c6235b4d2611184b1946ac92492d2347c6235b4d2611184";

/// A store with what it stands on.
pub struct Site {
    pub store: Store,
    pub engine: Arc<EmbeddedEngine>,
    /// How long opening took.
    pub open_time: Duration,
    pub directory: PathBuf,
}

impl Site {
    /// Opens or creates the store in `directory`, with the settings that a server has.
    pub async fn open(directory: &Path) -> Outcome<Self> {
        let began = Instant::now();
        let engine = EmbeddedEngine::open(&directory.join("meta"), EmbeddedOptions::default())?;
        let volumes = Volumes::open(
            Arc::new(RealFileSystem),
            directory.join("volumes"),
            VolumeOptions::default(),
        )?;
        let options = StoreOptions {
            // The collector is measured, not its patience.
            collect_grace: Duration::ZERO,
            ..StoreOptions::default()
        };
        let store = Store::open(engine.clone(), volumes, Arc::new(SystemClock), options).await?;
        Ok(Self {
            store,
            engine,
            open_time: began.elapsed(),
            directory: directory.to_owned(),
        })
    }

    /// Ends in good order.
    pub async fn close(self) {
        self.store.close().await;
        self.engine.shutdown();
    }

    pub async fn create_bucket(&self, name: &str) -> Outcome<Bucket> {
        let new = NewBucket {
            name: name.to_owned(),
            owner: OWNER.to_owned(),
            ..NewBucket::default()
        };
        Ok(self.store.create_bucket(new).await?)
    }

    pub async fn content(&self, body: &Bytes) -> Outcome<WrittenContent> {
        let algorithm = ChecksumAlgorithm::Crc64Nvme;
        let size = body.len() as u64;
        let mut writer = self.store.begin_content(size, algorithm, false).await?;
        writer.write(body.clone()).await?;
        Ok(writer.finish(&Declared::default()).await?)
    }

    /// Writes an object as a PUT does.
    pub async fn put(&self, bucket: &Bucket, key: &[u8], body: &Bytes) -> Outcome<ObjectRecord> {
        let content = self.content(body).await?;
        let conditions = Conditions::default();
        let put = self
            .store
            .put_object(bucket, key, new_object(), content, &conditions);
        Ok(put.await?)
    }

    /// Reads an object as a GET does; says how many bytes came.
    pub async fn get(&self, bucket: &Bucket, key: &[u8]) -> Outcome<u64> {
        let mut body = self.store.open_object(bucket, key).await?.read_all();
        let mut bytes = 0;
        while let Some(piece) = body.next().await? {
            bytes += piece.len() as u64;
        }
        Ok(bytes)
    }

    /// Deletes an object; an error if there was none.
    pub async fn delete(&self, bucket: &Bucket, key: &[u8]) -> Outcome<()> {
        let conditions = Conditions::default();
        let deleted = self.store.delete_object(bucket, key, &conditions).await?;
        deleted.record.ok_or("nothing was deleted")?;
        Ok(())
    }
}

pub fn new_object() -> NewObject {
    NewObject {
        owner: OWNER.to_owned(),
        headers: vec![(
            Bytes::from_static(b"content-type"),
            Bytes::from_static(b"image/jpeg"),
        )],
        ..NewObject::default()
    }
}

/// Pseudo-random numbers that are the same in every run (SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
