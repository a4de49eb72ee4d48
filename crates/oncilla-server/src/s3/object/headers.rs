//! What a request says about the object it makes, and what an object says about itself.

use bytes::Bytes;
use http::header::{ACCEPT_RANGES, CACHE_CONTROL, CONTENT_TYPE, EXPIRES, LAST_MODIFIED};
use http::{HeaderName, HeaderValue, Response};
use oncilla_store::object::NewObject;
use oncilla_store::rows::object::STANDARD;
use oncilla_store::{Bucket, ObjectRecord};
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::header::{
    self, RESPONSE_OVERRIDES, USER_METADATA_PREFIX, X_AMZ_MP_PARTS_COUNT, X_AMZ_STORAGE_CLASS,
    X_AMZ_TAGGING, X_AMZ_TAGGING_COUNT, X_AMZ_WEBSITE_REDIRECT_LOCATION,
};
use oncilla_wire::object_lock::NewLock;
use oncilla_wire::storage_class::StorageClass;
use oncilla_wire::tagging::TagSet;
use oncilla_wire::time::http_date_header;

use crate::ResponseBody;
use crate::s3::S3Service;
use crate::s3::acl::new_object_access;
use crate::s3::answer::{OBJECT_HEADERS_USUAL, set, set_checksum, set_etag};
use crate::s3::object_lock::may_know;
use crate::s3::request::S3Request;
use crate::s3::tags::pairs_of;

/// The type of an object whose writer named none. Source: observed of S3.
const CONTENT_TYPE_DEFAULT: HeaderValue = HeaderValue::from_static("binary/octet-stream");

/// The longest redirect of an object in bytes. Source: S3 API reference, PutObject.
const REDIRECT_LOCATION_BYTES_MAX: usize = 2 * 1024;

/// What the request says about the object it makes, apart from its lock (`object_lock.rs`).
pub async fn new_object(
    service: &S3Service,
    request: &S3Request,
    bucket: &Bucket,
) -> Result<NewObject, S3Error> {
    let stored = header::stored_headers(&request.headers);
    check_redirect_location(request)?;
    let metadata = header::user_metadata(&request.headers)?;
    let tags = match request.headers.get(X_AMZ_TAGGING) {
        Some(value) => TagSet::from_header(value.as_bytes())?,
        None => TagSet::default(),
    };
    let storage_class = storage_class(request)?.unwrap_or_default();
    let access = new_object_access(service, request, bucket).await?;
    Ok(NewObject {
        owner: access.owner,
        storage_class,
        acl: access.acl,
        headers: stored
            .into_iter()
            // The class is a field of its own.
            .filter(|(name, _)| *name != X_AMZ_STORAGE_CLASS)
            .map(|(name, value)| {
                (
                    bytes_of(name.as_str()),
                    Bytes::copy_from_slice(value.as_bytes()),
                )
            })
            .collect(),
        metadata: metadata
            .into_iter()
            .map(|(name, value)| (Bytes::from(name), Bytes::from(value)))
            .collect(),
        tags: pairs_of(tags),
        lock: NewLock::default(),
    })
}

/// Source: S3 API reference, PutObject, `x-amz-website-redirect-location`.
fn check_redirect_location(request: &S3Request) -> Result<(), S3Error> {
    let Some(value) = request.headers.get(X_AMZ_WEBSITE_REDIRECT_LOCATION) else {
        return Ok(());
    };
    let value = value.as_bytes();
    let starts = |start: &&[u8]| value.starts_with(start);
    let is_allowed = [&b"/"[..], b"http://", b"https://"].iter().any(starts);
    if value.len() <= REDIRECT_LOCATION_BYTES_MAX && (is_allowed || value.is_empty()) {
        return Ok(());
    }
    let message =
        "The website redirect location must have a prefix of 'http://' or 'https://' or '/'.";
    let code = S3ErrorCode::InvalidRedirectLocation;
    Err(S3Error::with_message(code, message))
}

