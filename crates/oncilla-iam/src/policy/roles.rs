//! Roles as policies.
//!
//! A key is granted roles ([`Grant`]); a policy says the same in more words. So that there is one
//! evaluator, what a key was granted becomes a policy of its identity, compiled when the key is
//! loaded. A bucket policy can add to a key's roles and take away from them, and keys reach
//! buckets of other accounts whose owner lets them.

use std::sync::{Arc, LazyLock};

use super::arn::{ArnPattern, S3_ARN_PREFIX};
use super::error::quoted;
use super::principal::Principals;
use super::statement::{Actions, Resources, Statement};
use super::{Policy, PolicyError, template};
use crate::grant::{BucketPattern, Grant};
use crate::role::{ACTIONS, Role, allows};

const CREATE_BUCKET: &str = "s3:CreateBucket";

/// What a key may do that was granted nothing: list the buckets, of which it is shown none.
const EVERY_KEYS: &str = "s3:ListAllMyBuckets";

/// The policy that says what grants say. It has no text.
///
/// # Errors
/// When a bucket's name cannot stand in a policy, which [the rules for grants](crate::Grant) rule
/// out.
pub fn policy_of_grants(grants: &[Grant]) -> Result<Policy, PolicyError> {
    let everyones = Actions::new(&[EVERY_KEYS.to_owned()], false);
    let mut statements = vec![statement("EveryKey", everyones, vec![pattern("*")?])];
    for role in Role::ALL {
        let of_role = || grants.iter().filter(|grant| grant.role == role);
        if of_role().any(|grant| grant.bucket == BucketPattern::Any) {
            let sid = sid_of(role, true);
            statements.push(statement(sid, actions(role, true), vec![pattern("*")?]));
        }
        let mut resources = Vec::new();
        for grant in of_role() {
            if let BucketPattern::Exact(name) = &grant.bucket {
                resources.push(pattern(&format!("{S3_ARN_PREFIX}{name}"))?);
                resources.push(pattern(&format!("{S3_ARN_PREFIX}{name}/*"))?);
            }
        }
        if !resources.is_empty() {
            statements.push(statement(
                sid_of(role, false),
                actions(role, false),
                resources,
            ));
        }
    }
    Ok(Policy::new("".into(), statements))
}

fn pattern(text: &str) -> Result<ArnPattern, PolicyError> {
    let pieces = template::parse(text, false);
    pieces
        .and_then(ArnPattern::new)
        .ok_or_else(|| PolicyError::Resource(quoted(text)))
}

fn statement(sid: &str, actions: Actions, patterns: Vec<ArnPattern>) -> Statement {
    Statement {
        sid: Some(sid.into()),
        allows: true,
        principals: Principals::Attached,
        actions,
        resources: Resources {
            patterns,
            negated: false,
        },
        conditions: Vec::new(),
    }
}

/// What decisions call the statement of a role.
fn sid_of(role: Role, on_everything: bool) -> &'static str {
    match (role, on_everything) {
        (Role::Admin, true) => "AdminOfAll",
        (Role::Admin, false) => "AdminOfSome",
        (Role::Editor, true) => "EditorOfAll",
        (Role::Editor, false) => "EditorOfSome",
        (Role::ReadOnly, true) => "ReadOnlyOfAll",
        (Role::ReadOnly, false) => "ReadOnlyOfSome",
    }
}

/// What a role permits. Making a bucket takes a grant on all of them: a grant on one is for a
/// bucket that is there.
fn actions(role: Role, on_everything: bool) -> Actions {
    static EDITOR_OF_ALL: LazyLock<Arc<[Box<str>]>> = LazyLock::new(|| names(Role::Editor, true));
    static EDITOR_OF_SOME: LazyLock<Arc<[Box<str>]>> = LazyLock::new(|| names(Role::Editor, false));
    static READ_ONLY: LazyLock<Arc<[Box<str>]>> = LazyLock::new(|| names(Role::ReadOnly, false));
    match (role, on_everything) {
        // An Admin may do what this version does not know.
        (Role::Admin, true) => Actions::new(&["*".to_owned()], false),
        (Role::Admin, false) => Actions::new(&[CREATE_BUCKET.to_owned()], true),
        (Role::Editor, true) => Actions::of_names(EDITOR_OF_ALL.clone()),
        (Role::Editor, false) => Actions::of_names(EDITOR_OF_SOME.clone()),
        (Role::ReadOnly, _) => Actions::of_names(READ_ONLY.clone()),
    }
}

fn names(role: Role, on_everything: bool) -> Arc<[Box<str>]> {
    let granted = |name: &&str| allows(role, name) && (on_everything || *name != CREATE_BUCKET);
    let names = ACTIONS.iter().map(|(name, _)| *name).filter(granted);
    let mut names: Vec<Box<str>> = names.map(|name| name.to_ascii_lowercase().into()).collect();
    names.sort_unstable();
    names.into()
}

