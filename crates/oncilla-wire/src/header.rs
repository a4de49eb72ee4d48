//! Header names, the object headers that are stored, and user metadata.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::error::{S3Error, S3ErrorCode};

/// The most bytes of user metadata, names without prefix and values together (S3's limit).
pub const MAX_USER_METADATA_BYTES: usize = 2 * 1024;

/// What a user metadata header begins with.
pub const USER_METADATA_PREFIX: &str = "x-amz-meta-";

const fn name(text: &'static str) -> HeaderName {
    HeaderName::from_static(text)
}

// Every request and answer.

/// The request's id.
pub const X_AMZ_REQUEST_ID: HeaderName = name("x-amz-request-id");
/// The server's id.
pub const X_AMZ_ID_2: HeaderName = name("x-amz-id-2");
/// When the request was signed.
pub const X_AMZ_DATE: HeaderName = name("x-amz-date");
/// The digest of the body, or how it is framed.
pub const X_AMZ_CONTENT_SHA256: HeaderName = name("x-amz-content-sha256");
/// The length of the body inside aws-chunked framing.
pub const X_AMZ_DECODED_CONTENT_LENGTH: HeaderName = name("x-amz-decoded-content-length");
/// The trailers that follow an aws-chunked body.
pub const X_AMZ_TRAILER: HeaderName = name("x-amz-trailer");
/// The session token of temporary credentials.
pub const X_AMZ_SECURITY_TOKEN: HeaderName = name("x-amz-security-token");
/// The account that the client expects to own the bucket.
pub const X_AMZ_EXPECTED_BUCKET_OWNER: HeaderName = name("x-amz-expected-bucket-owner");
/// The account that the client expects to own the source of a copy.
pub const X_AMZ_SOURCE_EXPECTED_BUCKET_OWNER: HeaderName =
    name("x-amz-source-expected-bucket-owner");
/// Who pays.
pub const X_AMZ_REQUEST_PAYER: HeaderName = name("x-amz-request-payer");
/// That the requester was charged.
pub const X_AMZ_REQUEST_CHARGED: HeaderName = name("x-amz-request-charged");

// Buckets.

/// The region of a bucket.
pub const X_AMZ_BUCKET_REGION: HeaderName = name("x-amz-bucket-region");
/// Whether a new bucket has object lock.
pub const X_AMZ_BUCKET_OBJECT_LOCK_ENABLED: HeaderName = name("x-amz-bucket-object-lock-enabled");
/// Whether a bucket policy may shut out whoever sets it.
pub const X_AMZ_CONFIRM_REMOVE_SELF_BUCKET_ACCESS: HeaderName =
    name("x-amz-confirm-remove-self-bucket-access");
/// Who owns the objects of a new bucket.
pub const X_AMZ_OBJECT_OWNERSHIP: HeaderName = name("x-amz-object-ownership");

// Objects.

/// A canned ACL.
pub const X_AMZ_ACL: HeaderName = name("x-amz-acl");
/// Grantees with full control.
pub const X_AMZ_GRANT_FULL_CONTROL: HeaderName = name("x-amz-grant-full-control");
/// Grantees that read.
pub const X_AMZ_GRANT_READ: HeaderName = name("x-amz-grant-read");
/// Grantees that read the ACL.
pub const X_AMZ_GRANT_READ_ACP: HeaderName = name("x-amz-grant-read-acp");
/// Grantees that write.
pub const X_AMZ_GRANT_WRITE: HeaderName = name("x-amz-grant-write");
/// Grantees that write the ACL.
pub const X_AMZ_GRANT_WRITE_ACP: HeaderName = name("x-amz-grant-write-acp");
/// The version of an object.
pub const X_AMZ_VERSION_ID: HeaderName = name("x-amz-version-id");
/// Whether the newest version is a delete marker.
pub const X_AMZ_DELETE_MARKER: HeaderName = name("x-amz-delete-marker");
/// The storage class.
pub const X_AMZ_STORAGE_CLASS: HeaderName = name("x-amz-storage-class");
/// When lifecycle rules will remove the object, and which of them.
pub const X_AMZ_EXPIRATION: HeaderName = name("x-amz-expiration");
/// How far the restoration of an archived object is.
pub const X_AMZ_RESTORE: HeaderName = name("x-amz-restore");
/// Further attributes that listings should show.
pub const X_AMZ_OPTIONAL_OBJECT_ATTRIBUTES: HeaderName = name("x-amz-optional-object-attributes");
/// Which small objects lifecycle rules do not move.
pub const X_AMZ_TRANSITION_DEFAULT_MINIMUM_OBJECT_SIZE: HeaderName =
    name("x-amz-transition-default-minimum-object-size");
