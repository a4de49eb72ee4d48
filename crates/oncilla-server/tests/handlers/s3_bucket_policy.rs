//! Bucket policies, public access blocks and ownership controls: set, told, and what they do.

use crate::support::{Call, User, World, complete, delete, get, head, part_element, post, put};
use oncilla_iam::Role;
use oncilla_keys::NewKmsKey;
use oncilla_server::request_context::TlsSession;
use oncilla_server::{Peer, RequestBody, RequestContext, RequestId, Service as _};
use oncilla_wire::sigv4::PayloadDeclaration;

const SSE: &str = "x-amz-server-side-encryption";
const KEY_ID: &str = "x-amz-server-side-encryption-aws-kms-key-id";

fn policy(statements: &str) -> String {
    format!(r#"{{"Version": "2012-10-17", "Statement": [{statements}]}}"#)
}

fn allow(action: &str, condition: &str) -> String {
    statement("Allow", action, condition)
}

fn statement(effect: &str, action: &str, condition: &str) -> String {
    format!(
        r#"{{"Effect": "{effect}", "Principal": "*", "Action": "{action}",
            "Resource": ["arn:aws:s3:::bucket", "arn:aws:s3:::bucket/*"], "Condition": {{{condition}}}}}"#
    )
}

/// A bucket with an object of the owner's, and another account.
async fn scene() -> (World, User) {
    let world = World::new().await;
    let stranger = world.stranger().await;
    world.succeed(put("/bucket", "")).await;
    world.succeed(put("/bucket/key", "body")).await;
    (world, stranger)
}

async fn set_policy(world: &World, statements: &str) {
    let call = put("/bucket?policy", policy(statements));
    world.send(call).await.is(204).body_is(b"");
}

