//! A window of the object: what was read and not used yet.

use oncilla_wire::error::{S3Error, S3ErrorCode};

use crate::RECORD_BYTES_MAX;

/// How much the window holds before no more is wanted: the longest record and what ends it.
pub const WINDOW_BYTES: usize = RECORD_BYTES_MAX + 16;

/// A window of the object.
#[derive(Debug, Default)]
pub struct Window {
    bytes: Vec<u8>,
    /// Where what is not used yet begins.
    start: usize,
    /// Where the first of `bytes` lies in the object.
    offset: u64,
    ended: bool,
}

impl Window {
    /// A window that begins at this byte of the object.
    pub fn at(offset: u64) -> Self {
        Self {
            offset,
            ..Self::default()
        }
    }

    /// What was read and not used yet.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Where that begins in the object.
    pub fn position(&self) -> u64 {
        self.offset + self.start as u64
    }

    /// Whether no more will come.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Says that no more will come.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Passes over so many bytes.
    pub fn consume(&mut self, count: usize) {
        self.start += count;
        debug_assert!(self.start <= self.bytes.len());
    }

    /// How many more bytes it takes.
    pub fn room(&self) -> usize {
        WINDOW_BYTES.saturating_sub(self.bytes().len())
    }

    /// Takes more bytes, at most as many as there is room for.
    pub fn push(&mut self, bytes: &[u8]) {
        debug_assert!(bytes.len() <= self.room());
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.offset += self.start as u64;
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }
}

/// Refuses a record that is longer than S3 allows.
pub fn check_length(length: usize) -> Result<(), S3Error> {
    if length > RECORD_BYTES_MAX {
        return Err(S3ErrorCode::OverMaxRecordSize.into());
    }
    Ok(())
}

/// The text of a record.
pub fn text(record: &[u8]) -> Result<&str, S3Error> {
    std::str::from_utf8(record).map_err(|_| S3ErrorCode::InvalidTextEncoding.into())
}
