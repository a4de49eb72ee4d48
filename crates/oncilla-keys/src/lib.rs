//! The key service: what bodies are encrypted with, and what protects those keys.
//!
//! There are three layers, so that whatever is rotated is small:
//!
//! - The *master key* (32 bytes) comes from outside, or from a file that is made on first use
//!   ([`MasterKeySource`]). It wraps KMS keys and nothing else.
//! - *KMS keys* ([`KmsKey`]) are rows of the engine: an id, aliases, and one secret per version,
//!   wrapped by the master key. Rotation adds a version; older ones go on unwrapping. The keys of
//!   SSE-S3 and of `aws:kms` without a key id are KMS keys as well, made when they are first needed.
//! - A *data key* ([`DataKey`]) is random and belongs to one object or one multipart upload. It is
//!   kept beside the object, wrapped by a KMS key or by the client's own ([`CustomerKey`]).
//!
//! Nothing is ever encrypted with these keys directly. What is used is derived from one of them and a
//! random salt by HKDF-SHA-256, so that AES-256-GCM starts with a fresh key for every body and every
//! wrapped key, and counting frames from 0 never repeats a nonce ([`BodyCipher`]).
//!
//! All KMS keys are in memory while the service is open: using one costs no read.

mod cipher;
mod error;
mod master;
mod row;
mod secret;
mod service;
mod wrapped;

pub use cipher::{BodyCipher, Salt, TAG_BYTES};
pub use error::{KeysError, OpenFailed};
pub use master::{MasterKey, MasterKeyError, MasterKeySource};
pub use secret::{CustomerKey, DataKey};
pub use service::{Keys, KmsKey, KmsKeyInfo, NewKmsKey, SSE_S3_KEY_ID};
pub use wrapped::WrappedKey;
