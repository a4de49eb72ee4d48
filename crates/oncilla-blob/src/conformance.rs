//! What volumes promise, as checks that run on any [`FileSystem`].
//!
//! A check panics when a promise is broken. [`run_all`] runs them all, each in a directory of its
//! own; [`random_history`] compares a random history with a model that is a plain map.

use std::collections::HashMap;
use std::future::Future;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use crate::fs::FileSystem;
use crate::testing::SeededRandom;
use crate::{
    Extent, ReadError, Released, VolumeId, VolumeInfo, VolumeOptions, Volumes, WriteError,
};

/// How long a check waits for what happens in the background.
const BACKGROUND_WAIT: Duration = Duration::from_secs(20);

/// The seed of a randomised test: `ONCILLA_TEST_SEED`, or else a new one. Prints how to repeat it.
#[must_use]
pub fn seed(test: &str) -> u64 {
    let seed = match std::env::var("ONCILLA_TEST_SEED") {
        Ok(seed) => seed.parse().expect("ONCILLA_TEST_SEED must be a number"),
        Err(_) => {
            let now = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            SeededRandom::new(now.as_nanos() as u64).next_u64()
        }
    };
    println!("{test}: repeat with ONCILLA_TEST_SEED={seed}");
    seed
}

/// Options small enough that a test fills several volumes: 4 MiB each, frames of 4 KiB.
#[must_use]
pub fn small_options() -> VolumeOptions {
    VolumeOptions {
        volume_bytes: 4 << 20,
        extent_bytes_max: 2 << 20,
        frame_bytes: 4 << 10,
        group: "conformance".to_owned(),
        ..VolumeOptions::default()
    }
}

/// Writes one extent in pieces of random sizes.
pub async fn write_extent(
    volumes: &Volumes,
    payload: &[u8],
    random: &mut SeededRandom,
) -> Result<Extent, WriteError> {
    let mut writer = volumes.begin(payload.len() as u64).await?;
    let mut rest = Bytes::copy_from_slice(payload);
    while !rest.is_empty() {
        let piece = 1 + random.magnitude(20) as usize;
        writer.write(rest.split_to(piece.min(rest.len()))).await?;
    }
    writer.finish().await
}

