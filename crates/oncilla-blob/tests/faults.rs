//! Devices that fail, fill up, lose power and decay.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use oncilla_blob::conformance::{
    eventually, read_all, read_range, seed, small_options, write_extent,
};
use oncilla_blob::testing::{Fault, FaultyFileSystem, Operation, SeededRandom};
use oncilla_blob::{Damage, Durability, Extent, OpenError, ReadError, Released};
use oncilla_blob::{VolumeId, VolumeOptions, Volumes, WriteError};
use parking_lot::Mutex;

const DIR: &str = "/data/volumes";

fn open(fs: &FaultyFileSystem) -> Volumes {
    open_with(fs, small_options()).expect("volumes open")
}

fn open_with(fs: &FaultyFileSystem, options: VolumeOptions) -> Result<Volumes, OpenError> {
    Volumes::open(Arc::new(fs.clone()), PathBuf::from(DIR), options)
}

fn path_of(volume: VolumeId) -> PathBuf {
    Path::new(DIR).join(volume.file_name())
}

async fn write(volumes: &Volumes, payload: &[u8]) -> Result<Extent, WriteError> {
    write_extent(volumes, payload, &mut SeededRandom::new(1)).await
}

#[tokio::test]
async fn a_failed_sync_is_never_taken_back() {
    let fs = FaultyFileSystem::new();
    let volumes = open(&fs);
    let payload = SeededRandom::new(1).bytes(50_000);
    let safe = write(&volumes, &payload).await.unwrap();

    let mut late = volumes.begin(payload.len() as u64).await.unwrap();
    late.write(Bytes::copy_from_slice(&payload)).await.unwrap();
    fs.inject(Operation::Sync, 0, 1, Fault::DeviceError);
    let failed = write(&volumes, &payload).await;
    assert!(
        matches!(failed, Err(WriteError::VolumeFailed { .. })),
        "{failed:?}"
    );
    // The next sync of the same file would succeed and mean nothing.
    let late = late.finish().await;
    assert!(
        matches!(late, Err(WriteError::VolumeFailed { .. })),
        "{late:?}"
    );

    let next = write(&volumes, &payload).await.unwrap();
    assert!(
        next.volume > safe.volume,
        "a failed volume took another extent"
    );
    assert_eq!(volumes.stats().syncs_failed, 1);
    volumes.shutdown().await;
    fs.power_cut(7);
    let volumes = open(&fs);
    for extent in [safe, next] {
        assert_eq!(read_all(&volumes, extent).await.unwrap(), payload);
    }
    volumes.shutdown().await;
}

#[tokio::test]
async fn a_full_device_is_reported_and_service_resumes() {
    for capacity_bytes in [0, 4096, 300_000, 800_000, 2_000_000] {
        let fs = FaultyFileSystem::new();
        let volumes = open(&fs);
        fs.set_capacity_bytes(Some(capacity_bytes));
        let payload = SeededRandom::new(2).bytes(250_000);
        let mut written = Vec::new();
        let error = loop {
            match write(&volumes, &payload).await {
                Ok(extent) => written.push(extent),
                Err(error) => break error,
            }
            assert!(written.len() < 100, "the device never filled");
        };
        assert!(matches!(error, WriteError::NoSpace), "{error:?}");
        for extent in &written {
            assert_eq!(read_all(&volumes, *extent).await.unwrap(), payload);
        }
        fs.set_capacity_bytes(Some(capacity_bytes + 1_000_000));
        // What was half reserved is given back in the background.
        eventually("service to resume", || async {
            write(&volumes, &payload).await.is_ok()
        })
        .await;
        volumes.shutdown().await;
    }
}

#[tokio::test]
async fn what_was_collected_stays_collected_after_a_loss_of_power() {
    for seed in 0..10 {
        let fs = FaultyFileSystem::new();
        let volumes = open(&fs);
        let payload = SeededRandom::new(3).bytes(200_000);
        let kept = write(&volumes, &payload).await.unwrap();
        write(&volumes, &payload).await.unwrap();
        volumes.shutdown().await;
        let volumes = open(&fs);
        let freed = volumes.collect(kept.volume, vec![kept]).await.unwrap();
        assert!(freed >= payload.len() as u64);
        let allocated_bytes = fs.allocated_bytes();
        volumes.shutdown().await;
        fs.power_cut(seed);
        assert_eq!(fs.allocated_bytes(), allocated_bytes, "seed {seed}");
        let volumes = open(&fs);
        assert_eq!(read_all(&volumes, kept).await.unwrap(), payload);
        volumes.shutdown().await;
    }
}

