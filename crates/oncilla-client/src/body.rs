//! Request bodies: where their bytes come from, and how they are framed on the wire.

use std::collections::VecDeque;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, stream};
use http_body::{Frame, SizeHint};
use oncilla_hash::{ChecksumAlgorithm, ChecksumHasher, Sha256};
use oncilla_wire::sigv4::{ChunkSeed, SIGNATURE_LENGTH_BYTES};

use crate::http_client::Activity;

/// Bytes per read of a file and per chunk of an aws-chunked body. Larger chunks save signatures,
/// smaller ones memory: with this a hundred uploads in flight hold 25 MiB.
pub const CHUNK_BYTES: usize = 256 * 1024;

/// The checksum that uploads carry: the default of S3 and its SDKs, and the fastest.
pub const UPLOAD_CHECKSUM: ChecksumAlgorithm = ChecksumAlgorithm::Crc64Nvme;

/// Length of a [`UPLOAD_CHECKSUM`] in base64.
const UPLOAD_CHECKSUM_TEXT_BYTES: u64 = 12;

/// Told of every movement: bytes transferred, or a negative number when an attempt failed and its
/// bytes have to be sent again.
pub type Progress = Arc<dyn Fn(i64) + Send + Sync>;

/// Pieces of a body in order.
pub type ByteStream = Pin<Box<dyn Stream<Item = std::io::Result<Bytes>> + Send>>;

/// What a request sends.
pub enum Body {
    /// Nothing.
    Empty,
    /// Bytes in memory.
    Bytes(Bytes),
    /// A part of a file, read as it is sent.
    File(FileRange),
    /// Bytes that come once, so that a failed attempt cannot be repeated after it has begun.
    Stream {
        /// The pieces; together exactly `length_bytes` long.
        stream: ByteStream,
        /// Length of all pieces together.
        length_bytes: u64,
    },
}

/// A part of an open file.
#[derive(Clone, Debug)]
pub struct FileRange {
    /// The file, open for reading.
    pub file: Arc<std::fs::File>,
    /// Its name, for messages.
    pub path: PathBuf,
    /// Where the part begins.
    pub offset_bytes: u64,
    /// How long it is.
    pub length_bytes: u64,
}

impl FileRange {
    /// The part's bytes in pieces of [`CHUNK_BYTES`]. A file that has become shorter is an error.
    pub fn stream(&self) -> ByteStream {
        let range = self.clone();
        Box::pin(stream::try_unfold(0_u64, move |done| {
            let range = range.clone();
            async move {
                let left = range.length_bytes - done;
                if left == 0 {
                    return Ok(None);
                }
                // At most CHUNK_BYTES, so the cast cannot truncate.
                let piece = left.min(CHUNK_BYTES as u64) as usize;
                let bytes = tokio::task::spawn_blocking(move || {
                    let mut buffer = vec![0; piece];
                    range
                        .file
                        .read_exact_at(&mut buffer, range.offset_bytes + done)?;
                    Ok::<_, std::io::Error>(Bytes::from(buffer))
                })
                .await
                .map_err(std::io::Error::other)??;
                Ok(Some((bytes, done + piece as u64)))
            }
        }))
    }
}

impl Body {
    /// Bytes that the body will send, framing apart.
    pub fn length_bytes(&self) -> u64 {
        match self {
            Body::Empty => 0,
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::File(range) => range.length_bytes,
            Body::Stream { length_bytes, .. } => *length_bytes,
        }
    }

    /// The body's bytes for one attempt. A stream gives them once.
    pub(crate) fn begin(&mut self) -> ByteStream {
        match self {
            Body::Empty => Box::pin(stream::empty()),
            Body::Bytes(bytes) => {
                let bytes = bytes.clone();
                Box::pin(stream::once(async move { Ok(bytes) }))
            }
            Body::File(range) => range.stream(),
            Body::Stream { stream, .. } => std::mem::replace(stream, used_up()),
        }
    }

    /// Whether the bytes can be sent more than once.
    pub(crate) fn is_replayable(&self) -> bool {
        !matches!(self, Body::Stream { .. })
    }
}

fn used_up() -> ByteStream {
    Box::pin(stream::once(async {
        Err(std::io::Error::other("the stream was already sent"))
    }))
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Body::Bytes(bytes)
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Body({} bytes)", self.length_bytes())
    }
}

