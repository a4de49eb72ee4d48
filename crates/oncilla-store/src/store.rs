//! The store itself: what it stands on, how it opens, and the steps its operations share.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use oncilla_blob::{GroupId, Volumes};
use oncilla_hash::ChecksumAlgorithm;
use oncilla_hash::md5_lanes::Md5Kernel;
use oncilla_keys::Keys;
use oncilla_meta::{
    CommitOutcome, Engine, LookupCache, Mutation, Precondition, Reader, Scan, Space,
};
use oncilla_wire::storage_class::StorageClass;

use crate::bucket::{BUCKET_CACHED_FOR, BUCKETS_CACHED_MAX, Bucket};
use crate::clock::{Clock, WallClock};
use crate::collector::CollectorState;
use crate::content::{
    BodySource, ContentLimits, ContentWriter, HashThreads, NewBody, hash_threads_default,
};
use crate::encryption::{EncryptionChoice, NewEncryption};
use crate::events::Origin;
use crate::fault::Fault;
use crate::lifecycle::worker::LifecycleState;
use crate::locks::KeyLocks;
use crate::pins::UploadPins;
use crate::rows::garbage::{Garbage, garbage_key};
use crate::rows::key::{UniqueId, join, prefix};
use crate::rows::object::storage_class_name;
use crate::rows::placement::Placement;
use crate::rows::{body, reference};

/// Settings of a store.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Bodies of up to this many bytes are kept in rows and committed with their record (one sync
    /// instead of two).
    pub inline_bytes_max: u64,
    /// Longest extent; must not exceed what the volumes allow.
    pub extent_bytes_max: u64,
    /// How long the collector leaves a note alone. Nothing depends on it but convenience: a reader
    /// that looked up a record and finds its bytes freed has to look again (`object/get.rs`), and
    /// what is looked up by a record that is held already (its layout, its parts) is still there.
    pub collect_grace: Duration,
    /// How long it takes to restore an archived object. It is no work: S3 takes minutes to hours, and
    /// clients that rely on being kept waiting can be.
    pub restore_time: Duration,
    /// Groups of volumes for objects of some classes, by the name of the group; those of other classes
    /// lie together. Small bodies are kept in rows whatever their class.
    pub class_groups: Vec<(StorageClass, String)>,
    /// Threads that compute the MD5 of uploads, several uploads at a time. With 0, each upload is
    /// hashed by the thread that receives it. The default is for this processor.
    pub hash_threads: usize,
    /// The key service. Without one, what is encrypted can be neither written nor read.
    pub keys: Option<Keys>,
    /// Encrypts every new object as SSE-S3 does, whatever was asked for.
    pub encrypt_at_rest: bool,
    /// Whether `aws:kms` without a key takes the key `alias/aws/s3`, which is made when it is first
    /// needed, as S3 does; otherwise a key has to be named.
    pub default_kms_key: bool,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            inline_bytes_max: 16 << 10,
            extent_bytes_max: 256 << 20,
            collect_grace: Duration::from_secs(5),
            restore_time: Duration::ZERO,
            class_groups: Vec::new(),
            hash_threads: hash_threads_default(
                Md5Kernel::detect(),
                std::thread::available_parallelism().map_or(1, usize::from),
            ),
            keys: None,
            encrypt_at_rest: false,
            default_kms_key: true,
        }
    }
}

/// How far above the highest committed time the clock starts: more than any commit can have been
/// under way when the process ended, so that no time is given twice even if the wall clock went
/// back meanwhile.
const CLOCK_SLACK: u64 = 10_000 << 16;

/// How often an operation starts over because another writer came first, before it gives up.
/// Writers in this process queue on the key's lock, so only other processes can cause this.
pub(crate) const CONFLICT_RETRIES_MAX: usize = 64;

/// The store. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
    /// Who causes the changes made through this handle; `None` if nobody asked.
    pub(crate) origin: Option<Arc<Origin>>,
}

pub(crate) struct Inner {
    pub engine: Arc<dyn Engine>,
    pub volumes: Volumes,
    pub clock: Clock,
    pub options: StoreOptions,
    pub locks: KeyLocks,
    pub buckets: LookupCache<Bucket>,
    pub upload_pins: UploadPins,
    pub collector: CollectorState,
    pub lifecycle: LifecycleState,
    pub class_groups: Vec<(&'static str, GroupId)>,
    pub hash_threads: Arc<HashThreads>,
}

impl Store {
    /// Opens a store on an engine and volumes.
    pub async fn open(
        engine: Arc<dyn Engine>,
        volumes: Volumes,
        wall: Arc<dyn WallClock>,
        options: StoreOptions,
    ) -> Result<Self, Fault> {
        let row = engine.get(Space::Records, &clock_key()).await?;
        let highest = row
            .and_then(|row| row[..].try_into().ok())
            .map_or(0, u64::from_be_bytes);
        let clock = Clock::new(wall, highest.saturating_add(CLOCK_SLACK));
        let hash_threads = HashThreads::start(options.hash_threads)?;
        let group_of = |(class, name): &(StorageClass, String)| match volumes.group(name) {
            Some(group) => Ok((class.as_str(), group)),
            None => Err(Fault::Failed(format!("there is no volume group {name}"))),
        };
        let class_groups: Result<Vec<_>, Fault> =
            options.class_groups.iter().map(group_of).collect();
        let inner = Inner {
            class_groups: class_groups?,
            engine,
            volumes,
            clock,
            options,
            locks: KeyLocks::new(),
            buckets: LookupCache::new(BUCKETS_CACHED_MAX, BUCKET_CACHED_FOR),
            upload_pins: UploadPins::default(),
            collector: CollectorState::default(),
            lifecycle: LifecycleState::default(),
            hash_threads,
        };
        Ok(Self {
            inner: Arc::new(inner),
            origin: None,
        })
    }

