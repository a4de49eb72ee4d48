//! The request line: percent-encoding, the query, the address and the operation.

use http::Method;
use oncilla_wire::address::{Address, Addressing, INTERNAL_PREFIX};
use oncilla_wire::names::{MAX_KEY_BYTES, is_valid_bucket_name};
use oncilla_wire::operation::{self, Level, Operation};
use oncilla_wire::query::{MAX_PARAMETERS, Query};
use oncilla_wire::uri::{
    Component, append_canonical, decode_path, decode_query, encode_component, encode_path,
    raw_parameters,
};

use crate::input;

/// Decoding undoes encoding, the canonical form is a fixed point, and canonicalising is the same as
/// decoding and encoding again.
pub fn uri(data: &[u8]) {
    for component in [Component::Path, Component::Query] {
        let Some(once) = canonical(data, component) else {
            continue;
        };
        assert!(once.is_ascii());
        assert_eq!(canonical(&once, component).as_ref(), Some(&once));
    }
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    assert_eq!(decode_path(&encode_path(text)).ok().as_deref(), Some(text));
    assert_eq!(
        decode_query(&encode_component(text)).ok().as_deref(),
        Some(text)
    );
    assert_eq!(
        encode_path(text).replace('/', "%2F"),
        encode_component(text)
    );

    if let Ok(decoded) = decode_path(text) {
        assert!(decoded.len() <= text.len());
        let again = encode_path(&decoded).into_owned().into_bytes();
        assert_eq!(Some(again), canonical(data, Component::Path));
    }
    if let Ok(decoded) = decode_query(text) {
        assert!(decoded.len() <= text.len());
        let again = encode_component(&decoded).into_owned().into_bytes();
        assert_eq!(Some(again), canonical(data, Component::Query));
    }
}

fn canonical(raw: &[u8], component: Component) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    append_canonical(&mut out, raw, component).ok()?;
    Some(out)
}

/// The parameters are those that splitting and decoding one by one gives; written and read again
/// they are the same.
pub fn query(data: &[u8]) {
    let Ok(raw) = std::str::from_utf8(data) else {
        return;
    };
    let pieces = raw_parameters(raw).count();
    let Ok(query) = Query::parse(Some(raw)) else {
        let undecodable = raw_parameters(raw).any(|(name, value)| {
            decode_query(name).is_err() || decode_query(value.unwrap_or_default()).is_err()
        });
        assert!(
            undecodable || pieces > MAX_PARAMETERS,
            "refused without a reason"
        );
        return;
    };
    assert!(pieces <= MAX_PARAMETERS);
    assert_eq!(query.iter().count(), pieces);
    assert_eq!(query.is_empty(), pieces == 0);
    let mut written = Vec::new();
    for ((name, value), (raw_name, raw_value)) in query.iter().zip(raw_parameters(raw)) {
        assert_eq!(Some(name), decode_query(raw_name).ok().as_deref());
        let raw_value = raw_value.unwrap_or_default();
        assert_eq!(Some(value), decode_query(raw_value).ok().as_deref());
        assert!(query.has(name));
        let first = query.iter().find(|(other, _)| *other == name);
        assert_eq!(query.get(name), first.map(|(_, value)| value));
        if let Ok(number) = query.get_number(name) {
            let text = query.get(name).unwrap_or_default();
            assert!(number.is_some() && text.bytes().all(|byte| byte.is_ascii_digit()));
        }
        let (name, value) = (encode_component(name), encode_component(value));
        written.push(format!("{name}={value}"));
    }
    assert_eq!(Query::parse(Some(&written.join("&"))).ok(), Some(query));
}

/// Input: a line with the host, then the path. Whatever is found can be written both path-style and
/// virtual-hosted, and means the same again; only paths under `/-/` are internal.
pub fn address(data: &[u8]) {
    let (host, path) = input::first_line(data);
    let (Ok(host), Ok(path)) = (std::str::from_utf8(host), std::str::from_utf8(path)) else {
        return;
    };
    let addressing = Addressing::new(["storage.example.org", "example.org"]);
    for host in [None, Some(host)] {
        let Ok(address) = addressing.resolve(host, path) else {
            continue;
        };
        match &address {
            Address::Service => {}
            Address::Internal => assert!(path.starts_with(INTERNAL_PREFIX) || path == "/-"),
            Address::Bucket { bucket } => check_address(&addressing, &address, bucket, ""),
            Address::Object { bucket, key } => {
                assert!(!key.is_empty() && key.len() <= MAX_KEY_BYTES);
                check_address(&addressing, &address, bucket, key);
            }
        }
    }
}

