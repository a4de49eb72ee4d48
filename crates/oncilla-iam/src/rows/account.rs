//! Account records and their indexes.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    ACCOUNT, ACCOUNT_BY_EMAIL, ACCOUNT_BY_NAME, FORMAT, KEY_COUNT, RowError, UnknownFields,
};
use crate::validate::is_canonical_id;

const RECORD: &str = "account";

/// An account: it owns buckets, and access keys act for it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Account {
    /// Canonical user id as in S3: 64 lower-case hexadecimal digits, given at creation.
    pub id: String,
    /// Display name: 1 to 64 of `[A-Za-z0-9 ._@+-]`, unique without regard to case.
    pub name: String,
    /// E-mail address, unique without regard to case.
    pub email: Option<String>,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: u64,
    /// None of its keys works while this is set. Its buckets and their public reads stay.
    pub disabled: bool,
    /// What a later version has added.
    #[serde(skip)]
    pub(crate) unknown: UnknownFields,
}

#[derive(Serialize, Deserialize)]
struct AccountRow {
    format: u64,
    id: String,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    created_ms: u64,
    disabled: bool,
    #[serde(flatten)]
    unknown: UnknownFields,
}

/// Where the account of this id is kept.
pub(crate) fn account_key(id: &str) -> Bytes {
    super::key(ACCOUNT, id)
}

/// Where the id of the account with this name is kept.
pub(crate) fn account_by_name_key(name: &str) -> Bytes {
    super::key(ACCOUNT_BY_NAME, &name.to_ascii_lowercase())
}

/// Where the id of the account with this e-mail address is kept.
pub(crate) fn account_by_email_key(email: &str) -> Bytes {
    super::key(ACCOUNT_BY_EMAIL, &email.to_ascii_lowercase())
}

/// Where the number of keys of an account is counted.
pub(crate) fn key_count_key(account_id: &str) -> Bytes {
    super::key(KEY_COUNT, account_id)
}

/// Reads the value of a key counter.
pub(crate) fn decode_key_count(value: &[u8]) -> Result<i64, RowError> {
    let digits: [u8; 8] = value
        .try_into()
        .map_err(|_| RowError::damaged("key counter", "not 8 bytes"))?;
    Ok(i64::from_be_bytes(digits))
}

/// Reads the value of an index row: the id of an account.
pub(crate) fn decode_account_id(value: &[u8]) -> Result<String, RowError> {
    match std::str::from_utf8(value) {
        Ok(id) if is_canonical_id(id) => Ok(id.to_owned()),
        _ => Err(RowError::damaged("account index", "not an account id")),
    }
}

impl Account {
    /// The record as it is stored.
    pub(crate) fn encode(&self) -> Result<Bytes, RowError> {
        let row = AccountRow {
            format: FORMAT,
            id: self.id.clone(),
            name: self.name.clone(),
            email: self.email.clone(),
            created_ms: self.created_ms,
            disabled: self.disabled,
            unknown: self.unknown.clone(),
        };
        super::encode_json(RECORD, &row)
    }

    /// Reads a stored record.
    pub(crate) fn decode(value: &[u8]) -> Result<Self, RowError> {
        let row: AccountRow = super::decode_json(RECORD, value)?;
        if !is_canonical_id(&row.id) {
            return Err(RowError::damaged(RECORD, "its id is not canonical"));
        }
        Ok(Self {
            id: row.id,
            name: row.name,
            email: row.email,
            created_ms: row.created_ms,
            disabled: row.disabled,
            unknown: row.unknown,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rows::tests::unknown_fields;

    fn accounts() -> impl Strategy<Value = Account> {
        let email = proptest::option::of("[!-~]{1,20}");
        let fields = (
            "[0-9a-f]{64}",
            ".{0,64}",
            email,
            any::<u64>(),
            any::<bool>(),
        );
        (fields, unknown_fields()).prop_map(|((id, name, email, created_ms, disabled), unknown)| {
            Account {
                id,
                name,
                email,
                created_ms,
                disabled,
                unknown,
            }
        })
    }

    proptest! {
        #[test]
        fn a_record_is_read_as_it_was_written(account in accounts()) {
            prop_assert_eq!(Account::decode(&account.encode().unwrap()), Ok(account));
        }

        #[test]
        fn any_bytes_are_read_or_refused(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Account::decode(&value);
            let _ = decode_account_id(&value);
            let _ = decode_key_count(&value);
        }

        #[test]
        fn a_truncated_record_is_refused(account in accounts(), share in 0.0..1.0f64) {
            let value = account.encode().unwrap();
            let length = (value.len() as f64 * share) as usize;
            prop_assert!(Account::decode(&value[..length]).is_err());
        }
    }

    #[test]
    fn the_stored_form_stays() {
        let id = "0123456789abcdef".repeat(4);
        let text = format!(
            r#"{{"format":1,"id":"{id}","name":"Ada","email":"a@b","created_ms":5,"disabled":false,"later":[1]}}"#
        );
        let account = Account::decode(text.as_bytes()).unwrap();
        assert_eq!(account.encode().unwrap(), text.as_bytes());
    }

    #[test]
    fn a_newer_format_and_a_missing_one_are_refused() {
        let newer = Account::decode(br#"{"format":2,"entirely":"different"}"#);
        assert_eq!(
            newer,
            Err(RowError::NewerFormat {
                record: "account",
                found: 2
            })
        );
        assert!(matches!(
            Account::decode(b"{}"),
            Err(RowError::Damaged { .. })
        ));
        assert!(matches!(
            Account::decode(br#"{"format":0}"#),
            Err(RowError::Damaged { .. })
        ));
    }
}
