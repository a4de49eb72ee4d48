//! Versioning against a model: a list of versions for each key.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::support::hooked::HookedEngine;
use crate::support::{self, Setup, World, bytes_of, if_absent, if_match};
use bytes::Bytes;
use oncilla_meta::memory::MemoryEngine;
use oncilla_meta::{Mutation, Space};
use oncilla_store::bucket::DeleteBucketError;
use oncilla_store::history::{ListVersionsQuery, ListedVersion, VersionEntry, VersionMarker};
use oncilla_store::list::{After, Entry, ListQuery, Page};
use oncilla_store::object::{Copied, CopyError, DeleteObjectError, Deleted, GetObjectError};
use oncilla_store::rows::body;
use oncilla_store::rows::history::{history_key, null_version_key};
use oncilla_store::rows::object::object_key;
use oncilla_store::rows::placement::Placement;
use oncilla_store::rows::version_id::encode_null_time;
use oncilla_store::{Bucket, LockOverride, ObjectRecord, VersionId};
use oncilla_wire::conditions::{Conditions, EtagCondition};
use oncilla_wire::xml::versioning::VersioningStatus;
use proptest::prelude::*;

/// Keys that are prefixes of each other, hold what row keys escape, and share a group.
const KEYS: [&str; 4] = ["a", "a\0", "g/1", "g/2"];

/// Sizes that go into no row, into a row of its own, and into one and several extents.
const SIZES: [usize; 4] = [0, 100, 10_000, 100_000];

/// What to do to a key; versions are chosen by their place among those there are.
#[derive(Clone, Debug)]
enum Step {
    Put(usize, usize),
    Upload(usize),
    Delete(usize),
    DeleteVersion(usize, prop::sample::Index),
    DeleteNull(usize),
    Copy(usize, Option<prop::sample::Index>, usize),
    Tag(usize, Option<prop::sample::Index>),
    Enable,
    Suspend,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = || 0..KEYS.len();
    let version = any::<prop::sample::Index>;
    let some_version = || proptest::option::of(version());
    let step = prop_oneof![
        6 => (key(), 0..SIZES.len()).prop_map(|(key, size)| Step::Put(key, size)),
        1 => key().prop_map(Step::Upload),
        4 => key().prop_map(Step::Delete),
        6 => (key(), version()).prop_map(|(key, version)| Step::DeleteVersion(key, version)),
        1 => key().prop_map(Step::DeleteNull),
        2 => (key(), some_version(), key()).prop_map(|(a, version, b)| Step::Copy(a, version, b)),
        1 => (key(), some_version()).prop_map(|(key, version)| Step::Tag(key, version)),
        2 => Just(Step::Enable),
        2 => Just(Step::Suspend),
    ];
    proptest::collection::vec(step, 1..40)
}

/// A version in the model.
#[derive(Clone, Debug, PartialEq)]
struct ModelVersion {
    id: VersionId,
    /// `None` for a delete marker.
    body: Option<Vec<u8>>,
    tags: usize,
}

/// What a bucket should hold: versions of each key, the newest last.
#[derive(Default)]
struct Model {
    versioning: VersioningStatus,
    keys: BTreeMap<&'static str, Vec<ModelVersion>>,
}

impl Model {
    fn versions(&self, key: &str) -> &[ModelVersion] {
        self.keys.get(key).map_or(&[], Vec::as_slice)
    }

    fn newest(&self, key: &str) -> Option<&ModelVersion> {
        self.versions(key).last()
    }

    /// Comes before all versions of its key; the id `null` is taken from the one that has it.
    fn add(&mut self, key: &'static str, version: ModelVersion) {
        let versions = self.keys.entry(key).or_default();
        if version.id == VersionId::Null {
            versions.retain(|other| other.id != VersionId::Null);
        }
        versions.push(version);
    }

    fn add_object(&mut self, key: &'static str, record: &ObjectRecord, body: Vec<u8>) {
        let gives_ids = self.versioning == VersioningStatus::Enabled;
        assert_eq!(gives_ids, record.version_id() != VersionId::Null);
        let version = ModelVersion {
            id: record.version_id(),
            body: Some(body),
            tags: record.tags.len(),
        };
        self.add(key, version);
    }

