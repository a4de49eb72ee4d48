//! The headers of RenameObject: `x-amz-rename-source` and `x-amz-client-token`.

use crate::error::S3Error;
use crate::names::check_key;
use crate::uri::decode_path;

const SOURCE: &str = "x-amz-rename-source";
const TOKEN: &str = "x-amz-client-token";

/// The longest token in bytes. Source: S3 API reference, RenameObject.
pub const CLIENT_TOKEN_BYTES_MAX: usize = 64;

/// Reads the key of the object to rename, which is in the bucket of the request: URL-encoded, with a
/// slash in front or without, alone or behind that bucket. `/bucket/key` and `bucket/key` are the key
/// in the bucket, so one that itself begins with the bucket's name and a slash has to be written with
/// the bucket. Source: S3 API reference, RenameObject, whose pattern has a bucket and whose examples
/// have none.
///
/// # Errors
/// `InvalidArgument` for what cannot be decoded or has no key; `KeyTooLongError`.
pub fn rename_source(value: &[u8], bucket: &str) -> Result<String, S3Error> {
    let refuse =
        |message| S3Error::invalid_argument(SOURCE, &String::from_utf8_lossy(value), message);
    let text = std::str::from_utf8(value).map(str::trim);
    let decoded = text.ok().and_then(|text| decode_path(text).ok());
    let decoded = decoded.ok_or_else(|| refuse("Rename Source must be URL-encoded."))?;
    let path = decoded.strip_prefix('/').unwrap_or(&decoded);
    let behind_bucket = path
        .strip_prefix(bucket)
        .and_then(|rest| rest.strip_prefix('/'));
    let key = behind_bucket.unwrap_or(path);
    if key.is_empty() {
        return Err(refuse(
            "Rename Source must be the key of an object, or bucket/key.",
        ));
    }
    check_key(key)?;
    Ok(key.to_owned())
}

/// Reads the token by which a repeated request is known: up to [`CLIENT_TOKEN_BYTES_MAX`] visible
/// ASCII characters.
///
/// # Errors
/// `InvalidArgument`.
pub fn client_token(value: &[u8]) -> Result<&[u8], S3Error> {
    let allowed = (1..=CLIENT_TOKEN_BYTES_MAX).contains(&value.len())
        && value.iter().all(u8::is_ascii_graphic);
    if allowed {
        return Ok(value);
    }
    let message = "The token must have 1 to 64 visible ASCII characters.";
    Err(S3Error::invalid_argument(
        TOKEN,
        &String::from_utf8_lossy(value),
        message,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::S3ErrorCode;
    use proptest::prelude::*;

    #[test]
    fn the_forms_that_clients_send() {
        for (value, key) in [
            ("key", "key"),
            ("bucket/key", "key"),
            ("/bucket/key", "key"),
            ("a/b%20c", "a/b c"),
            ("bucket%2Fa%3Fb", "a?b"),
            ("/key", "key"),
            ("/logs/key", "logs/key"),
            ("/bucket", "bucket"),
            ("/bucket//a", "/a"),
            ("bucket/bucket/key", "bucket/key"),
            ("bucketkey", "bucketkey"),
        ] {
            assert_eq!(
                rename_source(value.as_bytes(), "bucket").unwrap(),
                key,
                "{value}"
            );
        }
        for value in ["", "/", "bucket/", "/bucket/", "%ff"] {
            let error = rename_source(value.as_bytes(), "bucket").unwrap_err();
            assert_eq!(error.code, S3ErrorCode::InvalidArgument, "{value}");
        }
        let long = "k".repeat(1025);
        let error = rename_source(long.as_bytes(), "bucket").unwrap_err();
        assert_eq!(error.code, S3ErrorCode::KeyTooLongError);
    }

    #[test]
    fn tokens() {
        assert_eq!(client_token(b"b2e9-!").unwrap(), b"b2e9-!");
        for value in [&b""[..], b"a b", b"\xc3\xa9", &[b'a'; 65]] {
            assert!(client_token(value).is_err());
        }
    }

    proptest! {
        #[test]
        fn any_key_survives_encoding(key in "\\PC{1,60}") {
            let value = format!("/bucket/{}", crate::uri::encode_path(&key));
            prop_assert_eq!(rename_source(value.as_bytes(), "bucket").unwrap(), key);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = rename_source(&bytes, "bucket");
            let _ = client_token(&bytes);
        }
    }
}
