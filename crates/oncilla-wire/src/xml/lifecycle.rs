//! `LifecycleConfiguration`: what is to become of a bucket's objects as time goes by.
//! Source: S3 API reference, PutBucketLifecycleConfiguration; S3 User Guide, "Lifecycle
//! configuration elements". The error texts are those that S3 answers.

use super::reader::{XmlReader, malformed};
use super::writer::XmlWriter;
use crate::error::{S3Error, S3ErrorCode};
use crate::storage_class::StorageClass;
use crate::tagging::Tag;

/// Most rules of a bucket. Source: S3 API reference, PutBucketLifecycleConfiguration.
pub const MAX_LIFECYCLE_RULES: usize = 1_000;

/// The largest body worth reading: a thousand rules of the longest kind that people write, in which
/// a prefix takes 1 KiB and a tag half as much.
pub const MAX_LIFECYCLE_BODY_BYTES: usize = 4 << 20;

/// Longest id of a rule in characters. Source: as above, `ID`.
pub const MAX_RULE_ID_CHARS: usize = 255;

/// Longest prefix in bytes: that of the longest key.
const MAX_PREFIX_BYTES: usize = 1_024;

/// Most tags of one filter: an object has no more, so that more could never match.
const MAX_FILTER_TAGS: usize = 10;

/// Most noncurrent versions that a rule can retain. Source: as above, `NewerNoncurrentVersions`.
const MAX_NEWER_NONCURRENT: i64 = 100;

/// Most transitions of one kind in a rule: one for each class.
const MAX_TRANSITIONS: usize = 6;

/// Days that objects stay in STANDARD before they may go to an infrequent access class, and in such
/// a class before they may go on. Source: S3 User Guide, "Transitioning objects using Amazon S3
/// Lifecycle", constraints.
const INFREQUENT_ACCESS_DAYS: u32 = 30;

const MS_PER_DAY: i64 = 86_400_000;

/// The rules of a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LifecycleConfiguration {
    /// 1 to [`MAX_LIFECYCLE_RULES`], each with another id.
    pub rules: Vec<LifecycleRule>,
}

/// One rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LifecycleRule {
    /// What it is called; empty until the server has given it a name.
    pub id: String,
    /// Whether it is in force.
    pub enabled: bool,
    /// Which objects it is about.
    pub filter: LifecycleFilter,
    /// How `filter` stands in the document.
    pub filter_form: FilterForm,
    /// When current versions expire.
    pub expiration: Option<Expiration>,
    /// When noncurrent versions are deleted.
    pub noncurrent_expiration: Option<NoncurrentExpiration>,
    /// Days after which an upload that is not completed is aborted.
    pub abort_uploads_days: Option<u32>,
    /// When current versions go to another class.
    pub transitions: Vec<Transition>,
    /// When noncurrent versions go to another class.
    pub noncurrent_transitions: Vec<NoncurrentTransition>,
}

/// Which objects a rule is about: all conditions have to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LifecycleFilter {
    /// What the key begins with; `None` and empty mean every key.
    pub prefix: Option<String>,
    /// Tags that the object has.
    pub tags: Vec<Tag>,
    /// The object is larger than this many bytes.
    pub size_greater_than: Option<u64>,
    /// The object is smaller than this many bytes.
    pub size_less_than: Option<u64>,
}

/// How a filter is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FilterForm {
    /// `Filter` with one condition, or none.
    #[default]
    Filter,
    /// `Filter` with `And`.
    And,
    /// `Prefix` beside the filter's place, as before there were filters.
    LegacyPrefix,
}

/// When current versions expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiration {
    /// So many days after they were written; delete markers that stand alone too.
    Days(u32),
    /// At this midnight, in Unix milliseconds, and ever after.
    DateMs(i64),
    /// Not at all: the rule is about delete markers that stand alone, if it says `true`.
    ExpiredObjectDeleteMarker(bool),
}

/// When noncurrent versions are deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoncurrentExpiration {
    /// Days after they became noncurrent.
    pub days: u32,
    /// How many of the newest are kept all the same.
    pub newer_versions: Option<u32>,
}

/// When an action on a current version is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransitionTime {
    /// So many days after it was written.
    Days(u32),
    /// At this midnight, in Unix milliseconds, and ever after.
    DateMs(i64),
}

/// A move of current versions to another class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// When.
    pub time: TransitionTime,
    /// Where to.
    pub class: StorageClass,
}

/// A move of noncurrent versions to another class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoncurrentTransition {
    /// Days after they became noncurrent.
    pub days: u32,
    /// How many of the newest stay all the same.
    pub newer_versions: Option<u32>,
    /// Where to.
    pub class: StorageClass,
}

/// Which small objects are not moved, unless a rule's own filter speaks of sizes:
/// `x-amz-transition-default-minimum-object-size`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransitionMinimum {
    /// None below 128 KiB.
    #[default]
    All128K,
    /// None below 128 KiB, but for those that go to an archive.
    VariesByStorageClass,
}

