//! HeadBucket.

use http::{HeaderName, StatusCode};
use oncilla_store::Bucket;
use oncilla_wire::header::X_AMZ_BUCKET_REGION;

use crate::s3::S3Service;
use crate::s3::answer::{Answer, empty, set};

/// Whether the name in the request is an access point's; there are none.
const X_AMZ_ACCESS_POINT_ALIAS: HeaderName = HeaderName::from_static("x-amz-access-point-alias");

pub fn head(service: &S3Service, bucket: &Bucket) -> Answer {
    let mut response = empty(StatusCode::OK);
    let region = service.region_of(&bucket.record.location);
    set(&mut response, X_AMZ_BUCKET_REGION, &region)?;
    set(&mut response, X_AMZ_ACCESS_POINT_ALIAS, "false")?;
    Ok(response)
}
