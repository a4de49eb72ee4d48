//! The rules for names, ids and sizes.

use crate::error::IamError;
use crate::grant::{BucketPattern, Grant};

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
