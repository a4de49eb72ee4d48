//! `/-/ready`: whether this server should get requests. `/-/health` only says that it runs.

use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::future::join_all;
use http::{HeaderMap, StatusCode};
use oncilla_keys::Keys;
use oncilla_meta::{Engine, Space};
use oncilla_store::Store;
use parking_lot::Mutex;
use rustix::fs::Access;
use serde::Serialize;

use super::{OwnPages, trust};
use crate::RequestContext;
use crate::room::{self, Room};

/// How long the metadata engine may take for one read. A read takes microseconds, and
/// milliseconds from a busy disk; after a second, clients are better served elsewhere.
const ENGINE_READ_TIME_MAX: Duration = Duration::from_secs(1);

/// How long a failed sync of the volumes counts against the server unless one succeeds before.
/// Without an end, a server that gets no requests any more could never show that it is well again.
const SYNC_FAILURE_MEMORY: Duration = Duration::from_secs(30);

/// The key that [`engine`] reads: the store's clock, which is there once something was written;
/// the answer that it is not there is as good.
const PROBE_KEY: &[u8] = b"t";

type Outcome = Result<(), String>;

/// A question about a part of the server; the error says what is wrong with it.
type Check = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Outcome> + Send>> + Send + Sync>;

/// A question with what its answer means.
struct Question {
    name: &'static str,
    check: Check,
    /// The server should get requests all the same if this goes wrong.
    advisory: bool,
}

/// The questions behind `/-/ready`.
#[derive(Default)]
pub struct Readiness {
    questions: Vec<Question>,
    stopping: AtomicBool,
}

impl Readiness {
    /// No questions yet: ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// The questions to a server on `store`, whose volumes lie in `volumes_directory`:
    /// `metadata` (a read is answered within a second, which also means that the store is open),
    /// `volumes` (the directory can be written to, and syncs do not fail) and, as advice,
    /// `master_key` (what is encrypted can be read) and `space` (writes are not refused for want of
    /// it). Without the master key everything else is served as ever, and on a full disk what is
    /// read and deleted; another server would be no better: clients are not sent away.
    pub fn of_store(store: &Store, volumes_directory: PathBuf) -> Self {
        let engine = Arc::clone(store.engine());
        let busy = Arc::new(AtomicBool::new(false));
        let volumes = store.volumes().clone();
        let failures = Mutex::new(SyncFailures::default());
        let keys = store.keys().ok().cloned();
        let directory = volumes_directory.clone();
        Self::new()
            .check_in_time("metadata", move || read_in_time(&engine, &busy))
            .check("volumes", move || {
                writable(&volumes_directory)?;
                let stats = volumes.stats();
                failures
                    .lock()
                    .judge(stats.syncs, stats.syncs_failed, Instant::now())
            })
            .advice("master_key", move || keys.as_ref().map_or(Ok(()), unlocked))
            .advice("space", move || roomy(&directory, Room::at(&directory)))
    }

    /// Adds a question that is answered at once.
    #[must_use]
    pub fn check(
        self,
        name: &'static str,
        check: impl Fn() -> Outcome + Send + Sync + 'static,
    ) -> Self {
        self.check_in_time(name, move || std::future::ready(check()))
    }

    /// Adds a question that takes its time. It must not block, and must end.
    #[must_use]
    pub fn check_in_time<F: Future<Output = Outcome> + Send + 'static>(
        mut self,
        name: &'static str,
        check: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self {
        self.questions.push(Question {
            name,
            check: Box::new(move || Box::pin(check())),
            advisory: false,
        });
        self
    }

    /// Adds a question that is answered at once, and whose answer is told but keeps nobody away.
    #[must_use]
    pub fn advice(
        mut self,
        name: &'static str,
        check: impl Fn() -> Outcome + Send + Sync + 'static,
    ) -> Self {
        self.questions.push(Question {
            name,
            check: Box::new(move || Box::pin(std::future::ready(check()))),
            advisory: true,
        });
        self
    }

