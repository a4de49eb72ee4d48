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
pub mod cors;
pub mod digits;
pub mod encryption;
pub mod error;
pub mod event;
pub mod event_stream;
pub mod form;
pub mod header;
pub mod names;
pub mod object_lock;
pub mod operation;
pub mod post_policy;
pub mod query;
pub mod query_api;
pub mod range;
pub mod rename_source;
pub mod sigv2;
pub mod sigv4;
pub mod storage_class;
pub mod tagging;
pub mod time;
pub mod uri;
pub mod website;
pub mod xml;
