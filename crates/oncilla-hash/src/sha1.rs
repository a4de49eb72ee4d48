//! HMAC-SHA1 (RFC 2104), which Signature Version 2 signs with. As a checksum, SHA-1 is in
//! `checksum`.

use aws_lc_rs::hmac;

/// Length of an HMAC-SHA1 tag.
pub const SHA1_LENGTH_BYTES: usize = 20;

/// HMAC-SHA1 of `data` under `key`. Only for what is signed with it by definition.
pub fn hmac_sha1(key: &[u8], data: &[u8]) -> [u8; SHA1_LENGTH_BYTES] {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
    let mut tag = [0; SHA1_LENGTH_BYTES];
    tag.copy_from_slice(hmac::sign(&key, data).as_ref());
    tag
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex;

    /// Source: RFC 2202 §3, cases 1, 2 and 6.
    #[test]
    fn vectors_of_rfc_2202() {
        let cases: [(&[u8], &[u8], &str); 3] = [
            (
                &[0x0b; 20],
                b"Hi There",
                "b617318655057264e28bc0b6fb378c8ef146be00",
            ),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
            ),
            (
                &[0xaa; 80],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "aa4ae5e15272d00e95705637ce8a3b55ed402112",
            ),
        ];
        for (key, data, tag) in cases {
            assert_eq!(hex::encode(&hmac_sha1(key, data)), tag);
        }
    }
}
