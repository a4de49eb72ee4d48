//! Server access logs of buckets: a line for each answered request to a bucket with a logging
//! configuration, delivered to its target bucket as objects.
//!
//! Lines gather in memory and are delivered when they are old or many enough, and at the end of the
//! server. As with S3 they are best effort: what a crash finds in memory is lost, and lines are dropped,
//! and counted, when more wait than there is room for or when the target bucket is gone or closed to
//! them. What could not be written for another reason waits by itself.

mod buffer;
mod draft;
mod key;
mod line;
mod operation;

pub use draft::{Draft, Ended};
pub use key::LogObject;
pub use line::LogLine;
pub use operation::{log_name, website_log_name};

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use oncilla_store::object::NewObject;
use oncilla_store::{Bucket, DocumentKind, Origin, Store};
use oncilla_wire::error::S3Error;
use oncilla_wire::xml::logging::{BucketLoggingStatus, LoggingEnabled};

use crate::metrics::Collectors;
use crate::metrics_collectors::{Figure, count_of, figures};
use crate::service_write::{AllowedBy, ServiceWrite, WriteRefused};
use buffer::{Batch, Buffers, Group};

/// Who writes log objects, as policies and events name it.
pub const LOG_DELIVERY: &str = "logging.s3.amazonaws.com";

/// How often a delivery looks for lines that are old or many enough.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How long lines that could not be written wait for the next attempt.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// How long the end of the server may take for the last delivery.
const LAST_DELIVERY_TIME_MAX: Duration = Duration::from_secs(20);

/// Random bytes in the name of a log object.
const UNIQUE_BYTES: usize = 8;

/// When lines are delivered.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// Region that names of log objects have.
    pub region: String,
    /// Lines as old as this are delivered.
    pub interval: Duration,
    /// As many bytes of lines of one bucket are delivered at once.
    pub object_bytes: usize,
    /// Bytes of lines in memory, of all buckets; what is more is dropped. The buckets of one owner
    /// never fill more than half of it.
    pub memory_bytes_max: usize,
}

/// S3 delivers within hours; five minutes are few objects and little to lose.
pub const INTERVAL_DEFAULT: Duration = Duration::from_secs(300);

/// About 2,000 lines.
pub const OBJECT_BYTES_DEFAULT: usize = 1 << 20;

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            region: "auto".to_owned(),
            interval: INTERVAL_DEFAULT,
            object_bytes: OBJECT_BYTES_DEFAULT,
            memory_bytes_max: 32 << 20,
        }
    }
}

/// Figures since the server was started.
#[derive(Debug, Default)]
struct Stats {
    delivered: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
}

/// The access logs of all buckets. Cheap to clone.
#[derive(Clone)]
pub struct BucketLogs {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    options: LogOptions,
    buffers: Buffers,
    stats: Stats,
}

impl std::fmt::Debug for BucketLogs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BucketLogs").finish_non_exhaustive()
    }
}

