//! Values of the flags.

use std::time::Duration;

/// A time with its unit: `500ms`, `10s`, `2m`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    text.parse::<jiff::SignedDuration>()
        .ok()
        .and_then(|duration| Duration::try_from(duration).ok())
        .ok_or_else(|| "a time such as 500ms, 10s or 2m is needed".to_owned())
}

/// A number from 1.
pub fn parse_positive(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(number @ 1..) => Ok(number),
        _ => Err("a number from 1 is needed".to_owned()),
    }
}

/// From an operation in a quarter of an hour to more than any machine does.
const RATES: std::ops::RangeInclusive<f64> = 0.001..=1e7;

/// Operations per second.
pub fn parse_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if RATES.contains(&rate) => Ok(rate),
        _ => Err("a number from 0.001 to 10000000 is needed".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(parse_duration("0s"), Ok(Duration::ZERO));
        for bad in ["", "10", "-1s", "soon"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
