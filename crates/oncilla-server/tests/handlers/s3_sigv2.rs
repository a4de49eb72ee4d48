//! Signature Version 2, where it is switched on.

use crate::support::{Call, START_DATE, START_MS, User, World, call, get, put};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use oncilla_hash::hmac_sha1;
use oncilla_wire::uri::encode_component;

fn sign(user: &User, text: &str) -> String {
    let secret = user.key.secret_access_key.as_bytes();
    BASE64.encode(hmac_sha1(secret, text.as_bytes()))
}

/// A call signed in its header. `signed` is what is signed of it after the date.
fn signed(user: &User, method: &'static str, target: &str, signed: &str, body: &str) -> Call {
    let signature = sign(user, &format!("{method}\n\n\n{START_DATE}\n{signed}"));
    let id = &user.key.access_key_id;
    call(method, target, body.to_owned())
        .header("date", START_DATE)
        .header("authorization", &format!("AWS {id}:{signature}"))
}

/// A target presigned until so many seconds after the start.
fn presigned(user: &User, method: &str, target: &str, signed: &str, seconds: u64) -> String {
    let until = START_MS / 1000 + seconds;
    let signature = sign(user, &format!("{method}\n\n\n{until}\n{signed}"));
    let separator = if target.contains('?') { '&' } else { '?' };
    format!(
        "{target}{separator}AWSAccessKeyId={}&Expires={until}&Signature={}",
        user.key.access_key_id,
        encode_component(&signature)
    )
}

#[tokio::test]
async fn it_is_refused_unless_it_is_switched_on() {
    let world = World::new().await;
    let create = signed(&world.owner, "PUT", "/bucket", "/bucket/", "");
    let refused = world
        .send_by(None, create)
        .await
        .refused(400, "InvalidRequest");
    assert!(refused.text().contains("AWS4-HMAC-SHA256"));
    let url = presigned(&world.owner, "GET", "/bucket/key", "/bucket/key", 60);
    world
        .send_by(None, get(&url))
        .await
        .refused(400, "InvalidRequest");
}

#[tokio::test]
async fn headers_and_urls_are_verified() {
    let world = World::with_sigv2().await;
    let user = &world.owner;
    let send = |call| world.send_by(None, call);
    send(signed(user, "PUT", "/bucket", "/bucket/", ""))
        .await
        .is(200);
    let put_key = signed(user, "PUT", "/bucket/key", "/bucket/key", "body");
    send(put_key).await.is(200);
    let get_key = || signed(user, "GET", "/bucket/key", "/bucket/key", "");
    send(get_key()).await.is(200).body_is(b"body");
    let list = signed(user, "GET", "/bucket?prefix=k", "/bucket/", "");
    send(list).await.is(200);
    let acl = signed(user, "GET", "/bucket?acl&x", "/bucket/?acl", "");
    send(acl).await.is(200);
    let host = signed(user, "GET", "/key", "/bucket/key", "");
    let host = host.header("host", "bucket.localhost:9000");
    send(host).await.is(200).body_is(b"body");

    let url = presigned(user, "GET", "/bucket/key", "/bucket/key", 60);
    send(get(&url)).await.is(200).body_is(b"body");
    let overridden = presigned(
        user,
        "GET",
        "/bucket/key?response-content-type=text%2Fplain",
        "/bucket/key?response-content-type=text/plain",
        60,
    );
    send(get(&overridden))
        .await
        .is(200)
        .has("content-type", "text/plain");
    let with_acl = "x-amz-acl:public-read\n/bucket/open";
    let url = presigned(
        user,
        "PUT",
        "/bucket/open?x-amz-acl=public-read",
        with_acl,
        60,
    );
    send(put(&url, "open")).await.is(200);
    send(get("/bucket/open")).await.is(200).body_is(b"open");
    let copy = "x-amz-copy-source:bucket/key\n/bucket/copy";
    let url = presigned(
        user,
        "PUT",
        "/bucket/copy?x-amz-copy-source=bucket%2Fkey",
        copy,
        60,
    );
    send(put(&url, "")).await.is(200);
    world.succeed(get("/bucket/copy")).await.body_is(b"body");

    let url = presigned(user, "GET", "/bucket/key", "/bucket/key", 60);
    world.advance_ms(61_000);
    let expired = send(get(&url)).await.refused(403, "AccessDenied");
    assert_eq!(expired.element("Message").unwrap(), "Request has expired");
    send(get_key()).await.is(200);
    world.advance_ms(16 * 60_000);
    send(get_key()).await.refused(403, "RequestTimeTooSkewed");
}

