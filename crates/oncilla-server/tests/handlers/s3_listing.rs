//! Buckets and what is in them.

use std::time::Duration;

use crate::slow_client::Served;
use crate::support::{START_DATE, World, delete, get, head, post, put};
use oncilla_iam::Role;

async fn world_with_keys(keys: &[&str]) -> World {
    let world = World::new().await;
    world.succeed(put("/bucket", "")).await;
    for key in keys {
        world.succeed(put(&format!("/bucket/{key}"), "body")).await;
    }
    world
}

#[tokio::test]
async fn buckets_are_created_found_and_deleted() {
    let world = World::new().await;
    let stranger = world.stranger().await;
    world
        .succeed(put("/bucket", ""))
        .await
        .has("location", "/bucket")
        .body_is(b"");
    world.succeed(put("/bucket", "")).await;
    let located = "<CreateBucketConfiguration><LocationConstraint>eu-west-3</LocationConstraint>\
                   </CreateBucketConfiguration>";
    let again = world.send(put("/bucket", located)).await;
    again.refused(409, "BucketAlreadyOwnedByYou");
    let locked = put("/bucket", "").header("x-amz-bucket-object-lock-enabled", "true");
    let again = world.send(locked).await;
    again.refused(409, "BucketAlreadyOwnedByYou");
    let opened = put("/bucket", "").header("x-amz-acl", "public-read");
    let again = world.send(opened).await;
    again.refused(409, "BucketAlreadyExists");
    let foreign = world.send_by(Some(&stranger), put("/bucket", "")).await;
    foreign.refused(409, "BucketAlreadyExists");
    for name in ["ab", "Upper", "under_score", "192.168.0.1", "-dash"] {
        let reply = world.send(put(&format!("/{name}"), "")).await;
        reply.refused(400, "InvalidBucketName");
    }

    let head_of = world.succeed(head("/bucket")).await.body_is(b"");
    head_of.has("x-amz-bucket-region", "auto");
    let location = world.succeed(get("/bucket?location")).await.text();
    assert!(
        location.contains(">auto</LocationConstraint>"),
        "{location}"
    );
    let document = "<CreateBucketConfiguration><LocationConstraint>eu-west-3</LocationConstraint>\
                    </CreateBucketConfiguration>";
    world.succeed(put("/french", document)).await;
    world
        .succeed(head("/french"))
        .await
        .has("x-amz-bucket-region", "eu-west-3");
    let location = world.succeed(get("/french?location")).await.text();
    assert!(
        location.contains(">eu-west-3</LocationConstraint>"),
        "{location}"
    );
    let first = document.replace("eu-west-3", "us-east-1");
    world.succeed(put("/american", first)).await;
    let location = world.succeed(get("/american?location")).await.text();
    assert!(location.contains("></LocationConstraint>"), "{location}");

    world.succeed(put("/bucket/key", "body")).await;
    world
        .send(delete("/bucket"))
        .await
        .refused(409, "BucketNotEmpty");
    world.succeed(delete("/bucket/key")).await;
    world.succeed(delete("/bucket")).await.is(204);
    world
        .send(delete("/bucket"))
        .await
        .refused(404, "NoSuchBucket");
    world
        .send(get("/bucket?location"))
        .await
        .refused(404, "NoSuchBucket");
    world
        .send(put("/bucket/key", "x"))
        .await
        .refused(404, "NoSuchBucket");
    world.send(head("/bucket")).await.is(404).body_is(b"");
}

