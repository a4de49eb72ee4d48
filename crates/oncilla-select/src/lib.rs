//! SQL over the records of one object, as S3 Select has it: SelectObjectContent without I/O.
//!
//! [`Select`] is the door. It takes an object piece by piece, in any pieces, and gives records
//! written as the request wants them. Memory and time are bounded whatever object and expression
//! are: a record has at most 1 MiB, an expression 256 KiB and a depth of
//! [`sql::EXPRESSION_DEPTH_MAX`]; evaluating it over one record takes at most
//! [`budget::RECORD_STEPS_MAX`] steps and holds at most [`budget::MADE_BYTES_MAX`] of texts that it
//! makes; and each [`Select::step`] does a bounded amount of work.
//!
//! The subset of SQL and its types are those of the S3 User Guide, "SQL reference for Amazon S3
//! Select". Where that is silent, PartiQL decides, of which it is a subset.
//!
//! - [`sql`]: text to tokens to expressions;
//! - [`value`], [`number`], [`timestamp`]: what expressions are about;
//! - [`evaluate`], [`functions`], [`like`], [`aggregate`]: what they come to;
//! - [`budget`]: what that may cost;
//! - [`input`]: bytes to records;
//! - [`output`]: records to bytes.
//!
//! The parser is ours: the codes of S3's errors say which token was not what it should have been,
//! and S3's dialect (`S3Object[*].a[0]`, Ion literals, `MISSING`) is not one that a general SQL
//! parser reads. So is the reader of CSV: S3's delimiters have several bytes, and by default a
//! record ends at its delimiter even within quotes.

pub mod aggregate;
pub mod budget;
pub mod evaluate;
pub mod functions;
pub mod input;
pub mod like;
pub mod number;
pub mod output;
mod query;
pub mod sql;
pub mod timestamp;
pub mod value;

pub use query::{Select, Step};

use oncilla_wire::error::{S3Error, S3ErrorCode};

/// The longest record of input or output, and the longest text that an expression comes to.
/// Source: S3 User Guide, "Requirements and limits" of S3 Select: 1 MB.
pub const RECORD_BYTES_MAX: usize = 1 << 20;

/// An error with a message of its own.
fn error(code: S3ErrorCode, message: impl Into<String>) -> S3Error {
    S3Error::with_message(code, message.into())
}
