//! What operations take and give. Field names are those of the S3 API.

use std::collections::BTreeMap;

use oncilla_hash::ChecksumAlgorithm;

use crate::customer_key::CustomerKey;
use crate::response::ObjectBody;

/// A bucket as `ListBuckets` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// When it was created, in Unix milliseconds.
    pub creation_date_ms: i64,
}

/// An object in a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListedObject {
    /// The whole key.
    pub key: String,
    /// Size in bytes.
    pub size: u64,
    /// Without quotes.
    pub etag: String,
    /// When it was written, in Unix milliseconds.
    pub last_modified_ms: i64,
    /// `STANDARD` unless said otherwise.
    pub storage_class: Option<String>,
    /// The checksum algorithm the object carries.
    pub checksum_algorithm: Option<String>,
    /// `FULL_OBJECT` or `COMPOSITE`.
    pub checksum_type: Option<String>,
}

/// Asks for one page of `ListObjectsV2`.
#[derive(Clone, Debug, Default)]
pub struct ListObjectsRequest {
    /// The bucket.
    pub bucket: String,
    /// Only keys that begin with it.
    pub prefix: String,
    /// Groups keys up to it into common prefixes.
    pub delimiter: Option<String>,
    /// Only keys after this one.
    pub start_after: Option<String>,
    /// Keys per page; the endpoint's own maximum (1000) when `None`.
    pub max_keys: Option<u32>,
    /// `NextContinuationToken` of the page before.
    pub continuation_token: Option<String>,
}

/// One page of a listing.
#[derive(Clone, Debug, Default)]
pub struct ListObjectsPage {
    /// Objects in key order.
    pub objects: Vec<ListedObject>,
    /// Groups made by the delimiter, in order.
    pub common_prefixes: Vec<String>,
    /// Token of the next page; `None` on the last one.
    pub next_continuation_token: Option<String>,
}

/// Which object, and under which conditions, to read.
#[derive(Clone, Debug, Default)]
pub struct GetObjectRequest {
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// Version, when not the newest.
    pub version_id: Option<String>,
    /// `Range` header, such as `bytes=0-99` or `bytes=-10`.
    pub range: Option<String>,
    /// Part of a multipart object to read alone.
    pub part_number: Option<u32>,
    /// Answer only if the ETag is this one.
    pub if_match: Option<String>,
    /// Answer only if the ETag is another one.
    pub if_none_match: Option<String>,
    /// The key of the client's that the object is encrypted by.
    pub customer_key: Option<CustomerKey>,
}

/// What HEAD and GET say about an object.
#[derive(Clone, Debug, Default)]
pub struct ObjectInfo {
    /// Length of the body that GET sends: of the range if one was asked for.
    pub content_length: u64,
    /// Length of the whole object, from `Content-Range` where there is one.
    pub object_size: u64,
    /// Without quotes.
    pub etag: Option<String>,
    /// When it was written, in Unix milliseconds.
    pub last_modified_ms: Option<i64>,
    /// MIME type.
    pub content_type: Option<String>,
    /// The values of `x-amz-checksum-…`; composite ones end in `-` and the number of parts.
    pub checksums: BTreeMap<ChecksumAlgorithm, String>,
    /// `FULL_OBJECT` or `COMPOSITE`.
    pub checksum_type: Option<String>,
    /// Number of parts, when a part number was asked for.
    pub parts_count: Option<u32>,
    /// User metadata without `x-amz-meta-`.
    pub metadata: BTreeMap<String, String>,
    /// Every response header in the order of arrival. What of a value is no UTF-8 is U+FFFD here, as in
    /// `content_type` and `metadata`.
    pub headers: Vec<(String, String)>,
    /// The names of those headers whose values are not as they arrived, for they are no UTF-8.
    pub not_utf8: Vec<String>,
}

/// An object with its bytes.
#[derive(Debug)]
pub struct GetObjectOutput {
    /// Its headers.
    pub info: ObjectInfo,
    /// Its bytes, streaming.
    pub body: ObjectBody,
}

/// Headers that are stored with an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectAttributes {
    /// MIME type.
    pub content_type: Option<String>,
    /// `Cache-Control`
    pub cache_control: Option<String>,
    /// `Content-Disposition`
    pub content_disposition: Option<String>,
    /// `Content-Encoding`
    pub content_encoding: Option<String>,
    /// `Content-Language`
    pub content_language: Option<String>,
    /// `Expires`
    pub expires: Option<String>,
    /// `x-amz-website-redirect-location`: where a website sends those who ask for the object.
    pub website_redirect: Option<String>,
    /// `x-amz-storage-class`
    pub storage_class: Option<String>,
    /// Canned ACL, such as `public-read`.
    pub acl: Option<String>,
    /// `x-amz-server-side-encryption`: `AES256` or `aws:kms`.
    pub server_side_encryption: Option<String>,
    /// Id, alias or ARN of the KMS key.
    pub sse_kms_key_id: Option<String>,
    /// A key of the client's to encrypt by, in place of the endpoint's.
    pub customer_key: Option<CustomerKey>,
    /// Tags, by key.
    pub tags: Vec<(String, String)>,
    /// User metadata without `x-amz-meta-`.
    pub metadata: BTreeMap<String, String>,
}

