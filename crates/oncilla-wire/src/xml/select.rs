//! `SelectObjectContentRequest`, and the documents within its answer.
//! Source: S3 API reference, SelectObjectContent.

use super::reader::{XmlReader, malformed};
use super::writer::XmlWriter;
use crate::error::{S3Error, S3ErrorCode};

/// The longest SQL expression. Source: S3 User Guide, "Requirements and limits" of S3 Select.
pub const EXPRESSION_BYTES_MAX: usize = 256 * 1024;

/// The largest body worth reading: an expression in which every byte is escaped as `&quot;`, and
/// the other elements.
pub const MAX_SELECT_BODY_BYTES: usize = 6 * EXPRESSION_BYTES_MAX + 16 * 1024;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectRequest {
    /// The SQL.
    pub expression: String,
    /// How the object is laid out.
    pub input: InputFormat,
    /// How it is compressed.
    pub compression: Compression,
    /// How records are to be written.
    pub output: OutputFormat,
    /// Whether progress is to be told.
    pub progress: bool,
    /// Which part of the object to look at.
    pub scan_range: Option<ScanRange>,
}

/// How the object is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Compression {
    #[default]
    None,
    Gzip,
    Bzip2,
}

/// How the object is laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum InputFormat {
    Csv(CsvInput),
    Json(JsonType),
}

/// What the first line of a CSV object is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FileHeaderInfo {
    /// A record.
    #[default]
    None,
    /// Names of columns that are not to be used.
    Ignore,
    /// Names of columns.
    Use,
}

/// A CSV object. Every delimiter is text in UTF-8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvInput {
    /// What the first line is.
    pub header: FileHeaderInfo,
    /// What a line begins with that is to be passed over; empty for nothing.
    pub comment: String,
    /// What encloses a field; empty for nothing.
    pub quote: String,
    /// What makes a quote within an enclosed field stand for itself.
    pub quote_escape: String,
    /// What ends a record: one or two characters.
    pub record_delimiter: String,
    /// What separates fields.
    pub field_delimiter: String,
    /// Whether a record may have its delimiter within an enclosed field.
    pub allow_quoted_record_delimiter: bool,
}

impl Default for CsvInput {
    fn default() -> Self {
        Self {
            header: FileHeaderInfo::None,
            comment: "#".to_owned(),
            quote: "\"".to_owned(),
            quote_escape: "\"".to_owned(),
            record_delimiter: "\n".to_owned(),
            field_delimiter: ",".to_owned(),
            allow_quoted_record_delimiter: false,
        }
    }
}

/// How JSON values follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonType {
    /// As one, which may be long.
    Document,
    /// One in a line.
    Lines,
}

/// How records are written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum OutputFormat {
    Csv(CsvOutput),
    Json { record_delimiter: String },
}

/// Records written as CSV.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvOutput {
    /// Whether every field is enclosed, and not only those that need to be.
    pub quote_always: bool,
    /// What encloses a field.
    pub quote: String,
    /// What makes a quote within an enclosed field stand for itself.
    pub quote_escape: String,
    /// What ends a record.
    pub record_delimiter: String,
    /// What separates fields.
    pub field_delimiter: String,
}

impl Default for CsvOutput {
    fn default() -> Self {
        Self {
            quote_always: false,
            quote: "\"".to_owned(),
            quote_escape: "\"".to_owned(),
            record_delimiter: "\n".to_owned(),
            field_delimiter: ",".to_owned(),
        }
    }
}

/// Which part of the object to look at: records that begin within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanRange {
    /// From a byte to another one, both included.
    Between(u64, u64),
    /// From a byte on.
    From(u64),
    /// So many bytes at the end.
    Last(u64),
}

/// How far it is, in bytes: the content of `Progress` and `Stats`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Of the object, read.
    pub scanned: u64,
    /// Of the object, uncompressed and looked at.
    pub processed: u64,
    /// Of records, returned.
    pub returned: u64,
}

impl Progress {
    /// Writes the document; S3's has no namespace.
    pub(crate) fn to_xml(self, root: &str) -> Vec<u8> {
        let mut xml = XmlWriter::with_capacity(256);
        xml.open(root);
        xml.number("BytesScanned", self.scanned);
        xml.number("BytesProcessed", self.processed);
        xml.number("BytesReturned", self.returned);
        xml.close(root);
        xml.finish()
    }
}

