//! A whole server on a store in memory, and clients that administer it: through the socket file,
//! signed over TCP, or in some forged way.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use oncilla_blob::testing::FaultyFileSystem;
use oncilla_blob::{VolumeOptions, Volumes};
use oncilla_hash::{ChecksumAlgorithm, Sha256};
use oncilla_iam::{Account, Iam, NewKey, NewSession};
use oncilla_meta::memory::MemoryEngine;
use oncilla_meta::{
    Change, CommitOutcome, Engine, EngineError, EngineFuture, EngineStats, Limits, Mutation,
    Reader, Scan, ScanPage, Space,
};
use oncilla_server::MemoryBudget;
use oncilla_server::admin::api::{AdminApi, ServerFacts, routes};
use oncilla_server::admin::readiness::Readiness;
use oncilla_server::admin::{self, OwnPages};
use oncilla_server::front::{Front, FrontOptions};
use oncilla_server::metrics::Metrics;
use oncilla_server::s3::{S3Options, S3Service};
use oncilla_server::server::{Server, ServerOptions};
use oncilla_store::object::NewObject;
use oncilla_store::{Declared, Store, StoreOptions, SystemClock, VersionId};
use oncilla_wire::conditions::Conditions;
use oncilla_wire::object_lock::LegalHold;
use oncilla_wire::sigv4::{AmzDate, Credentials, PayloadDeclaration, Signer, UnsignedRequest};
use oncilla_wire::xml::object_lock::ObjectLockConfiguration;
use serde_json::Value;

use crate::support::{Answer, Client};

const BASE: &str = "/-/admin/v1";

/// How long a test waits for an answer before it fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// An engine of which one commit can be made to fail.
pub struct FailingEngine {
    inner: MemoryEngine,
    commits_until_failure: AtomicU64,
}

impl FailingEngine {
    /// Lets so many commits pass and fails the one after them.
    pub fn fail_commit_after(&self, commits: u64) {
        self.commits_until_failure.store(commits, Ordering::SeqCst);
    }
}

impl Reader for FailingEngine {
    fn get<'a>(&'a self, space: Space, key: &'a [u8]) -> EngineFuture<'a, Option<Bytes>> {
        self.inner.get(space, key)
    }

    fn scan(&self, scan: Scan) -> EngineFuture<'_, ScanPage> {
        self.inner.scan(scan)
    }
}

impl Engine for FailingEngine {
    fn commit(&self, mutation: Mutation) -> EngineFuture<'_, CommitOutcome> {
        let down = |left: u64| Some(left.wrapping_sub(1));
        let left =
            self.commits_until_failure
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, down);
        if left == Ok(0) {
            let reason = "a test wants it so".to_owned();
            self.inner
                .fail_next_commit(EngineError::Unavailable { reason });
        }
        self.inner.commit(mutation)
    }

    fn snapshot(&self) -> Arc<dyn Reader> {
        self.inner.snapshot()
    }

    fn changes_since(&self, sequence: u64, limit: usize) -> EngineFuture<'_, Vec<Change>> {
        self.inner.changes_since(sequence, limit)
    }

    fn forget_changes(&self, up_to: u64) -> EngineFuture<'_, ()> {
        self.inner.forget_changes(up_to)
    }

    fn limits(&self) -> Limits {
        self.inner.limits()
    }

    fn stats(&self) -> EngineStats {
        self.inner.stats()
    }
}

/// Everything that was logged in this process, at every level.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn keep_the_log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(|| LogWriter)
            .init();
    });
}

pub fn log_text() -> String {
    String::from_utf8_lossy(&LOG.lock().unwrap()).into_owned()
}

