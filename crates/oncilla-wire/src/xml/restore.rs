//! `RestoreRequest`: the body of RestoreObject.

use super::reader::{XmlReader, malformed};
use super::writer::XmlWriter;
use crate::error::{S3Error, S3ErrorCode};

/// The largest body worth reading: a few numbers and names.
pub const MAX_RESTORE_BODY_BYTES: usize = 64 * 1024;

/// How fast the client wants its object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RestoreTier {
    /// `Expedited`: not for DEEP_ARCHIVE.
    Expedited,
    /// `Standard`, which is meant if the request names none.
    #[default]
    Standard,
    /// `Bulk`
    Bulk,
}

impl RestoreTier {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expedited => "Expedited",
            Self::Standard => "Standard",
            Self::Bulk => "Bulk",
        }
    }

    fn read(xml: &mut XmlReader<'_>) -> Result<Self, S3Error> {
        let name = xml.value()?;
        [Self::Expedited, Self::Standard, Self::Bulk]
            .into_iter()
            .find(|tier| tier.as_str() == name)
            .ok_or_else(|| malformed("Tier must be Standard, Bulk or Expedited."))
    }
}

/// What the client asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RestoreRequest {
    /// For how many days the object is to be readable, at least 1.
    pub days: u32,
    /// How fast.
    pub tier: RestoreTier,
}

impl RestoreRequest {
    /// Writes the document.
    pub fn to_xml(&self) -> Vec<u8> {
        let mut xml = XmlWriter::with_capacity(256);
        xml.open_root("RestoreRequest");
        xml.number("Days", u64::from(self.days));
        xml.open("GlacierJobParameters");
        xml.text("Tier", self.tier.as_str());
        xml.close("GlacierJobParameters");
        xml.close("RestoreRequest");
        xml.finish()
    }

    /// Reads the document.
    ///
    /// # Errors
    /// `NotImplemented` for a request that selects from the object (`Type` SELECT, which S3 ended
    /// together with Glacier Select), `InvalidArgument` for no days, `MalformedXML`.
    pub fn parse(xml: &[u8]) -> Result<Self, S3Error> {
        let mut reader = XmlReader::open(xml, &["RestoreRequest"])?;
        let (mut days, mut tier, mut job) = (None, None, None);
        while let Some(name) = reader.child()? {
            match name {
                "Days" => reader.once(&mut days, XmlReader::value)?,
                "Tier" => reader.once(&mut tier, RestoreTier::read)?,
                "GlacierJobParameters" => reader.once(&mut job, read_job_tier)?,
                "Type" | "SelectParameters" | "OutputLocation" => {
                    let message = "Restore requests that select are not implemented.";
                    return Err(S3Error::with_message(S3ErrorCode::NotImplemented, message));
                }
                _ => reader.skip()?,
            }
        }
        reader.finish()?;
        let days = days.ok_or_else(|| malformed("RestoreRequest needs Days."))?;
        let days: i64 = days
            .trim()
            .parse()
            .map_err(|_| malformed("Days must be a whole number."))?;
        match u32::try_from(days) {
            Ok(days) if days > 0 && i32::try_from(days).is_ok() => Ok(Self {
                days,
                tier: tier.or(job.flatten()).unwrap_or_default(),
            }),
            _ => {
                let message = "restoration days should be at least 1";
                Err(S3Error::invalid_argument(
                    "Days",
                    &days.to_string(),
                    message,
                ))
            }
        }
    }
}

fn read_job_tier(xml: &mut XmlReader<'_>) -> Result<Option<RestoreTier>, S3Error> {
    let mut tier = None;
    while let Some(name) = xml.child()? {
        match name {
            "Tier" => xml.once(&mut tier, RestoreTier::read)?,
            _ => xml.skip()?,
        }
    }
    Ok(tier)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(content: &str) -> Result<RestoreRequest, S3ErrorCode> {
        let document = format!("<RestoreRequest>{content}</RestoreRequest>");
        RestoreRequest::parse(document.as_bytes()).map_err(|error| error.code)
    }

    #[test]
    fn what_clients_ask_for() {
        let asked = |days, tier| Ok(RestoreRequest { days, tier });
        use RestoreTier::{Bulk, Expedited, Standard};
        assert_eq!(parse("<Days>3</Days>"), asked(3, Standard));
        assert_eq!(
            parse("<Days>1</Days><GlacierJobParameters><Tier>Bulk</Tier></GlacierJobParameters>"),
            asked(1, Bulk)
        );
        assert_eq!(
            parse("<Tier>Expedited</Tier><Days> 7 </Days>"),
            asked(7, Expedited)
        );
        for (content, code) in [
            ("", S3ErrorCode::MalformedXML),
            ("<Days>x</Days>", S3ErrorCode::MalformedXML),
            ("<Days>1</Days><Tier>Fast</Tier>", S3ErrorCode::MalformedXML),
            ("<Days>0</Days>", S3ErrorCode::InvalidArgument),
            ("<Days>-1</Days>", S3ErrorCode::InvalidArgument),
            ("<Days>2147483648</Days>", S3ErrorCode::InvalidArgument),
            ("<Type>SELECT</Type>", S3ErrorCode::NotImplemented),
        ] {
            assert_eq!(parse(content), Err(code), "{content}");
        }
    }
}
