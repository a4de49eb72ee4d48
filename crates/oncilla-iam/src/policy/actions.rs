//! The actions of S3 and what each is done to.
//! Source: service authorization reference, "Actions, resources, and condition keys for Amazon S3".
//! Actions on things that are not here (access points, Storage Lens, batch jobs) are left out,
//! apart from those that a policy for all of S3 often names.

use self::ResourceKind::{Bucket, Object, Service};

/// What an action is done to, which says what its resource in a policy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResourceKind {
    /// No resource of its own: policies have `*`.
    Service,
    /// A bucket.
    Bucket,
    /// An object.
    Object,
}

/// An action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActionInfo {
    /// Its name as AWS writes it, `s3:GetObject`. Policies may write it in any case.
    pub name: &'static str,
    /// What it is done to.
    pub resource: ResourceKind,
}

const fn action(name: &'static str, resource: ResourceKind) -> ActionInfo {
    ActionInfo { name, resource }
}

/// Every action of S3, by name.
pub const ACTIONS: &[ActionInfo] = &[
    action("s3:AbortMultipartUpload", Object),
    action("s3:BypassGovernanceRetention", Object),
    action("s3:CreateBucket", Bucket),
    action("s3:CreateBucketMetadataTableConfiguration", Bucket),
    action("s3:CreateJob", Service),
    action("s3:DeleteBucket", Bucket),
    action("s3:DeleteBucketMetadataTableConfiguration", Bucket),
    action("s3:DeleteBucketPolicy", Bucket),
    action("s3:DeleteBucketWebsite", Bucket),
    action("s3:DeleteObject", Object),
    action("s3:DeleteObjectTagging", Object),
    action("s3:DeleteObjectVersion", Object),
    action("s3:DeleteObjectVersionTagging", Object),
    action("s3:GetAccelerateConfiguration", Bucket),
    action("s3:GetAccountPublicAccessBlock", Service),
    action("s3:GetAnalyticsConfiguration", Bucket),
    action("s3:GetBucketAbac", Bucket),
    action("s3:GetBucketAcl", Bucket),
    action("s3:GetBucketCORS", Bucket),
    action("s3:GetBucketLocation", Bucket),
    action("s3:GetBucketLogging", Bucket),
    action("s3:GetBucketMetadataTableConfiguration", Bucket),
    action("s3:GetBucketNotification", Bucket),
    action("s3:GetBucketObjectLockConfiguration", Bucket),
    action("s3:GetBucketOwnershipControls", Bucket),
    action("s3:GetBucketPolicy", Bucket),
    action("s3:GetBucketPolicyStatus", Bucket),
    action("s3:GetBucketPublicAccessBlock", Bucket),
    action("s3:GetBucketRequestPayment", Bucket),
    action("s3:GetBucketTagging", Bucket),
    action("s3:GetBucketVersioning", Bucket),
    action("s3:GetBucketWebsite", Bucket),
    action("s3:GetEncryptionConfiguration", Bucket),
    action("s3:GetIntelligentTieringConfiguration", Bucket),
    action("s3:GetInventoryConfiguration", Bucket),
    action("s3:GetLifecycleConfiguration", Bucket),
    action("s3:GetMetricsConfiguration", Bucket),
    action("s3:GetObject", Object),
    action("s3:GetObjectAcl", Object),
    action("s3:GetObjectAttributes", Object),
    action("s3:GetObjectLegalHold", Object),
    action("s3:GetObjectRetention", Object),
    action("s3:GetObjectTagging", Object),
    action("s3:GetObjectTorrent", Object),
    action("s3:GetObjectVersion", Object),
    action("s3:GetObjectVersionAcl", Object),
    action("s3:GetObjectVersionAttributes", Object),
    action("s3:GetObjectVersionForReplication", Object),
    action("s3:GetObjectVersionTagging", Object),
    action("s3:GetObjectVersionTorrent", Object),
    action("s3:GetReplicationConfiguration", Bucket),
    action("s3:InitiateReplication", Object),
    action("s3:ListAccessPoints", Service),
    action("s3:ListAllMyBuckets", Service),
    action("s3:ListBucket", Bucket),
    action("s3:ListBucketMultipartUploads", Bucket),
    action("s3:ListBucketVersions", Bucket),
    action("s3:ListJobs", Service),
    action("s3:ListMultiRegionAccessPoints", Service),
    action("s3:ListMultipartUploadParts", Object),
    action("s3:ListStorageLensConfigurations", Service),
    action("s3:ListStorageLensGroups", Service),
    action("s3:ListTagsForResource", Bucket),
    action("s3:ObjectOwnerOverrideToBucketOwner", Object),
    action("s3:PutAccelerateConfiguration", Bucket),
    action("s3:PutAccountPublicAccessBlock", Service),
    action("s3:PutAnalyticsConfiguration", Bucket),
    action("s3:PutBucketAbac", Bucket),
    action("s3:PutBucketAcl", Bucket),
    action("s3:PutBucketCORS", Bucket),
    action("s3:PutBucketLogging", Bucket),
    action("s3:PutBucketNotification", Bucket),
    action("s3:PutBucketObjectLockConfiguration", Bucket),
    action("s3:PutBucketOwnershipControls", Bucket),
    action("s3:PutBucketPolicy", Bucket),
    action("s3:PutBucketPublicAccessBlock", Bucket),
    action("s3:PutBucketRequestPayment", Bucket),
    action("s3:PutBucketTagging", Bucket),
    action("s3:PutBucketVersioning", Bucket),
    action("s3:PutBucketWebsite", Bucket),
    action("s3:PutEncryptionConfiguration", Bucket),
    action("s3:PutIntelligentTieringConfiguration", Bucket),
    action("s3:PutInventoryConfiguration", Bucket),
    action("s3:PutLifecycleConfiguration", Bucket),
    action("s3:PutMetricsConfiguration", Bucket),
    action("s3:PutObject", Object),
    action("s3:PutObjectAcl", Object),
    action("s3:PutObjectLegalHold", Object),
    action("s3:PutObjectRetention", Object),
    action("s3:PutObjectTagging", Object),
    action("s3:PutObjectVersionAcl", Object),
    action("s3:PutObjectVersionTagging", Object),
    action("s3:PutReplicationConfiguration", Bucket),
    action("s3:ReplicateDelete", Object),
    action("s3:ReplicateObject", Object),
    action("s3:ReplicateTags", Object),
    action("s3:RestoreObject", Object),
    action("s3:TagResource", Bucket),
    action("s3:UntagResource", Bucket),
    action("s3:UpdateBucketMetadataInventoryTableConfiguration", Bucket),
    action("s3:UpdateBucketMetadataJournalTableConfiguration", Bucket),
    action("s3:UpdateObjectEncryption", Object),
];

