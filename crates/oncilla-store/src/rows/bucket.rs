//! Bucket records (`b`), the name of a bucket by its id (`B`), and the buckets of an account (`w`).

use bytes::{Bytes, BytesMut};

use super::acl::{acl_number, decode_acl};
use super::codec::{DecodeError, Field, FieldReader, FieldWriter, UnknownFields};
use super::key::{BucketId, join, prefix, range_of};
use super::lock::{decode_configuration, encode_configuration};
use oncilla_wire::xml::acl::CannedAcl;
use oncilla_wire::xml::object_lock::ObjectLockConfiguration;
use oncilla_wire::xml::versioning::VersioningStatus;

const RECORD: &str = "bucket";

mod tag {
    pub const ID: u64 = 1;
    pub const OWNER: u64 = 2;
    pub const CREATED_MS: u64 = 3;
    pub const LOCATION: u64 = 4;
    pub const ACL: u64 = 5;
    pub const TAG: u64 = 6;
    pub const PUBLIC_OBJECTS: u64 = 7;
    pub const VERSIONING: u64 = 8;
    pub const DOCUMENT_CHANGES: u64 = 9;
    pub const OBJECT_LOCK: u64 = 10;
    // Kept free for what is to come: parent, origin. Documents are rows of their own (`document.rs`).
}

/// What a bucket is, apart from its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketRecord {
    /// Identity under which its objects are kept.
    pub id: BucketId,
    /// Canonical id of the account that owns it.
    pub owner: String,
    /// Creation time in Unix milliseconds.
    pub created_ms: u64,
    /// The location constraint it was created with; empty if none.
    pub location: String,
    /// Its canned ACL, where no document says another. As in S3 it says nothing about its objects.
    pub acl: CannedAcl,
    /// Whether everybody may read its objects, whatever their own ACLs say.
    pub public_objects: bool,
    /// Bucket tags, in the order they were set.
    pub tags: Vec<(String, String)>,
    /// Whether it keeps versions.
    pub versioning: VersioningStatus,
    /// How often a configuration document was set or removed.
    pub document_changes: u64,
    /// Object Lock, if it is enabled. A field and no document, because every write goes by it: it
    /// then is in the row that every write requires ([`bucket_name_value`]).
    pub object_lock: Option<ObjectLockConfiguration>,
    /// Fields of newer versions.
    pub unknown: UnknownFields,
}

impl BucketRecord {
    /// The row's value.
    pub fn encode(&self) -> Bytes {
        let mut writer = FieldWriter::with_capacity(160);
        writer.bytes(tag::ID, &self.id.0.to_be_bytes());
        writer.text(tag::OWNER, &self.owner);
        writer.number(tag::CREATED_MS, self.created_ms);
        writer.text(tag::LOCATION, &self.location);
        writer.number(tag::ACL, acl_number(self.acl));
        writer.number(tag::PUBLIC_OBJECTS, u64::from(self.public_objects));
        for (key, value) in &self.tags {
            writer.pair(tag::TAG, key.as_bytes(), value.as_bytes());
        }
        writer.number(tag::VERSIONING, versioning_number(self.versioning));
        writer.number(tag::DOCUMENT_CHANGES, self.document_changes);
        if let Some(lock) = &self.object_lock {
            writer.bytes(tag::OBJECT_LOCK, &encode_configuration(lock));
        }
        writer.finish(&self.unknown)
    }

    /// Reads a row's value.
    pub fn decode(value: Bytes) -> Result<Self, DecodeError> {
        let mut reader = FieldReader::new(RECORD, &value)?;
        let mut id = None;
        let mut record = BucketRecord {
            id: BucketId(0),
            owner: String::new(),
            created_ms: 0,
            location: String::new(),
            acl: CannedAcl::Private,
            public_objects: false,
            tags: Vec::new(),
            versioning: VersioningStatus::Unversioned,
            document_changes: 0,
            object_lock: None,
            unknown: UnknownFields::default(),
        };
        while let Some(field) = reader.next_field()? {
            match field.tag {
                tag::ID => id = Some(BucketId(u64::from_be_bytes(field.array()?))),
                tag::OWNER => record.owner = field.text()?,
                tag::CREATED_MS => record.created_ms = field.number()?,
                tag::LOCATION => record.location = field.text()?,
                tag::ACL => record.acl = decode_acl(field)?,
                tag::PUBLIC_OBJECTS => record.public_objects = field.number()? != 0,
                tag::TAG => record.tags.push(text_pair(field.pair()?, RECORD)?),
                tag::VERSIONING => record.versioning = decode_versioning(field)?,
                tag::DOCUMENT_CHANGES => record.document_changes = field.number()?,
                tag::OBJECT_LOCK => record.object_lock = Some(decode_configuration(&field)?),
                _ => reader.keep(field),
            }
        }
        record.id = id.ok_or(reader.error("no id"))?;
        record.unknown = reader.into_unknown();
        Ok(record)
    }
}