impl SelectRequest {
    /// Reads the document.
    ///
    /// # Errors
    /// The codes that S3 lists for SelectObjectContent; `NotImplemented` for Parquet.
    pub fn parse(xml: &[u8]) -> Result<Self, S3Error> {
        if xml.is_empty() {
            return Err(S3ErrorCode::EmptyRequestBody.into());
        }
        let roots = ["SelectObjectContentRequest", "SelectRequest"];
        let mut reader = XmlReader::open_with_any_character(xml, &roots)?;
        let mut expression = None;
        let mut kind = None;
        let mut input = None;
        let mut output = None;
        let mut progress = None;
        let mut scan_range = None;
        while let Some(name) = reader.child()? {
            match name {
                "Expression" => {
                    reader.once(&mut expression, |xml| xml.long_value(EXPRESSION_BYTES_MAX))?;
                }
                "ExpressionType" => reader.once(&mut kind, XmlReader::value)?,
                "InputSerialization" => reader.once(&mut input, parse_input)?,
                "OutputSerialization" => reader.once(&mut output, parse_output)?,
                "RequestProgress" => reader.once(&mut progress, parse_progress)?,
                "ScanRange" => reader.once(&mut scan_range, parse_scan_range)?,
                _ => reader.skip()?,
            }
        }
        reader.finish()?;
        let kind = kind.ok_or_else(|| missing("ExpressionType"))?;
        if !kind.trim().eq_ignore_ascii_case("SQL") {
            return Err(S3ErrorCode::InvalidExpressionType.into());
        }
        let (input, compression) = input.ok_or_else(|| missing("InputSerialization"))?;
        let request = Self {
            expression: expression.ok_or_else(|| missing("Expression"))?,
            input,
            compression,
            output: output.ok_or_else(|| missing("OutputSerialization"))?,
            progress: progress.unwrap_or_default(),
            scan_range,
        };
        request.check_scan_range()?;
        Ok(request)
    }

    /// A part can be looked at only where records can be found from anywhere.
    /// Source: S3 API reference, SelectObjectContent, "ScanRange".
    fn check_scan_range(&self) -> Result<(), S3Error> {
        let can_begin_anywhere = match &self.input {
            InputFormat::Csv(csv) => !csv.allow_quoted_record_delimiter,
            InputFormat::Json(kind) => *kind == JsonType::Lines,
        };
        if self.scan_range.is_some()
            && !(can_begin_anywhere && self.compression == Compression::None)
        {
            return Err(S3ErrorCode::UnsupportedScanRangeInput.into());
        }
        Ok(())
    }
}

/// Whether progress is to be told.
fn parse_progress(reader: &mut XmlReader<'_>) -> Result<bool, S3Error> {
    let mut enabled = None;
    while let Some(name) = reader.child()? {
        match name {
            "Enabled" => reader.once(&mut enabled, XmlReader::boolean)?,
            _ => reader.skip()?,
        }
    }
    Ok(enabled.unwrap_or_default())
}

fn parse_input(reader: &mut XmlReader<'_>) -> Result<(InputFormat, Compression), S3Error> {
    let mut formats = Vec::new();
    let mut compression = None;
    while let Some(name) = reader.child()? {
        match name {
            "CSV" => formats.push(InputFormat::Csv(parse_csv_input(reader)?)),
            "JSON" => formats.push(InputFormat::Json(parse_json_type(reader)?)),
            "Parquet" => {
                reader.skip()?;
                let message = "Select on Parquet is not implemented. Use CSV or JSON.";
                return Err(S3Error::with_message(S3ErrorCode::NotImplemented, message));
            }
            "CompressionType" => reader.once(&mut compression, parse_compression)?,
            _ => reader.skip()?,
        }
    }
    let format = only(formats, S3ErrorCode::InvalidDataSource)?;
    Ok((format, compression.unwrap_or_default()))
}

fn parse_compression(reader: &mut XmlReader<'_>) -> Result<Compression, S3Error> {
    match reader.value()?.trim() {
        "" | "NONE" => Ok(Compression::None),
        "GZIP" => Ok(Compression::Gzip),
        "BZIP2" => Ok(Compression::Bzip2),
        _ => Err(S3ErrorCode::InvalidCompressionFormat.into()),
    }
}

