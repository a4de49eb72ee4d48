//! `NotificationConfiguration`: the request of PutBucketNotificationConfiguration and the answer of
//! GetBucketNotificationConfiguration.

use std::collections::HashSet;

use super::reader::{XmlReader, malformed};
use super::writer::XmlWriter;
use crate::error::{S3Error, S3ErrorCode};
use crate::event::{EventKind, EventPattern};

/// The largest body worth reading: the most destinations, with every event and two long rules each.
pub const MAX_NOTIFICATION_BODY_BYTES: usize = 1 << 20;

/// Most destinations of a bucket. Source: S3 User Guide, "Amazon S3 Event Notifications": 100.
pub const MAX_DESTINATIONS: usize = 100;

/// Longest id. Source: S3 API reference, `Id` of TopicConfiguration: "must be unique", observed 255.
pub const MAX_ID_BYTES: usize = 255;

/// Longest destination: an ARN. Source: S3 User Guide: none; IAM's longest ARN is 2,048.
pub const MAX_DESTINATION_BYTES: usize = 2_048;

/// Longest value of a filter rule: a whole key. Source: S3 API reference, `FilterRule`.
pub const MAX_RULE_BYTES: usize = 1_024;

/// What a destination is to S3. Here all of them are web hooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DestinationKind {
    /// `TopicConfiguration`.
    Topic,
    /// `QueueConfiguration`.
    Queue,
    /// `CloudFunctionConfiguration`.
    CloudFunction,
}

impl DestinationKind {
    /// Every kind, in the order in which S3 answers them.
    pub const ALL: [Self; 3] = [Self::Topic, Self::Queue, Self::CloudFunction];

    fn element(self) -> &'static str {
        match self {
            Self::Topic => "TopicConfiguration",
            Self::Queue => "QueueConfiguration",
            Self::CloudFunction => "CloudFunctionConfiguration",
        }
    }

    fn arn_element(self) -> &'static str {
        match self {
            Self::Topic => "Topic",
            Self::Queue => "Queue",
            Self::CloudFunction => "CloudFunction",
        }
    }
}

/// Where some events go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// What it is to S3.
    pub kind: DestinationKind,
    /// The id that messages name; empty until one is made.
    pub id: String,
    /// Its ARN.
    pub arn: String,
    /// Which events; at least one.
    pub events: Vec<EventPattern>,
    /// Keys must begin so.
    pub prefix: Option<String>,
    /// Keys must end so.
    pub suffix: Option<String>,
}

impl Destination {
    /// Whether an event of a key goes there.
    pub fn takes(&self, event: EventKind, key: &[u8]) -> bool {
        let prefix = self.prefix.as_deref().unwrap_or_default().as_bytes();
        let suffix = self.suffix.as_deref().unwrap_or_default().as_bytes();
        self.events.iter().any(|pattern| pattern.covers(event))
            && key.starts_with(prefix)
            && key.ends_with(suffix)
    }

    fn has_filter(&self) -> bool {
        self.prefix.is_some() || self.suffix.is_some()
    }

    /// Whether some event of some key goes to both.
    fn overlaps(&self, other: &Self) -> bool {
        let share_event = self
            .events
            .iter()
            .any(|one| other.events.iter().any(|two| one.overlaps(*two)));
        let text = |rule: &Option<String>| rule.clone().unwrap_or_default();
        let (prefix, other_prefix) = (text(&self.prefix), text(&other.prefix));
        let (suffix, other_suffix) = (text(&self.suffix), text(&other.suffix));
        share_event
            && (prefix.starts_with(&other_prefix) || other_prefix.starts_with(&prefix))
            && (suffix.ends_with(&other_suffix) || other_suffix.ends_with(&suffix))
    }
}

/// Where the events of a bucket go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotificationConfiguration {
    /// Each with its events.
    pub destinations: Vec<Destination>,
    /// Whether there is an `EventBridgeConfiguration`, which has no content.
    pub event_bridge: bool,
}

impl NotificationConfiguration {
    /// Whether it asks for nothing, which removes what a bucket has.
    pub fn is_empty(&self) -> bool {
        self.destinations.is_empty() && !self.event_bridge
    }

