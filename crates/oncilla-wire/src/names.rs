//! The rules for bucket names and object keys.

use std::borrow::Cow;

use crate::digits::is_digits;
use crate::error::{S3Error, S3ErrorCode};

/// The shortest bucket name.
pub const MIN_BUCKET_NAME_LEN: usize = 3;

/// The longest bucket name: a DNS label's limit.
pub const MAX_BUCKET_NAME_LEN: usize = 63;

/// The longest key in bytes of UTF-8.
pub const MAX_KEY_BYTES: usize = 1024;

/// Prefixes that S3 reserves for itself.
const RESERVED_PREFIXES: [&str; 3] = ["xn--", "sthree-", "amzn-s3-demo-"];

/// Suffixes that S3 reserves for access points and other kinds of bucket.
const RESERVED_SUFFIXES: [&str; 4] = ["-s3alias", "--ol-s3", ".mrap", "--x-s3"];

/// Whether a name is one that a bucket can have.
pub fn is_valid_bucket_name(name: &str) -> bool {
    broken_rule(name).is_none()
}

/// Refuses a name that no bucket can have with `InvalidBucketName`, and says why none can.
pub fn check_bucket_name(name: &str) -> Result<(), S3Error> {
    match broken_rule(name) {
        None => Ok(()),
        Some(rule) => Err(invalid_bucket_name(name, &rule)),
    }
}

/// `InvalidBucketName` with the rule that the name breaks, which goes on after "Bucket names".
pub(crate) fn invalid_bucket_name(name: &str, rule: &str) -> S3Error {
    let code = S3ErrorCode::InvalidBucketName;
    let message = format!("{} Bucket names {rule}.", code.default_message());
    S3Error::with_message(code, message).detail("BucketName", name)
}

/// The first rule that a name breaks.
/// Source: S3 user guide, "General purpose bucket naming rules".
fn broken_rule(name: &str) -> Option<Cow<'static, str>> {
    let alphanumeric = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    if bytes.len() < MIN_BUCKET_NAME_LEN {
        let rule = format!("have at least {MIN_BUCKET_NAME_LEN} characters");
        return Some(rule.into());
    }
    if bytes.len() > MAX_BUCKET_NAME_LEN {
        let rule = format!("have at most {MAX_BUCKET_NAME_LEN} characters");
        return Some(rule.into());
    }
    if bytes.iter().any(u8::is_ascii_uppercase) {
        return Some("have no upper-case letters".into());
    }
    let allowed = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-');
    if !bytes.iter().all(allowed) {
        let rule = "consist of lower-case letters, digits, dots (.) and hyphens (-)";
        return Some(rule.into());
    }
    if !alphanumeric(bytes.first()) || !alphanumeric(bytes.last()) {
        return Some("begin and end with a letter or a digit".into());
    }
    if ["..", ".-", "-."].iter().any(|pair| name.contains(pair)) {
        return Some("have no dot next to another dot or to a hyphen".into());
    }
    if looks_like_ipv4(name) {
        return Some("cannot look like an IP address".into());
    }
    let mut prefixes = RESERVED_PREFIXES.iter();
    if let Some(prefix) = prefixes.find(|prefix| name.starts_with(**prefix)) {
        return Some(format!("cannot begin with {prefix}, which is reserved").into());
    }
    let mut suffixes = RESERVED_SUFFIXES.iter();
    let suffix = suffixes.find(|suffix| name.ends_with(**suffix))?;
    Some(format!("cannot end with {suffix}, which is reserved").into())
}

/// Refuses a key that is too long (`KeyTooLongError`, with its size and the limit) or empty
/// (`InvalidArgument`). Any character is allowed in a key, control characters and NUL among them.
pub fn check_key(key: &str) -> Result<(), S3Error> {
    if key.is_empty() {
        return Err(S3Error::invalid_argument(
            "key",
            key,
            "An object key cannot be empty.",
        ));
    }
    if key.len() > MAX_KEY_BYTES {
        return Err(S3Error::new(S3ErrorCode::KeyTooLongError)
            .detail("Size", key.len().to_string())
            .detail("MaxSizeAllowed", MAX_KEY_BYTES.to_string()));
    }
    Ok(())
}

/// Four groups of digits: S3 refuses the form, whether or not each group is below 256.
fn looks_like_ipv4(name: &str) -> bool {
    name.split('.').count() == 4 && name.split('.').all(is_digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_names_follow_the_published_rules() {
        let good = [
            "abc",
            "0ab",
            "a.b",
            "my-bucket.example",
            "1.2.3",
            "1.2.3.4a",
            "a--b",
            &"a".repeat(63),
        ];
        for name in good {
            assert!(is_valid_bucket_name(name), "{name}");
        }
        let bad = [
            "",
            "a",
            "aa",
            &"a".repeat(64),
            "Abc",
            "foo_bar",
            "foo-",
            "-foo",
            ".foo",
            "foo.",
            "foo..bar",
            "foo.-bar",
            "foo-.bar",
            "192.168.5.123",
            "999.999.999.999",
            "xn--abc",
            "sthree-abc",
            "amzn-s3-demo-abc",
            "abc-s3alias",
            "abc--ol-s3",
            "abc.mrap",
            "abc--x-s3",
            "b\u{fc}cher",
            "a b c",
        ];
        for name in bad {
            assert!(!is_valid_bucket_name(name), "{name}");
            let error = check_bucket_name(name).unwrap_err();
            assert_eq!(error.code, S3ErrorCode::InvalidBucketName);
        }
    }

    #[test]
    fn a_refusal_says_which_rule_is_broken() {
        let long = "a".repeat(64);
        for (name, rule) in [
            ("aa", "have at least 3 characters."),
            (&*long, "have at most 63 characters."),
            ("Abc", "have no upper-case letters."),
            (
                "foo_bar",
                "consist of lower-case letters, digits, dots (.) and hyphens (-).",
            ),
            ("foo-", "begin and end with a letter or a digit."),
            (
                "foo..bar",
                "have no dot next to another dot or to a hyphen.",
            ),
            ("192.168.5.123", "cannot look like an IP address."),
            ("xn--abc", "cannot begin with xn--, which is reserved."),
            (
                "abc-s3alias",
                "cannot end with -s3alias, which is reserved.",
            ),
        ] {
            let error = check_bucket_name(name).unwrap_err();
            let message = format!("The specified bucket is not valid. Bucket names {rule}");
            assert_eq!(error.message, message);
        }
    }

    #[test]
    fn keys_are_limited_in_bytes_not_characters() {
        assert!(check_key("\0\u{1}\u{7f}").is_ok());
        assert!(check_key(&"\u{e9}".repeat(512)).is_ok());
        let error = check_key(&"\u{e9}".repeat(513)).unwrap_err();
        assert_eq!(error.code, S3ErrorCode::KeyTooLongError);
        assert!(error.details.contains(&("Size", "1026".to_owned())));
        assert!(
            error
                .details
                .contains(&("MaxSizeAllowed", "1024".to_owned()))
        );
        assert_eq!(
            check_key("").unwrap_err().code,
            S3ErrorCode::InvalidArgument
        );
    }
}
