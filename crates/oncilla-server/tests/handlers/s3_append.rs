//! PutObject with an offset, and RenameObject, over the S3 API.
#![allow(clippy::unwrap_used)]

use crate::slow_client::Served;
use crate::support::{Call, LATER_DATE, Reply, User, World, delete, get, head, put};
use oncilla_hash::{Checksum, ChecksumAlgorithm};
use oncilla_iam::Role;

fn append(target: &str, offset: u64, body: &str) -> Call {
    put(target, body.to_owned()).header("x-amz-write-offset-bytes", &offset.to_string())
}

fn rename(target: &str, source: &str) -> Call {
    put(&format!("{target}?renameObject"), "").header("x-amz-rename-source", source)
}

async fn bucket() -> World {
    let world = World::new().await;
    world.succeed(put("/bkt", "")).await;
    world
}

#[tokio::test]
async fn bodies_are_appended() {
    let world = bucket().await;
    let whole = world.succeed(put("/bkt/whole", "hello")).await;
    assert_eq!(whole.header("x-amz-object-size"), None);
    let first = append("/bkt/k", 0, "hello")
        .header("content-type", "text/plain")
        .header("x-amz-meta-colour", "green");
    let first = world.succeed(first).await.has("x-amz-object-size", "5");
    // What an append says of metadata is not about the object, which has its own.
    let more = append("/bkt/k", 5, " world").header("content-type", "text/html");
    let second = world.succeed(more).await.has("x-amz-object-size", "11");
    assert_ne!(first.header("etag"), second.header("etag"));
    assert!(second.header("etag").unwrap().ends_with("-2\""));
    let whole = world
        .succeed(get("/bkt/k").header("x-amz-checksum-mode", "ENABLED"))
        .await;
    let sum = Checksum::of(ChecksumAlgorithm::Crc64Nvme, b"hello world").to_base64();
    whole
        .body_is(b"hello world")
        .has("content-type", "text/plain")
        .has("x-amz-meta-colour", "green")
        .has("x-amz-checksum-crc64nvme", &sum)
        .has("x-amz-checksum-type", "FULL_OBJECT");
    let range = world.send(get("/bkt/k").header("range", "bytes=3-7")).await;
    range.is(206).body_is(b"lo wo");
    let part = world.send(get("/bkt/k?partNumber=2")).await;
    part.is(206)
        .body_is(b" world")
        .has("x-amz-mp-parts-count", "2");
    let attributes = get("/bkt/k?attributes").header("x-amz-object-attributes", "ObjectParts");
    let attributes = world.succeed(attributes).await;
    assert_eq!(attributes.elements("Size"), ["5", "6"]);
}

/// How tags and an ACL are refused, which an append could not set.
const SETS_NEITHER: &str = "Tags and an ACL cannot be set while data is appended to an object.";

/// An object keeps its tags and its ACL, and an append that has some is not taken: its sender would
/// believe that they are set.
#[tokio::test]
async fn an_append_sets_neither_tags_nor_an_acl() {
    let world = bucket().await;
    let grant = format!("id={}", world.owner.account_id);
    // An empty object is appended to at offset 0, where a new one would be made.
    for (target, body) in [("/bkt/k", "hello"), ("/bkt/empty", "")] {
        world.succeed(put(target, body)).await;
        for (name, value) in [
            ("x-amz-tagging", "a=b"),
            ("x-amz-acl", "private"),
            ("x-amz-grant-read", grant.as_str()),
        ] {
            let more = append(target, body.len() as u64, " world").header(name, value);
            let refused = world.send(more).await.refused(400, "InvalidArgument");
            assert_eq!(refused.element("Message").as_deref(), Some(SETS_NEITHER));
            assert_eq!(refused.element("ArgumentName").as_deref(), Some(name));
            let kept = world.succeed(get(target)).await;
            kept.body_is(body.as_bytes());
        }
    }
}

