//! The aws-chunked body framing, decoded as it arrives.
//!
//! Payload is handed out as slices of the input, without waiting for the end of a chunk. The digest
//! of a chunk runs along and its signature is checked where the chunk ends, so what was handed out
//! is provisional until [`ChunkedDecoder::finish`] has succeeded: commit nothing before.
//!
//! ```text
//! 400;chunk-signature=<64 digits>\r\n  <1024 bytes>\r\n      as often as needed; plain "400\r\n" if unsigned
//! 0;chunk-signature=<64 digits>\r\n
//! x-amz-checksum-crc32:<base64>\r\n                          trailers, in the two trailer forms
//! x-amz-trailer-signature:<64 digits>\r\n                    if signed
//! \r\n
//! ```
//!
//! SDKs differ in what they write after the last line, so the empty line at the end, and the line
//! end of the last trailer, may be missing. The sizes that S3 asks of chunks other than the last are
//! not enforced.
//!
//! Source: S3 API reference, "Transferring Payload in Multiple Chunks (Chunked Upload)" and
//! "Including Trailing Headers (Chunked Upload)".

use bytes::{Buf as _, Bytes};
use oncilla_hash::{Sha256, hex};

use crate::error::{S3Error, S3ErrorCode};
use crate::sigv4::{ChunkSeed, SIGNATURE_LENGTH_BYTES};

/// The longest line before a chunk's data. A signed one has 99 characters with the longest size.
pub const CHUNK_HEADER_LENGTH_BYTES_MAX: usize = 128;

/// The most digits of a chunk's size: as many as 64 bits need.
pub const CHUNK_SIZE_DIGITS_MAX: usize = 16;

/// The trailers of one body in all. S3 knows one checksum and one signature; the rest is room for
/// clients that add their own.
pub const TRAILERS_LENGTH_BYTES_MAX: usize = 8 * 1024;

/// The most trailers of one body, the signature among them.
pub const TRAILER_COUNT_MAX: usize = 8;

const CHUNK_SIGNATURE: &[u8] = b"chunk-signature=";
const TRAILER_SIGNATURE: &str = "x-amz-trailer-signature";

/// The three forms of the framing.
#[derive(Clone, Debug)]
pub enum ChunkedMode {
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`: every chunk is signed.
    Signed(ChunkSeed),
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER`: every chunk and the trailers are signed.
    SignedTrailer(ChunkSeed),
    /// `STREAMING-UNSIGNED-PAYLOAD-TRAILER`: trailers, and nothing is signed.
    UnsignedTrailer,
}

/// A trailer: lower-case name and trimmed value.
pub type Trailer = (String, String);

/// Why a framed body was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkedError {
    /// The framing does not parse.
    #[error("malformed aws-chunked framing: {0}")]
    Malformed(&'static str),
    /// A chunk's or the trailers' signature is wrong or missing.
    #[error("signature of a chunk does not match")]
    SignatureDoesNotMatch,
    /// The payload is shorter or longer than `x-amz-decoded-content-length`, or the body ended early.
    #[error("decoded body does not have the announced length")]
    IncompleteBody,
    /// More or longer trailers than allowed.
    #[error("too many or too long trailers")]
    TrailersTooLarge,
}

impl From<ChunkedError> for S3Error {
    fn from(error: ChunkedError) -> Self {
        match error {
            ChunkedError::Malformed(reason) => S3Error::with_message(
                S3ErrorCode::InvalidRequest,
                format!("The aws-chunked encoding of the body is malformed: {reason}."),
            ),
            ChunkedError::SignatureDoesNotMatch => S3ErrorCode::SignatureDoesNotMatch.into(),
            ChunkedError::IncompleteBody => S3Error::with_message(
                S3ErrorCode::IncompleteBody,
                "The body does not have the number of bytes that x-amz-decoded-content-length \
                 announced.",
            ),
            ChunkedError::TrailersTooLarge => S3Error::with_message(
                S3ErrorCode::InvalidRequest,
                format!(
                    "The trailers of the body are too large: at most {TRAILER_COUNT_MAX} of them \
                     and {TRAILERS_LENGTH_BYTES_MAX} bytes are allowed."
                ),
            ),
        }
    }
}

