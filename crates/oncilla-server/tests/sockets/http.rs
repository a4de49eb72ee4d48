//! What a client sees of the server on plain connections.

use std::io::Read;
use std::net::Shutdown;
use std::time::{Duration, Instant};

use crate::support::{Client, on_loopback, start, wait_until};
use oncilla_server::connection::{ConnectionTimeouts, HEAD_BYTES_MAX, HEADERS_MAX};
use oncilla_server::front::FrontOptions;
use oncilla_server::server::ServerOptions;
use oncilla_wire::website::WebsiteHosts;

#[test]
fn a_connection_serves_many_requests_and_each_has_its_id() {
    let server = start(on_loopback(), FrontOptions::default());
    let mut client = server.connect();
    let mut ids = std::collections::HashSet::new();
    for length in [0u64, 1, 70_000, 5] {
        let answer = client.get(&format!("/bytes/{length}"));
        assert_eq!((answer.status, answer.body.len() as u64), (200, length));
        assert_eq!(answer.header("server"), Some("Oncilla"));
        assert!(answer.header("date").is_some());
        assert_eq!(answer.header("x-amz-request-id").unwrap().len(), 16);
        assert!(answer.header("x-amz-id-2").is_some());
        assert!(ids.insert(answer.header("x-amz-request-id").unwrap().to_owned()));
    }
    client.send("HEAD /bytes/70000 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(client.head().contains("content-length: 70000\r\n"));
    client.send("GET /bytes/1 HTTP/1.1\r\nHost: a\r\n\r\nGET /bytes/2 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(
        (client.answer().body.len(), client.answer().body.len()),
        (1, 2)
    );
    server.stop();
}

#[test]
fn a_body_arrives_whole_in_either_framing() {
    let server = start(on_loopback(), FrontOptions::default());
    let mut client = server.connect();
    let body = vec![b'y'; 300_000];
    client.send(format!(
        "PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        body.len()
    ));
    client.send(&body);
    assert_eq!(client.answer().body, body);
    client.send(
        "PUT /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    );
    assert_eq!(client.answer().text(), "abc");
    server.stop();
}

#[test]
fn the_body_is_asked_for_only_when_the_handler_wants_it() {
    let server = start(on_loopback(), FrontOptions::default());
    let mut client = server.connect();
    client.send(
        "PUT /refuse HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
    );
    assert!(client.head().starts_with("HTTP/1.1 403 "));
    let mut client = server.connect();
    client
        .send("PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 100 "));
    client.send("hello");
    assert_eq!(client.answer().text(), "hello");
    server.stop();
}

#[test]
fn an_answer_in_place_of_continue_closes_the_connection() {
    let server = start(on_loopback(), FrontOptions::default());
    for (path, length, status) in [("/refuse", 5, 403), ("/echo", 0, 200)] {
        let mut client = server.connect();
        client.send(format!(
            "PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
        ));
        assert_eq!(client.answer().status, status);
        assert!(
            client.is_closed(),
            "{path}: the client would mistake the next answer for this one"
        );
    }
    server.stop();
}

#[test]
fn a_refusal_reaches_a_client_that_sends_its_body_all_the_same() {
    let server = start(on_loopback(), FrontOptions::default());
    let mut client = server.connect();
    let length = 8 << 20;
    client.send(format!(
        "PUT /refuse HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"
    ));
    client.send(vec![b'z'; length]);
    let answer = client.answer();
    assert_eq!((answer.status, answer.text()), (403, "refused"));
    assert_eq!(
        client.get("/bytes/3").text(),
        "xxx",
        "and the connection goes on"
    );
    server.stop();
}

#[test]
fn a_stalled_body_is_cut_and_a_slow_one_is_not() {
    let front_options = FrontOptions {
        body_idle_timeout: Duration::from_secs(3),
        ..FrontOptions::default()
    };
    let server = start(on_loopback(), front_options);
    // It stalls while the other one is slow, so that the test need not wait for them in turn.
    let mut stalled = server.connect();
    stalled.send("PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\nhalf");
    let mut slow = server.connect();
    slow.send("PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\n");
    for _ in 0..40 {
        // 40 × 100 ms is longer than the idle timeout, and a single pause so much shorter that a
        // busy machine does not stretch it that far.
        std::thread::sleep(Duration::from_millis(100));
        slow.send("s");
    }
    assert_eq!(slow.answer().text(), "s".repeat(40));
    let answer = stalled.answer();
    assert_eq!((answer.status, answer.text()), (400, "stalled"));
    server.stop();
}

#[test]
fn bodies_that_end_early_or_are_too_long_are_told_apart() {
    let server = start(
        on_loopback(),
        FrontOptions {
            body_bytes_max: 8,
            ..FrontOptions::default()
        },
    );
    let mut client = server.connect();
    client.send("PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nhalf");
    client.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.answer().text(), "incomplete");
    let mut client = server.connect();
    client
        .send("PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n");
    let answer = client.answer();
    assert_eq!(
        (answer.status, answer.text()),
        (400, "too large"),
        "without asking for it"
    );
    let mut client = server.connect();
    client.send("PUT /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n123456789\r\n0\r\n\r\n");
    assert_eq!(client.answer().text(), "too large");
    server.stop();
}

