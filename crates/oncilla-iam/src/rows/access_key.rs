//! Access key records and their index.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{ACCESS_KEY, FORMAT, KEY_BY_ACCOUNT, RowError, SEPARATOR, UnknownFields};
use crate::grant::Grant;
use crate::secret::Secret;
use crate::validate::is_canonical_id;

const RECORD: &str = "access key";

/// An access key with its secret.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessKey {
    /// Everything but the secret.
    pub info: AccessKeyInfo,
    /// The secret.
    pub secret: Secret,
}

/// What there is to know of an access key but its secret: fit for listings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AccessKeyInfo {
    /// Access key id: what stands in requests.
    pub id: String,
    /// Canonical id of the account that the key acts for.
    pub account_id: String,
    /// What people wrote about it; may be empty.
    pub description: String,
    /// What it may do with which buckets. They add up; none at all allows nothing.
    pub grants: Vec<Grant>,
    /// Id of the user whose key it is, and whose policies count then; `None` for a key of the
    /// account itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// ARNs of managed policies that are attached to the key itself, beside its grants.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: u64,
    /// Does not work while this is set.
    pub disabled: bool,
    /// Does not work from this moment on, in milliseconds since 1970.
    pub expires_ms: Option<u64>,
    /// 1 at first, and one more with each new secret.
    pub generation: u64,
    /// What a later version has added.
    #[serde(skip)]
    pub(crate) unknown: UnknownFields,
}

#[derive(Serialize, Deserialize)]
struct AccessKeyRow {
    format: u64,
    id: String,
    secret: Box<str>,
    /// The master key that wraps `secret`; absent while it is stored as is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wrapped_by: Option<String>,
    account_id: String,
    description: String,
    grants: Vec<Grant>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    policies: Vec<String>,
    created_ms: u64,
    disabled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_ms: Option<u64>,
    generation: u64,
    #[serde(flatten)]
    unknown: UnknownFields,
}

/// Where the access key of this id is kept.
pub(crate) fn access_key_key(id: &str) -> Bytes {
    super::key(ACCESS_KEY, id)
}

/// Where the index says that the account has this key.
pub(crate) fn key_by_account_key(account_id: &str, key_id: &str) -> Bytes {
    let mut key = keys_of_account(account_id).0.to_vec();
    key.extend_from_slice(key_id.as_bytes());
    Bytes::from(key)
}

/// The range of index rows of an account.
pub(crate) fn keys_of_account(account_id: &str) -> (Bytes, Bytes) {
    let start = Bytes::from([KEY_BY_ACCOUNT, account_id.as_bytes(), &[SEPARATOR]].concat());
    let end = super::end_of(&start);
    (start, end)
}

/// Reads the key id out of an index row's key.
pub(crate) fn key_id_of_index_row(key: &[u8], account_id: &str) -> Result<String, RowError> {
    let (start, _) = keys_of_account(account_id);
    let id = key
        .strip_prefix(start.as_ref())
        .and_then(|id| std::str::from_utf8(id).ok());
    id.map(str::to_owned)
        .ok_or_else(|| RowError::damaged("access key index", "not a key id"))
}

impl AccessKey {
    /// The access key id.
    pub fn id(&self) -> &str {
        &self.info.id
    }

    /// The record as it is stored.
    pub(crate) fn encode(&self) -> Result<Bytes, RowError> {
        let info = self.info.clone();
        let row = AccessKeyRow {
            format: FORMAT,
            id: info.id,
            secret: self.secret.expose().into(),
            wrapped_by: None,
            account_id: info.account_id,
            description: info.description,
            grants: info.grants,
            user_id: info.user_id,
            policies: info.policies,
            created_ms: info.created_ms,
            disabled: info.disabled,
            expires_ms: info.expires_ms,
            generation: info.generation,
            unknown: info.unknown,
        };
        super::encode_json(RECORD, &row)
    }

