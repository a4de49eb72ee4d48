//! Grants: how they are set, how they are told, and what they give.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{
    Call, LOOKUP_TIME, SlowEngine, User, World, complete, delete, get, head, part_element, post,
    put,
};
use oncilla_iam::{AccountUpdate, Role};
use oncilla_meta::memory::MemoryEngine;
use oncilla_store::StoreOptions;

const ALL_USERS: &str = "http://acs.amazonaws.com/groups/global/AllUsers";

async fn scene() -> (World, User) {
    let world = World::new().await;
    let stranger = world.stranger().await;
    world.succeed(put("/bucket", "")).await;
    world.succeed(put("/bucket/key", "body")).await;
    (world, stranger)
}

fn document(owner: &str, grants: &[(String, &str)]) -> String {
    let grants: String = grants
        .iter()
        .map(|(grantee, permission)| {
            format!(
                "<Grant><Grantee>{grantee}</Grantee><Permission>{permission}</Permission></Grant>"
            )
        })
        .collect();
    format!(
        "<AccessControlPolicy><Owner><ID>{owner}</ID></Owner>\
         <AccessControlList>{grants}</AccessControlList></AccessControlPolicy>"
    )
}

fn by_id(user: &User) -> String {
    format!("<ID>{}</ID>", user.account_id)
}

/// What each permission on a bucket opens, and that it opens nothing else.
#[tokio::test]
async fn grants_on_a_bucket() {
    let (world, stranger) = scene().await;
    let calls = |world: &World| {
        let acl = put("/bucket?acl", document(&world.owner.account_id, &[]));
        [
            ("READ", get("/bucket")),
            ("READ", head("/bucket")),
            ("READ", get("/bucket?versions")),
            ("READ", get("/bucket?uploads")),
            ("WRITE", put("/bucket/new", "new")),
            ("READ_ACP", get("/bucket?acl")),
            ("WRITE_ACP", acl),
            ("nothing", get("/bucket/key")),
            ("nothing", get("/bucket?policy")),
            ("nothing", delete("/bucket")),
        ]
    };
    for permission in ["READ", "WRITE", "READ_ACP", "WRITE_ACP", "FULL_CONTROL"] {
        for by_header in [false, true] {
            for (number, (needed, call)) in calls(&world).into_iter().enumerate() {
                let set = if by_header {
                    let name = format!(
                        "x-amz-grant-{}",
                        permission.to_lowercase().replace('_', "-")
                    );
                    put("/bucket?acl", "").header(&name, &format!("id={}", stranger.account_id))
                } else {
                    put(
                        "/bucket?acl",
                        document(&world.owner.account_id, &[(by_id(&stranger), permission)]),
                    )
                };
                world.succeed(set).await;
                let told = world.succeed(get("/bucket?acl")).await;
                assert_eq!(told.elements("Permission"), [permission]);
                assert_eq!(
                    told.elements("ID"),
                    [world.owner.account_id.clone(), stranger.account_id.clone()]
                );
                let allowed =
                    needed == permission || permission == "FULL_CONTROL" && needed != "nothing";
                let reply = world.send_by(Some(&stranger), call).await;
                let expected = if allowed { 200 } else { 403 };
                assert_eq!(
                    reply.status.as_u16(),
                    expected,
                    "{permission} {number}: {}",
                    reply.text()
                );
                // To one account is to no other, and to no key that its account gives nothing.
                let other = world.send_by(None, calls(&world)[number].1.clone()).await;
                assert_eq!(other.status.as_u16(), 403, "{permission} {number}");
            }
        }
    }
}

