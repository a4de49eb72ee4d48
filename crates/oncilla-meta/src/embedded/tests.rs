//! The engine with a gap index that learns from every step of every scan.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use super::{Durability, EmbeddedEngine, EmbeddedOptions};
use crate::conformance::{self, Subject};
use crate::{Engine, Mutation, Reader, Scan, Space};

struct Eager {
    engine: Option<Arc<EmbeddedEngine>>,
    directory: tempfile::TempDir,
}

fn options() -> EmbeddedOptions {
    EmbeddedOptions {
        durability: Durability::Os,
        ..EmbeddedOptions::default()
    }
}

impl Eager {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let engine = EmbeddedEngine::open(directory.path(), options()).unwrap();
        Self {
            engine: Some(engine),
            directory,
        }
    }
}

impl Subject for Eager {
    fn engine(&self) -> Arc<dyn Engine> {
        self.engine.clone().unwrap()
    }

    fn reopen(&mut self) -> bool {
        self.engine.take().unwrap().shutdown();
        self.engine = Some(EmbeddedEngine::open(self.directory.path(), options()).unwrap());
        true
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn conforms_with_gaps_everywhere() {
    conformance::run(Eager::new).await;
}

const COUNTER: &[u8] = b"counter";

fn row_key(number: u64) -> Bytes {
    Bytes::from(format!("row {number:03}"))
}

/// Scans while rows come and go: each must find as many rows as the counter of its moment says.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn scans_miss_no_row_while_rows_come_and_go() {
    let subject = Eager::new();
    let engine = subject.engine.clone().unwrap();
    let finished = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..3)
        .map(|reader| {
            let (engine, finished) = (engine.clone(), finished.clone());
            tokio::spawn(async move {
                let mut scans = 0_u64;
                while !finished.load(Ordering::Relaxed) {
                    check_count(&*engine.snapshot(), (scans + reader).is_multiple_of(2)).await;
                    scans += 1;
                }
                scans
            })
        })
        .collect();

    let writers: Vec<_> = (0..4_u64)
        .map(|writer| {
            let engine = engine.clone();
            tokio::spawn(async move {
                let mut number = writer;
                for step in 0..2_500_u64 {
                    number = (number * 31 + 17 + step) % 50;
                    let key = row_key(writer * 50 + number);
                    let exists = engine.get(Space::Records, &key).await.unwrap().is_some();
                    let mut mutation = Mutation::new();
                    if exists {
                        mutation.delete(Space::Records, key);
                    } else {
                        mutation.put(Space::Records, key, "v");
                    }
                    mutation.add(COUNTER, if exists { -1 } else { 1 });
                    engine.commit(mutation).await.unwrap();
                }
            })
        })
        .collect();
    let mut written = Vec::new();
    for writer in writers {
        written.push(writer.await);
    }
    // Before anything can panic, or the readers would go on for ever.
    finished.store(true, Ordering::Relaxed);
    for outcome in written {
        outcome.unwrap();
    }
    for reader in readers {
        assert!(reader.await.unwrap() > 0);
    }
    assert!(!engine.shared.gaps.is_empty(), "the test met no gap");
}

async fn check_count(moment: &dyn Reader, reverse: bool) {
    let scan = Scan {
        space: Space::Records,
        start: Bytes::from_static(b"row"),
        end: Bytes::from_static(b"row~"),
        reverse,
        limit_rows: 1000,
    };
    let page = moment.scan(scan).await.unwrap();
    let counter = moment.get(Space::Records, COUNTER).await.unwrap();
    let expected = counter.map_or(0, |value| i64::from_be_bytes(value[..].try_into().unwrap()));
    assert_eq!(page.rows.len() as i64, expected, "reverse: {reverse}");
}
