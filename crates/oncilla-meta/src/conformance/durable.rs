//! The change log, and what survives being closed.

use bytes::Bytes;

use super::{Subject, bytes, commit, put, record};
use crate::engine::{Engine, Space};
use crate::mutation::Mutation;

pub(super) async fn change_order(engine: &dyn Engine) {
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

pub(super) async fn persistence<S: Subject>(mut subject: S) {
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
