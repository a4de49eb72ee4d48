//! The aws-chunked framing.

use bytes::Bytes;
use oncilla_hash::{Sha256, hex};
use oncilla_wire::chunked::{
    ChunkedDecoder, ChunkedError, ChunkedMode, Trailer, canonical_trailers_sha256,
};
use oncilla_wire::sigv4::{AmzDate, ChunkSeed, Scope, SigningKey};

use crate::input;

/// Everything that decoding a body has given.
#[derive(Debug, PartialEq, Eq)]
struct Decoded {
    payload: Vec<u8>,
    outcome: Result<Vec<Trailer>, ChunkedError>,
}

/// Input: a line `mode length step`, then the framed body. The result must not depend on how the
/// body arrives, nothing beyond the announced length may come out, and what is accepted has exactly
/// that length.
pub fn chunked_decode(data: &[u8]) {
    let (line, body) = input::first_line(data);
    let line = String::from_utf8_lossy(line);
    let mut words = line.split_ascii_whitespace();
    let mode = match words.next() {
        Some("signed") => ChunkedMode::Signed(seed()),
        Some("signed-trailer") => ChunkedMode::SignedTrailer(seed()),
        _ => ChunkedMode::UnsignedTrailer,
    };
    let length = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
    let step = words.next().and_then(|word| word.parse().ok()).unwrap_or(7);

    let whole = decode(&mode, length, body, body.len().max(1));
    assert!(whole.payload.len() as u64 <= length, "more than announced");
    if whole.outcome.is_ok() {
        assert_eq!(whole.payload.len() as u64, length);
    }
    for step in [1, usize::max(step, 1)] {
        let split = decode(&mode, length, body, step);
        if whole.outcome.is_ok() {
            assert_eq!(split, whole, "in steps of {step}");
        } else {
            // How much of a refused body has been handed out is nobody's business.
            assert_eq!(split.outcome, whole.outcome, "in steps of {step}");
            assert!(split.payload.len() as u64 <= length);
        }
    }
}

/// Input: chunk length, position and change of one byte, whether there is a trailer, then the
/// payload. A signed body decodes to its payload, and after any one byte of it was changed it
/// either decodes to the same payload and trailers or is refused.
pub fn chunked_tampered(data: &[u8]) {
    let ([chunk, position_low, position_high, change, with_trailer], payload) = input::take(data);
    let trailer = (with_trailer & 1 == 1).then_some(("x-amz-checksum-crc32c", "sOO8/Q=="));
    let mode = match trailer {
        Some(_) => ChunkedMode::SignedTrailer(seed()),
        None => ChunkedMode::Signed(seed()),
    };
    let mut body = encode(payload, usize::from(chunk).max(1), trailer);
    let length = payload.len() as u64;
    let intact = decode(&mode, length, &body, body.len());
    let trailers: Vec<Trailer> = trailer
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    assert_eq!(intact.payload, payload);
    assert_eq!(intact.outcome.as_ref(), Ok(&trailers));

    let at = usize::from(u16::from_le_bytes([position_low, position_high])) % body.len();
    body[at] ^= change;
    let changed = decode(&mode, length, &body, body.len());
    if changed.outcome.is_ok() {
        assert_eq!(
            changed, intact,
            "accepted with byte {at} changed by {change}"
        );
    }
    body[at] ^= change;
    body.truncate(at);
    let cut = decode(&mode, length, &body, body.len().max(1));
    if cut.outcome.is_ok() {
        assert_eq!(cut, intact, "accepted though cut at {at}");
    }
}

fn decode(mode: &ChunkedMode, length: u64, body: &[u8], step: usize) -> Decoded {
    let mut decoder = ChunkedDecoder::new(mode.clone(), length);
    let mut pieces: Vec<Bytes> = Vec::new();
    let mut pushed = Ok(());
    for piece in body.chunks(step) {
        pushed = decoder.push(Bytes::copy_from_slice(piece), &mut pieces);
        if pushed.is_err() {
            break;
        }
    }
    let outcome = decoder.finish();
    if let Err(error) = pushed {
        assert_eq!(outcome, Err(error), "an error is not forgotten");
    }
    Decoded {
        payload: pieces.concat(),
        outcome,
    }
}

/// A signed body, written after the S3 API reference. With [`seed`] as its seed.
pub(crate) fn encode(payload: &[u8], chunk: usize, trailer: Option<(&str, &str)>) -> Vec<u8> {
    let mut seed = seed();
    let mut body = Vec::new();
    for data in payload.chunks(chunk).chain([&[][..]]) {
        let signature = seed.sign_chunk(&Sha256::digest(data));
        body.extend_from_slice(format!("{:x};chunk-signature=", data.len()).as_bytes());
        body.extend_from_slice(&signature);
        body.extend_from_slice(b"\r\n");
        if !data.is_empty() {
            body.extend_from_slice(data);
            body.extend_from_slice(b"\r\n");
        }
    }
    if let Some((name, value)) = trailer {
        let trailers = [(name.to_owned(), value.to_owned())];
        let signature = seed.sign_trailer(&canonical_trailers_sha256(&trailers));
        body.extend_from_slice(format!("{name}:{value}\r\nx-amz-trailer-signature:").as_bytes());
        body.extend_from_slice(&signature);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"\r\n");
    body
}

/// Always the same, so that bodies in the corpus stay valid.
fn seed() -> ChunkSeed {
    let date = AmzDate::from_unix_s(1_369_353_600);
    let date = date.unwrap_or_else(|| panic!("2013 is a year that can be written"));
    let scope = Scope {
        day: "20130524".into(),
        region: "us-east-1".into(),
        service: "s3".into(),
    };
    let key = SigningKey::derive("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", &scope);
    ChunkSeed::new(key, scope.to_string(), date, hex::encode_32(&[0x5a; 32]))
}
