//! A small XML writer: elements into a `Vec<u8>`, with the escaping that S3 uses.

use std::borrow::Cow;

use crate::time;
use crate::uri::encode_path;

/// The namespace of every S3 document.
pub const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

const DECLARATION: &[u8] = b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// How keys, prefixes, markers and delimiters stand in a list document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyEncoding {
    /// As they are, XML-escaped. Keys with control characters then need a lenient XML reader.
    #[default]
    Plain,
    /// `encoding-type=url`: percent-encoded UTF-8, with `/` kept and a space as `%20`.
    Url,
}

/// Writes one document. Element names are written as given, so they have to be literals.
#[derive(Debug)]
pub struct XmlWriter {
    out: Vec<u8>,
}

impl XmlWriter {
    /// A document that begins with the XML declaration. `capacity_bytes` is an estimate of its size.
    pub fn with_capacity(capacity_bytes: usize) -> Self {
        let mut out = Vec::with_capacity(capacity_bytes);
        out.extend_from_slice(DECLARATION);
        Self { out }
    }

    /// The finished document.
    pub fn finish(self) -> Vec<u8> {
        self.out
    }

    /// Opens the root element, with S3's namespace.
    pub fn open_root(&mut self, name: &str) {
        self.open_root_in(name, NAMESPACE);
    }

    /// Opens the root element, with the namespace of another service.
    pub fn open_root_in(&mut self, name: &str, namespace: &'static str) {
        self.out.push(b'<');
        self.raw(name);
        self.raw(" xmlns=\"");
        self.raw(namespace);
        self.raw("\">");
    }

    /// Opens an element.
    pub fn open(&mut self, name: &str) {
        self.out.push(b'<');
        self.raw(name);
        self.out.push(b'>');
    }

    /// Closes an element.
    pub fn close(&mut self, name: &str) {
        self.raw("</");
        self.raw(name);
        self.out.push(b'>');
    }

    /// An element that holds text.
    pub fn text(&mut self, name: &str, value: &str) {
        self.open(name);
        escape_into(&mut self.out, value);
        self.close(name);
    }

    /// The message of an error.
    pub fn message(&mut self, text: &str) {
        self.legal_text("Message", text);
    }

    /// An element that holds text of an error. It is for people and may quote what a client sent, so
    /// unlike a key in a list it need not come back as it was, and every XML reader is to read it.
    pub fn legal_text(&mut self, name: &str, value: &str) {
        self.text(name, &legal_text(value));
    }

    /// An element that holds text, when there is a value.
    pub fn optional_text(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// An element that holds a key or a part of one, in the encoding the client asked for.
    pub fn key(&mut self, name: &str, value: &str, encoding: KeyEncoding) {
        self.open(name);
        self.raw_key(value, encoding);
        self.close(name);
    }

    /// A key inside the element that is open, in the encoding the client asked for.
    pub(crate) fn raw_key(&mut self, value: &str, encoding: KeyEncoding) {
        match encoding {
            KeyEncoding::Plain => escape_into(&mut self.out, value),
            KeyEncoding::Url => self.out.extend_from_slice(encode_path(value).as_bytes()),
        }
    }

    /// A number inside the element that is open.
    pub(crate) fn raw_number(&mut self, value: u64) {
        self.raw(itoa::Buffer::new().format(value));
    }

    /// A time inside the element that is open.
    pub(crate) fn raw_time(&mut self, unix_ms: i64) {
        time::push_iso8601(&mut self.out, unix_ms);
    }

    /// Like [`XmlWriter::key`], when there is a value.
    pub fn optional_key(&mut self, name: &str, value: Option<&str>, encoding: KeyEncoding) {
        if let Some(value) = value {
            self.key(name, value, encoding);
        }
    }

    /// An element that holds an entity tag: given without quotes, written with them.
    pub fn etag(&mut self, name: &str, value: &str) {
        self.open(name);
        self.raw("&quot;");
        escape_into(&mut self.out, value);
        self.raw("&quot;");
        self.close(name);
    }

    /// An element that holds a number.
    pub fn number(&mut self, name: &str, value: u64) {
        self.open(name);
        self.raw_number(value);
        self.close(name);
    }

    /// An element that holds `true` or `false`.
    pub fn boolean(&mut self, name: &str, value: bool) {
        self.open(name);
        self.raw(if value { "true" } else { "false" });
        self.close(name);
    }

    /// An element that holds a time as ISO 8601 with milliseconds. `unix_ms` is milliseconds since 1970.
    pub fn time(&mut self, name: &str, unix_ms: i64) {
        self.open(name);
        self.raw_time(unix_ms);
        self.close(name);
    }

    /// Text inside the element that is open.
    pub(crate) fn raw_escaped(&mut self, text: &str) {
        escape_into(&mut self.out, text);
    }

    /// Writes markup as it is. Never for anything that came from outside.
    pub(crate) fn raw(&mut self, markup: &str) {
        self.out.extend_from_slice(markup.as_bytes());
    }
}

/// Text with U+FFFD in place of each character that an XML 1.0 document cannot have, even as
/// a reference. Source: XML 1.0 §2.2, Char, and §4.1, "Legal Character".
pub fn legal_text(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_legal) {
        return Cow::Borrowed(text);
    }
    let legal = |character| match is_legal(character) {
        true => character,
        false => char::REPLACEMENT_CHARACTER,
    };
    Cow::Owned(text.chars().map(legal).collect())
}

