//! Versioning as clients see it: headers, statuses and documents.

use crate::support::{LATER_DATE, Reply, World, call, delete, get, head, post, put};

const VERSION_ID: &str = "x-amz-version-id";
const DELETE_MARKER: &str = "x-amz-delete-marker";

async fn set_versioning(world: &World, status: &str) {
    let document =
        format!("<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>");
    world.succeed(put("/bucket?versioning", document)).await;
}

/// A bucket `bucket` with versioning enabled.
async fn versioned() -> World {
    let world = World::new().await;
    world.succeed(put("/bucket", "")).await;
    set_versioning(&world, "Enabled").await;
    world
}

fn version_of(reply: &Reply) -> String {
    reply.header(VERSION_ID).unwrap().to_owned()
}

async fn put_version(world: &World, body: &str) -> String {
    version_of(&world.succeed(put("/bucket/key", body.to_owned())).await)
}

fn at(version: &str) -> String {
    format!("/bucket/key?versionId={version}")
}

#[tokio::test]
async fn versioning_is_switched_on_and_suspended_and_never_off() {
    let world = World::new().await;
    world.succeed(put("/bucket", "")).await;
    let status = async || {
        let reply = world.succeed(get("/bucket?versioning")).await;
        reply.element("Status")
    };
    assert_eq!(status().await, None);
    let empty = "<VersioningConfiguration/>";
    let refused = world.send(put("/bucket?versioning", empty)).await;
    refused.refused(400, "IllegalVersioningConfigurationException");
    let wrong = empty.replace("/>", "><Status>On</Status></VersioningConfiguration>");
    let refused = world.send(put("/bucket?versioning", wrong)).await;
    refused.refused(400, "MalformedXML");
    let mfa = "<VersioningConfiguration><Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>\
               </VersioningConfiguration>";
    let refused = world.send(put("/bucket?versioning", mfa)).await;
    refused.refused(501, "NotImplemented");
    assert_eq!(status().await, None);
    for next in ["Enabled", "Suspended", "Enabled"] {
        set_versioning(&world, next).await;
        assert_eq!(status().await.as_deref(), Some(next));
    }
}

#[tokio::test]
async fn versions_stay_until_they_are_deleted_by_id() {
    let world = World::new().await;
    world.succeed(put("/bucket", "")).await;
    let unversioned = world.succeed(put("/bucket/key", "null")).await;
    assert_eq!(unversioned.header(VERSION_ID), None);
    assert_eq!(
        world.succeed(get("/bucket/key")).await.header(VERSION_ID),
        None
    );
    set_versioning(&world, "Enabled").await;
    let first = put_version(&world, "first").await;
    let second = put_version(&world, "second").await;
    world
        .succeed(get("/bucket/key"))
        .await
        .body_is(b"second")
        .has(VERSION_ID, &second);
    world
        .succeed(head("/bucket/key"))
        .await
        .has(VERSION_ID, &second);
    for (version, body) in [("null", "null"), (&first, "first"), (&second, "second")] {
        let reply = world.succeed(get(&at(version))).await;
        reply.body_is(body.as_bytes()).has(VERSION_ID, version);
        world
            .succeed(head(&at(version)))
            .await
            .has(VERSION_ID, version);
    }
    let not_modified = get(&at(&first)).header("if-modified-since", LATER_DATE);
    world
        .send(not_modified)
        .await
        .is(304)
        .has(VERSION_ID, &first);

    let deleted = world.succeed(delete(&at(&second))).await.is(204);
    assert_eq!(deleted.header(DELETE_MARKER), None);
    assert_eq!(version_of(&deleted), second);
    world.succeed(get("/bucket/key")).await.body_is(b"first");
    world
        .send(get(&at(&second)))
        .await
        .refused(404, "NoSuchVersion");
    world.succeed(delete(&at(&second))).await.is(204);
    world
        .send(delete("/bucket"))
        .await
        .refused(409, "BucketNotEmpty");
}

