//! SelectObjectContent as clients see it: an event stream whose every message is checked.

use crate::support::{Call, Reply, World, get, post, put};
use http_body_util::BodyExt as _;
use oncilla_hash::{Checksum, ChecksumAlgorithm};
use oncilla_server::MemoryBudget;

const TARGET: &str = "/bucket/key?select&select-type=2";

/// A message of the event stream.
#[derive(Debug)]
struct Message {
    headers: Vec<(String, String)>,
    payload: Vec<u8>,
}

impl Message {
    fn header(&self, name: &str) -> &str {
        let mut headers = self.headers.iter();
        headers
            .find(|(found, _)| found == name)
            .map_or("", |(_, value)| value)
    }

    /// `Records`, …; of an error, its code.
    fn kind(&self) -> &str {
        match self.header(":message-type") {
            "error" => self.header(":error-code"),
            _ => self.header(":event-type"),
        }
    }
}

fn number(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | usize::from(*byte))
}

fn check_crc(data: &[u8], crc: &[u8]) {
    assert_eq!(Checksum::of(ChecksumAlgorithm::Crc32, data).as_bytes(), crc);
}

/// Takes an event stream apart; nothing may be left over.
fn messages(mut stream: &[u8]) -> Vec<Message> {
    let mut messages = Vec::new();
    while !stream.is_empty() {
        let (total, header_bytes) = (number(&stream[..4]), number(&stream[4..8]));
        check_crc(&stream[..8], &stream[8..12]);
        check_crc(&stream[..total - 4], &stream[total - 4..total]);
        let mut rest = &stream[12..12 + header_bytes];
        let mut headers = Vec::new();
        while !rest.is_empty() {
            let (name, after) = rest[1..].split_at(usize::from(rest[0]));
            assert_eq!(after[0], 7, "the type of a text");
            let (value, after) = after[3..].split_at(number(&after[1..3]));
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            headers.push((text(name), text(value)));
            rest = after;
        }
        let payload = stream[12 + header_bytes..total - 4].to_vec();
        messages.push(Message { headers, payload });
        stream = &stream[total..];
    }
    messages
}

fn select(expression: &str, input: &str) -> Call {
    select_in(TARGET, expression, input)
}

fn select_in(target: &str, expression: &str, input: &str) -> Call {
    let escaped = expression.replace('&', "&amp;").replace('<', "&lt;");
    let document = format!(
        "<SelectObjectContentRequest xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
         <Expression>{escaped}</Expression><ExpressionType>SQL</ExpressionType>\
         <RequestProgress><Enabled>true</Enabled></RequestProgress>\
         <InputSerialization>{input}</InputSerialization>\
         <OutputSerialization><CSV/></OutputSerialization></SelectObjectContentRequest>"
    );
    post(target, document)
}

/// The records of an answer that is complete.
fn records(reply: &Reply) -> String {
    let messages = messages(&reply.body);
    let kinds: Vec<&str> = messages.iter().map(Message::kind).collect();
    assert!(kinds.ends_with(&["Progress", "Stats", "End"]), "{kinds:?}");
    let records = messages
        .iter()
        .filter(|message| message.kind() == "Records");
    let records: Vec<u8> = records
        .flat_map(|message| message.payload.clone())
        .collect();
    let stats = String::from_utf8(messages[messages.len() - 2].payload.clone()).unwrap();
    let returned = format!("<BytesReturned>{}</BytesReturned>", records.len());
    assert!(stats.contains(&returned), "{stats}");
    String::from_utf8(records).unwrap()
}

async fn world(object: impl Into<bytes::Bytes>) -> World {
    let world = World::new().await;
    world.succeed(put("/bucket", "")).await;
    world.succeed(put("/bucket/key", object)).await;
    world
}

#[tokio::test]
async fn records_come_as_an_event_stream() {
    let world = world("name,n\na,1\nb,2\nc,3\n").await;
    let csv = "<CSV><FileHeaderInfo>USE</FileHeaderInfo></CSV>";
    let reply = world
        .succeed(select("SELECT name FROM S3Object WHERE n > 1", csv))
        .await;
    assert_eq!(records(&reply), "b\nc\n");
    assert_eq!(
        reply.header("content-type"),
        Some("application/vnd.amazon.eventstream")
    );
    assert_eq!(reply.header("content-length"), None);
    let reply = world
        .succeed(select("SELECT COUNT(*), SUM(n) FROM S3Object", csv))
        .await;
    assert_eq!(records(&reply), "3,6\n");
}

#[tokio::test]
async fn a_long_object_is_queried_in_pieces() {
    let line = |n: u32| {
        format!(
            "{{\"n\":{n},\"text\":\"{}\"}}\n",
            "x".repeat(n as usize % 50)
        )
    };
    let object: String = (0..60_000).map(line).collect();
    let world = world(object).await;
    let json = "<JSON><Type>LINES</Type></JSON>";
    let reply = world
        .succeed(select("SELECT s.n FROM S3Object s WHERE s.n % 2 = 0", json))
        .await;
    let expected: String = (0..60_000).step_by(2).map(|n| format!("{n}\n")).collect();
    assert!(records(&reply) == expected);
    assert!(
        messages(&reply.body).len() > 3,
        "more than one event of records"
    );
}

