//! Times, as precise as they were written, with their offset from UTC.
//! Source: S3 User Guide, "Date functions" of S3 Select, and the text form of Ion's timestamps.

use std::cmp::Ordering;
use std::fmt;

use jiff::Span;
use jiff::civil::{Date, DateTime};
use oncilla_wire::error::{S3Error, S3ErrorCode};

use crate::budget::Budget;
use crate::error;
use crate::sql::DatePart;

/// How precise a time is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Precision {
    Year,
    Month,
    Day,
    Minute,
    Second,
    /// So many digits of a second.
    Fraction(u8),
}

/// A time.
#[derive(Clone, Copy, Debug)]
pub struct Timestamp {
    /// At its place.
    local: DateTime,
    /// How much later its place is than UTC; `None` if that is not known.
    offset_minutes: Option<i32>,
    precision: Precision,
}

/// The longest pattern of TO_STRING.
const PATTERN_BYTES_MAX: usize = 500;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

impl Timestamp {
    /// Milliseconds since 1970 as a time in UTC.
    pub fn from_unix_ms(unix_ms: i64) -> Option<Self> {
        let instant = jiff::Timestamp::from_millisecond(unix_ms).ok()?;
        Some(Self {
            local: instant.to_zoned(jiff::tz::TimeZone::UTC).datetime(),
            offset_minutes: Some(0),
            precision: Precision::Fraction(3),
        })
    }

