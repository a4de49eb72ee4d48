//! What requests for configurations, tags, versions and encryption look like.

#![allow(
    clippy::unwrap_used,
    reason = "a test that fails should say so at once"
)]

mod support;

use bytes::Bytes;
use oncilla_client::{
    BucketDocument, Client, CopyObjectRequest, GetObjectRequest, ObjectAttributes, PresignRequest,
    PutObjectRequest, TagsOf,
};
use support::{Reply, TestServer};

#[tokio::test]
async fn a_configuration_is_a_document_behind_a_parameter() {
    let server = TestServer::start(|_, _| Reply::new(200).body("<CORSConfiguration/>")).await;
    let client = server.client(1);
    let kind = BucketDocument::Cors;
    let present = client.bucket_document("pics", kind).await.unwrap();
    let content = Bytes::from_static(b"<CORSConfiguration/>").into();
    assert_eq!(present.as_ref(), Some(&content));
    client
        .put_bucket_document("pics", kind, content)
        .await
        .unwrap();
    client.delete_bucket_document("pics", kind).await.unwrap();
    // S3 has no request that deletes it.
    client
        .delete_bucket_document("pics", BucketDocument::Logging)
        .await
        .unwrap();
    let received = server.received();
    let lines: Vec<String> = received
        .iter()
        .map(|request| format!("{} {}", request.method, request.target))
        .collect();
    let expected = [
        "GET /pics?cors=",
        "PUT /pics?cors=",
        "DELETE /pics?cors=",
        "PUT /pics?logging=",
    ];
    assert_eq!(lines, expected);
    assert!(received[1].header("content-md5").is_some());
    assert!(received[3].body.starts_with(b"<BucketLoggingStatus"));
}

#[tokio::test]
async fn an_empty_document_says_that_logging_and_notifications_are_off() {
    let documents = [
        "<?xml version=\"1.0\"?>\n<BucketLoggingStatus xmlns=\"x\"> <!-- off --> </BucketLoggingStatus>",
        "<BucketLoggingStatus><LoggingEnabled/></BucketLoggingStatus>",
        "<NotificationConfiguration/>",
        "<NotificationConfiguration><EventBridgeConfiguration/></NotificationConfiguration>",
        "<PublicAccessBlockConfiguration/>",
        "no document",
    ];
    let server = TestServer::start(move |_, number| Reply::new(200).body(documents[number])).await;
    let client = server.client(1);
    for (kind, is_set) in [
        (BucketDocument::Logging, false),
        (BucketDocument::Logging, true),
        (BucketDocument::Notification, false),
        (BucketDocument::Notification, true),
        (BucketDocument::PublicAccessBlock, true),
        (BucketDocument::Logging, true),
    ] {
        let present = client.bucket_document("pics", kind).await.unwrap();
        assert_eq!(present.is_some(), is_set, "{kind:?}");
    }
}

#[tokio::test]
async fn an_acl_that_is_taken_away_is_private() {
    let server = TestServer::start(|_, _| Reply::new(200)).await;
    let client = server.client(1);
    client
        .put_canned_bucket_acl("pics", "public-read")
        .await
        .unwrap();
    client
        .delete_bucket_document("pics", BucketDocument::Acl)
        .await
        .unwrap();
    let received = server.received();
    for (request, acl) in received.iter().zip(["public-read", "private"]) {
        assert_eq!(
            format!("{} {}", request.method, request.target),
            "PUT /pics?acl="
        );
        assert_eq!(request.header("x-amz-acl"), Some(acl));
        assert!(request.body.is_empty());
    }
}

