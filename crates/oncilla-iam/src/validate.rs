//! The rules for names, ids and sizes.

use oncilla_wire::digits::is_digits;

use crate::error::IamError;
use crate::grant::{BucketPattern, Grant};
use crate::rows::entity::{EntityKind, Tag};

/// Longest account name: that of an IAM user name in AWS.
pub const ACCOUNT_NAME_CHARS_MAX: usize = 64;
/// Longest e-mail address: what RFC 5321, section 4.5.3.1.3 leaves within the angle brackets.
pub const EMAIL_CHARS_MAX: usize = 254;
/// Longest description of a key: a sentence or two, since listings carry it.
pub const DESCRIPTION_CHARS_MAX: usize = 256;
/// Shortest id of an imported key: that of other S3-compatible stores (AWS: 16).
pub const KEY_ID_CHARS_MIN: usize = 3;
/// Longest id of an imported key: AWS's limit.
pub const KEY_ID_CHARS_MAX: usize = 128;
/// Shortest imported secret: that of other S3-compatible stores.
pub const SECRET_CHARS_MIN: usize = 8;
/// Longest imported secret: thrice AWS's 40 characters; longer ones add no strength to SHA-256.
pub const SECRET_CHARS_MAX: usize = 128;
/// Most grants of a key: each request walks them, and the row must stay small (about 10 KB).
pub const GRANTS_PER_KEY_MAX: usize = 100;
/// Most keys of an account: room for one per customer or machine, yet an end to a runaway script.
pub const KEYS_PER_ACCOUNT_MAX: usize = 10_000;
/// Most items of a page of a listing, as S3's listings have it.
pub const PAGE_ITEMS_MAX: usize = 1_000;
/// Longest bucket name that S3 ever allowed (those before 2018).
const BUCKET_NAME_CHARS_MAX: usize = 255;

/// Longest name of a user or role. Source of these limits: IAM user guide, "IAM and AWS STS quotas",
/// and the API reference.
pub const ENTITY_NAME_CHARS_MAX: usize = 64;
/// Longest name of a group or policy.
pub const LONG_NAME_CHARS_MAX: usize = 128;
/// Longest path.
pub const PATH_CHARS_MAX: usize = 512;
/// Longest description of a role or policy.
pub const ENTITY_DESCRIPTION_CHARS_MAX: usize = 1_000;
/// Most tags of one entity or policy.
pub const TAGS_MAX: usize = 50;
/// Longest key of a tag.
pub const TAG_KEY_CHARS_MAX: usize = 128;
/// Longest value of a tag.
pub const TAG_VALUE_CHARS_MAX: usize = 256;
/// Most keys of a user.
pub const KEYS_PER_USER_MAX: usize = 2;
/// Most groups that a user is in.
pub const GROUPS_PER_USER_MAX: usize = 10;
/// Most managed policies attached to one user, group, role or key: AWS's quota once raised.
pub const ATTACHED_POLICIES_MAX: usize = 20;
/// Most managed policies of an account.
pub const POLICIES_PER_ACCOUNT_MAX: usize = 1_500;
/// Most versions of a managed policy.
pub const POLICY_VERSIONS_MAX: usize = 5;
/// Longest managed policy, spaces apart.
pub const MANAGED_POLICY_CHARS_MAX: usize = 6_144;
/// Most identity providers of an account.
pub const PROVIDERS_PER_ACCOUNT_MAX: usize = 100;
/// Most clients of an identity provider.
pub const CLIENT_IDS_MAX: usize = 100;
/// Most thumbprints of an identity provider.
pub const THUMBPRINTS_MAX: usize = 5;
/// Shortest time that a role can set as the longest for its sessions, in seconds.
pub const MAX_SESSION_S_MIN: u64 = 3_600;
/// Longest session of a role, in seconds.
pub const MAX_SESSION_S_MAX: u64 = 43_200;

/// Most users, groups or roles of an account.
pub fn entities_per_account_max(kind: EntityKind) -> usize {
    match kind {
        EntityKind::User => 5_000,
        EntityKind::Group => 300,
        EntityKind::Role => 1_000,
    }
}

/// The length that the inline policies of one entity have in all at most, spaces apart.
pub fn inline_policy_chars_max(kind: EntityKind) -> usize {
    match kind {
        EntityKind::User => 2_048,
        EntityKind::Group => 5_120,
        EntityKind::Role => 10_240,
    }
}

fn invalid(what: &'static str, rule: &'static str) -> Result<(), IamError> {
    Err(IamError::InvalidName { what, rule })
}

/// An account name: 1 to 64 of `[A-Za-z0-9 ._@+-]`, not beginning or ending with a space.
pub(crate) fn account_name(name: &str) -> Result<(), IamError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b" ._@+-".contains(&byte);
    let in_bounds = (1..=ACCOUNT_NAME_CHARS_MAX).contains(&name.len());
    let trimmed = name.trim_matches(' ').len() == name.len();
    if in_bounds && trimmed && name.bytes().all(allowed) {
        return Ok(());
    }
    invalid(
        "account name",
        "1 to 64 letters, digits, spaces and . _ @ + -, with no space at either end",
    )
}

