//! Commits and reads that are under way at the same time.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::{bytes, commit, page_keys, record, scan};
use crate::engine::{Engine, Space};
use crate::mutation::{CommitOutcome, Mutation, Precondition};

/// Writers keep two rows equal; no reader may see them differ.
pub(super) async fn atomic_pairs(engine: Arc<dyn Engine>) {
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

pub(super) async fn one_winner_per_race(engine: Arc<dyn Engine>) {
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
pub(super) async fn order_within_queued_commits(engine: Arc<dyn Engine>) {
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
