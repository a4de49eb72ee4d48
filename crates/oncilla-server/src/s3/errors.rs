//! Every error of the store and of the machinery, as S3 says it. Exhaustive on purpose: a new
//! variant does not compile until somebody decides here what clients are told.

use http::HeaderValue;
use http::header::{ALLOW, LAST_MODIFIED};
use oncilla_keys::KeysError;
use oncilla_store::bucket::{BucketError, CreateBucketError, DeleteBucketError, SetVersionsError};
use oncilla_store::documents::PutDocumentError;
use oncilla_store::lifecycle::RestoreError;
use oncilla_store::multipart::{CompleteError, PART_BYTES_MIN, UploadError};
use oncilla_store::object::{
    AppendError, CopyError, DeleteObjectError, GetObjectError, PutObjectError, RenameError,
    UpdateEncryptionError, too_many_writers,
};
use oncilla_store::object_lock::Locked;
use oncilla_store::{DeleteMarker, DigestMismatch, Fault, UnlockError, WriteContentError};
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::header::{
    X_AMZ_DELETE_MARKER, X_AMZ_SERVER_SIDE_ENCRYPTION_KMS_KEY_ID, X_AMZ_VERSION_ID,
};
use oncilla_wire::time::http_date_header;

use crate::{BodyError, NoRoom};

/// The element of an `InvalidRange` that says how long the object is.
pub const ACTUAL_OBJECT_SIZE: &str = "ActualObjectSize";

/// A failure beneath. What the operator has to know is logged here, once.
pub fn fault(fault: Fault) -> S3Error {
    match fault {
        Fault::NoSpace => {
            tracing::warn!("refused a write: no space left on the device");
            S3ErrorCode::InsufficientStorage.into()
        }
        Fault::Unavailable(reason) => {
            tracing::warn!(%reason, "temporarily unavailable");
            S3ErrorCode::ServiceUnavailable.into()
        }
        Fault::Damaged(detail) => {
            tracing::error!(%detail, "stored data is damaged; run `oncilla scrub`");
            S3Error::with_message(
                S3ErrorCode::InternalError,
                "The stored data failed its verification and was not returned.",
            )
        }
        Fault::Failed(detail) => {
            tracing::error!(%detail, "storage failed");
            S3ErrorCode::InternalError.into()
        }
    }
}

/// An object was replaced again and again while it was to be changed.
pub fn changed_too_often() -> S3Error {
    fault(too_many_writers())
}

pub fn overloaded(no_room: NoRoom) -> S3Error {
    match no_room {
        NoRoom::Now => S3ErrorCode::SlowDown.into(),
        NoRoom::Ever => S3Error::with_message(
            S3ErrorCode::ServiceUnavailable,
            "The request needs more memory than this server has for all requests together: its \
             --memory-limit is too small for such requests.",
        ),
    }
}

/// What was there when the request was judged is not what is there now.
pub fn replaced_while_judged() -> S3Error {
    let message = "The object was replaced while the request was looked at. Please try again.";
    S3Error::with_message(S3ErrorCode::ServiceUnavailable, message)
}

pub fn body(error: BodyError) -> S3Error {
    match error {
        BodyError::Stalled { .. } | BodyError::TooSlow => S3ErrorCode::RequestTimeout.into(),
        BodyError::TooLarge { limit_bytes } => S3Error::new(S3ErrorCode::EntityTooLarge)
            .detail("MaxSizeAllowed", limit_bytes.to_string()),
        BodyError::Incomplete { .. } => S3ErrorCode::IncompleteBody.into(),
    }
}

pub fn write_content(error: WriteContentError) -> S3Error {
    match error {
        WriteContentError::Mismatch(DigestMismatch::ContentMd5) => S3Error::with_message(
            S3ErrorCode::BadDigest,
            "The Content-MD5 you specified did not match what we received.",
        ),
        WriteContentError::Mismatch(DigestMismatch::ContentSha256) => {
            S3ErrorCode::XAmzContentSHA256Mismatch.into()
        }
        WriteContentError::Mismatch(DigestMismatch::Checksum(algorithm)) => S3Error::with_message(
            S3ErrorCode::BadDigest,
            format!("The {algorithm} you specified did not match the calculated checksum."),
        ),
        WriteContentError::Length {
            announced,
            received,
        } => S3Error::new(S3ErrorCode::IncompleteBody)
            .detail("NumberBytesExpected", announced.to_string())
            .detail("NumberBytesProvided", received.to_string()),
        WriteContentError::Fault(inner) => fault(inner),
    }
}

