//! What lifecycle rules make due, and when. Nothing here reads, writes or knows the time.
//! Source: S3 User Guide, "Lifecycle configuration elements" and "Conflicts in lifecycle rules".

use std::sync::Arc;

use oncilla_wire::storage_class::StorageClass;
use oncilla_wire::xml::lifecycle::{
    Expiration, LifecycleConfiguration, LifecycleFilter, LifecycleRule, TRANSITION_MINIMUM_BYTES,
    TransitionMinimum, TransitionTime,
};

use crate::bucket::Bucket;
use crate::fault::Fault;
use crate::lifecycle::calendar::Calendar;
use crate::rows::document::DocumentKind;
use crate::rows::object::ObjectRecord;

/// The rules of a bucket. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LifecycleRules {
    configuration: Arc<LifecycleConfiguration>,
    minimum: TransitionMinimum,
}

/// What the filter of a rule looks at.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// The key.
    pub key: &'a [u8],
    /// Size and tags of an object; `None` for a delete marker or an upload, about which rules with tags
    /// or sizes say nothing.
    pub object: Option<(u64, &'a [(String, String)])>,
}

impl<'a> Item<'a> {
    /// An object.
    pub fn of_object(key: &'a [u8], record: &'a ObjectRecord) -> Self {
        Self {
            key,
            object: Some((record.size, &record.tags)),
        }
    }

    /// A delete marker or an upload.
    pub fn without_body(key: &'a [u8]) -> Self {
        Self { key, object: None }
    }
}

/// When something is due, and by which rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due<'r> {
    /// Unix milliseconds.
    pub at_ms: u64,
    /// The id of the rule.
    pub rule_id: &'r str,
}

impl LifecycleRules {
    /// Rules with the default for small objects.
    pub fn new(configuration: Arc<LifecycleConfiguration>, minimum: TransitionMinimum) -> Self {
        Self {
            configuration,
            minimum,
        }
    }

    /// The rules of a bucket, if it has any.
    pub fn of_bucket(bucket: &Bucket) -> Result<Option<Self>, Fault> {
        let Some(document) = bucket.documents.get(DocumentKind::Lifecycle) else {
            return Ok(None);
        };
        let configuration = document.parsed(LifecycleConfiguration::parse);
        let configuration = configuration.map_err(|error| {
            Fault::Damaged(format!(
                "the lifecycle rules of bucket {}: {}",
                bucket.name, error.message
            ))
        })?;
        let minimum = std::str::from_utf8(document.detail())
            .ok()
            .and_then(TransitionMinimum::from_name)
            .unwrap_or_default();
        Ok(Some(Self::new(configuration, minimum)))
    }

    fn matching(&self, item: Item<'_>) -> impl Iterator<Item = &LifecycleRule> {
        let enabled = self.configuration.rules.iter().filter(|rule| rule.enabled);
        enabled.filter(move |rule| matches(&rule.filter, item))
    }

    /// The prefixes that all objects have which an enabled rule is about, ascending, none of them
    /// a prefix of another.
    pub fn prefixes(&self) -> Vec<&[u8]> {
        let enabled = self.configuration.rules.iter().filter(|rule| rule.enabled);
        let mut prefixes: Vec<&[u8]> = enabled
            .map(|rule| rule.filter.prefix.as_deref().unwrap_or_default().as_bytes())
            .collect();
        prefixes.sort_unstable();
        prefixes.dedup_by(|longer, shorter| longer.starts_with(shorter));
        prefixes
    }

    /// Whether any enabled rule is about uploads, or about anything else.
    pub fn is_about(&self, uploads: bool) -> bool {
        let mut enabled = self.configuration.rules.iter().filter(|rule| rule.enabled);
        enabled.any(|rule| match uploads {
            true => rule.abort_uploads_days.is_some(),
            false => {
                rule.expiration.is_some()
                    || rule.noncurrent_expiration.is_some()
                    || !rule.transitions.is_empty()
                    || !rule.noncurrent_transitions.is_empty()
            }
        })
    }

