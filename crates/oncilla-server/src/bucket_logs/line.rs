//! One request as a line of S3's server access log.
//! Source: S3 User Guide, "Amazon S3 server access log format".

use std::fmt::{self, Write};

use oncilla_wire::uri::encode_path;

/// The longest text from outside in a field without quotes, before it is encoded: keys are at most as
/// long, and so are the ids of versions. What a request names may be longer, and then it is refused. The
/// fields in quotes are as short as the head of a request.
const PLAIN_BYTES_MAX: usize = 1_024;

/// The fields of a line, in their order. What is unknown or does not apply is `-`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogLine<'a> {
    /// Canonical id of the bucket's owner.
    pub bucket_owner: &'a str,
    /// The bucket.
    pub bucket: &'a str,
    /// When the request was received, in Unix milliseconds.
    pub time_ms: i64,
    /// The client's address.
    pub remote_ip: &'a str,
    /// Canonical id of the requester; `None` for an anonymous one.
    pub requester: Option<&'a str>,
    /// The request's id.
    pub request_id: &'a str,
    /// Such as `REST.GET.OBJECT`.
    pub operation: &'a str,
    /// The key, decoded.
    pub key: Option<&'a str>,
    /// Such as `GET /b/k HTTP/1.1`.
    pub request_uri: Option<&'a str>,
    /// The status that was answered.
    pub status: Option<u16>,
    /// S3's error code.
    pub error_code: Option<&'a str>,
    /// Bytes of the answer's body; 0 is `-`.
    pub sent_bytes: u64,
    /// Length of the object.
    pub object_size: Option<u64>,
    /// From the first byte of the request to the last of the answer.
    pub total_ms: Option<u64>,
    /// From the last byte of the request to the first of the answer.
    pub turn_around_ms: Option<u64>,
    /// The `Referer` header.
    pub referer: Option<&'a str>,
    /// The `User-Agent` header.
    pub user_agent: Option<&'a str>,
    /// The version that the request named.
    pub version_id: Option<&'a str>,
    /// The other id of the request.
    pub host_id: &'a str,
    /// `SigV4` or `SigV2`.
    pub signature_version: Option<&'a str>,
    /// The cipher suite, over TLS.
    pub cipher_suite: Option<&'a str>,
    /// `AuthHeader` or `QueryString`.
    pub authentication: Option<&'a str>,
    /// The `Host` header.
    pub host: Option<&'a str>,
    /// Such as `TLSv1.3`.
    pub tls_version: Option<&'a str>,
    /// `Yes` if an ACL decided.
    pub acl_required: Option<&'a str>,
}

impl LogLine<'_> {
    /// Appends the line with its end.
    pub fn write(&self, out: &mut Vec<u8>) {
        let key = self.key.map(|key| encode_path(cut(key)));
        let sent_bytes = Some(self.sent_bytes).filter(|bytes| *bytes > 0);
        let mut line = String::with_capacity(512);
        plain(&mut line, Some(self.bucket_owner));
        plain(&mut line, Some(self.bucket));
        // Writing to a string cannot fail.
        let _ = write!(line, "[{}] ", LogTime(self.time_ms));
        plain(&mut line, Some(self.remote_ip));
        plain(&mut line, self.requester);
        plain(&mut line, Some(self.request_id));
        plain(&mut line, Some(self.operation));
        plain(&mut line, key.as_deref());
        quoted(&mut line, self.request_uri);
        number(&mut line, self.status.map(u64::from));
        plain(&mut line, self.error_code);
        number(&mut line, sent_bytes);
        number(&mut line, self.object_size);
        number(&mut line, self.total_ms);
        number(&mut line, self.turn_around_ms);
        quoted(&mut line, self.referer);
        quoted(&mut line, self.user_agent);
        plain(&mut line, self.version_id.map(cut));
        plain(&mut line, Some(self.host_id));
        plain(&mut line, self.signature_version);
        plain(&mut line, self.cipher_suite);
        plain(&mut line, self.authentication);
        plain(&mut line, self.host.map(cut));
        plain(&mut line, self.tls_version);
        // The ARN of an access point, which there are none of here.
        plain(&mut line, None);
        plain(&mut line, self.acl_required);
        line.pop();
        line.push('\n');
        out.extend_from_slice(line.as_bytes());
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(PLAIN_BYTES_MAX)]
}

/// A field without spaces.
fn plain(line: &mut String, value: Option<&str>) {
    match value.filter(|text| !text.is_empty()) {
        Some(text) => encoded(line, text, |byte| byte == b' ' || byte == b'"'),
        None => line.push('-'),
    }
    line.push(' ');
}

/// A field in quotes. The quotes are there even if the value is unknown.
fn quoted(line: &mut String, value: Option<&str>) {
    line.push('"');
    match value.filter(|text| !text.is_empty()) {
        Some(text) => encoded(line, text, |byte| byte == b'"'),
        None => line.push('-'),
    }
    line.push_str("\" ");
}

fn number(line: &mut String, value: Option<u64>) {
    let _ = match value {
        Some(value) => write!(line, "{value} "),
        None => write!(line, "- "),
    };
}

