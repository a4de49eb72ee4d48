//! `multipart/form-data`, decoded as it arrives: the fields of a POST Object form, then its file.
//!
//! The file is handed out as slices of the input, without knowing where it ends: only its last
//! bytes, if they could begin the delimiter, are kept until more comes. What follows the file is
//! ignored, as S3 ignores it.
//!
//! It is our own and not the crate multer, because the length of the file has to be bounded from
//! below before its first byte is taken: for that the decoder says how much of the body lies
//! before the file, byte by byte.
//!
//! Source: RFC 7578, RFC 2046 §5.1; S3 API reference, "POST Object".

use bytes::{Buf as _, Bytes, BytesMut};
use memchr::memmem;

use crate::error::{S3Error, S3ErrorCode};
use crate::uri::decode_path;

/// Everything in a form but its file. Source: S3 API reference, "POST Object": 20 KB.
pub const MAX_FORM_BYTES: usize = 20 * 1024;

/// The longest boundary. Source: RFC 2046 §5.1.1.
pub const MAX_BOUNDARY_BYTES: usize = 70;

/// The field that is the file. Whatever its case.
const FILE: &str = "file";

/// Why a form was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// It is not multipart/form-data.
    #[error("malformed form: {0}")]
    Malformed(&'static str),
    /// More than [`MAX_FORM_BYTES`] beside the file.
    #[error("the fields of the form are too large")]
    TooLarge,
}

impl From<FormError> for S3Error {
    fn from(error: FormError) -> Self {
        match error {
            FormError::Malformed(reason) => S3Error::with_message(
                S3ErrorCode::MalformedPOSTRequest,
                format!(
                    "The body of your POST request is not well-formed multipart/form-data: {reason}."
                ),
            ),
            FormError::TooLarge => S3ErrorCode::MaxPostPreDataLengthExceeded.into(),
        }
    }
}

/// What comes next in a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormPart {
    /// A field before the file.
    Field {
        /// Its name as sent.
        name: String,
        /// Its value.
        value: String,
    },
    /// The file begins.
    File {
        /// The name that the client gave it.
        filename: Option<String>,
    },
    /// Bytes of the file, never empty.
    Bytes(Bytes),
    /// The file is complete.
    FileEnd,
    /// The form ended without a file.
    End,
}

/// Decodes one form.
#[derive(Clone, Debug)]
pub struct FormDecoder {
    /// `\r\n--boundary`.
    delimiter: Vec<u8>,
    state: State,
    /// What came and was not given out.
    buffer: Bytes,
    /// Bytes before `buffer`.
    consumed: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Before the first delimiter.
    Start,
    /// Behind a delimiter.
    Delimited,
    /// In the head of a part.
    Head,
    /// In the value of a field.
    Value(String),
    File,
    /// Behind the file, or the last delimiter.
    End,
}

impl FormDecoder {
    /// A decoder for a body of this `Content-Type`.
    ///
    /// # Errors
    /// [`FormError::Malformed`] unless it is `multipart/form-data` with a boundary.
    pub fn new(content_type: &str) -> Result<Self, FormError> {
        let boundary = boundary(content_type).ok_or(FormError::Malformed(
            "its Content-Type names no usable boundary",
        ))?;
        Ok(Self {
            delimiter: [b"\r\n--", boundary.as_bytes()].concat(),
            state: State::Start,
            buffer: Bytes::new(),
            consumed: 0,
        })
    }

    /// Takes the next bytes of the body. Call [`FormDecoder::next_part`] until it has nothing more.
    pub fn push(&mut self, bytes: Bytes) {
        if self.state == State::End {
            self.consumed += bytes.len() as u64;
        } else if self.buffer.is_empty() {
            self.buffer = bytes;
        } else {
            let mut joined = BytesMut::with_capacity(self.buffer.len() + bytes.len());
            joined.extend_from_slice(&self.buffer);
            joined.extend_from_slice(&bytes);
            self.buffer = joined.freeze();
        }
    }

    /// How many bytes of the body lie before what comes next.
    pub fn consumed_bytes(&self) -> u64 {
        self.consumed
    }

    /// What comes next; `None` when more bytes are needed, and behind the file.
    ///
    /// # Errors
    /// See [`FormError`].
    pub fn next_part(&mut self) -> Result<Option<FormPart>, FormError> {
        let part = self.step()?;
        let read_bytes = match (&part, &self.state) {
            (Some(FormPart::Bytes(_) | FormPart::FileEnd | FormPart::End), _)
            | (None, State::File | State::End) => return Ok(part),
            (Some(FormPart::Field { .. } | FormPart::File { .. }), _) => self.consumed,
            (None, _) => self.consumed + self.buffer.len() as u64,
        };
        if read_bytes > MAX_FORM_BYTES as u64 {
            return Err(FormError::TooLarge);
        }
        Ok(part)
    }

