//! Objects: conditions, ranges, parts, headers, checksums, copies, deletions.

use crate::support::{
    Call, EARLIER_DATE, LATER_DATE, PART_BYTES, START_DATE, World, call, delete, get, head, post,
    put,
};
use oncilla_hash::{Checksum, ChecksumAlgorithm};
use oncilla_wire::sigv4::PayloadDeclaration;

/// MD5 of `body`, quoted.
const ETAG: &str = "\"841a2d689ad86bd1611447453c22c6fc\"";
const OTHER_ETAG: &str = "\"00000000000000000000000000000000\"";

/// Longer than what is kept in a row.
const LONG: usize = 600_000;

async fn world_with_key() -> World {
    let world = World::new().await;
    world.succeed(put("/bucket", "")).await;
    world.succeed(put("/bucket/key", "body")).await;
    world
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 % 251) as u8).collect()
}

fn with(call: Call, headers: &[(&str, &str)]) -> Call {
    let add = |call: Call, (name, value): &(&str, &str)| call.header(name, value);
    headers.iter().fold(call, add)
}

#[tokio::test]
async fn conditions_on_reads() {
    let world = world_with_key().await;
    let (matches, since) = ("if-match", "if-modified-since");
    let (none_match, unmodified) = ("if-none-match", "if-unmodified-since");
    let cases: &[(&[(&str, &str)], u16)] = &[
        (&[(matches, ETAG)], 200),
        (&[(matches, "841a2d689ad86bd1611447453c22c6fc")], 200),
        (&[(matches, "*")], 200),
        (&[(matches, &format!("{OTHER_ETAG}, {ETAG}"))], 200),
        (&[(matches, OTHER_ETAG)], 412),
        (&[(none_match, OTHER_ETAG)], 200),
        (&[(none_match, ETAG)], 304),
        (&[(none_match, &format!("W/{ETAG}"))], 304),
        (&[(none_match, "*")], 304),
        (&[(since, EARLIER_DATE)], 200),
        (&[(since, START_DATE)], 304),
        (&[(since, LATER_DATE)], 304),
        (&[(since, "yesterday")], 200),
        (&[(unmodified, EARLIER_DATE)], 412),
        (&[(unmodified, START_DATE)], 200),
        (&[(unmodified, LATER_DATE)], 200),
        // The entity tag has precedence over the date.
        (&[(matches, ETAG), (unmodified, EARLIER_DATE)], 200),
        (&[(none_match, OTHER_ETAG), (since, LATER_DATE)], 200),
        (&[(none_match, ETAG), (since, EARLIER_DATE)], 304),
        (&[(matches, OTHER_ETAG), (none_match, ETAG)], 412),
    ];
    for (headers, status) in cases {
        let reply = world.send(with(get("/bucket/key"), headers)).await;
        let reply = match status {
            412 => {
                let reply = reply.refused(412, "PreconditionFailed");
                assert!(reply.element("Condition").is_some());
                reply
            }
            304 => reply
                .is(304)
                .body_is(b"")
                .has("etag", ETAG)
                .has("last-modified", START_DATE),
            _ => reply.is(200).body_is(b"body"),
        };
        drop(reply);
        let reply = world.send(with(head("/bucket/key"), headers)).await;
        reply.is(*status).body_is(b"");
    }
}

#[tokio::test]
async fn an_answer_that_nothing_changed_repeats_what_caches_need() {
    let world = world_with_key().await;
    let stored = put("/bucket/key", "body")
        .header("cache-control", "max-age=60")
        .header("expires", LATER_DATE)
        .header("content-type", "text/plain")
        .header("x-amz-meta-mine", "yes");
    world.succeed(stored).await;
    for method in ["GET", "HEAD"] {
        let asked = call(method, "/bucket/key", "").header("if-none-match", ETAG);
        let reply = world.send(asked).await.is(304).body_is(b"");
        let reply = reply
            .has("cache-control", "max-age=60")
            .has("expires", LATER_DATE);
        let reply = reply.has("etag", ETAG).has("last-modified", START_DATE);
        reply
            .lacks("content-type")
            .lacks("x-amz-meta-mine")
            .lacks("content-length");
    }
}

