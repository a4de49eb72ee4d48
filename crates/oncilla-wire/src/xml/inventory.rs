//! `InventoryConfiguration`: the request and the answers of the inventory operations.

use super::reader::{XmlReader, malformed};
use super::writer::XmlWriter;
use crate::error::{S3Error, S3ErrorCode};

/// The largest body worth reading: a page of elements.
pub const MAX_INVENTORY_BODY_BYTES: usize = 64 * 1024;

/// Longest id. Source: S3 user guide, "Configuring Amazon S3 Inventory": 64 letters, digits, `.`, `-`, `_`.
pub const MAX_ID_BYTES: usize = 64;

/// Longest prefix of the destination: with what follows it, a key has at most 1,024 bytes.
pub const MAX_PREFIX_BYTES: usize = 512;

/// What stands before the name of a bucket in its ARN.
const BUCKET_ARN: &str = "arn:aws:s3:::";

/// An inventory that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InventoryConfiguration {
    /// Its name.
    pub id: String,
    /// Whether it is made.
    pub enabled: bool,
    /// Only keys that begin so.
    pub prefix: Option<String>,
    /// Whether all versions are listed, or only current ones.
    pub all_versions: bool,
    /// What is listed of an object besides its key, in the order of [`InventoryField::ALL`].
    pub fields: Vec<InventoryField>,
    /// How often it is made.
    pub frequency: Frequency,
    /// Where it goes.
    pub destination: InventoryDestination,
}

/// Fields of S3 that tell of what is not here: event holds, and tiers by access.
const FIELDS_NOT_KNOWN: [&str; 3] = [
    "IntelligentTieringReferenceDate",
    "ObjectLockEventHoldDuration",
    "ObjectLockEventHoldStatus",
];

/// Where an inventory goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InventoryDestination {
    /// The account that the bucket has to belong to.
    pub account: Option<String>,
    /// The bucket's name, without the rest of its ARN.
    pub bucket: String,
    /// What its keys begin with.
    pub prefix: Option<String>,
    /// The form of its files.
    pub format: InventoryFormat,
    /// How its files are to be encrypted.
    pub encryption: Option<InventoryEncryption>,
}

/// The form of an inventory's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InventoryFormat {
    /// `CSV`.
    Csv,
    /// `ORC`.
    Orc,
    /// `Parquet`.
    Parquet,
}

/// How an inventory's files are encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InventoryEncryption {
    /// `SSE-S3`.
    S3,
    /// `SSE-KMS`, with this key.
    Kms(String),
}

/// How often an inventory is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frequency {
    /// Every day.
    Daily,
    /// Every Sunday, and once when it is new. Source: S3 user guide, "Amazon S3 Inventory".
    Weekly,
}

macro_rules! fields {
    ($($field:ident,)*) => {
        /// What an inventory can list of an object.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "S3's own names")]
        pub enum InventoryField { $($field,)* }

        impl InventoryField {
            /// Every field, in the order in which S3's files have them.
            pub const ALL: &'static [Self] = &[$(Self::$field,)*];

            /// S3's name for it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$field => stringify!($field),)* }
            }
        }
    };
}

fields! {
    Size,
    LastModifiedDate,
    ETag,
    StorageClass,
    IsMultipartUploaded,
    ReplicationStatus,
    EncryptionStatus,
    ObjectLockRetainUntilDate,
    ObjectLockMode,
    ObjectLockLegalHoldStatus,
    IntelligentTieringAccessTier,
    BucketKeyStatus,
    ChecksumAlgorithm,
    ObjectAccessControlList,
    ObjectOwner,
    LifecycleExpirationDate,
}

impl InventoryConfiguration {
    /// Writes the document.
    pub fn to_xml(&self) -> Vec<u8> {
        let mut xml = XmlWriter::with_capacity(1024);
        xml.open_root("InventoryConfiguration");
        self.write_content(&mut xml);
        xml.close("InventoryConfiguration");
        xml.finish()
    }

