//! What commands print: lines for people, JSON for programs.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

use oncilla_client::exit_code;
use serde::Serialize;

use crate::failure::Failure;

/// Prints one line to stdout. A reader that has gone away (`| head`) ends the command quietly.
///
/// Keys are in lines, and strangers may choose keys. A terminal obeys the control characters in them,
/// so it gets them as escapes; programs get what is there.
pub fn line(text: &str) -> Result<(), Failure> {
    let shown = shown_on(&io::stdout(), text);
    bytes(format!("{shown}\n").as_bytes())
}

/// Text as it goes to a stream: harmless if that is a terminal.
pub fn shown_on<'t>(stream: &impl IsTerminal, text: &'t str) -> Cow<'t, str> {
    match stream.is_terminal() {
        true => harmless(text),
        false => Cow::Borrowed(text),
    }
}

/// Text that only shows on a terminal: control characters are written as `\x1b`, apart from the tabs
/// and line feeds that commands lay their lines out with.
fn harmless(text: &str) -> Cow<'_, str> {
    let acts = |character: char| character.is_control() && !matches!(character, '\t' | '\n');
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if acts(character) {
            shown.push_str(&format!("\\x{:02x}", u32::from(character)));
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// Prints bytes to stdout as they are.
pub fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(bytes)
        .and_then(|()| stdout.flush())
        .map_err(|error| {
            if error.kind() == io::ErrorKind::BrokenPipe {
                return Failure::reported(exit_code::OK);
            }
            Failure::general(format!("cannot write to standard output: {error}"))
        })
}

/// Prints a value as one line of JSON, for listings (JSON lines).
pub fn json_line(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value)
        .map_err(|error| Failure::general(format!("cannot make JSON: {error}")))?;
    line(&text)
}

/// Prints a value as one indented JSON document.
pub fn json_document(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::general(format!("cannot make JSON: {error}")))?;
    line(&text)
}

/// A size with binary units, as `aws s3 ls --human-readable` prints it.
pub fn human_size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} Bytes");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    // 1023.95 would be printed as 1024.0 of the smaller unit.
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A Unix time in milliseconds as ISO 8601 in UTC.
pub fn iso8601(unix_ms: i64) -> String {
    String::from_utf8_lossy(&oncilla_wire::time::iso8601(unix_ms)).into_owned()
}

/// A Unix time in milliseconds as `2026-11-20 17:03:11` in UTC, for listings.
pub fn short_time(unix_ms: i64) -> String {
    let text = iso8601(unix_ms);
    text.get(..19).unwrap_or(&text).replace('T', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_does_nothing_to_a_terminal() {
        for (key, shown) in [
            ("a/b c é", "a/b c é"),
            ("\u{1b}[2Jgone", "\\x1b[2Jgone"),
            ("\0\u{7}\r\u{7f}\u{9b}31m", "\\x00\\x07\\x0d\\x7f\\x9b31m"),
            ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ] {
            assert_eq!(harmless(key), shown);
        }
    }

    #[test]
    fn sizes_for_people() {
        let sizes = [0, 1023, 1024, 1536, 1024 * 1024 - 1, 5 << 30, u64::MAX];
        let texts = sizes.map(human_size);
        let expected = [
            "0 Bytes",
            "1023 Bytes",
            "1.0 KiB",
            "1.5 KiB",
            "1.0 MiB",
            "5.0 GiB",
            "16.0 EiB",
        ];
        assert_eq!(texts, expected);
    }

    #[test]
    fn times_for_people() {
        assert_eq!(short_time(1_700_000_000_123), "2023-11-14 22:13:20");
    }
}
