//! Event notifications: configured over the API, told in the commit of the change, delivered to a web
//! hook that may be slow, broken or away.

use std::time::{Duration, Instant};

use crate::receiver::{Behaviour, Receiver};
use crate::support::{Call, World, delete, get, post, put};
use oncilla_hash::{Checksum, ChecksumAlgorithm};
use oncilla_server::jobs::Jobs;
use oncilla_server::notifications::{Deliverer, DeliveryOptions, MessageFormat, Target, Targets};
use oncilla_store::lifecycle::Calendar;
use serde_json::Value;

const ARN: &str = "arn:oncilla:sqs::hook:webhook";

fn targets(receiver: &Receiver, change: impl Fn(&mut Target)) -> Targets {
    let mut target = Target::new(&receiver.url).unwrap();
    target.timeout = Duration::from_millis(300);
    change(&mut target);
    let mut targets = Targets::default();
    targets.by_name.insert("hook".to_owned(), target);
    targets
}

fn fast() -> DeliveryOptions {
    DeliveryOptions {
        retry_first: Duration::from_millis(5),
        retry_max: Duration::from_millis(40),
        trim_interval: Duration::from_millis(20),
        ..DeliveryOptions::default()
    }
}

fn deliver(world: &World, targets: Targets, options: DeliveryOptions) -> Jobs {
    let deliverer = Deliverer::new(world.store.clone(), targets, options).unwrap();
    let mut jobs = Jobs::default();
    jobs.spawn("notifications", move || {
        let deliverer = deliverer.clone();
        async move { deliverer.run().await }
    });
    jobs
}

/// A world with a bucket `bkt` and a receiver that is a target.
async fn world_with(receiver: &Receiver) -> World {
    let mut world = World::new().await;
    world.service = world.service.with_targets(targets(receiver, |_| {}));
    world.succeed(put("/bkt", "")).await;
    world
}

fn queue(arn: &str, events: &[&str], filter: &str) -> String {
    let events: String = events
        .iter()
        .map(|event| format!("<Event>{event}</Event>"))
        .collect();
    format!(
        "<QueueConfiguration><Id>c</Id><Queue>{arn}</Queue>{events}{filter}</QueueConfiguration>"
    )
}

fn configuration(content: &str) -> String {
    format!("<NotificationConfiguration>{content}</NotificationConfiguration>")
}

/// Sets a configuration whose destinations are not looked at.
fn skipping(bucket: &str, document: &str) -> Call {
    let call = put(&format!("{bucket}?notification"), document.to_owned());
    call.header("x-amz-skip-destination-validation", "true")
}

/// Destinations that each get the new objects whose keys begin with their number.
fn by_number(count: usize, arn: impl Fn(usize) -> String) -> String {
    let destination = |number: usize| {
        let filter = format!(
            "<Filter><S3Key><FilterRule><Name>prefix</Name><Value>{number:03}</Value></FilterRule>\
             </S3Key></Filter>"
        );
        queue(&arn(number), &["s3:ObjectCreated:*"], &filter).replace("<Id>c</Id>", "")
    };
    (0..count).map(destination).collect()
}