#[tokio::test]
async fn one_s_own_buckets_are_listed() {
    let world = World::new().await;
    let stranger = world.stranger().await;
    for name in ["alpha", "beta", "bravo", "gamma"] {
        world.succeed(put(&format!("/{name}"), "")).await;
    }
    world
        .send_by(Some(&stranger), put("/foreign", ""))
        .await
        .is(200);
    let all = world.succeed(get("/")).await;
    assert_eq!(all.elements("Name"), ["alpha", "beta", "bravo", "gamma"]);
    assert_eq!(
        all.elements("CreationDate"),
        ["2023-11-14T22:13:20.000Z"; 4]
    );
    assert_eq!(all.element("ID"), Some(world.owner.account_id.clone()));
    assert_eq!(all.element("ContinuationToken"), None);
    assert_eq!(
        world.succeed(get("/?prefix=b")).await.elements("Name"),
        ["beta", "bravo"]
    );
    let page = world.succeed(get("/?max-buckets=2")).await;
    assert_eq!(page.elements("Name"), ["alpha", "beta"]);
    let token = page.element("ContinuationToken").unwrap();
    let page = world
        .succeed(get(&format!("/?max-buckets=2&continuation-token={token}")))
        .await;
    assert_eq!(page.elements("Name"), ["bravo", "gamma"]);
    // A token that was not given out, be it the name of a bucket, is no empty page.
    for token in ["garbage", "beta", &token[1..]] {
        let target = format!("/?continuation-token={token}");
        world
            .send(get(&target))
            .await
            .refused(400, "InvalidArgument");
    }
    for outside in [0, 10_001] {
        world
            .send(get(&format!("/?max-buckets={outside}")))
            .await
            .refused(400, "InvalidArgument");
    }
    assert_eq!(
        world
            .succeed(get("/?bucket-region=auto"))
            .await
            .elements("Name")
            .len(),
        4
    );
    let elsewhere = world.succeed(get("/?bucket-region=eu-west-3")).await;
    assert_eq!(elsewhere.elements("Name"), [""; 0]);
    // A key sees what it was granted.
    let narrow = world.key("beta", Role::ReadOnly).await;
    let seen = world.send_by(Some(&narrow), get("/")).await;
    assert_eq!(seen.elements("Name"), ["beta"]);
    world
        .send_by(None, get("/"))
        .await
        .refused(403, "AccessDenied");
}

#[tokio::test]
async fn keys_are_listed_in_pages_and_groups() {
    let keys = ["a", "b/1", "b/2", "c", "d/1", "e"];
    let world = world_with_keys(&keys).await;
    let v2 = async |more: &str| {
        world
            .succeed(get(&format!("/bucket?list-type=2{more}")))
            .await
    };
    let v1 = async |more: &str| world.succeed(get(&format!("/bucket?x=1{more}"))).await;
    let all = v2("").await;
    assert_eq!(all.elements("Key"), keys);
    assert_eq!(all.element("KeyCount").as_deref(), Some("6"));
    assert_eq!(all.element("MaxKeys").as_deref(), Some("1000"));
    assert_eq!(all.element("IsTruncated").as_deref(), Some("false"));
    assert_eq!(all.elements("Owner"), [""; 0]);
    assert_eq!(all.elements("Size"), ["4"; 6]);
    assert_eq!(all.elements("StorageClass"), ["STANDARD"; 6]);
    assert_eq!(
        all.elements("ETag"),
        ["&quot;841a2d689ad86bd1611447453c22c6fc&quot;"; 6]
    );
    assert_eq!(
        v2("&fetch-owner=true").await.elements("DisplayName"),
        ["owner"; 6]
    );
    assert_eq!(v1("").await.elements("DisplayName"), ["owner"; 6]);

    // Groups count as lines.
    let page = v2("&delimiter=/&max-keys=3").await;
    assert_eq!(page.elements("Key"), ["a", "c"]);
    assert_eq!(page.elements("CommonPrefixes"), ["<Prefix>b/</Prefix>"]);
    assert_eq!(page.element("KeyCount").as_deref(), Some("3"));
    assert_eq!(page.element("IsTruncated").as_deref(), Some("true"));
    let token = page.element("NextContinuationToken").unwrap();
    let page = v2(&format!(
        "&delimiter=/&max-keys=3&continuation-token={token}"
    ))
    .await;
    assert_eq!(page.element("ContinuationToken"), Some(token));
    assert_eq!(page.elements("CommonPrefixes"), ["<Prefix>d/</Prefix>"]);
    assert_eq!(page.elements("Key"), ["e"]);
    assert_eq!(page.element("KeyCount").as_deref(), Some("2"));
    assert_eq!(page.element("NextContinuationToken"), None);
    let page = v1("&delimiter=/&max-keys=2").await;
    assert_eq!(page.element("NextMarker").as_deref(), Some("b/"));
    let page = v1("&delimiter=/&marker=b/").await;
    assert_eq!(page.elements("Key"), ["c", "e"]);
    assert_eq!(v1("&max-keys=2").await.element("NextMarker"), None);

    for listing in [v2("&max-keys=0").await, v1("&max-keys=0").await] {
        assert_eq!(listing.elements("Key"), [""; 0]);
        assert_eq!(listing.element("IsTruncated").as_deref(), Some("false"));
        assert_eq!(listing.element("MaxKeys").as_deref(), Some("0"));
    }
    let after = v2("&start-after=b/1").await;
    assert_eq!(after.elements("Key"), ["b/2", "c", "d/1", "e"]);
    assert_eq!(after.element("StartAfter").as_deref(), Some("b/1"));
    assert_eq!(v2("&prefix=b").await.elements("Key"), ["b/1", "b/2"]);
    for bad in [
        "max-keys=-1",
        "max-keys=x",
        "encoding-type=xml",
        "continuation-token=x",
    ] {
        let reply = world.send(get(&format!("/bucket?list-type=2&{bad}"))).await;
        reply.refused(400, "InvalidArgument");
    }
    let reply = world.succeed(get("/bucket?versions&max-keys=2")).await;
    assert_eq!(reply.elements("Key"), ["a", "b/1"]);
    assert_eq!(reply.elements("VersionId"), ["null"; 2]);
    assert_eq!(reply.elements("IsLatest"), ["true"; 2]);
    assert_eq!(reply.element("NextKeyMarker").as_deref(), Some("b/1"));
    assert_eq!(
        reply.element("NextVersionIdMarker").as_deref(),
        Some("null")
    );
}

