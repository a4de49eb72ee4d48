//! Conditional requests: parsing of the `If-…` headers and their evaluation, as pure functions, so
//! that the store can evaluate them inside its commit.
//!
//! Entity tags are compared without quotes. Dates count in whole seconds, as HTTP dates do.

use http::{HeaderMap, HeaderName};

use crate::digits::parse_digits;
use crate::error::{S3Error, S3ErrorCode};
use crate::header;
use crate::time::{parse_http_date, parse_iso8601};

/// The most entity tags kept of one header; further ones are ignored. No client sends more than a few.
const MAX_ETAGS: usize = 64;

/// The value of `If-Match` or `If-None-Match`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EtagCondition {
    /// `*`: any object.
    Any,
    /// The empty tag `""`, which stands for "no object": older Tigris clients send
    /// `If-Match: ""` to create only and `If-None-Match: ""` to replace only.
    NoObject,
    /// One of these tags, without quotes.
    OneOf(Vec<EtagPattern>),
}

/// One entity tag of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtagPattern {
    /// The tag without quotes.
    pub value: String,
    /// Whether it was marked weak (`W/`).
    pub weak: bool,
}

/// Every condition that a request can carry. The default has none, and holds always.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// `If-Match`.
    pub if_match: Option<EtagCondition>,
    /// `If-None-Match`.
    pub if_none_match: Option<EtagCondition>,
    /// `If-Modified-Since`, in Unix milliseconds.
    pub if_modified_since_ms: Option<i64>,
    /// `If-Unmodified-Since`, in Unix milliseconds.
    pub if_unmodified_since_ms: Option<i64>,
    /// `x-amz-if-match-last-modified-time`, of deletes only, in Unix milliseconds.
    pub if_match_last_modified_ms: Option<i64>,
    /// `x-amz-if-match-size`, of deletes only, in bytes.
    pub if_match_size: Option<u64>,
}

/// What conditions are evaluated against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Existing<'a> {
    /// The entity tag without quotes.
    pub etag: &'a str,
    /// When it was last modified, in Unix milliseconds.
    pub last_modified_ms: i64,
    /// The size in bytes.
    pub size: u64,
}

/// The outcome for a GET or HEAD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadOutcome {
    /// Answer as if there were no condition.
    Proceed,
    /// Answer 304 with `ETag`, `Last-Modified` and no body.
    NotModified,
    /// Answer 412; the field is the header that failed.
    PreconditionFailed(&'static str),
}

/// Why a write is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConditionFailure {
    /// `If-Match` on a key that does not exist: 404 `NoSuchKey`.
    #[error("the object that the condition is about does not exist")]
    NoSuchKey,
    /// 412 `PreconditionFailed`; the field is the header that failed.
    #[error("condition {0} does not hold")]
    PreconditionFailed(&'static str),
}

impl From<ConditionFailure> for S3Error {
    fn from(failure: ConditionFailure) -> Self {
        match failure {
            ConditionFailure::NoSuchKey => S3ErrorCode::NoSuchKey.into(),
            ConditionFailure::PreconditionFailed(header) => {
                S3Error::new(S3ErrorCode::PreconditionFailed).detail("Condition", header)
            }
        }
    }
}

const IF_MATCH: &str = "If-Match";
const IF_NONE_MATCH: &str = "If-None-Match";
const IF_MODIFIED_SINCE: &str = "If-Modified-Since";
const IF_UNMODIFIED_SINCE: &str = "If-Unmodified-Since";

