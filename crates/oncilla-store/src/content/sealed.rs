//! Encrypted bodies: what lies between a body and the volumes (or the row) it is kept in.
//!
//! A body is cut into *frames* of 65,520 bytes, and each is kept as 65,536: the frame, encrypted, and
//! its 16-byte tag. So frames lie where the volumes' own frames lie, each of which has a checksum, and
//! any range of a body is read and opened by touching only the frames it lies in: byte `p` of a body is
//! in frame `p / 65,520`, which is kept at `p / 65,520 × 65,536`. The last frame is as long as what is
//! left. What the cipher binds a frame to is in [`oncilla_keys::BodyCipher`].

use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};
use oncilla_blob::{Extent, ExtentReader, Volumes};
use oncilla_keys::{BodyCipher, DataKey, OpenFailed, Salt, TAG_BYTES};

use crate::fault::Fault;

/// What a frame takes where it is kept, in bytes: a frame of the volumes.
const KEPT_FRAME_BYTES: u64 = 64 << 10;

/// What a frame holds, in bytes.
const FRAME_BYTES: u64 = KEPT_FRAME_BYTES - TAG_BYTES as u64;

/// What is encrypted before it is written: what volumes write at a time.
const STEP_BYTES: usize = 256 << 10;

/// The bytes that an encrypted body of `body_bytes` takes.
pub(crate) fn kept_bytes(body_bytes: u64) -> u64 {
    body_bytes + TAG_BYTES as u64 * body_bytes.div_ceil(FRAME_BYTES)
}

/// Encrypts a body as it comes.
pub(crate) struct Sealer {
    cipher: BodyCipher,
    frame: u64,
    /// Bytes of the body that are expected still: what is reserved is not more than they need.
    expected: u64,
    /// Encrypted frames, and from `open_at` on what has come of the next one. A whole frame waits
    /// until it is known whether it is the last.
    buffer: BytesMut,
    open_at: usize,
}

impl Sealer {
    /// For a body of about `expected` bytes.
    pub fn new(data_key: &DataKey, salt: Salt, expected: u64) -> Result<Self, OpenFailed> {
        Ok(Self {
            cipher: BodyCipher::new(data_key, salt)?,
            frame: 0,
            expected,
            buffer: BytesMut::new(),
            open_at: 0,
        })
    }

    /// Takes bytes of the body out of `bytes`, until there is enough to write or none is left.
    pub fn next(&mut self, bytes: &mut Bytes) -> Result<Option<Bytes>, OpenFailed> {
        while !bytes.is_empty() {
            if self.buffer.len() - self.open_at == FRAME_BYTES as usize {
                self.seal_frame(false)?;
                if self.buffer.len() >= STEP_BYTES {
                    self.open_at = 0;
                    return Ok(Some(std::mem::take(&mut self.buffer).freeze()));
                }
            }
            if self.buffer.capacity() == 0 {
                let expected = kept_bytes(self.expected.max(bytes.len() as u64));
                let expected = usize::try_from(expected).unwrap_or(usize::MAX);
                self.buffer.reserve(expected.min(STEP_BYTES));
            }
            let room = FRAME_BYTES as usize - (self.buffer.len() - self.open_at);
            let piece = bytes.split_to(room.min(bytes.len()));
            self.buffer.extend_from_slice(&piece);
            self.expected = self.expected.saturating_sub(piece.len() as u64);
        }
        Ok(None)
    }

    /// The end of the body, if there is anything left of it.
    pub fn finish(mut self) -> Result<Option<Bytes>, OpenFailed> {
        if self.buffer.len() > self.open_at {
            self.seal_frame(true)?;
        }
        Ok(Some(self.buffer.freeze()).filter(|rest| !rest.is_empty()))
    }

    /// Encrypts a whole body.
    pub fn seal_all(mut self, mut body: Bytes) -> Result<Bytes, OpenFailed> {
        let mut sealed = BytesMut::with_capacity(kept_bytes(body.len() as u64) as usize);
        while let Some(frames) = self.next(&mut body)? {
            sealed.extend_from_slice(&frames);
        }
        if let Some(rest) = self.finish()? {
            sealed.extend_from_slice(&rest);
        }
        Ok(sealed.freeze())
    }

    fn seal_frame(&mut self, is_last: bool) -> Result<(), OpenFailed> {
        let in_out = &mut self.buffer[self.open_at..];
        let tag = self.cipher.seal(self.frame, is_last, in_out)?;
        self.buffer.extend_from_slice(&tag);
        self.frame += 1;
        self.open_at = self.buffer.len();
        Ok(())
    }
}

