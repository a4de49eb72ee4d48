//! The embedded engine's own promises: what it refuses to open, how it closes, a full device.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use oncilla_meta::embedded::{EmbeddedEngine, EmbeddedOptions};
use oncilla_meta::{
    CommitOutcome, Engine, EngineError, Mutation, Precondition, Reader, Scan, Space,
};

fn open(path: &Path) -> Result<Arc<EmbeddedEngine>, EngineError> {
    EmbeddedEngine::open(path, EmbeddedOptions::default())
}

fn put(key: &str, value: impl Into<Bytes>) -> Mutation {
    let mut mutation = Mutation::new();
    mutation.put(
        Space::Records,
        Bytes::copy_from_slice(key.as_bytes()),
        value,
    );
    mutation
}

/// A database with two rows, closed.
async fn closed_database() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path()).unwrap();
    engine.commit(put("a", "1")).await.unwrap();
    engine.commit(put("b", "2")).await.unwrap();
    engine.shutdown();
    directory
}

fn assert_refused(path: &Path, expected: &str) {
    let before = listing(path);
    let error = open(path).err().expect("it is not opened").to_string();
    assert!(
        error.contains(expected),
        "{error:?} does not say {expected:?}"
    );
    assert_eq!(
        listing(path),
        before,
        "a refused directory is left as it was"
    );
}

fn listing(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_directory_in_use_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path()).unwrap();
    let error = open(directory.path()).err().unwrap();
    assert!(matches!(error, EngineError::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains("in use"), "{error}");
    engine.commit(put("a", "1")).await.unwrap();
    engine.shutdown();
    let engine = open(directory.path()).unwrap();
    assert_eq!(
        engine.get(Space::Records, b"a").await.unwrap(),
        Some(Bytes::from_static(b"1"))
    );
}

#[tokio::test]
async fn newer_formats_are_refused() {
    let directory = closed_database().await;
    std::fs::write(directory.path().join("version"), b"FJL\x09").unwrap();
    assert_refused(directory.path(), "format 9 is newer than 3");
}

#[tokio::test]
async fn damaged_directories_are_refused() {
    let foreign = tempfile::tempdir().unwrap();
    std::fs::write(foreign.path().join("precious.txt"), "data").unwrap();
    assert_refused(foreign.path(), "precious.txt");

    let directory = closed_database().await;
    std::fs::remove_file(directory.path().join("version")).unwrap();
    assert_refused(directory.path(), "no database");

    let directory = closed_database().await;
    std::fs::remove_file(directory.path().join("0.jnl")).unwrap();
    assert_refused(directory.path(), "journal is missing");
}

#[tokio::test]
async fn an_interrupted_creation_is_completed() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("lock"), "").unwrap();
    std::fs::create_dir(directory.path().join("keyspaces")).unwrap();
    let journal = std::fs::File::create(directory.path().join("0.jnl")).unwrap();
    journal.set_len(1 << 20).unwrap();
    let engine = open(directory.path()).unwrap();
    engine.commit(put("a", "1")).await.unwrap();
}

