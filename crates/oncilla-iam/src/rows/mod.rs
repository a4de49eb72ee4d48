//! Every row this crate keeps, one file per record type with its encoder, decoder and tests.
//!
//! All of them lie in [`oncilla_meta::Space::Records`] under keys that begin with `a` (accounts)
//! or `k` (keys); other first bytes belong to other crates. Ids and names hold no byte below
//! space, so 0 ends them.
//!
//! | Prefix | Key after it | Value | File |
//! |---|---|---|---|
//! | `ai` | account id | account record | `account.rs` |
//! | `an` | account name in lower case | account id | `account.rs` |
//! | `ae` | e-mail address in lower case | account id | `account.rs` |
//! | `ac` | account id | counter: keys of the account | `account.rs` |
//! | `ar` | | root pointer: which account is the root | `root.rs` |
//! | `ki` | key id | access key record | `access_key.rs` |
//! | `ka` | account id, 0, key id | empty: the keys of an account | `access_key.rs` |
//! | `ku` | account id, 0, user id, 0, key id | empty: the keys of a user | `relation.rs` |
//! | `ax` | `u`, `g` or `r`, account id, 0, name in lower case | user, group or role record | `entity.rs` |
//! | `ay` | account id, 0, entity id | kind and name of the entity | `entity.rs` |
//! | `aq` | `u`, `g` or `r`, account id | counter: users, groups or roles | `entity.rs` |
//! | `am` | account id, 0, group id, 0, user id | empty: the user is in the group | `relation.rs` |
//! | `ap` | account id, 0, name in lower case | managed policy record | `managed_policy.rs` |
//! | `aw` | account id | counter: managed policies | `managed_policy.rs` |
//! | `at` | account id, 0, policy ARN, 0, `u`, `g`, `r` or `k`, id | empty: the policy is attached | `relation.rs` |
//! | `ao` | account id, 0, address | identity provider record | `provider.rs` |
//! | `as` | | the key that seals session tokens | `token_key.rs` |
//!
//! Records are JSON with `"format": 1`. A newer format is refused; within a format, fields this
//! version does not know are kept when a record is rewritten, so that an older version beside or
//! after a newer one loses nothing.

pub(crate) mod access_key;
pub(crate) mod account;
pub(crate) mod entity;
pub(crate) mod managed_policy;
pub(crate) mod provider;
pub(crate) mod relation;
pub(crate) mod root;
pub(crate) mod token_key;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Fields of a record that this version does not know.
pub(crate) type UnknownFields = serde_json::Map<String, serde_json::Value>;

/// The newest record format this version writes and reads.
pub(crate) const FORMAT: u64 = 1;

/// Accounts by id.
pub(crate) const ACCOUNT: &[u8] = b"ai";
/// Account ids by name.
pub(crate) const ACCOUNT_BY_NAME: &[u8] = b"an";
/// Account ids by e-mail address.
pub(crate) const ACCOUNT_BY_EMAIL: &[u8] = b"ae";
/// Numbers of keys by account id.
pub(crate) const KEY_COUNT: &[u8] = b"ac";
/// The root pointer.
pub(crate) const ROOT: &[u8] = b"ar";
/// Access keys by id.
pub(crate) const ACCESS_KEY: &[u8] = b"ki";
/// The keys of an account.
pub(crate) const KEY_BY_ACCOUNT: &[u8] = b"ka";
/// The keys of a user.
pub(crate) const KEY_BY_USER: &[u8] = b"ku";
/// Users, groups and roles by name.
pub(crate) const ENTITY: &[u8] = b"ax";
/// Names of users, groups and roles by id.
pub(crate) const ENTITY_BY_ID: &[u8] = b"ay";
/// Numbers of users, groups and roles.
pub(crate) const ENTITY_COUNT: &[u8] = b"aq";
/// The users in a group.
pub(crate) const MEMBERSHIP: &[u8] = b"am";
/// Managed policies by name.
pub(crate) const MANAGED_POLICY: &[u8] = b"ap";
/// Numbers of managed policies.
pub(crate) const POLICY_COUNT: &[u8] = b"aw";
/// What a policy is attached to.
pub(crate) const ATTACHMENT: &[u8] = b"at";
/// Identity providers by address.
pub(crate) const PROVIDER: &[u8] = b"ao";
/// The key that seals session tokens.
pub(crate) const TOKEN_KEY: &[u8] = b"as";

