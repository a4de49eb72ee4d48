//! Numbers: 64-bit integers, decimals of 38 digits, and 64-bit floats.
//! Source: S3 User Guide, "Data types" of S3 Select.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use bigdecimal::num_bigint::BigInt;
use bigdecimal::{BigDecimal, RoundingMode, ToPrimitive, Zero};
use oncilla_wire::error::{S3Error, S3ErrorCode};

use crate::budget::Budget;
use crate::error;
use crate::sql::Operator;

/// How many digits a decimal has at most.
pub const DIGITS_MAX: u32 = 38;

/// The largest power of ten of a decimal, up or down. S3's own bound is 2³¹, which would let two
/// short literals make a sum of gigabytes.
const EXPONENT_MAX: u64 = 400;

/// The longest text worth reading as a number.
const TEXT_BYTES_MAX: usize = 500;

/// The largest exponent worth reading: digits before or after the point can make up for what it has
/// beyond [`EXPONENT_MAX`].
const EXPONENT_WRITTEN_MAX: u64 = 1000;

/// How many steps of a [`Budget`] it takes to read a digit.
const DIGIT_STEPS: usize = 8;

/// How many steps of a [`Budget`] a decimal takes wherever it takes part: hundreds of digits at worst.
const DECIMAL_STEPS: usize = 256;

/// A number.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Number {
    Integer(i64),
    Decimal(BigDecimal),
    Float(f64),
}