    /// When a current version expires that was written at `created_ms`: of several rules the
    /// earliest counts.
    pub fn expiration(
        &self,
        item: Item<'_>,
        created_ms: u64,
        calendar: Calendar,
    ) -> Option<Due<'_>> {
        let due = self.matching(item).filter_map(|rule| {
            let at_ms = match rule.expiration? {
                Expiration::Days(days) => calendar.due_ms(created_ms, days),
                Expiration::DateMs(date_ms) => u64::try_from(date_ms).unwrap_or(0),
                Expiration::ExpiredObjectDeleteMarker(_) => return None,
            };
            Some(rule.due(at_ms))
        });
        earliest(due)
    }

    /// When a delete marker expires that is the only version of its key: when the rule says so of
    /// all of them, at once; where it counts days, after those.
    pub fn marker_expiration(
        &self,
        key: &[u8],
        created_ms: u64,
        calendar: Calendar,
    ) -> Option<Due<'_>> {
        let item = Item::without_body(key);
        let due = self.matching(item).filter_map(|rule| {
            let at_ms = match rule.expiration? {
                Expiration::Days(days) => calendar.due_ms(created_ms, days),
                Expiration::ExpiredObjectDeleteMarker(true) => created_ms,
                Expiration::ExpiredObjectDeleteMarker(false) | Expiration::DateMs(_) => {
                    return None;
                }
            };
            Some(rule.due(at_ms))
        });
        earliest(due)
    }

    /// When a noncurrent version is deleted that is one since `since_ms`, and than which
    /// `newer_versions` noncurrent objects are newer.
    pub fn noncurrent_expiration(
        &self,
        item: Item<'_>,
        since_ms: u64,
        newer_versions: u64,
        calendar: Calendar,
    ) -> Option<Due<'_>> {
        let due = self.matching(item).filter_map(|rule| {
            let expiration = rule.noncurrent_expiration?;
            let kept = u64::from(expiration.newer_versions.unwrap_or(0));
            (newer_versions >= kept).then(|| rule.due(calendar.due_ms(since_ms, expiration.days)))
        });
        earliest(due)
    }

    /// Where a current version of class `from` is to be at `now_ms`, and since when: of several classes
    /// the coldest.
    pub fn transition(
        &self,
        item: Item<'_>,
        from: StorageClass,
        created_ms: u64,
        now_ms: u64,
        calendar: Calendar,
    ) -> Option<(StorageClass, Due<'_>)> {
        let due = self.matching(item).flat_map(|rule| {
            rule.transitions.iter().map(move |transition| {
                let at_ms = match transition.time {
                    TransitionTime::Days(days) => calendar.due_ms(created_ms, days),
                    TransitionTime::DateMs(date_ms) => u64::try_from(date_ms).unwrap_or(0),
                };
                (rule, transition.class, rule.due(at_ms))
            })
        });
        self.coldest(item, from, now_ms, due)
    }

    /// As [`LifecycleRules::transition`], of a noncurrent version; see
    /// [`LifecycleRules::noncurrent_expiration`].
    pub fn noncurrent_transition(
        &self,
        item: Item<'_>,
        from: StorageClass,
        since_ms: u64,
        newer_versions: u64,
        now_ms: u64,
        calendar: Calendar,
    ) -> Option<(StorageClass, Due<'_>)> {
        let due = self.matching(item).flat_map(|rule| {
            let transitions = rule
                .noncurrent_transitions
                .iter()
                .filter(move |transition| {
                    newer_versions >= u64::from(transition.newer_versions.unwrap_or(0))
                });
            transitions.map(move |transition| {
                let at_ms = calendar.due_ms(since_ms, transition.days);
                (rule, transition.class, rule.due(at_ms))
            })
        });
        self.coldest(item, from, now_ms, due)
    }

    fn coldest<'r>(
        &self,
        item: Item<'_>,
        from: StorageClass,
        now_ms: u64,
        due: impl Iterator<Item = (&'r LifecycleRule, StorageClass, Due<'r>)>,
    ) -> Option<(StorageClass, Due<'r>)> {
        let (size, _) = item.object?;
        due.filter(|(_, class, due)| due.at_ms <= now_ms && from.can_transition_to(*class))
            .filter(|(rule, class, _)| self.is_large_enough(rule, *class, size))
            .map(|(_, class, due)| (class, due))
            .max_by_key(|(class, _)| *class)
    }

    /// A rule's own filter for sizes takes the place of the default.
    fn is_large_enough(&self, rule: &LifecycleRule, class: StorageClass, size: u64) -> bool {
        let is_exempt =
            self.minimum == TransitionMinimum::VariesByStorageClass && class.is_archive();
        size >= TRANSITION_MINIMUM_BYTES || is_exempt || rule.filter.has_size()
    }

    /// When an upload is aborted that was started at `started_ms`.
    pub fn abort(&self, key: &[u8], started_ms: u64, calendar: Calendar) -> Option<Due<'_>> {
        let item = Item::without_body(key);
        let due = self.matching(item).filter_map(|rule| {
            let days = rule.abort_uploads_days?;
            Some(rule.due(calendar.due_ms(started_ms, days)))
        });
        earliest(due)
    }
}

