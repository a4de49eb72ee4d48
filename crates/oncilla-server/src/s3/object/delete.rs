//! DeleteObject and DeleteObjects.

use futures_util::stream::{self, StreamExt};
use http::StatusCode;
use oncilla_store::Bucket;
use oncilla_wire::conditions::Conditions;
use oncilla_wire::error::S3Error;
use oncilla_wire::names::check_key;
use oncilla_wire::xml::delete::{
    Delete, DeleteError, DeleteResult, DeletedObject, MAX_DELETE_BODY_BYTES, ObjectIdentifier,
};

use crate::s3::answer::{Answer, empty, xml};
use crate::s3::body::read_document;
use crate::s3::request::{S3Request, no_such_version};
use crate::s3::{S3Service, errors};

/// Deletions of one request under way at a time: enough for them to share commits.
const DELETIONS_AT_ONCE: usize = 128;

pub async fn delete(service: &S3Service, request: &mut S3Request, bucket: &Bucket) -> Answer {
    request.refuse_other_versions()?;
    let conditions = Conditions::from_headers(&request.headers);
    let deleted = service
        .store
        .delete_object(bucket, request.key.as_bytes(), &conditions)
        .await;
    deleted.map_err(errors::delete_object)?;
    Ok(empty(StatusCode::NO_CONTENT))
}

pub async fn delete_many(service: &S3Service, request: &mut S3Request, bucket: &Bucket) -> Answer {
    let document = read_document(request, MAX_DELETE_BODY_BYTES as u64).await?;
    let delete = Delete::parse(&document)?;
    let deletions: Vec<_> = delete
        .objects
        .iter()
        .map(|object| delete_one(service, bucket, object))
        .collect();
    let outcomes: Vec<_> = stream::iter(deletions)
        .buffered(DELETIONS_AT_ONCE)
        .collect()
        .await;
    let mut result = DeleteResult::default();
    for (object, outcome) in delete.objects.into_iter().zip(outcomes) {
        match outcome {
            Ok(()) if delete.quiet => {}
            Ok(()) => result.deleted.push(DeletedObject {
                key: object.key,
                version_id: object.version_id,
                ..DeletedObject::default()
            }),
            Err(error) => result.errors.push(DeleteError {
                key: object.key,
                version_id: object.version_id,
                code: error.code.as_str().into(),
                message: error.message,
            }),
        }
    }
    Ok(xml(result.to_xml()))
}

async fn delete_one(
    service: &S3Service,
    bucket: &Bucket,
    object: &ObjectIdentifier<'_>,
) -> Result<(), S3Error> {
    check_key(&object.key)?;
    if let Some(version_id) = object
        .version_id
        .as_deref()
        .filter(|id| !matches!(*id, "" | "null"))
    {
        return Err(no_such_version(version_id));
    }
    let deleted = service
        .store
        .delete_object(bucket, object.key.as_bytes(), &object.conditions())
        .await;
    deleted.map(drop).map_err(errors::delete_object)
}
