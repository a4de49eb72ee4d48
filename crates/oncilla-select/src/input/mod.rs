//! Bytes to records.

pub mod buffer;
pub mod csv;
pub mod decompress;
pub mod json;