    /// Reads a stored record.
    pub(crate) fn decode(value: &[u8]) -> Result<Self, RowError> {
        let row: AccessKeyRow = super::decode_json(RECORD, value)?;
        if let Some(wrapped_by) = row.wrapped_by {
            return Err(RowError::SecretWrapped { wrapped_by });
        }
        if !is_canonical_id(&row.account_id) {
            return Err(RowError::damaged(RECORD, "its account id is not canonical"));
        }
        let info = AccessKeyInfo {
            id: row.id,
            account_id: row.account_id,
            description: row.description,
            grants: row.grants,
            user_id: row.user_id,
            policies: row.policies,
            created_ms: row.created_ms,
            disabled: row.disabled,
            expires_ms: row.expires_ms,
            generation: row.generation,
            unknown: row.unknown,
        };
        Ok(Self {
            info,
            secret: Secret::new(row.secret),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::role::Role;
    use crate::rows::tests::unknown_fields;

    fn grants() -> impl Strategy<Value = Vec<Grant>> {
        let bucket = prop_oneof![Just("*".to_owned()), "[a-z0-9.-]{1,63}"];
        let grant = (bucket, proptest::sample::select(&Role::ALL[..]))
            .prop_map(|(bucket, role)| Grant::new(bucket, role));
        proptest::collection::vec(grant, 0..5)
    }

    fn access_keys() -> impl Strategy<Value = AccessKey> {
        let names = (
            "[A-Za-z0-9_.-]{3,128}",
            "[0-9a-f]{64}",
            ".{0,40}",
            "[!-~]{8,128}",
        );
        let numbers = (
            any::<u64>(),
            any::<bool>(),
            any::<Option<u64>>(),
            any::<u64>(),
        );
        let of_user = (
            proptest::option::of("AIDA[A-Z0-9]{17}"),
            proptest::collection::vec("arn:[a-z:/]{1,20}", 0..3),
        );
        (names, grants(), of_user, numbers, unknown_fields()).prop_map(
            |(names, grants, of_user, numbers, unknown)| {
                let (id, account_id, description, secret) = names;
                let (created_ms, disabled, expires_ms, generation) = numbers;
                let info = AccessKeyInfo {
                    id,
                    account_id,
                    description,
                    grants,
                    user_id: of_user.0,
                    policies: of_user.1,
                    created_ms,
                    disabled,
                    expires_ms,
                    generation,
                    unknown,
                };
                AccessKey {
                    info,
                    secret: Secret::new(secret),
                }
            },
        )
    }

    proptest! {
        #[test]
        fn a_record_is_read_as_it_was_written(key in access_keys()) {
            prop_assert_eq!(AccessKey::decode(&key.encode().unwrap()), Ok(key));
        }

        #[test]
        fn any_bytes_are_read_or_refused(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = AccessKey::decode(&value);
        }

        #[test]
        fn index_rows_lie_in_their_account_and_name_their_key(key in access_keys()) {
            let account_id = &key.info.account_id;
            let row = key_by_account_key(account_id, key.id());
            let (start, end) = keys_of_account(account_id);
            prop_assert!(start <= row && row < end);
            prop_assert_eq!(key_id_of_index_row(&row, account_id), Ok(key.id().to_owned()));
        }
    }

    fn stored(fields: &str) -> String {
        let account = "0123456789abcdef".repeat(4);
        format!(
            r#"{{"format":1,"id":"tid_a","secret":"tsec_wombat",{fields}"account_id":"{account}","description":"","grants":[{{"bucket":"*","role":"Admin"}},{{"bucket":"b","role":"ReadOnly"}}],"created_ms":5,"disabled":false,"generation":1,"later":{{}}}}"#
        )
    }

    #[test]
    fn the_stored_form_stays() {
        let text = stored("");
        let key = AccessKey::decode(text.as_bytes()).unwrap();
        assert_eq!(key.encode().unwrap(), text.as_bytes());
    }

    #[test]
    fn a_wrapped_secret_is_not_taken_for_a_plain_one() {
        let text = stored(r#""wrapped_by":"master-1","#);
        let wrapped_by = "master-1".to_owned();
        let found = AccessKey::decode(text.as_bytes());
        assert_eq!(found, Err(RowError::SecretWrapped { wrapped_by }));
    }

    #[test]
    fn an_unknown_role_or_a_newer_format_is_refused() {
        let role = stored("").replace("ReadOnly", "Auditor");
        assert!(matches!(
            AccessKey::decode(role.as_bytes()),
            Err(RowError::Damaged { .. })
        ));
        let newer = stored("").replace(r#""format":1"#, r#""format":7"#);
        let refused = Err(RowError::NewerFormat {
            record: "access key",
            found: 7,
        });
        assert_eq!(AccessKey::decode(newer.as_bytes()), refused);
    }

    #[test]
    fn no_message_shows_the_secret() {
        let key = AccessKey::decode(stored("").as_bytes()).unwrap();
        assert!(!format!("{key:?}").contains("wombat"));
        let broken = stored("").replace(r#""tsec_wombat""#, r#"["tsec_wombat"]"#);
        let error = AccessKey::decode(broken.as_bytes()).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("wombat"));
        let listed = serde_json::to_string(&key.info).unwrap();
        assert!(!listed.contains("wombat"));
    }
}
