//! AWS Signature Version 2, for clients that know no other: reading and verifying.
//!
//! It is weaker than [Version 4](crate::sigv4): HMAC-SHA1 with the secret itself, and nothing of the
//! body or of most headers and parameters is signed. Servers take it only where it was switched on.
//! No clock is read here: the time is always a parameter.
//!
//! Source: S3 User Guide, "Signing and authenticating REST requests (AWS signature version 2)".

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName};
use oncilla_hash::hmac_sha1;
use subtle::ConstantTimeEq as _;

use crate::error::{S3Error, S3ErrorCode};
use crate::header::X_AMZ_SECURITY_TOKEN;
use crate::operation::is_subresource_name;
use crate::post_policy::signature_does_not_match;
use crate::sigv4::{
    AmzDate, RequestView, SignatureLocation, TIGRIS_PREFIX, VerifyLimits, check_skew,
    header_timestamp, hoist, iso8601, parse_seconds, spaced_hex,
};
use crate::uri::{decode_path, decode_query, raw_parameters};

const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");

/// What the names of S3's own headers begin with; all of them are signed.
const AMZ_PREFIX: &str = "x-amz-";

/// The parameters that are signed: those that S3 documents, and those that clients sign beside
/// them. In order.
const SIGNED_PARAMETERS: [&str; 35] = [
    "accelerate",
    "acl",
    "analytics",
    "cors",
    "defaultObjectAcl",
    "delete",
    "inventory",
    "lifecycle",
    "location",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "partNumber",
    "policy",
    "replication",
    "requestPayment",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "restore",
    "select",
    "select-type",
    "storageClass",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
    "website",
];

/// Parameters that only refine an operation, though they select one in its table.
const REFINING_PARAMETERS: [&str; 2] = ["id", "list-type"];

/// When a signature holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Validity {
    /// Around the time it was made.
    Signed(AmzDate),
    /// Until then, in Unix seconds.
    Until(i64),
}

/// A signature together with what is needed to verify it.
#[derive(Clone, Debug)]
pub struct SignedRequest<'r> {
    /// Who claims to have signed.
    pub access_key_id: Cow<'r, str>,
    /// `x-amz-security-token`.
    pub security_token: Option<&'r str>,
    signature: Cow<'r, str>,
    validity: Validity,
}

/// The parameters of a presigned URL.
#[derive(Default)]
struct Presigned<'r> {
    access_key_id: Option<Cow<'r, str>>,
    signature: Option<Cow<'r, str>>,
    expires: Option<Cow<'r, str>>,
}

impl<'r> Presigned<'r> {
    fn find(raw_query: &'r str) -> Result<Self, S3Error> {
        let mut found = Self::default();
        for (name, value) in raw_parameters(raw_query) {
            let slot = match name {
                "AWSAccessKeyId" => &mut found.access_key_id,
                "Signature" => &mut found.signature,
                "Expires" => &mut found.expires,
                _ => continue,
            };
            if slot.is_some() {
                let message = format!("The parameter {name} must be given only once.");
                return Err(S3Error::with_message(S3ErrorCode::InvalidRequest, message));
            }
            *slot = Some(decode_query(value.unwrap_or_default())?);
        }
        Ok(found)
    }

    fn is_signed(&self) -> bool {
        self.access_key_id.is_some() && self.signature.is_some()
    }
}

/// Whether a query carries a signature of this version.
pub fn is_presigned(raw_query: &str) -> bool {
    let has = |wanted| raw_parameters(raw_query).any(|(name, _)| name == wanted);
    has("AWSAccessKeyId") && has("Signature")
}

/// Moves what a presigned URL says instead of a header (`x-amz-acl`, `content-type`) into the
/// headers, where it is signed and takes effect. A header that is there stays.
///
/// # Errors
/// `InvalidURI`, `InvalidArgument` for what cannot be a header.
pub fn hoist_headers(raw_query: &str, headers: &mut HeaderMap) -> Result<(), S3Error> {
    hoist(raw_query, headers, |name| {
        name.starts_with(AMZ_PREFIX)
            || name == CONTENT_MD5.as_str()
            || name == CONTENT_TYPE.as_str()
    })
}

