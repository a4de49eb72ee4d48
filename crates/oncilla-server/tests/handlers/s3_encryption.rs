//! Encryption as clients see it: headers, statuses and documents.

use std::sync::Arc;

use crate::support::{Call, Reply, World, complete, delete, get, head, part_element, post, put};
use oncilla_hash::{Md5, hex};
use oncilla_keys::NewKmsKey;
use oncilla_meta::memory::MemoryEngine;
use oncilla_store::StoreOptions;

const SSE: &str = "x-amz-server-side-encryption";
const KEY_ID: &str = "x-amz-server-side-encryption-aws-kms-key-id";
const CONTEXT: &str = "x-amz-server-side-encryption-context";
const BUCKET_KEY: &str = "x-amz-server-side-encryption-bucket-key-enabled";
const ALGORITHM: &str = "x-amz-server-side-encryption-customer-algorithm";
const KEY: &str = "x-amz-server-side-encryption-customer-key";
const KEY_MD5: &str = "x-amz-server-side-encryption-customer-key-md5";

/// Two keys of a client's with their MD5s (those of ceph/s3-tests).
const ONE: (&str, &str) = (
    "pO3upElrwuEXSoFwCfnZPdSsmt/xWeFa0N9KgDijwVs=",
    "DWygnHRtgiJ77HCm+1rvHw==",
);
const OTHER: (&str, &str) = (
    "6b+WOZ1T3cqZMxgThRcXAQBrS5mXKdDUphvpxptl9/4=",
    "arxBvwY2V4SiOne6yppVPQ==",
);

async fn world() -> World {
    let world = World::new().await;
    world.succeed(put("/bucket", "")).await;
    create_key(&world, "key-1", "one").await;
    world
}

async fn create_key(world: &World, id: &str, alias: &str) {
    let new = NewKmsKey {
        id: Some(id.to_owned()),
        aliases: vec![alias.to_owned()],
    };
    world.store.keys().unwrap().create(new).await.unwrap();
}

fn with_key(call: Call, key: (&str, &str)) -> Call {
    call.header(ALGORITHM, "AES256")
        .header(KEY, key.0)
        .header(KEY_MD5, key.1)
}

fn with_source_key(call: Call, key: (&str, &str)) -> Call {
    let name = |name: &str| format!("x-amz-copy-source-{}", &name[6..]);
    call.header(&name(ALGORITHM), "AES256")
        .header(&name(KEY), key.0)
        .header(&name(KEY_MD5), key.1)
}

fn body(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 % 251) as u8).collect()
}

fn md5_etag(body: &[u8]) -> String {
    format!("\"{}\"", hex::encode(&Md5::digest(body)))
}

#[tokio::test]
async fn sse_s3_is_told_and_reads_as_before() {
    let world = world().await;
    for size in [0, 1, 1_000, 20_000, 700_000] {
        let body = body(size);
        let written = put("/bucket/k", body.clone()).header(SSE, "AES256");
        let written = world
            .succeed(written)
            .await
            .has(SSE, "AES256")
            .lacks(KEY_ID);
        assert_eq!(written.header("etag"), Some(&md5_etag(&body)[..]));
        world.succeed(head("/bucket/k")).await.has(SSE, "AES256");
        let read = world.succeed(get("/bucket/k")).await;
        read.has(SSE, "AES256").body_is(&body);
        if size > 100 {
            let range = get("/bucket/k").header("range", "bytes=37-91");
            let read = world.succeed(range).await;
            read.is(206).has(SSE, "AES256").body_is(&body[37..92]);
        }
    }
    world.succeed(put("/bucket/plain", "x")).await.lacks(SSE);
    world.succeed(get("/bucket/plain")).await.lacks(SSE);
}

