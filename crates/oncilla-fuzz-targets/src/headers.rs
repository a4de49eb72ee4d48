//! Values of headers.

use http::header::CONTENT_ENCODING;
use http::{HeaderMap, HeaderValue};
use oncilla_hash::ChecksumAlgorithm;
use oncilla_store::{ETag, UniqueId};
use oncilla_wire::checksum_headers::ChecksumHeaders;
use oncilla_wire::conditions::{Conditions, EtagCondition, Existing, IfRange, ReadOutcome};
use oncilla_wire::copy_source::CopySource;
use oncilla_wire::encryption::{self, RequestedEncryption};
use oncilla_wire::header::{
    MAX_USER_METADATA_BYTES, STORED_HEADERS, USER_METADATA_PREFIX, X_AMZ_OBJECT_LOCK_LEGAL_HOLD,
    X_AMZ_OBJECT_LOCK_MODE, X_AMZ_OBJECT_LOCK_RETAIN_UNTIL_DATE,
    X_AMZ_SERVER_SIDE_ENCRYPTION_CUSTOMER_KEY, refuse_not_implemented,
    stored_headers as read_stored_headers, user_metadata,
};
use oncilla_wire::names::{MAX_KEY_BYTES, is_valid_bucket_name};
use oncilla_wire::object_lock::{NewLock, bypasses_governance};
use oncilla_wire::range::{ByteRange, CopySourceRange, ResolvedRange, parse_range};
use oncilla_wire::rename_source::{CLIENT_TOKEN_BYTES_MAX, client_token, rename_source};
use oncilla_wire::tagging::{MAX_OBJECT_TAGS, TagSet, TagTarget};
use oncilla_wire::time::iso8601;
use oncilla_wire::uri::{encode_component, encode_path};
use oncilla_wire::xml::acl::CannedAcl;
use oncilla_wire::xml::multipart::{MAX_PART_NUMBER, parse_part_number};
use oncilla_wire::xml::tagging;

use crate::input;

/// Input: headers. A write is at least as strict as a read, a delete as strict as a write, and the
/// source of a copy is judged as a read is.
pub fn conditions(data: &[u8]) {
    let headers = input::headers(data);
    let of_request = Conditions::from_headers(&headers);
    let of_source = Conditions::from_copy_source_headers(&headers);
    for conditions in [&of_request, &of_source] {
        for etag in ["abc", "d41d8cd98f00b204e9800998ecf8427e-3", "*", ""] {
            for last_modified_ms in [0, 784_111_777_500, i64::MIN, i64::MAX] {
                let existing = Existing {
                    etag,
                    last_modified_ms,
                    size: 3,
                };
                check_conditions(conditions, existing);
            }
        }
        if conditions.is_empty() {
            assert_eq!(conditions.evaluate_write(None), Ok(()));
        }
        assert_eq!(conditions.evaluate_delete(None), Ok(()));
    }
    if let Some(EtagCondition::OneOf(patterns)) = &of_request.if_match {
        assert!(!patterns.is_empty() && patterns.len() <= 64);
        let first = &patterns[0];
        let existing = Existing {
            etag: &first.value,
            last_modified_ms: 0,
            size: 0,
        };
        let only_match = Conditions {
            if_match: of_request.if_match.clone(),
            ..Default::default()
        };
        if patterns
            .iter()
            .any(|pattern| !pattern.weak && pattern.value == first.value)
        {
            assert_eq!(only_match.evaluate_write(Some(existing)), Ok(()));
        }
        let quoted = format!("\"{}\"", first.value);
        if !first.value.contains('"') {
            let again = EtagCondition::parse(quoted.as_bytes());
            assert!(matches!(again, EtagCondition::OneOf(again) if again[0].value == first.value));
        }
    }
    let if_range = IfRange::parse(data);
    let existing = Existing {
        etag: "abc",
        last_modified_ms: 784_111_777_500,
        size: 3,
    };
    if if_range.range_applies(existing) && !matches!(if_range, IfRange::Date(_)) {
        assert!(data.windows(3).any(|window| window == b"abc"));
    }
}