/// The one format that was named.
fn only<T>(mut formats: Vec<T>, none: S3ErrorCode) -> Result<T, S3Error> {
    if formats.len() > 1 {
        return Err(S3ErrorCode::ObjectSerializationConflict.into());
    }
    formats.pop().ok_or_else(|| none.into())
}

fn parse_json_type(reader: &mut XmlReader<'_>) -> Result<JsonType, S3Error> {
    let mut kind = None;
    while let Some(name) = reader.child()? {
        match name {
            "Type" => reader.once(&mut kind, parse_type)?,
            _ => reader.skip()?,
        }
    }
    kind.ok_or_else(|| S3ErrorCode::InvalidJsonType.into())
}

fn parse_type(reader: &mut XmlReader<'_>) -> Result<JsonType, S3Error> {
    match reader.value()?.trim().to_ascii_uppercase().as_str() {
        "DOCUMENT" => Ok(JsonType::Document),
        "LINES" => Ok(JsonType::Lines),
        _ => Err(S3ErrorCode::InvalidJsonType.into()),
    }
}

/// What is said alike of CSV that is read and of CSV that is written.
#[derive(Default)]
struct CsvMarks {
    quote: Option<String>,
    quote_escape: Option<String>,
    record_delimiter: Option<String>,
    field_delimiter: Option<String>,
}

impl CsvMarks {
    /// Reads the element just entered, or passes over it if it is none of these.
    fn read(&mut self, name: &str, reader: &mut XmlReader<'_>) -> Result<(), S3Error> {
        let (place, min, max) = match name {
            "QuoteCharacter" => (&mut self.quote, 0, 1),
            "QuoteEscapeCharacter" => (&mut self.quote_escape, 0, 1),
            "RecordDelimiter" => (&mut self.record_delimiter, 1, 2),
            "FieldDelimiter" => (&mut self.field_delimiter, 1, 1),
            _ => return reader.skip(),
        };
        reader.once(place, |xml| characters(xml, name, min, max))
    }
}

fn parse_csv_input(reader: &mut XmlReader<'_>) -> Result<CsvInput, S3Error> {
    let (mut header, mut comment, mut allow_quoted) = (None, None, None);
    let mut marks = CsvMarks::default();
    while let Some(name) = reader.child()? {
        match name {
            "FileHeaderInfo" => reader.once(&mut header, parse_file_header)?,
            "Comments" => reader.once(&mut comment, |xml| characters(xml, name, 0, 1))?,
            "AllowQuotedRecordDelimiter" => {
                reader.once(&mut allow_quoted, XmlReader::boolean)?;
            }
            _ => marks.read(name, reader)?,
        }
    }
    let defaults = CsvInput::default();
    let csv = CsvInput {
        header: header.unwrap_or_default(),
        comment: comment.unwrap_or(defaults.comment),
        quote: marks.quote.unwrap_or(defaults.quote),
        quote_escape: marks.quote_escape.unwrap_or(defaults.quote_escape),
        record_delimiter: marks.record_delimiter.unwrap_or(defaults.record_delimiter),
        field_delimiter: marks.field_delimiter.unwrap_or(defaults.field_delimiter),
        allow_quoted_record_delimiter: allow_quoted.unwrap_or_default(),
    };
    if csv.record_delimiter == csv.field_delimiter || csv.quote == csv.field_delimiter {
        let message = "The delimiters and the quote character must differ from each other.";
        let code = S3ErrorCode::InvalidRequestParameter;
        return Err(S3Error::with_message(code, message));
    }
    Ok(csv)
}

fn parse_file_header(reader: &mut XmlReader<'_>) -> Result<FileHeaderInfo, S3Error> {
    match reader.value()?.trim().to_ascii_uppercase().as_str() {
        "" | "NONE" => Ok(FileHeaderInfo::None),
        "IGNORE" => Ok(FileHeaderInfo::Ignore),
        "USE" => Ok(FileHeaderInfo::Use),
        _ => Err(S3ErrorCode::InvalidFileHeaderInfo.into()),
    }
}

