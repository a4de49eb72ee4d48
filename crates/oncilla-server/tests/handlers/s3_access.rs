//! Who may do what: ACLs, roles, bucket owners, and everything that is not implemented.

use std::sync::Arc;
use std::time::Duration;

use crate::slow_client::Served;
use crate::support::{
    Call, LOOKUP_TIME, SlowEngine, User, World, call, delete, get, head, post, put,
};
use oncilla_hash::{Checksum, ChecksumAlgorithm};
use oncilla_iam::{Role, allows};
use oncilla_meta::memory::MemoryEngine;
use oncilla_store::StoreOptions;
use oncilla_wire::operation::{Level, Operation};
use tokio::time::Instant;

const VERSIONING: &str =
    "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
const TAGGING: &str = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>";
const SELECT: &str = "<SelectObjectContentRequest><Expression>SELECT * FROM S3Object</Expression>\
    <ExpressionType>SQL</ExpressionType><InputSerialization><CSV/></InputSerialization>\
    <OutputSerialization><CSV/></OutputSerialization></SelectObjectContentRequest>";

/// Lets an account do these on everything in `/bucket`, and nothing else.
async fn allow(world: &World, user: &User, actions: &[&str]) {
    let list = actions.join("\",\"");
    let account = &user.account_id;
    let policy = format!(
        r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow",
            "Principal": {{"CanonicalUser": "{account}"}}, "Action": ["{list}"],
            "Resource": ["arn:aws:s3:::bucket", "arn:aws:s3:::bucket/*"]}}}}"#
    );
    let target = "/bucket?policy";
    world.succeed(put(target, policy)).await;
}

/// A body whose digest is sent along.
fn put_summed(target: &str, body: &'static str) -> Call {
    let digest = Checksum::of(ChecksumAlgorithm::Crc32, body.as_bytes());
    put(target, body).header("x-amz-checksum-crc32", &digest.to_base64())
}

#[tokio::test]
async fn everything_is_private_by_default() {
    let world = World::new().await;
    let stranger = world.stranger().await;
    world.succeed(put("/bucket", "")).await;
    world.succeed(put("/bucket/key", "body")).await;
    for sender in [None, Some(&stranger)] {
        for target in [
            "/bucket/key",
            "/bucket/none",
            "/bucket",
            "/bucket?acl",
            "/bucket?uploads",
        ] {
            let reply = world.send_by(sender, get(target)).await;
            reply.refused(403, "AccessDenied");
        }
        let denied = [
            put("/bucket/key", "other"),
            put("/bucket/copy", "").header("x-amz-copy-source", "/bucket/key"),
            delete("/bucket/key"),
            delete("/bucket"),
            put("/bucket?acl", "").header("x-amz-acl", "public-read"),
            put("/bucket/key?acl", "").header("x-amz-acl", "public-read"),
            post("/bucket/key?uploads", ""),
        ];
        for call in denied {
            world
                .send_by(sender, call)
                .await
                .refused(403, "AccessDenied");
        }
        // Each key of a list is judged by itself; nobody's list is not even read.
        let list = "<Delete><Object><Key>key</Key></Object></Delete>";
        let reply = world.send_by(sender, post("/bucket?delete", list)).await;
        let status = if sender.is_some() { 200 } else { 403 };
        assert_eq!(reply.is(status).elements("Code"), ["AccessDenied"]);
        // A HEAD tells an error by its status alone.
        for target in ["/bucket", "/bucket/key"] {
            world
                .send_by(sender, head(target))
                .await
                .is(403)
                .body_is(b"");
        }
    }
    world.succeed(get("/bucket/key")).await.body_is(b"body");
    world
        .send(head("/absent-bucket"))
        .await
        .is(404)
        .body_is(b"");
    world
        .send(head("/bucket/absent"))
        .await
        .is(404)
        .body_is(b"");
}

