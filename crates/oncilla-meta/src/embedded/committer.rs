//! The one thread that writes.
//!
//! It takes what has queued up while the last batch was written, evaluates the mutations in order,
//! writes their merged effect as one batch with one sync, publishes a new view, and only then
//! answers. So a reader never sees what is not durable, and whoever was answered sees his write.
//!
//! # When a write fails
//!
//! fjall 3.1.13 marks itself poisoned when a journal write or sync fails (`batch/mod.rs`), or when
//! one of its workers does (`worker_pool.rs`), and refuses every write from then on; reads go on.
//! The batch is not applied to its memory, but part of it, or after the buffer is written out on
//! closing all of it, can be in the journal.
//!
//! - A full device is the expected case. It is kept away by refusing mutations while less than
//!   the reserve is free. If the device fills up all the same, commits are refused until there is
//!   space, then the database is closed, the journal cut before the failed batch, and reopened.
//! - After any other failure nobody knows what a repetition would do to data that was written
//!   before (a device that fails a sync may have dropped the pages). Commits are refused until
//!   the engine is opened anew; reads continue.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::Shared;
use super::database::{Database, DirectoryLock, io_error, library_error};
use super::journal;
use super::overlay::Overlay;
use super::queue::{Job, Taken};
use crate::engine::EngineError;
use crate::mutation::{CommitOutcome, Mutation};

/// How long the committer sleeps when nothing comes. Then it renews the view, so that an idle
/// engine does not hold on to files and buffers that flushes and compaction have replaced.
const IDLE_TICK: Duration = Duration::from_secs(1);

/// Time between two attempts to reopen the database after the device was full.
const REOPEN_EVERY: Duration = Duration::from_secs(1);

/// How long a batch waits for flushes and compaction before it is refused. They stop writers for
/// a second or two at most, unless they have failed.
const CONGESTION_PATIENCE: Duration = Duration::from_secs(20);

/// Sequences are reserved in blocks, with one row per block instead of one per batch. What is
/// left of a block when the engine closes is skipped.
const SEQUENCE_BLOCK: u64 = 1 << 20;

/// Change-log entries removed per batch, so that commits never wait long behind it.
const FORGET_ROWS_MAX: usize = 4096;

/// Free bytes without which a worker's failure is put down to the full device.
const WORKER_SPACE_BYTES: u64 = 64 * 1024 * 1024;

type Acknowledge = oneshot::Sender<Result<CommitOutcome, EngineError>>;

enum State {
    Serving(Database),
    /// Writes failed for want of space. The database stays open for reads until there is some.
    /// Batches from `failed_batch` on were never acknowledged.
    Full {
        database: Database,
        failed_batch: u64,
        last_attempt: Instant,
    },
    /// Closed for reopening, which has not succeeded yet.
    Closed {
        last_attempt: Instant,
        error: EngineError,
    },
    /// Writes failed for good. The database, if it is still open, serves reads.
    Failed {
        _database: Option<Database>,
        error: EngineError,
    },
}

pub(super) struct Committer {
    shared: Arc<Shared>,
    state: State,
    next_sequence: u64,
    /// Sequences below this are reserved on disk.
    sequence_bound: u64,
}

/// Closes the queue however the thread ends, so that nobody waits for an answer in vain.
struct AbandonOnExit(Arc<Shared>);

impl Drop for AbandonOnExit {
    fn drop(&mut self) {
        self.0.queue.abandon();
    }
}

impl Committer {
    pub(super) fn new(shared: Arc<Shared>, database: Database, next_sequence: u64) -> Self {
        let state = State::Serving(database);
        Self {
            shared,
            state,
            next_sequence,
            sequence_bound: next_sequence,
        }
    }

