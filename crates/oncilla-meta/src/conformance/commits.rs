//! What a commit requires, what it writes, and what a refused one leaves alone.

use bytes::Bytes;

use super::{bytes, commit, put, record};
use crate::engine::{Engine, EngineError, Space};
use crate::mutation::{CommitOutcome, Mutation, Precondition};

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

pub(super) async fn single_preconditions(engine: &dyn Engine) {
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

pub(super) async fn empty_ranges(engine: &dyn Engine) {
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

pub(super) async fn conflicts_change_nothing(engine: &dyn Engine) {
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

pub(super) async fn counters(engine: &dyn Engine) {
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
