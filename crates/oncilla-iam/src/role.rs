//! Roles, and the one table of what each action is.

use serde::{Deserialize, Serialize};

use self::ActionClass::{Administer, CreateBucket, ListOwnBuckets, PublicRead, Read, Write};

/// What a key may do with the buckets of a grant: the three roles of Tigris.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Everything, also actions this version does not know.
    Admin,
    /// Everything but who may access a bucket (its ACL, policy and public access block) and the
    /// administration of accounts and keys.
    Editor,
    /// Reads and lists, and `s3:RestoreObject`, without which an archived object has no reading.
    ReadOnly,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 3] = [Self::Admin, Self::Editor, Self::ReadOnly];
}

/// What kind of thing an action does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ActionClass {
    /// Listing one's own buckets: any key may, and sees those its grants cover.
    ListOwnBuckets,
    /// Making a bucket: takes a grant on `*`, since the bucket is not there to be granted.
    CreateBucket,
    /// Reads that a public ACL opens to everybody (S3 user guide, "ACL permissions and
    /// corresponding access policy permissions"; listing uploads stays private here).
    PublicRead,
    /// Other reads and lists.
    Read,
    /// Changes of objects and of a bucket's settings.
    Write,
    /// Changes of who may access a bucket, and what overrides its protection.
    Administer,
}

/// Every action known here, sorted by name. The names are those of the service authorization
/// reference for S3. Actions on accounts and keys (`iam:`) are absent: only Admin may.
#[rustfmt::skip]
pub(crate) const ACTIONS: &[(&str, ActionClass)] = &[
    ("s3:AbortMultipartUpload", Write),
    ("s3:BypassGovernanceRetention", Administer),
    ("s3:CreateBucket", CreateBucket),
    ("s3:CreateBucketMetadataTableConfiguration", Write),
    ("s3:DeleteBucket", Write),
    ("s3:DeleteBucketMetadataTableConfiguration", Write),
    ("s3:DeleteBucketPolicy", Administer),
    ("s3:DeleteBucketWebsite", Write),
    ("s3:DeleteObject", Write),
    ("s3:DeleteObjectTagging", Write),
    ("s3:DeleteObjectVersion", Write),
    ("s3:DeleteObjectVersionTagging", Write),
    ("s3:GetAccelerateConfiguration", Read),
    ("s3:GetAnalyticsConfiguration", Read),
    ("s3:GetBucketAbac", Read),
    ("s3:GetBucketAcl", Read),
    ("s3:GetBucketCORS", Read),
    ("s3:GetBucketLocation", Read),
    ("s3:GetBucketLogging", Read),
    ("s3:GetBucketMetadataTableConfiguration", Read),
    ("s3:GetBucketNotification", Read),
    ("s3:GetBucketObjectLockConfiguration", Read),
    ("s3:GetBucketOwnershipControls", Read),
    ("s3:GetBucketPolicy", Read),
    ("s3:GetBucketPolicyStatus", Read),
    ("s3:GetBucketPublicAccessBlock", Read),
    ("s3:GetBucketRequestPayment", Read),
    ("s3:GetBucketTagging", Read),
    ("s3:GetBucketVersioning", Read),
    ("s3:GetBucketWebsite", Read),
    ("s3:GetEncryptionConfiguration", Read),
    ("s3:GetIntelligentTieringConfiguration", Read),
    ("s3:GetInventoryConfiguration", Read),
    ("s3:GetLifecycleConfiguration", Read),
    ("s3:GetMetricsConfiguration", Read),
    ("s3:GetObject", PublicRead),
    ("s3:GetObjectAcl", Read),
    ("s3:GetObjectAttributes", Read),
    ("s3:GetObjectLegalHold", Read),
    ("s3:GetObjectRetention", Read),
    ("s3:GetObjectTagging", Read),
    ("s3:GetObjectTorrent", Read),
    ("s3:GetObjectVersion", PublicRead),
    ("s3:GetObjectVersionAcl", Read),
    ("s3:GetObjectVersionAttributes", Read),
    ("s3:GetObjectVersionForReplication", Read),
    ("s3:GetObjectVersionTagging", Read),
    ("s3:GetObjectVersionTorrent", Read),
    ("s3:GetReplicationConfiguration", Read),
    ("s3:ListAllMyBuckets", ListOwnBuckets),
    ("s3:ListBucket", PublicRead),
    ("s3:ListBucketMultipartUploads", Read),
    ("s3:ListBucketVersions", PublicRead),
    ("s3:ListMultipartUploadParts", Read),
    ("s3:ListTagsForResource", Read),
    ("s3:PutAccelerateConfiguration", Write),
    ("s3:PutAnalyticsConfiguration", Write),
    ("s3:PutBucketAbac", Administer),
    ("s3:PutBucketAcl", Administer),
    ("s3:PutBucketCORS", Write),
    ("s3:PutBucketLogging", Write),
    ("s3:PutBucketNotification", Write),
    ("s3:PutBucketObjectLockConfiguration", Write),
    ("s3:PutBucketOwnershipControls", Write),
    ("s3:PutBucketPolicy", Administer),
    ("s3:PutBucketPublicAccessBlock", Administer),
    ("s3:PutBucketRequestPayment", Write),
    ("s3:PutBucketTagging", Write),
    ("s3:PutBucketVersioning", Write),
    ("s3:PutBucketWebsite", Write),
    ("s3:PutEncryptionConfiguration", Write),
    ("s3:PutIntelligentTieringConfiguration", Write),
    ("s3:PutInventoryConfiguration", Write),
    ("s3:PutLifecycleConfiguration", Write),
    ("s3:PutMetricsConfiguration", Write),
    ("s3:PutObject", Write),
    ("s3:PutObjectAcl", Write),
    ("s3:PutObjectLegalHold", Write),
    ("s3:PutObjectRetention", Write),
    ("s3:PutObjectTagging", Write),
    ("s3:PutObjectVersionAcl", Write),
    ("s3:PutObjectVersionTagging", Write),
    ("s3:PutReplicationConfiguration", Write),
    ("s3:ReplicateDelete", Write),
    ("s3:ReplicateObject", Write),
    ("s3:ReplicateTags", Write),
    ("s3:RestoreObject", Read),
    ("s3:TagResource", Write),
    ("s3:UntagResource", Write),
    ("s3:UpdateBucketMetadataInventoryTableConfiguration", Write),
    ("s3:UpdateBucketMetadataJournalTableConfiguration", Write),
    ("s3:UpdateObjectEncryption", Write),
];

