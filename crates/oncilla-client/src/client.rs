//! One request: addressed, signed, sent, and sent again where that is safe.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use oncilla_hash::{Checksum, Sha256};
use oncilla_wire::header as s3_header;
use oncilla_wire::sigv4::{
    AmzDate, ChunkSeed, PayloadDeclaration, SERVICE_S3, SignError, Signer, UnsignedRequest,
};
use oncilla_wire::uri::encode_path;
use oncilla_wire::xml::error::ErrorDocument;

use crate::attempt_failure::{Failure, connection_failure, refusal};
use crate::body::{Body, Framing, SendBody, UPLOAD_CHECKSUM};
use crate::call::{BodyChecksum, Call, Repeat};
use crate::config::Settings;
use crate::endpoint::Target;
use crate::error::{Error, ServiceError};
use crate::http_client::{self, Activity, HttpClient, IDLE_TIMEOUT};
use crate::response::{ObjectBody, text};
use crate::retry::RetryPolicy;

/// Largest other XML answer: a page of 1,000 keys of 1,024 bytes, each escaped to three times that.
pub(crate) const MAX_DOCUMENT_BYTES: usize = 8 * 1024 * 1024;

/// The only value of `x-amz-request-payer`.
pub(crate) const REQUESTER: HeaderValue = HeaderValue::from_static("requester");

/// A client for one endpoint. Clones share the connections.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    http: HttpClient,
    settings: Settings,
    retry: RetryPolicy,
    /// The signer of the present day.
    signer: Mutex<Option<Arc<Signer>>>,
}