fn check_conditions(conditions: &Conditions, existing: Existing<'_>) {
    let read = conditions.evaluate_read(existing);
    let source = conditions.evaluate_copy_source(existing);
    let write = conditions.evaluate_write(Some(existing));
    let delete = conditions.evaluate_delete(Some(existing));
    assert_eq!(read == ReadOutcome::Proceed, source.is_ok());
    assert!(
        write.is_err() || read == ReadOutcome::Proceed,
        "a write is laxer than a read"
    );
    assert!(
        delete.is_err() || write.is_ok(),
        "a delete is laxer than a write"
    );
    if conditions.is_empty() {
        assert!(delete.is_ok());
    }
}

/// Input: headers. What is asked for is one thing, what a reader is told is a subset of it, and no
/// refusal repeats a key.
pub fn encryption(data: &[u8]) {
    let headers = input::headers(data);
    let requested = encryption::requested(&headers);
    let customer = encryption::customer_key(&headers);
    if let Ok(Some(_)) = &requested {
        assert!(encryption::is_named(&headers));
    }
    if let Ok(Some(RequestedEncryption::Kms { context, .. })) = &requested {
        let header = encryption::context_header(context);
        let again = header.and_then(|value| encryption::parse_context(value.to_str().ok()?));
        assert_eq!(again.unwrap_or_default(), *context);
    }
    if let Ok(Some(RequestedEncryption::Customer(_))) = &requested {
        assert!(matches!(customer, Ok(Some(_))));
    }
    // Marked, because the text of an error may hold by itself what the input has as a key.
    const MARK: &str = "Zq7xYw9Kp2Lm4Nv8";
    let mut marked = headers.clone();
    let key = marked.get_mut(X_AMZ_SERVER_SIDE_ENCRYPTION_CUSTOMER_KEY);
    if let Some(key) = key
        && let Ok(with_mark) = HeaderValue::from_bytes(&[key.as_bytes(), MARK.as_bytes()].concat())
    {
        *key = with_mark;
    }
    if let Err(error) = encryption::customer_key(&marked) {
        assert!(!format!("{error:?}").contains(MARK), "a key in an error");
    }
    let _ = encryption::copy_source_customer_key(&headers);
    let _ = encryption::refuse_on_read(&headers);
}

/// A range resolves to bytes that exist, and means the same when it is written down again.
pub fn range(data: &[u8]) {
    let parsed = parse_range(data);
    if let Some(range) = parsed {
        let text = match range {
            ByteRange::FirstLast { first, last } => format!("bytes={first}-{last}"),
            ByteRange::From(first) => format!("bytes={first}-"),
            ByteRange::Suffix(count) => format!("bytes=-{count}"),
        };
        assert_eq!(parse_range(text.as_bytes()), parsed);
        for length in [0, 1, 2, 1000, u64::MAX - 1, u64::MAX] {
            match range.resolve(length) {
                ResolvedRange::Partial(span) => {
                    assert!(span.start <= span.end && span.end < length);
                    assert!((1..=length).contains(&span.len_bytes()));
                    let header = span.content_range(length);
                    assert!(header.ends_with(&format!("/{length}")));
                }
                ResolvedRange::Unsatisfiable => match range {
                    ByteRange::FirstLast { first, .. } | ByteRange::From(first) => {
                        assert!(first >= length);
                    }
                    ByteRange::Suffix(count) => assert!(count == 0 || length == 0),
                },
                ResolvedRange::Full => panic!("a range was forgotten"),
            }
        }
    }
    if let Ok(range) = CopySourceRange::parse(data) {
        let Some(ByteRange::FirstLast { first, last }) = parsed else {
            panic!("only one of the parsers takes it");
        };
        for length in [0, 1, last, last.saturating_add(1), u64::MAX] {
            match range.resolve(length) {
                Ok(span) => {
                    assert_eq!((span.start, span.end), (first, last));
                    assert!(span.end < length);
                }
                Err(_) => assert!(last >= length),
            }
        }
    }
}

