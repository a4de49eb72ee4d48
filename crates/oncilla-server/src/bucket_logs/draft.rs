//! A line in the making: what is known of a request when it reaches its bucket, and what is only known
//! when its answer is complete.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, HOST, REFERER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri};
use http_body::Body;
use oncilla_store::Bucket;
use oncilla_wire::error::S3Error;
use oncilla_wire::header::X_AMZ_DECODED_CONTENT_LENGTH;
use oncilla_wire::operation::Operation;
use oncilla_wire::query::Query;
use oncilla_wire::xml::logging::BucketLoggingStatus;
use parking_lot::Mutex;

use super::buffer::Group;
use super::{BucketLogs, LogLine, log_name, website_log_name};
use crate::access_log::{header_text, redacted_target};
use crate::request_context::{Facts, TlsSession};
use crate::s3::authenticate::{Authentication, AuthenticationKind, SignatureVersion};
use crate::{Peer, RequestContext, RequestId, ResponseBody};

/// The operation of one deletion among several.
const BATCH_DELETE: &str = "BATCH.DELETE.OBJECT";

const SIGNATURE_V2: &str = "SigV2";
const SIGNATURE_V4: &str = "SigV4";
const IN_HEADER: &str = "AuthHeader";
const IN_QUERY: &str = "QueryString";

/// What is known of a request when it reaches its bucket.
#[derive(Debug)]
pub struct Draft {
    logs: BucketLogs,
    group: Group,
    time_ms: u64,
    /// The operation, in the words of the log.
    operation: Option<&'static str>,
    /// Whether the answer is an object, whose length it tells.
    reads_object: bool,
    requester: Option<String>,
    referer: Option<HeaderValue>,
    host: Option<HeaderValue>,
    signature: Signature,
    tls: Option<TlsSession>,
    /// The length of the object, once it is known.
    object_size: OnceLock<u64>,
    /// What a request did to several objects, each with a line of its own.
    deletions: Mutex<Vec<Deletion>>,
}

/// The deletion of one object among several.
#[derive(Debug)]
struct Deletion {
    key: String,
    version_id: Option<String>,
    /// The status that it would have been answered alone.
    status: u16,
    error_code: Option<&'static str>,
}

/// How a request said who sent it, in the words of the log.
/// Source: S3 User Guide, "Amazon S3 server access log format", "Signature version" and
/// "Authentication type".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Signature {
    version: Option<&'static str>,
    kind: Option<&'static str>,
}

/// What is known of a request when its answer is complete.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    /// The request's id.
    pub request_id: RequestId,
    /// The client.
    pub peer: Peer,
    /// The method.
    pub method: &'a Method,
    /// Path and query.
    pub uri: &'a Uri,
    /// The client's own description of itself.
    pub user_agent: Option<&'a HeaderValue>,
    /// What the handler noted.
    pub facts: &'a Facts,
    /// The status answered.
    pub status: Option<u16>,
    /// Bytes of the answer's body.
    pub sent_bytes: u64,
    /// From the head of the request to the head of the answer.
    pub first_byte: Option<Duration>,
    /// From the head of the request to the end of the answer.
    pub total: Duration,
}

impl Draft {
    /// Begins the line of a request to a bucket that has logs; `None` for other buckets.
    pub fn begin(
        logs: &BucketLogs,
        bucket: &Bucket,
        headers: &HeaderMap,
        query: &Query,
        context: &RequestContext,
    ) -> Option<Self> {
        let status: Arc<BucketLoggingStatus> = BucketLogs::destination(bucket)?;
        let time_ms = logs.inner.store.clock().now_ms();
        Some(Self {
            logs: logs.clone(),
            group: Group::new(bucket, &status, time_ms)?,
            time_ms,
            operation: None,
            reads_object: false,
            requester: None,
            referer: headers.get(REFERER).cloned(),
            host: headers.get(HOST).cloned(),
            signature: Signature::claimed(headers, query),
            tls: context.tls_session,
            object_size: OnceLock::new(),
            deletions: Mutex::default(),
        })
    }

    /// Adds what is known of a request whose signature holds, or which has none.
    #[must_use]
    pub fn of(
        mut self,
        operation: Operation,
        requester: &str,
        authentication: Option<Authentication>,
        headers: &HeaderMap,
    ) -> Self {
        self.operation = Some(log_name(operation));
        self.reads_object = matches!(operation, Operation::GetObject | Operation::HeadObject);
        self.requester = Some(requester.to_owned()).filter(|id| !id.is_empty());
        self.signature = authentication.map_or_else(Signature::default, Signature::verified);
        if matches!(operation, Operation::PutObject | Operation::UploadPart) {
            let declared = number(headers, &X_AMZ_DECODED_CONTENT_LENGTH)
                .or_else(|| number(headers, &CONTENT_LENGTH));
            if let Some(size) = declared {
                // Nothing else has set it yet.
                let _ = self.object_size.set(size);
            }
        }
        self
    }

