//! GetObjectAttributes.

use http::header::LAST_MODIFIED;
use oncilla_store::multipart::PartPage;
use oncilla_store::rows::placement::Placement;
use oncilla_store::{Bucket, ObjectRecord};
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::header::{X_AMZ_MAX_PARTS, X_AMZ_OBJECT_ATTRIBUTES, X_AMZ_PART_NUMBER_MARKER};
use oncilla_wire::time::http_date_header;
use oncilla_wire::xml::attributes::{
    AttributePart, ObjectAttributes, ObjectParts, WantedAttributes,
};

use crate::s3::answer::{Answer, checksums, part_checksums, set_version, xml};
use crate::s3::request::S3Request;
use crate::s3::{S3Service, encryption, errors};

/// Most parts of one answer. Source: S3 API reference, GetObjectAttributes.
const MAX_PARTS: u64 = 1_000;

pub async fn attributes(service: &S3Service, request: &mut S3Request, bucket: &Bucket) -> Answer {
    let version = request.version_id()?;
    let wanted = wanted_attributes(request)?;
    let sent_key = encryption::key_of_reader(service, request)?;
    let key = request.key.as_bytes();
    let not_found = |error| service.not_found(request, bucket, &request.key, error);
    let (record, object_parts) = if wanted.object_parts {
        // Held open, so that the parts stay while they are listed.
        let opened = service
            .store
            .hold_object_version(bucket, key, version)
            .await;
        let body = match opened {
            Ok(body) => body,
            Err(error) => return Err(not_found(error).await),
        };
        request.check_judged(bucket, &body.record)?;
        encryption::check(&body.record, sent_key.as_ref())?;
        let parts = object_parts(service, request, &body.record).await?;
        (body.record, parts)
    } else {
        let found = service.store.object_version(bucket, key, version).await;
        let record = match found {
            Ok(record) => record,
            Err(error) => return Err(not_found(error).await),
        };
        request.check_judged(bucket, &record)?;
        encryption::check(&record, sent_key.as_ref())?;
        (record, None)
    };
    let document = ObjectAttributes {
        etag: wanted.etag.then(|| record.etag.to_string().into()),
        checksums: wanted
            .checksum
            .then(|| checksums(record.checksum.as_ref(), record.etag.parts)),
        object_parts,
        storage_class: wanted
            .storage_class
            .then(|| record.storage_class().to_owned().into()),
        object_size: wanted.object_size.then_some(record.size),
    };
    let mut response = xml(document.to_xml());
    let last_modified = http_date_header(record.last_modified_ms as i64);
    response.headers_mut().insert(LAST_MODIFIED, last_modified);
    set_version(&mut response, bucket, record.version_id())?;
    Ok(response)
}

fn wanted_attributes(request: &S3Request) -> Result<WantedAttributes, S3Error> {
    let mut wanted = WantedAttributes::default();
    for value in request.headers.get_all(X_AMZ_OBJECT_ATTRIBUTES) {
        wanted.add(&String::from_utf8_lossy(value.as_bytes()))?;
    }
    if wanted == WantedAttributes::default() {
        let message = "The x-amz-object-attributes header specifying the attributes to be retrieved \
                       is either missing or empty";
        return Err(S3Error::with_message(S3ErrorCode::InvalidRequest, message));
    }
    Ok(wanted)
}

/// A page of the object's parts; `None` if it was not uploaded in parts.
async fn object_parts(
    service: &S3Service,
    request: &S3Request,
    record: &ObjectRecord,
) -> Result<Option<ObjectParts<'static>>, S3Error> {
    if !matches!(record.placement, Placement::Upload(_)) {
        return Ok(None);
    }
    let max_parts = request
        .number_header(&X_AMZ_MAX_PARTS)?
        .unwrap_or(MAX_PARTS)
        .min(MAX_PARTS);
    let marker = request
        .number_header(&X_AMZ_PART_NUMBER_MARKER)?
        .unwrap_or(0);
    let after = u16::try_from(marker).unwrap_or(u16::MAX);
    let page = match max_parts {
        0 => PartPage::default(),
        _ => {
            let listed = service
                .store
                .list_object_parts(record, after, max_parts as usize)
                .await;
            listed.map_err(errors::fault)?
        }
    };
    let last = page.parts.last().map_or(after, |part| part.number);
    Ok(Some(ObjectParts {
        total_parts_count: u32::from(record.etag.parts),
        part_number_marker: u32::from(after),
        next_part_number_marker: u32::from(last),
        max_parts,
        is_truncated: page.truncated,
        parts: page
            .parts
            .into_iter()
            .map(|part| AttributePart {
                part_number: u32::from(part.number),
                size: part.record.size,
                checksums: part_checksums(part.record.checksum.as_ref()),
            })
            .collect(),
    }))
}
