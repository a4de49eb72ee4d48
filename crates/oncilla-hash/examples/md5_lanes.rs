//! How fast MD5 is for 1 to 32 streams at once: the library stream by stream ("old"), and each
//! kernel of this processor. The ways alternate, round by round, so that what else the machine does
//! hits all alike; printed are medians in GB/s and their ratio to the old way.
//!
//! `cargo run --release -p oncilla-hash --example md5_lanes [rounds] [piece bytes]`

use std::time::Instant;

use md5::Digest as _;
use oncilla_hash::Md5;
use oncilla_hash::md5_lanes::{Md5Kernel, Md5Lanes};

/// Rounds, unless the first argument says otherwise.
const ROUNDS_DEFAULT: usize = 15;

/// Length of a piece, unless the second argument says otherwise: what an upload hands over.
const PIECE_BYTES_DEFAULT: usize = 256 << 10;

/// Bytes that each way hashes in a round.
const ROUND_BYTES: usize = 64 << 20;

/// What lies between the buffers beyond their length: not a power of two, as with buffers that come
/// from an allocator, because buffers at equal distances of 64 KiB crowd the same cache sets.
const SPACING_BYTES: usize = 4096 + 192;

/// Step of the lanes, as the store's threads use it.
const STEP_BYTES: usize = 16 << 10;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<usize>());
    let mut number = |default| match arguments.next() {
        None => default,
        Some(number) => number.expect("arguments are numbers"),
    };
    let rounds = number(ROUNDS_DEFAULT);
    let piece_bytes = number(PIECE_BYTES_DEFAULT);

    let kernels = Md5Kernel::available();
    let names: Vec<&str> = kernels.iter().map(|kernel| kernel.name()).collect();
    println!(
        "pieces of {piece_bytes} bytes, median of {rounds} rounds; GB/s (ratio to the old way)"
    );
    print!("{:>8} {:>14}", "streams", "old");
    for name in names {
        print!(" {name:>16}");
    }
    println!();
    for streams in [1, 2, 3, 4, 6, 8, 12, 16, 24, 32] {
        let spaced = piece_bytes + SPACING_BYTES;
        let data: Vec<u8> = (0..streams * spaced)
            .map(|i| (i.wrapping_mul(0x9e37_79b9) >> 13) as u8)
            .collect();
        let pieces: Vec<&[u8]> = data.chunks(spaced).map(|c| &c[..piece_bytes]).collect();
        let mut rates = vec![Vec::new(); kernels.len() + 1];
        for _ in 0..rounds {
            rates[0].push(rate(&pieces, old));
            for (kernel, rates) in kernels.iter().zip(&mut rates[1..]) {
                rates.push(rate(&pieces, |pieces| in_lanes(*kernel, pieces)));
            }
        }
        let medians: Vec<f64> = rates.into_iter().map(median).collect();
        print!("{streams:>8} {:>14.2}", medians[0]);
        for rate in &medians[1..] {
            print!(" {rate:>9.2} ({:>4.1})", rate / medians[0]);
        }
        println!();
    }
}

/// One stream after the other through the library.
fn old(pieces: &[&[u8]]) {
    for piece in pieces {
        std::hint::black_box(md5::Md5::digest(piece));
    }
}

fn in_lanes(kernel: Md5Kernel, pieces: &[&[u8]]) {
    let mut lanes = Md5Lanes::new(kernel);
    for piece in pieces {
        lanes.push(Md5::new(), *piece);
    }
    let mut finished = Vec::with_capacity(pieces.len());
    while !lanes.is_empty() {
        lanes.advance(STEP_BYTES, &mut finished);
    }
    for (md5, _) in finished {
        std::hint::black_box(md5.finish());
    }
}

/// In GB/s.
fn rate(pieces: &[&[u8]], hash: impl Fn(&[&[u8]])) -> f64 {
    let bytes: usize = pieces.iter().map(|piece| piece.len()).sum();
    let repeats = ROUND_BYTES.div_ceil(bytes);
    let start = Instant::now();
    for _ in 0..repeats {
        hash(std::hint::black_box(pieces));
    }
    (bytes * repeats) as f64 / start.elapsed().as_secs_f64() / 1e9
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}
