//! `RequestPaymentConfiguration`: the request of PutBucketRequestPayment and the answer of
//! GetBucketRequestPayment.

use super::reader::{XmlReader, malformed};
use super::writer::XmlWriter;
use crate::error::S3Error;

/// The largest body worth reading: one short element, with room for comments and namespaces.
pub const MAX_REQUEST_PAYMENT_BODY_BYTES: usize = 16 * 1024;

/// Who pays for requests and transfer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Payer {
    /// The bucket's owner.
    #[default]
    BucketOwner,
    /// Whoever asks, and has to say that they know.
    Requester,
}

impl Payer {
    /// Reads the document.
    pub fn parse(xml: &[u8]) -> Result<Self, S3Error> {
        let mut reader = XmlReader::open(xml, &["RequestPaymentConfiguration"])?;
        let mut payer = None;
        while let Some(name) = reader.child()? {
            match name {
                "Payer" => reader.once(&mut payer, Self::read)?,
                _ => reader.skip()?,
            }
        }
        reader.finish()?;
        payer.ok_or_else(|| malformed("RequestPaymentConfiguration needs a Payer."))
    }

    fn read(xml: &mut XmlReader<'_>) -> Result<Self, S3Error> {
        match xml.value()?.as_str() {
            "BucketOwner" => Ok(Self::BucketOwner),
            "Requester" => Ok(Self::Requester),
            _ => Err(malformed("Payer must be BucketOwner or Requester.")),
        }
    }

    /// Writes the document.
    pub fn to_xml(self) -> Vec<u8> {
        let mut xml = XmlWriter::with_capacity(192);
        xml.open_root("RequestPaymentConfiguration");
        let payer = match self {
            Self::BucketOwner => "BucketOwner",
            Self::Requester => "Requester",
        };
        xml.text("Payer", payer);
        xml.close("RequestPaymentConfiguration");
        xml.finish()
    }
}
