//! The canonical request and the string to sign, the two texts that both sides have to agree on.
//! Source: S3 API reference, "Signature Calculations for the Authorization Header".

use oncilla_hash::{Sha256, hex};

use super::{ALGORITHM, AmzDate, RequestView, SCOPE_TERMINATOR, Scope};
use crate::uri::{self, Component, MalformedEscape};

/// The parameter that cannot be part of what it signs.
const SIGNATURE_PARAMETER: &str = "X-Amz-Signature";

/// Room for a usual canonical request, so that its buffer seldom grows.
const CANONICAL_REQUEST_LENGTH_BYTES_USUAL: usize = 768;

/// How the path goes into the canonical request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathForm {
    /// Decoded and encoded once, as S3 defines it. `//` and `..` stay: a key may contain them.
    Canonical,
    /// As it stood on the wire, which is what some clients sign although they encode it oddly.
    AsSent,
}

/// Builds the canonical request.
pub(super) fn canonical_request(
    request: &RequestView<'_>,
    path_form: PathForm,
    signed_headers: &str,
    payload_text: &str,
) -> Result<Vec<u8>, MalformedEscape> {
    let mut out = Vec::with_capacity(CANONICAL_REQUEST_LENGTH_BYTES_USUAL);
    out.extend_from_slice(request.method.as_bytes());
    out.push(b'\n');
    match path_form {
        PathForm::Canonical => {
            uri::append_canonical(&mut out, request.raw_path.as_bytes(), Component::Path)?;
        }
        PathForm::AsSent => out.extend_from_slice(request.raw_path.as_bytes()),
    }
    out.push(b'\n');
    append_canonical_query(&mut out, request.raw_query)?;
    out.push(b'\n');
    for name in signed_headers.split(';') {
        append_canonical_header(&mut out, request, name);
    }
    out.push(b'\n');
    out.extend_from_slice(signed_headers.as_bytes());
    out.push(b'\n');
    out.extend_from_slice(payload_text.as_bytes());
    Ok(out)
}

/// Whether the canonical form of the path differs from the path as sent. `canonical` is a canonical
/// request built with [`PathForm::Canonical`].
pub(super) fn path_was_changed(canonical: &[u8], request: &RequestView<'_>) -> bool {
    let after_method = canonical
        .get(request.method.len() + 1..)
        .unwrap_or_default();
    let path = after_method
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    path != request.raw_path.as_bytes()
}

/// Builds the string to sign.
pub(super) fn string_to_sign(
    canonical_request: &[u8],
    timestamp: &AmzDate,
    scope: &Scope<'_>,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(192);
    out.extend_from_slice(ALGORITHM.as_bytes());
    out.push(b'\n');
    out.extend_from_slice(timestamp.as_str().as_bytes());
    out.push(b'\n');
    for part in [
        scope.day.as_ref(),
        scope.region.as_ref(),
        scope.service.as_ref(),
    ] {
        out.extend_from_slice(part.as_bytes());
        out.push(b'/');
    }
    out.extend_from_slice(SCOPE_TERMINATOR.as_bytes());
    out.push(b'\n');
    hex::append(&mut out, &Sha256::digest(canonical_request));
    out
}

/// Parameters sorted by encoded name, then by encoded value; those without a value get an equals
/// sign. A plus sign is a space here too, because S3 canonicalises what it has decoded.
fn append_canonical_query(out: &mut Vec<u8>, raw_query: &str) -> Result<(), MalformedEscape> {
    let mut parameters =
        uri::raw_parameters(raw_query).filter(|(name, _)| *name != SIGNATURE_PARAMETER);
    let Some(first) = parameters.next() else {
        return Ok(());
    };
    let Some(second) = parameters.next() else {
        uri::append_canonical(out, first.0.as_bytes(), Component::Query)?;
        out.push(b'=');
        return uri::append_canonical(
            out,
            first.1.unwrap_or_default().as_bytes(),
            Component::Query,
        );
    };

    // All encoded parameters lie in one buffer; what is sorted are their places in it.
    let mut encoded = Vec::with_capacity(raw_query.len() * 2);
    let mut places = Vec::with_capacity(8);
    for (name, value) in [first, second].into_iter().chain(parameters) {
        let start = encoded.len();
        uri::append_canonical(&mut encoded, name.as_bytes(), Component::Query)?;
        let name_end = encoded.len();
        let value = value.unwrap_or_default();
        uri::append_canonical(&mut encoded, value.as_bytes(), Component::Query)?;
        places.push((start, name_end, encoded.len()));
    }
    let name_and_value = |&(start, name_end, end): &(usize, usize, usize)| {
        (&encoded[start..name_end], &encoded[name_end..end])
    };
    places.sort_unstable_by(|left, right| name_and_value(left).cmp(&name_and_value(right)));
    for (index, place) in places.iter().enumerate() {
        let (name, value) = name_and_value(place);
        if index > 0 {
            out.push(b'&');
        }
        out.extend_from_slice(name);
        out.push(b'=');
        out.extend_from_slice(value);
    }
    Ok(())
}

