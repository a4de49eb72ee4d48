//! How a canned ACL is written into records.

use oncilla_wire::xml::acl::CannedAcl;

use super::codec::{DecodeError, Field};

/// The number of an ACL in records; never changes its meaning.
pub fn acl_number(acl: CannedAcl) -> u64 {
    match acl {
        CannedAcl::Private => 0,
        CannedAcl::PublicRead => 1,
        CannedAcl::PublicReadWrite => 2,
        CannedAcl::AuthenticatedRead => 3,
        CannedAcl::BucketOwnerRead => 4,
        CannedAcl::BucketOwnerFullControl => 5,
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
        _ => Err(error),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Any canned ACL.
    pub fn acls() -> impl Strategy<Value = CannedAcl> {
        prop_oneof![
            Just(CannedAcl::Private),
            Just(CannedAcl::PublicRead),
            Just(CannedAcl::PublicReadWrite),
            Just(CannedAcl::AuthenticatedRead),
            Just(CannedAcl::BucketOwnerRead),
            Just(CannedAcl::BucketOwnerFullControl),
        ]
    }
}
