//! The decision.
//! Source: IAM user guide, "Policy evaluation logic"; S3 user guide, "How Amazon S3 authorizes a
//! request".

use std::borrow::Cow;
use std::sync::Arc;

use super::Policy;
use super::key::{ConditionKey, Context, ContextValue, KnownKey};
use super::principal::Coverage;
use super::statement::Statement;
use crate::rows::entity::Tag;

/// Who asks, as policies see it.
#[derive(Clone, Copy, Debug)]
pub enum Caller<'a> {
    /// A request without a signature.
    Anonymous,
    /// A request that was signed.
    Identity(Identity<'a>),
    /// A part of the server that acts for a bucket, such as `logging.s3.amazonaws.com`.
    Service(&'a str),
}

/// Who signed.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// What kind of identity it is.
    pub kind: CallerKind,
    /// Id of the account, as in ARNs.
    pub account: &'a str,
    /// Canonical user id of the account.
    pub canonical_user: &'a str,
    /// ARN of the user, the account's root, or the session (`arn:aws:sts::…:assumed-role/…`).
    pub arn: &'a str,
    /// ARN of the role that a session is of.
    pub role_arn: Option<&'a str>,
    /// `aws:username`; only users have one.
    pub user_name: Option<&'a str>,
    /// `aws:userid`; of a session `role-id:session-name`.
    pub user_id: &'a str,
    /// `aws:PrincipalTag/<key>`: the tags of the user, or of the role that a session is of.
    pub tags: &'a [Tag],
}

/// The kinds of identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerKind {
    /// The account itself, which may do everything that nothing denies.
    AccountRoot,
    /// A user.
    User,
    /// A session of a role.
    AssumedRole,
}

/// What is asked.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Who asks.
    pub caller: &'a Caller<'a>,
    /// The action, such as `s3:GetObject`, in any case.
    pub action: &'a str,
    /// ARN of the bucket, of the object, or `arn:aws:s3:::*` where there is neither.
    pub resource: &'a str,
    /// The rest.
    pub context: &'a dyn Context,
}

/// Every policy that applies to a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Policies<'p> {
    /// Those of the caller: its own, its groups', what its key was granted.
    pub identity: &'p [Arc<Policy>],
    /// Those that limit its session; `None` if none was given with it.
    pub session: Option<&'p [Arc<Policy>]>,
    /// What the bucket's side says.
    pub resource: ResourceSide<'p>,
}

/// What the bucket's side says.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResourceSide<'p> {
    /// Id of the account that owns the bucket. `None` where there is none (yet), as for
    /// `s3:CreateBucket`: then only the caller's side decides.
    pub owner: Option<&'p str>,
    /// Whose the object is that the request is about.
    pub object_owner: ObjectOwner<'p>,
    /// The bucket's policy.
    pub bucket_policy: Option<&'p Policy>,
    /// The bucket was made with objects that everybody may read: as if its policy said so too, of
    /// `s3:GetObject` and nothing else.
    pub public_objects: bool,
    /// What the ACL of bucket or object allows of the action.
    pub acl: AclGrant,
    /// `RestrictPublicBuckets`: while the policy is public, only the owner's account and services
    /// have access.
    pub restrict_public_buckets: bool,
    /// The policy was stored with `x-amz-confirm-remove-self-bucket-access`: it can keep even the
    /// root of the owner from changing it.
    pub locks_out_owner: bool,
}

/// Whose an object is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ObjectOwner<'p> {
    /// Of the account that owns the bucket; also where the request is about no object, or the
    /// action is the bucket owner's to allow whosever the object is.
    #[default]
    Bucket,
    /// Of another account, which has to allow the action in the place of the bucket's owner. What
    /// the bucket denies stays denied.
    Account(&'p str),
    /// Of the sender: the request itself makes it, and the action is a part of that.
    Sender,
}

/// What an ACL allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AclGrant {
    /// Nothing.
    #[default]
    None,
    /// The action, to the caller's account, which has to pass it on.
    Account,
    /// The action, to the group that the caller is in as anybody, or as anybody with an account.
    Everyone,
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Something allows it and nothing denies it.
    Allow,
    /// Nothing allows it, or not enough.
    ImplicitDeny,
    /// A statement denies it.
    ExplicitDeny,
}

/// The answer and why: for logs, and for simulations.
#[derive(Clone, Copy, Debug)]
pub struct Decision<'p> {
    /// The answer.
    pub effect: Effect,
    /// Why.
    pub reason: Reason,
    /// The statement that decided: the first that denies, or else one that allows.
    pub statement: Option<StatementRef<'p>>,
}

