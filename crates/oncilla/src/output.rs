//! What commands print: lines for people, JSON for programs.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;
use serde_json::json;

use crate::common_args::CommonArgs;
use crate::failure::Failure;
use crate::location::S3Url;

/// Prints one line to stdout, and no more than one. A reader that has gone away (`| head`) ends the
/// command quietly.
pub fn line(text: &str) -> Result<(), Failure> {
    bytes(format!("{}\n", one_line(text)).as_bytes())
}

/// Text as one line that does nothing but show. Keys are in lines, and strangers may choose keys: one
/// with a line feed would pass for two of them, and a terminal obeys what follows an escape character.
/// Such characters are written as `ls -b` does, `\n` and `\x1b`; `--json` has keys as they are.
pub fn one_line(text: &str) -> Cow<'_, str> {
    escaped(text, acts, |character| match character {
        '\n' => "\\n".to_owned(),
        '\t' => "\\t".to_owned(),
        '\r' => "\\r".to_owned(),
        '\0'..='\u{ff}' => format!("\\x{:02x}", u32::from(character)),
        _ => format!("\\u{{{:x}}}", u32::from(character)),
    })
}

/// Prints text of several lines. Programs and files get what is there, for it may have to be given
/// back; a terminal gets it without what it would obey.
pub fn text(text: &str) -> Result<(), Failure> {
    if !io::stdout().is_terminal() {
        return bytes(text.as_bytes());
    }
    for line in text.split_inclusive('\n') {
        let (line, end) = match line.strip_suffix('\n') {
            Some(line) => (line, "\n"),
            None => (line, ""),
        };
        bytes(format!("{}{end}", one_line(line)).as_bytes())?;
    }
    Ok(())
}

/// Whether a character does something instead of being shown: control characters, what ends a line
/// for some readers, and what turns the direction of text around. Source: Unicode Standard, chapter
/// 23.2, and Annex 9, "Explicit Directional Embeddings, Overrides and Isolates".
fn acts(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
        )
}

/// Text with some characters written in another way.
fn escaped(
    text: &str,
    is_escaped: impl Fn(char) -> bool,
    escape: impl Fn(char) -> String,
) -> Cow<'_, str> {
    if !text.contains(&is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_escaped(character) {
            shown.push_str(&escape(character));
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
                return Failure::gone_reader();
            }
            Failure::general(format!("cannot write to standard output: {error}"))
        })
}

/// What became of a line that tells of work. A reader that has gone away is no reason to stop the work, and
/// no failure of it; only commands that do nothing but print end with their reader.
pub fn despite_gone_reader(printed: Result<(), Failure>) -> Result<(), Failure> {
    match printed {
        Err(failure) if failure.is_gone_reader() => Ok(()),
        printed => printed,
    }
}

/// Tells that something was removed, and where more than one thing has its URL, which: by what an id is of
/// ("version"), and the id.
pub fn removed(
    common: &CommonArgs,
    dry_run: bool,
    operation: &str,
    url: &S3Url,
    id: Option<(&str, &str)>,
) -> Result<(), Failure> {
    let printed = if common.json {
        let source = url.to_string();
        let mut report = json!({ "operation": operation, "source": source, "dry_run": dry_run });
        if let Some((of, id)) = id {
            report[format!("{of}_id")] = id.into();
        }
        json_line(&report)
    } else if common.quiet && !dry_run {
        Ok(())
    } else {
        let mark = if dry_run { "(dry run) " } else { "" };
        let which = id.map_or(String::new(), |(of, id)| format!(" {of} {id}"));
        line(&format!("{mark}{operation}: {url}{which}"))
    };
    despite_gone_reader(printed)
}

/// Prints a value as one line of JSON, for listings (JSON lines).
pub fn json_line(value: &impl Serialize) -> Result<(), Failure> {
    json(serde_json::to_string(value))
}

/// Prints a value as one indented JSON document.
pub fn json_document(value: &impl Serialize) -> Result<(), Failure> {
    json(serde_json::to_string_pretty(value))
}

fn json(made: serde_json::Result<String>) -> Result<(), Failure> {
    let text = made.map_err(|error| Failure::general(format!("cannot make JSON: {error}")))?;
    bytes(format!("{}\n", harmless_json(&text)).as_bytes())
}

/// JSON that says the same in its own escapes where a terminal would obey a character. Those below a
/// space are escapes already; the line feeds left are between values.
fn harmless_json(text: &str) -> Cow<'_, str> {
    let is_escaped = |character: char| acts(character) && character != '\n';
    escaped(text, is_escaped, |character| {
        format!("\\u{:04x}", u32::from(character))
    })
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
    fn a_key_is_one_line_that_does_nothing() {
        for (key, shown) in [
            ("a/b c é\\n", "a/b c é\\n"),
            ("\u{1b}[2Jgone", "\\x1b[2Jgone"),
            ("\0\u{7}\u{7f}\u{9b}31m", "\\x00\\x07\\x7f\\x9b31m"),
            ("two\r\nlines\tand a tab", "two\\r\\nlines\\tand a tab"),
            ("a\u{2028}b\u{202e}c", "a\\u{2028}b\\u{202e}c"),
        ] {
            assert_eq!(one_line(key), shown);
            assert_eq!(one_line(shown), shown);
        }
    }

    #[test]
    fn json_says_the_same_without_what_acts() {
        let keys = ["a\u{9b}b", "\u{7f}", "\u{1b}[2J\n", "\u{202e}", "é\\n"];
        let text = serde_json::to_string_pretty(&keys).unwrap();
        let shown = harmless_json(&text);
        assert!(shown.contains("a\\u009bb") && shown.contains("\\u202e"));
        assert!(!shown.contains(|character: char| acts(character) && character != '\n'));
        let read: Vec<String> = serde_json::from_str(&shown).unwrap();
        assert_eq!(read, keys);
    }

    #[test]
    fn work_goes_on_without_its_reader() {
        assert!(despite_gone_reader(Ok(())).is_ok());
        assert!(despite_gone_reader(Err(Failure::gone_reader())).is_ok());
        assert!(despite_gone_reader(Err(Failure::general("disk full"))).is_err());
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