trait Dues {
    fn due(&self, at_ms: u64) -> Due<'_>;
}

impl Dues for LifecycleRule {
    fn due(&self, at_ms: u64) -> Due<'_> {
        Due {
            at_ms,
            rule_id: &self.id,
        }
    }
}

fn earliest<'r>(due: impl Iterator<Item = Due<'r>>) -> Option<Due<'r>> {
    due.min_by_key(|due| due.at_ms)
}

fn matches(filter: &LifecycleFilter, item: Item<'_>) -> bool {
    let prefix = filter.prefix.as_deref().unwrap_or_default();
    if !item.key.starts_with(prefix.as_bytes()) {
        return false;
    }
    let Some((size, tags)) = item.object else {
        return !filter.is_about_objects();
    };
    let has_tag = |wanted: &oncilla_wire::tagging::Tag| {
        tags.iter()
            .any(|(key, value)| *key == wanted.key && *value == wanted.value)
    };
    filter.tags.iter().all(has_tag)
        && filter.size_greater_than.is_none_or(|bound| size > bound)
        && filter.size_less_than.is_none_or(|bound| size < bound)
}

#[cfg(test)]
mod tests {
    use oncilla_wire::time::parse_iso8601;

    use super::*;

    fn rules(text: &str) -> LifecycleRules {
        let document = format!("<LifecycleConfiguration>{text}</LifecycleConfiguration>");
        let configuration = LifecycleConfiguration::parse(document.as_bytes()).unwrap();
        LifecycleRules::new(Arc::new(configuration), TransitionMinimum::All128K)
    }

    fn rule(id: &str, filter: &str, actions: &str) -> String {
        format!(
            "<Rule><ID>{id}</ID><Filter>{filter}</Filter><Status>Enabled</Status>{actions}</Rule>"
        )
    }

    fn at(text: &str) -> u64 {
        u64::try_from(parse_iso8601(text).unwrap()).unwrap()
    }

    const CREATED: &str = "2024-01-15T10:30:00Z";

    /// A large object.
    fn object<'a>(key: &'a str, tags: &'a [(String, String)]) -> Item<'a> {
        Item {
            key: key.as_bytes(),
            object: Some((1 << 20, tags)),
        }
    }

    fn expires(rules: &LifecycleRules, item: Item<'_>) -> Option<(u64, String)> {
        let due = rules.expiration(item, at(CREATED), Calendar::REAL)?;
        Some((due.at_ms, due.rule_id.to_owned()))
    }

    fn moves(rules: &LifecycleRules, item: Item<'_>, now: &str) -> Option<StorageClass> {
        let from = StorageClass::Standard;
        let due = rules.transition(item, from, at(CREATED), at(now), Calendar::REAL);
        due.map(|(class, _)| class)
    }

    const DAYS_10: &str = "<Expiration><Days>10</Days></Expiration>";
    const DAYS_365: &str = "<Expiration><Days>365</Days></Expiration>";

    #[test]
    fn filters_have_to_hold_together() {
        let tag = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let one = [tag("k", "v")];
        let two = [tag("l", "w"), tag("k", "v")];
        let and = "<And><Prefix>logs/</Prefix><Tag><Key>k</Key><Value>v</Value></Tag>\
                   <Tag><Key>l</Key><Value>w</Value></Tag></And>";
        let sizes = "<And><ObjectSizeGreaterThan>500</ObjectSizeGreaterThan>\
                     <ObjectSizeLessThan>64000</ObjectSizeLessThan></And>";
        let (and, sizes) = (
            rules(&rule("a", and, DAYS_10)),
            rules(&rule("s", sizes, DAYS_10)),
        );
        for (key, tags, expected) in [
            ("logs/x", &two[..], true),
            ("logs/x", &one, false),
            ("log", &two, false),
            ("logs/x", &[], false),
        ] {
            assert_eq!(
                expires(&and, object(key, tags)).is_some(),
                expected,
                "{key}"
            );
        }
        for (size, expected) in [(500, false), (501, true), (63_999, true), (64_000, false)] {
            let item = Item {
                key: b"k",
                object: Some((size, &[])),
            };
            assert_eq!(expires(&sizes, item).is_some(), expected, "{size}");
        }
        let marker = Item::without_body(b"logs/x");
        assert_eq!(expires(&and, marker), None);
        assert_eq!(expires(&sizes, marker), None);
    }