impl Decision<'_> {
    /// Whether the request may proceed.
    pub fn is_allowed(&self) -> bool {
        self.effect == Effect::Allow
    }
}

/// Why a decision is what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A statement denies it.
    Denied,
    /// The account's root, in what is its own.
    OwnerRoot,
    /// A policy of the caller allows it (across accounts: and the bucket's side too).
    IdentityPolicy,
    /// The bucket's policy allows it.
    BucketPolicy,
    /// The objects of the bucket are public.
    PublicObjects,
    /// An ACL allows it.
    Acl,
    /// It is the sender's own new object.
    OwnNewObject,
    /// Nothing allows it.
    NothingAllows,
    /// The caller's account lets it, but the bucket is another account's, which does not.
    NotSharedByOwner,
    /// The owner of the bucket lets the caller's account, which does not let the caller.
    NotPassedOnByAccount,
    /// The policy of the session does not include it.
    SessionPolicy,
    /// `RestrictPublicBuckets` shuts others out.
    RestrictPublicBuckets,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Denied => "a statement denies it",
            Self::OwnerRoot => "the root of the owning account",
            Self::IdentityPolicy => "a policy of the caller allows it",
            Self::BucketPolicy => "the bucket policy allows it",
            Self::PublicObjects => "the objects of the bucket are public",
            Self::Acl => "an access control list allows it",
            Self::OwnNewObject => "the sender makes the object",
            Self::NothingAllows => "no policy allows it",
            Self::NotSharedByOwner => {
                "the bucket belongs to another account, which does not allow it"
            }
            Self::NotPassedOnByAccount => "no policy of the caller allows it",
            Self::SessionPolicy => "the session policy does not allow it",
            Self::RestrictPublicBuckets => "public access to the bucket is restricted",
        })
    }
}

/// Where a statement stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatementRef<'p> {
    /// The kind of policy.
    pub source: PolicySource,
    /// Which of the policies of that kind, from 0.
    pub policy: usize,
    /// Which statement of the policy, from 0.
    pub statement: usize,
    /// The statement's id.
    pub sid: Option<&'p str>,
}

/// The kinds of policies that decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PolicySource {
    /// Of the caller.
    Identity,
    /// Of its session.
    Session,
    /// Of the bucket.
    Bucket,
}

/// Actions by which the root of the owner can always get a bucket back that its policy has shut.
/// Source: S3 API reference, PutBucketPolicy.
const OWNER_KEEPS: [&str; 3] = [
    "s3:deletebucketpolicy",
    "s3:getbucketpolicy",
    "s3:putbucketpolicy",
];

/// What [`public_objects`](ResourceSide::public_objects) opens.
const PUBLIC_OBJECTS_ACTION: &str = "s3:getobject";

/// Decides.
///
/// 1. A statement that denies, in any of the policies, decides at once.
/// 2. The caller's side allows it if a policy of the caller does (the root of an account needs
///    none) and its session policy, if it has one, does not leave it out.
/// 3. The bucket's side allows it by its policy or an ACL: either to the caller (or to everybody),
///    or to the caller's account.
/// 4. Within the account that owns the bucket, the caller's side is enough, and so is permission
///    that the bucket gives to the caller. Across accounts both sides have to allow it.
///    Anonymous callers and services have the bucket's side only.
///
/// An object can have another owner than its bucket. Then the owner of the object takes the place of
/// the bucket's in 3 and 4, but for what a bucket policy denies: what it allows does not reach such an
/// object, only the object's ACL opens it. Source: S3 user guide, "How Amazon S3 authorizes a request
/// for an object operation".
pub fn evaluate<'p>(request: &Request<'_>, policies: &Policies<'p>) -> Decision<'p> {
    let mut buffer = [0; ACTION_BYTES_USUAL];
    let action = lower_case(request.action, &mut buffer);
    let scene = Scene {
        request,
        owner: policies.resource.owner,
    };
    let judge = Judge {
        action: &action,
        scene: &scene,
        policies,
    };
    judge.decide()
}

/// Decides whether a role may be assumed: `policies.resource` holds its trust policy in place of a
/// bucket's, and its account as owner.
///
/// It differs from [`evaluate`](fn@evaluate) in that the trust policy always has to allow it, also
/// within one account. There it is enough if it names the caller itself; if it names the account,
/// the caller's own policies have to allow it too. Across accounts they always have to.
/// Source: IAM user guide, "Granting a user permissions to switch roles"; STS API reference,
/// AssumeRole.
pub fn evaluate_trust<'p>(request: &Request<'_>, policies: &Policies<'p>) -> Decision<'p> {
    let mut buffer = [0; ACTION_BYTES_USUAL];
    let action = lower_case(request.action, &mut buffer);
    let scene = Scene {
        request,
        owner: policies.resource.owner,
    };
    let judge = Judge {
        action: &action,
        scene: &scene,
        policies,
    };
    judge.decide_trust()
}

