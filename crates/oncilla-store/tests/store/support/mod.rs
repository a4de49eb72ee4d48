//! What the tests of the store share: worlds to run in, and the few steps that all of them take.

pub mod hooked;

use std::collections::BTreeSet;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use oncilla_blob::fs::{FileSystem, RealFileSystem};
use oncilla_blob::testing::FaultyFileSystem;
use oncilla_blob::{Extent, VolumeGroup, VolumeOptions, Volumes};
use oncilla_hash::{Checksum, ChecksumAlgorithm, Md5};
use oncilla_keys::{Keys, MasterKey, MasterKeySource};
use oncilla_meta::embedded::{EmbeddedEngine, EmbeddedOptions};
use oncilla_meta::memory::MemoryEngine;
use oncilla_meta::{Engine, Scan, Space};
use oncilla_store::bucket::NewBucket;
use oncilla_store::check::Finding;
use oncilla_store::multipart::{CompleteError, CompleteUpload, CompletedPart, Upload};
use oncilla_store::multipart::{UploadChecksum, UploadError};
use oncilla_store::object::{CopyObject, Directive, GetObjectError, NewObject, PutObjectError};
use oncilla_store::rows::garbage::all_garbage;
use oncilla_store::rows::part::PartRecord;
use oncilla_store::rows::reference::{all_extent_references, decode_extent_reference};
use oncilla_store::{
    BodyReader, Bucket, ByteRange, ContentWriter, Declared, ETag, Fault, NewEncryption,
    ObjectRecord, Store, StoreOptions, UniqueId, VersionId, WallClock, WrittenContent,
};
use oncilla_wire::conditions::{Conditions, EtagCondition, EtagPattern};
use oncilla_wire::object_lock::NewLock;
use oncilla_wire::storage_class::StorageClass;
use oncilla_wire::xml::acl::Acl;
use tempfile::TempDir;

/// The owner of everything, unless a test says otherwise.
pub const OWNER: &str = "aa11";

/// How long a test waits for what happens in the background.
const BACKGROUND_WAIT: Duration = Duration::from_secs(30);

/// How long the collector runs at most before a test looks whether it is done.
const COLLECTOR_ROUND_MAX: Duration = Duration::from_secs(5);

/// Where the in-memory file system keeps the volumes.
pub const VOLUMES_DIR: &str = "/volumes";

/// Where the volumes of class GLACIER are, if they are apart.
pub const COLD_DIR: &str = "/cold";
const COLD_GROUP: &str = "cold";

/// A wall clock that only moves when a test moves it.
pub struct SteppedClock {
    now_ms: AtomicU64,
    certain_ms: AtomicU64,
}

impl SteppedClock {
    fn at(ms: u64) -> Self {
        Self {
            now_ms: AtomicU64::new(ms),
            certain_ms: AtomicU64::new(ms),
        }
    }

    /// Time passes.
    pub fn advance(&self, ms: u64) {
        self.now_ms.fetch_add(ms, Ordering::Relaxed);
        self.certain_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// Somebody sets the clock forward.
    pub fn set_forward(&self, ms: u64) {
        self.now_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// Somebody sets the clock back.
    pub fn set_back(&self, ms: u64) {
        self.now_ms.fetch_sub(ms, Ordering::Relaxed);
    }
}

impl WallClock for SteppedClock {
    fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::Relaxed)
    }

    fn certain_ms(&self) -> u64 {
        self.certain_ms.load(Ordering::Relaxed).min(self.now_ms())
    }
}

/// Sizes so small that every path is taken with little data.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub inline_bytes_max: u64,
    pub extent_bytes_max: u64,
    pub volume_bytes: u64,
    pub frame_bytes: u32,
    pub collect_grace: Duration,
    /// Whether objects of class GLACIER lie in a directory of their own.
    pub has_cold_group: bool,
    pub encrypt_at_rest: bool,
}

impl Setup {
    /// For objects of some kilobytes.
    pub const SMALL: Setup = Setup {
        inline_bytes_max: 1 << 10,
        extent_bytes_max: 64 << 10,
        volume_bytes: 1 << 20,
        frame_bytes: 4 << 10,
        collect_grace: Duration::ZERO,
        has_cold_group: false,
        encrypt_at_rest: false,
    };
    /// The same, with everything encrypted.
    pub const ENCRYPTED: Setup = Setup {
        encrypt_at_rest: true,
        ..Setup::SMALL
    };
    /// For parts of at least 5 MiB, each in three extents.
    pub const PARTS: Setup = Setup {
        extent_bytes_max: 2 << 20,
        volume_bytes: 16 << 20,
        frame_bytes: 64 << 10,
        ..Setup::SMALL
    };
}

