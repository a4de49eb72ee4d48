//! Texts and patterns of a policy that may hold variables, `${aws:username}`.
//! Source: IAM user guide, "IAM policy elements: Variables and tags".

use std::borrow::Cow;

use super::key::{ConditionKey, Context, ContextValue};
use super::pattern::{Wildcard, WildcardBuilder};

/// A stretch of a text.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    /// Text as it was written; in patterns, `*` and `?` have their meaning.
    Text(String),
    /// `${*}`, `${?}` or `${$}`: the character itself.
    Escaped(&'static str),
    /// The value of a condition key, which never is a pattern.
    Variable {
        key: ConditionKey,
        default: Option<String>,
    },
}

/// What a comparison came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Matches,
    Differs,
    /// A variable without a default had no value, so there was nothing to compare with.
    Unresolved,
}

impl Outcome {
    pub(super) fn from_bool(matches: bool) -> Self {
        if matches {
            Self::Matches
        } else {
            Self::Differs
        }
    }

    /// Of alternatives, of which one has to match.
    pub(super) fn any(outcomes: impl Iterator<Item = Self>) -> Self {
        let mut result = Self::Differs;
        for outcome in outcomes {
            match outcome {
                Self::Matches => return Self::Matches,
                Self::Unresolved => result = Self::Unresolved,
                Self::Differs => {}
            }
        }
        result
    }

    /// Of parts, all of which have to match.
    pub(super) fn all(outcomes: impl Iterator<Item = Self>) -> Self {
        let mut result = Self::Matches;
        for outcome in outcomes {
            match outcome {
                Self::Differs => return Self::Differs,
                Self::Unresolved => result = Self::Unresolved,
                Self::Matches => {}
            }
        }
        result
    }
}

/// Cuts a text into pieces. `None` if it begins a variable that is none. Without `variables`
/// (policies before 2012-10-17) all of it is text.
pub(super) fn parse(text: &str, variables: bool) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    if variables {
        while let Some((before, after)) = rest.split_once("${") {
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            let (variable, after) = parse_variable(after)?;
            pieces.push(variable);
            rest = after;
        }
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    Some(pieces)
}

/// Reads `key}` or `key, 'default'}`.
fn parse_variable(text: &str) -> Option<(Piece, &str)> {
    let end = text.find(['}', ','])?;
    let (name, rest) = text.split_at(end);
    let name = name.trim();
    if let Some(after) = rest.strip_prefix('}') {
        let piece = match name {
            "*" => Piece::Escaped("*"),
            "?" => Piece::Escaped("?"),
            "$" => Piece::Escaped("$"),
            _ => variable(name, None)?,
        };
        return Some((piece, after));
    }
    let quoted = rest.strip_prefix(',')?.trim_start().strip_prefix('\'')?;
    let (default, rest) = quoted.split_once('\'')?;
    let after = rest.trim_start().strip_prefix('}')?;
    Some((variable(name, Some(default.to_owned()))?, after))
}

fn variable(name: &str, default: Option<String>) -> Option<Piece> {
    let is_name = |c: char| c.is_alphanumeric() || " _.:/=+-@".contains(c);
    if name.is_empty() || !name.chars().all(is_name) {
        return None;
    }
    let key = ConditionKey::new(name);
    Some(Piece::Variable { key, default })
}

/// Hands out the pieces with their values: the text, and whether it may be a pattern. `false` if
/// a variable has none. A key with a set of values is no variable.
fn resolve(pieces: &[Piece], context: &dyn Context, mut push: impl FnMut(&str, bool)) -> bool {
    for piece in pieces {
        match piece {
            Piece::Text(text) => push(text, true),
            Piece::Escaped(character) => push(character, false),
            Piece::Variable { key, default } => match (context.value(key), default) {
                (ContextValue::One(value), _) => push(&value, false),
                (_, Some(default)) => push(default, false),
                (_, None) => return false,
            },
        }
    }
    true
}

fn has_variable(pieces: &[Piece]) -> bool {
    let is_variable = |piece: &Piece| matches!(piece, Piece::Variable { .. });
    pieces.iter().any(is_variable)
}

/// A text to compare with as it is: `*` and `?` are characters like others.
#[derive(Clone, Debug)]
pub(super) enum Text {
    Fixed(String),
    Dynamic(Vec<Piece>),
}