#[tokio::test]
async fn sse_kms_names_its_key() {
    let world = world().await;
    let body = body(100_000);
    let context = "eyJiIjoiMiIsImEiOiIxIn0=";
    for name in [
        "key-1",
        "alias/one",
        "arn:aws:kms:auto:000000000000:key/key-1",
        "arn:aws:kms:auto:000000000000:alias/one",
    ] {
        let written = put("/bucket/k", body.clone())
            .header(SSE, "aws:kms")
            .header(KEY_ID, name)
            .header(CONTEXT, context)
            .header(BUCKET_KEY, "true");
        let written = world.succeed(written).await;
        assert_ne!(written.header("etag"), Some(&md5_etag(&body)[..]));
        written
            .has(SSE, "aws:kms")
            .has(KEY_ID, "key-1")
            .has(BUCKET_KEY, "true")
            // With sorted keys.
            .has(CONTEXT, "eyJhIjoiMSIsImIiOiIyIn0=");
    }
    let read = world.succeed(get("/bucket/k")).await.body_is(&body);
    read.has(SSE, "aws:kms").has(KEY_ID, "key-1").lacks(CONTEXT);
    // Without a key, the default one, which is made for it.
    let by_default = put("/bucket/k", "x").header(SSE, "aws:kms");
    let written = world.succeed(by_default).await;
    let id = written.header(KEY_ID).unwrap().to_owned();
    assert_eq!(id.len(), 36);
    let again = put("/bucket/k", "x")
        .header(SSE, "aws:kms")
        .header(KEY_ID, "alias/aws/s3");
    world.succeed(again).await.has(KEY_ID, &id);
}

#[tokio::test]
async fn kms_keys_that_cannot_be_used_are_refused_by_name() {
    let world = world().await;
    let by = |key: &str| {
        put("/bucket/k", "x")
            .header(SSE, "aws:kms")
            .header(KEY_ID, key)
    };
    world
        .send(by("none"))
        .await
        .refused(400, "KMS.NotFoundException");
    world.succeed(by("key-1")).await;
    let begun = post("/bucket/parts?uploads", "")
        .header(SSE, "aws:kms")
        .header(KEY_ID, "key-1");
    let upload = world.succeed(begun).await.element("UploadId").unwrap();
    let part = put(
        &format!("/bucket/parts?partNumber=1&uploadId={upload}"),
        "x",
    );
    let part = world.succeed(part).await;
    let list = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{}</ETag></Part>\
         </CompleteMultipartUpload>",
        part.header("etag").unwrap()
    );
    let complete = || post(&format!("/bucket/parts?uploadId={upload}"), list.clone());
    let copy = || put("/bucket/copy", "").header("x-amz-copy-source", "/bucket/k");
    let keys = world.store.keys().unwrap();
    keys.set_disabled("key-1", true).await.unwrap();
    for protects_more in [complete(), copy()] {
        let refused = world.send(protects_more).await;
        refused.refused(400, "KMS.DisabledException");
    }
    world
        .send(by("key-1"))
        .await
        .refused(400, "KMS.DisabledException");
    world
        .send(get("/bucket/k"))
        .await
        .refused(400, "KMS.DisabledException");
    // What is told of an object needs no key.
    world.succeed(head("/bucket/k")).await.has(KEY_ID, "key-1");
    keys.set_disabled("key-1", false).await.unwrap();
    keys.rotate("key-1").await.unwrap();
    world.succeed(get("/bucket/k")).await.body_is(b"x");
    for protects_more in [complete(), copy()] {
        world.succeed(protects_more).await;
    }
}

