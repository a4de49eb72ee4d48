//! The S3 protocol: signatures, operations, documents, framing.

use std::borrow::Cow;
use std::hint::black_box;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use oncilla_hash::Sha256;
use oncilla_wire::address::Addressing;
use oncilla_wire::chunked::{ChunkedDecoder, ChunkedMode};
use oncilla_wire::operation::{self, Operation};
use oncilla_wire::query::Query;
use oncilla_wire::sigv4::{
    AmzDate, Credentials, PayloadDeclaration, RequestView, SignedRequest, Signer, SigningKey,
    UnsignedRequest, VerifyLimits,
};
use oncilla_wire::xml::list_objects::{ListObjectsV2, ObjectEntry};

use crate::count;

/// When all requests here are made: Tue, 14 Nov 2023 22:13:20 GMT.
pub const NOW_S: i64 = 1_700_000_000;

/// Any key; this one is the example of the S3 API reference.
fn credentials() -> Credentials {
    Credentials {
        access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
        secret_access_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
        session_token: None,
    }
}

/// The headers of a request as an SDK makes it, signed.
pub fn signed_headers(
    credentials: &Credentials,
    method: &str,
    target: &str,
    body: &[u8],
) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("127.0.0.1:9000"));
    headers.insert("user-agent", HeaderValue::from_static("instructions/1.0"));
    headers.insert("accept-encoding", HeaderValue::from_static("identity"));
    if method == "PUT" {
        headers.insert("content-length", HeaderValue::from(body.len()));
        headers.insert("content-type", HeaderValue::from_static("image/png"));
    }
    let (raw_path, raw_query) = target.split_once('?').unwrap_or((target, ""));
    let unsigned = UnsignedRequest {
        method,
        raw_path,
        raw_query,
    };
    let now = AmzDate::from_unix_s(NOW_S).unwrap();
    let payload = PayloadDeclaration::Sha256(Sha256::digest(body));
    let signer = Signer::new(credentials, "auto", "s3", &now);
    signer.sign(&unsigned, &mut headers, payload, &now).unwrap();
    headers
}

/// With a signing key that is known already.
pub fn sigv4_verify_get(repetitions: usize) {
    let credentials = credentials();
    let path = "/bucket/photos/2023/11/portrait%20of%20a%20cat.png";
    let headers = signed_headers(&credentials, "GET", path, b"");
    let view = RequestView {
        method: "GET",
        raw_path: path,
        raw_query: "",
        headers: &headers,
    };
    let limits = VerifyLimits::default();
    let signed = SignedRequest::parse(&view).unwrap().unwrap();
    let key = SigningKey::derive(&credentials.secret_access_key, &signed.scope);
    count(repetitions, || {
        let view = black_box(&view);
        let signed = SignedRequest::parse(view).unwrap().unwrap();
        signed.verify(view, &key, NOW_S, &limits).unwrap();
    });
}

/// From host, path, query and method to the operation.
pub fn resolve_get(repetitions: usize) {
    let target = "/bucket/photos/2023/11/portrait%20of%20a%20cat.png";
    let raw_query = "x-id=GetObject";
    let headers = signed_headers(&credentials(), "GET", target, b"");
    let host = headers.get("host").unwrap().to_str().unwrap();
    let addressing = Addressing::new(["s3.example.com"]);
    count(repetitions, || {
        let address = addressing.resolve(Some(host), black_box(target)).unwrap();
        let query = Query::parse(Some(black_box(raw_query))).unwrap();
        let level = address.level().unwrap();
        let resolved = operation::resolve(&Method::GET, level, &query, &headers);
        assert_eq!(resolved.unwrap(), Operation::GetObject);
    });
}

/// The document of a full page.
pub fn list_xml_1000(repetitions: usize) {
    let keys: Vec<String> = (0..1000)
        .map(|number| format!("photos/2023/11/portrait-{number:08}.png"))
        .collect();
    let entries = keys.iter().map(|key| ObjectEntry {
        key: Cow::Borrowed(key),
        last_modified_ms: NOW_S * 1000,
        etag: Cow::Borrowed("9e107d9d372bb6826bd81d3542a419d6"),
        size: 123_456,
        storage_class: Cow::Borrowed("STANDARD"),
        owner: None,
        checksum_algorithm: Some(Cow::Borrowed("CRC64NVME")),
        checksum_type: Some(Cow::Borrowed("FULL_OBJECT")),
        restore_status: None,
    });
    let page = ListObjectsV2 {
        name: Cow::Borrowed("bucket"),
        max_keys: 1000,
        key_count: 1000,
        contents: entries.collect(),
        ..ListObjectsV2::default()
    };
    count(repetitions, || {
        black_box(black_box(&page).to_xml());
    });
}

/// A body in chunks of 64 KiB with a trailing checksum, as SDKs send it, in pieces as a connection
/// gives them.
pub fn chunked_decode_1_mib(repetitions: usize) {
    const BODY_BYTES: usize = 1 << 20;
    const CHUNK_BYTES: usize = 64 << 10;
    const PIECE_BYTES: usize = 256 << 10;
    let mut framed = Vec::new();
    for _ in 0..BODY_BYTES / CHUNK_BYTES {
        framed.extend_from_slice(format!("{CHUNK_BYTES:x}\r\n").as_bytes());
        framed.resize(framed.len() + CHUNK_BYTES, b'x');
        framed.extend_from_slice(b"\r\n");
    }
    framed.extend_from_slice(b"0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n");
    let framed = Bytes::from(framed);
    count(repetitions, || {
        let mut decoder = ChunkedDecoder::new(ChunkedMode::UnsignedTrailer, BODY_BYTES as u64);
        let mut decoded = Vec::new();
        let mut rest = black_box(&framed).clone();
        while !rest.is_empty() {
            let piece = rest.split_to(rest.len().min(PIECE_BYTES));
            decoder.push(piece, &mut decoded).unwrap();
        }
        let length: usize = decoded.iter().map(Bytes::len).sum();
        assert_eq!(length, BODY_BYTES);
        assert_eq!(decoder.finish().unwrap().len(), 1);
    });
}
