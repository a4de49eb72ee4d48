//! The S3 handlers in this process, without a connection: a store in memory, signed requests, and
//! answers with their headers and documents.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt;
use oncilla_blob::testing::FaultyFileSystem;
use oncilla_blob::{VolumeOptions, Volumes};
use oncilla_hash::Sha256;
use oncilla_iam::{Grant, Iam, NewAccount, NewKey, Role};
use oncilla_keys::{Keys, MasterKey, MasterKeySource};
use oncilla_meta::memory::MemoryEngine;
use oncilla_meta::{
    Change, CommitOutcome, Engine, EngineFuture, EngineStats, Limits, Mutation, Reader, Scan,
    ScanPage, Space,
};
use oncilla_server::s3::{S3Options, S3Service};
use oncilla_server::{
    MemoryBudget, Peer, RequestBody, RequestContext, RequestId, ResponseBody, Service,
};
use oncilla_store::bucket::NewBucket;
use oncilla_store::{Store, StoreOptions, WallClock};
use oncilla_wire::sigv4::{AmzDate, Credentials, PayloadDeclaration, Signer, UnsignedRequest};
use oncilla_wire::uri::encode_component;

/// When the tests begin, in Unix milliseconds: Tue, 14 Nov 2023 22:13:20 GMT.
pub const START_MS: u64 = 1_700_000_000_000;

/// The date header of [`START_MS`].
pub const START_DATE: &str = "Tue, 14 Nov 2023 22:13:20 GMT";

/// An hour before and after it.
pub const EARLIER_DATE: &str = "Tue, 14 Nov 2023 21:13:20 GMT";
pub const LATER_DATE: &str = "Tue, 14 Nov 2023 23:13:20 GMT";

/// The smallest part but the last.
pub const PART_BYTES: usize = 5 << 20;

/// Memory for all requests: enough for a few large ones.
const MEMORY_BYTES: usize = 64 << 20;

const HOST: &str = "127.0.0.1:9000";

/// A wall clock that a test moves.
struct SteppedClock(AtomicU64);

impl WallClock for SteppedClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

tokio::task_local! {
    /// How long a task takes on a [`SlowEngine`] to learn which object's record it has found.
    pub static LOOKUP_TIME: Duration;
}

/// What the keys of objects' records begin with.
const OBJECT_ROWS: &[u8] = b"o";

/// An engine on which some tasks are slow, so that what they found is old when they look at it.
pub struct SlowEngine(pub MemoryEngine);

impl Reader for SlowEngine {
    fn get<'a>(&'a self, space: Space, key: &'a [u8]) -> EngineFuture<'a, Option<Bytes>> {
        Box::pin(async move {
            let found = self.0.get(space, key).await;
            let is_object = key.starts_with(OBJECT_ROWS);
            if let Ok(time) = LOOKUP_TIME.try_with(|time| *time)
                && is_object
            {
                tokio::time::sleep(time).await;
            }
            found
        })
    }

    fn scan(&self, scan: Scan) -> EngineFuture<'_, ScanPage> {
        self.0.scan(scan)
    }
}

impl Engine for SlowEngine {
    fn commit(&self, mutation: Mutation) -> EngineFuture<'_, CommitOutcome> {
        self.0.commit(mutation)
    }

    fn snapshot(&self) -> Arc<dyn Reader> {
        self.0.snapshot()
    }

    fn changes_since(&self, sequence: u64, limit: usize) -> EngineFuture<'_, Vec<Change>> {
        self.0.changes_since(sequence, limit)
    }

    fn forget_changes(&self, up_to: u64) -> EngineFuture<'_, ()> {
        self.0.forget_changes(up_to)
    }

    fn limits(&self) -> Limits {
        self.0.limits()
    }

    fn stats(&self) -> EngineStats {
        self.0.stats()
    }
}

/// An account's key.
#[derive(Clone)]
pub struct User {
    pub account_id: String,
    pub key: Credentials,
}

impl User {
    /// Whose credentials IAM or STS answers with.
    pub fn of(reply: &Reply, account_id: &str) -> Self {
        Self {
            account_id: account_id.to_owned(),
            key: Credentials {
                access_key_id: reply.element("AccessKeyId").unwrap(),
                secret_access_key: reply.element("SecretAccessKey").unwrap(),
                session_token: reply.element("SessionToken"),
            },
        }
    }
}

pub struct World {
    pub service: S3Service,
    pub store: Store,
    pub iam: Iam,
    pub memory: MemoryBudget,
    /// Admin of the account that the tests are about.
    pub owner: User,
    clock: Arc<SteppedClock>,
}

