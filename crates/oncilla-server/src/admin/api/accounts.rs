//! Accounts.

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use oncilla_iam::{Account, AccountUpdate, NewAccount};
use oncilla_meta::{Precondition, to_its_end};
use oncilla_store::rows::bucket::buckets_of_owner;
use serde::Deserialize;

use super::Api;
use super::access::Caller;
use super::document::{Document, Name, Nothing, Page, Parameters, page_limit, present};
use super::error::ApiError;

/// The parameters of the listing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountListParameters {
    after: Option<String>,
    limit: Option<usize>,
}

/// A new account.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewAccountDocument {
    name: String,
    email: Option<String>,
}

/// What to change of an account.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountChanges {
    name: Option<String>,
    #[serde(default, deserialize_with = "present")]
    email: Option<Option<String>>,
}

pub async fn list(
    State(api): State<Api>,
    Parameters(list): Parameters<AccountListParameters>,
) -> Result<Json<Page<Account>>, ApiError> {
    let limit = page_limit(list.limit)?;
    let page = api.iam.list_accounts(list.after.as_deref(), limit).await?;
    Ok(Json(Page {
        items: page.items,
        next: page.next,
    }))
}

pub async fn create(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Parameters(Nothing {}): Parameters<Nothing>,
    Document(new): Document<NewAccountDocument>,
) -> Result<(StatusCode, Json<Account>), ApiError> {
    to_its_end(async move {
        let NewAccountDocument { name, email } = new;
        let account = api.iam.create_account(NewAccount { name, email }).await?;
        caller.note("CreateAccount", &account.id, &account.name);
        Ok((StatusCode::CREATED, Json(account)))
    })
    .await
}

pub async fn show(
    State(api): State<Api>,
    Name(name): Name,
    Parameters(Nothing {}): Parameters<Nothing>,
) -> Result<Json<Account>, ApiError> {
    Ok(Json(api.account(&name).await?))
}

pub async fn update(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Name(name): Name,
    Parameters(Nothing {}): Parameters<Nothing>,
    Document(changes): Document<AccountChanges>,
) -> Result<Json<Account>, ApiError> {
    to_its_end(async move {
        let id = api.account(&name).await?.id;
        let AccountChanges { name, email } = changes;
        let changed = api
            .iam
            .update_account(&id, AccountUpdate { name, email })
            .await?;
        caller.note("UpdateAccount", &id, &changed.name);
        Ok(Json(changed))
    })
    .await
}

/// Disables or enables an account.
pub async fn set_disabled<const DISABLED: bool>(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Name(name): Name,
    Parameters(Nothing {}): Parameters<Nothing>,
    Document(Nothing {}): Document<Nothing>,
) -> Result<Json<Account>, ApiError> {
    to_its_end(async move {
        let id = api.account(&name).await?.id;
        let account = api.iam.set_account_disabled(&id, DISABLED).await?;
        let change = if DISABLED {
            "DisableAccount"
        } else {
            "EnableAccount"
        };
        caller.note(change, &id, &account.name);
        Ok(Json(account))
    })
    .await
}

pub async fn delete(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Name(name): Name,
    Parameters(Nothing {}): Parameters<Nothing>,
) -> Result<StatusCode, ApiError> {
    to_its_end(async move {
        let account = api.account(&name).await?;
        let (start, end) = buckets_of_owner(&account.id, "");
        let no_buckets = Precondition::RangeEmpty(start, end);
        api.iam
            .delete_account(&account.id, vec![no_buckets])
            .await?;
        caller.note("DeleteAccount", &account.id, &account.name);
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
