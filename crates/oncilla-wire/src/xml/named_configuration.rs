//! The configurations of which a bucket can have many, each under an id: analytics, metrics and
//! intelligent tiering. Inventories are of their kind, and have a page of their own.

use super::reader::{XmlReader, malformed};
use super::writer::XmlWriter;
use crate::error::{S3Error, S3ErrorCode};
use crate::tagging::{Tag, TagSet, TagTarget};
use crate::xml::tagging::read_tag;

/// The largest body worth reading: a filter with ten tags of the longest kind takes 10 KiB.
pub const MAX_NAMED_CONFIGURATION_BODY_BYTES: usize = 64 * 1024;

/// The longest id in characters. Source: S3 User Guide, "Creating a metrics configuration".
pub const MAX_CONFIGURATION_ID_CHARS: usize = 64;

/// The configurations of one page. Source: S3 API reference, ListBucketAnalyticsConfigurations.
pub const CONFIGURATIONS_PER_PAGE: usize = 100;

/// The longest wait before an object is archived, in days, and the shortest ones.
/// Source: S3 API reference, Tiering.
const TIERING_DAYS_MAX: u32 = 730;
const ARCHIVE_DAYS_MIN: u32 = 90;
const DEEP_ARCHIVE_DAYS_MIN: u32 = 180;

/// Which kind of configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NamedKind {
    /// Storage class analysis.
    Analytics,
    /// Metrics of requests.
    Metrics,
    /// When objects of the class INTELLIGENT_TIERING are archived.
    IntelligentTiering,
}

impl NamedKind {
    /// The element of one configuration.
    pub fn element(self) -> &'static str {
        match self {
            Self::Analytics => "AnalyticsConfiguration",
            Self::Metrics => "MetricsConfiguration",
            Self::IntelligentTiering => "IntelligentTieringConfiguration",
        }
    }

    /// The root element of a list, which is named otherwise for each.
    fn list_element(self) -> &'static str {
        match self {
            Self::Analytics => "ListBucketAnalyticsConfigurationResult",
            Self::Metrics => "ListMetricsConfigurationsResult",
            Self::IntelligentTiering => "ListBucketIntelligentTieringConfigurationsOutput",
        }
    }
}

/// A configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedConfiguration {
    /// Its id.
    pub id: String,
    /// Which objects it is about; all without one.
    pub filter: Option<Filter>,
    /// What it says of them.
    pub detail: Detail,
}

/// Objects with all of these properties.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// What their keys begin with.
    pub prefix: Option<String>,
    /// Tags they have.
    pub tags: Vec<Tag>,
    /// The access point they are asked for through; of metrics only.
    pub access_point_arn: Option<String>,
}

/// What differs from kind to kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Where the analysis goes; nowhere without an export.
    Analytics(Option<AnalyticsExport>),
    /// Nothing more.
    Metrics,
    /// When objects are archived.
    IntelligentTiering {
        /// Whether the configuration is in force.
        enabled: bool,
        /// At least one.
        tierings: Vec<Tiering>,
    },
}

/// Where the analysis of storage classes goes, as CSV.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnalyticsExport {
    /// ARN of the bucket.
    pub bucket: String,
    /// The account that is expected to own it.
    pub bucket_account_id: Option<String>,
    /// What the keys begin with.
    pub prefix: Option<String>,
}

/// When objects go to an archive tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tiering {
    /// Days without access.
    pub days: u32,
    /// Whether to the deep archive.
    pub deep: bool,
}

/// Refuses an id that no configuration can have.
pub fn check_configuration_id(id: &str) -> Result<(), S3Error> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if (1..=MAX_CONFIGURATION_ID_CHARS).contains(&id.len()) && id.bytes().all(is_allowed) {
        return Ok(());
    }
    Err(S3ErrorCode::InvalidConfigurationId.into())
}