impl Client {
    /// A client with these settings. Fails when certificates cannot be read.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let http = http_client::build(&settings)?;
        let retry = RetryPolicy {
            max_attempts: settings.max_attempts,
        };
        let inner = Inner {
            http,
            settings,
            retry,
            signer: Mutex::new(None),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The settings that the client was made with.
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// Method and URL of a call, for messages; never with a query, which may hold a signature.
    fn describe(&self, call: &Call<'_>, target: &Target) -> String {
        let scheme = self.inner.settings.endpoint.scheme();
        format!("{} {scheme}://{}{}", call.method, target.host, target.path)
    }

    /// Sends a call until it succeeds, fails for good, or no attempt is left.
    pub(crate) async fn send(&self, call: Call<'_>, mut body: Body) -> Result<Answer, Error> {
        let encoded_key = call.key.map(encode_path);
        let endpoint = &self.inner.settings.endpoint;
        let mut target = endpoint.target(call.bucket, encoded_key.as_deref());
        if let Some(path) = call.own_path {
            path.clone_into(&mut target.path);
        }
        let request = self.describe(&call, &target);
        let prepared = self.prepare(&body, &call)?;

        let mut attempt = 1;
        loop {
            let reported = Arc::new(AtomicU64::new(0));
            let replayable = body.is_replayable();
            let outcome = self
                .attempt(
                    &call,
                    &mut body,
                    &prepared,
                    &target,
                    &request,
                    reported.clone(),
                )
                .await;
            let failure = match outcome {
                Ok(response) => return Ok(Answer { response, request }),
                Err(failure) => failure,
            };
            let repeatable = replayable
                && (failure.had_no_effect || call.repeat == Repeat::Safe)
                && failure.transient;
            let delay = if repeatable {
                self.inner
                    .retry
                    .delay(attempt, random_u32(), failure.retry_after)
            } else {
                None
            };
            let Some(delay) = delay else {
                return Err(failure.error);
            };
            let taken_back = reported.load(Ordering::Relaxed);
            if let (Some(progress), 1..) = (&call.progress, taken_back) {
                progress(-i64::try_from(taken_back).unwrap_or(i64::MAX));
            }
            tracing::debug!(attempt, ?delay, error = %failure.error, "request will be repeated");
            tokio::time::sleep(delay).await;
            attempt += 1;
        }
    }

    /// As [`Client::send`], for answers that are one XML document.
    pub(crate) async fn send_for_document(
        &self,
        call: Call<'_>,
        body: Body,
    ) -> Result<Document, Error> {
        let answer = self.send(call, body).await?;
        let headers = answer.response.headers().clone();
        let request = answer.request.clone();
        let bytes = answer.into_body().collect(MAX_DOCUMENT_BYTES).await?;
        Ok(Document {
            bytes,
            headers,
            request,
        })
    }

    /// Sends a signed request that is not S3's to a path of the endpoint, such as one of an
    /// administration API, and returns the answer's body. `path` and `query` are percent-encoded;
    /// its body is always signed, and it
    /// is repeated only if it surely had no effect.
    ///
    /// # Errors
    /// As any operation; a refusal that is not S3's XML has its text as message.
    pub async fn request_own_path(
        &self,
        method: Method,
        path: &str,
        query: &str,
        json: Option<Vec<u8>>,
    ) -> Result<bytes::Bytes, Error> {
        let mut call = Call::new(method, None, None);
        call.own_path = Some(path);
        call.query = query.to_owned();
        call.repeat = Repeat::IfNotBegun;
        call.sign_payload = true;
        let body = match json {
            Some(json) => {
                call = call.header(header::CONTENT_TYPE, "application/json")?;
                Body::Bytes(json.into())
            }
            None => Body::Empty,
        };
        Ok(self.send_for_document(call, body).await?.bytes)
    }

    /// What is the same in every attempt: digests of bytes in memory.
    fn prepare(&self, body: &Body, call: &Call<'_>) -> Result<Prepared, Error> {
        let settings = &self.inner.settings;
        let with_checksum =
            call.checksum == BodyChecksum::WhereSupported && settings.checksum_uploads;
        let signed = settings.credentials.is_some();
        let unsigned_bytes = settings.endpoint.is_tls() && !call.sign_payload;
        let mut headers = HeaderMap::new();
        let payload = match body {
            Body::Empty => PayloadKind::Fixed(PayloadDeclaration::Sha256(Sha256::digest(b""))),
            Body::Bytes(bytes) => {
                if with_checksum {
                    let checksum = Checksum::of(UPLOAD_CHECKSUM, bytes).to_base64();
                    if let Ok(value) = HeaderValue::from_str(&checksum) {
                        headers.insert(UPLOAD_CHECKSUM.header_name(), value);
                    }
                }
                PayloadKind::Fixed(if unsigned_bytes {
                    PayloadDeclaration::UnsignedPayload
                } else {
                    PayloadDeclaration::Sha256(Sha256::digest(bytes))
                })
            }
            Body::File(_) | Body::Stream { .. } if !signed => {
                PayloadKind::Fixed(PayloadDeclaration::UnsignedPayload)
            }
            Body::File(_) | Body::Stream { .. } => match (unsigned_bytes, with_checksum) {
                (true, false) => PayloadKind::Fixed(PayloadDeclaration::UnsignedPayload),
                (true, true) => PayloadKind::Chunked {
                    declaration: PayloadDeclaration::StreamingUnsignedTrailer,
                    with_checksum,
                },
                (false, true) => PayloadKind::Chunked {
                    declaration: PayloadDeclaration::StreamingSignedTrailer,
                    with_checksum,
                },
                (false, false) => PayloadKind::Chunked {
                    declaration: PayloadDeclaration::StreamingSigned,
                    with_checksum,
                },
            },
        };
        if let PayloadKind::Chunked { with_checksum, .. } = &payload {
            headers.insert(
                s3_header::X_AMZ_DECODED_CONTENT_LENGTH,
                HeaderValue::from(body.length_bytes()),
            );
            if *with_checksum {
                headers.insert(
                    s3_header::X_AMZ_TRAILER,
                    HeaderValue::from_static(UPLOAD_CHECKSUM.header_name()),
                );
            }
            // aws-chunked is the outermost coding; what the object itself has comes before it.
            let stored = text(&call.headers, header::CONTENT_ENCODING);
            let coding = match stored {
                Some(stored) => format!("{stored},aws-chunked"),
                None => "aws-chunked".to_owned(),
            };
            let value = HeaderValue::from_str(&coding)
                .map_err(|_| Error::Config("content encoding cannot be sent".to_owned()))?;
            headers.insert(header::CONTENT_ENCODING, value);
        }
        Ok(Prepared { payload, headers })
    }

    async fn attempt(
        &self,
        call: &Call<'_>,
        body: &mut Body,
        prepared: &Prepared,
        target: &Target,
        request: &str,
        reported: Arc<AtomicU64>,
    ) -> Result<Response<Incoming>, Failure> {
        let refuse = |error: Error| Failure {
            error,
            had_no_effect: true,
            transient: false,
            retry_after: None,
        };
        let mut headers = call.headers.clone();
        for (name, value) in &prepared.headers {
            headers.insert(name.clone(), value.clone());
        }
        let host = HeaderValue::from_str(&target.host).map_err(|_| {
            refuse(Error::Config(format!(
                "host {:?} is not valid",
                target.host
            )))
        })?;
        headers.insert(header::HOST, host);
        if self.inner.settings.request_payer && call.bucket.is_some() {
            headers.insert(s3_header::X_AMZ_REQUEST_PAYER, REQUESTER);
        }
        let seed = self
            .sign(call, target, &mut headers, prepared.declaration())
            .map_err(refuse)?;

        let length_bytes = body.length_bytes();
        let framing = match (&prepared.payload, seed) {
            (PayloadKind::Fixed(_), _) => Framing::Plain,
            (
                PayloadKind::Chunked {
                    declaration,
                    with_checksum,
                },
                seed,
            ) => Framing::Chunked {
                seed: seed
                    .filter(|_| *declaration != PayloadDeclaration::StreamingUnsignedTrailer)
                    .map(Box::new),
                with_checksum: *with_checksum,
            },
        };
        if length_bytes > 0 || matches!(call.method, Method::PUT | Method::POST) {
            let encoded = framing.encoded_length_bytes(length_bytes);
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(encoded));
        }
        let payload = body.begin();
        let activity = Activity::new();
        let progress = call.progress.clone();
        let send_body = SendBody::new(
            payload,
            length_bytes,
            framing,
            activity.clone(),
            progress,
            reported,
        );

        let scheme = self.inner.settings.endpoint.scheme();
        let question_mark = if call.query.is_empty() { "" } else { "?" };
        let uri = format!(
            "{scheme}://{}{}{question_mark}{}",
            target.host, target.path, call.query
        );
        let mut http_request = Request::builder()
            .method(call.method.clone())
            .uri(uri)
            .body(send_body)
            .map_err(|error| refuse(Error::Config(format!("{request}: {error}"))))?;
        *http_request.headers_mut() = headers;

        let outcome = tokio::select! {
            outcome = self.inner.http.request(http_request) => outcome,
            () = activity.stalled(IDLE_TIMEOUT) => {
                return Err(Failure {
                    error: Error::Timeout {
                        request: request.to_owned(),
                        seconds: IDLE_TIMEOUT.as_secs(),
                    },
                    had_no_effect: false,
                    transient: true,
                    retry_after: None,
                });
            }
        };
        let response = outcome.map_err(|error| connection_failure(&error, request))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(refusal(response, call.method == Method::HEAD, request).await)
    }

