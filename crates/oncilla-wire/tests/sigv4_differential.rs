//! Our verdict on a request against that of s3s, an independent implementation.
//!
//! Requests are signed by our signer, so that s3s also judges what we send, then tampered with.
//! These differences are deliberate and not generated here; `sigv4_examples` tests our side:
//! - we refuse `x-amz-*` headers that are not signed and requests whose host is not signed, s3s
//!   takes them;
//! - we refuse Signature Version 2 and presigned lives beyond the limit, s3s takes them;
//! - we sort parameters of one name by value, as AWS specifies, s3s leaves them in their order;
//! - we take `UNSIGNED-PAYLOAD` framing (`STREAMING-UNSIGNED-PAYLOAD-TRAILER`) on presigned URLs
//!   and HTTP dates in `x-amz-date`, s3s does not.

#![allow(
    clippy::unwrap_used,
    reason = "a test that fails should say so at once"
)]

use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderValue, StatusCode};
use oncilla_wire::sigv4::{
    AmzDate, Credentials, PayloadDeclaration, RequestView, SERVICE_S3, SignedRequest, Signer,
    SigningKey, UnsignedRequest, VerifyLimits,
};
use oncilla_wire::uri::{encode_component, encode_path};
use proptest::prelude::*;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};

const ACCESS_KEY_ID: &str = "tid_differential";
const SECRET: &str = "tsec_differential";

/// An S3 without a single operation: what passes authentication is answered 501.
struct NoOperations;

impl s3s::S3 for NoOperations {}

fn service() -> S3Service {
    let mut builder = S3ServiceBuilder::new(NoOperations);
    builder.set_auth(SimpleAuth::from_single(ACCESS_KEY_ID, SECRET));
    builder.build()
}

/// s3s reads the system's clock, so these requests are signed with it.
fn now() -> AmzDate {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    AmzDate::from_unix_s(since.as_secs() as i64).unwrap()
}

#[derive(Clone, Debug)]
struct Request {
    method: String,
    path: String,
    query: String,
    headers: HeaderMap,
}

impl Request {
    fn we_accept(&self) -> bool {
        let view = RequestView {
            method: &self.method,
            raw_path: &self.path,
            raw_query: &self.query,
            headers: &self.headers,
        };
        let Ok(Some(signed)) = SignedRequest::parse(&view) else {
            return false;
        };
        if signed.access_key_id != ACCESS_KEY_ID {
            return false;
        }
        let key = SigningKey::derive(SECRET, &signed.scope);
        signed
            .verify(&view, &key, now().unix_s(), &VerifyLimits::default())
            .is_ok()
    }

    fn s3s_accepts(&self, runtime: &tokio::runtime::Runtime, service: &S3Service) -> bool {
        let target = match self.query.as_str() {
            "" => self.path.clone(),
            query => format!("{}?{query}", self.path),
        };
        let mut request = http::Request::builder()
            .method(self.method.as_str())
            .uri(target)
            .body(s3s::Body::empty())
            .unwrap();
        *request.headers_mut() = self.headers.clone();
        let response = runtime.block_on(service.call(request)).unwrap();
        response.status() == StatusCode::NOT_IMPLEMENTED
    }
}

#[derive(Clone, Copy, Debug)]
enum Tampering {
    Nothing,
    Method,
    Path,
    QueryAdded,
    SignedHeader,
    SignatureDigit,
    Region,
    Day,
    AccessKey,
}

const TAMPERINGS: [Tampering; 9] = [
    Tampering::Nothing,
    Tampering::Method,
    Tampering::Path,
    Tampering::QueryAdded,
    Tampering::SignedHeader,
    Tampering::SignatureDigit,
    Tampering::Region,
    Tampering::Day,
    Tampering::AccessKey,
];

