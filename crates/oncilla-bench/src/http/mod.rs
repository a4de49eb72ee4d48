//! An HTTP/1.1 client of exactly what a load generator needs: one request at a time per
//! connection, heads written from a buffer that is used again, bodies sent as slices of memory that
//! is there already and read into a buffer that the whole thread shares. What is left out (pools,
//! redirects, header maps) is what costs time in a general client.

mod chunked;
mod connection;
mod outgoing;
mod response;

pub use connection::{Activity, Connection, Exchange, TransportError};
pub use outgoing::{DataRange, Outgoing};
pub use response::{ERROR_BODY_BYTES_MAX, Fed, HEAD_BYTES_MAX, ResponseError, ResponseParser};
