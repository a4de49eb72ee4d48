//! Whole files: parts, resumption, verification, tidiness.

#![allow(
    clippy::unwrap_used,
    reason = "a test that fails should say so at once"
)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use oncilla_client::transfer::{
    Options, Verified, download_file, upload_file, upload_stream, verify_file,
};
use oncilla_client::{Error, GetObjectRequest, PutObjectRequest};
use oncilla_hash::{Checksum, ChecksumAlgorithm, Md5, hex};
use support::{Received, Reply, TestServer};

const MIB: usize = 1024 * 1024;

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 31 % 251) as u8).collect()
}

fn crc(data: &[u8]) -> String {
    Checksum::of(ChecksumAlgorithm::Crc64Nvme, data).to_base64()
}

fn get_request() -> GetObjectRequest {
    GetObjectRequest {
        bucket: "b".into(),
        key: "k".into(),
        ..Default::default()
    }
}

fn put_request() -> PutObjectRequest {
    PutObjectRequest {
        bucket: "b".into(),
        key: "k".into(),
        ..Default::default()
    }
}

fn small_parts() -> Options {
    Options {
        multipart_threshold_bytes: 6 * MIB as u64,
        part_bytes: 5 * MIB as u64,
        ..Options::new(3)
    }
}

/// Answers HEAD and ranged GET of one object.
fn object_reply(request: &Received, data: &[u8], headers: &[(&str, &str)]) -> Reply {
    let range = request.header("range").map(|range| {
        let (first, last) = range
            .strip_prefix("bytes=")
            .unwrap()
            .split_once('-')
            .unwrap();
        first.parse::<usize>().unwrap()..last.parse::<usize>().unwrap() + 1
    });
    let mut reply = match &range {
        Some(range) => Reply::new(206).body(&data[range.clone()]),
        None => Reply::new(200).body(data),
    };
    for (name, value) in headers {
        reply = reply.header(name, value);
    }
    reply
}

