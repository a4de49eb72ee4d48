//! Keys of the client's (SSE-C) and tags, in every request that needs them.

#![allow(
    clippy::unwrap_used,
    reason = "a test that fails should say so at once"
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use oncilla_client::transfer::{Options, copy_object, download_file, upload_file, upload_stream};
use oncilla_client::{
    CopyObjectRequest, CustomerKey, Error, GetObjectRequest, ObjectAttributes, PutObjectRequest,
};
use support::{MIB, Received, Reply, TestServer, small_parts};

const KEY: &str = "x-amz-server-side-encryption-customer-key";
const SOURCE_KEY: &str = "x-amz-copy-source-server-side-encryption-customer-key";

/// A key, and how it stands in a header.
fn key(byte: u8) -> (CustomerKey, String) {
    use base64::Engine;
    let bytes = [byte; 32];
    let text = base64::engine::general_purpose::STANDARD.encode(bytes);
    (CustomerKey::new(&bytes), text)
}

fn put_request(key: &CustomerKey) -> PutObjectRequest {
    PutObjectRequest {
        bucket: "b".into(),
        key: "k".into(),
        attributes: ObjectAttributes {
            customer_key: Some(key.clone()),
            tags: vec![("team".into(), "sea otters".into())],
            ..ObjectAttributes::default()
        },
        ..PutObjectRequest::default()
    }
}

/// What a multipart endpoint answers, as far as these tests look.
fn multipart_reply(request: &Received) -> Reply {
    let is = |method: &str, parameter: &str| {
        request.method == method && request.parameter(parameter).is_some()
    };
    if is("POST", "uploads") {
        return Reply::new(200).body(
            "<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>k</Key><UploadId>U</UploadId></InitiateMultipartUploadResult>",
        );
    }
    if is("POST", "uploadId") {
        return Reply::new(200).body(
            "<CompleteMultipartUploadResult><Bucket>b</Bucket><Key>k</Key><ETag>&quot;e&quot;</ETag></CompleteMultipartUploadResult>",
        );
    }
    if is("GET", "uploads") {
        return Reply::new(200).body(
            "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated><Upload><Key>k</Key><UploadId>U</UploadId><Initiated>2026-01-02T00:00:00.000Z</Initiated></Upload></ListMultipartUploadsResult>",
        );
    }
    if is("GET", "uploadId") {
        return Reply::new(200)
            .body("<ListPartsResult><IsTruncated>false</IsTruncated></ListPartsResult>");
    }
    if is("GET", "tagging") {
        return Reply::new(200).body(
            "<Tagging><TagSet><Tag><Key>from</Key><Value>source</Value></Tag></TagSet></Tagging>",
        );
    }
    if request.header("x-amz-copy-source").is_some() {
        return Reply::new(200).body("<CopyPartResult><ETag>&quot;p&quot;</ETag></CopyPartResult>");
    }
    Reply::new(200).header("etag", "\"e\"")
}

fn lines(received: &[Received]) -> Vec<String> {
    received
        .iter()
        .map(|request| format!("{} {}", request.method, request.target))
        .collect()
}

#[tokio::test]
async fn an_upload_sends_the_key_with_each_request_and_the_tags_with_the_first() {
    let (customer_key, text) = key(1);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    for (bytes, first) in [(10, "PUT /b/k"), (11 * MIB, "POST /b/k?uploads=")] {
        std::fs::write(&path, vec![0; bytes]).unwrap();
        let server = TestServer::start(|request, _| multipart_reply(request)).await;
        let request = put_request(&customer_key);
        upload_file(&server.client(1), &path, &request, &small_parts())
            .await
            .unwrap();
        let received = server.received();
        assert_eq!(lines(&received)[0], first);
        for request in &received {
            assert_eq!(request.header(KEY), Some(text.as_str()), "{request:?}");
            let signed = request.header("authorization").unwrap();
            assert!(signed.contains(KEY), "{signed}");
            let algorithm = "x-amz-server-side-encryption-customer-algorithm";
            assert_eq!(request.header(algorithm), Some("AES256"));
            let md5 = "x-amz-server-side-encryption-customer-key-md5";
            assert!(request.header(md5).is_some());
        }
        for (index, request) in received.iter().enumerate() {
            let tags = (index == 0).then_some("team=sea%20otters");
            assert_eq!(request.header("x-amz-tagging"), tags);
        }
    }
}

#[tokio::test]
async fn a_resumed_upload_and_a_stream_send_the_key_too() {
    let (customer_key, text) = key(1);
    let request = put_request(&customer_key);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    std::fs::write(&path, vec![0; 7 * MIB]).unwrap();
    let refuses = Arc::new(AtomicBool::new(true));
    let refusing = refuses.clone();
    let server = TestServer::start(move |request, _| {
        if request.method == "PUT" && refusing.load(Ordering::Relaxed) {
            return Reply::error(403, "AccessDenied");
        }
        multipart_reply(request)
    })
    .await;
    let resuming = Options {
        resume: Some(directory.path().join("records")),
        ..small_parts()
    };
    upload_file(&server.client(1), &path, &request, &resuming)
        .await
        .unwrap_err();
    refuses.store(false, Ordering::Relaxed);
    upload_file(&server.client(1), &path, &request, &resuming)
        .await
        .unwrap();
    let pieces = [Ok(Bytes::from(vec![0; 7 * MIB]))];
    let source = Box::pin(futures_util::stream::iter(pieces));
    upload_stream(&server.client(1), source, None, &request, &small_parts())
        .await
        .unwrap();
    let received = server.received();
    // The listing of uploads is about no object.
    let without: Vec<Received> = received
        .iter()
        .filter(|request| request.header(KEY) != Some(text.as_str()))
        .cloned()
        .collect();
    assert_eq!(without.len(), 2, "{:?}", lines(&without));
    assert!(
        without
            .iter()
            .all(|request| request.target.contains("uploads="))
    );
    assert!(lines(&received).contains(&"GET /b/k?uploadId=U".to_owned()));
}

