//! Writing: bytes go to their final place as they come, invisible until a record names them.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use oncilla_blob::{Extent, ExtentWriter, GroupId, Volumes};
use oncilla_hash::{Checksum, ChecksumAlgorithm, ChecksumHasher, Sha256};
use oncilla_keys::{DataKey, OpenFailed, Salt};
use oncilla_meta::Mutation;

use crate::content::hashing::{HASH_IN_PLACE_BYTES_MAX, HashThreads, UploadMd5};
use crate::content::sealed::{Sealer, kept_bytes};
use crate::encryption::NewEncryption;
use crate::fault::Fault;
use crate::rows::body;
use crate::rows::encryption::Encryption;
use crate::rows::key::UniqueId;
use crate::rows::placement::Placement;

/// What a long body is gathered to before it is hashed and written. What volumes write at a time,
/// so that they write it as it is instead of gathering it again.
const CHUNK_BYTES: usize = 256 << 10;

/// As [`CHUNK_BYTES`], for bodies of up to [`SHORT_BODY_BYTES_MAX`]: hashing overlaps with receiving
/// sooner, and little is held beside the volumes' copy.
const SHORT_BODY_CHUNK_BYTES: usize = 64 << 10;

/// Bodies up to this length are gathered as a whole by the volumes.
const SHORT_BODY_BYTES_MAX: u64 = 512 << 10;

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
///
/// Beside what the volumes hold (at most 512 KiB), it holds the chunk that is being filled and the
/// one that is being hashed: 128 KiB for bodies of up to 512 KiB. Chunks of longer bodies are what
/// the volumes hold of them. If the bytes are encrypted, there are up to 256 KiB of encrypted ones more.
pub struct ContentWriter {
    volumes: Volumes,
    id: UniqueId,
    limits: ContentLimits,
    announced: u64,
    received: u64,
    sink: Sink,
    md5: UploadMd5,
    sha256: Option<Sha256>,
    checksum: ChecksumHasher,
    sealing: Option<Box<Sealing>>,
}

/// How the bytes are encrypted.
struct Sealing {
    encryption: Encryption,
    data_key: DataKey,
    /// `None` once it has sealed all there is.
    sealer: Option<Sealer>,
}

impl Sealing {
    fn new(encryption: &NewEncryption, body_bytes: u64) -> Result<Self, Fault> {
        let salt = Salt::random()?;
        let sealer = Sealer::new(&encryption.data_key, salt, body_bytes);
        let mut stored = encryption.stored.clone();
        stored.salt = Some(salt);
        Ok(Self {
            encryption: stored,
            data_key: encryption.data_key.clone(),
            sealer: Some(sealer.map_err(not_encrypted)?),
        })
    }
}

fn not_encrypted(_: OpenFailed) -> Fault {
    Fault::Failed("the bytes could not be encrypted".to_owned())
}

enum Sink {
    /// Small enough for a row of its own.
    Inline(BytesMut),
    Extents(ExtentSink),
}

struct ExtentSink {
    /// Bytes not yet in their chunk.
    chunks: Chunks,
    /// Bytes that were not written yet, as they are kept.
    remaining: u64,
    /// Finished extents: released if the writer is dropped.
    finished: UncommittedExtents,
    current: Option<(ExtentWriter, u64)>,
    extent_bytes_max: u64,
    group: GroupId,
}

