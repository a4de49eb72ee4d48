//! A worker: one operation after the other, as a user of the store would do them.

use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use tokio::time::Sleep;

use crate::http::Activity;
use crate::keys::{KeyPattern, ObjectName};
use crate::lane::{Lane, ThreadMeter};
use crate::operations::{Buffers, Job, OpenUpload, Operator};
use crate::phase::Phase;
use crate::random::Random;
use crate::stats::{OperationError, Record};
use crate::workload::{Kind, Objects, Operation, PREPARE_WHOLE_BYTES_MAX, Workload};

/// How often a worker looks whether its operation is stuck or to be broken off.
const TICK: Duration = Duration::from_millis(100);

/// Waiting after a lost connection: at first, and at most. A server that restarts is back within
/// seconds, and one that is gone should not be stormed.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// Attempts for each object while preparing; with the waiting between them about 15 s.
const BATCH_ATTEMPTS_MAX: u32 = 20;

/// What workers are to do.
#[derive(Clone, Debug)]
pub enum Task {
    /// The measured load.
    Measure,
    /// Write prepared objects 0 to `count - 1`.
    Prepare {
        /// How many.
        count: u64,
    },
    /// Read objects and compare them.
    ReadBack(Arc<Vec<ObjectName>>),
}

/// What all workers of a round share.
pub struct Round {
    /// What the run does.
    pub workload: Arc<Workload>,
    /// Which objects the target has.
    pub objects: Objects,
    /// The same keys, encoded for paths.
    pub encoded_keys: KeyPattern,
    /// What this round is for.
    pub task: Task,
    /// Its number.
    pub number: u32,
    /// Operations, or items of a batch, that workers have taken.
    pub claimed: AtomicU64,
    /// When the load began, for `--rate`.
    pub begun_at: std::sync::OnceLock<Instant>,
    /// The error that ended a batch.
    pub batch_error: Mutex<Option<OperationError>>,
}

/// What a worker leaves behind in the bucket.
#[derive(Debug, Default)]
pub struct WorkerOutcome {
    /// Objects that it wrote and did not delete.
    pub written: Vec<ObjectName>,
    /// Objects of which nobody knows whether they exist: the request failed or was broken off.
    pub uncertain: Vec<ObjectName>,
    /// Uploads that could not be aborted.
    pub open_uploads: Vec<OpenUpload>,
}

/// One worker.
pub struct Worker {
    /// Its number.
    pub number: u32,
    /// What it shares with the others.
    pub round: Arc<Round>,
    /// Its connections.
    pub lanes: Vec<Lane>,
    /// Told of every byte that its connections move.
    pub activity: Arc<Activity>,
    /// Counts of its thread.
    pub meter: Arc<ThreadMeter>,
    /// Results of its thread.
    pub record: Arc<Mutex<Record>>,
    /// Its own numbers.
    pub random: Random,
    /// Buffers that are used again.
    pub buffers: Buffers,
    /// Objects that it has put and not deleted, oldest first.
    pub own: VecDeque<ObjectName>,
    /// Objects it has put so far.
    pub sequence: u64,
}

struct Next {
    job: Job,
    /// When it should have begun, if there is a rate.
    intended_at: Option<Instant>,
    /// Whether it is counted if it ends while measuring. A number of operations is exact: what
    /// began while warming up is none of them. A time is not: what its two ends cut through is
    /// right on average.
    counts: bool,
}

