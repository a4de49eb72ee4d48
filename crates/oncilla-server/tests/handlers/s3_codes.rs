//! Which code a request is refused with, where several would seem right; and that a refusal changes
//! nothing.

use crate::support::{Call, Reply, World, delete, get, head, post, put};
use oncilla_hash::{Checksum, ChecksumAlgorithm};

const VERSION_ID: &str = "x-amz-version-id";
const DELETE_MARKER: &str = "x-amz-delete-marker";
const TAGS: &str = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>";
const HOLD: &str = "<LegalHold><Status>ON</Status></LegalHold>";
const RETENTION: &str = "<Retention><Mode>GOVERNANCE</Mode>\
                         <RetainUntilDate>2023-12-01T00:00:00.000Z</RetainUntilDate></Retention>";
const RESTORE: &str = "<RestoreRequest><Days>1</Days></RestoreRequest>";
const KMS: &str =
    "<ObjectEncryption><SSE-KMS><KMSKeyArn>k</KMSKeyArn></SSE-KMS></ObjectEncryption>";
const SELECT: &str = "<SelectObjectContentRequest><Expression>SELECT * FROM S3Object</Expression>\
                      <ExpressionType>SQL</ExpressionType>\
                      <InputSerialization><CSV/></InputSerialization>\
                      <OutputSerialization><CSV/></OutputSerialization></SelectObjectContentRequest>";

/// A bucket `bucket` with versions and locks, and an object `key` in it.
async fn locked_bucket() -> World {
    let world = World::new().await;
    let create = put("/bucket", "").header("x-amz-bucket-object-lock-enabled", "true");
    world.succeed(create).await;
    world.succeed(put("/bucket/key", "body")).await;
    world
}

/// A document whose digest is sent along, as those about locks have to be.
fn put_document(target: &str, document: &str) -> Call {
    let digest = Checksum::of(ChecksumAlgorithm::Crc32, document.as_bytes());
    put(target, document.to_owned()).header("x-amz-checksum-crc32", &digest.to_base64())
}

/// Whatever is asked of the object `key`; `version` is empty or names one of its versions.
fn everything_about_the_object(version: &str) -> Vec<(&'static str, Call)> {
    let of = |sub_resource: &str| format!("/bucket/key?{sub_resource}{version}");
    let attributes = |names: &str| get(&of("attributes")).header("x-amz-object-attributes", names);
    vec![
        ("GetObject", get(&of("response-expires="))),
        ("GetObject of a part", get(&of("partNumber=1"))),
        ("HeadObject", head(&of("x-id=HeadObject"))),
        ("GetObjectTagging", get(&of("tagging"))),
        ("PutObjectTagging", put(&of("tagging"), TAGS)),
        ("DeleteObjectTagging", delete(&of("tagging"))),
        ("GetObjectAcl", get(&of("acl"))),
        (
            "PutObjectAcl",
            put(&of("acl"), "").header("x-amz-acl", "private"),
        ),
        ("GetObjectAttributes", attributes("ETag")),
        ("GetObjectAttributes of parts", attributes("ObjectParts")),
        ("GetObjectRetention", get(&of("retention"))),
        (
            "PutObjectRetention",
            put_document(&of("retention"), RETENTION),
        ),
        ("GetObjectLegalHold", get(&of("legal-hold"))),
        ("PutObjectLegalHold", put_document(&of("legal-hold"), HOLD)),
        ("RestoreObject", post(&of("restore"), RESTORE)),
        ("UpdateObjectEncryption", put(&of("encryption"), KMS)),
    ]
}

/// The code of a refusal; a HEAD has none.
fn is_refused(reply: &Reply, what: &str, status: u16, code: &str) {
    assert_eq!(reply.status.as_u16(), status, "{what}: {}", reply.text());
    if what != "HeadObject" {
        assert_eq!(reply.element("Code").as_deref(), Some(code), "{what}");
    }
}

