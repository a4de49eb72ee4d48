//! Keys that stay with the client (SSE-C): sent with each request, and not kept by the endpoint.
//! Source: S3 User Guide, "Using server-side encryption with customer-provided keys (SSE-C)".

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use oncilla_hash::Md5;
use oncilla_wire::encryption::AES256;
use oncilla_wire::header as s3_header;

use crate::call::Call;
use crate::error::Error;

/// The length of a key, which is one of AES-256.
pub const CUSTOMER_KEY_BYTES: usize = 32;

/// A key of the client's own.
#[derive(Clone, PartialEq, Eq)]
pub struct CustomerKey {
    base64: String,
    md5: String,
}

impl CustomerKey {
    /// A key of these bytes.
    pub fn new(key: &[u8; CUSTOMER_KEY_BYTES]) -> Self {
        Self {
            base64: BASE64.encode(key),
            md5: BASE64.encode(Md5::digest(key)),
        }
    }

    /// The key that a file holds: its bytes, or their base64 on a line. `None` for anything else.
    pub fn of_file_content(content: &[u8]) -> Option<Self> {
        if let Ok(key) = <&[u8; CUSTOMER_KEY_BYTES]>::try_from(content) {
            return Some(Self::new(key));
        }
        let decoded = BASE64.decode(content.trim_ascii()).ok()?;
        let key = <&[u8; CUSTOMER_KEY_BYTES]>::try_from(decoded.as_slice()).ok()?;
        Some(Self::new(key))
    }
}

/// Without the key, which no log may have.
impl std::fmt::Debug for CustomerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CustomerKey").finish_non_exhaustive()
    }
}

impl Call<'_> {
    /// Sends the key of the object that is read or written.
    pub(crate) fn customer_key(self, key: Option<&CustomerKey>) -> Result<Self, Error> {
        let Some(key) = key else {
            return Ok(self);
        };
        self.header(
            s3_header::X_AMZ_SERVER_SIDE_ENCRYPTION_CUSTOMER_ALGORITHM,
            AES256,
        )?
        .header(
            s3_header::X_AMZ_SERVER_SIDE_ENCRYPTION_CUSTOMER_KEY,
            &key.base64,
        )?
        .header(
            s3_header::X_AMZ_SERVER_SIDE_ENCRYPTION_CUSTOMER_KEY_MD5,
            &key.md5,
        )
    }

    /// Sends the key of the object that a copy reads.
    pub(crate) fn copy_source_customer_key(self, key: Option<&CustomerKey>) -> Result<Self, Error> {
        let Some(key) = key else {
            return Ok(self);
        };
        self.header(s3_header::X_AMZ_COPY_SOURCE_CUSTOMER_ALGORITHM, AES256)?
            .header(s3_header::X_AMZ_COPY_SOURCE_CUSTOMER_KEY, &key.base64)?
            .header(s3_header::X_AMZ_COPY_SOURCE_CUSTOMER_KEY_MD5, &key.md5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_the_bytes_or_their_base64() {
        let key = CustomerKey::new(&[7; CUSTOMER_KEY_BYTES]);
        let of = CustomerKey::of_file_content;
        assert_eq!(of(&[7; 32]).as_ref(), Some(&key));
        let text = format!("{}\n", key.base64);
        assert_eq!(of(text.as_bytes()).as_ref(), Some(&key));
        for content in [
            &b""[..],
            &[7; 31],
            &[7; 33],
            b"c2hvcnQ=",
            &text.as_bytes()[1..],
        ] {
            assert_eq!(of(content), None);
        }
        let shown = format!("{key:?}");
        assert!(!shown.contains(&key.base64) && !shown.contains(&key.md5));
    }
}
