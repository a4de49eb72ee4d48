//! A pull reader for S3's documents: bounded in size, depth and number of elements, without DTDs
//! and entities, blind to namespaces (S3's clients send them, omit them, and prefix them).

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::Event;

use crate::error::{S3Error, S3ErrorCode};
use crate::time;
use crate::uri::decode_query;
use crate::xml::KeyEncoding;
use crate::xml::writer::is_legal;

/// The deepest document S3 has is six levels (replication rules); twice that is surely not one.
pub const MAX_DEPTH: usize = 12;

/// The largest document read is a completion of 10,000 parts with seven elements each.
pub const MAX_ELEMENTS: usize = 100_000;

/// The longest single text read is the canonical request inside a signature error, which holds a
/// whole request head.
pub const MAX_TEXT_BYTES: usize = 128 * 1024;

/// Reads one document from the outside in.
///
/// [`XmlReader::child`] steps into the next child of the element that is open; the caller then
/// reads that child with one of the value methods, with a loop of its own, or with
/// [`XmlReader::skip`]. Each of them consumes the child's end, so loops nest as the elements do.
pub struct XmlReader<'x> {
    text: &'x str,
    events: Reader<&'x [u8]>,
    depth: usize,
    elements: usize,
    takes_any_character: bool,
}

impl<'x> XmlReader<'x> {
    /// Begins at the root element, which must have one of the `root_names`, of a document that is kept
    /// and given back. Characters that XML does not have, such as `&#x1;`, are refused: who gets the
    /// document back could not read it.
    pub fn open(xml: &'x [u8], root_names: &[&str]) -> Result<Self, S3Error> {
        Self::begin(xml, root_names, false)
    }

    /// Begins to read an answer, or a request that is carried out and not kept. It may hold any character, as
    /// a reference or as it is: keys may contain control characters, and S3 writes them so; the fields of a
    /// CSV may be separated by one.
    pub fn open_with_any_character(xml: &'x [u8], root_names: &[&str]) -> Result<Self, S3Error> {
        Self::begin(xml, root_names, true)
    }

    fn begin(
        xml: &'x [u8],
        root_names: &[&str],
        takes_any_character: bool,
    ) -> Result<Self, S3Error> {
        let text = std::str::from_utf8(xml).map_err(|_| malformed("The document is not UTF-8."))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut events = Reader::from_str(text);
        events.config_mut().expand_empty_elements = true;
        let mut reader = Self {
            text,
            events,
            depth: 0,
            elements: 0,
            takes_any_character,
        };
        match reader.child()? {
            Some(name) if root_names.contains(&name) => Ok(reader),
            _ => Err(malformed(
                "The document has another root element than this request takes.",
            )),
        }
    }

