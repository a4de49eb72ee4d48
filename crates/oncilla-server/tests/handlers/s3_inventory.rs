//! Inventories: configured over the API, made when they are due, delivered with a manifest.

use std::io::Read;

use crate::support::{World, delete, get, put};
use flate2::read::GzDecoder;
use oncilla_hash::{Md5, hex};
use oncilla_iam::Role;
use oncilla_server::inventories::{Inventories, InventoryOptions};
use serde_json::Value;

const DAY_MS: u64 = 86_400_000;

fn configuration(id: &str, rest: &str) -> String {
    format!(
        "<InventoryConfiguration><Destination><S3BucketDestination><Bucket>arn:aws:s3:::dest</Bucket>\
         <Format>CSV</Format><Prefix>inv</Prefix></S3BucketDestination></Destination><Id>{id}</Id>\
         <IncludedObjectVersions>Current</IncludedObjectVersions><IsEnabled>true</IsEnabled>{rest}\
         <Schedule><Frequency>Daily</Frequency></Schedule></InventoryConfiguration>"
    )
}

async fn world() -> World {
    let world = World::new().await;
    for bucket in ["/bkt", "/dest"] {
        world.succeed(put(bucket, "")).await;
    }
    world
}

async fn configure(world: &World, id: &str, document: &str) {
    let target = format!("/bkt?inventory&id={id}");
    world.succeed(put(&target, document.to_owned())).await;
}

fn inventories(world: &World, file_bytes: usize) -> Inventories {
    let options = InventoryOptions {
        file_bytes,
        ..InventoryOptions::default()
    };
    Inventories::new(world.store.clone(), options)
}

async fn keys(world: &World, prefix: &str) -> Vec<String> {
    let list = world
        .succeed(get(&format!("/dest?list-type=2&prefix={prefix}")))
        .await;
    list.elements("Key")
}

/// The manifest of an inventory and the lines of its files, every one of them checked.
async fn read(world: &World, folder: &str) -> (Value, Vec<String>) {
    let text = world
        .succeed(get(&format!("/dest/{folder}manifest.json")))
        .await
        .body;
    let sum = world
        .succeed(get(&format!("/dest/{folder}manifest.checksum")))
        .await
        .text();
    assert_eq!(sum, hex::encode(&Md5::digest(&text)));
    let manifest: Value = serde_json::from_slice(&text).unwrap();
    let mut lines = Vec::new();
    for file in manifest["files"].as_array().unwrap() {
        let object = world
            .succeed(get(&format!("/dest/{}", file["key"].as_str().unwrap())))
            .await;
        assert_eq!(object.body.len() as u64, file["size"].as_u64().unwrap());
        assert_eq!(
            hex::encode(&Md5::digest(&object.body)),
            file["MD5checksum"].as_str().unwrap()
        );
        let mut csv = String::new();
        GzDecoder::new(&object.body[..])
            .read_to_string(&mut csv)
            .unwrap();
        lines.extend(csv.lines().map(str::to_owned));
    }
    (manifest, lines)
}

#[tokio::test]
async fn configurations_are_kept_by_id() {
    let world = world().await;
    world
        .send(get("/bkt?inventory&id=a"))
        .await
        .refused(404, "NoSuchConfiguration");
    world
        .send(delete("/bkt?inventory&id=a"))
        .await
        .refused(404, "NoSuchConfiguration");
    let empty = world.succeed(get("/bkt?inventory")).await;
    assert_eq!(empty.element("IsTruncated").as_deref(), Some("false"));
    for number in 0..101 {
        let id = format!("i{number:03}");
        configure(&world, &id, &configuration(&id, "")).await;
    }
    let first = world.succeed(get("/bkt?inventory")).await;
    assert_eq!(first.elements("Id").len(), 100);
    assert_eq!(first.element("IsTruncated").as_deref(), Some("true"));
    let token = first.element("NextContinuationToken").unwrap();
    let second = world
        .succeed(get(&format!("/bkt?inventory&continuation-token={token}")))
        .await;
    assert_eq!(second.elements("Id"), ["i100"]);
    let one = world.succeed(get("/bkt?inventory&id=i007")).await;
    assert_eq!(one.element("Bucket").as_deref(), Some("arn:aws:s3:::dest"));
    world
        .succeed(delete("/bkt?inventory&id=i007"))
        .await
        .is(204);
    world
        .send(get("/bkt?inventory&id=i007"))
        .await
        .refused(404, "NoSuchConfiguration");

    let stranger = world.stranger().await;
    for call in [
        get("/bkt?inventory"),
        get("/bkt?inventory&id=i000"),
        put("/bkt?inventory&id=i000", configuration("i000", "")),
        delete("/bkt?inventory&id=i000"),
    ] {
        world
            .send_by(Some(&stranger), call)
            .await
            .refused(403, "AccessDenied");
    }
}

