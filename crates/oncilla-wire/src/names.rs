//! The rules for bucket names and object keys.

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
/// Source: S3 user guide, "General purpose bucket naming rules".
pub fn is_valid_bucket_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let allowed = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-');
    let alphanumeric = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    (MIN_BUCKET_NAME_LEN..=MAX_BUCKET_NAME_LEN).contains(&bytes.len())
        && bytes.iter().all(allowed)
        && alphanumeric(bytes.first())
        && alphanumeric(bytes.last())
        && !["..", ".-", "-."].iter().any(|pair| name.contains(pair))
        && !looks_like_ipv4(name)
        && !RESERVED_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
        && !RESERVED_SUFFIXES
            .iter()
            .any(|suffix| name.ends_with(suffix))
}

/// Refuses a name that no bucket can have with `InvalidBucketName`.
pub fn check_bucket_name(name: &str) -> Result<(), S3Error> {
    if is_valid_bucket_name(name) {
        return Ok(());
    }
    Err(S3Error::new(S3ErrorCode::InvalidBucketName).detail("BucketName", name))
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
    let is_digits =
        |group: &str| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_digit());
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
