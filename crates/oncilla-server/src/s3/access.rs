//! What a bucket says of access to it: its policy, its ACL, ownership controls and public access
//! block, as its documents have them. A bucket without documents costs nothing here.

use std::sync::Arc;

use oncilla_iam::policy::{ObjectOwner, Policy, PolicyKind, ResourceSide};
use oncilla_store::{Bucket, DocumentKind};
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::xml::acl::{
    AccessControlPolicy, Acl, CannedAcl, Grant, Grantee, Group, NamedGrantee, Permission,
};
use oncilla_wire::xml::ownership::ObjectOwnership;
use oncilla_wire::xml::public_access::PublicAccessBlock;

/// What is kept with a policy that was set with `x-amz-confirm-remove-self-bucket-access`.
pub const LOCKS_OUT_OWNER: &[u8] = b"locks-out-owner";

/// What a bucket says of access to it.
pub struct BucketAccess<'b> {
    bucket: &'b Bucket,
    policy: Option<Arc<Policy>>,
    /// What of public access is blocked.
    pub block: PublicAccessBlock,
    /// Who owns what others write; `None` if nothing was set, which means the writer.
    pub ownership: Option<ObjectOwnership>,
}

impl<'b> BucketAccess<'b> {
    /// Reads the bucket's documents.
    ///
    /// # Errors
    /// `InternalError` for a document that cannot be read: access is not judged without it.
    pub fn of(bucket: &'b Bucket) -> Result<Self, S3Error> {
        let documents = &bucket.documents;
        let name = bucket.name.as_str();
        let policy = documents.get(DocumentKind::Policy).map(|document| {
            let parse = |text: &[u8]| Policy::parse(text, PolicyKind::Bucket { bucket: name });
            document.parsed(parse).map_err(unreadable)
        });
        let block = documents.get(DocumentKind::PublicAccessBlock);
        let block = block.map(|document| {
            let block = document.parsed(PublicAccessBlock::parse);
            block.map(|block| *block).map_err(unreadable)
        });
        let ownership = documents.get(DocumentKind::OwnershipControls);
        let ownership = ownership.map(|document| {
            let ownership = document.parsed(ObjectOwnership::parse);
            ownership.map(|ownership| *ownership).map_err(unreadable)
        });
        Ok(Self {
            bucket,
            policy: policy.transpose()?,
            block: block.transpose()?.unwrap_or_default(),
            ownership: ownership.transpose()?,
        })
    }

    /// The bucket's policy.
    pub fn policy(&self) -> Option<&Policy> {
        self.policy.as_deref()
    }

    /// Whether the bucket's owner owns all that is in it, and ACLs do not count.
    pub fn is_owner_enforced(&self) -> bool {
        self.ownership == Some(ObjectOwnership::BucketOwnerEnforced)
    }

    /// Whose an object is, of which the record says `owner`.
    pub fn owner_of_object<'r>(&'r self, owner: &'r str) -> &'r str {
        match self.is_owner_enforced() {
            true => &self.bucket.record.owner,
            false => owner,
        }
    }

    /// Whether there may be objects here that are not the bucket owner's.
    pub fn has_others_objects(&self) -> bool {
        let noted = self.bucket.documents.get(DocumentKind::OthersObjects);
        noted.is_some() && !self.is_owner_enforced()
    }

    /// The bucket's side of a decision, without what ACLs give.
    pub fn resource_side<'r>(&'r self, object_owner: ObjectOwner<'r>) -> ResourceSide<'r> {
        let policy = self.bucket.documents.get(DocumentKind::Policy);
        ResourceSide {
            owner: Some(&self.bucket.record.owner),
            object_owner,
            bucket_policy: self.policy(),
            public_objects: self.bucket.record.public_objects,
            restrict_public_buckets: self.block.restrict_public_buckets,
            locks_out_owner: policy.is_some_and(|policy| policy.detail() == LOCKS_OUT_OWNER),
            ..ResourceSide::default()
        }
    }