/// What opens an encrypted body.
#[derive(Clone, Debug)]
pub(crate) struct BodyKey {
    /// The key of the object or upload.
    pub data_key: DataKey,
    /// The body's own; parts have theirs in their records.
    pub salt: Option<Salt>,
    /// Length of the body.
    pub body_bytes: u64,
}

/// Where an encrypted body is kept. Whoever reads it holds the pins.
pub(crate) enum Kept {
    Inline(Bytes),
    Extents(Vec<Extent>),
}

/// Reads a range of an encrypted body. Holds a step of what is kept, and the same decrypted.
pub(crate) struct SealedReader {
    volumes: Volumes,
    cipher: BodyCipher,
    kept: Kept,
    /// What was not read yet of what is kept.
    unread: Range<u64>,
    current: Option<ExtentReader>,
    /// Read, but not a whole frame yet.
    partial: BytesMut,
    /// The next frame.
    frame: u64,
    /// The frames of the whole body.
    frames: u64,
    /// The bytes of the body still to give.
    range: Range<u64>,
}

impl SealedReader {
    /// Reads `range` of the body of `body_bytes` bytes that is kept at `kept`.
    pub fn new(
        volumes: &Volumes,
        kept: Kept,
        data_key: &DataKey,
        salt: Option<Salt>,
        body_bytes: u64,
        range: Range<u64>,
    ) -> Result<Self, Fault> {
        if range.end > body_bytes || range.start > range.end {
            return Err(Fault::Failed("a range beyond the body".to_owned()));
        }
        let salt = salt.ok_or_else(|| damaged("has no salt"))?;
        let cipher = BodyCipher::new(data_key, salt);
        let cipher = cipher.map_err(|_| damaged("cannot be opened"))?;
        let frame = range.start / FRAME_BYTES;
        let frame_end = range.end.div_ceil(FRAME_BYTES);
        let kept_end = (frame_end * KEPT_FRAME_BYTES).min(kept_bytes(body_bytes));
        Ok(Self {
            volumes: volumes.clone(),
            cipher,
            kept,
            unread: frame * KEPT_FRAME_BYTES..kept_end,
            current: None,
            partial: BytesMut::new(),
            frame,
            frames: body_bytes.div_ceil(FRAME_BYTES),
            range,
        })
    }

    /// The next bytes of the body, verified; `None` at the end of the range.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        while !self.range.is_empty() {
            let piece = self.piece().await?;
            let frames = self.whole_frames(piece);
            if frames.is_empty() {
                continue;
            }
            return self.open(&frames).map(Some);
        }
        Ok(None)
    }

    /// The next piece of what is kept.
    async fn piece(&mut self) -> Result<Bytes, Fault> {
        loop {
            if let Some(reader) = &mut self.current {
                if let Some(piece) = reader.next().await? {
                    self.unread.start += piece.len() as u64;
                    return Ok(piece);
                }
                self.current = None;
            }
            if self.unread.is_empty() {
                return Err(damaged("ends too early"));
            }
            let unread = self.unread.clone();
            match &self.kept {
                Kept::Inline(bytes) => {
                    if unread.end > bytes.len() as u64 {
                        return Err(damaged("is shorter than its record says"));
                    }
                    self.unread.start = unread.end;
                    return Ok(bytes.slice(unread.start as usize..unread.end as usize));
                }
                Kept::Extents(extents) => {
                    let reader = open_extent(&self.volumes, extents, unread);
                    let reader =
                        reader.ok_or_else(|| damaged("is shorter than its record says"))?;
                    self.current = Some(reader);
                }
            }
        }
    }

    /// What has been read of whole frames; the rest waits for what follows.
    fn whole_frames(&mut self, piece: Bytes) -> Bytes {
        let mut read = match self.partial.is_empty() {
            true => piece,
            false => {
                self.partial.extend_from_slice(&piece);
                self.partial.split().freeze()
            }
        };
        // Nothing follows: the last frame may be short.
        if self.unread.is_empty() {
            return read;
        }
        let whole = read.len() - read.len() % KEPT_FRAME_BYTES as usize;
        let frames = read.split_to(whole);
        if read.has_remaining() {
            self.partial.extend_from_slice(&read);
        }
        frames
    }

    /// Decrypts frames; gives what the range has of them.
    fn open(&mut self, frames: &Bytes) -> Result<Bytes, Fault> {
        let count = frames.len().div_ceil(KEPT_FRAME_BYTES as usize);
        let length = frames.len().checked_sub(count * TAG_BYTES);
        let length = length.ok_or_else(|| damaged("ends within a frame"))?;
        let start = self.frame * FRAME_BYTES;
        let mut plain = BytesMut::zeroed(length);
        let kept = frames.chunks(KEPT_FRAME_BYTES as usize);
        for (kept, plain) in kept.zip(plain.chunks_mut(FRAME_BYTES as usize)) {
            let is_last = self.frame + 1 == self.frames;
            let opened = self.cipher.open(self.frame, is_last, kept, plain);
            opened.map_err(|_| damaged(&format!("does not open at frame {}", self.frame)))?;
            self.frame += 1;
        }
        let end = self.range.end.min(start + length as u64);
        let from = self.range.start.saturating_sub(start) as usize;
        let to = end.saturating_sub(start) as usize;
        self.range.start = end;
        if from > to {
            return Err(damaged("ends within a frame"));
        }
        Ok(plain.freeze().slice(from..to))
    }
}