/// Ends an id, name or ARN that something follows.
pub(crate) const SEPARATOR: u8 = 0;

/// Why a stored row cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// Written by a newer version, which must be used to read it.
    #[error("{record} record has format {found}, but this version reads up to {FORMAT}")]
    NewerFormat {
        /// Which record.
        record: &'static str,
        /// Its format.
        found: u64,
    },
    /// Not what this crate writes.
    #[error("{record} record is damaged: {detail}")]
    Damaged {
        /// Which record.
        record: &'static str,
        /// What is wrong with it. Never holds any part of a secret.
        detail: String,
    },
    /// The secret is wrapped by a master key, which this version cannot undo.
    #[error("the secret of the access key is wrapped by master key {wrapped_by}")]
    SecretWrapped {
        /// Which master key.
        wrapped_by: String,
    },
}

impl RowError {
    pub(crate) fn damaged(record: &'static str, detail: impl Into<String>) -> Self {
        Self::Damaged {
            record,
            detail: detail.into(),
        }
    }
}

/// The format of a record, read before the rest: a newer one may look quite different.
#[derive(Deserialize)]
struct FormatProbe {
    format: u64,
}

/// Reads a JSON record of the format this version knows.
fn decode_json<T: DeserializeOwned>(record: &'static str, value: &[u8]) -> Result<T, RowError> {
    let probe: FormatProbe =
        serde_json::from_slice(value).map_err(|error| json_error(record, &error))?;
    if probe.format > FORMAT {
        return Err(RowError::NewerFormat {
            record,
            found: probe.format,
        });
    }
    if probe.format == 0 {
        return Err(RowError::damaged(record, "format 0 was never in use"));
    }
    serde_json::from_slice(value).map_err(|error| json_error(record, &error))
}

/// Names kind and place only: serde's own message may quote the text, hence a secret.
fn json_error(record: &'static str, error: &serde_json::Error) -> RowError {
    let detail = format!("{:?} error at byte {}", error.classify(), error.column());
    RowError::damaged(record, detail)
}

/// Writes a JSON record.
fn encode_json<T: serde::Serialize>(record: &'static str, row: &T) -> Result<Bytes, RowError> {
    match serde_json::to_vec(row) {
        Ok(text) => Ok(Bytes::from(text)),
        Err(error) => Err(RowError::damaged(record, error.to_string())),
    }
}

/// `prefix` followed by `rest`.
fn key(prefix: &[u8], rest: &str) -> Bytes {
    Bytes::from([prefix, rest.as_bytes()].concat())
}

/// The first key after all that begin with `prefix`, whose last byte must not be the largest.
pub(crate) fn end_of(prefix: &[u8]) -> Bytes {
    let mut end = prefix.to_vec();
    if let Some(last) = end.last_mut() {
        *last = last.saturating_add(1);
    }
    Bytes::from(end)
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn prefixes_are_distinct_and_ours() {
        let all = [
            ACCOUNT,
            ACCOUNT_BY_NAME,
            ACCOUNT_BY_EMAIL,
            KEY_COUNT,
            ROOT,
            ACCESS_KEY,
            KEY_BY_ACCOUNT,
            KEY_BY_USER,
            ENTITY,
            ENTITY_BY_ID,
            ENTITY_COUNT,
            MEMBERSHIP,
            MANAGED_POLICY,
            POLICY_COUNT,
            ATTACHMENT,
            PROVIDER,
            TOKEN_KEY,
        ];
        for (place, prefix) in all.iter().enumerate() {
            assert!(matches!(prefix.first(), Some(b'a' | b'k')));
            assert!(
                !all[place + 1..]
                    .iter()
                    .any(|other| other.starts_with(prefix))
            );
        }
    }

    /// Fields that some later version may add; their names cannot be those of today.
    pub(crate) fn unknown_fields() -> impl Strategy<Value = UnknownFields> {
        let value = prop_oneof![
            any::<u64>().prop_map(serde_json::Value::from),
            any::<bool>().prop_map(serde_json::Value::from),
            ".{0,12}".prop_map(serde_json::Value::from),
            proptest::collection::vec(any::<i64>(), 0..3).prop_map(serde_json::Value::from),
        ];
        proptest::collection::vec(("[a-z]{1,6}", value), 0..4).prop_map(|fields| {
            fields
                .into_iter()
                .map(|(name, value)| (format!("later_{name}"), value))
                .collect()
        })
    }
}
