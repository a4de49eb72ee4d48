use proptest::prelude::*;

use super::*;
use crate::policy::{AclGrant, ContextTable, Effect, ObjectOwner, PolicyKind, Reason};
use crate::role::{ACTIONS, allows};

const OWN: &str = "own-account";
const OTHER: &str = "other-account";
const BUCKET: &str = "photos";

fn with_grants(grants: &[Grant]) -> Principal {
    Principal::Key(Arc::new(
        KeyPrincipal::new(OWN, "tid_a", grants.to_vec()).unwrap(),
    ))
}

fn side(owner: Option<&str>) -> ResourceSide<'_> {
    ResourceSide {
        owner,
        ..ResourceSide::default()
    }
}

fn decide_about<'p>(
    principal: &'p Principal,
    action: &str,
    bucket: Option<&str>,
    resource: ResourceSide<'p>,
) -> (Effect, Reason) {
    let question = Question {
        action,
        bucket,
        key: bucket.map(|_| "a"),
        context: &ContextTable::new(),
    };
    let decision = authorize(principal, &question, resource);
    (decision.effect, decision.reason)
}

fn is_allowed(principal: &Principal, action: &str, owner: Option<&str>) -> bool {
    decide_about(principal, action, Some(BUCKET), side(owner)).0 == Effect::Allow
}

#[test]
fn every_role_does_what_it_permits_in_its_own_account_alone() {
    for (action, _) in ACTIONS {
        if matches!(*action, "s3:CreateBucket" | "s3:ListAllMyBuckets") {
            continue;
        }
        assert!(!is_allowed(&Principal::Anonymous, action, Some(OWN)));
        for role in Role::ALL {
            for pattern in [BUCKET, "*"] {
                let principal = with_grants(&[Grant::new(pattern, role)]);
                let found = is_allowed(&principal, action, Some(OWN));
                assert_eq!(
                    found,
                    allows(role, action),
                    "{role:?} on {pattern}: {action}"
                );
                assert!(!is_allowed(&principal, action, Some(OTHER)), "{action}");
            }
        }
    }
}

#[test]
fn an_admin_of_everything_acts_for_the_account() {
    let root = with_grants(&[Grant::new("*", Role::Admin)]);
    let user = with_grants(&[Grant::new(BUCKET, Role::Admin)]);
    let Principal::Key(root_key) = &root else {
        panic!("a key")
    };
    assert_eq!(root_key.kind, CallerKind::AccountRoot);
    assert_eq!(root_key.arn, "arn:aws:iam::own-account:root");
    let Principal::Key(user_key) = &user else {
        panic!("a key")
    };
    assert_eq!(user_key.kind, CallerKind::User);
    assert_eq!(user_key.arn, "arn:aws:iam::own-account:user/tid_a");
    let text = br#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*",
        "Action":"s3:*","Resource":["arn:aws:s3:::photos","arn:aws:s3:::photos/*"]}]}"#;
    let policy = Policy::parse(text, PolicyKind::Bucket { bucket: BUCKET }).unwrap();
    for (principal, action, locked, expected) in [
        (&root, "s3:GetObject", false, Effect::ExplicitDeny),
        (&user, "s3:GetBucketPolicy", false, Effect::ExplicitDeny),
        (&root, "s3:GetBucketPolicy", false, Effect::Allow),
        (&root, "s3:DeleteBucketPolicy", false, Effect::Allow),
        (&root, "s3:DeleteBucketPolicy", true, Effect::ExplicitDeny),
    ] {
        let resource = ResourceSide {
            bucket_policy: Some(&policy),
            locks_out_owner: locked,
            ..side(Some(OWN))
        };
        let question = Question {
            action,
            bucket: Some(BUCKET),
            key: None,
            context: &ContextTable::new(),
        };
        let found = authorize(principal, &question, resource);
        assert_eq!(found.effect, expected, "{action} {locked}");
    }
}

