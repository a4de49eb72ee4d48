//! A query over one object, step by step.

use std::ops::Range;

use bytes::Bytes;
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::xml::select::{
    Compression, FileHeaderInfo, InputFormat, JsonType, Progress, ScanRange, SelectRequest,
};

use crate::aggregate::State;
use crate::budget::{Budget, MADE_BYTES_MAX};
use crate::evaluate::{Context, Record};
use crate::input::buffer::Window;
use crate::input::csv::CsvReader;
use crate::input::decompress::{self, Decompressor};
use crate::input::json::{self, Found, JsonReader};
use crate::output::Writer;
use crate::sql::{self, PathStep, Query, Selection};
use crate::timestamp::Timestamp;
use crate::value::{Json, Value};
use crate::{RECORD_BYTES_MAX, error};

/// What every query holds at most: the window, the record that is written, the output of a step, and
/// the fields of a record of CSV.
const MEMORY_BYTES: usize = 6 << 20;

/// What the texts take that an expression makes: those that are needed at once, and one more while it
/// is made, of which there can be a copy as it grows.
const TEXTS_MEMORY_BYTES: usize = MADE_BYTES_MAX + 2 * RECORD_BYTES_MAX;

/// What a record of JSON may take besides, made of a MiB of the shortest values: 32 bytes for every
/// two, while the list that holds them grows.
const JSON_MEMORY_BYTES: usize = 24 << 20;

/// What each byte of an expression may take once it is read. The costliest are columns of short names:
/// `a,` is two tokens of 48 bytes, a path with a name in it, and an item with one, in lists that may
/// have grown to twice what is in them.
const EXPRESSION_BYTE_MEMORY_BYTES: usize = 320;

/// What a BZIP2 decoder holds for blocks of 900 kB. Source: the manual of bzip2, "Memory management".
const BZIP2_MEMORY_BYTES: usize = 4 << 20;

/// How much a step does at most, in bytes of input, expressions evaluated and steps of their budgets
/// together. It should take no more than some tens of milliseconds, or some tenths of a second with a
/// record that uses its whole [`Budget`]. A step is never broken off: for a client that is gone, work
/// ends with the step that is under way.
const STEP_WORK: usize = 4 << 20;

/// How much output ends a step: S3's own events hold about as much.
const STEP_OUTPUT_BYTES: usize = 128 << 10;

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The next piece of the object is needed, or to be told that there is none.
    NeedsInput,
    /// From now on, pieces are to come from this byte of the object on.
    Seek(u64),
    /// There is more to do.
    Again,
    /// The query is done; nothing more of the object is needed.
    Done,
}

/// A query over one object.
#[derive(Debug)]
pub struct Select {
    query: Query,
    now: Timestamp,
    window: Window,
    decompressor: Decompressor,
    reader: Reader,
    writer: Writer,
    aggregates: Vec<State>,
    stats: Progress,
    /// How many more records may be written.
    limit: u64,
    done: bool,
}

#[derive(Debug)]
enum Reader {
    Csv(Box<CsvState>),
    Json(Box<JsonState>),
}

#[derive(Debug)]
struct CsvState {
    reader: CsvReader,
    stage: CsvStage,
    /// Where records are looked for, after the header.
    range: Range<u64>,
    /// By the number of the path.
    columns: Vec<usize>,
    /// Names of the columns; empty if they have none.
    names: Vec<String>,
}

/// What the next line of CSV is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CsvStage {
    /// The names of columns.
    Header {
        /// Whether they are used.
        used: bool,
    },
    /// What is left of a record that began before the range.
    Rest,
    /// A record.
    Record,
}

#[derive(Debug)]
struct JsonState {
    reader: JsonReader,
    /// Whether what is left of a line that began before the range is passed over first.
    in_rest: bool,
}

