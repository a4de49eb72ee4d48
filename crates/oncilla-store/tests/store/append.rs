//! Appending: what was there stays where it is, whoever else uses it.

use std::sync::Arc;

use crate::support::hooked::HookedEngine;
use crate::support::{self, Setup, World, bytes_of, copy_request, if_match, new_object};
use bytes::Bytes;
use oncilla_blob::conformance::seed;
use oncilla_blob::testing::SeededRandom;
use oncilla_hash::{Checksum, ChecksumAlgorithm};
use oncilla_meta::memory::MemoryEngine;
use oncilla_store::object::{AppendError, AppendObject, GetObjectError};
use oncilla_store::rows::object::object_key;
use oncilla_store::{Bucket, ObjectRecord, Store, UniqueId};
use oncilla_wire::conditions::Conditions;
use oncilla_wire::xml::versioning::VersioningStatus;

async fn append(
    store: &Store,
    bucket: &Bucket,
    key: &str,
    offset: u64,
    body: &[u8],
) -> Result<ObjectRecord, AppendError> {
    append_if(store, bucket, key, offset, body, Conditions::default()).await
}

async fn append_if(
    store: &Store,
    bucket: &Bucket,
    key: &str,
    offset: u64,
    body: &[u8],
    conditions: Conditions,
) -> Result<ObjectRecord, AppendError> {
    let content = support::try_content(store, body).await.unwrap();
    let append = AppendObject {
        bucket: bucket.clone(),
        key: Bytes::copy_from_slice(key.as_bytes()),
        is_wanted: Arc::new(|_| true),
        offset,
        new: new_object(),
        conditions,
        checksum: None,
    };
    store.append_object(append, content).await
}

async fn copy(world: &World, bucket: &Bucket, from: &str, to: &str) -> ObjectRecord {
    let none = Conditions::default();
    let copy = copy_request(
        (bucket, from.as_bytes()),
        None,
        (bucket, to.as_bytes()),
        &none,
    );
    world.store.copy_object(copy, 5 << 30).await.unwrap().record
}

fn assert_sums(record: &ObjectRecord, body: &[u8]) {
    assert_eq!(record.size, body.len() as u64);
    let stored = record.checksum.as_ref().unwrap();
    assert_eq!(
        stored.checksum,
        Checksum::of(ChecksumAlgorithm::Crc64Nvme, body)
    );
    assert!(!stored.composite);
}

#[tokio::test]
async fn bytes_come_behind_those_that_are_there() {
    for world in [World::memory().await, World::embedded().await] {
        let bucket = world.bucket("b").await;
        let store = &world.store;
        // Small, large, and empty beginnings.
        for (number, begin) in [0usize, 100, 5_000, 200_000].into_iter().enumerate() {
            let key = format!("k{number}");
            let mut body = bytes_of(begin as u64, begin);
            let mut record = append(store, &bucket, &key, 0, &body).await.unwrap();
            assert_sums(&record, &body);
            for (step, length) in [10usize, 3_000, 100_000, 1, 0, 700].into_iter().enumerate() {
                let before = record.clone();
                let more = bytes_of(step as u64, length);
                let offset = body.len() as u64;
                record = append(store, &bucket, &key, offset, &more).await.unwrap();
                body.extend_from_slice(&more);
                assert_sums(&record, &body);
                assert_eq!(record.etag == before.etag, length == 0);
                let read = support::get(store, &bucket, &key).await.unwrap();
                assert_eq!(read.as_ref(), Some(&body));
            }
            let end = body.len() as u64;
            for start in [0, end / 3, end - 702, end - 1] {
                let read = support::get_range(store, &bucket, &key, start, end).await;
                assert_eq!(read, &body[start as usize..]);
            }
        }
        world.collect().await;
        world.assert_sound().await;
    }
}

#[tokio::test]
async fn what_does_not_fit_changes_nothing() {
    let world = World::memory().await;
    let bucket = world.bucket("b").await;
    let store = &world.store;
    let refused = append(store, &bucket, "k", 1, b"x").await;
    assert!(matches!(
        refused,
        Err(AppendError::InvalidOffset { size: 0 })
    ));
    let record = world.put(&bucket, "k", b"12345").await;
    for offset in [0, 4, 6, u64::MAX] {
        let refused = append(store, &bucket, "k", offset, &bytes_of(1, 9_000)).await;
        assert!(matches!(
            refused,
            Err(AppendError::InvalidOffset { size: 5 })
        ));
    }
    let other = oncilla_store::ETag::of_md5([1; 16]);
    let refused = append_if(store, &bucket, "k", 5, b"x", if_match(other)).await;
    assert!(matches!(refused, Err(AppendError::Condition(_))));
    assert_eq!(store.object(&bucket, b"k").await.unwrap(), record);
    let done = append_if(store, &bucket, "k", 5, b"x", if_match(record.etag)).await;
    assert_eq!(done.unwrap().size, 6);
    for status in [VersioningStatus::Enabled, VersioningStatus::Suspended] {
        store.set_versioning(&bucket, status).await.unwrap();
        // The description is from before.
        let refused = append(store, &bucket, "k", 6, b"x").await;
        assert!(matches!(refused, Err(AppendError::KeepsVersions)));
    }
    world.collect().await;
    world.assert_sound().await;
}

