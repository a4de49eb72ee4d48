//! ACLs as requests set them: by name in `x-amz-acl`, as grants in `x-amz-grant-…`, or as a document;
//! and whose a new object is.

use http::{HeaderMap, HeaderName};
use oncilla_iam::IamError;
use oncilla_store::{Bucket, DocumentKind, NewDocument};
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::header::{
    X_AMZ_ACL, X_AMZ_GRANT_FULL_CONTROL, X_AMZ_GRANT_READ, X_AMZ_GRANT_READ_ACP, X_AMZ_GRANT_WRITE,
    X_AMZ_GRANT_WRITE_ACP,
};
use oncilla_wire::xml::acl::{
    AccessControlPolicy, Acl, CannedAcl, GRANTS_MAX, Grant, Grantee, Group, MAX_ACL_BODY_BYTES,
    NamedGrant, NamedGrantee, Permission, parse_grantees, to_xml,
};
use oncilla_wire::xml::ownership::ObjectOwnership;

use crate::s3::S3Service;
use crate::s3::access::BucketAccess;
use crate::s3::authenticate::iam_failure;
use crate::s3::body::read_document;
use crate::s3::bucket::put_document;
use crate::s3::request::S3Request;

/// The headers that grant, and what.
const GRANT_HEADERS: [(HeaderName, Permission); 5] = [
    (X_AMZ_GRANT_READ, Permission::Read),
    (X_AMZ_GRANT_WRITE, Permission::Write),
    (X_AMZ_GRANT_READ_ACP, Permission::ReadAcp),
    (X_AMZ_GRANT_WRITE_ACP, Permission::WriteAcp),
    (X_AMZ_GRANT_FULL_CONTROL, Permission::FullControl),
];

/// The headers that say which ACL something is to have.
pub fn acl_headers() -> impl Iterator<Item = HeaderName> {
    let grants = GRANT_HEADERS.into_iter().map(|(name, _)| name);
    std::iter::once(X_AMZ_ACL).chain(grants)
}

/// An ACL as headers name it, before it is looked up who that is.
enum NamedAcl {
    Canned(CannedAcl),
    Grants(Vec<NamedGrant>),
}

/// The ACL that headers name, if any. Errors are those of [`header_acl`] that the headers alone show.
fn named_acl(headers: &HeaderMap) -> Result<Option<NamedAcl>, S3Error> {
    let mut named = Vec::new();
    for (name, permission) in &GRANT_HEADERS {
        for value in headers.get_all(name) {
            let value = String::from_utf8_lossy(value.as_bytes());
            for grantee in parse_grantees(name.as_str(), &value)? {
                named.push(NamedGrant {
                    grantee,
                    permission: *permission,
                });
            }
        }
    }
    match headers.get(X_AMZ_ACL) {
        Some(_) if !named.is_empty() => {
            let message = "Specifying both Canned ACLs and Header Grants is not allowed";
            Err(S3Error::with_message(S3ErrorCode::InvalidRequest, message))
        }
        Some(value) => {
            let canned = CannedAcl::parse(&String::from_utf8_lossy(value.as_bytes()))?;
            Ok(Some(NamedAcl::Canned(canned)))
        }
        None if named.is_empty() => Ok(None),
        None => Ok(Some(NamedAcl::Grants(named))),
    }
}

/// The ACL that the headers ask for, if any.
///
/// # Errors
/// `InvalidArgument` for a name that is not a canned ACL's, a grantee that is none and a
/// header that cannot be read; `UnresolvableGrantByEmailAddress`; `InvalidRequest` for a canned ACL
/// and grants at once; `MalformedACLError` for more grants than an ACL can have.
pub async fn header_acl(service: &S3Service, request: &S3Request) -> Result<Option<Acl>, S3Error> {
    match named_acl(&request.headers)? {
        None => Ok(None),
        Some(NamedAcl::Canned(canned)) => Ok(Some(canned.into())),
        Some(NamedAcl::Grants(named)) => resolve(service, named).await.map(Some),
    }
}

/// Whether the headers of an upload open its object to nobody but its writer, if that has an account,
/// and the bucket's owner. Whom they name otherwise than by id counts as somebody else, and so does
/// what cannot be read.
pub fn opens_to_nobody_else(headers: &HeaderMap, writer: Option<&str>, bucket_owner: &str) -> bool {
    let is_one_of_them = |id: &str| id == bucket_owner || Some(id) == writer;
    match named_acl(headers) {
        Ok(None) => true,
        Ok(Some(NamedAcl::Canned(canned))) => {
            let acl = Acl::from(canned);
            let grants = acl.grants(writer.unwrap_or(bucket_owner), bucket_owner);
            grants.iter().all(|grant| match &grant.grantee {
                Grantee::Account(id) => is_one_of_them(id),
                Grantee::Group(_) => false,
            })
        }
        Ok(Some(NamedAcl::Grants(named))) => named.iter().all(|grant| match &grant.grantee {
            NamedGrantee::Id(id) => is_one_of_them(id),
            NamedGrantee::Email(_) | NamedGrantee::Uri(_) => false,
        }),
        Err(_) => false,
    }
}

/// What a PutBucketAcl or PutObjectAcl asks for.
pub struct RequestedAcl {
    /// Whom it names may not be there; that is told after whose the thing is.
    acl: Result<Acl, S3Error>,
    /// Whose it says that the thing is.
    owner: Option<String>,
}

impl RequestedAcl {
    /// The ACL of something that is `owner`'s.
    ///
    /// # Errors
    /// `AccessDenied` if it names another owner, since ownership cannot be given away; those of
    /// grantees that do not exist, as [`header_acl`].
    pub fn of(&self, owner: &str) -> Result<&Acl, S3Error> {
        match &self.owner {
            Some(named) if named != owner => Err(S3ErrorCode::AccessDenied.into()),
            _ => self.acl.as_ref().map_err(Clone::clone),
        }
    }
}

