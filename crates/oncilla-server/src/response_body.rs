//! The body of an answer.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use http_body::{Body, Frame, SizeHint};

use crate::MemoryPermit;

/// How much of a document a connection is given at once, and may still hold when its request is over:
/// what clients that do not read it take besides the memory for requests is this for each connection.
pub const PIECE_BYTES: usize = 64 << 10;

/// A stream of the bytes of an answer.
pub type ByteStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// The body of an answer.
#[derive(Default)]
pub enum ResponseBody {
    /// No bytes. For answers to HEAD, set `Content-Length` as the GET would.
    #[default]
    Empty,
    /// Bytes that are there already, of which a connection takes all at once.
    Full(Bytes),
    /// A document of more than [`PIECE_BYTES`], with the memory that it takes. The connection is given
    /// each piece when the one before has left.
    Document {
        /// What is still to come.
        rest: Bytes,
        /// Given back with the last piece on its way.
        memory: MemoryPermit,
    },
    /// Exactly so many bytes as they come. A stream that ends early or goes on for longer breaks
    /// the connection, so that the client cannot take the answer for complete.
    Stream {
        /// The bytes.
        stream: ByteStream,
        /// How many are still to come.
        remaining_bytes: u64,
    },
    /// Bytes whose number nobody knows yet, sent in HTTP chunks: for operations that keep the
    /// connection alive with white space while they work (CompleteMultipartUpload, CopyObject).
    Chunked(ByteStream),
}

impl ResponseBody {
    /// A stream of exactly `length_bytes`.
    pub fn stream<S>(length_bytes: u64, stream: S) -> Self
    where
        S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        Self::Stream {
            stream: Box::pin(stream),
            remaining_bytes: length_bytes,
        }
    }

    /// A stream of unknown length.
    pub fn chunked<S>(stream: S) -> Self
    where
        S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        Self::Chunked(Box::pin(stream))
    }

    /// Whether a connection is to be given the next piece only when it holds no other.
    pub fn comes_in_turn(&self) -> bool {
        matches!(self, Self::Document { .. })
    }

    /// How many bytes are to come, where that is known.
    pub fn length_bytes(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Full(bytes) | Self::Document { rest: bytes, .. } => Some(bytes.len() as u64),
            Self::Stream {
                remaining_bytes, ..
            } => Some(*remaining_bytes),
            Self::Chunked(_) => None,
        }
    }
}

impl From<Bytes> for ResponseBody {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() {
            Self::Empty
        } else {
            Self::Full(bytes)
        }
    }
}

impl From<Vec<u8>> for ResponseBody {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<String> for ResponseBody {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static str> for ResponseBody {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let (stream, remaining_bytes) = match &mut *self {
            Self::Empty => return Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Self::Empty;
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            Self::Document { rest, .. } => {
                let piece = match rest.len() > PIECE_BYTES {
                    true => rest.split_to(PIECE_BYTES),
                    // It outlives the document, and is not to keep all of it.
                    false => Bytes::copy_from_slice(&std::mem::take(rest)),
                };
                if rest.is_empty() {
                    *self = Self::Empty;
                }
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            Self::Stream {
                stream,
                remaining_bytes,
            } => (stream, Some(remaining_bytes)),
            Self::Chunked(stream) => (stream, None),
        };
        let next = loop {
            match ready!(stream.as_mut().poll_next(context)) {
                // An empty data frame would end an answer in HTTP chunks too early.
                Some(Ok(bytes)) if bytes.is_empty() => {}
                next => break next,
            }
        };
        let outcome = match (next, remaining_bytes) {
            (Some(Ok(bytes)), None) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
            (Some(Ok(bytes)), Some(remaining)) => match remaining.checked_sub(bytes.len() as u64) {
                Some(rest) => {
                    *remaining = rest;
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                None => Some(Err(io::Error::other("the answer is longer than announced"))),
            },
            (None, Some(remaining)) if *remaining > 0 => Some(Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("the answer ended {remaining} bytes early"),
            ))),
            (None, _) => None,
            (Some(Err(error)), _) => Some(Err(error)),
        };
        *self = Self::Empty;
        Poll::Ready(outcome)
    }

    fn is_end_stream(&self) -> bool {
        // An announced stream is at its end with its last byte, so that the connection can be
        // used again without asking the stream once more.
        self.length_bytes() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.length_bytes()
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Full(bytes) => write!(f, "Full({} bytes)", bytes.len()),
            Self::Document { rest, .. } => write!(f, "Document({} bytes)", rest.len()),
            Self::Stream {
                remaining_bytes, ..
            } => write!(f, "Stream({remaining_bytes} bytes)"),
            Self::Chunked(_) => f.write_str("Chunked"),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::BodyExt;

    use super::*;

    fn chunks(parts: &[&'static str]) -> Vec<io::Result<Bytes>> {
        parts
            .iter()
            .map(|part| Ok(Bytes::from_static(part.as_bytes())))
            .collect()
    }

    #[tokio::test]
    async fn a_stream_is_at_its_end_with_its_last_byte() {
        let mut body = ResponseBody::stream(5, stream::iter(chunks(&["ab", "", "cde"])));
        assert_eq!(body.size_hint().exact(), Some(5));
        assert_eq!(
            body.frame().await.unwrap().unwrap().into_data().unwrap(),
            "ab"
        );
        assert_eq!(body.size_hint().exact(), Some(3));
        assert!(!body.is_end_stream());
        assert_eq!(
            body.frame().await.unwrap().unwrap().into_data().unwrap(),
            "cde"
        );
        assert!(body.is_end_stream());
    }

    #[tokio::test]
    async fn a_stream_of_another_length_is_an_error() {
        let short = ResponseBody::stream(3, stream::iter(chunks(&["ab"])));
        assert_eq!(
            short.collect().await.unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
        let long = ResponseBody::stream(3, stream::iter(chunks(&["ab", "cd"])));
        assert!(long.collect().await.is_err());
    }

    #[tokio::test]
    async fn a_document_gives_its_memory_back_with_its_last_piece() {
        let budget = crate::MemoryBudget::new(1 << 20);
        let bytes: Vec<u8> = (0..2 * PIECE_BYTES + 5).map(|at| at as u8).collect();
        let mut body = ResponseBody::Document {
            rest: Bytes::from(bytes.clone()),
            memory: budget.try_reserve(bytes.len()).unwrap(),
        };
        assert_eq!(body.size_hint().exact(), Some(bytes.len() as u64));
        let mut seen = Vec::new();
        for (length, is_held) in [(PIECE_BYTES, true), (PIECE_BYTES, true), (5, false)] {
            assert!(body.comes_in_turn());
            let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(piece.len(), length);
            seen.extend_from_slice(&piece);
            assert_eq!(budget.reserved_bytes() > 0, is_held);
        }
        assert_eq!(seen, bytes);
        assert!(body.is_end_stream());
    }

    #[tokio::test]
    async fn small_bodies() {
        assert!(ResponseBody::from(Vec::new()).is_end_stream());
        let full = ResponseBody::from("abc");
        assert_eq!(full.size_hint().exact(), Some(3));
        assert_eq!(full.collect().await.unwrap().to_bytes(), "abc");
        let chunked = ResponseBody::chunked(stream::iter(chunks(&["ab", "c"])));
        assert_eq!(chunked.size_hint().exact(), None);
        assert_eq!(chunked.collect().await.unwrap().to_bytes(), "abc");
    }
}