/// Decodes one body.
#[derive(Debug)]
pub struct ChunkedDecoder {
    signing: Option<ChunkSigning>,
    accepts_trailers: bool,
    /// Payload that the announced length still allows.
    expected_bytes: u64,
    state: State,
    /// The beginning of a line whose end has not arrived yet.
    partial_line: Vec<u8>,
    trailers: Vec<Trailer>,
    trailer_signature: Option<String>,
    trailers_length_bytes: usize,
}

#[derive(Debug)]
struct ChunkSigning {
    seed: ChunkSeed,
    claimed: [u8; SIGNATURE_LENGTH_BYTES],
    data: Sha256,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In the line before a chunk's data.
    ChunkHeader,
    /// In a chunk's data, of which this much is still to come.
    ChunkData { remaining_bytes: u64 },
    /// Before the line end that follows a chunk's data.
    ChunkEnd,
    /// After the empty chunk.
    Trailers,
    /// After the empty line that ends the body.
    Ended,
    /// Something was wrong with what came before.
    Failed(ChunkedError),
}

impl ChunkedDecoder {
    /// A decoder of a body whose payload is `decoded_length_bytes` long, as
    /// `x-amz-decoded-content-length` announced.
    pub fn new(mode: ChunkedMode, decoded_length_bytes: u64) -> Self {
        let (seed, accepts_trailers) = match mode {
            ChunkedMode::Signed(seed) => (Some(seed), false),
            ChunkedMode::SignedTrailer(seed) => (Some(seed), true),
            ChunkedMode::UnsignedTrailer => (None, true),
        };
        let signing = seed.map(|seed| ChunkSigning {
            seed,
            claimed: [0; SIGNATURE_LENGTH_BYTES],
            data: Sha256::new(),
        });
        Self {
            signing,
            accepts_trailers,
            expected_bytes: decoded_length_bytes,
            state: State::ChunkHeader,
            partial_line: Vec::new(),
            trailers: Vec::new(),
            trailer_signature: None,
            trailers_length_bytes: 0,
        }
    }

