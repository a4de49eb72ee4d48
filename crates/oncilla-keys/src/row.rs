//! KMS keys as they are kept: JSON under `m` and the id, in [`oncilla_meta::Space::Records`].

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::error::KeysError;
use crate::wrapped::WrappedKey;

/// The first byte of the keys of all rows here.
const PREFIX: u8 = b'm';

/// The format that this binary writes and reads.
const FORMAT: u64 = 1;

/// One version of a KMS key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct VersionRow {
    /// From 1 on, without gaps.
    pub number: u32,
    /// When it was made, in Unix milliseconds.
    pub created_ms: u64,
    /// The secret, wrapped by the master key, in base64.
    wrapped: String,
    #[serde(flatten)]
    unknown: serde_json::Map<String, serde_json::Value>,
}

impl VersionRow {
    pub fn new(number: u32, created_ms: u64, wrapped: &WrappedKey) -> Self {
        Self {
            number,
            created_ms,
            wrapped: BASE64_STANDARD.encode(wrapped.encode()),
            unknown: serde_json::Map::new(),
        }
    }

    pub fn wrapped(&self) -> Result<WrappedKey, KeysError> {
        let bytes = BASE64_STANDARD.decode(&self.wrapped).ok();
        let wrapped = bytes.and_then(|bytes| WrappedKey::decode(&bytes));
        wrapped.ok_or_else(|| KeysError::Damaged(format!("version {}", self.number)))
    }

    pub fn set_wrapped(&mut self, wrapped: &WrappedKey) {
        self.wrapped = BASE64_STANDARD.encode(wrapped.encode());
    }
}

/// A KMS key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct KeyRow {
    format: u64,
    /// Its id.
    pub id: String,
    /// Further names, without `alias/`.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// When it was made, in Unix milliseconds.
    pub created_ms: u64,
    /// Whether it cannot be used.
    #[serde(default)]
    pub disabled: bool,
    /// Which master key wrapped its versions.
    pub master: String,
    /// Oldest first.
    pub versions: Vec<VersionRow>,
    #[serde(flatten)]
    unknown: serde_json::Map<String, serde_json::Value>,
}

impl KeyRow {
    pub fn new(id: String, aliases: Vec<String>, created_ms: u64, master: String) -> Self {
        Self {
            format: FORMAT,
            id,
            aliases,
            created_ms,
            disabled: false,
            master,
            versions: Vec::new(),
            unknown: serde_json::Map::new(),
        }
    }

    pub fn encode(&self) -> Result<Bytes, KeysError> {
        let json = serde_json::to_vec(self);
        json.map(Bytes::from)
            .map_err(|error| KeysError::Damaged(error.to_string()))
    }

    pub fn decode(value: &[u8]) -> Result<Self, KeysError> {
        #[derive(Deserialize)]
        struct AnyFormat {
            format: u64,
        }
        let damaged = |error: serde_json::Error| KeysError::Damaged(error.to_string());
        let any: AnyFormat = serde_json::from_slice(value).map_err(damaged)?;
        if any.format != FORMAT {
            let detail = format!("format {} is unknown to this version", any.format);
            return Err(KeysError::Damaged(detail));
        }
        let row: Self = serde_json::from_slice(value).map_err(damaged)?;
        let numbers = row.versions.iter().map(|version| version.number);
        if row.versions.is_empty() || !numbers.eq(1..=row.versions.len() as u32) {
            return Err(KeysError::Damaged(format!("versions of {}", row.id)));
        }
        Ok(row)
    }
}

/// Where the key of this id is kept.
pub(crate) fn row_key(id: &str) -> Bytes {
    Bytes::from([&[PREFIX], id.as_bytes()].concat())
}

/// The range of all keys.
pub(crate) fn all_rows() -> (Bytes, Bytes) {
    (
        Bytes::from_static(&[PREFIX]),
        Bytes::from_static(&[PREFIX + 1]),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_later_version_added_stays() {
        let text = br#"{"format":1,"id":"a","created_ms":1,"master":"m","new":2,
            "versions":[{"number":1,"created_ms":1,"wrapped":"","more":[3]}]}"#;
        let row = KeyRow::decode(text).unwrap();
        let again = String::from_utf8(row.encode().unwrap().to_vec()).unwrap();
        assert!(
            again.contains("\"new\":2") && again.contains("\"more\":[3]"),
            "{again}"
        );
        assert!(row.versions[0].wrapped().is_err());
    }

    #[test]
    fn other_formats_and_gaps_are_refused() {
        for text in [
            r#"{"format":2,"id":"a"}"#,
            r#"{"format":1,"id":"a","created_ms":1,"master":"m","versions":[]}"#,
            r#"{"format":1,"id":"a","created_ms":1,"master":"m","versions":[{"number":2,"created_ms":1,"wrapped":""}]}"#,
        ] {
            assert!(KeyRow::decode(text.as_bytes()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(value: Vec<u8>) {
            let _ = KeyRow::decode(&value);
        }
    }
}
