//! Access control lists: canned ones (`x-amz-acl`), lists of grants (`x-amz-grant-…`,
//! `AccessControlPolicy`), and the document that is the answer of GetBucketAcl and GetObjectAcl.
//! Source: S3 user guide, "Access control list (ACL) overview".

use std::borrow::Cow;

use super::Owner;
use super::reader::{XmlReader, malformed};
use super::writer::XmlWriter;
use crate::error::{S3Error, S3ErrorCode};

/// Most grants of an ACL. Source: S3 user guide, "Access control list (ACL) overview".
pub const GRANTS_MAX: usize = 100;

/// The largest document worth reading: 100 grants, each of which takes less than 600 bytes.
pub const MAX_ACL_BODY_BYTES: usize = 64 * 1024;

/// The canned ACLs of S3 (`x-amz-acl`). Source: S3 user guide, "Canned ACL".
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
    /// The service that writes access logs may write them here.
    LogDeliveryWrite,
    /// Amazon EC2 reads machine images, which there is nobody for here: as private.
    AwsExecRead,
}

impl CannedAcl {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Private,
        Self::PublicRead,
        Self::PublicReadWrite,
        Self::AuthenticatedRead,
        Self::BucketOwnerRead,
        Self::BucketOwnerFullControl,
        Self::LogDeliveryWrite,
        Self::AwsExecRead,
    ];

    /// The name in the header.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::PublicRead => "public-read",
            Self::PublicReadWrite => "public-read-write",
            Self::AuthenticatedRead => "authenticated-read",
            Self::BucketOwnerRead => "bucket-owner-read",
            Self::BucketOwnerFullControl => "bucket-owner-full-control",
            Self::LogDeliveryWrite => "log-delivery-write",
            Self::AwsExecRead => "aws-exec-read",
        }
    }

    /// Reads the header's value, or `InvalidArgument`.
    pub fn parse(value: &str) -> Result<Self, S3Error> {
        Self::ALL
            .into_iter()
            .find(|acl| acl.as_str() == value)
            .ok_or_else(|| S3Error::invalid_argument("x-amz-acl", value, "Invalid canned ACL."))
    }
}

/// The groups of S3. Source: S3 user guide, "Amazon S3 predefined groups".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Everybody, with or without an account.
    AllUsers,
    /// Everybody with an account, whichever.
    AuthenticatedUsers,
    /// The service that writes access logs.
    LogDelivery,
}

impl Group {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::AllUsers, Self::AuthenticatedUsers, Self::LogDelivery];

    /// The name on the wire.
    pub fn uri(self) -> &'static str {
        match self {
            Self::AllUsers => "http://acs.amazonaws.com/groups/global/AllUsers",
            Self::AuthenticatedUsers => "http://acs.amazonaws.com/groups/global/AuthenticatedUsers",
            Self::LogDelivery => "http://acs.amazonaws.com/groups/s3/LogDelivery",
        }
    }

    /// The group of this name.
    pub fn from_uri(uri: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|group| group.uri() == uri)
    }
}

/// What a grant permits. Source: S3 user guide, "What permissions can I grant?".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Everything.
    FullControl,
    /// A bucket: listing it. An object: reading it.
    Read,
    /// A bucket: writing objects into it. Nothing on an object.
    Write,
    /// Reading the ACL.
    ReadAcp,
    /// Writing the ACL.
    WriteAcp,
}

impl Permission {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::FullControl,
        Self::Read,
        Self::Write,
        Self::ReadAcp,
        Self::WriteAcp,
    ];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FullControl => "FULL_CONTROL",
            Self::Read => "READ",
            Self::Write => "WRITE",
            Self::ReadAcp => "READ_ACP",
            Self::WriteAcp => "WRITE_ACP",
        }
    }

    /// Whether who has this one has the other.
    pub fn includes(self, other: Self) -> bool {
        self == Self::FullControl || self == other
    }

    fn parse(text: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|permission| permission.as_str() == text)
    }
}

/// Whom a grant is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grantee<'a> {
    /// An account by its canonical user id.
    Account(Cow<'a, str>),
    /// A group.
    Group(Group),
}

/// A permission for somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant<'a> {
    /// For whom.
    pub grantee: Grantee<'a>,
    /// What.
    pub permission: Permission,
}

/// An ACL as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acl {
    /// One that was set by its name; whom it means depends on whose the thing is.
    Canned(CannedAcl),
    /// Exactly these grants, of which there may be none.
    Grants(Vec<Grant<'static>>),
}

impl Default for Acl {
    fn default() -> Self {
        Self::Canned(CannedAcl::Private)
    }
}

impl From<CannedAcl> for Acl {
    fn from(canned: CannedAcl) -> Self {
        Self::Canned(canned)
    }
}

