//! Renaming: both keys change in one step, or neither does.

use std::sync::Arc;

use crate::support::hooked::HookedEngine;
use crate::support::{self, Setup, World, bytes_of, if_absent, if_match};
use oncilla_meta::memory::MemoryEngine;
use oncilla_store::object::{GetObjectError, RENAME_TOKEN_KEPT_MS, RenameError, RenameObject};
use oncilla_store::rows::object::object_key;
use oncilla_store::rows::rename_token::rename_tokens_of_bucket;
use oncilla_store::{Bucket, ObjectRecord, Store, VersionId};
use oncilla_wire::conditions::Conditions;
use oncilla_wire::xml::versioning::VersioningStatus;

async fn rename(
    store: &Store,
    bucket: &Bucket,
    from: &str,
    to: &str,
    token: Option<&str>,
) -> Result<Option<ObjectRecord>, RenameError> {
    let none = Conditions::default();
    let rename = RenameObject {
        bucket,
        source: from.as_bytes(),
        is_source: &|_| true,
        source_conditions: &none,
        destination: to.as_bytes(),
        conditions: &none,
        token: token.map(str::as_bytes),
    };
    store.rename_object(rename).await
}

#[tokio::test]
async fn an_object_moves_with_all_that_is_kept_of_it() {
    for world in World::every_kind().await {
        let bucket = world.bucket("b").await;
        for length in [0, 100, 5_000, 200_000] {
            let body = bytes_of(length as u64, length);
            let before = world.put(&bucket, "from", &body).await;
            world.put(&bucket, "to", &bytes_of(7, 9_000)).await;
            world.wall.advance(5_000);
            let renamed = rename(&world.store, &bucket, "from", "to", None).await;
            let renamed = renamed.unwrap().unwrap();
            assert_eq!(renamed.last_modified_ms, before.last_modified_ms);
            assert_eq!((renamed.etag, renamed.size), (before.etag, before.size));
            assert_eq!(renamed.checksum, before.checksum);
            assert!(renamed.time > before.time);
            let store = &world.store;
            assert_eq!(
                support::get(store, &bucket, "to").await.unwrap(),
                Some(body)
            );
            assert_eq!(support::get(store, &bucket, "from").await.unwrap(), None);
            world.collect().await;
            world.assert_sound().await;
        }
        let usage = world.store.usage(bucket.id()).await.unwrap();
        assert_eq!((usage.objects, usage.bytes), (1, 200_000));
    }
}

#[tokio::test]
async fn an_object_of_parts_moves() {
    let world = World::memory().await;
    let bucket = world.bucket("b").await;
    let body = bytes_of(1, 70_000);
    let upload = world.create_upload(&bucket, "from").await;
    let part = world.put_part(&upload, 1, &body).await.unwrap();
    let completed = world
        .complete(&bucket, "from", &upload, &[(1, &part)])
        .await;
    assert_eq!(completed.unwrap().etag.parts, 1);
    rename(&world.store, &bucket, "from", "to", None)
        .await
        .unwrap();
    world.collect().await;
    assert_eq!(
        support::get(&world.store, &bucket, "to").await.unwrap(),
        Some(body)
    );
    world.assert_sound().await;
}

#[tokio::test]
async fn what_does_not_hold_changes_nothing() {
    let world = World::memory().await;
    let bucket = world.bucket("b").await;
    let from = world.put(&bucket, "from", b"from").await;
    let to = world.put(&bucket, "to", b"to").await;
    let none = Conditions::default();
    let attempt = async |source: &str, of_source: &Conditions, of_destination: &Conditions| {
        let rename = RenameObject {
            bucket: &bucket,
            source: source.as_bytes(),
            is_source: &|_| true,
            source_conditions: of_source,
            destination: b"to",
            conditions: of_destination,
            token: None,
        };
        world.store.rename_object(rename).await
    };
    let missing = attempt("missing", &none, &none).await;
    assert!(matches!(
        missing,
        Err(RenameError::Source(GetObjectError::NoSuchKey))
    ));
    let itself = attempt("to", &none, &none).await;
    assert!(matches!(itself, Err(RenameError::Unchanged)));
    let refused = attempt("from", &if_match(to.etag), &none).await;
    assert!(matches!(refused, Err(RenameError::SourceCondition(_))));
    for refused in [if_absent(), if_match(from.etag)] {
        let refused = attempt("from", &none, &refused).await;
        assert!(matches!(refused, Err(RenameError::Condition(_))));
    }
    assert_eq!(world.store.object(&bucket, b"from").await.unwrap(), from);
    assert_eq!(world.store.object(&bucket, b"to").await.unwrap(), to);
    let done = attempt("from", &if_match(from.etag), &if_match(to.etag)).await;
    assert!(done.unwrap().is_some());
    world.collect().await;
    world.assert_sound().await;
}