/// Whether an XML 1.0 document can have a character.
pub(super) fn is_legal(character: char) -> bool {
    match character {
        '\t' | '\n' | '\r' => true,
        '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => false,
        _ => true,
    }
}

/// What a byte turns into, where it cannot stand for itself.
///
/// Carriage returns would be normalised away by every XML reader (XML 1.0 §2.11), so they become
/// references. The other control characters are not legal in XML 1.0 at all, and S3 writes them as
/// references too; clients that want a legal document ask for `encoding-type=url`.
fn replacement(byte: u8) -> Option<&'static str> {
    const CONTROL: [&str; 32] = [
        "&#x0;", "&#x1;", "&#x2;", "&#x3;", "&#x4;", "&#x5;", "&#x6;", "&#x7;", "&#x8;", "", "",
        "&#xb;", "&#xc;", "&#13;", "&#xe;", "&#xf;", "&#x10;", "&#x11;", "&#x12;", "&#x13;",
        "&#x14;", "&#x15;", "&#x16;", "&#x17;", "&#x18;", "&#x19;", "&#x1a;", "&#x1b;", "&#x1c;",
        "&#x1d;", "&#x1e;", "&#x1f;",
    ];
    match byte {
        b'<' => Some("&lt;"),
        b'>' => Some("&gt;"),
        b'&' => Some("&amp;"),
        b'"' => Some("&quot;"),
        b'\'' => Some("&apos;"),
        b'\t' | b'\n' => None,
        0..=31 => Some(CONTROL[usize::from(byte)]),
        _ => None,
    }
}

/// Whether a byte needs a look. 0xEF begins U+FFFE and U+FFFF, which XML 1.0 does not allow either.
/// Bitwise on purpose: no branches.
const fn may_need_escape(byte: u8) -> bool {
    (byte < b' ')
        | (byte == b'<')
        | (byte == b'>')
        | (byte == b'&')
        | (byte == b'"')
        | (byte == b'\'')
        | (byte == 0xEF)
}

/// [`may_need_escape`] by byte.
const NEEDS_LOOK: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = may_need_escape(byte as u8);
        byte += 1;
    }
    table
};

/// Whether all bytes can stand for themselves, as in nearly every text. Without branches the check runs
/// on vector registers; for the rest of a text, which is short, a table is quicker.
fn is_clean(bytes: &[u8]) -> bool {
    let (chunks, rest) = bytes.as_chunks::<16>();
    let found = chunks
        .iter()
        .flatten()
        .fold(false, |found, byte| found | may_need_escape(*byte));
    let found = rest
        .iter()
        .fold(found, |found, byte| found | NEEDS_LOOK[usize::from(*byte)]);
    !found
}

fn escape_into(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    if is_clean(bytes) {
        out.extend_from_slice(bytes);
        return;
    }
    let mut copied = 0;
    let mut at = 0;
    while at < bytes.len() {
        if !NEEDS_LOOK[usize::from(bytes[at])] {
            at += 1;
            continue;
        }
        let (replaced, width) = match &bytes[at..] {
            [0xEF, 0xBF, 0xBE, ..] => (Some("&#xfffe;"), 3),
            [0xEF, 0xBF, 0xBF, ..] => (Some("&#xffff;"), 3),
            [byte, ..] => (replacement(*byte), 1),
            [] => (None, 1),
        };
        if let Some(replaced) = replaced {
            out.extend_from_slice(&bytes[copied..at]);
            out.extend_from_slice(replaced.as_bytes());
            copied = at + width;
        }
        at += width;
    }
    out.extend_from_slice(&bytes[copied..]);
}
