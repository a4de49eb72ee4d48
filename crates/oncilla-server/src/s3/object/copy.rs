//! CopyObject, and the source of copies.

use std::sync::Arc;

use http::{HeaderName, Response};
use oncilla_hash::ChecksumAlgorithm;
use oncilla_store::object::{Copied, CopyEncryption, CopyObject, Directive};
use oncilla_store::{Bucket, VersionId};
use oncilla_wire::checksum_headers::ChecksumHeaders;
use oncilla_wire::conditions::Conditions;
use oncilla_wire::copy_source::CopySource;
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::header::{
    X_AMZ_COPY_SOURCE, X_AMZ_COPY_SOURCE_VERSION_ID, X_AMZ_METADATA_DIRECTIVE,
    X_AMZ_SOURCE_EXPECTED_BUCKET_OWNER, X_AMZ_TAGGING_DIRECTIVE,
};
use oncilla_wire::operation::Operation;
use oncilla_wire::xml::copy::CopyResult;

use crate::s3::answer::{Answer, checksums, set, set_new_version, xml};
use crate::s3::authorize::ObjectTarget;
use crate::s3::body::{PUT_BYTES_MAX, upload_memory_bytes};
use crate::s3::dispatch::check_expected_owner;
use crate::s3::encryption::SEALING_MEMORY_BYTES;
use crate::s3::object::READER_MEMORY_BYTES;
use crate::s3::object::headers::new_object;
use crate::s3::request::{S3Request, version_id};
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
    let read = Operation::GetObject;
    let target = ObjectTarget {
        key: &source.key,
        version,
    };
    service
        .authorize_in_bucket(&request.principal, read, &bucket, target)
        .await?;
    Ok(CopySourceObject {
        bucket,
        key: source.key,
        version,
    })
}

pub async fn copy(service: &S3Service, request: &mut S3Request, bucket: &Bucket) -> Answer {
    let source = copy_source(service, request).await?;
    let new = new_object(request)?;
    let conditions = Conditions::from_headers(&request.headers);
    let source_conditions = Conditions::from_copy_source_headers(&request.headers);
    let given_class = super::headers::storage_class(request)?;
    let owner = match new.owner.is_empty() {
        true => bucket.record.owner.clone(),
        false => new.owner.clone(),
    };
    let acl = new.acl;
    let tags = match replaces(request, &X_AMZ_TAGGING_DIRECTIVE)? {
        true => Directive::Replace(new.tags.clone()),
        false => Directive::Copy,
    };
    let metadata = match replaces(request, &X_AMZ_METADATA_DIRECTIVE)? {
        true => Directive::Replace(new),
        false => Directive::Copy,
    };
    let copy = CopyObject {
        source: (&source.bucket, source.key.as_bytes()),
        source_version: source.version,
        source_conditions: &source_conditions,
        destination: (bucket, request.key.as_bytes()),
        conditions: &conditions,
        owner,
        acl,
        storage_class: given_class,
        metadata,
        tags,
        algorithm: copy_algorithm(request)?,
    };
    let asked = encryption::asked(service, &request.headers, &request.context, bucket)?;
    if asked.choice.is_some() {
        // Whether the key can be had is told before anything is read.
        encryption::new_encryption(service, &asked).await?;
    }
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
    let Copied { record, source_id } = copied.map_err(|error| errors::copy(&source.key, error))?;
    let document = CopyResult {
        last_modified_ms: record.last_modified_ms as i64,
        etag: record.etag.to_string().into(),
        checksums: checksums(record.checksum.as_ref(), record.etag.parts),
    };
    let mut response = xml(document.to_object_xml());
    set_new_version(&mut response, record.version_id())?;
    set_source_version(&mut response, &source, source_id)?;
    let stored = record.encryption.as_deref();
    encryption::set_headers_of_new(&mut response, stored, asked.sent_key.as_ref())?;
    Ok(response)
}

/// Reserves what a copy holds that may have to be written anew, because it is to be encrypted
/// otherwise than its source.
async fn reserve_rewriter(
    service: &S3Service,
    request: &S3Request,
    encrypted: &CopyEncryption,
) -> Result<Option<MemoryPermit>, S3Error> {
    let may_rewrite = encrypted.choice.is_some()
        || encrypted.source_key.is_some()
        || service.store.encrypts_at_rest();
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
