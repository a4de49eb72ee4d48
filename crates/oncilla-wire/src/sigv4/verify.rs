//! Verifying a signature.

use std::borrow::Cow;

use http::HeaderMap;
use oncilla_hash::hex;
use subtle::ConstantTimeEq as _;

use super::canonical::{PathForm, canonical_request, path_was_changed, string_to_sign};
use super::parse::{malformed, malformed_credential};
use super::payload::UNSIGNED_PAYLOAD;
use super::{
    AmzDate, PayloadDeclaration, RequestView, SERVICE_S3, SERVICE_S3_EXPRESS,
    SERVICE_S3_OBJECT_LAMBDA, SignatureLocation, SignedRequest, SigningKey, has_to_be_signed,
};
use crate::error::{S3Error, S3ErrorCode};
use crate::header::USER_METADATA_PREFIX;

/// The longest presigned life that S3 allows, whose error text names it.
const WEEK_S: u64 = 7 * 24 * 3600;

/// The `x-amz-*` headers whose values are lists, which some SDKs send one by one.
const LIST_HEADERS: [&str; 3] = [
    "x-amz-object-attributes",
    "x-amz-optional-object-attributes",
    "x-amz-trailer",
];

/// What is accepted of a signature's times and service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifyLimits {
    /// How far the client's clock may be from ours, either way.
    pub clock_skew_s: u64,
    /// The longest `X-Amz-Expires` of a presigned URL.
    pub presign_expiry_max_s: u64,
    /// The service the scope must name.
    pub service: &'static str,
}

impl Default for VerifyLimits {
    /// S3's own: 15 minutes of skew, 7 days of presigned life.
    fn default() -> Self {
        Self {
            clock_skew_s: 15 * 60,
            presign_expiry_max_s: WEEK_S,
            service: SERVICE_S3,
        }
    }
}

