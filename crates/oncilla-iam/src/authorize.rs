//! Who asks, and the one door to decisions.

use std::sync::Arc;

use crate::grant::{BucketPattern, Grant};
use crate::policy::{
    Caller, CallerKind, Context, Decision, Identity, Policies, Policy, PolicyError, Request,
    ResourceSide, S3_ARN_PREFIX, evaluate, policy_of_grants,
};
use crate::role::Role;
use crate::rows::entity::Tag;

/// Who asks. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Principal {
    /// A request without a signature.
    Anonymous,
    /// A request signed with a key that was found, is usable, and whose signature is right.
    Key(Arc<KeyPrincipal>),
}

/// The part of a key that decisions need.
#[derive(Clone, Debug)]
pub struct KeyPrincipal {
    /// Canonical id of the account that the key belongs to, which is also its id in ARNs.
    pub account: String,
    /// Id of the access key.
    pub key_id: String,
    /// What the key was granted: which buckets `ListBuckets` shows. Decisions go by
    /// [`policies`](Self::policies), which say it too.
    pub grants: Vec<Grant>,
    /// Whether `ListBuckets` shows all buckets of the account, as to users and roles, and not those
    /// alone that the grants cover.
    pub sees_every_bucket: bool,
    /// What kind of identity it is.
    pub kind: CallerKind,
    /// ARN of the user, of the account's root, or of the session.
    pub arn: String,
    /// ARN of the role that a session is of.
    pub role_arn: Option<String>,
    /// `aws:username`; only users have one.
    pub user_name: Option<String>,
    /// `aws:userid`.
    pub user_id: String,
    /// The tags of the user, or of the role that a session is of.
    pub tags: Vec<Tag>,
    /// The policies of the identity: of what the key was granted, and what else is attached to it.
    pub policies: Vec<Arc<Policy>>,
    /// The policies that limit a session; `None` if none was given with it.
    pub session: Option<Vec<Arc<Policy>>>,
    /// When the token of a session was issued, in milliseconds since 1970; lasting keys have none.
    pub token_issued_ms: Option<u64>,
}

impl KeyPrincipal {
    /// A key with roles. One with Admin on everything acts for its account: it may do what nothing
    /// denies, and get back a bucket whose policy shuts it out. Any other is a user who is named by
    /// the key's id.
    ///
    /// # Errors
    /// As [`policy_of_grants`].
    pub fn new(account: &str, key_id: &str, grants: Vec<Grant>) -> Result<Self, PolicyError> {
        let policy = Arc::new(policy_of_grants(&grants)?);
        let everything = Grant::new(BucketPattern::Any, Role::Admin);
        let is_root = grants.contains(&everything);
        let mut principal = Self {
            account: account.to_owned(),
            key_id: key_id.to_owned(),
            grants,
            sees_every_bucket: false,
            kind: CallerKind::AccountRoot,
            arn: format!("arn:aws:iam::{account}:root"),
            role_arn: None,
            user_name: None,
            user_id: account.to_owned(),
            tags: Vec::new(),
            policies: vec![policy],
            session: None,
            token_issued_ms: None,
        };
        if !is_root {
            principal.kind = CallerKind::User;
            principal.arn = format!("arn:aws:iam::{account}:user/{key_id}");
            principal.user_name = Some(key_id.to_owned());
            principal.user_id = key_id.to_owned();
        }
        Ok(principal)
    }

    fn identity(&self) -> Identity<'_> {
        Identity {
            kind: self.kind,
            account: &self.account,
            canonical_user: &self.account,
            arn: &self.arn,
            role_arn: self.role_arn.as_deref(),
            user_name: self.user_name.as_deref(),
            user_id: &self.user_id,
            tags: &self.tags,
        }
    }
}

impl Principal {
    /// Whether any grant covers `bucket`, or none has to: what `ListBuckets` shows of the account's own buckets.
    pub fn covers(&self, bucket: &str) -> bool {
        match self {
            Self::Anonymous => false,
            Self::Key(key) => {
                key.sees_every_bucket || key.grants.iter().any(|grant| grant.bucket.covers(bucket))
            }
        }
    }

    /// Canonical id of the account, unless anonymous.
    pub fn account(&self) -> Option<&str> {
        match self {
            Self::Anonymous => None,
            Self::Key(key) => Some(&key.account),
        }
    }

