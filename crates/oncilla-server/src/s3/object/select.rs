//! SelectObjectContent.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use oncilla_select::{Select, Step};
use oncilla_store::{BodyReader, Bucket, ByteRange};
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::event_stream;
use oncilla_wire::xml::select::{EXPRESSION_BYTES_MAX, MAX_SELECT_BODY_BYTES, SelectRequest};
use tokio::time::Instant;

use crate::s3::answer::{Answer, empty};
use crate::s3::body::read_document;
use crate::s3::encryption::opening_memory_bytes;
use crate::s3::object::get::READER_MEMORY_BYTES;
use crate::s3::request::S3Request;
use crate::s3::{S3Service, encryption, errors};
use crate::{MemoryPermit, NoRoom, ResponseBody};

/// How long nothing is sent before a sign of life is: well below the minute after which clients
/// take a connection for dead.
const SILENCE_MAX: Duration = Duration::from_secs(1);

/// How much of records is gathered before it is sent.
const RECORDS_BYTES: usize = 128 << 10;

/// Queries the object. What goes wrong before the first records is an error answer; later on, it is
/// the last event. Source: S3 API reference, "Appendix: SelectObjectContent Response".
pub async fn select(service: &S3Service, request: &mut S3Request, bucket: &Bucket) -> Answer {
    let select_type = request.query.get("select-type");
    if let Some(other) = select_type.filter(|select_type| *select_type != "2") {
        let message = "The select type must be 2.";
        return Err(S3Error::invalid_argument("select-type", other, message));
    }
    if let Some(version_id) = request.query.get("versionId") {
        // S3 has no such parameter here; it must not reach a version that takes another permission.
        let message = "This operation does not accept a version-id.";
        return Err(S3Error::invalid_argument("versionId", version_id, message));
    }
    // Source: S3 API reference, SelectObjectContent: no anonymous access.
    if request.principal.account().is_none() {
        let message =
            "SelectObjectContent has to be signed: S3 Select supports no anonymous access";
        return Err(S3Error::with_message(S3ErrorCode::AccessDenied, message));
    }
    let sent_key = encryption::key_of_reader(service, request)?;
    let document = read_document(request, MAX_SELECT_BODY_BYTES as u64).await?;
    let asked = SelectRequest::parse(&document)?;
    drop(document);
    if asked.expression.len() > EXPRESSION_BYTES_MAX {
        return Err(S3ErrorCode::ExpressionTooLong.into());
    }
    let tells_progress = asked.progress;
    let mut memory_bytes = Select::memory_bytes(&asked) + READER_MEMORY_BYTES;
    let key = request.key.as_bytes();
    let opened = service.store.open_object_version(bucket, key, None);
    let mut body = match opened.await {
        Ok(body) => body,
        Err(error) => {
            return Err(service
                .not_found(request, bucket, &request.key, error)
                .await);
        }
    };
    request.check_judged(bucket, &body.record)?;
    encryption::unlock(&mut body, sent_key.as_ref())?;
    let size = body.record.size;
    memory_bytes += opening_memory_bytes(&body.record, size);
    // Before the expression is read, which takes a part of it.
    let memory = request.context.reserve_for_computing(memory_bytes).await;
    let memory = memory.map_err(|no_room| {
        let without_expression = memory_bytes - Select::expression_memory_bytes(&asked);
        match no_room {
            NoRoom::Ever if without_expression <= request.context.memory.total_bytes() => {
                expression_too_long()
            }
            NoRoom::Now | NoRoom::Ever => errors::overloaded(no_room),
        }
    })?;
    let now_ms = service.store.clock().now_ms() as i64;
    let select = Select::new(asked, size, now_ms)?;
    let whole = ByteRange {
        start: select.begin().min(size),
        end: size,
    };
    let mut run = Run {
        select: Some(Box::new(select)),
        reader: body.read(whole),
        tells_progress,
        memory,
    };
    let first = run.gather().await?;
    let facts = request.context.facts.clone();
    let events = stream::unfold(Next::Events(Box::new(run), Some(first)), move |next| {
        let facts = facts.clone();
        async move {
            let Next::Events(mut run, gathered) = next else {
                return None;
            };
            let gathered = match gathered {
                Some(gathered) => Ok(gathered),
                None => run.gather().await,
            };
            let mut out = Vec::new();
            let next = match gathered {
                Ok(gathered) => {
                    let is_done = gathered.is_done;
                    run.push_events(gathered, &mut out);
                    match is_done {
                        true => Next::Nothing {
                            _memory: run.memory,
                        },
                        false => Next::Events(run, None),
                    }
                }
                Err(error) => {
                    facts.note_error_code(error.code.as_str());
                    event_stream::push_error(&mut out, &error);
                    Next::Nothing {
                        _memory: run.memory,
                    }
                }
            };
            Some((Ok::<_, io::Error>(Bytes::from(out)), next))
        }
    });
    let mut response = empty(StatusCode::OK);
    let content_type = HeaderValue::from_static(event_stream::CONTENT_TYPE);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    *response.body_mut() = ResponseBody::chunked(events);
    Ok(response)
}

