//! The one place that decides who may do what.

use std::fmt;
use std::sync::Arc;

use crate::grant::{BucketPattern, Grant};
use crate::role::{ActionClass, class_of};

/// Who asks.
#[derive(Clone, Debug)]
pub enum Principal {
    /// A request without a signature.
    Anonymous,
    /// A request signed with a key that was found, is usable, and whose signature is right.
    Key(KeyPrincipal),
}

/// The part of a key that decisions need. Cheap to clone.
#[derive(Clone, Debug)]
pub struct KeyPrincipal {
    /// Canonical id of the account that the key belongs to.
    pub account: Arc<str>,
    /// Id of the access key.
    pub key_id: Arc<str>,
    /// What the key was granted.
    pub grants: Arc<[Grant]>,
}

impl Principal {
    /// Whether any grant covers `bucket`: what `ListBuckets` shows of the account's own buckets.
    pub fn covers(&self, bucket: &str) -> bool {
        match self {
            Self::Anonymous => false,
            Self::Key(key) => key.grants.iter().any(|grant| grant.bucket.covers(bucket)),
        }
    }

    /// Canonical id of the account, unless anonymous.
    pub fn account(&self) -> Option<&str> {
        match self {
            Self::Anonymous => None,
            Self::Key(key) => Some(&key.account),
        }
    }

    /// Id of the access key, unless anonymous.
    pub fn key_id(&self) -> Option<&str> {
        match self {
            Self::Anonymous => None,
            Self::Key(key) => Some(&key.key_id),
        }
    }
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The IAM action, such as `"s3:GetObject"`.
    pub action: &'a str,
    /// The bucket, if the request concerns one.
    pub bucket: Option<&'a str>,
    /// Canonical id of the bucket's owner. `None` where no bucket exists (yet), as for
    /// `s3:CreateBucket`; any other request for a bucket without a known owner is denied.
    pub bucket_owner: Option<&'a str>,
    /// Whether the very thing asked for is publicly readable.
    pub public_read: bool,
    /// The object key, if the request concerns one. No rule looks at it yet; policies will.
    pub key: Option<&'a str>,
}

/// The request is denied: S3's `AccessDenied`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("access denied: {reason}")]
pub struct Denied {
    /// Why, for the log. The answer to the client does not carry it.
    pub reason: DenialReason,
}

/// Why a request was denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DenialReason {
    /// Anonymous requests may only read what is public.
    Anonymous,
    /// The bucket belongs to another account.
    OtherAccount,
    /// The owner of the bucket is not known.
    UnknownOwner,
    /// No grant of the key covers the bucket (or everything, where `*` is needed).
    BucketNotCovered,
    /// Grants cover the bucket, but none of their roles permits the action.
    ActionNotAllowed,
}

impl fmt::Display for DenialReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Anonymous => "anonymous requests may only read what is public",
            Self::OtherAccount => "the bucket belongs to another account",
            Self::UnknownOwner => "the owner of the bucket is not known",
            Self::BucketNotCovered => "no grant of the key covers the bucket",
            Self::ActionNotAllowed => "no role of the key permits the action",
        })
    }
}

/// Decides whether `principal` may do what `request` says.
///
/// Whether the key is usable (not disabled, not expired) and the signature right was judged
/// before. In order:
/// 1. what is publicly readable may be read by anybody;
/// 2. anonymous requests may do nothing else;
/// 3. any key may list the buckets; the answer holds only those it [covers](Principal::covers);
/// 4. a bucket of another account is out of reach (a new bucket has no owner yet);
/// 5. a grant must cover the bucket, and its role permit the action. Creating a bucket, and what
///    concerns no bucket, takes a grant on `*`.
///
/// # Errors
/// [`Denied`] with the first rule that spoke against it.
pub fn authorize(principal: &Principal, request: &Request<'_>) -> Result<(), Denied> {
    let class = class_of(request.action);
    if request.public_read && class == Some(ActionClass::PublicRead) {
        return Ok(());
    }
    let Principal::Key(key) = principal else {
        return deny(DenialReason::Anonymous);
    };
    if class == Some(ActionClass::ListOwnBuckets) {
        return Ok(());
    }

    let creates_bucket = class == Some(ActionClass::CreateBucket);
    let judged_bucket = if creates_bucket { None } else { request.bucket };
    if judged_bucket.is_some() {
        match request.bucket_owner {
            None => return deny(DenialReason::UnknownOwner),
            Some(owner) if owner != &*key.account => return deny(DenialReason::OtherAccount),
            Some(_) => {}
        }
    }

    // A policy evaluator slots in here: after ownership, beside the roles.
    let permitted = |grant: &Grant| grant.permits(request.action, judged_bucket);
    if key.grants.iter().any(permitted) {
        return Ok(());
    }
    let covered = |grant: &Grant| match judged_bucket {
        Some(bucket) => grant.bucket.covers(bucket),
        None => grant.bucket == BucketPattern::Any,
    };
    if key.grants.iter().any(covered) {
        return deny(DenialReason::ActionNotAllowed);
    }
    deny(DenialReason::BucketNotCovered)
}

fn deny(reason: DenialReason) -> Result<(), Denied> {
    Err(Denied { reason })
}

#[cfg(test)]
mod tests;
