//! What holds for any policies.

use std::sync::Arc;

use oncilla_iam::policy::{
    Caller, CallerKind, ContextTable, Effect, Identity, Policies, Policy, PolicyKind, Request,
    ResourceSide, evaluate,
};
use proptest::prelude::*;

const BUCKET: PolicyKind<'static> = PolicyKind::Bucket { bucket: "photos" };

/// A statement without its principal.
fn statement() -> impl Strategy<Value = String> {
    let actions = [
        "\"s3:GetObject\"",
        "\"s3:*\"",
        "\"s3:Get*\"",
        "[\"s3:PutObject\", \"s3:G*t\"]",
        "\"*\"",
    ];
    let resources = [
        "\"*\"",
        "\"arn:aws:s3:::photos/*\"",
        "\"arn:aws:s3:::photos/a/${aws:username}*\"",
        "[\"arn:aws:s3:::photos/a/*\", \"arn:aws:s3:::*\"]",
    ];
    let conditions = [
        "{}",
        r#"{"StringEquals": {"aws:Referer": "r"}}"#,
        r#"{"StringNotLike": {"aws:Referer": "r*"}}"#,
        r#"{"Null": {"aws:Referer": true}}"#,
        r#"{"StringNotEquals": {"aws:Referer": "${aws:username}"}}"#,
    ];
    (
        prop::bool::weighted(0.7),
        prop::sample::select(&["Action", "NotAction"][..]),
        prop::sample::select(actions.to_vec()),
        prop::sample::select(resources.to_vec()),
        prop::sample::select(conditions.to_vec()),
    )
        .prop_map(|(allows, field, action, resource, condition)| {
            let effect = if allows { "Allow" } else { "Deny" };
            format!(r#""Effect": "{effect}", "{field}": {action}, "Resource": {resource}, "Condition": {condition}"#)
        })
}

fn principal() -> impl Strategy<Value = &'static str> {
    prop::sample::select(
        &[
            r#""*""#,
            r#"{"AWS": "111122223333"}"#,
            r#"{"AWS": "arn:aws:iam::111122223333:user/ada"}"#,
            r#"{"AWS": "444455556666"}"#,
            r#"{"Service": "logging.s3.amazonaws.com"}"#,
        ][..],
    )
}

