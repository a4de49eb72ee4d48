//! Reading answers: a parser of HTTP/1.1 responses that is fed whatever the socket gives.
//!
//! It is a function of bytes alone (RFC 9112), keeps no body, and holds at most
//! [`HEAD_BYTES_MAX`] of a head and [`ERROR_BODY_BYTES_MAX`] of an error's text.

use crate::http::chunked::ChunkedDecoder;

/// Longest head. S3's heads have less than 10 KiB, user metadata included.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Headers in a head, more than any S3 implementation sends.
const HEADERS_MAX: usize = 96;

/// What is kept of the body of an answer that is no success, to say which error it was.
pub const ERROR_BODY_BYTES_MAX: usize = 64 * 1024;

/// Why an answer is no HTTP/1.1 response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// The head cannot be parsed.
    #[error("malformed response head")]
    MalformedHead,
    /// The head is longer than [`HEAD_BYTES_MAX`] or has too many headers.
    #[error("response head too long")]
    HeadTooLong,
    /// `Content-Length` is no number, or there are several that differ.
    #[error("invalid Content-Length")]
    InvalidContentLength,
    /// The chunked body is malformed.
    #[error("malformed chunked body")]
    MalformedChunk,
    /// The connection was closed before the end of the response.
    #[error("connection closed before the end of the response")]
    ClosedEarly,
}

/// What [`ResponseParser::feed`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fed {
    /// All bytes were used and the response goes on.
    More,
    /// The response ended after so many of the bytes.
    Complete {
        /// How many bytes belong to the response.
        used: usize,
    },
}

#[derive(Clone, Copy, Debug)]
enum State {
    Head,
    Length { remaining: u64 },
    Chunked(ChunkedDecoder),
    UntilClose,
    Complete,
}

/// One response. [`ResponseParser::begin`] makes it ready for the next one and keeps its buffers.
#[derive(Debug)]
pub struct ResponseParser {
    state: State,
    answers_head: bool,
    /// A head of which only a part has come.
    partial_head: Vec<u8>,
    status: u16,
    keeps_alive: bool,
    content_length: Option<u64>,
    etag: String,
    body_bytes: u64,
    error_body: Vec<u8>,
}

impl Default for ResponseParser {
    fn default() -> Self {
        Self {
            state: State::Complete,
            answers_head: false,
            partial_head: Vec::new(),
            status: 0,
            keeps_alive: false,
            content_length: None,
            etag: String::new(),
            body_bytes: 0,
            error_body: Vec::new(),
        }
    }
}

impl ResponseParser {
    /// Expects a new response. That to a HEAD request (`answers_head`) has no body, whatever its
    /// headers say.
    pub fn begin(&mut self, answers_head: bool) {
        self.state = State::Head;
        self.answers_head = answers_head;
        self.partial_head.clear();
        self.status = 0;
        self.keeps_alive = false;
        self.content_length = None;
        self.etag.clear();
        self.body_bytes = 0;
        self.error_body.clear();
    }

