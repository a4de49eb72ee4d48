//! Presigned URLs whose parameters stand for headers, as SDKs write them.

use crate::support::{Reply, World, complete, delete, form, get, head, part_element, post, put};
use oncilla_hash::{Checksum, ChecksumAlgorithm};

/// The tests begin on 2023-11-14.
const UNTIL: &str = "2023-12-01T00:00:00.000Z";

/// What the AWS SDK for JavaScript signs besides into the URL of a PUT whose body it does not know.
const OF_JAVASCRIPT: &str = "X-Amz-Content-Sha256=UNSIGNED-PAYLOAD&x-amz-checksum-crc32=AAAAAA%3D%3D\
                             &x-amz-sdk-checksum-algorithm=CRC32&x-id=PutObject";

fn crc32(body: &str) -> String {
    Checksum::of(ChecksumAlgorithm::Crc32, body.as_bytes()).to_base64()
}

/// A bucket with an object.
async fn scene() -> World {
    let world = World::new().await;
    world.succeed(put("/bucket", "")).await;
    world.succeed(put("/bucket/key", "body")).await;
    world
}

/// Puts an object by a URL of the owner's with these parameters.
async fn put_by_url(world: &World, path: &str, parameters: &[(&str, &str)]) -> Reply {
    let call = put(&format!("{path}?{}", form(parameters)), "body");
    world.send_presigned(&world.owner, call).await
}

#[tokio::test]
async fn a_url_locks_its_object_and_overrides_a_lock() {
    let world = scene().await;
    let create = put("/locked", "").header("x-amz-bucket-object-lock-enabled", "true");
    world.succeed(create).await;
    let until = ("x-amz-object-lock-retain-until-date", UNTIL);
    let checksum = crc32("body");
    let checksum = ("x-amz-checksum-crc32", checksum.as_str());
    let lock = [("x-amz-object-lock-mode", "COMPLIANCE"), until, checksum];
    put_by_url(&world, "/locked/k", &lock).await.is(200);
    world
        .succeed(head("/locked/k"))
        .await
        .has("x-amz-object-lock-mode", "COMPLIANCE")
        .has("x-amz-object-lock-retain-until-date", UNTIL);
    // As with headers, a digest has to protect the body.
    put_by_url(&world, "/locked/k", &lock[..2])
        .await
        .refused(400, "InvalidRequest");
    put_by_url(&world, "/bucket/k", &lock)
        .await
        .refused(400, "InvalidRequest");

    let lock = [("x-amz-object-lock-mode", "GOVERNANCE"), until, checksum];
    let locked = put_by_url(&world, "/locked/g", &lock).await.is(200);
    let version = locked.header("x-amz-version-id").unwrap();
    let target = format!("/locked/g?versionId={version}");
    let by_url = |target: &str| world.send_presigned(&world.owner, delete(target));
    by_url(&target).await.refused(403, "AccessDenied");
    let bypassing = format!("{target}&x-amz-bypass-governance-retention=true");
    by_url(&bypassing).await.is(204);
}

#[tokio::test]
async fn a_url_describes_its_object() {
    let world = scene().await;
    let parameters = [
        ("X-Amz-Tagging", "team=red"),
        ("x-amz-meta-Author", "ada"),
        ("x-amz-storage-class", "STANDARD_IA"),
        ("x-amz-website-redirect-location", "/other"),
        ("x-amz-acl", "public-read"),
    ];
    let target = format!("/bucket/k?{}&{OF_JAVASCRIPT}", form(&parameters));
    let call = put(&target, "body");
    world.send_presigned(&world.owner, call).await.is(200);
    world
        .succeed(head("/bucket/k"))
        .await
        .has("x-amz-meta-author", "ada")
        .has("x-amz-storage-class", "STANDARD_IA")
        .has("x-amz-website-redirect-location", "/other");
    let tags = world.succeed(get("/bucket/k?tagging")).await;
    assert_eq!(tags.element("Key").as_deref(), Some("team"));
    assert_eq!(tags.element("Value").as_deref(), Some("red"));
    let read = world.send_by(None, get("/bucket/k")).await;
    read.is(200).body_is(b"body");

    // The order of parameters is not signed, and no header is that was added.
    let twice = [("x-amz-acl", "private"), ("X-Amz-Acl", "public-read")];
    put_by_url(&world, "/bucket/k", &twice)
        .await
        .refused(400, "InvalidRequest");
    let added = put("/bucket/k", "body").header("x-amz-acl", "public-read");
    world
        .send_presigned(&world.owner, added)
        .await
        .refused(403, "AccessDenied");
}

