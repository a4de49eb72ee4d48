//! CreateMultipartUpload.

use oncilla_store::Bucket;
use oncilla_store::multipart::UploadChecksum;
use oncilla_wire::checksum_headers::{ChecksumHeaders, ChecksumType};
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::header::{X_AMZ_CHECKSUM_ALGORITHM, X_AMZ_CHECKSUM_TYPE};
use oncilla_wire::xml::multipart::InitiateMultipartUpload;

use crate::s3::answer::{Answer, set, xml};
use crate::s3::lifecycle::set_abort;
use crate::s3::object::{ALGORITHM_DEFAULT, new_object};
use crate::s3::object_lock::new_lock;
use crate::s3::request::S3Request;
use crate::s3::{S3Service, encryption, errors};

pub async fn create(service: &S3Service, request: &mut S3Request, bucket: &Bucket) -> Answer {
    let mut new = new_object(service, request, bucket).await?;
    new.lock = new_lock(service, request, bucket)?;
    let checksum = upload_checksum(request)?;
    let started_ms = service.store.clock().now_ms();
    let asked = encryption::asked(service, &request.headers, &request.context, bucket)?;
    let encrypted = encryption::new_encryption(service, &asked).await?;
    let stored = encrypted
        .as_ref()
        .map(|encrypted| encrypted.stored().clone());
    let created = service
        .store
        .create_upload_as(bucket, request.key.as_bytes(), new, checksum, encrypted)
        .await;
    let id = created.map_err(errors::put_object)?.to_hex();
    let document = InitiateMultipartUpload {
        bucket: bucket.name.as_str().into(),
        key: request.key.as_str().into(),
        upload_id: id.into(),
    };
    let mut response = xml(document.to_xml());
    set_abort(&mut response, bucket, &request.key, started_ms)?;
    if checksum.declared {
        set(
            &mut response,
            X_AMZ_CHECKSUM_ALGORITHM,
            checksum.algorithm.as_str(),
        )?;
        let kind = if checksum.composite {
            ChecksumType::Composite
        } else {
            ChecksumType::FullObject
        };
        set(&mut response, X_AMZ_CHECKSUM_TYPE, kind.as_str())?;
    }
    encryption::set_headers_of_new(&mut response, stored.as_ref(), asked.sent_key.as_ref())?;
    Ok(response)
}

fn upload_checksum(request: &S3Request) -> Result<UploadChecksum, S3Error> {
    let declared = ChecksumHeaders::parse(&request.headers)?;
    let Some(algorithm) = declared.algorithm else {
        if declared.checksum_type.is_some() {
            let message = "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.";
            return Err(S3Error::with_message(S3ErrorCode::InvalidRequest, message));
        }
        // S3 sums by CRC64NVME over the whole object when the client does not choose.
        return Ok(UploadChecksum {
            algorithm: ALGORITHM_DEFAULT,
            composite: false,
            declared: false,
        });
    };
    let kind = declared
        .checksum_type
        .unwrap_or(ChecksumType::default_for(algorithm));
    kind.check_for(algorithm)?;
    Ok(UploadChecksum {
        algorithm,
        composite: kind == ChecksumType::Composite,
        declared: true,
    })
}