/// Room for the name of any action of S3.
const ACTION_BYTES_USUAL: usize = 64;

/// The name in lower case, without memory of its own if it is as long as names are.
fn lower_case<'b>(action: &str, buffer: &'b mut [u8; ACTION_BYTES_USUAL]) -> Cow<'b, str> {
    let Some(place) = buffer.get_mut(..action.len()) else {
        return Cow::Owned(action.to_ascii_lowercase());
    };
    place.copy_from_slice(action.as_bytes());
    place.make_ascii_lowercase();
    match std::str::from_utf8(place) {
        Ok(lower) => Cow::Borrowed(lower),
        Err(_) => Cow::Owned(action.to_ascii_lowercase()),
    }
}

struct Judge<'a, 'p> {
    action: &'a str,
    scene: &'a Scene<'a>,
    policies: &'a Policies<'p>,
}

/// What the bucket's side allows.
#[derive(Clone, Copy)]
struct Shared<'p> {
    coverage: Coverage,
    reason: Reason,
    statement: Option<StatementRef<'p>>,
}

impl<'p> Judge<'_, 'p> {
    fn decide(&self) -> Decision<'p> {
        if let Some(statement) = self.denying() {
            return Decision {
                effect: Effect::ExplicitDeny,
                reason: Reason::Denied,
                statement: Some(statement),
            };
        }
        let resource = &self.policies.resource;
        let identity = match self.scene.request.caller {
            Caller::Identity(identity) => identity,
            Caller::Service(_) => return decision_of(self.shared()),
            Caller::Anonymous if self.is_restricted() => {
                return denied(Reason::RestrictPublicBuckets);
            }
            Caller::Anonymous => return decision_of(self.shared()),
        };
        let is_root = identity.kind == CallerKind::AccountRoot;
        let own = self.first(PolicySource::Identity, self.policies.identity, true);
        let has_permission = is_root || own.is_some();
        let in_session = match self.policies.session {
            None => true,
            Some(policies) => self.first(PolicySource::Session, policies, true).is_some(),
        };
        let own_decision = || Decision {
            effect: Effect::Allow,
            reason: if is_root {
                Reason::OwnerRoot
            } else {
                Reason::IdentityPolicy
            },
            statement: own,
        };
        let is_own = match resource.object_owner {
            ObjectOwner::Bucket => resource.owner.is_none_or(|owner| owner == identity.account),
            ObjectOwner::Account(owner) => owner == identity.account,
            ObjectOwner::Sender => true,
        };
        if is_own && has_permission && in_session {
            return own_decision();
        }
        // What is given to this very session is not limited by its policy; all else is.
        let shared = self.shared();
        let shared = shared.filter(|shared| in_session || shared.coverage == Coverage::Session);
        if is_own {
            return match shared {
                Some(shared) if shared.coverage > Coverage::Account => allowed(shared),
                _ if has_permission => denied(Reason::SessionPolicy),
                Some(_) => denied(Reason::NotPassedOnByAccount),
                None => denied(Reason::NothingAllows),
            };
        }
        if self.is_restricted() {
            return denied(Reason::RestrictPublicBuckets);
        }
        match shared {
            Some(shared) if has_permission && in_session => allowed(shared),
            Some(_) if has_permission => denied(Reason::SessionPolicy),
            Some(_) => denied(Reason::NotPassedOnByAccount),
            None if has_permission && in_session => denied(Reason::NotSharedByOwner),
            None => denied(Reason::NothingAllows),
        }
    }

    fn decide_trust(&self) -> Decision<'p> {
        if let Some(statement) = self.denying() {
            return Decision {
                effect: Effect::ExplicitDeny,
                reason: Reason::Denied,
                statement: Some(statement),
            };
        }
        let Some(shared) = self.shared() else {
            return denied(Reason::NothingAllows);
        };
        let Caller::Identity(identity) = self.scene.request.caller else {
            return allowed(shared);
        };
        let in_session = match self.policies.session {
            None => true,
            Some(policies) => self.first(PolicySource::Session, policies, true).is_some(),
        };
        if !in_session && shared.coverage != Coverage::Session {
            return denied(Reason::SessionPolicy);
        }
        let is_own = self.policies.resource.owner == Some(identity.account);
        if is_own && shared.coverage > Coverage::Account {
            return allowed(shared);
        }
        let is_root = identity.kind == CallerKind::AccountRoot;
        let own = self.first(PolicySource::Identity, self.policies.identity, true);
        if is_root || own.is_some() {
            return allowed(shared);
        }
        denied(Reason::NotPassedOnByAccount)
    }

    /// The first statement that denies.
    fn denying(&self) -> Option<StatementRef<'p>> {
        let session = self.policies.session.unwrap_or_default();
        self.first(PolicySource::Identity, self.policies.identity, false)
            .or_else(|| self.first(PolicySource::Session, session, false))
            .or_else(|| {
                if self.keeps_access() {
                    return None;
                }
                let policy = self.policies.resource.bucket_policy?;
                let found = self.strongest(policy, false)?;
                Some(found.1)
            })
    }

    /// Whether the caller may get at the bucket's policy whatever that says.
    fn keeps_access(&self) -> bool {
        let resource = &self.policies.resource;
        let Caller::Identity(identity) = self.scene.request.caller else {
            return false;
        };
        identity.kind == CallerKind::AccountRoot
            && resource.owner == Some(identity.account)
            && !resource.locks_out_owner
            && OWNER_KEEPS.contains(&self.action)
    }

    fn is_restricted(&self) -> bool {
        let resource = &self.policies.resource;
        resource.restrict_public_buckets
            && (resource.public_objects || resource.bucket_policy.is_some_and(Policy::is_public))
    }

    /// What the bucket's side allows, the most direct permission first.
    fn shared(&self) -> Option<Shared<'p>> {
        let resource = &self.policies.resource;
        let of_bucket = resource.object_owner == ObjectOwner::Bucket;
        let bucket_policy = resource.bucket_policy.filter(|_| of_bucket);
        let by_policy = bucket_policy.and_then(|policy| {
            let (coverage, statement) = self.strongest(policy, true)?;
            Some(Shared {
                coverage,
                reason: Reason::BucketPolicy,
                statement: Some(statement),
            })
        });
        let is_public = resource.public_objects && self.action == PUBLIC_OBJECTS_ACTION;
        let by_setting = (is_public && of_bucket).then_some(Reason::PublicObjects);
        let by_making =
            (resource.object_owner == ObjectOwner::Sender).then_some(Reason::OwnNewObject);
        let for_everybody = by_setting.or(by_making).map(|reason| Shared {
            coverage: Coverage::Itself,
            reason,
            statement: None,
        });
        let by_policy = match (by_policy, for_everybody) {
            (Some(shared), Some(other)) if shared.coverage < other.coverage => Some(other),
            (shared, other) => shared.or(other),
        };
        let by_acl = match resource.acl {
            AclGrant::None => None,
            AclGrant::Account => Some(Coverage::Account),
            AclGrant::Everyone => Some(Coverage::Itself),
        };
        match (by_policy, by_acl) {
            (Some(shared), Some(coverage)) if shared.coverage >= coverage => Some(shared),
            (_, Some(coverage)) => Some(Shared {
                coverage,
                reason: Reason::Acl,
                statement: None,
            }),
            (shared, None) => shared,
        }
    }

    /// The first statement of policies without principals that allows, or denies, the request.
    fn first(
        &self,
        source: PolicySource,
        policies: &'p [Arc<Policy>],
        allows: bool,
    ) -> Option<StatementRef<'p>> {
        policies.iter().enumerate().find_map(|(policy, compiled)| {
            if !allows && !compiled.denies {
                return None;
            }
            let mut statements = compiled.statements.iter().enumerate();
            let (index, statement) =
                statements.find(|(_, statement)| self.applies(statement, allows))?;
            Some(StatementRef {
                source,
                policy,
                statement: index,
                sid: statement.sid.as_deref(),
            })
        })
    }

    /// The statement of the bucket policy that allows, or denies, most directly.
    fn strongest(&self, policy: &'p Policy, allows: bool) -> Option<(Coverage, StatementRef<'p>)> {
        let mut strongest: Option<(Coverage, StatementRef<'p>)> = None;
        for (index, statement) in policy.statements.iter().enumerate() {
            let Some(coverage) = statement.principals.cover(self.scene.request.caller) else {
                continue;
            };
            let is_stronger = strongest.is_none_or(|(found, _)| found < coverage);
            if is_stronger && self.applies(statement, allows) {
                let reference = StatementRef {
                    source: PolicySource::Bucket,
                    policy: 0,
                    statement: index,
                    sid: statement.sid.as_deref(),
                };
                strongest = Some((coverage, reference));
            }
        }
        strongest
    }

    fn applies(&self, statement: &Statement, allows: bool) -> bool {
        statement.allows == allows
            && statement.applies(self.action, self.scene.request.resource, self.scene)
    }
}

