//! Upload records (`u`): a multipart upload that is neither completed nor aborted; and the counter
//! of writes to its parts (`c`), by which a completion notices a part that changed under it.

use bytes::{Bytes, BytesMut};
use oncilla_hash::ChecksumAlgorithm;

use super::acl::{decode_acl, decode_grants, write_acl};
use super::bucket::text_pair;
use super::codec::{DecodeError, FieldReader, FieldWriter, UnknownFields};
use super::encryption::Encryption;
use super::key::{BucketId, UniqueId, join, prefix, put_ordered, range_of, take_ordered};
use super::lock::{decode_legal_hold, decode_retention, encode_retention, legal_hold_number};
use super::object::{algorithm_number, algorithm_of_number, storage_class_name};
use oncilla_wire::object_lock::{LegalHold, Retention};
use oncilla_wire::xml::acl::Acl;

const RECORD: &str = "upload";

mod tag {
    pub const STARTED_MS: u64 = 1;
    pub const STORAGE_CLASS: u64 = 2;
    pub const OWNER: u64 = 3;
    pub const ALGORITHM: u64 = 4;
    pub const COMPOSITE: u64 = 5;
    pub const ACL: u64 = 6;
    pub const HEADER: u64 = 7;
    pub const METADATA: u64 = 8;
    pub const TAG: u64 = 9;
    pub const DECLARED: u64 = 10;
    pub const ACL_GRANTS: u64 = 36;
    pub const RETENTION: u64 = 37;
    pub const LEGAL_HOLD: u64 = 38;
    pub const ENCRYPTION: u64 = 39;
    pub const KMS_KEY_NAME: u64 = 40;
}

/// What the object will be once the upload completes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadRecord {
    /// Unix milliseconds.
    pub started_ms: u64,
    /// Storage class; empty means `STANDARD`.
    pub storage_class: String,
    /// Canonical id of the account that started it.
    pub owner: String,
    /// By which algorithm the parts are summed.
    pub algorithm: ChecksumAlgorithm,
    /// Whether the object's checksum will be over the parts' checksums.
    pub composite: bool,
    /// Whether the client chose the algorithm, or the store did.
    pub algorithm_declared: bool,
    /// ACL of the object.
    pub acl: Acl,
    /// Standard headers of the object.
    pub headers: Vec<(Bytes, Bytes)>,
    /// User metadata of the object.
    pub metadata: Vec<(Bytes, Bytes)>,
    /// Tags of the object.
    pub tags: Vec<(String, String)>,
    /// Until when the object may not go away, if the client said.
    pub retention: Option<Retention>,
    /// Whether the object may not go away until further notice, if the client said.
    pub legal_hold: Option<LegalHold>,
    /// How the parts are encrypted; `None` for parts that are kept as they are.
    pub encryption: Option<Box<Encryption>>,
    /// The name by which the KMS key was asked for, as policies see it: its id, an alias or an ARN.
    /// Empty if it was by none.
    pub kms_key_name: String,
    /// Fields of newer versions.
    pub unknown: UnknownFields,
}

impl UploadRecord {
    /// The storage class by its S3 name.
    pub fn storage_class(&self) -> &str {
        storage_class_name(&self.storage_class)
    }

    /// The row's value.
    pub fn encode(&self) -> Bytes {
        let mut writer = FieldWriter::with_capacity(192);
        writer.number(tag::STARTED_MS, self.started_ms);
        writer.text(tag::STORAGE_CLASS, &self.storage_class);
        writer.text(tag::OWNER, &self.owner);
        writer.number(tag::ALGORITHM, u64::from(algorithm_number(self.algorithm)));
        writer.number(tag::COMPOSITE, u64::from(self.composite));
        writer.number(tag::DECLARED, u64::from(self.algorithm_declared));
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
        if let Some(retention) = &self.retention {
            writer.bytes(tag::RETENTION, &encode_retention(retention));
        }
        writer.number(tag::LEGAL_HOLD, legal_hold_number(self.legal_hold));
        if let Some(encryption) = &self.encryption {
            writer.bytes(tag::ENCRYPTION, &encryption.encode());
        }
        writer.text(tag::KMS_KEY_NAME, &self.kms_key_name);
        writer.finish(&self.unknown)
    }

