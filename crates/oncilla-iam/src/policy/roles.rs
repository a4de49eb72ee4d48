//! Roles as policies.
//!
//! A key is granted roles ([`Grant`]); a policy says the same in more words. So that there is one
//! evaluator, what a key was granted becomes a policy of its identity, compiled when the key is
//! loaded. The plan, in the order in which it can be done:
//!
//! 1. [`policy_of_grants`] says what grants mean. A test holds it against
//!    [`authorize`](crate::authorize): every role, pattern, action and owner.
//! 2. [`KeyPrincipal`](crate::KeyPrincipal) carries that policy, compiled where the door loads a
//!    key, beside those attached to the key; its grants stay for `ListBuckets`, whose answer holds
//!    what they cover.
//! 3. [`authorize`](crate::authorize) keeps its place as the one door that the server calls, and
//!    becomes the mapping from principal and bucket to [`evaluate`](fn@super::evaluate): a key is a
//!    [`User`](super::CallerKind::User) named by its id, a key with Admin on `*` is the
//!    [`AccountRoot`](super::CallerKind::AccountRoot) (it can do what nothing denies, and undo a
//!    bucket policy that shuts it out), `public_read` becomes an
//!    [`AclGrant`](super::AclGrant). The reasons of a denial come from
//!    [`Reason`](super::Reason).
//! 4. The server asks for each of the [`requirements`](fn@super::requirements) of an operation.
//!
//! What changes for keys: a bucket policy can add to their roles and take away from them, and they
//! reach buckets of other accounts whose owner lets them.

use serde_json::{Value, json};

use super::arn::S3_ARN_PREFIX;
use super::{Policy, PolicyError, PolicyKind, parse};
use crate::grant::{BucketPattern, Grant};
use crate::role::{ACTIONS, Role, allows};

/// What a key may do that was granted nothing: list the buckets, of which it is shown none.
fn everyones() -> Value {
    json!({
        "Sid": "EveryKey",
        "Effect": "Allow",
        "Action": "s3:ListAllMyBuckets",
        "Resource": "*",
    })
}

/// The policy that says what grants say.
///
/// # Errors
/// When a bucket's name cannot stand in a policy, which [the rules for grants](crate::Grant) rule
/// out.
pub fn policy_of_grants(grants: &[Grant]) -> Result<Policy, PolicyError> {
    let mut statements = vec![everyones()];
    for role in Role::ALL {
        let of_role = || grants.iter().filter(|grant| grant.role == role);
        if of_role().any(|grant| grant.bucket == BucketPattern::Any) {
            let resources = vec!["*".to_owned()];
            statements.push(statement(role, true, &resources));
        }
        let mut resources = Vec::new();
        for grant in of_role() {
            if let BucketPattern::Exact(name) = &grant.bucket {
                resources.push(format!("{S3_ARN_PREFIX}{name}"));
                resources.push(format!("{S3_ARN_PREFIX}{name}/*"));
            }
        }
        if !resources.is_empty() {
            statements.push(statement(role, false, &resources));
        }
    }
    let document = json!({"Version": "2012-10-17", "Statement": statements});
    // A hundred grants make it longer than a user's policy may be.
    parse::read(document.to_string().as_bytes(), PolicyKind::Identity)
}

/// What a role permits. Making a bucket takes a grant on all of them: a grant on one is for a
/// bucket that is there.
fn statement(role: Role, on_everything: bool, resources: &[String]) -> Value {
    const CREATE: &str = "s3:CreateBucket";
    let extent = if on_everything { "All" } else { "Some" };
    let mut statement = json!({
        "Sid": format!("{role:?}Of{extent}"),
        "Effect": "Allow",
        "Resource": resources,
    });
    let named = || {
        let granted = |name: &&str| allows(role, name) && (on_everything || *name != CREATE);
        let names = ACTIONS.iter().map(|(name, _)| *name);
        names.filter(granted).collect::<Value>()
    };
    let (field, actions) = match role {
        // An Admin may do what this version does not know.
        Role::Admin if on_everything => ("Action", json!("*")),
        Role::Admin => ("NotAction", json!(CREATE)),
        Role::Editor | Role::ReadOnly => ("Action", named()),
    };
    statement[field] = actions;
    statement
}