    /// Takes the next piece of the body, of any size, and appends slices of it that are payload to
    /// `out`. After an error the decoder refuses everything with the same error.
    ///
    /// # Errors
    /// See [`ChunkedError`]. What is in `out` then is not to be used.
    pub fn push(&mut self, mut input: Bytes, out: &mut Vec<Bytes>) -> Result<(), ChunkedError> {
        while !input.is_empty() {
            if let Err(error) = self.step(&mut input, out) {
                self.state = State::Failed(error);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Ends the body. Returns its trailers; the trailer's signature is not among them.
    ///
    /// # Errors
    /// [`ChunkedError::IncompleteBody`] if the framing has not come to its end, and errors of a last
    /// line that lacked its line end.
    pub fn finish(mut self) -> Result<Vec<Trailer>, ChunkedError> {
        if self.state == State::Trailers {
            let last_line = std::mem::take(&mut self.partial_line);
            self.take_trailer_line(&last_line)?;
            if self.state == State::Trailers {
                self.end()?;
            }
        }
        match self.state {
            State::Ended => Ok(self.trailers),
            State::Failed(error) => Err(error),
            _ => Err(ChunkedError::IncompleteBody),
        }
    }

    /// Consumes at least one byte of a non-empty input, or fails.
    fn step(&mut self, input: &mut Bytes, out: &mut Vec<Bytes>) -> Result<(), ChunkedError> {
        match self.state {
            State::ChunkHeader => self.take_line(
                input,
                CHUNK_HEADER_LENGTH_BYTES_MAX,
                Self::take_chunk_header,
            ),
            State::ChunkData { remaining_bytes } => {
                let length = usize::try_from(remaining_bytes).unwrap_or(usize::MAX);
                let data = input.split_to(length.min(input.len()));
                self.take_data(&data, remaining_bytes)?;
                out.push(data);
                Ok(())
            }
            State::ChunkEnd => {
                let expected: &[u8] = if self.partial_line.is_empty() {
                    b"\r"
                } else {
                    b"\n"
                };
                if !input.starts_with(expected) {
                    return Err(ChunkedError::Malformed(
                        "no line end after the data of a chunk",
                    ));
                }
                input.advance(1);
                if expected == b"\r" {
                    self.partial_line.push(b'\r');
                } else {
                    self.partial_line.clear();
                    self.state = State::ChunkHeader;
                }
                Ok(())
            }
            State::Trailers => {
                self.take_line(input, TRAILERS_LENGTH_BYTES_MAX, Self::take_trailer_line)
            }
            State::Ended => Err(ChunkedError::Malformed("bytes after the end")),
            State::Failed(error) => Err(error),
        }
    }

    /// Hands the next line, without its `\n`, to `take`, or keeps what there is of it.
    fn take_line(
        &mut self,
        input: &mut Bytes,
        length_bytes_max: usize,
        take: fn(&mut Self, &[u8]) -> Result<(), ChunkedError>,
    ) -> Result<(), ChunkedError> {
        let in_trailers = self.state == State::Trailers;
        let end = memchr::memchr(b'\n', input);
        let length = end.unwrap_or(input.len());
        if self.partial_line.len() + length > length_bytes_max {
            return Err(match in_trailers {
                true => ChunkedError::TrailersTooLarge,
                false => ChunkedError::Malformed("the line before a chunk is too long"),
            });
        }
        if end.is_none() {
            self.partial_line.extend_from_slice(input);
            input.clear();
            return Ok(());
        }
        let line = input.split_to(length);
        input.advance(1);
        if self.partial_line.is_empty() {
            return take(self, &line);
        }
        let mut whole = std::mem::take(&mut self.partial_line);
        whole.extend_from_slice(&line);
        let outcome = take(self, &whole);
        // The buffer is used again for the next line.
        whole.clear();
        self.partial_line = whole;
        outcome
    }

    fn take_chunk_header(&mut self, line: &[u8]) -> Result<(), ChunkedError> {
        let line = line.strip_suffix(b"\r").ok_or(ChunkedError::Malformed(
            "a line before a chunk does not end in CR LF",
        ))?;
        let (size, extension) = match memchr::memchr(b';', line) {
            Some(at) => (&line[..at], Some(&line[at + 1..])),
            None => (line, None),
        };
        let size = parse_chunk_size(size)?;
        match (&mut self.signing, extension) {
            (None, None) => {}
            (None, Some(_)) => {
                return Err(ChunkedError::Malformed(
                    "an unsigned chunk has an extension",
                ));
            }
            (Some(signing), extension) => {
                let claimed = extension
                    .and_then(|extension| extension.strip_prefix(CHUNK_SIGNATURE))
                    .and_then(|signature| signature.try_into().ok());
                signing.claimed = claimed.ok_or(ChunkedError::Malformed(
                    "a chunk has no well-formed chunk-signature",
                ))?;
                signing.data = Sha256::new();
            }
        }
        if size > 0 {
            // Only as much as was announced is ever handed out.
            self.expected_bytes = self
                .expected_bytes
                .checked_sub(size)
                .ok_or(ChunkedError::IncompleteBody)?;
            self.state = State::ChunkData {
                remaining_bytes: size,
            };
            return Ok(());
        }
        if self.expected_bytes > 0 {
            return Err(ChunkedError::IncompleteBody);
        }
        self.check_chunk_signature()?;
        self.state = State::Trailers;
        Ok(())
    }

    fn take_data(&mut self, data: &[u8], remaining_bytes: u64) -> Result<(), ChunkedError> {
        if let Some(signing) = &mut self.signing {
            signing.data.update(data);
        }
        let remaining_bytes = remaining_bytes.saturating_sub(data.len() as u64);
        if remaining_bytes > 0 {
            self.state = State::ChunkData { remaining_bytes };
            return Ok(());
        }
        self.check_chunk_signature()?;
        self.state = State::ChunkEnd;
        Ok(())
    }

    fn check_chunk_signature(&mut self) -> Result<(), ChunkedError> {
        let Some(signing) = &mut self.signing else {
            return Ok(());
        };
        let digest = std::mem::take(&mut signing.data).finish();
        if signing.seed.verify_chunk(&digest, &signing.claimed) {
            Ok(())
        } else {
            Err(ChunkedError::SignatureDoesNotMatch)
        }
    }

    fn take_trailer_line(&mut self, line: &[u8]) -> Result<(), ChunkedError> {
        // The examples of the S3 reference end trailers in a bare line feed.
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return self.end();
        }
        if !self.accepts_trailers {
            return Err(ChunkedError::Malformed("a trailer in a body that has none"));
        }
        self.trailers_length_bytes += line.len();
        let count = self.trailers.len() + usize::from(self.trailer_signature.is_some());
        if self.trailers_length_bytes > TRAILERS_LENGTH_BYTES_MAX || count >= TRAILER_COUNT_MAX {
            return Err(ChunkedError::TrailersTooLarge);
        }
        if self.trailer_signature.is_some() {
            return Err(ChunkedError::Malformed(
                "a trailer after the trailers' signature",
            ));
        }
        let (name, value) = parse_trailer(line)?;
        if name == TRAILER_SIGNATURE {
            self.trailer_signature = Some(value);
        } else {
            self.trailers.push((name, value));
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), ChunkedError> {
        if let Some(signing) = &mut self.signing
            && self.accepts_trailers
        {
            let claimed = self
                .trailer_signature
                .take()
                .ok_or(ChunkedError::SignatureDoesNotMatch)?;
            let digest = canonical_trailers_sha256(&self.trailers);
            if !signing.seed.verify_trailer(&digest, claimed.as_bytes()) {
                return Err(ChunkedError::SignatureDoesNotMatch);
            }
        }
        self.state = State::Ended;
        Ok(())
    }
}

/// The SHA-256 over the trailers in the form that is signed: `name:value` and a line feed each, in
/// the order in which they are sent.
pub fn canonical_trailers_sha256(trailers: &[Trailer]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for (name, value) in trailers {
        for piece in [name.as_str(), ":", value.as_str(), "\n"] {
            digest.update(piece.as_bytes());
        }
    }
    digest.finish()
}

fn parse_chunk_size(digits: &[u8]) -> Result<u64, ChunkedError> {
    if digits.is_empty() || digits.len() > CHUNK_SIZE_DIGITS_MAX {
        return Err(ChunkedError::Malformed(
            "the size of a chunk has no or too many digits",
        ));
    }
    digits.iter().try_fold(0, |size: u64, digit| {
        let value = hex::digit_value(*digit).ok_or(ChunkedError::Malformed(
            "the size of a chunk is not hexadecimal",
        ))?;
        Ok(size << 4 | u64::from(value))
    })
}

fn parse_trailer(line: &[u8]) -> Result<Trailer, ChunkedError> {
    let malformed = ChunkedError::Malformed("a trailer is not a name, a colon and a value");
    let line = std::str::from_utf8(line).map_err(|_| malformed)?;
    let (name, value) = line.split_once(':').ok_or(malformed)?;
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if name.is_empty() || !name.bytes().all(is_name_byte) || value.bytes().any(|b| b == b'\r') {
        return Err(malformed);
    }
    Ok((
        name.to_ascii_lowercase(),
        value.trim_matches([' ', '\t']).to_owned(),
    ))
}
