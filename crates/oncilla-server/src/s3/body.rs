//! The body of a request: unframed, verified, and taken into the store or into memory.

use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use oncilla_hash::{Checksum, ChecksumAlgorithm, ChecksumHasher, Md5, Sha256};
use oncilla_store::{Declared, NewEncryption, Store, WrittenContent};
use oncilla_wire::checksum_headers::ChecksumHeaders;
use oncilla_wire::chunked::{ChunkedDecoder, ChunkedMode, Trailer};
use oncilla_wire::digits::parse_digits;
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::header::X_AMZ_DECODED_CONTENT_LENGTH;
use oncilla_wire::sigv4::{ChunkSeed, PayloadDeclaration};

use crate::RequestBody;
use crate::s3::S3Service;
use crate::s3::encryption::SEALING_MEMORY_BYTES;
use crate::s3::errors;
use crate::s3::form_file::FormFile;
use crate::s3::request::S3Request;

/// How the body is framed and what was signed of it.
#[derive(Clone, Debug)]
pub enum PayloadForm {
    /// As it is; nothing of it was signed.
    Unsigned,
    /// As it is; its SHA-256 was signed.
    Sha256([u8; 32]),
    /// In aws-chunked framing.
    Chunked(Box<ChunkedMode>),
    /// The file of a form; the policy was signed, if anything.
    Form(Box<FormFile>),
}

impl PayloadForm {
    /// The form that a declaration announces. Signed chunks need the seed of a verified signature.
    pub fn new(
        declared: PayloadDeclaration,
        seed: impl FnOnce() -> Option<ChunkSeed>,
    ) -> Result<Self, S3Error> {
        let seed = || {
            let message = "Signed chunks need a signed request.";
            seed().ok_or(S3Error::with_message(S3ErrorCode::AccessDenied, message))
        };
        let mode = match declared {
            PayloadDeclaration::UnsignedPayload => return Ok(Self::Unsigned),
            PayloadDeclaration::Sha256(digest) => return Ok(Self::Sha256(digest)),
            PayloadDeclaration::StreamingSigned => ChunkedMode::Signed(seed()?),
            PayloadDeclaration::StreamingSignedTrailer => ChunkedMode::SignedTrailer(seed()?),
            PayloadDeclaration::StreamingUnsignedTrailer => ChunkedMode::UnsignedTrailer,
        };
        Ok(Self::Chunked(Box::new(mode)))
    }
}

/// Largest body of one PUT. Source: S3 API reference, PutObject and UploadPart: 5 GiB.
pub const PUT_BYTES_MAX: u64 = 5 << 30;

/// Memory that an upload may hold at a time. Of a body that a volume gathers as a whole (up to
/// 512 KiB): that, two chunks on their way to being hashed (128 KiB), and what the connection has
/// read ahead (256 KiB). Of a longer one less: the chunks that are filled, hashed and written
/// (512 KiB) and what was read ahead.
const UPLOAD_MEMORY_BYTES_MAX: usize = 896 << 10;

/// Memory to reserve for an upload of this many bytes, none of which is held in more than three
/// places: read ahead, in a chunk, and in the volume's buffer.
pub fn upload_memory_bytes(length: u64) -> usize {
    let everywhere = usize::try_from(length.saturating_mul(3)).unwrap_or(usize::MAX);
    everywhere.min(UPLOAD_MEMORY_BYTES_MAX)
}

/// Memory to reserve for encrypting an upload of this many bytes, beside what it takes itself: a step
/// of frames, and all of a body that is kept in a row.
pub fn sealing_memory_bytes(
    store: &Store,
    encryption: Option<&NewEncryption>,
    length: u64,
) -> usize {
    match encryption {
        None => 0,
        Some(_) if store.keeps_inline(length) => SEALING_MEMORY_BYTES + length as usize,
        Some(_) => SEALING_MEMORY_BYTES,
    }
}

/// How long a document may take that is read into memory as a whole. A client that sends a byte now
/// and then holds what was reserved for it no longer than that; 4 MiB come in time at 2 Mbit/s.
pub const DOCUMENT_TIME_MAX: Duration = Duration::from_secs(20);

/// What the names of trailers that carry a checksum begin with.
const CHECKSUM_HEADER_PREFIX: &str = "x-amz-checksum-";

