//! Bodies of small objects and parts, each in a row of its own in [`Space::Bodies`], with a CRC-32C
//! before the bytes so that a flipped bit is noticed whatever engine keeps the row.

use bytes::{BufMut, Bytes, BytesMut};
use oncilla_hash::crc32c;
use oncilla_meta::Space;

use super::codec::DecodeError;
use super::key::UniqueId;

/// The space that bodies live in.
pub const SPACE: Space = Space::Bodies;

const CHECKSUM_BYTES: usize = 4;

/// Key of a body.
pub fn body_key(id: UniqueId) -> Bytes {
    Bytes::copy_from_slice(&id.0)
}

/// The row's value.
pub fn encode(body: &[u8]) -> Bytes {
    let mut value = BytesMut::with_capacity(CHECKSUM_BYTES + body.len());
    value.put_u32(crc32c(body));
    value.put_slice(body);
    value.freeze()
}

/// The body in a row's value, verified.
pub fn decode(value: Bytes) -> Result<Bytes, DecodeError> {
    let Some((stored, body)) = value.split_first_chunk::<CHECKSUM_BYTES>() else {
        return Err(DecodeError {
            record: "body",
            detail: "too short",
        });
    };
    if u32::from_be_bytes(*stored) != crc32c(body) {
        return Err(DecodeError {
            record: "body",
            detail: "checksum does not match",
        });
    }
    Ok(value.slice(CHECKSUM_BYTES..))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_flipped_bit_is_noticed(body: Vec<u8>, position: prop::sample::Index, bit in 0u8..8) {
            let value = encode(&body);
            prop_assert_eq!(decode(value.clone()).unwrap(), body);
            let mut damaged = value.to_vec();
            damaged[position.index(value.len())] ^= 1 << bit;
            prop_assert!(decode(Bytes::from(damaged)).is_err());
        }
    }
}