#[tokio::test]
async fn canned_acls_open_what_they_say_to_whom_they_say() {
    let world = World::new().await;
    let stranger = world.stranger().await;
    let created = world.send_by(Some(&stranger), put("/copies", "")).await;
    created.is(200);
    // ACL, anonymous reads, stranger reads, both write
    let table = [
        ("private", false, false, false),
        ("public-read", true, true, false),
        ("public-read-write", true, true, true),
        ("authenticated-read", false, true, false),
        ("bucket-owner-read", false, false, false),
        ("bucket-owner-full-control", false, false, false),
        ("log-delivery-write", false, false, false),
        ("aws-exec-read", false, false, false),
    ];
    for (acl, anonymous_reads, stranger_reads, writes) in table {
        let bucket = format!("/bucket-of-{acl}");
        let create = put(&bucket, "").header("x-amz-acl", acl);
        world.succeed(create).await;
        let key = format!("{bucket}/key");
        world.succeed(put(&key, "body")).await;
        for (sender, reads) in [(None, anonymous_reads), (Some(&stranger), stranger_reads)] {
            let status = |allowed| if allowed { 200 } else { 403 };
            // The bucket's ACL opens the bucket: its listing, and that a key is absent.
            world.send_by(sender, get(&bucket)).await.is(status(reads));
            world.send_by(sender, head(&bucket)).await.is(status(reads));
            let absent = get(&format!("{bucket}/absent"));
            let absent = world.send_by(sender, absent).await;
            absent.is(if reads { 404 } else { 403 });
            // It says nothing of the objects in it.
            world
                .send_by(sender, get(&key))
                .await
                .refused(403, "AccessDenied");
            let new = put(&format!("{bucket}/new"), "new");
            world.send_by(sender, new).await.is(status(writes));
            world
                .send_by(sender, delete(&key))
                .await
                .refused(403, "AccessDenied");
            // An upload belongs to somebody.
            let upload = post(&format!("{key}?uploads"), "");
            let begins = writes && sender.is_some();
            world.send_by(sender, upload).await.is(status(begins));
            let list = get(&format!("{bucket}?uploads"));
            world.send_by(sender, list).await.is(status(reads));
        }

        // An object's ACL opens the object: on PUT, by PutObjectAcl, and as a policy.
        let target = format!("/bucket-of-{acl}/open");
        let by_put = put(&target, "body").header("x-amz-acl", acl);
        world.succeed(by_put).await;
        let policy = world.succeed(get(&format!("{target}?acl"))).await.text();
        for round in 0..3 {
            for (sender, reads) in [(None, anonymous_reads), (Some(&stranger), stranger_reads)] {
                let expected = if reads { 200 } else { 403 };
                world.send_by(sender, get(&target)).await.is(expected);
                world.send_by(sender, head(&target)).await.is(expected);
                let attributes = get(&format!("{target}?attributes"));
                let attributes = attributes.header("x-amz-object-attributes", "ETag");
                world
                    .send_by(sender, attributes)
                    .await
                    .refused(403, "AccessDenied");
            }
            // The source of a copy is read like any other object.
            let copy = put("/copies/copy", "").header("x-amz-copy-source", &target);
            let copied = world.send_by(Some(&stranger), copy).await;
            copied.is(if stranger_reads { 200 } else { 403 });
            let set = put(&format!("{target}?acl"), "").header("x-amz-acl", "private");
            world.succeed(set).await;
            world.send_by(None, get(&target)).await.is(403);
            let again = match round {
                0 => put(&format!("{target}?acl"), "").header("x-amz-acl", acl),
                _ => put(&format!("{target}?acl"), policy.clone()),
            };
            world.succeed(again).await;
        }
    }
}

#[tokio::test]
async fn acls_that_cannot_be_kept_are_refused() {
    let world = World::new().await;
    world.succeed(put("/bucket", "")).await;
    world.succeed(put("/bucket/key", "body")).await;
    for target in ["/bucket?acl", "/bucket/key?acl"] {
        let before = world.succeed(get(target)).await.text();
        let canned = put(target, "").header("x-amz-acl", "private");
        let both = canned.header("x-amz-grant-read", "id=0123");
        world.send(both).await.refused(400, "InvalidRequest");
        for (grantee, code) in [
            ("id=0123", "InvalidArgument"),
            ("uri=http://nowhere", "InvalidArgument"),
            ("name=Ada", "InvalidArgument"),
            ("emailAddress=a@b.c", "UnresolvableGrantByEmailAddress"),
        ] {
            let grant = put(target, "").header("x-amz-grant-read", grantee);
            world.send(grant).await.refused(400, code);
        }
        let unknown = put(target, "").header("x-amz-acl", "public");
        world.send(unknown).await.refused(400, "InvalidArgument");
        world
            .send(put(target, ""))
            .await
            .refused(400, "MissingSecurityHeader");
        let both = put(target, before.clone()).header("x-amz-acl", "private");
        world.send(both).await.refused(400, "UnexpectedContent");
        world
            .send(put(target, "<Other/>"))
            .await
            .refused(400, "MalformedACLError");
        let no_permission = before.replace("FULL_CONTROL", "EVERYTHING");
        world
            .send(put(target, no_permission))
            .await
            .refused(400, "MalformedACLError");
        let other_owner = before.replace(&world.owner.account_id, &"0".repeat(64));
        world
            .send(put(target, other_owner))
            .await
            .refused(403, "AccessDenied");
        assert_eq!(world.succeed(get(target)).await.text(), before);
    }
    let absent = put("/bucket/absent?acl", "").header("x-amz-acl", "private");
    world.send(absent).await.refused(404, "NoSuchKey");
}

