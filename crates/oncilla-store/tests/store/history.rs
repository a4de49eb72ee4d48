//! Random concurrent histories against what a register may answer, while the collector runs.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::support::{self, World, bytes_of, md5, named_part, put, read_to_end};
use oncilla_blob::conformance::seed;
use oncilla_blob::testing::SeededRandom;
use oncilla_store::object::{CopyError, GetObjectError};
use oncilla_store::{Bucket, ObjectRecord, Store, UniqueId};
use oncilla_wire::conditions::Conditions;
use parking_lot::Mutex;

const KEYS: u64 = 4;
const TASKS: u64 = 8;

/// What an operation did to or saw of its key.
#[derive(Clone, Debug)]
enum Did {
    Wrote(UniqueId, u64),
    /// What was there before; nothing if the key was free.
    Deleted(Option<UniqueId>),
    Read(Option<(UniqueId, u64)>),
}

/// An operation with the moments of its begin and end.
#[derive(Clone, Debug)]
struct Event {
    key: u64,
    begin: u64,
    end: u64,
    did: Did,
}

#[derive(Default)]
struct History {
    now: AtomicU64,
    events: Mutex<Vec<Event>>,
}

impl History {
    fn moment(&self) -> u64 {
        self.now.fetch_add(1, Ordering::SeqCst)
    }

    fn record(&self, key: u64, begin: u64, did: Did) {
        let end = self.moment();
        self.events.lock().push(Event {
            key,
            begin,
            end,
            did,
        });
    }
}

fn name(key: u64) -> String {
    format!("key-{key}")
}