impl<'r> SignedRequest<'r> {
    /// Reads the signature of a request; `None` if it has none of this version.
    ///
    /// # Errors
    /// `InvalidArgument` for a header that is malformed and for two signatures, `AccessDenied`
    /// without a date or an expiry.
    pub fn parse(request: &RequestView<'r>) -> Result<Option<Self>, S3Error> {
        let presigned = Presigned::find(request.raw_query)?;
        let header = request.headers.get(AUTHORIZATION);
        let security_token = request.headers.get(X_AMZ_SECURITY_TOKEN);
        let security_token = security_token.and_then(|token| token.to_str().ok());
        let Some(header) = header else {
            if !presigned.is_signed() {
                return Ok(None);
            }
            return Self::from_query(presigned, security_token).map(Some);
        };
        let header = header.to_str().unwrap_or_default().trim();
        let Some(credential) = header.strip_prefix("AWS ") else {
            return match presigned.is_signed() {
                true => Err(two_signatures()),
                false => Ok(None),
            };
        };
        let version_4 = |(name, _): (&str, _)| name == "X-Amz-Signature";
        let is_repeated = request.headers.get_all(AUTHORIZATION).iter().count() > 1;
        if presigned.is_signed() || is_repeated || raw_parameters(request.raw_query).any(version_4)
        {
            return Err(two_signatures());
        }
        // The last colon: an id may hold one, base64 does not.
        let parts = credential.trim().rsplit_once(':');
        let parts = parts.filter(|(id, signature)| !id.is_empty() && !signature.is_empty());
        let Some((access_key_id, signature)) = parts else {
            let message = "AWS authorization header is invalid. Expected AwsAccessKeyId:signature";
            return Err(S3Error::invalid_argument("Authorization", "AWS", message));
        };
        Ok(Some(Self {
            access_key_id: Cow::Borrowed(access_key_id),
            security_token,
            signature: Cow::Borrowed(signature),
            validity: Validity::Signed(header_timestamp(request.headers)?),
        }))
    }

    fn from_query(
        presigned: Presigned<'r>,
        security_token: Option<&'r str>,
    ) -> Result<Self, S3Error> {
        let (Some(access_key_id), Some(signature), Some(expires)) = (
            presigned.access_key_id,
            presigned.signature,
            presigned.expires,
        ) else {
            return Err(S3Error::with_message(
                S3ErrorCode::AccessDenied,
                "Query-string authentication requires the Signature, Expires and AWSAccessKeyId \
                 parameters",
            ));
        };
        let until = parse_seconds(&expires).ok_or_else(|| {
            let message = format!("Invalid date (should be seconds since epoch): {expires}");
            S3Error::with_message(S3ErrorCode::AccessDenied, message)
        })?;
        Ok(Self {
            access_key_id,
            security_token,
            signature,
            validity: Validity::Until(until),
        })
    }

    /// Where it stood.
    pub fn location(&self) -> SignatureLocation {
        match self.validity {
            Validity::Signed(_) => SignatureLocation::Header,
            Validity::Until(_) => SignatureLocation::Query,
        }
    }

    /// When it was signed. A presigned URL does not say.
    pub fn timestamp(&self) -> Option<AmzDate> {
        match self.validity {
            Validity::Signed(timestamp) => Some(timestamp),
            Validity::Until(_) => None,
        }
    }

