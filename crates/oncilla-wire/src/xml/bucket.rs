//! `CreateBucketConfiguration`: the body of CreateBucket.

use super::reader::XmlReader;
use super::tagging::read_tags;
use super::writer::XmlWriter;
use crate::error::S3Error;
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
