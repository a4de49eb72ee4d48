//! The two ways S3 writes a time: HTTP dates in headers, ISO 8601 in XML. Times are Unix
//! milliseconds in an `i64` throughout.
//!
//! Writing happens a thousand times per listing, hence by hand; [`jiff`] reads the ISO forms and is
//! what the tests compare with.

use http::HeaderValue;

use crate::digits::is_digits;

const MS_PER_DAY: i64 = 86_400_000;

/// Both written forms have four digits for the year, so times are kept between the years 0 and 9999.
const MIN_MS: i64 = -62_167_219_200_000;
const MAX_MS: i64 = 253_402_300_799_999;

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
pub const HTTP_DATE_LEN: usize = 29;

/// `2009-10-12T17:50:30.000Z`.
pub const ISO8601_LEN: usize = 24;

const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const LONG_WEEKDAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// The time of the system's clock. Only for stamping answers (`Date`); objects get theirs from the store.
pub fn now_ms() -> i64 {
    match std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(MAX_MS),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(MIN_MS, |ms| -ms),
    }
}

/// A time as an IMF-fixdate (RFC 9110 §5.6.7), for `Last-Modified`, `Date` and `Expires`.
pub fn http_date(unix_ms: i64) -> [u8; HTTP_DATE_LEN] {
    let civil = Civil::from_unix_ms(unix_ms);
    let mut text = *b"Sun, 00 Jan 0000 00:00:00 GMT";
    text[..3].copy_from_slice(WEEKDAYS[civil.weekday].as_bytes());
    put_two(&mut text[5..7], civil.day);
    text[8..11].copy_from_slice(MONTHS[civil.month as usize - 1].as_bytes());
    put_four(&mut text[12..16], civil.year);
    put_two(&mut text[17..19], civil.hour);
    put_two(&mut text[20..22], civil.minute);
    put_two(&mut text[23..25], civil.second);
    text
}

/// A time as the value of a header.
pub fn http_date_header(unix_ms: i64) -> HeaderValue {
    HeaderValue::from_bytes(&http_date(unix_ms)).unwrap_or(HeaderValue::from_static(""))
}

/// A time as ISO 8601 in UTC with milliseconds, as S3 writes it in XML.
pub fn iso8601(unix_ms: i64) -> [u8; ISO8601_LEN] {
    let civil = Civil::from_unix_ms(unix_ms);
    let mut text = *b"0000-00-00T00:00:00.000Z";
    put_four(&mut text[0..4], civil.year);
    put_two(&mut text[5..7], civil.month);
    put_two(&mut text[8..10], civil.day);
    put_two(&mut text[11..13], civil.hour);
    put_two(&mut text[14..16], civil.minute);
    put_two(&mut text[17..19], civil.second);
    text[20] = digit(civil.millisecond / 100);
    put_two(&mut text[21..23], civil.millisecond % 100);
    text
}

/// Appends [`iso8601`].
pub fn push_iso8601(out: &mut Vec<u8>, unix_ms: i64) {
    out.extend_from_slice(&iso8601(unix_ms));
}

/// Reads an HTTP date in any of the three forms of RFC 9110 §5.6.7. `None` when it is none of them.
pub fn parse_http_date(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let mut words = text.split_ascii_whitespace();
    let weekday = words.next()?;
    match weekday.strip_suffix(',') {
        Some(short) if WEEKDAYS.contains(&short) => parse_imf_fixdate(words),
        Some(long) if LONG_WEEKDAYS.contains(&long) => parse_rfc850(words),
        None if WEEKDAYS.contains(&weekday) => parse_asctime(words),
        _ => None,
    }
}

/// Reads the ISO 8601 forms that clients send: with or without time, fraction and offset. Without an
/// offset it is UTC. `None` when it is none of them, or a year before 0, which cannot be written.
pub fn parse_iso8601(text: &str) -> Option<i64> {
    let timestamp = match text.parse::<jiff::Timestamp>() {
        Ok(timestamp) => timestamp,
        Err(_) => {
            let civil = text.parse::<jiff::civil::DateTime>().ok()?;
            civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp()
        }
    };
    Some(timestamp.as_millisecond()).filter(is_writable)
}

/// A time so many days later, at most the last one that can be written.
pub fn add_days(unix_ms: i64, days: u32) -> i64 {
    let later = unix_ms.saturating_add(i64::from(days) * MS_PER_DAY);
    later.clamp(MIN_MS, MAX_MS)
}

