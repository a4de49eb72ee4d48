//! DeleteBucket.

use http::StatusCode;
use oncilla_store::Bucket;

use crate::s3::answer::{Answer, empty};
use crate::s3::{S3Service, errors};

pub async fn delete(service: &S3Service, bucket: &Bucket) -> Answer {
    let deleted = service.store.delete_bucket(bucket).await;
    deleted
        .map_err(|error| errors::delete_bucket(error).detail("BucketName", bucket.name.clone()))?;
    Ok(empty(StatusCode::NO_CONTENT))
}