#[tokio::test]
async fn a_policy_is_kept_to_the_byte_until_it_is_deleted() {
    let (world, _) = scene().await;
    let missing = || world.send(get("/bucket?policy"));
    missing().await.refused(404, "NoSuchBucketPolicy");
    world.send(delete("/bucket?policy")).await.is(204);
    let text = policy(&allow("s3:GetObject", ""));
    let set = put("/bucket?policy", text.clone());
    world.send(set).await.is(204);
    let told = world.succeed(get("/bucket?policy")).await;
    told.has("content-type", "application/json")
        .body_is(text.as_bytes());
    for (body, message) in [
        (String::new(), "valid JSON"),
        ("{".to_owned(), "valid JSON"),
        (text.replace("2012-10-17", "2020-01-01"), "version"),
        (text.replace(":::bucket", ":::other"), "invalid resource"),
        (text.replace("s3:GetObject", "s3:Unheard"), "invalid action"),
        (text.replace("\"Principal\": \"*\",", ""), "Principal"),
        (
            text.replace(r#", "arn:aws:s3:::bucket/*""#, ""),
            "does not apply",
        ),
    ] {
        let reply = world.send(put("/bucket?policy", body.clone())).await;
        let reply = reply.refused(400, "MalformedPolicy");
        let found = reply.element("Message").unwrap();
        assert!(found.contains(message), "{body}: {found}");
    }
    // What was refused changed nothing.
    let told = world.succeed(get("/bucket?policy")).await;
    told.body_is(text.as_bytes());
    world.send(delete("/bucket?policy")).await.is(204);
    missing().await.refused(404, "NoSuchBucketPolicy");
}

#[tokio::test]
async fn what_is_wrong_with_a_policy_is_named() {
    let (world, _) = scene().await;
    let text = policy(&allow("s3:GetObject", ""));
    let principal = |value: &str| text.replace(r#""Principal": "*""#, value);
    for (body, message, detail) in [
        (
            text.replace("s3:GetObject", "s3:Get\\u0007<Objekt>"),
            "Policy has invalid action",
            // Characters that XML cannot have are replaced.
            "s3:Get\u{fffd}&lt;Objekt&gt;",
        ),
        (
            text.replace(":::bucket/*", ":::other/*"),
            "Policy has invalid resource",
            "arn:aws:s3:::other/*",
        ),
        (
            policy(&allow(
                "s3:GetObject",
                r#""StringEquals": {"s3:nope": "x"}"#,
            )),
            "Policy has an invalid condition key",
            "s3:nope",
        ),
        (
            principal(r#""Principal": {"AWS": "123456789012"}"#),
            "Invalid principal in policy",
            "arn:aws:iam::123456789012:root",
        ),
        (
            principal(r#""Principal": {"AWS": "arn:aws:iam::123456789012:user/ada"}"#),
            "Invalid principal in policy",
            "(the id of an account is 64 hexadecimal digits here)",
        ),
        (
            principal(r#""Principal": {"AWS": "ada"}"#),
            "Invalid principal in policy",
            "ada",
        ),
    ] {
        let reply = world.send(put("/bucket?policy", body.clone())).await;
        let reply = reply.refused(400, "MalformedPolicy");
        assert_eq!(reply.element("Message").as_deref(), Some(message), "{body}");
        let found = reply.element("Detail").unwrap();
        assert!(found.contains(detail), "{body}: {found}");
    }
}

#[tokio::test]
async fn a_policy_opens_what_it_says_under_its_conditions() {
    let (world, stranger) = scene().await;
    // The statement's action and condition; a call, and whether a stranger may make it.
    let table = [
        ("s3:GetObject", "", get("/bucket/key"), 200),
        ("s3:GetObject", "", get("/bucket"), 403),
        ("s3:GetObjectVersion", "", get("/bucket/key"), 403),
        (
            "s3:GetObjectVersion",
            "",
            get("/bucket/key?versionId=null"),
            200,
        ),
        (
            "s3:ListBucket",
            r#""StringLike": {"s3:prefix": "open/*"}"#,
            get("/bucket?prefix=open/x"),
            200,
        ),
        (
            "s3:ListBucket",
            r#""StringLike": {"s3:prefix": "open/*"}"#,
            get("/bucket?prefix=shut"),
            403,
        ),
        (
            "s3:ListBucket",
            r#""StringEquals": {"s3:delimiter": "/"}"#,
            get("/bucket?delimiter=/"),
            200,
        ),
        (
            "s3:ListBucket",
            r#""NumericLessThanEquals": {"s3:max-keys": "10"}"#,
            get("/bucket?max-keys=11"),
            403,
        ),
        (
            "s3:GetObject",
            r#""StringEquals": {"aws:Referer": "http://a"}"#,
            get("/bucket/key").header("referer", "http://a"),
            200,
        ),
        (
            "s3:GetObject",
            r#""StringEquals": {"aws:Referer": "http://a"}"#,
            get("/bucket/key"),
            403,
        ),
        (
            "s3:GetObject",
            r#""StringLike": {"aws:UserAgent": "otter/*"}"#,
            get("/bucket/key").header("user-agent", "otter/1"),
            200,
        ),
        (
            "s3:GetObject",
            r#""Bool": {"aws:SecureTransport": "true"}"#,
            get("/bucket/key"),
            403,
        ),
        (
            "s3:GetObject",
            r#""DateLessThan": {"aws:CurrentTime": "2023-11-15T00:00:00Z"}"#,
            get("/bucket/key"),
            200,
        ),
        (
            "s3:GetObject",
            r#""DateGreaterThan": {"aws:CurrentTime": "2023-11-15T00:00:00Z"}"#,
            get("/bucket/key"),
            403,
        ),
        (
            "s3:GetObject",
            r#""NumericLessThan": {"aws:EpochTime": "1700000001"}"#,
            get("/bucket/key"),
            200,
        ),
        (
            "s3:GetObject",
            r#""StringEquals": {"s3:authType": "REST-HEADER"}"#,
            get("/bucket/key"),
            200,
        ),
        (
            "s3:GetObject",
            r#""StringEquals": {"s3:authType": "REST-QUERY-STRING"}"#,
            get("/bucket/key"),
            403,
        ),
        (
            "s3:GetObject",
            r#""StringEquals": {"s3:signatureversion": "AWS4-HMAC-SHA256"}"#,
            get("/bucket/key"),
            200,
        ),
        (
            "s3:GetObject",
            r#""NumericGreaterThan": {"s3:signatureAge": "1"}"#,
            get("/bucket/key"),
            403,
        ),
        (
            "s3:PutObject",
            r#""StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control"}"#,
            put("/bucket/new", "").header("x-amz-acl", "bucket-owner-full-control"),
            200,
        ),
        (
            "s3:PutObject",
            r#""StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control"}"#,
            put("/bucket/new", ""),
            403,
        ),
        (
            "s3:PutObject*",
            r#""StringEquals": {"s3:RequestObjectTag/team": "red"}"#,
            put("/bucket/new", "").header("x-amz-tagging", "team=red"),
            200,
        ),
        (
            "s3:PutObject*",
            r#""StringEquals": {"s3:RequestObjectTag/team": "red"}"#,
            put("/bucket/new", "").header("x-amz-tagging", "team=blue"),
            403,
        ),
        (
            "s3:PutObject*",
            r#""ForAllValues:StringEquals": {"s3:RequestObjectTagKeys": ["a", "b"]}"#,
            put("/bucket/new", "").header("x-amz-tagging", "a=1&c=2"),
            403,
        ),
        (
            "s3:PutObject",
            r#""StringEquals": {"s3:x-amz-storage-class": "STANDARD_IA"}"#,
            put("/bucket/new", "").header("x-amz-storage-class", "STANDARD_IA"),
            200,
        ),
        (
            "s3:PutObject",
            r#""Null": {"s3:x-amz-content-sha256": "true"}"#,
            put("/bucket/new", ""),
            403,
        ),
    ];
    for (action, condition, call, expected) in table {
        let resource = match action {
            "s3:ListBucket" => r#""arn:aws:s3:::bucket""#,
            _ => r#""arn:aws:s3:::bucket/*""#,
        };
        let statement = format!(
            r#"{{"Effect": "Allow", "Principal": "*", "Action": "{action}", "Resource": {resource}, "Condition": {{{condition}}}}}"#
        );
        set_policy(&world, &statement).await;
        let reply = world.send_by(Some(&stranger), call).await;
        assert_eq!(
            reply.status.as_u16(),
            expected,
            "{action} {condition}: {}",
            reply.text()
        );
    }
}

#[tokio::test]
async fn tags_are_asked_for_before_anything_is_done() {
    let (world, stranger) = scene().await;
    let tags = |value: &str| {
        format!(
            "<Tagging><TagSet><Tag><Key>team</Key><Value>{value}</Value></Tag></TagSet></Tagging>"
        )
    };
    for (key, team) in [("red", "red"), ("blue", "blue")] {
        let tagged = put(&format!("/bucket/{key}"), "body");
        let tagging = format!("team={team}");
        world
            .succeed(tagged.header("x-amz-tagging", &tagging))
            .await;
    }
    set_policy(
        &world,
        &allow(
            "s3:GetObject",
            r#""StringEquals": {"s3:ExistingObjectTag/team": "red"}"#,
        ),
    )
    .await;
    for (target, expected) in [
        ("/bucket/red", 200),
        ("/bucket/blue", 403),
        ("/bucket/key", 403),
    ] {
        for sender in [Some(&stranger), None] {
            world.send_by(sender, get(target)).await.is(expected);
            world.send_by(sender, head(target)).await.is(expected);
        }
    }
    // Tags in the body are read before the request is judged.
    set_policy(
        &world,
        &allow(
            "s3:PutObjectTagging",
            r#""StringEquals": {"s3:RequestObjectTag/team": "red"}"#,
        ),
    )
    .await;
    for (value, expected) in [("red", 200), ("blue", 403)] {
        let call = put("/bucket/key?tagging", tags(value));
        world.send_by(Some(&stranger), call).await.is(expected);
    }
    let told = world.succeed(get("/bucket/key?tagging")).await.text();
    assert!(told.contains("<Value>red</Value>"), "{told}");
}

#[tokio::test]
async fn copies_need_both_sides_and_their_conditions() {
    let (world, stranger) = scene().await;
    world.succeed(put("/target", "")).await;
    world.succeed(put("/bucket/public/key", "body")).await;
    world
        .succeed(put("/bucket/tagged", "body").header("x-amz-tagging", "a=b"))
        .await;
    set_policy(&world, &allow("s3:GetObject", "")).await;
    let to_target = |condition: &str| {
        policy(&allow("s3:PutObject", condition).replace(":::bucket", ":::target"))
    };
    let from_public = r#""StringLike": {"s3:x-amz-copy-source": "bucket/public/*"}"#;
    world
        .send(put("/target?policy", to_target(from_public)))
        .await
        .is(204);
    let copy = |source: &str| put("/target/copy", "").header("x-amz-copy-source", source);
    for (source, expected) in [
        ("bucket/public/key", 200),
        ("/bucket/public/key", 200),
        ("bucket/public%2Fkey", 200),
        ("bucket/key", 403),
    ] {
        world
            .send_by(Some(&stranger), copy(source))
            .await
            .is(expected);
    }
    let replaced = r#""StringEquals": {"s3:x-amz-metadata-directive": "COPY"}"#;
    world
        .send(put("/target?policy", to_target(replaced)))
        .await
        .is(204);
    let call = copy("bucket/key");
    world
        .send_by(Some(&stranger), call)
        .await
        .refused(403, "AccessDenied");
    let call = copy("bucket/key").header("x-amz-metadata-directive", "COPY");
    world.send_by(Some(&stranger), call).await.is(200);
    // Tags are copied only by those who may read them.
    let tagged = || copy("bucket/tagged").header("x-amz-metadata-directive", "COPY");
    world
        .send_by(Some(&stranger), tagged())
        .await
        .refused(403, "AccessDenied");
    let without = tagged().header("x-amz-tagging-directive", "REPLACE");
    world.send_by(Some(&stranger), without).await.is(200);
}

#[tokio::test]
async fn a_multi_delete_is_judged_key_by_key() {
    let (world, stranger) = scene().await;
    world.succeed(put("/bucket/open", "body")).await;
    let open = allow("s3:DeleteObject", "").replace("bucket/*", "bucket/open");
    set_policy(&world, &open).await;
    let list = "<Delete><Object><Key>open</Key></Object><Object><Key>key</Key></Object>\
                <Object><Key>open</Key><VersionId>null</VersionId></Object></Delete>";
    let reply = world
        .send_by(Some(&stranger), post("/bucket?delete", list))
        .await;
    let reply = reply.is(200);
    assert_eq!(reply.elements("Code"), ["AccessDenied", "AccessDenied"]);
    assert_eq!(reply.elements("Deleted").len(), 1, "{}", reply.text());
    world.send(get("/bucket/open")).await.is(404);
    world.succeed(get("/bucket/key")).await;
}

#[tokio::test]
async fn absence_is_told_to_those_who_may_list() {
    let (world, stranger) = scene().await;
    let list = r#"{"Effect": "Allow", "Principal": "*", "Action": "s3:ListBucket",
        "Resource": "arn:aws:s3:::bucket", "Condition": {"StringLike": {"s3:prefix": "public/*"}}}"#;
    let read = allow("s3:GetObject", "");
    for (statements, public, private) in [
        (list.to_owned(), 404, 403),
        (read.clone(), 403, 403),
        (format!("{list}, {read}"), 404, 403),
    ] {
        set_policy(&world, &statements).await;
        for sender in [Some(&stranger), None] {
            world
                .send_by(sender, get("/bucket/public/none"))
                .await
                .is(public);
            world
                .send_by(sender, head("/bucket/public/none"))
                .await
                .is(public);
            world
                .send_by(sender, get("/bucket/private/none"))
                .await
                .is(private);
        }
        world.send(get("/bucket/private/none")).await.is(404);
    }
}

#[tokio::test]
async fn the_owner_gets_a_bucket_back_that_its_policy_shut() {
    let (world, _) = scene().await;
    let user = world.key("bucket", Role::Admin).await;
    let shut = policy(&statement("Deny", "s3:*", ""));
    world
        .send(put("/bucket?policy", shut.clone()))
        .await
        .is(204);
    world
        .send(get("/bucket/key"))
        .await
        .refused(403, "AccessDenied");
    world
        .send(get("/bucket?acl"))
        .await
        .refused(403, "AccessDenied");
    let by_user = world.send_by(Some(&user), get("/bucket?policy")).await;
    by_user.refused(403, "AccessDenied");
    world
        .succeed(get("/bucket?policy"))
        .await
        .body_is(shut.as_bytes());
    world.send(delete("/bucket?policy")).await.is(204);
    world.succeed(get("/bucket/key")).await;
    // Unless it was said that this is what is wanted.
    let call =
        put("/bucket?policy", shut).header("x-amz-confirm-remove-self-bucket-access", "true");
    world.send(call).await.is(204);
    for call in [get("/bucket?policy"), delete("/bucket?policy")] {
        world.send(call).await.refused(403, "AccessDenied");
    }
}

#[tokio::test]
async fn a_policy_gives_to_keys_of_the_account_and_takes_from_them() {
    let (world, _) = scene().await;
    let elsewhere = world.key("other", Role::ReadOnly).await;
    let arn = format!(
        "arn:aws:iam::{}:user/{}",
        elsewhere.account_id, elsewhere.key.access_key_id
    );
    world
        .send_by(Some(&elsewhere), get("/bucket/key"))
        .await
        .is(403);
    let given = allow("s3:GetObject", "").replace(r#""*","#, &format!(r#"{{"AWS": "{arn}"}},"#));
    set_policy(&world, &given).await;
    world
        .send_by(Some(&elsewhere), get("/bucket/key"))
        .await
        .is(200);
    world.send_by(None, get("/bucket/key")).await.is(403);
    let editor = world.key("bucket", Role::Editor).await;
    world
        .send_by(Some(&editor), put("/bucket/new", ""))
        .await
        .is(200);
    set_policy(&world, &statement("Deny", "s3:PutObject", "")).await;
    world
        .send_by(Some(&editor), put("/bucket/new", ""))
        .await
        .is(403);
    world
        .send_by(Some(&editor), get("/bucket/new"))
        .await
        .is(200);
}

fn block(flags: &[&str]) -> crate::support::Call {
    let flags: String = flags
        .iter()
        .map(|flag| format!("<{flag}>true</{flag}>"))
        .collect();
    let document =
        format!("<PublicAccessBlockConfiguration>{flags}</PublicAccessBlockConfiguration>");
    put("/bucket?publicAccessBlock", document)
}

#[tokio::test]
async fn public_access_is_blocked_as_configured() {
    let (world, stranger) = scene().await;
    let code = "NoSuchPublicAccessBlockConfiguration";
    world
        .send(get("/bucket?publicAccessBlock"))
        .await
        .refused(404, code);
    world
        .send(delete("/bucket?publicAccessBlock"))
        .await
        .is(204);
    let all_read = format!(
        "uri=\"{}\"",
        "http://acs.amazonaws.com/groups/global/AllUsers"
    );

    // ACLs that are public cannot be set, however.
    world.succeed(block(&["BlockPublicAcls"])).await;
    let told = world.succeed(get("/bucket?publicAccessBlock")).await;
    assert_eq!(told.element("BlockPublicAcls").as_deref(), Some("true"));
    assert_eq!(told.element("IgnorePublicAcls").as_deref(), Some("false"));
    for target in ["/bucket?acl", "/bucket/key?acl", "/bucket/new"] {
        for (name, value) in [
            ("x-amz-acl", "public-read"),
            ("x-amz-acl", "authenticated-read"),
            ("x-amz-grant-read", all_read.as_str()),
        ] {
            let call = put(target, "").header(name, value);
            world.send(call).await.refused(403, "AccessDenied");
        }
        world
            .succeed(put(target, "").header("x-amz-acl", "private"))
            .await;
    }
    let upload = post("/bucket/new?uploads", "").header("x-amz-acl", "public-read");
    world.send(upload).await.refused(403, "AccessDenied");
    let copy = put("/bucket/copy", "").header("x-amz-copy-source", "bucket/key");
    let copy = copy.header("x-amz-acl", "public-read");
    world.send(copy).await.refused(403, "AccessDenied");
    world
        .send(delete("/bucket?publicAccessBlock"))
        .await
        .is(204);

    // ACLs that are public do not count.
    for target in ["/bucket?acl", "/bucket/key?acl"] {
        world
            .succeed(put(target, "").header("x-amz-acl", "public-read"))
            .await;
    }
    for (flags, expected) in [(&[][..], 200), (&["IgnorePublicAcls"][..], 403)] {
        world.succeed(block(flags)).await;
        for sender in [Some(&stranger), None] {
            world.send_by(sender, get("/bucket/key")).await.is(expected);
            world.send_by(sender, get("/bucket")).await.is(expected);
        }
        let status = world.succeed(get("/bucket?policyStatus")).await;
        let is_public = status.element("IsPublic").unwrap();
        assert_eq!(is_public, if expected == 200 { "true" } else { "false" });
    }

    // Policies that are public cannot be set; others can.
    world.succeed(block(&["BlockPublicPolicy"])).await;
    let public = policy(&allow("s3:GetObject", ""));
    let call = put("/bucket?policy", public.clone());
    world.send(call).await.refused(403, "AccessDenied");
    let to_one = allow(
        "s3:GetObject",
        r#""IpAddress": {"aws:SourceIp": "192.0.2.1/32"}"#,
    );
    world
        .send(put("/bucket?policy", policy(&to_one)))
        .await
        .is(204);

    // A public policy shuts others out.
    world
        .succeed(put("/bucket?acl", "").header("x-amz-acl", "private"))
        .await;
    world
        .succeed(put("/bucket/key?acl", "").header("x-amz-acl", "private"))
        .await;
    for (flags, expected) in [(&[][..], 200), (&["RestrictPublicBuckets"][..], 403)] {
        world.succeed(block(flags)).await;
        world
            .send(put("/bucket?policy", public.clone()))
            .await
            .is(204);
        for sender in [Some(&stranger), None] {
            world.send_by(sender, get("/bucket/key")).await.is(expected);
        }
        let elsewhere = world.key("other", Role::ReadOnly).await;
        world
            .send_by(Some(&elsewhere), get("/bucket/key"))
            .await
            .is(200);
        world.succeed(get("/bucket/key")).await;
    }
    let misspelled =
        "<PublicAccessBlockConfiguration><Block>true</Block></PublicAccessBlockConfiguration>";
    let call = put("/bucket?publicAccessBlock", misspelled);
    world.send(call).await.refused(400, "MalformedXML");
}

fn ownership(name: &str) -> crate::support::Call {
    let rule = format!("<Rule><ObjectOwnership>{name}</ObjectOwnership></Rule>");
    put(
        "/bucket?ownershipControls",
        format!("<OwnershipControls>{rule}</OwnershipControls>"),
    )
}

#[tokio::test]
async fn ownership_decides_whose_new_objects_are() {
    let (world, stranger) = scene().await;
    let missing = world.send(get("/bucket?ownershipControls")).await;
    missing.refused(404, "OwnershipControlsNotFoundError");
    set_policy(&world, &allow("s3:*", "")).await;
    let owner_of = async |target: &str, sender: &User| {
        let acl = world
            .send_by(Some(sender), get(&format!("{target}?acl")))
            .await;
        acl.is(200).element("ID").unwrap()
    };
    let (ours, theirs) = (
        world.owner.account_id.as_str(),
        stranger.account_id.as_str(),
    );
    for (setting, plain, handed_over) in [
        ("ObjectWriter", theirs, theirs),
        ("BucketOwnerPreferred", theirs, ours),
        ("BucketOwnerEnforced", ours, ours),
    ] {
        world.succeed(ownership(setting)).await;
        let told = world.succeed(get("/bucket?ownershipControls")).await;
        assert_eq!(told.element("ObjectOwnership").as_deref(), Some(setting));
        for (acl, expected) in [
            (None, plain),
            (Some("bucket-owner-full-control"), handed_over),
        ] {
            let with = |call: crate::support::Call| match acl {
                Some(acl) => call.header("x-amz-acl", acl),
                None => call,
            };
            world
                .send_by(Some(&stranger), with(put("/bucket/put", "x")))
                .await
                .is(200);
            assert_eq!(
                owner_of("/bucket/put", &stranger).await,
                expected,
                "{setting} {acl:?}"
            );
            let copy = put("/bucket/copy", "").header("x-amz-copy-source", "bucket/key");
            world.send_by(Some(&stranger), with(copy)).await.is(200);
            assert_eq!(
                owner_of("/bucket/copy", &stranger).await,
                expected,
                "{setting} {acl:?}"
            );
            let begun = post("/bucket/upload?uploads", "");
            let begun = world.send_by(Some(&stranger), with(begun)).await.is(200);
            let id = begun.element("UploadId").unwrap();
            let parts = get(&format!("/bucket/upload?uploadId={id}"));
            let parts = world.send_by(Some(&stranger), parts).await.is(200);
            let owner = parts.element("Owner").unwrap();
            assert!(owner.contains(expected), "{setting} {acl:?}: {owner}");
        }
        // What is handed over, the bucket's owner may have; in what is another's it has no say.
        world.succeed(get("/bucket/put?acl")).await;
        world
            .send_by(Some(&stranger), put("/bucket/put", "x"))
            .await
            .is(200);
        let by_owner = world.send(get("/bucket/put")).await.status.as_u16();
        assert_eq!(by_owner, if plain == ours { 200 } else { 403 }, "{setting}");
        world
            .send_by(Some(&stranger), get("/bucket/put"))
            .await
            .is(200);
        let replaced = world.send(put("/bucket/put", "ours")).await;
        replaced.is(200);
    }

    // ACLs are switched off.
    let code = "AccessControlListNotSupported";
    for call in [
        put("/bucket/new", ""),
        put("/bucket/key?acl", ""),
        put("/bucket?acl", ""),
        post("/bucket/new?uploads", ""),
    ] {
        let call = call.header("x-amz-acl", "private");
        world.send(call).await.refused(400, code);
    }
    world
        .send(delete("/bucket?ownershipControls"))
        .await
        .is(204);
    world
        .send(delete("/bucket?ownershipControls"))
        .await
        .is(204);
    world
        .succeed(put("/bucket?acl", "").header("x-amz-acl", "public-read"))
        .await;
    let call = ownership("BucketOwnerEnforced");
    world
        .send(call)
        .await
        .refused(400, "InvalidBucketAclWithObjectOwnership");
    world
        .send(ownership("Nobody"))
        .await
        .refused(400, "MalformedXML");
}

#[tokio::test]
async fn a_bucket_can_be_made_with_ownership_and_grants() {
    let world = World::new().await;
    let stranger = world.stranger().await;
    let enforced = |acl: &str| {
        put("/enforced", "")
            .header("x-amz-object-ownership", "BucketOwnerEnforced")
            .header("x-amz-acl", acl)
    };
    let code = "InvalidBucketAclWithObjectOwnership";
    world.send(enforced("public-read")).await.refused(400, code);
    world.succeed(enforced("private")).await;
    let told = world.succeed(get("/enforced?ownershipControls")).await;
    assert_eq!(
        told.element("ObjectOwnership").as_deref(),
        Some("BucketOwnerEnforced")
    );
    let grant = format!("id=\"{}\"", stranger.account_id);
    let granted = put("/granted", "").header("x-amz-grant-write", &grant);
    world.succeed(granted).await;
    world
        .send_by(Some(&stranger), put("/granted/key", "x"))
        .await
        .is(200);
    world
        .send_by(Some(&stranger), get("/granted"))
        .await
        .is(403);
    world.send_by(None, put("/granted/key", "x")).await.is(403);
}

#[tokio::test]
async fn what_was_verified_says_how_a_request_was_signed() {
    let (world, stranger) = scene().await;
    let digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let by_query = format!("/bucket/key?X-Amz-Content-Sha256={digest}");
    let unsigned = || get(&by_query).payload(PayloadDeclaration::UnsignedPayload);
    let disguised = || get("/bucket/key?X%2DAmz-Signature=1");
    let with_digest = || get("/bucket/key").header("x-amz-content-sha256", digest);
    // Of each: signed in its header, presigned, anonymous.
    for (condition, by_header, by_url, by_nobody) in [
        (
            r#""StringEquals": {"s3:authType": "REST-HEADER"}"#,
            200,
            403,
            403,
        ),
        (
            r#""StringEquals": {"s3:authType": "REST-QUERY-STRING"}"#,
            403,
            200,
            403,
        ),
        (r#""Null": {"s3:authType": "true"}"#, 403, 403, 200),
        (
            r#""StringEquals": {"s3:signatureversion": "AWS4-HMAC-SHA256"}"#,
            200,
            200,
            403,
        ),
        (r#""Null": {"s3:signatureversion": "true"}"#, 403, 403, 200),
        (
            r#""NumericLessThan": {"s3:signatureAge": "1000"}"#,
            200,
            200,
            403,
        ),
        (
            r#""StringEquals": {"s3:x-amz-content-sha256": "UNSIGNED-PAYLOAD"}"#,
            200,
            200,
            403,
        ),
    ] {
        set_policy(&world, &allow("s3:GetObject", condition)).await;
        let disguised = match condition.contains("content-sha256") {
            true => unsigned(),
            false => disguised(),
        };
        let answers = [
            (world.send_by(Some(&stranger), disguised).await, by_header),
            (world.send_by(Some(&stranger), unsigned()).await, by_header),
            (
                world.send_presigned(&stranger, get("/bucket/key")).await,
                by_url,
            ),
            // Which was not signed with the URL.
            (world.send_presigned(&stranger, with_digest()).await, by_url),
            (
                world
                    .send_by(None, get("/bucket/key?X%2DAmz-Signature=1"))
                    .await,
                by_nobody,
            ),
            (world.send_by(None, with_digest()).await, by_nobody),
        ];
        for (number, (reply, expected)) in answers.into_iter().enumerate() {
            let text = reply.text();
            assert_eq!(
                reply.status.as_u16(),
                expected,
                "{condition} {number}: {text}"
            );
        }
    }
}

/// Sends a call over TLS of a version.
async fn send_over_tls(world: &World, call: Call, version: &'static str) -> u16 {
    let request = world.request(Some(&world.owner), call);
    let context = RequestContext {
        request_id: RequestId::next(),
        peer: Peer::LocalSocket,
        tls: true,
        tls_session: Some(TlsSession {
            version,
            cipher_suite: "TLS_AES_128_GCM_SHA256",
        }),
        arrived: std::time::Instant::now(),
        facts: std::sync::Arc::default(),
        memory: world.memory.clone(),
    };
    let request = request.map(RequestBody::from_bytes);
    world
        .service
        .handle(request, context)
        .await
        .status()
        .as_u16()
}

#[tokio::test]
async fn old_versions_of_tls_can_be_denied() {
    let (world, _) = scene().await;
    let old = r#""NumericLessThan": {"s3:TlsVersion": "1.3"}"#;
    set_policy(&world, &statement("Deny", "s3:GetObject", old)).await;
    let over = |version| send_over_tls(&world, get("/bucket/key"), version);
    assert_eq!(over("TLSv1.2").await, 403);
    assert_eq!(over("TLSv1.3").await, 200);
    // What does not come over TLS has no version; aws:SecureTransport is for that.
    world.succeed(get("/bucket/key")).await;
}

#[tokio::test]
async fn no_request_is_a_services() {
    let (world, stranger) = scene().await;
    for (condition, expected) in [
        (r#""Bool": {"aws:ViaAWSService": "false"}"#, 200),
        (r#""Bool": {"aws:ViaAWSService": "true"}"#, 403),
        (r#""Bool": {"aws:PrincipalIsAWSService": "false"}"#, 200),
        (r#""Bool": {"aws:PrincipalIsAWSService": "true"}"#, 403),
    ] {
        set_policy(&world, &allow("s3:GetObject", condition)).await;
        let reply = world.send_by(Some(&stranger), get("/bucket/key")).await;
        assert_eq!(reply.status.as_u16(), expected, "{condition}");
    }
}

#[tokio::test]
async fn a_header_that_is_there_twice_deceives_no_condition() {
    let (world, stranger) = scene().await;
    let acl = r#""StringEquals": {"s3:x-amz-acl": "public-read"}"#;
    let put_all = allow("s3:PutObject", "");
    let deny = statement("Deny", "s3:PutObject", acl);
    let acls = allow("s3:PutObjectAcl", "");
    set_policy(&world, &format!("{put_all}, {acls}, {deny}")).await;
    let once = || put("/bucket/new", "x").header("x-amz-acl", "public-read");
    for sender in [None, Some(&stranger)] {
        world
            .send_by(sender, once())
            .await
            .refused(403, "AccessDenied");
        world
            .send_by(sender, once().header("x-amz-acl", "public-read"))
            .await
            .refused(400, "InvalidRequest");
        let tags = put("/bucket/new", "x")
            .header("x-amz-tagging", "a=1")
            .header("x-amz-tagging", "a=2");
        world
            .send_by(sender, tags)
            .await
            .refused(400, "InvalidRequest");
    }
    world.send(get("/bucket/new")).await.is(404);
}

#[tokio::test]
async fn a_url_says_how_its_object_is_encrypted() {
    let (world, _) = scene().await;
    let put_by_url = |parameters: &str| {
        let call = put(&format!("/bucket/k?{parameters}"), "body");
        world.send_presigned(&world.owner, call)
    };
    put_by_url("X-Amz-Server-Side-Encryption=AES256")
        .await
        .is(200)
        .has(SSE, "AES256");
    world.succeed(head("/bucket/k")).await.has(SSE, "AES256");
    put_by_url("x-amz-server-side-encryption=aws%3Akms")
        .await
        .is(200)
        .has(SSE, "aws:kms");
    put_by_url("X-Amz-Server-Side-Encryption=AES9")
        .await
        .refused(400, "InvalidArgument");
    let key = "X-Amz-Server-Side-Encryption-Customer-Algorithm=AES256\
               &X-Amz-Server-Side-Encryption-Customer-Key=pO3upElrwuEXSoFwCfnZPdSsmt%2FxWeFa0N9KgDijwVs%3D\
               &X-Amz-Server-Side-Encryption-Customer-Key-Md5=DWygnHRtgiJ77HCm%2B1rvHw%3D%3D";
    put_by_url(key).await.is(200);
    world.send(get("/bucket/k")).await.is(400);
    let read = get(&format!("/bucket/k?{key}"));
    let read = world.send_presigned(&world.owner, read).await;
    read.is(200).body_is(b"body");
    // A policy sees it as what it is.
    let plain = r#""Null": {"s3:x-amz-server-side-encryption": "true"}"#;
    set_policy(&world, &statement("Deny", "s3:PutObject", plain)).await;
    put_by_url("X-Amz-Server-Side-Encryption=AES256")
        .await
        .is(200);
    put_by_url("a=b").await.refused(403, "AccessDenied");
    // Only URLs have headers in their queries.
    let signed = put("/bucket/k?X-Amz-Server-Side-Encryption=AES256", "body");
    world.send(signed).await.refused(403, "AccessDenied");
}

#[tokio::test]
async fn tags_that_a_copy_keeps_are_judged_and_not_those_it_ignores() {
    let (world, _) = scene().await;
    for team in ["red", "blue"] {
        let tagged = put(&format!("/bucket/{team}"), "body");
        let tagging = format!("team={team}");
        world
            .succeed(tagged.header("x-amz-tagging", &tagging))
            .await;
    }
    let only_red = r#""StringNotEquals": {"s3:RequestObjectTag/team": "red"}"#;
    set_policy(&world, &statement("Deny", "s3:PutObject", only_red)).await;
    let copy = |source: &str| {
        put("/bucket/copy", "").header("x-amz-copy-source", &format!("bucket/{source}"))
    };
    let red = |call: Call| call.header("x-amz-tagging", "team=red");
    let replacing = |call: Call| call.header("x-amz-tagging-directive", "REPLACE");
    let renaming = |call: Call| call.header("x-tigris-rename", "true");
    let rename =
        |source: &str| put("/bucket/moved?renameObject", "").header("x-amz-rename-source", source);
    let calls = [
        (copy("red"), 200),
        (copy("blue"), 403),
        (copy("key"), 403),
        (red(copy("blue")), 403),
        (
            red(copy("blue")).header("x-amz-tagging-directive", "COPY"),
            403,
        ),
        (replacing(red(copy("blue"))), 200),
        (replacing(copy("red")), 403),
        (renaming(replacing(red(copy("blue")))), 403),
        (red(rename("blue")), 403),
        (rename("red"), 200),
        (renaming(copy("moved")), 200),
        (put("/bucket/new", "x"), 403),
        (red(put("/bucket/new", "x")), 200),
    ];
    for (number, (call, expected)) in calls.into_iter().enumerate() {
        let reply = world.send(call).await;
        let text = reply.text();
        assert_eq!(reply.status.as_u16(), expected, "{number}: {text}");
    }
    world.succeed(get("/bucket/blue")).await;
}

#[tokio::test]
async fn what_is_appended_brings_no_tags() {
    let (world, _) = scene().await;
    let append = |offset: &str| {
        put("/bucket/key", "more")
            .header("x-amz-write-offset-bytes", offset)
            .header("x-amz-tagging", "team=red")
    };
    let refused = world.send(append("4")).await;
    refused.refused(400, "InvalidArgument");
    world.succeed(get("/bucket/key")).await.body_is(b"body");
    world.succeed(delete("/bucket/key")).await;
    world.succeed(append("0")).await;
}

async fn create_kms_keys(world: &World) {
    for (id, alias) in [("key-1", "one"), ("key-2", "two")] {
        let new = NewKmsKey {
            id: Some(id.to_owned()),
            aliases: vec![alias.to_owned()],
        };
        world.store.keys().unwrap().create(new).await.unwrap();
    }
}

#[tokio::test]
async fn the_key_in_the_body_of_a_change_of_encryption_is_judged() {
    let (world, _) = scene().await;
    create_kms_keys(&world).await;
    world
        .succeed(put("/bucket/k", "x").header(SSE, "AES256"))
        .await;
    let change = |key: &str| {
        let document = format!(
            "<ObjectEncryption><SSE-KMS><KMSKeyArn>{key}</KMSKeyArn></SSE-KMS></ObjectEncryption>"
        );
        put("/bucket/k?encryption", document)
    };
    let other_key = format!(r#""StringNotEquals": {{"s3:{KEY_ID}": "key-1"}}"#);
    let other_kind = format!(r#""StringNotEquals": {{"s3:{SSE}": "aws:kms"}}"#);
    let deny = |condition: &str| statement("Deny", "s3:UpdateObjectEncryption", condition);
    set_policy(
        &world,
        &format!("{}, {}", deny(&other_key), deny(&other_kind)),
    )
    .await;
    world.succeed(change("key-1")).await;
    // What stands in the head says nothing.
    let disguised = change("key-2").header(KEY_ID, "key-1");
    world.send(disguised).await.refused(403, "AccessDenied");
    world.succeed(head("/bucket/k")).await.has(KEY_ID, "key-1");
}

/// S3 user guide, "Using server-side encryption with Amazon S3 managed keys": a policy that denies
/// uploads which are not encrypted.
#[tokio::test]
async fn parts_are_judged_by_how_their_upload_is_encrypted() {
    let (world, _) = scene().await;
    create_kms_keys(&world).await;
    let begin = async |headers: &[(&str, &str)]| {
        let mut create = post("/bucket/up?uploads", "");
        for (name, value) in headers {
            create = create.header(name, value);
        }
        world.send(create).await
    };
    let id_of = |reply: &crate::support::Reply| reply.element("UploadId").unwrap();
    let part = |id: &str| put(&format!("/bucket/up?partNumber=1&uploadId={id}"), "body");
    let part_copy = |id: &str| {
        put(&format!("/bucket/up?partNumber=1&uploadId={id}"), "")
            .header("x-amz-copy-source", "bucket/key")
    };
    let finish = async |id: &str, etag: &str| {
        let list = part_element(1, etag);
        world.send(complete("/bucket/up", id, &list)).await
    };
    let plain = id_of(&begin(&[]).await.is(200));
    let etag = world.succeed(part(&plain)).await;
    let etag = etag.header("etag").unwrap().to_owned();

    let missing = statement(
        "Deny",
        "s3:PutObject",
        &format!(r#""Null": {{"s3:{SSE}": "true"}}"#),
    );
    set_policy(&world, &missing).await;
    begin(&[]).await.refused(403, "AccessDenied");
    let encrypted = id_of(&begin(&[(SSE, "AES256")]).await.is(200));
    world.succeed(part_copy(&encrypted)).await;
    let written = world.succeed(part(&encrypted)).await;
    let encrypted_etag = written.header("etag").unwrap().to_owned();
    finish(&encrypted, &encrypted_etag).await.is(200);
    // What a part says of it is nothing to an upload in plain.
    for call in [
        part(&plain),
        part_copy(&plain),
        part(&plain).header(SSE, "AES256"),
    ] {
        world.send(call).await.refused(403, "AccessDenied");
    }
    finish(&plain, &etag).await.refused(403, "AccessDenied");

    let other = format!(r#""StringNotEquals": {{"s3:{KEY_ID}": ["key-1", "alias/one"]}}"#);
    set_policy(&world, &statement("Deny", "s3:PutObject", &other)).await;
    for (key, expected) in [("key-1", 200), ("alias/one", 200), ("key-2", 403)] {
        let begun = begin(&[(SSE, "aws:kms"), (KEY_ID, key)]).await.is(expected);
        if expected == 200 {
            let id = id_of(&begun);
            let written = world.succeed(part(&id)).await;
            let etag = written.header("etag").unwrap().to_owned();
            finish(&id, &etag).await.is(200);
        }
    }

    // A key is named as when the upload was begun: mostly by an ARN.
    let arn = |name: &str| format!("arn:aws:kms:eu-west-1:123456789012:{name}");
    for (operator, pattern) in [
        ("StringNotEquals", arn("key/key-1")),
        ("StringNotLike", arn("key/*")),
        ("ArnNotEquals", arn("key/key-1")),
    ] {
        let other = format!(r#""{operator}": {{"s3:{KEY_ID}": "{pattern}"}}"#);
        set_policy(&world, &statement("Deny", "s3:PutObject", &other)).await;
        let key = arn("key/key-1");
        let id = id_of(&begin(&[(SSE, "aws:kms"), (KEY_ID, &key)]).await.is(200));
        let written = world.succeed(part(&id)).await;
        let etag = written.header("etag").unwrap().to_owned();
        world.succeed(part_copy(&id)).await;
        world.succeed(part(&id)).await;
        finish(&id, &etag).await.is(200);
        let key = arn("alias/two");
        let begun = begin(&[(SSE, "aws:kms"), (KEY_ID, &key)]).await;
        begun.refused(403, "AccessDenied");
    }
    world.succeed(delete("/bucket?policy")).await;
    let key = arn("alias/two");
    let id = id_of(&begin(&[(SSE, "aws:kms"), (KEY_ID, &key)]).await.is(200));
    for name in [key.as_str(), "key-2", "alias/two"] {
        let this = format!(r#""StringEquals": {{"s3:{KEY_ID}": "{name}"}}"#);
        set_policy(&world, &statement("Deny", "s3:PutObject", &this)).await;
        world.send(part(&id)).await.refused(403, "AccessDenied");
    }

    let with_key = |call: Call| {
        call.header("x-amz-server-side-encryption-customer-algorithm", "AES256")
            .header(
                "x-amz-server-side-encryption-customer-key",
                "pO3upElrwuEXSoFwCfnZPdSsmt/xWeFa0N9KgDijwVs=",
            )
            .header(
                "x-amz-server-side-encryption-customer-key-md5",
                "DWygnHRtgiJ77HCm+1rvHw==",
            )
    };
    let none = r#""Null": {"s3:x-amz-server-side-encryption-customer-algorithm": "true"}"#;
    set_policy(&world, &statement("Deny", "s3:PutObject", none)).await;
    let begun = world
        .succeed(with_key(post("/bucket/up?uploads", "")))
        .await;
    world.succeed(with_key(part(&id_of(&begun)))).await;
    let refused = world.send(with_key(part(&plain))).await;
    refused.refused(403, "AccessDenied");
}