#[tokio::test]
async fn sse_c_takes_the_same_key_again_and_no_other() {
    let world = world().await;
    for size in [0, 10, 300_000] {
        let body = body(size);
        let written = world
            .succeed(with_key(put("/bucket/c", body.clone()), ONE))
            .await;
        let etag = written.header("etag").unwrap().to_owned();
        assert_ne!(etag, md5_etag(&body));
        written
            .has(ALGORITHM, "AES256")
            .has(KEY_MD5, ONE.1)
            .lacks(KEY)
            .lacks(SSE);
        let read = world
            .succeed(with_key(get("/bucket/c"), ONE))
            .await
            .body_is(&body);
        read.has(ALGORITHM, "AES256")
            .has(KEY_MD5, ONE.1)
            .has("etag", &etag);
        world
            .succeed(with_key(head("/bucket/c"), ONE))
            .await
            .has("etag", &etag);
    }
    for call in [get("/bucket/c"), with_key(get("/bucket/c"), OTHER)] {
        world.send(call).await.refused(400, "InvalidRequest");
    }
    for call in [head("/bucket/c"), with_key(head("/bucket/c"), OTHER)] {
        world.send(call).await.is(400);
    }
    let attributes =
        || get("/bucket/c?attributes").header("x-amz-object-attributes", "ETag,ObjectSize");
    world
        .send(attributes())
        .await
        .refused(400, "InvalidRequest");
    let told = world.succeed(with_key(attributes(), ONE)).await;
    assert_eq!(told.element("ObjectSize").as_deref(), Some("300000"));
    // A key where none is needed.
    world.succeed(put("/bucket/plain", "x")).await;
    let refused = world.send(with_key(get("/bucket/plain"), ONE)).await;
    refused.refused(400, "InvalidRequest");
    let sse_s3 = put("/bucket/s3", "x").header(SSE, "AES256");
    world.succeed(sse_s3).await;
    let refused = world.send(with_key(get("/bucket/s3"), ONE)).await;
    refused.refused(400, "InvalidRequest");
}

#[tokio::test]
async fn headers_that_make_no_sense_are_refused_and_nothing_is_written() {
    let world = world().await;
    let put = || put("/bucket/k", "x");
    for (call, code) in [
        (put().header(SSE, "AES192"), "InvalidArgument"),
        (put().header(KEY_ID, "key-1"), "InvalidArgument"),
        (
            put().header(SSE, "AES256").header(KEY_ID, "key-1"),
            "InvalidArgument",
        ),
        (
            with_key(put(), ONE).header(SSE, "AES256"),
            "InvalidArgument",
        ),
        (
            with_key(put(), ONE).header(SSE, "aws:kms"),
            "InvalidArgument",
        ),
        (put().header(ALGORITHM, "AES256"), "InvalidArgument"),
        (
            put().header(ALGORITHM, "AES256").header(KEY, ONE.0),
            "InvalidArgument",
        ),
        (
            put().header(KEY, ONE.0).header(KEY_MD5, ONE.1),
            "InvalidArgument",
        ),
        (with_key(put(), (ONE.0, OTHER.1)), "InvalidArgument"),
        (
            put()
                .header(ALGORITHM, "AES192")
                .header(KEY, ONE.0)
                .header(KEY_MD5, ONE.1),
            "InvalidEncryptionAlgorithmError",
        ),
        (
            put().header(SSE, "aws:kms").header(CONTEXT, "no"),
            "InvalidArgument",
        ),
    ] {
        let refused = world.send(call).await.refused(400, code);
        assert!(!refused.text().contains(ONE.0));
    }
    let dsse = put().header(SSE, "aws:kms:dsse");
    world.send(dsse).await.refused(501, "NotImplemented");
    world.send(get("/bucket/k")).await.refused(404, "NoSuchKey");
    world.succeed(put()).await;
    for (name, value) in [
        (SSE, "AES256"),
        (SSE, "aws:kms"),
        (KEY_ID, "key-1"),
        (CONTEXT, "e30="),
    ] {
        let refused = world.send(get("/bucket/k").header(name, value)).await;
        refused.refused(400, "InvalidArgument");
        world
            .send(head("/bucket/k").header(name, value))
            .await
            .is(400);
    }
}

