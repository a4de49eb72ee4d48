//! A round: threads with their workers, phases, and what came of it.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::contents::Contents;
use crate::endpoint::Endpoint;
use crate::http::Activity;
use crate::keys::ObjectName;
use crate::lane::{Lane, LaneSettings, ThreadMeter};
use crate::operations::{Buffers, OpenUpload};
use crate::phase::Phase;
use crate::random::Random;
use crate::stats::{OperationError, Record};
use crate::worker::{Round, Task, Worker, WorkerOutcome};
use crate::workload::{Kind, Objects, Workload};

/// How long operations may still run when the time of a round is over. They are not counted, but
/// breaking them off at once would leave the server with work that disturbs the next round.
const DRAIN: Duration = Duration::from_secs(1);

/// How often progress is reported.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// One of those that are measured.
pub struct Target {
    /// Its name.
    pub name: String,
    /// Connections are spread over these in turn. Never empty.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// Which objects it has.
    pub objects: Objects,
}

/// Why a round did not run.
#[derive(Debug, thiserror::Error)]
pub enum RoundError {
    /// A thread or its runtime could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
    /// A thread ended without a result.
    #[error("a thread of the load generator failed")]
    ThreadLost,
    /// Preparing failed.
    #[error("cannot prepare objects: {}: {}", .0.code, .0.message)]
    Prepare(OperationError),
}

/// What happens at the moment, for a progress bar.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Since the measurement began; `None` before it.
    pub measuring_for: Option<Duration>,
    /// Operations counted so far.
    pub operations: u64,
    /// Bytes counted so far.
    pub bytes: u64,
}

/// A round's results.
#[derive(Debug, Default)]
pub struct RoundResult {
    /// What was counted.
    pub record: Record,
    /// What was left in the bucket.
    pub left: Vec<ObjectName>,
    /// Objects of which nobody knows whether they are there.
    pub uncertain: Vec<ObjectName>,
    /// Uploads that are still open.
    pub open_uploads: Vec<OpenUpload>,
    /// Whether it was ended before its time.
    pub interrupted: bool,
}

struct ThreadResult {
    outcomes: Vec<WorkerOutcome>,
    record: Record,
    ended_at: Instant,
}

/// Runs a round and returns when all of its threads have ended. `stop` ends it early.
///
/// # Errors
/// See [`RoundError`].
pub fn run_round(
    target: &Target,
    workload: &Arc<Workload>,
    contents: &Contents,
    task: Task,
    number: u32,
    stop: &AtomicBool,
    progress: &dyn Fn(Progress),
) -> Result<RoundResult, RoundError> {
    let is_batch = !matches!(task, Task::Measure);
    let phase = Arc::new(AtomicU8::new(Phase::Connecting as u8));
    let round = Arc::new(Round {
        workload: workload.clone(),
        objects: target.objects.clone(),
        encoded_keys: target.objects.keys.encoded(),
        task,
        number,
        claimed: AtomicU64::new(0),
        begun_at: OnceLock::new(),
        batch_error: Mutex::new(None),
    });
    let threads = workload.threads.clamp(1, workload.concurrency.max(1));
    let connected = Arc::new(AtomicU64::new(0));
    let (sender, receiver) = mpsc::channel();
    let mut meters = Vec::with_capacity(threads);
    let mut handles = Vec::with_capacity(threads);
    for thread in 0..threads {
        let meter = Arc::new(ThreadMeter::new(phase.clone()));
        let record = Arc::new(Mutex::new(Record::default()));
        let workers: Vec<Worker> = (thread..workload.concurrency)
            .step_by(threads)
            .map(|worker| make_worker(worker, target, contents, &round, &meter, &record))
            .collect();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (sender, connected) = (sender.clone(), connected.clone());
        let thread_meter = meter.clone();
        meters.push(meter);
        handles.push(
            std::thread::Builder::new()
                .name(format!("bench-{thread}"))
                .spawn(move || {
                    let outcomes = run_workers(&runtime, workers, &connected);
                    let record = collect(&record, &thread_meter);
                    let ended_at = Instant::now();
                    // Nobody listens any more only if the controller has failed.
                    let _ = sender.send(ThreadResult {
                        outcomes,
                        record,
                        ended_at,
                    });
                })?,
        );
    }
    drop(sender);

    let mut control = Control {
        phase: &phase,
        receiver,
        results: Vec::new(),
        meters: &meters,
        stop,
        progress,
        running: threads,
        interrupted: false,
    };
    control.wait_for(workload.timeout, |control| {
        connected.load(Ordering::Relaxed) >= workload.concurrency as u64 || control.running == 0
    })?;
    if !is_batch && !workload.warmup.is_zero() {
        Phase::WarmingUp.advance(&phase);
        control.wait_for(workload.warmup, |control| control.running == 0)?;
    }
    let measured_from = Instant::now();
    Phase::Measuring.advance(&phase);
    let duration = match workload.duration {
        Some(duration) if !is_batch => duration,
        _ => Duration::MAX,
    };
    control.wait_for(duration, |control| control.running == 0)?;
    let cut_at = Instant::now();
    Phase::Draining.advance(&phase);
    control.wait_for_end(DRAIN)?;
    Phase::Aborting.advance(&phase);
    control.wait_for_end(Duration::MAX)?;
    let Control {
        results,
        interrupted,
        ..
    } = control;
    for handle in handles {
        handle.join().map_err(|_| RoundError::ThreadLost)?;
    }

    let ended_at = results.iter().map(|result| result.ended_at).max();
    let measured_to = ended_at.map_or(cut_at, |ended_at| ended_at.min(cut_at));
    let mut result = RoundResult {
        interrupted,
        ..RoundResult::default()
    };
    for thread in results {
        result.record.merge(&thread.record);
        for outcome in thread.outcomes {
            result.left.extend(outcome.written);
            result.uncertain.extend(outcome.uncertain);
            result.open_uploads.extend(outcome.open_uploads);
        }
    }
    result.record.elapsed = measured_to.saturating_duration_since(measured_from);
    let mut batch_error = round
        .batch_error
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    match batch_error.take() {
        Some(error) => Err(RoundError::Prepare(error)),
        None => Ok(result),
    }
}

