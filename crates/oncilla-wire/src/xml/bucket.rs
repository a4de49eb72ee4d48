//! `CreateBucketConfiguration`: the body of CreateBucket.

use super::reader::XmlReader;
use super::tagging::read_tags;
use super::writer::XmlWriter;
use crate::error::{S3Error, S3ErrorCode};
use crate::tagging::{TagSet, TagTarget};

/// The largest body worth reading: a region and 50 tags.
pub const MAX_CREATE_BUCKET_BODY_BYTES: usize = 256 * 1024;

/// What CreateBucket asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreateBucketConfiguration {
    /// The region asked for.
    pub location_constraint: Option<String>,
    /// The bucket's tags.
    pub tags: TagSet,
}

impl CreateBucketConfiguration {
    /// Writes the document.
    pub fn to_xml(&self) -> Vec<u8> {
        let mut xml = XmlWriter::with_capacity(256);
        xml.open_root("CreateBucketConfiguration");
        xml.optional_text("LocationConstraint", self.location_constraint.as_deref());
        if !self.tags.is_empty() {
            xml.open("Tags");
            for tag in self.tags.iter() {
                xml.open("Tag");
                xml.text("Key", &tag.key);
                xml.text("Value", &tag.value);
                xml.close("Tag");
            }
            xml.close("Tags");
        }
        xml.close("CreateBucketConfiguration");
        xml.finish()
    }

    /// Reads the document. An empty body, as most clients send, asks for nothing.
    ///
    /// # Errors
    /// `MalformedXML`, `NotImplemented` for directory buckets, and what [`TagSet::new`] refuses.
    pub fn parse(xml: &[u8]) -> Result<Self, S3Error> {
        if xml.is_empty() {
            return Ok(Self::default());
        }
        let mut reader = XmlReader::open(xml, &["CreateBucketConfiguration"])?;
        let (mut region, mut tags) = (None, None);
        while let Some(name) = reader.child()? {
            match name {
                "LocationConstraint" => reader.once(&mut region, XmlReader::value)?,
                "Tags" => reader.once(&mut tags, read_tags)?,
                // A directory bucket is asked for. Source: S3 API reference, CreateBucket.
                "Location" | "Bucket" => return Err(directory_bucket(name)),
                _ => reader.skip()?,
            }
        }
        reader.finish()?;
        Ok(Self {
            location_constraint: region.filter(|region| !region.is_empty()),
            tags: TagSet::new(tags.unwrap_or_default(), TagTarget::Bucket)?,
        })
    }
}

fn directory_bucket(element: &str) -> S3Error {
    let message = format!("Directory buckets ({element}) are not implemented.");
    S3Error::with_message(S3ErrorCode::NotImplemented, message).detail("Element", element)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directory_buckets_are_refused() {
        for content in [
            "<Bucket><Type>Directory</Type></Bucket>",
            "<Location><Type>AvailabilityZone</Type><Name>az1</Name></Location>",
        ] {
            let document =
                format!("<CreateBucketConfiguration>{content}</CreateBucketConfiguration>");
            let error = CreateBucketConfiguration::parse(document.as_bytes()).unwrap_err();
            assert_eq!(error.code, S3ErrorCode::NotImplemented, "{content}");
        }
    }
}
