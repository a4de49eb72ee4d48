//! What browsers and old clients send: forms and their policies, cross-origin requests, websites,
//! Signature Version 2; and the configurations of buckets that they need.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use oncilla_wire::cors::CrossOrigin;
use oncilla_wire::error::S3ErrorCode;
use oncilla_wire::form::{FormDecoder, FormError, FormPart, MAX_FORM_BYTES};
use oncilla_wire::post_policy::{FormFields, PostPolicy};
use oncilla_wire::sigv2;
use oncilla_wire::sigv4::{RequestView, VerifyLimits};
use oncilla_wire::website::{LOCALHOST_WEBSITES, WebsiteHosts, matching_rule, redirection};
use oncilla_wire::xml::accelerate::AccelerateStatus;
use oncilla_wire::xml::cors::{CorsConfiguration, MAX_CORS_RULES};
use oncilla_wire::xml::named_configuration::{NamedConfiguration, NamedKind};
use oncilla_wire::xml::request_payment::Payer;
use oncilla_wire::xml::website::{MAX_ROUTING_RULES, Protocol, WebsiteConfiguration};

use crate::documents::round_trip;
use crate::input;

/// The moment of the published examples of Signature Version 2.
const NOW_S: i64 = 1_175_024_202;

/// Nobody has signed with it.
const UNKNOWN_SECRET: &str = "held by nobody else";

/// Everything that decoding a form has given.
#[derive(Debug, PartialEq, Eq)]
struct ReadForm {
    fields: Vec<(String, String)>,
    file: Option<Vec<u8>>,
    outcome: Result<(), FormError>,
}

/// Input: a `Content-Type` on the first line, then the body. The result must not depend on how the
/// body arrives, the fields are bounded, and no file holds its boundary.
pub fn form(data: &[u8]) {
    let (content_type, body) = input::first_line(data);
    let content_type = String::from_utf8_lossy(content_type);
    let Ok(decoder) = FormDecoder::new(&content_type) else {
        return;
    };
    let whole = read_form(decoder.clone(), body, body.len().max(1));
    let length = |(name, value): &(String, String)| name.len() + value.len();
    let fields: usize = whole.fields.iter().map(length).sum();
    assert!(fields <= MAX_FORM_BYTES);
    let file_bytes = whole.file.as_ref().map_or(0, Vec::len);
    assert!(file_bytes <= body.len());
    for step in [1, 7] {
        let split = read_form(decoder.clone(), body, step);
        if whole.outcome.is_ok() {
            assert_eq!(split, whole);
        } else {
            assert!(split.outcome.is_err());
        }
    }
}

fn read_form(mut decoder: FormDecoder, body: &[u8], step: usize) -> ReadForm {
    let mut read = ReadForm {
        fields: Vec::new(),
        file: None,
        outcome: Ok(()),
    };
    for piece in body.chunks(step) {
        decoder.push(Bytes::copy_from_slice(piece));
        loop {
            match decoder.next_part() {
                Ok(Some(FormPart::Field { name, value })) => read.fields.push((name, value)),
                Ok(Some(FormPart::File { .. })) => read.file = Some(Vec::new()),
                Ok(Some(FormPart::Bytes(bytes))) => {
                    assert!(!bytes.is_empty());
                    let file = read.file.as_mut();
                    file.expect("a file begins before its bytes").extend(bytes);
                }
                Ok(Some(FormPart::FileEnd | FormPart::End)) => {}
                Ok(None) => break,
                Err(error) => {
                    read.outcome = Err(error);
                    return read;
                }
            }
        }
    }
    read.outcome = decoder.finish();
    if read.outcome.is_ok() {
        assert_eq!(decoder.consumed_bytes(), body.len() as u64);
    }
    read
}

/// Input: a policy in JSON on the first line, then fields as `name: value`. A policy never lets a
/// field pass that it does not mention, nor a form for another bucket.
pub fn post_policy(data: &[u8]) {
    let (document, rest) = input::first_line(data);
    let _ = PostPolicy::parse(&String::from_utf8_lossy(document));
    let policy = match PostPolicy::parse(&BASE64.encode(document)) {
        Ok(policy) => policy,
        Err(error) => {
            assert_eq!(error.code, S3ErrorCode::InvalidPolicyDocument);
            return;
        }
    };
    let mut fields = FormFields::default();
    for line in String::from_utf8_lossy(rest).lines() {
        if let Some((name, value)) = line.split_once(": ") {
            let _ = fields.add(name, value.to_owned());
        }
    }
    if policy.check(&fields, "bucket", 0).is_err() {
        return;
    }
    assert!(policy.check(&fields, "bucket", i64::MAX).is_err());
    let unmentioned = "x-amz-meta-mentioned-by-nobody";
    if fields.add(unmentioned, String::new()).is_ok() {
        let refused = policy.check(&fields, "bucket", 0);
        let mentions = String::from_utf8_lossy(document).to_ascii_lowercase();
        assert!(refused.is_err() || mentions.contains("mentioned"));
    }
}

