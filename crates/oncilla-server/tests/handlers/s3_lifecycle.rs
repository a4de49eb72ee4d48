//! Lifecycle rules, storage classes and restorations as clients see them, on a clock that is stepped.

use crate::support::{Call, PART_BYTES, World, call, delete, get, head, post, put};
use oncilla_hash::{Checksum, ChecksumAlgorithm};
use oncilla_store::lifecycle::Calendar;

const DAY_MS: u64 = 86_400_000;

fn put_rules(rules: &str) -> Call {
    let document = format!("<LifecycleConfiguration>{rules}</LifecycleConfiguration>");
    let checksum = Checksum::of(ChecksumAlgorithm::Crc32, document.as_bytes());
    put("/bucket?lifecycle", document).header("x-amz-checksum-crc32", &checksum.to_base64())
}

fn rule(id: &str, filter: &str, actions: &str) -> String {
    format!("<Rule><ID>{id}</ID><Filter>{filter}</Filter><Status>Enabled</Status>{actions}</Rule>")
}

fn expire(days: u32) -> String {
    format!("<Expiration><Days>{days}</Days></Expiration>")
}

fn transition(days: u32, class: &str) -> String {
    format!("<Transition><Days>{days}</Days><StorageClass>{class}</StorageClass></Transition>")
}

async fn world() -> World {
    let world = World::new().await;
    world.succeed(put("/bucket", "")).await;
    world
}

async fn versioned() -> World {
    let world = world().await;
    let document = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    world.succeed(put("/bucket?versioning", document)).await;
    world
}

/// Lets days pass, each with its round of the worker.
async fn pass_days(world: &World, days: u64) {
    for _ in 0..days {
        world.advance_ms(DAY_MS);
        world.store.lifecycle_round(Calendar::REAL).await.unwrap();
    }
}

async fn keys(world: &World) -> Vec<String> {
    world.succeed(get("/bucket")).await.elements("Key")
}

#[tokio::test]
async fn rules_are_kept_named_answered_and_removed() {
    let world = world().await;
    world
        .send(get("/bucket?lifecycle"))
        .await
        .refused(404, "NoSuchLifecycleConfiguration");
    world.succeed(delete("/bucket?lifecycle")).await.is(204);
    let rules = rule("named", "<Prefix>a/</Prefix>", &expire(3))
        + "<Rule><Prefix>b/</Prefix><Status>Disabled</Status>\
           <Expiration><Date>2030-01-01T00:00:00Z</Date></Expiration></Rule>";
    world.succeed(put_rules(&rules)).await.is(200).has(
        "x-amz-transition-default-minimum-object-size",
        "all_storage_classes_128K",
    );
    let answer = world.succeed(get("/bucket?lifecycle")).await;
    let ids = answer.elements("ID");
    assert_eq!(ids[0], "named");
    assert!(ids.len() == 2 && !ids[1].is_empty() && ids[1] != ids[0]);
    assert_eq!(answer.elements("Prefix"), ["a/", "b/"]);
    assert_eq!(answer.elements("Status"), ["Enabled", "Disabled"]);
    assert_eq!(answer.element("Days").as_deref(), Some("3"));
    assert_eq!(
        answer.element("Date").as_deref(),
        Some("2030-01-01T00:00:00.000Z")
    );

    let varies = put_rules(&rules).header(
        "x-amz-transition-default-minimum-object-size",
        "varies_by_storage_class",
    );
    world.succeed(varies).await;
    world.succeed(get("/bucket?lifecycle")).await.has(
        "x-amz-transition-default-minimum-object-size",
        "varies_by_storage_class",
    );
    let wrong = put_rules(&rules).header("x-amz-transition-default-minimum-object-size", "none");
    world.send(wrong).await.refused(400, "InvalidArgument");

    world.succeed(delete("/bucket?lifecycle")).await.is(204);
    world
        .send(get("/bucket?lifecycle"))
        .await
        .refused(404, "NoSuchLifecycleConfiguration");
}

