//! Keys encrypted by other keys.
//!
//! On disk, numbers big-endian: `[1 | version of the wrapping key (4) | salt (16) | key (32) | tag (16)]`.
//! The bytes before the salt and what the key is for are the associated data.

use aws_lc_rs::aead::Aad;

use crate::cipher::{Salt, TAG_BYTES, derive, nonce, purpose};
use crate::error::{KeysError, OpenFailed};
use crate::secret::{CustomerKey, DataKey, KEY_BYTES, Secret};

/// The first byte of every wrapped key that this binary writes.
const FORMAT: u8 = 1;

const HEAD_BYTES: usize = 1 + 4;
const SALT_BYTES: usize = 16;
const WRAPPED_BYTES: usize = HEAD_BYTES + SALT_BYTES + KEY_BYTES + TAG_BYTES;

/// The version under which keys wrap that have none: the master key and those of clients.
const NO_VERSION: u32 = 0;

/// A key, encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrappedKey {
    version: u32,
    salt: Salt,
    sealed: [u8; KEY_BYTES + TAG_BYTES],
}

impl WrappedKey {
    /// The version of the key that wrapped it; 0 for one without versions.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The bytes to keep.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(WRAPPED_BYTES);
        bytes.extend_from_slice(&head(self.version));
        bytes.extend_from_slice(&self.salt.0);
        bytes.extend_from_slice(&self.sealed);
        bytes
    }

    /// Reads what [`WrappedKey::encode`] wrote; `None` for anything else.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; WRAPPED_BYTES] = bytes.try_into().ok()?;
        let (head, rest) = bytes.split_at(HEAD_BYTES);
        let (salt, sealed) = rest.split_at(SALT_BYTES);
        let [FORMAT, version @ ..] = head else {
            return None;
        };
        Some(Self {
            version: u32::from_be_bytes(version.try_into().ok()?),
            salt: Salt(salt.try_into().ok()?),
            sealed: sealed.try_into().ok()?,
        })
    }

    pub(crate) fn seal(
        by: &Secret,
        version: u32,
        purpose: &[u8],
        bound_to: &[u8],
        secret: &Secret,
    ) -> Result<Self, KeysError> {
        let salt = Salt::random()?;
        let key = derive(by, salt, purpose)?;
        let mut sealed = [0; KEY_BYTES + TAG_BYTES];
        let (in_out, tag) = sealed.split_at_mut(KEY_BYTES);
        in_out.copy_from_slice(secret.expose());
        let aad = Aad::from([&head(version)[..], bound_to].concat());
        let made = key.seal_in_place_separate_tag(nonce(0), aad, in_out);
        tag.copy_from_slice(made.map_err(|_| OpenFailed)?.as_ref());
        Ok(Self {
            version,
            salt,
            sealed,
        })
    }

    pub(crate) fn open(
        &self,
        by: &Secret,
        purpose: &[u8],
        bound_to: &[u8],
    ) -> Result<Secret, OpenFailed> {
        let key = derive(by, self.salt, purpose)?;
        let (sealed, tag) = self.sealed.split_at(KEY_BYTES);
        let aad = Aad::from([&head(self.version)[..], bound_to].concat());
        let mut secret = [0; KEY_BYTES];
        let opened = key.open_separate_gather(nonce(0), aad, sealed, tag, &mut secret);
        opened.map_err(|_| OpenFailed)?;
        Secret::take(&mut secret).ok_or(OpenFailed)
    }
}

fn head(version: u32) -> [u8; HEAD_BYTES] {
    let mut head = [FORMAT; HEAD_BYTES];
    head[1..].copy_from_slice(&version.to_be_bytes());
    head
}

impl CustomerKey {
    /// Wraps a data key. That it opens again with this key, and with no other, is all that is kept of
    /// the key.
    ///
    /// # Errors
    /// [`KeysError::Random`].
    pub fn wrap(&self, data_key: &DataKey) -> Result<WrappedKey, KeysError> {
        WrappedKey::seal(
            &self.0,
            NO_VERSION,
            purpose::WRAP_DATA_KEY,
            b"customer",
            &data_key.0,
        )
    }

    /// Unwraps a data key.
    ///
    /// # Errors
    /// [`OpenFailed`] if another key wrapped it.
    pub fn unwrap(&self, wrapped: &WrappedKey) -> Result<DataKey, OpenFailed> {
        let opened = wrapped.open(&self.0, purpose::WRAP_DATA_KEY, b"customer");
        opened.map(DataKey)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_flipped_bit_is_noticed(position in 0..WRAPPED_BYTES, bit in 0u8..8) {
            let by = CustomerKey(Secret::random().unwrap());
            let data_key = DataKey::random().unwrap();
            let wrapped = by.wrap(&data_key).unwrap();
            let opened = by.unwrap(&wrapped).unwrap();
            prop_assert_eq!(opened.0.expose(), data_key.0.expose());
            prop_assert!(CustomerKey(Secret::random().unwrap()).unwrap(&wrapped).is_err());
            let mut bytes = wrapped.encode();
            prop_assert_eq!(WrappedKey::decode(&bytes), Some(wrapped));
            bytes[position] ^= 1 << bit;
            let opened = WrappedKey::decode(&bytes).map(|changed| by.unwrap(&changed).is_ok());
            prop_assert!(opened != Some(true));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            if let Some(wrapped) = WrappedKey::decode(&bytes) {
                prop_assert_eq!(wrapped.encode(), bytes);
            }
        }
    }

    #[test]
    fn a_key_opens_for_what_it_was_wrapped_for() {
        let (by, secret) = (Secret::random().unwrap(), Secret::random().unwrap());
        let wrapped = WrappedKey::seal(&by, 3, purpose::WRAP_KMS_KEY, b"a", &secret).unwrap();
        assert!(wrapped.open(&by, purpose::WRAP_KMS_KEY, b"a").is_ok());
        assert!(wrapped.open(&by, purpose::WRAP_KMS_KEY, b"b").is_err());
        assert!(wrapped.open(&by, purpose::WRAP_DATA_KEY, b"a").is_err());
    }
}