pub fn bucket(error: BucketError) -> S3Error {
    match error {
        BucketError::NoSuchBucket => S3ErrorCode::NoSuchBucket.into(),
        BucketError::Fault(inner) => fault(inner),
    }
}

pub fn put_document(error: PutDocumentError) -> S3Error {
    match error {
        PutDocumentError::NoSuchBucket => S3ErrorCode::NoSuchBucket.into(),
        PutDocumentError::TooMany => S3ErrorCode::TooManyConfigurations.into(),
        PutDocumentError::Fault(inner) => fault(inner),
    }
}

pub fn create_bucket(error: CreateBucketError) -> S3Error {
    match error {
        CreateBucketError::AlreadyOwnedByYou(_) => S3ErrorCode::BucketAlreadyOwnedByYou.into(),
        CreateBucketError::AlreadyExists => S3ErrorCode::BucketAlreadyExists.into(),
        // The account was deleted since the request was authenticated.
        CreateBucketError::RequirementFailed => S3ErrorCode::InvalidAccessKeyId.into(),
        CreateBucketError::Fault(inner) => fault(inner),
    }
}

pub fn delete_bucket(error: DeleteBucketError) -> S3Error {
    match error {
        DeleteBucketError::NoSuchBucket => S3ErrorCode::NoSuchBucket.into(),
        DeleteBucketError::NotEmpty => S3ErrorCode::BucketNotEmpty.into(),
        DeleteBucketError::Fault(inner) => fault(inner),
    }
}

/// Source of the messages: observed of S3.
pub fn set_versions(error: SetVersionsError) -> S3Error {
    match error {
        SetVersionsError::NoSuchBucket => S3ErrorCode::NoSuchBucket.into(),
        SetVersionsError::NotVersioned => S3Error::with_message(
            S3ErrorCode::InvalidBucketState,
            "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration",
        ),
        SetVersionsError::HasObjectLock => S3Error::with_message(
            S3ErrorCode::InvalidBucketState,
            "An Object Lock configuration is present on this bucket, so the versioning state \
             cannot be changed.",
        ),
        SetVersionsError::Fault(inner) => fault(inner),
    }
}

/// A version is locked. Source of the message: observed of S3.
pub fn locked(_: Locked) -> S3Error {
    S3Error::with_message(
        S3ErrorCode::AccessDenied,
        "Access Denied because object protected by object lock.",
    )
}

/// Source of the headers: S3 User Guide, "Working with delete markers"; and of the `false`,
/// ceph/s3-tests, test_delete_marker_nonversioned.
pub fn get_object(key: &str, error: GetObjectError) -> S3Error {
    match error {
        GetObjectError::NoSuchKey => {
            no_such_key(key).header(X_AMZ_DELETE_MARKER, HeaderValue::from_static("false"))
        }
        GetObjectError::Deleted(marker) => with_delete_marker(no_such_key(key), &marker),
        GetObjectError::NoSuchVersion(version) => S3Error::new(S3ErrorCode::NoSuchVersion)
            .detail("Key", key)
            .detail("VersionId", version.to_string()),
        GetObjectError::IsDeleteMarker(marker) => {
            let error = S3Error::new(S3ErrorCode::MethodNotAllowed)
                .detail("ResourceType", "DeleteMarker")
                .header(ALLOW, HeaderValue::from_static("DELETE"))
                .header(
                    LAST_MODIFIED,
                    http_date_header(marker.last_modified_ms as i64),
                );
            with_delete_marker(error, &marker)
        }
        GetObjectError::Archived(class) => archived(class),
        GetObjectError::Fault(inner) => fault(inner),
    }
}

