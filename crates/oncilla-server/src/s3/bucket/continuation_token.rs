//! Continuation tokens of ListObjectsV2 and ListBuckets: the exact place where the next page begins, in a form that
//! clients carry and do not look into.
//!
//! A token is `1`, then `k` (behind a key) or `g` (behind a group), then eight hexadecimal digits
//! of CRC-32C over all the rest, then the key or group in hexadecimal. It needs no escaping in a
//! URL. The checksum is no secret: whoever makes up a token only chooses where to begin, as
//! `start-after` allows anyway. It is there because a token that was cut or garbled on its way
//! would silently leave out or repeat a part of the listing.

use bytes::Bytes;
use oncilla_hash::crc32c;
use oncilla_hash::hex;
use oncilla_store::list::After;
use oncilla_wire::error::S3Error;
use oncilla_wire::names::MAX_KEY_BYTES;

/// The form described above. Another form gets another digit, so that tokens given out before an
/// update are recognised.
const VERSION: u8 = b'1';

const BEHIND_KEY: u8 = b'k';
const BEHIND_GROUP: u8 = b'g';

/// Version, kind and checksum.
const HEADER_CHARS: usize = 1 + 1 + 2 * 4;

/// The longest token: a group is never longer than a key.
const TOKEN_CHARS_MAX: usize = HEADER_CHARS + 2 * MAX_KEY_BYTES;

/// The token of a position; none for the beginning.
pub fn encode(position: &After) -> Option<String> {
    let (kind, place) = match position {
        After::Nothing => return None,
        After::Key(key) => (BEHIND_KEY, key),
        After::Group(prefix) => (BEHIND_GROUP, prefix),
    };
    let checksum = checksum(kind, place).to_be_bytes();
    let (checksum, place) = (hex::encode(&checksum), hex::encode(place));
    Some(format!(
        "{}{}{checksum}{place}",
        char::from(VERSION),
        char::from(kind)
    ))
}

/// The position of a token. The empty token is the beginning, for clients that always send the
/// parameter (ceph/s3-tests: test_bucket_listv2_continuationtoken_empty).
///
/// # Errors
/// `InvalidArgument` for everything that [`encode`] does not write.
pub fn decode(token: &str) -> Result<After, S3Error> {
    if token.is_empty() {
        return Ok(After::Nothing);
    }
    decode_position(token.as_bytes()).ok_or_else(|| incorrect(token))
}

/// The token of a page of buckets that ends with this one.
pub fn encode_bucket(name: &str) -> Option<String> {
    encode(&After::Key(Bytes::copy_from_slice(name.as_bytes())))
}

/// The bucket with which the page before ended; `None` at the beginning.
///
/// # Errors
/// `InvalidArgument` for everything that [`encode_bucket`] does not write.
pub fn decode_bucket(token: &str) -> Result<Option<String>, S3Error> {
    let name = match decode(token)? {
        After::Nothing => return Ok(None),
        After::Key(name) => String::from_utf8(name.into()).ok(),
        After::Group(_) => None,
    };
    name.map(Some).ok_or_else(|| incorrect(token))
}

fn incorrect(token: &str) -> S3Error {
    let message = "The continuation token provided is incorrect";
    S3Error::invalid_argument("continuation-token", token, message)
}

fn decode_position(token: &[u8]) -> Option<After> {
    if token.len() > TOKEN_CHARS_MAX {
        return None;
    }
    let (header, place) = token.split_at_checked(HEADER_CHARS)?;
    let (version, kind) = (header[0], header[1]);
    let expected = u32::from_be_bytes(hex::decode(&header[2..])?);
    let place = decode_hex(place)?;
    if version != VERSION || place.is_empty() || checksum(kind, &place) != expected {
        return None;
    }
    match kind {
        BEHIND_KEY => Some(After::Key(place)),
        BEHIND_GROUP => Some(After::Group(place)),
        _ => None,
    }
}