    pub(super) fn run(mut self) {
        let _abandon = AbandonOnExit(Arc::clone(&self.shared));
        loop {
            match self.shared.queue.take(IDLE_TICK) {
                Taken::Batch(jobs) => self.serve(jobs),
                Taken::Idle => self.renew_view(),
                Taken::Closed => break,
            }
            self.try_to_resume();
        }
        if let State::Serving(database) = &self.state
            && let Err(error) = database.sync()
        {
            tracing::error!(%error, "the metadata journal could not be synced on closing");
        }
        self.shared.view.store(None);
    }

    fn renew_view(&self) {
        if let State::Serving(database) = &self.state {
            self.shared.view.store(Some(Arc::new(database.view())));
        }
    }

    /// Does the jobs in order; neighbouring commits share a batch.
    fn serve(&mut self, jobs: Vec<Job>) {
        let mut commits = Vec::with_capacity(jobs.len());
        for job in jobs {
            match job {
                Job::Commit {
                    mutation,
                    acknowledge,
                } => commits.push((mutation, acknowledge)),
                Job::ForgetChanges { up_to, acknowledge } => {
                    self.commit_batch(std::mem::take(&mut commits));
                    // Nobody may be waiting any more: that is no failure.
                    let _ = acknowledge.send(self.forget_changes(up_to));
                }
            }
        }
        self.commit_batch(commits);
    }

    fn commit_batch(&mut self, commits: Vec<(Mutation, Acknowledge)>) {
        if commits.is_empty() {
            return;
        }
        let free_bytes = match self.wait_until_writable() {
            Ok(free_bytes) => free_bytes,
            Err(error) => return refuse_all(commits, &error),
        };
        let Some(base) = self.shared.view.load_full() else {
            return refuse_all(commits, &super::queue::stopped());
        };

        let shared = Arc::clone(&self.shared);
        let reserve_bytes = shared.options.reserve_bytes;
        let mut overlay = Overlay::new(base, &shared.gaps, self.next_sequence);
        let mut answers = Vec::with_capacity(commits.len());
        for (mutation, acknowledge) in commits {
            let needed = needed_free_bytes(&mutation, reserve_bytes);
            let outcome = if free_bytes < needed {
                Err(EngineError::NoSpace)
            } else {
                overlay.apply(mutation)
            };
            answers.push((acknowledge, outcome));
        }

        if overlay.applied > 0
            && let Err(error) = self.write(&overlay)
        {
            // A conflict may have been with a mutation that is not applied either.
            for (acknowledge, _) in answers {
                let _ = acknowledge.send(Err(error.clone()));
            }
            return;
        }
        self.next_sequence = overlay.next_sequence;
        shared.stats.record_conflicts(overlay.conflicts);
        for (acknowledge, outcome) in answers {
            let _ = acknowledge.send(outcome);
        }
    }

    /// Writes the overlay durably and publishes the view that shows it.
    fn write(&mut self, overlay: &Overlay<'_>) -> Result<(), EngineError> {
        let State::Serving(database) = &self.state else {
            return Err(super::queue::stopped());
        };
        let mut batch = database.batch(self.shared.options.durability);
        for (keyspace, writes) in [
            (&database.records, &overlay.records),
            (&database.bodies, &overlay.bodies),
        ] {
            for (key, value) in writes {
                // Copied: a slice of a request's buffer would keep all of that in memory for as
                // long as the row waits for its flush.
                match value {
                    Some(value) => batch.insert(keyspace, key.as_ref(), value.as_ref()),
                    None => batch.remove(keyspace, key.as_ref()),
                }
            }
        }
        for (sequence, entry) in &overlay.changes {
            batch.insert(
                &database.changes,
                &sequence.to_be_bytes()[..],
                entry.as_ref(),
            );
        }
        let mut bound = self.sequence_bound;
        if overlay.next_sequence > bound {
            bound = overlay.next_sequence.saturating_add(SEQUENCE_BLOCK);
            database.write_sequence_bound(&mut batch, bound);
        }

        let puts = overlay.records.iter().filter(|(_, value)| value.is_some());
        self.shared
            .gaps
            .before_puts(overlay.base_moment(), puts.map(|(key, _)| key));
        self.write_batch(batch, overlay.applied)?;
        self.sequence_bound = bound;
        self.shared.retired.note_committed(overlay.applied_bytes);

        if let Some(view) = self.shared.view.load_full() {
            let deletes = overlay.records.iter().filter(|(_, value)| value.is_none());
            self.shared
                .gaps
                .after_deletes(view.moment(), deletes.map(|(key, _)| key));
        }
        Ok(())
    }

