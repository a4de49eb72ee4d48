//! The event stream of SelectObjectContent: messages of headers and a payload, each with two CRCs.
//! Source: S3 API reference, "Appendix: SelectObjectContent Response".

use oncilla_hash::{Checksum, ChecksumAlgorithm};

use crate::error::S3Error;
use crate::xml::select::Progress;

/// The content type of an answer that is an event stream.
pub const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";

/// Total length, length of the headers, and the CRC-32 of both.
const PRELUDE_BYTES: usize = 12;

/// The CRC-32 of everything before it.
const MESSAGE_CRC_BYTES: usize = 4;

/// The type number of a header whose value is text.
const TEXT_VALUE: u8 = 7;

/// The longest message of an error; the length of a header's value has 16 bits.
const ERROR_MESSAGE_BYTES_MAX: usize = 4096;

/// Appends a `Records` event.
pub fn push_records(out: &mut Vec<u8>, records: &[u8]) {
    let content_type = ("content-type", "application/octet-stream");
    push_event(out, "Records", Some(content_type), records);
}

/// Appends a `Progress` event.
pub fn push_progress(out: &mut Vec<u8>, progress: &Progress) {
    let document = progress.to_xml("Progress");
    push_event(
        out,
        "Progress",
        Some(("content-type", "text/xml")),
        &document,
    );
}

/// Appends the `Stats` event.
pub fn push_stats(out: &mut Vec<u8>, stats: &Progress) {
    let document = stats.to_xml("Stats");
    push_event(out, "Stats", Some(("content-type", "text/xml")), &document);
}

/// Appends a `Cont` event, which keeps the connection alive.
pub fn push_continuation(out: &mut Vec<u8>) {
    push_event(out, "Cont", None, &[]);
}

/// Appends the `End` event: without it, the answer is not complete.
pub fn push_end(out: &mut Vec<u8>) {
    push_event(out, "End", None, &[]);
}

/// Appends an error, after which nothing comes.
pub fn push_error(out: &mut Vec<u8>, error: &S3Error) {
    let mut message = error.message.as_ref();
    if message.len() > ERROR_MESSAGE_BYTES_MAX {
        let mut end = ERROR_MESSAGE_BYTES_MAX;
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message = &message[..end];
    }
    let headers = [
        ("error-code", error.code.as_str()),
        ("error-message", message),
        ("message-type", "error"),
    ];
    push_message(out, &headers, &[]);
}

fn push_event(out: &mut Vec<u8>, kind: &str, extra: Option<(&str, &str)>, payload: &[u8]) {
    let own = [("message-type", "event"), ("event-type", kind)];
    match extra {
        Some(extra) => push_message(out, &[own[0], own[1], extra], payload),
        None => push_message(out, &own, payload),
    }
}

/// Names are without the colon that all of them begin with.
fn push_message(out: &mut Vec<u8>, headers: &[(&str, &str)], payload: &[u8]) {
    let header_bytes: usize = headers
        .iter()
        .map(|(name, value)| 5 + name.len() + value.len())
        .sum();
    let total = PRELUDE_BYTES + header_bytes + payload.len() + MESSAGE_CRC_BYTES;
    let begin = out.len();
    out.reserve(total);
    out.extend_from_slice(&(total as u32).to_be_bytes());
    out.extend_from_slice(&(header_bytes as u32).to_be_bytes());
    push_crc(out, begin);
    for (name, value) in headers {
        out.push(name.len() as u8 + 1);
        out.push(b':');
        out.extend_from_slice(name.as_bytes());
        out.push(TEXT_VALUE);
        out.extend_from_slice(&(value.len() as u16).to_be_bytes());
        out.extend_from_slice(value.as_bytes());
    }
    out.extend_from_slice(payload);
    push_crc(out, begin);
}

/// Appends the CRC-32 of everything from `begin` on.
fn push_crc(out: &mut Vec<u8>, begin: usize) {
    let crc = Checksum::of(ChecksumAlgorithm::Crc32, &out[begin..]);
    out.extend_from_slice(crc.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::S3ErrorCode;

    #[test]
    fn a_message_is_laid_out_as_documented() {
        let mut out = b"before".to_vec();
        push_continuation(&mut out);
        // The bytes of a Cont event as S3 sends it, CRCs included: they do not depend on what the
        // stream holds before.
        let message = &out[6..];
        assert_eq!(message.len(), 57 - 1 + 1);
        assert_eq!(&message[..8], &[0, 0, 0, 57, 0, 0, 0, 41]);
        assert_eq!(&message[12..27], b"\x0d:message-type\x07".as_slice());
        let crc = Checksum::of(ChecksumAlgorithm::Crc32, &message[..53]);
        assert_eq!(crc.as_bytes(), &message[53..]);
    }

    #[test]
    fn a_long_error_is_cut_at_a_character() {
        let error = S3Error::with_message(S3ErrorCode::CastFailed, "ü".repeat(40_000));
        let mut out = Vec::new();
        push_error(&mut out, &error);
        assert!(out.len() < ERROR_MESSAGE_BYTES_MAX + 200);
    }
}
