//! Trust policies of roles: what may stand in one, and whom it lets assume the role.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should fail there"
)]

use std::sync::Arc;

use oncilla_iam::policy::{
    Caller, CallerKind, ContextTable, Identity, Policies, Policy, PolicyKind, Request,
    ResourceSide, evaluate_trust,
};

const ROLE: &str = "arn:aws:iam::own:role/reader";

fn trust(principal: &str, effect: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"{effect}","Action":"sts:AssumeRole","Principal":{principal}}}}}"#
    )
}

fn identity_policy(effect: &str) -> Arc<Policy> {
    let text = format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"{effect}","Action":"sts:*","Resource":"*"}}}}"#
    );
    Arc::new(Policy::parse(text.as_bytes(), PolicyKind::Identity).unwrap())
}

#[test]
fn a_trust_policy_has_principals_and_no_resource() {
    let parse = |text: &str| Policy::parse(text.as_bytes(), PolicyKind::Trust).is_ok();
    assert!(parse(&trust(r#"{"AWS":"*"}"#, "Allow")));
    assert!(parse(&trust(
        r#"{"Federated":"accounts.example.com"}"#,
        "Allow"
    )));
    let good = trust(r#"{"AWS":"*"}"#, "Allow");
    for bad in [
        trust(r#"{"AWS":"*"}"#, "Maybe"),
        trust(r#"{"AWS":"arn:aws:s3:::photos"}"#, "Allow"),
        good.replace(r#","Principal":{"AWS":"*"}"#, ""),
        good.replace(r#""Effect""#, r#""Resource":"*","Effect""#),
        good.replace(r#""Effect""#, r#""NotResource":"x","Effect""#),
        good.replace(r#""Principal""#, r#""NotPrincipal""#),
        good.replace("sts:AssumeRole", "AssumeRole"),
    ] {
        assert!(!parse(&bad), "{bad}");
    }
    let long = trust(
        &format!(r#"{{"AWS":[{}"*"]}}"#, r#""*","#.repeat(2_000)),
        "Allow",
    );
    assert!(!parse(&long));
}

#[test]
fn who_may_assume_a_role() {
    // trust policy, effect of the caller's own policy, then: own user, other account's user,
    // own root, other account's root
    let user = r#"{"AWS":["arn:aws:iam::own:user/ada","arn:aws:iam::other:user/ada"]}"#;
    let account = r#"{"AWS":["arn:aws:iam::own:root","arn:aws:iam::other:root"]}"#;
    let nobody = r#"{"AWS":"arn:aws:iam::own:user/bob"}"#;
    for (principal, own, expected) in [
        (user, None, [true, false, false, false]),
        (user, Some("Allow"), [true, true, false, false]),
        (user, Some("Deny"), [false, false, false, false]),
        (account, None, [false, false, true, true]),
        (account, Some("Allow"), [true, true, true, true]),
        (account, Some("Deny"), [false, false, false, false]),
        (nobody, Some("Allow"), [false, false, false, false]),
        (r#"{"AWS":"*"}"#, None, [true, false, true, true]),
        (r#"{"AWS":"*"}"#, Some("Allow"), [true, true, true, true]),
    ] {
        let text = trust(principal, "Allow");
        let policy = Policy::parse(text.as_bytes(), PolicyKind::Trust).unwrap();
        let identity: Vec<Arc<Policy>> = own.map(identity_policy).into_iter().collect();
        let callers = [
            ("own", CallerKind::User, "arn:aws:iam::own:user/ada"),
            ("other", CallerKind::User, "arn:aws:iam::other:user/ada"),
            ("own", CallerKind::AccountRoot, "arn:aws:iam::own:root"),
            ("other", CallerKind::AccountRoot, "arn:aws:iam::other:root"),
        ];
        for ((account, kind, arn), expected) in callers.into_iter().zip(expected) {
            let caller = Caller::Identity(Identity {
                kind,
                account,
                tags: &[],
                canonical_user: account,
                arn,
                role_arn: None,
                user_name: None,
                user_id: "id",
            });
            let request = Request {
                caller: &caller,
                action: "sts:AssumeRole",
                resource: ROLE,
                context: &ContextTable::new(),
            };
            let resource = ResourceSide {
                owner: Some("own"),
                bucket_policy: Some(&policy),
                ..ResourceSide::default()
            };
            let policies = Policies {
                identity: &identity,
                session: None,
                resource,
            };
            let found = evaluate_trust(&request, &policies).is_allowed();
            assert_eq!(found, expected, "{principal} {own:?} {arn}");
            // A session that may do nothing may not do this either.
            let limited = Policies {
                session: Some(&[]),
                ..policies
            };
            assert!(!evaluate_trust(&request, &limited).is_allowed(), "{arn}");
        }
    }
}
