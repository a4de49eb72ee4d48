//! Buckets: create, delete, list, and what they are said to hold.

use std::collections::BTreeMap;

use crate::support::{self, OWNER, World, bytes_of, put, rows};
use oncilla_blob::conformance::seed;
use oncilla_blob::testing::SeededRandom;
use oncilla_store::bucket::{
    BucketError, CreateBucketError, DeleteBucketError, ListBuckets, NewBucket,
};
use oncilla_store::documents::PutDocumentError;
use oncilla_store::object::PutObjectError;
use oncilla_store::rows::document::all_documents;
use oncilla_store::rows::usage::counters_of_bucket;
use oncilla_store::{Bucket, DocumentKind, NewDocument};
use oncilla_wire::conditions::Conditions;

fn new_bucket(name: &str, owner: &str) -> NewBucket {
    NewBucket {
        name: name.to_owned(),
        owner: owner.to_owned(),
        ..NewBucket::default()
    }
}

#[tokio::test]
async fn a_name_belongs_to_whoever_was_first() {
    for world in World::every_kind().await {
        let bucket = world.bucket("mine").await;
        assert_eq!(*world.store.bucket("mine").await.unwrap(), bucket);
        let again = world.store.create_bucket(new_bucket("mine", OWNER)).await;
        match again {
            Err(CreateBucketError::AlreadyOwnedByYou(found)) => assert_eq!(*found, bucket),
            other => panic!("{other:?}"),
        }
        let other = world.store.create_bucket(new_bucket("mine", "bb22")).await;
        assert!(matches!(other, Err(CreateBucketError::AlreadyExists)));
        let missing = world.store.bucket("other").await;
        assert!(matches!(missing, Err(BucketError::NoSuchBucket)));
        world.assert_sound().await;
    }
}

#[tokio::test]
async fn documents_are_kept_with_their_bucket_and_go_with_it() {
    for world in World::every_kind().await {
        let store = &world.store;
        let bucket = world.bucket("b").await;
        let new = |text: &str| {
            Some(NewDocument {
                text: text.to_owned().into(),
                ..NewDocument::default()
            })
        };
        let text = |bucket: &Bucket, kind, name: &str| {
            let document = bucket.documents.named(kind, name);
            document.map(|document| String::from_utf8(document.text().to_vec()).unwrap())
        };
        let (cors, inventory) = (DocumentKind::Cors, DocumentKind::Inventory);
        store
            .put_document(&bucket, cors, "", new("a"))
            .await
            .unwrap();
        store
            .put_document(&bucket, cors, "", new("b"))
            .await
            .unwrap();
        for name in ["y", "x"] {
            store
                .put_document(&bucket, inventory, name, new(name))
                .await
                .unwrap();
        }
        let found = store.bucket("b").await.unwrap();
        assert_eq!(text(&found, cors, "").as_deref(), Some("b"));
        let names: Vec<_> = found
            .documents
            .all(inventory)
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, ["x", "y"]);
        assert_eq!(text(&found, DocumentKind::Policy, ""), None);
        let parsed = found
            .documents
            .get(cors)
            .unwrap()
            .parsed(|text| Ok::<_, ()>(text.len()));
        assert_eq!(*parsed.unwrap(), 1);

        store.put_document(&bucket, cors, "", None).await.unwrap();
        store.put_document(&bucket, cors, "", None).await.unwrap();
        assert_eq!(text(&store.bucket("b").await.unwrap(), cors, ""), None);
        world.assert_sound().await;

        store.delete_bucket(&bucket).await.unwrap();
        assert!(rows(&world.engine, all_documents()).await.is_empty());
        world.bucket("b").await;
        let gone = store.put_document(&bucket, cors, "", new("c")).await;
        assert!(matches!(gone, Err(PutDocumentError::NoSuchBucket)));
        assert!(rows(&world.engine, all_documents()).await.is_empty());
    }
}