#[tokio::test]
async fn releasing_makes_room_on_a_full_device() {
    let fs = FaultyFileSystem::new();
    let volumes = open(&fs);
    fs.set_capacity_bytes(Some(1 << 20));
    let payload = SeededRandom::new(2).bytes(700_000);
    let first = write(&volumes, &payload).await.unwrap();
    assert!(matches!(
        write(&volumes, &payload).await,
        Err(WriteError::NoSpace)
    ));
    assert_eq!(volumes.release(first).await.unwrap(), Released::Done);
    eventually("room", || async { write(&volumes, &payload).await.is_ok() }).await;
    volumes.shutdown().await;
}

#[tokio::test]
async fn every_place_where_a_write_can_fail_reports_it() {
    let payload = SeededRandom::new(3).bytes(1_200_000);
    let cases = [
        (Operation::Create, 0),
        (Operation::Allocate, 0),
        (Operation::SyncDir, 1), // the first is the opening's
        (Operation::Sync, 0),    // of the new volume
        (Operation::Sync, 1),    // of the extent
        (Operation::Write, 0),   // of the volume's header
        (Operation::Write, 1),   // of the first flush
        (Operation::Write, 3),   // in the middle
        (Operation::Write, 5),   // at the end or of the head
    ];
    for (operation, skip) in cases {
        for fault in [Fault::DeviceError, Fault::NoSpace] {
            let fs = FaultyFileSystem::new();
            fs.inject(operation, skip, 1, fault);
            let volumes = open(&fs);
            let mut writer = None;
            let failed = async {
                let begun = volumes.begin(payload.len() as u64).await?;
                let writer = writer.insert(begun);
                for piece in payload.chunks(200_000) {
                    writer.write(Bytes::copy_from_slice(piece)).await?;
                }
                Ok::<(), WriteError>(())
            }
            .await;
            let failed = match (failed, writer) {
                (Ok(()), Some(writer)) => writer.finish().await.map(drop),
                (failed, _) => failed,
            };
            assert!(
                failed.is_err(),
                "{operation:?} {skip} {fault:?} was not reported"
            );
            if fault == Fault::NoSpace {
                assert!(matches!(failed, Err(WriteError::NoSpace)), "{failed:?}");
            }
            let extent = write(&volumes, &payload).await.unwrap();
            assert_eq!(read_all(&volumes, extent).await.unwrap(), payload);
            volumes.shutdown().await;
        }
    }
}

#[tokio::test]
async fn short_and_interrupted_calls_are_continued() {
    let fs = FaultyFileSystem::new();
    let volumes = open(&fs);
    for fault in [Fault::Short, Fault::Interrupted] {
        fs.inject(Operation::Write, 0, 7, fault);
        let payload = SeededRandom::new(4).bytes(900_000);
        let extent = write(&volumes, &payload).await.unwrap();
        fs.inject(Operation::Read, 0, 7, fault);
        assert_eq!(read_all(&volumes, extent).await.unwrap(), payload);
        fs.heal();
    }
    volumes.shutdown().await;
}

#[tokio::test]
async fn read_errors_are_reported_and_pass() {
    let fs = FaultyFileSystem::new();
    let volumes = open(&fs);
    let payload = SeededRandom::new(4).bytes(900_000);
    let extent = write(&volumes, &payload).await.unwrap();
    for skip in 0..4 {
        fs.inject(Operation::Read, skip, 1, Fault::DeviceError);
        let failed = read_all(&volumes, extent).await;
        assert!(matches!(failed, Err(ReadError::Io { .. })), "{failed:?}");
        assert_eq!(read_all(&volumes, extent).await.unwrap(), payload);
    }
    volumes.shutdown().await;
}