/// Where a website sends those who ask for the object.
pub const X_AMZ_WEBSITE_REDIRECT_LOCATION: HeaderName = name("x-amz-website-redirect-location");
/// The tags of a new object.
pub const X_AMZ_TAGGING: HeaderName = name("x-amz-tagging");
/// How many tags an object has.
pub const X_AMZ_TAGGING_COUNT: HeaderName = name("x-amz-tagging-count");
/// Metadata headers that cannot be shown.
pub const X_AMZ_MISSING_META: HeaderName = name("x-amz-missing-meta");
/// How many parts an object has.
pub const X_AMZ_MP_PARTS_COUNT: HeaderName = name("x-amz-mp-parts-count");
/// The size that the client expects of a completed upload.
pub const X_AMZ_MP_OBJECT_SIZE: HeaderName = name("x-amz-mp-object-size");
/// The size of an object.
pub const X_AMZ_OBJECT_SIZE: HeaderName = name("x-amz-object-size");
/// The attributes that GetObjectAttributes should answer.
pub const X_AMZ_OBJECT_ATTRIBUTES: HeaderName = name("x-amz-object-attributes");
/// The page size of parts in GetObjectAttributes.
pub const X_AMZ_MAX_PARTS: HeaderName = name("x-amz-max-parts");
/// The part after which the page of parts starts in GetObjectAttributes.
pub const X_AMZ_PART_NUMBER_MARKER: HeaderName = name("x-amz-part-number-marker");
/// Delete only what was last modified then.
pub const X_AMZ_IF_MATCH_LAST_MODIFIED_TIME: HeaderName = name("x-amz-if-match-last-modified-time");
/// Delete only what has this size.
pub const X_AMZ_IF_MATCH_SIZE: HeaderName = name("x-amz-if-match-size");
/// Delete in spite of governance retention.
pub const X_AMZ_BYPASS_GOVERNANCE_RETENTION: HeaderName = name("x-amz-bypass-governance-retention");
/// Where in the object the body is to be written (directory buckets only).
pub const X_AMZ_WRITE_OFFSET_BYTES: HeaderName = name("x-amz-write-offset-bytes");

// Encryption, object lock.

/// Encryption at rest.
pub const X_AMZ_SERVER_SIDE_ENCRYPTION: HeaderName = name("x-amz-server-side-encryption");
/// The KMS key.
pub const X_AMZ_SERVER_SIDE_ENCRYPTION_KMS_KEY_ID: HeaderName =
    name("x-amz-server-side-encryption-aws-kms-key-id");
/// What the KMS key is bound to.
pub const X_AMZ_SERVER_SIDE_ENCRYPTION_CONTEXT: HeaderName =
    name("x-amz-server-side-encryption-context");
/// Whether the KMS is asked for a key of the bucket's.
pub const X_AMZ_SERVER_SIDE_ENCRYPTION_BUCKET_KEY_ENABLED: HeaderName =
    name("x-amz-server-side-encryption-bucket-key-enabled");
/// Encryption with a key of the client's.
pub const X_AMZ_SERVER_SIDE_ENCRYPTION_CUSTOMER_ALGORITHM: HeaderName =
    name("x-amz-server-side-encryption-customer-algorithm");
/// The client's key. A secret: never logged, never in an answer.
pub const X_AMZ_SERVER_SIDE_ENCRYPTION_CUSTOMER_KEY: HeaderName =
    name("x-amz-server-side-encryption-customer-key");
