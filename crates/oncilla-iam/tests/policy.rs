//! What policies decide: the cases of AWS's own documentation, with names and addresses of our own.

use std::sync::Arc;

use oncilla_iam::Tag;
use oncilla_iam::policy::{
    AclGrant, Caller, CallerKind, ContextTable, Decision, Effect, Identity, Policies, Policy,
    PolicyKind, PolicySource, Reason, Request, ResourceSide, evaluate,
};

const OWNER: &str = "111122223333";
const OTHER: &str = "444455556666";
const CANONICAL: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

const OBJECT: &str = "arn:aws:s3:::photos/otter.jpg";
const BUCKET: &str = "arn:aws:s3:::photos";
const LOGGING: Caller<'static> = Caller::Service("logging.s3.amazonaws.com");

const ALLOW: Effect = Effect::Allow;
const IMPLICIT: Effect = Effect::ImplicitDeny;
const EXPLICIT: Effect = Effect::ExplicitDeny;

fn bucket_policy(text: &str) -> Policy {
    let kind = PolicyKind::Bucket { bucket: "photos" };
    Policy::parse(text.as_bytes(), kind).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn identity_policy(text: &str) -> Arc<Policy> {
    let parsed = Policy::parse(text.as_bytes(), PolicyKind::Identity);
    parsed
        .unwrap_or_else(|error| panic!("{error}: {text}"))
        .into()
}

/// A bucket policy of one statement.
fn statement(inner: &str) -> Policy {
    bucket_policy(&format!(
        r#"{{"Version": "2012-10-17", "Statement": [{{{inner}}}]}}"#
    ))
}

/// A bucket policy that lets a principal get objects.
fn get_for(principal: &str) -> Policy {
    statement(&format!(
        r#""Effect": "Allow", "Principal": {principal}, "Action": "s3:GetObject", "Resource": "{BUCKET}/*""#
    ))
}

fn caller(kind: CallerKind, account: &'static str, arn: &'static str) -> Caller<'static> {
    let is_session = kind == CallerKind::AssumedRole;
    Caller::Identity(Identity {
        kind,
        account,
        tags: &[],
        canonical_user: if account == OWNER { CANONICAL } else { "c" },
        arn,
        role_arn: is_session.then_some("arn:aws:iam::111122223333:role/reader"),
        user_name: arn.rsplit('/').next().filter(|_| kind == CallerKind::User),
        user_id: match kind {
            CallerKind::AccountRoot => account,
            CallerKind::User => "AIDAEXAMPLE",
            CallerKind::AssumedRole => "AROAEXAMPLE:today",
        },
    })
}

fn ada() -> Caller<'static> {
    caller(
        CallerKind::User,
        OWNER,
        "arn:aws:iam::111122223333:user/ada",
    )
}

fn eve() -> Caller<'static> {
    caller(
        CallerKind::User,
        OWNER,
        "arn:aws:iam::111122223333:user/eve",
    )
}

/// Of another account.
fn bob() -> Caller<'static> {
    caller(
        CallerKind::User,
        OTHER,
        "arn:aws:iam::444455556666:user/bob",
    )
}

fn root(account: &'static str) -> Caller<'static> {
    caller(CallerKind::AccountRoot, account, "arn:aws:iam::root")
}

fn session() -> Caller<'static> {
    let arn = "arn:aws:sts::111122223333:assumed-role/reader/today";
    caller(CallerKind::AssumedRole, OWNER, arn)
}

fn side(policy: &Policy) -> ResourceSide<'_> {
    ResourceSide {
        owner: Some(OWNER),
        bucket_policy: Some(policy),
        ..ResourceSide::default()
    }
}

fn decide<'p>(
    caller: &Caller<'_>,
    action: &str,
    resource: &str,
    context: &ContextTable,
    policies: &Policies<'p>,
) -> Decision<'p> {
    let request = Request {
        caller,
        action,
        resource,
        context,
    };
    evaluate(&request, policies)
}

/// What a bucket policy alone decides.
fn by_bucket<'p>(
    policy: &'p Policy,
    caller: &Caller<'_>,
    action: &str,
    resource: &str,
    values: &[(&str, &str)],
) -> Decision<'p> {
    let add = |table: ContextTable, (key, value): &(&str, &str)| table.with(key, value);
    let context = values.iter().fold(ContextTable::new(), add);
    let policies = Policies {
        resource: side(policy),
        ..Policies::default()
    };
    decide(caller, action, resource, &context, &policies)
}

const ALLOW_ALL: &str = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}"#;
const ALLOW_LIST: &str =
    r#"{"Statement": {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}}"#;
const ALLOW_GET: &str =
    r#"{"Statement": {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}}"#;
const DENY_GET: &str =
    r#"{"Statement": {"Sid": "No", "Effect": "Deny", "Action": "s3:GetObject", "Resource": "*"}}"#;

/// Caller, its policy, principal of the bucket policy's Allow, ACL, decision.
type Case<'a> = (
    Caller<'a>,
    Option<&'a str>,
    Option<&'a str>,
    AclGrant,
    Effect,
    Reason,
);

