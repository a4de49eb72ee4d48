//! Whatever is signed verifies, and nothing else does.

#![allow(
    clippy::unwrap_used,
    reason = "a test that fails should say so at once"
)]

use http::{HeaderMap, HeaderValue};
use oncilla_wire::sigv4::{
    AmzDate, Credentials, PayloadDeclaration, RequestView, SERVICE_S3, SignedRequest, Signer,
    SigningKey, UnsignedRequest, VerifyLimits,
};
use oncilla_wire::uri::{encode_component, encode_path};
use proptest::prelude::*;

const SECRET: &str = "secret";
const NOW_S: i64 = 1_700_000_000;

#[derive(Clone, Debug)]
struct Request {
    method: String,
    path: String,
    query: String,
    headers: HeaderMap,
}

impl Request {
    fn is_accepted(&self) -> bool {
        let view = RequestView {
            method: &self.method,
            raw_path: &self.path,
            raw_query: &self.query,
            headers: &self.headers,
        };
        let Ok(Some(signed)) = SignedRequest::parse(&view) else {
            return false;
        };
        let key = SigningKey::derive(SECRET, &signed.scope);
        signed
            .verify(&view, &key, NOW_S, &VerifyLimits::default())
            .is_ok()
    }

    fn unsigned(&self) -> UnsignedRequest<'_> {
        UnsignedRequest {
            method: &self.method,
            raw_path: &self.path,
            raw_query: &self.query,
        }
    }
}

fn now() -> AmzDate {
    AmzDate::from_unix_s(NOW_S).unwrap()
}

fn signer() -> Signer {
    let credentials = Credentials {
        access_key_id: "tid_key".to_owned(),
        secret_access_key: SECRET.to_owned(),
        session_token: None,
    };
    Signer::new(&credentials, "auto", SERVICE_S3, &now())
}

/// Keys with everything that ever went wrong in a canonicalisation.
fn odd_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a-c/ +%~\"'()*!&=?#.;:@$,\\\\é日-]{0,20}",
        Just("//a/../b/./".to_owned()),
    ]
}

fn any_request() -> impl Strategy<Value = Request> {
    let method = prop::sample::select(vec!["GET", "PUT", "HEAD", "DELETE", "POST"]);
    let parameters = proptest::collection::vec((odd_text(), odd_text()), 0..5);
    (method, odd_text(), parameters, "[ -~]{0,20}").prop_map(|(method, key, parameters, meta)| {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("bucket.localhost:9000"));
        headers.insert("x-amz-meta-a", HeaderValue::from_str(&meta).unwrap());
        let query: Vec<String> = parameters
            .iter()
            .map(|(name, value)| format!("{}={}", encode_component(name), encode_component(value)))
            .collect();
        Request {
            method: method.to_owned(),
            path: format!("/{}", encode_path(&key)),
            query: query.join("&"),
            headers,
        }
    })
}

fn signed_in_header(mut request: Request) -> Request {
    let mut headers = std::mem::take(&mut request.headers);
    let payload = PayloadDeclaration::UnsignedPayload;
    signer()
        .sign(&request.unsigned(), &mut headers, payload, &now())
        .unwrap();
    Request { headers, ..request }
}

fn signed_in_query(request: Request) -> Request {
    let query = signer()
        .presign(&request.unsigned(), &request.headers, 60, &now())
        .unwrap();
    Request { query, ..request }
}

/// Replaces one byte of an ASCII text by another visible one.
fn change_byte(text: &str, at: prop::sample::Index, by: u8) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let index = at.index(bytes.len());
    // A space counts as the character before the first visible one.
    let position = bytes[index].saturating_sub(b'!');
    bytes[index] = b'!' + (position + by) % 94;
    String::from_utf8(bytes).unwrap()
}

/// What a raw text means: two spellings of one path or query are one request.
fn decoded(raw: &str, plus_is_space: bool) -> Option<Vec<u8>> {
    let raw = if plus_is_space {
        raw.replace('+', "%20")
    } else {
        raw.to_owned()
    };
    oncilla_wire::uri::decode_path(&raw)
        .ok()
        .map(|text| text.into_owned().into_bytes())
}

/// The parameters as S3 understands them: decoded, order of names irrelevant.
fn meaning_of_query(raw: &str) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut parameters = oncilla_wire::uri::raw_parameters(raw)
        .map(|(name, value)| {
            Some((
                decoded(name, true)?,
                decoded(value.unwrap_or_default(), true)?,
            ))
        })
        .collect::<Option<Vec<_>>>()?;
    parameters.sort();
    Some(parameters)
}

