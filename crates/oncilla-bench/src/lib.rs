//! A load generator for S3 endpoints.
//!
//! [`workload`] says what is done, [`round::Target`] to whom, [`round::run_round`] does it, and
//! [`report`] and [`compare`] say what came of it. Buckets are made and emptied by whoever calls
//! this; a round only reports what it left behind.
//!
//! The rest is what makes it fast enough not to measure itself: a runtime of one thread per thread
//! with connections that never leave it, an HTTP/1.1 client that reads into one buffer and writes
//! from one pattern ([`http`], [`contents`]), and heads that are signed without making a header map
//! ([`endpoint`]).

pub mod compare;
pub mod contents;
pub mod endpoint;
pub mod http;
pub mod keys;
mod lane;
mod operations;
mod phase;
pub mod random;
pub mod report;
pub mod round;
pub mod sizes;
pub mod stats;
mod worker;
pub mod workload;

pub use operations::OpenUpload;
pub use worker::Task;
