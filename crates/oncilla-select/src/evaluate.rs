//! Expressions to values.

use std::borrow::Cow;
use std::cmp::Ordering;

use oncilla_wire::error::{S3Error, S3ErrorCode};

use crate::like::Pattern;
use crate::sql::{Case, Comparison, Expr, Function, Like, Operator, Path};
use crate::timestamp::Timestamp;
use crate::value::{Json, Value};
use crate::{RECORD_BYTES_MAX, error, functions};

/// A record.
#[derive(Clone, Copy, Debug)]
pub enum Record<'r> {
    /// Of CSV: its fields, and for each path of the query the number of its field.
    Csv {
        /// The fields.
        fields: &'r [Cow<'r, str>],
        /// By the number of the path.
        columns: &'r [usize],
    },
    /// Of JSON; `None` for what the path after FROM did not lead to.
    Json(Option<&'r Json>),
}

/// What expressions are evaluated against.
#[derive(Clone, Copy, Debug)]
pub struct Context<'r> {
    /// The record.
    pub record: Record<'r>,
    /// The paths of the query.
    pub paths: &'r [Path],
    /// What the aggregates have come to.
    pub aggregates: &'r [Value<'r>],
    /// UTCNOW: the same for the whole query.
    pub now: Timestamp,
}

impl<'r> Context<'r> {
    /// Evaluates an expression.
    ///
    /// # Errors
    /// Whatever S3 says of values that do not fit.
    pub fn evaluate(&self, expr: &'r Expr) -> Result<Value<'r>, S3Error> {
        match expr {
            Expr::Literal(literal) => Ok(literal.into()),
            Expr::Path(path) => Ok(self.path(*path)),
            Expr::Aggregate(number) => {
                let value = self.aggregates.get(*number);
                Ok(value.cloned().unwrap_or(Value::Missing))
            }
            Expr::Not(inner) => Ok(truth(self.truth(inner)?.map(|value| !value))),
            Expr::Negate(inner) => self.negate(inner),
            Expr::And(all) => self.chain_of_truths(all, false),
            Expr::Or(all) => self.chain_of_truths(all, true),
            Expr::Arithmetic(first, rest) => self.arithmetic(first, rest),
            Expr::Compare(first, rest) => self.comparisons(first, rest),
            Expr::IsNull(inner) => Ok(Value::Bool(self.evaluate(inner)?.is_absent())),
            Expr::IsMissing(inner) => {
                let value = self.evaluate(inner)?;
                Ok(Value::Bool(matches!(value, Value::Missing)))
            }
            Expr::In(value, list) => self.is_in(value, list),
            Expr::Between(value, limits) => self.between(value, &limits.0, &limits.1),
            Expr::Like(like) => self.like(like),
            Expr::Case(case) => self.case(case),
            Expr::Cast(inner, data_type) => functions::cast(self.evaluate(inner)?, *data_type),
            Expr::Call(function, arguments) => self.call(*function, arguments),
        }
    }

    /// Whether a condition holds: null and missing are not true.
    ///
    /// # Errors
    /// As [`Context::evaluate`], and `InvalidDataType` for what is neither true nor false.
    pub fn holds(&self, condition: &'r Expr) -> Result<bool, S3Error> {
        Ok(self.truth(condition)?.unwrap_or(false))
    }

    fn path(&self, number: usize) -> Value<'r> {
        match self.record {
            Record::Csv { fields, columns } => {
                let column = columns.get(number).copied().unwrap_or(usize::MAX);
                fields
                    .get(column)
                    .map_or(Value::Missing, |field| Value::Field(field))
            }
            Record::Json(record) => {
                let Some(path) = self.paths.get(number) else {
                    return Value::Missing;
                };
                let Some(record) = record else {
                    return Value::Missing;
                };
                let steps = path.steps.as_slice();
                let found = record.at(steps).or_else(|| {
                    // `_1` is the record itself.
                    let (first, rest) = steps.split_first()?;
                    let is_record = matches!(
                        first,
                        crate::sql::PathStep::Key(name) if name.column() == Some(0)
                    );
                    is_record.then(|| record.at(rest)).flatten()
                });
                found.map_or(Value::Missing, Value::from)
            }
        }
    }

