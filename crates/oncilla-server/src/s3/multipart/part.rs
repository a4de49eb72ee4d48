//! UploadPart and UploadPartCopy.

use http::StatusCode;
use oncilla_store::multipart::Upload;
use oncilla_store::{Bucket, ByteRange, Declared, NewEncryption, ObjectRecord, WrittenContent};
use oncilla_wire::checksum_headers::ChecksumHeaders;
use oncilla_wire::conditions::Conditions;
use oncilla_wire::encryption::refuse_on_read;
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::header::X_AMZ_COPY_SOURCE_RANGE;
use oncilla_wire::range::CopySourceRange;
use oncilla_wire::xml::copy::CopyResult;
use oncilla_wire::xml::multipart::parse_part_number;

use crate::s3::answer::{Answer, empty, part_checksums, set, set_etag, xml};
use crate::s3::answer::{checksum_header, checksum_text};
use crate::s3::body::{
    NewContent, PUT_BYTES_MAX, declared_algorithm, receive, sealing_memory_bytes,
    upload_memory_bytes,
};
use crate::s3::encryption::{SentKey, opening_memory_bytes};
use crate::s3::multipart::find_upload;
use crate::s3::object::{READER_MEMORY_BYTES, copy_source, set_source_version};
use crate::s3::request::S3Request;
use crate::s3::{S3Service, encryption, errors};

pub async fn upload_part(service: &S3Service, request: &mut S3Request, bucket: &Bucket) -> Answer {
    let number = part_number(request)?;
    let upload = find_upload(service, request, bucket).await?;
    check_algorithm(request, &upload)?;
    check_encryption(request, &upload)?;
    let sent_key = encryption::key_of_part(service, request)?;
    let encrypted = upload_encryption(service, &upload, sent_key.as_ref())?;
    let new = NewContent {
        class: &upload.record.storage_class,
        algorithm: upload.record.algorithm,
        encryption: encrypted.as_ref(),
    };
    let content = receive(service, request, new).await?;
    let (etag, record) = put_part(service, &upload, number, content).await?;
    let mut response = empty(StatusCode::OK);
    set_etag(&mut response, etag)?;
    if let Some(checksum) = &record.checksum {
        let name = checksum_header(checksum.checksum.algorithm());
        set(&mut response, name, checksum_text(checksum, 0))?;
    }
    let stored = upload.record.encryption.as_deref();
    encryption::set_headers(&mut response, stored, sent_key.as_ref())?;
    Ok(response)
}

/// What the part is encrypted with: the data key of its upload.
fn upload_encryption(
    service: &S3Service,
    upload: &Upload,
    sent_key: Option<&SentKey>,
) -> Result<Option<NewEncryption>, S3Error> {
    let found = service
        .store
        .upload_encryption(upload, sent_key.map(SentKey::key));
    found.map_err(errors::unlock_upload)
}