#[test]
fn a_client_that_only_listens_still_gets_its_answer() {
    let server = start(on_loopback(), FrontOptions::default());
    let mut client = server.connect();
    client.send("GET /wait/200 HTTP/1.1\r\nHost: a\r\n\r\n");
    client.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.answer().text(), "waited");
    assert!(client.is_closed());
    server.stop();
}

#[test]
fn malformed_heads_are_answered_in_the_shape_of_s3() {
    let server = start(on_loopback(), FrontOptions::default());
    let long_value = "v".repeat(HEAD_BYTES_MAX + 1);
    let many: String = (0..=HEADERS_MAX).map(|n| format!("h{n}: v\r\n")).collect();
    for (head, code) in [
        (
            "GET / HTTP/1.1\r\nbad header\r\n\r\n".to_owned(),
            "BadRequest",
        ),
        (
            "PUT /echo HTTP/1.1\r\nContent-Length: -1\r\n\r\n".to_owned(),
            "BadRequest",
        ),
        (
            "PUT /echo HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".to_owned(),
            "BadRequest",
        ),
        ("\0\0\0\0\r\n\r\n".to_owned(), "BadRequest"),
        (
            format!("GET / HTTP/1.1\r\nlong: {long_value}\r\n\r\n"),
            "RequestHeaderSectionTooLarge",
        ),
        (
            format!("GET / HTTP/1.1\r\n{many}\r\n"),
            "RequestHeaderSectionTooLarge",
        ),
        (
            format!("GET /{} HTTP/1.1\r\n\r\n", "u".repeat(70_000)),
            "RequestHeaderSectionTooLarge",
        ),
    ] {
        let mut client = server.connect();
        client.send(&head);
        let answer = client.answer();
        assert_eq!(answer.status, 400, "{}", answer.head);
        let expected = format!("<Code>{code}</Code>");
        assert!(
            answer.text().contains(&expected),
            "{}: {}",
            answer.text(),
            &head[..40.min(head.len())]
        );
        let id = answer.header("x-amz-request-id").unwrap();
        assert!(
            answer
                .text()
                .contains(&format!("<RequestId>{id}</RequestId>"))
        );
        assert!(client.is_closed());
    }
    let mut after_another = server.connect();
    after_another.get("/bytes/3");
    after_another.send("GET / HTTP/1.1\r\nbad header\r\n\r\n");
    assert!(
        after_another
            .answer()
            .text()
            .contains("<Code>BadRequest</Code>")
    );
    server.stop();
}