/// The same time of the same day so many years later; on the 28th of February if that year has no
/// 29th. At most the last time that can be written.
pub fn add_years(unix_ms: i64, years: u32) -> i64 {
    let civil = Civil::from_unix_ms(unix_ms);
    let year = civil.year.saturating_add(years);
    if year > 9999 {
        return MAX_MS;
    }
    let day = civil.day.min(days_in_month(year, civil.month));
    days_from_civil(year, civil.month, day) * MS_PER_DAY + unix_ms.rem_euclid(MS_PER_DAY)
}

type Words<'a> = std::str::SplitAsciiWhitespace<'a>;

/// The rest of `Sun, 06 Nov 1994 08:49:37 GMT`.
fn parse_imf_fixdate(mut words: Words<'_>) -> Option<i64> {
    let day = number(words.next()?, 2)?;
    let month = month_number(words.next()?)?;
    let year = number(words.next()?, 4)?;
    let time_of_day_ms = parse_time_of_day(words.next()?)?;
    end_with_gmt(words)?;
    unix_ms(year, month, day, time_of_day_ms)
}

/// The rest of `Sunday, 06-Nov-94 08:49:37 GMT`. A year more than 50 years ahead is in the past.
fn parse_rfc850(mut words: Words<'_>) -> Option<i64> {
    let mut date = words.next()?.split('-');
    let day = number(date.next()?, 2)?;
    let month = month_number(date.next()?)?;
    let short_year = number(date.next()?, 2)?;
    if date.next().is_some() {
        return None;
    }
    let time_of_day_ms = parse_time_of_day(words.next()?)?;
    end_with_gmt(words)?;
    let this_year = Civil::from_unix_ms(now_ms()).year;
    let mut year = this_year - this_year % 100 + short_year;
    if year > this_year + 50 {
        year -= 100;
    }
    unix_ms(year, month, day, time_of_day_ms)
}

/// The rest of `Sun Nov  6 08:49:37 1994`.
fn parse_asctime(mut words: Words<'_>) -> Option<i64> {
    let month = month_number(words.next()?)?;
    let day_text = words.next()?;
    let day = number(day_text, day_text.len().min(2))?;
    let time_of_day_ms = parse_time_of_day(words.next()?)?;
    let year = number(words.next()?, 4)?;
    if words.next().is_some() {
        return None;
    }
    unix_ms(year, month, day, time_of_day_ms)
}

fn end_with_gmt(mut words: Words<'_>) -> Option<()> {
    let zone = words.next()?;
    let is_utc = zone == "GMT" || zone == "UTC" || zone == "+0000";
    (is_utc && words.next().is_none()).then_some(())
}

fn parse_time_of_day(text: &str) -> Option<i64> {
    let mut pieces = text.split(':');
    let hour = number(pieces.next()?, 2)?;
    let minute = number(pieces.next()?, 2)?;
    let second = number(pieces.next()?, 2)?;
    // 60 is a leap second (RFC 9110 allows it in the grammar); it counts as the second after.
    if pieces.next().is_some() || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    Some(i64::from(hour * 3600 + minute * 60 + second) * 1000)
}

fn month_number(name: &str) -> Option<u32> {
    let index = MONTHS.iter().position(|month| *month == name)?;
    u32::try_from(index + 1).ok()
}

fn number(text: &str, digits: usize) -> Option<u32> {
    let is_number = text.len() == digits && is_digits(text);
    text.parse().ok().filter(|_| is_number)
}

fn unix_ms(year: u32, month: u32, day: u32, time_of_day_ms: i64) -> Option<i64> {
    if day == 0 || day > days_in_month(year, month) {
        return None;
    }
    Some(days_from_civil(year, month, day) * MS_PER_DAY + time_of_day_ms).filter(is_writable)
}

/// Whether both written forms have room for a time: a leap second can lead out of the last year.
fn is_writable(unix_ms: &i64) -> bool {
    (MIN_MS..=MAX_MS).contains(unix_ms)
}

fn days_in_month(year: u32, month: u32) -> u32 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// A date and time of day in UTC.
struct Civil {
    year: u32,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
    millisecond: u32,
    weekday: usize,
}

