//! Access keys. A secret is told once: in the answer that made it.

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use oncilla_iam::{
    AccessKey, AccessKeyInfo, Grant, ImportKey, KeyUpdate, KeyUser, NewKey, PAGE_ITEMS_MAX, Role,
    Secret,
};
use oncilla_meta::to_its_end;
use serde::{Deserialize, Serialize};

use super::Api;
use super::access::Caller;
use super::document::{Document, ListParameters, Name, Nothing, Page, Parameters, present};
use super::error::ApiError;

/// The `account` of a listing of everybody's keys. No account can have this name.
const EVERY_ACCOUNT: &str = "*";

/// Between account name and key id in `next` of such a listing; neither can contain it.
const CURSOR_SEPARATOR: char = '/';

/// Accounts looked at for one page of such a listing, so that one request does not walk a store
/// full of accounts without keys.
const ACCOUNTS_PER_PAGE_MAX: usize = PAGE_ITEMS_MAX;

/// A role on a bucket, or on all for `*`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantDocument {
    bucket: String,
    role: Role,
}

/// A new key, or one to be taken over from elsewhere.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewKeyDocument {
    account: Option<String>,
    #[serde(default)]
    description: String,
    grants: Vec<GrantDocument>,
    expires_ms: Option<u64>,
    import: Option<ImportDocument>,
}

/// Id and secret of a key that exists elsewhere.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportDocument {
    id: String,
    secret: Box<str>,
}

/// What to change of a key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyChanges {
    description: Option<String>,
    grants: Option<Vec<GrantDocument>>,
    #[serde(default, deserialize_with = "present")]
    expires_ms: Option<Option<u64>>,
}

/// A key in an answer; with its secret only right after that was made here.
#[derive(Serialize)]
pub struct Key {
    #[serde(flatten)]
    info: AccessKeyInfo,
    /// Whose key it is, where it is an IAM user's; looked up where keys are read.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<KeyUser>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<Box<str>>,
}

impl From<AccessKeyInfo> for Key {
    fn from(info: AccessKeyInfo) -> Self {
        Self {
            info,
            user: None,
            secret: None,
        }
    }
}

impl Key {
    /// A key whose secret was made just now.
    pub fn with_secret(key: AccessKey) -> Self {
        Self {
            secret: Some(key.secret.expose().into()),
            ..Self::from(key.info)
        }
    }

    /// A key with what its answer says of its user.
    async fn with_user(api: &Api, info: AccessKeyInfo) -> Result<Self, ApiError> {
        Ok(Self {
            user: api.iam.user_of_key(&info).await?,
            ..Self::from(info)
        })
    }

    async fn with_users(api: &Api, keys: Vec<AccessKeyInfo>) -> Result<Vec<Self>, ApiError> {
        let mut items = Vec::with_capacity(keys.len());
        for info in keys {
            items.push(Self::with_user(api, info).await?);
        }
        Ok(items)
    }
}

fn grants(documents: Vec<GrantDocument>) -> Vec<Grant> {
    let grant = |document: GrantDocument| Grant::new(document.bucket, document.role);
    documents.into_iter().map(grant).collect()
}

/// What the log says of a key.
pub fn summary(info: &AccessKeyInfo) -> String {
    let grant = |grant: &Grant| format!("{}:{:?}", grant.bucket.as_str(), grant.role);
    let grants: Vec<String> = info.grants.iter().map(grant).collect();
    format!("account {} grants {}", info.account_id, grants.join(","))
}

pub async fn list(
    State(api): State<Api>,
    Parameters(list): Parameters<ListParameters>,
) -> Result<Json<Page<Key>>, ApiError> {
    let limit = list.limit()?;
    let after = list.after.as_deref();
    if list.account.as_deref() == Some(EVERY_ACCOUNT) {
        return Ok(Json(keys_of_everybody(&api, after, limit).await?));
    }
    let account_id = api.account_id_or_root(list.account.as_deref()).await?;
    let page = api.iam.list_keys(&account_id, after, limit).await?;
    Ok(Json(Page {
        items: Key::with_users(&api, page.items).await?,
        next: page.next,
    }))
}

