//! ListObjectVersions. In a bucket that never was versioned, every object is its one version, which
//! is the latest and has the id `null`.

use std::borrow::Cow;

use oncilla_store::list::{After, Entry, Page};
use oncilla_store::{Bucket, ObjectSummary};
use oncilla_wire::error::S3Error;
use oncilla_wire::xml::list_versions::{
    ListVersions, NULL_VERSION_ID, VersionContent, VersionEntry,
};

use crate::s3::answer::{Answer, xml};
use crate::s3::bucket::list_objects::{checksum_algorithm, checksum_type, owner_ids};
use crate::s3::bucket::listing::{self, ListParameters, common_prefixes, key_text, next_marker};
use crate::s3::owner::Owners;
use crate::s3::request::S3Request;
use crate::s3::{S3Service, errors};

pub async fn list_versions(
    service: &S3Service,
    request: &mut S3Request,
    bucket: &Bucket,
) -> Answer {
    let parameters = ListParameters::parse(&request.query, "max-keys")?;
    let key_marker = request.query.get("key-marker").unwrap_or_default();
    let version_id_marker = request.query.get("version-id-marker").unwrap_or_default();
    let query = parameters.query(begin_of_page(&parameters, key_marker, version_id_marker)?);
    let _memory = listing::reserve_page(request, parameters.limit).await?;
    let page = service
        .store
        .list_objects(bucket, &query)
        .await
        .map_err(errors::fault)?;
    let owners = service.owners(owner_ids(&page)).await?;
    let answer = ListVersions {
        name: Cow::Borrowed(&bucket.name),
        prefix: Cow::Borrowed(parameters.prefix),
        key_marker: Cow::Borrowed(key_marker),
        version_id_marker: Cow::Borrowed(version_id_marker),
        next_key_marker: next_marker(&page)?.map(Cow::Borrowed),
        next_version_id_marker: next_version_id_marker(&page).map(Cow::Borrowed),
        delimiter: parameters.delimiter_in_answer(),
        max_keys: parameters.limit,
        encoding: parameters.encoding,
        is_truncated: page.truncated,
        entries: entries(&page, &owners)?,
        common_prefixes: common_prefixes(&page)?,
    };
    Ok(xml(answer.to_xml()))
}

/// Where the page begins. With a single version per key, behind the key is behind its version.
fn begin_of_page(
    parameters: &ListParameters<'_>,
    key_marker: &str,
    version_id_marker: &str,
) -> Result<After, S3Error> {
    let refuse =
        |message| S3Error::invalid_argument("version-id-marker", version_id_marker, message);
    match version_id_marker {
        "" => {}
        _ if key_marker.is_empty() => {
            return Err(refuse(
                "A version-id marker cannot be specified without a key marker.",
            ));
        }
        NULL_VERSION_ID => {}
        _ => return Err(refuse("Invalid version id specified")),
    }
    Ok(parameters.after_marker(key_marker))
}

/// The version of the key that [`next_marker`] gives; a group has none.
fn next_version_id_marker(page: &Page<ObjectSummary>) -> Option<&'static str> {
    match page.entries.last() {
        Some(Entry::Item(..)) if page.truncated => Some(NULL_VERSION_ID),
        _ => None,
    }
}

fn entries<'p>(
    page: &'p Page<ObjectSummary>,
    owners: &'p Owners,
) -> Result<Vec<VersionEntry<'p>>, S3Error> {
    let entries = listing::items(page).map(|(key, summary)| {
        Ok(VersionEntry {
            key: Cow::Borrowed(key_text(key)?),
            version_id: Cow::Borrowed(NULL_VERSION_ID),
            is_latest: true,
            last_modified_ms: summary.last_modified_ms as i64,
            owner: Some(owners.as_xml(&summary.owner)),
            content: Some(VersionContent {
                etag: Cow::Owned(summary.etag.to_string()),
                size: summary.size,
                storage_class: Cow::Borrowed(summary.storage_class()),
                checksum_algorithm: checksum_algorithm(summary),
                checksum_type: checksum_type(summary),
            }),
        })
    });
    entries.collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use oncilla_store::ETag;
    use oncilla_wire::error::S3ErrorCode;
    use oncilla_wire::xml::KeyEncoding;

    use super::*;

    #[test]
    fn markers_name_a_key_and_its_null_version() {
        let encoding = KeyEncoding::Plain;
        let parameters = ListParameters {
            prefix: "",
            delimiter: "/",
            limit: 1,
            encoding,
        };
        let begin = |key, version| begin_of_page(&parameters, key, version);
        let behind_a = After::Key(Bytes::from_static(b"a"));
        assert_eq!(begin("", "").unwrap(), After::Nothing);
        assert_eq!(begin("a", "").unwrap(), behind_a);
        assert_eq!(begin("a", "null").unwrap(), behind_a);
        assert_eq!(
            begin("b/", "").unwrap(),
            After::Group(Bytes::from_static(b"b/"))
        );
        for (key, version) in [("", "null"), ("", "x"), ("a", "x")] {
            let error = begin(key, version).unwrap_err();
            assert_eq!(error.code, S3ErrorCode::InvalidArgument, "{key} {version}");
        }
    }

    #[test]
    fn an_object_is_its_one_version() {
        let summary = ObjectSummary {
            size: 5,
            etag: ETag::of_md5([0xab; 16]),
            last_modified_ms: 7,
            storage_class: String::new(),
            owner: "0123".to_owned(),
            checksum: None,
        };
        let item = Entry::Item(Bytes::from_static(b"a"), summary);
        let mut page = Page {
            entries: vec![item],
            truncated: true,
        };
        let owners = Owners::default();
        let shown = entries(&page, &owners).unwrap();
        assert_eq!(
            (shown[0].version_id.as_ref(), shown[0].is_latest),
            ("null", true)
        );
        let content = shown[0].content.as_ref().unwrap();
        assert_eq!(
            (content.size, content.storage_class.as_ref()),
            (5, "STANDARD")
        );
        assert_eq!(next_version_id_marker(&page), Some("null"));
        page.truncated = false;
        assert_eq!(next_version_id_marker(&page), None);
        page.entries = vec![Entry::Group(Bytes::from_static(b"b/"))];
        page.truncated = true;
        assert_eq!(next_version_id_marker(&page), None);
    }
}