/// The MD5 of the client's key.
pub const X_AMZ_SERVER_SIDE_ENCRYPTION_CUSTOMER_KEY_MD5: HeaderName =
    name("x-amz-server-side-encryption-customer-key-md5");
/// Encryption of the source of a copy with a key of the client's.
pub const X_AMZ_COPY_SOURCE_CUSTOMER_ALGORITHM: HeaderName =
    name("x-amz-copy-source-server-side-encryption-customer-algorithm");
/// The client's key of the source of a copy. A secret as above.
pub const X_AMZ_COPY_SOURCE_CUSTOMER_KEY: HeaderName =
    name("x-amz-copy-source-server-side-encryption-customer-key");
/// The MD5 of the client's key of the source of a copy.
pub const X_AMZ_COPY_SOURCE_CUSTOMER_KEY_MD5: HeaderName =
    name("x-amz-copy-source-server-side-encryption-customer-key-md5");
/// How an object is locked.
pub const X_AMZ_OBJECT_LOCK_MODE: HeaderName = name("x-amz-object-lock-mode");
/// Until when an object is locked.
pub const X_AMZ_OBJECT_LOCK_RETAIN_UNTIL_DATE: HeaderName =
    name("x-amz-object-lock-retain-until-date");
/// Whether an object is locked until further notice.
pub const X_AMZ_OBJECT_LOCK_LEGAL_HOLD: HeaderName = name("x-amz-object-lock-legal-hold");

// Checksums.

/// The algorithm a client uses, when it sends a value.
pub const X_AMZ_SDK_CHECKSUM_ALGORITHM: HeaderName = name("x-amz-sdk-checksum-algorithm");
/// The algorithm of an upload or copy.
pub const X_AMZ_CHECKSUM_ALGORITHM: HeaderName = name("x-amz-checksum-algorithm");
/// Whether a checksum is of the whole object or of its parts' checksums.
pub const X_AMZ_CHECKSUM_TYPE: HeaderName = name("x-amz-checksum-type");
/// `ENABLED`, if the client wants checksums in the answer.
pub const X_AMZ_CHECKSUM_MODE: HeaderName = name("x-amz-checksum-mode");

// Copies.

/// The object to copy from.
pub const X_AMZ_COPY_SOURCE: HeaderName = name("x-amz-copy-source");
/// The part of it to copy.
pub const X_AMZ_COPY_SOURCE_RANGE: HeaderName = name("x-amz-copy-source-range");
/// The version that was copied.
pub const X_AMZ_COPY_SOURCE_VERSION_ID: HeaderName = name("x-amz-copy-source-version-id");
/// A condition on the source.
pub const X_AMZ_COPY_SOURCE_IF_MATCH: HeaderName = name("x-amz-copy-source-if-match");
/// A condition on the source.
pub const X_AMZ_COPY_SOURCE_IF_NONE_MATCH: HeaderName = name("x-amz-copy-source-if-none-match");
/// A condition on the source.
pub const X_AMZ_COPY_SOURCE_IF_MODIFIED_SINCE: HeaderName =
    name("x-amz-copy-source-if-modified-since");
/// A condition on the source.
pub const X_AMZ_COPY_SOURCE_IF_UNMODIFIED_SINCE: HeaderName =
    name("x-amz-copy-source-if-unmodified-since");
/// `COPY` or `REPLACE`, of metadata.
pub const X_AMZ_METADATA_DIRECTIVE: HeaderName = name("x-amz-metadata-directive");
/// `COPY` or `REPLACE`, of tags.
pub const X_AMZ_TAGGING_DIRECTIVE: HeaderName = name("x-amz-tagging-directive");
/// The object to rename.
pub const X_AMZ_RENAME_SOURCE: HeaderName = name("x-amz-rename-source");
/// A condition on the object to rename.
pub const X_AMZ_RENAME_SOURCE_IF_MATCH: HeaderName = name("x-amz-rename-source-if-match");
/// A condition on the object to rename.
pub const X_AMZ_RENAME_SOURCE_IF_NONE_MATCH: HeaderName = name("x-amz-rename-source-if-none-match");
/// A condition on the object to rename.
pub const X_AMZ_RENAME_SOURCE_IF_MODIFIED_SINCE: HeaderName =
    name("x-amz-rename-source-if-modified-since");
