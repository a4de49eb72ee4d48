//! Records of CSV.
//!
//! By default a record ends at its delimiter wherever that stands, which lets a scan begin anywhere;
//! only with `AllowQuotedRecordDelimiter` do quotes protect it. Source: S3 API reference, CSVInput.

use std::borrow::Cow;

use memchr::memmem;
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::xml::select::CsvInput;

use super::buffer::{Window, check_length, text};
use crate::error;

/// How many fields a record has at most. Each of them costs more memory than its one byte of text.
pub const FIELDS_MAX: usize = 100_000;

/// Finds records and their fields.
#[derive(Debug)]
pub struct CsvReader {
    settings: CsvInput,
    /// How much of the window has been searched in vain.
    searched: usize,
}

impl CsvReader {
    /// A reader.
    pub fn new(settings: CsvInput) -> Self {
        Self {
            settings,
            searched: 0,
        }
    }

    /// The length of what ends a record.
    pub fn delimiter_bytes(&self) -> u64 {
        self.settings.record_delimiter.len() as u64
    }

    /// The length of the next record and of what ends it; `None` if more has to be read to know, or
    /// nothing is left of a window that has ended.
    ///
    /// # Errors
    /// `OverMaxRecordSize`.
    pub fn next(&mut self, window: &Window) -> Result<Option<(usize, usize)>, S3Error> {
        let bytes = window.bytes();
        let delimiter = self.settings.record_delimiter.as_bytes();
        let found = match self.settings.allow_quoted_record_delimiter {
            true => self.find_outside_quotes(bytes),
            false => {
                let found = memmem::find(&bytes[self.searched..], delimiter);
                found.map(|at| self.searched + at)
            }
        };
        if let Some(length) = found {
            check_length(length)?;
            self.searched = 0;
            return Ok(Some((length, delimiter.len())));
        }
        if window.ended() {
            check_length(bytes.len())?;
            self.searched = 0;
            return Ok((!bytes.is_empty()).then_some((bytes.len(), 0)));
        }
        if window.room() == 0 {
            return Err(S3ErrorCode::OverMaxRecordSize.into());
        }
        // A delimiter may have begun at the end.
        self.searched = bytes.len().saturating_sub(delimiter.len() - 1);
        Ok(None)
    }

    /// Finds the delimiter of the record that begins `bytes`, where quotes protect it. Searches from
    /// the beginning each time: the window is filled before that, so it happens a few times only.
    fn find_outside_quotes(&self, bytes: &[u8]) -> Option<usize> {
        let settings = &self.settings;
        let delimiter = settings.record_delimiter.as_bytes();
        let field = settings.field_delimiter.as_bytes();
        let (quote, escape) = (settings.quote.as_bytes(), settings.quote_escape.as_bytes());
        let mut at = 0;
        let mut field_begins = true;
        while at < bytes.len() {
            let rest = &bytes[at..];
            if field_begins && begins(rest, quote) {
                at += quote.len();
                let length = quoted_length(&bytes[at..], quote, escape)?;
                at += length + quote.len();
                field_begins = false;
            } else if rest.starts_with(delimiter) {
                return Some(at);
            } else if rest.starts_with(field) {
                at += field.len();
                field_begins = true;
            } else {
                at += 1;
                field_begins = false;
            }
        }
        None
    }

    /// Whether the record is a comment, or nothing at all.
    pub fn is_passed_over(&self, record: &[u8]) -> bool {
        let record = self.trimmed(record);
        record.is_empty() || begins(record, self.settings.comment.as_bytes())
    }