#[tokio::test]
async fn errors_are_answers_until_records_were_sent() {
    let object = format!("{}x\n", "1\n".repeat(200_000));
    let world = world(object).await;
    let send = async |expression: &str| world.send(select(expression, "<CSV/>")).await;
    send("SELECT * FRM S3Object")
        .await
        .refused(400, "ParseUnexpectedToken");
    send("SELECT CAST(_1 AS TIMESTAMP) FROM S3Object")
        .await
        .refused(400, "CastFailed");
    send("SELECT SUM(_1) FROM S3Object")
        .await
        .refused(400, "IncorrectSqlFunctionArgumentType");
    let reply = send("SELECT CAST(_1 AS INT) FROM S3Object").await.is(200);
    let messages = messages(&reply.body);
    let last = messages.last().unwrap();
    assert_eq!(last.kind(), "CastFailed");
    assert!(last.header(":error-message").contains("\"x\""), "{last:?}");
    assert!(messages.iter().all(|message| message.kind() != "End"));
    let parquet = world
        .send(select("SELECT * FROM S3Object", "<Parquet/>"))
        .await;
    parquet.refused(501, "NotImplemented");
    let empty = world.send(post(TARGET, "")).await;
    empty.refused(400, "EmptyRequestBody");
    let other = world
        .send(post("/bucket/key?select&select-type=1", "x"))
        .await;
    other.refused(400, "InvalidArgument");
    let version = format!("{TARGET}&versionId=null");
    let version = select_in(&version, "SELECT * FROM S3Object", "<CSV/>");
    world.send(version).await.refused(400, "InvalidArgument");
    let missing = TARGET.replace("key", "other");
    let missing = select_in(&missing, "SELECT * FROM S3Object", "<CSV/>");
    world.send(missing).await.refused(404, "NoSuchKey");
}

/// What an answer may still take is reserved until it was sent, the expression included.
#[tokio::test]
async fn memory_is_held_to_the_end_of_the_answer() {
    let object = format!("{}x\n", "1\n".repeat(200_000));
    let world = world(object).await;
    let held = async |expression: &str| {
        let call = select(expression, "<CSV/>");
        let request = world.request(Some(&world.owner), call);
        let answer = world.answer(request).await;
        assert_eq!(answer.status(), 200);
        let mut body = answer.into_body();
        let mut least = usize::MAX;
        while let Some(frame) = body.frame().await {
            frame.unwrap();
            least = least.min(world.memory.reserved_bytes());
        }
        drop(body);
        assert_eq!(world.memory.reserved_bytes(), 0);
        least
    };
    let short = held("SELECT _1 FROM S3Object").await;
    assert!(short > 1 << 20, "{short}");
    // It ends with an error.
    let broken = held("SELECT CAST(_1 AS INT) FROM S3Object").await;
    assert!(broken > 1 << 20, "{broken}");
    let columns = vec!["_1"; 20_000].join(",");
    let long = held(&format!("SELECT {columns} FROM S3Object LIMIT 1")).await;
    assert!(long > short + 300 * columns.len(), "{long}");
    let too_long = format!("SELECT '{}' FROM S3Object", "x".repeat(256 << 10));
    let refused = world.send(select(&too_long, "<CSV/>")).await;
    refused.refused(400, "ExpressionTooLong");
}

/// It never helps to try again what needs more memory than all requests together have.
#[tokio::test]
async fn what_there_is_never_memory_for_is_told_so() {
    let mut world = world("1\n").await;
    let message = |reply: Reply| reply.element("Message").unwrap();
    let long = format!("SELECT '{}' FROM S3Object", "x".repeat(200 << 10));
    let refused = world.send(select(&long, "<CSV/>")).await;
    let refused = message(refused.refused(400, "ExpressionTooLong"));
    assert!(refused.contains("--memory-limit"), "{refused}");

    // JSON takes more than that, however short the expression is.
    world.memory = MemoryBudget::new(16 << 20);
    let short = "SELECT * FROM S3Object";
    world.succeed(select(short, "<CSV/>")).await;
    let json = "<JSON><Type>LINES</Type></JSON>";
    let refused = world.send(select(short, json)).await;
    let refused = message(refused.refused(503, "ServiceUnavailable"));
    assert!(refused.contains("--memory-limit"), "{refused}");
}

#[tokio::test]
async fn who_may_not_read_may_not_select() {
    let world = world("1\n").await;
    let call = || select("SELECT * FROM S3Object", "<CSV/>");
    let stranger = world.stranger().await;
    let refused = world.send_by(Some(&stranger), call()).await;
    refused.refused(403, "AccessDenied");
    let anonymous = world.send_by(None, call()).await;
    anonymous.refused(403, "AccessDenied");
    // S3 Select supports no anonymous access, also to what everybody may read.
    world
        .succeed(put("/bucket/key?acl", "").header("x-amz-acl", "public-read"))
        .await;
    world.send_by(None, get("/bucket/key")).await.is(200);
    let anonymous = world.send_by(None, call()).await;
    anonymous.refused(403, "AccessDenied");
    let wrong = call().header("x-amz-expected-bucket-owner", "somebody");
    world.send(wrong).await.refused(403, "AccessDenied");
    world.succeed(get("/bucket/key")).await;
}
