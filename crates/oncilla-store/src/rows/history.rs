//! The history of a key (`h`): what writes superseded, and delete markers, newest first; and where
//! in it the null version of the key is (`v`).
//!
//! A superseded record keeps its bytes and its references: it moves as it is from `o` to `h`, and
//! back if everything newer is deleted. Delete markers live here only. So the newest version of a
//! key is its row in `o`, or else its first row here, which then is a delete marker.
//!
//! When a version became noncurrent is the time of the next newer one, which is the row before it.

use bytes::{Bytes, BytesMut};

use super::codec::{DecodeError, FieldReader, FieldWriter, UnknownFields};
use super::key::{BucketId, UniqueId, join, prefix, put_ordered, range_of, take_ordered};
use super::object::{ObjectRecord, tag};
use super::version_id::VersionId;

const RECORD: &str = "history";

// A delete marker is told from an object by its first field; its other fields are an object's.
/// What a deletion leaves in a bucket that keeps versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteMarker {
    /// Identity.
    pub id: UniqueId,
    /// Time of the deletion by the wall clock, in Unix milliseconds.
    pub last_modified_ms: u64,
    /// Hybrid-logical time of the deletion.
    pub time: u64,
    /// Canonical id of the account that deleted.
    pub owner: String,
    /// Whether it has a version id of its own.
    pub versioned: bool,
    /// Fields of newer versions.
    pub unknown: UnknownFields,
}

impl DeleteMarker {
    /// Its version id.
    pub fn version_id(&self) -> VersionId {
        VersionId::of(self.versioned, self.id, self.time)
    }

    /// The row's value.
    pub fn encode(&self) -> Bytes {
        let mut writer = FieldWriter::with_capacity(128);
        writer.number(tag::DELETE_MARKER, 1);
        writer.bytes(tag::ID, &self.id.0);
        writer.number(tag::LAST_MODIFIED_MS, self.last_modified_ms);
        writer.number(tag::TIME, self.time);
        writer.text(tag::OWNER, &self.owner);
        writer.number(tag::VERSIONED, u64::from(self.versioned));
        writer.finish(&self.unknown)
    }

    /// Reads a row of the history; `None` if it is an object's.
    pub fn decode(value: Bytes) -> Result<Option<Self>, DecodeError> {
        let mut reader = FieldReader::new(RECORD, &value)?;
        match reader.next_field()? {
            Some(first) if first.tag == tag::DELETE_MARKER => {}
            _ => return Ok(None),
        }
        let mut id = None;
        let mut marker = DeleteMarker {
            id: UniqueId([0; 16]),
            last_modified_ms: 0,
            time: 0,
            owner: String::new(),
            versioned: false,
            unknown: UnknownFields::default(),
        };
        while let Some(field) = reader.next_field()? {
            match field.tag {
                tag::ID => id = Some(UniqueId(field.array()?)),
                tag::LAST_MODIFIED_MS => marker.last_modified_ms = field.number()?,
                tag::TIME => marker.time = field.number()?,
                tag::OWNER => marker.owner = field.text()?,
                tag::VERSIONED => marker.versioned = field.number()? != 0,
                _ => reader.keep(field),
            }
        }
        marker.id = id.ok_or(reader.error("no id"))?;
        marker.unknown = reader.into_unknown();
        Ok(Some(marker))
    }
}

/// A row of the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Past {
    /// An object that was superseded.
    Object(Box<ObjectRecord>),
    /// A deletion.
    DeleteMarker(DeleteMarker),
}

impl Past {
    /// Reads a row's value.
    pub fn decode(value: Bytes) -> Result<Self, DecodeError> {
        match DeleteMarker::decode(value.clone())? {
            Some(marker) => Ok(Self::DeleteMarker(marker)),
            None => ObjectRecord::decode(value).map(|record| Self::Object(Box::new(record))),
        }
    }

    /// The version id.
    pub fn version_id(&self) -> VersionId {
        match self {
            Self::Object(record) => record.version_id(),
            Self::DeleteMarker(marker) => marker.version_id(),
        }
    }

    /// Hybrid-logical time of the write or deletion.
    pub fn time(&self) -> u64 {
        match self {
            Self::Object(record) => record.time,
            Self::DeleteMarker(marker) => marker.time,
        }
    }

    /// Bytes of the body.
    pub fn size(&self) -> u64 {
        match self {
            Self::Object(record) => record.size,
            Self::DeleteMarker(_) => 0,
        }
    }
}

/// Key of the row of what was written at `time`.
pub fn history_key(bucket: BucketId, key: &[u8], time: u64) -> Bytes {
    let mut row_key = ordered(prefix::HISTORY, bucket, key);
    row_key.extend_from_slice(&(!time).to_be_bytes());
    row_key.freeze()
}

