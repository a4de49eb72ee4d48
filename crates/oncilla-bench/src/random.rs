//! Random numbers that a seed repeats: which object, which size, which offset.
//!
//! SplitMix64 (Steele, Lea, Flood, 2014): an add and three multiplications per number, and any
//! number of the sequence can be computed without those before it, which is what makes sizes and
//! contents a function of the object's number.

/// The increment of SplitMix64, the golden ratio in 64 bits.
const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// The number at `index` of the sequence that `seed` begins.
pub fn at(seed: u64, index: u64) -> u64 {
    let mut value = seed.wrapping_add(GOLDEN_GAMMA.wrapping_mul(index.wrapping_add(1)));
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// A number as a fraction in `[0, 1)`.
pub fn fraction(number: u64) -> f64 {
    // 53 bits are what an f64 holds.
    (number >> 11) as f64 / (1u64 << 53) as f64
}

/// A running sequence.
#[derive(Clone, Debug)]
pub struct Random {
    seed: u64,
    index: u64,
}

impl Random {
    /// The sequence of `seed`; `stream` tells apart those who share a seed.
    pub fn new(seed: u64, stream: u64) -> Self {
        Self {
            seed: at(seed, stream),
            index: 0,
        }
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        let number = at(self.seed, self.index);
        self.index = self.index.wrapping_add(1);
        number
    }

    /// A number from 0 to `end - 1`; 0 if `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        // The high half of the product: as even as the input up to `end / 2^64`.
        ((u128::from(self.next_u64()) * u128::from(end)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_and_differs() {
        let take = |seed, stream| -> Vec<u64> {
            let mut random = Random::new(seed, stream);
            (0..8).map(|_| random.next_u64()).collect()
        };
        assert_eq!(take(1, 0), take(1, 0));
        assert_ne!(take(1, 0), take(1, 1));
        assert_ne!(take(1, 0), take(2, 0));
    }

    #[test]
    fn is_even_and_stays_in_bounds() {
        let mut random = Random::new(7, 0);
        let mut counts = [0u32; 10];
        for _ in 0..100_000 {
            counts[random.below(10) as usize] += 1;
        }
        assert!(
            counts.iter().all(|count| (9_000..11_000).contains(count)),
            "{counts:?}"
        );
        assert_eq!((random.below(0), random.below(1)), (0, 0));
        assert!((0..1000).all(|n| (0.0..1.0).contains(&fraction(at(3, n)))));
    }
}