#[tokio::test]
async fn a_download_sends_the_key() {
    let (customer_key, text) = key(1);
    let server =
        TestServer::start(|_, _| Reply::new(200).header("etag", "\"e\"").body("content")).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    let request = GetObjectRequest {
        bucket: "b".into(),
        key: "k".into(),
        customer_key: Some(customer_key),
        ..GetObjectRequest::default()
    };
    download_file(&server.client(1), &request, &path, &small_parts())
        .await
        .unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"content");
    let received = server.received();
    assert_eq!(lines(&received), ["HEAD /b/k", "GET /b/k"]);
    for request in &received {
        assert_eq!(request.header(KEY), Some(text.as_str()));
    }
}

/// A copy from one key to another.
fn copy_request() -> CopyObjectRequest {
    CopyObjectRequest {
        source_bucket: "b".into(),
        source_key: "source".into(),
        source_customer_key: Some(key(1).0),
        bucket: "b".into(),
        key: "k".into(),
        attributes: ObjectAttributes {
            customer_key: Some(key(2).0),
            ..ObjectAttributes::default()
        },
        ..CopyObjectRequest::default()
    }
}

#[tokio::test]
async fn a_copy_has_the_keys_of_both_sides() {
    let server = TestServer::start(|request, _| multipart_reply(request)).await;
    let mut copy = copy_request();
    copy.attributes.tags = vec![("a".into(), "b".into())];
    copy_object(&server.client(1), &copy, &small_parts())
        .await
        .unwrap();
    let received = server.received();
    assert_eq!(lines(&received), ["HEAD /b/source", "PUT /b/k"]);
    let (first, second) = (key(1).1, key(2).1);
    assert_eq!(received[0].header(KEY), Some(first.as_str()));
    assert_eq!(received[1].header(SOURCE_KEY), Some(first.as_str()));
    assert_eq!(received[1].header(KEY), Some(second.as_str()));
    let directive = received[1].header("x-amz-tagging-directive");
    assert_eq!(directive, Some("REPLACE"));
    assert_eq!(received[1].header("x-amz-tagging"), Some("a=b"));
    // Without tags those of the source are kept.
    copy_object(&server.client(1), &copy_request(), &small_parts())
        .await
        .unwrap();
    let last = server.received().pop().unwrap();
    assert_eq!(last.header("x-amz-tagging-directive"), None);
}

#[tokio::test]
async fn a_copy_in_parts_has_the_keys_of_both_sides_and_the_tags_of_the_source() {
    let server = TestServer::start(|request, _| match request.method.as_str() {
        "HEAD" => Reply {
            head_bytes: Some(6 << 30),
            // No `x-amz-tagging-count`, which is told only to those who may read tags.
            ..Reply::new(200).header("etag", "\"e\"")
        },
        _ => multipart_reply(request),
    })
    .await;
    copy_object(&server.client(1), &copy_request(), &small_parts())
        .await
        .unwrap();
    let received = server.received();
    let (first, second) = (key(1).1, key(2).1);
    assert_eq!(
        lines(&received)[..3],
        [
            "HEAD /b/source",
            "GET /b/source?tagging=",
            "POST /b/k?uploads="
        ]
    );
    let create = &received[2];
    assert_eq!(create.header("x-amz-tagging"), Some("from=source"));
    assert_eq!(received.len(), 3 + 12 + 1, "parts of 512 MiB");
    for request in &received[2..] {
        assert_eq!(request.header(KEY), Some(second.as_str()), "{request:?}");
    }
    for request in &received[3..15] {
        assert_eq!(request.header(SOURCE_KEY), Some(first.as_str()));
    }
}

#[tokio::test]
async fn a_copy_in_parts_does_not_do_without_tags_that_it_may_not_read() {
    for (status, code, is_copied) in [(403, "AccessDenied", false), (501, "NotImplemented", true)] {
        let server = TestServer::start(move |request, _| match request.method.as_str() {
            "HEAD" => Reply {
                head_bytes: Some(6 << 30),
                ..Reply::new(200).header("etag", "\"e\"")
            },
            "GET" => Reply::error(status, code),
            _ => multipart_reply(request),
        })
        .await;
        let mut copy = copy_request();
        let outcome = copy_object(&server.client(1), &copy, &small_parts()).await;
        assert_eq!(outcome.is_ok(), is_copied, "{outcome:?}");
        let received = server.received();
        let is_begun = received.iter().any(|request| request.method == "POST");
        assert_eq!(is_begun, is_copied);
        // Nobody asks for the source's where others are named.
        copy.attributes.tags = vec![("a".into(), "b".into())];
        copy_object(&server.client(1), &copy, &small_parts())
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_refused_head_says_what_may_be_missing() {
    let server = TestServer::start(|_, _| Reply::new(400)).await;
    let request = GetObjectRequest {
        bucket: "b".into(),
        key: "k".into(),
        ..GetObjectRequest::default()
    };
    let error = server.client(1).head_object(&request).await.unwrap_err();
    assert!(matches!(error, Error::Service(_)), "{error}");
    let advice = error.advice().unwrap();
    for flag in ["--sse-c-key-file", "--sse-c-source-key-file"] {
        assert!(advice.contains(flag), "{advice}");
    }
}
