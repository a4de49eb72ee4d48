//! The lifecycle worker: random rules and histories against a model that is written anew from the rules,
//! ends of the worker in the middle of a pass, writers beside it, and objects that change their volumes.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use crate::support::{
    self, COLD_DIR, Setup, VOLUMES_DIR, World, bytes_of, copy_request, new_object, rows,
};
use bytes::Bytes;
use oncilla_blob::conformance::seed;
use oncilla_blob::fs::FileSystem;
use oncilla_blob::testing::SeededRandom;
use oncilla_store::history::{ListVersionsQuery, VersionEntry};
use oncilla_store::lifecycle::{Calendar, LifecycleOptions, Restored};
use oncilla_store::list::{Entry, ListQuery};
use oncilla_store::object::{Directive, NewObject};
use oncilla_store::rows::placement::Placement;
use oncilla_store::{Bucket, DocumentKind, LockOverride, NewDocument, VersionId};
use oncilla_wire::conditions::Conditions;
use oncilla_wire::xml::lifecycle::LifecycleConfiguration;
use oncilla_wire::xml::restore::RestoreRequest;
use oncilla_wire::xml::versioning::VersioningStatus;

const DAY_MS: u64 = 86_400_000;

async fn set_rules(world: &World, bucket: &Bucket, rules: &str) -> Bucket {
    let document = format!("<LifecycleConfiguration>{rules}</LifecycleConfiguration>");
    let configuration = LifecycleConfiguration::parse(document.as_bytes()).unwrap();
    let new = NewDocument {
        text: configuration.to_xml().into(),
        detail: Bytes::new(),
    };
    let kind = DocumentKind::Lifecycle;
    let set = world.store.put_document(bucket, kind, "", Some(new));
    set.await.unwrap();
    world
        .store
        .bucket(&bucket.name)
        .await
        .unwrap()
        .as_ref()
        .clone()
}

async fn set_versioning(world: &World, bucket: &Bucket, status: VersioningStatus) -> Bucket {
    world.store.set_versioning(bucket, status).await.unwrap()
}

async fn round(world: &World) {
    world.store.lifecycle_round(Calendar::REAL).await.unwrap();
    assert_eq!(world.store.lifecycle_stats().failures, 0);
}

/// A rule, as the model has it.
#[derive(Clone, Debug)]
struct Rule {
    prefix: &'static str,
    tagged: bool,
    larger_than: Option<u64>,
    expire_days: Option<u64>,
    markers: bool,
    noncurrent: Option<(u64, u64)>,
    glacier_days: Option<u64>,
}

impl Rule {
    fn random(random: &mut SeededRandom) -> Self {
        let mut some = |limit: u64| random.coin().then(|| random.below(limit));
        let expire_days = some(3).map(|days| days + 2);
        let noncurrent = some(3).map(|days| days + 1);
        let glacier_days = some(2);
        let larger_than = some(2).map(|size| size * 100);
        Self {
            prefix: ["", "a", "a/b"][random.below(3) as usize],
            tagged: random.below(4) == 0,
            larger_than,
            expire_days,
            markers: expire_days.is_none() && random.coin(),
            noncurrent: noncurrent.map(|days| (days, random.below(3))),
            glacier_days,
        }
    }

    /// The rule's document; `None` if it would have no action, or one that its filter does not allow.
    fn xml(&self) -> Option<String> {
        let mut filter = format!("<Prefix>{}</Prefix>", self.prefix);
        if self.tagged {
            filter += "<Tag><Key>k</Key><Value>v</Value></Tag>";
        }
        if let Some(size) = self.larger_than {
            filter += &format!("<ObjectSizeGreaterThan>{size}</ObjectSizeGreaterThan>");
        }
        if self.tagged || self.larger_than.is_some() {
            filter = format!("<And>{filter}</And>");
        }
        let mut actions = String::new();
        if let Some(days) = self.expire_days {
            actions += &format!("<Expiration><Days>{days}</Days></Expiration>");
        } else if self.markers && !self.tagged && self.larger_than.is_none() {
            actions += "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker>\
                        </Expiration>";
        }
        if let Some((days, newer)) = self.noncurrent {
            let newer = match newer {
                0 => String::new(),
                _ => format!("<NewerNoncurrentVersions>{newer}</NewerNoncurrentVersions>"),
            };
            actions += &format!(
                "<NoncurrentVersionExpiration><NoncurrentDays>{days}</NoncurrentDays>{newer}\
                 </NoncurrentVersionExpiration>"
            );
        }
        if let Some(days) = self.glacier_days {
            actions += &format!(
                "<Transition><Days>{days}</Days><StorageClass>GLACIER</StorageClass></Transition>"
            );
        }
        let rule =
            format!("<Rule><Filter>{filter}</Filter><Status>Enabled</Status>{actions}</Rule>");
        (!actions.is_empty()).then_some(rule)
    }

