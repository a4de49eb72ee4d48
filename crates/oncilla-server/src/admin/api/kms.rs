//! KMS keys: what objects of SSE-KMS are encrypted by. No answer ever has a secret.

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use oncilla_keys::{KeysError, KmsKeyInfo, NewKmsKey};
use oncilla_meta::to_its_end;
use oncilla_store::Fault;
use serde::{Deserialize, Serialize};

use super::access::Caller;
use super::document::{Document, Name, Nothing, Page, Parameters};
use super::error::ApiError;
use super::{AdminApi, Api};

/// A new key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewKmsKeyDocument {
    id: Option<String>,
    #[serde(default)]
    aliases: Vec<String>,
}

/// A key in an answer.
#[derive(Serialize)]
pub struct KmsKey {
    #[serde(flatten)]
    info: KmsKeyInfo,
    /// By which requests name it as well.
    arn: String,
}

impl KmsKey {
    /// All KMS keys are the root account's.
    fn of(api: &AdminApi, info: KmsKeyInfo) -> Self {
        let server = &api.server;
        let arn = info.arn(&server.region, &server.root_account_id);
        Self { info, arn }
    }
}

/// All of them: there are few, and they are in memory anyway.
pub async fn list(
    State(api): State<Api>,
    Parameters(Nothing {}): Parameters<Nothing>,
) -> Result<Json<Page<KmsKey>>, ApiError> {
    let keys = api.store.keys()?.list().await?;
    let items = keys.into_iter().map(|info| KmsKey::of(&api, info));
    Ok(Json(Page {
        items: items.collect(),
        next: None,
    }))
}

pub async fn create(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Parameters(Nothing {}): Parameters<Nothing>,
    Document(new): Document<NewKmsKeyDocument>,
) -> Result<(StatusCode, Json<KmsKey>), ApiError> {
    to_its_end(async move {
        let (id, aliases) = (new.id, new.aliases);
        let key = api.store.keys()?.create(NewKmsKey { id, aliases }).await?;
        caller.note("CreateKmsKey", &key.id, &key.aliases.join(","));
        Ok((StatusCode::CREATED, Json(KmsKey::of(&api, key))))
    })
    .await
}

pub async fn rotate(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Name(name): Name,
    Parameters(Nothing {}): Parameters<Nothing>,
    Document(Nothing {}): Document<Nothing>,
) -> Result<Json<KmsKey>, ApiError> {
    to_its_end(async move {
        let key = api.store.keys()?.rotate(&name).await?;
        let version = format!("version {}", key.version);
        caller.note("RotateKmsKey", &key.id, &version);
        Ok(Json(KmsKey::of(&api, key)))
    })
    .await
}

/// Disables or enables a key.
pub async fn set_disabled<const DISABLED: bool>(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Name(name): Name,
    Parameters(Nothing {}): Parameters<Nothing>,
    Document(Nothing {}): Document<Nothing>,
) -> Result<Json<KmsKey>, ApiError> {
    to_its_end(async move {
        let key = api.store.keys()?.set_disabled(&name, DISABLED).await?;
        let change = if DISABLED {
            "DisableKmsKey"
        } else {
            "EnableKmsKey"
        };
        caller.note(change, &key.id, "");
        Ok(Json(KmsKey::of(&api, key)))
    })
    .await
}

/// Exhaustive on purpose: a new variant does not compile until somebody decides here what clients
/// are told.
impl From<KeysError> for ApiError {
    fn from(error: KeysError) -> Self {
        match error {
            KeysError::NotFound(_) => {
                Self::not_found("NoSuchKmsKey", "There is no KMS key of this id or alias.")
            }
            KeysError::Exists(_) => Self::conflict("KmsKeyAlreadyExists", sentence(&error)),
            KeysError::LimitExceeded { .. } => Self::conflict("LimitExceeded", sentence(&error)),
            KeysError::Managed(_) => Self::conflict("ManagedKmsKey", sentence(&error)),
            KeysError::Disabled(_) => Self::conflict("KmsKeyDisabled", sentence(&error)),
            KeysError::InvalidName { .. } => Self::invalid_argument(sentence(&error)),
            KeysError::Contended => Self::conflict("OperationAborted", sentence(&error)),
            KeysError::Locked(_) => {
                let status = StatusCode::SERVICE_UNAVAILABLE;
                Self::new(status, "KeysLocked", sentence(&error))
            }
            KeysError::OpenFailed(_)
            | KeysError::Damaged(_)
            | KeysError::Master(_)
            | KeysError::Random(_)
            | KeysError::NowhereToKeep
            | KeysError::NoDefault
            | KeysError::Interrupted(_)
            | KeysError::Engine(_) => Fault::from(error).into(),
        }
    }
}

fn sentence(error: &KeysError) -> String {
    let mut text = error.to_string();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text + "."
}
