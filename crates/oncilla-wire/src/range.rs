//! Byte ranges: `Range`, `Content-Range` and `x-amz-copy-source-range`.

use crate::digits::is_digits;
use crate::error::{S3Error, S3ErrorCode};

/// A single range of bytes as a client asks for it, before the length is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteRange {
    /// `a-b`, both inclusive, `first <= last`.
    FirstLast {
        /// The first byte.
        first: u64,
        /// The last byte; may lie beyond the end.
        last: u64,
    },
    /// `a-`: from this byte to the end.
    From(u64),
    /// `-n`: the last `n` bytes.
    Suffix(u64),
}

/// What a range means for a body of known length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResolvedRange {
    /// The whole body: answer 200.
    Full,
    /// A part of it: answer 206 with `Content-Range`.
    Partial(ByteSpan),
    /// Nothing of it: answer 416 `InvalidRange`.
    Unsatisfiable,
}

/// A part of a body, both ends inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteSpan {
    /// The first byte.
    pub start: u64,
    /// The last byte.
    pub end: u64,
}

impl ByteSpan {
    /// How many bytes it spans; at least one.
    pub fn len_bytes(self) -> u64 {
        self.end - self.start + 1
    }

    /// The value of `Content-Range`.
    pub fn content_range(self, length_bytes: u64) -> String {
        format!("bytes {}-{}/{length_bytes}", self.start, self.end)
    }
}

/// The value of `Content-Range` in an answer 416 (RFC 9110 §14.4).
pub fn unsatisfied_content_range(length_bytes: u64) -> String {
    format!("bytes */{length_bytes}")
}

/// Reads the value of `Range`. `None` where S3 answers with the whole object: another unit, several
/// ranges, or anything malformed (RFC 9110 §14.2 allows to ignore it).
pub fn parse_range(value: &[u8]) -> Option<ByteRange> {
    let value = std::str::from_utf8(value).ok()?.trim();
    let (unit, range) = value.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = range.trim().split_once('-')?;
    match (first.trim_end(), last.trim_start()) {
        ("", last) => Some(ByteRange::Suffix(parse_position(last)?)),
        (first, "") => Some(ByteRange::From(parse_position(first)?)),
        (first, last) => {
            let (first, last) = (parse_position(first)?, parse_position(last)?);
            (first <= last).then_some(ByteRange::FirstLast { first, last })
        }
    }
}

impl ByteRange {
    /// What the range means for a body of this length.
    pub fn resolve(self, length_bytes: u64) -> ResolvedRange {
        let Some(last_byte) = length_bytes.checked_sub(1) else {
            return ResolvedRange::Unsatisfiable;
        };
        match self {
            Self::FirstLast { first, .. } | Self::From(first) if first > last_byte => {
                ResolvedRange::Unsatisfiable
            }
            Self::FirstLast { first, last } => ResolvedRange::Partial(ByteSpan {
                start: first,
                end: last.min(last_byte),
            }),
            Self::From(first) => ResolvedRange::Partial(ByteSpan {
                start: first,
                end: last_byte,
            }),
            Self::Suffix(0) => ResolvedRange::Unsatisfiable,
            Self::Suffix(count) => {
                let start = length_bytes.saturating_sub(count);
                ResolvedRange::Partial(ByteSpan {
                    start,
                    end: last_byte,
                })
            }
        }
    }
}

/// What a range means for a body of this length, where there may be none.
pub fn resolve(range: Option<ByteRange>, length_bytes: u64) -> ResolvedRange {
    range.map_or(ResolvedRange::Full, |range| range.resolve(length_bytes))
}

/// The range of UploadPartCopy, `bytes=a-b` and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopySourceRange(ByteSpan);

impl CopySourceRange {
    /// Reads `x-amz-copy-source-range`. Any other form is an `InvalidArgument`.
    pub fn parse(value: &[u8]) -> Result<Self, S3Error> {
        let span = std::str::from_utf8(value).ok().and_then(|text| {
            let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
            let (start, end) = (parse_position(first)?, parse_position(last)?);
            (start <= end).then_some(ByteSpan { start, end })
        });
        span.map(Self).ok_or_else(|| {
            S3Error::invalid_argument(
                "x-amz-copy-source-range",
                &String::from_utf8_lossy(value),
                "The x-amz-copy-source-range value must be of the form bytes=first-last where \
                 first and last are the zero-based offsets of the first and last bytes to copy",
            )
        })
    }

