//! Dates: HTTP, ISO 8601 and those of signatures.

use oncilla_wire::sigv4::AmzDate;
use oncilla_wire::time::{http_date, iso8601, parse_http_date, parse_iso8601};

use crate::input;

/// The years 0 and 9999, between which every form can write a time.
const YEAR_0_MS: i64 = -62_167_219_200_000;
const YEAR_9999_END_MS: i64 = 253_402_300_799_999;

/// The last time that jiff holds, two days before: it leaves room for every time zone.
const LAST_READ_MS: i64 = 253_402_207_200_999;

/// Input: a time as text, and as the number in its first eight bytes. What is written is read back,
/// and two parsers that both take a text agree on it.
pub fn dates(data: &[u8]) {
    let (number, _) = input::take::<8>(data);
    let number = i64::from_le_bytes(number);
    for unix_ms in [number, number % LAST_READ_MS] {
        check_written(unix_ms);
    }
    let from_http = parse_http_date(data);
    let from_header = AmzDate::parse_header(data);
    if let Some(unix_ms) = from_http {
        assert!((YEAR_0_MS..=YEAR_9999_END_MS).contains(&unix_ms));
        assert_eq!(parse_http_date(&http_date(unix_ms)), Some(unix_ms));
        // A leap second counts as the second before to one of them, as the one after to the other.
        let leap_second = data.windows(3).any(|three| three == b":60");
        if let Some(date) = from_header.filter(|_| !leap_second) {
            assert_eq!(date.unix_s() * 1000, unix_ms);
        }
    }
    if let Some(date) = from_header {
        assert_eq!(AmzDate::from_unix_s(date.unix_s()), Some(date));
        assert_eq!(AmzDate::parse(date.as_str().as_bytes()), Some(date));
        assert_eq!(
            parse_iso8601(&date.to_iso8601()),
            Some(date.unix_s() * 1000)
        );
        assert!(date.as_str().starts_with(date.day()));
    }
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Some(unix_ms) = parse_iso8601(text) {
        assert!(
            (YEAR_0_MS..=YEAR_9999_END_MS).contains(&unix_ms),
            "{unix_ms} cannot be written"
        );
        check_written(unix_ms);
    }
}

fn check_written(unix_ms: i64) {
    let expected = unix_ms.clamp(YEAR_0_MS, YEAR_9999_END_MS);
    let iso = iso8601(unix_ms);
    assert!(iso.is_ascii());
    let expected_s = expected.div_euclid(1000);
    assert_eq!(
        parse_http_date(&http_date(unix_ms)),
        Some(expected_s * 1000)
    );
    if expected > LAST_READ_MS {
        return;
    }
    let iso = String::from_utf8_lossy(&iso);
    assert_eq!(parse_iso8601(&iso), Some(expected), "{iso}");
    let date = AmzDate::from_unix_s(expected_s);
    assert_eq!(date.map(|date| date.unix_s()), Some(expected_s));
}
