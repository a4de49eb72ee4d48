//! Version ids: what names one version of an object for good.
//!
//! An id is made of what the version's record has anyway: the hybrid-logical time of its write,
//! which finds its row in the [history](super::history) with one point read, and the random half
//! of its [unique id](UniqueId), by which it is recognised. To clients it is opaque.

use std::fmt;

use bytes::Bytes;
use oncilla_hash::hex;
use oncilla_wire::xml::list_versions::NULL_VERSION_ID;

use super::codec::{DecodeError, FieldReader};
use super::key::UniqueId;
use super::object::tag;

/// Bytes of an id: inverted time (8), random (8).
const ID_BYTES: usize = 16;

/// Which version of an object.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum VersionId {
    /// The version that was written while the bucket did not give ids: `null`. A key has one at
    /// most.
    Null,
    /// A version that was written while versioning was enabled.
    Unique {
        /// Hybrid-logical time of the write.
        time: u64,
        /// The random half of its unique id.
        random: [u8; 8],
    },
}

impl VersionId {
    /// The version id of the record with this identity and time.
    pub fn of(versioned: bool, id: UniqueId, time: u64) -> Self {
        if !versioned {
            return Self::Null;
        }
        let mut random = [0; 8];
        random.copy_from_slice(&id.0[8..]);
        Self::Unique { time, random }
    }

    /// The version id in the value of a row of `o` or `h`, read without the rest of it.
    pub fn of_row(value: Bytes) -> Result<Self, DecodeError> {
        let mut reader = FieldReader::new("object", &value)?;
        let (mut id, mut time, mut versioned) = (None, 0, false);
        while let Some(field) = reader.next_field()? {
            match field.tag {
                tag::ID => id = Some(UniqueId(field.array()?)),
                tag::TIME => time = field.number()?,
                tag::VERSIONED => versioned = field.number()? != 0,
                _ => {}
            }
        }
        let id = id.ok_or(reader.error("no id"))?;
        Ok(Self::of(versioned, id, time))
    }

    /// Reads an id as clients send it; `None` for a text that no version here can have.
    pub fn parse(text: &str) -> Option<Self> {
        if text == NULL_VERSION_ID {
            return Some(Self::Null);
        }
        let bytes: [u8; ID_BYTES] = hex::decode(text.as_bytes())?;
        let (mut inverted, mut random) = ([0; 8], [0; 8]);
        inverted.copy_from_slice(&bytes[..8]);
        random.copy_from_slice(&bytes[8..]);
        let id = Self::Unique {
            time: !u64::from_be_bytes(inverted),
            random,
        };
        // One spelling only: ids are compared as text by clients.
        (id.to_string() == text).then_some(id)
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str(NULL_VERSION_ID),
            Self::Unique { time, random } => {
                write!(f, "{:016x}{}", !time, hex::encode(random))
            }
        }
    }
}

impl fmt::Debug for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The value of the row (`v`) that says where in the history the null version of a key is: the time
/// in the key of its row.
pub fn encode_null_time(time: u64) -> Bytes {
    Bytes::copy_from_slice(&time.to_be_bytes())
}

/// Reads what [`encode_null_time`] wrote.
pub fn decode_null_time(value: &Bytes) -> Result<u64, DecodeError> {
    let time = value[..].try_into().map(u64::from_be_bytes);
    time.map_err(|_| DecodeError {
        record: "null version",
        detail: "bad time",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ids_round_trip(time: u64, id: [u8; 16]) {
            let version = VersionId::of(true, UniqueId(id), time);
            let text = version.to_string();
            prop_assert_eq!(text.len(), 32);
            prop_assert_eq!(VersionId::parse(&text), Some(version));
            prop_assert_eq!(VersionId::of(false, UniqueId(id), time), VersionId::Null);
            prop_assert_eq!(decode_null_time(&encode_null_time(time)), Ok(time));
        }

        #[test]
        fn newer_versions_have_smaller_ids(a: u64, b: u64, id: [u8; 16]) {
            let text = |time| VersionId::of(true, UniqueId(id), time).to_string();
            prop_assert_eq!(a.cmp(&b), text(b).cmp(&text(a)));
        }

        #[test]
        fn any_text_is_read_or_refused(text: String, hex in "[0-9a-fA-F]{30,34}") {
            for text in [text, hex] {
                if let Some(version) = VersionId::parse(&text) {
                    prop_assert_eq!(version.to_string(), text);
                }
            }
        }
    }

    #[test]
    fn null_is_a_version() {
        assert_eq!(VersionId::parse("null"), Some(VersionId::Null));
        assert_eq!(VersionId::Null.to_string(), "null");
        for text in ["", "NULL", "3HL4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY", "0"] {
            assert_eq!(VersionId::parse(text), None, "{text}");
        }
    }
}
