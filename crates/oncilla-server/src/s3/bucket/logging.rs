//! GetBucketLogging and PutBucketLogging.

use http::StatusCode;
use oncilla_store::{Bucket, DocumentKind};
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::xml::logging::{BucketLoggingStatus, LoggingEnabled, MAX_LOGGING_BODY_BYTES};

use crate::bucket_logs::log_target;
use crate::s3::S3Service;
use crate::s3::answer::{Answer, empty, xml};
use crate::s3::authorize::ActionTarget;
use crate::s3::body::read_document;
use crate::s3::bucket::set_document;
use crate::s3::request::S3Request;

pub fn get_logging(bucket: &Bucket) -> Answer {
    let document = bucket.documents.get(DocumentKind::Logging);
    Ok(xml(match document {
        Some(document) => document.text().to_vec(),
        None => BucketLoggingStatus::default().to_xml(),
    }))
}

/// Sets where access logs go, or nowhere with an empty document.
pub async fn put_logging(service: &S3Service, request: &mut S3Request, bucket: &Bucket) -> Answer {
    let document = read_document(request, MAX_LOGGING_BODY_BYTES as u64).await?;
    let status = BucketLoggingStatus::parse(&document)?;
    if let Some(enabled) = &status.enabled {
        if !enabled.target_grants.is_empty() {
            let message = "TargetGrants are not implemented. Nothing was changed.";
            return Err(S3Error::with_message(S3ErrorCode::NotImplemented, message));
        }
        authorize_target(service, request, bucket, enabled).await?;
    }
    let text = status.enabled.is_some().then(|| status.to_xml());
    set_document(service, bucket, DocumentKind::Logging, "", text).await?;
    Ok(empty(StatusCode::OK))
}

/// At S3 the target bucket has to let the service in (S3 User Guide, "Enabling Amazon S3 server access
/// logging", "Permissions for log delivery"). Here it takes the logs of its own account as it is. So that
/// nobody writes by way of the service where they must not, the sender has to be allowed to put such
/// objects there, unless the bucket's policy allows them.
async fn authorize_target(
    service: &S3Service,
    request: &S3Request,
    bucket: &Bucket,
    enabled: &LoggingEnabled,
) -> Result<(), S3Error> {
    let region = &service.options.region;
    let target = log_target(&service.store, region, bucket, enabled).await?;
    if target.is_open {
        return Ok(());
    }
    let new = ActionTarget::NewObject { key: &target.key };
    let judged = service.authorize_action(request, &target.bucket, "s3:PutObject", new);
    judged.await
}
