//! Decompression, a bounded step at a time: a few bytes of GZIP can stand for a thousand times as many.

use std::io::{self, BufRead, ErrorKind, Read};

use bytes::{Buf, Bytes};
use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::xml::select::Compression;

use super::buffer::Window;

/// How much one step gives at most.
const STEP_BYTES: usize = 32 << 10;

/// Uncompresses an object.
pub struct Decompressor {
    decoder: Decoder,
    scratch: Box<[u8]>,
}

enum Decoder {
    /// It is not compressed.
    None(Feed),
    /// Of several members, if it has them.
    Gzip(Box<MultiGzDecoder<Feed>>),
    /// Of several streams, if it has them.
    Bzip2(Box<MultiBzDecoder<Feed>>),
}

impl std::fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Decompressor")
    }
}

/// What was given and not taken yet. Where nothing is, reading would block.
#[derive(Default)]
struct Feed {
    piece: Bytes,
    ended: bool,
}

impl Read for Feed {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(out.len());
        out[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Feed {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.piece.is_empty() && !self.ended {
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(&self.piece)
    }

    fn consume(&mut self, count: usize) {
        self.piece.advance(count);
    }
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// So many bytes went to the window.
    Bytes(usize),
    /// It needs another piece.
    NeedsInput,
    /// The object is at its end.
    Ended,
}

impl Decompressor {
    /// Of such an object.
    pub fn new(compression: Compression) -> Self {
        let feed = Feed::default();
        let decoder = match compression {
            Compression::None => Decoder::None(feed),
            Compression::Gzip => Decoder::Gzip(Box::new(MultiGzDecoder::new(feed))),
            Compression::Bzip2 => Decoder::Bzip2(Box::new(MultiBzDecoder::new(feed))),
        };
        Self {
            decoder,
            scratch: vec![0; STEP_BYTES].into(),
        }
    }

    /// Gives the next piece; `None` at the end of the object. Only when one is needed.
    pub fn feed(&mut self, piece: Option<Bytes>) {
        let feed = match &mut self.decoder {
            Decoder::None(feed) => feed,
            Decoder::Gzip(decoder) => decoder.get_mut(),
            Decoder::Bzip2(decoder) => decoder.get_mut(),
        };
        debug_assert!(feed.piece.is_empty());
        match piece {
            Some(piece) => feed.piece = piece,
            None => feed.ended = true,
        }
    }

    /// Uncompresses a little into the window, which must have room.
    ///
    /// # Errors
    /// `TruncatedInput` for what was not compressed so, or ends in the middle.
    pub fn step(&mut self, window: &mut Window) -> Result<Progress, S3Error> {
        let count = self.scratch.len().min(window.room());
        debug_assert!(count > 0);
        let out = &mut self.scratch[..count];
        let read = match &mut self.decoder {
            Decoder::None(feed) => feed.read(out),
            Decoder::Gzip(decoder) => decoder.read(out),
            Decoder::Bzip2(decoder) => decoder.read(out),
        };
        match read {
            Ok(0) => Ok(Progress::Ended),
            Ok(count) => {
                window.push(&self.scratch[..count]);
                Ok(Progress::Bytes(count))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Progress::NeedsInput),
            Err(_) => Err(S3ErrorCode::TruncatedInput.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Write;

    use super::*;

    fn uncompress(kind: Compression, input: &[u8], step: usize) -> Result<Vec<u8>, S3ErrorCode> {
        let mut decompressor = Decompressor::new(kind);
        let mut pieces = input.chunks(step);
        let mut out = Vec::new();
        let mut window = Window::default();
        loop {
            match decompressor.step(&mut window).map_err(|error| error.code)? {
                Progress::Bytes(count) => {
                    assert_eq!(window.bytes().len(), count);
                    out.extend_from_slice(window.bytes());
                    window.consume(count);
                }
                Progress::NeedsInput => {
                    decompressor.feed(pieces.next().map(Bytes::copy_from_slice));
                }
                Progress::Ended => return Ok(out),
            }
        }
    }

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn bzip2(data: &[u8]) -> Vec<u8> {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn in_any_pieces_and_of_several_members() {
        let data: Vec<u8> = (0..200_000u32)
            .flat_map(|n| n.wrapping_mul(n).to_le_bytes())
            .collect();
        let (first, second) = data.split_at(300_001);
        for (kind, compressed) in [
            (Compression::Gzip, [gzip(first), gzip(second)].concat()),
            (Compression::Bzip2, [bzip2(first), bzip2(second)].concat()),
            (Compression::None, data.clone()),
        ] {
            for step in [7, 1000, usize::MAX] {
                assert!(
                    uncompress(kind, &compressed, step).unwrap() == data,
                    "{kind:?} {step}"
                );
            }
            if kind == Compression::None {
                continue;
            }
            for end in [compressed.len() - 1, compressed.len() / 3, 5] {
                let refused = uncompress(kind, &compressed[..end], 1000);
                assert_eq!(refused, Err(S3ErrorCode::TruncatedInput), "{kind:?} {end}");
            }
            let refused = uncompress(kind, b"a,b\nc,d\nand much more than a header\n", 9);
            assert_eq!(refused, Err(S3ErrorCode::TruncatedInput), "{kind:?}");
        }
    }

    #[test]
    fn a_bomb_comes_in_small_steps() {
        let bomb = gzip(&vec![0; 50 << 20]);
        assert!(bomb.len() < 100_000);
        assert_eq!(
            uncompress(Compression::Gzip, &bomb, usize::MAX)
                .unwrap()
                .len(),
            50 << 20
        );
    }
}
