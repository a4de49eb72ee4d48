//! Building blocks of row keys: identifiers, ranges, and object keys that sort before what follows.

use bytes::{BufMut, Bytes, BytesMut};
use oncilla_hash::hex;

/// First byte of every key, one per record type. See the table in [`super`].
pub mod prefix {
    #![allow(missing_docs)]
    pub const BUCKET: u8 = b'b';
    pub const BUCKET_NAME: u8 = b'B';
    pub const BUCKET_BY_OWNER: u8 = b'w';
    pub const OBJECT: u8 = b'o';
    pub const HISTORY: u8 = b'h';
    pub const NULL_VERSION: u8 = b'v';
    pub const USAGE: u8 = b'n';
    pub const UPLOAD: u8 = b'u';
    pub const UPLOAD_PART: u8 = b'p';
    pub const UPLOAD_PART_WRITES: u8 = b'c';
    pub const LAYOUT: u8 = b'l';
    pub const UPLOAD_REFERENCE: u8 = b'r';
    pub const EXTENT_REFERENCE: u8 = b'e';
    pub const GARBAGE: u8 = b'g';
    pub const VOLUME_SWEPT: u8 = b's';
    pub const DOCUMENT: u8 = b'd';
    pub const EVENT: u8 = b'q';
    pub const LIFECYCLE: u8 = b'f';
    pub const CLOCK: u8 = b't';
    pub const RENAME_TOKEN: u8 = b'y';
}

/// A bucket's identity, which outlives neither its deletion nor a re-creation under the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BucketId(pub u64);

/// Sixteen bytes that are never given twice: hybrid-logical time (8) and random (8).
/// Identifies an object version, an upload, or a small body.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UniqueId(pub [u8; 16]);

impl UniqueId {
    /// The identifier as 32 lower-case hex digits: an upload id on the wire.
    pub fn to_hex(self) -> String {
        hex::encode(&self.0)
    }

    /// Reads what [`UniqueId::to_hex`] wrote.
    pub fn from_hex(text: &str) -> Option<Self> {
        hex::decode(text.as_bytes()).map(Self)
    }
}

impl std::fmt::Debug for UniqueId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.to_hex())
    }
}

/// A key of a prefix byte and some parts.
pub fn join(prefix: u8, parts: &[&[u8]]) -> Bytes {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut key = BytesMut::with_capacity(1 + length);
    key.put_u8(prefix);
    for part in parts {
        key.put_slice(part);
    }
    key.freeze()
}

/// The first key after every key that starts with `prefix`; `None` if there is no such key.
pub fn successor(prefix: &[u8]) -> Option<Bytes> {
    let last = prefix.iter().rposition(|&byte| byte != 0xff)?;
    let mut next = BytesMut::from(&prefix[..=last]);
    next[last] += 1;
    Some(next.freeze())
}

/// The range of all keys that start with `prefix`. The first byte of a row's key is never 0xff,
/// so there always is a successor.
pub fn range_of(prefix: Bytes) -> (Bytes, Bytes) {
    let end = successor(&prefix).unwrap_or_else(|| Bytes::from_static(&[0xff]));
    (prefix, end)
}

/// Escape for a zero byte inside an ordered key, and the terminator that sorts below it.
const ESCAPED_ZERO: [u8; 2] = [0x00, 0xff];
const TERMINATOR: [u8; 2] = [0x00, 0x01];

/// Appends an object key so that rows sort by key first and by what follows second, although
/// object keys may hold any byte and be prefixes of each other.
pub fn put_ordered(buffer: &mut BytesMut, object_key: &[u8]) {
    for &byte in object_key {
        if byte == 0 {
            buffer.put_slice(&ESCAPED_ZERO);
        } else {
            buffer.put_u8(byte);
        }
    }
    buffer.put_slice(&TERMINATOR);
}

/// Takes an ordered key off the front; `None` if it is not terminated.
pub fn take_ordered(bytes: &mut Bytes) -> Option<Bytes> {
    let mut key = BytesMut::with_capacity(bytes.len());
    let mut index = 0;
    while index + 1 < bytes.len() {
        let pair = [bytes[index], bytes[index + 1]];
        if pair == TERMINATOR {
            *bytes = bytes.slice(index + 2..);
            return Some(key.freeze());
        }
        key.put_u8(pair[0]);
        index += if pair == ESCAPED_ZERO { 2 } else { 1 };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ordered(key: &[u8], suffix: u8) -> Bytes {
        let mut buffer = BytesMut::new();
        put_ordered(&mut buffer, key);
        buffer.put_u8(suffix);
        buffer.freeze()
    }

    proptest! {
        #[test]
        fn ordered_keys_round_trip_and_keep_their_order(
            a in proptest::collection::vec(prop_oneof![Just(0u8), Just(1), Just(0xff), any::<u8>()], 0..6),
            b in proptest::collection::vec(prop_oneof![Just(0u8), Just(1), Just(0xff), any::<u8>()], 0..6),
            x: u8, y: u8,
        ) {
            let mut bytes = ordered(&a, x);
            prop_assert_eq!(&take_ordered(&mut bytes).unwrap()[..], &a[..]);
            prop_assert_eq!(&bytes[..], &[x][..]);
            prop_assert_eq!((&a, x).cmp(&(&b, y)), ordered(&a, x).cmp(&ordered(&b, y)));
        }

        #[test]
        fn successor_is_the_tightest_bound(prefix: Vec<u8>, key: Vec<u8>) {
            let inside = key.starts_with(&prefix);
            let in_range = key >= prefix && successor(&prefix).is_none_or(|end| key < end);
            prop_assert_eq!(inside, in_range);
        }

        #[test]
        fn hex_round_trips(id: [u8; 16]) {
            prop_assert_eq!(UniqueId::from_hex(&UniqueId(id).to_hex()), Some(UniqueId(id)));
        }
    }
}