#[cfg(test)]
mod tests {
    use super::super::evaluate::{
        AclGrant, Caller, CallerKind, Identity, Policies, Request, ResourceSide, evaluate,
    };
    use super::super::key::ContextTable;
    use super::*;
    use crate::role::ActionClass;
    use crate::validate::GRANTS_PER_KEY_MAX;
    use crate::{KeyPrincipal, Principal, authorize};

    const OWN: &str = "own-account";

    /// What [`authorize`] decides, and what the evaluator does with the policy of the grants.
    fn both(
        grants: &[Grant],
        policy: &Policy,
        action: &str,
        owner: &str,
        public_read: bool,
    ) -> (bool, bool) {
        let principal = Principal::Key(KeyPrincipal {
            account: OWN.into(),
            key_id: "tid_a".into(),
            grants: grants.into(),
        });
        let class = ACTIONS.iter().find(|(name, _)| *name == action);
        let class = class.map(|(_, class)| *class);
        let is_service = class == Some(ActionClass::ListOwnBuckets);
        let creates = class == Some(ActionClass::CreateBucket);
        let owner = (!is_service && !creates).then_some(owner);
        let before = authorize(
            &principal,
            &crate::Request {
                action,
                bucket: (!is_service).then_some("photos"),
                bucket_owner: owner,
                public_read,
                key: None,
            },
        );
        let caller = Caller::Identity(Identity {
            kind: CallerKind::User,
            account: OWN,
            canonical_user: OWN,
            arn: "arn:aws:iam::own-account:user/tid_a",
            role_arn: None,
            user_name: Some("tid_a"),
            user_id: "tid_a",
        });
        let opened = public_read && class == Some(ActionClass::PublicRead);
        let request = Request {
            caller: &caller,
            action,
            resource: if is_service {
                "arn:aws:s3:::*"
            } else {
                "arn:aws:s3:::photos"
            },
            context: &ContextTable::new(),
        };
        let policies = Policies {
            identity: &[policy],
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
        (before.is_ok(), evaluate(&request, &policies).is_allowed())
    }

    #[test]
    fn the_policy_of_grants_means_what_the_grants_mean() {
        let mut sets: Vec<Vec<Grant>> = vec![Vec::new()];
        for role in Role::ALL {
            for pattern in ["photos", "photo", "photos2", "*"] {
                sets.push(vec![Grant::new(pattern, role)]);
                for other in Role::ALL {
                    sets.push(vec![Grant::new(pattern, role), Grant::new("*", other)]);
                    sets.push(vec![Grant::new(pattern, role), Grant::new("photos", other)]);
                }
            }
        }
        let unknown = ["s3:Unheard", "iam:CreateAccessKey"];
        let actions = ACTIONS.iter().map(|(name, _)| *name).chain(unknown);
        let mut decisions = 0;
        for grants in &sets {
            let policy = policy_of_grants(grants).unwrap();
            for action in actions.clone() {
                for (owner, public_read) in [(OWN, false), (OWN, true), ("other", false)] {
                    let (before, after) = both(grants, &policy, action, owner, public_read);
                    assert_eq!(before, after, "{grants:?} {action} {owner} {public_read}");
                    decisions += 1;
                }
            }
        }
        assert_eq!(decisions, 85 * (ACTIONS.len() + 2) * 3);
    }

    /// The one difference: across accounts a public read takes permission from the sender's own
    /// account too, where a key without any grant had none to pass on before.
    #[test]
    fn public_reads_of_others_need_a_grant() {
        for (grants, expected) in [
            (vec![], (true, false)),
            (vec![Grant::new("*", Role::ReadOnly)], (true, true)),
        ] {
            let policy = policy_of_grants(&grants).unwrap();
            let found = both(&grants, &policy, "s3:ListBucket", "other", true);
            assert_eq!(found, expected, "{grants:?}");
        }
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
