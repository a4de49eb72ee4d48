//! Object Lock: how long a version may not go away, as requests and answers say it.
//! Source: S3 User Guide, "Locking objects with Object Lock" and "Object Lock considerations".

use http::{HeaderMap, HeaderName};

use crate::checksum_headers::ChecksumHeaders;
use crate::error::{S3Error, S3ErrorCode};
use crate::header::{
    X_AMZ_BYPASS_GOVERNANCE_RETENTION, X_AMZ_OBJECT_LOCK_LEGAL_HOLD, X_AMZ_OBJECT_LOCK_MODE,
    X_AMZ_OBJECT_LOCK_RETAIN_UNTIL_DATE,
};
use crate::time::{self, add_days, add_years};

/// The longest default retention in days. Source: S3 User Guide, "Object Lock considerations".
pub const RETENTION_DAYS_MAX: u32 = 36_500;

/// The longest default retention in years. Source: as above.
pub const RETENTION_YEARS_MAX: u32 = 100;

/// Who may shorten a retention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RetentionMode {
    /// Whoever has `s3:BypassGovernanceRetention` and says so.
    Governance,
    /// Nobody, whoever it is.
    Compliance,
}

impl RetentionMode {
    /// The name in headers and XML.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Governance => "GOVERNANCE",
            Self::Compliance => "COMPLIANCE",
        }
    }

    /// The mode of this name, in S3's spelling.
    pub fn from_name(text: &str) -> Option<Self> {
        [Self::Governance, Self::Compliance]
            .into_iter()
            .find(|mode| mode.as_str() == text)
    }
}

/// Until when a version may not go away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Who may shorten it.
    pub mode: RetentionMode,
    /// Unix milliseconds.
    pub until_ms: i64,
}

/// Whether a version is kept until further notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LegalHold {
    /// It is.
    On,
    /// It was, or somebody said that it is not.
    Off,
}

impl LegalHold {
    /// The name in headers and XML.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::On => "ON",
            Self::Off => "OFF",
        }
    }

    /// The state of this name, in S3's spelling.
    pub fn from_name(text: &str) -> Option<Self> {
        [Self::On, Self::Off]
            .into_iter()
            .find(|hold| hold.as_str() == text)
    }
}

/// How long the retention of new versions lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RetentionPeriod {
    /// 1 to [`RETENTION_DAYS_MAX`].
    Days(u32),
    /// 1 to [`RETENTION_YEARS_MAX`].
    Years(u32),
}

/// The retention of new versions whose writer names none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DefaultRetention {
    /// Who may shorten it.
    pub mode: RetentionMode,
    /// How long it lasts.
    pub period: RetentionPeriod,
}

impl DefaultRetention {
    /// The retention of a version that is written at `written_ms` (Unix milliseconds). Years are
    /// those of the calendar.
    pub fn of_version(self, written_ms: i64) -> Retention {
        let until_ms = match self.period {
            RetentionPeriod::Days(days) => add_days(written_ms, days),
            RetentionPeriod::Years(years) => add_years(written_ms, years),
        };
        Retention {
            mode: self.mode,
            until_ms,
        }
    }
}

/// What a request says about the lock of the version it writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NewLock {
    /// `x-amz-object-lock-mode` and `x-amz-object-lock-retain-until-date`.
    pub retention: Option<Retention>,
    /// `x-amz-object-lock-legal-hold`.
    pub legal_hold: Option<LegalHold>,
}

impl NewLock {
    /// Reads the headers. `now_ms` is the time that a retention has to be later than, in Unix
    /// milliseconds.
    ///
    /// # Errors
    /// `InvalidArgument` for a mode without a date, a date without a mode, an unknown mode or
    /// state, and a date that cannot be read or has passed.
    pub fn from_headers(headers: &HeaderMap, now_ms: i64) -> Result<Self, S3Error> {
        let mode = text(headers, &X_AMZ_OBJECT_LOCK_MODE);
        let date = text(headers, &X_AMZ_OBJECT_LOCK_RETAIN_UNTIL_DATE);
        let hold = text(headers, &X_AMZ_OBJECT_LOCK_LEGAL_HOLD);
        let retention = match (mode, date) {
            (None, None) => None,
            (Some(mode), Some(date)) => Some(retention(&mode, &date, now_ms)?),
            (mode, _) => {
                let missing = match mode {
                    Some(_) => X_AMZ_OBJECT_LOCK_RETAIN_UNTIL_DATE,
                    None => X_AMZ_OBJECT_LOCK_MODE,
                };
                let message = "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must \
                               both be supplied";
                return Err(S3Error::invalid_argument(missing.as_str(), "", message));
            }
        };
        let legal_hold = match hold {
            None => None,
            Some(text) => {
                let name = X_AMZ_OBJECT_LOCK_LEGAL_HOLD;
                let message = "Legal Hold must be either of 'ON' or 'OFF'";
                let unknown = || S3Error::invalid_argument(name.as_str(), &text, message);
                Some(LegalHold::from_name(&text).ok_or_else(unknown)?)
            }
        };
        Ok(Self {
            retention,
            legal_hold,
        })
    }

    /// Whether a request says anything of a lock.
    pub fn is_in(headers: &HeaderMap) -> bool {
        [
            X_AMZ_OBJECT_LOCK_MODE,
            X_AMZ_OBJECT_LOCK_RETAIN_UNTIL_DATE,
            X_AMZ_OBJECT_LOCK_LEGAL_HOLD,
        ]
        .iter()
        .any(|name| headers.contains_key(name))
    }

    /// Whether there is nothing to lock.
    pub fn is_empty(&self) -> bool {
        self.retention.is_none() && self.legal_hold.is_none()
    }
}