/// The size below which objects are not moved by default. Source: S3 API reference,
/// PutBucketLifecycleConfiguration.
pub const TRANSITION_MINIMUM_BYTES: u64 = 128 << 10;

impl TransitionMinimum {
    /// The value of the header.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All128K => "all_storage_classes_128K",
            Self::VariesByStorageClass => "varies_by_storage_class",
        }
    }

    /// The minimum that the header names.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::All128K, Self::VariesByStorageClass]
            .into_iter()
            .find(|minimum| minimum.as_str() == name)
    }
}

impl LifecycleFilter {
    /// Whether it asks for tags or sizes, which uploads and delete markers do not have.
    pub fn is_about_objects(&self) -> bool {
        !self.tags.is_empty() || self.has_size()
    }

    /// Whether it asks for sizes.
    pub fn has_size(&self) -> bool {
        self.size_greater_than.is_some() || self.size_less_than.is_some()
    }

    fn conditions(&self) -> usize {
        usize::from(self.prefix.is_some())
            + self.tags.len()
            + usize::from(self.size_greater_than.is_some())
            + usize::from(self.size_less_than.is_some())
    }
}

impl LifecycleConfiguration {
    /// Writes the document.
    pub fn to_xml(&self) -> Vec<u8> {
        let mut xml = XmlWriter::with_capacity(256 + self.rules.len() * 256);
        xml.open_root("LifecycleConfiguration");
        for rule in &self.rules {
            rule.write(&mut xml);
        }
        xml.close("LifecycleConfiguration");
        xml.finish()
    }

    /// Reads the document and applies S3's rules.
    ///
    /// # Errors
    /// `MalformedXML` for what the schema does not have, `InvalidArgument` and `InvalidRequest` for
    /// values and combinations that are not allowed.
    pub fn parse(xml: &[u8]) -> Result<Self, S3Error> {
        let roots = ["LifecycleConfiguration", "BucketLifecycleConfiguration"];
        let mut reader = XmlReader::open(xml, &roots)?;
        let mut rules = Vec::new();
        while let Some(name) = reader.child()? {
            match name {
                "Rule" if rules.len() == MAX_LIFECYCLE_RULES => {
                    return Err(invalid_request(
                        "The number of lifecycle rules must not exceed the allowed limit of 1000 rules",
                    ));
                }
                "Rule" => rules.push(LifecycleRule::read(&mut reader)?),
                _ => return Err(malformed("LifecycleConfiguration holds rules only.")),
            }
        }
        reader.finish()?;
        if rules.is_empty() {
            return Err(malformed("LifecycleConfiguration needs a Rule."));
        }
        let mut ids: Vec<&str> = rules
            .iter()
            .map(|rule: &LifecycleRule| rule.id.as_str())
            .filter(|id| !id.is_empty())
            .collect();
        ids.sort_unstable();
        if ids.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(invalid_argument(
                "Rule ID must be unique. Found same ID for more than one rule",
            ));
        }
        Ok(Self { rules })
    }
}

impl LifecycleRule {
    fn write(&self, xml: &mut XmlWriter) {
        xml.open("Rule");
        if !self.id.is_empty() {
            xml.text("ID", &self.id);
        }
        self.write_filter(xml);
        xml.text("Status", if self.enabled { "Enabled" } else { "Disabled" });
        for transition in &self.transitions {
            xml.open("Transition");
            match transition.time {
                TransitionTime::Days(days) => xml.number("Days", u64::from(days)),
                TransitionTime::DateMs(date) => xml.time("Date", date),
            }
            xml.text("StorageClass", transition.class.as_str());
            xml.close("Transition");
        }
        if let Some(expiration) = self.expiration {
            xml.open("Expiration");
            match expiration {
                Expiration::Days(days) => xml.number("Days", u64::from(days)),
                Expiration::DateMs(date) => xml.time("Date", date),
                Expiration::ExpiredObjectDeleteMarker(is_on) => {
                    xml.boolean("ExpiredObjectDeleteMarker", is_on);
                }
            }
            xml.close("Expiration");
        }
        for transition in &self.noncurrent_transitions {
            xml.open("NoncurrentVersionTransition");
            xml.number("NoncurrentDays", u64::from(transition.days));
            write_newer(xml, transition.newer_versions);
            xml.text("StorageClass", transition.class.as_str());
            xml.close("NoncurrentVersionTransition");
        }
        if let Some(expiration) = self.noncurrent_expiration {
            xml.open("NoncurrentVersionExpiration");
            xml.number("NoncurrentDays", u64::from(expiration.days));
            write_newer(xml, expiration.newer_versions);
            xml.close("NoncurrentVersionExpiration");
        }
        if let Some(days) = self.abort_uploads_days {
            xml.open("AbortIncompleteMultipartUpload");
            xml.number("DaysAfterInitiation", u64::from(days));
            xml.close("AbortIncompleteMultipartUpload");
        }
        xml.close("Rule");
    }