impl NamedConfiguration {
    /// Reads the document.
    pub fn parse(kind: NamedKind, xml: &[u8]) -> Result<Self, S3Error> {
        let mut reader = XmlReader::open(xml, &[kind.element()])?;
        let (mut id, mut filter, mut status) = (None, None, None);
        let mut tierings = Vec::new();
        let mut analysis = None;
        while let Some(name) = reader.child()? {
            match (name, kind) {
                ("Id", _) => reader.once(&mut id, XmlReader::value)?,
                ("Filter", _) => reader.once(&mut filter, |xml| Filter::read(xml, kind))?,
                ("Status", NamedKind::IntelligentTiering) => {
                    reader.once(&mut status, read_status)?;
                }
                ("Tiering", NamedKind::IntelligentTiering) => {
                    tierings.push(Tiering::read(&mut reader)?);
                }
                ("StorageClassAnalysis", NamedKind::Analytics) => {
                    reader.once(&mut analysis, read_analysis)?;
                }
                _ => reader.skip()?,
            }
        }
        reader.finish()?;
        let id = id.ok_or_else(|| malformed("A configuration needs an Id."))?;
        check_configuration_id(&id)?;
        let detail = match kind {
            NamedKind::Metrics => Detail::Metrics,
            NamedKind::Analytics => Detail::Analytics(analysis.ok_or_else(|| {
                malformed("AnalyticsConfiguration needs a StorageClassAnalysis.")
            })?),
            NamedKind::IntelligentTiering => {
                check_tierings(&tierings)?;
                let enabled = status.ok_or_else(|| malformed("The Status is missing."))?;
                Detail::IntelligentTiering { enabled, tierings }
            }
        };
        Ok(Self { id, filter, detail })
    }

    /// Which kind it is.
    pub fn kind(&self) -> NamedKind {
        match self.detail {
            Detail::Analytics(_) => NamedKind::Analytics,
            Detail::Metrics => NamedKind::Metrics,
            Detail::IntelligentTiering { .. } => NamedKind::IntelligentTiering,
        }
    }

    /// Writes the document.
    pub fn to_xml(&self) -> Vec<u8> {
        let element = self.kind().element();
        let mut xml = XmlWriter::with_capacity(1024);
        xml.open_root(element);
        self.write_content(&mut xml);
        xml.close(element);
        xml.finish()
    }

    fn write_content(&self, xml: &mut XmlWriter) {
        xml.text("Id", &self.id);
        if let Some(filter) = &self.filter {
            filter.write(xml);
        }
        match &self.detail {
            Detail::Metrics => {}
            Detail::Analytics(export) => {
                xml.open("StorageClassAnalysis");
                if let Some(export) = export {
                    export.write(xml);
                }
                xml.close("StorageClassAnalysis");
            }
            Detail::IntelligentTiering { enabled, tierings } => {
                xml.text("Status", if *enabled { "Enabled" } else { "Disabled" });
                for tiering in tierings {
                    xml.open("Tiering");
                    xml.number("Days", u64::from(tiering.days));
                    let tier = match tiering.deep {
                        true => "DEEP_ARCHIVE_ACCESS",
                        false => "ARCHIVE_ACCESS",
                    };
                    xml.text("AccessTier", tier);
                    xml.close("Tiering");
                }
            }
        }
    }
}

impl Filter {
    fn read(xml: &mut XmlReader<'_>, kind: NamedKind) -> Result<Self, S3Error> {
        let mut filter = Self::default();
        let mut conditions = 0;
        while let Some(name) = xml.child()? {
            conditions += 1;
            match name {
                "And" => {
                    while let Some(name) = xml.child()? {
                        filter.read_condition(name, xml, kind)?;
                    }
                    if filter.conditions() < 2 {
                        return Err(malformed("And needs two conditions or more."));
                    }
                }
                name => filter.read_condition(name, xml, kind)?,
            }
        }
        if conditions != 1 {
            return Err(malformed("A Filter holds one condition, or And."));
        }
        filter.tags = TagSet::new(std::mem::take(&mut filter.tags), TagTarget::Object)?.into_vec();
        Ok(filter)
    }

    fn read_condition(
        &mut self,
        name: &str,
        xml: &mut XmlReader<'_>,
        kind: NamedKind,
    ) -> Result<(), S3Error> {
        match name {
            "Prefix" => xml.once(&mut self.prefix, XmlReader::value)?,
            "Tag" => self.tags.push(read_tag(xml)?),
            "AccessPointArn" if kind == NamedKind::Metrics => {
                xml.once(&mut self.access_point_arn, XmlReader::value)?;
            }
            _ => return Err(malformed("A Filter holds something that it cannot hold.")),
        }
        Ok(())
    }