#[tokio::test]
async fn any_flipped_bit_is_noticed_and_never_served() {
    let seed = seed("flipped bits");
    let mut random = SeededRandom::new(seed);
    let fs = FaultyFileSystem::new();
    let volumes = open(&fs);
    for length in [1, 4096, 40_000, 1_000_000] {
        let payload = random.bytes(length as usize);
        let extent = write(&volumes, &payload).await.unwrap();
        let path = path_of(extent.volume);
        let frame_bytes = 4096;
        let head_bytes = 64 + 4 * u64::div_ceil(length, frame_bytes);
        // Every byte of the header, some of the table, some of the payload.
        let mut places: Vec<u64> = (0..64).collect();
        places.extend((0..40).map(|_| 64 + random.below(head_bytes - 64)));
        places.extend((0..40).map(|_| head_bytes + random.below(length)));
        for place in places {
            let bit = random.below(8) as u8;
            fs.flip_bit(&path, extent.offset + place, bit);
            let verified = volumes.verify(extent).await;
            let Err(ReadError::Damaged { damage, .. }) = verified else {
                panic!("byte {place} bit {bit} of {length}: {verified:?}");
            };
            if place < head_bytes {
                // A longer length may point beyond the end of the file.
                assert!(
                    matches!(damage, Damage::Header | Damage::Truncated),
                    "{damage}"
                );
            } else {
                let frame = (place - head_bytes) / frame_bytes;
                assert_eq!(
                    damage,
                    Damage::Frame {
                        index: frame as u32
                    }
                );
                // Frames beside the damaged one can still be had.
                let start = frame * frame_bytes;
                assert_eq!(
                    read_range(&volumes, extent, 0..start).await.unwrap(),
                    payload[..start as usize]
                );
                let end = (start + frame_bytes).min(length);
                assert_eq!(
                    read_range(&volumes, extent, end..length).await.unwrap(),
                    payload[end as usize..]
                );
            }
            fs.flip_bit(&path, extent.offset + place, bit);
        }
        volumes.verify(extent).await.unwrap();
    }
    assert!(volumes.stats().damaged_reads > 0);
    volumes.shutdown().await;
}

#[tokio::test]
async fn a_damaged_volume_header_is_shown_and_costs_no_extent() {
    let fs = FaultyFileSystem::new();
    let volumes = open(&fs);
    let extent = write(&volumes, b"payload").await.unwrap();
    fs.flip_bit(&path_of(extent.volume), 20, 3);
    assert!(!volumes.volumes().unwrap()[0].header_intact);
    volumes.shutdown().await;
    let volumes = open(&fs);
    assert_eq!(read_all(&volumes, extent).await.unwrap(), b"payload");
    assert!(write(&volumes, b"more").await.unwrap().volume > extent.volume);
    volumes.shutdown().await;
}

#[tokio::test]
async fn a_newer_format_is_refused() {
    use oncilla_blob::format::VolumeHeader;
    use oncilla_blob::fs::FileSystem;
    let fs = FaultyFileSystem::new();
    let volumes = open(&fs);
    let extent = write(&volumes, b"payload").await.unwrap();
    volumes.shutdown().await;
    let file = fs.open(&path_of(extent.volume)).unwrap();
    let mut header = vec![0; 4096];
    file.read_at(&mut header, 0).unwrap();
    let mut newer: VolumeHeader = VolumeHeader::decode(&header).unwrap();
    newer.version = 2;
    file.write_at(&newer.encode(), 0).unwrap();
    let refused = open_with(&fs, small_options());
    assert!(matches!(
        refused,
        Err(OpenError::NewerFormat { version: 2, .. })
    ));
}

#[tokio::test]
async fn options_have_limits() {
    let fs = FaultyFileSystem::new();
    let good = VolumeOptions::default;
    let wrong = [
        (
            "frame_bytes",
            VolumeOptions {
                frame_bytes: 5000,
                ..good()
            },
        ),
        (
            "frame_bytes",
            VolumeOptions {
                frame_bytes: 0,
                ..good()
            },
        ),
        (
            "extent_bytes_max",
            VolumeOptions {
                extent_bytes_max: 0,
                ..good()
            },
        ),
        (
            "volume_bytes",
            VolumeOptions {
                volume_bytes: 1 << 20,
                ..good()
            },
        ),
        (
            "group",
            VolumeOptions {
                group: "g".repeat(65),
                ..good()
            },
        ),
    ];
    for (name, options) in wrong {
        let refused = open_with(&fs, options);
        assert!(matches!(refused, Err(OpenError::Option { option, .. }) if option == name));
    }
}

