//! Object Lock over the S3 API.
#![allow(clippy::unwrap_used)]

use crate::support::{
    Call, Reply, World, call, complete, delete, get, head, part_element, post, put,
};
use oncilla_hash::{Checksum, ChecksumAlgorithm};
use oncilla_iam::Role;

const DAY_MS: u64 = 86_400_000;
const ENABLED: &str = "<ObjectLockEnabled>Enabled</ObjectLockEnabled>";
/// The tests begin on 2023-11-14.
const UNTIL: &str = "2023-12-01T00:00:00.000Z";
const LATER: &str = "2023-12-02T00:00:00.000Z";
const SOONER: &str = "2023-11-30T00:00:00.000Z";
const PAST: &str = "2023-11-01T00:00:00.000Z";

/// A document whose digest is sent along, as clients have to.
fn put_document(target: &str, document: &str) -> Call {
    let digest = Checksum::of(ChecksumAlgorithm::Crc32, document.as_bytes());
    put(target, document.to_owned()).header("x-amz-checksum-crc32", &digest.to_base64())
}

fn put_body(target: &str, body: &str) -> Call {
    put_document(target, body)
}

fn configuration(rule: &str) -> String {
    format!("<ObjectLockConfiguration>{ENABLED}{rule}</ObjectLockConfiguration>")
}

fn rule(mode: &str, period: &str) -> String {
    format!("<Rule><DefaultRetention><Mode>{mode}</Mode>{period}</DefaultRetention></Rule>")
}

fn retention(mode: &str, until: &str) -> String {
    format!("<Retention><Mode>{mode}</Mode><RetainUntilDate>{until}</RetainUntilDate></Retention>")
}

fn legal_hold(status: &str) -> String {
    format!("<LegalHold><Status>{status}</Status></LegalHold>")
}

fn versioning(status: &str) -> String {
    format!("<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>")
}

fn bypassing(call: Call) -> Call {
    call.header("x-amz-bypass-governance-retention", "true")
}

async fn locked_bucket(world: &World, name: &str) {
    let create = put(&format!("/{name}"), "").header("x-amz-bucket-object-lock-enabled", "true");
    world.succeed(create).await;
}

fn version_of(reply: &Reply) -> String {
    reply.header("x-amz-version-id").unwrap().to_owned()
}

#[tokio::test]
async fn a_bucket_is_created_with_object_lock() {
    let world = World::new().await;
    locked_bucket(&world, "lock").await;
    let answer = world.succeed(get("/lock?object-lock")).await;
    assert_eq!(answer.element("ObjectLockEnabled").unwrap(), "Enabled");
    assert_eq!(answer.element("Rule"), None);
    let answer = world.succeed(get("/lock?versioning")).await;
    assert_eq!(answer.element("Status").unwrap(), "Enabled");
    let suspend = put("/lock?versioning", versioning("Suspended"));
    world.send(suspend).await.refused(409, "InvalidBucketState");
    world
        .succeed(put("/lock?versioning", versioning("Enabled")))
        .await;

    let create = put("/plain", "").header("x-amz-bucket-object-lock-enabled", "false");
    world.succeed(create).await;
    let answer = world.send(get("/plain?object-lock")).await;
    answer.refused(404, "ObjectLockConfigurationNotFoundError");
    let create = put("/other", "").header("x-amz-bucket-object-lock-enabled", "perhaps");
    world.send(create).await.refused(400, "InvalidArgument");
    // Who may not lock may not create what is locked.
    let editor = world.key("*", Role::Editor).await;
    let create = put("/other", "").header("x-amz-bucket-object-lock-enabled", "true");
    let allowed = world.send_by(Some(&editor), create).await;
    let asked = put_document("/lock?object-lock", &configuration(""));
    let may_configure = world
        .send_by(Some(&editor), asked)
        .await
        .status
        .is_success();
    assert_eq!(allowed.status.is_success(), may_configure);
}

