//! The functions of one record, and CAST.
//! Source: S3 User Guide, "SQL functions" of S3 Select.

use oncilla_wire::error::{S3Error, S3ErrorCode};

use crate::budget::{Budget, CASE_STEPS};
use crate::error;
use crate::input::buffer::check_length;
use crate::number::Number;
use crate::sql::{DataType, Function, TrimSide};
use crate::timestamp::Timestamp;
use crate::value::Value;

/// How many steps of a [`Budget`] it takes to add to a time or to take one from another.
const TIME_STEPS: usize = 256;

/// How many steps of a [`Budget`] it takes to write a byte of a pattern of TO_STRING.
const PATTERN_STEPS: usize = 64;

/// CAST: null and missing stay what they are.
///
/// # Errors
/// `CastFailed`, and `ExternalEvalException` if the budget is used up.
pub fn cast<'a>(
    value: Value<'a>,
    data_type: DataType,
    budget: &'a Budget,
) -> Result<Value<'a>, S3Error> {
    if value.is_absent() {
        return Ok(value);
    }
    let result = match data_type {
        DataType::Bool => cast_to_bool(&value, budget)?.map(Value::Bool),
        DataType::Int => {
            cast_to_integer(&value, budget)?.map(|integer| Value::Number(Number::Integer(integer)))
        }
        DataType::Float => cast_to_number(&value, budget)?.and_then(|number| {
            let float = number.to_float();
            float
                .is_finite()
                .then_some(Value::Number(Number::Float(float)))
        }),
        DataType::Decimal(limits) => cast_to_number(&value, budget)?.and_then(|number| {
            let decimal = match limits {
                None => number.to_decimal(),
                Some((precision, scale)) => number.to_decimal_of(precision, scale),
            };
            decimal.map(|decimal| Value::Number(Number::Decimal(decimal)))
        }),
        DataType::Text => match &value {
            Value::Text(_) | Value::Made(_) => return Ok(value),
            // A field of CSV as nothing but a text.
            Value::Field(text) => Some(Value::Text(text)),
            Value::Bool(true) => Some(Value::Text("true")),
            Value::Bool(false) => Some(Value::Text("false")),
            Value::Number(number) => Some(made(number.to_string(), budget)?),
            Value::Timestamp(timestamp) => Some(made(timestamp.to_string(), budget)?),
            Value::Missing | Value::Null | Value::Json(_) => None,
        },
        DataType::Timestamp => match &value {
            Value::Timestamp(timestamp) => Some(Value::Timestamp(*timestamp)),
            other => match other.text() {
                Some(text) => Timestamp::read(text, budget)?.map(Value::Timestamp),
                None => None,
            },
        },
    };
    result.ok_or_else(|| {
        let message = format!("{} cannot be CAST to {data_type:?}.", shown(&value));
        error(S3ErrorCode::CastFailed, message)
    })
}

/// A value as an error tells it.
fn shown(value: &Value<'_>) -> String {
    let start = |text: &str| text.chars().take(50).collect::<String>();
    let text = match value {
        Value::Number(number) => start(&number.to_string()),
        Value::Bool(value) => value.to_string(),
        Value::Timestamp(timestamp) => timestamp.to_string(),
        Value::Json(_) => return "A list or an object".to_owned(),
        other => start(other.text().unwrap_or_default()),
    };
    format!("{text:?}")
}

fn cast_to_bool(value: &Value<'_>, budget: &Budget) -> Result<Option<bool>, S3Error> {
    Ok(match value {
        Value::Bool(value) => Some(*value),
        Value::Number(number) => Some(!number.is_zero()),
        other => match trimmed_text(other, budget)? {
            Some(text) if text.eq_ignore_ascii_case("true") => Some(true),
            Some(text) if text.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        },
    })
}

