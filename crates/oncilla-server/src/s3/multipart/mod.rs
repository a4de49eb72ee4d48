//! Operations on multipart uploads.

mod complete;
mod create;
mod list;
mod part;

pub use complete::{abort, complete};
pub use create::create;
pub use list::{list_parts, list_uploads};
pub use part::{upload_part, upload_part_copy};

use oncilla_store::Bucket;
use oncilla_store::multipart::Upload;
use oncilla_wire::error::S3Error;

use crate::s3::request::S3Request;
use crate::s3::{S3Service, errors};

/// The open upload that a request names.
async fn find_upload(
    service: &S3Service,
    request: &S3Request,
    bucket: &Bucket,
) -> Result<Upload, S3Error> {
    let text = request.query.get("uploadId").unwrap_or_default();
    let id = oncilla_store::UniqueId::from_hex(text).ok_or_else(|| errors::no_such_upload(text))?;
    let upload = service
        .store
        .upload(bucket, request.key.as_bytes(), id)
        .await;
    upload.map_err(|error| errors::upload(text, error))
}