/// A condition on the object to rename.
pub const X_AMZ_RENAME_SOURCE_IF_UNMODIFIED_SINCE: HeaderName =
    name("x-amz-rename-source-if-unmodified-since");
/// By which a repeated rename is known.
pub const X_AMZ_CLIENT_TOKEN: HeaderName = name("x-amz-client-token");
/// `true`: a copy is a rename (Tigris).
pub const X_TIGRIS_RENAME: HeaderName = name("x-tigris-rename");

// Configuration of buckets.

/// Whether destinations of event notifications are taken as they are.
pub const X_AMZ_SKIP_DESTINATION_VALIDATION: HeaderName = name("x-amz-skip-destination-validation");

// Multipart uploads.

/// When an unfinished upload will be removed.
pub const X_AMZ_ABORT_DATE: HeaderName = name("x-amz-abort-date");
/// The rule by which it will be removed.
pub const X_AMZ_ABORT_RULE_ID: HeaderName = name("x-amz-abort-rule-id");

/// Headers that mean something S3 or Tigris defines and this server does not do (yet). Carrying on
/// without them would do something else than asked, such as deleting a bucket instead of one
/// snapshot of it, so such a request is answered with `NotImplemented`. Prefixes match too.
pub const NOT_IMPLEMENTED_PREFIXES: [&str; 11] = [
    // An upload is aborted on a condition (directory buckets only).
    "x-amz-if-match-initiated-time",
    "x-tigris-batch",
    "x-tigris-bundle",
    "x-tigris-enable-snapshot",
    "x-tigris-fork",
    "x-tigris-merge-source-bucket",
    "x-tigris-query",
    "x-tigris-rebase",
    "x-tigris-restore",
    "x-tigris-snapshot",
    "x-tigris-soft-delete",
];

/// Headers of S3 of which one value alone is done here, with that value: it asks for what happens
/// anyway. With any other one they are as those of [`NOT_IMPLEMENTED_PREFIXES`].
/// Source: S3 API reference, CreateBucket (buckets of the shared namespace) and CopyObject (`COPY` is 501
/// where there are no annotations, `EXCLUDE` is not); PutObject (event holds).
const NOT_IMPLEMENTED_UNLESS: [(&str, &str); 3] = [
    ("x-amz-bucket-namespace", "global"),
    ("x-amz-object-annotation-directive", "EXCLUDE"),
    ("x-amz-object-lock-event-hold", "OFF"),
];

/// What the headers begin with that lock an object. One of them that is not known here must not be passed
/// over: the client would take the object for locked.
const OBJECT_LOCK_PREFIX: &str = "x-amz-object-lock-";

/// The headers of [`OBJECT_LOCK_PREFIX`] that are done.
const OBJECT_LOCK_HEADERS: [HeaderName; 3] = [
    X_AMZ_OBJECT_LOCK_LEGAL_HOLD,
    X_AMZ_OBJECT_LOCK_MODE,
    X_AMZ_OBJECT_LOCK_RETAIN_UNTIL_DATE,
];

/// The standard headers that are kept with an object and sent with it.
pub const STORED_HEADERS: [HeaderName; 8] = [
    http::header::CACHE_CONTROL,
    http::header::CONTENT_DISPOSITION,
    http::header::CONTENT_ENCODING,
    http::header::CONTENT_LANGUAGE,
    http::header::CONTENT_TYPE,
    http::header::EXPIRES,
    X_AMZ_STORAGE_CLASS,
    X_AMZ_WEBSITE_REDIRECT_LOCATION,
];

/// The query parameters of GetObject that replace a header of the answer, with that header.
pub const RESPONSE_OVERRIDES: [(&str, HeaderName); 6] = [
    ("response-cache-control", http::header::CACHE_CONTROL),
    (
        "response-content-disposition",
        http::header::CONTENT_DISPOSITION,
    ),
    ("response-content-encoding", http::header::CONTENT_ENCODING),
    ("response-content-language", http::header::CONTENT_LANGUAGE),
    ("response-content-type", http::header::CONTENT_TYPE),
    ("response-expires", http::header::EXPIRES),
];

