//! `CopyObjectResult` and `CopyPartResult`: the answers of CopyObject and UploadPartCopy.

use std::borrow::Cow;

use super::Checksums;
use super::error::ErrorDocument;
use super::reader::XmlReader;
use super::writer::XmlWriter;
use crate::error::S3Error;

const OBJECT_ROOT: &str = "CopyObjectResult";
const PART_ROOT: &str = "CopyPartResult";

/// What was copied. Both documents have the same content under different roots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopyResult<'a> {
    /// When the copy was made, in Unix milliseconds.
    pub last_modified_ms: i64,
    /// The entity tag of the copy, without quotes.
    pub etag: Cow<'a, str>,
    /// The checksum of the copy.
    pub checksums: Checksums<'a>,
}

impl CopyResult<'_> {
    /// Writes the answer of CopyObject.
    pub fn to_object_xml(&self) -> Vec<u8> {
        self.write(OBJECT_ROOT)
    }

    /// Writes the answer of UploadPartCopy.
    pub fn to_part_xml(&self) -> Vec<u8> {
        self.write(PART_ROOT)
    }

    /// Writes the answer of CopyObject that tells nothing of what was copied. It still is a document:
    /// SDKs take an empty one for an answer that broke off.
    pub fn nothing_to_tell() -> Vec<u8> {
        let mut xml = XmlWriter::with_capacity(128);
        xml.open_root(OBJECT_ROOT);
        xml.close(OBJECT_ROOT);
        xml.finish()
    }

    /// Reads either answer, which can be an error under status 200.
    pub fn parse(xml: &[u8]) -> Result<Result<CopyResult<'static>, ErrorDocument>, S3Error> {
        let Ok(mut reader) = XmlReader::open_with_any_character(xml, &[OBJECT_ROOT, PART_ROOT])
        else {
            return ErrorDocument::parse(xml).map(Err);
        };
        let mut result = CopyResult::default();
        while let Some(name) = reader.child()? {
            match name {
                "LastModified" => result.last_modified_ms = reader.time()?,
                "ETag" => result.etag = reader.etag()?.into(),
                _ if result.checksums.read(name, &mut reader)? => {}
                _ => reader.skip()?,
            }
        }
        reader.finish()?;
        Ok(Ok(result))
    }

    fn write(&self, root: &str) -> Vec<u8> {
        let mut xml = XmlWriter::with_capacity(512);
        xml.open_root(root);
        xml.time("LastModified", self.last_modified_ms);
        xml.etag("ETag", &self.etag);
        self.checksums.write(&mut xml);
        xml.close(root);
        xml.finish()
    }
}
