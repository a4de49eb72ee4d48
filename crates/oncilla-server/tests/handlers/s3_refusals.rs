//! What a refusal says: which action is missing or denied and by what kind of policy, to the bucket's own
//! account and to nobody else; which principal or name cannot be. And that what was refused for one
//! object is not done to another one that takes its place.

use std::sync::Arc;
use std::time::Duration;

use crate::support::*;
use oncilla_iam::Role;
use oncilla_keys::NewKmsKey;
use oncilla_meta::memory::MemoryEngine;
use oncilla_store::StoreOptions;

const EVERYTHING: &str =
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;
const LOOKUP: Duration = Duration::from_secs(60);

fn bucket_policy(statement: &str) -> Call {
    let policy = format!(r#"{{"Version":"2012-10-17","Statement":[{{{statement}}}]}}"#);
    put("/bucket?policy", policy)
}

async fn scene() -> World {
    let world = World::new().await;
    world.succeed(put("/bucket", "")).await;
    world.succeed(put("/bucket/key", "body")).await;
    world
}

/// A user of the owner's account, without any policy.
async fn ada(world: &World) -> User {
    world.user_of(&world.owner, "ada").await
}

async fn set_policy_of_ada(world: &World, document: &str) {
    world.send(put_user_policy("ada", document)).await.is(200);
}

async fn denied(world: &World, sender: &User, call: Call) -> String {
    let reply = world.send_by(Some(sender), call).await;
    let reply = reply.refused(403, "AccessDenied");
    let message = reply.element("Message").unwrap();
    // Quotes are escaped in documents.
    message.replace("&quot;", "\"")
}

#[tokio::test]
async fn a_refusal_says_which_action_is_missing() {
    let world = scene().await;
    let ada = ada(&world).await;
    let arn = format!("arn:aws:iam::{}:user/ada", world.owner.account_id);
    let missing = |action: &str, resource: &str| {
        format!(
            "User: {arn} is not authorized to perform: {action} on resource: \"{resource}\" \
             because no identity-based policy allows the {action} action"
        )
    };
    let (object, bucket) = ("arn:aws:s3:::bucket/key", "arn:aws:s3:::bucket");
    for (call, action, resource) in [
        (get("/bucket/key"), "s3:GetObject", object),
        (put("/bucket/key", ""), "s3:PutObject", object),
        (delete("/bucket/key"), "s3:DeleteObject", object),
        (get("/bucket/key?tagging"), "s3:GetObjectTagging", object),
        (get("/bucket"), "s3:ListBucket", bucket),
        (get("/bucket?policy"), "s3:GetBucketPolicy", bucket),
        (put("/other", ""), "s3:CreateBucket", "arn:aws:s3:::other"),
        (get("/"), "s3:ListAllMyBuckets", "arn:aws:s3:::*"),
    ] {
        let message = denied(&world, &ada, call).await;
        assert_eq!(message, missing(action, resource));
    }
    // Whether the object is there, it does not say.
    let absent = denied(&world, &ada, get("/bucket/absent")).await;
    assert_eq!(
        absent,
        missing("s3:GetObject", "arn:aws:s3:::bucket/absent")
    );
    let odd = denied(&world, &ada, get("/bucket/a%3C%26%3Eb")).await;
    assert!(odd.contains("arn:aws:s3:::bucket/a&lt;&amp;&gt;b"), "{odd}");
    // Whoever may read what is there, is told what it takes to know what is not.
    let read = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}}"#;
    set_policy_of_ada(&world, read).await;
    let absent = denied(&world, &ada, get("/bucket/absent")).await;
    assert_eq!(absent, missing("s3:ListBucket", bucket));
    // The keys of a list are refused one by one, and without so many words.
    let list = "<Delete><Object><Key>key</Key></Object></Delete>";
    let digest =
        oncilla_hash::Checksum::of(oncilla_hash::ChecksumAlgorithm::Crc32, list.as_bytes());
    let list = post("/bucket?delete", list).header("x-amz-checksum-crc32", &digest.to_base64());
    let reply = world.send_by(Some(&ada), list).await.is(200);
    assert_eq!(reply.element("Code").as_deref(), Some("AccessDenied"));
    assert_eq!(reply.element("Message").as_deref(), Some("Access Denied"));
}