#[tokio::test]
async fn what_s3_refuses_or_is_not_made_here_is_refused() {
    let world = world().await;
    let whole = configuration("a", "");
    let parquet = whole.replace("CSV", "Parquet");
    let encrypted = whole.replace("<Prefix>", "<Encryption><SSE-S3/></Encryption><Prefix>");
    let acl = "<OptionalFields><Field>ObjectAccessControlList</Field></OptionalFields>";
    for (id, document, status, code) in [
        ("b", whole.clone(), 400, "IdMismatch"),
        ("", whole.clone(), 400, "InvalidArgument"),
        ("a%20b", whole.clone(), 400, "InvalidArgument"),
        (
            "a",
            whole.replace("arn:aws:s3:::", ""),
            400,
            "InvalidS3DestinationBucket",
        ),
        ("a", whole.replace("Daily", "Hourly"), 400, "MalformedXML"),
        (
            "a",
            "<InventoryConfiguration".to_owned(),
            400,
            "MalformedXML",
        ),
        ("a", parquet.clone(), 501, "NotImplemented"),
        ("a", whole.replace("CSV", "ORC"), 501, "NotImplemented"),
        ("a", encrypted, 501, "NotImplemented"),
        ("a", configuration("a", acl), 501, "NotImplemented"),
    ] {
        let reply = world
            .send(put(&format!("/bkt?inventory&id={id}"), document))
            .await;
        reply.refused(status, code);
    }
    let message = world.send(put("/bkt?inventory&id=a", parquet)).await.text();
    assert!(
        message.contains("The format Parquet in inventories is not implemented"),
        "{message}"
    );
    world
        .send(get("/bkt?inventory&id=a"))
        .await
        .refused(404, "NoSuchConfiguration");
}

#[tokio::test]
async fn an_inventory_lists_what_the_bucket_holds() {
    let world = world().await;
    world.succeed(put("/bkt/a%20%22%2Cb", "12345")).await;
    let parts = world
        .upload(
            "/bkt/parts",
            &[("x-amz-checksum-algorithm", "CRC32")],
            &[b"part"],
        )
        .await;
    let etag = parts.element("ETag").unwrap().replace("&quot;", "");
    let fields = "<OptionalFields><Field>ETag</Field><Field>Size</Field>\
        <Field>LastModifiedDate</Field><Field>StorageClass</Field><Field>IsMultipartUploaded</Field>\
        <Field>ReplicationStatus</Field><Field>ObjectOwner</Field><Field>ChecksumAlgorithm</Field>\
        </OptionalFields>";
    configure(&world, "daily", &configuration("daily", fields)).await;
    let disabled = configuration("off", "").replace(">true<", ">false<");
    configure(&world, "off", &disabled).await;
    inventories(&world, 1 << 20).make_due().await.unwrap();

    let folder = "inv/bkt/daily/2023-11-14T22-13Z/";
    let (manifest, lines) = read(&world, folder).await;
    assert_eq!(manifest["sourceBucket"], "bkt");
    assert_eq!(manifest["destinationBucket"], "arn:aws:s3:::dest");
    assert_eq!(manifest["fileFormat"], "CSV");
    assert_eq!(manifest["creationTimestamp"], "1700000000000");
    assert_eq!(
        manifest["fileSchema"],
        "Bucket, Key, Size, LastModifiedDate, ETag, StorageClass, IsMultipartUploaded, \
         ReplicationStatus, ChecksumAlgorithm, ObjectOwner"
    );
    let owner = &world.owner.account_id;
    let md5 = hex::encode(&Md5::digest(b"12345"));
    assert_eq!(
        lines,
        [
            format!(
                "\"bkt\",\"a%20%22%2Cb\",\"5\",\"2023-11-14T22:13:20.000Z\",\"{md5}\",\"STANDARD\",\
                 \"false\",\"\",\"CRC64NVME\",\"{owner}\""
            ),
            format!(
                "\"bkt\",\"parts\",\"4\",\"2023-11-14T22:13:20.000Z\",\"{etag}\",\"STANDARD\",\
                 \"true\",\"\",\"CRC32\",\"{owner}\""
            ),
        ]
    );
    assert!(keys(&world, "inv/bkt/off").await.is_empty());
    let file = manifest["files"][0]["key"].as_str().unwrap();
    assert!(
        file.starts_with("inv/bkt/daily/data/") && file.ends_with(".csv.gz"),
        "{file}"
    );
}