    /// Decides whether `request`, from which this was parsed, was signed with the secret, at a time
    /// that holds at `now_s` (Unix seconds). `host_bucket` is the bucket that its host names.
    ///
    /// # Errors
    /// `RequestTimeTooSkewed`, `AccessDenied` (expired), `InvalidRequest` for a sub-resource or a
    /// header that this version does not sign, `SignatureDoesNotMatch` with what was signed, never with the
    /// secret.
    pub fn verify(
        &self,
        request: &RequestView<'_>,
        host_bucket: Option<&str>,
        secret_access_key: &str,
        now_s: i64,
        limits: &VerifyLimits,
    ) -> Result<(), S3Error> {
        match self.validity {
            Validity::Signed(timestamp) => check_skew(&timestamp, now_s, limits)?,
            Validity::Until(until_s) => check_expiry(until_s, now_s, limits)?,
        }
        refuse_unsigned_headers(request.headers)?;
        let to_sign = self.string_to_sign(request, host_bucket)?;
        let tag = hmac_sha1(secret_access_key.as_bytes(), &to_sign);
        let expected = BASE64.encode(tag);
        if expected.as_bytes().ct_eq(self.signature.as_bytes()).into() {
            return Ok(());
        }
        let error = S3Error::new(S3ErrorCode::SignatureDoesNotMatch)
            .detail("AWSAccessKeyId", self.access_key_id.as_ref());
        // The headers stand in the string to sign as they are.
        if request.has_customer_key() {
            return Err(error.detail("SignatureProvided", self.signature.as_ref()));
        }
        Err(error
            .detail("StringToSign", String::from_utf8_lossy(&to_sign))
            .detail("SignatureProvided", self.signature.as_ref())
            .detail("StringToSignBytes", spaced_hex(&to_sign)))
    }

    fn string_to_sign(
        &self,
        request: &RequestView<'_>,
        host_bucket: Option<&str>,
    ) -> Result<Vec<u8>, S3Error> {
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(request.method.as_bytes());
        out.push(b'\n');
        for name in [CONTENT_MD5, CONTENT_TYPE] {
            let value = request.headers.get(name);
            out.extend_from_slice(value.map_or(&b""[..], |value| value.as_bytes().trim_ascii()));
            out.push(b'\n');
        }
        match self.validity {
            Validity::Until(until_s) => out.extend_from_slice(until_s.to_string().as_bytes()),
            // In its place `x-amz-date` is signed, among the headers of its kind.
            Validity::Signed(_) if request.headers.contains_key("x-amz-date") => {}
            Validity::Signed(_) => {
                let date = request.headers.get(http::header::DATE);
                out.extend_from_slice(date.map_or(&b""[..], |date| date.as_bytes().trim_ascii()));
            }
        }
        out.push(b'\n');
        append_amz_headers(&mut out, request.headers);
        if let Some(bucket) = host_bucket {
            out.push(b'/');
            out.extend_from_slice(bucket.as_bytes());
        }
        out.extend_from_slice(request.raw_path.as_bytes());
        // A bucket ends with a slash, also where the client leaves it out (botocore does).
        let is_bucket = request.raw_path.rfind('/') == Some(0) && request.raw_path.len() > 1;
        if host_bucket.is_none() && is_bucket {
            out.push(b'/');
        }
        append_parameters(&mut out, request.raw_query)?;
        Ok(out)
    }
}

/// A URL that holds for longer than is allowed is refused until it holds for no longer than that:
/// when it was made, it does not say.
fn check_expiry(until_s: i64, now_s: i64, limits: &VerifyLimits) -> Result<(), S3Error> {
    let message = if now_s > until_s {
        "Request has expired".to_owned()
    } else if now_s.abs_diff(until_s) > limits.presign_expiry_max_s {
        let longest_s = limits.presign_expiry_max_s;
        format!("Expires must not be more than {longest_s} seconds ahead")
    } else {
        return Ok(());
    };
    Err(S3Error::with_message(S3ErrorCode::AccessDenied, message)
        .detail("Expires", iso8601(until_s))
        .detail("ServerTime", iso8601(now_s)))
}

/// Refuses the headers of Tigris's, which this version does not sign: anybody could have added them to
/// what someone else signed.
fn refuse_unsigned_headers(headers: &HeaderMap) -> Result<(), S3Error> {
    let mut names = headers.keys().map(HeaderName::as_str);
    let Some(name) = names.find(|name| name.starts_with(TIGRIS_PREFIX)) else {
        return Ok(());
    };
    let message = format!(
        "Signature Version 2 does not sign the header {name}. Please use AWS4-HMAC-SHA256."
    );
    Err(S3Error::with_message(S3ErrorCode::InvalidRequest, message))
}

