//! LIKE: `%` is any text, `_` any character, and the escape makes the next one stand for itself.

use memchr::memmem;
use oncilla_wire::error::{S3Error, S3ErrorCode};

use crate::budget::Budget;
use crate::error;

/// The longest pattern.
pub const PATTERN_CHARACTERS_MAX: usize = 1024;

/// How many steps of a [`Budget`] it takes to look for a segment with `_` at one character, besides one
/// for each word of its state.
const CHARACTER_STEPS: usize = 8;

/// A pattern, read: what stands between its `%`. Of each segment only the first place where it fits is
/// looked at, since whatever follows fits behind that if it fits at all; so a text is gone through once.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// How the text begins; all of it if there is no `%`.
    first: Segment,
    /// What stands in between, one behind the other.
    middle: Vec<Segment>,
    /// How the text ends; `None` if there is no `%`.
    last: Option<Segment>,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// `LikeInvalidInputs` for a pattern that is too long or an escape that is not one character,
    /// `EvaluatorLikePatternInvalidEscapeSequence` for an escape before anything but `%`, `_` and
    /// itself.
    pub fn parse(pattern: &str, escape: Option<&str>) -> Result<Self, S3Error> {
        let mut escapes = escape.unwrap_or_default().chars();
        let escape = match (escape, escapes.next(), escapes.next()) {
            (None, _, _) => None,
            (Some(_), Some(escape), None) => Some(escape),
            _ => {
                let message = "The escape of LIKE must be one character.";
                return Err(error(S3ErrorCode::LikeInvalidInputs, message));
            }
        };
        let mut first = Vec::new();
        // Behind each `%`.
        let mut others: Vec<Vec<Part>> = Vec::new();
        let mut length = 0;
        let mut characters = pattern.chars();
        while let Some(c) = characters.next() {
            let part = if Some(c) == escape {
                match characters.next() {
                    Some(next) if next == '%' || next == '_' || Some(next) == escape => Some(next),
                    _ => {
                        let code = S3ErrorCode::EvaluatorLikePatternInvalidEscapeSequence;
                        return Err(code.into());
                    }
                }
            } else {
                match c {
                    '%' => {
                        // Two of them are one.
                        if others.last().is_none_or(|parts| !parts.is_empty()) {
                            others.push(Vec::new());
                            length += 1;
                        }
                        continue;
                    }
                    '_' => None,
                    c => Some(c),
                }
            };
            match others.last_mut() {
                Some(parts) => parts.push(part),
                None => first.push(part),
            }
            length += 1;
            if length > PATTERN_CHARACTERS_MAX {
                let message = format!(
                    "The pattern of LIKE has more than {PATTERN_CHARACTERS_MAX} characters."
                );
                return Err(error(S3ErrorCode::LikeInvalidInputs, message));
            }
        }
        let mut others = others.into_iter().map(Segment::new);
        let last = others.next_back();
        Ok(Self {
            first: Segment::new(first),
            middle: others.collect(),
            last,
        })
    }

    /// Whether the whole text is like the pattern.
    ///
    /// # Errors
    /// `ExternalEvalException` if telling takes more steps than there are.
    pub fn matches(&self, text: &str, budget: &Budget) -> Result<bool, S3Error> {
        let ends = self.first.length() + self.last.as_ref().map_or(0, Segment::length);
        budget.burn(1 + ends)?;
        let Some(rest) = self.first.strip_from_start(text) else {
            return Ok(false);
        };
        let Some(last) = &self.last else {
            return Ok(rest.is_empty());
        };
        let Some(mut rest) = last.strip_from_end(rest) else {
            return Ok(false);
        };
        for segment in &self.middle {
            match segment.end_in(rest, budget)? {
                Some(end) => rest = &rest[end..],
                None => return Ok(false),
            }
        }
        Ok(true)
    }
}

/// A character of a pattern; `None` for any one.
type Part = Option<char>;

/// A part of a pattern without `%`.
#[derive(Clone, Debug)]
enum Segment {
    /// Just this.
    Text(Box<str>),
    /// With a `_` in it.
    Parts { parts: Vec<Part>, search: Search },
}

impl Segment {
    fn new(parts: Vec<Part>) -> Self {
        let text: Option<String> = parts.iter().copied().collect();
        match text {
            Some(text) => Self::Text(text.into()),
            None => Self::Parts {
                search: Search::new(&parts),
                parts,
            },
        }
    }