fn parse_output(reader: &mut XmlReader<'_>) -> Result<OutputFormat, S3Error> {
    let mut formats = Vec::new();
    while let Some(name) = reader.child()? {
        match name {
            "CSV" => formats.push(OutputFormat::Csv(parse_csv_output(reader)?)),
            "JSON" => formats.push(parse_json_output(reader)?),
            _ => reader.skip()?,
        }
    }
    only(formats, S3ErrorCode::MissingRequiredParameter)
}

fn parse_json_output(reader: &mut XmlReader<'_>) -> Result<OutputFormat, S3Error> {
    let mut record_delimiter = None;
    while let Some(name) = reader.child()? {
        match name {
            "RecordDelimiter" => {
                reader.once(&mut record_delimiter, |xml| characters(xml, name, 0, 2))?;
            }
            _ => reader.skip()?,
        }
    }
    Ok(OutputFormat::Json {
        record_delimiter: record_delimiter.unwrap_or_else(|| "\n".to_owned()),
    })
}

fn parse_csv_output(reader: &mut XmlReader<'_>) -> Result<CsvOutput, S3Error> {
    let mut quote_always = None;
    let mut marks = CsvMarks::default();
    while let Some(name) = reader.child()? {
        match name {
            "QuoteFields" => reader.once(&mut quote_always, parse_quote_always)?,
            _ => marks.read(name, reader)?,
        }
    }
    let defaults = CsvOutput::default();
    Ok(CsvOutput {
        quote_always: quote_always.unwrap_or_default(),
        quote: marks.quote.unwrap_or(defaults.quote),
        quote_escape: marks.quote_escape.unwrap_or(defaults.quote_escape),
        record_delimiter: marks.record_delimiter.unwrap_or(defaults.record_delimiter),
        field_delimiter: marks.field_delimiter.unwrap_or(defaults.field_delimiter),
    })
}

fn parse_quote_always(reader: &mut XmlReader<'_>) -> Result<bool, S3Error> {
    match reader.value()?.trim().to_ascii_uppercase().as_str() {
        "" | "ASNEEDED" => Ok(false),
        "ALWAYS" => Ok(true),
        _ => Err(S3ErrorCode::InvalidQuoteFields.into()),
    }
}

/// A text of `min` to `max` characters.
fn characters(
    reader: &mut XmlReader<'_>,
    name: &str,
    min: usize,
    max: usize,
) -> Result<String, S3Error> {
    let value = reader.value()?;
    if (min..=max).contains(&value.chars().count()) {
        return Ok(value);
    }
    let wanted = if max == 1 {
        "one character"
    } else {
        "one or two characters"
    };
    let message = format!("{name} must be {wanted}.");
    Err(S3Error::with_message(
        S3ErrorCode::InvalidRequestParameter,
        message,
    ))
}

fn parse_scan_range(reader: &mut XmlReader<'_>) -> Result<ScanRange, S3Error> {
    let (mut start, mut end) = (None, None);
    while let Some(name) = reader.child()? {
        match name {
            "Start" => reader.once(&mut start, XmlReader::number)?,
            "End" => reader.once(&mut end, XmlReader::number)?,
            _ => reader.skip()?,
        }
    }
    match (start, end) {
        (Some(start), Some(end)) if start <= end => Ok(ScanRange::Between(start, end)),
        (Some(start), None) => Ok(ScanRange::From(start)),
        (None, Some(last)) if last > 0 => Ok(ScanRange::Last(last)),
        (None, None) => Err(malformed("ScanRange needs Start or End.")),
        _ => Err(S3ErrorCode::InvalidScanRange.into()),
    }
}

