//! Writing: bytes go to their final place as they come, invisible until a record names them.

use bytes::{Bytes, BytesMut};
use oncilla_blob::{Extent, ExtentWriter, Volumes};
use oncilla_hash::{Checksum, ChecksumAlgorithm, ChecksumHasher, Md5, Sha256};
use oncilla_meta::Mutation;

use crate::fault::Fault;
use crate::rows::key::UniqueId;
use crate::rows::placement::Placement;
use crate::rows::{body, reference};

/// What the client said its bytes would be; checked before they can be acknowledged.
#[derive(Clone, Debug, Default)]
pub struct Declared {
    /// `Content-MD5`.
    pub md5: Option<[u8; 16]>,
    /// `x-amz-content-sha256`, if it is a digest.
    pub sha256: Option<[u8; 32]>,
    /// `x-amz-checksum-…`, from a header or a trailer.
    pub checksum: Option<Checksum>,
}

/// Which declared digest the bytes do not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestMismatch {
    /// `Content-MD5`.
    ContentMd5,
    /// `x-amz-content-sha256`.
    ContentSha256,
    /// `x-amz-checksum-…` of this algorithm.
    Checksum(ChecksumAlgorithm),
}

/// Why bytes were not taken.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WriteContentError {
    /// The bytes are not what was declared.
    #[error("{0:?} does not match the bytes received")]
    Mismatch(DigestMismatch),
    /// Fewer or more bytes came than were announced.
    #[error("{received} bytes received, {announced} announced")]
    Length {
        /// Bytes announced.
        announced: u64,
        /// Bytes that came.
        received: u64,
    },
    /// A failure beneath.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Takes the bytes of one object or part. Dropped without [`ContentWriter::finish`], it leaves
/// nothing behind.
pub struct ContentWriter {
    volumes: Volumes,
    id: UniqueId,
    announced: u64,
    received: u64,
    sink: Sink,
    md5: Md5,
    sha256: Option<Sha256>,
    checksum: ChecksumHasher,
}

enum Sink {
    /// Small enough for a row of its own.
    Inline(BytesMut),
    Extents(ExtentSink),
}

struct ExtentSink {
    /// Finished extents: released if the writer is dropped.
    finished: UncommittedExtents,
    current: Option<(ExtentWriter, u64)>,
    extent_bytes_max: u64,
}

impl ContentWriter {
    /// A writer for exactly `announced` bytes. Reserves the first extent, so that a full device
    /// is noticed before the client sends its body.
    pub(crate) async fn begin(
        volumes: &Volumes,
        id: UniqueId,
        announced: u64,
        limits: ContentLimits,
        algorithm: ChecksumAlgorithm,
        with_sha256: bool,
    ) -> Result<Self, Fault> {
        let sink = if announced <= limits.inline_bytes_max {
            Sink::Inline(BytesMut::with_capacity(announced as usize))
        } else {
            let length = announced.min(limits.extent_bytes_max);
            let first = volumes.begin(length).await?;
            Sink::Extents(ExtentSink {
                finished: UncommittedExtents::new(volumes.clone()),
                current: Some((first, length)),
                extent_bytes_max: limits.extent_bytes_max,
            })
        };
        Ok(Self {
            volumes: volumes.clone(),
            id,
            announced,
            received: 0,
            sink,
            md5: Md5::new(),
            sha256: with_sha256.then(Sha256::new),
            checksum: ChecksumHasher::new(algorithm),
        })
    }

    /// Takes the next bytes.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), WriteContentError> {
        let received = self.received + bytes.len() as u64;
        if received > self.announced {
            return Err(WriteContentError::Length {
                announced: self.announced,
                received,
            });
        }
        self.md5.update(&bytes);
        self.checksum.update(&bytes);
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(&bytes);
        }
        let remaining = self.announced - self.received;
        self.received = received;
        match &mut self.sink {
            Sink::Inline(buffer) => buffer.extend_from_slice(&bytes),
            Sink::Extents(sink) => sink.write(&self.volumes, bytes, remaining).await?,
        }
        Ok(())
    }

    /// Checks the bytes against what was declared and makes them durable. They stay invisible
    /// until a record names them, and are given back if none ever does.
    pub async fn finish(self, declared: &Declared) -> Result<WrittenContent, WriteContentError> {
        if self.received != self.announced {
            let (announced, received) = (self.announced, self.received);
            return Err(WriteContentError::Length {
                announced,
                received,
            });
        }
        let md5 = self.md5.finish();
        if declared.md5.is_some_and(|declared| declared != md5) {
            return Err(WriteContentError::Mismatch(DigestMismatch::ContentMd5));
        }
        if let Some((hasher, declared)) = self.sha256.zip(declared.sha256)
            && hasher.finish() != declared
        {
            return Err(WriteContentError::Mismatch(DigestMismatch::ContentSha256));
        }
        let checksum = self.checksum.finish();
        if let Some(declared) = &declared.checksum
            && *declared != checksum
        {
            let mismatch = DigestMismatch::Checksum(declared.algorithm());
            return Err(WriteContentError::Mismatch(mismatch));
        }
        let bytes = match self.sink {
            Sink::Inline(buffer) if buffer.is_empty() => WrittenBytes::Empty,
            Sink::Inline(buffer) => WrittenBytes::Inline(self.id, body::encode(&buffer)),
            Sink::Extents(sink) => WrittenBytes::Extents(sink.finish(self.announced)?),
        };
        Ok(WrittenContent {
            size: self.received,
            md5,
            checksum,
            bytes,
        })
    }
}