/// Reads a body without its framing.
struct Unframed<'a> {
    body: &'a mut RequestBody,
    decoder: Option<ChunkedDecoder>,
    form: Option<Box<FormFile>>,
    /// What was decoded and not given yet, the next piece last.
    decoded: Vec<Bytes>,
}

impl<'a> Unframed<'a> {
    fn new(body: &'a mut RequestBody, form: &PayloadForm, length: u64) -> Self {
        let decoder = match form {
            PayloadForm::Chunked(mode) => Some(ChunkedDecoder::new(mode.as_ref().clone(), length)),
            PayloadForm::Unsigned | PayloadForm::Sha256(_) | PayloadForm::Form(_) => None,
        };
        let form = match form {
            PayloadForm::Form(file) => Some(file.clone()),
            PayloadForm::Unsigned | PayloadForm::Sha256(_) | PayloadForm::Chunked(_) => None,
        };
        Self {
            body,
            decoder,
            form,
            decoded: Vec::new(),
        }
    }

    /// The next bytes as they come; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, S3Error> {
        if let Some(file) = &mut self.form {
            return file.next(self.body).await;
        }
        loop {
            if let Some(piece) = self.decoded.pop() {
                return Ok(Some(piece));
            }
            let Some(bytes) = self.body.next().await else {
                return Ok(None);
            };
            let bytes = bytes.map_err(errors::body)?;
            let Some(decoder) = &mut self.decoder else {
                return Ok(Some(bytes));
            };
            decoder.push(bytes, &mut self.decoded)?;
            self.decoded.reverse();
        }
    }

    /// What a form holds beyond the announced length, once the end was reached.
    fn take_rest(&mut self) -> Option<Bytes> {
        let rest = self.form.as_mut()?.take_rest();
        Some(rest).filter(|rest| !rest.is_empty())
    }

    /// Checks that the framing is complete; gives the trailers.
    fn finish(self) -> Result<Vec<Trailer>, S3Error> {
        match self.decoder {
            Some(decoder) => Ok(decoder.finish()?),
            None => Ok(Vec::new()),
        }
    }
}

/// The announced length of the body without its framing.
pub fn announced_length(request: &S3Request) -> Result<u64, S3Error> {
    let name = match &request.payload {
        PayloadForm::Form(file) => return Ok(file.sure_bytes()),
        PayloadForm::Chunked(_) => X_AMZ_DECODED_CONTENT_LENGTH,
        PayloadForm::Unsigned | PayloadForm::Sha256(_) => CONTENT_LENGTH,
    };
    let Some(value) = request.headers.get(&name) else {
        return Err(S3ErrorCode::MissingContentLength.into());
    };
    let length = value
        .to_str()
        .ok()
        .and_then(|text| parse_digits(text.trim()));
    length.ok_or_else(|| {
        let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
        S3Error::invalid_argument(
            name.as_str(),
            &text,
            "The length of the body is not a number.",
        )
    })
}

/// How the bytes of an upload are kept.
#[derive(Clone, Copy)]
pub struct NewContent<'a> {
    /// The storage class, which says where they are put; empty for `STANDARD`.
    pub class: &'a str,
    /// What sums them when the client declares no checksum of its own.
    pub algorithm: ChecksumAlgorithm,
    /// What encrypts them; without, they are kept as they come.
    pub encryption: Option<&'a NewEncryption>,
}

/// Takes the body of an upload into the store, verified against everything the client declared.
/// `new` says how its bytes are kept and summed.
pub async fn receive(
    service: &S3Service,
    request: &mut S3Request,
    new: NewContent<'_>,
) -> Result<WrittenContent, S3Error> {
    let received = receive_summed(service, request, new, None).await;
    received.map(|(content, _)| content)
}