/// A store and what it stands on.
pub struct World {
    pub store: Store,
    pub engine: Arc<dyn Engine>,
    /// The file system in memory, if the volumes are on it.
    pub fs: Option<FaultyFileSystem>,
    pub wall: Arc<SteppedClock>,
    pub setup: Setup,
    volumes_dir: PathBuf,
    _dir: Option<TempDir>,
}

impl World {
    /// All in memory.
    pub async fn memory() -> World {
        World::memory_with(Setup::SMALL).await
    }

    pub async fn memory_with(setup: Setup) -> World {
        World::on_engine(Arc::new(MemoryEngine::new()), setup).await
    }

    /// Volumes in memory, on an engine of the caller's choice.
    pub async fn on_engine(engine: Arc<dyn Engine>, setup: Setup) -> World {
        let fs = FaultyFileSystem::new();
        let dir = PathBuf::from(VOLUMES_DIR);
        World::assemble(engine, Some(fs), dir, None, setup).await
    }

    /// The real engine and the real file system, in a directory that goes with the world.
    pub async fn embedded() -> World {
        let dir = tempfile::tempdir().unwrap();
        let options = EmbeddedOptions {
            reserve_bytes: 0,
            ..EmbeddedOptions::default()
        };
        let engine = EmbeddedEngine::open(&dir.path().join("meta"), options).unwrap();
        let volumes_dir = dir.path().join("volumes");
        World::assemble(engine, None, volumes_dir, Some(dir), Setup::SMALL).await
    }

    /// Each kind of world, for tests that run in all of them.
    pub async fn every_kind() -> Vec<World> {
        vec![
            World::memory().await,
            World::memory_with(Setup::ENCRYPTED).await,
            World::embedded().await,
        ]
    }

    async fn assemble(
        engine: Arc<dyn Engine>,
        fs: Option<FaultyFileSystem>,
        volumes_dir: PathBuf,
        dir: Option<TempDir>,
        setup: Setup,
    ) -> World {
        let wall = Arc::new(SteppedClock::at(1_700_000_000_000));
        let store = open(&engine, fs.as_ref(), &volumes_dir, &wall, setup).await;
        World {
            store,
            engine,
            fs,
            wall,
            setup,
            volumes_dir,
            _dir: dir,
        }
    }

    /// Opens a new store on what is there; the old one is let go without closing it.
    pub async fn reopen(&mut self) {
        let fs = self.fs.as_ref();
        self.store = open(&self.engine, fs, &self.volumes_dir, &self.wall, self.setup).await;
    }

    /// The same engine and volumes with another key service.
    pub async fn with_keys(&self, keys: Option<Keys>) -> World {
        let (engine, fs) = (Arc::clone(&self.engine), self.fs.clone());
        let (wall, dir) = (Arc::clone(&self.wall), &self.volumes_dir);
        World {
            store: open_with(&engine, fs.as_ref(), dir, &wall, self.setup, keys).await,
            engine,
            fs,
            wall,
            setup: self.setup,
            volumes_dir: dir.clone(),
            _dir: None,
        }
    }

    pub fn memory_fs(&self) -> &FaultyFileSystem {
        self.fs.as_ref().unwrap()
    }

    pub async fn bucket(&self, name: &str) -> Bucket {
        let new = NewBucket {
            name: name.to_owned(),
            owner: OWNER.to_owned(),
            ..NewBucket::default()
        };
        self.store.create_bucket(new).await.unwrap()
    }

    /// Content ready to be named by a record.
    pub async fn content(&self, body: &[u8]) -> WrittenContent {
        try_content(&self.store, body).await.unwrap()
    }

    pub async fn put(&self, bucket: &Bucket, key: &str, body: &[u8]) -> ObjectRecord {
        put(&self.store, bucket, key, body, &Conditions::default())
            .await
            .unwrap()
    }

    /// The bytes under a key; `None` if there is no object.
    pub async fn get(&self, bucket: &Bucket, key: &str) -> Option<Vec<u8>> {
        get(&self.store, bucket, key).await.unwrap()
    }

    pub async fn delete(&self, bucket: &Bucket, key: &str) -> bool {
        let none = Conditions::default();
        let deleted = self.store.delete_object(bucket, key.as_bytes(), &none);
        deleted.await.unwrap().record.is_some()
    }

    /// Runs the collector until it has nothing left to do.
    pub async fn collect(&self) {
        collect(&self.store).await;
    }