#[tokio::test]
async fn an_editor_cannot_open_a_bucket() {
    let world = World::new().await;
    let editor = world.key("*", Role::Editor).await;
    let open = |call: crate::support::Call| call.header("x-amz-acl", "public-read");
    let create = world.send_by(Some(&editor), open(put("/bucket", ""))).await;
    create.refused(403, "AccessDenied");
    world.send(head("/bucket")).await.is(404);
    world
        .send_by(Some(&editor), put("/bucket", ""))
        .await
        .is(200);
    let set = world
        .send_by(Some(&editor), open(put("/bucket?acl", "")))
        .await;
    set.refused(403, "AccessDenied");
    world.succeed(open(put("/other", ""))).await;
}

#[tokio::test]
async fn the_expected_owner_is_compared() {
    let world = World::new().await;
    world.succeed(put("/bucket", "")).await;
    let id = world.owner.account_id.clone();
    let expecting = |id: &str| {
        [
            put("/bucket/key", "body"),
            get("/bucket/key"),
            get("/bucket?list-type=2"),
        ]
        .map(|call| call.header("x-amz-expected-bucket-owner", id))
    };
    for call in expecting(&id) {
        world.succeed(call).await;
    }
    for call in expecting("0123") {
        world.send(call).await.refused(403, "AccessDenied");
    }
    let copy = put("/bucket/copy", "")
        .header("x-amz-copy-source", "bucket/key")
        .header("x-amz-source-expected-bucket-owner", "0123");
    world.send(copy).await.refused(403, "AccessDenied");
}

/// How each operation is asked for: `key` stands in the target of those on objects.
fn request_of(operation: Operation) -> (&'static str, String) {
    let (method, selectors) = operation.request_line();
    let path = match operation.level() {
        Level::Service => "/",
        Level::Bucket => "/bucket",
        Level::Object => "/bucket/key",
    };
    let query: Vec<String> = selectors
        .iter()
        .map(|&selector| selector.to_owned())
        .collect();
    (method, format!("{path}?{}", query.join("&")))
}

#[tokio::test]
async fn what_is_not_implemented_says_so_and_changes_nothing() {
    let world = World::new().await;
    world.succeed(put("/bucket", "")).await;
    let put_key = put("/bucket/key", "body").header("x-amz-meta-mine", "yes");
    world.succeed(put_key).await;
    let upload = world.succeed(post("/bucket/key?uploads", "")).await;
    assert!(upload.element("UploadId").is_some());
    let everything = async || {
        let mut seen = Vec::new();
        for target in [
            "/",
            "/bucket",
            "/bucket?acl",
            "/bucket?uploads",
            "/bucket?versions",
        ] {
            seen.push(world.succeed(get(target)).await.text());
        }
        for target in ["/bucket/key", "/bucket/key?tagging", "/bucket/key?acl"] {
            let reply = world.succeed(get(target)).await;
            seen.push(format!("{:?} {}", reply.headers, reply.text()));
        }
        seen
    };
    let before = everything().await;
    let mut refused = 0;
    for &operation in Operation::ALL {
        if operation.implemented() {
            continue;
        }
        let (method, target) = request_of(operation);
        // Whatever the body says, it is not looked at.
        for body in ["", "<Delete><Object><Key>key</Key></Object></Delete>"] {
            let reply = world.send(call(method, &target, body)).await;
            let reply = reply.refused(501, "NotImplemented");
            let message = reply.element("Message").unwrap();
            assert!(message.starts_with(operation.name()), "{target}: {message}");
        }
        refused += 1;
    }
    assert!(refused > 0, "{refused} operations");
    // Sub-resources without an operation here, and ones of relatives, are no plain verbs either.
    for method in ["GET", "PUT", "POST", "DELETE"] {
        for target in [
            "/bucket?append",
            "/bucket/key?annotation&annotationName=a",
            "/bucket/key?compose",
            "/bucket/key?policy",
            "/bucket?select",
        ] {
            let reply = world.send(call(method, target, "")).await;
            assert!(
                matches!(reply.status.as_u16(), 405 | 501),
                "{method} {target}"
            );
        }
    }
    // Headers that mean what is not done.
    for (name, value) in [
        ("x-amz-server-side-encryption", "aws:kms:dsse"),
        ("x-tigris-fork", "true"),
    ] {
        let reply = world
            .send(put("/bucket/key", "other").header(name, value))
            .await;
        reply.refused(501, "NotImplemented");
    }
    assert_eq!(everything().await, before);
}

