//! GetObjectTagging, PutObjectTagging and DeleteObjectTagging.

use http::StatusCode;
use oncilla_store::Bucket;
use oncilla_wire::error::S3Error;
use oncilla_wire::tagging::TagTarget;
use oncilla_wire::xml::tagging::{self, MAX_TAGGING_BODY_BYTES};

use crate::s3::answer::{Answer, empty, xml};
use crate::s3::body::read_document;
use crate::s3::request::S3Request;
use crate::s3::tags::{pairs_of, stored_tag_set};
use crate::s3::{S3Service, errors};

pub async fn get_tagging(service: &S3Service, request: &mut S3Request, bucket: &Bucket) -> Answer {
    request.refuse_other_versions()?;
    let record = service.store.object(bucket, request.key.as_bytes()).await;
    let record = record.map_err(|error| errors::get_object(&request.key, error))?;
    let tags = stored_tag_set(&record.tags, TagTarget::Object)?;
    Ok(xml(tagging::to_xml(&tags)))
}

pub async fn put_tagging(service: &S3Service, request: &mut S3Request, bucket: &Bucket) -> Answer {
    request.refuse_other_versions()?;
    let document = read_document(request, MAX_TAGGING_BODY_BYTES as u64).await?;
    let tags = pairs_of(tagging::parse(&document, TagTarget::Object)?);
    set_tags(service, request, bucket, tags).await?;
    Ok(empty(StatusCode::OK))
}

pub async fn delete_tagging(
    service: &S3Service,
    request: &mut S3Request,
    bucket: &Bucket,
) -> Answer {
    request.refuse_other_versions()?;
    set_tags(service, request, bucket, Vec::new()).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

async fn set_tags(
    service: &S3Service,
    request: &S3Request,
    bucket: &Bucket,
    tags: Vec<(String, String)>,
) -> Result<(), S3Error> {
    let key = request.key.as_bytes();
    let changed = service
        .store
        .update_object(bucket, key, |record| record.tags.clone_from(&tags))
        .await;
    changed
        .map(drop)
        .map_err(|error| errors::update_object(&request.key, error))
}
