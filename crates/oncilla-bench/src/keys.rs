//! The keys of objects.

use std::fmt;
use std::str::FromStr;

use oncilla_wire::uri;

/// Width beyond which a number has no more digits: those of `u64::MAX`.
const WIDTH_MAX: usize = 20;

/// A key for every number: `load/{n}.bin`, or `load/{n:08}` with leading zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPattern {
    before: String,
    after: String,
    width: usize,
}

impl KeyPattern {
    /// The pattern of the keys that a run writes below its prefix: eight digits, so that the order
    /// of keys is that of numbers.
    pub fn below(prefix: &str) -> Self {
        Self {
            before: prefix.to_owned(),
            after: String::new(),
            width: 8,
        }
    }

    /// The key of a number.
    pub fn key(&self, number: u64) -> String {
        let mut key = String::with_capacity(self.before.len() + self.after.len() + WIDTH_MAX);
        self.append(&mut key, number);
        key
    }

    /// Appends the key of a number.
    pub fn append(&self, out: &mut String, number: u64) {
        out.push_str(&self.before);
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(number);
        for _ in digits.len()..self.width {
            out.push('0');
        }
        out.push_str(digits);
        out.push_str(&self.after);
    }

    /// What all keys begin with.
    pub fn prefix(&self) -> &str {
        &self.before
    }

    /// Whether keys sort as their numbers do, for the first `count` of them.
    pub fn sorts_by_number(&self, count: u64) -> bool {
        count <= 10
            || 10u64
                .checked_pow(self.width as u32)
                .is_none_or(|end| count <= end)
    }

    /// The same pattern percent-encoded, whose keys can stand in a path.
    pub fn encoded(&self) -> Self {
        Self {
            before: uri::encode_path(&self.before).into_owned(),
            after: uri::encode_path(&self.after).into_owned(),
            width: self.width,
        }
    }
}

impl FromStr for KeyPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("{text:?} needs {{n}} or {{n:08}} once, where the number goes");
        let (before, rest) = text.split_once("{n").ok_or_else(refused)?;
        let (format, after) = rest.split_once('}').ok_or_else(refused)?;
        if after.contains("{n") {
            return Err(refused());
        }
        let width = match format.strip_prefix(":0") {
            Some(width) => width.parse().map_err(|_| refused())?,
            None if format.is_empty() => 0,
            None => return Err(refused()),
        };
        if width > WIDTH_MAX {
            return Err(format!(
                "{text:?}: no number has more than {WIDTH_MAX} digits"
            ));
        }
        Ok(Self {
            before: before.to_owned(),
            after: after.to_owned(),
            width,
        })
    }
}

impl fmt::Display for KeyPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            before,
            after,
            width,
        } = self;
        match width {
            0 => write!(f, "{before}{{n}}{after}"),
            width => write!(f, "{before}{{n:0{width}}}{after}"),
        }
    }
}

/// One object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectName {
    /// Number `n` of those that are there before the measurement.
    Prepared(u64),
    /// Written by the measurement itself: a key that nobody else uses.
    Written {
        /// In which round.
        round: u32,
        /// By which worker.
        worker: u32,
        /// As its how many-eth.
        sequence: u64,
    },
}

impl ObjectName {
    /// The number that decides size and contents.
    pub fn id(self) -> u64 {
        match self {
            Self::Prepared(number) => number,
            // Sequences stay below 2^32 and rounds below 2^15 in any run that ends; a collision
            // would only give two objects the same bytes.
            Self::Written {
                round,
                worker,
                sequence,
            } => 1 << 63 | u64::from(round) << 48 | u64::from(worker) << 32 | sequence,
        }
    }

    /// Appends the object's key to `out`, with `keys` as the pattern of prepared objects and of the
    /// prefix of the others.
    pub fn append_key(self, out: &mut String, keys: &KeyPattern) {
        match self {
            Self::Prepared(number) => keys.append(out, number),
            Self::Written {
                round,
                worker,
                sequence,
            } => {
                out.push_str(keys.prefix());
                for (letter, number) in [
                    ("r", u64::from(round)),
                    ("-w", u64::from(worker)),
                    ("-", sequence),
                ] {
                    out.push_str(letter);
                    out.push_str(itoa::Buffer::new().format(number));
                }
            }
        }
    }

    /// The object's key.
    pub fn key(self, keys: &KeyPattern) -> String {
        let mut key = String::new();
        self.append_key(&mut key, keys);
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let pattern: KeyPattern = "a b/{n:04}.bin".parse().unwrap();
        assert_eq!(pattern.key(17), "a b/0017.bin");
        assert_eq!(pattern.key(123_456), "a b/123456.bin");
        assert_eq!(pattern.encoded().key(17), "a%20b/0017.bin");
        assert_eq!(pattern.to_string(), "a b/{n:04}.bin");
        assert_eq!(pattern.prefix(), "a b/");
        let plain: KeyPattern = "{n}".parse().unwrap();
        assert_eq!(plain.key(17), "17");
        for bad in [
            "",
            "no number",
            "{n",
            "{n:4}",
            "{n:099}",
            "{n}{n}",
            "{n:0x}",
        ] {
            assert!(bad.parse::<KeyPattern>().is_err(), "{bad}");
        }
    }

    #[test]
    fn order_of_keys() {
        let padded: KeyPattern = "{n:02}".parse().unwrap();
        assert!(padded.sorts_by_number(100) && !padded.sorts_by_number(101));
        let plain: KeyPattern = "{n}".parse().unwrap();
        assert!(plain.sorts_by_number(10) && !plain.sorts_by_number(11));
        assert!(KeyPattern::below("p/").sorts_by_number(100_000_000));
    }

    #[test]
    fn no_two_objects_share_key_or_contents() {
        let keys = KeyPattern::below("p/");
        let mut names = vec![ObjectName::Prepared(1), ObjectName::Prepared(12)];
        for (round, worker, sequence) in [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 10, 0)] {
            names.push(ObjectName::Written {
                round,
                worker,
                sequence,
            });
        }
        let texts: std::collections::BTreeSet<String> =
            names.iter().map(|name| name.key(&keys)).collect();
        let ids: std::collections::BTreeSet<u64> = names.iter().map(|name| name.id()).collect();
        assert_eq!((texts.len(), ids.len()), (names.len(), names.len()));
        assert!(texts.contains("p/00000001") && texts.contains("p/r0-w1-0"));
    }
}