    /// About how long it takes to compare it once.
    fn length(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Parts { parts, .. } => parts.len(),
        }
    }

    /// What is left of a text that begins so.
    fn strip_from_start<'t>(&self, text: &'t str) -> Option<&'t str> {
        let parts = match self {
            Self::Text(start) => return text.strip_prefix(&**start),
            Self::Parts { parts, .. } => parts,
        };
        let mut rest = text.chars();
        for part in parts {
            let c = rest.next()?;
            if part.is_some_and(|wanted| wanted != c) {
                return None;
            }
        }
        Some(rest.as_str())
    }

    /// What is left of a text that ends so.
    fn strip_from_end<'t>(&self, text: &'t str) -> Option<&'t str> {
        let parts = match self {
            Self::Text(end) => return text.strip_suffix(&**end),
            Self::Parts { parts, .. } => parts,
        };
        let mut rest = text.chars();
        for part in parts.iter().rev() {
            let c = rest.next_back()?;
            if part.is_some_and(|wanted| wanted != c) {
                return None;
            }
        }
        Some(rest.as_str())
    }

    /// Where it ends in a text that contains it, at its first place.
    fn end_in(&self, text: &str, budget: &Budget) -> Result<Option<usize>, S3Error> {
        match self {
            Self::Text(wanted) => {
                let found = memmem::find(text.as_bytes(), wanted.as_bytes());
                let end = found.map(|at| at + wanted.len());
                budget.burn(wanted.len() + end.unwrap_or(text.len()))?;
                Ok(end)
            }
            Self::Parts { search, .. } => search.end_in(text, budget),
        }
    }
}

/// Looks for a segment with `_` at all places at once: a bit for each beginning of the segment tells
/// whether the text ends so, at the character that was looked at last. So a text takes no longer for
/// nearly fitting everywhere. (The algorithm is known as bitap, or Shift-And.)
#[derive(Clone, Debug)]
struct Search {
    /// How many characters the segment has, each a bit.
    length: usize,
    /// What any character fits.
    any: Vec<u64>,
    /// What else a character fits: the bits of a word, by character and number of the word. Only words
    /// with such a bit are here, so that the longest pattern takes no more than some 20 KiB.
    fitting: Vec<(char, usize, u64)>,
}

impl Search {
    fn new(parts: &[Part]) -> Self {
        let mut any = vec![0u64; parts.len().div_ceil(WORD_BITS)];
        let mut fitting = Vec::new();
        for (number, part) in parts.iter().enumerate() {
            let (word, bit) = (number / WORD_BITS, 1 << (number % WORD_BITS));
            match part {
                None => any[word] |= bit,
                Some(c) => fitting.push((*c, word, bit)),
            }
        }
        fitting.sort_unstable();
        fitting.dedup_by(|(c, word, bits), (kept_c, kept_word, kept)| {
            let is_same = (*c, *word) == (*kept_c, *kept_word);
            if is_same {
                *kept |= *bits;
            }
            is_same
        });
        Self {
            length: parts.len(),
            any,
            fitting,
        }
    }

    fn end_in(&self, text: &str, budget: &Budget) -> Result<Option<usize>, S3Error> {
        if text.len() < self.length {
            return Ok(None);
        }
        let words = self.any.len();
        let steps = CHARACTER_STEPS + words;
        let characters_max = budget.left() / steps;
        let mut state = vec![0u64; words];
        // The beginnings that go on if the next character fits.
        let mut begun = vec![0u64; words];
        let (last_word, last_bit) = ((self.length - 1) / WORD_BITS, (self.length - 1) % WORD_BITS);
        let mut looked_at = 0;
        let mut end = None;
        for (at, c) in text.char_indices() {
            looked_at += 1;
            if looked_at > characters_max {
                break;
            }
            // The empty beginning is everywhere.
            let mut carried = 1u64;
            for ((word, begun), any) in state.iter_mut().zip(&mut begun).zip(&self.any) {
                *begun = (*word << 1) | carried;
                carried = *word >> (WORD_BITS - 1);
                *word = *begun & any;
            }
            let from = self.fitting.partition_point(|(known, ..)| *known < c);
            let of_character = self.fitting[from..].iter();
            for (_, word, bits) in of_character.take_while(|(known, ..)| *known == c) {
                state[*word] |= begun[*word] & bits;
            }
            if (state[last_word] >> last_bit) & 1 == 1 {
                end = Some(at + c.len_utf8());
                break;
            }
        }
        budget.burn(looked_at * steps)?;
        Ok(end)
    }
}

