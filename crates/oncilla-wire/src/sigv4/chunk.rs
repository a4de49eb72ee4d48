//! Signatures of the chunks and trailers of a signed streaming upload: each covers the one before,
//! starting from the seed, which is the signature of the request.
//! Source: S3 API reference, "Signature Calculations for the Authorization Header: Transferring
//! Payload in Multiple Chunks" and its sequel on trailers.

use oncilla_hash::{Sha256, hex};
use subtle::ConstantTimeEq as _;

use super::{AmzDate, SigningKey};

/// Length of a signature in hexadecimal.
pub const SIGNATURE_LENGTH_BYTES: usize = 64;

/// What the chain of chunk signatures starts from, and where it has got to.
#[derive(Clone, Debug)]
pub struct ChunkSeed {
    key: SigningKey,
    /// `day/region/service/aws4_request`.
    scope: String,
    timestamp: AmzDate,
    /// The signature of the request, then of the last chunk that was signed or verified.
    previous: [u8; SIGNATURE_LENGTH_BYTES],
}

impl ChunkSeed {
    /// A chain that starts after the request signature `seed`.
    pub fn new(
        key: SigningKey,
        scope: String,
        timestamp: AmzDate,
        seed: [u8; SIGNATURE_LENGTH_BYTES],
    ) -> Self {
        Self {
            key,
            scope,
            timestamp,
            previous: seed,
        }
    }

    /// Signs the next chunk, given the SHA-256 of its data, and moves on. The last chunk is empty.
    pub fn sign_chunk(&mut self, data_sha256: &[u8; 32]) -> [u8; SIGNATURE_LENGTH_BYTES] {
        self.previous = self.chunk_signature(data_sha256);
        self.previous
    }

    /// Signs the trailers, given the SHA-256 of their canonical form, and moves on.
    pub fn sign_trailer(&mut self, trailer_sha256: &[u8; 32]) -> [u8; SIGNATURE_LENGTH_BYTES] {
        self.previous = self.trailer_signature(trailer_sha256);
        self.previous
    }

    /// Whether `claimed` signs the next chunk; if so the chain moves on.
    pub(crate) fn verify_chunk(&mut self, data_sha256: &[u8; 32], claimed: &[u8]) -> bool {
        let expected = self.chunk_signature(data_sha256);
        self.previous = expected;
        expected.ct_eq(claimed).into()
    }

    /// Whether `claimed` signs the trailers.
    pub(crate) fn verify_trailer(&mut self, trailer_sha256: &[u8; 32], claimed: &[u8]) -> bool {
        let expected = self.trailer_signature(trailer_sha256);
        self.previous = expected;
        expected.ct_eq(claimed).into()
    }

    fn chunk_signature(&self, data_sha256: &[u8; 32]) -> [u8; SIGNATURE_LENGTH_BYTES] {
        let mut text = self.string_to_sign("AWS4-HMAC-SHA256-PAYLOAD");
        hex::append(&mut text, &Sha256::OF_EMPTY);
        text.push(b'\n');
        hex::append(&mut text, data_sha256);
        hex::encode_32(&self.key.sign(&text))
    }

    fn trailer_signature(&self, trailer_sha256: &[u8; 32]) -> [u8; SIGNATURE_LENGTH_BYTES] {
        let mut text = self.string_to_sign("AWS4-HMAC-SHA256-TRAILER");
        hex::append(&mut text, trailer_sha256);
        hex::encode_32(&self.key.sign(&text))
    }

    /// The lines that both kinds begin with.
    fn string_to_sign(&self, algorithm: &str) -> Vec<u8> {
        let mut text = Vec::with_capacity(320 + self.scope.len());
        let lines = [
            algorithm.as_bytes(),
            self.timestamp.as_str().as_bytes(),
            self.scope.as_bytes(),
        ];
        for line in lines {
            text.extend_from_slice(line);
            text.push(b'\n');
        }
        text.extend_from_slice(&self.previous);
        text.push(b'\n');
        text
    }
}
