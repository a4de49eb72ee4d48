//! What newer clients of S3 ask for and this server does not do is refused by its name, and nothing is
//! changed: to pass over it would be to promise it.

use crate::support::{Call, World, call, delete, get, head, post, put};
use oncilla_hash::{Checksum, ChecksumAlgorithm};

/// The tests begin on 2023-11-14.
const UNTIL: &str = "2023-12-01T00:00:00.000Z";

fn put_document(target: &str, document: &str) -> Call {
    let digest = Checksum::of(ChecksumAlgorithm::Crc32, document.as_bytes());
    put(target, document.to_owned()).header("x-amz-checksum-crc32", &digest.to_base64())
}

async fn locked_bucket(world: &World) {
    let create = put("/bucket", "").header("x-amz-bucket-object-lock-enabled", "true");
    world.succeed(create).await;
}

async fn refused_by_name(world: &World, call: Call, name: &str) {
    let reply = world.send(call).await.refused(501, "NotImplemented");
    let message = reply.element("Message").unwrap();
    assert!(message.contains(name), "{message}");
}

#[tokio::test]
async fn an_event_hold_is_refused_and_nothing_is_written() {
    let world = World::new().await;
    locked_bucket(&world).await;
    world.succeed(put("/bucket/source", "body")).await;
    for (name, value) in [
        ("x-amz-object-lock-event-hold", "ON"),
        ("x-amz-object-lock-event-hold-duration-days", "30"),
        ("x-amz-object-lock-event-hold-duration-years", "1"),
    ] {
        let write = || put("/bucket/key", "body").header(name, value);
        let copy = put("/bucket/key", "").header("x-amz-copy-source", "/bucket/source");
        refused_by_name(&world, write(), name).await;
        refused_by_name(&world, copy.header(name, value), name).await;
        let create = post("/bucket/key?uploads", "").header(name, value);
        refused_by_name(&world, create, name).await;
    }
    world.send(head("/bucket/key")).await.is(404);
    let uploads = world.succeed(get("/bucket?uploads")).await;
    assert_eq!(uploads.element("Upload"), None);

    let without = put("/bucket/key", "body").header("x-amz-object-lock-event-hold", "OFF");
    world.succeed(without).await;
}

#[tokio::test]
async fn a_retention_is_not_ended_by_an_element_that_is_not_known() {
    let world = World::new().await;
    locked_bucket(&world).await;
    world.succeed(put("/bucket/key", "body")).await;
    let retention = format!(
        "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>{UNTIL}</RetainUntilDate></Retention>"
    );
    let target = "/bucket/key?retention";
    world.succeed(put_document(target, &retention)).await;
    let hold = "<Retention><EventHold>ON</EventHold>\
                <EventHoldDuration><Days>30</Days></EventHoldDuration></Retention>";
    let bypass = |document| {
        put_document(target, document).header("x-amz-bypass-governance-retention", "true")
    };
    refused_by_name(&world, bypass(hold), "EventHold").await;
    let other = world.send(bypass("<Retention><Other/></Retention>")).await;
    other.refused(400, "MalformedXML");
    let kept = world.succeed(get(target)).await;
    assert_eq!(kept.element("RetainUntilDate").unwrap(), UNTIL);
    // What asks for the end of it still ends it.
    world.succeed(bypass("<Retention/>")).await;
    world.send(get(target)).await.is(404);
}

#[tokio::test]
async fn a_default_event_hold_is_refused_and_nothing_is_configured() {
    let world = World::new().await;
    locked_bucket(&world).await;
    let configuration = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule>\
        <DefaultRetention><Mode>GOVERNANCE</Mode><Days>1</Days>\
        <DefaultEventHold><Days>30</Days></DefaultEventHold></DefaultRetention></Rule>\
        </ObjectLockConfiguration>";
    let target = "/bucket?object-lock";
    refused_by_name(
        &world,
        put_document(target, configuration),
        "DefaultEventHold",
    )
    .await;
    let kept = world.succeed(get(target)).await;
    assert_eq!(kept.element("Rule"), None);
}

#[tokio::test]
async fn other_kinds_of_buckets_are_not_made() {
    let world = World::new().await;
    let name = "x-amz-bucket-namespace";
    let regional = put("/bucket", "").header(name, "account-regional");
    refused_by_name(&world, regional, name).await;
    let directory = "<CreateBucketConfiguration><Location><Type>AvailabilityZone</Type><Name>az1</Name>\
        </Location><Bucket><Type>Directory</Type></Bucket></CreateBucketConfiguration>";
    refused_by_name(&world, put("/bucket", directory), "Directory buckets").await;
    world.send(head("/bucket")).await.is(404);
    world
        .succeed(put("/bucket", "").header(name, "global"))
        .await;
}

