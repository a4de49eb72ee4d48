//! SelectObjectContent: its document, its SQL, and the objects it reads.

use bytes::Bytes;
use oncilla_select::{RECORD_BYTES_MAX, Select, Step, sql};
use oncilla_wire::error::S3ErrorCode;
use oncilla_wire::xml::select::{
    Compression, CsvInput, CsvOutput, FileHeaderInfo, InputFormat, JsonType, OutputFormat,
    SelectRequest,
};

use crate::input;

/// 2020-01-02T03:04:05.006Z
const NOW_MS: i64 = 1_577_934_245_006;

/// The longest input worth the time of a smoke run.
const INPUT_BYTES_MAX: usize = 1 << 16;

/// The body of SelectObjectContent.
pub fn request(data: &[u8]) {
    if let Ok(request) = SelectRequest::parse(data) {
        let select = Select::new(request, 1000, NOW_MS);
        if let Ok(select) = select {
            assert!(select.begin() <= 1000);
        }
    }
}

/// An expression. One that is read can be evaluated over anything, and says the same twice.
pub fn expression(data: &[u8]) {
    let text = String::from_utf8_lossy(&data[..data.len().min(INPUT_BYTES_MAX)]);
    let Ok(query) = sql::parse(&text) else {
        return;
    };
    assert!(query.weight > 0 || query.paths.is_empty());
    for (input, object) in [
        (csv(false), "12,abc,,2020-01-01T,1.5,true\n,\n"),
        (
            InputFormat::Json(JsonType::Lines),
            "{\"a\":1,\"b\":[\"x\",null,{\"c\":2.5}]}\n7\n",
        ),
    ] {
        let first = run(&text, input.clone(), json(), object.as_bytes(), usize::MAX);
        let again = run(&text, input, json(), object.as_bytes(), 1);
        assert_eq!(first, again);
    }
}

/// The first line is an expression, what follows it an object of CSV.
pub fn csv_object(data: &[u8]) {
    let (expression, object) = input::first_line(data);
    let expression = String::from_utf8_lossy(expression);
    for quoted in [false, true] {
        let output = OutputFormat::Csv(CsvOutput::default());
        let whole = run(&expression, csv(quoted), output.clone(), object, usize::MAX);
        let pieces = run(&expression, csv(quoted), output, object, 3);
        assert_eq!(whole, pieces);
    }
}

/// The first line is an expression, what follows it an object of JSON.
pub fn json_object(data: &[u8]) {
    let (expression, object) = input::first_line(data);
    let expression = String::from_utf8_lossy(expression);
    let format = InputFormat::Json(JsonType::Document);
    let whole = run(&expression, format.clone(), json(), object, usize::MAX);
    let pieces = run(&expression, format, json(), object, 3);
    assert_eq!(whole, pieces);
    // What is written as JSON is JSON.
    if let Ok(records) = whole {
        for record in records
            .split(|byte| *byte == b'\n')
            .filter(|record| !record.is_empty())
        {
            if let Err(error) = serde_json::from_slice::<serde_json::Value>(record) {
                panic!("{error}: {}", String::from_utf8_lossy(record));
            }
        }
    }
}

fn csv(allow_quoted_record_delimiter: bool) -> InputFormat {
    InputFormat::Csv(CsvInput {
        header: FileHeaderInfo::None,
        allow_quoted_record_delimiter,
        ..CsvInput::default()
    })
}

fn json() -> OutputFormat {
    OutputFormat::Json {
        record_delimiter: "\n".to_owned(),
    }
}

/// The records, or the code of the error. What was written before an error is not compared: it
/// depends on the pieces.
fn run(
    expression: &str,
    input: InputFormat,
    output: OutputFormat,
    object: &[u8],
    step: usize,
) -> Result<Vec<u8>, S3ErrorCode> {
    let object = &object[..object.len().min(INPUT_BYTES_MAX)];
    let request = SelectRequest {
        expression: expression.to_owned(),
        input,
        compression: Compression::None,
        output,
        progress: false,
        scan_range: None,
    };
    let select = Select::new(request, object.len() as u64, NOW_MS);
    let mut select = select.map_err(|error| error.code)?;
    let mut pieces = object.chunks(step.max(object.len() / 64).max(1));
    let mut out = Vec::new();
    loop {
        let before = out.len();
        let step = select.step(&mut out).map_err(|error| error.code)?;
        assert!(out.len() - before < 4 * RECORD_BYTES_MAX);
        match step {
            Step::NeedsInput => select.feed(pieces.next().map(Bytes::copy_from_slice)),
            Step::Seek(_) => panic!("nothing was to be skipped"),
            Step::Again => {}
            Step::Done => return Ok(out),
        }
    }
}