#[tokio::test]
async fn a_delete_marker_hides_a_key_and_shows_as_one() {
    let world = versioned().await;
    let first = put_version(&world, "first").await;
    world.advance_ms(3_600_000);
    let deleted = world.succeed(delete("/bucket/key")).await.is(204);
    let deleted = deleted.has(DELETE_MARKER, "true");
    let marker = version_of(&deleted);
    for method in ["GET", "HEAD"] {
        let reply = world.send(call(method, "/bucket/key", "")).await.is(404);
        reply.has(DELETE_MARKER, "true").has(VERSION_ID, &marker);
        let reply = world.send(call(method, &at(&marker), "")).await.is(405);
        let reply = reply.has(DELETE_MARKER, "true").has("allow", "DELETE");
        reply
            .has("last-modified", LATER_DATE)
            .has(VERSION_ID, &marker);
        let missing = world.send(call(method, "/bucket/none", "")).await.is(404);
        missing.has(DELETE_MARKER, "false");
    }
    world
        .send(get(&at(&marker)))
        .await
        .refused(405, "MethodNotAllowed");
    for sub in ["tagging", "acl"] {
        let of_key = format!("/bucket/key?{sub}");
        world.send(get(&of_key)).await.refused(404, "NoSuchKey");
        let of_marker = format!("{of_key}&versionId={marker}");
        world
            .send(get(&of_marker))
            .await
            .refused(405, "MethodNotAllowed");
        let of_first = format!("{of_key}&versionId={first}");
        world.succeed(get(&of_first)).await.has(VERSION_ID, &first);
    }
    assert!(
        world
            .succeed(get("/bucket?list-type=2"))
            .await
            .elements("Key")
            .is_empty()
    );
    let restored = world
        .succeed(delete(&at(&marker)))
        .await
        .has(DELETE_MARKER, "true");
    assert_eq!(version_of(&restored), marker);
    world.succeed(get("/bucket/key")).await.body_is(b"first");
}

#[tokio::test]
async fn suspended_buckets_have_one_null_version_of_a_key() {
    let world = versioned().await;
    let kept = put_version(&world, "kept").await;
    set_versioning(&world, "Suspended").await;
    for body in ["one", "two"] {
        let reply = world.succeed(put("/bucket/key", body)).await;
        assert_eq!(reply.header(VERSION_ID), None);
    }
    let reply = world.succeed(get("/bucket/key")).await.body_is(b"two");
    reply.has(VERSION_ID, "null");
    let listed = world.succeed(get("/bucket?versions")).await;
    assert_eq!(listed.elements("VersionId"), ["null", &kept]);
    let deleted = world.succeed(delete("/bucket/key")).await;
    deleted.has(DELETE_MARKER, "true").has(VERSION_ID, "null");
    let listed = world.succeed(get("/bucket?versions")).await;
    assert_eq!(listed.elements("VersionId").len(), 2);
    assert_eq!(listed.elements("DeleteMarker").len(), 1);
    world
        .send(get(&at("null")))
        .await
        .refused(405, "MethodNotAllowed");
    world
        .succeed(delete(&at("null")))
        .await
        .has(DELETE_MARKER, "true");
    world
        .succeed(get("/bucket/key"))
        .await
        .body_is(b"kept")
        .has(VERSION_ID, &kept);
}

