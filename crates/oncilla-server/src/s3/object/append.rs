//! PutObject with `x-amz-write-offset-bytes`: appending to an object.
//!
//! S3 has this for directory buckets; here it works in every bucket that never kept versions.
//! Source: S3 User Guide, "Appending data to objects in directory buckets"; S3 API reference,
//! PutObject.

use std::sync::Arc;

use bytes::Bytes;
use oncilla_hash::ChecksumAlgorithm;
use oncilla_store::object::{AppendError, AppendObject, GetObjectError, IsWanted};
use oncilla_store::{Bucket, ObjectRecord};
use oncilla_wire::conditions::Conditions;
use oncilla_wire::error::S3Error;
use oncilla_wire::header::X_AMZ_OBJECT_SIZE;

use crate::s3::answer::{Answer, set};
use crate::s3::authorize::ActionTarget;
use crate::s3::body::{NewContent, receive_summed};
use crate::s3::object::ALGORITHM_DEFAULT;
use crate::s3::object::headers::new_object;
use crate::s3::object::put::written_answer;
use crate::s3::object_lock::new_lock_of_body;
use crate::s3::request::{S3Request, refuse_tags_and_acl};
use crate::s3::{S3Service, encryption, errors};

pub async fn append(
    service: &S3Service,
    request: &mut S3Request,
    bucket: &Bucket,
    offset: u64,
) -> Answer {
    if bucket.keeps_history() {
        return Err(errors::append_to_version());
    }
    let mut new = new_object(service, request, bucket).await?;
    new.lock = new_lock_of_body(service, request, bucket)?;
    let conditions = Conditions::from_headers(&request.headers);
    let existing = readable(service, request, bucket).await?;
    // Told before the body is sent. The store judges it again, when it writes.
    let size = existing.as_ref().map_or(0, |record| record.size);
    if size != offset {
        return Err(errors::invalid_write_offset(size));
    }
    let asked = encryption::asked(service, &request.headers, &request.context, bucket)?;
    // An object that is begun by an append is one to go on with, so it is not begun encrypted.
    let is_encrypted = |existing: &ObjectRecord| existing.encryption.is_some();
    let encrypts = encryption::encrypts(service, asked.choice.as_ref());
    if encrypts || existing.as_ref().is_some_and(is_encrypted) {
        return Err(errors::append_to_encrypted());
    }
    let of_object = existing.as_ref().and_then(combinable);
    let algorithm = of_object.unwrap_or(ALGORITHM_DEFAULT);
    // The object goes on in its class.
    let class = match &existing {
        Some(record) => record.storage_class.clone(),
        None => new.storage_class.clone(),
    };
    let keeping = NewContent {
        class: &class,
        algorithm,
        encryption: None,
    };
    let received = receive_summed(service, request, keeping, of_object);
    let (content, checksum) = received.await?;
    // The client said when the body was there, and the answer tells of what is there by now.
    let existing = judge_again(service, request).await?;
    let append = AppendObject {
        bucket: bucket.clone(),
        key: Bytes::copy_from_slice(request.key.as_bytes()),
        is_wanted: is_judged(request, bucket, existing.as_ref()),
        offset,
        new,
        conditions,
        checksum,
    };
    let record = match service.store.append_object(append, content).await {
        Ok(record) => record,
        Err(AppendError::Replaced) => {
            let by_now = judge_again(service, request).await?;
            return Err(replaced(by_now.as_ref(), offset));
        }
        Err(error) => return Err(errors::append(error)),
    };
    let mut answer = written_answer(bucket, &request.key, &record, None)?;
    // S3 tells it to those who append, and to nobody else.
    set(&mut answer, X_AMZ_OBJECT_SIZE, record.size.to_string())?;
    Ok(answer)
}

/// The object that is appended to, if there is one: the sender must be allowed to read it, because
/// the answer tells its size, or an entity tag and a checksum that follow from its bytes. Whoever
/// makes a new object does not need that, and may give it tags and an ACL, which one that is there keeps.
async fn readable(
    service: &S3Service,
    request: &S3Request,
    bucket: &Bucket,
) -> Result<Option<ObjectRecord>, S3Error> {
    let key = request.key.as_str();
    // By what is there now, not by what was when the request came.
    request.judged.forget(bucket, key, None);
    let record = match service.store.object(bucket, key.as_bytes()).await {
        Ok(record) => record,
        Err(GetObjectError::NoSuchKey) => return Ok(None),
        Err(error) => return Err(errors::get_object(key, error)),
    };
    let target = ActionTarget::Object { key, version: None };
    let judged = service.authorize_action(request, bucket, "s3:GetObject", target);
    judged.await?;
    request.check_judged(bucket, &record)?;
    refuse_tags_and_acl(request)?;
    Ok(Some(record))
}

/// As [`readable`], of what is there now and by what the bucket now says.
async fn judge_again(
    service: &S3Service,
    request: &S3Request,
) -> Result<Option<ObjectRecord>, S3Error> {
    let bucket = service.store.bucket(&request.bucket).await;
    let bucket = bucket.map_err(errors::bucket)?;
    readable(service, request, &bucket).await
}

/// Whether the judgement is one of the object that is there when the store writes. If `existing`
/// tells that there was none, none was judged.
fn is_judged(request: &S3Request, bucket: &Bucket, existing: Option<&ObjectRecord>) -> IsWanted {
    let was_there = existing.is_some();
    let looked = request.judged.at(bucket, &request.key, None);
    Arc::new(move |record| match &looked {
        Some(looked) => looked.object().is_some_and(|object| object.is(record)),
        // The judgement does not depend on which object it is.
        None => was_there,
    })
}

/// What to say to whoever appended to an object that was replaced, of the one that they may read by
/// now: what was sent does not fit it, or may when it is sent again.
fn replaced(by_now: Option<&ObjectRecord>, offset: u64) -> S3Error {
    match by_now.map(|record| record.size) {
        Some(size) if size != offset => errors::invalid_write_offset(size),
        _ => errors::append(AppendError::Replaced),
    }
}

/// The algorithm of the object's checksum, if that of a longer object can be had from it.
fn combinable(record: &ObjectRecord) -> Option<ChecksumAlgorithm> {
    let stored = record
        .checksum
        .as_ref()
        .filter(|stored| !stored.composite)?;
    Some(stored.checksum.algorithm()).filter(|algorithm| algorithm.can_combine())
}