#[tokio::test]
async fn rules_that_are_refused_leave_those_before() {
    let world = world().await;
    world.succeed(put_rules(&rule("old", "", &expire(1)))).await;
    let document = "<LifecycleConfiguration/>";
    let unsummed = put("/bucket?lifecycle", document);
    world.send(unsummed).await.refused(400, "InvalidRequest");
    let other =
        put("/bucket?lifecycle", document).header("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==");
    world.send(other).await.refused(400, "BadDigest");
    for (rules, code) in [
        (String::new(), "MalformedXML"),
        (rule("r", "", &expire(0)), "InvalidArgument"),
        (rule("r", "", ""), "InvalidRequest"),
        (
            rule("r", "", &transition(1, "STANDARD_IA")),
            "InvalidArgument",
        ),
        (
            rule("r", "", &expire(1)) + &rule("r", "<Prefix>a</Prefix>", &expire(1)),
            "InvalidArgument",
        ),
    ] {
        world.send(put_rules(&rules)).await.refused(400, code);
    }
    let answer = world.succeed(get("/bucket?lifecycle")).await;
    assert_eq!(answer.elements("ID"), ["old"]);
    let stranger = world.stranger().await;
    let refused = world
        .send_by(Some(&stranger), get("/bucket?lifecycle"))
        .await;
    refused.refused(403, "AccessDenied");
}

#[tokio::test]
async fn answers_tell_when_an_object_expires() {
    let world = world().await;
    world
        .succeed(put_rules(&rule(
            "my rule",
            "<Prefix>a</Prefix>",
            &expire(1),
        )))
        .await;
    // Written on 14 November at 22:13.
    let expected = "expiry-date=\"Thu, 16 Nov 2023 00:00:00 GMT\", rule-id=\"my%20rule\"";
    let name = "x-amz-expiration";
    world
        .succeed(put("/bucket/a", "body"))
        .await
        .has(name, expected);
    world.succeed(get("/bucket/a")).await.has(name, expected);
    world.succeed(head("/bucket/a")).await.has(name, expected);
    let copy = put("/bucket/a2", "").header("x-amz-copy-source", "/bucket/a");
    world.succeed(copy).await.has(name, expected);
    let copy = put("/bucket/b", "").header("x-amz-copy-source", "/bucket/a");
    world.succeed(copy).await.lacks(name);
    world
        .upload("/bucket/a3", &[], &[b"part"])
        .await
        .has(name, expected);
    world.succeed(put("/bucket/b", "body")).await.lacks(name);
    world.succeed(head("/bucket/b")).await.lacks(name);
}

#[tokio::test]
async fn objects_expire_at_midnight_and_those_written_anew_stay() {
    let world = world().await;
    world
        .succeed(put_rules(&rule("r", "<Prefix>a/</Prefix>", &expire(2))))
        .await;
    for key in ["a/1", "a/2", "b/1"] {
        world.succeed(put(&format!("/bucket/{key}"), "body")).await;
    }
    pass_days(&world, 1).await;
    world.succeed(put("/bucket/a/2", "again")).await;
    pass_days(&world, 1).await;
    // Two days have passed, and the midnight after them has not.
    assert_eq!(keys(&world).await, ["a/1", "a/2", "b/1"]);
    pass_days(&world, 1).await;
    assert_eq!(keys(&world).await, ["a/2", "b/1"]);
    pass_days(&world, 1).await;
    assert_eq!(keys(&world).await, ["b/1"]);
    let stats = world.store.lifecycle_stats();
    assert_eq!((stats.expired_objects, stats.expired_bytes), (2, 9));
    assert_eq!(stats.failures, 0);
}

#[tokio::test]
async fn current_versions_become_noncurrent_and_these_are_deleted() {
    let world = versioned().await;
    let noncurrent = "<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays>\
                      </NoncurrentVersionExpiration>";
    let rules = rule("r", "", &format!("{}{noncurrent}", expire(1)));
    world.succeed(put_rules(&rules)).await;
    world.succeed(put("/bucket/k", "first")).await;
    world.succeed(put("/bucket/k", "second")).await;
    let versions = async || {
        let listed = world.succeed(get("/bucket?versions")).await;
        (
            listed.elements("Version").len(),
            listed.elements("DeleteMarker").len(),
        )
    };
    assert_eq!(versions().await, (2, 0));
    pass_days(&world, 1).await;
    assert_eq!(versions().await, (2, 0));
    // The first goes, and the second is hidden.
    pass_days(&world, 1).await;
    assert_eq!(versions().await, (1, 1));
    world.send(get("/bucket/k")).await.refused(404, "NoSuchKey");
    pass_days(&world, 2).await;
    // The second is gone, and so is, or will be, the marker that stands alone.
    pass_days(&world, 2).await;
    assert_eq!(versions().await, (0, 0));
    world.succeed(delete("/bucket")).await;
}