/// An e-mail address: one `@` with something on both sides, visible ASCII. Whether mail arrives
/// is nothing a syntax check could tell.
pub(crate) fn email(address: &str) -> Result<(), IamError> {
    let visible = address.bytes().all(|byte| byte.is_ascii_graphic());
    let halves = address
        .split_once('@')
        .filter(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.contains('@'));
    if visible && halves.is_some() && address.len() <= EMAIL_CHARS_MAX {
        return Ok(());
    }
    invalid(
        "e-mail address",
        "local@domain in visible ASCII, at most 254 characters",
    )
}

/// A description of a key: up to 256 characters, none of them a control character.
pub(crate) fn description(text: &str) -> Result<(), IamError> {
    let short = text.chars().take(DESCRIPTION_CHARS_MAX + 1).count() <= DESCRIPTION_CHARS_MAX;
    if short && !text.chars().any(char::is_control) {
        return Ok(());
    }
    invalid(
        "description",
        "at most 256 characters, no control characters",
    )
}

/// The id of an imported key: 3 to 128 of `[A-Za-z0-9_.-]`. It stands between slashes in the
/// credential scope of Signature Version 4 and between separators in rows.
pub(crate) fn key_id(id: &str) -> Result<(), IamError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if (KEY_ID_CHARS_MIN..=KEY_ID_CHARS_MAX).contains(&id.len()) && id.bytes().all(allowed) {
        return Ok(());
    }
    invalid("access key id", "3 to 128 letters, digits and _ . -")
}

/// An imported secret: 8 to 128 visible ASCII characters.
pub(crate) fn secret(text: &str) -> Result<(), IamError> {
    let in_bounds = (SECRET_CHARS_MIN..=SECRET_CHARS_MAX).contains(&text.len());
    if in_bounds && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    invalid("secret access key", "8 to 128 visible ASCII characters")
}

/// The grants of a key. Bucket names are checked only as far as rows and logs need it: the
/// bucket need not exist.
pub(crate) fn grants(grants: &[Grant]) -> Result<(), IamError> {
    if grants.len() > GRANTS_PER_KEY_MAX {
        return Err(IamError::LimitExceeded {
            what: "grants per key",
            limit: GRANTS_PER_KEY_MAX,
        });
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    for grant in grants {
        let BucketPattern::Exact(name) = &grant.bucket else {
            continue;
        };
        if !(1..=BUCKET_NAME_CHARS_MAX).contains(&name.len()) || !name.bytes().all(allowed) {
            return invalid("bucket of a grant", "the name of a bucket, or * for all");
        }
    }
    Ok(())
}

fn is_name(name: &str, chars_max: usize) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    (1..=chars_max).contains(&name.len()) && name.bytes().all(allowed)
}

/// The name of a user, group or role.
pub(crate) fn entity_name(kind: EntityKind, name: &str) -> Result<(), IamError> {
    let chars_max = match kind {
        EntityKind::User | EntityKind::Role => ENTITY_NAME_CHARS_MAX,
        EntityKind::Group => LONG_NAME_CHARS_MAX,
    };
    if is_name(name, chars_max) {
        return Ok(());
    }
    match kind {
        EntityKind::User => invalid("userName", "1 to 64 letters, digits and _ + = , . @ -"),
        EntityKind::Role => invalid("roleName", "1 to 64 letters, digits and _ + = , . @ -"),
        EntityKind::Group => invalid("groupName", "1 to 128 letters, digits and _ + = , . @ -"),
    }
}

/// The name of a policy.
pub(crate) fn policy_name(name: &str) -> Result<(), IamError> {
    if is_name(name, LONG_NAME_CHARS_MAX) {
        return Ok(());
    }
    invalid("policyName", "1 to 128 letters, digits and _ + = , . @ -")
}

/// A path: `/`, or visible ASCII between slashes.
pub(crate) fn path(path: &str) -> Result<(), IamError> {
    let ends = path.starts_with('/') && path.ends_with('/');
    let visible = path.bytes().all(|byte| byte.is_ascii_graphic());
    if ends && visible && path.len() <= PATH_CHARS_MAX {
        return Ok(());
    }
    invalid(
        "path",
        "at most 512 visible characters that begin and end with a slash",
    )
}

/// The description of a role or policy.
pub(crate) fn entity_description(text: &str) -> Result<(), IamError> {
    let is_text = |c: char| !c.is_control() || matches!(c, '\t' | '\n' | '\r');
    if text.chars().count() <= ENTITY_DESCRIPTION_CHARS_MAX && text.chars().all(is_text) {
        return Ok(());
    }
    invalid("description", "at most 1000 characters")
}

