//! Users, groups and roles: what policies are attached to.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{ENTITY, ENTITY_BY_ID, ENTITY_COUNT, FORMAT, RowError, SEPARATOR, UnknownFields};

const RECORD: &str = "entity";

/// The kinds of entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntityKind {
    /// Somebody (or a program) that has access keys.
    User,
    /// Users that have the same policies.
    Group,
    /// What others become for a while, by `AssumeRole`.
    Role,
}

impl EntityKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::User, Self::Group, Self::Role];

    /// As ARNs have it.
    pub fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
            Self::Role => "role",
        }
    }

    /// What ids of this kind begin with. Source: IAM user guide, "Unique identifiers".
    pub(crate) fn id_prefix(self) -> &'static str {
        match self {
            Self::User => "AIDA",
            Self::Group => "AGPA",
            Self::Role => "AROA",
        }
    }

    /// The byte that stands for it in keys.
    pub(crate) fn letter(self) -> u8 {
        match self {
            Self::User => b'u',
            Self::Group => b'g',
            Self::Role => b'r',
        }
    }
}

/// A tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// Its key.
    pub key: String,
    /// Its value; may be empty.
    pub value: String,
}

/// What only roles have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleSettings {
    /// The policy that says who may assume it.
    pub trust_policy: String,
    /// What it is for; may be empty.
    pub description: String,
    /// Longest session, in seconds.
    pub max_session_s: u64,
}

/// A user, a group or a role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entity {
    /// What it is.
    pub kind: EntityKind,
    /// Its id, which stays when it is renamed and is never given again.
    pub id: String,
    /// Its name, unique among its kind in the account without regard to case.
    pub name: String,
    /// Where it is in the account's own order: `/`, or names between slashes.
    pub path: String,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: u64,
    /// Its own policies: documents by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inline_policies: BTreeMap<String, String>,
    /// ARNs of managed policies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attached_policies: Vec<String>,
    /// Tags, by key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// Ids of the groups that a user is in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// What only roles have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<RoleSettings>,
    /// What a later version has added.
    #[serde(flatten)]
    pub(crate) unknown: UnknownFields,
}

#[derive(Serialize, Deserialize)]
struct EntityRow<E> {
    format: u64,
    #[serde(flatten)]
    entity: E,
}

/// Where the entity of this name is kept.
pub(crate) fn entity_key(account_id: &str, kind: EntityKind, name: &str) -> Bytes {
    let mut key = entities_of_account(account_id, kind).0.to_vec();
    key.extend_from_slice(name.to_ascii_lowercase().as_bytes());
    Bytes::from(key)
}

/// The range of the entities of a kind.
pub(crate) fn entities_of_account(account_id: &str, kind: EntityKind) -> (Bytes, Bytes) {
    let letter = [kind.letter()];
    let parts = [ENTITY, &letter, account_id.as_bytes(), &[SEPARATOR]];
    let start = Bytes::from(parts.concat());
    let end = super::end_of(&start);
    (start, end)
}

/// Where the name of the entity of this id is kept.
pub(crate) fn entity_by_id_key(account_id: &str, id: &str) -> Bytes {
    let parts = [
        ENTITY_BY_ID,
        account_id.as_bytes(),
        &[SEPARATOR],
        id.as_bytes(),
    ];
    Bytes::from(parts.concat())
}

/// Where the entities of a kind are counted.
pub(crate) fn entity_count_key(account_id: &str, kind: EntityKind) -> Bytes {
    Bytes::from([ENTITY_COUNT, &[kind.letter()], account_id.as_bytes()].concat())
}

impl Entity {
    /// Its ARN.
    pub fn arn(&self, account_id: &str) -> String {
        crate::arn::entity_arn(account_id, self.kind, &self.path, &self.name)
    }

    /// The record as it is stored.
    pub(crate) fn encode(&self) -> Result<Bytes, RowError> {
        let row = EntityRow {
            format: FORMAT,
            entity: self,
        };
        super::encode_json(RECORD, &row)
    }

    /// Reads a stored record.
    pub(crate) fn decode(value: &[u8]) -> Result<Self, RowError> {
        let row: EntityRow<Self> = super::decode_json(RECORD, value)?;
        let entity = row.entity;
        if (entity.kind == EntityKind::Role) != entity.role.is_some() {
            return Err(RowError::damaged(
                RECORD,
                "a role, and only that, has a trust policy",
            ));
        }
        Ok(entity)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rows::tests::unknown_fields;

    fn entities() -> impl Strategy<Value = Entity> {
        let names = ("[A-Z0-9]{21}", "[\\w+=,.@-]{1,64}", "/([a-z]{1,8}/)?");
        let role = ("[ -~]{0,40}", ".{0,20}", any::<u64>()).prop_map(
            |(trust_policy, description, max_session_s)| RoleSettings {
                trust_policy,
                description,
                max_session_s,
            },
        );
        let tag = (".{1,8}", ".{0,8}").prop_map(|(key, value)| Tag { key, value });
        let lists = (
            proptest::collection::btree_map("[a-z]{1,8}", ".{0,20}", 0..3),
            proptest::collection::vec("[a-z:/]{1,20}", 0..3),
            proptest::collection::vec(tag, 0..3),
            proptest::collection::vec("[A-Z0-9]{21}", 0..3),
        );
        let kind = proptest::sample::select(&EntityKind::ALL[..]);
        (kind, names, any::<u64>(), lists, role, unknown_fields()).prop_map(
            |(kind, names, created_ms, lists, role, unknown)| Entity {
                kind,
                id: names.0,
                name: names.1,
                path: names.2,
                created_ms,
                inline_policies: lists.0,
                attached_policies: lists.1,
                tags: lists.2,
                groups: lists.3,
                role: (kind == EntityKind::Role).then_some(role),
                unknown,
            },
        )
    }

    proptest! {
        #[test]
        fn a_record_is_read_as_it_was_written(entity in entities()) {
            prop_assert_eq!(Entity::decode(&entity.encode().unwrap()), Ok(entity));
        }

        #[test]
        fn any_bytes_are_read_or_refused(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Entity::decode(&value);
        }

        #[test]
        fn rows_lie_in_their_account(entity in entities(), account_id in "[0-9a-f]{64}") {
            let row = entity_key(&account_id, entity.kind, &entity.name);
            let (start, end) = entities_of_account(&account_id, entity.kind);
            prop_assert!(start <= row && row < end);
        }
    }

    #[test]
    fn the_stored_form_stays() {
        let text = r#"{"format":1,"kind":"user","id":"AIDAA","name":"ada","path":"/","created_ms":5,"inline_policies":{"p":"{}"},"attached_policies":["arn"],"groups":["AGPAB"],"later":7}"#;
        let user = Entity::decode(text.as_bytes()).unwrap();
        assert_eq!(user.encode().unwrap(), text.as_bytes());
        let role = r#"{"format":1,"kind":"role","id":"AROAA","name":"r","path":"/","created_ms":5,"role":{"trust_policy":"{}","description":"","max_session_s":3600}}"#;
        let read = Entity::decode(role.as_bytes()).unwrap();
        assert_eq!(read.encode().unwrap(), role.as_bytes());
        let without = role.replace("role\",", "user\",");
        assert!(Entity::decode(without.as_bytes()).is_err());
        let newer = text.replace(r#""format":1"#, r#""format":7"#);
        assert!(matches!(
            Entity::decode(newer.as_bytes()),
            Err(RowError::NewerFormat { found: 7, .. })
        ));
    }
}