impl World {
    pub async fn new() -> Self {
        Self::on(Arc::new(MemoryEngine::new()), StoreOptions::default()).await
    }

    pub async fn on(engine: Arc<dyn Engine>, options: StoreOptions) -> Self {
        Self::set_up(engine, options, S3Options::default()).await
    }

    /// With Signature Version 2 switched on.
    pub async fn with_sigv2() -> Self {
        let options = S3Options {
            sigv2: true,
            ..S3Options::default()
        };
        let engine = Arc::new(MemoryEngine::new());
        Self::set_up(engine, StoreOptions::default(), options).await
    }

    async fn set_up(
        engine: Arc<dyn Engine>,
        mut options: StoreOptions,
        s3_options: S3Options,
    ) -> Self {
        let fs = Arc::new(FaultyFileSystem::new());
        let volumes = Volumes::open(fs, "/volumes".into(), VolumeOptions::default()).unwrap();
        let clock = Arc::new(SteppedClock(AtomicU64::new(START_MS)));
        let wall = Arc::clone(&clock) as Arc<dyn WallClock>;
        let master = MasterKeySource::Given(MasterKey::parse(&"5a".repeat(32)).unwrap());
        let keys = Keys::open(Arc::clone(&engine), master, Arc::new(|| START_MS)).await;
        options.keys = Some(keys.unwrap());
        let store = Store::open(Arc::clone(&engine), volumes, wall, options);
        let store = store.await.unwrap();
        let now = Arc::clone(&clock);
        let iam = Iam::new(engine, Arc::new(move || now.now_ms()));
        let service = S3Service::new(store.clone(), iam.clone(), s3_options);
        let owner = user(&iam, "owner", "*", Role::Admin).await;
        Self {
            service,
            store,
            iam,
            memory: MemoryBudget::new(MEMORY_BYTES),
            owner,
            clock,
        }
    }

    /// Another account with a key.
    pub async fn stranger(&self) -> User {
        self.user("stranger").await
    }

    /// Another account of this name with a key.
    pub async fn user(&self, name: &str) -> User {
        user(&self.iam, name, "*", Role::Admin).await
    }

    /// Another key of a user's account.
    pub async fn key_of(&self, user: &User, bucket: &str, role: Role) -> User {
        key(&self.iam, &user.account_id, bucket, role).await
    }

    /// A user of an account, with a key and without any policy.
    pub async fn user_of(&self, account: &User, name: &str) -> User {
        let create = iam(&[("Action", "CreateUser"), ("UserName", name)]);
        self.send_by(Some(account), create).await.is(200);
        self.users_key(account, name).await
    }

    /// A new key of a user that is there.
    pub async fn users_key(&self, account: &User, name: &str) -> User {
        let create = iam(&[("Action", "CreateAccessKey"), ("UserName", name)]);
        let created = self.send_by(Some(account), create).await.is(200);
        User::of(&created, &account.account_id)
    }

    /// A bucket of the owner's whose objects everybody may read.
    pub async fn public_bucket(&self, name: &str) {
        let new = NewBucket {
            name: name.to_owned(),
            owner: self.owner.account_id.clone(),
            public_objects: true,
            ..NewBucket::default()
        };
        self.store.create_bucket(new).await.unwrap();
    }

    /// Another key of the owner's account.
    pub async fn key(&self, bucket: &str, role: Role) -> User {
        key(&self.iam, &self.owner.account_id, bucket, role).await
    }

    pub fn advance_ms(&self, ms: u64) {
        self.clock.0.fetch_add(ms, Ordering::Relaxed);
    }

    /// Sends a call signed by the owner.
    pub async fn send(&self, call: Call) -> Reply {
        self.send_by(Some(&self.owner), call).await
    }

    /// Sends a call that has to succeed.
    #[track_caller]
    pub fn succeed(&self, call: Call) -> impl Future<Output = Reply> {
        let what = format!("{} {}", call.method, call.target);
        async move {
            let reply = self.send(call).await;
            assert!(reply.status.is_success(), "{what}: {}", reply.text());
            reply
        }
    }

