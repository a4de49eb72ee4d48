//! Records to bytes.

use std::fmt::Write;

use oncilla_wire::error::S3Error;
use oncilla_wire::xml::select::{CsvOutput, OutputFormat};

use crate::RECORD_BYTES_MAX;
use crate::input::buffer::check_length;
use crate::number::Number;
use crate::value::{Json, Value};

/// Writes records.
#[derive(Debug)]
pub struct Writer {
    format: OutputFormat,
    /// The record that is being written.
    record: String,
    fields: usize,
    /// A value that is not written as it is.
    scratch: String,
}

impl Writer {
    /// A writer.
    pub fn new(format: OutputFormat) -> Self {
        Self {
            format,
            record: String::new(),
            fields: 0,
            scratch: String::new(),
        }
    }

    /// Begins a record.
    pub fn begin(&mut self) {
        self.record.clear();
        self.fields = 0;
        if matches!(self.format, OutputFormat::Json { .. }) {
            self.record.push('{');
        }
    }

    /// Adds a value. In JSON, what is missing is left out.
    ///
    /// # Errors
    /// `OverMaxRecordSize`.
    pub fn value(&mut self, name: &str, value: &Value<'_>) -> Result<(), S3Error> {
        // What is added is no shorter than its text, which need not be copied to know that.
        let text_bytes = value.text().map_or(0, str::len);
        check_length(self.record.len() + text_bytes)?;
        match &self.format {
            OutputFormat::Csv(csv) => {
                if self.fields > 0 {
                    self.record.push_str(&csv.field_delimiter);
                }
                match value.text() {
                    Some(text) => push_csv(&mut self.record, text, csv),
                    None => {
                        self.scratch.clear();
                        push_plain(&mut self.scratch, value);
                        push_csv(&mut self.record, &self.scratch, csv);
                    }
                }
            }
            OutputFormat::Json { .. } => {
                if matches!(value, Value::Missing) {
                    return Ok(());
                }
                if self.fields > 0 {
                    self.record.push(',');
                }
                push_json_text(&mut self.record, name);
                self.record.push(':');
                push_json_value(&mut self.record, value);
            }
        }
        self.fields += 1;
        self.check()
    }

    /// Ends the record.
    ///
    /// # Errors
    /// `OverMaxRecordSize`.
    pub fn end(&mut self, out: &mut Vec<u8>) -> Result<(), S3Error> {
        self.check()?;
        let delimiter = match &self.format {
            OutputFormat::Csv(csv) => csv.record_delimiter.as_str(),
            OutputFormat::Json { record_delimiter } => {
                self.record.push('}');
                record_delimiter.as_str()
            }
        };
        out.extend_from_slice(self.record.as_bytes());
        out.extend_from_slice(delimiter.as_bytes());
        Ok(())
    }

    fn check(&self) -> Result<(), S3Error> {
        check_length(self.record.len())
    }
}

/// Whether a record is too long already. Nothing more is added then: escaped, a text can have six
/// times as many bytes.
fn is_over(out: &str) -> bool {
    out.len() > RECORD_BYTES_MAX
}

/// A field, enclosed if it has to be or is to be.
fn push_csv(out: &mut String, field: &str, csv: &CsvOutput) {
    let quote = csv.quote.as_str();
    if quote.is_empty() {
        out.push_str(field);
        return;
    }
    let needs_quotes = || {
        [&csv.field_delimiter, &csv.record_delimiter, &csv.quote]
            .iter()
            .any(|mark| field.contains(mark.as_str()))
            || field.contains(['\n', '\r'])
    };
    if !csv.quote_always && !needs_quotes() {
        out.push_str(field);
        return;
    }
    out.push_str(quote);
    for (number, piece) in field.split(quote).enumerate() {
        if is_over(out) {
            return;
        }
        if number > 0 {
            out.push_str(&csv.quote_escape);
            out.push_str(quote);
        }
        out.push_str(piece);
    }
    out.push_str(quote);
}

/// What is no text, as it stands in CSV.
fn push_plain(out: &mut String, value: &Value<'_>) {
    // Writing to a string cannot fail.
    let _ = match value {
        Value::Missing | Value::Null | Value::Text(_) | Value::Made(_) | Value::Field(_) => Ok(()),
        Value::Bool(value) => write!(out, "{value}"),
        Value::Number(number) => write!(out, "{number}"),
        Value::Timestamp(timestamp) => write!(out, "{timestamp}"),
        Value::Json(json) => {
            push_json(out, json);
            Ok(())
        }
    };
}

fn push_json_value(out: &mut String, value: &Value<'_>) {
    let _ = match value {
        Value::Missing | Value::Null => out.write_str("null"),
        Value::Bool(value) => write!(out, "{value}"),
        Value::Number(Number::Float(float)) if !float.is_finite() => out.write_str("null"),
        Value::Number(number) => write!(out, "{number}"),
        Value::Timestamp(timestamp) => write!(out, "\"{timestamp}\""),
        Value::Text(text) | Value::Field(text) => {
            push_json_text(out, text);
            Ok(())
        }
        Value::Made(made) => {
            push_json_text(out, made.as_str());
            Ok(())
        }
        Value::Json(json) => {
            push_json(out, json);
            Ok(())
        }
    };
}

fn push_json(out: &mut String, json: &Json) {
    match json {
        Json::Null => out.push_str("null"),
        Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Json::Integer(value) => {
            let _ = write!(out, "{value}");
        }
        Json::Float(value) => {
            let _ = write!(out, "{}", Number::Float(*value));
        }
        Json::Text(text) => push_json_text(out, text),
        Json::List(elements) => {
            out.push('[');
            for (number, element) in elements.iter().enumerate() {
                if is_over(out) {
                    return;
                }
                if number > 0 {
                    out.push(',');
                }
                push_json(out, element);
            }
            out.push(']');
        }
        Json::Object(members) => {
            out.push('{');
            for (number, (key, value)) in members.iter().enumerate() {
                if is_over(out) {
                    return;
                }
                if number > 0 {
                    out.push(',');
                }
                push_json_text(out, key);
                out.push(':');
                push_json(out, value);
            }
            out.push('}');
        }
    }
}

fn push_json_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        if is_over(out) {
            return;
        }
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use oncilla_wire::error::S3ErrorCode;

    use super::*;

    /// What is refused in the end takes no more memory before than a record may.
    #[test]
    fn a_record_that_is_too_long_is_not_written_to_its_end() {
        let json = || OutputFormat::Json {
            record_delimiter: "\n".to_owned(),
        };
        let csv = || OutputFormat::Csv(CsvOutput::default());
        let control = "\u{1}".repeat(RECORD_BYTES_MAX);
        let quotes = "\"".repeat(RECORD_BYTES_MAX);
        let list = Json::List(vec![Json::Float(1e20); RECORD_BYTES_MAX / 5]);
        for (format, value) in [
            (json(), Value::Text(&control)),
            (json(), Value::Field(&quotes)),
            (json(), Value::Json(&list)),
            (csv(), Value::Text(&quotes)),
            (csv(), Value::Json(&list)),
        ] {
            let mut writer = Writer::new(format);
            writer.begin();
            let refused = writer.value("name", &value).unwrap_err();
            assert_eq!(refused.code, S3ErrorCode::OverMaxRecordSize);
            let taken = writer.record.len() + writer.scratch.len();
            assert!(taken <= 2 * RECORD_BYTES_MAX + 100, "{taken}");
        }
    }
}
