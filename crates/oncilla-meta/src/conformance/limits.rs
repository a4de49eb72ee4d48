//! Sizes up to the limits, and what lies above them.

use bytes::Bytes;

use super::{bytes, commit};
use crate::engine::{Engine, EngineError, Space};
use crate::mutation::{CommitOutcome, Mutation, Precondition};

pub(super) async fn limits(engine: &dyn Engine) {
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

pub(super) async fn large_values(engine: &dyn Engine) {
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