    fn write_content(&self, xml: &mut XmlWriter) {
        let destination = &self.destination;
        xml.open("Destination");
        xml.open("S3BucketDestination");
        xml.optional_text("AccountId", destination.account.as_deref());
        xml.text("Bucket", &format!("{BUCKET_ARN}{}", destination.bucket));
        if let Some(encryption) = &destination.encryption {
            xml.open("Encryption");
            match encryption {
                InventoryEncryption::S3 => {
                    xml.open("SSE-S3");
                    xml.close("SSE-S3");
                }
                InventoryEncryption::Kms(key) => {
                    xml.open("SSE-KMS");
                    xml.text("KeyId", key);
                    xml.close("SSE-KMS");
                }
            }
            xml.close("Encryption");
        }
        xml.text("Format", destination.format.as_str());
        xml.optional_text("Prefix", destination.prefix.as_deref());
        xml.close("S3BucketDestination");
        xml.close("Destination");
        if let Some(prefix) = &self.prefix {
            xml.open("Filter");
            xml.text("Prefix", prefix);
            xml.close("Filter");
        }
        xml.text("Id", &self.id);
        xml.text(
            "IncludedObjectVersions",
            if self.all_versions { "All" } else { "Current" },
        );
        xml.boolean("IsEnabled", self.enabled);
        if !self.fields.is_empty() {
            xml.open("OptionalFields");
            for field in &self.fields {
                xml.text("Field", field.name());
            }
            xml.close("OptionalFields");
        }
        xml.open("Schedule");
        xml.text("Frequency", self.frequency.as_str());
        xml.close("Schedule");
    }

    /// Reads the document and applies S3's rules.
    ///
    /// # Errors
    /// `MalformedXML` for what is missing or has a value that S3 does not know, `InvalidArgument` for
    /// an id, and `InvalidS3DestinationBucket` for a destination that is not a bucket's ARN.
    pub fn parse(xml: &[u8]) -> Result<Self, S3Error> {
        let mut reader = XmlReader::open(xml, &["InventoryConfiguration"])?;
        let configuration = Self::read_content(&mut reader)?;
        reader.finish()?;
        Ok(configuration)
    }

    fn read_content(xml: &mut XmlReader<'_>) -> Result<Self, S3Error> {
        let (mut id, mut enabled, mut prefix) = (None, None, None);
        let (mut all_versions, mut frequency, mut destination) = (None, None, None);
        let mut fields = None;
        while let Some(name) = xml.child()? {
            match name {
                "Id" => xml.once(&mut id, XmlReader::value)?,
                "IsEnabled" => xml.once(&mut enabled, XmlReader::boolean)?,
                "Filter" => xml.once(&mut prefix, |xml| {
                    read_only(xml, "Prefix", XmlReader::value)
                })?,
                "IncludedObjectVersions" => xml.once(&mut all_versions, read_all_versions)?,
                "OptionalFields" => xml.once(&mut fields, read_fields)?,
                "Schedule" => xml.once(&mut frequency, |xml| {
                    read_only(xml, "Frequency", Frequency::read)
                })?,
                "Destination" => xml.once(&mut destination, |xml| {
                    read_only(xml, "S3BucketDestination", InventoryDestination::read)
                })?,
                _ => xml.skip()?,
            }
        }
        let missing = || malformed("An element that an inventory needs is missing.");
        let id = id.ok_or_else(missing)?;
        check_id(&id)?;
        Ok(Self {
            id,
            enabled: enabled.ok_or_else(missing)?,
            prefix,
            all_versions: all_versions.ok_or_else(missing)?,
            fields: fields.unwrap_or_default(),
            frequency: frequency.ok_or_else(missing)?,
            destination: destination.ok_or_else(missing)?,
        })
    }
}

/// Whether an inventory may have this id.
///
/// # Errors
/// `InvalidArgument`.
pub fn check_id(id: &str) -> Result<(), S3Error> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if (1..=MAX_ID_BYTES).contains(&id.len()) && id.bytes().all(is_allowed) {
        return Ok(());
    }
    let message =
        "The inventory ID must have 1 to 64 letters, digits, periods, dashes or underscores.";
    Err(S3Error::invalid_argument("Id", id, message))
}