#[tokio::test]
async fn odd_keys_are_encoded_where_it_is_asked_for() {
    let world = world_with_keys(&["a%20%2B%25%C3%A4", "x%01/y", "x%01/z"]).await;
    let query = "&encoding-type=url&delimiter=/&prefix=x%01&start-after=a%20";
    let reply = world
        .succeed(get(&format!("/bucket?list-type=2{query}")))
        .await;
    assert_eq!(reply.element("EncodingType").as_deref(), Some("url"));
    assert_eq!(reply.elements("CommonPrefixes"), ["<Prefix>x%01/</Prefix>"]);
    let text = reply.text();
    assert!(text.contains("<Prefix>x%01</Prefix>"), "{text}");
    assert_eq!(reply.element("Delimiter").as_deref(), Some("/"));
    let start_after = reply.element("StartAfter").unwrap();
    assert!(
        ["a%20", "a+"].contains(&start_after.as_str()),
        "{start_after}"
    );
    for target in [
        "/bucket?encoding-type=url",
        "/bucket?list-type=2&encoding-type=url",
        "/bucket?versions&encoding-type=url",
    ] {
        let keys = world.succeed(get(target)).await.elements("Key");
        assert!(
            keys[0].contains("%2B%25%C3%A4") && keys[1].contains("x%01"),
            "{keys:?}"
        );
    }
}

#[tokio::test]
async fn every_way_to_address_a_bucket_finds_it() {
    let world = world_with_keys(&["key"]).await;
    for target in ["/bucket/key", "/s3/bucket/key"] {
        let reply = world.succeed(get(target)).await.body_is(b"body");
        reply.has("last-modified", START_DATE);
    }
}

/// What a client does not read counts among what requests hold, until it has left. Keys of `&` and of `>`
/// are several times as long in an answer.
#[tokio::test(start_paused = true)]
async fn long_answers_hold_memory_while_they_are_read() {
    let world = World::new().await;
    world.succeed(put("/bucket", "")).await;
    for number in 0..1_000 {
        let key = format!("{number:04}{}", "&".repeat(1_020));
        world.succeed(put(&format!("/bucket/{key}"), "")).await;
    }
    let objects: String = (0..1_000)
        .map(|number| {
            format!(
                "<Object><Key>{number:04}{}</Key></Object>",
                ">".repeat(1_020)
            )
        })
        .collect();
    let served = Served::new(&world);
    let deletion = format!("<Delete>{objects}</Delete>");
    for call in [
        get("/bucket"),
        get("/bucket?list-type=2"),
        get("/bucket?versions"),
        post("/bucket?delete", deletion),
    ] {
        let request = world.request(Some(&world.owner), call);
        let mut client = served.begin(&request).await;
        client.send(request.body()).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let held = world.memory.reserved_bytes();
        let answer = client.answer().await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{}", &answer[..200]);
        assert!(answer.len() > 4_000_000);
        // But for what the connection has taken.
        assert!(held > 4_000_000, "{} {held}", request.uri());
        assert!(answer.contains(">0999&"));
        assert_eq!(world.memory.reserved_bytes(), 0);
    }
}
