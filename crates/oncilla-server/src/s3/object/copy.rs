//! CopyObject, and the source of copies.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, Response};
use oncilla_hash::ChecksumAlgorithm;
use oncilla_store::object::{
    Copied, CopyEncryption, CopyError, CopyObject, Directive, GetObjectError,
};
use oncilla_store::{Bucket, ObjectRecord, VersionId};
use oncilla_wire::checksum_headers::ChecksumHeaders;
use oncilla_wire::conditions::Conditions;
use oncilla_wire::copy_source::CopySource;
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::header::{
    X_AMZ_COPY_SOURCE, X_AMZ_COPY_SOURCE_VERSION_ID, X_AMZ_METADATA_DIRECTIVE,
    X_AMZ_SOURCE_EXPECTED_BUCKET_OWNER, X_AMZ_TAGGING_DIRECTIVE, X_AMZ_WEBSITE_REDIRECT_LOCATION,
};
use oncilla_wire::xml::copy::CopyResult;

use crate::s3::answer::{Answer, checksums, set, set_new_version, xml};
use crate::s3::authorize::ActionTarget;
use crate::s3::body::{PUT_BYTES_MAX, upload_memory_bytes};
use crate::s3::dispatch::check_expected_owner;
use crate::s3::encryption::{SEALING_MEMORY_BYTES, SentKey};
use crate::s3::lifecycle::set_expiration;
use crate::s3::object::READER_MEMORY_BYTES;
use crate::s3::object::headers::new_object;
use crate::s3::object::rename::rename_within;
use crate::s3::object_lock::new_lock;
use crate::s3::payer::check_payer;
use crate::s3::request::{S3Request, version_id};
use crate::s3::tags::pairs_of;
use crate::s3::{S3Service, encryption, errors};
use crate::{MemoryPermit, ResponseBody};

/// The object a copy reads, authorized.
pub struct CopySourceObject {
    /// Its bucket.
    pub bucket: Arc<Bucket>,
    /// Its key.
    pub key: String,
    /// Which version of it; `None` for the newest.
    pub version: Option<VersionId>,
}

/// Finds the source of a copy, which the sender must be allowed to read.
pub async fn copy_source(
    service: &S3Service,
    request: &S3Request,
) -> Result<CopySourceObject, S3Error> {
    let value = request
        .headers
        .get(X_AMZ_COPY_SOURCE)
        .ok_or(S3Error::new(S3ErrorCode::InvalidRequest))?;
    let source = CopySource::parse(value.as_bytes())?;
    let version = source.version_id.as_deref().map(version_id).transpose()?;
    let bucket = service.store.bucket(&source.bucket).await;
    let bucket = bucket
        .map_err(|error| errors::bucket(error).detail("BucketName", source.bucket.clone()))?;
    check_expected_owner(request, &X_AMZ_SOURCE_EXPECTED_BUCKET_OWNER, &bucket)?;
    check_payer(request, &bucket)?;
    let read = match version {
        Some(_) => "s3:GetObjectVersion",
        None => "s3:GetObject",
    };
    let target = ActionTarget::Object {
        key: &source.key,
        version,
    };
    service
        .authorize_action(request, &bucket, read, target)
        .await?;
    Ok(CopySourceObject {
        bucket,
        key: source.key,
        version,
    })
}

pub async fn copy(service: &S3Service, request: &mut S3Request, bucket: &Bucket) -> Answer {
    let source = copy_source(service, request).await?;
    if request.is_tigris_rename()? {
        return rename_by_copy(service, request, bucket, &source).await;
    }
    let new = new_object(service, request, bucket).await?;
    let conditions = Conditions::from_headers(&request.headers);
    let source_conditions = Conditions::from_copy_source_headers(&request.headers);
    let given_class = super::headers::storage_class(request)?;
    let (owner, acl) = (new.owner.clone(), new.acl.clone());
    let tags = match replaces(request, &X_AMZ_TAGGING_DIRECTIVE)? {
        true => Directive::Replace(new.tags.clone()),
        false => match (
            may_copy_tags(service, request, bucket, &source).await?,
            &request.inherited.tags,
        ) {
            // Those that policies judged, if they asked for any.
            (true, Some(tags)) => Directive::Replace(pairs_of(tags.clone())),
            (true, None) => Directive::Copy,
            // There were none, and those that come meanwhile stay where they are.
            (false, _) => Directive::Replace(Vec::new()),
        },
    };
    let metadata = match replaces(request, &X_AMZ_METADATA_DIRECTIVE)? {
        true => Directive::Replace(new),
        false => Directive::Copy,
    };
    let copy = CopyObject {
        source: (&source.bucket, source.key.as_bytes()),
        source_version: source.version,
        source_id: request
            .judged
            .id(&source.bucket, &source.key, source.version),
        source_conditions: &source_conditions,
        destination: (bucket, request.key.as_bytes()),
        conditions: &conditions,
        owner,
        acl,
        storage_class: given_class,
        metadata,
        website_redirect: website_redirect(request),
        tags,
        algorithm: copy_algorithm(request)?,
        lock: new_lock(service, request, bucket)?,
    };
    let asked = encryption::asked(service, &request.headers, &request.context, bucket)?;
    encryption::check_choice(service, &asked).await?;
    let encrypted = CopyEncryption {
        source_key: encryption::key_of_copy_source(service, request)?,
        choice: asked.choice,
        is_asked_for: asked.by_headers,
    };
    let _memory = reserve_rewriter(service, request, &encrypted).await?;
    let copied = service
        .store
        .copy_object_as(copy, &encrypted, PUT_BYTES_MAX)
        .await;
    let Copied { record, source_id } = match copied {
        Ok(copied) => copied,
        Err(CopyError::Source(error)) => {
            return Err(service
                .not_found(request, &source.bucket, &source.key, error)
                .await);
        }
        Err(error) => return Err(errors::copy(&source.key, error)),
    };
    let mut response = copied_answer(&record, asked.sent_key.as_ref())?;
    set_source_version(&mut response, &source, source_id)?;
    set_expiration(&mut response, bucket, &request.key, &record)?;
    Ok(response)
}