fn decode_hex(digits: &[u8]) -> Option<Bytes> {
    let pairs = digits.chunks(2).map(|pair| match pair {
        [high, low] => Some(hex::digit_value(*high)? << 4 | hex::digit_value(*low)?),
        _ => None,
    });
    pairs.collect::<Option<Vec<u8>>>().map(Bytes::from)
}

fn checksum(kind: u8, place: &[u8]) -> u32 {
    crc32c(&[&[VERSION, kind], place].concat())
}

#[cfg(test)]
mod tests {
    use oncilla_wire::error::S3ErrorCode;
    use proptest::prelude::*;

    use super::*;

    fn positions() -> impl Strategy<Value = After> {
        let place = proptest::collection::vec(any::<u8>(), 1..=MAX_KEY_BYTES).prop_map(Bytes::from);
        (any::<bool>(), place).prop_map(|(is_group, place)| match is_group {
            true => After::Group(place),
            false => After::Key(place),
        })
    }

    fn assert_refused(token: &str) {
        let error = decode(token).unwrap_err();
        assert_eq!(error.code, S3ErrorCode::InvalidArgument, "{token}");
        assert_eq!(
            error.message,
            "The continuation token provided is incorrect"
        );
    }

    #[test]
    fn the_beginning_has_no_token_and_the_empty_token_is_the_beginning() {
        assert_eq!(encode(&After::Nothing), None);
        assert_eq!(decode("").unwrap(), After::Nothing);
    }

    #[test]
    fn buckets_have_tokens_too() {
        let token = encode_bucket("photos").unwrap();
        assert_eq!(decode_bucket(&token).unwrap().as_deref(), Some("photos"));
        assert_eq!(decode_bucket("").unwrap(), None);
        let group = encode(&After::Group(Bytes::from_static(b"a/"))).unwrap();
        for garbage in ["photos", group.as_str()] {
            let error = decode_bucket(garbage).unwrap_err();
            assert_eq!(error.code, S3ErrorCode::InvalidArgument, "{garbage}");
        }
    }

    #[test]
    fn the_form_stays() {
        let token = encode(&After::Group(Bytes::from_static(b"a/"))).unwrap();
        let checksum = crc32c(b"1ga/");
        assert_eq!(token, format!("1g{checksum:08x}612f"));
    }

    #[test]
    fn garbage_is_refused() {
        let token = encode(&After::Key(Bytes::from_static(b"photos/otter.jpg"))).unwrap();
        for garbage in [
            "x",
            "photos/otter.jpg",
            "1k00000000",
            "1k",
            "1k\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}",
            &token[1..],
            &token[..token.len() - 1],
            &token[..token.len() - 2],
            &token.replacen('k', "g", 1),
            &token.replacen('1', "2", 1),
            &format!("{token}00"),
            &"1".repeat(TOKEN_CHARS_MAX + 2),
        ] {
            assert_refused(garbage);
        }
    }

    proptest! {
        #[test]
        fn a_token_brings_back_its_position(position in positions()) {
            let token = encode(&position).unwrap();
            prop_assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric()));
            prop_assert_eq!(decode(&token).unwrap(), position);
        }

        #[test]
        fn a_token_that_lost_or_changed_a_character_is_refused(
            position in positions(),
            at: proptest::sample::Index,
            other in "[0-9a-zA-Z/_-]",
        ) {
            let token = encode(&position).unwrap();
            let at = at.index(token.len());
            let mut cut = token.clone();
            cut.remove(at);
            assert_refused(&cut);
            let mut changed = token.clone();
            changed.replace_range(at..=at, &other);
            // Hexadecimal digits mean the same in either case.
            if !changed.eq_ignore_ascii_case(&token) {
                assert_refused(&changed);
            }
        }

        #[test]
        fn any_text_is_read_or_refused(token: String, rest in "[0-9a-f]{0,40}") {
            let _ = decode(&token);
            let _ = decode(&format!("1k{rest}"));
        }
    }
}
