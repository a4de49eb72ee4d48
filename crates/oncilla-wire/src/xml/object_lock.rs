//! `ObjectLockConfiguration`, `Retention` and `LegalHold`: requests and answers of Object Lock.

use super::reader::{XmlReader, malformed};
use super::writer::XmlWriter;
use crate::error::{S3Error, S3ErrorCode};
use crate::object_lock::{
    DefaultRetention, LegalHold, RETENTION_DAYS_MAX, RETENTION_YEARS_MAX, Retention, RetentionMode,
    RetentionPeriod,
};

/// The largest body worth reading: a few short elements, with room for comments and namespaces.
pub const MAX_OBJECT_LOCK_BODY_BYTES: usize = 16 * 1024;

/// Refuses an element that is not known. To pass over it would be to answer that an object is held which
/// is not, or even to end a retention, which is what a `Retention` without one asks for.
///
/// # Errors
/// `NotImplemented` for the event holds of S3, by their name; `MalformedXML` for what S3 does not have.
fn unknown(element: &str) -> S3Error {
    match element {
        "DefaultEventHold" | "EventHold" | "EventHoldDuration" => {
            let message =
                format!("Event holds ({element}) are not implemented. Nothing was changed.");
            S3Error::with_message(S3ErrorCode::NotImplemented, message).detail("Element", element)
        }
        _ => malformed("The document has an element that S3 does not know there."),
    }
}

/// `ObjectLockConfiguration`: Object Lock is enabled, and perhaps has a default retention.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ObjectLockConfiguration {
    /// The retention of new versions whose writer names none.
    pub default_retention: Option<DefaultRetention>,
}

impl ObjectLockConfiguration {
    /// Writes the document.
    pub fn to_xml(&self) -> Vec<u8> {
        let mut xml = XmlWriter::with_capacity(320);
        xml.open_root("ObjectLockConfiguration");
        xml.text("ObjectLockEnabled", "Enabled");
        if let Some(default) = &self.default_retention {
            xml.open("Rule");
            xml.open("DefaultRetention");
            xml.text("Mode", default.mode.as_str());
            match default.period {
                RetentionPeriod::Days(days) => xml.number("Days", days.into()),
                RetentionPeriod::Years(years) => xml.number("Years", years.into()),
            }
            xml.close("DefaultRetention");
            xml.close("Rule");
        }
        xml.close("ObjectLockConfiguration");
        xml.finish()
    }

    /// Reads the document.
    ///
    /// # Errors
    /// `InvalidRetentionPeriod` for days or years out of range, `NotImplemented` for event holds,
    /// `MalformedXML` for all else: `ObjectLockEnabled` can be nothing but `Enabled`, and a rule has a
    /// mode and either days or years.
    pub fn parse(xml: &[u8]) -> Result<Self, S3Error> {
        let mut reader = XmlReader::open(xml, &["ObjectLockConfiguration"])?;
        let mut enabled = None;
        let mut configuration = Self::default();
        while let Some(name) = reader.child()? {
            match name {
                "ObjectLockEnabled" => reader.once(&mut enabled, read_enabled)?,
                "Rule" => reader.once(&mut configuration.default_retention, read_rule)?,
                _ => return Err(unknown(name)),
            }
        }
        reader.finish()?;
        match enabled {
            Some(()) => Ok(configuration),
            None => Err(malformed("ObjectLockEnabled is missing.")),
        }
    }
}

fn read_enabled(reader: &mut XmlReader<'_>) -> Result<(), S3Error> {
    match reader.value()?.as_str() {
        "Enabled" => Ok(()),
        _ => Err(malformed("ObjectLockEnabled must be Enabled.")),
    }
}

fn read_rule(reader: &mut XmlReader<'_>) -> Result<DefaultRetention, S3Error> {
    let mut default = None;
    while let Some(name) = reader.child()? {
        match name {
            "DefaultRetention" => reader.once(&mut default, read_default)?,
            _ => return Err(unknown(name)),
        }
    }
    default.ok_or_else(|| malformed("A Rule has a DefaultRetention."))
}

fn read_default(reader: &mut XmlReader<'_>) -> Result<DefaultRetention, S3Error> {
    let (mut mode, mut days, mut years) = (None, None, None);
    while let Some(name) = reader.child()? {
        match name {
            "Mode" => reader.once(&mut mode, read_mode)?,
            "Days" => reader.once(&mut days, read_count)?,
            "Years" => reader.once(&mut years, read_count)?,
            _ => return Err(unknown(name)),
        }
    }
    let mode = mode.ok_or_else(|| malformed("A DefaultRetention has a Mode."))?;
    let period = match (days, years) {
        (Some(days), None) => RetentionPeriod::Days(in_range(days, RETENTION_DAYS_MAX)?),
        (None, Some(years)) => RetentionPeriod::Years(in_range(years, RETENTION_YEARS_MAX)?),
        _ => return Err(malformed("A DefaultRetention has either Days or Years.")),
    };
    Ok(DefaultRetention { mode, period })
}