fn files_in(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[tokio::test]
async fn a_download_in_parts_survives_broken_connections_and_is_verified() {
    let data = content(12 * MIB + 5);
    let (served, checksum) = (data.clone(), crc(&data));
    let server = TestServer::start(move |request, number| {
        let headers = [
            ("etag", "\"e1\""),
            ("x-amz-checksum-crc64nvme", checksum.as_str()),
            ("x-amz-checksum-type", "FULL_OBJECT"),
            ("last-modified", "Tue, 14 Nov 2023 22:13:20 GMT"),
        ];
        let reply = object_reply(request, &served, &headers);
        match number {
            2 => Reply {
                cut_at: Some(2 * MIB),
                ..reply
            },
            3 => Reply {
                cut_at: Some(0),
                ..reply
            },
            _ => reply,
        }
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    let client = server.client(4);
    let (info, verified) = download_file(&client, &get_request(), &path, &small_parts())
        .await
        .unwrap();
    assert_eq!(verified, Verified::Checksum(ChecksumAlgorithm::Crc64Nvme));
    assert_eq!(std::fs::read(&path).unwrap(), data);
    assert_eq!(files_in(directory.path()), ["file"]);
    let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
    let since = modified.duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(since.as_secs(), 1_700_000_000);

    let gets: Vec<Received> = server
        .received()
        .into_iter()
        .filter(|request| request.method == "GET")
        .collect();
    assert_eq!(gets.len(), 5, "three parts and two continuations");
    assert!(
        gets.iter()
            .all(|request| request.header("if-match") == Some("\"e1\""))
    );

    verify_file(&client, &get_request(), &info, &path)
        .await
        .unwrap();
    std::fs::write(&path, "other").unwrap();
    let outcome = verify_file(&client, &get_request(), &info, &path).await;
    assert!(matches!(outcome, Err(Error::Integrity { .. })));
}

#[tokio::test]
async fn a_download_that_does_not_verify_leaves_nothing() {
    let data = content(1000);
    let wrong = crc(b"something else");
    let server = TestServer::start(move |request, _| {
        object_reply(
            request,
            &data,
            &[("etag", "\"e\""), ("x-amz-checksum-crc64nvme", &wrong)],
        )
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    std::fs::write(&path, "old").unwrap();
    let outcome = download_file(&server.client(2), &get_request(), &path, &small_parts()).await;
    assert!(
        matches!(outcome, Err(Error::Integrity { .. })),
        "{outcome:?}"
    );
    assert_eq!(std::fs::read(&path).unwrap(), b"old");
    assert_eq!(files_in(directory.path()), ["file"]);
}

#[tokio::test]
async fn an_object_that_changes_meanwhile_is_refused() {
    let data = content(1000);
    let server = TestServer::start(move |request, number| {
        let etag = if number == 0 { "\"one\"" } else { "\"two\"" };
        object_reply(request, &data, &[("etag", etag)])
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    let outcome = download_file(&server.client(2), &get_request(), &path, &small_parts()).await;
    assert!(matches!(outcome, Err(Error::Changed { .. })), "{outcome:?}");
    assert!(files_in(directory.path()).is_empty());
}

#[tokio::test]
async fn an_endpoint_that_ignores_ranges_is_refused() {
    let data = content(7 * MIB);
    let server =
        TestServer::start(move |_, _| Reply::new(200).header("etag", "\"e\"").body(data.clone()))
            .await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    let outcome = download_file(&server.client(2), &get_request(), &path, &small_parts()).await;
    assert!(
        matches!(outcome, Err(Error::Integrity { .. })),
        "{outcome:?}"
    );
    assert!(files_in(directory.path()).is_empty());
}

#[tokio::test]
async fn a_composite_etag_is_checked_with_the_sizes_of_the_parts() {
    let data = content(1000);
    // Uneven parts, so that the first one's size does not tell the others'.
    let sizes = [300_usize, 500, 200];
    let mut digests = Vec::new();
    let mut at = 0;
    for size in sizes {
        digests.extend_from_slice(&Md5::digest(&data[at..at + size]));
        at += size;
    }
    let etag = format!("\"{}-3\"", hex::encode(&Md5::digest(&digests)));
    let server = TestServer::start(move |request, _| match request.parameter("partNumber") {
        Some(number) => {
            let size = sizes[number.parse::<usize>().unwrap() - 1];
            Reply::new(206)
                .header("etag", &etag)
                .header("x-amz-mp-parts-count", "3")
                .body(vec![0; size])
        }
        None => object_reply(request, &data, &[("etag", &etag)]),
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    let (_, verified) = download_file(&server.client(1), &get_request(), &path, &small_parts())
        .await
        .unwrap();
    assert_eq!(verified, Verified::CompositeMd5);
}

/// A multipart endpoint that keeps parts, decoded from their framing.
#[derive(Clone, Default)]
struct Multipart {
    parts: Arc<Mutex<BTreeMap<u32, Vec<u8>>>>,
}

impl Multipart {
    fn reply(&self, request: &Received) -> Reply {
        let part_number = request
            .parameter("partNumber")
            .map(|number| number.parse().unwrap());
        match (request.method.as_str(), part_number) {
            ("POST", _) if request.target.contains("uploads=") => Reply::new(200).body(
                "<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>k</Key><UploadId>U1</UploadId></InitiateMultipartUploadResult>",
            ),
            ("PUT", Some(number)) => {
                let data = decode(request);
                let reply = Reply::new(200)
                    .header("etag", &format!("\"{}\"", hex::encode(&Md5::digest(&data))))
                    .header("x-amz-checksum-crc64nvme", &crc(&data));
                self.parts.lock().unwrap().insert(number, data);
                reply
            }
            ("POST", _) => Reply::new(200).body(
                "<CompleteMultipartUploadResult><Bucket>b</Bucket><Key>k</Key><ETag>&quot;whole&quot;</ETag></CompleteMultipartUploadResult>",
            ),
            ("GET", _) if request.target.contains("uploads=") => Reply::new(200).body(
                "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated><Upload><Key>k2</Key><UploadId>other</UploadId><Initiated>2026-01-03T00:00:00.000Z</Initiated></Upload><Upload><Key>k</Key><UploadId>U1</UploadId><Initiated>2026-01-02T00:00:00.000Z</Initiated></Upload></ListMultipartUploadsResult>",
            ),
            ("GET", _) => {
                let parts = self.parts.lock().unwrap();
                let listed: String = parts
                    .iter()
                    .map(|(number, data)| {
                        format!(
                            "<Part><PartNumber>{number}</PartNumber><ETag>&quot;{}&quot;</ETag><Size>{}</Size></Part>",
                            hex::encode(&Md5::digest(data)),
                            data.len()
                        )
                    })
                    .collect();
                Reply::new(200).body(format!(
                    "<ListPartsResult><IsTruncated>false</IsTruncated>{listed}</ListPartsResult>"
                ))
            }
            ("DELETE", _) => Reply::new(204),
            _ => Reply::error(400, "InvalidRequest"),
        }
    }

    fn whole(&self) -> Vec<u8> {
        self.parts
            .lock()
            .unwrap()
            .values()
            .flatten()
            .copied()
            .collect()
    }
}

/// The payload of an aws-chunked body.
fn decode(request: &Received) -> Vec<u8> {
    if request.header("x-amz-decoded-content-length").is_none() {
        return request.body.clone();
    }
    let mut data = Vec::new();
    let mut rest = &request.body[..];
    loop {
        let line_end = rest
            .windows(2)
            .position(|window| window == b"\r\n")
            .unwrap();
        let line = std::str::from_utf8(&rest[..line_end]).unwrap();
        let length = usize::from_str_radix(line.split(';').next().unwrap(), 16).unwrap();
        if length == 0 {
            return data;
        }
        let start = line_end + 2;
        data.extend_from_slice(&rest[start..start + length]);
        rest = &rest[start + length + 2..];
    }
}

fn write_file(directory: &tempfile::TempDir, data: &[u8]) -> std::path::PathBuf {
    let path = directory.path().join("file");
    std::fs::write(&path, data).unwrap();
    path
}

#[tokio::test]
async fn an_upload_in_parts_states_the_checksum_of_the_whole() {
    let data = content(12 * MIB + 5);
    let endpoint = Multipart::default();
    let answering = endpoint.clone();
    let server = TestServer::start(move |request, _| answering.reply(request)).await;
    let directory = tempfile::tempdir().unwrap();
    let path = write_file(&directory, &data);
    let output = upload_file(&server.client(2), &path, &put_request(), &small_parts())
        .await
        .unwrap();
    assert_eq!(output.etag, "whole");
    assert_eq!(endpoint.whole(), data);
    let received = server.received();
    let complete = received.last().unwrap();
    assert_eq!(
        complete.header("x-amz-checksum-crc64nvme"),
        Some(crc(&data).as_str())
    );
    assert_eq!(
        complete.header("x-amz-mp-object-size"),
        Some(data.len().to_string().as_str())
    );
    assert_eq!(received.len(), 5, "create, three parts, complete");
}

#[tokio::test]
async fn a_failed_upload_is_aborted_unless_it_may_be_resumed() {
    let data = content(7 * MIB);
    for resume in [false, true] {
        let endpoint = Multipart::default();
        let server = TestServer::start(move |request, _| match request.parameter("partNumber") {
            Some("2") => Reply::error(403, "AccessDenied"),
            _ => endpoint.reply(request),
        })
        .await;
        let directory = tempfile::tempdir().unwrap();
        let path = write_file(&directory, &data);
        let options = Options {
            resume,
            ..small_parts()
        };
        let outcome = upload_file(&server.client(1), &path, &put_request(), &options).await;
        assert!(matches!(outcome, Err(Error::Auth(_))), "{outcome:?}");
        let aborted = server
            .received()
            .iter()
            .any(|request| request.method == "DELETE");
        assert_eq!(aborted, !resume);
    }
}

#[tokio::test]
async fn a_cancelled_upload_is_aborted() {
    let endpoint = Multipart::default();
    let options = small_parts();
    let cancel = options.cancel.clone();
    let server = TestServer::start(move |request, _| {
        if request.parameter("partNumber").is_some() {
            cancel.cancel();
        }
        endpoint.reply(request)
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    let path = write_file(&directory, &content(30 * MIB));
    let outcome = upload_file(&server.client(1), &path, &put_request(), &options).await;
    assert!(matches!(outcome, Err(Error::Interrupted)), "{outcome:?}");
    assert!(
        server
            .received()
            .iter()
            .any(|request| request.method == "DELETE")
    );
}

#[tokio::test]
async fn a_resumed_upload_sends_only_what_is_missing_or_different() {
    let data = content(17 * MIB);
    let endpoint = Multipart::default();
    {
        let mut parts = endpoint.parts.lock().unwrap();
        parts.insert(1, data[..5 * MIB].to_vec());
        parts.insert(2, vec![9; 5 * MIB]);
    }
    let answering = endpoint.clone();
    let server = TestServer::start(move |request, _| answering.reply(request)).await;
    let directory = tempfile::tempdir().unwrap();
    let path = write_file(&directory, &data);
    let options = Options {
        resume: true,
        ..small_parts()
    };
    upload_file(&server.client(1), &path, &put_request(), &options)
        .await
        .unwrap();
    assert_eq!(endpoint.whole(), data);
    let mut sent: Vec<String> = server
        .received()
        .iter()
        .filter(|request| request.method == "PUT")
        .map(|request| request.parameter("partNumber").unwrap().to_owned())
        .collect();
    sent.sort();
    assert_eq!(sent, ["2", "3", "4"]);
}

#[tokio::test]
async fn streams_become_one_object_or_many_parts() {
    for (length, requests) in [(100, 1), (11 * MIB, 5)] {
        let data = content(length);
        let endpoint = Multipart::default();
        let answering = endpoint.clone();
        let server = TestServer::start(move |request, _| match request.method.as_str() {
            "PUT" if request.parameter("partNumber").is_none() => {
                answering
                    .parts
                    .lock()
                    .unwrap()
                    .insert(1, request.body.clone());
                Reply::new(200).header("etag", "\"one\"")
            }
            _ => answering.reply(request),
        })
        .await;
        let pieces: Vec<std::io::Result<bytes::Bytes>> = data
            .chunks(MIB / 3)
            .map(|piece| Ok(bytes::Bytes::copy_from_slice(piece)))
            .collect();
        let source = Box::pin(futures_util::stream::iter(pieces));
        upload_stream(
            &server.client(1),
            source,
            None,
            &put_request(),
            &small_parts(),
        )
        .await
        .unwrap();
        assert_eq!(endpoint.whole(), data);
        assert_eq!(server.received().len(), requests);
    }
}