/// All `x-amz-*` headers by name, each on a line, their values joined with commas and on one line.
fn append_amz_headers(out: &mut Vec<u8>, headers: &HeaderMap) {
    let names = headers.keys().map(HeaderName::as_str);
    let mut names: Vec<&str> = names.filter(|name| name.starts_with(AMZ_PREFIX)).collect();
    names.sort_unstable();
    for name in names {
        out.extend_from_slice(name.as_bytes());
        out.push(b':');
        for (index, value) in headers.get_all(name).iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(value.as_bytes().trim_ascii());
        }
        out.push(b'\n');
    }
}

/// The parameters that are signed, by name, decoded.
fn append_parameters(out: &mut Vec<u8>, raw_query: &str) -> Result<(), S3Error> {
    let mut signed = Vec::new();
    for (name, value) in raw_parameters(raw_query) {
        // What the name means decides, however it was written.
        let name = decode_query(name)?;
        if SIGNED_PARAMETERS.contains(&name.as_ref()) {
            signed.push((name, value.map(decode_path).transpose()?));
        } else if is_subresource_name(&name) && !REFINING_PARAMETERS.contains(&name.as_ref()) {
            let message = format!(
                "Signature Version 2 does not sign the sub-resource {name}. Please use \
                 AWS4-HMAC-SHA256."
            );
            return Err(S3Error::with_message(S3ErrorCode::InvalidRequest, message));
        }
    }
    signed.sort();
    for (index, (name, value)) in signed.iter().enumerate() {
        out.push(if index == 0 { b'?' } else { b'&' });
        out.extend_from_slice(name.as_bytes());
        if let Some(value) = value {
            out.push(b'=');
            out.extend_from_slice(value.as_bytes());
        }
    }
    Ok(())
}

/// Decides whether `policy`, the field of a POST Object form as it was sent, was signed with the
/// secret. Source: S3 User Guide, "Browser-based uploads using POST (AWS signature version 2)".
///
/// # Errors
/// `SignatureDoesNotMatch` with what was signed, never with the secret.
pub fn verify_policy(
    policy: &str,
    access_key_id: &str,
    signature: &str,
    secret_access_key: &str,
) -> Result<(), S3Error> {
    let tag = hmac_sha1(secret_access_key.as_bytes(), policy.as_bytes());
    let expected = BASE64.encode(tag);
    if expected.as_bytes().ct_eq(signature.as_bytes()).into() {
        return Ok(());
    }
    Err(signature_does_not_match(access_key_id, policy, signature))
}

