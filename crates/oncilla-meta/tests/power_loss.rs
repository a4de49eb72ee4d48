//! Loss of power in the middle of a write, simulated: every acknowledged mutation is there
//! afterwards, and the engine opens without help.
//!
//! A child commits one mutation after the other, reports each acknowledgement with the length of
//! the journal at that time, and is killed. Every round then takes one of the acknowledgements
//! for the last one before the power was lost: the journal is kept up to there, and of the batch
//! behind it a random part is kept, sector by sector, as a device may have written it. The seed
//! is printed; `ONCILLA_TEST_SEED` replays it, `ONCILLA_POWER_LOSS_ROUNDS` sets the number.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use oncilla_meta::embedded::{EmbeddedEngine, EmbeddedOptions};
use oncilla_meta::{CommitOutcome, Engine, EngineError, Mutation, Reader, Space};

const CHILD_DIRECTORY: &str = "ONCILLA_POWER_LOSS_CHILD_DIRECTORY";

/// A few hundredths of a second each.
const ROUNDS_DEFAULT: u64 = 150;

/// What a device writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// What a file system allots.
const BLOCK_BYTES: usize = 4096;

/// Size of a journal that was created and not yet reopened.
const NEW_JOURNAL_BYTES: usize = 64 * 1024 * 1024;

/// So many commits stay below the size at which rows are flushed and journals begun anew.
const COMMITS_MAX: u64 = 300;

const JOURNAL: &str = "0.jnl";

struct Random(u64);