    /// True, false, or neither.
    fn truth(&self, expr: &'r Expr) -> Result<Option<bool>, S3Error> {
        let value = self.evaluate(expr)?;
        if value.is_absent() {
            return Ok(None);
        }
        let known = value.truth().map(Some);
        known.ok_or_else(|| {
            let message = "A condition is neither true nor false.";
            error(S3ErrorCode::InvalidDataType, message)
        })
    }

    /// AND is decided by the first that is false, OR by the first that is true.
    fn chain_of_truths(&self, all: &'r [Expr], decisive: bool) -> Result<Value<'r>, S3Error> {
        let mut result = Some(!decisive);
        for expr in all {
            match self.truth(expr)? {
                Some(value) if value == decisive => return Ok(Value::Bool(decisive)),
                Some(_) => {}
                None => result = None,
            }
        }
        Ok(truth(result))
    }

    fn negate(&self, inner: &'r Expr) -> Result<Value<'r>, S3Error> {
        let value = self.evaluate(inner)?;
        if value.is_absent() {
            return Ok(value);
        }
        let number = value.number().ok_or_else(not_a_number)?;
        Ok(Value::Number(number.negated()?))
    }

    fn arithmetic(
        &self,
        first: &'r Expr,
        rest: &'r [(Operator, Expr)],
    ) -> Result<Value<'r>, S3Error> {
        let mut left = self.evaluate(first)?;
        for (operator, right) in rest {
            let right = self.evaluate(right)?;
            if left.is_absent() || right.is_absent() {
                left = Value::Null;
                continue;
            }
            left = match operator {
                Operator::Concatenate => concatenate(&left, &right)?,
                operator => {
                    let (Some(a), Some(b)) = (left.number(), right.number()) else {
                        return Err(not_a_number());
                    };
                    Value::Number(a.apply(*operator, b.as_ref())?)
                }
            };
        }
        Ok(left)
    }

    fn comparisons(
        &self,
        first: &'r Expr,
        rest: &'r [(Comparison, Expr)],
    ) -> Result<Value<'r>, S3Error> {
        let mut left = self.evaluate(first)?;
        for (comparison, right) in rest {
            left = compare(&left, *comparison, &self.evaluate(right)?);
        }
        Ok(left)
    }

