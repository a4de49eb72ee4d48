//! GetObject and HeadObject.

use std::io;

use futures_util::stream;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_RANGE, RANGE};
use http::{HeaderValue, Response, StatusCode};
use oncilla_store::object::ObjectBody;
use oncilla_store::rows::layout::PartPlace;
use oncilla_store::rows::placement::Placement;
use oncilla_store::{BodyReader, Bucket, ByteRange, ObjectRecord, StoredChecksum};
use oncilla_wire::checksum_headers::ChecksumHeaders;
use oncilla_wire::conditions::{Conditions, IfRange, ReadOutcome};
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::range::{self, ResolvedRange};
use oncilla_wire::xml::multipart::parse_part_number;

use crate::s3::answer::{Answer, empty, set, set_part_checksum, set_version};
use crate::s3::encryption::{SentKey, opening_memory_bytes};
use crate::s3::errors::ACTUAL_OBJECT_SIZE;
use crate::s3::lifecycle::{set_expiration, set_restore};
use crate::s3::object::headers::{set_not_modified_headers, set_object_headers, set_tagging_count};
use crate::s3::object_lock::set_lock;
use crate::s3::request::S3Request;
use crate::s3::{S3Service, encryption, errors};
use crate::{MemoryPermit, ResponseBody};

/// What a reader of a body in the volumes holds at most: the 256 KiB of one step and those of the
/// step before, which are on their way to the client.
pub const READER_MEMORY_BYTES: usize = 512 << 10;

pub async fn get(service: &S3Service, request: &mut S3Request, bucket: &Bucket) -> Answer {
    let version = request.version_id()?;
    let sent_key = encryption::key_of_reader(service, request)?;
    let opened = service
        .store
        .open_object_version(bucket, request.key.as_bytes(), version)
        .await;
    let mut body = match opened {
        Ok(body) => body,
        Err(error) => {
            return Err(service
                .not_found(request, bucket, &request.key, error)
                .await);
        }
    };
    request.check_judged(bucket, &body.record)?;
    encryption::unlock(&mut body, sent_key.as_ref())?;
    let part = requested_part(service, request, &body).await?;
    let selection = match select(request, bucket, &body.record, part.as_ref())? {
        Ok(selection) => selection,
        Err(not_modified) => return Ok(not_modified),
    };
    let mut response = selected(request, &body.record, &selection, part.as_ref(), &sent_key)?;
    set_version(&mut response, bucket, body.record.version_id())?;
    set_lock(&mut response, service, request, bucket, &body.record).await?;
    set_tagging_count(&mut response, service, request, bucket, &body.record).await?;
    set_restore(&mut response, service, &body.record)?;
    if version.is_none() {
        set_expiration(&mut response, bucket, &request.key, &body.record)?;
    }
    let memory = reserve_reader(request, &body.record, selection.range).await?;
    let reader = body.read(selection.range);
    *response.body_mut() = stream_body(reader, memory, request).await?;
    Ok(response)
}

pub async fn head(service: &S3Service, request: &mut S3Request, bucket: &Bucket) -> Answer {
    let version = request.version_id()?;
    let sent_key = encryption::key_of_reader(service, request)?;
    let key = request.key.as_bytes();
    let found = if request.query.has("partNumber") {
        // Held open, so that the parts stay while one is looked up.
        let opened = service
            .store
            .hold_object_version(bucket, key, version)
            .await;
        match opened {
            Ok(body) => {
                let part = requested_part(service, request, &body).await?;
                Ok((body.record, part))
            }
            Err(error) => Err(error),
        }
    } else {
        let record = service.store.object_version(bucket, key, version).await;
        record.map(|record| (record, None))
    };
    let (record, part) = match found {
        Ok(found) => found,
        Err(error) => {
            return Err(service
                .not_found(request, bucket, &request.key, error)
                .await);
        }
    };
    request.check_judged(bucket, &record)?;
    encryption::check(&record, sent_key.as_ref())?;
    let selection = match select(request, bucket, &record, part.as_ref())? {
        Ok(selection) => selection,
        Err(not_modified) => return Ok(not_modified),
    };
    let mut response = selected(request, &record, &selection, part.as_ref(), &sent_key)?;
    set_version(&mut response, bucket, record.version_id())?;
    set_lock(&mut response, service, request, bucket, &record).await?;
    set_tagging_count(&mut response, service, request, bucket, &record).await?;
    set_restore(&mut response, service, &record)?;
    if version.is_none() {
        set_expiration(&mut response, bucket, &request.key, &record)?;
    }
    response
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from(selection.range.length()));
    Ok(response)
}