#[tokio::test]
async fn all_versions_are_listed_newest_first() {
    let world = world().await;
    world.succeed(put("/bkt/k", "1")).await;
    let versioning = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    world.succeed(put("/bkt?versioning", versioning)).await;
    let second = world.succeed(put("/bkt/k", "22")).await;
    let marker = world.succeed(delete("/bkt/k")).await;
    world.succeed(put("/bkt/other/x", "")).await;
    let id = |reply: &crate::support::Reply| reply.header("x-amz-version-id").unwrap().to_owned();
    let rest = "<Filter><Prefix>k</Prefix></Filter>\
                <OptionalFields><Field>Size</Field></OptionalFields>";
    let document = configuration("all", rest).replace("Current", "All");
    configure(&world, "all", &document).await;
    inventories(&world, 1 << 20).make_due().await.unwrap();
    let (manifest, lines) = read(&world, "inv/bkt/all/2023-11-14T22-13Z/").await;
    assert_eq!(
        manifest["fileSchema"],
        "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size"
    );
    assert_eq!(
        lines,
        [
            format!("\"bkt\",\"k\",\"{}\",\"true\",\"true\",\"\"", id(&marker)),
            format!(
                "\"bkt\",\"k\",\"{}\",\"false\",\"false\",\"2\"",
                id(&second)
            ),
            "\"bkt\",\"k\",\"null\",\"false\",\"false\",\"1\"".to_owned(),
        ]
    );
}

#[tokio::test]
async fn large_inventories_have_several_files_and_a_second_attempt_replaces_the_first() {
    let world = world().await;
    for number in 0..2_500 {
        world.succeed(put(&format!("/bkt/{number:04}"), "")).await;
    }
    configure(&world, "i", &configuration("i", "")).await;
    // Each page fills a file.
    let making = inventories(&world, 1);
    making.make_due().await.unwrap();
    let (manifest, lines) = read(&world, "inv/bkt/i/2023-11-14T22-13Z/").await;
    assert_eq!(manifest["files"].as_array().unwrap().len(), 3);
    assert_eq!(lines.len(), 2_500);
    assert!(lines.is_sorted_by(|a, b| a < b));
    let after_first = keys(&world, "inv/bkt/i/").await;

    // As if the first attempt had ended before it was noted: set again, it is due again.
    configure(&world, "i", &configuration("i", "")).await;
    making.make_due().await.unwrap();
    assert_eq!(keys(&world, "inv/bkt/i/").await, after_first);
}

#[tokio::test]
async fn inventories_are_made_on_their_days() {
    let world = world().await;
    let weekly = configuration("weekly", "").replace("Daily", "Weekly");
    configure(&world, "daily", &configuration("daily", "")).await;
    configure(&world, "weekly", &weekly).await;
    let making = inventories(&world, 1 << 20);
    let mut made = Vec::new();
    // The first day is a Tuesday.
    for _ in 0..8 {
        for _ in 0..2 {
            making.make_due().await.unwrap();
        }
        let count = async |id: &str| {
            let keys = keys(&world, &format!("inv/bkt/{id}/")).await;
            keys.iter()
                .filter(|key| key.ends_with("manifest.json"))
                .count()
        };
        made.push((count("daily").await, count("weekly").await));
        world.advance_ms(DAY_MS);
    }
    assert_eq!(
        made,
        [
            (1, 1),
            (2, 1),
            (3, 1),
            (4, 1),
            (5, 1),
            (6, 2),
            (7, 2),
            (8, 2)
        ]
    );
}

#[tokio::test]
async fn an_inventory_that_cannot_be_delivered_is_tried_again() {
    let world = world().await;
    let document = configuration("i", "").replace("arn:aws:s3:::dest", "arn:aws:s3:::later");
    world.succeed(put("/later", "")).await;
    configure(&world, "i", &document).await;
    world.succeed(delete("/later")).await.is(204);
    let making = inventories(&world, 1 << 20);
    making.make_due().await.unwrap();
    world.succeed(put("/later", "")).await;
    making.make_due().await.unwrap();
    let list = world.succeed(get("/later?list-type=2")).await;
    assert_eq!(list.elements("Key").len(), 3);
}

