//! Object records: the present of a key (`o`), and objects in its history (`h`).

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use oncilla_hash::{Checksum, ChecksumAlgorithm};

use super::acl::{decode_acl, decode_grants, write_acl};
use super::bucket::text_pair;
use super::codec::{
    DecodeError, Field, FieldReader, FieldWriter, SharedText, UnknownFields, put_varint,
    take_varint,
};
use super::encryption::Encryption;
use super::key::{BucketId, UniqueId, join, prefix, range_of};
use super::lock::{decode_legal_hold, decode_retention, encode_retention, legal_hold_number};
use super::placement::Placement;
use super::version_id::VersionId;
use crate::etag::ETag;
use oncilla_wire::object_lock::{LegalHold, Retention};
use oncilla_wire::xml::acl::Acl;

const RECORD: &str = "object";

/// The fields of objects and of delete markers.
pub(super) mod tag {
    pub const ID: u64 = 1;
    pub const SIZE: u64 = 2;
    pub const ETAG: u64 = 3;
    pub const LAST_MODIFIED_MS: u64 = 4;
    pub const TIME: u64 = 5;
    pub const STORAGE_CLASS: u64 = 6;
    pub const OWNER: u64 = 7;
    pub const CHECKSUM: u64 = 8;
    pub const PLACEMENT: u64 = 9;
    pub const ACL: u64 = 10;
    pub const HEADER: u64 = 11;
    pub const METADATA: u64 = 12;
    pub const TAG: u64 = 13;
    pub const VERSIONED: u64 = 14;
    /// The first field of every delete marker (`history.rs`), and of no object.
    pub const DELETE_MARKER: u64 = 15;
    pub const ACL_GRANTS: u64 = 16;
    pub const RETENTION: u64 = 17;
    pub const LEGAL_HOLD: u64 = 18;
    /// How the body is encrypted.
    pub const ENCRYPTION: u64 = 19;
    pub const RESTORATION: u64 = 20;
    // Kept free for what DESIGN names: region, origin state.
}

/// A checksum of an object and how it came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredChecksum {
    /// The value.
    pub checksum: Checksum,
    /// Over the parts' checksums (`COMPOSITE`) instead of over the bytes (`FULL_OBJECT`).
    pub composite: bool,
}

impl StoredChecksum {
    /// That of the bytes.
    pub fn full_object(checksum: Checksum) -> Self {
        Self {
            checksum,
            composite: false,
        }
    }
}

/// What an object is, apart from its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectRecord {
    /// Identity of this version of the object.
    pub id: UniqueId,
    /// Length of the body in bytes.
    pub size: u64,
    /// Entity tag.
    pub etag: ETag,
    /// Time of the write by the wall clock, in Unix milliseconds: what `Last-Modified` says.
    pub last_modified_ms: u64,
    /// Hybrid-logical time of the write: what orders writes.
    pub time: u64,
    /// Storage class; empty means `STANDARD`.
    pub storage_class: String,
    /// Canonical id of the account that owns the object.
    pub owner: String,
    /// Checksum of the body.
    pub checksum: Option<StoredChecksum>,
    /// Where the body is.
    pub placement: Placement,
    /// Who may read it besides its owner.
    pub acl: Acl,
    /// Standard headers stored with it (name in lower case, value as sent).
    pub headers: Vec<(Bytes, Bytes)>,
    /// User metadata (name in lower case without `x-amz-meta-`, value as sent).
    pub metadata: Vec<(Bytes, Bytes)>,
    /// Object tags in the order they were set.
    pub tags: Vec<(String, String)>,
    /// Whether it was written while versioning was enabled, and so has a version id of its own;
    /// otherwise it is the null version of its key.
    pub versioned: bool,
    /// Until when it may not go away.
    pub retention: Option<Retention>,
    /// Whether it may not go away until further notice; `None` if nobody ever said.
    pub legal_hold: Option<LegalHold>,
    /// Since when, and until when, an archived object can be read.
    pub restoration: Option<Restoration>,
    /// How the body is encrypted; `None` for one that is kept as it is.
    pub encryption: Option<Box<Encryption>>,
    /// Fields of newer versions.
    pub unknown: UnknownFields,
}

/// Since when, and until when, an archived object can be read, in Unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restoration {
    /// Before, the object is being restored.
    pub ready_ms: u64,
    /// Afterwards it is archived as before.
    pub expires_ms: u64,
}

/// The storage class of objects that name none.
pub const STANDARD: &str = "STANDARD";

/// The S3 name of a storage class as records keep it: empty for `STANDARD`.
pub fn storage_class_name(kept: &str) -> &str {
    if kept.is_empty() { STANDARD } else { kept }
}

impl ObjectRecord {
    /// The storage class by its S3 name.
    pub fn storage_class(&self) -> &str {
        storage_class_name(&self.storage_class)
    }

