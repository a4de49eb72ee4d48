//! Object Lock: whatever is done and whatever the clock says, no locked version goes away.

use std::sync::Arc;

use crate::support::hooked::HookedEngine;
use crate::support::{self, OWNER, Setup, World, bytes_of, copy_request, new_object};
use oncilla_blob::conformance::seed;
use oncilla_blob::testing::SeededRandom;
use oncilla_meta::memory::MemoryEngine;
use oncilla_store::bucket::{DeleteBucketError, NewBucket, SetVersionsError};
use oncilla_store::object::{DeleteObjectError, GetObjectError, NewObject, PutObjectError};
use oncilla_store::object_lock::SetLockError;
use oncilla_store::rows::bucket::bucket_name_key;
use oncilla_store::{Bucket, LockOverride, VersionId, WallClock};
use oncilla_wire::conditions::Conditions;
use oncilla_wire::object_lock::{
    DefaultRetention, LegalHold, NewLock, Retention, RetentionMode, RetentionPeriod,
};
use oncilla_wire::xml::object_lock::ObjectLockConfiguration;
use oncilla_wire::xml::versioning::VersioningStatus;

const DAY_MS: u64 = 86_400_000;
const KEYS: [&str; 3] = ["a", "b", "b/c"];
const STEPS: usize = 400;

async fn locked_bucket(world: &World) -> Bucket {
    let new = NewBucket {
        name: "locked".to_owned(),
        owner: OWNER.to_owned(),
        object_lock: true,
        ..NewBucket::default()
    };
    world.store.create_bucket(new).await.unwrap()
}

fn retention(mode: RetentionMode, until_ms: u64) -> Retention {
    Retention {
        mode,
        until_ms: until_ms as i64,
    }
}

async fn put_locked(
    world: &World,
    bucket: &Bucket,
    key: &str,
    body: &[u8],
    lock: NewLock,
) -> Result<oncilla_store::ObjectRecord, PutObjectError> {
    let new = NewObject {
        lock,
        ..new_object()
    };
    let content = world.content(body).await;
    let none = Conditions::default();
    world
        .store
        .put_object(bucket, key.as_bytes(), new, content, &none)
        .await
}

/// What the model knows of a version.
#[derive(Clone, Debug)]
struct Kept {
    key: &'static str,
    body: Vec<u8>,
    retention: Option<Retention>,
    hold: bool,
}

impl Kept {
    fn has_retention(&self, certain_ms: u64) -> bool {
        self.retention
            .is_some_and(|retention| retention.until_ms > certain_ms as i64)
    }

    fn may_go(&self, certain_ms: u64, lock_override: LockOverride) -> bool {
        let bypassed = lock_override == LockOverride::Governance
            && self
                .retention
                .is_some_and(|kept| kept.mode == RetentionMode::Governance);
        !self.hold && (bypassed || !self.has_retention(certain_ms))
    }
}

struct Bench {
    world: World,
    bucket: Bucket,
    random: SeededRandom,
    versions: Vec<(VersionId, Kept)>,
    markers: Vec<(&'static str, VersionId)>,
    default: Option<DefaultRetention>,
}

impl Bench {
    fn key(&mut self) -> &'static str {
        KEYS[self.random.below(KEYS.len() as u64) as usize]
    }

    fn mode(&mut self) -> RetentionMode {
        match self.random.below(3) {
            0 => RetentionMode::Compliance,
            _ => RetentionMode::Governance,
        }
    }

    fn some_retention(&mut self) -> Retention {
        let until_ms = self.world.wall.now_ms() + 1 + self.random.below(10 * DAY_MS);
        retention(self.mode(), until_ms)
    }

    fn some_lock(&mut self) -> NewLock {
        let retention = match self.random.below(3) {
            0 => Some(self.some_retention()),
            _ => None,
        };
        let legal_hold = match self.random.below(6) {
            0 => Some(LegalHold::On),
            1 => Some(LegalHold::Off),
            _ => None,
        };
        NewLock {
            retention,
            legal_hold,
        }
    }

