//! Which bucket and key a request is about: from its `Host` and its path.

use crate::error::{S3Error, S3ErrorCode};
use crate::names::{check_bucket_name, check_key, invalid_bucket_name};
use crate::operation::Level;
use crate::uri::decode_path;

/// The domain that is always served virtual-hosted: `bucket.localhost` resolves to the loopback
/// address on most systems without any set-up (RFC 6761 §6.3).
pub const LOCALHOST: &str = "localhost";

/// Everything under this path is not S3, unless the host names a bucket. No bucket name begins with `-`.
pub const INTERNAL_PREFIX: &str = "/-/";

/// The alias of the root. `s3` is too short to be a bucket.
const ALIAS: &str = "s3";

/// What a request is about. Names and keys are decoded, and keys are checked; bucket names are not,
/// because a name that no bucket can have is `NoSuchBucket` to most operations: CreateBucket calls
/// [`crate::names::check_bucket_name`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// The service itself: `/`.
    Service,
    /// A bucket.
    Bucket {
        /// The bucket.
        bucket: String,
    },
    /// An object.
    Object {
        /// The bucket.
        bucket: String,
        /// The key, decoded once, with every slash it has.
        key: String,
    },
    /// A path under [`INTERNAL_PREFIX`]: health, metrics, administration.
    Internal,
}

impl Address {
    /// The level of the API that the address is on; `None` for [`Address::Internal`].
    pub fn level(&self) -> Option<Level> {
        match self {
            Self::Service => Some(Level::Service),
            Self::Bucket { .. } => Some(Level::Bucket),
            Self::Object { .. } => Some(Level::Object),
            Self::Internal => None,
        }
    }
}

/// Reads addresses, for the base domains that are configured.
#[derive(Clone, Debug)]
pub struct Addressing {
    /// In lower case, without port and without dots at the ends; the longest first.
    base_domains: Vec<String>,
}

impl Default for Addressing {
    fn default() -> Self {
        Self::new(std::iter::empty::<&str>())
    }
}

impl Addressing {
    /// Takes the base domains (`storage.example.org` serves `bucket.storage.example.org`).
    /// [`LOCALHOST`] is always among them.
    pub fn new(base_domains: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let mut base_domains: Vec<String> = base_domains
            .into_iter()
            .map(|domain| {
                without_port(domain.as_ref())
                    .trim_matches('.')
                    .to_ascii_lowercase()
            })
            .filter(|domain| !domain.is_empty())
            .collect();
        base_domains.push(LOCALHOST.to_owned());
        // The longest first, so that a domain inside another one is found before it.
        base_domains.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        base_domains.dedup();
        Self { base_domains }
    }

    /// The address of a request. `host` is the header as sent, `raw_path` the path still encoded.
    ///
    /// A host below a base domain names the bucket; any other host (the domain itself, an IP address,
    /// an unknown name, none) leaves that to the path. `InvalidURI` for a path that cannot be
    /// decoded, `KeyTooLongError` for its key, `InvalidBucketName` for a host that names no bucket.
    pub fn resolve(&self, host: Option<&str>, raw_path: &str) -> Result<Address, S3Error> {
        let Some(path) = raw_path.strip_prefix('/') else {
            return Err(S3ErrorCode::InvalidURI.into());
        };
        match host.and_then(|host| self.bucket_of_host(host)) {
            // Here the path is all key: `/s3/…` and `/-/…` are keys too.
            Some(bucket) => {
                check_bucket_name(&bucket)?;
                with_key(bucket, path)
            }
            None if raw_path.starts_with(INTERNAL_PREFIX) || path == "-" => Ok(Address::Internal),
            None => from_path(path),
        }
    }

    /// The bucket that a host names: the part before a base domain; bucket names may contain dots.
    pub fn bucket_of_host(&self, host: &str) -> Option<String> {
        let host = without_port(host);
        let host = host.strip_suffix('.').unwrap_or(host);
        let mut base_domains = self.base_domains.iter();
        // A base domain inside another one must not be taken for a bucket of the outer one.
        if base_domains.any(|domain| domain.eq_ignore_ascii_case(host)) {
            return None;
        }
        self.base_domains.iter().find_map(|domain| {
            let bucket_length = host.len().checked_sub(domain.len())?;
            let (bucket, rest) = host.split_at_checked(bucket_length)?;
            let bucket = bucket.strip_suffix('.')?;
            (rest.eq_ignore_ascii_case(domain) && !bucket.is_empty())
                .then(|| bucket.to_ascii_lowercase())
        })
    }
}

/// The address of a path-style request; `path` has lost its first slash.
fn from_path(path: &str) -> Result<Address, S3Error> {
    let path = match path.strip_prefix(ALIAS) {
        Some("") => "",
        Some(rest) => rest.strip_prefix('/').unwrap_or(path),
        None => path,
    };
    if path.is_empty() {
        return Ok(Address::Service);
    }
    let (raw_bucket, raw_key) = path.split_once('/').unwrap_or((path, ""));
    let bucket = decode_path(raw_bucket)?.into_owned();
    if bucket.is_empty() {
        return Err(invalid_bucket_name(&bucket, "cannot be empty"));
    }
    if bucket.contains('/') {
        return Err(invalid_bucket_name(&bucket, "have no slash"));
    }
    with_key(bucket, raw_key)
}

