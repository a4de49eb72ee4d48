//! GetObjectAcl and PutObjectAcl, of canned ACLs.

use http::StatusCode;
use oncilla_store::Bucket;
use oncilla_wire::event::EventKind;
use oncilla_wire::xml::acl;

use crate::s3::acl::requested_acl;
use crate::s3::answer::{Answer, empty, set_version, xml};
use crate::s3::request::S3Request;
use crate::s3::{S3Service, errors};

pub async fn get_acl(service: &S3Service, request: &mut S3Request, bucket: &Bucket) -> Answer {
    let version = request.version_id()?;
    let key = request.key.as_bytes();
    let record = service.store.object_version(bucket, key, version).await;
    let record = record.map_err(|error| errors::get_object(&request.key, error))?;
    let owner = service.owner(&record.owner).await?;
    let bucket_owner = service.owner(&bucket.record.owner).await?;
    let document = acl::to_xml(&owner.as_xml(), record.acl, &bucket_owner.as_xml());
    let mut response = xml(document);
    set_version(&mut response, bucket, record.version_id())?;
    Ok(response)
}

pub async fn put_acl(service: &S3Service, request: &mut S3Request, bucket: &Bucket) -> Answer {
    let version = request.version_id()?;
    let key = request.key.as_bytes();
    let record = service.store.object_version(bucket, key, version).await;
    let record = record.map_err(|error| errors::get_object(&request.key, error))?;
    let acl = requested_acl(request, &record.owner).await?;
    let changed = service
        .store
        .update_object_and_tell(
            bucket,
            request.key.as_bytes(),
            version,
            |record| record.acl = acl,
            Some(EventKind::AclPut),
        )
        .await;
    let record = changed.map_err(|error| errors::get_object(&request.key, error))?;
    let mut response = empty(StatusCode::OK);
    set_version(&mut response, bucket, record.version_id())?;
    Ok(response)
}
