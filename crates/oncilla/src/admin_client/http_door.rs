//! `/-/admin/v1` of a server that runs: by its socket, or signed over the network.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use oncilla_client::Client;
use oncilla_iam::Grant;
use oncilla_wire::uri::encode_component;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;

use super::{
    Account, Bucket, Key, KmsKey, NewAccount, NewKey, NewKmsKey, NewStorage, Page, Storage,
    exit_code_of,
};
use crate::failure::Failure;

const BASE: &str = "/-/admin/v1";

/// The largest answer read: a page of 1,000 keys with all the grants they may have is far below.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A server's administration over HTTP.
pub struct HttpDoor {
    transport: Transport,
}

enum Transport {
    Socket(PathBuf),
    Remote(Box<Client>),
}

#[derive(Deserialize)]
struct Refusal {
    error: RefusalDetail,
}

#[derive(Deserialize)]
struct RefusalDetail {
    code: String,
    message: String,
}

impl Refusal {
    fn into_failure(self) -> Failure {
        let RefusalDetail { code, message } = self.error;
        Failure {
            exit_code: exit_code_of(&code),
            ..Failure::general(message)
        }
    }
}

impl HttpDoor {
    /// Whether a server listens on the socket.
    pub async fn socket_answers(path: &Path) -> bool {
        UnixStream::connect(path).await.is_ok()
    }

    /// The server behind a socket.
    pub fn socket(path: PathBuf) -> Self {
        Self {
            transport: Transport::Socket(path),
        }
    }

    /// The server at an endpoint, asked with the client's credentials.
    pub fn remote(client: Client) -> Self {
        Self {
            transport: Transport::Remote(Box::new(client)),
        }
    }

    pub async fn create_account(&self, new: NewAccount) -> Result<Account, Failure> {
        self.send(Method::POST, "/accounts", &new).await
    }

    pub async fn account(&self, id_or_name: &str) -> Result<Account, Failure> {
        self.get(&format!("/accounts/{}", encode_component(id_or_name)), "")
            .await
    }

