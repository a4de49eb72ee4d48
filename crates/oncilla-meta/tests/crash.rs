//! Kill -9 at random moments: what was acknowledged is there, and nothing is half there.
//!
//! The test runs its own binary again as a child that commits from many tasks and reports each
//! acknowledgement on its standard output. `ONCILLA_CRASH_ROUNDS` sets the number of rounds.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::Bytes;
use oncilla_meta::embedded::{EmbeddedEngine, EmbeddedOptions};
use oncilla_meta::{CommitOutcome, Engine, Mutation, Precondition, Reader, Scan, Space};

const CHILD_DIRECTORY: &str = "ONCILLA_CRASH_CHILD_DIRECTORY";

/// Tasks that commit at the same time in the child.
const TASKS: u64 = 16;

/// How long the child may take to its first acknowledgement.
const PATIENCE: Duration = Duration::from_secs(60);

/// About half a second each.
const ROUNDS_DEFAULT: u64 = 20;

/// Not a test of its own: the body of the child, which runs until it is killed.
#[ignore = "run by acknowledged_commits_survive_kill"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_commits_until_killed() {
    let directory = std::env::var(CHILD_DIRECTORY).expect("started by the other test");
    let engine = EmbeddedEngine::open(Path::new(&directory), EmbeddedOptions::default()).unwrap();
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| tokio::spawn(commit_forever(engine.clone(), task)))
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

/// The task's n-th commit replaces its record and its body, counts, and appends to the log.
async fn commit_forever(engine: Arc<EmbeddedEngine>, task: u64) {
    let key = Bytes::from(format!("task {task:02}"));
    let mut before = engine.get(Space::Records, &key).await.unwrap();
    let mut number = before.as_ref().map_or(0, |value| number_in(value));
    loop {
        number += 1;
        // Lengths vary, so that journal writes end at all offsets; some are a batch of their own.
        let padding = if number.is_multiple_of(64) {
            300_000
        } else {
            number as usize * 37 % 5000
        };
        let value = Bytes::from(format!("{number:016x}{}", "x".repeat(padding)));
        let mut mutation = Mutation::new();
        mutation.require(match before.take() {
            None => Precondition::Absent(key.clone()),
            Some(value) => Precondition::Equals(key.clone(), value),
        });
        mutation.put(Space::Records, key.clone(), value.clone());
        mutation.put(Space::Bodies, key.clone(), value.clone());
        mutation.add(Bytes::from_static(b"counter"), 1);
        mutation.change = Some(Bytes::from(format!("{task} {number}")));
        let outcome = engine.commit(mutation).await.unwrap();
        assert!(matches!(outcome, CommitOutcome::Committed { .. }));
        println!("ack {task} {number}");
        before = Some(value);
    }
}

fn number_in(value: &[u8]) -> u64 {
    u64::from_str_radix(std::str::from_utf8(&value[..16]).unwrap(), 16).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_commits_survive_kill() {
    let rounds = std::env::var("ONCILLA_CRASH_ROUNDS");
    let rounds = rounds.map_or(ROUNDS_DEFAULT, |text| text.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged: BTreeMap<u64, u64> = BTreeMap::new();
    for round in 0..rounds {
        let life = Duration::from_millis(150 + std::process::id() as u64 * (round + 7) * 31 % 350);
        run_child(directory.path(), life);
        for (task, number) in acks_of(&directory) {
            acknowledged.insert(task, number);
        }
        check_store(directory.path(), &acknowledged).await;
    }
    let total: u64 = acknowledged.values().sum();
    println!("{rounds} rounds, {total} acknowledged commits");
    assert!(total > 0);
}

/// Runs the child and kills it when so much time has passed since its first acknowledgement. What it
/// acknowledged goes to a file beside the database.
fn run_child(directory: &Path, life: Duration) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "child_commits_until_killed",
            "--ignored",
            "--nocapture",
        ])
        .env(CHILD_DIRECTORY, directory.join("meta"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let output = child.stdout.take().unwrap();
    let (first, is_at_work) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        let lines = BufReader::new(output).lines().map_while(Result::ok);
        let acks = lines.filter_map(|line| parse_ack(&line));
        acks.inspect(|_| {
            // Only the first is waited for.
            let _ = first.send(());
        })
        .collect::<Vec<_>>()
    });
    let began = is_at_work.recv_timeout(PATIENCE);
    std::thread::sleep(life);
    child.kill().unwrap();
    child.wait().unwrap();
    began.expect("the child acknowledges a commit");
    let acks = reader.join().unwrap();
    let text: String = acks
        .iter()
        .map(|(task, number)| format!("{task} {number}\n"))
        .collect();
    std::fs::write(directory.join("acks"), text).unwrap();
}

/// The test harness writes to the same output, so the line may begin with something else; a last
/// line that was cut off by the kill has too few fields or an end that was never written.
fn parse_ack(line: &str) -> Option<(u64, u64)> {
    let (_, ack) = line.split_once("ack ")?;
    let (task, number) = ack.split_once(' ')?;
    Some((task.parse().ok()?, number.parse().ok()?))
}

fn acks_of(directory: &tempfile::TempDir) -> Vec<(u64, u64)> {
    let text = std::fs::read_to_string(directory.path().join("acks")).unwrap();
    let fields = text.lines().filter_map(|line| line.split_once(' '));
    fields
        .map(|(task, number)| (task.parse().unwrap(), number.parse().unwrap()))
        .collect()
}

async fn check_store(directory: &Path, acknowledged: &BTreeMap<u64, u64>) {
    let engine = EmbeddedEngine::open(&directory.join("meta"), EmbeddedOptions::default()).unwrap();
    let mut sum = 0;
    for task in 0..TASKS {
        let key = format!("task {task:02}");
        let record = engine.get(Space::Records, key.as_bytes()).await.unwrap();
        let body = engine.get(Space::Bodies, key.as_bytes()).await.unwrap();
        assert_eq!(record, body, "{key}: record and body of one commit");
        let number = record.as_ref().map_or(0, |value| number_in(value));
        let promised = acknowledged.get(&task).copied().unwrap_or(0);
        assert!(
            number >= promised,
            "{key}: at {number}, but {promised} was acknowledged"
        );
        sum += number;
    }
    let counter = engine.get(Space::Records, b"counter").await.unwrap();
    let counter = counter.map_or(0, |value| i64::from_be_bytes(value[..].try_into().unwrap()));
    assert_eq!(counter as u64, sum, "every commit counted once");
    let changes = engine.changes_since(0, usize::MAX).await.unwrap();
    assert_eq!(changes.len() as u64, sum, "every commit left one entry");
    assert!(changes.is_sorted_by(|a, b| a.sequence < b.sequence));

    let scan = Scan {
        space: Space::Records,
        start: Bytes::from_static(b"task"),
        end: Bytes::from_static(b"task~"),
        reverse: false,
        limit_rows: 100,
    };
    let page = engine.scan(scan).await.unwrap();
    assert!(page.rows.iter().all(|row| row.value.len() >= 16));
    engine.shutdown();
}