impl Civil {
    /// Years are counted from March, so that the leap day is the last of its year and months have a
    /// closed formula; 400 years (an era) have 146,097 days. Counting begins a whole era before
    /// 0000-03-01, which is day -719,468: so nothing is negative, and days fit 32 bits.
    fn from_unix_ms(unix_ms: i64) -> Self {
        const DAYS_BEFORE_1970: i64 = 719_468 + 146_097;
        let ms = (unix_ms.clamp(MIN_MS, MAX_MS) + DAYS_BEFORE_1970 * MS_PER_DAY) as u64;
        let days = (ms / MS_PER_DAY as u64) as u32;
        let ms_of_day = (ms % MS_PER_DAY as u64) as u32;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = match month_from_march {
            0..10 => month_from_march + 3,
            _ => month_from_march - 9,
        };
        Self {
            year: era * 400 + year_of_era + u32::from(month <= 2) - 400,
            month,
            day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
            hour: ms_of_day / 3_600_000,
            minute: ms_of_day / 60_000 % 60,
            second: ms_of_day / 1000 % 60,
            millisecond: ms_of_day % 1000,
            // The first day of it all was a Wednesday.
            weekday: (days + 3) as usize % 7,
        }
    }
}

/// The days from 1970-01-01; the inverse of [`Civil::from_unix_ms`].
fn days_from_civil(year: u32, month: u32, day: u32) -> i64 {
    let year = i64::from(year) - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (i64::from(month) + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn digit(value: u32) -> u8 {
    b'0' + (value % 10) as u8
}

fn put_two(text: &mut [u8], value: u32) {
    text[0] = digit(value / 10);
    text[1] = digit(value);
}

fn put_four(text: &mut [u8], value: u32) {
    put_two(&mut text[..2], value / 100);
    put_two(&mut text[2..], value % 100);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn http(unix_ms: i64) -> String {
        String::from_utf8(http_date(unix_ms).to_vec()).unwrap()
    }

    fn iso(unix_ms: i64) -> String {
        String::from_utf8(iso8601(unix_ms).to_vec()).unwrap()
    }

    #[test]
    fn the_examples_of_rfc_9110_and_of_s3() {
        let example = 784_111_777_000;
        assert_eq!(http(example), "Sun, 06 Nov 1994 08:49:37 GMT");
        for form in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse_http_date(form.as_bytes()), Some(example), "{form}");
        }
        assert_eq!(iso(1_255_369_830_000), "2009-10-12T17:50:30.000Z");
        for form in [
            "2009-10-12T17:50:30Z",
            "2009-10-12T19:50:30+02:00",
            "2009-10-12T17:50:30",
        ] {
            assert_eq!(parse_iso8601(form), Some(1_255_369_830_000), "{form}");
        }
        assert_eq!(parse_iso8601("2009-10-12"), Some(1_255_305_600_000));
    }

    #[test]
    fn what_is_no_date() {
        for text in [
            "",
            "now",
            "Sun, 06 Nov 1994",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Nov 1994 08:49:37 GMT x",
            "Sun, +6 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(parse_http_date(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse_iso8601("tomorrow"), None);
    }

    #[test]
    fn what_cannot_be_written_is_not_read() {
        assert_eq!(parse_http_date(b"Fri, 31 Dec 9999 23:59:60 GMT"), None);
        assert_eq!(parse_iso8601("-000001-12-31T23:59:59Z"), None);
    }

    #[test]
    fn times_outside_the_written_forms_are_clamped() {
        assert_eq!(iso(i64::MAX), "9999-12-31T23:59:59.999Z");
        assert_eq!(iso(i64::MIN), "0000-01-01T00:00:00.000Z");
    }

    proptest! {
        #[test]
        fn writing_agrees_with_jiff(unix_ms in MIN_MS..=MAX_MS) {
            if let Ok(timestamp) = jiff::Timestamp::from_millisecond(unix_ms) {
                let theirs = timestamp.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string();
                prop_assert_eq!(iso(unix_ms), theirs);
                let theirs = timestamp.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
                prop_assert_eq!(http(unix_ms), theirs);
            }
        }

        #[test]
        fn reading_undoes_writing(unix_ms in MIN_MS..=MAX_MS) {
            let whole_seconds = unix_ms.div_euclid(1000) * 1000;
            prop_assert_eq!(parse_http_date(&http_date(unix_ms)), Some(whole_seconds));
            // jiff's range ends a day early, to leave room for time zones.
            if unix_ms < MAX_MS - 2 * MS_PER_DAY {
                prop_assert_eq!(parse_iso8601(&iso(unix_ms)), Some(unix_ms));
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60), text in ".{0,40}") {
            let _ = parse_http_date(&bytes);
            let _ = parse_http_date(text.as_bytes());
            let _ = parse_iso8601(&text);
        }
    }
}