/// What is read names a bucket and a key that can exist, and means the same when written again.
pub fn copy_source(data: &[u8]) {
    let Ok(source) = CopySource::parse(data) else {
        return;
    };
    assert!(is_valid_bucket_name(&source.bucket));
    assert!(!source.key.is_empty() && source.key.len() <= MAX_KEY_BYTES);
    for slash in ["", "/"] {
        let mut text = format!("{slash}{}/{}", source.bucket, encode_path(&source.key));
        if let Some(version_id) = &source.version_id {
            assert!(!version_id.is_empty());
            text.push_str("?versionId=");
            text.push_str(&encode_component(version_id));
        }
        assert_eq!(
            CopySource::parse(text.as_bytes()).ok().as_ref(),
            Some(&source),
            "{text}"
        );
    }
}

/// Tags survive being written, as a header and as a document.
pub fn tagging_header(data: &[u8]) {
    let Ok(tags) = TagSet::from_header(data) else {
        return;
    };
    assert!(tags.len() <= MAX_OBJECT_TAGS);
    let header = tags.to_header();
    assert_eq!(
        TagSet::from_header(header.as_bytes()).ok().as_ref(),
        Some(&tags)
    );
    let document = tagging::to_xml(&tags);
    assert_eq!(
        tagging::parse(&document, TagTarget::Object).ok().as_ref(),
        Some(&tags)
    );
    assert_eq!(
        TagSet::new(tags.clone().into_vec(), TagTarget::Bucket).ok(),
        Some(tags)
    );
}

/// Input: headers. What is stored with an object is bounded and no longer mentions the framing; stored
/// headers sent once more are stored the same.
pub fn stored_headers(data: &[u8]) {
    let headers = input::headers(data);
    let refused = refuse_not_implemented(&headers).is_err();
    assert!(!refused || headers.keys().any(|name| name.as_str().starts_with("x-")));

    let stored = read_stored_headers(&headers);
    assert!(stored.len() <= STORED_HEADERS.len());
    let mut again = HeaderMap::new();
    for (name, value) in &stored {
        assert!(!value.is_empty());
        if name == CONTENT_ENCODING {
            let codings = value.as_bytes().split(|byte| *byte == b',');
            for coding in codings {
                assert!(!coding.trim_ascii().eq_ignore_ascii_case(b"aws-chunked"));
            }
        }
        again.append(name.clone(), value.clone());
    }
    assert_eq!(read_stored_headers(&again), stored);

    match user_metadata(&headers) {
        Ok(metadata) => {
            let size: usize = metadata
                .iter()
                .map(|(name, value)| name.len() + value.len())
                .sum();
            assert!(size <= MAX_USER_METADATA_BYTES);
            assert!(
                metadata.windows(2).all(|pair| pair[0].0 < pair[1].0),
                "a name comes twice"
            );
            for (name, value) in &metadata {
                assert!(headers.contains_key(format!("{USER_METADATA_PREFIX}{name}")));
                assert!(HeaderValue::from_bytes(value).is_ok());
            }
        }
        Err(_) => assert!(data.len() > MAX_USER_METADATA_BYTES),
    }
}

/// Input: headers. A checksum that is read is the one that its headers would be written from.
pub fn checksum_headers(data: &[u8]) {
    let headers = input::headers(data);
    let Ok(read) = ChecksumHeaders::parse(&headers) else {
        return;
    };
    assert!(read.value.is_none() || read.trailer.is_none());
    if let Some(value) = read.value {
        assert_eq!(read.algorithm, Some(value.algorithm()));
        let name = value.algorithm().header_name();
        let text = match read.value_part_count {
            Some(count) => value.to_base64_composite(count),
            None => value.to_base64(),
        };
        let mut written = HeaderMap::new();
        let text = text.parse::<http::HeaderValue>();
        let text = text.unwrap_or_else(|error| panic!("base64 is ASCII: {error}"));
        written.insert(name, text);
        let again = ChecksumHeaders::parse(&written);
        let again = again.unwrap_or_else(|error| panic!("just written: {error}"));
        assert_eq!(
            (again.value, again.value_part_count),
            (read.value, read.value_part_count)
        );
    } else {
        assert_eq!(read.value_part_count, None);
    }
    if let (Some(algorithm), Some(checksum_type)) = (read.algorithm, read.checksum_type) {
        assert!(checksum_type.check_for(algorithm).is_ok());
    }
}