impl Acl {
    /// What it grants on something of `owner`'s in a bucket of `bucket_owner`'s.
    pub fn grants<'a>(&'a self, owner: &'a str, bucket_owner: &'a str) -> Vec<Grant<'a>> {
        let canned = match self {
            Self::Grants(grants) => return grants.clone(),
            Self::Canned(canned) => *canned,
        };
        let group = |group, permission| Grant {
            grantee: Grantee::Group(group),
            permission,
        };
        let account = |id: &'a str, permission| Grant {
            grantee: Grantee::Account(Cow::Borrowed(id)),
            permission,
        };
        use Group::{AllUsers, AuthenticatedUsers, LogDelivery};
        use Permission::{FullControl, Read, ReadAcp, Write};
        let mut grants = vec![account(owner, FullControl)];
        match canned {
            CannedAcl::Private | CannedAcl::AwsExecRead => {}
            CannedAcl::PublicRead => grants.push(group(AllUsers, Read)),
            CannedAcl::PublicReadWrite => {
                grants.extend([group(AllUsers, Read), group(AllUsers, Write)]);
            }
            CannedAcl::AuthenticatedRead => grants.push(group(AuthenticatedUsers, Read)),
            CannedAcl::BucketOwnerRead if owner != bucket_owner => {
                grants.push(account(bucket_owner, Read));
            }
            CannedAcl::BucketOwnerFullControl if owner != bucket_owner => {
                grants.push(account(bucket_owner, FullControl));
            }
            CannedAcl::BucketOwnerRead | CannedAcl::BucketOwnerFullControl => {}
            CannedAcl::LogDeliveryWrite => {
                grants.extend([group(LogDelivery, Write), group(LogDelivery, ReadAcp)]);
            }
        }
        grants
    }

    /// Whether S3 calls it public: it grants anything to everybody, or to everybody with an account.
    /// Source: S3 user guide, "Blocking public access", "The meaning of public".
    pub fn is_public(&self) -> bool {
        let of_all = |grant: &Grant<'_>| {
            matches!(
                grant.grantee,
                Grantee::Group(Group::AllUsers | Group::AuthenticatedUsers)
            )
        };
        match self {
            Self::Canned(canned) => matches!(
                canned,
                CannedAcl::PublicRead | CannedAcl::PublicReadWrite | CannedAcl::AuthenticatedRead
            ),
            Self::Grants(grants) => grants.iter().any(of_all),
        }
    }

    /// Whether it grants nothing to anybody but `owner`.
    pub fn is_private_to(&self, owner: &str) -> bool {
        let is_owners =
            |grant: &Grant<'_>| matches!(&grant.grantee, Grantee::Account(id) if id == owner);
        self.grants(owner, owner).iter().all(is_owners)
    }
}

/// A grantee as a client names it, not looked up yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamedGrantee {
    /// By canonical user id.
    Id(String),
    /// By e-mail address.
    Email(String),
    /// A group.
    Uri(String),
}

/// A grant as a client asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedGrant {
    /// For whom.
    pub grantee: NamedGrantee,
    /// What.
    pub permission: Permission,
}

/// `AccessControlPolicy` as a client sends it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessControlPolicy {
    /// The canonical user id of the owner, if it names one.
    pub owner: Option<String>,
    /// The grants in their order.
    pub grants: Vec<NamedGrant>,
}

impl AccessControlPolicy {
    /// Reads the document: `MalformedACLError` for one that is none.
    pub fn parse(document: &[u8]) -> Result<Self, S3Error> {
        Self::read(document).map_err(|error| match error.code {
            S3ErrorCode::MalformedXML => S3ErrorCode::MalformedACLError.into(),
            _ => error,
        })
    }

    fn read(document: &[u8]) -> Result<Self, S3Error> {
        let mut xml = XmlReader::open(document, &["AccessControlPolicy"])?;
        let (mut owner, mut grants) = (None, None);
        while let Some(name) = xml.child()? {
            match name {
                "Owner" => xml.once(&mut owner, read_owner_id)?,
                "AccessControlList" => xml.once(&mut grants, read_grants)?,
                _ => xml.skip()?,
            }
        }
        xml.finish()?;
        Ok(Self {
            owner: owner.flatten(),
            grants: grants.ok_or(S3ErrorCode::MalformedACLError)?,
        })
    }
}

fn read_owner_id(xml: &mut XmlReader<'_>) -> Result<Option<String>, S3Error> {
    let mut id = None;
    while let Some(name) = xml.child()? {
        match name {
            "ID" => xml.once(&mut id, XmlReader::value)?,
            _ => xml.skip()?,
        }
    }
    Ok(id)
}