/// The action of this name, written as in [`ACTIONS`].
pub fn action_info(name: &str) -> Option<&'static ActionInfo> {
    let place = ACTIONS.binary_search_by(|info| info.name.cmp(name)).ok()?;
    Some(&ACTIONS[place])
}

/// Actions on an object that its owner allows, also where the bucket is another account's. The other
/// ones, among them writing and deleting objects, locking and restoring them, are the bucket owner's to
/// allow. Sorted.
/// Source: S3 user guide, "How Amazon S3 authorizes a request for an object operation" and "Amazon S3
/// bucket and object ownership".
const OBJECT_OWNERS: [&str; 17] = [
    "s3:DeleteObjectTagging",
    "s3:DeleteObjectVersionTagging",
    "s3:GetObject",
    "s3:GetObjectAcl",
    "s3:GetObjectAttributes",
    "s3:GetObjectTagging",
    "s3:GetObjectTorrent",
    "s3:GetObjectVersion",
    "s3:GetObjectVersionAcl",
    "s3:GetObjectVersionAttributes",
    "s3:GetObjectVersionTagging",
    "s3:GetObjectVersionTorrent",
    "s3:PutObjectAcl",
    "s3:PutObjectTagging",
    "s3:PutObjectVersionAcl",
    "s3:PutObjectVersionTagging",
    "s3:UpdateObjectEncryption",
];

/// Whether an action, written as in [`ACTIONS`], is for the owner of the object to allow and not for
/// that of the bucket, where they differ.
pub fn is_object_owners(action: &str) -> bool {
    OBJECT_OWNERS.binary_search(&action).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_found_again() {
        assert!(ACTIONS.is_sorted_by(|left, right| left.name < right.name));
        for info in ACTIONS {
            assert_eq!(action_info(info.name), Some(info));
        }
        assert_eq!(action_info("s3:getobject"), None);
    }

    #[test]
    fn what_object_owners_allow_is_done_to_objects() {
        assert!(OBJECT_OWNERS.is_sorted());
        for name in OBJECT_OWNERS {
            let info = action_info(name).unwrap();
            assert_eq!(info.resource, Object, "{name}");
            assert!(is_object_owners(name));
        }
        assert!(!is_object_owners("s3:PutObject") && !is_object_owners("s3:DeleteObject"));
    }

    #[test]
    fn it_holds_every_action_that_roles_know() {
        for (name, _) in crate::role::ACTIONS {
            assert!(action_info(name).is_some(), "{name}");
        }
    }
}
