//! Percent-encoding, both ways, as S3 and Signature Version 4 do it.
//!
//! Reading is strict: a percent sign that no two hexadecimal digits follow, and text that is not
//! UTF-8 once decoded, is `InvalidURI`, as S3 answers. Writing leaves `A-Z a-z 0-9 - . _ ~` alone
//! (and the slash, in paths) and turns every other byte into an upper-case escape. Both borrow
//! their input when nothing changes.

use std::borrow::Cow;

use oncilla_hash::hex::digit_value;

use crate::error::{S3Error, S3ErrorCode};

const UPPER_DIGITS: &[u8; 16] = b"0123456789ABCDEF";

/// A percent sign that is not followed by two hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed percent-escape")]
pub struct MalformedEscape;

impl From<MalformedEscape> for S3Error {
    fn from(_: MalformedEscape) -> Self {
        S3ErrorCode::InvalidURI.into()
    }
}

/// Which part of a request target is canonicalised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    /// A path: slashes stay, a plus sign is a plus sign.
    Path,
    /// A parameter's name or value: slashes are escaped, a plus sign is a space.
    Query,
}

/// Decodes a path. A plus sign stands for itself.
///
/// # Errors
/// `InvalidURI` for a malformed escape and for what is not UTF-8 after decoding.
pub fn decode_path(raw: &str) -> Result<Cow<'_, str>, S3Error> {
    if memchr::memchr(b'%', raw.as_bytes()).is_none() {
        return Ok(Cow::Borrowed(raw));
    }
    decode(raw, Component::Path)
}

/// Decodes the name or the value of a query parameter. A plus sign stands for a space.
///
/// # Errors
/// As [`decode_path`].
pub fn decode_query(raw: &str) -> Result<Cow<'_, str>, S3Error> {
    if memchr::memchr2(b'%', b'+', raw.as_bytes()).is_none() {
        return Ok(Cow::Borrowed(raw));
    }
    decode(raw, Component::Query)
}

fn decode(raw: &str, component: Component) -> Result<Cow<'_, str>, S3Error> {
    let mut decoded = Vec::with_capacity(raw.len());
    for byte in DecodedBytes::new(raw.as_bytes(), component) {
        decoded.push(byte?);
    }
    let text = String::from_utf8(decoded).map_err(|_| S3Error::new(S3ErrorCode::InvalidURI))?;
    Ok(Cow::Owned(text))
}

/// The parameters of a raw query, still encoded: name, and value if there was an equals sign. Empty
/// pieces, as in `a&&b`, are left out.
pub fn raw_parameters(raw_query: &str) -> impl Iterator<Item = (&str, Option<&str>)> + Clone {
    raw_query
        .split('&')
        .filter(|piece| !piece.is_empty())
        .map(|piece| match piece.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (piece, None),
        })
}

/// Encodes a path as AWS does: everything but `A-Z a-z 0-9 - . _ ~ /`, in upper-case hexadecimal.
pub fn encode_path(text: &str) -> Cow<'_, str> {
    encode(text, Component::Path)
}

/// Encodes a query component as AWS does: as [`encode_path`], and the slash as well.
pub fn encode_component(text: &str) -> Cow<'_, str> {
    encode(text, Component::Query)
}

fn encode(text: &str, component: Component) -> Cow<'_, str> {
    if text.bytes().all(|byte| stays_as_it_is(byte, component)) {
        return Cow::Borrowed(text);
    }
    let mut encoded = String::with_capacity(text.len() + text.len() / 2);
    for byte in text.bytes() {
        if stays_as_it_is(byte, component) {
            encoded.push(byte as char);
        } else {
            encoded.push('%');
            encoded.push(UPPER_DIGITS[usize::from(byte >> 4)] as char);
            encoded.push(UPPER_DIGITS[usize::from(byte & 15)] as char);
        }
    }
    Cow::Owned(encoded)
}