/// How the bytes stand on the wire.
#[derive(Debug)]
pub(crate) enum Framing {
    /// As they are.
    Plain,
    /// aws-chunked, with signatures if there is a seed, with a checksum trailer if asked for.
    Chunked {
        seed: Option<Box<ChunkSeed>>,
        with_checksum: bool,
    },
}

impl Framing {
    /// Length of a framed body, which `Content-Length` has to state in advance.
    pub(crate) fn encoded_length_bytes(&self, payload_bytes: u64) -> u64 {
        let Framing::Chunked {
            seed,
            with_checksum,
        } = self
        else {
            return payload_bytes;
        };
        let signature_bytes = match seed {
            Some(_) => (CHUNK_SIGNATURE.len() + SIGNATURE_LENGTH_BYTES) as u64,
            None => 0,
        };
        let chunk = |data_bytes: u64| {
            let digits = format!("{data_bytes:x}").len() as u64;
            digits + signature_bytes + 2 + data_bytes + 2
        };
        let chunk_bytes = CHUNK_BYTES as u64;
        let rest = payload_bytes % chunk_bytes;
        let data = payload_bytes / chunk_bytes * chunk(chunk_bytes)
            + if rest > 0 { chunk(rest) } else { 0 };
        // The empty chunk has no line of data.
        let mut end = chunk(0) - 2;
        if *with_checksum {
            let name = UPLOAD_CHECKSUM.header_name().len() as u64;
            end += name + 1 + UPLOAD_CHECKSUM_TEXT_BYTES + 2;
            if seed.is_some() {
                end += (TRAILER_SIGNATURE.len() + SIGNATURE_LENGTH_BYTES) as u64 + 2;
            }
        }
        data + end + 2
    }
}

const CHUNK_SIGNATURE: &str = ";chunk-signature=";
const TRAILER_SIGNATURE: &str = "x-amz-trailer-signature:";

/// A request body on its way to hyper.
pub(crate) struct SendBody {
    payload: Option<ByteStream>,
    framing: Framing,
    hasher: ChecksumHasher,
    /// Payload that does not fill a chunk yet.
    partial: BytesMut,
    ready: VecDeque<Bytes>,
    payload_left: u64,
    encoded_left: u64,
    activity: Activity,
    progress: Option<Progress>,
    /// Payload bytes reported to `progress`, shared so that a failed attempt can take them back.
    reported: Arc<std::sync::atomic::AtomicU64>,
}

impl SendBody {
    pub(crate) fn new(
        payload: ByteStream,
        payload_bytes: u64,
        framing: Framing,
        activity: Activity,
        progress: Option<Progress>,
        reported: Arc<std::sync::atomic::AtomicU64>,
    ) -> Self {
        Self {
            payload: Some(payload),
            encoded_left: framing.encoded_length_bytes(payload_bytes),
            framing,
            hasher: ChecksumHasher::new(UPLOAD_CHECKSUM),
            partial: BytesMut::new(),
            ready: VecDeque::new(),
            payload_left: payload_bytes,
            activity,
            progress,
            reported,
        }
    }

    fn take_payload(&mut self, bytes: Bytes) -> std::io::Result<()> {
        let length = bytes.len() as u64;
        self.payload_left = self.payload_left.checked_sub(length).ok_or_else(|| {
            std::io::Error::new(std::io::ErrorKind::InvalidData, "more bytes than announced")
        })?;
        if let Some(progress) = &self.progress {
            progress(i64::try_from(length).unwrap_or(i64::MAX));
            self.reported
                .fetch_add(length, std::sync::atomic::Ordering::Relaxed);
        }
        let Framing::Chunked { with_checksum, .. } = &self.framing else {
            self.ready.push_back(bytes);
            return Ok(());
        };
        if *with_checksum {
            self.hasher.update(&bytes);
        }
        // A piece that is a whole chunk travels without being copied.
        if self.partial.is_empty() && bytes.len() == CHUNK_BYTES {
            self.push_chunk(bytes);
            return Ok(());
        }
        self.partial.extend_from_slice(&bytes);
        while self.partial.len() >= CHUNK_BYTES {
            let chunk = self.partial.split_to(CHUNK_BYTES).freeze();
            self.push_chunk(chunk);
        }
        Ok(())
    }

