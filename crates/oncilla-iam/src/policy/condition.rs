//! Conditions: operators, how they are read and when they hold.
//! Source: IAM user guide, "IAM JSON policy elements: Condition operators" and "Set operators for
//! multivalued context keys".

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oncilla_wire::digits::is_digits;
use oncilla_wire::time::parse_iso8601;

use super::arn::ArnPattern;
use super::error::{PolicyError, quoted};
use super::ip::Cidr;
use super::key::{ConditionKey, Context};
use super::template::{Outcome, Pattern, Piece, Text, parse as parse_template};

/// One condition: an operator, a key and the values one of which has to fit.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    pub(super) key: ConditionKey,
    pub(super) test: Test,
    /// `…Not…`: none of the values may fit.
    pub(super) negated: bool,
    /// `…IfExists`: a missing key satisfies it.
    pub(super) if_exists: bool,
    pub(super) quantifier: Quantifier,
}

/// `ForAnyValue:` and `ForAllValues:`, for keys that have a set of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantifier {
    Single,
    Any,
    All,
}

/// What a value of the request is compared with.
#[derive(Clone, Debug)]
pub(super) enum Test {
    /// Whether the key is missing.
    Null(Vec<bool>),
    String {
        values: Vec<Text>,
        ignore_case: bool,
    },
    Like(Vec<Pattern>),
    Numeric(Comparison, Vec<f64>),
    /// Milliseconds since 1970.
    Date(Comparison, Vec<i64>),
    Bool(Vec<bool>),
    Binary(Vec<Vec<u8>>),
    Ip(Vec<Cidr>),
    Arn(Vec<ArnPattern>),
}

/// How the value of the request must stand to that of the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    fn holds<T: PartialOrd>(self, request: T, policy: T) -> bool {
        match self {
            Self::Equal => request == policy,
            Self::Less => request < policy,
            Self::LessOrEqual => request <= policy,
            Self::Greater => request > policy,
            Self::GreaterOrEqual => request >= policy,
        }
    }
}

/// An operator without its quantifier and `IfExists`.
#[derive(Clone, Copy)]
enum Kind {
    Null,
    String { ignore_case: bool },
    Like,
    Numeric(Comparison),
    Date(Comparison),
    Bool,
    Binary,
    Ip,
    Arn,
}

/// The operator of this name, and whether it is a negated one.
fn kind_of(name: &str) -> Option<(Kind, bool)> {
    use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual};
    let exact = Kind::String { ignore_case: false };
    let ignoring_case = Kind::String { ignore_case: true };
    Some(match name {
        "Null" => (Kind::Null, false),
        "StringEquals" => (exact, false),
        "StringNotEquals" => (exact, true),
        "StringEqualsIgnoreCase" => (ignoring_case, false),
        "StringNotEqualsIgnoreCase" => (ignoring_case, true),
        "StringLike" => (Kind::Like, false),
        "StringNotLike" => (Kind::Like, true),
        "NumericEquals" => (Kind::Numeric(Equal), false),
        "NumericNotEquals" => (Kind::Numeric(Equal), true),
        "NumericLessThan" => (Kind::Numeric(Less), false),
        "NumericLessThanEquals" => (Kind::Numeric(LessOrEqual), false),
        "NumericGreaterThan" => (Kind::Numeric(Greater), false),
        "NumericGreaterThanEquals" => (Kind::Numeric(GreaterOrEqual), false),
        "DateEquals" => (Kind::Date(Equal), false),
        "DateNotEquals" => (Kind::Date(Equal), true),
        "DateLessThan" => (Kind::Date(Less), false),
        "DateLessThanEquals" => (Kind::Date(LessOrEqual), false),
        "DateGreaterThan" => (Kind::Date(Greater), false),
        "DateGreaterThanEquals" => (Kind::Date(GreaterOrEqual), false),
        "Bool" => (Kind::Bool, false),
        "BinaryEquals" => (Kind::Binary, false),
        "IpAddress" => (Kind::Ip, false),
        "NotIpAddress" => (Kind::Ip, true),
        "ArnEquals" | "ArnLike" => (Kind::Arn, false),
        "ArnNotEquals" | "ArnNotLike" => (Kind::Arn, true),
        _ => return None,
    })
}

