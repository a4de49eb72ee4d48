//! S3 and IAM at the handlers of this process: requests, answers, and what is in the store after
//! them. One test binary of many modules, since what takes the time of building one is the server
//! that is linked into it.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a test that cannot go on should fail there"
)]

mod iam_api;
mod iam_sessions;
mod receiver;
mod s3_access;
mod s3_acl;
mod s3_append;
mod s3_bucket_policy;
mod s3_bucket_settings;
mod s3_codes;
mod s3_condition_keys_set;
mod s3_cors;
mod s3_denied_paths;
mod s3_encryption;
mod s3_error_documents;
mod s3_inventory;
mod s3_lifecycle;
mod s3_listing;
mod s3_logging;
mod s3_multipart;
mod s3_newer_parameters;
mod s3_notifications;
mod s3_object_lock;
mod s3_objects;
mod s3_post_object;
mod s3_presigned;
mod s3_refusals;
mod s3_select;
mod s3_sigv2;
mod s3_upload_permissions;
mod s3_versioning;
mod s3_website;
mod slow_client;
mod support;
