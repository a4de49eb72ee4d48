//! GetObjectAcl and PutObjectAcl.

use http::StatusCode;
use oncilla_store::{Bucket, ObjectRecord};
use oncilla_wire::error::S3ErrorCode;
use oncilla_wire::event::EventKind;
use oncilla_wire::xml::acl::Acl;

use crate::s3::access::BucketAccess;
use crate::s3::acl::requested_acl;
use crate::s3::answer::{Answer, empty, set_version, xml};
use crate::s3::authorize::JUDGEMENTS_MAX;
use crate::s3::request::S3Request;
use crate::s3::{S3Service, errors};

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
    let mut set = None;
    for _ in 0..JUDGEMENTS_MAX {
        let judged = service.judge_object(request, bucket).await?;
        let document = request.document.clone();
        let acl = requested_acl(service, request, &judged.owner).await?;
        request.document = document;
        access.check_acl(&acl)?;
        let change = |record: &mut ObjectRecord| record.acl.clone_from(&acl);
        set = service
            .change_judged(request, bucket, &judged, change, EventKind::AclPut)
            .await?;
        if set.is_some() {
            break;
        }
    }
    let record = set.ok_or_else(errors::changed_too_often)?;
    let mut response = empty(StatusCode::OK);
    set_version(&mut response, bucket, record.version_id())?;
    Ok(response)
}
