//! Objects: put, get, overwrite, conditions, copy, update, and writes that come to nothing.

use crate::support::{World, bytes_of, get_range, if_absent, if_match, md5, put};
use bytes::Bytes;
use oncilla_hash::{Checksum, ChecksumAlgorithm};
use oncilla_store::object::{
    CopyError, CopyObject, Directive, GetObjectError, NewObject, PutObjectError,
};
use oncilla_store::rows::placement::Placement;
use oncilla_store::{Bucket, Declared, DigestMismatch, ETag, ObjectRecord, WriteContentError};
use oncilla_wire::conditions::{ConditionFailure, Conditions};
use oncilla_wire::object_lock::NewLock;
use oncilla_wire::xml::acl::Acl;

const INLINE: u64 = 1 << 10;
const FRAME: u64 = 4 << 10;
const EXTENT: u64 = 64 << 10;

fn boundary_sizes() -> Vec<u64> {
    let mut sizes = vec![0, 1, 3 * EXTENT + 7, 20 * EXTENT];
    for boundary in [INLINE, FRAME, EXTENT, 2 * EXTENT] {
        sizes.extend([boundary - 1, boundary, boundary + 1]);
    }
    sizes
}

#[tokio::test]
async fn every_size_reads_back_whole_and_in_ranges() {
    for mut world in World::every_kind().await {
        let bucket = world.bucket("sizes").await;
        for size in boundary_sizes() {
            let body = bytes_of(size, size as usize);
            let record = world.put(&bucket, &size.to_string(), &body).await;
            assert_eq!(record.size, size);
            assert_eq!(record.etag, ETag::of_md5(md5(&body)));
            match &record.placement {
                Placement::Empty => assert_eq!(size, 0),
                Placement::Inline(_) => assert!(size <= INLINE),
                Placement::Extents(extents) => {
                    // Encrypted, each 65,520 bytes have a tag of 16.
                    let tags = size.div_ceil(65_520) * u64::from(world.setup.encrypt_at_rest);
                    let kept = size + 16 * tags;
                    assert_eq!(extents.len() as u64, kept.div_ceil(EXTENT));
                }
                Placement::Upload(_) => panic!("not uploaded in parts"),
            }
        }
        // What was acknowledged is there in the next run too.
        if world.fs.is_some() {
            world.reopen().await;
        }
        for size in boundary_sizes() {
            let (key, body) = (size.to_string(), bytes_of(size, size as usize));
            assert_eq!(world.get(&bucket, &key).await.as_ref(), Some(&body));
            let mut edges = vec![0, size / 2, size];
            for boundary in [1, INLINE, FRAME, EXTENT, 2 * EXTENT] {
                edges.extend([boundary - 1, boundary, boundary + 1]);
            }
            edges.retain(|&edge| edge <= size);
            for &start in &edges {
                for &end in edges.iter().filter(|&&end| end >= start) {
                    let read = get_range(&world.store, &bucket, &key, start, end).await;
                    let expected = &body[start as usize..end as usize];
                    assert!(read == expected, "{start}..{end} of {size}");
                }
            }
        }
        world.assert_sound().await;
    }
}