#[tokio::test]
async fn conditions_on_writes_and_deletions() {
    let world = world_with_key().await;
    let put_if = |key: &str, name: &str, value: &str| {
        put(&format!("/bucket/{key}"), "body").header(name, value)
    };
    let refused = [
        ("key", "if-none-match", "*", 412),
        ("key", "if-none-match", ETAG, 412),
        ("key", "if-match", OTHER_ETAG, 412),
        ("key", "if-unmodified-since", EARLIER_DATE, 412),
        ("key", "if-modified-since", START_DATE, 412),
        ("absent", "if-match", "*", 404),
        ("absent", "if-match", ETAG, 404),
    ];
    let code = |status| {
        if status == 412 {
            "PreconditionFailed"
        } else {
            "NoSuchKey"
        }
    };
    for (key, name, value, status) in refused {
        let reply = world.send(put_if(key, name, value)).await;
        reply.refused(status, code(status));
        let copy = put_if(key, name, value).header("x-amz-copy-source", "bucket/key");
        let copy = copy.header("x-amz-metadata-directive", "REPLACE");
        world.send(copy).await.refused(status, code(status));
    }
    world.send(head("/bucket/absent")).await.is(404);
    world.succeed(put_if("new", "if-none-match", "*")).await;
    world.succeed(put_if("key", "if-match", ETAG)).await;
    world.succeed(put_if("key", "if-match", "*")).await;
    world
        .succeed(put_if("key", "if-unmodified-since", LATER_DATE))
        .await;

    let refused = [
        ("if-match", OTHER_ETAG),
        ("if-unmodified-since", EARLIER_DATE),
        ("x-amz-if-match-size", "5"),
        ("x-amz-if-match-last-modified-time", EARLIER_DATE),
    ];
    for (name, value) in refused {
        let reply = world.send(delete("/bucket/key").header(name, value)).await;
        reply.refused(412, "PreconditionFailed");
    }
    world.succeed(head("/bucket/key")).await;
    let all = delete("/bucket/key")
        .header("if-match", ETAG)
        .header("x-amz-if-match-size", "4")
        .header("x-amz-if-match-last-modified-time", START_DATE);
    world.succeed(all).await.is(204);
    world.send(head("/bucket/key")).await.is(404);
    // What is not there is deleted already.
    world.succeed(delete("/bucket/key")).await.is(204);
}

#[tokio::test]
async fn ranges() {
    let world = world_with_key().await;
    let long = bytes(LONG);
    world.succeed(put("/bucket/long", long.clone())).await;
    let cases = [
        ("bytes=0-0", 0..1),
        ("bytes=1-2", 1..3),
        ("bytes=262140-262150", 262_140..262_151),
        ("bytes=599999-", LONG - 1..LONG),
        ("bytes=5-99999999999999999999", 5..LONG),
        ("bytes=-7", LONG - 7..LONG),
        ("bytes=-99999999", 0..LONG),
    ];
    for (range, expected) in cases {
        let shown = format!("bytes {}-{}/{LONG}", expected.start, expected.end - 1);
        let length = expected.len().to_string();
        let reply = world
            .send(get("/bucket/long").header("range", range))
            .await
            .is(206);
        let reply = reply
            .has("content-range", &shown)
            .has("accept-ranges", "bytes");
        reply.body_is(&long[expected]);
        let reply = world
            .send(head("/bucket/long").header("range", range))
            .await
            .is(206);
        reply
            .has("content-range", &shown)
            .has("content-length", &length)
            .body_is(b"");
    }
    for ignored in ["bytes=2-1", "bytes=0-1,3-4", "lines=1-2", "bytes=x-"] {
        let reply = world
            .send(get("/bucket/key").header("range", ignored))
            .await;
        reply.is(200).lacks("content-range").body_is(b"body");
    }
    world.succeed(put("/bucket/empty", "")).await;
    world.succeed(get("/bucket/empty")).await.body_is(b"");
    for (key, range, size) in [
        ("key", "bytes=4-", 4),
        ("key", "bytes=9-12", 4),
        ("key", "bytes=-0", 4),
        ("empty", "bytes=0-", 0),
        ("empty", "bytes=-1", 0),
    ] {
        let target = format!("/bucket/{key}");
        let reply = world.send(get(&target).header("range", range)).await;
        let reply = reply.refused(416, "InvalidRange");
        assert_eq!(reply.element("RangeRequested").as_deref(), Some(range));
        assert_eq!(reply.element("ActualObjectSize"), Some(size.to_string()));
        reply.has("content-range", &format!("bytes */{size}"));
        let reply = world.send(head(&target).header("range", range)).await;
        reply
            .is(416)
            .body_is(b"")
            .has("content-range", &format!("bytes */{size}"));
    }
}