#[tokio::test]
async fn object_lock_is_configured() {
    let world = World::new().await;
    world.succeed(put("/bkt", "")).await;
    let target = "/bkt?object-lock";
    let day = rule("GOVERNANCE", "<Days>1</Days>");
    for status in ["", "Suspended", "Enabled"] {
        if !status.is_empty() {
            world
                .succeed(put("/bkt?versioning", versioning(status)))
                .await;
        }
        let answer = world.send(put_document(target, &configuration(&day))).await;
        match status {
            "Enabled" => answer.is(200),
            _ => answer.refused(409, "InvalidBucketState"),
        };
    }
    let answer = world.succeed(get(target)).await;
    assert_eq!(answer.element("Mode").unwrap(), "GOVERNANCE");
    assert_eq!(answer.element("Days").unwrap(), "1");
    // A body that nothing protects.
    let bare = put(target, configuration(&day));
    world.send(bare).await.refused(400, "InvalidRequest");
    for (period, code) in [
        ("<Days>0</Days>", "InvalidRetentionPeriod"),
        ("<Years>-1</Years>", "InvalidRetentionPeriod"),
        ("<Days>1</Days><Years>1</Years>", "MalformedXML"),
    ] {
        let document = configuration(&rule("GOVERNANCE", period));
        let answer = world.send(put_document(target, &document)).await;
        answer.refused(400, code);
    }
    // Without a rule there is no default any more; what has one keeps it.
    let first = world.succeed(put("/bkt/k", "body")).await;
    world
        .succeed(put_document(target, &configuration("")))
        .await;
    let second = world.succeed(put("/bkt/k", "body")).await;
    let of = |reply: &Reply| head(&format!("/bkt/k?versionId={}", version_of(reply)));
    let answer = world.succeed(of(&first)).await;
    answer.has("x-amz-object-lock-mode", "GOVERNANCE").has(
        "x-amz-object-lock-retain-until-date",
        "2023-11-15T22:13:20.000Z",
    );
    world
        .succeed(of(&second))
        .await
        .lacks("x-amz-object-lock-mode");
}

#[tokio::test]
async fn every_way_of_writing_locks() {
    let world = World::new().await;
    locked_bucket(&world, "bkt").await;
    world.succeed(put("/bkt/source", "source")).await;
    let locks = |call: Call| {
        call.header("x-amz-object-lock-mode", "COMPLIANCE")
            .header("x-amz-object-lock-retain-until-date", UNTIL)
            .header("x-amz-object-lock-legal-hold", "ON")
    };
    let written = world.succeed(locks(put_body("/bkt/put", "body"))).await;
    let copied = put("/bkt/copy", "").header("x-amz-copy-source", "/bkt/source");
    let copied = world.succeed(locks(copied)).await;
    let create = world.succeed(locks(post("/bkt/parts?uploads", ""))).await;
    let id = create.element("UploadId").unwrap();
    let part = put(&format!("/bkt/parts?partNumber=1&uploadId={id}"), "part");
    let part = world.succeed(part).await;
    let part = part_element(1, part.header("etag").unwrap());
    let completed = world.succeed(complete("/bkt/parts", &id, &part)).await;
    for (key, reply) in [("put", written), ("copy", copied), ("parts", completed)] {
        let target = format!("/bkt/{key}?versionId={}", version_of(&reply));
        for call in [head(&target), get(&target)] {
            let answer = world.succeed(call).await;
            answer
                .has("x-amz-object-lock-mode", "COMPLIANCE")
                .has("x-amz-object-lock-retain-until-date", UNTIL)
                .has("x-amz-object-lock-legal-hold", "ON");
        }
        let answer = world.send(bypassing(delete(&target))).await;
        answer.refused(403, "AccessDenied");
    }
    // A copy of what is locked is not locked.
    let copy = put("/bkt/free", "").header("x-amz-copy-source", "/bkt/put");
    let copied = world.succeed(copy).await;
    let target = format!("/bkt/free?versionId={}", version_of(&copied));
    world
        .succeed(head(&target))
        .await
        .lacks("x-amz-object-lock-mode");
    world.succeed(delete(&target)).await;
    // Nor do deletions without a version mind: they leave a delete marker.
    let marker = world.succeed(delete("/bkt/put")).await;
    marker.has("x-amz-delete-marker", "true");
}