    fn conditions(&self) -> usize {
        let one = |condition: &Option<String>| usize::from(condition.is_some());
        self.tags.len() + one(&self.prefix) + one(&self.access_point_arn)
    }

    fn write(&self, xml: &mut XmlWriter) {
        xml.open("Filter");
        let is_combined = self.conditions() > 1;
        if is_combined {
            xml.open("And");
        }
        xml.optional_text("Prefix", self.prefix.as_deref());
        for tag in &self.tags {
            xml.open("Tag");
            xml.text("Key", &tag.key);
            xml.text("Value", &tag.value);
            xml.close("Tag");
        }
        xml.optional_text("AccessPointArn", self.access_point_arn.as_deref());
        if is_combined {
            xml.close("And");
        }
        xml.close("Filter");
    }
}

impl Tiering {
    fn read(xml: &mut XmlReader<'_>) -> Result<Self, S3Error> {
        let (mut days, mut deep) = (None, None);
        while let Some(name) = xml.child()? {
            match name {
                "Days" => xml.once(&mut days, XmlReader::small_number)?,
                "AccessTier" => xml.once(&mut deep, read_is_deep)?,
                _ => xml.skip()?,
            }
        }
        let (Some(days), Some(deep)) = (days, deep) else {
            return Err(malformed("A Tiering needs Days and an AccessTier."));
        };
        Ok(Self { days, deep })
    }
}

fn read_status(xml: &mut XmlReader<'_>) -> Result<bool, S3Error> {
    match xml.value()?.as_str() {
        "Enabled" => Ok(true),
        "Disabled" => Ok(false),
        _ => Err(malformed("Status must be Enabled or Disabled.")),
    }
}

fn read_is_deep(xml: &mut XmlReader<'_>) -> Result<bool, S3Error> {
    match xml.value()?.as_str() {
        "ARCHIVE_ACCESS" => Ok(false),
        "DEEP_ARCHIVE_ACCESS" => Ok(true),
        _ => Err(malformed("There is no such AccessTier.")),
    }
}

fn check_tierings(tierings: &[Tiering]) -> Result<(), S3Error> {
    if tierings.is_empty() {
        return Err(malformed(
            "IntelligentTieringConfiguration needs a Tiering.",
        ));
    }
    for (index, tiering) in tierings.iter().enumerate() {
        let min = match tiering.deep {
            true => DEEP_ARCHIVE_DAYS_MIN,
            false => ARCHIVE_DAYS_MIN,
        };
        if !(min..=TIERING_DAYS_MAX).contains(&tiering.days) {
            let message = format!("Days must be from {min} to {TIERING_DAYS_MAX}.");
            let days = tiering.days.to_string();
            return Err(S3Error::invalid_argument("Days", &days, message));
        }
        let mut earlier = tierings[..index].iter();
        if earlier.any(|earlier| earlier.deep == tiering.deep) {
            return Err(malformed("An AccessTier comes twice."));
        }
    }
    Ok(())
}

/// Reads `StorageClassAnalysis`, which may be empty.
fn read_analysis(xml: &mut XmlReader<'_>) -> Result<Option<AnalyticsExport>, S3Error> {
    let mut export = None;
    while let Some(name) = xml.child()? {
        match name {
            "DataExport" => xml.once(&mut export, read_export)?,
            _ => xml.skip()?,
        }
    }
    Ok(export)
}

fn read_export(xml: &mut XmlReader<'_>) -> Result<AnalyticsExport, S3Error> {
    let (mut version, mut destination) = (None, None);
    while let Some(name) = xml.child()? {
        match name {
            "OutputSchemaVersion" => xml.once(&mut version, XmlReader::value)?,
            "Destination" => xml.once(&mut destination, read_destination)?,
            _ => xml.skip()?,
        }
    }
    match (version.as_deref(), destination.flatten()) {
        (Some("V_1"), Some(export)) => Ok(export),
        _ => Err(malformed(
            "DataExport needs OutputSchemaVersion V_1 and a Destination.",
        )),
    }
}