    fn write_filter(&self, xml: &mut XmlWriter) {
        let filter = &self.filter;
        if self.filter_form == FilterForm::LegacyPrefix {
            xml.text("Prefix", filter.prefix.as_deref().unwrap_or_default());
            return;
        }
        xml.open("Filter");
        if self.filter_form == FilterForm::And {
            xml.open("And");
        }
        xml.optional_text("Prefix", filter.prefix.as_deref());
        for tag in &filter.tags {
            xml.open("Tag");
            xml.text("Key", &tag.key);
            xml.text("Value", &tag.value);
            xml.close("Tag");
        }
        if let Some(size) = filter.size_greater_than {
            xml.number("ObjectSizeGreaterThan", size);
        }
        if let Some(size) = filter.size_less_than {
            xml.number("ObjectSizeLessThan", size);
        }
        if self.filter_form == FilterForm::And {
            xml.close("And");
        }
        xml.close("Filter");
    }

    fn read(xml: &mut XmlReader<'_>) -> Result<Self, S3Error> {
        let mut rule = Self::default();
        let (mut id, mut status) = (None, None);
        let mut filter = None;
        let mut legacy_prefix = None;
        while let Some(name) = xml.child()? {
            match name {
                "ID" => xml.once(&mut id, XmlReader::value)?,
                "Status" => xml.once(&mut status, XmlReader::value)?,
                "Filter" => xml.once(&mut filter, read_filter)?,
                "Prefix" => xml.once(&mut legacy_prefix, XmlReader::value)?,
                "Expiration" => xml.once(&mut rule.expiration, read_expiration)?,
                "NoncurrentVersionExpiration" => {
                    xml.once(&mut rule.noncurrent_expiration, read_noncurrent_expiration)?;
                }
                "AbortIncompleteMultipartUpload" => {
                    xml.once(&mut rule.abort_uploads_days, read_abort)?;
                }
                "Transition" if rule.transitions.len() < MAX_TRANSITIONS => {
                    rule.transitions.push(read_transition(xml)?);
                }
                "NoncurrentVersionTransition"
                    if rule.noncurrent_transitions.len() < MAX_TRANSITIONS =>
                {
                    rule.noncurrent_transitions
                        .push(read_noncurrent_transition(xml)?);
                }
                // What is not understood must not be passed over: the rule may delete.
                _ => return Err(malformed("A rule has an element too many.")),
            }
        }
        rule.id = id.unwrap_or_default();
        rule.enabled = match status.as_deref() {
            Some("Enabled") => true,
            Some("Disabled") => false,
            _ => return Err(malformed("Status must be Enabled or Disabled.")),
        };
        match (filter, legacy_prefix) {
            (Some((filter, form)), None) => (rule.filter, rule.filter_form) = (filter, form),
            (None, Some(prefix)) => {
                rule.filter.prefix = Some(prefix);
                rule.filter_form = FilterForm::LegacyPrefix;
            }
            _ => return Err(malformed("A rule has either a Filter or a Prefix.")),
        }
        rule.check()?;
        Ok(rule)
    }

    /// Applies the rules that go beyond the schema.
    fn check(&self) -> Result<(), S3Error> {
        if self.id.chars().count() > MAX_RULE_ID_CHARS {
            return Err(invalid_argument(
                "ID length should not exceed allowed limit of 255",
            ));
        }
        self.check_filter()?;
        let has_action = self.expiration.is_some()
            || self.noncurrent_expiration.is_some()
            || self.abort_uploads_days.is_some()
            || !self.transitions.is_empty()
            || !self.noncurrent_transitions.is_empty();
        if !has_action {
            return Err(invalid_request(
                "At least one action needs to be specified in a rule",
            ));
        }
        self.check_transitions()?;
        self.check_noncurrent_transitions()
    }

