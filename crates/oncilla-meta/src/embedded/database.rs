//! Opening the library's database, and telling apart what can be wrong with it.

use std::ffi::OsStr;
use std::fs::{OpenOptions, TryLockError};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fjall::compaction::Leveled;
use fjall::config::{
    BloomConstructionPolicy, CompressionPolicy, FilterPolicy, FilterPolicyEntry,
    PartitioningPolicy, PinningPolicy,
};
use fjall::{AbstractTree, CompressionType, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::view::View;
use super::{Durability, EmbeddedOptions, journal};
use crate::engine::EngineError;

/// The format of the rows in this module's keyspaces. A larger number is a newer format.
const FORMAT_VERSION: u64 = 1;

/// Major version of the library's files, the byte after the magic of its marker.
const LIBRARY_FORMAT_VERSION: u8 = 3;

const RECORDS: &str = "records";
const BODIES: &str = "bodies";
const CHANGES: &str = "changes";

/// The library's marker file: it is written last when a database is created.
const LIBRARY_MARKER: &str = "version";
const LIBRARY_MARKER_MAGIC: &[u8] = b"FJL";
const LIBRARY_LOCK: &str = "lock";
const LIBRARY_KEYSPACES: &str = "keyspaces";
const LIBRARY_TABLES: &str = "tables";

/// Reserved rows of the changes keyspace. Change-log keys are 8 bytes long, so these lie behind
/// all of them.
const FORMAT_KEY: &[u8] = b"\xff\xff\xff\xff\xff\xff\xff\xff/format";
const SEQUENCE_BOUND_KEY: &[u8] = b"\xff\xff\xff\xff\xff\xff\xff\xff/sequence-bound";

/// Bytes of rows in memory per keyspace before they are flushed. Every flush holds writers up for
/// some milliseconds of syncs, so bodies, which come fastest, are flushed in larger pieces.
const RECORDS_MEMTABLE_BYTES: u64 = 12 * 1024 * 1024;
const BODIES_MEMTABLE_BYTES: u64 = 24 * 1024 * 1024;
const CHANGES_MEMTABLE_BYTES: u64 = 4 * 1024 * 1024;

/// Bytes of a table file. The library (lsm-tree 3.1.10, `compaction/worker.rs`) writes and syncs
/// the last table of a compaction while it holds the lock that every read takes: 50 to 60 ms for
/// its default of 64 MiB. Smaller tables would make the list of them, which is written anew with
/// every flush, long in large stores.
const TABLE_BYTES: u64 = 16 * 1024 * 1024;

/// Bytes of rows that all write buffers hold together, before writers wait for their flush: a full
/// one of each keyspace beside one on its way to disk. Bounded by bytes, since one that is full
/// goes on being filled until one of the library's workers has time to put it aside.
const UNFLUSHED_BYTES_MAX: u64 =
    2 * (RECORDS_MEMTABLE_BYTES + BODIES_MEMTABLE_BYTES + CHANGES_MEMTABLE_BYTES);

/// Tables in the first level before writers wait for compaction. The library itself stops the
/// writing thread at 30, without an end if its workers have died.
const LEVEL_0_TABLES_MAX: usize = 24;

/// Journals on disk: the smallest number of 64 MiB files that leaves one to write while the
/// other is being emptied.
const JOURNAL_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// One thread flushes while the other compacts; request handlers need the cores.
const WORKER_THREADS: usize = 2;

/// How often the lock on the directory is tried for, and the time between: a process that was
/// killed may need a moment to be gone. The library has the same patience.
const LOCK_ATTEMPTS: usize = 3;
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// Why a directory was not opened, where [`EngineError`] has no variant of its own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The directory was written by a newer version of this program.
    #[error("metadata format {found} is newer than {supported}, the newest that is understood")]
    NewerFormat {
        /// The format found.
        found: u64,
        /// The newest format that can be read.
        supported: u64,
    },
}

/// The library's own lock on the directory, for the time that it is not held by the library.
pub(super) struct DirectoryLock(std::fs::File);

impl DirectoryLock {
    /// Fails with [`EngineError::Unavailable`] if somebody has the directory open.
    pub(super) fn take(path: &Path) -> Result<Self, EngineError> {
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        let file = options.open(path.join(LIBRARY_LOCK)).map_err(io_error)?;
        for attempt in 1..=LOCK_ATTEMPTS {
            match file.try_lock() {
                Ok(()) => return Ok(Self(file)),
                Err(TryLockError::Error(error)) => return Err(io_error(error)),
                Err(TryLockError::WouldBlock) if attempt < LOCK_ATTEMPTS => {
                    std::thread::sleep(LOCK_PAUSE);
                }
                Err(TryLockError::WouldBlock) => break,
            }
        }
        Err(in_use(path))
    }
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        // Closing the file would do as well, unless a child process has inherited it.
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "the metadata directory could not be unlocked");
        }
    }
}

