//! How a body is encrypted: a field of object and upload records, and itself a record of fields.

use bytes::Bytes;
use oncilla_keys::{Salt, WrappedKey};

use super::codec::{DecodeError, FieldReader, FieldWriter, UnknownFields};

const RECORD: &str = "encryption";

mod tag {
    pub const SCHEME: u64 = 1;
    pub const KEY_ID: u64 = 2;
    pub const WRAPPED_KEY: u64 = 3;
    pub const SALT: u64 = 4;
    pub const CONTEXT: u64 = 5;
    pub const BUCKET_KEY: u64 = 6;
}

/// Whose key protects the data key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// The server's (SSE-S3, `AES256`).
    S3,
    /// A KMS key (SSE-KMS, `aws:kms`).
    Kms,
    /// The client's, which is not kept (SSE-C).
    Customer,
}

impl Scheme {
    /// The number in records; never changes its meaning.
    fn number(self) -> u64 {
        match self {
            Self::S3 => 1,
            Self::Kms => 2,
            Self::Customer => 3,
        }
    }

    fn of_number(number: u64) -> Option<Self> {
        match number {
            1 => Some(Self::S3),
            2 => Some(Self::Kms),
            3 => Some(Self::Customer),
            _ => None,
        }
    }

    /// Whether the entity tag is the MD5 of the body. Where S3 makes no such promise there is none
    /// here either: the MD5 of a plain text in a record would tell whoever can guess the text.
    /// Source: S3 API reference, "Object", `ETag`.
    pub fn etag_is_md5(self) -> bool {
        self == Self::S3
    }
}

/// How the body of an object, or the parts of an upload, are encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encryption {
    /// Whose key protects the data key.
    pub scheme: Scheme,
    /// Id of the KMS key; empty for a client's key.
    pub key_id: String,
    /// The data key.
    pub wrapped_key: WrappedKey,
    /// The salt of the body's cipher. Parts have their own, in their records.
    pub salt: Option<Salt>,
    /// The encryption context, as JSON with sorted keys; empty for none. Not secret.
    pub context: String,
    /// Whether the client asked for a bucket key. It is kept and told, and changes nothing: data keys
    /// cost no call to a KMS here.
    pub bucket_key: bool,
    /// Fields of newer versions.
    pub unknown: UnknownFields,
}

impl Encryption {
    /// The field's bytes.
    pub fn encode(&self) -> Bytes {
        let mut writer = FieldWriter::with_capacity(160);
        writer.number(tag::SCHEME, self.scheme.number());
        writer.text(tag::KEY_ID, &self.key_id);
        writer.bytes(tag::WRAPPED_KEY, &self.wrapped_key.encode());
        if let Some(salt) = self.salt {
            writer.bytes(tag::SALT, &salt.0);
        }
        writer.text(tag::CONTEXT, &self.context);
        writer.number(tag::BUCKET_KEY, u64::from(self.bucket_key));
        writer.finish(&self.unknown)
    }

    /// Reads a field's bytes.
    pub fn decode(field: &[u8]) -> Result<Self, DecodeError> {
        let value = Bytes::copy_from_slice(field);
        let mut reader = FieldReader::new(RECORD, &value)?;
        let (mut scheme, mut wrapped_key) = (None, None);
        let (mut salt, mut bucket_key) = (None, false);
        let (mut key_id, mut context) = (String::new(), String::new());
        while let Some(field) = reader.next_field()? {
            match field.tag {
                tag::SCHEME => {
                    let error = field.error("unknown scheme");
                    scheme = Some(Scheme::of_number(field.number()?).ok_or(error)?);
                }
                tag::KEY_ID => key_id = field.text()?,
                tag::WRAPPED_KEY => {
                    let error = field.error("bad wrapped key");
                    wrapped_key = Some(WrappedKey::decode(field.value).ok_or(error)?);
                }
                tag::SALT => salt = Some(Salt(field.array()?)),
                tag::CONTEXT => context = field.text()?,
                tag::BUCKET_KEY => bucket_key = field.number()? != 0,
                _ => reader.keep(field),
            }
        }
        Ok(Self {
            scheme: scheme.ok_or(reader.error("no scheme"))?,
            wrapped_key: wrapped_key.ok_or(reader.error("no wrapped key"))?,
            key_id,
            salt,
            context,
            bucket_key,
            unknown: reader.into_unknown(),
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Any encryption.
    pub fn encryptions() -> impl Strategy<Value = Encryption> {
        let wrapped = proptest::collection::vec(any::<u8>(), 68).prop_map(|rest| {
            let bytes = [&[1], &rest[..]].concat();
            WrappedKey::decode(&bytes).unwrap()
        });
        let salt = proptest::option::of(any::<[u8; 16]>().prop_map(Salt));
        let texts = ("[a-z/-]{0,20}", "[a-z\"{}:]{0,20}");
        (1u64..=3, texts, wrapped, salt, any::<bool>()).prop_map(
            |(scheme, (key_id, context), wrapped_key, salt, bucket_key)| Encryption {
                scheme: Scheme::of_number(scheme).unwrap(),
                key_id,
                wrapped_key,
                salt,
                context,
                bucket_key,
                unknown: UnknownFields::default(),
            },
        )
    }

    proptest! {
        #[test]
        fn round_trips(encryption in encryptions()) {
            prop_assert_eq!(Encryption::decode(&encryption.encode()), Ok(encryption));
        }

        #[test]
        fn any_bytes_are_read_or_refused(field: Vec<u8>) {
            let _ = Encryption::decode(&field);
        }
    }
}
