//! Listings against the definition: filter, group, cut.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::support::hooked::HookedEngine;
use crate::support::{Setup, World};
use bytes::Bytes;
use oncilla_blob::conformance::seed;
use oncilla_blob::testing::SeededRandom;
use oncilla_meta::memory::MemoryEngine;
use oncilla_store::Bucket;
use oncilla_store::history::{ListVersionsQuery, VersionMarker};
use oncilla_store::list::{After, Entry, ListQuery};
use oncilla_store::rows::key::successor;
use oncilla_wire::xml::versioning::VersioningStatus;

/// Pieces of keys: what sorts lowest, highest, and the delimiters in use.
const ALPHABET: [&str; 7] = ["\0", "a", "b", "/", "//", "\u{7f}", "\u{10ffff}"];

fn text(random: &mut SeededRandom, pieces_max: u64) -> String {
    (0..random.below(pieces_max + 1))
        .map(|_| ALPHABET[random.below(ALPHABET.len() as u64) as usize])
        .collect()
}

/// An entry without what is under the key.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Line {
    Key(Bytes),
    Group(Bytes),
}

fn lines<T>(entries: &[Entry<T>]) -> Vec<Line> {
    let line = |entry: &Entry<T>| match entry {
        Entry::Item(key, _) => Line::Key(key.clone()),
        Entry::Group(prefix) => Line::Group(prefix.clone()),
    };
    entries.iter().map(line).collect()
}

/// The listing by definition, without a limit. A key that occurs n times gives n lines.
fn by_definition(keys: &[Bytes], query: &ListQuery) -> Vec<Line> {
    let mut found: Vec<Line> = Vec::new();
    for key in keys {
        let is_after = match &query.after {
            After::Nothing => true,
            After::Key(after) => key > after,
            After::Group(prefix) => successor(prefix).is_some_and(|next| *key >= next),
        };
        if !is_after || !key.starts_with(&query.prefix) {
            continue;
        }
        let rest = &key[query.prefix.len()..];
        let delimiter = &query.delimiter;
        let at =
            (0..rest.len()).find(|&at| !delimiter.is_empty() && rest[at..].starts_with(delimiter));
        let line = match at {
            Some(at) => Line::Group(key.slice(..query.prefix.len() + at + delimiter.len())),
            None => Line::Key(key.clone()),
        };
        if !(matches!(line, Line::Group(_)) && found.last() == Some(&line)) {
            found.push(line);
        }
    }
    found
}

fn random_query(random: &mut SeededRandom) -> ListQuery {
    let delimiter = ["", "/", "//", "a", "\u{10ffff}"][random.below(5) as usize];
    let after = match random.below(3) {
        0 => After::Nothing,
        1 => After::Key(text(random, 4).into()),
        _ => After::Group((text(random, 2) + "/").into()),
    };
    ListQuery {
        prefix: text(random, 2).into(),
        delimiter: delimiter.into(),
        after,
        limit: 1 + random.below(12) as usize,
    }
}

#[tokio::test]
async fn objects_are_listed_as_the_definition_says() {
    let mut random = SeededRandom::new(seed("listing objects"));
    for world in World::every_kind().await {
        let buckets = [world.bucket("one").await, world.bucket("two").await];
        let mut keys = [BTreeSet::new(), BTreeSet::new()];
        for _ in 0..250 {
            let of = random.below(2) as usize;
            let key = format!("{}x", text(&mut random, 6));
            world.put(&buckets[of], &key, b"").await;
            keys[of].insert(Bytes::from(key));
        }
        for _ in 0..600 {
            let of = random.below(2) as usize;
            let keys: Vec<Bytes> = keys[of].iter().cloned().collect();
            let query = random_query(&mut random);
            let whole = by_definition(&keys, &query);
            let mut walked = Vec::new();
            let mut next = query.clone();
            loop {
                let page = world.store.list_objects(&buckets[of], &next).await.unwrap();
                let shown = by_definition(&keys, &next);
                let limit = next.limit.min(shown.len());
                assert_eq!(lines(&page.entries), shown[..limit], "{next:?}");
                assert_eq!(page.truncated, shown.len() > limit, "{next:?}");
                walked.extend(lines(&page.entries));
                if !page.truncated {
                    break;
                }
                next.after = page.entries.last().unwrap().position();
            }
            assert_eq!(walked, whole, "{query:?}");
        }
    }
}