#[tokio::test]
async fn no_error_repeats_a_clients_key() {
    let world = world().await;
    let stranger = crate::support::User {
        account_id: String::new(),
        key: {
            let mut key = world.owner.key.clone();
            key.secret_access_key = "wrong".to_owned();
            key
        },
    };
    let call = with_key(put("/bucket/k", "x"), ONE);
    let refused = world.send_by(Some(&stranger), call).await;
    let refused = refused.refused(403, "SignatureDoesNotMatch");
    assert!(!refused.text().contains(ONE.0));
    let digits = hex::encode(ONE.0.as_bytes());
    let spaced: Vec<&str> = (0..digits.len())
        .step_by(2)
        .map(|at| &digits[at..at + 2])
        .collect();
    assert!(!refused.text().contains(&spaced.join(" ")));
    let plain = world.send_by(Some(&stranger), put("/bucket/k", "x")).await;
    assert!(plain.element("CanonicalRequest").is_some());
}

/// Uploads parts with a key of the client's.
async fn upload_with_key(world: &World, target: &str, parts: &[Vec<u8>]) -> Reply {
    let created = world
        .succeed(with_key(post(&format!("{target}?uploads"), ""), ONE))
        .await;
    let id = created
        .has(ALGORITHM, "AES256")
        .element("UploadId")
        .unwrap();
    let mut list = String::new();
    for (part, number) in parts.iter().zip(1..) {
        let call = put(
            &format!("{target}?partNumber={number}&uploadId={id}"),
            part.clone(),
        );
        let written = world.succeed(with_key(call, ONE)).await.has(KEY_MD5, ONE.1);
        list.push_str(&part_element(number, written.header("etag").unwrap()));
    }
    world.succeed(complete(target, &id, &list)).await
}

#[tokio::test]
async fn parts_are_encrypted_as_their_upload() {
    let world = world().await;
    let parts = [body((5 << 20) + 1), body(100_000)];
    let whole = parts.concat();
    let headers = [(SSE, "aws:kms"), (KEY_ID, "key-1")];
    let slices: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    let completed = world.upload("/bucket/kms", &headers, &slices).await;
    completed.has(SSE, "aws:kms").has(KEY_ID, "key-1");
    world
        .succeed(get("/bucket/kms"))
        .await
        .has(SSE, "aws:kms")
        .body_is(&whole);

    upload_with_key(&world, "/bucket/c", &parts).await;
    world
        .succeed(with_key(get("/bucket/c"), ONE))
        .await
        .body_is(&whole);
    let seam = with_key(get("/bucket/c"), ONE).header("range", "bytes=5242870-5242890");
    world
        .succeed(seam)
        .await
        .is(206)
        .body_is(&whole[5_242_870..=5_242_890]);
    let second = with_key(get("/bucket/c?partNumber=2"), ONE);
    world.succeed(second).await.body_is(&parts[1]);
    world
        .send(with_key(get("/bucket/c"), OTHER))
        .await
        .refused(400, "InvalidRequest");
}

#[tokio::test]
async fn a_part_needs_the_key_of_its_upload() {
    let world = world().await;
    let create = async |call: Call| world.succeed(call).await.element("UploadId").unwrap();
    let encrypted = create(with_key(post("/bucket/k?uploads", ""), ONE)).await;
    let plain = create(post("/bucket/k?uploads", "")).await;
    let part = |id: &str| put(&format!("/bucket/k?partNumber=1&uploadId={id}"), "part");
    for call in [
        part(&encrypted),
        with_key(part(&encrypted), OTHER),
        with_key(part(&plain), ONE),
    ] {
        world.send(call).await.refused(400, "InvalidRequest");
    }
    // The other headers say nothing here, but would be taken for heard by who sends them to an upload
    // that keeps its parts as they are.
    let by_server = create(post("/bucket/k?uploads", "").header(SSE, "AES256")).await;
    let asking = |id: &str| part(id).header(SSE, "aws:kms").header(KEY_ID, "none");
    world.succeed(asking(&by_server)).await;
    let refused = world.send(asking(&plain)).await;
    refused.refused(400, "InvalidArgument");
    let written = world.succeed(with_key(part(&encrypted), ONE)).await;
    let list = part_element(1, written.header("etag").unwrap());
    let wrong = with_key(complete("/bucket/k", &encrypted, &list), OTHER);
    world.send(wrong).await.refused(400, "InvalidRequest");
    world
        .succeed(with_key(complete("/bucket/k", &encrypted, &list), ONE))
        .await;
    world
        .succeed(with_key(get("/bucket/k"), ONE))
        .await
        .body_is(b"part");
    // With a checksum that the client chose, the completion needs the key as well.
    let summed = post("/bucket/k?uploads", "").header("x-amz-checksum-algorithm", "CRC32");
    let summed = create(with_key(summed, ONE)).await;
    let first = world.succeed(with_key(part(&summed), ONE)).await;
    let again = world.succeed(with_key(part(&summed), ONE)).await;
    assert_eq!(
        first.header("etag"),
        again.header("etag"),
        "a part can be sent again"
    );
    let list = part_element(1, first.header("etag").unwrap());
    world
        .send(complete("/bucket/k", &summed, &list))
        .await
        .refused(400, "InvalidRequest");
    let completed = world
        .succeed(with_key(complete("/bucket/k", &summed, &list), ONE))
        .await;
    completed.has(KEY_MD5, ONE.1);
}