/// Source: S3 User Guide, "Working with delete markers".
#[tokio::test]
async fn whatever_is_asked_of_a_delete_marker_is_answered_alike() {
    let world = locked_bucket().await;
    let deleted = world.succeed(delete("/bucket/key")).await;
    let marker = deleted.header(VERSION_ID).unwrap();
    let of_newest = everything_about_the_object("");
    let select = post("/bucket/key?select&select-type=2", SELECT);
    for (what, call) in of_newest.into_iter().chain([("Select", select)]) {
        let reply = world.send(call).await;
        is_refused(&reply, what, 404, "NoSuchKey");
        assert_eq!(reply.header(DELETE_MARKER), Some("true"), "{what}");
        assert_eq!(reply.header(VERSION_ID), Some(marker), "{what}");
    }
    for (what, call) in everything_about_the_object(&format!("&versionId={marker}")) {
        let reply = world.send(call).await;
        is_refused(&reply, what, 405, "MethodNotAllowed");
        assert_eq!(reply.header(DELETE_MARKER), Some("true"), "{what}");
        assert_eq!(reply.header("allow"), Some("DELETE"), "{what}");
    }
}

/// A condition asks for an object, and there is none to delete.
#[tokio::test]
async fn a_conditional_deletion_adds_no_delete_marker() {
    let world = locked_bucket().await;
    world.succeed(delete("/bucket/key")).await;
    let versions = async || {
        let listed = world.succeed(get("/bucket?versions")).await;
        listed.elements("VersionId").len()
    };
    assert_eq!(versions().await, 2);
    let any = delete("/bucket/key").header("if-match", "*");
    let nothing = world.succeed(any).await.is(204);
    nothing.lacks(DELETE_MARKER).lacks(VERSION_ID);
    let other = delete("/bucket/key").header("if-match", "\"0\"");
    world.send(other).await.refused(412, "PreconditionFailed");
    // Of a key that never had an object, any condition holds.
    for etag in ["*", "\"0\""] {
        let absent = delete("/bucket/absent").header("if-match", etag);
        let nothing = world.succeed(absent).await.is(204);
        nothing.lacks(DELETE_MARKER).lacks(VERSION_ID);
    }
    let list = "<Delete><Object><Key>key</Key><Size>0</Size></Object></Delete>";
    let many = world.succeed(post("/bucket?delete", list)).await;
    assert_eq!(many.elements("Deleted").len(), 1);
    assert_eq!(many.element("DeleteMarker"), None);
    assert_eq!(versions().await, 2);
    world.succeed(delete("/bucket/key")).await;
    assert_eq!(versions().await, 3);
}

/// The document of PutObjectTagging has codes of its own: ceph/s3-tests, test_put_excess_tags.
#[tokio::test]
async fn tags_in_a_header_and_in_a_document() {
    let world = locked_bucket().await;
    let eleven: Vec<String> = (0..11).map(|number| format!("k{number}=v")).collect();
    for (tags, code) in [
        (&*eleven.join("&"), "BadRequest"),
        ("a=b&a=c", "InvalidArgument"),
        ("a=b&%61=b", "InvalidArgument"),
        ("a=%ff", "InvalidArgument"),
        ("aws:a=b", "InvalidTag"),
    ] {
        let create = post("/bucket/new?uploads", "");
        for call in [put("/bucket/new", "x"), create] {
            let reply = world.send(call.header("x-amz-tagging", tags)).await;
            reply.refused(400, code);
        }
    }
    world.send(head("/bucket/new")).await.is(404);
    let tag = |number: usize| format!("<Tag><Key>k{number}</Key><Value>v</Value></Tag>");
    let document = |tags: String| format!("<Tagging><TagSet>{tags}</TagSet></Tagging>");
    let eleven = document((0..11).map(tag).collect());
    for document in [eleven, document([tag(0), tag(0)].concat())] {
        let reply = world.send(put("/bucket/key?tagging", document)).await;
        reply.refused(400, "InvalidTag");
    }
}

