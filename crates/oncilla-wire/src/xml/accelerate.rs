//! `AccelerateConfiguration`: the request of PutBucketAccelerateConfiguration and the answer of
//! GetBucketAccelerateConfiguration.

use super::reader::{XmlReader, malformed};
use super::writer::XmlWriter;
use crate::error::S3Error;

/// The largest body worth reading: one short element, with room for comments and namespaces.
pub const MAX_ACCELERATE_BODY_BYTES: usize = 16 * 1024;

/// Whether transfers to the bucket are accelerated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccelerateStatus {
    /// Never set: the document has no `Status`.
    #[default]
    NeverSet,
    /// `Enabled`.
    Enabled,
    /// `Suspended`.
    Suspended,
}

impl AccelerateStatus {
    /// Reads what a client asks for, which has a status.
    pub fn parse(xml: &[u8]) -> Result<Self, S3Error> {
        let mut reader = XmlReader::open(xml, &["AccelerateConfiguration"])?;
        let mut status = None;
        while let Some(name) = reader.child()? {
            match name {
                "Status" => reader.once(&mut status, Self::read)?,
                _ => reader.skip()?,
            }
        }
        reader.finish()?;
        status.ok_or_else(|| malformed("AccelerateConfiguration needs a Status."))
    }

    fn read(xml: &mut XmlReader<'_>) -> Result<Self, S3Error> {
        match xml.value()?.as_str() {
            "Enabled" => Ok(Self::Enabled),
            "Suspended" => Ok(Self::Suspended),
            _ => Err(malformed("Status must be Enabled or Suspended.")),
        }
    }

    /// Writes the document.
    pub fn to_xml(self) -> Vec<u8> {
        let mut xml = XmlWriter::with_capacity(192);
        xml.open_root("AccelerateConfiguration");
        match self {
            Self::NeverSet => {}
            Self::Enabled => xml.text("Status", "Enabled"),
            Self::Suspended => xml.text("Status", "Suspended"),
        }
        xml.close("AccelerateConfiguration");
        xml.finish()
    }
}
