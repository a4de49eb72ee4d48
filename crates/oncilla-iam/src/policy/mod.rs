//! The policy language of IAM, and what it decides.
//!
//! [`Policy::parse`] reads and compiles a policy once, when it is stored or loaded;
//! [`evaluate`](fn@evaluate) then decides with all policies that apply to a request.
//! [`requirements`](fn@requirements) says which actions an operation of S3 needs.
//!
//! ```
//! use oncilla_iam::policy::{
//!     Caller, ContextTable, Decision, Effect, Policies, Policy, PolicyKind, Request, ResourceSide,
//!     evaluate,
//! };
//!
//! # fn main() -> Result<(), oncilla_iam::policy::PolicyError> {
//! let text = br#"{
//!     "Version": "2012-10-17",
//!     "Statement": {
//!         "Sid": "Office",
//!         "Effect": "Allow",
//!         "Principal": "*",
//!         "Action": "s3:GetObject",
//!         "Resource": "arn:aws:s3:::photos/*",
//!         "Condition": {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}
//!     }
//! }"#;
//! let policy = Policy::parse(text, PolicyKind::Bucket { bucket: "photos" })?;
//! let context = ContextTable::new().with("aws:SourceIp", "192.0.2.7");
//! let request = Request {
//!     caller: &Caller::Anonymous,
//!     action: "s3:GetObject",
//!     resource: "arn:aws:s3:::photos/otter.jpg",
//!     context: &context,
//! };
//! let policies = Policies {
//!     resource: ResourceSide {
//!         owner: Some("owner-of-photos"),
//!         bucket_policy: Some(&policy),
//!         ..ResourceSide::default()
//!     },
//!     ..Policies::default()
//! };
//! let decision: Decision<'_> = evaluate(&request, &policies);
//! assert_eq!(decision.effect, Effect::Allow);
//! assert_eq!(decision.statement.and_then(|statement| statement.sid), Some("Office"));
//! # Ok(())
//! # }
//! ```
//!
//! # Departures from AWS
//! - An account is named by its canonical user id wherever AWS has its twelve digits. Whether a
//!   principal exists is not known here: [`Iam::exists`](crate::Iam::exists) tells.
//! - Fields that stand twice in an object are refused; AWS takes one of them.
//! - An Allow with a negated condition (or `NotResource`) whose variable has no value does not
//!   apply, and a Deny does: the safe side either way.

mod acl;
mod actions;
mod arn;
mod condition;
mod error;
mod evaluate;
mod ip;
mod json;
mod key;
mod parse;
mod pattern;
mod principal;
mod public;
mod refusal;
mod requirements;
mod roles;
mod statement;
mod template;

pub use acl::{acl_grant, bucket_permission, object_permission};
pub use actions::{ACTIONS, ActionInfo, ResourceKind, action_info, is_object_owners};
pub use arn::S3_ARN_PREFIX;
pub use error::PolicyError;
pub use evaluate::{
    AclGrant, Caller, CallerKind, Decision, Effect, Identity, ObjectOwner, Policies, PolicySource,
    Reason, Request, ResourceSide, StatementRef, evaluate, evaluate_trust,
};
pub use key::{ConditionKey, Context, ContextTable, ContextValue, KnownKey};
pub use parse::count_without_spaces;
pub use principal::PrincipalPattern;
pub use requirements::{RequestFacts, Requirement, Requirements, Target, requirements};
pub use roles::policy_of_grants;

use statement::Statement;

/// Longest bucket policy: S3's limit.
pub const BUCKET_POLICY_BYTES_MAX: usize = 20 * 1024;
/// Longest policy of an identity, spaces apart: IAM's limit for the inline policies of a role, the
/// largest it has.
pub const IDENTITY_POLICY_CHARS_MAX: usize = 10_240;
/// Longest session policy, spaces apart: STS's limit.
pub const SESSION_POLICY_CHARS_MAX: usize = 2_048;
/// Longest trust policy of a role, spaces apart: IAM's quota once raised.
pub const TRUST_POLICY_CHARS_MAX: usize = 4_096;
/// Longest text of a policy with its spaces: IAM's limit for the parameter `PolicyDocument`.
pub const POLICY_TEXT_BYTES_MAX: usize = 131_072;

/// What a policy is for, which decides what may stand in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyKind<'a> {
    /// The policy of a bucket: says whom it is about, and only about this bucket.
    Bucket {
        /// The bucket's name.
        bucket: &'a str,
    },
    /// The policy of a user, group, role or key.
    Identity,
    /// What limits a temporary credential.
    Session,
    /// The policy of a role that says who may assume it: has principals and no resource.
    Trust,
}

/// A policy, read and compiled.
#[derive(Clone, Debug)]
pub struct Policy {
    text: Box<str>,
    statements: Vec<Statement>,
    /// Whether any statement denies: most policies of identities have none to look through.
    denies: bool,
    asks: Asks,
}