fn with_key(bucket: String, raw_key: &str) -> Result<Address, S3Error> {
    if raw_key.is_empty() {
        return Ok(Address::Bucket { bucket });
    }
    let key = decode_path(raw_key)?.into_owned();
    check_key(&key)?;
    Ok(Address::Object { bucket, key })
}

/// A host without its port, which may be empty (RFC 3986, section 3.2.3); an IPv6 address keeps its brackets.
pub(crate) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bucket(bucket: &str) -> Address {
        Address::Bucket {
            bucket: bucket.to_owned(),
        }
    }

    fn object(bucket: &str, key: &str) -> Address {
        Address::Object {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        }
    }

    #[test]
    fn path_style() {
        let addressing = Addressing::new(["storage.example.org"]);
        let hosts = [
            None,
            Some("localhost:9000"),
            Some("127.0.0.1:9000"),
            Some("[::1]:9000"),
            Some("Storage.Example.org"),
            Some("unknown.example.com"),
        ];
        let cases = [
            ("/", Address::Service),
            ("/s3", Address::Service),
            ("/s3/", Address::Service),
            ("/b-1", bucket("b-1")),
            ("/b-1/", bucket("b-1")),
            ("/s3/b-1", bucket("b-1")),
            ("/s3cret", bucket("s3cret")),
            ("/s3cret/k", object("s3cret", "k")),
            ("/s3/b-1/k", object("b-1", "k")),
            ("/b-1/s3/k", object("b-1", "s3/k")),
            ("/b-1//a//b/", object("b-1", "/a//b/")),
            ("/b-1/a%2Fb%20c+d", object("b-1", "a/b c+d")),
            ("/b-1/%2525", object("b-1", "%25")),
            ("/b-1/a%00b", object("b-1", "a\0b")),
            ("/b-1/../x/./y", object("b-1", "../x/./y")),
            ("/-/health", Address::Internal),
            ("/-", Address::Internal),
        ];
        for host in hosts {
            for (path, expected) in &cases {
                assert_eq!(
                    addressing.resolve(host, path).unwrap(),
                    *expected,
                    "{host:?} {path}"
                );
            }
        }
    }

    #[test]
    fn virtual_hosted() {
        let addressing = Addressing::new(["Storage.Example.org:443", "eu.storage.example.org."]);
        let cases = [
            ("b-1.localhost:9000", "/", bucket("b-1")),
            ("B-1.LOCALHOST", "/k", object("b-1", "k")),
            ("b-1.storage.example.org", "/b-1/k", object("b-1", "b-1/k")),
            (
                "my.dotted.bucket.storage.example.org",
                "/k",
                object("my.dotted.bucket", "k"),
            ),
            ("b-1.eu.storage.example.org", "/k", object("b-1", "k")),
            ("eu.storage.example.org", "/b-1/k", object("b-1", "k")),
            ("b-1.localhost", "/s3/k", object("b-1", "s3/k")),
            ("b-1.localhost", "//k", object("b-1", "/k")),
            ("b-1.localhost", "/-/k", object("b-1", "-/k")),
            ("b-1.localhost.", "/k", object("b-1", "k")),
        ];
        for (host, path, expected) in cases {
            assert_eq!(
                addressing.resolve(Some(host), path).unwrap(),
                expected,
                "{host} {path}"
            );
        }
        let error = addressing.resolve(Some("a_b.localhost"), "/").unwrap_err();
        assert_eq!(error.code, S3ErrorCode::InvalidBucketName);
    }

    #[test]
    fn what_cannot_be_an_address() {
        let addressing = Addressing::default();
        let code = |path: &str| addressing.resolve(None, path).unwrap_err().code;
        assert_eq!(code(""), S3ErrorCode::InvalidURI);
        assert_eq!(code("*"), S3ErrorCode::InvalidURI);
        assert_eq!(code("/b-1/%ff"), S3ErrorCode::InvalidURI);
        assert_eq!(code("//k"), S3ErrorCode::InvalidBucketName);
        assert_eq!(code("/b%2Fc/k"), S3ErrorCode::InvalidBucketName);
        assert_eq!(
            code(&format!("/b-1/{}", "a".repeat(1025))),
            S3ErrorCode::KeyTooLongError
        );
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(host in ".{0,40}", path in ".{0,80}") {
            let _ = Addressing::default().resolve(Some(&host), &path);
        }

        #[test]
        fn any_key_survives_encoding(key in "\\PC{1,60}") {
            let path = format!("/bucket/{}", crate::uri::encode_path(&key));
            let address = Addressing::default().resolve(None, &path).unwrap();
            prop_assert_eq!(address, object("bucket", &key));
        }
    }
}
