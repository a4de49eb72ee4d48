//! Patterns with `*` (any run of characters) and `?` (any one character).
//!
//! A pattern is cut at its stars into *runs*. The first must stand at the start of the text, the
//! last at its end, and those between are searched for from left to right, each as far left as
//! possible: what one star would have to take back, the next can take as well. So the text is
//! walked once. A run without `?` is searched for in linear time, one with `?` by following all
//! places where it may have begun as bits of machine words.

use memchr::memmem;

/// A compiled pattern.
#[derive(Clone, Debug)]
pub(super) struct Wildcard {
    /// What stands between the stars; one more than there are stars.
    runs: Vec<Run>,
}

/// Makes a [`Wildcard`] piece by piece.
#[derive(Debug)]
pub(super) struct WildcardBuilder {
    runs: Vec<Run>,
    symbols: Vec<Symbol>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Symbol {
    Byte(u8),
    AnyCharacter,
}

#[derive(Clone, Debug)]
enum Run {
    /// A searcher made beforehand would take 300 bytes for each run, and hostile policies have
    /// thousands.
    Literal(Box<[u8]>),
    Masked(MaskedRun),
}

impl Wildcard {
    /// A pattern in which `*` and `?` have their meaning.
    pub(super) fn new(pattern: &str) -> Self {
        let mut builder = WildcardBuilder::default();
        builder.push_pattern(pattern);
        builder.finish()
    }

