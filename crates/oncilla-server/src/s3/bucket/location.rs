//! GetBucketLocation.

use oncilla_store::Bucket;
use oncilla_wire::xml::location;

use crate::s3::S3Service;
use crate::s3::answer::{Answer, xml};

pub fn location(service: &S3Service, bucket: &Bucket) -> Answer {
    Ok(xml(location::to_xml(
        &service.region_of(&bucket.record.location),
    )))
}