/// Appends the canonical form of `raw`, decoded and encoded again exactly once, to `out`, without
/// an intermediate copy. What is decoded need not be UTF-8.
///
/// # Errors
/// [`MalformedEscape`]; `out` then holds a part of the text.
pub fn append_canonical(
    out: &mut Vec<u8>,
    raw: &[u8],
    component: Component,
) -> Result<(), MalformedEscape> {
    for byte in DecodedBytes::new(raw, component) {
        let byte = byte?;
        if stays_as_it_is(byte, component) {
            out.push(byte);
        } else {
            let high = UPPER_DIGITS[usize::from(byte >> 4)];
            let low = UPPER_DIGITS[usize::from(byte & 15)];
            out.extend_from_slice(&[b'%', high, low]);
        }
    }
    Ok(())
}

fn stays_as_it_is(byte: u8, component: Component) -> bool {
    match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => true,
        b'/' => component == Component::Path,
        _ => false,
    }
}

struct DecodedBytes<'a> {
    rest: &'a [u8],
    component: Component,
}

impl<'a> DecodedBytes<'a> {
    fn new(raw: &'a [u8], component: Component) -> Self {
        Self {
            rest: raw,
            component,
        }
    }
}

impl Iterator for DecodedBytes<'_> {
    type Item = Result<u8, MalformedEscape>;

    fn next(&mut self) -> Option<Self::Item> {
        match *self.rest {
            [] => None,
            [b'%', high, low, ref rest @ ..] => {
                self.rest = rest;
                let value = digit_value(high).zip(digit_value(low));
                Some(
                    value
                        .map(|(high, low)| high << 4 | low)
                        .ok_or(MalformedEscape),
                )
            }
            [b'%', ..] => {
                self.rest = &[];
                Some(Err(MalformedEscape))
            }
            [byte, ref rest @ ..] => {
                self.rest = rest;
                let is_space = byte == b'+' && self.component == Component::Query;
                Some(Ok(if is_space { b' ' } else { byte }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decodes_as_s3_does() {
        assert_eq!(decode_path("/a+b%20c%2Fd").unwrap(), "/a+b c/d");
        assert_eq!(decode_query("a+b%2Bc%c3%A9").unwrap(), "a b+cé");
        assert!(matches!(
            decode_path("/plain+path").unwrap(),
            Cow::Borrowed(_)
        ));
        assert!(matches!(decode_query("plain").unwrap(), Cow::Borrowed(_)));
    }

    #[test]
    fn refuses_malformed_escapes_and_broken_utf8() {
        for bad in ["%", "%4", "a%4", "%zz", "%4g", "%+1", "%%41", "%ff", "%c3"] {
            let error = decode_path(bad).unwrap_err();
            assert_eq!(error.code, S3ErrorCode::InvalidURI, "{bad}");
            assert_eq!(
                decode_query(bad).unwrap_err().code,
                S3ErrorCode::InvalidURI,
                "{bad}"
            );
        }
    }

    #[test]
    fn encodes_as_aws_does() {
        assert_eq!(encode_path("/a b/~!'()*é"), "/a%20b/~%21%27%28%29%2A%C3%A9");
        assert_eq!(encode_component("a/b=c&d"), "a%2Fb%3Dc%26d");
        assert!(matches!(encode_path("/plain-._~/path"), Cow::Borrowed(_)));
    }

    #[test]
    fn splits_queries() {
        let parameters: Vec<_> = raw_parameters("&a&&b=&c=d=e&").collect();
        assert_eq!(
            parameters,
            [("a", None), ("b", Some("")), ("c", Some("d=e"))]
        );
        assert_eq!(raw_parameters("").count(), 0);
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_itself(text in any::<String>()) {
            let (path, component) = (encode_path(&text), encode_component(&text));
            let (from_path, from_query) = (decode_path(&path), decode_query(&component));
            prop_assert_eq!(from_path.unwrap(), text.as_str());
            prop_assert_eq!(from_query.unwrap(), text.as_str());
        }

        #[test]
        fn canonical_is_decoding_then_encoding(raw in "[a-z%0-9A-F+/ é~]{0,30}") {
            for component in [Component::Path, Component::Query] {
                let mut canonical = Vec::new();
                let outcome = append_canonical(&mut canonical, raw.as_bytes(), component);
                if let Ok(decoded) = decode(&raw, component) {
                    prop_assert_eq!(outcome, Ok(()));
                    let encoded = encode(&decoded, component).into_owned();
                    prop_assert_eq!(canonical, encoded.into_bytes());
                }
            }
        }
    }
}
