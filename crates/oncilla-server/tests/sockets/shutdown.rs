//! How a server ends.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::{on_loopback, quick_front, start};
use oncilla_server::server::ShutdownOutcome;

#[test]
fn a_download_is_finished_and_nothing_new_is_accepted() {
    let server = start(on_loopback(), quick_front());
    let address = server.address();
    let mut idle = server.connect();
    idle.get("/bytes/1");
    let mut download = server.connect();
    download.send("GET /slow/50 HTTP/1.1\r\nHost: a\r\n\r\n");
    download.head();
    let ending =
        std::thread::spawn(move || server.server.shut_down(Duration::from_secs(20), || false));
    assert!(
        idle.is_closed(),
        "an idle connection has nothing to wait for"
    );
    std::thread::sleep(Duration::from_millis(100));
    assert!(std::net::TcpStream::connect(address).is_err());
    let mut received = 0;
    loop {
        match download.read_some() {
            0 => break,
            some => received += some,
        }
    }
    // The first byte may have come with the head.
    assert!(received >= 45, "{received} of 50");
    assert_eq!(ending.join().unwrap(), ShutdownOutcome::Complete);
}

#[test]
fn what_blocks_the_end_is_named_and_cut_off() {
    for in_a_hurry in [false, true] {
        let server = start(on_loopback(), quick_front());
        let mut client = server.connect();
        client.send("GET /wait/60000?X-Amz-Signature=5ec4e7 HTTP/1.1\r\nHost: a\r\n\r\n");
        while server.metrics.requests_in_flight.get() == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
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
