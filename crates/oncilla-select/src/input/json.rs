//! Records of JSON: what the path after FROM leads to in each of the values that follow each other.
//!
//! Only the records themselves are held; what lies around them is read as it comes, so that one
//! document of any length can be a list of records.

use oncilla_wire::error::{S3Error, S3ErrorCode};

use super::buffer::{Window, check_length, text};
use crate::error;
use crate::sql::FromStep;
use crate::value::Json;

/// How deep values may be within each other. It is also the limit of the parser of records.
pub const DEPTH_MAX: usize = 127;

/// What was found in the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A record: so many bytes at the beginning of the window.
    Record(usize),
    /// Something that the path does not lead through: a record that is missing.
    Missing,
    /// More has to be read.
    NeedsInput,
    /// The object is at its end.
    Ended,
}

/// Finds records.
#[derive(Debug)]
pub struct JsonReader {
    path: Vec<FromStep>,
    /// The containers that the path has led into.
    frames: Vec<Frame>,
    state: State,
    /// Records begin at most here in the object.
    last_start: u64,
}

#[derive(Debug)]
struct Frame {
    is_object: bool,
    /// How many elements came before.
    index: usize,
    /// Whether the step has been taken.
    found: bool,
}

#[derive(Debug)]
enum State {
    /// Before a value; in a list also before its end, if it is empty so far.
    Value { may_end: bool },
    /// Before a key or the end of an object.
    Key { may_end: bool },
    /// In a key.
    InKey(Scanner),
    /// Behind a key: whether it is the one.
    Colon { matches: bool },
    /// In a value that is passed over.
    Skipping(Scanner),
    /// In a record.
    Capturing { scanner: Scanner, length: usize },
    /// A record was given: it is consumed with the next call.
    Given(usize),
    /// Behind a value.
    After,
}

impl JsonReader {
    /// A reader; of values that begin at `last_start` in the object at most.
    pub fn new(path: Vec<FromStep>, last_start: u64) -> Self {
        Self {
            path,
            frames: Vec::new(),
            state: State::Value { may_end: false },
            last_start,
        }
    }

    /// Finds the next record.
    ///
    /// # Errors
    /// `JSONParsingError`, `OverMaxRecordSize`.
    pub fn next(&mut self, window: &mut Window) -> Result<Found, S3Error> {
        loop {
            // The record given before is done with.
            if let State::Given(length) = self.state {
                window.consume(length);
                self.state = State::After;
            }
            if let Some(found) = self.advance(window)? {
                return Ok(found);
            }
        }
    }

    /// One step; `None` if there are more to be made.
    fn advance(&mut self, window: &mut Window) -> Result<Option<Found>, S3Error> {
        match &mut self.state {
            State::Skipping(scanner) => {
                let (count, done) = scanner.scan(window.bytes())?;
                let done = done || (window.ended() && scanner.may_end_here());
                window.consume(count);
                if !done {
                    return self.needs_input(window);
                }
                self.state = State::After;
                Ok(None)
            }
            State::Capturing { scanner, length } => {
                let (count, done) = scanner.scan(&window.bytes()[*length..])?;
                *length += count;
                let length = *length;
                let done = done || (window.ended() && scanner.may_end_here());
                check_length(length)?;
                if !done {
                    return self.needs_input(window);
                }
                self.state = State::Given(length);
                Ok(Some(Found::Record(length)))
            }
            State::InKey(scanner) => {
                // A key is looked at as a whole, from the beginning.
                *scanner = Scanner::default();
                let (length, done) = scanner.scan(window.bytes())?;
                check_length(length)?;
                if !done {
                    return self.needs_input(window);
                }
                let matches = self.is_wanted_key(&window.bytes()[..length])?;
                window.consume(length);
                self.state = State::Colon { matches };
                Ok(None)
            }
            State::Given(_) => Ok(None),
            State::Value { .. } | State::Key { .. } | State::Colon { .. } | State::After => {
                self.punctuation(window)
            }
        }
    }

    fn needs_input(&self, window: &Window) -> Result<Option<Found>, S3Error> {
        if window.ended() {
            return Err(malformed("The object ends within a value."));
        }
        if window.room() == 0 {
            return Err(S3ErrorCode::OverMaxRecordSize.into());
        }
        Ok(Some(Found::NeedsInput))
    }