#[tokio::test]
async fn what_writers_may_not_say() {
    let world = World::new().await;
    locked_bucket(&world, "bkt").await;
    world.succeed(put("/plain", "")).await;
    let mode = ("x-amz-object-lock-mode", "GOVERNANCE");
    let until = ("x-amz-object-lock-retain-until-date", UNTIL);
    for (headers, code) in [
        (&[mode][..], "InvalidArgument"),
        (&[until], "InvalidArgument"),
        (
            &[("x-amz-object-lock-mode", "governance"), until],
            "InvalidArgument",
        ),
        (
            &[mode, ("x-amz-object-lock-retain-until-date", PAST)],
            "InvalidArgument",
        ),
        (
            &[mode, ("x-amz-object-lock-retain-until-date", "soon")],
            "InvalidArgument",
        ),
        (
            &[("x-amz-object-lock-legal-hold", "maybe")],
            "InvalidArgument",
        ),
    ] {
        let with = |call: Call| {
            headers
                .iter()
                .fold(call, |call, (name, value)| call.header(name, value))
        };
        world
            .send(with(put_body("/bkt/k", "body")))
            .await
            .refused(400, code);
        world
            .send(with(post("/bkt/k?uploads", "")))
            .await
            .refused(400, code);
    }
    let locked = |call: Call| call.header(mode.0, mode.1).header(until.0, until.1);
    let answer = world.send(locked(put("/bkt/k", "body"))).await;
    answer.refused(400, "InvalidRequest");
    let answer = world.send(locked(put_body("/plain/k", "body"))).await;
    let message = answer
        .refused(400, "InvalidRequest")
        .element("Message")
        .unwrap();
    assert_eq!(message, "Bucket is missing Object Lock Configuration");
    world.send(get("/bkt/k")).await.refused(404, "NoSuchKey");
    world.succeed(put("/plain/k", "body")).await;
    for call in [
        get("/plain/k?retention"),
        get("/plain/k?legal-hold"),
        put_document("/plain/k?retention", &retention("GOVERNANCE", UNTIL)),
        put_document("/plain/k?legal-hold", &legal_hold("ON")),
    ] {
        world.send(call).await.refused(400, "InvalidRequest");
    }
}

#[tokio::test]
async fn retention_is_prolonged_and_not_shortened() {
    let world = World::new().await;
    locked_bucket(&world, "bkt").await;
    for (mode, other) in [("GOVERNANCE", "COMPLIANCE"), ("COMPLIANCE", "GOVERNANCE")] {
        let written = world.succeed(put("/bkt/k", "body")).await;
        let version = version_of(&written);
        let target = format!("/bkt/k?retention&versionId={version}");
        let answer = world.send(get(&target)).await;
        answer.refused(404, "NoSuchObjectLockConfiguration");
        let set = |mode: &str, until: &str| put_document(&target, &retention(mode, until));
        world
            .send(set(mode, PAST))
            .await
            .refused(400, "InvalidArgument");
        world
            .send(set("abc", UNTIL))
            .await
            .refused(400, "MalformedXML");
        world.succeed(set(mode, UNTIL)).await;
        world.succeed(set(mode, LATER)).await;
        for call in [
            set(mode, SOONER),
            set(other, LATER),
            put_document(&target, "<Retention/>"),
            delete(&format!("/bkt/k?versionId={version}")),
        ] {
            world.send(call).await.refused(403, "AccessDenied");
        }
        let answer = world.succeed(get(&target)).await;
        assert_eq!(answer.element("Mode").unwrap(), mode);
        assert_eq!(answer.element("RetainUntilDate").unwrap(), LATER);
        let bypassed = [
            bypassing(set(mode, SOONER)),
            bypassing(put_document(&target, "<Retention/>")),
            bypassing(set(other, UNTIL)),
        ];
        for call in bypassed {
            let answer = world.send(call).await;
            match mode {
                "GOVERNANCE" => answer.is(200),
                _ => answer.refused(403, "AccessDenied"),
            };
        }
    }
    // Time ends it.
    let versions = world
        .succeed(get("/bkt?versions"))
        .await
        .elements("VersionId");
    assert_eq!(versions.len(), 2);
    world.advance_ms(30 * DAY_MS);
    for version in versions {
        world
            .succeed(delete(&format!("/bkt/k?versionId={version}")))
            .await;
    }
}

#[tokio::test]
async fn a_legal_hold_has_no_end() {
    let world = World::new().await;
    locked_bucket(&world, "bkt").await;
    let version = version_of(&world.succeed(put("/bkt/k", "body")).await);
    let hold = "/bkt/k?legal-hold";
    let answer = world.send(get(hold)).await;
    answer.refused(404, "NoSuchObjectLockConfiguration");
    let bare = put(hold, legal_hold("ON"));
    world.send(bare).await.refused(400, "InvalidRequest");
    let answer = world.send(put_document(hold, &legal_hold("abc"))).await;
    answer.refused(400, "MalformedXML");
    let target = format!("/bkt/k?versionId={version}");
    for (status, deleted) in [("ON", false), ("OFF", true)] {
        world.succeed(put_document(hold, &legal_hold(status))).await;
        let answer = world.succeed(get(hold)).await;
        assert_eq!(answer.element("Status").unwrap(), status);
        world
            .succeed(head("/bkt/k"))
            .await
            .has("x-amz-object-lock-legal-hold", status);
        world.advance_ms(100_000 * DAY_MS);
        let answer = world.send(bypassing(delete(&target))).await;
        match deleted {
            true => answer.is(204),
            false => answer.refused(403, "AccessDenied"),
        };
    }
}

