//! The condition keys of a request: what policies can ask of it. Nothing is worked out before a
//! policy asks.

use std::borrow::Cow;
use std::net::IpAddr;

use http::header::AUTHORIZATION;
use oncilla_iam::policy::{ConditionKey, Context, ContextValue, KnownKey};
use oncilla_wire::copy_source::CopySource;
use oncilla_wire::header::{X_AMZ_COPY_SOURCE, X_AMZ_TAGGING};
use oncilla_wire::operation::Operation;
use oncilla_wire::sigv4::AmzDate;
use oncilla_wire::tagging::{TagSet, TagTarget};
use oncilla_wire::time::{iso8601, parse_iso8601};
use oncilla_wire::xml::tagging;

use crate::Peer;
use crate::s3::S3Service;
use crate::s3::request::S3Request;

/// Where a presigned request says when it was signed, and where any other does.
const DATE_PARAMETER: &str = "X-Amz-Date";
const DATE_HEADER: &str = "x-amz-date";
const SIGNATURE_PARAMETER: &str = "X-Amz-Signature";
const CONTENT_SHA256_PARAMETER: &str = "X-Amz-Content-Sha256";

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// What policies see of a request.
pub struct ConditionKeys<'r> {
    /// The request.
    pub request: &'r S3Request,
    /// The server that it came to.
    pub service: &'r S3Service,
    /// The version that is asked for.
    pub version: Option<String>,
    /// What takes the place of the parameter `prefix`.
    pub prefix: Option<&'r str>,
    /// The tags that the object has, if they had to be looked at.
    pub existing_tags: &'r [(String, String)],
    /// What the request brings elsewhere than in its head.
    pub given: &'r [(KnownKey, &'r str)],
}

/// A value that was made for the answer, if there is one.
fn owned<'a>(value: Option<String>) -> ContextValue<'a> {
    value.map_or(ContextValue::Absent, ContextValue::one)
}

