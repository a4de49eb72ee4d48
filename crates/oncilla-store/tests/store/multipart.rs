//! Multipart uploads: every way to complete one, and everything that leaves none of it behind.

use std::sync::atomic::{AtomicU16, Ordering};

use crate::support::{
    Setup, World, bytes_of, get_range, if_absent, md5, named_part, read_to_end, unknown_id,
};
use oncilla_hash::{Checksum, ChecksumAlgorithm, composite};
use oncilla_meta::Mutation;
use oncilla_meta::Space;
use oncilla_store::multipart::{
    CompleteError, CompleteUpload, CompletedPart, UploadChecksum, UploadError,
};
use oncilla_store::rows::part::{PartRecord, part_key};
use oncilla_store::{Bucket, ETag, LockOverride, UniqueId};
use oncilla_wire::conditions::Conditions;
use oncilla_wire::xml::versioning::VersioningStatus;

const PART: usize = 5 << 20;

struct Request<'a> {
    parts: &'a [CompletedPart],
    checksum: Option<Checksum>,
    size: Option<u64>,
    conditions: Conditions,
}

impl<'a> Request<'a> {
    fn of(parts: &'a [CompletedPart]) -> Self {
        Request {
            parts,
            checksum: None,
            size: None,
            conditions: Conditions::default(),
        }
    }

    async fn fail(self, world: &World, bucket: &Bucket, upload: UniqueId) -> CompleteError {
        let complete = CompleteUpload {
            bucket,
            key: b"k",
            upload,
            parts: self.parts,
            checksum: self.checksum,
            size: self.size,
            conditions: &self.conditions,
        };
        world.store.complete_upload(complete).await.unwrap_err()
    }
}

#[tokio::test]
async fn completion_refuses_what_does_not_fit_and_leaves_the_upload_open() {
    let world = World::memory_with(Setup::PARTS).await;
    let bucket = world.bucket("b").await;
    let before = world.put(&bucket, "k", b"before").await;
    let upload = world.create_upload(&bucket, "k").await;
    let big = world
        .put_part(&upload, 1, &bytes_of(1, PART))
        .await
        .unwrap();
    let small = world.put_part(&upload, 2, b"small").await.unwrap();
    let last = world.put_part(&upload, 3, b"last").await.unwrap();
    let [one, two, three] =
        [(1, &big), (2, &small), (3, &last)].map(|(number, part)| named_part(number, part));

    let fail = async |request: Request<'_>| request.fail(&world, &bucket, upload.id).await;
    assert!(matches!(
        fail(Request::of(&[])).await,
        CompleteError::NoParts
    ));
    let unordered = [two.clone(), one.clone()];
    let error = fail(Request::of(&unordered)).await;
    assert!(matches!(error, CompleteError::InvalidPartOrder));
    let twice = [one.clone(), one.clone()];
    let error = fail(Request::of(&twice)).await;
    assert!(matches!(error, CompleteError::InvalidPartOrder));
    let absent = CompletedPart {
        number: 4,
        ..one.clone()
    };
    let error = fail(Request::of(&[absent])).await;
    assert!(matches!(error, CompleteError::InvalidPart { number: 4 }));
    for etag in [None, three.etag] {
        let other = CompletedPart {
            etag,
            ..one.clone()
        };
        let error = fail(Request::of(&[other])).await;
        assert!(matches!(error, CompleteError::InvalidPart { number: 1 }));
    }
    let checksum = Some(Checksum::of(ChecksumAlgorithm::Crc64Nvme, b"other"));
    let other = CompletedPart {
        checksum,
        ..one.clone()
    };
    let error = fail(Request::of(&[other])).await;
    assert!(matches!(error, CompleteError::InvalidPart { number: 1 }));
    let error = fail(Request::of(&[one.clone(), two, three.clone()])).await;
    assert!(matches!(
        error,
        CompleteError::EntityTooSmall {
            number: 2,
            size: 5,
            ..
        }
    ));
    let good = [one, three];
    let error = fail(Request {
        checksum,
        ..Request::of(&good)
    })
    .await;
    assert!(matches!(error, CompleteError::ChecksumMismatch));
    let error = fail(Request {
        size: Some(7),
        ..Request::of(&good)
    })
    .await;
    assert!(matches!(
        error,
        CompleteError::SizeMismatch { declared: 7, .. }
    ));
    let error = fail(Request {
        conditions: if_absent(),
        ..Request::of(&good)
    })
    .await;
    assert!(matches!(error, CompleteError::Condition(_)));
    let request = Request::of(&good);
    let error = request.fail(&world, &bucket, unknown_id()).await;
    assert!(matches!(error, CompleteError::NoSuchUpload));
    assert_eq!(
        world.get(&bucket, "k").await.as_deref(),
        Some(&b"before"[..])
    );
    assert_eq!(world.store.object(&bucket, b"k").await.unwrap(), before);

    // It is as open as before, drops the part it does not use, and can be repeated.
    let parts = [(1, &big), (3, &last)];
    let record = world.complete(&bucket, "k", &upload, &parts).await.unwrap();
    assert_eq!(
        world.complete(&bucket, "k", &upload, &parts).await.unwrap(),
        record
    );
    let mut whole = bytes_of(1, PART);
    whole.extend_from_slice(b"last");
    assert_eq!(world.get(&bucket, "k").await.as_ref(), Some(&whole));
    let page = world.store.list_object_parts(&record, 0, 10).await.unwrap();
    assert_eq!(
        page.parts
            .iter()
            .map(|part| part.number)
            .collect::<Vec<_>>(),
        [1, 3]
    );
    let late = world.put_part(&upload, 2, b"late").await;
    assert!(matches!(late, Err(UploadError::NoSuchUpload)));
    for start in [0, PART - 1, PART, PART + 1, PART + 4] {
        for end in [PART - 1, PART, PART + 1, PART + 4]
            .into_iter()
            .filter(|&end| end >= start)
        {
            let read = get_range(&world.store, &bucket, "k", start as u64, end as u64).await;
            assert!(read == whole[start..end], "{start}..{end}");
        }
    }
    world.collect().await;
    world.assert_sound().await;
    world.put(&bucket, "k", b"after").await;
    let again = world.complete(&bucket, "k", &upload, &parts).await;
    assert!(matches!(again, Err(CompleteError::NoSuchUpload)));
    world.collect().await;
    assert_eq!(world.occupied_bytes().await, 0);
    world.assert_sound().await;
}