#[tokio::test]
async fn a_delete_marker_has_no_lock() {
    let world = World::new().await;
    locked_bucket(&world, "bkt").await;
    let document = configuration(&rule("COMPLIANCE", "<Days>1</Days>"));
    world
        .succeed(put_document("/bkt?object-lock", &document))
        .await;
    let version = version_of(&world.succeed(put("/bkt/k", "body")).await);
    let marker = version_of(&world.succeed(delete("/bkt/k")).await);
    let target = format!("/bkt/k?retention&versionId={marker}");
    let set = put_document(&target, &retention("COMPLIANCE", UNTIL));
    world.send(set).await.refused(405, "MethodNotAllowed");
    world
        .send(get(&target))
        .await
        .refused(405, "MethodNotAllowed");
    world
        .succeed(delete(&format!("/bkt/k?versionId={marker}")))
        .await;
    let answer = world
        .send(delete(&format!("/bkt/k?versionId={version}")))
        .await;
    answer.refused(403, "AccessDenied");
    world
        .send(delete("/bkt"))
        .await
        .refused(409, "BucketNotEmpty");
}

#[tokio::test]
async fn many_are_deleted_but_what_is_locked() {
    let world = World::new().await;
    locked_bucket(&world, "bkt").await;
    let locked = version_of(&world.succeed(put("/bkt/locked", "body")).await);
    let free = version_of(&world.succeed(put("/bkt/free", "body")).await);
    let set = put_document("/bkt/locked?retention", &retention("GOVERNANCE", UNTIL));
    world.succeed(set).await;
    let object = |key: &str, version: &str| {
        format!("<Object><Key>{key}</Key><VersionId>{version}</VersionId></Object>")
    };
    let objects = object("locked", &locked) + &object("free", &free);
    let document = format!("<Delete>{objects}</Delete>");
    let many = || call("POST", "/bkt?delete", document.clone());
    let answer = world.succeed(many()).await;
    assert_eq!(answer.elements("Code"), ["AccessDenied"]);
    assert_eq!(answer.elements("Key"), ["free", "locked"]);
    let answer = world.succeed(bypassing(many())).await;
    assert_eq!(answer.elements("Code"), [""; 0]);
    world
        .send(get("/bkt/locked"))
        .await
        .refused(404, "NoSuchKey");
}

/// Every permission that Object Lock has.
#[tokio::test]
async fn who_may_lock_and_unlock() {
    let world = World::new().await;
    locked_bucket(&world, "bkt").await;
    let version = version_of(&world.succeed(put("/bkt/k", "body")).await);
    let set = put_document("/bkt/k?retention", &retention("GOVERNANCE", UNTIL));
    world.succeed(set).await;
    let editor = world.key("bkt", Role::Editor).await;
    let target = format!("/bkt/k?versionId={version}");
    // To ask for what one may not do is to ask in vain.
    let answer = world
        .send_by(Some(&editor), bypassing(delete(&target)))
        .await;
    answer.refused(403, "AccessDenied");
    let reader = world.key("bkt", Role::ReadOnly).await;
    for call in [
        put_document("/bkt/k?retention", &retention("GOVERNANCE", LATER)),
        put_document("/bkt/k?legal-hold", &legal_hold("ON")),
        put_document("/bkt?object-lock", &configuration("")),
    ] {
        let answer = world.send_by(Some(&reader), call).await;
        answer.refused(403, "AccessDenied");
    }
    let answer = world.send_by(Some(&reader), head("/bkt/k")).await;
    answer.is(200).has("x-amz-object-lock-mode", "GOVERNANCE");
    // Whoever reads a public object learns nothing about its lock.
    let public = put_body("/bkt/public", "body")
        .header("x-amz-acl", "public-read")
        .header("x-amz-object-lock-legal-hold", "ON");
    world.succeed(public).await;
    let answer = world.send_by(None, get("/bkt/public")).await;
    answer.is(200).lacks("x-amz-object-lock-legal-hold");
    world.succeed(bypassing(delete(&target))).await;
}