    /// Neither fsck nor scrub finds anything, and the volumes hold exactly what is referred to.
    pub async fn assert_sound(&self) {
        assert_eq!(self.findings().await, [], "nothing may be wrong");
        if self.fs.is_some() {
            self.assert_nothing_more_is_kept().await;
        }
    }

    /// What fsck and scrub find.
    pub async fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut report = |finding| findings.push(finding);
        self.store.fsck(&mut report).await.unwrap();
        self.store.scrub(&mut report, &mut |_| ()).await.unwrap();
        findings
    }

    /// Waits until the volumes occupy no more than what extents that are referred to need.
    pub async fn assert_nothing_more_is_kept(&self) {
        let needed = self.referred_bytes().await;
        eventually(
            "the volumes give back what nothing refers to",
            async || self.occupied_bytes().await == needed,
            async || {
                format!(
                    "{} bytes occupied, {needed} needed",
                    self.occupied_bytes().await
                )
            },
        )
        .await;
    }

    /// Bytes that extents occupy in the volumes. Exact on the file system in memory only.
    pub async fn occupied_bytes(&self) -> u64 {
        let volumes = self.store.volumes().clone();
        let infos = tokio::task::spawn_blocking(move || volumes.volumes()).await;
        let infos = infos.unwrap().unwrap();
        let header = oncilla_blob::BLOCK_BYTES;
        let occupied = infos
            .iter()
            .map(|info| info.allocated_bytes.saturating_sub(header));
        occupied.sum()
    }

    /// Bytes that the extents which anything refers to occupy.
    async fn referred_bytes(&self) -> u64 {
        let frame_bytes = u64::from(self.setup.frame_bytes);
        let extents = self.referred_extents().await;
        let regions = extents.iter().map(|extent| {
            // The layout of an extent as the documentation of the volumes gives it.
            let head = 64 + 4 * extent.length.div_ceil(frame_bytes);
            (head + extent.length).next_multiple_of(oncilla_blob::BLOCK_BYTES)
        });
        regions.sum()
    }

    pub async fn referred_extents(&self) -> BTreeSet<Extent> {
        let rows = rows(&self.engine, all_extent_references()).await;
        let extents = rows
            .iter()
            .map(|(key, value)| decode_extent_reference(key, value).unwrap().0);
        extents.collect()
    }

    /// Starts an upload, with the checksum that S3 has by default.
    pub async fn create_upload(&self, bucket: &Bucket, key: &str) -> Upload {
        let checksum = UploadChecksum {
            algorithm: ChecksumAlgorithm::Crc64Nvme,
            composite: false,
            declared: false,
        };
        self.create_upload_summed(bucket, key, checksum).await
    }

    pub async fn create_upload_summed(
        &self,
        bucket: &Bucket,
        key: &str,
        checksum: UploadChecksum,
    ) -> Upload {
        let created = self
            .store
            .create_upload(bucket, key.as_bytes(), new_object(), checksum);
        let id = created.await.unwrap();
        self.store.upload(bucket, key.as_bytes(), id).await.unwrap()
    }

    pub async fn put_part(
        &self,
        upload: &Upload,
        number: u16,
        body: &[u8],
    ) -> Result<PartRecord, UploadError> {
        let algorithm = upload.record.algorithm;
        let encryption = self.store.upload_encryption(upload, None).unwrap();
        let length = body.len() as u64;
        let begun = self
            .store
            .begin_content_as("", length, algorithm, false, encryption.as_ref());
        let content = write_content(begun.await.unwrap(), body, algorithm).await;
        self.store.put_part(upload, number, content.unwrap()).await
    }

    /// Completes an upload with parts as they were answered.
    pub async fn complete(
        &self,
        bucket: &Bucket,
        key: &str,
        upload: &Upload,
        parts: &[(u16, &PartRecord)],
    ) -> Result<ObjectRecord, CompleteError> {
        let parts: Vec<CompletedPart> = parts
            .iter()
            .map(|(number, part)| named_part(*number, part))
            .collect();
        let complete = CompleteUpload {
            bucket,
            key: key.as_bytes(),
            upload: upload.id,
            parts: &parts,
            checksum: None,
            size: None,
            conditions: &Conditions::default(),
        };
        self.store.complete_upload(complete).await
    }
}

async fn open(
    engine: &Arc<dyn Engine>,
    fs: Option<&FaultyFileSystem>,
    dir: &Path,
    wall: &Arc<SteppedClock>,
    setup: Setup,
) -> Store {
    let keys = keys(engine, MASTER_KEY).await;
    open_with(engine, fs, dir, wall, setup, Some(keys)).await
}

