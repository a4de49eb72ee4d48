//! Expressions to values.

use std::borrow::Cow;
use std::cmp::Ordering;

use oncilla_wire::error::{S3Error, S3ErrorCode};

use crate::budget::Budget;
use crate::input::buffer::check_length;
use crate::like::Pattern;
use crate::sql::{Case, Comparison, Expr, Function, Like, Operator, Path, PathStep};
use crate::timestamp::Timestamp;
use crate::value::{Json, Value};
use crate::{error, functions};

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
    /// What is left for this record.
    pub budget: &'r Budget,
}

impl<'r> Context<'r> {
    /// Evaluates an expression.
    ///
    /// # Errors
    /// Whatever S3 says of values that do not fit; `ExternalEvalException` if the budget is used up.
    pub fn evaluate(&self, expr: &'r Expr) -> Result<Value<'r>, S3Error> {
        match expr {
            Expr::Literal(literal) => Ok(literal.into()),
            Expr::Path(path) => self.path(*path),
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
            Expr::Cast(inner, data_type) => {
                functions::cast(self.evaluate(inner)?, *data_type, self.budget)
            }
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

    fn path(&self, number: usize) -> Result<Value<'r>, S3Error> {
        match self.record {
            Record::Csv { fields, columns } => {
                let column = columns.get(number).copied().unwrap_or(usize::MAX);
                let field = fields.get(column);
                Ok(field.map_or(Value::Missing, |field| Value::Field(field)))
            }
            Record::Json(record) => {
                let (Some(path), Some(record)) = (self.paths.get(number), record) else {
                    return Ok(Value::Missing);
                };
                let steps = path.steps.as_slice();
                let mut found = record.at(steps, self.budget)?;
                // `_1` is the record itself.
                if found.is_none()
                    && let Some((PathStep::Key(first), rest)) = steps.split_first()
                    && first.column() == Some(0)
                {
                    found = record.at(rest, self.budget)?;
                }
                let value = found.map_or(Value::Missing, Value::from);
                if let Value::Number(number) = &value {
                    self.budget.burn(number.steps())?;
                }
                Ok(value)
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
        let number = value.number(self.budget)?.ok_or_else(not_a_number)?;
        self.budget.burn(number.steps())?;
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
                Operator::Concatenate => self.concatenate(left, &right)?,
                operator => self.calculate(*operator, &left, &right)?,
            };
        }
        Ok(left)
    }

    fn calculate(
        &self,
        operator: Operator,
        left: &Value<'r>,
        right: &Value<'r>,
    ) -> Result<Value<'r>, S3Error> {
        let (left, right) = (left.number(self.budget)?, right.number(self.budget)?);
        let (Some(left), Some(right)) = (left, right) else {
            return Err(not_a_number());
        };
        self.budget.burn(left.steps() + right.steps())?;
        Ok(Value::Number(left.apply(operator, right.as_ref())?))
    }

    fn concatenate(&self, left: Value<'r>, right: &Value<'r>) -> Result<Value<'r>, S3Error> {
        let (Some(start), Some(rest)) = (left.text(), right.text()) else {
            let message = "|| needs texts. Something else is made a text by CAST.";
            return Err(error(S3ErrorCode::InvalidDataType, message));
        };
        self.budget.burn(rest.len())?;
        if let Value::Made(made) = left {
            return Ok(Value::Made(made.with(rest)?));
        }
        self.budget.burn(start.len())?;
        check_length(start.len() + rest.len())?;
        Ok(Value::Made(self.budget.hold([start, rest].concat())?))
    }

    fn comparisons(
        &self,
        first: &'r Expr,
        rest: &'r [(Comparison, Expr)],
    ) -> Result<Value<'r>, S3Error> {
        let mut left = self.evaluate(first)?;
        for (comparison, right) in rest {
            left = self.compare(&left, *comparison, &self.evaluate(right)?)?;
        }
        Ok(left)
    }

    fn is_in(&self, value: &'r Expr, list: &'r [Expr]) -> Result<Value<'r>, S3Error> {
        let value = self.evaluate(value)?;
        let mut result = Some(false);
        for element in list {
            let equal = self.compare(&value, Comparison::Equal, &self.evaluate(element)?)?;
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
        let above = self.compare(&value, Comparison::GreaterOrEqual, &self.evaluate(low)?)?;
        let below = self.compare(&value, Comparison::LessOrEqual, &self.evaluate(high)?)?;
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
            return Ok(Value::Bool(pattern.matches(text, self.budget)?));
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
        self.budget.burn(pattern.len())?;
        let pattern = Pattern::parse(pattern, escape)?;
        let matches = pattern.matches(text, self.budget)?;
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
                    let when = self.evaluate(when)?;
                    let equal = self.compare(operand, Comparison::Equal, &when)?;
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
                let equal = self.compare(&value, Comparison::Equal, &self.evaluate(second)?)?;
                match equal {
                    Value::Bool(true) => Ok(Value::Null),
                    _ => Ok(value),
                }
            }
            (function, arguments) => {
                let values = arguments.iter().map(|argument| self.evaluate(argument));
                let values = values.collect::<Result<Vec<_>, _>>()?;
                functions::call(function, &values, self.now, self.budget)
            }
        }
    }

    /// What cannot be compared is not equal, and neither less nor greater.
    fn compare(
        &self,
        left: &Value<'r>,
        comparison: Comparison,
        right: &Value<'r>,
    ) -> Result<Value<'r>, S3Error> {
        if left.is_absent() || right.is_absent() {
            return Ok(Value::Null);
        }
        let order = left.compare(right, self.budget)?;
        Ok(Value::Bool(match comparison {
            Comparison::Equal => order == Some(Ordering::Equal),
            Comparison::NotEqual => order != Some(Ordering::Equal),
            Comparison::Less => order == Some(Ordering::Less),
            Comparison::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Comparison::Greater => order == Some(Ordering::Greater),
            Comparison::GreaterOrEqual => {
                matches!(order, Some(Ordering::Greater | Ordering::Equal))
            }
        }))
    }
}

fn truth<'v>(value: Option<bool>) -> Value<'v> {
    value.map_or(Value::Null, Value::Bool)
}

fn not_a_number() -> S3Error {
    let message = "Arithmetic needs numbers. A text that is one is made a number by CAST.";
    error(S3ErrorCode::InvalidDataType, message)
}