impl ExtentSink {
    /// Writes `bytes`, going on to a further extent where one is full. `remaining` counts the
    /// announced bytes from the first of `bytes` on.
    async fn write(
        &mut self,
        volumes: &Volumes,
        mut bytes: Bytes,
        mut remaining: u64,
    ) -> Result<(), Fault> {
        while !bytes.is_empty() {
            let (mut writer, room) = match self.current.take() {
                Some(current) => current,
                None => {
                    let length = remaining.min(self.extent_bytes_max);
                    (volumes.begin(length).await?, length)
                }
            };
            let piece =
                bytes.split_to(bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
            let piece_length = piece.len() as u64;
            writer.write(piece).await?;
            remaining -= piece_length;
            if piece_length == room {
                self.finished.extents.push(writer.finish().await?);
            } else {
                self.current = Some((writer, room - piece_length));
            }
        }
        Ok(())
    }

    /// Every announced byte came, so the last extent was filled and finished by `write`; unless a
    /// call of `write` failed or was dropped, which leaves a hole.
    fn finish(self, announced: u64) -> Result<UncommittedExtents, Fault> {
        let kept: u64 = self
            .finished
            .extents
            .iter()
            .map(|extent| extent.length)
            .sum();
        if kept != announced {
            let detail = format!("only {kept} of {announced} bytes were written");
            return Err(Fault::Failed(detail));
        }
        Ok(self.finished)
    }
}

/// Sizes that decide where bytes go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ContentLimits {
    /// Bodies up to this size go into a row of their own.
    pub inline_bytes_max: u64,
    /// Longest extent.
    pub extent_bytes_max: u64,
}

/// Bytes that are durable (or ready to be committed with their record), not yet referred to.
pub struct WrittenContent {
    /// Length in bytes.
    pub size: u64,
    /// MD5 of the bytes.
    pub md5: [u8; 16],
    /// Checksum by the algorithm the writer was begun with.
    pub checksum: Checksum,
    bytes: WrittenBytes,
}

enum WrittenBytes {
    Empty,
    Inline(UniqueId, Bytes),
    Extents(UncommittedExtents),
}

impl WrittenContent {
    /// Where a record has to say the bytes are.
    pub(crate) fn placement(&self) -> Placement {
        match &self.bytes {
            WrittenBytes::Empty => Placement::Empty,
            WrittenBytes::Inline(id, _) => Placement::Inline(*id),
            WrittenBytes::Extents(extents) => Placement::Extents(extents.extents.clone()),
        }
    }

    /// Adds to `mutation` what makes `referrer` the user of these bytes.
    pub(crate) fn refer(&self, mutation: &mut Mutation, referrer: UniqueId) {
        match &self.bytes {
            WrittenBytes::Empty => {}
            WrittenBytes::Inline(id, value) => {
                mutation.put(body::SPACE, body::body_key(*id), value.clone());
            }
            WrittenBytes::Extents(extents) => {
                for extent in &extents.extents {
                    let key = reference::extent_reference_key(extent, referrer);
                    let value = reference::extent_reference_value(extent);
                    mutation.put(oncilla_meta::Space::Records, key, value);
                }
            }
        }
    }

    /// From here on the bytes may be referred to: dropping no longer releases them. Called just
    /// before the commit, because a commit that was begun may be applied whatever happens to the
    /// caller; what a failed one leaves behind is found by the sweep of the next start.
    pub(crate) fn commit_begins(&mut self) {
        if let WrittenBytes::Extents(extents) = &mut self.bytes {
            extents.release_on_drop = false;
        }
    }

    /// The commit was refused, so nothing refers to the bytes after all.
    pub(crate) fn commit_refused(&mut self) {
        if let WrittenBytes::Extents(extents) = &mut self.bytes {
            extents.release_on_drop = true;
        }
    }
}

/// Extents that no record names yet; released when dropped.
struct UncommittedExtents {
    volumes: Volumes,
    extents: Vec<Extent>,
    release_on_drop: bool,
}

impl UncommittedExtents {
    fn new(volumes: Volumes) -> Self {
        Self {
            volumes,
            extents: Vec::new(),
            release_on_drop: true,
        }
    }
}

impl Drop for UncommittedExtents {
    fn drop(&mut self) {
        if !self.release_on_drop || self.extents.is_empty() {
            return;
        }
        // Outside a runtime (the process is ending) the sweep of the next start finds them.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let (volumes, extents) = (self.volumes.clone(), std::mem::take(&mut self.extents));
        runtime.spawn(async move {
            for extent in extents {
                if let Err(error) = volumes.release(extent).await {
                    tracing::warn!(?extent, %error, "abandoned extent not released");
                }
            }
        });
    }
}