impl Select {
    /// A query over an object of this size. `now_unix_ms` is what UTCNOW tells.
    ///
    /// # Errors
    /// What S3 says of a request that cannot be evaluated, whatever the object holds.
    pub fn new(
        request: SelectRequest,
        object_bytes: u64,
        now_unix_ms: i64,
    ) -> Result<Self, S3Error> {
        if request.expression.len() > oncilla_wire::xml::select::EXPRESSION_BYTES_MAX {
            return Err(S3ErrorCode::ExpressionTooLong.into());
        }
        let query = sql::parse(&request.expression)?;
        let range = scan_range(request.scan_range, object_bytes)?;
        let now = Timestamp::from_unix_ms(now_unix_ms);
        let reader = match request.input {
            InputFormat::Csv(settings) => {
                if !query.from.is_empty() {
                    return Err(S3ErrorCode::DataSourcePathUnsupported.into());
                }
                let stage = match settings.header {
                    FileHeaderInfo::Use => CsvStage::Header { used: true },
                    FileHeaderInfo::Ignore if range.start == 0 => CsvStage::Header { used: false },
                    _ if range.start > 0 => CsvStage::Rest,
                    _ => CsvStage::Record,
                };
                let mut state = CsvState {
                    reader: CsvReader::new(settings),
                    stage,
                    range,
                    columns: Vec::new(),
                    names: Vec::new(),
                };
                if stage != (CsvStage::Header { used: true }) {
                    state.resolve(&query, None, &Budget::default())?;
                }
                Reader::Csv(Box::new(state))
            }
            InputFormat::Json(kind) => {
                let is_part = kind == JsonType::Lines && request.compression == Compression::None;
                let last_start = match is_part {
                    true => range.end.saturating_sub(1),
                    false => u64::MAX,
                };
                Reader::Json(Box::new(JsonState {
                    reader: JsonReader::new(query.from.clone(), last_start),
                    in_rest: range.start > 0,
                }))
            }
        };
        let mut select = Self {
            now: now.ok_or(S3ErrorCode::InternalError)?,
            window: Window::default(),
            decompressor: Decompressor::new(request.compression),
            reader,
            writer: Writer::new(request.output),
            aggregates: query
                .aggregates
                .iter()
                .map(|each| State::new(each.kind))
                .collect(),
            stats: Progress::default(),
            limit: query.limit.unwrap_or(u64::MAX),
            done: false,
            query,
        };
        select.window =
            Window::at(select.first_byte(range_start(request.scan_range, object_bytes)));
        Ok(select)
    }

    /// How much memory a query may need, in bytes.
    pub fn memory_bytes(request: &SelectRequest) -> usize {
        let json = match request.input {
            InputFormat::Csv(_) => 0,
            InputFormat::Json(_) => JSON_MEMORY_BYTES,
        };
        let decoder = match request.compression {
            Compression::None | Compression::Gzip => 0,
            Compression::Bzip2 => BZIP2_MEMORY_BYTES,
        };
        let expression = Self::expression_memory_bytes(request);
        MEMORY_BYTES + TEXTS_MEMORY_BYTES + json + decoder + expression
    }

    /// How much of it is for the expression.
    pub fn expression_memory_bytes(request: &SelectRequest) -> usize {
        request.expression.len() * EXPRESSION_BYTE_MEMORY_BYTES
    }

    /// The byte of the object from which on pieces are to come at first.
    pub fn begin(&self) -> u64 {
        self.window.position()
    }

    /// Where to begin to read: so far before the range that a record which begins just with it is
    /// seen to; with the header, if that is used.
    fn first_byte(&self, start: u64) -> u64 {
        match &self.reader {
            Reader::Csv(csv) if csv.stage == CsvStage::Rest => {
                start.saturating_sub(csv.reader.delimiter_bytes())
            }
            Reader::Csv(_) => 0,
            Reader::Json(json) if json.in_rest => start - 1,
            Reader::Json(_) => 0,
        }
    }

    /// How far it is.
    pub fn stats(&self) -> Progress {
        self.stats
    }

    /// Gives the next piece of the object; `None` at its end. Only when a step needs one.
    pub fn feed(&mut self, piece: Option<Bytes>) {
        if let Some(piece) = &piece {
            self.stats.scanned += piece.len() as u64;
        }
        self.decompressor.feed(piece);
    }

