//! What a command works on: an object, a local path, or a standard stream.

use std::path::PathBuf;
use std::str::FromStr;

/// What S3 URLs begin with.
pub const S3_SCHEME: &str = "s3://";

/// `s3://bucket/key`; the key may be empty (the bucket itself) or end in a slash (a folder).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Url {
    /// The bucket; never empty.
    pub bucket: String,
    /// The key or prefix as it stands, not percent-decoded: S3 URLs are not web URLs.
    pub key: String,
}

impl S3Url {
    /// The URL of another key in the same bucket.
    pub fn with_key(&self, key: impl Into<String>) -> Self {
        Self {
            bucket: self.bucket.clone(),
            key: key.into(),
        }
    }

    /// The key as a folder: empty, or with a slash at its end.
    pub fn folder(&self) -> String {
        if self.key.is_empty() || self.key.ends_with('/') {
            self.key.clone()
        } else {
            format!("{}/", self.key)
        }
    }

    /// The URL, if it names an object.
    pub fn require_key(&self) -> Result<&Self, String> {
        if self.key.is_empty() {
            return Err(format!(
                "{self} names a bucket; an object is needed: s3://BUCKET/KEY"
            ));
        }
        Ok(self)
    }

    /// The URL, if it names a bucket alone.
    pub fn require_bucket(&self) -> Result<&Self, String> {
        if self.key.is_empty() {
            return Ok(self);
        }
        Err(format!(
            "{self} names more than a bucket: use s3://{}",
            self.bucket
        ))
    }
}

impl std::fmt::Display for S3Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{S3_SCHEME}{}/{}", self.bucket, self.key)
    }
}

impl FromStr for S3Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix(S3_SCHEME) else {
            return Err("an S3 URL is needed: s3://BUCKET or s3://BUCKET/KEY".to_owned());
        };
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        // Other services have looser bucket names than S3; only what would change the URL's
        // meaning is refused here, the rest is the endpoint's business.
        let harmless = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if bucket.is_empty() || !bucket.chars().all(harmless) || bucket.starts_with('.') {
            return Err(format!(
                "{bucket:?} cannot be a bucket's name (letters, digits, `-`, `.`)"
            ));
        }
        Ok(Self {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        })
    }
}

/// A place to copy from or to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// `s3://…`
    S3(S3Url),
    /// A path on this machine.
    Local(PathBuf),
    /// `-`: standard input or output.
    Standard,
}

impl FromStr for Location {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("an empty path names nothing".to_owned()),
            "-" => Ok(Location::Standard),
            _ if text.starts_with(S3_SCHEME) => text.parse().map(Location::S3),
            // Most likely a slip, and taking it for a local path would upload to the wrong place.
            _ if text.to_ascii_lowercase().starts_with("s3:") => {
                Err(format!("{text:?} is no S3 URL; write s3://BUCKET/KEY"))
            }
            _ => Ok(Location::Local(PathBuf::from(text))),
        }
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Location::S3(url) => url.fmt(f),
            Location::Local(path) => path.display().fmt(f),
            Location::Standard => f.write_str("-"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> S3Url {
        text.parse().unwrap()
    }

    #[test]
    fn keys_stand_as_they_are() {
        assert_eq!(
            url("s3://b"),
            S3Url {
                bucket: "b".into(),
                key: String::new()
            }
        );
        assert_eq!(url("s3://b/"), url("s3://b"));
        assert_eq!(url("s3://b/a%20b/ü?x#y").key, "a%20b/ü?x#y");
        assert_eq!(url("s3://b//x").key, "/x");
        assert_eq!(url("s3://b/dir/").to_string(), "s3://b/dir/");
    }

    #[test]
    fn folders_end_in_a_slash() {
        assert_eq!(url("s3://b").folder(), "");
        assert_eq!(url("s3://b/x").folder(), "x/");
        assert_eq!(url("s3://b/x/").folder(), "x/");
    }

    #[test]
    fn refuses_what_is_no_bucket() {
        for text in [
            "",
            "b/k",
            "s3://",
            "s3:///k",
            "s3://a b/k",
            "s3://a:b/k",
            "s3://a@b",
            "s3://../k",
        ] {
            assert!(text.parse::<S3Url>().is_err(), "{text}");
        }
    }

    #[test]
    fn places() {
        assert_eq!("-".parse(), Ok(Location::Standard));
        assert_eq!("a/b".parse(), Ok(Location::Local("a/b".into())));
        assert!(matches!("s3://b/k".parse(), Ok(Location::S3(_))));
        assert!("S3://b/k".parse::<Location>().is_err());
        assert!("s3:/b/k".parse::<Location>().is_err());
        assert!("".parse::<Location>().is_err());
    }
}
