//! AES-256-GCM with derived keys: how bodies and keys are encrypted.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{self, HKDF_SHA256};

use crate::error::{KeysError, OpenFailed};
use crate::secret::{DataKey, Secret};

/// Length of a frame's authentication tag, in bytes.
pub const TAG_BYTES: usize = 16;

/// What a derived key is for: the same key and salt give unrelated keys for different purposes.
pub(crate) mod purpose {
    pub const BODY: &[u8] = b"oncilla body 1";
    pub const WRAP_DATA_KEY: &[u8] = b"oncilla data key 1";
    pub const WRAP_KMS_KEY: &[u8] = b"oncilla kms key 1";
    pub const FINGERPRINT: &[u8] = b"oncilla master key id 1";
}

/// Random bytes, kept beside what was encrypted, that make the derived key one of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Salt(pub [u8; 16]);

impl Salt {
    /// A new one.
    ///
    /// # Errors
    /// [`KeysError::Random`].
    pub fn random() -> Result<Self, KeysError> {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt)?;
        Ok(Self(salt))
    }
}

/// The AES key that `secret` and `salt` give for a purpose.
pub(crate) fn derive(
    secret: &Secret,
    salt: Salt,
    purpose: &[u8],
) -> Result<LessSafeKey, OpenFailed> {
    let extracted = hkdf::Salt::new(HKDF_SHA256, &salt.0).extract(secret.expose());
    let info = [purpose];
    // Fails only for outputs longer than HKDF allows.
    let expanded = extracted
        .expand(&info, &AES_256_GCM)
        .map_err(|_| OpenFailed)?;
    Ok(LessSafeKey::new(UnboundKey::from(expanded)))
}

/// A counter as a nonce. A derived key encrypts one thing, so counting is enough.
pub(crate) fn nonce(counter: u64) -> Nonce {
    frame_nonce(counter, false)
}

/// The nonce of a frame: its number, and whether it is the last.
fn frame_nonce(frame: u64, is_last: bool) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[0] = u8::from(is_last);
    nonce[NONCE_LEN - 8..].copy_from_slice(&frame.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

/// The cipher of one body: an object's, or one writing of a part.
///
/// Its key comes from the data key and the body's salt. Each frame is sealed under its number and
/// whether it is the last: a frame of another body, at another place, or of a body that was cut off
/// does not open.
pub struct BodyCipher {
    key: LessSafeKey,
}

impl BodyCipher {
    /// The cipher of the body with this salt.
    ///
    /// # Errors
    /// None in practice: only if HKDF fails.
    pub fn new(data_key: &DataKey, salt: Salt) -> Result<Self, OpenFailed> {
        let key = derive(&data_key.0, salt, purpose::BODY)?;
        Ok(Self { key })
    }

    /// Encrypts a frame in place; gives its tag. A frame number must be used once.
    ///
    /// # Errors
    /// None in practice: only for frames longer than AES-GCM allows (64 GiB).
    pub fn seal(
        &self,
        frame: u64,
        is_last: bool,
        in_out: &mut [u8],
    ) -> Result<[u8; TAG_BYTES], OpenFailed> {
        let nonce = frame_nonce(frame, is_last);
        let sealed = self
            .key
            .seal_in_place_separate_tag(nonce, Aad::empty(), in_out);
        let tag = sealed.map_err(|_| OpenFailed)?;
        tag.as_ref().try_into().map_err(|_| OpenFailed)
    }

    /// Decrypts a frame (its bytes and the tag after them) into `plain`, which has to be as long as
    /// the frame without its tag.
    ///
    /// # Errors
    /// [`OpenFailed`]; what is in `plain` then must not be used.
    pub fn open(
        &self,
        frame: u64,
        is_last: bool,
        sealed: &[u8],
        plain: &mut [u8],
    ) -> Result<(), OpenFailed> {
        let length = sealed.len().checked_sub(TAG_BYTES).ok_or(OpenFailed)?;
        let (sealed, tag) = sealed.split_at(length);
        let nonce = frame_nonce(frame, is_last);
        self.key
            .open_separate_gather(nonce, Aad::empty(), sealed, tag, plain)
            .map_err(|_| OpenFailed)
    }
}

impl std::fmt::Debug for BodyCipher {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("BodyCipher(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sealed(cipher: &BodyCipher, frame: (u64, bool), plain: &[u8]) -> Vec<u8> {
        let mut sealed = plain.to_vec();
        let tag = cipher.seal(frame.0, frame.1, &mut sealed).unwrap();
        sealed.extend_from_slice(&tag);
        sealed
    }

    fn opened(
        cipher: &BodyCipher,
        frame: (u64, bool),
        sealed: &[u8],
    ) -> Result<Vec<u8>, OpenFailed> {
        let mut plain = vec![0; sealed.len().saturating_sub(TAG_BYTES)];
        let opened = cipher.open(frame.0, frame.1, sealed, &mut plain);
        opened.map(|()| plain)
    }

    proptest! {
        /// A frame opens as what it is, where it is, and in no other way.
        #[test]
        fn frames_open_in_their_place_only(
            plain in proptest::collection::vec(any::<u8>(), 0..300),
            frame in (0u64..1 << 40, any::<bool>()),
            position: prop::sample::Index,
            bit in 0u8..8,
        ) {
            let (key, salt) = (DataKey::random().unwrap(), Salt::random().unwrap());
            let cipher = BodyCipher::new(&key, salt).unwrap();
            let kept = sealed(&cipher, frame, &plain);
            prop_assert_eq!(opened(&cipher, frame, &kept), Ok(plain.clone()));
            prop_assert!(opened(&cipher, (frame.0 + 1, frame.1), &kept).is_err());
            prop_assert!(opened(&cipher, (frame.0, !frame.1), &kept).is_err());
            let mut changed = kept.clone();
            changed[position.index(kept.len())] ^= 1 << bit;
            prop_assert!(opened(&cipher, frame, &changed).is_err());
            prop_assert!(opened(&cipher, frame, &kept[..kept.len() - 1]).is_err());
            for other in [
                BodyCipher::new(&key, Salt::random().unwrap()).unwrap(),
                BodyCipher::new(&DataKey::random().unwrap(), salt).unwrap(),
            ] {
                prop_assert!(opened(&other, frame, &kept).is_err());
            }
        }
    }

    /// What is on disk must open for ever: the derivation and the nonce do not change. Computed with
    /// Python's `cryptography` (HKDF by hand, AESGCM).
    #[test]
    fn the_format_is_what_it_was() {
        let key = DataKey(Secret::take(&mut [7; 32]).unwrap());
        let cipher = BodyCipher::new(&key, Salt([9; 16])).unwrap();
        assert_eq!(
            oncilla_hash::hex::encode(&sealed(&cipher, (3, true), b"otter")),
            FIXED
        );
    }

    const FIXED: &str = "a021506d2db3e32d17f1b7fda6e99eb5154915b56a";
}