    fn lock_override(&mut self) -> LockOverride {
        match self.random.coin() {
            true => LockOverride::Governance,
            false => LockOverride::Nothing,
        }
    }

    fn some_version(&mut self) -> Option<(VersionId, Kept)> {
        let count = self.versions.len() as u64;
        let index = self.random.below(count.max(1)) as usize;
        self.versions.get(index).cloned()
    }

    fn kept(&mut self, id: VersionId) -> &mut Kept {
        let mut versions = self.versions.iter_mut();
        &mut versions.find(|(kept, _)| *kept == id).unwrap().1
    }

    fn add(
        &mut self,
        key: &'static str,
        body: Vec<u8>,
        lock: NewLock,
        record: &oncilla_store::ObjectRecord,
    ) {
        let default = self.default;
        let written_ms = record.last_modified_ms as i64;
        let of_bucket = || default.map(|default| default.of_version(written_ms));
        let expected = lock.retention.or_else(of_bucket);
        assert_eq!(record.retention, expected);
        let kept = Kept {
            key,
            body,
            retention: expected,
            hold: lock.legal_hold == Some(LegalHold::On),
        };
        self.versions.push((record.version_id(), kept));
    }

    async fn step(&mut self, number: usize) {
        let none = Conditions::default();
        let store = self.world.store.clone();
        match self.random.below(13) {
            0..=2 => {
                let (key, lock) = (self.key(), self.some_lock());
                let length = [0, 100, 5_000][self.random.below(3) as usize];
                let body = bytes_of(number as u64, length);
                let written = put_locked(&self.world, &self.bucket, key, &body, lock).await;
                self.add(key, body, lock, &written.unwrap());
            }
            3 => {
                let (key, lock) = (self.key(), self.some_lock());
                let new = NewObject {
                    lock,
                    ..new_object()
                };
                let checksum = oncilla_store::multipart::UploadChecksum {
                    algorithm: oncilla_hash::ChecksumAlgorithm::Crc64Nvme,
                    composite: false,
                    declared: false,
                };
                let created = store.create_upload(&self.bucket, key.as_bytes(), new, checksum);
                let id = created.await.unwrap();
                let upload = store
                    .upload(&self.bucket, key.as_bytes(), id)
                    .await
                    .unwrap();
                let body = bytes_of(number as u64, 3_000);
                let part = self.world.put_part(&upload, 1, &body).await.unwrap();
                let completed = self
                    .world
                    .complete(&self.bucket, key, &upload, &[(1, &part)])
                    .await;
                self.add(key, body, lock, &completed.unwrap());
            }
            4 => {
                // The copy has none of the source's locks.
                let Some((source, kept)) = self.some_version() else {
                    return;
                };
                let (to, lock) = (self.key(), self.some_lock());
                let mut copy = copy_request(
                    (&self.bucket, kept.key.as_bytes()),
                    Some(source),
                    (&self.bucket, to.as_bytes()),
                    &none,
                );
                copy.lock = lock;
                let copied = store.copy_object(copy, 5 << 30).await.unwrap();
                self.add(to, kept.body, lock, &copied.record);
            }
            5 => {
                let key = self.key();
                let deleted = store
                    .delete_object(&self.bucket, key.as_bytes(), &none)
                    .await;
                let deleted = deleted.unwrap();
                assert!(deleted.delete_marker);
                self.markers.push((key, deleted.version_id.unwrap()));
            }
            6..=7 => self.delete_a_version().await,
            8 => {
                // A delete marker is never locked.
                let Some((key, marker)) = self.markers.pop() else {
                    return;
                };
                let nothing = LockOverride::Nothing;
                let deleted =
                    store.delete_version(&self.bucket, key.as_bytes(), marker, &none, nothing);
                assert!(deleted.await.unwrap().delete_marker);
            }
            9 => self.change_retention().await,
            10 => {
                let Some((id, kept)) = self.some_version() else {
                    return;
                };
                let hold = match self.random.coin() {
                    true => LegalHold::On,
                    false => LegalHold::Off,
                };
                let key = kept.key.as_bytes();
                let set = store
                    .set_legal_hold(&self.bucket, key, Some(id), hold)
                    .await;
                set.unwrap();
                self.kept(id).hold = hold == LegalHold::On;
            }
            11 => {
                self.default = match self.random.below(3) {
                    0 => None,
                    _ => {
                        let days = 1 + self.random.below(5) as u32;
                        Some(DefaultRetention {
                            mode: self.mode(),
                            period: RetentionPeriod::Days(days),
                        })
                    }
                };
                let default_retention = self.default;
                let configuration = ObjectLockConfiguration { default_retention };
                // The old description of the bucket goes on being used: the commit notices.
                let set = store.set_object_lock(&self.bucket, configuration).await;
                set.unwrap();
                let suspended = VersioningStatus::Suspended;
                let refused = store.set_versioning(&self.bucket, suspended).await;
                assert!(matches!(refused, Err(SetVersionsError::HasObjectLock)));
            }
            _ => {
                let step_ms = self.random.below(3 * DAY_MS);
                match self.random.below(4) {
                    0 => self.world.wall.set_forward(step_ms),
                    1 => self.world.wall.set_back(step_ms),
                    _ => self.world.wall.advance(step_ms),
                }
            }
        }
    }

