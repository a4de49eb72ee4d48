//! ListObjectsV2.

use futures_util::{Stream, stream};
use http::Method;
use oncilla_wire::xml::list_objects::ListObjectsV2;

use crate::body::Body;
use crate::call::Call;
use crate::client::Client;
use crate::error::Error;
use crate::types::{ListObjectsPage, ListObjectsRequest, ListedObject};

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