/// Nor does one that was to make an object, if by the time its body is there another one has.
#[tokio::test(start_paused = true)]
async fn an_object_that_came_meanwhile_keeps_its_tags_and_acl() {
    let world = bucket().await;
    let served = Served::new(&world);
    for (target, name, value) in [
        ("/bkt/tags", "x-amz-tagging", "a=b"),
        ("/bkt/acl", "x-amz-acl", "public-read"),
    ] {
        let begin = append(target, 0, "more").header(name, value);
        let request = world.request(Some(&world.owner), begin);
        let meanwhile = async {
            let empty = put(target, "").header("x-amz-tagging", "c=d");
            world.succeed(empty).await;
        };
        let answer = served.halve(&request, meanwhile).await;
        assert!(answer.contains("<Code>InvalidArgument</Code>"), "{answer}");
        assert!(answer.contains(SETS_NEITHER), "{answer}");
        world.succeed(get(target)).await.body_is(b"");
        let tags = world.succeed(get(&format!("{target}?tagging"))).await;
        assert_eq!(tags.elements("Key"), ["c"]);
        let acl = world.succeed(get(&format!("{target}?acl"))).await;
        assert_eq!(acl.elements("Permission"), ["FULL_CONTROL"]);
    }
}

#[tokio::test]
async fn checksums_follow_the_object() {
    let world = bucket().await;
    let sum = |algorithm, body: &str| Checksum::of(algorithm, body.as_bytes()).to_base64();
    use ChecksumAlgorithm::{Crc32, Crc32c, Sha256};
    // The object has CRC32C, and its appenders other checksums.
    let begin = append("/bkt/k", 0, "one").header("x-amz-checksum-crc32c", &sum(Crc32c, "one"));
    world.succeed(begin).await;
    let more = append("/bkt/k", 3, "two").header("x-amz-checksum-crc32", &sum(Crc32, "two"));
    world.succeed(more).await;
    let more = append("/bkt/k", 6, "three").header("x-amz-checksum-sha256", &sum(Sha256, "three"));
    let last = world.succeed(more).await;
    last.has("x-amz-checksum-crc32c", &sum(Crc32c, "onetwothree"));
    let wrong = append("/bkt/k", 11, "four").header("x-amz-checksum-crc32", &sum(Crc32, "five"));
    world.send(wrong).await.refused(400, "BadDigest");
    world.succeed(get("/bkt/k")).await.body_is(b"onetwothree");
    // A SHA-256 of the whole cannot be had from those of its parts.
    let begin = append("/bkt/s", 0, "one").header("x-amz-checksum-sha256", &sum(Sha256, "one"));
    world.succeed(begin).await;
    let more = append("/bkt/s", 3, "two").header("x-amz-checksum-sha256", &sum(Sha256, "two"));
    world.succeed(more).await.lacks("x-amz-checksum-sha256");
    world.succeed(get("/bkt/s")).await.body_is(b"onetwo");
}

#[tokio::test]
async fn what_cannot_be_appended() {
    let world = bucket().await;
    world
        .send(append("/bkt/k", 1, "x"))
        .await
        .refused(400, "InvalidWriteOffset");
    let written = world.succeed(put("/bkt/k", "12345")).await;
    for offset in [0, 4, 6] {
        let answer = world.send(append("/bkt/k", offset, "x")).await;
        let answer = answer
            .refused(400, "InvalidWriteOffset")
            .lacks("content-range");
        assert_eq!(answer.element("ActualObjectSize").unwrap(), "5");
    }
    for offset in ["", "-1", "five"] {
        let call = put("/bkt/k", "x").header("x-amz-write-offset-bytes", offset);
        world.send(call).await.refused(400, "InvalidArgument");
    }
    let stale = append("/bkt/k", 5, "x").header("if-match", "\"0\"");
    world.send(stale).await.refused(412, "PreconditionFailed");
    let fresh = append("/bkt/k", 5, "x").header("if-match", written.header("etag").unwrap());
    world.succeed(fresh).await;
    let enable = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    world.succeed(put("/bkt?versioning", enable)).await;
    for key in ["/bkt/k", "/bkt/new"] {
        let answer = world.send(append(key, 6, "x")).await;
        answer.refused(501, "NotImplemented");
    }
    world.succeed(get("/bkt/k")).await.body_is(b"12345x");
}