#[tokio::test]
async fn grants_on_an_object() {
    let (world, stranger) = scene().await;
    let owner = world.owner.account_id.clone();
    let calls = || {
        [
            ("READ", get("/bucket/key")),
            ("READ", head("/bucket/key")),
            ("READ", get("/bucket/key?versionId=null")),
            ("READ_ACP", get("/bucket/key?acl")),
            ("WRITE_ACP", put("/bucket/key?acl", document(&owner, &[]))),
            ("nothing", put("/bucket/key", "other")),
            ("nothing", get("/bucket/key?tagging")),
            ("nothing", delete("/bucket/key")),
        ]
    };
    for permission in ["READ", "WRITE", "READ_ACP", "WRITE_ACP", "FULL_CONTROL"] {
        for (number, (needed, call)) in calls().into_iter().enumerate() {
            let grants = [(by_id(&stranger), permission)];
            world
                .succeed(put("/bucket/key?acl", document(&owner, &grants)))
                .await;
            let allowed =
                needed == permission || permission == "FULL_CONTROL" && needed != "nothing";
            let reply = world.send_by(Some(&stranger), call).await;
            let expected = if allowed { 200 } else { 403 };
            assert_eq!(
                reply.status.as_u16(),
                expected,
                "{permission} {number}: {}",
                reply.text()
            );
            world.send_by(None, calls()[number].1.clone()).await.is(403);
            // The owner needs no grant.
            world.succeed(get("/bucket/key")).await.body_is(b"body");
        }
    }
    // A key of the other account has what its account lets it have.
    let grants = [(by_id(&stranger), "READ")];
    world
        .succeed(put("/bucket/key?acl", document(&owner, &grants)))
        .await;
    let key_for = async |bucket: &str| world.key_of(&stranger, bucket, Role::ReadOnly).await;
    world
        .send_by(Some(&key_for("bucket").await), get("/bucket/key"))
        .await
        .is(200);
    world
        .send_by(Some(&key_for("other").await), get("/bucket/key"))
        .await
        .is(403);
}

#[tokio::test]
async fn grants_come_with_every_way_to_write() {
    let (world, stranger) = scene().await;
    let grant = format!("id=\"{}\"", stranger.account_id);
    let granted = |call: Call| call.header("x-amz-grant-read", &grant);
    world.succeed(granted(put("/bucket/put", "body"))).await;
    let copy = put("/bucket/copy", "").header("x-amz-copy-source", "bucket/key");
    world.succeed(granted(copy)).await;
    world
        .upload(
            "/bucket/upload",
            &[("x-amz-grant-read", &grant)],
            &[b"body"],
        )
        .await;
    for key in ["put", "copy", "upload"] {
        let target = format!("/bucket/{key}");
        world
            .send_by(Some(&stranger), get(&target))
            .await
            .is(200)
            .body_is(b"body");
        world.send_by(None, get(&target)).await.is(403);
        let told = world.succeed(get(&format!("{target}?acl"))).await;
        assert_eq!(told.elements("Permission"), ["READ"]);
    }
    // A copy does not take the grants of its source along.
    let copy = put("/bucket/bare", "").header("x-amz-copy-source", "bucket/put");
    world.succeed(copy).await;
    world
        .send_by(Some(&stranger), get("/bucket/bare"))
        .await
        .is(403);
    let both = granted(put("/bucket/put", "")).header("x-amz-acl", "private");
    world.send(both).await.refused(400, "InvalidRequest");
}

#[tokio::test]
async fn grantees_are_looked_up() {
    let (world, stranger) = scene().await;
    let address = AccountUpdate {
        email: Some(Some("Ada@Example.com".to_owned())),
        ..AccountUpdate::default()
    };
    world
        .iam
        .update_account(&stranger.account_id, address)
        .await
        .unwrap();
    let owner = world.owner.account_id.clone();
    let email = "<EmailAddress>ada@example.com</EmailAddress>".to_owned();
    let group = format!("<URI>{ALL_USERS}</URI>");
    for target in ["/bucket?acl", "/bucket/key?acl"] {
        let grants = [(email.clone(), "READ"), (group.clone(), "READ_ACP")];
        world.succeed(put(target, document(&owner, &grants))).await;
        let told = world.succeed(get(target)).await;
        assert_eq!(
            told.elements("ID"),
            [owner.clone(), stranger.account_id.clone()]
        );
        assert_eq!(told.elements("DisplayName"), ["owner", "stranger"]);
        assert_eq!(told.elements("URI"), [ALL_USERS]);
        // What was told can be set.
        world.succeed(put(target, told.text())).await;
        assert_eq!(world.succeed(get(target)).await.text(), told.text());
        world.send_by(None, get(target)).await.is(200);
        for (grantee, code) in [
            ("<ID>0123</ID>", "InvalidArgument"),
            ("<URI>http://nowhere</URI>", "InvalidArgument"),
            (
                "<EmailAddress>a@b.c</EmailAddress>",
                "UnresolvableGrantByEmailAddress",
            ),
        ] {
            let grants = [(grantee.to_owned(), "READ")];
            world
                .send(put(target, document(&owner, &grants)))
                .await
                .refused(400, code);
        }
        // No grant at all: the owner still is the owner.
        world.succeed(put(target, document(&owner, &[]))).await;
        let told = world.succeed(get(target)).await;
        assert!(told.elements("Permission").is_empty());
        world
            .succeed(put(target, "").header("x-amz-acl", "private"))
            .await;
        let told = world.succeed(get(target)).await;
        assert_eq!(told.elements("Permission"), ["FULL_CONTROL"]);
    }
}

