//! COUNT, SUM, AVG, MIN and MAX. Null and missing values do not take part.

use std::cmp::Ordering;

use oncilla_wire::error::{S3Error, S3ErrorCode};

use crate::budget::Budget;
use crate::error;
use crate::number::Number;
use crate::sql::{AggregateKind, Operator};
use crate::timestamp::Timestamp;
use crate::value::Value;

/// What an aggregate has come to so far.
#[derive(Clone, Debug)]
pub struct State {
    kind: AggregateKind,
    count: i64,
    /// The sum, or the extreme.
    value: Option<Term>,
}

/// What an aggregate takes.
#[derive(Clone, Debug)]
enum Term {
    Number(Number),
    Timestamp(Timestamp),
}

impl Term {
    /// Which of two is greater; `None` for a number and a time.
    fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Number(left), Self::Number(right)) => left.compare(right),
            (Self::Timestamp(left), Self::Timestamp(right)) => Some(left.compare(right)),
            _ => None,
        }
    }

    fn steps(&self) -> usize {
        match self {
            Self::Number(number) => number.steps(),
            Self::Timestamp(_) => 1,
        }
    }
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
    /// `ExternalEvalException` if the budget is used up.
    pub fn add(&mut self, value: Value<'_>, budget: &Budget) -> Result<(), S3Error> {
        if value.is_absent() {
            return Ok(());
        }
        self.count += 1;
        if self.kind == AggregateKind::Count {
            return Ok(());
        }
        let value = match value {
            Value::Timestamp(timestamp) if self.is_extreme() => Term::Timestamp(timestamp),
            value => match value.number(budget)? {
                Some(number) => Term::Number(number.into_owned()),
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
            (Some(Term::Number(sum)), Term::Number(number)) if !self.is_extreme() => {
                budget.burn(sum.steps() + number.steps())?;
                Term::Number(sum.apply(Operator::Add, &number)?)
            }
            (Some(old), new) => {
                let wanted = match self.kind {
                    AggregateKind::Min => Ordering::Less,
                    _ => Ordering::Greater,
                };
                budget.burn(new.steps() + old.steps())?;
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
            (AggregateKind::Avg, Some(Term::Number(sum))) => {
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
            (_, Some(Term::Number(number))) => Ok(Value::Number(number.clone())),
            (_, Some(Term::Timestamp(timestamp))) => Ok(Value::Timestamp(*timestamp)),
        }
    }
}
