//! MD5 (RFC 1321), which S3 uses for ETags and `Content-MD5`.

use md5::Digest as _;

/// Length of an MD5 digest.
pub const MD5_LENGTH_BYTES: usize = 16;

/// A running MD5.
#[derive(Clone, Default)]
pub struct Md5(md5::Md5);

impl Md5 {
    /// Starts a digest of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `data` to what is digested.
    pub fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    /// Ends the digest.
    pub fn finish(self) -> [u8; MD5_LENGTH_BYTES] {
        self.0.finalize().into()
    }

    /// The digest of one piece of data.
    pub fn digest(data: &[u8]) -> [u8; MD5_LENGTH_BYTES] {
        md5::Md5::digest(data).into()
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

    #[test]
    fn vectors_of_rfc_1321() {
        let vectors = [
            ("", "d41d8cd98f00b204e9800998ecf8427e"),
            ("a", "0cc175b9c0f1b6a831c399e269772661"),
            ("abc", "900150983cd24fb0d6963f7d28e17f72"),
            ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
            (
                "abcdefghijklmnopqrstuvwxyz",
                "c3fcd3d76192e4007dfb496cca67e13b",
            ),
        ];
        for (input, expected) in vectors {
            assert_eq!(
                hex::encode(&Md5::digest(input.as_bytes())),
                expected,
                "{input:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn split_anywhere_equals_whole(
            data in proptest::collection::vec(any::<u8>(), 0..500),
            at in any::<prop::sample::Index>(),
        ) {
            let (head, tail) = data.split_at(at.index(data.len() + 1));
            let mut hasher = Md5::new();
            hasher.update(head);
            hasher.update(tail);
            prop_assert_eq!(hasher.finish(), Md5::digest(&data));
        }
    }
}
