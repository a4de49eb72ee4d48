//! What may have become garbage (`g`), in order of the time at which it lost a reference. Written
//! in the same mutation that drops the reference; the collector looks whether others remain.

use bytes::{Bytes, BytesMut};
use oncilla_blob::{Extent, VolumeId};

use super::codec::{DecodeError, put_varint, take_varint};
use super::key::{BucketId, UniqueId, join, prefix, range_of};

const RECORD: &str = "garbage";

/// Something that lost a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Garbage {
    /// An extent, which perhaps nobody uses any more.
    Extent(Extent),
    /// The parts of an upload: aborted, or no object uses them any more.
    Upload(UniqueId),
    /// Parts of a completed upload that its object does not have.
    UnusedParts(UniqueId),
    /// The uploads that were open when their bucket was deleted.
    BucketUploads(BucketId),
}

mod kind {
    pub const EXTENT: u8 = 1;
    pub const UPLOAD: u8 = 2;
    pub const BUCKET_UPLOADS: u8 = 3;
    pub const UNUSED_PARTS: u8 = 4;
}

impl Garbage {
    /// The row's value.
    pub fn encode(&self) -> Bytes {
        let mut value = BytesMut::with_capacity(32);
        match self {
            Self::Extent(extent) => {
                value.extend_from_slice(&[kind::EXTENT]);
                put_varint(&mut value, extent.volume.0);
                put_varint(&mut value, extent.offset);
                put_varint(&mut value, extent.length);
            }
            Self::Upload(upload) => {
                value.extend_from_slice(&[kind::UPLOAD]);
                value.extend_from_slice(&upload.0);
            }
            Self::UnusedParts(upload) => {
                value.extend_from_slice(&[kind::UNUSED_PARTS]);
                value.extend_from_slice(&upload.0);
            }
            Self::BucketUploads(bucket) => {
                value.extend_from_slice(&[kind::BUCKET_UPLOADS]);
                value.extend_from_slice(&bucket.0.to_be_bytes());
            }
        }
        value.freeze()
    }

    /// Reads a row's value.
    pub fn decode(mut value: Bytes) -> Result<Self, DecodeError> {
        let error = DecodeError {
            record: RECORD,
            detail: "bad value",
        };
        if value.is_empty() {
            return Err(error);
        }
        let garbage = match value.split_to(1)[0] {
            kind::EXTENT => decode_extent(&value).map(Self::Extent),
            kind::UPLOAD => value[..]
                .try_into()
                .ok()
                .map(|id| Self::Upload(UniqueId(id))),
            kind::UNUSED_PARTS => {
                let id = value[..].try_into().ok();
                id.map(|id| Self::UnusedParts(UniqueId(id)))
            }
            kind::BUCKET_UPLOADS => {
                let id = value[..].try_into().ok().map(u64::from_be_bytes);
                id.map(|id| Self::BucketUploads(BucketId(id)))
            }
            _ => None,
        };
        garbage.ok_or(error)
    }
}

fn decode_extent(mut value: &[u8]) -> Option<Extent> {
    Some(Extent {
        volume: VolumeId(take_varint(&mut value)?),
        offset: take_varint(&mut value)?,
        length: take_varint(&mut value)?,
    })
}

/// Key of a garbage row: when it was noted, and something to tell it from others.
pub fn garbage_key(id: UniqueId) -> Bytes {
    join(prefix::GARBAGE, &[&id.0])
}

/// The range of all garbage rows.
pub fn all_garbage() -> (Bytes, Bytes) {
    range_of(join(prefix::GARBAGE, &[]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trips(a: u64, b: u64, c: u64, id: [u8; 16]) {
            for garbage in [
                Garbage::Extent(Extent { volume: VolumeId(a), offset: b, length: c }),
                Garbage::Upload(UniqueId(id)),
                Garbage::UnusedParts(UniqueId(id)),
                Garbage::BucketUploads(BucketId(a)),
            ] {
                prop_assert_eq!(Garbage::decode(garbage.encode()), Ok(garbage));
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(value: Vec<u8>) {
            let _ = Garbage::decode(Bytes::from(value));
        }
    }
}