    fn check_filter(&self) -> Result<(), S3Error> {
        let filter = &self.filter;
        if filter
            .prefix
            .as_ref()
            .is_some_and(|prefix| prefix.len() > MAX_PREFIX_BYTES)
        {
            return Err(invalid_request("The maximum size of a prefix is 1024."));
        }
        let conditions = filter.conditions();
        let fits = match self.filter_form {
            FilterForm::Filter => conditions <= 1,
            FilterForm::And => conditions >= 2,
            FilterForm::LegacyPrefix => conditions == 1,
        };
        if !fits {
            return Err(malformed(
                "A Filter has one condition, or an And of several.",
            ));
        }
        if let (Some(more), Some(less)) = (filter.size_greater_than, filter.size_less_than)
            && more >= less
        {
            return Err(invalid_request(
                "'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'",
            ));
        }
        if filter.is_about_objects() {
            let what = match filter.tags.is_empty() {
                true => "object size",
                false => "Tags",
            };
            if self.abort_uploads_days.is_some() {
                return Err(invalid_request(format!(
                    "AbortIncompleteMultipartUpload cannot be specified with {what}."
                )));
            }
            if let Some(Expiration::ExpiredObjectDeleteMarker(_)) = self.expiration {
                return Err(invalid_request(format!(
                    "ExpiredObjectDeleteMarker cannot be specified with {what}."
                )));
            }
        }
        let keeps_newer = self
            .noncurrent_expiration
            .is_some_and(|expiration| expiration.newer_versions.is_some())
            || self
                .noncurrent_transitions
                .iter()
                .any(|transition| transition.newer_versions.is_some());
        if keeps_newer && self.filter_form == FilterForm::LegacyPrefix {
            return Err(invalid_request(
                "NewerNoncurrentVersions can only be specified in a rule with a Filter.",
            ));
        }
        Ok(())
    }

    fn prefix_text(&self) -> &str {
        self.filter.prefix.as_deref().unwrap_or_default()
    }

    fn check_transitions(&self) -> Result<(), S3Error> {
        let dated = |time: &TransitionTime| matches!(time, TransitionTime::DateMs(_));
        let mut times: Vec<TransitionTime> = self
            .transitions
            .iter()
            .map(|transition| transition.time)
            .collect();
        let expires = match self.expiration {
            Some(Expiration::Days(days)) => Some(TransitionTime::Days(days)),
            Some(Expiration::DateMs(date)) => Some(TransitionTime::DateMs(date)),
            Some(Expiration::ExpiredObjectDeleteMarker(_)) | None => None,
        };
        times.extend(expires);
        if times.iter().any(dated) && !times.iter().all(dated) {
            return Err(invalid_request(format!(
                "Found mixed 'Date' and 'Days' based Expiration and Transition actions in lifecycle \
                 rule for prefix '{}'",
                self.prefix_text()
            )));
        }
        let steps: Vec<_> = self
            .transitions
            .iter()
            .map(|transition| match transition.time {
                TransitionTime::Days(days) => (Some(days), i64::from(days), transition.class),
                TransitionTime::DateMs(date) => (None, date / MS_PER_DAY, transition.class),
            })
            .collect();
        self.check_steps(&steps, "Transition", "Days")?;
        let (expires_at, unit) = match expires {
            Some(TransitionTime::Days(days)) => (i64::from(days), "Days"),
            Some(TransitionTime::DateMs(date)) => (date / MS_PER_DAY, "Date"),
            None => return Ok(()),
        };
        if steps.iter().any(|(_, day, _)| *day >= expires_at) {
            return Err(invalid_argument(format!(
                "'{unit}' in the Expiration action for prefix '{}' must be greater than '{unit}' in \
                 the Transition action",
                self.prefix_text()
            )));
        }
        Ok(())
    }

    fn check_noncurrent_transitions(&self) -> Result<(), S3Error> {
        let steps: Vec<_> = self
            .noncurrent_transitions
            .iter()
            .map(|transition| {
                let days = transition.days;
                (Some(days), i64::from(days), transition.class)
            })
            .collect();
        self.check_steps(&steps, "NoncurrentVersionTransition", "NoncurrentDays")?;
        let Some(expiration) = self.noncurrent_expiration else {
            return Ok(());
        };
        let expires_at = i64::from(expiration.days);
        if steps.iter().any(|(_, day, _)| *day >= expires_at) {
            return Err(invalid_argument(format!(
                "'NoncurrentDays' in the NoncurrentVersionExpiration action for prefix '{}' must be \
                 greater than 'NoncurrentDays' in the NoncurrentVersionTransition action",
                self.prefix_text()
            )));
        }
        Ok(())
    }

    /// Checks the transitions of one kind, given as (days if counted, day, class).
    fn check_steps(
        &self,
        steps: &[(Option<u32>, i64, StorageClass)],
        action: &str,
        unit: &str,
    ) -> Result<(), S3Error> {
        let is_infrequent =
            |class| matches!(class, StorageClass::StandardIa | StorageClass::OneZoneIa);
        for (days, _, class) in steps {
            if is_infrequent(*class) && days.is_some_and(|days| days < INFREQUENT_ACCESS_DAYS) {
                return Err(invalid_argument(format!(
                    "'{unit}' in {action} action must be greater than or equal to \
                     {INFREQUENT_ACCESS_DAYS} for storageClass '{}'",
                    class.as_str()
                )));
            }
        }
        let mut by_class = steps.to_vec();
        by_class.sort_by_key(|(_, _, class)| *class);
        for pair in by_class.windows(2) {
            let ((_, earlier, from), (_, later, to)) = (pair[0], pair[1]);
            if from == to {
                return Err(invalid_request(format!(
                    "'StorageClass' must be different for '{action}' actions in same 'Rule' with \
                     prefix '{}'",
                    self.prefix_text()
                )));
            }
            let stay = match is_infrequent(from) {
                true => i64::from(INFREQUENT_ACCESS_DAYS),
                false => 1,
            };
            if later < earlier + stay || !from.can_transition_to(to) {
                return Err(invalid_argument(format!(
                    "'{unit}' in the '{action}' action for StorageClass '{}' for prefix '{}' must be \
                     {stay} days more than '{unit}' in the '{action}' action for StorageClass '{}'",
                    to.as_str(),
                    self.prefix_text(),
                    from.as_str()
                )));
            }
        }
        Ok(())
    }
}

