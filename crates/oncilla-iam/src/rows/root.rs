//! The root pointer: which account is the root, however it is called by now.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{FORMAT, ROOT, RowError, UnknownFields};
use crate::validate::is_canonical_id;

const RECORD: &str = "root pointer";

/// Which account is the root, and the key it was created with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RootPointer {
    /// Id of the root account.
    pub(crate) account_id: String,
    /// Id of the key made at the first start; it may have been deleted since.
    pub(crate) key_id: String,
    pub(crate) unknown: UnknownFields,
}

#[derive(Serialize, Deserialize)]
struct RootRow {
    format: u64,
    account_id: String,
    key_id: String,
    #[serde(flatten)]
    unknown: UnknownFields,
}

/// Where the root pointer is kept.
pub(crate) fn root_key() -> Bytes {
    Bytes::from_static(ROOT)
}

impl RootPointer {
    /// The record as it is stored.
    pub(crate) fn encode(&self) -> Result<Bytes, RowError> {
        let row = RootRow {
            format: FORMAT,
            account_id: self.account_id.clone(),
            key_id: self.key_id.clone(),
            unknown: self.unknown.clone(),
        };
        super::encode_json(RECORD, &row)
    }

    /// Reads a stored record.
    pub(crate) fn decode(value: &[u8]) -> Result<Self, RowError> {
        let row: RootRow = super::decode_json(RECORD, value)?;
        if !is_canonical_id(&row.account_id) {
            return Err(RowError::damaged(RECORD, "its account id is not canonical"));
        }
        Ok(Self {
            account_id: row.account_id,
            key_id: row.key_id,
            unknown: row.unknown,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rows::tests::unknown_fields;

    proptest! {
        #[test]
        fn a_record_is_read_as_it_was_written(
            account_id in "[0-9a-f]{64}",
            key_id in "[A-Za-z0-9_.-]{3,128}",
            unknown in unknown_fields(),
        ) {
            let pointer = RootPointer { account_id, key_id, unknown };
            prop_assert_eq!(RootPointer::decode(&pointer.encode().unwrap()), Ok(pointer));
        }

        #[test]
        fn any_bytes_are_read_or_refused(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = RootPointer::decode(&value);
        }
    }
}
