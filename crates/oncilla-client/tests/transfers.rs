//! Whole files: parts, resumption, verification, tidiness.

#![allow(
    clippy::unwrap_used,
    reason = "a test that fails should say so at once"
)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use oncilla_client::transfer::{
    Options, Verified, copy_object, download_file, upload_file, upload_stream, verify_file,
};
use oncilla_client::{
    CopyObjectRequest, CustomerKey, Error, GetObjectRequest, ObjectAttributes, PutObjectOutput,
    PutObjectRequest,
};
use oncilla_hash::{Checksum, ChecksumAlgorithm, Md5, hex};
use support::{MIB, Received, Reply, TestServer, small_parts};

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
    refuses: Arc<AtomicBool>,
}

impl Multipart {
    fn refuse(&self, refuses: bool) {
        self.refuses.store(refuses, Ordering::Relaxed);
    }

    fn refuses(&self) -> bool {
        self.refuses.load(Ordering::Relaxed)
    }

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
            ("GET", _) if request.target.contains("tagging=") => {
                Reply::new(200).body("<Tagging><TagSet></TagSet></Tagging>")
            }
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
            resume: resume.then(|| directory.path().join("records")),
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

/// An upload of 17 MiB that failed at its first part and was left behind, with what it needs to go on.
struct Interrupted {
    endpoint: Multipart,
    server: TestServer,
    directory: tempfile::TempDir,
    data: Vec<u8>,
    options: Options,
    notices: Arc<Mutex<Vec<String>>>,
}

impl Interrupted {
    async fn new(request: &PutObjectRequest) -> Self {
        let endpoint = Multipart::default();
        let answering = endpoint.clone();
        let server = TestServer::start(move |request, _| match request.method.as_str() {
            "PUT" if answering.refuses() => Reply::error(403, "AccessDenied"),
            _ => answering.reply(request),
        })
        .await;
        let directory = tempfile::tempdir().unwrap();
        let data = content(17 * MIB);
        write_file(&directory, &data);
        let notices: Arc<Mutex<Vec<String>>> = Arc::default();
        let told = notices.clone();
        let options = Options {
            resume: Some(directory.path().join("records")),
            notice: Some(Arc::new(move |text: &str| {
                told.lock().unwrap().push(text.to_owned());
            })),
            // One part after the other: none is under way any more when the first has failed.
            concurrency: 1,
            ..small_parts()
        };
        let this = Self {
            endpoint,
            server,
            directory,
            data,
            options,
            notices,
        };
        this.endpoint.refuse(true);
        this.upload(request).await.unwrap_err();
        this.endpoint.refuse(false);
        this.notices.lock().unwrap().clear();
        this
    }

    async fn upload(&self, request: &PutObjectRequest) -> Result<String, Error> {
        let path = self.directory.path().join("file");
        let output = upload_file(&self.server.client(1), &path, request, &self.options).await?;
        Ok(output.etag)
    }

    fn records(&self) -> usize {
        files_in(&self.directory.path().join("records")).len()
    }