fn write_newer(xml: &mut XmlWriter, newer_versions: Option<u32>) {
    if let Some(newer_versions) = newer_versions {
        xml.number("NewerNoncurrentVersions", u64::from(newer_versions));
    }
}

fn read_filter(xml: &mut XmlReader<'_>) -> Result<(LifecycleFilter, FilterForm), S3Error> {
    let mut filter = LifecycleFilter::default();
    let mut and = None;
    while let Some(name) = xml.child()? {
        match name {
            "And" => xml.once(&mut and, read_conditions)?,
            _ => read_condition(xml, name, &mut filter)?,
        }
    }
    match and {
        Some(joined) if filter.conditions() == 0 => Ok((joined, FilterForm::And)),
        Some(_) => Err(malformed(
            "A Filter has one condition, or an And of several.",
        )),
        None => Ok((filter, FilterForm::Filter)),
    }
}

fn read_conditions(xml: &mut XmlReader<'_>) -> Result<LifecycleFilter, S3Error> {
    let mut joined = LifecycleFilter::default();
    while let Some(name) = xml.child()? {
        read_condition(xml, name, &mut joined)?;
    }
    Ok(joined)
}

fn read_condition(
    xml: &mut XmlReader<'_>,
    name: &str,
    filter: &mut LifecycleFilter,
) -> Result<(), S3Error> {
    match name {
        "Prefix" => xml.once(&mut filter.prefix, XmlReader::value)?,
        "Tag" if filter.tags.len() < MAX_FILTER_TAGS => {
            let tag = read_tag(xml)?;
            if filter.tags.iter().any(|earlier| earlier.key == tag.key) {
                return Err(invalid_request("Duplicate Tag Keys are not allowed."));
            }
            filter.tags.push(tag);
        }
        "ObjectSizeGreaterThan" => {
            xml.once(&mut filter.size_greater_than, |xml| read_size(xml, name, 0))?;
        }
        "ObjectSizeLessThan" => {
            xml.once(&mut filter.size_less_than, |xml| read_size(xml, name, 1))?;
        }
        _ => return Err(malformed("A Filter has an element too many.")),
    }
    Ok(())
}

fn read_tag(xml: &mut XmlReader<'_>) -> Result<Tag, S3Error> {
    let (mut key, mut value) = (None, None);
    while let Some(name) = xml.child()? {
        match name {
            "Key" => xml.once(&mut key, XmlReader::value)?,
            "Value" => xml.once(&mut value, XmlReader::value)?,
            _ => xml.skip()?,
        }
    }
    match (key, value) {
        (Some(key), Some(value)) if !key.is_empty() => Ok(Tag { key, value }),
        _ => Err(malformed("Every tag needs a Key and a Value.")),
    }
}

fn read_size(xml: &mut XmlReader<'_>, name: &str, least: i64) -> Result<u64, S3Error> {
    let size = read_whole_number(xml)?;
    u64::try_from(size)
        .ok()
        .filter(|_| size >= least)
        .ok_or_else(|| {
            let kind = if least == 0 {
                "nonnegative"
            } else {
                "positive"
            };
            invalid_argument(format!("'{name}' must be a {kind} integer"))
        })
}

/// A number as the schema has it: it may be negative, which is refused with a text of its own.
fn read_whole_number(xml: &mut XmlReader<'_>) -> Result<i64, S3Error> {
    let text = xml.value()?;
    let number = text.trim().parse();
    number.map_err(|_| malformed("An element should hold a number."))
}

fn read_days(xml: &mut XmlReader<'_>, least: i64, message: &str) -> Result<u32, S3Error> {
    let days = read_whole_number(xml)?;
    if days > i64::from(i32::MAX) {
        return Err(malformed("A number of days is too large."));
    }
    u32::try_from(days)
        .ok()
        .filter(|_| days >= least)
        .ok_or_else(|| invalid_argument(message.to_owned()))
}

