//! MD5 (RFC 1321), which S3 uses for ETags and `Content-MD5`.

use crate::md5_lanes::compress_one;

/// Length of an MD5 digest.
pub const MD5_LENGTH_BYTES: usize = 16;

/// What MD5 takes at a time (RFC 1321, section 3.4).
pub(crate) const BLOCK_BYTES: usize = 64;

/// One block of input.
pub(crate) type Block = [u8; BLOCK_BYTES];

/// The four registers A, B, C, D.
pub(crate) type Registers = [u32; 4];

/// RFC 1321, section 3.3.
const INITIAL_REGISTERS: Registers = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// Where in the last block of padding the length is (RFC 1321, section 3.2).
const LENGTH_OFFSET: usize = BLOCK_BYTES - size_of::<u64>();

/// A running MD5. It advances alone ([`Md5::update`]) or together with others
/// ([`Md5Lanes`](crate::md5_lanes::Md5Lanes)), in any mixture.
#[derive(Clone)]
pub struct Md5 {
    registers: Registers,
    /// Bytes taken so far, those in `partial` included.
    length_bytes: u64,
    /// Its first `length_bytes % 64` bytes wait for the rest of their block.
    partial: Block,
}

impl Md5 {
    /// Starts a digest of nothing.
    pub fn new() -> Self {
        Self {
            registers: INITIAL_REGISTERS,
            length_bytes: 0,
            partial: [0; BLOCK_BYTES],
        }
    }

    /// Adds `data` to what is digested.
    pub fn update(&mut self, data: &[u8]) {
        let taken = self.complete_block(data);
        let (blocks, rest) = data[taken..].as_chunks();
        if !blocks.is_empty() {
            compress_one(&mut self.registers, blocks);
            self.count_blocks(blocks.len());
        }
        self.complete_block(rest);
    }

    /// Ends the digest.
    pub fn finish(mut self) -> [u8; MD5_LENGTH_BYTES] {
        // The length is that in bits, modulo 2^64 (RFC 1321, section 3.2).
        let length_bits = self.length_bytes.wrapping_mul(8);
        let filled = self.partial_bytes();
        let mut padding = [[0; BLOCK_BYTES]; 2];
        padding[0][..filled].copy_from_slice(&self.partial[..filled]);
        padding[0][filled] = 0x80;
        let blocks = if filled < LENGTH_OFFSET { 1 } else { 2 };
        padding[blocks - 1][LENGTH_OFFSET..].copy_from_slice(&length_bits.to_le_bytes());
        compress_one(&mut self.registers, &padding[..blocks]);

        let mut digest = [0; MD5_LENGTH_BYTES];
        for (bytes, register) in digest.chunks_exact_mut(4).zip(self.registers) {
            bytes.copy_from_slice(&register.to_le_bytes());
        }
        digest
    }

    /// The digest of one piece of data.
    pub fn digest(data: &[u8]) -> [u8; MD5_LENGTH_BYTES] {
        let mut md5 = Self::new();
        md5.update(data);
        md5.finish()
    }

    /// Takes from `data` what the block that was begun lacks, or all of `data` if it is less than a
    /// block needs; says how much. Takes nothing if no block was begun and `data` fills one: what
    /// is left is then whole blocks, to be read where they are, and less than a block behind them.
    pub(crate) fn complete_block(&mut self, data: &[u8]) -> usize {
        let filled = self.partial_bytes();
        if filled == 0 && data.len() >= BLOCK_BYTES {
            return 0;
        }
        let taken = data.len().min(BLOCK_BYTES - filled);
        self.partial[filled..filled + taken].copy_from_slice(&data[..taken]);
        self.length_bytes = self.length_bytes.wrapping_add(taken as u64);
        if filled + taken == BLOCK_BYTES {
            compress_one(&mut self.registers, std::slice::from_ref(&self.partial));
        }
        taken
    }

    /// For whoever compresses whole blocks elsewhere and counts them here afterwards. No block may
    /// have been begun.
    pub(crate) fn registers_mut(&mut self) -> &mut Registers {
        debug_assert_eq!(self.partial_bytes(), 0, "a block was begun");
        &mut self.registers
    }

    pub(crate) fn count_blocks(&mut self, blocks: usize) {
        let bytes = (blocks * BLOCK_BYTES) as u64;
        self.length_bytes = self.length_bytes.wrapping_add(bytes);
    }

    fn partial_bytes(&self) -> usize {
        (self.length_bytes % BLOCK_BYTES as u64) as usize
    }
}

impl Default for Md5 {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Md5 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Md5(running)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hex;

    /// RFC 1321, section A.5.
    const RFC_1321_VECTORS: [(&str, &str); 7] = [
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

    #[test]
    fn vectors_of_rfc_1321() {
        for (input, expected) in RFC_1321_VECTORS {
            let digest = Md5::digest(input.as_bytes());
            assert_eq!(hex::encode(&digest), expected, "{input:?}");
        }
    }

    proptest! {
        #[test]
        fn in_pieces_equals_the_library(
            data in proptest::collection::vec(any::<u8>(), 0..700),
            piece_bytes in 1..200usize,
        ) {
            use md5::Digest as _;
            let mut hasher = Md5::new();
            for piece in data.chunks(piece_bytes) {
                hasher.update(piece);
            }
            let expected: [u8; MD5_LENGTH_BYTES] = md5::Md5::digest(&data).into();
            prop_assert_eq!(hasher.finish(), expected);
            prop_assert_eq!(Md5::digest(&data), expected);
        }
    }
}