#[tokio::test]
async fn a_url_copies() {
    let world = scene().await;
    let by_url = |target: String| world.send_presigned(&world.owner, put(&target, ""));
    let copied = by_url("/bucket/copy?x-amz-copy-source=bucket%2Fkey".to_owned()).await;
    assert!(copied.is(200).element("LastModified").is_some());
    world.succeed(get("/bucket/copy")).await.body_is(b"body");
    let absent = by_url("/bucket/copy?X-Amz-Copy-Source=bucket%2Fabsent".to_owned()).await;
    absent.refused(404, "NoSuchKey");

    let create = world.succeed(post("/bucket/parts?uploads", "")).await;
    let id = create.element("UploadId").unwrap();
    let part = format!(
        "/bucket/parts?partNumber=1&uploadId={id}&x-amz-copy-source=bucket%2Fkey\
         &x-amz-copy-source-range=bytes%3D1-2"
    );
    let part = by_url(part).await.is(200);
    let part = part_element(1, &part.element("ETag").unwrap());
    world.succeed(complete("/bucket/parts", &id, &part)).await;
    world.succeed(get("/bucket/parts")).await.body_is(b"od");
}

#[tokio::test]
async fn a_url_says_whose_bucket_it_expects() {
    let world = scene().await;
    let name = "x-amz-expected-bucket-owner";
    for (owner, status) in [(world.owner.account_id.as_str(), 200), ("0123", 403)] {
        put_by_url(&world, "/bucket/k", &[(name, owner)])
            .await
            .is(status);
        let read = get(&format!("/bucket/key?{name}={owner}"));
        world.send_presigned(&world.owner, read).await.is(status);
    }
}

#[tokio::test]
async fn a_checksum_in_a_url_is_that_of_the_body_unless_it_is_of_none() {
    let world = scene().await;
    let name = "x-amz-checksum-crc32";
    let (right, wrong) = (crc32("body"), crc32("other"));
    put_by_url(&world, "/bucket/k", &[(name, right.as_str())])
        .await
        .is(200)
        .has(name, &right);
    put_by_url(&world, "/bucket/wrong", &[(name, wrong.as_str())])
        .await
        .refused(400, "BadDigest");
    world.send(get("/bucket/wrong")).await.is(404);
    let unknown = put(&format!("/bucket/unknown?{OF_JAVASCRIPT}"), "body");
    world
        .send_presigned(&world.owner, unknown)
        .await
        .is(200)
        .lacks(name);
    world.succeed(get("/bucket/unknown")).await.body_is(b"body");
    // How the SDK would have sent a stream says nothing of how the body comes.
    let stream = "X-Amz-Content-Sha256=UNSIGNED-PAYLOAD\
                  &x-amz-content-sha256=STREAMING-UNSIGNED-PAYLOAD-TRAILER\
                  &x-amz-decoded-content-length=1&x-amz-sdk-checksum-algorithm=CRC32\
                  &x-amz-trailer=x-amz-checksum-crc32";
    let stream = put(&format!("/bucket/stream?{stream}"), "body");
    world.send_presigned(&world.owner, stream).await.is(200);
    world.succeed(get("/bucket/stream")).await.body_is(b"body");
}

#[tokio::test]
async fn policies_see_parameters_as_headers_and_only_urls_have_such() {
    let world = scene().await;
    let statement = |effect: &str, condition: &str| {
        format!(
            r#"{{"Effect": "{effect}", "Principal": "*", "Action": "s3:PutObject",
                "Resource": "arn:aws:s3:::bucket/*", "Condition": {{{condition}}}}}"#
        )
    };
    let public = r#""StringEquals": {"s3:x-amz-acl": "public-read"}"#;
    let red = r#""StringEquals": {"s3:RequestObjectTag/team": "red"}"#;
    let policy = format!(
        r#"{{"Version": "2012-10-17", "Statement": [{}, {}, {}]}}"#,
        statement("Allow", ""),
        statement("Deny", public),
        statement("Deny", red),
    );
    world.send(put("/bucket?policy", policy)).await.is(204);
    for (name, denied, allowed) in [
        ("x-amz-acl", "public-read", "private"),
        ("x-amz-tagging", "team=red", "team=blue"),
    ] {
        put_by_url(&world, "/bucket/k", &[(name, denied)])
            .await
            .refused(403, "AccessDenied");
        put_by_url(&world, "/bucket/k", &[(name, allowed)])
            .await
            .is(200);
    }
    // Signed in its header, and by nobody.
    for (sender, path) in [(Some(&world.owner), "/bucket/a"), (None, "/bucket/b")] {
        let call = put(&format!("{path}?x-amz-meta-a=b&X-Amz-Acl=public-read"), "x");
        world.send_by(sender, call).await.is(200);
        let stored = world.store.bucket("bucket").await.unwrap();
        let key = path.rsplit('/').next().unwrap();
        let record = world.store.object_version(&stored, key.as_bytes(), None);
        assert!(record.await.unwrap().metadata.is_empty(), "{path}");
    }
}