fn two_signatures() -> S3Error {
    S3Error::invalid_argument(
        "Authorization",
        "AWS",
        "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature \
         query string parameter or the Authorization header should be specified",
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY_ID: &str = "AKIAIOSFODNN7EXAMPLE";
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

    struct Example {
        method: &'static str,
        target: &'static str,
        headers: &'static [(&'static str, &'static str)],
        host_bucket: Option<&'static str>,
        signature: &'static str,
    }

    /// Source: "Signing and authenticating REST requests", its examples with their signatures.
    const EXAMPLES: [Example; 8] = [
        Example {
            method: "GET",
            target: "/photos/puppy.jpg",
            headers: &[("date", "Tue, 27 Mar 2007 19:36:42 +0000")],
            host_bucket: Some("awsexamplebucket1"),
            signature: "qgk2+6Sv9/oM7G3qLEjTH1a1l1g=",
        },
        Example {
            method: "PUT",
            target: "/photos/puppy.jpg",
            headers: &[
                ("content-type", "image/jpeg"),
                ("content-length", "94328"),
                ("date", "Tue, 27 Mar 2007 21:15:45 +0000"),
            ],
            host_bucket: Some("awsexamplebucket1"),
            signature: "iqRzw+ileNPu1fhspnRs8nOjjIA=",
        },
        Example {
            method: "GET",
            target: "/?prefix=photos&max-keys=50&marker=puppy",
            headers: &[
                ("user-agent", "Mozilla/5.0"),
                ("date", "Tue, 27 Mar 2007 19:42:41 +0000"),
            ],
            host_bucket: Some("johnsmith"),
            signature: "htDYFYduRNen8P9ZfE/s9SuKy0U=",
        },
        Example {
            method: "GET",
            target: "/?acl",
            headers: &[("date", "Tue, 27 Mar 2007 19:44:46 +0000")],
            host_bucket: Some("johnsmith"),
            signature: "c2WLPFtWHVgbEmeEG93a4cG37dM=",
        },
        Example {
            method: "DELETE",
            target: "/johnsmith/photos/puppy.jpg",
            headers: &[("date", "Tue, 27 Mar 2007 21:20:26 +0000")],
            host_bucket: None,
            signature: "lx3byBScXR6KzyMaifNkardMwNk=",
        },
        Example {
            method: "PUT",
            target: "/db-backup.dat.gz",
            headers: &[
                ("date", "Tue, 27 Mar 2007 21:06:08 +0000"),
                ("x-amz-acl", "public-read"),
                ("content-type", "application/x-download"),
                ("content-md5", "4gJE4saaMU4BqNR0kLY+lw=="),
                ("x-amz-meta-reviewedby", "joe@johnsmith.net"),
                ("x-amz-meta-reviewedby", "jane@johnsmith.net"),
                ("x-amz-meta-filechecksum", "0x02661779"),
                ("x-amz-meta-checksumalgorithm", "crc32"),
            ],
            host_bucket: Some("static.johnsmith.net"),
            signature: "ilyl83RwaSoYIEdixDQcA4OnAnc=",
        },
        Example {
            method: "GET",
            target: "/",
            headers: &[("date", "Wed, 28 Mar 2007 01:29:59 +0000")],
            host_bucket: None,
            signature: "qGdzdERIC03wnaRNKh6OqZehG9s=",
        },
        Example {
            method: "GET",
            target: "/dictionary/fran%C3%A7ais/pr%c3%a9f%c3%a8re",
            headers: &[("date", "Wed, 28 Mar 2007 01:49:49 +0000")],
            host_bucket: None,
            signature: "DNEZGsoieTZ92F3bUfSPQcbGmlM=",
        },
    ];

    fn header_map(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn view<'r>(method: &'r str, target: &'r str, headers: &'r HeaderMap) -> RequestView<'r> {
        let (raw_path, raw_query) = target.split_once('?').unwrap_or((target, ""));
        RequestView {
            method,
            raw_path,
            raw_query,
            headers,
        }
    }

    #[test]
    fn the_published_examples_verify() {
        for example in EXAMPLES {
            let mut headers = header_map(example.headers);
            let authorization = format!("AWS {KEY_ID}:{}", example.signature);
            headers.insert(AUTHORIZATION, authorization.parse().unwrap());
            let view = view(example.method, example.target, &headers);
            let signed = SignedRequest::parse(&view).unwrap().unwrap();
            assert_eq!(signed.access_key_id, KEY_ID);
            let Validity::Signed(date) = signed.validity else {
                panic!("it is in the header");
            };
            let now_s = date.unix_s();
            let verify = |bucket: Option<&str>, secret: &str, now_s: i64| {
                signed.verify(&view, bucket, secret, now_s, &VerifyLimits::default())
            };
            verify(example.host_bucket, SECRET, now_s + 60).unwrap();
            for (refused, code) in [
                (
                    verify(Some("another"), SECRET, now_s),
                    S3ErrorCode::SignatureDoesNotMatch,
                ),
                (
                    verify(example.host_bucket, "another", now_s),
                    S3ErrorCode::SignatureDoesNotMatch,
                ),
                (
                    verify(example.host_bucket, SECRET, now_s + 16 * 60),
                    S3ErrorCode::RequestTimeTooSkewed,
                ),
            ] {
                let error = refused.unwrap_err();
                assert_eq!(error.code, code);
                assert!(!format!("{error:?}").contains(SECRET));
            }
        }
    }

    /// Source: as above, "Query string request authentication alternative".
    #[test]
    fn a_presigned_url_holds_until_it_expires() {
        let target = "/photos/puppy.jpg?AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&\
                      Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D&Expires=1175139620";
        let headers = HeaderMap::new();
        let view = view("GET", target, &headers);
        assert!(is_presigned(view.raw_query));
        let signed = SignedRequest::parse(&view).unwrap().unwrap();
        let verify = |now_s| {
            let limits = VerifyLimits::default();
            let verified = signed.verify(&view, Some("johnsmith"), SECRET, now_s, &limits);
            verified.map_err(|error| error.message.into_owned())
        };
        assert_eq!(verify(1_175_139_620), Ok(()));
        assert_eq!(verify(1_175_139_621), Err("Request has expired".to_owned()));
        let early = verify(1_175_139_620 - 8 * 24 * 3600).unwrap_err();
        assert!(early.contains("604800"), "{early}");
    }

    fn string_to_sign(target: &str, headers: &HeaderMap) -> Result<String, S3Error> {
        let mut headers = headers.clone();
        let query = target.split_once('?').map_or("", |(_, query)| query);
        hoist_headers(query, &mut headers)?;
        let signed = SignedRequest {
            access_key_id: KEY_ID.into(),
            security_token: None,
            signature: "".into(),
            validity: Validity::Until(1),
        };
        let text = signed.string_to_sign(&view("GET", target, &headers), None)?;
        Ok(String::from_utf8(text).unwrap())
    }

    #[test]
    fn parameters_are_signed_or_refused() {
        let none = HeaderMap::new();
        let sign = |target: &str| string_to_sign(target, &none);
        for (target, expected) in [
            ("/b?x=1&versionId=3&acl", "GET\n\n\n1\n/b/?acl&versionId=3"),
            ("/b?%61cl", "GET\n\n\n1\n/b/?acl"),
            (
                "/b?response-content-type=text%2Fplain+x",
                "GET\n\n\n1\n/b/?response-content-type=text/plain+x",
            ),
            (
                "/b?x-amz-acl=private&content-type=a%2Fb",
                "GET\n\na/b\n1\nx-amz-acl:private\n/b/",
            ),
            ("/b?list-type=2&id=x", "GET\n\n\n1\n/b/"),
        ] {
            assert_eq!(sign(target).unwrap(), expected);
        }
        for target in ["/b?encryption", "/b?publicAccessBlock=", "/b?%65ncryption"] {
            let error = sign(target).unwrap_err();
            assert_eq!(error.code, S3ErrorCode::InvalidRequest, "{target}");
        }
        let own = header_map(&[("x-amz-acl", "public-read")]);
        let kept = string_to_sign("/b?x-amz-acl=private", &own).unwrap();
        assert!(kept.contains("x-amz-acl:public-read\n"), "{kept}");
    }

    #[test]
    fn what_is_no_signature_of_this_version() {
        let date = ("date", "Tue, 27 Mar 2007 19:36:42 +0000");
        let parse = |target: &str, headers: &[(&'static str, &str)]| {
            let headers = header_map(headers);
            let parsed = SignedRequest::parse(&view("GET", target, &headers));
            parsed
                .map(|signed| signed.is_some())
                .map_err(|error| error.code)
        };
        let presigned = "/?AWSAccessKeyId=a&Signature=b&Expires=1";
        assert_eq!(parse("/", &[]), Ok(false));
        assert_eq!(parse("/?Signature=b", &[]), Ok(false));
        let version_4 = ("authorization", "AWS4-HMAC-SHA256 Credential=a");
        assert_eq!(parse("/", &[version_4]), Ok(false));
        assert_eq!(parse(presigned, &[]), Ok(true));
        assert_eq!(parse("/", &[date, ("authorization", "AWS a:b")]), Ok(true));
        let invalid = Err(S3ErrorCode::InvalidArgument);
        assert_eq!(
            parse("/", &[date, ("authorization", "AWS HAHAHA")]),
            invalid
        );
        assert_eq!(parse("/", &[date, ("authorization", "AWS :b")]), invalid);
        assert_eq!(parse(presigned, &[version_4]), invalid);
        assert_eq!(parse(presigned, &[("authorization", "AWS a:b")]), invalid);
        let two = "/?X-Amz-Signature=c";
        assert_eq!(parse(two, &[date, ("authorization", "AWS a:b")]), invalid);
        let denied = Err(S3ErrorCode::AccessDenied);
        assert_eq!(parse("/", &[("authorization", "AWS a:b")]), denied);
        assert_eq!(parse("/?AWSAccessKeyId=a&Signature=b", &[]), denied);
        for expires in ["x", "%2B1"] {
            let target = format!("/?AWSAccessKeyId=a&Signature=b&Expires={expires}");
            assert_eq!(parse(&target, &[]), denied, "{expires}");
        }
        let twice = parse("/?AWSAccessKeyId=a&AWSAccessKeyId=c&Signature=b", &[]);
        assert_eq!(twice, Err(S3ErrorCode::InvalidRequest));
    }

    fn verified(headers: &mut HeaderMap) -> Result<(), S3Error> {
        let date = "Tue, 27 Mar 2007 19:36:42 +0000";
        headers.insert("date", date.parse().unwrap());
        headers.insert(AUTHORIZATION, "AWS a:b".parse().unwrap());
        let view = view("GET", "/b/k", headers);
        let signed = SignedRequest::parse(&view).unwrap().unwrap();
        let now_s = signed.timestamp().unwrap().unix_s();
        assert_eq!(signed.location(), SignatureLocation::Header);
        signed.verify(&view, None, SECRET, now_s, &VerifyLimits::default())
    }

    #[test]
    fn no_error_tells_a_key_of_the_clients() {
        let key = "x-amz-server-side-encryption-customer-key";
        let copied = "x-amz-copy-source-server-side-encryption-customer-key";
        for (name, is_told) in [("x-amz-meta-a", true), (key, false), (copied, false)] {
            let error = verified(&mut header_map(&[(name, "wombat")])).unwrap_err();
            assert_eq!(error.code, S3ErrorCode::SignatureDoesNotMatch);
            assert_eq!(format!("{error:?}").contains("wombat"), is_told, "{name}");
            let told = error
                .details
                .iter()
                .any(|(name, _)| *name == "StringToSignBytes");
            assert_eq!(told, is_told, "{name}");
        }
    }

    #[test]
    fn headers_that_are_not_signed_are_refused() {
        let error = verified(&mut header_map(&[("x-tigris-rename", "true")])).unwrap_err();
        assert_eq!(error.code, S3ErrorCode::InvalidRequest);
        assert!(error.message.contains("x-tigris-rename"));
    }

    /// The policy and signature were computed with Python's hmac.
    #[test]
    fn the_policy_of_a_form() {
        let policy = "eyJjb25kaXRpb25zIjogW119";
        let signature = "722JEHkdzsS9CoW97vrKalSp2Ac=";
        verify_policy(policy, KEY_ID, signature, SECRET).unwrap();
        assert!(verify_policy(policy, KEY_ID, signature, "another").is_err());
        assert!(verify_policy("e30=", KEY_ID, signature, SECRET).is_err());
    }

    proptest! {
        #[test]
        fn any_request_is_read_or_refused(target in "/[ -~]{0,60}", header in "(AWS )?[ -~]{0,40}") {
            let headers = header_map(&[("authorization", &header), ("date", "Tue, 27 Mar 2007 19:36:42 +0000")]);
            let view = view("GET", &target, &headers);
            if let Ok(Some(signed)) = SignedRequest::parse(&view) {
                let verified = signed.verify(&view, None, "of nobody", 1_175_024_202, &VerifyLimits::default());
                prop_assert!(verified.is_err());
            }
        }
    }
}
