//! COUNT, SUM, AVG, MIN and MAX. Null and missing values do not take part.

use std::cmp::Ordering;

use oncilla_wire::error::{S3Error, S3ErrorCode};

use crate::error;
use crate::number::Number;
use crate::sql::{AggregateKind, Operator};
use crate::value::Value;

/// What an aggregate has come to so far.
#[derive(Clone, Debug)]
pub struct State {
    kind: AggregateKind,
    count: i64,
    /// The sum, or the extreme.
    value: Option<Value<'static>>,
}

impl State {
    /// Of no records yet.
    pub fn new(kind: AggregateKind) -> Self {
        Self {
            kind,
            count: 0,
            value: None,
        }
    }

    /// Takes another value.
    ///
    /// # Errors
    /// `IncorrectSqlFunctionArgumentType` for what is no number; MIN and MAX take times too.
    pub fn add(&mut self, value: Value<'_>) -> Result<(), S3Error> {
        if value.is_absent() {
            return Ok(());
        }
        self.count += 1;
        if self.kind == AggregateKind::Count {
            return Ok(());
        }
        let value = match value {
            Value::Timestamp(timestamp) if self.is_extreme() => Value::Timestamp(timestamp),
            value => match value.number() {
                Some(number) => Value::Number(number.into_owned()),
                None => {
                    let message = format!(
                        "{} takes numbers. A text that is one is made a number by CAST.",
                        format!("{:?}", self.kind).to_uppercase()
                    );
                    return Err(error(
                        S3ErrorCode::IncorrectSqlFunctionArgumentType,
                        message,
                    ));
                }
            },
        };
        self.value = Some(match (self.value.take(), value) {
            (None, value) => value,
            (Some(Value::Number(sum)), Value::Number(number)) if !self.is_extreme() => {
                Value::Number(sum.apply(Operator::Add, &number)?)
            }
            (Some(old), new) => {
                let wanted = match self.kind {
                    AggregateKind::Min => Ordering::Less,
                    _ => Ordering::Greater,
                };
                match new.compare(&old) {
                    Some(order) if order == wanted => new,
                    _ => old,
                }
            }
        });
        Ok(())
    }

    fn is_extreme(&self) -> bool {
        matches!(self.kind, AggregateKind::Min | AggregateKind::Max)
    }

    /// What it has come to. Of no values, COUNT is 0 and everything else null.
    ///
    /// # Errors
    /// `NumberFormatError` for an average out of bounds.
    pub fn result(&self) -> Result<Value<'static>, S3Error> {
        let count = Number::Integer(self.count);
        match (self.kind, &self.value) {
            (AggregateKind::Count, _) => Ok(Value::Number(count)),
            (_, None) => Ok(Value::Null),
            (AggregateKind::Avg, Some(Value::Number(sum))) => {
                // Of integers, too, the average is a decimal.
                let sum = match sum {
                    Number::Integer(sum) => Number::Decimal((*sum).into()),
                    sum => sum.clone(),
                };
                match sum.apply(Operator::Divide, &count)? {
                    Number::Decimal(average) => {
                        Ok(Value::Number(Number::Decimal(average.normalized())))
                    }
                    average => Ok(Value::Number(average)),
                }
            }
            (_, Some(value)) => Ok(value.clone()),
        }
    }
}
