//! Eight lanes in each 256-bit register; two registers' worth side by side for more.
#![allow(unsafe_code)]

use std::arch::x86_64::{
    __m256i, _mm256_add_epi32, _mm256_and_si256, _mm256_andnot_si256, _mm256_loadu_si256,
    _mm256_or_si256, _mm256_permute2x128_si256, _mm256_set1_epi32, _mm256_setzero_si256,
    _mm256_slli_epi32, _mm256_srli_epi32, _mm256_storeu_si256, _mm256_unpackhi_epi32,
    _mm256_unpackhi_epi64, _mm256_unpacklo_epi32, _mm256_unpacklo_epi64, _mm256_xor_si256,
};

use super::schedule::{Sines, sines, word_of_step};
use crate::md5::{Block, Registers};

/// Streams in one register.
const WIDTH: usize = 8;

/// Names of the functions F, G, H and I of RFC 1321.
const F: u8 = b'F';
const G: u8 = b'G';
const H: u8 = b'H';
const I: u8 = b'I';

/// Takes the blocks of up to `8 * GROUPS` streams, block by block in lockstep.
///
/// # Panics
/// When there are more streams than lanes or none, or they have different numbers of blocks.
#[target_feature(enable = "avx2")]
pub(super) fn compress<const GROUPS: usize>(streams: &mut [Registers], blocks: &[&[Block]]) {
    let count = blocks[0].len();
    assert!(streams.len() == blocks.len() && streams.len() <= WIDTH * GROUPS);
    assert!(blocks.iter().all(|blocks| blocks.len() == count));
    // A lane without a stream repeats the last stream's blocks; its result is not looked at.
    let last = blocks.len() - 1;
    let lanes: [[&[Block]; WIDTH]; GROUPS] = std::array::from_fn(|group| {
        std::array::from_fn(|lane| blocks[(group * WIDTH + lane).min(last)])
    });
    let mut state = [[_mm256_setzero_si256(); 4]; GROUPS];
    for (group, state) in state.iter_mut().enumerate() {
        *state = load_registers(streams, group * WIDTH);
    }
    let sines = sines();
    for block in 0..count {
        let mut words = [[_mm256_setzero_si256(); 16]; GROUPS];
        for (words, lanes) in words.iter_mut().zip(&lanes) {
            *words = load_words(lanes, block);
        }
        state = rounds(state, &words, sines);
    }
    for (group, state) in state.into_iter().enumerate() {
        store_registers(streams, group * WIDTH, state);
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_registers(streams: &[Registers], first: usize) -> [__m256i; 4] {
    let mut columns = [[0u32; WIDTH]; 4];
    for (lane, registers) in streams.iter().skip(first).take(WIDTH).enumerate() {
        for (column, register) in columns.iter_mut().zip(registers) {
            column[lane] = *register;
        }
    }
    let mut state = [_mm256_setzero_si256(); 4];
    for (vector, column) in state.iter_mut().zip(&columns) {
        // SAFETY: reads 32 bytes, which is the length of the array behind the reference; the
        // instruction asks for no alignment.
        *vector = unsafe { _mm256_loadu_si256(column.as_ptr().cast()) };
    }
    state
}

#[inline]
#[target_feature(enable = "avx2")]
fn store_registers(streams: &mut [Registers], first: usize, state: [__m256i; 4]) {
    let mut columns = [[0u32; WIDTH]; 4];
    for (vector, column) in state.into_iter().zip(&mut columns) {
        // SAFETY: writes 32 bytes, which is the length of the array behind the exclusive
        // reference; the instruction asks for no alignment.
        unsafe { _mm256_storeu_si256(column.as_mut_ptr().cast(), vector) };
    }
    for (lane, registers) in streams.iter_mut().skip(first).take(WIDTH).enumerate() {
        for (column, register) in columns.iter().zip(registers) {
            *register = column[lane];
        }
    }
}

/// The words of one block of each lane: word `i` of all lanes in vector `i`.
#[inline]
#[target_feature(enable = "avx2")]
fn load_words(lanes: &[&[Block]; WIDTH], block: usize) -> [__m256i; 16] {
    let mut words = [_mm256_setzero_si256(); 16];
    for (half, words) in words.chunks_exact_mut(WIDTH).enumerate() {
        let mut rows = [_mm256_setzero_si256(); WIDTH];
        for (row, blocks) in rows.iter_mut().zip(lanes) {
            let block: &Block = &blocks[block];
            let half = &block.as_chunks::<32>().0[half];
            // SAFETY: reads 32 bytes, which is the length of the array behind the reference; the
            // instruction asks for no alignment.
            *row = unsafe { _mm256_loadu_si256(half.as_ptr().cast()) };
        }
        words.copy_from_slice(&transpose(rows));
    }
    words
}

/// Rows to columns, of 8 × 8 words: twice within the 128-bit halves of the registers, once between
/// them.
#[inline]
#[target_feature(enable = "avx2")]
fn transpose(rows: [__m256i; 8]) -> [__m256i; 8] {
    let zero = [_mm256_setzero_si256(); 8];
    let mut pairs = zero;
    for i in 0..4 {
        pairs[2 * i] = _mm256_unpacklo_epi32(rows[2 * i], rows[2 * i + 1]);
        pairs[2 * i + 1] = _mm256_unpackhi_epi32(rows[2 * i], rows[2 * i + 1]);
    }
    let mut quads = zero;
    for i in 0..2 {
        let [a, b, c, d] = [4 * i, 4 * i + 1, 4 * i + 2, 4 * i + 3];
        quads[a] = _mm256_unpacklo_epi64(pairs[a], pairs[c]);
        quads[b] = _mm256_unpackhi_epi64(pairs[a], pairs[c]);
        quads[c] = _mm256_unpacklo_epi64(pairs[b], pairs[d]);
        quads[d] = _mm256_unpackhi_epi64(pairs[b], pairs[d]);
    }
    let mut columns = zero;
    for i in 0..4 {
        columns[i] = _mm256_permute2x128_si256::<0x20>(quads[i], quads[i + 4]);
        columns[i + 4] = _mm256_permute2x128_si256::<0x31>(quads[i], quads[i + 4]);
    }
    columns
}

/// The 64 steps over one block of each lane. The groups' steps alternate, so that one computes
/// while the other waits for its own last result.
#[inline]
#[target_feature(enable = "avx2")]
fn rounds<const GROUPS: usize>(
    before: [[__m256i; 4]; GROUPS],
    words: &[[__m256i; 16]; GROUPS],
    sines: &Sines,
) -> [[__m256i; 4]; GROUPS] {
    let mut state = before;
    for i in (0..16).step_by(4) {
        step::<GROUPS, F, 7, 25, 0>(&mut state, words, sines, i);
        step::<GROUPS, F, 12, 20, 3>(&mut state, words, sines, i + 1);
        step::<GROUPS, F, 17, 15, 2>(&mut state, words, sines, i + 2);
        step::<GROUPS, F, 22, 10, 1>(&mut state, words, sines, i + 3);
    }
    for i in (16..32).step_by(4) {
        step::<GROUPS, G, 5, 27, 0>(&mut state, words, sines, i);
        step::<GROUPS, G, 9, 23, 3>(&mut state, words, sines, i + 1);
        step::<GROUPS, G, 14, 18, 2>(&mut state, words, sines, i + 2);
        step::<GROUPS, G, 20, 12, 1>(&mut state, words, sines, i + 3);
    }
    for i in (32..48).step_by(4) {
        step::<GROUPS, H, 4, 28, 0>(&mut state, words, sines, i);
        step::<GROUPS, H, 11, 21, 3>(&mut state, words, sines, i + 1);
        step::<GROUPS, H, 16, 16, 2>(&mut state, words, sines, i + 2);
        step::<GROUPS, H, 23, 9, 1>(&mut state, words, sines, i + 3);
    }
    for i in (48..64).step_by(4) {
        step::<GROUPS, I, 6, 26, 0>(&mut state, words, sines, i);
        step::<GROUPS, I, 10, 22, 3>(&mut state, words, sines, i + 1);
        step::<GROUPS, I, 15, 17, 2>(&mut state, words, sines, i + 2);
        step::<GROUPS, I, 21, 11, 1>(&mut state, words, sines, i + 3);
    }
    for (state, before) in state.iter_mut().zip(&before) {
        for (register, before) in state.iter_mut().zip(before) {
            *register = _mm256_add_epi32(*register, *before);
        }
    }
    state
}

/// Step `i`, in which register `A` (0 to 3) plays the part of a in RFC 1321, and those after it the
/// parts of b, c and d. The rotation is given both ways (`LEFT + RIGHT == 32`): AVX2 has only shifts.
#[inline]
#[target_feature(enable = "avx2")]
fn step<
    const GROUPS: usize,
    const FUNCTION: u8,
    const LEFT: i32,
    const RIGHT: i32,
    const A: usize,
>(
    state: &mut [[__m256i; 4]; GROUPS],
    words: &[[__m256i; 16]; GROUPS],
    sines: &Sines,
    i: usize,
) {
    const { assert!(LEFT + RIGHT == 32) };
    let sine = _mm256_set1_epi32(sines[i].cast_signed());
    for (state, words) in state.iter_mut().zip(words) {
        let [b, c, d] = [state[(A + 1) % 4], state[(A + 2) % 4], state[(A + 3) % 4]];
        // b comes last, so what does not need it is added first.
        let early = _mm256_add_epi32(_mm256_add_epi32(state[A], sine), words[word_of_step(i)]);
        let sum = _mm256_add_epi32(early, function::<FUNCTION>(b, c, d));
        let rotated = _mm256_or_si256(
            _mm256_slli_epi32::<LEFT>(sum),
            _mm256_srli_epi32::<RIGHT>(sum),
        );
        state[A] = _mm256_add_epi32(b, rotated);
    }
}

/// The functions of RFC 1321, section 3.4, in forms of three operations.
#[inline]
#[target_feature(enable = "avx2")]
fn function<const FUNCTION: u8>(x: __m256i, y: __m256i, z: __m256i) -> __m256i {
    match FUNCTION {
        F => _mm256_xor_si256(z, _mm256_and_si256(x, _mm256_xor_si256(y, z))),
        // The halves have no bit in common, so they may as well be added.
        G => _mm256_add_epi32(_mm256_andnot_si256(z, y), _mm256_and_si256(z, x)),
        H => _mm256_xor_si256(x, _mm256_xor_si256(y, z)),
        _ => {
            let not_z = _mm256_xor_si256(z, _mm256_set1_epi32(-1));
            _mm256_xor_si256(y, _mm256_or_si256(x, not_z))
        }
    }
}
