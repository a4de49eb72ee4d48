//! Objects and their versions: put, append, get, delete, copy, rename, and changes of what is kept beside the bytes.

mod append;
mod copy;
mod delete;
pub(crate) mod get;
pub(crate) mod put;
mod rename;
mod update;

pub use append::{AppendError, AppendObject, IsWanted};
pub use copy::{Copied, CopyEncryption, CopyError, CopyObject, Directive};
pub use delete::{DeleteObjectError, Deleted};
pub use get::{GetObjectError, ObjectBody};
pub use put::{NewObject, PutObjectError, too_many_writers};
pub use rename::{RENAME_TOKEN_KEPT_MS, RenameError, RenameObject};
pub use update::UpdateEncryptionError;