    fn push_chunk(&mut self, data: Bytes) {
        let Framing::Chunked { seed, .. } = &mut self.framing else {
            return;
        };
        let mut line = format!("{:x}", data.len()).into_bytes();
        if let Some(seed) = seed {
            line.extend_from_slice(CHUNK_SIGNATURE.as_bytes());
            line.extend_from_slice(&seed.sign_chunk(&Sha256::digest(&data)));
        }
        line.extend_from_slice(b"\r\n");
        self.ready.push_back(line.into());
        if !data.is_empty() {
            self.ready.push_back(data);
            self.ready.push_back(Bytes::from_static(b"\r\n"));
        }
    }

    fn end(&mut self) -> std::io::Result<()> {
        if self.payload_left > 0 {
            return Err(std::io::Error::new(
                std::io::ErrorKind::UnexpectedEof,
                format!("{} bytes fewer than announced", self.payload_left),
            ));
        }
        if matches!(self.framing, Framing::Plain) {
            return Ok(());
        }
        if !self.partial.is_empty() {
            let rest = self.partial.split().freeze();
            self.push_chunk(rest);
        }
        self.push_chunk(Bytes::new());
        let mut trailers = Vec::new();
        if let Framing::Chunked {
            seed,
            with_checksum: true,
        } = &mut self.framing
        {
            let name = UPLOAD_CHECKSUM.header_name();
            let value = self.hasher.clone().finish().to_base64();
            trailers.extend_from_slice(format!("{name}:{value}\r\n").as_bytes());
            if let Some(seed) = seed {
                let canonical = format!("{name}:{value}\n");
                trailers.extend_from_slice(TRAILER_SIGNATURE.as_bytes());
                let digest = Sha256::digest(canonical.as_bytes());
                trailers.extend_from_slice(&seed.sign_trailer(&digest));
                trailers.extend_from_slice(b"\r\n");
            }
        }
        trailers.extend_from_slice(b"\r\n");
        self.ready.push_back(trailers.into());
        Ok(())
    }
}

impl http_body::Body for SendBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                self.activity.touch();
                self.encoded_left = self.encoded_left.saturating_sub(bytes.len() as u64);
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            let Some(payload) = &mut self.payload else {
                return Poll::Ready(None);
            };
            let step = match std::task::ready!(payload.poll_next_unpin(context)) {
                Some(Ok(bytes)) if bytes.is_empty() => Ok(()),
                Some(Ok(bytes)) => self.take_payload(bytes),
                Some(Err(error)) => Err(error),
                None => {
                    self.payload = None;
                    self.end()
                }
            };
            if let Err(error) = step {
                self.payload = None;
                return Poll::Ready(Some(Err(error)));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.encoded_left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.encoded_left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use proptest::prelude::*;

    fn encode(
        pieces: Vec<Vec<u8>>,
        announced: u64,
        framing: Framing,
    ) -> (u64, std::io::Result<Bytes>) {
        let expected = framing.encoded_length_bytes(announced);
        let payload = stream::iter(pieces.into_iter().map(|piece| Ok(Bytes::from(piece))));
        let body = SendBody::new(
            Box::pin(payload),
            announced,
            framing,
            Activity::new(),
            None,
            Arc::default(),
        );
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let collected = runtime
            .block_on(body.collect())
            .map(http_body_util::Collected::to_bytes);
        (expected, collected)
    }

    #[test]
    fn an_unsigned_body_with_its_trailer() {
        let framing = Framing::Chunked {
            seed: None,
            with_checksum: true,
        };
        let (expected, encoded) = encode(vec![b"hello ".to_vec(), b"world".to_vec()], 11, framing);
        let encoded = encoded.unwrap();
        assert_eq!(
            &encoded[..],
            b"b\r\nhello world\r\n0\r\nx-amz-checksum-crc64nvme:jSnVw/bqjr4=\r\n\r\n"
        );
        assert_eq!(encoded.len() as u64, expected);
    }

    #[test]
    fn a_wrong_announced_length_is_an_error() {
        for announced in [4, 6] {
            let (_, encoded) = encode(vec![b"hello".to_vec()], announced, Framing::Plain);
            assert!(encoded.is_err(), "{announced}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn the_announced_length_is_the_length_sent(
            lengths in proptest::collection::vec(0_usize..400_000, 0..5),
            with_checksum: bool,
        ) {
            let total: usize = lengths.iter().sum();
            let pieces = lengths.iter().map(|length| vec![7; *length]).collect();
            let framing = Framing::Chunked { seed: None, with_checksum };
            let (expected, encoded) = encode(pieces, total as u64, framing);
            prop_assert_eq!(encoded.unwrap().len() as u64, expected);
        }
    }
}
