//! CreateBucket.

use http::StatusCode;
use http::header::LOCATION;
use oncilla_iam::policy::{KnownKey, RequestFacts};
use oncilla_store::bucket::{CreateBucketError, NewBucket};
use oncilla_store::{Bucket, DocumentKind, NewDocument};
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::header::{X_AMZ_BUCKET_OBJECT_LOCK_ENABLED, X_AMZ_OBJECT_OWNERSHIP};
use oncilla_wire::xml::acl::{Acl, CannedAcl};
use oncilla_wire::xml::bucket::{CreateBucketConfiguration, MAX_CREATE_BUCKET_BODY_BYTES};
use oncilla_wire::xml::ownership::ObjectOwnership;

use crate::s3::access::acl_of_bucket;
use crate::s3::acl::header_acl;
use crate::s3::answer::{Answer, empty, set};
use crate::s3::body::read_document;
use crate::s3::bucket::acl::{acl_document, canned_of_bucket};
use crate::s3::request::S3Request;
use crate::s3::tags::pairs_of;
use crate::s3::{S3Service, errors};

/// The longest location constraint. The longest region of AWS has 14 characters
/// (`ap-southeast-1`); the rest is room for names that operators give.
const LOCATION_CHARS_MAX: usize = 64;

pub async fn create(service: &S3Service, request: &mut S3Request) -> Answer {
    let object_lock = object_lock_enabled(request)?;
    let acl = canned_of_bucket(header_acl(service, request).await?.unwrap_or_default());
    let ownership = requested_ownership(request, &acl)?;
    let document = read_document(request, MAX_CREATE_BUCKET_BODY_BYTES as u64).await?;
    let configuration = CreateBucketConfiguration::parse(&document)?;
    let location = configuration.location_constraint.unwrap_or_default();
    check_location(&location)?;
    let facts = RequestFacts {
        // Who may not change a bucket's ACL may not create one that is open either.
        // Source: S3 API reference, CreateBucket, "Permissions".
        acl: acl != Acl::default(),
        tags: !configuration.tags.is_empty(),
        object_lock_bucket: object_lock,
        object_ownership: ownership.is_some(),
        ..RequestFacts::default()
    };
    let given = [(KnownKey::LocationConstraint, location.as_str())];
    let given = match location.is_empty() {
        true => &given[..0],
        false => &given[..],
    };
    service.authorize_on_service(request, &facts, given)?;
    let is_plain =
        location.is_empty() && configuration.tags.is_empty() && ownership.is_none() && !object_lock;
    let mut documents = Vec::new();
    if let Some(ownership) = ownership {
        let new = NewDocument::of_text(ownership.to_xml());
        documents.push((DocumentKind::OwnershipControls, new));
    }
    let canned = match &acl {
        Acl::Canned(canned) => *canned,
        Acl::Grants(grants) => {
            let new = acl_document(request.account_id(), grants);
            documents.push((DocumentKind::Acl, new));
            CannedAcl::Private
        }
    };
    let new = NewBucket {
        name: request.bucket.clone(),
        owner: request.account_id().to_owned(),
        location,
        acl: canned,
        // As in S3: the ACL of a bucket says nothing about its objects.
        public_objects: false,
        tags: pairs_of(configuration.tags),
        documents,
        object_lock,
        require: vec![oncilla_iam::account_present(request.account_id())],
    };
    let created = match service.store.create_bucket(new).await {
        Ok(_) => Ok(()),
        Err(CreateBucketError::AlreadyOwnedByYou(existing)) => recreate(&existing, &acl, is_plain),
        Err(error) => Err(errors::create_bucket(error)),
    };
    created.map_err(|error| error.detail("BucketName", request.bucket.clone()))?;
    let mut response = empty(StatusCode::OK);
    set(&mut response, LOCATION, format!("/{}", request.bucket))?;
    Ok(response)
}

/// What is said to whoever creates a bucket that they have. It changes nothing, whoever asks and
/// however: the bucket keeps its ACL, its tags and its objects. S3 has two answers of its own: 200 in
/// `us-east-1`, which also sets the ACL anew, and `BucketAlreadyOwnedByYou` everywhere else. Here it
/// depends on whether the bucket is what was asked for:
///
/// 1. Not with this ACL: `BucketAlreadyExists` (ceph/s3-tests: test_bucket_recreate_new_acl,
///    test_bucket_recreate_overwrite_acl).
/// 2. Asked for plainly, it is: 200, as in every store that clients without a region know
///    (ceph/s3-tests: test_bucket_recreate_not_overriding).
/// 3. With a location, tags, a lock or an ownership, a 200 would say that the bucket has them:
///    `BucketAlreadyOwnedByYou`, on which clients such as Terraform and rclone carry on.
fn recreate(existing: &Bucket, acl: &Acl, is_plain: bool) -> Result<(), S3Error> {
    if *acl_of_bucket(existing)? != *acl {
        return Err(S3ErrorCode::BucketAlreadyExists.into());
    }
    match is_plain {
        true => Ok(()),
        false => Err(S3ErrorCode::BucketAlreadyOwnedByYou.into()),
    }
}

