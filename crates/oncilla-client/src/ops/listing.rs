//! ListObjectsV2, ListObjectVersions.

use futures_util::{Stream, stream};
use http::Method;
use oncilla_wire::xml::list_objects::ListObjectsV2;
use oncilla_wire::xml::list_versions::{ListVersions, VersionEntry};

use crate::body::Body;
use crate::call::Call;
use crate::client::Client;
use crate::error::Error;
use crate::types::{
    ListObjectsPage, ListObjectsRequest, ListVersionsPage, ListedObject, ListedVersion,
};

impl Client {
    /// One page of a listing. Keys come `encoding-type=url`, so that any key survives the XML.
    pub async fn list_objects(
        &self,
        request: &ListObjectsRequest,
    ) -> Result<ListObjectsPage, Error> {
        let max_keys = request.max_keys.map(|keys| keys.to_string());
        let call = Call::new(Method::GET, Some(&request.bucket), None)
            .query("list-type", "2")
            .query("encoding-type", "url")
            .query("prefix", &request.prefix)
            .optional_query("delimiter", request.delimiter.as_deref())
            .optional_query("start-after", request.start_after.as_deref())
            .optional_query("max-keys", max_keys.as_deref())
            .optional_query("continuation-token", request.continuation_token.as_deref());
        let document = self.send_for_document(call, Body::Empty).await?;
        let page = document.parse(ListObjectsV2::parse)?;
        let next = page
            .next_continuation_token
            .filter(|token| page.is_truncated && !token.is_empty())
            .map(std::borrow::Cow::into_owned);
        // Taking a cut listing for a whole one would make `sync --delete` remove files.
        if page.is_truncated && (next.is_none() || next == request.continuation_token) {
            return Err(Error::InvalidResponse {
                request: document.request,
                reason: "the page is truncated but names no next one".to_owned(),
            });
        }
        Ok(ListObjectsPage {
            objects: page
                .contents
                .into_iter()
                .map(|entry| ListedObject {
                    key: entry.key.into_owned(),
                    size: entry.size,
                    etag: entry.etag.into_owned(),
                    last_modified_ms: entry.last_modified_ms,
                    storage_class: Some(entry.storage_class.into_owned())
                        .filter(|class| !class.is_empty()),
                    checksum_algorithm: entry.checksum_algorithm.map(|name| name.into_owned()),
                    checksum_type: entry.checksum_type.map(|name| name.into_owned()),
                })
                .collect(),
            common_prefixes: page
                .common_prefixes
                .into_iter()
                .map(|p| p.into_owned())
                .collect(),
            next_continuation_token: next,
        })
    }

    /// One page of the versions and delete markers below a prefix, beginning at `from`: the `next`
    /// of the page before.
    pub async fn list_versions(
        &self,
        bucket: &str,
        prefix: &str,
        delimiter: Option<&str>,
        from: Option<&(String, Option<String>)>,
    ) -> Result<ListVersionsPage, Error> {
        let (key, version) = match from {
            Some((key, version)) => (Some(key.as_str()), version.as_deref()),
            None => (None, None),
        };
        let call = Call::new(Method::GET, Some(bucket), None)
            .query("versions", "")
            .query("encoding-type", "url")
            .query("prefix", prefix)
            .optional_query("delimiter", delimiter)
            .optional_query("key-marker", key)
            .optional_query("version-id-marker", version);
        let document = self.send_for_document(call, Body::Empty).await?;
        let page = document.parse(ListVersions::parse)?;
        let version = page.next_version_id_marker.filter(|id| !id.is_empty());
        let version = version.map(std::borrow::Cow::into_owned);
        let next = page
            .next_key_marker
            .filter(|key| page.is_truncated && !key.is_empty())
            .map(|key| (key.into_owned(), version));
        if page.is_truncated && (next.is_none() || next.as_ref() == from) {
            return Err(Error::InvalidResponse {
                request: document.request,
                reason: "the page is truncated but names no next one".to_owned(),
            });
        }
        let prefixes = page.common_prefixes.into_iter();
        Ok(ListVersionsPage {
            versions: page.entries.into_iter().map(listed_version).collect(),
            common_prefixes: prefixes.map(std::borrow::Cow::into_owned).collect(),
            next,
        })
    }

    /// Every page of a listing in order, each fetched when the one before has been taken.
    pub fn list_objects_pages(
        &self,
        request: ListObjectsRequest,
    ) -> impl Stream<Item = Result<ListObjectsPage, Error>> + Send + 'static {
        let client = self.clone();
        stream::try_unfold(Some(request), move |request| {
            let client = client.clone();
            async move {
                let Some(mut request) = request else {
                    return Ok(None);
                };
                let page = client.list_objects(&request).await?;
                let next = page.next_continuation_token.clone().map(|token| {
                    request.continuation_token = Some(token);
                    request
                });
                Ok(Some((page, next)))
            }
        })
    }
}

fn listed_version(entry: VersionEntry<'_>) -> ListedVersion {
    let mut version = ListedVersion {
        key: entry.key.into_owned(),
        version_id: entry.version_id.into_owned(),
        is_latest: entry.is_latest,
        last_modified_ms: entry.last_modified_ms,
        ..ListedVersion::default()
    };
    if let Some(content) = entry.content {
        version.size = Some(content.size);
        version.etag = Some(content.etag.into_owned());
        version.storage_class =
            Some(content.storage_class.into_owned()).filter(|class| !class.is_empty());
    }
    version
}
