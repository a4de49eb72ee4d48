//! Multipart uploads: what may go wrong at each step, and what listings show.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{
    Call, LOOKUP_TIME, PART_BYTES, SlowEngine, World, complete, delete, get, head, part_element,
    post, put,
};
use oncilla_hash::{Checksum, ChecksumAlgorithm};
use oncilla_meta::memory::MemoryEngine;
use oncilla_store::StoreOptions;

const TARGET: &str = "/bucket/key";

async fn world_with_upload(headers: &[(&str, &str)]) -> (World, String) {
    let world = World::new().await;
    world.succeed(put("/bucket", "")).await;
    let mut create = post("/bucket/key?uploads", "");
    for (name, value) in headers {
        create = create.header(name, value);
    }
    let reply = world.succeed(create).await;
    for (name, value) in headers {
        if name.starts_with("x-amz-checksum-") {
            assert_eq!(reply.header(name), Some(*value));
        }
    }
    assert_eq!(reply.element("Bucket").as_deref(), Some("bucket"));
    assert_eq!(reply.element("Key").as_deref(), Some("key"));
    (world, reply.element("UploadId").unwrap())
}

fn part(number: usize, id: &str) -> String {
    format!("{TARGET}?partNumber={number}&uploadId={id}")
}

async fn put_part(world: &World, number: usize, id: &str, body: &[u8]) -> String {
    let reply = world.succeed(put(&part(number, id), body.to_vec())).await;
    reply.header("etag").unwrap().to_owned()
}

#[tokio::test]
async fn a_list_of_parts_that_does_not_fit_completes_nothing() {
    let (world, id) = world_with_upload(&[]).await;
    let large = vec![1; PART_BYTES];
    let first = put_part(&world, 1, &id, &large).await;
    let third = put_part(&world, 3, &id, b"small").await;
    let fourth = put_part(&world, 4, &id, b"last").await;
    let (first, third) = (part_element(1, &first), part_element(3, &third));
    let fourth = part_element(4, &fourth);
    let cases = [
        (String::new(), "MalformedXML"),
        (
            "<Part><PartNumber>1</PartNumber></Part>".to_owned(),
            "MalformedXML",
        ),
        (part_element(0, "x"), "InvalidArgument"),
        (part_element(10_001, "x"), "InvalidArgument"),
        (part_element(2, "x"), "InvalidPart"),
        (
            part_element(1, "\"841a2d689ad86bd1611447453c22c6fc\""),
            "InvalidPart",
        ),
        (format!("{third}{first}"), "InvalidPartOrder"),
        (format!("{first}{first}"), "InvalidPartOrder"),
        (format!("{first}{third}{fourth}"), "EntityTooSmall"),
    ];
    for (list, code) in cases {
        world
            .send(complete(TARGET, &id, &list))
            .await
            .refused(400, code);
    }
    let size = complete(TARGET, &id, &first).header("x-amz-mp-object-size", "7");
    world.send(size).await.refused(400, "InvalidRequest");
    let condition = complete(TARGET, &id, &first).header("if-match", "*");
    world.send(condition).await.refused(404, "NoSuchKey");
    let digest = complete(TARGET, &id, &first).header("content-md5", "bm90IHRoZSBtZDUgYXQgYQ==");
    world.send(digest).await.refused(400, "BadDigest");
    world.send(head(TARGET)).await.is(404);

    // A part that is left out is no part of the object.
    let list = format!("{first}{fourth}");
    let sized = complete(TARGET, &id, &list)
        .header("x-amz-mp-object-size", &(PART_BYTES + 4).to_string())
        .header("if-none-match", "*");
    let done = world.succeed(sized).await;
    assert_eq!(
        done.element("Location").as_deref(),
        Some("http://127.0.0.1:9000/bucket/key")
    );
    assert!(done.element("ETag").unwrap().ends_with("-2&quot;"));
    // Sent again, it is answered again; another list of parts is not asked for any more.
    let again = world.succeed(complete(TARGET, &id, &list)).await;
    assert_eq!(again.text(), done.text());
    let reply = world.succeed(get(TARGET)).await;
    assert_eq!(reply.body.len(), PART_BYTES + 4);
    world.succeed(delete(TARGET)).await;
    let late = world.send(complete(TARGET, &id, &list)).await;
    late.refused(404, "NoSuchUpload");
}

