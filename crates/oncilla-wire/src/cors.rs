//! Cross-origin resource sharing: what a bucket's rules say to a request of a browser.
//! Source: S3 User Guide, "How does Amazon S3 evaluate the CORS configuration on a bucket?".

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::error::{S3Error, S3ErrorCode};
use crate::xml::cors::{CORS_METHODS, CorsConfiguration, CorsRule};

/// What the answer depends on, for caches between the browser and here.
const VARIES_WITH: &str = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method";

/// What a request says of the script that made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrossOrigin {
    origin: String,
    /// The method that is judged.
    method: String,
    /// The headers that a preflight asks for, in lower case.
    headers: Vec<String>,
}

impl CrossOrigin {
    /// Reads a request that is itself carried out; `None` if it has no `Origin`. The method that is
    /// judged is the one in `Access-Control-Request-Method`, if there is one (ceph/s3-tests,
    /// test_cors_origin_response).
    pub fn of_request(method: &Method, headers: &HeaderMap) -> Option<Self> {
        let origin = headers.get(ORIGIN)?.to_str().ok()?;
        let asked = headers.get(ACCESS_CONTROL_REQUEST_METHOD);
        let asked = asked.and_then(|asked| asked.to_str().ok());
        Some(Self {
            origin: origin.to_owned(),
            method: asked.unwrap_or(method.as_str()).to_owned(),
            headers: Vec::new(),
        })
    }

    /// Reads a preflight.
    ///
    /// # Errors
    /// `BadRequest` without an origin or a method that a rule can allow.
    pub fn of_preflight(headers: &HeaderMap) -> Result<Self, S3Error> {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let origin = text(ORIGIN).filter(|origin| !origin.is_empty());
        let origin = origin.ok_or_else(|| {
            let message = "Insufficient information. Origin request header needed.";
            S3Error::with_message(S3ErrorCode::BadRequest, message)
        })?;
        let method = text(ACCESS_CONTROL_REQUEST_METHOD);
        let known = method.filter(|method| CORS_METHODS.contains(method));
        let method = known.ok_or_else(|| {
            let message = format!(
                "Invalid Access-Control-Request-Method: {}",
                method.unwrap_or("null")
            );
            S3Error::with_message(S3ErrorCode::BadRequest, message)
        })?;
        let headers = text(ACCESS_CONTROL_REQUEST_HEADERS).unwrap_or_default();
        Ok(Self {
            origin: origin.to_owned(),
            method: method.to_owned(),
            headers: headers
                .split(',')
                .map(|name| name.trim().to_ascii_lowercase())
                .filter(|name| !name.is_empty())
                .collect(),
        })
    }

    /// The method that is judged.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The first rule that allows it, with the pattern that its origin matched.
    fn rule<'c>(&self, configuration: &'c CorsConfiguration) -> Option<(&'c CorsRule, &'c str)> {
        configuration.rules.iter().find_map(|rule| {
            let mut patterns = rule.allowed_origins.iter();
            let pattern = patterns.find(|pattern| matches(pattern, &self.origin))?;
            let method = rule.allowed_methods.contains(&self.method);
            let header_allowed = |name: &String| {
                let mut allowed = rule.allowed_headers.iter();
                allowed.any(|pattern| matches(&pattern.to_ascii_lowercase(), name))
            };
            let allowed = method && self.headers.iter().all(header_allowed);
            allowed.then_some((rule, pattern.as_str()))
        })
    }

    /// The headers of the answer by the first rule that allows the request; `None` if no rule does.
    pub fn answer(&self, configuration: &CorsConfiguration) -> Option<HeaderMap> {
        let (rule, pattern) = self.rule(configuration)?;
        let is_anybody = pattern == "*";
        let mut headers = HeaderMap::with_capacity(8);
        // A text that is no header value cannot be in a rule or a request.
        let mut set = |name: HeaderName, text: &str| {
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.insert(name, value);
            }
        };
        let origin = if is_anybody {
            "*"
        } else {
            self.origin.as_str()
        };
        set(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        set(
            ACCESS_CONTROL_ALLOW_METHODS,
            &rule.allowed_methods.join(", "),
        );
        if !self.headers.is_empty() {
            set(ACCESS_CONTROL_ALLOW_HEADERS, &self.headers.join(", "));
        }
        if !rule.expose_headers.is_empty() {
            set(
                ACCESS_CONTROL_EXPOSE_HEADERS,
                &rule.expose_headers.join(", "),
            );
        }
        if let Some(max_age_s) = rule.max_age_s {
            set(ACCESS_CONTROL_MAX_AGE, &max_age_s.to_string());
        }
        if !is_anybody {
            set(ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
        }
        set(VARY, VARIES_WITH);
        Some(headers)
    }
}