impl InventoryDestination {
    fn read(xml: &mut XmlReader<'_>) -> Result<Self, S3Error> {
        let (mut account, mut bucket, mut prefix) = (None, None, None);
        let (mut format, mut encryption) = (None, None);
        while let Some(name) = xml.child()? {
            match name {
                "AccountId" => xml.once(&mut account, XmlReader::value)?,
                "Bucket" => xml.once(&mut bucket, XmlReader::value)?,
                "Prefix" => xml.once(&mut prefix, XmlReader::value)?,
                "Format" => xml.once(&mut format, InventoryFormat::read)?,
                "Encryption" => xml.once(&mut encryption, read_encryption)?,
                _ => xml.skip()?,
            }
        }
        let bucket = bucket.ok_or_else(|| malformed("A destination needs a Bucket."))?;
        let name = bucket.strip_prefix(BUCKET_ARN);
        let name = name.filter(|name| !name.is_empty() && !name.contains(['/', '*']));
        let Some(name) = name else {
            let code = S3ErrorCode::InvalidS3DestinationBucket;
            return Err(S3Error::with_message(code, "Invalid bucket ARN."));
        };
        if prefix
            .as_ref()
            .is_some_and(|text| text.len() > MAX_PREFIX_BYTES)
        {
            let message = "The prefix of the destination is too long.";
            return Err(S3Error::with_message(S3ErrorCode::InvalidArgument, message));
        }
        Ok(Self {
            account,
            bucket: name.to_owned(),
            prefix,
            format: format.ok_or_else(|| malformed("A destination needs a Format."))?,
            encryption: encryption.flatten(),
        })
    }
}

impl InventoryFormat {
    const ALL: [Self; 3] = [Self::Csv, Self::Orc, Self::Parquet];

    /// S3's name for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "CSV",
            Self::Orc => "ORC",
            Self::Parquet => "Parquet",
        }
    }

    fn read(xml: &mut XmlReader<'_>) -> Result<Self, S3Error> {
        let text = xml.value()?;
        let mut known = Self::ALL.into_iter();
        known
            .find(|format| format.as_str() == text)
            .ok_or_else(|| malformed("Format is CSV, ORC or Parquet."))
    }
}

impl Frequency {
    fn as_str(self) -> &'static str {
        match self {
            Self::Daily => "Daily",
            Self::Weekly => "Weekly",
        }
    }

    fn read(xml: &mut XmlReader<'_>) -> Result<Self, S3Error> {
        match xml.value()?.as_str() {
            "Daily" => Ok(Self::Daily),
            "Weekly" => Ok(Self::Weekly),
            _ => Err(malformed("Frequency is Daily or Weekly.")),
        }
    }
}

fn read_all_versions(xml: &mut XmlReader<'_>) -> Result<bool, S3Error> {
    match xml.value()?.as_str() {
        "All" => Ok(true),
        "Current" => Ok(false),
        _ => Err(malformed("IncludedObjectVersions is All or Current.")),
    }
}

/// Files are encrypted in one way, if in any.
fn read_encryption(xml: &mut XmlReader<'_>) -> Result<Option<InventoryEncryption>, S3Error> {
    let (mut s3, mut kms_key) = (None, None);
    while let Some(name) = xml.child()? {
        match name {
            "SSE-S3" => xml.once(&mut s3, XmlReader::skip)?,
            "SSE-KMS" => xml.once(&mut kms_key, |xml| {
                read_only(xml, "KeyId", XmlReader::value)
            })?,
            _ => xml.skip()?,
        }
    }
    match (s3, kms_key) {
        (None, None) => Ok(None),
        (Some(()), None) => Ok(Some(InventoryEncryption::S3)),
        (None, Some(key)) => Ok(Some(InventoryEncryption::Kms(key))),
        (Some(()), Some(_)) => Err(malformed("Encryption is either SSE-S3 or SSE-KMS.")),
    }
}

/// Fields in S3's order, each once.
fn read_fields(xml: &mut XmlReader<'_>) -> Result<Vec<InventoryField>, S3Error> {
    let mut fields = Vec::new();
    while let Some(name) = xml.child()? {
        if name != "Field" {
            xml.skip()?;
            continue;
        }
        let text = xml.value()?;
        if FIELDS_NOT_KNOWN.contains(&text.as_str()) {
            let message =
                format!("The field {text} in inventories is not implemented. Nothing was changed.");
            return Err(S3Error::with_message(S3ErrorCode::NotImplemented, message));
        }
        let known = InventoryField::ALL
            .iter()
            .find(|field| field.name() == text);
        let known = known.ok_or_else(|| malformed("Unknown field in OptionalFields."))?;
        if !fields.contains(known) {
            fields.push(*known);
        }
    }
    fields.sort_unstable();
    Ok(fields)
}

/// The one child that an element needs.
fn read_only<'x, T>(
    xml: &mut XmlReader<'x>,
    wanted: &str,
    read: fn(&mut XmlReader<'x>) -> Result<T, S3Error>,
) -> Result<T, S3Error> {
    let mut value = None;
    while let Some(name) = xml.child()? {
        match name == wanted {
            true => xml.once(&mut value, read)?,
            false => xml.skip()?,
        }
    }
    value.ok_or_else(|| malformed("An element that an inventory needs is missing."))
}

