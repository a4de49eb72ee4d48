//! GetBucketVersioning and PutBucketVersioning.

use http::StatusCode;
use oncilla_store::Bucket;
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::xml::versioning::{
    MAX_VERSIONING_BODY_BYTES, VersioningConfiguration, VersioningStatus,
};

use crate::s3::answer::{Answer, empty, xml};
use crate::s3::body::read_document;
use crate::s3::request::S3Request;
use crate::s3::{S3Service, errors};

pub fn get_versioning(bucket: &Bucket) -> Answer {
    Ok(xml(bucket.record.versioning.to_xml()))
}

/// Enables or suspends versioning. It never ends: what was kept stays, and is reached by its id.
pub async fn put_versioning(
    service: &S3Service,
    request: &mut S3Request,
    bucket: &Bucket,
) -> Answer {
    let document = read_document(request, MAX_VERSIONING_BODY_BYTES as u64).await?;
    let asked = VersioningConfiguration::parse(&document)?;
    if asked.mfa_delete {
        let message = "MFA delete is not implemented. Nothing was changed.";
        return Err(S3Error::with_message(S3ErrorCode::NotImplemented, message));
    }
    if asked.status == VersioningStatus::Unversioned {
        let message = "The Versioning element must be specified";
        let code = S3ErrorCode::IllegalVersioningConfigurationException;
        return Err(S3Error::with_message(code, message));
    }
    let set = service.store.set_versioning(bucket, asked.status).await;
    set.map_err(|error| errors::set_versions(error).detail("BucketName", bucket.name.clone()))?;
    Ok(empty(StatusCode::OK))
}