#[tokio::test]
async fn object_lock_is_not_enabled_by_taking_its_retention_away() {
    let server = TestServer::start(|_, number| match number {
        0 => Reply::error(404, "ObjectLockConfigurationNotFoundError"),
        _ => Reply::new(200).body("<ObjectLockConfiguration/>"),
    })
    .await;
    let client = server.client(1);
    let kind = BucketDocument::ObjectLock;
    client.delete_bucket_document("pics", kind).await.unwrap();
    assert_eq!(server.received().len(), 1);
    client.delete_bucket_document("pics", kind).await.unwrap();
    let received = server.received();
    let put = received.last().unwrap();
    assert_eq!(
        format!("{} {}", put.method, put.target),
        "PUT /pics?object-lock="
    );
    let body = String::from_utf8(put.body.clone()).unwrap();
    assert!(body.contains("<ObjectLockEnabled>Enabled<") && !body.contains("Rule"));
}

#[tokio::test]
async fn the_smallest_object_of_a_transition_is_said_again() {
    const HEADER: &str = "x-amz-transition-default-minimum-object-size";
    let server = TestServer::start(|_, _| {
        Reply::new(200)
            .header(HEADER, "varies_by_storage_class")
            .body("<LifecycleConfiguration/>")
    })
    .await;
    let client = server.client(1);
    let kind = BucketDocument::Lifecycle;
    let present = client.bucket_document("pics", kind).await.unwrap().unwrap();
    client
        .put_bucket_document("pics", kind, present)
        .await
        .unwrap();
    let put = &server.received()[1];
    assert_eq!(put.header(HEADER), Some("varies_by_storage_class"));
}

#[tokio::test]
async fn nothing_set_is_no_failure_and_no_bucket_is_one() {
    let server = TestServer::start(|_, number| match number {
        0 => Reply::error(404, "NoSuchLifecycleConfiguration"),
        1 => Reply::error(404, "NoSuchTagSet"),
        _ => Reply::error(404, "NoSuchBucket"),
    })
    .await;
    let client = server.client(1);
    let kind = BucketDocument::Lifecycle;
    assert_eq!(client.bucket_document("pics", kind).await.unwrap(), None);
    let of = TagsOf {
        bucket: "pics".into(),
        ..TagsOf::default()
    };
    assert!(client.tags(&of).await.unwrap().is_empty());
    let error = client.bucket_document("pics", kind).await.unwrap_err();
    assert!(error.is_not_found() && error.has_code("NoSuchBucket"));
}

#[tokio::test]
async fn tags_are_those_of_a_version() {
    let server = TestServer::start(|_, _| Reply::new(200)).await;
    let of = TagsOf {
        bucket: "pics".into(),
        key: Some("a b".into()),
        version_id: Some("v+1".into()),
    };
    let tags = [("team".to_owned(), "otters @ co".to_owned())];
    server.client(1).put_tags(&of, &tags).await.unwrap();
    let received = &server.received()[0];
    assert_eq!(received.target, "/pics/a%20b?tagging=&versionId=v%2B1");
    let body = String::from_utf8(received.body.clone()).unwrap();
    assert!(body.contains("<Tag><Key>team</Key><Value>otters @ co</Value></Tag>"));
    let twice = [tags[0].clone(), tags[0].clone()];
    assert!(server.client(1).put_tags(&of, &twice).await.is_err());
}

#[tokio::test]
async fn versions_are_listed_to_the_end() {
    let server = TestServer::start(|request, _| {
        let body = match request.parameter("key-marker") {
            None => {
                "<ListVersionsResult><IsTruncated>true</IsTruncated>\
                 <NextKeyMarker>a</NextKeyMarker><NextVersionIdMarker>2</NextVersionIdMarker>\
                 <DeleteMarker><Key>a</Key><VersionId>2</VersionId><IsLatest>true</IsLatest>\
                 <LastModified>2026-01-01T00:00:00.000Z</LastModified></DeleteMarker>\
                 </ListVersionsResult>"
            }
            Some(_) => {
                "<ListVersionsResult><IsTruncated>false</IsTruncated>\
                 <Version><Key>a</Key><VersionId>1</VersionId><IsLatest>false</IsLatest>\
                 <LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag>\
                 <Size>3</Size><StorageClass>STANDARD</StorageClass></Version>\
                 </ListVersionsResult>"
            }
        };
        Reply::new(200).body(body)
    })
    .await;
    let client = server.client(1);
    let first = client.list_versions("pics", "a", None, None).await.unwrap();
    assert_eq!(first.versions[0].size, None);
    assert_eq!(first.next, Some(("a".into(), Some("2".into()))));
    let next = first.next.as_ref();
    let second = client.list_versions("pics", "a", None, next).await.unwrap();
    assert_eq!(second.versions[0].size, Some(3));
    assert_eq!(second.versions[0].etag.as_deref(), Some("e"));
    assert_eq!(second.next, None);
    let asked = &server.received()[1];
    assert_eq!(asked.parameter("version-id-marker"), Some("2"));
}