    /// How many requests had this method and this in their target.
    fn count(&self, method: &str, part: &str) -> usize {
        let received = self.server.received();
        let is_one =
            |request: &&Received| request.method == method && request.target.contains(part);
        received.iter().filter(is_one).count()
    }
}

#[tokio::test]
async fn a_resumed_upload_sends_only_what_is_missing_or_different() {
    let upload = Interrupted::new(&put_request()).await;
    assert_eq!(upload.records(), 1);
    let sent_before = upload.server.received().len();
    {
        let mut parts = upload.endpoint.parts.lock().unwrap();
        parts.insert(1, upload.data[..5 * MIB].to_vec());
        parts.insert(2, vec![9; 5 * MIB]);
    }
    upload.upload(&put_request()).await.unwrap();
    assert_eq!(upload.endpoint.whole(), upload.data);
    let mut sent: Vec<String> = upload.server.received()[sent_before..]
        .iter()
        .filter(|request| request.method == "PUT")
        .map(|request| request.parameter("partNumber").unwrap().to_owned())
        .collect();
    sent.sort();
    assert_eq!(sent, ["2", "3", "4"]);
    assert_eq!(upload.count("POST", "uploads="), 1);
    assert_eq!(upload.count("DELETE", ""), 0);
    assert_eq!(upload.records(), 0);
    assert!(upload.notices.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_upload_is_not_resumed_with_other_attributes() {
    let attributes = |change: fn(&mut ObjectAttributes)| {
        let mut request = put_request();
        change(&mut request.attributes);
        request
    };
    for other in [
        attributes(|attributes| attributes.acl = Some("public-read".into())),
        attributes(|attributes| attributes.server_side_encryption = Some("AES256".into())),
        attributes(|attributes| attributes.storage_class = Some("GLACIER".into())),
        attributes(|attributes| attributes.website_redirect = Some("/other".into())),
        attributes(|attributes| attributes.tags = vec![("r".into(), "2".into())]),
        attributes(|attributes| attributes.metadata = [("a".into(), "b".into())].into()),
        attributes(|attributes| attributes.content_type = Some("text/plain".into())),
        attributes(|attributes| attributes.customer_key = Some(CustomerKey::new(&[1; 32]))),
    ] {
        let upload = Interrupted::new(&other).await;
        upload.upload(&put_request()).await.unwrap();
        assert_eq!(upload.count("DELETE", "uploadId=U1"), 1, "{other:?}");
        assert_eq!(upload.count("POST", "uploads="), 2, "{other:?}");
        assert_eq!(upload.endpoint.whole(), upload.data);
        let notices = upload.notices.lock().unwrap().join("\n");
        assert!(notices.contains("other flags"), "{notices}");
    }
    let key = |byte| PutObjectRequest {
        attributes: ObjectAttributes {
            customer_key: Some(CustomerKey::new(&[byte; 32])),
            ..ObjectAttributes::default()
        },
        ..put_request()
    };
    let upload = Interrupted::new(&key(1)).await;
    upload.upload(&key(2)).await.unwrap();
    assert_eq!(upload.count("POST", "uploads="), 2);
}

#[tokio::test]
async fn an_upload_of_somebody_else_is_left_alone() {
    let upload = Interrupted::new(&put_request()).await;
    let records = upload.directory.path().join("records");
    std::fs::remove_dir_all(&records).unwrap();
    upload.upload(&put_request()).await.unwrap();
    assert_eq!(upload.count("POST", "uploads="), 2);
    assert_eq!(upload.count("DELETE", ""), 0);
    let notices = upload.notices.lock().unwrap().join("\n");
    assert!(notices.contains("left alone"), "{notices}");
}

#[tokio::test]
async fn an_upload_that_cannot_be_remembered_is_not_left_behind() {
    let endpoint = Multipart::default();
    let server = TestServer::start(move |request, _| match request.parameter("partNumber") {
        Some(_) => Reply::error(403, "AccessDenied"),
        _ => endpoint.reply(request),
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    let path = write_file(&directory, &content(7 * MIB));
    let options = Options {
        // A file is no folder.
        resume: Some(path.clone()),
        ..small_parts()
    };
    let outcome = upload_file(&server.client(1), &path, &put_request(), &options).await;
    assert!(matches!(outcome, Err(Error::Auth(_))), "{outcome:?}");
    let received = server.received();
    assert!(received.iter().any(|request| request.method == "DELETE"));
}

/// Gives an object another Cache-Control by a copy onto itself.
fn copy_request() -> CopyObjectRequest {
    CopyObjectRequest {
        source_bucket: "b".into(),
        source_key: "k".into(),
        bucket: "b".into(),
        key: "k".into(),
        attributes: ObjectAttributes {
            cache_control: Some("max-age=9".into()),
            ..ObjectAttributes::default()
        },
        replace_metadata: true,
        ..CopyObjectRequest::default()
    }
}

/// Copies an object of which HEAD tells this, and returns the outcome and what was asked for.
async fn copy_of(
    head: Reply,
    copy: &CopyObjectRequest,
) -> (Result<PutObjectOutput, Error>, Vec<Received>) {
    let endpoint = Multipart::default();
    let server = TestServer::start(move |request, _| match request.method.as_str() {
        "HEAD" => head.clone(),
        "PUT" => Reply::new(200).body("<CopyPartResult><ETag>\"e\"</ETag></CopyPartResult>"),
        _ => endpoint.reply(request),
    })
    .await;
    let outcome = copy_object(&server.client(1), copy, &small_parts()).await;
    (outcome, server.received())
}

/// The request that says what a copy is to have: the first one that writes.
fn first_write(received: Vec<Received>) -> Received {
    let is_write = |request: &Received| matches!(request.method.as_str(), "PUT" | "POST");
    received.into_iter().find(is_write).unwrap()
}

/// Copies an object with headers, metadata and a class of `bytes` bytes, and returns the request that
/// says what the copy is to have.
async fn copied(bytes: u64, copy: &CopyObjectRequest) -> Received {
    let head = Reply {
        head_bytes: Some(bytes),
        ..Reply::new(200)
            .header("etag", "\"e\"")
            .header("content-type", "text/plain")
            .header("cache-control", "max-age=1")
            .header("content-language", "fr")
            .header("expires", "Thu, 01 Dec 2033 16:00:00 GMT")
            .header("x-amz-storage-class", "STANDARD_IA")
            .header("x-amz-website-redirect-location", "/other")
            .header("x-amz-meta-kept", "yes")
            .header("x-amz-meta-changed", "old")
    };
    let (outcome, received) = copy_of(head, copy).await;
    outcome.unwrap();
    first_write(received)
}

#[tokio::test]
async fn a_copy_keeps_what_is_not_named() {
    let mut copy = copy_request();
    copy.attributes.metadata = [("changed".into(), "new".into())].into();
    for bytes in [10, 6 << 30] {
        let request = copied(bytes, &copy).await;
        for (name, value) in [
            ("content-type", "text/plain"),
            ("cache-control", "max-age=9"),
            ("content-language", "fr"),
            ("expires", "Thu, 01 Dec 2033 16:00:00 GMT"),
            ("x-amz-storage-class", "STANDARD_IA"),
            ("x-amz-website-redirect-location", "/other"),
            ("x-amz-meta-kept", "yes"),
            ("x-amz-meta-changed", "new"),
        ] {
            assert_eq!(request.header(name), Some(value), "{name} of {bytes} bytes");
        }
    }
    copy.attributes.storage_class = Some("GLACIER".into());
    let request = copied(10, &copy).await;
    assert_eq!(request.header("x-amz-storage-class"), Some("GLACIER"));

    // Without the directive the endpoint keeps the headers, and class and redirect are still to be said.
    copy.replace_metadata = false;
    copy.attributes.storage_class = None;
    let request = copied(10, &copy).await;
    assert_eq!(request.header("x-amz-metadata-directive"), None);
    assert_eq!(request.header("cache-control"), None);
    assert_eq!(request.header("x-amz-storage-class"), Some("STANDARD_IA"));
    let request = copied(6 << 30, &copy).await;
    assert_eq!(request.header("cache-control"), Some("max-age=1"));
    assert_eq!(request.header("x-amz-meta-changed"), Some("old"));
}

const REDIRECT: &str = "x-amz-website-redirect-location";

/// S3 gives it to no copy by itself.
#[tokio::test]
async fn every_copy_repeats_the_redirect_unless_another_one_is_named() {
    for replace_metadata in [false, true] {
        for bytes in [10, 6 << 30] {
            let mut copy = CopyObjectRequest {
                replace_metadata,
                ..copy_request()
            };
            let request = copied(bytes, &copy).await;
            assert_eq!(request.header(REDIRECT), Some("/other"), "{copy:?}");
            copy.attributes.website_redirect = Some("/own".into());
            let request = copied(bytes, &copy).await;
            assert_eq!(request.header(REDIRECT), Some("/own"), "{copy:?}");
        }
    }
}

#[tokio::test]
async fn no_copy_repeats_a_redirect_that_is_no_utf8() {
    for replace_metadata in [false, true] {
        for bytes in [10, 6 << 30] {
            let head = || Reply {
                head_bytes: Some(bytes),
                ..Reply::new(200)
                    .header("etag", "\"e\"")
                    .raw_header(REDIRECT, b"/caf\xe9")
            };
            let mut copy = CopyObjectRequest {
                replace_metadata,
                ..copy_request()
            };
            let (outcome, received) = copy_of(head(), &copy).await;
            assert!(
                matches!(&outcome, Err(Error::Config(message)) if message.contains(REDIRECT)),
                "{outcome:?}"
            );
            assert_eq!(received.len(), 1);
            copy.attributes.website_redirect = Some("/own".into());
            copy_of(head(), &copy).await.0.unwrap();
        }
    }
}

#[tokio::test]
async fn a_copy_may_demand_that_there_is_no_object_yet() {
    let copy = CopyObjectRequest {
        if_none_match: Some("*".into()),
        ..copy_request()
    };
    for (bytes, written_by) in [(10, "PUT"), (6 << 30, "POST")] {
        let head = Reply {
            head_bytes: Some(bytes),
            ..Reply::new(200).header("etag", "\"e\"")
        };
        let (outcome, received) = copy_of(head, &copy).await;
        outcome.unwrap();
        let last = received.last().unwrap();
        assert_eq!(last.method, written_by);
        assert_eq!(last.header("if-none-match"), Some("*"));
    }
}

#[tokio::test]
async fn a_conditional_copy_is_not_repeated_once_it_may_have_happened() {
    let server = TestServer::start(|_, _| Reply {
        hang_up: true,
        ..Reply::default()
    })
    .await;
    let copy = CopyObjectRequest {
        if_none_match: Some("*".into()),
        ..copy_request()
    };
    let outcome = server.client(5).copy_object(&copy).await;
    assert!(matches!(outcome, Err(Error::Network { .. })), "{outcome:?}");
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn metadata_that_would_be_lost_is_no_copy() {
    let head = Reply::new(200)
        .header("etag", "\"e\"")
        .header("x-amz-missing-meta", "1");
    let (outcome, received) = copy_of(head, &copy_request()).await;
    assert!(matches!(outcome, Err(Error::Config(_))), "{outcome:?}");
    assert_eq!(received.len(), 1);
}

/// Headers that a copy repeats, and whose values their writers choose freely.
const REPEATED: [&str; 3] = ["content-type", "content-disposition", "x-amz-meta-name"];

#[tokio::test]
async fn a_copy_repeats_utf8_as_it_is() {
    // The second one is what bytes that are no UTF-8 are shown as, and is UTF-8.
    for value in ["J\u{e9}r\u{f4}me", "\u{fffd}"] {
        let mut head = Reply::new(200).header("etag", "\"e\"");
        for name in REPEATED {
            head = head.header(name, value);
        }
        let (outcome, received) = copy_of(head, &copy_request()).await;
        outcome.unwrap();
        let request = first_write(received);
        for name in REPEATED {
            assert_eq!(request.header(name), Some(value), "{name}");
        }
    }
}

#[tokio::test]
async fn a_copy_repeats_nothing_that_is_no_utf8() {
    for name in REPEATED {
        let head = |bytes| Reply {
            head_bytes: Some(bytes),
            ..Reply::new(200)
                .header("etag", "\"e\"")
                .raw_header(name, b"caf\xe9")
        };
        let mut copy = copy_request();
        let (outcome, received) = copy_of(head(10), &copy).await;
        assert!(
            matches!(&outcome, Err(Error::Config(message)) if message.contains(name)),
            "{outcome:?}"
        );
        assert_eq!(received.len(), 1);
        // What is given anew is not repeated.
        copy.attributes.content_type = Some("text/plain".into());
        copy.attributes.content_disposition = Some("inline".into());
        copy.attributes.metadata = [("name".into(), "new".into())].into();
        for bytes in [10, 6 << 30] {
            copy_of(head(bytes), &copy).await.0.unwrap();
        }
        // Without the directive the endpoint keeps it, but not in a copy in parts.
        copy.replace_metadata = false;
        copy_of(head(10), &copy).await.0.unwrap();
        let (outcome, _) = copy_of(head(6 << 30), &copy).await;
        assert!(matches!(outcome, Err(Error::Config(_))), "{outcome:?}");
    }
    // A header that is not the object's is not repeated.
    let head = Reply::new(200)
        .header("etag", "\"e\"")
        .raw_header("server", b"caf\xe9");
    copy_of(head, &copy_request()).await.0.unwrap();
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