/// Another account's bucket takes inventories if its policy allows that to the service.
#[tokio::test]
async fn another_account_can_allow_inventories() {
    let world = world().await;
    let stranger = world.stranger().await;
    let create = world.send_by(Some(&stranger), put("/theirs", "")).await;
    create.is(200);
    let document = configuration("i", "").replace("arn:aws:s3:::dest", "arn:aws:s3:::theirs");
    configure(&world, "i", &document).await;
    let making = inventories(&world, 1 << 20);
    let list = async || {
        let list = world.send_by(Some(&stranger), get("/theirs?list-type=2"));
        list.await.is(200).elements("Key").len()
    };
    making.make_due().await.unwrap();
    assert_eq!(list().await, 0);
    let allow = |source: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow",
            "Principal":{{"Service":"s3.amazonaws.com"}},"Action":"s3:PutObject",
            "Resource":"arn:aws:s3:::theirs/*",
            "Condition":{{"ArnLike":{{"aws:SourceArn":"arn:aws:s3:::{source}"}}}}}}]}}"#
        )
    };
    for (source, count) in [("another", 0), ("bkt", 3)] {
        let set = world.send_by(Some(&stranger), put("/theirs?policy", allow(source)));
        set.await.is(204);
        making.make_due().await.unwrap();
        assert_eq!(list().await, count, "{source}");
    }
}

#[tokio::test]
async fn an_inventory_tells_how_objects_are_encrypted() {
    let world = world().await;
    world.succeed(put("/bkt/a", "plain")).await;
    let encrypted = put("/bkt/b", "by S3").header("x-amz-server-side-encryption", "AES256");
    world.succeed(encrypted).await;
    let encrypted = put("/bkt/c", "by a KMS key")
        .header("x-amz-server-side-encryption", "aws:kms")
        .header("x-amz-server-side-encryption-bucket-key-enabled", "true");
    world.succeed(encrypted).await;
    let fields = "<OptionalFields><Field>EncryptionStatus</Field><Field>BucketKeyStatus</Field>\
        </OptionalFields>";
    configure(&world, "i", &configuration("i", fields)).await;
    inventories(&world, 1 << 20).make_due().await.unwrap();
    let (_, lines) = read(&world, "inv/bkt/i/2023-11-14T22-13Z/").await;
    assert_eq!(
        lines,
        [
            r#""bkt","a","NOT-SSE","DISABLED""#,
            r#""bkt","b","SSE-S3","DISABLED""#,
            r#""bkt","c","SSE-KMS","ENABLED""#,
        ]
    );
}

/// Inventories go only where whoever sends them there could write too, or where the policy lets them in.
#[tokio::test]
async fn who_may_not_write_into_a_bucket_sends_no_inventories_there() {
    let world = world().await;
    let clerk = world.key("bkt", Role::Editor).await;
    let set = async |bucket: &str, prefix: &str| {
        let document = configuration("i", "")
            .replace("s3:::dest", &format!("s3:::{bucket}"))
            .replace("<Prefix>inv<", &format!("<Prefix>{prefix}<"));
        world
            .send_by(Some(&clerk), put("/bkt?inventory&id=i", document))
            .await
    };
    // Nor do they hear whether there is such a bucket.
    for bucket in ["dest", "absent"] {
        set(bucket, "inv").await.refused(403, "AccessDenied");
    }
    let absent = configuration("i", "").replace("s3:::dest", "s3:::absent");
    let refused = world.send(put("/bkt?inventory&id=i", absent)).await;
    refused.refused(400, "InvalidS3DestinationBucket");
    let none = world.send(get("/bkt?inventory&id=i")).await;
    none.refused(404, "NoSuchConfiguration");
    set("bkt", "inv").await.is(200);
    let allow = async |principal: &str, resource: &str| {
        let policy = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{{principal}}},
            "Action":"s3:PutObject","Resource":"arn:aws:s3:::dest/{resource}"}}]}}"#
        );
        world.send(put("/dest?policy", policy)).await.is(204);
    };
    let (account, key) = (&clerk.account_id, &clerk.key.access_key_id);
    let user = format!(r#""AWS":"arn:aws:iam::{account}:user/{key}""#);
    allow(&user, "inv/*").await;
    set("dest", "inv").await.is(200);
    set("dest", "other").await.refused(403, "AccessDenied");
    allow(r#""Service":"s3.amazonaws.com""#, "other/*").await;
    set("dest", "other").await.is(200);
    set("dest", "inv").await.refused(403, "AccessDenied");
    inventories(&world, 1 << 20).make_due().await.unwrap();
    assert_eq!(keys(&world, "other/").await.len(), 3);
    // The policy of another account's bucket is asked when the inventory is made.
    let stranger = world.stranger().await;
    let create = world.send_by(Some(&stranger), put("/theirs", "")).await;
    create.is(200);
    set("theirs", "inv").await.is(200);
}
