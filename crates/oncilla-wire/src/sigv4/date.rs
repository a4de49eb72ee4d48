//! The timestamp of a signature.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Length of `20130524T000000Z`.
const TEXT_LENGTH_BYTES: usize = 16;

/// Length of the day within it, `20130524`.
const DAY_LENGTH_BYTES: usize = 8;

/// The longest HTTP date worth reading; an IMF-fixdate has 29 characters.
const HTTP_DATE_LENGTH_BYTES_MAX: usize = 40;

/// A moment in seconds, kept together with its text `yyyyMMdd'T'HHmmss'Z'`, since both are needed
/// in every verification.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct AmzDate {
    unix_s: i64,
    text: [u8; TEXT_LENGTH_BYTES],
}

impl AmzDate {
    /// The moment `unix_s` seconds after 1970-01-01T00:00:00Z. `None` outside the years 0 to 9999.
    pub fn from_unix_s(unix_s: i64) -> Option<Self> {
        let timestamp = jiff::Timestamp::from_second(unix_s).ok()?;
        let civil = TimeZone::UTC.to_datetime(timestamp);
        let year = u16::try_from(civil.year()).ok()?;
        let mut text = *b"00000000T000000Z";
        put_digits(&mut text[0..4], year);
        put_digits(&mut text[4..6], civil.month().unsigned_abs().into());
        put_digits(&mut text[6..8], civil.day().unsigned_abs().into());
        put_digits(&mut text[9..11], civil.hour().unsigned_abs().into());
        put_digits(&mut text[11..13], civil.minute().unsigned_abs().into());
        put_digits(&mut text[13..15], civil.second().unsigned_abs().into());
        Some(Self { unix_s, text })
    }

    /// Parses the basic ISO 8601 form `yyyyMMdd'T'HHmmss'Z'`, and nothing else. `None` when it has
    /// another form or names no real moment.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text: [u8; TEXT_LENGTH_BYTES] = text.try_into().ok()?;
        if text[8] != b'T' || text[15] != b'Z' {
            return None;
        }
        let small = |from: usize| i8::try_from(digits(&text[from..from + 2])?).ok();
        let year = i16::try_from(digits(&text[0..4])?).ok()?;
        let civil = DateTime::new(
            year,
            small(4)?,
            small(6)?,
            small(9)?,
            small(11)?,
            small(13)?,
            0,
        )
        .ok()?;
        let unix_s = TimeZone::UTC.to_timestamp(civil).ok()?.as_second();
        Some(Self { unix_s, text })
    }

    /// Parses the basic ISO 8601 form or an HTTP date (RFC 9110 section 5.6.7), the two forms S3
    /// accepts in `x-amz-date` and `Date`.
    pub fn parse_header(text: &[u8]) -> Option<Self> {
        Self::parse(text).or_else(|| {
            if text.len() > HTTP_DATE_LENGTH_BYTES_MAX {
                return None;
            }
            let timestamp = jiff::fmt::rfc2822::DateTimeParser::new()
                // As S3: what the day of the week is called says nothing.
                .relaxed_weekday(true)
                .parse_timestamp(text)
                .ok()?;
            // Nobody signed before there was time to sign in.
            let unix_s = Some(timestamp.as_second()).filter(|unix_s| *unix_s >= 0)?;
            Self::from_unix_s(unix_s)
        })
    }

    /// Seconds since 1970-01-01T00:00:00Z.
    pub fn unix_s(&self) -> i64 {
        self.unix_s
    }

    /// The text, such as `20130524T000000Z`.
    pub fn as_str(&self) -> &str {
        // Only digits, `T` and `Z` are ever stored.
        std::str::from_utf8(&self.text).unwrap_or_default()
    }

    /// The day, such as `20130524`, the first component of the credential scope.
    pub fn day(&self) -> &str {
        std::str::from_utf8(&self.text[..DAY_LENGTH_BYTES]).unwrap_or_default()
    }

    /// The moment as extended ISO 8601, such as `2013-05-24T00:00:00Z`, as S3's errors print it.
    pub fn to_iso8601(&self) -> String {
        let text = self.as_str();
        let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
        format!(
            "{}-{}-{}T{}:{}:{}Z",
            part(0, 4),
            part(4, 6),
            part(6, 8),
            part(9, 11),
            part(11, 13),
            part(13, 15)
        )
    }
}

impl std::fmt::Debug for AmzDate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AmzDate({})", self.as_str())
    }
}

fn digits(text: &[u8]) -> Option<u16> {
    text.iter().try_fold(0u16, |value, byte| {
        byte.is_ascii_digit()
            .then(|| value * 10 + u16::from(byte - b'0'))
    })
}

fn put_digits(out: &mut [u8], mut value: u16) {
    for place in out.iter_mut().rev() {
        *place = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2013-05-24T00:00:00Z, the moment of all examples in the S3 reference.
    const EXAMPLE_UNIX_S: i64 = 1_369_353_600;

    #[test]
    fn reads_both_forms() {
        for text in ["20130524T000000Z", "Fri, 24 May 2013 00:00:00 GMT"] {
            let date = AmzDate::parse_header(text.as_bytes()).unwrap();
            assert_eq!(date.unix_s(), EXAMPLE_UNIX_S, "{text}");
            assert_eq!(date.as_str(), "20130524T000000Z");
            assert_eq!(date.day(), "20130524");
            assert_eq!(date.to_iso8601(), "2013-05-24T00:00:00Z");
        }
    }

    #[test]
    fn refuses_other_forms() {
        let bad = [
            "",
            "20130524",
            "20130524T000000",
            "20130524T000000z",
            "20130524 000000Z",
            "2013-05-24T00:00:00Z",
            "20130230T000000Z",
            "20131301T000000Z",
            "20130524T240000Z",
            "20130524T006000Z",
            "+0130524T000000Z",
            "20130524T0000 0Z",
            "yesterday",
        ];
        for text in bad {
            assert!(AmzDate::parse_header(text.as_bytes()).is_none(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(unix_s in -62_167_219_200i64..253_402_200_000) {
            let date = AmzDate::from_unix_s(unix_s).unwrap();
            prop_assert_eq!(AmzDate::parse(date.as_str().as_bytes()), Some(date));
        }

        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = AmzDate::parse_header(&bytes);
        }
    }
}