fn allowed(shared: Shared<'_>) -> Decision<'_> {
    Decision {
        effect: Effect::Allow,
        reason: shared.reason,
        statement: shared.statement,
    }
}

fn decision_of(shared: Option<Shared<'_>>) -> Decision<'_> {
    shared.map_or(denied(Reason::NothingAllows), allowed)
}

fn denied<'p>(reason: Reason) -> Decision<'p> {
    Decision {
        effect: Effect::ImplicitDeny,
        reason,
        statement: None,
    }
}

/// The context of the request, and what the evaluator knows itself.
struct Scene<'a> {
    request: &'a Request<'a>,
    owner: Option<&'a str>,
}

impl Context for Scene<'_> {
    fn value(&self, key: &ConditionKey) -> ContextValue<'_> {
        let caller = self.request.caller;
        let known = match key {
            ConditionKey::Known(known) => known,
            // Whatever the request says of it: only whom it comes from counts.
            ConditionKey::PrincipalTag(tag) => return ContextValue::optional(caller.tag(tag)),
            _ => return self.request.context.value(key),
        };
        match known {
            KnownKey::Username => ContextValue::optional(caller.user_name()),
            KnownKey::UserId => ContextValue::optional(caller.user_id()),
            KnownKey::PrincipalArn => ContextValue::optional(caller.principal_arn()),
            KnownKey::PrincipalAccount => ContextValue::optional(caller.account()),
            KnownKey::PrincipalType => ContextValue::optional(caller.principal_type()),
            KnownKey::PrincipalIsAwsService => ContextValue::optional(caller.is_service()),
            KnownKey::PrincipalServiceName => ContextValue::optional(caller.service_name()),
            KnownKey::PrincipalServiceNamesList => match caller.service_name() {
                Some(name) => ContextValue::Many(vec![name.into()]),
                None => ContextValue::Absent,
            },
            // No service acts here in the place of somebody else.
            KnownKey::ViaAwsService => ContextValue::one("false"),
            KnownKey::S3ResourceAccount | KnownKey::ResourceAccount => {
                ContextValue::optional(self.owner)
            }
            _ => self.request.context.value(key),
        }
    }
}