fn read_newer_versions(xml: &mut XmlReader<'_>, action: &str) -> Result<u32, S3Error> {
    let number = read_whole_number(xml)?;
    if !(1..=MAX_NEWER_NONCURRENT).contains(&number) {
        return Err(invalid_argument(format!(
            "'NewerNoncurrentVersions' for {action} action must be a positive integer of at most \
             {MAX_NEWER_NONCURRENT}"
        )));
    }
    u32::try_from(number).map_err(|_| malformed("A number is too large."))
}

/// A date has to be a midnight. Source: S3 User Guide, "Lifecycle configuration elements", `Date`.
fn read_date(xml: &mut XmlReader<'_>) -> Result<i64, S3Error> {
    let date = xml.time()?;
    if date.rem_euclid(MS_PER_DAY) != 0 {
        return Err(invalid_argument("'Date' must be at midnight GMT"));
    }
    Ok(date)
}

fn read_expiration(xml: &mut XmlReader<'_>) -> Result<Expiration, S3Error> {
    let mut found = Vec::new();
    while let Some(name) = xml.child()? {
        found.push(match name {
            "Days" => {
                let message = "'Days' for Expiration action must be a positive integer";
                Expiration::Days(read_days(xml, 1, message)?)
            }
            "Date" => Expiration::DateMs(read_date(xml)?),
            "ExpiredObjectDeleteMarker" => Expiration::ExpiredObjectDeleteMarker(xml.boolean()?),
            _ => return Err(malformed("Expiration has an element too many.")),
        });
    }
    match found[..] {
        [only] => Ok(only),
        _ => Err(malformed(
            "Expiration has one of Days, Date and ExpiredObjectDeleteMarker.",
        )),
    }
}

fn read_noncurrent_expiration(xml: &mut XmlReader<'_>) -> Result<NoncurrentExpiration, S3Error> {
    let action = "NoncurrentVersionExpiration";
    let (mut days, mut newer_versions) = (None, None);
    while let Some(name) = xml.child()? {
        match name {
            "NoncurrentDays" => {
                let message = "'NoncurrentDays' for NoncurrentVersionExpiration action must be a \
                               positive integer";
                xml.once(&mut days, |xml| read_days(xml, 1, message))?;
            }
            "NewerNoncurrentVersions" => {
                xml.once(&mut newer_versions, |xml| read_newer_versions(xml, action))?;
            }
            _ => {
                return Err(malformed(
                    "NoncurrentVersionExpiration has an element too many.",
                ));
            }
        }
    }
    let days =
        days.ok_or_else(|| malformed("NoncurrentVersionExpiration needs NoncurrentDays."))?;
    Ok(NoncurrentExpiration {
        days,
        newer_versions,
    })
}

fn read_abort(xml: &mut XmlReader<'_>) -> Result<u32, S3Error> {
    let mut days = None;
    while let Some(name) = xml.child()? {
        match name {
            "DaysAfterInitiation" => {
                let message = "'DaysAfterInitiation' for AbortIncompleteMultipartUpload action must \
                               be a positive integer";
                xml.once(&mut days, |xml| read_days(xml, 1, message))?;
            }
            _ => {
                return Err(malformed(
                    "AbortIncompleteMultipartUpload has an element too many.",
                ));
            }
        }
    }
    days.ok_or_else(|| malformed("AbortIncompleteMultipartUpload needs DaysAfterInitiation."))
}

fn read_class(xml: &mut XmlReader<'_>) -> Result<StorageClass, S3Error> {
    let name = xml.value()?;
    StorageClass::from_name(&name)
        .filter(|class| class.is_transition_target())
        .ok_or_else(|| malformed("StorageClass is not one that objects can be moved to."))
}

fn read_transition(xml: &mut XmlReader<'_>) -> Result<Transition, S3Error> {
    let (mut days, mut date, mut class) = (None, None, None);
    while let Some(name) = xml.child()? {
        match name {
            "Days" => {
                let message = "'Days' for Transition action must be nonnegative";
                xml.once(&mut days, |xml| read_days(xml, 0, message))?;
            }
            "Date" => xml.once(&mut date, read_date)?,
            "StorageClass" => xml.once(&mut class, read_class)?,
            _ => return Err(malformed("Transition has an element too many.")),
        }
    }
    let (time, class) = match (days, date, class) {
        (Some(days), None, Some(class)) => (TransitionTime::Days(days), class),
        (None, Some(date), Some(class)) => (TransitionTime::DateMs(date), class),
        _ => {
            return Err(malformed(
                "Transition needs a StorageClass and one of Days and Date.",
            ));
        }
    };
    Ok(Transition { time, class })
}