impl Conditions {
    /// The conditions on the object that the request names.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let size = headers
            .get(header::X_AMZ_IF_MATCH_SIZE)
            .and_then(|value| value.to_str().ok());
        Self {
            if_match: etag_condition(headers, &http::header::IF_MATCH),
            if_none_match: etag_condition(headers, &http::header::IF_NONE_MATCH),
            if_modified_since_ms: date(headers, &http::header::IF_MODIFIED_SINCE),
            if_unmodified_since_ms: date(headers, &http::header::IF_UNMODIFIED_SINCE),
            if_match_last_modified_ms: date(headers, &header::X_AMZ_IF_MATCH_LAST_MODIFIED_TIME),
            if_match_size: size.and_then(|text| parse_digits(text.trim())),
        }
    }

    /// The conditions of a DELETE. A read whose condition cannot be read is answered in full; a
    /// deletion had better not happen.
    ///
    /// # Errors
    /// `InvalidArgument` for a size or a time that cannot be read.
    pub fn from_delete_headers(headers: &HeaderMap) -> Result<Self, S3Error> {
        let mut conditions = Self::from_headers(headers);
        let time = &header::X_AMZ_IF_MATCH_LAST_MODIFIED_TIME;
        if conditions.if_match_last_modified_ms.is_none() {
            conditions.if_match_last_modified_ms = iso_date(headers, time);
        }
        let unread = [
            (time, conditions.if_match_last_modified_ms.is_none()),
            (
                &header::X_AMZ_IF_MATCH_SIZE,
                conditions.if_match_size.is_none(),
            ),
        ];
        for (name, is_unread) in unread {
            if let Some(value) = headers.get(name).filter(|_| is_unread) {
                let value = String::from_utf8_lossy(value.as_bytes());
                let message = format!("The value of {name} cannot be read.");
                return Err(S3Error::invalid_argument(name.as_str(), &value, message));
            }
        }
        Ok(conditions)
    }

    /// The conditions on the source of a rename (`x-amz-rename-source-if-…`).
    pub fn from_rename_source_headers(headers: &HeaderMap) -> Self {
        Self {
            if_match: etag_condition(headers, &header::X_AMZ_RENAME_SOURCE_IF_MATCH),
            if_none_match: etag_condition(headers, &header::X_AMZ_RENAME_SOURCE_IF_NONE_MATCH),
            if_modified_since_ms: date(headers, &header::X_AMZ_RENAME_SOURCE_IF_MODIFIED_SINCE),
            if_unmodified_since_ms: date(headers, &header::X_AMZ_RENAME_SOURCE_IF_UNMODIFIED_SINCE),
            ..Self::default()
        }
    }

    /// The conditions on the source of a copy (`x-amz-copy-source-if-…`).
    pub fn from_copy_source_headers(headers: &HeaderMap) -> Self {
        Self {
            if_match: etag_condition(headers, &header::X_AMZ_COPY_SOURCE_IF_MATCH),
            if_none_match: etag_condition(headers, &header::X_AMZ_COPY_SOURCE_IF_NONE_MATCH),
            if_modified_since_ms: date(headers, &header::X_AMZ_COPY_SOURCE_IF_MODIFIED_SINCE),
            if_unmodified_since_ms: date(headers, &header::X_AMZ_COPY_SOURCE_IF_UNMODIFIED_SINCE),
            ..Self::default()
        }
    }

    /// Whether there is no condition at all.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Evaluates the conditions of a GET or HEAD in the order of RFC 9110 §13.2.2: `If-Match`, and
    /// only without it `If-Unmodified-Since`; then `If-None-Match`, and only without it
    /// `If-Modified-Since`. S3 documents the same two cases: `If-Match` true with
    /// `If-Unmodified-Since` false is 200; `If-None-Match` false with `If-Modified-Since` true is 304.
    pub fn evaluate_read(&self, existing: Existing<'_>) -> ReadOutcome {
        if let Some(condition) = &self.if_match {
            if !condition.matches(existing.etag) {
                return ReadOutcome::PreconditionFailed(IF_MATCH);
            }
        } else if self.is_modified_after_limit(existing) {
            return ReadOutcome::PreconditionFailed(IF_UNMODIFIED_SINCE);
        }
        if let Some(condition) = &self.if_none_match {
            if condition.matches_weakly(existing.etag) {
                return ReadOutcome::NotModified;
            }
        } else if self.is_unchanged_since(existing) {
            return ReadOutcome::NotModified;
        }
        ReadOutcome::Proceed
    }

    /// Evaluates the conditions on the source of a copy: as for a read, but every failure is 412.
    pub fn evaluate_copy_source(&self, source: Existing<'_>) -> Result<(), ConditionFailure> {
        match self.evaluate_read(source) {
            ReadOutcome::Proceed => Ok(()),
            ReadOutcome::PreconditionFailed(header) => {
                Err(ConditionFailure::PreconditionFailed(header))
            }
            ReadOutcome::NotModified if self.if_none_match.is_some() => {
                Err(ConditionFailure::PreconditionFailed(IF_NONE_MATCH))
            }
            ReadOutcome::NotModified => {
                Err(ConditionFailure::PreconditionFailed(IF_MODIFIED_SINCE))
            }
        }
    }

    /// Evaluates the conditions of a PUT, a copy's target or a completed upload. All of them must
    /// hold. On a missing key `If-Match` is `NoSuchKey`, and the others hold.
    pub fn evaluate_write(&self, existing: Option<Existing<'_>>) -> Result<(), ConditionFailure> {
        let Some(existing) = existing else {
            if matches!(self.if_none_match, Some(EtagCondition::NoObject)) {
                return Err(ConditionFailure::PreconditionFailed(IF_NONE_MATCH));
            }
            return match self.if_match {
                None | Some(EtagCondition::NoObject) => Ok(()),
                Some(_) => Err(ConditionFailure::NoSuchKey),
            };
        };
        self.evaluate_write_existing(existing)
    }

    /// Evaluates the conditions of a DELETE. Deleting what is not there succeeds, whatever the
    /// conditions, as a DELETE without conditions does.
    pub fn evaluate_delete(&self, existing: Option<Existing<'_>>) -> Result<(), ConditionFailure> {
        let Some(existing) = existing else {
            return Ok(());
        };
        self.evaluate_write_existing(existing)?;
        let other_time = |wanted_ms| to_seconds(existing.last_modified_ms) != to_seconds(wanted_ms);
        if self.if_match_last_modified_ms.is_some_and(other_time) {
            let header = "x-amz-if-match-last-modified-time";
            return Err(ConditionFailure::PreconditionFailed(header));
        }
        if self.if_match_size.is_some_and(|size| size != existing.size) {
            return Err(ConditionFailure::PreconditionFailed("x-amz-if-match-size"));
        }
        Ok(())
    }

    fn evaluate_write_existing(&self, existing: Existing<'_>) -> Result<(), ConditionFailure> {
        let failed = |header| Err(ConditionFailure::PreconditionFailed(header));
        if self
            .if_match
            .as_ref()
            .is_some_and(|condition| !condition.matches(existing.etag))
        {
            return failed(IF_MATCH);
        }
        if self.is_modified_after_limit(existing) {
            return failed(IF_UNMODIFIED_SINCE);
        }
        let forbidden = self.if_none_match.as_ref();
        if forbidden.is_some_and(|condition| condition.matches_weakly(existing.etag)) {
            return failed(IF_NONE_MATCH);
        }
        if self.is_unchanged_since(existing) {
            return failed(IF_MODIFIED_SINCE);
        }
        Ok(())
    }

    fn is_modified_after_limit(&self, existing: Existing<'_>) -> bool {
        self.if_unmodified_since_ms
            .is_some_and(|limit_ms| to_seconds(existing.last_modified_ms) > to_seconds(limit_ms))
    }

    fn is_unchanged_since(&self, existing: Existing<'_>) -> bool {
        self.if_modified_since_ms
            .is_some_and(|since_ms| to_seconds(existing.last_modified_ms) <= to_seconds(since_ms))
    }
}