impl ConditionKeys<'_> {
    fn now_ms(&self) -> i64 {
        self.service.store.clock().now_ms() as i64
    }

    fn source_ip(&self) -> Option<IpAddr> {
        match self.request.context.peer {
            Peer::Tcp(address) => Some(address.ip().to_canonical()),
            Peer::LocalSocket => None,
        }
    }

    fn is_presigned(&self) -> bool {
        self.request.query.has(SIGNATURE_PARAMETER)
    }

    fn is_signed(&self) -> bool {
        self.is_presigned() || self.request.headers.contains_key(AUTHORIZATION)
    }

    /// Source: Amazon S3 API reference, "Authenticating requests: S3 Signature Version 4
    /// authentication-specific policy keys".
    fn auth_type(&self) -> Option<&'static str> {
        if self.request.operation == Operation::PostObject && !self.is_signed() {
            return Some("POST");
        }
        if self.is_presigned() {
            return Some("REST-QUERY-STRING");
        }
        self.is_signed().then_some("REST-HEADER")
    }

    /// Milliseconds since it was signed.
    fn signature_age_ms(&self) -> Option<i64> {
        let headers = &self.request.headers;
        let date = match self.request.query.get(DATE_PARAMETER) {
            Some(date) => date,
            None => headers.get(DATE_HEADER)?.to_str().ok()?,
        };
        let signed_ms = AmzDate::parse(date.as_bytes())?.unix_s() * 1_000;
        Some(self.now_ms() - signed_ms)
    }

    /// A header; one that is there several times is one value, as HTTP has it.
    fn header(&self, name: &str) -> ContextValue<'_> {
        let mut values = self.request.headers.get_all(name).iter();
        let Some(first) = values.next() else {
            return ContextValue::Absent;
        };
        let mut text = String::from_utf8_lossy(first.as_bytes());
        for value in values {
            text = format!("{text},{}", String::from_utf8_lossy(value.as_bytes())).into();
        }
        ContextValue::One(text)
    }

    /// `bucket/key`, however it was written.
    fn copy_source(&self) -> Option<String> {
        let value = self.request.headers.get(X_AMZ_COPY_SOURCE)?;
        let source = CopySource::parse(value.as_bytes()).ok()?;
        Some(format!("{}/{}", source.bucket, source.key))
    }

    fn remaining_retention_days(&self) -> Option<String> {
        let header = KnownKey::ObjectLockRetainUntilDate.header()?;
        let until = self.request.headers.get(header)?.to_str().ok()?;
        let left_ms = parse_iso8601(until)? - self.now_ms();
        Some((left_ms / DAY_MS).to_string())
    }

    /// The tags that the request brings, in its head or in its body.
    fn request_tags(&self) -> Option<TagSet> {
        if self.request.operation == Operation::PutObjectTagging {
            let document = self.request.document.as_ref()?;
            return tagging::parse(document, TagTarget::Object).ok();
        }
        let value = self.request.headers.get(X_AMZ_TAGGING)?;
        TagSet::from_header(value.as_bytes()).ok()
    }

    fn request_tag(&self, name: &str) -> Option<String> {
        let tags = self.request_tags()?;
        let tag = tags.iter().find(|tag| tag.key == name)?;
        Some(tag.value.clone())
    }

    fn known(&self, key: KnownKey) -> ContextValue<'_> {
        if let Some((_, value)) = self.given.iter().find(|(given, _)| *given == key) {
            return ContextValue::one(*value);
        }
        let request = self.request;
        match key {
            KnownKey::CurrentTime => {
                let text = iso8601(self.now_ms());
                owned(String::from_utf8(text.to_vec()).ok())
            }
            KnownKey::EpochTime => owned(Some((self.now_ms() / 1_000).to_string())),
            KnownKey::SourceIp => owned(self.source_ip().map(|address| address.to_string())),
            KnownKey::SecureTransport => {
                ContextValue::one(if request.context.tls { "true" } else { "false" })
            }
            KnownKey::RequestedRegion => ContextValue::one(self.service.options.region.as_str()),
            KnownKey::AuthType => ContextValue::optional(self.auth_type()),
            KnownKey::SignatureVersion => {
                ContextValue::optional(self.is_signed().then_some("AWS4-HMAC-SHA256"))
            }
            KnownKey::SignatureAge => owned(self.signature_age_ms().map(|age| age.to_string())),
            KnownKey::Prefix => {
                ContextValue::optional(self.prefix.or_else(|| request.query.get("prefix")))
            }
            KnownKey::VersionId => ContextValue::optional(self.version.as_deref()),
            KnownKey::XAmzCopySource => owned(self.copy_source()),
            KnownKey::XAmzContentSha256 => match request.query.get(CONTENT_SHA256_PARAMETER) {
                Some(value) => ContextValue::one(value),
                None => self.header("x-amz-content-sha256"),
            },
            KnownKey::ObjectLockRemainingRetentionDays => owned(self.remaining_retention_days()),
            KnownKey::RequestObjectTagKeys => match self.request_tags() {
                None => ContextValue::Absent,
                Some(tags) => {
                    let keys = tags.iter().map(|tag| Cow::Owned(tag.key.clone()));
                    ContextValue::Many(keys.collect())
                }
            },
            _ => match (key.query_parameter(), key.header()) {
                (Some(name), _) => ContextValue::optional(request.query.get(name)),
                (None, Some(name)) => self.header(name),
                (None, None) => ContextValue::Absent,
            },
        }
    }
}

impl Context for ConditionKeys<'_> {
    fn value(&self, key: &ConditionKey) -> ContextValue<'_> {
        match key {
            ConditionKey::Known(key) => self.known(*key),
            ConditionKey::ExistingObjectTag(name) => {
                let mut tags = self.existing_tags.iter();
                let tag = tags.find(|(key, _)| **key == **name);
                ContextValue::optional(tag.map(|(_, value)| value.as_str()))
            }
            ConditionKey::RequestObjectTag(name) => owned(self.request_tag(name)),
            ConditionKey::Other(_) => ContextValue::Absent,
        }
    }
}
