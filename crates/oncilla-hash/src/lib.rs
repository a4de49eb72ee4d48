//! Digests and checksums of the S3 protocol and of the volumes.
//!
//! Everything here is a pure function of bytes. The libraries underneath (aws-lc for SHA and HMAC,
//! crc-fast for the CRCs) stay behind these types, so that one can be replaced
//! without touching a caller. MD5 is computed here, because it comes in [lanes](md5_lanes), several
//! streams at a time, and so that it is the same code for one; the tests compare it with the crate
//! md-5.
//!
//! ```
//! use oncilla_hash::{Checksum, ChecksumAlgorithm, Md5, hex};
//!
//! assert_eq!(hex::encode(&Md5::digest(b"")), "d41d8cd98f00b204e9800998ecf8427e");
//! let crc = Checksum::of(ChecksumAlgorithm::Crc32, b"123456789");
//! assert_eq!(crc.to_base64(), "y/Q5Jg==");
//! ```

mod checksum;
pub mod hex;
mod md5;
pub mod md5_lanes;
mod sha1;
mod sha256;

pub use checksum::{
    Checksum, ChecksumAlgorithm, ChecksumError, ChecksumHasher, DIGEST_LENGTH_BYTES_MAX, combine,
    composite, crc32c,
};
pub use md5::{MD5_LENGTH_BYTES, Md5};
pub use sha1::{SHA1_LENGTH_BYTES, hmac_sha1};
pub use sha256::{HmacSha256Key, SHA256_LENGTH_BYTES, Sha256, hmac_sha256};
