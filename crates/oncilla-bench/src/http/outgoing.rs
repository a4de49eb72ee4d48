//! What is sent: a head, and a body that is a range of an object's contents.

use std::io::IoSlice;

use oncilla_hash::Sha256;
use oncilla_wire::sigv4::ChunkSeed;

use crate::contents::Contents;

/// Slices given to one write. The pattern behind [`Contents`] is about 1 MiB long, so this is more
/// than a socket takes at once.
pub const SLICES_MAX: usize = 4;

/// Data in a chunk of a signed stream: what the AWS SDKs commonly use, and the least S3 takes is
/// 8 KiB.
pub const STREAM_CHUNK_BYTES: u64 = 64 * 1024;

/// A range of the contents of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataRange {
    /// The object's number, as in [`Contents::piece`].
    pub object: u64,
    /// Where the range begins.
    pub offset: u64,
    /// How long it is.
    pub length: u64,
}

/// A request on its way. Keeps buffers, never data: what is sent lies in [`Contents`].
#[derive(Debug, Default)]
pub struct Outgoing {
    /// What comes next before any data: the request's head, then the framing of chunks.
    framing: Vec<u8>,
    framing_sent: usize,
    object: u64,
    offset: u64,
    /// Data that may be sent before there is framing again.
    data_ready: u64,
    /// Data after that, of a signed stream.
    data_later: u64,
    chunks: Option<ChunkSeed>,
}

impl Outgoing {
    /// Starts a request: returns the empty buffer for its head.
    pub fn begin(&mut self) -> &mut Vec<u8> {
        self.framing.clear();
        self.framing_sent = 0;
        self.data_ready = 0;
        self.data_later = 0;
        self.chunks = None;
        &mut self.framing
    }

    /// Lets data follow the head as it is.
    pub fn set_data(&mut self, data: DataRange) {
        self.object = data.object;
        self.offset = data.offset;
        self.data_ready = data.length;
    }

    /// Lets data follow the head in signed chunks.
    pub fn set_signed_stream(&mut self, data: DataRange, seed: ChunkSeed, contents: &Contents) {
        self.object = data.object;
        self.offset = data.offset;
        self.data_later = data.length;
        self.chunks = Some(seed);
        self.append_chunk_header(contents, "");
    }

    /// Length of a body in signed chunks: of each chunk its size in hexadecimal,
    /// `;chunk-signature=`, the signature, and two line ends; and an empty chunk.
    pub fn signed_stream_bytes(data_bytes: u64) -> u64 {
        let chunk_bytes = |data: u64| {
            let digits = u64::from((64 - data.leading_zeros()).div_ceil(4).max(1));
            digits + 17 + 64 + 2 + data + 2
        };
        let whole = data_bytes / STREAM_CHUNK_BYTES;
        let rest = match data_bytes % STREAM_CHUNK_BYTES {
            0 => 0,
            rest => chunk_bytes(rest),
        };
        whole * chunk_bytes(STREAM_CHUNK_BYTES) + rest + chunk_bytes(0)
    }

    /// Whether everything was sent.
    pub fn is_done(&self) -> bool {
        self.framing_sent == self.framing.len() && self.data_ready == 0
    }

    /// What to write next, into `slices`; returns how many there are.
    pub fn slices<'a>(
        &'a self,
        contents: &'a Contents,
        slices: &mut [IoSlice<'a>; SLICES_MAX],
    ) -> usize {
        let mut count = 0;
        if let Some(rest) = self.framing.get(self.framing_sent..)
            && !rest.is_empty()
        {
            slices[0] = IoSlice::new(rest);
            count = 1;
        }
        let data = contents.pieces(self.object, self.offset, self.data_ready);
        for (slot, piece) in slices[count..].iter_mut().zip(data) {
            *slot = IoSlice::new(piece);
            count += 1;
        }
        count
    }

