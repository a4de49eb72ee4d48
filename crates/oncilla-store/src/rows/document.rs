//! Configuration documents of buckets (`d`): policy, CORS rules, lifecycle and their like.

use bytes::Bytes;

use super::codec::{DecodeError, FieldReader, FieldWriter, UnknownFields};
use super::key::{BucketId, join, prefix, range_of};

const RECORD: &str = "document";

mod tag {
    pub const TEXT: u64 = 1;
    pub const SET_MS: u64 = 2;
    pub const DETAIL: u64 = 3;
}

macro_rules! document_kinds {
    ($($(#[$comment:meta])* $kind:ident = $number:literal,)*) => {
        /// What a document configures. A bucket has one of each at most, but for the kinds that S3
        /// gives a name of their own.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum DocumentKind {
            $($(#[$comment])* $kind = $number,)*
        }

        impl DocumentKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// The kind with this number in keys, if this binary knows it.
            fn from_number(number: u8) -> Option<Self> {
                match number {
                    $($number => Some(Self::$kind),)*
                    _ => None,
                }
            }
        }
    };
}

// The numbers are in keys and never change their meaning.
document_kinds! {
    /// The bucket policy (JSON).
    Policy = 1,
    /// Who may do what by ACL, where it is more than a canned one.
    Acl = 2,
    /// The public access block.
    PublicAccessBlock = 3,
    /// Ownership controls.
    OwnershipControls = 4,
    /// CORS rules.
    Cors = 5,
    /// Lifecycle rules.
    Lifecycle = 6,
    /// Default encryption.
    Encryption = 7,
    /// Where events are sent.
    Notification = 8,
    /// Where access logs go.
    Logging = 9,
    /// The website.
    Website = 10,
    // 11 is not used: Object Lock is a field of the bucket's record.
    /// Who pays for requests.
    RequestPayment = 12,
    /// Transfer acceleration.
    Accelerate = 13,
    /// Replication rules.
    Replication = 14,
    /// There once was an object here that is not the bucket owner's, so that whose an object is has
    /// to be looked at. Without a text.
    OthersObjects = 15,
    /// Inventories, by name.
    Inventory = 20,
    /// Metrics configurations, by name.
    Metrics = 21,
    /// Analytics configurations, by name.
    Analytics = 22,
    /// Intelligent tiering configurations, by name.
    IntelligentTiering = 23,
}

/// A document as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DocumentRecord {
    /// The document, in the form that S3 answers.
    pub text: Bytes,
    /// When it was set, in Unix milliseconds.
    pub set_ms: u64,
    /// What the server keeps with it and no client sees.
    pub detail: Bytes,
    /// Fields of newer versions.
    pub unknown: UnknownFields,
}

impl DocumentRecord {
    /// The row's value.
    pub fn encode(&self) -> Bytes {
        let mut writer = FieldWriter::with_capacity(self.text.len() + self.detail.len() + 24);
        writer.bytes(tag::TEXT, &self.text);
        writer.number(tag::SET_MS, self.set_ms);
        if !self.detail.is_empty() {
            writer.bytes(tag::DETAIL, &self.detail);
        }
        writer.finish(&self.unknown)
    }

    /// Reads a row's value.
    pub fn decode(value: Bytes) -> Result<Self, DecodeError> {
        let mut reader = FieldReader::new(RECORD, &value)?;
        let mut record = Self::default();
        while let Some(field) = reader.next_field()? {
            match field.tag {
                tag::TEXT => record.text = value.slice_ref(field.value),
                tag::SET_MS => record.set_ms = field.number()?,
                tag::DETAIL => record.detail = value.slice_ref(field.value),
                _ => reader.keep(field),
            }
        }
        record.unknown = reader.into_unknown();
        Ok(record)
    }
}

/// Key of a document; `name` is empty for kinds of which there is one.
pub fn document_key(bucket: BucketId, kind: DocumentKind, name: &str) -> Bytes {
    let number = [kind as u8];
    join(
        prefix::DOCUMENT,
        &[&bucket.0.to_be_bytes(), &number, name.as_bytes()],
    )
}

/// The range of all documents of a bucket.
pub fn documents_of_bucket(bucket: BucketId) -> (Bytes, Bytes) {
    range_of(join(prefix::DOCUMENT, &[&bucket.0.to_be_bytes()]))
}

/// The range of all documents.
pub fn all_documents() -> (Bytes, Bytes) {
    range_of(join(prefix::DOCUMENT, &[]))
}

/// The bucket, kind and name in the key of a document. The kind is `None` if only a newer version
/// knows it.
pub fn split_document_key(
    key: &[u8],
) -> Result<(BucketId, Option<DocumentKind>, String), DecodeError> {
    let error = DecodeError {
        record: RECORD,
        detail: "bad key",
    };
    let rest = key.get(1..).ok_or(error.clone())?;
    let (bucket, rest) = rest.split_first_chunk::<8>().ok_or(error.clone())?;
    let (number, name) = rest.split_first().ok_or(error.clone())?;
    let name = std::str::from_utf8(name).map_err(|_| error)?;
    let bucket = BucketId(u64::from_be_bytes(*bucket));
    Ok((bucket, DocumentKind::from_number(*number), name.to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn records_round_trip(text: Vec<u8>, set_ms: u64, detail: Vec<u8>) {
            let record = DocumentRecord {
                text: text.into(), set_ms, detail: detail.into(), unknown: UnknownFields::default(),
            };
            prop_assert_eq!(DocumentRecord::decode(record.encode()), Ok(record));
        }

        #[test]
        fn keys_round_trip(id: u64, kind in proptest::sample::select(DocumentKind::ALL), name: String) {
            let key = document_key(BucketId(id), kind, &name);
            let (start, end) = documents_of_bucket(BucketId(id));
            prop_assert!(key >= start && key < end);
            prop_assert_eq!(split_document_key(&key), Ok((BucketId(id), Some(kind), name)));
        }

        #[test]
        fn any_bytes_are_read_or_refused(value: Vec<u8>) {
            let _ = split_document_key(&value);
            let _ = DocumentRecord::decode(Bytes::from(value));
        }
    }
}
