//! A reader reads to its end whatever happens to the key; then the space is freed.

use std::sync::Arc;
use std::time::Duration;

use crate::support::hooked::HookedEngine;
use crate::support::{self, Setup, World, bytes_of, collect, get, read_to_end};
use oncilla_meta::memory::MemoryEngine;
use oncilla_store::object::GetObjectError;
use oncilla_store::rows::object::object_key;
use oncilla_wire::conditions::Conditions;

/// Keeps the collector busy for a while.
async fn collect_for_a_while(world: &World) {
    for _ in 0..10 {
        let round = world.store.run_collector();
        let _ = tokio::time::timeout(Duration::from_millis(5), round).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_of_extents_outlives_overwriting_and_deleting() {
    for world in World::every_kind().await {
        let bucket = world.bucket("slow").await;
        let body = bytes_of(1, 300_000);
        for delete in [false, true] {
            world.put(&bucket, "k", &body).await;
            let opened = world.store.open_object(&bucket, b"k").await.unwrap();
            let mut reader = opened.read_all();
            let mut read = reader.next().await.unwrap().unwrap().to_vec();
            match delete {
                true => assert!(world.delete(&bucket, "k").await),
                false => drop(world.put(&bucket, "k", b"other").await),
            }
            collect_for_a_while(&world).await;
            while let Some(piece) = reader.next().await.unwrap() {
                read.extend_from_slice(&piece);
                collect_for_a_while(&world).await;
            }
            assert_eq!(read, body);
            drop(reader);
            world.collect().await;
            assert!(world.referred_extents().await.is_empty());
            world.assert_sound().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_of_parts_outlives_overwriting_and_deleting() {
    let world = World::memory_with(Setup::PARTS).await;
    let bucket = world.bucket("slow").await;
    let first = bytes_of(1, 5 << 20);
    let last = bytes_of(2, 700);
    let upload = world.create_upload(&bucket, "k").await;
    let part_1 = world.put_part(&upload, 1, &first).await.unwrap();
    let part_2 = world.put_part(&upload, 2, &last).await.unwrap();
    let parts = [(1, &part_1), (2, &part_2)];
    world.complete(&bucket, "k", &upload, &parts).await.unwrap();
    let opened = world.store.open_object(&bucket, b"k").await.unwrap();
    let mut reader = opened.read_all();
    let mut read = reader.next().await.unwrap().unwrap().to_vec();
    assert!(world.delete(&bucket, "k").await);
    collect_for_a_while(&world).await;
    // The inline part and the later extents are only looked up now.
    read.extend(read_to_end(reader).await.unwrap());
    assert_eq!(read, [first, last].concat());
    world.collect().await;
    assert!(world.referred_extents().await.is_empty());
    world.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_was_opened_but_not_yet_read_is_kept_too() {
    let world = World::memory().await;
    let bucket = world.bucket("opened").await;
    let body = bytes_of(3, 100_000);
    world.put(&bucket, "k", &body).await;
    let opened = world.store.open_object(&bucket, b"k").await.unwrap();
    world.delete(&bucket, "k").await;
    collect_for_a_while(&world).await;
    assert_eq!(read_to_end(opened.read_all()).await.unwrap(), body);
}

/// The moment that no timing protects: the record was read, and before its bytes are pinned, its
/// last reference goes and the collector frees them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_freed_between_lookup_and_pin_is_never_called_damaged() {
    for in_parts in [false, true] {
        for replaced in [false, true] {
            let engine = HookedEngine::new(Arc::new(MemoryEngine::new()));
            let world = World::on_engine(engine.clone(), Setup::SMALL).await;
            let bucket = world.bucket("lookup").await;
            let body = bytes_of(4, 100_000);
            if in_parts {
                let upload = world.create_upload(&bucket, "k").await;
                let part = world.put_part(&upload, 1, &body).await.unwrap();
                let parts = [(1, &part)];
                world.complete(&bucket, "k", &upload, &parts).await.unwrap();
            } else {
                world.put(&bucket, "k", &body).await;
            }

            let (store, in_bucket) = (world.store.clone(), bucket.clone());
            engine.after_next_get(object_key(bucket.id(), b"k"), async move {
                let none = Conditions::default();
                if replaced {
                    let body = bytes_of(5, 90_000);
                    let put = support::put(&store, &in_bucket, "k", &body, &none);
                    put.await.unwrap();
                } else {
                    store.delete_object(&in_bucket, b"k", &none).await.unwrap();
                }
                collect(&store).await;
            });
            if replaced {
                let read = get(&world.store, &bucket, "k").await.unwrap();
                assert_eq!(read, Some(bytes_of(5, 90_000)));
            } else {
                let opened = world.store.open_object(&bucket, b"k").await;
                assert!(
                    matches!(opened, Err(GetObjectError::NoSuchKey)),
                    "{opened:?}"
                );
            }
            assert!(!engine.is_armed());
            world.assert_sound().await;
        }
    }
}