    /// The durable write itself. When it fails, the state says what happens next.
    fn write_batch(
        &mut self,
        batch: fjall::OwnedWriteBatch,
        mutations: u64,
    ) -> Result<(), EngineError> {
        let State::Serving(database) = &self.state else {
            return Err(super::queue::stopped());
        };
        let batch_number = database.next_batch_number();
        let began = Instant::now();
        // The library writes the journal, syncs it, and only then changes its memory
        // (`batch/mod.rs`, `commit`): after an error, no later view shows the batch.
        match batch.commit() {
            Ok(()) => {
                self.shared.view.store(Some(Arc::new(database.view())));
                self.shared.stats.record_batch(mutations, began.elapsed());
                Ok(())
            }
            Err(error) => Err(self.refuse_writes(error, batch_number)),
        }
    }

    fn refuse_writes(&mut self, error: fjall::Error, failed_batch: u64) -> EngineError {
        let by_worker = matches!(error, fjall::Error::Poisoned);
        let mut error = library_error(error);
        if by_worker
            && self
                .free_bytes()
                .is_ok_and(|free| free < WORKER_SPACE_BYTES)
        {
            error = EngineError::NoSpace;
        }
        tracing::error!(%error, "the metadata journal could not be written: commits are refused");
        let placeholder = State::Closed {
            last_attempt: Instant::now(),
            error: super::queue::stopped(),
        };
        self.state = match (std::mem::replace(&mut self.state, placeholder), &error) {
            (State::Serving(database), EngineError::NoSpace) => State::Full {
                database,
                failed_batch,
                last_attempt: Instant::now(),
            },
            (State::Serving(database), _) => State::Failed {
                _database: Some(database),
                error: error.clone(),
            },
            (other, _) => other,
        };
        error
    }

