//! The bytes of objects and parts: written, hashed and verified before anything refers to them;
//! read back verified.

mod hashing;
mod read;
mod relocate;
mod sealed;
mod write;

pub use read::{BodyReader, ByteRange};
pub use write::{ContentWriter, Declared, DigestMismatch, WriteContentError, WrittenContent};

pub(crate) use hashing::{HashThreads, hash_threads_default};
pub(crate) use read::{BodySource, PinnedExtents, UploadSource};
pub(crate) use relocate::Relocated;
pub(crate) use sealed::{BodyKey, kept_bytes};
pub(crate) use write::{ContentLimits, NewBody};