#[tokio::test]
async fn each_version_has_its_own_acl() {
    let (world, stranger) = scene().await;
    let versioning = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    world.succeed(put("/bucket?versioning", versioning)).await;
    let mut ids = Vec::new();
    for body in ["first", "second"] {
        let written = world.succeed(put("/bucket/versions", body)).await;
        ids.push(written.header("x-amz-version-id").unwrap().to_owned());
    }
    let first = format!("/bucket/versions?versionId={}", ids[0]);
    let grants = [(by_id(&stranger), "READ")];
    let acl = put(
        &format!("/bucket/versions?acl&versionId={}", ids[0]),
        document(&world.owner.account_id, &grants),
    );
    world.succeed(acl).await.has("x-amz-version-id", &ids[0]);
    world
        .send_by(Some(&stranger), get(&first))
        .await
        .is(200)
        .body_is(b"first");
    world
        .send_by(Some(&stranger), get("/bucket/versions"))
        .await
        .is(403);
    let told = world.succeed(get("/bucket/versions?acl")).await;
    assert_eq!(told.elements("Permission"), ["FULL_CONTROL"]);
}

/// Writing into a bucket is not yet a hand on what others have there.
#[tokio::test]
async fn writers_keep_to_what_is_theirs() {
    let (world, stranger) = scene().await;
    world
        .succeed(put("/bucket?acl", "").header("x-amz-acl", "public-read-write"))
        .await;
    let other = world.user("other").await;
    let (ours, theirs) = (Some(&world.owner), Some(&stranger));

    // An object belongs to its writer: the bucket's owner may delete it, and not read it.
    world
        .send_by(theirs, put("/bucket/theirs", "theirs"))
        .await
        .is(200);
    world.send_by(theirs, get("/bucket/theirs")).await.is(200);
    for call in [
        get("/bucket/theirs"),
        head("/bucket/theirs"),
        get("/bucket/theirs?acl"),
    ] {
        world.send_by(ours, call).await.is(403);
    }
    world
        .send_by(
            theirs,
            put("/bucket/theirs?acl", "").header("x-amz-acl", "bucket-owner-read"),
        )
        .await
        .is(200);
    world.send_by(ours, get("/bucket/theirs")).await.is(200);
    world.send_by(ours, get("/bucket/theirs?acl")).await.is(403);
    for sender in [Some(&other), None] {
        world.send_by(sender, get("/bucket/theirs")).await.is(403);
        world
            .send_by(sender, delete("/bucket/theirs"))
            .await
            .is(403);
    }
    world.send_by(theirs, delete("/bucket/key")).await.is(403);
    world
        .send_by(theirs, delete("/bucket/theirs"))
        .await
        .is(204);
    world
        .send_by(theirs, put("/bucket/theirs", "again"))
        .await
        .is(200);
    world.send_by(ours, delete("/bucket/theirs")).await.is(204);

    // So does an upload.
    let begun = world
        .send_by(theirs, post("/bucket/upload?uploads", ""))
        .await;
    let id = begun.is(200).element("UploadId").unwrap();
    let part = || {
        put(
            &format!("/bucket/upload?partNumber=1&uploadId={id}"),
            "part",
        )
    };
    let parts = || get(&format!("/bucket/upload?uploadId={id}"));
    let abort = || delete(&format!("/bucket/upload?uploadId={id}"));
    for sender in [Some(&other), None] {
        for call in [part(), parts(), abort()] {
            world.send_by(sender, call).await.is(403);
        }
    }
    let etag = world.send_by(theirs, part()).await.is(200);
    let list = part_element(1, etag.header("etag").unwrap());
    world.send_by(theirs, parts()).await.is(200);
    let by_other = world
        .send_by(Some(&other), complete("/bucket/upload", &id, &list))
        .await;
    by_other.is(403);
    world
        .send_by(theirs, complete("/bucket/upload", &id, &list))
        .await
        .is(200);
    world.send_by(theirs, get("/bucket/upload")).await.is(200);
    world.send_by(ours, get("/bucket/upload")).await.is(403);
    let begun = world
        .send_by(theirs, post("/bucket/upload?uploads", ""))
        .await;
    let id = begun.element("UploadId").unwrap();
    let abort = delete(&format!("/bucket/upload?uploadId={id}"));
    world.send_by(theirs, abort).await.is(204);

    // What the bucket's owner enforces takes effect at once, and on what is there.
    world
        .succeed(put("/bucket?acl", "").header("x-amz-acl", "private"))
        .await;
    let enforce = "<OwnershipControls><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule></OwnershipControls>";
    world
        .succeed(put("/bucket?ownershipControls", enforce))
        .await;
    world.send_by(ours, get("/bucket/upload")).await.is(200);
    world.send_by(theirs, get("/bucket/upload")).await.is(403);
}

