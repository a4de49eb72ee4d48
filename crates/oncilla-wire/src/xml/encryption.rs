//! `ServerSideEncryptionConfiguration`: the request of PutBucketEncryption and the answer of
//! GetBucketEncryption; and `ObjectEncryption`, the request of UpdateObjectEncryption.

use super::reader::{XmlReader, malformed};
use super::writer::XmlWriter;
use crate::encryption::{AES256, AWS_KMS, AWS_KMS_DSSE, dsse_not_implemented};
use crate::error::{S3Error, S3ErrorCode};

/// The largest body worth reading: one rule with an ARN, with room for comments and namespaces.
pub const MAX_ENCRYPTION_BODY_BYTES: usize = 16 * 1024;

/// How new objects are encrypted whose writer does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DefaultEncryption {
    /// SSE-S3.
    S3,
    /// SSE-KMS, by this key or by the default one.
    Kms(Option<String>),
}

/// The configuration of a bucket: its one rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncryptionConfiguration {
    /// `ApplyServerSideEncryptionByDefault`.
    pub default: Option<DefaultEncryption>,
    /// `BucketKeyEnabled`.
    pub bucket_key_enabled: bool,
    /// Whether objects under clients' keys are refused (`BlockedEncryptionTypes`, `SSE-C`).
    pub blocks_customer_keys: Option<bool>,
}

impl EncryptionConfiguration {
    /// Writes the document.
    pub fn to_xml(&self) -> Vec<u8> {
        let mut xml = XmlWriter::with_capacity(384);
        xml.open_root("ServerSideEncryptionConfiguration");
        xml.open("Rule");
        if let Some(default) = &self.default {
            xml.open("ApplyServerSideEncryptionByDefault");
            match default {
                DefaultEncryption::S3 => xml.text("SSEAlgorithm", AES256),
                DefaultEncryption::Kms(key) => {
                    xml.text("SSEAlgorithm", AWS_KMS);
                    xml.optional_text("KMSMasterKeyID", key.as_deref());
                }
            }
            xml.close("ApplyServerSideEncryptionByDefault");
        }
        xml.boolean("BucketKeyEnabled", self.bucket_key_enabled);
        if let Some(blocks) = self.blocks_customer_keys {
            xml.open("BlockedEncryptionTypes");
            xml.text("EncryptionType", if blocks { "SSE-C" } else { "NONE" });
            xml.close("BlockedEncryptionTypes");
        }
        xml.close("Rule");
        xml.close("ServerSideEncryptionConfiguration");
        xml.finish()
    }

    /// Reads the document.
    ///
    /// # Errors
    /// `MalformedXML` unless there is exactly one rule, `InvalidArgument` for a key without
    /// `aws:kms`, `NotImplemented` for `aws:kms:dsse`.
    pub fn parse(xml: &[u8]) -> Result<Self, S3Error> {
        let mut reader = XmlReader::open(xml, &["ServerSideEncryptionConfiguration"])?;
        let mut rule = None;
        while let Some(name) = reader.child()? {
            match name {
                "Rule" => reader.once(&mut rule, parse_rule)?,
                _ => reader.skip()?,
            }
        }
        reader.finish()?;
        rule.ok_or_else(|| malformed("There must be a Rule."))
    }
}

fn parse_rule(reader: &mut XmlReader<'_>) -> Result<EncryptionConfiguration, S3Error> {
    let (mut default, mut bucket_key, mut blocked) = (None, None, None);
    while let Some(name) = reader.child()? {
        match name {
            "ApplyServerSideEncryptionByDefault" => reader.once(&mut default, parse_default)?,
            "BucketKeyEnabled" => reader.once(&mut bucket_key, XmlReader::boolean)?,
            "BlockedEncryptionTypes" => reader.once(&mut blocked, parse_blocked)?,
            _ => reader.skip()?,
        }
    }
    Ok(EncryptionConfiguration {
        default,
        bucket_key_enabled: bucket_key.unwrap_or_default(),
        blocks_customer_keys: blocked,
    })
}

fn parse_default(reader: &mut XmlReader<'_>) -> Result<DefaultEncryption, S3Error> {
    let (mut algorithm, mut key) = (None, None);
    while let Some(name) = reader.child()? {
        match name {
            "SSEAlgorithm" => reader.once(&mut algorithm, XmlReader::value)?,
            "KMSMasterKeyID" => reader.once(&mut key, XmlReader::value)?,
            _ => reader.skip()?,
        }
    }
    let key = key.filter(|key| !key.is_empty());
    match (algorithm.unwrap_or_default().as_str(), key) {
        (AES256, None) => Ok(DefaultEncryption::S3),
        (AES256, Some(key)) => Err(S3Error::invalid_argument(
            "ApplyServerSideEncryptionByDefault",
            &key,
            "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or \
             aws:kms:dsse",
        )),
        (AWS_KMS, key) => Ok(DefaultEncryption::Kms(key)),
        (AWS_KMS_DSSE, _) => Err(dsse_not_implemented()),
        _ => Err(malformed("SSEAlgorithm must be AES256 or aws:kms.")),
    }
}

/// Whether `SSE-C` is among the types. `NONE` stands alone.
fn parse_blocked(reader: &mut XmlReader<'_>) -> Result<bool, S3Error> {
    let (mut blocks, mut none) = (false, false);
    while let Some(name) = reader.child()? {
        match name {
            "EncryptionType" => match reader.value()?.as_str() {
                "SSE-C" => blocks = true,
                "NONE" => none = true,
                _ => return Err(malformed("EncryptionType must be SSE-C or NONE.")),
            },
            _ => reader.skip()?,
        }
    }
    if blocks == none {
        return Err(malformed("EncryptionType must be either SSE-C or NONE."));
    }
    Ok(blocks)
}

