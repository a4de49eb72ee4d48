//! Encrypted objects: whatever they are made by, they read as what was written, by whoever has the key.

use std::sync::Arc;

use bytes::Bytes;
use oncilla_blob::conformance::seed;
use oncilla_blob::testing::SeededRandom;
use oncilla_hash::{ChecksumAlgorithm, Md5};
use oncilla_keys::{CustomerKey, KeysError, NewKmsKey};
use oncilla_meta::{Engine, Scan, Space};
use oncilla_store::check::Severity;
use oncilla_store::lifecycle::Restored;
use oncilla_store::multipart::UploadChecksum;
use oncilla_store::object::{CopyEncryption, CopyError, Directive, ObjectBody};
use oncilla_store::rows::placement::Placement;
use oncilla_store::{
    Bucket, ByteRange, Declared, EncryptionChoice, Fault, ObjectRecord, Scheme, UnlockError,
};
use oncilla_wire::conditions::Conditions;
use oncilla_wire::xml::restore::RestoreRequest;

use crate::support::{
    self, MASTER_KEY, Setup, VOLUMES_DIR, World, content_as, copy_request, new_object, read_to_end,
};

fn customer(byte: u8) -> CustomerKey {
    CustomerKey::take(&mut [byte; 32]).unwrap()
}

fn kms(key: Option<&str>, context: &str) -> EncryptionChoice {
    EncryptionChoice::Kms {
        key: key.map(str::to_owned),
        context: context.to_owned(),
        bucket_key: false,
    }
}