/// As [`receive`]; and sums the bytes by `also` too, if the client declared another checksum.
pub async fn receive_summed(
    service: &S3Service,
    request: &mut S3Request,
    new: NewContent<'_>,
    also: Option<ChecksumAlgorithm>,
) -> Result<(WrittenContent, Option<Checksum>), S3Error> {
    let NewContent {
        class,
        algorithm,
        encryption,
    } = new;
    let declared = ChecksumHeaders::parse(&request.headers)?;
    let length = announced_length(request)?;
    if length > PUT_BYTES_MAX {
        return Err(S3Error::new(S3ErrorCode::EntityTooLarge)
            .detail("ProposedSize", length.to_string())
            .detail("MaxSizeAllowed", PUT_BYTES_MAX.to_string()));
    }
    let algorithm = declared_algorithm(&declared)?.unwrap_or(algorithm);
    let mut also = also
        .filter(|also| *also != algorithm)
        .map(ChecksumHasher::new);
    let memory =
        upload_memory_bytes(length) + sealing_memory_bytes(&service.store, encryption, length);
    let _memory = request
        .context
        .reserve_for_transfer(memory)
        .await
        .map_err(errors::overloaded)?;

    let sha256 = match request.payload {
        PayloadForm::Sha256(digest) => Some(digest),
        PayloadForm::Unsigned | PayloadForm::Chunked(_) | PayloadForm::Form(_) => None,
    };
    let begun = service
        .store
        .begin_content_as(class, length, algorithm, sha256.is_some(), encryption)
        .await;
    let mut writer = begun.map_err(errors::fault)?;
    let mut body = Unframed::new(&mut request.body, &request.payload, length);
    while let Some(piece) = body.next().await? {
        if let Some(also) = &mut also {
            also.update(&piece);
        }
        writer.write(piece).await.map_err(errors::write_content)?;
    }
    if let Some(rest) = body.take_rest() {
        let extended = writer.extend(rest.len() as u64).await;
        extended.map_err(errors::fault)?;
        writer.write(rest).await.map_err(errors::write_content)?;
    }
    let trailers = body.finish()?;
    let checksum = match declared.value {
        Some(checksum) => Some(checksum),
        None => trailing_checksum(&declared, &trailers)?,
    };
    let declared = Declared {
        md5: declared.content_md5,
        sha256,
        checksum,
    };
    let written = writer.finish(&declared).await;
    let written = written.map_err(errors::write_content)?;
    Ok((written, also.map(ChecksumHasher::finish)))
}

/// The algorithm the client chose, if it chose one.
pub fn declared_algorithm(
    declared: &ChecksumHeaders,
) -> Result<Option<ChecksumAlgorithm>, S3Error> {
    if declared.value_part_count.is_some() {
        let message = "A composite checksum cannot be given for a single body.";
        return Err(S3Error::with_message(S3ErrorCode::InvalidRequest, message));
    }
    let by_value = declared.value.map(|checksum| checksum.algorithm());
    Ok(by_value.or(declared.trailer).or(declared.algorithm))
}

/// The checksum among the trailers, which has to be there if it was announced. One that was not
/// announced, or a second one, is refused: to pass over it would be to take bytes whose checksum the
/// client did send and nobody looked at.
fn trailing_checksum(
    declared: &ChecksumHeaders,
    trailers: &[Trailer],
) -> Result<Option<Checksum>, S3Error> {
    let announced = declared.trailer.map(ChecksumAlgorithm::header_name);
    let mut checksums = trailers
        .iter()
        .filter(|(name, _)| name.starts_with(CHECKSUM_HEADER_PREFIX));
    let first = checksums.next();
    let unwanted = first
        .filter(|(name, _)| Some(name.as_str()) != announced)
        .or_else(|| checksums.next());
    if let Some((name, _)) = unwanted {
        let message = format!("The trailer {name} was not announced or came twice.");
        return Err(S3Error::with_message(S3ErrorCode::InvalidRequest, message));
    }
    let Some(algorithm) = declared.trailer else {
        return Ok(None);
    };
    let Some((_, value)) = first else {
        let message = format!(
            "The announced trailer {} did not come.",
            algorithm.header_name()
        );
        return Err(S3Error::with_message(S3ErrorCode::InvalidRequest, message));
    };
    match Checksum::from_base64(algorithm, value) {
        Ok(checksum) => Ok(Some(checksum)),
        Err(_) => {
            let message = format!(
                "Value for {} trailing header is invalid.",
                algorithm.header_name()
            );
            Err(S3Error::with_message(S3ErrorCode::BadDigest, message))
        }
    }
}