fn missing(parameter: &str) -> S3Error {
    S3Error::new(S3ErrorCode::MissingRequiredParameter).detail("ParameterName", parameter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(input: &str, output: &str, more: &str) -> String {
        format!(
            "<SelectObjectContentRequest xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
             <Expression>SELECT * FROM S3Object</Expression><ExpressionType>SQL</ExpressionType>\
             <InputSerialization>{input}</InputSerialization>\
             <OutputSerialization>{output}</OutputSerialization>{more}</SelectObjectContentRequest>"
        )
    }

    fn parse(input: &str, output: &str, more: &str) -> Result<SelectRequest, S3ErrorCode> {
        let document = document(input, output, more);
        SelectRequest::parse(document.as_bytes()).map_err(|error| error.code)
    }

    #[test]
    fn defaults_are_those_of_s3() {
        let request = parse("<CSV/>", "<JSON/>", "").unwrap();
        assert_eq!(request.input, InputFormat::Csv(CsvInput::default()));
        assert_eq!(
            request.output,
            OutputFormat::Json {
                record_delimiter: "\n".to_owned()
            }
        );
        assert_eq!(request.compression, Compression::None);
        assert!(!request.progress && request.scan_range.is_none());
    }

    #[test]
    fn everything_can_be_said() {
        let input = "<CompressionType>NONE</CompressionType><CSV><FileHeaderInfo>USE</FileHeaderInfo>\
            <Comments>%</Comments><QuoteEscapeCharacter>\\</QuoteEscapeCharacter>\
            <RecordDelimiter>&#13;&#10;</RecordDelimiter><FieldDelimiter>\t</FieldDelimiter>\
            <QuoteCharacter>'</QuoteCharacter></CSV>";
        let output =
            "<CSV><QuoteFields>ALWAYS</QuoteFields><FieldDelimiter>;</FieldDelimiter></CSV>";
        let more = "<RequestProgress><Enabled>TRUE</Enabled></RequestProgress>\
            <ScanRange><Start>5</Start><End>9</End></ScanRange>";
        let request = parse(input, output, more).unwrap();
        let InputFormat::Csv(csv) = &request.input else {
            panic!("{request:?}");
        };
        assert_eq!(csv.header, FileHeaderInfo::Use);
        assert_eq!((csv.comment.as_str(), csv.quote.as_str()), ("%", "'"));
        assert_eq!(csv.record_delimiter, "\r\n");
        assert_eq!(
            (csv.field_delimiter.as_str(), csv.quote_escape.as_str()),
            ("\t", "\\")
        );
        assert_eq!(request.scan_range, Some(ScanRange::Between(5, 9)));
        assert!(request.progress);
    }

    #[test]
    fn what_is_refused() {
        use S3ErrorCode::*;
        let csv = "<CSV/>";
        for (input, output, more, code) in [
            (
                "<CSV/><JSON><Type>LINES</Type></JSON>",
                csv,
                "",
                ObjectSerializationConflict,
            ),
            (csv, "<CSV/><JSON/>", "", ObjectSerializationConflict),
            ("", csv, "", InvalidDataSource),
            (csv, "", "", MissingRequiredParameter),
            ("<Parquet/>", csv, "", NotImplemented),
            ("<JSON><Type>X</Type></JSON>", csv, "", InvalidJsonType),
            (
                "<CSV><FileHeaderInfo>X</FileHeaderInfo></CSV>",
                csv,
                "",
                InvalidFileHeaderInfo,
            ),
            (
                "<CSV><FieldDelimiter>ab</FieldDelimiter></CSV>",
                csv,
                "",
                InvalidRequestParameter,
            ),
            (
                "<CSV><FieldDelimiter>\n</FieldDelimiter></CSV>",
                csv,
                "",
                InvalidRequestParameter,
            ),
            (
                "<CSV/><CompressionType>ZIP</CompressionType>",
                csv,
                "",
                InvalidCompressionFormat,
            ),
            (
                csv,
                "<CSV><QuoteFields>X</QuoteFields></CSV>",
                "",
                InvalidQuoteFields,
            ),
            (
                csv,
                csv,
                "<ScanRange><Start>2</Start><End>1</End></ScanRange>",
                InvalidScanRange,
            ),
            (
                "<JSON><Type>DOCUMENT</Type></JSON>",
                csv,
                "<ScanRange><Start>2</Start></ScanRange>",
                UnsupportedScanRangeInput,
            ),
        ] {
            assert_eq!(
                parse(input, output, more),
                Err(code),
                "{input} {output} {more}"
            );
        }
        assert_eq!(
            SelectRequest::parse(b"").unwrap_err().code,
            EmptyRequestBody
        );
        let other = document(csv, csv, "").replace(">SQL<", ">XPath<");
        let refused = SelectRequest::parse(other.as_bytes()).unwrap_err();
        assert_eq!(refused.code, InvalidExpressionType);
        let long = document(csv, csv, "").replace("SELECT", &"x".repeat(EXPRESSION_BYTES_MAX + 1));
        let refused = SelectRequest::parse(long.as_bytes()).unwrap_err();
        assert_eq!(refused.code, ExpressionTooLong);
    }
}