/// The operations of the S3 API reference that are not here, and some sub-resources of what does not
/// have them: they are not taken for something else.
#[tokio::test]
async fn what_is_not_here_answers_501_and_changes_nothing() {
    let world = locked_bucket().await;
    let object_lambda = || {
        let call = post("/WriteGetObjectResponse", "body");
        let call = call.header("x-amz-request-route", "io-1");
        call.header("x-amz-request-token", "token")
    };
    let calls = [
        object_lambda(),
        object_lambda().service("s3-object-lambda"),
        object_lambda().header("host", "io-1.localhost:9000"),
        post("/WriteGetObjectResponse?x-id=WriteGetObjectResponse", "x"),
        get("/?x-id=ListDirectoryBuckets"),
        get("/bucket?session"),
        get("/bucket?abac"),
        put("/bucket?abac", "<AbacStatus/>"),
        post("/bucket?metadataTable", "x"),
        get("/bucket?metadataTable"),
        delete("/bucket?metadataTable"),
        post("/bucket?metadataConfiguration", "x"),
        get("/bucket?metadataConfiguration"),
        delete("/bucket?metadataConfiguration"),
        put("/bucket?metadataInventoryTable", "x"),
        put("/bucket?metadataJournalTable", "x"),
        put("/bucket?metadataAnnotationTable", "x"),
        get("/bucket?replication"),
        put("/bucket?replication", "x"),
        delete("/bucket?replication"),
        post("/bucket?select&select-type=2", SELECT),
        get("/bucket/key?torrent"),
        put("/bucket/key?publicAccessBlock", "x"),
        delete("/bucket/key?publicAccessBlock"),
        put("/bucket/key?annotation", "x"),
        get("/bucket/key?annotation"),
        delete("/bucket/key?annotation"),
        put("/bucket/key?policy", "x"),
        delete("/bucket/key?lifecycle"),
    ];
    for call in calls {
        world.send(call).await.refused(501, "NotImplemented");
    }
    let kept = world.succeed(get("/bucket/key")).await;
    kept.body_is(b"body");
    let listed = world.succeed(get("/bucket?versions")).await;
    assert_eq!(listed.elements("Key"), ["key"]);
    let buckets = world.succeed(get("/")).await;
    assert_eq!(buckets.elements("Bucket").len(), 1);
    // Such a key is one like any other.
    world
        .succeed(put("/bucket/WriteGetObjectResponse", "x"))
        .await;
    let upload = post("/WriteGetObjectResponse?uploads", "");
    let upload = upload.header("host", "bucket.localhost:9000");
    let upload = world.succeed(upload).await;
    assert!(upload.element("UploadId").is_some());
}

/// An object that is begun by an append can be gone on with, and one that is encrypted could not.
#[tokio::test]
async fn nothing_encrypted_is_begun_by_an_append() {
    let world = World::new().await;
    world.succeed(put("/bucket", "")).await;
    let append = |key: &str| {
        let target = format!("/bucket/{key}");
        put(&target, "body").header("x-amz-write-offset-bytes", "0")
    };
    let encryption = "x-amz-server-side-encryption";
    // The key and its MD5 are those of ceph/s3-tests.
    let by_customer_key = append("a")
        .header(&format!("{encryption}-customer-algorithm"), "AES256")
        .header(
            &format!("{encryption}-customer-key"),
            "pO3upElrwuEXSoFwCfnZPdSsmt/xWeFa0N9KgDijwVs=",
        )
        .header(
            &format!("{encryption}-customer-key-md5"),
            "DWygnHRtgiJ77HCm+1rvHw==",
        );
    let calls = [
        append("a").header(encryption, "AES256"),
        append("a").header(encryption, "aws:kms"),
        by_customer_key,
    ];
    for call in calls {
        world.send(call).await.refused(501, "NotImplemented");
    }
    let by_default = "<ServerSideEncryptionConfiguration><Rule>\
                      <ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm>\
                      </ApplyServerSideEncryptionByDefault></Rule>\
                      </ServerSideEncryptionConfiguration>";
    world.succeed(put("/bucket?encryption", by_default)).await;
    let refused = world.send(append("a")).await;
    refused.refused(501, "NotImplemented");
    world.send(head("/bucket/a")).await.is(404);
    world.succeed(delete("/bucket?encryption")).await;
    world.succeed(append("a")).await;
}