impl Number {
    /// Reads a number, with a sign, a point and an exponent if it has them: an integer if it looks
    /// like one and fits, or else a decimal.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() || text.len() > TEXT_BYTES_MAX {
            return None;
        }
        if let Ok(integer) = text.parse::<i64>() {
            return Some(Self::Integer(integer));
        }
        let is_number = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
        if !text.bytes().all(is_number) {
            return None;
        }
        // An exponent far out of bounds would overflow further down.
        let exponent = text.split(['e', 'E']).nth(1).unwrap_or("0");
        let exponent: i64 = exponent.parse().ok()?;
        if exponent.unsigned_abs() > EXPONENT_WRITTEN_MAX {
            return None;
        }
        let decimal = BigDecimal::from_str(text).ok()?;
        within_limits(decimal).map(Self::Decimal)
    }

    /// Reads a number as [`Number::parse`] does.
    ///
    /// # Errors
    /// `ExternalEvalException` if the budget is used up.
    pub fn read(text: &str, budget: &Budget) -> Result<Option<Self>, S3Error> {
        let trimmed = text.trim();
        let space = text.len() - trimmed.len();
        budget.burn(space + DIGIT_STEPS * trimmed.len().min(TEXT_BYTES_MAX))?;
        Ok(Self::parse(trimmed))
    }

    /// How many steps of a [`Budget`] it takes to calculate with it.
    pub fn steps(&self) -> usize {
        match self {
            Self::Integer(_) | Self::Float(_) => 1,
            Self::Decimal(_) => DECIMAL_STEPS,
        }
    }

    /// The number that a float of JSON was written as.
    pub fn from_json_float(float: f64) -> Self {
        Self::parse(&format_float(float)).unwrap_or(Self::Float(float))
    }

    /// As an integer, cut at the point; `None` if that does not fit.
    pub fn to_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(integer) => Some(*integer),
            Self::Decimal(decimal) => decimal.with_scale_round(0, RoundingMode::Down).to_i64(),
            Self::Float(float) => {
                let cut = float.trunc();
                // 2⁶³ itself is a float and no integer.
                (-(2f64.powi(63))..2f64.powi(63))
                    .contains(&cut)
                    .then_some(cut as i64)
            }
        }
    }

    /// As a float.
    pub fn to_float(&self) -> f64 {
        match self {
            Self::Integer(integer) => *integer as f64,
            Self::Decimal(decimal) => decimal.to_f64().unwrap_or(f64::NAN),
            Self::Float(float) => *float,
        }
    }

    /// As a decimal; `None` for a float that is no number, or out of bounds.
    pub fn to_decimal(&self) -> Option<BigDecimal> {
        match self {
            Self::Integer(integer) => Some(BigDecimal::from(*integer)),
            Self::Decimal(decimal) => Some(decimal.clone()),
            Self::Float(float) => {
                let decimal = BigDecimal::from_str(&format_float(*float)).ok()?;
                within_limits(decimal)
            }
        }
    }

    /// As a decimal of so many digits, `scale` of them after the point, rounded half up.
    pub fn to_decimal_of(&self, precision: u32, scale: u32) -> Option<BigDecimal> {
        let decimal = self.to_decimal()?;
        let rounded = decimal.with_scale_round(i64::from(scale), RoundingMode::HalfUp);
        (rounded.is_zero() || rounded.digits() <= u64::from(precision)).then_some(rounded)
    }

    /// Whether it is zero.
    pub fn is_zero(&self) -> bool {
        match self {
            Self::Integer(integer) => *integer == 0,
            Self::Decimal(decimal) => decimal.is_zero(),
            Self::Float(float) => *float == 0.0,
        }
    }

    /// The number with the other sign.
    ///
    /// # Errors
    /// `IntegerOverflow`.
    pub fn negated(&self) -> Result<Self, S3Error> {
        match self {
            Self::Integer(integer) => {
                let negated = integer.checked_neg().map(Self::Integer);
                negated.ok_or_else(overflow)
            }
            Self::Decimal(decimal) => Ok(Self::Decimal(-decimal)),
            Self::Float(float) => Ok(Self::Float(-float)),
        }
    }

    /// The result of an operator: an integer of two integers, a float if one of them is, or else a
    /// decimal.
    ///
    /// # Errors
    /// `IntegerOverflow`, `NumberFormatError` for a result out of bounds, `ExternalEvalException`
    /// for a division by zero.
    pub fn apply(&self, operator: Operator, other: &Self) -> Result<Self, S3Error> {
        let divides = matches!(operator, Operator::Divide | Operator::Remainder);
        if divides && other.is_zero() {
            let message = "The SQL expression divides by zero.";
            return Err(error(S3ErrorCode::ExternalEvalException, message));
        }
        match (self, other) {
            (Self::Integer(left), Self::Integer(right)) => {
                let result = match operator {
                    Operator::Add => left.checked_add(*right),
                    Operator::Subtract => left.checked_sub(*right),
                    Operator::Multiply => left.checked_mul(*right),
                    Operator::Divide => left.checked_div(*right),
                    Operator::Remainder => left.checked_rem(*right),
                    Operator::Concatenate => None,
                };
                result.map(Self::Integer).ok_or_else(overflow)
            }
            (Self::Float(_), _) | (_, Self::Float(_)) => {
                let (left, right) = (self.to_float(), other.to_float());
                let result = match operator {
                    Operator::Add => left + right,
                    Operator::Subtract => left - right,
                    Operator::Multiply => left * right,
                    Operator::Divide => left / right,
                    Operator::Remainder => left % right,
                    Operator::Concatenate => f64::NAN,
                };
                if !result.is_finite() {
                    return Err(out_of_bounds());
                }
                Ok(Self::Float(result))
            }
            _ => {
                let (Some(left), Some(right)) = (self.to_decimal(), other.to_decimal()) else {
                    return Err(out_of_bounds());
                };
                let result = match operator {
                    Operator::Add => left + right,
                    Operator::Subtract => left - right,
                    Operator::Multiply => left * right,
                    Operator::Divide => left / right,
                    Operator::Remainder => left % right,
                    Operator::Concatenate => return Err(out_of_bounds()),
                };
                let result = within_limits(result).ok_or_else(out_of_bounds)?;
                Ok(Self::Decimal(result))
            }
        }
    }

    /// Which one is greater; `None` for what is no number.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Integer(left), Self::Integer(right)) => Some(left.cmp(right)),
            (Self::Float(_), _) | (_, Self::Float(_)) => {
                self.to_float().partial_cmp(&other.to_float())
            }
            _ => Some(self.to_decimal()?.cmp(&other.to_decimal()?)),
        }
    }
}

/// Rounds to [`DIGITS_MAX`] digits; `None` for what is too large or too small.
fn within_limits(decimal: BigDecimal) -> Option<BigDecimal> {
    let (_, scale) = decimal.as_bigint_and_exponent();
    if decimal.is_zero() {
        let scale = scale.clamp(0, i64::from(DIGITS_MAX));
        return Some(BigDecimal::new(BigInt::zero(), scale));
    }
    let rounded = match decimal.digits() > u64::from(DIGITS_MAX) {
        true => decimal.with_prec(u64::from(DIGITS_MAX)),
        false => decimal,
    };
    let (_, scale) = rounded.as_bigint_and_exponent();
    (scale.unsigned_abs() <= EXPONENT_MAX).then_some(rounded)
}