    /// A call as the server gets it, signed by a sender if there is one.
    pub fn request(&self, sender: Option<&User>, call: Call) -> Request<Bytes> {
        let mut headers = call.headers;
        let host = headers.entry("host");
        host.or_insert(HeaderValue::from_static(HOST));
        if call.announces_length {
            headers.insert("content-length", HeaderValue::from(call.body.len()));
        }
        if let Some(sender) = sender {
            let now_s = i64::try_from(self.clock.now_ms() / 1_000).unwrap();
            let now = AmzDate::from_unix_s(now_s).unwrap();
            let (raw_path, raw_query) = call.target.split_once('?').unwrap_or((&call.target, ""));
            let unsigned = UnsignedRequest {
                method: call.method,
                raw_path,
                raw_query,
            };
            let payload = call
                .payload
                .unwrap_or_else(|| PayloadDeclaration::Sha256(Sha256::digest(&call.body)));
            let signer = Signer::new(&sender.key, "auto", call.service, &now);
            signer.sign(&unsigned, &mut headers, payload, &now).unwrap();
        }
        request_of(call.method, &call.target, headers, call.body)
    }

    /// Sends a call whose signature is in its query.
    pub async fn send_presigned(&self, sender: &User, call: Call) -> Reply {
        let mut signed = HeaderMap::new();
        signed.insert("host", HeaderValue::from_static(HOST));
        let now_s = i64::try_from(self.clock.now_ms() / 1_000).unwrap();
        let now = AmzDate::from_unix_s(now_s).unwrap();
        let (raw_path, raw_query) = call.target.split_once('?').unwrap_or((&call.target, ""));
        let unsigned = UnsignedRequest {
            method: call.method,
            raw_path,
            raw_query,
        };
        let signer = Signer::new(&sender.key, "auto", "s3", &now);
        let query = signer.presign(&unsigned, &signed, 60, &now).unwrap();
        let mut headers = call.headers;
        headers.extend(signed);
        if call.announces_length {
            headers.insert("content-length", HeaderValue::from(call.body.len()));
        }
        let target = format!("{raw_path}?{query}");
        self.handle(request_of(call.method, &target, headers, call.body))
            .await
    }

    /// Sends a call, anonymous without a sender.
    pub async fn send_by(&self, sender: Option<&User>, call: Call) -> Reply {
        self.handle(self.request(sender, call)).await
    }