/// Waits until so many events wait for a target, and no fewer or more for a while.
async fn waiting_are(world: &World, arn: &str, expected: u64) {
    let begun = Instant::now();
    let mut times = 0;
    while times < 10 {
        let count = world.store.count_events(arn, None).await.unwrap().events;
        times = if count == expected { times + 1 } else { 0 };
        assert!(begun.elapsed() < Duration::from_secs(20), "{arn}: {count}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn configure(world: &World, events: &[&str], filter: &str) {
    let document = configuration(&queue(ARN, events, filter));
    world.succeed(put("/bkt?notification", document)).await;
}

fn names(records: &[Value]) -> Vec<String> {
    let text =
        |record: &Value, path: &str| record.pointer(path).unwrap().as_str().unwrap().to_owned();
    let name = |record| {
        format!(
            "{} {}",
            text(record, "/eventName"),
            text(record, "/s3/object/key")
        )
    };
    records.iter().map(name).collect()
}

#[tokio::test]
async fn a_configuration_is_given_back_as_s3_has_it() {
    let receiver = Receiver::start().await;
    let world = world_with(&receiver).await;
    let none = world.succeed(get("/bkt?notification")).await;
    assert!(none.text().contains("<NotificationConfiguration xmlns="));
    assert_eq!(none.element("QueueConfiguration"), None);

    let filter = "<Filter><S3Key><FilterRule><Name>prefix</Name><Value>a/</Value></FilterRule>\
                  </S3Key></Filter>";
    let document = queue(ARN, &["s3:ObjectCreated:*"], filter).replace("<Id>c</Id>", "");
    world
        .succeed(put("/bkt?notification", configuration(&document)))
        .await;
    let answer = world.succeed(get("/bkt?notification")).await;
    assert_eq!(answer.element("Queue").as_deref(), Some(ARN));
    assert_eq!(
        answer.element("Event").as_deref(),
        Some("s3:ObjectCreated:*")
    );
    assert_eq!(answer.element("Name").as_deref(), Some("Prefix"));
    assert!(answer.element("Id").unwrap().len() >= 20);

    let bridged = format!("{document}<EventBridgeConfiguration/>");
    let refused = world
        .send(put("/bkt?notification", configuration(&bridged)))
        .await;
    refused.refused(501, "NotImplemented");

    world
        .succeed(put("/bkt?notification", configuration("")))
        .await;
    let emptied = world.succeed(get("/bkt?notification")).await;
    assert_eq!(emptied.element("QueueConfiguration"), None);
}

#[tokio::test]
async fn what_s3_refuses_is_refused_and_changes_nothing() {
    let receiver = Receiver::start().await;
    let world = world_with(&receiver).await;
    configure(&world, &["s3:ObjectRemoved:*"], "").await;
    let created = &["s3:ObjectCreated:*"][..];
    let unknown = "arn:aws:sqs:us-east-1:123456789012:other";
    let cases = [
        ("<NotificationConfiguration", "MalformedXML"),
        (
            &configuration(&queue(ARN, &["s3:Everything"], "")),
            "InvalidArgument",
        ),
        (&configuration(&queue(ARN, &[], "")), "MalformedXML"),
        (
            &configuration(&queue(unknown, created, "")),
            "InvalidArgument",
        ),
        (
            &configuration(&queue(&receiver.url, created, "")),
            "InvalidArgument",
        ),
        (
            &configuration(
                &(queue(ARN, created, "") + &queue(ARN, created, "").replace(">c<", ">d<")),
            ),
            "InvalidArgument",
        ),
    ];
    for (document, code) in cases {
        let reply = world
            .send(put("/bkt?notification", document.to_owned()))
            .await;
        reply.refused(400, code);
    }
    let unreached = configuration(&queue(unknown, created, ""));
    let message = world
        .send(put("/bkt?notification", unreached.clone()))
        .await;
    assert!(
        message
            .text()
            .contains("Unable to validate the following destination configurations")
    );
    assert_eq!(message.element("ArgumentName").as_deref(), Some(unknown));
    let kept = world.succeed(get("/bkt?notification")).await;
    assert_eq!(kept.element("Event").as_deref(), Some("s3:ObjectRemoved:*"));

    world.succeed(skipping("/bkt", &unreached)).await;
    let stored = world.succeed(get("/bkt?notification")).await;
    assert_eq!(stored.element("Queue").as_deref(), Some(unknown));
    // What no server could ever deliver to is refused in any case.
    for never in [
        "other",
        "arn:aws:s3:::other",
        "arn:oncilla:sqs::other:kafka",
        "arn:aws:sqs:us-east-1:123456789012:a/b",
    ] {
        let document = configuration(&queue(never, created, ""));
        let refused = world.send(skipping("/bkt", &document)).await;
        refused.refused(400, "InvalidArgument");
    }
    let kept = world.succeed(get("/bkt?notification")).await;
    assert_eq!(kept.element("Queue").as_deref(), Some(unknown));

    let stranger = world.stranger().await;
    for call in [
        get("/bkt?notification"),
        put("/bkt?notification", configuration("")),
    ] {
        world
            .send_by(Some(&stranger), call)
            .await
            .refused(403, "AccessDenied");
    }
}

#[tokio::test]
async fn every_kind_of_change_is_told() {
    let receiver = Receiver::start().await;
    let world = world_with(&receiver).await;
    let all = [
        "s3:ObjectCreated:*",
        "s3:ObjectRemoved:*",
        "s3:ObjectTagging:*",
        "s3:ObjectAcl:Put",
    ];
    configure(&world, &all, "").await;
    let tagging = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>";
    let first = world.succeed(put("/bkt/a%20b", "12345")).await;
    world
        .succeed(put("/bkt/copy", "").header("x-amz-copy-source", "/bkt/a%20b"))
        .await;
    world.upload("/bkt/parts", &[], &[b"part"]).await;
    world.succeed(put("/bkt/copy?tagging", tagging)).await;
    world.succeed(delete("/bkt/copy?tagging")).await;
    world
        .succeed(put("/bkt/copy?acl", "").header("x-amz-acl", "public-read"))
        .await;
    world.succeed(delete("/bkt/copy")).await;
    world.succeed(delete("/bkt/never-was")).await;
    let versioning = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    world.succeed(put("/bkt?versioning", versioning)).await;
    let version = world.succeed(put("/bkt/v", "1")).await;
    let version = version.header("x-amz-version-id").unwrap().to_owned();
    let marker = world.succeed(delete("/bkt/v")).await;
    let marker = marker.header("x-amz-version-id").unwrap().to_owned();
    let two = format!(
        "<Delete><Object><Key>v</Key><VersionId>{version}</VersionId></Object>\
         <Object><Key>parts</Key></Object></Delete>"
    );
    world.succeed(post("/bkt?delete", two)).await;
    world
        .send(put("/bkt/a%20b", "x").header("if-none-match", "*"))
        .await
        .is(412);

    let _jobs = deliver(&world, targets(&receiver, |_| {}), fast());
    receiver
        .until(|receiver| receiver.records().len() == 11)
        .await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let taken = receiver.taken();
    assert_eq!(taken.len(), 12);
    let test = taken
        .iter()
        .find(|message| message["Event"] == "s3:TestEvent")
        .unwrap();
    assert_eq!(test["Bucket"], "bkt");

    let records = receiver.records();
    let mut told = names(&records);
    told.sort();
    assert_eq!(
        told,
        [
            "ObjectAcl:Put copy",
            "ObjectCreated:CompleteMultipartUpload parts",
            "ObjectCreated:Copy copy",
            "ObjectCreated:Put a+b",
            "ObjectCreated:Put v",
            "ObjectRemoved:Delete copy",
            "ObjectRemoved:Delete v",
            "ObjectRemoved:DeleteMarkerCreated parts",
            "ObjectRemoved:DeleteMarkerCreated v",
            "ObjectTagging:Delete copy",
            "ObjectTagging:Put copy",
        ]
        .into_iter()
        .map(str::to_owned)
        .collect::<Vec<_>>()
    );
    let found = |name: &str| {
        let place = names(&records)
            .iter()
            .position(|told| told == name)
            .unwrap();
        records[place].clone()
    };
    let put_event = found("ObjectCreated:Put a+b");
    let object = &put_event["s3"]["object"];
    assert_eq!(object["size"], 5);
    assert_eq!(
        format!("\"{}\"", object["eTag"].as_str().unwrap()),
        first.header("etag").unwrap()
    );
    assert_eq!(object.get("versionId"), None);
    assert_eq!(
        put_event["userIdentity"]["principalId"],
        world.owner.account_id.as_str()
    );
    assert_eq!(put_event["s3"]["configurationId"], "c");
    assert_eq!(put_event["s3"]["bucket"]["arn"], "arn:aws:s3:::bkt");
    assert_eq!(put_event["eventTime"], "2023-11-14T22:13:20.000Z");
    let request_id = put_event["responseElements"]["x-amz-request-id"]
        .as_str()
        .unwrap();
    assert_eq!(request_id.len(), 16);
    assert_eq!(
        found("ObjectCreated:Put v")["s3"]["object"]["versionId"],
        version.as_str()
    );
    assert_eq!(
        found("ObjectRemoved:Delete v")["s3"]["object"]["versionId"],
        version.as_str()
    );
    assert_eq!(
        found("ObjectRemoved:DeleteMarkerCreated v")["s3"]["object"]["versionId"],
        marker.as_str()
    );
    assert_eq!(
        found("ObjectRemoved:Delete copy")["s3"]["object"].get("size"),
        None
    );
}

#[tokio::test]
async fn appending_renaming_restoring_and_lifecycle_rules_are_told() {
    let receiver = Receiver::start().await;
    let world = world_with(&receiver).await;
    world.succeed(put("/bkt/a", "1")).await;
    let cold = put("/bkt/cold", "1").header("x-amz-storage-class", "GLACIER");
    world.succeed(cold).await;
    world.succeed(put("/bkt/old/x", "1")).await;
    world.succeed(put("/bkt/warm/x", "1")).await;
    let all = [
        "s3:ObjectCreated:*",
        "s3:ObjectRemoved:*",
        "s3:ObjectRestore:*",
        "s3:LifecycleExpiration:*",
        "s3:LifecycleTransition",
    ];
    configure(&world, &all, "").await;
    let appended = put("/bkt/a", "2").header("x-amz-write-offset-bytes", "1");
    world.succeed(appended).await;
    let renamed = put("/bkt/b?renameObject", "").header("x-amz-rename-source", "/bkt/a");
    world.succeed(renamed).await;
    let restore = "<RestoreRequest><Days>1</Days></RestoreRequest>";
    world.succeed(post("/bkt/cold?restore", restore)).await;
    let rule = |prefix: &str, action: &str| {
        format!(
            "<Rule><ID>{prefix}</ID><Filter><Prefix>{prefix}</Prefix></Filter>\
             <Status>Enabled</Status>{action}</Rule>"
        )
    };
    let document = format!(
        "<LifecycleConfiguration>{}{}</LifecycleConfiguration>",
        rule("old/", "<Expiration><Days>1</Days></Expiration>"),
        rule(
            "warm/",
            "<Transition><Days>0</Days><StorageClass>GLACIER</StorageClass></Transition>"
        )
    );
    let digest = Checksum::of(ChecksumAlgorithm::Crc32, document.as_bytes());
    let rules = put("/bkt?lifecycle", document).header("x-amz-checksum-crc32", &digest.to_base64());
    // Small objects move too.
    let rules = rules.header(
        "x-amz-transition-default-minimum-object-size",
        "varies_by_storage_class",
    );
    world.succeed(rules).await;
    let _jobs = deliver(&world, targets(&receiver, |_| {}), fast());
    receiver
        .until(|receiver| receiver.records().len() == 5)
        .await;
    world.advance_ms(3 * 86_400_000);
    world.store.lifecycle_round(Calendar::REAL).await.unwrap();
    receiver
        .until(|receiver| receiver.records().len() == 7)
        .await;
    let records = receiver.records();
    let mut told = names(&records);
    told.sort();
    assert_eq!(
        told,
        [
            "LifecycleExpiration:Delete old/x",
            "LifecycleTransition warm/x",
            "ObjectCreated:Copy b",
            "ObjectCreated:Put a",
            "ObjectRemoved:Delete a",
            "ObjectRestore:Completed cold",
            "ObjectRestore:Post cold",
        ]
    );
    let moved = records
        .iter()
        .find(|record| record["eventName"] == "LifecycleTransition");
    let moved = moved.unwrap().to_string();
    assert!(moved.contains("GLACIER"), "{moved}");
}

#[tokio::test]
async fn filters_decide_what_is_told() {
    let receiver = Receiver::start().await;
    let world = world_with(&receiver).await;
    let filter = "<Filter><S3Key><FilterRule><Name>prefix</Name><Value>in/</Value></FilterRule>\
                  <FilterRule><Name>suffix</Name><Value>.jpg</Value></FilterRule></S3Key></Filter>";
    configure(&world, &["s3:ObjectCreated:Put"], filter).await;
    for key in ["in/a.jpg", "in/a.png", "a.jpg", "in/b.jpg"] {
        world.succeed(put(&format!("/bkt/{key}"), "")).await;
    }
    world.succeed(delete("/bkt/in/a.jpg")).await;
    world.succeed(put("/other", "")).await;
    world.succeed(put("/other/in/a.jpg", "")).await;
    let _jobs = deliver(&world, targets(&receiver, |_| {}), fast());
    receiver
        .until(|receiver| receiver.records().len() == 2)
        .await;
    let mut told = names(&receiver.records());
    told.sort();
    assert_eq!(
        told,
        ["ObjectCreated:Put in/a.jpg", "ObjectCreated:Put in/b.jpg"]
    );
    assert_eq!(receiver.taken().len(), 3);
}

#[tokio::test]
async fn a_target_that_fails_gets_everything_later_and_keys_in_order() {
    let receiver = Receiver::start().await;
    let world = world_with(&receiver).await;
    configure(&world, &["s3:ObjectCreated:*"], "").await;
    let _jobs = deliver(&world, targets(&receiver, |_| {}), fast());
    receiver.until(|receiver| receiver.taken().len() == 1).await;
    let mut expected = 0;
    for behaviour in [
        Behaviour::Refuse(500),
        Behaviour::Hang,
        Behaviour::Refuse(404),
        Behaviour::Redirect(receiver.url.clone()),
        Behaviour::TakeAfter(Duration::from_millis(30)),
    ] {
        let takes = matches!(behaviour, Behaviour::TakeAfter(_));
        receiver.behave(behaviour.clone());
        let refused = receiver.refused();
        for size in 1..=4 {
            for key in ["x", "y"] {
                world
                    .succeed(put(&format!("/bkt/{key}"), "1".repeat(size)))
                    .await;
                expected += 1;
            }
        }
        if !takes {
            receiver
                .until(|receiver| receiver.refused() > refused + 1)
                .await;
            receiver.behave(Behaviour::Take);
        }
        receiver
            .until(|receiver| receiver.records().len() >= expected)
            .await;
    }
    assert_eq!(
        receiver.records().len(),
        expected,
        "none was taken twice here"
    );
    for key in ["x", "y"] {
        let records = receiver.records();
        let of_key = records
            .iter()
            .filter(|record| record["s3"]["object"]["key"] == key);
        let sequencers: Vec<&str> = of_key
            .map(|record| record["s3"]["object"]["sequencer"].as_str().unwrap())
            .collect();
        assert_eq!(sequencers.len(), expected / 2);
        assert!(sequencers.is_sorted_by(|a, b| a < b), "{sequencers:?}");
    }
}

#[tokio::test]
async fn an_event_that_is_not_taken_holds_up_its_own_key_alone() {
    let key = "bad".to_owned();
    for behaviour in [Behaviour::RefuseKey(key.clone()), Behaviour::HangKey(key)] {
        let receiver = Receiver::start().await;
        let world = world_with(&receiver).await;
        configure(&world, &["s3:ObjectCreated:*"], "").await;
        receiver.behave(behaviour);
        for key in ["bad", "a", "bad", "b"] {
            world.succeed(put(&format!("/bkt/{key}"), "")).await;
        }
        let _jobs = deliver(&world, targets(&receiver, |_| {}), fast());
        receiver
            .until(|receiver| receiver.records().len() == 2 && receiver.refused() > 4)
            .await;
        // With nothing but that key left, the target may count as down: still others get through.
        world.succeed(put("/bkt/c", "")).await;
        receiver
            .until(|receiver| receiver.records().len() == 3)
            .await;
        receiver.behave(Behaviour::Take);
        receiver
            .until(|receiver| receiver.records().len() == 5)
            .await;
    }
}

#[tokio::test]
async fn what_was_not_acknowledged_is_sent_again_by_the_next_process() {
    let receiver = Receiver::start().await;
    let world = world_with(&receiver).await;
    configure(&world, &["s3:ObjectCreated:*"], "").await;
    receiver.behave(Behaviour::Hang);
    for key in ["a", "b", "c"] {
        world.succeed(put(&format!("/bkt/{key}"), "")).await;
    }
    let jobs = deliver(&world, targets(&receiver, |_| {}), fast());
    receiver.until(|receiver| receiver.refused() > 0).await;
    jobs.stop().await;
    receiver.behave(Behaviour::Take);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(receiver.taken().len(), 0);
    let _jobs = deliver(&world, targets(&receiver, |_| {}), fast());
    receiver
        .until(|receiver| receiver.records().len() == 3)
        .await;
    let waiting = world.store.event_targets(None, 10).await.unwrap();
    assert!(waiting.is_empty() || waiting == [ARN], "{waiting:?}");
}

#[tokio::test]
async fn old_and_surplus_events_are_dropped_oldest_first() {
    let receiver = Receiver::start().await;
    let world = world_with(&receiver).await;
    configure(&world, &["s3:ObjectCreated:*"], "").await;
    receiver.behave(Behaviour::Refuse(503));
    for key in ["old1", "old2"] {
        world.succeed(put(&format!("/bkt/{key}"), "")).await;
    }
    world.advance_ms(3_600_000);
    for number in 0..5 {
        world.succeed(put(&format!("/bkt/new{number}"), "")).await;
    }
    let options = DeliveryOptions {
        keep_for: Duration::from_secs(1_800),
        keep_max: 3,
        ..fast()
    };
    let _jobs = deliver(&world, targets(&receiver, |_| {}), options);
    receiver.until(|receiver| receiver.refused() > 3).await;
    receiver.behave(Behaviour::Take);
    receiver
        .until(|receiver| receiver.records().len() == 3)
        .await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut told = names(&receiver.records());
    told.sort();
    assert_eq!(
        told,
        [
            "ObjectCreated:Put new2",
            "ObjectCreated:Put new3",
            "ObjectCreated:Put new4"
        ]
    );
}

#[tokio::test]
async fn messages_carry_what_the_operator_set() {
    let receiver = Receiver::start().await;
    let world = world_with(&receiver).await;
    configure(&world, &["s3:ObjectCreated:*", "s3:ObjectTagging:*"], "").await;
    world.succeed(put("/bkt/k", "12")).await;
    world.succeed(delete("/bkt/k?tagging")).await;
    let set = |target: &mut Target| {
        target.format = MessageFormat::Tigris;
        target.authorization = Some("Bearer t".parse().unwrap());
    };
    let _jobs = deliver(&world, targets(&receiver, set), fast());
    receiver
        .until(|receiver| !receiver.taken().is_empty())
        .await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let taken = receiver.taken();
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0]["events"][0]["eventName"], "OBJECT_CREATED_PUT");
    assert_eq!(taken[0]["events"][0]["object"]["size"], 2);
    let headers = receiver.headers();
    assert_eq!(headers["authorization"], "Bearer t");
    assert_eq!(headers["content-type"], "application/json");
}