proptest! {
    #[test]
    fn signed_verifies(request in any_request()) {
        prop_assert!(signed_in_header(request.clone()).is_accepted());
        prop_assert!(signed_in_query(request).is_accepted());
    }

    #[test]
    fn raw_path_as_sent_verifies(key in "[a-z!'()*$,:;=@+ ~]{1,20}") {
        // A client that signs the path exactly as it writes it, without escaping what it should.
        let path = format!("/{}", key.replace(' ', "%20"));
        let request = Request {
            method: "GET".to_owned(),
            path: path.clone(),
            query: String::new(),
            headers: HeaderMap::from_iter([(http::header::HOST, HeaderValue::from_static("h"))]),
        };
        let mut request = signed_in_header(request);
        let text = |name: &str| request.headers[name].to_str().unwrap().to_owned();
        let (date, names) = (text("x-amz-date"), "host;x-amz-content-sha256;x-amz-date");
        let canonical = format!(
            "GET\n{path}\n\nhost:h\nx-amz-content-sha256:UNSIGNED-PAYLOAD\nx-amz-date:{date}\n\n\
             {names}\nUNSIGNED-PAYLOAD"
        );
        let view = RequestView {
            method: "GET", raw_path: &request.path, raw_query: "", headers: &request.headers,
        };
        let scope = SignedRequest::parse(&view).unwrap().unwrap().scope.into_owned();
        let digest = oncilla_hash::Sha256::digest(canonical.as_bytes());
        let to_sign =
            format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", oncilla_hash::hex::encode(&digest));
        let signature = SigningKey::derive(SECRET, &scope).sign_hex(to_sign.as_bytes());
        let header = format!(
            "AWS4-HMAC-SHA256 Credential=tid_key/{scope}, SignedHeaders={names}, \
             Signature={signature}"
        );
        request.headers.insert("authorization", HeaderValue::from_str(&header).unwrap());
        prop_assert!(request.is_accepted());
    }

    #[test]
    fn one_changed_byte_of_the_target_is_refused(
        request in any_request(),
        presigned in any::<bool>(),
        at in any::<prop::sample::Index>(),
        by in 1u8..94,
    ) {
        let signed =
            if presigned { signed_in_query(request) } else { signed_in_header(request) };

        let method = change_byte(&signed.method, at, by);
        let tampered = Request { method, ..signed.clone() };
 prop_assert!(!tampered.is_accepted());

        let path = change_byte(&signed.path, at, by);
        if decoded(&path, false) != decoded(&signed.path, false) {
            let tampered = Request { path, ..signed.clone() };
 prop_assert!(!tampered.is_accepted());
        }
        if !signed.query.is_empty() {
            let query = change_byte(&signed.query, at, by);
            let same = meaning_of_query(&query).is_some()
                && meaning_of_query(&query) == meaning_of_query(&signed.query);
            if !same {
                let tampered = Request { query, ..signed.clone() };
 prop_assert!(!tampered.is_accepted());
            }
        }
    }

    #[test]
    fn one_changed_byte_of_a_signed_header_is_refused(
        request in any_request(),
        at in any::<prop::sample::Index>(),
        by in 1u8..94,
    ) {
        let signed = signed_in_header(request);
        for name in ["host", "x-amz-meta-a", "x-amz-date", "x-amz-content-sha256"] {
            let value = signed.headers[name].to_str().unwrap();
            if value.trim().is_empty() {
                continue;
            }
            let changed = change_byte(value.trim(), at, by);
            let mut tampered = signed.clone();
            tampered.headers.insert(name, HeaderValue::from_str(&changed).unwrap());
            // A visible character may replace a space that collapsing had dropped anyway, but then
            // it adds a word, so this holds for every change.
            prop_assert!(!tampered.is_accepted(), "{name}: {value:?} and {changed:?}");
        }
        let authorization = signed.headers["authorization"].to_str().unwrap();
        let signature_start = authorization.len() - 64;
        let changed = change_byte(&authorization[signature_start..], at, by);
        let changed = format!("{}{changed}", &authorization[..signature_start]);
        let mut tampered = signed;
        tampered.headers.insert("authorization", HeaderValue::from_str(&changed).unwrap());
        prop_assert!(!tampered.is_accepted());
    }

    #[test]
    fn another_secret_is_refused(request in any_request(), secret in "[a-z]{1,20}") {
        prop_assume!(secret != SECRET);
        let signed = signed_in_header(request);
        let view = RequestView {
            method: &signed.method,
            raw_path: &signed.path,
            raw_query: &signed.query,
            headers: &signed.headers,
        };
        let parsed = SignedRequest::parse(&view).unwrap().unwrap();
        let key = SigningKey::derive(&secret, &parsed.scope);
        prop_assert!(parsed.verify(&view, &key, NOW_S, &VerifyLimits::default()).is_err());
    }

    #[test]
    fn parsing_never_panics(
        authorization in "(AWS4-HMAC-SHA256 )?[A-Za-z=,/; 0-9éß]{0,80}",
        query in "(X-Amz-(Algorithm|Credential|Date|Expires|Signature|SignedHeaders)=[%a-f0-9/]{0,9}&?){0,8}",
    ) {
        for raw_query in ["", &query] {
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_bytes(authorization.as_bytes()) {
                headers.insert("authorization", value);
            }
            for _ in 0..2 {
                let view =
                    RequestView { method: "GET", raw_path: "/", raw_query, headers: &headers };
                let _ = SignedRequest::parse(&view);
                headers.clear();
            }
        }
    }
}