    /// Goes on, and appends the records that come of it.
    ///
    /// # Errors
    /// What S3 says of an object that is not what the request says, and of values that do not fit.
    pub fn step(&mut self, out: &mut Vec<u8>) -> Result<Step, S3Error> {
        let begin = out.len();
        let step = self.work(out);
        self.stats.returned += (out.len() - begin) as u64;
        step
    }

    fn work(&mut self, out: &mut Vec<u8>) -> Result<Step, S3Error> {
        let begin = out.len();
        if self.query.limit == Some(0) {
            self.done = true;
        }
        let mut work = 0;
        while !self.done {
            if work > STEP_WORK || out.len() - begin > STEP_OUTPUT_BYTES {
                return Ok(Step::Again);
            }
            // Filled first, so that records are looked for in long stretches.
            if !self.window.ended() && self.window.room() > 0 {
                match self.decompressor.step(&mut self.window)? {
                    decompress::Progress::Bytes(count) => {
                        self.stats.processed += count as u64;
                        work += count;
                        if self.window.room() > 0 {
                            continue;
                        }
                    }
                    decompress::Progress::Ended => self.window.end(),
                    decompress::Progress::NeedsInput => match self.records(out, &mut work)? {
                        Step::Again if self.window.room() > 0 => return Ok(Step::NeedsInput),
                        step => return Ok(step),
                    },
                }
            }
            match self.records(out, &mut work)? {
                Step::Again => {}
                step => return Ok(step),
            }
        }
        Ok(Step::Done)
    }

    /// Evaluates the records in the window: `Again` when it holds no whole one any more, or a step's
    /// work is done.
    fn records(&mut self, out: &mut Vec<u8>, work: &mut usize) -> Result<Step, S3Error> {
        let begin = out.len();
        loop {
            if *work > STEP_WORK || out.len() - begin > STEP_OUTPUT_BYTES {
                return Ok(Step::Again);
            }
            let step = match &mut self.reader {
                Reader::Csv(_) => self.csv_record(out, work)?,
                Reader::Json(_) => self.json_record(out, work)?,
            };
            match step {
                Some(Step::Done) => {
                    self.finish(out)?;
                    return Ok(Step::Done);
                }
                Some(step) => return Ok(step),
                None if self.limit == 0 => {
                    self.done = true;
                    return Ok(Step::Done);
                }
                None => {}
            }
        }
    }

    /// The next record of CSV; `None` if there may be another in the window.
    fn csv_record(&mut self, out: &mut Vec<u8>, work: &mut usize) -> Result<Option<Step>, S3Error> {
        let Reader::Csv(csv) = &mut self.reader else {
            return Ok(Some(Step::Done));
        };
        let position = self.window.position();
        if csv.stage == CsvStage::Record && position >= csv.range.end {
            return Ok(Some(Step::Done));
        }
        let Some((length, delimiter)) = csv.reader.next(&self.window)? else {
            return Ok(Some(match self.window.ended() {
                true => Step::Done,
                false => Step::Again,
            }));
        };
        let mut record = &self.window.bytes()[..length];
        if position == 0 {
            record = record.strip_prefix("\u{feff}".as_bytes()).unwrap_or(record);
        }
        *work += length + delimiter + 1;
        match csv.stage {
            CsvStage::Record => {
                if !csv.reader.is_passed_over(record) {
                    let fields = csv.reader.fields(record)?;
                    *work += self.query.weight;
                    let budget = Budget::default();
                    let context = Context {
                        record: Record::Csv {
                            fields: &fields,
                            columns: &csv.columns,
                        },
                        paths: &self.query.paths,
                        aggregates: &[],
                        now: self.now,
                        budget: &budget,
                    };
                    let names = csv.names.as_slice();
                    let written =
                        take_record(&self.query, &context, &mut self.aggregates, |query| {
                            self.writer.begin();
                            match &query.select {
                                Selection::All => {
                                    for (number, field) in fields.iter().enumerate() {
                                        let value = Value::Field(field);
                                        match names.get(number) {
                                            Some(name) => self.writer.value(name, &value)?,
                                            None => {
                                                let name = format!("_{}", number + 1);
                                                self.writer.value(&name, &value)?;
                                            }
                                        }
                                    }
                                }
                                Selection::Items(items) => {
                                    for item in items {
                                        let value = context.evaluate(&item.expr)?;
                                        self.writer.value(&item.name, &value)?;
                                    }
                                }
                            }
                            self.writer.end(out)
                        })?;
                    *work += budget.burned();
                    self.limit -= u64::from(written);
                }
            }
            CsvStage::Rest => csv.stage = CsvStage::Record,
            CsvStage::Header { used } => {
                if used {
                    let fields = csv.reader.fields(record)?;
                    let names = fields.iter().map(|name| name.to_string()).collect();
                    let budget = Budget::default();
                    csv.resolve(&self.query, Some(names), &budget)?;
                    *work += budget.burned();
                }
                csv.stage = CsvStage::Record;
                let start = csv.range.start;
                if start > position + (length + delimiter) as u64 {
                    // The range begins further on: the rest of a record, and then records.
                    csv.stage = CsvStage::Rest;
                    let from = start - csv.reader.delimiter_bytes();
                    self.window = Window::at(from);
                    self.decompressor = Decompressor::new(Compression::None);
                    return Ok(Some(Step::Seek(from)));
                }
            }
        }
        self.window.consume(length + delimiter);
        Ok(None)
    }