/// First row key at or after the history of `key`.
pub fn history_from_key(bucket: BucketId, key: &[u8]) -> Bytes {
    ordered(prefix::HISTORY, bucket, key).freeze()
}

/// The range of the history of a key, newest first.
pub fn history_of_key(bucket: BucketId, key: &[u8]) -> (Bytes, Bytes) {
    range_of(history_from_key(bucket, key))
}

/// The range of the history of a bucket, by key and newest first.
pub fn history_of_bucket(bucket: BucketId) -> (Bytes, Bytes) {
    range_of(join(prefix::HISTORY, &[&bucket.0.to_be_bytes()]))
}

/// The range of the histories of all buckets.
pub fn all_history() -> (Bytes, Bytes) {
    range_of(join(prefix::HISTORY, &[]))
}

/// The bucket, the object key and the time in a row's key.
pub fn split_history_key(row_key: &Bytes) -> Result<(BucketId, Bytes, u64), DecodeError> {
    let parts = (|| {
        let (bucket, key, rest) = split_ordered(row_key)?;
        let inverted = u64::from_be_bytes(rest[..].try_into().ok()?);
        Some((bucket, key, !inverted))
    })();
    parts.ok_or(DecodeError {
        record: RECORD,
        detail: "bad key",
    })
}

/// Key of the row that says where in the history the null version of a key is.
pub fn null_version_key(bucket: BucketId, key: &[u8]) -> Bytes {
    ordered(prefix::NULL_VERSION, bucket, key).freeze()
}

/// The range of all rows of null versions.
pub fn all_null_versions() -> (Bytes, Bytes) {
    range_of(join(prefix::NULL_VERSION, &[]))
}

/// The bucket and the object key in the key of a null version's row.
pub fn split_null_version_key(row_key: &Bytes) -> Result<(BucketId, Bytes), DecodeError> {
    match split_ordered(row_key) {
        Some((bucket, key, rest)) if rest.is_empty() => Ok((bucket, key)),
        _ => Err(DecodeError {
            record: "null version",
            detail: "bad key",
        }),
    }
}

fn ordered(prefix: u8, bucket: BucketId, key: &[u8]) -> BytesMut {
    let mut row_key = BytesMut::with_capacity(1 + 8 + key.len() + 2 + 8);
    row_key.extend_from_slice(&[prefix]);
    row_key.extend_from_slice(&bucket.0.to_be_bytes());
    put_ordered(&mut row_key, key);
    row_key
}

fn split_ordered(row_key: &Bytes) -> Option<(BucketId, Bytes, Bytes)> {
    let bucket = u64::from_be_bytes(row_key.get(1..9)?.try_into().ok()?);
    let mut rest = row_key.slice(9..);
    let key = take_ordered(&mut rest)?;
    Some((BucketId(bucket), key, rest))
}

#[cfg(test)]
mod tests {
    use super::super::object::tests::records;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_round_trip_and_sort_newest_first(bucket: u64, key: Vec<u8>, time: u64, other: u64) {
            let bucket = BucketId(bucket);
            let row_key = history_key(bucket, &key, time);
            let (got_bucket, got_key, got_time) = split_history_key(&row_key).unwrap();
            prop_assert_eq!((got_bucket, &got_key[..], got_time), (bucket, &key[..], time));
            prop_assert_eq!(time.cmp(&other), history_key(bucket, &key, other).cmp(&row_key));
            let (start, end) = history_of_key(bucket, &key);
            prop_assert!(start <= row_key && row_key < end);
            let null_key = null_version_key(bucket, &key);
            prop_assert_eq!(split_null_version_key(&null_key), Ok((bucket, got_key)));
        }

        #[test]
        fn delete_markers_round_trip(id: [u8; 16], last_modified_ms: u64, time: u64,
                                     owner in "[0-9a-f]{0,64}", versioned: bool) {
            let marker = DeleteMarker {
                id: UniqueId(id), last_modified_ms, time, owner, versioned,
                unknown: UnknownFields::default(),
            };
            let value = marker.encode();
            prop_assert!(ObjectRecord::decode(value.clone()).is_err());
            prop_assert_eq!(VersionId::of_row(value.clone()), Ok(marker.version_id()));
            prop_assert_eq!(Past::decode(value), Ok(Past::DeleteMarker(marker)));
        }

        #[test]
        fn objects_are_told_from_delete_markers(record in records()) {
            let value = record.encode();
            prop_assert_eq!(VersionId::of_row(value.clone()), Ok(record.version_id()));
            prop_assert_eq!(Past::decode(value), Ok(Past::Object(Box::new(record))));
        }

        #[test]
        fn any_bytes_are_read_or_refused(value: Vec<u8>) {
            let value = Bytes::from(value);
            let _ = Past::decode(value.clone());
            let _ = VersionId::of_row(value.clone());
            let _ = split_history_key(&value);
            let _ = split_null_version_key(&value);
        }
    }
}