#[tokio::test]
async fn versions_stay_where_they_were() {
    let world = World::memory().await;
    let bucket = world.bucket("b").await;
    world.put(&bucket, "from", b"null").await;
    let enabled = VersioningStatus::Enabled;
    let bucket = world.store.set_versioning(&bucket, enabled).await.unwrap();
    let old = world.put(&bucket, "to", &bytes_of(1, 5_000)).await;
    let from = world.put(&bucket, "from", &bytes_of(2, 5_000)).await;
    let renamed = rename(&world.store, &bucket, "from", "to", None).await;
    let renamed = renamed.unwrap().unwrap();
    assert!(renamed.versioned);
    assert!(matches!(
        world.store.object(&bucket, b"from").await,
        Err(GetObjectError::Deleted(_))
    ));
    for (key, version) in [
        ("from", from.version_id()),
        ("from", VersionId::Null),
        ("to", old.version_id()),
        ("to", renamed.version_id()),
    ] {
        let found = world
            .store
            .object_version(&bucket, key.as_bytes(), Some(version));
        found.await.unwrap();
    }
    let body = support::get(&world.store, &bucket, "to").await.unwrap();
    assert_eq!(body, Some(bytes_of(2, 5_000)));
    // Suspended: the null versions of both keys are taken over.
    let suspended = VersioningStatus::Suspended;
    let bucket = world
        .store
        .set_versioning(&bucket, suspended)
        .await
        .unwrap();
    world.put(&bucket, "from", b"null again").await;
    rename(&world.store, &bucket, "from", "to", None)
        .await
        .unwrap();
    let newest = world.store.object(&bucket, b"to").await.unwrap();
    assert_eq!(newest.version_id(), VersionId::Null);
    world.collect().await;
    world.assert_sound().await;
}

#[tokio::test]
async fn a_token_makes_a_rename_happen_once() {
    let world = World::memory().await;
    let bucket = world.bucket("b").await;
    world.put(&bucket, "a", b"first").await;
    let store = &world.store;
    let done = rename(store, &bucket, "a", "b", Some("token")).await;
    assert!(done.unwrap().is_some());
    // The client lost the answer, and somebody wrote both keys since.
    world.put(&bucket, "a", b"second").await;
    world.put(&bucket, "b", b"third").await;
    let again = rename(store, &bucket, "a", "b", Some("token")).await;
    assert!(again.unwrap().is_none());
    let kept = support::get(store, &bucket, "a").await.unwrap();
    assert_eq!(kept, Some(b"second".to_vec()));
    for (from, to) in [("a", "c"), ("b", "a")] {
        let reused = rename(store, &bucket, from, to, Some("token")).await;
        assert!(matches!(reused, Err(RenameError::TokenReused)));
    }
    // A refused rename uses no token up.
    let missing = rename(store, &bucket, "missing", "b", Some("other")).await;
    assert!(matches!(missing, Err(RenameError::Source(_))));
    let done = rename(store, &bucket, "a", "b", Some("other")).await;
    assert!(done.unwrap().is_some());
    // Nobody repeats a request for so long.
    world.wall.advance(RENAME_TOKEN_KEPT_MS + 1);
    let anew = rename(store, &bucket, "b", "a", Some("token")).await;
    assert!(anew.unwrap().is_some());
    world.assert_sound().await;
}

#[tokio::test]
async fn old_tokens_go_away() {
    let world = World::memory().await;
    let bucket = world.bucket("b").await;
    world.put(&bucket, "0", b"body").await;
    let count = async || {
        let range = rename_tokens_of_bucket(bucket.id());
        support::rows(&world.engine, range).await.len()
    };
    let names = |number: usize| (number.to_string(), (number + 1).to_string());
    for number in 0..40 {
        let (from, to) = names(number);
        let token = format!("{:x}", number * 7_919 % 251);
        let done = rename(&world.store, &bucket, &from, &to, Some(&token)).await;
        assert!(done.unwrap().is_some());
    }
    assert_eq!(count().await, 40);
    world.wall.advance(RENAME_TOKEN_KEPT_MS + 1);
    for number in 40..60 {
        let (from, to) = names(number);
        let token = format!("later {number}");
        rename(&world.store, &bucket, &from, &to, Some(&token))
            .await
            .unwrap();
    }
    assert_eq!(count().await, 20);
    world
        .store
        .delete_object(&bucket, b"60", &Conditions::default())
        .await
        .unwrap();
    world.store.delete_bucket(&bucket).await.unwrap();
    world.collect().await;
    assert_eq!(count().await, 0);
}

/// Two stores on one engine: what changes between a look and the commit makes it start over.
#[tokio::test]
async fn a_rename_notices_what_another_process_does() {
    for case in 0..3 {
        let hooked = HookedEngine::new(Arc::new(MemoryEngine::new()));
        let mut world = World::on_engine(hooked.clone(), Setup::SMALL).await;
        let bucket = world.bucket("b").await;
        world.put(&bucket, "from", b"from").await;
        world.put(&bucket, "to", b"to").await;
        let other = world.store.clone();
        world.reopen().await;
        let (row, act): (_, std::pin::Pin<Box<dyn Future<Output = ()> + Send>>) = {
            let bucket = bucket.clone();
            let none = Conditions::default();
            match case {
                0 => (
                    object_key(bucket.id(), b"from"),
                    Box::pin(async move {
                        support::put(&other, &bucket, "from", b"newer", &none)
                            .await
                            .unwrap();
                    }),
                ),
                1 => (
                    object_key(bucket.id(), b"to"),
                    Box::pin(async move {
                        support::put(&other, &bucket, "to", b"newer", &none)
                            .await
                            .unwrap();
                    }),
                ),
                _ => (
                    object_key(bucket.id(), b"to"),
                    Box::pin(async move {
                        other
                            .set_versioning(&bucket, VersioningStatus::Enabled)
                            .await
                            .unwrap();
                    }),
                ),
            }
        };
        hooked.after_next_get(row, act);
        let renamed = rename(&world.store, &bucket, "from", "to", None).await;
        let renamed = renamed.unwrap().unwrap();
        assert!(!hooked.is_armed());
        let body = support::get(&world.store, &bucket, "to").await.unwrap();
        let expected: &[u8] = if case == 0 { b"newer" } else { b"from" };
        assert_eq!(body.as_deref(), Some(expected));
        assert_eq!(renamed.versioned, case == 2);
        world.collect().await;
        world.assert_sound().await;
    }
}