fn read_mode(reader: &mut XmlReader<'_>) -> Result<RetentionMode, S3Error> {
    let mode = RetentionMode::from_name(&reader.value()?);
    mode.ok_or_else(|| malformed("Mode must be GOVERNANCE or COMPLIANCE."))
}

fn read_count(reader: &mut XmlReader<'_>) -> Result<i64, S3Error> {
    let text = reader.value()?;
    let count = text.trim().parse();
    count.map_err(|_| malformed("An element should hold a number."))
}

fn in_range(count: i64, max: u32) -> Result<u32, S3Error> {
    let allowed = u32::try_from(count).ok();
    allowed
        .filter(|count| (1..=max).contains(count))
        .ok_or_else(|| {
            let message = match count {
                ..=0 => "Default retention period must be a positive integer value.",
                _ => "Default retention period is too large.",
            };
            S3Error::with_message(S3ErrorCode::InvalidRetentionPeriod, message)
        })
}

impl Retention {
    /// Writes the document.
    pub fn to_xml(&self) -> Vec<u8> {
        let mut xml = XmlWriter::with_capacity(224);
        xml.open_root("Retention");
        xml.text("Mode", self.mode.as_str());
        xml.time("RetainUntilDate", self.until_ms);
        xml.close("Retention");
        xml.finish()
    }

    /// Reads the document. Without mode and date it asks for the end of the retention.
    ///
    /// # Errors
    /// `MalformedXML`, also for one of the two without the other; `NotImplemented` for event holds.
    pub fn parse(xml: &[u8]) -> Result<Option<Self>, S3Error> {
        let mut reader = XmlReader::open(xml, &["Retention"])?;
        let (mut mode, mut until_ms) = (None, None);
        while let Some(name) = reader.child()? {
            match name {
                "Mode" => reader.once(&mut mode, read_mode)?,
                "RetainUntilDate" => reader.once(&mut until_ms, XmlReader::time)?,
                _ => return Err(unknown(name)),
            }
        }
        reader.finish()?;
        match (mode, until_ms) {
            (Some(mode), Some(until_ms)) => Ok(Some(Self { mode, until_ms })),
            (None, None) => Ok(None),
            _ => Err(malformed("A Retention has a Mode and a RetainUntilDate.")),
        }
    }
}

impl LegalHold {
    /// Writes the document.
    pub fn to_xml(self) -> Vec<u8> {
        let mut xml = XmlWriter::with_capacity(160);
        xml.open_root("LegalHold");
        xml.text("Status", self.as_str());
        xml.close("LegalHold");
        xml.finish()
    }