    fn is_about_bodies(&self) -> bool {
        self.tagged || self.larger_than.is_some()
    }

    fn matches(&self, key: &str, version: &Version) -> bool {
        if !key.starts_with(self.prefix) {
            return false;
        }
        match version.body {
            None => !self.is_about_bodies(),
            Some((size, tagged, _)) => {
                (!self.tagged || tagged) && self.larger_than.is_none_or(|bound| size > bound)
            }
        }
    }
}

/// A version, as the model has it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    id: VersionId,
    written_ms: u64,
    /// Size, whether it is tagged, and whether it is in GLACIER; `None` for a delete marker.
    body: Option<(u64, bool, bool)>,
}

/// The versions of all keys, newest first.
type Model = BTreeMap<String, Vec<Version>>;

/// Days count from one midnight after the moment.
fn due(from_ms: u64, days: u64, now_ms: u64) -> bool {
    let midnight = from_ms - from_ms % DAY_MS;
    let is_exactly_later = midnight + (days + 1) * DAY_MS;
    is_exactly_later <= now_ms
}

/// What a round at `now_ms` makes of a key; `None` in place of an id stands for a new delete marker.
fn expected(
    rules: &[Rule],
    key: &str,
    before: &[Version],
    keeps: bool,
    now_ms: u64,
) -> Vec<Version> {
    let mut after = Vec::new();
    for (index, version) in before.iter().enumerate() {
        let matching = || rules.iter().filter(|rule| rule.matches(key, version));
        let mut kept = version.clone();
        let is_removed;
        if index == 0 && version.body.is_some() {
            let expires = matching().any(|rule| {
                rule.expire_days
                    .is_some_and(|days| due(version.written_ms, days, now_ms))
            });
            is_removed = expires && !keeps;
            let moves = matching().any(|rule| {
                // Bodies are small: without a size in its filter, a rule does not move them.
                rule.larger_than.is_some()
                    && rule
                        .glacier_days
                        .is_some_and(|days| due(version.written_ms, days, now_ms))
            });
            if moves && let Some(body) = &mut kept.body {
                body.2 = true;
            }
            if expires && keeps {
                after.push(Version {
                    id: VersionId::Null,
                    written_ms: now_ms,
                    body: None,
                });
            }
        } else if index == 0 {
            is_removed = before.len() == 1
                && matching().any(|rule| match rule.expire_days {
                    Some(days) => due(version.written_ms, days, now_ms),
                    None => rule.markers,
                });
        } else {
            let since = before[index - 1].written_ms;
            let newer = before[1..index]
                .iter()
                .filter(|version| version.body.is_some());
            let newer = newer.count() as u64;
            is_removed = matching().any(|rule| {
                rule.noncurrent
                    .is_some_and(|(days, kept)| newer >= kept && due(since, days, now_ms))
            });
        }
        if !is_removed {
            after.push(kept);
        }
    }
    after
}