/// The class of an action; `None` for one that is not in the table.
pub(crate) fn class_of(action: &str) -> Option<ActionClass> {
    let place = ACTIONS
        .binary_search_by(|(name, _)| (*name).cmp(action))
        .ok()?;
    Some(ACTIONS[place].1)
}

/// Whether `role` permits `action`, an IAM action name such as `"s3:GetObject"`, on what a grant
/// of that role covers. Names are case-sensitive; unknown ones are denied to all but Admin.
pub fn allows(role: Role, action: &str) -> bool {
    let Some(class) = class_of(action) else {
        return role == Role::Admin;
    };
    match (role, class) {
        (Role::Admin, _) => true,
        (Role::Editor, ListOwnBuckets | CreateBucket | PublicRead | Read | Write) => true,
        (Role::Editor, Administer) => false,
        (Role::ReadOnly, ListOwnBuckets | PublicRead | Read) => true,
        (Role::ReadOnly, CreateBucket | Write | Administer) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{ACTIONS, ActionClass, Role, allows, class_of};

    #[test]
    fn the_table_is_sorted_and_found_again() {
        assert!(ACTIONS.is_sorted_by(|left, right| left.0 < right.0));
        for (action, class) in ACTIONS {
            assert_eq!(class_of(action), Some(*class), "{action}");
        }
        assert_eq!(class_of("s3:GetObjec"), None);
        assert_eq!(class_of(""), None);
    }

    #[test]
    fn names_and_classes_agree() {
        for (action, class) in ACTIONS {
            let name = action.strip_prefix("s3:").unwrap();
            let reads = name.starts_with("Get") || name.starts_with("List");
            let classed_as_read = matches!(
                class,
                ActionClass::PublicRead | ActionClass::Read | ActionClass::ListOwnBuckets
            );
            assert_eq!(
                reads || name == "RestoreObject",
                classed_as_read,
                "{action}"
            );
        }
    }

    #[test]
    fn roles_differ_as_documented() {
        // action, Admin, Editor, ReadOnly
        let table = [
            ("s3:GetObject", true, true, true),
            ("s3:ListBucket", true, true, true),
            ("s3:ListAllMyBuckets", true, true, true),
            ("s3:RestoreObject", true, true, true),
            ("s3:GetBucketAcl", true, true, true),
            ("s3:PutObject", true, true, false),
            ("s3:PutObjectAcl", true, true, false),
            ("s3:DeleteObject", true, true, false),
            ("s3:CreateBucket", true, true, false),
            ("s3:DeleteBucket", true, true, false),
            ("s3:PutBucketCORS", true, true, false),
            ("s3:PutBucketAcl", true, false, false),
            ("s3:PutBucketPolicy", true, false, false),
            ("s3:DeleteBucketPolicy", true, false, false),
            ("s3:PutBucketPublicAccessBlock", true, false, false),
            ("s3:BypassGovernanceRetention", true, false, false),
            ("iam:CreateAccessKey", true, false, false),
            ("iam:ListAccessKeys", true, false, false),
            ("s3:getobject", true, false, false),
            ("s3:Unheard", true, false, false),
            ("", true, false, false),
        ];
        for (action, admin, editor, read_only) in table {
            assert_eq!(allows(Role::Admin, action), admin, "Admin {action}");
            assert_eq!(allows(Role::Editor, action), editor, "Editor {action}");
            assert_eq!(
                allows(Role::ReadOnly, action),
                read_only,
                "ReadOnly {action}"
            );
        }
    }
}