#[test]
fn every_operation_is_known_to_the_roles() {
    for &operation in Operation::ALL {
        let action = operation.iam_action();
        let name = operation.name();
        assert!(allows(Role::Admin, action), "{name}");
        let changes_access = matches!(
            action,
            "s3:PutBucketAcl"
                | "s3:PutBucketPolicy"
                | "s3:DeleteBucketPolicy"
                | "s3:PutBucketPublicAccessBlock"
                | "s3:PutBucketAbac"
        );
        // Directory buckets are not here; nobody but Admin needs to know.
        let unknown = matches!(
            operation,
            Operation::CreateSession | Operation::ListDirectoryBuckets
        );
        assert_eq!(
            allows(Role::Editor, action),
            !changes_access && !unknown,
            "{name}"
        );
        let (method, _) = operation.request_line();
        let reads = matches!(method, "GET" | "HEAD")
            || matches!(
                operation,
                Operation::RestoreObject | Operation::SelectObjectContent
            );
        assert_eq!(
            allows(Role::ReadOnly, action),
            reads && !unknown,
            "{name}: {action}"
        );
    }
}

/// A world in which tasks can be slow to look objects up.
async fn slow_world() -> Arc<World> {
    let engine = Arc::new(SlowEngine(MemoryEngine::new()));
    Arc::new(World::on(engine, StoreOptions::default()).await)
}

const LOOKUP: Duration = Duration::from_secs(60);

/// Whoever may list is told that there is no object, and nothing of one that comes a moment later.
#[tokio::test(start_paused = true)]
async fn an_absence_is_no_permission_to_read_what_appears() {
    let world = slow_world().await;
    let stranger = world.stranger().await;
    let list = put("/bucket", "").header("x-amz-acl", "public-read");
    world.succeed(list).await;
    let copies = world.send_by(Some(&stranger), put("/copies", "")).await;
    copies.is(200);
    let calls = [
        get("/bucket/key"),
        head("/bucket/key"),
        put("/copies/copy", "").header("x-amz-copy-source", "/bucket/key"),
    ];
    for call in calls {
        let (reader, by) = (Arc::clone(&world), stranger.clone());
        let reading = async move { reader.send_by(Some(&by), call).await };
        let reading = tokio::spawn(LOOKUP_TIME.scope(LOOKUP, reading));
        tokio::time::sleep(LOOKUP / 2).await;
        assert!(!reading.is_finished());
        world.succeed(put("/bucket/key", "secret")).await;
        let reply = reading.await.unwrap().is(404);
        assert!(!reply.text().contains("secret"));
        world.succeed(delete("/bucket/key")).await;
    }
}