/// An operator, read.
pub(super) struct Operator<'t> {
    text: &'t str,
    kind: Kind,
    negated: bool,
    if_exists: bool,
    quantifier: Quantifier,
}

impl<'t> Operator<'t> {
    /// Reads the name of an operator.
    pub(super) fn parse(operator: &'t str) -> Result<Self, PolicyError> {
        let unknown = || PolicyError::ConditionOperator(quoted(operator));
        let (quantifier, name) = match operator.split_once(':') {
            Some(("ForAnyValue", name)) => (Quantifier::Any, name),
            Some(("ForAllValues", name)) => (Quantifier::All, name),
            Some(_) => return Err(unknown()),
            None => (Quantifier::Single, operator),
        };
        let (name, if_exists) = match name.strip_suffix("IfExists") {
            Some(name) => (name, true),
            None => (name, false),
        };
        let (kind, negated) = kind_of(name).ok_or_else(unknown)?;
        let is_plain = quantifier == Quantifier::Single && !if_exists;
        if matches!(kind, Kind::Null) && !is_plain {
            return Err(unknown());
        }
        Ok(Self {
            text: operator,
            kind,
            negated,
            if_exists,
            quantifier,
        })
    }
}

impl Condition {
    /// Reads a condition. `values` are the policy's, numbers and booleans as their text.
    pub(super) fn new(
        operator: &Operator<'_>,
        key: ConditionKey,
        values: &[String],
        variables: bool,
    ) -> Result<Self, PolicyError> {
        Ok(Self {
            key,
            test: read_values(operator.text, operator.kind, values, variables)?,
            negated: operator.negated,
            if_exists: operator.if_exists,
            quantifier: operator.quantifier,
        })
    }

    /// Whether the condition holds. A negated one whose policy value has a variable without a
    /// value holds only where that is the safe side, `unresolved_holds`: in a Deny.
    pub(super) fn holds(&self, context: &dyn Context, unresolved_holds: bool) -> bool {
        let found = context.value(&self.key);
        let values = found.as_slice();
        if let Test::Null(expected) = &self.test {
            return expected.contains(&values.is_empty());
        }
        let fits = |value: &str| match self.test.compare(value, context) {
            Outcome::Matches => !self.negated,
            Outcome::Differs => self.negated,
            Outcome::Unresolved => self.negated && unresolved_holds,
        };
        // Where a set is asked for, AWS takes an empty text for no value.
        let mut set = values.iter().filter(|value| !value.is_empty());
        match self.quantifier {
            Quantifier::Single if values.is_empty() => self.if_exists || self.negated,
            // Without a quantifier, one value that fits is enough and one that must not fit is one
            // too many.
            Quantifier::Single if self.negated => values.iter().all(|value| fits(value)),
            Quantifier::Single => values.iter().any(|value| fits(value)),
            Quantifier::Any => set.any(|value| fits(value)),
            Quantifier::All => set.all(|value| fits(value)),
        }
    }

    /// Keys it asks for.
    pub(super) fn keys(&self) -> impl Iterator<Item = &ConditionKey> {
        let of_values: Box<dyn Iterator<Item = &ConditionKey>> = match &self.test {
            Test::String { values, .. } => Box::new(values.iter().flat_map(Text::keys)),
            Test::Like(values) => Box::new(values.iter().flat_map(Pattern::keys)),
            Test::Arn(values) => Box::new(values.iter().flat_map(ArnPattern::keys)),
            _ => Box::new(std::iter::empty()),
        };
        std::iter::once(&self.key).chain(of_values)
    }
}

/// A time of a policy or a request: ISO 8601, or seconds since 1970.
fn parse_time_ms(text: &str) -> Option<i64> {
    if is_digits(text) && text.len() > "9999".len() {
        return text.parse::<i64>().ok()?.checked_mul(1_000);
    }
    // A date alone, or one without seconds, as the W3C profile of ISO 8601 allows.
    parse_iso8601(text).or_else(|| {
        let without_zone = text.strip_suffix('Z')?;
        let has_seconds = without_zone.matches(':').count() >= 2;
        (!has_seconds).then(|| parse_iso8601(without_zone))?
    })
}

