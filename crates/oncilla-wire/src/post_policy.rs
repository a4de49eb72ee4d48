//! The policy of a POST Object form: what its signer lets the form say.
//! Source: S3 API reference, "Creating a POST Policy".

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

use crate::error::{S3Error, S3ErrorCode};
use crate::sigv4::is_customer_key;
use crate::time;

/// Fields that need no condition. The key id and the signature prove the policy; a checksum can
/// only be of what is sent (ceph/s3-tests, test_post_object_upload_checksum).
const FIELDS_WITHOUT_CONDITION: [&str; 5] = [
    "awsaccesskeyid",
    "file",
    "policy",
    "signature",
    "x-amz-signature",
];

/// What the names of further such fields begin with.
const PREFIXES_WITHOUT_CONDITION: [&str; 2] = ["x-ignore-", "x-amz-checksum-"];

/// The name that conditions have for the bucket, which stands in the URL.
const BUCKET: &str = "bucket";

/// The condition on the length of the file.
const CONTENT_LENGTH_RANGE: &str = "content-length-range";

/// The fields of a form that come before its file, by name in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FormFields(Vec<(String, String)>);

impl FormFields {
    /// Adds a field.
    ///
    /// # Errors
    /// `MalformedPOSTRequest` for a second one of the same name: the policy could allow one, and
    /// the other be done.
    pub fn add(&mut self, name: &str, value: String) -> Result<(), S3Error> {
        let name = name.to_ascii_lowercase();
        if self.get(&name).is_some() {
            let message = format!("The form has the field {name} twice.");
            let code = S3ErrorCode::MalformedPOSTRequest;
            return Err(S3Error::with_message(code, message));
        }
        self.0.push((name, value));
        Ok(())
    }

    /// The value of a field, named in lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut fields = self.iter();
        fields.find_map(|(this, value)| (this == name).then_some(value))
    }

    /// Gives a field another value, if it is there.
    pub fn replace(&mut self, name: &str, value: String) {
        if let Some(field) = self.0.iter_mut().find(|(this, _)| this == name) {
            field.1 = value;
        }
    }

    /// All fields in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.0.iter();
        pairs.map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// A policy that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostPolicy {
    /// Until when it holds, in Unix milliseconds.
    expires_ms: i64,
    conditions: Vec<Condition>,
    /// The lengths that the file may have.
    lengths: (u64, u64),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Condition {
    /// In lower case.
    field: String,
    value: String,
    is_prefix: bool,
    /// As errors show it: without a client's encryption key, which has no business there.
    text: String,
}

impl PostPolicy {
    /// Reads the field `policy`.
    ///
    /// # Errors
    /// `InvalidPolicyDocument`.
    pub fn parse(field: &str) -> Result<Self, S3Error> {
        let decoded = BASE64.decode(field.trim());
        let decoded = decoded.map_err(|_| invalid("Invalid Base64 encoding"))?;
        let document = serde_json::from_slice(&plain_json(&decoded));
        let document: Value = document.map_err(|_| invalid("Invalid JSON"))?;
        let Value::Object(members) = document else {
            return Err(invalid("Invalid JSON: it must be an object"));
        };
        let expiration = members.get("expiration");
        let expiration = expiration.ok_or_else(|| invalid("Policy missing expiration"))?;
        let expires_ms = expiration.as_str().and_then(parse_expiration);
        let expires_ms = expires_ms
            .ok_or_else(|| invalid(format!("Invalid 'expiration' value: {expiration}")))?;
        let Some(Value::Array(conditions)) = members.get("conditions") else {
            return Err(invalid("Policy missing conditions"));
        };
        let mut policy = Self {
            expires_ms,
            conditions: Vec::with_capacity(conditions.len()),
            lengths: (0, u64::MAX),
        };
        for condition in conditions {
            policy.add(condition)?;
        }
        Ok(policy)
    }

    fn add(&mut self, condition: &Value) -> Result<(), S3Error> {
        match condition {
            Value::Object(members) => {
                let mut members = members.iter();
                let (Some((field, value)), None) = (members.next(), members.next()) else {
                    return Err(invalid(
                        "Invalid Simple-Condition: Simple-Conditions must have exactly one \
                         property specified",
                    ));
                };
                let value = text_of(value)?;
                self.add_match("eq", &format!("${field}"), value)
            }
            Value::Array(items) => {
                let [operator, first, second] = items.as_slice() else {
                    return Err(invalid(
                        "Invalid Condition: a condition must have three items",
                    ));
                };
                let operator = text_of(operator)?.to_ascii_lowercase();
                if operator == CONTENT_LENGTH_RANGE {
                    let (min, max) = (length_of(first)?, length_of(second)?);
                    self.lengths = (self.lengths.0.max(min), self.lengths.1.min(max));
                    return Ok(());
                }
                self.add_match(&operator, text_of(first)?, text_of(second)?)
            }
            _ => Err(invalid("Invalid Condition: it is no object and no list")),
        }
    }