    #[test]
    fn rules_that_are_not_in_force_do_nothing() {
        let text = rule("r", "", DAYS_10).replace("Enabled", "Disabled");
        assert_eq!(expires(&rules(&text), object("k", &[])), None);
        assert!(rules(&text).prefixes().is_empty());
    }

    /// User Guide, "Conflicts in lifecycle rules", examples 1 and 2: the shorter expiration is honored.
    #[test]
    fn the_earliest_expiration_counts() {
        let both = rules(
            &(rule("long", "", DAYS_365) + &rule("short", "<Prefix>logs/</Prefix>", DAYS_10)),
        );
        let midnight = |text| at(text);
        assert_eq!(
            expires(&both, object("logs/x", &[])),
            Some((midnight("2024-01-26T00:00:00Z"), "short".to_owned()))
        );
        assert_eq!(
            expires(&both, object("x", &[])),
            Some((midnight("2025-01-15T00:00:00Z"), "long".to_owned()))
        );
        let date = "<Expiration><Date>2020-01-01T00:00:00Z</Date></Expiration>";
        let dated = rules(&rule("date", "", date));
        let expected = Some((at("2020-01-01T00:00:00Z"), "date".to_owned()));
        assert_eq!(expires(&dated, object("k", &[])), expected);
    }

    /// Examples 3 and 4: of several classes that are due, the coldest.
    #[test]
    fn the_coldest_class_counts() {
        let to = |days: u32, class: &str| {
            format!(
                "<Transition><Days>{days}</Days><StorageClass>{class}</StorageClass></Transition>"
            )
        };
        let both = rules(
            &(rule("ia", "", &to(30, "STANDARD_IA")) + &rule("glacier", "", &to(40, "GLACIER"))),
        );
        let item = object("k", &[]);
        assert_eq!(moves(&both, item, "2024-02-14T23:59:59Z"), None);
        let ia = Some(StorageClass::StandardIa);
        assert_eq!(moves(&both, item, "2024-02-15T00:00:00Z"), ia);
        let glacier = Some(StorageClass::Glacier);
        assert_eq!(moves(&both, item, "2024-02-25T00:00:00Z"), glacier);
        let tiering = rules(&rule(
            "t",
            "",
            &(to(30, "STANDARD_IA") + &to(60, "INTELLIGENT_TIERING")),
        ));
        let expected = Some(StorageClass::IntelligentTiering);
        assert_eq!(moves(&tiering, item, "2025-01-01T00:00:00Z"), expected);
    }

    #[test]
    fn nothing_moves_up() {
        let text = "<Transition><Days>0</Days><StorageClass>GLACIER_IR</StorageClass></Transition>";
        let rules = rules(&rule("r", "", text));
        let item = object("k", &[]);
        let from = |class| {
            let now = at("2030-01-01T00:00:00Z");
            let due = rules.transition(item, class, at(CREATED), now, Calendar::REAL);
            due.is_some()
        };
        assert!(from(StorageClass::Standard) && from(StorageClass::StandardIa));
        assert!(from(StorageClass::ReducedRedundancy));
        assert!(!from(StorageClass::GlacierIr) && !from(StorageClass::OneZoneIa));
        assert!(!from(StorageClass::DeepArchive));
    }

    /// API reference, PutBucketLifecycleConfiguration, `x-amz-transition-default-minimum-object-size`.
    #[test]
    fn small_objects_stay_unless_a_filter_speaks_of_sizes() {
        let to = |class: &str| {
            format!("<Transition><Days>0</Days><StorageClass>{class}</StorageClass></Transition>")
        };
        let larger = "<ObjectSizeGreaterThan>10</ObjectSizeGreaterThan>";
        let cases = [
            ("", "GLACIER_IR", false, false),
            ("", "GLACIER", false, true),
            ("", "DEEP_ARCHIVE", false, true),
            (larger, "GLACIER_IR", true, true),
        ];
        for (filter, class, by_default, by_class) in cases {
            let mut rules = rules(&rule("r", filter, &to(class)));
            for (minimum, expected) in [
                (TransitionMinimum::All128K, by_default),
                (TransitionMinimum::VariesByStorageClass, by_class),
            ] {
                rules.minimum = minimum;
                let size = |size| Item {
                    key: b"k",
                    object: Some((size, &[])),
                };
                let now = "2030-01-01T00:00:00Z";
                let small = moves(&rules, size(TRANSITION_MINIMUM_BYTES - 1), now);
                assert_eq!(small.is_some(), expected, "{filter} {class} {minimum:?}");
                assert!(moves(&rules, size(TRANSITION_MINIMUM_BYTES), now).is_some());
            }
        }
    }