    /// Ends the store in good order: what is being written finishes.
    pub async fn close(&self) {
        self.inner.volumes.shutdown().await;
        self.inner.hash_threads.close().await;
    }

    /// The engine beneath.
    pub fn engine(&self) -> &Arc<dyn Engine> {
        &self.inner.engine
    }

    /// The volumes beneath.
    pub fn volumes(&self) -> &Volumes {
        &self.inner.volumes
    }

    /// The store's clock.
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// Takes the bytes of an object of exactly `size` bytes, summed by `algorithm`, and
    /// by SHA-256 if the client's signature covers that. They are encrypted only if everything is.
    pub async fn begin_content(
        &self,
        size: u64,
        algorithm: ChecksumAlgorithm,
        with_sha256: bool,
    ) -> Result<ContentWriter, Fault> {
        let encryption = match self.inner.options.encrypt_at_rest {
            true => Some(self.new_encryption(&EncryptionChoice::S3).await?),
            false => None,
        };
        self.begin_content_as("", size, algorithm, with_sha256, encryption.as_ref())
            .await
    }

    /// As [`Store::begin_content`], of an object or a part, where bytes of a storage class lie (empty
    /// for `STANDARD`), encrypted as said and not otherwise: what an object's bytes are to be is told
    /// by [`Store::new_encryption`], and a part's by [`Store::upload_encryption`].
    pub async fn begin_content_as(
        &self,
        class: &str,
        size: u64,
        algorithm: ChecksumAlgorithm,
        with_sha256: bool,
        encryption: Option<&NewEncryption>,
    ) -> Result<ContentWriter, Fault> {
        let limits = ContentLimits {
            group: self.group_of_class(class),
            inline_bytes_max: self.inner.options.inline_bytes_max,
            extent_bytes_max: self.inner.options.extent_bytes_max,
        };
        let body = NewBody {
            id: self.inner.clock.unique_id()?,
            announced: size,
            algorithm,
            with_sha256,
            encryption,
        };
        let (volumes, hash_threads) = (&self.inner.volumes, &self.inner.hash_threads);
        ContentWriter::begin(volumes, limits, hash_threads, body).await
    }

    /// Whether a body of this length is kept in a row.
    pub fn keeps_inline(&self, length: u64) -> bool {
        length <= self.inner.options.inline_bytes_max
    }

    /// Where bytes of a storage class lie.
    pub(crate) fn group_of_class(&self, class: &str) -> GroupId {
        let groups = &self.inner.class_groups;
        if groups.is_empty() {
            return GroupId::DEFAULT;
        }
        let class = storage_class_name(class);
        let found = groups.iter().find(|(name, _)| *name == class);
        found.map_or(GroupId::DEFAULT, |(_, group)| *group)
    }

    pub(crate) async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Fault> {
        Ok(self.inner.engine.get(Space::Records, key).await?)
    }

    /// Commits a mutation stamped with the clock's time.
    pub(crate) async fn commit(
        &self,
        mut mutation: Mutation,
        time: u64,
    ) -> Result<CommitOutcome, Fault> {
        mutation.put(
            Space::Records,
            clock_key(),
            Bytes::copy_from_slice(&time.to_be_bytes()),
        );
        Ok(self.inner.engine.commit(mutation).await?)
    }

    /// Adds to `mutation` that `referrer` no longer uses what is at `placement`.
    pub(crate) fn drop_placement(
        &self,
        mutation: &mut Mutation,
        placement: &Placement,
        referrer: UniqueId,
    ) -> Result<(), Fault> {
        match placement {
            Placement::Empty => {}
            Placement::Inline(id) => {
                mutation.delete(body::SPACE, body::body_key(*id));
            }
            Placement::Extents(extents) => {
                for extent in extents {
                    mutation.delete(
                        Space::Records,
                        reference::extent_reference_key(extent, referrer),
                    );
                    self.note_garbage(mutation, Garbage::Extent(*extent))?;
                }
            }
            Placement::Upload(upload) => {
                mutation.delete(
                    Space::Records,
                    reference::upload_reference_key(*upload, referrer),
                );
                self.note_garbage(mutation, Garbage::Upload(*upload))?;
            }
        }
        Ok(())
    }

    /// Adds a note for the collector to `mutation`.
    pub(crate) fn note_garbage(
        &self,
        mutation: &mut Mutation,
        garbage: Garbage,
    ) -> Result<(), Fault> {
        let key = garbage_key(self.inner.clock.unique_id()?);
        mutation.put(Space::Records, key, garbage.encode());
        Ok(())
    }

    pub(crate) fn body_reader(
        &self,
        source: BodySource,
        range: crate::ByteRange,
    ) -> crate::BodyReader {
        crate::BodyReader::new(self.inner.volumes.clone(), source, range)
    }
}

/// That the row under `key` still is what was read.
pub(crate) fn unchanged(key: &Bytes, row: Option<&Bytes>) -> Precondition {
    match row {
        Some(value) => Precondition::Equals(key.clone(), value.clone()),
        None => Precondition::Absent(key.clone()),
    }
}

/// A forward scan of records.
pub(crate) fn scan(start: Bytes, end: Bytes, limit_rows: usize) -> Scan {
    Scan {
        space: Space::Records,
        start,
        end,
        reverse: false,
        limit_rows,
    }
}

/// Whether a range of records holds no row.
pub(crate) async fn is_empty(reader: &dyn Reader, range: (Bytes, Bytes)) -> Result<bool, Fault> {
    Ok(reader
        .scan(scan(range.0, range.1, 1))
        .await?
        .rows
        .is_empty())
}

fn clock_key() -> Bytes {
    join(prefix::CLOCK, &[])
}