#[tokio::test]
async fn urls_are_targets_only_where_the_operator_allows_them() {
    let receiver = Receiver::start().await;
    let mut world = world_with(&receiver).await;
    let document = configuration(&queue(&receiver.url, &["s3:ObjectCreated:*"], ""));
    let refused = world.send(put("/bkt?notification", document.clone())).await;
    refused.refused(400, "InvalidArgument");
    let allowed = Targets {
        urls_allowed: true,
        ..Targets::default()
    };
    world.service = world.service.clone().with_targets(allowed.clone());
    world.succeed(put("/bkt?notification", document)).await;
    world.succeed(put("/bkt/k", "")).await;
    // A server that no longer allows them sends nothing.
    let jobs = deliver(&world, Targets::default(), fast());
    tokio::time::sleep(Duration::from_millis(100)).await;
    jobs.stop().await;
    assert!(receiver.taken().is_empty());
    let _jobs = deliver(&world, allowed, fast());
    receiver
        .until(|receiver| receiver.records().len() == 1)
        .await;
}

/// Whoever makes up targets keeps nobody's events from theirs.
#[tokio::test]
async fn unknown_targets_keep_no_other_waiting() {
    let receiver = Receiver::start().await;
    let world = world_with(&receiver).await;
    for bucket in ["/many0", "/many1", "/many2"] {
        world.succeed(put(bucket, "")).await;
        // They come before that of the target.
        let arn = |number: usize| {
            format!(
                "arn:aws:sqs:us-east-1:123456789012:{}-{number}",
                &bucket[1..]
            )
        };
        let document = configuration(&by_number(100, arn));
        world.succeed(skipping(bucket, &document)).await;
        for number in 0..100 {
            world
                .succeed(put(&format!("{bucket}/{number:03}"), ""))
                .await;
        }
    }
    assert_eq!(
        world.store.event_targets(None, 1_000).await.unwrap().len(),
        300
    );
    configure(&world, &["s3:ObjectCreated:*"], "").await;
    world.succeed(put("/bkt/k", "")).await;
    let _jobs = deliver(&world, targets(&receiver, |_| {}), fast());
    receiver
        .until(|receiver| receiver.records().len() == 1)
        .await;
}