impl SignedRequest<'_> {
    /// Checks scope and times, which needs no key: a request that fails here is not worth a look-up.
    /// `now_s` is in Unix seconds. [`SignedRequest::verify`] includes it.
    ///
    /// # Errors
    /// `RequestTimeTooSkewed`, `AccessDenied` (expired or not yet valid),
    /// `AuthorizationHeaderMalformed`, `AuthorizationQueryParametersError`; `NotImplemented` for what
    /// is meant for directory buckets or for Object Lambda.
    pub fn check_scope_and_time(&self, now_s: i64, limits: &VerifyLimits) -> Result<(), S3Error> {
        match &*self.scope.service {
            SERVICE_S3_EXPRESS => return Err(not_implemented("Directory buckets are")),
            SERVICE_S3_OBJECT_LAMBDA => return Err(not_implemented("S3 Object Lambda is")),
            _ => {}
        }
        if self.scope.service != limits.service {
            return Err(malformed_credential(
                self.location,
                format!(
                    "incorrect service \"{}\". This endpoint belongs to \"{}\".",
                    self.scope.service, limits.service
                ),
            ));
        }
        if self.scope.day != self.timestamp.day() {
            return Err(malformed_credential(
                self.location,
                format!(
                    "Invalid credential date \"{}\". This date is not the same as X-Amz-Date: \
                     \"{}\".",
                    self.scope.day,
                    self.timestamp.day()
                ),
            ));
        }
        match self.expires_s {
            None => check_skew(&self.timestamp, now_s, limits),
            Some(expires_s) => self.check_expiry(expires_s, now_s, limits),
        }
    }

    fn check_expiry(
        &self,
        expires_s: u64,
        now_s: i64,
        limits: &VerifyLimits,
    ) -> Result<(), S3Error> {
        if expires_s > limits.presign_expiry_max_s {
            return Err(malformed(
                self.location,
                expiry_too_long(limits.presign_expiry_max_s),
            ));
        }
        check_is_past(&self.timestamp, now_s, limits)?;
        let expiry_s = self.timestamp.unix_s().saturating_add_unsigned(expires_s);
        // A URL that held for no time at all has expired, also within the second it was made in.
        if expires_s == 0 || now_s > expiry_s {
            return Err(
                S3Error::with_message(S3ErrorCode::AccessDenied, "Request has expired")
                    .detail("X-Amz-Expires", expires_s.to_string())
                    .detail("Expires", iso8601(expiry_s))
                    .detail("ServerTime", iso8601(now_s)),
            );
        }
        Ok(())
    }

    /// Decides whether `request`, from which this was parsed, was signed with `key`, at a time that
    /// holds at `now_s` (Unix seconds).
    ///
    /// # Errors
    /// As [`SignedRequest::check_scope_and_time`], and `AccessDenied` with `HeadersNotSigned`,
    /// `SignatureDoesNotMatch` with the strings that were compared, never with the secret.
    pub fn verify(
        &self,
        request: &RequestView<'_>,
        key: &SigningKey,
        now_s: i64,
        limits: &VerifyLimits,
    ) -> Result<(), S3Error> {
        self.verify_payload(request, key, now_s, limits).map(drop)
    }

    /// As [`SignedRequest::verify`]; gives what was signed of the body. To a presigned URL, which is
    /// made without knowing the body, whoever uses it may declare more than that.
    ///
    /// # Errors
    /// As [`SignedRequest::verify`].
    pub fn verify_payload(
        &self,
        request: &RequestView<'_>,
        key: &SigningKey,
        now_s: i64,
        limits: &VerifyLimits,
    ) -> Result<PayloadDeclaration, S3Error> {
        self.check_scope_and_time(now_s, limits)?;
        self.check_required_headers_signed(request)?;

        let mut first_attempt = None;
        for payload_text in self.payload_texts() {
            let form = PathForm::Canonical;
            let canonical = canonical_request(request, form, &self.signed_headers, payload_text)?;
            let to_sign = string_to_sign(&canonical, &self.timestamp, &self.scope);
            let signed = match payload_text {
                UNSIGNED_PAYLOAD => PayloadDeclaration::UnsignedPayload,
                _ => self.payload,
            };
            if self.signature_matches(key, &to_sign) {
                return Ok(signed);
            }
            if path_was_changed(&canonical, request) {
                let form = PathForm::AsSent;
                let as_sent = canonical_request(request, form, &self.signed_headers, payload_text)?;
                if self
                    .signature_matches(key, &string_to_sign(&as_sent, &self.timestamp, &self.scope))
                {
                    return Ok(signed);
                }
            }
            first_attempt.get_or_insert((canonical, to_sign));
        }
        let (canonical, to_sign) = first_attempt.unwrap_or_default();
        Err(self.signature_does_not_match(request, &canonical, &to_sign))
    }

    fn signature_matches(&self, key: &SigningKey, string_to_sign: &[u8]) -> bool {
        let expected = hex::encode_32(&key.sign(string_to_sign));
        expected.ct_eq(self.signature.as_bytes()).into()
    }

    /// The host and every `x-amz-*` header that is there must be signed: S3 lets nobody add, for
    /// instance, `x-amz-acl` or `x-amz-copy-source` to what someone else signed. The same goes for
    /// `x-tigris-rename`, which makes a copy a move. This holds for presigned URLs too; only
    /// `x-amz-content-sha256` may then come unsigned, because it grants nothing and restricts the
    /// body.
    fn check_required_headers_signed(&self, request: &RequestView<'_>) -> Result<(), S3Error> {
        let is_signed = |name: &str| {
            self.signed_headers
                .split(';')
                .any(|n| n.eq_ignore_ascii_case(name))
        };
        let exempt = match self.location {
            SignatureLocation::Header => "",
            SignatureLocation::Query => "x-amz-content-sha256",
        };
        let present = request.headers.keys().map(|name| name.as_str());
        let must_be_signed = present.filter(|name| has_to_be_signed(name) && *name != exempt);
        let not_signed: Vec<&str> = std::iter::once("host")
            .chain(must_be_signed)
            .filter(|name| !is_signed(name))
            .collect();
        if not_signed.is_empty() {
            return refuse_repeated_headers(request.headers);
        }
        Err(S3Error::with_message(
            S3ErrorCode::AccessDenied,
            "There were headers present in the request which were not signed",
        )
        .detail("HeadersNotSigned", not_signed.join(", ")))
    }

    /// S3 sends back what it compared, so that the client's author sees where the two differ.
    fn signature_does_not_match(
        &self,
        request: &RequestView<'_>,
        canonical: &[u8],
        to_sign: &[u8],
    ) -> S3Error {
        let error = S3Error::new(S3ErrorCode::SignatureDoesNotMatch)
            .detail("AWSAccessKeyId", self.access_key_id.as_ref())
            .detail("StringToSign", String::from_utf8_lossy(to_sign))
            .detail("SignatureProvided", self.signature.as_ref())
            .detail("StringToSignBytes", spaced_hex(to_sign));
        // Headers and query stand in it as they are. (The string to sign has its digest only.)
        if request.has_customer_key() {
            return error;
        }
        error
            .detail("CanonicalRequest", String::from_utf8_lossy(canonical))
            .detail("CanonicalRequestBytes", spaced_hex(canonical))
    }
}