fn read_destination(xml: &mut XmlReader<'_>) -> Result<Option<AnalyticsExport>, S3Error> {
    let mut destination = None;
    while let Some(name) = xml.child()? {
        match name {
            "S3BucketDestination" => xml.once(&mut destination, read_bucket_destination)?,
            _ => xml.skip()?,
        }
    }
    Ok(destination)
}

fn read_bucket_destination(xml: &mut XmlReader<'_>) -> Result<AnalyticsExport, S3Error> {
    let mut export = AnalyticsExport::default();
    let (mut format, mut bucket) = (None, None);
    while let Some(name) = xml.child()? {
        match name {
            "Format" => xml.once(&mut format, XmlReader::value)?,
            "Bucket" => xml.once(&mut bucket, XmlReader::value)?,
            "BucketAccountId" => xml.once(&mut export.bucket_account_id, XmlReader::value)?,
            "Prefix" => xml.once(&mut export.prefix, XmlReader::value)?,
            _ => xml.skip()?,
        }
    }
    if format.as_deref() != Some("CSV") {
        return Err(malformed("The Format of an export must be CSV."));
    }
    export.bucket = bucket.unwrap_or_default();
    if !export.bucket.starts_with("arn:aws:s3:::") {
        let message = "The bucket of a destination must be given as an ARN.";
        return Err(S3Error::invalid_argument("Bucket", &export.bucket, message));
    }
    Ok(export)
}

impl AnalyticsExport {
    fn write(&self, xml: &mut XmlWriter) {
        xml.open("DataExport");
        xml.text("OutputSchemaVersion", "V_1");
        xml.open("Destination");
        xml.open("S3BucketDestination");
        xml.text("Format", "CSV");
        xml.optional_text("BucketAccountId", self.bucket_account_id.as_deref());
        xml.text("Bucket", &self.bucket);
        xml.optional_text("Prefix", self.prefix.as_deref());
        xml.close("S3BucketDestination");
        xml.close("Destination");
        xml.close("DataExport");
    }
}

