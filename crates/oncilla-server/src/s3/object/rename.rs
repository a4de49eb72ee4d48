//! RenameObject, and the copy that is a rename.
//!
//! S3 has this for directory buckets; here it works in every bucket. Source: S3 API reference,
//! RenameObject; S3 User Guide, "Renaming objects in directory buckets".

use http::{HeaderMap, HeaderName, StatusCode};
use oncilla_store::object::{RenameError, RenameObject};
use oncilla_store::{Bucket, ObjectRecord};
use oncilla_wire::conditions::Conditions;
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::header::{X_AMZ_CLIENT_TOKEN, X_AMZ_RENAME_SOURCE, X_AMZ_SERVER_SIDE_ENCRYPTION};
use oncilla_wire::rename_source::{client_token, rename_source};

use crate::s3::answer::{Answer, empty, set_new_version};
use crate::s3::authorize::ActionTarget;
use crate::s3::request::S3Request;
use crate::s3::{S3Service, errors};

pub async fn rename(service: &S3Service, request: &mut S3Request, bucket: &Bucket) -> Answer {
    let source = request.headers.get(X_AMZ_RENAME_SOURCE);
    let source = source.ok_or_else(|| {
        let message = "This request needs the header x-amz-rename-source.";
        S3Error::with_message(S3ErrorCode::InvalidRequest, message)
    })?;
    let source = rename_source(source.as_bytes(), &bucket.name)?;
    let source_conditions = Conditions::from_rename_source_headers(&request.headers);
    let renamed = rename_within(service, request, bucket, &source, &source_conditions).await?;
    let mut response = empty(StatusCode::OK);
    if let Some(record) = renamed {
        set_new_version(&mut response, record.version_id())?;
    }
    Ok(response)
}

/// Renames an object of the bucket, which the sender must be allowed to read and to delete, to the
/// key of the request. `None` if the same request was carried out before.
pub(super) async fn rename_within(
    service: &S3Service,
    request: &S3Request,
    bucket: &Bucket,
    source: &str,
    source_conditions: &Conditions,
) -> Result<Option<ObjectRecord>, S3Error> {
    refuse_encryption(&request.headers)?;
    for action in ["s3:GetObject", "s3:DeleteObject"] {
        let target = ActionTarget::Object {
            key: source,
            version: None,
        };
        let judged = service.authorize_action(request, bucket, action, target);
        judged.await?;
    }
    let token = match request.headers.get(X_AMZ_CLIENT_TOKEN) {
        Some(value) => Some(client_token(value.as_bytes())?),
        None => None,
    };
    let conditions = Conditions::from_headers(&request.headers);
    // A source that was not there may come to be by now, and be anybody's.
    let is_source = |record: &ObjectRecord| request.judged.holds_for(bucket, source, None, record);
    let rename = RenameObject {
        bucket,
        source: source.as_bytes(),
        is_source: &is_source,
        source_conditions,
        destination: request.key.as_bytes(),
        conditions: &conditions,
        token,
    };
    match service.store.rename_object(rename).await {
        Ok(renamed) => Ok(renamed),
        Err(RenameError::Source(error)) => {
            Err(service.not_found(request, bucket, source, error).await)
        }
        Err(error) => Err(errors::rename(source, error)),
    }
}

/// Refuses whoever wants the object encrypted: a rename moves no byte of it, so it stays as it is.
fn refuse_encryption(headers: &HeaderMap) -> Result<(), S3Error> {
    let prefix = X_AMZ_SERVER_SIDE_ENCRYPTION;
    let asks = |name: &&HeaderName| name.as_str().starts_with(prefix.as_str());
    match headers.keys().find(asks) {
        Some(name) => {
            let error = S3Error::new(S3ErrorCode::NotImplemented);
            Err(error.detail("Header", name.as_str()))
        }
        None => Ok(()),
    }
}
