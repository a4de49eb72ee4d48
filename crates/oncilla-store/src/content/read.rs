//! Reading: the bytes of a range of an object, piece by piece, each verified before it is given.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use oncilla_blob::{Extent, ExtentReader, Pin, Volumes};
use oncilla_meta::{Engine, Space};

use crate::content::sealed::{BodyKey, Kept, SealedReader};
use crate::fault::Fault;
use crate::pins::UploadPin;
use crate::rows::body;
use crate::rows::key::UniqueId;
use crate::rows::layout::Layout;
use crate::rows::part::{PartRecord, part_key};
use crate::rows::placement::Placement;

/// Bytes `start..end` of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// First byte.
    pub start: u64,
    /// Byte after the last one.
    pub end: u64,
}

impl ByteRange {
    /// Length in bytes.
    pub fn length(&self) -> u64 {
        self.end - self.start
    }
}

/// Where a body comes from, held so that the collector keeps its hands off it.
pub(crate) enum BodySource {
    Empty,
    Inline(Bytes),
    Extents(PinnedExtents),
    Upload(UploadSource),
}

/// Extents with pins on them.
pub(crate) struct PinnedExtents {
    pub extents: Vec<Extent>,
    /// Held for what dropping them does.
    pub _pins: Vec<Pin>,
}

/// The parts of a completed upload with a pin on it.
pub(crate) struct UploadSource {
    pub engine: Arc<dyn Engine>,
    pub upload: UniqueId,
    pub layout: Layout,
    pub pin: UploadPin,
}

/// Reads a range of a body. The whole range is read in order; memory is bounded by one piece.
pub struct BodyReader {
    volumes: Volumes,
    source: BodySource,
    position: u64,
    end: u64,
    current: Option<Current>,
    /// What opens the body, if it is encrypted.
    key: Option<Box<BodyKey>>,
    /// Why nothing can be read.
    fault: Option<Fault>,
}

/// The extent being read, or the small part.
enum Current {
    Extent(Box<ExtentReader>),
    Bytes(Bytes),
    Sealed(Box<SealedReader>),
}

impl BodyReader {
    pub(crate) fn new(volumes: Volumes, source: BodySource, range: ByteRange) -> Self {
        Self {
            volumes,
            source,
            position: range.start,
            end: range.end,
            current: None,
            key: None,
            fault: None,
        }
    }

    /// The same body, decrypted.
    pub(crate) fn with_key(mut self, key: BodyKey) -> Self {
        self.key = Some(Box::new(key));
        self
    }

    /// A reader that fails, for a body whose key cannot be had.
    pub(crate) fn failing(mut self, fault: Fault) -> Self {
        self.fault = Some(fault);
        self
    }

    /// Bytes still to come.
    pub fn remaining(&self) -> u64 {
        self.end - self.position
    }

    /// Goes on at this byte of the body, or at the end of the range if that comes first.
    pub fn seek(&mut self, position: u64) {
        self.position = position.min(self.end);
        self.current = None;
    }

    /// The next piece; `None` at the end. After an error nothing more can be read.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        while self.position < self.end {
            let piece = match &mut self.current {
                None => {
                    if let Some(fault) = &self.fault {
                        return Err(fault.clone());
                    }
                    self.current = Some(match &self.key {
                        None => self.open().await?,
                        Some(key) => self.open_sealed(key).await?,
                    });
                    continue;
                }
                Some(Current::Bytes(bytes)) => {
                    Some(std::mem::take(bytes)).filter(|b| !b.is_empty())
                }
                Some(Current::Extent(reader)) => reader.next().await?,
                Some(Current::Sealed(reader)) => reader.next().await?,
            };
            match piece {
                Some(piece) => {
                    self.position += piece.len() as u64;
                    return Ok(Some(piece));
                }
                None => self.current = None,
            }
        }
        Ok(None)
    }

    /// Opens whatever holds the byte at the current position.
    async fn open(&mut self) -> Result<Current, Fault> {
        match &self.source {
            BodySource::Empty => Err(shorter_than_recorded()),
            BodySource::Inline(body) => slice(body, self.position, self.end).map(Current::Bytes),
            BodySource::Extents(pinned) => {
                open_extent(&self.volumes, &pinned.extents, self.position, self.end)
            }
            BodySource::Upload(source) => {
                let (part, range) = source.part_at(self.position, self.end).await?;
                let Range { start, end } = range;
                match &part.placement {
                    Placement::Inline(id) => {
                        slice(&source.inline_part(*id).await?, start, end).map(Current::Bytes)
                    }
                    Placement::Extents(extents) => open_extent(&self.volumes, extents, start, end),
                    Placement::Empty | Placement::Upload(_) => Err(shorter_than_recorded()),
                }
            }
        }
    }
}

