//! `Error`: the document of every failed request.

use super::reader::XmlReader;
use super::writer::XmlWriter;
use crate::error::S3Error;

impl S3Error {
    /// Writes the error document. `resource` is the path of the request, `host_id` names the server.
    ///
    /// It has no namespace: S3 writes errors without one, and some clients look for bare names. What it
    /// quotes of a request is made legal XML, or who asks for a key that is not would get an answer
    /// that they cannot read.
    pub fn to_xml(&self, resource: &str, request_id: &str, host_id: &str) -> Vec<u8> {
        let mut xml = XmlWriter::with_capacity(512 + resource.len() + self.message.len());
        xml.open("Error");
        xml.text("Code", self.code.as_str());
        xml.message(&self.message);
        for (element, value) in &self.details {
            xml.legal_text(element, value);
        }
        xml.legal_text("Resource", resource);
        xml.text("RequestId", request_id);
        xml.text("HostId", host_id);
        xml.close("Error");
        xml.finish()
    }
}

/// An error as a client reads it. Codes are text, because other servers have codes of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorDocument {
    /// The code, such as `NoSuchKey`.
    pub code: String,
    /// What went wrong.
    pub message: String,
    /// The path it is about.
    pub resource: String,
    /// The request's id.
    pub request_id: String,
    /// The server's id.
    pub host_id: String,
    /// Every other element that holds text, such as `Region` or `CanonicalRequest`.
    pub details: Vec<(String, String)>,
}

impl ErrorDocument {
    /// The most further elements kept; S3 never has more than a handful.
    const MAX_DETAILS: usize = 32;

    /// Reads the document.
    pub fn parse(xml: &[u8]) -> Result<ErrorDocument, S3Error> {
        let mut reader = XmlReader::open_with_any_character(xml, &["Error"])?;
        let mut error = ErrorDocument::default();
        while let Some(name) = reader.child()? {
            match name {
                "Code" => error.code = reader.value()?,
                "Message" => error.message = reader.value()?,
                "Resource" => error.resource = reader.value()?,
                "RequestId" => error.request_id = reader.value()?,
                "HostId" => error.host_id = reader.value()?,
                _ if error.details.len() < Self::MAX_DETAILS => {
                    if let Some(value) = reader.value_or_skip()? {
                        error.details.push((name.to_owned(), value));
                    }
                }
                _ => reader.skip()?,
            }
        }
        reader.finish()?;
        Ok(error)
    }

    /// The text of a further element.
    pub fn detail(&self, element: &str) -> Option<&str> {
        let found = self.details.iter().find(|(name, _)| name == element)?;
        Some(&found.1)
    }
}

impl std::fmt::Display for ErrorDocument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for ErrorDocument {}
