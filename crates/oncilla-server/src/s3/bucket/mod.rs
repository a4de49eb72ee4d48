//! Operations on buckets.

mod acl;
mod continuation_token;
mod create;
mod delete;
mod encryption;
mod head;
mod list_objects;
mod list_versions;
pub mod listing;
mod location;
mod tagging;
mod versioning;

pub use acl::{get_acl, put_acl};
pub use create::create;
pub use delete::delete;
pub use encryption::{delete_encryption, get_encryption, put_encryption};
pub use head::head;
pub use list_objects::{list_objects, list_objects_v2};
pub use list_versions::list_versions;
pub use location::location;
pub use tagging::{delete_tagging, get_tagging, put_tagging};
pub use versioning::{get_versioning, put_versioning};

use oncilla_store::Bucket;
use oncilla_store::bucket::BucketError;
use oncilla_store::rows::bucket::BucketRecord;
use oncilla_wire::error::S3Error;

use crate::s3::{S3Service, errors};

/// Changes the bucket that the request was authorized for. The store finds buckets by name; if
/// another one took the name meanwhile, it is left as it is and the answer is `NoSuchBucket`.
async fn update(
    service: &S3Service,
    bucket: &Bucket,
    change: impl Fn(&mut BucketRecord),
) -> Result<(), S3Error> {
    let updated = service
        .store
        .update_bucket(&bucket.name, |record| {
            if record.id == bucket.id() {
                change(record);
            }
        })
        .await;
    let same = match updated {
        Ok(updated) if updated.id() == bucket.id() => Ok(()),
        Ok(_) => Err(BucketError::NoSuchBucket),
        Err(error) => Err(error),
    };
    same.map_err(|error| errors::bucket(error).detail("BucketName", bucket.name.clone()))
}
