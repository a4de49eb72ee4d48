//! MD5 in lanes against the crate md-5, on every kernel that this processor has.
#![allow(clippy::unwrap_used)]

use md5::Digest as _;
use oncilla_hash::md5_lanes::{LANES_MAX, Md5Kernel, Md5Lanes};
use oncilla_hash::{Md5, hex};
use proptest::collection::vec;
use proptest::prelude::*;

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

/// Digests of streams that come in pieces, as many of them at once as there are streams.
fn digests(kernel: Md5Kernel, streams: &[Vec<&[u8]>], step_bytes: usize) -> Vec<[u8; 16]> {
    let mut lanes = Md5Lanes::new(kernel);
    let mut coming: Vec<_> = streams.iter().map(|pieces| pieces.iter()).collect();
    let mut digests = vec![None; streams.len()];
    let mut next = |stream: usize, md5: Md5, lanes: &mut Md5Lanes<_>| match coming[stream].next() {
        Some(bytes) => lanes.push(md5, Piece { stream, bytes }),
        None => digests[stream] = Some(md5.finish()),
    };
    for stream in 0..streams.len() {
        next(stream, Md5::new(), &mut lanes);
    }
    let mut finished = Vec::new();
    while !lanes.is_empty() {
        lanes.advance(step_bytes, &mut finished);
        for (md5, piece) in finished.drain(..) {
            next(piece.stream, md5, &mut lanes);
        }
    }
    digests.into_iter().map(|digest| digest.unwrap()).collect()
}

fn expected(streams: &[Vec<&[u8]>]) -> Vec<[u8; 16]> {
    let digest = |pieces: &Vec<&[u8]>| md5::Md5::digest(pieces.concat()).into();
    streams.iter().map(digest).collect()
}

/// Bytes that differ from each other and between streams.
fn bytes(length: usize, stream: usize) -> Vec<u8> {
    let byte = |at: usize| ((at + 977 * stream).wrapping_mul(0x9e37_79b9) >> 13) as u8;
    (0..length).map(byte).collect()
}

#[test]
fn the_suite_of_rfc_1321_in_every_lane() {
    // RFC 1321, section A.5.
    let suite = [
        ("", "d41d8cd98f00b204e9800998ecf8427e"),
        ("a", "0cc175b9c0f1b6a831c399e269772661"),
        ("abc", "900150983cd24fb0d6963f7d28e17f72"),
        ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
        (
            "abcdefghijklmnopqrstuvwxyz",
            "c3fcd3d76192e4007dfb496cca67e13b",
        ),
        (
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
            "d174ab98d277d9f5a5611c2c9f419d9f",
        ),
        (
            "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
            "57edf4a22be3c955ac49da2e2107b67a",
        ),
    ];
    for kernel in Md5Kernel::available() {
        for lanes in 1..=kernel.lanes() {
            for (input, digest) in suite {
                let streams = vec![vec![input.as_bytes()]; lanes];
                for actual in digests(kernel, &streams, 64) {
                    assert_eq!(hex::encode(&actual), digest, "{kernel:?} {lanes} {input:?}");
                }
            }
        }
    }
}

/// Every number of streams up to more than there are lanes, each stream with its own bytes and
/// long enough for whole blocks in every lane.
#[test]
fn every_number_of_streams() {
    let data: Vec<Vec<u8>> = (0..LANES_MAX + 3).map(|i| bytes(700 + i, i)).collect();
    for kernel in Md5Kernel::available() {
        for count in 1..=data.len() {
            let streams: Vec<Vec<&[u8]>> = data[..count].iter().map(|d| vec![&d[..]]).collect();
            let actual = digests(kernel, &streams, 256);
            assert_eq!(actual, expected(&streams), "{kernel:?}, {count} streams");
        }
    }
}

/// Lengths around the borders of blocks and of the padding.
#[test]
fn every_length_up_to_four_blocks() {
    for kernel in Md5Kernel::available() {
        let data: Vec<Vec<u8>> = (0..=256).map(|length| bytes(length, length)).collect();
        let streams: Vec<Vec<&[u8]>> = data.iter().map(|d| vec![&d[..]]).collect();
        assert_eq!(
            digests(kernel, &streams, 64),
            expected(&streams),
            "{kernel:?}"
        );
    }
}

#[test]
fn the_fastest_kernel_is_an_available_one() {
    let available = Md5Kernel::available();
    assert_eq!(available.last(), Some(&Md5Kernel::detect()));
    for kernel in available {
        assert!(kernel.lanes() <= LANES_MAX, "{kernel:?}");
    }
}

/// Lanes report what room they have.
#[test]
fn pieces_beyond_the_lanes_wait() {
    let kernel = Md5Kernel::detect();
    let data = bytes(1000, 0);
    let mut lanes = Md5Lanes::new(kernel);
    assert!(lanes.is_empty());
    for pushed in 0..kernel.lanes() + 2 {
        assert_eq!(lanes.free(), kernel.lanes().saturating_sub(pushed));
        lanes.push(Md5::new(), &data[..]);
    }
    assert_eq!(lanes.len(), kernel.lanes() + 2);
    let mut finished = Vec::new();
    lanes.advance(usize::MAX, &mut finished);
    assert_eq!(finished.len(), kernel.lanes());
    lanes.advance(0, &mut finished);
    assert_eq!(
        finished.len(),
        kernel.lanes(),
        "one block was taken of each"
    );
    while !lanes.is_empty() {
        lanes.advance(0, &mut finished);
    }
    assert_eq!(finished.len(), kernel.lanes() + 2);
}

proptest! {
    #[test]
    fn streams_in_pieces_equal_the_library(
        streams in vec(vec(vec(any::<u8>(), 0..400), 0..6), 0..40),
        step_bytes in 0..2000usize,
    ) {
        let streams: Vec<Vec<&[u8]>> = streams
            .iter()
            .map(|pieces| pieces.iter().map(Vec::as_slice).collect())
            .collect();
        let expected = expected(&streams);
        for kernel in Md5Kernel::available() {
            prop_assert_eq!(&digests(kernel, &streams, step_bytes), &expected, "{:?}", kernel);
        }
    }

    /// A digest may go back and forth between lanes and its own.
    #[test]
    fn alone_and_together_mix(
        pieces in vec((vec(any::<u8>(), 0..300), any::<bool>()), 0..12),
    ) {
        let mut expected = md5::Md5::new();
        for (piece, _) in &pieces {
            expected.update(piece);
        }
        let expected: [u8; 16] = expected.finalize().into();
        for kernel in Md5Kernel::available() {
            let mut md5 = Md5::new();
            let others = bytes(300, 1);
            for (piece, together) in &pieces {
                if !together {
                    md5.update(piece);
                    continue;
                }
                let mut lanes = Md5Lanes::new(kernel);
                for _ in 1..kernel.lanes() {
                    lanes.push(Md5::new(), Piece { stream: 1, bytes: &others });
                }
                lanes.push(md5, Piece { stream: 0, bytes: piece });
                let mut finished = Vec::new();
                while !lanes.is_empty() {
                    lanes.advance(128, &mut finished);
                }
                let own = finished.into_iter().find(|(_, piece)| piece.stream == 0);
                md5 = own.unwrap().0;
            }
            prop_assert_eq!(md5.finish(), expected, "{:?}", kernel);
        }
    }
}