/// Where an engine goes on after it was opened.
pub(super) struct Start {
    pub(super) next_sequence: u64,
}

/// The open database with its keyspaces. Owned by the committer.
pub(super) struct Database {
    library: fjall::Database,
    pub(super) records: Keyspace,
    pub(super) bodies: Keyspace,
    pub(super) changes: Keyspace,
    /// Every view holds a clone.
    views: Arc<()>,
}

impl Database {
    /// Opens or creates the database in `path`.
    pub(super) fn open(
        path: &Path,
        options: &EmbeddedOptions,
    ) -> Result<(Self, Start), EngineError> {
        let is_new = prepare_directory(path)?;
        if !is_new {
            let _lock = DirectoryLock::take(path)?;
            journal::prepare(path)?;
        }
        // The library asserts some things about its files instead of returning an error.
        let opened = catch_unwind(AssertUnwindSafe(|| open_library(path, options)));
        let library = opened.map_err(|_| damaged("the library gave up reading its files"))??;

        let known = library.keyspace_exists(CHANGES) && {
            let changes = keyspace(&library, CHANGES, changes_options)?;
            check_format(&changes)?
        };
        if known && !(library.keyspace_exists(RECORDS) && library.keyspace_exists(BODIES)) {
            return Err(damaged("a keyspace is missing"));
        }
        let records = keyspace(&library, RECORDS, records_options)?;
        let bodies = keyspace(&library, BODIES, bodies_options)?;
        let changes = keyspace(&library, CHANGES, changes_options)?;
        if !known {
            // The creation did not come to its end; nothing can have been written.
            for rows in [&records, &bodies, &changes] {
                if !rows.is_empty().map_err(library_error)? {
                    return Err(damaged("the format row is missing"));
                }
            }
            sync_new_directories(path)?;
            let mut batch = library.batch().durability(Some(PersistMode::SyncAll));
            batch.insert(&changes, FORMAT_KEY, &FORMAT_VERSION.to_be_bytes()[..]);
            batch.commit().map_err(library_error)?;
        }
        let database = Self {
            library,
            records,
            bodies,
            changes,
            views: Arc::new(()),
        };
        let next_sequence = database.first_unused_sequence()?;
        Ok((database, Start { next_sequence }))
    }

    /// A view of this moment. Only to be taken between batches, see [`View`].
    pub(super) fn view(&self) -> View {
        let keyspaces = [
            self.records.clone(),
            self.bodies.clone(),
            self.changes.clone(),
        ];
        View::new(self.library.snapshot(), keyspaces, Arc::clone(&self.views))
    }

    /// Whether anybody still holds a view.
    pub(super) fn has_views(&self) -> bool {
        Arc::strong_count(&self.views) > 1
    }

    /// A batch that is durable, as the options define it, when its commit returns.
    pub(super) fn batch(&self, durability: Durability) -> fjall::OwnedWriteBatch {
        let mode = match durability {
            Durability::Sync => PersistMode::SyncData,
            Durability::Os => PersistMode::Buffer,
        };
        self.library.batch().durability(Some(mode))
    }

    /// The library's number for the next batch: what was acknowledged has a smaller one.
    pub(super) fn next_batch_number(&self) -> u64 {
        self.library.seqno()
    }

    /// Whether writes should wait for flushes and compaction. The library waits as well, but at
    /// higher marks and without an end, even if the thread that it waits for has died.
    pub(super) fn is_congested(&self) -> bool {
        let keyspaces = [
            (&self.records, RECORDS_MEMTABLE_BYTES),
            (&self.bodies, BODIES_MEMTABLE_BYTES),
            (&self.changes, CHANGES_MEMTABLE_BYTES),
        ];
        let (mut unflushed_bytes, mut is_flushing) = (0, false);
        for (keyspace, memtable_bytes) in keyspaces {
            if keyspace.l0_table_count() > LEVEL_0_TABLES_MAX {
                return true;
            }
            // Those that wait for their flush are taken for full.
            let sealed = keyspace.sealed_memtable_count() as u64;
            unflushed_bytes += keyspace.tree.active_memtable().size() + sealed * memtable_bytes;
            is_flushing |= sealed > 0;
        }
        // Only a flush makes room: without one under way, a write has to ask for it.
        is_flushing && unflushed_bytes > UNFLUSHED_BYTES_MAX
    }