impl ContentWriter {
    /// A writer for exactly the announced bytes. Reserves the first extent, so that a full device
    /// is noticed before the client sends its body.
    pub(crate) async fn begin(
        volumes: &Volumes,
        limits: ContentLimits,
        hash_threads: &Arc<HashThreads>,
        body: NewBody<'_>,
    ) -> Result<Self, Fault> {
        let NewBody {
            id,
            announced,
            algorithm,
            with_sha256,
            encryption,
        } = body;
        let sealing = match encryption {
            Some(encryption) => Some(Box::new(Sealing::new(encryption, announced)?)),
            None => None,
        };
        let kept = match sealing {
            Some(_) => kept_bytes(announced),
            None => announced,
        };
        let sink = if announced <= limits.inline_bytes_max {
            Sink::Inline(BytesMut::with_capacity(announced as usize))
        } else {
            Sink::Extents(ExtentSink::begin(volumes, announced, kept, limits).await?)
        };
        Ok(Self {
            volumes: volumes.clone(),
            id,
            limits,
            announced,
            received: 0,
            sink,
            md5: UploadMd5::new(hash_threads),
            sha256: with_sha256.then(Sha256::new),
            checksum: ChecksumHasher::new(algorithm),
            sealing,
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
        self.checksum.update(&bytes);
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(&bytes);
        }
        self.received = received;
        let is_last = received == self.announced;
        match &mut self.sink {
            Sink::Inline(buffer) => {
                buffer.extend_from_slice(&bytes);
                self.md5.add(bytes).await?;
            }
            Sink::Extents(sink) => {
                let mut bytes = bytes;
                while let Some(chunk) = sink.chunks.next(&mut bytes, is_last) {
                    // Hashing goes on while the chunk is written and the next one comes in.
                    self.md5.add(chunk.clone()).await?;
                    let sealing = self.sealing.as_deref_mut();
                    sink.write_body(&self.volumes, sealing, chunk).await?;
                }
            }
        }
        Ok(())
    }

    /// Announces so many bytes more, once all that were announced have been taken: for bodies whose
    /// length is known only at their end. In the volumes, they get extents of their own.
    pub async fn extend(&mut self, more: u64) -> Result<(), Fault> {
        debug_assert_eq!(self.received, self.announced);
        let kept_before = self.kept_bytes();
        self.announced += more;
        let kept = self.kept_bytes();
        match &mut self.sink {
            Sink::Extents(sink) => sink.remaining += kept - kept_before,
            Sink::Inline(buffer) if self.announced <= self.limits.inline_bytes_max => {
                buffer.reserve(more as usize);
            }
            Sink::Inline(buffer) => {
                // What was gathered is hashed already, and moves as it is.
                let gathered = std::mem::take(buffer).freeze();
                let begun = ExtentSink::begin(&self.volumes, self.announced, kept, self.limits);
                let mut sink = begun.await?;
                let sealing = self.sealing.as_deref_mut();
                sink.write_body(&self.volumes, sealing, gathered).await?;
                self.sink = Sink::Extents(sink);
            }
        }
        Ok(())
    }

    /// What all announced bytes take where they are kept.
    fn kept_bytes(&self) -> u64 {
        match self.sealing {
            Some(_) => kept_bytes(self.announced),
            None => self.announced,
        }
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
        let kept = self.kept_bytes();
        let mut sealing = self.sealing;
        let sealer = sealing.as_mut().and_then(|sealing| sealing.sealer.take());
        let bytes = match (self.sink, sealer) {
            (Sink::Inline(buffer), _) if buffer.is_empty() => WrittenBytes::Empty,
            (Sink::Inline(buffer), None) => WrittenBytes::Inline(self.id, body::encode(&buffer)),
            (Sink::Inline(buffer), Some(sealer)) => {
                let sealed = sealer.seal_all(buffer.freeze()).map_err(not_encrypted)?;
                WrittenBytes::Inline(self.id, body::encode(&sealed))
            }
            (Sink::Extents(mut sink), sealer) => {
                let rest = sealer
                    .map(Sealer::finish)
                    .transpose()
                    .map_err(not_encrypted)?;
                if let Some(rest) = rest.flatten() {
                    sink.write(&self.volumes, rest).await?;
                }
                WrittenBytes::Extents(sink.finish(kept)?)
            }
        };
        let mut md5 = self.md5.finish().await?;
        if declared.md5.is_some_and(|declared| declared != md5) {
            return Err(WriteContentError::Mismatch(DigestMismatch::ContentMd5));
        }
        if let Some(declared) = declared.sha256
            && self.sha256.map(Sha256::finish) != Some(declared)
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
        if let Some(sealing) = &sealing
            && !sealing.encryption.scheme.etag_is_md5()
        {
            md5 = sealing.data_key.entity_tag(md5);
        }
        let encryption = sealing.map(|sealing| Box::new(sealing.encryption));
        Ok(WrittenContent {
            size: self.received,
            md5,
            checksum,
            encryption,
            bytes,
        })
    }
}

impl ExtentSink {
    /// A sink for exactly `announced` bytes, which take `kept` bytes where they are kept, with its
    /// first extent reserved.
    async fn begin(
        volumes: &Volumes,
        announced: u64,
        kept: u64,
        limits: ContentLimits,
    ) -> Result<Self, Fault> {
        let length = kept.min(limits.extent_bytes_max);
        let first = volumes.begin_in(limits.group, length).await?;
        Ok(Self {
            chunks: Chunks::of_body(announced),
            remaining: kept,
            finished: UncommittedExtents::new(volumes.clone()),
            current: Some((first, length)),
            extent_bytes_max: limits.extent_bytes_max,
            group: limits.group,
        })
    }

