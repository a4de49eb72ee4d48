//! The chunked transfer coding (RFC 9112 section 7.1), read without copying.

use crate::http::response::ResponseError;

/// Digits of a chunk's size: those of `u64::MAX`.
const SIZE_DIGITS_MAX: u8 = 16;

/// Bytes of extensions and trailers of one body that are read and ignored.
const IGNORED_BYTES_MAX: u32 = 64 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In the digits of a size.
    Size {
        value: u64,
        digits: u8,
    },
    /// After the digits, to the end of the line.
    Extension {
        value: u64,
    },
    /// Within the data.
    Data {
        remaining: u64,
    },
    /// The line end after the data.
    DataEnd {
        seen_cr: bool,
    },
    /// Trailers, to an empty line.
    Trailer {
        line_is_empty: bool,
    },
    Complete,
}

/// Where in a chunked body the reader is.
#[derive(Clone, Copy, Debug)]
pub struct ChunkedDecoder {
    state: State,
    ignored_bytes: u32,
}

impl Default for ChunkedDecoder {
    fn default() -> Self {
        Self {
            state: NEXT_CHUNK,
            ignored_bytes: 0,
        }
    }
}

const NEXT_CHUNK: State = State::Size {
    value: 0,
    digits: 0,
};

/// What one step took from the input.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// Data of the body; may be empty.
    pub data: &'a [u8],
    /// How many bytes of the input are done with.
    pub used: usize,
}

impl ChunkedDecoder {
    /// Whether the body has ended.
    pub fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    /// Takes a piece of data or a byte of framing from the input, which must not be empty.
    ///
    /// # Errors
    /// [`ResponseError::MalformedChunk`]
    pub fn next<'a>(&mut self, bytes: &'a [u8]) -> Result<Step<'a>, ResponseError> {
        if let State::Data { remaining } = self.state {
            let length = usize::try_from(remaining).map_or(bytes.len(), |r| r.min(bytes.len()));
            let remaining = remaining - length as u64;
            self.state = match remaining {
                0 => State::DataEnd { seen_cr: false },
                _ => State::Data { remaining },
            };
            return Ok(Step {
                data: &bytes[..length],
                used: length,
            });
        }
        if let Some(byte) = bytes.first() {
            self.state = self.after(*byte)?;
        }
        Ok(Step {
            data: &[],
            used: bytes.len().min(1),
        })
    }

    fn after(&mut self, byte: u8) -> Result<State, ResponseError> {
        let malformed = Err(ResponseError::MalformedChunk);
        match self.state {
            State::Size { value, digits } => {
                if let Some(digit) = oncilla_hash::hex::digit_value(byte) {
                    if digits == SIZE_DIGITS_MAX {
                        return malformed;
                    }
                    return Ok(State::Size {
                        value: value << 4 | u64::from(digit),
                        digits: digits + 1,
                    });
                }
                match byte {
                    _ if digits == 0 => malformed,
                    b'\n' => Ok(after_size(value)),
                    b'\r' | b';' | b' ' | b'\t' => Ok(State::Extension { value }),
                    _ => malformed,
                }
            }
            State::Extension { value } => {
                self.ignore()?;
                match byte {
                    b'\n' => Ok(after_size(value)),
                    _ => Ok(State::Extension { value }),
                }
            }
            State::DataEnd { seen_cr } => match byte {
                b'\r' if !seen_cr => Ok(State::DataEnd { seen_cr: true }),
                b'\n' => Ok(NEXT_CHUNK),
                _ => malformed,
            },
            State::Trailer { line_is_empty } => {
                self.ignore()?;
                match byte {
                    b'\n' if line_is_empty => Ok(State::Complete),
                    b'\n' => Ok(State::Trailer {
                        line_is_empty: true,
                    }),
                    b'\r' => Ok(self.state),
                    _ => Ok(State::Trailer {
                        line_is_empty: false,
                    }),
                }
            }
            State::Data { .. } | State::Complete => malformed,
        }
    }

    fn ignore(&mut self) -> Result<(), ResponseError> {
        self.ignored_bytes += 1;
        if self.ignored_bytes > IGNORED_BYTES_MAX {
            return Err(ResponseError::MalformedChunk);
        }
        Ok(())
    }
}

fn after_size(value: u64) -> State {
    match value {
        0 => State::Trailer {
            line_is_empty: true,
        },
        remaining => State::Data { remaining },
    }
}