/// The headers of a request that are to be stored with its object: those of [`STORED_HEADERS`] that
/// are present and not empty, in that order. `aws-chunked` is taken out of `Content-Encoding`, since
/// it frames the request and is no property of the object.
pub fn stored_headers(headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    let mut stored = Vec::new();
    for name in STORED_HEADERS {
        let value = if name == http::header::CONTENT_ENCODING {
            content_encoding_without_aws_chunked(headers)
        } else {
            headers.get(&name).cloned()
        };
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            stored.push((name, value));
        }
    }
    stored
}

fn content_encoding_without_aws_chunked(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut values = headers.get_all(http::header::CONTENT_ENCODING).iter();
    let only = values.next()?;
    let has_framing = |value: &HeaderValue| {
        value
            .as_bytes()
            .to_ascii_lowercase()
            .windows(11)
            .any(|w| w == b"aws-chunked")
    };
    if values.next().is_none() && !has_framing(only) {
        return Some(only.clone());
    }
    let mut kept = Vec::new();
    for value in headers.get_all(http::header::CONTENT_ENCODING) {
        for coding in value.as_bytes().split(|byte| *byte == b',') {
            let coding = coding.trim_ascii();
            if coding.is_empty() || coding.eq_ignore_ascii_case(b"aws-chunked") {
                continue;
            }
            if !kept.is_empty() {
                kept.push(b',');
            }
            kept.extend_from_slice(coding);
        }
    }
    HeaderValue::from_bytes(&kept).ok()
}

/// The user metadata of a request: names in lower case without prefix, values as the bytes that were
/// sent (S3 does not decode RFC 2047). Headers that occur twice are joined with a comma, as S3 does.
/// More than [`MAX_USER_METADATA_BYTES`] in all is `MetadataTooLarge`.
pub fn user_metadata(headers: &HeaderMap) -> Result<Vec<(String, Vec<u8>)>, S3Error> {
    let mut metadata = Vec::new();
    let mut size_bytes = 0;
    for header in headers.keys() {
        let Some(name) = header.as_str().strip_prefix(USER_METADATA_PREFIX) else {
            continue;
        };
        if name.is_empty() {
            continue;
        }
        let values: Vec<&[u8]> = headers
            .get_all(header)
            .iter()
            .map(HeaderValue::as_bytes)
            .collect();
        let value = values.join(&b","[..]);
        size_bytes += name.len() + value.len();
        metadata.push((name.to_owned(), value));
    }
    if size_bytes > MAX_USER_METADATA_BYTES {
        return Err(S3Error::new(S3ErrorCode::MetadataTooLarge)
            .detail("Size", size_bytes.to_string())
            .detail("MaxSizeAllowed", MAX_USER_METADATA_BYTES.to_string()));
    }
    metadata.sort();
    Ok(metadata)
}

/// Refuses a request with a header that asks for what this server does not do: one of
/// [`NOT_IMPLEMENTED_PREFIXES`], of Object Lock beyond retention and legal hold, or with a value that is
/// not done.
///
/// # Errors
/// `NotImplemented`, which names the header.
pub fn refuse_not_implemented(headers: &HeaderMap) -> Result<(), S3Error> {
    for (header, value) in headers {
        let name = header.as_str();
        if !name.starts_with("x-") || is_done(header, value) {
            continue;
        }
        let message =
            format!("The header {name} implies functionality that is not implemented here.");
        return Err(
            S3Error::with_message(S3ErrorCode::NotImplemented, message).detail("Header", name)
        );
    }
    Ok(())
}