/// Whether the bucket is to have Object Lock.
fn object_lock_enabled(request: &S3Request) -> Result<bool, S3Error> {
    let Some(value) = request.headers.get(X_AMZ_BUCKET_OBJECT_LOCK_ENABLED) else {
        return Ok(false);
    };
    let name = X_AMZ_BUCKET_OBJECT_LOCK_ENABLED;
    if value.as_bytes().eq_ignore_ascii_case(b"false") {
        return Ok(false);
    }
    if value.as_bytes().eq_ignore_ascii_case(b"true") {
        return Ok(true);
    }
    let value = String::from_utf8_lossy(value.as_bytes());
    Err(S3Error::invalid_argument(
        name.as_str(),
        &value,
        "The value must be true or false.",
    ))
}

/// Reads `x-amz-object-ownership`. With ACLs switched off, the bucket cannot have one that gives
/// anything to others.
fn requested_ownership(request: &S3Request, acl: &Acl) -> Result<Option<ObjectOwnership>, S3Error> {
    let Some(value) = request.headers.get(X_AMZ_OBJECT_OWNERSHIP) else {
        return Ok(None);
    };
    let value = String::from_utf8_lossy(value.as_bytes());
    let ownership = ObjectOwnership::from_name(&value).ok_or_else(|| {
        let name = X_AMZ_OBJECT_OWNERSHIP;
        let message = format!("Invalid {name} header: {value}");
        S3Error::invalid_argument(name.as_str(), &value, message)
    })?;
    let is_private = acl.is_private_to(request.account_id());
    if ownership == ObjectOwnership::BucketOwnerEnforced && !is_private {
        return Err(S3ErrorCode::InvalidBucketAclWithObjectOwnership.into());
    }
    Ok(Some(ownership))
}

/// Any region is accepted and reported back, since signatures of any region are; only what is no
/// name of a region at all is refused.
fn check_location(location: &str) -> Result<(), S3Error> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let sane = location.len() <= LOCATION_CHARS_MAX
        && location.bytes().all(allowed)
        && !location.starts_with('-')
        && !location.ends_with('-');
    if sane {
        return Ok(());
    }
    Err(S3Error::new(S3ErrorCode::InvalidLocationConstraint).detail("LocationConstraint", location))
}

#[cfg(test)]
mod tests {
    use oncilla_store::Documents;
    use oncilla_store::rows::bucket::BucketRecord;
    use oncilla_store::rows::codec::UnknownFields;
    use oncilla_store::rows::key::BucketId;
    use oncilla_wire::xml::versioning::VersioningStatus;

    use super::*;

    #[test]
    fn names_of_regions_are_accepted() {
        for location in [
            "",
            "us-east-1",
            "EU",
            "auto",
            "fra",
            "default",
            &"r".repeat(64),
        ] {
            assert!(check_location(location).is_ok(), "{location}");
        }
        for location in [
            "a b",
            "-a",
            "a-",
            "\u{e9}",
            "a/b",
            "<a>",
            "a\n",
            &"r".repeat(65),
        ] {
            let error = check_location(location).unwrap_err();
            assert_eq!(
                error.code,
                S3ErrorCode::InvalidLocationConstraint,
                "{location}"
            );
        }
    }

    #[test]
    fn a_bucket_that_one_has_is_told_apart_by_acl_and_by_what_else_is_asked() {
        let owned = |acl| {
            let record = BucketRecord {
                id: BucketId(1),
                owner: "a".repeat(64),
                created_ms: 0,
                location: String::new(),
                acl,
                public_objects: false,
                tags: Vec::new(),
                versioning: VersioningStatus::Unversioned,
                document_changes: 0,
                object_lock: None,
                unknown: UnknownFields::default(),
            };
            Bucket {
                name: "bucket".to_owned(),
                record,
                documents: Documents::default(),
            }
        };
        let answer = |existing: CannedAcl, acl: CannedAcl, is_plain| {
            let answer = recreate(&owned(existing), &acl.into(), is_plain);
            answer.map_err(|error| error.code)
        };
        let (private, public) = (CannedAcl::Private, CannedAcl::PublicRead);
        for acl in [private, public] {
            assert_eq!(answer(acl, acl, true), Ok(()));
            let already = Err(S3ErrorCode::BucketAlreadyOwnedByYou);
            assert_eq!(answer(acl, acl, false), already);
        }
        for is_plain in [true, false] {
            let exists = Err(S3ErrorCode::BucketAlreadyExists);
            assert_eq!(answer(private, public, is_plain), exists);
            assert_eq!(answer(public, private, is_plain), exists);
        }
    }
}
