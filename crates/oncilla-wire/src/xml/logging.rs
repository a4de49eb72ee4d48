//! `BucketLoggingStatus`: the request of PutBucketLogging and the answer of GetBucketLogging.

use super::reader::{XmlReader, malformed};
use super::writer::XmlWriter;
use crate::error::{S3Error, S3ErrorCode};

/// The largest body worth reading: the most grants, each with a long grantee.
pub const MAX_LOGGING_BODY_BYTES: usize = 256 * 1024;

/// Most grants. Source: S3 user guide, "Access control list (ACL) overview": 100 in an ACL.
pub const MAX_TARGET_GRANTS: usize = 100;

/// Longest prefix: with the longest name that follows it, a key has at most 1,024 bytes.
pub const MAX_TARGET_PREFIX_BYTES: usize = 768;

/// Where the access logs of a bucket go; nowhere without a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BucketLoggingStatus {
    /// The target.
    pub enabled: Option<LoggingEnabled>,
}

/// Where access logs go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LoggingEnabled {
    /// The bucket that gets them.
    pub target_bucket: String,
    /// What the names of log objects begin with.
    pub target_prefix: String,
    /// Who may read log objects besides their owner.
    pub target_grants: Vec<TargetGrant>,
    /// How log objects are named.
    pub key_format: LogKeyFormat,
}

/// A grant on log objects.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TargetGrant {
    /// To whom.
    pub grantee: LogGrantee,
    /// What.
    pub permission: LogPermission,
}

/// To whom a grant is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LogGrantee {
    /// An account by its canonical id.
    CanonicalUser {
        /// The id.
        id: String,
        /// The name for people, as the client sent it.
        display_name: Option<String>,
    },
    /// A group by its URI.
    Group(String),
}

/// What a grant allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogPermission {
    /// `FULL_CONTROL`.
    FullControl,
    /// `READ`.
    Read,
    /// `WRITE`.
    Write,
}

impl LogPermission {
    const ALL: [Self; 3] = [Self::FullControl, Self::Read, Self::Write];

    fn as_str(self) -> &'static str {
        match self {
            Self::FullControl => "FULL_CONTROL",
            Self::Read => "READ",
            Self::Write => "WRITE",
        }
    }

    fn read(xml: &mut XmlReader<'_>) -> Result<Self, S3Error> {
        let text = xml.value()?;
        let mut known = Self::ALL.into_iter();
        known
            .find(|permission| permission.as_str() == text)
            .ok_or_else(|| malformed("Permission must be FULL_CONTROL, READ or WRITE."))
    }
}

/// How log objects are named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LogKeyFormat {
    /// `SimplePrefix`: by the time of the delivery.
    #[default]
    Simple,
    /// `PartitionedPrefix`: by account, region, bucket and day.
    Partitioned(PartitionDateSource),
}

/// Which day a partition is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PartitionDateSource {
    /// That of the requests in it.
    EventTime,
    /// That of the delivery.
    DeliveryTime,
}

impl PartitionDateSource {
    fn as_str(self) -> &'static str {
        match self {
            Self::EventTime => "EventTime",
            Self::DeliveryTime => "DeliveryTime",
        }
    }

    fn read(xml: &mut XmlReader<'_>) -> Result<Self, S3Error> {
        match xml.value()?.as_str() {
            "EventTime" => Ok(Self::EventTime),
            "DeliveryTime" => Ok(Self::DeliveryTime),
            _ => Err(malformed(
                "PartitionDateSource is EventTime or DeliveryTime.",
            )),
        }
    }
}

impl BucketLoggingStatus {
    /// Writes the document. It names the key format even where the client did not (ceph/s3-tests,
    /// test_put_bucket_logging).
    pub fn to_xml(&self) -> Vec<u8> {
        let mut xml = XmlWriter::with_capacity(512);
        xml.open_root("BucketLoggingStatus");
        if let Some(enabled) = &self.enabled {
            enabled.write(&mut xml);
        }
        xml.close("BucketLoggingStatus");
        xml.finish()
    }

    /// Reads the document.
    ///
    /// # Errors
    /// `MalformedXML`, `InvalidArgument` for a prefix that is too long, and `NotImplemented` for a
    /// grantee named by e-mail address.
    pub fn parse(xml: &[u8]) -> Result<Self, S3Error> {
        let mut reader = XmlReader::open(xml, &["BucketLoggingStatus"])?;
        let mut status = Self::default();
        while let Some(name) = reader.child()? {
            match name {
                "LoggingEnabled" => reader.once(&mut status.enabled, LoggingEnabled::read)?,
                _ => reader.skip()?,
            }
        }
        reader.finish()?;
        Ok(status)
    }
}