    /// Fails if the library refuses writes.
    pub(super) fn check_writable(&self) -> fjall::Result<()> {
        self.library.persist(PersistMode::Buffer)
    }

    /// Syncs the journal with everything in it.
    pub(super) fn sync(&self) -> Result<(), EngineError> {
        self.library
            .persist(PersistMode::SyncAll)
            .map_err(library_error)
    }

    /// Notes in `batch` that sequences below `bound` may be in use.
    pub(super) fn write_sequence_bound(&self, batch: &mut fjall::OwnedWriteBatch, bound: u64) {
        batch.insert(&self.changes, SEQUENCE_BOUND_KEY, &bound.to_be_bytes()[..]);
    }

    fn first_unused_sequence(&self) -> Result<u64, EngineError> {
        let bound = read_number(&self.changes, SEQUENCE_BOUND_KEY)?.unwrap_or(1);
        let newest = self.view().newest_change()?;
        Ok(newest.map_or(bound, |newest| bound.max(newest.saturating_add(1))))
    }
}

/// The directories that the library keeps the tables of its keyspaces in.
pub(super) fn tables_directories(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut directories = Vec::new();
    for keyspace in std::fs::read_dir(path.join(LIBRARY_KEYSPACES))? {
        let tables = keyspace?.path().join(LIBRARY_TABLES);
        if tables.is_dir() {
            directories.push(tables);
        }
    }
    Ok(directories)
}

/// Returns whether there is no database yet. Never removes anything but the traces of a creation
/// that was interrupted before anything could be written.
fn prepare_directory(path: &Path) -> Result<bool, EngineError> {
    std::fs::create_dir_all(path).map_err(io_error)?;
    if path.join(LIBRARY_MARKER).try_exists().map_err(io_error)? {
        check_library_format(path)?;
        if journal::files(path).map_err(io_error)?.is_empty() {
            return Err(damaged("the journal is missing"));
        }
        return Ok(false);
    }

    for entry in std::fs::read_dir(path).map_err(io_error)? {
        let entry = entry.map_err(io_error)?;
        let name = entry.file_name();
        let is_trace = if name == LIBRARY_LOCK {
            true
        } else if name == LIBRARY_KEYSPACES {
            std::fs::read_dir(entry.path())
                .map_err(io_error)?
                .next()
                .is_none()
        } else {
            is_unwritten_first_journal(&entry.path(), &name)?
        };
        if !is_trace {
            let name = name.to_string_lossy();
            return Err(damaged(&format!(
                "no database, but {name} in its directory"
            )));
        }
    }
    let first_journal = path.join(journal::FIRST_FILE);
    match std::fs::remove_file(first_journal) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error(error)),
        _ => Ok(true),
    }
}

/// Makes the names of a new database durable before its first row is.
///
/// fjall 3.1.13 syncs what is in a keyspace's directory but not the directory that names it
/// (`keyspace/mod.rs`, `create_new`). Where a power cut takes that name back, the library forgets
/// the keyspace and skips its rows in the journal.
fn sync_new_directories(path: &Path) -> Result<(), EngineError> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    for directory in [&path.join(LIBRARY_KEYSPACES), path, parent] {
        let opened = std::fs::File::open(directory);
        opened
            .and_then(|directory| directory.sync_all())
            .map_err(io_error)?;
    }
    Ok(())
}

fn is_unwritten_first_journal(path: &Path, name: &OsStr) -> Result<bool, EngineError> {
    Ok(name == journal::FIRST_FILE && journal::is_unwritten(path).map_err(io_error)?)
}

fn check_library_format(path: &Path) -> Result<(), EngineError> {
    let marker = std::fs::read(path.join(LIBRARY_MARKER)).map_err(io_error)?;
    let version = marker
        .strip_prefix(LIBRARY_MARKER_MAGIC)
        .and_then(|rest| rest.first());
    match version {
        Some(&LIBRARY_FORMAT_VERSION) => Ok(()),
        Some(&found) if found > LIBRARY_FORMAT_VERSION => Err(newer_format(
            u64::from(found),
            u64::from(LIBRARY_FORMAT_VERSION),
        )),
        _ => Err(damaged("the version marker is not readable")),
    }
}

/// Whether the format row is there. An error if it is of a newer format.
fn check_format(changes: &Keyspace) -> Result<bool, EngineError> {
    match read_number(changes, FORMAT_KEY)? {
        None => Ok(false),
        Some(FORMAT_VERSION) => Ok(true),
        Some(found) if found > FORMAT_VERSION => Err(newer_format(found, FORMAT_VERSION)),
        Some(found) => Err(damaged(&format!("format {found} never existed"))),
    }
}

