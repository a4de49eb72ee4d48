//! Signature Version 4.

use http::HeaderMap;
use http::header::{AUTHORIZATION, HOST};
use oncilla_wire::sigv4::{
    AmzDate, Credentials, PayloadDeclaration, RequestView, Scope, SignedRequest, Signer,
    SigningKey, UnsignedRequest, VerifyLimits,
};

use crate::input::{self, RequestInput};

/// The moment of the examples in the S3 reference, so that its requests are in time.
const NOW_S: i64 = 1_369_353_600;

/// In no request of the corpus: nobody who does not know it can have signed with it.
const UNKNOWN_SECRET: &str = "held by nobody else";

/// Input: a request. What it says of its signature is read or refused, and never verifies with a
/// key it was not signed with.
pub fn signature_parse(data: &[u8]) {
    let Some(request) = input::request(data) else {
        return;
    };
    let view = view(&request, request.query, &request.headers);
    let _ = PayloadDeclaration::from_headers(&request.headers);
    let Ok(Some(signed)) = SignedRequest::parse(&view) else {
        return;
    };
    assert!(!signed.access_key_id.is_empty());
    let in_query = signed.expires_s.is_some();
    assert!(in_query || !signed.signature.is_empty());
    assert_eq!(in_query, !request.headers.contains_key(AUTHORIZATION));
    let key = SigningKey::derive(UNKNOWN_SECRET, &signed.scope);
    let now_s = signed.timestamp.unix_s();
    for now_s in [NOW_S, now_s, i64::MIN, i64::MAX] {
        assert!(
            signed
                .verify(&view, &key, now_s, &VerifyLimits::default())
                .is_err()
        );
    }
    if let Some(mut seed) = signed.chunk_seed(&key) {
        seed.sign_chunk(&[0; 32]);
    }
}

/// Input: a request. Signed in its headers or presigned, it verifies with the same secret, and not
/// with another one nor after a change of its method, path, query, host or signed headers.
pub fn signature_round_trip(data: &[u8]) {
    let Some(mut request) = input::request(data) else {
        return;
    };
    request.headers.remove(AUTHORIZATION);
    request.headers.remove("x-amz-content-sha256");
    request.headers.remove("x-amz-security-token");
    if !request.headers.contains_key(HOST) {
        request.headers.insert(
            HOST,
            http::HeaderValue::from_static("bucket.localhost:9000"),
        );
    }
    let query = request.query.to_ascii_lowercase();
    let decoded = oncilla_wire::uri::decode_query(&query)
        .unwrap_or_default()
        .to_ascii_lowercase();
    if ["x-amz-", "signature", "awsaccesskeyid"]
        .iter()
        .any(|name| decoded.contains(name))
    {
        // It would carry two signatures, which signature_parse has looked at.
        return;
    }
    let Some(now) = AmzDate::from_unix_s(NOW_S) else {
        panic!("2013 is a year that can be written");
    };
    let credentials = Credentials {
        access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
        secret_access_key: UNKNOWN_SECRET.to_owned(),
        session_token: data.len().is_multiple_of(2).then(|| "token/+=".to_owned()),
    };
    let signer = Signer::new(&credentials, "auto", "s3", &now);
    let unsigned = UnsignedRequest {
        method: request.method.as_str(),
        raw_path: request.path,
        raw_query: request.query,
    };

    let mut headers = request.headers.clone();
    let payload = PayloadDeclaration::StreamingSigned;
    if signer.sign(&unsigned, &mut headers, payload, &now).is_ok() {
        check(&request, request.query, &headers);
    }
    if let Ok(query) = signer.presign(&unsigned, &request.headers, 600, &now) {
        check(&request, &query, &request.headers);
    }
}

fn check(request: &RequestInput<'_>, query: &str, headers: &HeaderMap) {
    let intact = view(request, query, headers);
    if let Err(error) = verify(&intact, UNKNOWN_SECRET) {
        // Signing joins repeated headers; verification refuses those that S3 gives one value.
        let repeated = |name: &http::HeaderName| {
            name.as_str().starts_with("x-amz-") && headers.get_all(name).iter().count() > 1
        };
        assert!(
            headers.keys().any(repeated),
            "a request just signed does not verify: {error}"
        );
        return;
    }
    assert!(verify(&intact, "another secret").is_err());

    let path = format!("{}x", request.path);
    let changed_query = format!("added=1&{query}");
    let mut changed_headers = headers.clone();
    changed_headers.insert(HOST, http::HeaderValue::from_static("another-host"));
    let mut added_headers = headers.clone();
    added_headers.append(
        "x-amz-acl",
        http::HeaderValue::from_static("public-read-write"),
    );
    let changed = [
        RequestView {
            method: "PATCHED",
            ..intact
        },
        RequestView {
            raw_path: &path,
            ..intact
        },
        RequestView {
            raw_query: &changed_query,
            ..intact
        },
        RequestView {
            headers: &changed_headers,
            ..intact
        },
        RequestView {
            headers: &added_headers,
            ..intact
        },
    ];
    for changed in changed {
        assert!(
            verify(&changed, UNKNOWN_SECRET).is_err(),
            "verifies though changed: {changed:?}"
        );
    }
}

fn verify(view: &RequestView<'_>, secret: &str) -> Result<(), oncilla_wire::error::S3Error> {
    let signed = SignedRequest::parse(view)?;
    let Some(signed) = signed else {
        panic!("the signature of a signed request was not found");
    };
    let scope: &Scope<'_> = &signed.scope;
    let key = SigningKey::derive(secret, scope);
    signed.verify(view, &key, NOW_S, &VerifyLimits::default())
}

fn view<'r>(
    request: &'r RequestInput<'r>,
    query: &'r str,
    headers: &'r HeaderMap,
) -> RequestView<'r> {
    RequestView {
        method: request.method.as_str(),
        raw_path: request.path,
        raw_query: query,
        headers,
    }
}
