//! The suite that every engine passes, to be run from an engine's tests.
//!
//! Each check gets an empty engine and panics with its name when the engine is wrong. The last
//! one compares a long random history with [`MemoryEngine`], step by step; it prints its seed, and
//! the environment variable `ONCILLA_TEST_SEED` replays it.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use crate::engine::{Engine, EngineError, Reader, Scan, ScanPage, Space};
use crate::memory::MemoryEngine;
use crate::mutation::{CommitOutcome, Mutation, Precondition};

mod history;

/// An engine under test.
pub trait Subject {
    /// The engine.
    fn engine(&self) -> Arc<dyn Engine>;

    /// Closes the engine and opens it again with what it has stored. Answers false, having done
    /// nothing, if the engine does not persist. The caller has dropped its own handles.
    fn reopen(&mut self) -> bool;
}

impl Subject for Arc<MemoryEngine> {
    fn engine(&self) -> Arc<dyn Engine> {
        Arc::<MemoryEngine>::clone(self)
    }

    fn reopen(&mut self) -> bool {
        false
    }
}

/// Runs every check, each on a fresh, empty engine from `make`. Needs a tokio runtime.
///
/// # Panics
///
/// When the engine does not conform; the message names what was expected.
pub async fn run<S: Subject>(make: impl Fn() -> S) {
    point_reads(&*make().engine()).await;
    ordered_scans(&*make().engine()).await;
    any_bytes_in_keys(&*make().engine()).await;
    single_preconditions(&*make().engine()).await;
    empty_ranges(&*make().engine()).await;
    conflicts_change_nothing(&*make().engine()).await;
    counters(&*make().engine()).await;
    change_order(&*make().engine()).await;
    limits(&*make().engine()).await;
    large_values(&*make().engine()).await;
    snapshot_isolation(&*make().engine()).await;
    atomic_pairs(make().engine()).await;
    one_winner_per_race(make().engine()).await;
    order_within_queued_commits(make().engine()).await;
    persistence(make()).await;
    let seed = history::seed();
    for round in 0..history::ROUNDS {
        history::compare_with_model(make(), seed.wrapping_add(round)).await;
    }
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn scan(start: &str, end: &str, reverse: bool, limit_rows: usize) -> Scan {
    Scan {
        space: Space::Records,
        start: bytes(start),
        end: bytes(end),
        reverse,
        limit_rows,
    }
}

async fn commit(engine: &dyn Engine, mutation: Mutation) -> u64 {
    match engine.commit(mutation).await.expect("the commit succeeds") {
        CommitOutcome::Committed { sequence } => sequence,
        CommitOutcome::Conflict { precondition } => panic!("precondition {precondition} failed"),
    }
}

async fn put(engine: &dyn Engine, key: &str, value: &str) {
    let mut mutation = Mutation::new();
    mutation.put(Space::Records, bytes(key), bytes(value));
    commit(engine, mutation).await;
}

async fn record(reader: &dyn Reader, key: &str) -> Option<Bytes> {
    reader
        .get(Space::Records, key.as_bytes())
        .await
        .expect("the read succeeds")
}

async fn page_keys(reader: &dyn Reader, scan: Scan) -> (Vec<String>, bool) {
    let ScanPage { rows, more } = reader.scan(scan).await.expect("the scan succeeds");
    let keys = rows
        .iter()
        .map(|row| String::from_utf8_lossy(&row.key).into_owned());
    (keys.collect(), more)
}

async fn point_reads(engine: &dyn Engine) {
    assert_eq!(
        record(engine, "a").await,
        None,
        "an absent row reads as none"
    );
    let mut mutation = Mutation::new();
    mutation.put(Space::Records, bytes("a"), bytes("1"));
    mutation.put(Space::Bodies, bytes("a"), bytes("body"));
    mutation.put(Space::Records, bytes("empty"), Bytes::new());
    commit(engine, mutation).await;
    assert_eq!(
        record(engine, "a").await,
        Some(bytes("1")),
        "a put is read back"
    );
    assert_eq!(
        record(engine, "empty").await,
        Some(Bytes::new()),
        "an empty value is a value"
    );
    let body = engine
        .get(Space::Bodies, b"a")
        .await
        .expect("the read succeeds");
    assert_eq!(body, Some(bytes("body")), "the spaces are separate");

    let mut mutation = Mutation::new();
    mutation.put(Space::Records, bytes("empty"), bytes("2"));
    mutation.delete(Space::Records, bytes("a"));
    mutation.delete(Space::Records, bytes("never there"));
    commit(engine, mutation).await;
    assert_eq!(
        record(engine, "a").await,
        None,
        "a deleted row reads as none"
    );
    assert_eq!(
        record(engine, "empty").await,
        Some(bytes("2")),
        "a put replaces"
    );
    let body = engine
        .get(Space::Bodies, b"a")
        .await
        .expect("the read succeeds");
    assert_eq!(
        body,
        Some(bytes("body")),
        "a delete concerns its space only"
    );
}

async fn ordered_scans(engine: &dyn Engine) {
    for key in ["b", "a", "d", "c", "e"] {
        put(engine, key, key).await;
    }
    let mut mutation = Mutation::new();
    mutation.delete(Space::Records, bytes("c"));
    mutation.put(Space::Bodies, bytes("bb"), bytes("elsewhere"));
    commit(engine, mutation).await;

    let cases: [(Scan, &[&str], bool); 12] = [
        (scan("a", "z", false, 10), &["a", "b", "d", "e"], false),
        (scan("a", "z", false, 4), &["a", "b", "d", "e"], false),
        (scan("a", "z", false, 3), &["a", "b", "d"], true),
        (scan("b", "e", false, 10), &["b", "d"], false),
        (scan("b", "d", false, 1), &["b"], false),
        (scan("bb", "z", false, 1), &["d"], true),
        (scan("a", "z", true, 10), &["e", "d", "b", "a"], false),
        (scan("a", "z", true, 3), &["e", "d", "b"], true),
        (scan("a", "e", true, 2), &["d", "b"], true),
        (scan("a", "z", false, 0), &[], false),
        (scan("c", "c", false, 10), &[], false),
        (scan("z", "a", true, 10), &[], false),
    ];
    for (scan, expected, more) in cases {
        let found = page_keys(engine, scan.clone()).await;
        let expected: Vec<String> = expected.iter().map(|key| (*key).to_owned()).collect();
        assert_eq!(found, (expected, more), "{scan:?}");
    }
    let page = engine
        .scan(scan("a", "b", false, 1))
        .await
        .expect("the scan succeeds");
    assert_eq!(page.rows[0].value, bytes("a"), "a scan returns values");
}

async fn any_bytes_in_keys(engine: &dyn Engine) {
    let mut keys: Vec<Bytes> = [
        &b"\0"[..],
        b"\0\0",
        b"\0\xff",
        b"a",
        b"a\0",
        b"a\0\0",
        b"a\0b",
        b"a\xff",
        b"a\xff\xff",
        b"b",
        b"\xfe\xff",
        b"\xff",
        b"\xff\0",
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    ]
    .map(Bytes::from_static)
    .to_vec();
    let mut mutation = Mutation::new();
    for key in keys.iter().rev() {
        mutation.put(Space::Records, key.clone(), key.clone());
    }
    commit(engine, mutation).await;
    keys.sort();
    let everything = Scan {
        space: Space::Records,
        start: Bytes::new(),
        end: Bytes::from_static(&[0xff; 32]),
        reverse: false,
        limit_rows: 100,
    };
    let page = engine.scan(everything).await.expect("the scan succeeds");
    let found: Vec<Bytes> = page.rows.into_iter().map(|row| row.key).collect();
    assert_eq!(found, keys, "keys are ordered as unsigned bytes");
    for key in &keys {
        let value = engine
            .get(Space::Records, key)
            .await
            .expect("the read succeeds");
        assert_eq!(value.as_ref(), Some(key), "a key of any bytes is found");
    }
}

async fn outcome_of(engine: &dyn Engine, preconditions: Vec<Precondition>) -> Option<usize> {
    let mutation = Mutation {
        preconditions,
        ..Mutation::default()
    };
    match engine.commit(mutation).await.expect("the commit succeeds") {
        CommitOutcome::Committed { .. } => None,
        CommitOutcome::Conflict { precondition } => Some(precondition),
    }
}

async fn single_preconditions(engine: &dyn Engine) {
    use Precondition::{Absent, Equals, Present};
    put(engine, "there", "1").await;
    let cases = [
        (vec![], None),
        (vec![Absent(bytes("nowhere"))], None),
        (vec![Absent(bytes("there"))], Some(0)),
        (vec![Present(bytes("there"))], None),
        (vec![Present(bytes("nowhere"))], Some(0)),
        (vec![Equals(bytes("there"), bytes("1"))], None),
        (vec![Equals(bytes("there"), bytes("2"))], Some(0)),
        (vec![Equals(bytes("nowhere"), Bytes::new())], Some(0)),
        (
            vec![Present(bytes("there")), Absent(bytes("there"))],
            Some(1),
        ),
        (
            vec![Absent(bytes("there")), Present(bytes("nowhere"))],
            Some(0),
        ),
    ];
    for (preconditions, expected) in cases {
        let found = outcome_of(engine, preconditions.clone()).await;
        assert_eq!(found, expected, "{preconditions:?}");
    }
    // A mutation's own writes do not count for its preconditions.
    let mut mutation = Mutation::new();
    mutation
        .require(Absent(bytes("new")))
        .put(Space::Records, bytes("new"), bytes("1"));
    commit(engine, mutation).await;
}

async fn empty_ranges(engine: &dyn Engine) {
    let empty = |start, end| vec![Precondition::RangeEmpty(bytes(start), bytes(end))];
    put(engine, "m", "1").await;
    let cases = [
        (empty("a", "z"), Some(0)),
        (empty("m", "n"), Some(0)),
        (empty("a", "m"), None),
        (empty("m\0", "z"), None),
        (empty("z", "a"), None),
        (empty("m", "m"), None),
    ];
    for (preconditions, expected) in cases {
        let found = outcome_of(engine, preconditions.clone()).await;
        assert_eq!(found, expected, "{preconditions:?}");
    }
    let mut mutation = Mutation::new();
    mutation.delete(Space::Records, bytes("m"));
    mutation.put(Space::Bodies, bytes("m"), bytes("no record"));
    commit(engine, mutation).await;
    assert_eq!(
        outcome_of(engine, empty("a", "z")).await,
        None,
        "deleted rows do not count"
    );
}

async fn conflicts_change_nothing(engine: &dyn Engine) {
    put(engine, "kept", "1").await;
    let before = engine
        .changes_since(0, 100)
        .await
        .expect("the read succeeds")
        .len();
    let mut mutation = Mutation::new();
    mutation.require(Precondition::Present(bytes("nowhere")));
    mutation.put(Space::Records, bytes("new"), bytes("1"));
    mutation.put(Space::Bodies, bytes("new"), bytes("1"));
    mutation.delete(Space::Records, bytes("kept"));
    mutation.add(bytes("counter"), 1);
    mutation.change = Some(bytes("entry"));
    let outcome = engine.commit(mutation).await.expect("the commit succeeds");
    assert_eq!(outcome, CommitOutcome::Conflict { precondition: 0 });
    assert_eq!(record(engine, "new").await, None);
    assert_eq!(record(engine, "kept").await, Some(bytes("1")));
    assert_eq!(record(engine, "counter").await, None);
    assert_eq!(
        engine
            .get(Space::Bodies, b"new")
            .await
            .expect("the read succeeds"),
        None
    );
    let after = engine
        .changes_since(0, 100)
        .await
        .expect("the read succeeds")
        .len();
    assert_eq!(after, before, "a conflict leaves no change-log entry");
}

async fn counters(engine: &dyn Engine) {
    for (amount, expected) in [
        (5, 5_i64),
        (-7, -2),
        (i64::MIN, i64::MIN),
        (-1, i64::MIN),
        (i64::MAX, -1),
        (1, 0),
    ] {
        let mut mutation = Mutation::new();
        mutation.add(bytes("counter"), amount);
        commit(engine, mutation).await;
        let value = record(engine, "counter")
            .await
            .expect("the counter is a row");
        assert_eq!(&value[..], expected.to_be_bytes(), "after adding {amount}");
    }
    put(engine, "no counter", "three").await;
    let mut mutation = Mutation::new();
    mutation.put(Space::Records, bytes("beside"), bytes("1"));
    mutation.add(bytes("no counter"), 1);
    let outcome = engine.commit(mutation).await;
    assert!(
        matches!(outcome, Err(EngineError::Damaged { .. })),
        "not a counter: {outcome:?}"
    );
    assert_eq!(
        record(engine, "beside").await,
        None,
        "an error changes nothing"
    );
}

async fn change_order(engine: &dyn Engine) {
    let mut sequences = Vec::new();
    for number in 0..10 {
        let mut mutation = Mutation::new();
        mutation.put(Space::Records, bytes("row"), bytes(&number.to_string()));
        mutation.change = (number % 3 != 0).then(|| bytes(&number.to_string()));
        sequences.push(commit(engine, mutation).await);
    }
    assert!(
        sequences.is_sorted_by(|a, b| a < b),
        "sequences increase: {sequences:?}"
    );
    let all = engine
        .changes_since(0, 100)
        .await
        .expect("the read succeeds");
    let entries: Vec<Bytes> = all.iter().map(|change| change.entry.clone()).collect();
    assert_eq!(entries, ["1", "2", "4", "5", "7", "8"].map(bytes));
    assert_eq!(
        all[0].sequence, sequences[1],
        "an entry has its commit's sequence"
    );

    let some = engine
        .changes_since(sequences[2], 2)
        .await
        .expect("the read succeeds");
    assert_eq!(some, all[2..4], "entries after a sequence, at most so many");
    assert!(
        engine
            .changes_since(0, 0)
            .await
            .expect("the read succeeds")
            .is_empty()
    );
    assert!(
        engine
            .changes_since(u64::MAX, 9)
            .await
            .expect("the read succeeds")
            .is_empty()
    );

    engine
        .forget_changes(sequences[4])
        .await
        .expect("the removal succeeds");
    let rest = engine
        .changes_since(0, 100)
        .await
        .expect("the read succeeds");
    assert_eq!(
        rest,
        all[3..],
        "what is forgotten is gone, up to and including"
    );
    engine
        .forget_changes(u64::MAX)
        .await
        .expect("the removal succeeds");
    assert!(
        engine
            .changes_since(0, 9)
            .await
            .expect("the read succeeds")
            .is_empty()
    );
    let mut mutation = Mutation::new();
    mutation.change = Some(bytes("later"));
    let sequence = commit(engine, mutation).await;
    assert!(
        sequence > sequences[9],
        "sequences go on after everything was forgotten"
    );
    let later = engine.changes_since(0, 9).await.expect("the read succeeds");
    assert_eq!(later.len(), 1, "entries after a removal are kept");
}

async fn limits(engine: &dyn Engine) {
    let limits = engine.limits();
    let refused = |outcome: Result<CommitOutcome, EngineError>, limit: usize| {
        let found = match outcome {
            Err(EngineError::TooLarge { limit, .. }) => limit,
            other => panic!("not refused: {other:?}"),
        };
        assert_eq!(found, limit);
    };
    let longest_key = Bytes::from(vec![b'k'; limits.key_bytes_max]);
    let too_long_key = Bytes::from(vec![b'k'; limits.key_bytes_max + 1]);
    let mut mutation = Mutation::new();
    mutation.put(Space::Records, longest_key.clone(), bytes("1"));
    commit(engine, mutation).await;
    let value = engine
        .get(Space::Records, &longest_key)
        .await
        .expect("the read succeeds");
    assert_eq!(value, Some(bytes("1")), "the longest key is stored");

    let mut mutation = Mutation::new();
    mutation.put(Space::Records, too_long_key.clone(), bytes("1"));
    refused(engine.commit(mutation).await, limits.key_bytes_max);
    let mut mutation = Mutation::new();
    mutation.require(Precondition::Absent(too_long_key.clone()));
    refused(engine.commit(mutation).await, limits.key_bytes_max);
    let found = engine
        .get(Space::Records, &too_long_key)
        .await
        .expect("the read succeeds");
    assert_eq!(
        found, None,
        "reading a key too long to be stored finds nothing"
    );
    assert_eq!(
        engine
            .get(Space::Records, b"")
            .await
            .expect("the read succeeds"),
        None
    );

    let mut mutation = Mutation::new();
    let too_large = Bytes::from(vec![0; limits.value_bytes_max + 1]);
    mutation.put(Space::Bodies, bytes("large"), too_large);
    refused(engine.commit(mutation).await, limits.value_bytes_max);

    let mut mutation = Mutation::new();
    for number in 0..=limits.operations_max {
        mutation.delete(Space::Records, bytes(&number.to_string()));
    }
    refused(engine.commit(mutation.clone()).await, limits.operations_max);
    mutation.deletes.pop();
    commit(engine, mutation).await;

    let mut mutation = Mutation::new();
    let value = Bytes::from(vec![0; limits.value_bytes_max]);
    for number in 0..=limits.mutation_bytes_max / limits.value_bytes_max {
        mutation.put(Space::Bodies, bytes(&number.to_string()), value.clone());
    }
    refused(engine.commit(mutation).await, limits.mutation_bytes_max);

    let mut mutation = Mutation::new();
    mutation.put(Space::Records, Bytes::new(), bytes("1"));
    let outcome = engine.commit(mutation).await;
    assert!(
        matches!(outcome, Err(EngineError::Failed { .. })),
        "empty key: {outcome:?}"
    );
}

async fn large_values(engine: &dyn Engine) {
    let largest = engine.limits().value_bytes_max;
    for bytes_long in [0, 1, 4095, 4096, 70_000, largest] {
        let value: Bytes = (0..bytes_long)
            .map(|at| (at % 251) as u8)
            .collect::<Vec<_>>()
            .into();
        for space in [Space::Records, Space::Bodies] {
            let mut mutation = Mutation::new();
            mutation.put(space, bytes("large"), value.clone());
            commit(engine, mutation).await;
            let found = engine
                .get(space, b"large")
                .await
                .expect("the read succeeds");
            assert!(
                found.as_ref() == Some(&value),
                "a value of {bytes_long} bytes in {space:?}"
            );
        }
    }
}

async fn snapshot_isolation(engine: &dyn Engine) {
    put(engine, "a", "1").await;
    put(engine, "b", "1").await;
    let snapshot = engine.snapshot();
    let mut mutation = Mutation::new();
    mutation.put(Space::Records, bytes("a"), bytes("2"));
    mutation.put(Space::Records, bytes("c"), bytes("2"));
    mutation.put(Space::Bodies, bytes("c"), bytes("2"));
    mutation.delete(Space::Records, bytes("b"));
    commit(engine, mutation).await;

    assert_eq!(
        record(&*snapshot, "a").await,
        Some(bytes("1")),
        "an old value"
    );
    assert_eq!(record(&*snapshot, "c").await, None, "a row that came later");
    assert_eq!(
        snapshot
            .get(Space::Bodies, b"c")
            .await
            .expect("the read succeeds"),
        None
    );
    let (keys, _) = page_keys(&*snapshot, scan("a", "z", false, 9)).await;
    assert_eq!(keys, ["a", "b"], "a snapshot scans its moment");
    let (keys, _) = page_keys(engine, scan("a", "z", false, 9)).await;
    assert_eq!(keys, ["a", "c"], "the engine scans the newest state");
}

/// Writers keep two rows equal; no reader may see them differ.
async fn atomic_pairs(engine: Arc<dyn Engine>) {
    let writer = tokio::spawn({
        let engine = Arc::clone(&engine);
        async move {
            for number in 0..200_u32 {
                let value = Bytes::copy_from_slice(&number.to_be_bytes());
                let mut mutation = Mutation::new();
                mutation.put(Space::Records, bytes("left"), value.clone());
                mutation.put(Space::Records, bytes("right"), value.clone());
                mutation.put(Space::Bodies, bytes("body"), value);
                commit(&*engine, mutation).await;
            }
        }
    });
    while !writer.is_finished() {
        let page = engine
            .scan(scan("a", "z", false, 9))
            .await
            .expect("the scan succeeds");
        assert!(page.rows.len() != 1, "half a mutation is visible");
        let [left, right] = &page.rows[..] else {
            tokio::task::yield_now().await;
            continue;
        };
        assert_eq!(left.value, right.value, "a scan sees one moment");
        let snapshot = engine.snapshot();
        let record = record(&*snapshot, "left").await;
        let body = snapshot
            .get(Space::Bodies, b"body")
            .await
            .expect("the read succeeds");
        assert_eq!(record, body, "a snapshot is of one moment in both spaces");
        tokio::task::yield_now().await;
    }
    writer.await.expect("the writer does not panic");
}

async fn one_winner_per_race(engine: Arc<dyn Engine>) {
    const RACES: usize = 20;
    const RUNNERS: usize = 16;
    for race in 0..RACES {
        let key = bytes(&format!("prize {race}"));
        let runners: Vec<_> = (0..RUNNERS)
            .map(|runner| {
                let engine = Arc::clone(&engine);
                let key = key.clone();
                tokio::spawn(async move {
                    let mut mutation = Mutation::new();
                    mutation.require(Precondition::Absent(key.clone()));
                    mutation.put(Space::Records, key, bytes(&runner.to_string()));
                    mutation.add(bytes("wins"), 1);
                    let outcome = engine.commit(mutation).await.expect("the commit succeeds");
                    matches!(outcome, CommitOutcome::Committed { .. }).then_some(runner)
                })
            })
            .collect();
        let mut winners = Vec::new();
        for runner in runners {
            winners.extend(runner.await.expect("the runner does not panic"));
        }
        assert_eq!(winners.len(), 1, "exactly one of {RUNNERS} wins");
        let value = engine
            .get(Space::Records, &key)
            .await
            .expect("the read succeeds");
        assert_eq!(
            value,
            Some(bytes(&winners[0].to_string())),
            "the winner's value stays"
        );
    }
    let wins = record(&*engine, "wins")
        .await
        .expect("the counter is a row");
    assert_eq!(
        &wins[..],
        (RACES as i64).to_be_bytes(),
        "losers do not count"
    );
}

/// Commits that are under way together see each other's effects in commit order.
async fn order_within_queued_commits(engine: Arc<dyn Engine>) {
    const TASKS: usize = 8;
    const STEPS: usize = 25;
    // Each task takes the only ticket of a range, if there is none, and gives it back.
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let engine = Arc::clone(&engine);
            tokio::spawn(async move {
                let ticket = bytes(&format!("ticket {task}"));
                let mut sequences = Vec::new();
                for _ in 0..STEPS {
                    let mut take = Mutation::new();
                    take.require(Precondition::RangeEmpty(bytes("ticket"), bytes("ticket~")));
                    take.put(Space::Records, ticket.clone(), bytes("taken"));
                    take.add(bytes("counter"), 1);
                    loop {
                        match engine
                            .commit(take.clone())
                            .await
                            .expect("the commit succeeds")
                        {
                            CommitOutcome::Committed { sequence } => {
                                break sequences.push(sequence);
                            }
                            CommitOutcome::Conflict { .. } => tokio::task::yield_now().await,
                        }
                    }
                    let mut give_back = Mutation::new();
                    give_back.require(Precondition::Equals(ticket.clone(), bytes("taken")));
                    give_back.delete(Space::Records, ticket.clone());
                    sequences.push(commit(&*engine, give_back).await);
                }
                sequences
            })
        })
        .collect();
    let mut all = BTreeSet::new();
    for task in tasks {
        let sequences = task.await.expect("the task does not panic");
        assert!(
            sequences.is_sorted_by(|a, b| a < b),
            "sequences follow commit order"
        );
        all.extend(sequences);
    }
    assert_eq!(all.len(), TASKS * STEPS * 2, "no sequence is given twice");
    let taken = record(&*engine, "counter")
        .await
        .expect("the counter is a row");
    assert_eq!(
        &taken[..],
        ((TASKS * STEPS) as i64).to_be_bytes(),
        "every ticket is counted"
    );
    let (left, _) = page_keys(&*engine, scan("ticket ", "ticket~", false, 9)).await;
    assert!(left.is_empty(), "every ticket was given back: {left:?}");
}

async fn persistence<S: Subject>(mut subject: S) {
    let engine = subject.engine();
    put(&*engine, "kept", "1").await;
    let mut mutation = Mutation::new();
    mutation.put(Space::Bodies, bytes("body"), Bytes::from(vec![7; 100_000]));
    mutation.change = Some(bytes("entry"));
    let before = commit(&*engine, mutation).await;
    drop(engine);
    if !subject.reopen() {
        return;
    }
    let engine = subject.engine();
    assert_eq!(
        record(&*engine, "kept").await,
        Some(bytes("1")),
        "rows survive"
    );
    let body = engine
        .get(Space::Bodies, b"body")
        .await
        .expect("the read succeeds");
    assert_eq!(body.map(|body| body.len()), Some(100_000), "bodies survive");
    let changes = engine.changes_since(0, 9).await.expect("the read succeeds");
    assert_eq!(changes.len(), 1, "the change log survives");
    let after = commit(&*engine, Mutation::new()).await;
    assert!(after > before, "sequences go on after reopening");
}
