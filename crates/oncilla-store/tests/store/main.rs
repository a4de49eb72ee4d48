//! The store through its public interface, on an engine and on volumes that fail when told to.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a test that cannot go on should fail there"
)]

mod append;
mod buckets;
mod encryption;
mod faults;
mod history;
mod lifecycle;
mod listing;
mod multipart;
mod object_lock;
mod objects;
mod readers;
mod rename;
mod support;
mod versions;