    /// The whole pattern, if it matches one text only.
    pub(super) fn as_literal(&self) -> Option<&str> {
        match &self.runs[..] {
            [Run::Literal(bytes)] => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// Whether the pattern matches the whole text.
    pub(super) fn matches(&self, text: &str) -> bool {
        let text = text.as_bytes();
        let Some((first, others)) = self.runs.split_first() else {
            return false;
        };
        let Some(start) = first.end_of_prefix(text) else {
            return false;
        };
        let Some((last, middle)) = others.split_last() else {
            return start == text.len();
        };
        let Some(end) = last.start_of_suffix(text).filter(|end| start <= *end) else {
            return false;
        };
        let mut rest = &text[start..end];
        for run in middle.iter().filter(|run| !run.is_empty()) {
            match run.find(rest) {
                Some(end) => rest = &rest[end..],
                None => return false,
            }
        }
        true
    }
}

impl Default for WildcardBuilder {
    fn default() -> Self {
        Self {
            runs: Vec::with_capacity(1),
            symbols: Vec::new(),
        }
    }
}

impl WildcardBuilder {
    /// Appends text in which `*` and `?` have their meaning.
    pub(super) fn push_pattern(&mut self, pattern: &str) {
        for byte in pattern.bytes() {
            match byte {
                b'*' => self.end_run(),
                b'?' => self.symbols.push(Symbol::AnyCharacter),
                _ => self.symbols.push(Symbol::Byte(byte)),
            }
        }
    }

    /// Appends text that matches itself only.
    pub(super) fn push_literal(&mut self, text: &str) {
        self.symbols.extend(text.bytes().map(Symbol::Byte));
    }

    /// The pattern.
    pub(super) fn finish(mut self) -> Wildcard {
        self.end_run();
        Wildcard { runs: self.runs }
    }

    fn end_run(&mut self) {
        let symbols = std::mem::take(&mut self.symbols);
        self.runs.push(Run::new(symbols));
    }
}

impl Run {
    fn new(symbols: Vec<Symbol>) -> Self {
        let literal: Option<Vec<u8>> = symbols
            .iter()
            .map(|symbol| match symbol {
                Symbol::Byte(byte) => Some(*byte),
                Symbol::AnyCharacter => None,
            })
            .collect();
        match literal {
            Some(bytes) => Self::Literal(bytes.into_boxed_slice()),
            None => Self::Masked(MaskedRun::new(symbols)),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Literal(bytes) => bytes.is_empty(),
            Self::Masked(_) => false,
        }
    }

    /// Where the run ends if the text begins with it.
    fn end_of_prefix(&self, text: &[u8]) -> Option<usize> {
        match self {
            Self::Literal(bytes) => text.starts_with(bytes).then_some(bytes.len()),
            Self::Masked(run) => run.end_of_prefix(text),
        }
    }

    /// Where the run begins if the text ends with it.
    fn start_of_suffix(&self, text: &[u8]) -> Option<usize> {
        match self {
            Self::Literal(bytes) => text.ends_with(bytes).then(|| text.len() - bytes.len()),
            Self::Masked(run) => run.start_of_suffix(text),
        }
    }

    /// Where the leftmost occurrence of the run ends.
    fn find(&self, text: &[u8]) -> Option<usize> {
        match self {
            Self::Literal(bytes) => memmem::find(text, bytes).map(|at| at + bytes.len()),
            Self::Masked(run) => run.find(text),
        }
    }
}

/// A run with at least one `?`.
#[derive(Clone, Debug)]
struct MaskedRun {
    symbols: Vec<Symbol>,
    /// For each byte of the run, in order: the places where it stands and those of `?`, which takes
    /// any byte that begins a character.
    masks: Vec<(u8, Box<[u64]>)>,
    /// The places of `?`.
    any: Box<[u64]>,
}

/// Whether a byte goes on with a character of UTF-8 rather than beginning one.
fn continues_character(byte: u8) -> bool {
    byte & 0xC0 == 0x80
}

impl MaskedRun {
    fn new(symbols: Vec<Symbol>) -> Self {
        let words = symbols.len().div_ceil(64);
        let mut any = vec![0u64; words].into_boxed_slice();
        let mut bytes: Vec<u8> = Vec::new();
        for (place, symbol) in symbols.iter().enumerate() {
            match symbol {
                Symbol::AnyCharacter => any[place / 64] |= 1 << (place % 64),
                Symbol::Byte(byte) => bytes.push(*byte),
            }
        }
        bytes.sort_unstable();
        bytes.dedup();
        let mut masks: Vec<(u8, Box<[u64]>)> = bytes
            .into_iter()
            .map(|byte| {
                let base = if continues_character(byte) {
                    vec![0; words].into_boxed_slice()
                } else {
                    any.clone()
                };
                (byte, base)
            })
            .collect();
        for (place, symbol) in symbols.iter().enumerate() {
            let Symbol::Byte(byte) = symbol else { continue };
            if let Ok(index) = masks.binary_search_by_key(byte, |(this, _)| *this) {
                masks[index].1[place / 64] |= 1 << (place % 64);
            }
        }
        Self {
            symbols,
            masks,
            any,
        }
    }

    fn end_of_prefix(&self, text: &[u8]) -> Option<usize> {
        let mut at = 0;
        for symbol in &self.symbols {
            let next = *text.get(at)?;
            at += 1;
            match symbol {
                Symbol::Byte(byte) if *byte == next => {}
                Symbol::Byte(_) => return None,
                Symbol::AnyCharacter => {
                    while text.get(at).copied().is_some_and(continues_character) {
                        at += 1;
                    }
                }
            }
        }
        Some(at)
    }

    fn start_of_suffix(&self, text: &[u8]) -> Option<usize> {
        let mut at = text.len();
        for symbol in self.symbols.iter().rev() {
            at = at.checked_sub(1)?;
            match symbol {
                Symbol::Byte(byte) if *byte == text[at] => {}
                Symbol::Byte(_) => return None,
                Symbol::AnyCharacter => {
                    while continues_character(text[at]) {
                        at = at.checked_sub(1)?;
                    }
                }
            }
        }
        Some(at)
    }

    /// Bit `i` of the state says that the last bytes read are what the run has up to its symbol
    /// `i`. A `?` at the end is found at the first byte of its character; the rest of the
    /// character begins nothing, so the star that follows takes it.
    fn find(&self, text: &[u8]) -> Option<usize> {
        let last = self.symbols.len() - 1;
        let mut state = vec![0u64; self.any.len()];
        for (at, byte) in text.iter().enumerate() {
            let continues = continues_character(*byte);
            let mask = self
                .masks
                .binary_search_by_key(byte, |(this, _)| *this)
                .ok()
                .map(|index| &self.masks[index].1);
            let mut carry = 1;
            for (word, bits) in state.iter_mut().enumerate() {
                let moved = (*bits << 1) | carry;
                carry = *bits >> 63;
                let stay = if continues { *bits & self.any[word] } else { 0 };
                let accepted = match mask {
                    Some(mask) => mask[word],
                    None if continues => 0,
                    None => self.any[word],
                };
                *bits = (moved & accepted) | stay;
            }
            if state[last / 64] & (1 << (last % 64)) != 0 {
                return Some(at + 1);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, spelled out: slow, and right.
    fn naive(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|skip| naive(rest, &text[skip..])),
            Some(('?', rest)) => !text.is_empty() && naive(rest, &text[1..]),
            Some((c, rest)) => text.first() == Some(c) && naive(rest, &text[1..]),
        }
    }

    fn agree(pattern: &str, text: &str) {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        assert_eq!(
            Wildcard::new(pattern).matches(text),
            naive(&chars(pattern), &chars(text)),
            "{pattern:?} on {text:?}"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn matches_as_the_definition_says(
            pattern in "[ab*?é]{0,9}",
            text in "[abé]{0,10}",
        ) {
            agree(&pattern, &text);
        }

        #[test]
        fn a_text_made_from_the_pattern_matches(
            pieces in prop::collection::vec(("[a-c?]{0,70}", "[a-cé]{0,9}"), 1..5),
        ) {
            let pattern: Vec<&str> = pieces.iter().map(|(run, _)| run.as_str()).collect();
            let pattern = pattern.join("*");
            let mut text = String::new();
            for (place, (run, gap)) in pieces.iter().enumerate() {
                text.push_str(&run.replace('?', "ü"));
                if place + 1 < pieces.len() {
                    text.push_str(gap);
                }
            }
            prop_assert!(Wildcard::new(&pattern).matches(&text), "{pattern:?} on {text:?}");
            // One character more at the end is one too many, unless a star ends the pattern.
            let longer = format!("{text}#");
            let takes_more = pattern.ends_with('*') || pattern.ends_with('?') && pattern.contains('*');
            if !takes_more {
                prop_assert!(!Wildcard::new(&pattern).matches(&longer));
            }
        }
    }

    #[test]
    fn examples() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("**", "anything", true),
            ("?", "", false),
            ("?", "語", true),
            ("??", "語", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("*a?b*", "xxaébyy", true),
            ("*?é*", "語é", true),
            ("home/*/x?.txt", "home/a/b/x1.txt", true),
        ] {
            assert_eq!(
                Wildcard::new(pattern).matches(text),
                expected,
                "{pattern} {text}"
            );
        }
        assert_eq!(Wildcard::new("abc").as_literal(), Some("abc"));
        assert_eq!(Wildcard::new("a*").as_literal(), None);
    }

    #[test]
    fn literals_are_not_patterns() {
        let mut builder = WildcardBuilder::default();
        builder.push_pattern("a*");
        builder.push_literal("*?");
        let wildcard = builder.finish();
        assert!(wildcard.matches("axx*?"));
        assert!(!wildcard.matches("axxyy"));
    }

    /// With backtracking, any of these would outlast the test.
    #[test]
    fn hostile_patterns_are_quick() {
        let text = "a".repeat(20_000);
        for pattern in [
            "a*".repeat(8_000) + "b",
            "*a".repeat(8_000) + "b",
            "*a?".repeat(5_000) + "b*",
            format!("*{}b*", "a?".repeat(4_000)),
            format!("*{}b*", "a".repeat(8_000)),
        ] {
            assert!(!Wildcard::new(&pattern).matches(&text), "{}", &pattern[..8]);
        }
    }
}
