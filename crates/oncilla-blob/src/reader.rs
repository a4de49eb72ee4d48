//! Reading one extent, or a range of it.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use oncilla_hash::crc32c;

use crate::error::{Damage, ReadError};
use crate::extent::{BLOCK_BYTES, Extent};
use crate::format::{
    EXTENT_BYTES_LIMIT, EXTENT_HEADER_BYTES, ExtentHeader, HeadError, head_bytes, u32_at,
};
use crate::fs::{View, read_full_at};
use crate::stats::add;
use crate::volumes::{Inner, Pin, blocking};

/// What one step reads, in bytes, unless a single frame is longer. Four frames of the default
/// size: large enough that the cost of a call vanishes, small enough to stay in a core's cache
/// between the checksum and the socket.
const STEP_BYTES: u64 = 256 << 10;

/// Reads a range of an extent front to back. The extent stays pinned while the reader lives.
///
/// Holds at most one step of 256 KiB (or one frame, if frames are longer) and the table of
/// checksums (4 bytes per frame: 16 KiB for 256 MiB in frames of 64 KiB). What it has yielded
/// shares the step's buffer, which lives as long as the caller keeps a part of it, or is a view of
/// the page cache, which keeps the extent pinned as long.
#[derive(Debug)]
pub struct ExtentReader {
    pin: Arc<Pin>,
    inner: Arc<Inner>,
    range: Range<u64>,
    position: u64,
    head: Option<Head>,
    /// Payload from its first byte on that was read together with the head.
    ahead: Bytes,
    failed: bool,
}

#[derive(Debug)]
struct Head {
    frame_bytes: u64,
    payload_offset: u64,
    table: Bytes,
}

impl ExtentReader {
    pub(crate) fn new(pin: Pin, inner: Arc<Inner>, range: Range<u64>) -> ExtentReader {
        let position = range.start;
        ExtentReader {
            pin: Arc::new(pin),
            inner,
            range,
            position,
            head: None,
            ahead: Bytes::new(),
            failed: false,
        }
    }

    /// The next bytes of the range, or `None` at its end. Every frame they come from has been
    /// verified. After an error there is nothing more to read: `None`. Safe to cancel.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ReadError> {
        if self.failed {
            return Ok(None);
        }
        let step = self.step().await;
        if let Err(error) = &step {
            self.failed = true;
            if matches!(error, ReadError::Damaged { .. }) {
                add(&self.inner.shared.counters.damaged_reads, 1);
            }
        }
        step
    }

    async fn step(&mut self) -> Result<Option<Bytes>, ReadError> {
        let extent = self.pin.extent();
        if self.head.is_none() {
            self.load_head(extent).await?;
        }
        let Some(head) = &self.head else {
            return Ok(None);
        };
        if self.position >= self.range.end {
            return Ok(None);
        }
        let frame_bytes = head.frame_bytes;
        let first_frame = self.position / frame_bytes;
        let start = first_frame * frame_bytes;
        let step_bytes = STEP_BYTES.max(frame_bytes);
        // Only as many frames as the range touches.
        let wanted_end = self
            .range
            .end
            .next_multiple_of(frame_bytes)
            .min(extent.length);
        let end = wanted_end.min(start + step_bytes);
        let payload_offset = head.payload_offset;
        let payload = if end <= self.ahead.len() as u64 {
            self.ahead.slice(start as usize..end as usize)
        } else {
            read_region(&self.inner, &self.pin, payload_offset + start, end - start).await?
        };
        self.ahead = Bytes::new();
        if (payload.len() as u64) < end - start {
            return Err(damaged(extent, Damage::Truncated));
        }
        let Some(head) = &self.head else {
            return Ok(None);
        };
        for (index, frame) in (first_frame..).zip(payload.chunks(frame_bytes as usize)) {
            if crc32c(frame) != u32_at(&head.table, 4 * index as usize) {
                let index = u32::try_from(index).unwrap_or(u32::MAX);
                return Err(damaged(extent, Damage::Frame { index }));
            }
        }
        let from = (self.position - start) as usize;
        let to = (self.range.end.min(end) - start) as usize;
        self.position = self.range.end.min(end);
        Ok(Some(payload.slice(from..to)))
    }

    /// Reads and checks header and table, and with them the first step of the payload if the range
    /// begins in the first frame: most extents are then read with one call.
    async fn load_head(&mut self, extent: Extent) -> Result<(), ReadError> {
        let Range { start, end } = self.range;
        if start > end || end > extent.length {
            return Err(ReadError::Range { extent, start, end });
        }
        let possible = extent.offset >= BLOCK_BYTES
            && extent.offset.is_multiple_of(BLOCK_BYTES)
            && extent.offset < u64::MAX / 2
            && extent.length <= EXTENT_BYTES_LIMIT;
        if !possible || !self.pin.is_in_time() {
            return Err(ReadError::Missing { extent });
        }
        let guess = self.inner.shared.options.frame_bytes;
        let frame_bytes = u64::from(guess);
        let head = head_bytes(extent.length, guess);
        let ahead = if start < frame_bytes && start < end {
            let wanted = end.next_multiple_of(frame_bytes).min(extent.length);
            wanted.min(STEP_BYTES.max(frame_bytes))
        } else {
            0
        };
        let mut wanted = head + ahead;
        let (header, bytes) = loop {
            let bytes = read_region(&self.inner, &self.pin, extent.offset, wanted).await?;
            match ExtentHeader::decode(&bytes) {
                Ok(header) => break (header, bytes),
                Err(HeadError::Absent) => return Err(ReadError::Missing { extent }),
                Err(HeadError::Short { .. }) if bytes.is_empty() => {
                    return Err(ReadError::Missing { extent });
                }
                // Shorter frames than this run writes make for a longer table.
                Err(HeadError::Short { needed_bytes }) if needed_bytes > wanted => {
                    wanted = needed_bytes;
                }
                Err(HeadError::Short { .. }) => return Err(damaged(extent, Damage::Truncated)),
                Err(HeadError::Damaged) => return Err(damaged(extent, Damage::Header)),
                Err(HeadError::Unsupported { version, cipher }) => {
                    return Err(ReadError::Unsupported {
                        extent,
                        version,
                        cipher,
                    });
                }
            }
        };
        if header.extent != extent {
            return Err(damaged(extent, Damage::OtherExtent));
        }
        let head = header.head_bytes();
        let table = bytes.slice(EXTENT_HEADER_BYTES as usize..head as usize);
        self.ahead = bytes.slice(head as usize..);
        self.head = Some(Head {
            frame_bytes: u64::from(header.frame_bytes),
            payload_offset: extent.offset + head,
            // A copy, so that the table does not keep the first step's buffer in memory.
            table: Bytes::copy_from_slice(&table),
        });
        Ok(())
    }
}