fn cast_to_integer(value: &Value<'_>, budget: &Budget) -> Result<Option<i64>, S3Error> {
    match value {
        Value::Bool(value) => Ok(Some(i64::from(*value))),
        Value::Number(number) => {
            budget.burn(number.steps())?;
            Ok(number.to_integer())
        }
        // A text has to be an integer as it stands.
        other => {
            let text = trimmed_text(other, budget)?;
            Ok(text.and_then(|text| text.parse().ok()))
        }
    }
}

fn cast_to_number(value: &Value<'_>, budget: &Budget) -> Result<Option<Number>, S3Error> {
    match value {
        Value::Bool(value) => Ok(Some(Number::Integer(i64::from(*value)))),
        Value::Number(number) => {
            budget.burn(number.steps())?;
            Ok(Some(number.clone()))
        }
        other => match other.text() {
            Some(text) => Number::read(text, budget),
            None => Ok(None),
        },
    }
}

fn trimmed_text<'v>(value: &'v Value<'_>, budget: &Budget) -> Result<Option<&'v str>, S3Error> {
    let Some(text) = value.text() else {
        return Ok(None);
    };
    budget.burn(text.len())?;
    Ok(Some(text.trim()))
}

/// Calls a function that takes values. COALESCE and NULLIF are no such functions.
///
/// # Errors
/// `IncorrectSqlFunctionArgumentType`, what the functions have of their own, and
/// `ExternalEvalException` if the budget is used up.
pub fn call<'a>(
    function: Function,
    arguments: &[Value<'a>],
    now: Timestamp,
    budget: &'a Budget,
) -> Result<Value<'a>, S3Error> {
    if function == Function::UtcNow {
        return Ok(Value::Timestamp(now));
    }
    // Of nothing, every function makes nothing.
    if let Some(absent) = arguments.iter().find(|argument| argument.is_absent()) {
        return Ok(absent.clone());
    }
    let wrong = || wrong_type(function);
    let text = |index: usize| arguments.get(index).and_then(Value::text).ok_or_else(wrong);
    let integer = |index: usize| {
        let number = arguments.get(index).ok_or_else(wrong)?.number(budget)?;
        let number = number.ok_or_else(wrong)?;
        budget.burn(number.steps())?;
        number.to_integer().ok_or_else(wrong)
    };
    let time = |index: usize| {
        let time = arguments.get(index).ok_or_else(wrong)?.timestamp(budget)?;
        time.ok_or_else(wrong)
    };
    match function {
        Function::CharLength => {
            let text = text(0)?;
            budget.burn(text.len())?;
            Ok(Value::Number(Number::Integer(text.chars().count() as i64)))
        }
        Function::Lower => lower(text(0)?, budget),
        Function::Upper => upper(text(0)?, budget),
        Function::Substring => {
            let length = match arguments.len() {
                3 => Some(integer(2)?),
                _ => None,
            };
            substring(text(0)?, integer(1)?, length, budget)
        }
        Function::Trim(side) => {
            let characters = match arguments.len() {
                2 => text(1)?,
                _ => " ",
            };
            trim(text(0)?, side, characters, budget)
        }
        Function::DateAdd(part) => {
            budget.burn(TIME_STEPS)?;
            let added = time(1)?.add(part, integer(0)?)?;
            Ok(Value::Timestamp(added))
        }
        Function::DateDiff(part) => {
            budget.burn(TIME_STEPS)?;
            let difference = time(0)?.difference(part, &time(1)?);
            Ok(Value::Number(Number::Integer(difference)))
        }
        Function::Extract(part) => Ok(Value::Number(Number::Integer(time(0)?.part(part)))),
        Function::ToString => {
            let pattern = text(1)?;
            let formatted = time(0)?.format(pattern)?;
            budget.burn(PATTERN_STEPS * pattern.len())?;
            made(formatted, budget)
        }
        Function::ToTimestamp => match &arguments[0] {
            Value::Timestamp(timestamp) => Ok(Value::Timestamp(*timestamp)),
            other => {
                let text = other.text().ok_or_else(wrong)?;
                let timestamp = Timestamp::read(text, budget)?.map(Value::Timestamp);
                timestamp.ok_or_else(|| {
                    let message = format!("{} is not a timestamp.", shown(other));
                    error(S3ErrorCode::ValueParseFailure, message)
                })
            }
        },
        Function::UtcNow | Function::Coalesce | Function::NullIf => Err(wrong()),
    }
}

