//! The header `x-amz-copy-source`.

use crate::error::S3Error;
use crate::names::{check_bucket_name, check_key};
use crate::uri::decode_path;

const NAME: &str = "x-amz-copy-source";

/// The object to copy from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopySource {
    /// The bucket.
    pub bucket: String,
    /// The key, decoded.
    pub key: String,
    /// The version, if the copy is of a certain one.
    pub version_id: Option<String>,
}

impl CopySource {
    /// Reads `bucket/key` or `/bucket/key`, percent-encoded, with an optional `?versionId=…`, or
    /// `arn:aws:s3:::bucket/key`. A `?` that is part of the key has to be encoded. `InvalidArgument`
    /// when it is none of these, `InvalidBucketName` and `KeyTooLongError` as for a request's own.
    pub fn parse(value: &[u8]) -> Result<Self, S3Error> {
        let refuse =
            |message| S3Error::invalid_argument(NAME, &String::from_utf8_lossy(value), message);
        let text = std::str::from_utf8(value)
            .map_err(|_| refuse("Copy Source must be URL-encoded."))?
            .trim();
        let (path, version_id) = match text.split_once('?') {
            // Anything else may be meant as a part of the key: to pass over it would be to copy
            // another object than was asked for.
            Some((path, query)) => match query.strip_prefix("versionId=") {
                Some(version_id) if !version_id.contains('&') => (path, Some(version_id)),
                _ => {
                    return Err(refuse(
                        "Only versionId can follow the key; a question mark in a key must be URL-encoded.",
                    ));
                }
            },
            None => (text, None),
        };
        let decode = |raw| decode_path(raw).map_err(|_| refuse("Copy Source must be URL-encoded."));
        let path = decode(path)?;
        let path = path.strip_prefix('/').unwrap_or(&path);
        let path = path.strip_prefix("arn:aws:s3:::").unwrap_or(path);
        let (bucket, key) = path
            .split_once('/')
            .filter(|(bucket, key)| !bucket.is_empty() && !key.is_empty())
            .ok_or_else(|| {
                refuse("Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
            })?;
        check_bucket_name(bucket)?;
        check_key(key)?;
        let version_id = match version_id {
            Some("") => {
                return Err(refuse("Version id cannot be the empty string"));
            }
            Some(raw) => Some(decode(raw)?.into_owned()),
            None => None,
        };
        Ok(Self {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            version_id,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::S3ErrorCode;
    use proptest::prelude::*;

    #[test]
    fn the_forms_that_clients_send() {
        let cases = [
            ("src/key", "src", "key", None),
            ("/src/key", "src", "key", None),
            ("src/a%2Fb%3Fc%20d", "src", "a/b?c d", None),
            ("src%2Fkey", "src", "key", None),
            ("src/a+b", "src", "a+b", None),
            ("src//a/", "src", "/a/", None),
            ("src/key?versionId=v%2B1", "src", "key", Some("v+1")),
            ("src/key?versionId=null", "src", "key", Some("null")),
            ("arn:aws:s3:::src/key", "src", "key", None),
        ];
        for (value, bucket, key, version_id) in cases {
            let source = CopySource::parse(value.as_bytes()).unwrap();
            let parsed = (
                source.bucket.as_str(),
                source.key.as_str(),
                source.version_id.as_deref(),
            );
            assert_eq!(parsed, (bucket, key, version_id), "{value}");
        }
    }

    #[test]
    fn what_is_refused() {
        let code = |value: &[u8]| CopySource::parse(value).unwrap_err().code;
        for value in [
            "",
            "/",
            "src",
            "src/",
            "/src",
            "src/%ff",
            "src/key?versionId=",
            "src/a?b",
            "src/key?x=1&versionId=v",
            "src/key?versionId=v&x=1",
        ] {
            assert_eq!(
                code(value.as_bytes()),
                S3ErrorCode::InvalidArgument,
                "{value}"
            );
        }
        assert_eq!(code(b"a_b/key"), S3ErrorCode::InvalidBucketName);
        assert_eq!(
            code(format!("src/{}", "k".repeat(1025)).as_bytes()),
            S3ErrorCode::KeyTooLongError
        );
    }

    proptest! {
        #[test]
        fn any_key_survives_encoding(key in "\\PC{1,60}") {
            let value = format!("bucket/{}", crate::uri::encode_path(&key));
            prop_assert_eq!(CopySource::parse(value.as_bytes()).unwrap().key, key);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = CopySource::parse(&bytes);
        }
    }
}