    /// Writes bytes of the body, encrypted if it is to be.
    async fn write_body(
        &mut self,
        volumes: &Volumes,
        sealing: Option<&mut Sealing>,
        mut bytes: Bytes,
    ) -> Result<(), Fault> {
        let Some(sealer) = sealing.and_then(|sealing| sealing.sealer.as_mut()) else {
            return self.write(volumes, bytes).await;
        };
        while let Some(sealed) = sealer.next(&mut bytes).map_err(not_encrypted)? {
            self.write(volumes, sealed).await?;
        }
        Ok(())
    }

    /// Writes `bytes`, going on to a further extent where one is full.
    async fn write(&mut self, volumes: &Volumes, mut bytes: Bytes) -> Result<(), Fault> {
        while !bytes.is_empty() {
            let (mut writer, room) = match self.current.take() {
                Some(current) => current,
                None => {
                    let length = self.remaining.min(self.extent_bytes_max);
                    (volumes.begin_in(self.group, length).await?, length)
                }
            };
            let piece =
                bytes.split_to(bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
            let piece_length = piece.len() as u64;
            writer.write(piece).await?;
            self.remaining -= piece_length;
            if piece_length == room {
                self.finished.extents.push(writer.finish().await?);
            } else {
                self.current = Some((writer, room - piece_length));
            }
        }
        Ok(())
    }

    /// Every expected byte came, so the last extent was filled and finished by `write`; unless a
    /// call of `write` failed or was dropped, which leaves a hole.
    fn finish(self, expected: u64) -> Result<UncommittedExtents, Fault> {
        let kept: u64 = self
            .finished
            .extents
            .iter()
            .map(|extent| extent.length)
            .sum();
        if kept != expected {
            let detail = format!("only {kept} of {expected} bytes were written");
            return Err(Fault::Failed(detail));
        }
        Ok(self.finished)
    }
}

/// Gathers bytes to chunks that are worth a way to the hash threads.
struct Chunks {
    chunk_bytes: usize,
    buffer: BytesMut,
}

impl Chunks {
    /// For a body of this length.
    fn of_body(announced: u64) -> Self {
        let chunk_bytes = if announced <= HASH_IN_PLACE_BYTES_MAX {
            // Hashed in place, so in whatever pieces it comes.
            1
        } else if announced <= SHORT_BODY_BYTES_MAX {
            SHORT_BODY_CHUNK_BYTES
        } else {
            CHUNK_BYTES
        };
        Self {
            chunk_bytes,
            buffer: BytesMut::new(),
        }
    }

    /// Takes the next chunk out of `bytes`, or keeps them until there is enough for one; all that is
    /// there is a chunk if `is_last`.
    fn next(&mut self, bytes: &mut Bytes, is_last: bool) -> Option<Bytes> {
        let is_enough = bytes.len() >= self.chunk_bytes || (is_last && !bytes.is_empty());
        if self.buffer.is_empty() && is_enough {
            return Some(bytes.split_to(bytes.len().min(CHUNK_BYTES)));
        }
        if self.buffer.capacity() == 0 && !bytes.is_empty() {
            self.buffer.reserve(self.chunk_bytes);
        }
        let room = self.chunk_bytes - self.buffer.len();
        self.buffer
            .extend_from_slice(&bytes.split_to(room.min(bytes.len())));
        let is_full = self.buffer.len() == self.chunk_bytes;
        let is_rest = is_last && bytes.is_empty() && !self.buffer.is_empty();
        (is_full || is_rest).then(|| std::mem::take(&mut self.buffer).freeze())
    }
}

/// What is known of a body before it comes.
pub(crate) struct NewBody<'a> {
    /// Its identity, if it is kept in a row.
    pub id: UniqueId,
    /// Its length in bytes.
    pub announced: u64,
    /// By what it is summed.
    pub algorithm: ChecksumAlgorithm,
    /// Whether it is summed by SHA-256 besides.
    pub with_sha256: bool,
    /// What it is encrypted with.
    pub encryption: Option<&'a NewEncryption>,
}

/// Sizes that decide where bytes go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ContentLimits {
    /// Bodies up to this size go into a row of their own.
    pub inline_bytes_max: u64,
    /// Longest extent.
    pub extent_bytes_max: u64,
    /// Where extents go.
    pub group: GroupId,
}

