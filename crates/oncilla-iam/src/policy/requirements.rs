//! Which actions an operation needs, on what.
//! Source: S3 user guide, "Required permissions for Amazon S3 API operations".

use std::ops::Deref;

use oncilla_wire::operation::Operation;

/// What an action is needed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// No bucket: `arn:aws:s3:::*`.
    Service,
    /// The bucket of the request.
    Bucket,
    /// The object of the request; for `DeleteObjects` each object it lists, with the facts of its
    /// entry.
    Object,
    /// The object of the request as the request itself makes it, which belongs to whoever writes
    /// it.
    NewObject,
    /// The object that the request copies or renames.
    Source,
}

/// One action that has to be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The action, as in [`ACTIONS`](super::ACTIONS).
    pub action: &'static str,
    /// What it is done to.
    pub target: Target,
}

/// What a request brings that needs further actions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestFacts {
    /// It names a version of the object (`versionId`).
    pub version: bool,
    /// It names a version of the object that it copies.
    pub source_version: bool,
    /// The object that it copies has tags, and they are copied (`x-amz-tagging-directive: COPY`).
    pub copies_tags: bool,
    /// It sets an ACL (`x-amz-acl` or `x-amz-grant-…`; in a form, the field `acl`).
    pub acl: bool,
    /// It sets tags (`x-amz-tagging`; in CreateBucket, `Tags` of the configuration).
    pub tags: bool,
    /// It sets a retention (`x-amz-object-lock-mode`, `x-amz-object-lock-retain-until-date`).
    pub retention: bool,
    /// It sets a legal hold (`x-amz-object-lock-legal-hold`).
    pub legal_hold: bool,
    /// It asks to bypass governance (`x-amz-bypass-governance-retention: true`).
    pub bypass_governance: bool,
    /// It depends on what the object is (`If-Match` and its like on a write).
    pub if_match: bool,
    /// It makes a bucket with object lock (`x-amz-bucket-object-lock-enabled: true`).
    pub object_lock_bucket: bool,
    /// It makes a bucket with ownership controls (`x-amz-object-ownership`).
    pub object_ownership: bool,
}

/// Most actions that a request can need: a copy that sets everything, with a condition.
const REQUIREMENTS_MAX: usize = 8;

/// The actions that an operation needs: all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requirements {
    items: [Requirement; REQUIREMENTS_MAX],
    len: usize,
}

impl Deref for Requirements {
    type Target = [Requirement];

    fn deref(&self) -> &[Requirement] {
        &self.items[..self.len]
    }
}

impl Requirements {
    fn one(action: &'static str, target: Target) -> Self {
        Self {
            items: [Requirement { action, target }; REQUIREMENTS_MAX],
            len: 1,
        }
    }

    fn object(action: &'static str) -> Self {
        Self::one(action, Target::Object)
    }

    /// One of two actions on the object: without and with a version.
    fn versioned(facts: &RequestFacts, plain: &'static str, version: &'static str) -> Self {
        Self::object(if facts.version { version } else { plain })
    }

    fn and_if(self, needed: bool, action: &'static str) -> Self {
        if !needed {
            return self;
        }
        let target = self.items[0].target;
        self.and(action, target)
    }

    fn and(mut self, action: &'static str, target: Target) -> Self {
        self.items[self.len] = Requirement { action, target };
        self.len += 1;
        self
    }

    /// What a write of an object needs for what it sets besides the body.
    fn and_settings(self, facts: &RequestFacts) -> Self {
        let mut requirements = self;
        if facts.acl {
            requirements = requirements.and("s3:PutObjectAcl", Target::NewObject);
        }
        if facts.tags {
            requirements = requirements.and("s3:PutObjectTagging", Target::NewObject);
        }
        requirements
            .and_if(facts.retention, "s3:PutObjectRetention")
            .and_if(facts.legal_hold, "s3:PutObjectLegalHold")
    }

    fn and_source(self, facts: &RequestFacts) -> Self {
        let action = if facts.source_version {
            "s3:GetObjectVersion"
        } else {
            "s3:GetObject"
        };
        self.and(action, Target::Source)
    }
}

