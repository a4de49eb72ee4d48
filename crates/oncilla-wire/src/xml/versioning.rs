//! `VersioningConfiguration`: the answer of GetBucketVersioning.

use super::reader::{XmlReader, malformed};
use super::writer::XmlWriter;
use crate::error::S3Error;

/// Whether a bucket keeps versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VersioningStatus {
    /// Never switched on: the document has no `Status`.
    #[default]
    Unversioned,
    /// `Enabled`.
    Enabled,
    /// `Suspended`.
    Suspended,
}

impl VersioningStatus {
    /// Writes the document.
    pub fn to_xml(self) -> Vec<u8> {
        let mut xml = XmlWriter::with_capacity(192);
        xml.open_root("VersioningConfiguration");
        match self {
            Self::Unversioned => {}
            Self::Enabled => xml.text("Status", "Enabled"),
            Self::Suspended => xml.text("Status", "Suspended"),
        }
        xml.close("VersioningConfiguration");
        xml.finish()
    }

    /// Reads the document.
    pub fn parse(xml: &[u8]) -> Result<Self, S3Error> {
        let mut reader = XmlReader::open(xml, &["VersioningConfiguration"])?;
        let mut status = Self::Unversioned;
        while let Some(name) = reader.child()? {
            match name {
                "Status" => {
                    status = match reader.value()?.as_str() {
                        "Enabled" => Self::Enabled,
                        "Suspended" => Self::Suspended,
                        _ => return Err(malformed("Status must be Enabled or Suspended.")),
                    }
                }
                _ => reader.skip()?,
            }
        }
        reader.finish()?;
        Ok(status)
    }
}
