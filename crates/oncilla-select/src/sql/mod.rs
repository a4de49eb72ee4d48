//! SQL: text to tokens to expressions.

mod lexer;
mod parser;

use std::sync::OnceLock;

use oncilla_wire::digits::parse_digits;

use crate::budget::CASE_STEPS;
use crate::like::Pattern;
use crate::number::Number;
use crate::timestamp::Timestamp;

pub use parser::parse;

/// How deep expressions may be within each other. Chains of one operator count once, so that a
/// thousand alternatives are no deeper than two; nobody writes more than a few levels by hand, and
/// the stack holds these with room to spare.
pub const EXPRESSION_DEPTH_MAX: usize = 64;

/// A query: `SELECT … FROM S3Object… WHERE … LIMIT …`.
#[derive(Debug)]
pub struct Query {
    /// What is selected.
    pub select: Selection,
    /// The path after `S3Object`, without the `[*]` that may follow it at once.
    pub from: Vec<FromStep>,
    /// Which records.
    pub condition: Option<Expr>,
    /// How many records are written at most.
    pub limit: Option<u64>,
    /// What expressions refer to, by the number in [`Expr::Path`].
    pub paths: Vec<Path>,
    /// The aggregates, by the number in [`Expr::Aggregate`].
    pub aggregates: Vec<Aggregate>,
    /// How many expressions there are in all: what evaluating them once costs.
    pub weight: usize,
}

/// What is selected.
#[derive(Debug)]
pub enum Selection {
    /// `*`: the record.
    All,
    /// Expressions.
    Items(Vec<Item>),
}

/// One of the expressions that are selected.
#[derive(Debug)]
pub struct Item {
    /// The expression.
    pub expr: Expr,
    /// Its name in a JSON record.
    pub name: String,
}

/// A name, which is compared without regard to case unless it was written in double quotes.
/// Source: S3 User Guide, "SELECT command", "Case sensitivity".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The name.
    pub text: String,
    /// Whether it was in double quotes.
    pub quoted: bool,
    /// In lower case, if it is compared so and not ASCII: a name may be long, and is compared often.
    lower: Option<Box<str>>,
    /// The number of the column that it names.
    column: Option<usize>,
}

impl Name {
    /// A name, as it was written.
    pub fn new(text: String, quoted: bool) -> Self {
        let has_lower = !quoted && !text.is_ascii();
        Self {
            quoted,
            lower: has_lower.then(|| text.to_lowercase().into()),
            column: column(&text),
            text,
        }
    }

    /// Whether this is the name of that.
    pub fn is(&self, other: &str) -> bool {
        if self.text == other {
            return true;
        }
        if self.quoted {
            return false;
        }
        self.text.eq_ignore_ascii_case(other)
            || self.lower.as_ref().is_some_and(|lower| {
                other.len() <= Self::lower_bytes_max(lower) && **lower == *other.to_lowercase()
            })
    }

    /// How many steps of a [budget](crate::budget) it takes to tell whether this is the name of that.
    pub fn steps(&self, other: &str) -> usize {
        match &self.lower {
            Some(lower) if other.len() <= Self::lower_bytes_max(lower) => {
                1 + CASE_STEPS * other.len()
            }
            _ if self.text.len() == other.len() => 1 + other.len(),
            _ => 1,
        }
    }

    /// How long a text is at most that becomes this one in lower case: a character has four bytes at
    /// most, and what becomes of it has one at least.
    fn lower_bytes_max(lower: &str) -> usize {
        4 * lower.len()
    }

    /// The number of the column that `_1`, `_2`, … name, from 0.
    pub fn column(&self) -> Option<usize> {
        self.column
    }
}

fn column(name: &str) -> Option<usize> {
    let digits = name.strip_prefix('_')?;
    let number = usize::try_from(parse_digits(digits)?).ok()?;
    number.checked_sub(1)
}

/// A step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathStep {
    /// `.name`: an attribute.
    Key(Name),
    /// `[n]`: an element, from 0.
    Index(usize),
}

/// A step of the path after FROM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromStep {
    /// `.name`: an attribute.
    Key(Name),
    /// `[n]`: an element, from 0.
    Index(usize),
    /// `[*]`: each element.
    Each,
}

/// What of the record an expression refers to: all of it if there are no steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// The steps from the record on.
    pub steps: Vec<PathStep>,
}

/// An aggregate function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum AggregateKind {
    Count,
    Sum,
    Avg,
    Min,
    Max,
}