#[tokio::test]
async fn copies_are_encrypted_as_they_ask_for() {
    let world = world().await;
    let body = body(200_000);
    world
        .succeed(with_key(put("/bucket/c", body.clone()), ONE))
        .await;
    world
        .succeed(put("/bucket/s3", body.clone()).header(SSE, "AES256"))
        .await;
    world.succeed(put("/bucket/plain", body.clone())).await;
    let copy = |from: &str| put("/bucket/copy", "").header("x-amz-copy-source", from);
    // The source's key is needed, and the copy's own is told.
    world
        .send(copy("/bucket/c"))
        .await
        .refused(400, "InvalidRequest");
    let wrong = with_source_key(copy("/bucket/c"), OTHER);
    world.send(wrong).await.refused(400, "InvalidRequest");
    let needless = with_source_key(copy("/bucket/plain"), ONE);
    world.send(needless).await.refused(400, "InvalidRequest");
    let copied = world.succeed(with_source_key(copy("/bucket/c"), ONE)).await;
    copied.has(SSE, "AES256");
    world.succeed(get("/bucket/copy")).await.body_is(&body);
    let copied = with_key(with_source_key(copy("/bucket/c"), ONE), OTHER);
    world.succeed(copied).await.has(KEY_MD5, OTHER.1);
    world
        .succeed(with_key(get("/bucket/copy"), OTHER))
        .await
        .body_is(&body);
    for from in ["/bucket/s3", "/bucket/plain"] {
        let by_kms = copy(from)
            .header(SSE, "aws:kms")
            .header(KEY_ID, "alias/one");
        let copied = world.succeed(by_kms).await.has(KEY_ID, "key-1");
        assert_ne!(
            format!(
                "\"{}\"",
                copied.element("ETag").unwrap().replace("&quot;", "")
            ),
            md5_etag(&body)
        );
        world
            .succeed(get("/bucket/copy"))
            .await
            .has(SSE, "aws:kms")
            .body_is(&body);
        let by_s3 = put("/bucket/back", "")
            .header("x-amz-copy-source", "/bucket/copy")
            .header(SSE, "AES256");
        world.succeed(by_s3).await.has(SSE, "AES256");
        let read = world.succeed(get("/bucket/back")).await.body_is(&body);
        read.has("etag", &md5_etag(&body));
    }
    let none = copy("/bucket/plain")
        .header(SSE, "aws:kms")
        .header(KEY_ID, "none");
    world.send(none).await.refused(400, "KMS.NotFoundException");
    // To itself, with nothing changed but its encryption.
    let itself = put("/bucket/plain", "").header("x-amz-copy-source", "/bucket/plain");
    world.succeed(itself.header(SSE, "AES256")).await;
    world
        .succeed(get("/bucket/plain"))
        .await
        .has(SSE, "AES256")
        .body_is(&body);
    // Parts as well.
    let create = with_key(post("/bucket/parts?uploads", ""), OTHER);
    let id = world.succeed(create).await.element("UploadId").unwrap();
    let target = format!("/bucket/parts?partNumber=1&uploadId={id}");
    let part = put(&target, "")
        .header("x-amz-copy-source", "/bucket/c")
        .header("x-amz-copy-source-range", "bytes=7-99");
    world.send(part).await.refused(400, "InvalidRequest");
    let part = put(&target, "")
        .header("x-amz-copy-source", "/bucket/c")
        .header("x-amz-copy-source-range", "bytes=7-99");
    let copied = world
        .succeed(with_key(with_source_key(part, ONE), OTHER))
        .await;
    let etag = copied.element("ETag").unwrap().replace("&quot;", "\"");
    world
        .succeed(complete("/bucket/parts", &id, &part_element(1, &etag)))
        .await;
    world
        .succeed(with_key(get("/bucket/parts"), OTHER))
        .await
        .body_is(&body[7..100]);
}

