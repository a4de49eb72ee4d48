//! GetObjectAcl and PutObjectAcl.

use http::StatusCode;
use oncilla_store::{Bucket, ObjectRecord};
use oncilla_wire::error::S3ErrorCode;
use oncilla_wire::event::EventKind;
use oncilla_wire::xml::acl::Acl;

use crate::s3::access::BucketAccess;
use crate::s3::acl::requested_acl;
use crate::s3::answer::{Answer, empty, set_version, xml};
use crate::s3::request::S3Request;
use crate::s3::{S3Service, errors};

pub async fn get_acl(service: &S3Service, request: &mut S3Request, bucket: &Bucket) -> Answer {
    let version = request.version_id()?;
    let key = request.key.as_bytes();
    let record = service.store.object_version(bucket, key, version).await;
    let record = record.map_err(|error| errors::get_object(&request.key, error))?;
    let access = BucketAccess::of(bucket)?;
    let owner = access.owner_of_object(&record.owner);
    let acl = match access.is_owner_enforced() {
        true => &Acl::default(),
        false => &record.acl,
    };
    let document = service.acl_document(acl, owner, &bucket.record.owner);
    let mut response = xml(document.await?);
    set_version(&mut response, bucket, record.version_id())?;
    Ok(response)
}

pub async fn put_acl(service: &S3Service, request: &mut S3Request, bucket: &Bucket) -> Answer {
    let version = request.version_id()?;
    let access = BucketAccess::of(bucket)?;
    if access.is_owner_enforced() {
        return Err(S3ErrorCode::AccessControlListNotSupported.into());
    }
    let key = request.key.as_bytes();
    let record = service.store.object_version(bucket, key, version).await;
    let record = record.map_err(|error| errors::get_object(&request.key, error))?;
    let acl = requested_acl(service, request, &record.owner).await?;
    access.check_acl(&acl)?;
    // Judged between two looks at whose it is: what somebody else has put there meanwhile keeps its
    // ACL.
    service.authorize_request(request, bucket).await?;
    let owner = record.owner;
    let set = |record: &mut ObjectRecord| {
        if record.owner == owner {
            record.acl.clone_from(&acl);
        }
    };
    let (key, event) = (request.key.as_bytes(), Some(EventKind::AclPut));
    let changed = service
        .store
        .update_object_and_tell(bucket, key, version, set, event)
        .await;
    let record = changed.map_err(|error| errors::get_object(&request.key, error))?;
    if record.owner != owner {
        return Err(S3ErrorCode::AccessDenied.into());
    }
    let mut response = empty(StatusCode::OK);
    set_version(&mut response, bucket, record.version_id())?;
    Ok(response)
}