    /// Steps into the next child and returns its name without prefix, or `None` after consuming
    /// the end of the element that is open. Text between children is ignored.
    pub fn child(&mut self) -> Result<Option<&'x str>, S3Error> {
        loop {
            match self.next()? {
                Step::Start(name) => return Ok(Some(name)),
                Step::End => return Ok(None),
                Step::Text(_) | Step::Character(_) => {}
            }
        }
    }

    /// The text of the element just entered. Elements inside it are refused.
    pub fn value(&mut self) -> Result<String, S3Error> {
        let too_long = || malformed("The text of an element is too long.");
        self.text_of_at_most(MAX_TEXT_BYTES, too_long)
    }

    /// The text of the element just entered, which may be longer than others are: an expression.
    pub fn long_value(&mut self, bytes_max: usize) -> Result<String, S3Error> {
        self.text_of_at_most(bytes_max, || S3ErrorCode::ExpressionTooLong.into())
    }

    fn text_of_at_most(
        &mut self,
        bytes_max: usize,
        too_long: impl Fn() -> S3Error,
    ) -> Result<String, S3Error> {
        let mut value = String::new();
        loop {
            match self.next()? {
                Step::Text(text) => value.push_str(&text),
                Step::Character(character) => value.push(character),
                Step::End => return Ok(value),
                Step::Start(_) => return Err(malformed("An element holds elements, not text.")),
            }
            if value.len() > bytes_max {
                return Err(too_long());
            }
        }
    }

    /// The text of the element just entered, or `None` after passing over one that holds elements.
    pub fn value_or_skip(&mut self) -> Result<Option<String>, S3Error> {
        let outer = self.depth.saturating_sub(1);
        let mut value = String::new();
        let mut only_text = true;
        while self.depth > outer {
            match self.next()? {
                Step::Text(text) => value.push_str(&text),
                Step::Character(character) => value.push(character),
                Step::Start(_) => only_text = false,
                Step::End => {}
            }
            if value.len() > MAX_TEXT_BYTES {
                return Err(malformed("The text of an element is too long."));
            }
        }
        Ok(only_text.then_some(value))
    }

    /// The text of the element, with the quotes of an entity tag taken off.
    pub fn etag(&mut self) -> Result<String, S3Error> {
        let value = self.value()?;
        let trimmed = value.trim();
        let bare = trimmed
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'));
        Ok(bare.unwrap_or(trimmed).to_owned())
    }

    /// The element as a whole number that is not negative.
    pub fn number(&mut self) -> Result<u64, S3Error> {
        self.value()?
            .trim()
            .parse()
            .map_err(|_| malformed("An element should hold a number."))
    }

    /// The element as a whole number that fits 32 bits.
    pub fn small_number(&mut self) -> Result<u32, S3Error> {
        u32::try_from(self.number()?).map_err(|_| malformed("A number is too large."))
    }

    /// The element as `true` or `false`, in any case, also `1` and `0` (XML Schema's booleans).
    pub fn boolean(&mut self) -> Result<bool, S3Error> {
        let value = self.value()?;
        match value.trim() {
            "1" => Ok(true),
            "0" => Ok(false),
            text if text.eq_ignore_ascii_case("true") => Ok(true),
            text if text.eq_ignore_ascii_case("false") => Ok(false),
            _ => Err(malformed("An element should hold true or false.")),
        }
    }

    /// The element as a time, in Unix milliseconds. ISO 8601, and the HTTP form that some SDKs send.
    pub fn time(&mut self) -> Result<i64, S3Error> {
        let value = self.value()?;
        let value = value.trim();
        time::parse_iso8601(value)
            .or_else(|| time::parse_http_date(value.as_bytes()))
            .ok_or_else(|| malformed("An element should hold a time."))
    }

    /// Reads the element just entered into its place, or refuses it if there was one before: which of
    /// the two was meant cannot be known. Every request reads so what S3's schema has at most once, for
    /// S3 answers `MalformedXML` to what does not validate against it.
    pub(crate) fn once<T>(
        &mut self,
        place: &mut Option<T>,
        read: impl FnOnce(&mut Self) -> Result<T, S3Error>,
    ) -> Result<(), S3Error> {
        if place.is_some() {
            return Err(malformed(
                "An element is there twice that can be there once.",
            ));
        }
        *place = Some(read(self)?);
        Ok(())
    }

    /// Passes over the element just entered and everything in it.
    pub fn skip(&mut self) -> Result<(), S3Error> {
        let outer = self.depth.saturating_sub(1);
        while self.depth > outer {
            self.next()?;
        }
        Ok(())
    }

    /// Checks that nothing but white space and comments follows the root element.
    pub fn finish(mut self) -> Result<(), S3Error> {
        loop {
            match self.event()? {
                Event::Eof => return Ok(()),
                Event::Comment(_) | Event::PI(_) => {}
                Event::Text(text) if text.as_ref().trim().is_empty() => {}
                _ => return Err(malformed("Something follows the end of the document.")),
            }
        }
    }

    fn event(&mut self) -> Result<Event<'x>, S3Error> {
        self.events
            .read_event()
            .map_err(|_| malformed("The document is not well formed."))
    }

    fn next(&mut self) -> Result<Step<'x>, S3Error> {
        loop {
            let start = self.events.buffer_position();
            match self.event()? {
                Event::Start(element) => {
                    self.depth += 1;
                    self.elements += 1;
                    if self.depth > MAX_DEPTH || self.elements > MAX_ELEMENTS {
                        return Err(malformed("The document is too large."));
                    }
                    let name_len = element.name().as_ref().len();
                    return Ok(Step::Start(self.element_name(start, name_len)?));
                }
                Event::End(_) => {
                    self.depth = self
                        .depth
                        .checked_sub(1)
                        .ok_or_else(|| malformed("An element ends that never began."))?;
                    return Ok(Step::End);
                }
                Event::Text(text) => {
                    let content = text.xml10_content();
                    if self.depth == 0 && !content.trim().is_empty() {
                        return Err(malformed("There is text outside the root element."));
                    }
                    return self.text(content);
                }
                Event::CData(text) if self.depth > 0 => {
                    return self.text(text.xml10_content());
                }
                Event::GeneralRef(reference) if self.depth > 0 => {
                    let character = resolve_reference(reference.as_ref())?;
                    self.check_character(character)?;
                    return Ok(Step::Character(character));
                }
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
                Event::DocType(_) => return Err(malformed("A document type is not allowed.")),
                Event::Eof => return Err(malformed("The document ends too early.")),
                Event::Empty(_) | Event::CData(_) | Event::GeneralRef(_) => {
                    return Err(malformed("The document is not well formed."));
                }
            }
        }
    }

    fn text(&self, content: Cow<'_, str>) -> Result<Step<'x>, S3Error> {
        for character in content.chars() {
            self.check_character(character)?;
        }
        Ok(Step::Text(content.into_owned()))
    }

    fn check_character(&self, character: char) -> Result<(), S3Error> {
        match self.takes_any_character || is_legal(character) {
            true => Ok(()),
            false => Err(malformed("The document has a character that XML does not.")),
        }
    }

    /// The name of the element whose `<` stands at `start`, borrowed from the document.
    fn element_name(&self, start: u64, name_len: usize) -> Result<&'x str, S3Error> {
        let not_there = || malformed("The document is not well formed.");
        let start = usize::try_from(start).map_err(|_| not_there())? + 1;
        let name = self
            .text
            .get(start..start + name_len)
            .ok_or_else(not_there)?;
        Ok(name.rsplit_once(':').map_or(name, |(_, local)| local))
    }
}

