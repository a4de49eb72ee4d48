//! What an expression comes to.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::number::Number;
use crate::sql::{Literal, PathStep};
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
    pub fn at<'j>(&'j self, steps: &[PathStep]) -> Option<&'j Json> {
        let mut value = self;
        for step in steps {
            value = match (step, value) {
                (PathStep::Key(name), Json::Object(members)) => {
                    let mut members = members.iter();
                    &members.find(|(key, _)| name.is(key))?.1
                }
                (PathStep::Index(index), Json::List(elements)) => elements.get(*index)?,
                _ => return None,
            };
        }
        Some(value)
    }
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
    Text(Cow<'a, str>),
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
            Literal::Text(text) => Self::Text(Cow::Borrowed(text)),
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
            Json::Text(text) => Self::Text(Cow::Borrowed(text)),
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
            Self::Text(text) => Some(text),
            Self::Field(text) => Some(text),
            _ => None,
        }
    }

    /// The number that it is, or that a field of CSV reads as.
    pub fn number(&self) -> Option<Cow<'_, Number>> {
        match self {
            Self::Number(number) => Some(Cow::Borrowed(number)),
            Self::Field(text) => Number::parse(text).map(Cow::Owned),
            _ => None,
        }
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
    pub fn timestamp(&self) -> Option<Timestamp> {
        match self {
            Self::Timestamp(timestamp) => Some(*timestamp),
            Self::Field(text) => Timestamp::parse(text),
            _ => None,
        }
    }

    /// Which of two values is greater; `None` if they cannot be compared.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        if let (Some(left), Some(right)) = (self.text(), other.text()) {
            return Some(left.cmp(right));
        }
        if let (Self::Json(left), Self::Json(right)) = (self, other) {
            return (left == right).then_some(Ordering::Equal);
        }
        // One of them at least is no text, and decides what the other is read as.
        let is = |matches: fn(&Value<'_>) -> bool| matches(self) || matches(other);
        if is(|value| matches!(value, Value::Number(_))) {
            return self.number()?.compare(other.number()?.as_ref());
        }
        if is(|value| matches!(value, Value::Bool(_))) {
            return Some(self.truth()?.cmp(&other.truth()?));
        }
        if is(|value| matches!(value, Value::Timestamp(_))) {
            return Some(self.timestamp()?.compare(&other.timestamp()?));
        }
        None
    }

    /// Without anything borrowed from the record. Lists and objects become missing: no aggregate
    /// takes them.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Missing | Self::Json(_) => Value::Missing,
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Number(number) => Value::Number(number),
            Self::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Self::Field(text) => Value::Text(Cow::Owned(text.to_owned())),
            Self::Timestamp(timestamp) => Value::Timestamp(timestamp),
        }
    }
}
