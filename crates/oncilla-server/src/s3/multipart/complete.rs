//! CompleteMultipartUpload and AbortMultipartUpload.

use http::StatusCode;
use oncilla_hash::{Checksum, ChecksumAlgorithm};
use oncilla_store::encryption::check_customer_key;
use oncilla_store::multipart::{CompleteError, CompleteUpload, CompletedPart, Upload, UploadError};
use oncilla_store::{Bucket, ETag, Scheme, UniqueId};
use oncilla_wire::checksum_headers::{ChecksumHeaders, ChecksumType};
use oncilla_wire::conditions::Conditions;
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::header::X_AMZ_MP_OBJECT_SIZE;
use oncilla_wire::uri::encode_path;
use oncilla_wire::xml::multipart::{
    self, CompleteMultipartUpload, CompleteMultipartUploadResult, MAX_COMPLETE_BODY_BYTES,
    check_part_order,
};

use crate::s3::answer::{Answer, checksums, empty, set_new_version, xml};
use crate::s3::body::read_document;
use crate::s3::encryption::SentKey;
use crate::s3::lifecycle::set_expiration;
use crate::s3::request::S3Request;
use crate::s3::{S3Service, encryption, errors};

pub async fn complete(service: &S3Service, request: &mut S3Request, bucket: &Bucket) -> Answer {
    let upload_id = request.query.get("uploadId").unwrap_or_default().to_owned();
    let upload =
        UniqueId::from_hex(&upload_id).ok_or_else(|| errors::no_such_upload(&upload_id))?;
    // The checksum headers of this request are about the object, not about the document.
    let declared = ChecksumHeaders::parse(&request.headers)?;
    let document = read_part_list(request).await?;
    let list = CompleteMultipartUpload::parse(&document)?;
    check_part_order(&list.parts)?;
    let parts = list
        .parts
        .iter()
        .map(completed_part)
        .collect::<Result<Vec<_>, S3Error>>()?;
    let conditions = Conditions::from_headers(&request.headers);
    check_type(&declared)?;
    let open_upload = open_upload(service, request, bucket, upload).await?;
    if let Some(open_upload) = &open_upload {
        check_upload_type(open_upload, &declared)?;
    }
    let sent_key = encryption::key_of_part(service, request)?;
    if let Some(open_upload) = &open_upload {
        check_upload_key(service, open_upload, sent_key.as_ref())?;
    }
    if declared
        .value_part_count
        .is_some_and(|count| count as usize != parts.len())
    {
        return Err(errors::complete(
            &upload_id,
            CompleteError::ChecksumMismatch,
        ));
    }
    let complete = CompleteUpload {
        bucket,
        key: request.key.as_bytes(),
        upload,
        parts: &parts,
        checksum: declared.value,
        size: request.number_header(&X_AMZ_MP_OBJECT_SIZE)?,
        conditions: &conditions,
    };
    let completed = service.store.complete_upload(complete).await;
    let record = completed.map_err(|error| errors::complete(&upload_id, error))?;
    let scheme = if request.context.tls { "https" } else { "http" };
    let path = format!("/{}/{}", bucket.name, request.key);
    let result = CompleteMultipartUploadResult {
        location: format!("{scheme}://{}{}", request.host(), encode_path(&path)).into(),
        bucket: bucket.name.as_str().into(),
        key: request.key.as_str().into(),
        etag: record.etag.to_string().into(),
        checksums: checksums(record.checksum.as_ref(), record.etag.parts),
    };
    let mut response = xml(result.to_xml());
    set_new_version(&mut response, record.version_id())?;
    set_expiration(&mut response, bucket, &request.key, &record)?;
    let stored = record.encryption.as_deref();
    encryption::set_headers(&mut response, stored, sent_key.as_ref())?;
    Ok(response)
}