#[tokio::test]
async fn only_an_empty_bucket_is_deleted_and_leaves_nothing() {
    for world in World::every_kind().await {
        let bucket = world.bucket("b").await;
        world.put(&bucket, "k", b"body").await;
        let full = world.store.delete_bucket(&bucket).await;
        assert!(matches!(full, Err(DeleteBucketError::NotEmpty)));
        assert_eq!(world.get(&bucket, "k").await.as_deref(), Some(&b"body"[..]));
        world.delete(&bucket, "k").await;
        world.store.delete_bucket(&bucket).await.unwrap();
        let again = world.store.delete_bucket(&bucket).await;
        assert!(matches!(again, Err(DeleteBucketError::NoSuchBucket)));
        assert!(
            rows(&world.engine, counters_of_bucket(bucket.id()))
                .await
                .is_empty()
        );

        let late = put(&world.store, &bucket, "k", b"late", &Conditions::default()).await;
        assert!(matches!(late, Err(PutObjectError::NoSuchBucket)));
        let anew = world.bucket("b").await;
        assert_ne!(anew.id(), bucket.id());
        // Whoever still holds the old bucket cannot delete the new one of the same name.
        let stale = world.store.delete_bucket(&bucket).await;
        assert!(matches!(stale, Err(DeleteBucketError::NoSuchBucket)));
        assert_eq!(world.get(&anew, "k").await, None);
        world.collect().await;
        world.assert_sound().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_put_and_the_deletion_of_its_bucket_never_both_succeed() {
    for (world, rounds) in [(World::memory().await, 400), (World::embedded().await, 60)] {
        let mut deleted_first = 0;
        for round in 0..rounds {
            let bucket = world.bucket("contended").await;
            let content = world.content(&bytes_of(round, 3_000)).await;
            let (store, in_bucket) = (world.store.clone(), bucket.clone());
            let writer = tokio::spawn(async move {
                if round % 2 == 0 {
                    tokio::task::yield_now().await;
                }
                let none = Conditions::default();
                store
                    .put_object(&in_bucket, b"k", support::new_object(), content, &none)
                    .await
            });
            let deleted = world.store.delete_bucket(&bucket).await;
            match (writer.await.unwrap(), deleted) {
                (Ok(_), Err(DeleteBucketError::NotEmpty)) => {
                    assert_eq!(world.get(&bucket, "k").await, Some(bytes_of(round, 3_000)));
                    world.delete(&bucket, "k").await;
                    world.store.delete_bucket(&bucket).await.unwrap();
                }
                (Err(PutObjectError::NoSuchBucket), Ok(())) => deleted_first += 1,
                (put, deleted) => panic!("round {round}: put {put:?}, deletion {deleted:?}"),
            }
        }
        println!("the deletion came first in {deleted_first} of {rounds} rounds");
        world.collect().await;
        world.assert_sound().await;
    }
}

#[tokio::test]
async fn listings_are_by_owner_with_prefix_and_pages() {
    let world = World::memory().await;
    let names = ["a", "ab", "abc", "b", "ba", "c"];
    for (index, name) in names.iter().enumerate() {
        let owner = ["aa", "bb"][index % 2];
        world
            .store
            .create_bucket(new_bucket(name, owner))
            .await
            .unwrap();
    }
    for owner in [None, Some("aa"), Some("bb"), Some("b")] {
        for prefix in ["", "a", "ab", "b", "z"] {
            for after in [None, Some(""), Some("ab"), Some("b"), Some("zz")] {
                for limit in [0, 1, 2, 10] {
                    let list = ListBuckets {
                        owner,
                        prefix,
                        after,
                        limit,
                    };
                    let page = world.store.list_buckets(list).await.unwrap();
                    let listed: Vec<&str> = page.buckets.iter().map(|b| b.name.as_str()).collect();
                    let of_owner =
                        |index: usize| owner.is_none_or(|o| o == ["aa", "bb"][index % 2]);
                    let expected: Vec<&str> = (0..names.len())
                        .filter(|&index| of_owner(index))
                        .map(|index| names[index])
                        .filter(|name| name.starts_with(prefix))
                        .filter(|name| after.is_none_or(|after| *name > after))
                        .collect();
                    let shown = &expected[..limit.min(expected.len())];
                    assert_eq!(listed, shown, "{owner:?} {prefix} {after:?} {limit}");
                    if limit > 0 {
                        assert_eq!(page.truncated, expected.len() > limit);
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn usage_is_exact_after_random_operations() {
    let world = World::memory().await;
    let mut random = SeededRandom::new(seed("usage"));
    let bucket = world.bucket("counted").await;
    let mut model: BTreeMap<String, u64> = BTreeMap::new();
    for step in 0..400 {
        let key = format!("k{}", random.below(8));
        match random.below(4) {
            0 => {
                let existed = world.delete(&bucket, &key).await;
                assert_eq!(existed, model.remove(&key).is_some());
            }
            1 => {
                let upload = world.create_upload(&bucket, &key).await;
                let size = random.magnitude(16);
                let part = world
                    .put_part(&upload, 1, &bytes_of(step, size as usize))
                    .await;
                let part = part.unwrap();
                let parts = [(1, &part)];
                let completed = world.complete(&bucket, &key, &upload, &parts).await;
                completed.unwrap();
                model.insert(key, size);
            }
            _ => {
                let size = random.magnitude(17);
                world
                    .put(&bucket, &key, &bytes_of(step, size as usize))
                    .await;
                model.insert(key, size);
            }
        }
        let usage = world.store.usage(bucket.id()).await.unwrap();
        let expected = (model.len() as u64, model.values().sum::<u64>());
        assert_eq!((usage.objects, usage.bytes), expected);
    }
    world.collect().await;
    world.assert_sound().await;
}