#[tokio::test]
async fn a_range_applies_if_the_object_is_still_the_same() {
    let world = world_with_key().await;
    for (condition, applies) in [
        (ETAG, true),
        (START_DATE, true),
        (OTHER_ETAG, false),
        (EARLIER_DATE, false),
        (LATER_DATE, false),
        (&format!("W/{ETAG}"), false),
    ] {
        let asked = get("/bucket/key").header("range", "bytes=1-2");
        let reply = world.send(asked.header("if-range", condition)).await;
        match applies {
            true => reply.is(206).body_is(b"od"),
            false => reply.is(200).lacks("content-range").body_is(b"body"),
        };
    }
    // Out of range, but not the object that the range is about.
    let asked = get("/bucket/key")
        .header("range", "bytes=9-")
        .header("if-range", OTHER_ETAG);
    world.send(asked).await.is(200).body_is(b"body");
}

#[tokio::test]
async fn headers_are_stored_and_returned() {
    let world = world_with_key().await;
    let stored = [
        ("cache-control", "no-cache"),
        ("content-disposition", "attachment; filename=\"a\""),
        ("content-encoding", "gzip"),
        ("content-language", "de"),
        ("content-type", "text/html; charset=utf-8"),
        ("expires", "not even a date"),
        ("x-amz-meta-mine", "yes"),
        ("x-amz-meta-empty", ""),
        ("x-amz-storage-class", "STANDARD_IA"),
        ("x-amz-website-redirect-location", "/other"),
    ];
    let put_all = with(put("/bucket/key", "body"), &stored).header("x-amz-tagging", "a=1&b=2");
    world.succeed(put_all).await;
    for method in ["GET", "HEAD"] {
        let mut reply = world.succeed(call(method, "/bucket/key", "")).await;
        for (name, value) in stored {
            reply = reply.has(name, value);
        }
        reply
            .has("x-amz-tagging-count", "2")
            .lacks("x-amz-mp-parts-count");
    }
    // A value is returned as the bytes that came.
    let unicode = put("/bucket/key", "body").header("x-amz-meta-name", "J\u{e9}r\u{f4}me");
    world.succeed(unicode).await;
    let reply = world.succeed(get("/bucket/key")).await;
    assert_eq!(
        reply.headers["x-amz-meta-name"].as_bytes(),
        "J\u{e9}r\u{f4}me".as_bytes()
    );
    reply
        .has("content-type", "binary/octet-stream")
        .lacks("cache-control");

    let large = put("/bucket/key", "other").header("x-amz-meta-large", &"x".repeat(2048));
    world.send(large).await.refused(400, "MetadataTooLarge");
    let class = put("/bucket/key", "other").header("x-amz-storage-class", "CHEAP");
    world.send(class).await.refused(400, "InvalidStorageClass");
    world.succeed(get("/bucket/key")).await.body_is(b"body");
}

#[tokio::test]
async fn the_answer_s_headers_can_be_chosen_by_who_signs() {
    let world = world_with_key().await;
    let set = put("/bucket/key", "body").header("x-amz-acl", "public-read");
    world
        .succeed(set.header("content-type", "text/plain"))
        .await;
    let target = "/bucket/key?response-cache-control=no-store&response-content-disposition=inline\
                  &response-content-encoding=br&response-content-language=en\
                  &response-content-type=text%2Fcsv&response-expires=never";
    for method in ["GET", "HEAD"] {
        let reply = world.succeed(call(method, target, "")).await;
        let reply = reply
            .has("cache-control", "no-store")
            .has("content-disposition", "inline");
        let reply = reply
            .has("content-encoding", "br")
            .has("content-language", "en");
        reply
            .has("content-type", "text/csv")
            .has("expires", "never");
    }
    world.send_by(None, get("/bucket/key")).await.is(200);
    let anonymous = world.send_by(None, get(target)).await;
    anonymous.refused(400, "InvalidRequest");
    let broken = world
        .send(get("/bucket/key?response-content-type=a%0d%0ab"))
        .await;
    broken.refused(400, "InvalidArgument");
}