    fn sign(
        &self,
        call: &Call<'_>,
        target: &Target,
        headers: &mut HeaderMap,
        payload: PayloadDeclaration,
    ) -> Result<Option<ChunkSeed>, Error> {
        let Some((signer, now)) = self.signer()? else {
            return Ok(None);
        };
        let unsigned = UnsignedRequest {
            method: call.method.as_str(),
            raw_path: &target.path,
            raw_query: &call.query,
        };
        signer
            .sign(&unsigned, headers, payload, &now)
            .map(Some)
            .map_err(unsignable)
    }

    /// The signer of today with the present moment; `None` when requests are not signed.
    pub(crate) fn signer(&self) -> Result<Option<(Arc<Signer>, AmzDate)>, Error> {
        let settings = &self.inner.settings;
        let Some(credentials) = &settings.credentials else {
            return Ok(None);
        };
        let now = AmzDate::from_unix_s(oncilla_wire::time::now_ms().div_euclid(1000))
            .ok_or_else(|| Error::Config("the system clock is not set".to_owned()))?;
        let mut cached = self
            .inner
            .signer
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(signer) = cached.as_ref().filter(|signer| signer.covers(&now)) {
            return Ok(Some((signer.clone(), now)));
        }
        let region = &settings.endpoint.region;
        let signer = Arc::new(Signer::new(credentials, region, SERVICE_S3, &now));
        *cached = Some(signer.clone());
        Ok(Some((signer, now)))
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("settings", &self.inner.settings)
            .finish_non_exhaustive()
    }
}