fn tamper(mut request: Request, tampering: Tampering) -> Request {
    let edit_signature_place = |request: &mut Request, edit: &dyn Fn(&str) -> String| {
        if let Some(authorization) = request.headers.get("authorization") {
            let edited = edit(authorization.to_str().unwrap());
            let value = HeaderValue::from_str(&edited).unwrap();
            request.headers.insert("authorization", value);
        } else {
            request.query = edit(&request.query);
        }
    };
    match tampering {
        Tampering::Nothing => {}
        Tampering::Method => {
            request.method = if request.method == "GET" {
                "PUT"
            } else {
                "GET"
            }
            .to_owned();
        }
        Tampering::Path => request.path.push('x'),
        Tampering::QueryAdded => {
            let separator = if request.query.is_empty() { "" } else { "&" };
            request.query = format!("{}{separator}added=1", request.query);
        }
        Tampering::SignedHeader => {
            request
                .headers
                .insert("x-amz-meta-a", HeaderValue::from_static("tampered"));
        }
        // The signature stands last in both places.
        Tampering::SignatureDigit => edit_signature_place(&mut request, &|text| {
            let (head, last) = text.split_at(text.len() - 1);
            format!("{head}{}", if last == "0" { "1" } else { "0" })
        }),
        Tampering::Region => {
            edit_signature_place(&mut request, &|text| text.replace("eu-west-1", "eu-west-2"));
        }
        Tampering::Day => {
            let day = now().day().to_owned();
            edit_signature_place(&mut request, &|text| {
                text.replacen(&format!("{day}/"), "20200101/", 1).replacen(
                    &format!("{day}%2F"),
                    "20200101%2F",
                    1,
                )
            });
        }
        Tampering::AccessKey => {
            edit_signature_place(&mut request, &|text| {
                text.replace(ACCESS_KEY_ID, "tid_other")
            });
        }
    }
    request
}

/// Texts within what s3s takes as a key.
fn odd_text() -> impl Strategy<Value = String> {
    "[a-c/ +%~\"'()*!&=?#.;:@$,éß日-]{1,16}"
}

fn signed_request() -> impl Strategy<Value = Request> {
    let parameters = proptest::collection::btree_map("[a-c ~+é]{1,4}", odd_text(), 0..4);
    let meta = "[a-z]([ -~]{0,9}[a-z])?";
    (any::<bool>(), any::<bool>(), odd_text(), parameters, meta).prop_map(
        |(presigned, put, key, parameters, meta)| {
            let mut headers = HeaderMap::new();
            headers.insert("host", HeaderValue::from_static("localhost:9000"));
            headers.insert("content-length", HeaderValue::from_static("0"));
            headers.insert("x-amz-meta-a", HeaderValue::from_str(&meta).unwrap());
            let query: Vec<String> = parameters
                .iter()
                .map(|(name, value)| {
                    format!("{}={}", encode_component(name), encode_component(value))
                })
                .collect();
            let mut request = Request {
                method: if put { "PUT" } else { "GET" }.to_owned(),
                path: format!("/bucket/{}", encode_path(&key)),
                query: query.join("&"),
                headers,
            };
            let now = now();
            let credentials = Credentials {
                access_key_id: ACCESS_KEY_ID.to_owned(),
                secret_access_key: SECRET.to_owned(),
                session_token: None,
            };
            let signer = Signer::new(&credentials, "eu-west-1", SERVICE_S3, &now);
            let mut signed_headers = request.headers.clone();
            let unsigned = UnsignedRequest {
                method: &request.method,
                raw_path: &request.path,
                raw_query: &request.query,
            };
            if presigned {
                request.query = signer
                    .presign(&unsigned, &signed_headers, 600, &now)
                    .unwrap();
            } else {
                let payload = PayloadDeclaration::UnsignedPayload;
                signer
                    .sign(&unsigned, &mut signed_headers, payload, &now)
                    .unwrap();
                request.headers = signed_headers;
            }
            request
        },
    )
}

#[test]
fn verdicts_agree() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let service = service();
    proptest!(|(request in signed_request())| {
        for tampering in TAMPERINGS {
            let tampered = tamper(request.clone(), tampering);
            let ours = tampered.we_accept();
            let expected = matches!(tampering, Tampering::Nothing);
            prop_assert_eq!(ours, expected, "{:?} by us: {:?}", tampering, &tampered);
            let theirs = tampered.s3s_accepts(&runtime, &service);
            prop_assert_eq!(theirs, expected, "{:?} by s3s: {:?}", tampering, &tampered);
        }
    });
}