impl BucketLogs {
    /// Logs that are delivered into buckets of `store`.
    pub fn new(store: Store, options: LogOptions) -> Self {
        let inner = Inner {
            store: store.acting_for(Origin::service(LOG_DELIVERY)),
            buffers: Buffers::new(options.memory_bytes_max),
            options,
            stats: Stats::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Where the logs of a bucket go; `None` for one without a logging configuration, and then it
    /// cost a look at its documents, which are in memory.
    pub fn destination(bucket: &Bucket) -> Option<Arc<BucketLoggingStatus>> {
        let document = bucket.documents.get(DocumentKind::Logging)?;
        match document.parsed(BucketLoggingStatus::parse) {
            Ok(status) => Some(status).filter(|status| status.enabled.is_some()),
            Err(error) => {
                let name = &bucket.name;
                tracing::error!(bucket = name, %error, "the logging configuration is unreadable");
                None
            }
        }
    }

    /// Takes a line. Never waits.
    fn push(&self, group: Group, line: &LogLine<'_>) {
        let mut text = Vec::new();
        line.write(&mut text);
        let now_ms = self.inner.store.clock().now_ms();
        if !self.inner.buffers.push(group, &text, now_ms) {
            self.inner.stats.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Delivers for as long as it is polled. Drop it to stop, then call [`BucketLogs::deliver_rest`].
    pub async fn run(&self) {
        let inner = &*self.inner;
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            // What came in the meantime may be as much again.
            while inner.deliver_due().await {}
        }
    }

    /// Delivers everything that is left, at the end of the server or when a test asks for it.
    pub async fn deliver_rest(&self) {
        let deliver = self.inner.deliver_groups(self.inner.buffers.all());
        if tokio::time::timeout(LAST_DELIVERY_TIME_MAX, deliver)
            .await
            .is_err()
        {
            tracing::warn!("access logs of buckets were lost: their delivery took too long");
        }
    }

    /// Figures for the metrics page.
    pub fn collectors(&self) -> Collectors {
        let inner = Arc::clone(&self.inner);
        let read = move || {
            let stats = &inner.stats;
            [
                Figure::counter(
                    "bucket_log_lines_delivered",
                    "Lines of access logs in their target buckets",
                    count_of(&stats.delivered),
                ),
                Figure::counter(
                    "bucket_log_lines_dropped",
                    "Lines of access logs dropped: too many, or their target bucket did not take them",
                    count_of(&stats.dropped),
                ),
                Figure::counter(
                    "bucket_log_deliveries_failed",
                    "Deliveries of access logs that failed and are tried again",
                    count_of(&stats.failed),
                ),
                Figure::gauge(
                    "bucket_log_buffered_bytes",
                    "Bytes of access logs that wait for their delivery",
                    inner.buffers.bytes(),
                ),
            ]
        };
        vec![figures(read)]
    }
}

impl Inner {
    /// Delivers what is old or many enough, and is not waiting after a failure. Says whether there was
    /// any.
    async fn deliver_due(&self) -> bool {
        let now_ms = self.store.clock().now_ms();
        let before_ms = now_ms.saturating_sub(milliseconds(self.options.interval));
        let object_bytes = self.options.object_bytes;
        let due = self.buffers.due(now_ms, before_ms, object_bytes);
        let any = !due.is_empty();
        self.deliver_groups(due).await;
        any
    }

    async fn deliver_groups(&self, groups: Vec<Arc<Group>>) {
        for group in groups {
            if let Some(batch) = self.buffers.take(group) {
                self.deliver(batch).await;
            }
        }
    }

    /// Delivers a batch as one object. What could not be written now is put back.
    async fn deliver(&self, batch: Batch<'_>) {
        let lines = batch.lines();
        let target = &batch.group().destination().target_bucket;
        match self.write(&batch).await {
            Ok(()) => {
                self.stats.delivered.fetch_add(lines, Ordering::Relaxed);
                batch.done();
            }
            Err(WriteRefused::Failed(error)) => {
                tracing::warn!(
                    target_bucket = target, %error,
                    "access logs wait: they cannot be written"
                );
                self.stats.failed.fetch_add(1, Ordering::Relaxed);
                let now_ms = self.store.clock().now_ms();
                batch.try_again_at(now_ms.saturating_add(milliseconds(RETRY_AFTER)));
            }
            Err(refused) => {
                tracing::warn!(target_bucket = target, lines, %refused, "access logs were dropped");
                self.stats.dropped.fetch_add(lines, Ordering::Relaxed);
                batch.done();
            }
        }
    }

    async fn write(&self, batch: &Batch<'_>) -> Result<(), WriteRefused> {
        let group = batch.group();
        let destination = group.destination();
        let mut unique = [0; UNIQUE_BYTES];
        getrandom::fill(&mut unique).map_err(|error| WriteRefused::Failed(error.to_string()))?;
        let unique = format!("{:016X}", u64::from_be_bytes(unique));
        let object = LogObject {
            destination,
            source_account: &group.owner,
            source_region: &self.options.region,
            source_bucket: &group.bucket,
            event_ms: group.event_ms(),
            delivery_ms: i64::try_from(self.store.clock().now_ms()).unwrap_or(i64::MAX),
            unique: &unique,
        };
        let write = ServiceWrite {
            store: &self.store,
            service: LOG_DELIVERY,
            source_bucket: &group.bucket,
            source_account: &group.owner,
            target: &destination.target_bucket,
            may_cross_accounts: false,
        };
        let target = write.target().await?;
        let new = NewObject {
            owner: target.record.owner.clone(),
            headers: vec![(
                Bytes::from_static(CONTENT_TYPE.as_str().as_bytes()),
                Bytes::from_static(b"text/plain"),
            )],
            ..NewObject::default()
        };
        write
            .put(&target, &object.key(), new, batch.text().to_vec().into())
            .await
    }
}

/// A bucket that takes log objects.
pub struct LogTarget {
    /// The bucket.
    pub bucket: Arc<Bucket>,
    /// Such a key as log objects get.
    pub key: String,
    /// Whether its policy allows them. If not, whoever sends logs there has to be allowed to write there.
    pub is_open: bool,
}

/// The target bucket of a configuration.
///
/// # Errors
/// `InvalidTargetBucketForLogging` for one that log objects could not be delivered to.
pub async fn log_target(
    store: &Store,
    region: &str,
    bucket: &Bucket,
    enabled: &LoggingEnabled,
) -> Result<LogTarget, S3Error> {
    let write = ServiceWrite {
        store,
        service: LOG_DELIVERY,
        source_bucket: &bucket.name,
        source_account: &bucket.record.owner,
        target: &enabled.target_bucket,
        may_cross_accounts: false,
    };
    let now_ms = i64::try_from(store.clock().now_ms()).unwrap_or(i64::MAX);
    let object = LogObject {
        destination: enabled,
        source_account: &bucket.record.owner,
        source_region: region,
        source_bucket: &bucket.name,
        event_ms: now_ms,
        delivery_ms: now_ms,
        unique: &"0".repeat(2 * UNIQUE_BYTES),
    };
    let key = object.key();
    let target = write.target().await;
    let target = target.map_err(WriteRefused::into_logging_error)?;
    let allowed = write.check(&target, &key);
    let allowed = allowed.map_err(WriteRefused::into_logging_error)?;
    Ok(LogTarget {
        bucket: target,
        key,
        is_open: allowed == AllowedBy::Policy,
    })
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