    /// From now on the answer is no: the server is about to end.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    async fn report(&self, with_details: bool) -> Report {
        let stopping = self.stopping.load(Ordering::Relaxed);
        let asked = self.questions.iter().map(|question| (question.check)());
        let outcomes = join_all(asked).await;
        let checks: Vec<CheckReport> = self
            .questions
            .iter()
            .zip(outcomes)
            .map(|(question, outcome)| CheckReport {
                name: question.name,
                ok: outcome.is_ok(),
                advisory: question.advisory,
                detail: outcome.err().filter(|_| with_details),
            })
            .collect();
        Report {
            ready: !stopping && checks.iter().all(|check| check.ok || check.advisory),
            degraded: checks.iter().any(|check| !check.ok),
            stopping,
            checks,
        }
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self
            .questions
            .iter()
            .map(|question| question.name)
            .collect();
        f.debug_struct("Readiness")
            .field("checks", &names)
            .finish_non_exhaustive()
    }
}

/// Reads a row. An embedded engine blocks while it reads, so the read gets a thread of its own; as
/// long as one read hangs there, no further one is begun.
fn read_in_time(
    engine: &Arc<dyn Engine>,
    busy: &Arc<AtomicBool>,
) -> impl Future<Output = Outcome> + Send + use<> {
    let (engine, busy) = (Arc::clone(engine), Arc::clone(busy));
    async move {
        let hangs = || {
            format!(
                "a read takes more than {} s",
                ENGINE_READ_TIME_MAX.as_secs()
            )
        };
        if busy.swap(true, Ordering::AcqRel) {
            return wait_for(&busy).await.map_err(|()| hangs());
        }
        let runtime = tokio::runtime::Handle::current();
        let read = tokio::task::spawn_blocking(move || {
            let outcome = runtime.block_on(engine.get(Space::Records, PROBE_KEY));
            busy.store(false, Ordering::Release);
            outcome
        });
        match tokio::time::timeout(ENGINE_READ_TIME_MAX, read).await {
            Err(_elapsed) => Err(hangs()),
            Ok(Err(error)) => Err(format!("the read was lost: {error}")),
            Ok(Ok(Err(error))) => Err(error.to_string()),
            Ok(Ok(Ok(_row))) => Ok(()),
        }
    }
}

