//! Cross-origin requests: configuration, preflights, and headers on every answer.

use crate::support::{Call, Reply, World, call, delete, get, head, put};

const RULES: &str = "<CORSConfiguration><CORSRule><AllowedOrigin>https://*.example.com\
     </AllowedOrigin><AllowedMethod>GET</AllowedMethod><AllowedMethod>PUT</AllowedMethod>\
     <AllowedHeader>x-amz-*</AllowedHeader><ExposeHeader>ETag</ExposeHeader>\
     <MaxAgeSeconds>60</MaxAgeSeconds></CORSRule><CORSRule><AllowedOrigin>*</AllowedOrigin>\
     <AllowedMethod>HEAD</AllowedMethod></CORSRule></CORSConfiguration>";

const ORIGIN: &str = "https://a.example.com";
const ALLOW_ORIGIN: &str = "access-control-allow-origin";
const VARY: &str = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method";

async fn world_with_rules() -> World {
    let world = World::new().await;
    world.succeed(put("/bucket", "")).await;
    world.succeed(put("/bucket/key", "body")).await;
    world.succeed(put("/bucket?cors", RULES)).await;
    world
}

fn from_origin(call: Call) -> Call {
    call.header("origin", ORIGIN)
}

fn preflight(target: &str, origin: &str, method: &str) -> Call {
    call("OPTIONS", target, "")
        .header("origin", origin)
        .header("access-control-request-method", method)
}

#[track_caller]
fn is_allowed(reply: Reply) {
    reply
        .has(ALLOW_ORIGIN, ORIGIN)
        .has("access-control-allow-methods", "GET, PUT")
        .has("access-control-expose-headers", "ETag")
        .has("access-control-max-age", "60")
        .has("access-control-allow-credentials", "true")
        .has("vary", VARY);
}

#[tokio::test]
async fn rules_are_kept_and_deleted() {
    let world = World::new().await;
    world.succeed(put("/bucket", "")).await;
    let none = || world.send(get("/bucket?cors"));
    none().await.refused(404, "NoSuchCORSConfiguration");
    world.succeed(put("/bucket?cors", RULES)).await.is(200);
    let kept = world.succeed(get("/bucket?cors")).await;
    assert_eq!(kept.elements("AllowedMethod"), ["GET", "PUT", "HEAD"]);
    assert_eq!(kept.element("MaxAgeSeconds").as_deref(), Some("60"));
    let bad = RULES.replace("<AllowedMethod>GET", "<AllowedMethod>LINK");
    let refused = world.send(put("/bucket?cors", bad)).await;
    refused.refused(400, "InvalidRequest");
    world
        .send(put("/bucket?cors", "no XML"))
        .await
        .refused(400, "MalformedXML");
    assert_eq!(world.succeed(get("/bucket?cors")).await.body, kept.body);
    world.succeed(delete("/bucket?cors")).await.is(204);
    none().await.refused(404, "NoSuchCORSConfiguration");
    world.succeed(delete("/bucket?cors")).await.is(204);
}

#[tokio::test]
async fn every_answer_to_a_script_carries_the_headers() {
    let world = world_with_rules().await;
    let stranger = world.stranger().await;
    is_allowed(world.succeed(from_origin(get("/bucket/key"))).await);
    is_allowed(world.succeed(from_origin(put("/bucket/key", "body"))).await);
    is_allowed(world.succeed(from_origin(get("/bucket?list-type=2"))).await);
    is_allowed(world.send(from_origin(get("/bucket/absent"))).await.is(404));
    is_allowed(
        world
            .send(from_origin(get("/bucket?torrent")))
            .await
            .is(501),
    );
    let anonymous = world.send_by(None, from_origin(get("/bucket/key"))).await;
    is_allowed(anonymous.is(403));
    let other = world
        .send_by(Some(&stranger), from_origin(get("/bucket/key")))
        .await;
    is_allowed(other.is(403));
    let not_modified = from_origin(get("/bucket/key")).header("if-none-match", "*");
    is_allowed(world.send(not_modified).await.is(304));
    let host = from_origin(get("/key")).header("host", "bucket.localhost:9000");
    is_allowed(world.send(host).await.is(200));
    // Anybody may HEAD; and there is no credential to hide from anybody.
    let head = world.succeed(from_origin(head("/bucket/key"))).await;
    head.has(ALLOW_ORIGIN, "*")
        .lacks("access-control-allow-credentials");
}

