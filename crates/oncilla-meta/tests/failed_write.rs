//! A write to the device fails for another reason than a full device.
//!
//! The test runs itself again as a child with a limit on the size of files, so that writes to the
//! journal fail with `EFBIG`: to the engine one more error of the device, like `EIO`.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use oncilla_meta::embedded::{EmbeddedEngine, EmbeddedOptions};
use oncilla_meta::{Engine, EngineError, Mutation, Reader, Space};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const CHILD_DIRECTORY: &str = "ONCILLA_FAILED_WRITE_CHILD_DIRECTORY";
const VALUE_BYTES: &str = "ONCILLA_FAILED_WRITE_VALUE_BYTES";
const ACKNOWLEDGED: &str = "acknowledged";

/// `ulimit -f` counts blocks of 512 bytes.
const LIMIT_BLOCKS: u64 = 512;

/// Commits tried after the failure.
const LATER_COMMITS: usize = 20;

fn open(path: &Path) -> Arc<EmbeddedEngine> {
    EmbeddedEngine::open(path, EmbeddedOptions::default()).unwrap()
}

fn put(key: &str, value: Vec<u8>) -> Mutation {
    let mut mutation = Mutation::new();
    let key = Bytes::copy_from_slice(key.as_bytes());
    mutation.put(Space::Records, key.clone(), value.clone());
    mutation.put(Space::Bodies, key, value);
    mutation
}

fn assert_refused(outcome: &Result<oncilla_meta::CommitOutcome, EngineError>) {
    assert!(
        matches!(outcome, Err(EngineError::Failed { .. })),
        "{outcome:?}"
    );
}

/// Not a test of its own: the body of the child, whose files cannot grow.
#[ignore = "run by nothing_is_acknowledged_after_a_failed_write"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_meets_its_limit() {
    let directory = std::env::var(CHILD_DIRECTORY).expect("started by the other test");
    let value_bytes: usize = std::env::var(VALUE_BYTES).unwrap().parse().unwrap();
    let directory = Path::new(&directory);
    let engine = open(&directory.join("meta"));
    let mut acknowledged = 0_usize;
    loop {
        let commit = put(&format!("{acknowledged:06}"), vec![7; value_bytes]);
        match engine.commit(commit).await {
            Ok(_) => acknowledged += 1,
            refused => break assert_refused(&refused),
        }
    }
    assert!(acknowledged > 0);

    // Even if the device would take writes again.
    let Rlimit { maximum, .. } = getrlimit(Resource::Fsize);
    let current = maximum;
    setrlimit(Resource::Fsize, Rlimit { current, maximum }).unwrap();
    let later = (0..LATER_COMMITS).map(|number| {
        let engine = engine.clone();
        tokio::spawn(async move { engine.commit(put(&format!("later {number}"), vec![])).await })
    });
    for outcome in later.collect::<Vec<_>>() {
        assert_refused(&outcome.await.unwrap());
    }
    for number in 0..acknowledged {
        let key = format!("{number:06}");
        let found = engine.get(Space::Records, key.as_bytes()).await.unwrap();
        assert!(found.is_some(), "{key} is still read");
    }
    let in_doubt = format!("{acknowledged:06}");
    let found = engine.get(Space::Records, in_doubt.as_bytes()).await;
    assert_eq!(found.unwrap(), None, "what failed is not shown");
    let refused = engine.forget_changes(u64::MAX).await;
    assert!(matches!(refused, Err(EngineError::Failed { .. })));
    std::fs::write(directory.join(ACKNOWLEDGED), acknowledged.to_string()).unwrap();
    engine.shutdown();
}

/// A shell sets the limit and ignores its signal; both are inherited.
fn run_child(directory: &Path, value_bytes: usize) {
    let script = format!("trap '' XFSZ; ulimit -S -f {LIMIT_BLOCKS}; exec \"$0\" \"$@\"");
    let child = Command::new("sh")
        .args(["-c", &script])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "child_meets_its_limit", "--ignored"])
        .env(CHILD_DIRECTORY, directory)
        .env(VALUE_BYTES, value_bytes.to_string())
        .status();
    assert!(child.unwrap().success());
}

#[tokio::test]
async fn nothing_is_acknowledged_after_a_failed_write() {
    // Small batches fit the library's buffer whole; large ones fail half way.
    for value_bytes in [100, 3000, 30_000] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("meta");
        // Once opened again, the journal is as long as what was written to it.
        for _ in 0..2 {
            open(&path).shutdown();
        }
        run_child(directory.path(), value_bytes);
        let acknowledged = std::fs::read_to_string(directory.path().join(ACKNOWLEDGED));
        let acknowledged: usize = acknowledged.unwrap().parse().unwrap();

        let engine = open(&path);
        for number in 0..acknowledged {
            let key = format!("{number:06}");
            for space in [Space::Records, Space::Bodies] {
                let found = engine.get(space, key.as_bytes()).await.unwrap();
                let complete = found.is_some_and(|value| value.len() == value_bytes);
                assert!(complete, "{key} was acknowledged");
            }
        }
        // The one that failed is in doubt, but as a whole; those after it were never written.
        let in_doubt = format!("{acknowledged:06}");
        let record = engine.get(Space::Records, in_doubt.as_bytes()).await;
        let body = engine.get(Space::Bodies, in_doubt.as_bytes()).await;
        let record = record.unwrap();
        println!(
            "{value_bytes}: {acknowledged} acknowledged, the next {}",
            record.is_some()
        );
        assert_eq!(record, body.unwrap());
        for number in 0..LATER_COMMITS {
            let key = format!("later {number}");
            let found = engine.get(Space::Records, key.as_bytes()).await.unwrap();
            assert_eq!(found, None, "{key} was refused");
        }
        engine.commit(put("again", vec![1])).await.unwrap();
        engine.shutdown();
    }
}