/// The owner of a bucket may read what is in it, but for the objects of others: whose one is that
/// appears was not judged.
#[tokio::test(start_paused = true)]
async fn an_absence_says_nothing_of_whose_it_will_be() {
    let world = slow_world().await;
    let stranger = world.stranger().await;
    let open = put("/bucket", "").header("x-amz-acl", "public-read-write");
    world.succeed(open).await;
    let first = put("/bucket/first", "theirs");
    world.send_by(Some(&stranger), first).await.is(200);
    let calls = [
        get("/bucket/key"),
        head("/bucket/key"),
        get("/bucket/key?tagging"),
        get("/bucket/key?acl"),
    ];
    for call in calls {
        let reader = Arc::clone(&world);
        let reading = async move { reader.send(call).await };
        let reading = tokio::spawn(LOOKUP_TIME.scope(LOOKUP, reading));
        tokio::time::sleep(LOOKUP / 2).await;
        assert!(!reading.is_finished());
        let theirs = put("/bucket/key", "secret");
        world.send_by(Some(&stranger), theirs).await.is(200);
        reading.await.unwrap().is(404);
        world.send(get("/bucket/key")).await.is(403);
        world.succeed(delete("/bucket/key")).await;
    }
}

/// What takes the place of an object between the judgement and the reading is not given away: it is
/// judged when the client asks again.
#[tokio::test(start_paused = true)]
async fn what_replaces_a_judged_object_is_not_given() {
    let world = slow_world().await;
    let stranger = world.stranger().await;
    world.succeed(put("/bucket", "")).await;
    let copies = world.send_by(Some(&stranger), put("/copies", "")).await;
    copies.is(200);
    let calls = [
        get("/bucket/key"),
        head("/bucket/key"),
        put("/copies/copy", "").header("x-amz-copy-source", "/bucket/key"),
    ];
    for call in calls {
        let public = put("/bucket/key", "public").header("x-amz-acl", "public-read");
        world.succeed(public).await;
        let (reader, by) = (Arc::clone(&world), stranger.clone());
        let again = call.clone();
        let reading = async move { reader.send_by(Some(&by), call).await };
        let reading = tokio::spawn(LOOKUP_TIME.scope(LOOKUP, reading));
        tokio::time::sleep(LOOKUP / 2).await;
        world.succeed(put("/bucket/key", "secret")).await;
        reading.await.unwrap().is(503);
        world.send_by(Some(&stranger), again).await.is(403);
    }
}

#[tokio::test]
async fn what_is_absent_is_told_to_whoever_may_list() {
    let world = World::new().await;
    let stranger = world.stranger().await;
    world
        .send_by(Some(&stranger), put("/copies", ""))
        .await
        .is(200);
    world.succeed(put("/bucket", "")).await;
    world.succeed(put("/bucket?versioning", VERSIONING)).await;
    world.succeed(put("/bucket/key", "body")).await;
    let deleted = world.succeed(delete("/bucket/key")).await;
    let id = deleted.header("x-amz-version-id").unwrap();
    let marker = format!("/bucket/key?versionId={id}");
    let copy_of_marker = put("/copies/copy", "").header("x-amz-copy-source", &marker);
    for (acl, listed) in [("private", false), ("public-read", true)] {
        world
            .succeed(put("/bucket?acl", "").header("x-amz-acl", acl))
            .await;
        let send = async |call: Call| {
            let reply = world.send_by(Some(&stranger), call).await;
            match listed {
                true => reply,
                false => reply
                    .refused(403, "AccessDenied")
                    .lacks("x-amz-delete-marker"),
            }
        };
        let gone = send(get("/bucket/key")).await;
        let of_marker = send(get(&marker)).await;
        let no_version = send(get("/bucket/key?versionId=null")).await;
        let never = send(get("/bucket/never")).await;
        let copied = send(copy_of_marker.clone()).await;
        if !listed {
            continue;
        }
        gone.refused(404, "NoSuchKey")
            .has("x-amz-delete-marker", "true")
            .has("x-amz-version-id", id);
        of_marker
            .refused(405, "MethodNotAllowed")
            .has("x-amz-delete-marker", "true")
            .has("allow", "DELETE");
        let no_version = no_version.refused(404, "NoSuchVersion");
        assert_eq!(no_version.element("VersionId").as_deref(), Some("null"));
        let never = never.refused(404, "NoSuchKey");
        never.has("x-amz-delete-marker", "false");
        copied.refused(400, "InvalidRequest");
        // Who expects another owner, learns nothing.
        let other = get("/bucket/never").header("x-amz-expected-bucket-owner", "0123");
        let other = world.send_by(Some(&stranger), other).await;
        other.refused(403, "AccessDenied");
    }
}

