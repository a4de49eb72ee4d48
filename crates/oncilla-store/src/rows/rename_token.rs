//! Tokens of renames (`y`): which rename a client's token came with, so that a repeated request is
//! known.

use bytes::Bytes;

use super::codec::{DecodeError, FieldReader, FieldWriter, UnknownFields};
use super::key::{BucketId, join, prefix, range_of};

const RECORD: &str = "rename token";

mod tag {
    pub const USED_MS: u64 = 1;
    pub const DIGEST: u64 = 2;
}

/// What a token came with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RenameToken {
    /// When, in Unix milliseconds.
    pub used_ms: u64,
    /// SHA-256 of the rename.
    pub digest: [u8; 32],
}

impl RenameToken {
    /// The row's value.
    pub fn encode(&self) -> Bytes {
        let mut writer = FieldWriter::with_capacity(48);
        writer.number(tag::USED_MS, self.used_ms);
        writer.bytes(tag::DIGEST, &self.digest);
        writer.finish(&UnknownFields::default())
    }

    /// Reads a row's value.
    pub fn decode(value: Bytes) -> Result<Self, DecodeError> {
        let mut reader = FieldReader::new(RECORD, &value)?;
        let (mut used_ms, mut digest) = (0, None);
        while let Some(field) = reader.next_field()? {
            match field.tag {
                tag::USED_MS => used_ms = field.number()?,
                tag::DIGEST => digest = Some(field.array()?),
                // A token is never written again, so nothing has to be kept.
                _ => {}
            }
        }
        let digest = digest.ok_or(reader.error("no digest"))?;
        Ok(Self { used_ms, digest })
    }
}

/// Key of a token's row.
pub fn rename_token_key(bucket: BucketId, token: &[u8]) -> Bytes {
    join(prefix::RENAME_TOKEN, &[&bucket.0.to_be_bytes(), token])
}

/// The range of the tokens of a bucket.
pub fn rename_tokens_of_bucket(bucket: BucketId) -> (Bytes, Bytes) {
    range_of(rename_token_key(bucket, b""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trips(used_ms: u64, digest: [u8; 32], bucket: u64, token: Vec<u8>) {
            let row = RenameToken { used_ms, digest };
            prop_assert_eq!(RenameToken::decode(row.encode()), Ok(row));
            let key = rename_token_key(BucketId(bucket), &token);
            let (start, end) = rename_tokens_of_bucket(BucketId(bucket));
            prop_assert!(start <= key && key < end);
        }

        #[test]
        fn any_bytes_are_read_or_refused(value: Vec<u8>) {
            let _ = RenameToken::decode(Bytes::from(value));
        }
    }
}