impl LoggingEnabled {
    fn write(&self, xml: &mut XmlWriter) {
        xml.open("LoggingEnabled");
        xml.text("TargetBucket", &self.target_bucket);
        if !self.target_grants.is_empty() {
            xml.open("TargetGrants");
            for grant in &self.target_grants {
                grant.write(xml);
            }
            xml.close("TargetGrants");
        }
        xml.text("TargetPrefix", &self.target_prefix);
        xml.open("TargetObjectKeyFormat");
        match self.key_format {
            LogKeyFormat::Simple => {
                xml.open("SimplePrefix");
                xml.close("SimplePrefix");
            }
            LogKeyFormat::Partitioned(source) => {
                xml.open("PartitionedPrefix");
                xml.text("PartitionDateSource", source.as_str());
                xml.close("PartitionedPrefix");
            }
        }
        xml.close("TargetObjectKeyFormat");
        xml.close("LoggingEnabled");
    }

    fn read(xml: &mut XmlReader<'_>) -> Result<Self, S3Error> {
        let (mut bucket, mut prefix) = (None, None);
        let (mut grants, mut key_format) = (None, None);
        while let Some(name) = xml.child()? {
            match name {
                "TargetBucket" => xml.once(&mut bucket, XmlReader::value)?,
                "TargetPrefix" => xml.once(&mut prefix, XmlReader::value)?,
                "TargetGrants" => xml.once(&mut grants, read_grants)?,
                "TargetObjectKeyFormat" => xml.once(&mut key_format, read_key_format)?,
                _ => xml.skip()?,
            }
        }
        let (Some(target_bucket), Some(target_prefix)) = (bucket, prefix) else {
            return Err(malformed(
                "LoggingEnabled needs a TargetBucket and a TargetPrefix.",
            ));
        };
        if target_prefix.len() > MAX_TARGET_PREFIX_BYTES {
            let message = "The target prefix is too long.";
            return Err(S3Error::with_message(S3ErrorCode::InvalidArgument, message));
        }
        Ok(Self {
            target_bucket,
            target_prefix,
            target_grants: grants.unwrap_or_default(),
            key_format: key_format.unwrap_or_default(),
        })
    }
}

