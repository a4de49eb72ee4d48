//! How a server ends.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::{on_loopback, start, wait_until};
use oncilla_server::front::FrontOptions;
use oncilla_server::server::ShutdownOutcome;

#[test]
fn a_download_is_finished_and_nothing_new_is_accepted() {
    let server = start(on_loopback(), FrontOptions::default());
    let address = server.address();
    let mut idle = server.connect();
    idle.get("/bytes/1");
    let mut download = server.connect();
    // 500 × 20 ms.
    download.send("GET /slow/500 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(download.read_some() > 0);
    let ending =
        std::thread::spawn(move || server.server.shut_down(Duration::from_secs(20), || false));
    assert!(
        idle.is_closed(),
        "an idle connection has nothing to wait for"
    );
    // Another thread closes the listener, which may take it a moment.
    let began = Instant::now();
    while std::net::TcpStream::connect(address).is_ok() {
        assert!(
            began.elapsed() < Duration::from_secs(4),
            "connections are still accepted"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(!ending.is_finished(), "the download goes on");
    assert_eq!(download.answer().body.len(), 500);
    assert_eq!(ending.join().unwrap(), ShutdownOutcome::Complete);
}

#[test]
fn what_blocks_the_end_is_named_and_cut_off() {
    for in_a_hurry in [false, true] {
        let server = start(on_loopback(), FrontOptions::default());
        let mut client = server.connect();
        client.send("GET /wait/60000?X-Amz-Signature=5ec4e7 HTTP/1.1\r\nHost: a\r\n\r\n");
        wait_until("the request is in flight", || {
            server.metrics.requests_in_flight.get() == 1
        });
        let began = Instant::now();
        let hurry = AtomicBool::new(in_a_hurry);
        let grace = if in_a_hurry {
            Duration::from_secs(60)
        } else {
            Duration::from_millis(300)
        };
        let outcome = server
            .server
            .shut_down(grace, || hurry.load(Ordering::Relaxed));
        assert!(began.elapsed() < Duration::from_secs(15));
        let ShutdownOutcome::CutOff(blockers) = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(blockers.len(), 1);
        assert!(blockers[0].contains("GET /wait/60000?X-Amz-Signature=REDACTED from 127.0.0.1:"));
        assert!(client.is_closed());
    }
}