impl EtagCondition {
    /// Reads the value of the header. Quotes are optional, as in S3; every text means something.
    pub fn parse(value: &[u8]) -> Self {
        let text = String::from_utf8_lossy(value);
        let mut patterns = Vec::new();
        let mut rest = text.trim();
        if rest == "*" {
            return Self::Any;
        }
        while !rest.is_empty() && patterns.len() < MAX_ETAGS {
            let (pattern, after) = take_etag(rest);
            // A star inside a list still means any object.
            if pattern.value == "*" {
                return Self::Any;
            }
            if !pattern.value.is_empty() {
                patterns.push(pattern);
            }
            rest = after.trim_start_matches([',', ' ', '\t']);
        }
        if patterns.is_empty() {
            Self::NoObject
        } else {
            Self::OneOf(patterns)
        }
    }

    /// Strong comparison (RFC 9110 §8.8.3.2), for `If-Match`. S3's own tags are all strong.
    fn matches(&self, etag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::NoObject => false,
            Self::OneOf(patterns) => patterns
                .iter()
                .any(|pattern| !pattern.weak && pattern.value == etag),
        }
    }

    /// Weak comparison, for `If-None-Match`.
    fn matches_weakly(&self, etag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::NoObject => false,
            Self::OneOf(patterns) => patterns.iter().any(|pattern| pattern.value == etag),
        }
    }
}

/// The value of `If-Range`: the range applies only if the object is still the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IfRange {
    /// If it has this entity tag, compared strongly.
    Etag(EtagPattern),
    /// If it was last modified exactly then, in Unix milliseconds.
    Date(i64),
}

impl IfRange {
    /// Reads the value of the header.
    pub fn parse(value: &[u8]) -> Self {
        match parse_http_date(value) {
            Some(unix_ms) => Self::Date(unix_ms),
            None => Self::Etag(take_etag(String::from_utf8_lossy(value).trim()).0),
        }
    }

    /// Whether the `Range` of the request applies; otherwise the whole object is the answer.
    pub fn range_applies(&self, existing: Existing<'_>) -> bool {
        match self {
            Self::Etag(pattern) => !pattern.weak && pattern.value == existing.etag,
            Self::Date(unix_ms) => to_seconds(existing.last_modified_ms) == to_seconds(*unix_ms),
        }
    }
}