/// A flipped bit anywhere in the journal is either refused, or it is in the very end, which
/// cannot be told from a write that was cut off.
#[tokio::test]
async fn flipped_bits_in_the_journal_are_not_lost_data() {
    let directory = closed_database().await;
    let journal = directory.path().join("0.jnl");
    let original = std::fs::read(&journal).unwrap();
    let used = original.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let last_batch = original[..used - 4]
        .windows(4)
        .rposition(|at| at == b"FJL\x03")
        .unwrap()
        + 4;
    let mut refused = 0;
    for at in 0..used {
        let mut damaged = original[..used].to_vec();
        damaged[at] ^= 0x10;
        std::fs::write(&journal, &damaged).unwrap();
        match open(directory.path()) {
            Err(_) => refused += 1,
            Ok(engine) => {
                let first = engine.get(Space::Records, b"a").await.unwrap();
                let second = engine.get(Space::Records, b"b").await.unwrap();
                let complete = first.as_deref() == Some(b"1") && second.as_deref() == Some(b"2");
                assert!(
                    complete || at >= last_batch,
                    "byte {at} of {used}: {first:?} {second:?}"
                );
                engine.shutdown();
            }
        }
    }
    assert!(refused > used / 2, "only {refused} of {used} were refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_commits_what_is_queued_and_refuses_the_rest() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path()).unwrap();
    let commits: Vec<_> = (0..500)
        .map(|number| {
            let engine = engine.clone();
            tokio::spawn(async move { engine.commit(put(&format!("{number:03}"), "1")).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(1)).await;
    engine.shutdown();
    engine.shutdown();
    let mut acknowledged = Vec::new();
    for (number, commit) in commits.into_iter().enumerate() {
        match commit.await.unwrap() {
            Ok(_) => acknowledged.push(number),
            Err(error) => assert!(matches!(error, EngineError::Unavailable { .. }), "{error}"),
        }
    }
    let error = engine.get(Space::Records, b"000").await.unwrap_err();
    assert!(matches!(error, EngineError::Unavailable { .. }), "{error}");

    let engine = open(directory.path()).unwrap();
    for number in acknowledged {
        let key = format!("{number:03}");
        let found = engine.get(Space::Records, key.as_bytes()).await.unwrap();
        assert!(found.is_some(), "{key} was acknowledged");
    }
}

/// In a process of its own, since other tests have engines too: this one runs itself again.
#[test]
fn dropping_the_engine_leaves_no_thread() {
    const IS_CHILD: &str = "ONCILLA_THREAD_TEST_CHILD";
    if std::env::var_os(IS_CHILD).is_none() {
        let test = "dropping_the_engine_leaves_no_thread";
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test])
            .env(IS_CHILD, "1")
            .status();
        assert!(child.unwrap().success());
        return;
    }
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let before = threads();
    let directory = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    for _ in 0..3 {
        let engine = open(directory.path()).unwrap();
        runtime.block_on(engine.commit(put("a", "1"))).unwrap();
        assert!(threads() > before);
        drop(engine);
    }
    let deadline = Instant::now() + Duration::from_secs(5);
    while threads() > before {
        assert!(
            Instant::now() < deadline,
            "{} threads, {before} before",
            threads()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[tokio::test]
async fn too_little_free_space_is_refused_before_it_hurts() {
    let directory = tempfile::tempdir().unwrap();
    let options = EmbeddedOptions {
        reserve_bytes: u64::MAX / 2,
        ..EmbeddedOptions::default()
    };
    let engine = EmbeddedEngine::open(directory.path(), options).unwrap();
    let error = engine.commit(put("a", "1")).await.unwrap_err();
    assert!(matches!(error, EngineError::NoSpace), "{error}");
    assert_eq!(engine.get(Space::Records, b"a").await.unwrap(), None);
    let mut conflict = put("a", "1");
    conflict.require(Precondition::Present(Bytes::from_static(b"nowhere")));
    assert!(engine.commit(conflict).await.is_err());
}

/// A small file system in memory, unmounted at the end.
struct SmallDevice(tempfile::TempDir);

impl SmallDevice {
    fn mount(size: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = format!("size={size}");
        let mount = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(directory.path())
            .status()
            .unwrap();
        assert!(
            mount.success(),
            "this test mounts a tmpfs and needs the right to do so"
        );
        Self(directory)
    }
}

impl Drop for SmallDevice {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount")
            .arg("-l")
            .arg(self.0.path())
            .status();
    }
}

/// Really fills a device, so that the library's write fails, and waits for service to resume.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "mounts a tmpfs, needs root: cargo test -p oncilla-meta --test embedded -- --ignored"]
async fn a_full_device_refuses_commits_and_service_resumes() {
    for round in 0..4 {
        let device = SmallDevice::mount("24m");
        let path = device.0.path().join("meta");
        let options = EmbeddedOptions {
            reserve_bytes: 0,
            ..EmbeddedOptions::default()
        };
        let engine = EmbeddedEngine::open(&path, options).unwrap();
        let ballast = device.0.path().join("ballast");
        std::fs::write(&ballast, vec![1; 12 << 20]).unwrap();

        // Small batches fit the library's buffer whole; large ones fail half way.
        let value_bytes = [200, 3_000, 40_000, 900_000][round];
        let mut acknowledged = Vec::new();
        let mut refused = Vec::new();
        for number in 0.. {
            let key = format!("{number:08}");
            match engine.commit(put(&key, vec![7; value_bytes])).await {
                Ok(_) => acknowledged.push(key),
                Err(EngineError::NoSpace) => {
                    refused.push(key);
                    break;
                }
                Err(other) => panic!("{other}"),
            }
        }
        for key in &acknowledged {
            let found = engine.get(Space::Records, key.as_bytes()).await.unwrap();
            assert!(found.is_some(), "reads go on while the device is full");
        }
        let error = engine.commit(put("full", "1")).await.unwrap_err();
        assert!(matches!(error, EngineError::NoSpace), "{error}");
        assert_eq!(engine.get(Space::Records, b"full").await.unwrap(), None);
        refused.push("full".to_owned());

        std::fs::remove_file(&ballast).unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while let Err(error) = engine.commit(put("resumed", "1")).await {
            assert!(
                Instant::now() < deadline,
                "service does not resume: {error}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        check(&engine, &acknowledged, &refused).await;
        engine.shutdown();
        let engine = EmbeddedEngine::open(&path, options).unwrap();
        check(&engine, &acknowledged, &refused).await;
        println!(
            "{value_bytes} bytes: {} commits before the device was full",
            acknowledged.len()
        );
    }
}

async fn check(engine: &EmbeddedEngine, acknowledged: &[String], refused: &[String]) {
    for key in acknowledged {
        let found = engine.get(Space::Records, key.as_bytes()).await.unwrap();
        assert!(found.is_some(), "{key} was acknowledged");
    }
    for key in refused {
        let found = engine.get(Space::Records, key.as_bytes()).await.unwrap();
        assert!(found.is_none(), "{key} was refused, and came to life");
    }
}

/// `cargo test --release -p oncilla-meta --test embedded list_after -- --ignored --nocapture`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn list_after_deleting_many_neighbours() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path()).unwrap();
    let key = |number: u32| Bytes::from(format!("bucket/{number:08}"));
    for chunk in 0..110_u32 {
        let mut mutation = Mutation::new();
        for number in chunk * 1000..(chunk + 1) * 1000 {
            mutation.put(Space::Records, key(number), vec![b'v'; 300]);
        }
        engine.commit(mutation).await.unwrap();
    }
    let list = async || {
        let began = Instant::now();
        let page = engine
            .scan(Scan {
                space: Space::Records,
                start: key(0),
                end: Bytes::from_static(b"bucket0"),
                reverse: false,
                limit_rows: 1000,
            })
            .await
            .unwrap();
        (page.rows.len(), began.elapsed())
    };
    println!("list 1000 before deleting: {:?}", list().await);
    let mut listings = Vec::new();
    for chunk in 0..100_u32 {
        let mut mutation = Mutation::new();
        for number in chunk * 1000..(chunk + 1) * 1000 {
            mutation.delete(Space::Records, key(number));
        }
        let outcome = engine.commit(mutation).await.unwrap();
        assert!(matches!(outcome, CommitOutcome::Committed { .. }));
        listings.push(list().await.1);
    }
    listings.sort_unstable();
    println!(
        "list 1000 while deleting: median {:?}, worst {:?}",
        listings[listings.len() / 2],
        &listings[listings.len() - 3..],
    );
    for _ in 0..5 {
        println!("list 1000 after deleting 100,000: {:?}", list().await);
    }
}