fn read_grants(xml: &mut XmlReader<'_>) -> Result<Vec<NamedGrant>, S3Error> {
    let mut grants = Vec::new();
    while let Some(name) = xml.child()? {
        match name {
            "Grant" if grants.len() == GRANTS_MAX => {
                return Err(S3ErrorCode::MalformedACLError.into());
            }
            "Grant" => grants.push(read_grant(xml)?),
            _ => xml.skip()?,
        }
    }
    Ok(grants)
}

fn read_grant(xml: &mut XmlReader<'_>) -> Result<NamedGrant, S3Error> {
    let (mut grantee, mut permission) = (None, None);
    while let Some(name) = xml.child()? {
        match name {
            "Grantee" => xml.once(&mut grantee, read_grantee)?,
            "Permission" => xml.once(&mut permission, read_permission)?,
            _ => xml.skip()?,
        }
    }
    match (grantee, permission) {
        (Some(grantee), Some(permission)) => Ok(NamedGrant {
            grantee,
            permission,
        }),
        _ => Err(S3ErrorCode::MalformedACLError.into()),
    }
}

fn read_permission(xml: &mut XmlReader<'_>) -> Result<Permission, S3Error> {
    let permission = Permission::parse(&xml.value()?);
    permission.ok_or_else(|| malformed("There is no such Permission."))
}

/// The element that names the grantee says what kind it is; `xsi:type` says the same again.
fn read_grantee(xml: &mut XmlReader<'_>) -> Result<NamedGrantee, S3Error> {
    let mut grantee = None;
    while let Some(name) = xml.child()? {
        let named = match name {
            "ID" => NamedGrantee::Id(xml.value()?),
            "EmailAddress" => NamedGrantee::Email(xml.value()?),
            "URI" => NamedGrantee::Uri(xml.value()?),
            _ => {
                xml.skip()?;
                continue;
            }
        };
        if grantee.replace(named).is_some() {
            return Err(S3ErrorCode::MalformedACLError.into());
        }
    }
    grantee.ok_or_else(|| S3ErrorCode::MalformedACLError.into())
}

/// Reads the value of an `x-amz-grant-…` header: `id="…", emailAddress="…", uri="…"`, with or
/// without the quotes. `name` is the header's, for the error: `InvalidArgument`.
pub fn parse_grantees(name: &str, value: &str) -> Result<Vec<NamedGrantee>, S3Error> {
    let mut grantees = Vec::new();
    for item in value.split(',') {
        let grantee = item.trim().split_once('=').and_then(|(kind, text)| {
            let text = text.trim();
            let bare = text
                .strip_prefix('"')
                .and_then(|rest| rest.strip_suffix('"'));
            let text = bare.unwrap_or(text).to_owned();
            match kind.trim().to_ascii_lowercase().as_str() {
                "id" => Some(NamedGrantee::Id(text)),
                "emailaddress" => Some(NamedGrantee::Email(text)),
                "uri" => Some(NamedGrantee::Uri(text)),
                _ => None,
            }
        });
        let grantee = grantee.ok_or_else(|| {
            S3Error::invalid_argument(name, value, "Argument format not recognized")
        })?;
        grantees.push(grantee);
        if grantees.len() > GRANTS_MAX {
            return Err(S3ErrorCode::MalformedACLError.into());
        }
    }
    Ok(grantees)
}