/// One of each kind, the plain one first.
fn choices() -> Vec<Option<EncryptionChoice>> {
    vec![
        None,
        Some(EncryptionChoice::S3),
        Some(kms(None, "")),
        Some(kms(Some("k"), r#"{"a":"b"}"#)),
        Some(EncryptionChoice::Customer(customer(1))),
    ]
}

fn key_of(choice: &Option<EncryptionChoice>) -> Option<CustomerKey> {
    match choice {
        Some(EncryptionChoice::Customer(key)) => Some(key.clone()),
        _ => None,
    }
}

async fn world(setup: Setup) -> (World, Bucket) {
    let world = World::memory_with(setup).await;
    let new = NewKmsKey {
        id: Some("k".to_owned()),
        aliases: Vec::new(),
    };
    world.store.keys().unwrap().create(new).await.unwrap();
    let bucket = world.bucket("b").await;
    (world, bucket)
}

async fn put_as(
    world: &World,
    bucket: &Bucket,
    key: &str,
    body: &[u8],
    choice: &Option<EncryptionChoice>,
) -> ObjectRecord {
    let encryption = match choice {
        Some(choice) => Some(world.store.new_encryption(choice).await.unwrap()),
        None => None,
    };
    let content = content_as(&world.store, body, encryption.as_ref())
        .await
        .unwrap();
    let (conditions, key) = (Conditions::default(), key.as_bytes());
    let put = world
        .store
        .put_object(bucket, key, new_object(), content, &conditions);
    put.await.unwrap()
}

/// Uploads an object in parts of these lengths, one of them twice.
async fn upload_as(
    world: &World,
    bucket: &Bucket,
    key: &str,
    parts: &[&[u8]],
    choice: &Option<EncryptionChoice>,
) -> ObjectRecord {
    let store = &world.store;
    let encryption = match choice {
        Some(choice) => Some(store.new_encryption(choice).await.unwrap()),
        None => None,
    };
    let checksum = UploadChecksum {
        algorithm: ChecksumAlgorithm::Crc64Nvme,
        composite: false,
        declared: false,
    };
    let created =
        store.create_upload_as(bucket, key.as_bytes(), new_object(), checksum, encryption);
    let id = created.await.unwrap();
    let upload = store.upload(bucket, key.as_bytes(), id).await.unwrap();
    let customer = key_of(choice);
    let mut written = Vec::new();
    for (part, number) in parts.iter().zip(1u16..) {
        let encryption = store.upload_encryption(&upload, customer.as_ref()).unwrap();
        let content = content_as(store, part, encryption.as_ref()).await.unwrap();
        let mut record = store.put_part(&upload, number, content).await.unwrap();
        if number == 1 {
            let content = content_as(store, part, encryption.as_ref()).await.unwrap();
            record = store.put_part(&upload, number, content).await.unwrap();
        }
        written.push((number, record));
    }
    let parts: Vec<_> = written
        .iter()
        .map(|(number, part)| (*number, part))
        .collect();
    world.complete(bucket, key, &upload, &parts).await.unwrap()
}

async fn open(world: &World, bucket: &Bucket, key: &str) -> ObjectBody {
    world
        .store
        .open_object(bucket, key.as_bytes())
        .await
        .unwrap()
}

async fn get_as(
    world: &World,
    bucket: &Bucket,
    key: &str,
    range: Option<ByteRange>,
    customer: Option<&CustomerKey>,
) -> Result<Vec<u8>, UnlockError> {
    let mut body = open(world, bucket, key).await;
    body.unlock(customer)?;
    let reader = match range {
        Some(range) => body.read(range),
        None => body.read_all(),
    };
    Ok(read_to_end(reader).await.unwrap())
}

/// Everything that is kept, rows and volumes.
async fn all_kept(world: &World) -> Vec<u8> {
    let mut kept = Vec::new();
    for space in [Space::Records, Space::Bodies] {
        let scan = Scan {
            space,
            start: vec![0].into(),
            end: vec![0xff; 64].into(),
            reverse: false,
            limit_rows: 1_000,
        };
        let page = world.engine.scan(scan).await.unwrap();
        assert!(!page.more);
        for row in page.rows {
            kept.extend_from_slice(&row.value);
        }
    }
    for extent in world.referred_extents().await {
        let mut reader = world.store.volumes().read(extent, 0..extent.length);
        while let Some(piece) = reader.next().await.unwrap() {
            kept.extend_from_slice(&piece);
        }
    }
    kept
}

fn holds(kept: &[u8], part: &[u8]) -> bool {
    kept.windows(part.len()).any(|window| window == part)
}

#[tokio::test]
async fn any_range_of_any_object_is_that_of_what_was_written() {
    let mut random = SeededRandom::new(seed("encrypted ranges"));
    for setup in [
        Setup::SMALL,
        Setup {
            extent_bytes_max: 256 << 10,
            ..Setup::SMALL
        },
    ] {
        for choice in choices() {
            let (world, bucket) = world(setup).await;
            for size in [0, 1, 1_000, 1_024, 1_025, 65_519, 65_520, 65_521, 300_000] {
                let body = random.bytes(size);
                let record = put_as(&world, &bucket, "k", &body, &choice).await;
                assert_eq!(record.size, size as u64);
                let is_md5 = record.etag.md5 == Md5::digest(&body);
                assert_eq!(is_md5, record.etag_is_md5(), "{choice:?}");
                let customer = key_of(&choice);
                for _ in 0..6 {
                    let (a, b) = (random.below(size as u64 + 1), random.below(size as u64 + 1));
                    let range = ByteRange {
                        start: a.min(b),
                        end: a.max(b),
                    };
                    let part = &body[range.start as usize..range.end as usize];
                    let got = get_as(&world, &bucket, "k", Some(range), customer.as_ref()).await;
                    assert!(got.unwrap() == part, "{choice:?} {size} {range:?}");
                }
            }
            world.collect().await;
            world.assert_sound().await;
        }
    }
}

#[tokio::test]
async fn nothing_that_is_kept_shows_the_body_or_a_key() {
    for choice in choices() {
        let (world, bucket) = world(Setup::SMALL).await;
        let small = b"a secret that is small enough for a row of its own";
        let large = small.repeat(4_000);
        put_as(&world, &bucket, "small", small, &choice).await;
        let record = put_as(&world, &bucket, "large", &large, &choice).await;
        upload_as(&world, &bucket, "parts", &[&large[..1_000]], &choice).await;
        let kept = all_kept(&world).await;
        assert!(kept.len() > large.len());
        assert_eq!(holds(&kept, &small[..16]), choice.is_none(), "{choice:?}");
        assert!(!holds(&kept, &[1; 32]), "the client's key is kept");
        assert!(!holds(&kept, &[0x5a; 32]), "the master key is kept");
        if record
            .encryption
            .as_ref()
            .is_some_and(|kept| kept.scheme == Scheme::Customer)
        {
            assert!(
                !holds(&kept, &Md5::digest(&large)),
                "the MD5 of the body is kept"
            );
        }
    }
}

#[tokio::test]
async fn parts_are_encrypted_each_for_itself() {
    let mut random = SeededRandom::new(seed("encrypted parts"));
    for choice in choices() {
        let (world, bucket) = world(Setup::PARTS).await;
        let customer = key_of(&choice);
        let (first, last) = (random.bytes((5 << 20) + 1), random.bytes(700));
        let body = [&first[..], &last].concat();
        let record = upload_as(&world, &bucket, "k", &[&first, &last], &choice).await;
        assert!(matches!(record.placement, Placement::Upload(_)));
        let got = get_as(&world, &bucket, "k", None, customer.as_ref())
            .await
            .unwrap();
        assert!(got == body, "{choice:?}");
        let seam = ByteRange {
            start: (5 << 20) - 10,
            end: (5 << 20) + 20,
        };
        let got = get_as(&world, &bucket, "k", Some(seam), customer.as_ref())
            .await
            .unwrap();
        assert_eq!(got, body[seam.start as usize..seam.end as usize]);
        world.collect().await;
        world.assert_sound().await;
    }
}

#[tokio::test]
async fn a_part_has_to_be_encrypted_as_its_upload_is() {
    let (world, bucket) = world(Setup::SMALL).await;
    let upload = world.create_upload(&bucket, "k").await;
    let other = world
        .store
        .new_encryption(&EncryptionChoice::S3)
        .await
        .unwrap();
    let content = content_as(&world.store, b"part", Some(&other))
        .await
        .unwrap();
    assert!(world.store.put_part(&upload, 1, content).await.is_err());
    let refused = world.store.upload_encryption(&upload, Some(&customer(1)));
    assert!(matches!(refused, Err(UnlockError::NotByCustomerKey)));
    assert!(
        world
            .store
            .upload_encryption(&upload, None)
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn without_the_key_nothing_is_read() {
    let (world, bucket) = world(Setup::SMALL).await;
    let body = vec![7; 100_000];
    let sse_c = Some(EncryptionChoice::Customer(customer(1)));
    put_as(&world, &bucket, "c", &body, &sse_c).await;
    let refusal = async |key: Option<CustomerKey>| {
        let got = get_as(&world, &bucket, "c", None, key.as_ref()).await;
        got.unwrap_err()
    };
    assert!(matches!(
        refusal(None).await,
        UnlockError::CustomerKeyNeeded
    ));
    assert!(matches!(
        refusal(Some(customer(2))).await,
        UnlockError::OtherCustomerKey
    ));
    // Also for a reader that never asked for the key.
    let mut reader = open(&world, &bucket, "c").await.read_all();
    assert!(matches!(reader.next().await, Err(Fault::Failed(_))));

    put_as(&world, &bucket, "kms", &body, &Some(kms(Some("k"), ""))).await;
    let keys = world.store.keys().unwrap();
    keys.set_disabled("k", true).await.unwrap();
    let refused = get_as(&world, &bucket, "kms", None, None)
        .await
        .unwrap_err();
    assert!(matches!(refused, UnlockError::Keys(KeysError::Disabled(_))));
    let refused = world.store.new_encryption(&kms(Some("k"), "")).await;
    assert!(matches!(refused, Err(KeysError::Disabled(_))));
    let refused = world.store.check_choice(&kms(Some("k"), "")).await;
    assert!(matches!(refused, Err(KeysError::Disabled(_))));
    // What has no key is checked as it is kept.
    world.assert_sound().await;
    keys.set_disabled("k", false).await.unwrap();
    keys.rotate("k").await.unwrap();
    assert_eq!(
        get_as(&world, &bucket, "kms", None, None).await.unwrap(),
        body
    );
    let refused = get_as(&world, &bucket, "kms", None, Some(&customer(1))).await;
    assert!(matches!(refused, Err(UnlockError::NotByCustomerKey)));
    let refused = world.store.new_encryption(&kms(Some("none"), "")).await;
    assert!(matches!(refused, Err(KeysError::NotFound(_))));
    let refused = world.store.check_choice(&kms(Some("none"), "")).await;
    assert!(matches!(refused, Err(KeysError::NotFound(_))));
}

/// Every way from one encryption to another, of objects in one piece and in parts.
#[tokio::test]
async fn copies_are_encrypted_as_they_should() {
    let mut random = SeededRandom::new(seed("encrypted copies"));
    for from in choices() {
        for to in choices() {
            for in_parts in [false, true] {
                let (world, bucket) = world(Setup::SMALL).await;
                let body = random.bytes(150_000);
                let source = match in_parts {
                    true => upload_as(&world, &bucket, "from", &[&body], &from).await,
                    false => put_as(&world, &bucket, "from", &body, &from).await,
                };
                let encryption = CopyEncryption {
                    source_key: key_of(&from),
                    choice: to.clone(),
                    is_asked_for: true,
                };
                let conditions = Conditions::default();
                let request = copy_request((&bucket, b"from"), None, (&bucket, b"to"), &conditions);
                let copied = world
                    .store
                    .copy_object_as(request, &encryption, u64::MAX)
                    .await;
                let copy = copied.unwrap().record;
                let scheme =
                    |record: &ObjectRecord| record.encryption.as_ref().map(|kept| kept.scheme);
                let expected = match (&to, scheme(&source)) {
                    (Some(EncryptionChoice::S3), _) => Some(Scheme::S3),
                    (Some(EncryptionChoice::Kms { .. }), _) => Some(Scheme::Kms),
                    (Some(EncryptionChoice::Customer(_)), _) => Some(Scheme::Customer),
                    // What was encrypted never becomes plain by being copied.
                    (None, Some(Scheme::Customer)) => Some(Scheme::S3),
                    (None, kept) => kept,
                };
                let case = format!("{from:?} -> {to:?}, in parts: {in_parts}");
                assert_eq!(scheme(&copy), expected, "{case}");
                let key = key_of(&to);
                let got = get_as(&world, &bucket, "to", None, key.as_ref())
                    .await
                    .unwrap();
                assert!(got == body, "{case}");
                let shares = copy.placement == source.placement;
                let by_server = |scheme| matches!(scheme, Some(Scheme::S3 | Scheme::Kms));
                let may_share = by_server(scheme(&source)) && by_server(scheme(&copy));
                assert!(!shares || may_share || scheme(&source).is_none(), "{case}");
                if copy.etag.parts == 0 && copy.etag_is_md5() {
                    assert_eq!(copy.etag.md5, Md5::digest(&body), "{case}");
                }
                if !copy.etag_is_md5() {
                    assert_ne!(copy.etag.md5, Md5::digest(&body), "{case}");
                }
                world.collect().await;
                world.assert_sound().await;
                assert!(world.delete(&bucket, "from").await);
                world.collect().await;
                let got = get_as(&world, &bucket, "to", None, key.as_ref())
                    .await
                    .unwrap();
                assert!(got == body, "{case}");
                world.assert_sound().await;
            }
        }
    }
}

#[tokio::test]
async fn a_copy_to_itself_changes_its_encryption() {
    let (world, bucket) = world(Setup::SMALL).await;
    let body = vec![7; 3_000];
    put_as(&world, &bucket, "k", &body, &None).await;
    let conditions = Conditions::default();
    let copy = async |encryption: CopyEncryption| {
        let mut request = copy_request((&bucket, b"k"), None, (&bucket, b"k"), &conditions);
        request.metadata = Directive::Copy;
        world
            .store
            .copy_object_as(request, &encryption, u64::MAX)
            .await
    };
    assert!(matches!(
        copy(CopyEncryption::default()).await,
        Err(CopyError::Unchanged)
    ));
    let encrypted = CopyEncryption {
        choice: Some(EncryptionChoice::S3),
        is_asked_for: true,
        source_key: None,
    };
    let copied = copy(encrypted).await.unwrap().record;
    assert!(copied.encryption.is_some());
    assert_eq!(
        get_as(&world, &bucket, "k", None, None).await.unwrap(),
        body
    );
    let wrong = CopyEncryption {
        source_key: Some(customer(1)),
        ..CopyEncryption::default()
    };
    let refused = copy(wrong).await;
    assert!(matches!(
        refused,
        Err(CopyError::Unlock(UnlockError::NotByCustomerKey))
    ));
}

#[tokio::test]
async fn the_key_of_an_object_can_be_changed_where_it_is() {
    let (world, bucket) = world(Setup::SMALL).await;
    let body = vec![7; 100_000];
    let before = put_as(&world, &bucket, "k", &body, &Some(EncryptionChoice::S3)).await;
    let choice = kms(Some("k"), "");
    let update = async |key: &str| {
        let updated = world
            .store
            .update_encryption(&bucket, key.as_bytes(), None, &choice, |_| true);
        updated.await
    };
    let after = update("k").await.unwrap();
    assert_eq!(
        (after.etag, &after.placement),
        (before.etag, &before.placement)
    );
    assert_eq!(after.encryption.as_ref().unwrap().key_id, "k");
    assert_eq!(
        get_as(&world, &bucket, "k", None, None).await.unwrap(),
        body
    );
    put_as(&world, &bucket, "plain", &body, &None).await;
    let sse_c = Some(EncryptionChoice::Customer(customer(1)));
    put_as(&world, &bucket, "c", &body, &sse_c).await;
    for key in ["plain", "c", "none"] {
        assert!(update(key).await.is_err(), "{key}");
    }
    world.assert_sound().await;
}

/// With everything encrypted, a bit flipped in what is kept is noticed by reading and by scrub, also
/// where its checksum was made to fit.
#[tokio::test]
async fn damage_is_noticed_and_never_served() {
    let mut random = SeededRandom::new(seed("damage of encrypted bytes"));
    for choice in choices().into_iter().flatten() {
        for in_parts in [false, true] {
            let (world, bucket) = world(Setup::SMALL).await;
            let body = random.bytes(200_000);
            match in_parts {
                true => upload_as(&world, &bucket, "k", &[&body], &Some(choice.clone())).await,
                false => put_as(&world, &bucket, "k", &body, &Some(choice.clone())).await,
            };
            world.collect().await;
            world.assert_sound().await;
            let extents: Vec<_> = world.referred_extents().await.into_iter().collect();
            let extent = extents[random.below(extents.len() as u64) as usize];
            let path = std::path::Path::new(VOLUMES_DIR).join(extent.volume.file_name());
            let at = extent.offset + random.below(extent.length);
            world.memory_fs().flip_bit(&path, at, random.below(8) as u8);
            let mut opened = open(&world, &bucket, "k").await;
            opened
                .unlock(key_of(&Some(choice.clone())).as_ref())
                .unwrap();
            let mut reader = opened.read_all();
            let fault = loop {
                match reader.next().await {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("damage was served"),
                    Err(fault) => break fault,
                }
            };
            assert!(matches!(fault, Fault::Damaged(_)), "{fault}");
            let findings = world.findings().await;
            assert_eq!(findings.len(), 1, "{choice:?} {in_parts}: {findings:?}");
            assert_eq!(findings[0].severity, Severity::Damage);
        }
    }
}

#[tokio::test]
async fn without_the_master_key_what_is_plain_is_served_all_the_same() {
    let (world, bucket) = world(Setup::SMALL).await;
    let body = vec![7; 5_000];
    put_as(&world, &bucket, "plain", &body, &None).await;
    put_as(&world, &bucket, "s3", &body, &Some(EncryptionChoice::S3)).await;
    let other = "b".repeat(64);
    assert_ne!(other, MASTER_KEY);
    let engine: &Arc<dyn Engine> = &world.engine;
    let keys = support::keys(engine, &other).await;
    assert!(keys.locked().is_some());
    let locked = world.with_keys(Some(keys)).await;
    assert_eq!(locked.get(&bucket, "plain").await, Some(body.clone()));
    let refused = get_as(&locked, &bucket, "s3", None, None)
        .await
        .unwrap_err();
    assert!(matches!(refused, UnlockError::Keys(KeysError::Locked(_))));
    locked.assert_sound().await;
    let none = locked.with_keys(None).await;
    let refused = none.store.new_encryption(&EncryptionChoice::S3).await;
    assert!(matches!(refused, Err(KeysError::Locked(_))));
    let refused = none.store.check_choice(&EncryptionChoice::S3).await;
    assert!(matches!(refused, Err(KeysError::Locked(_))));
}

/// Bytes move to the directory of another class as they are kept, or are encrypted anew there.
#[tokio::test]
async fn copies_of_another_class_are_encrypted_as_they_should() {
    let setup = Setup {
        has_cold_group: true,
        ..Setup::SMALL
    };
    let mut random = SeededRandom::new(seed("encrypted copies of another class"));
    let to_choices = [None, Some(EncryptionChoice::S3), Some(kms(Some("k"), ""))];
    for from in choices() {
        for to in &to_choices {
            for (in_parts, length) in [(false, 100), (false, 150_000), (true, 150_000)] {
                let (world, bucket) = world(setup).await;
                let body = random.bytes(length);
                match in_parts {
                    true => upload_as(&world, &bucket, "from", &[&body], &from).await,
                    false => put_as(&world, &bucket, "from", &body, &from).await,
                };
                let encryption = CopyEncryption {
                    source_key: key_of(&from),
                    choice: to.clone(),
                    is_asked_for: to.is_some(),
                };
                let conditions = Conditions::default();
                let mut request =
                    copy_request((&bucket, b"from"), None, (&bucket, b"to"), &conditions);
                request.storage_class = Some("GLACIER".to_owned());
                let copied = world
                    .store
                    .copy_object_as(request, &encryption, u64::MAX)
                    .await;
                assert_eq!(copied.unwrap().record.storage_class(), "GLACIER");
                assert!(world.delete(&bucket, "from").await);
                world.collect().await;
                let asked = RestoreRequest {
                    days: 1,
                    ..RestoreRequest::default()
                };
                let restored = world
                    .store
                    .restore_object(&bucket, b"to", None, asked)
                    .await;
                assert_eq!(restored.unwrap(), Restored::Begun);
                let got = get_as(&world, &bucket, "to", None, None).await.unwrap();
                assert!(got == body, "{from:?} -> {to:?}, in parts: {in_parts}");
                world.assert_sound().await;
            }
        }
    }
}

/// Bodies whose length is known only at their end, as those of forms.
#[tokio::test]
async fn bytes_beyond_those_announced_are_encrypted_as_well() {
    let mut random = SeededRandom::new(seed("encrypted bytes beyond those announced"));
    for choice in choices() {
        let (world, bucket) = world(Setup::SMALL).await;
        for (number, (announced, more)) in [
            (0usize, 10usize),
            (10, 10),
            (100, 70_000),
            (65_519, 1),
            (65_520, 1),
            (65_520, 65_520),
            (131_040, 100_000),
            (70_001, 3),
        ]
        .into_iter()
        .enumerate()
        {
            let body = Bytes::from(random.bytes(announced + more));
            let encryption = match &choice {
                Some(choice) => Some(world.store.new_encryption(choice).await.unwrap()),
                None => None,
            };
            let algorithm = ChecksumAlgorithm::Crc64Nvme;
            let length = announced as u64;
            let begun =
                world
                    .store
                    .begin_content_as("", length, algorithm, false, encryption.as_ref());
            let mut writer = begun.await.unwrap();
            writer.write(body.slice(..announced)).await.unwrap();
            writer.extend(more as u64).await.unwrap();
            writer.write(body.slice(announced..)).await.unwrap();
            let content = writer.finish(&Declared::default()).await.unwrap();
            let key = format!("k{number}");
            let conditions = Conditions::default();
            let put =
                world
                    .store
                    .put_object(&bucket, key.as_bytes(), new_object(), content, &conditions);
            put.await.unwrap();
            let customer = key_of(&choice);
            let got = get_as(&world, &bucket, &key, None, customer.as_ref()).await;
            assert!(got.unwrap() == body, "{choice:?}: {announced} + {more}");
        }
        world.assert_sound().await;
    }
}
