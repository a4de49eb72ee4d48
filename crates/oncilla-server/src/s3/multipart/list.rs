//! ListMultipartUploads and ListParts.
//!
//! The account that began an upload is both its `Initiator` and the `Owner` of the object to be.
//! A checksum algorithm is shown if the client chose it; the one that the store chose for itself
//! concerns no client.

use std::borrow::Cow;

use oncilla_hash::hex;
use oncilla_store::list::{After, Entry, ListedUpload, Page};
use oncilla_store::multipart::{ListedPart, PartPage};
use oncilla_store::rows::upload::UploadRecord;
use oncilla_store::{Bucket, UniqueId};
use oncilla_wire::checksum_headers::ChecksumType;
use oncilla_wire::error::S3Error;
use oncilla_wire::xml::multipart::{ListMultipartUploads, ListParts, PartEntry, UploadEntry};

use crate::s3::answer::{Answer, held, part_checksums, xml};
use crate::s3::bucket::listing::{
    ListParameters, common_prefixes, items, key_encoding, key_text, next_marker, reserve_page,
};
use crate::s3::lifecycle::set_abort;
use crate::s3::multipart::find_upload;
use crate::s3::owner::Owners;
use crate::s3::request::S3Request;
use crate::s3::{S3Service, errors};

/// Most parts on a page. Source: S3 API reference, ListParts, `max-parts`.
const PAGE_PARTS_MAX: u64 = 1_000;

pub async fn list_uploads(service: &S3Service, request: &mut S3Request, bucket: &Bucket) -> Answer {
    let parameters = ListParameters::parse(&request.query, "max-uploads")?;
    let key_marker = request.query.get("key-marker").unwrap_or_default();
    // Without a key it says nothing, and S3 ignores it.
    let upload_id_marker = match key_marker {
        "" => "",
        _ => request.query.get("upload-id-marker").unwrap_or_default(),
    };
    let begin = BeginOfUploads::new(&parameters, key_marker, upload_id_marker)?;
    let query = parameters.query(begin.after);
    let memory = reserve_page(request, parameters.limit).await?;
    let page = service
        .store
        .list_uploads(bucket, &query, begin.after_upload)
        .await;
    let page = page.map_err(errors::fault)?;
    let owner_ids = items(&page)
        .map(|(_, upload)| upload.record.owner.as_str())
        .collect();
    let owners = service.owners(owner_ids).await?;
    let answer = ListMultipartUploads {
        bucket: Cow::Borrowed(&bucket.name),
        key_marker: Cow::Borrowed(key_marker),
        upload_id_marker: Cow::Borrowed(upload_id_marker),
        next_key_marker: next_marker(&page)?.map(Cow::Borrowed),
        next_upload_id_marker: next_upload_id_marker(&page).map(Cow::Owned),
        prefix: Cow::Borrowed(parameters.prefix),
        delimiter: parameters.delimiter_in_answer(),
        max_uploads: parameters.limit,
        encoding: parameters.encoding,
        is_truncated: page.truncated,
        uploads: upload_entries(&page, &owners)?,
        common_prefixes: common_prefixes(&page)?,
    };
    held(&request.context, xml(answer.to_xml()), Some(memory))
}

pub async fn list_parts(service: &S3Service, request: &mut S3Request, bucket: &Bucket) -> Answer {
    let limit = request.limit("max-parts", PAGE_PARTS_MAX)?;
    let marker = part_number_marker(request.query.get_number("part-number-marker")?);
    let encoding = key_encoding(&request.query)?;
    let upload = find_upload(service, request, bucket).await?;
    let page = match limit {
        0 => PartPage::default(),
        _ => {
            let page = service
                .store
                .list_parts(&upload, marker, limit as usize)
                .await;
            page.map_err(errors::fault)?
        }
    };
    let owner = service.owner(&upload.record.owner).await?;
    let answer = ListParts {
        bucket: Cow::Borrowed(&bucket.name),
        key: Cow::Borrowed(&request.key),
        upload_id: Cow::Owned(upload.id.to_hex()),
        initiator: owner.as_xml(),
        owner: owner.as_xml(),
        storage_class: Cow::Borrowed(upload.record.storage_class()),
        part_number_marker: u32::from(marker),
        next_part_number_marker: next_part_number_marker(&page),
        max_parts: limit,
        is_truncated: page.truncated,
        encoding,
        checksum_algorithm: checksum_algorithm(&upload.record),
        checksum_type: checksum_type(&upload.record),
        parts: page
            .parts
            .iter()
            .map(|part| part_entry(part, &upload.record))
            .collect(),
    };
    let mut response = xml(answer.to_xml());
    set_abort(
        &mut response,
        bucket,
        &request.key,
        upload.record.started_ms,
    )?;
    Ok(response)
}

