//! Tags of objects and buckets, and the rules they obey.

use crate::error::{S3Error, S3ErrorCode};
use crate::uri::{decode_query, encode_component, raw_parameters};

/// The most tags of an object (S3's limit).
pub const MAX_OBJECT_TAGS: usize = 10;

/// The most tags of a bucket (S3's limit).
pub const MAX_BUCKET_TAGS: usize = 50;

/// The longest key in characters (S3's limit).
pub const MAX_TAG_KEY_CHARS: usize = 128;

/// The longest value in characters (S3's limit).
pub const MAX_TAG_VALUE_CHARS: usize = 256;

/// What the tags are for, which decides how many there can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagTarget {
    /// An object: [`MAX_OBJECT_TAGS`].
    Object,
    /// A bucket: [`MAX_BUCKET_TAGS`].
    Bucket,
}

/// Why an object cannot have more tags, in S3's words.
const TOO_MANY_OBJECT_TAGS: &str = "Object tags cannot be greater than 10";

/// One tag.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tag {
    /// The key, 1 to [`MAX_TAG_KEY_CHARS`] characters.
    pub key: String,
    /// The value, up to [`MAX_TAG_VALUE_CHARS`] characters.
    pub value: String,
}

/// Tags that obey the rules, in the order they were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagSet {
    tags: Vec<Tag>,
}

impl TagSet {
    /// Checks the rules: count, lengths, characters, unique keys, no `aws:` prefix. A broken one is
    /// an `InvalidTag` (too many tags of an object too: ceph/s3-tests, test_put_excess_tags).
    /// The set is kept in the order of its keys, so that equal sets read the same.
    pub fn new(mut tags: Vec<Tag>, target: TagTarget) -> Result<Self, S3Error> {
        match target {
            TagTarget::Object if tags.len() > MAX_OBJECT_TAGS => {
                return Err(invalid(TOO_MANY_OBJECT_TAGS));
            }
            TagTarget::Bucket if tags.len() > MAX_BUCKET_TAGS => {
                return Err(invalid("Bucket tag count cannot be greater than 50"));
            }
            TagTarget::Object | TagTarget::Bucket => {}
        }
        for (index, tag) in tags.iter().enumerate() {
            check_tag(tag)?;
            if tags[..index].iter().any(|earlier| earlier.key == tag.key) {
                let message = "Cannot provide multiple Tags with the same key";
                return Err(invalid(message).detail("TagKey", &tag.key));
            }
        }
        tags.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(Self { tags })
    }

    /// Reads `x-amz-tagging`: `key=value` pairs joined by `&`, URL-encoded. An empty header has no tags.
    /// What cannot be decoded and what names a tag twice is an `InvalidArgument`, too many tags are
    /// a `BadRequest`, and otherwise the rules of [`TagSet::new`] hold.
    /// Source of the codes: observed of S3.
    pub fn from_header(value: &[u8]) -> Result<Self, S3Error> {
        let refuse = || {
            S3Error::invalid_argument(
                "x-amz-tagging",
                &String::from_utf8_lossy(value),
                "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query \
                 parameters without tag name duplicates.",
            )
        };
        let text = std::str::from_utf8(value).map_err(|_| refuse())?;
        let mut tags = Vec::new();
        for (raw_key, raw_value) in raw_parameters(text) {
            let key = decode_query(raw_key).map_err(|_| refuse())?.into_owned();
            let value = decode_query(raw_value.unwrap_or_default()).map_err(|_| refuse())?;
            if tags.iter().any(|earlier: &Tag| earlier.key == key) {
                return Err(refuse());
            }
            // One more than allowed is enough to be refused, and bounds the check for duplicates.
            if tags.len() == MAX_OBJECT_TAGS {
                let code = S3ErrorCode::BadRequest;
                return Err(S3Error::with_message(code, TOO_MANY_OBJECT_TAGS));
            }
            tags.push(Tag {
                key,
                value: value.into_owned(),
            });
        }
        Self::new(tags, TagTarget::Object)
    }

    /// The value of `x-amz-tagging` for these tags.
    pub fn to_header(&self) -> String {
        let mut header = String::new();
        for tag in &self.tags {
            if !header.is_empty() {
                header.push('&');
            }
            header.push_str(&encode_component(&tag.key));
            header.push('=');
            header.push_str(&encode_component(&tag.value));
        }
        header
    }

    /// The tags, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Tag> {
        self.tags.iter()
    }

    /// How many tags there are (`x-amz-tagging-count`).
    pub fn len(&self) -> usize {
        self.tags.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.tags.is_empty()
    }

    /// The tags themselves.
    pub fn into_vec(self) -> Vec<Tag> {
        self.tags
    }
}