impl BodyReader {
    /// As [`BodyReader::open`], of an encrypted body: all of it, or of the part at the current
    /// position.
    async fn open_sealed(&self, key: &BodyKey) -> Result<Current, Fault> {
        let (kept, salt, body_bytes, range) = match &self.source {
            BodySource::Empty => return Err(shorter_than_recorded()),
            BodySource::Inline(body) => {
                let kept = Kept::Inline(body.clone());
                (kept, key.salt, key.body_bytes, self.position..self.end)
            }
            BodySource::Extents(pinned) => {
                let kept = Kept::Extents(pinned.extents.clone());
                (kept, key.salt, key.body_bytes, self.position..self.end)
            }
            BodySource::Upload(source) => {
                let (part, range) = source.part_at(self.position, self.end).await?;
                let kept = match part.placement {
                    Placement::Inline(id) => Kept::Inline(source.inline_part(id).await?),
                    Placement::Extents(extents) => Kept::Extents(extents),
                    Placement::Empty | Placement::Upload(_) => return Err(shorter_than_recorded()),
                };
                (kept, part.salt, part.size, range)
            }
        };
        let volumes = &self.volumes;
        let reader = SealedReader::new(volumes, kept, &key.data_key, salt, body_bytes, range)?;
        Ok(Current::Sealed(Box::new(reader)))
    }
}

impl UploadSource {
    /// The part that holds the byte at `position` of the object, and what of it lies before `end`.
    async fn part_at(&self, position: u64, end: u64) -> Result<(PartRecord, Range<u64>), Fault> {
        // The pin keeps the parts; that is all it is for.
        let _: &UploadPin = &self.pin;
        let place = self.layout.part_at(position);
        let place = place.ok_or_else(shorter_than_recorded)?;
        let key = part_key(self.upload, place.number);
        let row = self.engine.get(Space::Records, &key).await?;
        let part = PartRecord::decode(row.ok_or_else(|| missing("part"))?)?;
        let range = position - place.offset..place.size.min(end - place.offset);
        Ok((part, range))
    }

    /// A part that is kept in a row, as it is kept.
    async fn inline_part(&self, id: UniqueId) -> Result<Bytes, Fault> {
        let row = self.engine.get(body::SPACE, &body::body_key(id)).await?;
        Ok(body::decode(row.ok_or_else(|| missing("part's body"))?)?)
    }
}

/// Opens the extent that holds the byte at `start`, to read from there up to `end` or its end.
fn open_extent(
    volumes: &Volumes,
    extents: &[Extent],
    start: u64,
    end: u64,
) -> Result<Current, Fault> {
    let mut offset = 0;
    for extent in extents {
        if start < offset + extent.length {
            let within = start - offset..extent.length.min(end - offset);
            return Ok(Current::Extent(Box::new(volumes.read(*extent, within))));
        }
        offset += extent.length;
    }
    Err(shorter_than_recorded())
}

fn slice(body: &Bytes, start: u64, end: u64) -> Result<Bytes, Fault> {
    if end > body.len() as u64 || start > end {
        return Err(shorter_than_recorded());
    }
    Ok(body.slice(start as usize..end as usize))
}

fn shorter_than_recorded() -> Fault {
    Fault::Damaged("the body is shorter than its record says".to_owned())
}

fn missing(what: &str) -> Fault {
    Fault::Damaged(format!("a {what} that a record names is missing"))
}
