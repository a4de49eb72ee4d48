//! `OwnershipControls`: who owns the objects that others write into a bucket.
//! Source: S3 user guide, "Controlling ownership of objects and disabling ACLs for your bucket".

use super::reader::{XmlReader, malformed};
use super::writer::XmlWriter;
use crate::error::S3Error;

/// The largest body worth reading: one rule, with room for comments and namespaces.
pub const MAX_OWNERSHIP_BODY_BYTES: usize = 16 * 1024;

/// `ObjectOwnership`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectOwnership {
    /// The bucket's owner owns everything in it, and ACLs are switched off.
    BucketOwnerEnforced,
    /// The bucket's owner owns what is written with the ACL `bucket-owner-full-control`.
    BucketOwnerPreferred,
    /// Whoever writes an object owns it.
    ObjectWriter,
}

impl ObjectOwnership {
    /// All of them.
    pub const ALL: [Self; 3] = [
        Self::BucketOwnerEnforced,
        Self::BucketOwnerPreferred,
        Self::ObjectWriter,
    ];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BucketOwnerEnforced => "BucketOwnerEnforced",
            Self::BucketOwnerPreferred => "BucketOwnerPreferred",
            Self::ObjectWriter => "ObjectWriter",
        }
    }

    /// The setting of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }

    /// Writes the document.
    pub fn to_xml(self) -> Vec<u8> {
        let mut xml = XmlWriter::with_capacity(256);
        xml.open_root("OwnershipControls");
        xml.open("Rule");
        xml.text("ObjectOwnership", self.as_str());
        xml.close("Rule");
        xml.close("OwnershipControls");
        xml.finish()
    }

    /// Reads the document, which has one rule.
    pub fn parse(document: &[u8]) -> Result<Self, S3Error> {
        let mut xml = XmlReader::open(document, &["OwnershipControls"])?;
        let mut found = None;
        while let Some(name) = xml.child()? {
            match name {
                "Rule" => xml.once(&mut found, read_rule)?,
                _ => xml.skip()?,
            }
        }
        xml.finish()?;
        found.ok_or_else(|| malformed("OwnershipControls has one rule."))
    }
}

fn read_rule(xml: &mut XmlReader<'_>) -> Result<ObjectOwnership, S3Error> {
    let mut ownership = None;
    while let Some(name) = xml.child()? {
        match name {
            "ObjectOwnership" => xml.once(&mut ownership, XmlReader::value)?,
            _ => xml.skip()?,
        }
    }
    let ownership = ownership.as_deref().and_then(ObjectOwnership::from_name);
    ownership.ok_or_else(|| {
        malformed(
            "ObjectOwnership must be BucketOwnerEnforced, BucketOwnerPreferred or ObjectWriter.",
        )
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn documents_round_trip() {
        for ownership in ObjectOwnership::ALL {
            assert_eq!(
                ObjectOwnership::parse(&ownership.to_xml()).unwrap(),
                ownership
            );
        }
        let rule = "<Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule>";
        for inner in [
            "".to_owned(),
            "<Rule/>".to_owned(),
            rule.repeat(2),
            rule.replace("Writer", ""),
        ] {
            let document = format!("<OwnershipControls>{inner}</OwnershipControls>");
            assert!(
                ObjectOwnership::parse(document.as_bytes()).is_err(),
                "{inner}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(document: Vec<u8>) {
            let _ = ObjectOwnership::parse(&document);
        }
    }
}
