//! `AccessControlPolicy`: the answer of GetBucketAcl and GetObjectAcl, made from a canned ACL.

use super::Owner;
use super::writer::XmlWriter;
use crate::error::S3Error;

/// The group of everybody, with or without an account. Source: S3 user guide, "Amazon S3
/// predefined groups".
pub const ALL_USERS: &str = "http://acs.amazonaws.com/groups/global/AllUsers";
/// The group of everybody with an account, whichever.
pub const AUTHENTICATED_USERS: &str = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers";

/// The canned ACLs of S3 (`x-amz-acl`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CannedAcl {
    /// The owner alone.
    #[default]
    Private,
    /// Anybody reads.
    PublicRead,
    /// Anybody reads and writes.
    PublicReadWrite,
    /// Anybody with an account reads.
    AuthenticatedRead,
    /// The bucket's owner reads the object too.
    BucketOwnerRead,
    /// The bucket's owner has full control of the object too.
    BucketOwnerFullControl,
}

impl CannedAcl {
    /// The name in the header.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::PublicRead => "public-read",
            Self::PublicReadWrite => "public-read-write",
            Self::AuthenticatedRead => "authenticated-read",
            Self::BucketOwnerRead => "bucket-owner-read",
            Self::BucketOwnerFullControl => "bucket-owner-full-control",
        }
    }

    /// Reads the header's value, or `InvalidArgument`.
    pub fn parse(value: &str) -> Result<Self, S3Error> {
        [
            Self::Private,
            Self::PublicRead,
            Self::PublicReadWrite,
            Self::AuthenticatedRead,
            Self::BucketOwnerRead,
            Self::BucketOwnerFullControl,
        ]
        .into_iter()
        .find(|acl| acl.as_str() == value)
        .ok_or_else(|| S3Error::invalid_argument("x-amz-acl", value, "Invalid canned ACL."))
    }
}

/// Writes the policy that a canned ACL stands for. `bucket_owner` matters to an object whose bucket
/// belongs to somebody else; pass the same owner otherwise.
pub fn to_xml(owner: &Owner<'_>, acl: CannedAcl, bucket_owner: &Owner<'_>) -> Vec<u8> {
    let mut xml = XmlWriter::with_capacity(1024);
    xml.open_root("AccessControlPolicy");
    owner.write(&mut xml, "Owner");
    xml.open("AccessControlList");
    // Groups first: ceph/s3-tests, check_grants, cannot sort a group that follows a user.
    match acl {
        CannedAcl::PublicRead => grant_group(&mut xml, ALL_USERS, "READ"),
        CannedAcl::PublicReadWrite => {
            grant_group(&mut xml, ALL_USERS, "READ");
            grant_group(&mut xml, ALL_USERS, "WRITE");
        }
        CannedAcl::AuthenticatedRead => grant_group(&mut xml, AUTHENTICATED_USERS, "READ"),
        CannedAcl::Private | CannedAcl::BucketOwnerRead | CannedAcl::BucketOwnerFullControl => {}
    }
    grant_user(&mut xml, owner, "FULL_CONTROL");
    match acl {
        CannedAcl::BucketOwnerRead if bucket_owner.id != owner.id => {
            grant_user(&mut xml, bucket_owner, "READ");
        }
        CannedAcl::BucketOwnerFullControl if bucket_owner.id != owner.id => {
            grant_user(&mut xml, bucket_owner, "FULL_CONTROL");
        }
        _ => {}
    }
    xml.close("AccessControlList");
    xml.close("AccessControlPolicy");
    xml.finish()
}

fn grant_user(xml: &mut XmlWriter, user: &Owner<'_>, permission: &str) {
    open_grantee(xml, "CanonicalUser");
    user.write_content(xml);
    close_grantee(xml, permission);
}

fn grant_group(xml: &mut XmlWriter, uri: &str, permission: &str) {
    open_grantee(xml, "Group");
    xml.text("URI", uri);
    close_grantee(xml, permission);
}

fn open_grantee(xml: &mut XmlWriter, grantee_type: &str) {
    xml.open("Grant");
    xml.raw("<Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"");
    xml.raw(grantee_type);
    xml.raw("\">");
}

fn close_grantee(xml: &mut XmlWriter, permission: &str) {
    xml.close("Grantee");
    xml.text("Permission", permission);
    xml.close("Grant");
}
