//! What slow clients may hold while others need it: their memory, until then. The server is a whole
//! one, and the clients are nobody in particular.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::admin_support::World;
use crate::support::Client;

/// So many bytes fit in the memory of the server.
const MEMORY_BYTES: usize = 8 << 20;

/// What a long upload reserves.
const UPLOAD_BYTES: usize = 896 << 10;

/// What a long answer reserves.
const ANSWER_BYTES: usize = 512 << 10;

/// How often a slow client moves something.
const PAUSE: Duration = Duration::from_millis(100);

/// What a fast upload may last. The server waits a second before it ends slow clients, and refuses who
/// has waited for 10 s.
const LASTS_MAX: Duration = Duration::from_secs(8);

/// An answer longer than what the sockets' buffers swallow.
static LONG: [u8; 32 << 20] = [7; 32 << 20];

/// A server with little memory, and a bucket that everybody may read and write.
fn world() -> (World, SocketAddr) {
    let world = World::with_memory(MEMORY_BYTES);
    let policy = br#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*",
        "Action": ["s3:GetObject", "s3:PutObject"], "Resource": "arn:aws:s3:::bkt/*"}]}"#;
    for (path, body) in [("/bkt", &b""[..]), ("/bkt?policy", policy)] {
        let reply = world.s3("PUT", path, body, &world.root);
        assert!(matches!(reply.status, 200 | 204), "{}", reply.text);
    }
    let address = world.address();
    (world, address)
}

fn put_head(key: &str, length: usize) -> String {
    format!("PUT /bkt/{key} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n")
}

fn put(address: SocketAddr, key: &str, body: &[u8]) -> u16 {
    let mut client = Client::connect(address);
    client.send(put_head(key, body.len()));
    client.send(body);
    client.answer().status
}

/// How slow clients fared.
#[derive(Default)]
struct Fates {
    /// Told so, or cut.
    ended: AtomicUsize,
    /// Still being served when the test was over.
    served: AtomicUsize,
    is_over: AtomicBool,
}

/// Says when dropped that the test is over. A panic does so too: without it the slow clients would go
/// on for ever, and the scope waits for their threads.
struct Over<'a>(&'a Fates);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Relaxed);
    }
}

/// Uploads a byte now and then.
fn upload_slowly(address: SocketAddr, key: &str, fates: &Fates) {
    let mut client = Client::connect(address);
    client.send(put_head(key, UPLOAD_BYTES));
    let short = Some(Duration::from_millis(1));
    client.stream.set_read_timeout(short).unwrap();
    loop {
        // Looked at before a pause, so that an answer from just before the end is seen after it.
        let is_over = fates.is_over.load(Ordering::Relaxed);
        std::thread::sleep(if is_over { 10 * PAUSE } else { PAUSE });
        let sent = client.stream.write_all(b"s");
        let mut answer = [0; 1 << 10];
        match client.stream.read(&mut answer) {
            Ok(length) if length > 0 => {
                let text = String::from_utf8_lossy(&answer[..length]);
                assert!(text.contains("<Code>RequestTimeout</Code>"), "{text}");
                fates.ended.fetch_add(1, Ordering::Relaxed);
                return;
            }
            Ok(_) => panic!("closed without an answer"),
            Err(_nothing_yet) => sent.unwrap(),
        }
        if is_over {
            fates.served.fetch_add(1, Ordering::Relaxed);
            return;
        }
    }
}

/// Reads a little now and then.
fn read_slowly(address: SocketAddr, fates: &Fates) {
    let mut client = Client::connect(address);
    client.send("GET /bkt/long HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let head = client.head();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    while !fates.is_over.load(Ordering::Relaxed) {
        std::thread::sleep(PAUSE);
        let mut some = [0; 100];
        client.stream.read_exact(&mut some).unwrap();
    }
    // One that was cut has what was on its way, and then the end. One that is served may have to wait
    // for its share of the server, as long as the client is patient.
    let mut rest = 0;
    let mut some = vec![0; 1 << 20];
    while rest < LONG.len() / 2 {
        match client.stream.read(&mut some) {
            Ok(length) if length > 0 => rest += length,
            Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
            Ok(_) | Err(_) => {
                fates.ended.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
    }
    fates.served.fetch_add(1, Ordering::Relaxed);
}

#[test]
fn slow_uploads_give_way_to_others_and_only_to_them() {
    let (_world, address) = world();
    let fates = Fates::default();
    let slow = MEMORY_BYTES / UPLOAD_BYTES;
    std::thread::scope(|scope| {
        let over = Over(&fates);
        for number in 0..slow {
            let fates = &fates;
            scope.spawn(move || upload_slowly(address, &format!("slow-{number}"), fates));
        }
        std::thread::sleep(Duration::from_secs(7));
        let nobody = fates.ended.load(Ordering::Relaxed);
        // What is left of the memory is enough for a small one.
        let small = put(address, "small", b"small");
        let began = Instant::now();
        let status = put(address, "fast", &vec![b'f'; UPLOAD_BYTES]);
        let lasted = began.elapsed();
        drop(over);
        assert_eq!((nobody, small, status), (0, 200, 200));
        assert!(lasted < LASTS_MAX, "{lasted:?}");
    });
    let count = |fate: &AtomicUsize| fate.load(Ordering::Relaxed);
    assert_eq!((count(&fates.ended), count(&fates.served)), (1, slow - 1));
}

#[test]
fn slow_readers_give_way_to_others_and_only_to_them() {
    let (world, address) = world();
    world.put_object("bkt", "long", &LONG).unwrap();
    let fates = Fates::default();
    let slow = MEMORY_BYTES / ANSWER_BYTES;
    std::thread::scope(|scope| {
        let over = Over(&fates);
        for _ in 0..slow {
            scope.spawn(|| read_slowly(address, &fates));
        }
        std::thread::sleep(Duration::from_secs(10));
        let began = Instant::now();
        let status = put(address, "fast", &vec![b'f'; UPLOAD_BYTES]);
        let lasted = began.elapsed();
        drop(over);
        assert_eq!(status, 200);
        assert!(lasted < LASTS_MAX, "{lasted:?}");
    });
    let count = |fate: &AtomicUsize| fate.load(Ordering::Relaxed);
    assert_eq!((count(&fates.ended), count(&fates.served)), (2, slow - 2));
}