fn read_number(keyspace: &Keyspace, key: &[u8]) -> Result<Option<u64>, EngineError> {
    let Some(value) = keyspace.get(key).map_err(library_error)? else {
        return Ok(None);
    };
    let digits: [u8; 8] = value
        .as_ref()
        .try_into()
        .map_err(|_| damaged("a reserved row is not a number"))?;
    Ok(Some(u64::from_be_bytes(digits)))
}

fn open_library(path: &Path, options: &EmbeddedOptions) -> Result<fjall::Database, EngineError> {
    let builder = fjall::Database::builder(path)
        .cache_size(options.cache_bytes)
        .worker_threads(WORKER_THREADS)
        .max_journaling_size(JOURNAL_BYTES_MAX)
        // A checksum covers the batch only once it is unpacked, and the library takes what it
        // cannot unpack for the torn end of the journal.
        .journal_compression(CompressionType::None);
    builder.open().map_err(|error| match error {
        fjall::Error::Locked => in_use(path),
        other => library_error(other),
    })
}

fn keyspace(
    library: &fjall::Database,
    name: &str,
    options: fn() -> KeyspaceCreateOptions,
) -> Result<Keyspace, EngineError> {
    library.keyspace(name, options).map_err(library_error)
}

/// Most keys that are asked for are either there or not (conditional writes, new objects), so
/// every level keeps its filters: ten bits per key, 1 % in vain.
///
/// Indexes and filters stay in memory on the upper levels, as is the library's default; what does
/// not is cut into blocks. Its default leaves the filters of level 1 and both of level 2 whole: in
/// a bucket of ten million objects every third HEAD then read 330 KB for one of them. The library
/// keeps these options with a keyspace, so one that was made with others keeps them.
fn base_options() -> KeyspaceCreateOptions {
    let bits = BloomConstructionPolicy::BitsPerKey(10.0);
    let levels = Leveled::default().with_table_target_size(TABLE_BYTES);
    KeyspaceCreateOptions::default()
        .compaction_strategy(Arc::new(levels))
        .filter_policy(FilterPolicy::all(FilterPolicyEntry::Bloom(bits)))
        .index_block_pinning_policy(PinningPolicy::new([true, true, false]))
        .index_block_partitioning_policy(PartitioningPolicy::new([false, false, true]))
        .filter_block_pinning_policy(PinningPolicy::new([true, false]))
        .filter_block_partitioning_policy(PartitioningPolicy::new([false, true]))
        .expect_point_read_hits(false)
}

fn records_options() -> KeyspaceCreateOptions {
    base_options()
        .max_memtable_size(RECORDS_MEMTABLE_BYTES)
        .data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4))
}

/// Bodies are the users' bytes: compressed already, as a rule.
fn bodies_options() -> KeyspaceCreateOptions {
    base_options()
        .max_memtable_size(BODIES_MEMTABLE_BYTES)
        .data_block_compression_policy(CompressionPolicy::all(CompressionType::None))
}

fn changes_options() -> KeyspaceCreateOptions {
    base_options()
        .max_memtable_size(CHANGES_MEMTABLE_BYTES)
        .data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4))
}

/// What a failure of the library means for the engine's caller.
pub(super) fn library_error(error: fjall::Error) -> EngineError {
    use fjall::{Error, LsmError};
    let detail = error.to_string();
    match error {
        Error::Io(error) | Error::Storage(LsmError::Io(error)) => io_error(error),
        Error::Storage(_)
        | Error::JournalRecovery(_)
        | Error::InvalidVersion(_)
        | Error::Decompress(_)
        | Error::InvalidTrailer
        | Error::InvalidTag(_)
        | Error::Unrecoverable => EngineError::Damaged { detail },
        other => EngineError::Failed {
            source: Arc::new(other),
        },
    }
}

pub(super) fn io_error(error: io::Error) -> EngineError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => EngineError::NoSpace,
        _ => EngineError::Failed {
            source: Arc::new(error),
        },
    }
}

fn in_use(path: &Path) -> EngineError {
    EngineError::Unavailable {
        reason: format!("{} is in use by another process", path.display()),
    }
}

fn damaged(detail: &str) -> EngineError {
    EngineError::Damaged {
        detail: detail.to_owned(),
    }
}

fn newer_format(found: u64, supported: u64) -> EngineError {
    EngineError::Failed {
        source: Arc::new(OpenError::NewerFormat { found, supported }),
    }
}
