//! ARNs, compared part by part: a star in one part never reaches into the next.

use super::key::{ConditionKey, Context};
use super::template::{Outcome, Pattern, Piece};

/// `arn:partition:service:region:account:resource`; only the last part may hold colons.
const PARTS: usize = 6;

/// What begins the ARN of everything in S3.
pub const S3_ARN_PREFIX: &str = "arn:aws:s3:::";

/// An ARN, or a pattern of one, cut into its parts. `None` if there are fewer.
pub(super) fn split(arn: &str) -> Option<[&str; PARTS]> {
    let mut parts = arn.splitn(PARTS, ':');
    let mut found = [""; PARTS];
    for part in &mut found {
        *part = parts.next()?;
    }
    Some(found)
}

/// A pattern of ARNs.
#[derive(Clone, Debug)]
pub(super) enum ArnPattern {
    /// `*`: every ARN.
    Any,
    /// A pattern for each part.
    Parts(Box<[Pattern; PARTS]>),
}

impl ArnPattern {
    /// `None` if the text is neither an ARN nor `*`. Variables are not cut at their colons.
    pub(super) fn new(pieces: Vec<Piece>) -> Option<Self> {
        if let [Piece::Text(text)] = &pieces[..]
            && text == "*"
        {
            return Some(Self::Any);
        }
        let mut parts: [Vec<Piece>; PARTS] = Default::default();
        let mut part = 0;
        for piece in pieces {
            let Piece::Text(text) = piece else {
                parts[part].push(piece);
                continue;
            };
            let mut rest = text.as_str();
            while part < PARTS - 1 {
                let Some((before, after)) = rest.split_once(':') else {
                    break;
                };
                parts[part].push(Piece::Text(before.to_owned()));
                part += 1;
                rest = after;
            }
            parts[part].push(Piece::Text(rest.to_owned()));
        }
        let is_arn = matches!(&parts[0][..], [Piece::Text(text)] if text == "arn");
        if part < PARTS - 1 || !is_arn {
            return None;
        }
        Some(Self::Parts(Box::new(parts.map(Pattern::new))))
    }

    pub(super) fn matches(&self, arn: &str, context: &dyn Context) -> Outcome {
        let Self::Parts(patterns) = self else {
            return Outcome::Matches;
        };
        let Some(parts) = split(arn) else {
            return Outcome::Differs;
        };
        let outcome = |(pattern, part): (&Pattern, &str)| pattern.matches(part, context);
        Outcome::all(patterns.iter().zip(parts).map(outcome))
    }

    /// Whether it matches one ARN only, whatever the request.
    pub(super) fn is_fixed_text(&self) -> bool {
        match self {
            Self::Any => false,
            Self::Parts(patterns) => patterns.iter().all(Pattern::is_fixed_text),
        }
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &ConditionKey> {
        let patterns = match self {
            Self::Any => &[][..],
            Self::Parts(patterns) => &patterns[..],
        };
        patterns.iter().flat_map(Pattern::keys)
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::ContextTable;
    use super::super::template::parse;
    use super::*;

    #[test]
    fn parts_are_compared_one_by_one() {
        let context = ContextTable::new().with("aws:username", "a:b");
        for (pattern, arn, expected) in [
            ("*", "arn:aws:s3:::photos", true),
            ("arn:aws:s3:::photos/*", "arn:aws:s3:::photos/a:b/c", true),
            ("arn:aws:s3:::photos/*", "arn:aws:s3:::photos", false),
            ("arn:*:s3:::p*", "arn:aws:s3:::photos/x", true),
            ("arn:aws:s3*:photos:::", "arn:aws:s3:::photos", false),
            ("arn:aws:*:photos:x:y", "arn:aws:s3:::photos", false),
            ("arn:aws:s3:::p/${aws:username}", "arn:aws:s3:::p/a:b", true),
            ("arn:aws:iam::*:user/?", "arn:aws:iam::1:user/a", true),
            ("arn:aws:s3:::p", "no arn", false),
        ] {
            let compiled = ArnPattern::new(parse(pattern, true).unwrap()).unwrap();
            let found = compiled.matches(arn, &context) == Outcome::Matches;
            assert_eq!(found, expected, "{pattern} {arn}");
        }
    }

    #[test]
    fn what_is_no_arn_is_refused() {
        for text in [
            "",
            "**",
            "photos",
            "arn:aws:s3::photos",
            "x:aws:s3:::p",
            "${x}:aws:s3:::p",
        ] {
            assert!(
                ArnPattern::new(parse(text, true).unwrap()).is_none(),
                "{text}"
            );
        }
    }
}