#[tokio::test]
async fn checksums_equal_those_over_the_bytes() {
    let world = World::memory_with(Setup::PARTS).await;
    let bucket = world.bucket("b").await;
    let bodies = [bytes_of(1, PART), bytes_of(2, PART + 1), bytes_of(3, 10)];
    for algorithm in ChecksumAlgorithm::ALL {
        for over_parts in [true, false] {
            let summed = UploadChecksum {
                algorithm,
                composite: over_parts,
                declared: true,
            };
            let upload = world.create_upload_summed(&bucket, "k", summed).await;
            let mut parts = Vec::new();
            for (index, body) in bodies.iter().enumerate() {
                parts.push(
                    world
                        .put_part(&upload, index as u16 + 1, body)
                        .await
                        .unwrap(),
                );
            }
            let named: Vec<(u16, &PartRecord)> = (1..).zip(&parts).collect();
            let record = world.complete(&bucket, "k", &upload, &named).await.unwrap();
            let digests = bodies.each_ref().map(|body| Checksum::of(algorithm, body));
            let expected = match over_parts {
                true => composite(algorithm, &digests),
                false if algorithm.can_combine() => Some(Checksum::of(algorithm, &bodies.concat())),
                false => None,
            };
            assert_eq!(record.checksum.map(|stored| stored.checksum), expected);
            let etag = ETag {
                md5: md5(&bodies.each_ref().map(|body| md5(body)).concat()),
                parts: 3,
            };
            assert_eq!(record.etag, etag);
        }
    }
    world.collect().await;
    world.assert_sound().await;
}