    /// ARN of who it is, unless anonymous.
    pub fn arn(&self) -> Option<&str> {
        match self {
            Self::Anonymous => None,
            Self::Key(key) => Some(&key.arn),
        }
    }

    /// Id of the access key, unless anonymous.
    pub fn key_id(&self) -> Option<&str> {
        match self {
            Self::Anonymous => None,
            Self::Key(key) => Some(&key.key_id),
        }
    }

    /// When the token that came with the request was issued, in milliseconds since 1970.
    pub fn token_issued_ms(&self) -> Option<u64> {
        match self {
            Self::Anonymous => None,
            Self::Key(key) => key.token_issued_ms,
        }
    }

    /// The principal as policies see it.
    pub fn caller(&self) -> Caller<'_> {
        match self {
            Self::Anonymous => Caller::Anonymous,
            Self::Key(key) => Caller::Identity(key.identity()),
        }
    }

    /// The policies that the principal brings, those of its session included.
    pub fn policies(&self) -> impl Iterator<Item = &Policy> {
        let key = match self {
            Self::Anonymous => None,
            Self::Key(key) => Some(key),
        };
        let own = key.into_iter().flat_map(|key| &key.policies);
        let session = key.into_iter().flat_map(|key| key.session.iter().flatten());
        own.chain(session).map(|policy| &**policy)
    }
}

/// What is asked.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// The action, such as `"s3:GetObject"`.
    pub action: &'a str,
    /// The bucket, if it is about one.
    pub bucket: Option<&'a str>,
    /// The key of the object, if it is about one.
    pub key: Option<&'a str>,
    /// What else is known of the request.
    pub context: &'a dyn Context,
}

/// Decides whether `principal` may do what `question` says of something of which the bucket's side
/// says `resource`. Whether the key is usable (not disabled, not expired) and the signature right was
/// judged before. See [`evaluate`](fn@evaluate) for the rules.
pub fn authorize<'p>(
    principal: &'p Principal,
    question: &Question<'_>,
    resource: ResourceSide<'p>,
) -> Decision<'p> {
    let (identity, session) = match principal {
        Principal::Anonymous => (&[][..], None),
        Principal::Key(key) => (&key.policies[..], key.session.as_deref()),
    };
    let policies = Policies {
        identity,
        session,
        resource,
    };
    decide(&principal.caller(), question, &policies)
}

/// Decides whether a part of the server may do something for a bucket of its account, such as
/// `logging.s3.amazonaws.com`: what the bucket's side says is all that counts.
pub fn authorize_service<'p>(
    service: &str,
    question: &Question<'_>,
    resource: ResourceSide<'p>,
) -> Decision<'p> {
    let policies = Policies {
        resource,
        ..Policies::default()
    };
    decide(&Caller::Service(service), question, &policies)
}

fn decide<'p>(
    caller: &Caller<'_>,
    question: &Question<'_>,
    policies: &Policies<'p>,
) -> Decision<'p> {
    let mut arn = Arn::default();
    let request = Request {
        caller,
        action: question.action,
        resource: arn.of(question.bucket, question.key),
        context: question.context,
    };
    evaluate(&request, policies)
}

/// The ARN of an object, a bucket, or of nothing in particular: as policies name it.
pub fn resource_arn(bucket: Option<&str>, key: Option<&str>) -> String {
    Arn::default().of(bucket, key).to_owned()
}

/// Room for nearly any ARN: the bucket's name has up to 63 bytes, and most keys less than 180.
const ARN_BYTES_USUAL: usize = 256;

/// The ARN of something in S3, without memory of its own unless it is long: every request needs one.
struct Arn {
    short: [u8; ARN_BYTES_USUAL],
    long: String,
}

impl Default for Arn {
    fn default() -> Self {
        Self {
            short: [0; ARN_BYTES_USUAL],
            long: String::new(),
        }
    }
}

impl Arn {
    fn of(&mut self, bucket: Option<&str>, key: Option<&str>) -> &str {
        let parts = [
            S3_ARN_PREFIX,
            bucket.unwrap_or("*"),
            key.map_or("", |_| "/"),
            key.unwrap_or_default(),
        ];
        let mut length = 0;
        for part in parts {
            let Some(place) = self.short.get_mut(length..length + part.len()) else {
                self.long = parts.concat();
                return &self.long;
            };
            place.copy_from_slice(part.as_bytes());
            length += part.len();
        }
        // Texts one after the other are text.
        std::str::from_utf8(&self.short[..length]).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