async fn open_with(
    engine: &Arc<dyn Engine>,
    fs: Option<&FaultyFileSystem>,
    dir: &Path,
    wall: &Arc<SteppedClock>,
    setup: Setup,
    keys: Option<Keys>,
) -> Store {
    let options = VolumeOptions {
        volume_bytes: setup.volume_bytes,
        extent_bytes_max: setup.extent_bytes_max,
        frame_bytes: setup.frame_bytes,
        ..VolumeOptions::default()
    };
    let fs: Arc<dyn FileSystem> = match fs {
        Some(fs) => Arc::new(fs.clone()),
        None => Arc::new(RealFileSystem),
    };
    let cold = setup.has_cold_group.then(|| VolumeGroup {
        name: COLD_GROUP.to_owned(),
        dir: PathBuf::from(COLD_DIR),
    });
    let groups = cold.iter().cloned().collect();
    let volumes = Volumes::open_with_groups(fs, dir.to_owned(), options, groups).unwrap();
    let options = StoreOptions {
        class_groups: cold
            .map(|group| (StorageClass::Glacier, group.name))
            .into_iter()
            .collect(),
        inline_bytes_max: setup.inline_bytes_max,
        extent_bytes_max: setup.extent_bytes_max,
        collect_grace: setup.collect_grace,
        keys,
        encrypt_at_rest: setup.encrypt_at_rest,
        ..StoreOptions::default()
    };
    Store::open(engine.clone(), volumes, wall.clone(), options)
        .await
        .unwrap()
}

/// The master key of every world.
pub const MASTER_KEY: &str = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";

/// The key service of an engine.
pub async fn keys(engine: &Arc<dyn Engine>, master: &str) -> Keys {
    let source = MasterKeySource::Given(MasterKey::parse(master).unwrap());
    let opened = Keys::open(Arc::clone(engine), source, Arc::new(|| 7));
    opened.await.unwrap()
}

/// How a client names a part when it completes the upload.
pub fn named_part(number: u16, part: &PartRecord) -> CompletedPart {
    CompletedPart {
        number,
        etag: Some(ETag::of_md5(part.md5)),
        checksum: None,
    }
}

/// What is kept of an object beside its bytes.
pub fn new_object() -> NewObject {
    NewObject {
        owner: OWNER.to_owned(),
        ..NewObject::default()
    }
}

pub async fn try_content(store: &Store, body: &[u8]) -> Result<WrittenContent, Fault> {
    content_summed(store, body, ChecksumAlgorithm::Crc64Nvme).await
}

/// Writes content in pieces that do not fit any boundary.
pub async fn content_summed(
    store: &Store,
    body: &[u8],
    algorithm: ChecksumAlgorithm,
) -> Result<WrittenContent, Fault> {
    let begun = store.begin_content(body.len() as u64, algorithm, false);
    write_content(begun.await?, body, algorithm).await
}

/// The same, encrypted as said.
pub async fn content_as(
    store: &Store,
    body: &[u8],
    encryption: Option<&NewEncryption>,
) -> Result<WrittenContent, Fault> {
    let algorithm = ChecksumAlgorithm::Crc64Nvme;
    let begun = store.begin_content_as("", body.len() as u64, algorithm, false, encryption);
    write_content(begun.await?, body, algorithm).await
}

async fn write_content(
    mut writer: ContentWriter,
    body: &[u8],
    algorithm: ChecksumAlgorithm,
) -> Result<WrittenContent, Fault> {
    use oncilla_store::WriteContentError;
    let only_fault = |error| match error {
        WriteContentError::Fault(fault) => fault,
        other => panic!("{other}"),
    };
    let mut rest = Bytes::copy_from_slice(body);
    let mut piece = 777;
    while !rest.is_empty() {
        let next = rest.split_to(piece.min(rest.len()));
        writer.write(next).await.map_err(only_fault)?;
        piece = piece * 3 / 2;
    }
    let declared = Declared {
        checksum: Some(Checksum::of(algorithm, body)),
        ..Declared::default()
    };
    writer.finish(&declared).await.map_err(only_fault)
}

pub async fn put(
    store: &Store,
    bucket: &Bucket,
    key: &str,
    body: &[u8],
    conditions: &Conditions,
) -> Result<ObjectRecord, PutObjectError> {
    let content = try_content(store, body).await?;
    store
        .put_object(bucket, key.as_bytes(), new_object(), content, conditions)
        .await
}

