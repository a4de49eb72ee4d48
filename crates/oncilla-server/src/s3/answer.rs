//! Small builders of answers.

use std::fmt::Write;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use oncilla_hash::ChecksumAlgorithm;
use oncilla_store::{Bucket, ETag, StoredChecksum, VersionId};
use oncilla_wire::checksum_headers::ChecksumType;
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::header::{X_AMZ_CHECKSUM_TYPE, X_AMZ_VERSION_ID};
use oncilla_wire::xml::checksum::Checksums;

use crate::response_body::PIECE_BYTES;
use crate::s3::errors;
use crate::{MemoryPermit, RequestContext, ResponseBody};

/// Length of an entity tag with its quotes, unless it counts parts.
const QUOTED_ETAG_LENGTH_BYTES_USUAL: usize = 34;

/// Room for the headers of an answer about an object, so that their map need not grow: five to eight
/// of the object's own and three that every answer has.
pub const OBJECT_HEADERS_USUAL: usize = 12;

/// A longer document keeps no more room than it has bytes, since it may be read slowly and counts by its
/// length.
const ROOMY_BYTES_MAX: usize = 1 << 20;

/// What a handler gives.
pub type Answer = Result<Response<ResponseBody>, S3Error>;

/// An answer without a body.
pub fn empty(status: StatusCode) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::Empty);
    *response.status_mut() = status;
    response
}

/// An XML document.
pub fn xml(mut document: Vec<u8>) -> Response<ResponseBody> {
    if document.len() > ROOMY_BYTES_MAX {
        document.shrink_to_fit();
    }
    let mut response = Response::new(ResponseBody::Full(Bytes::from(document)));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response
}

/// Makes the body of an answer count among what requests hold until it has left, if it is long: its
/// reader may be slow. `memory` is what was reserved for making it. If that turned out to be too little,
/// more is added as far as there is some: what was done is not to be refused.
///
/// # Errors
/// Where nothing was reserved, `SlowDown` if there is no memory.
pub fn held(
    context: &RequestContext,
    response: Response<ResponseBody>,
    memory: Option<MemoryPermit>,
) -> Answer {
    let (head, body) = response.into_parts();
    let body = match body {
        ResponseBody::Full(rest) if rest.len() > PIECE_BYTES => {
            let has = memory.as_ref().map_or(0, MemoryPermit::bytes);
            let more = context.try_reserve_for_transfer(rest.len().saturating_sub(has));
            let memory = match (memory, more) {
                (Some(mut memory), more) => {
                    more.into_iter().for_each(|more| memory.merge(more));
                    memory.shrink_to(rest.len());
                    memory
                }
                (None, more) => more.map_err(errors::overloaded)?,
            };
            ResponseBody::Document { rest, memory }
        }
        body => body,
    };
    Ok(Response::from_parts(head, body))
}

/// Sets a header whose value the program made. A value that cannot be one would be a mistake of
/// the program, and is answered as such.
pub fn set(
    response: &mut Response<ResponseBody>,
    name: HeaderName,
    value: impl TryInto<HeaderValue>,
) -> Result<(), S3Error> {
    let value = value.try_into();
    let value = value.map_err(|_| S3Error::new(S3ErrorCode::InternalError))?;
    response.headers_mut().insert(name, value);
    Ok(())
}

/// Sets the `ETag` header.
pub fn set_etag(response: &mut Response<ResponseBody>, etag: ETag) -> Result<(), S3Error> {
    let mut quoted = String::with_capacity(QUOTED_ETAG_LENGTH_BYTES_USUAL);
    // Writing to a string cannot fail.
    let _ = write!(quoted, "\"{etag}\"");
    set(response, ETAG, quoted)
}

/// Sets `x-amz-version-id` to the version that the answer is about, in a bucket that keeps any.
pub fn set_version(
    response: &mut Response<ResponseBody>,
    bucket: &Bucket,
    version: VersionId,
) -> Result<(), S3Error> {
    if !bucket.keeps_history() {
        return Ok(());
    }
    set(response, X_AMZ_VERSION_ID, version.to_string())
}

/// Sets `x-amz-version-id` to the version that was written, if it got an id of its own: S3 does not
/// tell `null` (ceph/s3-tests, test_versioning_bucket_atomic_upload_return_version_id).
pub fn set_new_version(
    response: &mut Response<ResponseBody>,
    version: VersionId,
) -> Result<(), S3Error> {
    match version {
        VersionId::Null => Ok(()),
        VersionId::Unique { .. } => set(response, X_AMZ_VERSION_ID, version.to_string()),
    }
}

/// The checksum's header of an algorithm.
pub fn checksum_header(algorithm: ChecksumAlgorithm) -> HeaderName {
    HeaderName::from_static(algorithm.header_name())
}

/// Sets `x-amz-checksum-…` and `x-amz-checksum-type`. `parts` is the number of parts that a
/// composite checksum names.
pub fn set_checksum(
    response: &mut Response<ResponseBody>,
    stored: &StoredChecksum,
    parts: u16,
) -> Result<(), S3Error> {
    let name = checksum_header(stored.checksum.algorithm());
    set(response, name, checksum_text(stored, parts))?;
    set(
        response,
        X_AMZ_CHECKSUM_TYPE,
        HeaderValue::from_static(checksum_type(stored).as_str()),
    )
}

/// Sets the checksum of one part of an object, with the type of the object's own checksum: what a
/// GET or HEAD with `partNumber` answers. A part's checksum is always of all its bytes.
pub fn set_part_checksum(
    response: &mut Response<ResponseBody>,
    part: &StoredChecksum,
    object: &StoredChecksum,
) -> Result<(), S3Error> {
    let name = checksum_header(part.checksum.algorithm());
    set(response, name, part.checksum.to_base64())?;
    set(
        response,
        X_AMZ_CHECKSUM_TYPE,
        HeaderValue::from_static(checksum_type(object).as_str()),
    )
}

/// The checksum as clients see it.
pub fn checksum_text(stored: &StoredChecksum, parts: u16) -> String {
    match stored.composite {
        true => stored.checksum.to_base64_composite(u32::from(parts)),
        false => stored.checksum.to_base64(),
    }
}

/// The checksum's type.
pub fn checksum_type(stored: &StoredChecksum) -> ChecksumType {
    if stored.composite {
        ChecksumType::Composite
    } else {
        ChecksumType::FullObject
    }
}

/// A part's checksum as XML documents have it: without a type, which is the object's.
pub fn part_checksums(stored: Option<&StoredChecksum>) -> Checksums<'static> {
    let mut checksums = Checksums::default();
    if let Some(stored) = stored {
        checksums.set(stored.checksum.algorithm(), stored.checksum.to_base64());
    }
    checksums
}

/// An object's checksum as XML documents have it.
pub fn checksums(stored: Option<&StoredChecksum>, parts: u16) -> Checksums<'static> {
    let mut checksums = Checksums::default();
    if let Some(stored) = stored {
        checksums.set(stored.checksum.algorithm(), checksum_text(stored, parts));
        checksums.checksum_type = Some(checksum_type(stored).as_str().into());
    }
    checksums
}