/// One line: the name, and all values of that name joined with commas. A header that is named but
/// absent counts as empty, so stripping a signed header spoils the signature.
fn append_canonical_header(out: &mut Vec<u8>, request: &RequestView<'_>, name: &str) {
    out.extend(name.bytes().map(|byte| byte.to_ascii_lowercase()));
    out.push(b':');
    for (index, value) in request.headers.get_all(name).iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        append_collapsed(out, value.as_bytes());
    }
    out.push(b'\n');
}

/// Appends `value` without outer whitespace and with inner runs of it as one space.
fn append_collapsed(out: &mut Vec<u8>, value: &[u8]) {
    let mut words = value
        .split(|byte| matches!(byte, b' ' | b'\t'))
        .filter(|word| !word.is_empty());
    if let Some(first) = words.next() {
        out.extend_from_slice(first);
    }
    for word in words {
        out.push(b' ');
        out.extend_from_slice(word);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn query(raw: &str) -> String {
        let mut out = Vec::new();
        append_canonical_query(&mut out, raw).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn query_is_sorted_by_encoded_name_then_value() {
        assert_eq!(query(""), "");
        assert_eq!(query("lifecycle"), "lifecycle=");
        assert_eq!(query("b=2&a=2&a=1&a"), "a=&a=1&a=2&b=2");
        // `~` is above `%` in ASCII although the character it precedes here is not.
        assert_eq!(query("a~=1&a%C3%A9=2"), "a%C3%A9=2&a~=1");
        // A name that is a prefix of another sorts first, whatever the values are.
        assert_eq!(query("ab=1&a=z"), "a=z&ab=1");
        assert_eq!(query("p=a+b%2Bc/d&X-Amz-Signature=00"), "p=a%20b%2Bc%2Fd");
        assert_eq!(
            append_canonical_query(&mut Vec::new(), "a=%2"),
            Err(MalformedEscape)
        );
    }

    #[test]
    fn headers_are_joined_trimmed_and_collapsed() {
        let mut headers = HeaderMap::new();
        headers.append("x-amz-meta-a", "  one \t two ".parse().unwrap());
        headers.append("x-amz-meta-a", "three".parse().unwrap());
        let request = RequestView {
            method: "GET",
            raw_path: "/",
            raw_query: "",
            headers: &headers,
        };
        let mut out = Vec::new();
        append_canonical_header(&mut out, &request, "x-amz-meta-a");
        append_canonical_header(&mut out, &request, "absent");
        assert_eq!(out, b"x-amz-meta-a:one two,three\nabsent:\n");
    }

    #[test]
    fn path_is_not_normalised() {
        let headers = HeaderMap::new();
        let request = RequestView {
            method: "GET",
            raw_path: "/b//a/../%7Ec(1)",
            raw_query: "",
            headers: &headers,
        };
        let canonical = canonical_request(&request, PathForm::Canonical, "host", "x").unwrap();
        assert!(canonical.starts_with(b"GET\n/b//a/../~c%281%29\n\n"));
        assert!(path_was_changed(&canonical, &request));
        let plain = RequestView {
            raw_path: "/b//c",
            ..request
        };
        let canonical = canonical_request(&plain, PathForm::Canonical, "host", "x").unwrap();
        assert!(!path_was_changed(&canonical, &plain));
    }
}
