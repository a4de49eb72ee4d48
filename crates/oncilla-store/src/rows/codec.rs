//! How records are laid out in a row's value: a format byte, then fields of (tag, length, bytes).
//!
//! A reader keeps the fields whose tag it does not know and writes them back, so that a record
//! which a newer binary extended survives being rewritten by an older one. A record whose *format
//! byte* is newer is refused: the change was one that an older binary must not touch.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

/// The format byte of every record this binary writes.
const RECORD_FORMAT: u8 = 1;

/// A row's value is not a record that this binary can read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{record} record unreadable: {detail}")]
pub struct DecodeError {
    /// Which kind of record.
    pub record: &'static str,
    /// What is wrong with it.
    pub detail: &'static str,
}

/// Fields with tags unknown to this binary, kept as they were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnknownFields(Vec<(u64, Bytes)>);

/// Writes one record.
pub struct FieldWriter {
    buffer: BytesMut,
}

impl FieldWriter {
    /// A writer with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        let mut buffer = BytesMut::with_capacity(capacity);
        buffer.put_u8(RECORD_FORMAT);
        Self { buffer }
    }

    /// Writes a field of raw bytes.
    pub fn bytes(&mut self, tag: u64, value: &[u8]) {
        put_varint(&mut self.buffer, tag);
        put_varint(&mut self.buffer, value.len() as u64);
        self.buffer.put_slice(value);
    }

    /// Writes a number, unless it is zero: an absent number reads as zero.
    pub fn number(&mut self, tag: u64, value: u64) {
        if value == 0 {
            return;
        }
        let mut encoded = BytesMut::with_capacity(VARINT_BYTES_MAX);
        put_varint(&mut encoded, value);
        self.bytes(tag, &encoded);
    }

    /// Writes a string, unless it is empty: an absent string reads as empty.
    pub fn text(&mut self, tag: u64, value: &str) {
        if !value.is_empty() {
            self.bytes(tag, value.as_bytes());
        }
    }

    /// Writes a pair of byte strings as one field.
    pub fn pair(&mut self, tag: u64, first: &[u8], second: &[u8]) {
        let mut encoded = BytesMut::with_capacity(VARINT_BYTES_MAX + first.len() + second.len());
        put_varint(&mut encoded, first.len() as u64);
        encoded.put_slice(first);
        encoded.put_slice(second);
        self.bytes(tag, &encoded);
    }

    /// Writes back what an earlier read did not understand, and ends the record.
    pub fn finish(mut self, unknown: &UnknownFields) -> Bytes {
        for (tag, value) in &unknown.0 {
            self.bytes(*tag, value);
        }
        self.buffer.freeze()
    }
}

/// Reads the fields of one record in the order they were written.
///
/// Fields are borrowed, and only what is kept takes a reference to the row. A row shares the count
/// of its references with a whole block of rows, which all cores read: counting each field
/// cost a third of a listing.
pub struct FieldReader<'v> {
    record: &'static str,
    value: &'v Bytes,
    rest: &'v [u8],
    unknown: UnknownFields,
}

impl<'v> FieldReader<'v> {
    /// Checks the format byte. `record` names the kind of record in errors.
    pub fn new(record: &'static str, value: &'v Bytes) -> Result<Self, DecodeError> {
        match value.split_first() {
            Some((&RECORD_FORMAT, rest)) => Ok(Self {
                record,
                value,
                rest,
                unknown: UnknownFields::default(),
            }),
            Some(_) => Err(DecodeError {
                record,
                detail: "written in a format newer than this version of oncilla understands",
            }),
            None => Err(DecodeError {
                record,
                detail: "empty",
            }),
        }
    }

    /// The next field, or `None` at the end of the record.
    pub fn next_field(&mut self) -> Result<Option<Field<'v>>, DecodeError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let length = self.varint()?;
        let Some((value, rest)) = usize::try_from(length)
            .ok()
            .and_then(|length| self.rest.split_at_checked(length))
        else {
            return Err(self.error("a field is longer than the record"));
        };
        self.rest = rest;
        Ok(Some(Field {
            record: self.record,
            tag,
            value,
            row: self.value,
        }))
    }

    /// Keeps a field this binary does not know.
    pub fn keep(&mut self, field: Field<'v>) {
        self.unknown
            .0
            .push((field.tag, field.row.slice_ref(field.value)));
    }

    /// The fields that were kept.
    pub fn into_unknown(self) -> UnknownFields {
        self.unknown
    }

    /// An error about this record.
    pub fn error(&self, detail: &'static str) -> DecodeError {
        DecodeError {
            record: self.record,
            detail,
        }
    }

    fn varint(&mut self) -> Result<u64, DecodeError> {
        take_varint(&mut self.rest).ok_or(DecodeError {
            record: self.record,
            detail: "bad number",
        })
    }
}