#[tokio::test]
async fn objects_are_renamed() {
    let world = bucket().await;
    let old = put("/bkt/old", "body").header("x-amz-meta-colour", "green");
    let old = world.succeed(old).await;
    world.succeed(put("/bkt/new", "other")).await;
    let modified = world.succeed(head("/bkt/old")).await;
    world.advance_ms(60_000);
    for (headers, code) in [
        (("x-amz-rename-source-if-match", "\"0\""), 412),
        (("x-amz-rename-source-if-none-match", "*"), 412),
        (("x-amz-rename-source-if-modified-since", LATER_DATE), 412),
        (("if-none-match", "*"), 412),
        (("if-match", "\"0\""), 412),
    ] {
        let call = rename("/bkt/new", "/bkt/old").header(headers.0, headers.1);
        world.send(call).await.refused(code, "PreconditionFailed");
    }
    let call = rename("/bkt/new", "/bkt/old")
        .header("x-amz-rename-source-if-match", old.header("etag").unwrap())
        .header("x-amz-client-token", "c0ffee");
    world
        .succeed(call)
        .await
        .body_is(b"")
        .lacks("x-amz-version-id");
    let renamed = world.succeed(get("/bkt/new")).await.body_is(b"body");
    renamed
        .has("x-amz-meta-colour", "green")
        .has("last-modified", modified.header("last-modified").unwrap());
    world.send(get("/bkt/old")).await.refused(404, "NoSuchKey");
    // Again, by a client that lost the answer; and with the token for something else.
    let again = |source: &str| {
        rename("/bkt/new", source)
            .header("x-amz-rename-source-if-match", old.header("etag").unwrap())
            .header("x-amz-client-token", "c0ffee")
    };
    world.succeed(again("/bkt/old")).await;
    let reused = world.send(again("/bkt/other")).await;
    reused.refused(400, "IdempotencyParameterMismatch");
    world
        .send(rename("/bkt/new", "/bkt/old"))
        .await
        .refused(404, "NoSuchKey");
    world
        .send(rename("/bkt/new", "new"))
        .await
        .refused(400, "InvalidRequest");
    world
        .send(rename("/bkt/new", "/other/old"))
        .await
        .refused(404, "NoSuchKey");
    let bare = put("/bkt/new?renameObject", "");
    world.send(bare).await.refused(400, "InvalidRequest");
    let token = rename("/bkt/newer", "new").header("x-amz-client-token", "a b");
    world.send(token).await.refused(400, "InvalidArgument");
}

#[tokio::test]
async fn a_rename_in_a_versioned_bucket_keeps_both_histories() {
    let world = bucket().await;
    let enable = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    world.succeed(put("/bkt?versioning", enable)).await;
    let old = world.succeed(put("/bkt/old", "body")).await;
    let renamed = world.succeed(rename("/bkt/new", "old")).await;
    let version = renamed.header("x-amz-version-id").unwrap();
    assert_ne!(Some(version), old.header("x-amz-version-id"));
    let gone = world.send(get("/bkt/old")).await.refused(404, "NoSuchKey");
    gone.has("x-amz-delete-marker", "true");
    let before = old.header("x-amz-version-id").unwrap();
    let before = world
        .succeed(get(&format!("/bkt/old?versionId={before}")))
        .await;
    before.body_is(b"body");
    world
        .succeed(get(&format!("/bkt/new?versionId={version}")))
        .await
        .body_is(b"body");
}

/// A rename takes the source away, so it needs more than the right to write.
#[tokio::test]
async fn a_rename_is_authorized_on_both_keys() {
    let world = bucket().await;
    world.succeed(put("/bkt/old", "body")).await;
    let reader = world.key("bkt", Role::ReadOnly).await;
    let stranger = world.stranger().await;
    for sender in [Some(&reader), Some(&stranger), None] {
        let answer = world.send_by(sender, rename("/bkt/new", "old")).await;
        answer.refused(403, "AccessDenied");
    }
    let editor = world.key("bkt", Role::Editor).await;
    world
        .send_by(Some(&editor), rename("/bkt/new", "old"))
        .await
        .is(200);
}