#[tokio::test]
async fn what_is_not_signed_is_refused() {
    let world = World::with_sigv2().await;
    world.succeed(put("/bucket", "")).await;
    world.succeed(put("/bucket/key", "body")).await;
    let user = &world.owner;
    let send = |call| world.send_by(None, call);
    let other_key = signed(user, "GET", "/bucket/key", "/bucket/other", "");
    let refused = send(other_key).await.refused(403, "SignatureDoesNotMatch");
    assert!(!refused.text().contains(&user.key.secret_access_key));
    let sub_resource = signed(user, "GET", "/bucket?acl", "/bucket/", "");
    send(sub_resource)
        .await
        .refused(403, "SignatureDoesNotMatch");
    let hidden = signed(user, "GET", "/bucket?%61cl", "/bucket/", "");
    send(hidden).await.refused(403, "SignatureDoesNotMatch");
    let unsigned = signed(user, "DELETE", "/bucket?encryption", "/bucket/", "");
    send(unsigned).await.refused(400, "InvalidRequest");
    let added = signed(user, "PUT", "/bucket/key", "/bucket/key", "x");
    let added = added.header("x-amz-acl", "public-read");
    send(added).await.refused(403, "SignatureDoesNotMatch");
    let malformed = get("/bucket/key")
        .header("date", START_DATE)
        .header("authorization", "AWS HAHAHA");
    send(malformed).await.refused(400, "InvalidArgument");
    let mut nobody = user.clone();
    nobody.key.access_key_id = "tid_nobody".to_owned();
    let unknown = signed(&nobody, "GET", "/bucket/key", "/bucket/key", "");
    send(unknown).await.refused(403, "InvalidAccessKeyId");
    // Version 4 goes on beside it.
    world.succeed(get("/bucket/key")).await.body_is(b"body");
    world
        .send_by(None, get("/bucket/key"))
        .await
        .refused(403, "AccessDenied");
}

#[tokio::test]
async fn policies_see_the_signature_that_was_verified() {
    let world = World::with_sigv2().await;
    world.succeed(put("/bucket", "")).await;
    world.succeed(put("/bucket/key", "body")).await;
    let stranger = world.stranger().await;
    let in_header = || signed(&stranger, "GET", "/bucket/key", "/bucket/key", "");
    let url = presigned(&stranger, "GET", "/bucket/key", "/bucket/key", 60);
    for (condition, by_header, by_url) in [
        (
            r#""StringEquals": {"s3:signatureversion": "AWS"}"#,
            200,
            200,
        ),
        (
            r#""StringEquals": {"s3:signatureversion": "AWS4-HMAC-SHA256"}"#,
            403,
            403,
        ),
        (
            r#""StringEquals": {"s3:authType": "REST-HEADER"}"#,
            200,
            403,
        ),
        (
            r#""StringEquals": {"s3:authType": "REST-QUERY-STRING"}"#,
            403,
            200,
        ),
        (
            r#""NumericLessThan": {"s3:signatureAge": "1000"}"#,
            200,
            403,
        ),
        (r#""Null": {"s3:x-amz-content-sha256": "true"}"#, 200, 200),
    ] {
        let policy = format!(
            r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Principal": "*",
                "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bucket/*",
                "Condition": {{{condition}}}}}}}"#
        );
        world.send(put("/bucket?policy", policy)).await.is(204);
        for (call, expected) in [(in_header(), by_header), (get(&url), by_url)] {
            let reply = world.send_by(None, call).await;
            assert_eq!(reply.status.as_u16(), expected, "{condition}");
        }
    }
}

#[tokio::test]
async fn what_it_cannot_sign_or_tell_apart_is_refused() {
    let world = World::with_sigv2().await;
    world.succeed(put("/bucket", "")).await;
    world.succeed(put("/bucket/key", "body")).await;
    let user = &world.owner;
    let copy = "x-amz-copy-source:/bucket/key\n/bucket/copy";
    let copy =
        || signed(user, "PUT", "/bucket/copy", copy, "").header("x-amz-copy-source", "/bucket/key");
    world.send_by(None, copy()).await.is(200);
    let moved = copy().header("x-tigris-rename", "true");
    let refused = world.send_by(None, moved).await;
    refused.refused(400, "InvalidRequest");
    world.succeed(get("/bucket/key")).await;
    let twice = "x-amz-acl:private,public-read\n/bucket/key";
    let twice = signed(user, "PUT", "/bucket/key", twice, "x")
        .header("x-amz-acl", "private")
        .header("x-amz-acl", "public-read");
    let refused = world.send_by(None, twice).await;
    refused.refused(400, "InvalidRequest");
    world.succeed(get("/bucket/key")).await.body_is(b"body");
}