#[tokio::test]
async fn a_refusal_says_what_kind_of_policy_denies() {
    let world = scene().await;
    let ada = ada(&world).await;
    let account = world.owner.account_id.clone();
    let ends = |message: String, end: &str| assert!(message.ends_with(end), "{message}");
    set_policy_of_ada(&world, EVERYTHING).await;
    world.send_by(Some(&ada), get("/bucket/key")).await.is(200);

    let deny = bucket_policy(
        r#""Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*""#,
    );
    world.succeed(deny).await;
    let by_bucket = "with an explicit deny in a resource-based policy";
    ends(denied(&world, &ada, get("/bucket/key")).await, by_bucket);
    let root = denied(&world, &world.owner, get("/bucket/key")).await;
    let expected = format!(
        "User: arn:aws:iam::{account}:root is not authorized to perform: s3:GetObject on resource: \
         \"arn:aws:s3:::bucket/key\" {by_bucket}"
    );
    assert_eq!(root, expected);
    world.succeed(delete("/bucket?policy")).await;

    set_policy_of_ada(&world, &EVERYTHING.replace("Allow", "Deny")).await;
    let by_user = "with an explicit deny in an identity-based policy";
    ends(denied(&world, &ada, get("/bucket/key")).await, by_user);

    let trust = format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{{"AWS":"{account}"}}}}}}"#
    );
    let create = [
        ("Action", "CreateRole"),
        ("RoleName", "reader"),
        ("AssumeRolePolicyDocument", trust.as_str()),
    ];
    let role = world.send(iam(&create)).await.is(200);
    let role_arn = role.element("Arn").unwrap();
    let set = [
        ("Action", "PutRolePolicy"),
        ("RoleName", "reader"),
        ("PolicyName", "p"),
        ("PolicyDocument", EVERYTHING),
    ];
    world.send(iam(&set)).await.is(200);
    let list = EVERYTHING.replace("s3:*", "s3:ListBucket");
    let deny = EVERYTHING.replace("Allow", "Deny");
    for (document, end) in [
        (
            list,
            "because no session policy allows the s3:GetObject action",
        ),
        (deny, "with an explicit deny in a session policy"),
    ] {
        let assume = sts(&[
            ("Action", "AssumeRole"),
            ("Version", "2011-06-15"),
            ("RoleArn", role_arn.as_str()),
            ("RoleSessionName", "today"),
            ("Policy", document.as_str()),
        ]);
        let session = User::of(&world.send(assume).await.is(200), &account);
        let message = denied(&world, &session, get("/bucket/key")).await;
        let begin = format!("User: arn:aws:sts::{account}:assumed-role/reader/today is not");
        assert!(message.starts_with(&begin), "{message}");
        ends(message, end);
    }
}

/// What the policies of another account say is not theirs to know.
#[tokio::test]
async fn others_are_told_no_more_than_that_they_are_refused() {
    let world = scene().await;
    let stranger = world.stranger().await;
    let deny = bucket_policy(
        r#""Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::bucket/*""#,
    );
    world.succeed(deny).await;
    for call in [
        get("/bucket/key"),
        get("/bucket/absent"),
        get("/bucket"),
        put("/bucket/key", ""),
    ] {
        for sender in [None, Some(&stranger)] {
            let reply = world.send_by(sender, call.clone()).await;
            let reply = reply.refused(403, "AccessDenied");
            assert_eq!(reply.element("Message").as_deref(), Some("Access Denied"));
        }
    }
}