/// How a request over TCP is not what its signature says.
pub enum Forgery {
    None,
    Anonymous,
    AnonymousWith(&'static str),
    SkewS(i64),
    Service(&'static str),
    Path(&'static str),
    Body(&'static str),
    UnsignedPayload,
    Presigned,
    AddedHeader(&'static str),
}

/// An answer with its JSON.
pub struct Reply {
    pub status: u16,
    pub json: Value,
    pub text: String,
    answer: Option<Answer>,
}

impl Reply {
    fn new(answer: Answer) -> Self {
        let text = answer.text().to_owned();
        Self {
            status: answer.status,
            json: serde_json::from_str(&text).unwrap_or(Value::Null),
            text,
            answer: Some(answer),
        }
    }

    /// A part of another reply.
    pub fn of(json: &Value) -> Self {
        Self {
            status: 200,
            json: json.clone(),
            text: json.to_string(),
            answer: None,
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.answer.as_ref().unwrap().header(name)
    }

    #[track_caller]
    pub fn is_error(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.json["error"]["code"], code, "{}", self.text);
        let message = self.json["error"]["message"].as_str().unwrap();
        assert!(!message.is_empty());
        assert_eq!(self.header("content-type"), Some("application/json"));
    }

    #[track_caller]
    pub fn credentials(&self) -> Credentials {
        let text = |field: &str| {
            self.json[field]
                .as_str()
                .unwrap_or_else(|| panic!("{}", self.text))
        };
        credentials(text("id"), text("secret"))
    }
}

pub fn credentials(id: &str, secret: &str) -> Credentials {
    Credentials {
        access_key_id: id.to_owned(),
        secret_access_key: secret.to_owned(),
        session_token: None,
    }
}

pub struct World {
    pub engine: Arc<FailingEngine>,
    pub root: Credentials,
    pub root_account: Account,
    store: Store,
    iam: Iam,
    server: Option<Server>,
    socket: PathBuf,
    runtime: tokio::runtime::Runtime,
    _directory: tempfile::TempDir,
}

impl World {
    pub fn new() -> Self {
        Self::with_memory(FrontOptions::default().memory_bytes)
    }

    /// As [`World::new`], with so much memory for requests.
    pub fn with_memory(memory_bytes: usize) -> Self {
        keep_the_log();
        let directory = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let engine = Arc::new(FailingEngine {
            inner: MemoryEngine::new(),
            commits_until_failure: AtomicU64::new(u64::MAX),
        });
        let fs = Arc::new(FaultyFileSystem::new());
        let volumes = Volumes::open(fs, "/volumes".into(), VolumeOptions::default()).unwrap();
        let options = StoreOptions::default();
        let clock = Arc::new(SystemClock);
        let opening = Store::open(
            Arc::clone(&engine) as Arc<dyn Engine>,
            volumes,
            clock,
            options,
        );
        let store = runtime.block_on(opening).unwrap();
        let clock = store.clock().clone();
        let now_ms = Arc::new(move || clock.now_ms());
        let iam = Iam::new(Arc::clone(&engine) as Arc<dyn Engine>, now_ms);
        let root = runtime.block_on(iam.ensure_root(None)).unwrap();
        let root_key = root.key.unwrap();
        let s3_options = S3Options {
            domains: vec!["localhost".to_owned()],
            region: "auto".to_owned(),
            ..S3Options::default()
        };
        let s3 = S3Service::new(store.clone(), iam.clone(), s3_options);
        let endpoint_url = Arc::new(OnceLock::new());
        endpoint_url
            .set("http://s3.example.com".to_owned())
            .unwrap();
        let api = AdminApi {
            store: store.clone(),
            iam: iam.clone(),
            s3: s3.clone(),
            server: ServerFacts {
                version: "1.2.3",
                cluster_id: "cluster-7".to_owned(),
                root_account_id: root.account.id.clone(),
                region: "auto".to_owned(),
                endpoint_url,
                started: Instant::now(),
            },
        };
        let front_options = FrontOptions {
            memory_bytes,
            ..FrontOptions::default()
        };
        let memory = MemoryBudget::new(front_options.memory_bytes);
        let metrics = Arc::new(Metrics::new());
        let pages = admin::router(OwnPages {
            readiness: Arc::new(Readiness::of_store(&store, directory.path().to_owned())),
            metrics: Arc::clone(&metrics),
            memory: memory.clone(),
            metrics_public: false,
        });
        let own = pages.merge(routes(api));
        let front = Front::new(s3, Some(own), front_options, memory, metrics);
        let socket = directory.path().join("admin.sock");
        let server_options = ServerOptions {
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            local_socket: Some(socket.clone()),
            runtimes: 1,
            ..ServerOptions::default()
        };
        let server = Server::start(server_options, front).unwrap();
        Self {
            engine,
            root: credentials(root_key.id(), root_key.secret.expose()),
            root_account: root.account,
            store,
            iam,
            server: Some(server),
            socket,
            runtime,
            _directory: directory,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.as_ref().unwrap().addresses()[0]
    }

    pub fn create_key(&self, new: NewKey) -> Credentials {
        let key = self.runtime.block_on(self.iam.create_key(new)).unwrap();
        credentials(key.id(), key.secret.expose())
    }

    /// Temporary credentials of a key, as GetSessionToken makes them.
    pub fn begin_session(&self, of: &Credentials) -> Credentials {
        let begun = self.runtime.block_on(async {
            let key = self.iam.lookup(&of.access_key_id).await.unwrap().unwrap();
            let new = NewSession {
                duration_s: 900,
                ..NewSession::default()
            };
            self.iam.begin_session(&key, new).await.unwrap()
        });
        Credentials {
            session_token: Some(begun.token.expose().to_owned()),
            ..credentials(&begun.access_key_id, begun.secret.expose())
        }
    }

    /// Stores an object without asking the server.
    pub fn put_object(&self, bucket: &str, key: &str, body: &'static [u8]) -> Result<(), String> {
        let store = &self.store;
        self.runtime.block_on(async {
            let bucket = store
                .bucket(bucket)
                .await
                .map_err(|error| error.to_string())?;
            let size = body.len() as u64;
            let mut writer = store
                .begin_content(size, ChecksumAlgorithm::Crc64Nvme, false)
                .await
                .unwrap();
            writer.write(Bytes::from_static(body)).await.unwrap();
            let written = writer.finish(&Declared::default()).await.unwrap();
            let (new, conditions) = (NewObject::default(), Conditions::default());
            let put = store
                .put_object(&bucket, key.as_bytes(), new, written, &conditions)
                .await;
            put.map(drop).map_err(|error| error.to_string())
        })
    }

    /// Switches on object lock without asking the server.
    pub fn lock_objects(&self, bucket: &str) {
        self.runtime.block_on(async {
            let bucket = self.store.bucket(bucket).await.unwrap();
            let configuration = ObjectLockConfiguration::default();
            let set = self.store.set_object_lock(&bucket, configuration).await;
            set.unwrap();
        });
    }

    /// Sets the legal hold of a version, or of the newest, without asking the server.
    pub fn set_hold(
        &self,
        bucket: &str,
        key: &str,
        version: Option<VersionId>,
        hold: LegalHold,
    ) -> VersionId {
        self.runtime.block_on(async {
            let bucket = self.store.bucket(bucket).await.unwrap();
            let key = key.as_bytes();
            let set = self.store.set_legal_hold(&bucket, key, version, hold).await;
            set.unwrap().version_id()
        })
    }

    /// Asks through the socket file. `Value::Null` sends no body.
    pub fn local(&self, method: &str, path: &str, document: Value) -> Reply {
        self.local_text(method, path, &text_of(&document))
    }

    pub fn local_text(&self, method: &str, path: &str, body: &str) -> Reply {
        self.local_bytes(method, path, body.as_bytes())
    }

    pub fn local_bytes(&self, method: &str, path: &str, body: &[u8]) -> Reply {
        let mut client = self.local_client();
        let length = body.len();
        client.send(format!(
            "{method} {BASE}{path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
        ));
        client.send(body);
        Reply::new(client.answer())
    }

    /// Announces a long body, and waits to be asked for it.
    pub fn announce(&self, method: &str, path: &str, length: u64) -> Reply {
        let mut client = self.local_client();
        client.send(format!(
            "{method} {BASE}{path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\
             Expect: 100-continue\r\n\r\n"
        ));
        Reply::new(client.answer())
    }

    fn local_client(&self) -> Client<UnixStream> {
        let stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client::over(stream)
    }

    pub fn signed(&self, method: &str, path: &str, document: Value, who: &Credentials) -> Reply {
        self.forged(method, path, &document, who, &Forgery::None)
    }

    /// Asks over TCP, signed but for the forgery.
    pub fn forged(
        &self,
        method: &str,
        path: &str,
        document: &Value,
        who: &Credentials,
        forgery: &Forgery,
    ) -> Reply {
        let target = format!("{BASE}{path}");
        self.over_tcp(method, &target, text_of(document).as_bytes(), who, forgery)
    }

    pub fn s3(&self, method: &str, path: &str, body: &[u8], who: &Credentials) -> Reply {
        self.over_tcp(method, path, body, who, &Forgery::None)
    }

    /// A page under `/-/` for an anonymous client.
    pub fn own_page(&self, path: &str) -> Reply {
        self.over_tcp("GET", path, b"", &self.root, &Forgery::Anonymous)
    }

    fn over_tcp(
        &self,
        method: &str,
        target: &str,
        body: &[u8],
        who: &Credentials,
        forgery: &Forgery,
    ) -> Reply {
        let address = self.server.as_ref().unwrap().addresses()[0];
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::try_from(address.to_string()).unwrap());
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let mut now_s = i64::try_from(since_epoch.as_secs()).unwrap();
        if let Forgery::SkewS(skew_s) = forgery {
            now_s += skew_s;
        }
        let now = AmzDate::from_unix_s(now_s).unwrap();
        let service = match forgery {
            Forgery::Service(service) => service,
            _ => "s3",
        };
        let signer = Signer::new(who, "auto", service, &now);
        let unsigned = UnsignedRequest {
            method,
            raw_path: match forgery {
                Forgery::Path(other) => other,
                _ => path,
            },
            raw_query: query,
        };
        let payload = match forgery {
            Forgery::UnsignedPayload => PayloadDeclaration::UnsignedPayload,
            Forgery::Body(other) => PayloadDeclaration::Sha256(Sha256::digest(other.as_bytes())),
            _ => PayloadDeclaration::Sha256(Sha256::digest(body)),
        };
        let mut target = target.to_owned();
        let mut more = String::new();
        match forgery {
            Forgery::Anonymous => {}
            Forgery::AnonymousWith(header) => more = format!("{header}\r\n"),
            Forgery::Presigned => {
                let query = signer.presign(&unsigned, &headers, 600, &now).unwrap();
                target = format!("{path}?{query}");
                let digest = payload.to_text();
                more = format!("x-amz-content-sha256: {digest}\r\n");
            }
            _ => {
                signer.sign(&unsigned, &mut headers, payload, &now).unwrap();
            }
        }
        if let Forgery::AddedHeader(header) = forgery {
            more = format!("{header}\r\n");
        }
        let mut head = format!("{method} {target} HTTP/1.1\r\n");
        for (name, value) in &headers {
            head.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
        }
        head.push_str(&format!("content-length: {}\r\n{more}\r\n", body.len()));
        let mut client = Client::connect(address);
        client.send(head);
        client.send(body);
        Reply::new(client.answer())
    }

    /// All items of a listing, fetched page by page. `path` ends with `?` or `&`.
    pub fn every_page(&self, path: &str, limit: usize) -> Vec<Value> {
        let mut items = Vec::new();
        let mut after = String::new();
        loop {
            let page = self.local("GET", &format!("{path}limit={limit}{after}"), Value::Null);
            assert_eq!(page.status, 200, "{}", page.text);
            let found = page.json["items"].as_array().unwrap();
            assert!(found.len() <= limit);
            items.extend(found.iter().cloned());
            match page.json["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return items,
            }
        }
    }

    /// Everything there is, as listings show it.
    pub fn everything(&self) -> String {
        let all = ["/accounts?", "/keys?account=*&", "/buckets?"];
        format!("{:?}", all.map(|path| self.every_page(path, 1_000)))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.shut_down(Duration::from_secs(5), || false);
        }
    }
}

fn text_of(document: &Value) -> String {
    match document {
        Value::Null => String::new(),
        document => document.to_string(),
    }
}