/// Bytes that are durable (or ready to be committed with their record), not yet referred to.
pub struct WrittenContent {
    /// Length in bytes.
    pub size: u64,
    /// MD5 of the bytes, or what stands for it if they are encrypted by a scheme without one: the
    /// entity tag.
    pub md5: [u8; 16],
    /// Checksum by the algorithm the writer was begun with.
    pub checksum: Checksum,
    /// How they are encrypted.
    pub(crate) encryption: Option<Box<Encryption>>,
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
            WrittenBytes::Extents(extents) => extents.refer(mutation, referrer),
        }
    }

    /// From here on the bytes may be referred to: dropping no longer releases them. Called just
    /// before the commit, because a commit that was begun may be applied whatever happens to the
    /// caller; what a failed one leaves behind is found by the sweep of the next start. Whether the
    /// bytes may be given back is known only when the commit has ended, so what begins one runs
    /// [to its end](oncilla_meta::to_its_end).
    pub(crate) fn commit_begins(&mut self) {
        if let WrittenBytes::Extents(extents) = &mut self.bytes {
            extents.commit_begins();
        }
    }

    /// The commit was refused, so nothing refers to the bytes after all.
    pub(crate) fn commit_refused(&mut self) {
        if let WrittenBytes::Extents(extents) = &mut self.bytes {
            extents.commit_refused();
        }
    }
}

/// Extents that no record names yet; released when dropped.
pub(crate) struct UncommittedExtents {
    volumes: Volumes,
    extents: Vec<Extent>,
    release_on_drop: bool,
}

impl UncommittedExtents {
    pub fn new(volumes: Volumes) -> Self {
        Self {
            volumes,
            extents: Vec::new(),
            release_on_drop: true,
        }
    }

    pub fn push(&mut self, extent: Extent) {
        self.extents.push(extent);
    }

    pub fn list(&self) -> &[Extent] {
        &self.extents
    }

    /// As [`WrittenContent::commit_begins`].
    pub fn commit_begins(&mut self) {
        self.release_on_drop = false;
    }

    /// As [`WrittenContent::commit_refused`].
    pub fn commit_refused(&mut self) {
        self.release_on_drop = true;
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Chunks are the bytes in order; all but the last are whole, and none is empty.
        #[test]
        fn chunks_are_the_body(
            pieces in proptest::collection::vec(0..100_000usize, 0..20),
            announced in prop_oneof![Just(100u64), Just(100_000), Just(10_000_000)],
        ) {
            let mut chunks = Chunks::of_body(announced);
            let chunk_bytes = chunks.chunk_bytes;
            let total: usize = pieces.iter().sum();
            let body: Bytes = (0..total).map(|at| (at % 251) as u8).collect();
            let (mut rest, mut gathered) = (body.clone(), Vec::new());
            for length in pieces {
                let mut piece = rest.split_to(length);
                while let Some(chunk) = chunks.next(&mut piece, rest.is_empty()) {
                    prop_assert!(!chunk.is_empty() && chunk.len() <= CHUNK_BYTES);
                    gathered.extend_from_slice(&chunk);
                    let is_end = gathered.len() == total;
                    prop_assert!(chunk.len() >= chunk_bytes || is_end);
                }
                prop_assert!(piece.is_empty());
            }
            prop_assert_eq!(&gathered[..], &body[..]);
        }
    }
}