#[tokio::test]
async fn an_encrypted_object_takes_nothing_and_is_not_begun() {
    let world = World::memory_with(Setup::ENCRYPTED).await;
    let bucket = world.bucket("b").await;
    let store = &world.store;
    for (key, begin) in [("small", 100), ("large", 200_000)] {
        let body = bytes_of(1, begin);
        let refused = append(store, &bucket, key, 0, &body).await;
        assert!(matches!(refused, Err(AppendError::Encrypted)));
        let none = store.object(&bucket, key.as_bytes()).await;
        assert!(matches!(none, Err(GetObjectError::NoSuchKey)));
        let record = world.put(&bucket, key, &body).await;
        let refused = append(store, &bucket, key, begin as u64, b"more").await;
        assert!(matches!(refused, Err(AppendError::Encrypted)));
        let kept = store.object(&bucket, key.as_bytes()).await.unwrap();
        assert_eq!(kept, record);
        let read = support::get(store, &bucket, key).await.unwrap();
        assert_eq!(read.as_ref(), Some(&body));
    }
    world.collect().await;
    world.assert_sound().await;
}

#[tokio::test]
async fn copies_share_the_parts_and_go_their_own_ways() {
    let world = World::memory().await;
    let bucket = world.bucket("b").await;
    let store = &world.store;
    let mut random = SeededRandom::new(seed("append and copy"));
    let keys = ["a", "b", "c", "d"];
    let mut bodies: Vec<Vec<u8>> = vec![Vec::new(); keys.len()];
    for (key, body) in keys.iter().zip(&mut bodies) {
        *body = bytes_of(1, 2_000);
        world.put(&bucket, key, body).await;
    }
    for number in 0..150u64 {
        let index = random.below(keys.len() as u64) as usize;
        match random.below(8) {
            0..=4 => {
                let length = [1, 500, 3_000, 70_000][random.below(4) as usize];
                let more = bytes_of(number, length);
                let offset = bodies[index].len() as u64;
                let record = append(store, &bucket, keys[index], offset, &more).await;
                bodies[index].extend_from_slice(&more);
                assert_sums(&record.unwrap(), &bodies[index]);
            }
            5 => {
                let to = random.below(keys.len() as u64) as usize;
                if to != index {
                    copy(&world, &bucket, keys[index], keys[to]).await;
                    bodies[to] = bodies[index].clone();
                }
            }
            6 => {
                let body = bytes_of(number, random.below(5_000) as usize);
                world.put(&bucket, keys[index], &body).await;
                bodies[index] = body;
            }
            _ => {
                let upload = world.create_upload(&bucket, keys[index]).await;
                let body = bytes_of(number, 3_000);
                let part = world.put_part(&upload, 2, &body).await.unwrap();
                // This one is not chosen, and goes away while something is appended.
                world.put_part(&upload, 3, b"unused").await.unwrap();
                let parts = [(2, &part)];
                world
                    .complete(&bucket, keys[index], &upload, &parts)
                    .await
                    .unwrap();
                bodies[index] = body;
            }
        }
        if number % 10 == 0 {
            world.collect().await;
        }
        for (key, body) in keys.iter().zip(&bodies) {
            let read = support::get(store, &bucket, key).await.unwrap();
            assert_eq!(read.as_ref(), Some(body), "{key} after step {number}");
            let record = store.object(&bucket, key.as_bytes()).await.unwrap();
            let layout = store.layout(&record).await.unwrap();
            let parts = layout.map_or(0, |layout| layout.part_count());
            assert_eq!(parts, usize::from(record.etag.parts));
        }
    }
    world.collect().await;
    world.assert_sound().await;
}

#[tokio::test]
async fn a_reader_keeps_what_it_began_with() {
    let world = World::memory().await;
    let bucket = world.bucket("b").await;
    let store = &world.store;
    let body = bytes_of(1, 150_000);
    world.put(&bucket, "k", &body[..100_000]).await;
    append(store, &bucket, "k", 100_000, &body[100_000..])
        .await
        .unwrap();
    let opened = store.open_object(&bucket, b"k").await.unwrap();
    append(store, &bucket, "k", 150_000, b"more").await.unwrap();
    store
        .delete_object(&bucket, b"k", &Conditions::default())
        .await
        .unwrap();
    assert_eq!(support::read_to_end(opened.read_all()).await.unwrap(), body);
    world.collect().await;
    world.assert_sound().await;
}