#[tokio::test]
async fn checksums_of_uploads_have_to_fit() {
    for (algorithm, kind) in [
        (ChecksumAlgorithm::Sha256, "COMPOSITE"),
        (ChecksumAlgorithm::Crc32c, "FULL_OBJECT"),
    ] {
        let (name, element) = (algorithm.header_name(), algorithm.xml_element());
        let headers = [
            ("x-amz-checksum-algorithm", algorithm.as_str()),
            ("x-amz-checksum-type", kind),
        ];
        let (world, id) = world_with_upload(&headers).await;
        let of_part = Checksum::of(algorithm, b"part");
        let wrong = Checksum::of(algorithm, b"other").to_base64();
        let reply = world
            .send(put(&part(1, &id), "part").header(name, &wrong))
            .await;
        reply.refused(400, "BadDigest");
        let sha1 = Checksum::of(ChecksumAlgorithm::Sha1, b"part").to_base64();
        let other = put(&part(1, &id), "part").header("x-amz-checksum-sha1", &sha1);
        world.send(other).await.refused(400, "InvalidRequest");
        let sent = put(&part(1, &id), "part").header(name, &of_part.to_base64());
        let reply = world.succeed(sent).await.has(name, &of_part.to_base64());
        let etag = reply.header("etag").unwrap().to_owned();
        let shown = world.succeed(get(&format!("{TARGET}?uploadId={id}"))).await;
        assert_eq!(shown.element(element), Some(of_part.to_base64()));
        assert_eq!(shown.element("ChecksumType").as_deref(), Some(kind));
        assert_eq!(
            shown.element("ChecksumAlgorithm").as_deref(),
            Some(algorithm.as_str())
        );

        let named = |value: &str| {
            format!(
                "<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag><{element}>{value}</{element}></Part>"
            )
        };
        let wrong_part = world.send(complete(TARGET, &id, &named(&wrong))).await;
        wrong_part.refused(400, "InvalidPart");
        let list = named(&of_part.to_base64());
        let of_object = match kind {
            "COMPOSITE" => {
                let composed = oncilla_hash::composite(algorithm, [&of_part]).unwrap();
                composed.to_base64_composite(1)
            }
            _ => of_part.to_base64(),
        };
        let with = |name: &str, value: &str| complete(TARGET, &id, &list).header(name, value);
        world
            .send(with(name, &wrong))
            .await
            .refused(400, "BadDigest");
        world
            .send(with(name, "bad"))
            .await
            .refused(400, "BadDigest");
        if kind == "COMPOSITE" {
            let of_two = of_object.replace("-1", "-2");
            world
                .send(with(name, &of_two))
                .await
                .refused(400, "BadDigest");
        }
        let other_kind = if kind == "COMPOSITE" {
            "FULL_OBJECT"
        } else {
            "COMPOSITE"
        };
        let other = with("x-amz-checksum-type", other_kind);
        world.send(other).await.refused(400, "InvalidRequest");
        world.send(head(TARGET)).await.is(404);
        let right = with(name, &of_object).header("x-amz-checksum-type", kind);
        let done = world.succeed(right).await;
        assert_eq!(done.element(element), Some(of_object));
        assert_eq!(done.element("ChecksumType").as_deref(), Some(kind));
    }
}

