use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use oncilla_meta::embedded::{EmbeddedEngine, EmbeddedOptions};
use oncilla_meta::memory::MemoryEngine;
use oncilla_meta::{Change, EngineError, EngineFuture, EngineStats, Limits, ScanPage};
use tokio::sync::Semaphore;

use super::*;
use crate::rows::access_key::{key_by_account_key, key_id_of_index_row};
use crate::rows::account::{
    account_by_email_key, account_by_name_key, decode_account_id, decode_key_count, key_count_key,
};
use crate::rows::{ACCESS_KEY, ACCOUNT, ACCOUNT_BY_EMAIL, ACCOUNT_BY_NAME, KEY_BY_ACCOUNT, end_of};
use crate::{Grant, KEYS_PER_ACCOUNT_MAX, Role, Secret};

const NOW_MS: u64 = 1_700_000_000_000;

fn door(engine: Arc<dyn Engine>) -> Iam {
    Iam::new(engine, Arc::new(|| NOW_MS))
}

fn fresh() -> (Arc<MemoryEngine>, Iam) {
    let engine = Arc::new(MemoryEngine::new());
    let iam = door(Arc::clone(&engine) as Arc<dyn Engine>);
    (engine, iam)
}

fn named(name: &str) -> NewAccount {
    NewAccount {
        name: name.to_owned(),
        email: None,
    }
}

fn new_key(account: &Account) -> NewKey {
    NewKey {
        account_id: account.id.clone(),
        description: "test".to_owned(),
        grants: vec![Grant::new("*", Role::Editor)],
        expires_ms: None,
    }
}

fn import(account: &Account, id: &str, secret: &str) -> ImportKey {
    ImportKey {
        id: id.to_owned(),
        secret: Secret::new(secret),
        key: new_key(account),
    }
}

async fn found(iam: &Iam, key_id: &str) -> Arc<KeyWithAccount> {
    iam.lookup(key_id).await.unwrap().unwrap()
}

async fn rows_of(engine: &dyn Engine, prefix: &'static [u8]) -> Vec<oncilla_meta::Row> {
    let scan = Scan {
        space: Space::Records,
        start: Bytes::from_static(prefix),
        end: end_of(prefix),
        reverse: false,
        limit_rows: usize::MAX,
    };
    engine.scan(scan).await.unwrap().rows
}

/// Every index row follows from a record, and the other way round.
async fn assert_indexes_agree(engine: &dyn Engine) {
    let mut expected_names = BTreeSet::new();
    let mut expected_emails = BTreeSet::new();
    let mut expected_keys = BTreeSet::new();
    let keys: Vec<AccessKey> = rows_of(engine, ACCESS_KEY)
        .await
        .iter()
        .map(|row| AccessKey::decode(&row.value).unwrap())
        .collect();
    for key in &keys {
        expected_keys.insert(key_by_account_key(&key.info.account_id, key.id()));
        let account = engine
            .get(Space::Records, &account_key(&key.info.account_id))
            .await
            .unwrap();
        assert!(account.is_some(), "a key without an account");
    }
    for row in rows_of(engine, ACCOUNT).await {
        let account = Account::decode(&row.value).unwrap();
        expected_names.insert((account_by_name_key(&account.name), account.id.clone()));
        if let Some(email) = &account.email {
            expected_emails.insert((account_by_email_key(email), account.id.clone()));
        }
        let own = keys
            .iter()
            .filter(|key| key.info.account_id == account.id)
            .count();
        let count = engine
            .get(Space::Records, &key_count_key(&account.id))
            .await
            .unwrap();
        let count = count.map_or(0, |value| decode_key_count(&value).unwrap());
        assert_eq!(count, own as i64, "keys counted of {}", account.name);
    }
    for (prefix, expected) in [
        (ACCOUNT_BY_NAME, expected_names),
        (ACCOUNT_BY_EMAIL, expected_emails),
    ] {
        let rows = rows_of(engine, prefix).await;
        let rows = rows
            .into_iter()
            .map(|row| (row.key, decode_account_id(&row.value).unwrap()));
        assert_eq!(rows.collect::<BTreeSet<_>>(), expected);
    }
    let rows = rows_of(engine, KEY_BY_ACCOUNT).await;
    assert_eq!(
        rows.into_iter().map(|row| row.key).collect::<BTreeSet<_>>(),
        expected_keys
    );
}

