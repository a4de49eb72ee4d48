//! When so many days have passed.

use std::time::Duration;

/// Milliseconds of a day.
pub const DAY_MS: u64 = 86_400_000;

/// How days are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calendar {
    day_ms: u64,
}

impl Calendar {
    /// Days of 24 hours, which end at midnight UTC: what clients are told.
    pub const REAL: Self = Self { day_ms: DAY_MS };

    /// Days of this length, at least a millisecond, which tests shorten. Days of another length
    /// than 24 hours have no midnight: they are counted from the very moment.
    pub fn with_day(day: Duration) -> Self {
        let day_ms = u64::try_from(day.as_millis()).unwrap_or(u64::MAX);
        Self {
            day_ms: day_ms.max(1),
        }
    }

    /// Whether days are what S3 means by them.
    pub fn is_real(self) -> bool {
        self == Self::REAL
    }

    /// When `days` have passed since `from_ms`, rounded up to the next midnight UTC. Source: S3 User
    /// Guide, "Lifecycle rules: based on an object's age".
    pub fn due_ms(self, from_ms: u64, days: u32) -> u64 {
        let passed = from_ms.saturating_add(u64::from(days).saturating_mul(self.day_ms));
        match self.is_real() {
            true => (passed / DAY_MS + 1).saturating_mul(DAY_MS),
            false => passed,
        }
    }

    /// The beginning of the day at which all that is due on it became due.
    pub fn last_midnight_ms(self, now_ms: u64) -> u64 {
        match self.is_real() {
            true => now_ms / DAY_MS * DAY_MS,
            false => now_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use oncilla_wire::time::parse_iso8601;

    use super::*;

    fn at(text: &str) -> u64 {
        u64::try_from(parse_iso8601(text).unwrap()).unwrap()
    }

    /// The first is the example of the User Guide.
    #[test]
    fn days_end_at_the_next_midnight() {
        for (from, days, due) in [
            ("2014-01-15T10:30:00Z", 3, "2014-01-19T00:00:00Z"),
            ("2014-01-15T10:30:00Z", 0, "2014-01-16T00:00:00Z"),
            ("2014-01-15T00:00:00Z", 1, "2014-01-17T00:00:00Z"),
            ("2014-01-15T23:59:59.999Z", 1, "2014-01-17T00:00:00Z"),
            ("2024-02-28T12:00:00Z", 1, "2024-03-01T00:00:00Z"),
        ] {
            assert_eq!(Calendar::REAL.due_ms(at(from), days), at(due), "{from}");
        }
        let far = Calendar::REAL.due_ms(u64::MAX - 5, u32::MAX);
        assert!(far >= u64::MAX / DAY_MS * DAY_MS);
    }

    #[test]
    fn a_shortened_day_has_no_midnight() {
        let short = Calendar::with_day(Duration::from_secs(10));
        assert_eq!(short.due_ms(1_234, 3), 31_234);
        assert_eq!(Calendar::with_day(Duration::ZERO).due_ms(5, 3), 8);
        assert!(Calendar::with_day(Duration::from_secs(86_400)).is_real());
    }
}
