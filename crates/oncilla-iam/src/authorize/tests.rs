use super::*;
use crate::role::{ACTIONS, Role, allows};

const OWN: &str = "own-account";
const OTHER: &str = "other-account";
const BUCKET: &str = "photos";

fn with_grants(grants: &[Grant]) -> Principal {
    Principal::Key(KeyPrincipal {
        account: OWN.into(),
        key_id: "tid_a".into(),
        grants: grants.into(),
    })
}

fn request<'a>(action: &'a str, owner: Option<&'a str>, public_read: bool) -> Request<'a> {
    Request {
        action,
        bucket: Some(BUCKET),
        bucket_owner: owner,
        public_read,
        key: Some("a"),
    }
}

fn reason(principal: &Principal, request: &Request<'_>) -> Option<DenialReason> {
    authorize(principal, request)
        .err()
        .map(|denied| denied.reason)
}

/// Actions of the table, one it does not hold, and two that concern no bucket.
fn every_action() -> impl Iterator<Item = &'static str> {
    let others = ["s3:Unheard", "iam:CreateAccessKey", "iam:ListAccessKeys"];
    ACTIONS.iter().map(|(action, _)| *action).chain(others)
}

/// The rules again, said the other way round: what must hold for permission.
fn expected(
    action: &str,
    role: Option<Role>,
    on_everything: bool,
    owner: Option<&str>,
    public_read: bool,
) -> bool {
    let publicly = [
        "s3:GetObject",
        "s3:GetObjectVersion",
        "s3:ListBucket",
        "s3:ListBucketVersions",
    ];
    if public_read && publicly.contains(&action) {
        return true;
    }
    let Some(role) = role else { return false };
    match action {
        "s3:ListAllMyBuckets" => true,
        "s3:CreateBucket" => on_everything && role != Role::ReadOnly,
        _ => owner == Some(OWN) && allows(role, action),
    }
}

#[test]
fn every_action_role_owner_and_publicity() {
    let mut decisions = 0;
    for action in every_action() {
        for owner in [Some(OWN), Some(OTHER), None] {
            for public_read in [false, true] {
                let request = request(action, owner, public_read);
                let anonymous = authorize(&Principal::Anonymous, &request).is_ok();
                assert_eq!(
                    anonymous,
                    expected(action, None, false, owner, public_read),
                    "anonymous {request:?}"
                );
                for role in Role::ALL {
                    for pattern in [BUCKET, "*"] {
                        let principal = with_grants(&[Grant::new(pattern, role)]);
                        assert_eq!(
                            authorize(&principal, &request).is_ok(),
                            expected(action, Some(role), pattern == "*", owner, public_read),
                            "{role:?} on {pattern}: {request:?}"
                        );
                        decisions += 1;
                    }
                }
            }
        }
    }
    assert_eq!(decisions, every_action().count() * 3 * 2 * 3 * 2);
}

/// Grants (`None`: anonymous), action, owner of the bucket, publicly readable, reason.
type Case<'a> = (
    Option<&'a [Grant]>,
    &'a str,
    Option<&'a str>,
    bool,
    Option<DenialReason>,
);

#[test]
fn reasons() {
    use DenialReason::*;
    let admin = [Grant::new("*", Role::Admin)];
    let reader_here = [Grant::new(BUCKET, Role::ReadOnly)];
    let elsewhere = [Grant::new("music", Role::Admin)];
    let table: [Case<'_>; 17] = [
        (None, "s3:GetObject", Some(OWN), false, Some(Anonymous)),
        (None, "s3:GetObject", Some(OWN), true, None),
        (None, "s3:ListBucket", Some(OWN), true, None),
        (None, "s3:PutObject", Some(OWN), true, Some(Anonymous)),
        (
            None,
            "s3:GetObjectTagging",
            Some(OWN),
            true,
            Some(Anonymous),
        ),
        (None, "s3:ListAllMyBuckets", None, false, Some(Anonymous)),
        (None, "s3:CreateBucket", None, false, Some(Anonymous)),
        (Some(&admin), "s3:PutBucketAcl", Some(OWN), false, None),
        (
            Some(&admin),
            "s3:GetObject",
            Some(OTHER),
            false,
            Some(OtherAccount),
        ),
        (Some(&admin), "s3:GetObject", Some(OTHER), true, None),
        (
            Some(&admin),
            "s3:DeleteObject",
            Some(OTHER),
            true,
            Some(OtherAccount),
        ),
        (
            Some(&admin),
            "s3:GetObject",
            None,
            false,
            Some(UnknownOwner),
        ),
        (
            Some(&reader_here),
            "s3:PutObject",
            Some(OWN),
            false,
            Some(ActionNotAllowed),
        ),
        (
            Some(&elsewhere),
            "s3:GetObject",
            Some(OWN),
            false,
            Some(BucketNotCovered),
        ),
        (
            Some(&elsewhere),
            "s3:CreateBucket",
            None,
            false,
            Some(BucketNotCovered),
        ),
        (Some(&[]), "s3:ListAllMyBuckets", None, false, None),
        (
            Some(&[]),
            "s3:GetObject",
            Some(OWN),
            false,
            Some(BucketNotCovered),
        ),
    ];
    for (grants, action, owner, public_read, expected) in table {
        let principal = grants.map_or(Principal::Anonymous, with_grants);
        let found = reason(&principal, &request(action, owner, public_read));
        assert_eq!(
            found, expected,
            "{grants:?} {action} {owner:?} {public_read}"
        );
    }
}

#[test]
fn grants_add_up_and_stay_with_their_bucket() {
    let grants = [
        Grant::new("*", Role::ReadOnly),
        Grant::new(BUCKET, Role::Editor),
        Grant::new("photos-old", Role::Admin),
    ];
    let principal = with_grants(&grants);
    assert_eq!(
        reason(&principal, &request("s3:GetObject", Some(OWN), false)),
        None
    );
    assert_eq!(
        reason(&principal, &request("s3:PutObject", Some(OWN), false)),
        None
    );
    let acl = request("s3:PutBucketAcl", Some(OWN), false);
    assert_eq!(
        reason(&principal, &acl),
        Some(DenialReason::ActionNotAllowed)
    );
    let acl_of_old = Request {
        bucket: Some("photos-old"),
        ..acl
    };
    assert_eq!(reason(&principal, &acl_of_old), None);
    let write_elsewhere = Request {
        bucket: Some("music"),
        action: "s3:PutObject",
        ..acl
    };
    assert_eq!(
        reason(&principal, &write_elsewhere),
        Some(DenialReason::ActionNotAllowed)
    );
    // The Editor's bucket lets nobody create others.
    let create = request("s3:CreateBucket", None, false);
    assert_eq!(
        reason(&principal, &create),
        Some(DenialReason::ActionNotAllowed)
    );
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
        let request = Request {
            action: "iam:CreateAccessKey",
            bucket: None,
            bucket_owner: None,
            public_read: false,
            key: None,
        };
        assert_eq!(
            authorize(&principal, &request).is_ok(),
            allowed,
            "{role:?} on {pattern}"
        );
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
