//! The bounded queue before the committer.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::engine::EngineError;
use crate::mutation::{CommitOutcome, Mutation};

/// Bytes of mutations that may wait; whoever comes later waits outside. As large as the largest
/// mutation, so that one of those can always enter an empty queue.
const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Every job counts for at least so many bytes, which bounds their number to 65,536: more than
/// any server has requests in flight, and about as much memory again for their own structures.
const JOB_BYTES_MIN: usize = 1024;

/// Mutations in one batch. At 1,024 the sync's share of each is a microsecond or two; more would
/// only lengthen the wait of the first.
const BATCH_JOBS_MAX: usize = 1024;

/// Bytes in one batch (a single larger mutation is a batch of its own): some milliseconds of
/// writing, as long as the sync that follows.
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What the committer can be asked to do.
pub(super) enum Job {
    Commit {
        mutation: Mutation,
        acknowledge: oneshot::Sender<Result<CommitOutcome, EngineError>>,
    },
    /// Removes a bounded number of change-log entries; true when none is left to remove.
    ForgetChanges {
        up_to: u64,
        acknowledge: oneshot::Sender<Result<bool, EngineError>>,
    },
}

/// The answer to whoever asks after the committer has stopped.
pub(super) fn stopped() -> EngineError {
    EngineError::Unavailable {
        reason: "the metadata engine is shut down".to_owned(),
    }
}

struct Waiting {
    job: Job,
    weight_bytes: usize,
    /// Gives the bytes back to the queue when the job leaves it.
    _permit: OwnedSemaphorePermit,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    closed: bool,
}

pub(super) struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
    free: std::sync::Arc<Semaphore>,
}

/// What [`Queue::take`] found.
pub(super) enum Taken {
    /// Jobs in the order they arrived, never empty.
    Batch(Vec<Job>),
    /// Nothing came within the time given.
    Idle,
    /// The queue is closed and empty.
    Closed,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            arrived: Condvar::new(),
            free: std::sync::Arc::new(Semaphore::new(QUEUE_BYTES_MAX / JOB_BYTES_MIN)),
        }
    }

    /// Waits for room, then queues the job.
    pub(super) async fn push(&self, job: Job, weight_bytes: usize) -> Result<(), EngineError> {
        let units = weight_bytes
            .div_ceil(JOB_BYTES_MIN)
            .clamp(1, QUEUE_BYTES_MAX / JOB_BYTES_MIN);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        let free = std::sync::Arc::clone(&self.free);
        let permit = free
            .acquire_many_owned(units)
            .await
            .map_err(|_| stopped())?;

        let mut state = self.state.lock();
        if state.closed {
            return Err(stopped());
        }
        state.waiting.push_back(Waiting {
            job,
            weight_bytes,
            _permit: permit,
        });
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    /// Takes what is queued, at most one batch of it.
    pub(super) fn take(&self, patience: Duration) -> Taken {
        let mut state = self.state.lock();
        if state.waiting.is_empty() && !state.closed {
            self.arrived.wait_for(&mut state, patience);
        }
        if state.waiting.is_empty() {
            return if state.closed {
                Taken::Closed
            } else {
                Taken::Idle
            };
        }
        let mut jobs = Vec::new();
        let mut bytes = 0;
        while let Some(next) = state.waiting.front() {
            let full = jobs.len() >= BATCH_JOBS_MAX || bytes + next.weight_bytes > BATCH_BYTES_MAX;
            if full && !jobs.is_empty() {
                break;
            }
            if let Some(next) = state.waiting.pop_front() {
                bytes += next.weight_bytes;
                jobs.push(next.job);
            }
        }
        Taken::Batch(jobs)
    }

    /// Lets nothing more in. What is queued already can still be taken.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.free.close();
        self.arrived.notify_all();
    }

    /// Closes the queue and drops what waits in it: their senders learn that nobody answers.
    pub(super) fn abandon(&self) {
        self.close();
        self.state.lock().waiting.clear();
    }
}
