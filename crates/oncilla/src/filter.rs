//! `--include` and `--exclude`, as the AWS CLI has them: everything is included at first, and the
//! last pattern that matches decides.

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

/// One flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// `--include` or `--exclude`.
    pub include: bool,
    /// `*` any text, slashes too; `?` one character; `[abc]`, `[a-z]`, `[!abc]` one of or not of.
    pub pattern: String,
}

/// The flags in the order in which they were given.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    rules: Vec<Rule>,
}

impl Filter {
    /// A filter of these rules.
    #[cfg(test)]
    pub fn new(rules: Vec<Rule>) -> Self {
        Self { rules }
    }

    /// Whether a path, relative to the folder worked on, takes part.
    pub fn includes(&self, path: &str) -> bool {
        self.rules
            .iter()
            .rev()
            .find(|rule| matches(&rule.pattern, path))
            .is_none_or(|rule| rule.include)
    }
}

/// The order between two flags is lost in derived arguments, hence by hand.
impl Args for Filter {
    fn augment_args(command: Command) -> Command {
        let flag = |name: &'static str, help: &'static str| {
            Arg::new(name)
                .long(name)
                .value_name("PATTERN")
                .action(ArgAction::Append)
                .value_parser(ValueParser::string())
                .help(help)
        };
        command
            .arg(flag("exclude", "Leave out what matches (*, ?, [a-z]; * also matches slashes); the last matching flag decides"))
            .arg(flag("include", "Take what matches although an --exclude before it leaves it out"))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Filter {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut numbered = Vec::new();
        for (name, include) in [("include", true), ("exclude", false)] {
            let indices = matches.indices_of(name).into_iter().flatten();
            let patterns = matches.get_many::<String>(name).into_iter().flatten();
            numbered.extend(indices.zip(patterns).map(|(index, pattern)| {
                (
                    index,
                    Rule {
                        include,
                        pattern: pattern.clone(),
                    },
                )
            }));
        }
        numbered.sort_by_key(|(index, _)| *index);
        Ok(Self {
            rules: numbered.into_iter().map(|(_, rule)| rule).collect(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Whether a shell pattern matches a whole text. Linear in practice: only the last star is ever
/// tried again, so the worst case is the product of the two lengths.
pub fn matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        let step = match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
                continue;
            }
            Some('?') => Some(p + 1),
            Some('[') => class(&pattern, p, text[t]),
            Some(c) if *c == text[t] => Some(p + 1),
            _ => None,
        };
        match (step, star) {
            (Some(next), _) => {
                p = next;
                t += 1;
            }
            (None, Some((star_at, consumed))) => {
                star = Some((star_at, consumed + 1));
                p = star_at + 1;
                t = consumed + 1;
            }
            (None, None) => return false,
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// Where the pattern goes on after the class at `start`, if `character` is in it. A bracket that is
/// never closed stands for itself.
fn class(pattern: &[char], start: usize, character: char) -> Option<usize> {
    let mut at = start + 1;
    let negated = pattern.get(at) == Some(&'!');
    if negated {
        at += 1;
    }
    let first = at;
    let mut found = false;
    loop {
        match pattern.get(at) {
            None => return (character == '[').then_some(start + 1),
            Some(']') if at > first => break,
            Some(&low) => match (pattern.get(at + 1), pattern.get(at + 2)) {
                (Some('-'), Some(&high)) if high != ']' => {
                    found |= (low..=high).contains(&character);
                    at += 3;
                }
                _ => {
                    found |= low == character;
                    at += 1;
                }
            },
        }
    }
    (found != negated).then_some(at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns() {
        let hits = [
            ("*", ""),
            ("*", "a/b"),
            ("*.txt", "a/b.txt"),
            ("a?c", "abc"),
            ("[a-c]x", "bx"),
            ("[!a]x", "bx"),
            ("[]]", "]"),
            ("[", "["),
            ("a*b*c", "a-b-b-c"),
            ("dir/*", "dir/a/b"),
            ("é?", "éü"),
            ("[a-]", "-"),
        ];
        for (pattern, text) in hits {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        let misses = [
            ("", "a"),
            ("?", ""),
            ("*.txt", "a.txt2"),
            ("[!a]x", "ax"),
            ("a*b", "a"),
            ("[a-c]", "d"),
            ("dir/*", "other/dir/a"),
        ];
        for (pattern, text) in misses {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    fn filter(rules: &[(bool, &str)]) -> Filter {
        let rule = |(include, pattern): &(bool, &str)| Rule {
            include: *include,
            pattern: (*pattern).to_owned(),
        };
        Filter::new(rules.iter().map(rule).collect())
    }

    #[test]
    fn the_last_match_decides() {
        assert!(filter(&[]).includes("x"));
        let only_text = filter(&[(false, "*"), (true, "*.txt")]);
        assert!(only_text.includes("a.txt") && !only_text.includes("a.jpg"));
        let reversed = filter(&[(true, "*.txt"), (false, "*")]);
        assert!(!reversed.includes("a.txt"));
    }

    #[test]
    fn flags_keep_their_order() {
        let command = || Filter::augment_args(Command::new("x"));
        let parse = |arguments: &[&str]| {
            let all = std::iter::once("x").chain(arguments.iter().copied());
            Filter::from_arg_matches(&command().get_matches_from(all)).unwrap()
        };
        assert!(parse(&["--exclude", "*", "--include", "a*"]).includes("ab"));
        assert!(!parse(&["--include", "a*", "--exclude", "*"]).includes("ab"));
    }

    proptest! {
        #[test]
        fn a_text_without_signs_matches_itself_and_the_star(text in "[a-z/]{0,20}", rest in ".{0,9}") {
            prop_assert!(matches(&text, &text));
            prop_assert!(matches("*", &rest));
            let with_star = format!("{text}*");
            let longer = format!("{text}{rest}");
            prop_assert!(matches(&with_star, &longer));
        }

        #[test]
        fn never_panics(pattern in "[]\\[!*?a-c-]{0,12}", text in "[]\\[!a-d-]{0,12}") {
            matches(&pattern, &text);
        }
    }
}