/// RFC 9112 §3.2.
#[test]
fn a_request_names_one_host() {
    let server = start(on_loopback(), FrontOptions::default());
    let mut client = server.connect();
    for head in [
        "GET /bytes/3 HTTP/1.1\r\n\r\n",
        "GET /bytes/3 HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET /bytes/3 HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n",
        "GET /-/health HTTP/1.1\r\n\r\n",
        "GET http://a/bytes/3 HTTP/1.1\r\n\r\n",
        "GET http://a/bytes/3 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /bytes/3 HTTP/1.0\r\nHost: a\r\nHost: b\r\nConnection: keep-alive\r\n\r\n",
    ] {
        client.send(head);
        let answer = client.answer();
        assert_eq!(answer.status, 400, "{head}: {}", answer.text());
        assert!(answer.text().contains("<Code>BadRequest</Code>"), "{head}");
        assert!(answer.header("x-amz-request-id").is_some(), "{head}");
    }
    for head in [
        "GET /bytes/3 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /bytes/3 HTTP/1.1\r\nHost:\r\n\r\n",
        "GET http://a/bytes/3 HTTP/1.1\r\nHost: b\r\n\r\n",
        "GET /bytes/3 HTTP/1.0\r\n\r\n",
    ] {
        client.send(head);
        assert_eq!(client.answer().text(), "xxx", "{head}");
    }
    server.stop();
}