#[tokio::test]
async fn newer_noncurrent_versions_are_kept() {
    let world = versioned().await;
    let text = "<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays>\
                <NewerNoncurrentVersions>2</NewerNoncurrentVersions></NoncurrentVersionExpiration>";
    world.succeed(put_rules(&rule("r", "", text))).await;
    for number in 0..6 {
        world
            .succeed(put("/bucket/k", format!("body {number}")))
            .await;
    }
    pass_days(&world, 3).await;
    let listed = world.succeed(get("/bucket?versions")).await;
    assert_eq!(listed.elements("Version").len(), 3);
    world.succeed(get("/bucket/k")).await.body_is(b"body 5");
}

#[tokio::test]
async fn uploads_that_nobody_completes_are_aborted() {
    let world = world().await;
    let abort = "<AbortIncompleteMultipartUpload><DaysAfterInitiation>2</DaysAfterInitiation>\
                 </AbortIncompleteMultipartUpload>";
    world
        .succeed(put_rules(&rule("a&amp;b", "<Prefix>a</Prefix>", abort)))
        .await;
    let created = world.succeed(post("/bucket/a?uploads", "")).await;
    let date = "Fri, 17 Nov 2023 00:00:00 GMT";
    let created = created
        .has("x-amz-abort-date", date)
        .has("x-amz-abort-rule-id", "a%26b");
    let id = created.element("UploadId").unwrap();
    let parts = world
        .succeed(get(&format!("/bucket/a?uploadId={id}")))
        .await;
    parts
        .has("x-amz-abort-date", date)
        .has("x-amz-abort-rule-id", "a%26b");
    world
        .succeed(post("/bucket/b?uploads", ""))
        .await
        .lacks("x-amz-abort-date");
    pass_days(&world, 2).await;
    assert_eq!(
        world
            .succeed(get("/bucket?uploads"))
            .await
            .elements("UploadId")
            .len(),
        2
    );
    pass_days(&world, 1).await;
    let left = world.succeed(get("/bucket?uploads")).await;
    assert_eq!(left.elements("Key"), ["b"]);
}

#[tokio::test]
async fn objects_go_down_the_classes_and_small_ones_stay() {
    let world = world().await;
    let actions = transition(1, "GLACIER_IR") + &transition(3, "GLACIER") + &expire(5);
    world.succeed(put_rules(&rule("r", "", &actions))).await;
    let large = vec![b'x'; 200 << 10];
    world.succeed(put("/bucket/large", large.clone())).await;
    world.succeed(put("/bucket/small", "body")).await;
    let classes = async || world.succeed(get("/bucket")).await.elements("StorageClass");
    pass_days(&world, 1).await;
    assert_eq!(classes().await, ["STANDARD", "STANDARD"]);
    pass_days(&world, 1).await;
    assert_eq!(classes().await, ["GLACIER_IR", "STANDARD"]);
    world
        .succeed(get("/bucket/large"))
        .await
        .body_is(&large)
        .has("x-amz-storage-class", "GLACIER_IR");
    let written = world.succeed(head("/bucket/large")).await;
    written.has("last-modified", crate::support::START_DATE);
    pass_days(&world, 2).await;
    assert_eq!(classes().await, ["GLACIER", "STANDARD"]);
    world
        .send(get("/bucket/large"))
        .await
        .refused(403, "InvalidObjectState");
    pass_days(&world, 2).await;
    assert!(keys(&world).await.is_empty());
    assert_eq!(world.store.lifecycle_stats().transitions, 2);
}

const RESTORE: &str = "<RestoreRequest><Days>2</Days></RestoreRequest>";