    fn step(&mut self) -> Result<Option<FormPart>, FormError> {
        loop {
            match &self.state {
                State::Start => {
                    // The first delimiter has no line end before it, unless one was written.
                    let without_line_end = self.delimiter.len() - 2;
                    if self.buffer.len() < self.delimiter.len() {
                        return Ok(None);
                    }
                    if self.buffer.starts_with(&self.delimiter) {
                        self.skip(self.delimiter.len());
                    } else if self.buffer.starts_with(&self.delimiter[2..]) {
                        self.skip(without_line_end);
                    } else {
                        return Err(FormError::Malformed("it does not begin with its boundary"));
                    }
                    self.state = State::Delimited;
                }
                State::Delimited => {
                    let padding = self.padding();
                    match self.buffer.get(padding..padding + 2) {
                        None => return Ok(None),
                        Some(b"--") if padding == 0 => {
                            self.end();
                            return Ok(Some(FormPart::End));
                        }
                        Some(b"\r\n") => {
                            // The line end stays, as the one before the first header.
                            self.skip(padding);
                            self.state = State::Head;
                        }
                        Some(_) => {
                            return Err(FormError::Malformed("something follows a boundary"));
                        }
                    }
                }
                State::Head => {
                    let Some(end) = memmem::find(&self.buffer, b"\r\n\r\n") else {
                        return Ok(None);
                    };
                    let head = self.buffer.slice(..end);
                    self.skip(end + 4);
                    let disposition = Disposition::of_head(&head)?;
                    if disposition.name.eq_ignore_ascii_case(FILE) {
                        self.state = State::File;
                        let filename = disposition.filename;
                        return Ok(Some(FormPart::File { filename }));
                    }
                    self.state = State::Value(disposition.name);
                }
                State::Value(name) => {
                    let Some(end) = memmem::find(&self.buffer, &self.delimiter) else {
                        return Ok(None);
                    };
                    let value = std::str::from_utf8(&self.buffer[..end]);
                    let value = value.map_err(|_| FormError::Malformed("a field is not UTF-8"))?;
                    let part = FormPart::Field {
                        name: name.clone(),
                        value: value.to_owned(),
                    };
                    self.skip(end + self.delimiter.len());
                    self.state = State::Delimited;
                    return Ok(Some(part));
                }
                State::File => return Ok(self.file_bytes()),
                State::End => return Ok(None),
            }
        }
    }

    /// The next bytes of the file, or its end.
    fn file_bytes(&mut self) -> Option<FormPart> {
        let end = match memmem::find(&self.buffer, &self.delimiter) {
            Some(0) => {
                self.end();
                return Some(FormPart::FileEnd);
            }
            Some(end) => end,
            None => self.buffer.len() - self.delimiter_begun(),
        };
        if end == 0 {
            return None;
        }
        self.consumed += end as u64;
        Some(FormPart::Bytes(self.buffer.split_to(end)))
    }

    /// How many bytes at the end of the buffer could begin the delimiter.
    fn delimiter_begun(&self) -> usize {
        let longest = (self.delimiter.len() - 1).min(self.buffer.len());
        let begun = |length: &usize| self.buffer.ends_with(&self.delimiter[..*length]);
        (1..=longest).rev().find(begun).unwrap_or(0)
    }

    /// White space between a boundary and the end of its line. Source: RFC 2046 §5.1.1.
    fn padding(&self) -> usize {
        let is_space = |byte: &&u8| matches!(**byte, b' ' | b'\t');
        self.buffer.iter().take_while(is_space).count()
    }

    fn skip(&mut self, length: usize) {
        self.consumed += length as u64;
        self.buffer.advance(length);
    }

    fn end(&mut self) {
        self.consumed += self.buffer.len() as u64;
        self.buffer = Bytes::new();
        self.state = State::End;
    }

    /// Checks that the body ended where the form could end.
    ///
    /// # Errors
    /// [`FormError::Malformed`] if it was cut short.
    pub fn finish(&self) -> Result<(), FormError> {
        match self.state {
            State::End => Ok(()),
            _ => Err(FormError::Malformed("it ends before its last boundary")),
        }
    }
}

/// The boundary in a `Content-Type`.
fn boundary(content_type: &str) -> Option<String> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = Parameters(parameters)
        .find_map(|(name, value)| name.eq_ignore_ascii_case("boundary").then_some(value))?;
    let is_usable = (1..=MAX_BOUNDARY_BYTES).contains(&boundary.len())
        && boundary.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    is_usable.then_some(boundary)
}

/// Whether a `Content-Type` is that of a form.
pub fn is_form(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("multipart/form-data")
}

