//! What a handler is told about a request beside the request itself, and what it tells back.

use std::fmt;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use parking_lot::Mutex;

use crate::bucket_logs::Draft;
use crate::transfer::Transfer;
use crate::{MemoryBudget, MemoryPermit, NoRoom, RequestId};

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A TCP client.
    Tcp(SocketAddr),
    /// A process of the server's own user, through the socket file in the data directory.
    LocalSocket,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::LocalSocket => f.write_str("local"),
        }
    }
}

/// What was agreed on for a TLS connection, by the names that access logs have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsSession {
    /// Such as `TLSv1.3`.
    pub version: &'static str,
    /// Such as `TLS_AES_128_GCM_SHA256`.
    pub cipher_suite: &'static str,
}

/// What the machinery knows of a request. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RequestContext {
    /// The id in `x-amz-request-id`, in the log and in error documents.
    pub request_id: RequestId,
    /// The other end of the connection.
    pub peer: Peer,
    /// Whether the request came over TLS.
    pub tls: bool,
    /// How it is encrypted, if it came over TLS.
    pub tls_session: Option<TlsSession>,
    /// When the head had been read.
    pub arrived: Instant,
    /// Where the handler notes what the log and the metrics should know.
    pub facts: Arc<RequestFacts>,
    /// The memory that all requests share: reserve from it before buffering.
    pub memory: MemoryBudget,
}

impl RequestContext {
    /// Reserves memory that is held while the request's body comes in, or its answer goes out: see
    /// [`MemoryBudget::reserve`]. When others wait for memory and its client is slow, the request may
    /// be ended: the body says so, or the connection is cut.
    ///
    /// # Errors
    /// [`NoRoom`] when there is no room.
    pub async fn reserve_for_transfer(&self, bytes: usize) -> Result<MemoryPermit, NoRoom> {
        let permit = self.memory.reserve(bytes).await?;
        Ok(permit.held_by(&self.facts))
    }

    /// The same without waiting, for an answer that is made already.
    ///
    /// # Errors
    /// [`NoRoom`] when there is no room now.
    pub fn try_reserve_for_transfer(&self, bytes: usize) -> Result<MemoryPermit, NoRoom> {
        let permit = self.memory.try_reserve(bytes)?;
        Ok(permit.held_by(&self.facts))
    }

    /// The same for a request that also computes for long: see [`MemoryBudget::reserve_for_computing`].
    ///
    /// # Errors
    /// [`NoRoom`] when there is no room.
    pub async fn reserve_for_computing(&self, bytes: usize) -> Result<MemoryPermit, NoRoom> {
        let permit = self.memory.reserve_for_computing(bytes).await?;
        Ok(permit.held_by(&self.facts))
    }
}

/// What a handler notes about a request as it finds out: read once, when the answer is complete.
/// Noting something twice keeps the later value.
#[derive(Debug, Default)]
pub struct RequestFacts {
    inner: Mutex<Facts>,
    /// The line in the bucket's own log, if it has one.
    bucket_log: OnceLock<Box<Draft>>,
    received_bytes: AtomicU64,
    transfer: Transfer,
}

/// The facts noted so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// S3's name of the operation, such as `GetObject`; the label of the latency histograms, so it
    /// comes from the program and never from the request.
    pub operation: Option<&'static str>,
    /// The bucket that the request addresses.
    pub bucket: Option<String>,
    /// The key within the bucket, decoded.
    pub key: Option<String>,
    /// The access key id that signed, verified or not. Never a secret.
    pub access_key_id: Option<String>,
    /// S3's error code when the answer is an error.
    pub error_code: Option<&'static str>,
}

impl RequestFacts {
    /// Notes S3's name of the operation.
    pub fn note_operation(&self, operation: &'static str) {
        self.inner.lock().operation = Some(operation);
    }

    /// Notes the bucket.
    pub fn note_bucket(&self, bucket: &str) {
        self.inner.lock().bucket = Some(bucket.to_owned());
    }

    /// Notes the object's key.
    pub fn note_key(&self, key: &str) {
        self.inner.lock().key = Some(key.to_owned());
    }

    /// Notes who signed.
    pub fn note_access_key_id(&self, access_key_id: &str) {
        self.inner.lock().access_key_id = Some(access_key_id.to_owned());
    }

    /// Notes the error that is answered, or found while the body was already on its way.
    pub fn note_error_code(&self, code: &'static str) {
        self.inner.lock().error_code = Some(code);
    }

    /// Notes that the request gets a line in its bucket's log. Only the first one counts.
    pub(crate) fn note_bucket_log(&self, draft: Draft) {
        let _ = self.bucket_log.set(Box::new(draft));
    }

    /// The line in the bucket's log.
    pub(crate) fn bucket_log(&self) -> Option<&Draft> {
        self.bucket_log.get().map(|draft| &**draft)
    }

    /// What has been noted so far. Whoever notes something waits while it is being read.
    pub fn read(&self) -> impl Deref<Target = Facts> {
        self.inner.lock()
    }

    /// Counts bytes of the request's body, as they came.
    pub(crate) fn add_received_bytes(&self, length: u64) {
        self.received_bytes.fetch_add(length, Ordering::Relaxed);
    }

    /// How its body and its answer's move.
    pub(crate) fn transfer(&self) -> &Transfer {
        &self.transfer
    }

    /// Bytes of the request's body that have come so far.
    pub(crate) fn received_bytes(&self) -> u64 {
        self.received_bytes.load(Ordering::Relaxed)
    }
}
