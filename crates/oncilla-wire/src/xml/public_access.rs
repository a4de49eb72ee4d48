//! `PublicAccessBlockConfiguration`, and `PolicyStatus`, the answer of GetBucketPolicyStatus.

use super::reader::{XmlReader, malformed};
use super::writer::XmlWriter;
use crate::error::S3Error;

/// The largest body worth reading: four short elements, with room for comments and namespaces.
pub const MAX_PUBLIC_ACCESS_BLOCK_BODY_BYTES: usize = 16 * 1024;

/// What of public access is blocked. Source: S3 user guide, "Blocking public access to your Amazon S3
/// storage".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PublicAccessBlock {
    /// ACLs that are public cannot be set.
    pub block_public_acls: bool,
    /// What ACLs give to everybody does not count.
    pub ignore_public_acls: bool,
    /// Policies that are public cannot be set.
    pub block_public_policy: bool,
    /// While its policy is public, a bucket is for its own account alone.
    pub restrict_public_buckets: bool,
}

impl PublicAccessBlock {
    /// Writes the document.
    pub fn to_xml(self) -> Vec<u8> {
        let mut xml = XmlWriter::with_capacity(384);
        xml.open_root("PublicAccessBlockConfiguration");
        xml.boolean("BlockPublicAcls", self.block_public_acls);
        xml.boolean("IgnorePublicAcls", self.ignore_public_acls);
        xml.boolean("BlockPublicPolicy", self.block_public_policy);
        xml.boolean("RestrictPublicBuckets", self.restrict_public_buckets);
        xml.close("PublicAccessBlockConfiguration");
        xml.finish()
    }

    /// Reads the document. What it does not name is off.
    pub fn parse(document: &[u8]) -> Result<Self, S3Error> {
        let mut xml = XmlReader::open(document, &["PublicAccessBlockConfiguration"])?;
        let (mut block_acls, mut ignore_acls) = (None, None);
        let (mut block_policy, mut restrict) = (None, None);
        while let Some(name) = xml.child()? {
            let flag = match name {
                "BlockPublicAcls" => &mut block_acls,
                "IgnorePublicAcls" => &mut ignore_acls,
                "BlockPublicPolicy" => &mut block_policy,
                "RestrictPublicBuckets" => &mut restrict,
                // To pass over a misspelled flag would leave open what should be shut.
                _ => return Err(malformed("The configuration has an unknown element.")),
            };
            xml.once(flag, XmlReader::boolean)?;
        }
        xml.finish()?;
        Ok(Self {
            block_public_acls: block_acls.unwrap_or_default(),
            ignore_public_acls: ignore_acls.unwrap_or_default(),
            block_public_policy: block_policy.unwrap_or_default(),
            restrict_public_buckets: restrict.unwrap_or_default(),
        })
    }
}

/// Writes `PolicyStatus`.
pub fn policy_status_xml(is_public: bool) -> Vec<u8> {
    let mut xml = XmlWriter::with_capacity(160);
    xml.open_root("PolicyStatus");
    xml.boolean("IsPublic", is_public);
    xml.close("PolicyStatus");
    xml.finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_not_named_is_off_and_what_is_unknown_refused() {
        let document = |inner: &str| {
            format!("<PublicAccessBlockConfiguration>{inner}</PublicAccessBlockConfiguration>")
        };
        let parse = |inner: &str| PublicAccessBlock::parse(document(inner).as_bytes());
        assert_eq!(parse("").unwrap(), PublicAccessBlock::default());
        let one = parse("<IgnorePublicAcls>true</IgnorePublicAcls>").unwrap();
        assert!(one.ignore_public_acls && !one.block_public_acls);
        assert!(parse("<IgnorePublicAcl>true</IgnorePublicAcl>").is_err());
        assert!(parse("<IgnorePublicAcls>yes</IgnorePublicAcls>").is_err());
    }

    proptest! {
        #[test]
        fn documents_round_trip(flags: [bool; 4]) {
            let block = PublicAccessBlock {
                block_public_acls: flags[0],
                ignore_public_acls: flags[1],
                block_public_policy: flags[2],
                restrict_public_buckets: flags[3],
            };
            prop_assert_eq!(PublicAccessBlock::parse(&block.to_xml()).unwrap(), block);
        }

        #[test]
        fn any_bytes_are_read_or_refused(document: Vec<u8>) {
            let _ = PublicAccessBlock::parse(&document);
        }
    }
}
