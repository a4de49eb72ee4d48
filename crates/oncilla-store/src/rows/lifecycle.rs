//! How far the lifecycle worker is with a bucket (`y`).

use bytes::Bytes;

use super::codec::{DecodeError, FieldReader, FieldWriter, UnknownFields};
use super::key::{BucketId, join, prefix};

const RECORD: &str = "lifecycle progress";

mod tag {
    pub const BEGAN_MS: u64 = 1;
    pub const DOCUMENT_CHANGES: u64 = 2;
    pub const AFTER_KEY: u64 = 3;
    pub const DONE: u64 = 4;
}

/// A pass over a bucket, under way or done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LifecycleProgress {
    /// When it began, in Unix milliseconds: all that was due before is done with it.
    pub began_ms: u64,
    /// How often the bucket's configuration had been changed then.
    pub document_changes: u64,
    /// The last key all of whose versions are done with; `None` at the beginning.
    pub after_key: Option<Bytes>,
    /// Whether it reached the end of the bucket.
    pub done: bool,
    /// Fields of newer versions.
    pub unknown: UnknownFields,
}

impl LifecycleProgress {
    /// The row's value.
    pub fn encode(&self) -> Bytes {
        let key_bytes = self.after_key.as_ref().map_or(0, Bytes::len);
        let mut writer = FieldWriter::with_capacity(32 + key_bytes);
        writer.number(tag::BEGAN_MS, self.began_ms);
        writer.number(tag::DOCUMENT_CHANGES, self.document_changes);
        if let Some(key) = &self.after_key {
            writer.bytes(tag::AFTER_KEY, key);
        }
        writer.number(tag::DONE, u64::from(self.done));
        writer.finish(&self.unknown)
    }

    /// Reads a row's value.
    pub fn decode(value: Bytes) -> Result<Self, DecodeError> {
        let mut reader = FieldReader::new(RECORD, &value)?;
        let mut progress = Self::default();
        while let Some(field) = reader.next_field()? {
            match field.tag {
                tag::BEGAN_MS => progress.began_ms = field.number()?,
                tag::DOCUMENT_CHANGES => progress.document_changes = field.number()?,
                tag::AFTER_KEY => progress.after_key = Some(value.slice_ref(field.value)),
                tag::DONE => progress.done = field.number()? != 0,
                _ => reader.keep(field),
            }
        }
        progress.unknown = reader.into_unknown();
        Ok(progress)
    }
}

/// Key of a bucket's row.
pub fn lifecycle_key(bucket: BucketId) -> Bytes {
    join(prefix::LIFECYCLE, &[&bucket.0.to_be_bytes()])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn round_trips(began_ms: u64, document_changes: u64, key: Option<Vec<u8>>, done: bool) {
            let progress = LifecycleProgress {
                began_ms,
                document_changes,
                after_key: key.map(Bytes::from),
                done,
                unknown: UnknownFields::default(),
            };
            prop_assert_eq!(LifecycleProgress::decode(progress.encode()), Ok(progress));
        }

        #[test]
        fn any_bytes_are_read_or_refused(value: Vec<u8>) {
            let _ = LifecycleProgress::decode(Bytes::from(value));
        }
    }
}