fn parse_number(text: &str) -> Option<f64> {
    let starts = |text: &str| text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    let number: f64 = text.parse().ok().filter(|_| starts(text))?;
    number.is_finite().then_some(number)
}

fn parse_bool(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        return Some(true);
    }
    text.eq_ignore_ascii_case("false").then_some(false)
}

fn read_values(
    operator: &str,
    kind: Kind,
    values: &[String],
    variables: bool,
) -> Result<Test, PolicyError> {
    let template = |text: &str| -> Option<Vec<Piece>> { parse_template(text, variables) };
    Ok(match kind {
        Kind::Null => Test::Null(each(operator, values, parse_bool)?),
        Kind::String { ignore_case } => Test::String {
            values: each(operator, values, |text| template(text).map(Text::new))?,
            ignore_case,
        },
        Kind::Like => Test::Like(each(operator, values, |text| {
            template(text).map(Pattern::new)
        })?),
        Kind::Numeric(comparison) => {
            Test::Numeric(comparison, each(operator, values, parse_number)?)
        }
        Kind::Date(comparison) => Test::Date(comparison, each(operator, values, parse_time_ms)?),
        Kind::Bool => Test::Bool(each(operator, values, parse_bool)?),
        Kind::Binary => Test::Binary(each(operator, values, |text| STANDARD.decode(text).ok())?),
        Kind::Ip => Test::Ip(each(operator, values, Cidr::parse)?),
        Kind::Arn => Test::Arn(each(operator, values, |text| {
            template(text).and_then(ArnPattern::new)
        })?),
    })
}

fn each<T>(
    operator: &str,
    values: &[String],
    read: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, PolicyError> {
    let read_one = |value: &String| {
        read(value).ok_or_else(|| PolicyError::ConditionValue {
            operator: quoted(operator),
            value: quoted(value),
        })
    };
    values.iter().map(read_one).collect()
}

impl Test {
    /// Whether a value of the request fits any value of the policy. One that is not of the
    /// operator's type fits none.
    fn compare(&self, request: &str, context: &dyn Context) -> Outcome {
        match self {
            // Judged by the caller, who knows whether the key is there.
            Self::Null(_) => Outcome::Differs,
            Self::String {
                values,
                ignore_case,
            } => Outcome::any(values.iter().map(|value| match value.resolve(context) {
                None => Outcome::Unresolved,
                Some(value) if *ignore_case => {
                    Outcome::from_bool(equal_ignoring_case(&value, request))
                }
                Some(value) => Outcome::from_bool(value == request),
            })),
            Self::Like(values) => {
                Outcome::any(values.iter().map(|value| value.matches(request, context)))
            }
            Self::Numeric(comparison, values) => {
                any_holds(*comparison, parse_number(request), values)
            }
            Self::Date(comparison, values) => {
                any_holds(*comparison, parse_time_ms(request), values)
            }
            Self::Bool(values) => any_holds(Comparison::Equal, parse_bool(request), values),
            Self::Binary(values) => {
                let request = STANDARD.decode(request).ok();
                Outcome::from_bool(request.is_some_and(|request| values.contains(&request)))
            }
            Self::Ip(values) => {
                let address: Option<IpAddr> = request.parse().ok();
                let in_range = |address| values.iter().any(|range| range.contains(address));
                Outcome::from_bool(address.is_some_and(in_range))
            }
            Self::Arn(values) => {
                Outcome::any(values.iter().map(|value| value.matches(request, context)))
            }
        }
    }
}

fn any_holds<T: PartialOrd + Copy>(
    comparison: Comparison,
    request: Option<T>,
    values: &[T],
) -> Outcome {
    let holds = |request| values.iter().any(|value| comparison.holds(request, *value));
    Outcome::from_bool(request.is_some_and(holds))
}

fn equal_ignoring_case(left: &str, right: &str) -> bool {
    let lower = |text: &str| {
        text.chars()
            .flat_map(char::to_lowercase)
            .collect::<String>()
    };
    left.eq_ignore_ascii_case(right) || lower(left) == lower(right)
}
