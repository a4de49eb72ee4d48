//! Error documents as every reader of XML sees them: legal, and no longer than they have to be.

use crate::support::{Call, Reply, World, delete, get, post, put};

/// Source: XML 1.0 §2.2, Char.
fn is_legal(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

/// Checks what strict readers check of texts: each character, also of those that stand as references.
#[track_caller]
fn is_strictly_legal(reply: &Reply) {
    let text = std::str::from_utf8(&reply.body).unwrap();
    assert!(text.chars().all(is_legal), "{text}");
    for behind in text.split('&').skip(1) {
        let (reference, _) = behind.split_once(';').unwrap();
        if ["lt", "gt", "amp", "quot", "apos"].contains(&reference) {
            continue;
        }
        let number = reference.strip_prefix('#').unwrap();
        let number = match number.strip_prefix('x') {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => number.parse(),
        };
        let character = char::from_u32(number.unwrap()).unwrap();
        assert!(is_legal(character), "{text}");
    }
}

#[tokio::test]
async fn what_is_quoted_of_a_request_is_legal() {
    // U+0001, U+001B and U+FFFE, which XML 1.0 does not have, and a carriage return, which it has.
    const HARD: &str = "a%01b%1Bc%EF%BF%BEd%0De";
    const SOFT: &str = "a\u{fffd}b\u{fffd}c\u{fffd}d&#13;e";
    let world = World::new().await;
    world.succeed(put("/bucket", "")).await;
    let refused = async |call: Call, status: u16, code: &str| {
        let reply = world.send(call).await.refused(status, code);
        is_strictly_legal(&reply);
        reply
    };
    let absent = refused(get(&format!("/bucket/{HARD}")), 404, "NoSuchKey").await;
    assert_eq!(absent.element("Key").as_deref(), Some(SOFT));
    let version = get(&format!("/bucket/k?versionId={HARD}"));
    let version = refused(version, 400, "InvalidArgument").await;
    assert_eq!(version.element("ArgumentValue").as_deref(), Some(SOFT));
    let list = get(&format!("/bucket?list-type=2&max-keys={HARD}"));
    refused(list, 400, "InvalidArgument").await;
    let source = put("/bucket/copy", "").header("x-amz-copy-source", &format!("bucket/{HARD}"));
    refused(source, 404, "NoSuchKey").await;
}

/// S3 user guide, "Deleting objects": of each key, what became of it.
#[tokio::test]
async fn a_thousand_refusals_are_little_more_than_a_thousand_keys() {
    const KEYS: usize = 1_000;
    let world = World::new().await;
    world.succeed(put("/bucket", "")).await;
    let ada = world.user_of(&world.owner, "ada").await;
    let object = |number: usize| {
        let key = format!("{number:04}{}", "k".repeat(1_000));
        format!("<Object><Key>{key}</Key></Object>")
    };
    let objects: String = (0..KEYS).map(object).collect();
    let body = format!("<Delete>{objects}</Delete>");
    let body_bytes = body.len();
    for sender in [&ada, &world.stranger().await] {
        let call = post("/bucket?delete", body.clone());
        let reply = world.send_by(Some(sender), call).await.is(200);
        assert_eq!(reply.elements("Code"), ["AccessDenied"; KEYS]);
        assert_eq!(reply.elements("Message"), ["Access Denied"; KEYS]);
        let answer_bytes = reply.body.len();
        assert!(answer_bytes < body_bytes + 100 * KEYS, "{answer_bytes}");
    }
    // Of one that is deleted alone, the reason is told.
    let alone = world.send_by(Some(&ada), delete("/bucket/0000"));
    let message = alone.await.refused(403, "AccessDenied").element("Message");
    assert!(message.unwrap().contains("s3:DeleteObject"));
}