/// A page of inventory configurations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListInventoryConfigurations {
    /// The configurations in the order of their ids.
    pub configurations: Vec<InventoryConfiguration>,
    /// Where the page began.
    pub continuation_token: Option<String>,
    /// Where the next one begins; `None` after the last.
    pub next_continuation_token: Option<String>,
}

impl ListInventoryConfigurations {
    /// Writes the document.
    pub fn to_xml(&self) -> Vec<u8> {
        let mut xml = XmlWriter::with_capacity(256 + 1024 * self.configurations.len());
        xml.open_root("ListInventoryConfigurationsResult");
        xml.optional_text("ContinuationToken", self.continuation_token.as_deref());
        for configuration in &self.configurations {
            xml.open("InventoryConfiguration");
            configuration.write_content(&mut xml);
            xml.close("InventoryConfiguration");
        }
        xml.boolean("IsTruncated", self.next_continuation_token.is_some());
        xml.optional_text(
            "NextContinuationToken",
            self.next_continuation_token.as_deref(),
        );
        xml.close("ListInventoryConfigurationsResult");
        xml.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESTINATION: &str = "<Destination><S3BucketDestination><Bucket>arn:aws:s3:::d</Bucket>\
        <Format>CSV</Format></S3BucketDestination></Destination>";
    const REST: &str = "<Id>daily.1</Id><IncludedObjectVersions>Current</IncludedObjectVersions>\
        <IsEnabled>true</IsEnabled><Schedule><Frequency>Daily</Frequency></Schedule>";

    fn parse(content: &str) -> Result<InventoryConfiguration, S3ErrorCode> {
        let document = format!("<InventoryConfiguration>{content}</InventoryConfiguration>");
        InventoryConfiguration::parse(document.as_bytes()).map_err(|error| error.code)
    }

    #[test]
    fn what_was_read_is_written_as_s3_writes_it() {
        let configuration = parse(&format!("{REST}{DESTINATION}")).unwrap();
        let written = String::from_utf8(configuration.to_xml()).unwrap();
        assert!(written.ends_with(&format!("{DESTINATION}{REST}</InventoryConfiguration>")));
        let full = format!(
            "{}{REST}<Filter><Prefix>a/</Prefix></Filter><OptionalFields><Field>ETag</Field>\
             <Field>Size</Field><Field>ETag</Field></OptionalFields>",
            DESTINATION.replace(
                "<Format>",
                "<AccountId>1</AccountId><Prefix>p</Prefix><Encryption><SSE-KMS><KeyId>k</KeyId>\
                 </SSE-KMS></Encryption><Format>"
            )
        );
        let full = parse(&full.replace("Current", "All").replace("Daily", "Weekly")).unwrap();
        assert_eq!(full.fields, [InventoryField::Size, InventoryField::ETag]);
        assert!(full.all_versions && full.frequency == Frequency::Weekly);
        assert_eq!(
            full.destination.encryption,
            Some(InventoryEncryption::Kms("k".to_owned()))
        );
        assert_eq!(InventoryConfiguration::parse(&full.to_xml()).unwrap(), full);
    }

    #[test]
    fn what_is_not_a_configuration() {
        use S3ErrorCode::{InvalidArgument, InvalidS3DestinationBucket, MalformedXML};
        let whole = format!("{REST}{DESTINATION}");
        for (from, to, code) in [
            ("<Id>daily.1</Id>", "", MalformedXML),
            ("<IsEnabled>true</IsEnabled>", "", MalformedXML),
            (DESTINATION, "", MalformedXML),
            ("Daily", "Hourly", MalformedXML),
            ("Current", "Some", MalformedXML),
            ("CSV", "JSON", MalformedXML),
            ("daily.1", "a b", InvalidArgument),
            ("daily.1", "", InvalidArgument),
            ("arn:aws:s3:::d", "d", InvalidS3DestinationBucket),
            (
                "arn:aws:s3:::d",
                "arn:aws:s3:::",
                InvalidS3DestinationBucket,
            ),
            (
                "<Schedule>",
                "<OptionalFields><Field>Colour</Field></OptionalFields><Schedule>",
                MalformedXML,
            ),
        ] {
            let document = whole.replace(from, to);
            assert_ne!(document, whole);
            assert_eq!(parse(&document), Err(code), "{document}");
        }
        assert!(parse(&whole.replace("CSV", "ORC")).is_ok());
    }
}