/// The actions that an operation needs. The first is the operation's own.
///
/// What needs an object answers `NoSuchKey` for a key that is not there only to those who may also
/// `s3:ListBucket` with that key as `s3:prefix`; that is asked for separately.
pub fn requirements(operation: Operation, facts: &RequestFacts) -> Requirements {
    use Operation as O;
    match operation {
        O::ListBuckets => Requirements::one("s3:ListAllMyBuckets", Target::Service),
        O::ListDirectoryBuckets => {
            Requirements::one("s3express:ListAllMyDirectoryBuckets", Target::Service)
        }

        O::CreateBucket => Requirements::one("s3:CreateBucket", Target::Bucket)
            .and_if(facts.acl, "s3:PutBucketAcl")
            .and_if(
                facts.object_lock_bucket,
                "s3:PutBucketObjectLockConfiguration",
            )
            .and_if(facts.object_lock_bucket, "s3:PutBucketVersioning")
            .and_if(facts.object_ownership, "s3:PutBucketOwnershipControls")
            .and_if(facts.tags, "s3:TagResource"),

        // One action on the bucket, whatever the request brings.
        O::ListObjects
        | O::ListObjectsV2
        | O::ListObjectVersions
        | O::ListMultipartUploads
        | O::HeadBucket
        | O::DeleteBucket
        | O::CreateSession
        | O::GetBucketAbac
        | O::PutBucketAbac
        | O::GetBucketAccelerateConfiguration
        | O::PutBucketAccelerateConfiguration
        | O::GetBucketAcl
        | O::PutBucketAcl
        | O::GetBucketAnalyticsConfiguration
        | O::ListBucketAnalyticsConfigurations
        | O::PutBucketAnalyticsConfiguration
        | O::DeleteBucketAnalyticsConfiguration
        | O::GetBucketIntelligentTieringConfiguration
        | O::ListBucketIntelligentTieringConfigurations
        | O::PutBucketIntelligentTieringConfiguration
        | O::DeleteBucketIntelligentTieringConfiguration
        | O::GetBucketInventoryConfiguration
        | O::ListBucketInventoryConfigurations
        | O::PutBucketInventoryConfiguration
        | O::DeleteBucketInventoryConfiguration
        | O::GetBucketMetricsConfiguration
        | O::ListBucketMetricsConfigurations
        | O::PutBucketMetricsConfiguration
        | O::DeleteBucketMetricsConfiguration
        | O::GetBucketCors
        | O::PutBucketCors
        | O::DeleteBucketCors
        | O::GetBucketEncryption
        | O::PutBucketEncryption
        | O::DeleteBucketEncryption
        | O::GetBucketLifecycleConfiguration
        | O::PutBucketLifecycleConfiguration
        | O::DeleteBucketLifecycle
        | O::GetBucketLocation
        | O::GetBucketLogging
        | O::PutBucketLogging
        | O::CreateBucketMetadataConfiguration
        | O::GetBucketMetadataConfiguration
        | O::DeleteBucketMetadataConfiguration
        | O::UpdateBucketMetadataInventoryTableConfiguration
        | O::UpdateBucketMetadataJournalTableConfiguration
        | O::CreateBucketMetadataTableConfiguration
        | O::GetBucketMetadataTableConfiguration
        | O::DeleteBucketMetadataTableConfiguration
        | O::GetBucketNotificationConfiguration
        | O::PutBucketNotificationConfiguration
        | O::GetObjectLockConfiguration
        | O::PutObjectLockConfiguration
        | O::GetBucketOwnershipControls
        | O::PutBucketOwnershipControls
        | O::DeleteBucketOwnershipControls
        | O::GetBucketPolicy
        | O::PutBucketPolicy
        | O::DeleteBucketPolicy
        | O::GetBucketPolicyStatus
        | O::GetPublicAccessBlock
        | O::PutPublicAccessBlock
        | O::DeletePublicAccessBlock
        | O::GetBucketReplication
        | O::PutBucketReplication
        | O::DeleteBucketReplication
        | O::GetBucketRequestPayment
        | O::PutBucketRequestPayment
        | O::GetBucketTagging
        | O::PutBucketTagging
        | O::DeleteBucketTagging
        | O::GetBucketVersioning
        | O::PutBucketVersioning
        | O::GetBucketWebsite
        | O::PutBucketWebsite
        | O::DeleteBucketWebsite => Requirements::one(operation.iam_action(), Target::Bucket),

        O::GetObject | O::HeadObject => {
            Requirements::versioned(facts, "s3:GetObject", "s3:GetObjectVersion")
        }
        // Select has no parameter for a version.
        O::SelectObjectContent => Requirements::object("s3:GetObject"),
        O::GetObjectAttributes => Requirements::versioned(
            facts,
            "s3:GetObjectAttributes",
            "s3:GetObjectVersionAttributes",
        )
        .and_if(!facts.version, "s3:GetObject")
        .and_if(facts.version, "s3:GetObjectVersion"),
        O::GetObjectAcl => {
            Requirements::versioned(facts, "s3:GetObjectAcl", "s3:GetObjectVersionAcl")
        }
        O::PutObjectAcl => {
            Requirements::versioned(facts, "s3:PutObjectAcl", "s3:PutObjectVersionAcl")
        }
        O::GetObjectTagging => {
            Requirements::versioned(facts, "s3:GetObjectTagging", "s3:GetObjectVersionTagging")
        }
        O::PutObjectTagging => {
            Requirements::versioned(facts, "s3:PutObjectTagging", "s3:PutObjectVersionTagging")
        }
        O::DeleteObjectTagging => Requirements::versioned(
            facts,
            "s3:DeleteObjectTagging",
            "s3:DeleteObjectVersionTagging",
        ),
        O::GetObjectTorrent => {
            Requirements::versioned(facts, "s3:GetObjectTorrent", "s3:GetObjectVersionTorrent")
        }
        O::GetObjectLegalHold => Requirements::object("s3:GetObjectLegalHold"),
        O::PutObjectLegalHold => Requirements::object("s3:PutObjectLegalHold"),
        O::GetObjectRetention => Requirements::object("s3:GetObjectRetention"),
        O::PutObjectRetention => Requirements::object("s3:PutObjectRetention")
            .and_if(facts.bypass_governance, "s3:BypassGovernanceRetention"),
        O::RestoreObject => Requirements::object("s3:RestoreObject"),
        O::UpdateObjectEncryption => Requirements::object("s3:UpdateObjectEncryption"),

        O::DeleteObject | O::DeleteObjects => {
            Requirements::versioned(facts, "s3:DeleteObject", "s3:DeleteObjectVersion")
                .and_if(facts.bypass_governance, "s3:BypassGovernanceRetention")
                .and_if(facts.if_match && !facts.version, "s3:GetObject")
                .and_if(facts.if_match && facts.version, "s3:GetObjectVersion")
        }

        O::PutObject | O::PostObject => Requirements::object("s3:PutObject")
            .and_settings(facts)
            .and_if(facts.if_match, "s3:GetObject"),
        O::CreateMultipartUpload => Requirements::object("s3:PutObject").and_settings(facts),
        O::UploadPart => Requirements::object("s3:PutObject"),
        O::UploadPartCopy => Requirements::object("s3:PutObject").and_source(facts),
        O::CompleteMultipartUpload => {
            Requirements::object("s3:PutObject").and_if(facts.if_match, "s3:GetObject")
        }
        O::AbortMultipartUpload => Requirements::object("s3:AbortMultipartUpload"),
        O::ListParts => Requirements::object("s3:ListMultipartUploadParts"),

        O::CopyObject => {
            let tags_of_source = if facts.source_version {
                "s3:GetObjectVersionTagging"
            } else {
                "s3:GetObjectTagging"
            };
            let writes_tags = facts.tags || facts.copies_tags;
            let settings = RequestFacts {
                tags: writes_tags,
                ..*facts
            };
            let requirements = Requirements::object("s3:PutObject")
                .and_settings(&settings)
                .and_if(facts.if_match, "s3:GetObject")
                .and_source(facts);
            if facts.copies_tags {
                return requirements.and(tags_of_source, Target::Source);
            }
            requirements
        }
        // S3 has it for directory buckets only, whose sessions allow all or nothing. It moves what
        // is there to a key that others may read.
        O::RenameObject => Requirements::object("s3:PutObject")
            .and("s3:GetObject", Target::Source)
            .and("s3:DeleteObject", Target::Source),
    }
}