fn bucket_statement() -> impl Strategy<Value = String> {
    (statement(), principal())
        .prop_map(|(statement, principal)| format!(r#"{statement}, "Principal": {principal}"#))
}

fn policy(statements: &[String], kind: PolicyKind<'_>) -> Policy {
    let statements: Vec<String> = statements
        .iter()
        .map(|inner| format!("{{{inner}}}"))
        .collect();
    let text = format!(
        r#"{{"Version": "2012-10-17", "Statement": [{}]}}"#,
        statements.join(",")
    );
    Policy::parse(text.as_bytes(), kind).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn user(account: &'static str) -> Caller<'static> {
    Caller::Identity(Identity {
        kind: CallerKind::User,
        account,
        tags: &[],
        canonical_user: "c",
        arn: "arn:aws:iam::111122223333:user/ada",
        role_arn: None,
        user_name: Some("ada"),
        user_id: "AIDA",
    })
}

fn callers() -> [Caller<'static>; 4] {
    [
        Caller::Anonymous,
        Caller::Service("logging.s3.amazonaws.com"),
        user("111122223333"),
        user("444455556666"),
    ]
}

/// The decision for every caller, object and referer.
fn decisions(identity: &[String], bucket: &[String], session: Option<&[String]>) -> Vec<Effect> {
    let identity_policies: Vec<Arc<Policy>> = identity
        .iter()
        .map(|statement| policy(std::slice::from_ref(statement), PolicyKind::Identity).into())
        .collect();
    let bucket_policy = (!bucket.is_empty()).then(|| policy(bucket, BUCKET));
    let session = session.map(|statements| policy(statements, PolicyKind::Session));
    let session: Option<Vec<Arc<Policy>>> = session.map(|policy| vec![policy.into()]);
    let policies = Policies {
        identity: &identity_policies,
        session: session.as_deref(),
        resource: ResourceSide {
            owner: Some("111122223333"),
            bucket_policy: bucket_policy.as_ref(),
            ..ResourceSide::default()
        },
    };
    let mut effects = Vec::new();
    for caller in &callers() {
        for key in ["a/ada", "b"] {
            for referer in [None, Some("r"), Some("x")] {
                let mut context = ContextTable::new();
                if let Some(referer) = referer {
                    context = context.with("aws:Referer", referer);
                }
                let request = Request {
                    caller,
                    action: "s3:GetObject",
                    resource: &format!("arn:aws:s3:::photos/{key}"),
                    context: &context,
                };
                effects.push(evaluate(&request, &policies).effect);
            }
        }
    }
    effects
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// A Deny for everything decides, whatever else there is.
    #[test]
    fn deny_always_wins(
        identity in prop::collection::vec(statement(), 0..4),
        bucket in prop::collection::vec(bucket_statement(), 0..4),
        place in any::<prop::sample::Index>(),
    ) {
        let mut bucket = bucket;
        let deny = r#""Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*""#;
        bucket.insert(place.index(bucket.len() + 1), deny.to_owned());
        for effect in decisions(&identity, &bucket, None) {
            prop_assert_eq!(effect, Effect::ExplicitDeny);
        }
    }

    /// No Deny ever allows what was not, and no Allow ever takes away.
    #[test]
    fn more_statements_only_do_what_they_say(
        identity in prop::collection::vec(statement(), 0..4),
        bucket in prop::collection::vec(bucket_statement(), 0..4),
        added in bucket_statement(),
        added_to_identity in statement(),
    ) {
        let before = decisions(&identity, &bucket, None);
        let mut more = bucket.clone();
        more.push(added.clone());
        let of_bucket = decisions(&identity, &more, None);
        let mut more = identity.clone();
        more.push(added_to_identity.clone());
        let of_identity = decisions(&more, &bucket, None);
        for (statement, after) in [(added, of_bucket), (added_to_identity, of_identity)] {
            let denies = statement.contains("Deny");
            for (before, after) in before.iter().zip(after) {
                let (before, after) = (*before == Effect::Allow, after == Effect::Allow);
                let as_said = if denies { before || !after } else { after || !before };
                prop_assert!(as_said, "{statement}");
            }
        }
    }

    /// The order of statements and policies does not matter.
    #[test]
    fn order_does_not_matter(
        identity in prop::collection::vec(statement(), 0..5),
        bucket in prop::collection::vec(bucket_statement(), 0..5),
        (mixed_identity, mixed_bucket) in (Just(()), Just(())).prop_perturb(|_, mut rng| {
            (rng.random::<u64>(), rng.random::<u64>())
        }),
    ) {
        let mixed = |items: &[String], seed: u64| {
            let mut items = items.to_vec();
            items.sort_by_key(|item| {
                item.bytes().fold(seed | 1, |hash, byte| hash.wrapping_mul(0x100_0000_01b3) ^ u64::from(byte))
            });
            items
        };
        let before = decisions(&identity, &bucket, None);
        let after = decisions(&mixed(&identity, mixed_identity), &mixed(&bucket, mixed_bucket), None);
        prop_assert_eq!(before, after);
    }

    /// A session policy only limits.
    #[test]
    fn sessions_only_limit(
        identity in prop::collection::vec(statement(), 0..4),
        bucket in prop::collection::vec(bucket_statement(), 0..4),
        session in prop::collection::vec(statement(), 1..4),
    ) {
        let before = decisions(&identity, &bucket, None);
        // Services and anonymous callers have no session, but may not gain by one either.
        for (before, after) in before.iter().zip(decisions(&identity, &bucket, Some(&session))) {
            prop_assert!(*before == Effect::Allow || after != Effect::Allow);
        }
    }

    /// Any bytes are read or refused; what is read is kept to the byte.
    #[test]
    fn any_bytes_are_read_or_refused(
        statements in prop::collection::vec(bucket_statement(), 1..4),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut text = policy(&statements, BUCKET).text().as_bytes().to_vec();
        let place = place.index(text.len());
        text[place] = byte;
        if let Ok(policy) = Policy::parse(&text, BUCKET) {
            prop_assert_eq!(policy.text().as_bytes(), &text[..]);
        }
    }
}