#[tokio::test]
async fn a_file_system_without_holes_still_works() {
    let fs = FaultyFileSystem::new();
    fs.set_punching_unsupported();
    let volumes = open(&fs);
    let extent = write(&volumes, b"payload").await.unwrap();
    assert_eq!(volumes.release(extent).await.unwrap(), Released::Done);
    write(&volumes, b"next").await.unwrap();
    volumes.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_sync_serves_many_writers() {
    let dir = tempfile::tempdir().unwrap();
    let fs = Arc::new(oncilla_blob::fs::RealFileSystem);
    let volumes = Volumes::open(fs, dir.path().to_owned(), small_options()).unwrap();
    let writers: Vec<_> = (0..64)
        .map(|index| {
            let volumes = volumes.clone();
            tokio::spawn(async move { write(&volumes, &[index; 20_000]).await.unwrap() })
        })
        .collect();
    for (index, writer) in writers.into_iter().enumerate() {
        let extent = writer.await.unwrap();
        assert_eq!(
            read_all(&volumes, extent).await.unwrap(),
            [index as u8; 20_000]
        );
    }
    let stats = volumes.stats();
    assert_eq!(stats.sync_waiters, 64);
    assert!(stats.syncs < 64, "{} syncs for 64 waiters", stats.syncs);
    assert_eq!(stats.sync_seconds.counts.iter().sum::<u64>(), stats.syncs);
    volumes.shutdown().await;
}

#[tokio::test]
async fn without_sync_nothing_is_synced_but_volumes() {
    let fs = FaultyFileSystem::new();
    let options = VolumeOptions {
        durability: Durability::Os,
        ..small_options()
    };
    let volumes = open_with(&fs, options).unwrap();
    for _ in 0..10 {
        write(&volumes, b"payload").await.unwrap();
    }
    assert_eq!(fs.count(Operation::Sync), 1, "the new volume's own");
    volumes.shutdown().await;
}

/// Writers race while the power goes at a random change; afterwards every acknowledged extent
/// must read back exactly, unless its release was asked for, and no place may come twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_extents_survive_power_cuts() {
    let seed = seed("power cuts");
    let mut random = SeededRandom::new(seed);
    let fs = FaultyFileSystem::new();
    let mut kept: Vec<(Extent, Vec<u8>)> = Vec::new();
    let mut ever: std::collections::HashSet<Extent> = std::collections::HashSet::new();
    let mut survivors = 0;
    for round in 0..60 {
        fs.cut_after(random.below(120));
        let acknowledged = Arc::new(Mutex::new(Vec::new()));
        let released = Arc::new(Mutex::new(Vec::new()));
        // Opening may fail, when the power goes that early.
        if let Ok(volumes) = open_with(&fs, small_options()) {
            let writers: Vec<_> = (0..4)
                .map(|_| {
                    let mut random = SeededRandom::new(random.next_u64());
                    let (volumes, acknowledged) = (volumes.clone(), Arc::clone(&acknowledged));
                    let released = Arc::clone(&released);
                    tokio::spawn(async move {
                        loop {
                            let length = random.magnitude(20) as usize;
                            let payload = random.bytes(length);
                            let written = write_extent(&volumes, &payload, &mut random).await;
                            let Ok(extent) = written else { return };
                            if random.below(4) == 0 {
                                released.lock().push(extent);
                                let _ = volumes.release(extent).await;
                            } else {
                                acknowledged.lock().push((extent, payload));
                            }
                        }
                    })
                })
                .collect();
            for writer in writers {
                writer.await.unwrap();
            }
            volumes.shutdown().await;
        }
        fs.power_cut(random.next_u64());
        let acknowledged = std::mem::take(&mut *acknowledged.lock());
        let volumes = open(&fs);
        let released = std::mem::take(&mut *released.lock());
        for extent in acknowledged
            .iter()
            .map(|(extent, _)| *extent)
            .chain(released)
        {
            assert!(
                ever.insert(extent),
                "round {round}: {extent} was given before"
            );
        }
        survivors += acknowledged.len();
        kept.extend(acknowledged);
        for (extent, payload) in &kept {
            match read_all(&volumes, *extent).await {
                Ok(bytes) => assert!(bytes == *payload, "round {round}: {extent} differs"),
                Err(error) => panic!("round {round}: {error}"),
            }
        }
        // A later run must not have been given a number that was ever in use.
        let probe = write(&volumes, b"probe").await.unwrap();
        assert!(
            ever.insert(probe),
            "round {round}: {probe} was given before"
        );
        let before = ever
            .iter()
            .filter(|extent| **extent != probe)
            .map(|extent| extent.volume);
        assert!(
            before.max().is_none_or(|greatest| probe.volume > greatest),
            "round {round}"
        );
        kept.push((probe, b"probe".to_vec()));
        // The collector finds all that a crash leaves, and nothing else.
        let live: Vec<Extent> = kept.iter().map(|(extent, _)| *extent).collect();
        for info in volumes
            .volumes()
            .unwrap()
            .into_iter()
            .filter(|info| info.earlier_run)
        {
            volumes.collect(info.id, live.clone()).await.unwrap();
        }
        for (extent, payload) in &kept {
            assert!(
                read_all(&volumes, *extent).await.unwrap() == *payload,
                "round {round}"
            );
        }
        volumes.shutdown().await;
        // Forget most, for the test to stay quick.
        let volumes = open(&fs);
        while kept.len() > 40 {
            let (extent, _) = kept.swap_remove(random.below(kept.len() as u64) as usize);
            assert_eq!(volumes.release(extent).await.unwrap(), Released::Done);
        }
        volumes.shutdown().await;
    }
    assert!(
        survivors > 60,
        "only {survivors} extents were acknowledged before a cut"
    );
}