/// Takes one entity tag off the front of a list: quoted, or bare up to the comma.
fn take_etag(text: &str) -> (EtagPattern, &str) {
    let (weak, text) = match text.strip_prefix("W/") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let quoted = text.strip_prefix('"').and_then(|rest| rest.split_once('"'));
    let (value, rest) = quoted.unwrap_or_else(|| text.split_once(',').unwrap_or((text, "")));
    let value = if quoted.is_some() {
        value
    } else {
        value.trim().trim_matches('"')
    };
    (
        EtagPattern {
            value: value.to_owned(),
            weak,
        },
        rest,
    )
}

fn etag_condition(headers: &HeaderMap, name: &HeaderName) -> Option<EtagCondition> {
    headers
        .get(name)
        .map(|value| EtagCondition::parse(value.as_bytes()))
}

/// A date that cannot be read is ignored (RFC 9110 §13.1.3).
fn date(headers: &HeaderMap, name: &HeaderName) -> Option<i64> {
    parse_http_date(headers.get(name)?.as_bytes())
}

fn iso_date(headers: &HeaderMap, name: &HeaderName) -> Option<i64> {
    parse_iso8601(headers.get(name)?.to_str().ok()?.trim())
}

fn to_seconds(unix_ms: i64) -> i64 {
    unix_ms.div_euclid(1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    const OBJECT: Existing<'_> = Existing {
        etag: "abc",
        last_modified_ms: 784_111_777_500,
        size: 3,
    };
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const AT: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn conditions(headers: &[(&'static str, &'static str)]) -> Conditions {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_static(value));
        }
        Conditions::from_headers(&map)
    }

    #[test]
    fn reading_follows_the_precedence_of_rfc_9110() {
        use ReadOutcome::{NotModified, PreconditionFailed, Proceed};
        let cases: &[(&[(&str, &str)], ReadOutcome)] = &[
            (&[], Proceed),
            (&[("if-match", "\"abc\"")], Proceed),
            (&[("if-match", "abc")], Proceed),
            (&[("if-match", "*")], Proceed),
            (&[("if-match", "\"x\", \"abc\"")], Proceed),
            (&[("if-match", "\"x\"")], PreconditionFailed(IF_MATCH)),
            (&[("if-match", "W/\"abc\"")], PreconditionFailed(IF_MATCH)),
            (&[("if-none-match", "W/\"abc\"")], NotModified),
            (&[("if-none-match", "x,abc")], NotModified),
            (&[("if-none-match", "*")], NotModified),
            (&[("if-none-match", "\"x\"")], Proceed),
            (
                &[("if-unmodified-since", BEFORE)],
                PreconditionFailed(IF_UNMODIFIED_SINCE),
            ),
            (&[("if-unmodified-since", AT)], Proceed),
            (&[("if-modified-since", BEFORE)], Proceed),
            (&[("if-modified-since", AT)], NotModified),
            (&[("if-modified-since", "yesterday")], Proceed),
            (
                &[("if-match", "abc"), ("if-unmodified-since", BEFORE)],
                Proceed,
            ),
            (
                &[("if-none-match", "abc"), ("if-modified-since", BEFORE)],
                NotModified,
            ),
            (
                &[("if-none-match", "x"), ("if-modified-since", AFTER)],
                Proceed,
            ),
            (
                &[("if-match", "x"), ("if-none-match", "abc")],
                PreconditionFailed(IF_MATCH),
            ),
        ];
        for (headers, expected) in cases {
            assert_eq!(
                conditions(headers).evaluate_read(OBJECT),
                *expected,
                "{headers:?}"
            );
        }
    }

    /// The cases of ceph/s3-tests, test_put_object_if_match, and those around them.
    #[test]
    fn writing() {
        let failed = |header| Err(ConditionFailure::PreconditionFailed(header));
        let missing = Err(ConditionFailure::NoSuchKey);
        type Outcome = Result<(), ConditionFailure>;
        let cases: &[(&str, &str, Outcome, Outcome)] = &[
            // header, value, outcome on the existing object, outcome on none
            ("if-none-match", "*", failed(IF_NONE_MATCH), Ok(())),
            ("if-none-match", "\"abc\"", failed(IF_NONE_MATCH), Ok(())),
            ("if-none-match", "badetag", Ok(()), Ok(())),
            ("if-match", "\"abc\"", Ok(()), missing),
            ("if-match", "*", Ok(()), missing),
            ("if-match", "badetag", failed(IF_MATCH), missing),
            ("if-match", "\"\"", failed(IF_MATCH), Ok(())),
            ("if-match", "", failed(IF_MATCH), Ok(())),
            ("if-none-match", "\"\"", Ok(()), failed(IF_NONE_MATCH)),
            (
                "if-unmodified-since",
                BEFORE,
                failed(IF_UNMODIFIED_SINCE),
                Ok(()),
            ),
            ("if-unmodified-since", AT, Ok(()), Ok(())),
            ("if-modified-since", AT, failed(IF_MODIFIED_SINCE), Ok(())),
            ("if-modified-since", BEFORE, Ok(()), Ok(())),
        ];
        for (name, value, existing, none) in cases {
            let conditions = conditions(&[(name, value)]);
            assert_eq!(
                conditions.evaluate_write(Some(OBJECT)),
                *existing,
                "{name}: {value}"
            );
            assert_eq!(conditions.evaluate_write(None), *none, "{name}: {value}");
            assert_eq!(
                conditions.evaluate_delete(Some(OBJECT)),
                *existing,
                "{name}: {value}"
            );
            assert_eq!(conditions.evaluate_delete(None), Ok(()), "{name}: {value}");
        }
        let all = conditions(&[("if-match", "abc"), ("if-unmodified-since", BEFORE)]);
        assert!(
            all.evaluate_write(Some(OBJECT)).is_err(),
            "every condition of a write must hold"
        );
    }

    #[test]
    fn deleting_by_time_and_size() {
        let time = "x-amz-if-match-last-modified-time";
        assert!(
            conditions(&[(time, AT)])
                .evaluate_delete(Some(OBJECT))
                .is_ok()
        );
        assert!(
            conditions(&[(time, BEFORE)])
                .evaluate_delete(Some(OBJECT))
                .is_err()
        );
        assert!(
            conditions(&[("x-amz-if-match-size", "3")])
                .evaluate_delete(Some(OBJECT))
                .is_ok()
        );
        assert!(
            conditions(&[("x-amz-if-match-size", "4")])
                .evaluate_delete(Some(OBJECT))
                .is_err()
        );
    }

    #[test]
    fn a_deletion_with_an_unreadable_condition_is_refused() {
        let read = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            Conditions::from_delete_headers(&headers).map_err(|error| error.code)
        };
        let time = "x-amz-if-match-last-modified-time";
        for date in [AT, "1994-11-06T08:49:37Z"] {
            let expected = Some(784_111_777_000);
            assert_eq!(
                read(time, date).unwrap().if_match_last_modified_ms,
                expected
            );
        }
        let size = "x-amz-if-match-size";
        assert_eq!(read(size, "3").unwrap().if_match_size, Some(3));
        for (name, value) in [(time, "yesterday"), (size, "three"), (size, "-1")] {
            assert_eq!(
                read(name, value),
                Err(S3ErrorCode::InvalidArgument),
                "{value}"
            );
        }
    }

    #[test]
    fn every_failed_condition_on_a_copy_source_is_412() {
        let mut headers = HeaderMap::new();
        headers.insert(
            "x-amz-copy-source-if-none-match",
            HeaderValue::from_static("abc"),
        );
        let conditions = Conditions::from_copy_source_headers(&headers);
        let failure = conditions.evaluate_copy_source(OBJECT).unwrap_err();
        let error = S3Error::from(failure);
        assert_eq!(error.code, S3ErrorCode::PreconditionFailed);
        assert_eq!(error.details, [("Condition", "If-None-Match".to_owned())]);
        assert!(Conditions::from_headers(&headers).is_empty());
    }

    #[test]
    fn if_range() {
        assert!(IfRange::parse(b"\"abc\"").range_applies(OBJECT));
        assert!(!IfRange::parse(b"W/\"abc\"").range_applies(OBJECT));
        assert!(!IfRange::parse(b"\"x\"").range_applies(OBJECT));
        assert!(IfRange::parse(AT.as_bytes()).range_applies(OBJECT));
        assert!(!IfRange::parse(AFTER.as_bytes()).range_applies(OBJECT));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = EtagCondition::parse(&bytes);
            let _ = IfRange::parse(&bytes);
        }

        #[test]
        fn a_list_keeps_every_tag(tags in proptest::collection::vec("[a-f0-9-]{1,40}", 1..10), quoted: bool) {
            let written: Vec<String> =
                tags.iter().map(|tag| if quoted { format!("\"{tag}\"") } else { tag.clone() }).collect();
            let condition = EtagCondition::parse(written.join(", ").as_bytes());
            for tag in &tags {
                prop_assert!(condition.matches(tag));
            }
        }
    }
}