#[tokio::test]
async fn a_copy_gets_its_class_and_encryption_without_losing_its_metadata() {
    let result = "<CopyObjectResult><ETag>\"e\"</ETag></CopyObjectResult>";
    let server = TestServer::start(move |_, _| Reply::new(200).body(result)).await;
    let mut copy = CopyObjectRequest {
        source_bucket: "pics".into(),
        source_key: "a b".into(),
        source_version_id: Some("v+1".into()),
        bucket: "pics".into(),
        key: "c".into(),
        attributes: ObjectAttributes {
            content_type: Some("text/plain".into()),
            storage_class: Some("GLACIER".into()),
            server_side_encryption: Some("aws:kms".into()),
            sse_kms_key_id: Some("alias/photos".into()),
            ..ObjectAttributes::default()
        },
        ..CopyObjectRequest::default()
    };
    let client = server.client(1);
    client.copy_object(&copy).await.unwrap();
    copy.replace_metadata = true;
    client.copy_object(&copy).await.unwrap();
    let received = server.received();
    for request in &received {
        for (name, value) in [
            ("x-amz-copy-source", "/pics/a%20b?versionId=v%2B1"),
            ("x-amz-storage-class", "GLACIER"),
            ("x-amz-server-side-encryption", "aws:kms"),
            (
                "x-amz-server-side-encryption-aws-kms-key-id",
                "alias/photos",
            ),
        ] {
            assert_eq!(request.header(name), Some(value), "{name}");
        }
    }
    assert_eq!(received[0].header("content-type"), None);
    assert_eq!(received[0].header("x-amz-metadata-directive"), None);
    assert_eq!(received[1].header("content-type"), Some("text/plain"));
    assert_eq!(
        received[1].header("x-amz-metadata-directive"),
        Some("REPLACE")
    );
}

#[tokio::test]
async fn who_pays_says_so_in_every_request_and_url() {
    let server = TestServer::start(|_, _| Reply::new(200)).await;
    let mut settings = server.client(1).settings().clone();
    settings.request_payer = true;
    let client = Client::new(settings).unwrap();
    let get = GetObjectRequest {
        bucket: "pics".into(),
        key: "k".into(),
        ..GetObjectRequest::default()
    };
    let put = PutObjectRequest {
        bucket: "pics".into(),
        key: "k".into(),
        ..PutObjectRequest::default()
    };
    client.head_object(&get).await.unwrap();
    client
        .put_object(&put, bytes::Bytes::from("x").into(), None)
        .await
        .unwrap();
    for request in server.received() {
        assert_eq!(request.header("x-amz-request-payer"), Some("requester"));
        let signed = request.header("authorization").unwrap();
        assert!(signed.contains("x-amz-request-payer"), "{signed}");
    }
    let url = client
        .presign(&PresignRequest {
            method: http::Method::GET,
            bucket: "pics".into(),
            key: "k".into(),
            expires: std::time::Duration::from_secs(60),
            query: Vec::new(),
        })
        .unwrap();
    assert!(url.contains("x-amz-request-payer=requester"), "{url}");
}
