//! A lane: one connection to an endpoint and everything it uses again for the next request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use oncilla_hash::{Sha256, hex};
use oncilla_wire::xml::error::ErrorDocument;

use crate::contents::Contents;
use crate::endpoint::{EMPTY_SHA256, Endpoint, HeadWriter, RequestHead};
use crate::http::{
    Activity, Connection, DataRange, Exchange, Outgoing, ResponseParser, TransportError,
};
use crate::phase::Phase;
use crate::stats::{BODY_MISMATCH, OperationError};
use crate::workload::{Kind, PayloadSigning};

/// Longest message kept of an error: enough for any S3 sentence.
const MESSAGE_CHARS_MAX: usize = 300;

/// Largest answer that is kept whole: a page of 1,000 keys of 1,024 bytes, each escaped to three
/// times that, and then some.
const DOCUMENT_BYTES_MAX: usize = 8 << 20;

/// What all lanes of a thread share.
#[derive(Debug)]
pub struct ThreadMeter {
    /// The phase of the round.
    pub phase: Arc<AtomicU8>,
    /// Bytes moved while measuring, per kind.
    pub bytes: [AtomicU64; Kind::COUNT],
    /// Operations that ended while measuring.
    pub operations: AtomicU64,
    /// Connections made again.
    pub reconnects: AtomicU64,
}

impl ThreadMeter {
    /// A meter at zero.
    pub fn new(phase: Arc<AtomicU8>) -> Self {
        Self {
            phase,
            bytes: Default::default(),
            operations: AtomicU64::new(0),
            reconnects: AtomicU64::new(0),
        }
    }

    /// The present phase.
    pub fn phase(&self) -> Phase {
        Phase::load(&self.phase)
    }

    fn moved(&self, kind: Kind, bytes: u64) {
        if self.phase() == Phase::Measuring {
            self.bytes[kind.index()].fetch_add(bytes, Ordering::Relaxed);
        }
    }
}

/// The body of a request.
#[derive(Clone, Copy, Debug)]
pub enum CallBody<'a> {
    /// None.
    Empty,
    /// A range of an object's contents.
    Data(DataRange),
    /// A document.
    Document(&'a [u8]),
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// What its bytes are counted as.
    pub kind: Kind,
    /// The method.
    pub method: &'static str,
    /// The percent-encoded path.
    pub path: &'a str,
    /// The canonical query.
    pub query: &'a str,
    /// First and last byte asked for.
    pub range: Option<(u64, u64)>,
    /// The body.
    pub body: CallBody<'a>,
    /// The status that means success.
    pub status: u16,
    /// What `Content-Length` or the body's length has to be.
    pub length: Option<u64>,
}

/// What becomes of the body of a success.
pub enum Sink<'a> {
    /// It is counted.
    Discard,
    /// It is compared with the contents of an object from an offset on.
    Compare(DataRange),
    /// It is kept.
    Collect(&'a mut Vec<u8>),
}

/// What a lane needs to know of its surroundings.
pub struct LaneSettings {
    /// Where to connect.
    pub endpoint: Arc<Endpoint>,
    /// What objects contain.
    pub contents: Contents,
    /// How uploads are signed.
    pub payload: PayloadSigning,
    /// For connecting; for the rest of a request its worker watches `activity`.
    pub timeout: Duration,
    /// Told of every byte.
    pub activity: Arc<Activity>,
    /// Counts bytes.
    pub meter: Arc<ThreadMeter>,
}

/// One connection, made when it is needed.
pub struct Lane {
    settings: LaneSettings,
    heads: HeadWriter,
    outgoing: Outgoing,
    parser: ResponseParser,
    connection: Option<Connection>,
    was_connected: bool,
    /// Connections that failed, one after the other.
    failures: u32,
}

impl Lane {
    /// A lane without a connection yet.
    pub fn new(settings: LaneSettings) -> Self {
        Self {
            heads: HeadWriter::new(settings.endpoint.clone()),
            settings,
            outgoing: Outgoing::default(),
            parser: ResponseParser::default(),
            connection: None,
            was_connected: false,
            failures: 0,
        }
    }

