//! The server behind real sockets: HTTP, TLS, the administration, and its end.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a test that cannot go on should fail there"
)]

mod admin_api;
mod admin_storage;
mod admin_support;
mod http;
mod shutdown;
mod slow_clients;
mod support;
mod tls;
