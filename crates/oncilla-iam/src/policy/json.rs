//! JSON as policies need it: fields in order, none lost for being there twice, bounded depth.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::error::{PolicyError, quoted};

/// Deepest nesting: a list of values of a condition is 6 deep, and nothing goes deeper. What
/// reads the tree may therefore recurse.
const DEPTH_MAX: usize = 8;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Number(String),
    String(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// Reads a document whose first byte is `{`, in which no object has a field twice.
pub(super) fn parse(text: &[u8]) -> Result<Vec<(String, Json)>, PolicyError> {
    if text.first() != Some(&b'{') {
        return Err(PolicyError::NotJson);
    }
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = JsonSeed { depth: 0 }
        .deserialize(&mut reader)
        .map_err(|_| PolicyError::NotJson)?;
    reader.end().map_err(|_| PolicyError::NotJson)?;
    if let Some(name) = duplicate_field(&value) {
        return Err(PolicyError::DuplicateField(quoted(name)));
    }
    match value {
        Json::Object(fields) => Ok(fields),
        _ => Err(PolicyError::NotJson),
    }
}

/// A field that stands twice in one object. Other readers take the first or the last, and a
/// policy must not mean different things to different readers.
fn duplicate_field(value: &Json) -> Option<&str> {
    match value {
        Json::Object(fields) => {
            let mut names = BTreeSet::new();
            fields.iter().find_map(|(name, inner)| {
                if !names.insert(name.as_str()) {
                    return Some(name.as_str());
                }
                duplicate_field(inner)
            })
        }
        Json::Array(items) => items.iter().find_map(duplicate_field),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => None,
    }
}

#[derive(Clone, Copy)]
struct JsonSeed {
    depth: usize,
}

impl JsonSeed {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        if self.depth == DEPTH_MAX {
            return Err(E::custom("nested too deeply"));
        }
        Ok(Self {
            depth: self.depth + 1,
        })
    }
}

impl<'de> DeserializeSeed<'de> for JsonSeed {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for JsonSeed {
    type Value = Json;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Number(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let seed = self.deeper()?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(seed)? {
            array.push(item);
        }
        Ok(Json::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Json, A::Error> {
        let seed = self.deeper()?;
        let mut object = Vec::new();
        while let Some(name) = fields.next_key::<String>()? {
            object.push((name, fields.next_value_seed(seed)?));
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_order_and_type() {
        let read = parse(br#"{"b":[1,-2,1.5,true,null],"a":{"x":"y"}}"#).unwrap();
        let number = |text: &str| Json::Number(text.to_owned());
        let list = vec![
            number("1"),
            number("-2"),
            number("1.5"),
            Json::Bool(true),
            Json::Null,
        ];
        let inner = Json::Object(vec![("x".to_owned(), Json::String("y".to_owned()))]);
        assert_eq!(
            read,
            [("b".to_owned(), Json::Array(list)), ("a".to_owned(), inner)]
        );
    }

    #[test]
    fn what_is_no_document_is_refused() {
        for text in [
            "",
            " {}",
            "[]",
            "{",
            "{}x",
            "\u{feff}{}",
            "null",
            "{'a':1}",
            "{\"a\":1,}",
        ] {
            assert_eq!(parse(text.as_bytes()), Err(PolicyError::NotJson), "{text}");
        }
        assert_eq!(parse(b"{\"a\":\"\xff\"}"), Err(PolicyError::NotJson));
        let twice = parse(br#"{"a":{"b":1,"b":1}}"#);
        assert_eq!(twice, Err(PolicyError::DuplicateField("b".to_owned())));
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(nested(DEPTH_MAX - 1).as_bytes()).is_ok());
        assert_eq!(
            parse(nested(DEPTH_MAX).as_bytes()),
            Err(PolicyError::NotJson)
        );
        assert_eq!(
            parse(nested(1_000_000).as_bytes()),
            Err(PolicyError::NotJson)
        );
    }
}