/// Input: a value of `x-amz-rename-source`, and of `x-amz-client-token`. The source with its bucket is
/// the same key as without, unless it begins with the bucket's name itself.
pub fn rename(data: &[u8]) {
    if let Ok(token) = client_token(data) {
        assert_eq!(token, data);
        assert!((1..=CLIENT_TOKEN_BYTES_MAX).contains(&token.len()));
    }
    let Ok(key) = rename_source(data, "bucket") else {
        return;
    };
    assert!(!key.is_empty() && key.len() <= MAX_KEY_BYTES);
    let written = format!("/bucket/{}", encode_path(&key));
    assert_eq!(rename_source(written.as_bytes(), "bucket").ok(), Some(key));
}

/// Input: headers. What is read of a lock is written as it was read.
pub fn object_lock(data: &[u8]) {
    let headers = input::headers(data);
    let now_ms = 1_700_000_000_000;
    let _ = bypasses_governance(&headers);
    let Ok(lock) = NewLock::from_headers(&headers, now_ms) else {
        return;
    };
    let mut written = HeaderMap::new();
    let mut write = |name: http::HeaderName, value: &[u8]| {
        let value = HeaderValue::from_bytes(value);
        let value = value.unwrap_or_else(|error| panic!("{name}: {error}"));
        written.insert(name, value);
    };
    if let Some(retention) = &lock.retention {
        assert!(retention.until_ms > now_ms);
        write(X_AMZ_OBJECT_LOCK_MODE, retention.mode.as_str().as_bytes());
        let until = iso8601(retention.until_ms);
        write(X_AMZ_OBJECT_LOCK_RETAIN_UNTIL_DATE, &until);
    }
    if let Some(hold) = lock.legal_hold {
        write(X_AMZ_OBJECT_LOCK_LEGAL_HOLD, hold.as_str().as_bytes());
    }
    let again = NewLock::from_headers(&written, now_ms);
    assert_eq!(again.ok(), Some(lock));
}

/// Small texts: entity tags, upload ids, part numbers, names of algorithms and of canned ACLs. What
/// is read is written as it was read, or read again as the same.
pub fn scalar_texts(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Some(etag) = ETag::parse(text) {
        assert_eq!(ETag::parse(&etag.to_string()), Some(etag));
        assert_eq!(ETag::parse(&format!("\"{etag}\"")), Some(etag));
        assert_eq!(ETag::decode(&etag.encode()), Some(etag));
    }
    if let Some(id) = UniqueId::from_hex(text) {
        assert_eq!(UniqueId::from_hex(&id.to_hex()), Some(id));
        assert_eq!(id.to_hex(), text.to_ascii_lowercase());
    }
    if let Ok(number) = parse_part_number(text) {
        assert!((1..=MAX_PART_NUMBER).contains(&number));
        assert!(
            text.bytes().all(|byte| byte.is_ascii_digit()),
            "{text:?} is no number"
        );
    }
    if let Ok(acl) = CannedAcl::parse(text) {
        assert_eq!(acl.as_str(), text);
    }
    if let Ok(algorithm) = text.parse::<ChecksumAlgorithm>() {
        assert_eq!(algorithm.as_str().parse(), Ok(algorithm));
        assert_eq!(
            ChecksumAlgorithm::from_header_name(algorithm.header_name()),
            Some(algorithm)
        );
    }
}