#[tokio::test]
async fn versions_are_listed_as_the_definition_says() {
    let mut random = SeededRandom::new(seed("listing versions"));
    for world in World::every_kind().await {
        let bucket = world.bucket("one").await;
        let enabled = VersioningStatus::Enabled;
        let bucket = world.store.set_versioning(&bucket, enabled).await;
        let bucket = bucket.unwrap();
        let mut keys = Vec::new();
        for _ in 0..150 {
            let key = format!("{}x", text(&mut random, 4));
            for _ in 0..=random.below(3) {
                match random.below(3) {
                    0 => drop(world.delete(&bucket, &key).await),
                    _ => drop(world.put(&bucket, &key, b"").await),
                }
                keys.push(Bytes::from(key.clone()));
            }
        }
        keys.sort();
        for _ in 0..600 {
            let query = random_query(&mut random);
            let whole = by_definition(&keys, &query);
            let mut walked = Vec::new();
            let mut next = ListVersionsQuery {
                keys: query.clone(),
                marker: None,
            };
            loop {
                let page = world.store.list_versions(&bucket, &next).await.unwrap();
                walked.extend(lines(&page.entries));
                let left = whole.len() - walked.len();
                assert_eq!(page.truncated, left > 0, "{next:?}");
                assert!(left == 0 || page.entries.len() == query.limit, "{next:?}");
                if left == 0 {
                    break;
                }
                let last = page.entries.last().unwrap();
                next.keys.after = last.position();
                next.marker = VersionMarker::behind(last);
            }
            assert_eq!(walked, whole, "{query:?}");
        }
    }
}

#[tokio::test]
async fn uploads_are_listed_as_the_definition_says() {
    let mut random = SeededRandom::new(seed("listing uploads"));
    let world = World::memory().await;
    let bucket = world.bucket("one").await;
    let other = world.bucket("two").await;
    let mut uploads = Vec::new();
    for _ in 0..120 {
        let key = text(&mut random, 4) + "x";
        let upload = world.create_upload(&bucket, &key).await;
        uploads.push((Bytes::from(key), upload.id));
        world.create_upload(&other, "x").await;
    }
    uploads.sort();
    let keys: Vec<Bytes> = uploads.iter().map(|(key, _)| key.clone()).collect();
    for _ in 0..600 {
        let query = random_query(&mut random);
        let shown = by_definition(&keys, &query);
        let limit = query.limit.min(shown.len());
        let page = world
            .store
            .list_uploads(&bucket, &query, None)
            .await
            .unwrap();
        assert_eq!(lines(&page.entries), shown[..limit], "{query:?}");
        assert_eq!(page.truncated, shown.len() > limit, "{query:?}");
    }
    // By key and upload id, page after page: every upload once.
    let mut walked = Vec::new();
    let mut marker = None;
    loop {
        let query = ListQuery {
            after: walked
                .last()
                .map_or(After::Nothing, |(key, _)| After::Key(Bytes::clone(key))),
            limit: 7,
            ..ListQuery::default()
        };
        let page = world
            .store
            .list_uploads(&bucket, &query, marker)
            .await
            .unwrap();
        for entry in page.entries {
            let Entry::Item(key, upload) = entry else {
                panic!("no delimiter, no groups")
            };
            marker = Some(upload.id);
            walked.push((key, upload.id));
        }
        if !page.truncated {
            break;
        }
    }
    assert_eq!(walked, uploads);
}

async fn grouped(world: &World, bucket: &Bucket, limit: usize) -> usize {
    let query = ListQuery {
        delimiter: "/".into(),
        limit,
        ..ListQuery::default()
    };
    let page = world.store.list_objects(bucket, &query).await.unwrap();
    page.entries.len()
}

#[tokio::test]
async fn large_groups_are_skipped_and_not_walked() {
    let engine = HookedEngine::new(Arc::new(MemoryEngine::new()));
    let world = World::on_engine(engine.clone(), Setup::SMALL).await;
    let bucket = world.bucket("groups").await;
    for group in 0..5 {
        for key in 0..2_000 {
            world.put(&bucket, &format!("{group}/{key:05}"), b"").await;
        }
    }
    let (scans, rows) = (engine.scans(), engine.rows());
    assert_eq!(grouped(&world, &bucket, 1_000).await, 5);
    let (scans, rows) = (engine.scans() - scans, engine.rows() - rows);
    assert!(scans <= 6, "{scans} scans for 5 groups");
    assert!(rows <= 6 * 16, "{rows} rows read for 5 groups");
}