/// Reads a range of an extent into one buffer.
pub async fn read_range(
    volumes: &Volumes,
    extent: Extent,
    range: Range<u64>,
) -> Result<Vec<u8>, ReadError> {
    let mut reader = volumes.read(extent, range);
    let mut bytes = Vec::new();
    while let Some(piece) = reader.next().await? {
        assert!(!piece.is_empty(), "a reader yields bytes or its end");
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// Reads a whole extent into one buffer.
pub async fn read_all(volumes: &Volumes, extent: Extent) -> Result<Vec<u8>, ReadError> {
    read_range(volumes, extent, 0..extent.length).await
}

struct Target {
    fs: Arc<dyn FileSystem>,
    dir: PathBuf,
    options: VolumeOptions,
}

impl Target {
    fn open(&self) -> Volumes {
        Volumes::open(Arc::clone(&self.fs), self.dir.clone(), self.options.clone())
            .expect("volumes open")
    }
}

/// Runs every check, in sub-directories of `dir`, with frames of 4 KiB and of 64 KiB.
pub async fn run_all(fs: Arc<dyn FileSystem>, dir: &Path, seed: u64) {
    for frame_bytes in [4 << 10, 64 << 10] {
        let target = |name: &str| Target {
            fs: Arc::clone(&fs),
            dir: dir.join(format!("{name}-{frame_bytes}")),
            options: VolumeOptions {
                frame_bytes,
                ..small_options()
            },
        };
        let random = || SeededRandom::new(seed);
        every_length_and_range_reads_back(&target("lengths"), random()).await;
        wrong_lengths_are_refused(&target("wrong-lengths"), random()).await;
        extents_survive_reopening(&target("reopening"), random()).await;
        releasing_frees_one_extent_and_no_other(&target("release"), random()).await;
        pins_defer_the_release(&target("pins"), random()).await;
        dropped_writers_give_their_space_back(&target("dropped"), random()).await;
        wrong_extents_are_not_released(&target("wrong-extents"), random()).await;
        empty_volumes_go_and_numbers_do_not_come_back(&target("numbers"), random()).await;
        collecting_keeps_what_is_live(&target("collect"), random()).await;
        readers_are_safe_from_releases(&target("readers"), random()).await;
        nothing_is_written_after_shutdown(&target("shutdown"), random()).await;
        let target = target("history");
        random_history(Arc::clone(&fs), &target.dir, target.options, seed, 300).await;
    }
}

async fn every_length_and_range_reads_back(target: &Target, mut random: SeededRandom) {
    let volumes = target.open();
    let frame = u64::from(target.options.frame_bytes);
    let longest = target.options.extent_bytes_max;
    let mut lengths = vec![
        0,
        1,
        511,
        4095,
        4096,
        4097,
        16 << 10,
        511 << 10,
        512 << 10,
        longest,
    ];
    lengths.extend([frame - 1, frame, frame + 1, 3 * frame, 700_001, 1_500_000]);
    let mut written = Vec::new();
    for length in lengths {
        let payload = random.bytes(length as usize);
        let extent = write_extent(&volumes, &payload, &mut random)
            .await
            .expect("written");
        assert_eq!(extent.length, length);
        written.push((extent, payload));
    }
    for (extent, payload) in &written {
        assert_eq!(&read_all(&volumes, *extent).await.expect("read"), payload);
        volumes.verify(*extent).await.expect("intact");
        for _ in 0..8 {
            let start = random.below(extent.length + 1);
            let end = start + random.below(extent.length - start + 1);
            let bytes = read_range(&volumes, *extent, start..end)
                .await
                .expect("read");
            assert!(
                bytes == payload[start as usize..end as usize],
                "{extent} {start}..{end}"
            );
        }
        let beyond = read_range(&volumes, *extent, 0..extent.length + 1).await;
        assert!(matches!(beyond, Err(ReadError::Range { .. })));
    }
    let stats = volumes.stats();
    assert_eq!(stats.extents_finished, written.len() as u64);
    let total: u64 = written.iter().map(|(extent, _)| extent.length).sum();
    assert_eq!(stats.written_bytes, total);
    assert!(stats.syncs > 0 && stats.sync_waiters == written.len() as u64);
    volumes.shutdown().await;
}

async fn wrong_lengths_are_refused(target: &Target, mut random: SeededRandom) {
    let volumes = target.open();
    let limit = target.options.extent_bytes_max;
    let too_long = volumes.begin(limit + 1).await;
    assert!(matches!(too_long, Err(WriteError::TooLong { .. })));
    let mut writer = volumes.begin(10).await.expect("begun");
    writer
        .write(Bytes::from_static(b"12345"))
        .await
        .expect("written");
    let short = writer.finish().await;
    assert!(matches!(
        short,
        Err(WriteError::LengthMismatch {
            declared: 10,
            written: 5
        })
    ));
    let mut writer = volumes.begin(10).await.expect("begun");
    let long = writer.write(Bytes::from_static(b"12345678901")).await;
    assert!(matches!(
        long,
        Err(WriteError::LengthMismatch {
            declared: 10,
            written: 11
        })
    ));
    assert!(matches!(
        writer.finish().await,
        Err(WriteError::Interrupted)
    ));
    let payload = random.bytes(10);
    let extent = write_extent(&volumes, &payload, &mut random)
        .await
        .expect("written");
    assert_eq!(read_all(&volumes, extent).await.expect("read"), payload);
    volumes.shutdown().await;
}

async fn extents_survive_reopening(target: &Target, mut random: SeededRandom) {
    let mut written: Vec<(Extent, Vec<u8>)> = Vec::new();
    for _ in 0..4 {
        let volumes = target.open();
        let before = written.iter().map(|(extent, _)| extent.volume).max();
        for _ in 0..5 {
            let length = random.below(600_000) as usize;
            let payload = random.bytes(length);
            let extent = write_extent(&volumes, &payload, &mut random)
                .await
                .expect("written");
            assert!(
                before.is_none_or(|before| extent.volume > before),
                "a volume was continued"
            );
            written.push((extent, payload));
        }
        for (extent, payload) in &written {
            assert_eq!(&read_all(&volumes, *extent).await.expect("read"), payload);
        }
        volumes.shutdown().await;
    }
    // Whatever the size of frames is set to now, each extent knows its own.
    for frame_bytes in [4 << 10, 16 << 10, 1 << 20] {
        let options = VolumeOptions {
            frame_bytes,
            ..target.options.clone()
        };
        let volumes = Volumes::open(Arc::clone(&target.fs), target.dir.clone(), options);
        let volumes = volumes.expect("volumes open");
        for (extent, payload) in &written {
            assert_eq!(&read_all(&volumes, *extent).await.expect("read"), payload);
        }
        volumes.shutdown().await;
    }
}

async fn releasing_frees_one_extent_and_no_other(target: &Target, mut random: SeededRandom) {
    let volumes = target.open();
    let mut written = Vec::new();
    for _ in 0..9 {
        let length = 100_000 + random.below(200_000) as usize;
        let payload = random.bytes(length);
        let extent = write_extent(&volumes, &payload, &mut random)
            .await
            .expect("written");
        written.push((extent, payload));
    }
    let before = allocated_bytes(&volumes);
    let mut released_bytes = 0;
    for (extent, _) in written.iter().step_by(2) {
        assert_eq!(
            volumes.release(*extent).await.expect("released"),
            Released::Done
        );
        assert_eq!(
            volumes.release(*extent).await.expect("released again"),
            Released::Done
        );
        released_bytes += extent.length;
    }
    let after = allocated_bytes(&volumes);
    assert!(
        before - after + BOOKKEEPING_BYTES >= released_bytes,
        "{before} - {after} + {BOOKKEEPING_BYTES} < {released_bytes}"
    );
    for (index, (extent, payload)) in written.iter().enumerate() {
        let read = read_all(&volumes, *extent).await;
        if index % 2 == 0 {
            assert!(matches!(read, Err(ReadError::Missing { .. })), "{read:?}");
        } else {
            assert_eq!(&read.expect("read"), payload);
        }
    }
    volumes.shutdown().await;
}

async fn pins_defer_the_release(target: &Target, mut random: SeededRandom) {
    let volumes = target.open();
    let payload = random.bytes(1_000_000);
    let extent = write_extent(&volumes, &payload, &mut random)
        .await
        .expect("written");
    let pin = volumes.pin(extent);
    let mut reader = volumes.read(extent, 0..extent.length);
    let mut bytes = reader.next().await.expect("read").expect("bytes").to_vec();
    assert_eq!(
        volumes.release(extent).await.expect("asked"),
        Released::Deferred
    );
    assert_eq!(
        read_all(&volumes, extent).await.expect("a pin is held"),
        payload
    );
    drop(pin);
    while let Some(piece) = reader.next().await.expect("the reader holds its own pin") {
        bytes.extend_from_slice(&piece);
    }
    assert_eq!(bytes, payload);
    drop(reader);
    // Asked again it answers `Deferred` until the background has done it.
    eventually("the deferred release", || async {
        volumes.release(extent).await.expect("repeated") == Released::Done
    })
    .await;
    assert!(matches!(
        volumes.verify(extent).await,
        Err(ReadError::Missing { .. })
    ));
    volumes.shutdown().await;
}

async fn dropped_writers_give_their_space_back(target: &Target, mut random: SeededRandom) {
    let volumes = target.open();
    let payload = random.bytes(1000);
    let kept = write_extent(&volumes, &payload, &mut random)
        .await
        .expect("written");
    let before = allocated_bytes(&volumes);
    for length in [5_000, 2_000_000] {
        let mut writer = volumes.begin(length).await.expect("begun");
        writer
            .write(Bytes::from(random.bytes(length as usize)))
            .await
            .expect("written");
        drop(writer);
    }
    eventually("abandoned space to come back", || async {
        allocated_bytes(&volumes) <= before + BOOKKEEPING_BYTES
    })
    .await;
    assert_eq!(volumes.stats().extents_abandoned, 2);
    assert_eq!(read_all(&volumes, kept).await.expect("read"), payload);
    volumes.shutdown().await;
}

async fn wrong_extents_are_not_released(target: &Target, mut random: SeededRandom) {
    let volumes = target.open();
    let payload = random.bytes(200_000);
    let extent = write_extent(&volumes, &payload, &mut random)
        .await
        .expect("written");
    let inside = Extent {
        offset: extent.offset + 8192,
        length: 100,
        ..extent
    };
    let longer = Extent {
        length: extent.length + 1,
        ..extent
    };
    for wrong in [inside, longer] {
        let refused = volumes.release(wrong).await;
        assert!(
            matches!(refused, Err(WriteError::NotThisExtent { .. })),
            "{refused:?}"
        );
        assert!(volumes.verify(wrong).await.is_err());
    }
    let nowhere = Extent {
        volume: VolumeId(u64::MAX),
        ..extent
    };
    assert_eq!(
        volumes.release(nowhere).await.expect("nothing to do"),
        Released::Done
    );
    assert!(matches!(
        volumes.verify(nowhere).await,
        Err(ReadError::Missing { .. })
    ));
    assert_eq!(read_all(&volumes, extent).await.expect("read"), payload);
    volumes.shutdown().await;
}

async fn empty_volumes_go_and_numbers_do_not_come_back(target: &Target, mut random: SeededRandom) {
    let mut greatest = VolumeId(0);
    for _ in 0..3 {
        let volumes = target.open();
        let mut extents = Vec::new();
        for _ in 0..6 {
            let payload = random.bytes(1_500_000);
            extents.push(
                write_extent(&volumes, &payload, &mut random)
                    .await
                    .expect("written"),
            );
        }
        assert!(extents[0].volume > greatest, "a number came back");
        greatest = extents[5].volume;
        assert!(
            extents[0].volume < greatest,
            "the check needs several volumes"
        );
        for extent in extents {
            assert_eq!(
                volumes.release(extent).await.expect("released"),
                Released::Done
            );
        }
        eventually("only the newest volume to be left", || async {
            matches!(infos(&volumes)[..], [VolumeInfo { id, .. }] if id == greatest)
        })
        .await;
        volumes.shutdown().await;
        // A run that writes nothing must not lose the greatest number either.
        target.open().shutdown().await;
    }
}

async fn collecting_keeps_what_is_live(target: &Target, mut random: SeededRandom) {
    let volumes = target.open();
    let mut written = Vec::new();
    for _ in 0..12 {
        let length = random.below(300_000) as usize;
        let payload = random.bytes(length);
        let extent = write_extent(&volumes, &payload, &mut random)
            .await
            .expect("written");
        written.push((extent, payload));
    }
    let own = written[0].0.volume;
    let refused = volumes.collect(own, Vec::new()).await;
    assert!(matches!(refused, Err(WriteError::VolumeInUse(_))));
    volumes.shutdown().await;

    let volumes = target.open();
    let (live, garbage): (Vec<_>, Vec<_>) = written.into_iter().partition(|_| random.coin());
    let names: Vec<Extent> = live.iter().map(|(extent, _)| *extent).collect();
    let pinned = garbage
        .first()
        .map(|(extent, payload)| (volumes.pin(*extent), payload));
    for info in infos(&volumes) {
        assert!(info.earlier_run && info.sealed && info.header_intact);
        volumes
            .collect(info.id, names.clone())
            .await
            .expect("collected");
    }
    for (extent, payload) in &live {
        assert_eq!(&read_all(&volumes, *extent).await.expect("live"), payload);
    }
    if let Some((pin, payload)) = pinned {
        assert_eq!(
            &read_all(&volumes, pin.extent()).await.expect("pinned"),
            payload
        );
    }
    for (extent, _) in garbage.iter().skip(1) {
        assert!(matches!(
            volumes.verify(*extent).await,
            Err(ReadError::Missing { .. })
        ));
    }
    volumes.shutdown().await;
}

async fn readers_are_safe_from_releases(target: &Target, mut random: SeededRandom) {
    let volumes = target.open();
    for _ in 0..10 {
        let payload = Arc::new(random.bytes(600_000));
        let extent = write_extent(&volumes, &payload, &mut random)
            .await
            .expect("written");
        let readers: Vec<_> = (0..6)
            .map(|_| {
                let (volumes, payload) = (volumes.clone(), Arc::clone(&payload));
                tokio::spawn(async move {
                    for _ in 0..4 {
                        match read_all(&volumes, extent).await {
                            Ok(bytes) => assert!(bytes == *payload, "wrong bytes were served"),
                            Err(ReadError::Missing { .. }) => return,
                            Err(error) => panic!("a released extent is missing, not {error}"),
                        }
                    }
                })
            })
            .collect();
        tokio::task::yield_now().await;
        while volumes.release(extent).await.expect("released") == Released::Deferred {
            tokio::task::yield_now().await;
        }
        for reader in readers {
            reader.await.expect("reader");
        }
        assert!(matches!(
            volumes.verify(extent).await,
            Err(ReadError::Missing { .. })
        ));
    }
    assert_eq!(volumes.stats().damaged_reads, 0);
    volumes.shutdown().await;
}

async fn nothing_is_written_after_shutdown(target: &Target, mut random: SeededRandom) {
    let volumes = target.open();
    let payload = random.bytes(5000);
    let extent = write_extent(&volumes, &payload, &mut random)
        .await
        .expect("written");
    let unfinished = volumes.begin(0).await.expect("begun");
    volumes.shutdown().await;
    assert!(matches!(volumes.begin(1).await, Err(WriteError::Closed)));
    assert!(matches!(unfinished.finish().await, Err(WriteError::Closed)));
    assert_eq!(read_all(&volumes, extent).await.expect("read"), payload);
    volumes.shutdown().await;
}

/// Does `steps` random things (write, read, release, drop a writer, collect, reopen) and compares
/// each answer with a map from extents to their bytes. One seed is one history.
pub async fn random_history(
    fs: Arc<dyn FileSystem>,
    dir: &Path,
    options: VolumeOptions,
    seed: u64,
    steps: u64,
) {
    let mut random = SeededRandom::new(seed);
    let target = Target {
        fs,
        dir: dir.to_owned(),
        options,
    };
    let mut volumes = target.open();
    let mut model: HashMap<Extent, Vec<u8>> = HashMap::new();
    let mut order: Vec<Extent> = Vec::new();
    let mut gone: Vec<Extent> = Vec::new();
    for step in 0..steps {
        let pick = (!order.is_empty()).then(|| random.below(order.len() as u64) as usize);
        match (random.below(20), pick) {
            (0..=7, _) | (_, None) => {
                let length = random.magnitude(20) as usize;
                let payload = random.bytes(length);
                let extent = write_extent(&volumes, &payload, &mut random).await;
                let extent = extent.unwrap_or_else(|error| panic!("step {step}: {error}"));
                assert!(
                    !gone.contains(&extent),
                    "step {step}: {extent} was used before"
                );
                assert!(
                    model.insert(extent, payload).is_none(),
                    "step {step}: {extent} twice"
                );
                order.push(extent);
            }
            (8..=12, Some(pick)) => {
                let extent = order[pick];
                let start = random.below(extent.length + 1);
                let end = start + random.below(extent.length - start + 1);
                let read = read_range(&volumes, extent, start..end).await;
                let read = read.unwrap_or_else(|error| panic!("step {step}: {error}"));
                assert!(
                    read == model[&extent][start as usize..end as usize],
                    "step {step}"
                );
            }
            (13..=16, Some(pick)) => {
                let extent = order.swap_remove(pick);
                let released = volumes.release(extent).await;
                assert_eq!(released.expect("released"), Released::Done, "step {step}");
                model.remove(&extent);
                gone.push(extent);
            }
            (17, _) => {
                let length = random.below(1 << 20);
                let mut writer = volumes.begin(length).await.expect("begun");
                let part = random.bytes(random.clone().below(length + 1) as usize);
                writer.write(Bytes::from(part)).await.expect("written");
            }
            (18, _) => {
                for info in infos(&volumes).into_iter().filter(|info| info.earlier_run) {
                    volumes
                        .collect(info.id, order.clone())
                        .await
                        .expect("collected");
                }
            }
            _ => {
                volumes.shutdown().await;
                volumes = target.open();
            }
        }
        if let Some(extent) = gone.last() {
            let missing = volumes.verify(*extent).await;
            assert!(
                matches!(missing, Err(ReadError::Missing { .. })),
                "step {step}"
            );
        }
    }
    for (extent, payload) in &model {
        assert!(
            read_all(&volumes, *extent).await.expect("read") == *payload,
            "{extent}"
        );
    }
    volumes.shutdown().await;
}

fn infos(volumes: &Volumes) -> Vec<VolumeInfo> {
    volumes.volumes().expect("volumes are listed")
}

/// What a file system may take besides, when writes or holes divide a file: the blocks that say where its
/// pieces lie count as the file's.
const BOOKKEEPING_BYTES: u64 = 8192;

fn allocated_bytes(volumes: &Volumes) -> u64 {
    infos(volumes).iter().map(|info| info.allocated_bytes).sum()
}

/// Waits for something that happens in the background.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let start = Instant::now();
    while !holds().await {
        assert!(
            start.elapsed() < BACKGROUND_WAIT,
            "waited in vain for {what}"
        );
        let pause = tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(2)));
        pause.await.expect("a pause");
    }
}