/// Tags: their number, their lengths, and no key twice (without regard to case).
pub(crate) fn tags(tags: &[Tag]) -> Result<(), IamError> {
    if tags.len() > TAGS_MAX {
        return Err(IamError::LimitExceeded {
            what: "tags",
            limit: TAGS_MAX,
        });
    }
    for (index, tag) in tags.iter().enumerate() {
        let is_key = (1..=TAG_KEY_CHARS_MAX).contains(&tag.key.chars().count());
        let is_value = tag.value.chars().count() <= TAG_VALUE_CHARS_MAX;
        let earlier = &tags[..index];
        let is_new = !earlier
            .iter()
            .any(|this| this.key.eq_ignore_ascii_case(&tag.key));
        if !is_key || !is_value || !is_new {
            return invalid(
                "tags",
                "keys of 1 to 128 and values of up to 256 characters, no key twice",
            );
        }
    }
    Ok(())
}

/// The longest session of a role.
pub(crate) fn max_session_s(seconds: u64) -> Result<(), IamError> {
    if (MAX_SESSION_S_MIN..=MAX_SESSION_S_MAX).contains(&seconds) {
        return Ok(());
    }
    invalid("maxSessionDuration", "3600 to 43200 seconds")
}

/// Whether `id` has the form of an AWS account's: twelve digits.
pub(crate) fn is_aws_account_id(id: &str) -> bool {
    id.len() == 12 && is_digits(id)
}

/// Whether `id` has the form of a canonical user id: 64 lower-case hexadecimal digits.
pub(crate) fn is_canonical_id(id: &str) -> bool {
    id.len() == 64
        && id
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::role::Role;

    #[test]
    fn account_names() {
        for name in ["a", "Ada Lovelace", "a.b_c@d+e-f", &"x".repeat(64)] {
            assert!(account_name(name).is_ok(), "{name}");
        }
        for name in ["", " a", "a ", "a/b", "a\n", "\u{fc}", &"x".repeat(65)] {
            assert!(account_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn emails() {
        for address in ["a@b", "ada+s3@example.com"] {
            assert!(email(address).is_ok(), "{address}");
        }
        let long = format!("{}@b", "a".repeat(253));
        for address in ["", "@", "a@", "@b", "a@b@c", "a b@c", "a@b\n", "a", &long] {
            assert!(email(address).is_err(), "{address}");
        }
    }

    #[test]
    fn key_ids_and_secrets() {
        for id in ["abc", "AKIAIOSFODNN7EXAMPLE", "tid_x.y-z", &"k".repeat(128)] {
            assert!(key_id(id).is_ok(), "{id}");
        }
        for id in ["", "ab", "a/b", "a b", "abc\0", &"k".repeat(129)] {
            assert!(key_id(id).is_err(), "{id}");
        }
        for text in [
            "12345678",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            &"s".repeat(128),
        ] {
            assert!(secret(text).is_ok(), "{text}");
        }
        for text in [
            "1234567",
            "1234 5678",
            "12345678\n",
            "\u{fc}2345678",
            &"s".repeat(129),
        ] {
            assert!(secret(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_and_paths_of_entities() {
        for name in ["a", "Ada_Lovelace+=,.@-1", &"x".repeat(64)] {
            assert!(entity_name(EntityKind::User, name).is_ok(), "{name}");
        }
        for name in ["", "a b", "a/b", "a\0", "\u{fc}", &"x".repeat(65)] {
            assert!(entity_name(EntityKind::Role, name).is_err(), "{name}");
        }
        assert!(entity_name(EntityKind::Group, &"x".repeat(128)).is_ok());
        for good in ["/", "/a/", "/a/b!~/"] {
            assert!(path(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a",
            "/a",
            "a/",
            "/a b/",
            &format!("/{}/", "x".repeat(511)),
        ] {
            assert!(path(bad).is_err(), "{bad}");
        }
        let tag = |key: &str| Tag {
            key: key.to_owned(),
            value: String::new(),
        };
        assert!(tags(&[tag("a"), tag("b")]).is_ok());
        assert!(tags(&[tag("a"), tag("A")]).is_err());
        assert!(tags(&[tag("")]).is_err());
    }

    #[test]
    fn descriptions_and_grants() {
        assert!(description("").is_ok());
        assert!(description(&"\u{fc}".repeat(256)).is_ok());
        assert!(description(&"x".repeat(257)).is_err());
        assert!(description("a\nb").is_err());

        let many = vec![Grant::new("*", Role::Admin); GRANTS_PER_KEY_MAX + 1];
        assert!(grants(&many[1..]).is_ok());
        assert!(matches!(grants(&many), Err(IamError::LimitExceeded { .. })));
        for name in ["", "a*", "a/b", &"b".repeat(256)] {
            assert!(grants(&[Grant::new(name, Role::Admin)]).is_err(), "{name}");
        }
    }
}