/// How many bits of a state are in one of its words.
const WORD_BITS: usize = u64::BITS as usize;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    /// The definition, word for word.
    fn naive(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('%', rest)) => (0..=text.len()).any(|skip| naive(rest, &text[skip..])),
            Some(('_', rest)) => !text.is_empty() && naive(rest, &text[1..]),
            Some((c, rest)) => text.first() == Some(c) && naive(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn as_defined(pattern in "[ab%_ü]{0,8}", text in "[abü]{0,10}") {
            let (p, t): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
            let read = Pattern::parse(&pattern, None).unwrap();
            let matches = read.matches(&text, &Budget::default()).unwrap();
            prop_assert_eq!(matches, naive(&p, &t));
        }

        /// Longer than a word of the state.
        #[test]
        fn long_segments_as_defined(
            segment in "[ab_]{60,140}",
            around in "[ab]{0,90}",
            other in 0usize..140,
        ) {
            let fitting = segment.replace('_', "b");
            let mut changed: Vec<char> = fitting.chars().collect();
            let other = other % changed.len();
            changed[other] = if changed[other] == 'a' { 'b' } else { 'a' };
            let changed: String = changed.into_iter().collect();
            let pattern = format!("%{segment}%");
            let read = Pattern::parse(&pattern, None).unwrap();
            let p: Vec<char> = pattern.chars().collect();
            for text in [fitting.as_str(), changed.as_str()] {
                let text = format!("{around}{text}{around}");
                let matches = read.matches(&text, &Budget::default()).unwrap();
                let t: Vec<char> = text.chars().collect();
                prop_assert_eq!(matches, naive(&p, &t));
            }
        }
    }

    #[test]
    fn escapes() {
        let like = |text: &str, pattern: &str| {
            Pattern::parse(pattern, Some("\\"))?.matches(text, &Budget::default())
        };
        assert!(like("100%", "100\\%").unwrap());
        assert!(!like("1000", "100\\%").unwrap());
        assert!(like("a_b\\", "a\\_b\\\\").unwrap());
        for wrong in ["a\\b", "a\\"] {
            let code = S3ErrorCode::EvaluatorLikePatternInvalidEscapeSequence;
            assert_eq!(like("a", wrong).unwrap_err().code, code);
        }
        for escape in ["", "ab"] {
            let refused = Pattern::parse("a", Some(escape)).unwrap_err();
            assert_eq!(refused.code, S3ErrorCode::LikeInvalidInputs);
        }
    }

    #[test]
    fn hostile_patterns_take_no_longer() {
        let text = "a".repeat(1 << 20);
        let nearly = "a".repeat(PATTERN_CHARACTERS_MAX - 10);
        let half = &nearly[..nearly.len() / 2];
        for (pattern, expected) in [
            ("%a".repeat(400), true),
            (format!("{}b", "%a".repeat(400)), false),
            (format!("%{nearly}b%"), false),
            (format!("%b{nearly}%"), false),
            (format!("%{nearly}_b%"), false),
            (format!("%_{nearly}b%"), false),
            (format!("%b{nearly}_%"), false),
            (format!("%{half}_%{half}_b%"), false),
            (format!("%{nearly}_%"), true),
            (format!("%{}%", "_".repeat(1000)), true),
        ] {
            let budget = Budget::default();
            let read = Pattern::parse(&pattern, None).unwrap();
            let matches = read.matches(&text, &budget).unwrap();
            assert_eq!(matches, expected, "{pattern}");
            // No more than there are words of 64 bits to the longest pattern, and what a character takes.
            let steps_max = (PATTERN_CHARACTERS_MAX / 64 + CHARACTER_STEPS) * (text.len() + 2048);
            assert!(budget.burned() <= steps_max, "{pattern}: {budget:?}");
        }
        assert!(Pattern::parse(&"a".repeat(PATTERN_CHARACTERS_MAX + 1), None).is_err());
        assert!(Pattern::parse(&"%".repeat(2 * PATTERN_CHARACTERS_MAX), None).is_ok());
    }

    /// What a pattern takes is in its reading, and a text shorter than the pattern takes nothing.
    #[test]
    fn short_texts_take_little_of_long_patterns() {
        let distinct: String = ('\u{4e00}'..).take(PATTERN_CHARACTERS_MAX - 3).collect();
        let read = Pattern::parse(&format!("%{distinct}_%"), None).unwrap();
        let budget = Budget::default();
        for text in ["a", "aaa", &"a".repeat(400)] {
            assert!(!read.matches(text, &budget).unwrap());
        }
        assert_eq!(budget.burned(), 3);
        assert!(read.matches(&format!("a{distinct}bb"), &budget).unwrap());
    }

    #[test]
    fn the_budget_is_kept() {
        let text = "a".repeat(1 << 20);
        for pattern in ["%b%", "%_b%"] {
            let budget = Budget::default();
            let read = Pattern::parse(pattern, None).unwrap();
            let outcomes = (0..100).map(|_| read.matches(&text, &budget));
            let refused = outcomes.filter_map(Result::err).next().unwrap();
            assert_eq!(refused.code, S3ErrorCode::ExternalEvalException);
            assert_eq!(budget.left(), 0);
            assert!(read.matches("", &budget).is_err());
        }
    }
}
