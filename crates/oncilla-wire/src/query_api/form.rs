//! The parameters of a request: a form in the body, and what the query has beside it.

use std::collections::BTreeMap;

use super::error::{QueryError, QueryErrorCode};
use crate::digits::parse_digits;
use crate::uri::{decode_query, raw_parameters};

/// The content type of a form.
pub const FORM_CONTENT_TYPE: &str = "application/x-www-form-urlencoded";

/// Longest form: a policy document of 131,072 characters, each in a percent-escape, and room for the
/// rest. Source: IAM API reference, `PolicyDocument`.
pub const FORM_BYTES_MAX: usize = 512 * 1024;

/// Most parameters: 50 tags are 100, lists have up to 100 members.
const PARAMETERS_MAX: usize = 512;

/// Most members of a list.
pub const LIST_MEMBERS_MAX: usize = 100;

/// Longest name of a parameter that an error repeats.
const QUOTED_CHARS_MAX: usize = 64;

/// The parameters by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    parameters: BTreeMap<String, String>,
}

impl Form {
    /// Reads the form of a body and the parameters of a raw query (without `?`).
    ///
    /// # Errors
    /// `MalformedInput` for what is no form, for a parameter that is there twice, and for too many.
    pub fn parse(raw_query: &str, body: &[u8]) -> Result<Self, QueryError> {
        let malformed = |message: String| QueryError::new(QueryErrorCode::MalformedInput, message);
        let body = std::str::from_utf8(body)
            .map_err(|_| malformed("The form is not UTF-8.".to_owned()))?;
        let mut parameters = BTreeMap::new();
        // Some clients end the body with a line break.
        let pairs = raw_parameters(raw_query).chain(raw_parameters(body.trim_end()));
        for (name, value) in pairs {
            if parameters.len() == PARAMETERS_MAX {
                let message = format!("A request has at most {PARAMETERS_MAX} parameters.");
                return Err(malformed(message));
            }
            let decode = |raw: &str| {
                decode_query(raw)
                    .map(|text| text.into_owned())
                    .map_err(|_| malformed("A percent-escape of the form is malformed.".to_owned()))
            };
            let name = decode(name)?;
            let value = decode(value.unwrap_or_default())?;
            if parameters.contains_key(&name) {
                let name: String = name.chars().take(QUOTED_CHARS_MAX).collect();
                return Err(malformed(format!("The parameter {name} is there twice.")));
            }
            parameters.insert(name, value);
        }
        Ok(Self { parameters })
    }

    /// All names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let parameters = self.parameters.iter();
        parameters.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of a parameter. Names are case-sensitive.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// The value of a parameter that has to be there.
    ///
    /// # Errors
    /// `ValidationError` if it is not.
    pub fn required(&self, name: &str) -> Result<&str, QueryError> {
        self.get(name)
            .ok_or_else(|| QueryError::invalid(name, "null", "Member must not be null"))
    }