/// Reads an object and checks its bytes against its entity tag.
async fn read(store: &Store, bucket: &Bucket, key: u64, slow: bool) -> Option<ObjectRecord> {
    let opened = match store.open_object(bucket, name(key).as_bytes()).await {
        Ok(opened) => opened,
        Err(GetObjectError::NoSuchKey) => return None,
        Err(error) => panic!("{}: {error}", name(key)),
    };
    if slow {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let record = opened.record.clone();
    let bytes = read_to_end(opened.read_all()).await.unwrap();
    assert_eq!(bytes.len() as u64, record.size);
    let expected = match record.etag.parts {
        0 => md5(&bytes),
        _ => md5(&md5(&bytes)),
    };
    assert_eq!(record.etag.md5, expected, "bytes of another object");
    Some(record)
}

async fn complete_in_parts(store: &Store, bucket: &Bucket, key: u64, body: &[u8]) -> ObjectRecord {
    use oncilla_hash::ChecksumAlgorithm::Crc64Nvme;
    use oncilla_store::multipart::{CompleteUpload, UploadChecksum};
    let checksum = UploadChecksum {
        algorithm: Crc64Nvme,
        composite: false,
        declared: false,
    };
    let key = name(key);
    let created = store.create_upload(bucket, key.as_bytes(), support::new_object(), checksum);
    let id = created.await.unwrap();
    let upload = store.upload(bucket, key.as_bytes(), id).await.unwrap();
    let content = support::try_content(store, body).await.unwrap();
    let part = store.put_part(&upload, 1, content).await.unwrap();
    let complete = CompleteUpload {
        bucket,
        key: key.as_bytes(),
        upload: id,
        parts: &[named_part(1, &part)],
        checksum: None,
        size: None,
        conditions: &Conditions::default(),
    };
    store.complete_upload(complete).await.unwrap()
}

async fn act(store: &Store, bucket: &Bucket, history: &History, random: &mut SeededRandom) {
    let key = random.below(KEYS);
    let body = bytes_of(random.next_u64(), random.magnitude(18) as usize);
    let none = Conditions::default();
    let key_name = name(key);
    let begin = history.moment();
    match random.below(10) {
        0..=2 => {
            let written = put(store, bucket, &name(key), &body, &none).await.unwrap();
            history.record(key, begin, Did::Wrote(written.id, written.time));
        }
        3 => {
            let written = complete_in_parts(store, bucket, key, &body).await;
            history.record(key, begin, Did::Wrote(written.id, written.time));
        }
        4 => {
            let deleted = store.delete_object(bucket, key_name.as_bytes(), &none);
            let before = deleted.await.unwrap().record.map(|record| record.id);
            history.record(key, begin, Did::Deleted(before));
        }
        5 => {
            let source = name(random.below(KEYS));
            let copy = support::copy_request(
                (bucket, source.as_bytes()),
                None,
                (bucket, key_name.as_bytes()),
                &none,
            );
            match store.copy_object(copy, u64::MAX).await {
                Ok(copied) => {
                    let written = copied.record;
                    history.record(key, begin, Did::Wrote(written.id, written.time));
                }
                Err(CopyError::Source(GetObjectError::NoSuchKey)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        kind => {
            let record = read(store, bucket, key, kind == 9).await;
            let seen = record.map(|record| (record.id, record.time));
            history.record(key, begin, Did::Read(seen));
        }
    }
}

/// Checks one key's events: what a read (or a deletion) saw must have been begun before, and
/// nothing may have wholly come between.
fn check(events: &[Event]) {
    let writes: HashMap<UniqueId, (u64, &Event)> = events
        .iter()
        .filter_map(|event| match event.did {
            Did::Wrote(id, time) => Some((id, (time, event))),
            Did::Deleted(_) | Did::Read(_) => None,
        })
        .collect();
    let removals: Vec<&Event> = events
        .iter()
        .filter(|event| matches!(event.did, Did::Deleted(Some(_))))
        .collect();
    let mut removed: HashMap<UniqueId, &Event> = HashMap::new();
    for event in &removals {
        if let Did::Deleted(Some(id)) = event.did {
            assert!(
                removed.insert(id, event).is_none(),
                "deleted twice: {event:?}"
            );
        }
    }
    for event in events {
        let seen = match event.did {
            Did::Read(seen) => seen.map(|(id, _)| id),
            Did::Deleted(seen) => seen,
            Did::Wrote(..) => continue,
        };
        match seen {
            Some(id) => {
                let (time, write) = writes
                    .get(&id)
                    .unwrap_or_else(|| panic!("unknown: {event:?}"));
                assert!(write.begin < event.end, "from the future: {event:?}");
                let hidden = writes
                    .values()
                    .find(|(other_time, other)| other_time > time && other.end < event.begin);
                assert!(hidden.is_none(), "{event:?} missed {hidden:?}");
                let gone = removed.get(&id).filter(|removal| removal.end < event.begin);
                assert!(gone.is_none(), "{event:?} after {gone:?}");
            }
            None => {
                // Whatever was acknowledged before must have been removed since, or replaced by
                // something that was removed.
                let before = writes.values().map(|(_, write)| write);
                let newest = before.filter(|write| write.end < event.begin);
                if let Some(newest) = newest.max_by_key(|write| write.end) {
                    let free = removals
                        .iter()
                        .any(|removal| removal.end > newest.begin && removal.begin < event.end);
                    assert!(free, "{event:?} missed {newest:?}");
                }
            }
        }
    }
    // Reads one after the other never go back in the order of writes.
    let mut reads: Vec<(&Event, u64)> = events
        .iter()
        .filter_map(|event| match event.did {
            Did::Read(Some((_, time))) => Some((event, time)),
            _ => None,
        })
        .collect();
    reads.sort_by_key(|(event, _)| event.begin);
    for (index, (later, time)) in reads.iter().enumerate() {
        let newest_before = reads[..index]
            .iter()
            .filter(|(earlier, _)| earlier.end < later.begin)
            .max_by_key(|(_, time)| *time);
        if let Some((earlier, seen)) = newest_before {
            assert!(seen <= time, "{later:?} is older than {earlier:?}");
        }
    }
}

async fn run(world: &World, seed: u64, steps: u64) {
    let bucket = world.bucket("history").await;
    let history = Arc::new(History::default());
    let ended = Arc::new(AtomicBool::new(false));
    let collector = {
        let (store, ended) = (world.store.clone(), ended.clone());
        tokio::spawn(async move {
            // Started again and again: it never rests, and is stopped at any point.
            while !ended.load(Ordering::Relaxed) {
                let round = store.run_collector();
                let _ = tokio::time::timeout(Duration::from_millis(3), round).await;
            }
        })
    };
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (store, bucket) = (world.store.clone(), bucket.clone());
            let history = history.clone();
            let mut random = SeededRandom::new(seed.wrapping_mul(31).wrapping_add(task));
            tokio::spawn(async move {
                for _ in 0..steps {
                    act(&store, &bucket, &history, &mut random).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    for key in 0..KEYS {
        let begin = history.moment();
        let seen = read(&world.store, &bucket, key, false).await;
        history.record(
            key,
            begin,
            Did::Read(seen.map(|record| (record.id, record.time))),
        );
    }
    ended.store(true, Ordering::Relaxed);
    collector.await.unwrap();
    let events = history.events.lock().clone();
    for key in 0..KEYS {
        let of_key: Vec<Event> = events
            .iter()
            .filter(|event| event.key == key)
            .cloned()
            .collect();
        assert!(!of_key.is_empty());
        check(&of_key);
    }
    world.collect().await;
    world.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_memory() {
    let seed = seed("history in memory");
    for round in 0..4 {
        run(&World::memory().await, seed.wrapping_add(round), 150).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_the_embedded_engine() {
    run(&World::embedded().await, seed("embedded history"), 60).await;
}

#[test]
fn the_check_finds_a_lost_write() {
    let id = |number| UniqueId([number; 16]);
    let event = |begin, end, did| Event {
        key: 0,
        begin,
        end,
        did,
    };
    let stale = [
        event(0, 1, Did::Wrote(id(1), 1)),
        event(2, 3, Did::Wrote(id(2), 2)),
        event(4, 5, Did::Read(Some((id(1), 1)))),
    ];
    let lost = [
        event(0, 1, Did::Wrote(id(1), 1)),
        event(4, 5, Did::Read(None)),
    ];
    for events in [&stale[..], &lost[..]] {
        assert!(std::panic::catch_unwind(|| check(events)).is_err());
    }
}