#[tokio::test]
async fn uploads_that_are_not_there() {
    let (world, id) = world_with_upload(&[]).await;
    let unknown = "0123456789abcdef0123456789abcdef";
    for (target, id) in [
        (TARGET, unknown),
        (TARGET, "x"),
        ("/bucket/other", id.as_str()),
    ] {
        let query = format!("{target}?uploadId={id}");
        let part = format!("{target}?partNumber=1&uploadId={id}");
        let calls = [
            get(&query),
            delete(&query),
            put(&part, "part"),
            complete(
                target,
                id,
                &part_element(1, "\"841a2d689ad86bd1611447453c22c6fc\""),
            ),
        ];
        for call in calls {
            world.send(call).await.refused(404, "NoSuchUpload");
        }
    }
    for number in ["0", "10001", "x", "-1", "+1"] {
        let target = format!("{TARGET}?partNumber={number}&uploadId={id}");
        world
            .send(put(&target, "part"))
            .await
            .refused(400, "InvalidArgument");
    }
    put_part(&world, 1, &id, b"part").await;
    world
        .succeed(delete(&format!("{TARGET}?uploadId={id}")))
        .await
        .is(204);
    world
        .send(get(&format!("{TARGET}?uploadId={id}")))
        .await
        .refused(404, "NoSuchUpload");
    world.succeed(delete("/bucket")).await;
}

#[tokio::test]
async fn parts_are_copied_whole_or_by_range() {
    let (world, id) = world_with_upload(&[("x-amz-checksum-algorithm", "CRC32")]).await;
    world.succeed(put("/bucket/source", "0123456789")).await;
    let copy = |number| put(&part(number, &id), "").header("x-amz-copy-source", "/bucket/source");
    let whole = world.succeed(copy(1)).await;
    assert!(whole.element("ETag").is_some() && whole.element("LastModified").is_some());
    let checksum = Checksum::of(ChecksumAlgorithm::Crc32, b"0123456789").to_base64();
    assert_eq!(whole.element("ChecksumCRC32"), Some(checksum));
    assert_eq!(whole.element("ChecksumType"), None);
    for (range, status) in [
        ("bytes=0-10", 416),
        ("bytes=5-4", 400),
        ("bytes=5-", 400),
        ("bytes=-5", 400),
        ("0-4", 400),
    ] {
        let reply = world
            .send(copy(1).header("x-amz-copy-source-range", range))
            .await;
        let code = if status == 416 {
            "InvalidRange"
        } else {
            "InvalidArgument"
        };
        reply.refused(status, code);
    }
    let ranged = copy(1).header("x-amz-copy-source-range", "bytes=2-5");
    let etag = world.succeed(ranged).await.element("ETag").unwrap();
    world
        .succeed(complete(TARGET, &id, &part_element(1, &etag)))
        .await;
    world.succeed(get(TARGET)).await.body_is(b"2345");
    assert_eq!(world.memory.reserved_bytes(), 0);
}

#[tokio::test]
async fn parts_are_listed_in_pages() {
    let (world, id) = world_with_upload(&[("x-amz-storage-class", "STANDARD_IA")]).await;
    for number in [7, 1, 3] {
        put_part(&world, number, &id, b"part").await;
    }
    let list = async |more: &str| {
        let target = format!("{TARGET}?uploadId={id}{more}");
        world.succeed(get(&target)).await
    };
    let page = list("&max-parts=2").await;
    assert_eq!(page.elements("PartNumber"), ["1", "3"]);
    assert_eq!(page.elements("Size"), ["4", "4"]);
    assert_eq!(page.element("IsTruncated").as_deref(), Some("true"));
    assert_eq!(page.element("NextPartNumberMarker").as_deref(), Some("3"));
    assert_eq!(page.element("MaxParts").as_deref(), Some("2"));
    assert_eq!(page.element("StorageClass").as_deref(), Some("STANDARD_IA"));
    assert_eq!(page.elements("ID"), [world.owner.account_id.as_str(); 2]);
    assert_eq!(page.elements("DisplayName"), ["owner"; 2]);
    // The algorithm that the store chose for itself concerns nobody.
    assert_eq!(page.element("ChecksumAlgorithm"), None);
    let page = list("&max-parts=2&part-number-marker=3").await;
    assert_eq!(page.elements("PartNumber"), ["7"]);
    assert_eq!(page.element("IsTruncated").as_deref(), Some("false"));
    let none = list("&max-parts=0").await;
    assert_eq!(none.elements("PartNumber"), [""; 0]);
    assert_eq!(none.element("IsTruncated").as_deref(), Some("false"));
    let bad = get(&format!("{TARGET}?uploadId={id}&max-parts=x"));
    world.send(bad).await.refused(400, "InvalidArgument");
}