fn damaged(extent: Extent, damage: Damage) -> ReadError {
    ReadError::Damaged { extent, damage }
}

/// A view whose bytes stay what they are, since the extent cannot be released.
struct PinnedView {
    view: View,
    _pin: Arc<Pin>,
}

impl AsRef<[u8]> for PinnedView {
    fn as_ref(&self) -> &[u8] {
        self.view.as_ref()
    }
}

/// Reads from the volume of the pinned extent: on this thread what is in memory, where possible
/// without a copy; on a blocking one what has to come from the device. Fewer bytes than wanted
/// mean the end of the file.
async fn read_region(
    inner: &Arc<Inner>,
    pin: &Arc<Pin>,
    offset: u64,
    length: u64,
) -> Result<Bytes, ReadError> {
    let extent = pin.extent();
    let counters = &inner.shared.counters;
    let handle = inner.shared.handles.get(extent.volume);
    if let Some(view) = handle
        .as_ref()
        .and_then(|file| file.view(offset, length as usize))
    {
        add(&counters.reads_inline, 1);
        add(&counters.read_bytes, length);
        let _pin = Arc::clone(pin);
        return Ok(Bytes::from_owner(PinnedView { view, _pin }));
    }
    let mut buffer = BytesMut::zeroed(length as usize);
    let mut done = 0;
    if let Some(file) = handle {
        // Whatever goes wrong here goes wrong again, and is reported, below.
        done = file.read_at_nowait(&mut buffer, offset).unwrap_or(0);
        if done == buffer.len() {
            add(&counters.reads_inline, 1);
            add(&counters.read_bytes, length);
            return Ok(buffer.freeze());
        }
    }
    add(&counters.reads_blocking, 1);
    let shared = Arc::clone(&inner.shared);
    let volume = extent.volume;
    let read = blocking(move || -> io::Result<Bytes> {
        let file = shared.open_volume(volume)?;
        done += read_full_at(&*file, &mut buffer[done..], offset + done as u64)?;
        buffer.truncate(done);
        Ok(buffer.freeze())
    });
    match read.await.and_then(|result| result) {
        Ok(bytes) => {
            add(&inner.shared.counters.read_bytes, bytes.len() as u64);
            Ok(bytes)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(ReadError::Missing { extent }),
        Err(error) => Err(ReadError::Io {
            extent,
            source: Arc::new(error),
        }),
    }
}
