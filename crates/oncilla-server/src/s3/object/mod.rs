//! Operations on objects.

mod acl;
mod attributes;
mod copy;
mod delete;
mod encryption;
mod get;
mod headers;
mod put;
mod tagging;

pub use acl::{get_acl, put_acl};
pub use attributes::attributes;
pub use copy::copy;
pub use delete::{delete, delete_many};
pub use encryption::update_encryption;
pub use get::{READER_MEMORY_BYTES, get, head};
pub use put::{ALGORITHM_DEFAULT, put};
pub use tagging::{delete_tagging, get_tagging, put_tagging};

pub(super) use copy::{copy_source, set_source_version};
pub(super) use headers::new_object;