    /// The next record of JSON; `None` if there may be another in the window.
    fn json_record(
        &mut self,
        out: &mut Vec<u8>,
        work: &mut usize,
    ) -> Result<Option<Step>, S3Error> {
        let Reader::Json(json) = &mut self.reader else {
            return Ok(Some(Step::Done));
        };
        if json.in_rest {
            let bytes = self.window.bytes();
            let Some(newline) = memchr::memchr(b'\n', bytes) else {
                let count = bytes.len();
                self.window.consume(count);
                return Ok(Some(match self.window.ended() {
                    true => Step::Done,
                    false => Step::Again,
                }));
            };
            self.window.consume(newline + 1);
            json.in_rest = false;
        }
        if self.window.position() == 0 && self.window.bytes().starts_with("\u{feff}".as_bytes()) {
            self.window.consume("\u{feff}".len());
        }
        let record = match json.reader.next(&mut self.window)? {
            Found::Record(length) => {
                *work += length;
                Some(json::parse(&self.window.bytes()[..length])?)
            }
            Found::Missing => None,
            Found::NeedsInput => return Ok(Some(Step::Again)),
            Found::Ended => return Ok(Some(Step::Done)),
        };
        *work += 1 + self.query.weight;
        let budget = Budget::default();
        let context = Context {
            record: Record::Json(record.as_ref()),
            paths: &self.query.paths,
            aggregates: &[],
            now: self.now,
            budget: &budget,
        };
        let written = take_record(&self.query, &context, &mut self.aggregates, |query| {
            self.writer.begin();
            match (&query.select, &record) {
                (Selection::All, Some(Json::Object(members))) => {
                    for (name, value) in members {
                        self.writer.value(name, &value.into())?;
                    }
                }
                (Selection::All, Some(other)) => self.writer.value("_1", &other.into())?,
                (Selection::All, None) => {}
                (Selection::Items(items), _) => {
                    for item in items {
                        let value = context.evaluate(&item.expr)?;
                        self.writer.value(&item.name, &value)?;
                    }
                }
            }
            self.writer.end(out)
        })?;
        *work += budget.burned();
        self.limit -= u64::from(written);
        Ok(None)
    }

    /// Writes what the aggregates have come to.
    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), S3Error> {
        self.done = true;
        if let Reader::Csv(csv) = &self.reader
            && csv.stage == (CsvStage::Header { used: true })
        {
            // There was not even a header.
            if !self.query.paths.is_empty() {
                return Err(S3ErrorCode::MissingHeaders.into());
            }
        }
        if self.aggregates.is_empty() {
            return Ok(());
        }
        let values = self.aggregates.iter().map(State::result);
        let values = values.collect::<Result<Vec<_>, _>>()?;
        let budget = Budget::default();
        let context = Context {
            record: Record::Json(None),
            paths: &self.query.paths,
            aggregates: &values,
            now: self.now,
            budget: &budget,
        };
        if let Selection::Items(items) = &self.query.select {
            self.writer.begin();
            for item in items {
                self.writer
                    .value(&item.name, &context.evaluate(&item.expr)?)?;
            }
            self.writer.end(out)?;
        }
        Ok(())
    }
}