#[tokio::test]
async fn checksums_are_verified_kept_and_shown_on_request() {
    let world = world_with_key().await;
    for algorithm in ChecksumAlgorithm::ALL {
        let name = algorithm.header_name();
        let value = Checksum::of(algorithm, b"body").to_base64();
        let wrong = Checksum::of(algorithm, b"other").to_base64();
        let reply = world
            .succeed(put("/bucket/key", "body").header(name, &value))
            .await;
        reply
            .has(name, &value)
            .has("x-amz-checksum-type", "FULL_OBJECT");
        for method in ["GET", "HEAD"] {
            let plain = world.succeed(call(method, "/bucket/key", "")).await;
            plain.lacks(name).lacks("x-amz-checksum-type");
            let enabled =
                |target: &str| call(method, target, "").header("x-amz-checksum-mode", "ENABLED");
            let shown = world.succeed(enabled("/bucket/key")).await;
            shown
                .has(name, &value)
                .has("x-amz-checksum-type", "FULL_OBJECT");
            let part = world.succeed(enabled("/bucket/key?partNumber=1")).await;
            part.has(name, &value).lacks("x-amz-mp-parts-count");
            // The sum of the whole does not fit a part of it.
            let range = enabled("/bucket/key").header("range", "bytes=0-1");
            world.succeed(range).await.is(206).lacks(name);
        }
        let reply = world
            .send(put("/bucket/key", "body").header(name, &wrong))
            .await;
        reply.refused(400, "BadDigest");
        // What cannot be a checksum at all is not that of the body either.
        let reply = world
            .send(put("/bucket/key", "body").header(name, "bad"))
            .await;
        reply.refused(400, "BadDigest");
        let asked = get("/bucket/key?attributes").header("x-amz-object-attributes", "Checksum");
        let attributes = world.succeed(asked).await;
        assert_eq!(attributes.element(algorithm.xml_element()), Some(value));
        assert_eq!(
            attributes.element("ChecksumType").as_deref(),
            Some("FULL_OBJECT")
        );
    }
    let default = world.succeed(put("/bucket/key", "body")).await;
    let value = Checksum::of(ChecksumAlgorithm::Crc64Nvme, b"body").to_base64();
    default.has("x-amz-checksum-crc64nvme", &value);
    for (md5, code) in [
        ("bm90IHRoZSBtZDUgYXQgYQ==", "BadDigest"),
        ("AAAA", "InvalidDigest"),
    ] {
        let reply = world
            .send(put("/bucket/key", "body").header("content-md5", md5))
            .await;
        reply.refused(400, code);
    }
    let digest = PayloadDeclaration::Sha256([7; 32]);
    let reply = world.send(put("/bucket/key", "body").payload(digest)).await;
    reply.refused(400, "XAmzContentSHA256Mismatch");
    world.succeed(get("/bucket/key")).await.body_is(b"body");
}

#[tokio::test]
async fn a_framed_body_needs_its_own_length_alone() {
    let world = world_with_key().await;
    let value = Checksum::of(ChecksumAlgorithm::Crc32, b"framed").to_base64();
    let body = format!("6\r\nframed\r\n0\r\nx-amz-checksum-crc32:{value}\r\n\r\n");
    let framed = |call: Call| {
        call.payload(PayloadDeclaration::StreamingUnsignedTrailer)
            .header("x-amz-trailer", "x-amz-checksum-crc32")
            .without_length()
    };
    let sent = framed(put("/bucket/key", body.clone()));
    world.send(sent).await.refused(411, "MissingContentLength");
    let sent = framed(put("/bucket/key", body.clone()));
    world
        .succeed(sent.header("x-amz-decoded-content-length", "6"))
        .await;
    world.succeed(get("/bucket/key")).await.body_is(b"framed");
    for wrong in ["5", "7"] {
        let sent = framed(put("/bucket/key", body.clone()));
        let reply = world
            .send(sent.header("x-amz-decoded-content-length", wrong))
            .await;
        reply.refused(400, "IncompleteBody");
    }
    // Documents too.
    let document = "<Delete><Object><Key>key</Key></Object></Delete>";
    let value = Checksum::of(ChecksumAlgorithm::Crc32, document.as_bytes()).to_base64();
    let length = document.len();
    let body = format!("{length:x}\r\n{document}\r\n0\r\nx-amz-checksum-crc32:{value}\r\n\r\n");
    let sent = framed(post("/bucket?delete", body.clone()));
    world.send(sent).await.refused(411, "MissingContentLength");
    let sent = framed(post("/bucket?delete", body));
    let sent = sent.header("x-amz-decoded-content-length", &length.to_string());
    assert_eq!(world.succeed(sent).await.elements("Key"), ["key"]);
    world.send(head("/bucket/key")).await.is(404);

    let plain = put("/bucket/key", "body").without_length();
    world.send(plain).await.refused(411, "MissingContentLength");
}

