//! The S3 operations as methods of [`crate::Client`], grouped as the S3 API groups them.

pub(crate) mod bucket_documents;
mod buckets;
mod listing;
mod multipart;
pub(crate) mod objects;
pub(crate) mod presign;
mod tagging;