/// Opens the extent that holds the byte at the start of `range`, to read up to its end or the
/// extent's.
fn open_extent(volumes: &Volumes, extents: &[Extent], range: Range<u64>) -> Option<ExtentReader> {
    let mut offset = 0;
    for extent in extents {
        if range.start < offset + extent.length {
            let within = range.start - offset..extent.length.min(range.end - offset);
            return Some(volumes.read(*extent, within));
        }
        offset += extent.length;
    }
    None
}

fn damaged(detail: &str) -> Fault {
    Fault::Damaged(format!("an encrypted body {detail}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use oncilla_blob::fs::RealFileSystem;
    use oncilla_blob::{VolumeOptions, Volumes};
    use proptest::prelude::*;

    use super::*;

    fn body(length: usize) -> Bytes {
        (0..length).map(|at| (at * 7 % 251) as u8).collect()
    }

    struct Place {
        volumes: Volumes,
        runtime: tokio::runtime::Runtime,
        _directory: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let fs = Arc::new(RealFileSystem);
            let path = directory.path().join("volumes");
            let volumes = Volumes::open(fs, path, VolumeOptions::default()).unwrap();
            Self {
                volumes,
                runtime,
                _directory: directory,
            }
        }

        /// Keeps bytes in extents of up to `extent_bytes`.
        fn keep(&self, bytes: &Bytes, extent_bytes: usize) -> Kept {
            let mut extents = Vec::new();
            for piece in bytes.chunks(extent_bytes) {
                let written = async {
                    let mut writer = self.volumes.begin(piece.len() as u64).await?;
                    writer.write(bytes.slice_ref(piece)).await?;
                    writer.finish().await
                };
                extents.push(self.runtime.block_on(written).unwrap());
            }
            Kept::Extents(extents)
        }

        fn read(
            &self,
            kept: Kept,
            key: &(DataKey, Salt),
            body_bytes: u64,
            range: Range<u64>,
        ) -> Result<Vec<u8>, Fault> {
            let reader =
                SealedReader::new(&self.volumes, kept, &key.0, Some(key.1), body_bytes, range);
            let mut reader = reader?;
            let mut read = Vec::new();
            self.runtime.block_on(async {
                while let Some(piece) = reader.next().await? {
                    assert!(!piece.is_empty());
                    read.extend_from_slice(&piece);
                }
                Ok(read)
            })
        }
    }

    fn key() -> (DataKey, Salt) {
        (DataKey::random().unwrap(), Salt::random().unwrap())
    }

    fn seal(key: &(DataKey, Salt), body: &Bytes) -> Bytes {
        let sealer = Sealer::new(&key.0, key.1, body.len() as u64).unwrap();
        let sealed = sealer.seal_all(body.clone()).unwrap();
        assert_eq!(sealed.len() as u64, kept_bytes(body.len() as u64));
        sealed
    }

    /// Lengths around the ends of frames and steps.
    fn lengths() -> impl Strategy<Value = usize> {
        let frame = FRAME_BYTES as usize;
        prop_oneof![
            1..2_000usize,
            (1..6usize, 0..5usize).prop_map(move |(frames, past)| frames * frame + past - 2),
            1..700_000usize,
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Any range of any body, however it came and wherever extents end, is that of the plain text.
        #[test]
        fn any_range_is_that_of_the_body(
            length in lengths(),
            from: prop::sample::Index,
            to: prop::sample::Index,
            extent_bytes in prop_oneof![Just(64usize << 10), 10_000..400_000usize],
            piece_bytes in 1_000..300_000usize,
        ) {
            let place = Place::new();
            let (key, body) = (key(), body(length));
            let mut sealer = Sealer::new(&key.0, key.1, length as u64).unwrap();
            let mut sealed = Vec::new();
            for piece in body.chunks(piece_bytes) {
                let mut piece = body.slice_ref(piece);
                while let Some(frames) = sealer.next(&mut piece).unwrap() {
                    prop_assert!(frames.len() <= STEP_BYTES);
                    sealed.extend_from_slice(&frames);
                }
            }
            sealed.extend_from_slice(&sealer.finish().unwrap().unwrap());
            prop_assert_eq!(sealed.len() as u64, kept_bytes(length as u64));
            let sealed = Bytes::from(sealed);
            let (from, to) = (from.index(length + 1), to.index(length + 1));
            let range = from.min(to)..from.max(to);
            let wanted = &body[range.clone()];
            let range = range.start as u64..range.end as u64;
            let kept = place.keep(&sealed, extent_bytes);
            let read = place.read(kept, &key, length as u64, range.clone()).unwrap();
            prop_assert_eq!(&read[..], wanted);
            let inline = Kept::Inline(sealed);
            let read = place.read(inline, &key, length as u64, range).unwrap();
            prop_assert_eq!(&read[..], wanted);
        }

        /// No bit of what is kept can change unseen.
        #[test]
        fn every_flipped_bit_is_noticed(length in lengths(), at: prop::sample::Index, bit in 0u8..8) {
            let place = Place::new();
            let (key, body) = (key(), body(length));
            let mut sealed = seal(&key, &body).to_vec();
            let at = at.index(sealed.len());
            sealed[at] ^= 1 << bit;
            let kept = Kept::Inline(Bytes::from(sealed));
            let read = place.read(kept, &key, length as u64, 0..length as u64);
            prop_assert!(matches!(read, Err(Fault::Damaged(_))));
        }
    }

    #[test]
    fn frames_cannot_be_exchanged_repeated_or_left_out() {
        let place = Place::new();
        let length = 4 * FRAME_BYTES as usize;
        let (key, body) = (key(), body(length));
        let sealed = seal(&key, &body);
        let other = seal(&(key.0.clone(), Salt::random().unwrap()), &body);
        let frame = |sealed: &Bytes, number: usize| {
            let bytes = KEPT_FRAME_BYTES as usize;
            sealed.slice(number * bytes..(number + 1) * bytes)
        };
        let of = |frames: &[Bytes]| Kept::Inline(Bytes::from(frames.concat()));
        let in_order: Vec<Bytes> = (0..4).map(|number| frame(&sealed, number)).collect();
        let whole = 0..length as u64;
        let read = place.read(of(&in_order), &key, length as u64, whole.clone());
        assert_eq!(read.unwrap(), body);
        for frames in [[0, 2, 1, 3], [0, 0, 2, 3], [3, 1, 2, 0]] {
            let frames = frames.map(|number| in_order[number].clone());
            assert!(
                place
                    .read(of(&frames), &key, length as u64, whole.clone())
                    .is_err()
            );
        }
        let mut mixed = in_order.clone();
        mixed[2] = frame(&other, 2);
        assert!(place.read(of(&mixed), &key, length as u64, whole).is_err());
        // A body that was cut off at the end of a frame is another body.
        let cut = 3 * FRAME_BYTES;
        assert!(place.read(of(&in_order[..3]), &key, cut, 0..cut).is_err());
        // Within the range, only the frames it lies in are opened.
        let mut broken_end = in_order;
        broken_end[3] = Bytes::from(vec![0; KEPT_FRAME_BYTES as usize]);
        let begin = 0..FRAME_BYTES + 1;
        let read = place
            .read(of(&broken_end), &key, length as u64, begin)
            .unwrap();
        assert_eq!(read, body[..FRAME_BYTES as usize + 1]);
    }

    #[test]
    fn an_empty_body_takes_nothing() {
        assert_eq!(kept_bytes(0), 0);
        assert_eq!(kept_bytes(1), 17);
        assert_eq!(kept_bytes(FRAME_BYTES), KEPT_FRAME_BYTES);
        assert_eq!(kept_bytes(FRAME_BYTES + 1), KEPT_FRAME_BYTES + 17);
        let (place, key) = (Place::new(), key());
        assert_eq!(seal(&key, &Bytes::new()), Bytes::new());
        let read = place.read(Kept::Inline(Bytes::new()), &key, 0, 0..0);
        assert_eq!(read.unwrap(), Vec::<u8>::new());
    }
}