    /// Waits for flushes and compaction, and returns the bytes free on the device.
    fn wait_until_writable(&mut self) -> Result<u64, EngineError> {
        self.try_to_resume();
        let began = Instant::now();
        loop {
            let database = match &self.state {
                State::Serving(database) => database,
                State::Full { .. } => return Err(EngineError::NoSpace),
                State::Closed { error, .. } | State::Failed { error, .. } => {
                    return Err(error.clone());
                }
            };
            if !database.is_congested() {
                return self.free_bytes();
            }
            if let Err(error) = database.check_writable() {
                let batch_number = database.next_batch_number();
                return Err(self.refuse_writes(error, batch_number));
            }
            if began.elapsed() > CONGESTION_PATIENCE {
                let reason = "flushes or compaction do not keep up".to_owned();
                return Err(EngineError::Unavailable { reason });
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn free_bytes(&self) -> Result<u64, EngineError> {
        let device = rustix::fs::statvfs(&self.shared.path).map_err(|no| io_error(no.into()))?;
        Ok(device.f_bavail.saturating_mul(device.f_frsize))
    }

    /// After the device was full: reopens the database when there is space again.
    fn try_to_resume(&mut self) {
        let last_attempt = match &self.state {
            State::Serving(_) | State::Failed { .. } => return,
            State::Full { last_attempt, .. } | State::Closed { last_attempt, .. } => *last_attempt,
        };
        if last_attempt.elapsed() < REOPEN_EVERY {
            return;
        }
        let placeholder = State::Closed {
            last_attempt: Instant::now(),
            error: super::queue::stopped(),
        };
        self.state = match std::mem::replace(&mut self.state, placeholder) {
            State::Full {
                database,
                failed_batch,
                ..
            } => self.close_full(database, failed_batch),
            other => other,
        };
        if matches!(self.state, State::Closed { .. }) {
            self.reopen();
        }
    }

    /// Closes the database, if there is space to open it again and nobody reads from it.
    fn close_full(&mut self, database: Database, failed_batch: u64) -> State {
        let last_attempt = Instant::now();
        // The journal is rewritten, and at least what it holds wants to be flushed.
        let needed = self.shared.options.reserve_bytes / 2 + journal::disk_bytes(&self.shared.path);
        if !self.free_bytes().is_ok_and(|free| free >= needed) {
            return State::Full {
                database,
                failed_batch,
                last_attempt,
            };
        }
        // Whoever reads keeps the files open. Reads are short, but snapshots may be held.
        self.shared.view.store(None);
        let began = Instant::now();
        while database.has_views() {
            if began.elapsed() > REOPEN_EVERY {
                self.shared.view.store(Some(Arc::new(database.view())));
                return State::Full {
                    database,
                    failed_batch,
                    last_attempt,
                };
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(database);
        self.shared.gaps.clear();
        let cut_off = DirectoryLock::take(&self.shared.path)
            .and_then(|_lock| journal::cut_off(&self.shared.path, failed_batch).map_err(io_error));
        if let Err(error) = cut_off {
            tracing::error!(%error, "the metadata journal could not be rewritten");
            // Not opened again: the failed batch might come to life.
            return State::Failed {
                _database: None,
                error,
            };
        }
        State::Closed {
            last_attempt,
            error: EngineError::NoSpace,
        }
    }

    fn reopen(&mut self) {
        match Database::open(&self.shared.path, &self.shared.options) {
            Ok((database, start)) => {
                tracing::info!("there is space again: metadata commits are accepted");
                self.next_sequence = self.next_sequence.max(start.next_sequence);
                self.sequence_bound = start.next_sequence;
                self.state = State::Serving(database);
                self.renew_view();
            }
            Err(error) => {
                tracing::error!(%error, "the metadata database could not be reopened");
                self.state = State::Closed {
                    last_attempt: Instant::now(),
                    error,
                };
            }
        }
    }

    /// Removes the oldest change-log entries; true if none is left up to `up_to`.
    fn forget_changes(&mut self, up_to: u64) -> Result<bool, EngineError> {
        let free_bytes = self.wait_until_writable()?;
        if free_bytes < self.shared.options.reserve_bytes / SHRINKING_SHARE {
            return Err(EngineError::NoSpace);
        }
        let view = self.shared.current_view()?;
        let State::Serving(database) = &self.state else {
            return Err(super::queue::stopped());
        };
        let from = self
            .shared
            .stats
            .changes_forgotten_up_to()
            .saturating_add(1);
        let sequences = view.oldest_changes(from, up_to, FORGET_ROWS_MAX)?;
        let finished = sequences.len() < FORGET_ROWS_MAX;
        let mut batch = database.batch(self.shared.options.durability);
        for sequence in &sequences {
            batch.remove(&database.changes, &sequence.to_be_bytes()[..]);
        }
        if !batch.is_empty() {
            self.write_batch(batch, 0)?;
        }
        let newest_written = self.next_sequence.saturating_sub(1);
        let forgotten = if finished {
            Some(up_to.min(newest_written))
        } else {
            sequences.last().copied()
        };
        self.shared.stats.record_forgotten(forgotten.unwrap_or(0));
        Ok(finished)
    }
}

/// Mutations that remove rows are accepted until only this part of the reserve is left.
const SHRINKING_SHARE: u64 = 4;

/// Bytes that must be free for the mutation to be tried.
fn needed_free_bytes(mutation: &Mutation, reserve_bytes: u64) -> u64 {
    if mutation.deletes.is_empty() {
        reserve_bytes
    } else {
        reserve_bytes / SHRINKING_SHARE
    }
}

fn refuse_all(commits: Vec<(Mutation, Acknowledge)>, error: &EngineError) {
    for (_, acknowledge) in commits {
        let _ = acknowledge.send(Err(error.clone()));
    }
}