    /// Takes bytes as they came. The body of a success goes to `body`, that of an error is kept.
    ///
    /// # Errors
    /// See [`ResponseError`]. The connection is of no use then.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        body: &mut dyn FnMut(&[u8]),
    ) -> Result<Fed, ResponseError> {
        let mut used = 0;
        while matches!(self.state, State::Head) {
            match self.feed_head(&bytes[used..])? {
                Some(head_bytes) => used += head_bytes,
                None => return Ok(Fed::More),
            }
        }
        used += self.feed_body(&bytes[used..], body)?;
        match self.state {
            State::Complete => Ok(Fed::Complete { used }),
            _ => Ok(Fed::More),
        }
    }

    /// The connection was closed. That ends a body without a length, and breaks any other response.
    ///
    /// # Errors
    /// [`ResponseError::ClosedEarly`]
    pub fn close(&mut self) -> Result<(), ResponseError> {
        match self.state {
            State::UntilClose | State::Complete => {
                self.state = State::Complete;
                Ok(())
            }
            _ => Err(ResponseError::ClosedEarly),
        }
    }

    /// Status code; 0 before the head was read.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether the connection can take another request.
    pub fn keeps_alive(&self) -> bool {
        self.keeps_alive && matches!(self.state, State::Complete)
    }

    /// The header `Content-Length`, also in answers to HEAD.
    pub fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    /// The header `ETag` as it stands; empty if there is none.
    pub fn etag(&self) -> &str {
        &self.etag
    }

    /// Bytes of body so far, without framing.
    pub fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// The beginning of the body, if the response is no success.
    pub fn error_body(&self) -> &[u8] {
        &self.error_body
    }

    /// Returns how many of `bytes` belong to the head once it is whole.
    fn feed_head(&mut self, bytes: &[u8]) -> Result<Option<usize>, ResponseError> {
        if self.partial_head.is_empty() {
            // The usual case: the whole head in one read, parsed where it lies.
            if let Some(length) = self.parse_head(bytes)? {
                return Ok(Some(length));
            }
            if bytes.len() > HEAD_BYTES_MAX {
                return Err(ResponseError::HeadTooLong);
            }
            self.partial_head.extend_from_slice(bytes);
            return Ok(None);
        }
        let before = self.partial_head.len();
        let room = (HEAD_BYTES_MAX + 1).saturating_sub(before);
        let taken = &bytes[..bytes.len().min(room)];
        self.partial_head.extend_from_slice(taken);
        // Parsing anew after every byte of a dripping server would be quadratic; a head ends with
        // an empty line.
        let searched_from = before.saturating_sub(3);
        let may_be_whole = self.partial_head[searched_from..]
            .windows(2)
            .any(|pair| pair == b"\n\n" || pair == b"\n\r");
        let mut head = std::mem::take(&mut self.partial_head);
        let length = if may_be_whole {
            self.parse_head(&head)?
        } else {
            None
        };
        match length {
            Some(length) => {
                head.clear();
                self.partial_head = head;
                Ok(Some(length.saturating_sub(before)))
            }
            None if head.len() > HEAD_BYTES_MAX => Err(ResponseError::HeadTooLong),
            None => {
                self.partial_head = head;
                Ok(None)
            }
        }
    }

    /// Returns the length of the head if it is whole. Interim answers (1xx) leave the state as it
    /// is, so that the next head is read.
    fn parse_head(&mut self, bytes: &[u8]) -> Result<Option<usize>, ResponseError> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let length = match response.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(ResponseError::HeadTooLong),
            Err(_) => return Err(ResponseError::MalformedHead),
        };
        if length > HEAD_BYTES_MAX {
            return Err(ResponseError::HeadTooLong);
        }
        let status = response.code.ok_or(ResponseError::MalformedHead)?;
        if (100..200).contains(&status) {
            // 101 would hand the connection to another protocol, which was not asked for.
            if status == 101 {
                return Err(ResponseError::MalformedHead);
            }
            return Ok(Some(length));
        }
        self.status = status;
        self.keeps_alive = response.version == Some(1);
        let mut is_chunked = false;
        for header in response.headers.iter() {
            let name = header.name;
            if name.eq_ignore_ascii_case("content-length") {
                let value = parse_length(header.value)?;
                if self.content_length.is_some_and(|before| before != value) {
                    return Err(ResponseError::InvalidContentLength);
                }
                self.content_length = Some(value);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                if !header.value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                    return Err(ResponseError::MalformedHead);
                }
                is_chunked = true;
            } else if name.eq_ignore_ascii_case("connection") {
                for token in header.value.split(|byte| *byte == b',') {
                    let token = token.trim_ascii();
                    if token.eq_ignore_ascii_case(b"close") {
                        self.keeps_alive = false;
                    } else if token.eq_ignore_ascii_case(b"keep-alive")
                        && response.version == Some(0)
                    {
                        self.keeps_alive = true;
                    }
                }
            } else if name.eq_ignore_ascii_case("etag") {
                self.etag.clear();
                self.etag.push_str(&String::from_utf8_lossy(header.value));
            }
        }
        // RFC 9112 section 6.3
        let has_no_body = self.answers_head || status == 204 || status == 304;
        self.state = match self.content_length {
            _ if has_no_body => State::Complete,
            _ if is_chunked => State::Chunked(ChunkedDecoder::default()),
            Some(0) => State::Complete,
            Some(remaining) => State::Length { remaining },
            None => {
                self.keeps_alive = false;
                State::UntilClose
            }
        };
        Ok(Some(length))
    }

    /// Returns how many of `bytes` belong to the body.
    fn feed_body(
        &mut self,
        bytes: &[u8],
        body: &mut dyn FnMut(&[u8]),
    ) -> Result<usize, ResponseError> {
        match self.state {
            State::Head | State::Complete => Ok(0),
            State::UntilClose => {
                self.take_body(bytes, body);
                Ok(bytes.len())
            }
            State::Length { remaining } => {
                let length = usize::try_from(remaining).map_or(bytes.len(), |r| r.min(bytes.len()));
                self.take_body(&bytes[..length], body);
                let remaining = remaining - length as u64;
                self.state = match remaining {
                    0 => State::Complete,
                    _ => State::Length { remaining },
                };
                Ok(length)
            }
            State::Chunked(mut decoder) => {
                let mut used = 0;
                while used < bytes.len() && !decoder.is_complete() {
                    let step = decoder.next(&bytes[used..])?;
                    self.take_body(step.data, body);
                    used += step.used;
                }
                self.state = if decoder.is_complete() {
                    State::Complete
                } else {
                    State::Chunked(decoder)
                };
                Ok(used)
            }
        }
    }

    fn take_body(&mut self, data: &[u8], body: &mut dyn FnMut(&[u8])) {
        if data.is_empty() {
            return;
        }
        self.body_bytes += data.len() as u64;
        if self.is_success() {
            body(data);
            return;
        }
        let room = ERROR_BODY_BYTES_MAX.saturating_sub(self.error_body.len());
        self.error_body
            .extend_from_slice(&data[..data.len().min(room)]);
    }
}

