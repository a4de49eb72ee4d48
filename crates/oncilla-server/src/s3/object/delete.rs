//! DeleteObject and DeleteObjects.

use futures_util::stream::{self, StreamExt};
use http::StatusCode;
use oncilla_iam::policy::{RequestFacts, requirements};
use oncilla_store::object::Deleted;
use oncilla_store::{Bucket, LockOverride, VersionId};
use oncilla_wire::conditions::Conditions;
use oncilla_wire::error::S3Error;
use oncilla_wire::header::X_AMZ_DELETE_MARKER;
use oncilla_wire::names::check_key;
use oncilla_wire::operation::Operation;
use oncilla_wire::xml::delete::{
    Delete, DeleteError, DeleteResult, DeletedObject, MAX_DELETE_BODY_BYTES, ObjectIdentifier,
};

use crate::s3::answer::{Answer, empty, held, set, set_version, xml};
use crate::s3::authorize::ActionTarget;
use crate::s3::body::read_document;
use crate::s3::object_lock::lock_override;
use crate::s3::request::{S3Request, version_id};
use crate::s3::{S3Service, errors};

/// Deletions of one request under way at a time: enough for them to share commits.
const DELETIONS_AT_ONCE: usize = 128;

/// What an answer says of an object besides its key: versions, and an error or a delete marker.
const OUTCOME_BYTES: usize = 512;

/// How long a text may become in a document, where some characters are written as `&quot;` is.
fn in_xml_bytes(text: &str) -> usize {
    let is_plain = |byte: &u8| *byte >= b' ' && !b"&<>\"'".contains(byte);
    let plain = text.bytes().filter(is_plain).count();
    plain + (text.len() - plain) * "&quot;".len()
}

pub async fn delete(service: &S3Service, request: &mut S3Request, bucket: &Bucket) -> Answer {
    let version = request.version_id()?;
    let conditions = Conditions::from_delete_headers(&request.headers)?;
    let key = &request.key;
    let lock_override = lock_override(service, request, bucket, key, version).await?;
    let deleted =
        delete_from_store(service, bucket, key, version, &conditions, lock_override).await?;
    let mut response = empty(StatusCode::NO_CONTENT);
    if deleted.delete_marker {
        set(&mut response, X_AMZ_DELETE_MARKER, "true")?;
    }
    if let Some(version_id) = deleted.version_id {
        set_version(&mut response, bucket, version_id)?;
    }
    Ok(response)
}

async fn delete_from_store(
    service: &S3Service,
    bucket: &Bucket,
    key: &str,
    version: Option<VersionId>,
    conditions: &Conditions,
    lock_override: LockOverride,
) -> Result<Deleted, S3Error> {
    let (store, key) = (&service.store, key.as_bytes());
    let deleted = match version {
        Some(version) => {
            store
                .delete_version(bucket, key, version, conditions, lock_override)
                .await
        }
        None => store.delete_object(bucket, key, conditions).await,
    };
    deleted.map_err(errors::delete_object)
}

pub async fn delete_many(service: &S3Service, request: &mut S3Request, bucket: &Bucket) -> Answer {
    let document = read_document(request, MAX_DELETE_BODY_BYTES as u64).await?;
    let delete = Delete::parse(&document)?;
    // Reserved before anything is deleted: whoever is refused then may come again. Nobody waits for it,
    // with a document that does not count any more.
    let keys = delete
        .objects
        .iter()
        .map(|object| in_xml_bytes(&object.key));
    let memory = keys.map(|length| length + OUTCOME_BYTES).sum();
    let memory = request.context.try_reserve_for_transfer(memory);
    let memory = memory.map_err(errors::overloaded)?;
    let request = &*request;
    let deletions: Vec<_> = delete
        .objects
        .iter()
        .map(|object| delete_one(service, request, bucket, object))
        .collect();
    let outcomes: Vec<_> = stream::iter(deletions)
        .buffered(DELETIONS_AT_ONCE)
        .collect()
        .await;
    let mut result = DeleteResult::default();
    for (object, outcome) in delete.objects.into_iter().zip(outcomes) {
        if let Some(log) = request.context.facts.bucket_log() {
            let version = object.version_id.as_deref().filter(|id| !id.is_empty());
            log.deleted(&object.key, version, outcome.as_ref().err());
        }
        match outcome {
            Ok(_) if delete.quiet => {}
            Ok(deleted) => result.deleted.push(deleted_object(object, &deleted)),
            Err(error) => result.errors.push(DeleteError {
                key: object.key,
                version_id: object.version_id,
                code: error.code.as_str().into(),
                message: error.message,
            }),
        }
    }
    held(&request.context, xml(result.to_xml()), Some(memory))
}

/// Judges and deletes one object of a list. Source: S3 API reference, DeleteObjects, "Permissions".
async fn delete_one(
    service: &S3Service,
    request: &S3Request,
    bucket: &Bucket,
    object: &ObjectIdentifier<'_>,
) -> Result<Deleted, S3Error> {
    check_key(&object.key)?;
    // An empty element is what some clients send for none.
    let version = object.version_id.as_deref().filter(|id| !id.is_empty());
    let version = version.map(version_id).transpose()?;
    // A key may stand in the list twice, and by now have another object.
    request.judged.forget(bucket, &object.key, version);
    let facts = RequestFacts {
        version: version.is_some(),
        if_match: object.etag.is_some()
            || object.size.is_some()
            || object.last_modified_time_ms.is_some(),
        ..RequestFacts::default()
    };
    for requirement in requirements(Operation::DeleteObjects, &facts).iter() {
        let target = ActionTarget::Object {
            key: &object.key,
            version,
        };
        let judged = service.authorize_action(request, bucket, requirement.action, target);
        judged.await?;
    }
    let conditions = object.conditions();
    let key = &object.key;
    // Who asks to bypass governance is judged for it here.
    let lock_override = lock_override(service, request, bucket, key, version).await?;
    delete_from_store(service, bucket, key, version, &conditions, lock_override).await
}

/// How the answer names what was deleted. Source: S3 API reference, DeleteObjects, `DeletedObject`.
fn deleted_object<'a>(object: ObjectIdentifier<'a>, deleted: &Deleted) -> DeletedObject<'a> {
    let marker = deleted.version_id.filter(|_| deleted.delete_marker);
    DeletedObject {
        key: object.key,
        version_id: object.version_id.filter(|id| !id.is_empty()),
        delete_marker: deleted.delete_marker,
        delete_marker_version_id: marker.map(|id| id.to_string().into()),
    }
}
