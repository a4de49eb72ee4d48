//! Whole files and objects: in parallel, in parts, verified.
//!
//! Every request takes one of the [`Options::slots`], so that many transfers at once share one
//! limit on requests, and memory is bounded by slots × [`crate::CHUNK_BYTES`] (by slots × part
//! size where a stream of unknown length has to be cut into parts).

mod copy;
mod download;
mod plan;
mod resume;
mod upload;
mod verify;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::body::Progress;
use crate::error::Error;

pub use copy::{COPY_OBJECT_BYTES_MAX, copy_object};
pub use download::{download_file, verify_file};
pub use plan::{DEFAULT_MULTIPART_THRESHOLD_BYTES, DEFAULT_PART_BYTES, PartPlan, PlanError};
pub use upload::{upload_file, upload_stream};
pub use verify::{StreamVerifier, Verified};

/// Requests at once unless set otherwise: enough to fill a fast line with 16 MiB parts.
pub const DEFAULT_CONCURRENCY: usize = 10;

/// Takes a message for the user.
pub type Notice = Arc<dyn Fn(&str) + Send + Sync>;

/// How to transfer.
#[derive(Clone)]
pub struct Options {
    /// Files of at least this size travel in parts.
    pub multipart_threshold_bytes: u64,
    /// Size of a part, unless the object needs larger ones to fit 10,000.
    pub part_bytes: u64,
    /// One permit per request in flight.
    pub slots: Arc<Semaphore>,
    /// How many of one file's parts may wait for a slot at once.
    pub concurrency: usize,
    /// Continue an upload that was interrupted, and leave one behind that can be continued. What of each
    /// is to be known is kept in this folder: an endpoint does not tell with which ACL, encryption, tags
    /// and metadata an upload was begun, and they cannot be changed any more.
    pub resume: Option<PathBuf>,
    /// Told of what the user should know although nothing failed.
    pub notice: Option<Notice>,
    /// Told of every byte.
    pub progress: Option<Progress>,
    /// Ends transfers early, tidily.
    pub cancel: CancellationToken,
}

impl Options {
    /// The default sizes with so many requests at once, at least one.
    pub fn new(concurrency: usize) -> Self {
        let concurrency = concurrency.max(1);
        Self {
            multipart_threshold_bytes: DEFAULT_MULTIPART_THRESHOLD_BYTES,
            part_bytes: DEFAULT_PART_BYTES,
            slots: Arc::new(Semaphore::new(concurrency)),
            concurrency,
            resume: None,
            notice: None,
            progress: None,
            cancel: CancellationToken::new(),
        }
    }

    /// Waits for leave to make a request.
    async fn slot(&self) -> Result<OwnedSemaphorePermit, Error> {
        // The semaphore closes only if the caller closes it, which means to stop.
        self.slots
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| Error::Interrupted)
    }

    /// Runs a transfer until it ends or is cancelled.
    async fn unless_cancelled<T>(
        &self,
        transfer: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        match self.cancel.run_until_cancelled(transfer).await {
            Some(outcome) => outcome,
            None => Err(Error::Interrupted),
        }
    }

    fn notify(&self, message: &str) {
        if let Some(notice) = &self.notice {
            notice(message);
        }
    }

    fn advance(&self, bytes: u64) {
        if let Some(progress) = &self.progress {
            progress(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("multipart_threshold_bytes", &self.multipart_threshold_bytes)
            .field("part_bytes", &self.part_bytes)
            .field("concurrency", &self.concurrency)
            .field("resume", &self.resume)
            .finish_non_exhaustive()
    }
}