/// Source: IAM user guide, "IAM policy elements: Variables and tags", "Principal key values".
impl<'a> Caller<'a> {
    fn identity(&self) -> Option<&Identity<'a>> {
        match self {
            Self::Identity(identity) => Some(identity),
            Self::Anonymous | Self::Service(_) => None,
        }
    }

    fn user_name(&self) -> Option<&'a str> {
        self.identity()?.user_name
    }

    fn user_id(&self) -> Option<&'a str> {
        match self {
            Self::Anonymous => Some("anonymous"),
            Self::Identity(identity) => Some(identity.user_id),
            Self::Service(_) => None,
        }
    }

    /// Of a session, the ARN of its role.
    fn principal_arn(&self) -> Option<&'a str> {
        let identity = self.identity()?;
        Some(identity.role_arn.unwrap_or(identity.arn))
    }

    fn account(&self) -> Option<&'a str> {
        Some(self.identity()?.account)
    }

    /// Only requests that somebody signed have it. Source: IAM user guide, "AWS global condition
    /// context keys", `aws:PrincipalIsAWSService`.
    fn is_service(&self) -> Option<&'static str> {
        match self {
            Self::Anonymous => None,
            Self::Identity(_) => Some("false"),
            Self::Service(_) => Some("true"),
        }
    }

    fn service_name(&self) -> Option<&'a str> {
        match self {
            Self::Service(name) => Some(name),
            Self::Anonymous | Self::Identity(_) => None,
        }
    }

    /// The value of a tag, whose key is looked for without regard to case.
    fn tag(&self, key: &str) -> Option<&'a str> {
        let mut tags = self.identity()?.tags.iter();
        let tag = tags.find(|tag| tag.key.eq_ignore_ascii_case(key))?;
        Some(&tag.value)
    }

    fn principal_type(&self) -> Option<&'a str> {
        Some(match self {
            Self::Anonymous => "Anonymous",
            Self::Service(_) => return None,
            Self::Identity(identity) => match identity.kind {
                CallerKind::AccountRoot => "Account",
                CallerKind::User => "User",
                CallerKind::AssumedRole => "AssumedRole",
            },
        })
    }
}