    /// Notes that `written` bytes of [`Outgoing::slices`] are away. Returns how many of them were
    /// data.
    pub fn advance(&mut self, written: usize, contents: &Contents) -> u64 {
        let framing = written.min(self.framing.len() - self.framing_sent);
        self.framing_sent += framing;
        let data = ((written - framing) as u64).min(self.data_ready);
        self.data_ready -= data;
        self.offset += data;
        if self.is_done() && self.chunks.is_some() {
            self.framing.clear();
            self.framing_sent = 0;
            self.append_chunk_header(contents, "\r\n");
        }
        data
    }

    fn append_chunk_header(&mut self, contents: &Contents, line_end_before: &str) {
        let Some(seed) = &mut self.chunks else { return };
        let length = self.data_later.min(STREAM_CHUNK_BYTES);
        let mut digest = Sha256::new();
        for piece in contents.pieces(self.object, self.offset, length) {
            digest.update(piece);
        }
        let signature = seed.sign_chunk(&digest.finish());
        let size = format!("{line_end_before}{length:x};chunk-signature=");
        self.framing.extend_from_slice(size.as_bytes());
        self.framing.extend_from_slice(&signature);
        self.framing.extend_from_slice(b"\r\n");
        self.data_later -= length;
        self.data_ready = length;
        if length == 0 {
            self.framing.extend_from_slice(b"\r\n");
            self.chunks = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use oncilla_wire::sigv4::{AmzDate, Scope, SigningKey};
    use proptest::prelude::*;

    use super::*;

    /// Everything that is written when each write takes at most `step` bytes, and how much of it
    /// was data.
    fn drain(outgoing: &mut Outgoing, contents: &Contents, step: usize) -> (Vec<u8>, u64) {
        let (mut wire, mut data) = (Vec::new(), 0);
        while !outgoing.is_done() {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let count = outgoing.slices(contents, &mut slices);
            let joined: Vec<u8> = slices[..count].iter().flat_map(|s| s.to_vec()).collect();
            let written = joined.len().min(step);
            assert!(written > 0);
            wire.extend_from_slice(&joined[..written]);
            data += outgoing.advance(written, contents);
        }
        (wire, data)
    }

    fn seed() -> ChunkSeed {
        let scope = Scope {
            day: "20130524".into(),
            region: "auto".into(),
            service: "s3".into(),
        };
        let key = SigningKey::derive("secret", &scope);
        let date = AmzDate::parse(b"20130524T000000Z").unwrap();
        ChunkSeed::new(key, scope.to_string(), date, [b'0'; 64])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn plain_data_arrives_whole(length in 0u64..3_000_000, step in 1000usize..2_000_000) {
            let contents = Contents::new(1);
            let mut outgoing = Outgoing::default();
            outgoing.begin().extend_from_slice(b"HEAD");
            outgoing.set_data(DataRange { object: 5, offset: 77, length });
            let (wire, data) = drain(&mut outgoing, &contents, step);
            prop_assert_eq!(data, length);
            prop_assert_eq!(&wire[..4], b"HEAD");
            prop_assert_eq!(wire.len() as u64, length + 4);
            prop_assert_eq!(contents.first_difference(5, 77, &wire[4..]), None);
        }

        #[test]
        fn signed_streams_have_the_length_they_declare(
            length in prop_oneof![0u64..10, 65_530u64..65_545, 0u64..400_000],
            step in 100usize..100_000,
        ) {
            let contents = Contents::new(1);
            let mut outgoing = Outgoing::default();
            outgoing.begin();
            outgoing.set_signed_stream(DataRange { object: 5, offset: 0, length }, seed(), &contents);
            let (wire, data) = drain(&mut outgoing, &contents, step);
            prop_assert_eq!(data, length);
            prop_assert_eq!(wire.len() as u64, Outgoing::signed_stream_bytes(length));
            prop_assert!(wire.ends_with(b"\r\n\r\n"));
        }
    }
}