fn configuration(content: &str) -> String {
    format!(
        "<ServerSideEncryptionConfiguration><Rule>{content}</Rule></ServerSideEncryptionConfiguration>"
    )
}

fn by_default(content: &str) -> String {
    let element = "ApplyServerSideEncryptionByDefault";
    configuration(&format!("<{element}>{content}</{element}>"))
}

#[tokio::test]
async fn a_bucket_has_a_default() {
    let world = world().await;
    let none = "ServerSideEncryptionConfigurationNotFoundError";
    world
        .send(get("/bucket?encryption"))
        .await
        .refused(404, none);
    world.succeed(delete("/bucket?encryption")).await.is(204);
    world.succeed(put("/bucket/before", "x")).await.lacks(SSE);

    let s3 = by_default("<SSEAlgorithm>AES256</SSEAlgorithm>");
    world.succeed(put("/bucket?encryption", s3)).await;
    let told = world.succeed(get("/bucket?encryption")).await;
    assert_eq!(told.element("SSEAlgorithm").as_deref(), Some("AES256"));
    assert_eq!(told.element("BucketKeyEnabled").as_deref(), Some("false"));
    world
        .succeed(put("/bucket/k", "x"))
        .await
        .has(SSE, "AES256");
    world
        .succeed(get("/bucket/before"))
        .await
        .lacks(SSE)
        .body_is(b"x");
    let copy = put("/bucket/copy", "").header("x-amz-copy-source", "/bucket/before");
    world.succeed(copy).await.has(SSE, "AES256");
    let completed = world.upload("/bucket/parts", &[], &[b"part"]).await;
    completed.has(SSE, "AES256");
    // Headers win.
    world
        .succeed(with_key(put("/bucket/c", "x"), ONE))
        .await
        .has(KEY_MD5, ONE.1)
        .lacks(SSE);

    let kms =
        by_default("<SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>key-1</KMSMasterKeyID>");
    let kms = kms.replace(
        "</Rule>",
        "<BucketKeyEnabled>true</BucketKeyEnabled></Rule>",
    );
    world.succeed(put("/bucket?encryption", kms)).await;
    let told = world.succeed(get("/bucket?encryption")).await;
    assert_eq!(told.element("KMSMasterKeyID").as_deref(), Some("key-1"));
    let written = world.succeed(put("/bucket/k", "x")).await;
    written
        .has(SSE, "aws:kms")
        .has(KEY_ID, "key-1")
        .has(BUCKET_KEY, "true");
    let without = put("/bucket/k", "x").header(BUCKET_KEY, "false");
    world
        .succeed(without)
        .await
        .has(KEY_ID, "key-1")
        .lacks(BUCKET_KEY);

    let blocks = configuration(
        "<BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes>",
    );
    world.succeed(put("/bucket?encryption", blocks)).await;
    world
        .send(with_key(put("/bucket/c", "x"), ONE))
        .await
        .refused(403, "AccessDenied");
    for wrong in [
        configuration("").replace("<Rule></Rule>", ""),
        by_default("<SSEAlgorithm>x</SSEAlgorithm>"),
    ] {
        world
            .send(put("/bucket?encryption", wrong))
            .await
            .refused(400, "MalformedXML");
    }
    world.succeed(delete("/bucket?encryption")).await.is(204);
    world
        .send(get("/bucket?encryption"))
        .await
        .refused(404, none);
    world.succeed(put("/bucket/k", "x")).await.lacks(SSE);
}

