//! Access logs of buckets: configured over the API, written for every request that a connection
//! answers, delivered as objects.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{Call, Reply, User, World, delete, get, head, post, put};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use oncilla_iam::Role;
use oncilla_keys::NewKmsKey;
use oncilla_server::Peer;
use oncilla_server::bucket_logs::{BucketLogs, LogOptions};
use oncilla_server::connection::{self, ConnectionTimeouts};
use oncilla_server::front::{Front, FrontOptions};
use oncilla_server::in_flight::InFlightRequests;
use oncilla_server::jobs::Jobs;
use oncilla_server::metrics::Metrics;
use oncilla_server::s3::S3Service;
use oncilla_store::{DocumentKind, NewDocument};
use tokio_util::sync::CancellationToken;

const CLIENT: &str = "192.0.2.7:4711";

/// A world whose requests come over a connection.
struct Served {
    world: World,
    logs: BucketLogs,
    front: Arc<Front<S3Service>>,
}

impl Served {
    async fn new(options: LogOptions) -> Self {
        let mut world = World::new().await;
        let logs = BucketLogs::new(world.store.clone(), options);
        world.service = world.service.with_bucket_logs(logs.clone());
        let (options, metrics) = (FrontOptions::default(), Arc::new(Metrics::new()));
        let (service, memory) = (world.service.clone(), world.memory.clone());
        let front = Arc::new(Front::new(service, None, options, memory, metrics));
        let served = Self { world, logs, front };
        for bucket in ["/bkt", "/logs", "/other"] {
            served.world.succeed(put(bucket, "")).await;
        }
        served
    }

    /// Delivers what is due, in the background.
    fn deliver(&self) -> Jobs {
        let mut jobs = Jobs::default();
        let logs = self.logs.clone();
        jobs.spawn("bucket logs", move || {
            let logs = logs.clone();
            async move { logs.run().await }
        });
        jobs
    }