    /// The endpoint.
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.settings.endpoint
    }

    /// The entity tag of the last answer, as it stood.
    pub fn etag(&self) -> &str {
        self.parser.etag()
    }

    /// How many times in a row no answer came.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Connects if there is no connection.
    ///
    /// # Errors
    /// Whatever prevents it.
    pub async fn connect(&mut self) -> Result<(), OperationError> {
        if self.connection.is_none() {
            let connection = self.open().await.map_err(transport_failure)?;
            self.connection = Some(connection);
        }
        Ok(())
    }

    async fn open(&mut self) -> Result<Connection, TransportError> {
        let endpoint = self.settings.endpoint.clone();
        let tls = endpoint.tls.as_ref().map(|(config, name)| (config, name));
        let timeout = self.settings.timeout;
        let connection = tokio::time::timeout(timeout, Connection::open(&endpoint.addresses, tls))
            .await
            .unwrap_or(Err(TransportError::Timeout(timeout)))?;
        if std::mem::replace(&mut self.was_connected, true) {
            self.settings
                .meter
                .reconnects
                .fetch_add(1, Ordering::Relaxed);
        }
        self.settings.activity.touch();
        Ok(connection)
    }

    /// Sends a request and reads its answer. Returns when the first byte of the answer came.
    ///
    /// A connection that was used before and is closed before a byte of an answer came is one that
    /// the server had given up meanwhile (it may at any time, RFC 9112 section 9.5); the request is
    /// then sent once more over a new one, unless it is a POST.
    ///
    /// If the future is dropped, the connection is closed.
    ///
    /// # Errors
    /// An S3 error, a broken connection, an answer that is not what it has to be.
    pub async fn send(
        &mut self,
        call: &Call<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<Instant, OperationError> {
        let mut first_difference = None;
        // Taken back by an answer; what is dropped before that counts as well.
        self.failures = self.failures.saturating_add(1);
        let exchange = loop {
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => self.open().await.map_err(transport_failure)?,
            };
            let was_used = connection.was_used();
            match self
                .exchange(&mut connection, call, sink, &mut first_difference)
                .await
            {
                Ok(exchange) => {
                    if exchange.reusable {
                        self.connection = Some(connection);
                    }
                    break exchange;
                }
                Err(TransportError::ClosedBeforeAnswer) if was_used && call.method != "POST" => {}
                Err(error) => return Err(transport_failure(error)),
            }
        };
        self.failures = 0;
        self.judge(call, first_difference)?;
        Ok(exchange.first_byte_at)
    }

    async fn exchange(
        &mut self,
        connection: &mut Connection,
        call: &Call<'_>,
        sink: &mut Sink<'_>,
        first_difference: &mut Option<u64>,
    ) -> Result<Exchange, TransportError> {
        self.write_request(call);
        self.parser.begin(call.method == "HEAD");
        let Self {
            settings,
            outgoing,
            parser,
            ..
        } = self;
        let LaneSettings {
            contents,
            activity,
            meter,
            ..
        } = settings;
        let kind = call.kind;
        let counts_answers = matches!(kind, Kind::Get | Kind::Range | Kind::List);
        let mut received = 0;
        let mut take = |data: &[u8]| {
            match sink {
                Sink::Discard => {}
                Sink::Compare(range) => {
                    if first_difference.is_none() {
                        let offset = range.offset + received;
                        *first_difference = contents.first_difference(range.object, offset, data);
                    }
                }
                Sink::Collect(document) => {
                    let room = DOCUMENT_BYTES_MAX.saturating_sub(document.len());
                    document.extend_from_slice(&data[..data.len().min(room)]);
                }
            }
            received += data.len() as u64;
            if counts_answers && activity.is_counted() {
                meter.moved(kind, data.len() as u64);
            }
        };
        let sent = |bytes| {
            if activity.is_counted() {
                meter.moved(kind, bytes);
            }
        };
        connection
            .exchange(outgoing, contents, parser, activity, &sent, &mut take)
            .await
    }

    fn write_request(&mut self, call: &Call<'_>) {
        let contents = &self.settings.contents;
        let signs = self.settings.endpoint.is_signed();
        let payload = match self.settings.payload {
            payload if signs => payload,
            _ => PayloadSigning::Unsigned,
        };
        let mut digest_text = String::new();
        let mut head = RequestHead {
            method: call.method,
            path: call.path,
            query: call.query,
            range: call.range,
            content_length: None,
            decoded_length: None,
            payload: EMPTY_SHA256,
        };
        match call.body {
            // Without a length some servers wait for a body.
            CallBody::Empty if call.method == "POST" => head.content_length = Some(0),
            CallBody::Empty => {}
            CallBody::Document(bytes) => {
                digest_text = hex::encode(&Sha256::digest(bytes));
                head.content_length = Some(bytes.len() as u64);
            }
            CallBody::Data(data) => {
                head.content_length = Some(data.length);
                match payload {
                    PayloadSigning::Unsigned => head.payload = "UNSIGNED-PAYLOAD",
                    PayloadSigning::Sha256 => digest_text = sha256_of(contents, data),
                    PayloadSigning::Streaming => {
                        head.payload = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
                        head.content_length = Some(Outgoing::signed_stream_bytes(data.length));
                        head.decoded_length = Some(data.length);
                    }
                }
            }
        }
        if !digest_text.is_empty() {
            head.payload = &digest_text;
        }
        let out = self.outgoing.begin();
        let seed = self.heads.write(out, &head);
        match (call.body, seed) {
            (CallBody::Empty, _) => {}
            (CallBody::Document(bytes), _) => out.extend_from_slice(bytes),
            (CallBody::Data(data), Some(seed)) => {
                self.outgoing.set_signed_stream(data, seed, contents);
            }
            (CallBody::Data(data), None) => self.outgoing.set_data(data),
        }
    }

    /// Whether the answer is what it has to be.
    fn judge(&self, call: &Call<'_>, first_difference: Option<u64>) -> Result<(), OperationError> {
        let parser = &self.parser;
        if !parser.is_success() {
            return Err(refusal(parser.status(), parser.error_body()));
        }
        if parser.status() != call.status {
            let message = format!("status {} instead of {}", parser.status(), call.status);
            return Err(OperationError::new("UnexpectedStatus", message));
        }
        if let Some(expected) = call.length {
            let found = match call.method {
                "HEAD" => parser.content_length().unwrap_or(0),
                _ => parser.body_bytes(),
            };
            if found != expected {
                let message = format!("{}: {found} bytes instead of {expected}", call.path);
                return Err(OperationError::new("UnexpectedLength", message));
            }
        }
        if let Some(place) = first_difference {
            let message = format!("{}: wrong byte at {place}", call.path);
            return Err(OperationError::new(BODY_MISMATCH, message));
        }
        Ok(())
    }
}

fn sha256_of(contents: &Contents, data: DataRange) -> String {
    let mut digest = Sha256::new();
    for piece in contents.pieces(data.object, data.offset, data.length) {
        digest.update(piece);
    }
    hex::encode(&digest.finish())
}

/// A refusal by S3's code; by its status if it came without a document.
fn refusal(status: u16, body: &[u8]) -> OperationError {
    match ErrorDocument::parse(body) {
        Ok(document) if !document.code.is_empty() => {
            OperationError::new(shortened(&document.code), shortened(&document.message))
        }
        _ => {
            let text = String::from_utf8_lossy(body);
            OperationError::new(format!("HTTP {status}"), shortened(text.trim()))
        }
    }
}

fn transport_failure(error: TransportError) -> OperationError {
    OperationError {
        code: error.code().to_owned(),
        message: shortened(&error.to_string()),
        is_connection: true,
    }
}

/// A server's text as it may be shown: bounded, and without what would steer a terminal.
fn shortened(text: &str) -> String {
    let harmless = |letter: char| if letter.is_control() { ' ' } else { letter };
    text.chars().take(MESSAGE_CHARS_MAX).map(harmless).collect()
}