/// Reads a document of at most `limit_bytes` into memory, verified against everything the client
/// declared of it.
///
/// # Errors
/// `MaxMessageLengthExceeded` for a longer one, `RequestTimeout` for one that takes longer than
/// [`DOCUMENT_TIME_MAX`]; those of the framing and of what was declared.
pub async fn read_document(request: &mut S3Request, limit_bytes: u64) -> Result<Bytes, S3Error> {
    if let Some(document) = request.document.take() {
        return Ok(document);
    }
    let declared = ChecksumHeaders::parse(&request.headers)?;
    let too_large = || {
        S3Error::new(S3ErrorCode::MaxMessageLengthExceeded)
            .detail("MaxMessageLengthBytes", limit_bytes.to_string())
    };
    // A framed body may come in HTTP chunks, without a Content-Length; its own length it has.
    let is_framed = matches!(request.payload, PayloadForm::Chunked(_));
    let announced = match is_framed || request.headers.contains_key(CONTENT_LENGTH) {
        true => Some(announced_length(request)?),
        false => None,
    };
    if announced.is_some_and(|length| length > limit_bytes) {
        return Err(too_large());
    }
    let length = announced.unwrap_or(0);
    let reserved = announced.unwrap_or(limit_bytes) as usize;
    let _memory = request
        .context
        .reserve_for_transfer(reserved)
        .await
        .map_err(errors::overloaded)?;
    let mut body = Unframed::new(&mut request.body, &request.payload, length);
    let document = in_time(collect(&mut body, limit_bytes)).await?;
    let document = document.ok_or_else(too_large)?;
    let trailers = body.finish()?;
    let trailing = trailing_checksum(&declared, &trailers)?;
    verify_document(&document, &declared, trailing, &request.payload)?;
    Ok(Bytes::from(document))
}

/// Waits for a document that is read into memory.
///
/// # Errors
/// `RequestTimeout` after [`DOCUMENT_TIME_MAX`]; those of the reading.
pub async fn in_time<T>(reading: impl Future<Output = Result<T, S3Error>>) -> Result<T, S3Error> {
    match tokio::time::timeout(DOCUMENT_TIME_MAX, reading).await {
        Ok(read) => read,
        Err(_elapsed) => Err(S3ErrorCode::RequestTimeout.into()),
    }
}

/// Reads a body to its end; `None` if it is longer than `limit_bytes`.
async fn collect(body: &mut Unframed<'_>, limit_bytes: u64) -> Result<Option<Vec<u8>>, S3Error> {
    let mut document = Vec::new();
    while let Some(piece) = body.next().await? {
        if document.len() as u64 + piece.len() as u64 > limit_bytes {
            return Ok(None);
        }
        document.extend_from_slice(&piece);
    }
    Ok(Some(document))
}

fn verify_document(
    document: &[u8],
    declared: &ChecksumHeaders,
    trailing: Option<Checksum>,
    payload: &PayloadForm,
) -> Result<(), S3Error> {
    if declared
        .content_md5
        .is_some_and(|md5| md5 != Md5::digest(document))
    {
        return Err(S3ErrorCode::BadDigest.into());
    }
    if let PayloadForm::Sha256(digest) = payload
        && *digest != Sha256::digest(document)
    {
        return Err(S3ErrorCode::XAmzContentSHA256Mismatch.into());
    }
    if let Some(checksum) = declared.value.or(trailing) {
        let mut hasher = ChecksumHasher::new(checksum.algorithm());
        hasher.update(document);
        if hasher.finish() != checksum {
            return Err(S3ErrorCode::BadDigest.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;

    #[test]
    fn no_trailing_checksum_is_passed_over() {
        let declared = |trailer: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(name) = trailer {
                headers.insert("x-amz-trailer", HeaderValue::from_static(name));
            }
            ChecksumHeaders::parse(&headers).unwrap()
        };
        let trailer = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let good = || trailer("x-amz-checksum-crc32", "DUoRhQ==");
        let wrong = || trailer("x-amz-checksum-crc32", "AAAAAA==");
        let other = || trailer("x-amz-checksum-sha1", "2jmj7l5rSw0yVb/vlWAYkK/YBwk=");
        let announced = declared(Some("x-amz-checksum-crc32"));
        assert!(trailing_checksum(&announced, &[good()]).unwrap().is_some());
        let with_another = [trailer("x-app", "1"), good()];
        assert!(trailing_checksum(&announced, &with_another).is_ok());
        for trailers in [
            vec![],
            vec![good(), wrong()],
            vec![wrong(), good()],
            vec![good(), other()],
            vec![other()],
        ] {
            let refused = trailing_checksum(&announced, &trailers).unwrap_err();
            assert_eq!(refused.code, S3ErrorCode::InvalidRequest, "{trailers:?}");
        }
        let silent = declared(None);
        assert!(trailing_checksum(&silent, &[]).unwrap().is_none());
        assert!(trailing_checksum(&silent, &[wrong()]).is_err());
    }
}
