//! Devices that fill up, fail, lose power and decay: nothing acknowledged is lost, nothing wrong
//! is served.

use std::collections::BTreeMap;
use std::path::Path;

use crate::support::{Setup, VOLUMES_DIR, World, bytes_of, get, put};
use bytes::Bytes;
use oncilla_blob::conformance::seed;
use oncilla_blob::testing::{Fault as FsFault, Operation, SeededRandom};
use oncilla_meta::{EngineError, Mutation, memory::MemoryEngine};
use oncilla_store::check::Severity;
use oncilla_store::object::PutObjectError;
use oncilla_store::rows::body;
use oncilla_store::rows::placement::Placement;
use oncilla_store::{Bucket, Fault, ObjectRecord};
use oncilla_wire::conditions::Conditions;
use std::sync::Arc;

async fn try_put(world: &World, bucket: &Bucket, key: &str, body: &[u8]) -> Result<(), Fault> {
    match put(&world.store, bucket, key, body, &Conditions::default()).await {
        Ok(_) => Ok(()),
        Err(PutObjectError::Fault(fault)) => Err(fault),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_full_disk_changes_nothing_and_service_resumes() {
    let world = World::memory().await;
    let bucket = world.bucket("b").await;
    let before = bytes_of(1, 100_000);
    world.put(&bucket, "k", &before).await;
    let fs = world.memory_fs();
    for room in [0, 4096, 70_000, 200_000] {
        fs.set_capacity_bytes(Some(fs.allocated_bytes() + room));
        let full = try_put(&world, &bucket, "k", &bytes_of(2, 300_000)).await;
        assert!(matches!(full, Err(Fault::NoSpace)), "{full:?}");
        assert_eq!(world.get(&bucket, "k").await.as_ref(), Some(&before));
        fs.set_capacity_bytes(None);
        world.assert_sound().await;
    }
    let after = bytes_of(3, 300_000);
    world.put(&bucket, "k", &after).await;
    world.collect().await;
    assert_eq!(world.get(&bucket, "k").await, Some(after));
    world.assert_sound().await;
}

#[tokio::test]
async fn a_full_metadata_device_changes_nothing_either() {
    let engine = Arc::new(MemoryEngine::new());
    let world = World::on_engine(engine.clone(), Setup::SMALL).await;
    let bucket = world.bucket("b").await;
    let before = bytes_of(1, 100_000);
    world.put(&bucket, "k", &before).await;
    for size in [100, 100_000] {
        engine.fail_next_commit(EngineError::NoSpace);
        let full = try_put(&world, &bucket, "k", &bytes_of(2, size)).await;
        assert!(matches!(full, Err(Fault::NoSpace)), "{full:?}");
        assert_eq!(world.get(&bucket, "k").await.as_ref(), Some(&before));
        world.assert_sound().await;
    }
}

#[tokio::test]
async fn a_failed_sync_or_write_is_not_acknowledged() {
    for operation in [Operation::Sync, Operation::Write] {
        let world = World::memory().await;
        let bucket = world.bucket("b").await;
        let before = bytes_of(1, 200_000);
        world.put(&bucket, "k", &before).await;
        for skip in 0..3 {
            let fs = world.memory_fs();
            // All from the chosen one on fail: the deletion of an emptied volume in the background
            // syncs too, and must not take the only fault away from the put.
            fs.inject(operation, skip, u64::MAX, FsFault::DeviceError);
            let failed = try_put(&world, &bucket, "k", &bytes_of(2, 200_000)).await;
            assert!(matches!(failed, Err(Fault::Failed(_))), "{failed:?}");
            fs.heal();
            assert_eq!(world.get(&bucket, "k").await.as_ref(), Some(&before));
            world.assert_sound().await;
        }
        world.put(&bucket, "k", b"after").await;
        world.collect().await;
        world.assert_sound().await;
    }
}

#[tokio::test]
async fn a_power_cut_takes_nothing_that_was_acknowledged() {
    let seed = seed("power cuts");
    for round in 0..40 {
        let mut random = SeededRandom::new(seed.wrapping_add(round));
        let mut world = World::memory().await;
        let bucket = world.bucket("b").await;
        let mut acknowledged: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for _ in 0..3 {
            world.memory_fs().cut_after(random.below(120));
            for step in 0..25 {
                let key = format!("k{}", random.below(5));
                let body = bytes_of(random.next_u64(), random.magnitude(18) as usize);
                match random.below(6) {
                    0 => {
                        world.delete(&bucket, &key).await;
                        acknowledged.remove(&key);
                    }
                    1 if step % 2 == 0 => {
                        // The collector runs now and then, for a moment.
                        let round = world.store.run_collector();
                        let a_moment = std::time::Duration::from_millis(1);
                        let _ = tokio::time::timeout(a_moment, round).await;
                    }
                    _ => {
                        if try_put(&world, &bucket, &key, &body).await.is_ok() {
                            acknowledged.insert(key, body);
                        }
                    }
                }
            }
            world.store.volumes().shutdown().await;
            world.memory_fs().power_cut(random.next_u64());
            world.reopen().await;
            for number in 0..5 {
                let key = format!("k{number}");
                let read = get(&world.store, &bucket, &key).await;
                let read = read.unwrap_or_else(|fault| panic!("round {round}, {key}: {fault}"));
                assert!(
                    read.as_ref() == acknowledged.get(&key),
                    "round {round}, {key}"
                );
            }
            world.store.sweep_volumes().await.unwrap();
            world.collect().await;
            // A release whose hole reached the device in part has no header left to be released
            // by. Its volume counts as not swept from then on, so the next start finds the rest.
            world.store.sweep_volumes().await.unwrap();
            world.assert_sound().await;
        }
    }
}

/// Reads an object that must be damaged; what is given before the damage must be right.
async fn assert_not_served(world: &World, bucket: &Bucket, key: &str, body: &[u8]) {
    let opened = match world.store.open_object(bucket, key.as_bytes()).await {
        Ok(opened) => opened,
        Err(error) => {
            assert!(error.to_string().contains("damaged"), "{error}");
            return;
        }
    };
    let mut reader = opened.read_all();
    let mut read = Vec::new();
    let fault = loop {
        match reader.next().await {
            Ok(Some(piece)) => read.extend_from_slice(&piece),
            Ok(None) => panic!("damage was served"),
            Err(fault) => break fault,
        }
    };
    assert!(matches!(fault, Fault::Damaged(_)), "{fault}");
    assert!(body.starts_with(&read) && read.len() < body.len());
}

async fn flip(world: &World, placement: &Placement, random: &mut SeededRandom) {
    match placement {
        Placement::Extents(extents) => {
            let extent = extents[random.below(extents.len() as u64) as usize];
            let path = Path::new(VOLUMES_DIR).join(extent.volume.file_name());
            // Header, table or payload: all of it is covered.
            let frames = extent.length.div_ceil(u64::from(world.setup.frame_bytes));
            let at = extent.offset + random.below(64 + 4 * frames + extent.length);
            world.memory_fs().flip_bit(&path, at, random.below(8) as u8);
        }
        Placement::Inline(id) => {
            let key = body::body_key(*id);
            let value = world.engine.get(body::SPACE, &key).await.unwrap().unwrap();
            let mut value = value.to_vec();
            let at = random.below(value.len() as u64) as usize;
            value[at] ^= 1 << random.below(8);
            let mut mutation = Mutation::new();
            mutation.put(body::SPACE, key, Bytes::from(value));
            world.engine.commit(mutation).await.unwrap();
        }
        Placement::Empty | Placement::Upload(_) => panic!("nothing to damage"),
    }
}

#[tokio::test]
async fn a_flipped_bit_is_found_and_never_served() {
    let mut random = SeededRandom::new(seed("flipped bits"));
    for size in [1, 800, 5_000, 200_000] {
        for in_parts in [false, true] {
            for _ in 0..8 {
                let world = World::memory().await;
                let bucket = world.bucket("b").await;
                let body = bytes_of(random.next_u64(), size);
                world.put(&bucket, "sound", &body).await;
                let placement = match in_parts {
                    false => world.put(&bucket, "k", &body).await.placement,
                    true => {
                        let upload = world.create_upload(&bucket, "k").await;
                        let part = world.put_part(&upload, 1, &body).await.unwrap();
                        let parts = [(1, &part)];
                        let completed = world.complete(&bucket, "k", &upload, &parts);
                        let _: ObjectRecord = completed.await.unwrap();
                        part.placement
                    }
                };
                world.assert_sound().await;
                flip(&world, &placement, &mut random).await;
                assert_not_served(&world, &bucket, "k", &body).await;
                assert_eq!(world.get(&bucket, "sound").await.as_ref(), Some(&body));
                let mut findings = Vec::new();
                let mut report = |finding| findings.push(finding);
                let summary = world.store.scrub(&mut report, &mut |_| ()).await.unwrap();
                assert_eq!((summary.damaged, findings.len()), (1, 1), "{findings:?}");
                assert_eq!(findings[0].severity, Severity::Damage);
                if !in_parts {
                    assert_eq!(findings[0].key.as_deref(), Some(&b"k"[..]));
                }
            }
        }
    }
}