#[tokio::test]
async fn parts_of_an_object_are_read_by_number() {
    let world = world_with_key().await;
    let first = bytes(PART_BYTES);
    for (algorithm, kind) in [
        (ChecksumAlgorithm::Sha256, "COMPOSITE"),
        (ChecksumAlgorithm::Crc32, "FULL_OBJECT"),
    ] {
        let headers = [
            ("x-amz-checksum-algorithm", algorithm.as_str()),
            ("x-amz-checksum-type", kind),
        ];
        let parts: [&[u8]; 2] = [&first, b"last"];
        world.upload("/bucket/parts", &headers, &parts).await;
        let size = PART_BYTES + 4;
        let ranges = [(0, PART_BYTES - 1), (PART_BYTES, size - 1)];
        for ((part, (start, end)), number) in parts.iter().zip(ranges).zip(1..) {
            let target = format!("/bucket/parts?partNumber={number}");
            let checksum = Checksum::of(algorithm, part).to_base64();
            for method in ["GET", "HEAD"] {
                let asked = call(method, &target, "").header("x-amz-checksum-mode", "ENABLED");
                let reply = world.succeed(asked).await.is(206);
                let reply = reply.has("content-range", &format!("bytes {start}-{end}/{size}"));
                let reply = reply.has("x-amz-mp-parts-count", "2");
                let reply = reply.has(algorithm.header_name(), &checksum);
                let reply = reply.has("x-amz-checksum-type", kind);
                match method {
                    "GET" => reply.body_is(part),
                    _ => reply.has("content-length", &part.len().to_string()),
                };
                let silent = world.succeed(call(method, &target, "")).await;
                silent
                    .lacks(algorithm.header_name())
                    .lacks("x-amz-checksum-type");
            }
        }
        let reply = world.send(get("/bucket/parts?partNumber=3")).await;
        let reply = reply.refused(416, "InvalidPartNumber");
        assert_eq!(reply.element("ActualPartCount").as_deref(), Some("2"));
        let ranged = get("/bucket/parts?partNumber=1").header("range", "bytes=0-1");
        world.send(ranged).await.refused(400, "InvalidRequest");
        let whole = get("/bucket/parts").header("x-amz-checksum-mode", "ENABLED");
        let whole = world.succeed(whole).await.has("x-amz-checksum-type", kind);
        let suffix = if kind == "COMPOSITE" { "-2" } else { "" };
        let shown = whole.header(algorithm.header_name()).unwrap();
        assert!(
            shown.ends_with(suffix) && shown.contains('-') == (kind == "COMPOSITE"),
            "{shown}"
        );
    }
    for number in ["0", "10001", "x", ""] {
        let reply = world
            .send(get(&format!("/bucket/key?partNumber={number}")))
            .await;
        reply.refused(400, "InvalidArgument");
    }
    world
        .send(get("/bucket/key?partNumber=2"))
        .await
        .refused(416, "InvalidPartNumber");
    world
        .send(head("/bucket/key?partNumber=2"))
        .await
        .is(416)
        .body_is(b"");
    world
        .succeed(get("/bucket/key?partNumber=1"))
        .await
        .body_is(b"body");
}

