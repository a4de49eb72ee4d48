//! The functions of one record, and CAST.
//! Source: S3 User Guide, "SQL functions" of S3 Select.

use std::borrow::Cow;

use oncilla_wire::error::{S3Error, S3ErrorCode};

use crate::number::Number;
use crate::sql::{DataType, Function, TrimSide};
use crate::timestamp::Timestamp;
use crate::value::Value;
use crate::{RECORD_BYTES_MAX, error};

/// CAST: null and missing stay what they are.
///
/// # Errors
/// `CastFailed`.
pub fn cast<'a>(value: Value<'a>, data_type: DataType) -> Result<Value<'a>, S3Error> {
    if value.is_absent() {
        return Ok(value);
    }
    let result = match data_type {
        DataType::Bool => cast_to_bool(&value).map(Value::Bool),
        DataType::Int => {
            cast_to_integer(&value).map(|integer| Value::Number(Number::Integer(integer)))
        }
        DataType::Float => cast_to_number(&value).and_then(|number| {
            let float = number.to_float();
            float
                .is_finite()
                .then_some(Value::Number(Number::Float(float)))
        }),
        DataType::Decimal(limits) => cast_to_number(&value).and_then(|number| {
            let decimal = match limits {
                None => number.to_decimal(),
                Some((precision, scale)) => number.to_decimal_of(precision, scale),
            };
            decimal.map(|decimal| Value::Number(Number::Decimal(decimal)))
        }),
        DataType::Text => match &value {
            Value::Text(_) | Value::Field(_) => return Ok(as_text(value)),
            Value::Bool(true) => Some(Value::Text(Cow::Borrowed("true"))),
            Value::Bool(false) => Some(Value::Text(Cow::Borrowed("false"))),
            Value::Number(number) => Some(Value::Text(Cow::Owned(number.to_string()))),
            Value::Timestamp(timestamp) => Some(Value::Text(Cow::Owned(timestamp.to_string()))),
            Value::Missing | Value::Null | Value::Json(_) => None,
        },
        DataType::Timestamp => match &value {
            Value::Timestamp(timestamp) => Some(Value::Timestamp(*timestamp)),
            other => other
                .text()
                .and_then(Timestamp::parse)
                .map(Value::Timestamp),
        },
    };
    result.ok_or_else(|| {
        let message = format!("{} cannot be CAST to {data_type:?}.", shown(&value));
        error(S3ErrorCode::CastFailed, message)
    })
}

/// A value as an error tells it.
fn shown(value: &Value<'_>) -> String {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Timestamp(timestamp) => timestamp.to_string(),
        Value::Json(_) => return "A list or an object".to_owned(),
        other => other.text().unwrap_or_default().to_owned(),
    };
    let text: String = text.chars().take(50).collect();
    format!("{text:?}")
}

fn cast_to_bool(value: &Value<'_>) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        Value::Number(number) => Some(!number.is_zero()),
        other => match other.text()?.trim().to_ascii_lowercase().as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        },
    }
}

fn cast_to_integer(value: &Value<'_>) -> Option<i64> {
    match value {
        Value::Bool(value) => Some(i64::from(*value)),
        Value::Number(number) => number.to_integer(),
        // A text has to be an integer as it stands.
        other => other.text()?.trim().parse().ok(),
    }
}

fn cast_to_number(value: &Value<'_>) -> Option<Number> {
    match value {
        Value::Bool(value) => Some(Number::Integer(i64::from(*value))),
        Value::Number(number) => Some(number.clone()),
        other => Number::parse(other.text()?),
    }
}

/// A field of CSV as nothing but a text.
fn as_text(value: Value<'_>) -> Value<'_> {
    match value {
        Value::Field(text) => Value::Text(Cow::Borrowed(text)),
        other => other,
    }
}

/// Calls a function that takes values. COALESCE and NULLIF are no such functions.
///
/// # Errors
/// `IncorrectSqlFunctionArgumentType`, and what the functions have of their own.
pub fn call<'a>(
    function: Function,
    arguments: &[Value<'a>],
    now: Timestamp,
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
        let number = arguments.get(index).and_then(Value::number);
        number
            .and_then(|number| number.to_integer())
            .ok_or_else(wrong)
    };
    let time = |index: usize| {
        arguments
            .get(index)
            .and_then(Value::timestamp)
            .ok_or_else(wrong)
    };
    match function {
        Function::CharLength => {
            let length = text(0)?.chars().count() as i64;
            Ok(Value::Number(Number::Integer(length)))
        }
        Function::Lower => owned(text(0)?.to_lowercase()),
        Function::Upper => owned(text(0)?.to_uppercase()),
        Function::Substring => {
            let length = match arguments.len() {
                3 => Some(integer(2)?),
                _ => None,
            };
            substring(text(0)?, integer(1)?, length)
        }
        Function::Trim(side) => {
            let characters = match arguments.len() {
                2 => text(1)?,
                _ => " ",
            };
            owned(trim(text(0)?, side, characters).to_owned())
        }
        Function::DateAdd(part) => {
            let added = time(1)?.add(part, integer(0)?)?;
            Ok(Value::Timestamp(added))
        }
        Function::DateDiff(part) => {
            let difference = time(0)?.difference(part, &time(1)?);
            Ok(Value::Number(Number::Integer(difference)))
        }
        Function::Extract(part) => Ok(Value::Number(Number::Integer(time(0)?.part(part)))),
        Function::ToString => owned(time(0)?.format(text(1)?)?),
        Function::ToTimestamp => match &arguments[0] {
            Value::Timestamp(timestamp) => Ok(Value::Timestamp(*timestamp)),
            other => {
                let text = other.text().ok_or_else(wrong)?;
                let timestamp = Timestamp::parse(text).map(Value::Timestamp);
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

fn owned<'a>(text: String) -> Result<Value<'a>, S3Error> {
    if text.len() > RECORD_BYTES_MAX {
        return Err(S3ErrorCode::OverMaxRecordSize.into());
    }
    Ok(Value::Text(Cow::Owned(text)))
}

/// SUBSTRING counts from 1. A start before that still counts: `SUBSTRING('12345', 0, 2)` is `1`.
fn substring<'a>(text: &str, start: i64, length: Option<i64>) -> Result<Value<'a>, S3Error> {
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
    owned(text.chars().skip(skip).take(count).collect())
}

fn trim<'t>(text: &'t str, side: TrimSide, characters: &str) -> &'t str {
    let is_trimmed = |c: char| characters.contains(c);
    match side {
        TrimSide::Both => text.trim_matches(is_trimmed),
        TrimSide::Leading => text.trim_start_matches(is_trimmed),
        TrimSide::Trailing => text.trim_end_matches(is_trimmed),
    }
}