    async fn delete_a_version(&mut self) {
        let Some((id, kept)) = self.some_version() else {
            return;
        };
        let lock_override = self.lock_override();
        let may_go = kept.may_go(self.world.wall.certain_ms(), lock_override);
        let none = Conditions::default();
        let deleted = self
            .world
            .store
            .delete_version(&self.bucket, kept.key.as_bytes(), id, &none, lock_override)
            .await;
        match deleted {
            Ok(deleted) => {
                assert!(may_go, "{kept:?} went away");
                assert_eq!(deleted.record.unwrap().version_id(), id);
                self.versions.retain(|(kept, _)| *kept != id);
            }
            Err(DeleteObjectError::Locked(_)) => assert!(!may_go, "{kept:?} stayed"),
            Err(error) => panic!("{error}"),
        }
    }

    async fn change_retention(&mut self) {
        let Some((id, kept)) = self.some_version() else {
            return;
        };
        let after = match self.random.below(4) {
            0 => None,
            _ => Some(self.some_retention()),
        };
        let lock_override = self.lock_override();
        let holds = kept.has_retention(self.world.wall.certain_ms());
        let allowed = match kept.retention.filter(|_| holds) {
            None => true,
            Some(before) => {
                let same_mode = after.filter(|after| after.mode == before.mode);
                let prolonged = same_mode.is_some_and(|after| after.until_ms >= before.until_ms);
                let bypassed = before.mode == RetentionMode::Governance
                    && lock_override == LockOverride::Governance;
                prolonged || bypassed
            }
        };
        let key = kept.key.as_bytes();
        let set = self
            .world
            .store
            .set_retention(&self.bucket, key, Some(id), after, lock_override)
            .await;
        match set {
            Ok(record) => {
                assert!(allowed, "{kept:?} became {after:?}");
                assert_eq!(record.retention, after);
                self.kept(id).retention = after;
            }
            Err(SetLockError::Locked(_)) => assert!(!allowed, "{kept:?} did not become {after:?}"),
            Err(error) => panic!("{error}"),
        }
    }

    /// Every version of the model is there with its bytes and its locks.
    async fn compare(&self) {
        for (id, kept) in &self.versions {
            let key = kept.key.as_bytes();
            let opened = self
                .world
                .store
                .open_object_version(&self.bucket, key, Some(*id));
            let body = opened
                .await
                .unwrap_or_else(|error| panic!("{kept:?}: {error}"));
            assert_eq!(body.record.retention, kept.retention);
            let on_hold = body.record.legal_hold == Some(LegalHold::On);
            assert_eq!(on_hold, kept.hold);
            assert_eq!(
                support::read_to_end(body.read_all()).await.unwrap(),
                kept.body
            );
        }
        if !self.versions.is_empty() {
            let refused = self.world.store.delete_bucket(&self.bucket).await;
            assert!(matches!(refused, Err(DeleteBucketError::NotEmpty)));
        }
    }
}

