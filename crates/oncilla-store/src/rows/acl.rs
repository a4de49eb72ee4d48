//! How ACLs are written into records: a canned one as a number, a list of grants as one field.

use bytes::{BufMut, BytesMut};
use oncilla_wire::xml::acl::{Acl, CannedAcl, Grant, Grantee, Group, Permission};

use super::codec::{DecodeError, Field, FieldWriter};

/// The number of an ACL in records; never changes its meaning.
pub fn acl_number(acl: CannedAcl) -> u64 {
    match acl {
        CannedAcl::Private => 0,
        CannedAcl::PublicRead => 1,
        CannedAcl::PublicReadWrite => 2,
        CannedAcl::AuthenticatedRead => 3,
        CannedAcl::BucketOwnerRead => 4,
        CannedAcl::BucketOwnerFullControl => 5,
        CannedAcl::LogDeliveryWrite => 6,
        CannedAcl::AwsExecRead => 7,
    }
}

/// Reads what [`acl_number`] gave.
pub fn decode_acl(field: Field) -> Result<CannedAcl, DecodeError> {
    let error = field.error("unknown canned ACL");
    match field.number()? {
        0 => Ok(CannedAcl::Private),
        1 => Ok(CannedAcl::PublicRead),
        2 => Ok(CannedAcl::PublicReadWrite),
        3 => Ok(CannedAcl::AuthenticatedRead),
        4 => Ok(CannedAcl::BucketOwnerRead),
        5 => Ok(CannedAcl::BucketOwnerFullControl),
        6 => Ok(CannedAcl::LogDeliveryWrite),
        7 => Ok(CannedAcl::AwsExecRead),
        _ => Err(error),
    }
}

/// What the bytes of a grantee are.
mod grantee {
    pub const ACCOUNT: u8 = 0;
    pub const GROUP: u8 = 1;
}

/// Writes an ACL: a canned one under `canned_tag`, grants under `grants_tag`. A reader that does not
/// know the grants sees a private object.
pub fn write_acl(writer: &mut FieldWriter, canned_tag: u64, grants_tag: u64, acl: &Acl) {
    match acl {
        Acl::Canned(canned) => writer.number(canned_tag, acl_number(*canned)),
        Acl::Grants(grants) => writer.bytes(grants_tag, &encode_grants(grants)),
    }
}

/// Each grant is its permission, the kind of grantee, the length of what names it, and that.
fn encode_grants(grants: &[Grant<'_>]) -> BytesMut {
    let mut field = BytesMut::with_capacity(grants.len() * (3 + 64));
    for grant in grants {
        let group_number;
        let (kind, name) = match &grant.grantee {
            Grantee::Account(id) => (grantee::ACCOUNT, id.as_bytes()),
            Grantee::Group(group) => {
                group_number = [group_number_of(*group)];
                (grantee::GROUP, &group_number[..])
            }
        };
        field.put_u8(permission_number(grant.permission));
        field.put_u8(kind);
        // A canonical user id has 64 bytes.
        let name = &name[..name.len().min(usize::from(u8::MAX))];
        field.put_u8(name.len() as u8);
        field.put_slice(name);
    }
    field
}

/// Reads what [`write_acl`] wrote of grants.
pub fn decode_grants(field: &Field) -> Result<Acl, DecodeError> {
    let error = || field.error("bad grants");
    let mut rest = field.value;
    let mut grants = Vec::new();
    while let [permission, kind, length, after @ ..] = rest {
        let (name, after) = after
            .split_at_checked(usize::from(*length))
            .ok_or_else(error)?;
        let grantee = match (*kind, name) {
            (grantee::ACCOUNT, id) => {
                let id = std::str::from_utf8(id).map_err(|_| error())?;
                Grantee::Account(id.to_owned().into())
            }
            (grantee::GROUP, [number]) => {
                Grantee::Group(group_of_number(*number).ok_or_else(error)?)
            }
            _ => return Err(error()),
        };
        grants.push(Grant {
            grantee,
            permission: permission_of_number(*permission).ok_or_else(error)?,
        });
        rest = after;
    }
    if !rest.is_empty() {
        return Err(error());
    }
    Ok(Acl::Grants(grants))
}

/// The number of a permission in records; never changes its meaning.
fn permission_number(permission: Permission) -> u8 {
    match permission {
        Permission::FullControl => 1,
        Permission::Read => 2,
        Permission::Write => 3,
        Permission::ReadAcp => 4,
        Permission::WriteAcp => 5,
    }
}

fn permission_of_number(number: u8) -> Option<Permission> {
    let mut all = Permission::ALL.into_iter();
    all.find(|permission| permission_number(*permission) == number)
}

/// The number of a group in records; never changes its meaning.
fn group_number_of(group: Group) -> u8 {
    match group {
        Group::AllUsers => 1,
        Group::AuthenticatedUsers => 2,
        Group::LogDelivery => 3,
    }
}

fn group_of_number(number: u8) -> Option<Group> {
    let mut all = Group::ALL.into_iter();
    all.find(|group| group_number_of(*group) == number)
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    /// Any canned ACL.
    pub fn canned_acls() -> impl Strategy<Value = CannedAcl> {
        select(&CannedAcl::ALL[..])
    }

    /// Any ACL.
    pub fn acls() -> impl Strategy<Value = Acl> {
        let account = "[0-9a-f]{0,64}".prop_map(|id| Grantee::Account(id.into()));
        let grantee = prop_oneof![account, select(&Group::ALL[..]).prop_map(Grantee::Group)];
        let grant = (grantee, select(&Permission::ALL[..]));
        let grant = grant.prop_map(|(grantee, permission)| Grant {
            grantee,
            permission,
        });
        prop_oneof![
            canned_acls().prop_map(Acl::Canned),
            proptest::collection::vec(grant, 0..5).prop_map(Acl::Grants),
        ]
    }
}