/// The number of a versioning state in records; never changes its meaning.
fn versioning_number(status: VersioningStatus) -> u64 {
    match status {
        VersioningStatus::Unversioned => 0,
        VersioningStatus::Enabled => 1,
        VersioningStatus::Suspended => 2,
    }
}

fn decode_versioning(field: Field) -> Result<VersioningStatus, DecodeError> {
    let error = field.error("unknown versioning state");
    match field.number()? {
        0 => Ok(VersioningStatus::Unversioned),
        1 => Ok(VersioningStatus::Enabled),
        2 => Ok(VersioningStatus::Suspended),
        _ => Err(error),
    }
}

/// A pair of byte strings as text.
pub fn text_pair(
    pair: (Bytes, Bytes),
    record: &'static str,
) -> Result<(String, String), DecodeError> {
    match (
        String::from_utf8(pair.0.into()),
        String::from_utf8(pair.1.into()),
    ) {
        (Ok(first), Ok(second)) => Ok((first, second)),
        _ => Err(DecodeError {
            record,
            detail: "text is not UTF-8",
        }),
    }
}

/// Key of a bucket's record.
pub fn bucket_key(name: &str) -> Bytes {
    join(prefix::BUCKET, &[name.as_bytes()])
}

/// The range of all bucket records.
pub fn all_buckets() -> (Bytes, Bytes) {
    range_of(join(prefix::BUCKET, &[]))
}

/// The name in the key of a bucket's record.
pub fn bucket_name(key: &Bytes) -> Result<String, DecodeError> {
    let name = key.get(1..).and_then(|name| std::str::from_utf8(name).ok());
    name.map(str::to_owned).ok_or(DecodeError {
        record: RECORD,
        detail: "bad key",
    })
}

/// Key of the row that tells a bucket's name by its id.
pub fn bucket_name_key(id: BucketId) -> Bytes {
    join(prefix::BUCKET_NAME, &[&id.0.to_be_bytes()])
}

/// The value of that row: the name and, behind a zero byte, the versioning state if there ever was
/// one and how versions are locked. Every write of an object requires that this value still is what
/// the write went by: the bucket exists, and neither what becomes of superseded versions nor the
/// retention of new ones has changed.
pub fn bucket_name_value(name: &str, record: &BucketRecord) -> Bytes {
    let mut value = BytesMut::with_capacity(name.len() + 2);
    value.extend_from_slice(name.as_bytes());
    if record.versioning != VersioningStatus::Unversioned || record.object_lock.is_some() {
        value.extend_from_slice(&[0, versioning_number(record.versioning) as u8]);
    }
    if let Some(lock) = &record.object_lock {
        value.extend_from_slice(&encode_configuration(lock));
    }
    value.freeze()
}

/// The name in such a value.
pub fn bucket_of_name_row(value: &[u8]) -> Result<String, DecodeError> {
    let name = value.split(|&byte| byte == 0).next().unwrap_or_default();
    let name = std::str::from_utf8(name).map(str::to_owned);
    name.map_err(|_| DecodeError {
        record: RECORD,
        detail: "bad name",
    })
}

/// Key of the row that lists a bucket under its owner.
pub fn bucket_by_owner_key(owner: &str, name: &str) -> Bytes {
    join(
        prefix::BUCKET_BY_OWNER,
        &[owner.as_bytes(), &[0], name.as_bytes()],
    )
}

/// The range of an owner's buckets whose name starts with `name_prefix`.
pub fn buckets_of_owner(owner: &str, name_prefix: &str) -> (Bytes, Bytes) {
    range_of(bucket_by_owner_key(owner, name_prefix))
}

/// The bucket name in a key of [`buckets_of_owner`].
pub fn bucket_name_by_owner(key: &Bytes) -> Result<String, DecodeError> {
    let name = key
        .iter()
        .position(|&byte| byte == 0)
        .map(|zero| &key[zero + 1..]);
    let name = name.and_then(|name| std::str::from_utf8(name).ok());
    name.map(str::to_owned).ok_or(DecodeError {
        record: RECORD,
        detail: "bad owner key",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trips(id: u64, owner in "[0-9a-f]{0,64}", created_ms: u64, location: String,
                       acl in super::super::acl::tests::canned_acls(), public_objects: bool, tags: Vec<(String, String)>, versioning in 0usize..3, document_changes: u64,
                       object_lock in proptest::option::of(super::super::lock::tests::configurations())) {
            use VersioningStatus::{Enabled, Suspended, Unversioned};
            let versioning = [Unversioned, Enabled, Suspended][versioning];
            let record = BucketRecord {
                id: BucketId(id), owner, created_ms, location,
                acl, public_objects, tags, versioning, document_changes, object_lock,
                unknown: UnknownFields::default(),
            };
            prop_assert_eq!(BucketRecord::decode(record.encode()), Ok(record));
        }

        #[test]
        fn any_bytes_are_read_or_refused(value: Vec<u8>) {
            let _ = BucketRecord::decode(Bytes::from(value));
        }
    }
}
