//! What an expression comes to.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

use oncilla_wire::error::S3Error;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::budget::{Budget, Made};
use crate::number::Number;
use crate::sql::{Literal, Name, PathStep};
use crate::timestamp::Timestamp;

/// A value of JSON, with its keys as they came.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Json {
    Null,
    Bool(bool),
    Integer(i64),
    /// A number that is no 64-bit integer.
    Float(f64),
    Text(Box<str>),
    List(Vec<Json>),
    Object(Vec<(Box<str>, Json)>),
}

impl Json {
    /// What a path leads to.
    ///
    /// # Errors
    /// `ExternalEvalException` if the budget is used up.
    pub fn at<'j>(
        &'j self,
        steps: &[PathStep],
        budget: &Budget,
    ) -> Result<Option<&'j Json>, S3Error> {
        let mut value = self;
        for step in steps {
            let next = match (step, value) {
                (PathStep::Key(name), Json::Object(members)) => member(members, name, budget)?,
                (PathStep::Index(index), Json::List(elements)) => elements.get(*index),
                _ => None,
            };
            let Some(next) = next else {
                return Ok(None);
            };
            value = next;
        }
        Ok(Some(value))
    }

    /// Whether two values are the same; the members of objects in the same order.
    ///
    /// # Errors
    /// `ExternalEvalException` if the budget is used up.
    pub fn is_same(&self, other: &Json, budget: &Budget) -> Result<bool, S3Error> {
        budget.burn(1)?;
        match (self, other) {
            (Json::Text(left), Json::Text(right)) => is_same_text(left, right, budget),
            (Json::List(left), Json::List(right)) if left.len() == right.len() => {
                for (left, right) in left.iter().zip(right) {
                    if !left.is_same(right, budget)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (Json::Object(left), Json::Object(right)) if left.len() == right.len() => {
                for ((left_key, left), (right_key, right)) in left.iter().zip(right) {
                    if !is_same_text(left_key, right_key, budget)?
                        || !left.is_same(right, budget)?
                    {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (Json::List(_) | Json::Object(_), _) => Ok(false),
            (left, right) => Ok(left == right),
        }
    }
}

fn is_same_text(left: &str, right: &str, budget: &Budget) -> Result<bool, S3Error> {
    if left.len() != right.len() {
        return Ok(false);
    }
    budget.burn(left.len())?;
    Ok(left == right)
}

/// The first member of this name.
fn member<'j>(
    members: &'j [(Box<str>, Json)],
    name: &Name,
    budget: &Budget,
) -> Result<Option<&'j Json>, S3Error> {
    let mut steps = 0;
    let found = members.iter().find(|(key, _)| {
        steps += name.steps(key);
        name.is(key)
    });
    budget.burn(steps)?;
    Ok(found.map(|(_, value)| value))
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Json;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value")
            }

            fn visit_unit<E>(self) -> Result<Json, E> {
                Ok(Json::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
                Ok(Json::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
                Ok(Json::Integer(value))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
                let integer = i64::try_from(value).map(Json::Integer);
                Ok(integer.unwrap_or(Json::Float(value as f64)))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
                Ok(Json::Float(value))
            }

            fn visit_str<E>(self, value: &str) -> Result<Json, E> {
                Ok(Json::Text(value.into()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Json, A::Error> {
                let mut list = Vec::new();
                while let Some(element) = elements.next_element()? {
                    list.push(element);
                }
                Ok(Json::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
                let mut object = Vec::new();
                while let Some((key, value)) = members.next_entry::<Cow<'_, str>, Json>()? {
                    object.push((key.into(), value));
                }
                Ok(Json::Object(object))
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

/// What an expression comes to.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum Value<'a> {
    /// There is no such thing in the record.
    Missing,
    Null,
    Bool(bool),
    Number(Number),
    Text(&'a str),
    /// A text that was made of others.
    Made(Made<'a>),
    /// A field of CSV: a text that is taken for a number, a time or a truth where one is wanted.
    Field(&'a str),
    Timestamp(Timestamp),
    /// A list or an object.
    Json(&'a Json),
}

impl<'a> From<&'a Literal> for Value<'a> {
    fn from(literal: &'a Literal) -> Self {
        match literal {
            Literal::Null => Self::Null,
            Literal::Missing => Self::Missing,
            Literal::Bool(value) => Self::Bool(*value),
            Literal::Number(number) => Self::Number(number.clone()),
            Literal::Text(text) => Self::Text(text),
            Literal::Timestamp(timestamp) => Self::Timestamp(*timestamp),
        }
    }
}

impl<'a> From<&'a Json> for Value<'a> {
    fn from(json: &'a Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(*value),
            Json::Integer(value) => Self::Number(Number::Integer(*value)),
            Json::Float(value) => Self::Number(Number::from_json_float(*value)),
            Json::Text(text) => Self::Text(text),
            Json::List(_) | Json::Object(_) => Self::Json(json),
        }
    }
}

impl Value<'_> {
    /// Whether it is null or missing.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Missing | Self::Null)
    }

    /// The text that it is.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Field(text) => Some(text),
            Self::Made(made) => Some(made.as_str()),
            _ => None,
        }
    }

    /// The number that it is, or that a field of CSV reads as.
    ///
    /// # Errors
    /// `ExternalEvalException` if the budget is used up.
    pub fn number(&self, budget: &Budget) -> Result<Option<Cow<'_, Number>>, S3Error> {
        Ok(match self {
            Self::Number(number) => Some(Cow::Borrowed(number)),
            Self::Field(text) => Number::read(text, budget)?.map(Cow::Owned),
            _ => None,
        })
    }

    /// The truth that it is, or that a field of CSV reads as.
    pub fn truth(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            Self::Field(text) if text.eq_ignore_ascii_case("true") => Some(true),
            Self::Field(text) if text.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        }
    }

    /// The time that it is, or that a field of CSV reads as.
    ///
    /// # Errors
    /// `ExternalEvalException` if the budget is used up.
    pub fn timestamp(&self, budget: &Budget) -> Result<Option<Timestamp>, S3Error> {
        match self {
            Self::Timestamp(timestamp) => Ok(Some(*timestamp)),
            Self::Field(text) => Timestamp::read(text, budget),
            _ => Ok(None),
        }
    }

    /// Which of two values is greater; `None` if they cannot be compared.
    ///
    /// # Errors
    /// `ExternalEvalException` if the budget is used up.
    pub fn compare(&self, other: &Self, budget: &Budget) -> Result<Option<Ordering>, S3Error> {
        if let (Some(left), Some(right)) = (self.text(), other.text()) {
            budget.burn(left.len().min(right.len()))?;
            return Ok(Some(left.cmp(right)));
        }
        if let (Self::Json(left), Self::Json(right)) = (self, other) {
            let is_same = left.is_same(right, budget)?;
            return Ok(is_same.then_some(Ordering::Equal));
        }
        // One of them at least is no text, and decides what the other is read as.
        let is = |matches: fn(&Value<'_>) -> bool| matches(self) || matches(other);
        if is(|value| matches!(value, Value::Number(_))) {
            let (Some(left), Some(right)) = (self.number(budget)?, other.number(budget)?) else {
                return Ok(None);
            };
            budget.burn(left.steps() + right.steps())?;
            return Ok(left.compare(&right));
        }
        if is(|value| matches!(value, Value::Bool(_))) {
            let truths = self.truth().zip(other.truth());
            return Ok(truths.map(|(left, right)| left.cmp(&right)));
        }
        if is(|value| matches!(value, Value::Timestamp(_))) {
            let times = self.timestamp(budget)?.zip(other.timestamp(budget)?);
            return Ok(times.map(|(left, right)| left.compare(&right)));
        }
        Ok(None)
    }
}
