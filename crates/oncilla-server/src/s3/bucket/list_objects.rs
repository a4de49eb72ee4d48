//! ListObjects and ListObjectsV2.

use std::borrow::Cow;
use std::fmt::Write;

use bytes::Bytes;
use oncilla_store::list::{After, Entry, Page};
use oncilla_store::{Bucket, ObjectSummary};
use oncilla_wire::checksum_headers::ChecksumType;
use oncilla_wire::error::S3Error;
use oncilla_wire::xml::list_objects::{Contents, ListObjects, ListObjectsV2, ObjectEntry};

use crate::s3::answer::{Answer, held, xml};
use crate::s3::bucket::continuation_token;
use crate::s3::bucket::listing::{self, ListParameters, common_prefixes, key_text, next_marker};
use crate::s3::lifecycle::Restorations;
use crate::s3::owner::Owners;
use crate::s3::request::S3Request;
use crate::s3::{S3Service, errors};

pub async fn list_objects(service: &S3Service, request: &mut S3Request, bucket: &Bucket) -> Answer {
    let parameters = ListParameters::parse(&request.query, "max-keys")?;
    let restorations = Restorations::asked(service, request)?;
    let marker = request.query.get("marker").unwrap_or_default();
    let query = parameters.query(parameters.after_marker(marker));
    let memory = listing::reserve_page(request, parameters.limit).await?;
    let page = service
        .store
        .list_objects(bucket, &query)
        .await
        .map_err(errors::fault)?;
    let owners = service.owners_of_objects(bucket, owner_ids(&page)).await?;
    // S3 leaves it out without a delimiter: the last key is the marker then.
    let next_marker = match parameters.delimiter.is_empty() {
        true => None,
        false => next_marker(&page)?,
    };
    let answer = ListObjects {
        name: Cow::Borrowed(&bucket.name),
        prefix: Cow::Borrowed(parameters.prefix),
        marker: Cow::Borrowed(marker),
        next_marker: next_marker.map(Cow::Borrowed),
        delimiter: parameters.delimiter_in_answer(),
        max_keys: parameters.limit,
        encoding: parameters.encoding,
        is_truncated: page.truncated,
        contents: Vec::new(),
        common_prefixes: common_prefixes(&page)?,
    };
    let document = answer.to_xml_of(page.entries.len(), |contents| {
        write_contents(contents, &page, Some(&owners), restorations)
    });
    held(&request.context, xml(document?), Some(memory))
}

pub async fn list_objects_v2(
    service: &S3Service,
    request: &mut S3Request,
    bucket: &Bucket,
) -> Answer {
    let parameters = ListParameters::parse(&request.query, "max-keys")?;
    let restorations = Restorations::asked(service, request)?;
    let token = request.query.get("continuation-token");
    let start_after = request
        .query
        .get("start-after")
        .filter(|key| !key.is_empty());
    let query = parameters.query(begin_of_page(token, start_after)?);
    let memory = listing::reserve_page(request, parameters.limit).await?;
    let page = service
        .store
        .list_objects(bucket, &query)
        .await
        .map_err(errors::fault)?;
    let owners = match request.query.get("fetch-owner") {
        Some("true") => Some(service.owners_of_objects(bucket, owner_ids(&page)).await?),
        _ => None,
    };
    let next_position = page
        .entries
        .last()
        .filter(|_| page.truncated)
        .map(Entry::position);
    let next_token = next_position.as_ref().and_then(continuation_token::encode);
    let answer = ListObjectsV2 {
        name: Cow::Borrowed(&bucket.name),
        prefix: Cow::Borrowed(parameters.prefix),
        delimiter: parameters.delimiter_in_answer(),
        max_keys: parameters.limit,
        key_count: page.entries.len() as u64,
        encoding: parameters.encoding,
        is_truncated: page.truncated,
        continuation_token: token.map(Cow::Borrowed),
        next_continuation_token: next_token.map(Cow::Owned),
        start_after: start_after.map(Cow::Borrowed),
        contents: Vec::new(),
        common_prefixes: common_prefixes(&page)?,
    };
    let document = answer.to_xml_of(page.entries.len(), |contents| {
        write_contents(contents, &page, owners.as_ref(), restorations)
    });
    held(&request.context, xml(document?), Some(memory))
}

/// Where a page of ListObjectsV2 begins: where the token says, else behind `start-after`, which is
/// a key and nothing else. A group is shown if it has keys behind it, even if `start-after` is
/// inside the group or equal to its prefix; markers that continue behind a group are what tokens
/// are for.
fn begin_of_page(token: Option<&str>, start_after: Option<&str>) -> Result<After, S3Error> {
    match (token.filter(|token| !token.is_empty()), start_after) {
        (Some(token), _) => continuation_token::decode(token),
        (None, Some(key)) => Ok(After::Key(Bytes::copy_from_slice(key.as_bytes()))),
        (None, None) => Ok(After::Nothing),
    }
}

/// The owners of a page's objects, repeated as often as they own one.
pub fn owner_ids(page: &Page<ObjectSummary>) -> Vec<&str> {
    listing::items(page)
        .map(|(_, summary)| &*summary.owner)
        .collect()
}