/// Whether the record is one that is wanted; if so, it is written, or the aggregates take it. Tells
/// whether it was written.
fn take_record<'r>(
    query: &'r Query,
    context: &Context<'r>,
    aggregates: &mut [State],
    write: impl FnOnce(&'r Query) -> Result<(), S3Error>,
) -> Result<bool, S3Error> {
    if let Some(condition) = &query.condition
        && !context.holds(condition)?
    {
        return Ok(false);
    }
    if aggregates.is_empty() {
        write(query)?;
        return Ok(true);
    }
    for (aggregate, state) in query.aggregates.iter().zip(aggregates) {
        let value = match &aggregate.argument {
            Some(argument) => context.evaluate(argument)?,
            None => Value::Bool(true),
        };
        state.add(value, context.budget)?;
    }
    Ok(false)
}

impl CsvState {
    /// Finds the column of each path: by number, or by name if there is a header.
    fn resolve(
        &mut self,
        query: &Query,
        names: Option<Vec<String>>,
        budget: &Budget,
    ) -> Result<(), S3Error> {
        let trimmed: Vec<&str> = names.iter().flatten().map(|name| name.trim()).collect();
        let columns = query.paths.iter().map(|path| {
            let [PathStep::Key(name)] = path.steps.as_slice() else {
                let message = "In CSV, a column has a name without further steps.";
                return Err(error(S3ErrorCode::EvaluatorBindingDoesNotExist, message));
            };
            if names.is_some() {
                let steps = trimmed.iter().map(|other| name.steps(other)).sum();
                budget.burn(steps)?;
                let mut matching = (0..trimmed.len()).filter(|number| name.is(trimmed[*number]));
                match (matching.next(), matching.next()) {
                    (Some(column), None) => return Ok(column),
                    (Some(_), Some(_)) => return Err(S3ErrorCode::AmbiguousFieldName.into()),
                    (None, _) => {}
                }
            }
            let shown: String = name.text.chars().take(100).collect();
            match (name.column(), &names) {
                (Some(column), _) => Ok(column),
                (None, Some(_)) => {
                    let message = format!("The file has no column {shown:?}.");
                    Err(error(S3ErrorCode::MissingHeaders, message))
                }
                (None, None) => {
                    let message = format!(
                        "There is no column {shown:?}: without FileHeaderInfo USE, columns are \
                         called _1, _2, and so on."
                    );
                    Err(error(S3ErrorCode::InvalidColumnIndex, message))
                }
            }
        });
        self.columns = columns.collect::<Result<_, _>>()?;
        self.names = names.unwrap_or_default();
        Ok(())
    }
}

fn range_start(range: Option<ScanRange>, object_bytes: u64) -> u64 {
    match range {
        None => 0,
        Some(ScanRange::Between(start, _) | ScanRange::From(start)) => start,
        Some(ScanRange::Last(count)) => object_bytes.saturating_sub(count),
    }
}

/// The bytes among which records begin.
fn scan_range(range: Option<ScanRange>, object_bytes: u64) -> Result<Range<u64>, S3Error> {
    let start = range_start(range, object_bytes);
    let end = match range {
        Some(ScanRange::Between(_, end)) => end.saturating_add(1).min(object_bytes),
        _ => object_bytes,
    };
    if range.is_some() && start >= object_bytes {
        let message = "The scan range begins beyond the end of the object.";
        return Err(error(S3ErrorCode::InvalidScanRange, message));
    }
    match range {
        Some(_) => Ok(start..end),
        // What is compressed has more bytes than the object.
        None => Ok(0..u64::MAX),
    }
}