/// One field of a record.
pub struct Field<'v> {
    record: &'static str,
    /// Which field.
    pub tag: u64,
    /// Its bytes.
    pub value: &'v [u8],
    /// The row that the bytes lie in.
    row: &'v Bytes,
}

impl Field<'_> {
    /// The field as a number.
    pub fn number(mut self) -> Result<u64, DecodeError> {
        let number = take_varint(&mut self.value);
        number
            .filter(|_| self.value.is_empty())
            .ok_or(self.error("bad number"))
    }

    /// The field as text.
    pub fn text(&self) -> Result<String, DecodeError> {
        self.str().map(str::to_owned)
    }

    fn str(&self) -> Result<&str, DecodeError> {
        std::str::from_utf8(self.value).map_err(|_| self.error("text is not UTF-8"))
    }

    /// The field as exactly `N` bytes.
    pub fn array<const N: usize>(&self) -> Result<[u8; N], DecodeError> {
        <[u8; N]>::try_from(self.value).map_err(|_| self.error("wrong length"))
    }

    /// The field as a pair of byte strings.
    pub fn pair(mut self) -> Result<(Bytes, Bytes), DecodeError> {
        let parts = take_varint(&mut self.value)
            .and_then(|length| usize::try_from(length).ok())
            .and_then(|length| self.value.split_at_checked(length));
        match parts {
            Some((first, second)) => Ok((self.row.slice_ref(first), self.row.slice_ref(second))),
            None => Err(self.error("bad pair")),
        }
    }

    /// An error about this field's record.
    pub fn error(&self, detail: &'static str) -> DecodeError {
        DecodeError {
            record: self.record,
            detail,
        }
    }
}

/// A text that successive records mostly share, such as the owner of objects. Copies of it are one.
#[derive(Debug, Default)]
pub struct SharedText(Arc<str>);

impl SharedText {
    /// The field as text.
    pub fn of(&mut self, field: &Field) -> Result<Arc<str>, DecodeError> {
        if self.0.as_bytes() != field.value {
            self.0 = field.str()?.into();
        }
        Ok(Arc::clone(&self.0))
    }
}

/// Ten groups of seven bits hold any `u64`.
const VARINT_BYTES_MAX: usize = 10;

/// Appends a number in LEB128.
pub fn put_varint(buffer: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        buffer.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    buffer.put_u8(value as u8);
}

/// Takes a LEB128 number off the front; `None` if there is none or it does not fit a `u64`.
#[inline]
pub fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    // Nearly all of them are tags and lengths below 128.
    if let Some((&byte, rest)) = bytes.split_first()
        && byte < 0x80
    {
        *bytes = rest;
        return Some(u64::from(byte));
    }
    take_long_varint(bytes)
}

fn take_long_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for (index, &byte) in bytes.iter().take(VARINT_BYTES_MAX).enumerate() {
        let bits = u64::from(byte & 0x7f);
        let shift = 7 * index as u32;
        if bits > u64::MAX >> shift {
            return None;
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            *bytes = &bytes[index + 1..];
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn varint_round_trips(value: u64) {
            let mut buffer = BytesMut::new();
            put_varint(&mut buffer, value);
            let mut bytes = &buffer[..];
            prop_assert_eq!(take_varint(&mut bytes), Some(value));
            prop_assert!(bytes.is_empty());
        }

        #[test]
        fn any_bytes_are_read_or_refused(value: Vec<u8>) {
            if let Ok(mut reader) = FieldReader::new("test", &Bytes::from(value)) {
                while let Ok(Some(field)) = reader.next_field() {
                    let _ = field.text();
                    let _ = field.pair();
                }
            }
        }
    }

    #[test]
    fn unknown_fields_survive_a_rewrite() {
        let mut writer = FieldWriter::with_capacity(64);
        writer.number(1, 7);
        writer.bytes(900, b"from the future");
        let value = writer.finish(&UnknownFields::default());

        let mut reader = FieldReader::new("test", &value).unwrap();
        let first = reader.next_field().unwrap().unwrap();
        assert_eq!((first.tag, first.number().unwrap()), (1, 7));
        let second = reader.next_field().unwrap().unwrap();
        reader.keep(second);
        let mut writer = FieldWriter::with_capacity(64);
        writer.number(1, 7);
        assert_eq!(writer.finish(&reader.into_unknown()), value);
    }

    #[test]
    fn a_newer_format_is_refused() {
        let error = FieldReader::new("object", &Bytes::from_static(&[2, 1, 1, 0]))
            .err()
            .unwrap();
        assert!(error.to_string().contains("newer"));
    }
}