/// IAM user guide, "Evaluating identity-based policies with resource-based policies" and
/// "Cross-account policy evaluation logic".
#[test]
fn both_sides() {
    let everyone = r#""*""#;
    let to_ada = r#"{"AWS": "arn:aws:iam::111122223333:user/ada"}"#;
    let to_bob = r#"{"AWS": "arn:aws:iam::444455556666:user/bob"}"#;
    let owner = r#"{"AWS": "111122223333"}"#;
    let owner_root = r#"{"AWS": ["arn:aws:iam::111122223333:root"]}"#;
    let canonical = format!(r#"{{"CanonicalUser": "{CANONICAL}"}}"#);
    let canonical = canonical.as_str();
    let other = r#"{"AWS": "444455556666"}"#;
    let service = r#"{"Service": "logging.s3.amazonaws.com"}"#;
    let role = r#"{"AWS": "arn:aws:iam::111122223333:role/reader"}"#;
    let today = r#"{"AWS": "arn:aws:sts::111122223333:assumed-role/reader/today"}"#;
    let tomorrow = r#"{"AWS": "arn:aws:sts::111122223333:assumed-role/reader/tomorrow"}"#;
    let (none, acl_account, acl_all) = (AclGrant::None, AclGrant::Account, AclGrant::Everyone);
    let anyone = Caller::Anonymous;
    #[rustfmt::skip]
    let table: &[Case<'_>] = &[
        // Within the account either side is enough …
        (ada(), None, None, none, IMPLICIT, Reason::NothingAllows),
        (ada(), Some(ALLOW_ALL), None, none, ALLOW, Reason::IdentityPolicy),
        (ada(), Some(ALLOW_LIST), None, none, IMPLICIT, Reason::NothingAllows),
        (ada(), None, Some(to_ada), none, ALLOW, Reason::BucketPolicy),
        (ada(), None, Some(to_bob), none, IMPLICIT, Reason::NothingAllows),
        (ada(), None, Some(everyone), none, ALLOW, Reason::BucketPolicy),
        (ada(), Some(ALLOW_ALL), Some(to_bob), none, ALLOW, Reason::IdentityPolicy),
        (ada(), Some(DENY_GET), Some(to_ada), none, EXPLICIT, Reason::Denied),
        // … unless the account is meant, which has to pass it on.
        (ada(), None, Some(owner), none, IMPLICIT, Reason::NotPassedOnByAccount),
        (ada(), None, Some(owner_root), none, IMPLICIT, Reason::NotPassedOnByAccount),
        (ada(), None, Some(canonical), none, IMPLICIT, Reason::NotPassedOnByAccount),
        (ada(), Some(ALLOW_ALL), Some(owner), none, ALLOW, Reason::IdentityPolicy),
        // Across accounts both have to.
        (bob(), None, None, none, IMPLICIT, Reason::NothingAllows),
        (bob(), Some(ALLOW_ALL), None, none, IMPLICIT, Reason::NotSharedByOwner),
        (bob(), None, Some(to_bob), none, IMPLICIT, Reason::NotPassedOnByAccount),
        (bob(), None, Some(everyone), none, IMPLICIT, Reason::NotPassedOnByAccount),
        (bob(), Some(ALLOW_ALL), Some(to_bob), none, ALLOW, Reason::BucketPolicy),
        (bob(), Some(ALLOW_ALL), Some(other), none, ALLOW, Reason::BucketPolicy),
        (bob(), Some(ALLOW_ALL), Some(everyone), none, ALLOW, Reason::BucketPolicy),
        (bob(), Some(ALLOW_ALL), Some(to_ada), none, IMPLICIT, Reason::NotSharedByOwner),
        (bob(), Some(ALLOW_LIST), Some(to_bob), none, IMPLICIT, Reason::NotPassedOnByAccount),
        (bob(), Some(DENY_GET), Some(to_bob), none, EXPLICIT, Reason::Denied),
        // Roots need no policy of their own.
        (root(OWNER), None, None, none, ALLOW, Reason::OwnerRoot),
        (root(OTHER), None, None, none, IMPLICIT, Reason::NotSharedByOwner),
        (root(OTHER), None, Some(other), none, ALLOW, Reason::BucketPolicy),
        // Anonymous callers and services have the bucket's side.
        (anyone, None, None, none, IMPLICIT, Reason::NothingAllows),
        (anyone, None, Some(everyone), none, ALLOW, Reason::BucketPolicy),
        (anyone, None, Some(owner), none, IMPLICIT, Reason::NothingAllows),
        (LOGGING, None, Some(service), none, ALLOW, Reason::BucketPolicy),
        (LOGGING, None, Some(owner), none, IMPLICIT, Reason::NothingAllows),
        (Caller::Service("other.amazonaws.com"), None, Some(service), none, IMPLICIT, Reason::NothingAllows),
        (ada(), None, Some(service), none, IMPLICIT, Reason::NothingAllows),
        // An ACL is of the bucket's side too.
        (anyone, None, None, acl_all, ALLOW, Reason::Acl),
        (bob(), Some(ALLOW_ALL), None, acl_account, ALLOW, Reason::Acl),
        (bob(), None, None, acl_account, IMPLICIT, Reason::NotPassedOnByAccount),
        (ada(), None, None, acl_account, IMPLICIT, Reason::NotPassedOnByAccount),
        (ada(), None, None, acl_all, ALLOW, Reason::Acl),
        // Sessions of a role.
        (session(), Some(ALLOW_ALL), None, none, ALLOW, Reason::IdentityPolicy),
        (session(), None, Some(role), none, ALLOW, Reason::BucketPolicy),
        (session(), None, Some(today), none, ALLOW, Reason::BucketPolicy),
        (session(), None, Some(tomorrow), none, IMPLICIT, Reason::NothingAllows),
    ];
    for (number, (caller, identity, principal, acl, effect, reason)) in table.iter().enumerate() {
        let identity: Vec<_> = identity.iter().map(|text| identity_policy(text)).collect();
        let policy = principal.map(get_for);
        let policies = Policies {
            identity: &identity,
            session: None,
            resource: ResourceSide {
                owner: Some(OWNER),
                bucket_policy: policy.as_ref(),
                acl: *acl,
                ..ResourceSide::default()
            },
        };
        let found = decide(
            caller,
            "s3:GetObject",
            OBJECT,
            &ContextTable::new(),
            &policies,
        );
        let found = (found.effect, found.reason);
        assert_eq!(
            found,
            (*effect, *reason),
            "case {number}: {caller:?} {principal:?}"
        );
    }
}

/// IAM user guide, "Session policies": they limit, and do not give.
#[test]
fn session_policies_limit() {
    let all = identity_policy(ALLOW_ALL);
    let list = identity_policy(ALLOW_LIST);
    let get = identity_policy(ALLOW_GET);
    let deny = identity_policy(DENY_GET);
    let to_role = get_for(r#"{"AWS": "arn:aws:iam::111122223333:role/reader"}"#);
    let to_session = get_for(r#"{"AWS": "arn:aws:sts::111122223333:assumed-role/reader/today"}"#);
    let empty = get_for(r#"{"Service": "nobody.amazonaws.com"}"#);
    for (number, (identity, session_policy, bucket, effect, reason)) in [
        (Some(&all), &get, &empty, ALLOW, Reason::IdentityPolicy),
        (Some(&all), &list, &empty, IMPLICIT, Reason::SessionPolicy),
        (Some(&list), &get, &empty, IMPLICIT, Reason::NothingAllows),
        (Some(&all), &deny, &empty, EXPLICIT, Reason::Denied),
        (None, &get, &to_role, ALLOW, Reason::BucketPolicy),
        (None, &list, &to_role, IMPLICIT, Reason::NothingAllows),
        (None, &list, &to_session, ALLOW, Reason::BucketPolicy),
        (None, &deny, &to_session, EXPLICIT, Reason::Denied),
    ]
    .into_iter()
    .enumerate()
    {
        let identity: Vec<_> = identity.into_iter().cloned().collect();
        let policies = Policies {
            identity: &identity,
            session: Some(std::slice::from_ref(session_policy)),
            resource: side(bucket),
        };
        let context = ContextTable::new();
        let found = decide(&session(), "s3:GetObject", OBJECT, &context, &policies);
        assert_eq!(
            (found.effect, found.reason),
            (effect, reason),
            "case {number}"
        );
    }
}

#[test]
fn the_statement_that_decided_is_named() {
    let policy = bucket_policy(
        r#"{"Statement": [
            {"Sid": "first", "Effect": "Allow", "Principal": "*", "Action": "s3:Get*", "Resource": "arn:aws:s3:::photos/*"},
            {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::photos/secret/*"}
        ]}"#,
    );
    let open = by_bucket(&policy, &Caller::Anonymous, "s3:GetObject", OBJECT, &[]);
    let named = open.statement.unwrap();
    assert_eq!(named.source, PolicySource::Bucket);
    assert_eq!((named.statement, named.sid), (0, Some("first")));
    let secret = "arn:aws:s3:::photos/secret/x";
    let shut = by_bucket(&policy, &Caller::Anonymous, "s3:GetObject", secret, &[]);
    assert_eq!(shut.effect, EXPLICIT);
    let named = shut.statement.unwrap();
    assert_eq!((named.statement, named.sid), (1, None));

    let (first, second) = (identity_policy(ALLOW_LIST), identity_policy(DENY_GET));
    let policies = Policies {
        identity: &[first, second],
        ..Policies::default()
    };
    let found = decide(
        &ada(),
        "s3:GetObject",
        OBJECT,
        &ContextTable::new(),
        &policies,
    );
    let named = found.statement.unwrap();
    assert_eq!((named.source, named.policy), (PolicySource::Identity, 1));
    assert_eq!(named.sid, Some("No"));
}

/// S3 API reference, PutBucketPolicy.
#[test]
fn the_owner_can_undo_a_policy_that_shuts_everybody_out() {
    let policy = statement(
        r#""Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": ["arn:aws:s3:::photos", "arn:aws:s3:::photos/*"]"#,
    );
    let all = identity_policy(ALLOW_ALL);
    for (caller, action, locks_out_owner, expected) in [
        (root(OWNER), "s3:PutBucketPolicy", false, ALLOW),
        (root(OWNER), "s3:GetBucketPolicy", false, ALLOW),
        (root(OWNER), "s3:DeleteBucketPolicy", false, ALLOW),
        (root(OWNER), "s3:PutBucketPolicy", true, EXPLICIT),
        (root(OWNER), "s3:ListBucket", false, EXPLICIT),
        (root(OTHER), "s3:PutBucketPolicy", false, EXPLICIT),
        (ada(), "s3:PutBucketPolicy", false, EXPLICIT),
    ] {
        let policies = Policies {
            identity: std::slice::from_ref(&all),
            session: None,
            resource: ResourceSide {
                locks_out_owner,
                ..side(&policy)
            },
        };
        let found = decide(&caller, action, BUCKET, &ContextTable::new(), &policies);
        assert_eq!(
            found.effect, expected,
            "{caller:?} {action} {locks_out_owner}"
        );
    }
}

/// S3 user guide, "Blocking public access", `RestrictPublicBuckets`.
#[test]
fn restricted_public_buckets_are_for_their_account_and_services() {
    let public = get_for(r#""*""#);
    let fixed = get_for(r#"{"AWS": "444455556666"}"#);
    let all = identity_policy(ALLOW_ALL);
    for (policy, caller, expected) in [
        (&public, Caller::Anonymous, IMPLICIT),
        (&public, bob(), IMPLICIT),
        (&public, root(OTHER), IMPLICIT),
        (&public, ada(), ALLOW),
        (&public, root(OWNER), ALLOW),
        (&public, LOGGING, ALLOW),
        (&fixed, bob(), ALLOW),
    ] {
        let policies = Policies {
            identity: std::slice::from_ref(&all),
            session: None,
            resource: ResourceSide {
                // Access by ACL is restricted as well.
                acl: AclGrant::Everyone,
                restrict_public_buckets: true,
                ..side(policy)
            },
        };
        let found = decide(
            &caller,
            "s3:GetObject",
            OBJECT,
            &ContextTable::new(),
            &policies,
        );
        assert_eq!(found.effect, expected, "{caller:?}");
    }
}

/// Caller, action, resource after the bucket's ARN, values of the request, decision.
type Asked<'a> = (
    Caller<'a>,
    &'a str,
    &'a str,
    &'a [(&'a str, &'a str)],
    Effect,
);

fn check(inner: &str, requests: &[Asked<'_>]) {
    let policy = statement(inner);
    for (caller, action, key, values, expected) in requests {
        let resource = format!("{BUCKET}{key}");
        let found = by_bucket(&policy, caller, &format!("s3:{action}"), &resource, values);
        assert_eq!(
            found.effect, *expected,
            "{inner}\n{caller:?} {action} {key} {values:?}"
        );
    }
}

const ANYONE: Caller<'static> = Caller::Anonymous;

/// S3 user guide, "Examples of Amazon S3 bucket policies": the network.
#[test]
#[rustfmt::skip]
fn documented_policies_on_transport_and_network() {
    let deny_all = r#""Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": ["arn:aws:s3:::photos", "arn:aws:s3:::photos/*"]"#;
    check(&format!(r#"{deny_all}, "Condition": {{"Bool": {{"aws:SecureTransport": "false"}}}}"#), &[
        (root(OWNER), "GetObject", "/a", &[("aws:SecureTransport", "false")], EXPLICIT),
        (root(OWNER), "GetObject", "/a", &[("aws:SecureTransport", "true")], ALLOW),
        (root(OWNER), "ListBucket", "", &[("aws:SecureTransport", "false")], EXPLICIT),
    ]);
    check(&format!(r#"{deny_all}, "Condition": {{"NumericLessThan": {{"s3:TlsVersion": 1.2}}}}"#), &[
        (root(OWNER), "GetObject", "/a", &[("s3:TlsVersion", "1.1")], EXPLICIT),
        (root(OWNER), "GetObject", "/a", &[("s3:TlsVersion", "1.2")], ALLOW),
        (root(OWNER), "GetObject", "/a", &[("s3:TlsVersion", "1.3")], ALLOW),
    ]);
    check(&format!(r#"{deny_all}, "Condition": {{"NotIpAddress": {{"aws:SourceIp": "192.0.2.0/24"}}}}"#), &[
        (root(OWNER), "GetObject", "/a", &[("aws:SourceIp", "203.0.113.7")], EXPLICIT),
        (root(OWNER), "GetObject", "/a", &[("aws:SourceIp", "192.0.2.7")], ALLOW),
        // A key that is not there satisfies what is negated.
        (root(OWNER), "GetObject", "/a", &[], EXPLICIT),
    ]);
    check(r#""Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::photos/*",
        "Condition": {"IpAddress": {"aws:SourceIp": ["192.0.2.0/24", "2001:DB8:1234:5678::/64"]},
                      "NotIpAddress": {"aws:SourceIp": ["192.0.2.188/32", "2001:DB8:1234:5678:ABCD::/80"]}}"#, &[
        (ANYONE, "GetObject", "/a", &[("aws:SourceIp", "192.0.2.7")], ALLOW),
        (ANYONE, "GetObject", "/a", &[("aws:SourceIp", "192.0.2.188")], IMPLICIT),
        (ANYONE, "GetObject", "/a", &[("aws:SourceIp", "203.0.113.7")], IMPLICIT),
        (ANYONE, "GetObject", "/a", &[("aws:SourceIp", "2001:db8:1234:5678::1")], ALLOW),
        (ANYONE, "GetObject", "/a", &[("aws:SourceIp", "2001:db8:1234:5678:abcd::1")], IMPLICIT),
        (ANYONE, "PutObject", "/a", &[("aws:SourceIp", "192.0.2.7")], IMPLICIT),
    ]);
    check(r#""Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject", "s3:GetObjectVersion"], "Resource": "arn:aws:s3:::photos/*",
        "Condition": {"StringLike": {"aws:Referer": ["http://www.example.com/*", "http://example.com/*"]}}"#, &[
        (ANYONE, "GetObject", "/a", &[("aws:Referer", "http://www.example.com/page")], ALLOW),
        (ANYONE, "GetObjectVersion", "/a", &[("aws:Referer", "http://example.com/")], ALLOW),
        (ANYONE, "GetObject", "/a", &[("aws:Referer", "http://evil.example/http://example.com/")], IMPLICIT),
        (ANYONE, "GetObject", "/a", &[], IMPLICIT),
    ]);
}

/// The same: who asks.
#[test]
#[rustfmt::skip]
fn documented_policies_on_identity() {
    check(r#""Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::photos/tax/*",
        "Condition": {"Null": {"aws:MultiFactorAuthAge": true}}"#, &[
        (root(OWNER), "GetObject", "/tax/1", &[], EXPLICIT),
        (root(OWNER), "GetObject", "/tax/1", &[("aws:MultiFactorAuthAge", "10")], ALLOW),
        (root(OWNER), "GetObject", "/a", &[], ALLOW),
    ]);
    check(r#""Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::photos/tax/*",
        "Condition": {"NumericGreaterThan": {"aws:MultiFactorAuthAge": 3600}}"#, &[
        (root(OWNER), "GetObject", "/tax/1", &[("aws:MultiFactorAuthAge", "3601")], EXPLICIT),
        (root(OWNER), "GetObject", "/tax/1", &[("aws:MultiFactorAuthAge", "3600")], ALLOW),
    ]);
    check(r#""Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject", "s3:PutObject"],
        "Resource": "arn:aws:s3:::photos/home/${aws:username}/*""#, &[
        (ada(), "GetObject", "/home/ada/notes", &[], ALLOW),
        (eve(), "GetObject", "/home/ada/notes", &[], IMPLICIT),
        (ANYONE, "GetObject", "/home/ada/notes", &[], IMPLICIT),
    ]);
    check(r#""Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::photos/*",
        "Condition": {"StringNotLike": {"aws:userid": ["AROAEXAMPLE:*", "111122223333"]}}"#, &[
        (session(), "GetObject", "/a", &[], IMPLICIT),
        (root(OWNER), "GetObject", "/a", &[], ALLOW),
        (ada(), "GetObject", "/a", &[], EXPLICIT),
        (ANYONE, "GetObject", "/a", &[], EXPLICIT),
    ]);
    check(r#""Effect": "Deny", "NotPrincipal": {"AWS": ["arn:aws:iam::111122223333:user/ada", "arn:aws:iam::111122223333:root"]},
        "Action": "s3:*", "Resource": "arn:aws:s3:::photos/*""#, &[
        (ada(), "GetObject", "/a", &[], IMPLICIT),
        (root(OWNER), "GetObject", "/a", &[], ALLOW),
        (eve(), "GetObject", "/a", &[], EXPLICIT),
        (bob(), "GetObject", "/a", &[], EXPLICIT),
        (ANYONE, "GetObject", "/a", &[], EXPLICIT),
    ]);
    // Who is excepted has to be named with the account, which is looked at first.
    check(r#""Effect": "Deny", "NotPrincipal": {"AWS": "arn:aws:iam::111122223333:user/ada"},
        "Action": "s3:*", "Resource": "arn:aws:s3:::photos/*""#, &[
        (ada(), "GetObject", "/a", &[], EXPLICIT),
        (root(OWNER), "GetObject", "/a", &[], EXPLICIT),
        (eve(), "GetObject", "/a", &[], EXPLICIT),
    ]);
    check(r#""Effect": "Deny", "NotPrincipal": {"AWS": "111122223333"},
        "Action": "s3:*", "Resource": "arn:aws:s3:::photos/*""#, &[
        (ada(), "GetObject", "/a", &[], EXPLICIT),
        (root(OWNER), "GetObject", "/a", &[], ALLOW),
    ]);
    check(r#""Effect": "Deny", "NotPrincipal": {"AWS": ["arn:aws:iam::111122223333:user/ada", "444455556666"]},
        "Action": "s3:*", "Resource": "arn:aws:s3:::photos/*""#, &[
        (ada(), "GetObject", "/a", &[], EXPLICIT),
        (root(OTHER), "GetObject", "/a", &[], IMPLICIT),
    ]);
    check(r#""Effect": "Deny", "NotPrincipal": {"AWS": ["arn:aws:iam::111122223333:role/reader", "111122223333"]},
        "Action": "s3:*", "Resource": "arn:aws:s3:::photos/*""#, &[
        (session(), "GetObject", "/a", &[], IMPLICIT),
        (ada(), "GetObject", "/a", &[], EXPLICIT),
    ]);
    // Of a session, the role is looked at before it.
    check(r#""Effect": "Deny", "NotPrincipal": {"AWS": ["arn:aws:sts::111122223333:assumed-role/reader/today", "111122223333"]},
        "Action": "s3:*", "Resource": "arn:aws:s3:::photos/*""#, &[
        (session(), "GetObject", "/a", &[], EXPLICIT),
    ]);
    check(r#""Effect": "Deny", "NotPrincipal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::photos/*""#, &[
        (ada(), "GetObject", "/a", &[], IMPLICIT),
        (ANYONE, "GetObject", "/a", &[], IMPLICIT),
    ]);
    check(r#""Effect": "Deny", "NotPrincipal": {"Service": "logging.s3.amazonaws.com"},
        "Action": "s3:*", "Resource": "arn:aws:s3:::photos/*""#, &[
        (LOGGING, "PutObject", "/a", &[], IMPLICIT),
        (root(OWNER), "GetObject", "/a", &[], EXPLICIT),
    ]);
    // A Deny for an account is for everybody in it.
    check(r#""Effect": "Deny", "Principal": {"AWS": "111122223333"}, "Action": "s3:*", "Resource": "arn:aws:s3:::photos/*""#, &[
        (ada(), "GetObject", "/a", &[], EXPLICIT),
        (bob(), "GetObject", "/a", &[], IMPLICIT),
    ]);
    check(r#""Effect": "Allow", "Principal": {"Service": "logging.s3.amazonaws.com"}, "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:::photos/logs/*",
        "Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:s3:::source-*"}, "StringEquals": {"aws:SourceAccount": "111122223333"}}"#, &[
        (LOGGING, "PutObject", "/logs/1", &[("aws:SourceArn", "arn:aws:s3:::source-1"), ("aws:SourceAccount", OWNER)], ALLOW),
        (LOGGING, "PutObject", "/logs/1", &[("aws:SourceArn", "arn:aws:s3:::target"), ("aws:SourceAccount", OWNER)], IMPLICIT),
        (LOGGING, "PutObject", "/logs/1", &[("aws:SourceArn", "arn:aws:s3:::source-1"), ("aws:SourceAccount", OTHER)], IMPLICIT),
    ]);
}

/// S3 user guide, "Bucket policy examples using condition keys".
#[test]
#[rustfmt::skip]
fn documented_policies_on_what_is_asked() {
    check(r#""Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:user/ada"},
        "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::photos",
        "Condition": {"StringEquals": {"s3:prefix": ["", "home/"], "s3:delimiter": "/"},
                      "NumericLessThanEquals": {"s3:max-keys": "10"}}"#, &[
        (ada(), "ListBucket", "", &[("s3:prefix", "home/"), ("s3:delimiter", "/"), ("s3:max-keys", "10")], ALLOW),
        (ada(), "ListBucket", "", &[("s3:prefix", ""), ("s3:delimiter", "/"), ("s3:max-keys", "2")], ALLOW),
        (ada(), "ListBucket", "", &[("s3:prefix", "x"), ("s3:delimiter", "/"), ("s3:max-keys", "2")], IMPLICIT),
        (ada(), "ListBucket", "", &[("s3:prefix", "home/"), ("s3:delimiter", "/"), ("s3:max-keys", "11")], IMPLICIT),
        (ada(), "ListBucket", "", &[("s3:prefix", "home/"), ("s3:delimiter", "/")], IMPLICIT),
        (ada(), "ListBucket", "", &[], IMPLICIT),
    ]);
    check(r#""Effect": "Deny", "Principal": {"AWS": "arn:aws:iam::111122223333:user/ada"}, "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:::photos/*", "Condition": {"StringNotEquals": {"s3:x-amz-acl": "bucket-owner-full-control"}}"#, &[
        (ada(), "PutObject", "/a", &[], EXPLICIT),
        (ada(), "PutObject", "/a", &[("s3:x-amz-acl", "public-read")], EXPLICIT),
        (ada(), "PutObject", "/a", &[("s3:x-amz-acl", "bucket-owner-full-control")], IMPLICIT),
        (eve(), "PutObject", "/a", &[], IMPLICIT),
    ]);
    check(r#""Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::photos/*",
        "Condition": {"Null": {"s3:x-amz-server-side-encryption": "true"}}"#, &[
        (root(OWNER), "PutObject", "/a", &[], EXPLICIT),
        (root(OWNER), "PutObject", "/a", &[("s3:x-amz-server-side-encryption", "AES256")], ALLOW),
    ]);
    check(r#""Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::photos/*",
        "Condition": {"StringNotLike": {"s3:x-amz-copy-source": "photos/public/*"}}"#, &[
        (root(OWNER), "PutObject", "/a", &[("s3:x-amz-copy-source", "photos/public/1")], ALLOW),
        (root(OWNER), "PutObject", "/a", &[("s3:x-amz-copy-source", "photos/private/1")], EXPLICIT),
    ]);
    check(r#""Effect": "Allow", "Principal": "*", "Action": "s3:GetObjectVersion", "Resource": "arn:aws:s3:::photos/otter.jpg",
        "Condition": {"StringEquals": {"s3:VersionId": "v1"}}"#, &[
        (ANYONE, "GetObjectVersion", "/otter.jpg", &[("s3:VersionId", "v1")], ALLOW),
        (ANYONE, "GetObjectVersion", "/otter.jpg", &[("s3:VersionId", "v2")], IMPLICIT),
        (ANYONE, "GetObject", "/otter.jpg", &[("s3:VersionId", "v1")], IMPLICIT),
    ]);
    check(r#""Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::photos/*",
        "Condition": {"StringEquals": {"s3:ExistingObjectTag/environment": "production"}}"#, &[
        (ANYONE, "GetObject", "/a", &[("s3:ExistingObjectTag/environment", "production")], ALLOW),
        (ANYONE, "GetObject", "/a", &[("s3:ExistingObjectTag/environment", "test")], IMPLICIT),
        (ANYONE, "GetObject", "/a", &[], IMPLICIT),
    ]);
    check(r#""Effect": "Allow", "Principal": "*", "Action": "s3:PutObjectTagging", "Resource": "arn:aws:s3:::photos/*",
        "Condition": {"ForAllValues:StringEquals": {"s3:RequestObjectTagKeys": ["Owner", "Date"]}}"#, &[
        (ANYONE, "PutObjectTagging", "/a", &[("s3:RequestObjectTagKeys", "Owner")], ALLOW),
        (ANYONE, "PutObjectTagging", "/a", &[("s3:RequestObjectTagKeys", "Owner"), ("s3:RequestObjectTagKeys", "Date")], ALLOW),
        (ANYONE, "PutObjectTagging", "/a", &[("s3:RequestObjectTagKeys", "Owner"), ("s3:RequestObjectTagKeys", "x")], IMPLICIT),
        (ANYONE, "PutObjectTagging", "/a", &[], ALLOW),
    ]);
    check(r#""Effect": "Allow", "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::photos/*",
        "Condition": {"StringEquals": {"s3:RequestObjectTag/Department": "Finance"}}"#, &[
        (ANYONE, "PutObject", "/a", &[("s3:RequestObjectTag/Department", "Finance")], ALLOW),
        (ANYONE, "PutObject", "/a", &[], IMPLICIT),
    ]);
    check(r#""Effect": "Allow", "Principal": "*", "NotAction": "s3:Delete*", "NotResource": "arn:aws:s3:::photos/secret/*""#, &[
        (ANYONE, "GetObject", "/a", &[], ALLOW),
        (ANYONE, "DeleteObject", "/a", &[], IMPLICIT),
        (ANYONE, "GetObject", "/secret/1", &[], IMPLICIT),
    ]);
    // Actions are read without regard to case, keys of objects are not.
    check(r#""Effect": "Allow", "Principal": "*", "Action": "S3:get?bject*", "Resource": "arn:aws:s3:::photos/o*/?tter""#, &[
        (ANYONE, "GetObjectTagging", "/o/x/otter", &[], ALLOW),
        (ANYONE, "GetObject", "/O/otter", &[], IMPLICIT),
        (ANYONE, "GetBucketAcl", "/o/otter", &[], IMPLICIT),
    ]);
}

/// Whether an anonymous request is allowed by a statement with this condition.
fn condition_holds(condition: &str, values: &[(&str, &str)]) -> bool {
    let policy = statement(&format!(
        r#""Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*", "Condition": {{{condition}}}"#
    ));
    by_bucket(&policy, &ANYONE, "s3:GetObject", OBJECT, values).is_allowed()
}

/// Operator, key, values of the policy, value of the request, whether it holds.
type OperatorCase<'a> = (&'a str, &'a str, &'a str, Option<&'a str>, bool);

/// IAM user guide, "IAM JSON policy elements: Condition operators".
#[test]
#[rustfmt::skip]
fn operators() {
    let table: &[OperatorCase<'_>] = &[
        ("StringEquals", "aws:UserAgent", r#"["a", "b"]"#, Some("b"), true),
        ("StringEquals", "aws:UserAgent", r#""a""#, Some("A"), false),
        ("StringEquals", "aws:UserAgent", r#""a*""#, Some("ab"), false),
        ("StringEquals", "aws:UserAgent", r#""a*""#, Some("a*"), true),
        ("StringEquals", "AWS:useragent", r#""a""#, Some("a"), true),
        ("StringNotEquals", "aws:UserAgent", r#"["a", "b"]"#, Some("b"), false),
        ("StringNotEquals", "aws:UserAgent", r#"["a", "b"]"#, Some("c"), true),
        ("StringNotEquals", "aws:UserAgent", r#""a""#, None, true),
        ("StringEqualsIgnoreCase", "aws:UserAgent", r#""Ärger""#, Some("äRGER"), true),
        ("StringNotEqualsIgnoreCase", "aws:UserAgent", r#""AB""#, Some("ab"), false),
        ("StringLike", "aws:UserAgent", r#""curl/*""#, Some("curl/8"), true),
        ("StringLike", "aws:UserAgent", r#""curl/?""#, Some("curl/88"), false),
        ("StringLike", "aws:UserAgent", r#""curl/${*}""#, Some("curl/8"), false),
        ("StringLike", "aws:UserAgent", r#""*""#, None, false),
        ("StringNotLike", "aws:UserAgent", r#"["curl/*", "x"]"#, Some("curl/8"), false),
        ("NumericEquals", "s3:max-keys", r#"[5, "10.0"]"#, Some("10"), true),
        ("NumericNotEquals", "s3:max-keys", "10", Some("10"), false),
        ("NumericLessThan", "s3:max-keys", "10", Some("10"), false),
        ("NumericLessThanEquals", "s3:max-keys", "10", Some("10"), true),
        ("NumericGreaterThan", "s3:max-keys", "-1", Some("0"), true),
        ("NumericGreaterThanEquals", "s3:max-keys", "10", Some("9.99"), false),
        ("NumericLessThan", "s3:max-keys", "10", Some("many"), false),
        ("NumericLessThan", "s3:max-keys", "10", Some("NaN"), false),
        ("NumericLessThan", "s3:max-keys", "10", None, false),
        ("DateEquals", "aws:CurrentTime", r#""2026-01-01T00:00:00Z""#, Some("2026-01-01T01:00:00+01:00"), true),
        ("DateNotEquals", "aws:CurrentTime", r#""2026-01-01T00:00:00Z""#, Some("2026-01-01T00:00:01Z"), true),
        ("DateLessThan", "aws:CurrentTime", r#""2026-01-01T00:00:00Z""#, Some("2025-12-31T23:59:59.999Z"), true),
        ("DateLessThanEquals", "aws:CurrentTime", r#""2026-01-01""#, Some("2026-01-01T00:00:00Z"), true),
        ("DateGreaterThan", "aws:CurrentTime", r#""2026-01-01T00:00Z""#, Some("2026-01-01T00:00:00Z"), false),
        ("DateGreaterThanEquals", "aws:EpochTime", "1767225600", Some("1767225600"), true),
        ("DateGreaterThanEquals", "aws:EpochTime", r#""2026-01-01T00:00:00Z""#, Some("1767225599"), false),
        ("DateLessThan", "aws:TokenIssueTime", r#""2026-01-01T00:00:00Z""#, None, false),
        ("Bool", "aws:SecureTransport", "true", Some("true"), true),
        ("Bool", "aws:SecureTransport", r#""False""#, Some("false"), true),
        ("Bool", "aws:SecureTransport", r#""false""#, None, false),
        ("BinaryEquals", "aws:UserAgent", r#""QmluYXJ5""#, Some("QmluYXJ5"), true),
        ("BinaryEquals", "aws:UserAgent", r#""QmluYXJ5""#, Some("Binary"), false),
        ("IpAddress", "aws:SourceIp", r#""192.0.2.0/24""#, Some("no address"), false),
        ("NotIpAddress", "aws:SourceIp", r#""192.0.2.0/24""#, Some("192.0.2.9"), false),
        ("ArnEquals", "aws:SourceArn", r#""arn:aws:s3:::a*""#, Some("arn:aws:s3:::abc"), true),
        ("ArnLike", "aws:SourceArn", r#""arn:aws:*:::abc""#, Some("arn:aws:s3:::abc"), true),
        ("ArnLike", "aws:SourceArn", r#""arn:aws:*:abc:x:y""#, Some("arn:aws:s3:x:abc:x:y"), false),
        ("ArnNotLike", "aws:SourceArn", r#""arn:aws:s3:::a*""#, Some("arn:aws:s3:::abc"), false),
        ("ArnNotEquals", "aws:SourceArn", r#""arn:aws:s3:::a*""#, None, true),
        ("Null", "aws:Referer", r#""true""#, None, true),
        ("Null", "aws:Referer", r#""false""#, None, false),
        ("Null", "aws:Referer", "false", Some(""), true),
        ("StringEqualsIfExists", "aws:UserAgent", r#""a""#, None, true),
        ("StringEqualsIfExists", "aws:UserAgent", r#""a""#, Some("b"), false),
        ("StringLikeIfExists", "aws:Referer", r#""http://www.example.com/*""#, Some("http://www.example.com/"), true),
        ("NumericLessThanIfExists", "s3:max-keys", "10", None, true),
        ("IpAddressIfExists", "aws:SourceIp", r#""192.0.2.0/24""#, Some("203.0.113.1"), false),
        ("StringEquals", "aws:Referer", r#""${aws:UserAgent, 'd'}""#, Some("d"), true),
        ("StringEquals", "aws:Referer", r#""${aws:UserAgent}""#, Some(""), false),
        // A variable without a value must not allow.
        ("StringNotEquals", "aws:Referer", r#""${aws:UserAgent}""#, Some("x"), false),
    ];
    for (operator, key, values, value, expected) in table {
        let condition = format!(r#""{operator}": {{"{key}": {values}}}"#);
        let value: Vec<(&str, &str)> = value.iter().map(|value| (*key, *value)).collect();
        assert_eq!(condition_holds(&condition, &value), *expected, "{condition} {value:?}");
    }
}

/// Conditions, values of the request, whether they hold.
type ConditionCase<'a> = (&'a str, &'a [(&'a str, &'a str)], bool);

#[test]
#[rustfmt::skip]
fn several_conditions_and_variables() {
    let agent = ("aws:UserAgent", "a");
    let both = r#""StringEquals": {"aws:UserAgent": "a", "aws:Referer": "r"}"#;
    let table: [ConditionCase<'_>; 8] = [
        (both, &[agent, ("aws:Referer", "r")], true),
        (both, &[agent], false),
        (r#""StringEquals": {"aws:UserAgent": "a"}, "Bool": {"aws:SecureTransport": "true"}"#, &[agent], false),
        (r#""StringEquals": {}"#, &[], true),
        (r#""StringEquals": {"aws:Referer": "${aws:UserAgent}"}"#, &[agent, ("aws:Referer", "a")], true),
        (r#""StringLike": {"aws:Referer": "${aws:UserAgent}"}"#, &[("aws:UserAgent", "*"), ("aws:Referer", "x")], false),
        (r#""StringLike": {"aws:Referer": "*/${aws:UserAgent}/*"}"#, &[agent, ("aws:Referer", "x/a/y")], true),
        (r#""ArnLike": {"aws:SourceArn": "arn:aws:s3:::${aws:UserAgent}"}"#, &[agent, ("aws:SourceArn", "arn:aws:s3:::a")], true),
    ];
    for (condition, values, expected) in table {
        assert_eq!(condition_holds(condition, values), expected, "{condition} {values:?}");
    }
}

/// IAM user guide, "Set operators for multivalued context keys".
#[test]
fn set_operators() {
    for (operator, keys, expected) in [
        ("ForAllValues:StringEquals", &["a", "b"][..], true),
        ("ForAllValues:StringEquals", &["a", "c"], false),
        ("ForAllValues:StringEquals", &[], true),
        ("ForAllValues:StringEquals", &[""], true),
        ("ForAllValues:StringNotEquals", &["c", "d"], true),
        ("ForAllValues:StringNotEquals", &["a", "c"], false),
        ("ForAllValues:StringNotEquals", &[], true),
        ("ForAllValues:StringEqualsIfExists", &[], true),
        ("ForAnyValue:StringEquals", &["c", "b"], true),
        ("ForAnyValue:StringEquals", &["c"], false),
        ("ForAnyValue:StringEquals", &[], false),
        ("ForAnyValue:StringEquals", &[""], false),
        ("ForAnyValue:StringNotEquals", &["a", "c"], true),
        ("ForAnyValue:StringNotEquals", &["a", "b"], false),
        ("ForAnyValue:StringNotEquals", &[], false),
        ("ForAnyValue:StringLike", &["b"], true),
        // Nothing is in an empty set, whether it exists or not.
        ("ForAnyValue:StringEqualsIfExists", &[], false),
        // Without a set operator: any that fits, none that must not.
        ("StringEquals", &["c", "b"], true),
        ("StringNotEquals", &["c", "b"], false),
    ] {
        let condition = format!(r#""{operator}": {{"s3:RequestObjectTagKeys": ["a", "b"]}}"#);
        let of_key = |key: &&'static str| ("s3:RequestObjectTagKeys", *key);
        let values: Vec<_> = keys.iter().map(of_key).collect();
        let found = condition_holds(&condition, &values);
        assert_eq!(found, expected, "{operator} {keys:?}");
    }
}

/// A Deny must not be escaped by a variable without a value, and an Allow not be had.
#[test]
fn unresolved_variables() {
    for (effect, expected) in [("Deny", EXPLICIT), ("Allow", IMPLICIT)] {
        for rest in [
            r#""Resource": "*", "Condition": {"StringNotEquals": {"aws:Referer": "${aws:username}"}}"#,
            r#""NotResource": "arn:aws:s3:::photos/${aws:username}/*""#,
        ] {
            let policy = statement(&format!(
                r#""Effect": "{effect}", "Principal": "*", "Action": "s3:GetObject", {rest}"#
            ));
            let values = [("aws:Referer", "r")];
            let found = by_bucket(&policy, &ANYONE, "s3:GetObject", OBJECT, &values);
            assert_eq!(found.effect, expected, "{effect} {rest}");
        }
    }
    // In policies before 2012-10-17 there are no variables.
    let old = bucket_policy(
        r#"{"Version": "2008-10-17", "Statement": {"Effect": "Allow", "Principal": "*",
            "Action": "s3:GetObject", "Resource": "arn:aws:s3:::photos/${aws:username}/*"}}"#,
    );
    let literal = "arn:aws:s3:::photos/${aws:username}/x";
    for (resource, expected) in [(literal, ALLOW), ("arn:aws:s3:::photos/ada/x", IMPLICIT)] {
        let found = by_bucket(&old, &ada(), "s3:GetObject", resource, &[]);
        assert_eq!(found.effect, expected, "{resource}");
    }
}

/// IAM user guide, "Principal key values". What a request says of itself does not count.
#[test]
fn keys_of_the_caller() {
    let role = "arn:aws:iam::111122223333:role/reader";
    for (caller, key, value) in [
        (ada(), "aws:username", Some("ada")),
        (ada(), "aws:userid", Some("AIDAEXAMPLE")),
        (
            ada(),
            "aws:PrincipalArn",
            Some("arn:aws:iam::111122223333:user/ada"),
        ),
        (ada(), "aws:PrincipalAccount", Some(OWNER)),
        (ada(), "aws:PrincipalType", Some("User")),
        (ada(), "s3:ResourceAccount", Some(OWNER)),
        (session(), "aws:PrincipalArn", Some(role)),
        (session(), "aws:PrincipalType", Some("AssumedRole")),
        (session(), "aws:username", None),
        (root(OTHER), "aws:PrincipalType", Some("Account")),
        (root(OTHER), "aws:userid", Some(OTHER)),
        (ANYONE, "aws:userid", Some("anonymous")),
        (ANYONE, "aws:PrincipalType", Some("Anonymous")),
        (ANYONE, "aws:PrincipalArn", None),
        (LOGGING, "aws:PrincipalType", None),
    ] {
        let condition = match value {
            Some(value) => format!(r#""StringEquals": {{"{key}": "{value}"}}"#),
            None => format!(r#""Null": {{"{key}": "true"}}"#),
        };
        let policy = statement(&format!(
            r#""Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*", "Condition": {{{condition}}}"#
        ));
        let found = by_bucket(&policy, &caller, "s3:GetObject", OBJECT, &[(key, "forged")]);
        assert_eq!(found.effect, EXPLICIT, "{caller:?} {key}");
    }
}

/// Where there is no bucket, the caller's side decides.
#[test]
fn requests_without_a_bucket() {
    let policy = identity_policy(
        r#"{"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "arn:aws:s3:::*"},
            {"Effect": "Allow", "Action": "s3:CreateBucket", "Resource": "arn:aws:s3:::team-*"}]}"#,
    );
    for (action, resource, expected) in [
        ("s3:ListAllMyBuckets", "arn:aws:s3:::*", ALLOW),
        ("s3:CreateBucket", "arn:aws:s3:::team-a", ALLOW),
        ("s3:CreateBucket", "arn:aws:s3:::other", IMPLICIT),
    ] {
        let policies = Policies {
            identity: std::slice::from_ref(&policy),
            ..Policies::default()
        };
        let found = decide(&ada(), action, resource, &ContextTable::new(), &policies);
        assert_eq!(found.effect, expected, "{action} {resource}");
    }
}

#[test]
fn existing_tags_are_asked_for_only_where_named() {
    for (rest, expected) in [
        (r#""Resource": "*""#, false),
        (
            r#""Resource": "*", "Condition": {"StringEquals": {"aws:Referer": "a"}}"#,
            false,
        ),
        (
            r#""Resource": "*", "Condition": {"Null": {"S3:existingobjecttag/a": "true"}}"#,
            true,
        ),
        (
            r#""Resource": "*", "Condition": {"StringEquals": {"aws:Referer": "${s3:ExistingObjectTag/a}"}}"#,
            true,
        ),
        (
            r#""Resource": "arn:aws:s3:::photos/${s3:ExistingObjectTag/a}""#,
            true,
        ),
    ] {
        let policy = statement(&format!(
            r#""Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", {rest}"#
        ));
        assert_eq!(policy.needs_existing_tags(), expected, "{rest}");
    }
}

#[test]
fn what_has_to_be_read_before_is_asked_for_only_where_named() {
    type Asked = (bool, bool, bool);
    let asked = |key: &str| -> Asked {
        let policy = statement(&format!(
            r#""Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": "*", "Condition": {{"Null": {{"{key}": "true"}}}}"#
        ));
        (
            policy.needs_request_tags(),
            policy.needs_encryption(),
            policy.needs_request_body(),
        )
    };
    for (key, expected) in [
        ("aws:Referer", (false, false, false)),
        ("s3:RequestObjectTag/a", (true, false, true)),
        ("s3:RequestObjectTagKeys", (true, false, true)),
        ("s3:object-lock-mode", (false, false, true)),
        ("s3:x-amz-server-side-encryption", (false, true, true)),
        (
            "s3:x-amz-server-side-encryption-aws-kms-key-id",
            (false, true, true),
        ),
        (
            "s3:x-amz-server-side-encryption-customer-algorithm",
            (false, true, true),
        ),
    ] {
        assert_eq!(asked(key), expected, "{key}");
    }
}

/// IAM user guide, "AWS global condition context keys", on when these keys are there.
#[test]
fn whether_a_service_calls_is_known_of_every_caller() {
    let by = |key: &str, value: &str, caller: Caller<'_>| {
        let policy = statement(&format!(
            r#""Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*", "Condition": {{"Bool": {{"{key}": "{value}"}}}}"#
        ));
        by_bucket(&policy, &caller, "s3:GetObject", OBJECT, &[]).effect == EXPLICIT
    };
    let is_service = "aws:PrincipalIsAWSService";
    for (caller, when_true, when_false) in [
        (ada(), false, true),
        (session(), false, true),
        (LOGGING, true, false),
        (ANYONE, false, false),
    ] {
        assert_eq!(by(is_service, "true", caller), when_true, "{caller:?}");
        assert_eq!(by(is_service, "false", caller), when_false, "{caller:?}");
        assert!(by("aws:ViaAWSService", "false", caller), "{caller:?}");
        assert!(!by("aws:ViaAWSService", "true", caller), "{caller:?}");
    }
}

/// IAM user guide, "AWS global condition context keys", `aws:PrincipalTag/tag-key`: of who asks alone,
/// whatever the request says.
#[test]
fn tags_of_the_principal_are_its_own() {
    let tags = [Tag {
        key: "Team".to_owned(),
        value: "red".to_owned(),
    }];
    let tagged = |caller: Caller<'static>| match caller {
        Caller::Identity(identity) => Caller::Identity(Identity {
            tags: tags.as_slice(),
            ..identity
        }),
        other => other,
    };
    let claimed = [("aws:PrincipalTag/team", "red")];
    let by_condition = statement(&format!(
        r#""Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "{BUCKET}/*",
            "Condition": {{"StringEquals": {{"aws:principaltag/TEAM": "red"}}}}"#
    ));
    let by_variable = statement(
        r#""Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
            "Resource": "arn:aws:s3:::photos/${aws:PrincipalTag/team}/*""#,
    );
    for policy in [&by_condition, &by_variable] {
        let reads = |caller: &Caller<'_>| {
            let object = "arn:aws:s3:::photos/red/otter.jpg";
            by_bucket(policy, caller, "s3:GetObject", object, &claimed).effect == ALLOW
        };
        for caller in [ada(), session()] {
            assert!(reads(&tagged(caller)), "{caller:?}");
            assert!(!reads(&caller), "{caller:?}");
        }
        for caller in [ANYONE, LOGGING] {
            assert!(!reads(&caller), "{caller:?}");
        }
    }
}

/// IAM user guide, "AWS global condition context keys", `aws:PrincipalServiceName`.
#[test]
fn services_are_known_by_name() {
    for key in ["aws:PrincipalServiceName", "aws:PrincipalServiceNamesList"] {
        let policy = statement(&format!(
            r#""Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*", "Condition": {{
                "ForAnyValue:StringEquals": {{"{key}": "logging.s3.amazonaws.com"}}}}"#
        ));
        for (caller, expected) in [(LOGGING, EXPLICIT), (ada(), IMPLICIT), (ANYONE, IMPLICIT)] {
            let decision = by_bucket(&policy, &caller, "s3:PutObject", OBJECT, &[]);
            assert_eq!(decision.effect, expected, "{key} {caller:?}");
        }
    }
}