impl Text {
    pub(super) fn new(pieces: Vec<Piece>) -> Self {
        if has_variable(&pieces) {
            return Self::Dynamic(pieces);
        }
        let mut text = String::new();
        for piece in &pieces {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Escaped(character) => text.push_str(character),
                Piece::Variable { .. } => {}
            }
        }
        Self::Fixed(text)
    }

    /// The text of this request; `None` if a variable has no value.
    pub(super) fn resolve(&self, context: &dyn Context) -> Option<Cow<'_, str>> {
        match self {
            Self::Fixed(text) => Some(Cow::Borrowed(text)),
            Self::Dynamic(pieces) => {
                let mut text = String::new();
                resolve(pieces, context, |piece, _| text.push_str(piece))
                    .then_some(Cow::Owned(text))
            }
        }
    }

    /// Keys of the variables in it.
    pub(super) fn keys(&self) -> impl Iterator<Item = &ConditionKey> {
        keys(match self {
            Self::Fixed(_) => &[],
            Self::Dynamic(pieces) => pieces,
        })
    }
}

/// A pattern, compiled unless variables decide what it is.
#[derive(Clone, Debug)]
pub(super) enum Pattern {
    Fixed(Wildcard),
    Dynamic(Vec<Piece>),
}

impl Pattern {
    pub(super) fn new(pieces: Vec<Piece>) -> Self {
        if has_variable(&pieces) {
            return Self::Dynamic(pieces);
        }
        let mut builder = WildcardBuilder::default();
        for piece in &pieces {
            match piece {
                Piece::Text(text) => builder.push_pattern(text),
                Piece::Escaped(character) => builder.push_literal(character),
                Piece::Variable { .. } => {}
            }
        }
        Self::Fixed(builder.finish())
    }

    pub(super) fn matches(&self, text: &str, context: &dyn Context) -> Outcome {
        match self {
            Self::Fixed(wildcard) => Outcome::from_bool(wildcard.matches(text)),
            Self::Dynamic(pieces) => {
                let mut builder = WildcardBuilder::default();
                let resolved = resolve(pieces, context, |piece, is_pattern| {
                    if is_pattern {
                        builder.push_pattern(piece);
                    } else {
                        builder.push_literal(piece);
                    }
                });
                if !resolved {
                    return Outcome::Unresolved;
                }
                Outcome::from_bool(builder.finish().matches(text))
            }
        }
    }

    /// Whether it matches one text only, whatever the request.
    pub(super) fn is_fixed_text(&self) -> bool {
        matches!(self, Self::Fixed(wildcard) if wildcard.as_literal().is_some())
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &ConditionKey> {
        keys(match self {
            Self::Fixed(_) => &[],
            Self::Dynamic(pieces) => pieces,
        })
    }
}

fn keys(pieces: &[Piece]) -> impl Iterator<Item = &ConditionKey> {
    pieces.iter().filter_map(|piece| match piece {
        Piece::Variable { key, .. } => Some(key),
        Piece::Text(_) | Piece::Escaped(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::key::ContextTable;
    use super::*;

    fn resolved(text: &str, context: &ContextTable) -> Option<String> {
        let text = Text::new(parse(text, true).unwrap());
        text.resolve(context).map(Cow::into_owned)
    }

    #[test]
    fn variables_are_replaced_and_defaults_stand_in() {
        let context = ContextTable::new()
            .with("aws:username", "ada")
            .with("s3:prefix", "a*")
            .with("s3:RequestObjectTagKeys", "x")
            .with("s3:RequestObjectTagKeys", "y");
        for (text, expected) in [
            ("plain", Some("plain")),
            ("home/${aws:username}/x", Some("home/ada/x")),
            ("${AWS:UserName}", Some("ada")),
            ("${aws:username, 'nobody'}", Some("ada")),
            ("${aws:userid, 'a } b'}!", Some("a } b!")),
            ("${aws:userid,''}", Some("")),
            ("${aws:userid}", None),
            ("${s3:RequestObjectTagKeys}", None),
            ("${*}${?}${$}{x}", Some("*?${x}")),
            ("$5 {a}", Some("$5 {a}")),
        ] {
            assert_eq!(resolved(text, &context).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn what_begins_a_variable_must_be_one() {
        for text in [
            "${",
            "${}",
            "${aws:username",
            "${a${b}}",
            "${x, default}",
            "${x, 'd'",
            "${x,'d}",
        ] {
            assert!(parse(text, true).is_none(), "{text}");
            assert!(parse(text, false).is_some(), "{text}");
        }
    }

    #[test]
    fn a_value_is_no_pattern() {
        let context = ContextTable::new().with("s3:prefix", "a*");
        let pattern = Pattern::new(parse("${s3:prefix}/*", true).unwrap());
        assert_eq!(pattern.matches("a*/x", &context), Outcome::Matches);
        assert_eq!(pattern.matches("abc/x", &context), Outcome::Differs);
        let none = ContextTable::new();
        assert_eq!(pattern.matches("a*/x", &none), Outcome::Unresolved);
        let star = Pattern::new(parse("a${*}*", true).unwrap());
        assert_eq!(star.matches("a*bc", &none), Outcome::Matches);
        assert_eq!(star.matches("abc", &none), Outcome::Differs);
    }
}
