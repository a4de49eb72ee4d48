//! Everything below a folder, on either side.

use std::path::Path;

use futures_util::{StreamExt, TryStreamExt};
use oncilla_client::{Client, DELETE_OBJECTS_MAX, ListObjectsRequest, ListedObject, ListedVersion};

use crate::failure::Failure;
use crate::local_files::{self, Folder};
use crate::location::S3Url;
use crate::sync_plan::{Entry, Listing};

/// The objects below a folder by the rest of their key. Keys that end in a slash mark folders and
/// are left out, unless `with_markers` wants them.
pub async fn objects_below(
    client: &Client,
    url: &S3Url,
    with_markers: bool,
) -> Result<Listing, Failure> {
    let folder = url.folder();
    let mut listing = Listing::new();
    let request = ListObjectsRequest {
        bucket: url.bucket.clone(),
        prefix: folder.clone(),
        ..ListObjectsRequest::default()
    };
    let mut pages = Box::pin(client.list_objects_pages(request));
    while let Some(page) = pages.try_next().await? {
        for object in page.objects {
            let ListedObject {
                key,
                size,
                last_modified_ms,
                ..
            } = object;
            let Some(relative) = key.strip_prefix(&folder) else {
                return Err(Failure::general(format!(
                    "the endpoint listed {key:?}, which is not below {folder:?}"
                )));
            };
            if relative.is_empty() || (relative.ends_with('/') && !with_markers) {
                continue;
            }
            let entry = Entry {
                size,
                modified_ms: last_modified_ms,
            };
            listing.insert(relative.to_owned(), entry);
        }
    }
    Ok(listing)
}

/// The files below a local folder.
pub async fn files_below(root: &Path, follow_symlinks: bool) -> Result<Folder, Failure> {
    let root = root.to_owned();
    tokio::task::spawn_blocking(move || local_files::walk(&root, follow_symlinks))
        .await
        .map_err(|error| Failure::general(error.to_string()))
}

/// Every key with a prefix, in pieces of at most `per_batch`, as they are listed.
pub async fn for_each_batch<F>(
    client: &Client,
    bucket: &str,
    prefix: &str,
    per_batch: usize,
    mut act: F,
) -> Result<(), Failure>
where
    F: AsyncFnMut(Vec<ListedObject>) -> Result<(), Failure>,
{
    let request = ListObjectsRequest {
        bucket: bucket.to_owned(),
        prefix: prefix.to_owned(),
        ..ListObjectsRequest::default()
    };
    let mut pages = Box::pin(client.list_objects_pages(request));
    while let Some(page) = pages.next().await {
        let mut objects = page?.objects;
        while !objects.is_empty() {
            let rest = objects.split_off(objects.len().min(per_batch));
            act(std::mem::replace(&mut objects, rest)).await?;
        }
    }
    Ok(())
}

/// Every version and delete marker with a prefix, in pieces of at most [`DELETE_OBJECTS_MAX`], as they
/// are listed.
pub async fn for_each_batch_of_versions<F>(
    client: &Client,
    bucket: &str,
    prefix: &str,
    mut act: F,
) -> Result<(), Failure>
where
    F: AsyncFnMut(Vec<ListedVersion>) -> Result<(), Failure>,
{
    let mut from = None;
    loop {
        let page = client
            .list_versions(bucket, prefix, None, from.as_ref())
            .await?;
        let mut versions = page.versions;
        while !versions.is_empty() {
            let rest = versions.split_off(versions.len().min(DELETE_OBJECTS_MAX));
            act(std::mem::replace(&mut versions, rest)).await?;
        }
        from = page.next;
        if from.is_none() {
            return Ok(());
        }
    }
}
