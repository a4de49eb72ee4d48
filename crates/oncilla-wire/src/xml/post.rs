//! `PostResponse`: the answer of POST Object with `success_action_status` 201.

use super::writer::XmlWriter;

/// What was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostResponse<'a> {
    /// The object's URL.
    pub location: &'a str,
    /// The bucket.
    pub bucket: &'a str,
    /// The key.
    pub key: &'a str,
    /// The entity tag without quotes.
    pub etag: &'a str,
}

impl PostResponse<'_> {
    /// Writes the document. It has no namespace, as S3's has none.
    pub fn to_xml(&self) -> Vec<u8> {
        let mut xml = XmlWriter::with_capacity(512);
        xml.open("PostResponse");
        xml.text("Location", self.location);
        xml.text("Bucket", self.bucket);
        xml.text("Key", self.key);
        xml.etag("ETag", self.etag);
        xml.close("PostResponse");
        xml.finish()
    }
}
