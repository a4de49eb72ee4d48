//! A client on a connection to a server in this process, which sends the body of a request when the
//! test says so.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use oncilla_server::Peer;
use oncilla_server::connection::{self, ConnectionTimeouts};
use oncilla_server::front::{Front, FrontOptions};
use oncilla_server::in_flight::InFlightRequests;
use oncilla_server::metrics::Metrics;
use oncilla_server::s3::S3Service;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio_util::sync::CancellationToken;

use crate::support::World;

/// A pause between bytes that no timeout minds.
const PAUSE: Duration = Duration::from_secs(5);

/// The world's service behind connections, which share the world's memory.
pub struct Served(Arc<Front<S3Service>>);

impl Served {
    pub fn new(world: &World) -> Self {
        let (service, memory) = (world.service.clone(), world.memory.clone());
        let (options, metrics) = (FrontOptions::default(), Arc::new(Metrics::new()));
        Self(Arc::new(Front::new(
            service, None, options, memory, metrics,
        )))
    }

    /// Connects, and sends the head of a request.
    pub async fn begin(&self, request: &Request<Bytes>) -> SlowClient {
        let (near, far) = tokio::io::duplex(1 << 20);
        tokio::spawn(connection::serve(
            far,
            Peer::LocalSocket,
            None,
            Arc::clone(&self.0),
            Arc::new(InFlightRequests::default()),
            ConnectionTimeouts::default(),
            CancellationToken::new(),
        ));
        let (reader, writer) = tokio::io::split(near);
        let mut client = SlowClient { reader, writer };
        let target = request.uri();
        let mut head = format!("{} {target} HTTP/1.1\r\n", request.method());
        head.push_str("connection: close\r\n");
        for (name, value) in request.headers() {
            head.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
        }
        head.push_str("\r\n");
        client.send(head.as_bytes()).await;
        client
    }

    /// Sends half of a request, lets `meanwhile` happen, and sends the rest; gives the answer.
    pub async fn halve(
        &self,
        request: &Request<Bytes>,
        meanwhile: impl Future<Output = ()>,
    ) -> String {
        let (first, rest) = request.body().split_at(request.body().len() / 2);
        let mut client = self.begin(request).await;
        client.send(first).await;
        // A pause on a clock that stands still otherwise: the server waits for more.
        tokio::time::sleep(PAUSE).await;
        meanwhile.await;
        client.send(rest).await;
        client.answer().await
    }
}

pub struct SlowClient {
    reader: ReadHalf<DuplexStream>,
    writer: WriteHalf<DuplexStream>,
}

impl SlowClient {
    pub async fn send(&mut self, bytes: &[u8]) {
        self.writer.write_all(bytes).await.unwrap();
    }

    /// The whole answer, after which the server ends the connection.
    pub async fn answer(mut self) -> String {
        let mut answer = Vec::new();
        self.reader.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Sends a byte now and then until there is an answer, which it gives.
    pub async fn trickle(self, body: Bytes) -> String {
        let Self { reader, mut writer } = self;
        let trickling = tokio::spawn(async move {
            for byte in body {
                tokio::time::sleep(PAUSE).await;
                if writer.write_all(&[byte]).await.is_err() {
                    return;
                }
            }
        });
        let mut answer = Vec::new();
        let mut reader = reader;
        reader.read_to_end(&mut answer).await.unwrap();
        trickling.abort();
        String::from_utf8_lossy(&answer).into_owned()
    }
}