/// Whose object gets tags is judged by the one that is there when it gets them.
#[tokio::test(start_paused = true)]
async fn what_took_the_place_of_an_object_is_not_changed_in_its_stead() {
    let calls = [
        put("/bucket/key?tagging", TAGGING),
        delete("/bucket/key?tagging"),
        put("/bucket/key?acl", "").header("x-amz-acl", "public-read"),
    ];
    let mut refused = 0;
    // It is replaced at any time between two looks at it.
    for (call, looks) in calls
        .iter()
        .flat_map(|call| (0..6).map(move |looks| (call, looks)))
    {
        let world = slow_world().await;
        let stranger = world.stranger().await;
        let open = put("/bucket", "").header("x-amz-acl", "public-read-write");
        world.succeed(open).await;
        let theirs = |key: &str| put(key, "theirs").header("x-amz-tagging", "whose=theirs");
        let first = world
            .send_by(Some(&stranger), theirs("/bucket/first"))
            .await;
        first.is(200);
        world.succeed(put("/bucket/key", "own")).await;
        let (changer, call) = (Arc::clone(&world), call.clone());
        let changing = async move { changer.send(call).await };
        let changing = tokio::spawn(LOOKUP_TIME.scope(LOOKUP, changing));
        tokio::time::sleep(LOOKUP * looks + LOOKUP / 2).await;
        let put = world.send_by(Some(&stranger), theirs("/bucket/key")).await;
        put.is(200);
        let reply = changing.await.unwrap();
        if !reply.status.is_success() {
            reply.refused(403, "AccessDenied");
            refused += 1;
        }
        let tags = world
            .send_by(Some(&stranger), get("/bucket/key?tagging"))
            .await;
        assert_eq!(tags.element("Value").as_deref(), Some("theirs"), "{looks}");
        let acl = world.send_by(Some(&stranger), get("/bucket/key?acl")).await;
        assert!(!acl.is(200).text().contains("AllUsers"), "{looks}");
    }
    assert!(refused > calls.len(), "{refused}");
}

/// What GET hides of an object that is not there, no other operation tells.
#[tokio::test]
async fn what_needs_objects_hides_their_absence_alike() {
    let world = World::new().await;
    let stranger = world.stranger().await;
    let by = Some(&stranger);
    let bucket = put("/bucket", "").header("x-amz-bucket-object-lock-enabled", "true");
    world.succeed(bucket).await;
    world.send_by(by, put("/copies", "")).await.is(200);
    let upload = world.send_by(by, post("/copies/upload?uploads", "")).await;
    let upload = upload.element("UploadId").unwrap();
    let source = |call: Call| call.header("x-amz-copy-source", "/bucket/absent");
    let calls = || {
        let part = format!("/copies/upload?partNumber=1&uploadId={upload}");
        [
            get("/bucket/absent"),
            get("/bucket/absent?attributes").header("x-amz-object-attributes", "ETag"),
            get("/bucket/absent?attributes").header("x-amz-object-attributes", "ObjectParts"),
            post("/bucket/absent?select&select-type=2", SELECT),
            source(put("/copies/copy", "")),
            source(put(&part, "")),
            put("/bucket/new?renameObject", "").header("x-amz-rename-source", "absent"),
            source(put("/bucket/new", "")).header("x-tigris-rename", "true"),
            get("/bucket/absent?tagging"),
            get("/bucket/absent?acl"),
            get("/bucket/absent?retention"),
            get("/bucket/absent?legal-hold"),
            put("/bucket/absent?tagging", TAGGING),
            delete("/bucket/absent?tagging"),
            put("/bucket/absent?acl", "").header("x-amz-acl", "private"),
            put_summed("/bucket/absent?retention", "<Retention/>"),
            put_summed(
                "/bucket/absent?legal-hold",
                "<LegalHold><Status>ON</Status></LegalHold>",
            ),
            post(
                "/bucket/absent?restore",
                "<RestoreRequest><Days>1</Days></RestoreRequest>",
            ),
            put(
                "/bucket/absent?encryption",
                "<ObjectEncryption><SSE-KMS><KMSKeyArn>k</KMSKeyArn></SSE-KMS></ObjectEncryption>",
            ),
        ]
    };
    let mut actions = vec![
        "s3:GetObject",
        "s3:GetObjectAttributes",
        "s3:PutObject",
        "s3:DeleteObject",
        "s3:GetObjectTagging",
        "s3:GetObjectAcl",
        "s3:GetObjectRetention",
        "s3:GetObjectLegalHold",
        "s3:PutObjectTagging",
        "s3:DeleteObjectTagging",
        "s3:PutObjectAcl",
        "s3:PutObjectRetention",
        "s3:PutObjectLegalHold",
        "s3:RestoreObject",
        "s3:UpdateObjectEncryption",
    ];
    allow(&world, &stranger, &actions).await;
    for call in calls() {
        let reply = world.send_by(by, call).await;
        reply.refused(403, "AccessDenied");
    }
    // Nor does a key that was deleted, and whose marker an answer would tell of.
    world.succeed(put("/bucket/absent", "gone")).await;
    world.succeed(delete("/bucket/absent")).await;
    for call in calls() {
        let reply = world.send_by(by, call).await;
        reply
            .refused(403, "AccessDenied")
            .lacks("x-amz-delete-marker");
    }
    actions.push("s3:ListBucket");
    allow(&world, &stranger, &actions).await;
    for call in calls() {
        let reply = world.send_by(by, call).await;
        reply.refused(404, "NoSuchKey");
    }
}

