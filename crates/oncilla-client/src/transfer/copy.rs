//! Objects into objects of the same endpoint.

use std::collections::BTreeMap;

use futures_util::{StreamExt, TryStreamExt, stream};
use oncilla_wire::header::{
    USER_METADATA_PREFIX, X_AMZ_MISSING_META, X_AMZ_WEBSITE_REDIRECT_LOCATION,
};

use super::Options;
use super::plan::PartPlan;
use super::upload::{abandon_if_failed, complete};
use crate::client::Client;
use crate::error::Error;
use crate::types::{
    CopyObjectRequest, GetObjectRequest, ObjectAttributes, ObjectInfo, PutObjectOutput,
    PutObjectRequest, TagsOf, UploadedPart,
};

/// Largest object that CopyObject takes (S3's limit).
pub const COPY_OBJECT_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024;

/// Parts of a copy cross no network on our side, so they may be large.
const COPY_PART_BYTES: u64 = 512 * 1024 * 1024;

/// Storage classes that come with the kind of bucket, and are none to ask for elsewhere. Source: S3 API
/// reference, `StorageClass` of HeadObject and of CopyObject.
const CLASSES_OF_BUCKETS: [&str; 4] = ["EXPRESS_ONEZONE", "FSX_OPENZFS", "OUTPOSTS", "SNOW"];

/// Copies an object of any size on the server's side: in one request up to [`COPY_OBJECT_BYTES_MAX`],
/// beyond that in parallel parts. The source is pinned by its ETag. Headers, metadata, website redirect,
/// tags and storage class that the request does not name stay those of the source.
///
/// # Errors
/// [`Error::Config`] if headers or metadata that the request does not name would be changed or lost.
/// [`Error::Auth`], among others, if a copy in parts may not read the source's tags and the request names
/// none.
pub async fn copy_object(
    client: &Client,
    request: &CopyObjectRequest,
    options: &Options,
) -> Result<PutObjectOutput, Error> {
    options
        .unless_cancelled(copy(client, request, options, COPY_OBJECT_BYTES_MAX))
        .await
}

async fn copy(
    client: &Client,
    request: &CopyObjectRequest,
    options: &Options,
    single_bytes_max: u64,
) -> Result<PutObjectOutput, Error> {
    let head = GetObjectRequest {
        bucket: request.source_bucket.clone(),
        key: request.source_key.clone(),
        version_id: request.source_version_id.clone(),
        customer_key: request.source_customer_key.clone(),
        ..GetObjectRequest::default()
    };
    let (info, pinned) = {
        let _slot = options.slot().await?;
        let info = client.head_object(&head).await?;
        let in_one = info.content_length <= single_bytes_max;
        require_all_metadata(request, &info, request.replace_metadata || !in_one)?;
        let pinned = CopyObjectRequest {
            source_if_match: info.etag.clone(),
            attributes: attributes_of_copy(request, &info),
            ..request.clone()
        };
        if in_one {
            let output = client.copy_object(&pinned).await?;
            options.advance(info.content_length);
            return Ok(output);
        }
        (info, pinned)
    };
    copy_in_parts(client, &pinned, &info, options).await
}

async fn copy_in_parts(
    client: &Client,
    request: &CopyObjectRequest,
    info: &ObjectInfo,
    options: &Options,
) -> Result<PutObjectOutput, Error> {
    let plan = PartPlan::new(info.content_length, COPY_PART_BYTES).map_err(|error| {
        Error::Config(format!(
            "s3://{}/{}: {error}",
            request.source_bucket, request.source_key
        ))
    })?;
    let mut attributes = request.attributes.clone();
    if attributes.tags.is_empty() {
        attributes.tags = tags_of_source(client, request).await?;
    }
    let put = PutObjectRequest {
        bucket: request.bucket.clone(),
        key: request.key.clone(),
        attributes,
        if_match: None,
        if_none_match: request.if_none_match.clone(),
    };
    let etag = info.etag.clone().unwrap_or_default();
    let upload_id = client.create_multipart_upload(&put).await?;
    let parts = async {
        let copies = plan.numbers().map(|number| {
            let (offset, length) = plan.part(number);
            let (upload_id, etag) = (&upload_id, &etag);
            async move {
                let _slot = options.slot().await?;
                let part = client
                    .upload_part_copy(
                        request,
                        upload_id,
                        number,
                        etag,
                        offset,
                        offset + length - 1,
                    )
                    .await?;
                options.advance(length);
                Ok::<_, Error>(part)
            }
        });
        let mut parts: Vec<UploadedPart> = stream::iter(copies)
            .buffer_unordered(options.concurrency)
            .try_collect()
            .await?;
        parts.sort_by_key(|part| part.part_number);
        complete(client, &put, &upload_id, &parts).await
    };
    let outcome = options.unless_cancelled(parts).await;
    abandon_if_failed(client, &put, &upload_id, outcome).await
}