/// Where a page of uploads begins.
#[derive(Debug, PartialEq, Eq)]
struct BeginOfUploads {
    after: After,
    /// Behind this upload of the key in `after`, instead of behind all its uploads.
    after_upload: Option<UniqueId>,
}

impl BeginOfUploads {
    fn new(
        parameters: &ListParameters<'_>,
        key_marker: &str,
        upload_id_marker: &str,
    ) -> Result<Self, S3Error> {
        let after = parameters.after_marker(key_marker);
        if upload_id_marker.is_empty() {
            return Ok(Self {
                after,
                after_upload: None,
            });
        }
        let upload = UniqueId::from_hex(upload_id_marker).ok_or_else(|| {
            let message = "Invalid uploadId marker";
            S3Error::invalid_argument("upload-id-marker", upload_id_marker, message)
        })?;
        Ok(Self {
            after,
            after_upload: Some(upload),
        })
    }
}

/// The upload of the key that [`next_marker`] gives; a group has none.
fn next_upload_id_marker(page: &Page<ListedUpload>) -> Option<String> {
    match page.entries.last() {
        Some(Entry::Item(_, upload)) if page.truncated => Some(upload.id.to_hex()),
        _ => None,
    }
}

fn upload_entries<'p>(
    page: &'p Page<ListedUpload>,
    owners: &'p Owners,
) -> Result<Vec<UploadEntry<'p>>, S3Error> {
    let entries = items(page).map(|(key, ListedUpload { id, record })| {
        Ok(UploadEntry {
            key: Cow::Borrowed(key_text(key)?),
            upload_id: Cow::Owned(id.to_hex()),
            initiator: owners.as_xml(&record.owner),
            owner: owners.as_xml(&record.owner),
            storage_class: Cow::Borrowed(record.storage_class()),
            initiated_ms: record.started_ms as i64,
            checksum_algorithm: checksum_algorithm(record),
            checksum_type: checksum_type(record),
        })
    });
    entries.collect()
}

fn checksum_algorithm(record: &UploadRecord) -> Option<Cow<'static, str>> {
    record
        .algorithm_declared
        .then_some(Cow::Borrowed(record.algorithm.as_str()))
}

fn checksum_type(record: &UploadRecord) -> Option<Cow<'static, str>> {
    let kind = if record.composite {
        ChecksumType::Composite
    } else {
        ChecksumType::FullObject
    };
    record
        .algorithm_declared
        .then_some(Cow::Borrowed(kind.as_str()))
}

/// `part-number-marker` as the store takes it. No part has a number beyond what fits, so a larger
/// marker is behind all of them.
fn part_number_marker(marker: Option<u64>) -> u16 {
    u16::try_from(marker.unwrap_or(0)).unwrap_or(u16::MAX)
}

fn next_part_number_marker(page: &PartPage) -> Option<u32> {
    let last = page.parts.last().filter(|_| page.truncated);
    last.map(|part| u32::from(part.number))
}