    fn delete(&mut self, key: &'static str, deleted: &Deleted) {
        let before = self.newest(key).and_then(|newest| newest.body.as_ref());
        assert_eq!(deleted.record.is_some(), before.is_some());
        assert_eq!(
            deleted.delete_marker,
            self.versioning != VersioningStatus::Unversioned
        );
        if !deleted.delete_marker {
            assert_eq!(deleted.version_id, None);
            self.keys.remove(key);
            return;
        }
        let id = deleted.version_id.unwrap();
        let gives_ids = self.versioning == VersioningStatus::Enabled;
        assert_eq!(gives_ids, id != VersionId::Null);
        let marker = ModelVersion {
            id,
            body: None,
            tags: 0,
        };
        self.add(key, marker);
    }

    fn delete_version(&mut self, key: &'static str, id: VersionId, deleted: &Deleted) {
        let versions = self.keys.entry(key).or_default();
        let found = versions.iter().position(|version| version.id == id);
        let removed = found.map(|at| versions.remove(at));
        let body = removed.as_ref().and_then(|version| version.body.as_ref());
        assert_eq!(deleted.record.is_some(), body.is_some());
        assert_eq!(deleted.delete_marker, removed.is_some() && body.is_none());
        assert_eq!(deleted.version_id, Some(id));
    }

    /// The listing by definition.
    fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        for (key, versions) in &self.keys {
            for (age, version) in versions.iter().rev().enumerate() {
                lines.push(Line {
                    key: Bytes::from_static(key.as_bytes()),
                    id: version.id,
                    is_latest: age == 0,
                    size: version.body.as_ref().map(|body| body.len() as u64),
                });
            }
        }
        lines
    }
}

/// A line of a listing, as far as the model knows it.
#[derive(Clone, Debug, PartialEq)]
struct Line {
    key: Bytes,
    id: VersionId,
    is_latest: bool,
    size: Option<u64>,
}

fn line_of(entry: &Entry<ListedVersion>) -> Line {
    let Entry::Item(key, version) = entry else {
        panic!("no groups were asked for");
    };
    Line {
        key: key.clone(),
        id: version.version_id,
        is_latest: version.is_latest,
        size: match &version.entry {
            VersionEntry::Object(summary) => Some(summary.size),
            VersionEntry::DeleteMarker { .. } => None,
        },
    }
}

/// A bucket and the model of it.
struct Bench {
    world: World,
    bucket: Bucket,
    model: Model,
}

impl Bench {
    async fn new() -> Bench {
        let world = World::memory().await;
        let bucket = world.bucket("versions").await;
        Bench {
            world,
            bucket,
            model: Model::default(),
        }
    }

    async fn set_versioning(&mut self, versioning: VersioningStatus) {
        self.bucket = set_versioning(&self.world, &self.bucket, versioning).await;
        self.model.versioning = versioning;
    }

    /// The version that an index chooses; an id that never was if the key has none.
    fn choose(&self, key: &str, index: &prop::sample::Index) -> VersionId {
        let versions = self.model.versions(key);
        match versions.len() {
            0 => VersionId::Unique {
                time: 7,
                random: [7; 8],
            },
            count => versions[index.index(count)].id,
        }
    }