/// A target has more ARNs than can be served at a time. While it does not answer, others are served.
#[tokio::test]
async fn a_target_that_does_not_answer_gives_way_to_others() {
    let (receiver, slow) = (Receiver::start().await, Receiver::start().await);
    slow.behave(Behaviour::Hang);
    let mut both = targets(&receiver, |_| {});
    let hanging = targets(&slow, |_| {}).by_name.remove("hook").unwrap();
    both.by_name.insert("slow".to_owned(), hanging);
    let mut world = World::new().await;
    world.service = world.service.with_targets(both.clone());
    for bucket in ["/slow", "/bkt"] {
        world.succeed(put(bucket, "")).await;
    }
    let arn = |number: usize| format!("arn:aws:sqs:us-east-1:{number:012}:slow");
    // Each gets the test event.
    let document = configuration(&by_number(100, arn));
    world.succeed(put("/slow?notification", document)).await;
    configure(&world, &["s3:ObjectCreated:*"], "").await;
    world.succeed(put("/bkt/k", "")).await;
    let options = DeliveryOptions {
        turn: Duration::from_millis(50),
        ..fast()
    };
    let _jobs = deliver(&world, both, options);
    receiver
        .until(|receiver| receiver.records().len() == 1)
        .await;
    slow.behave(Behaviour::Take);
    slow.until(|slow| slow.taken().len() >= 100).await;
}