/// The refusal of what is meant for a service of S3 that is not here.
fn not_implemented(what: &str) -> S3Error {
    let message = format!("{what} not implemented. Nothing was changed.");
    S3Error::with_message(S3ErrorCode::NotImplemented, message)
}

/// Refuses a request that was signed too long ago, or in the future.
pub(crate) fn check_skew(
    timestamp: &AmzDate,
    now_s: i64,
    limits: &VerifyLimits,
) -> Result<(), S3Error> {
    if now_s.abs_diff(timestamp.unix_s()) <= limits.clock_skew_s {
        return Ok(());
    }
    Err(S3Error::new(S3ErrorCode::RequestTimeTooSkewed)
        .detail("RequestTime", timestamp.as_str())
        .detail("ServerTime", iso8601(now_s))
        .detail(
            "MaxAllowedSkewMilliseconds",
            (limits.clock_skew_s * 1000).to_string(),
        ))
}

/// Refuses what was signed in the future and says itself how long it holds: a presigned URL, or a form.
/// Somebody could keep it until then.
pub(super) fn check_is_past(
    timestamp: &AmzDate,
    now_s: i64,
    limits: &VerifyLimits,
) -> Result<(), S3Error> {
    if timestamp.unix_s() <= now_s.saturating_add_unsigned(limits.clock_skew_s) {
        return Ok(());
    }
    let code = S3ErrorCode::AccessDenied;
    Err(S3Error::with_message(code, "Request is not yet valid")
        .detail("X-Amz-Date", timestamp.to_iso8601())
        .detail("ServerTime", iso8601(now_s)))
}

/// Refuses an `x-amz-*` header of one value that comes twice. What is signed, and what policies see,
/// are the values joined with commas, so a value that holds a comma could be sent in two pieces, of
/// which only the first would be read. Lists and user metadata are read whole.
///
/// A signature of Version 4 does not [verify](SignedRequest::verify) with such a header. This is for
/// requests without one.
///
/// # Errors
/// `InvalidRequest`.
pub fn refuse_repeated_headers(headers: &HeaderMap) -> Result<(), S3Error> {
    let has_one_value = |name: &str| {
        has_to_be_signed(name)
            && !name.starts_with(USER_METADATA_PREFIX)
            && !LIST_HEADERS.contains(&name)
    };
    let repeated = headers.keys().find(|name| {
        has_one_value(name.as_str()) && headers.get_all(*name).iter().nth(1).is_some()
    });
    match repeated {
        None => Ok(()),
        Some(name) => Err(S3Error::with_message(
            S3ErrorCode::InvalidRequest,
            format!("The header {name} must be given once."),
        )),
    }
}

fn expiry_too_long(limit_s: u64) -> Cow<'static, str> {
    if limit_s == WEEK_S {
        return Cow::Borrowed(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given \
             X-Amz-Expires must be less than 604800 seconds",
        );
    }
    Cow::Owned(format!(
        "X-Amz-Expires must not be more than {limit_s} seconds"
    ))
}

/// A time as errors print it; empty if it is none.
pub(crate) fn iso8601(unix_s: i64) -> String {
    AmzDate::from_unix_s(unix_s)
        .map(|date| date.to_iso8601())
        .unwrap_or_default()
}

/// Bytes as S3 prints them in errors: two lower-case digits each, separated by spaces.
pub(crate) fn spaced_hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 3);
    for (index, byte) in bytes.iter().enumerate() {
        if index > 0 {
            text.push(' ');
        }
        text.push_str(&hex::encode(&[*byte]));
    }
    text
}
