//! The key that seals session tokens. It never leaves the engine but into memory.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{FORMAT, RowError, TOKEN_KEY, UnknownFields};

const RECORD: &str = "token key";

/// Length of the key: AES-256.
pub(crate) const TOKEN_KEY_BYTES: usize = 32;

/// The key that seals session tokens.
#[derive(Clone, PartialEq)]
pub(crate) struct TokenKey {
    pub(crate) bytes: [u8; TOKEN_KEY_BYTES],
    pub(crate) unknown: UnknownFields,
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TokenKey(redacted)")
    }
}

#[derive(Serialize, Deserialize)]
struct TokenKeyRow {
    format: u64,
    key: String,
    #[serde(flatten)]
    unknown: UnknownFields,
}

/// Where the key is kept.
pub(crate) fn token_key_key() -> Bytes {
    Bytes::from_static(TOKEN_KEY)
}

impl TokenKey {
    /// A random key.
    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; TOKEN_KEY_BYTES];
        getrandom::fill(&mut bytes)?;
        Ok(Self {
            bytes,
            unknown: UnknownFields::new(),
        })
    }

    /// The record as it is stored.
    pub(crate) fn encode(&self) -> Result<Bytes, RowError> {
        let row = TokenKeyRow {
            format: FORMAT,
            key: STANDARD.encode(self.bytes),
            unknown: self.unknown.clone(),
        };
        super::encode_json(RECORD, &row)
    }

    /// Reads a stored record.
    pub(crate) fn decode(value: &[u8]) -> Result<Self, RowError> {
        let row: TokenKeyRow = super::decode_json(RECORD, value)?;
        let bytes = STANDARD.decode(&row.key).ok();
        let bytes = bytes.and_then(|bytes| <[u8; TOKEN_KEY_BYTES]>::try_from(bytes).ok());
        let Some(bytes) = bytes else {
            return Err(RowError::damaged(RECORD, "not 32 bytes in base64"));
        };
        Ok(Self {
            bytes,
            unknown: row.unknown,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let key = TokenKey::random().unwrap();
        assert_eq!(TokenKey::decode(&key.encode().unwrap()), Ok(key.clone()));
        assert_ne!(key, TokenKey::random().unwrap());
        assert!(TokenKey::decode(br#"{"format":1,"key":"AAAA"}"#).is_err());
        assert_eq!(format!("{key:?}"), "TokenKey(redacted)");
    }
}