    #[test]
    fn noncurrent_versions_wait_for_days_and_newer_ones() {
        let text = "<NoncurrentVersionTransition><NoncurrentDays>1</NoncurrentDays>\
                    <NewerNoncurrentVersions>1</NewerNoncurrentVersions>\
                    <StorageClass>GLACIER</StorageClass></NoncurrentVersionTransition>\
                    <NoncurrentVersionExpiration><NoncurrentDays>5</NoncurrentDays>\
                    <NewerNoncurrentVersions>2</NewerNoncurrentVersions>\
                    </NoncurrentVersionExpiration>";
        let rules = rules(&rule("r", "", text));
        let item = object("k", &[]);
        let due = |newer| rules.noncurrent_expiration(item, at(CREATED), newer, Calendar::REAL);
        assert_eq!(due(0), None);
        assert_eq!(due(1), None);
        assert_eq!(due(2).unwrap().at_ms, at("2024-01-21T00:00:00Z"));
        let moved = |newer, now| {
            let from = StorageClass::Standard;
            let calendar = Calendar::REAL;
            let due =
                rules.noncurrent_transition(item, from, at(CREATED), newer, at(now), calendar);
            due.map(|(class, _)| class)
        };
        assert_eq!(moved(0, "2025-01-01T00:00:00Z"), None);
        assert_eq!(moved(1, "2024-01-16T23:00:00Z"), None);
        assert_eq!(
            moved(1, "2024-01-17T00:00:00Z"),
            Some(StorageClass::Glacier)
        );
        assert_eq!(expires(&rules, item), None);
    }

    #[test]
    fn delete_markers_that_stand_alone_expire_at_once_or_by_their_age() {
        let marker = "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker>\
                      </Expiration>";
        let off = marker.replace("true", "false");
        let tags = "<Tag><Key>k</Key><Value>v</Value></Tag>";
        let date = "<Expiration><Date>2020-01-01T00:00:00Z</Date></Expiration>";
        for (text, expected) in [
            (rule("r", "", marker), Some(at(CREATED))),
            (rule("r", "", &off), None),
            (rule("r", "", DAYS_10), Some(at("2024-01-26T00:00:00Z"))),
            (rule("r", tags, DAYS_10), None),
            (rule("r", "", date), None),
        ] {
            let rules = rules(&text);
            let due = rules.marker_expiration(b"k", at(CREATED), Calendar::REAL);
            assert_eq!(due.map(|due| due.at_ms), expected, "{text}");
        }
    }

    #[test]
    fn uploads_are_aborted_by_the_earliest_rule() {
        let abort = |days: u32| {
            format!(
                "<AbortIncompleteMultipartUpload><DaysAfterInitiation>{days}\
                 </DaysAfterInitiation></AbortIncompleteMultipartUpload>"
            )
        };
        let text = rule("a", "", &abort(7)) + &rule("b", "<Prefix>k</Prefix>", &abort(2));
        let rules = rules(&text);
        let due = |key: &[u8]| {
            let due = rules.abort(key, at(CREATED), Calendar::REAL).unwrap();
            (due.rule_id.to_owned(), due.at_ms)
        };
        assert_eq!(due(b"k"), ("b".to_owned(), at("2024-01-18T00:00:00Z")));
        assert_eq!(due(b"x"), ("a".to_owned(), at("2024-01-23T00:00:00Z")));
        assert!(rules.is_about(true) && !rules.is_about(false));
    }

    #[test]
    fn prefixes_cover_each_other() {
        let prefix = |text: &str| {
            rule("", &format!("<Prefix>{text}</Prefix>"), DAYS_10).replace("<ID></ID>", "")
        };
        let of = |texts: &[&str]| {
            let text: String = texts.iter().map(|text| prefix(text)).collect();
            let rules = rules(&text);
            let prefixes = rules.prefixes();
            prefixes
                .iter()
                .map(|prefix| String::from_utf8(prefix.to_vec()).unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(of(&["b", "a/", "a/b", "ab", "a/"]), ["a/", "ab", "b"]);
        assert_eq!(of(&["x", ""]), [""]);
    }
}