fn wrong_type(function: Function) -> S3Error {
    let message = format!("An argument of {function:?} has the wrong type.");
    error(S3ErrorCode::IncorrectSqlFunctionArgumentType, message)
}

fn made(text: String, budget: &Budget) -> Result<Value<'_>, S3Error> {
    Ok(Value::Made(budget.hold(text)?))
}

fn lower<'a>(text: &str, budget: &'a Budget) -> Result<Value<'a>, S3Error> {
    if text.is_ascii() {
        budget.burn(text.len())?;
        return made(text.to_ascii_lowercase(), budget);
    }
    budget.burn(CASE_STEPS * text.len())?;
    check_characters(text.chars().flat_map(char::to_lowercase))?;
    made(text.to_lowercase(), budget)
}

fn upper<'a>(text: &str, budget: &'a Budget) -> Result<Value<'a>, S3Error> {
    if text.is_ascii() {
        budget.burn(text.len())?;
        return made(text.to_ascii_uppercase(), budget);
    }
    budget.burn(CASE_STEPS * text.len())?;
    check_characters(text.chars().flat_map(char::to_uppercase))?;
    made(text.to_uppercase(), budget)
}

/// Refuses a text that would be longer than a record may be, before it is made: in another case, a
/// text can have three times as many bytes.
fn check_characters(characters: impl Iterator<Item = char>) -> Result<(), S3Error> {
    check_length(characters.map(char::len_utf8).sum())
}

/// SUBSTRING counts from 1. A start before that still counts: `SUBSTRING('12345', 0, 2)` is `1`.
fn substring<'a>(
    text: &str,
    start: i64,
    length: Option<i64>,
    budget: &'a Budget,
) -> Result<Value<'a>, S3Error> {
    let end = match length {
        Some(length) if length < 0 => {
            let message = "The length of SUBSTRING must not be negative.";
            return Err(error(S3ErrorCode::EvaluatorInvalidArguments, message));
        }
        Some(length) => start.saturating_add(length),
        None => i64::MAX,
    };
    let skip = usize::try_from(start.saturating_sub(1)).unwrap_or(0);
    let count = usize::try_from(end.saturating_sub(start.max(1))).unwrap_or(0);
    let begin = bytes_of(text, skip);
    let rest = &text[begin..];
    let part = &rest[..bytes_of(rest, count)];
    budget.burn(begin + part.len())?;
    made(part.to_owned(), budget)
}

/// How many bytes the first characters of a text have.
fn bytes_of(text: &str, characters: usize) -> usize {
    let next = text.char_indices().nth(characters);
    next.map_or(text.len(), |(at, _)| at)
}

fn trim<'a>(
    text: &str,
    side: TrimSide,
    characters: &str,
    budget: &'a Budget,
) -> Result<Value<'a>, S3Error> {
    // Each character at the ends is looked for among all of those: with two long texts, that is where
    // this stops, and it is refused after that.
    let steps_max = budget.left();
    let mut steps = 0;
    let is_trimmed = |c: char| {
        steps += characters.len();
        steps <= steps_max && characters.contains(c)
    };
    let trimmed = match side {
        TrimSide::Both => text.trim_matches(is_trimmed),
        TrimSide::Leading => text.trim_start_matches(is_trimmed),
        TrimSide::Trailing => text.trim_end_matches(is_trimmed),
    };
    budget.burn(steps)?;
    budget.burn(trimmed.len())?;
    made(trimmed.to_owned(), budget)
}
