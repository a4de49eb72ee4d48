//! Small builders of answers.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use oncilla_hash::ChecksumAlgorithm;
use oncilla_store::{ETag, StoredChecksum};
use oncilla_wire::checksum_headers::ChecksumType;
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::header::X_AMZ_CHECKSUM_TYPE;
use oncilla_wire::xml::checksum::Checksums;

use crate::ResponseBody;

/// What a handler gives.
pub type Answer = Result<Response<ResponseBody>, S3Error>;

/// An answer without a body.
pub fn empty(status: StatusCode) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::Empty);
    *response.status_mut() = status;
    response
}

/// An XML document.
pub fn xml(document: Vec<u8>) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::Full(Bytes::from(document)));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response
}

/// Sets a header whose value the program made. A value that cannot be one would be a mistake of
/// the program, and is answered as such.
pub fn set(
    response: &mut Response<ResponseBody>,
    name: HeaderName,
    value: &str,
) -> Result<(), S3Error> {
    let value =
        HeaderValue::try_from(value).map_err(|_| S3Error::new(S3ErrorCode::InternalError))?;
    response.headers_mut().insert(name, value);
    Ok(())
}

/// Sets the `ETag` header.
pub fn set_etag(response: &mut Response<ResponseBody>, etag: ETag) -> Result<(), S3Error> {
    set(response, ETAG, &format!("\"{etag}\""))
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
    set(response, name, &checksum_text(stored, parts))?;
    set(
        response,
        X_AMZ_CHECKSUM_TYPE,
        checksum_type(stored).as_str(),
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
    set(response, name, &part.checksum.to_base64())?;
    set(
        response,
        X_AMZ_CHECKSUM_TYPE,
        checksum_type(object).as_str(),
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