/// Which bytes of the object are answered.
struct Selection {
    range: ByteRange,
    /// `Content-Range`, if not all.
    content_range: Option<String>,
}

/// The part that `partNumber` asks for.
struct RequestedPart {
    place: PartPlace,
    /// Its own checksum, if the client wants to see one and the object has one of its kind.
    checksum: Option<StoredChecksum>,
}

/// Finds the part that `partNumber` asks for. An object that was not uploaded in parts has one.
async fn requested_part(
    service: &S3Service,
    request: &S3Request,
    body: &ObjectBody,
) -> Result<Option<RequestedPart>, S3Error> {
    let Some(text) = request.query.get("partNumber") else {
        return Ok(None);
    };
    if request.headers.contains_key(RANGE) {
        let message = "Cannot specify both Range header and partNumber query parameter";
        return Err(S3Error::with_message(S3ErrorCode::InvalidRequest, message));
    }
    let number = parse_part_number(text)? as u16;
    let (record, layout) = (&body.record, body.layout.as_ref());
    let place = match layout {
        Some(layout) => layout.part(number),
        None if number == 1 => Some(PartPlace {
            number,
            offset: 0,
            size: record.size,
        }),
        None => None,
    };
    let parts = layout.map_or(1, |layout| layout.part_count());
    let place = place.ok_or_else(|| {
        S3Error::new(S3ErrorCode::InvalidPartNumber)
            .detail("PartNumberRequested", text)
            .detail("ActualPartCount", parts.to_string())
    })?;
    let wants_checksum = ChecksumHeaders::parse(&request.headers)?.mode_enabled;
    let checksum = match (&record.checksum, layout) {
        (Some(object), Some(_)) if wants_checksum => {
            let page = service
                .store
                .list_object_parts(record, number - 1, 1)
                .await
                .map_err(errors::fault)?;
            let found = page.parts.into_iter().find(|part| part.number == number);
            let algorithm = object.checksum.algorithm();
            found
                .and_then(|part| part.record.checksum)
                .filter(|part| part.checksum.algorithm() == algorithm)
        }
        (Some(object), None) if wants_checksum => Some(object.clone()),
        _ => None,
    };
    Ok(Some(RequestedPart { place, checksum }))
}

/// Evaluates conditions and range. The inner error is the answer that nothing was modified.
fn select(
    request: &S3Request,
    bucket: &Bucket,
    record: &ObjectRecord,
    part: Option<&RequestedPart>,
) -> Result<Result<Selection, Response<ResponseBody>>, S3Error> {
    let etag = record.etag.to_string();
    let existing = record.existing(&etag);
    match Conditions::from_headers(&request.headers).evaluate_read(existing) {
        ReadOutcome::Proceed => {}
        ReadOutcome::NotModified => {
            let mut response = empty(StatusCode::NOT_MODIFIED);
            set_not_modified_headers(&mut response, record)?;
            set_version(&mut response, bucket, record.version_id())?;
            return Ok(Err(response));
        }
        ReadOutcome::PreconditionFailed(header) => {
            return Err(S3Error::new(S3ErrorCode::PreconditionFailed).detail("Condition", header));
        }
    }
    let whole = ByteRange {
        start: 0,
        end: record.size,
    };
    if let Some(part) = part.map(|part| part.place) {
        let range = ByteRange {
            start: part.offset,
            end: part.offset + part.size,
        };
        let is_partial = record.etag.parts > 0 && part.size > 0;
        let content_range = is_partial.then(|| content_range(range, record.size));
        return Ok(Ok(Selection {
            range,
            content_range,
        }));
    }
    let wanted = request
        .headers
        .get(RANGE)
        .and_then(|value| range::parse_range(value.as_bytes()));
    let if_range = request
        .headers
        .get(IF_RANGE)
        .map(|value| IfRange::parse(value.as_bytes()));
    let wanted =
        wanted.filter(|_| if_range.is_none_or(|condition| condition.range_applies(existing)));
    match range::resolve(wanted, record.size) {
        ResolvedRange::Full => Ok(Ok(Selection {
            range: whole,
            content_range: None,
        })),
        ResolvedRange::Partial(span) => {
            let range = ByteRange {
                start: span.start,
                end: span.start + span.len_bytes(),
            };
            Ok(Ok(Selection {
                range,
                content_range: Some(content_range(range, record.size)),
            }))
        }
        ResolvedRange::Unsatisfiable => {
            let requested = request.header(&RANGE).unwrap_or_default().to_owned();
            Err(S3Error::new(S3ErrorCode::InvalidRange)
                .detail("RangeRequested", requested)
                .detail(ACTUAL_OBJECT_SIZE, record.size.to_string()))
        }
    }
}

