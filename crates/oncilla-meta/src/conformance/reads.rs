//! Point reads, scans and snapshots.

use bytes::Bytes;

use super::{bytes, commit, page_keys, put, record, scan};
use crate::engine::{Engine, Scan, Space};
use crate::mutation::Mutation;

pub(super) async fn point_reads(engine: &dyn Engine) {
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

pub(super) async fn ordered_scans(engine: &dyn Engine) {
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

pub(super) async fn any_bytes_in_keys(engine: &dyn Engine) {
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

pub(super) async fn snapshot_isolation(engine: &dyn Engine) {
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
