//! Who may do what: ACLs, roles, bucket owners, and everything that is not implemented.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should fail there"
)]

mod s3_support;

use oncilla_iam::{Role, allows};
use oncilla_wire::operation::{Level, Operation};
use s3_support::{World, call, delete, get, head, post, put};

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
    let open = |call: s3_support::Call| call.header("x-amz-acl", "public-read");
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
        ("x-amz-server-side-encryption", "AES256"),
        ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
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