/// Policies see a lock wherever a request brings it: in a header, or in the body.
/// Source: S3 User Guide, "Managing Object Lock", "Setting limits on retention periods".
#[tokio::test]
async fn a_policy_limits_how_long_anything_is_locked() {
    let world = World::new().await;
    locked_bucket(&world, "lock").await;
    world.succeed(put("/lock/k", "body")).await;
    let policy = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Deny","Principal":"*","Action":["s3:PutObject","s3:PutObjectRetention"],
        "Resource":"arn:aws:s3:::lock/*",
        "Condition":{"NumericGreaterThan":{"s3:object-lock-remaining-retention-days":"10"}}},
        {"Effect":"Deny","Principal":"*","Action":"s3:PutObjectRetention",
        "Resource":"arn:aws:s3:::lock/*",
        "Condition":{"StringEquals":{"s3:object-lock-mode":"COMPLIANCE"}}},
        {"Effect":"Deny","Principal":"*","Action":"s3:PutObjectLegalHold",
        "Resource":"arn:aws:s3:::lock/*",
        "Condition":{"StringEquals":{"s3:object-lock-legal-hold":"ON"}}}]}"#;
    world.send(put("/lock?policy", policy)).await.is(204);
    let soon = "2023-11-20T00:00:00.000Z";
    let locked = |until: &str| {
        put_body("/lock/new", "body")
            .header("x-amz-object-lock-mode", "GOVERNANCE")
            .header("x-amz-object-lock-retain-until-date", until)
    };
    world.send(locked(UNTIL)).await.refused(403, "AccessDenied");
    world.succeed(locked(soon)).await;
    for (mode, until) in [("GOVERNANCE", UNTIL), ("COMPLIANCE", soon)] {
        let set = put_document("/lock/k?retention", &retention(mode, until));
        world.send(set).await.refused(403, "AccessDenied");
    }
    // What a header says is not what is set.
    let set = put_document("/lock/k?retention", &retention("GOVERNANCE", UNTIL))
        .header("x-amz-object-lock-retain-until-date", soon);
    world.send(set).await.refused(403, "AccessDenied");
    let answer = world.send(get("/lock/k?retention")).await;
    answer.refused(404, "NoSuchObjectLockConfiguration");
    let set = put_document("/lock/k?retention", &retention("GOVERNANCE", soon));
    world.succeed(set).await;
    let set = put_document("/lock/k?legal-hold", &legal_hold("ON"));
    world.send(set).await.refused(403, "AccessDenied");
    let set = put_document("/lock/k?legal-hold", &legal_hold("OFF"));
    world.succeed(set).await;
}

/// A part of a day counts, whether it makes a retention too long or too short; a begun minute is one.
#[tokio::test]
async fn days_of_retention_are_not_rounded() {
    let world = World::new().await;
    locked_bucket(&world, "lock").await;
    world.succeed(put("/lock/k", "body")).await;
    // The tests begin at 22:13:20.
    let locked = |until: &str| {
        put_body("/lock/new", "body")
            .header("x-amz-object-lock-mode", "GOVERNANCE")
            .header("x-amz-object-lock-retain-until-date", until)
    };
    for (condition, until, is_denied) in [
        ("NumericGreaterThan", "2023-11-24T21:13:20.000Z", false),
        ("NumericGreaterThan", "2023-11-24T22:13:20.000Z", false),
        ("NumericEquals", "2023-11-24T22:12:59.000Z", true),
        ("NumericGreaterThan", "2023-11-24T22:13:21.000Z", true),
        ("NumericGreaterThan", "2023-11-24T23:13:20.000Z", true),
        ("NumericLessThan", "2023-11-24T21:13:20.000Z", true),
        ("NumericLessThan", "2023-11-24T22:12:20.000Z", true),
        ("NumericLessThan", "2023-11-24T22:12:21.000Z", false),
        ("NumericLessThan", "2023-11-24T22:13:20.000Z", false),
        ("NumericLessThan", "2023-11-24T23:13:20.000Z", false),
    ] {
        let policy = format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Deny","Principal":"*",
                "Action":["s3:PutObject","s3:PutObjectRetention"],"Resource":"arn:aws:s3:::lock/*",
                "Condition":{{"{condition}":{{"s3:object-lock-remaining-retention-days":"10"}}}}}}}}"#
        );
        world.send(put("/lock?policy", policy)).await.is(204);
        let set = put_document("/lock/k?retention", &retention("GOVERNANCE", until));
        for call in [locked(until), bypassing(set)] {
            let status = world.send(call).await.status.as_u16();
            assert_eq!(status == 403, is_denied, "{condition} {until} {status}");
        }
    }
}
