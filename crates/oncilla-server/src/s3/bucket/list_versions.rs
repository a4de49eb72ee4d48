//! ListObjectVersions.

use std::borrow::Cow;

use bytes::Bytes;
use oncilla_store::history::{ListVersionsQuery, ListedVersion, VersionEntry, VersionMarker};
use oncilla_store::list::{Entry, Page};
use oncilla_store::{Bucket, VersionId};
use oncilla_wire::error::S3Error;
use oncilla_wire::xml::list_versions::{ListVersions, VersionContent, VersionEntry as XmlEntry};

use crate::s3::answer::{Answer, held, xml};
use crate::s3::bucket::list_objects::{checksum_algorithm, checksum_type};
use crate::s3::bucket::listing::{self, ListParameters, common_prefixes, key_text, next_marker};
use crate::s3::lifecycle::Restorations;
use crate::s3::owner::Owners;
use crate::s3::request::S3Request;
use crate::s3::{S3Service, errors};

pub async fn list_versions(
    service: &S3Service,
    request: &mut S3Request,
    bucket: &Bucket,
) -> Answer {
    let parameters = ListParameters::parse(&request.query, "max-keys")?;
    let restorations = Restorations::asked(service, request)?;
    let key_marker = request.query.get("key-marker").unwrap_or_default();
    let version_id_marker = request.query.get("version-id-marker");
    let query = ListVersionsQuery {
        keys: parameters.query(parameters.after_marker(key_marker)),
        marker: version_marker(key_marker, version_id_marker)?,
    };
    let memory = listing::reserve_page(request, parameters.limit).await?;
    let page = service
        .store
        .list_versions(bucket, &query)
        .await
        .map_err(errors::fault)?;
    let owners = service.owners_of_objects(bucket, owner_ids(&page)).await?;
    let answer = ListVersions {
        name: Cow::Borrowed(&bucket.name),
        prefix: Cow::Borrowed(parameters.prefix),
        key_marker: Cow::Borrowed(key_marker),
        version_id_marker: Cow::Borrowed(version_id_marker.unwrap_or_default()),
        next_key_marker: next_marker(&page)?.map(Cow::Borrowed),
        next_version_id_marker: next_version_id_marker(&page).map(Cow::Owned),
        delimiter: parameters.delimiter_in_answer(),
        max_keys: parameters.limit,
        encoding: parameters.encoding,
        is_truncated: page.truncated,
        entries: entries(&page, &owners, restorations)?,
        common_prefixes: common_prefixes(&page)?,
    };
    held(&request.context, xml(answer.to_xml()), Some(memory))
}

/// The version of the key marker behind which the page begins. Without one it begins behind all
/// versions of the key. Source of the messages: observed of S3.
fn version_marker(
    key_marker: &str,
    version_id_marker: Option<&str>,
) -> Result<Option<VersionMarker>, S3Error> {
    let Some(text) = version_id_marker else {
        return Ok(None);
    };
    let refuse = |message| S3Error::invalid_argument("version-id-marker", text, message);
    if text.is_empty() {
        return Err(refuse("A version-id marker cannot be empty."));
    }
    if key_marker.is_empty() {
        let message = "A version-id marker cannot be specified without a key marker.";
        return Err(refuse(message));
    }
    let version = VersionId::parse(text);
    Ok(Some(VersionMarker {
        key: Bytes::copy_from_slice(key_marker.as_bytes()),
        version: version.ok_or_else(|| refuse("Invalid version id specified"))?,
    }))
}

/// The version of the key that [`next_marker`] gives; a group has none.
fn next_version_id_marker(page: &Page<ListedVersion>) -> Option<String> {
    match page.entries.last() {
        Some(Entry::Item(_, version)) if page.truncated => Some(version.version_id.to_string()),
        _ => None,
    }
}

fn owner_of(version: &ListedVersion) -> &str {
    match &version.entry {
        VersionEntry::Object(summary) => &summary.owner,
        VersionEntry::DeleteMarker { owner, .. } => owner,
    }
}

fn owner_ids(page: &Page<ListedVersion>) -> Vec<&str> {
    listing::items(page)
        .map(|(_, version)| owner_of(version))
        .collect()
}

