//! The S3 protocol without I/O: which operation a request means, whether its signature holds, how
//! its body is framed, what its XML says, and how answers and errors are written.
//!
//! Nothing here knows of sockets, runtimes or storage, so that all of it can be tested and fuzzed
//! on bytes alone, and so that the gateway can use the same code as the store.

pub mod address;
pub mod checksum_headers;
pub mod chunked;
pub mod conditions;
pub mod copy_source;
pub mod encryption;
pub mod error;
pub mod header;
pub mod names;
pub mod operation;
pub mod query;
pub mod range;
pub mod sigv4;
pub mod tagging;
pub mod time;
pub mod uri;
pub mod xml;