/// What the copy is to have: what was asked for, and else what the source has. S3 takes nothing over into
/// a multipart copy, into another one no storage class and no redirect, and with the directive REPLACE no
/// header and no metadata. Source: S3 API reference, CopyObject, `x-amz-website-redirect-location`.
fn attributes_of_copy(request: &CopyObjectRequest, info: &ObjectInfo) -> ObjectAttributes {
    let asked = request.attributes.clone();
    let mut kept = attributes_of(info);
    if request.replace_metadata {
        kept.content_type = asked.content_type.or(kept.content_type);
        kept.cache_control = asked.cache_control.or(kept.cache_control);
        kept.content_disposition = asked.content_disposition.or(kept.content_disposition);
        kept.content_encoding = asked.content_encoding.or(kept.content_encoding);
        kept.content_language = asked.content_language.or(kept.content_language);
        kept.expires = asked.expires.or(kept.expires);
        kept.metadata.extend(asked.metadata);
    }
    ObjectAttributes {
        website_redirect: asked.website_redirect.or(kept.website_redirect),
        storage_class: asked.storage_class.or(kept.storage_class),
        acl: asked.acl,
        server_side_encryption: asked.server_side_encryption,
        sse_kms_key_id: asked.sse_kms_key_id,
        customer_key: asked.customer_key,
        tags: asked.tags,
        ..kept
    }
}

/// Refuses to repeat what is not shown as it is: it would be lost or changed. Only where the endpoint does
/// not take them over by itself, headers and metadata are repeated. Source: S3 API reference, HeadObject,
/// `x-amz-missing-meta`.
fn require_all_metadata(
    request: &CopyObjectRequest,
    info: &ObjectInfo,
    repeats_headers: bool,
) -> Result<(), Error> {
    let is_missing =
        |(name, count): &(String, String)| name == X_AMZ_MISSING_META.as_str() && count != "0";
    if repeats_headers && info.headers.iter().any(is_missing) {
        return Err(Error::Config(
            "the source has metadata that cannot be sent in a header, and would be lost".to_owned(),
        ));
    }
    let mut not_utf8 = info.not_utf8.iter();
    match not_utf8.find(|name| is_repeated(request, name, repeats_headers)) {
        None => Ok(()),
        Some(name) => Err(Error::Config(format!(
            "the source's {name} is no UTF-8, and would be changed unless it is given anew"
        ))),
    }
}

/// Whether a header of the source has to be repeated: it is one of the object's, and the request gives no
/// other one.
fn is_repeated(request: &CopyObjectRequest, name: &str, repeats_headers: bool) -> bool {
    let asked = &request.attributes;
    if name == X_AMZ_WEBSITE_REDIRECT_LOCATION.as_str() {
        return asked.website_redirect.is_none();
    }
    let is_named = match name.strip_prefix(USER_METADATA_PREFIX) {
        Some(name) => asked.metadata.contains_key(name),
        None => {
            let mut standard = asked.standard_headers().into_iter();
            let Some((_, value)) = standard.find(|(known, _)| known.as_str() == name) else {
                return false;
            };
            value.is_some()
        }
    };
    repeats_headers && !(request.replace_metadata && is_named)
}

/// The tags that CopyObject would take over by itself. They are asked for whatever the source's headers
/// say: `x-amz-tagging-count` is left out for whoever may not read tags. Source: S3 API reference,
/// GetObject.
async fn tags_of_source(
    client: &Client,
    request: &CopyObjectRequest,
) -> Result<Vec<(String, String)>, Error> {
    let source = TagsOf {
        bucket: request.source_bucket.clone(),
        key: Some(request.source_key.clone()),
        version_id: request.source_version_id.clone(),
    };
    match client.tags(&source).await {
        // Where there are no tags none can be lost.
        Err(error) if error.has_code("NotImplemented") => Ok(Vec::new()),
        outcome => outcome,
    }
}

/// The stored headers of an object, as a copy has to repeat them.
fn attributes_of(info: &ObjectInfo) -> ObjectAttributes {
    let headers: BTreeMap<&str, &str> = info
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let stored = |name: &str| headers.get(name).map(|value| (*value).to_owned());
    ObjectAttributes {
        content_type: info.content_type.clone(),
        cache_control: stored("cache-control"),
        content_disposition: stored("content-disposition"),
        content_encoding: stored("content-encoding"),
        content_language: stored("content-language"),
        expires: stored("expires"),
        website_redirect: stored(X_AMZ_WEBSITE_REDIRECT_LOCATION.as_str()),
        storage_class: stored("x-amz-storage-class")
            .filter(|class| !CLASSES_OF_BUCKETS.contains(&class.as_str())),
        metadata: info.metadata.clone(),
        ..ObjectAttributes::default()
    }
}