/// The versions as the store lists them.
async fn listed(world: &World, bucket: &Bucket) -> Model {
    let query = ListVersionsQuery {
        keys: ListQuery {
            limit: 100_000,
            ..ListQuery::default()
        },
        marker: None,
    };
    let page = world.store.list_versions(bucket, &query).await.unwrap();
    let mut model = Model::new();
    for entry in page.entries {
        let Entry::Item(key, version) = entry else {
            panic!("no delimiter, no groups");
        };
        let (written_ms, body) = match version.entry {
            VersionEntry::Object(object) => {
                let found = world
                    .store
                    .object_version(bucket, &key, Some(version.version_id))
                    .await
                    .unwrap();
                let is_glacier = object.storage_class() == "GLACIER";
                let body = (object.size, !found.tags.is_empty(), is_glacier);
                (object.last_modified_ms, Some(body))
            }
            VersionEntry::DeleteMarker {
                last_modified_ms, ..
            } => (last_modified_ms, None),
        };
        let key = String::from_utf8(key.to_vec()).unwrap();
        model.entry(key).or_default().push(Version {
            id: version.version_id,
            written_ms,
            body,
        });
    }
    model
}

/// Without ids of delete markers, which the model cannot know.
fn comparable(model: &Model) -> Model {
    let mut model = model.clone();
    model.retain(|_, versions| !versions.is_empty());
    for version in model.values_mut().flatten() {
        if version.body.is_none() {
            version.id = VersionId::Null;
        }
    }
    model
}

async fn put_tagged(world: &World, bucket: &Bucket, key: &str, body: &[u8], tagged: bool) {
    let new = NewObject {
        tags: match tagged {
            true => vec![("k".to_owned(), "v".to_owned())],
            false => Vec::new(),
        },
        ..new_object()
    };
    let content = world.content(body).await;
    let none = Conditions::default();
    let written = world
        .store
        .put_object(bucket, key.as_bytes(), new, content, &none);
    written.await.unwrap();
}

/// A round removes what the rules name and nothing else, whatever was done to the keys before.
#[tokio::test]
async fn rounds_do_what_a_model_says() {
    let seed = seed("lifecycle rounds");
    let mut random = SeededRandom::new(seed);
    for history in 0..12 {
        let world = World::memory().await;
        let mut bucket = world.bucket("bucket").await;
        let keeps = history % 3 != 0;
        if keeps {
            bucket = set_versioning(&world, &bucket, VersioningStatus::Enabled).await;
        }
        let mut rules = Vec::new();
        let mut text = String::new();
        while rules.is_empty() {
            for _ in 0..1 + random.below(3) {
                let rule = Rule::random(&mut random);
                if let Some(xml) = rule.xml()
                    && LifecycleConfiguration::parse(
                        format!("<LifecycleConfiguration>{xml}</LifecycleConfiguration>")
                            .as_bytes(),
                    )
                    .is_ok()
                {
                    text += &xml;
                    rules.push(rule);
                }
            }
        }
        // What a document cannot say, the model must not know.
        for rule in &mut rules {
            rule.markers &= rule.expire_days.is_none() && !rule.is_about_bodies();
        }
        bucket = set_rules(&world, &bucket, &text).await;
        for _ in 0..25 {
            for _ in 0..random.below(8) {
                let key = ["a", "a/b/c", "a/b", "b"][random.below(4) as usize];
                let body = bytes_of(random.next_u64(), random.below(300) as usize);
                match random.below(6) {
                    0..=3 => put_tagged(&world, &bucket, key, &body, random.coin()).await,
                    4 => {
                        world.delete(&bucket, key).await;
                    }
                    _ => {
                        let versions = listed(&world, &bucket).await;
                        let of_key = versions.get(key).cloned().unwrap_or_default();
                        if !of_key.is_empty() {
                            let chosen = &of_key[random.below(of_key.len() as u64) as usize];
                            let none = Conditions::default();
                            let deleted = world.store.delete_version(
                                &bucket,
                                key.as_bytes(),
                                chosen.id,
                                &none,
                                LockOverride::Nothing,
                            );
                            deleted.await.unwrap();
                        }
                    }
                }
                world.wall.advance(random.below(DAY_MS / 3));
            }
            world.wall.advance(DAY_MS + random.below(DAY_MS));
            let before = listed(&world, &bucket).await;
            let now_ms = world.store.clock().now_ms();
            round(&world).await;
            let mut model = Model::new();
            for (key, versions) in &before {
                model.insert(key.clone(), expected(&rules, key, versions, keeps, now_ms));
            }
            let after = listed(&world, &bucket).await;
            assert_eq!(
                comparable(&after),
                comparable(&model),
                "seed {seed}, rules {rules:?}, at {now_ms}, before {before:?}"
            );
        }
        world.collect().await;
        world.assert_sound().await;
    }
}

