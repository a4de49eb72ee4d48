//! How targets read structure into their input, so that seeds stay text that people can write.

use http::{HeaderMap, HeaderName, HeaderValue, Method};

/// More headers than a real request has; hyper's own limit is of the same order.
const HEADERS_MAX: usize = 64;

/// The first line and what follows it.
pub fn first_line(data: &[u8]) -> (&[u8], &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n');
    match end {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &[]),
    }
}

/// Lines of `name: value` as headers; what cannot be one is passed over, as a server never sees it.
pub fn headers(data: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').take(HEADERS_MAX) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    headers
}

/// A request: `METHOD /path?query`, then headers.
pub struct RequestInput<'a> {
    pub method: Method,
    pub path: &'a str,
    pub query: &'a str,
    pub headers: HeaderMap,
}

/// Reads a request; `None` when the bytes are not one that a server could be given.
pub fn request(data: &[u8]) -> Option<RequestInput<'_>> {
    let (line, rest) = first_line(data);
    let line = std::str::from_utf8(line).ok()?;
    let (method, target) = line.split_once(' ')?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if !path.starts_with('/') {
        return None;
    }
    Some(RequestInput {
        method: Method::from_bytes(method.as_bytes()).ok()?,
        path,
        query,
        headers: headers(rest),
    })
}

/// The first `N` bytes, zeros in place of those that are missing, and what follows them.
pub fn take<const N: usize>(data: &[u8]) -> ([u8; N], &[u8]) {
    let mut bytes = [0; N];
    let length = data.len().min(N);
    bytes[..length].copy_from_slice(&data[..length]);
    (bytes, &data[length..])
}