/// Writes `AccessControlPolicy`. `name_of` has the display names of accounts; empty ones are left out.
pub fn to_xml(
    owner: &Owner<'_>,
    grants: &[Grant<'_>],
    name_of: impl Fn(&str) -> String,
) -> Vec<u8> {
    let mut xml = XmlWriter::with_capacity(1024);
    xml.open_root("AccessControlPolicy");
    owner.write(&mut xml, "Owner");
    xml.open("AccessControlList");
    // Groups first: ceph/s3-tests, check_grants, cannot sort a group that follows a user.
    for grant in grants {
        if let Grantee::Group(group) = &grant.grantee {
            open_grantee(&mut xml, "Group");
            xml.text("URI", group.uri());
            close_grantee(&mut xml, grant.permission);
        }
    }
    for grant in grants {
        if let Grantee::Account(id) = &grant.grantee {
            open_grantee(&mut xml, "CanonicalUser");
            let grantee = Owner {
                id: Cow::Borrowed(id),
                display_name: name_of(id).into(),
            };
            grantee.write_content(&mut xml);
            close_grantee(&mut xml, grant.permission);
        }
    }
    xml.close("AccessControlList");
    xml.close("AccessControlPolicy");
    xml.finish()
}

fn open_grantee(xml: &mut XmlWriter, grantee_type: &str) {
    xml.open("Grant");
    xml.raw("<Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"");
    xml.raw(grantee_type);
    xml.raw("\">");
}

fn close_grantee(xml: &mut XmlWriter, permission: Permission) {
    xml.close("Grantee");
    xml.text("Permission", permission.as_str());
    xml.close("Grant");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OWNER: &str = "0123";

    fn owner() -> Owner<'static> {
        Owner {
            id: OWNER.into(),
            display_name: "Ada".into(),
        }
    }

    fn named(grant: &Grant<'_>) -> NamedGrant {
        NamedGrant {
            grantee: match &grant.grantee {
                Grantee::Account(id) => NamedGrantee::Id(id.clone().into_owned()),
                Grantee::Group(group) => NamedGrantee::Uri(group.uri().to_owned()),
            },
            permission: grant.permission,
        }
    }

    #[test]
    fn the_document_of_every_canned_acl_reads_back() {
        for canned in CannedAcl::ALL {
            assert_eq!(CannedAcl::parse(canned.as_str()).unwrap(), canned);
            let acl = Acl::Canned(canned);
            let grants = acl.grants(OWNER, "4567");
            let document = to_xml(&owner(), &grants, |_| "Ada".to_owned());
            let read = AccessControlPolicy::parse(&document).unwrap();
            assert_eq!(read.owner.as_deref(), Some(OWNER));
            let mut expected: Vec<_> = grants.iter().map(named).collect();
            expected.sort_by_key(|grant| !matches!(grant.grantee, NamedGrantee::Uri(_)));
            assert_eq!(read.grants, expected, "{canned:?}");
        }
        assert!(CannedAcl::parse("public").is_err());
    }

    #[test]
    fn what_is_no_acl_is_refused() {
        let policy = |grants: &str| {
            format!(
                "<AccessControlPolicy><AccessControlList>{grants}</AccessControlList></AccessControlPolicy>"
            )
        };
        let grant = |grantee: &str, permission: &str| {
            format!(
                "<Grant><Grantee>{grantee}</Grantee><Permission>{permission}</Permission></Grant>"
            )
        };
        let one = grant("<ID>1</ID>", "READ");
        assert!(AccessControlPolicy::parse(policy("").as_bytes()).is_ok());
        assert!(AccessControlPolicy::parse(policy(&one.repeat(GRANTS_MAX)).as_bytes()).is_ok());
        for document in [
            policy(&one.repeat(GRANTS_MAX + 1)),
            policy(&grant("<ID>1</ID>", "read")),
            policy(&grant("", "READ")),
            policy(&grant("<ID>1</ID><URI>2</URI>", "READ")),
            policy("<Grant/>"),
            "<AccessControlPolicy/>".to_owned(),
            "<Other/>".to_owned(),
            "not XML".to_owned(),
        ] {
            let error = AccessControlPolicy::parse(document.as_bytes()).unwrap_err();
            assert_eq!(error.code, S3ErrorCode::MalformedACLError, "{document}");
        }
    }

    #[test]
    fn grantees_of_headers() {
        use NamedGrantee::{Email, Id, Uri};
        let text = |text: &str| text.to_owned();
        for (value, expected) in [
            ("id=1", vec![Id(text("1"))]),
            (
                r#"id="1", emailAddress="a@b" ,uri=http://x/y"#,
                vec![Id(text("1")), Email(text("a@b")), Uri(text("http://x/y"))],
            ),
        ] {
            assert_eq!(parse_grantees("x-amz-grant-read", value).unwrap(), expected);
        }
        for value in ["", "1", "name=x", "id=1,", "id=1,,id=2"] {
            let error = parse_grantees("x-amz-grant-read", value).unwrap_err();
            assert_eq!(error.code, S3ErrorCode::InvalidArgument, "{value}");
        }
    }

    #[test]
    fn public_and_private() {
        use CannedAcl::*;
        for canned in CannedAcl::ALL {
            let acl = Acl::Canned(canned);
            let is_public = matches!(canned, PublicRead | PublicReadWrite | AuthenticatedRead);
            assert_eq!(acl.is_public(), is_public, "{canned:?}");
            let as_grants = Acl::Grants(
                acl.grants(OWNER, OWNER)
                    .into_iter()
                    .map(|grant| Grant {
                        grantee: match grant.grantee {
                            Grantee::Account(id) => Grantee::Account(id.into_owned().into()),
                            Grantee::Group(group) => Grantee::Group(group),
                        },
                        permission: grant.permission,
                    })
                    .collect(),
            );
            assert_eq!(as_grants.is_public(), is_public, "{canned:?}");
            let is_private = !is_public && canned != LogDeliveryWrite;
            assert_eq!(acl.is_private_to(OWNER), is_private, "{canned:?}");
            assert_eq!(as_grants.is_private_to(OWNER), is_private, "{canned:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(document: Vec<u8>, value: String) {
            let _ = AccessControlPolicy::parse(&document);
            let _ = parse_grantees("x-amz-grant-read", &value);
        }
    }
}
