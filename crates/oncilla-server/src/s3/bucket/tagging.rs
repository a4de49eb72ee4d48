//! GetBucketTagging, PutBucketTagging and DeleteBucketTagging.

use http::StatusCode;
use oncilla_store::Bucket;
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::tagging::TagTarget;
use oncilla_wire::xml::tagging::{self, MAX_TAGGING_BODY_BYTES};

use crate::s3::S3Service;
use crate::s3::answer::{Answer, empty, xml};
use crate::s3::body::read_document;
use crate::s3::bucket::update;
use crate::s3::request::S3Request;
use crate::s3::tags::{pairs_of, stored_tag_set};

pub fn get_tagging(bucket: &Bucket) -> Answer {
    if bucket.record.tags.is_empty() {
        let error = S3Error::new(S3ErrorCode::NoSuchTagSet);
        return Err(error.detail("BucketName", bucket.name.clone()));
    }
    let tags = stored_tag_set(&bucket.record.tags, TagTarget::Bucket)?;
    Ok(xml(tagging::to_xml(&tags)))
}

/// Replaces the bucket's tags. S3 answers 204, as to the deletion.
pub async fn put_tagging(service: &S3Service, request: &mut S3Request, bucket: &Bucket) -> Answer {
    let document = read_document(request, MAX_TAGGING_BODY_BYTES as u64).await?;
    let tags = pairs_of(tagging::parse(&document, TagTarget::Bucket)?);
    update(service, bucket, |record| record.tags.clone_from(&tags)).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

pub async fn delete_tagging(service: &S3Service, bucket: &Bucket) -> Answer {
    update(service, bucket, |record| record.tags.clear()).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}