impl Random {
    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

fn seed() -> u64 {
    let seed = match std::env::var("ONCILLA_TEST_SEED") {
        Ok(text) => text.parse().unwrap(),
        Err(_) => SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_nanos() as u64,
    };
    println!("ONCILLA_TEST_SEED={seed}");
    seed
}

fn key(number: u64) -> Bytes {
    Bytes::from(format!("commit {number:04}"))
}

/// Lengths from less than a sector to more than the library's buffer.
fn value(number: u64) -> Bytes {
    let bytes_long = match number % 7 {
        0 => 40_000,
        1 => 4096,
        2 => 9_000,
        rest => rest as usize * 97,
    };
    let pattern = |at: usize| (at as u64).wrapping_mul(number + 3) as u8;
    (0..bytes_long).map(pattern).collect::<Vec<_>>().into()
}

/// The n-th commit has rows of its own in both spaces, counts, and appends to the log.
fn nth_commit(number: u64) -> Mutation {
    let mut mutation = Mutation::new();
    mutation.put(Space::Records, key(number), value(number));
    mutation.put(Space::Bodies, key(number), value(number));
    mutation.add(Bytes::from_static(b"counter"), 1);
    mutation.change = Some(key(number));
    mutation
}

/// Not a test of its own: the body of the child, which runs until it is killed.
#[ignore = "run by acknowledged_commits_survive_loss_of_power"]
#[tokio::test]
async fn child_commits_one_by_one() {
    let directory = std::env::var(CHILD_DIRECTORY).expect("started by the other test");
    let directory = Path::new(&directory);
    let engine = EmbeddedEngine::open(directory, EmbeddedOptions::default()).unwrap();
    for number in 0..COMMITS_MAX {
        engine.commit(nth_commit(number)).await.unwrap();
        let journal = std::fs::metadata(directory.join(JOURNAL)).unwrap();
        println!("ack {number} {}.", journal.len());
    }
    std::thread::sleep(Duration::from_secs(600));
}

/// Runs the child until it has acknowledged `enough` commits, and kills it in the middle of the
/// next. Returns the length of the journal at each acknowledgement.
fn run_child(directory: &Path, enough: usize) -> Vec<usize> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_commits_one_by_one", "--ignored"])
        .arg("--nocapture")
        .env(CHILD_DIRECTORY, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut ends = Vec::new();
    for line in lines.map_while(Result::ok) {
        let Some((_, ack)) = line.split_once("ack ") else {
            continue;
        };
        // Without its full stop, the line was cut off by the kill.
        let Some((number, end)) = ack.strip_suffix('.').and_then(|ack| ack.split_once(' ')) else {
            continue;
        };
        assert_eq!(number.parse(), Ok(ends.len()));
        ends.push(end.parse().unwrap());
        if ends.len() == enough {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    ends
}

/// The journal as the device has it after the power was lost while the bytes from `synced` to
/// `end` were being written.
fn after_power_loss(journal: &[u8], synced: usize, end: usize, random: &mut Random) -> Vec<u8> {
    let mut left = journal[..end].to_vec();
    let kind = random.below(5);
    let sectors = synced / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES);
    for sector in sectors {
        // A sector shared with what was synced before keeps that part.
        let begin = (sector * SECTOR_BYTES).max(synced);
        let sector_end = ((sector + 1) * SECTOR_BYTES).min(end);
        let lost = match kind {
            0 => false,
            1 => true,
            _ => random.below(3) == 0,
        };
        if !lost {
            continue;
        }
        match random.below(3) {
            0 | 1 => left[begin..sector_end].fill(0),
            _ => left[begin..sector_end].fill_with(|| random.next() as u8),
        }
    }
    match random.below(4) {
        // The new length did not reach the device, or only a part of it.
        0 => left.truncate(synced + random.below(end - synced + 1)),
        // It did, with whole blocks.
        1 => left.resize(end.next_multiple_of(BLOCK_BYTES), 0),
        2 => left.resize(NEW_JOURNAL_BYTES, 0),
        _ => {}
    }
    // Blocks of an older journal come up behind the end, with whole batches in them.
    if random.below(4) == 0 {
        left.truncate(end);
        left.resize(left.len().next_multiple_of(BLOCK_BYTES), 0);
        left.extend_from_slice(&journal[..synced.min(20_000)][BLOCK_BYTES.min(synced)..]);
    }
    left
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_commits_survive_loss_of_power() {
    let rounds = std::env::var("ONCILLA_POWER_LOSS_ROUNDS");
    let rounds = rounds.map_or(ROUNDS_DEFAULT, |text| text.parse().unwrap());
    let mut random = Random(seed());
    let parent = tempfile::tempdir().unwrap();
    let original = parent.path().join("original");
    // Once opened again, the journal is as long as what was written to it.
    for _ in 0..2 {
        open(&original).unwrap().shutdown();
    }
    let begin = std::fs::metadata(original.join(JOURNAL)).unwrap().len() as usize;
    let acks = run_child(&original, 60 + random.below(60));
    let journal = std::fs::read(original.join(JOURNAL)).unwrap();
    assert!(acks.is_sorted_by(|a, b| a < b) && acks.len() > 50);
    let mut ends = vec![begin];
    ends.extend(acks);
    if journal.len() > ends[ends.len() - 1] {
        ends.push(journal.len());
    }

    let mut cut_off = 0;
    for round in 0..rounds {
        let acknowledged = random.below(ends.len() - 1);
        let (synced, end) = (ends[acknowledged], ends[acknowledged + 1]);
        let left = after_power_loss(&journal, synced, end, &mut random);
        let copy = parent.path().join("copy");
        copy_directory(&original, &copy);
        std::fs::write(copy.join(JOURNAL), left).unwrap();
        let found = check(&copy, acknowledged as u64, round).await;
        cut_off += u64::from(found == acknowledged as u64);
        std::fs::remove_dir_all(&copy).unwrap();
    }
    println!("{rounds} rounds, the batch in flight was lost in {cut_off}");
    assert!(cut_off > rounds / 4 && cut_off < rounds);
}

fn open(path: &Path) -> Result<std::sync::Arc<EmbeddedEngine>, EngineError> {
    EmbeddedEngine::open(path, EmbeddedOptions::default())
}

fn copy_directory(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_directory(&entry.path(), &target);
        } else if entry.file_name() != JOURNAL {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Opens the copy, compares it with the first `acknowledged` commits, and commits again. Returns
/// how many commits are there.
async fn check(path: &Path, acknowledged: u64, round: u64) -> u64 {
    let engine = match open(path) {
        Ok(engine) => engine,
        Err(error) => panic!("round {round}, {acknowledged} acknowledged: {error}"),
    };
    let found = count(&engine).await;
    assert!(
        found == acknowledged || found == acknowledged + 1,
        "round {round}: {found} commits instead of {acknowledged}"
    );
    // The next one goes where the torn one was, and is there after opening again.
    let outcome = engine.commit(nth_commit(found)).await.unwrap();
    assert!(matches!(outcome, CommitOutcome::Committed { .. }));
    engine.shutdown();
    let engine = open(path).unwrap();
    assert_eq!(count(&engine).await, found + 1, "round {round}");
    engine.shutdown();
    found
}

/// Number of commits that are there as a whole; panics if one is there in part.
async fn count(engine: &EmbeddedEngine) -> u64 {
    let changes = engine.changes_since(0, usize::MAX).await.unwrap();
    let found = changes.len() as u64;
    for number in 0..found {
        assert_eq!(changes[number as usize].entry, key(number));
        for space in [Space::Records, Space::Bodies] {
            let row = engine.get(space, &key(number)).await.unwrap();
            assert!(row == Some(value(number)), "commit {number} in {space:?}");
        }
    }
    for space in [Space::Records, Space::Bodies] {
        assert_eq!(engine.get(space, &key(found)).await.unwrap(), None);
    }
    let counter = engine.get(Space::Records, b"counter").await.unwrap();
    let counter = counter.map_or(0, |value| i64::from_be_bytes(value[..].try_into().unwrap()));
    assert_eq!(counter as u64, found);
    found
}