/// Targets that do not answer, in any number, keep no worker from one that does: not by their turns,
/// which are long here, and not by being tried again and again.
#[tokio::test]
async fn targets_that_do_not_answer_take_no_turns_from_one_that_does() {
    let (receiver, slow) = (Receiver::start().await, Receiver::start().await);
    slow.behave(Behaviour::Hang);
    let mut both = targets(&receiver, |_| {});
    let hanging = targets(&slow, |_| {}).by_name.remove("hook").unwrap();
    both.by_name.insert("slow".to_owned(), hanging);
    let mut world = World::new().await;
    world.service = world.service.with_targets(both.clone());
    for bucket in ["/slow1", "/slow2", "/bkt"] {
        world.succeed(put(bucket, "")).await;
    }
    for bucket in ["/slow1", "/slow2"] {
        // They come before that of the target that answers, and each gets the test event.
        let owner = &bucket[5..];
        let arn = |number: usize| format!("arn:aws:sqs:us-east-1:{owner}{number:011}:slow");
        let document = configuration(&by_number(100, arn));
        let path = format!("{bucket}?notification");
        world.succeed(put(&path, document)).await;
    }
    configure(&world, &["s3:ObjectCreated:*"], "").await;
    let options = DeliveryOptions {
        turn: Duration::from_secs(3_600),
        ..fast()
    };
    let _jobs = deliver(&world, both, options);
    for number in 1..=5 {
        world.succeed(put(&format!("/bkt/{number}"), "")).await;
        let begun = Instant::now();
        receiver
            .until(|receiver| receiver.records().len() == number)
            .await;
        // Once it is known to answer, it waits for nobody. At first all are new.
        let most = if number == 1 { 10 } else { 2 };
        assert!(begun.elapsed() < Duration::from_secs(most), "{number}");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    slow.behave(Behaviour::Take);
    slow.until(|slow| slow.taken().len() >= 200).await;
}

/// One owner's events leave room for those of others, whatever targets they wait for.
#[tokio::test]
async fn an_owner_keeps_so_many_events_and_no_more() {
    const OTHER: &str = "arn:aws:sqs:us-east-1:123456789012:other";
    let receiver = Receiver::start().await;
    receiver.behave(Behaviour::Refuse(503));
    let world = world_with(&receiver).await;
    let stranger = world.stranger().await;
    let by = Some(&stranger);
    world.send_by(by, put("/theirs", "")).await.is(200);
    // Two buckets of the one, one of the other.
    world.succeed(put("/second", "")).await;
    let document = configuration(&by_number(2, |number| [ARN, OTHER][number].to_owned()));
    for bucket in ["/bkt", "/second"] {
        world.succeed(skipping(bucket, &document)).await;
    }
    world
        .send_by(by, skipping("/theirs", &document))
        .await
        .is(200);
    for name in 0..3 {
        let theirs = put(&format!("/theirs/000{name}"), "");
        world.send_by(by, theirs).await.is(200);
        for bucket in ["bkt", "second"] {
            world
                .succeed(put(&format!("/{bucket}/000{name}"), ""))
                .await;
        }
    }
    for name in 0..2 {
        world.succeed(put(&format!("/bkt/001{name}"), "")).await;
    }
    let options = DeliveryOptions {
        keep_max_of_owner: 4,
        ..fast()
    };
    let _jobs = deliver(&world, targets(&receiver, |_| {}), options);
    waiting_are(&world, ARN, 5).await;
    waiting_are(&world, OTHER, 2).await;
    let page = world.store.events_waiting(ARN, None, 10).await.unwrap();
    let waiting: Vec<_> = page
        .events
        .iter()
        .map(|event| (event.record.bucket.as_str(), &event.record.key[..]))
        .collect();
    assert_eq!(
        waiting,
        [
            ("theirs", &b"0000"[..]),
            ("theirs", b"0001"),
            ("theirs", b"0002"),
            ("bkt", b"0002"),
            ("second", b"0002"),
        ]
    );
    // Those that are delivered make room.
    receiver.behave(Behaviour::Take);
    waiting_are(&world, ARN, 0).await;
    receiver.behave(Behaviour::Refuse(503));
    for name in 0..2 {
        world.succeed(put(&format!("/bkt/000{name}"), "")).await;
    }
    waiting_are(&world, ARN, 2).await;
    waiting_are(&world, OTHER, 2).await;
}

#[tokio::test]
async fn of_what_waits_for_unknown_targets_little_is_kept() {
    let receiver = Receiver::start().await;
    receiver.behave(Behaviour::Refuse(503));
    let world = world_with(&receiver).await;
    let arns = [
        "arn:aws:sqs:us-east-1:123456789012:other",
        "arn:aws:sqs:us-east-1:123456789012:another",
        ARN,
    ];
    let document = configuration(&by_number(3, |number| arns[number].to_owned()));
    world.succeed(skipping("/bkt", &document)).await;
    let write = async |target: usize, names: std::ops::Range<usize>| {
        for name in names {
            let key = format!("/bkt/{target:03}{name}");
            world.succeed(put(&key, "")).await;
        }
    };
    let options = DeliveryOptions {
        keep_max: 8,
        keep_max_unknown: 3,
        keep_max_unknown_in_all: 5,
        ..fast()
    };
    for target in [0, 1] {
        write(target, 0..5).await;
    }
    let jobs = deliver(&world, targets(&receiver, |_| {}), options.clone());
    // Each has its bound, and together they have theirs.
    for arn in &arns[..2] {
        waiting_are(&world, arn, 2).await;
    }
    // The newest are kept, also of what comes later.
    write(0, 5..9).await;
    waiting_are(&world, arns[0], 3).await;
    waiting_are(&world, arns[1], 2).await;
    let page = world.store.events_waiting(arns[0], None, 10).await.unwrap();
    let keys: Vec<_> = page
        .events
        .iter()
        .map(|event| &event.record.key[..])
        .collect();
    assert_eq!(keys, [&b"0006"[..], b"0007", b"0008"]);

    // Those of a target have their own bound, also while they are added and taken.
    write(2, 0..6).await;
    waiting_are(&world, ARN, 6).await;
    receiver.behave(Behaviour::RefuseKey("0020".to_owned()));
    receiver
        .until(|receiver| receiver.records().len() == 5)
        .await;
    waiting_are(&world, ARN, 1).await;
    receiver.behave(Behaviour::Refuse(503));
    write(2, 6..13).await;
    waiting_are(&world, ARN, 8).await;
    write(2, 13..15).await;
    waiting_are(&world, ARN, 8).await;
    jobs.stop().await;

    // The sum of all is bounded too.
    let options = DeliveryOptions {
        keep_max_in_all: 3,
        ..options
    };
    let _jobs = deliver(&world, targets(&receiver, |_| {}), options);
    waiting_are(&world, ARN, 3).await;
}