#[tokio::test]
async fn a_copy_can_be_a_rename() {
    let world = bucket().await;
    world.succeed(put("/other", "")).await;
    world.succeed(put("/bkt/old", "body")).await;
    let copy = |target: &str, value: &str| {
        put(target, "")
            .header("x-amz-copy-source", "/bkt/old")
            .header("x-tigris-rename", value)
    };
    world
        .send(copy("/other/new", "true"))
        .await
        .refused(400, "InvalidRequest");
    world
        .send(copy("/bkt/new", "yes"))
        .await
        .refused(400, "InvalidArgument");
    world.succeed(copy("/bkt/copy", "false")).await;
    let renamed = world.succeed(copy("/bkt/new", "true")).await;
    assert!(renamed.element("ETag").is_some());
    world.succeed(get("/bkt/new")).await.body_is(b"body");
    world.send(get("/bkt/old")).await.refused(404, "NoSuchKey");
}

/// Of a rename that was carried out before, a copy tells no more than RenameObject: what has the key by
/// then is another matter.
#[tokio::test]
async fn a_repeated_rename_tells_nothing_of_what_is_there_now() {
    let world = bucket().await;
    let mover = world.stranger().await;
    let account = &mover.account_id;
    let allow = |actions: &str, key: &str| {
        format!(
            r#"{{"Effect": "Allow", "Principal": {{"CanonicalUser": "{account}"}},
                "Action": [{actions}], "Resource": "arn:aws:s3:::bkt/{key}"}}"#
        )
    };
    let source = allow(r#""s3:GetObject", "s3:DeleteObject""#, "old");
    let destination = allow(r#""s3:PutObject""#, "new");
    let policy = format!(r#"{{"Version": "2012-10-17", "Statement": [{source}, {destination}]}}"#);
    world.succeed(put("/bkt?policy", policy)).await;
    world.succeed(put("/bkt/old", "body")).await;
    let renamed = async || {
        let copy = put("/bkt/new", "")
            .header("x-amz-copy-source", "/bkt/old")
            .header("x-tigris-rename", "true")
            .header("x-amz-client-token", "c0ffee");
        world.send_by(Some(&mover), copy).await.is(200)
    };
    let first = renamed().await;
    assert!(first.element("ETag").is_some());
    let tells_nothing = |reply: Reply| {
        assert!(
            reply.text().contains("CopyObjectResult"),
            "{}",
            reply.text()
        );
        assert_eq!(reply.element("ETag"), None);
        assert_eq!(reply.element("LastModified"), None);
        reply.lacks("etag").lacks("x-amz-version-id");
    };
    tells_nothing(renamed().await);
    world.succeed(put("/bkt/new", "secret")).await;
    tells_nothing(renamed().await);
    world.succeed(get("/bkt/new")).await.body_is(b"secret");
    world.succeed(delete("/bkt/new")).await;
    tells_nothing(renamed().await);
}

#[tokio::test]
async fn deletions_whose_condition_cannot_be_read_do_not_happen() {
    let world = bucket().await;
    world.succeed(put("/bkt/k", "body")).await;
    for (name, value, code) in [
        ("x-amz-if-match-size", "four", "InvalidArgument"),
        (
            "x-amz-if-match-last-modified-time",
            "today",
            "InvalidArgument",
        ),
        ("x-amz-if-match-size", "5", "PreconditionFailed"),
        (
            "x-amz-if-match-last-modified-time",
            LATER_DATE,
            "PreconditionFailed",
        ),
    ] {
        let answer = world.send(delete("/bkt/k").header(name, value)).await;
        assert_eq!(
            answer.element("Code").as_deref(),
            Some(code),
            "{name}: {value}"
        );
    }
    world
        .succeed(delete("/bkt/k").header("x-amz-if-match-size", "4"))
        .await;
    world.send(get("/bkt/k")).await.refused(404, "NoSuchKey");
}

#[tokio::test]
async fn an_offset_is_a_number_of_digits_alone() {
    let world = bucket().await;
    world.succeed(put("/bkt/k", "1")).await;
    for offset in ["+1", "-1", "", "1.0", "0x1", "18446744073709551616"] {
        let call = put("/bkt/k", "2").header("x-amz-write-offset-bytes", offset);
        world.send(call).await.refused(400, "InvalidArgument");
    }
    world.succeed(get("/bkt/k")).await.body_is(b"1");
}

/// Lets an account do these on everything in the bucket, and nothing else.
async fn allow(world: &World, user: &User, actions: &str) {
    let account = &user.account_id;
    let policy = format!(
        r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow",
            "Principal": {{"CanonicalUser": "{account}"}}, "Action": [{actions}],
            "Resource": "arn:aws:s3:::bkt/*"}}}}"#
    );
    world.succeed(put("/bkt?policy", policy)).await;
}