    async fn take(&mut self, number: usize, step: &Step) {
        let none = Conditions::default();
        let store = self.world.store.clone();
        match step {
            Step::Put(key, size) => {
                let body = bytes_of(number as u64, SIZES[*size]);
                let record = self.world.put(&self.bucket, KEYS[*key], &body).await;
                self.model.add_object(KEYS[*key], &record, body);
            }
            Step::Upload(key) => {
                let (key, body) = (KEYS[*key], bytes_of(number as u64, 70_000));
                let upload = self.world.create_upload(&self.bucket, key).await;
                let part = self.world.put_part(&upload, 1, &body).await.unwrap();
                let parts = [(1, &part)];
                let completed = self.world.complete(&self.bucket, key, &upload, &parts);
                self.model.add_object(key, &completed.await.unwrap(), body);
            }
            Step::Delete(key) => {
                let key = KEYS[*key];
                let deleted = store.delete_object(&self.bucket, key.as_bytes(), &none);
                let deleted = deleted.await.unwrap();
                if self.model.versioning == VersioningStatus::Unversioned
                    && self.model.versions(key).is_empty()
                {
                    assert_eq!(deleted.record, None);
                } else {
                    self.model.delete(key, &deleted);
                }
            }
            Step::DeleteVersion(key, index) => {
                let id = self.choose(KEYS[*key], index);
                self.delete_version(KEYS[*key], id).await;
            }
            Step::DeleteNull(key) => self.delete_version(KEYS[*key], VersionId::Null).await,
            Step::Copy(from, version, to) => {
                let version = version
                    .as_ref()
                    .map(|index| self.choose(KEYS[*from], index));
                self.copy(KEYS[*from], version, KEYS[*to]).await;
            }
            Step::Tag(key, version) => {
                let key = KEYS[*key];
                let version = version.as_ref().map(|index| self.choose(key, index));
                self.tag(key, version).await;
            }
            Step::Enable => self.set_versioning(VersioningStatus::Enabled).await,
            Step::Suspend => self.set_versioning(VersioningStatus::Suspended).await,
        }
    }

    async fn delete_version(&mut self, key: &'static str, id: VersionId) {
        let none = Conditions::default();
        let deleted = self.world.store.delete_version(
            &self.bucket,
            key.as_bytes(),
            id,
            &none,
            LockOverride::Nothing,
        );
        self.model.delete_version(key, id, &deleted.await.unwrap());
    }