#[test]
fn objects_of_others_are_theirs_to_open() {
    let admin = with_grants(&[Grant::new("*", Role::Admin)]);
    let open = br#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*",
        "Action":"s3:*","Resource":["arn:aws:s3:::photos","arn:aws:s3:::photos/*"]}]}"#;
    let shut = String::from_utf8(open.to_vec())
        .unwrap()
        .replace("Allow", "Deny");
    let kind = PolicyKind::Bucket { bucket: BUCKET };
    let open = Policy::parse(open, kind).unwrap();
    let shut = Policy::parse(shut.as_bytes(), kind).unwrap();
    use ObjectOwner::{Account, Bucket, Sender};
    use Reason::*;
    let table = [
        // The bucket's owner has no say in it, nor has the policy.
        (
            OWN,
            Account(OTHER),
            None,
            AclGrant::None,
            Effect::ImplicitDeny,
            NotSharedByOwner,
        ),
        (
            OWN,
            Account(OTHER),
            Some(&open),
            AclGrant::None,
            Effect::ImplicitDeny,
            NotSharedByOwner,
        ),
        (
            OWN,
            Account(OTHER),
            None,
            AclGrant::Account,
            Effect::Allow,
            Acl,
        ),
        // The object's owner needs nobody, but cannot get around a denial.
        (
            OTHER,
            Account(OWN),
            None,
            AclGrant::None,
            Effect::Allow,
            OwnerRoot,
        ),
        (
            OTHER,
            Account(OWN),
            Some(&shut),
            AclGrant::None,
            Effect::ExplicitDeny,
            Denied,
        ),
        // What the sender makes itself.
        (
            OTHER,
            Sender,
            None,
            AclGrant::None,
            Effect::Allow,
            OwnerRoot,
        ),
        (
            OTHER,
            Sender,
            Some(&shut),
            AclGrant::None,
            Effect::ExplicitDeny,
            Denied,
        ),
        (
            OTHER,
            Bucket,
            Some(&open),
            AclGrant::None,
            Effect::Allow,
            BucketPolicy,
        ),
    ];
    for (owner, object_owner, policy, acl, effect, reason) in table {
        let resource = ResourceSide {
            object_owner,
            bucket_policy: policy,
            acl,
            ..side(Some(owner))
        };
        let found = decide_about(&admin, "s3:GetObjectAcl", Some(BUCKET), resource);
        assert_eq!(found, (effect, reason), "{owner} {object_owner:?} {acl:?}");
    }
    let anonymous = |object_owner| {
        let resource = ResourceSide {
            object_owner,
            ..side(Some(OWN))
        };
        decide_about(
            &Principal::Anonymous,
            "s3:PutObjectAcl",
            Some(BUCKET),
            resource,
        )
        .1
    };
    assert_eq!(anonymous(Sender), OwnNewObject);
    assert_eq!(anonymous(Bucket), NothingAllows);
}

#[test]
fn public_objects_are_open_and_their_history_is_not() {
    let elsewhere = with_grants(&[Grant::new("music", Role::Admin)]);
    let public = ResourceSide {
        public_objects: true,
        ..side(Some(OWN))
    };
    for (action, restricted, expected) in [
        ("s3:GetObject", false, Reason::PublicObjects),
        ("s3:GetObjectVersion", false, Reason::NothingAllows),
        ("s3:GetObjectTagging", false, Reason::NothingAllows),
        ("s3:PutObject", false, Reason::NothingAllows),
        ("s3:GetObject", true, Reason::RestrictPublicBuckets),
    ] {
        let resource = ResourceSide {
            restrict_public_buckets: restricted,
            ..public
        };
        let found = decide_about(&Principal::Anonymous, action, Some(BUCKET), resource);
        assert_eq!(found.1, expected, "{action} {restricted}");
        // A key of the same account is somebody too, and is not shut out.
        let found = decide_about(&elsewhere, action, Some(BUCKET), resource).0;
        assert_eq!(found == Effect::Allow, action == "s3:GetObject", "{action}");
    }
}

#[test]
fn what_concerns_no_bucket_takes_a_grant_on_everything() {
    for (pattern, role, allowed) in [
        ("*", Role::Admin, true),
        ("*", Role::Editor, false),
        ("*", Role::ReadOnly, false),
        (BUCKET, Role::Admin, false),
    ] {
        let principal = with_grants(&[Grant::new(pattern, role)]);
        let found = decide_about(&principal, "iam:CreateAccessKey", None, side(None)).0;
        assert_eq!(found == Effect::Allow, allowed, "{role:?} on {pattern}");
        let lists = decide_about(&principal, "s3:ListAllMyBuckets", None, side(None)).0;
        assert_eq!(lists, Effect::Allow);
    }
}

#[test]
fn a_name_that_only_begins_alike_is_not_covered() {
    let principal = with_grants(&[Grant::new(BUCKET, Role::Admin)]);
    assert!(principal.covers(BUCKET));
    for other in ["photos2", "photo", "Photos", "*", ""] {
        assert!(!principal.covers(other), "{other}");
    }
    assert!(with_grants(&[Grant::new("*", Role::ReadOnly)]).covers("anything"));
    assert!(!Principal::Anonymous.covers(BUCKET));
    assert_eq!(principal.account(), Some(OWN));
    assert_eq!(principal.key_id(), Some("tid_a"));
    assert_eq!(Principal::Anonymous.account(), None);
    assert_eq!(Principal::Anonymous.key_id(), None);
}

proptest! {
    #[test]
    fn arns_of_any_length(bucket in "[a-z]{1,300}", key in proptest::option::of("\\PC{0,400}")) {
        let mut arn = Arn::default();
        let expected = match &key {
            Some(key) => format!("arn:aws:s3:::{bucket}/{key}"),
            None => format!("arn:aws:s3:::{bucket}"),
        };
        prop_assert_eq!(arn.of(Some(&bucket), key.as_deref()), expected);
    }
}
