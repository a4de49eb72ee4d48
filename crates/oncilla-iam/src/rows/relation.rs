//! Index rows between records: who is in a group, what a policy is attached to, whose a key is.
//! The records name the other end too; these rows lead there from this end, and keep what is in use
//! from being deleted.

use bytes::Bytes;

use super::entity::EntityKind;
use super::{ATTACHMENT, KEY_BY_USER, MEMBERSHIP, RowError, SEPARATOR};

/// What a managed policy can be attached to, by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HolderKind {
    /// A user, group or role.
    Entity(EntityKind),
    /// An access key of the account that is no user's.
    Key,
}

impl HolderKind {
    fn letter(self) -> u8 {
        match self {
            Self::Entity(kind) => kind.letter(),
            Self::Key => b'k',
        }
    }

    fn of_letter(letter: u8) -> Option<Self> {
        let mut kinds = EntityKind::ALL
            .map(Self::Entity)
            .into_iter()
            .chain([Self::Key]);
        kinds.find(|kind| kind.letter() == letter)
    }
}

fn range(prefix: &[u8], account_id: &str, one_end: &str) -> (Bytes, Bytes) {
    let separator = [SEPARATOR];
    let parts: [&[u8]; 5] = [
        prefix,
        account_id.as_bytes(),
        &separator,
        one_end.as_bytes(),
        &separator,
    ];
    let start = Bytes::from(parts.concat());
    let end = super::end_of(&start);
    (start, end)
}

fn text_after(key: &[u8], start: &Bytes, record: &'static str) -> Result<String, RowError> {
    let rest = key.strip_prefix(start.as_ref());
    let text = rest.and_then(|rest| std::str::from_utf8(rest).ok());
    text.map(str::to_owned)
        .ok_or_else(|| RowError::damaged(record, "not an id"))
}

/// The range of rows that say who has a policy attached.
pub(crate) fn attachments_of_policy(account_id: &str, arn: &str) -> (Bytes, Bytes) {
    range(ATTACHMENT, account_id, arn)
}

/// Where it says that the policy is attached to the holder of this id.
pub(crate) fn attachment_key(account_id: &str, arn: &str, kind: HolderKind, id: &str) -> Bytes {
    let mut key = attachments_of_policy(account_id, arn).0.to_vec();
    key.push(kind.letter());
    key.extend_from_slice(id.as_bytes());
    Bytes::from(key)
}

/// Reads who it is out of a row's key.
pub(crate) fn holder_of_row(
    key: &[u8],
    account_id: &str,
    arn: &str,
) -> Result<(HolderKind, String), RowError> {
    let (start, _) = attachments_of_policy(account_id, arn);
    let text = text_after(key, &start, "attachment")?;
    let kind = text.bytes().next().and_then(HolderKind::of_letter);
    match kind {
        // The letters are ASCII.
        Some(kind) => Ok((kind, text[1..].to_owned())),
        None => Err(RowError::damaged("attachment", "of an unknown kind")),
    }
}

/// The range of rows that say who is in a group.
pub(crate) fn members_of_group(account_id: &str, group_id: &str) -> (Bytes, Bytes) {
    range(MEMBERSHIP, account_id, group_id)
}

/// Where it says that the user is in the group.
pub(crate) fn membership_key(account_id: &str, group_id: &str, user_id: &str) -> Bytes {
    let mut key = members_of_group(account_id, group_id).0.to_vec();
    key.extend_from_slice(user_id.as_bytes());
    Bytes::from(key)
}

/// Reads the id of the user out of a row's key.
pub(crate) fn member_of_row(
    key: &[u8],
    account_id: &str,
    group_id: &str,
) -> Result<String, RowError> {
    let (start, _) = members_of_group(account_id, group_id);
    text_after(key, &start, "membership")
}

/// The range of rows that say which keys a user has.
pub(crate) fn keys_of_user(account_id: &str, user_id: &str) -> (Bytes, Bytes) {
    range(KEY_BY_USER, account_id, user_id)
}

/// Where it says that the user has this key.
pub(crate) fn key_by_user_key(account_id: &str, user_id: &str, key_id: &str) -> Bytes {
    let mut key = keys_of_user(account_id, user_id).0.to_vec();
    key.extend_from_slice(key_id.as_bytes());
    Bytes::from(key)
}

/// Reads the id of the key out of a row's key.
pub(crate) fn user_key_of_row(
    key: &[u8],
    account_id: &str,
    user_id: &str,
) -> Result<String, RowError> {
    let (start, _) = keys_of_user(account_id, user_id);
    text_after(key, &start, "key of a user")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_name_what_they_were_made_of(
            account in "[0-9a-f]{64}",
            one in "[!-~]{1,40}",
            other in "[!-~]{1,40}",
            kind in proptest::sample::select(vec![b'u', b'g', b'r', b'k']),
        ) {
            let kind = HolderKind::of_letter(kind).unwrap();
            let row = attachment_key(&account, &one, kind, &other);
            let (start, end) = attachments_of_policy(&account, &one);
            prop_assert!(start <= row && row < end);
            prop_assert_eq!(holder_of_row(&row, &account, &one), Ok((kind, other.clone())));
            let row = membership_key(&account, &one, &other);
            prop_assert_eq!(member_of_row(&row, &account, &one), Ok(other.clone()));
            let row = key_by_user_key(&account, &one, &other);
            prop_assert_eq!(user_key_of_row(&row, &account, &one), Ok(other));
        }
    }

    #[test]
    fn what_is_no_row_is_refused() {
        let account = "0".repeat(64);
        let (start, _) = attachments_of_policy(&account, "arn");
        for rest in [&b""[..], b"x1", &[0xFF]] {
            let key = [start.as_ref(), rest].concat();
            assert!(holder_of_row(&key, &account, "arn").is_err());
        }
        assert!(member_of_row(b"am", &account, "g").is_err());
    }
}