impl Worker {
    /// Works until the round is over.
    pub async fn run(mut self, connected: impl FnOnce()) -> WorkerOutcome {
        // An endpoint that is down is reported by the operations that fail.
        for lane in &mut self.lanes {
            if lane.connect().await.is_err() {
                break;
            }
        }
        connected();
        while self.meter.phase() == Phase::Connecting {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let mut ticker = Box::pin(tokio::time::sleep(TICK));
        let mut outcome = WorkerOutcome::default();
        let mut turn = 0;
        while let Some(next) = self.next(turn).await {
            turn += 1;
            match self.round.task {
                Task::Measure => self.measured(next, ticker.as_mut(), &mut outcome).await,
                _ => self.repeated(next.job, ticker.as_mut(), &mut outcome).await,
            }
        }
        outcome.written.extend(self.own);
        outcome
    }

    /// Does an operation and counts it.
    async fn measured(&mut self, next: Next, ticker: Pin<&mut Sleep>, outcome: &mut WorkerOutcome) {
        let started_at = next.intended_at.unwrap_or_else(Instant::now);
        self.activity.set_counted(next.counts);
        let Some(result) = self.guarded(next.job, ticker, outcome).await else {
            return;
        };
        let ended_at = Instant::now();
        let is_measured = next.counts && self.meter.phase() == Phase::Measuring;
        let kind = next.job.kind();
        if is_measured {
            self.meter.operations.fetch_add(1, Ordering::Relaxed);
        }
        match result {
            Ok(first_byte_at) => {
                if is_measured {
                    let latency = ended_at.saturating_duration_since(started_at);
                    let first_byte =
                        first_byte_at.map(|at| at.saturating_duration_since(started_at));
                    self.record().success(kind, latency, first_byte);
                }
            }
            Err(error) => {
                let lost_connection = error.is_connection;
                // What is wrong with data counts whenever it is seen.
                if is_measured || error.code == crate::stats::BODY_MISMATCH {
                    self.record().failure(kind, error);
                }
                if lost_connection {
                    self.back_off().await;
                }
            }
        }
    }

    /// Does an operation of a batch, again if it fails.
    async fn repeated(
        &mut self,
        job: Job,
        mut ticker: Pin<&mut Sleep>,
        outcome: &mut WorkerOutcome,
    ) {
        for attempt in 1.. {
            let result = self.guarded(job, ticker.as_mut(), outcome).await;
            let error = match result {
                None => return,
                Some(Ok(_)) => {
                    self.meter.operations.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                Some(Err(error)) => error,
            };
            let may_pass = error.is_connection
                || [
                    "SlowDown",
                    "ServiceUnavailable",
                    "InternalError",
                    "HTTP 503",
                ]
                .contains(&error.code.as_str());
            if !may_pass || attempt == BATCH_ATTEMPTS_MAX {
                self.end_batch(job, error);
                return;
            }
            self.back_off_for(attempt).await;
        }
    }

    /// An error while preparing ends it; objects that cannot be read back are counted.
    fn end_batch(&self, job: Job, error: OperationError) {
        if matches!(self.round.task, Task::ReadBack(_)) {
            self.record().failure(job.kind(), error);
            return;
        }
        let mut first = self
            .round
            .batch_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(error);
        Phase::Draining.advance(&self.meter.phase);
    }

    fn record(&self) -> std::sync::MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does an operation unless it is stuck or the round is broken off (`None`).
    async fn guarded(
        &mut self,
        job: Job,
        mut ticker: Pin<&mut Sleep>,
        outcome: &mut WorkerOutcome,
    ) -> Option<Result<Option<Instant>, OperationError>> {
        self.activity.touch();
        let timeout = self.round.workload.timeout;
        let round = self.round.clone();
        let mut open_upload = None;
        let result = {
            let mut operator = Operator {
                workload: &round.workload,
                objects: &round.objects,
                encoded_keys: &round.encoded_keys,
                lanes: &mut self.lanes,
                buffers: &mut self.buffers,
                open_upload: &mut open_upload,
            };
            let mut operation = pin!(operator.run(job));
            loop {
                match select(operation.as_mut(), ticker.as_mut()).await {
                    Either::Left((result, _)) => break Some(result),
                    Either::Right(((), _)) => {
                        ticker.as_mut().reset(tokio::time::Instant::now() + TICK);
                        if self.meter.phase() == Phase::Aborting {
                            break None;
                        }
                        if self.activity.silent_for() >= timeout {
                            break Some(Err(OperationError {
                                code: "Timeout".to_owned(),
                                message: format!("no byte moved for {timeout:?}"),
                                is_connection: true,
                            }));
                        }
                    }
                }
            }
        };
        self.remember(job, matches!(result, Some(Ok(_))), outcome);
        if open_upload.is_some() {
            self.abort(open_upload, outcome).await;
        }
        result
    }

    /// Keeps account of what is in the bucket.
    fn remember(&mut self, job: Job, succeeded: bool, outcome: &mut WorkerOutcome) {
        match job {
            Job::Put(object) | Job::Multipart(object) => match (object, succeeded) {
                (ObjectName::Written { .. }, true) => self.own.push_back(object),
                (_, false) => outcome.uncertain.push(object),
                (ObjectName::Prepared(_), true) => {}
            },
            Job::Delete(object) if !succeeded => outcome.uncertain.push(object),
            _ => {}
        }
    }

    async fn abort(&mut self, mut upload: Option<OpenUpload>, outcome: &mut WorkerOutcome) {
        let round = self.round.clone();
        let timeout = round.workload.timeout;
        let mut operator = Operator {
            workload: &round.workload,
            objects: &round.objects,
            encoded_keys: &round.encoded_keys,
            lanes: &mut self.lanes,
            buffers: &mut self.buffers,
            open_upload: &mut upload,
        };
        // What fails here is left to whoever cleans up.
        let _ = tokio::time::timeout(timeout, operator.abort_upload()).await;
        outcome.open_uploads.extend(upload);
    }

    async fn back_off(&mut self) {
        let failures = match self.lanes.first() {
            Some(lane) => lane.failures(),
            None => 0,
        };
        self.back_off_for(failures).await;
    }

    async fn back_off_for(&self, failures: u32) {
        let (first, longest) = BACK_OFF;
        let wait = first
            .saturating_mul(1 << failures.clamp(1, 10).saturating_sub(1))
            .min(longest);
        let until = Instant::now() + wait;
        while Instant::now() < until && self.meter.phase() < Phase::Draining {
            let left = until.saturating_duration_since(Instant::now());
            tokio::time::sleep(left.min(TICK)).await;
        }
    }

    /// The next operation; `None` when there is none any more.
    async fn next(&mut self, turn: u64) -> Option<Next> {
        if self.meter.phase() >= Phase::Draining {
            return None;
        }
        let intended_at = match self.intended_start(turn) {
            Some(at) => {
                self.wait_until(at).await?;
                Some(at)
            }
            None => None,
        };
        let round = self.round.clone();
        // Read once, so that an operation is either claimed and counted or neither.
        let is_measuring = self.meter.phase() >= Phase::Measuring;
        let job = match &round.task {
            Task::Measure => self.next_measured(&round, is_measuring)?,
            Task::Prepare { count } => {
                let number = round.claimed.fetch_add(1, Ordering::Relaxed);
                if number >= *count {
                    return None;
                }
                let object = ObjectName::Prepared(number);
                if round.workload.size_of(number) > PREPARE_WHOLE_BYTES_MAX {
                    Job::Multipart(object)
                } else {
                    Job::Put(object)
                }
            }
            Task::ReadBack(objects) => {
                let place = round.claimed.fetch_add(1, Ordering::Relaxed);
                Job::Get(*objects.get(usize::try_from(place).ok()?)?)
            }
        };
        Some(Next {
            job,
            intended_at,
            counts: is_measuring || round.workload.operations.is_none(),
        })
    }

    /// Starts are spread evenly over time and over workers.
    fn intended_start(&self, turn: u64) -> Option<Instant> {
        let rate = self.round.workload.rate_per_s?;
        if !matches!(self.round.task, Task::Measure) {
            return None;
        }
        let begun_at = *self.round.begun_at.get_or_init(Instant::now);
        let place = turn as f64 * self.round.workload.concurrency as f64 + f64::from(self.number);
        Some(begun_at + Duration::from_secs_f64(place / rate))
    }

    async fn wait_until(&self, at: Instant) -> Option<()> {
        loop {
            let left = at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Some(());
            }
            tokio::time::sleep(left.min(TICK)).await;
            if self.meter.phase() >= Phase::Draining {
                return None;
            }
        }
    }

    fn next_measured(&mut self, round: &Round, is_measuring: bool) -> Option<Job> {
        let workload = &round.workload;
        let kind = match &workload.operation {
            Operation::Only(kind) => *kind,
            Operation::Mixed(mix) => mix.pick(self.random.next_u64()),
        };
        let is_limited = workload.operations.is_some() && is_measuring;
        // Which object a DELETE takes is a claim as well, so that none is deleted twice.
        let takes_objects = workload.operation == Operation::Only(Kind::Delete);
        let claim = if is_limited || takes_objects {
            let claim = round.claimed.fetch_add(1, Ordering::Relaxed);
            let limit = match (takes_objects, workload.operations) {
                (true, Some(operations)) => workload.objects.min(operations),
                (true, None) => workload.objects,
                (false, operations) => operations.unwrap_or(u64::MAX),
            };
            if claim >= limit {
                return None;
            }
            claim
        } else {
            0
        };
        let any = self.random.below(workload.objects);
        Some(match kind {
            Kind::Get => Job::Get(ObjectName::Prepared(any)),
            Kind::Stat => Job::Stat(any),
            Kind::Range => self.any_range(workload, any),
            Kind::List => {
                let pages = workload.objects.saturating_sub(workload.page_keys);
                let in_order = round.objects.keys.sorts_by_number(workload.objects);
                Job::List(if in_order {
                    self.random.below(pages + 1)
                } else {
                    0
                })
            }
            Kind::Delete if takes_objects => Job::Delete(ObjectName::Prepared(claim)),
            Kind::Delete => match self.own.pop_front() {
                Some(object) => Job::Delete(object),
                None => Job::Put(self.new_object(round)),
            },
            Kind::Put if workload.overwrite => {
                let turn = self.sequence;
                self.sequence += 1;
                let workers = workload.concurrency as u64;
                let number = (turn * workers + u64::from(self.number)) % workload.objects;
                Job::Put(ObjectName::Prepared(number))
            }
            Kind::Put => Job::Put(self.new_object(round)),
            Kind::Multipart => Job::Multipart(self.new_object(round)),
        })
    }

    fn new_object(&mut self, round: &Round) -> ObjectName {
        let sequence = self.sequence;
        self.sequence += 1;
        ObjectName::Written {
            round: round.number,
            worker: self.number,
            sequence,
        }
    }

    fn any_range(&mut self, workload: &Workload, object: u64) -> Job {
        let size = workload.size_of(object);
        let length = workload.range_bytes.min(size).max(1);
        let offset = if workload.range_aligned {
            self.random.below((size / length).max(1)) * length
        } else {
            self.random.below(size.saturating_sub(length) + 1)
        };
        Job::Range {
            object,
            offset,
            length,
        }
    }
}