impl TargetGrant {
    fn write(&self, xml: &mut XmlWriter) {
        xml.open("Grant");
        xml.raw("<Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"");
        match &self.grantee {
            LogGrantee::CanonicalUser { id, display_name } => {
                xml.raw("CanonicalUser\">");
                xml.text("ID", id);
                xml.optional_text("DisplayName", display_name.as_deref());
            }
            LogGrantee::Group(uri) => {
                xml.raw("Group\">");
                xml.text("URI", uri);
            }
        }
        xml.close("Grantee");
        xml.text("Permission", self.permission.as_str());
        xml.close("Grant");
    }

    fn read(xml: &mut XmlReader<'_>) -> Result<Self, S3Error> {
        let (mut grantee, mut permission) = (None, None);
        while let Some(name) = xml.child()? {
            match name {
                "Grantee" => xml.once(&mut grantee, read_grantee)?,
                "Permission" => xml.once(&mut permission, LogPermission::read)?,
                _ => xml.skip()?,
            }
        }
        match (grantee, permission) {
            (Some(grantee), Some(permission)) => Ok(Self {
                grantee,
                permission,
            }),
            _ => Err(malformed("Every Grant needs a Grantee and a Permission.")),
        }
    }
}

/// The attribute `xsi:type` is not looked at: what the grantee holds tells its type as well.
fn read_grantee(xml: &mut XmlReader<'_>) -> Result<LogGrantee, S3Error> {
    let (mut id, mut display_name, mut uri) = (None, None, None);
    while let Some(name) = xml.child()? {
        match name {
            "ID" => xml.once(&mut id, XmlReader::value)?,
            "DisplayName" => xml.once(&mut display_name, XmlReader::value)?,
            "URI" => xml.once(&mut uri, XmlReader::value)?,
            "EmailAddress" => {
                let message = "Grantees by e-mail address are not implemented here. Nothing was \
                               changed.";
                return Err(S3Error::with_message(S3ErrorCode::NotImplemented, message));
            }
            _ => xml.skip()?,
        }
    }
    match (id, uri) {
        (Some(id), None) => Ok(LogGrantee::CanonicalUser { id, display_name }),
        (None, Some(uri)) => Ok(LogGrantee::Group(uri)),
        _ => Err(malformed("A Grantee needs an ID or a URI.")),
    }
}

fn read_grants(xml: &mut XmlReader<'_>) -> Result<Vec<TargetGrant>, S3Error> {
    let mut grants = Vec::new();
    while let Some(name) = xml.child()? {
        match name {
            "Grant" if grants.len() == MAX_TARGET_GRANTS => {
                return Err(malformed("There are too many grants."));
            }
            "Grant" => grants.push(TargetGrant::read(xml)?),
            _ => xml.skip()?,
        }
    }
    Ok(grants)
}

fn read_key_format(xml: &mut XmlReader<'_>) -> Result<LogKeyFormat, S3Error> {
    let mut found = None;
    while let Some(name) = xml.child()? {
        let format = match name {
            "SimplePrefix" => {
                xml.skip()?;
                LogKeyFormat::Simple
            }
            "PartitionedPrefix" => LogKeyFormat::Partitioned(read_date_source(xml)?),
            _ => {
                xml.skip()?;
                continue;
            }
        };
        if found.replace(format).is_some() {
            return Err(malformed("There must be one key format."));
        }
    }
    found.ok_or_else(|| malformed("TargetObjectKeyFormat needs a key format."))
}

fn read_date_source(xml: &mut XmlReader<'_>) -> Result<PartitionDateSource, S3Error> {
    let mut source = None;
    while let Some(name) = xml.child()? {
        match name {
            "PartitionDateSource" => xml.once(&mut source, PartitionDateSource::read)?,
            _ => xml.skip()?,
        }
    }
    source.ok_or_else(|| malformed("PartitionedPrefix needs a PartitionDateSource."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(content: &str) -> Result<BucketLoggingStatus, S3ErrorCode> {
        let document = format!("<BucketLoggingStatus>{content}</BucketLoggingStatus>");
        BucketLoggingStatus::parse(document.as_bytes()).map_err(|error| error.code)
    }

    const TARGET: &str = "<TargetBucket>logs</TargetBucket><TargetPrefix>p/</TargetPrefix>";

    #[test]
    fn what_was_read_is_written_as_s3_writes_it() {
        assert_eq!(parse(""), Ok(BucketLoggingStatus::default()));
        let status = parse(&format!("<LoggingEnabled>{TARGET}</LoggingEnabled>")).unwrap();
        let written = String::from_utf8(status.to_xml()).unwrap();
        assert!(written.contains(&format!(
            "<LoggingEnabled>{TARGET}<TargetObjectKeyFormat><SimplePrefix></SimplePrefix>\
             </TargetObjectKeyFormat></LoggingEnabled>"
        )));
        let full = "<LoggingEnabled><TargetBucket>logs</TargetBucket><TargetPrefix></TargetPrefix>\
            <TargetGrants><Grant><Grantee><ID>a</ID><DisplayName>A</DisplayName></Grantee>\
            <Permission>READ</Permission></Grant><Grant><Grantee><URI>u</URI></Grantee>\
            <Permission>FULL_CONTROL</Permission></Grant></TargetGrants>\
            <TargetObjectKeyFormat><PartitionedPrefix><PartitionDateSource>EventTime\
            </PartitionDateSource></PartitionedPrefix></TargetObjectKeyFormat></LoggingEnabled>";
        let status = parse(full).unwrap();
        let enabled = status.enabled.as_ref().unwrap();
        assert_eq!(
            enabled.key_format,
            LogKeyFormat::Partitioned(PartitionDateSource::EventTime)
        );
        assert_eq!(enabled.target_grants.len(), 2);
        assert_eq!(
            BucketLoggingStatus::parse(&status.to_xml()).unwrap(),
            status
        );
    }

    #[test]
    fn what_is_not_a_configuration() {
        use S3ErrorCode::{InvalidArgument, MalformedXML, NotImplemented};
        let in_format = |format: &str| {
            format!(
                "<LoggingEnabled>{TARGET}<TargetObjectKeyFormat>{format}</TargetObjectKeyFormat>\
                 </LoggingEnabled>"
            )
        };
        let granting = |grant: &str| {
            format!("<LoggingEnabled>{TARGET}<TargetGrants>{grant}</TargetGrants></LoggingEnabled>")
        };
        let long = format!(
            "<LoggingEnabled><TargetBucket>b</TargetBucket><TargetPrefix>{}</TargetPrefix>\
             </LoggingEnabled>",
            "p".repeat(MAX_TARGET_PREFIX_BYTES + 1)
        );
        for (content, code) in [
            ("<LoggingEnabled/>".to_owned(), MalformedXML),
            (
                "<LoggingEnabled><TargetBucket>b</TargetBucket></LoggingEnabled>".to_owned(),
                MalformedXML,
            ),
            (in_format(""), MalformedXML),
            (in_format("<PartitionedPrefix/>"), MalformedXML),
            (in_format("<SimplePrefix/><SimplePrefix/>"), MalformedXML),
            (
                in_format(
                    "<PartitionedPrefix><PartitionDateSource>x</PartitionDateSource>\
                     </PartitionedPrefix>",
                ),
                MalformedXML,
            ),
            (granting("<Grant/>"), MalformedXML),
            (
                granting("<Grant><Grantee><ID>a</ID></Grantee><Permission>X</Permission></Grant>"),
                MalformedXML,
            ),
            (
                granting("<Grant><Grantee><EmailAddress>a</EmailAddress></Grantee></Grant>"),
                NotImplemented,
            ),
            (long, InvalidArgument),
        ] {
            assert_eq!(parse(&content), Err(code), "{content}");
        }
    }
}
