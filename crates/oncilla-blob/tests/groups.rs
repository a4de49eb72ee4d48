//! Volumes in further directories, which can vanish and fail.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use oncilla_blob::fs::RealFileSystem;
use oncilla_blob::testing::{Fault, FaultyFileSystem, Operation};
use oncilla_blob::{VolumeGroup, VolumeOptions, Volumes, WriteError, further_directories};

fn cold(dir: &Path) -> Vec<VolumeGroup> {
    vec![VolumeGroup {
        name: "cold".to_owned(),
        dir: dir.to_owned(),
    }]
}

async fn write_cold(volumes: &Volumes) -> Result<(), WriteError> {
    let payload = Bytes::from_static(&[7; 10_000]);
    let group = volumes.group("cold").expect("the group is open");
    let mut extent = volumes.begin_in(group, payload.len() as u64).await?;
    extent.write(payload).await?;
    extent.finish().await.map(|_| ())
}

#[tokio::test]
async fn nothing_is_written_into_what_is_in_the_place_of_a_directory() {
    let parent = tempfile::tempdir().unwrap();
    let (dir, outer) = (parent.path().join("volumes"), parent.path().join("cold"));
    let fs = Arc::new(RealFileSystem);
    let volumes =
        Volumes::open_with_groups(fs, dir.clone(), VolumeOptions::default(), cold(&outer)).unwrap();
    let away = parent.path().join("away");
    fs::rename(&outer, &away).unwrap();
    fs::create_dir(&outer).unwrap();
    let refused = write_cold(&volumes).await.unwrap_err().to_string();
    assert!(refused.contains("is it mounted?"), "{refused}");
    assert_eq!(fs::read_dir(&outer).unwrap().count(), 0);
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0, "a link was left");
    fs::remove_dir(&outer).unwrap();
    fs::rename(&away, &outer).unwrap();
    write_cold(&volumes).await.unwrap();
    volumes.shutdown().await;
}

#[tokio::test]
async fn a_volume_that_cannot_be_made_leaves_no_link() {
    let fs = FaultyFileSystem::new();
    let (dir, outer) = (PathBuf::from("/data/volumes"), Path::new("/cold"));
    let open = |groups| {
        let options = VolumeOptions::default();
        Volumes::open_with_groups(Arc::new(fs.clone()), dir.clone(), options, groups)
    };
    let volumes = open(cold(outer)).unwrap();
    // The link is made, and the file is not.
    fs.inject(Operation::Create, 1, 1, Fault::DeviceError);
    write_cold(&volumes).await.unwrap_err();
    let used = further_directories(&fs, &dir, &[]).unwrap();
    assert!(used.is_empty(), "{used:?}");
    fs.inject(Operation::Write, 0, 1, Fault::DeviceError);
    write_cold(&volumes).await.unwrap_err();
    let used = further_directories(&fs, &dir, &[]).unwrap();
    assert!(used.is_empty(), "{used:?}");
    write_cold(&volumes).await.unwrap();
    let used = further_directories(&fs, &dir, &[]).unwrap();
    assert!(used.contains(outer));
    volumes.shutdown().await;
}

#[test]
fn a_link_to_what_is_not_marked_is_not_counted() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("volumes");
    fs::create_dir(&dir).unwrap();
    symlink(
        parent.path().join("gone/00000001.vol"),
        dir.join("00000001.vol"),
    )
    .unwrap();
    let used = further_directories(&RealFileSystem, &dir, &[]).unwrap();
    assert!(used.is_empty(), "{used:?}");
}