/// Where and how to write an object.
#[derive(Clone, Debug, Default)]
pub struct PutObjectRequest {
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// Headers to store.
    pub attributes: ObjectAttributes,
    /// Write only if the present object's ETag is this one.
    pub if_match: Option<String>,
    /// `*`: write only if there is no object yet.
    pub if_none_match: Option<String>,
}

/// What a write produced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PutObjectOutput {
    /// Without quotes.
    pub etag: String,
    /// In versioned buckets.
    pub version_id: Option<String>,
    /// CRC64NVME of the body as sent, in base64, where the upload carried one.
    pub checksum_crc64nvme: Option<String>,
}

/// A copy within one endpoint.
#[derive(Clone, Debug, Default)]
pub struct CopyObjectRequest {
    /// Bucket read from.
    pub source_bucket: String,
    /// Key read from.
    pub source_key: String,
    /// Version read, when not the newest.
    pub source_version_id: Option<String>,
    /// Bucket written to.
    pub bucket: String,
    /// Key written to.
    pub key: String,
    /// Copy only if the source's ETag is this one.
    pub source_if_match: Option<String>,
    /// `*`: copy only if there is no object yet at the place written to.
    pub if_none_match: Option<String>,
    /// The key of the client's that the source is encrypted by.
    pub source_customer_key: Option<CustomerKey>,
    /// What the copy gets. The endpoint never takes website redirect, storage class, ACL and encryption
    /// over from the source ([`crate::transfer::copy_object`] does with the first two), and tags only if
    /// there are none here; the rest counts only with `replace_metadata`.
    pub attributes: ObjectAttributes,
    /// Whether the headers and metadata in `attributes` count. [`crate::Client::copy_object`] gives them
    /// to the copy instead of all that the source has; [`crate::transfer::copy_object`] adds them to the
    /// source's, and replaces those of the same name alone.
    pub replace_metadata: bool,
}

/// A part that the endpoint has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadedPart {
    /// 1 to 10,000.
    pub part_number: u32,
    /// Without quotes.
    pub etag: String,
    /// Size in bytes, where known.
    pub size: u64,
    /// CRC64NVME in base64, where the part was sent with one.
    pub checksum_crc64nvme: Option<String>,
}

/// A multipart upload that was begun and not ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MultipartUpload {
    /// The key.
    pub key: String,
    /// The upload's id.
    pub upload_id: String,
    /// When it was begun, in Unix milliseconds.
    pub initiated_ms: i64,
}

/// Whose tags to read or write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagsOf {
    /// The bucket.
    pub bucket: String,
    /// The object; the bucket itself when `None`.
    pub key: Option<String>,
    /// Version of the object, when not the newest.
    pub version_id: Option<String>,
}

/// What became of a delete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteObjectOutput {
    /// In versioned buckets: the version removed, or that of the delete marker made.
    pub version_id: Option<String>,
    /// Whether that is a delete marker.
    pub delete_marker: bool,
}

/// A version or delete marker in a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListedVersion {
    /// The whole key.
    pub key: String,
    /// `null` for what was written while versioning was off.
    pub version_id: String,
    /// Whether it is the present state of the key.
    pub is_latest: bool,
    /// When it was written, in Unix milliseconds.
    pub last_modified_ms: i64,
    /// Size in bytes; `None` for a delete marker.
    pub size: Option<u64>,
    /// Without quotes; `None` for a delete marker.
    pub etag: Option<String>,
    /// `None` for a delete marker.
    pub storage_class: Option<String>,
}

/// One page of a listing of versions.
#[derive(Clone, Debug, Default)]
pub struct ListVersionsPage {
    /// By key, the newest first within a key.
    pub versions: Vec<ListedVersion>,
    /// Groups made by the delimiter, in order.
    pub common_prefixes: Vec<String>,
    /// Key and version where the next page begins; `None` on the last one.
    pub next: Option<(String, Option<String>)>,
}

/// One object that `DeleteObjects` could not delete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteFailure {
    /// The key.
    pub key: String,
    /// The version, where one was named.
    pub version_id: Option<String>,
    /// S3's code.
    pub code: String,
    /// S3's message.
    pub message: String,
}