#[tokio::test]
async fn there_are_ten_thousand_parts_at_most() {
    let world = World::memory().await;
    let bucket = world.bucket("b").await;
    let store = &world.store;
    for number in 0..10_000u64 {
        append(store, &bucket, "k", number, b"x").await.unwrap();
    }
    let refused = append(store, &bucket, "k", 10_000, b"x").await;
    assert!(matches!(refused, Err(AppendError::TooManyParts)));
    let record = store.object(&bucket, b"k").await.unwrap();
    assert_eq!(record.etag.parts, 10_000);
    assert!(record.encode().len() < 1_000, "the record stays small");
    let read = support::get_range(store, &bucket, "k", 9_990, 10_000).await;
    assert_eq!(read, b"xxxxxxxxxx");
}

async fn append_to(
    store: &Store,
    bucket: &Bucket,
    id: Option<UniqueId>,
    offset: u64,
    body: &[u8],
) -> Result<ObjectRecord, AppendError> {
    let content = support::try_content(store, body).await.unwrap();
    let conditions = match id {
        Some(_) => Conditions::default(),
        // A condition that fails would tell of the object, too.
        None => if_match(oncilla_store::ETag::of_md5([1; 16])),
    };
    let append = AppendObject {
        bucket: bucket.clone(),
        key: Bytes::from_static(b"k"),
        is_wanted: Arc::new(move |record| Some(record.id) == id),
        offset,
        new: new_object(),
        conditions,
        checksum: None,
    };
    store.append_object(append, content).await
}

/// Another object of the same size is not the one that was looked at, whenever it came.
#[tokio::test]
async fn only_what_is_wanted_is_appended_to() {
    let hooked = HookedEngine::new(Arc::new(MemoryEngine::new()));
    let mut world = World::on_engine(hooked.clone(), Setup::SMALL).await;
    let bucket = world.bucket("b").await;
    let before = world.put(&bucket, "k", b"11111").await;
    let present = world.put(&bucket, "k", b"22222").await;
    for (id, offset, body) in [
        (Some(before.id), 5, &b"x"[..]),
        (Some(before.id), 5, b""),
        (Some(before.id), 4, b"x"),
        (None, 5, b"x"),
        (None, 0, b"x"),
    ] {
        let refused = append_to(&world.store, &bucket, id, offset, body).await;
        assert!(matches!(refused, Err(AppendError::Replaced)), "{refused:?}");
    }
    assert_eq!(world.store.object(&bucket, b"k").await.unwrap(), present);
    // It comes between the look of the append and its commit.
    let other = world.store.clone();
    world.reopen().await;
    let of_other = bucket.clone();
    hooked.before_next_commit(async move {
        let none = Conditions::default();
        let replaced = support::put(&other, &of_other, "k", b"33333", &none);
        replaced.await.unwrap();
    });
    let refused = append_to(&world.store, &bucket, Some(present.id), 5, b"x").await;
    assert!(matches!(refused, Err(AppendError::Replaced)), "{refused:?}");
    assert!(!hooked.is_armed());
    let body = support::get(&world.store, &bucket, "k").await.unwrap();
    assert_eq!(body, Some(b"33333".to_vec()));
    let present = world.store.object(&bucket, b"k").await.unwrap();
    let done = append_to(&world.store, &bucket, Some(present.id), 5, b"x").await;
    assert_eq!(done.unwrap().size, 6);
    world.collect().await;
    world.assert_sound().await;
}

/// Two stores on one engine: each append sees the other's.
#[tokio::test]
async fn an_append_notices_what_another_process_does() {
    let hooked = HookedEngine::new(Arc::new(MemoryEngine::new()));
    let mut world = World::on_engine(hooked.clone(), Setup::SMALL).await;
    let bucket = world.bucket("b").await;
    world.put(&bucket, "k", b"begin").await;
    let other = world.store.clone();
    world.reopen().await;
    let row = object_key(bucket.id(), b"k");
    let bucket_of_other = bucket.clone();
    hooked.after_next_get(row, async move {
        append(&other, &bucket_of_other, "k", 5, b" other")
            .await
            .unwrap();
    });
    let refused = append(&world.store, &bucket, "k", 5, b" mine").await;
    assert!(
        matches!(refused, Err(AppendError::InvalidOffset { size: 11 })),
        "{refused:?}"
    );
    assert!(!hooked.is_armed());
    append(&world.store, &bucket, "k", 11, b" mine")
        .await
        .unwrap();
    let body = support::get(&world.store, &bucket, "k").await.unwrap();
    assert_eq!(body, Some(b"begin other mine".to_vec()));
    world.collect().await;
    world.assert_sound().await;
}