    /// Passes over white space and looks at what comes next.
    fn punctuation(&mut self, window: &mut Window) -> Result<Option<Found>, S3Error> {
        let bytes = window.bytes();
        let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        let space = bytes.iter().take_while(|byte| is_space(byte)).count();
        window.consume(space);
        let Some(next) = window.bytes().first().copied() else {
            let between =
                self.frames.is_empty() && matches!(self.state, State::Value { .. } | State::After);
            if window.ended() && between {
                return Ok(Some(Found::Ended));
            }
            return self.needs_input(window);
        };
        match self.state {
            State::Value { may_end } => {
                if next == b']' && may_end {
                    window.consume(1);
                    return Ok(self.leave());
                }
                if self.frames.is_empty() && window.position() > self.last_start {
                    return Ok(Some(Found::Ended));
                }
                return Ok(self.begin_value(next, window));
            }
            State::Key { may_end } => match next {
                b'}' if may_end => {
                    window.consume(1);
                    return Ok(self.leave());
                }
                b'"' => self.state = State::InKey(Scanner::default()),
                _ => return Err(malformed("An object has something else than a key.")),
            },
            State::Colon { matches } => {
                if next != b':' {
                    return Err(malformed(
                        "A key is followed by something else than a colon.",
                    ));
                }
                window.consume(1);
                if matches {
                    if let Some(frame) = self.frames.last_mut() {
                        frame.found = true;
                    }
                    self.state = State::Value { may_end: false };
                } else {
                    // It takes the white space before the value too.
                    self.state = State::Skipping(Scanner::default());
                }
            }
            State::After => {
                let Some(frame) = self.frames.last_mut() else {
                    self.state = State::Value { may_end: false };
                    return Ok(None);
                };
                match (next, frame.is_object) {
                    (b',', true) => self.state = State::Key { may_end: false },
                    (b',', false) => {
                        frame.index += 1;
                        self.state = State::Value { may_end: false };
                    }
                    (b'}', true) | (b']', false) => {
                        window.consume(1);
                        return Ok(self.leave());
                    }
                    _ => return Err(malformed("A value is followed by something unexpected.")),
                }
                window.consume(1);
            }
            _ => {}
        }
        Ok(None)
    }

    /// Begins a value, of which this is the first byte.
    fn begin_value(&mut self, first: u8, window: &mut Window) -> Option<Found> {
        // Elements that a path with an index does not want are passed over.
        let depth = self.frames.len();
        if let Some(frame) = self.frames.last_mut()
            && !frame.is_object
        {
            let wanted = self.path.get(depth - 1);
            if matches!(wanted, Some(FromStep::Index(wanted)) if *wanted != frame.index) {
                self.state = State::Skipping(Scanner::default());
                return None;
            }
            frame.found = true;
        }
        let Some(step) = self.path.get(depth) else {
            self.state = State::Capturing {
                scanner: Scanner::default(),
                length: 0,
            };
            return None;
        };
        let is_object = match (step, first) {
            (FromStep::Key(_), b'{') => true,
            (FromStep::Index(_) | FromStep::Each, b'[') => false,
            _ => {
                self.state = State::Skipping(Scanner::default());
                return Some(Found::Missing);
            }
        };
        window.consume(1);
        self.frames.push(Frame {
            is_object,
            index: 0,
            // A list without elements has none that are missing.
            found: *step == FromStep::Each,
        });
        self.state = match is_object {
            true => State::Key { may_end: true },
            false => State::Value { may_end: true },
        };
        None
    }

    /// Leaves a container.
    fn leave(&mut self) -> Option<Found> {
        let frame = self.frames.pop();
        self.state = State::After;
        let found = frame.is_none_or(|frame| frame.found);
        (!found).then_some(Found::Missing)
    }

    fn is_wanted_key(&self, key: &[u8]) -> Result<bool, S3Error> {
        let Some(FromStep::Key(name)) = self.path.get(self.frames.len() - 1) else {
            return Ok(false);
        };
        let key: String = serde_json::from_str(text(key)?).map_err(not_json)?;
        Ok(name.is(&key))
    }
}