    /// Reads a row's value.
    pub fn decode(value: Bytes) -> Result<Self, DecodeError> {
        let mut reader = FieldReader::new(RECORD, &value)?;
        let mut algorithm = None;
        let mut record = UploadRecord {
            started_ms: 0,
            storage_class: String::new(),
            owner: String::new(),
            algorithm: ChecksumAlgorithm::Crc64Nvme,
            composite: false,
            algorithm_declared: false,
            acl: Acl::default(),
            headers: Vec::new(),
            metadata: Vec::new(),
            tags: Vec::new(),
            retention: None,
            legal_hold: None,
            encryption: None,
            kms_key_name: String::new(),
            unknown: UnknownFields::default(),
        };
        while let Some(field) = reader.next_field()? {
            match field.tag {
                tag::STARTED_MS => record.started_ms = field.number()?,
                tag::STORAGE_CLASS => record.storage_class = field.text()?,
                tag::OWNER => record.owner = field.text()?,
                tag::ALGORITHM => {
                    let error = field.error("unknown checksum algorithm");
                    let number = u8::try_from(field.number()?).ok();
                    algorithm = Some(number.and_then(algorithm_of_number).ok_or(error)?);
                }
                tag::COMPOSITE => record.composite = field.number()? != 0,
                tag::DECLARED => record.algorithm_declared = field.number()? != 0,
                tag::ACL => record.acl = decode_acl(field)?.into(),
                tag::ACL_GRANTS => record.acl = decode_grants(&field)?,
                tag::HEADER => record.headers.push(field.pair()?),
                tag::METADATA => record.metadata.push(field.pair()?),
                tag::TAG => record.tags.push(text_pair(field.pair()?, RECORD)?),
                tag::RETENTION => record.retention = Some(decode_retention(&field)?),
                tag::LEGAL_HOLD => record.legal_hold = decode_legal_hold(field)?,
                tag::ENCRYPTION => {
                    record.encryption = Some(Box::new(Encryption::decode(field.value)?));
                }
                tag::KMS_KEY_NAME => record.kms_key_name = field.text()?,
                _ => reader.keep(field),
            }
        }
        record.algorithm = algorithm.ok_or(reader.error("no checksum algorithm"))?;
        record.unknown = reader.into_unknown();
        Ok(record)
    }
}

/// Key of an upload.
pub fn upload_key(bucket: BucketId, key: &[u8], upload: UniqueId) -> Bytes {
    let mut row_key = BytesMut::with_capacity(1 + 8 + key.len() + 2 + 16);
    row_key.extend_from_slice(&[prefix::UPLOAD]);
    row_key.extend_from_slice(&bucket.0.to_be_bytes());
    put_ordered(&mut row_key, key);
    row_key.extend_from_slice(&upload.0);
    row_key.freeze()
}

/// The range of the uploads of a bucket.
pub fn uploads_of_bucket(bucket: BucketId) -> (Bytes, Bytes) {
    range_of(join(prefix::UPLOAD, &[&bucket.0.to_be_bytes()]))
}

/// The range of the uploads of all buckets.
pub fn all_uploads() -> (Bytes, Bytes) {
    range_of(join(prefix::UPLOAD, &[]))
}

/// First row key at or after the first upload of `key`.
pub fn uploads_from_key(bucket: BucketId, key: &[u8]) -> Bytes {
    let mut row_key = BytesMut::with_capacity(1 + 8 + key.len() + 2);
    row_key.extend_from_slice(&[prefix::UPLOAD]);
    row_key.extend_from_slice(&bucket.0.to_be_bytes());
    put_ordered(&mut row_key, key);
    row_key.freeze()
}

/// The bucket, the object key and the upload id in a row's key.
pub fn split_upload_key(row_key: &Bytes) -> Result<(BucketId, Bytes, UniqueId), DecodeError> {
    let parts = (|| {
        let bucket = u64::from_be_bytes(row_key.get(1..9)?.try_into().ok()?);
        let mut rest = row_key.slice(9..);
        let key = take_ordered(&mut rest)?;
        Some((BucketId(bucket), key, UniqueId(rest[..].try_into().ok()?)))
    })();
    parts.ok_or(DecodeError {
        record: RECORD,
        detail: "bad key",
    })
}

/// Key of the counter of part writes of an upload.
pub fn part_writes_key(upload: UniqueId) -> Bytes {
    join(prefix::UPLOAD_PART_WRITES, &[&upload.0])
}

#[cfg(test)]
mod tests {
    use super::super::encryption::tests::encryptions;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_round_trip(bucket: u64, key: Vec<u8>, upload: [u8; 16]) {
            let row_key = upload_key(BucketId(bucket), &key, UniqueId(upload));
            let (got_bucket, got_key, got_upload) = split_upload_key(&row_key).unwrap();
            prop_assert_eq!((got_bucket, got_upload), (BucketId(bucket), UniqueId(upload)));
            prop_assert_eq!(&got_key[..], &key[..]);
        }

        #[test]
        fn records_round_trip(started_ms: u64, number in 1u8..=5, composite: bool, declared: bool,
                              tags: Vec<(String, String)>, header: (Vec<u8>, Vec<u8>),
                              acl in super::super::acl::tests::acls(),
                              encryption in proptest::option::of(encryptions()),
                              kms_key_name: String,
                              (retention, legal_hold) in super::super::lock::tests::locks()) {
            let record = UploadRecord {
                started_ms,
                storage_class: "STANDARD_IA".to_owned(),
                owner: "ab".to_owned(),
                algorithm: algorithm_of_number(number).unwrap(),
                composite,
                algorithm_declared: declared,
                acl,
                headers: vec![(Bytes::from(header.0.clone()), Bytes::from(header.1.clone()))],
                metadata: vec![(Bytes::from(header.1), Bytes::from(header.0))],
                tags,
                retention,
                legal_hold,
                encryption: encryption.map(Box::new),
                kms_key_name,
                unknown: UnknownFields::default(),
            };
            prop_assert_eq!(UploadRecord::decode(record.encode()), Ok(record));
        }

        #[test]
        fn any_bytes_are_read_or_refused(value: Vec<u8>) {
            let _ = UploadRecord::decode(Bytes::from(value.clone()));
            let _ = split_upload_key(&Bytes::from(value));
        }
    }
}