const EXPIRE_OLD: &str = "<Rule><ID>r</ID><Filter><Prefix>old/</Prefix></Filter>\
     <Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>";

/// Ends the worker where it has waited so many times and waits again.
async fn end_where_it_waits<T>(worker: impl Future<Output = T>, waits: usize) {
    let mut worker = pin!(worker);
    for _ in 0..=waits {
        let state = poll_fn(|context| Poll::Ready(worker.as_mut().poll(context))).await;
        if state.is_ready() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// However often the worker is ended and the store opened again, it comes to the end, and what no
/// rule names is untouched.
#[tokio::test]
async fn a_pass_goes_on_where_it_was_ended() {
    let mut world = World::memory().await;
    let bucket = world.bucket("bucket").await;
    let bucket = set_rules(&world, &bucket, EXPIRE_OLD).await;
    let old = 2_500;
    for number in 0..old {
        world
            .put(&bucket, &format!("old/{number:05}"), b"body")
            .await;
    }
    for key in ["a", "old", "olda", "z"] {
        world.put(&bucket, key, b"stays").await;
    }
    world.wall.advance(3 * DAY_MS);
    let options = LifecycleOptions {
        interval: Duration::from_millis(1),
        ..LifecycleOptions::default()
    };
    let mut endings = 0;
    loop {
        let worker = world.store.run_lifecycle(options);
        end_where_it_waits(worker, endings % 2).await;
        world.reopen().await;
        let usage = world.store.usage(bucket.id()).await.unwrap();
        if usage.objects == 4 {
            break;
        }
        endings += 1;
        assert!(endings < 10_000, "{usage:?}");
    }
    assert!(
        endings > 2,
        "the worker was not ended in the middle of anything"
    );
    for key in ["a", "old", "olda", "z"] {
        assert_eq!(
            world.get(&bucket, key).await.as_deref(),
            Some(&b"stays"[..])
        );
    }
    round(&world).await;
    let done = world.store.lifecycle_stats();
    round(&world).await;
    assert_eq!(
        world.store.lifecycle_stats().rows,
        done.rows,
        "nothing is due before the next midnight"
    );
    world.collect().await;
    world.assert_sound().await;
}

/// An object that is written anew while the worker is about to expire the one before stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_overwritten_meanwhile_stays() {
    let world = World::memory().await;
    let bucket = world.bucket("bucket").await;
    let bucket = set_rules(&world, &bucket, EXPIRE_OLD).await;
    let key = |number: u32| format!("old/{number:03}");
    for number in 0..400 {
        world.put(&bucket, &key(number), b"old").await;
    }
    world.wall.advance(3 * DAY_MS);
    let (store, to) = (world.store.clone(), bucket.clone());
    let writer = tokio::spawn(async move {
        for number in (0..400).rev() {
            let none = Conditions::default();
            support::put(&store, &to, &key(number), b"new", &none)
                .await
                .unwrap();
        }
    });
    let store = world.store.clone();
    let worker = tokio::spawn(async move { store.lifecycle_round(Calendar::REAL).await });
    writer.await.unwrap();
    worker.await.unwrap().unwrap();
    for number in 0..400 {
        let body = world.get(&bucket, &key(number)).await;
        assert_eq!(body.as_deref(), Some(&b"new"[..]), "{number}");
    }
}

#[tokio::test]
async fn a_bucket_leaves_no_progress_behind() {
    let world = World::memory().await;
    let bucket = world.bucket("bucket").await;
    let bucket = set_rules(&world, &bucket, EXPIRE_OLD).await;
    world.put(&bucket, "old/k", b"body").await;
    world.wall.advance(3 * DAY_MS);
    round(&world).await;
    let progress = || {
        let range = (Bytes::from_static(b"f"), Bytes::from_static(b"g"));
        rows(&world.engine, range)
    };
    assert_eq!(progress().await.len(), 1);
    world.store.delete_bucket(&bucket).await.unwrap();
    assert!(progress().await.is_empty());
    round(&world).await;
    assert!(progress().await.is_empty());
}

/// The volumes that a record's bytes lie in: whether they are in the cold directory.
fn is_cold(world: &World, placement: &Placement) -> bool {
    let Placement::Extents(extents) = placement else {
        panic!("{placement:?}");
    };
    let links = extents.iter().map(|extent| {
        let path = Path::new(VOLUMES_DIR).join(extent.volume.file_name());
        world.memory_fs().link_target(&path).unwrap()
    });
    let cold: Vec<bool> = links
        .map(|link| link.is_some_and(|target| target.starts_with(COLD_DIR)))
        .collect();
    assert!(cold.iter().all(|is| *is == cold[0]));
    cold[0]
}

const TO_GLACIER: &str = "<Rule><ID>r</ID><Filter><ObjectSizeGreaterThan>0</ObjectSizeGreaterThan>\
     </Filter><Status>Enabled</Status><Transition><Days>0</Days>\
     <StorageClass>GLACIER</StorageClass></Transition></Rule>";

async fn restore(world: &World, bucket: &Bucket, key: &str) {
    let asked = RestoreRequest {
        days: 1,
        ..RestoreRequest::default()
    };
    let restored = world
        .store
        .restore_object(bucket, key.as_bytes(), None, asked);
    assert_eq!(restored.await.unwrap(), Restored::Begun);
}

/// A class with a directory of its own: transitions and copies move the bytes there and back, what lay
/// elsewhere is given back, and all is found again after a restart that knows nothing of directories.
#[tokio::test]
async fn bytes_follow_their_class() {
    let setup = Setup {
        has_cold_group: true,
        ..Setup::PARTS
    };
    let mut world = World::memory_with(setup).await;
    let bucket = world.bucket("bucket").await;
    let body = bytes_of(1, 5 << 20);
    let large = world.put(&bucket, "large", &body).await;
    assert!(!is_cold(&world, &large.placement));
    world.put(&bucket, "small", b"small").await;
    let upload = world.create_upload(&bucket, "parts").await;
    let first = world.put_part(&upload, 1, &body).await.unwrap();
    let last = world.put_part(&upload, 2, b"last").await.unwrap();
    let parts = [(1, &first), (2, &last)];
    world
        .complete(&bucket, "parts", &upload, &parts)
        .await
        .unwrap();
    // A copy shares the bytes, which so must stay where they are.
    let none = Conditions::default();
    let (from, to) = ((&bucket, &b"parts"[..]), (&bucket, &b"kept"[..]));
    let copy = copy_request(from, None, to, &none);
    world.store.copy_object(copy, u64::MAX).await.unwrap();
    let only_some = TO_GLACIER.replace(
        "<ObjectSizeGreaterThan>0</ObjectSizeGreaterThan>",
        "<And><Prefix>KEY</Prefix><ObjectSizeGreaterThan>0</ObjectSizeGreaterThan></And>",
    );
    let rules: String = ["large", "parts", "small"]
        .iter()
        .map(|key| only_some.replace("KEY", key).replace("<ID>r</ID>", ""))
        .collect();
    let bucket = set_rules(&world, &bucket, &rules).await;
    world.wall.advance(2 * DAY_MS);
    round(&world).await;
    assert_eq!(world.store.lifecycle_stats().transitions, 3);
    world.collect().await;
    world.assert_sound().await;

    let moved = world.store.object(&bucket, b"large").await.unwrap();
    assert!(is_cold(&world, &moved.placement));
    assert_eq!(
        (moved.id, moved.etag, moved.time),
        (large.id, large.etag, large.time)
    );
    world.setup.has_cold_group = false;
    world.reopen().await;
    let whole = [&body[..], b"last"].concat();
    for (key, expected) in [
        ("large", &body),
        ("parts", &whole),
        ("small", &b"small".to_vec()),
    ] {
        restore(&world, &bucket, key).await;
        assert!(
            world.get(&bucket, key).await.as_ref() == Some(expected),
            "{key}"
        );
    }
    assert!(world.get(&bucket, "kept").await == Some(whole.clone()));
    world.collect().await;
    world.assert_sound().await;

    world.setup.has_cold_group = true;
    world.reopen().await;
    for (key, class) in [
        ("large", None),
        ("parts", None),
        ("kept", Some("GLACIER".to_owned())),
    ] {
        let (from, to) = ((&bucket, key.as_bytes()), (&bucket, key.as_bytes()));
        let mut copy = copy_request(from, None, to, &none);
        copy.storage_class = class;
        copy.metadata = Directive::Replace(new_object());
        world.store.copy_object(copy, u64::MAX).await.unwrap();
    }
    let warm = world.store.object(&bucket, b"large").await.unwrap();
    assert!(!is_cold(&world, &warm.placement) && warm.restoration.is_none());
    assert!(world.get(&bucket, "large").await.as_ref() == Some(&body));
    assert!(world.get(&bucket, "parts").await.as_ref() == Some(&whole));
    restore(&world, &bucket, "kept").await;
    assert!(world.get(&bucket, "kept").await == Some(whole));
    world.collect().await;
    world.assert_sound().await;
}

/// What a move that was ended leaves is found and given back.
#[tokio::test]
async fn a_move_that_is_ended_leaves_nothing() {
    let setup = Setup {
        has_cold_group: true,
        ..Setup::PARTS
    };
    let mut world = World::memory_with(setup).await;
    let bucket = world.bucket("bucket").await;
    let body = bytes_of(2, 6 << 20);
    let upload = world.create_upload(&bucket, "parts").await;
    let first = world.put_part(&upload, 1, &body).await.unwrap();
    let last = world.put_part(&upload, 2, &body).await.unwrap();
    let parts = [(1, &first), (2, &last)];
    world
        .complete(&bucket, "parts", &upload, &parts)
        .await
        .unwrap();
    let bucket = set_rules(&world, &bucket, TO_GLACIER).await;
    world.wall.advance(2 * DAY_MS);
    let mut pause = Duration::from_micros(500);
    while world.store.lifecycle_stats().transitions == 0 {
        let moving = world.store.lifecycle_round(Calendar::REAL);
        let _ = tokio::time::timeout(pause, moving).await;
        let ended = world.store.lifecycle_stats().transitions;
        world.collect().await;
        assert_eq!(world.findings().await, []);
        if ended > 0 {
            break;
        }
        pause = pause * 3 / 2;
    }
    let moved = world.store.object(&bucket, b"parts").await.unwrap();
    assert_eq!(moved.storage_class(), "GLACIER");
    world.reopen().await;
    world.collect().await;
    world.assert_sound().await;
    restore(&world, &bucket, "parts").await;
    assert!(world.get(&bucket, "parts").await == Some([&body[..], &body].concat()));
}

/// A directory that is not there is not taken for an empty one.
#[tokio::test]
async fn volumes_that_are_not_mounted_are_missed() {
    use oncilla_blob::{OpenError, VolumeOptions, Volumes};
    let setup = Setup {
        has_cold_group: true,
        ..Setup::SMALL
    };
    let world = World::memory_with(setup).await;
    let bucket = world.bucket("bucket").await;
    world.put(&bucket, "k", &bytes_of(3, 5_000)).await;
    let bucket = set_rules(&world, &bucket, TO_GLACIER).await;
    world.wall.advance(2 * DAY_MS);
    round(&world).await;
    let moved = world.store.object(&bucket, b"k").await.unwrap();
    assert!(is_cold(&world, &moved.placement));
    let fs = world.memory_fs().clone();
    fs.remove(&PathBuf::from(COLD_DIR).join("oncilla-volumes"))
        .unwrap();
    let dir = PathBuf::from(VOLUMES_DIR);
    let options = VolumeOptions::default();
    let opened = Volumes::open(std::sync::Arc::new(fs), dir, options);
    assert!(matches!(opened, Err(OpenError::GroupMissing(_))));
}