/// Source: S3 API reference, GetObject, `InvalidObjectState`.
fn archived(class: String) -> S3Error {
    let message = "The operation is not valid for the object's storage class";
    S3Error::with_message(S3ErrorCode::InvalidObjectState, message).detail("StorageClass", class)
}

pub fn restore(key: &str, error: RestoreError) -> S3Error {
    match error {
        RestoreError::Object(error) => get_object(key, error),
        RestoreError::NotArchived(class) => {
            let message = "Restore is not allowed for the object's current storage class";
            S3Error::with_message(S3ErrorCode::InvalidObjectState, message)
                .detail("StorageClass", class)
        }
        RestoreError::InProgress => S3ErrorCode::RestoreAlreadyInProgress.into(),
        RestoreError::NoSuchTier => {
            let message = "Retrieval option is not supported by this storage class";
            S3Error::invalid_argument("Tier", "Expedited", message)
        }
    }
}

fn with_delete_marker(error: S3Error, marker: &DeleteMarker) -> S3Error {
    let error = error.header(X_AMZ_DELETE_MARKER, HeaderValue::from_static("true"));
    // A version id is always a header value.
    match HeaderValue::try_from(marker.version_id().to_string()) {
        Ok(version_id) => error.header(X_AMZ_VERSION_ID, version_id),
        Err(_) => error,
    }
}

pub fn put_object(error: PutObjectError) -> S3Error {
    match error {
        PutObjectError::NoSuchBucket => S3ErrorCode::NoSuchBucket.into(),
        PutObjectError::Condition(failure) => failure.into(),
        PutObjectError::Locked(inner) => locked(inner),
        PutObjectError::Fault(inner) => fault(inner),
    }
}

pub fn delete_object(error: DeleteObjectError) -> S3Error {
    match error {
        DeleteObjectError::NoSuchBucket => S3ErrorCode::NoSuchBucket.into(),
        DeleteObjectError::Condition(failure) => failure.into(),
        DeleteObjectError::Locked(inner) => locked(inner),
        DeleteObjectError::Fault(inner) => fault(inner),
    }
}

/// Why the source of a copy cannot be had.
pub fn copy_source(key: &str, error: GetObjectError) -> S3Error {
    match error {
        GetObjectError::IsDeleteMarker(_) => S3Error::with_message(
            S3ErrorCode::InvalidRequest,
            "The source of a copy request may not specifically refer to a delete marker by version \
             id.",
        ),
        GetObjectError::Archived(_) => S3ErrorCode::ObjectNotInActiveTierError.into(),
        error => get_object(key, error),
    }
}

pub fn copy(source_key: &str, error: CopyError) -> S3Error {
    match error {
        CopyError::Source(error) => copy_source(source_key, error),
        CopyError::SourceReplaced => replaced_while_judged(),
        CopyError::NoSuchBucket => S3ErrorCode::NoSuchBucket.into(),
        CopyError::SourceCondition(failure) | CopyError::Condition(failure) => failure.into(),
        CopyError::Locked(inner) => locked(inner),
        CopyError::TooLarge => S3Error::with_message(
            S3ErrorCode::InvalidRequest,
            "The specified copy source is larger than the maximum allowable size for a copy \
             source: 5368709120",
        ),
        CopyError::Unchanged => S3Error::with_message(
            S3ErrorCode::InvalidRequest,
            "This copy request is illegal because it is trying to copy an object to itself \
             without changing the object's metadata, storage class, website redirect location or \
             encryption attributes.",
        ),
        CopyError::Unlock(error) => unlock(error),
        CopyError::Keys(error) => keys(error),
        CopyError::Fault(inner) => fault(inner),
    }
}

pub fn append(error: AppendError) -> S3Error {
    match error {
        AppendError::NoSuchBucket => S3ErrorCode::NoSuchBucket.into(),
        AppendError::KeepsVersions => append_to_version(),
        AppendError::Replaced => replaced_while_judged(),
        AppendError::InvalidOffset { size } => invalid_write_offset(size),
        AppendError::Encrypted => append_to_encrypted(),
        AppendError::TooManyParts => S3ErrorCode::TooManyParts.into(),
        AppendError::Condition(failure) => failure.into(),
        AppendError::Locked(inner) => locked(inner),
        AppendError::Fault(inner) => fault(inner),
    }
}