fn check_tag(tag: &Tag) -> Result<(), S3Error> {
    let key_chars = tag.key.chars().count();
    if key_chars == 0 || key_chars > MAX_TAG_KEY_CHARS || !tag.key.chars().all(is_allowed) {
        let message = "The TagKey you have provided is invalid";
        return Err(invalid(message).detail("TagKey", &tag.key));
    }
    if tag.key.to_ascii_lowercase().starts_with("aws:") {
        let message = "System tags cannot be added/updated by requester";
        return Err(invalid(message).detail("TagKey", &tag.key));
    }
    if tag.value.chars().count() > MAX_TAG_VALUE_CHARS || !tag.value.chars().all(is_allowed) {
        let message = "The TagValue you have provided is invalid";
        return Err(invalid(message)
            .detail("TagKey", &tag.key)
            .detail("TagValue", &tag.value));
    }
    Ok(())
}

/// Letters, digits and spaces of any script, and `+ - = . _ : / @`.
/// Source: S3 user guide, "Categorizing your objects using tags".
fn is_allowed(character: char) -> bool {
    character.is_alphanumeric()
        || (character.is_whitespace() && !character.is_control())
        || matches!(character, '+' | '-' | '=' | '.' | '_' | ':' | '/' | '@')
}

fn invalid(message: &'static str) -> S3Error {
    S3Error::with_message(S3ErrorCode::InvalidTag, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tags(count: usize) -> Vec<Tag> {
        (0..count)
            .map(|n| Tag {
                key: format!("k{n}"),
                value: format!("v{n}"),
            })
            .collect()
    }

    fn one(key: &str, value: &str) -> Result<TagSet, S3Error> {
        TagSet::new(
            vec![Tag {
                key: key.to_owned(),
                value: value.to_owned(),
            }],
            TagTarget::Object,
        )
    }

    #[test]
    fn the_limits() {
        assert_eq!(TagSet::new(tags(10), TagTarget::Object).unwrap().len(), 10);
        assert_eq!(TagSet::new(tags(50), TagTarget::Bucket).unwrap().len(), 50);
        assert!(one(&"\u{e9}".repeat(128), &"\u{e9}".repeat(256)).is_ok());
        assert!(one("a +-=._:/@1", "").is_ok());
        let refused = [
            TagSet::new(tags(11), TagTarget::Object),
            TagSet::new(tags(51), TagTarget::Bucket),
            TagSet::new(vec![Tag::default()], TagTarget::Object),
            one(&"k".repeat(129), ""),
            one("k", &"v".repeat(257)),
            one("aws:k", "v"),
            one("AWS:k", "v"),
            one("k<", "v"),
            one("k", "v\n"),
            TagSet::new([tags(1), tags(1)].concat(), TagTarget::Object),
        ];
        for result in refused {
            assert_eq!(result.unwrap_err().code, S3ErrorCode::InvalidTag);
        }
    }

    #[test]
    fn the_header() {
        let set = TagSet::from_header(b"a=b&c+d=e%2Ff&g=&h").unwrap();
        let pairs: Vec<_> = set
            .iter()
            .map(|tag| (tag.key.as_str(), tag.value.as_str()))
            .collect();
        assert_eq!(pairs, [("a", "b"), ("c d", "e/f"), ("g", ""), ("h", "")]);
        assert!(TagSet::from_header(b"").unwrap().is_empty());
        let code = |value: &[u8]| TagSet::from_header(value).unwrap_err().code;
        assert_eq!(code(b"a=%ff"), S3ErrorCode::InvalidArgument);
        assert_eq!(code(b"a=b&a=c"), S3ErrorCode::InvalidArgument);
        assert_eq!(code(b"a=b&%61=c"), S3ErrorCode::InvalidArgument);
        assert_eq!(code(b"a&b&c&d&e&f&g&h&i&j&k"), S3ErrorCode::BadRequest);
        assert_eq!(code(b"aws:a=b"), S3ErrorCode::InvalidTag);
    }

    proptest! {
        #[test]
        fn the_header_round_trips(pairs in proptest::collection::btree_map("[a-z][a-zA-Z0-9 +=._:/@-]{0,20}", "[\\p{L}\\p{Nd} +=._:/@-]{0,20}", 0..10)) {
            let tags = pairs.into_iter().map(|(key, value)| Tag { key, value }).collect();
            if let Ok(set) = TagSet::new(tags, TagTarget::Object) {
                prop_assert_eq!(TagSet::from_header(set.to_header().as_bytes()).unwrap(), set);
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = TagSet::from_header(&bytes);
        }
    }
}