pub(crate) fn unsignable(error: SignError) -> Error {
    Error::Config(format!("cannot sign the request: {error}"))
}

/// The body's share of the headers, and how it is declared to the signature.
struct Prepared {
    payload: PayloadKind,
    headers: HeaderMap,
}

enum PayloadKind {
    Fixed(PayloadDeclaration),
    Chunked {
        declaration: PayloadDeclaration,
        with_checksum: bool,
    },
}

impl Prepared {
    fn declaration(&self) -> PayloadDeclaration {
        match &self.payload {
            PayloadKind::Fixed(declaration) | PayloadKind::Chunked { declaration, .. } => {
                *declaration
            }
        }
    }
}

/// A successful response with the name of its request.
pub(crate) struct Answer {
    pub(crate) response: Response<Incoming>,
    pub(crate) request: String,
}

impl Answer {
    pub(crate) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    pub(crate) fn into_body(self) -> ObjectBody {
        let length = text(self.response.headers(), header::CONTENT_LENGTH)
            .and_then(|length| length.parse().ok());
        ObjectBody::new(self.response.into_body(), self.request, length)
    }
}

/// A whole XML answer.
pub(crate) struct Document {
    pub(crate) bytes: bytes::Bytes,
    pub(crate) headers: HeaderMap,
    pub(crate) request: String,
}

impl Document {
    /// Makes sense of the XML with one of the readers of the wire crate.
    pub(crate) fn parse<T>(
        &self,
        read: impl FnOnce(&[u8]) -> Result<T, oncilla_wire::error::S3Error>,
    ) -> Result<T, Error> {
        read(&self.bytes).map_err(|error| Error::InvalidResponse {
            request: self.request.clone(),
            reason: error.message.into_owned(),
        })
    }

    /// An error that S3 sends under status 200 once it has begun to answer.
    pub(crate) fn late_error(&self, document: ErrorDocument) -> Error {
        let status = match document.code.as_str() {
            "NoSuchUpload" | "NoSuchKey" | "NoSuchBucket" => StatusCode::NOT_FOUND,
            "AccessDenied" => StatusCode::FORBIDDEN,
            "PreconditionFailed" => StatusCode::PRECONDITION_FAILED,
            "SlowDown" => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::OK,
        };
        let request_id = text(&self.headers, s3_header::X_AMZ_REQUEST_ID);
        let request = self.request.clone();
        Error::from_service(ServiceError::new(status, document, request_id, request))
    }
}

/// Spreads the waits of many clients; without randomness they would only all wait the longest.
fn random_u32() -> u32 {
    getrandom::u32().unwrap_or(u32::MAX)
}