/// Where it depends on the object who may do what, all refusals are alike.
#[tokio::test]
async fn a_refusal_does_not_tell_what_is_there() {
    let world = World::new().await;
    let stranger = world.stranger().await;
    let open = put("/bucket", "").header("x-amz-acl", "public-read-write");
    world.succeed(open).await;
    let theirs = put("/bucket/theirs", "body").header("x-amz-tagging", "a=b");
    world.send_by(Some(&stranger), theirs).await.is(200);
    world.succeed(put("/bucket/own", "body")).await;
    let closed = put("/bucket?acl", "").header("x-amz-acl", "private");
    world.succeed(closed).await;
    let ada = ada(&world).await;
    let refused = async |key: &str| {
        let message = denied(&world, &ada, get(&format!("/bucket/{key}"))).await;
        message.replace(key, "…")
    };
    let read = EVERYTHING.replace("s3:*", "s3:GetObject");
    set_policy_of_ada(&world, &read).await;
    assert_eq!(refused("theirs").await, refused("absent").await);
    set_policy_of_ada(&world, &read.replace("GetObject", "GetObjectAcl")).await;
    assert_eq!(refused("theirs").await, refused("absent").await);
    assert_eq!(refused("own").await, refused("absent").await);
    // A tag that a policy asks for is not told either.
    let deny = bucket_policy(
        r#""Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*",
            "Condition":{"StringEquals":{"s3:ExistingObjectTag/a":"b"}}"#,
    );
    world.succeed(deny).await;
    assert_eq!(refused("theirs").await, refused("absent").await);
    assert_eq!(refused("theirs").await, refused("own").await);
}