/// Reads a record.
///
/// # Errors
/// `JSONParsingError`, `InvalidTextEncoding`.
pub fn parse(record: &[u8]) -> Result<Json, S3Error> {
    serde_json::from_str(text(record)?).map_err(not_json)
}

fn not_json(error: serde_json::Error) -> S3Error {
    malformed(&format!("A value is not JSON: {error}."))
}

fn malformed(what: &str) -> S3Error {
    let message = format!("{what} Check the JSON file and try again.");
    error(S3ErrorCode::JSONParsingError, message)
}

/// Finds the end of one value, in any pieces. White space before it is taken along.
#[derive(Debug, Default)]
struct Scanner {
    /// The containers that are open, as their closing bytes.
    open: Vec<u8>,
    in_text: bool,
    escaped: bool,
    /// In a number or a word that is the value itself.
    in_scalar: bool,
}

impl Scanner {
    /// Takes bytes of the value; gives how many, and whether it is at its end. A scalar ends before
    /// the byte that follows it.
    fn scan(&mut self, bytes: &[u8]) -> Result<(usize, bool), S3Error> {
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            if self.in_text {
                if self.escaped {
                    self.escaped = false;
                } else if byte == b'\\' {
                    self.escaped = true;
                } else if byte == b'"' {
                    self.in_text = false;
                    if self.open.is_empty() {
                        return Ok((at + 1, true));
                    }
                } else {
                    // Nothing else matters until one of these.
                    let rest = &bytes[at..];
                    at += memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
                    continue;
                }
                at += 1;
                continue;
            }
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' => {
                    if self.in_scalar {
                        return Ok((at, true));
                    }
                }
                b'"' if !self.in_scalar => {
                    self.in_text = true;
                }
                b'{' | b'[' if !self.in_scalar => {
                    if self.open.len() == DEPTH_MAX {
                        return Err(malformed("Values lie too deep within each other."));
                    }
                    self.open.push(if byte == b'{' { b'}' } else { b']' });
                }
                b'}' | b']' | b',' | b':' if self.in_scalar => return Ok((at, true)),
                b'}' | b']' => {
                    if self.open.pop() != Some(byte) {
                        return Err(malformed("A bracket does not match."));
                    }
                    if self.open.is_empty() {
                        return Ok((at + 1, true));
                    }
                }
                b',' | b':' if self.open.is_empty() => {
                    return Err(malformed("A value is missing."));
                }
                b',' | b':' => {}
                b'+' | b'-' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                    if self.open.is_empty() {
                        self.in_scalar = true;
                    }
                }
                _ => return Err(malformed("There is a character that JSON does not have.")),
            }
            at += 1;
        }
        Ok((at, false))
    }

    /// Whether the value may be complete if nothing follows.
    fn may_end_here(&self) -> bool {
        self.in_scalar
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::sql;

    fn records(path: &str, input: &str, step: usize) -> Result<Vec<String>, S3ErrorCode> {
        let query = sql::parse(&format!("SELECT * FROM S3Object{path}")).unwrap();
        let mut reader = JsonReader::new(query.from, u64::MAX);
        let mut window = Window::default();
        let mut pieces = input.as_bytes().chunks(step);
        let mut found = Vec::new();
        loop {
            match reader.next(&mut window).map_err(|error| error.code)? {
                Found::Record(length) => {
                    let record = &window.bytes()[..length];
                    parse(record).map_err(|error| error.code)?;
                    found.push(String::from_utf8(record.to_vec()).unwrap());
                }
                Found::Missing => found.push("-".to_owned()),
                Found::NeedsInput => match pieces.next() {
                    Some(piece) => window.push(piece),
                    None => window.end(),
                },
                Found::Ended => return Ok(found),
            }
        }
    }

    #[test]
    fn paths_lead_to_records() {
        let rules =
            r#"{"Rules": [ {"id": "1"}, {"expr": "y > x"}, {"id": "2"} ]} {"created": "June"}"#;
        for (path, input, expected) in [
            (
                "",
                r#"{"a":1} [2] "x" null 5"#,
                vec![r#"{"a":1}"#, "[2]", "\"x\"", "null", "5"],
            ),
            ("[*]", "1\n2\n", vec!["1", "2"]),
            ("[*].Rules[*].id", rules, vec!["\"1\"", "-", "\"2\"", "-"]),
            ("[*].rules[1]", rules, vec![r#"{"expr": "y > x"}"#, "-"]),
            ("[*].\"rules\"[1]", rules, vec!["-", "-"]),
            (
                ".a.b",
                r#"{"x":{"b":1},"a":{"c":[{}],"b":[1,2]}}"#,
                vec!["[1,2]"],
            ),
            (".a", r#"{"a":1,"a":2}"#, vec!["1", "2"]),
            (".a[*]", r#"{"a":[]}{"a":[7,[8]]}"#, vec!["7", "[8]"]),
            (
                ".a[*][*]",
                "{\"a\":[[1],2,[3,4]]}",
                vec!["1", "-", "3", "4"],
            ),
            ("[*]", "", vec![]),
        ] {
            for step in [1, 2, 3, 7, usize::MAX] {
                assert_eq!(
                    records(path, input, step).unwrap(),
                    expected,
                    "{path} {input} {step}"
                );
            }
        }
    }

    #[test]
    fn what_is_not_json_is_refused() {
        let deep = "[".repeat(DEPTH_MAX + 1);
        for (path, input) in [
            ("", "{"),
            ("", "}"),
            ("", "{\"a\":1]"),
            ("", "[1,,2]"),
            ("", "nul"),
            ("", "\"a"),
            ("", "1,2"),
            (".a", "{1:2}"),
            (".a", "{\"a\" 1}"),
            (".a", "{\"a\":1 \"b\":2}"),
            (".a", "{\"a\":1,}"),
            (".a", "{\"b\":}"),
            ("[*][*]", "[1 2]"),
            ("", "@"),
            ("", &deep),
            (".a", "{\"b\":@}"),
            (".a", "{\"a\":1"),
            ("", "01"),
            ("", "'a'"),
        ] {
            for step in [1, usize::MAX] {
                let refused = records(path, input, step);
                assert_eq!(
                    refused,
                    Err(S3ErrorCode::JSONParsingError),
                    "{path} {input}"
                );
            }
        }
        let long = format!("\"{}\"", "a".repeat(crate::RECORD_BYTES_MAX));
        let refused = records("", &long, 1 << 16);
        assert_eq!(refused, Err(S3ErrorCode::OverMaxRecordSize));
    }

    #[test]
    fn a_long_document_is_a_list_of_short_records() {
        let body = "{\"n\":1},".repeat(300_000);
        let document = format!("{{\"skipped\":[{body}0],\"rows\":[{body}{{}}]}}");
        assert!(document.len() > 4 * crate::RECORD_BYTES_MAX);
        assert_eq!(
            records("[*].rows[*]", &document, 1 << 16).unwrap().len(),
            300_001
        );
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(serde_json::Value::from),
            any::<i32>().prop_map(serde_json::Value::from),
            "[a-c\"\\\\\n{}\\[\\]ü]{0,4}".prop_map(serde_json::Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
                proptest::collection::btree_map("[a-c]", inner, 0..4)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// The reader finds what walking the parsed document finds.
        #[test]
        fn as_by_parsing_first(values in proptest::collection::vec(json(), 0..4), step in 1usize..20) {
            let text: Vec<String> = values.iter().map(|value| value.to_string()).collect();
            let text = text.join("\n");
            let expected: Vec<String> = values
                .iter()
                .flat_map(|value| match value.get("a") {
                    Some(serde_json::Value::Array(list)) => list
                        .iter()
                        .map(|each| each.get("b").map_or("-".to_owned(), |b| b.to_string()))
                        .collect(),
                    _ => vec!["-".to_owned()],
                })
                .collect();
            prop_assert_eq!(records(".a[*].b", &text, step).unwrap(), expected);
            let whole: Vec<String> = values.iter().map(|value| value.to_string()).collect();
            prop_assert_eq!(records("", &text, step).unwrap(), whole);
        }
    }
}
