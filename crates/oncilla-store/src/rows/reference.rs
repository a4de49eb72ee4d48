//! Who uses which bytes: references to extents (`e`) and to the parts of an upload (`r`).
//! Bytes without a reference are garbage. Also the mark of a volume searched for orphans (`s`).

use bytes::{Bytes, BytesMut};
use oncilla_blob::{Extent, VolumeId};

use super::codec::{DecodeError, put_varint, take_varint};
use super::key::{UniqueId, join, prefix, range_of};

const RECORD: &str = "reference";

/// Key of the reference that `referrer` (an object or an upload) holds on an extent.
pub fn extent_reference_key(extent: &Extent, referrer: UniqueId) -> Bytes {
    let volume = extent.volume.0.to_be_bytes();
    join(
        prefix::EXTENT_REFERENCE,
        &[&volume, &extent.offset.to_be_bytes(), &referrer.0],
    )
}

/// Value of an extent's reference: the extent's length.
pub fn extent_reference_value(extent: &Extent) -> Bytes {
    let mut value = BytesMut::with_capacity(10);
    put_varint(&mut value, extent.length);
    value.freeze()
}

/// Reads an extent reference.
pub fn decode_extent_reference(
    key: &Bytes,
    value: &Bytes,
) -> Result<(Extent, UniqueId), DecodeError> {
    let error = DecodeError {
        record: RECORD,
        detail: "bad extent reference",
    };
    let parts = (|| {
        let volume = u64::from_be_bytes(key.get(1..9)?.try_into().ok()?);
        let offset = u64::from_be_bytes(key.get(9..17)?.try_into().ok()?);
        let referrer = UniqueId(key.get(17..)?.try_into().ok()?);
        let length = take_varint(&mut &value[..])?;
        Some((
            Extent {
                volume: VolumeId(volume),
                offset,
                length,
            },
            referrer,
        ))
    })();
    parts.ok_or(error)
}

/// The range of all references to an extent.
pub fn references_to_extent(extent: &Extent) -> (Bytes, Bytes) {
    let volume = extent.volume.0.to_be_bytes();
    range_of(join(
        prefix::EXTENT_REFERENCE,
        &[&volume, &extent.offset.to_be_bytes()],
    ))
}

/// The range of all references into a volume, in the order of their place.
pub fn references_into_volume(volume: VolumeId) -> (Bytes, Bytes) {
    range_of(join(prefix::EXTENT_REFERENCE, &[&volume.0.to_be_bytes()]))
}

/// The range of all extent references.
pub fn all_extent_references() -> (Bytes, Bytes) {
    range_of(join(prefix::EXTENT_REFERENCE, &[]))
}

/// Key of the reference that an object holds on the parts of an upload.
pub fn upload_reference_key(upload: UniqueId, object: UniqueId) -> Bytes {
    join(prefix::UPLOAD_REFERENCE, &[&upload.0, &object.0])
}

/// The range of all references to an upload's parts.
pub fn references_to_upload(upload: UniqueId) -> (Bytes, Bytes) {
    range_of(join(prefix::UPLOAD_REFERENCE, &[&upload.0]))
}

/// The range of all references to uploads.
pub fn all_upload_references() -> (Bytes, Bytes) {
    range_of(join(prefix::UPLOAD_REFERENCE, &[]))
}

/// Reads the key of an upload reference: the upload and the object.
pub fn decode_upload_reference(key: &Bytes) -> Result<(UniqueId, UniqueId), DecodeError> {
    let parts = key.get(1..17).zip(key.get(17..));
    let parts = parts.and_then(|(upload, object)| {
        Some((
            UniqueId(upload.try_into().ok()?),
            UniqueId(object.try_into().ok()?),
        ))
    });
    parts.ok_or(DecodeError {
        record: RECORD,
        detail: "bad upload reference",
    })
}

/// Key of the mark that a volume was searched for orphans.
pub fn volume_swept_key(volume: VolumeId) -> Bytes {
    join(prefix::VOLUME_SWEPT, &[&volume.0.to_be_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn extent_references_round_trip(volume: u64, offset: u64, length: u64, referrer: [u8; 16]) {
            let extent = Extent { volume: VolumeId(volume), offset, length };
            let key = extent_reference_key(&extent, UniqueId(referrer));
            let value = extent_reference_value(&extent);
            prop_assert_eq!(decode_extent_reference(&key, &value), Ok((extent, UniqueId(referrer))));
            let (start, end) = references_to_extent(&extent);
            prop_assert!(start <= key && key < end);
        }

        #[test]
        fn upload_references_round_trip(upload: [u8; 16], object: [u8; 16]) {
            let key = upload_reference_key(UniqueId(upload), UniqueId(object));
            prop_assert_eq!(decode_upload_reference(&key), Ok((UniqueId(upload), UniqueId(object))));
        }
    }
}