    async fn copy(&mut self, from: &'static str, version: Option<VersionId>, to: &'static str) {
        let source = self.found(from, version);
        match copy(&self.world, &self.bucket, from, version, to).await {
            Ok(Copied { record, source_id }) => {
                let source = source.unwrap();
                assert_eq!(source.id, source_id);
                self.model.add_object(to, &record, source.body.unwrap());
            }
            Err(CopyError::Source(error)) => {
                assert!(source.is_none_or(|source| source.body.is_none()), "{error}");
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn found(&self, key: &str, version: Option<VersionId>) -> Option<ModelVersion> {
        let versions = self.model.versions(key).iter();
        match version {
            None => versions.last().cloned(),
            Some(id) => versions.clone().find(|version| version.id == id).cloned(),
        }
    }

    async fn tag(&mut self, key: &'static str, version: Option<VersionId>) {
        let found = self.found(key, version);
        let add = |record: &mut ObjectRecord| {
            let name = format!("tag{}", record.tags.len());
            record.tags.push((name, String::new()));
        };
        let updated = self
            .world
            .store
            .update_object(&self.bucket, key.as_bytes(), version, add);
        match updated.await {
            Ok(record) => {
                let id = found.unwrap().id;
                let versions = self.model.keys.get_mut(key).unwrap();
                let version = versions.iter_mut().find(|version| version.id == id);
                let version = version.unwrap();
                version.tags += 1;
                assert_eq!((record.version_id(), record.tags.len()), (id, version.tags));
            }
            Err(error) => {
                assert!(found.is_none_or(|found| found.body.is_none()), "{error}");
            }
        }
    }

    /// Everything that can be seen is as the model has it.
    async fn compare(&self) {
        let store = &self.world.store;
        for key in KEYS {
            for version in self.model.versions(key) {
                self.compare_version(key, Some(version.id), version).await;
            }
            match self.model.newest(key) {
                Some(newest) => self.compare_version(key, None, newest).await,
                None => {
                    let found = store.object(&self.bucket, key.as_bytes()).await;
                    assert!(matches!(found, Err(GetObjectError::NoSuchKey)), "{found:?}");
                }
            }
        }
        let lines = self.model.lines();
        for limit in [1, 2, 3, 1_000] {
            assert_eq!(self.walk(limit).await, lines, "pages of {limit}");
        }
        let live = |line: &&Line| line.is_latest && line.size.is_some();
        let query = ListQuery {
            limit: 1_000,
            ..ListQuery::default()
        };
        let listed = store.list_objects(&self.bucket, &query).await.unwrap();
        let listed: Vec<_> = listed.entries.iter().map(Entry::position).collect();
        let shown: Vec<_> = lines.iter().filter(live).collect();
        let keys = shown.iter().map(|line| After::Key(line.key.clone()));
        assert_eq!(listed, keys.collect::<Vec<_>>());

        let usage = store.usage(self.bucket.id()).await.unwrap();
        let bytes: u64 = shown.iter().filter_map(|line| line.size).sum();
        let all_bytes: u64 = lines.iter().filter_map(|line| line.size).sum();
        assert_eq!((usage.objects, usage.bytes), (shown.len() as u64, bytes));
        assert_eq!(usage.past_entries, (lines.len() - shown.len()) as u64);
        assert_eq!(usage.past_bytes, all_bytes - bytes);
    }

    async fn compare_version(&self, key: &str, asked: Option<VersionId>, version: &ModelVersion) {
        let store = &self.world.store;
        let opened = store
            .open_object_version(&self.bucket, key.as_bytes(), asked)
            .await;
        match (&version.body, opened) {
            (Some(body), Ok(opened)) => {
                assert_eq!(opened.record.version_id(), version.id);
                assert_eq!(opened.record.tags.len(), version.tags);
                let bytes = support::read_to_end(opened.read_all()).await.unwrap();
                assert!(bytes == *body, "{key} {asked:?} has other bytes");
            }
            (None, Err(GetObjectError::Deleted(marker))) if asked.is_none() => {
                assert_eq!(marker.version_id(), version.id);
            }
            (None, Err(GetObjectError::IsDeleteMarker(marker))) if asked.is_some() => {
                assert_eq!(marker.version_id(), version.id);
            }
            (_, opened) => panic!("{key} {asked:?}: {version:?} is {opened:?}"),
        }
    }

    /// All versions, a page at a time.
    async fn walk(&self, limit: usize) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut marker = None;
        loop {
            let page = list(&self.world, &self.bucket, "", "", marker, limit).await;
            assert!(page.entries.len() <= limit);
            lines.extend(page.entries.iter().map(line_of));
            if !page.truncated {
                return lines;
            }
            marker = page.entries.last().and_then(VersionMarker::behind);
        }
    }
}

async fn set_versioning(world: &World, bucket: &Bucket, versioning: VersioningStatus) -> Bucket {
    world
        .store
        .set_versioning(bucket, versioning)
        .await
        .unwrap()
}

async fn enabled(world: &World, name: &str) -> Bucket {
    let bucket = world.bucket(name).await;
    set_versioning(world, &bucket, VersioningStatus::Enabled).await
}

async fn list(
    world: &World,
    bucket: &Bucket,
    prefix: &'static str,
    delimiter: &'static str,
    marker: Option<VersionMarker>,
    limit: usize,
) -> Page<ListedVersion> {
    let query = ListVersionsQuery {
        keys: ListQuery {
            prefix: Bytes::from_static(prefix.as_bytes()),
            delimiter: Bytes::from_static(delimiter.as_bytes()),
            after: After::Nothing,
            limit,
        },
        marker,
    };
    world.store.list_versions(bucket, &query).await.unwrap()
}

async fn copy(
    world: &World,
    bucket: &Bucket,
    from: &str,
    version: Option<VersionId>,
    to: &str,
) -> Result<Copied, CopyError> {
    let none = Conditions::default();
    let copy = support::copy_request(
        (bucket, from.as_bytes()),
        version,
        (bucket, to.as_bytes()),
        &none,
    );
    world.store.copy_object(copy, u64::MAX).await
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_does_what_the_model_does(steps in steps(), starts_unversioned: bool) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let mut bench = Bench::new().await;
            if !starts_unversioned {
                bench.set_versioning(VersioningStatus::Enabled).await;
            }
            for (number, step) in steps.iter().enumerate() {
                bench.take(number, step).await;
                bench.compare().await;
            }
            bench.world.collect().await;
            bench.compare().await;
            bench.world.assert_sound().await;
            // Version by version, everything goes away again.
            for line in bench.walk(1_000).await {
                let key = KEYS.into_iter().find(|key| line.key == key.as_bytes()).unwrap();
                bench.delete_version(key, line.id).await;
            }
            bench.compare().await;
            bench.world.store.delete_bucket(&bench.bucket).await.unwrap();
            bench.world.collect().await;
            bench.world.assert_sound().await;
            assert!(bench.world.referred_extents().await.is_empty());
        });
    }
}