    /// Without the carriage return of lines that end in two characters.
    fn trimmed<'r>(&self, record: &'r [u8]) -> &'r [u8] {
        match (self.settings.record_delimiter.as_str(), record) {
            ("\n", [line @ .., b'\r']) => line,
            _ => record,
        }
    }

    /// The fields of a record.
    ///
    /// # Errors
    /// `InvalidTextEncoding`, `CSVParsingError` for a quote that is not closed, `CSVUnescapedQuote`
    /// for one that is closed within a field, `OverMaxColumn`.
    pub fn fields<'r>(&self, record: &'r [u8]) -> Result<Vec<Cow<'r, str>>, S3Error> {
        let record = text(self.trimmed(record))?;
        let settings = &self.settings;
        let (quote, escape) = (settings.quote.as_str(), settings.quote_escape.as_str());
        let delimiter = settings.field_delimiter.as_str();
        let mut fields = Vec::new();
        let mut rest = record;
        loop {
            if fields.len() == FIELDS_MAX {
                return Err(S3ErrorCode::OverMaxColumn.into());
            }
            if quote.is_empty() || !rest.starts_with(quote) {
                match memmem::find(rest.as_bytes(), delimiter.as_bytes()) {
                    Some(at) => {
                        fields.push(Cow::Borrowed(&rest[..at]));
                        rest = &rest[at + delimiter.len()..];
                    }
                    None => {
                        fields.push(Cow::Borrowed(rest));
                        return Ok(fields);
                    }
                }
                continue;
            }
            let inner = &rest[quote.len()..];
            let length = quoted_length(inner.as_bytes(), quote.as_bytes(), escape.as_bytes());
            let Some(length) = length else {
                let message = "A quote is not closed within its record. To allow quoted record \
                               delimiters, set AllowQuotedRecordDelimiter to 'TRUE'.";
                return Err(error(S3ErrorCode::CSVParsingError, message));
            };
            fields.push(unescaped(&inner[..length], quote, escape));
            rest = &inner[length + quote.len()..];
            if rest.is_empty() {
                return Ok(fields);
            }
            let Some(next) = rest.strip_prefix(delimiter) else {
                return Err(S3ErrorCode::CSVUnescapedQuote.into());
            };
            rest = next;
        }
    }
}

/// Whether `bytes` begins with a mark, if there is such a mark.
fn begins(bytes: &[u8], mark: &[u8]) -> bool {
    !mark.is_empty() && bytes.starts_with(mark)
}

/// The length of an enclosed field up to the quote that closes it.
fn quoted_length(bytes: &[u8], quote: &[u8], escape: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = bytes.get(at..).filter(|rest| !rest.is_empty())?;
        // An escape before a quote; where both are the same, two of them.
        if begins(rest, escape) && begins(&rest[escape.len()..], quote) {
            at += escape.len() + quote.len();
        } else if escape != quote && begins(rest, escape) && begins(&rest[escape.len()..], escape) {
            at += 2 * escape.len();
        } else if rest.starts_with(quote) {
            return Some(at);
        } else {
            at += 1;
        }
    }
}