fn retention(mode: &str, date: &str, now_ms: i64) -> Result<Retention, S3Error> {
    let unknown = || {
        let name = X_AMZ_OBJECT_LOCK_MODE;
        S3Error::invalid_argument(name.as_str(), mode, "Unknown wormMode directive.")
    };
    let mode = RetentionMode::from_name(mode).ok_or_else(unknown)?;
    let refuse = |message| {
        let name = X_AMZ_OBJECT_LOCK_RETAIN_UNTIL_DATE;
        S3Error::invalid_argument(name.as_str(), date, message)
    };
    let until_ms = time::parse_iso8601(date)
        .ok_or_else(|| refuse("The retain until date must be provided in ISO 8601 format"))?;
    if until_ms <= now_ms {
        return Err(refuse("The retain until date must be in the future!"));
    }
    Ok(Retention { mode, until_ms })
}

/// Refuses a date that has passed, in a document.
///
/// # Errors
/// `InvalidArgument`.
pub fn check_future(retention: &Retention, now_ms: i64) -> Result<(), S3Error> {
    if retention.until_ms > now_ms {
        return Ok(());
    }
    let date = time::iso8601(retention.until_ms);
    let date = String::from_utf8_lossy(&date);
    let message = "The retain until date must be in the future!";
    Err(S3Error::invalid_argument("RetainUntilDate", &date, message))
}

/// Whether the request asks to override a governance retention: the permission to do so is another
/// matter.
pub fn bypasses_governance(headers: &HeaderMap) -> bool {
    let value = headers.get(X_AMZ_BYPASS_GOVERNANCE_RETENTION);
    value.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"))
}

/// Refuses a request about locks whose body no digest protects.
/// Source: S3 API reference, PutObject, `Content-MD5`: it or `x-amz-checksum-…` is required to upload
/// an object with a retention period, and for PutObjectRetention and its like.
///
/// # Errors
/// `InvalidRequest`; as [`ChecksumHeaders::parse`].
pub fn require_digest(headers: &HeaderMap, request: &str) -> Result<(), S3Error> {
    let declared = ChecksumHeaders::parse(headers)?;
    if declared.content_md5.is_some() || declared.value.is_some() || declared.trailer.is_some() {
        return Ok(());
    }
    let message = format!("Content-MD5 OR x-amz-checksum- HTTP header is required for {request}");
    Err(S3Error::with_message(S3ErrorCode::InvalidRequest, message))
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let value = headers.get(name)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const NOW_MS: i64 = 1_700_000_000_000;

    fn read(pairs: &[(HeaderName, &'static str)]) -> Result<NewLock, (S3ErrorCode, String)> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let read = NewLock::from_headers(&headers, NOW_MS);
        read.map_err(|error| (error.code, error.message.into_owned()))
    }

    #[test]
    fn what_writers_say() {
        let mode = X_AMZ_OBJECT_LOCK_MODE;
        let date = X_AMZ_OBJECT_LOCK_RETAIN_UNTIL_DATE;
        let hold = X_AMZ_OBJECT_LOCK_LEGAL_HOLD;
        assert!(read(&[]).unwrap().is_empty());
        let pairs = [
            (mode.clone(), "COMPLIANCE"),
            (date.clone(), "2030-01-01T00:00:00Z"),
            (hold.clone(), "OFF"),
        ];
        let expected = NewLock {
            retention: Some(Retention {
                mode: RetentionMode::Compliance,
                until_ms: 1_893_456_000_000,
            }),
            legal_hold: Some(LegalHold::Off),
        };
        assert_eq!(read(&pairs), Ok(expected));
        for refused in [
            &[(mode.clone(), "GOVERNANCE")][..],
            &[(date.clone(), "2030-01-01T00:00:00Z")],
            &[
                (mode.clone(), "governance"),
                (date.clone(), "2030-01-01T00:00:00Z"),
            ],
            &[(mode.clone(), "GOVERNANCE"), (date.clone(), "tomorrow")],
            &[(mode, "GOVERNANCE"), (date, "2020-01-01T00:00:00Z")],
            &[(hold, "on")],
        ] {
            let error = read(refused).unwrap_err();
            assert_eq!(error.0, S3ErrorCode::InvalidArgument, "{refused:?}");
        }
    }

    #[test]
    fn default_retention_ends_after_days_or_calendar_years() {
        let mode = RetentionMode::Governance;
        let until = |written: &str, period| {
            let written_ms = time::parse_iso8601(written).unwrap();
            let retention = DefaultRetention { mode, period }.of_version(written_ms);
            String::from_utf8(time::iso8601(retention.until_ms).to_vec()).unwrap()
        };
        let days = RetentionPeriod::Days(30);
        assert_eq!(
            until("2024-02-10T01:02:03Z", days),
            "2024-03-11T01:02:03.000Z"
        );
        let year = RetentionPeriod::Years(1);
        assert_eq!(
            until("2024-01-01T01:02:03Z", year),
            "2025-01-01T01:02:03.000Z"
        );
        assert_eq!(
            until("2024-02-29T00:00:00Z", year),
            "2025-02-28T00:00:00.000Z"
        );
        let longest = RetentionPeriod::Years(RETENTION_YEARS_MAX);
        assert_eq!(
            until("9990-01-01T00:00:00Z", longest),
            "9999-12-31T23:59:59.999Z"
        );
    }

    #[test]
    fn a_request_without_digest_is_refused() {
        let mut headers = HeaderMap::new();
        assert!(require_digest(&headers, "Put Object requests").is_err());
        headers.insert(
            "content-md5",
            HeaderValue::from_static("1B2M2Y8AsgTpgAmY7PhCfg=="),
        );
        assert!(require_digest(&headers, "Put Object requests").is_ok());
    }
}