/// Reads a key or a part of one: undoes `encoding-type=url` if the document used it.
pub(crate) fn decode_key(raw: String, encoding: KeyEncoding) -> Result<String, S3Error> {
    match encoding {
        KeyEncoding::Plain => Ok(raw),
        KeyEncoding::Url => {
            let decoded = decode_query(&raw);
            decoded
                .map(Cow::into_owned)
                .map_err(|_| malformed("A key is not URL-encoded UTF-8."))
        }
    }
}

enum Step<'x> {
    Start(&'x str),
    End,
    Text(String),
    Character(char),
}

/// The five predefined entities and character references, of any character.
fn resolve_reference(name: &str) -> Result<char, S3Error> {
    let unknown = || malformed("The document uses an entity that is not defined.");
    match name {
        "lt" => return Ok('<'),
        "gt" => return Ok('>'),
        "amp" => return Ok('&'),
        "quot" => return Ok('"'),
        "apos" => return Ok('\''),
        _ => {}
    }
    let digits = name.strip_prefix('#').ok_or_else(unknown)?;
    let (digits, radix) = match digits.strip_prefix(['x', 'X']) {
        Some(hexadecimal) => (hexadecimal, 16),
        None => (digits, 10),
    };
    if !digits.starts_with(|first: char| first.is_ascii_hexdigit()) {
        return Err(unknown());
    }
    u32::from_str_radix(digits, radix)
        .ok()
        .and_then(char::from_u32)
        .ok_or_else(unknown)
}

/// A `MalformedXML` that says what is wrong.
pub(crate) fn malformed(message: &'static str) -> S3Error {
    S3Error::with_message(S3ErrorCode::MalformedXML, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_can_be_read_back() {
        for (text, is_legal) in [
            ("a&#9;&#xa;\u{85}", true),
            ("a&#1;", false),
            ("a&#0;", false),
            ("\u{1b}", false),
            ("<![CDATA[\u{1}]]>", false),
            ("&#xffff;", false),
        ] {
            let document = format!("<a>{text}</a>");
            let value =
                |reader: Result<XmlReader<'_>, S3Error>| reader.and_then(|mut xml| xml.value());
            let kept = value(XmlReader::open(document.as_bytes(), &["a"]));
            let code = kept.as_ref().err().map(|error| error.code);
            assert_eq!(kept.is_ok(), is_legal, "{text}");
            assert!(is_legal || code == Some(S3ErrorCode::MalformedXML));
            let carried_out = XmlReader::open_with_any_character(document.as_bytes(), &["a"]);
            value(carried_out).unwrap();
        }
    }
}