#[tokio::test]
async fn a_bucket_with_versions_or_markers_is_not_empty() {
    for world in World::every_kind().await {
        let bucket = enabled(&world, "b").await;
        let none = Conditions::default();
        let not_empty = async || {
            let deleted = world.store.delete_bucket(&bucket).await;
            assert!(matches!(deleted, Err(DeleteBucketError::NotEmpty)));
        };
        let record = world.put(&bucket, "k", b"v").await;
        not_empty().await;
        let marker = world.store.delete_object(&bucket, b"k", &none).await;
        let marker = marker.unwrap().version_id.unwrap();
        not_empty().await;
        let version = record.version_id();
        let deleted =
            world
                .store
                .delete_version(&bucket, b"k", version, &none, LockOverride::Nothing);
        assert_eq!(deleted.await.unwrap().record, Some(record));
        not_empty().await;
        let deleted =
            world
                .store
                .delete_version(&bucket, b"k", marker, &none, LockOverride::Nothing);
        assert!(deleted.await.unwrap().delete_marker);
        world.store.delete_bucket(&bucket).await.unwrap();
        world.collect().await;
        world.assert_sound().await;
    }
}

#[tokio::test]
async fn a_write_keeps_what_the_bucket_keeps_at_its_commit() {
    let world = World::memory().await;
    let before = world.bucket("b").await;
    let first = world.put(&before, "k", b"first").await;
    let now = set_versioning(&world, &before, VersioningStatus::Enabled).await;
    // Both go by the bucket as it was before versioning was enabled.
    let second = world.put(&before, "k", b"second").await;
    assert_ne!(second.version_id(), VersionId::Null);
    let none = Conditions::default();
    let deleted = world.store.delete_object(&before, b"k", &none).await;
    assert!(deleted.unwrap().delete_marker);
    let page = list(&world, &now, "", "", None, 10).await;
    let sizes: Vec<_> = page
        .entries
        .iter()
        .map(|entry| line_of(entry).size)
        .collect();
    assert_eq!(sizes, [None, Some(6), Some(5)]);
    let oldest = world
        .store
        .object_version(&now, b"k", Some(VersionId::Null));
    assert_eq!(oldest.await.unwrap(), first);
    world.assert_sound().await;
}