    /// Whether anybody without an account could have access, as GetBucketPolicyStatus tells.
    pub fn is_public(&self) -> Result<bool, S3Error> {
        Ok(self.is_public_by_policy() || self.is_public_by_acl()?)
    }

    /// Whether anybody without an account has access: what is public counts only as far as the
    /// public access block lets the public in. S3 calls a policy public all the same.
    /// Source: S3 User Guide, "Blocking public access to your Amazon S3 storage",
    /// RestrictPublicBuckets.
    pub fn lets_the_public_in(&self) -> Result<bool, S3Error> {
        if self.is_public_by_policy() && self.block.restrict_public_buckets {
            return Ok(false);
        }
        self.is_public()
    }

    fn is_public_by_policy(&self) -> bool {
        self.policy().is_some_and(Policy::is_public) || self.bucket.record.public_objects
    }

    fn is_public_by_acl(&self) -> Result<bool, S3Error> {
        Ok(acl_of_bucket(self.bucket)?.is_public()
            && !self.block.ignore_public_acls
            && !self.is_owner_enforced())
    }

    /// Refuses what may not be set: any ACL where they are switched off, but for one that says what
    /// is so anyway, and public ones where they are blocked.
    ///
    /// # Errors
    /// `AccessControlListNotSupported`, `AccessDenied`.
    pub fn check_acl(&self, acl: &Acl) -> Result<(), S3Error> {
        if self.is_owner_enforced() && !self.says_what_is_enforced(acl) {
            return Err(S3ErrorCode::AccessControlListNotSupported.into());
        }
        if self.block.block_public_acls && acl.is_public() {
            let message = "Access Denied: public access control lists are prevented by the \
                           BlockPublicAcls setting of the bucket.";
            return Err(S3Error::with_message(S3ErrorCode::AccessDenied, message));
        }
        Ok(())
    }

    /// Source: S3 user guide, "Disabling ACLs for all new buckets and enforcing Object Ownership".
    fn says_what_is_enforced(&self, acl: &Acl) -> bool {
        match acl {
            Acl::Canned(canned) => *canned == CannedAcl::BucketOwnerFullControl,
            Acl::Grants(grants) => {
                let owner = self.bucket.record.owner.as_str();
                let is_owners = |grant: &Grant<'_>| {
                    grant.permission == Permission::FullControl
                        && matches!(&grant.grantee, Grantee::Account(id) if id == owner)
                };
                !grants.is_empty() && grants.iter().all(is_owners)
            }
        }
    }
}

/// The ACL of a bucket.
///
/// # Errors
/// `InternalError` if it cannot be read.
pub fn acl_of_bucket(bucket: &Bucket) -> Result<Arc<Acl>, S3Error> {
    match bucket.documents.get(DocumentKind::Acl) {
        None => Ok(Arc::new(bucket.record.acl.into())),
        Some(document) => document.parsed(stored_acl).map_err(unreadable),
    }
}

/// Reads an ACL that was checked when it was set.
fn stored_acl(document: &[u8]) -> Result<Acl, S3Error> {
    let policy = AccessControlPolicy::parse(document)?;
    let grants = policy.grants.into_iter().map(|grant| {
        let grantee = match grant.grantee {
            NamedGrantee::Id(id) => Grantee::Account(id.into()),
            NamedGrantee::Uri(uri) => {
                let group = Group::from_uri(&uri);
                Grantee::Group(group.ok_or(S3ErrorCode::MalformedACLError)?)
            }
            NamedGrantee::Email(_) => return Err(S3ErrorCode::MalformedACLError.into()),
        };
        Ok(Grant {
            grantee,
            permission: grant.permission,
        })
    });
    grants.collect::<Result<_, S3Error>>().map(Acl::Grants)
}

fn unreadable(error: impl std::fmt::Display) -> S3Error {
    tracing::error!(%error, "a bucket's configuration cannot be read");
    S3ErrorCode::InternalError.into()
}