#[tokio::test]
async fn accounts_are_created_found_changed_and_deleted() {
    let (engine, iam) = fresh();
    let email = Some("Ada@Example.com".to_owned());
    let ada = iam
        .create_account(NewAccount {
            name: "Ada".into(),
            email,
        })
        .await
        .unwrap();
    assert!(validate::is_canonical_id(&ada.id));
    assert_eq!(ada.created_ms, NOW_MS);
    assert_eq!(iam.account(&ada.id).await.unwrap(), ada);
    assert_eq!(iam.account_by_name("aDA").await.unwrap(), ada);

    let same_name = iam.create_account(named("ADA")).await;
    assert!(matches!(
        same_name,
        Err(IamError::AccountExists { attribute: "name" })
    ));
    let email = Some("ada@example.COM".to_owned());
    let same_email = iam
        .create_account(NewAccount {
            name: "Eve".into(),
            email,
        })
        .await;
    assert!(matches!(
        same_email,
        Err(IamError::AccountExists {
            attribute: "e-mail address"
        })
    ));

    let update = AccountUpdate {
        name: Some("Lovelace".into()),
        email: Some(None),
    };
    let renamed = iam.update_account(&ada.id, update).await.unwrap();
    assert_eq!((renamed.name.as_str(), &renamed.email), ("Lovelace", &None));
    assert!(matches!(
        iam.account_by_name("Ada").await,
        Err(IamError::NoSuchAccount)
    ));
    let case_only = AccountUpdate {
        name: Some("LOVELACE".into()),
        email: None,
    };
    iam.update_account(&ada.id, case_only).await.unwrap();
    assert_eq!(
        iam.account_by_name("lovelace").await.unwrap().name,
        "LOVELACE"
    );
    assert_indexes_agree(&*engine).await;

    let eve = iam.create_account(named("Eve")).await.unwrap();
    let taken = AccountUpdate {
        name: Some("lovelace".into()),
        email: None,
    };
    let taken = iam.update_account(&eve.id, taken).await;
    assert!(matches!(
        taken,
        Err(IamError::AccountExists { attribute: "name" })
    ));

    iam.delete_account(&ada.id, Vec::new()).await.unwrap();
    assert!(matches!(
        iam.account(&ada.id).await,
        Err(IamError::NoSuchAccount)
    ));
    let again = iam.delete_account(&ada.id, Vec::new()).await;
    assert!(matches!(again, Err(IamError::NoSuchAccount)));
    iam.create_account(named("Lovelace")).await.unwrap();
    assert_indexes_agree(&*engine).await;
}