/// What the keys of a policy ask for that is not in the head of every request, so that it has to be
/// read before the policy is evaluated.
#[derive(Clone, Copy, Debug, Default)]
struct Asks {
    existing_tags: bool,
    request_tags: bool,
    locks: bool,
    encryption: bool,
    location: bool,
    inventory_fields: bool,
}

impl Asks {
    fn note(&mut self, key: &ConditionKey) {
        match key {
            ConditionKey::ExistingObjectTag(_) => self.existing_tags = true,
            ConditionKey::RequestObjectTag(_)
            | ConditionKey::Known(KnownKey::RequestObjectTagKeys) => self.request_tags = true,
            ConditionKey::Known(
                KnownKey::ObjectLockLegalHold
                | KnownKey::ObjectLockMode
                | KnownKey::ObjectLockRemainingRetentionDays
                | KnownKey::ObjectLockRetainUntilDate,
            ) => self.locks = true,
            ConditionKey::Known(
                KnownKey::XAmzServerSideEncryption
                | KnownKey::XAmzServerSideEncryptionAwsKmsKeyId
                | KnownKey::XAmzServerSideEncryptionCustomerAlgorithm,
            ) => self.encryption = true,
            ConditionKey::Known(KnownKey::LocationConstraint) => self.location = true,
            ConditionKey::Known(KnownKey::InventoryAccessibleOptionalFields) => {
                self.inventory_fields = true;
            }
            ConditionKey::Known(_) | ConditionKey::PrincipalTag(_) | ConditionKey::Other(_) => {}
        }
    }
}

impl Policy {
    fn new(text: Box<str>, statements: Vec<Statement>) -> Self {
        let mut asks = Asks::default();
        for key in statements.iter().flat_map(Statement::keys) {
            asks.note(key);
        }
        let denies = statements.iter().any(|statement| !statement.allows);
        Self {
            text,
            statements,
            denies,
            asks,
        }
    }

    /// Reads a policy. Takes time in proportion to its length, and never more than a few levels
    /// of the stack.
    ///
    /// # Errors
    /// The first thing that is wrong with it; [`PolicyError::code`] and [`PolicyError::message`]
    /// are for the client.
    pub fn parse(text: &[u8], kind: PolicyKind<'_>) -> Result<Self, PolicyError> {
        parse::parse(text, kind)
    }

    /// Reads a policy that is to be stored or used from now on. Beyond what [`Policy::parse`] refuses,
    /// it must not name condition keys that no request has which the statement is about: a Deny would
    /// do nothing, and nobody would know. Policies that were stored before stay in force.
    ///
    /// # Errors
    /// As [`Policy::parse`]; [`PolicyError::KeyNeverSet`].
    pub fn parse_new(text: &[u8], kind: PolicyKind<'_>) -> Result<Self, PolicyError> {
        let policy = parse::parse(text, kind)?;
        parse::check_keys(&policy, kind)?;
        Ok(policy)
    }

    /// The text it was read from, to the byte: what `GetBucketPolicy` answers. Empty for a policy
    /// that was made from grants.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a condition or variable asks for tags that the object already has, so that they
    /// have to be read before the policy is evaluated.
    pub fn needs_existing_tags(&self) -> bool {
        self.asks.existing_tags
    }

    /// Whether a condition or variable asks for tags that the request brings. Those of a copy that
    /// keeps the tags of its source have to be read there.
    pub fn needs_request_tags(&self) -> bool {
        self.asks.request_tags
    }

    /// Whether a condition or variable asks how the request wants its object encrypted. What goes on
    /// with an upload is encrypted as that, which has to be looked up.
    pub fn needs_encryption(&self) -> bool {
        self.asks.encryption
    }

    /// Whether a condition or variable asks where a bucket is to be, which the body of CreateBucket
    /// says.
    pub fn needs_location(&self) -> bool {
        self.asks.location
    }

    /// Whether a condition or variable asks for what some requests bring in their bodies: tags, locks,
    /// encryption keys and fields of inventories. Such a body has to be read before the policy is
    /// evaluated.
    pub fn needs_request_body(&self) -> bool {
        let asks = &self.asks;
        asks.request_tags || asks.locks || asks.encryption || asks.inventory_fields
    }

    /// Whether S3 calls the policy public (`IsPublic` of `GetBucketPolicyStatus`): what
    /// `BlockPublicPolicy` refuses, and what `RestrictPublicBuckets` shields a bucket from.
    pub fn is_public(&self) -> bool {
        self.statements.iter().any(public::is_public)
    }

    /// Everybody the policy names, for a check whether they exist.
    pub fn principals(&self) -> impl Iterator<Item = &PrincipalPattern> {
        self.statements
            .iter()
            .flat_map(|statement| statement.principals.patterns())
    }
}