/// Waits for somebody else's read: that it ends is answer enough.
async fn wait_for(busy: &AtomicBool) -> Result<(), ()> {
    const LOOK_INTERVAL: Duration = Duration::from_millis(10);
    let ended = async {
        while busy.load(Ordering::Acquire) {
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    };
    tokio::time::timeout(ENGINE_READ_TIME_MAX, ended)
        .await
        .map_err(|_elapsed| ())
}

/// Whether files can be made in a directory. A full device is no reason to send clients away: they
/// can still read, and are told on writing.
fn writable(directory: &std::path::Path) -> Outcome {
    rustix::fs::access(directory, Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|error| format!("{} cannot be written to: {error}", directory.display()))
}

/// Whether there is room for writes. A directory that cannot be asked is told of elsewhere.
fn roomy(directory: &std::path::Path, room: std::io::Result<Room>) -> Outcome {
    match room {
        Ok(room) if room.is_short() => Err(format!(
            "writes refused: no space: {}",
            room::shortage(directory)
        )),
        _ => Ok(()),
    }
}

/// Whether what is encrypted can be read.
fn unlocked(keys: &Keys) -> Outcome {
    let Some(reason) = keys.locked() else {
        return Ok(());
    };
    let which = match keys.locked_keys() {
        1 => "1 KMS key".to_owned(),
        count => format!("{count} KMS keys"),
    };
    Err(format!(
        "{reason}: what is encrypted by {which} can be neither read nor written until the \
         server is started with the master key that it had (--master-key-file, --master-key-command \
         or ONCILLA_MASTER_KEY)"
    ))
}

/// What was last seen of the volumes' syncs.
#[derive(Debug, Default)]
struct SyncFailures {
    succeeded: u64,
    failed: u64,
    last_failure_seen: Option<Instant>,
}

impl SyncFailures {
    /// Takes the counters as they are now. Each failed sync sealed a volume, so a success since
    /// then means that a new volume works.
    fn judge(&mut self, succeeded: u64, failed: u64, now: Instant) -> Outcome {
        if failed > self.failed {
            self.last_failure_seen = Some(now);
        } else if succeeded > self.succeeded {
            self.last_failure_seen = None;
        }
        (self.succeeded, self.failed) = (succeeded, failed);
        match self.last_failure_seen {
            Some(seen) if now.duration_since(seen) < SYNC_FAILURE_MEMORY => Err(format!(
                "writing to the volumes fails ({failed} failed syncs)"
            )),
            _ => Ok(()),
        }
    }
}

#[derive(Debug, Serialize)]
struct Report {
    ready: bool,
    /// Whether anything is wrong, be it only what clients are not sent away for.
    degraded: bool,
    stopping: bool,
    checks: Vec<CheckReport>,
}

#[derive(Debug, Serialize)]
struct CheckReport {
    name: &'static str,
    ok: bool,
    #[serde(skip_serializing_if = "is_not")]
    advisory: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

fn is_not(flag: &bool) -> bool {
    !flag
}

/// The page. What exactly is wrong (paths, devices) is told on this machine only.
pub(super) async fn page(
    State(pages): State<OwnPages>,
    Extension(context): Extension<RequestContext>,
    headers: HeaderMap,
) -> Response {
    let local = trust::is_local(context.peer, &headers);
    let report = pages.readiness.report(local).await;
    let status = if report.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(report)).into_response()
}

#[cfg(test)]
mod tests {
    use oncilla_blob::testing::FaultyFileSystem;
    use oncilla_blob::{VolumeOptions, Volumes};
    use oncilla_keys::{MasterKey, MasterKeySource};
    use oncilla_meta::memory::MemoryEngine;
    use oncilla_store::{StoreOptions, SystemClock};

    use super::*;

    #[tokio::test]
    async fn one_failed_check_is_enough() {
        let readiness = Readiness::new()
            .check("metadata", || Ok(()))
            .check("volumes", || Err("disk full at /data".to_owned()));
        let public = serde_json::to_string(&readiness.report(false).await).unwrap();
        let failed = r#"{"name":"volumes","ok":false}"#;
        assert!(
            public.contains("\"ready\":false") && public.contains(failed),
            "{public}"
        );
        let local = serde_json::to_string(&readiness.report(true).await).unwrap();
        assert!(local.contains("disk full at /data"), "{local}");
    }

    #[tokio::test]
    async fn a_stopping_server_is_not_ready() {
        let readiness = Readiness::new().check("metadata", || Ok(()));
        assert!(readiness.report(false).await.ready);
        readiness.stop();
        assert!(!readiness.report(false).await.ready);
    }

    async fn store() -> Store {
        let fs = Arc::new(FaultyFileSystem::new());
        let volumes = Volumes::open(fs, "/volumes".into(), VolumeOptions::default()).unwrap();
        let engine = Arc::new(MemoryEngine::new());
        let options = StoreOptions::default();
        Store::open(engine, volumes, Arc::new(SystemClock), options)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_store_is_ready_while_its_directory_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        let readiness = Readiness::of_store(&store().await, path.clone());
        let report = readiness.report(true).await;
        assert!(report.ready, "{report:?}");
        drop(directory);
        let report = readiness.report(true).await;
        assert!(!report.ready && report.checks[0].ok, "{report:?}");
        assert!(
            report.checks[1]
                .detail
                .as_ref()
                .unwrap()
                .contains(path.to_str().unwrap())
        );
    }

    #[tokio::test]
    async fn a_wrong_master_key_is_told_and_sends_nobody_away() {
        let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::new());
        let keys = |digit: &str| {
            let master = MasterKey::parse(&digit.repeat(64)).unwrap();
            let source = MasterKeySource::Given(master);
            Keys::open(Arc::clone(&engine), source, Arc::new(|| 7))
        };
        keys("a").await.unwrap().sse_s3_key().await.unwrap();
        for (digit, is_right) in [("a", true), ("b", false)] {
            let fs = Arc::new(FaultyFileSystem::new());
            let volumes = Volumes::open(fs, "/volumes".into(), VolumeOptions::default()).unwrap();
            let options = StoreOptions {
                keys: Some(keys(digit).await.unwrap()),
                ..StoreOptions::default()
            };
            let clock = Arc::new(SystemClock);
            let store = Store::open(Arc::clone(&engine), volumes, clock, options);
            let store = store.await.unwrap();
            let directory = tempfile::tempdir().unwrap();
            let readiness = Readiness::of_store(&store, directory.path().to_owned());
            let report = readiness.report(true).await;
            assert!(report.ready, "{report:?}");
            assert_eq!(report.degraded, !is_right, "{report:?}");
            let check = &report.checks[2];
            assert_eq!((check.name, check.ok), ("master_key", is_right));
            let told = check.detail.as_deref().unwrap_or_default();
            assert_eq!(told.contains("by 1 KMS key can"), !is_right, "{told}");
            let public = serde_json::to_string(&readiness.report(false).await).unwrap();
            let failed = r#"{"name":"master_key","ok":false,"advisory":true}"#;
            assert_eq!(public.contains(failed), !is_right, "{public}");
        }
    }

    #[tokio::test]
    async fn a_full_disk_is_told_and_sends_nobody_away() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        for (free_bytes, is_full) in [(1, true), (u64::MAX, false)] {
            let path = path.clone();
            let readiness = Readiness::new().advice("space", move || {
                let total_bytes = u64::MAX;
                let room = Room {
                    free_bytes,
                    total_bytes,
                };
                roomy(&path, Ok(room))
            });
            let report = readiness.report(true).await;
            assert!(report.ready, "{report:?}");
            assert_eq!(report.degraded, is_full, "{report:?}");
            let told = report.checks[0].detail.as_deref().unwrap_or_default();
            assert_eq!(told.contains("writes refused: no space"), is_full, "{told}");
        }
        let readiness = Readiness::of_store(&store().await, path);
        let report = readiness.report(true).await;
        assert!(report.checks.iter().any(|check| check.name == "space"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_that_hangs_is_not_waited_for_nor_repeated() {
        let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::new());
        let busy = Arc::new(AtomicBool::new(true));
        let refused = read_in_time(&engine, &busy).await.unwrap_err();
        assert!(refused.contains("more than 1 s"), "{refused}");
        busy.store(false, Ordering::Release);
        tokio::time::resume();
        read_in_time(&engine, &busy).await.unwrap();
        assert!(!busy.load(Ordering::Acquire));
    }

    #[test]
    fn failed_syncs_count_until_one_succeeds_or_they_are_old() {
        let begin = Instant::now();
        let mut failures = SyncFailures::default();
        failures.judge(5, 0, begin).unwrap();
        failures.judge(5, 1, begin).unwrap_err();
        failures
            .judge(5, 1, begin + SYNC_FAILURE_MEMORY / 2)
            .unwrap_err();
        failures
            .judge(6, 1, begin + SYNC_FAILURE_MEMORY / 2)
            .unwrap();
        // Both since the last look: nobody can tell which came last.
        failures.judge(7, 2, begin).unwrap_err();
        failures.judge(7, 2, begin + SYNC_FAILURE_MEMORY).unwrap();
    }
}
