//! The file of a POST Object form, as a body: its length is known only at its end.

use bytes::{Bytes, BytesMut};
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::form::{FormDecoder, FormPart, MAX_FORM_BYTES};

use crate::RequestBody;
use crate::s3::body::PUT_BYTES_MAX;
use crate::s3::errors;

/// What may follow the file, with the boundary behind it: as much as may come before it.
const BYTES_AFTER_MAX: u64 = MAX_FORM_BYTES as u64;

/// A file whose first byte comes next.
///
/// A form tells its own length, and the file's only roughly: fields that are to be ignored may
/// follow it. So it is cut in two: what surely is of the file, given out as it comes, and the rest,
/// which is shorter than a form may be beside its file and waits for the end.
#[derive(Clone, Debug)]
pub struct FormFile {
    decoder: FormDecoder,
    sure_bytes: u64,
    received_bytes: u64,
    rest: BytesMut,
    lengths: (u64, u64),
}

impl FormFile {
    /// The file at which `decoder` has arrived, in a form of this length. `lengths` are the shortest
    /// and the longest that its policy allows.
    ///
    /// # Errors
    /// `EntityTooLarge` if it surely is too long.
    pub fn new(
        decoder: FormDecoder,
        form_bytes: u64,
        lengths: (u64, u64),
    ) -> Result<Self, S3Error> {
        let left = form_bytes.saturating_sub(decoder.consumed_bytes());
        let file = Self {
            decoder,
            sure_bytes: left.saturating_sub(BYTES_AFTER_MAX),
            received_bytes: 0,
            rest: BytesMut::new(),
            lengths: (lengths.0, lengths.1.min(PUT_BYTES_MAX)),
        };
        file.refuse_too_long(file.sure_bytes)?;
        Ok(file)
    }

    /// How long the file is at least.
    pub fn sure_bytes(&self) -> u64 {
        self.sure_bytes
    }

    /// The next of the bytes that surely are of the file; `None` at the end of the form.
    pub async fn next(&mut self, body: &mut RequestBody) -> Result<Option<Bytes>, S3Error> {
        loop {
            match self.decoder.next_part()? {
                Some(FormPart::Bytes(bytes)) => {
                    let piece = self.take(bytes)?;
                    if !piece.is_empty() {
                        return Ok(Some(piece));
                    }
                }
                // What follows the file is ignored.
                Some(_) => {}
                None => match body.next().await {
                    Some(bytes) => self.decoder.push(bytes.map_err(errors::body)?),
                    None => {
                        self.finish()?;
                        return Ok(None);
                    }
                },
            }
        }
    }

    /// The bytes of the file beyond those that are sure.
    pub fn take_rest(&mut self) -> Bytes {
        std::mem::take(&mut self.rest).freeze()
    }

    /// Takes what came and gives what of it is sure.
    fn take(&mut self, mut bytes: Bytes) -> Result<Bytes, S3Error> {
        let missing = self.sure_bytes.saturating_sub(self.received_bytes);
        self.received_bytes += bytes.len() as u64;
        self.refuse_too_long(self.received_bytes)?;
        let sure = bytes
            .len()
            .min(usize::try_from(missing).unwrap_or(usize::MAX));
        let piece = bytes.split_to(sure);
        if self.rest.len() + bytes.len() > MAX_FORM_BYTES {
            // The form is longer than it told.
            return Err(S3ErrorCode::IncompleteBody.into());
        }
        self.rest.extend_from_slice(&bytes);
        Ok(piece)
    }

    fn finish(&self) -> Result<(), S3Error> {
        self.decoder.finish()?;
        if self.received_bytes < self.sure_bytes {
            let message = "Your POST request fields following the upload file were too large.";
            let code = S3ErrorCode::MaxPostPreDataLengthExceeded;
            return Err(S3Error::with_message(code, message));
        }
        if self.received_bytes < self.lengths.0 {
            return Err(S3Error::new(S3ErrorCode::EntityTooSmall)
                .detail("ProposedSize", self.received_bytes.to_string())
                .detail("MinSizeAllowed", self.lengths.0.to_string()));
        }
        Ok(())
    }

    fn refuse_too_long(&self, length: u64) -> Result<(), S3Error> {
        if length <= self.lengths.1 {
            return Ok(());
        }
        Err(S3Error::new(S3ErrorCode::EntityTooLarge)
            .detail("ProposedSize", length.to_string())
            .detail("MaxSizeAllowed", self.lengths.1.to_string()))
    }
}