    /// Which version of its key it is.
    pub fn version_id(&self) -> VersionId {
        VersionId::of(self.versioned, self.id, self.time)
    }

    /// The row's value.
    pub fn encode(&self) -> Bytes {
        let mut writer = FieldWriter::with_capacity(320);
        writer.bytes(tag::ID, &self.id.0);
        writer.number(tag::SIZE, self.size);
        writer.bytes(tag::ETAG, &self.etag.encode());
        writer.number(tag::LAST_MODIFIED_MS, self.last_modified_ms);
        writer.number(tag::TIME, self.time);
        writer.text(tag::STORAGE_CLASS, &self.storage_class);
        writer.text(tag::OWNER, &self.owner);
        if let Some(checksum) = &self.checksum {
            writer.bytes(tag::CHECKSUM, &encode_checksum(checksum));
        }
        writer.bytes(tag::PLACEMENT, &self.placement.encode());
        write_acl(&mut writer, tag::ACL, tag::ACL_GRANTS, &self.acl);
        for (name, value) in &self.headers {
            writer.pair(tag::HEADER, name, value);
        }
        for (name, value) in &self.metadata {
            writer.pair(tag::METADATA, name, value);
        }
        for (key, value) in &self.tags {
            writer.pair(tag::TAG, key.as_bytes(), value.as_bytes());
        }
        writer.number(tag::VERSIONED, u64::from(self.versioned));
        if let Some(retention) = &self.retention {
            writer.bytes(tag::RETENTION, &encode_retention(retention));
        }
        writer.number(tag::LEGAL_HOLD, legal_hold_number(self.legal_hold));
        if let Some(encryption) = &self.encryption {
            writer.bytes(tag::ENCRYPTION, &encryption.encode());
        }
        if let Some(restoration) = self.restoration {
            writer.bytes(tag::RESTORATION, &encode_restoration(restoration));
        }
        writer.finish(&self.unknown)
    }

    /// Reads a row's value.
    pub fn decode(value: Bytes) -> Result<Self, DecodeError> {
        let mut reader = FieldReader::new(RECORD, &value)?;
        let mut id = None;
        let mut etag = None;
        let mut record = ObjectRecord {
            id: UniqueId([0; 16]),
            size: 0,
            etag: ETag::of_md5([0; 16]),
            last_modified_ms: 0,
            time: 0,
            storage_class: String::new(),
            owner: String::new(),
            checksum: None,
            placement: Placement::Empty,
            acl: Acl::default(),
            headers: Vec::new(),
            metadata: Vec::new(),
            tags: Vec::new(),
            versioned: false,
            retention: None,
            legal_hold: None,
            restoration: None,
            encryption: None,
            unknown: UnknownFields::default(),
        };
        while let Some(field) = reader.next_field()? {
            match field.tag {
                tag::ID => id = Some(UniqueId(field.array()?)),
                tag::SIZE => record.size = field.number()?,
                tag::ETAG => etag = Some(decode_etag(&field)?),
                tag::LAST_MODIFIED_MS => record.last_modified_ms = field.number()?,
                tag::TIME => record.time = field.number()?,
                tag::STORAGE_CLASS => record.storage_class = field.text()?,
                tag::OWNER => record.owner = field.text()?,
                tag::CHECKSUM => record.checksum = Some(decode_checksum(field.value, RECORD)?),
                tag::PLACEMENT => record.placement = Placement::decode(field.value, RECORD)?,
                tag::ACL => record.acl = decode_acl(field)?.into(),
                tag::ACL_GRANTS => record.acl = decode_grants(&field)?,
                tag::HEADER => record.headers.push(field.pair()?),
                tag::METADATA => record.metadata.push(field.pair()?),
                tag::TAG => record.tags.push(text_pair(field.pair()?, RECORD)?),
                tag::VERSIONED => record.versioned = field.number()? != 0,
                tag::RETENTION => record.retention = Some(decode_retention(&field)?),
                tag::LEGAL_HOLD => record.legal_hold = decode_legal_hold(field)?,
                tag::RESTORATION => record.restoration = Some(decode_restoration(&field)?),
                tag::ENCRYPTION => {
                    record.encryption = Some(Box::new(Encryption::decode(field.value)?));
                }
                _ => reader.keep(field),
            }
        }
        record.id = id.ok_or(reader.error("no id"))?;
        record.etag = etag.ok_or(reader.error("no entity tag"))?;
        record.unknown = reader.into_unknown();
        Ok(record)
    }
}