#[tokio::test]
async fn listings_of_versions_are_paged_and_grouped() {
    let world = versioned().await;
    let mut newest_first = Vec::new();
    for body in ["1", "2", "3"] {
        newest_first.insert(0, put_version(&world, body).await);
    }
    world.succeed(delete("/bucket/key")).await;
    for key in ["dir/a", "dir/b", "zoo"] {
        world.succeed(put(&format!("/bucket/{key}"), "x")).await;
    }
    let whole = world.succeed(get("/bucket?versions&delimiter=/")).await;
    assert_eq!(whole.elements("CommonPrefixes"), ["<Prefix>dir/</Prefix>"]);
    assert_eq!(whole.elements("Key"), ["key", "key", "key", "key", "zoo"]);
    assert_eq!(
        whole.elements("IsLatest"),
        ["true", "false", "false", "false", "true"]
    );
    assert_eq!(whole.elements("DeleteMarker").len(), 1);
    assert_eq!(whole.elements("VersionId")[1..4], newest_first[..]);
    assert_eq!(whole.elements("Owner").len(), 5);

    // Line by line, the pages add up to the same.
    let (mut keys, mut versions, mut groups) = (Vec::new(), Vec::new(), Vec::new());
    let mut target = "/bucket?versions&delimiter=/&max-keys=1".to_owned();
    loop {
        let page = world.succeed(get(&target)).await;
        keys.extend(page.elements("Key"));
        versions.extend(page.elements("VersionId"));
        groups.extend(page.elements("CommonPrefixes"));
        if page.element("IsTruncated").as_deref() == Some("false") {
            break;
        }
        let key = page.element("NextKeyMarker").unwrap();
        target = format!("/bucket?versions&delimiter=/&max-keys=1&key-marker={key}");
        // Behind a group there is none.
        if let Some(version) = page.element("NextVersionIdMarker") {
            target = format!("{target}&version-id-marker={version}");
        }
    }
    assert_eq!(keys, whole.elements("Key"));
    assert_eq!(versions, whole.elements("VersionId"));
    assert_eq!(groups, whole.elements("CommonPrefixes"));
    let behind_key = world.succeed(get("/bucket?versions&key-marker=key")).await;
    assert_eq!(behind_key.elements("Key"), ["zoo"]);
    for bad in [
        "version-id-marker=null",
        "key-marker=key&version-id-marker=x",
        "key-marker=key&version-id-marker=",
        "key-marker=key&version-id-marker",
    ] {
        let reply = world.send(get(&format!("/bucket?versions&{bad}"))).await;
        reply.refused(400, "InvalidArgument");
    }
}

#[tokio::test]
async fn many_deletions_answer_each_with_its_marker_or_version() {
    let world = versioned().await;
    let first = put_version(&world, "first").await;
    let request = |objects: &str, quiet: &str| {
        let document = format!("<Delete>{objects}{quiet}</Delete>");
        post("/bucket?delete", document)
    };
    let key = "<Object><Key>key</Key></Object>";
    let reply = world.succeed(request(key, "")).await;
    assert_eq!(reply.elements("Key"), ["key"]);
    assert_eq!(reply.elements("DeleteMarker"), ["true"]);
    assert_eq!(reply.element("VersionId"), None);
    let marker = reply.element("DeleteMarkerVersionId").unwrap();

    let of =
        |version: &str| format!("<Object><Key>key</Key><VersionId>{version}</VersionId></Object>");
    let objects = [of(&marker), of(&first), of("x")].concat();
    let reply = world.succeed(request(&objects, "")).await;
    assert_eq!(reply.elements("Code"), ["InvalidArgument"]);
    assert_eq!(reply.elements("DeleteMarker"), ["true"]);
    assert_eq!(reply.element("DeleteMarkerVersionId"), Some(marker.clone()));
    assert_eq!(reply.elements("VersionId"), [marker.as_str(), &first, "x"]);
    // Once more: nothing is there any more, and that is no error.
    let objects = [of(&marker), of(&first)].concat();
    let reply = world.succeed(request(&objects, "")).await;
    assert_eq!(reply.elements("Deleted").len(), 2);
    assert!(reply.elements("DeleteMarker").is_empty());
    let quiet = world.succeed(request(key, "<Quiet>true</Quiet>")).await;
    assert!(quiet.elements("Deleted").is_empty());
    let listed = world.succeed(get("/bucket?versions")).await;
    assert_eq!(listed.elements("VersionId").len(), 1);
}