#[tokio::test]
async fn other_answers_carry_none() {
    let world = world_with_rules().await;
    let without_origin = world.succeed(get("/bucket/key")).await;
    without_origin.lacks(ALLOW_ORIGIN).lacks("vary");
    let elsewhere = get("/bucket/key").header("origin", "https://example.org");
    world.succeed(elsewhere).await.lacks(ALLOW_ORIGIN);
    world
        .succeed(from_origin(delete("/bucket/key")))
        .await
        .lacks(ALLOW_ORIGIN);
    world
        .succeed(from_origin(get("/")))
        .await
        .lacks(ALLOW_ORIGIN);
    world
        .send(from_origin(get("/absent/key")))
        .await
        .is(404)
        .lacks(ALLOW_ORIGIN);
    world.succeed(put("/other", "")).await;
    world
        .succeed(from_origin(get("/other")))
        .await
        .lacks(ALLOW_ORIGIN);
}

#[tokio::test]
async fn preflights_need_no_signature() {
    let world = world_with_rules().await;
    let send = |call| world.send_by(None, call);
    for (target, host) in [
        ("/bucket/key", "127.0.0.1:9000"),
        (
            "/bucket/absent?X-Amz-Signature=x&versionId=y",
            "127.0.0.1:9000",
        ),
        ("/bucket", "127.0.0.1:9000"),
        ("/key", "bucket.localhost"),
        ("/page.html", "bucket.s3-website.localhost"),
    ] {
        let asked = preflight(target, ORIGIN, "PUT").header("host", host);
        let asked = asked.header("access-control-request-headers", "X-Amz-Date, x-amz-acl");
        let reply = send(asked).await.is(200).body_is(b"");
        is_allowed(reply.has("access-control-allow-headers", "x-amz-date, x-amz-acl"));
    }
    for (call, message) in [
        (
            preflight("/bucket/key", "https://example.org", "PUT"),
            "is not allowed",
        ),
        (preflight("/bucket/key", ORIGIN, "DELETE"), "is not allowed"),
        (
            preflight("/bucket/key", ORIGIN, "GET")
                .header("access-control-request-headers", "content-type"),
            "is not allowed",
        ),
    ] {
        let reply = send(call).await.refused(403, "AccessForbidden");
        let text = reply.element("Message").unwrap();
        assert!(text.contains(message), "{text}");
        assert_eq!(reply.element("ResourceType").as_deref(), Some("OBJECT"));
        reply.lacks(ALLOW_ORIGIN);
    }
}

#[tokio::test]
async fn preflights_that_say_too_little() {
    let world = world_with_rules().await;
    world.succeed(put("/other", "")).await;
    let send = |call| world.send_by(None, call);
    let options = || call("OPTIONS", "/bucket/key", "");
    send(options()).await.refused(400, "BadRequest");
    let no_method = options().header("origin", ORIGIN);
    send(no_method).await.refused(400, "BadRequest");
    let no_origin = options().header("access-control-request-method", "GET");
    send(no_origin).await.refused(400, "BadRequest");
    let unknown = preflight("/bucket/key", ORIGIN, "PATCH");
    send(unknown).await.refused(400, "BadRequest");
    let not_enabled = send(preflight("/other/key", ORIGIN, "GET")).await;
    let not_enabled = not_enabled.refused(403, "AccessForbidden");
    let message = "CORSResponse: CORS is not enabled for this bucket.";
    assert_eq!(not_enabled.element("Message").as_deref(), Some(message));
    let absent = send(preflight("/absent/key", ORIGIN, "GET")).await;
    absent.refused(404, "NoSuchBucket");
    send(preflight("/", ORIGIN, "GET"))
        .await
        .refused(403, "AccessForbidden");
}