/// A version never changes, and a bucket that kept any may have some.
pub fn append_to_version() -> S3Error {
    S3Error::with_message(
        S3ErrorCode::NotImplemented,
        "Appending is not possible in a bucket that keeps versions, or did. Nothing was changed.",
    )
}

/// A body is encrypted as a whole, so one cannot go on in another.
pub fn append_to_encrypted() -> S3Error {
    S3Error::with_message(
        S3ErrorCode::NotImplemented,
        "Appending is not possible to an encrypted object, nor with encryption, be it the bucket's or \
         the server's. Nothing was changed.",
    )
}

/// The object has another size than the request says.
pub fn invalid_write_offset(size: u64) -> S3Error {
    S3Error::new(S3ErrorCode::InvalidWriteOffset).detail(ACTUAL_OBJECT_SIZE, size.to_string())
}

pub fn rename(source_key: &str, error: RenameError) -> S3Error {
    match error {
        RenameError::Source(error) => get_object(source_key, error),
        RenameError::SourceReplaced => replaced_while_judged(),
        RenameError::NoSuchBucket => S3ErrorCode::NoSuchBucket.into(),
        RenameError::Unchanged => S3Error::with_message(
            S3ErrorCode::InvalidRequest,
            "This rename request is illegal because it is trying to rename an object to itself.",
        ),
        RenameError::SourceCondition(failure) | RenameError::Condition(failure) => failure.into(),
        RenameError::TokenReused => S3ErrorCode::IdempotencyParameterMismatch.into(),
        RenameError::Locked(inner) => locked(inner),
        RenameError::Fault(inner) => fault(inner),
    }
}

/// A key that cannot be had. Source of the codes: S3 API reference, "Error responses", AWS KMS errors.
pub fn keys(error: KeysError) -> S3Error {
    match error {
        KeysError::NotFound(name) => S3Error::with_message(
            S3ErrorCode::KmsNotFound,
            format!("Key '{name}' does not exist"),
        ),
        // `aws:kms` without a key, where the operator wants keys to be named.
        KeysError::NoDefault => {
            let message = "The request names no KMS key, and this server has no default one. (Its \
                           operator can allow it one by --default-kms-key true.)";
            let name = X_AMZ_SERVER_SIDE_ENCRYPTION_KMS_KEY_ID;
            S3Error::with_message(S3ErrorCode::InvalidArgument, message)
                .detail("ArgumentName", name.as_str())
        }
        KeysError::Disabled(id) => {
            S3Error::with_message(S3ErrorCode::KmsDisabled, format!("{id} is disabled."))
        }
        KeysError::Locked(reason) => {
            tracing::error!(%reason, "the key service is locked");
            // Clients are not told whether it has another one or none.
            let message = "The server does not have the master key of its encryption keys.";
            S3Error::with_message(S3ErrorCode::ServiceUnavailable, message)
        }
        KeysError::Exists(_)
        | KeysError::InvalidName { .. }
        | KeysError::LimitExceeded { .. }
        | KeysError::Managed(_)
        | KeysError::OpenFailed(_)
        | KeysError::Damaged(_)
        | KeysError::Master(_)
        | KeysError::Random(_)
        | KeysError::Contended
        | KeysError::NowhereToKeep
        | KeysError::Interrupted(_)
        | KeysError::Engine(_) => fault(error.into()),
    }
}

/// An encrypted object that cannot be opened with what came. S3 answers a wrong key with 403
/// `AccessDenied`; ceph/s3-tests, test_encryption_sse_c_other_key, wants 400, as all the other
/// mistakes with these headers have.
pub fn unlock(error: UnlockError) -> S3Error {
    let message = match error {
        UnlockError::CustomerKeyNeeded => {
            "The object was stored using a form of Server Side Encryption. The correct parameters \
             must be provided to retrieve the object."
        }
        UnlockError::NotByCustomerKey => {
            "The encryption parameters are not applicable to this object."
        }
        UnlockError::OtherCustomerKey => {
            "Requests specifying Server Side Encryption with Customer provided keys must provide the \
             correct secret key."
        }
        UnlockError::Keys(error) => return keys(error),
    };
    S3Error::with_message(S3ErrorCode::InvalidRequest, message)
}