/// A call of an aggregate function.
#[derive(Debug)]
pub struct Aggregate {
    /// The function.
    pub kind: AggregateKind,
    /// Its argument; `None` for `COUNT(*)`.
    pub argument: Option<Expr>,
}

/// An expression. Operators of one precedence are a chain from left to right.
#[derive(Debug)]
#[allow(missing_docs)]
pub enum Expr {
    Literal(Literal),
    Path(usize),
    Aggregate(usize),
    Not(Box<Expr>),
    Negate(Box<Expr>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Arithmetic(Box<Expr>, Vec<(Operator, Expr)>),
    Compare(Box<Expr>, Vec<(Comparison, Expr)>),
    /// Whether it is null or missing.
    IsNull(Box<Expr>),
    IsMissing(Box<Expr>),
    In(Box<Expr>, Vec<Expr>),
    Between(Box<Expr>, Box<(Expr, Expr)>),
    Like(Box<Like>),
    Case(Box<Case>),
    Cast(Box<Expr>, DataType),
    Call(Function, Vec<Expr>),
}

/// A constant.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum Literal {
    Null,
    Missing,
    Bool(bool),
    Number(Number),
    Text(String),
    Timestamp(Timestamp),
}

/// An operator of arithmetic, or `||`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Concatenate,
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// `value LIKE pattern ESCAPE escape`.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct Like {
    pub value: Expr,
    pub pattern: Expr,
    pub escape: Option<Expr>,
    /// The pattern, read once, if it is a constant.
    pub compiled: OnceLock<Pattern>,
}

impl Like {
    /// Whether pattern and escape are the same for every record.
    pub fn is_constant(&self) -> bool {
        let is_literal = |expr: &Expr| matches!(expr, Expr::Literal(_));
        is_literal(&self.pattern) && self.escape.as_ref().is_none_or(is_literal)
    }
}

/// `CASE operand WHEN … THEN … ELSE … END`.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct Case {
    pub operand: Option<Expr>,
    pub branches: Vec<(Expr, Expr)>,
    pub otherwise: Option<Expr>,
}

/// A type to CAST to. Source: S3 User Guide, "Data types" of S3 Select.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataType {
    /// True or false.
    Bool,
    /// 64 bits with a sign.
    Int,
    /// A text.
    Text,
    /// 64 bits, binary.
    Float,
    /// Decimal, with as many digits, and as many of them after the point, as given.
    Decimal(Option<(u32, u32)>),
    /// A time.
    Timestamp,
}

/// A part of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum DatePart {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    TimezoneHour,
    TimezoneMinute,
}

/// Which ends TRIM trims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum TrimSide {
    Both,
    Leading,
    Trailing,
}

/// A function of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Function {
    CharLength,
    Lower,
    Upper,
    Substring,
    Trim(TrimSide),
    Coalesce,
    NullIf,
    DateAdd(DatePart),
    DateDiff(DatePart),
    Extract(DatePart),
    ToString,
    ToTimestamp,
    UtcNow,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_without_regard_to_case() {
        let name = |text: &str| Name::new(text.to_owned(), false);
        for (one, other) in [
            ("Name", "nAME"),
            ("ÄÖ", "äö"),
            ("äÖ", "Äö"),
            ("ΟΔΟΣ", "οδος"),
            // The sign of kelvin has three bytes, its letter one.
            ("\u{212a}", "k"),
            ("é\u{212a}", "ÉK"),
        ] {
            assert!(name(one).is(other), "{one} {other}");
            assert!(!Name::new(one.to_owned(), true).is(other), "{one} {other}");
        }
        for (one, other) in [
            ("a", "b"),
            ("ä", "ö"),
            ("ä", "ää"),
            ("ä", "äääää"),
            ("", "a"),
        ] {
            assert!(!name(one).is(other), "{one} {other}");
        }
        let columns = ["_1", "_20", "_0", "_", "1", "_1x", "_+1"].map(|text| name(text).column());
        assert_eq!(columns, [Some(0), Some(19), None, None, None, None, None]);
    }

    #[test]
    fn a_long_name_costs_no_more_than_what_it_is_compared_with() {
        let long = Name::new("ä".repeat(100_000), false);
        assert!(long.steps("short") < 100);
        let short = Name::new("ä".to_owned(), false);
        assert_eq!(short.steps(&long.text), 1);
    }
}