pub async fn get(store: &Store, bucket: &Bucket, key: &str) -> Result<Option<Vec<u8>>, Fault> {
    let body = match store.open_object(bucket, key.as_bytes()).await {
        Ok(body) => body,
        Err(GetObjectError::NoSuchKey | GetObjectError::Deleted(_)) => return Ok(None),
        Err(GetObjectError::Fault(fault)) => return Err(fault),
        Err(error) => panic!("{error}"),
    };
    read_to_end(body.read_all()).await.map(Some)
}

/// Some bytes of an object.
pub async fn get_range(store: &Store, bucket: &Bucket, key: &str, start: u64, end: u64) -> Vec<u8> {
    let body = store.open_object(bucket, key.as_bytes()).await.unwrap();
    let reader = body.read(ByteRange { start, end });
    assert_eq!(reader.remaining(), end - start);
    read_to_end(reader).await.unwrap()
}

pub async fn read_to_end(mut reader: BodyReader) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    while let Some(piece) = reader.next().await? {
        assert!(!piece.is_empty(), "a reader gives bytes or its end");
        bytes.extend_from_slice(&piece);
    }
    assert_eq!(reader.remaining(), 0, "a reader ends at its end");
    Ok(bytes)
}

/// Runs the collector until no note is left.
pub async fn collect(store: &Store) {
    let collecting = async {
        let mut patience = Duration::from_millis(20);
        loop {
            // Started anew each time, as it would otherwise pause between two looks.
            let round = store.run_collector();
            let _ = tokio::time::timeout(patience, round).await;
            if rows(store.engine(), all_garbage()).await.is_empty() {
                return;
            }
            // A note takes several commits, and what is cut short begins anew: with a slow disk no
            // short round would ever forget one.
            patience = (patience * 2).min(COLLECTOR_ROUND_MAX);
        }
    };
    tokio::time::timeout(BACKGROUND_WAIT, collecting)
        .await
        .expect("the collector comes to an end");
}

/// All rows of a range of records.
pub async fn rows(engine: &Arc<dyn Engine>, (start, end): (Bytes, Bytes)) -> Vec<(Bytes, Bytes)> {
    let scan = Scan {
        space: Space::Records,
        start,
        end,
        reverse: false,
        limit_rows: usize::MAX,
    };
    let page = engine.scan(scan).await.unwrap();
    page.rows
        .into_iter()
        .map(|row| (row.key, row.value))
        .collect()
}

/// Waits until `holds`; fails with what `describe` says.
pub async fn eventually<H, D>(what: &str, holds: impl Fn() -> H, describe: impl Fn() -> D)
where
    H: Future<Output = bool>,
    D: Future<Output = String>,
{
    let start = Instant::now();
    while !holds().await {
        assert!(
            start.elapsed() < BACKGROUND_WAIT,
            "{what}: {}",
            describe().await
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub fn md5(bytes: &[u8]) -> [u8; 16] {
    let mut md5 = Md5::new();
    md5.update(bytes);
    md5.finish()
}

/// `If-None-Match: *`.
pub fn if_absent() -> Conditions {
    Conditions {
        if_none_match: Some(EtagCondition::Any),
        ..Conditions::default()
    }
}

/// `If-Match` with one tag.
pub fn if_match(etag: ETag) -> Conditions {
    let pattern = EtagPattern {
        value: etag.to_string(),
        weak: false,
    };
    Conditions {
        if_match: Some(EtagCondition::OneOf(vec![pattern])),
        ..Conditions::default()
    }
}

/// Bytes that look random and differ with `seed`.
pub fn bytes_of(seed: u64, length: usize) -> Vec<u8> {
    oncilla_blob::testing::SeededRandom::new(seed).bytes(length)
}

/// An identifier that was never given.
pub fn unknown_id() -> UniqueId {
    UniqueId([0x77; 16])
}

/// A copy onto `destination` with new metadata and the tags of the source.
pub fn copy_request<'a>(
    source: (&'a Bucket, &'a [u8]),
    source_version: Option<VersionId>,
    destination: (&'a Bucket, &'a [u8]),
    conditions: &'a Conditions,
) -> CopyObject<'a> {
    CopyObject {
        source,
        source_version,
        source_id: None,
        source_conditions: conditions,
        destination,
        conditions,
        owner: OWNER.to_owned(),
        acl: Acl::default(),
        storage_class: None,
        metadata: Directive::Replace(new_object()),
        website_redirect: None,
        tags: Directive::Copy,
        algorithm: None,
        lock: NewLock::default(),
    }
}