fn hides_everything(reply: Reply) {
    let reply = reply.refused(403, "AccessDenied");
    let reply = reply.lacks("etag").lacks("x-amz-checksum-crc64nvme");
    assert_eq!(reply.element("ActualObjectSize"), None);
}

/// What an append is answered depends on what is there, so it takes the right to read that.
#[tokio::test]
async fn a_writer_is_told_nothing_of_what_it_may_not_read() {
    let world = bucket().await;
    let writer = world.stranger().await;
    world.succeed(put("/bkt/secret", "12345")).await;
    world.succeed(put("/bkt/empty", "")).await;
    allow(&world, &writer, r#""s3:PutObject""#).await;
    let send = async |call: Call| world.send_by(Some(&writer), call).await;
    for (target, offset, body) in [
        ("/bkt/secret", 999_999, ""),
        ("/bkt/secret", 5, ""),
        ("/bkt/secret", 5, "x"),
        ("/bkt/secret", 0, ""),
        ("/bkt/secret", 0, "x"),
        ("/bkt/empty", 0, ""),
        ("/bkt/absent", 5, ""),
    ] {
        hides_everything(send(append(target, offset, body)).await);
    }
    // A new object is its writer's, who may go on with it.
    let own = send(append("/bkt/own", 0, "one")).await.is(200);
    own.has("x-amz-object-size", "3");
    send(append("/bkt/own", 3, "two")).await.is(200);
    let wrong = send(append("/bkt/own", 4, "")).await;
    wrong.refused(400, "InvalidWriteOffset");
    allow(&world, &writer, r#""s3:PutObject", "s3:GetObject""#).await;
    let wrong = send(append("/bkt/secret", 999_999, "")).await;
    let wrong = wrong.refused(400, "InvalidWriteOffset");
    assert_eq!(wrong.element("ActualObjectSize").as_deref(), Some("5"));
    send(append("/bkt/secret", 5, "6")).await.is(200);
}

/// Nor of what comes to be there while its body is on the way.
#[tokio::test(start_paused = true)]
async fn an_appender_is_told_nothing_of_what_came_meanwhile() {
    let world = bucket().await;
    let writer = world.stranger().await;
    allow(&world, &writer, r#""s3:PutObject""#).await;
    let own = append("/bkt/own", 0, "own");
    world.send_by(Some(&writer), own).await.is(200);
    let served = Served::new(&world);
    for (target, offset) in [("/bkt/new", 0), ("/bkt/own", 3)] {
        let request = world.request(Some(&writer), append(target, offset, "more"));
        let meanwhile = async {
            world.succeed(put(target, "secret")).await;
        };
        let answer = served.halve(&request, meanwhile).await;
        assert!(answer.contains("<Code>AccessDenied</Code>"), "{answer}");
        assert!(!answer.contains("ActualObjectSize"), "{answer}");
        world.succeed(get(target)).await.body_is(b"secret");
    }
}

/// A rename moves no byte, so none is encrypted by it.
#[tokio::test]
async fn a_rename_does_not_encrypt() {
    let world = bucket().await;
    world.succeed(put("/bkt/old", "body")).await;
    for (name, value) in [
        ("x-amz-server-side-encryption", "AES256"),
        ("x-amz-server-side-encryption-aws-kms-key-id", "key"),
        ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
    ] {
        let by_copy = put("/bkt/new", "")
            .header("x-amz-copy-source", "/bkt/old")
            .header("x-tigris-rename", "true");
        for call in [rename("/bkt/new", "old"), by_copy] {
            let reply = world.send(call.header(name, value)).await;
            let reply = reply.refused(501, "NotImplemented");
            assert_eq!(reply.element("Header").as_deref(), Some(name));
        }
    }
    world.succeed(get("/bkt/old")).await.body_is(b"body");
}