/// What the head of a part says of it.
struct Disposition {
    name: String,
    filename: Option<String>,
}

impl Disposition {
    fn of_head(head: &[u8]) -> Result<Self, FormError> {
        let text = std::str::from_utf8(head);
        let text = text.map_err(|_| FormError::Malformed("the head of a part is not UTF-8"))?;
        let disposition = text.split("\r\n").find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_wanted = name.trim().eq_ignore_ascii_case("content-disposition");
            is_wanted.then_some(value)
        });
        let disposition =
            disposition.ok_or(FormError::Malformed("a part has no Content-Disposition"))?;
        let (kind, parameters) = disposition.split_once(';').unwrap_or((disposition, ""));
        if !kind.trim().eq_ignore_ascii_case("form-data") {
            return Err(FormError::Malformed("a part is not form-data"));
        }
        let (mut name, mut filename, mut extended) = (None, None, None);
        for (parameter, value) in Parameters(parameters) {
            match parameter.to_ascii_lowercase().as_str() {
                "name" => name = Some(value),
                "filename" => filename = Some(value),
                "filename*" => extended = decode_extended(&value),
                _ => {}
            }
        }
        let name = name.filter(|name| !name.is_empty());
        Ok(Self {
            name: name.ok_or(FormError::Malformed("a part has no name"))?,
            filename: extended.or(filename),
        })
    }
}

/// `utf-8''name%20encoded`. Source: RFC 8187 §3.2.
fn decode_extended(value: &str) -> Option<String> {
    let (charset, rest) = value.split_once('\'')?;
    let (_language, encoded) = rest.split_once('\'')?;
    if !charset.eq_ignore_ascii_case("utf-8") {
        return None;
    }
    decode_path(encoded).ok().map(|name| name.into_owned())
}

/// The parameters of a header: `a=b; c="d e"`. In quotes, a backslash stands for itself unless a
/// quote or a backslash follows: browsers send the paths of Windows as they are.
struct Parameters<'a>(&'a str);

