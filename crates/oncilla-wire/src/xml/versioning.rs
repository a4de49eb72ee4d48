//! `VersioningConfiguration`: the request of PutBucketVersioning and the answer of
//! GetBucketVersioning.

use super::reader::{XmlReader, malformed};
use super::writer::XmlWriter;
use crate::error::S3Error;

/// The largest body worth reading: two short elements, with room for comments and namespaces.
pub const MAX_VERSIONING_BODY_BYTES: usize = 16 * 1024;

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

    /// Reads the document, whatever it says of MFA delete.
    pub fn parse(xml: &[u8]) -> Result<Self, S3Error> {
        VersioningConfiguration::parse(xml).map(|configuration| configuration.status)
    }

    fn read(xml: &mut XmlReader<'_>) -> Result<Self, S3Error> {
        match xml.value()?.as_str() {
            "Enabled" => Ok(Self::Enabled),
            "Suspended" => Ok(Self::Suspended),
            _ => Err(malformed("Status must be Enabled or Suspended.")),
        }
    }
}

/// What a client asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VersioningConfiguration {
    /// `Status`; `Unversioned` if the document has none.
    pub status: VersioningStatus,
    /// Whether `MfaDelete` is `Enabled`.
    pub mfa_delete: bool,
}

impl VersioningConfiguration {
    /// Reads the document.
    pub fn parse(xml: &[u8]) -> Result<Self, S3Error> {
        let mut reader = XmlReader::open(xml, &["VersioningConfiguration"])?;
        let (mut status, mut mfa_delete) = (None, None);
        while let Some(name) = reader.child()? {
            match name {
                "Status" => reader.once(&mut status, VersioningStatus::read)?,
                // The element is `MfaDelete`; SDK documentation calls it `MFADelete`.
                "MfaDelete" | "MFADelete" => reader.once(&mut mfa_delete, read_mfa_delete)?,
                _ => reader.skip()?,
            }
        }
        reader.finish()?;
        Ok(Self {
            status: status.unwrap_or_default(),
            mfa_delete: mfa_delete.unwrap_or_default(),
        })
    }
}

fn read_mfa_delete(xml: &mut XmlReader<'_>) -> Result<bool, S3Error> {
    match xml.value()?.as_str() {
        "Enabled" => Ok(true),
        "Disabled" => Ok(false),
        _ => Err(malformed("MfaDelete must be Enabled or Disabled.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::S3ErrorCode;

    fn parse(content: &str) -> Result<VersioningConfiguration, S3ErrorCode> {
        let document = format!("<VersioningConfiguration>{content}</VersioningConfiguration>");
        VersioningConfiguration::parse(document.as_bytes()).map_err(|error| error.code)
    }

    #[test]
    fn what_clients_ask_for() {
        let asked = |status, mfa_delete| Ok(VersioningConfiguration { status, mfa_delete });
        use VersioningStatus::{Enabled, Suspended, Unversioned};
        assert_eq!(parse(""), asked(Unversioned, false));
        assert_eq!(parse("<Status>Enabled</Status>"), asked(Enabled, false));
        assert_eq!(
            parse("<MfaDelete>Disabled</MfaDelete><Status>Suspended</Status>"),
            asked(Suspended, false)
        );
        assert_eq!(
            parse("<Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>"),
            asked(Enabled, true)
        );
        for refused in ["<Status>enabled</Status>", "<MfaDelete>x</MfaDelete>"] {
            assert_eq!(parse(refused), Err(S3ErrorCode::MalformedXML), "{refused}");
        }
    }
}