#[tokio::test]
async fn tags_are_counted_for_whoever_may_read_them() {
    let world = World::new().await;
    let stranger = world.stranger().await;
    world.succeed(put("/bucket", "")).await;
    world.succeed(put("/bucket?versioning", VERSIONING)).await;
    let tagged = put("/bucket/key", "body").header("x-amz-tagging", "a=b&c=d");
    let tagged = world.succeed(tagged).await;
    let id = tagged.header("x-amz-version-id").unwrap();
    let newest = "/bucket/key".to_owned();
    let version = format!("/bucket/key?versionId={id}");
    let reads = ["s3:GetObject", "s3:GetObjectVersion"];
    for (tagging, target, told) in [
        (None, &newest, None),
        (None, &version, None),
        (Some("s3:GetObjectTagging"), &newest, Some("2")),
        (Some("s3:GetObjectTagging"), &version, None),
        (Some("s3:GetObjectVersionTagging"), &newest, None),
        (Some("s3:GetObjectVersionTagging"), &version, Some("2")),
    ] {
        let actions: Vec<_> = reads.into_iter().chain(tagging).collect();
        allow(&world, &stranger, &actions).await;
        for call in [get(target), head(target)] {
            let reply = world.send_by(Some(&stranger), call).await.is(200);
            let count = reply.header("x-amz-tagging-count");
            assert_eq!(count, told, "{tagging:?} {target}");
        }
    }
}

/// The client says how long its document takes. What it may do is judged when that is there.
#[tokio::test(start_paused = true)]
async fn documents_are_acted_on_as_they_may_be_when_they_have_come() {
    let acl = |world: &World| {
        let owner = &world.owner.account_id;
        format!(
            "<AccessControlPolicy><Owner><ID>{owner}</ID></Owner>\
             <AccessControlList></AccessControlList></AccessControlPolicy>"
        )
    };
    let calls = |world: &World| {
        [
            put("/bucket/key?acl", acl(world)),
            put("/bucket/key?tagging", TAGGING),
            put_summed(
                "/bucket/key?retention",
                "<Retention><Mode>GOVERNANCE</Mode>\
                 <RetainUntilDate>2023-12-01T00:00:00.000Z</RetainUntilDate></Retention>",
            ),
            put_summed(
                "/bucket/key?legal-hold",
                "<LegalHold><Status>ON</Status></LegalHold>",
            ),
            post("/bucket/key?select&select-type=2", SELECT),
            post(
                "/bucket/key?restore",
                "<RestoreRequest><Days>1</Days></RestoreRequest>",
            ),
            put(
                "/bucket/key?encryption",
                "<ObjectEncryption><SSE-KMS><KMSKeyArn>k</KMSKeyArn></SSE-KMS></ObjectEncryption>",
            ),
            post(
                "/bucket?delete",
                "<Delete><Object><Key>key</Key></Object></Delete>",
            ),
        ]
    };
    let count = calls(&World::new().await).len();
    for number in 0..count {
        for revoked in [false, true] {
            let world = World::new().await;
            let stranger = world.stranger().await;
            let bucket = put("/bucket", "").header("x-amz-bucket-object-lock-enabled", "true");
            world.succeed(bucket).await;
            world.succeed(put("/bucket/key", "secret")).await;
            let served = Served::new(&world);
            let request = world.request(Some(&stranger), calls(&world)[number].clone());
            // Before anything is allowed, the document is not even waited for.
            let refused = served.begin(&request).await.answer().await;
            assert!(
                refused.contains("AccessDenied") || number == count - 1,
                "{refused}"
            );
            allow(&world, &stranger, &["s3:*"]).await;
            let meanwhile = async {
                if revoked {
                    world.succeed(delete("/bucket?policy")).await;
                }
            };
            let answer = served.halve(&request, meanwhile).await;
            assert_eq!(
                answer.contains("<Code>AccessDenied</Code>"),
                revoked,
                "{number}: {answer}"
            );
            if revoked {
                world
                    .succeed(get("/bucket/key"))
                    .await
                    .lacks("x-amz-tagging-count");
            }
        }
    }
}