fn part_entry(part: &ListedPart, upload: &UploadRecord) -> PartEntry<'static> {
    let stored = part.record.checksum.as_ref();
    let stored = stored.filter(|_| upload.algorithm_declared);
    PartEntry {
        part_number: u32::from(part.number),
        last_modified_ms: part.record.last_modified_ms as i64,
        etag: Cow::Owned(hex::encode(&part.record.md5)),
        size: part.record.size,
        checksums: part_checksums(stored),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use oncilla_hash::{Checksum, ChecksumAlgorithm};
    use oncilla_store::StoredChecksum;
    use oncilla_store::rows::codec::UnknownFields;
    use oncilla_store::rows::part::PartRecord;
    use oncilla_store::rows::placement::Placement;
    use oncilla_wire::error::S3ErrorCode;
    use oncilla_wire::xml::acl::Acl;
    use oncilla_wire::xml::{Checksums, KeyEncoding};

    use super::*;

    fn upload_record(algorithm_declared: bool) -> UploadRecord {
        UploadRecord {
            started_ms: 7,
            storage_class: String::new(),
            owner: "0123".to_owned(),
            algorithm: ChecksumAlgorithm::Sha256,
            composite: true,
            algorithm_declared,
            acl: Acl::default(),
            headers: Vec::new(),
            metadata: Vec::new(),
            tags: Vec::new(),
            retention: None,
            legal_hold: None,
            encryption: None,
            kms_key_name: String::new(),
            unknown: UnknownFields::default(),
        }
    }

    fn part(number: u16) -> ListedPart {
        let checksum = Checksum::of(ChecksumAlgorithm::Sha256, b"part");
        let record = PartRecord {
            size: 4,
            md5: [0xab; 16],
            last_modified_ms: 9,
            checksum: Some(StoredChecksum {
                checksum,
                composite: false,
            }),
            placement: Placement::Empty,
            salt: None,
            unknown: UnknownFields::default(),
        };
        ListedPart { number, record }
    }

    #[test]
    fn a_page_of_uploads_begins_behind_a_key_an_upload_or_a_group() {
        let encoding = KeyEncoding::Plain;
        let parameters = ListParameters {
            prefix: "",
            delimiter: "/",
            limit: 1,
            encoding,
        };
        let begin = |key, upload| BeginOfUploads::new(&parameters, key, upload);
        let id = UniqueId([0xab; 16]);
        let hex = id.to_hex();
        let behind = |after, after_upload| BeginOfUploads {
            after,
            after_upload,
        };
        let a = || After::Key(Bytes::from_static(b"a"));
        assert_eq!(begin("", "").unwrap(), behind(After::Nothing, None));
        assert_eq!(begin("a", "").unwrap(), behind(a(), None));
        assert_eq!(begin("a", &hex).unwrap(), behind(a(), Some(id)));
        let group = After::Group(Bytes::from_static(b"b/"));
        assert_eq!(begin("b/", "").unwrap(), behind(group, None));
        let error = begin("a", "56788").unwrap_err();
        assert_eq!(error.code, S3ErrorCode::InvalidArgument);
    }

    #[test]
    fn the_next_page_of_uploads_begins_behind_the_last_upload_or_group() {
        let id = UniqueId([0xab; 16]);
        let upload = ListedUpload {
            id,
            record: upload_record(true),
        };
        let item = Entry::Item(Bytes::from_static(b"a"), upload);
        let mut page = Page {
            entries: vec![item],
            truncated: true,
        };
        assert_eq!(next_upload_id_marker(&page), Some(id.to_hex()));
        let owners = Owners::default();
        let shown = upload_entries(&page, &owners).unwrap();
        assert_eq!((shown[0].key.as_ref(), shown[0].initiated_ms), ("a", 7));
        assert_eq!(shown[0].upload_id, id.to_hex());
        assert_eq!(
            (shown[0].initiator.id.as_ref(), shown[0].owner.id.as_ref()),
            ("0123", "0123")
        );
        page.entries.push(Entry::Group(Bytes::from_static(b"b/")));
        assert_eq!(next_upload_id_marker(&page), None);
        page.entries.pop();
        page.truncated = false;
        assert_eq!(next_upload_id_marker(&page), None);
    }

    #[test]
    fn checksums_are_shown_if_the_client_chose_them() {
        let declared = upload_record(true);
        assert_eq!(checksum_algorithm(&declared).as_deref(), Some("SHA256"));
        assert_eq!(checksum_type(&declared).as_deref(), Some("COMPOSITE"));
        let shown = part_entry(&part(3), &declared);
        assert!(shown.checksums.sha256.is_some());
        assert_eq!((shown.part_number, shown.size), (3, 4));
        assert_eq!(shown.etag, "ab".repeat(16));

        let silent = upload_record(false);
        assert_eq!(
            (checksum_algorithm(&silent), checksum_type(&silent)),
            (None, None)
        );
        assert_eq!(
            part_entry(&part(3), &silent).checksums,
            Checksums::default()
        );
    }

    #[test]
    fn markers_of_parts() {
        assert_eq!(part_number_marker(None), 0);
        assert_eq!(part_number_marker(Some(10_000)), 10_000);
        assert_eq!(part_number_marker(Some(1 << 40)), u16::MAX);
        let mut page = PartPage {
            parts: vec![part(1), part(9)],
            truncated: true,
        };
        assert_eq!(next_part_number_marker(&page), Some(9));
        page.truncated = false;
        assert_eq!(next_part_number_marker(&page), None);
    }
}