fn overflow() -> S3Error {
    S3ErrorCode::IntegerOverflow.into()
}

fn out_of_bounds() -> S3Error {
    S3ErrorCode::NumberFormatError.into()
}

/// The shortest text that reads as this float, with an exponent where it would be long.
fn format_float(float: f64) -> String {
    let size = float.abs();
    if size == 0.0 || (1e-7..1e21).contains(&size) {
        format!("{float}")
    } else {
        format!("{float:e}")
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(integer) => write!(f, "{integer}"),
            Self::Decimal(decimal) => f.write_str(&decimal.to_plain_string()),
            Self::Float(float) => f.write_str(&format_float(*float)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Number {
        Number::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    fn apply(left: &str, operator: Operator, right: &str) -> String {
        match number(left).apply(operator, &number(right)) {
            Ok(result) => result.to_string(),
            Err(error) => error.code.as_str().to_owned(),
        }
    }

    #[test]
    fn arithmetic_is_exact_where_it_can_be() {
        use Operator::*;
        assert_eq!(apply("0.1", Add, "0.2"), "0.3");
        assert_eq!(apply("7", Divide, "2"), "3");
        assert_eq!(apply("-7", Remainder, "2"), "-1");
        assert_eq!(apply("7.0", Divide, "2"), "3.5");
        assert_eq!(apply("1.50", Multiply, "2"), "3.00");
        assert_eq!(apply("1", Divide, "0"), "ExternalEvalException");
        assert_eq!(apply("1.5", Remainder, "0.0"), "ExternalEvalException");
        assert_eq!(apply("9223372036854775807", Add, "1"), "IntegerOverflow");
        assert_eq!(
            apply("-9223372036854775808", Divide, "-1"),
            "IntegerOverflow"
        );
        assert_eq!(apply("1e400", Multiply, "1e400"), "NumberFormatError");
        assert_eq!(apply("1.0", Divide, "3").len(), 40);
    }

    #[test]
    fn what_is_a_number() {
        for text in [
            "1", "-1", "+1", "1.5", ".5", "5.", "1e3", "1E-3", " 7 ", "0",
        ] {
            assert!(Number::parse(text).is_some(), "{text}");
        }
        for text in [
            "",
            " ",
            "a",
            "1a",
            "1e",
            "--1",
            "1.2.3",
            "0x10",
            "NaN",
            "inf",
            "1e999999999",
            "1e9223372036854775808",
            "1e-9223372036854775808",
            "1e-9223372036854775807",
        ] {
            assert_eq!(Number::parse(text), None, "{text}");
        }
        assert_eq!(number("1e3").to_string(), "1000");
        assert_eq!(number("12.9").to_integer(), Some(12));
        assert_eq!(number("-12.9").to_integer(), Some(-12));
        assert_eq!(Number::Float(9.3e18).to_integer(), None);
        assert_eq!(Number::Float(1e21).to_string(), "1e21");
        assert_eq!(
            number("1.25").to_decimal_of(3, 1).unwrap().to_string(),
            "1.3"
        );
        assert_eq!(number("100").to_decimal_of(2, 0), None);
    }

    proptest! {
        #[test]
        fn integers_are_as_in_rust(left: i64, right: i64) {
            let apply = |operator| {
                let result = Number::Integer(left).apply(operator, &Number::Integer(right));
                result.ok().and_then(|number| number.to_integer())
            };
            prop_assert_eq!(apply(Operator::Add), left.checked_add(right));
            prop_assert_eq!(apply(Operator::Multiply), left.checked_mul(right));
            prop_assert_eq!(apply(Operator::Divide), left.checked_div(right));
            let (a, b) = (Number::Integer(left), Number::Integer(right));
            prop_assert_eq!(a.compare(&b), Some(left.cmp(&right)));
            let decimals = (a.to_decimal().unwrap(), b.to_decimal().unwrap());
            prop_assert_eq!(decimals.0.cmp(&decimals.1), left.cmp(&right));
        }

        #[test]
        fn what_is_written_is_read(text in "-?[0-9]{1,20}(\\.[0-9]{1,15})?") {
            let read = number(&text);
            prop_assert_eq!(number(&read.to_string()).compare(&read), Some(Ordering::Equal));
        }
    }
}
