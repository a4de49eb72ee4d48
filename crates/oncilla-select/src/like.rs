//! LIKE: `%` is any text, `_` any character, and the escape makes the next one stand for itself.

use oncilla_wire::error::{S3Error, S3ErrorCode};

use crate::budget::Budget;
use crate::error;

/// The longest pattern. A text is compared with it in time proportional to both lengths at worst.
pub const PATTERN_CHARACTERS_MAX: usize = 1024;

/// A pattern, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    parts: Vec<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Any text, also none.
    Any,
    /// Any one character.
    One,
    /// This one.
    Exactly(char),
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
        let mut parts = Vec::new();
        let mut characters = pattern.chars();
        while let Some(c) = characters.next() {
            let part = if Some(c) == escape {
                match characters.next() {
                    Some(next) if next == '%' || next == '_' || Some(next) == escape => {
                        Part::Exactly(next)
                    }
                    _ => {
                        let code = S3ErrorCode::EvaluatorLikePatternInvalidEscapeSequence;
                        return Err(code.into());
                    }
                }
            } else {
                match c {
                    '%' => Part::Any,
                    '_' => Part::One,
                    c => Part::Exactly(c),
                }
            };
            // Two of them are one.
            if part != Part::Any || parts.last() != Some(&Part::Any) {
                parts.push(part);
            }
            if parts.len() > PATTERN_CHARACTERS_MAX {
                let message = format!(
                    "The pattern of LIKE has more than {PATTERN_CHARACTERS_MAX} characters."
                );
                return Err(error(S3ErrorCode::LikeInvalidInputs, message));
            }
        }
        Ok(Self { parts })
    }

    /// Whether the whole text is like the pattern.
    ///
    /// # Errors
    /// `ExternalEvalException` if telling takes more steps than there are.
    pub fn matches(&self, text: &str, budget: &Budget) -> Result<bool, S3Error> {
        let mut steps = 0;
        let matches = self.matches_within(text, budget.left(), &mut steps);
        budget.burn(steps)?;
        Ok(matches)
    }

    /// Gives up after so many steps, and has counted one more then. Of several `%`, only the last one
    /// met ever has to take another character, so there is no going back further than to that.
    fn matches_within(&self, text: &str, steps_max: usize, steps: &mut usize) -> bool {
        let mut rest = text.chars();
        let mut next = 0;
        // After the last `%`: the part that follows it, and the text from which that is tried.
        let mut retry: Option<(usize, std::str::Chars<'_>)> = None;
        loop {
            *steps += 1;
            if *steps > steps_max {
                return false;
            }
            if let Some(Part::Any) = self.parts.get(next) {
                next += 1;
                if next == self.parts.len() {
                    return true;
                }
                retry = Some((next, rest.clone()));
                continue;
            }
            let matched = match (self.parts.get(next), rest.next()) {
                (None, None) => return true,
                (Some(Part::One), Some(_)) => true,
                (Some(Part::Exactly(wanted)), Some(c)) => *wanted == c,
                // The text is at its end: no longer rest will do either.
                (Some(_), None) => return false,
                (Some(Part::Any) | None, Some(_)) => false,
            };
            if matched {
                next += 1;
                continue;
            }
            let Some((part, from)) = &mut retry else {
                return false;
            };
            if from.next().is_none() {
                return false;
            }
            next = *part;
            rest = from.clone();
        }
    }
}

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
    fn hostile_patterns_end() {
        let text = "a".repeat(100_000);
        let matches = |text: &str, pattern: &str, budget: &Budget| {
            Pattern::parse(pattern, None)?.matches(text, budget)
        };
        let budget = Budget::default();
        assert!(matches(&text, &"%a".repeat(400), &budget).unwrap());
        assert!(!matches(&text, &format!("{}b", "%a".repeat(400)), &budget).unwrap());
        assert!(budget.burned() < 10 * text.len(), "{budget:?}");
        assert!(Pattern::parse(&"a".repeat(PATTERN_CHARACTERS_MAX + 1), None).is_err());
        // The worst: almost all of the pattern is compared at every character.
        let worst = format!("%{}b", "a".repeat(PATTERN_CHARACTERS_MAX - 2));
        let refused = matches(&text, &worst, &budget).unwrap_err();
        assert_eq!(refused.code, S3ErrorCode::ExternalEvalException);
        assert_eq!(budget.left(), 0);
        assert!(matches("", "", &budget).is_err());
    }
}
