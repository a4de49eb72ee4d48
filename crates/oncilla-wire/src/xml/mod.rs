//! S3's XML documents: one file per family, one type per document, used by the server and by clients.
//!
//! Every document type borrows or owns its text (`Cow`), is written with `to_xml` and read with
//! `parse`, so that reading back what was written gives an equal value. Keys, prefixes and
//! delimiters in these types are always plain; `encoding-type=url` happens inside `to_xml` and
//! `parse`. Entity tags are always without quotes; `to_xml` adds them, `parse` takes them off.
//! Readers answer `MalformedXML`, ignore elements they do not know, and never resolve DTDs or entities.
//! Those of requests refuse a second element where S3's schema has one at most.

pub mod accelerate;
pub mod acl;
pub mod attributes;
pub mod bucket;
pub mod checksum;
pub mod copy;
pub mod cors;
pub mod delete;
pub mod encryption;
pub mod error;
pub mod inventory;
pub mod lifecycle;
pub mod list_buckets;
pub mod list_objects;
pub mod list_versions;
pub mod location;
pub mod logging;
pub mod multipart;
pub mod named_configuration;
pub mod notification;
pub mod object_lock;
pub mod owner;
pub mod ownership;
pub mod post;
pub mod public_access;
pub mod reader;
pub mod request_payment;
pub mod restore;
pub mod select;
pub mod tagging;
pub mod versioning;
pub mod website;
pub mod writer;

pub use checksum::Checksums;
pub use owner::Owner;
pub use writer::{KeyEncoding, NAMESPACE, XmlWriter};

/// The content type of every document.
pub const CONTENT_TYPE: &str = "application/xml";