/// The ACL that a PutBucketAcl or PutObjectAcl asks for.
///
/// # Errors
/// As [`header_acl`]; `MalformedACLError` for a document that is none; `UnexpectedContent` for a
/// header and a body at once, `MissingSecurityHeader` for neither.
pub async fn requested_acl(
    service: &S3Service,
    request: &mut S3Request,
) -> Result<RequestedAcl, S3Error> {
    let by_header = header_acl(service, request).await?;
    let document = read_document(request, MAX_ACL_BODY_BYTES as u64).await?;
    match (by_header, document.is_empty()) {
        (Some(acl), true) => Ok(RequestedAcl {
            acl: Ok(acl),
            owner: None,
        }),
        (None, false) => {
            let policy = AccessControlPolicy::parse(&document)?;
            Ok(RequestedAcl {
                owner: policy.owner,
                acl: resolve(service, policy.grants).await,
            })
        }
        // Two answers to one question.
        (Some(_), false) => Err(S3ErrorCode::UnexpectedContent.into()),
        (None, true) => {
            let error = S3Error::new(S3ErrorCode::MissingSecurityHeader);
            Err(error.detail("MissingHeaderName", X_AMZ_ACL.as_str()))
        }
    }
}

/// Looks up whom grants name.
async fn resolve(service: &S3Service, named: Vec<NamedGrant>) -> Result<Acl, S3Error> {
    if named.len() > GRANTS_MAX {
        return Err(S3ErrorCode::MalformedACLError.into());
    }
    let mut grants = Vec::with_capacity(named.len());
    for NamedGrant {
        grantee,
        permission,
    } in named
    {
        let grantee = match grantee {
            NamedGrantee::Id(id) => match service.iam.account(&id).await {
                Ok(_) => Grantee::Account(id.into()),
                Err(IamError::NoSuchAccount) => {
                    let name = "CanonicalUser/ID";
                    return Err(S3Error::invalid_argument(name, &id, "Invalid id"));
                }
                Err(error) => return Err(iam_failure(error)),
            },
            NamedGrantee::Email(email) => match service.iam.account_by_email(&email).await {
                Ok(account) => Grantee::Account(account.id.into()),
                Err(IamError::NoSuchAccount) => {
                    let error = S3Error::new(S3ErrorCode::UnresolvableGrantByEmailAddress);
                    return Err(error.detail("EmailAddress", email));
                }
                Err(error) => return Err(iam_failure(error)),
            },
            NamedGrantee::Uri(uri) => match Group::from_uri(&uri) {
                Some(group) => Grantee::Group(group),
                None => {
                    let name = "Group/URI";
                    return Err(S3Error::invalid_argument(name, &uri, "Invalid group uri"));
                }
            },
        };
        grants.push(Grant {
            grantee,
            permission,
        });
    }
    Ok(Acl::Grants(grants))
}

/// Whose a new object is, and its ACL.
pub struct NewObjectAccess {
    /// Canonical id of the owner.
    pub owner: String,
    /// The ACL.
    pub acl: Acl,
}

/// Whose the object is that a request makes, and what ACL it gets.
///
/// It is the sender's, and of the bucket's owner if the sender is nobody or ownership controls say
/// so. Before the first object of another account is written, that is noted with the bucket, so that
/// from then on it is looked whose an object is.
///
/// # Errors
/// As [`header_acl`] and [`BucketAccess::check_acl`].
pub async fn new_object_access(
    service: &S3Service,
    request: &S3Request,
    bucket: &Bucket,
) -> Result<NewObjectAccess, S3Error> {
    let asked = header_acl(service, request).await?;
    let access = BucketAccess::of(bucket)?;
    if let Some(acl) = &asked {
        access.check_acl(acl)?;
    }
    let bucket_owner = &bucket.record.owner;
    let is_handed_over = access.ownership == Some(ObjectOwnership::BucketOwnerPreferred)
        && asked == Some(Acl::Canned(CannedAcl::BucketOwnerFullControl));
    let writer = request
        .principal
        .account()
        .filter(|writer| writer != bucket_owner);
    let acl = match access.is_owner_enforced() {
        true => Acl::default(),
        false => asked.unwrap_or_default(),
    };
    let owner = match writer {
        Some(writer) if !is_handed_over && !access.is_owner_enforced() => {
            if !access.has_others_objects() {
                note_others_objects(service, bucket).await?;
            }
            writer.to_owned()
        }
        _ => bucket_owner.clone(),
    };
    Ok(NewObjectAccess { owner, acl })
}

async fn note_others_objects(service: &S3Service, bucket: &Bucket) -> Result<(), S3Error> {
    let (kind, new) = (DocumentKind::OthersObjects, NewDocument::default());
    put_document(service, bucket, kind, Some(new)).await
}

impl S3Service {
    /// The answer of GetBucketAcl or GetObjectAcl, for something of `owner`'s in a bucket of
    /// `bucket_owner`'s.
    pub(super) async fn acl_document(
        &self,
        acl: &Acl,
        owner: &str,
        bucket_owner: &str,
    ) -> Result<Vec<u8>, S3Error> {
        let grants = acl.grants(owner, bucket_owner);
        let accounts = grants.iter().filter_map(|grant| match &grant.grantee {
            Grantee::Account(id) => Some(&**id),
            Grantee::Group(_) => None,
        });
        let owners = self.owners(accounts.chain([owner]).collect()).await?;
        let name_of = |id: &str| owners.as_xml(id).display_name.into_owned();
        Ok(to_xml(&owners.as_xml(owner), &grants, name_of))
    }
}