    /// The value of a numeric parameter.
    ///
    /// # Errors
    /// `ValidationError` if it is no number, or not from `min` to `max`.
    pub fn number(&self, name: &str, min: u64, max: u64) -> Result<Option<u64>, QueryError> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        match parse_digits(text) {
            Some(number) if number < min => {
                let rule = format!("Member must have value greater than or equal to {min}");
                Err(QueryError::invalid(name, text, &rule))
            }
            Some(number) if number > max => {
                let rule = format!("Member must have value less than or equal to {max}");
                Err(QueryError::invalid(name, text, &rule))
            }
            Some(number) => Ok(Some(number)),
            None => Err(QueryError::invalid(name, text, "Member must be a number")),
        }
    }

    /// The value of a parameter that is `true` or `false`; `false` if it is not there.
    ///
    /// # Errors
    /// `ValidationError` for anything else.
    pub fn boolean(&self, name: &str) -> Result<bool, QueryError> {
        match self.get(name) {
            None => Ok(false),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
            Some(text) => Err(QueryError::invalid(name, text, "Member must be a boolean")),
        }
    }

    /// The members of a list, `name.member.1` and so on.
    ///
    /// # Errors
    /// `ValidationError` for more than [`LIST_MEMBERS_MAX`].
    pub fn list(&self, name: &str) -> Result<Vec<&str>, QueryError> {
        self.members(name, "")
    }

    /// One field of each member of a list, `name.member.1.field` and so on.
    ///
    /// # Errors
    /// `ValidationError` for more than [`LIST_MEMBERS_MAX`].
    pub fn fields(&self, name: &str, field: &str) -> Result<Vec<&str>, QueryError> {
        self.members(name, &format!(".{field}"))
    }

    fn members(&self, name: &str, field: &str) -> Result<Vec<&str>, QueryError> {
        let mut members = Vec::new();
        while let Some(value) = self.get(&format!("{name}.member.{}{field}", members.len() + 1)) {
            if members.len() == LIST_MEMBERS_MAX {
                let rule =
                    format!("Member must have length less than or equal to {LIST_MEMBERS_MAX}");
                return Err(QueryError::invalid(name, "", &rule));
            }
            members.push(value);
        }
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn form(body: &str) -> Form {
        Form::parse("", body.as_bytes()).unwrap()
    }

    #[test]
    fn values_are_decoded_and_the_query_counts_too() {
        let form = Form::parse("Action=GetUser", b"UserName=a%2Bb+c&Version=&x\r\n").unwrap();
        assert_eq!(form.get("Action"), Some("GetUser"));
        assert_eq!(form.get("UserName"), Some("a+b c"));
        assert_eq!(form.get("Version"), Some(""));
        assert_eq!(form.get("x"), Some(""));
        assert_eq!(form.get("username"), None);
        assert_eq!(
            form.required("Path").unwrap_err().code,
            QueryErrorCode::ValidationError
        );
    }

    #[test]
    fn lists_go_by_their_numbers() {
        let form =
            form("T.member.2.Key=b&T.member.1.Key=a&T.member.1.Value=v&L.member.1=x&L.member.3=z");
        assert_eq!(form.fields("T", "Key").unwrap(), ["a", "b"]);
        assert_eq!(form.fields("T", "Value").unwrap(), ["v"]);
        assert_eq!(form.list("L").unwrap(), ["x"]);
        let many: Vec<String> = (1..=LIST_MEMBERS_MAX + 1)
            .map(|n| format!("L.member.{n}=x"))
            .collect();
        assert!(super::tests::form(&many.join("&")).list("L").is_err());
    }

    #[test]
    fn numbers_and_booleans_have_bounds() {
        let form = form("n=5&m=+5&b=true&c=yes&e=");
        assert_eq!(form.number("n", 1, 5).unwrap(), Some(5));
        assert_eq!(form.number("absent", 1, 5).unwrap(), None);
        for (name, min, max) in [("n", 6, 9), ("n", 1, 4), ("m", 1, 9), ("e", 0, 9)] {
            assert!(form.number(name, min, max).is_err(), "{name} {min} {max}");
        }
        assert!(form.boolean("b").unwrap() && !form.boolean("absent").unwrap());
        assert!(form.boolean("c").is_err());
    }

    #[test]
    fn what_is_no_form_is_refused() {
        let twice = ["a=b"; 2].join("&");
        for body in [&b"a=%zz"[..], b"a=%ff", b"\xff", twice.as_bytes()] {
            let refused = Form::parse("", body).unwrap_err();
            assert_eq!(refused.code, QueryErrorCode::MalformedInput);
        }
        let many: Vec<String> = (0..=PARAMETERS_MAX).map(|n| format!("a{n}=")).collect();
        assert!(Form::parse("", many.join("&").as_bytes()).is_err());
        assert!(Form::parse("Action=a", b"Action=b").is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(
            query in "[ -~]{0,60}",
            body in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            if let Ok(form) = Form::parse(&query, &body) {
                let _ = form.list("a");
            }
        }
    }
}
