//! Records to bytes.

use std::fmt::Write;

use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::xml::select::{CsvOutput, OutputFormat};

use crate::RECORD_BYTES_MAX;
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
        if self.record.len() > RECORD_BYTES_MAX {
            return Err(S3ErrorCode::OverMaxRecordSize.into());
        }
        Ok(())
    }
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
        Value::Missing | Value::Null | Value::Text(_) | Value::Field(_) => Ok(()),
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
        Value::Text(text) => {
            push_json_text(out, text);
            Ok(())
        }
        Value::Field(text) => {
            push_json_text(out, text);
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