#[tokio::test]
async fn replaced_aborted_and_orphaned_parts_are_freed() {
    for world in World::every_kind().await {
        let bucket = world.bucket("b").await;
        let upload = world.create_upload(&bucket, "k").await;
        for round in 0..3 {
            world
                .put_part(&upload, 1, &bytes_of(round, 100_000))
                .await
                .unwrap();
            world
                .put_part(&upload, 2, &bytes_of(round, 100))
                .await
                .unwrap();
            world.collect().await;
            world.assert_sound().await;
        }
        let aborted = world.store.abort_upload(&bucket, b"k", upload.id).await;
        aborted.unwrap();
        let again = world.store.abort_upload(&bucket, b"k", upload.id).await;
        assert!(matches!(again, Err(UploadError::NoSuchUpload)));
        let late = world.put_part(&upload, 3, b"late").await;
        assert!(matches!(late, Err(UploadError::NoSuchUpload)));

        let orphan = world.create_upload(&bucket, "k").await;
        world
            .put_part(&orphan, 1, &bytes_of(9, 100_000))
            .await
            .unwrap();
        world.store.delete_bucket(&bucket).await.unwrap();
        let part = world.put_part(&orphan, 2, b"x").await.unwrap();
        let completed = world.complete(&bucket, "k", &orphan, &[(2, &part)]).await;
        assert!(matches!(completed, Err(CompleteError::NoSuchBucket)));
        world.collect().await;
        assert!(world.referred_extents().await.is_empty());
        world.assert_sound().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_written_while_its_upload_ends_is_in_it_or_refused() {
    for (world, rounds) in [(World::memory().await, 200), (World::embedded().await, 30)] {
        let bucket = world.bucket("b").await;
        for round in 0..rounds {
            let upload = world.create_upload(&bucket, "k").await;
            let first = world
                .put_part(&upload, 1, &bytes_of(round, 2_000))
                .await
                .unwrap();
            let content = world.content(&bytes_of(round + 1, 3_000)).await;
            let (store, of) = (world.store.clone(), upload.clone());
            let writer = tokio::spawn(async move { store.put_part(&of, 1, content).await });
            if round % 3 == 0 {
                tokio::task::yield_now().await;
            }
            if round % 2 == 0 {
                world
                    .store
                    .abort_upload(&bucket, b"k", upload.id)
                    .await
                    .unwrap();
                let _ = writer.await.unwrap();
                continue;
            }
            let parts = [(1, &first)];
            let completed = world.complete(&bucket, "k", &upload, &parts).await;
            match (completed, writer.await.unwrap()) {
                (Ok(_), Err(UploadError::NoSuchUpload)) => {
                    assert_eq!(world.get(&bucket, "k").await, Some(bytes_of(round, 2_000)));
                }
                (Err(CompleteError::InvalidPart { number: 1 }), Ok(_)) => {
                    world
                        .store
                        .abort_upload(&bucket, b"k", upload.id)
                        .await
                        .unwrap();
                }
                (completed, written) => panic!("round {round}: {completed:?}, {written:?}"),
            }
        }
        world.collect().await;
        world.assert_sound().await;
    }
}

#[tokio::test]
async fn ten_thousand_parts_can_be_left_out() {
    let world = World::memory().await;
    let bucket = world.bucket("b").await;
    let upload = world.create_upload(&bucket, "k").await;
    let number = AtomicU16::new(0);
    let mut last = None;
    while number.fetch_add(1, Ordering::Relaxed) < 10_000 {
        let number = number.load(Ordering::Relaxed);
        last = Some(
            world
                .put_part(&upload, number, &number.to_be_bytes())
                .await
                .unwrap(),
        );
    }
    let mut listed = Vec::new();
    loop {
        let after = listed.last().copied().unwrap_or(0);
        let page = world.store.list_parts(&upload, after, 999).await.unwrap();
        listed.extend(page.parts.iter().map(|part| part.number));
        if !page.truncated {
            break;
        }
    }
    assert_eq!(listed, (1..=10_000).collect::<Vec<u16>>());
    let last = last.unwrap();
    let completed = world
        .complete(&bucket, "k", &upload, &[(10_000, &last)])
        .await;
    completed.unwrap();
    let body = world.get(&bucket, "k").await;
    assert_eq!(body, Some(10_000_u16.to_be_bytes().to_vec()));
    world.collect().await;
    world.assert_sound().await;
}

/// Fifty gigabytes out of 5 MiB: the rows of all parts name the extents of the first.
#[tokio::test]
async fn ten_thousand_parts_can_be_completed() {
    let world = World::memory_with(Setup::PARTS).await;
    let bucket = world.bucket("b").await;
    let upload = world.create_upload(&bucket, "k").await;
    let body = bytes_of(1, PART);
    let part = world.put_part(&upload, 1, &body).await.unwrap();
    let mut same = Mutation::new();
    for number in 2..=10_000 {
        same.put(Space::Records, part_key(upload.id, number), part.encode());
    }
    world.engine.commit(same).await.unwrap();
    let named: Vec<(u16, &PartRecord)> = (1..=10_000).map(|number| (number, &part)).collect();
    let record = world.complete(&bucket, "k", &upload, &named).await.unwrap();
    assert_eq!(record.size, 10_000 * PART as u64);
    assert_eq!(record.etag.parts, 10_000);
    let border = 7_777 * PART as u64;
    let read = get_range(&world.store, &bucket, "k", border - 2, border + 3).await;
    assert_eq!(read, [&body[PART - 2..], &body[..3]].concat());
    let opened = world.store.open_object(&bucket, b"k").await.unwrap();
    let range = oncilla_store::ByteRange {
        start: record.size - 10,
        end: record.size,
    };
    assert_eq!(
        read_to_end(opened.read(range)).await.unwrap(),
        body[PART - 10..]
    );
}

/// A client that lost the answer repeats the completion when its object is history already.
#[tokio::test]
async fn a_completion_is_repeated_after_the_object_was_superseded() {
    let world = World::memory().await;
    let bucket = world.bucket("b").await;
    let enabled = VersioningStatus::Enabled;
    let bucket = world.store.set_versioning(&bucket, enabled).await.unwrap();
    let upload = world.create_upload(&bucket, "k").await;
    let part = world
        .put_part(&upload, 1, &bytes_of(1, 9_000))
        .await
        .unwrap();
    let parts = [(1, &part)];
    let first = world.complete(&bucket, "k", &upload, &parts).await.unwrap();
    let repeat = async || world.complete(&bucket, "k", &upload, &parts).await;
    assert_eq!(repeat().await.unwrap(), first);
    world.put(&bucket, "k", b"newer").await;
    assert_eq!(repeat().await.unwrap(), first);
    let none = Conditions::default();
    world
        .store
        .delete_object(&bucket, b"k", &none)
        .await
        .unwrap();
    assert_eq!(repeat().await.unwrap(), first);
    let nothing = LockOverride::Nothing;
    let deleted = world
        .store
        .delete_version(&bucket, b"k", first.version_id(), &none, nothing);
    deleted.await.unwrap();
    world.collect().await;
    assert!(repeat().await.is_err());
    world.assert_sound().await;
}