#[tokio::test]
async fn conditions_see_the_newest_version() {
    let world = World::memory().await;
    let bucket = enabled(&world, "b").await;
    let put = |conditions: Conditions| {
        let (world, bucket) = (&world, &bucket);
        async move { support::put(&world.store, bucket, "k", b"new", &conditions).await }
    };
    let delete = |conditions: Conditions| {
        let (world, bucket) = (&world, &bucket);
        async move { world.store.delete_object(bucket, b"k", &conditions).await }
    };
    let any = || Conditions {
        if_match: Some(EtagCondition::Any),
        ..Conditions::default()
    };
    // Nothing there: nothing to delete, and no delete marker either.
    let nothing = delete(any()).await.unwrap();
    assert_eq!((nothing.version_id, nothing.delete_marker), (None, false));
    let first = world.put(&bucket, "k", b"first").await;
    assert!(put(if_absent()).await.is_err());
    world.put(&bucket, "k", b"second").await;
    assert!(put(if_match(first.etag)).await.is_err());
    assert!(delete(if_match(first.etag)).await.is_err());
    assert!(delete(any()).await.unwrap().delete_marker);
    // A delete marker counts as nothing to a write, and has no entity tag that a deletion could want.
    assert!(put(any()).await.is_err());
    let refused = delete(if_match(first.etag)).await;
    assert!(matches!(refused, Err(DeleteObjectError::Condition(_))));
    assert!(!delete(any()).await.unwrap().delete_marker);
    put(if_absent()).await.unwrap();
    // A deletion of one version is judged by that version.
    let version = first.version_id();
    let second_etag = if_match(oncilla_store::ETag::of_md5([1; 16]));
    let refused =
        world
            .store
            .delete_version(&bucket, b"k", version, &second_etag, LockOverride::Nothing);
    assert!(matches!(
        refused.await,
        Err(DeleteObjectError::Condition(_))
    ));
    let etag = if_match(first.etag);
    let deleted = world
        .store
        .delete_version(&bucket, b"k", version, &etag, LockOverride::Nothing);
    assert_eq!(deleted.await.unwrap().record, Some(first));
    let again = world
        .store
        .delete_version(&bucket, b"k", version, &etag, LockOverride::Nothing);
    assert_eq!(again.await.unwrap().record, None);
    world.assert_sound().await;
}

/// There is no object that a condition could be about, so a deletion with one adds no delete marker.
#[tokio::test]
async fn a_conditional_deletion_leaves_a_delete_marker_alone() {
    let world = World::memory().await;
    let bucket = enabled(&world, "b").await;
    world.put(&bucket, "k", b"body").await;
    let none = Conditions::default();
    let marker = world.store.delete_object(&bucket, b"k", &none).await;
    assert!(marker.unwrap().delete_marker);
    let met = [
        Conditions {
            if_match: Some(EtagCondition::Any),
            ..Conditions::default()
        },
        Conditions {
            if_match_size: Some(0),
            ..Conditions::default()
        },
        Conditions {
            // The wall clock of the tests begins in this second.
            if_match_last_modified_ms: Some(1_700_000_000_000),
            ..Conditions::default()
        },
    ];
    for conditions in met {
        let nothing = world.store.delete_object(&bucket, b"k", &conditions).await;
        let nothing = nothing.unwrap();
        assert_eq!((nothing.version_id, nothing.delete_marker), (None, false));
    }
    let other_size = Conditions {
        if_match_size: Some(1),
        ..Conditions::default()
    };
    let refused = world.store.delete_object(&bucket, b"k", &other_size).await;
    assert!(matches!(refused, Err(DeleteObjectError::Condition(_))));
    let versions = async || list(&world, &bucket, "", "", None, 10).await.entries.len();
    assert_eq!(versions().await, 2);
    // Without a condition a delete marker comes before it.
    let again = world.store.delete_object(&bucket, b"k", &none).await;
    assert!(again.unwrap().delete_marker);
    assert_eq!(versions().await, 3);
    world.assert_sound().await;
}

#[tokio::test]
async fn markers_that_are_gone_do_not_lose_versions() {
    let world = World::memory().await;
    let bucket = world.bucket("b").await;
    world.put(&bucket, "k", b"null").await;
    let bucket = set_versioning(&world, &bucket, VersioningStatus::Enabled).await;
    let mut ids = vec![VersionId::Null];
    for number in 0..4 {
        ids.push(world.put(&bucket, "k", &[number]).await.version_id());
    }
    ids.reverse();
    let none = Conditions::default();
    let behind = async |version| {
        let marker = VersionMarker {
            key: Bytes::from_static(b"k"),
            version,
        };
        let page = list(&world, &bucket, "", "", Some(marker), 10).await;
        let lines: Vec<Line> = page.entries.iter().map(line_of).collect();
        lines
            .iter()
            .map(|line| (line.id, line.is_latest))
            .collect::<Vec<_>>()
    };
    assert_eq!(behind(ids[2]).await, [(ids[3], false), (ids[4], false)]);
    for id in &ids[..3] {
        let deleted = world
            .store
            .delete_version(&bucket, b"k", *id, &none, LockOverride::Nothing);
        assert!(deleted.await.unwrap().record.is_some());
    }
    // What followed the marker is the newest now.
    assert_eq!(behind(ids[2]).await, [(ids[3], true), (ids[4], false)]);
    assert_eq!(behind(VersionId::Null).await, []);
    let deleted =
        world
            .store
            .delete_version(&bucket, b"k", VersionId::Null, &none, LockOverride::Nothing);
    deleted.await.unwrap();
    assert_eq!(behind(VersionId::Null).await, [(ids[3], true)]);
}