#[tokio::test]
async fn uploads_are_listed_in_pages_and_groups() {
    let world = World::new().await;
    world.succeed(put("/bucket", "")).await;
    let mut ids = Vec::new();
    for key in ["a", "a", "b/1", "b/2", "c%20d"] {
        let reply = world
            .succeed(post(&format!("/bucket/{key}?uploads"), ""))
            .await;
        ids.push(reply.element("UploadId").unwrap());
        world.advance_ms(5);
    }
    let list = async |more: &str| {
        let target = format!("/bucket?uploads{more}");
        world.succeed(get(&target)).await
    };
    let all = list("").await;
    assert_eq!(all.elements("Key"), ["a", "a", "b/1", "b/2", "c d"]);
    assert_eq!(all.elements("UploadId"), ids);
    assert_eq!(all.elements("Initiated").len(), 5);
    assert_eq!(all.elements("ID").len(), 10);
    assert_eq!(all.element("IsTruncated").as_deref(), Some("false"));
    let grouped = list("&delimiter=/&max-uploads=3&encoding-type=url").await;
    assert_eq!(grouped.elements("Key"), ["a", "a"]);
    assert_eq!(grouped.elements("CommonPrefixes"), ["<Prefix>b/</Prefix>"]);
    assert_eq!(grouped.element("NextKeyMarker").as_deref(), Some("b/"));
    assert_eq!(grouped.element("EncodingType").as_deref(), Some("url"));
    let rest = list("&delimiter=/&encoding-type=url&key-marker=b/").await;
    assert_eq!(rest.elements("CommonPrefixes"), [""; 0]);
    assert_eq!(rest.elements("Key").len(), 1);
    let first = list("&max-uploads=1").await;
    let marker = first.element("NextUploadIdMarker").unwrap();
    assert_eq!(
        (first.element("NextKeyMarker").as_deref(), &marker),
        (Some("a"), &ids[0])
    );
    let second = list(&format!(
        "&max-uploads=1&key-marker=a&upload-id-marker={marker}"
    ))
    .await;
    assert_eq!(second.elements("UploadId"), [ids[1].clone()]);
    let none = list("&max-uploads=0").await;
    assert_eq!(none.elements("Key"), [""; 0]);
    assert_eq!(none.element("IsTruncated").as_deref(), Some("false"));
    assert_eq!(list("&prefix=b").await.elements("Key"), ["b/1", "b/2"]);
}

#[tokio::test(start_paused = true)]
async fn an_object_may_be_replaced_and_collected_while_its_parts_are_looked_at() {
    let engine = Arc::new(SlowEngine(MemoryEngine::new()));
    let options = StoreOptions {
        collect_grace: Duration::ZERO,
        ..StoreOptions::default()
    };
    let world = Arc::new(World::on(engine, options).await);
    world.succeed(put("/bucket", "")).await;
    let headers = [("x-amz-checksum-algorithm", "CRC32")];
    world.upload(TARGET, &headers, &[b"part"]).await;
    let store = world.store.clone();
    let collector = tokio::spawn(async move { store.run_collector().await });
    let asked_head = || head("/bucket/key?partNumber=1").header("x-amz-checksum-mode", "ENABLED");
    let asked_parts =
        || get("/bucket/key?attributes").header("x-amz-object-attributes", "ObjectParts");
    let calls: [&dyn Fn() -> Call; 2] = [&asked_head, &asked_parts];
    for asked in calls {
        let (looker, call) = (Arc::clone(&world), asked());
        let looking = async move { looker.succeed(call).await };
        let looking = tokio::spawn(LOOKUP_TIME.scope(Duration::from_secs(60), looking));
        // It has found the object, which then goes, and its parts are collected.
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.upload(TARGET, &headers, &[b"part"]).await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(world.store.collector_stats().notes_waiting, 0);
        let reply = looking.await.unwrap();
        match reply.header("x-amz-mp-parts-count") {
            Some(count) => {
                assert_eq!(count, "1");
                assert!(reply.header("x-amz-checksum-crc32").is_some());
            }
            None => assert_eq!(reply.elements("PartNumber"), ["1"]),
        }
    }
    collector.abort();
}