    async fn handle(&self, request: Request<Bytes>) -> Reply {
        let (head, body) = self.answer(request).await.into_parts();
        Reply {
            status: head.status,
            headers: head.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    /// The answer to a request, whose body was not looked at.
    pub async fn answer(&self, request: Request<Bytes>) -> Response<ResponseBody> {
        let request = request.map(RequestBody::from_bytes);
        let context = RequestContext {
            request_id: RequestId::next(),
            peer: Peer::LocalSocket,
            tls: false,
            tls_session: None,
            arrived: Instant::now(),
            facts: Arc::default(),
            memory: self.memory.clone(),
        };
        self.service.handle(request, context).await
    }

    /// Uploads an object in parts; gives the answer of the completion.
    pub async fn upload(&self, target: &str, headers: &[(&str, &str)], parts: &[&[u8]]) -> Reply {
        let mut create = post(&format!("{target}?uploads"), "");
        for (name, value) in headers {
            create = create.header(name, value);
        }
        let id = self.succeed(create).await.element("UploadId").unwrap();
        let mut list = String::new();
        for (part, number) in parts.iter().zip(1..) {
            let put = put(
                &format!("{target}?partNumber={number}&uploadId={id}"),
                part.to_vec(),
            );
            let etag = self.succeed(put).await.header("etag").unwrap().to_owned();
            list.push_str(&part_element(number, &etag));
        }
        self.succeed(complete(target, &id, &list)).await
    }
}

/// The body of CompleteMultipartUpload is a list of these.
pub fn part_element(number: usize, etag: &str) -> String {
    format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
}

pub fn complete(target: &str, upload_id: &str, parts: &str) -> Call {
    let document = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
    post(&format!("{target}?uploadId={upload_id}"), document)
}

async fn user(iam: &Iam, name: &str, bucket: &str, role: Role) -> User {
    let new = NewAccount {
        name: name.to_owned(),
        email: None,
    };
    let account = iam.create_account(new).await.unwrap();
    key(iam, &account.id, bucket, role).await
}

async fn key(iam: &Iam, account_id: &str, bucket: &str, role: Role) -> User {
    let new = NewKey {
        account_id: account_id.to_owned(),
        description: String::new(),
        grants: vec![Grant::new(bucket, role)],
        expires_ms: None,
    };
    let key = iam.create_key(new).await.unwrap();
    let credentials = Credentials {
        access_key_id: key.id().to_owned(),
        secret_access_key: key.secret.expose().to_owned(),
        session_token: None,
    };
    User {
        account_id: account_id.to_owned(),
        key: credentials,
    }
}

/// A request to send.
#[derive(Clone)]
pub struct Call {
    method: &'static str,
    target: String,
    headers: HeaderMap,
    body: Bytes,
    payload: Option<PayloadDeclaration>,
    announces_length: bool,
    service: &'static str,
}

pub fn call(method: &'static str, target: &str, body: impl Into<Bytes>) -> Call {
    let body = body.into();
    Call {
        method,
        target: target.to_owned(),
        headers: HeaderMap::new(),
        announces_length: !body.is_empty() || matches!(method, "PUT" | "POST"),
        body,
        payload: None,
        service: "s3",
    }
}

/// A form of these parameters.
pub fn form(parameters: &[(&str, &str)]) -> String {
    let pair = |(name, value): &(&str, &str)| {
        format!("{}={}", encode_component(name), encode_component(value))
    };
    parameters.iter().map(pair).collect::<Vec<_>>().join("&")
}

/// A request to IAM.
pub fn iam(parameters: &[(&str, &str)]) -> Call {
    let call = post("/", form(parameters)).service("iam");
    call.header(
        "content-type",
        "application/x-www-form-urlencoded; charset=utf-8",
    )
}

/// Sets what is the only policy of a user, of the account that sends it.
pub fn put_user_policy(user: &str, document: &str) -> Call {
    iam(&[
        ("Action", "PutUserPolicy"),
        ("UserName", user),
        ("PolicyName", "p"),
        ("PolicyDocument", document),
    ])
}

/// A request to STS.
pub fn sts(parameters: &[(&str, &str)]) -> Call {
    iam(parameters).service("sts")
}

/// Checks that IAM or STS refused a request.
#[track_caller]
pub fn iam_refused(reply: &Reply, status: u16, code: &str) {
    assert_eq!(reply.status.as_u16(), status, "{}", reply.text());
    assert_eq!(
        reply.element("Code").as_deref(),
        Some(code),
        "{}",
        reply.text()
    );
    assert_eq!(reply.header("content-type"), Some("text/xml"));
    assert!(!reply.element("Message").unwrap().is_empty());
    assert!(!reply.element("RequestId").unwrap().is_empty());
}

pub fn get(target: &str) -> Call {
    call("GET", target, "")
}

pub fn head(target: &str) -> Call {
    call("HEAD", target, "")
}

pub fn put(target: &str, body: impl Into<Bytes>) -> Call {
    call("PUT", target, body)
}

pub fn post(target: &str, body: impl Into<Bytes>) -> Call {
    call("POST", target, body)
}

pub fn delete(target: &str) -> Call {
    call("DELETE", target, "")
}

impl Call {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.append(
            HeaderName::try_from(name).unwrap(),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
        self
    }

    /// Declares the payload otherwise than by its digest.
    pub fn payload(mut self, payload: PayloadDeclaration) -> Self {
        self.payload = Some(payload);
        self
    }

    /// Signs for another service than S3.
    pub fn service(mut self, service: &'static str) -> Self {
        self.service = service;
        self
    }

    /// Sends no `Content-Length`, as a body in HTTP chunks.
    pub fn without_length(mut self) -> Self {
        self.announces_length = false;
        self
    }
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The text of the first element of this name.
    pub fn element(&self, name: &str) -> Option<String> {
        self.elements(name).into_iter().next()
    }

    /// The texts of all elements of this name, in order; elements of the same name do not nest.
    pub fn elements(&self, name: &str) -> Vec<String> {
        let text = self.text();
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let behind = text.split(&open).skip(1);
        behind
            .map(|rest| rest.split(&close).next().unwrap().to_owned())
            .collect()
    }

    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        self
    }

    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(
            self.element("Code").as_deref(),
            Some(code),
            "{}",
            self.text()
        );
        assert_eq!(self.header("content-type"), Some("application/xml"));
        assert!(!self.element("Message").unwrap().is_empty());
        assert!(!self.element("RequestId").unwrap().is_empty());
        self
    }

    #[track_caller]
    pub fn has(self, name: &str, value: &str) -> Self {
        assert_eq!(self.header(name), Some(value), "{name}");
        self
    }

    #[track_caller]
    pub fn lacks(self, name: &str) -> Self {
        assert_eq!(self.header(name), None, "{name}");
        self
    }

    #[track_caller]
    pub fn body_is(self, body: &[u8]) -> Self {
        assert!(
            self.body == body,
            "{} bytes: {:.200}",
            self.body.len(),
            self.text()
        );
        self
    }
}

fn request_of(
    method: &'static str,
    target: &str,
    headers: HeaderMap,
    body: Bytes,
) -> Request<Bytes> {
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .body(body)
        .unwrap();
    *request.headers_mut() = headers;
    request
}
