//! One to four streams in plain arrays, without any particular instructions.
//!
//! Two streams in one loop take little longer than one, because the core computes the steps of one
//! while the other waits for its own last result; from the third on the core is busy. Measured on a
//! Zen 5 core: 0.93, 1.42, 1.62 and 1.57 GB/s for one to four, against 0.77 for the crate md-5.

use super::schedule::{Sines, sines, word_of_step};
use crate::md5::{Block, Registers};

/// The most streams side by side.
pub(super) const LANES: usize = 4;

type Vector<const STREAMS: usize> = [u32; STREAMS];

/// Takes blocks of one stream.
pub(crate) fn compress_one(registers: &mut Registers, blocks: &[Block]) {
    compress_exactly::<1>(std::slice::from_mut(registers), &[blocks]);
}

/// Takes the blocks of up to four streams, block by block in lockstep.
///
/// # Panics
/// When there are more streams, or none, or they have different numbers of blocks.
pub(super) fn compress(streams: &mut [Registers], blocks: &[&[Block]]) {
    match streams.len() {
        1 => compress_exactly::<1>(streams, blocks),
        2 => compress_exactly::<2>(streams, blocks),
        3 => compress_exactly::<3>(streams, blocks),
        _ => compress_exactly::<LANES>(streams, blocks),
    }
}

fn compress_exactly<const STREAMS: usize>(streams: &mut [Registers], blocks: &[&[Block]]) {
    let count = blocks[0].len();
    assert!(streams.len() == STREAMS && blocks.len() == STREAMS);
    assert!(blocks.iter().all(|blocks| blocks.len() == count));
    let mut state: [Vector<STREAMS>; 4] =
        std::array::from_fn(|register| std::array::from_fn(|stream| streams[stream][register]));
    let sines = sines();
    for block in 0..count {
        let words = load_words(blocks, block);
        state = rounds(state, &words, sines);
    }
    for (stream, registers) in streams.iter_mut().enumerate() {
        *registers = std::array::from_fn(|register| state[register][stream]);
    }
}

/// The words of one block of each stream: word `i` of all in element `i`.
#[inline(always)]
fn load_words<const STREAMS: usize>(blocks: &[&[Block]], block: usize) -> [Vector<STREAMS>; 16] {
    let blocks: [&Block; STREAMS] = std::array::from_fn(|stream| &blocks[stream][block]);
    std::array::from_fn(|word| {
        std::array::from_fn(|stream| u32::from_le_bytes(blocks[stream].as_chunks().0[word]))
    })
}

#[inline(always)]
fn rounds<const STREAMS: usize>(
    before: [Vector<STREAMS>; 4],
    words: &[Vector<STREAMS>; 16],
    sines: &Sines,
) -> [Vector<STREAMS>; 4] {
    let mut state = before;
    for i in (0..16).step_by(4) {
        step::<7, 0, STREAMS>(&mut state, words, sines, i, round_f);
        step::<12, 3, STREAMS>(&mut state, words, sines, i + 1, round_f);
        step::<17, 2, STREAMS>(&mut state, words, sines, i + 2, round_f);
        step::<22, 1, STREAMS>(&mut state, words, sines, i + 3, round_f);
    }
    for i in (16..32).step_by(4) {
        step::<5, 0, STREAMS>(&mut state, words, sines, i, round_g);
        step::<9, 3, STREAMS>(&mut state, words, sines, i + 1, round_g);
        step::<14, 2, STREAMS>(&mut state, words, sines, i + 2, round_g);
        step::<20, 1, STREAMS>(&mut state, words, sines, i + 3, round_g);
    }
    for i in (32..48).step_by(4) {
        step::<4, 0, STREAMS>(&mut state, words, sines, i, round_h);
        step::<11, 3, STREAMS>(&mut state, words, sines, i + 1, round_h);
        step::<16, 2, STREAMS>(&mut state, words, sines, i + 2, round_h);
        step::<23, 1, STREAMS>(&mut state, words, sines, i + 3, round_h);
    }
    for i in (48..64).step_by(4) {
        step::<6, 0, STREAMS>(&mut state, words, sines, i, round_i);
        step::<10, 3, STREAMS>(&mut state, words, sines, i + 1, round_i);
        step::<15, 2, STREAMS>(&mut state, words, sines, i + 2, round_i);
        step::<21, 1, STREAMS>(&mut state, words, sines, i + 3, round_i);
    }
    for (register, before) in state.iter_mut().zip(&before) {
        for (value, before) in register.iter_mut().zip(before) {
            *value = value.wrapping_add(*before);
        }
    }
    state
}

/// Step `i`, in which register `A` (0 to 3) plays the part of a in RFC 1321, and those after it the
/// parts of b, c and d.
#[inline(always)]
fn step<const SHIFT: u32, const A: usize, const STREAMS: usize>(
    state: &mut [Vector<STREAMS>; 4],
    words: &[Vector<STREAMS>; 16],
    sines: &Sines,
    i: usize,
    function: impl Fn(u32, u32, u32) -> u32,
) {
    let [b, c, d] = [state[(A + 1) % 4], state[(A + 2) % 4], state[(A + 3) % 4]];
    let word = &words[word_of_step(i)];
    for stream in 0..STREAMS {
        // b comes last, so what does not need it is added first.
        let early = state[A][stream]
            .wrapping_add(sines[i])
            .wrapping_add(word[stream]);
        let sum = early.wrapping_add(function(b[stream], c[stream], d[stream]));
        state[A][stream] = b[stream].wrapping_add(sum.rotate_left(SHIFT));
    }
}

// The functions F, G, H and I of RFC 1321, section 3.4.

#[inline(always)]
fn round_f(x: u32, y: u32, z: u32) -> u32 {
    z ^ (x & (y ^ z))
}

#[inline(always)]
fn round_g(x: u32, y: u32, z: u32) -> u32 {
    // The halves have no bit in common, so they may as well be added: half of them can be early.
    (!z & y).wrapping_add(z & x)
}

#[inline(always)]
fn round_h(x: u32, y: u32, z: u32) -> u32 {
    x ^ y ^ z
}

#[inline(always)]
fn round_i(x: u32, y: u32, z: u32) -> u32 {
    y ^ (x | !z)
}