fn read_noncurrent_transition(xml: &mut XmlReader<'_>) -> Result<NoncurrentTransition, S3Error> {
    let action = "NoncurrentVersionTransition";
    let (mut days, mut newer_versions, mut class) = (None, None, None);
    while let Some(name) = xml.child()? {
        match name {
            "NoncurrentDays" => {
                let message =
                    "'NoncurrentDays' for NoncurrentVersionTransition action must be nonnegative";
                xml.once(&mut days, |xml| read_days(xml, 0, message))?;
            }
            "NewerNoncurrentVersions" => {
                xml.once(&mut newer_versions, |xml| read_newer_versions(xml, action))?;
            }
            "StorageClass" => xml.once(&mut class, read_class)?,
            _ => {
                return Err(malformed(
                    "NoncurrentVersionTransition has an element too many.",
                ));
            }
        }
    }
    match (days, class) {
        (Some(days), Some(class)) => Ok(NoncurrentTransition {
            days,
            newer_versions,
            class,
        }),
        _ => Err(malformed(
            "NoncurrentVersionTransition needs NoncurrentDays and a StorageClass.",
        )),
    }
}

fn invalid_argument(message: impl Into<std::borrow::Cow<'static, str>>) -> S3Error {
    S3Error::with_message(S3ErrorCode::InvalidArgument, message)
}