#[tokio::test]
async fn archived_objects_are_read_once_they_are_restored() {
    let world = world().await;
    let body = vec![b'x'; 300 << 10];
    let archived = put("/bucket/k", body.clone()).header("x-amz-storage-class", "GLACIER");
    world.succeed(archived).await;
    world
        .upload(
            "/bucket/parts",
            &[("x-amz-storage-class", "DEEP_ARCHIVE")],
            &[&vec![b'y'; PART_BYTES], b"z"],
        )
        .await;
    for (key, class) in [("k", "GLACIER"), ("parts", "DEEP_ARCHIVE")] {
        let target = format!("/bucket/{key}");
        let refused = world
            .send(get(&target))
            .await
            .refused(403, "InvalidObjectState");
        assert_eq!(refused.element("StorageClass").as_deref(), Some(class));
        world
            .succeed(head(&target))
            .await
            .has("x-amz-storage-class", class)
            .lacks("x-amz-restore");
        world.succeed(head(&format!("{target}?partNumber=1"))).await;
        let attributes = call("GET", &format!("{target}?attributes"), "")
            .header("x-amz-object-attributes", "ObjectParts,StorageClass");
        assert_eq!(
            world
                .succeed(attributes)
                .await
                .element("StorageClass")
                .as_deref(),
            Some(class)
        );
        let copy = put("/bucket/copy", "").header("x-amz-copy-source", &target);
        world
            .send(copy)
            .await
            .refused(403, "ObjectNotInActiveTierError");
        let id = world
            .succeed(post("/bucket/copy?uploads", ""))
            .await
            .element("UploadId")
            .unwrap();
        let part = put(&format!("/bucket/copy?partNumber=1&uploadId={id}"), "")
            .header("x-amz-copy-source", &target);
        world
            .send(part)
            .await
            .refused(403, "ObjectNotInActiveTierError");

        let ask = || post(&format!("{target}?restore"), RESTORE);
        world.succeed(ask()).await.is(202);
        let expiry = "ongoing-request=\"false\", expiry-date=\"Fri, 17 Nov 2023 00:00:00 GMT\"";
        world
            .succeed(get(&target))
            .await
            .has("x-amz-restore", expiry);
        world
            .succeed(head(&target))
            .await
            .has("x-amz-restore", expiry);
        world.succeed(ask()).await.is(200);
    }
    world.succeed(get("/bucket/k")).await.body_is(&body);
    for listing in ["/bucket?list-type=2", "/bucket", "/bucket?versions"] {
        let plain = world.succeed(get(listing)).await;
        assert!(!plain.text().contains("RestoreStatus"));
        let asked = get(listing).header("x-amz-optional-object-attributes", "RestoreStatus");
        let told = world.succeed(asked).await;
        assert_eq!(told.elements("IsRestoreInProgress"), ["false", "false"]);
        assert_eq!(
            told.elements("RestoreExpiryDate"),
            ["2023-11-17T00:00:00.000Z"; 2]
        );
        let other = get(listing).header("x-amz-optional-object-attributes", "Colour");
        world.send(other).await.refused(400, "InvalidArgument");
    }
    let copy = put("/bucket/copy", "").header("x-amz-copy-source", "/bucket/k");
    world.succeed(copy).await;
    world
        .succeed(get("/bucket/copy"))
        .await
        .body_is(&body)
        .lacks("x-amz-storage-class")
        .lacks("x-amz-restore");
    // The restoration ends by itself.
    world.advance_ms(3 * DAY_MS);
    world
        .send(get("/bucket/k"))
        .await
        .refused(403, "InvalidObjectState");
    world
        .succeed(head("/bucket/k"))
        .await
        .lacks("x-amz-restore");
    world
        .succeed(post("/bucket/k?restore", RESTORE))
        .await
        .is(202);
    let to_itself = put("/bucket/k", "")
        .header("x-amz-copy-source", "/bucket/k")
        .header("x-amz-storage-class", "STANDARD_IA");
    world.succeed(to_itself).await;
    world.advance_ms(30 * DAY_MS);
    world
        .succeed(get("/bucket/k"))
        .await
        .body_is(&body)
        .has("x-amz-storage-class", "STANDARD_IA");
}