fn make_worker(
    worker: usize,
    target: &Target,
    contents: &Contents,
    round: &Arc<Round>,
    meter: &Arc<ThreadMeter>,
    record: &Arc<Mutex<Record>>,
) -> Worker {
    let workload = &round.workload;
    let activity = Arc::new(Activity::default());
    let lane_count = workload.lanes();
    let lanes = (0..lane_count).map(|lane| {
        let place = worker * lane_count + lane;
        Lane::new(LaneSettings {
            endpoint: target.endpoints[place % target.endpoints.len()].clone(),
            contents: contents.clone(),
            payload: workload.payload,
            timeout: workload.timeout,
            activity: activity.clone(),
            meter: meter.clone(),
        })
    });
    // Rounds of different targets with the same number take the same course.
    let stream = u64::from(round.number) << 32 | worker as u64;
    Worker {
        number: worker as u32,
        round: round.clone(),
        lanes: lanes.collect(),
        activity: activity.clone(),
        meter: meter.clone(),
        record: record.clone(),
        random: Random::new(workload.seed, stream),
        buffers: Buffers::default(),
        own: std::collections::VecDeque::new(),
        sequence: 0,
    }
}

fn run_workers(
    runtime: &tokio::runtime::Runtime,
    workers: Vec<Worker>,
    connected: &Arc<AtomicU64>,
) -> Vec<WorkerOutcome> {
    runtime.block_on(async {
        let tasks: Vec<_> = workers
            .into_iter()
            .map(|worker| {
                let connected = connected.clone();
                let announce = move || {
                    connected.fetch_add(1, Ordering::Relaxed);
                };
                tokio::spawn(worker.run(announce))
            })
            .collect();
        let mut outcomes = Vec::with_capacity(tasks.len());
        for task in tasks {
            match task.await {
                Ok(outcome) => outcomes.push(outcome),
                // A worker's panic is a mistake of this program; let it be seen as one.
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        }
        outcomes
    })
}

fn collect(record: &Mutex<Record>, meter: &ThreadMeter) -> Record {
    let mut record = std::mem::take(&mut *record.lock().unwrap_or_else(PoisonError::into_inner));
    for kind in Kind::ALL {
        record.add_bytes(kind, meter.bytes[kind.index()].load(Ordering::Relaxed));
    }
    record.reconnects = meter.reconnects.load(Ordering::Relaxed);
    record
}

/// Waits for time and threads.
struct Control<'a> {
    phase: &'a AtomicU8,
    receiver: mpsc::Receiver<ThreadResult>,
    results: Vec<ThreadResult>,
    meters: &'a [Arc<ThreadMeter>],
    stop: &'a AtomicBool,
    progress: &'a dyn Fn(Progress),
    running: usize,
    interrupted: bool,
}

impl Control<'_> {
    /// Waits for `duration`, at most until `is_over` or the run is stopped.
    fn wait_for(
        &mut self,
        duration: Duration,
        is_over: impl Fn(&Self) -> bool,
    ) -> Result<(), RoundError> {
        let begun_at = Instant::now();
        loop {
            let left = duration.saturating_sub(begun_at.elapsed());
            if left.is_zero() || self.interrupted || is_over(self) {
                return Ok(());
            }
            if self.stop.load(Ordering::Relaxed) {
                self.interrupted = true;
                return Ok(());
            }
            let phase = Phase::load(self.phase);
            // Connections are there within a millisecond, usually.
            let step = match phase {
                Phase::Connecting => Duration::from_millis(1),
                _ => PROGRESS_INTERVAL,
            };
            self.receive(left.min(step))?;
            let total = |count: fn(&ThreadMeter) -> u64| self.meters.iter().map(|m| count(m)).sum();
            (self.progress)(Progress {
                measuring_for: (phase == Phase::Measuring).then(|| begun_at.elapsed()),
                operations: total(|meter| meter.operations.load(Ordering::Relaxed)),
                bytes: total(|meter| {
                    meter
                        .bytes
                        .iter()
                        .map(|bytes| bytes.load(Ordering::Relaxed))
                        .sum()
                }),
            });
        }
    }

    /// Waits until all threads have ended, at most for `duration`.
    fn wait_for_end(&mut self, duration: Duration) -> Result<(), RoundError> {
        let begun_at = Instant::now();
        while self.running > 0 && begun_at.elapsed() < duration {
            self.receive(PROGRESS_INTERVAL)?;
        }
        Ok(())
    }

    fn receive(&mut self, wait: Duration) -> Result<(), RoundError> {
        match self.receiver.recv_timeout(wait) {
            Ok(result) => {
                self.running -= 1;
                self.results.push(result);
                Ok(())
            }
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Err(RecvTimeoutError::Disconnected) if self.running == 0 => Ok(()),
            Err(RecvTimeoutError::Disconnected) => Err(RoundError::ThreadLost),
        }
    }
}
