//! What is in the objects: bytes that follow from object and offset alone, so that any range of any
//! object can be compared without anything having been stored.
//!
//! One pattern of random bytes is repeated for ever; each object begins somewhere else in it. So a
//! body is sent as slices of the pattern and verified with a comparison of memory, both without a
//! byte being made. The pattern's length is a prime just below 1 MiB: a block that lands at a wrong
//! multiple of 512, 4 KiB or 1 MiB, or in another object, does not match, and no block of up to
//! 1 MiB compresses or deduplicates.

use std::sync::Arc;

use crate::random;

/// Length of the pattern: the largest prime below 2^20.
pub const PATTERN_BYTES: usize = 1_048_573;

/// Tells the numbers that choose where objects begin from the others of a seed.
const START_STREAM: u64 = 0x5354_4152_5400;

/// The contents of all objects of one seed. Clones share the pattern.
#[derive(Clone)]
pub struct Contents {
    seed: u64,
    pattern: Arc<[u8]>,
}

impl Contents {
    /// Makes the pattern of a seed.
    pub fn new(seed: u64) -> Self {
        let mut pattern = Vec::with_capacity(PATTERN_BYTES + 8);
        let mut index = 0;
        while pattern.len() < PATTERN_BYTES {
            pattern.extend_from_slice(&random::at(seed, index).to_le_bytes());
            index += 1;
        }
        pattern.truncate(PATTERN_BYTES);
        Self {
            seed,
            pattern: pattern.into(),
        }
    }

    /// The bytes of object `object` from `offset`, at most `length_max` and at most to where the
    /// pattern begins anew. Never empty unless `length_max` is 0.
    pub fn piece(&self, object: u64, offset: u64, length_max: u64) -> &[u8] {
        let start = random::at(self.seed ^ START_STREAM, object) % PATTERN_BYTES as u64;
        let place = ((start + offset % PATTERN_BYTES as u64) % PATTERN_BYTES as u64) as usize;
        let rest = &self.pattern[place..];
        let length = usize::try_from(length_max).unwrap_or(usize::MAX);
        &rest[..length.min(rest.len())]
    }

    /// The pieces of a range, in order.
    pub fn pieces(&self, object: u64, offset: u64, length: u64) -> impl Iterator<Item = &[u8]> {
        let end = offset.saturating_add(length);
        let mut place = offset;
        std::iter::from_fn(move || {
            let piece = self.piece(object, place, end - place);
            place += piece.len() as u64;
            (!piece.is_empty()).then_some(piece)
        })
    }

    /// Where `bytes` first differ from the object's bytes at `offset`; `None` if they are the same.
    pub fn first_difference(&self, object: u64, offset: u64, bytes: &[u8]) -> Option<u64> {
        let mut place = offset;
        let mut rest = bytes;
        while !rest.is_empty() {
            let expected = self.piece(object, place, rest.len() as u64);
            let (found, after) = rest.split_at(expected.len());
            if found != expected {
                let same = found.iter().zip(expected).take_while(|(a, b)| a == b);
                return Some(place + same.count() as u64);
            }
            place += expected.len() as u64;
            rest = after;
        }
        None
    }
}

impl std::fmt::Debug for Contents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Contents")
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(contents: &Contents, object: u64, offset: u64, length: u64) -> Vec<u8> {
        contents
            .pieces(object, offset, length)
            .flatten()
            .copied()
            .collect()
    }

    #[test]
    fn blocks_in_a_wrong_place_are_noticed() {
        let contents = Contents::new(1);
        for distance in [1, 512, 4096, 1 << 16, 1 << 20, 5 << 20] {
            let moved = bytes(&contents, 3, distance, 4096);
            assert_eq!(contents.first_difference(3, distance, &moved), None);
            assert!(contents.first_difference(3, 0, &moved).is_some());
        }
        let other_object = bytes(&contents, 4, 0, 4096);
        assert!(contents.first_difference(3, 0, &other_object).is_some());
        let other_seed = bytes(&Contents::new(2), 3, 0, 4096);
        assert!(contents.first_difference(3, 0, &other_seed).is_some());
    }

    #[test]
    fn says_where_the_first_wrong_byte_is() {
        let contents = Contents::new(1);
        let mut body = bytes(&contents, 9, 1000, 3_000_000);
        body[2_500_000] ^= 1;
        assert_eq!(contents.first_difference(9, 1000, &body), Some(2_501_000));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn a_range_is_the_same_however_it_is_cut(
            object: u64, offset in 0u64..1 << 40, length in 0u64..3_000_000, at: prop::sample::Index,
        ) {
            let contents = Contents::new(1);
            let whole = bytes(&contents, object, offset, length);
            prop_assert_eq!(whole.len() as u64, length);
            let cut = at.index(whole.len() + 1);
            let (head, tail) = whole.split_at(cut);
            prop_assert_eq!(contents.first_difference(object, offset, head), None);
            prop_assert_eq!(contents.first_difference(object, offset + cut as u64, tail), None);
        }
    }
}
