//! A long random history, compared with the model step by step.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::Subject;
use crate::engine::{Engine, EngineError, Reader, Scan, Space};
use crate::memory::MemoryEngine;
use crate::mutation::{CommitOutcome, Mutation, Precondition};

/// Histories per run of the suite.
pub(super) const ROUNDS: u64 = 4;

/// Steps of a history: enough that all kinds meet, short enough for a real sync at each.
const STEPS: usize = 1500;

/// Keys are drawn from so few that mutations meet.
const KEYS: u64 = 40;

/// The seed from `ONCILLA_TEST_SEED`, or a new one, printed either way.
pub(super) fn seed() -> u64 {
    let given = std::env::var("ONCILLA_TEST_SEED").ok();
    let seed = match given {
        Some(text) => text.parse().expect("ONCILLA_TEST_SEED is a number"),
        None => {
            let now = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            now.as_nanos() as u64
        }
    };
    println!("random history with ONCILLA_TEST_SEED={seed}");
    seed
}

/// SplitMix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn key(&mut self) -> Bytes {
        let number = self.below(KEYS);
        let tail = [&b""[..], b"\0", b"\xff"][(number % 3) as usize];
        [&[b'k', number as u8 * 6][..], tail].concat().into()
    }

    fn value(&mut self) -> Bytes {
        // Few values, so that `Equals` holds now and then.
        Bytes::from(format!("value {}", self.below(3)))
    }

    fn space(&mut self) -> Space {
        if self.below(4) == 0 {
            Space::Bodies
        } else {
            Space::Records
        }
    }

    fn precondition(&mut self) -> Precondition {
        match self.below(4) {
            0 => Precondition::Absent(self.key()),
            1 => Precondition::Present(self.key()),
            2 => Precondition::Equals(self.key(), self.value()),
            _ => Precondition::RangeEmpty(self.key(), self.key()),
        }
    }

    fn mutation(&mut self) -> Mutation {
        let mut mutation = Mutation::new();
        for _ in 0..self.below(3) {
            mutation.require(self.precondition());
        }
        let mut written = Vec::new();
        for _ in 0..self.below(6) {
            let (space, key) = (self.space(), self.key());
            if written.contains(&(space, key.clone())) {
                continue;
            }
            written.push((space, key.clone()));
            if self.below(2) == 0 {
                mutation.delete(space, key);
            } else {
                mutation.put(space, key, self.value());
            }
        }
        if self.below(4) == 0 {
            let counter = Bytes::from(format!("counter {}", self.below(2)));
            mutation.add(counter, self.next() as i64 >> 40);
        }
        if self.below(2) == 0 {
            mutation.change = Some(Bytes::from(self.next().to_string()));
        }
        mutation
    }

    fn scan(&mut self) -> Scan {
        Scan {
            space: self.space(),
            start: if self.below(8) == 0 {
                Bytes::new()
            } else {
                self.key()
            },
            end: if self.below(8) == 0 {
                Bytes::from_static(b"z")
            } else {
                self.key()
            },
            reverse: self.below(2) == 0,
            limit_rows: self.below(12) as usize,
        }
    }
}

/// Does the same to the subject and to the model, and compares everything that can be seen.
pub(super) async fn compare_with_model<S: Subject>(mut subject: S, seed: u64) {
    let mut random = Random(seed);
    let model = MemoryEngine::new();
    let mut engine = subject.engine();
    for step in 0..STEPS {
        let context = format!("step {step} of the history with seed {seed}");
        match random.below(10) {
            0..=5 => {
                let mutation = random.mutation();
                let expected = model.commit(mutation.clone()).await;
                let found = engine.commit(mutation.clone()).await;
                assert_eq!(shape(found), shape(expected), "{mutation:?}, {context}");
            }
            6 | 7 => {
                let scan = random.scan();
                let expected = model.scan(scan.clone()).await.expect("the model reads");
                let found = engine.scan(scan.clone()).await.expect("the engine reads");
                assert_eq!(found, expected, "{scan:?}, {context}");
            }
            8 => {
                let (space, key) = (random.space(), random.key());
                let expected = model.get(space, &key).await.expect("the model reads");
                let found = engine.get(space, &key).await.expect("the engine reads");
                assert_eq!(found, expected, "{key:?}, {context}");
            }
            _ if random.below(50) == 0 => {
                drop(engine);
                subject.reopen();
                engine = subject.engine();
            }
            _ => compare_snapshots(&*engine, &model, &mut random, &context).await,
        }
    }
    let changes = |engine: Vec<crate::Change>| -> Vec<Bytes> {
        engine.into_iter().map(|change| change.entry).collect()
    };
    let expected = model
        .changes_since(0, usize::MAX)
        .await
        .expect("the model reads");
    let found = engine
        .changes_since(0, usize::MAX)
        .await
        .expect("the engine reads");
    assert_eq!(
        changes(found),
        changes(expected),
        "change log of the history with seed {seed}"
    );
}

/// Snapshots must show the old state after a further commit.
async fn compare_snapshots(
    engine: &dyn Engine,
    model: &MemoryEngine,
    random: &mut Random,
    context: &str,
) {
    let (snapshot, expected) = (engine.snapshot(), model.snapshot());
    let mutation = random.mutation();
    let model_outcome = model.commit(mutation.clone()).await;
    let outcome = engine.commit(mutation).await;
    assert_eq!(shape(outcome), shape(model_outcome), "{context}");
    let scan = random.scan();
    let expected = expected.scan(scan.clone()).await.expect("the model reads");
    let found = snapshot.scan(scan.clone()).await.expect("the engine reads");
    assert_eq!(found, expected, "snapshot, {scan:?}, {context}");
}

/// What must be equal in two outcomes: sequences may have different gaps.
fn shape(outcome: Result<CommitOutcome, EngineError>) -> String {
    match outcome {
        Ok(CommitOutcome::Committed { .. }) => "committed".to_owned(),
        Ok(CommitOutcome::Conflict { precondition }) => format!("conflict {precondition}"),
        Err(error) => error.to_string(),
    }
}
