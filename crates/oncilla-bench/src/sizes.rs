//! How large objects are.

use std::fmt;
use std::str::FromStr;

use crate::random;

/// The largest object, S3's limit for one uploaded in parts.
pub const OBJECT_BYTES_MAX: u64 = 5 << 40;

/// Units in the order in which they are tried for printing.
const UNITS: [(&str, u64); 4] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
];

/// Reads a size: `4KiB`, `1.5MiB`, `10MB`, `4k`, `512`. A letter alone is a binary unit.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let refused =
        || format!("{text:?} is no size; sizes look like 4KiB, 1.5MiB, 10MB or 512 (bytes)");
    let text_trimmed = text.trim();
    let unit_at = text_trimmed
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text_trimmed.len());
    let (number, unit) = text_trimmed.split_at(unit_at);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err(refused()),
    };
    let bytes = match number.parse::<u64>() {
        Ok(whole) => whole.checked_mul(factor).ok_or_else(refused)?,
        Err(_) => (number.parse::<f64>().map_err(|_| refused())? * factor as f64) as u64,
    };
    if bytes > OBJECT_BYTES_MAX {
        return Err(format!("{text:?} is more than an object can have (5TiB)"));
    }
    Ok(bytes)
}

/// A size in the largest unit that divides it: what [`parse_size`] reads.
pub fn format_size(bytes: u64) -> String {
    for (name, factor) in UNITS {
        if bytes >= factor && bytes.is_multiple_of(factor) {
            return format!("{}{name}", bytes / factor);
        }
    }
    bytes.to_string()
}

/// The sizes of the objects of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SizeDistribution {
    /// All the same: `4KiB`.
    Fixed(u64),
    /// Every order of magnitude equally often: `4KiB..1MiB`, both ends included.
    LogUniform {
        /// The smallest; at least 1.
        min: u64,
        /// The largest.
        max: u64,
    },
    /// Some sizes with weights: `4KiB:80,1MiB:20`.
    Weighted(Vec<(u64, u64)>),
}

impl SizeDistribution {
    /// The size that the random number `number` selects.
    pub fn pick(&self, number: u64) -> u64 {
        match self {
            Self::Fixed(bytes) => *bytes,
            Self::LogUniform { min, max } => {
                let ratio = (*max as f64 + 1.0) / *min as f64;
                let bytes = *min as f64 * ratio.powf(random::fraction(number));
                (bytes as u64).clamp(*min, *max)
            }
            Self::Weighted(choices) => {
                let total: u64 = choices.iter().map(|(_, weight)| weight).sum();
                let mut place = ((u128::from(number) * u128::from(total)) >> 64) as u64;
                for (bytes, weight) in choices {
                    if place < *weight {
                        return *bytes;
                    }
                    place -= weight;
                }
                0
            }
        }
    }

    /// The largest size that can come.
    pub fn max(&self) -> u64 {
        match self {
            Self::Fixed(bytes) => *bytes,
            Self::LogUniform { max, .. } => *max,
            Self::Weighted(choices) => choices.iter().map(|(bytes, _)| *bytes).max().unwrap_or(0),
        }
    }

    /// The smallest size that can come.
    pub fn min(&self) -> u64 {
        match self {
            Self::Fixed(bytes) => *bytes,
            Self::LogUniform { min, .. } => *min,
            Self::Weighted(choices) => choices.iter().map(|(bytes, _)| *bytes).min().unwrap_or(0),
        }
    }
}

impl FromStr for SizeDistribution {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((min, max)) = text.split_once("..") {
            let (min, max) = (parse_size(min)?, parse_size(max)?);
            if min == 0 || min > max {
                return Err(format!(
                    "{text:?}: a range goes from at least 1 to something larger"
                ));
            }
            return Ok(Self::LogUniform { min, max });
        }
        if !text.contains(':') {
            return parse_size(text).map(Self::Fixed);
        }
        let mut choices = Vec::new();
        for choice in text.split(',') {
            let (size, weight) = choice
                .split_once(':')
                .ok_or_else(|| format!("{choice:?} has no weight, as in 4KiB:80,1MiB:20"))?;
            // Below 2^32 so that no sum overflows.
            let weight: u32 = weight
                .trim()
                .parse()
                .map_err(|_| format!("{weight:?} is no weight (a whole number)"))?;
            choices.push((parse_size(size)?, u64::from(weight)));
        }
        if choices.iter().all(|(_, weight)| *weight == 0) {
            return Err(format!("{text:?}: some weight has to be more than 0"));
        }
        Ok(Self::Weighted(choices))
    }
}

impl fmt::Display for SizeDistribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(bytes) => f.write_str(&format_size(*bytes)),
            Self::LogUniform { min, max } => {
                write!(f, "{}..{}", format_size(*min), format_size(*max))
            }
            Self::Weighted(choices) => {
                for (index, (bytes, weight)) in choices.iter().enumerate() {
                    let comma = if index > 0 { "," } else { "" };
                    write!(f, "{comma}{}:{weight}", format_size(*bytes))?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn picks(text: &str) -> Vec<u64> {
        let sizes: SizeDistribution = text.parse().unwrap();
        (0..20_000).map(|n| sizes.pick(random::at(5, n))).collect()
    }

    #[test]
    fn reads_sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("4KiB", 4096),
            ("4k", 4096),
            ("1.5 MiB", 1_572_864),
            ("10MB", 10_000_000),
            ("5TiB", OBJECT_BYTES_MAX),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "KiB",
            "-1",
            "4XiB",
            "1..2",
            "6TiB",
            "99999999999999999999",
        ] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn prints_what_it_reads() {
        for text in ["4KiB", "4KiB..1MiB", "4KiB:80,1MiB:20", "1000"] {
            let sizes: SizeDistribution = text.parse().unwrap();
            assert_eq!(sizes.to_string(), text);
        }
        for text in [
            "",
            "1MiB..4KiB",
            "0..4KiB",
            "4KiB:0",
            "4KiB:1,1MiB",
            "4KiB:-1",
        ] {
            assert!(text.parse::<SizeDistribution>().is_err(), "{text}");
        }
    }

    #[test]
    fn log_uniform_gives_each_magnitude_its_share() {
        let sizes = picks("1KiB..1MiB");
        assert!(sizes.iter().all(|size| (1024..=1 << 20).contains(size)));
        // 1 KiB to 32 KiB is half of the ten doublings.
        let small = sizes.iter().filter(|size| **size < 32 << 10).count();
        assert!((9_500..10_500).contains(&small), "{small}");
    }

    #[test]
    fn weights_are_kept() {
        let sizes = picks("4KiB:80,1MiB:20");
        let small = sizes.iter().filter(|size| **size == 4096).count();
        assert!((15_700..16_300).contains(&small), "{small}");
        assert!(sizes.iter().all(|size| [4096, 1 << 20].contains(size)));
    }

    proptest! {
        #[test]
        fn picks_stay_within_bounds(min in 1u64..1 << 41, more in 0u64..1 << 41, number: u64) {
            let sizes = SizeDistribution::LogUniform { min, max: min + more };
            prop_assert!((sizes.min()..=sizes.max()).contains(&sizes.pick(number)));
        }

        #[test]
        fn parsing_never_panics(text in "[0-9a-zA-Z.:, ]{0,24}") {
            let _ = text.parse::<SizeDistribution>();
        }
    }
}