/// Whether `text` is `pattern`, in which one `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, end)) => {
            text.len() >= start.len() + end.len() && text.starts_with(start) && text.ends_with(end)
        }
    }
}

/// Why a preflight is refused: the bucket has no rules.
pub fn not_enabled(asked: &CrossOrigin, resource_type: &'static str) -> S3Error {
    let message = "CORSResponse: CORS is not enabled for this bucket.";
    forbidden(message, asked, resource_type)
}

/// Why a preflight is refused: no rule allows it. The misspelling is S3's own.
pub fn not_allowed(asked: &CrossOrigin, resource_type: &'static str) -> S3Error {
    let message = "CORSResponse: This CORS request is not allowed. This is usually because the \
                   evalution of Origin, request method / Access-Control-Request-Method or \
                   Access-Control-Request-Headers are not whitelisted by the resource's CORS spec.";
    forbidden(message, asked, resource_type)
}

fn forbidden(message: &'static str, asked: &CrossOrigin, resource_type: &'static str) -> S3Error {
    S3Error::with_message(S3ErrorCode::AccessForbidden, message)
        .detail("Method", asked.method())
        .detail("ResourceType", resource_type)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule(origins: &[&str], methods: &[&str], headers: &[&str]) -> CorsRule {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        CorsRule {
            allowed_origins: owned(origins),
            allowed_methods: owned(methods),
            allowed_headers: owned(headers),
            ..CorsRule::default()
        }
    }

    fn preflight(origin: &str, method: &str, asked: &str) -> Result<CrossOrigin, S3Error> {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            (ORIGIN, origin),
            (ACCESS_CONTROL_REQUEST_METHOD, method),
            (ACCESS_CONTROL_REQUEST_HEADERS, asked),
        ] {
            if !value.is_empty() {
                headers.insert(name, value.parse().unwrap());
            }
        }
        CrossOrigin::of_preflight(&headers)
    }

    #[test]
    fn the_first_rule_that_allows_everything_answers() {
        let configuration = CorsConfiguration {
            rules: vec![
                rule(&["https://*.example.com"], &["GET"], &[]),
                rule(
                    &["https://a.example.com", "http://b"],
                    &["PUT", "GET"],
                    &["X-Amz-*", "content-type"],
                ),
                rule(&["*"], &["DELETE"], &["*"]),
            ],
        };
        // Origin, method, headers asked for; origin and methods allowed.
        let cases = [
            (
                "https://x.example.com",
                "GET",
                "",
                Some(("https://x.example.com", "GET")),
            ),
            ("https://x.example.com", "PUT", "", None),
            (
                "https://.example.com",
                "GET",
                "",
                Some(("https://.example.com", "GET")),
            ),
            ("https://example.com", "GET", "", None),
            ("http://x.example.com", "GET", "", None),
            ("https://x.example.com.evil", "GET", "", None),
            (
                "https://a.example.com",
                "GET",
                "",
                Some(("https://a.example.com", "GET")),
            ),
            (
                "https://a.example.com",
                "GET",
                "Content-Type, x-amz-date",
                Some(("https://a.example.com", "PUT, GET")),
            ),
            ("https://a.example.com", "PUT", "x-other", None),
            ("http://b", "PUT", "x-amz-", Some(("http://b", "PUT, GET"))),
            ("http://B", "PUT", "", None),
            ("null", "DELETE", "anything,at-all", Some(("*", "DELETE"))),
            ("null", "GET", "", None),
        ];
        for (origin, method, headers, expected) in cases {
            let asked = preflight(origin, method, headers).unwrap();
            let answer = asked.answer(&configuration);
            let of = |name: HeaderName| {
                let value = answer.as_ref()?.get(name)?;
                Some(value.to_str().unwrap().to_owned())
            };
            let found = of(ACCESS_CONTROL_ALLOW_ORIGIN).zip(of(ACCESS_CONTROL_ALLOW_METHODS));
            let expected = expected
                .map(|(origin, methods): (&str, &str)| (origin.to_owned(), methods.to_owned()));
            assert_eq!(found, expected, "{origin} {method} {headers}");
            let with_credentials = of(ACCESS_CONTROL_ALLOW_CREDENTIALS).is_some();
            let is_anybody = expected.as_ref().is_some_and(|(origin, _)| origin == "*");
            assert_eq!(with_credentials, expected.is_some() && !is_anybody);
            assert_eq!(of(VARY).is_some(), expected.is_some());
            let echoed = of(ACCESS_CONTROL_ALLOW_HEADERS).unwrap_or_default();
            if expected.is_some() {
                let asked = headers.to_ascii_lowercase().replace(' ', "");
                assert_eq!(echoed.replace(' ', ""), asked);
            }
        }
    }

    #[test]
    fn a_preflight_needs_origin_and_method() {
        for (origin, method, message) in [
            ("", "GET", "Origin request header needed"),
            ("http://a", "", "Access-Control-Request-Method: null"),
            ("http://a", "PATCH", "Access-Control-Request-Method: PATCH"),
            ("http://a", "get", "Access-Control-Request-Method: get"),
        ] {
            let error = preflight(origin, method, "").unwrap_err();
            assert_eq!(error.code, S3ErrorCode::BadRequest);
            assert!(error.message.contains(message), "{}", error.message);
        }
    }

    #[test]
    fn a_request_is_judged_by_its_method_and_exposes_headers() {
        let mut configuration = CorsConfiguration {
            rules: vec![rule(&["*"], &["GET"], &[])],
        };
        configuration.rules[0].expose_headers = vec!["ETag".to_owned(), "x-amz-a".to_owned()];
        configuration.rules[0].max_age_s = Some(60);
        let mut headers = HeaderMap::new();
        assert_eq!(CrossOrigin::of_request(&Method::GET, &headers), None);
        headers.insert(ORIGIN, "http://a".parse().unwrap());
        let get = CrossOrigin::of_request(&Method::GET, &headers).unwrap();
        let answer = get.answer(&configuration).unwrap();
        assert_eq!(answer[ACCESS_CONTROL_EXPOSE_HEADERS], "ETag, x-amz-a");
        assert_eq!(answer[ACCESS_CONTROL_MAX_AGE], "60");
        let put = CrossOrigin::of_request(&Method::PUT, &headers).unwrap();
        assert_eq!(put.answer(&configuration), None);
        headers.insert(ACCESS_CONTROL_REQUEST_METHOD, "GET".parse().unwrap());
        let put = CrossOrigin::of_request(&Method::PUT, &headers).unwrap();
        assert!(put.answer(&configuration).is_some());
    }

    proptest! {
        #[test]
        fn a_wildcard_stands_for_any_text(start in "[a-z.]{0,5}", end in "[a-z.]{0,5}", middle in "[a-z.]{0,5}") {
            let pattern = format!("{start}*{end}");
            let whole = format!("{start}{middle}{end}");
            prop_assert!(matches(&pattern, &whole));
            let before = format!("!{whole}");
            prop_assert!(start.is_empty() || !matches(&pattern, &before));
            prop_assert!(matches(&whole, &whole));
        }
    }
}
