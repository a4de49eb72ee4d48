//! Managed policies: documents with a name of their own, in versions, for many to use.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::entity::Tag;
use super::{FORMAT, MANAGED_POLICY, POLICY_COUNT, RowError, SEPARATOR, UnknownFields};

const RECORD: &str = "managed policy";

/// A version of a managed policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyVersion {
    /// Its number: `v1` is the first.
    pub number: u32,
    /// The document.
    pub document: String,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: u64,
}

impl PolicyVersion {
    /// Its id on the wire.
    pub fn id(&self) -> String {
        format!("v{}", self.number)
    }
}

/// A managed policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ManagedPolicy {
    /// Its id, never given again.
    pub id: String,
    /// Its name, unique in the account without regard to case.
    pub name: String,
    /// Where it is in the account's own order: `/`, or names between slashes.
    pub path: String,
    /// What it is for; may be empty.
    pub description: String,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: u64,
    /// When its versions changed last, in milliseconds since 1970.
    pub updated_ms: u64,
    /// Number of the version that counts.
    pub default_version: u32,
    /// The number that the next version gets; none is given twice.
    pub next_version: u32,
    /// The versions, oldest first.
    pub versions: Vec<PolicyVersion>,
    /// Tags, by key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// What a later version has added.
    #[serde(flatten)]
    pub(crate) unknown: UnknownFields,
}

#[derive(Serialize, Deserialize)]
struct ManagedPolicyRow<P> {
    format: u64,
    #[serde(flatten)]
    policy: P,
}

/// Where the policy of this name is kept.
pub(crate) fn managed_policy_key(account_id: &str, name: &str) -> Bytes {
    let mut key = policies_of_account(account_id).0.to_vec();
    key.extend_from_slice(name.to_ascii_lowercase().as_bytes());
    Bytes::from(key)
}

/// The range of the policies of an account.
pub(crate) fn policies_of_account(account_id: &str) -> (Bytes, Bytes) {
    let start = Bytes::from([MANAGED_POLICY, account_id.as_bytes(), &[SEPARATOR]].concat());
    let end = super::end_of(&start);
    (start, end)
}

/// Where the policies of an account are counted.
pub(crate) fn policy_count_key(account_id: &str) -> Bytes {
    super::key(POLICY_COUNT, account_id)
}

impl ManagedPolicy {
    /// The version that counts.
    pub fn default_document(&self) -> Option<&PolicyVersion> {
        self.version(self.default_version)
    }

    /// The version of this number.
    pub fn version(&self, number: u32) -> Option<&PolicyVersion> {
        self.versions
            .iter()
            .find(|version| version.number == number)
    }

    /// The record as it is stored.
    pub(crate) fn encode(&self) -> Result<Bytes, RowError> {
        let row = ManagedPolicyRow {
            format: FORMAT,
            policy: self,
        };
        super::encode_json(RECORD, &row)
    }

    /// Reads a stored record.
    pub(crate) fn decode(value: &[u8]) -> Result<Self, RowError> {
        let row: ManagedPolicyRow<Self> = super::decode_json(RECORD, value)?;
        if row.policy.default_document().is_none() {
            return Err(RowError::damaged(RECORD, "its default version is missing"));
        }
        Ok(row.policy)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rows::tests::unknown_fields;

    fn policies() -> impl Strategy<Value = ManagedPolicy> {
        let names = (
            "[A-Z0-9]{21}",
            "[\\w+=,.@-]{1,128}",
            "/([a-z]{1,8}/)?",
            ".{0,20}",
        );
        let version =
            (any::<u32>(), ".{0,40}", any::<u64>()).prop_map(|(number, document, created_ms)| {
                PolicyVersion {
                    number,
                    document,
                    created_ms,
                }
            });
        let versions = proptest::collection::vec(version, 1..4);
        let times = any::<(u64, u64, u32)>();
        (names, times, versions, unknown_fields()).prop_map(|(names, times, versions, unknown)| {
            ManagedPolicy {
                id: names.0,
                name: names.1,
                path: names.2,
                description: names.3,
                created_ms: times.0,
                updated_ms: times.1,
                default_version: versions[0].number,
                next_version: times.2,
                versions,
                tags: Vec::new(),
                unknown,
            }
        })
    }

    proptest! {
        #[test]
        fn a_record_is_read_as_it_was_written(policy in policies()) {
            prop_assert_eq!(ManagedPolicy::decode(&policy.encode().unwrap()), Ok(policy));
        }

        #[test]
        fn any_bytes_are_read_or_refused(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = ManagedPolicy::decode(&value);
        }
    }

    #[test]
    fn the_stored_form_stays() {
        let text = r#"{"format":1,"id":"ANPAA","name":"p","path":"/","description":"","created_ms":5,"updated_ms":6,"default_version":1,"next_version":2,"versions":[{"number":1,"document":"{}","created_ms":5}],"later":7}"#;
        let policy = ManagedPolicy::decode(text.as_bytes()).unwrap();
        assert_eq!(policy.encode().unwrap(), text.as_bytes());
        let without = text.replace(r#""default_version":1"#, r#""default_version":2"#);
        assert!(ManagedPolicy::decode(without.as_bytes()).is_err());
    }
}
