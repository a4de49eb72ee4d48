//! Part records (`p`): a part of an upload, both while the upload is open and after it completed.

use bytes::Bytes;
use oncilla_keys::Salt;

use super::codec::{DecodeError, FieldReader, FieldWriter, UnknownFields};
use super::key::{UniqueId, join, prefix, range_of};
use super::object::{StoredChecksum, decode_checksum, encode_checksum};
use super::placement::Placement;

const RECORD: &str = "part";

mod tag {
    pub const SIZE: u64 = 1;
    pub const MD5: u64 = 2;
    pub const LAST_MODIFIED_MS: u64 = 3;
    pub const CHECKSUM: u64 = 4;
    pub const PLACEMENT: u64 = 5;
    pub const SALT: u64 = 6;
}

/// What a part is, apart from its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartRecord {
    /// Length in bytes.
    pub size: u64,
    /// Its entity tag: the MD5 of the part, or what stands for it if it is encrypted by a scheme that
    /// has none (see [`Scheme::etag_is_md5`](super::encryption::Scheme::etag_is_md5)).
    pub md5: [u8; 16],
    /// Unix milliseconds.
    pub last_modified_ms: u64,
    /// Checksum of the part by the upload's algorithm.
    pub checksum: Option<StoredChecksum>,
    /// Where the bytes are: empty, inline, or extents.
    pub placement: Placement,
    /// The salt of the part's cipher, if it is encrypted: by the data key of its upload.
    pub salt: Option<Salt>,
    /// Fields of newer versions.
    pub unknown: UnknownFields,
}

impl PartRecord {
    /// The row's value.
    pub fn encode(&self) -> Bytes {
        let mut writer = FieldWriter::with_capacity(96);
        writer.number(tag::SIZE, self.size);
        writer.bytes(tag::MD5, &self.md5);
        writer.number(tag::LAST_MODIFIED_MS, self.last_modified_ms);
        if let Some(checksum) = &self.checksum {
            writer.bytes(tag::CHECKSUM, &encode_checksum(checksum));
        }
        writer.bytes(tag::PLACEMENT, &self.placement.encode());
        if let Some(salt) = self.salt {
            writer.bytes(tag::SALT, &salt.0);
        }
        writer.finish(&self.unknown)
    }

    /// Reads a row's value.
    pub fn decode(value: Bytes) -> Result<Self, DecodeError> {
        let mut reader = FieldReader::new(RECORD, &value)?;
        let mut md5 = None;
        let mut record = PartRecord {
            size: 0,
            md5: [0; 16],
            last_modified_ms: 0,
            checksum: None,
            placement: Placement::Empty,
            salt: None,
            unknown: UnknownFields::default(),
        };
        while let Some(field) = reader.next_field()? {
            match field.tag {
                tag::SIZE => record.size = field.number()?,
                tag::MD5 => md5 = Some(field.array()?),
                tag::LAST_MODIFIED_MS => record.last_modified_ms = field.number()?,
                tag::CHECKSUM => record.checksum = Some(decode_checksum(field.value, RECORD)?),
                tag::PLACEMENT => record.placement = Placement::decode(field.value, RECORD)?,
                tag::SALT => record.salt = Some(Salt(field.array()?)),
                _ => reader.keep(field),
            }
        }
        record.md5 = md5.ok_or(reader.error("no entity tag"))?;
        record.unknown = reader.into_unknown();
        Ok(record)
    }
}

/// Key of a part.
pub fn part_key(upload: UniqueId, number: u16) -> Bytes {
    join(prefix::UPLOAD_PART, &[&upload.0, &number.to_be_bytes()])
}

/// The range of the parts of an upload whose number is greater than `after`.
pub fn parts_after(upload: UniqueId, after: u16) -> (Bytes, Bytes) {
    let (start, end) = range_of(join(prefix::UPLOAD_PART, &[&upload.0]));
    match after {
        0 => (start, end),
        u16::MAX => (end.clone(), end),
        _ => (part_key(upload, after + 1), end),
    }
}

/// The range of the parts of all uploads.
pub fn all_parts() -> (Bytes, Bytes) {
    range_of(join(prefix::UPLOAD_PART, &[]))
}

/// The upload and the part number in a row's key.
pub fn split_part_key(key: &Bytes) -> Result<(UniqueId, u16), DecodeError> {
    let upload = key.get(1..17).and_then(|id| id.try_into().ok());
    let number = key.get(17..).and_then(|number| number.try_into().ok());
    match (upload, number) {
        (Some(upload), Some(number)) => Ok((UniqueId(upload), u16::from_be_bytes(number))),
        _ => Err(DecodeError {
            record: RECORD,
            detail: "bad key",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::object::tests::checksums;
    use super::super::placement::tests::placements;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trips(size: u64, md5: [u8; 16], last_modified_ms: u64,
                       checksum in proptest::option::of(checksums()), placement in placements(),
                       salt in proptest::option::of(any::<[u8; 16]>().prop_map(Salt)),
                       upload: [u8; 16], number: u16) {
            let unknown = UnknownFields::default();
            let record =
                PartRecord { size, md5, last_modified_ms, checksum, placement, salt, unknown };
            prop_assert_eq!(PartRecord::decode(record.encode()), Ok(record));
            let key = part_key(UniqueId(upload), number);
            prop_assert_eq!(split_part_key(&key), Ok((UniqueId(upload), number)));
        }

        #[test]
        fn any_bytes_are_read_or_refused(value: Vec<u8>) {
            let _ = PartRecord::decode(Bytes::from(value));
        }
    }
}