/// Whether a header that begins with `x-` is done, or means nothing that could be.
fn is_done(header: &HeaderName, value: &HeaderValue) -> bool {
    let name = header.as_str();
    let mut only_values = NOT_IMPLEMENTED_UNLESS.iter();
    if let Some((_, done)) = only_values.find(|(only, _)| *only == name) {
        return value.as_bytes() == done.as_bytes();
    }
    if name.starts_with(OBJECT_LOCK_PREFIX) {
        return OBJECT_LOCK_HEADERS.contains(header);
    }
    let mut prefixes = NOT_IMPLEMENTED_PREFIXES.iter();
    !prefixes.any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn aws_chunked_is_not_stored() {
        let cases = [
            (&["gzip"][..], Some("gzip")),
            (&["aws-chunked"], None),
            (&["aws-chunked,gzip"], Some("gzip")),
            (&["AWS-Chunked, gzip , br"], Some("gzip,br")),
            (&["aws-chunked", "gzip"], Some("gzip")),
        ];
        for (values, expected) in cases {
            let pairs: Vec<_> = values
                .iter()
                .map(|value| ("content-encoding", *value))
                .collect();
            let stored = stored_headers(&headers(&pairs));
            let value = stored.first().map(|(_, value)| value.to_str().unwrap());
            assert_eq!(value, expected, "{values:?}");
        }
    }

    #[test]
    fn only_the_standard_headers_are_stored() {
        let all = headers(&[
            ("content-type", "text/plain"),
            ("cache-control", "no-cache"),
            ("x-amz-storage-class", "STANDARD"),
            ("host", "localhost"),
            ("x-amz-meta-a", "b"),
        ]);
        let names: Vec<_> = stored_headers(&all)
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(
            names,
            ["cache-control", "content-type", "x-amz-storage-class"]
        );
    }

    #[test]
    fn user_metadata_is_raw_and_bounded() {
        let mut map = headers(&[
            ("x-amz-meta-b", "1"),
            ("x-amz-meta-b", "2"),
            ("x-amz-meta-a", "=?UTF-8?B?w6k=?="),
        ]);
        map.insert("x-amz-meta-c", HeaderValue::from_bytes(b"\xe9").unwrap());
        let expected = [
            ("a", &b"=?UTF-8?B?w6k=?="[..]),
            ("b", b"1,2"),
            ("c", b"\xe9"),
        ];
        let metadata = user_metadata(&map).unwrap();
        let found: Vec<_> = metadata
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_slice()))
            .collect();
        assert_eq!(found, expected);

        let limit = "v".repeat(MAX_USER_METADATA_BYTES - 1);
        let mut map = HeaderMap::new();
        map.insert("x-amz-meta-k", HeaderValue::from_str(&limit).unwrap());
        assert!(user_metadata(&map).is_ok());
        map.insert("x-amz-meta-kk", HeaderValue::from_static(""));
        assert_eq!(
            user_metadata(&map).unwrap_err().code,
            S3ErrorCode::MetadataTooLarge
        );
    }

    #[test]
    fn headers_that_would_change_the_meaning_are_refused() {
        for (name, value) in [
            ("x-tigris-snapshot-version", "x"),
            ("x-tigris-fork", "x"),
            ("x-amz-object-lock-event-hold", "ON"),
            ("x-amz-object-lock-event-hold-duration-days", "30"),
            ("x-amz-object-lock-event-hold-duration-years", "1"),
            ("x-amz-object-lock-of-the-future", "ON"),
            ("x-amz-bucket-namespace", "account-regional"),
            ("x-amz-object-annotation-directive", "COPY"),
            ("x-amz-if-match-initiated-time", "x"),
        ] {
            let error = refuse_not_implemented(&headers(&[(name, value)])).unwrap_err();
            assert_eq!(error.code, S3ErrorCode::NotImplemented, "{name}");
            assert!(error.message.contains(name), "{}", error.message);
        }
        for harmless in [
            ("x-tigris-regions", "fra"),
            ("x-amz-object-lock-event-hold", "OFF"),
            ("x-amz-object-lock-legal-hold", "ON"),
            ("x-amz-object-lock-mode", "COMPLIANCE"),
            ("x-amz-bucket-namespace", "global"),
            ("x-amz-object-annotation-directive", "EXCLUDE"),
        ] {
            assert!(refuse_not_implemented(&headers(&[harmless])).is_ok());
        }
    }
}