#[cfg(test)]
mod tests {
    use oncilla_wire::operation::Level;

    use super::super::actions::{ResourceKind, action_info};
    use super::*;

    fn every_fact() -> RequestFacts {
        RequestFacts {
            version: true,
            source_version: true,
            copies_tags: true,
            acl: true,
            tags: true,
            retention: true,
            legal_hold: true,
            bypass_governance: true,
            if_match: true,
            object_lock_bucket: true,
            object_ownership: true,
        }
    }

    #[test]
    fn every_action_exists_and_is_done_to_what_the_table_says() {
        for operation in Operation::ALL {
            let of_directory_buckets = [Operation::CreateSession, Operation::ListDirectoryBuckets];
            if of_directory_buckets.contains(operation) {
                // They are not here.
                continue;
            }
            for facts in [RequestFacts::default(), every_fact()] {
                for requirement in &*requirements(*operation, &facts) {
                    let info = action_info(requirement.action);
                    let expected = match requirement.target {
                        Target::Service => ResourceKind::Service,
                        Target::Bucket => ResourceKind::Bucket,
                        Target::Object | Target::NewObject | Target::Source => ResourceKind::Object,
                    };
                    let found = info.map(|info| info.resource);
                    assert_eq!(found, Some(expected), "{operation} {requirement:?}");
                }
            }
        }
    }

