//! Operations on objects.

mod acl;
mod append;
mod attributes;
mod copy;
mod delete;
mod encryption;
mod get;
mod headers;
mod lock;
mod put;
mod rename;
mod restore;
mod select;
mod tagging;

pub use acl::{get_acl, put_acl};
pub use attributes::attributes;
pub use copy::copy;
pub use delete::{delete, delete_many};
pub use encryption::update_encryption;
pub use get::{READER_MEMORY_BYTES, get, head};
pub use lock::{get_legal_hold, get_retention, put_legal_hold, put_retention};
pub use put::{ALGORITHM_DEFAULT, put};
pub use rename::rename;
pub use restore::restore;
pub use select::select;
pub use tagging::{delete_tagging, get_tagging, put_tagging};

pub(super) use copy::{copy_source, set_source_version};
pub(super) use headers::new_object;
