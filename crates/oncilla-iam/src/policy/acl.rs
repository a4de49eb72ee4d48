//! What access control lists allow, in the words of policies.
//! Source: S3 user guide, "Access control list (ACL) overview", "Mapping of ACL permissions and access
//! policy permissions".

use oncilla_wire::xml::acl::{Acl, Grantee, Group, Permission};

use super::evaluate::{AclGrant, Caller};

/// The service that writes access logs, which is the member of the group of log delivery.
const LOGGING_SERVICE: &str = "logging.s3.amazonaws.com";

/// The permission in a bucket's ACL that covers an action.
///
/// `WRITE` lets others write objects; it lets them delete only what is their own, which
/// whoever asks has to know.
pub fn bucket_permission(action: &str) -> Option<Permission> {
    Some(match action {
        "s3:ListBucket" | "s3:ListBucketVersions" | "s3:ListBucketMultipartUploads" => {
            Permission::Read
        }
        "s3:PutObject"
        | "s3:DeleteObject"
        | "s3:AbortMultipartUpload"
        | "s3:ListMultipartUploadParts" => Permission::Write,
        "s3:GetBucketAcl" => Permission::ReadAcp,
        "s3:PutBucketAcl" => Permission::WriteAcp,
        _ => return None,
    })
}

/// The permission in an object's ACL that covers an action.
pub fn object_permission(action: &str) -> Option<Permission> {
    Some(match action {
        "s3:GetObject" | "s3:GetObjectVersion" | "s3:GetObjectTorrent" => Permission::Read,
        "s3:GetObjectAcl" | "s3:GetObjectVersionAcl" => Permission::ReadAcp,
        "s3:PutObjectAcl" | "s3:PutObjectVersionAcl" => Permission::WriteAcp,
        _ => return None,
    })
}

/// What an ACL gives the caller of a permission. `owner` is the account whose the thing is, and
/// `bucket_owner` the one whose the bucket is. Without `public`, what is given to everybody or to
/// everybody with an account does not count (`IgnorePublicAcls`).
pub fn acl_grant(
    acl: &Acl,
    owner: &str,
    bucket_owner: &str,
    caller: &Caller<'_>,
    permission: Permission,
    public: bool,
) -> AclGrant {
    let mut found = AclGrant::None;
    for grant in acl.grants(owner, bucket_owner).iter() {
        if !grant.permission.includes(permission) {
            continue;
        }
        match (&grant.grantee, caller) {
            (Grantee::Group(Group::AllUsers), _) if public => return AclGrant::Everyone,
            (Grantee::Group(Group::AuthenticatedUsers), Caller::Identity(_)) if public => {
                return AclGrant::Everyone;
            }
            (Grantee::Group(Group::LogDelivery), Caller::Service(LOGGING_SERVICE)) => {
                return AclGrant::Everyone;
            }
            (Grantee::Account(id), Caller::Identity(identity)) if id == identity.canonical_user => {
                found = AclGrant::Account;
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use oncilla_wire::xml::acl::{CannedAcl, Grant};

    use super::super::evaluate::{CallerKind, Identity};
    use super::*;

    const OWNER: &str = "owner";

    fn account(id: &str) -> Caller<'_> {
        Caller::Identity(Identity {
            kind: CallerKind::User,
            account: id,
            tags: &[],
            canonical_user: id,
            arn: "arn:aws:iam::x:user/u",
            role_arn: None,
            user_name: None,
            user_id: "u",
        })
    }

    #[test]
    fn canned_acls_give_what_they_say() {
        use AclGrant::{Account, Everyone, None as Nothing};
        use Permission::{Read, ReadAcp, Write};
        let logging = Caller::Service(LOGGING_SERVICE);
        let table = [
            (CannedAcl::Private, Caller::Anonymous, Read, Nothing),
            (CannedAcl::Private, account("other"), Read, Nothing),
            (CannedAcl::Private, account(OWNER), ReadAcp, Account),
            (CannedAcl::PublicRead, Caller::Anonymous, Read, Everyone),
            (CannedAcl::PublicRead, account("other"), Read, Everyone),
            (CannedAcl::PublicRead, account("other"), Write, Nothing),
            (CannedAcl::PublicRead, account("other"), ReadAcp, Nothing),
            (
                CannedAcl::PublicReadWrite,
                Caller::Anonymous,
                Write,
                Everyone,
            ),
            (
                CannedAcl::AuthenticatedRead,
                Caller::Anonymous,
                Read,
                Nothing,
            ),
            (
                CannedAcl::AuthenticatedRead,
                account("other"),
                Read,
                Everyone,
            ),
            (
                CannedAcl::BucketOwnerRead,
                account("bucket-owner"),
                Read,
                Account,
            ),
            (
                CannedAcl::BucketOwnerRead,
                account("bucket-owner"),
                ReadAcp,
                Nothing,
            ),
            (
                CannedAcl::BucketOwnerFullControl,
                account("bucket-owner"),
                ReadAcp,
                Account,
            ),
            (CannedAcl::LogDeliveryWrite, logging, Write, Everyone),
            (
                CannedAcl::LogDeliveryWrite,
                Caller::Service("other"),
                Write,
                Nothing,
            ),
            (
                CannedAcl::LogDeliveryWrite,
                account("other"),
                Write,
                Nothing,
            ),
        ];
        for (canned, caller, permission, expected) in table {
            let acl = Acl::Canned(canned);
            let found = acl_grant(&acl, OWNER, "bucket-owner", &caller, permission, true);
            assert_eq!(found, expected, "{canned:?} {caller:?} {permission:?}");
            if expected == Everyone && canned != CannedAcl::LogDeliveryWrite {
                let ignored = acl_grant(&acl, OWNER, "bucket-owner", &caller, permission, false);
                assert_eq!(ignored, Nothing, "{canned:?} {caller:?} {permission:?}");
            }
        }
    }

    #[test]
    fn full_control_is_everything_and_no_grant_is_nothing() {
        let grant = Grant {
            grantee: Grantee::Account("other".into()),
            permission: Permission::FullControl,
        };
        for permission in Permission::ALL {
            let acl = Acl::Grants(vec![grant.clone()]);
            let found = acl_grant(&acl, OWNER, OWNER, &account("other"), permission, true);
            assert_eq!(found, AclGrant::Account);
            let none = Acl::Grants(Vec::new());
            let found = acl_grant(&none, OWNER, OWNER, &account(OWNER), permission, true);
            assert_eq!(found, AclGrant::None);
        }
    }
}