#[tokio::test]
async fn no_locked_version_ever_goes_away() {
    for world in World::every_kind().await {
        let random = SeededRandom::new(seed("object lock"));
        let bucket = locked_bucket(&world).await;
        let mut bench = Bench {
            world,
            bucket,
            random,
            versions: Vec::new(),
            markers: Vec::new(),
            default: None,
        };
        for number in 0..STEPS {
            bench.step(number).await;
            if number % 20 == 0 {
                bench.world.collect().await;
                bench.compare().await;
            }
        }
        bench.compare().await;
        bench.world.collect().await;
        bench.world.assert_sound().await;
    }
}

#[tokio::test]
async fn a_clock_that_is_set_ends_no_retention() {
    let world = World::memory().await;
    let bucket = locked_bucket(&world).await;
    let until_ms = world.wall.now_ms() + DAY_MS;
    let lock = NewLock {
        retention: Some(retention(RetentionMode::Compliance, until_ms)),
        legal_hold: None,
    };
    let record = put_locked(&world, &bucket, "k", b"kept", lock)
        .await
        .unwrap();
    let delete = async || {
        let (id, none) = (record.version_id(), Conditions::default());
        let governance = LockOverride::Governance;
        world
            .store
            .delete_version(&bucket, b"k", id, &none, governance)
            .await
    };
    assert!(matches!(delete().await, Err(DeleteObjectError::Locked(_))));
    world.wall.set_forward(1_000 * DAY_MS);
    assert!(matches!(delete().await, Err(DeleteObjectError::Locked(_))));
    world.wall.set_back(1_000 * DAY_MS);
    world.wall.advance(DAY_MS - 1);
    assert!(matches!(delete().await, Err(DeleteObjectError::Locked(_))));
    world.wall.advance(1);
    assert!(delete().await.unwrap().record.is_some());
}

/// The bucket was looked up before: by another store on the same engine, which caches it.
#[tokio::test]
async fn a_stale_description_of_the_bucket_does_not_count() {
    let mut world = World::memory().await;
    let bucket = world.bucket("b").await;
    let enabled = world
        .store
        .set_versioning(&bucket, VersioningStatus::Enabled)
        .await
        .unwrap();
    world.put(&enabled, "k", b"before").await;
    let first = world.store.clone();
    world.reopen().await;
    let default = DefaultRetention {
        mode: RetentionMode::Compliance,
        period: RetentionPeriod::Days(1),
    };
    let configuration = ObjectLockConfiguration {
        default_retention: Some(default),
    };
    let locked = world.store.set_object_lock(&enabled, configuration).await;
    let locked = locked.unwrap();
    // The first store knows neither the lock nor, for the second write, the versioning.
    let none = Conditions::default();
    for stale in [&enabled, &bucket] {
        let record = support::put(&first, stale, "k", b"body", &none)
            .await
            .unwrap();
        let expected = default.of_version(record.last_modified_ms as i64);
        assert_eq!(record.retention, Some(expected));
        assert!(record.versioned);
        let id = record.version_id();
        let governance = LockOverride::Governance;
        let refused = first.delete_version(stale, b"k", id, &none, governance);
        assert!(matches!(refused.await, Err(DeleteObjectError::Locked(_))));
        let refused = first.set_versioning(stale, VersioningStatus::Suspended);
        assert!(matches!(
            refused.await,
            Err(SetVersionsError::HasObjectLock)
        ));
    }
    // Tags may change while a version is locked, and take no lock away.
    let tagged = world.store.update_object(&locked, b"k", None, |record| {
        record.tags.push(("a".to_owned(), "b".to_owned()));
        record.retention = None;
    });
    assert!(tagged.await.unwrap().retention.is_some());
    world.assert_sound().await;
}