/// What a listing shows of an object: read from the record without the rest of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectSummary {
    /// Length in bytes.
    pub size: u64,
    /// Entity tag.
    pub etag: ETag,
    /// Unix milliseconds.
    pub last_modified_ms: u64,
    /// Storage class; empty means `STANDARD`.
    pub storage_class: String,
    /// Canonical id of the owner.
    pub owner: Arc<str>,
    /// Which checksum the object has, and whether it is composite.
    pub checksum: Option<(ChecksumAlgorithm, bool)>,
    /// Since when, and until when, an archived object can be read.
    pub restoration: Option<Restoration>,
}

impl ObjectSummary {
    /// The storage class by its S3 name.
    pub fn storage_class(&self) -> &str {
        storage_class_name(&self.storage_class)
    }

    /// Reads the summary out of a record. `owners` is the same for all the records of a listing.
    pub fn decode(value: Bytes, owners: &mut SharedText) -> Result<Self, DecodeError> {
        let mut reader = FieldReader::new(RECORD, &value)?;
        let mut etag = None;
        let mut summary = ObjectSummary {
            size: 0,
            etag: ETag::of_md5([0; 16]),
            last_modified_ms: 0,
            storage_class: String::new(),
            owner: Arc::default(),
            checksum: None,
            restoration: None,
        };
        while let Some(field) = reader.next_field()? {
            match field.tag {
                tag::SIZE => summary.size = field.number()?,
                tag::ETAG => etag = Some(decode_etag(&field)?),
                tag::LAST_MODIFIED_MS => summary.last_modified_ms = field.number()?,
                tag::STORAGE_CLASS => summary.storage_class = field.text()?,
                tag::OWNER => summary.owner = owners.of(&field)?,
                tag::CHECKSUM => {
                    let stored = decode_checksum(field.value, RECORD)?;
                    summary.checksum = Some((stored.checksum.algorithm(), stored.composite));
                }
                tag::RESTORATION => summary.restoration = Some(decode_restoration(&field)?),
                _ => {}
            }
        }
        summary.etag = etag.ok_or(reader.error("no entity tag"))?;
        Ok(summary)
    }
}

fn encode_restoration(restoration: Restoration) -> BytesMut {
    let mut field = BytesMut::with_capacity(16);
    put_varint(&mut field, restoration.ready_ms);
    put_varint(&mut field, restoration.expires_ms);
    field
}

fn decode_restoration(field: &Field) -> Result<Restoration, DecodeError> {
    let mut rest = field.value;
    let times = (take_varint(&mut rest), take_varint(&mut rest));
    match times {
        (Some(ready_ms), Some(expires_ms)) if rest.is_empty() => Ok(Restoration {
            ready_ms,
            expires_ms,
        }),
        _ => Err(field.error("bad restoration")),
    }
}

fn decode_etag(field: &Field) -> Result<ETag, DecodeError> {
    ETag::decode(field.value).ok_or(field.error("bad entity tag"))
}

/// The number of an algorithm in records; never changes its meaning.
pub fn algorithm_number(algorithm: ChecksumAlgorithm) -> u8 {
    match algorithm {
        ChecksumAlgorithm::Crc32 => 1,
        ChecksumAlgorithm::Crc32c => 2,
        ChecksumAlgorithm::Crc64Nvme => 3,
        ChecksumAlgorithm::Sha1 => 4,
        ChecksumAlgorithm::Sha256 => 5,
    }
}

/// Reads what [`algorithm_number`] gave.
pub fn algorithm_of_number(number: u8) -> Option<ChecksumAlgorithm> {
    match number {
        1 => Some(ChecksumAlgorithm::Crc32),
        2 => Some(ChecksumAlgorithm::Crc32c),
        3 => Some(ChecksumAlgorithm::Crc64Nvme),
        4 => Some(ChecksumAlgorithm::Sha1),
        5 => Some(ChecksumAlgorithm::Sha256),
        _ => None,
    }
}

/// A checksum as a field: algorithm, composite flag, value.
pub fn encode_checksum(stored: &StoredChecksum) -> BytesMut {
    let mut field = BytesMut::with_capacity(2 + 32);
    field.extend_from_slice(&[
        algorithm_number(stored.checksum.algorithm()),
        u8::from(stored.composite),
    ]);
    field.extend_from_slice(stored.checksum.as_bytes());
    field
}

/// Reads what [`encode_checksum`] wrote.
pub fn decode_checksum(field: &[u8], record: &'static str) -> Result<StoredChecksum, DecodeError> {
    let error = DecodeError {
        record,
        detail: "bad checksum",
    };
    let [number, composite @ (0 | 1), value @ ..] = field else {
        return Err(error);
    };
    let algorithm = algorithm_of_number(*number).ok_or(error.clone())?;
    let checksum = Checksum::from_bytes(algorithm, value).map_err(|_| error)?;
    Ok(StoredChecksum {
        checksum,
        composite: *composite == 1,
    })
}