    fn add_match(&mut self, operator: &str, variable: &str, value: &str) -> Result<(), S3Error> {
        let is_prefix = match operator {
            "eq" => false,
            "starts-with" => true,
            _ => {
                return Err(invalid("Invalid Condition: unknown operation"));
            }
        };
        // It may be the value, a client's key, in the wrong place.
        let field = variable.strip_prefix('$').ok_or_else(|| {
            invalid("Invalid Condition: the name of a field must begin with a dollar sign")
        })?;
        let text = match is_customer_key(field) {
            true => Value::from(vec![operator, variable]),
            false => Value::from(vec![operator, variable, value]),
        };
        self.conditions.push(Condition {
            field: field.to_ascii_lowercase(),
            value: value.to_owned(),
            is_prefix,
            text: text.to_string(),
        });
        Ok(())
    }

    /// Judges a form for this bucket at this time, in Unix milliseconds.
    ///
    /// # Errors
    /// `AccessDenied`, for an expired policy, a condition that does not hold, and a field that no
    /// condition mentions.
    pub fn check(&self, fields: &FormFields, bucket: &str, now_ms: i64) -> Result<(), S3Error> {
        if now_ms > self.expires_ms {
            return Err(denied("Policy expired."));
        }
        for condition in &self.conditions {
            let value = match condition.field.as_str() {
                BUCKET => bucket,
                field => fields.get(field).unwrap_or_default(),
            };
            if !condition.holds(value) {
                let text = &condition.text;
                return Err(denied(&format!("Policy Condition failed: {text}")));
            }
        }
        let is_covered = |name: &str| {
            let mut conditions = self.conditions.iter();
            conditions.any(|condition| condition.field == name)
        };
        let needs_condition = |name: &&str| {
            let exempt = FIELDS_WITHOUT_CONDITION.contains(name)
                || PREFIXES_WITHOUT_CONDITION
                    .iter()
                    .any(|prefix| name.starts_with(prefix));
            !exempt && !is_covered(name)
        };
        let names = fields.iter().map(|(name, _)| name);
        let names = names.filter(|name| *name != BUCKET).chain([BUCKET]);
        let extra: Vec<&str> = names.filter(needs_condition).collect();
        if !extra.is_empty() {
            return Err(denied(&format!("Extra input fields: {}", extra.join(", "))));
        }
        Ok(())
    }

    /// The shortest and the longest file that it allows.
    pub fn lengths(&self) -> (u64, u64) {
        self.lengths
    }
}

/// The error for a policy whose signature is another one than `signature`. It tells what was to be
/// signed, the policy, unless a client's encryption key stands in it, or might.
pub(crate) fn signature_does_not_match(
    access_key_id: &str,
    policy: &str,
    signature: &str,
) -> S3Error {
    let has_no_key = |policy: PostPolicy| {
        let mut conditions = policy.conditions.iter();
        !conditions.any(|condition| is_customer_key(&condition.field))
    };
    let error = S3Error::new(S3ErrorCode::SignatureDoesNotMatch);
    let mut error = error.detail("AWSAccessKeyId", access_key_id);
    if PostPolicy::parse(policy).is_ok_and(has_no_key) {
        error = error.detail("StringToSign", policy);
    }
    error.detail("SignatureProvided", signature)
}

impl Condition {
    fn holds(&self, value: &str) -> bool {
        if !self.is_prefix {
            return value == self.value;
        }
        // Of a list of types each must match. Source: "Creating a POST Policy", "starts-with".
        if self.field == "content-type" && value.contains(',') {
            let mut types = value.split(',');
            return types.all(|this| this.trim().starts_with(&self.value));
        }
        value.starts_with(&self.value)
    }
}

/// A time in UTC, as `2007-12-01T12:00:00.000Z`. Source: "Creating a POST Policy", "Expiration".
fn parse_expiration(text: &str) -> Option<i64> {
    let is_utc = text.as_bytes().get(10) == Some(&b'T') && text.ends_with('Z');
    time::parse_iso8601(text).filter(|_| is_utc)
}

/// Policies know two escapes that JSON does not: `\$` for a dollar sign and `\v` for a vertical tab.
/// Source: "Creating a POST Policy", "Character Escaping".
fn plain_json(document: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(document.len());
    let mut bytes = document.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            plain.push(byte);
            continue;
        }
        match bytes.next() {
            Some(b'$') => plain.push(b'$'),
            Some(b'v') => plain.extend_from_slice(b"\\u000b"),
            Some(other) => plain.extend_from_slice(&[b'\\', other]),
            None => plain.push(b'\\'),
        }
    }
    plain
}

