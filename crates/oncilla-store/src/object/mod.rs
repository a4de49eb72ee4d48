//! Objects and their versions: put, get, delete, copy, and changes of what is kept beside the bytes.

mod copy;
mod delete;
mod get;
pub(crate) mod put;
mod update;

pub use copy::{Copied, CopyEncryption, CopyError, CopyObject, Directive};
pub use delete::{DeleteObjectError, Deleted};
pub use get::{GetObjectError, ObjectBody};
pub use put::{NewObject, PutObjectError};
pub use update::UpdateEncryptionError;
