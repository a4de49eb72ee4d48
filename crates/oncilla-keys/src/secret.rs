//! Secrets of 32 bytes: they do not print themselves, and are wiped when they are dropped.

use std::fmt;

use oncilla_hash::hmac_sha256;
use zeroize::Zeroize;

use crate::error::KeysError;

/// What an entity tag is made of beside the MD5.
const ENTITY_TAG: &[u8] = b"oncilla entity tag 1";

/// Length of every key, in bytes: AES-256.
pub(crate) const KEY_BYTES: usize = 32;

/// A key that others are derived from.
#[derive(Clone)]
pub(crate) struct Secret(Box<[u8; KEY_BYTES]>);

impl Secret {
    pub fn random() -> Result<Self, KeysError> {
        let mut secret = Self(Box::new([0; KEY_BYTES]));
        getrandom::fill(&mut secret.0[..])?;
        Ok(secret)
    }

    /// Takes the bytes over; the caller's copy is wiped. `None` if they are not 32.
    pub fn take(bytes: &mut [u8]) -> Option<Self> {
        let secret = <[u8; KEY_BYTES]>::try_from(&*bytes);
        bytes.zeroize();
        secret.ok().map(|secret| Self(Box::new(secret)))
    }

    pub fn expose(&self) -> &[u8] {
        &self.0[..]
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(redacted)")
    }
}

/// What the body of one object, or the parts of one upload, are encrypted with. Random, and kept
/// only wrapped.
#[derive(Clone, Debug)]
pub struct DataKey(pub(crate) Secret);

impl DataKey {
    /// A new one.
    ///
    /// # Errors
    /// [`KeysError::Random`].
    pub fn random() -> Result<Self, KeysError> {
        Secret::random().map(Self)
    }

    /// An entity tag for a body of this MD5: the same for the same bytes under the same key, so that a
    /// part can be sent twice, and telling nothing of them to whoever has not the key.
    pub fn entity_tag(&self, md5: [u8; 16]) -> [u8; 16] {
        let mac = hmac_sha256(self.0.expose(), &[ENTITY_TAG, &md5].concat());
        let mut tag = [0; 16];
        tag.copy_from_slice(&mac[..16]);
        tag
    }
}

/// A key that a client sends along with each request (SSE-C). It is never kept.
#[derive(Clone, Debug)]
pub struct CustomerKey(pub(crate) Secret);

impl CustomerKey {
    /// Takes the bytes over; the caller's copy is wiped. `None` if they are not 32.
    pub fn take(bytes: &mut [u8]) -> Option<Self> {
        Secret::take(bytes).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_neither_prints_itself_nor_stays_with_the_caller() {
        let mut bytes = [0xabu8; 32];
        let key = CustomerKey::take(&mut bytes).unwrap();
        assert_eq!(bytes, [0; 32]);
        assert_eq!(key.0.expose(), [0xab; 32]);
        let shown = format!("{key:?} {key:#?}");
        assert!(shown.contains("redacted") && !shown.contains("171") && !shown.contains("ab,"));
        assert!(CustomerKey::take(&mut [0; 31]).is_none());
    }

    #[test]
    fn data_keys_are_random() {
        let (one, other) = (DataKey::random().unwrap(), DataKey::random().unwrap());
        assert_ne!(one.0.expose(), other.0.expose());
        let md5 = [7; 16];
        assert_eq!(one.entity_tag(md5), one.entity_tag(md5));
        assert_ne!(one.entity_tag(md5), one.entity_tag([8; 16]));
        assert_ne!(one.entity_tag(md5), other.entity_tag(md5));
        assert_ne!(one.entity_tag(md5), md5);
    }
}
