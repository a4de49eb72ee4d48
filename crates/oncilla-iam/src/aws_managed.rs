//! Managed policies that every account has without creating them: those of AWS that concern storage
//! and access.
//! Source: AWS managed policy reference guide. Actions of services that are not here are left out.

use crate::arn::{self, AWS_ACCOUNT};
use crate::rows::UnknownFields;
use crate::rows::managed_policy::{ManagedPolicy, PolicyVersion};

/// A policy that every account has.
struct AwsManaged {
    name: &'static str,
    id: &'static str,
    description: &'static str,
    document: &'static str,
}

/// When AWS published the first of them, in milliseconds since 1970: 6 February 2015.
const PUBLISHED_MS: u64 = 1_423_247_964_000;

const ALL: &[AwsManaged] = &[
    AwsManaged {
        name: "AdministratorAccess",
        id: "ANPAIWMBCKSKIEE64ZLYK",
        description: "Provides full access to all services and resources.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#,
    },
    AwsManaged {
        name: "AmazonS3FullAccess",
        id: "ANPAIFIR6V6BVTRAHWINE",
        description: "Provides full access to all buckets.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*"],"Resource":"*"}]}"#,
    },
    AwsManaged {
        name: "AmazonS3ReadOnlyAccess",
        id: "ANPAIZTJ4DXE7G6AGAE6M",
        description: "Provides read only access to all buckets.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:Get*","s3:List*","s3:Describe*"],"Resource":"*"}]}"#,
    },
    AwsManaged {
        name: "IAMFullAccess",
        id: "ANPAI7XKCFMBPM3QQRRVQ",
        description: "Provides full access to users, groups, roles and policies.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:*"],"Resource":"*"}]}"#,
    },
    AwsManaged {
        name: "IAMReadOnlyAccess",
        id: "ANPAJKSO7NDY4T57MWDSQ",
        description: "Provides read only access to users, groups, roles and policies.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:Get*","iam:List*"],"Resource":"*"}]}"#,
    },
];

impl AwsManaged {
    fn policy(&self) -> ManagedPolicy {
        ManagedPolicy {
            id: self.id.to_owned(),
            name: self.name.to_owned(),
            path: "/".to_owned(),
            description: self.description.to_owned(),
            created_ms: PUBLISHED_MS,
            updated_ms: PUBLISHED_MS,
            default_version: 1,
            next_version: 2,
            versions: vec![PolicyVersion {
                number: 1,
                document: self.document.to_owned(),
                created_ms: PUBLISHED_MS,
            }],
            tags: Vec::new(),
            unknown: UnknownFields::new(),
        }
    }
}

/// The policy of this name, as it is written.
pub(crate) fn policy(name: &str) -> Option<ManagedPolicy> {
    let found = ALL.iter().find(|policy| policy.name == name);
    found.map(AwsManaged::policy)
}

/// All of them, by name.
pub(crate) fn policies() -> impl Iterator<Item = ManagedPolicy> {
    ALL.iter().map(AwsManaged::policy)
}

/// The ARN of one of them.
pub(crate) fn policy_arn(policy: &ManagedPolicy) -> String {
    arn::policy_arn(AWS_ACCOUNT, &policy.path, &policy.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Policy, PolicyKind};

    #[test]
    fn all_can_be_read_and_are_sorted() {
        let names: Vec<String> = policies().map(|policy| policy.name).collect();
        assert!(names.is_sorted());
        for policy in policies() {
            let document = &policy.default_document().unwrap().document;
            assert!(Policy::parse(document.as_bytes(), PolicyKind::Identity).is_ok());
            assert_eq!(super::policy(&policy.name), Some(policy));
        }
        assert_eq!(super::policy("amazons3fullaccess"), None);
    }
}