#[cfg(test)]
mod tests {
    use super::super::evaluate::{
        AclGrant, Caller, CallerKind, Effect, Identity, Policies, Request, ResourceSide, evaluate,
    };
    use super::super::key::ContextTable;
    use super::*;
    use crate::role::ActionClass;
    use crate::validate::GRANTS_PER_KEY_MAX;

    const OWN: &str = "own-account";
    const BUCKET: &str = "photos";

    fn decide(policy: &Arc<Policy>, action: &str, owner: Option<&str>, opened: bool) -> bool {
        let caller = Caller::Identity(Identity {
            kind: CallerKind::User,
            account: OWN,
            tags: &[],
            canonical_user: OWN,
            arn: "arn:aws:iam::own-account:user/tid_a",
            role_arn: None,
            user_name: Some("tid_a"),
            user_id: "tid_a",
        });
        let request = Request {
            caller: &caller,
            action,
            resource: "arn:aws:s3:::photos",
            context: &ContextTable::new(),
        };
        let policies = Policies {
            identity: std::slice::from_ref(policy),
            session: None,
            resource: ResourceSide {
                owner,
                acl: if opened {
                    AclGrant::Everyone
                } else {
                    AclGrant::None
                },
                ..ResourceSide::default()
            },
        };
        let effect = evaluate(&request, &policies).effect;
        assert_ne!(effect, Effect::ExplicitDeny, "roles deny nothing");
        effect == Effect::Allow
    }

    /// What grants mean, said another way round: a grant must cover the bucket, and its role
    /// permit the action. Creating a bucket takes a grant on everything, listing the
    /// buckets none at all, and a bucket of another account is out of reach.
    fn expected(grants: &[Grant], action: &str, owner: &str, opened: bool) -> bool {
        let class = ACTIONS.iter().find(|(name, _)| *name == action);
        match class.map(|(_, class)| *class) {
            Some(ActionClass::ListOwnBuckets) => return true,
            Some(ActionClass::CreateBucket) => {
                return grants
                    .iter()
                    .any(|grant| grant.bucket == BucketPattern::Any && allows(grant.role, action));
            }
            _ => {}
        }
        let permits = |grant: &Grant| grant.bucket.covers(BUCKET) && allows(grant.role, action);
        let permitted = grants.iter().any(permits);
        match owner == OWN {
            true => permitted || opened,
            // Across accounts both sides have to allow it.
            false => permitted && opened,
        }
    }

    #[test]
    fn the_policy_of_grants_means_what_the_grants_mean() {
        let mut sets: Vec<Vec<Grant>> = vec![Vec::new()];
        for role in Role::ALL {
            for pattern in [BUCKET, "photo", "photos2", "*"] {
                sets.push(vec![Grant::new(pattern, role)]);
                for other in Role::ALL {
                    sets.push(vec![Grant::new(pattern, role), Grant::new("*", other)]);
                    sets.push(vec![Grant::new(pattern, role), Grant::new(BUCKET, other)]);
                }
            }
        }
        let unknown = ["s3:Unheard", "iam:CreateAccessKey"];
        let actions = ACTIONS.iter().map(|(name, _)| *name).chain(unknown);
        let mut decisions = 0;
        for grants in &sets {
            let policy = Arc::new(policy_of_grants(grants).unwrap());
            for action in actions.clone() {
                let class = ACTIONS.iter().find(|(name, _)| *name == action);
                let has_no_bucket = class.is_some_and(|(_, class)| {
                    matches!(
                        class,
                        ActionClass::ListOwnBuckets | ActionClass::CreateBucket
                    )
                });
                for owner in [OWN, "other"] {
                    for opened in [false, true] {
                        let side = (!has_no_bucket).then_some(owner);
                        let opened = opened && !has_no_bucket;
                        let found = decide(&policy, action, side, opened);
                        let wanted = expected(grants, action, owner, opened);
                        assert_eq!(found, wanted, "{grants:?} {action} {owner} {opened}");
                        decisions += 1;
                    }
                }
            }
        }
        assert_eq!(decisions, 85 * (ACTIONS.len() + 2) * 4);
    }

    #[test]
    fn as_many_grants_as_a_key_can_have_fit() {
        let name = |number: usize| format!("{}{number:03}", "b".repeat(60));
        let grants: Vec<Grant> = (0..GRANTS_PER_KEY_MAX)
            .map(|number| Grant::new(name(number).as_str(), Role::ALL[number % 3]))
            .collect();
        assert!(policy_of_grants(&grants).is_ok());
    }
}