#[tokio::test]
async fn public_objects_are_public_but_not_their_history() {
    let world = World::new().await;
    world.public_bucket("bucket").await;
    let versioning = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    world.succeed(put("/bucket?versioning", versioning)).await;
    let first = world.succeed(put("/bucket/key", "first")).await;
    let id = first.header("x-amz-version-id").unwrap().to_owned();
    world.succeed(put("/bucket/key", "second")).await;
    world
        .send_by(None, get("/bucket/key"))
        .await
        .is(200)
        .body_is(b"second");
    world.send_by(None, head("/bucket/key")).await.is(200);
    world.send_by(None, get("/bucket/none")).await.is(404);
    let old = get(&format!("/bucket/key?versionId={id}"));
    world.send_by(None, old).await.is(403);
    world.send_by(None, get("/bucket")).await.is(403);
    world
        .send_by(None, get("/bucket/key?tagging"))
        .await
        .is(403);
    let status = world.succeed(get("/bucket?policyStatus")).await;
    assert_eq!(status.element("IsPublic").as_deref(), Some("true"));
    // A policy can shut what the setting opens.
    let shut = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Principal": "*",
        "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bucket/*"}}"#;
    world.send(put("/bucket?policy", shut)).await.is(204);
    world.send_by(None, get("/bucket/key")).await.is(403);
}

/// An ACL is set on the object of whoever was judged, or not at all: not on what somebody else puts
/// there at any moment meanwhile.
#[tokio::test(start_paused = true)]
async fn an_acl_is_not_set_on_what_another_puts_there_meanwhile() {
    const LOOKUP_S: u64 = 60;
    let mut refused = 0;
    for moment_s in (LOOKUP_S / 2..6 * LOOKUP_S).step_by(LOOKUP_S as usize) {
        let engine = Arc::new(SlowEngine(MemoryEngine::new()));
        let world = Arc::new(World::on(engine, StoreOptions::default()).await);
        let stranger = world.stranger().await;
        let open = put("/bucket", "").header("x-amz-acl", "public-read-write");
        world.succeed(open).await;
        let own = put("/bucket/key", "own");
        world.send_by(Some(&stranger), own).await.is(200);
        let (setter, by) = (Arc::clone(&world), stranger.clone());
        let setting = async move {
            let set = put("/bucket/key?acl", "").header("x-amz-acl", "public-read");
            setter.send_by(Some(&by), set).await
        };
        let lookup_time = Duration::from_secs(LOOKUP_S);
        let setting = tokio::spawn(LOOKUP_TIME.scope(lookup_time, setting));
        tokio::time::sleep(Duration::from_secs(moment_s)).await;
        world.succeed(put("/bucket/key", "secret")).await;
        refused += usize::from(setting.await.unwrap().status == 403);
        let read = world.send_by(None, get("/bucket/key")).await;
        read.refused(403, "AccessDenied");
    }
    // Between any two of its looks. Whoever comes later comes after it.
    assert!(refused >= 2, "{refused}");
}