fn text_of(value: &Value) -> Result<&str, S3Error> {
    let text = value.as_str();
    text.ok_or_else(|| invalid("Invalid Condition: one of its items is not a text"))
}

/// A number, which some clients write as a text.
fn length_of(value: &Value) -> Result<u64, S3Error> {
    let of_text = || value.as_str().and_then(|text| text.parse().ok());
    let length = value.as_u64().or_else(of_text);
    length.ok_or_else(|| {
        invalid(format!(
            "Invalid content-length-range condition: {value} is not a length"
        ))
    })
}

fn invalid(reason: impl AsRef<str>) -> S3Error {
    S3Error::with_message(
        S3ErrorCode::InvalidPolicyDocument,
        format!("Invalid Policy: {}.", reason.as_ref()),
    )
}

fn denied(reason: &str) -> S3Error {
    S3Error::with_message(
        S3ErrorCode::AccessDenied,
        format!("Invalid according to Policy: {reason}"),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW_MS: i64 = 1_700_000_000_000;
    const LATER: &str = "2030-01-01T12:00:00.000Z";

    fn policy(document: &str) -> Result<PostPolicy, S3Error> {
        PostPolicy::parse(&BASE64.encode(document))
    }

    fn with_conditions(conditions: &str) -> Result<PostPolicy, S3Error> {
        policy(&format!(
            "{{\"expiration\": \"{LATER}\", \"conditions\": [{conditions}]}}"
        ))
    }

    fn form(pairs: &[(&str, &str)]) -> FormFields {
        let mut fields = FormFields::default();
        for (name, value) in pairs {
            fields.add(name, (*value).to_owned()).unwrap();
        }
        fields
    }

    #[test]
    fn every_field_needs_a_condition_that_holds() {
        let conditions = r#"{"bUcket": "b"}, ["StArTs-WiTh", "$KEY", "user/"], {"acl": "private"},
            ["starts-with", "$Content-Type", "image/"], ["starts-with", "$x-amz-meta-any", ""]"#;
        let policy = with_conditions(conditions).unwrap();
        let good = [
            ("Key", "user/1"),
            ("acl", "private"),
            ("content-type", "image/png"),
        ];
        let with = |pairs: &[(&str, &str)]| {
            let fields = form(&[&good[1..], pairs].concat());
            policy.check(&fields, "b", NOW_MS).map_err(|error| {
                assert_eq!(error.code, S3ErrorCode::AccessDenied);
                error.message.into_owned()
            })
        };
        let key = ("key", "user/1");
        assert_eq!(with(&[key]), Ok(()));
        let exempt = [
            key,
            ("policy", "x"),
            ("signature", "x"),
            ("AWSAccessKeyId", "x"),
            ("x-amz-signature", "x"),
            ("x-ignore-me", "x"),
            ("x-amz-checksum-sha256", "x"),
            ("bucket", "another"),
        ];
        assert_eq!(with(&exempt), Ok(()));
        assert_eq!(
            with(&[("key", "other")]).unwrap_err(),
            "Invalid according to Policy: Policy Condition failed: \
             [\"starts-with\",\"$KEY\",\"user/\"]"
        );
        assert_eq!(
            with(&[key, ("x-amz-meta-mine", "x"), ("tagging", "x")]).unwrap_err(),
            "Invalid according to Policy: Extra input fields: x-amz-meta-mine, tagging"
        );
        let elsewhere = policy.check(&form(&good), "c", NOW_MS).unwrap_err();
        assert!(elsewhere.message.contains("[\"eq\",\"$bUcket\",\"b\"]"));
        let types = |types| {
            let fields = form(&[key, good[1], ("content-type", types)]);
            policy.check(&fields, "b", NOW_MS)
        };
        assert!(types("image/png, image/jpeg").is_ok());
        assert!(types("image/png, text/html").is_err());
        let no_bucket = with_conditions(r#"["eq", "$key", "k"]"#).unwrap();
        let error = no_bucket.check(&form(&[("key", "k")]), "b", NOW_MS);
        assert!(
            error
                .unwrap_err()
                .message
                .ends_with("Extra input fields: bucket")
        );
    }

    #[test]
    fn a_missing_field_is_empty_and_a_policy_ends() {
        let policy = with_conditions(r#"{"bucket":"b"}, ["starts-with","$x-amz-meta-a","v"]"#);
        let policy = policy.unwrap();
        assert!(policy.check(&form(&[]), "b", NOW_MS).is_err());
        let policy = with_conditions(r#"{"bucket":"b"}, ["starts-with","$x-amz-meta-a",""]"#);
        let policy = policy.unwrap();
        assert!(policy.check(&form(&[]), "b", NOW_MS).is_ok());
        let end_ms = time::parse_iso8601(LATER).unwrap();
        assert!(policy.check(&form(&[]), "b", end_ms).is_ok());
        let late = policy.check(&form(&[]), "b", end_ms + 1).unwrap_err();
        assert_eq!(late.message, "Invalid according to Policy: Policy expired.");
    }

    #[test]
    fn no_error_repeats_a_clients_key() {
        let name = "x-amz-server-side-encryption-customer-key";
        let wrong_form = form(&[(name, "other")]);
        for condition in [
            format!(r#"{{"{name}": "SECRET"}}"#),
            format!(r#"["eq", "${}", "SECRET"]"#, name.to_uppercase()),
            format!(r#"["starts-with", "${name}", "SECRET"]"#),
            format!(r#"["starts-with", "SECRET", "${name}"]"#),
            format!(r#"["SECRET", "${name}", "x"]"#),
            format!(r#"{{"{name}": ["SECRET"]}}"#),
        ] {
            let judged = with_conditions(&condition)
                .and_then(|policy| policy.check(&wrong_form, "b", NOW_MS));
            let error = judged.unwrap_err();
            assert!(!error.message.contains("SECRET"), "{}", error.message);
            assert!(!error.message.contains("secret"), "{}", error.message);
        }
        let told = |conditions: &str| {
            let document =
                format!("{{\"expiration\": \"{LATER}\", \"conditions\": [{conditions}]}}");
            let error = signature_does_not_match("AK", &BASE64.encode(document), "s");
            let mut details = error.details.into_iter();
            details.any(|(name, _)| name == "StringToSign")
        };
        assert!(told(r#"{"bucket": "b"}"#));
        assert!(!told(
            r#"{"bucket": "b"}, ["eq", "$x-amz-server-side-encryption-customer-\u006bey", "k"]"#
        ));
        // What cannot be read may have one anywhere.
        assert!(!told(r#"{"bucket": "b"}, x"#));
    }

    #[test]
    fn lengths_and_escapes() {
        let policy = with_conditions(
            r#"["content-length-range", 10, "100"], ["content-length-range", 0, 50],
               ["eq", "$key", "\$a\\$\v"]"#,
        );
        let policy = policy.unwrap();
        assert_eq!(policy.lengths(), (10, 50));
        assert_eq!(policy.conditions[0].value, "$a\\$\u{b}");
        assert_eq!(with_conditions("").unwrap().lengths(), (0, u64::MAX));
    }

    #[test]
    fn what_is_not_a_policy() {
        let conditions = |text: &str| with_conditions(text).unwrap_err();
        let errors = [
            PostPolicy::parse("%%%").unwrap_err(),
            policy("").unwrap_err(),
            policy("[]").unwrap_err(),
            policy(r#"{"conditions": []}"#).unwrap_err(),
            policy(r#"{"EXPIRATION": "2030-01-01T12:00:00Z", "conditions": []}"#).unwrap_err(),
            policy(r#"{"expiration": "2030-01-01T12:00:00Z"}"#).unwrap_err(),
            policy(r#"{"expiration": "2030-01-01T12:00:00Z", "CONDITIONS": []}"#).unwrap_err(),
            policy(r#"{"expiration": "2030-01-01 12:00:00+00:00", "conditions": []}"#).unwrap_err(),
            policy(r#"{"expiration": 1, "conditions": []}"#).unwrap_err(),
            conditions("{}"),
            conditions(r#"{"a": "b", "c": "d"}"#),
            conditions(r#"{"a": 1}"#),
            conditions(r#"["eq", "$a"]"#),
            conditions(r#"["eq", "a", "b"]"#),
            conditions(r#"["ends-with", "$a", "b"]"#),
            conditions(r#"["content-length-range", 0]"#),
            conditions(r#"["content-length-range", -1, 0]"#),
            conditions("\"eq\""),
        ];
        for error in errors {
            assert_eq!(error.code, S3ErrorCode::InvalidPolicyDocument, "{error}");
            assert!(error.message.starts_with("Invalid Policy: "), "{error}");
        }
    }

    #[test]
    fn a_field_comes_once() {
        let mut fields = form(&[("key", "a")]);
        let error = fields.add("KEY", "b".to_owned()).unwrap_err();
        assert_eq!(error.code, S3ErrorCode::MalformedPOSTRequest);
        assert_eq!(fields.get("key"), Some("a"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = PostPolicy::parse(&text);
            let _ = policy(&text);
            let _ = with_conditions(&text);
        }
    }
}