    /// Adds what is known of a request to the bucket's website. Those are anonymous: a signature is
    /// not looked at.
    #[must_use]
    pub fn of_website(mut self, method: &Method) -> Self {
        self.operation = website_log_name(method);
        self.reads_object = true;
        self.signature = Signature::default();
        self
    }

    /// Learns the length of the object from the answer's head.
    pub fn answered(&self, answer: &Response<ResponseBody>) {
        if !self.reads_object || !answer.status().is_success() {
            return;
        }
        let of_range = answer
            .headers()
            .get(CONTENT_RANGE)
            .and_then(|range| range.to_str().ok()?.rsplit_once('/')?.1.parse().ok());
        let size = of_range
            .or_else(|| number(answer.headers(), &CONTENT_LENGTH))
            .or_else(|| answer.body().size_hint().exact());
        if let Some(size) = size {
            let _ = self.object_size.set(size);
        }
    }

    /// Learns what became of one of several objects that the request deletes.
    pub fn deleted(&self, key: &str, version_id: Option<&str>, error: Option<&S3Error>) {
        let status = error.map_or(StatusCode::NO_CONTENT, |error| error.code.status());
        self.deletions.lock().push(Deletion {
            key: key.to_owned(),
            version_id: version_id.map(str::to_owned),
            status: status.as_u16(),
            error_code: error.map(|error| error.code.as_str()),
        });
    }

    /// Completes the line.
    pub fn end(&self, ended: Ended<'_>) {
        let remote_ip = match ended.peer {
            Peer::Tcp(address) => address.ip().to_canonical().to_string(),
            Peer::LocalSocket => String::new(),
        };
        let request_uri = format!("{} {} HTTP/1.1", ended.method, redacted_target(ended.uri));
        let referer = self.referer.as_ref().map(header_text);
        let host = self.host.as_ref().map(header_text);
        let user_agent = ended.user_agent.map(header_text);
        let version_id = Query::parse(ended.uri.query()).ok();
        let version_id = version_id.as_ref().and_then(|query| query.get("versionId"));
        let line = LogLine {
            bucket_owner: &self.group.owner,
            bucket: &self.group.bucket,
            time_ms: i64::try_from(self.time_ms).unwrap_or(i64::MAX),
            remote_ip: &remote_ip,
            requester: self.requester.as_deref(),
            request_id: &ended.request_id.to_string(),
            operation: self.operation.unwrap_or("-"),
            key: ended.facts.key.as_deref(),
            request_uri: Some(&request_uri),
            status: ended.status,
            error_code: ended.facts.error_code,
            sent_bytes: ended.sent_bytes,
            object_size: self.object_size.get().copied(),
            total_ms: Some(milliseconds(ended.total)),
            turn_around_ms: ended.first_byte.map(milliseconds),
            referer: referer.as_deref(),
            user_agent: user_agent.as_deref(),
            version_id,
            host_id: &ended.request_id.host_id(),
            signature_version: self.signature.version,
            cipher_suite: self.tls.map(|tls| tls.cipher_suite),
            authentication: self.signature.kind,
            host: host.as_deref(),
            tls_version: self.tls.map(|tls| tls.version),
            acl_required: None,
        };
        self.logs.push(self.group.clone(), &line);
        for deletion in self.deletions.lock().drain(..) {
            let line = LogLine {
                operation: BATCH_DELETE,
                key: Some(&deletion.key),
                version_id: deletion.version_id.as_deref(),
                status: Some(deletion.status),
                error_code: deletion.error_code,
                // What the request's own line has. S3's lines of these have `-` here too (observed).
                request_uri: None,
                sent_bytes: 0,
                total_ms: None,
                turn_around_ms: None,
                referer: None,
                user_agent: None,
                ..line.clone()
            };
            self.logs.push(self.group.clone(), &line);
        }
    }
}

impl Signature {
    /// What was verified. A signature in a form has no word of its own.
    fn verified(authentication: Authentication) -> Self {
        let version = match authentication.version {
            SignatureVersion::V2 => SIGNATURE_V2,
            SignatureVersion::V4 => SIGNATURE_V4,
        };
        let kind = match authentication.kind {
            AuthenticationKind::Header => Some(IN_HEADER),
            AuthenticationKind::Query => Some(IN_QUERY),
            AuthenticationKind::Form => None,
        };
        Self {
            version: Some(version),
            kind,
        }
    }

    /// What a request looks like whose sender is not known, because its signature does not hold.
    fn claimed(headers: &HeaderMap, query: &Query) -> Self {
        let (version, kind) = if let Some(value) = headers.get(AUTHORIZATION) {
            let is_v4 = value.as_bytes().starts_with(b"AWS4-");
            let version = if is_v4 { SIGNATURE_V4 } else { SIGNATURE_V2 };
            (version, IN_HEADER)
        } else if query.has("X-Amz-Signature") {
            (SIGNATURE_V4, IN_QUERY)
        } else if query.has("Signature") {
            (SIGNATURE_V2, IN_QUERY)
        } else {
            return Self::default();
        };
        Self {
            version: Some(version),
            kind: Some(kind),
        }
    }
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