async fn rename_by_copy(
    service: &S3Service,
    request: &S3Request,
    bucket: &Bucket,
    source: &CopySourceObject,
) -> Answer {
    if source.bucket.id() != bucket.id() || source.version.is_some() {
        let message = "A rename is of the newest version of an object in the same bucket.";
        return Err(S3Error::with_message(S3ErrorCode::InvalidRequest, message));
    }
    let conditions = Conditions::from_copy_source_headers(&request.headers);
    let renamed = rename_within(service, request, bucket, &source.key, &conditions).await?;
    match renamed {
        Some(record) => copied_answer(&record, None),
        // Done before, perhaps by somebody else. What has the key now may be another object, which
        // the sender was not judged by; so it is told no more than RenameObject tells: that it is done.
        None => Ok(xml(CopyResult::nothing_to_tell())),
    }
}

fn copied_answer(record: &ObjectRecord, sent_key: Option<&SentKey>) -> Answer {
    let document = CopyResult {
        last_modified_ms: record.last_modified_ms as i64,
        etag: record.etag.to_string().into(),
        checksums: checksums(record.checksum.as_ref(), record.etag.parts),
    };
    let mut response = xml(document.to_object_xml());
    set_new_version(&mut response, record.version_id())?;
    let stored = record.encryption.as_deref();
    encryption::set_headers_of_new(&mut response, stored, sent_key)?;
    Ok(response)
}

/// Whether the sender may copy the tags of the source, reading them and setting them. For those who may
/// not it is looked whether there are any.
/// Source: S3 API reference, CopyObject, "Permissions".
///
/// # Errors
/// `AccessDenied` if there are tags that may not be copied.
async fn may_copy_tags(
    service: &S3Service,
    request: &S3Request,
    bucket: &Bucket,
    source: &CopySourceObject,
) -> Result<bool, S3Error> {
    let (key, version) = (source.key.as_str(), source.version);
    let read = match version {
        Some(_) => "s3:GetObjectVersionTagging",
        None => "s3:GetObjectTagging",
    };
    let target = ActionTarget::Object { key, version };
    let reads = service.authorize_action(request, &source.bucket, read, target);
    let mut allowed = reads.await;
    if allowed.is_ok() {
        let target = ActionTarget::NewObject { key: &request.key };
        let writes = service.authorize_action(request, bucket, "s3:PutObjectTagging", target);
        allowed = writes.await;
    }
    let Err(error) = allowed else {
        return Ok(true);
    };
    let store = &service.store;
    match store
        .object_version(&source.bucket, key.as_bytes(), version)
        .await
    {
        Ok(record) if !record.tags.is_empty() => Err(error),
        Err(GetObjectError::Fault(fault)) => Err(errors::fault(fault)),
        // That there is none is found again when it is copied.
        Ok(_) | Err(_) => Ok(false),
    }
}

/// Reserves what a copy holds that may have to be written anew, because it is to be encrypted
/// otherwise than its source.
async fn reserve_rewriter(
    service: &S3Service,
    request: &S3Request,
    encrypted: &CopyEncryption,
) -> Result<Option<MemoryPermit>, S3Error> {
    let encrypts = encryption::encrypts(service, encrypted.choice.as_ref());
    let may_rewrite = encrypts || encrypted.source_key.is_some();
    if !may_rewrite {
        return Ok(None);
    }
    let memory =
        upload_memory_bytes(PUT_BYTES_MAX) + READER_MEMORY_BYTES + 2 * SEALING_MEMORY_BYTES;
    let reserved = request.context.memory.reserve(memory);
    reserved.await.map(Some).map_err(errors::overloaded)
}

/// Sets which version was copied, in a bucket that keeps any.
pub fn set_source_version(
    response: &mut Response<ResponseBody>,
    source: &CopySourceObject,
    version: VersionId,
) -> Result<(), S3Error> {
    if !source.bucket.keeps_history() {
        return Ok(());
    }
    set(response, X_AMZ_COPY_SOURCE_VERSION_ID, version.to_string())
}

fn website_redirect(request: &S3Request) -> Option<Bytes> {
    let value = request.headers.get(X_AMZ_WEBSITE_REDIRECT_LOCATION)?;
    let value = Bytes::copy_from_slice(value.as_bytes());
    Some(value).filter(|value| !value.is_empty())
}

fn copy_algorithm(request: &S3Request) -> Result<Option<ChecksumAlgorithm>, S3Error> {
    Ok(ChecksumHeaders::parse(&request.headers)?.algorithm)
}

/// Whether a directive header says REPLACE; COPY is the default.
fn replaces(request: &S3Request, name: &HeaderName) -> Result<bool, S3Error> {
    match request.headers.get(name).map(|value| value.as_bytes()) {
        None | Some(b"COPY") => Ok(false),
        Some(b"REPLACE") => Ok(true),
        Some(other) => {
            let text = String::from_utf8_lossy(other);
            Err(S3Error::invalid_argument(
                name.as_str(),
                &text,
                format!("Unknown {name}."),
            ))
        }
    }
}
