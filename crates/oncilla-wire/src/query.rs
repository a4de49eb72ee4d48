//! The query of a request: decoded once, small, and free when there is none.

use crate::digits::parse_digits;
use crate::error::{S3Error, S3ErrorCode};
use crate::uri::{decode_query, raw_parameters};

/// The most parameters a request may have. A presigned upload of a part has about fifteen; the rest
/// is room for the parameters that clients add for themselves.
pub const MAX_PARAMETERS: usize = 128;

/// The decoded parameters in their order. Takes no memory when the query is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// All names and values, one after the other.
    text: String,
    parameters: Vec<Parameter>,
}

/// Where a parameter stands in [`Query::text`]: the name from `start`, the value from `middle` to `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Parameter {
    start: usize,
    middle: usize,
    end: usize,
}

impl Query {
    /// Decodes a raw query (without `?`). Percent-encoding that is broken or not UTF-8 is
    /// `InvalidURI`; more than [`MAX_PARAMETERS`] is `InvalidRequest`.
    pub fn parse(raw: Option<&str>) -> Result<Self, S3Error> {
        let mut query = Self::default();
        let Some(raw) = raw.filter(|raw| !raw.is_empty()) else {
            return Ok(query);
        };
        query.text.reserve(raw.len());
        for (name, value) in raw_parameters(raw) {
            if query.parameters.len() == MAX_PARAMETERS {
                return Err(S3Error::with_message(
                    S3ErrorCode::InvalidRequest,
                    "The request has too many query parameters.",
                ));
            }
            let start = query.text.len();
            query.text.push_str(&decode_query(name)?);
            let middle = query.text.len();
            query
                .text
                .push_str(&decode_query(value.unwrap_or_default())?);
            query.parameters.push(Parameter {
                start,
                middle,
                end: query.text.len(),
            });
        }
        Ok(query)
    }

    /// Whether the parameter is there, with or without a value. Names are case-sensitive.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The value of the parameter's first occurrence; empty if it has none.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(this, _)| *this == name)
            .map(|(_, value)| value)
    }

    /// The value of the parameter as a number, or `InvalidArgument` if it is not one.
    pub fn get_number(&self, name: &str) -> Result<Option<u64>, S3Error> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        match parse_digits(text) {
            Some(number) => Ok(Some(number)),
            None => Err(S3Error::invalid_argument(
                name,
                text,
                format!("Provided {name} not an integer or within integer range"),
            )),
        }
    }

    /// Names and values in the order they were sent.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parameters.iter().map(|parameter| {
            let name = &self.text[parameter.start..parameter.middle];
            (name, &self.text[parameter.middle..parameter.end])
        })
    }

    /// Whether there is no parameter.
    pub fn is_empty(&self) -> bool {
        self.parameters.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_and_values_are_decoded_and_the_first_wins() {
        let query = Query::parse(Some("acl&prefix=a%2Fb&prefix=c&max-keys=10&x=a+b&e=")).unwrap();
        assert!(query.has("acl"));
        assert_eq!(query.get("acl"), Some(""));
        assert_eq!(query.get("prefix"), Some("a/b"));
        assert_eq!(query.get_number("max-keys").unwrap(), Some(10));
        assert_eq!(query.get("e"), Some(""));
        assert_eq!(query.get("ACL"), None);
        assert_eq!(query.iter().count(), 6);
        assert_eq!(
            query.get_number("prefix").unwrap_err().code,
            S3ErrorCode::InvalidArgument
        );
    }

    #[test]
    fn the_empty_query_allocates_nothing() {
        for raw in [None, Some("")] {
            let query = Query::parse(raw).unwrap();
            assert!(query.is_empty());
            assert_eq!((query.text.capacity(), query.parameters.capacity()), (0, 0));
        }
    }

    #[test]
    fn too_many_parameters_are_refused() {
        let raw = vec!["a=b"; MAX_PARAMETERS + 1].join("&");
        assert_eq!(
            Query::parse(Some(&raw)).unwrap_err().code,
            S3ErrorCode::InvalidRequest
        );
    }

    #[test]
    fn what_is_not_utf8_is_refused() {
        assert_eq!(
            Query::parse(Some("prefix=%ff")).unwrap_err().code,
            S3ErrorCode::InvalidURI
        );
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(raw in ".{0,200}") {
            let _ = Query::parse(Some(&raw));
        }
    }
}