    /// Reads `2007T`, `2007-02T`, `2007-02-23`, `2007-02-23T12:14Z`, `2007-02-23T12:14:33.079-08:00`.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let digits = |from: usize, count: usize| -> Option<i64> {
            let digits = bytes.get(from..from + count)?;
            if !digits.iter().all(u8::is_ascii_digit) {
                return None;
            }
            std::str::from_utf8(digits).ok()?.parse().ok()
        };
        let at = |index: usize| bytes.get(index).copied();
        let date =
            |month: i64, day: i64| Date::new(digits(0, 4)? as i16, month as i8, day as i8).ok();
        let whole_day = |date: Date, precision| Self {
            local: date.to_datetime(jiff::civil::Time::midnight()),
            offset_minutes: None,
            precision,
        };
        digits(0, 4)?;
        if at(4) == Some(b'T') && bytes.len() == 5 {
            return Some(whole_day(date(1, 1)?, Precision::Year));
        }
        let month = (at(4) == Some(b'-')).then(|| digits(5, 2))??;
        if at(7) == Some(b'T') && bytes.len() == 8 {
            return Some(whole_day(date(month, 1)?, Precision::Month));
        }
        let day = (at(7) == Some(b'-')).then(|| digits(8, 2))??;
        let date = date(month, day)?;
        if bytes.len() == 10 || (bytes.len() == 11 && at(10) == Some(b'T')) {
            return Some(whole_day(date, Precision::Day));
        }
        if at(10) != Some(b'T') || at(13) != Some(b':') {
            return None;
        }
        let (hour, minute) = (digits(11, 2)?, digits(14, 2)?);
        let mut second = 0;
        let mut nanosecond = 0;
        let mut precision = Precision::Minute;
        let mut next = 16;
        if at(next) == Some(b':') {
            second = digits(next + 1, 2)?;
            precision = Precision::Second;
            next += 3;
            if at(next) == Some(b'.') {
                let fraction = &bytes[next + 1..];
                let count = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
                if count == 0 {
                    return None;
                }
                // What is finer than a nanosecond is cut off.
                let used = count.min(9);
                nanosecond = digits(next + 1, used)? * 10i64.pow(9 - used as u32);
                precision = Precision::Fraction(used as u8);
                next += 1 + count;
            }
        }
        let offset_minutes = match &bytes[next..] {
            b"Z" => Some(0),
            [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
                let (hours, minutes) = (digits(next + 1, 2)?, digits(next + 4, 2)?);
                if hours > 23 || minutes > 59 {
                    return None;
                }
                let offset = (hours * 60 + minutes) as i32;
                match (sign, offset) {
                    // An offset that is not known. Source: Ion, RFC 3339 §4.3.
                    (b'-', 0) => None,
                    (b'-', offset) => Some(-offset),
                    (_, offset) => Some(offset),
                }
            }
            _ => return None,
        };
        let time =
            jiff::civil::Time::new(hour as i8, minute as i8, second as i8, nanosecond as i32);
        Some(Self {
            local: date.to_datetime(time.ok()?),
            offset_minutes,
            precision,
        })
    }

    /// Reads a time as [`Timestamp::parse`] does.
    ///
    /// # Errors
    /// `ExternalEvalException` if the budget is used up.
    pub fn read(text: &str, budget: &Budget) -> Result<Option<Self>, S3Error> {
        budget.burn(text.len())?;
        Ok(Self::parse(text))
    }

    /// The same time in UTC, for comparing.
    fn utc(&self) -> DateTime {
        let offset = i64::from(self.offset_minutes.unwrap_or(0));
        // At the edges of time there is nothing to be moved to.
        self.local.saturating_sub(Span::new().minutes(offset))
    }

    /// Which one is later.
    pub fn compare(&self, other: &Self) -> Ordering {
        self.utc().cmp(&other.utc())
    }

    /// EXTRACT.
    pub fn part(&self, part: DatePart) -> i64 {
        let offset = i64::from(self.offset_minutes.unwrap_or(0));
        match part {
            DatePart::Year => i64::from(self.local.year()),
            DatePart::Month => i64::from(self.local.month()),
            DatePart::Day => i64::from(self.local.day()),
            DatePart::Hour => i64::from(self.local.hour()),
            DatePart::Minute => i64::from(self.local.minute()),
            DatePart::Second => i64::from(self.local.second()),
            DatePart::TimezoneHour => offset / 60,
            DatePart::TimezoneMinute => offset % 60,
        }
    }

    /// DATE_ADD: the time is as precise afterwards as the part that was added needs.
    pub fn add(&self, part: DatePart, quantity: i64) -> Result<Self, S3Error> {
        let out_of_range = || {
            let message = "DATE_ADD leads out of the years 1 to 9999.";
            error(S3ErrorCode::EvaluatorInvalidArguments, message)
        };
        let span = match part {
            DatePart::Year => Span::new().try_years(quantity),
            DatePart::Month => Span::new().try_months(quantity),
            DatePart::Day => Span::new().try_days(quantity),
            DatePart::Hour => Span::new().try_hours(quantity),
            DatePart::Minute => Span::new().try_minutes(quantity),
            DatePart::Second => Span::new().try_seconds(quantity),
            DatePart::TimezoneHour | DatePart::TimezoneMinute => return Err(out_of_range()),
        };
        let added = span.and_then(|span| self.local.checked_add(span));
        let local = added.ok().filter(|local| local.year() >= 1);
        Ok(Self {
            local: local.ok_or_else(out_of_range)?,
            precision: self.precision.max(Precision::of(part)),
            ..*self
        })
    }

    /// DATE_DIFF: whole parts from this to the other one, negative if that is earlier.
    pub fn difference(&self, part: DatePart, other: &Self) -> i64 {
        let (from, to) = (self.utc(), other.utc());
        let months = || {
            let span = from.until((jiff::Unit::Month, to));
            span.map_or(0, |span| i64::from(span.get_months()))
        };
        let seconds = || {
            let span = from.until((jiff::Unit::Second, to));
            span.map_or(0, |span| span.get_seconds())
        };
        match part {
            DatePart::Year => months() / 12,
            DatePart::Month => months(),
            DatePart::Day => seconds() / 86_400,
            DatePart::Hour => seconds() / 3600,
            DatePart::Minute => seconds() / 60,
            DatePart::Second => seconds(),
            DatePart::TimezoneHour | DatePart::TimezoneMinute => 0,
        }
    }

    /// TO_STRING.
    ///
    /// # Errors
    /// `EvaluatorInvalidTimestampFormatPattern…` and `EvaluatorUnterminatedTimestampFormatPatternToken`.
    pub fn format(&self, pattern: &str) -> Result<String, S3Error> {
        if pattern.len() > PATTERN_BYTES_MAX {
            let code = S3ErrorCode::EvaluatorInvalidTimestampFormatPattern;
            return Err(error(code, "The timestamp format pattern is too long."));
        }
        let mut out = String::new();
        let mut rest = pattern;
        while let Some(symbol) = rest.chars().next() {
            if symbol == '\'' {
                let text = &rest[1..];
                let Some(end) = text.find('\'') else {
                    let code = S3ErrorCode::EvaluatorUnterminatedTimestampFormatPatternToken;
                    return Err(code.into());
                };
                // Two of them are one.
                out.push_str(if end == 0 { "'" } else { &text[..end] });
                rest = &text[end + 1..];
                continue;
            }
            let length = rest.chars().take_while(|c| *c == symbol).count();
            if symbol.is_ascii_alphabetic() {
                self.push_symbol(&mut out, symbol, length)?;
            } else {
                (0..length).for_each(|_| out.push(symbol));
            }
            rest = &rest[length * symbol.len_utf8()..];
        }
        Ok(out)
    }

    /// One symbol of a pattern. Source: S3 User Guide, "TO_STRING".
    fn push_symbol(&self, out: &mut String, symbol: char, length: usize) -> Result<(), S3Error> {
        let local = &self.local;
        let year = i64::from(local.year());
        let month = MONTHS[usize::from(local.month().unsigned_abs()).clamp(1, 12) - 1];
        let hour_of_half = match local.hour() % 12 {
            0 => 12,
            hour => hour,
        };
        let padded = |value: i64, width: usize| format!("{value:0width$}");
        let text = match (symbol, length) {
            ('y', 1) => year.to_string(),
            ('y', 2) => padded(year % 100, 2),
            ('y', 4) => padded(year, 4),
            ('M', 1) => local.month().to_string(),
            ('M', 2) => padded(local.month().into(), 2),
            ('M', 3) => month[..3].to_owned(),
            ('M', 4) => month.to_owned(),
            ('M', 5) => month[..1].to_owned(),
            ('d', 1) => local.day().to_string(),
            ('d', 2) => padded(local.day().into(), 2),
            ('a', 1) => if local.hour() < 12 { "AM" } else { "PM" }.to_owned(),
            ('h', 1) => hour_of_half.to_string(),
            ('h', 2) => padded(hour_of_half.into(), 2),
            ('H', 1) => local.hour().to_string(),
            ('H', 2) => padded(local.hour().into(), 2),
            ('m', 1) => local.minute().to_string(),
            ('m', 2) => padded(local.minute().into(), 2),
            ('s', 1) => local.second().to_string(),
            ('s', 2) => padded(local.second().into(), 2),
            ('S', 1..=9) => padded(local.subsec_nanosecond().into(), 9)[..length].to_owned(),
            ('n', 1) => local.subsec_nanosecond().to_string(),
            ('X' | 'x', 1..=5) => self.offset_text(symbol, length),
            _ => {
                let message = format!(
                    "The timestamp format pattern contains {:?}, which is not valid.",
                    symbol.to_string().repeat(length)
                );
                let code = S3ErrorCode::EvaluatorInvalidTimestampFormatPatternSymbol;
                return Err(error(code, message));
            }
        };
        out.push_str(&text);
        Ok(())
    }

    /// `x` is `+07`, or `+0730` if it has minutes; `xx` and `xxxx` are `+0730`; `xxx` and `xxxxx` are
    /// `+07:30`; `X` is the same with `Z` for UTC.
    fn offset_text(&self, symbol: char, length: usize) -> String {
        let offset = self.offset_minutes.unwrap_or(0);
        if symbol == 'X' && offset == 0 {
            return "Z".to_owned();
        }
        let sign = if offset < 0 { '-' } else { '+' };
        let (hours, minutes) = (offset.abs() / 60, offset.abs() % 60);
        match length {
            1 if minutes == 0 => format!("{sign}{hours:02}"),
            3 | 5 => format!("{sign}{hours:02}:{minutes:02}"),
            _ => format!("{sign}{hours:02}{minutes:02}"),
        }
    }
}

