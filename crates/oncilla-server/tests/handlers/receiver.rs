//! A web hook: takes messages over HTTP and behaves as a test tells it to.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use serde_json::Value;

/// How long a test waits for what has to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a receiver does with a message.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// Takes it.
    Take,
    /// Takes it after a while.
    TakeAfter(Duration),
    /// Answers this status.
    Refuse(u16),
    /// Answers that it is elsewhere.
    Redirect(String),
    /// Never answers.
    Hang,
    /// Takes those of other keys, and refuses those of this one.
    RefuseKey(String),
    /// Takes those of other keys, and never answers those of this one.
    HangKey(String),
}

#[derive(Clone)]
pub struct Receiver {
    pub url: String,
    inner: Arc<Inner>,
}

struct Inner {
    behaviour: Mutex<Behaviour>,
    taken: Mutex<Vec<Value>>,
    refused: Mutex<usize>,
    headers: Mutex<HeaderMap>,
}

impl Receiver {
    pub async fn start() -> Self {
        let inner = Arc::new(Inner {
            behaviour: Mutex::new(Behaviour::Take),
            taken: Mutex::default(),
            refused: Mutex::default(),
            headers: Mutex::default(),
        });
        let app = Router::new()
            .route("/hook", axum::routing::post(receive))
            .with_state(Arc::clone(&inner));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, inner }
    }

    pub fn behave(&self, behaviour: Behaviour) {
        *self.inner.behaviour.lock() = behaviour;
    }

    /// The messages taken so far.
    pub fn taken(&self) -> Vec<Value> {
        self.inner.taken.lock().clone()
    }

    /// How many messages were not taken.
    pub fn refused(&self) -> usize {
        *self.inner.refused.lock()
    }

    /// The headers of the last message.
    pub fn headers(&self) -> HeaderMap {
        self.inner.headers.lock().clone()
    }

    /// The records of S3's messages taken so far, without test events.
    pub fn records(&self) -> Vec<Value> {
        let taken = self.taken();
        let records = taken
            .iter()
            .filter_map(|message| message["Records"].as_array());
        records.flatten().cloned().collect()
    }

    /// Waits until `ready` says so.
    #[track_caller]
    pub fn until(&self, ready: impl Fn(&Self) -> bool) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        async move {
            let begun = Instant::now();
            while !ready(self) {
                assert!(
                    begun.elapsed() < PATIENCE,
                    "{place}: taken {:?}, refused {}",
                    self.taken(),
                    self.refused()
                );
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}

fn is_of_key(message: &Value, key: &str) -> bool {
    message["Records"][0]["s3"]["object"]["key"] == key
}

async fn receive(
    State(inner): State<Arc<Inner>>,
    headers: HeaderMap,
    body: axum::body::Bytes,
) -> (StatusCode, HeaderMap) {
    let message: Value = serde_json::from_slice(&body).unwrap();
    *inner.headers.lock() = headers;
    let behaviour = inner.behaviour.lock().clone();
    let mut answer = HeaderMap::new();
    let status = match behaviour {
        Behaviour::Take => 200,
        Behaviour::TakeAfter(pause) => {
            tokio::time::sleep(pause).await;
            204
        }
        Behaviour::Refuse(status) => status,
        Behaviour::Redirect(url) => {
            answer.insert("location", url.parse().unwrap());
            307
        }
        Behaviour::Hang => {
            *inner.refused.lock() += 1;
            std::future::pending().await
        }
        Behaviour::RefuseKey(key) if is_of_key(&message, &key) => 500,
        Behaviour::HangKey(key) if is_of_key(&message, &key) => {
            *inner.refused.lock() += 1;
            std::future::pending().await
        }
        Behaviour::RefuseKey(_) | Behaviour::HangKey(_) => 200,
    };
    match status {
        200..300 => inner.taken.lock().push(message),
        _ => *inner.refused.lock() += 1,
    }
    (StatusCode::from_u16(status).unwrap(), answer)
}