/// Rows that an operation may read, whatever the number of versions.
const ROWS_MAX: u64 = 200;

async fn budget(hooked: &HookedEngine, what: &str, act: impl Future<Output = ()>) {
    let before = hooked.rows();
    act.await;
    let rows = hooked.rows() - before;
    assert!(rows <= ROWS_MAX, "{what} read {rows} rows");
}

#[tokio::test]
async fn nothing_walks_the_versions_of_a_key() {
    const VERSIONS: usize = 5_000;
    let hooked = HookedEngine::new(Arc::new(MemoryEngine::new()));
    let world = World::on_engine(hooked.clone(), Setup::SMALL).await;
    let bucket = world.bucket("b").await;
    world.put(&bucket, "k", b"null").await;
    let bucket = set_versioning(&world, &bucket, VersioningStatus::Enabled).await;
    let mut ids = Vec::new();
    for number in 0..VERSIONS {
        let record = world.put(&bucket, "k", &number.to_be_bytes()).await;
        ids.push(record.version_id());
    }
    world.put(&bucket, "l", b"neighbour").await;
    let (store, none) = (&world.store, Conditions::default());
    let middle = ids[VERSIONS / 2];
    budget(&hooked, "get by version", async {
        let found = store.object_version(&bucket, b"k", Some(middle)).await;
        assert_eq!(found.unwrap().version_id(), middle);
    })
    .await;
    budget(&hooked, "get the null version", async {
        let found = store.object_version(&bucket, b"k", Some(VersionId::Null));
        assert_eq!(found.await.unwrap().size, 4);
    })
    .await;
    budget(&hooked, "list a page of objects", async {
        let query = ListQuery {
            limit: 100,
            ..ListQuery::default()
        };
        let page = store.list_objects(&bucket, &query).await.unwrap();
        assert_eq!(page.entries.len(), 2);
    })
    .await;
    budget(&hooked, "list a page of versions", async {
        let marker = VersionMarker {
            key: Bytes::from_static(b"k"),
            version: middle,
        };
        let page = list(&world, &bucket, "", "", Some(marker), 10).await;
        assert_eq!(line_of(&page.entries[0]).id, ids[VERSIONS / 2 - 1]);
    })
    .await;
    budget(&hooked, "list groups", async {
        let page = list(&world, &bucket, "", "k", None, 10).await;
        assert!(matches!(&page.entries[0], Entry::Group(group) if group == "k"));
        assert_eq!(page.entries.len(), 2);
    })
    .await;
    budget(&hooked, "delete, look, restore", async {
        let marker = store.delete_object(&bucket, b"k", &none).await.unwrap();
        let found = store.object(&bucket, b"k").await;
        assert!(matches!(found, Err(GetObjectError::Deleted(_))));
        let marker = marker.version_id.unwrap();
        let deleted = store.delete_version(&bucket, b"k", marker, &none, LockOverride::Nothing);
        assert!(deleted.await.unwrap().delete_marker);
        let newest = store.object(&bucket, b"k").await.unwrap();
        assert_eq!(Some(&newest.version_id()), ids.last());
    })
    .await;
    budget(&hooked, "delete versions", async {
        for id in [middle, ids[VERSIONS - 1], ids[0]] {
            let deleted = store.delete_version(&bucket, b"k", id, &none, LockOverride::Nothing);
            assert!(deleted.await.unwrap().record.is_some());
        }
    })
    .await;
    let suspended = set_versioning(&world, &bucket, VersioningStatus::Suspended).await;
    budget(&hooked, "write and delete the null version", async {
        world.put(&suspended, "k", b"null").await;
        let deleted = store.delete_object(&suspended, b"k", &none).await;
        assert_eq!(deleted.unwrap().version_id, Some(VersionId::Null));
        world.put(&suspended, "k", b"null again").await;
    })
    .await;
    world.collect().await;
    world.assert_sound().await;
}