/// `Content-Range` of a range that is not empty.
fn content_range(range: ByteRange, size: u64) -> String {
    format!("bytes {}-{}/{size}", range.start, range.end - 1)
}

/// Status and headers of the answer.
fn selected(
    request: &S3Request,
    record: &ObjectRecord,
    selection: &Selection,
    part: Option<&RequestedPart>,
    sent_key: &Option<SentKey>,
) -> Answer {
    let mut response = empty(match selection.content_range {
        Some(_) => StatusCode::PARTIAL_CONTENT,
        None => StatusCode::OK,
    });
    let declared = ChecksumHeaders::parse(&request.headers)?;
    // A checksum of the whole object would not match a part of it.
    let is_whole = part.is_none() && selection.range.length() == record.size;
    let with_checksum = declared.mode_enabled && is_whole;
    set_object_headers(&mut response, request, record, with_checksum)?;
    let encrypted = record.encryption.as_deref();
    encryption::set_headers(&mut response, encrypted, sent_key.as_ref())?;
    if let (Some(object), Some(part)) = (
        &record.checksum,
        part.and_then(|part| part.checksum.as_ref()),
    ) {
        set_part_checksum(&mut response, part, object)?;
    }
    if let Some(content_range) = &selection.content_range {
        set(&mut response, CONTENT_RANGE, content_range)?;
    }
    debug_assert!(response.headers().contains_key(ETAG));
    Ok(response)
}

/// Reserves what reading the range holds; nothing for a body that came with its record, but what a
/// decrypted one takes.
async fn reserve_reader(
    request: &S3Request,
    record: &ObjectRecord,
    range: ByteRange,
) -> Result<Option<MemoryPermit>, S3Error> {
    let length = usize::try_from(range.length()).unwrap_or(usize::MAX);
    let reading = match (&record.placement, &record.encryption) {
        (Placement::Empty, _) | (Placement::Inline(_), None) => return Ok(None),
        (Placement::Inline(_), Some(_)) => 0,
        _ => length.min(READER_MEMORY_BYTES),
    };
    let memory = reading.saturating_add(opening_memory_bytes(record, range.length()));
    let reserved = request.context.reserve_for_transfer(memory);
    reserved.await.map(Some).map_err(errors::overloaded)
}

/// The body. Its first piece is read before the answer begins, so that damage which shows there is
/// an error answer; damage further on can only break the connection.
async fn stream_body(
    mut reader: BodyReader,
    memory: Option<MemoryPermit>,
    request: &S3Request,
) -> Result<ResponseBody, S3Error> {
    let length = reader.remaining();
    let Some(first) = reader.next().await.map_err(errors::fault)? else {
        return Ok(ResponseBody::Empty);
    };
    if first.len() as u64 == length && memory.is_none() {
        return Ok(ResponseBody::Full(first));
    }
    let facts = request.context.facts.clone();
    // The memory is held until the last piece is on its way.
    let begin = (Some(first), reader, memory);
    let pieces = stream::unfold(begin, move |(first, mut reader, memory)| {
        let facts = facts.clone();
        async move {
            if let Some(first) = first {
                return Some((Ok(first), (None, reader, memory)));
            }
            match reader.next().await {
                Ok(Some(piece)) => Some((Ok(piece), (None, reader, memory))),
                Ok(None) => None,
                Err(fault) => {
                    let error = errors::fault(fault);
                    facts.note_error_code(error.code.as_str());
                    Some((Err(io::Error::other(error)), (None, reader, memory)))
                }
            }
        }
    });
    Ok(ResponseBody::stream(length, pieces))
}
