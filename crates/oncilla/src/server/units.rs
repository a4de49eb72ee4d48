//! Sizes and times as people write them in settings.

use std::time::Duration;

/// What [`parse_bytes`] takes, for messages.
pub const BYTES_ALLOWED: &str = "a size such as 1048576, 64KiB, 64MiB, 2GiB or 500MB";

/// What [`parse_duration`] takes, for messages.
pub const DURATION_ALLOWED: &str = "a time such as 500ms, 30s, 5m, 12h or 7d";

const BYTE_UNITS: [(&str, u64); 10] = [
    ("", 1),
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

const TIME_UNITS_MS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// A whole number of bytes with an optional unit, in either case: `64MiB`, `64 mib`, `1024`.
pub fn parse_bytes(text: &str) -> Option<u64> {
    scaled(text, &BYTE_UNITS)
}

/// A whole number with a unit of time: `30s`, `7d`. A bare number is refused, since nobody can say
/// whether seconds or milliseconds were meant.
pub fn parse_duration(text: &str) -> Option<Duration> {
    scaled(text, &TIME_UNITS_MS).map(Duration::from_millis)
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let unit_start = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_start);
    let unit = unit.trim_start();
    let (_, scale) = units
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    number.parse::<u64>().ok()?.checked_mul(*scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("1024", 1024),
            ("64MiB", 64 << 20),
            ("64 mib", 64 << 20),
            ("2GB", 2_000_000_000),
            (" 16KiB ", 16 << 10),
        ] {
            assert_eq!(parse_bytes(text), Some(bytes), "{text}");
        }
        for text in ["", "MiB", "-1", "1.5GiB", "64M i B", "99999999TiB", "1x"] {
            assert_eq!(parse_bytes(text), None, "{text}");
        }
    }

    #[test]
    fn times() {
        assert_eq!(parse_duration("30s"), Some(Duration::from_secs(30)));
        assert_eq!(parse_duration("7d"), Some(Duration::from_secs(7 * 86_400)));
        assert_eq!(parse_duration("500ms"), Some(Duration::from_millis(500)));
        for text in ["30", "", "s", "1w", "-1s"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
