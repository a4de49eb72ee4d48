//! Sixteen lanes in each 512-bit register; two registers' worth side by side for more.
#![allow(unsafe_code)]

use std::arch::x86_64::{
    __m512i, _mm512_add_epi32, _mm512_loadu_si512, _mm512_rol_epi32, _mm512_set1_epi32,
    _mm512_setzero_si512, _mm512_shuffle_i32x4, _mm512_storeu_si512, _mm512_ternarylogic_epi32,
    _mm512_unpackhi_epi32, _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
};

use super::schedule::{Sines, sines, word_of_step};
use crate::md5::{Block, Registers};

/// Streams in one register.
const WIDTH: usize = 16;

/// The functions F, G, H and I of RFC 1321, as truth tables over (x, y, z).
const F: i32 = 0xca;
const G: i32 = 0xe4;
const H: i32 = 0x96;
const I: i32 = 0x39;

/// Takes the blocks of up to `16 * GROUPS` streams, block by block in lockstep.
///
/// # Panics
/// When there are more streams than lanes or none, or they have different numbers of blocks.
#[target_feature(enable = "avx512f")]
pub(super) fn compress<const GROUPS: usize>(streams: &mut [Registers], blocks: &[&[Block]]) {
    let count = blocks[0].len();
    assert!(streams.len() == blocks.len() && streams.len() <= WIDTH * GROUPS);
    assert!(blocks.iter().all(|blocks| blocks.len() == count));
    // A lane without a stream repeats the last stream's blocks; its result is not looked at.
    let last = blocks.len() - 1;
    let lanes: [[&[Block]; WIDTH]; GROUPS] = std::array::from_fn(|group| {
        std::array::from_fn(|lane| blocks[(group * WIDTH + lane).min(last)])
    });
    let mut state = [[_mm512_setzero_si512(); 4]; GROUPS];
    for (group, state) in state.iter_mut().enumerate() {
        *state = load_registers(streams, group * WIDTH);
    }
    let sines = sines();
    for block in 0..count {
        let mut words = [[_mm512_setzero_si512(); 16]; GROUPS];
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
#[target_feature(enable = "avx512f")]
fn load_registers(streams: &[Registers], first: usize) -> [__m512i; 4] {
    let mut columns = [[0u32; WIDTH]; 4];
    for (lane, registers) in streams.iter().skip(first).take(WIDTH).enumerate() {
        for (column, register) in columns.iter_mut().zip(registers) {
            column[lane] = *register;
        }
    }
    let mut state = [_mm512_setzero_si512(); 4];
    for (vector, column) in state.iter_mut().zip(&columns) {
        // SAFETY: reads 64 bytes, which is the length of the array behind the reference; the
        // instruction asks for no alignment.
        *vector = unsafe { _mm512_loadu_si512(column.as_ptr().cast()) };
    }
    state
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store_registers(streams: &mut [Registers], first: usize, state: [__m512i; 4]) {
    let mut columns = [[0u32; WIDTH]; 4];
    for (vector, column) in state.into_iter().zip(&mut columns) {
        // SAFETY: writes 64 bytes, which is the length of the array behind the exclusive
        // reference; the instruction asks for no alignment.
        unsafe { _mm512_storeu_si512(column.as_mut_ptr().cast(), vector) };
    }
    for (lane, registers) in streams.iter_mut().skip(first).take(WIDTH).enumerate() {
        for (column, register) in columns.iter().zip(registers) {
            *register = column[lane];
        }
    }
}

/// The words of one block of each lane: word `i` of all lanes in vector `i`.
#[inline]
#[target_feature(enable = "avx512f")]
fn load_words(lanes: &[&[Block]; WIDTH], block: usize) -> [__m512i; 16] {
    let mut rows = [_mm512_setzero_si512(); 16];
    for (row, blocks) in rows.iter_mut().zip(lanes) {
        let block: &Block = &blocks[block];
        // SAFETY: reads 64 bytes, which is the length of the array behind the reference; the
        // instruction asks for no alignment.
        *row = unsafe { _mm512_loadu_si512(block.as_ptr().cast()) };
    }
    transpose(rows)
}

/// Rows to columns, of 16 × 16 words: twice within the 128-bit quarters of the registers, twice
/// between them.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose(rows: [__m512i; 16]) -> [__m512i; 16] {
    let zero = [_mm512_setzero_si512(); 16];
    let mut pairs = zero;
    for i in 0..8 {
        pairs[2 * i] = _mm512_unpacklo_epi32(rows[2 * i], rows[2 * i + 1]);
        pairs[2 * i + 1] = _mm512_unpackhi_epi32(rows[2 * i], rows[2 * i + 1]);
    }
    let mut quads = zero;
    for i in 0..4 {
        let [a, b, c, d] = [4 * i, 4 * i + 1, 4 * i + 2, 4 * i + 3];
        quads[a] = _mm512_unpacklo_epi64(pairs[a], pairs[c]);
        quads[b] = _mm512_unpackhi_epi64(pairs[a], pairs[c]);
        quads[c] = _mm512_unpacklo_epi64(pairs[b], pairs[d]);
        quads[d] = _mm512_unpackhi_epi64(pairs[b], pairs[d]);
    }
    let mut halves = zero;
    for i in 0..4 {
        halves[i] = _mm512_shuffle_i32x4::<0x88>(quads[i], quads[i + 4]);
        halves[i + 4] = _mm512_shuffle_i32x4::<0xdd>(quads[i], quads[i + 4]);
        halves[i + 8] = _mm512_shuffle_i32x4::<0x88>(quads[i + 8], quads[i + 12]);
        halves[i + 12] = _mm512_shuffle_i32x4::<0xdd>(quads[i + 8], quads[i + 12]);
    }
    let mut columns = zero;
    for i in 0..4 {
        columns[i] = _mm512_shuffle_i32x4::<0x88>(halves[i], halves[i + 8]);
        columns[i + 8] = _mm512_shuffle_i32x4::<0xdd>(halves[i], halves[i + 8]);
        columns[i + 4] = _mm512_shuffle_i32x4::<0x88>(halves[i + 4], halves[i + 12]);
        columns[i + 12] = _mm512_shuffle_i32x4::<0xdd>(halves[i + 4], halves[i + 12]);
    }
    columns
}

/// The 64 steps over one block of each lane. The groups' steps alternate, so that one computes
/// while the other waits for its own last result.
#[inline]
#[target_feature(enable = "avx512f")]
fn rounds<const GROUPS: usize>(
    before: [[__m512i; 4]; GROUPS],
    words: &[[__m512i; 16]; GROUPS],
    sines: &Sines,
) -> [[__m512i; 4]; GROUPS] {
    let mut state = before;
    for i in 0..4 {
        four_steps::<GROUPS, F, 7, 12, 17, 22>(&mut state, words, sines, 4 * i);
    }
    for i in 4..8 {
        four_steps::<GROUPS, G, 5, 9, 14, 20>(&mut state, words, sines, 4 * i);
    }
    for i in 8..12 {
        four_steps::<GROUPS, H, 4, 11, 16, 23>(&mut state, words, sines, 4 * i);
    }
    for i in 12..16 {
        four_steps::<GROUPS, I, 6, 10, 15, 21>(&mut state, words, sines, 4 * i);
    }
    for (state, before) in state.iter_mut().zip(&before) {
        for (register, before) in state.iter_mut().zip(before) {
            *register = _mm512_add_epi32(*register, *before);
        }
    }
    state
}

/// Steps `first` to `first + 3`, after which every register has its own place again.
#[inline]
#[target_feature(enable = "avx512f")]
fn four_steps<
    const GROUPS: usize,
    const FUNCTION: i32,
    const S0: i32,
    const S1: i32,
    const S2: i32,
    const S3: i32,
>(
    state: &mut [[__m512i; 4]; GROUPS],
    words: &[[__m512i; 16]; GROUPS],
    sines: &Sines,
    first: usize,
) {
    step::<GROUPS, FUNCTION, S0, 0>(state, words, sines, first);
    step::<GROUPS, FUNCTION, S1, 3>(state, words, sines, first + 1);
    step::<GROUPS, FUNCTION, S2, 2>(state, words, sines, first + 2);
    step::<GROUPS, FUNCTION, S3, 1>(state, words, sines, first + 3);
}

/// Step `i`, in which register `A` (0 to 3) plays the part of a in RFC 1321, and those after it the
/// parts of b, c and d.
#[inline]
#[target_feature(enable = "avx512f")]
fn step<const GROUPS: usize, const FUNCTION: i32, const SHIFT: i32, const A: usize>(
    state: &mut [[__m512i; 4]; GROUPS],
    words: &[[__m512i; 16]; GROUPS],
    sines: &Sines,
    i: usize,
) {
    let sine = _mm512_set1_epi32(sines[i].cast_signed());
    for (state, words) in state.iter_mut().zip(words) {
        let [b, c, d] = [state[(A + 1) % 4], state[(A + 2) % 4], state[(A + 3) % 4]];
        // b comes last, so what does not need it is added first.
        let early = _mm512_add_epi32(_mm512_add_epi32(state[A], sine), words[word_of_step(i)]);
        let sum = _mm512_add_epi32(early, _mm512_ternarylogic_epi32::<FUNCTION>(b, c, d));
        state[A] = _mm512_add_epi32(b, _mm512_rol_epi32::<SHIFT>(sum));
    }
}