    /// Waits until so many log objects were delivered.
    async fn until_delivered(&self, count: usize) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        while self.delivered().await.len() < count {
            assert!(tokio::time::Instant::now() < deadline);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Logs of `/bkt` go to `/logs`.
    async fn log(&self, rest: &str) {
        let document = configuration("logs", rest);
        self.world.succeed(put("/bkt?logging", document)).await;
    }

    async fn send_by(&self, sender: Option<&User>, call: Call) -> Reply {
        let (near, far) = tokio::io::duplex(1 << 16);
        let serving = tokio::spawn(connection::serve(
            far,
            Peer::Tcp(CLIENT.parse().unwrap()),
            None,
            Arc::clone(&self.front),
            Arc::new(InFlightRequests::default()),
            ConnectionTimeouts::default(),
            CancellationToken::new(),
        ));
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(near)).await;
        let (mut sender_end, line) = handshake.unwrap();
        let line = tokio::spawn(line);
        let request = self.world.request(sender, call).map(Full::new);
        let answer = sender_end.send_request(request).await.unwrap();
        let (head, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        drop(sender_end);
        line.await.unwrap().unwrap();
        // The request is over, and logged, when its connection is.
        serving.await.unwrap();
        Reply {
            status: head.status,
            headers: head.headers,
            body,
        }
    }

    async fn send(&self, call: Call) -> Reply {
        self.send_by(Some(&self.world.owner), call).await
    }

    /// Keys and texts of the log objects.
    async fn delivered(&self) -> Vec<(String, String)> {
        let keys = self
            .world
            .succeed(get("/logs?list-type=2"))
            .await
            .elements("Key");
        let mut delivered = Vec::new();
        for key in keys {
            let object = self.world.succeed(get(&format!("/logs/{key}"))).await;
            delivered.push((key, object.text()));
        }
        delivered
    }

    /// All lines delivered so far, as fields.
    async fn lines(&self) -> Vec<Vec<String>> {
        let delivered = self.delivered().await;
        let lines = delivered.iter().flat_map(|(_, text)| text.lines());
        lines.map(fields).collect()
    }
}

/// Splits a line as programs do: at spaces, of which those in quotes or brackets hold some.
fn fields(line: &str) -> Vec<String> {
    let mut fields = Vec::new();
    let mut rest = line;
    while !rest.is_empty() {
        let (field, behind) = match rest.chars().next().unwrap() {
            '"' => rest[1..].split_once('"').unwrap(),
            '[' => rest[1..].split_once(']').unwrap(),
            _ => rest.split_at(rest.find(' ').unwrap_or(rest.len())),
        };
        fields.push(field.to_owned());
        rest = behind.strip_prefix(' ').unwrap_or(behind);
    }
    assert_eq!(fields.len(), 26, "{line}");
    fields
}

fn configuration(target: &str, rest: &str) -> String {
    format!(
        "<BucketLoggingStatus><LoggingEnabled><TargetBucket>{target}</TargetBucket>\
         <TargetPrefix>log/</TargetPrefix>{rest}</LoggingEnabled></BucketLoggingStatus>"
    )
}

#[tokio::test]
async fn a_configuration_is_given_back_and_refused_as_s3_does() {
    let served = Served::new(LogOptions::default()).await;
    let world = &served.world;
    let none = world.succeed(get("/bkt?logging")).await;
    assert_eq!(none.element("LoggingEnabled"), None);
    assert!(none.text().contains("BucketLoggingStatus"));
    served.log("").await;
    let answer = world.succeed(get("/bkt?logging")).await;
    assert_eq!(answer.element("TargetBucket").as_deref(), Some("logs"));
    assert_eq!(answer.element("TargetPrefix").as_deref(), Some("log/"));
    assert!(answer.element("SimplePrefix").is_some());

    let stranger = world.stranger().await;
    world
        .send_by(Some(&stranger), put("/theirs", ""))
        .await
        .is(200);
    for (document, code) in [
        (
            configuration("nowhere", ""),
            "InvalidTargetBucketForLogging",
        ),
        (configuration("theirs", ""), "InvalidTargetBucketForLogging"),
        (
            "<BucketLoggingStatus><LoggingEnabled/></BucketLoggingStatus>".to_owned(),
            "MalformedXML",
        ),
        (
            configuration(
                "logs",
                "<TargetObjectKeyFormat><PartitionedPrefix><PartitionDateSource>x\
                 </PartitionDateSource></PartitionedPrefix></TargetObjectKeyFormat>",
            ),
            "MalformedXML",
        ),
    ] {
        world
            .send(put("/bkt?logging", document))
            .await
            .refused(400, code);
    }
    for call in [
        get("/bkt?logging"),
        put("/bkt?logging", "<BucketLoggingStatus/>"),
    ] {
        world
            .send_by(Some(&stranger), call)
            .await
            .refused(403, "AccessDenied");
    }
    let kept = world.succeed(get("/bkt?logging")).await;
    assert_eq!(kept.element("TargetBucket").as_deref(), Some("logs"));
    world
        .succeed(put("/bkt?logging", "<BucketLoggingStatus/>"))
        .await;
    let removed = world.succeed(get("/bkt?logging")).await;
    assert_eq!(removed.element("LoggingEnabled"), None);
}

#[tokio::test]
async fn every_answered_request_has_its_line() {
    let served = Served::new(LogOptions::default()).await;
    served.log("").await;
    let agent = |call: Call| {
        call.header("user-agent", "tester/1 \"x\"")
            .header("referer", "http://r/")
    };
    let written = served.send(agent(put("/bkt/a%20b", "12345"))).await.is(200);
    served
        .send(get("/bkt/a%20b").header("range", "bytes=1-2"))
        .await
        .is(206);
    served.send(head("/bkt/a%20b")).await.is(200);
    served
        .send(get("/bkt/none"))
        .await
        .refused(404, "NoSuchKey");
    served
        .send_by(None, get("/bkt/a%20b"))
        .await
        .refused(403, "AccessDenied");
    let mut forged = served.world.owner.clone();
    forged.key.secret_access_key = "wrong".to_owned();
    served
        .send_by(Some(&forged), get("/bkt?list-type=2"))
        .await
        .refused(403, "SignatureDoesNotMatch");
    served.send(get("/bkt?list-type=2&prefix=a")).await.is(200);
    served.send(delete("/bkt/a%20b")).await.is(204);
    let two = "<Delete><Object><Key>x</Key></Object><Object><Key>y</Key><VersionId>bad</VersionId>\
               </Object></Delete>";
    served.send(agent(post("/bkt?delete", two))).await.is(200);
    served.send(get("/other?location")).await.is(200);
    assert!(served.delivered().await.is_empty());
    served.logs.deliver_rest().await;

    let delivered = served.delivered().await;
    assert_eq!(delivered.len(), 1);
    assert!(
        delivered[0].0.starts_with("log/2023-11-14-22-13-20-"),
        "{delivered:?}"
    );
    assert_eq!(delivered[0].0.len(), "log/2023-11-14-22-13-20-".len() + 16);
    let lines = served.lines().await;
    let summary: Vec<[&str; 5]> = lines
        .iter()
        .map(|line| [6, 7, 9, 10, 12].map(|field| line[field].as_str()))
        .collect();
    assert_eq!(
        summary,
        [
            ["REST.PUT.OBJECT", "a%20b", "200", "-", "5"],
            ["REST.GET.OBJECT", "a%20b", "206", "-", "5"],
            ["REST.HEAD.OBJECT", "a%20b", "200", "-", "5"],
            ["REST.GET.OBJECT", "none", "404", "NoSuchKey", "-"],
            ["REST.GET.OBJECT", "a%20b", "403", "AccessDenied", "-"],
            ["-", "-", "403", "SignatureDoesNotMatch", "-"],
            ["REST.GET.BUCKET", "-", "200", "-", "-"],
            ["REST.DELETE.OBJECT", "a%20b", "204", "-", "-"],
            ["REST.POST.MULTI_OBJECT_DELETE", "-", "200", "-", "-"],
            ["BATCH.DELETE.OBJECT", "x", "204", "-", "-"],
            ["BATCH.DELETE.OBJECT", "y", "400", "InvalidArgument", "-"],
        ]
    );
    let owner = served.world.owner.account_id.as_str();
    let first = &lines[0];
    assert_eq!(
        first[..5],
        [
            owner,
            "bkt",
            "14/Nov/2023:22:13:20 +0000",
            "192.0.2.7",
            owner
        ]
    );
    assert_eq!(first[5], written.header("x-amz-request-id").unwrap());
    assert_eq!(first[8], "PUT /bkt/a%20b HTTP/1.1");
    assert_eq!(first[11], "-");
    assert!(first[13].parse::<u64>().is_ok() && first[14].parse::<u64>().is_ok());
    assert_eq!(first[15..18], ["http://r/", "tester/1 %22x%22", "-"]);
    assert_eq!(first[18], written.header("x-amz-id-2").unwrap());
    assert_eq!(
        first[19..],
        ["SigV4", "-", "AuthHeader", "127.0.0.1:9000", "-", "-", "-"]
    );
    assert_eq!(lines[1][11], "2", "bytes sent");
    assert_eq!(lines[4][4], "-", "an anonymous requester");
    assert_eq!([&lines[4][19], &lines[4][21]], ["-", "-"]);
    assert_eq!(lines[6][8], "GET /bkt?list-type=2&prefix=a HTTP/1.1");
    // What the line of the whole request has is not repeated for each key.
    assert_eq!(lines[8][15..17], ["http://r/", "tester/1 %22x%22"]);
    for (line, version) in lines[9..].iter().zip(["-", "bad"]) {
        assert_eq!(line[5], lines[8][5]);
        assert_eq!([&line[8], &line[13], &line[14]], ["-"; 3]);
        assert_eq!(line[15..18], ["-", "-", version]);
        assert_eq!(line[18..], lines[8][18..]);
    }
}

/// Source: S3 User Guide, "Amazon S3 server access log format": `WEBSITE.HTTP_method.resource_type`.
#[tokio::test]
async fn visits_of_a_website_have_their_lines() {
    let served = Served::new(LogOptions::default()).await;
    let website = "<WebsiteConfiguration><IndexDocument><Suffix>index.html</Suffix>\
                   </IndexDocument></WebsiteConfiguration>";
    served
        .world
        .succeed(put("/bkt?website", website.to_owned()))
        .await;
    let home = put("/bkt/index.html", "home").header("x-amz-acl", "public-read");
    served.world.succeed(home).await;
    served.world.succeed(put("/bkt/secret", "secret")).await;
    served.log("").await;
    for (call, status) in [
        (get("/?versionId=ignored"), 200),
        (head("/index.html"), 200),
        (get("/a%20b"), 403),
        (get("/secret"), 403),
        (put("/new", "body"), 405),
    ] {
        let call = call.header("host", "bkt.s3-website.localhost:9000");
        served.send_by(None, call).await.is(status);
    }
    let elsewhere = get("/").header("host", "other.s3-website.localhost:9000");
    served.send_by(None, elsewhere).await.is(404);
    served.logs.deliver_rest().await;
    let lines = served.lines().await;
    let summary: Vec<[&str; 6]> = lines
        .iter()
        .map(|line| [6, 7, 9, 10, 11, 12].map(|field| line[field].as_str()))
        .collect();
    assert_eq!(
        summary[..2],
        [
            ["WEBSITE.GET.OBJECT", "index.html", "200", "-", "4", "4"],
            ["WEBSITE.HEAD.OBJECT", "index.html", "200", "-", "-", "4"],
        ]
    );
    let refused: Vec<[&str; 4]> = summary[2..]
        .iter()
        .map(|line| [line[0], line[1], line[2], line[3]])
        .collect();
    assert_eq!(
        refused,
        [
            ["WEBSITE.GET.OBJECT", "a%20b", "403", "AccessDenied"],
            ["WEBSITE.GET.OBJECT", "secret", "403", "AccessDenied"],
            ["WEBSITE.PUT.OBJECT", "-", "405", "MethodNotAllowed"],
        ]
    );
    assert_eq!(lines[0][4], "-", "an anonymous requester");
    assert_eq!(lines[0][8], "GET /?versionId=ignored HTTP/1.1");
    assert_eq!(lines[0][22], "bkt.s3-website.localhost:9000");
}

/// What only looks like a signature, and was not looked at for it, is none.
#[tokio::test]
async fn lines_tell_the_signature_that_was_verified() {
    let served = Served::new(LogOptions::default()).await;
    served.log("").await;
    let open = put("/bkt/k", "body").header("x-amz-acl", "public-read");
    served.send(open).await.is(200);
    let like_version_2 = "/bkt/k?Signature=s";
    served.send_by(None, get(like_version_2)).await.is(200);
    served.send(get(like_version_2)).await.is(200);
    served.logs.deliver_rest().await;
    let lines = served.lines().await;
    let told: Vec<[&str; 2]> = lines
        .iter()
        .map(|line| [line[19].as_str(), line[21].as_str()])
        .collect();
    let by_header = ["SigV4", "AuthHeader"];
    assert_eq!(told, [by_header, ["-", "-"], by_header]);
}

#[tokio::test]
async fn lines_are_delivered_when_they_are_old_or_many() {
    let options = LogOptions {
        interval: Duration::from_secs(300),
        object_bytes: 1_000,
        ..LogOptions::default()
    };
    let served = Served::new(options).await;
    served.log("").await;
    let mut jobs = served.deliver();
    served.send(head("/bkt")).await.is(200);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(served.delivered().await.is_empty());
    served.world.advance_ms(301_000);
    served.until_delivered(1).await;
    for _ in 0..4 {
        served.send(head("/bkt")).await.is(200);
    }
    served.until_delivered(2).await;
    // What is left goes out with the server.
    served.send(head("/bkt")).await.is(200);
    let last = served.logs.clone();
    jobs.at_last("bucket logs", async move { last.deliver_rest().await });
    jobs.stop().await;
    assert_eq!(served.delivered().await.len(), 3);
    assert_eq!(served.lines().await.len(), 6);
}

#[tokio::test]
async fn partitions_are_by_account_region_bucket_and_day() {
    let served = Served::new(LogOptions::default()).await;
    served
        .log(
            "<TargetObjectKeyFormat><PartitionedPrefix><PartitionDateSource>EventTime\
             </PartitionDateSource></PartitionedPrefix></TargetObjectKeyFormat>",
        )
        .await;
    served.send(head("/bkt")).await.is(200);
    served.world.advance_ms(2 * 3_600_000);
    served.send(head("/bkt")).await.is(200);
    served.logs.deliver_rest().await;
    let mut keys: Vec<_> = served
        .delivered()
        .await
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    keys.sort();
    let account = &served.world.owner.account_id;
    for (key, day) in keys.iter().zip(["14", "15"]) {
        let folder = format!("log/{account}/auto/bkt/2023/11/{day}/2023-11-{day}-00-00-00-");
        assert!(key.starts_with(&folder), "{key}");
    }
    assert_eq!(keys.len(), 2);
}

#[tokio::test]
async fn a_target_that_is_gone_loses_its_lines_and_nothing_else() {
    let served = Served::new(LogOptions::default()).await;
    served.log("").await;
    served
        .send(post(
            "/bkt?delete",
            "<Delete><Object><Key>k</Key></Object></Delete>",
        ))
        .await
        .is(200);
    served.world.succeed(delete("/logs")).await;
    served.send(put("/bkt/k", "1")).await.is(200);
    served.logs.deliver_rest().await;
    served.world.succeed(put("/logs", "")).await;
    served
        .send(put("/bkt/k", Bytes::from_static(b"2")))
        .await
        .is(200);
    served.logs.deliver_rest().await;
    let lines = served.lines().await;
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0][6], "REST.PUT.OBJECT");
}