/// What UpdateObjectEncryption asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectEncryption {
    /// The KMS key, by its ARN.
    pub kms_key: String,
    /// `BucketKeyEnabled`.
    pub bucket_key_enabled: bool,
}

impl ObjectEncryption {
    /// Reads the document.
    ///
    /// # Errors
    /// `MalformedXML`; `InvalidRequest` for what is not `SSE-KMS`.
    pub fn parse(xml: &[u8]) -> Result<Self, S3Error> {
        let mut reader = XmlReader::open(xml, &["ObjectEncryption"])?;
        let mut asked = None;
        while let Some(name) = reader.child()? {
            match name {
                "SSE-KMS" => reader.once(&mut asked, parse_kms)?,
                _ => reader.skip()?,
            }
        }
        reader.finish()?;
        asked.ok_or_else(|| {
            let message = "The encryption of an object can be changed to SSE-KMS only.";
            S3Error::with_message(S3ErrorCode::InvalidRequest, message)
        })
    }
}

fn parse_kms(reader: &mut XmlReader<'_>) -> Result<ObjectEncryption, S3Error> {
    let (mut kms_key, mut bucket_key) = (None, None);
    while let Some(name) = reader.child()? {
        match name {
            "KMSKeyArn" => reader.once(&mut kms_key, XmlReader::value)?,
            "BucketKeyEnabled" => reader.once(&mut bucket_key, XmlReader::boolean)?,
            _ => reader.skip()?,
        }
    }
    let kms_key = kms_key.filter(|key| !key.is_empty());
    Ok(ObjectEncryption {
        kms_key: kms_key.ok_or_else(|| malformed("KMSKeyArn is missing."))?,
        bucket_key_enabled: bucket_key.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(rules: &str) -> Result<EncryptionConfiguration, S3ErrorCode> {
        let document = format!(
            "<ServerSideEncryptionConfiguration>{rules}</ServerSideEncryptionConfiguration>"
        );
        EncryptionConfiguration::parse(document.as_bytes()).map_err(|error| error.code)
    }

    fn by_default(content: &str) -> Result<EncryptionConfiguration, S3ErrorCode> {
        let element = "ApplyServerSideEncryptionByDefault";
        parse(&format!("<Rule><{element}>{content}</{element}></Rule>"))
    }

    #[test]
    fn what_clients_ask_for_and_read_back() {
        for (rule, expected) in [
            (
                by_default("<SSEAlgorithm>AES256</SSEAlgorithm>"),
                Some(DefaultEncryption::S3),
            ),
            (
                by_default("<SSEAlgorithm>aws:kms</SSEAlgorithm>"),
                Some(DefaultEncryption::Kms(None)),
            ),
            (
                by_default(
                    "<SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>k</KMSMasterKeyID>",
                ),
                Some(DefaultEncryption::Kms(Some("k".to_owned()))),
            ),
            (
                parse("<Rule><BucketKeyEnabled>true</BucketKeyEnabled></Rule>"),
                None,
            ),
        ] {
            let rule = rule.unwrap();
            assert_eq!(rule.default, expected);
            assert_eq!(
                EncryptionConfiguration::parse(&rule.to_xml()).unwrap(),
                rule
            );
        }
        for (kind, blocks) in [("SSE-C", true), ("NONE", false)] {
            let element = "BlockedEncryptionTypes";
            let rule = format!(
                "<Rule><{element}><EncryptionType>{kind}</EncryptionType></{element}></Rule>"
            );
            let rule = parse(&rule).unwrap();
            assert_eq!(rule.blocks_customer_keys, Some(blocks));
            assert_eq!(
                EncryptionConfiguration::parse(&rule.to_xml()).unwrap(),
                rule
            );
        }
    }

    #[test]
    fn anything_else_is_refused() {
        use S3ErrorCode::{InvalidArgument, MalformedXML, NotImplemented};
        let key = "<KMSMasterKeyID>k</KMSMasterKeyID>";
        assert_eq!(
            by_default(&format!("<SSEAlgorithm>AES256</SSEAlgorithm>{key}")),
            Err(InvalidArgument)
        );
        assert_eq!(
            by_default("<SSEAlgorithm>aws:kms:dsse</SSEAlgorithm>"),
            Err(NotImplemented)
        );
        assert_eq!(
            by_default("<SSEAlgorithm>AES128</SSEAlgorithm>"),
            Err(MalformedXML)
        );
        assert_eq!(by_default(""), Err(MalformedXML));
        assert_eq!(parse(""), Err(MalformedXML));
        assert_eq!(parse("<Rule/><Rule/>"), Err(MalformedXML));
    }

    #[test]
    fn an_objects_key_is_changed_to_a_kms_key() {
        let parse = |content: &str| {
            let document = format!("<ObjectEncryption>{content}</ObjectEncryption>");
            ObjectEncryption::parse(document.as_bytes()).map_err(|error| error.code)
        };
        let asked = parse(
            "<SSE-KMS><KMSKeyArn>k</KMSKeyArn><BucketKeyEnabled>true</BucketKeyEnabled></SSE-KMS>",
        );
        let expected = ObjectEncryption {
            kms_key: "k".to_owned(),
            bucket_key_enabled: true,
        };
        assert_eq!(asked, Ok(expected));
        assert_eq!(parse(""), Err(S3ErrorCode::InvalidRequest));
        assert_eq!(parse("<SSE-KMS/>"), Err(S3ErrorCode::MalformedXML));
    }
}
