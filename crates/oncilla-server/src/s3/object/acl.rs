//! GetObjectAcl and PutObjectAcl.

use http::StatusCode;
use oncilla_store::{Bucket, ObjectRecord};
use oncilla_wire::error::S3ErrorCode;
use oncilla_wire::event::EventKind;
use oncilla_wire::xml::acl::Acl;

use crate::s3::S3Service;
use crate::s3::access::BucketAccess;
use crate::s3::acl::requested_acl;
use crate::s3::answer::{Answer, empty, set_version, xml};
use crate::s3::judged::JudgedObject;
use crate::s3::request::S3Request;

pub async fn get_acl(service: &S3Service, request: &mut S3Request, bucket: &Bucket) -> Answer {
    let version = request.version_id()?;
    let key = request.key.as_bytes();
    let record = service.store.object_version(bucket, key, version).await;
    let record = service.found(request, bucket, record).await?;
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
    let access = BucketAccess::of(bucket)?;
    if access.is_owner_enforced() {
        return Err(S3ErrorCode::AccessControlListNotSupported.into());
    }
    let requested = requested_acl(service, request).await?;
    let acl_of = |judged: &JudgedObject| {
        let acl = requested.of(&judged.owner)?;
        access.check_acl(acl)?;
        Ok(|record: &mut ObjectRecord| record.acl.clone_from(acl))
    };
    let changed = service.change_judged(request, bucket, EventKind::AclPut, acl_of);
    let record = changed.await?;
    let mut response = empty(StatusCode::OK);
    set_version(&mut response, bucket, record.version_id())?;
    Ok(response)
}