/// The upload. One that is not open is the store's to judge: it may have been completed by this very
/// request, sent before.
async fn open_upload(
    service: &S3Service,
    request: &S3Request,
    bucket: &Bucket,
    upload: UniqueId,
) -> Result<Option<Upload>, S3Error> {
    let key = request.key.as_bytes();
    match service.store.upload(bucket, key, upload).await {
        Ok(upload) => Ok(Some(upload)),
        Err(UploadError::NoSuchUpload) => Ok(None),
        Err(UploadError::Fault(fault)) => Err(errors::fault(fault)),
    }
}

/// A client's key that comes has to be the upload's; where the client chose a checksum, it has to come.
/// Source: S3 API reference, CompleteMultipartUpload,
/// `x-amz-server-side-encryption-customer-algorithm`.
fn check_upload_key(
    service: &S3Service,
    upload: &Upload,
    sent_key: Option<&SentKey>,
) -> Result<(), S3Error> {
    let stored = upload.record.encryption.as_deref();
    if stored.is_some_and(|stored| stored.scheme != Scheme::Customer) {
        // A key of the server's that is disabled protects nothing new.
        let unlocked = service.store.upload_encryption(upload, None);
        unlocked.map_err(errors::unlock_upload)?;
    }
    if sent_key.is_none() && !upload.record.algorithm_declared {
        return Ok(());
    }
    check_customer_key(stored, sent_key.map(SentKey::key)).map_err(errors::unlock_upload)
}

/// Reads the document without comparing it with the checksum headers.
async fn read_part_list(request: &mut S3Request) -> Result<bytes::Bytes, S3Error> {
    let of_object: Vec<_> = request
        .headers
        .keys()
        .filter(|name| name.as_str().starts_with("x-amz-checksum-"))
        .cloned()
        .collect();
    for name in of_object {
        request.headers.remove(name);
    }
    read_document(request, MAX_COMPLETE_BODY_BYTES as u64).await
}

fn completed_part(part: &multipart::CompletedPart<'_>) -> Result<CompletedPart, S3Error> {
    let mut checksum = None;
    for (algorithm, text) in part.checksums.iter() {
        checksum = Some(part_checksum(algorithm, text)?);
    }
    Ok(CompletedPart {
        number: part.part_number as u16,
        etag: ETag::parse(&part.etag),
        checksum,
    })
}

fn part_checksum(algorithm: ChecksumAlgorithm, text: &str) -> Result<Checksum, S3Error> {
    Checksum::from_base64(algorithm, text).map_err(|_| {
        let message = format!("Value for {} is invalid.", algorithm.xml_element());
        S3Error::with_message(S3ErrorCode::InvalidRequest, message)
    })
}

/// A type that does not go with the algorithm of the value is refused before anything is looked at.
fn check_type(declared: &ChecksumHeaders) -> Result<(), S3Error> {
    match (declared.checksum_type, declared.value) {
        (Some(kind), Some(value)) => kind.check_for(value.algorithm()),
        (Some(ChecksumType::Composite | ChecksumType::FullObject) | None, _) => Ok(()),
    }
}

/// `x-amz-checksum-type` has to be the upload's.
fn check_upload_type(upload: &Upload, declared: &ChecksumHeaders) -> Result<(), S3Error> {
    let Some(kind) = declared.checksum_type else {
        return Ok(());
    };
    let composite = upload.record.composite;
    if composite == (kind == ChecksumType::Composite) {
        return Ok(());
    }
    let created_with = match composite {
        true => ChecksumType::Composite,
        false => ChecksumType::FullObject,
    };
    let message = format!(
        "The upload was created using the {} checksum mode. The complete request must use the \
         same checksum mode.",
        created_with.as_str()
    );
    Err(S3Error::with_message(S3ErrorCode::InvalidRequest, message))
}

pub async fn abort(service: &S3Service, request: &mut S3Request, bucket: &Bucket) -> Answer {
    let upload_id = request.query.get("uploadId").unwrap_or_default();
    let upload = UniqueId::from_hex(upload_id).ok_or_else(|| errors::no_such_upload(upload_id))?;
    let aborted = service
        .store
        .abort_upload(bucket, request.key.as_bytes(), upload)
        .await;
    aborted.map_err(|error| errors::upload(upload_id, error))?;
    Ok(empty(StatusCode::NO_CONTENT))
}