/// A version that is locked between the look and the commit stays.
#[tokio::test]
async fn a_deletion_judges_the_lock_at_the_commit() {
    let hooked = HookedEngine::new(Arc::new(MemoryEngine::new()));
    let mut world = World::on_engine(hooked.clone(), Setup::SMALL).await;
    let bucket = world.bucket("b").await;
    let enabled = VersioningStatus::Enabled;
    let bucket = world.store.set_versioning(&bucket, enabled).await.unwrap();
    let record = world.put(&bucket, "k", b"body").await;
    let other = world.store.clone();
    world.reopen().await;
    let bucket_of_other = bucket.clone();
    hooked.before_next_commit(async move {
        let hold = LegalHold::On;
        let set = other
            .set_legal_hold(&bucket_of_other, b"k", None, hold)
            .await;
        set.unwrap();
    });
    let (id, none) = (record.version_id(), Conditions::default());
    let governance = LockOverride::Governance;
    let refused = world
        .store
        .delete_version(&bucket, b"k", id, &none, governance)
        .await;
    assert!(matches!(refused, Err(DeleteObjectError::Locked(_))));
    world.assert_sound().await;
}

#[tokio::test]
async fn object_lock_needs_versioning() {
    let world = World::memory().await;
    let bucket = world.bucket("b").await;
    let configuration = ObjectLockConfiguration::default();
    for status in [None, Some(VersioningStatus::Suspended)] {
        if let Some(status) = status {
            world.store.set_versioning(&bucket, status).await.unwrap();
        }
        let refused = world.store.set_object_lock(&bucket, configuration).await;
        assert!(matches!(refused, Err(SetVersionsError::NotVersioned)));
    }
    let missing = world
        .store
        .set_legal_hold(&bucket, b"k", None, LegalHold::On)
        .await;
    assert!(matches!(missing, Err(GetObjectError::NoSuchKey)));
}

/// A lock that is on the row wins over a version that would be taken over by the null version: here
/// by damage, as a bucket with locks cannot be suspended.
#[tokio::test]
async fn a_locked_null_version_is_not_replaced() {
    let world = World::memory().await;
    let bucket = world.bucket("b").await;
    world.put(&bucket, "k", b"null").await;
    let until_ms = world.wall.now_ms() + DAY_MS;
    let compliance = Some(retention(RetentionMode::Compliance, until_ms));
    let set = world
        .store
        .set_retention(&bucket, b"k", None, compliance, LockOverride::Nothing);
    set.await.unwrap();
    let none = Conditions::default();
    let refused = support::put(&world.store, &bucket, "k", b"new", &none).await;
    assert!(matches!(refused, Err(PutObjectError::Locked(_))));
    let refused = world.store.delete_object(&bucket, b"k", &none).await;
    assert!(matches!(refused, Err(DeleteObjectError::Locked(_))));
    // In the history too.
    let enabled = VersioningStatus::Enabled;
    let bucket = world.store.set_versioning(&bucket, enabled).await.unwrap();
    world.put(&bucket, "k", b"newer").await;
    let suspended = VersioningStatus::Suspended;
    let bucket = world
        .store
        .set_versioning(&bucket, suspended)
        .await
        .unwrap();
    let refused = support::put(&world.store, &bucket, "k", b"new", &none).await;
    assert!(matches!(refused, Err(PutObjectError::Locked(_))));
    let refused = world.store.delete_object(&bucket, b"k", &none).await;
    assert!(matches!(refused, Err(DeleteObjectError::Locked(_))));
    world.assert_sound().await;
}

#[tokio::test]
async fn fsck_finds_a_bucket_that_nothing_can_be_written_to() {
    let world = World::memory().await;
    let bucket = locked_bucket(&world).await;
    world.assert_sound().await;
    let mut mutation = oncilla_meta::Mutation::new();
    let key = bucket_name_key(bucket.id());
    mutation.put(oncilla_meta::Space::Records, key, "locked");
    world.engine.commit(mutation).await.unwrap();
    let findings = world.findings().await;
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(
        findings[0].detail.contains("keeping versions"),
        "{findings:?}"
    );
}