#[tokio::test]
async fn attributes_are_answered_as_asked() {
    let world = world_with_key().await;
    let asked = |target: &str, wanted: &str| {
        get(&format!("{target}?attributes")).header("x-amz-object-attributes", wanted)
    };
    let all = "ETag,Checksum,ObjectParts,StorageClass,ObjectSize";
    let reply = world.succeed(asked("/bucket/key", all)).await;
    let reply = reply.has("last-modified", START_DATE);
    assert_eq!(
        reply.element("ETag").as_deref(),
        Some(ETAG.trim_matches('"'))
    );
    assert_eq!(reply.element("StorageClass").as_deref(), Some("STANDARD"));
    assert_eq!(reply.element("ObjectSize").as_deref(), Some("4"));
    assert_eq!(reply.element("ObjectParts"), None);
    let size = world.succeed(asked("/bucket/key", "ObjectSize")).await;
    assert_eq!(
        (size.element("ETag"), size.element("Checksum")),
        (None, None)
    );

    let first = bytes(PART_BYTES);
    let headers = [("x-amz-checksum-algorithm", "CRC32")];
    world
        .upload("/bucket/parts", &headers, &[&first, &first, b"last"])
        .await;
    let page = |max: &str, marker: &str| {
        asked("/bucket/parts", "ObjectParts")
            .header("x-amz-max-parts", max)
            .header("x-amz-part-number-marker", marker)
    };
    let reply = world.succeed(page("2", "0")).await;
    assert_eq!(reply.elements("PartNumber"), ["1", "2"]);
    assert_eq!(
        reply.elements("Size"),
        [PART_BYTES.to_string(), PART_BYTES.to_string()]
    );
    assert_eq!(reply.elements("ChecksumCRC32").len(), 2);
    assert_eq!(reply.elements("ChecksumType"), [""; 0]);
    assert_eq!(reply.element("PartsCount").as_deref(), Some("3"));
    assert_eq!(reply.element("NextPartNumberMarker").as_deref(), Some("2"));
    assert_eq!(reply.element("IsTruncated").as_deref(), Some("true"));
    let reply = world.succeed(page("2", "2")).await;
    assert_eq!(reply.elements("PartNumber"), ["3"]);
    assert_eq!(reply.element("IsTruncated").as_deref(), Some("false"));
    let reply = world.succeed(page("0", "0")).await;
    assert_eq!(reply.elements("PartNumber"), [""; 0]);
    assert_eq!(reply.element("PartsCount").as_deref(), Some("3"));

    world
        .send(get("/bucket/key?attributes"))
        .await
        .refused(400, "InvalidRequest");
    world
        .send(asked("/bucket/key", "Colour"))
        .await
        .refused(400, "InvalidArgument");
    world
        .send(asked("/bucket/absent", all))
        .await
        .refused(404, "NoSuchKey");
}

#[tokio::test]
async fn copies_keep_or_replace_what_they_are_told() {
    let world = world_with_key().await;
    let source = put("/bucket/a%20b%2B%C3%A4", "body")
        .header("content-type", "text/plain")
        .header("x-amz-meta-mine", "yes")
        .header("x-amz-website-redirect-location", "/source")
        .header("x-amz-tagging", "a=1");
    world.succeed(source).await;
    let copy = |target: &str| put(target, "").header("x-amz-copy-source", "/bucket/a%20b%2B%C3%A4");
    let reply = world.succeed(copy("/bucket/copy")).await;
    assert_eq!(reply.element("ETag"), Some(ETAG.replace('"', "&quot;")));
    assert!(reply.element("LastModified").is_some());
    let kept = world.succeed(get("/bucket/copy")).await.body_is(b"body");
    let kept = kept
        .has("content-type", "text/plain")
        .has("x-amz-meta-mine", "yes")
        .lacks("x-amz-website-redirect-location");
    kept.has("x-amz-tagging-count", "1");

    // A redirect is each object's own.
    let redirected = copy("/bucket/copy").header("x-amz-website-redirect-location", "/own");
    world.succeed(redirected).await;
    let kept = world.succeed(get("/bucket/copy")).await;
    kept.has("x-amz-website-redirect-location", "/own")
        .has("x-amz-meta-mine", "yes");

    let replaced = copy("/bucket/copy")
        .header("x-amz-metadata-directive", "REPLACE")
        .header("x-amz-tagging-directive", "REPLACE")
        .header("x-amz-meta-other", "new");
    world.succeed(replaced).await;
    let reply = world
        .succeed(get("/bucket/copy"))
        .await
        .has("x-amz-meta-other", "new");
    let reply = reply.lacks("x-amz-meta-mine").lacks("x-amz-tagging-count");
    reply
        .has("content-type", "binary/octet-stream")
        .body_is(b"body");

    let summed = copy("/bucket/copy").header("x-amz-checksum-algorithm", "SHA256");
    let reply = world.succeed(summed).await;
    let expected = Checksum::of(ChecksumAlgorithm::Sha256, b"body").to_base64();
    assert_eq!(reply.element("ChecksumSHA256"), Some(expected));

    let itself = copy("/bucket/a%20b%2B%C3%A4");
    world.send(itself).await.refused(400, "InvalidRequest");
    let itself = copy("/bucket/a%20b%2B%C3%A4").header("x-amz-website-redirect-location", "/own");
    world.succeed(itself).await;
    let unknown = copy("/bucket/copy").header("x-amz-metadata-directive", "MERGE");
    world.send(unknown).await.refused(400, "InvalidArgument");
    for (source, code) in [
        ("/bucket/absent", "NoSuchKey"),
        ("/absent-bucket/key", "NoSuchBucket"),
    ] {
        let reply = world
            .send(put("/bucket/copy", "").header("x-amz-copy-source", source))
            .await;
        reply.refused(404, code);
    }
}

