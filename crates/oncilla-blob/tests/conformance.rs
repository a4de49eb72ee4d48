//! The promises of the volumes, on the real file system and on the one in memory.

use std::sync::Arc;

use oncilla_blob::conformance::{random_history, run_all, seed, small_options};
use oncilla_blob::fs::RealFileSystem;
use oncilla_blob::testing::FaultyFileSystem;
use oncilla_blob::{Released, VolumeOptions, Volumes};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_real_file_system_conforms() {
    let dir = tempfile::tempdir().unwrap();
    run_all(
        Arc::new(RealFileSystem),
        dir.path(),
        seed("real file system"),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_system_in_memory_conforms() {
    let dir = "/volumes".as_ref();
    run_all(
        Arc::new(FaultyFileSystem::new()),
        dir,
        seed("file system in memory"),
    )
    .await;
}

/// One thread for everything, as the server's runtimes are.
#[tokio::test]
async fn a_current_thread_runtime_is_enough() {
    let dir = "/volumes".as_ref();
    let fs = Arc::new(FaultyFileSystem::new());
    random_history(fs, dir, small_options(), seed("current thread"), 200).await;
}

/// A client that announces a long body and sends nothing must not fill the disk.
#[tokio::test]
async fn an_announcement_occupies_little() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("volumes");
    let options = VolumeOptions::default();
    let volumes = Volumes::open(Arc::new(RealFileSystem), path, options).unwrap();
    let writer = volumes.begin(256 << 20).await.unwrap();
    let infos = volumes.volumes().unwrap();
    let allocated: u64 = infos.iter().map(|info| info.allocated_bytes).sum();
    assert!(allocated <= 17 << 20, "{allocated} bytes for nothing");
    drop(writer);
    volumes.shutdown().await;
}

/// What a reader gave is not touched by the release of the extent, however long it is kept.
#[tokio::test]
async fn what_was_read_outlives_the_reader_and_the_release() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("volumes");
    let volumes = Volumes::open(Arc::new(RealFileSystem), path, VolumeOptions::default()).unwrap();
    let payload: Vec<u8> = (0..1_000_000u32).map(|at| (at / 3) as u8).collect();
    let mut writer = volumes.begin(payload.len() as u64).await.unwrap();
    writer.write(payload.clone().into()).await.unwrap();
    let extent = writer.finish().await.unwrap();

    let mut reader = volumes.read(extent, 0..extent.length);
    let mut pieces = Vec::new();
    while let Some(piece) = reader.next().await.unwrap() {
        pieces.push(piece);
    }
    drop(reader);
    volumes.release(extent).await.unwrap();
    assert!(pieces.concat() == payload);

    drop(pieces);
    while volumes.release(extent).await.unwrap() == Released::Deferred {
        tokio::task::yield_now().await;
    }
    assert_eq!(volumes.stats().damaged_reads, 0);
    volumes.shutdown().await;
}
