//! GetBucketLifecycleConfiguration, PutBucketLifecycleConfiguration and DeleteBucketLifecycle.
//!
//! What the rules do is done by the store's lifecycle worker.

use http::{Response, StatusCode};
use oncilla_store::{Bucket, DocumentKind, NewDocument};
use oncilla_wire::checksum_headers::ChecksumHeaders;
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::header::X_AMZ_TRANSITION_DEFAULT_MINIMUM_OBJECT_SIZE;
use oncilla_wire::xml::lifecycle::{
    LifecycleConfiguration, MAX_LIFECYCLE_BODY_BYTES, TransitionMinimum,
};

use crate::ResponseBody;
use crate::s3::S3Service;
use crate::s3::answer::{Answer, empty, set, xml};
use crate::s3::body::read_document;
use crate::s3::bucket::put_document;
use crate::s3::request::S3Request;

pub fn get_lifecycle(bucket: &Bucket) -> Answer {
    let Some(document) = bucket.documents.get(DocumentKind::Lifecycle) else {
        let error = S3Error::new(S3ErrorCode::NoSuchLifecycleConfiguration);
        return Err(error.detail("BucketName", bucket.name.clone()));
    };
    let mut response = xml(document.text().to_vec());
    let minimum = String::from_utf8_lossy(document.detail()).into_owned();
    set(
        &mut response,
        X_AMZ_TRANSITION_DEFAULT_MINIMUM_OBJECT_SIZE,
        minimum,
    )?;
    Ok(response)
}

/// Replaces all rules. A rule without an id gets one.
pub async fn put_lifecycle(
    service: &S3Service,
    request: &mut S3Request,
    bucket: &Bucket,
) -> Answer {
    require_checksum(request)?;
    let minimum = transition_minimum(request)?;
    let document = read_document(request, MAX_LIFECYCLE_BODY_BYTES as u64).await?;
    let mut configuration = LifecycleConfiguration::parse(&document)?;
    for rule in &mut configuration.rules {
        if rule.id.is_empty() {
            let id = service.store.clock().unique_id();
            let id = id.map_err(|_| S3Error::new(S3ErrorCode::InternalError))?;
            rule.id = id.to_hex();
        }
    }
    let new = NewDocument {
        text: configuration.to_xml().into(),
        detail: minimum.as_str().into(),
    };
    put_document(service, bucket, DocumentKind::Lifecycle, Some(new)).await?;
    let mut response: Response<ResponseBody> = empty(StatusCode::OK);
    set(
        &mut response,
        X_AMZ_TRANSITION_DEFAULT_MINIMUM_OBJECT_SIZE,
        minimum.as_str(),
    )?;
    Ok(response)
}

pub async fn delete_lifecycle(service: &S3Service, bucket: &Bucket) -> Answer {
    put_document(service, bucket, DocumentKind::Lifecycle, None).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// S3 takes rules that may delete only with a digest of them. Source: S3 API reference,
/// PutBucketLifecycleConfiguration; the text is S3's.
fn require_checksum(request: &S3Request) -> Result<(), S3Error> {
    let declared = ChecksumHeaders::parse(&request.headers)?;
    let has_digest =
        declared.content_md5.is_some() || declared.value.is_some() || declared.trailer.is_some();
    if has_digest {
        return Ok(());
    }
    let message = "Missing required header for this request: Content-MD5 OR x-amz-checksum-*";
    Err(S3Error::with_message(S3ErrorCode::InvalidRequest, message))
}

fn transition_minimum(request: &S3Request) -> Result<TransitionMinimum, S3Error> {
    let name = X_AMZ_TRANSITION_DEFAULT_MINIMUM_OBJECT_SIZE;
    let Some(value) = request.headers.get(&name) else {
        return Ok(TransitionMinimum::default());
    };
    let text = String::from_utf8_lossy(value.as_bytes());
    TransitionMinimum::from_name(&text).ok_or_else(|| {
        let message = format!("Invalid {name} value");
        S3Error::invalid_argument(name.as_str(), &text, message)
    })
}
