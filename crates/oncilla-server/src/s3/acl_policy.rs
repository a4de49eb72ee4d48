//! `AccessControlPolicy` as a request's body: recognised if it says what a canned ACL says.
//!
//! Clients read an ACL, change it and write it back as a document (s3cmd does it for `setacl
//! --acl-public`), so the documents of canned ACLs are accepted in any order of their grants.

use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::xml::acl::{ALL_USERS, AUTHENTICATED_USERS, CannedAcl};
use oncilla_wire::xml::reader::XmlReader;

/// The largest policy worth reading: S3 allows 100 grants, and each takes less than 600 bytes.
/// Source: S3 user guide, "Access control list (ACL) overview".
pub const MAX_ACL_BODY_BYTES: u64 = 64 * 1024;

/// A policy as it was sent.
#[derive(Debug, Default)]
struct AccessControlPolicy {
    owner: Option<String>,
    grants: Vec<Grant>,
}

#[derive(Debug, Default)]
struct Grant {
    grantee: Grantee,
    permission: String,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Grantee {
    /// An account by its canonical id.
    Account(String),
    /// A group by its URI.
    Group(String),
    /// By e-mail address, or nobody.
    #[default]
    Other,
}

/// The canned ACL that a policy for something of `owner`'s stands for.
///
/// # Errors
/// `MalformedXML`; `AccessDenied` if the policy names another owner, since ownership cannot be given
/// away; `NotImplemented` if no canned ACL says the same.
pub fn canned_acl_of(document: &[u8], owner: &str) -> Result<CannedAcl, S3Error> {
    let policy = parse(document)?;
    if policy.owner.is_some_and(|named| named != owner) {
        return Err(S3ErrorCode::AccessDenied.into());
    }
    canned_acl_of_grants(&policy.grants, owner).ok_or_else(|| {
        let message = "Only policies that equal a canned ACL are implemented: private, \
                       public-read, public-read-write or authenticated-read. Nothing was changed.";
        S3Error::with_message(S3ErrorCode::NotImplemented, message)
    })
}

fn canned_acl_of_grants(grants: &[Grant], owner: &str) -> Option<CannedAcl> {
    let (mut owner_controls, mut all_read, mut all_write, mut accounts_read) =
        (false, false, false, false);
    for Grant {
        grantee,
        permission,
    } in grants
    {
        let granted = match (grantee, permission.as_str()) {
            (Grantee::Account(id), "FULL_CONTROL") if id == owner => &mut owner_controls,
            (Grantee::Group(uri), "READ") if uri == ALL_USERS => &mut all_read,
            (Grantee::Group(uri), "WRITE") if uri == ALL_USERS => &mut all_write,
            (Grantee::Group(uri), "READ") if uri == AUTHENTICATED_USERS => &mut accounts_read,
            _ => return None,
        };
        *granted = true;
    }
    match (owner_controls, all_read, all_write, accounts_read) {
        (true, false, false, false) => Some(CannedAcl::Private),
        (true, true, false, false) => Some(CannedAcl::PublicRead),
        (true, true, true, false) => Some(CannedAcl::PublicReadWrite),
        (true, false, false, true) => Some(CannedAcl::AuthenticatedRead),
        _ => None,
    }
}

fn parse(document: &[u8]) -> Result<AccessControlPolicy, S3Error> {
    let mut xml = XmlReader::open(document, &["AccessControlPolicy"])?;
    let mut policy = AccessControlPolicy::default();
    while let Some(name) = xml.child()? {
        match name {
            "Owner" => policy.owner = read_owner_id(&mut xml)?,
            "AccessControlList" => policy.grants = read_grants(&mut xml)?,
            _ => xml.skip()?,
        }
    }
    xml.finish()?;
    Ok(policy)
}

fn read_owner_id(xml: &mut XmlReader<'_>) -> Result<Option<String>, S3Error> {
    let mut id = None;
    while let Some(name) = xml.child()? {
        match name {
            "ID" => id = Some(xml.value()?),
            _ => xml.skip()?,
        }
    }
    Ok(id)
}

fn read_grants(xml: &mut XmlReader<'_>) -> Result<Vec<Grant>, S3Error> {
    let mut grants = Vec::new();
    while let Some(name) = xml.child()? {
        match name {
            "Grant" => grants.push(read_grant(xml)?),
            _ => xml.skip()?,
        }
    }
    Ok(grants)
}

fn read_grant(xml: &mut XmlReader<'_>) -> Result<Grant, S3Error> {
    let mut grant = Grant::default();
    while let Some(name) = xml.child()? {
        match name {
            "Grantee" => grant.grantee = read_grantee(xml)?,
            "Permission" => grant.permission = xml.value()?,
            _ => xml.skip()?,
        }
    }
    Ok(grant)
}

fn read_grantee(xml: &mut XmlReader<'_>) -> Result<Grantee, S3Error> {
    let mut grantee = Grantee::Other;
    while let Some(name) = xml.child()? {
        match name {
            "ID" => grantee = Grantee::Account(xml.value()?),
            "URI" => grantee = Grantee::Group(xml.value()?),
            _ => xml.skip()?,
        }
    }
    Ok(grantee)
}

#[cfg(test)]
mod tests {
    use oncilla_wire::xml::Owner;
    use oncilla_wire::xml::acl;
    use proptest::prelude::*;