impl Precision {
    fn of(part: DatePart) -> Self {
        match part {
            DatePart::Year => Self::Year,
            DatePart::Month => Self::Month,
            DatePart::Day => Self::Day,
            DatePart::Hour | DatePart::Minute => Self::Minute,
            DatePart::Second => Self::Second,
            DatePart::TimezoneHour | DatePart::TimezoneMinute => Self::Minute,
        }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let local = &self.local;
        write!(f, "{:04}", local.year())?;
        if self.precision == Precision::Year {
            return f.write_str("T");
        }
        write!(f, "-{:02}", local.month())?;
        if self.precision == Precision::Month {
            return f.write_str("T");
        }
        write!(f, "-{:02}", local.day())?;
        if self.precision == Precision::Day {
            return Ok(());
        }
        write!(f, "T{:02}:{:02}", local.hour(), local.minute())?;
        if self.precision >= Precision::Second {
            write!(f, ":{:02}", local.second())?;
        }
        if let Precision::Fraction(digits) = self.precision {
            let nanoseconds = format!("{:09}", local.subsec_nanosecond());
            write!(f, ".{}", &nanoseconds[..usize::from(digits)])?;
        }
        match self.offset_minutes {
            Some(0) => f.write_str("Z"),
            Some(_) => f.write_str(&self.offset_text('x', 3)),
            None => f.write_str("-00:00"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn time(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn every_precision_is_read_and_written() {
        for text in [
            "2007T",
            "2007-02T",
            "2007-02-23",
            "2007-02-23T12:14Z",
            "2007-02-23T12:14:33Z",
            "2007-02-23T12:14:33.079-08:00",
            "2007-02-23T12:14:33.000000001+05:30",
            "2007-02-23T12:14-00:00",
        ] {
            assert_eq!(time(text).to_string(), text);
        }
        assert_eq!(time("2007-02-23T").to_string(), "2007-02-23");
        for text in [
            "",
            "2007",
            "2007-",
            "2007-13T",
            "2007-02-30",
            "2007-02-23T12",
            "2007-02-23T12:14",
            "2007-02-23T24:00Z",
            "2007-02-23T12:14:33.Z",
            "2007-02-23T12:14Zx",
            "2007-02-23T12:14+24:00",
            "２００７T",
            "20é7T",
        ] {
            assert!(Timestamp::parse(text).is_none(), "{text}");
        }
    }

    /// The examples of the S3 User Guide, "Date functions".
    #[test]
    fn the_examples_of_the_guide() {
        let add = |part, quantity, text: &str| time(text).add(part, quantity).unwrap().to_string();
        assert_eq!(add(DatePart::Year, 5, "2010-01-01"), "2015-01-01");
        assert_eq!(add(DatePart::Month, 1, "2010T"), "2010-02T");
        assert_eq!(add(DatePart::Month, 13, "2010T"), "2011-02T");
        assert_eq!(add(DatePart::Day, -1, "2017-01-10"), "2017-01-09");
        assert_eq!(add(DatePart::Hour, 1, "2017T"), "2017-01-01T01:00-00:00");
        assert_eq!(
            add(DatePart::Minute, 1, "2017-01-02T03:04:05.006Z"),
            "2017-01-02T03:05:05.006Z"
        );
        assert!(time("9999T").add(DatePart::Year, 1).is_err());
        assert!(time("2000T").add(DatePart::Second, i64::MIN).is_err());
        let diff = |part, from: &str, to: &str| time(from).difference(part, &time(to));
        assert_eq!(diff(DatePart::Year, "2010-01-01", "2011-01-01"), 1);
        assert_eq!(diff(DatePart::Year, "2010T", "2010-05T"), 0);
        assert_eq!(diff(DatePart::Month, "2010T", "2011T"), 12);
        assert_eq!(diff(DatePart::Month, "2011T", "2010T"), -12);
        assert_eq!(
            diff(DatePart::Day, "2010-01-01T23:00Z", "2010-01-02T01:00Z"),
            0
        );
        assert_eq!(
            diff(
                DatePart::Hour,
                "2010-01-01T00:00Z",
                "2010-01-01T00:00-02:00"
            ),
            2
        );
        assert_eq!(time("2010-02-03T").part(DatePart::Year), 2010);
        let offset = time("2017-01-02T03:04:05+07:08");
        assert_eq!(offset.part(DatePart::TimezoneHour), 7);
        assert_eq!(offset.part(DatePart::TimezoneMinute), 8);
    }

    #[test]
    fn patterns() {
        let format = |pattern: &str| time("1969-07-20T20:18:03.045+05:30").format(pattern);
        assert_eq!(format("MMMM d, y").unwrap(), "July 20, 1969");
        assert_eq!(format("MMM dd, yyyy").unwrap(), "Jul 20, 1969");
        assert_eq!(format("M-d-yy").unwrap(), "7-20-69");
        assert_eq!(format("MMMM d, y h:mm a").unwrap(), "July 20, 1969 8:18 PM");
        assert_eq!(
            format("y-MM-dd'T'H:mm:ssX").unwrap(),
            "1969-07-20T20:18:03+0530"
        );
        assert_eq!(format("HH:mm:ss.SSS xxx").unwrap(), "20:18:03.045 +05:30");
        assert_eq!(
            time("1969-07-20T20:18Z").format("X x xxxx").unwrap(),
            "Z +00 +0000"
        );
        assert_eq!(format("''yyyy''").unwrap(), "'1969'");
        let code = |pattern| format(pattern).unwrap_err().code;
        use S3ErrorCode::*;
        assert_eq!(code("yyy"), EvaluatorInvalidTimestampFormatPatternSymbol);
        assert_eq!(code("Q"), EvaluatorInvalidTimestampFormatPatternSymbol);
        assert_eq!(code("'T"), EvaluatorUnterminatedTimestampFormatPatternToken);
    }

    #[test]
    fn times_of_different_places_are_compared() {
        let same = time("2020-01-01T00:00Z").compare(&time("2020-01-01T05:30+05:30"));
        assert_eq!(same, Ordering::Equal);
        assert_eq!(time("2020T").compare(&time("2020-02T")), Ordering::Less);
        let _ = time("0001-01-01T00:00+10:00").compare(&time("9999-12-31T23:59-10:00"));
    }
}