#[tokio::test]
async fn invalid_ids_name_nothing() {
    let (_, iam) = fresh();
    let long = "a".repeat(100_000);
    for id in ["", "a/b", "\0", &long] {
        assert!(matches!(
            iam.account(id).await,
            Err(IamError::NoSuchAccount)
        ));
        assert!(matches!(
            iam.account_by_name(id).await,
            Err(IamError::NoSuchAccount)
        ));
        assert!(matches!(
            iam.delete_account(id, vec![]).await,
            Err(IamError::NoSuchAccount)
        ));
        assert!(matches!(
            iam.list_keys(id, None, 1).await,
            Err(IamError::NoSuchAccount)
        ));
        assert!(matches!(iam.key(id).await, Err(IamError::NoSuchKey)));
        assert!(matches!(iam.rotate_key(id).await, Err(IamError::NoSuchKey)));
        assert!(matches!(iam.delete_key(id).await, Err(IamError::NoSuchKey)));
        assert!(iam.lookup(id).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn an_account_goes_only_without_keys_and_with_the_callers_consent() {
    let (engine, iam) = fresh();
    let ada = iam.create_account(named("Ada")).await.unwrap();
    let key = iam.create_key(new_key(&ada)).await.unwrap();
    let refused = iam.delete_account(&ada.id, Vec::new()).await;
    assert!(matches!(refused, Err(IamError::AccountHasKeys)));
    iam.delete_key(key.id()).await.unwrap();

    let bucket = Bytes::from_static(b"w-some-bucket");
    let mut mutation = Mutation::new();
    mutation
        .require(account_present(&ada.id))
        .put(Space::Records, bucket.clone(), "");
    assert!(is_committed(engine.commit(mutation.clone()).await.unwrap()));
    let owns_none = vec![
        Precondition::Absent(Bytes::from_static(b"w-other")),
        Precondition::Absent(bucket.clone()),
    ];
    let refused = iam.delete_account(&ada.id, owns_none.clone()).await;
    assert!(matches!(
        refused,
        Err(IamError::CallersPrecondition { index: 1 })
    ));
    assert_eq!(iam.account(&ada.id).await.unwrap(), ada);

    let mut removal = Mutation::new();
    removal.delete(Space::Records, bucket);
    engine.commit(removal).await.unwrap();
    iam.delete_account(&ada.id, owns_none).await.unwrap();
    assert!(
        !is_committed(engine.commit(mutation).await.unwrap()),
        "the owner is gone"
    );
    assert_indexes_agree(&*engine).await;
}

#[tokio::test]
async fn listings_come_in_pages() {
    let (_, iam) = fresh();
    for number in 0..7 {
        iam.create_account(named(&format!("Team {number}")))
            .await
            .unwrap();
    }
    let mut names = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = iam.list_accounts(after.as_deref(), 3).await.unwrap();
        assert!(page.items.len() <= 3);
        names.extend(page.items.into_iter().map(|account| account.name));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(
        names,
        (0..7)
            .map(|number| format!("Team {number}"))
            .collect::<Vec<_>>()
    );

    let owner = iam.account_by_name("Team 0").await.unwrap();
    let other = iam.account_by_name("Team 1").await.unwrap();
    for id in ["key", "key.2", "key-1"] {
        iam.import_key(import(&owner, id, "12345678"))
            .await
            .unwrap();
    }
    iam.import_key(import(&other, "key-other", "12345678"))
        .await
        .unwrap();
    let first = iam.list_keys(&owner.id, None, 2).await.unwrap();
    let second = iam
        .list_keys(&owner.id, first.next.as_deref(), 2)
        .await
        .unwrap();
    let ids: Vec<_> = first
        .items
        .iter()
        .chain(&second.items)
        .map(|info| info.id.as_str())
        .collect();
    assert_eq!(ids, ["key", "key-1", "key.2"]);
    assert_eq!((first.next.as_deref(), second.next), (Some("key-1"), None));
    let exactly = iam.list_keys(&owner.id, None, 3).await.unwrap();
    assert_eq!((exactly.items.len(), exactly.next), (3, None));
    // A limit of 0 could not be paged through.
    assert_eq!(
        iam.list_keys(&owner.id, None, 0).await.unwrap().items.len(),
        1
    );
}

#[tokio::test]
async fn created_keys_have_the_form_of_tigris_and_are_found() {
    let (engine, iam) = fresh();
    let ada = iam.create_account(named("Ada")).await.unwrap();
    let key = iam.create_key(new_key(&ada)).await.unwrap();
    for (text, prefix, random_chars) in [(key.id(), "tid_", 20), (key.secret.expose(), "tsec_", 40)]
    {
        let random = text.strip_prefix(prefix).unwrap();
        assert!(random.len() >= random_chars && random.bytes().all(|b| b.is_ascii_alphanumeric()));
    }
    assert_eq!(key.info.generation, 1);
    let found = found(&iam, key.id()).await;
    assert_eq!((&found.key, &found.account), (&key, &ada));
    assert_eq!(found.principal().account(), Some(ada.id.as_str()));
    assert_eq!(found.principal().key_id(), Some(key.id()));
    assert!(found.principal().covers("any"));
    assert_eq!(iam.key(key.id()).await.unwrap(), key);
    let another = iam.create_key(new_key(&ada)).await.unwrap();
    assert!(another.id() != key.id() && another.secret != key.secret);
    assert_indexes_agree(&*engine).await;
}

#[tokio::test]
async fn changes_are_seen_at_once_through_the_cache() {
    let (engine, iam) = fresh();
    let clone = iam.clone();
    let ada = iam.create_account(named("Ada")).await.unwrap();
    let key = iam.create_key(new_key(&ada)).await.unwrap();
    let id = key.id();
    let cached = found(&iam, id).await;
    assert!(
        Arc::ptr_eq(&cached, &found(&clone, id).await),
        "the cache is shared and used"
    );

    let rotated = iam.rotate_key(id).await.unwrap();
    assert_ne!(rotated.secret, key.secret);
    assert_eq!(rotated.info.generation, 2);
    assert_eq!(found(&clone, id).await.key, rotated);

    iam.set_key_disabled(id, true).await.unwrap();
    let disabled = found(&clone, id).await;
    assert_eq!(clone.check_usable(&disabled), Err(KeyRefusal::KeyDisabled));
    iam.set_key_disabled(id, false).await.unwrap();
    assert_eq!(clone.check_usable(&*found(&clone, id).await), Ok(()));

    iam.set_account_disabled(&ada.id, true).await.unwrap();
    let disabled = found(&clone, id).await;
    assert_eq!(
        clone.check_usable(&disabled),
        Err(KeyRefusal::AccountDisabled)
    );
    iam.set_account_disabled(&ada.id, false).await.unwrap();

    let grants = Some(vec![Grant::new("photos", Role::ReadOnly)]);
    let update = KeyUpdate {
        grants,
        expires_ms: Some(Some(NOW_MS)),
        ..KeyUpdate::default()
    };
    iam.update_key(id, update).await.unwrap();
    let updated = found(&clone, id).await;
    assert!(updated.principal().covers("photos") && !updated.principal().covers("music"));
    assert_eq!(clone.check_usable(&updated), Err(KeyRefusal::Expired));
    assert_eq!(updated.refusal(NOW_MS - 1), None);
    assert_eq!(updated.key.info.description, "test");

    iam.delete_key(id).await.unwrap();
    assert!(clone.lookup(id).await.unwrap().is_none());
    assert!(matches!(iam.rotate_key(id).await, Err(IamError::NoSuchKey)));
    assert_indexes_agree(&*engine).await;
}

#[tokio::test]
async fn a_failed_commit_changes_nothing() {
    let (engine, iam) = fresh();
    let ada = iam.create_account(named("Ada")).await.unwrap();
    let key = iam.create_key(new_key(&ada)).await.unwrap();
    engine.fail_next_commit(EngineError::NoSpace);
    let refused = iam.rotate_key(key.id()).await;
    assert!(matches!(
        refused,
        Err(IamError::Engine(EngineError::NoSpace))
    ));
    assert_eq!(found(&iam, key.id()).await.key, key);
}

#[tokio::test]
async fn another_process_is_believed_after_the_entrys_lifetime() {
    let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::new());
    let lifetime = Duration::from_millis(20);
    let cache = LookupCache::new(KEYS_CACHED_MAX, lifetime);
    let here = Iam::with_cache(Arc::clone(&engine), Arc::new(|| NOW_MS), cache);
    let there = door(engine);
    let ada = here.create_account(named("Ada")).await.unwrap();
    let key = here.create_key(new_key(&ada)).await.unwrap();
    found(&here, key.id()).await;
    there.set_key_disabled(key.id(), true).await.unwrap();
    std::thread::sleep(lifetime * 2);
    assert!(found(&here, key.id()).await.key.info.disabled);
}

/// An engine whose snapshots read their rows at once but hand them over only when let through.
struct SlowReads {
    engine: MemoryEngine,
    begun: Arc<AtomicUsize>,
    permits: Arc<Semaphore>,
}

struct SlowSnapshot {
    snapshot: Arc<dyn Reader>,
    begun: Arc<AtomicUsize>,
    permits: Arc<Semaphore>,
}

impl Reader for SlowSnapshot {
    fn get<'a>(&'a self, space: Space, key: &'a [u8]) -> EngineFuture<'a, Option<Bytes>> {
        Box::pin(async move {
            let value = self.snapshot.get(space, key).await;
            self.begun.fetch_add(1, Ordering::SeqCst);
            self.permits.acquire().await.unwrap().forget();
            value
        })
    }

    fn scan(&self, scan: Scan) -> EngineFuture<'_, ScanPage> {
        self.snapshot.scan(scan)
    }
}

impl Reader for SlowReads {
    fn get<'a>(&'a self, space: Space, key: &'a [u8]) -> EngineFuture<'a, Option<Bytes>> {
        self.engine.get(space, key)
    }

    fn scan(&self, scan: Scan) -> EngineFuture<'_, ScanPage> {
        self.engine.scan(scan)
    }
}