/// Puts and deletes rows behind the store's back.
async fn damage(world: &World, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) {
    let mut mutation = Mutation::new();
    for (key, value) in puts {
        mutation.put(Space::Records, key.clone(), value.clone());
    }
    for key in deletes {
        mutation.delete(Space::Records, key.clone());
    }
    world.engine.commit(mutation).await.unwrap();
}

#[tokio::test]
async fn fsck_finds_a_history_that_is_not_right() {
    for case in 0..6 {
        let world = World::memory().await;
        let bucket = world.bucket("b").await;
        let null = world.put(&bucket, "k", &bytes_of(1, 10_000)).await;
        let bucket = set_versioning(&world, &bucket, VersioningStatus::Enabled).await;
        let middle = world.put(&bucket, "k", b"middle").await;
        world.put(&bucket, "k", b"newest").await;
        world.assert_sound().await;
        let present = object_key(bucket.id(), b"k");
        let null_key = null_version_key(bucket.id(), b"k");
        let row = |time| history_key(bucket.id(), b"k", time);
        let later = encode_null_time(null.time + 1);
        let expected = match case {
            0 => {
                damage(&world, &[], &[present]).await;
                "which does not show it"
            }
            1 => {
                damage(&world, &[(row(u64::MAX), middle.encode())], &[]).await;
                "under another time"
            }
            2 => {
                damage(&world, &[], &[null_key]).await;
                "not found by its id"
            }
            3 => {
                damage(&world, &[(null_key, later)], &[]).await;
                "a null version is kept in mind"
            }
            4 => {
                damage(&world, &[(present, null.encode())], &[]).await;
                "its key has two of them"
            }
            _ => {
                damage(&world, &[], &[row(middle.time)]).await;
                "is counted as"
            }
        };
        let findings = world.findings().await;
        let found = findings.iter().any(|found| found.detail.contains(expected));
        assert!(found, "{expected}: {findings:?}");
    }
}

#[tokio::test]
async fn scrub_reads_past_versions() {
    let world = World::memory().await;
    let bucket = enabled(&world, "b").await;
    let old = world.put(&bucket, "k", b"small").await;
    world.put(&bucket, "k", b"newest").await;
    let Placement::Inline(id) = old.placement else {
        panic!("a small body is a row");
    };
    let mut mutation = Mutation::new();
    mutation.put(body::SPACE, body::body_key(id), body::encode(b"other"));
    world.engine.commit(mutation).await.unwrap();
    let findings = world.findings().await;
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].detail.contains("MD5"), "{findings:?}");
}

/// Both count the same by the same names.
#[tokio::test]
async fn scrub_and_fsck_tell_objects_from_past_versions() {
    let world = World::memory().await;
    let bucket = enabled(&world, "b").await;
    for body in [b"first ", b"second", b"third "] {
        world.put(&bucket, "kept", body).await;
    }
    world.put(&bucket, "deleted", b"body").await;
    let none = Conditions::default();
    let deletion = world.store.delete_object(&bucket, b"deleted", &none);
    deletion.await.unwrap();
    let mut report = |finding| panic!("{finding:?}");
    let scrub = world.store.scrub(&mut report, &mut |_| ()).await.unwrap();
    assert_eq!((scrub.objects, scrub.past_versions), (1, 3));
    let fsck = world.store.fsck(&mut report).await.unwrap();
    assert_eq!((fsck.objects, fsck.past_versions), (1, 3));
    assert_eq!(fsck.delete_markers, 1);
}