/// An enclosed field without its escapes.
fn unescaped<'f>(field: &'f str, quote: &str, escape: &str) -> Cow<'f, str> {
    if escape.is_empty() || !field.contains(escape) {
        return Cow::Borrowed(field);
    }
    let mut out = String::with_capacity(field.len());
    let mut rest = field;
    while let Some(at) = rest.find(escape) {
        out.push_str(&rest[..at]);
        let after = &rest[at + escape.len()..];
        if let Some(next) = after.strip_prefix(quote) {
            out.push_str(quote);
            rest = next;
        } else {
            out.push_str(escape);
            rest = after.strip_prefix(escape).unwrap_or(after);
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn records(
        settings: &CsvInput,
        input: &[u8],
        step: usize,
    ) -> Result<Vec<Vec<String>>, S3Error> {
        let mut reader = CsvReader::new(settings.clone());
        let mut window = Window::default();
        let mut pieces = input.chunks(step.max(1));
        let mut records = Vec::new();
        loop {
            if let Some((length, delimiter)) = reader.next(&window)? {
                let record = &window.bytes()[..length];
                if !reader.is_passed_over(record) {
                    let fields = reader.fields(record)?;
                    records.push(fields.iter().map(|field| field.to_string()).collect());
                }
                window.consume(length + delimiter);
            } else if window.ended() {
                return Ok(records);
            } else {
                match pieces.next() {
                    Some(piece) => window.push(piece),
                    None => window.end(),
                }
            }
        }
    }

    fn read(settings: &CsvInput, input: &str) -> Vec<Vec<String>> {
        records(settings, input.as_bytes(), usize::MAX).unwrap()
    }

    #[test]
    fn fields_and_quotes() {
        let plain = CsvInput::default();
        assert_eq!(read(&plain, "a,b\nc,\n"), [["a", "b"], ["c", ""]]);
        assert_eq!(read(&plain, "a,b\r\nc,d"), [["a", "b"], ["c", "d"]]);
        assert_eq!(read(&plain, "#x\n\na\n"), [["a"]]);
        assert_eq!(
            read(&plain, "\"a,b\",\"\"\"q\"\"\",x\"y\n"),
            [["a,b", "\"q\"", "x\"y"]]
        );
        let escaped = CsvInput {
            quote_escape: "\\".to_owned(),
            ..plain.clone()
        };
        assert_eq!(read(&escaped, r#""a\"b\\","c\d""#), [[r#"a"b\"#, r"c\d"]]);
        let other = CsvInput {
            field_delimiter: "→".to_owned(),
            record_delimiter: "\r\n".to_owned(),
            quote: "'".to_owned(),
            quote_escape: "'".to_owned(),
            comment: String::new(),
            ..plain.clone()
        };
        assert_eq!(
            read(&other, "#a→'b''→c'\r\nd\n→e\r\n"),
            [["#a", "b'→c"], ["d\n", "e"]]
        );
        let code = |input: &str| records(&plain, input.as_bytes(), 3).unwrap_err().code;
        assert_eq!(code("\"a\nb\"\n"), S3ErrorCode::CSVParsingError);
        assert_eq!(code("\"a\"b\n"), S3ErrorCode::CSVUnescapedQuote);
        let refused = records(&plain, b"a\xff\n", 9).unwrap_err();
        assert_eq!(refused.code, S3ErrorCode::InvalidTextEncoding);
    }

    #[test]
    fn quotes_protect_delimiters_where_that_is_asked_for() {
        let quoted = CsvInput {
            allow_quoted_record_delimiter: true,
            ..CsvInput::default()
        };
        for step in 1..12 {
            let input = b"\"a\nb\",c\nd\"\n\"\"\"\n\",e\n";
            let found = records(&quoted, input, step).unwrap();
            let expected = vec![vec!["a\nb", "c"], vec!["d\""], vec!["\"\n", "e"]];
            assert_eq!(found, expected, "pieces of {step}");
        }
    }

    #[test]
    fn long_records_are_refused() {
        let long = vec![b'a'; crate::RECORD_BYTES_MAX + 1];
        for step in [1 << 16, 1 << 20] {
            let refused = records(&CsvInput::default(), &long, step).unwrap_err();
            assert_eq!(refused.code, S3ErrorCode::OverMaxRecordSize);
        }
        let just = vec![b'a'; crate::RECORD_BYTES_MAX];
        assert_eq!(
            records(&CsvInput::default(), &just, 1 << 16).unwrap().len(),
            1
        );
        let wide = vec![b','; FIELDS_MAX];
        let refused = records(&CsvInput::default(), &wide, 1 << 16).unwrap_err();
        assert_eq!(refused.code, S3ErrorCode::OverMaxColumn);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            rows in proptest::collection::vec(
                proptest::collection::vec("[a-c,\"\n\r#ü]{0,6}", 1..4), 0..6),
            step in 1usize..30,
        ) {
            let settings = CsvInput {
                allow_quoted_record_delimiter: true,
                ..CsvInput::default()
            };
            let quoted = |field: &String| format!("\"{}\"", field.replace('"', "\"\""));
            let line = |row: &Vec<String>| row.iter().map(quoted).collect::<Vec<_>>().join(",") + "\n";
            let text: String = rows.iter().map(line).collect();
            prop_assert_eq!(records(&settings, text.as_bytes(), step).unwrap(), rows);
        }

        #[test]
        fn pieces_do_not_matter(input in "[ab,\"\n\r#]{0,60}", step in 1usize..20, allow: bool) {
            let settings = CsvInput {
                allow_quoted_record_delimiter: allow,
                ..CsvInput::default()
            };
            let at_once = records(&settings, input.as_bytes(), usize::MAX).map_err(|e| e.code);
            let in_pieces = records(&settings, input.as_bytes(), step).map_err(|e| e.code);
            prop_assert_eq!(in_pieces, at_once);
        }
    }
}