/// As [`unlock`], of a part and its upload.
pub fn unlock_upload(error: UnlockError) -> S3Error {
    let message = match error {
        UnlockError::CustomerKeyNeeded => {
            "The multipart upload initiate requested encryption. Subsequent part requests must \
             include the appropriate encryption parameters."
        }
        UnlockError::NotByCustomerKey => {
            "The multipart upload initiate did not request encryption. Please resend the request \
             without sending encryption parameters."
        }
        UnlockError::OtherCustomerKey => {
            "The provided encryption parameters did not match the ones used originally."
        }
        UnlockError::Keys(error) => return keys(error),
    };
    S3Error::with_message(S3ErrorCode::InvalidRequest, message)
}

pub fn update_encryption(key: &str, error: UpdateEncryptionError) -> S3Error {
    match error {
        UpdateEncryptionError::Object(error) => get_object(key, error),
        UpdateEncryptionError::Replaced => replaced_while_judged(),
        UpdateEncryptionError::NotByServer => S3Error::with_message(
            S3ErrorCode::InvalidRequest,
            "Only the encryption of objects under SSE-S3 or SSE-KMS can be changed.",
        ),
        UpdateEncryptionError::Unlock(error) => unlock(error),
        UpdateEncryptionError::Keys(error) => keys(error),
    }
}

pub fn upload(upload_id: &str, error: UploadError) -> S3Error {
    match error {
        UploadError::NoSuchUpload => no_such_upload(upload_id),
        UploadError::Fault(inner) => fault(inner),
    }
}

pub fn complete(upload_id: &str, error: CompleteError) -> S3Error {
    match error {
        CompleteError::NoSuchUpload => no_such_upload(upload_id),
        CompleteError::NoSuchBucket => S3ErrorCode::NoSuchBucket.into(),
        CompleteError::NoParts => S3ErrorCode::MalformedXML.into(),
        CompleteError::InvalidPart { number } => S3Error::new(S3ErrorCode::InvalidPart)
            .detail("UploadId", upload_id)
            .detail("PartNumber", number.to_string()),
        CompleteError::InvalidPartOrder => {
            S3Error::new(S3ErrorCode::InvalidPartOrder).detail("UploadId", upload_id)
        }
        CompleteError::EntityTooSmall { number, size, etag } => {
            S3Error::new(S3ErrorCode::EntityTooSmall)
                .detail("ProposedSize", size.to_string())
                .detail("MinSizeAllowed", PART_BYTES_MIN.to_string())
                .detail("PartNumber", number.to_string())
                .detail("ETag", etag.to_string())
        }
        CompleteError::ChecksumMismatch => S3Error::with_message(
            S3ErrorCode::BadDigest,
            "The checksum you specified for the object does not match that of its parts.",
        ),
        CompleteError::SizeMismatch { declared, actual } => S3Error::with_message(
            S3ErrorCode::InvalidRequest,
            format!(
                "The x-amz-mp-object-size of {declared} does not match the size of the parts, {actual}."
            ),
        ),
        CompleteError::Condition(failure) => failure.into(),
        CompleteError::Locked(inner) => locked(inner),
        CompleteError::Fault(inner) => fault(inner),
    }
}

/// There is no object under the key.
pub fn no_such_key(key: &str) -> S3Error {
    S3Error::new(S3ErrorCode::NoSuchKey).detail("Key", key)
}

/// There is no such open upload.
pub fn no_such_upload(upload_id: &str) -> S3Error {
    S3Error::new(S3ErrorCode::NoSuchUpload).detail("UploadId", upload_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_locked_key_service_clients_learn_that_it_is() {
        let reasons = [
            "the master key is missing",
            "the master key is not the one that wrapped the KMS keys",
        ];
        for reason in reasons {
            let error = keys(KeysError::Locked(reason.to_owned()));
            assert_eq!(error.code, S3ErrorCode::ServiceUnavailable);
            let message = "The server does not have the master key of its encryption keys.";
            assert_eq!(error.message, message);
        }
    }
}
