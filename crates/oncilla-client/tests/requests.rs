//! How requests are repeated, signed, framed and refused.

#![allow(
    clippy::unwrap_used,
    reason = "a test that fails should say so at once"
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use oncilla_client::{
    Body, Error, FileRange, GetObjectRequest, ListObjectsRequest, PresignRequest, PutObjectRequest,
    exit_code,
};
use support::{Reply, TestServer};

fn put_request() -> PutObjectRequest {
    PutObjectRequest {
        bucket: "pics".into(),
        key: "a b/ü".into(),
        ..Default::default()
    }
}

fn get_request() -> GetObjectRequest {
    GetObjectRequest {
        bucket: "pics".into(),
        key: "k".into(),
        ..Default::default()
    }
}

#[tokio::test]
async fn passing_trouble_is_repeated() {
    let server = TestServer::start(|_, number| match number {
        0 => Reply::error(503, "SlowDown"),
        1 => Reply {
            hang_up: true,
            ..Reply::default()
        },
        2 => Reply::error(500, "InternalError"),
        _ => Reply::new(200).header("etag", "\"abc\""),
    })
    .await;
    let output = server
        .client(5)
        .put_object(&put_request(), Bytes::from("hello").into(), None)
        .await
        .unwrap();
    assert_eq!(output.etag, "abc");
    let received = server.received();
    assert_eq!(received.len(), 4);
    assert!(received.iter().all(|request| request.body == b"hello"));
    assert_eq!(received[0].path(), "/pics/a%20b/%C3%BC");
}

#[tokio::test]
async fn attempts_end() {
    let server = TestServer::start(|_, _| Reply::error(503, "SlowDown")).await;
    let error = server
        .client(3)
        .delete_object("pics", "k")
        .await
        .unwrap_err();
    assert!(matches!(error, Error::RateLimited(_)), "{error}");
    assert_eq!(error.exit_code(), exit_code::RATE_LIMIT);
    assert_eq!(server.received().len(), 3);
}

#[tokio::test]
async fn refusals_are_sorted_and_not_repeated() {
    for (status, code, exit) in [
        (404, "NoSuchKey", exit_code::NOT_FOUND),
        (403, "AccessDenied", exit_code::AUTH),
        (400, "InvalidArgument", exit_code::GENERAL),
        (501, "NotImplemented", exit_code::GENERAL),
    ] {
        let server = TestServer::start(move |_, _| {
            Reply::error(status, code).header("x-amz-request-id", "R1")
        })
        .await;
        let error = server
            .client(5)
            .get_object(&get_request())
            .await
            .unwrap_err();
        assert_eq!(error.exit_code(), exit, "{error}");
        assert!(error.has_code(code));
        let service = error.service().unwrap();
        assert_eq!(service.message, format!("said {code}"));
        assert_eq!(service.request_id.as_deref(), Some("R1"));
        assert_eq!(server.received().len(), 1);
    }
}

#[tokio::test]
async fn nobody_listening_is_a_network_failure() {
    let server = TestServer::start(|_, _| Reply::new(200)).await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let free = listener.local_addr().unwrap();
    drop(listener);
    let mut settings = server.client(2).settings().clone();
    settings.endpoint = oncilla_client::Endpoint::parse(
        &format!("http://{free}"),
        oncilla_client::Addressing::Auto,
        "auto",
    )
    .unwrap();
    let error = oncilla_client::Client::new(settings)
        .unwrap()
        .list_buckets()
        .await
        .unwrap_err();
    assert_eq!(error.exit_code(), exit_code::NETWORK, "{error}");
}

#[tokio::test]
async fn a_conditional_write_is_not_repeated_once_it_may_have_happened() {
    let server = TestServer::start(|_, _| Reply {
        hang_up: true,
        ..Reply::default()
    })
    .await;
    let request = PutObjectRequest {
        if_none_match: Some("*".into()),
        ..put_request()
    };
    let outcome = server
        .client(5)
        .put_object(&request, Bytes::from("x").into(), None)
        .await;
    assert!(matches!(outcome, Err(Error::Network { .. })));
    assert_eq!(server.received().len(), 1);
    assert_eq!(server.received()[0].header("if-none-match"), Some("*"));
}

