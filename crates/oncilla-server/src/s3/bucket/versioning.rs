//! GetBucketVersioning. No bucket can be versioned yet, so all of them answer that they never were.

use oncilla_wire::xml::versioning::VersioningStatus;

use crate::s3::answer::{Answer, xml};

pub fn versioning() -> Answer {
    Ok(xml(VersioningStatus::Unversioned.to_xml()))
}