/// What a bucket's policy says of the service counts, and its default encryption is that of the logs.
#[tokio::test]
async fn the_targets_own_rules_hold_for_logs() {
    let served = Served::new(LogOptions::default()).await;
    let encrypted = "<ServerSideEncryptionConfiguration><Rule>\
         <ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm>\
         </ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>";
    served
        .world
        .succeed(put("/logs?encryption", encrypted))
        .await;
    served.log("").await;
    served.send(head("/bkt")).await.is(200);
    served.logs.deliver_rest().await;
    let delivered = served.delivered().await;
    assert_eq!(delivered.len(), 1);
    let object = served
        .world
        .succeed(head(&format!("/logs/{}", delivered[0].0)));
    object.await.has("x-amz-server-side-encryption", "AES256");

    let deny = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*",
        "Action":"s3:PutObject","Resource":"arn:aws:s3:::logs/*",
        "Condition":{"StringEquals":{"aws:SourceArn":"arn:aws:s3:::bkt"}}}]}"#;
    let set = served.world.send(put("/logs?policy", deny)).await;
    set.is(204);
    served.send(head("/bkt")).await.is(200);
    served.logs.deliver_rest().await;
    assert_eq!(served.delivered().await.len(), 1);
    let refused = put("/bkt?logging", configuration("logs", ""));
    served
        .world
        .send(refused)
        .await
        .refused(400, "InvalidTargetBucketForLogging");
    let other = put("/other?logging", configuration("logs", ""));
    served.world.succeed(other).await;
}

