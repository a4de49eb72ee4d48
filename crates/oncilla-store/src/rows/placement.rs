//! Where the bytes of an object or a part are: how a [`Placement`] is written into records.

use bytes::{Bytes, BytesMut};
use oncilla_blob::{Extent, VolumeId};

use super::codec::{DecodeError, put_varint, take_varint};
use super::key::UniqueId;

/// Where bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// There are none.
    Empty,
    /// In a row of [`oncilla_meta::Space::Bodies`] of their own, never shared.
    Inline(UniqueId),
    /// In volumes, one extent after the other. Extents may be shared between objects.
    Extents(Vec<Extent>),
    /// In the parts of a completed upload, which may be shared between objects.
    Upload(UniqueId),
}

mod kind {
    pub const EMPTY: u8 = 0;
    pub const INLINE: u8 = 1;
    pub const EXTENTS: u8 = 2;
    pub const UPLOAD: u8 = 3;
}

impl Placement {
    /// The field's bytes.
    pub fn encode(&self) -> Bytes {
        let mut buffer = BytesMut::with_capacity(32);
        match self {
            Self::Empty => buffer.extend_from_slice(&[kind::EMPTY]),
            Self::Inline(id) => {
                buffer.extend_from_slice(&[kind::INLINE]);
                buffer.extend_from_slice(&id.0);
            }
            Self::Extents(extents) => {
                buffer.extend_from_slice(&[kind::EXTENTS]);
                for extent in extents {
                    put_varint(&mut buffer, extent.volume.0);
                    put_varint(&mut buffer, extent.offset);
                    put_varint(&mut buffer, extent.length);
                }
            }
            Self::Upload(id) => {
                buffer.extend_from_slice(&[kind::UPLOAD]);
                buffer.extend_from_slice(&id.0);
            }
        }
        buffer.freeze()
    }

    /// Reads a field's bytes.
    pub fn decode(field: &[u8], record: &'static str) -> Result<Self, DecodeError> {
        let error = DecodeError {
            record,
            detail: "bad placement",
        };
        let Some((&kind, mut field)) = field.split_first() else {
            return Err(error);
        };
        match kind {
            kind::EMPTY if field.is_empty() => Ok(Self::Empty),
            kind::INLINE => unique_id(field).map(Self::Inline).ok_or(error),
            kind::UPLOAD => unique_id(field).map(Self::Upload).ok_or(error),
            kind::EXTENTS => {
                let mut extents = Vec::with_capacity(1);
                while !field.is_empty() {
                    extents.push(take_extent(&mut field).ok_or(error.clone())?);
                }
                Ok(Self::Extents(extents))
            }
            _ => Err(error),
        }
    }
}

fn unique_id(field: &[u8]) -> Option<UniqueId> {
    field.try_into().ok().map(UniqueId)
}

fn take_extent(field: &mut &[u8]) -> Option<Extent> {
    Some(Extent {
        volume: VolumeId(take_varint(field)?),
        offset: take_varint(field)?,
        length: take_varint(field)?,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Any placement.
    pub fn placements() -> impl Strategy<Value = Placement> {
        let extent =
            (any::<u64>(), any::<u64>(), any::<u64>()).prop_map(|(volume, offset, length)| {
                Extent {
                    volume: VolumeId(volume),
                    offset,
                    length,
                }
            });
        prop_oneof![
            Just(Placement::Empty),
            any::<[u8; 16]>().prop_map(|id| Placement::Inline(UniqueId(id))),
            any::<[u8; 16]>().prop_map(|id| Placement::Upload(UniqueId(id))),
            proptest::collection::vec(extent, 1..5).prop_map(Placement::Extents),
        ]
    }

    proptest! {
        #[test]
        fn round_trips(placement in placements()) {
            prop_assert_eq!(Placement::decode(&placement.encode(), "test"), Ok(placement));
        }

        #[test]
        fn any_bytes_are_read_or_refused(field: Vec<u8>) {
            let _ = Placement::decode(&field, "test");
        }
    }
}
