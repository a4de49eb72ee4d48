//! What objects *mean*: buckets, objects, multipart uploads, listings, conditions, collection.
//!
//! A request handler keeps no state. Everything that must be consistent is one mutation on the
//! [engine](oncilla_meta); everything large is immutable bytes in [volumes](oncilla_blob), durable
//! before the mutation that names them commits. A crash therefore leaves at worst bytes that
//! nothing names, and the [collector] finds those.
//!
//! [`Store`] is the door. Its methods are grouped as the S3 API groups its operations:
//! [`bucket`] (with its configuration [`documents`]), [`object`], [`multipart`], [`list`]; what becomes of superseded versions is in
//! [`history`], and which of them may not go away in [`object_lock`]; how bodies are encrypted in
//! [`encryption`]. [`check`] verifies a store as a whole.

pub mod bucket;
pub mod check;
pub mod clock;
pub mod collector;
pub mod content;
pub mod documents;
pub mod encryption;
pub mod etag;
pub mod events;
mod fault;
pub mod history;
pub mod inventory;
pub mod lifecycle;
pub mod list;
mod locks;
pub mod multipart;
pub mod object;
pub mod object_lock;
mod pins;
pub mod rows;
mod store;
mod walk;

pub use bucket::Bucket;
pub use clock::{Clock, SystemClock, WallClock};
pub use content::{
    BodyReader, ByteRange, ContentWriter, Declared, DigestMismatch, WriteContentError,
    WrittenContent,
};
pub use documents::{Document, Documents, NewDocument};
pub use encryption::{EncryptionChoice, NewEncryption, UnlockError};
pub use etag::ETag;
pub use events::{Cause, Origin};
pub use fault::Fault;
pub use object_lock::LockOverride;
pub use rows::document::DocumentKind;
pub use rows::encryption::{Encryption, Scheme};
pub use rows::history::DeleteMarker;
pub use rows::key::UniqueId;
pub use rows::object::{ObjectRecord, ObjectSummary, StoredChecksum};
pub use rows::version_id::VersionId;
pub use store::{Store, StoreOptions};
