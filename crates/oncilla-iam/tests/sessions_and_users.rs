//! Users, groups, roles, policies and sessions through the door of the crate.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should fail there"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use oncilla_iam::policy::{CallerKind, ContextTable, ResourceSide};
use oncilla_iam::{
    Account, Entity, EntityKind, EntityUpdate, Grant, Iam, IamError, KeyPrincipal, KeyWithAccount,
    NewAccount, NewEntity, NewKey, NewPolicy, NewProvider, NewSession, PolicyHolder, PolicyScope,
    Principal, Question, Role, RoleSettings, SessionRefusal, Tag, authorize,
};
use oncilla_meta::memory::MemoryEngine;

const START_MS: u64 = 1_700_000_000_000;

const READ_PHOTOS: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::photos/*"}}"#;
const EVERYTHING: &str =
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;
const NOT_SECRET: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"arn:aws:s3:::photos/secret/*"}}"#;
const TRUST_ALL: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":"*"}}}"#;

struct Scene {
    iam: Iam,
    clock: Arc<AtomicU64>,
    account: Account,
}

impl Scene {
    async fn new() -> Self {
        let clock = Arc::new(AtomicU64::new(START_MS));
        let now = Arc::clone(&clock);
        let iam = Iam::new(
            Arc::new(MemoryEngine::new()),
            Arc::new(move || now.load(Ordering::Relaxed)),
        );
        let account = new_account(&iam, "own").await;
        Self {
            iam,
            clock,
            account,
        }
    }

    fn id(&self) -> &str {
        &self.account.id
    }

    async fn create(&self, kind: EntityKind, name: &str) -> Entity {
        self.iam
            .create_entity(self.id(), new_entity(kind, name))
            .await
            .unwrap()
    }

    /// A new key of a user.
    async fn key_of(&self, user: &Entity) -> Arc<KeyWithAccount> {
        let key = self.iam.create_user_key(self.id(), user).await.unwrap();
        self.found(key.id()).await
    }

    async fn found(&self, key_id: &str) -> Arc<KeyWithAccount> {
        self.iam.lookup(key_id).await.unwrap().unwrap()
    }

    /// Whether the key may read an object of its account now.
    async fn may_read(&self, key_id: &str, object: &str) -> bool {
        may_read(&*self.found(key_id).await, self.id(), object)
    }
}

async fn new_account(iam: &Iam, name: &str) -> Account {
    let name = name.to_owned();
    iam.create_account(NewAccount { name, email: None })
        .await
        .unwrap()
}

fn new_entity(kind: EntityKind, name: &str) -> NewEntity {
    NewEntity {
        kind,
        name: name.to_owned(),
        path: "/".to_owned(),
        tags: Vec::new(),
        role: (kind == EntityKind::Role).then(|| RoleSettings {
            trust_policy: TRUST_ALL.to_owned(),
            description: String::new(),
            max_session_s: 3_600,
        }),
    }
}

fn new_policy(name: &str, document: &str) -> NewPolicy {
    NewPolicy {
        name: name.to_owned(),
        path: "/".to_owned(),
        description: String::new(),
        document: document.to_owned(),
        tags: Vec::new(),
    }
}

fn may_read(found: &KeyWithAccount, owner: &str, object: &str) -> bool {
    let question = Question {
        action: "s3:GetObject",
        bucket: Some("photos"),
        key: Some(object),
        context: &ContextTable::new(),
    };
    let bucket = ResourceSide {
        owner: Some(owner),
        ..ResourceSide::default()
    };
    authorize(found.principal(), &question, bucket).is_allowed()
}

fn principal(found: &KeyWithAccount) -> &KeyPrincipal {
    match found.principal() {
        Principal::Key(principal) => principal,
        Principal::Anonymous => panic!("a key is never anonymous"),
    }
}

#[tokio::test]
async fn names_are_unique_without_regard_to_case_and_ids_are_never_given_again() {
    let scene = Scene::new().await;
    let account = scene.id();
    for kind in EntityKind::ALL {
        let first = scene.create(kind, "Ada").await;
        let again = scene
            .iam
            .create_entity(account, new_entity(kind, "aDA"))
            .await;
        assert!(
            matches!(again, Err(IamError::EntityExists { .. })),
            "{kind:?}"
        );
        assert_eq!(scene.iam.entity(account, kind, "ADA").await.unwrap(), first);
        assert_eq!(
            scene
                .iam
                .entity_by_id(account, kind, &first.id)
                .await
                .unwrap(),
            first
        );
        scene.iam.delete_entity(account, kind, "ada").await.unwrap();
        let gone = scene.iam.entity(account, kind, "Ada").await;
        assert!(matches!(gone, Err(IamError::NoSuchEntity { .. })));
        let second = scene.create(kind, "Ada").await;
        assert_ne!(second.id, first.id);
        assert_eq!(scene.iam.count_entities(account, kind).await.unwrap(), 1);
        let other = new_account(&scene.iam, kind.word()).await;
        assert!(scene.iam.entity(&other.id, kind, "Ada").await.is_err());
    }
}

#[tokio::test]
async fn listings_have_the_order_of_names_and_pages() {
    let scene = Scene::new().await;
    for (name, path) in [("Ab", "/x/"), ("aa", "/x/y/"), ("ac", "/"), ("Ad", "/x/")] {
        let mut new = new_entity(EntityKind::User, name);
        new.path = path.to_owned();
        scene.iam.create_entity(scene.id(), new).await.unwrap();
    }
    for limit in 1..6 {
        for (prefix, expected) in [
            ("/", &["aa", "Ab", "ac", "Ad"][..]),
            ("/x/", &["aa", "Ab", "Ad"]),
        ] {
            let mut names = Vec::new();
            let mut after: Option<String> = None;
            loop {
                let page = scene
                    .iam
                    .list_entities(
                        scene.id(),
                        EntityKind::User,
                        prefix,
                        after.as_deref(),
                        limit,
                    )
                    .await
                    .unwrap();
                assert!(page.items.len() <= limit);
                names.extend(page.items.into_iter().map(|user| user.name));
                match page.next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
            assert_eq!(names, expected, "{prefix} {limit}");
        }
    }
}

#[tokio::test]
async fn a_user_may_do_what_its_policies_and_those_of_its_groups_say() {
    let scene = Scene::new().await;
    let account = scene.id();
    let user = scene.create(EntityKind::User, "ada").await;
    scene.create(EntityKind::Group, "readers").await;
    let key = scene.key_of(&user).await;
    let id = key.key.id();
    assert_eq!(
        principal(&key).arn,
        format!("arn:aws:iam::{account}:user/ada")
    );
    assert_eq!(principal(&key).user_id, user.id);
    assert!(!scene.may_read(id, "a").await);

    let kind = EntityKind::User;
    scene
        .iam
        .put_inline_policy(account, kind, "ada", "p", READ_PHOTOS)
        .await
        .unwrap();
    assert!(scene.may_read(id, "a").await);
    scene
        .iam
        .delete_inline_policy(account, kind, "ada", "p")
        .await
        .unwrap();
    assert!(!scene.may_read(id, "a").await);

    scene
        .iam
        .add_to_group(account, "readers", "ada")
        .await
        .unwrap();
    scene
        .iam
        .put_inline_policy(account, EntityKind::Group, "readers", "p", READ_PHOTOS)
        .await
        .unwrap();
    assert!(scene.may_read(id, "a").await);
    scene
        .iam
        .put_inline_policy(account, kind, "ada", "deny", NOT_SECRET)
        .await
        .unwrap();
    assert!(scene.may_read(id, "a").await && !scene.may_read(id, "secret/a").await);
    // The group's new name changes nothing for its users.
    let update = EntityUpdate {
        name: Some("people".to_owned()),
        ..EntityUpdate::default()
    };
    scene
        .iam
        .update_entity(account, EntityKind::Group, "readers", update)
        .await
        .unwrap();
    assert!(scene.may_read(id, "a").await);
    scene
        .iam
        .remove_from_group(account, "people", "ada")
        .await
        .unwrap();
    assert!(!scene.may_read(id, "a").await);
}

#[tokio::test]
async fn managed_policies_count_in_their_default_version_and_while_attached() {
    let scene = Scene::new().await;
    let account = scene.id();
    let user = scene.create(EntityKind::User, "ada").await;
    let key = scene.key_of(&user).await;
    let id = key.key.id();
    let policy = scene
        .iam
        .create_policy(account, new_policy("p", NOT_SECRET))
        .await
        .unwrap();
    let arn = oncilla_iam::arn::policy_arn(account, "/", &policy.name);
    let holder = PolicyHolder::Entity(EntityKind::User, "ada".to_owned());
    scene
        .iam
        .attach_policy(account, &arn, &holder)
        .await
        .unwrap();
    scene
        .iam
        .attach_policy(account, &arn, &holder)
        .await
        .unwrap();
    assert!(!scene.may_read(id, "a").await);
    let version = scene
        .iam
        .create_policy_version(account, &arn, EVERYTHING, true)
        .await
        .unwrap();
    assert_eq!(version.id(), "v2");
    assert!(scene.may_read(id, "a").await);
    scene
        .iam
        .set_default_policy_version(account, &arn, 1)
        .await
        .unwrap();
    assert!(!scene.may_read(id, "a").await);
    assert!(matches!(
        scene.iam.delete_policy_version(account, &arn, 1).await,
        Err(IamError::DeleteConflict(_))
    ));
    scene
        .iam
        .delete_policy_version(account, &arn, 2)
        .await
        .unwrap();

    assert!(matches!(
        scene.iam.delete_policy(account, &arn).await,
        Err(IamError::DeleteConflict(_))
    ));
    assert!(matches!(
        scene
            .iam
            .delete_entity(account, EntityKind::User, "ada")
            .await,
        Err(IamError::DeleteConflict(_))
    ));
    let holders = scene.iam.policy_holders(account, &arn).await.unwrap();
    assert_eq!(holders, [(holder.clone(), user.id.clone())]);
    scene
        .iam
        .detach_policy(account, &arn, &holder)
        .await
        .unwrap();
    assert!(matches!(
        scene.iam.detach_policy(account, &arn, &holder).await,
        Err(IamError::NoSuchEntity { .. })
    ));
    scene.iam.delete_policy(account, &arn).await.unwrap();

    let everybodys = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess";
    scene
        .iam
        .attach_policy(account, everybodys, &holder)
        .await
        .unwrap();
    assert!(scene.may_read(id, "a").await);
    for arn in ["arn:aws:iam::aws:policy/Unheard", "p", &arn] {
        let refused = scene.iam.attach_policy(account, arn, &holder).await;
        assert!(
            matches!(refused, Err(IamError::NoSuchEntity { .. })),
            "{arn}"
        );
    }
    assert!(matches!(
        scene.iam.delete_policy(account, everybodys).await,
        Err(IamError::AwsManaged)
    ));
    let all = scene
        .iam
        .list_policies(account, PolicyScope::All, "/", None, 100)
        .await
        .unwrap();
    assert_eq!(all.items.len(), 5);
}

#[tokio::test]
async fn policies_attach_to_keys_and_go_with_them() {
    let scene = Scene::new().await;
    let account = scene.id();
    let new = NewKey {
        account_id: account.to_owned(),
        description: String::new(),
        grants: vec![Grant::new("other", Role::Editor)],
        expires_ms: None,
    };
    let key = scene.iam.create_key(new).await.unwrap();
    scene
        .iam
        .create_policy(account, new_policy("p", READ_PHOTOS))
        .await
        .unwrap();
    let arn = oncilla_iam::arn::policy_arn(account, "/", "p");
    assert!(!scene.may_read(key.id(), "a").await);
    let holder = PolicyHolder::Key(key.id().to_owned());
    scene
        .iam
        .attach_policy(account, &arn, &holder)
        .await
        .unwrap();
    assert!(scene.may_read(key.id(), "a").await);
    assert_eq!(scene.iam.attachment_count(account, &arn).await.unwrap(), 1);
    // Nobody else's key, and no user's.
    let other = new_account(&scene.iam, "other").await;
    assert!(
        scene
            .iam
            .attach_policy(&other.id, &arn, &holder)
            .await
            .is_err()
    );
    let user = scene.create(EntityKind::User, "ada").await;
    let users_key = scene.key_of(&user).await;
    let users = PolicyHolder::Key(users_key.key.id().to_owned());
    assert!(matches!(
        scene.iam.attach_policy(account, &arn, &users).await,
        Err(IamError::NoSuchKey)
    ));
    scene.iam.delete_key(key.id()).await.unwrap();
    assert_eq!(scene.iam.attachment_count(account, &arn).await.unwrap(), 0);
    scene.iam.delete_policy(account, &arn).await.unwrap();
}

#[tokio::test]
async fn quotas_and_conflicts_hold() {
    let scene = Scene::new().await;
    let account = scene.id();
    let user = scene.create(EntityKind::User, "ada").await;
    let first = scene.key_of(&user).await;
    scene.key_of(&user).await;
    assert!(matches!(
        scene.iam.create_user_key(account, &user).await,
        Err(IamError::LimitExceeded { .. })
    ));
    assert!(matches!(
        scene
            .iam
            .delete_entity(account, EntityKind::User, "ada")
            .await,
        Err(IamError::DeleteConflict(_))
    ));
    let page = scene
        .iam
        .list_user_keys(account, &user, None, 1)
        .await
        .unwrap();
    assert_eq!(page.items.len(), 1);
    let next = scene
        .iam
        .list_user_keys(account, &user, page.next.as_deref(), 1)
        .await
        .unwrap();
    assert_eq!((next.items.len(), next.next), (1, None));
    scene.iam.delete_key(first.key.id()).await.unwrap();
    scene.key_of(&user).await;

    let kind = EntityKind::User;
    let long = format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Deny","Action":"*","Resource":"arn:aws:s3:::{}"}}}}"#,
        "b".repeat(1_500)
    );
    scene
        .iam
        .put_inline_policy(account, kind, "ada", "a", &long)
        .await
        .unwrap();
    scene
        .iam
        .put_inline_policy(account, kind, "ada", "a", &long)
        .await
        .unwrap();
    let second = scene
        .iam
        .put_inline_policy(account, kind, "ada", "b", &long)
        .await;
    assert!(matches!(second, Err(IamError::Policy(_))));
    for document in ["", "{}", READ_PHOTOS.trim_end_matches('}'), TRUST_ALL] {
        let refused = scene
            .iam
            .put_inline_policy(account, kind, "ada", "c", document)
            .await;
        assert!(matches!(refused, Err(IamError::Policy(_))), "{document}");
    }
    let mut role = new_entity(EntityKind::Role, "r");
    role.role.as_mut().unwrap().trust_policy = READ_PHOTOS.to_owned();
    assert!(matches!(
        scene.iam.create_entity(account, role).await,
        Err(IamError::Policy(_))
    ));
    let tag = |key: &str| Tag {
        key: key.to_owned(),
        value: "v".to_owned(),
    };
    scene
        .iam
        .tag_entity(account, kind, "ada", &[tag("b"), tag("a")], &[])
        .await
        .unwrap();
    scene
        .iam
        .tag_entity(account, kind, "ada", &[], &["b".to_owned()])
        .await
        .unwrap();
    assert_eq!(
        scene.iam.entity(account, kind, "ada").await.unwrap().tags,
        [tag("a")]
    );
}

#[tokio::test]
async fn an_account_with_users_is_not_deleted() {
    let scene = Scene::new().await;
    let account = scene.id();
    let delete = || scene.iam.delete_account(account, Vec::new());
    scene.create(EntityKind::Group, "g").await;
    assert!(matches!(delete().await, Err(IamError::AccountHasEntities)));
    scene
        .iam
        .delete_entity(account, EntityKind::Group, "g")
        .await
        .unwrap();
    let provider = NewProvider {
        url: "https://idp.example.com/a".to_owned(),
        client_ids: vec!["app".to_owned()],
        thumbprints: Vec::new(),
        tags: Vec::new(),
    };
    let provider = scene.iam.create_provider(account, provider).await.unwrap();
    assert!(matches!(delete().await, Err(IamError::AccountHasEntities)));
    scene
        .iam
        .delete_provider(account, &provider.arn(account))
        .await
        .unwrap();
    delete().await.unwrap();
}

#[tokio::test]
async fn a_session_acts_as_its_role_until_it_expires_and_within_its_policy() {
    let scene = Scene::new().await;
    let account = scene.id();
    let user = scene.create(EntityKind::User, "ada").await;
    let caller = scene.key_of(&user).await;
    let role = scene.create(EntityKind::Role, "reader").await;
    let kind = EntityKind::Role;
    scene
        .iam
        .put_inline_policy(account, kind, "reader", "p", EVERYTHING)
        .await
        .unwrap();
    let new = NewSession {
        duration_s: 900,
        policy: Some(NOT_SECRET.replace("Deny", "Allow")),
        policy_arns: Vec::new(),
    };
    let begun = scene
        .iam
        .begin_role_session(&caller, account, &role, "s1", new)
        .await
        .unwrap();
    let (id, token) = (begun.access_key_id.as_str(), begun.token.expose());
    let session = scene.iam.lookup_session(id, token).await.unwrap();
    assert_eq!(session.key.secret, begun.secret);
    assert_eq!(principal(&session).kind, CallerKind::AssumedRole);
    assert_eq!(
        principal(&session).arn,
        format!("arn:aws:sts::{account}:assumed-role/reader/s1")
    );
    assert_eq!(principal(&session).user_id, format!("{}:s1", role.id));
    assert!(may_read(&session, account, "secret/a"));
    assert!(
        !may_read(&session, account, "a"),
        "the session policy limits it"
    );

    assert!(
        scene.iam.lookup(id).await.unwrap().is_none(),
        "never without its token"
    );
    for (id, token) in [(id, ""), (id, &token[1..]), ("ASIAOTHER", token)] {
        let refused = scene.iam.lookup_session(id, token).await;
        assert!(matches!(refused, Err(SessionRefusal::Invalid)));
    }
    assert!(scene.iam.check_usable(&session).is_ok());
    scene.clock.fetch_add(900_000, Ordering::Relaxed);
    assert!(scene.iam.check_usable(&session).is_err());
}

#[tokio::test]
async fn a_session_ends_with_what_it_was_made_of() {
    for case in ["role", "key", "disabled", "rotated", "policy", "account"] {
        let scene = Scene::new().await;
        let account = scene.id();
        let user = scene.create(EntityKind::User, "ada").await;
        let caller = scene.key_of(&user).await;
        let role = scene.create(EntityKind::Role, "reader").await;
        let kind = EntityKind::Role;
        scene
            .iam
            .put_inline_policy(account, kind, "reader", "p", EVERYTHING)
            .await
            .unwrap();
        let new = NewSession {
            duration_s: 900,
            ..NewSession::default()
        };
        let begun = scene
            .iam
            .begin_role_session(&caller, account, &role, "s1", new)
            .await
            .unwrap();
        let lookup = || {
            scene
                .iam
                .lookup_session(&begun.access_key_id, begun.token.expose())
        };
        assert!(may_read(&lookup().await.unwrap(), account, "a"), "{case}");
        let key_id = caller.key.id();
        match case {
            "role" => {
                scene
                    .iam
                    .delete_inline_policy(account, kind, "reader", "p")
                    .await
                    .unwrap();
                scene
                    .iam
                    .delete_entity(account, kind, "reader")
                    .await
                    .unwrap();
                // One of the same name is another role.
                scene.create(kind, "reader").await;
            }
            "key" => scene.iam.delete_key(key_id).await.unwrap(),
            "disabled" => drop(scene.iam.set_key_disabled(key_id, true).await.unwrap()),
            "rotated" => drop(scene.iam.rotate_key(key_id).await.unwrap()),
            "account" => drop(scene.iam.set_account_disabled(account, true).await.unwrap()),
            _ => {
                scene
                    .iam
                    .delete_inline_policy(account, kind, "reader", "p")
                    .await
                    .unwrap();
                let session = lookup().await.unwrap();
                assert!(!may_read(&session, account, "a"));
                continue;
            }
        }
        let ended = lookup().await;
        assert!(
            matches!(ended, Err(SessionRefusal::Ended)),
            "{case}: {:?}",
            ended.err()
        );
    }
}

#[tokio::test]
async fn a_session_of_a_key_acts_as_the_key_and_can_be_chained() {
    let scene = Scene::new().await;
    let account = scene.id();
    let new = NewKey {
        account_id: account.to_owned(),
        description: String::new(),
        grants: vec![Grant::new("photos", Role::ReadOnly)],
        expires_ms: Some(START_MS + 10_000),
    };
    let key = scene.iam.create_key(new).await.unwrap();
    let caller = scene.found(key.id()).await;
    let new = || NewSession {
        duration_s: 3_600,
        ..NewSession::default()
    };
    let begun = scene.iam.begin_session(&caller, new()).await.unwrap();
    let id = &begun.access_key_id;
    let session = scene
        .iam
        .lookup_session(id, begun.token.expose())
        .await
        .unwrap();
    assert!(may_read(&session, account, "a"));
    assert_eq!(principal(&session).arn, principal(&caller).arn);
    assert_eq!(principal(&session).token_issued_ms, Some(START_MS));
    assert_eq!(principal(&caller).token_issued_ms, None);
    assert_eq!(
        session.key.info.expires_ms,
        Some(START_MS + 10_000),
        "not beyond its key"
    );

    let role = scene.create(EntityKind::Role, "reader").await;
    let chained = scene
        .iam
        .begin_role_session(&session, account, &role, "s2", new())
        .await
        .unwrap();
    let lookup = || {
        scene
            .iam
            .lookup_session(&chained.access_key_id, chained.token.expose())
    };
    assert!(lookup().await.is_ok());
    scene.iam.delete_key(key.id()).await.unwrap();
    assert!(matches!(lookup().await, Err(SessionRefusal::Ended)));
}

#[tokio::test]
async fn another_process_opens_the_tokens_of_the_first() {
    let engine = Arc::new(MemoryEngine::new());
    let door = || Iam::new(Arc::clone(&engine) as Arc<_>, Arc::new(|| START_MS));
    let (one, two) = (door(), door());
    let root = one.ensure_root(None).await.unwrap();
    let key = root.key.unwrap();
    let caller = one.lookup(key.id()).await.unwrap().unwrap();
    let new = NewSession {
        duration_s: 900,
        ..NewSession::default()
    };
    let begun = one.begin_session(&caller, new).await.unwrap();
    let found = two
        .lookup_session(&begun.access_key_id, begun.token.expose())
        .await
        .unwrap();
    assert_eq!(principal(&found).kind, CallerKind::AccountRoot);
}
