//! Writing one extent.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;

use bytes::{Bytes, BytesMut};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::error::WriteError;
use crate::extent::Extent;
use crate::format::{ExtentHeader, frame_checksums, head_bytes};
use crate::fs::write_all_at;
use crate::options::Durability;
use crate::shared::{OwnVolume, Shared};
use crate::stats::add;
use crate::threads::{SpaceMessage, SyncMessage};
use crate::volumes::{Inner, blocking};

/// Extents that occupy no more than this are gathered and written with one call, header and all:
/// a second trip to a blocking thread costs more than the copy.
const WHOLE_BYTES_MAX: u64 = 512 << 10;

/// What longer extents gather before they write, in bytes. One such buffer fills while another is
/// being written, so this is half of what a writer holds.
const FLUSH_BYTES: usize = 256 << 10;

/// The longest run that is written straight from a caller's buffer in one call, in bytes.
const DIRECT_BYTES_MAX: usize = 1 << 20;

/// How far ahead of what was written the device's space is reserved, in bytes. A client that
/// announces much and sends nothing must not occupy more than this, and one that does send should
/// learn of a full device before its bytes have been written in vain.
const RESERVE_AHEAD_BYTES: u64 = 16 << 20;

/// The place of an extent that is being written. Whoever writes into it holds a reference, so its
/// end comes after the last write; and if it was not finished, its space is given back then.
#[derive(Debug)]
pub(crate) struct Region {
    shared: Arc<Shared>,
    space: Sender<SpaceMessage>,
    pub volume: Arc<OwnVolume>,
    pub offset: u64,
    bytes: u64,
    /// How much of it, from its start, has space on the device.
    reserved_bytes: AtomicU64,
    finished: AtomicBool,
}

impl Region {
    pub fn new(inner: &Inner, volume: Arc<OwnVolume>, offset: u64, bytes: u64) -> Arc<Region> {
        Arc::new(Region {
            shared: Arc::clone(&inner.shared),
            space: inner.space.clone(),
            volume,
            offset,
            bytes,
            reserved_bytes: AtomicU64::new(0),
            finished: AtomicBool::new(false),
        })
    }

    /// Reserves space on the device for what lies before `end`, and some way ahead. Blocks.
    pub fn reserve(&self, end: u64) -> Result<(), WriteError> {
        let reserved = self.reserved_bytes.load(Ordering::Acquire);
        if end <= reserved && reserved > 0 {
            return Ok(());
        }
        let wanted = end.max(reserved + RESERVE_AHEAD_BYTES).min(self.bytes);
        match self
            .volume
            .file
            .allocate(self.offset + reserved, wanted - reserved)
        {
            // Without reservation a full device shows when the bytes are written.
            Err(error) if error.kind() != io::ErrorKind::Unsupported => return Err(error.into()),
            _ => {}
        }
        self.reserved_bytes.store(wanted, Ordering::Release);
        Ok(())
    }

    fn write(&self, bytes: &[u8], at: u64) -> Result<(), WriteError> {
        self.reserve(at + bytes.len() as u64)?;
        let written = write_all_at(&*self.volume.file, bytes, self.offset + at);
        let error = match written.map_err(WriteError::from) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        if !matches!(error, WriteError::NoSpace) {
            // The device may be failing: what is here stays, what is new goes elsewhere.
            tracing::error!(volume = %self.volume.id, %error, "write failed; sealing the volume");
            self.volume.seal();
        }
        Err(error)
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        if self.finished.load(Ordering::Acquire) {
            return;
        }
        add(&self.shared.counters.extents_abandoned, 1);
        let (offset, bytes) = (self.offset, self.bytes);
        // After shutdown nobody listens; the space is then for the collector of a later run.
        let volume = Arc::clone(&self.volume);
        let _ = self.space.send(SpaceMessage::Abandon {
            volume,
            offset,
            bytes,
        });
    }
}

/// Writes one extent, front to back. Dropped without `finish`, it gives its space back.
///
/// Holds at most 512 KiB (two buffers of 256 KiB, or one for an extent that is written as a
/// whole), the table of checksums (4 bytes per frame: 16 KiB for 256 MiB in frames of 64 KiB), and
/// at most one slice of up to 1 MiB that the caller passed, while it is being written.
#[derive(Debug)]
pub struct ExtentWriter {
    inner: Arc<Inner>,
    region: Arc<Region>,
    declared_bytes: u64,
    received_bytes: u64,
    /// Payload handed over for writing.
    flushed_bytes: u64,
    /// Whether everything is gathered in `buffer`, which then begins with room for the head.
    whole: bool,
    buffer: BytesMut,
    checksums: Vec<u32>,
    in_flight: Option<JoinHandle<Result<Vec<u32>, WriteError>>>,
    /// A call did not come to its end.
    interrupted: bool,
}

impl ExtentWriter {
    pub(crate) fn new(inner: Arc<Inner>, region: Arc<Region>, declared_bytes: u64) -> ExtentWriter {
        let frame_bytes = inner.shared.options.frame_bytes;
        let whole = region.bytes <= WHOLE_BYTES_MAX;
        let buffer = if whole {
            let head = head_bytes(declared_bytes, frame_bytes) as usize;
            let mut buffer = BytesMut::with_capacity(head + declared_bytes as usize);
            buffer.resize(head, 0);
            buffer
        } else {
            BytesMut::new()
        };
        ExtentWriter {
            inner,
            region,
            declared_bytes,
            received_bytes: 0,
            flushed_bytes: 0,
            whole,
            buffer,
            checksums: Vec::new(),
            in_flight: None,
            interrupted: false,
        }
    }

