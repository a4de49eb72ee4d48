//! Fills buckets quickly.
//!
//! One object is written through the store's own door. Its record and body row are the pattern of
//! all others: decoded, given an identity and a place of their own, encoded by the store's own
//! encoders, and committed a thousand objects at a time together with the bucket's counters, which
//! is exactly what a thousand PUTs leave behind. `fsck` of a loaded store is part of the short
//! test, so a difference would be found there. Keys come in no order, as uploads of many clients
//! do, so that the engine's levels overlap as they would.

use bytes::Bytes;
use oncilla_meta::{CommitOutcome, Engine, Mutation, Reader, Space};
use oncilla_store::Bucket;
use oncilla_store::rows::body;
use oncilla_store::rows::object::object_key;
use oncilla_store::rows::placement::Placement;
use oncilla_store::rows::usage::Counts;

use crate::site::{Outcome, Site};

/// Objects committed at a time: a megabyte or less.
const OBJECTS_PER_COMMIT: u64 = 1_000;

/// Commits under way at a time, so that the committer never waits for the next.
const COMMITS_AT_ONCE: usize = 8;

/// Bytes in a body: small enough to be a row, as in most buckets of millions.
pub const BODY_BYTES: usize = 100;

/// The body of every loaded object.
pub fn small_body() -> Bytes {
    Bytes::from_static(&[b'x'; BODY_BYTES])
}

/// A permutation of `0..count`: the `index`th number in no order.
pub fn scattered(index: u64, count: u64) -> u64 {
    // A prime larger than any count here, so it divides none of them and the map is one to one.
    const STEP: u128 = 2_147_483_647;
    ((u128::from(index) * STEP) % u128::from(count)) as u64
}

/// Adds `count` objects to a bucket, named by `key`.
pub async fn load(
    site: &Site,
    bucket: &Bucket,
    count: u64,
    key: impl Fn(u64) -> String,
) -> Outcome<()> {
    let pattern_key = b"~pattern";
    let pattern = site.put(bucket, pattern_key, &small_body()).await?;
    let Placement::Inline(pattern_body) = pattern.placement else {
        return Err("the pattern's body is not a row".into());
    };
    let body_key = body::body_key(pattern_body);
    let body_row = site.engine.get(body::SPACE, &body_key).await?;
    let body_row = body_row.ok_or("the pattern has no body")?;

    let mut under_way = std::collections::VecDeque::new();
    let mut next = 0;
    while next < count {
        let mut mutation = Mutation::new();
        let mut counts = Counts::default();
        let end = (next + OBJECTS_PER_COMMIT).min(count);
        for index in next..end {
            let mut record = pattern.clone();
            record.id = site.store.clock().unique_id()?;
            record.time = site.store.clock().tick();
            record.placement = Placement::Inline(record.id);
            counts.add_object(record.size);
            let name = key(scattered(index, count));
            mutation
                .put(
                    Space::Records,
                    object_key(bucket.id(), name.as_bytes()),
                    record.encode(),
                )
                .put(body::SPACE, body::body_key(record.id), body_row.clone());
        }
        counts.apply(&mut mutation, bucket.id());
        let engine = site.engine.clone();
        under_way.push_back(tokio::spawn(async move { engine.commit(mutation).await }));
        if under_way.len() >= COMMITS_AT_ONCE
            && let Some(oldest) = under_way.pop_front()
        {
            expect_committed(oldest.await??)?;
        }
        if end.is_multiple_of(1_000_000) {
            eprintln!("  {end} objects loaded");
        }
        next = end;
    }
    for commit in under_way {
        expect_committed(commit.await??)?;
    }
    site.delete(bucket, pattern_key).await
}

fn expect_committed(outcome: CommitOutcome) -> Outcome<()> {
    match outcome {
        CommitOutcome::Committed { .. } => Ok(()),
        CommitOutcome::Conflict { .. } => Err("a load was refused".into()),
    }
}