#[tokio::test]
async fn conditions_on_the_source_of_a_copy() {
    let world = world_with_key().await;
    let upload = world.succeed(post("/bucket/parts?uploads", "")).await;
    let id = upload.element("UploadId").unwrap();
    let part = format!("/bucket/parts?partNumber=1&uploadId={id}");
    for (name, value, holds) in [
        ("if-match", ETAG, true),
        ("if-match", OTHER_ETAG, false),
        ("if-none-match", OTHER_ETAG, true),
        ("if-none-match", ETAG, false),
        ("if-modified-since", EARLIER_DATE, true),
        ("if-modified-since", LATER_DATE, false),
        ("if-unmodified-since", LATER_DATE, true),
        ("if-unmodified-since", EARLIER_DATE, false),
    ] {
        for target in ["/bucket/copy", &part] {
            let copy = put(target, "").header("x-amz-copy-source", "bucket/key");
            let reply = world
                .send(copy.header(&format!("x-amz-copy-source-{name}"), value))
                .await;
            match holds {
                true => drop(reply.is(200)),
                false => drop(reply.refused(412, "PreconditionFailed")),
            }
        }
    }
}

#[tokio::test]
async fn many_are_deleted_at_once() {
    let world = world_with_key().await;
    for key in ["a", "b", "c"] {
        world.succeed(put(&format!("/bucket/{key}"), "body")).await;
    }
    let request = |quiet: bool, objects: &str| {
        post(
            "/bucket?delete",
            format!("<Delete><Quiet>{quiet}</Quiet>{objects}</Delete>"),
        )
    };
    let object = |key: &str, more: &str| format!("<Object><Key>{key}</Key>{more}</Object>");
    let objects = [
        object("a", ""),
        object("absent", ""),
        object("b", "<ETag>00000000000000000000000000000000</ETag>"),
        object("c", "<Size>5</Size>"),
        object("key", "<VersionId>unknown</VersionId>"),
    ]
    .concat();
    let reply = world.succeed(request(false, &objects)).await;
    assert_eq!(reply.elements("Key"), ["a", "absent", "b", "c", "key"]);
    let codes = [
        "PreconditionFailed",
        "PreconditionFailed",
        "InvalidArgument",
    ];
    assert_eq!(reply.elements("Code"), codes);
    assert_eq!(reply.elements("Deleted").len(), 2);
    world.send(head("/bucket/a")).await.is(404);

    let objects = object("b", &format!("<ETag>{ETAG}</ETag><Size>4</Size>"))
        + &object("c", "<VersionId>null</VersionId>")
        + &object("key", "<ETag>1</ETag>");
    let reply = world.succeed(request(true, &objects)).await;
    assert_eq!(
        (
            reply.elements("Deleted").len(),
            reply.elements("Error").len()
        ),
        (0, 1)
    );
    for (key, status) in [("b", 404), ("c", 404), ("key", 200)] {
        world.send(head(&format!("/bucket/{key}"))).await.is(status);
    }
    let too_many = object("a", "").repeat(1001);
    world
        .send(request(false, &too_many))
        .await
        .refused(400, "MalformedXML");
    world
        .send(request(false, ""))
        .await
        .refused(400, "MalformedXML");
    let digest =
        request(false, &object("key", "")).header("content-md5", "bm90IHRoZSBtZDUgYXQgYQ==");
    world.send(digest).await.refused(400, "BadDigest");
    world.succeed(head("/bucket/key")).await;
}