#[test]
fn silent_connections_are_closed() {
    let options = ServerOptions {
        timeouts: ConnectionTimeouts {
            head: Duration::from_secs(1),
            keep_alive: Duration::from_secs(2),
            ..ConnectionTimeouts::default()
        },
        ..on_loopback()
    };
    let server = start(options, FrontOptions::default());
    let mut patient = server.connect();
    // A handler may take longer than either of these timeouts.
    patient.send("GET /wait/3000 HTTP/1.1\r\nHost: a\r\n\r\n");
    let began = Instant::now();
    let mut half_a_head = server.connect();
    half_a_head.send("GET / HT");
    assert!(half_a_head.is_closed());
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    let mut idle = server.connect();
    // Before the request, so that a pause of the client after it does not shorten what is measured.
    let began = Instant::now();
    idle.get("/bytes/1");
    assert!(idle.is_closed());
    assert!(
        began.elapsed() > Duration::from_millis(1500),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(patient.answer().text(), "waited");
    server.stop();
}

#[test]
fn a_client_that_stops_reading_is_cut_and_a_slow_one_is_not() {
    let options = ServerOptions {
        timeouts: ConnectionTimeouts {
            write_stall: Duration::from_secs(3),
            ..ConnectionTimeouts::default()
        },
        ..on_loopback()
    };
    let server = start(options, FrontOptions::default());
    let length = 64u64 << 20;
    let mut stopped = server.connect();
    stopped.send(format!("GET /bytes/{length} HTTP/1.1\r\nHost: a\r\n\r\n"));
    let mut slow = server.connect();
    slow.send(format!(
        "GET /bytes/{length} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    ));
    slow.head();
    let mut received = 0;
    for piece in 0.. {
        // So little at a time that the answer is not in the sockets' buffers before the pauses, in
        // all longer than the timeout, are over.
        if piece < 20 {
            std::thread::sleep(Duration::from_millis(200));
        }
        let read = std::io::copy(
            &mut slow.stream.by_ref().take(2 << 20),
            &mut std::io::sink(),
        );
        match read.unwrap() {
            0 => break,
            bytes => received += bytes,
        }
    }
    // Some of it may have come with the head.
    assert!(received + 100_000 > length, "cut after {received} bytes");
    wait_until("the stalled request, and no other, is given up", || {
        server.metrics.requests_aborted.get() == 1
    });
    server.stop();
}

#[test]
fn an_answer_that_breaks_off_is_never_taken_for_complete() {
    let server = start(on_loopback(), FrontOptions::default());
    let mut client = server.connect();
    client.send("GET /broken/4000000 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(client.head().contains("content-length: 4000000\r\n"));
    let mut received = Vec::new();
    // A reset is as good an end as any, as long as not all of it came.
    let _ = client.stream.read_to_end(&mut received);
    assert!(received.len() < 4_000_000);
    server.stop();
}

#[test]
fn connections_above_the_limit_are_told_to_slow_down() {
    let server = start(
        ServerOptions {
            connections_max: 2,
            ..on_loopback()
        },
        FrontOptions::default(),
    );
    let (mut first, mut second) = (server.connect(), server.connect());
    first.get("/bytes/1");
    second.get("/bytes/1");
    let mut third = server.connect();
    third.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let answer = third.answer();
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (503, Some("1"))
    );
    assert!(answer.text().contains("<Code>SlowDown</Code>"));
    drop(first);
    wait_until("a place is free", || {
        server.metrics.connections_open.get() == 1
    });
    assert_eq!(server.connect().get("/bytes/1").status, 200);
    assert_eq!(second.get("/bytes/1").status, 200);
    server.stop();
}

#[test]
fn requests_above_the_limit_are_told_to_slow_down_and_health_is_not() {
    let server = start(
        on_loopback(),
        FrontOptions {
            in_flight_max: 1,
            ..FrontOptions::default()
        },
    );
    // In flight until its body comes.
    let mut holder = server.connect();
    holder.send("PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n");
    wait_until("one is in flight", || {
        server.metrics.requests_in_flight.get() == 1
    });
    let mut other = server.connect();
    let answer = other.get("/bytes/1");
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (503, Some("1"))
    );
    assert!(answer.text().contains("<Code>SlowDown</Code>"));
    assert_eq!(other.get("/-/health").text(), "ok\n");
    holder.send("body");
    assert_eq!(holder.answer().text(), "body");
    wait_until("none is in flight", || {
        server.metrics.requests_in_flight.get() == 0
    });
    assert_eq!(other.get("/bytes/1").status, 200);
    server.stop();
}

#[test]
fn many_connections_are_served_at_once() {
    let server = start(on_loopback(), FrontOptions::default());
    let mut clients: Vec<_> = (0..300).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send("GET /wait/300 HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    for client in &mut clients {
        assert_eq!(client.answer().text(), "waited");
    }
    assert_eq!(server.metrics.connections_open.get(), 300);
    drop(clients);
    wait_until("all are closed", || {
        server.metrics.connections_open.get() == 0
    });
    server.stop();
}

#[test]
fn own_pages_answer_beside_the_service() {
    let front_options = FrontOptions {
        websites: WebsiteHosts::new(["s3-website.example.com"]),
        ..FrontOptions::default()
    };
    let server = start(on_loopback(), front_options);
    let mut client = server.connect();
    client.get("/bytes/10");
    assert_eq!(client.get("/-/ready").status, 200);
    let page = client.get("/-/metrics");
    assert!(
        page.text()
            .contains("oncilla_http_response_body_bytes_total{operation=\"Echo\"} 10\n")
    );
    assert_eq!(client.get("/-/nothing").status, 404);
    client.send("GET /-/metrics HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.7\r\n\r\n");
    assert_eq!(client.answer().status, 403);
    for (host, status) in [
        ("s3-website.example.com", 200),
        // A key of a bucket, so it is the service's.
        ("bucket.localhost", 404),
        ("bucket.s3-website.example.com", 404),
        ("bucket.s3-website-eu-west-1.example.com", 404),
    ] {
        client.send(format!("GET /-/health HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(client.answer().status, status, "{host}");
    }
    server.readiness.stop();
    assert_eq!(client.get("/-/ready").status, 503);
    server.stop();
}

#[test]
fn ipv6_and_several_addresses() {
    let listen = ["127.0.0.1:0", "[::1]:0"]
        .map(|address| address.parse().unwrap())
        .to_vec();
    let server = start(
        ServerOptions {
            listen,
            ..ServerOptions::default()
        },
        FrontOptions::default(),
    );
    for address in server.server.addresses() {
        assert_eq!(Client::connect(*address).get("/bytes/3").text(), "xxx");
    }
    server.stop();
}

#[test]
fn the_socket_file_is_its_owners_and_serves() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixStream;

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("admin.sock");
    for _restart in 0..2 {
        let options = ServerOptions {
            local_socket: Some(path.clone()),
            ..on_loopback()
        };
        let server = start(options, FrontOptions::default());
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let mut client = Client::over(UnixStream::connect(&path).unwrap());
        assert_eq!(client.get("/-/metrics").status, 200);
        server.stop();
    }
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "not a socket").unwrap();
    let busy = oncilla_server::local_socket::bind(&path).unwrap_err();
    assert!(busy.to_string().contains("admin.sock"), "{busy}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "not a socket");
}