    use super::*;

    const OWNER: &str = "0123";

    fn policy(grants: &str) -> Vec<u8> {
        let text = format!(
            "<AccessControlPolicy><Owner><ID>{OWNER}</ID></Owner>\
             <AccessControlList>{grants}</AccessControlList></AccessControlPolicy>"
        );
        text.into_bytes()
    }

    fn grant(grantee: &str, permission: &str) -> String {
        format!("<Grant><Grantee>{grantee}</Grantee><Permission>{permission}</Permission></Grant>")
    }

    fn code(document: &[u8]) -> S3ErrorCode {
        canned_acl_of(document, OWNER).unwrap_err().code
    }

    #[test]
    fn the_document_of_every_canned_acl_of_buckets_is_recognised() {
        let owner = Owner {
            id: OWNER.into(),
            display_name: "Ada".into(),
        };
        for canned in [
            CannedAcl::Private,
            CannedAcl::PublicRead,
            CannedAcl::PublicReadWrite,
            CannedAcl::AuthenticatedRead,
        ] {
            let document = acl::to_xml(&owner, canned, &owner);
            assert_eq!(canned_acl_of(&document, OWNER).unwrap(), canned);
            let error = canned_acl_of(&document, "4567").unwrap_err();
            assert_eq!(error.code, S3ErrorCode::AccessDenied);
        }
    }

    #[test]
    fn the_order_of_grants_and_their_repetition_mean_nothing() {
        let everybody = grant(&format!("<URI>{ALL_USERS}</URI>"), "READ");
        let own = grant(
            &format!("<DisplayName>Ada</DisplayName><ID>{OWNER}</ID>"),
            "FULL_CONTROL",
        );
        let document = policy(&[everybody.clone(), own, everybody].concat());
        assert_eq!(
            canned_acl_of(&document, OWNER).unwrap(),
            CannedAcl::PublicRead
        );
    }

    #[test]
    fn any_other_policy_is_refused() {
        let own = grant(&format!("<ID>{OWNER}</ID>"), "FULL_CONTROL");
        let others = [
            String::new(),
            grant(&format!("<ID>{OWNER}</ID>"), "READ"),
            grant(&format!("<URI>{ALL_USERS}</URI>"), "READ"),
            own.clone() + &grant("<ID>4567</ID>", "FULL_CONTROL"),
            own.clone() + &grant("<EmailAddress>a@b</EmailAddress>", "READ"),
            own.clone() + &grant(&format!("<URI>{ALL_USERS}</URI>"), "WRITE"),
            own.clone() + &grant(&format!("<URI>{ALL_USERS}</URI>"), "FULL_CONTROL"),
            own.clone() + &grant(&format!("<URI>{AUTHENTICATED_USERS}</URI>"), "WRITE"),
            own.clone() + "<Grant/>",
        ];
        for grants in others {
            assert_eq!(
                code(&policy(&grants)),
                S3ErrorCode::NotImplemented,
                "{grants}"
            );
        }
        assert_eq!(code(b"<Other/>"), S3ErrorCode::MalformedXML);
        assert_eq!(code(b"not XML"), S3ErrorCode::MalformedXML);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(document: Vec<u8>, grants in "[<>/GrantePmisoID]{0,60}") {
            let _ = canned_acl_of(&document, OWNER);
            let _ = canned_acl_of(&policy(&grants), OWNER);
        }
    }
}
