//! The examples that the S3 API reference publishes, signed and verified, and S3's answers to
//! requests that are not well signed.

#![allow(
    clippy::unwrap_used,
    reason = "a test that fails should say so at once"
)]

use http::{HeaderMap, HeaderName, HeaderValue};
use oncilla_hash::Sha256;
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::sigv4::{
    AmzDate, Credentials, PayloadDeclaration, RequestView, SERVICE_S3, SignatureLocation,
    SignedRequest, Signer, SigningKey, UnsignedRequest, VerifyLimits,
};

const ACCESS_KEY_ID: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const HOST: &str = "examplebucket.s3.amazonaws.com";
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// 2013-05-24T00:00:00Z.
const NOW_S: i64 = 1_369_353_600;

fn credentials() -> Credentials {
    Credentials {
        access_key_id: ACCESS_KEY_ID.to_owned(),
        secret_access_key: SECRET.to_owned(),
        session_token: None,
    }
}

fn now() -> AmzDate {
    AmzDate::from_unix_s(NOW_S).unwrap()
}

fn signer() -> Signer {
    Signer::new(&credentials(), "us-east-1", SERVICE_S3, &now())
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| {
            (
                HeaderName::try_from(*name).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            )
        })
        .collect()
}

fn verify_at(request: &RequestView<'_>, now_s: i64) -> Result<(), S3Error> {
    let signed = SignedRequest::parse(request)?.expect("a signature");
    assert_eq!(signed.access_key_id, ACCESS_KEY_ID);
    let key = SigningKey::derive(SECRET, &signed.scope);
    signed.verify(request, &key, now_s, &VerifyLimits::default())
}

fn view<'r>(
    method: &'r str,
    raw_path: &'r str,
    raw_query: &'r str,
    headers: &'r HeaderMap,
) -> RequestView<'r> {
    RequestView {
        method,
        raw_path,
        raw_query,
        headers,
    }
}

fn authorization(signed_headers: &str, signature: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential={ACCESS_KEY_ID}/20130524/us-east-1/s3/aws4_request,\
         SignedHeaders={signed_headers},Signature={signature}"
    )
}

/// Verifies a published request and, where our signer covers the same headers, signs it the same.
fn check_example(
    method: &str,
    raw_path: &str,
    raw_query: &str,
    pairs: &[(&str, &str)],
    payload: PayloadDeclaration,
    expected_authorization: &str,
    signer_agrees: bool,
) {
    let mut published = headers(pairs);
    published.insert("host", HeaderValue::from_static(HOST));
    let mut resigned = published.clone();
    published.insert("x-amz-date", HeaderValue::from_static("20130524T000000Z"));
    let payload_text = payload.to_text();
    published.insert(
        "x-amz-content-sha256",
        HeaderValue::from_str(&payload_text).unwrap(),
    );
    let value = HeaderValue::from_str(expected_authorization).unwrap();
    published.insert("authorization", value);
    verify_at(&view(method, raw_path, raw_query, &published), NOW_S).unwrap();
    if signer_agrees {
        let request = UnsignedRequest {
            method,
            raw_path,
            raw_query,
        };
        signer()
            .sign(&request, &mut resigned, payload, &now())
            .unwrap();
        assert_eq!(resigned["authorization"], expected_authorization);
    } else {
        let request = UnsignedRequest {
            method,
            raw_path,
            raw_query,
        };
        signer()
            .sign(&request, &mut resigned, payload, &now())
            .unwrap();
        verify_at(&view(method, raw_path, raw_query, &resigned), NOW_S).unwrap();
    }
}