/// Nor is it what was judged before that is acted on, but what is there when the document has come.
#[tokio::test(start_paused = true)]
async fn documents_are_for_the_object_that_is_there_when_they_have_come() {
    let world = World::new().await;
    let stranger = world.stranger().await;
    let served = Served::new(&world);
    let open = put("/bucket", "").header("x-amz-acl", "public-read-write");
    world.succeed(open).await;
    let acl = format!(
        "<AccessControlPolicy><AccessControlList><Grant><Grantee><ID>{}</ID></Grantee>\
         <Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>",
        stranger.account_id
    );
    let calls = [
        put("/bucket/key?acl", acl),
        post("/bucket/key?select&select-type=2", SELECT),
    ];
    for call in calls {
        let own = put("/bucket/key", "own");
        world.send_by(Some(&stranger), own).await.is(200);
        let request = world.request(Some(&stranger), call);
        let meanwhile = async {
            world.succeed(put("/bucket/key", "secret")).await;
        };
        let answer = served.halve(&request, meanwhile).await;
        assert!(answer.contains("<Code>AccessDenied</Code>"), "{answer}");
        assert!(!answer.contains("secret"), "{answer}");
        let read = world.send_by(Some(&stranger), get("/bucket/key")).await;
        read.is(403);
    }
}

#[tokio::test(start_paused = true)]
async fn documents_come_in_time_or_not_at_all() {
    let world = World::new().await;
    world.succeed(put("/bucket", "")).await;
    world.succeed(put("/bucket/key", "body")).await;
    let served = Served::new(&world);
    for target in ["/bucket/key?tagging", "/bucket?tagging"] {
        let request = world.request(Some(&world.owner), put(target, vec![b' '; 1_000]));
        let began = Instant::now();
        let client = served.begin(&request).await;
        let answer = client.trickle(request.body().clone()).await;
        assert!(answer.contains("<Code>RequestTimeout</Code>"), "{answer}");
        // Twenty seconds, and ten in which the rest is thrown away.
        assert!(began.elapsed() < Duration::from_secs(35));
        assert_eq!(world.memory.reserved_bytes(), 0);
    }
}

/// A part of what is kept as it comes is not encrypted, whatever its client asks for.
#[tokio::test]
async fn parts_are_encrypted_as_their_upload_or_refused() {
    let world = World::new().await;
    world.succeed(put("/bucket", "")).await;
    world.succeed(put("/bucket/source", "body")).await;
    let method = ("x-amz-server-side-encryption", "AES256");
    let begin = || post("/bucket/key?uploads", "");
    for (begin, is_taken) in [(begin(), false), (begin().header(method.0, method.1), true)] {
        let id = world.succeed(begin).await.element("UploadId").unwrap();
        let target = format!("/bucket/key?partNumber=1&uploadId={id}");
        let copy = put(&target, "").header("x-amz-copy-source", "/bucket/source");
        for part in [put(&target, "part"), copy] {
            let reply = world.send(part.header(method.0, method.1)).await;
            match is_taken {
                true => reply.is(200).has(method.0, method.1),
                false => reply.refused(400, "InvalidArgument"),
            };
        }
        let parts = world
            .succeed(get(&format!("/bucket/key?uploadId={id}")))
            .await;
        assert_eq!(parts.elements("PartNumber").len(), usize::from(is_taken));
    }
}
