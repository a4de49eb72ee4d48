//! Fuzz targets: one function per parser of outside bytes, each with the properties it must have.
//!
//! A target takes any bytes and panics when a property does not hold. The same functions run in
//! three places: over their corpus in `cargo test`, with random mutations in `make fuzz-smoke`
//! (stable Rust, no coverage), and under libFuzzer (`fuzz/`, nightly Rust). See `docs/fuzzing.md`.

mod client;
mod dates;
mod digests;
mod documents;
mod framing;
mod headers;
mod identity;
mod input;
pub mod mutate;
mod policy;
mod records;
mod request;
pub mod seeds;
mod select;
mod signature;
mod volumes;
mod web;

use std::path::PathBuf;

/// One parser under test.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: of its corpus directory and of its libFuzzer binary.
    pub name: &'static str,
    /// Checks the properties on one input; panics when one does not hold.
    pub run: fn(&[u8]),
}

/// Every target, by name.
pub const TARGETS: &[Target] = &[
    target("access_key_row", records::access_key),
    target("account_row", records::account),
    target("address", request::address),
    target("body_row", records::body),
    target("bucket_row", records::bucket),
    target("checksum_headers", headers::checksum_headers),
    target("checksums", digests::checksums),
    target("chunked_decode", framing::chunked_decode),
    target("chunked_tampered", framing::chunked_tampered),
    target("client_endpoint", client::endpoint),
    target("client_profiles", client::profiles),
    target("conditions", headers::conditions),
    target("copy_source", headers::copy_source),
    target("cors", web::cors),
    target("dates", dates::dates),
    target("encryption_field", records::encryption),
    target("encryption_headers", headers::encryption),
    target("event_row", records::event),
    target("extent_header", volumes::extent_header),
    target("form", web::form),
    target("garbage_row", records::garbage),
    target("layout_row", records::layout),
    target("lifecycle_row", records::lifecycle),
    target("md5_lanes", digests::md5_lanes),
    target("object_lock_headers", headers::object_lock),
    target("object_row", records::object),
    target("operation", request::operation),
    target("part_row", records::part),
    target("placement_field", records::placement),
    target("policy", policy::policy),
    target("post_policy", web::post_policy),
    target("query", request::query),
    target("query_form", identity::query_form),
    target("range", headers::range),
    target("rename_headers", headers::rename),
    target("row_keys", records::row_keys),
    target("scalar_texts", headers::scalar_texts),
    target("select_csv", select::csv_object),
    target("select_json", select::json_object),
    target("select_sql", select::expression),
    target("session_token", identity::session_token),
    target("signature_parse", signature::signature_parse),
    target("signature_round_trip", signature::signature_round_trip),
    target("signature_v2", web::signature_v2),
    target("stored_headers", headers::stored_headers),
    target("tagging_header", headers::tagging_header),
    target("upload_row", records::upload),
    target("uri", request::uri),
    target("volume_header", volumes::volume_header),
    target("website", web::website),
    target("wrapped_key", records::wrapped_key),
    target("xml_access_settings", documents::access_settings),
    target("xml_acl", documents::access_control_policy),
    target("xml_complete", documents::complete),
    target("xml_create_bucket", documents::create_bucket),
    target("xml_delete", documents::delete),
    target("xml_encryption", documents::encryption),
    target("xml_inventory", documents::inventory),
    target("xml_lifecycle", documents::lifecycle),
    target("xml_lists", documents::lists),
    target("xml_logging", documents::logging),
    target("xml_named_config", web::named_configuration),
    target("xml_notification", documents::notification),
    target("xml_object_lock", documents::object_lock),
    target("xml_reader", documents::reader),
    target("xml_restore", documents::restore),
    target("xml_results", documents::results),
    target("xml_select", select::request),
    target("xml_switches", web::switches),
    target("xml_tagging", documents::tagging),
    target("xml_text", documents::text),
    target("xml_versioning", documents::versioning),
];

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run }
}

/// The target of this name.
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// Runs the target of this name on one input: what a libFuzzer binary calls.
///
/// # Panics
/// When there is no such target, or a property does not hold.
pub fn run(name: &str, data: &[u8]) {
    match find(name) {
        Some(target) => (target.run)(data),
        None => panic!("there is no fuzz target {name}"),
    }
}

/// The directory `fuzz/` of the repository.
pub fn fuzz_directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

/// The inputs of the corpus of a target with the names of their files, in order of their names.
///
/// # Errors
/// When there is no such directory, or a file cannot be read.
pub fn corpus(target: &str) -> std::io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(fuzz_directory().join("corpus").join(target))? {
        files.push(entry?.path());
    }
    files.sort();
    files
        .into_iter()
        .map(|file| Ok((file.clone(), std::fs::read(file)?)))
        .collect()
}