/// Trying it again would not help, so it must not be an error that clients try again after.
fn expression_too_long() -> S3Error {
    let message = "The SQL expression needs more memory than this server has for all requests \
                   together (--memory-limit). Use a shorter one.";
    S3Error::with_message(S3ErrorCode::ExpressionTooLong, message)
}

/// What is sent next: events of the query, of which the first may have been gathered already.
enum Next {
    Events(Box<Run>, Option<Gathered>),
    /// The last event is on its way, and takes memory until it is sent.
    Nothing {
        _memory: MemoryPermit,
    },
}

/// A query under way.
struct Run {
    /// Taken while a thread works on it.
    select: Option<Box<Select>>,
    reader: BodyReader,
    tells_progress: bool,
    memory: MemoryPermit,
}

/// What came of a while.
struct Gathered {
    records: Vec<u8>,
    is_done: bool,
}

impl Run {
    /// Goes on until there are records enough, or nothing was sent for a while, or all is done.
    async fn gather(&mut self) -> Result<Gathered, S3Error> {
        let until = Instant::now() + SILENCE_MAX;
        let mut records = Vec::new();
        loop {
            let step = self.step(&mut records).await?;
            match step {
                Step::NeedsInput => {
                    let piece = self.reader.next().await.map_err(errors::fault)?;
                    if let Some(select) = &mut self.select {
                        select.feed(piece);
                    }
                }
                Step::Seek(position) => self.reader.seek(position),
                Step::Again => {}
                Step::Done => {
                    return Ok(Gathered {
                        records,
                        is_done: true,
                    });
                }
            }
            if records.len() >= RECORDS_BYTES || Instant::now() >= until {
                return Ok(Gathered {
                    records,
                    is_done: false,
                });
            }
        }
    }

    /// One step, on a thread that may be busy with it.
    async fn step(&mut self, records: &mut Vec<u8>) -> Result<Step, S3Error> {
        let lost = || S3Error::from(S3ErrorCode::InternalError);
        let mut select = self.select.take().ok_or_else(lost)?;
        let mut gathered = std::mem::take(records);
        let stepped = tokio::task::spawn_blocking(move || {
            let step = select.step(&mut gathered);
            (select, gathered, step)
        });
        let (select, gathered, step) = stepped.await.map_err(|_| lost())?;
        self.select = Some(select);
        *records = gathered;
        step
    }

    fn push_events(&self, gathered: Gathered, out: &mut Vec<u8>) {
        if !gathered.records.is_empty() {
            event_stream::push_records(out, &gathered.records);
        }
        let stats = self.select.as_ref().map(|select| select.stats());
        let stats = stats.unwrap_or_default();
        if self.tells_progress {
            event_stream::push_progress(out, &stats);
        }
        if gathered.is_done {
            event_stream::push_stats(out, &stats);
            event_stream::push_end(out);
        } else if out.is_empty() {
            event_stream::push_continuation(out);
        }
    }
}