/// Keys ordered by account name, then by id. The cursor is the name of the last account that was
/// looked at, and the id of the last key if that account may have more.
async fn keys_of_everybody(
    api: &Api,
    after: Option<&str>,
    limit: usize,
) -> Result<Page<Key>, ApiError> {
    let (account_name, key_id) = match after.map(|after| after.split_once(CURSOR_SEPARATOR)) {
        Some(Some((name, id))) => (Some(name), Some(id)),
        Some(None) => (after, None),
        None => (None, None),
    };
    let mut items = Vec::new();
    if let (Some(name), Some(id)) = (account_name, key_id) {
        match api.iam.account_by_name(name).await.map_err(ApiError::from) {
            Ok(account) => {
                let page = keys_within(api, &account, Some(id), limit, &mut items).await?;
                if page.is_some() {
                    return Ok(Page { items, next: page });
                }
            }
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    let accounts = api
        .iam
        .list_accounts(account_name, ACCOUNTS_PER_PAGE_MAX)
        .await?;
    let mut last_name = account_name.map(str::to_owned);
    for account in &accounts.items {
        if items.len() >= limit {
            return Ok(Page {
                items,
                next: last_name,
            });
        }
        let room = limit - items.len();
        let within = keys_within(api, account, None, room, &mut items).await?;
        if within.is_some() {
            return Ok(Page {
                items,
                next: within,
            });
        }
        last_name = Some(account.name.clone());
        tokio::task::yield_now().await;
    }
    Ok(Page {
        items,
        next: accounts.next,
    })
}

/// Adds a page of an account's keys; gives the cursor if more follow.
async fn keys_within(
    api: &Api,
    account: &oncilla_iam::Account,
    after: Option<&str>,
    limit: usize,
    items: &mut Vec<Key>,
) -> Result<Option<String>, ApiError> {
    match api.iam.list_keys(&account.id, after, limit).await {
        Ok(page) => {
            items.extend(Key::with_users(api, page.items).await?);
            let cursor = |id| format!("{}{CURSOR_SEPARATOR}{id}", account.name);
            Ok(page.next.map(cursor))
        }
        // Deleted since it was listed.
        Err(oncilla_iam::IamError::NoSuchAccount) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

pub async fn create(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Parameters(Nothing {}): Parameters<Nothing>,
    Document(new): Document<NewKeyDocument>,
) -> Result<(StatusCode, Json<Key>), ApiError> {
    to_its_end(async move {
        let key = NewKey {
            account_id: api.account_id_or_root(new.account.as_deref()).await?,
            description: new.description,
            grants: grants(new.grants),
            expires_ms: new.expires_ms,
        };
        let Some(ImportDocument { id, secret }) = new.import else {
            let created = api.iam.create_key(key).await?;
            caller.note("CreateKey", created.id(), &summary(&created.info));
            let key = Key::with_secret(created);
            return Ok((StatusCode::CREATED, Json(key)));
        };
        let secret = Secret::new(secret);
        let imported = api.iam.import_key(ImportKey { id, secret, key }).await?;
        caller.note("ImportKey", imported.id(), &summary(&imported.info));
        // Whoever imports a secret has it already.
        Ok((StatusCode::CREATED, Json(Key::from(imported.info))))
    })
    .await
}

pub async fn show(
    State(api): State<Api>,
    Name(id): Name,
    Parameters(Nothing {}): Parameters<Nothing>,
) -> Result<Json<Key>, ApiError> {
    let key = api.iam.key(&id).await?;
    Ok(Json(Key::with_user(&api, key.info).await?))
}

pub async fn update(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Name(id): Name,
    Parameters(Nothing {}): Parameters<Nothing>,
    Document(changes): Document<KeyChanges>,
) -> Result<Json<Key>, ApiError> {
    let update = KeyUpdate {
        description: changes.description,
        grants: changes.grants.map(grants),
        expires_ms: changes.expires_ms,
    };
    to_its_end(change(api, caller, "UpdateKey", id, update)).await
}

pub async fn set_grants(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Name(id): Name,
    Parameters(Nothing {}): Parameters<Nothing>,
    Document(documents): Document<Vec<GrantDocument>>,
) -> Result<Json<Key>, ApiError> {
    let update = KeyUpdate {
        grants: Some(grants(documents)),
        ..KeyUpdate::default()
    };
    to_its_end(change(api, caller, "SetGrants", id, update)).await
}

async fn change(
    api: Api,
    caller: Caller,
    name: &'static str,
    id: String,
    update: KeyUpdate,
) -> Result<Json<Key>, ApiError> {
    let info = api.iam.update_key(&id, update).await?;
    caller.note(name, &id, &summary(&info));
    Ok(Json(Key::from(info)))
}

pub async fn rotate(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Name(id): Name,
    Parameters(Nothing {}): Parameters<Nothing>,
    Document(Nothing {}): Document<Nothing>,
) -> Result<Json<Key>, ApiError> {
    to_its_end(async move {
        let rotated = api.iam.rotate_key(&id).await?;
        caller.note(
            "RotateKey",
            &id,
            &format!("generation {}", rotated.info.generation),
        );
        Ok(Json(Key::with_secret(rotated)))
    })
    .await
}

/// Disables or enables a key.
pub async fn set_disabled<const DISABLED: bool>(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Name(id): Name,
    Parameters(Nothing {}): Parameters<Nothing>,
    Document(Nothing {}): Document<Nothing>,
) -> Result<Json<Key>, ApiError> {
    to_its_end(async move {
        let info = api.iam.set_key_disabled(&id, DISABLED).await?;
        let change = if DISABLED { "DisableKey" } else { "EnableKey" };
        caller.note(change, &id, &summary(&info));
        Ok(Json(Key::from(info)))
    })
    .await
}

pub async fn delete(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Name(id): Name,
    Parameters(Nothing {}): Parameters<Nothing>,
) -> Result<StatusCode, ApiError> {
    to_its_end(async move {
        api.iam.delete_key(&id).await?;
        caller.note("DeleteKey", &id, "");
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