#[tokio::test]
async fn copies_tags_and_attributes_are_of_the_version_asked_for() {
    let world = versioned().await;
    let first = put_version(&world, "first").await;
    let second = put_version(&world, "second").await;
    let copy = |to: &str, source: &str| put(to, "").header("x-amz-copy-source", source);
    let of_first = format!("bucket/key?versionId={first}");
    let copied = world.succeed(copy("/bucket/copy", &of_first)).await;
    let copied = copied.has("x-amz-copy-source-version-id", &first);
    world
        .succeed(get("/bucket/copy"))
        .await
        .body_is(b"first")
        .has(VERSION_ID, &version_of(&copied));
    let newest = world.succeed(copy("/bucket/copy", "bucket/key")).await;
    newest.has("x-amz-copy-source-version-id", &second);
    // An older version becomes the newest by a copy to itself.
    let restored = world.succeed(copy("/bucket/key", &of_first)).await;
    assert_ne!(version_of(&restored), first);
    world.succeed(get("/bucket/key")).await.body_is(b"first");
    let id = world.succeed(post("/bucket/parts?uploads", "")).await;
    let id = id.element("UploadId").unwrap();
    let part = format!("/bucket/parts?partNumber=1&uploadId={id}");
    let part = world.succeed(copy(&part, &of_first)).await;
    part.has("x-amz-copy-source-version-id", &first);

    let tags = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>";
    let tagging = format!("/bucket/key?tagging&versionId={first}");
    world
        .succeed(put(&tagging, tags))
        .await
        .has(VERSION_ID, &first);
    let of_old = world.succeed(get(&tagging)).await.has(VERSION_ID, &first);
    assert_eq!(of_old.elements("Tag").len(), 1);
    let of_new = world.succeed(get("/bucket/key?tagging")).await;
    assert!(of_new.elements("Tag").is_empty());
    world
        .succeed(delete(&tagging))
        .await
        .is(204)
        .has(VERSION_ID, &first);
    let attributes = get(&format!("/bucket/key?attributes&versionId={second}"));
    let attributes = attributes.header("x-amz-object-attributes", "ObjectSize");
    let attributes = world.succeed(attributes).await.has(VERSION_ID, &second);
    assert_eq!(attributes.element("ObjectSize").as_deref(), Some("6"));

    let deleted = world.succeed(delete("/bucket/key")).await;
    let of_marker = format!("bucket/key?versionId={}", version_of(&deleted));
    let refused = world.send(copy("/bucket/copy", &of_marker)).await;
    refused.refused(400, "InvalidRequest");
    let refused = world.send(copy("/bucket/copy", "bucket/key")).await;
    refused.refused(404, "NoSuchKey");
    let refused = world
        .send(copy("/bucket/copy", "bucket/key?versionId=x"))
        .await;
    refused.refused(400, "InvalidArgument");
}

#[tokio::test]
async fn an_acl_opens_the_version_it_is_set_on() {
    let world = versioned().await;
    let first = put_version(&world, "first").await;
    let second = put_version(&world, "second").await;
    let open = put(&format!("/bucket/key?acl&versionId={first}"), "");
    world.succeed(open.header("x-amz-acl", "public-read")).await;
    let anonymous = world.send_by(None, get(&at(&first))).await;
    anonymous.is(200).body_is(b"first");
    for target in ["/bucket/key", &at(&second), &at("null")] {
        let reply = world.send_by(None, get(target)).await;
        reply.refused(403, "AccessDenied");
    }
}

#[tokio::test]
async fn completed_uploads_are_versions() {
    let world = versioned().await;
    let first = put_version(&world, "first").await;
    let completed = world.upload("/bucket/key", &[], &[b"parts"]).await;
    let second = version_of(&completed);
    world.succeed(get(&at(&second))).await.body_is(b"parts");
    world.succeed(get(&at(&first))).await.body_is(b"first");
    let listed = world.succeed(get("/bucket?versions")).await;
    assert_eq!(listed.elements("VersionId"), [second, first]);
}