fn bytes_of(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// `x-amz-storage-class`, if given; empty for `STANDARD`.
pub fn storage_class(request: &S3Request) -> Result<Option<String>, S3Error> {
    let Some(value) = request.headers.get(X_AMZ_STORAGE_CLASS) else {
        return Ok(None);
    };
    let class = value.to_str().ok().and_then(StorageClass::from_name);
    match class {
        Some(StorageClass::Standard) => Ok(Some(String::new())),
        Some(class) => Ok(Some(class.as_str().to_owned())),
        None => Err(S3ErrorCode::InvalidStorageClass.into()),
    }
}

/// What the answer to a GET or HEAD says about the object.
pub fn set_object_headers(
    response: &mut Response<ResponseBody>,
    request: &S3Request,
    record: &ObjectRecord,
    with_checksum: bool,
) -> Result<(), S3Error> {
    response.headers_mut().reserve(OBJECT_HEADERS_USUAL);
    set_etag(response, record.etag)?;
    let headers = response.headers_mut();
    headers.insert(
        LAST_MODIFIED,
        http_date_header(record.last_modified_ms as i64),
    );
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CONTENT_TYPE, CONTENT_TYPE_DEFAULT);
    for (name, value) in &record.headers {
        insert_stored(response, name, value)?;
    }
    for (name, value) in &record.metadata {
        let name = [USER_METADATA_PREFIX.as_bytes(), name].concat();
        insert_stored(response, &name, value)?;
    }
    if record.storage_class() != STANDARD {
        set(response, X_AMZ_STORAGE_CLASS, record.storage_class())?;
    }
    if request.query.has("partNumber") && record.etag.parts > 0 {
        set(
            response,
            X_AMZ_MP_PARTS_COUNT,
            record.etag.parts.to_string(),
        )?;
    }
    if with_checksum && let Some(checksum) = &record.checksum {
        set_checksum(response, checksum, record.etag.parts)?;
    }
    set_overrides(response, request)
}

/// Sets how many tags the object has, if the sender may read them.
/// Source: S3 API reference, GetObject, `x-amz-tagging-count`.
pub async fn set_tagging_count(
    response: &mut Response<ResponseBody>,
    service: &S3Service,
    request: &S3Request,
    bucket: &Bucket,
    record: &ObjectRecord,
) -> Result<(), S3Error> {
    if record.tags.is_empty() {
        return Ok(());
    }
    let version = request.version_id()?;
    let read = match version {
        Some(_) => "s3:GetObjectVersionTagging",
        None => "s3:GetObjectTagging",
    };
    if !may_know(service, request, bucket, version, read).await {
        return Ok(());
    }
    set(response, X_AMZ_TAGGING_COUNT, record.tags.len().to_string())
}

/// Stored names and values came in as headers, so they go out as headers.
fn insert_stored(
    response: &mut Response<ResponseBody>,
    name: &[u8],
    value: &Bytes,
) -> Result<(), S3Error> {
    let name = HeaderName::from_bytes(name).map_err(|_| unreadable_header())?;
    let value = HeaderValue::from_maybe_shared(value.clone()).map_err(|_| unreadable_header())?;
    response.headers_mut().insert(name, value);
    Ok(())
}

fn unreadable_header() -> S3Error {
    tracing::error!("an object's stored headers cannot be sent");
    S3ErrorCode::InternalError.into()
}

/// `response-content-type` and its like. Only a signed request may set them, so that nobody makes
/// a public object look like something else. Source: S3 API reference, GetObject.
fn set_overrides(
    response: &mut Response<ResponseBody>,
    request: &S3Request,
) -> Result<(), S3Error> {
    for (parameter, header) in RESPONSE_OVERRIDES {
        let Some(value) = request.query.get(parameter) else {
            continue;
        };
        if request.principal.account().is_none() {
            let message =
                "Request specific response headers cannot be used for anonymous GET requests.";
            return Err(S3Error::with_message(S3ErrorCode::InvalidRequest, message));
        }
        let invalid = || {
            S3Error::invalid_argument(parameter, value, "The value is not a valid header value.")
        };
        let value = HeaderValue::try_from(value).map_err(|_| invalid())?;
        response.headers_mut().insert(header, value);
    }
    Ok(())
}

/// What of the object a 304 repeats. Source: RFC 9110 §15.4.5.
pub fn set_not_modified_headers(
    response: &mut Response<ResponseBody>,
    record: &ObjectRecord,
) -> Result<(), S3Error> {
    set_etag(response, record.etag)?;
    let last_modified = http_date_header(record.last_modified_ms as i64);
    response.headers_mut().insert(LAST_MODIFIED, last_modified);
    for (name, value) in &record.headers {
        if [CACHE_CONTROL, EXPIRES]
            .iter()
            .any(|kept| name == kept.as_str())
        {
            insert_stored(response, name, value)?;
        }
    }
    Ok(())
}