#[tokio::test]
async fn versions_that_cannot_be_are_refused() {
    let world = world_with_key().await;
    world
        .succeed(get("/bucket/key?versionId=null"))
        .await
        .body_is(b"body");
    let unknown = "/bucket/key?versionId=fe2345678901234567890123456789ab";
    for method in ["GET", "HEAD", "DELETE"] {
        let reply = world
            .send(call(method, "/bucket/key?versionId=abc", ""))
            .await;
        reply.is(400);
        // To delete what is not there is no error.
        let status = if method == "DELETE" { 204 } else { 404 };
        world.send(call(method, unknown, "")).await.is(status);
    }
    world.send(get(unknown)).await.refused(404, "NoSuchVersion");
    world
        .send(get("/bucket/key?versionId="))
        .await
        .refused(400, "InvalidArgument");
    world
        .send(put("/bucket/key?versionId=null", "x"))
        .await
        .refused(400, "InvalidArgument");
    world
        .succeed(delete("/bucket/key?versionId=null"))
        .await
        .is(204);
    world
        .send(get("/bucket/key"))
        .await
        .refused(404, "NoSuchKey");
}

#[tokio::test]
async fn tags_are_set_shown_and_deleted() {
    let world = world_with_key().await;
    let document = "<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>";
    world
        .succeed(put("/bucket/key?tagging", document))
        .await
        .is(200);
    let reply = world.succeed(get("/bucket/key?tagging")).await;
    assert_eq!(
        (reply.elements("Key"), reply.elements("Value")),
        (vec!["a".into()], vec!["1".into()])
    );
    world.succeed(delete("/bucket/key?tagging")).await.is(204);
    assert_eq!(
        world
            .succeed(get("/bucket/key?tagging"))
            .await
            .elements("Key"),
        [""; 0]
    );
    world
        .send(get("/bucket?tagging"))
        .await
        .refused(404, "NoSuchTagSet");
    world
        .succeed(put("/bucket?tagging", document))
        .await
        .is(204);
    assert_eq!(
        world.succeed(get("/bucket?tagging")).await.elements("Key"),
        ["a"]
    );
    world.succeed(delete("/bucket?tagging")).await.is(204);
    world
        .send(get("/bucket?tagging"))
        .await
        .refused(404, "NoSuchTagSet");
    let absent = "/bucket/absent?tagging";
    for call in [get(absent), put(absent, document), delete(absent)] {
        world.send(call).await.refused(404, "NoSuchKey");
    }
}

#[tokio::test]
async fn answers_of_long_bodies_hold_memory_until_they_are_sent() {
    let world = world_with_key().await;
    world.succeed(put("/bucket/long", bytes(LONG))).await;
    // All is given back at the end, and a short body needs none.
    world
        .succeed(get("/bucket/long"))
        .await
        .body_is(&bytes(LONG));
    assert_eq!(world.memory.reserved_bytes(), 0);
    let rest = world.memory.total_bytes() - (256 << 10);
    let _taken = world.memory.reserve(rest).await.unwrap();
    world.succeed(get("/bucket/key")).await.body_is(b"body");
    world.succeed(head("/bucket/long")).await;
    let range = get("/bucket/long").header("range", "bytes=0-99999");
    world.succeed(range).await.is(206);
    tokio::time::pause();
    world
        .send(get("/bucket/long"))
        .await
        .refused(503, "SlowDown");
    world.send(get("/bucket")).await.refused(503, "SlowDown");
    world.succeed(get("/bucket?max-keys=10")).await;
    assert_eq!(world.memory.reserved_bytes(), rest);
}