fn check_address(addressing: &Addressing, address: &Address, bucket: &str, key: &str) {
    assert!(!bucket.is_empty());
    let key = encode_path(key);
    // Behind the alias a bucket called `s3` or `-` is nothing special.
    let path_style = format!("/s3/{}/{key}", encode_component(bucket));
    assert_eq!(
        addressing.resolve(None, &path_style).ok().as_ref(),
        Some(address)
    );
    if is_valid_bucket_name(bucket) {
        for domain in ["localhost:9000", "storage.example.org", "example.org."] {
            // `storage.example.org` is a base domain and no bucket of `example.org`.
            if domain.starts_with("example")
                && (bucket == "storage" || bucket.ends_with(".storage"))
            {
                continue;
            }
            let host = format!("{bucket}.{domain}");
            let virtual_hosted = addressing.resolve(Some(&host), &format!("/{key}"));
            assert_eq!(virtual_hosted.ok().as_ref(), Some(address), "{host}");
        }
    }
}

/// Query keys that select something else than the plain verb. Written down again here, from the S3
/// API reference and its relatives, so that a key lost from the table is noticed.
const SUBRESOURCES: &str = "abac accelerate acl analytics append attributes batch bundle compose cors \
    delete encryption events func intelligent-tiering inventory legal-hold lifecycle location logging \
    metadata metadataConfiguration metadataInventoryTable metadataJournalTable metadataTable metrics \
    notification object-lock ownershipControls policy policyStatus position publicAccessBlock \
    renameObject replication replication-metrics replication-reset requestPayment restore retention \
    select session syncing tagging torrent uploadId uploads versioning versions website \
    x-amz-object-lambda";

const PLAIN: [Operation; 12] = [
    Operation::ListBuckets,
    Operation::ListObjects,
    Operation::ListObjectsV2,
    Operation::HeadBucket,
    Operation::CreateBucket,
    Operation::DeleteBucket,
    Operation::PostObject,
    Operation::GetObject,
    Operation::HeadObject,
    Operation::PutObject,
    Operation::CopyObject,
    Operation::DeleteObject,
];

/// Input: a request. A request with a sub-resource is never taken for the plain verb, and the order
/// of the parameters does not matter.
pub fn operation(data: &[u8]) {
    let Some(request) = input::request(data) else {
        return;
    };
    let Ok(query) = Query::parse(Some(request.query)) else {
        return;
    };
    for level in [Level::Service, Level::Bucket, Level::Object] {
        let resolved = operation::resolve(&request.method, level, &query, &request.headers);
        if let Ok(operation) = &resolved {
            assert_eq!(operation.level(), level);
            let subresource = SUBRESOURCES
                .split_ascii_whitespace()
                .find(|name| query.has(name));
            if let Some(name) = subresource {
                assert!(
                    !PLAIN.contains(operation),
                    "{name} fell through to {operation}"
                );
            }
            let is_write = request.method != Method::GET && request.method != Method::HEAD;
            if is_write && level == Level::Object && query.has("partNumber") {
                assert!(
                    !PLAIN.contains(operation),
                    "partNumber fell through to {operation}"
                );
            }
        }
        let names: Vec<&str> = query.iter().map(|(name, _)| name).collect();
        let unique = (1..names.len()).all(|at| !names[..at].contains(&names[at]));
        if unique {
            let reversed: Vec<&str> = request.query.split('&').rev().collect();
            let reversed = Query::parse(Some(&reversed.join("&")));
            let reversed = reversed.unwrap_or_else(|error| panic!("only reversed: {error}"));
            let again = operation::resolve(&request.method, level, &reversed, &request.headers);
            let code = |error: oncilla_wire::error::S3Error| error.code;
            assert_eq!(again.map_err(code), resolved.map_err(code));
        }
    }
}