/// Writes the objects of a page, with their owners if the client is to see them.
fn write_contents(
    contents: &mut Contents<'_>,
    page: &Page<ObjectSummary>,
    owners: Option<&Owners>,
    restorations: Restorations,
) -> Result<(), S3Error> {
    let mut etag = String::new();
    for (key, summary) in listing::items(page) {
        etag.clear();
        // Writing into a string does not fail.
        let _ = write!(etag, "{}", summary.etag);
        contents.add(&ObjectEntry {
            key: Cow::Borrowed(key_text(key)?),
            last_modified_ms: summary.last_modified_ms as i64,
            etag: Cow::Borrowed(&etag),
            size: summary.size,
            storage_class: Cow::Borrowed(summary.storage_class()),
            owner: owners.map(|owners| owners.as_xml(&summary.owner)),
            checksum_algorithm: checksum_algorithm(summary),
            checksum_type: checksum_type(summary),
            restore_status: restorations.status(summary),
        });
    }
    Ok(())
}

/// The object's checksum algorithm as listings show it.
pub fn checksum_algorithm(summary: &ObjectSummary) -> Option<Cow<'static, str>> {
    summary
        .checksum
        .map(|(algorithm, _)| Cow::Borrowed(algorithm.as_str()))
}

/// The object's checksum type as listings show it.
pub fn checksum_type(summary: &ObjectSummary) -> Option<Cow<'static, str>> {
    summary.checksum.map(|(_, composite)| {
        let kind = if composite {
            ChecksumType::Composite
        } else {
            ChecksumType::FullObject
        };
        Cow::Borrowed(kind.as_str())
    })
}

#[cfg(test)]
mod tests {
    use oncilla_hash::ChecksumAlgorithm;
    use oncilla_store::ETag;
    use oncilla_wire::error::S3ErrorCode;

    use super::*;

    #[test]
    fn a_token_has_precedence_over_start_after() {
        let position = After::Group(Bytes::from_static(b"b/"));
        let token = continuation_token::encode(&position).unwrap();
        let begin = |token, start_after| begin_of_page(token, start_after).unwrap();
        assert_eq!(begin(Some(&token), Some("a")), position);
        assert_eq!(begin(Some(&token), None), position);
        let behind_a = After::Key(Bytes::from_static(b"a"));
        assert_eq!(begin(None, Some("a")), behind_a);
        assert_eq!(begin(Some(""), Some("a")), behind_a);
        assert_eq!(begin(Some(""), None), After::Nothing);
        assert_eq!(begin(None, None), After::Nothing);
        let error = begin_of_page(Some("x"), Some("a")).unwrap_err();
        assert_eq!(error.code, S3ErrorCode::InvalidArgument);
    }

    #[test]
    fn start_after_is_a_key_even_if_it_looks_like_a_group() {
        let position = begin_of_page(None, Some("a/")).unwrap();
        assert_eq!(position, After::Key(Bytes::from_static(b"a/")));
    }

    #[test]
    fn an_object_becomes_an_entry() {
        let summary = |storage_class: &str, checksum| ObjectSummary {
            size: 5,
            etag: ETag {
                md5: [0xab; 16],
                parts: 3,
            },
            last_modified_ms: 1_700_000_000_123,
            storage_class: storage_class.to_owned(),
            owner: "0123".into(),
            checksum,
            restoration: None,
        };
        let composite = Some((ChecksumAlgorithm::Sha256, true));
        let full = Some((ChecksumAlgorithm::Crc64Nvme, false));
        let page = Page {
            entries: vec![
                Entry::Item(Bytes::from_static(b"a"), summary("", composite)),
                Entry::Group(Bytes::from_static(b"b/")),
                Entry::Item(Bytes::from_static(b"c"), summary("STANDARD_IA", full)),
                Entry::Item(Bytes::from_static(b"d"), summary("", None)),
            ],
            truncated: false,
        };
        assert_eq!(owner_ids(&page), ["0123"; 3]);
        let owners = Owners::default();
        let shown = |owners| {
            let written = ListObjectsV2::default().to_xml_of(page.entries.len(), |contents| {
                write_contents(contents, &page, owners, Restorations::default())
            });
            ListObjectsV2::parse(&written.unwrap()).unwrap().contents
        };
        let without_owners = shown(None);
        assert!(without_owners.iter().all(|entry| entry.owner.is_none()));
        let shown = shown(Some(&owners));
        let keys: Vec<_> = shown.iter().map(|entry| entry.key.as_ref()).collect();
        assert_eq!(keys, ["a", "c", "d"]);
        assert_eq!(shown[0].etag, format!("{}-3", "ab".repeat(16)));
        assert_eq!(shown[0].last_modified_ms, 1_700_000_000_123);
        assert_eq!(shown[0].owner.as_ref().unwrap().id, "0123");
        let classes: Vec<_> = shown
            .iter()
            .map(|entry| entry.storage_class.as_ref())
            .collect();
        assert_eq!(classes, ["STANDARD", "STANDARD_IA", "STANDARD"]);
        let checksums: Vec<_> = shown
            .iter()
            .map(|entry| {
                (
                    entry.checksum_algorithm.as_deref(),
                    entry.checksum_type.as_deref(),
                )
            })
            .collect();
        let expected = [
            (Some("SHA256"), Some("COMPOSITE")),
            (Some("CRC64NVME"), Some("FULL_OBJECT")),
            (None, None),
        ];
        assert_eq!(checksums, expected);
    }
}
