//! The default engine: log-structured trees in a directory, inside this process.
//!
//! | Module | Subject |
//! |---|---|
//! | `database` | opening, keyspaces, the format row, what a damaged directory looks like |
//! | `committer` | the one thread that writes: queue, batches, durable write, recovery from a full disk |
//! | `overlay` | preconditions and writes of a batch, evaluated in order |
//! | `view` | consistent reads: point, scan, change log |
//! | `gaps` | ranges known to be empty, so that scans need not walk deleted rows |
//! | `journal` | reading the library's journal: a torn end is cut off, damage is refused |
//! | `retired` | freeing the blocks of deleted files in small steps, so that no sync waits for it |
//! | `stats` | counters and histograms |

mod committer;
mod database;
mod gaps;
mod journal;
mod overlay;
mod queue;
mod retired;
mod stats;
mod view;

#[cfg(test)]
mod tests;

use std::future::ready;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::check::{DEFAULT_LIMITS, check_mutation};
use crate::engine::{
    Change, Engine, EngineError, EngineFuture, EngineStats, Limits, Reader, Row, Scan, ScanPage,
    Space,
};
use crate::mutation::{CommitOutcome, Mutation};

use committer::Committer;
pub use database::OpenError;
use gaps::{GapIndex, GapLearner};
use queue::{Job, Queue};
use retired::{RetiredFiles, RetiredSignal};
use stats::StatsCollector;
use view::View;

/// When a commit is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// After the device has confirmed the write (`fdatasync`). Survives loss of power.
    #[default]
    Sync,
    /// After the operating system has taken the write. Survives the death of the process, but a
    /// crash of the machine may undo the newest commits, and readers may have seen them. It may
    /// also leave the journal in a state that cannot be told from damage and is refused.
    Os,
}

/// What [`EmbeddedOptions::reserve_bytes`] is unless told otherwise: two journals of 64 MiB or every
/// write buffer at once; nothing on today's devices.
pub const RESERVE_BYTES: u64 = 128 * 1024 * 1024;

/// How an [`EmbeddedEngine`] is opened.
#[derive(Clone, Copy, Debug)]
pub struct EmbeddedOptions {
    /// When a commit is acknowledged.
    pub durability: Durability,
    /// Bytes of the cache for blocks read from disk.
    pub cache_bytes: u64,
    /// Bytes that must be free on the device for a mutation to be accepted. The journal, the
    /// write buffers on their way to disk and compaction need room after the last commit.
    /// Mutations that remove rows are accepted down to a quarter of it, so that a full store
    /// can be emptied.
    pub reserve_bytes: u64,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        Self {
            durability: Durability::Sync,
            // Index and filter blocks of some 25 million records, or the hot part of more. Behind it
            // is the page cache.
            cache_bytes: 32 * 1024 * 1024,
            reserve_bytes: RESERVE_BYTES,
        }
    }
}

/// What the engine, its committer and its background thread share.
struct Shared {
    path: PathBuf,
    options: EmbeddedOptions,
    queue: Queue,
    /// The newest durable state; none while the database is closed.
    view: ArcSwapOption<View>,
    stats: StatsCollector,
    gaps: GapIndex,
    retired: RetiredSignal,
}

impl Shared {
    /// Reads from the newest view without taking a reference, which all cores would count.
    fn with_view<T>(
        &self,
        read: impl FnOnce(&View) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        match &*self.view.load() {
            Some(view) => read(view),
            None => Err(closed_or_reopening()),
        }
    }

    fn current_view(&self) -> Result<Arc<View>, EngineError> {
        self.view.load_full().ok_or_else(closed_or_reopening)
    }
}

fn closed_or_reopening() -> EngineError {
    EngineError::Unavailable {
        reason: "the metadata database is closed or being reopened".to_owned(),
    }
}

/// An ordered key-value engine in a directory of its own.
///
/// Reads are answered at once on the calling thread, from the newest durable state. Commits go to
/// one thread, which evaluates them in order and shares one sync among all that wait.
pub struct EmbeddedEngine {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl EmbeddedEngine {
    /// Opens the engine in directory `path`, creating it if the directory is missing or empty.
    ///
    /// # Errors
    ///
    /// - [`EngineError::Unavailable`] if another engine has the directory open.
    /// - [`EngineError::Damaged`] if the directory holds something else, or only a part of an
    ///   engine, or data that fails its checks. Nothing is created over it.
    /// - [`EngineError::NoSpace`] if the device is too full to open it.
    /// - [`EngineError::Failed`] with an [`OpenError`] for a newer format, or with the device's
    ///   error.
    pub fn open(path: &Path, options: EmbeddedOptions) -> Result<Arc<Self>, EngineError> {
        let (database, start) = database::Database::open(path, &options)?;
        let shared = Arc::new(Shared {
            path: path.to_owned(),
            options,
            queue: Queue::new(),
            view: ArcSwapOption::from(Some(Arc::new(database.view()))),
            stats: StatsCollector::default(),
            gaps: GapIndex::default(),
            retired: RetiredSignal::default(),
        });
        let committer = Committer::new(Arc::clone(&shared), database, start.next_sequence);
        let learner = GapLearner::new(Arc::clone(&shared));
        let engine = Arc::new(Self {
            shared,
            threads: Mutex::new(Vec::new()),
        });
        engine.spawn("meta-commit", move || committer.run())?;
        engine.spawn("meta-gaps", move || learner.run())?;
        match RetiredFiles::new(Arc::clone(&engine.shared)) {
            Ok(retired) => engine.spawn("meta-retired", move || retired.run())?,
            // The kernel allows a user only so many watches.
            Err(error) => tracing::warn!(
                %error,
                "deleted files are freed at once: commits may wait for it now and then"
            ),
        }
        Ok(engine)
    }

