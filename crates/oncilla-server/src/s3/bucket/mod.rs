//! Operations on buckets.

mod accelerate;
mod acl;
pub mod continuation_token;
mod cors;
mod create;
mod delete;
mod encryption;
mod head;
mod inventory;
mod lifecycle;
mod list_objects;
mod list_versions;
pub mod listing;
mod location;
mod logging;
mod named_configuration;
mod notification;
mod object_lock;
mod ownership;
mod policy;
mod public_access;
mod request_payment;
mod tagging;
mod versioning;
mod website;

pub use accelerate::{get_accelerate, put_accelerate};
pub use acl::{get_acl, put_acl};
pub use cors::{delete_cors, get_cors, put_cors};
pub use create::create;
pub use delete::delete;
pub use encryption::{delete_encryption, get_encryption, put_encryption};
pub use head::head;
pub use inventory::{delete_inventory, get_inventory, list_inventories, put_inventory};
pub use lifecycle::{delete_lifecycle, get_lifecycle, put_lifecycle};
pub use list_objects::{list_objects, list_objects_v2};
pub use list_versions::list_versions;
pub use location::location;
pub use logging::{get_logging, put_logging};
pub use named_configuration::{
    delete_configuration, get_configuration, list_configurations, put_configuration,
};
pub use notification::{get_notification, put_notification};
pub use object_lock::{get_object_lock, put_object_lock};
pub use ownership::{delete_ownership, get_ownership, put_ownership};
pub use policy::{delete_policy, get_policy, get_policy_status, put_policy};
pub use public_access::{
    delete_public_access_block, get_public_access_block, put_public_access_block,
};
pub use request_payment::{get_request_payment, put_request_payment};
pub use tagging::{delete_tagging, get_tagging, put_tagging};
pub use versioning::{get_versioning, put_versioning};
pub use website::{delete_website, get_website, no_website, put_website};

use oncilla_store::bucket::BucketError;
use oncilla_store::rows::bucket::BucketRecord;
use oncilla_store::{Bucket, DocumentKind, NewDocument};
use oncilla_wire::error::S3Error;

use crate::s3::{S3Service, errors};

/// Sets or removes the configuration document of a kind of which there is one.
pub(super) async fn put_document(
    service: &S3Service,
    bucket: &Bucket,
    kind: DocumentKind,
    new: Option<NewDocument>,
) -> Result<(), S3Error> {
    put_named_document(service, bucket, kind, "", new).await
}

/// As [`put_document`], for kinds whose documents have names; `name` is empty for the others.
async fn put_named_document(
    service: &S3Service,
    bucket: &Bucket,
    kind: DocumentKind,
    name: &str,
    new: Option<NewDocument>,
) -> Result<(), S3Error> {
    let set = service.store.put_document(bucket, kind, name, new).await;
    set.map_err(|error| errors::put_document(error).detail("BucketName", bucket.name.clone()))
}

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

/// Sets a configuration of the bucket, or removes it with `None`; `name` is empty for kinds of
/// which there is one.
async fn set_document(
    service: &S3Service,
    bucket: &Bucket,
    kind: DocumentKind,
    name: &str,
    text: Option<Vec<u8>>,
) -> Result<(), S3Error> {
    let new = text.map(|text| NewDocument {
        text: text.into(),
        ..NewDocument::default()
    });
    put_named_document(service, bucket, kind, name, new).await
}