    fn is_in(&self, value: &'r Expr, list: &'r [Expr]) -> Result<Value<'r>, S3Error> {
        let value = self.evaluate(value)?;
        let mut result = Some(false);
        for element in list {
            let equal = compare(&value, Comparison::Equal, &self.evaluate(element)?);
            match equal {
                Value::Bool(true) => return Ok(equal),
                Value::Bool(_) => {}
                _ => result = None,
            }
        }
        Ok(truth(result))
    }

    fn between(
        &self,
        value: &'r Expr,
        low: &'r Expr,
        high: &'r Expr,
    ) -> Result<Value<'r>, S3Error> {
        let value = self.evaluate(value)?;
        let above = compare(&value, Comparison::GreaterOrEqual, &self.evaluate(low)?);
        let below = compare(&value, Comparison::LessOrEqual, &self.evaluate(high)?);
        Ok(match (above.truth(), below.truth()) {
            (Some(false), _) | (_, Some(false)) => Value::Bool(false),
            (Some(true), Some(true)) => Value::Bool(true),
            _ => Value::Null,
        })
    }

    fn like(&self, like: &'r Like) -> Result<Value<'r>, S3Error> {
        let value = self.evaluate(&like.value)?;
        if value.is_absent() {
            return Ok(Value::Null);
        }
        let text = value.text().ok_or(S3ErrorCode::LikeInvalidInputs)?;
        if let Some(pattern) = like.compiled.get() {
            return Ok(Value::Bool(pattern.matches(text)));
        }
        let pattern = self.evaluate(&like.pattern)?;
        let escape = match &like.escape {
            Some(escape) => Some(self.evaluate(escape)?),
            None => None,
        };
        if pattern.is_absent() || escape.as_ref().is_some_and(Value::is_absent) {
            return Ok(Value::Null);
        }
        let pattern = pattern.text().ok_or(S3ErrorCode::LikeInvalidInputs)?;
        let escape = match &escape {
            Some(escape) => Some(escape.text().ok_or(S3ErrorCode::LikeInvalidInputs)?),
            None => None,
        };
        let pattern = Pattern::parse(pattern, escape)?;
        let matches = pattern.matches(text);
        if like.is_constant() {
            // It was empty before; a query is evaluated by one thread at a time.
            let _ = like.compiled.set(pattern);
        }
        Ok(Value::Bool(matches))
    }

    fn case(&self, case: &'r Case) -> Result<Value<'r>, S3Error> {
        let operand = match &case.operand {
            Some(operand) => Some(self.evaluate(operand)?),
            None => None,
        };
        for (when, then) in &case.branches {
            let is_taken = match &operand {
                Some(operand) => {
                    let equal = compare(operand, Comparison::Equal, &self.evaluate(when)?);
                    equal.truth().unwrap_or(false)
                }
                None => self.holds(when)?,
            };
            if is_taken {
                return self.evaluate(then);
            }
        }
        match &case.otherwise {
            Some(otherwise) => self.evaluate(otherwise),
            None => Ok(Value::Null),
        }
    }

    fn call(&self, function: Function, arguments: &'r [Expr]) -> Result<Value<'r>, S3Error> {
        match (function, arguments) {
            (Function::Coalesce, arguments) => {
                for argument in arguments {
                    let value = self.evaluate(argument)?;
                    if !value.is_absent() {
                        return Ok(value);
                    }
                }
                Ok(Value::Null)
            }
            (Function::NullIf, [first, second]) => {
                let value = self.evaluate(first)?;
                let equal = compare(&value, Comparison::Equal, &self.evaluate(second)?);
                match equal {
                    Value::Bool(true) => Ok(Value::Null),
                    _ => Ok(value),
                }
            }
            (function, arguments) => {
                let values = arguments.iter().map(|argument| self.evaluate(argument));
                let values = values.collect::<Result<Vec<_>, _>>()?;
                functions::call(function, &values, self.now)
            }
        }
    }
}

fn truth<'v>(value: Option<bool>) -> Value<'v> {
    value.map_or(Value::Null, Value::Bool)
}

fn not_a_number() -> S3Error {
    let message = "Arithmetic needs numbers. A text that is one is made a number by CAST.";
    error(S3ErrorCode::InvalidDataType, message)
}

/// What cannot be compared is not equal, and neither less nor greater.
fn compare<'v>(left: &Value<'_>, comparison: Comparison, right: &Value<'_>) -> Value<'v> {
    if left.is_absent() || right.is_absent() {
        return Value::Null;
    }
    let order = left.compare(right);
    Value::Bool(match comparison {
        Comparison::Equal => order == Some(Ordering::Equal),
        Comparison::NotEqual => order != Some(Ordering::Equal),
        Comparison::Less => order == Some(Ordering::Less),
        Comparison::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        Comparison::Greater => order == Some(Ordering::Greater),
        Comparison::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
    })
}

fn concatenate<'v>(left: &Value<'_>, right: &Value<'_>) -> Result<Value<'v>, S3Error> {
    let (Some(left), Some(right)) = (left.text(), right.text()) else {
        let message = "|| needs texts. Something else is made a text by CAST.";
        return Err(error(S3ErrorCode::InvalidDataType, message));
    };
    if left.len() + right.len() > RECORD_BYTES_MAX {
        return Err(S3ErrorCode::OverMaxRecordSize.into());
    }
    Ok(Value::Text(Cow::Owned(format!("{left}{right}"))))
}