pub async fn upload_part_copy(
    service: &S3Service,
    request: &mut S3Request,
    bucket: &Bucket,
) -> Answer {
    let number = part_number(request)?;
    let upload = find_upload(service, request, bucket).await?;
    check_encryption(request, &upload)?;
    let sent_key = encryption::key_of_part(service, request)?;
    let encrypted = upload_encryption(service, &upload, sent_key.as_ref())?;
    let source_key = encryption::key_of_copy_source(service, request)?;
    let source = copy_source(service, request).await?;
    let opened = service
        .store
        .open_object_version(&source.bucket, source.key.as_bytes(), source.version)
        .await;
    let mut body = match opened {
        Ok(body) => body,
        Err(error) => {
            return Err(service
                .not_found(request, &source.bucket, &source.key, error)
                .await);
        }
    };
    let (from, key) = (&source.bucket, &source.key);
    let judged = request
        .judged
        .check(from, key, source.version, &body.record);
    judged?;
    body.unlock(source_key.as_ref()).map_err(errors::unlock)?;
    let source_id = body.record.version_id();
    check_source(request, &body.record)?;
    let range = source_range(request, &body.record)?;
    let memory = upload_memory_bytes(range.length())
        + sealing_memory_bytes(&service.store, encrypted.as_ref(), range.length())
        + READER_MEMORY_BYTES
        + opening_memory_bytes(&body.record, range.length());
    let reserved = request.context.memory.reserve(memory);
    let _memory = reserved.await.map_err(errors::overloaded)?;
    // The part's entity tag is the MD5 of its bytes, so they have to be read anyway; writing them
    // again keeps a part's bytes its own.
    let begun = service
        .store
        .begin_content_as(
            &upload.record.storage_class,
            range.length(),
            upload.record.algorithm,
            false,
            encrypted.as_ref(),
        )
        .await;
    let mut writer = begun.map_err(errors::fault)?;
    let mut reader = body.read(range);
    while let Some(bytes) = reader.next().await.map_err(errors::fault)? {
        writer.write(bytes).await.map_err(errors::write_content)?;
    }
    let content = writer
        .finish(&Declared::default())
        .await
        .map_err(errors::write_content)?;
    let (etag, record) = put_part(service, &upload, number, content).await?;
    let stored = record
        .checksum
        .as_ref()
        .filter(|_| upload.record.algorithm_declared);
    let document = CopyResult {
        last_modified_ms: record.last_modified_ms as i64,
        etag: etag.to_string().into(),
        checksums: part_checksums(stored),
    };
    let mut response = xml(document.to_part_xml());
    set_source_version(&mut response, &source, source_id)?;
    let stored = upload.record.encryption.as_deref();
    encryption::set_headers(&mut response, stored, sent_key.as_ref())?;
    Ok(response)
}

async fn put_part(
    service: &S3Service,
    upload: &Upload,
    number: u16,
    content: WrittenContent,
) -> Result<(oncilla_store::ETag, oncilla_store::rows::part::PartRecord), S3Error> {
    let written = service.store.put_part(upload, number, content).await;
    let record = written.map_err(|error| errors::upload(&upload.id.to_hex(), error))?;
    Ok((oncilla_store::ETag::of_md5(record.md5), record))
}

fn part_number(request: &S3Request) -> Result<u16, S3Error> {
    let number = parse_part_number(request.query.get("partNumber").unwrap_or_default())?;
    Ok(number as u16)
}

/// A part has to be summed by the upload's algorithm, or the object could not be.
fn check_algorithm(request: &S3Request, upload: &Upload) -> Result<(), S3Error> {
    let given = declared_algorithm(&ChecksumHeaders::parse(&request.headers)?)?;
    let algorithm = upload.record.algorithm;
    match given {
        Some(given) if given != algorithm && upload.record.algorithm_declared => {
            let message = format!(
                "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
                algorithm.as_str().to_ascii_lowercase(),
                given.as_str().to_ascii_lowercase()
            );
            Err(S3Error::with_message(S3ErrorCode::InvalidRequest, message))
        }
        _ => Ok(()),
    }
}

/// Whoever asks for encryption of a part of what is not encrypted would believe that it is. The headers
/// that began an encrypted upload are let be ([`encryption::key_of_part`]).
fn check_encryption(request: &S3Request, upload: &Upload) -> Result<(), S3Error> {
    match upload.record.encryption {
        Some(_) => Ok(()),
        None => refuse_on_read(&request.headers),
    }
}

fn check_source(request: &S3Request, record: &ObjectRecord) -> Result<(), S3Error> {
    let conditions = Conditions::from_copy_source_headers(&request.headers);
    let etag = record.etag.to_string();
    Ok(conditions.evaluate_copy_source(record.existing(&etag))?)
}

/// The bytes of the source that become the part.
fn source_range(request: &S3Request, record: &ObjectRecord) -> Result<ByteRange, S3Error> {
    let range = match request.headers.get(X_AMZ_COPY_SOURCE_RANGE) {
        None => ByteRange {
            start: 0,
            end: record.size,
        },
        Some(value) => {
            let span = CopySourceRange::parse(value.as_bytes())?.resolve(record.size)?;
            ByteRange {
                start: span.start,
                end: span.start + span.len_bytes(),
            }
        }
    };
    if range.length() > PUT_BYTES_MAX {
        return Err(S3Error::new(S3ErrorCode::EntityTooLarge)
            .detail("ProposedSize", range.length().to_string())
            .detail("MaxSizeAllowed", PUT_BYTES_MAX.to_string()));
    }
    Ok(range)
}