#[tokio::test]
async fn annotations_are_not_copied_and_uploads_not_aborted_on_conditions() {
    let world = World::new().await;
    world.succeed(put("/bucket", "")).await;
    world.succeed(put("/bucket/source", "body")).await;
    let name = "x-amz-object-annotation-directive";
    let copy = || put("/bucket/key", "").header("x-amz-copy-source", "/bucket/source");
    refused_by_name(&world, copy().header(name, "COPY"), name).await;
    world.send(head("/bucket/key")).await.is(404);
    world.succeed(copy().header(name, "EXCLUDE")).await;

    let created = world.succeed(post("/bucket/key?uploads", "")).await;
    let target = format!(
        "/bucket/key?uploadId={}",
        created.element("UploadId").unwrap()
    );
    let name = "x-amz-if-match-initiated-time";
    let abort = delete(&target).header(name, "Tue, 14 Nov 2023 00:00:00 GMT");
    refused_by_name(&world, abort, name).await;
    world.succeed(get(&target)).await;
}

#[tokio::test]
async fn checksums_that_are_not_here_are_refused_with_those_that_are() {
    let world = World::new().await;
    world.succeed(put("/bucket", "")).await;
    let write = || put("/bucket/key", "body");
    for name in ["sha512", "md5", "xxhash3", "xxhash64", "xxhash128"] {
        let header = format!("x-amz-checksum-{name}");
        refused_by_name(&world, write().header(&header, "AAAA"), "CRC64NVME").await;
        let algorithm = name.to_ascii_uppercase();
        let create = post("/bucket/key?uploads", "").header("x-amz-checksum-algorithm", &algorithm);
        refused_by_name(&world, create, &algorithm).await;
        let copy = put("/bucket/key", "")
            .header("x-amz-copy-source", "/bucket/other")
            .header("x-amz-checksum-algorithm", &algorithm);
        refused_by_name(&world, copy, &algorithm).await;
        let sdk = write().header("x-amz-sdk-checksum-algorithm", &algorithm);
        refused_by_name(&world, sdk, &algorithm).await;
        let trailer = write().header("x-amz-trailer", &header);
        refused_by_name(&world, trailer, &algorithm).await;
    }
    world.send(head("/bucket/key")).await.is(404);
    let unknown = write().header("x-amz-checksum-md4", "AAAA");
    world.send(unknown).await.refused(400, "InvalidRequest");

    let created = world.succeed(post("/bucket/key?uploads", "")).await;
    let target = format!(
        "/bucket/key?uploadId={}",
        created.element("UploadId").unwrap()
    );
    let part = "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag>\
        <ChecksumSHA512>AAAA</ChecksumSHA512></Part></CompleteMultipartUpload>";
    refused_by_name(&world, post(&target, part), "SHA512").await;
}

#[tokio::test]
async fn configurations_of_what_never_happens_are_refused() {
    let world = World::new().await;
    world.succeed(put("/bucket", "")).await;
    for event in ["s3:ObjectAnnotation:*", "s3:ObjectRetention:Put"] {
        let document = format!(
            "<NotificationConfiguration><QueueConfiguration><Queue>arn:oncilla:sqs::t:webhook</Queue>\
             <Event>{event}</Event></QueueConfiguration></NotificationConfiguration>"
        );
        let set = call("PUT", "/bucket?notification", document);
        refused_by_name(&world, set, event).await;
    }
    for field in ["ObjectLockEventHoldStatus", "LifecycleExpirationDate"] {
        let document = format!(
            "<InventoryConfiguration><Id>i</Id><IsEnabled>true</IsEnabled>\
             <IncludedObjectVersions>All</IncludedObjectVersions>\
             <Schedule><Frequency>Daily</Frequency></Schedule>\
             <OptionalFields><Field>{field}</Field></OptionalFields>\
             <Destination><S3BucketDestination><Bucket>arn:aws:s3:::bucket</Bucket>\
             <Format>CSV</Format></S3BucketDestination></Destination></InventoryConfiguration>"
        );
        let set = put("/bucket?inventory&id=i", document);
        refused_by_name(&world, set, field).await;
    }
}