/// Writes a page of configurations of one kind. `token` is the one that was sent, `next` the one
/// for what follows.
pub fn list_to_xml(
    kind: NamedKind,
    page: &[NamedConfiguration],
    token: Option<&str>,
    next: Option<&str>,
) -> Vec<u8> {
    let mut xml = XmlWriter::with_capacity(512 + page.len() * 512);
    xml.open_root(kind.list_element());
    xml.optional_text("ContinuationToken", token);
    xml.boolean("IsTruncated", next.is_some());
    xml.optional_text("NextContinuationToken", next);
    for configuration in page {
        xml.open(kind.element());
        configuration.write_content(&mut xml);
        xml.close(kind.element());
    }
    xml.close(kind.list_element());
    xml.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(kind: NamedKind, content: &str) -> Result<NamedConfiguration, S3ErrorCode> {
        let element = kind.element();
        let document = format!("<{element}>{content}</{element}>");
        let configuration = NamedConfiguration::parse(kind, document.as_bytes());
        let configuration = configuration.map_err(|error| error.code)?;
        let again = NamedConfiguration::parse(kind, &configuration.to_xml()).unwrap();
        assert_eq!(again, configuration);
        Ok(configuration)
    }

    const TAG: &str = "<Tag><Key>k</Key><Value>v</Value></Tag>";
    const TIERING: &str =
        "<Tiering><Days>90</Days><AccessTier>ARCHIVE_ACCESS</AccessTier></Tiering>";

    #[test]
    fn metrics() {
        let metrics = |content: &str| parse(NamedKind::Metrics, content);
        let configuration = metrics("<Id>EntireBucket</Id>").unwrap();
        assert_eq!(configuration.id, "EntireBucket");
        let and = format!("<Id>a</Id><Filter><And><Prefix>p/</Prefix>{TAG}</And></Filter>");
        let filter = metrics(&and).unwrap().filter.unwrap();
        assert_eq!(filter.prefix.as_deref(), Some("p/"));
        assert_eq!(filter.tags.len(), 1);
        let access_point = "<Id>a</Id><Filter><AccessPointArn>arn:x</AccessPointArn></Filter>";
        assert!(metrics(access_point).is_ok());
        for (content, code) in [
            ("", S3ErrorCode::MalformedXML),
            ("<Id>a b</Id>", S3ErrorCode::InvalidConfigurationId),
            ("<Id></Id>", S3ErrorCode::InvalidConfigurationId),
            ("<Id>a</Id><Filter/>", S3ErrorCode::MalformedXML),
            (
                "<Id>a</Id><Filter><And><Prefix>p</Prefix></And></Filter>",
                S3ErrorCode::MalformedXML,
            ),
            (
                "<Id>a</Id><Filter><Prefix>p</Prefix><Prefix>q</Prefix></Filter>",
                S3ErrorCode::MalformedXML,
            ),
            (
                "<Id>a</Id><Filter><Tag><Key>aws:a</Key><Value/></Tag></Filter>",
                S3ErrorCode::InvalidTag,
            ),
        ] {
            assert_eq!(metrics(content), Err(code), "{content}");
        }
        assert!(metrics(&format!("<Id>{}</Id>", "a".repeat(64))).is_ok());
        let long = metrics(&format!("<Id>{}</Id>", "a".repeat(65)));
        assert_eq!(long, Err(S3ErrorCode::InvalidConfigurationId));
    }

    #[test]
    fn analytics() {
        let analytics = |content: &str| parse(NamedKind::Analytics, content);
        let export = |format: &str, bucket: &str| {
            format!(
                "<Id>a</Id><StorageClassAnalysis><DataExport><OutputSchemaVersion>V_1\
                 </OutputSchemaVersion><Destination><S3BucketDestination><Format>{format}</Format>\
                 <Bucket>{bucket}</Bucket><Prefix>x</Prefix></S3BucketDestination></Destination>\
                 </DataExport></StorageClassAnalysis>"
            )
        };
        assert!(analytics("<Id>a</Id><StorageClassAnalysis/>").is_ok());
        let full = analytics(&export("CSV", "arn:aws:s3:::to")).unwrap();
        assert!(matches!(full.detail, Detail::Analytics(Some(_))));
        assert_eq!(analytics("<Id>a</Id>"), Err(S3ErrorCode::MalformedXML));
        let access_point = "<Id>a</Id><StorageClassAnalysis/><Filter><AccessPointArn>x\
                            </AccessPointArn></Filter>";
        assert_eq!(analytics(access_point), Err(S3ErrorCode::MalformedXML));
        let orc = analytics(&export("ORC", "arn:aws:s3:::to"));
        assert_eq!(orc, Err(S3ErrorCode::MalformedXML));
        let name = analytics(&export("CSV", "to"));
        assert_eq!(name, Err(S3ErrorCode::InvalidArgument));
    }

    #[test]
    fn intelligent_tiering() {
        let tiering = |content: &str| parse(NamedKind::IntelligentTiering, content);
        let of_days = |days: u32, tier: &str| {
            tiering(&format!(
                "<Id>a</Id><Status>Enabled</Status><Tiering><Days>{days}</Days>\
                 <AccessTier>{tier}</AccessTier></Tiering>"
            ))
        };
        assert!(of_days(90, "ARCHIVE_ACCESS").is_ok());
        assert!(of_days(180, "DEEP_ARCHIVE_ACCESS").is_ok());
        for (days, tier, code) in [
            (89, "ARCHIVE_ACCESS", S3ErrorCode::InvalidArgument),
            (731, "ARCHIVE_ACCESS", S3ErrorCode::InvalidArgument),
            (179, "DEEP_ARCHIVE_ACCESS", S3ErrorCode::InvalidArgument),
            (180, "GLACIER", S3ErrorCode::MalformedXML),
        ] {
            assert_eq!(of_days(days, tier), Err(code), "{days} {tier}");
        }
        for content in [
            "<Id>a</Id><Status>Enabled</Status>".to_owned(),
            format!("<Id>a</Id>{TIERING}"),
            format!("<Id>a</Id><Status>Enabled</Status>{TIERING}{TIERING}"),
        ] {
            assert_eq!(tiering(&content), Err(S3ErrorCode::MalformedXML));
        }
    }
}