    fn spawn(&self, name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), EngineError> {
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(body);
        let thread = thread.map_err(|error| EngineError::Failed {
            source: Arc::new(error),
        })?;
        self.threads.lock().push(thread);
        Ok(())
    }

    /// Commits what is queued, syncs, stops the threads and closes the database. Later commits
    /// and reads answer [`EngineError::Unavailable`]. Snapshots that are still held can be read,
    /// and keep the directory locked until they are dropped. Blocks; calling it twice is harmless.
    pub fn shutdown(&self) {
        self.shared.queue.close();
        self.shared.gaps.stop_learning();
        self.shared.retired.stop();
        let threads = std::mem::take(&mut *self.threads.lock());
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the metadata engine panicked");
            }
        }
        self.shared.view.store(None);
    }
}

impl Drop for EmbeddedEngine {
    fn drop(&mut self) {
        self.shutdown();
    }
}

impl Reader for EmbeddedEngine {
    fn get<'a>(&'a self, space: Space, key: &'a [u8]) -> EngineFuture<'a, Option<Bytes>> {
        let found = self.shared.with_view(|view| view.get(space, key));
        Box::pin(ready(found))
    }

    fn scan(&self, scan: Scan) -> EngineFuture<'_, ScanPage> {
        let page = self.shared.current_view();
        let page = page.and_then(|view| view.scan(&scan, Some(&self.shared.gaps)));
        Box::pin(ready(page))
    }

    fn visit<'a>(
        &'a self,
        scan: Scan,
        visitor: &'a mut (dyn FnMut(Row) -> bool + Send),
    ) -> EngineFuture<'a, ()> {
        let view = self.shared.current_view();
        let visited = view.and_then(|view| view.visit(&scan, Some(&self.shared.gaps), visitor));
        Box::pin(ready(visited))
    }
}

impl Engine for EmbeddedEngine {
    fn commit(&self, mutation: Mutation) -> EngineFuture<'_, CommitOutcome> {
        Box::pin(async move {
            check_mutation(&mutation, &DEFAULT_LIMITS)?;
            let (acknowledge, outcome) = oneshot::channel();
            let weight = mutation.byte_len();
            self.shared
                .queue
                .push(
                    Job::Commit {
                        mutation,
                        acknowledge,
                    },
                    weight,
                )
                .await?;
            outcome.await.unwrap_or_else(|_| Err(queue::stopped()))
        })
    }

    fn snapshot(&self) -> Arc<dyn Reader> {
        match self.shared.current_view() {
            Ok(view) => Arc::new(EmbeddedSnapshot {
                view,
                shared: Arc::clone(&self.shared),
            }),
            Err(error) => Arc::new(ClosedSnapshot(error)),
        }
    }

    fn changes_since(&self, sequence: u64, limit: usize) -> EngineFuture<'_, Vec<Change>> {
        let forgotten = self.shared.stats.changes_forgotten_up_to();
        let view = self.shared.current_view();
        // Forgotten entries are stepped over at once instead of walking where they lay.
        let changes = view.and_then(|view| view.changes_since(sequence.max(forgotten), limit));
        Box::pin(ready(changes))
    }

    fn forget_changes(&self, up_to: u64) -> EngineFuture<'_, ()> {
        Box::pin(async move {
            loop {
                let (acknowledge, outcome) = oneshot::channel();
                self.shared
                    .queue
                    .push(Job::ForgetChanges { up_to, acknowledge }, 0)
                    .await?;
                let finished = outcome.await.unwrap_or_else(|_| Err(queue::stopped()))?;
                if finished {
                    return Ok(());
                }
            }
        })
    }

    fn limits(&self) -> Limits {
        DEFAULT_LIMITS
    }

    fn stats(&self) -> EngineStats {
        let trees = self
            .shared
            .view
            .load_full()
            .map_or(0, |view| view.disk_bytes());
        let disk_bytes = trees + journal::disk_bytes(&self.shared.path);
        self.shared.stats.figures(disk_bytes)
    }
}

/// One moment of the engine.
struct EmbeddedSnapshot {
    view: Arc<View>,
    shared: Arc<Shared>,
}

impl Reader for EmbeddedSnapshot {
    fn get<'a>(&'a self, space: Space, key: &'a [u8]) -> EngineFuture<'a, Option<Bytes>> {
        Box::pin(ready(self.view.get(space, key)))
    }

    fn scan(&self, scan: Scan) -> EngineFuture<'_, ScanPage> {
        Box::pin(ready(self.view.scan(&scan, Some(&self.shared.gaps))))
    }

    fn visit<'a>(
        &'a self,
        scan: Scan,
        visitor: &'a mut (dyn FnMut(Row) -> bool + Send),
    ) -> EngineFuture<'a, ()> {
        let visited = self.view.visit(&scan, Some(&self.shared.gaps), visitor);
        Box::pin(ready(visited))
    }
}

/// A snapshot taken while the database was closed: it knows why.
struct ClosedSnapshot(EngineError);

impl Reader for ClosedSnapshot {
    fn get<'a>(&'a self, _: Space, _: &'a [u8]) -> EngineFuture<'a, Option<Bytes>> {
        Box::pin(ready(Err(self.0.clone())))
    }

    fn scan(&self, _: Scan) -> EngineFuture<'_, ScanPage> {
        Box::pin(ready(Err(self.0.clone())))
    }
}
