//! Connections, S3 handlers, administration, metrics.
//!
//! Everything that a request meets on its way in and out lives here, around one door: a
//! [`Service`] takes a request with a [`RequestBody`] and answers with a [`ResponseBody`].
//!
//! - [`listener`] accepts connections and [`runtime`] spreads them over one runtime per core,
//! - [`connection`] speaks HTTP/1.1 on one of them, over plain TCP or [`tls`],
//! - [`front`] gives each request its id, its share of the [`limits`], its line in the
//!   [`access_log`] and its place in the [`metrics`], and sends it on: paths under `/-/` to
//!   [`admin`], all others to the S3 service,
//! - [`jobs`] runs what happens without a request, such as the delivery of [`notifications`], of
//!   [`bucket_logs`] and of [`inventories`],
//! - [`data_directory`] makes sure that a directory belongs to one server of a format it knows.

pub mod access_log;
pub mod admin;
pub mod bucket_logs;
pub mod connection;
pub mod data_directory;
pub mod front;
pub mod http_io;
pub mod iam;
pub mod in_flight;
pub mod inventories;
pub mod jobs;
pub mod limits;
pub mod listener;
pub mod local_socket;
pub mod metrics;
pub mod metrics_collectors;
pub mod notifications;
pub mod open_files;
pub mod progress_guard;
pub mod refusal;
pub mod request_body;
pub mod request_context;
pub mod request_id;
pub mod response_body;
pub mod room;
pub mod runtime;
pub mod s3;
pub mod self_signed;
pub mod server;
pub mod service;
mod service_write;
pub mod tls;
mod transfer;

pub use limits::{MemoryBudget, MemoryPermit, NoRoom};
pub use request_body::{BodyError, RequestBody};
pub use request_context::{Peer, RequestContext, RequestFacts};
pub use request_id::RequestId;
pub use response_body::ResponseBody;
pub use service::Service;
