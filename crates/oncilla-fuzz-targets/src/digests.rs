//! Digests and their texts.

use md5::Digest as _;
use oncilla_hash::md5_lanes::{Md5Kernel, Md5Lanes};
use oncilla_hash::{
    Checksum, ChecksumAlgorithm, ChecksumHasher, Md5, Sha256, combine, crc32c, hex,
};

use crate::input;

/// Input: where to cut, then the data. Hashing in two pieces is hashing at once, checksums combine,
/// and texts are read back; the data as text is a checksum only if it is written like one.
pub fn checksums(data: &[u8]) {
    let ([cut], body) = input::take(data);
    let (first, second) = body.split_at(usize::from(cut).min(body.len()));
    for algorithm in ChecksumAlgorithm::ALL {
        let whole = Checksum::of(algorithm, body);
        let mut hasher = ChecksumHasher::new(algorithm);
        hasher.update(first);
        hasher.update(second);
        assert_eq!(hasher.finish(), whole);
        assert_eq!(
            Checksum::from_base64(algorithm, &whole.to_base64()),
            Ok(whole)
        );
        assert_eq!(Checksum::from_bytes(algorithm, whole.as_bytes()), Ok(whole));

        let pieces = [
            Checksum::of(algorithm, first),
            Checksum::of(algorithm, second),
        ];
        let combined = combine(&pieces[0], &pieces[1], second.len() as u64);
        assert_eq!(combined, algorithm.can_combine().then_some(whole));

        let text = String::from_utf8_lossy(body);
        if let Ok(read) = Checksum::from_base64(algorithm, &text) {
            assert_eq!(read.to_base64(), text.trim());
        }
    }
    let whole = Checksum::of(ChecksumAlgorithm::Crc32c, body);
    assert_eq!(whole.as_bytes(), crc32c(body).to_be_bytes());

    let mut md5 = Md5::new();
    let mut sha256 = Sha256::new();
    for piece in [first, second] {
        md5.update(piece);
        sha256.update(piece);
    }
    assert_eq!(md5.finish(), Md5::digest(body));
    assert_eq!(Md5::digest(body), <[u8; 16]>::from(md5::Md5::digest(body)));
    let sha256 = sha256.finish();
    assert_eq!(sha256, Sha256::digest(body));
    assert_eq!(hex::decode(hex::encode(&sha256).as_bytes()), Some(sha256));
    assert_eq!(hex::encode(&sha256).as_bytes(), hex::encode_32(&sha256));
    if let Some(read) = hex::decode::<32>(body) {
        assert!(hex::encode(&read).as_bytes().eq_ignore_ascii_case(body));
    }
}

/// Most streams of one input: more than any kernel has lanes, so that some wait.
const STREAMS_MAX: usize = 40;

/// A piece of a stream, marked with the stream's number.
struct Piece<'a> {
    stream: usize,
    bytes: &'a [u8],
}

impl AsRef<[u8]> for Piece<'_> {
    fn as_ref(&self) -> &[u8] {
        self.bytes
    }
}

/// Input: the number of streams and how far lanes advance at a time, then pieces: which stream it
/// is of, its length (2 bytes, little-endian), its bytes. In whatever pieces and order streams come,
/// on every kernel of the processor, their digests are what the crate md-5 says of the whole.
pub fn md5_lanes(data: &[u8]) {
    let ([streams, step], mut rest) = input::take(data);
    let streams = 1 + usize::from(streams) % STREAMS_MAX;
    let mut pieces: Vec<Vec<&[u8]>> = vec![Vec::new(); streams];
    while !rest.is_empty() {
        let ([stream, low, high], body) = input::take(rest);
        let length = usize::from(u16::from_le_bytes([low, high])).min(body.len());
        pieces[usize::from(stream) % streams].push(&body[..length]);
        rest = &body[length..];
    }
    let reference = |pieces: &Vec<&[u8]>| md5::Md5::digest(pieces.concat()).into();
    let expected: Vec<[u8; 16]> = pieces.iter().map(reference).collect();
    for kernel in Md5Kernel::available() {
        assert_eq!(in_lanes(kernel, &pieces, usize::from(step) * 16), expected);
    }
}

fn in_lanes(kernel: Md5Kernel, streams: &[Vec<&[u8]>], step_bytes: usize) -> Vec<[u8; 16]> {
    let mut lanes = Md5Lanes::new(kernel);
    let mut coming: Vec<_> = streams.iter().map(|pieces| pieces.iter()).collect();
    let mut digests = vec![[0; 16]; streams.len()];
    let mut go_on = |stream: usize, md5: Md5, lanes: &mut Md5Lanes<_>| match coming[stream].next() {
        Some(bytes) => lanes.push(md5, Piece { stream, bytes }),
        None => digests[stream] = md5.finish(),
    };
    for stream in 0..streams.len() {
        go_on(stream, Md5::new(), &mut lanes);
    }
    let mut finished = Vec::new();
    while !lanes.is_empty() {
        lanes.advance(step_bytes, &mut finished);
        for (md5, piece) in finished.drain(..) {
            go_on(piece.stream, md5, &mut lanes);
        }
    }
    digests
}