#[tokio::test]
async fn overwriting_and_deleting_release_the_old_bytes() {
    let world = World::memory().await;
    let bucket = world.bucket("b").await;
    for size in boundary_sizes() {
        world
            .put(&bucket, "k", &bytes_of(size, size as usize))
            .await;
        world.collect().await;
        world.assert_sound().await;
    }
    assert!(world.delete(&bucket, "k").await);
    assert!(!world.delete(&bucket, "k").await);
    world.collect().await;
    assert!(world.referred_extents().await.is_empty());
    world.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_conditional_writers_exactly_one_wins() {
    for world in World::every_kind().await {
        let bucket = world.bucket("b").await;
        let mut conditions = if_absent();
        for round in 0..5 {
            let writers: Vec<_> = (0..16)
                .map(|writer| {
                    let (store, bucket) = (world.store.clone(), bucket.clone());
                    let conditions = conditions.clone();
                    let body = bytes_of(round * 100 + writer, 2_000);
                    tokio::spawn(async move { put(&store, &bucket, "k", &body, &conditions).await })
                })
                .collect();
            let mut winner: Option<ObjectRecord> = None;
            for writer in writers {
                match writer.await.unwrap() {
                    Ok(record) => assert!(winner.replace(record).is_none(), "two winners"),
                    Err(PutObjectError::Condition(ConditionFailure::PreconditionFailed(_))) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            let winner = winner.unwrap();
            let read = world.get(&bucket, "k").await.unwrap();
            assert_eq!(ETag::of_md5(md5(&read)), winner.etag);
            conditions = if_match(winner.etag);
        }
        world.delete(&bucket, "k").await;
        let gone = put(&world.store, &bucket, "k", b"x", &conditions).await;
        let no_key = Err(ConditionFailure::NoSuchKey);
        assert!(matches!(gone, Err(PutObjectError::Condition(f)) if Err::<(), _>(f) == no_key));
        world.collect().await;
        world.assert_sound().await;
    }
}

async fn copy(
    world: &World,
    source: (&Bucket, &str),
    destination: (&Bucket, &str),
    metadata: Directive<NewObject>,
) -> Result<ObjectRecord, CopyError> {
    let copy = CopyObject {
        source: (source.0, source.1.as_bytes()),
        source_version: None,
        source_id: None,
        source_conditions: &Conditions::default(),
        destination: (destination.0, destination.1.as_bytes()),
        conditions: &Conditions::default(),
        owner: "cc33".to_owned(),
        acl: Acl::default(),
        storage_class: None,
        metadata,
        website_redirect: None,
        tags: Directive::Copy,
        algorithm: None,
        lock: NewLock::default(),
    };
    let copied = world.store.copy_object(copy, 5 << 30).await?;
    Ok(copied.record)
}

#[tokio::test]
async fn copies_outlive_their_source() {
    for world in World::every_kind().await {
        let from = world.bucket("from").await;
        let to = world.bucket("to").await;
        let sizes = [0, 10, INLINE, 3 * EXTENT + 1];
        for (size, in_parts) in sizes.into_iter().flat_map(|s| [(s, false), (s, true)]) {
            let body = bytes_of(size, size as usize);
            let source = match in_parts {
                false => world.put(&from, "k", &body).await,
                true => {
                    let upload = world.create_upload(&from, "k").await;
                    let part = world.put_part(&upload, 1, &body).await.unwrap();
                    let parts = [(1, &part)];
                    world.complete(&from, "k", &upload, &parts).await.unwrap()
                }
            };
            let target = format!("{size}-{in_parts}");
            let copied = copy(&world, (&from, "k"), (&to, &target), Directive::Copy).await;
            let copied = copied.unwrap();
            assert_eq!((copied.etag, copied.size), (source.etag, source.size));
            assert_eq!(copied.owner, "cc33");
            assert_ne!(copied.id, source.id);
            // A copy of the copy, over another object.
            world.put(&from, "chain", &bytes_of(9, 100_000)).await;
            let chained = copy(&world, (&to, &target), (&from, "chain"), Directive::Copy).await;
            chained.unwrap();
            world.delete(&from, "k").await;
            world.collect().await;
            assert_eq!(world.get(&to, &target).await.as_ref(), Some(&body));
            world.delete(&to, &target).await;
            world.collect().await;
            assert_eq!(world.get(&from, "chain").await.as_ref(), Some(&body));
            world.assert_sound().await;
        }
        world.delete(&from, "chain").await;
        world.collect().await;
        assert!(world.referred_extents().await.is_empty());
        world.assert_sound().await;
    }
}

#[tokio::test]
async fn copying_onto_itself_changes_metadata_and_keeps_the_bytes() {
    let world = World::memory().await;
    let bucket = world.bucket("b").await;
    for size in [0, 500, 2 * EXTENT] {
        let body = bytes_of(size, size as usize);
        world.put(&bucket, "k", &body).await;
        let unchanged = copy(&world, (&bucket, "k"), (&bucket, "k"), Directive::Copy).await;
        assert!(matches!(unchanged, Err(CopyError::Unchanged)));
        for value in ["1", "2"] {
            let new = NewObject {
                metadata: vec![(Bytes::from("x"), Bytes::from(value))],
                ..NewObject::default()
            };
            let replaced = Directive::Replace(new.clone());
            let record = copy(&world, (&bucket, "k"), (&bucket, "k"), replaced).await;
            assert_eq!(record.unwrap().metadata, new.metadata);
            world.collect().await;
            assert_eq!(world.get(&bucket, "k").await.as_ref(), Some(&body));
            world.assert_sound().await;
        }
    }
    let missing = copy(&world, (&bucket, "none"), (&bucket, "k"), Directive::Copy).await;
    assert!(matches!(
        missing,
        Err(CopyError::Source(GetObjectError::NoSuchKey))
    ));
}

#[tokio::test]
async fn an_update_keeps_identity_bytes_and_time() {
    let world = World::memory().await;
    let bucket = world.bucket("b").await;
    let body = bytes_of(1, 100_000);
    let before = world.put(&bucket, "k", &body).await;
    world.wall.advance(5_000);
    let tags = vec![("a".to_owned(), "b".to_owned())];
    let change = |record: &mut ObjectRecord| record.tags = tags.clone();
    let after = world.store.update_object(&bucket, b"k", None, change).await;
    assert_eq!(
        after.unwrap(),
        ObjectRecord {
            tags: tags.clone(),
            ..before
        }
    );
    assert_eq!(world.get(&bucket, "k").await, Some(body));
    world.assert_sound().await;
}

#[tokio::test]
async fn wrong_digests_and_lengths_leave_nothing() {
    let world = World::memory().await;
    let bucket = world.bucket("b").await;
    world.put(&bucket, "k", b"before").await;
    let other = Checksum::of(ChecksumAlgorithm::Crc64Nvme, b"other");
    let wrong = [
        (
            Declared {
                md5: Some([1; 16]),
                ..Declared::default()
            },
            DigestMismatch::ContentMd5,
        ),
        (
            Declared {
                sha256: Some([1; 32]),
                ..Declared::default()
            },
            DigestMismatch::ContentSha256,
        ),
        (
            Declared {
                checksum: Some(other),
                ..Declared::default()
            },
            DigestMismatch::Checksum(ChecksumAlgorithm::Crc64Nvme),
        ),
    ];
    for size in [10, INLINE + 1, 2 * EXTENT + 1] {
        let body = Bytes::from(bytes_of(size, size as usize));
        let begin = || {
            world
                .store
                .begin_content(size, ChecksumAlgorithm::Crc64Nvme, true)
        };
        for (declared, mismatch) in &wrong {
            let mut writer = begin().await.unwrap();
            writer.write(body.clone()).await.unwrap();
            match writer.finish(declared).await {
                Err(WriteContentError::Mismatch(found)) => assert_eq!(found, *mismatch),
                other => panic!("{:?}", other.map(|_| ())),
            }
        }
        let mut short = begin().await.unwrap();
        short.write(body.slice(1..)).await.unwrap();
        let finished = short.finish(&Declared::default()).await;
        assert!(matches!(finished, Err(WriteContentError::Length { .. })));
        let mut long = begin().await.unwrap();
        long.write(body.clone()).await.unwrap();
        let written = long.write(Bytes::from_static(b"x")).await;
        assert!(matches!(written, Err(WriteContentError::Length { .. })));
        drop(long);
        // Dropped half-way, and dropped when finished but not named by a record.
        let mut half = begin().await.unwrap();
        half.write(body.slice(..body.len() / 2)).await.unwrap();
        drop(half);
        drop(world.content(&body).await);
        world.assert_sound().await;
    }
    assert_eq!(world.occupied_bytes().await, 0);
    assert_eq!(
        world.get(&bucket, "k").await.as_deref(),
        Some(&b"before"[..])
    );
}
