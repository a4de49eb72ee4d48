//! GetObjectTagging, PutObjectTagging and DeleteObjectTagging.

use http::StatusCode;
use oncilla_store::{Bucket, ObjectRecord};
use oncilla_wire::event::EventKind;
use oncilla_wire::tagging::TagTarget;
use oncilla_wire::xml::tagging::{self, MAX_TAGGING_BODY_BYTES};

use crate::s3::S3Service;
use crate::s3::answer::{Answer, empty, set_version, xml};
use crate::s3::body::read_document;
use crate::s3::request::S3Request;
use crate::s3::tags::{pairs_of, stored_tag_set};

pub async fn get_tagging(service: &S3Service, request: &mut S3Request, bucket: &Bucket) -> Answer {
    let version = request.version_id()?;
    let key = request.key.as_bytes();
    let record = service.store.object_version(bucket, key, version).await;
    let record = service.found(request, bucket, record).await?;
    let tags = stored_tag_set(&record.tags, TagTarget::Object)?;
    let mut response = xml(tagging::to_xml(&tags));
    set_version(&mut response, bucket, record.version_id())?;
    Ok(response)
}

pub async fn put_tagging(service: &S3Service, request: &mut S3Request, bucket: &Bucket) -> Answer {
    let document = read_document(request, MAX_TAGGING_BODY_BYTES as u64).await?;
    let tags = pairs_of(tagging::parse(&document, TagTarget::Object)?);
    // It is judged again with the object that gets them.
    request.document = Some(document);
    let (status, event) = (StatusCode::OK, EventKind::TaggingPut);
    set_tags(service, request, bucket, tags, status, event).await
}

pub async fn delete_tagging(
    service: &S3Service,
    request: &mut S3Request,
    bucket: &Bucket,
) -> Answer {
    let (status, event) = (StatusCode::NO_CONTENT, EventKind::TaggingDelete);
    set_tags(service, request, bucket, Vec::new(), status, event).await
}

async fn set_tags(
    service: &S3Service,
    request: &S3Request,
    bucket: &Bucket,
    tags: Vec<(String, String)>,
    status: StatusCode,
    event: EventKind,
) -> Answer {
    let change = |record: &mut ObjectRecord| record.tags.clone_from(&tags);
    let changed = service.change_judged(request, bucket, event, |_| Ok(change));
    let record = changed.await?;
    let mut response = empty(status);
    set_version(&mut response, bucket, record.version_id())?;
    Ok(response)
}
