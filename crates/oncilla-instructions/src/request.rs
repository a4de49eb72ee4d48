//! Whole requests, from the bytes on the connection to the bytes of the answer: HTTP, limits,
//! signature, authorization, handler, store, metrics. The connection is a pipe in memory.

use std::sync::Arc;

use oncilla_iam::Iam;
use oncilla_server::connection::{self, ConnectionTimeouts};
use oncilla_server::front::{Front, FrontOptions};
use oncilla_server::in_flight::InFlightRequests;
use oncilla_server::metrics::Metrics;
use oncilla_server::s3::{S3Options, S3Service};
use oncilla_server::{MemoryBudget, Peer};
use oncilla_wire::sigv4::Credentials;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::count;
use crate::protocol::{NOW_S, signed_headers};
use crate::store;

const BODY_BYTES: usize = 4 << 10;

/// Of the pipe and of the client: more than any request or answer here.
const BUFFER_BYTES: usize = 64 << 10;

/// A client whose server runs in the same thread.
struct Client {
    runtime: Runtime,
    pipe: DuplexStream,
    credentials: Credentials,
    buffer: Vec<u8>,
}

impl Client {
    fn new() -> Self {
        let runtime = store::runtime();
        let (pipe, far_end) = tokio::io::duplex(BUFFER_BYTES);
        let credentials = runtime.block_on(async {
            let (store, engine) = store::open().await;
            let iam = Iam::new(engine, Arc::new(|| NOW_S as u64 * 1000));
            let root = iam.ensure_root(None).await.unwrap();
            let options = S3Options {
                domains: vec!["localhost".to_owned()],
                region: "auto".to_owned(),
                presign_expiry_max_s: 7 * 24 * 3600,
                customer_keys_over_http: Default::default(),
                default_kms_key: true,
            };
            let service = S3Service::new(store, iam, options);
            let options = FrontOptions::default();
            let memory = MemoryBudget::new(options.memory_bytes);
            let front = Front::new(service, None, options, memory, Arc::new(Metrics::new()));
            tokio::spawn(connection::serve(
                far_end,
                Peer::LocalSocket,
                false,
                Arc::new(front),
                Arc::new(InFlightRequests::default()),
                ConnectionTimeouts::default(),
                CancellationToken::new(),
            ));
            let key = root.key.unwrap();
            Credentials {
                access_key_id: key.id().to_owned(),
                secret_access_key: key.secret.expose().to_owned(),
                session_token: None,
            }
        });
        let mut client = Self {
            runtime,
            pipe,
            credentials,
            buffer: vec![0; BUFFER_BYTES],
        };
        let create = client.request("PUT", "/bucket", b"");
        client.exchange(&create);
        client
    }

    fn request(&self, method: &str, target: &str, body: &[u8]) -> Vec<u8> {
        let headers = signed_headers(&self.credentials, method, target, body);
        let mut bytes = format!("{method} {target} HTTP/1.1\r\n").into_bytes();
        for (name, value) in &headers {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(body);
        bytes
    }

    /// Sends a request and reads its answer, which has to be 200.
    fn exchange(&mut self, request: &[u8]) {
        let (pipe, buffer) = (&mut self.pipe, &mut self.buffer);
        self.runtime.block_on(async {
            pipe.write_all(request).await.unwrap();
            let mut filled = 0;
            let (head_end, body_bytes) = loop {
                let read = pipe.read(&mut buffer[filled..]).await.unwrap();
                assert!(read > 0, "the server closed the connection");
                filled += read;
                if let Some(lengths) = lengths(&buffer[..filled]) {
                    break lengths;
                }
            };
            while filled < head_end + body_bytes {
                filled += pipe.read(&mut buffer[filled..]).await.unwrap();
            }
        });
        let status = self.buffer.get(..12);
        assert_eq!(status, Some(&b"HTTP/1.1 200"[..]), "refused");
    }
}

/// The lengths of head and body of an answer, once its head is complete.
fn lengths(answer: &[u8]) -> Option<(usize, usize)> {
    let head_end = memchr::memmem::find(answer, b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&answer[..head_end]).unwrap();
    let mut lines = head.lines();
    let length = lines.find_map(|line| line.strip_prefix("content-length: "));
    Some((head_end, length.map_or(0, |text| text.parse().unwrap())))
}

pub fn get_4_kib(repetitions: usize) {
    let mut client = Client::new();
    let put = client.request("PUT", "/bucket/key", &[b'x'; BODY_BYTES]);
    client.exchange(&put);
    let get = client.request("GET", "/bucket/key", b"");
    count(repetitions, || client.exchange(&get));
}

pub fn put_4_kib(repetitions: usize) {
    let mut client = Client::new();
    let put = client.request("PUT", "/bucket/key", &[b'x'; BODY_BYTES]);
    count(repetitions, || client.exchange(&put));
}