    /// Writes the document.
    pub fn to_xml(&self) -> Vec<u8> {
        let mut xml = XmlWriter::with_capacity(192 + self.destinations.len() * 512);
        xml.open_root("NotificationConfiguration");
        for kind in DestinationKind::ALL {
            let of_kind = self.destinations.iter().filter(|found| found.kind == kind);
            for destination in of_kind {
                write_destination(&mut xml, destination);
            }
        }
        if self.event_bridge {
            xml.open("EventBridgeConfiguration");
            xml.close("EventBridgeConfiguration");
        }
        xml.close("NotificationConfiguration");
        xml.finish()
    }

    /// Reads the document and applies S3's rules. The texts of the errors are S3's own.
    ///
    /// # Errors
    /// `MalformedXML`, or `InvalidArgument` for what S3 does not allow.
    pub fn parse(xml: &[u8]) -> Result<Self, S3Error> {
        let mut reader = XmlReader::open(xml, &["NotificationConfiguration"])?;
        let mut configuration = Self::default();
        let mut event_bridge = None;
        while let Some(name) = reader.child()? {
            let kind = DestinationKind::ALL
                .into_iter()
                .find(|kind| kind.element() == name);
            match (kind, name) {
                (Some(_), _) if configuration.destinations.len() == MAX_DESTINATIONS => {
                    return Err(refused(
                        "Number of notification configurations in one request exceeds the limit",
                    ));
                }
                (Some(kind), _) => {
                    let destination = read_destination(&mut reader, kind)?;
                    configuration.destinations.push(destination);
                }
                (None, "EventBridgeConfiguration") => {
                    reader.once(&mut event_bridge, XmlReader::skip)?;
                }
                _ => reader.skip()?,
            }
        }
        reader.finish()?;
        configuration.event_bridge = event_bridge.is_some();
        configuration.check()?;
        // In the order in which they are answered.
        configuration
            .destinations
            .sort_by_key(|destination| destination.kind as u8);
        Ok(configuration)
    }

    fn check(&self) -> Result<(), S3Error> {
        let mut ids = HashSet::new();
        for destination in &self.destinations {
            if !destination.id.is_empty() && !ids.insert(destination.id.as_str()) {
                return Err(refused(
                    "Same ID used for multiple configurations. IDs must be unique",
                ));
            }
        }
        for (index, one) in self.destinations.iter().enumerate() {
            for other in &self.destinations[..index] {
                if !one.overlaps(other) {
                    continue;
                }
                let message = match one.has_filter() || other.has_filter() {
                    true => {
                        "Configuration is ambiguously defined. Cannot have overlapping suffixes in \
                         two rules if the prefixes are overlapping for the same event type."
                    }
                    false => {
                        "Configurations overlap. Configurations on the same bucket cannot share a \
                         common event type."
                    }
                };
                return Err(refused(message));
            }
        }
        Ok(())
    }
}

fn write_destination(xml: &mut XmlWriter, destination: &Destination) {
    xml.open(destination.kind.element());
    xml.text("Id", &destination.id);
    xml.text(destination.kind.arn_element(), &destination.arn);
    for event in &destination.events {
        xml.text("Event", &event.to_string());
    }
    if destination.has_filter() {
        xml.open("Filter");
        xml.open("S3Key");
        write_rule(xml, "Prefix", destination.prefix.as_deref());
        write_rule(xml, "Suffix", destination.suffix.as_deref());
        xml.close("S3Key");
        xml.close("Filter");
    }
    xml.close(destination.kind.element());
}

fn write_rule(xml: &mut XmlWriter, name: &str, value: Option<&str>) {
    let Some(value) = value else { return };
    xml.open("FilterRule");
    xml.text("Name", name);
    xml.text("Value", value);
    xml.close("FilterRule");
}

fn read_destination(
    xml: &mut XmlReader<'_>,
    kind: DestinationKind,
) -> Result<Destination, S3Error> {
    let (mut id, mut arn, mut filter) = (None, None, None);
    let mut events = Vec::new();
    while let Some(name) = xml.child()? {
        match name {
            "Id" => xml.once(&mut id, XmlReader::value)?,
            "Event" => {
                let event = read_event(xml)?;
                if !events.contains(&event) {
                    events.push(event);
                }
            }
            "Filter" => xml.once(&mut filter, read_filter)?,
            name if name == kind.arn_element() => xml.once(&mut arn, XmlReader::value)?,
            _ => xml.skip()?,
        }
    }
    let KeyFilter { prefix, suffix } = filter.flatten().unwrap_or_default();
    let destination = Destination {
        kind,
        id: id.unwrap_or_default(),
        arn: arn.unwrap_or_default(),
        events,
        prefix,
        suffix,
    };
    if destination.events.is_empty() {
        return Err(malformed("Every configuration needs an Event."));
    }
    if destination.id.len() > MAX_ID_BYTES {
        return Err(refused("The ID is longer than 255 characters."));
    }
    if destination.arn.is_empty() || destination.arn.len() > MAX_DESTINATION_BYTES {
        return Err(refused("The ARN is not well formed"));
    }
    Ok(destination)
}