fn entries<'p>(
    page: &'p Page<ListedVersion>,
    owners: &'p Owners,
    restorations: Restorations,
) -> Result<Vec<XmlEntry<'p>>, S3Error> {
    let entries = listing::items(page).map(|(key, version)| {
        let (last_modified_ms, content) = match &version.entry {
            VersionEntry::DeleteMarker {
                last_modified_ms, ..
            } => (*last_modified_ms, None),
            VersionEntry::Object(summary) => {
                let content = VersionContent {
                    etag: Cow::Owned(summary.etag.to_string()),
                    size: summary.size,
                    storage_class: Cow::Borrowed(summary.storage_class()),
                    checksum_algorithm: checksum_algorithm(summary),
                    checksum_type: checksum_type(summary),
                    restore_status: restorations.status(summary),
                };
                (summary.last_modified_ms, Some(content))
            }
        };
        Ok(XmlEntry {
            key: Cow::Borrowed(key_text(key)?),
            version_id: Cow::Owned(version.version_id.to_string()),
            is_latest: version.is_latest,
            last_modified_ms: last_modified_ms as i64,
            owner: Some(owners.as_xml(owner_of(version))),
            content,
        })
    });
    entries.collect()
}

#[cfg(test)]
mod tests {
    use oncilla_store::{ETag, ObjectSummary};
    use oncilla_wire::error::S3ErrorCode;

    use super::*;

    #[test]
    fn a_version_marker_needs_its_key() {
        let id = "fe2345678901234567890123456789ab";
        let version = VersionId::parse(id).unwrap();
        assert_eq!(version_marker("", None).unwrap(), None);
        assert_eq!(version_marker("a", None).unwrap(), None);
        for (text, version) in [("null", VersionId::Null), (id, version)] {
            let key = Bytes::from_static(b"a");
            let marker = Some(VersionMarker { key, version });
            assert_eq!(version_marker("a", Some(text)).unwrap(), marker);
        }
        let refused = [
            ("", "null"),
            ("", id),
            ("", ""),
            ("a", ""),
            ("a", "x"),
            ("a", "NULL"),
        ];
        for (key, version) in refused {
            let error = version_marker(key, Some(version)).unwrap_err();
            assert_eq!(error.code, S3ErrorCode::InvalidArgument, "{key} {version}");
        }
    }

    #[test]
    fn versions_and_delete_markers_are_shown() {
        let summary = ObjectSummary {
            size: 5,
            etag: ETag::of_md5([0xab; 16]),
            last_modified_ms: 7,
            storage_class: String::new(),
            owner: "0123".into(),
            checksum: None,
            restoration: None,
        };
        let version_id = VersionId::parse("fe2345678901234567890123456789ab").unwrap();
        let marker = ListedVersion {
            version_id,
            is_latest: true,
            entry: VersionEntry::DeleteMarker {
                last_modified_ms: 8,
                owner: "4567".to_owned(),
            },
        };
        let object = ListedVersion {
            version_id: VersionId::Null,
            is_latest: false,
            entry: VersionEntry::Object(summary),
        };
        let key = Bytes::from_static(b"a");
        let mut page = Page {
            entries: vec![Entry::Item(key.clone(), marker), Entry::Item(key, object)],
            truncated: true,
        };
        assert_eq!(owner_ids(&page), ["4567", "0123"]);
        let owners = Owners::default();
        let shown = entries(&page, &owners, Restorations::default()).unwrap();
        assert_eq!((shown[0].is_latest, shown[0].last_modified_ms), (true, 8));
        assert_eq!(shown[0].version_id, version_id.to_string());
        assert_eq!(shown[0].content, None);
        assert_eq!((shown[1].is_latest, &*shown[1].version_id), (false, "null"));
        let content = shown[1].content.as_ref().unwrap();
        assert_eq!((content.size, &*content.storage_class), (5, "STANDARD"));
        assert_eq!(next_version_id_marker(&page).as_deref(), Some("null"));
        page.truncated = false;
        assert_eq!(next_version_id_marker(&page), None);
        page.entries = vec![Entry::Group(Bytes::from_static(b"b/"))];
        page.truncated = true;
        assert_eq!(next_version_id_marker(&page), None);
    }
}