    /// Appends to the payload. Waits while the device is slower than the caller.
    ///
    /// Not safe to cancel: after a dropped call every further one fails with `Interrupted`.
    ///
    /// # Errors
    /// `LengthMismatch` as soon as more comes than was announced; `NoSpace`, `Io` also for
    /// bytes of earlier calls, which are written while more is gathered.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), WriteError> {
        if self.interrupted {
            return Err(WriteError::Interrupted);
        }
        self.interrupted = true;
        let written = self.received_bytes + bytes.len() as u64;
        if written > self.declared_bytes {
            return Err(WriteError::LengthMismatch {
                declared: self.declared_bytes,
                written,
            });
        }
        if self.whole {
            self.buffer.extend_from_slice(&bytes);
        } else {
            self.gather(bytes).await?;
        }
        self.received_bytes = written;
        self.interrupted = false;
        Ok(())
    }

    /// Completes the extent: header and table are written and, unless the durability is
    /// [`Durability::Os`], everything is on the device when this returns.
    ///
    /// # Errors
    /// `LengthMismatch` if less came than was announced; `VolumeFailed` if the sync failed;
    /// `NoSpace`, `Io`, `Closed`. The extent does not exist then.
    pub async fn finish(mut self) -> Result<Extent, WriteError> {
        if self.interrupted {
            return Err(WriteError::Interrupted);
        }
        if self.received_bytes != self.declared_bytes {
            return Err(WriteError::LengthMismatch {
                declared: self.declared_bytes,
                written: self.received_bytes,
            });
        }
        let volume = Arc::clone(&self.region.volume);
        let extent = Extent {
            volume: volume.id,
            offset: self.region.offset,
            length: self.declared_bytes,
        };
        let header = ExtentHeader {
            extent,
            frame_bytes: self.frame_bytes(),
        };
        if self.whole {
            self.write_whole(header).await?;
        } else {
            self.write_rest(header).await?;
        }
        match self.inner.shared.options.durability {
            Durability::Os => volume.check()?,
            Durability::Sync => {
                let (done, synced) = oneshot::channel();
                let message = SyncMessage::Sync { volume, done };
                self.inner
                    .sync
                    .send(message)
                    .map_err(|_| WriteError::Closed)?;
                synced.await.map_err(|_| WriteError::Closed)??;
            }
        }
        self.region.finished.store(true, Ordering::Release);
        let counters = &self.inner.shared.counters;
        add(&counters.extents_finished, 1);
        add(&counters.written_bytes, self.declared_bytes);
        Ok(extent)
    }

    fn frame_bytes(&self) -> u32 {
        self.inner.shared.options.frame_bytes
    }

    /// Takes bytes of a long extent, handing over whole frames as they come together.
    async fn gather(&mut self, mut bytes: Bytes) -> Result<(), WriteError> {
        // Both are powers of two, so a flush is always whole frames.
        let flush_bytes = FLUSH_BYTES.max(self.frame_bytes() as usize);
        while !bytes.is_empty() {
            if self.buffer.is_empty() && bytes.len() >= flush_bytes {
                let whole_flushes = bytes.len() / flush_bytes * flush_bytes;
                self.flush(bytes.split_to(whole_flushes.min(DIRECT_BYTES_MAX)))
                    .await?;
                continue;
            }
            if self.buffer.capacity() == 0 {
                self.buffer.reserve(flush_bytes);
            }
            let room = flush_bytes - self.buffer.len();
            self.buffer
                .extend_from_slice(&bytes.split_to(room.min(bytes.len())));
            if self.buffer.len() == flush_bytes {
                let full = std::mem::take(&mut self.buffer).freeze();
                self.flush(full).await?;
            }
        }
        Ok(())
    }

    /// Hands over payload for writing, once what was handed over before is written.
    async fn flush(&mut self, payload: Bytes) -> Result<(), WriteError> {
        self.settle().await?;
        let frame_bytes = self.frame_bytes();
        let at = head_bytes(self.declared_bytes, frame_bytes) + self.flushed_bytes;
        self.flushed_bytes += payload.len() as u64;
        let region = Arc::clone(&self.region);
        self.in_flight = Some(tokio::task::spawn_blocking(move || {
            let checksums = frame_checksums(&payload, frame_bytes);
            region.write(&payload, at)?;
            Ok(checksums)
        }));
        Ok(())
    }

    /// Waits for what was handed over for writing.
    async fn settle(&mut self) -> Result<(), WriteError> {
        let Some(in_flight) = self.in_flight.take() else {
            return Ok(());
        };
        let checksums = in_flight.await.map_err(std::io::Error::other)??;
        self.checksums.extend(checksums);
        Ok(())
    }

    async fn write_whole(&mut self, header: ExtentHeader) -> Result<(), WriteError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let region = Arc::clone(&self.region);
        blocking(move || {
            let (head, payload) = buffer.split_at_mut(header.head_bytes() as usize);
            header.encode_into(head, &frame_checksums(payload, header.frame_bytes));
            region.write(&buffer, 0)
        })
        .await?
    }

    async fn write_rest(&mut self, header: ExtentHeader) -> Result<(), WriteError> {
        if !self.buffer.is_empty() {
            let rest = std::mem::take(&mut self.buffer).freeze();
            self.flush(rest).await?;
        }
        self.settle().await?;
        let checksums = std::mem::take(&mut self.checksums);
        let region = Arc::clone(&self.region);
        blocking(move || {
            let mut head = vec![0; header.head_bytes() as usize];
            header.encode_into(&mut head, &checksums);
            region.write(&head, 0)
        })
        .await?
    }
}