#[test]
fn get_object_with_range() {
    check_example(
        "GET",
        "/test.txt",
        "",
        &[("range", "bytes=0-9")],
        PayloadDeclaration::Sha256(Sha256::OF_EMPTY),
        &authorization(
            "host;range;x-amz-content-sha256;x-amz-date",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        true,
    );
}

#[test]
fn put_object() {
    check_example(
        "PUT",
        "/test%24file.text",
        "",
        &[
            ("date", "Fri, 24 May 2013 00:00:00 GMT"),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ],
        PayloadDeclaration::Sha256(Sha256::digest(b"Welcome to Amazon S3.")),
        &authorization(
            "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        false, // The example also signs `date`.
    );
}

#[test]
fn get_bucket_lifecycle() {
    check_example(
        "GET",
        "/",
        "lifecycle",
        &[],
        PayloadDeclaration::Sha256(Sha256::OF_EMPTY),
        &authorization(
            "host;x-amz-content-sha256;x-amz-date",
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        true,
    );
}

#[test]
fn list_objects() {
    check_example(
        "GET",
        "/",
        "max-keys=2&prefix=J",
        &[],
        PayloadDeclaration::Sha256(Sha256::OF_EMPTY),
        &authorization(
            "host;x-amz-content-sha256;x-amz-date",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
        true,
    );
}

const PRESIGNED_QUERY: &str = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";

#[test]
fn presigned_get() {
    let headers = headers(&[("host", HOST)]);
    let request = UnsignedRequest {
        method: "GET",
        raw_path: "/test.txt",
        raw_query: "",
    };
    let query = signer().presign(&request, &headers, 86400, &now()).unwrap();
    assert_eq!(query, PRESIGNED_QUERY);

    let request = view("GET", "/test.txt", PRESIGNED_QUERY, &headers);
    let signed = SignedRequest::parse(&request).unwrap().unwrap();
    assert_eq!(signed.location, SignatureLocation::Query);
    assert_eq!(signed.expires_s, Some(86400));
    assert_eq!(signed.payload, PayloadDeclaration::UnsignedPayload);
    for good_s in [NOW_S - 900, NOW_S, NOW_S + 86400] {
        verify_at(&request, good_s).unwrap();
    }
    let early = verify_at(&request, NOW_S - 901).unwrap_err();
    assert_eq!(
        (early.code, &*early.message),
        (S3ErrorCode::AccessDenied, "Request is not yet valid")
    );
    let late = verify_at(&request, NOW_S + 86401).unwrap_err();
    assert_eq!(
        (late.code, &*late.message),
        (S3ErrorCode::AccessDenied, "Request has expired")
    );
    let details = [
        ("X-Amz-Expires", "86400".to_owned()),
        ("Expires", "2013-05-25T00:00:00Z".to_owned()),
        ("ServerTime", "2013-05-25T00:00:01Z".to_owned()),
    ];
    assert_eq!(late.details, details);
}

#[test]
fn presigned_parameters_are_checked() {
    let headers = headers(&[("host", HOST)]);
    let answer = |query: &str| {
        let error = verify_at(&view("GET", "/test.txt", query, &headers), NOW_S).unwrap_err();
        (error.code, error.message.into_owned())
    };
    let replaced = [
        (
            "=86400",
            "=604801",
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds",
        ),
        ("=86400", "=day", "X-Amz-Expires should be a number"),
        ("=86400", "=%2B86400", "X-Amz-Expires should be a number"),
        ("=86400", "=%2B", "X-Amz-Expires should be a number"),
        (
            "=AWS4-HMAC-SHA256",
            "=AWS4",
            "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"",
        ),
        (
            "T000000Z",
            "",
            "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"",
        ),
        (
            "%2Fs3%2F",
            "%2Fsts%2F",
            "Error parsing the X-Amz-Credential parameter; incorrect service \"sts\". This endpoint belongs to \"s3\".",
        ),
        (
            "=20130524T",
            "=20130525T",
            "Error parsing the X-Amz-Credential parameter; Invalid credential date \"20130524\". This date is not the same as X-Amz-Date: \"20130525\".",
        ),
        (
            "X-Amz-Expires=86400&",
            "",
            "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.",
        ),
        (
            "&X-Amz-Expires",
            "&X-Amz-Date=1&X-Amz-Expires",
            "The parameter X-Amz-Date must be given only once.",
        ),
    ];
    for (from, to, message) in replaced {
        let query = PRESIGNED_QUERY.replacen(from, to, 1);
        let expected = (
            S3ErrorCode::AuthorizationQueryParametersError,
            message.to_owned(),
        );
        assert_eq!(answer(&query), expected, "{query}");
    }
    for to in ["=0", "=-1", "=-1000"] {
        let query = PRESIGNED_QUERY.replacen("=86400", to, 1);
        let expected = (S3ErrorCode::AccessDenied, "Request has expired".to_owned());
        assert_eq!(answer(&query), expected, "{query}");
    }
}

#[test]
fn longer_presigned_life_is_a_setting() {
    let headers = headers(&[("host", HOST)]);
    let request = UnsignedRequest {
        method: "GET",
        raw_path: "/test.txt",
        raw_query: "",
    };
    let days = |count: u64| count * 24 * 3600;
    let query = signer()
        .presign(&request, &headers, days(90), &now())
        .unwrap();
    let request = view("GET", "/test.txt", &query, &headers);
    let signed = SignedRequest::parse(&request).unwrap().unwrap();
    let key = SigningKey::derive(SECRET, &signed.scope);
    let limits = VerifyLimits {
        presign_expiry_max_s: days(90),
        ..VerifyLimits::default()
    };
    signed
        .verify(&request, &key, NOW_S + 80 * 24 * 3600, &limits)
        .unwrap();
    assert!(
        signed
            .verify(&request, &key, NOW_S, &VerifyLimits::default())
            .is_err()
    );
}

fn signed_get() -> HeaderMap {
    let mut headers = headers(&[("host", HOST)]);
    let request = UnsignedRequest {
        method: "GET",
        raw_path: "/k",
        raw_query: "",
    };
    let payload = PayloadDeclaration::UnsignedPayload;
    signer()
        .sign(&request, &mut headers, payload, &now())
        .unwrap();
    headers
}

#[test]
fn clock_skew() {
    let headers = signed_get();
    let request = view("GET", "/k", "", &headers);
    for good_s in [NOW_S - 900, NOW_S + 900] {
        verify_at(&request, good_s).unwrap();
    }
    for bad_s in [NOW_S - 901, NOW_S + 901, i64::MIN, i64::MAX] {
        let error = verify_at(&request, bad_s).unwrap_err();
        assert_eq!(error.code, S3ErrorCode::RequestTimeTooSkewed);
        assert!(
            error
                .details
                .contains(&("MaxAllowedSkewMilliseconds", "900000".to_owned()))
        );
    }
}

#[test]
fn date_header_serves_when_there_is_no_amz_date() {
    // What is signed is the moment; which header brings it does not matter to the string to sign.
    let mut headers = headers(&[("host", HOST), ("date", "Fri, 24 May 2013 00:00:00 GMT")]);
    headers.insert(
        "x-amz-content-sha256",
        HeaderValue::from_static(EMPTY_SHA256),
    );
    let canonical = format!(
        "GET\n/k\n\nhost:{HOST}\nx-amz-content-sha256:{EMPTY_SHA256}\n\nhost;x-amz-content-sha256\n{EMPTY_SHA256}"
    );
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n{}",
        oncilla_hash::hex::encode(&Sha256::digest(canonical.as_bytes()))
    );
    let scope = oncilla_wire::sigv4::Scope {
        day: "20130524".into(),
        region: "us-east-1".into(),
        service: "s3".into(),
    };
    let signature = SigningKey::derive(SECRET, &scope).sign_hex(to_sign.as_bytes());
    let value = authorization("host;x-amz-content-sha256", &signature);
    headers.insert("authorization", HeaderValue::from_str(&value).unwrap());
    verify_at(&view("GET", "/k", "", &headers), NOW_S).unwrap();
    headers.remove("date");
    let error = verify_at(&view("GET", "/k", "", &headers), NOW_S).unwrap_err();
    assert_eq!(error.code, S3ErrorCode::AccessDenied);
}

#[test]
fn unsigned_amz_headers_and_host_are_refused() {
    let mut headers = signed_get();
    headers.insert("x-amz-acl", HeaderValue::from_static("public-read"));
    let error = verify_at(&view("GET", "/k", "", &headers), NOW_S).unwrap_err();
    assert_eq!(error.code, S3ErrorCode::AccessDenied);
    assert_eq!(
        error.details,
        [("HeadersNotSigned", "x-amz-acl".to_owned())]
    );

    let headers = self::headers(&[("host", HOST), ("x-amz-copy-source", "/other/key")]);
    let request = view("GET", "/test.txt", PRESIGNED_QUERY, &headers);
    let error = verify_at(&request, NOW_S).unwrap_err();
    assert_eq!(
        error.details,
        [("HeadersNotSigned", "x-amz-copy-source".to_owned())]
    );

    let query = PRESIGNED_QUERY.replace("SignedHeaders=host", "SignedHeaders=range");
    let error = verify_at(&view("GET", "/test.txt", &query, &headers), NOW_S).unwrap_err();
    assert_eq!(
        error.details,
        [("HeadersNotSigned", "host, x-amz-copy-source".to_owned())]
    );
}

#[test]
fn headers_of_tigris_are_signed_too() {
    let rename = HeaderValue::from_static("true");
    let mut added = signed_get();
    added.insert("x-tigris-rename", rename.clone());
    let url_with_it = headers(&[("host", HOST), ("x-tigris-rename", "true")]);
    for (target, query, headers) in [
        ("/k", "", &added),
        ("/test.txt", PRESIGNED_QUERY, &url_with_it),
    ] {
        let error = verify_at(&view("GET", target, query, headers), NOW_S).unwrap_err();
        assert_eq!(error.code, S3ErrorCode::AccessDenied);
        let not_signed = [("HeadersNotSigned", "x-tigris-rename".to_owned())];
        assert_eq!(error.details, not_signed);
    }

    let mut signed = headers(&[("host", HOST), ("x-tigris-rename", "true")]);
    let request = UnsignedRequest {
        method: "GET",
        raw_path: "/k",
        raw_query: "",
    };
    let payload = PayloadDeclaration::UnsignedPayload;
    signer()
        .sign(&request, &mut signed, payload, &now())
        .unwrap();
    verify_at(&view("GET", "/k", "", &signed), NOW_S).unwrap();
    signed.append("x-tigris-rename", rename);
    assert!(verify_at(&view("GET", "/k", "", &signed), NOW_S).is_err());
}

#[test]
fn a_signed_value_cannot_be_sent_in_two_pieces() {
    let answer = |name: &str, pieces: &[&str]| {
        let mut headers = headers(&[("host", HOST), (name, &pieces.join(","))]);
        let request = UnsignedRequest {
            method: "PUT",
            raw_path: "/k",
            raw_query: "",
        };
        let payload = PayloadDeclaration::UnsignedPayload;
        signer()
            .sign(&request, &mut headers, payload, &now())
            .unwrap();
        let name = HeaderName::try_from(name).unwrap();
        headers.remove(&name);
        for piece in pieces {
            headers.append(&name, HeaderValue::from_str(piece).unwrap());
        }
        verify_at(&view("PUT", "/k", "", &headers), NOW_S)
    };
    for name in ["x-amz-copy-source", "x-amz-tagging"] {
        assert!(answer(name, &["/b/a,b"]).is_ok());
        let refused = answer(name, &["/b/a", "b"]).unwrap_err();
        assert_eq!(refused.code, S3ErrorCode::InvalidRequest);
        assert!(refused.message.contains(name));
    }
    for name in ["x-amz-meta-a", "x-amz-object-attributes", "x-amz-trailer"] {
        assert!(answer(name, &["a", "b"]).is_ok());
    }
}

#[test]
fn presigned_body_may_declare_its_digest() {
    let headers = headers(&[("host", HOST), ("x-amz-content-sha256", EMPTY_SHA256)]);
    let request = view("GET", "/test.txt", PRESIGNED_QUERY, &headers);
    verify_at(&request, NOW_S).unwrap();
    let signed = SignedRequest::parse(&request).unwrap().unwrap();
    assert_eq!(signed.payload, PayloadDeclaration::Sha256(Sha256::OF_EMPTY));
    // Which was not signed with the URL.
    let key = SigningKey::derive(SECRET, &signed.scope);
    let verified = signed.verify_payload(&request, &key, NOW_S, &VerifyLimits::default());
    assert_eq!(verified.unwrap(), PayloadDeclaration::UnsignedPayload);

    let headers = signed_get();
    let request = view("GET", "/k", "", &headers);
    let signed = SignedRequest::parse(&request).unwrap().unwrap();
    let verified = signed.verify_payload(&request, &key, NOW_S, &VerifyLimits::default());
    assert_eq!(verified.unwrap(), signed.payload);
}

#[test]
fn mismatch_tells_no_key_of_the_clients() {
    const NAME: &str = "x-amz-server-side-encryption-customer-key";
    let mut in_header = headers(&[("host", HOST), (NAME, "wombat")]);
    let request = UnsignedRequest {
        method: "GET",
        raw_path: "/k",
        raw_query: "",
    };
    let payload = PayloadDeclaration::UnsignedPayload;
    signer()
        .sign(&request, &mut in_header, payload, &now())
        .unwrap();
    let plain = headers(&[("host", HOST)]);
    let in_query = format!("{PRESIGNED_QUERY}&X-Amz-Server-Side-Encryption-Customer-Key=wombat");
    for (query, headers) in [("", &in_header), (&in_query[..], &plain)] {
        let error = verify_at(&view("GET", "/other", query, headers), NOW_S).unwrap_err();
        assert_eq!(error.code, S3ErrorCode::SignatureDoesNotMatch);
        let names: Vec<_> = error.details.iter().map(|(name, _)| *name).collect();
        let kept = [
            "AWSAccessKeyId",
            "StringToSign",
            "SignatureProvided",
            "StringToSignBytes",
        ];
        assert_eq!(names, kept, "{query}");
        assert!(!format!("{error:?}").contains("wombat"), "{query}");
    }
}

#[test]
fn mismatch_shows_what_was_compared_and_no_secret() {
    let headers = signed_get();
    let error = verify_at(&view("GET", "/other", "", &headers), NOW_S).unwrap_err();
    assert_eq!(error.code, S3ErrorCode::SignatureDoesNotMatch);
    let names: Vec<_> = error.details.iter().map(|(name, _)| *name).collect();
    let expected = [
        "AWSAccessKeyId",
        "StringToSign",
        "SignatureProvided",
        "StringToSignBytes",
        "CanonicalRequest",
        "CanonicalRequestBytes",
    ];
    assert_eq!(names, expected);
    assert!(error.details[4].1.starts_with("GET\n/other\n"));
    assert!(error.details[5].1.starts_with("47 45 54 0a 2f "));
    let everything = format!("{error:?} {:?} {:?}", credentials(), signer());
    assert!(!everything.contains(SECRET));
    assert!(!everything.contains("wJalr"));
}

#[test]
fn malformed_authorization_headers() {
    let answer = |authorization: &str| {
        let headers = headers(&[
            ("host", HOST),
            ("x-amz-date", "20130524T000000Z"),
            ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
            ("authorization", authorization),
        ]);
        verify_at(&view("GET", "/k", "", &headers), NOW_S).unwrap_err()
    };
    let credential = |credential: &str| {
        answer(&format!(
            "AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=0"
        ))
    };
    let malformed = [
        (answer("AWS4-HMAC-SHA256"), "three components"),
        (
            answer("AWS4-HMAC-SHA256 Credential=a/20130524/r/s3/aws4_request"),
            "three components",
        ),
        (
            answer("AWS4-HMAC-SHA256 Credential=,SignedHeaders=,Signature="),
            "three components",
        ),
        (answer(&authorization("host;host", "0")), "distinct"),
        (answer(&authorization("host;;x", "0")), "distinct"),
        (credential("a/b"), "the Credential is mal-formed"),
        (
            credential("/20130524/r/s3/aws4_request"),
            "non-empty Access Key",
        ),
        (
            credential("a/2013-05-24/r/s3/aws4_request"),
            "incorrect date format",
        ),
        (
            credential("a/20130524/r/s3/aws3_request"),
            "incorrect terminal",
        ),
        (
            credential("AKIAIOSFODNN7EXAMPLE/20130524/r/ec2/aws4_request"),
            "incorrect service",
        ),
        (
            credential("AKIAIOSFODNN7EXAMPLE/20130523/r/s3/aws4_request"),
            "Invalid credential date",
        ),
    ];
    for service in ["s3express", "s3-object-lambda"] {
        let scope = format!("AKIAIOSFODNN7EXAMPLE/20130524/r/{service}/aws4_request");
        assert_eq!(credential(&scope).code, S3ErrorCode::NotImplemented);
    }
    for (error, fragment) in malformed {
        assert_eq!(
            error.code,
            S3ErrorCode::AuthorizationHeaderMalformed,
            "{error}"
        );
        assert!(
            error.message.contains(fragment),
            "{error} has no {fragment:?}"
        );
    }
    let version_2 = answer("AWS AKIAIOSFODNN7EXAMPLE:c2lnbmF0dXJl");
    assert_eq!(version_2.code, S3ErrorCode::InvalidRequest);
    assert!(version_2.message.contains("Please use AWS4-HMAC-SHA256."));
    let bearer = answer("Bearer topsecret");
    assert_eq!(bearer.code, S3ErrorCode::InvalidArgument);
    assert!(!format!("{bearer:?}").contains("topsecret"));
    let ecdsa = answer("AWS4-ECDSA-P256-SHA256 Credential=a");
    assert_eq!(ecdsa.code, S3ErrorCode::NotImplemented);
    // A signature was meant, so it is no anonymous request.
    for empty in ["", " "] {
        assert_eq!(answer(empty).code, S3ErrorCode::AccessDenied);
    }
}

#[test]
fn access_key_ids_may_contain_slashes() {
    let mut headers = headers(&[("host", HOST)]);
    let credentials = Credentials {
        access_key_id: "team/key".to_owned(),
        ..credentials()
    };
    let signer = Signer::new(&credentials, "auto", SERVICE_S3, &now());
    let request = UnsignedRequest {
        method: "GET",
        raw_path: "/k",
        raw_query: "",
    };
    let payload = PayloadDeclaration::UnsignedPayload;
    signer
        .sign(&request, &mut headers, payload, &now())
        .unwrap();
    let signed = SignedRequest::parse(&view("GET", "/k", "", &headers))
        .unwrap()
        .unwrap();
    assert_eq!(signed.access_key_id, "team/key");
    assert_eq!(signed.scope.region, "auto");
}

#[test]
fn payload_declaration() {
    let answer = |value: Option<&str>| {
        let mut headers = signed_get();
        headers.remove("x-amz-content-sha256");
        if let Some(value) = value {
            headers.insert(
                "x-amz-content-sha256",
                HeaderValue::from_str(value).unwrap(),
            );
        }
        let parsed = SignedRequest::parse(&view("GET", "/k", "", &headers));
        parsed.map(|signed| signed.unwrap().payload)
    };
    let declared = [
        PayloadDeclaration::UnsignedPayload,
        PayloadDeclaration::Sha256([7; 32]),
        PayloadDeclaration::StreamingSigned,
        PayloadDeclaration::StreamingSignedTrailer,
        PayloadDeclaration::StreamingUnsignedTrailer,
    ];
    for payload in declared {
        assert_eq!(answer(Some(&payload.to_text())).unwrap(), payload);
    }
    let missing = answer(None).unwrap_err();
    assert_eq!(missing.code, S3ErrorCode::InvalidRequest);
    assert_eq!(
        missing.message,
        "Missing required header for this request: x-amz-content-sha256"
    );
    assert_eq!(
        answer(Some("abc")).unwrap_err().code,
        S3ErrorCode::InvalidArgument
    );
    let ecdsa = answer(Some("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD")).unwrap_err();
    assert_eq!(ecdsa.code, S3ErrorCode::NotImplemented);
}

#[test]
fn anonymous_and_twofold_requests() {
    let anonymous = headers(&[("host", HOST)]);
    let request = view("GET", "/k", "versionId=1", &anonymous);
    assert!(SignedRequest::parse(&request).unwrap().is_none());

    let headers = signed_get();
    for query in [PRESIGNED_QUERY, "AWSAccessKeyId=a&Signature=b&Expires=1"] {
        let error = SignedRequest::parse(&view("GET", "/k", query, &headers)).unwrap_err();
        assert_eq!(error.code, S3ErrorCode::InvalidArgument);
        assert!(error.message.starts_with("Only one auth mechanism allowed"));
    }
    let query = "AWSAccessKeyId=a&Signature=b&Expires=1";
    let error = SignedRequest::parse(&view("GET", "/k", query, &anonymous)).unwrap_err();
    assert_eq!(error.code, S3ErrorCode::InvalidRequest);
}

#[test]
fn session_token_is_carried() {
    let credentials = Credentials {
        session_token: Some("to+ken/==".to_owned()),
        ..credentials()
    };
    let signer = Signer::new(&credentials, "us-east-1", SERVICE_S3, &now());
    let mut headers = headers(&[("host", HOST)]);
    let request = UnsignedRequest {
        method: "GET",
        raw_path: "/k",
        raw_query: "a=b",
    };
    let query = signer.presign(&request, &headers, 60, &now()).unwrap();
    let presigned = view("GET", "/k", &query, &headers);
    verify_at(&presigned, NOW_S).unwrap();
    let token = SignedRequest::parse(&presigned)
        .unwrap()
        .unwrap()
        .security_token;
    assert_eq!(token.as_deref(), Some("to+ken/=="));

    let payload = PayloadDeclaration::UnsignedPayload;
    signer
        .sign(&request, &mut headers, payload, &now())
        .unwrap();
    let signed = view("GET", "/k", "a=b", &headers);
    verify_at(&signed, NOW_S).unwrap();
    let token = SignedRequest::parse(&signed)
        .unwrap()
        .unwrap()
        .security_token;
    assert_eq!(token.as_deref(), Some("to+ken/=="));
}

/// The seed of the chunked example; `chunked_decoder` has its chunks.
#[test]
fn chunked_upload_seed() {
    let signed_headers = "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;\
                          x-amz-decoded-content-length;x-amz-storage-class";
    let seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
    let headers = headers(&[
        ("host", "s3.amazonaws.com"),
        ("x-amz-date", "20130524T000000Z"),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
        ("content-encoding", "aws-chunked"),
        ("x-amz-decoded-content-length", "66560"),
        ("content-length", "66824"),
        ("authorization", &authorization(signed_headers, seed)),
    ]);
    verify_at(
        &view("PUT", "/examplebucket/chunkObject.txt", "", &headers),
        NOW_S,
    )
    .unwrap();
}

/// The chain that the signer starts is the one that the verifier follows.
#[test]
fn both_sides_start_the_same_chain_of_chunks() {
    let mut headers = headers(&[("host", HOST)]);
    let request = UnsignedRequest {
        method: "PUT",
        raw_path: "/k",
        raw_query: "",
    };
    let payload = PayloadDeclaration::StreamingSigned;
    let mut chain = signer()
        .sign(&request, &mut headers, payload, &now())
        .unwrap();
    let view = view("PUT", "/k", "", &headers);
    verify_at(&view, NOW_S).unwrap();
    let signed = SignedRequest::parse(&view).unwrap().unwrap();
    let key = SigningKey::derive(SECRET, &signed.scope);
    let mut seen = signed.chunk_seed(&key).unwrap();
    for data in [b"first".as_slice(), b"second", b""] {
        let digest = Sha256::digest(data);
        assert_eq!(chain.sign_chunk(&digest), seen.sign_chunk(&digest));
    }
}