    #[test]
    fn without_facts_the_first_is_the_action_of_the_operation_table() {
        for operation in Operation::ALL {
            let found = requirements(*operation, &RequestFacts::default());
            assert_eq!(found[0].action, operation.iam_action(), "{operation}");
            let level = match found[0].target {
                Target::Service => Level::Service,
                Target::Bucket => Level::Bucket,
                Target::Object | Target::NewObject | Target::Source => Level::Object,
            };
            let of_bucket = [Operation::DeleteObjects, Operation::PostObject];
            if !of_bucket.contains(operation) {
                assert_eq!(level, operation.level(), "{operation}");
            }
        }
    }

    #[test]
    fn facts_add_actions() {
        let names = |operation, facts: &RequestFacts| {
            requirements(operation, facts)
                .iter()
                .map(|found| (found.action.trim_start_matches("s3:"), found.target))
                .collect::<Vec<_>>()
        };
        let none = RequestFacts::default();
        let object = Target::Object;
        let source = Target::Source;
        assert_eq!(names(Operation::GetObject, &none), [("GetObject", object)]);
        let version = RequestFacts {
            version: true,
            ..none
        };
        assert_eq!(
            names(Operation::GetObjectAttributes, &version),
            [
                ("GetObjectVersionAttributes", object),
                ("GetObjectVersion", object)
            ]
        );
        let bypass = RequestFacts {
            bypass_governance: true,
            ..version
        };
        assert_eq!(
            names(Operation::DeleteObject, &bypass),
            [
                ("DeleteObjectVersion", object),
                ("BypassGovernanceRetention", object)
            ]
        );
        let all = every_fact();
        assert_eq!(
            names(Operation::CopyObject, &all),
            [
                ("PutObject", object),
                ("PutObjectAcl", Target::NewObject),
                ("PutObjectTagging", Target::NewObject),
                ("PutObjectRetention", object),
                ("PutObjectLegalHold", object),
                ("GetObject", object),
                ("GetObjectVersion", source),
                ("GetObjectVersionTagging", source),
            ]
        );
        assert_eq!(
            names(Operation::UploadPartCopy, &none),
            [("PutObject", object), ("GetObject", source)]
        );
    }
}