#[tokio::test]
async fn everything_can_be_encrypted_unasked() {
    let options = StoreOptions {
        encrypt_at_rest: true,
        ..StoreOptions::default()
    };
    let world = World::on(Arc::new(MemoryEngine::new()), options).await;
    world.succeed(put("/bucket", "")).await;
    let told = world.succeed(get("/bucket?encryption")).await;
    assert_eq!(told.element("SSEAlgorithm").as_deref(), Some("AES256"));
    let body = body(100_000);
    let written = world
        .succeed(put("/bucket/k", body.clone()))
        .await
        .has(SSE, "AES256");
    assert_eq!(written.header("etag"), Some(&md5_etag(&body)[..]));
    let completed = world.upload("/bucket/parts", &[], &[&body]).await;
    completed.has(SSE, "AES256");
    for key in ["k", "parts"] {
        let read = world.succeed(get(&format!("/bucket/{key}"))).await;
        read.has(SSE, "AES256").body_is(&body);
    }
}

#[tokio::test]
async fn the_key_of_an_object_can_be_changed() {
    let world = world().await;
    let written = world
        .succeed(put("/bucket/k", "x").header(SSE, "AES256"))
        .await;
    let etag = written.header("etag").unwrap().to_owned();
    let change = |key: &str| {
        let document = format!(
            "<ObjectEncryption><SSE-KMS><KMSKeyArn>{key}</KMSKeyArn></SSE-KMS></ObjectEncryption>"
        );
        put("/bucket/k?encryption", document)
    };
    let changed = world
        .succeed(change("arn:aws:kms:auto:000000000000:key/key-1"))
        .await;
    changed.has(SSE, "aws:kms").has(KEY_ID, "key-1");
    let read = world.succeed(get("/bucket/k")).await.body_is(b"x");
    read.has(KEY_ID, "key-1").has("etag", &etag);
    world
        .send(change("none"))
        .await
        .refused(400, "KMS.NotFoundException");
    world.succeed(put("/bucket/k", "x")).await;
    world
        .send(change("key-1"))
        .await
        .refused(400, "InvalidRequest");
    world
        .send(put("/bucket/k?encryption", "<ObjectEncryption/>"))
        .await
        .refused(400, "InvalidRequest");
    world.succeed(delete("/bucket/k")).await;
    world.send(change("key-1")).await.refused(404, "NoSuchKey");
}

#[tokio::test]
async fn a_key_has_to_be_named_where_there_is_no_default_one() {
    let options = StoreOptions {
        default_kms_key: false,
        ..StoreOptions::default()
    };
    let world = World::on(Arc::new(MemoryEngine::new()), options).await;
    world.succeed(put("/bucket", "")).await;
    create_key(&world, "key-1", "one").await;
    let unnamed = put("/bucket/k", "x").header(SSE, "aws:kms");
    let refused = world.send(unnamed).await.refused(400, "InvalidArgument");
    assert_eq!(refused.element("ArgumentName").unwrap(), KEY_ID);
    let default = by_default("<SSEAlgorithm>aws:kms</SSEAlgorithm>");
    world.succeed(put("/bucket?encryption", default)).await;
    let plain = put("/bucket/k", "x");
    world.send(plain).await.refused(400, "InvalidArgument");
    let named = put("/bucket/k", "x")
        .header(SSE, "aws:kms")
        .header(KEY_ID, "key-1");
    world.succeed(named).await;
    assert!(world.store.keys().unwrap().find("alias/aws/s3").is_err());
}
