//! SHA-256 (FIPS 180-4) and HMAC-SHA256 (RFC 2104), the primitives of Signature Version 4.

use aws_lc_rs::{digest, hmac};

/// Length of a SHA-256 digest and of an HMAC-SHA256 tag.
pub const SHA256_LENGTH_BYTES: usize = 32;

/// A running SHA-256.
#[derive(Clone)]
pub struct Sha256(digest::Context);

impl Sha256 {
    /// The digest of no bytes at all, which SigV4 names so often that it is worth a constant.
    pub const OF_EMPTY: [u8; SHA256_LENGTH_BYTES] = [
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9,
        0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52,
        0xb8, 0x55,
    ];

    /// Starts a digest of nothing.
    pub fn new() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }

    /// Adds `data` to what is digested.
    pub fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    /// Ends the digest.
    pub fn finish(self) -> [u8; SHA256_LENGTH_BYTES] {
        fixed(self.0.finish().as_ref())
    }

    /// The digest of one piece of data.
    pub fn digest(data: &[u8]) -> [u8; SHA256_LENGTH_BYTES] {
        fixed(digest::digest(&digest::SHA256, data).as_ref())
    }
}

impl Default for Sha256 {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sha256(running)")
    }
}

/// A key prepared for HMAC-SHA256: the two key-dependent hash blocks are computed once, here.
/// Its `Debug` shows nothing of the key.
#[derive(Clone)]
pub struct HmacSha256Key(hmac::Key);

impl HmacSha256Key {
    /// Prepares `key`, of any length.
    pub fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// The tag of `data`.
    pub fn sign(&self, data: &[u8]) -> [u8; SHA256_LENGTH_BYTES] {
        fixed(hmac::sign(&self.0, data).as_ref())
    }
}

impl std::fmt::Debug for HmacSha256Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HmacSha256Key(redacted)")
    }
}

/// HMAC-SHA256 of `data` under `key`, for a key that is used once.
pub fn hmac_sha256(key: &[u8], data: &[u8]) -> [u8; SHA256_LENGTH_BYTES] {
    HmacSha256Key::new(key).sign(data)
}

/// The library hands out slices; the algorithm fixes their length.
fn fixed(output: &[u8]) -> [u8; SHA256_LENGTH_BYTES] {
    let mut bytes = [0; SHA256_LENGTH_BYTES];
    bytes.copy_from_slice(output);
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hex;

    #[test]
    fn vectors_of_fips_180_4() {
        assert_eq!(Sha256::digest(b""), Sha256::OF_EMPTY);
        assert_eq!(
            hex::encode(&Sha256::digest(b"abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn vectors_of_rfc_4231() {
        let first = hmac_sha256(&[0x0b; 20], b"Hi There");
        assert_eq!(
            hex::encode(&first),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        );
        let longer_key_than_block = hmac_sha256(
            &[0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First",
        );
        assert_eq!(
            hex::encode(&longer_key_than_block),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn debug_shows_no_key() {
        let key = HmacSha256Key::new(b"very secret");
        assert_eq!(format!("{key:?}"), "HmacSha256Key(redacted)");
    }

    proptest! {
        #[test]
        fn split_anywhere_equals_whole(
            data in proptest::collection::vec(any::<u8>(), 0..500),
            at in any::<prop::sample::Index>(),
        ) {
            let (head, tail) = data.split_at(at.index(data.len() + 1));
            let mut hasher = Sha256::new();
            hasher.update(head);
            hasher.update(tail);
            prop_assert_eq!(hasher.finish(), Sha256::digest(&data));
        }
    }
}
