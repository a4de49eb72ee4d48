//! Bucket policies, public access blocks and ownership controls: set, told, and what they do.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should fail there"
)]

mod s3_support;

use oncilla_iam::Role;
use s3_support::{User, World, delete, get, head, post, put};

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
            "s3:PutObject",
            r#""StringEquals": {"s3:RequestObjectTag/team": "red"}"#,
            put("/bucket/new", "").header("x-amz-tagging", "team=red"),
            200,
        ),
        (
            "s3:PutObject",
            r#""StringEquals": {"s3:RequestObjectTag/team": "red"}"#,
            put("/bucket/new", "").header("x-amz-tagging", "team=blue"),
            403,
        ),
        (
            "s3:PutObject",
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

fn block(flags: &[&str]) -> s3_support::Call {
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

fn ownership(name: &str) -> s3_support::Call {
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
            let with = |call: s3_support::Call| match acl {
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