impl Iterator for Parameters<'_> {
    type Item = (String, String);

    fn next(&mut self) -> Option<Self::Item> {
        let text = self.0.trim_start_matches([' ', '\t', ';']);
        let (name, rest) = text.split_once('=')?;
        let name = name.trim().to_owned();
        let rest = rest.trim_start_matches([' ', '\t']);
        let Some(quoted) = rest.strip_prefix('"') else {
            let (value, rest) = rest.split_once(';').unwrap_or((rest, ""));
            self.0 = rest;
            return Some((name, value.trim().to_owned()));
        };
        let mut value = String::new();
        let mut characters = quoted.char_indices().peekable();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    self.0 = &quoted[at + 1..];
                    return Some((name, value));
                }
                '\\' => match characters.peek() {
                    Some((_, escaped @ ('"' | '\\'))) => {
                        value.push(*escaped);
                        characters.next();
                    }
                    _ => value.push('\\'),
                },
                other => value.push(other),
            }
        }
        // A quote that is not closed: nothing of it can be trusted.
        self.0 = "";
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=XX";

    /// All that a body holds: its fields, and the file with its name.
    type Read = (Vec<(String, String)>, Option<(Option<String>, Vec<u8>)>);

    fn read(content_type: &str, body: &[u8], piece_bytes: usize) -> Result<Read, FormError> {
        let mut decoder = FormDecoder::new(content_type)?;
        let (mut fields, mut file) = (Vec::new(), None);
        for piece in body.chunks(piece_bytes) {
            decoder.push(Bytes::copy_from_slice(piece));
            while let Some(part) = decoder.next_part()? {
                match part {
                    FormPart::Field { name, value } => fields.push((name, value)),
                    FormPart::File { filename } => file = Some((filename, Vec::new())),
                    FormPart::Bytes(bytes) => {
                        assert!(!bytes.is_empty());
                        file.as_mut().unwrap().1.extend_from_slice(&bytes);
                    }
                    FormPart::FileEnd | FormPart::End => {}
                }
            }
        }
        decoder.finish()?;
        assert_eq!(decoder.consumed_bytes(), body.len() as u64);
        Ok((fields, file))
    }

    fn part(disposition: &str, value: &str) -> String {
        format!("--XX\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{value}\r\n")
    }

    #[test]
    fn fields_then_a_file_then_nothing() {
        let body = [
            part("name=\"key\"", "a/${filename}"),
            part("name=\"acl\"; filename=\"acl\"", ""),
            part(
                "name=\"File\"; filename=\"C:\\dir\\o\\\"tter.txt\"",
                "\r\n--X\r\n--XY",
            ),
            part("name=\"submit\"", "Upload"),
            "--XX--\r\n".to_owned(),
        ]
        .concat();
        for piece_bytes in [1, 2, 3, 5, 17, 64, 10_000] {
            let (fields, file) = read(TYPE, body.as_bytes(), piece_bytes).unwrap();
            let expected = [("key", "a/${filename}"), ("acl", "")];
            let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
            assert_eq!(fields, expected);
            let (filename, bytes) = file.unwrap();
            assert_eq!(filename.as_deref(), Some("C:\\dir\\o\"tter.txt"));
            assert_eq!(bytes, b"\r\n--X\r\n--XY");
        }
    }

    #[test]
    fn the_forms_that_clients_send() {
        let one = |disposition: &str| part(disposition, "body") + "--XX--";
        for (content_type, body, filename) in [
            (TYPE, one("name=file"), None),
            (
                "Multipart/Form-Data;charset=utf-8; Boundary=\"XX\"",
                format!("\r\n{}", one("name=\"file\"; filename=a b.txt")),
                Some("a b.txt"),
            ),
            (
                TYPE,
                one("name=\"file\"; filename*=utf-8''caf%C3%A9.txt"),
                Some("café.txt"),
            ),
            (
                TYPE,
                "--XX \t\r\nContent-Type: text/plain\r\ncontent-disposition: form-data; \
                 name=\"file\"; filename=\"x\"\r\n\r\nbody\r\n--XX--"
                    .to_owned(),
                Some("x"),
            ),
        ] {
            let (_, file) = read(content_type, body.as_bytes(), 7).unwrap();
            let (found, bytes) = file.unwrap();
            assert_eq!((found.as_deref(), &bytes[..]), (filename, &b"body"[..]));
        }
    }

    #[test]
    fn what_is_not_a_form() {
        for content_type in [
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "multipart/mixed; boundary=XX",
            "text/plain",
            "multipart/form-data; boundary=\"XX",
        ] {
            assert!(FormDecoder::new(content_type).is_err(), "{content_type}");
        }
        let long = format!("multipart/form-data; boundary={}", "b".repeat(71));
        assert!(FormDecoder::new(&long).is_err());
        for body in [
            "no boundary at all".to_owned(),
            "--XXX\r\n\r\n\r\n--XX--".to_owned(),
            "--XX\r\nContent-Type: text/plain\r\n\r\nx\r\n--XX--".to_owned(),
            "--XX\r\nContent-Disposition: attachment; name=file\r\n\r\nx\r\n--XX--".to_owned(),
            part("filename=\"x\"", "x") + "--XX--",
            part("name=\"\"", "x") + "--XX--",
            part("name=\"file", "x") + "--XX--",
            part("name=\"file\"", "cut short"),
        ] {
            assert!(read(TYPE, body.as_bytes(), 9).is_err(), "{body}");
        }
        let without_file = part("name=\"key\"", "k") + "--XX--";
        let (fields, file) = read(TYPE, without_file.as_bytes(), 9).unwrap();
        assert_eq!((fields.len(), file), (1, None));
    }

    #[test]
    fn fields_are_bounded_and_the_file_is_not() {
        let file = part("name=\"file\"", &"f".repeat(3 * MAX_FORM_BYTES)) + "--XX--";
        let fits = part("name=\"key\"", &"k".repeat(MAX_FORM_BYTES - 200)) + &file;
        let too_long = part("name=\"key\"", &"k".repeat(MAX_FORM_BYTES)) + &file;
        let endless = "--XX\r\n".to_owned() + &"a: b\r\n".repeat(MAX_FORM_BYTES);
        for piece_bytes in [1000, 1_000_000] {
            let (_, file) = read(TYPE, fits.as_bytes(), piece_bytes).unwrap();
            assert_eq!(file.unwrap().1.len(), 3 * MAX_FORM_BYTES);
            for body in [&too_long, &endless] {
                let refused = read(TYPE, body.as_bytes(), piece_bytes);
                assert_eq!(refused, Err(FormError::TooLarge));
            }
        }
    }

    proptest! {
        #[test]
        fn any_file_comes_out_whole(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'-'), Just(b'X'), any::<u8>()], 0..200),
            piece_bytes in 1usize..64,
        ) {
            let holds_delimiter = memmem::find(&[&b"\r\n"[..], &bytes, b"\r\n--XX--"].concat(), b"\r\n--XX")
                != Some(bytes.len() + 2);
            prop_assume!(!holds_delimiter);
            let head = b"--XX\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n";
            let body = [&head[..], &bytes, b"\r\n--XX--\r\n"].concat();
            let (_, file) = read(TYPE, &body, piece_bytes).unwrap();
            prop_assert_eq!(file, Some((None, bytes)));
        }

        #[test]
        fn any_bytes_are_read_or_refused(body: Vec<u8>, piece_bytes in 1usize..64) {
            let _ = read(TYPE, &body, piece_bytes);
        }
    }
}