    pub async fn accounts(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Account>, Failure> {
        self.get("/accounts", &page_query(None, after, limit)).await
    }

    pub async fn set_account_disabled(
        &self,
        id_or_name: &str,
        disabled: bool,
    ) -> Result<Account, Failure> {
        let verb = if disabled { "disable" } else { "enable" };
        self.act(&format!(
            "/accounts/{}/{verb}",
            encode_component(id_or_name)
        ))
        .await
    }

    pub async fn delete_account(&self, id_or_name: &str) -> Result<(), Failure> {
        self.delete(&format!("/accounts/{}", encode_component(id_or_name)))
            .await
    }

    pub async fn create_key(&self, new: NewKey) -> Result<Key, Failure> {
        self.send(Method::POST, "/keys", &new).await
    }

    pub async fn key(&self, id: &str) -> Result<Key, Failure> {
        self.get(&format!("/keys/{}", encode_component(id)), "")
            .await
    }

    pub async fn keys(
        &self,
        account: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Key>, Failure> {
        self.get("/keys", &page_query(account, after, limit)).await
    }

    pub async fn rotate_key(&self, id: &str) -> Result<Key, Failure> {
        self.act(&format!("/keys/{}/rotate", encode_component(id)))
            .await
    }

    pub async fn set_key_disabled(&self, id: &str, disabled: bool) -> Result<Key, Failure> {
        let verb = if disabled { "disable" } else { "enable" };
        self.act(&format!("/keys/{}/{verb}", encode_component(id)))
            .await
    }

    pub async fn set_grants(&self, id: &str, grants: Vec<Grant>) -> Result<Key, Failure> {
        let path = format!("/keys/{}/grants", encode_component(id));
        self.send(Method::PUT, &path, &grants).await
    }

    pub async fn delete_key(&self, id: &str) -> Result<(), Failure> {
        self.delete(&format!("/keys/{}", encode_component(id)))
            .await
    }

    pub async fn kms_keys(&self) -> Result<Vec<KmsKey>, Failure> {
        let page: Page<KmsKey> = self.get("/kms/keys", "").await?;
        Ok(page.items)
    }

    pub async fn create_kms_key(&self, new: NewKmsKey) -> Result<KmsKey, Failure> {
        self.send(Method::POST, "/kms/keys", &new).await
    }

    pub async fn rotate_kms_key(&self, name: &str) -> Result<KmsKey, Failure> {
        self.act(&format!("/kms/keys/{}/rotate", encode_component(name)))
            .await
    }

    pub async fn set_kms_key_disabled(
        &self,
        name: &str,
        disabled: bool,
    ) -> Result<KmsKey, Failure> {
        let verb = if disabled { "disable" } else { "enable" };
        self.act(&format!("/kms/keys/{}/{verb}", encode_component(name)))
            .await
    }

    pub async fn create_storage(&self, new: NewStorage) -> Result<Storage, Failure> {
        self.send(Method::POST, "/storage", &new).await
    }

    pub async fn destroy_storage(&self, name: &str, force: bool) -> Result<(), Failure> {
        let path = format!("/storage/{}", encode_component(name));
        let query = format!("force={force}");
        self.request(Method::DELETE, &path, &query, None)
            .await
            .map(drop)
    }

    pub async fn bucket(&self, name: &str) -> Result<Bucket, Failure> {
        self.get(&format!("/buckets/{}", encode_component(name)), "")
            .await
    }

    pub async fn buckets(
        &self,
        account: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Bucket>, Failure> {
        self.get("/buckets", &page_query(account, after, limit))
            .await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, query: &str) -> Result<T, Failure> {
        decode(&self.request(Method::GET, path, query, None).await?)
    }

    async fn act<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        decode(&self.request(Method::POST, path, "", None).await?)
    }

    async fn send<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &B,
    ) -> Result<T, Failure> {
        let json = serde_json::to_vec(body)
            .map_err(|error| Failure::general(format!("cannot make JSON: {error}")))?;
        decode(&self.request(method, path, "", Some(json)).await?)
    }

    async fn delete(&self, path: &str) -> Result<(), Failure> {
        self.request(Method::DELETE, path, "", None).await.map(drop)
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        query: &str,
        json: Option<Vec<u8>>,
    ) -> Result<Bytes, Failure> {
        let path = format!("{BASE}{path}");
        match &self.transport {
            Transport::Remote(client) => client
                .request_own_path(method, &path, query, json)
                .await
                .map_err(|error| {
                    match error
                        .service()
                        .and_then(|service| serde_json::from_str::<Refusal>(&service.message).ok())
                    {
                        Some(refusal) => refusal.into_failure(),
                        None => error.into(),
                    }
                }),
            Transport::Socket(socket) => {
                let unusable = |error: &dyn std::fmt::Display| {
                    Failure::general(format!("{}: {error}", socket.display()))
                        .advise("check that the server runs and that you are its user")
                };
                let stream = UnixStream::connect(socket)
                    .await
                    .map_err(|error| unusable(&error))?;
                let (mut sender, connection) =
                    hyper::client::conn::http1::handshake(TokioIo::new(stream))
                        .await
                        .map_err(|error| unusable(&error))?;
                // Its failure is also that of the request below.
                let connection = tokio::spawn(connection);
                let uri = if query.is_empty() {
                    path
                } else {
                    format!("{path}?{query}")
                };
                let request = Request::builder()
                    .method(method)
                    .uri(uri)
                    .header(header::HOST, "localhost")
                    .header(header::CONTENT_TYPE, "application/json")
                    .body(Full::new(Bytes::from(json.unwrap_or_default())))
                    .map_err(|error| unusable(&error))?;
                let response = sender
                    .send_request(request)
                    .await
                    .map_err(|error| unusable(&error))?;
                let status = response.status();
                let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
                    .collect()
                    .await
                    .map_err(|error| unusable(&error))?
                    .to_bytes();
                connection.abort();
                if status.is_success() {
                    return Ok(body);
                }
                match serde_json::from_slice::<Refusal>(&body) {
                    Ok(refusal) => Err(refusal.into_failure()),
                    Err(_) => Err(unusable(&format!("the server answered {status}"))),
                }
            }
        }
    }
}

fn page_query(account: Option<&str>, after: Option<&str>, limit: usize) -> String {
    let mut query = format!("limit={limit}");
    for (name, value) in [("account", account), ("after", after)] {
        if let Some(value) = value {
            query.push_str(&format!("&{name}={}", encode_component(value)));
        }
    }
    query
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(bytes)
        .map_err(|error| Failure::general(format!("the server's answer makes no sense: {error}")))
}
