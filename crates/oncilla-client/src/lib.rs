//! An S3 client for any S3 endpoint: signing, streaming, checksums, multipart, retries.
//!
//! ```no_run
//! use oncilla_client::{Client, Overrides, Settings};
//!
//! # async fn example() -> Result<(), oncilla_client::Error> {
//! let client = Client::new(Settings::from_environment(&Overrides::default())?)?;
//! for bucket in client.list_buckets().await? {
//!     println!("{}", bucket.name);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`Client`] has one method per S3 operation (`ops/`), each one request, retried where that is
//! safe. [`transfer`] moves whole files: in parallel, in parts, verified.

mod attempt_failure;
mod body;
mod call;
mod client;
mod config;
mod customer_key;
mod endpoint;
mod error;
mod http_client;
mod ops;
mod response;
mod retry;
pub mod tls;
pub mod transfer;
mod types;

pub use body::{Body, ByteStream, CHUNK_BYTES, FileRange, Progress, UPLOAD_CHECKSUM};
pub use client::Client;
pub use config::{Overrides, ProfileFile, Settings, Surroundings, parse_profiles};
pub use customer_key::{CUSTOMER_KEY_BYTES, CustomerKey};
pub use endpoint::{Addressing, Endpoint};
pub use error::{Error, ServiceError, exit_code};
pub use oncilla_wire::sigv4::Credentials;
pub use ops::bucket_documents::{BucketConfiguration, BucketDocument};
pub use ops::objects::DELETE_OBJECTS_MAX;
pub use ops::presign::{PresignRequest, S3_EXPIRES_MAX};
pub use response::ObjectBody;
pub use retry::RetryPolicy;
pub use types::*;