fn parse_length(value: &[u8]) -> Result<u64, ResponseError> {
    let value = value.trim_ascii();
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(ResponseError::InvalidContentLength);
    }
    std::str::from_utf8(value)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(ResponseError::InvalidContentLength)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Outcome = Result<(ResponseParser, Vec<u8>, Option<usize>), ResponseError>;

    /// Feeds `wire` in pieces of `step` bytes; the last value is where the response ended.
    fn parse(wire: &[u8], step: usize, answers_head: bool) -> Outcome {
        let mut parser = ResponseParser::default();
        parser.begin(answers_head);
        let mut body = Vec::new();
        let mut fed = 0;
        for piece in wire.chunks(step.max(1)) {
            let outcome = parser.feed(piece, &mut |data| body.extend_from_slice(data))?;
            if let Fed::Complete { used } = outcome {
                return Ok((parser, body, Some(fed + used)));
            }
            fed += piece.len();
        }
        Ok((parser, body, None))
    }

    const WITH_LENGTH: &[u8] =
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"abc\"\r\n\r\nhelloHTTP/1.1";
    const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
        3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: 1\r\n\r\nHTTP/1.1";

    #[test]
    fn both_framings_however_they_are_cut() {
        for (wire, end) in [(WITH_LENGTH, WITH_LENGTH.len()), (CHUNKED, CHUNKED.len())] {
            for step in 1..=wire.len() {
                let (parser, body, ended) = parse(wire, step, false).unwrap();
                assert_eq!(body, b"hello", "step {step}");
                assert_eq!(ended, Some(end - b"HTTP/1.1".len()), "step {step}");
                assert!(parser.keeps_alive());
                assert_eq!((parser.status(), parser.body_bytes()), (200, 5));
            }
        }
        assert_eq!(parse(WITH_LENGTH, 999, false).unwrap().0.etag(), "\"abc\"");
    }

    #[test]
    fn answers_without_a_body() {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n";
        let (parser, _, ended) = parse(head, 7, true).unwrap();
        assert_eq!(
            (ended, parser.content_length()),
            (Some(head.len()), Some(1 << 20))
        );
        for wire in [
            &b"HTTP/1.1 204 No Content\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
        ] {
            assert_eq!(parse(wire, 5, false).unwrap().2, Some(wire.len()));
        }
    }

    #[test]
    fn interim_answers_are_passed_over() {
        let wire = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        for step in 1..=wire.len() {
            let (parser, body, ended) = parse(wire, step, false).unwrap();
            assert_eq!(
                (parser.status(), &body[..], ended),
                (200, &b"ok"[..], Some(wire.len()))
            );
        }
    }

    #[test]
    fn errors_are_kept_and_not_taken_for_data() {
        let wire = b"HTTP/1.1 503 Slow\r\nContent-Length: 4\r\nConnection: x, Close\r\n\r\nbusy";
        let (parser, body, _) = parse(wire, 3, false).unwrap();
        assert!(body.is_empty() && !parser.is_success() && !parser.keeps_alive());
        assert_eq!(parser.error_body(), b"busy");
    }

    #[test]
    fn the_end_of_the_connection_ends_only_a_body_without_a_length() {
        let open = b"HTTP/1.1 200 OK\r\n\r\nsome";
        let (mut parser, body, ended) = parse(open, 4, false).unwrap();
        assert_eq!((&body[..], ended), (&b"some"[..], None));
        assert_eq!(parser.close(), Ok(()));
        assert!(!parser.keeps_alive());
        for cut in 1..WITH_LENGTH.len() - 8 {
            let (mut parser, _, _) = parse(&WITH_LENGTH[..cut], 999, false).unwrap();
            assert_eq!(parser.close(), Err(ResponseError::ClosedEarly), "{cut}");
        }
        for cut in 1..CHUNKED.len() - 8 {
            let (mut parser, _, _) = parse(&CHUNKED[..cut], 999, false).unwrap();
            assert_eq!(parser.close(), Err(ResponseError::ClosedEarly), "{cut}");
        }
    }

    #[test]
    fn refuses_what_is_no_response() {
        let bad: [&[u8]; 9] = [
            b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
            b"HTTP/1.1 abc OK\r\n\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n",
        ];
        for wire in bad {
            for step in [1, wire.len()] {
                let text = String::from_utf8_lossy(wire);
                assert!(parse(wire, step, false).is_err(), "{text:?}");
            }
        }
    }

    #[test]
    fn a_head_without_end_is_given_up() {
        let mut wire = b"HTTP/1.1 200 OK\r\nX: ".to_vec();
        wire.resize(HEAD_BYTES_MAX + 2, b'x');
        for step in [1, 1000, wire.len()] {
            let outcome = parse(&wire, step, false).map(|_| ());
            assert_eq!(outcome, Err(ResponseError::HeadTooLong), "{step}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_never_reads_past_the_end(
            wire in proptest::collection::vec(any::<u8>(), 0..300),
            prefix in prop::sample::select(vec![
                "", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            ]),
            step in 1usize..64,
        ) {
            let wire = [prefix.as_bytes(), &wire].concat();
            if let Ok((parser, body, Some(end))) = parse(&wire, step, false) {
                prop_assert!(end <= wire.len());
                prop_assert!(body.len() as u64 <= parser.body_bytes());
            }
        }
    }
}