fn invalid_request(message: impl Into<std::borrow::Cow<'static, str>>) -> S3Error {
    S3Error::with_message(S3ErrorCode::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(rules: &str) -> Result<LifecycleConfiguration, S3Error> {
        let document = format!("<LifecycleConfiguration>{rules}</LifecycleConfiguration>");
        LifecycleConfiguration::parse(document.as_bytes())
    }

    fn rule(filter: &str, actions: &str) -> String {
        format!("<Rule>{filter}<Status>Enabled</Status>{actions}</Rule>")
    }

    const EXPIRE: &str = "<Expiration><Days>1</Days></Expiration>";

    #[test]
    fn every_element_is_read_and_written() {
        let rules = "<Rule><ID>a&amp;b</ID><Filter><And><Prefix>logs/</Prefix>\
             <Tag><Key>k</Key><Value>v</Value></Tag><Tag><Key>l</Key><Value></Value></Tag>\
             <ObjectSizeGreaterThan>0</ObjectSizeGreaterThan>\
             <ObjectSizeLessThan>9</ObjectSizeLessThan></And></Filter><Status>Enabled</Status>\
             <Transition><Days>30</Days><StorageClass>STANDARD_IA</StorageClass></Transition>\
             <Transition><Days>60</Days><StorageClass>GLACIER</StorageClass></Transition>\
             <Expiration><Days>365</Days></Expiration>\
             <NoncurrentVersionTransition><NoncurrentDays>0</NoncurrentDays>\
             <NewerNoncurrentVersions>3</NewerNoncurrentVersions>\
             <StorageClass>GLACIER_IR</StorageClass></NoncurrentVersionTransition>\
             <NoncurrentVersionExpiration><NoncurrentDays>9</NoncurrentDays>\
             <NewerNoncurrentVersions>5</NewerNoncurrentVersions></NoncurrentVersionExpiration>\
             </Rule><Rule><Prefix></Prefix><Status>Disabled</Status><Expiration>\
             <Date>2030-01-01T00:00:00.000Z</Date></Expiration>\
             <AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation>\
             </AbortIncompleteMultipartUpload></Rule><Rule><Filter></Filter>\
             <Status>Enabled</Status><Expiration>\
             <ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration></Rule>";
        let configuration = parse(rules).unwrap();
        assert_eq!(configuration.rules.len(), 3);
        let written = String::from_utf8(configuration.to_xml()).unwrap();
        assert!(written.contains(rules), "{written}");
        let again = LifecycleConfiguration::parse(written.as_bytes()).unwrap();
        assert_eq!(again, configuration);
    }

    #[test]
    fn what_s3_refuses() {
        use S3ErrorCode::{InvalidArgument, InvalidRequest, MalformedXML};
        let all = "<Filter/>";
        let tag = "<Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>";
        let size = "<Filter><ObjectSizeLessThan>9</ObjectSizeLessThan></Filter>";
        let days = |days: &str| format!("<Expiration><Days>{days}</Days></Expiration>");
        let transition = |days: &str, class: &str| {
            format!(
                "<Transition><Days>{days}</Days><StorageClass>{class}</StorageClass></Transition>"
            )
        };
        let noncurrent = |text: &str| {
            format!("<NoncurrentVersionExpiration>{text}</NoncurrentVersionExpiration>")
        };
        let abort = "<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation>\
                     </AbortIncompleteMultipartUpload>";
        let id = |id: &str| format!("<ID>{id}</ID><Filter/>");
        for (rules, code) in [
            (String::new(), MalformedXML),
            ("<Rules/>".to_owned(), MalformedXML),
            (rule("", EXPIRE), MalformedXML),
            (rule("<Filter/><Prefix/>", EXPIRE), MalformedXML),
            (rule(all, ""), InvalidRequest),
            (rule(all, "<Expire/>"), MalformedXML),
            (rule(all, "<Expiration/>"), MalformedXML),
            (rule(all, &days("0")), InvalidArgument),
            (rule(all, &days("-1")), InvalidArgument),
            (rule(all, &days("x")), MalformedXML),
            (rule(all, &days("2147483648")), MalformedXML),
            (rule(all, &format!("{EXPIRE}{EXPIRE}")), MalformedXML),
            (
                rule(
                    all,
                    "<Expiration><Days>1</Days><ExpiredObjectDeleteMarker>true\
                     </ExpiredObjectDeleteMarker></Expiration>",
                ),
                MalformedXML,
            ),
            (
                rule(
                    all,
                    "<Expiration><Date>2030-01-01T00:00:01Z</Date></Expiration>",
                ),
                InvalidArgument,
            ),
            (
                rule(all, "<Expiration><Date>soon</Date></Expiration>"),
                MalformedXML,
            ),
            (rule(&id(&"i".repeat(256)), EXPIRE), InvalidArgument),
            (
                rule(&id("i"), EXPIRE) + &rule(&id("i"), EXPIRE),
                InvalidArgument,
            ),
            (
                rule(all, EXPIRE).replace("Enabled", "enabled"),
                MalformedXML,
            ),
            (
                rule(
                    "<Filter><Prefix>p</Prefix><ObjectSizeLessThan>9</ObjectSizeLessThan></Filter>",
                    EXPIRE,
                ),
                MalformedXML,
            ),
            (
                rule("<Filter><And><Prefix>p</Prefix></And></Filter>", EXPIRE),
                MalformedXML,
            ),
            (
                rule(
                    "<Filter><And><ObjectSizeGreaterThan>9</ObjectSizeGreaterThan>\
                     <ObjectSizeLessThan>9</ObjectSizeLessThan></And></Filter>",
                    EXPIRE,
                ),
                InvalidRequest,
            ),
            (
                rule(
                    "<Filter><ObjectSizeLessThan>0</ObjectSizeLessThan></Filter>",
                    EXPIRE,
                ),
                InvalidArgument,
            ),
            (
                rule(
                    "<Filter><And><Tag><Key>k</Key><Value>1</Value></Tag>\
                     <Tag><Key>k</Key><Value>2</Value></Tag></And></Filter>",
                    EXPIRE,
                ),
                InvalidRequest,
            ),
            (rule(tag, abort), InvalidRequest),
            (rule(size, abort), InvalidRequest),
            (
                rule(
                    tag,
                    "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker>\
                     </Expiration>",
                ),
                InvalidRequest,
            ),
            (rule(all, &transition("-1", "GLACIER")), InvalidArgument),
            (rule(all, &transition("1", "STANDARD")), MalformedXML),
            (rule(all, &transition("1", "EXPRESS_ONEZONE")), MalformedXML),
            (rule(all, &transition("29", "STANDARD_IA")), InvalidArgument),
            (
                rule(
                    all,
                    &(transition("30", "STANDARD_IA") + &transition("59", "GLACIER")),
                ),
                InvalidArgument,
            ),
            (
                rule(
                    all,
                    &(transition("9", "GLACIER") + &transition("9", "DEEP_ARCHIVE")),
                ),
                InvalidArgument,
            ),
            (
                rule(
                    all,
                    &(transition("1", "GLACIER") + &transition("2", "GLACIER")),
                ),
                InvalidRequest,
            ),
            (
                rule(all, &(transition("1", "GLACIER") + EXPIRE)),
                InvalidArgument,
            ),
            (
                rule(
                    all,
                    &(transition("1", "GLACIER")
                        + "<Expiration><Date>2030-01-01T00:00:00Z</Date></Expiration>"),
                ),
                InvalidRequest,
            ),
            (rule(all, &noncurrent("")), MalformedXML),
            (
                rule(all, &noncurrent("<NoncurrentDays>0</NoncurrentDays>")),
                InvalidArgument,
            ),
            (
                rule(
                    all,
                    &noncurrent(
                        "<NoncurrentDays>1</NoncurrentDays><NewerNoncurrentVersions>101\
                         </NewerNoncurrentVersions>",
                    ),
                ),
                InvalidArgument,
            ),
            (
                rule(
                    "<Prefix/>",
                    &noncurrent(
                        "<NoncurrentDays>1</NoncurrentDays><NewerNoncurrentVersions>1\
                         </NewerNoncurrentVersions>",
                    ),
                ),
                InvalidRequest,
            ),
            (rule("<Prefix/>", EXPIRE).repeat(1001), InvalidRequest),
        ] {
            let shown: String = rules.chars().take(300).collect();
            assert_eq!(
                parse(&rules).map_err(|error| error.code),
                Err(code),
                "{shown}"
            );
        }
        assert_eq!(
            parse(&rule("<Prefix/>", EXPIRE).repeat(1000))
                .unwrap()
                .rules
                .len(),
            1000
        );
    }
}
