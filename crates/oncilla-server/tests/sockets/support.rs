//! A server with a small service, and a client that is nothing but a socket, so that each test
//! decides every byte and every pause.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request, Response, StatusCode};
use oncilla_server::admin::readiness::Readiness;
use oncilla_server::admin::{self, OwnPages};
use oncilla_server::front::{Front, FrontOptions};
use oncilla_server::metrics::Metrics;
use oncilla_server::server::{Server, ServerOptions};
use oncilla_server::{BodyError, MemoryBudget, RequestBody, RequestContext, ResponseBody, Service};

/// Answers by path, so that a test can choose a behaviour.
pub struct EchoService;

impl Service for EchoService {
    async fn handle(
        &self,
        request: Request<RequestBody>,
        context: RequestContext,
    ) -> Response<ResponseBody> {
        let path = request.uri().path().to_owned();
        let number = path
            .rsplit('/')
            .next()
            .and_then(|n| n.parse().ok())
            .unwrap_or(0u64);
        let is_head = request.method() == Method::HEAD;
        let mut body = request.into_body();
        context.facts.note_operation("Echo");
        let (status, answer) = match path.split('/').nth(1).unwrap_or_default() {
            "bytes" => (
                StatusCode::OK,
                ResponseBody::stream(number, stream::iter(pieces(number))),
            ),
            "slow" => {
                let slowly = stream::unfold(number, |left| async move {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    (left > 0).then(|| (Ok(Bytes::from_static(b"x")), left - 1))
                });
                (StatusCode::OK, ResponseBody::stream(number, slowly))
            }
            "broken" => (
                StatusCode::OK,
                ResponseBody::stream(number, stream::iter(pieces(number / 2))),
            ),
            "wait" => {
                tokio::time::sleep(Duration::from_millis(number)).await;
                (StatusCode::OK, ResponseBody::from("waited"))
            }
            "refuse" => (StatusCode::FORBIDDEN, ResponseBody::from("refused")),
            "echo" => {
                let mut received = Vec::new();
                loop {
                    match body.next().await {
                        Some(Ok(data)) => received.extend_from_slice(&data),
                        Some(Err(error)) => {
                            break (StatusCode::BAD_REQUEST, name_of(&error).into());
                        }
                        None => break (StatusCode::OK, ResponseBody::from(received)),
                    }
                }
            }
            _ => (StatusCode::NOT_FOUND, ResponseBody::Empty),
        };
        let answer = if is_head { ResponseBody::Empty } else { answer };
        let mut response = Response::new(answer);
        *response.status_mut() = status;
        if is_head {
            response
                .headers_mut()
                .insert("content-length", number.into());
        }
        response
    }
}

fn name_of(error: &BodyError) -> &'static str {
    match error {
        BodyError::Stalled { .. } => "stalled",
        BodyError::TooSlow => "too slow",
        BodyError::TooLarge { .. } => "too large",
        BodyError::Incomplete { .. } => "incomplete",
    }
}

fn pieces(length: u64) -> Vec<std::io::Result<Bytes>> {
    const PIECE: u64 = 64 << 10;
    let whole = (0..length / PIECE).map(|_| PIECE);
    let sizes = whole.chain((!length.is_multiple_of(PIECE)).then_some(length % PIECE));
    sizes
        .map(|size| Ok(Bytes::from(vec![b'x'; usize::try_from(size).unwrap()])))
        .collect()
}

pub struct TestServer {
    pub server: Server,
    pub metrics: Arc<Metrics>,
    pub readiness: Arc<Readiness>,
}

pub fn on_loopback() -> ServerOptions {
    ServerOptions {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        ..ServerOptions::default()
    }
}

pub fn start(options: ServerOptions, front_options: FrontOptions) -> TestServer {
    let metrics = Arc::new(Metrics::new());
    let memory = MemoryBudget::new(front_options.memory_bytes);
    let readiness = Arc::new(Readiness::new());
    let pages = admin::router(OwnPages {
        readiness: Arc::clone(&readiness),
        metrics: Arc::clone(&metrics),
        memory: memory.clone(),
        metrics_public: false,
    });
    let front = Front::new(
        EchoService,
        Some(pages),
        front_options,
        memory,
        Arc::clone(&metrics),
    );
    let server = Server::start(options, front).unwrap();
    TestServer {
        server,
        metrics,
        readiness,
    }
}

impl TestServer {
    pub fn address(&self) -> SocketAddr {
        self.server.addresses()[0]
    }

    pub fn connect(&self) -> Client<TcpStream> {
        Client::connect(self.address())
    }

    pub fn stop(self) {
        self.server.shut_down(Duration::from_secs(5), || false);
    }
}

/// An answer as it came.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let named = |line: &&str| {
            line.split_once(':')
                .is_some_and(|(found, _)| found.eq_ignore_ascii_case(name))
        };
        self.head
            .lines()
            .find(named)
            .map(|line| line.split_once(':').unwrap().1.trim())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// How long a test waits for what the server does by itself before it fails.
const SERVER_PATIENCE: Duration = Duration::from_secs(20);

pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < SERVER_PATIENCE, "waited for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// How long a test waits for a byte before it fails.
const CLIENT_PATIENCE: Duration = Duration::from_secs(20);

pub struct Client<T> {
    pub stream: T,
    unread: Vec<u8>,
}

impl Client<TcpStream> {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(CLIENT_PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream)
    }
}

impl<T: Read + Write> Client<T> {
    pub fn over(stream: T) -> Self {
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
        self.stream.flush().unwrap();
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        self.answer()
    }

    /// Reads up to the end of a head, which is returned.
    pub fn head(&mut self) -> String {
        loop {
            if let Some(end) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                let rest = self.unread.split_off(end + 4);
                let head = std::mem::replace(&mut self.unread, rest);
                return String::from_utf8(head).unwrap();
            }
            assert!(
                self.read_some() > 0,
                "closed before a head: {:?}",
                self.unread
            );
        }
    }

    pub fn answer(&mut self) -> Answer {
        let head = self.head();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer {
            status,
            head,
            body: Vec::new(),
        };
        let length: usize = answer
            .header("content-length")
            .map_or(0, |n| n.parse().unwrap());
        while self.unread.len() < length {
            assert!(
                self.read_some() > 0,
                "closed after {} of {length}",
                self.unread.len()
            );
        }
        let rest = self.unread.split_off(length);
        answer.body = std::mem::replace(&mut self.unread, rest);
        answer
    }

    /// Whether the server closes the connection without another byte.
    pub fn is_closed(&mut self) -> bool {
        self.unread.is_empty() && self.read_some() == 0
    }

    /// Reads some bytes; 0 when the connection was closed or reset.
    pub fn read_some(&mut self) -> usize {
        let mut buffer = [0; 16 << 10];
        match self.stream.read(&mut buffer) {
            Ok(length) => {
                self.unread.extend_from_slice(&buffer[..length]);
                length
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => 0,
            Err(error) => panic!("{error}"),
        }
    }
}