    /// Reads the document.
    ///
    /// # Errors
    /// `MalformedXML`, also without a `Status`.
    pub fn parse(xml: &[u8]) -> Result<Self, S3Error> {
        let mut reader = XmlReader::open(xml, &["LegalHold"])?;
        let mut status = None;
        while let Some(name) = reader.child()? {
            match name {
                "Status" => reader.once(&mut status, XmlReader::value)?,
                _ => return Err(unknown(name)),
            }
        }
        reader.finish()?;
        let status = status.as_deref().and_then(Self::from_name);
        status.ok_or_else(|| malformed("Status must be ON or OFF."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(content: &str) -> Result<ObjectLockConfiguration, S3ErrorCode> {
        let document = format!("<ObjectLockConfiguration>{content}</ObjectLockConfiguration>");
        ObjectLockConfiguration::parse(document.as_bytes()).map_err(|error| error.code)
    }

    fn rule(content: &str) -> Result<ObjectLockConfiguration, S3ErrorCode> {
        configuration(&format!(
            "<ObjectLockEnabled>Enabled</ObjectLockEnabled>\
             <Rule><DefaultRetention>{content}</DefaultRetention></Rule>"
        ))
    }

    #[test]
    fn configurations_that_clients_send() {
        let plain = configuration("<ObjectLockEnabled>Enabled</ObjectLockEnabled>");
        assert_eq!(plain, Ok(ObjectLockConfiguration::default()));
        for (content, mode, period) in [
            (
                "<Mode>GOVERNANCE</Mode><Days>1</Days>",
                RetentionMode::Governance,
                RetentionPeriod::Days(1),
            ),
            (
                "<Years>100</Years><Mode>COMPLIANCE</Mode>",
                RetentionMode::Compliance,
                RetentionPeriod::Years(100),
            ),
        ] {
            let read = rule(content).unwrap();
            assert_eq!(
                read.default_retention,
                Some(DefaultRetention { mode, period })
            );
            assert_eq!(
                ObjectLockConfiguration::parse(&read.to_xml()).unwrap(),
                read
            );
        }
    }

    /// The cases of ceph/s3-tests, test_object_lock_put_obj_lock_invalid_days and its neighbours.
    #[test]
    fn configurations_that_are_refused() {
        for content in [
            "<Mode>GOVERNANCE</Mode><Days>0</Days>",
            "<Mode>GOVERNANCE</Mode><Years>-1</Years>",
            "<Mode>GOVERNANCE</Mode><Days>36501</Days>",
            "<Mode>GOVERNANCE</Mode><Years>9999999999</Years>",
        ] {
            assert_eq!(
                rule(content),
                Err(S3ErrorCode::InvalidRetentionPeriod),
                "{content}"
            );
        }
        for content in [
            "",
            "<Mode>GOVERNANCE</Mode>",
            "<Days>1</Days>",
            "<Mode>governance</Mode><Days>1</Days>",
            "<Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years>",
            "<Mode>GOVERNANCE</Mode><Days>one</Days>",
        ] {
            assert_eq!(rule(content), Err(S3ErrorCode::MalformedXML), "{content}");
        }
        for content in ["", "<ObjectLockEnabled>Disabled</ObjectLockEnabled>"] {
            assert_eq!(
                configuration(content),
                Err(S3ErrorCode::MalformedXML),
                "{content}"
            );
        }
    }

    #[test]
    fn elements_that_are_not_known_are_refused() {
        let hold = "<EventHold>ON</EventHold>";
        let duration = "<EventHoldDuration><Days>30</Days></EventHoldDuration>";
        for content in [hold, duration] {
            let document = format!("<Retention>{content}</Retention>");
            let error = Retention::parse(document.as_bytes()).unwrap_err();
            assert_eq!(error.code, S3ErrorCode::NotImplemented, "{content}");
            assert!(error.message.contains("EventHold"), "{}", error.message);
        }
        let rest = "<Mode>GOVERNANCE</Mode><Days>1</Days>";
        let default = "<DefaultEventHold><Days>30</Days></DefaultEventHold>";
        for content in [default.to_owned(), format!("{rest}{default}")] {
            assert_eq!(rule(&content), Err(S3ErrorCode::NotImplemented));
        }
        let unknown = S3ErrorCode::MalformedXML;
        assert_eq!(rule(&format!("{rest}<Other/>")), Err(unknown));
        let enabled = "<ObjectLockEnabled>Enabled</ObjectLockEnabled>";
        assert_eq!(configuration(&format!("{enabled}<Other/>")), Err(unknown));
        let retention = Retention::parse(b"<Retention><Other/></Retention>");
        assert_eq!(retention.unwrap_err().code, unknown);
        let hold = b"<LegalHold><Status>ON</Status><Other/></LegalHold>";
        assert_eq!(LegalHold::parse(hold).unwrap_err().code, unknown);
    }

    #[test]
    fn retentions_and_legal_holds() {
        let retention = |content: &str| {
            let document = format!("<Retention>{content}</Retention>");
            Retention::parse(document.as_bytes()).map_err(|error| error.code)
        };
        let both = "<Mode>GOVERNANCE</Mode><RetainUntilDate>2030-01-01T00:00:00Z</RetainUntilDate>";
        let read = retention(both).unwrap().unwrap();
        assert_eq!(
            (read.mode, read.until_ms),
            (RetentionMode::Governance, 1_893_456_000_000)
        );
        assert_eq!(Retention::parse(&read.to_xml()).unwrap(), Some(read));
        assert_eq!(retention(""), Ok(None));
        for refused in [
            "<Mode>GOVERNANCE</Mode>",
            "<RetainUntilDate>2030-01-01T00:00:00Z</RetainUntilDate>",
            "<Mode>abc</Mode><RetainUntilDate>2030-01-01T00:00:00Z</RetainUntilDate>",
            "<Mode>GOVERNANCE</Mode><RetainUntilDate>soon</RetainUntilDate>",
        ] {
            assert_eq!(
                retention(refused),
                Err(S3ErrorCode::MalformedXML),
                "{refused}"
            );
        }
        for hold in [LegalHold::On, LegalHold::Off] {
            assert_eq!(LegalHold::parse(&hold.to_xml()).unwrap(), hold);
        }
        for refused in [
            "<LegalHold/>",
            "<LegalHold><Status>abc</Status></LegalHold>",
        ] {
            let error = LegalHold::parse(refused.as_bytes()).unwrap_err();
            assert_eq!(error.code, S3ErrorCode::MalformedXML, "{refused}");
        }
    }
}