    /// The span, if all of it lies within a source of this length; otherwise `InvalidRange`.
    pub fn resolve(self, source_length_bytes: u64) -> Result<ByteSpan, S3Error> {
        if self.0.end < source_length_bytes {
            return Ok(self.0);
        }
        Err(S3Error::with_message(
            S3ErrorCode::InvalidRange,
            format!(
                "Range specified is not valid for source object of size: {source_length_bytes}"
            ),
        ))
    }
}

/// A number beyond 64 bits is as good as its maximum.
fn parse_position(text: &str) -> Option<u64> {
    is_digits(text).then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_range_is_read_and_everything_else_is_ignored() {
        assert_eq!(
            parse_range(b"bytes=0-9"),
            Some(ByteRange::FirstLast { first: 0, last: 9 })
        );
        assert_eq!(parse_range(b"Bytes=5-"), Some(ByteRange::From(5)));
        assert_eq!(parse_range(b"bytes=-7"), Some(ByteRange::Suffix(7)));
        let huge = ByteRange::FirstLast {
            first: 1,
            last: u64::MAX,
        };
        assert_eq!(parse_range(b"bytes=1-99999999999999999999999"), Some(huge));
        for ignored in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=9-0",
            "bytes=a-b",
            "bytes=0-1,3-4",
            "items=0-1",
            "0-1",
            "bytes=+1-2",
            "bytes=1--2",
            "bytes=0x1-2",
        ] {
            assert_eq!(parse_range(ignored.as_bytes()), None, "{ignored}");
        }
    }

    #[test]
    fn resolution_against_a_length() {
        let partial = |start, end| ResolvedRange::Partial(ByteSpan { start, end });
        assert_eq!(
            ByteRange::FirstLast { first: 4, last: 7 }.resolve(11),
            partial(4, 7)
        );
        assert_eq!(
            ByteRange::FirstLast { first: 4, last: 99 }.resolve(11),
            partial(4, 10)
        );
        assert_eq!(ByteRange::From(4).resolve(11), partial(4, 10));
        assert_eq!(ByteRange::Suffix(7).resolve(11), partial(4, 10));
        assert_eq!(ByteRange::Suffix(99).resolve(11), partial(0, 10));
        assert_eq!(
            ByteRange::From(11).resolve(11),
            ResolvedRange::Unsatisfiable
        );
        assert_eq!(
            ByteRange::Suffix(0).resolve(11),
            ResolvedRange::Unsatisfiable
        );
        assert_eq!(
            ByteRange::Suffix(1).resolve(0),
            ResolvedRange::Unsatisfiable
        );
        assert_eq!(resolve(None, 0), ResolvedRange::Full);
        assert_eq!(
            ByteSpan { start: 4, end: 10 }.content_range(11),
            "bytes 4-10/11"
        );
        assert_eq!(unsatisfied_content_range(11), "bytes */11");
    }

    /// The cases of ceph/s3-tests, test_multipart_copy_improper_range and _invalid_range.
    #[test]
    fn copy_source_ranges_are_strict() {
        for improper in [
            "0-2",
            "bytes=0",
            "bytes=hello-world",
            "bytes=0-bar",
            "bytes=hello-",
            "bytes=0-2,3-5",
            "bytes=2-1",
            "bytes=0-",
            "bytes=-1",
        ] {
            let error = CopySourceRange::parse(improper.as_bytes()).unwrap_err();
            assert_eq!(error.code, S3ErrorCode::InvalidArgument, "{improper}");
        }
        let range = CopySourceRange::parse(b"bytes=0-21").unwrap();
        assert_eq!(range.resolve(22).unwrap().len_bytes(), 22);
        assert_eq!(
            range.resolve(21).unwrap_err().code,
            S3ErrorCode::InvalidRange
        );
    }

    proptest! {
        #[test]
        fn a_partial_answer_always_lies_within_the_body(text in "bytes=[0-9]{0,4}-[0-9]{0,4}", length in 0u64..5000) {
            if let ResolvedRange::Partial(span) = resolve(parse_range(text.as_bytes()), length) {
                prop_assert!(span.start <= span.end && span.end < length);
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = parse_range(&bytes);
            let _ = CopySourceRange::parse(&bytes);
        }
    }
}