#[tokio::test]
async fn a_policy_names_nobody_who_does_not_exist() {
    let world = scene().await;
    let stranger = world.stranger().await;
    ada(&world).await;
    let (account, other) = (&world.owner.account_id, &stranger.account_id);
    let key = world.key("bucket", Role::Admin).await.key.access_key_id;
    let trust = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":"*"}}}"#;
    let create = [
        ("Action", "CreateRole"),
        ("RoleName", "reader"),
        ("Path", "/team/"),
        ("AssumeRolePolicyDocument", trust),
    ];
    world.send(iam(&create)).await.is(200);
    let nobody = "0123456789abcdef".repeat(4);
    let put = async |principal: &str| {
        let call = bucket_policy(&format!(
            r#""Effect":"Deny","Principal":{principal},"Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*""#
        ));
        world.send(call).await
    };
    for principal in [
        r#""*""#.to_owned(),
        r#"{"AWS":"*"}"#.to_owned(),
        format!(r#"{{"AWS":"{account}"}}"#),
        format!(r#"{{"AWS":"{other}"}}"#),
        format!(r#"{{"AWS":"arn:aws:iam::{other}:root"}}"#),
        format!(r#"{{"CanonicalUser":"{other}"}}"#),
        format!(r#"{{"AWS":"arn:aws:iam::{account}:user/ada"}}"#),
        format!(r#"{{"AWS":"arn:aws:iam::{account}:user/{key}"}}"#),
        format!(r#"{{"AWS":"arn:aws:iam::{account}:role/team/reader"}}"#),
        format!(r#"{{"AWS":"arn:aws:sts::{account}:assumed-role/reader/today"}}"#),
        r#"{"Service":"logging.s3.amazonaws.com"}"#.to_owned(),
        // A tenant of Ceph's.
        r#"{"AWS":"arn:aws:iam::s3tenant1:root"}"#.to_owned(),
    ] {
        let reply = put(&principal).await;
        assert_eq!(reply.status.as_u16(), 204, "{principal} {}", reply.text());
    }
    for principal in [
        format!(r#"{{"AWS":"{nobody}"}}"#),
        format!(r#"{{"AWS":"arn:aws:iam::{nobody}:root"}}"#),
        format!(r#"{{"AWS":"arn:aws:iam::{nobody}:user/ada"}}"#),
        format!(r#"{{"CanonicalUser":"{nobody}"}}"#),
        r#"{"AWS":"123456789012"}"#.to_owned(),
        r#"{"AWS":"arn:aws:iam::123456789012:root"}"#.to_owned(),
        format!(r#"{{"AWS":"arn:aws:iam::{account}:user/eve"}}"#),
        // Names in ARNs are compared letter by letter, and with their paths.
        format!(r#"{{"AWS":"arn:aws:iam::{account}:user/Ada"}}"#),
        format!(r#"{{"AWS":"arn:aws:iam::{account}:role/reader"}}"#),
        format!(r#"{{"AWS":"arn:aws:iam::{other}:user/ada"}}"#),
        format!(r#"{{"AWS":"arn:aws:iam::{other}:user/{key}"}}"#),
        format!(r#"{{"AWS":"arn:aws:sts::{account}:assumed-role/writer/today"}}"#),
        format!(r#"{{"AWS":["*","arn:aws:iam::{account}:user/eve"]}}"#),
        // Ceph's form for a user outside of accounts.
        r#"{"AWS":"arn:aws:iam:::user/ada"}"#.to_owned(),
    ] {
        let reply = put(&principal).await.refused(400, "MalformedPolicy");
        let message = reply.element("Message").unwrap();
        assert_eq!(message, "Invalid principal in policy", "{principal}");
    }
}

#[tokio::test]
async fn a_name_is_refused_with_the_rule_that_it_breaks() {
    let world = World::new().await;
    for (name, rule) in [
        ("ab", "have at least 3 characters"),
        ("Upper", "have no upper-case letters"),
        ("192.168.0.1", "cannot look like an IP address"),
    ] {
        let reply = world.send(put(&format!("/{name}"), "")).await;
        let reply = reply.refused(400, "InvalidBucketName");
        let message = reply.element("Message").unwrap();
        assert!(message.contains(rule), "{message}");
        assert_eq!(reply.element("BucketName").as_deref(), Some(name));
    }
}

/// A world in which tasks can be slow to look objects up, and a bucket in which everybody may put
/// objects of their own, as another account has.
async fn slow_scene() -> (Arc<World>, User) {
    let engine = Arc::new(SlowEngine(MemoryEngine::new()));
    let world = Arc::new(World::on(engine, StoreOptions::default()).await);
    let stranger = world.stranger().await;
    let open = put("/bucket", "").header("x-amz-acl", "public-read-write");
    world.succeed(open).await;
    let first = put("/bucket/first", "theirs");
    world.send_by(Some(&stranger), first).await.is(200);
    (world, stranger)
}

/// Sends a call of the owner's; while it looks for the (`looks` + 1)th time, the stranger puts theirs.
async fn send_meanwhile(
    (world, stranger): (&Arc<World>, &User),
    call: Call,
    looks: u32,
    theirs: Call,
) -> Reply {
    let sender = Arc::clone(world);
    let sent = async move { sender.send(call).await };
    let sent = tokio::spawn(LOOKUP_TIME.scope(LOOKUP, sent));
    tokio::time::sleep(LOOKUP * looks + LOOKUP / 2).await;
    world.send_by(Some(stranger), theirs).await.is(200);
    sent.await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_source_that_appears_after_the_judgement_is_not_renamed() {
    let rename = put("/bucket/to?renameObject", "").header("x-amz-rename-source", "key");
    let by_copy = put("/bucket/to", "")
        .header("x-amz-copy-source", "/bucket/key")
        .header("x-tigris-rename", "true");
    for call in [rename, by_copy] {
        let mut pinned = 0;
        for looks in 0..4 {
            let (world, stranger) = slow_scene().await;
            let theirs = put("/bucket/key", "secret");
            let by = (&world, &stranger);
            let reply = send_meanwhile(by, call.clone(), looks, theirs).await;
            match reply.status.as_u16() {
                503 => pinned += 1,
                // Judged by it, or done before it came.
                status => assert!([403, 404].contains(&status), "{}", reply.text()),
            }
            world.send(get("/bucket/to")).await.is(404);
            let kept = world.send_by(Some(&stranger), get("/bucket/key")).await;
            kept.is(200).body_is(b"secret");
        }
        assert!(pinned > 0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_takes_the_place_of_a_judged_object_is_not_encrypted_anew() {
    let sse = "x-amz-server-side-encryption";
    let document =
        "<ObjectEncryption><SSE-KMS><KMSKeyArn>key-1</KMSKeyArn></SSE-KMS></ObjectEncryption>";
    let mut pinned = 0;
    for looks in 0..5 {
        let (world, stranger) = slow_scene().await;
        let new = NewKmsKey {
            id: Some("key-1".to_owned()),
            aliases: Vec::new(),
        };
        world.store.keys().unwrap().create(new).await.unwrap();
        let own = put("/bucket/key", "own").header(sse, "AES256");
        world.succeed(own).await;
        let theirs = put("/bucket/key", "theirs").header(sse, "AES256");
        let call = put("/bucket/key?encryption", document);
        let reply = send_meanwhile((&world, &stranger), call, looks, theirs).await;
        if reply.status.as_u16() == 503 {
            pinned += 1;
        }
        let kept = world.send_by(Some(&stranger), head("/bucket/key")).await;
        kept.is(200).has(sse, "AES256");
    }
    assert!(pinned > 0);
}

/// Whoever may read and go on with some objects under a key changes no other one that takes its turn there,
/// though it has the same size.
#[tokio::test(start_paused = true)]
async fn only_the_object_that_was_judged_is_appended_to() {
    let tagged =
        |body: &str, tag: &str| put("/bucket/key", body.to_owned()).header("x-amz-tagging", tag);
    let statement = r#""Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::bucket/*",
        "Condition":{"StringEquals":{"s3:ExistingObjectTag/c":"pub"}}"#;
    for tag in ["c=sec", "c=pub"] {
        let mut pinned = 0;
        for looks in 0..8 {
            let (world, stranger) = slow_scene().await;
            world.succeed(bucket_policy(statement)).await;
            world.succeed(tagged("PPP", "c=pub")).await;
            let writer = Arc::clone(&world);
            let call = put("/bucket/key", "A").header("x-amz-write-offset-bytes", "3");
            let appending = async move { writer.send_by(Some(&stranger), call).await };
            let appending = tokio::spawn(LOOKUP_TIME.scope(LOOKUP, appending));
            tokio::time::sleep(LOOKUP * looks + LOOKUP / 2).await;
            world.succeed(tagged("SSS", tag)).await;
            let reply = appending.await.unwrap();
            let status = reply.status.as_u16();
            let body = world.succeed(get("/bucket/key")).await;
            match (tag, status) {
                ("c=sec", 200 | 403 | 503) => assert_eq!(body.text(), "SSS"),
                // It was replaced after it was done, or judged by the other one.
                ("c=pub", 200) => assert!(["SSS", "SSSA"].contains(&&*body.text())),
                ("c=pub", 503) => assert_eq!(body.text(), "SSS"),
                _ => panic!("{}", reply.text()),
            }
            pinned += u32::from(status != 200);
        }
        assert!(pinned > 0, "{tag}");
    }
}

/// Two actions on one object are judged by one look at it: of two objects that take turns, each is open
/// to one action, and neither to both.
#[tokio::test(start_paused = true)]
async fn all_actions_on_an_object_are_judged_by_the_same_one() {
    let call = get("/bucket/key?attributes").header("x-amz-object-attributes", "ObjectSize");
    let tagged = |tag: &str| put("/bucket/key", "body").header("x-amz-tagging", tag);
    let allow = |action: &str, tag: &str| {
        format!(
            r#"{{"Effect":"Allow","Principal":"*","Action":"s3:{action}","Resource":"arn:aws:s3:::bucket/*",
                "Condition":{{"StringEquals":{{"s3:ExistingObjectTag/a":"{tag}"}}}}}}"#
        )
    };
    for (first, second) in [("a=1", "a=2"), ("a=2", "a=1")] {
        for looks in 0..3 {
            let (world, stranger) = slow_scene().await;
            let (read, tell) = (allow("GetObject", "1"), allow("GetObjectAttributes", "2"));
            let policy = format!(r#"{{"Version":"2012-10-17","Statement":[{read},{tell}]}}"#);
            world.succeed(put("/bucket?policy", policy)).await;
            world.succeed(tagged(first)).await;
            let reader = Arc::clone(&world);
            let (by, call) = (stranger.clone(), call.clone());
            let reading = async move { reader.send_by(Some(&by), call).await };
            let reading = tokio::spawn(LOOKUP_TIME.scope(LOOKUP, reading));
            tokio::time::sleep(LOOKUP * looks + LOOKUP / 2).await;
            world.succeed(tagged(second)).await;
            let reply = reading.await.unwrap();
            reply.refused(403, "AccessDenied");
        }
    }
}