/// Key of the present record of an object.
pub fn object_key(bucket: BucketId, key: &[u8]) -> Bytes {
    join(prefix::OBJECT, &[&bucket.0.to_be_bytes(), key])
}

/// The range of the present records of a bucket.
pub fn objects_of_bucket(bucket: BucketId) -> (Bytes, Bytes) {
    range_of(object_key(bucket, b""))
}

/// The range of the present records of all buckets.
pub fn all_objects() -> (Bytes, Bytes) {
    range_of(join(prefix::OBJECT, &[]))
}

/// Bytes of a row's key before the object key.
pub const OBJECT_KEY_OFFSET: usize = 1 + 8;

/// The bucket and the object key in a row's key.
pub fn split_object_key(row_key: &Bytes) -> Result<(BucketId, Bytes), DecodeError> {
    let bucket = row_key
        .get(1..OBJECT_KEY_OFFSET)
        .and_then(|id| id.try_into().ok());
    let bucket = bucket.ok_or(DecodeError {
        record: RECORD,
        detail: "bad key",
    })?;
    Ok((
        BucketId(u64::from_be_bytes(bucket)),
        row_key.slice(OBJECT_KEY_OFFSET..),
    ))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::encryption::tests::encryptions;
    use super::super::placement::tests::placements;
    use super::*;
    use proptest::prelude::*;

    /// Any checksum.
    pub fn checksums() -> impl Strategy<Value = StoredChecksum> {
        (1u8..=5, any::<[u8; 32]>(), any::<bool>()).prop_map(|(number, bytes, composite)| {
            let algorithm = algorithm_of_number(number).unwrap();
            let value = &bytes[..algorithm.digest_length_bytes()];
            StoredChecksum {
                checksum: Checksum::from_bytes(algorithm, value).unwrap(),
                composite,
            }
        })
    }

    fn pairs() -> impl Strategy<Value = Vec<(Bytes, Bytes)>> {
        let bytes = || any::<Vec<u8>>().prop_map(Bytes::from);
        proptest::collection::vec((bytes(), bytes()), 0..4)
    }

    /// Any object record.
    pub fn records() -> impl Strategy<Value = ObjectRecord> {
        let first = (
            any::<[u8; 16]>(),
            any::<u64>(),
            any::<[u8; 16]>(),
            any::<u16>(),
            any::<u64>(),
        );
        let second = (
            any::<u64>(),
            "[A-Z_]{0,12}",
            "[0-9a-f]{0,64}",
            super::super::acl::tests::acls(),
        );
        let third = (
            proptest::option::of(checksums()),
            placements(),
            pairs(),
            pairs(),
        );
        let tags = any::<(Vec<(String, String)>, bool, Option<(u64, u64)>)>();
        let locks = super::super::lock::tests::locks();
        let fourth = (tags, proptest::option::of(encryptions()));
        let all = (first, second, third, fourth, locks);
        all.prop_map(|(first, second, third, fourth, (retention, legal_hold))| {
            let ((tags, versioned, times), encryption) = fourth;
            ObjectRecord {
                id: UniqueId(first.0),
                size: first.1,
                etag: ETag {
                    md5: first.2,
                    parts: first.3,
                },
                last_modified_ms: first.4,
                time: second.0,
                storage_class: second.1,
                owner: second.2,
                acl: second.3,
                checksum: third.0,
                placement: third.1,
                headers: third.2,
                metadata: third.3,
                tags,
                versioned,
                retention,
                legal_hold,
                restoration: times.map(|(ready_ms, expires_ms)| Restoration {
                    ready_ms,
                    expires_ms,
                }),
                encryption: encryption.map(Box::new),
                unknown: UnknownFields::default(),
            }
        })
    }

    proptest! {
        #[test]
        fn round_trips(record in records()) {
            let value = record.encode();
            let summary = ObjectSummary::decode(value.clone(), &mut SharedText::default()).unwrap();
            prop_assert_eq!(summary.size, record.size);
            prop_assert_eq!(&summary.etag, &record.etag);
            prop_assert_eq!(summary.last_modified_ms, record.last_modified_ms);
            prop_assert_eq!(summary.storage_class(), record.storage_class());
            prop_assert_eq!(&*summary.owner, record.owner.as_str());
            prop_assert_eq!(
                summary.checksum,
                record.checksum.as_ref().map(|stored| (stored.checksum.algorithm(), stored.composite))
            );
            prop_assert_eq!(summary.restoration, record.restoration);
            prop_assert_eq!(ObjectRecord::decode(value), Ok(record));
        }

        #[test]
        fn any_bytes_are_read_or_refused(value: Vec<u8>) {
            let _ = ObjectRecord::decode(Bytes::from(value.clone()));
            let _ = ObjectSummary::decode(Bytes::from(value), &mut SharedText::default());
        }
    }
}