impl Engine for SlowReads {
    fn commit(&self, mutation: Mutation) -> EngineFuture<'_, CommitOutcome> {
        self.engine.commit(mutation)
    }

    fn snapshot(&self) -> Arc<dyn Reader> {
        Arc::new(SlowSnapshot {
            snapshot: self.engine.snapshot(),
            begun: Arc::clone(&self.begun),
            permits: Arc::clone(&self.permits),
        })
    }

    fn changes_since(&self, sequence: u64, limit: usize) -> EngineFuture<'_, Vec<Change>> {
        self.engine.changes_since(sequence, limit)
    }

    fn forget_changes(&self, up_to: u64) -> EngineFuture<'_, ()> {
        self.engine.forget_changes(up_to)
    }

    fn limits(&self) -> Limits {
        self.engine.limits()
    }

    fn stats(&self) -> EngineStats {
        self.engine.stats()
    }
}

#[tokio::test]
async fn a_lookup_that_read_the_old_row_does_not_bring_it_back() {
    let begun = Arc::new(AtomicUsize::new(0));
    let permits = Arc::new(Semaphore::new(0));
    let engine = SlowReads {
        engine: MemoryEngine::new(),
        begun: Arc::clone(&begun),
        permits: Arc::clone(&permits),
    };
    let iam = door(Arc::new(engine));
    let ada = iam.create_account(named("Ada")).await.unwrap();
    let key = iam.create_key(new_key(&ada)).await.unwrap();

    let slow = tokio::spawn({
        let (iam, id) = (iam.clone(), key.id().to_owned());
        async move { found(&iam, &id).await }
    });
    while begun.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    iam.set_key_disabled(key.id(), true).await.unwrap();
    permits.add_permits(Semaphore::MAX_PERMITS / 2);
    assert!(
        !slow.await.unwrap().key.info.disabled,
        "it read before the change, as intended"
    );
    assert!(found(&iam, key.id()).await.key.info.disabled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn lookups_never_go_back_behind_an_acknowledged_change() {
    let (_, iam) = fresh();
    let ada = iam.create_account(named("Ada")).await.unwrap();
    let key = iam.create_key(new_key(&ada)).await.unwrap();
    let acknowledged = Arc::new(AtomicU64::new(1));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (iam, id) = (iam.clone(), key.id().to_owned());
            let acknowledged = Arc::clone(&acknowledged);
            tokio::spawn(async move {
                while acknowledged.load(Ordering::SeqCst) < 500 {
                    let at_least = acknowledged.load(Ordering::SeqCst);
                    let generation = found(&iam, &id).await.key.info.generation;
                    assert!(generation >= at_least, "{generation} after {at_least}");
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    while acknowledged.load(Ordering::SeqCst) < 500 {
        let rotated = iam.rotate_key(key.id()).await.unwrap();
        acknowledged.store(rotated.info.generation, Ordering::SeqCst);
        tokio::task::yield_now().await;
    }
    for reader in readers {
        reader.await.unwrap();
    }
}

#[tokio::test]
async fn imports_are_idempotent_and_never_overwrite() {
    let (engine, iam) = fresh();
    let ada = iam.create_account(named("Ada")).await.unwrap();
    let eve = iam.create_account(named("Eve")).await.unwrap();
    let id = "AKIAIOSFODNN7EXAMPLE";
    let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    let first = iam.import_key(import(&ada, id, secret)).await.unwrap();
    assert_eq!((first.id(), first.secret.expose()), (id, secret));
    assert_eq!(
        iam.import_key(import(&ada, id, secret)).await.unwrap(),
        first
    );

    let mut other_grants = import(&ada, id, secret);
    other_grants.key.grants.clear();
    for different in [
        import(&ada, id, "another-secret"),
        import(&eve, id, secret),
        other_grants,
    ] {
        assert!(matches!(
            iam.import_key(different).await,
            Err(IamError::KeyExists)
        ));
    }
    assert_eq!(iam.key(id).await.unwrap(), first);

    iam.set_key_disabled(id, true).await.unwrap();
    let again = iam.import_key(import(&ada, id, secret)).await.unwrap();
    assert!(
        again.info.disabled,
        "an import does not undo what an administrator did"
    );

    let mut nobody = import(&ada, "other-id", secret);
    nobody.key.account_id = "0".repeat(64);
    assert!(matches!(
        iam.import_key(nobody).await,
        Err(IamError::NoSuchAccount)
    ));
    for invalid in [import(&ada, "a/b", secret), import(&ada, "abc", "short")] {
        assert!(matches!(
            iam.import_key(invalid).await,
            Err(IamError::InvalidName { .. })
        ));
    }
    assert_indexes_agree(&*engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_imports_of_one_id_one_wins() {
    let (engine, iam) = fresh();
    let ada = iam.create_account(named("Ada")).await.unwrap();
    for round in 0..200 {
        let id = format!("key-{round}");
        let tasks = ["secret-one", "secret-two"].map(|secret| {
            let (iam, wanted) = (iam.clone(), import(&ada, &id, secret));
            tokio::spawn(async move { iam.import_key(wanted).await })
        });
        let mut winners = Vec::new();
        for task in tasks {
            match task.await.unwrap() {
                Ok(key) => winners.push(key),
                Err(error) => assert!(matches!(error, IamError::KeyExists), "{error}"),
            }
        }
        assert_eq!(winners.len(), 1);
        assert_eq!(iam.key(&id).await.unwrap(), winners[0]);
    }
    assert_indexes_agree(&*engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_creations_are_all_kept_and_counted() {
    let (engine, iam) = fresh();
    let ada = iam.create_account(named("Ada")).await.unwrap();
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let (iam, new) = (iam.clone(), new_key(&ada));
            tokio::spawn(async move { iam.create_key(new).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(
        iam.list_keys(&ada.id, None, 1_000)
            .await
            .unwrap()
            .items
            .len(),
        50
    );
    assert_indexes_agree(&*engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_account_never_vanishes_beneath_a_new_key() {
    let (engine, iam) = fresh();
    for round in 0..200 {
        let account = iam
            .create_account(named(&format!("Team {round}")))
            .await
            .unwrap();
        let creation = tokio::spawn({
            let (iam, new) = (iam.clone(), new_key(&account));
            async move { iam.create_key(new).await }
        });
        let deletion = tokio::spawn({
            let (iam, id) = (iam.clone(), account.id.clone());
            async move { iam.delete_account(&id, Vec::new()).await }
        });
        match (creation.await.unwrap(), deletion.await.unwrap()) {
            (Ok(_), Err(IamError::AccountHasKeys)) | (Err(IamError::NoSuchAccount), Ok(())) => {}
            both => panic!("{both:?}"),
        }
    }
    assert_indexes_agree(&*engine).await;
}

#[tokio::test]
async fn an_account_has_only_so_many_keys() {
    let (engine, iam) = fresh();
    let ada = iam.create_account(named("Ada")).await.unwrap();
    let mut mutation = Mutation::new();
    mutation.add(key_count_key(&ada.id), KEYS_PER_ACCOUNT_MAX as i64 - 1);
    engine.commit(mutation).await.unwrap();
    let last = iam.create_key(new_key(&ada)).await.unwrap();
    let refused = iam.create_key(new_key(&ada)).await;
    assert!(matches!(
        refused,
        Err(IamError::LimitExceeded {
            limit: KEYS_PER_ACCOUNT_MAX,
            ..
        })
    ));
    iam.delete_key(last.id()).await.unwrap();
    iam.create_key(new_key(&ada)).await.unwrap();
}

#[tokio::test]
async fn the_root_account_is_made_once_with_a_key() {
    let (engine, iam) = fresh();
    let first = iam.ensure_root(None).await.unwrap();
    let key = first.key.unwrap();
    assert!(first.created && first.account.name == "root");
    assert_eq!(key.info.grants, [Grant::new("*", Role::Admin)]);
    assert_eq!(iam.check_usable(&*found(&iam, key.id()).await), Ok(()));

    let root_id = first.account.id.clone();
    let update = AccountUpdate {
        name: Some("chief".into()),
        email: None,
    };
    iam.update_account(&root_id, update).await.unwrap();
    let second = iam.ensure_root(None).await.unwrap();
    assert!(!second.created && second.account.id == root_id);
    assert_eq!(second.key.as_ref(), Some(&key));

    assert!(matches!(
        iam.delete_account(&root_id, vec![]).await,
        Err(IamError::RootAccount)
    ));
    let disabling = iam.set_account_disabled(&root_id, true).await;
    assert!(matches!(disabling, Err(IamError::RootAccount)));

    iam.delete_key(key.id()).await.unwrap();
    assert_eq!(iam.ensure_root(None).await.unwrap().key, None);
    assert_indexes_agree(&*engine).await;
}

#[tokio::test]
async fn a_preset_root_key_can_be_relied_on() {
    let (engine, iam) = fresh();
    let preset = |secret: &str| Some(("minioadmin".to_owned(), Secret::new(secret)));
    let first = iam.ensure_root(preset("first-secret")).await.unwrap();
    assert!(first.created && first.key.unwrap().id() == "minioadmin");

    iam.set_key_disabled("minioadmin", true).await.unwrap();
    let weaker = KeyUpdate {
        grants: Some(Vec::new()),
        expires_ms: Some(Some(1)),
        description: Some("kept".into()),
    };
    iam.update_key("minioadmin", weaker).await.unwrap();
    found(&iam, "minioadmin").await;
    let again = iam.ensure_root(preset("second-secret")).await.unwrap();
    assert!(!again.created && again.account == first.account);
    let found_again = found(&iam, "minioadmin").await;
    assert_eq!(iam.check_usable(&found_again), Ok(()));
    assert_eq!(found_again.key.secret.expose(), "second-secret");
    assert_eq!(found_again.key.info.generation, 2);
    assert_eq!(found_again.key.info.grants, [Grant::new("*", Role::Admin)]);
    assert_eq!(found_again.key.info.description, "kept");
    let unchanged = iam.ensure_root(preset("second-secret")).await.unwrap();
    assert_eq!(unchanged.key.as_ref(), Some(&found_again.key));

    let later = Some(("another".to_owned(), Secret::new("12345678")));
    assert_eq!(
        iam.ensure_root(later).await.unwrap().key.unwrap().id(),
        "another"
    );
    assert!(iam.lookup("minioadmin").await.unwrap().is_some());

    let eve = iam.create_account(named("Eve")).await.unwrap();
    let hers = iam
        .import_key(import(&eve, "hers", "12345678"))
        .await
        .unwrap();
    let stolen = iam
        .ensure_root(Some(("hers".into(), Secret::new("87654321"))))
        .await;
    assert!(matches!(stolen, Err(IamError::KeyExists)));
    assert_eq!(iam.key("hers").await.unwrap(), hers);
    let invalid = iam
        .ensure_root(Some(("a b".into(), Secret::new("87654321"))))
        .await;
    assert!(matches!(invalid, Err(IamError::InvalidName { .. })));
    assert_indexes_agree(&*engine).await;
}

#[tokio::test]
async fn names_taken_before_the_first_start_are_reported() {
    let (_, iam) = fresh();
    let eve = iam.create_account(named("Eve")).await.unwrap();
    iam.import_key(import(&eve, "hers", "12345678"))
        .await
        .unwrap();
    let stolen = iam
        .ensure_root(Some(("hers".into(), Secret::new("87654321"))))
        .await;
    assert!(matches!(stolen, Err(IamError::KeyExists)));
    iam.create_account(named("Root")).await.unwrap();
    let taken = iam.ensure_root(None).await;
    assert!(matches!(
        taken,
        Err(IamError::AccountExists { attribute: "name" })
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_concurrent_first_starts_one_creates_the_root() {
    for _ in 0..50 {
        let (engine, iam) = fresh();
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let iam = iam.clone();
                tokio::spawn(async move { iam.ensure_root(None).await })
            })
            .collect();
        let mut roots = Vec::new();
        for task in tasks {
            roots.push(task.await.unwrap().unwrap());
        }
        assert_eq!(roots.iter().filter(|root| root.created).count(), 1);
        assert!(roots.iter().all(|root| root.account == roots[0].account));
        assert!(roots.iter().all(|root| root.key == roots[0].key));
        assert_indexes_agree(&*engine).await;
    }
}

#[tokio::test]
async fn what_later_versions_added_survives_a_change() {
    let (engine, iam) = fresh();
    let ada = iam.create_account(named("Ada")).await.unwrap();
    let key = iam.create_key(new_key(&ada)).await.unwrap();
    let row = access_key_key(key.id());
    let value = engine.get(Space::Records, &row).await.unwrap().unwrap();
    let text = String::from_utf8(value.to_vec()).unwrap();
    let mut mutation = Mutation::new();
    mutation.put(
        Space::Records,
        row.clone(),
        text.replacen('{', r#"{"later":["x"],"#, 1),
    );
    engine.commit(mutation).await.unwrap();

    iam.rotate_key(key.id()).await.unwrap();
    let value = engine.get(Space::Records, &row).await.unwrap().unwrap();
    assert!(
        String::from_utf8(value.to_vec())
            .unwrap()
            .contains(r#""later":["x"]"#)
    );
    assert!(key_id_of_index_row(&row, &ada.id).is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_and_keys_survive_a_restart_of_the_embedded_engine() {
    let directory = tempfile::tempdir().unwrap();
    let open = || EmbeddedEngine::open(directory.path(), EmbeddedOptions::default()).unwrap();

    let engine = open();
    let iam = door(Arc::clone(&engine) as Arc<dyn Engine>);
    let first = iam.ensure_root(None).await.unwrap();
    let ada = iam.create_account(named("Ada")).await.unwrap();
    let kept = iam.create_key(new_key(&ada)).await.unwrap();
    let deleted = iam.create_key(new_key(&ada)).await.unwrap();
    let kept = iam.rotate_key(kept.id()).await.unwrap();
    iam.delete_key(deleted.id()).await.unwrap();
    assert_indexes_agree(&*engine).await;
    engine.shutdown();
    drop((iam, engine));

    let engine = open();
    let iam = door(Arc::clone(&engine) as Arc<dyn Engine>);
    let again = iam.ensure_root(None).await.unwrap();
    assert!(!again.created);
    assert_eq!((again.account, again.key), (first.account, first.key));
    assert_eq!(found(&iam, kept.id()).await.key, kept);
    assert!(iam.lookup(deleted.id()).await.unwrap().is_none());
    assert_indexes_agree(&*engine).await;
    engine.shutdown();
}
