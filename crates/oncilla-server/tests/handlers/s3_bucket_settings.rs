//! Request payment, acceleration, and the configurations that have ids.

use crate::support::{World, call, delete, get, put};

fn payment(payer: &str) -> String {
    format!("<RequestPaymentConfiguration><Payer>{payer}</Payer></RequestPaymentConfiguration>")
}

#[tokio::test]
async fn the_requester_pays_knowingly() {
    const PAYER: &str = "x-amz-request-payer";
    const CHARGED: &str = "x-amz-request-charged";
    let world = World::new().await;
    let open = put("/bucket", "").header("x-amz-acl", "public-read-write");
    world.succeed(open).await;
    world
        .succeed(put("/bucket/key", "body").header("x-amz-acl", "public-read"))
        .await;
    let stranger = world.stranger().await;
    let by_stranger = |call| world.send_by(Some(&stranger), call);
    let told = world.succeed(get("/bucket?requestPayment")).await;
    assert_eq!(told.element("Payer").as_deref(), Some("BucketOwner"));
    by_stranger(get("/bucket/key")).await.is(200).lacks(CHARGED);
    let set = put("/bucket?requestPayment", payment("Requester"));
    world.succeed(set).await.is(200);
    let told = world.succeed(get("/bucket?requestPayment")).await;
    assert_eq!(told.element("Payer").as_deref(), Some("Requester"));

    let calls = || {
        [
            get("/bucket/key"),
            get("/bucket?list-type=2"),
            put("/bucket/new", "x"),
        ]
    };
    for call in calls() {
        by_stranger(call).await.refused(403, "AccessDenied");
    }
    for call in calls() {
        let paid = by_stranger(call.header(PAYER, "requester")).await;
        paid.is(200).has(CHARGED, "requester");
    }
    let in_query = get("/bucket/key?x-amz-request-payer=requester");
    by_stranger(in_query)
        .await
        .is(200)
        .has(CHARGED, "requester");
    for call in calls() {
        world.succeed(call).await.lacks(CHARGED);
    }
    let anonymous = get("/bucket/key").header(PAYER, "requester");
    world
        .send_by(None, anonymous)
        .await
        .refused(403, "AccessDenied");
    world
        .send_by(Some(&stranger), put("/own", ""))
        .await
        .is(200);
    let copy = || put("/own/copy", "").header("x-amz-copy-source", "bucket/key");
    by_stranger(copy()).await.refused(403, "AccessDenied");
    by_stranger(copy().header(PAYER, "requester")).await.is(200);

    world
        .succeed(put("/bucket?requestPayment", payment("BucketOwner")))
        .await;
    by_stranger(get("/bucket/key")).await.is(200).lacks(CHARGED);
    for bad in [
        payment("Nobody"),
        "<RequestPaymentConfiguration/>".to_owned(),
    ] {
        let refused = world.send(put("/bucket?requestPayment", bad)).await;
        refused.refused(400, "MalformedXML");
    }
}

#[tokio::test]
async fn acceleration_is_kept_and_told() {
    let world = World::new().await;
    let accelerate = |status: &str| {
        format!("<AccelerateConfiguration><Status>{status}</Status></AccelerateConfiguration>")
    };
    world.succeed(put("/bucket", "")).await;
    let told = world.succeed(get("/bucket?accelerate")).await;
    assert_eq!(told.element("Status"), None);
    for status in ["Enabled", "Suspended"] {
        world
            .succeed(put("/bucket?accelerate", accelerate(status)))
            .await;
        let told = world.succeed(get("/bucket?accelerate")).await;
        assert_eq!(told.element("Status").as_deref(), Some(status));
    }
    for bad in [accelerate("On"), "<AccelerateConfiguration/>".to_owned()] {
        let refused = world.send(put("/bucket?accelerate", bad)).await;
        refused.refused(400, "MalformedXML");
    }
    world.succeed(put("/with.dots", "")).await;
    let refused = world
        .send(put("/with.dots?accelerate", accelerate("Enabled")))
        .await;
    refused.refused(400, "InvalidRequest");
}

#[tokio::test]
async fn configurations_by_id() {
    let world = World::new().await;
    world.succeed(put("/bucket", "")).await;
    for (sub_resource, element, content) in [
        (
            "metrics",
            "MetricsConfiguration",
            "<Filter><Prefix>p</Prefix></Filter>",
        ),
        (
            "analytics",
            "AnalyticsConfiguration",
            "<StorageClassAnalysis/>",
        ),
        (
            "intelligent-tiering",
            "IntelligentTieringConfiguration",
            "<Status>Enabled</Status><Tiering><Days>90</Days><AccessTier>ARCHIVE_ACCESS\
             </AccessTier></Tiering>",
        ),
    ] {
        let target = |id: &str| format!("/bucket?{sub_resource}&id={id}");
        let document = |id: &str| format!("<{element}><Id>{id}</Id>{content}</{element}>");
        let list = |more: &str| get(&format!("/bucket?{sub_resource}{more}"));
        let empty = world.succeed(list("")).await;
        assert_eq!(empty.element("IsTruncated").as_deref(), Some("false"));
        assert!(empty.elements(element).is_empty());
        world
            .send(get(&target("a")))
            .await
            .refused(404, "NoSuchConfiguration");
        world
            .send(delete(&target("a")))
            .await
            .refused(404, "NoSuchConfiguration");
        world
            .succeed(put(&target("a"), document("a")))
            .await
            .is(200);
        let kept = world.succeed(get(&target("a"))).await;
        assert_eq!(kept.element("Id").as_deref(), Some("a"));
        for (id, body, code) in [
            ("b", document("a"), "MalformedXML"),
            ("a%20b", document("a b"), "InvalidConfigurationId"),
            ("", document("a"), "InvalidConfigurationId"),
            ("b", format!("<{element}/>"), "MalformedXML"),
        ] {
            world.send(put(&target(id), body)).await.refused(400, code);
        }
        for number in 0..150 {
            let id = format!("n{number:03}");
            world.succeed(put(&target(&id), document(&id))).await;
        }
        let first = world.succeed(list("")).await;
        assert_eq!(first.elements(element).len(), 100);
        assert_eq!(first.element("IsTruncated").as_deref(), Some("true"));
        let next = first.element("NextContinuationToken").unwrap();
        let second = list(&format!("&continuation-token={next}"));
        let second = world.succeed(second).await;
        assert_eq!(second.elements(element).len(), 51);
        assert_eq!(second.element("IsTruncated").as_deref(), Some("false"));
        assert_eq!(second.element("NextContinuationToken"), None);
        assert_eq!(second.element("ContinuationToken"), Some(next));
        let unknown = world.send(list("&continuation-token=%2F")).await;
        unknown.refused(400, "InvalidArgument");
        world.succeed(delete(&target("a"))).await.is(204);
        world
            .send(get(&target("a")))
            .await
            .refused(404, "NoSuchConfiguration");
    }
}

#[tokio::test]
async fn buckets_of_directories_are_not_there() {
    let world = World::new().await;
    world.succeed(put("/bucket", "")).await;
    let list = get("/?x-id=ListDirectoryBuckets");
    world.send(list).await.refused(501, "NotImplemented");
    world
        .send(get("/bucket?session"))
        .await
        .refused(501, "NotImplemented");
    world.succeed(get("/?x-id=ListBuckets")).await.is(200);
    world.send(call("PATCH", "/bucket", "")).await.is(405);
}