/// What the names of S3's events begin with that never happen here, and whose like does: whoever waits
/// for them would wait in vain. Source: S3 User Guide, "Supported event types for SQS, SNS, and Lambda".
const EVENTS_NOT_IMPLEMENTED: [&str; 2] = ["s3:ObjectAnnotation:", "s3:ObjectRetention:"];

fn read_event(xml: &mut XmlReader<'_>) -> Result<EventPattern, S3Error> {
    let text = xml.value()?;
    let mut not_here = EVENTS_NOT_IMPLEMENTED.iter();
    if not_here.any(|group| text.starts_with(group)) {
        let message = format!("The event {text} is not implemented. Nothing was changed.");
        return Err(S3Error::with_message(S3ErrorCode::NotImplemented, message));
    }
    EventPattern::parse(&text)
        .ok_or_else(|| refused("The event is not supported for notifications"))
}

/// What `S3Key` asks of keys.
#[derive(Default)]
struct KeyFilter {
    prefix: Option<String>,
    suffix: Option<String>,
}

fn read_filter(xml: &mut XmlReader<'_>) -> Result<Option<KeyFilter>, S3Error> {
    let mut filter = None;
    while let Some(name) = xml.child()? {
        match name {
            "S3Key" => xml.once(&mut filter, read_key_filter)?,
            _ => xml.skip()?,
        }
    }
    Ok(filter)
}

fn read_key_filter(xml: &mut XmlReader<'_>) -> Result<KeyFilter, S3Error> {
    let mut filter = KeyFilter::default();
    while let Some(name) = xml.child()? {
        match name {
            "FilterRule" => read_rule(xml, &mut filter)?,
            _ => xml.skip()?,
        }
    }
    Ok(filter)
}

fn read_rule(xml: &mut XmlReader<'_>, filter: &mut KeyFilter) -> Result<(), S3Error> {
    let (mut name, mut value) = (None, None);
    while let Some(element) = xml.child()? {
        match element {
            "Name" => xml.once(&mut name, XmlReader::value)?,
            "Value" => xml.once(&mut value, XmlReader::value)?,
            _ => xml.skip()?,
        }
    }
    let (name, value) = (name.unwrap_or_default(), value.unwrap_or_default());
    if value.len() > MAX_RULE_BYTES {
        return Err(refused(
            "Size of filter rule value cannot exceed 1024 bytes in UTF-8 representation",
        ));
    }
    let (place, twice) = match name.to_ascii_lowercase().as_str() {
        "prefix" => (
            &mut filter.prefix,
            "Cannot specify more than one prefix rule in a filter.",
        ),
        "suffix" => (
            &mut filter.suffix,
            "Cannot specify more than one suffix rule in a filter.",
        ),
        _ => {
            return Err(refused("filter rule name must be either prefix or suffix"));
        }
    };
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(refused(twice)),
    }
}