#[tokio::test]
async fn restorations_take_their_time_and_are_refused_where_they_make_no_sense() {
    let options = oncilla_store::StoreOptions {
        restore_time: std::time::Duration::from_secs(3_600),
        ..Default::default()
    };
    let engine = std::sync::Arc::new(oncilla_meta::memory::MemoryEngine::new());
    let world = World::on(engine, options).await;
    world.succeed(put("/bucket", "")).await;
    let archived = |key: &str, class: &str| {
        put(&format!("/bucket/{key}"), "body").header("x-amz-storage-class", class)
    };
    world.succeed(archived("k", "GLACIER")).await;
    world.succeed(archived("deep", "DEEP_ARCHIVE")).await;
    world.succeed(archived("instant", "GLACIER_IR")).await;
    world.succeed(get("/bucket/instant")).await.body_is(b"body");
    let ask = |key: &str, body: &str| post(&format!("/bucket/{key}?restore"), body.to_owned());
    world
        .send(ask("instant", RESTORE))
        .await
        .refused(403, "InvalidObjectState");
    world
        .send(ask("none", RESTORE))
        .await
        .refused(404, "NoSuchKey");
    world
        .send(ask("k", "<RestoreRequest/>"))
        .await
        .refused(400, "MalformedXML");
    let none = RESTORE.replace('2', "0");
    world
        .send(ask("k", &none))
        .await
        .refused(400, "InvalidArgument");
    let select = "<RestoreRequest><Type>SELECT</Type></RestoreRequest>";
    world
        .send(ask("k", select))
        .await
        .refused(501, "NotImplemented");
    let expedited = RESTORE.replace("</Days>", "</Days><Tier>Expedited</Tier>");
    world
        .send(ask("deep", &expedited))
        .await
        .refused(400, "InvalidArgument");
    world.succeed(ask("k", &expedited)).await.is(202);
    world
        .send(ask("k", RESTORE))
        .await
        .refused(409, "RestoreAlreadyInProgress");
    world
        .succeed(head("/bucket/k"))
        .await
        .has("x-amz-restore", "ongoing-request=\"true\"");
    world
        .send(get("/bucket/k"))
        .await
        .refused(403, "InvalidObjectState");
    world.advance_ms(3_600_000);
    world.succeed(get("/bucket/k")).await.body_is(b"body");
    for class in ["EXPRESS_ONEZONE", "OUTPOSTS", "SNOW", "standard"] {
        world
            .send(archived("k", class))
            .await
            .refused(400, "InvalidStorageClass");
    }
}

#[tokio::test]
async fn archived_versions_are_restored_by_their_id() {
    let world = versioned().await;
    let first = put("/bucket/k", "first").header("x-amz-storage-class", "GLACIER");
    let first = world
        .succeed(first)
        .await
        .header("x-amz-version-id")
        .unwrap()
        .to_owned();
    world.succeed(put("/bucket/k", "second")).await;
    let at_first = format!("/bucket/k?versionId={first}");
    world
        .send(get(&at_first))
        .await
        .refused(403, "InvalidObjectState");
    world
        .send(post("/bucket/k?restore", RESTORE))
        .await
        .refused(403, "InvalidObjectState");
    let restored = world
        .succeed(post(
            &format!("/bucket/k?restore&versionId={first}"),
            RESTORE,
        ))
        .await;
    restored.is(202).has("x-amz-version-id", &first);
    world.succeed(get(&at_first)).await.body_is(b"first");
}

/// A shortened day is the worker's alone.
#[tokio::test]
async fn a_shortened_day_expires_objects_early_and_answers_tell_real_dates() {
    let world = world().await;
    world.succeed(put_rules(&rule("r", "", &expire(3)))).await;
    let put = world.succeed(put("/bucket/k", "body")).await;
    put.has(
        "x-amz-expiration",
        "expiry-date=\"Sat, 18 Nov 2023 00:00:00 GMT\", rule-id=\"r\"",
    );
    let calendar = Calendar::with_day(std::time::Duration::from_secs(10));
    world.advance_ms(29_999);
    world.store.lifecycle_round(calendar).await.unwrap();
    assert_eq!(keys(&world).await, ["k"]);
    world.advance_ms(1);
    world.store.lifecycle_round(calendar).await.unwrap();
    assert!(keys(&world).await.is_empty());
}
