//! Policies of buckets and identities.

use std::sync::Arc;

use oncilla_iam::policy::{
    BUCKET_POLICY_BYTES_MAX, Caller, CallerKind, ContextTable, Effect, Identity, Policies, Policy,
    PolicyKind, Request, ResourceSide, evaluate,
};

use crate::input;

/// The first line is the request: an action, a key and a value that every condition key sees. What
/// follows is the policy. What is read is kept to the byte and decides the same when it is read
/// again; an identity or a session never has more than the other, and a Deny added to a policy
/// never allows.
pub fn policy(data: &[u8]) {
    let (line, text) = input::first_line(data);
    let line = String::from_utf8_lossy(line);
    let mut words = line.splitn(3, ' ');
    let action = words.next().unwrap_or_default();
    let resource = format!("arn:aws:s3:::photos/{}", words.next().unwrap_or_default());
    let value = words.next().unwrap_or_default();
    let kinds = [
        PolicyKind::Bucket { bucket: "photos" },
        PolicyKind::Identity,
        PolicyKind::Session,
    ];
    for kind in kinds {
        let policy = match Policy::parse(text, kind) {
            Ok(policy) => Arc::new(policy),
            Err(error) => {
                assert!(!error.message(kind).is_empty());
                assert!(error.message(kind).len() < 2_000, "{error}");
                continue;
            }
        };
        assert_eq!(policy.text().as_bytes(), text);
        let is_bucket = matches!(kind, PolicyKind::Bucket { .. });
        if is_bucket {
            assert!(text.len() <= BUCKET_POLICY_BYTES_MAX);
        }
        assert!(is_bucket || !policy.is_public());
        assert!(is_bucket || policy.principals().next().is_none());
        for caller in callers() {
            for context in [ContextTable::new(), full_context(value)] {
                let request = Request {
                    caller: &caller,
                    action,
                    resource: &resource,
                    context: &context,
                };
                check(&request, &policy, kind);
            }
        }
    }
}

fn check(request: &Request<'_>, policy: &Arc<Policy>, kind: PolicyKind<'_>) {
    let is_bucket = matches!(kind, PolicyKind::Bucket { .. });
    let attached = std::slice::from_ref(policy);
    let policies = Policies {
        identity: if is_bucket { &[] } else { attached },
        session: None,
        resource: ResourceSide {
            owner: Some(ACCOUNT),
            bucket_policy: is_bucket.then_some(&**policy),
            ..ResourceSide::default()
        },
    };
    let decision = evaluate(request, &policies);
    let again = evaluate(request, &policies);
    assert_eq!(decision.effect, again.effect);
    assert_eq!(decision.statement, again.statement);
    if decision.effect == Effect::ExplicitDeny {
        assert!(decision.statement.is_some());
    }
    if is_bucket {
        return;
    }
    let limited = Policies {
        session: Some(attached),
        ..policies
    };
    // A policy limits itself to what it allows.
    assert_eq!(evaluate(request, &limited).effect, decision.effect);
}

const ACCOUNT: &str = "111122223333";

fn callers() -> [Caller<'static>; 3] {
    let identity = Identity {
        kind: CallerKind::User,
        account: ACCOUNT,
        tags: &[],
        canonical_user: ACCOUNT,
        arn: "arn:aws:iam::111122223333:user/ada",
        role_arn: None,
        user_name: Some("ada"),
        user_id: "AIDA",
    };
    [
        Caller::Anonymous,
        Caller::Identity(identity),
        Caller::Service("logging.s3.amazonaws.com"),
    ]
}

/// One value for a key of each type.
fn full_context(value: &str) -> ContextTable {
    [
        "aws:Referer",
        "aws:SourceIp",
        "aws:CurrentTime",
        "aws:SecureTransport",
        "aws:SourceArn",
        "s3:max-keys",
        "s3:prefix",
        "s3:ExistingObjectTag/team",
        "s3:RequestObjectTagKeys",
    ]
    .iter()
    .fold(ContextTable::new(), |table, key| table.with(key, value))
    .with("s3:RequestObjectTagKeys", "team")
}