#[tokio::test]
async fn a_stream_is_not_repeated() {
    let server = TestServer::start(|_, _| Reply::error(500, "InternalError")).await;
    let pieces = futures_util::stream::iter([Ok(Bytes::from("hel")), Ok(Bytes::from("lo"))]);
    let body = Body::Stream {
        stream: Box::pin(pieces),
        length_bytes: 5,
    };
    let outcome = server
        .client(5)
        .put_object(&put_request(), body, None)
        .await;
    assert!(matches!(outcome, Err(Error::Service(_))));
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn a_file_travels_in_signed_chunks_with_its_checksum_and_progress_is_taken_back() {
    let server = TestServer::start(|_, number| match number {
        0 => Reply::error(500, "InternalError"),
        _ => Reply::new(200).header("etag", "\"abc\""),
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    std::fs::write(&path, "xxhello worldxx").unwrap();
    let range = FileRange {
        file: Arc::new(std::fs::File::open(&path).unwrap()),
        path,
        offset_bytes: 2,
        length_bytes: 11,
    };
    let seen = Arc::new(AtomicI64::new(0));
    let counter = seen.clone();
    let progress: oncilla_client::Progress = Arc::new(move |delta| {
        counter.fetch_add(delta, Ordering::Relaxed);
    });
    let client = server.client(3);
    client
        .put_object(&put_request(), Body::File(range), Some(progress))
        .await
        .unwrap();
    assert_eq!(seen.load(Ordering::Relaxed), 11);

    let received = server.received();
    assert_eq!(received.len(), 2);
    let last = &received[1];
    assert_eq!(last.header("x-amz-decoded-content-length"), Some("11"));
    assert_eq!(last.header("content-encoding"), Some("aws-chunked"));
    assert_eq!(
        last.header("x-amz-trailer"),
        Some("x-amz-checksum-crc64nvme")
    );
    assert_eq!(
        last.header("x-amz-content-sha256"),
        Some("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER")
    );
    let body = String::from_utf8(last.body.clone()).unwrap();
    assert!(body.starts_with("b;chunk-signature="), "{body}");
    assert!(
        body.contains("\r\nhello world\r\n0;chunk-signature="),
        "{body}"
    );
    assert!(body.contains("\r\nx-amz-checksum-crc64nvme:jSnVw/bqjr4=\r\nx-amz-trailer-signature:"));
}

#[tokio::test]
async fn bytes_carry_their_checksum_in_a_header() {
    let server = TestServer::start(|_, _| Reply::new(200)).await;
    let body = Bytes::from("hello world").into();
    server
        .client(1)
        .put_object(&put_request(), body, None)
        .await
        .unwrap();
    let request = &server.received()[0];
    assert_eq!(
        request.header("x-amz-checksum-crc64nvme"),
        Some("jSnVw/bqjr4=")
    );
    assert_eq!(
        request.header("x-amz-content-sha256"),
        Some("b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9")
    );
    let authorization = request.header("authorization").unwrap();
    assert!(
        authorization.contains("Credential=tid_test/"),
        "{authorization}"
    );
}

#[tokio::test]
async fn a_cut_body_is_noticed() {
    let server = TestServer::start(|_, _| Reply {
        cut_at: Some(3),
        ..Reply::new(200).body("hello")
    })
    .await;
    let output = server.client(1).get_object(&get_request()).await.unwrap();
    let outcome = output.body.collect(100).await;
    assert!(matches!(outcome, Err(Error::Network { .. })), "{outcome:?}");
}

#[tokio::test]
async fn a_listing_goes_on_and_must_not_end_by_mistake() {
    use futures_util::TryStreamExt;
    let page = |keys: &[&str], next: Option<&str>| {
        let contents: String = keys
            .iter()
            .map(|key| {
                format!("<Contents><Key>{key}</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified><ETag>&quot;e&quot;</ETag><Size>7</Size></Contents>")
            })
            .collect();
        let next_element = next
            .map(|token| format!("<NextContinuationToken>{token}</NextContinuationToken>"))
            .unwrap_or_default();
        format!(
            "<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>{contents}{next_element}</ListBucketResult>"
        )
    };
    let server =
        TestServer::start(
            move |request, _| match request.parameter("continuation-token") {
                None => Reply::new(200).body(page(&["a%20b", "c"], Some("T1"))),
                Some(_) => Reply::new(200).body(page(&["d"], None)),
            },
        )
        .await;
    let request = ListObjectsRequest {
        bucket: "pics".into(),
        ..Default::default()
    };
    let client = server.client(1);
    let mut pages = Box::pin(client.list_objects_pages(request));
    let first = pages.try_next().await.unwrap().unwrap();
    assert_eq!(first.objects[0].key, "a b");
    assert_eq!(
        (first.objects[1].size, first.objects[1].etag.as_str()),
        (7, "e")
    );
    // The second page says that there is more and not where.
    assert!(matches!(
        pages.try_next().await,
        Err(Error::InvalidResponse { .. })
    ));
    assert_eq!(
        server.received()[1].parameter("continuation-token"),
        Some("T1")
    );
}

#[tokio::test]
async fn a_bucket_of_ones_own_is_looked_for_by_its_name() {
    let server = TestServer::start(|request, _| {
        let (name, next) = match request.parameter("continuation-token") {
            None => ("pics2", "<ContinuationToken>T1</ContinuationToken>"),
            Some(_) => ("pics", ""),
        };
        Reply::new(200).body(format!(
            "<ListAllMyBucketsResult><Buckets><Bucket><Name>{name}</Name><CreationDate>2026-01-02T03:04:05.000Z</CreationDate></Bucket></Buckets>{next}</ListAllMyBucketsResult>"
        ))
    })
    .await;
    let client = server.client(1);
    assert!(client.owns_bucket("pics").await.unwrap());
    assert!(!client.owns_bucket("pic").await.unwrap());
    let received = server.received();
    let prefixes: Vec<_> = received
        .iter()
        .map(|asked| asked.parameter("prefix"))
        .collect();
    assert_eq!(
        prefixes,
        [Some("pics"), Some("pics"), Some("pic"), Some("pic")]
    );
}

#[tokio::test]
async fn an_error_under_status_200_is_an_error() {
    let server = TestServer::start(|_, _| {
        Reply::new(200).body("<Error><Code>InternalError</Code><Message>late</Message></Error>")
    })
    .await;
    let parts = [Default::default()];
    let outcome = server
        .client(1)
        .complete_multipart_upload(&put_request(), "U", &parts, None)
        .await;
    assert!(outcome.is_err_and(|error| error.has_code("InternalError")));
}

#[tokio::test]
async fn a_presigned_url_names_the_object_and_sends_nothing() {
    let server = TestServer::start(|_, _| Reply::new(200)).await;
    let url = server
        .client(1)
        .presign(&PresignRequest {
            method: http::Method::GET,
            bucket: "pics".into(),
            key: "a b".into(),
            expires: std::time::Duration::from_secs(60),
            query: vec![("response-content-type".into(), "text/plain".into())],
        })
        .unwrap();
    let prefix = format!(
        "http://{}/pics/a%20b?response-content-type=text%2Fplain&",
        server.address
    );
    assert!(url.starts_with(&prefix), "{url}");
    assert!(
        url.contains("X-Amz-Expires=60&") && url.contains("&X-Amz-Signature="),
        "{url}"
    );
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn a_request_to_the_endpoints_own_path_is_signed_and_its_refusal_is_told() {
    let server = TestServer::start(|_, number| match number {
        0 => Reply::new(200).body("{}"),
        _ => Reply::new(404).body("{\"error\":{\"code\":\"NoSuchKey\"}}"),
    })
    .await;
    let client = server.client(3);
    let ask = |json: Option<&str>| {
        let json = json.map(|json| json.as_bytes().to_vec());
        client.request_own_path(http::Method::POST, "/-/admin/v1/keys", "limit=1", json)
    };
    assert_eq!(&ask(Some("{\"a\":1}")).await.unwrap()[..], b"{}");
    let error = ask(None).await.unwrap_err();
    assert!(error.is_not_found());
    assert_eq!(
        error.service().unwrap().message,
        "{\"error\":{\"code\":\"NoSuchKey\"}}"
    );
    let received = server.received();
    assert_eq!(received[0].target, "/-/admin/v1/keys?limit=1");
    assert_eq!(received[0].body, b"{\"a\":1}");
    assert!(received[0].header("authorization").is_some());
    assert_eq!(
        received[0].header("x-amz-content-sha256"),
        Some("015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862")
    );
}