/// However much one owner's buckets are asked for, there is room for the lines of others.
#[tokio::test]
async fn one_owners_lines_leave_room_for_those_of_others() {
    let options = LogOptions {
        memory_bytes_max: 100_000,
        ..LogOptions::default()
    };
    let served = Served::new(options).await;
    served.log("").await;
    let stranger = served.world.stranger().await;
    let own = async |call: Call| served.send_by(Some(&stranger), call).await.is(200);
    own(put("/theirs", "")).await;
    own(put("/theirs?logging", configuration("theirs", ""))).await;
    let keys: String = (0..1_000)
        .map(|key| format!("<Object><Key>{key}</Key></Object>"))
        .collect();
    own(post("/theirs?delete", format!("<Delete>{keys}</Delete>"))).await;
    served.send(head("/bkt")).await.is(200);
    served.logs.deliver_rest().await;
    assert_eq!(served.lines().await.len(), 1);
    let list = own(get("/theirs?list-type=2")).await;
    assert_eq!(list.elements("Key").len(), 1);
}

/// Logs go only where whoever sends them there could write too, or where the policy lets them in.
#[tokio::test]
async fn who_may_not_write_into_a_bucket_sends_no_logs_there() {
    let served = Served::new(LogOptions::default()).await;
    let world = &served.world;
    let clerk = world.key("bkt", Role::Editor).await;
    let set = async |prefix: &str| {
        let document = configuration("logs", "").replace("log/", prefix);
        world
            .send_by(Some(&clerk), put("/bkt?logging", document))
            .await
    };
    set("log/").await.refused(403, "AccessDenied");
    let none = world.succeed(get("/bkt?logging")).await;
    assert_eq!(none.element("LoggingEnabled"), None);
    let allow = async |principal: &str, resource: &str| {
        let policy = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{{principal}}},
            "Action":"s3:PutObject","Resource":"arn:aws:s3:::logs/{resource}"}}]}}"#
        );
        world.send(put("/logs?policy", policy)).await.is(204);
    };
    let (account, key) = (&clerk.account_id, &clerk.key.access_key_id);
    let user = format!(r#""AWS":"arn:aws:iam::{account}:user/{key}""#);
    allow(&user, "log/*").await;
    set("log/").await.is(200);
    for prefix in ["log", "other/", ""] {
        set(prefix).await.refused(403, "AccessDenied");
    }
    // The right to write one object is none to write all whose keys begin with its key.
    allow(&user, "other").await;
    set("other").await.refused(403, "AccessDenied");
    allow(r#""Service":"logging.s3.amazonaws.com""#, "other/*").await;
    set("other/").await.is(200);
    set("log/").await.refused(403, "AccessDenied");
    let kept = world.succeed(get("/bkt?logging")).await;
    assert_eq!(kept.element("TargetPrefix").as_deref(), Some("other/"));
    // To stop them takes no right on the target.
    let off = put("/bkt?logging", "<BucketLoggingStatus/>");
    world.send_by(Some(&clerk), off).await.is(200);
}

/// A key that cannot be used is like a closed bucket: the lines are dropped.
#[tokio::test]
async fn a_target_whose_kms_key_is_disabled_loses_its_lines() {
    let served = Served::new(LogOptions::default()).await;
    let new = NewKmsKey {
        id: Some("key-1".to_owned()),
        aliases: Vec::new(),
    };
    let keys = served.world.store.keys().unwrap();
    keys.create(new).await.unwrap();
    let by_key = "<ServerSideEncryptionConfiguration><Rule>\
         <ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm>\
         <KMSMasterKeyID>key-1</KMSMasterKeyID></ApplyServerSideEncryptionByDefault></Rule>\
         </ServerSideEncryptionConfiguration>";
    served.world.succeed(put("/logs?encryption", by_key)).await;
    served.log("").await;
    served.send(head("/bkt")).await.is(200);
    served.logs.deliver_rest().await;
    assert_eq!(served.lines().await.len(), 1);
    keys.set_disabled("key-1", true).await.unwrap();
    served.send(head("/bkt")).await.is(200);
    served.logs.deliver_rest().await;
    keys.set_disabled("key-1", false).await.unwrap();
    served.logs.deliver_rest().await;
    assert_eq!(served.lines().await.len(), 1);
}

/// Lines that cannot be written now wait, and those for other buckets do not wait for them.
#[tokio::test]
async fn a_target_that_fails_holds_up_nothing_else() {
    let options = LogOptions {
        interval: Duration::ZERO,
        ..LogOptions::default()
    };
    let served = Served::new(options).await;
    let world = &served.world;
    served.log("").await;
    world.succeed(put("/broken", "")).await;
    for number in 0..9 {
        let bucket = format!("/source{number}");
        world.succeed(put(&bucket, "")).await;
        let set = put(&format!("{bucket}?logging"), configuration("broken", ""));
        world.succeed(set).await;
        served.send(head(&bucket)).await.is(200);
    }
    let broken = world.store.bucket("broken").await.unwrap();
    let set = async |text: Option<&'static str>| {
        let new = text.map(NewDocument::of_text);
        let kind = DocumentKind::Encryption;
        let set = world.store.put_document(&broken, kind, "", new);
        set.await.unwrap();
    };
    set(Some("<Unreadable/>")).await;
    served.send(head("/bkt")).await.is(200);
    let _jobs = served.deliver();
    served.until_delivered(1).await;
    // What failed has kept its lines and is tried again after a while.
    set(None).await;
    world.advance_ms(60_000);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    let list = async || {
        let list = world.succeed(get("/broken?list-type=2")).await;
        list.elements("Key").len()
    };
    while list().await < 9 {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