/// Writes text that came from outside so that it cannot end its field or its line: S3's page is silent
/// on that, and programs that read its logs do not know any escape, so what would end a field is
/// percent-encoded, together with everything that is not visible ASCII.
fn encoded(line: &mut String, text: &str, ends_field: impl Fn(u8) -> bool) {
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if !ends_field(byte) => line.push(char::from(byte)),
            _ => {
                let _ = write!(line, "%{byte:02X}");
            }
        }
    }
}

/// A time as in `06/Feb/2019:00:00:38 +0000`.
struct LogTime(i64);

impl fmt::Display for LogTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `Wed, 06 Feb 2019 00:00:38 GMT` has all parts of it.
        let text = oncilla_wire::time::http_date(self.0);
        let part = |range: std::ops::Range<usize>| String::from_utf8_lossy(&text[range]);
        let (day, month, year) = (part(5..7), part(8..11), part(12..16));
        write!(f, "{day}/{month}/{year}:{} +0000", part(17..25))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads a line as programs do: fields at spaces, of which those in quotes or brackets hold some.
    fn fields(line: &str) -> Vec<String> {
        let mut fields = Vec::new();
        let mut rest = line.strip_suffix('\n').unwrap();
        while !rest.is_empty() {
            let (field, behind) = match rest.chars().next().unwrap() {
                '"' => rest[1..].split_once('"').unwrap(),
                // The time; other fields may hold brackets, as the address of a host does.
                '[' if fields.len() == 2 => rest[1..].split_once(']').unwrap(),
                _ => rest.split_at(rest.find(' ').unwrap_or(rest.len())),
            };
            fields.push(field.to_owned());
            rest = behind.strip_prefix(' ').unwrap_or(behind);
        }
        fields
    }

    fn written(line: &LogLine<'_>) -> String {
        let mut out = Vec::new();
        line.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_has_every_field_in_order() {
        let line = LogLine {
            bucket_owner: "owner",
            bucket: "b",
            time_ms: 1_549_411_238_000,
            remote_ip: "192.0.2.3",
            requester: Some("requester"),
            request_id: "3E57427F3EXAMPLE",
            operation: "REST.GET.OBJECT",
            key: Some("a b/\"é\"%20"),
            request_uri: Some("GET /b/a%20b HTTP/1.1"),
            status: Some(404),
            error_code: Some("NoSuchKey"),
            sent_bytes: 297,
            object_size: Some(5),
            total_ms: Some(38),
            turn_around_ms: Some(0),
            referer: Some("http://example.com/a b\"c"),
            user_agent: Some("aws-cli/1 \"x\"\r\n"),
            version_id: Some("v1"),
            host_id: "host=",
            signature_version: Some("SigV4"),
            cipher_suite: Some("TLS_AES_128_GCM_SHA256"),
            authentication: Some("AuthHeader"),
            host: Some("b.localhost:9000"),
            tls_version: Some("TLSv1.3"),
            acl_required: None,
        };
        assert_eq!(
            written(&line),
            "owner b [06/Feb/2019:00:00:38 +0000] 192.0.2.3 requester 3E57427F3EXAMPLE \
             REST.GET.OBJECT a%20b/%22%C3%A9%22%2520 \"GET /b/a%20b HTTP/1.1\" 404 NoSuchKey 297 5 \
             38 0 \"http://example.com/a b%22c\" \"aws-cli/1 %22x%22%0D%0A\" v1 host= SigV4 \
             TLS_AES_128_GCM_SHA256 AuthHeader b.localhost:9000 TLSv1.3 - -\n"
        );
        let empty = written(&LogLine::default());
        assert_eq!(
            empty,
            "- - [01/Jan/1970:00:00:00 +0000] - - - - - \"-\" - - - - - - \"-\" \"-\" - - - - - - - - -\n"
        );
        assert_eq!(fields(&empty).len(), 26);
    }

    #[test]
    fn fields_that_are_too_long_are_cut() {
        let long = "é".repeat(PLAIN_BYTES_MAX);
        let line = LogLine {
            key: Some(&long),
            version_id: Some(&long),
            host: Some(&long),
            ..LogLine::default()
        };
        let fields = fields(&written(&line));
        for field in [7, 17, 22] {
            assert_eq!(fields[field], "%C3%A9".repeat(PLAIN_BYTES_MAX / 2));
        }
    }

    proptest! {
        #[test]
        fn no_text_from_outside_breaks_a_line(
            key: String, uri: String, referer: String, user_agent: String, host: String, version: String,
            time_ms in 0..253_402_300_799_999_i64,
        ) {
            let line = LogLine {
                bucket_owner: "o", bucket: "b", time_ms, remote_ip: "::1", request_id: "r",
                operation: "REST.PUT.OBJECT", key: Some(&key), request_uri: Some(&uri),
                referer: Some(&referer), user_agent: Some(&user_agent), version_id: Some(&version),
                host: Some(&host), host_id: "h", ..LogLine::default()
            };
            let text = written(&line);
            prop_assert_eq!(text.lines().count(), 1);
            prop_assert!(text.is_ascii());
            let fields = fields(&text);
            prop_assert_eq!(fields.len(), 26, "{}", text);
            let decoded = percent_encoding::percent_decode_str(&fields[7]).decode_utf8().unwrap();
            prop_assert_eq!(&decoded, if key.is_empty() { "-" } else { key.as_str() });
            prop_assert_eq!(fields[6].as_str(), "REST.PUT.OBJECT");
            prop_assert_eq!(fields[18].as_str(), "h");
        }
    }
}