fn refused(message: &'static str) -> S3Error {
    S3Error::with_message(S3ErrorCode::InvalidArgument, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(content: &str) -> Result<NotificationConfiguration, S3Error> {
        let document = format!("<NotificationConfiguration>{content}</NotificationConfiguration>");
        NotificationConfiguration::parse(document.as_bytes())
    }

    fn queue(id: &str, events: &[&str], rules: &[(&str, &str)]) -> String {
        let events: String = events
            .iter()
            .map(|event| format!("<Event>{event}</Event>"))
            .collect();
        let rules: String = rules
            .iter()
            .map(|(name, value)| {
                format!("<FilterRule><Name>{name}</Name><Value>{value}</Value></FilterRule>")
            })
            .collect();
        format!(
            "<QueueConfiguration><Id>{id}</Id><Queue>arn:oncilla:sqs::a:webhook</Queue>{events}\
             <Filter><S3Key>{rules}</S3Key></Filter></QueueConfiguration>"
        )
    }

    #[test]
    fn what_was_read_is_written_as_s3_writes_it() {
        let topic = "<TopicConfiguration><Topic>arn:aws:sns:us-east-1:1:t</Topic>\
                     <Event>s3:ObjectRemoved:*</Event></TopicConfiguration>";
        let queue = queue(
            "q",
            &["s3:ObjectCreated:Put", "s3:ObjectCreated:Put"],
            &[("prefix", "a/"), ("SUFFIX", ".jpg")],
        );
        let bridge = "<EventBridgeConfiguration/>";
        let configuration = parse(&format!("{bridge}{queue}{topic}")).unwrap();
        let written = String::from_utf8(configuration.to_xml()).unwrap();
        assert!(written.ends_with(
            "<TopicConfiguration><Id></Id><Topic>arn:aws:sns:us-east-1:1:t</Topic>\
             <Event>s3:ObjectRemoved:*</Event></TopicConfiguration>\
             <QueueConfiguration><Id>q</Id><Queue>arn:oncilla:sqs::a:webhook</Queue>\
             <Event>s3:ObjectCreated:Put</Event><Filter><S3Key>\
             <FilterRule><Name>Prefix</Name><Value>a/</Value></FilterRule>\
             <FilterRule><Name>Suffix</Name><Value>.jpg</Value></FilterRule>\
             </S3Key></Filter></QueueConfiguration>\
             <EventBridgeConfiguration></EventBridgeConfiguration></NotificationConfiguration>"
        ));
        assert_eq!(
            NotificationConfiguration::parse(written.as_bytes()).unwrap(),
            configuration
        );
        assert!(parse("").unwrap().is_empty());
    }

    #[test]
    fn a_destination_takes_what_its_rules_say() {
        let configuration = parse(&queue(
            "q",
            &["s3:ObjectCreated:*"],
            &[("prefix", "a/"), ("suffix", ".jpg")],
        ));
        let destination = &configuration.unwrap().destinations[0];
        assert!(destination.takes(EventKind::CreatedCopy, b"a/b.jpg"));
        assert!(!destination.takes(EventKind::RemovedDelete, b"a/b.jpg"));
        assert!(!destination.takes(EventKind::CreatedPut, b"b.jpg"));
        assert!(!destination.takes(EventKind::CreatedPut, b"a/b.png"));
    }

    #[test]
    fn what_s3_does_not_allow() {
        use S3ErrorCode::{InvalidArgument, MalformedXML};
        let created = &["s3:ObjectCreated:*"][..];
        let put = &["s3:ObjectCreated:Put"][..];
        let cases = [
            (
                queue("", &["s3:Unknown"], &[]),
                InvalidArgument,
                "not supported",
            ),
            (queue("", &[], &[]), MalformedXML, "needs an Event"),
            (
                queue("", put, &[("name", "a")]),
                InvalidArgument,
                "either prefix or suffix",
            ),
            (
                queue("", put, &[("prefix", "a"), ("Prefix", "b")]),
                InvalidArgument,
                "more than one prefix",
            ),
            (
                queue("", put, &[("suffix", &"a".repeat(1_025))]),
                InvalidArgument,
                "cannot exceed 1024 bytes",
            ),
            (
                queue("a", put, &[]) + &queue("a", &["s3:ObjectAcl:Put"], &[]),
                InvalidArgument,
                "IDs must be unique",
            ),
            (
                queue("a", put, &[]) + &queue("b", created, &[]),
                InvalidArgument,
                "Configurations overlap",
            ),
            (
                queue("a", put, &[("prefix", "a")]) + &queue("b", created, &[("prefix", "ab")]),
                InvalidArgument,
                "ambiguously defined",
            ),
            (
                queue("a", put, &[]).replace("arn:oncilla:sqs::a:webhook", ""),
                InvalidArgument,
                "ARN",
            ),
        ];
        for (document, code, message) in cases {
            let error = parse(&document).unwrap_err();
            assert_eq!(error.code, code, "{document}");
            assert!(error.message.contains(message), "{error}");
        }
        let apart = queue("a", put, &[("prefix", "a"), ("suffix", "x")])
            + &queue("b", created, &[("prefix", "ab"), ("suffix", "y")]);
        assert_eq!(parse(&apart).unwrap().destinations.len(), 2);
        let many: String = (0..=MAX_DESTINATIONS)
            .map(|number| queue("", put, &[("prefix", &format!("{number}/"))]))
            .collect();
        assert_eq!(parse(&many).unwrap_err().code, InvalidArgument);
    }
}