/// Input: headers of a request, an empty line, a CORSConfiguration. Rules round-trip; a preflight
/// is never allowed more than they say, and every answer names an origin.
pub fn cors(data: &[u8]) {
    let middle = data.windows(2).position(|pair| pair == b"\n\n");
    let (headers, document) = match middle {
        Some(middle) => (&data[..middle], &data[middle + 2..]),
        None => (&[][..], data),
    };
    let rules = round_trip(
        document,
        CorsConfiguration::parse,
        CorsConfiguration::to_xml,
    );
    let Some(rules) = rules else {
        return;
    };
    assert!((1..=MAX_CORS_RULES).contains(&rules.rules.len()));
    let headers = input::headers(headers);
    let preflight = CrossOrigin::of_preflight(&headers);
    let answer = preflight
        .as_ref()
        .ok()
        .and_then(|asked| asked.answer(&rules));
    if let Some(answer) = &answer {
        let origin = &answer["access-control-allow-origin"];
        assert!(origin == "*" || *origin == headers["origin"]);
        let methods = answer["access-control-allow-methods"].to_str();
        let asked = headers["access-control-request-method"].to_str();
        let (Ok(methods), Ok(asked)) = (methods, asked) else {
            panic!("methods are text");
        };
        assert!(methods.split(", ").any(|method| method == asked));
        assert!(answer.contains_key("vary"));
    }
    let request = CrossOrigin::of_request(&http::Method::GET, &headers);
    if answer.is_some() {
        // What a preflight was allowed is allowed to the request that follows.
        assert!(request.is_some_and(|asked| asked.answer(&rules).is_some()));
    }
}

/// Input: `host key error` on the first line, then a WebsiteConfiguration. It round-trips, and every
/// redirect can be sent.
pub fn website(data: &[u8]) {
    let (line, document) = input::first_line(data);
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let (host, key) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let error = words.next().and_then(|word| word.parse().ok());
    if let Some(bucket) = WebsiteHosts::new([LOCALHOST_WEBSITES]).bucket_of(host) {
        assert!(!bucket.is_empty());
        let again = format!("{bucket}.{LOCALHOST_WEBSITES}");
        let hosts = WebsiteHosts::new([LOCALHOST_WEBSITES]);
        assert_eq!(hosts.bucket_of(&again), Some(bucket));
    }
    let website = round_trip(
        document,
        WebsiteConfiguration::parse,
        WebsiteConfiguration::to_xml,
    );
    let Some(WebsiteConfiguration::Serve {
        index_suffix,
        rules,
        ..
    }) = website
    else {
        return;
    };
    assert!(!index_suffix.is_empty() && !index_suffix.contains('/'));
    assert!(rules.len() <= MAX_ROUTING_RULES);
    if let Some(rule) = matching_rule(&rules, key, error) {
        let (code, location) = redirection(rule, key, "host", Protocol::Http);
        assert!((301..=399).contains(&code));
        assert!(http::HeaderValue::try_from(location).is_ok());
    }
}

/// Input: a request. Its signature of Version 2 is read or refused, and never verifies with a secret
/// that it was not made with.
pub fn signature_v2(data: &[u8]) {
    let Some(request) = input::request(data) else {
        return;
    };
    let mut headers = request.headers.clone();
    if sigv2::hoist_headers(request.query, &mut headers).is_err() {
        return;
    }
    let view = RequestView {
        method: request.method.as_str(),
        raw_path: request.path,
        raw_query: request.query,
        headers: &headers,
    };
    let Ok(Some(signed)) = sigv2::SignedRequest::parse(&view) else {
        return;
    };
    for now_s in [NOW_S, 0, i64::MIN, i64::MAX] {
        for bucket in [None, Some("bucket")] {
            let limits = VerifyLimits::default();
            let verified = signed.verify(&view, bucket, UNKNOWN_SECRET, now_s, &limits);
            assert!(verified.is_err());
        }
    }
}

/// The configurations that have ids.
pub fn named_configuration(data: &[u8]) {
    for kind in [
        NamedKind::Analytics,
        NamedKind::Metrics,
        NamedKind::IntelligentTiering,
    ] {
        let read = |xml: &[u8]| NamedConfiguration::parse(kind, xml);
        if let Some(read) = round_trip(data, read, NamedConfiguration::to_xml) {
            assert_eq!(read.kind(), kind);
            assert!((1..=64).contains(&read.id.len()));
        }
    }
}

/// RequestPaymentConfiguration and AccelerateConfiguration.
pub fn switches(data: &[u8]) {
    round_trip(data, Payer::parse, |payer| payer.to_xml());
    round_trip(data, AccelerateStatus::parse, |status| status.to_xml());
}
