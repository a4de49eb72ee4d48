//! A bucket and the key that belongs to it, made and destroyed together.
//!
//! Accounts and buckets are committed apart, so the order of the steps decides what an interruption
//! leaves. The key comes first and the bucket second: a key without its bucket opens nothing, its
//! secret was told to nobody, the name stays free for the next try, and destroying that bucket
//! removes the key too. A destruction goes the other way: while the bucket is there, so are its
//! keys.

use axum::extract::State;
use axum::{Extension, Json};
use futures_util::{StreamExt, stream};
use http::StatusCode;
use oncilla_iam::{
    AccessKey, AccessKeyInfo, BucketPattern, Grant, IamError, NewKey, PAGE_ITEMS_MAX, Role,
    generate_bucket_name,
};
use oncilla_meta::to_its_end;
use oncilla_store::bucket::{BucketError, DeleteBucketError};
use oncilla_store::history::{ListVersionsQuery, ListedVersion, VersionEntry, VersionMarker};
use oncilla_store::list::{Entry, ListQuery};
use oncilla_store::object::DeleteObjectError;
use oncilla_store::{LockOverride, Store};
use oncilla_wire::conditions::Conditions;
use oncilla_wire::error::S3Error;
use oncilla_wire::names::check_bucket_name;
use serde::{Deserialize, Serialize};

use super::access::Caller;
use super::buckets::{self, Bucket};
use super::document::{Document, Name, Nothing, Parameters};
use super::error::ApiError;
use super::keys::{self, Key};
use super::{AdminApi, Api};

/// Generated names tried before giving up. There are some 200 million: even a store with a million
/// buckets finds all of them taken once in 10^36 calls.
const NAME_TRIES_MAX: usize = 16;

/// Objects listed at a time while a bucket is emptied.
const OBJECTS_PER_BATCH: usize = 1_000;

/// Objects deleted side by side, so that their commits share syncs.
const DELETES_AT_ONCE: usize = 64;

/// How often a bucket is emptied again because somebody still writes to it.
const EMPTYING_ROUNDS_MAX: usize = 8;

/// A new bucket with its key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewStorageDocument {
    name: Option<String>,
    account: Option<String>,
    #[serde(default)]
    public: bool,
    #[serde(default)]
    description: String,
}

/// A bucket, its key with the secret, and where they are used.
#[derive(Serialize)]
pub struct Storage {
    bucket: Bucket,
    key: Key,
    endpoint_url: Option<String>,
    region: String,
}

/// How to destroy.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DestroyParameters {
    /// Also what the bucket holds.
    #[serde(default)]
    force: bool,
}

/// What was destroyed.
#[derive(Serialize)]
pub struct Destroyed {
    bucket: String,
    objects_deleted: u64,
    keys_deleted: Vec<String>,
}

pub async fn create(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Parameters(Nothing {}): Parameters<Nothing>,
    Document(new): Document<NewStorageDocument>,
) -> Result<(StatusCode, Json<Storage>), ApiError> {
    to_its_end(async move {
        let owner = api.account_id_or_root(new.account.as_deref()).await?;
        let made = match &new.name {
            Some(name) => api.make_storage(name, &owner, &new).await?,
            None => api.make_storage_of_any_name(&owner, &new).await?,
        };
        let (key, bucket) = made;
        caller.note("CreateKey", key.id(), &keys::summary(&key.info));
        caller.note("CreateBucket", &bucket.name, &buckets::summary(&bucket));
        let storage = Storage {
            bucket: api.described(&bucket).await?,
            key: Key::with_secret(key),
            endpoint_url: api.server.endpoint_url.get().cloned(),
            region: api.server.region.clone(),
        };
        Ok((StatusCode::CREATED, Json(storage)))
    })
    .await
}

pub async fn destroy(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Name(name): Name,
    Parameters(parameters): Parameters<DestroyParameters>,
) -> Result<Json<Destroyed>, ApiError> {
    to_its_end(async move {
        let bucket = api.store.bucket(&name).await?;
        let objects_deleted = api.remove_bucket(&bucket, parameters.force).await?;
        let detail = format!("{objects_deleted} objects");
        caller.note("DeleteBucket", &name, &detail);
        let keys_deleted = api
            .delete_keys_of(&bucket, &caller)
            .await
            .map_err(|error| {
                error.and("The bucket is deleted; keys that were granted only it remain.")
            })?;
        Ok(Json(Destroyed {
            bucket: name,
            objects_deleted,
            keys_deleted,
        }))
    })
    .await
}

impl AdminApi {
    async fn make_storage_of_any_name(
        &self,
        owner: &str,
        new: &NewStorageDocument,
    ) -> Result<(AccessKey, oncilla_store::Bucket), ApiError> {
        let mut tries_left = NAME_TRIES_MAX;
        loop {
            tries_left -= 1;
            let name = generate_bucket_name().map_err(IamError::from)?;
            match self.make_storage(&name, owner, new).await {
                Err(error) if error.is_name_taken() && tries_left > 0 => {}
                outcome => return outcome,
            }
        }
    }

    /// Makes the key and then the bucket; takes the key back if there is no bucket.
    async fn make_storage(
        &self,
        name: &str,
        owner: &str,
        new: &NewStorageDocument,
    ) -> Result<(AccessKey, oncilla_store::Bucket), ApiError> {
        check_bucket_name(name)?;
        match self.store.bucket(name).await {
            Err(BucketError::NoSuchBucket) => {}
            Ok(taken) => return Err(name_taken(&taken, owner)),
            Err(error) => return Err(error.into()),
        }
        let key = NewKey {
            account_id: owner.to_owned(),
            description: new.description.clone(),
            grants: vec![Grant::new(name, Role::Editor)],
            expires_ms: None,
        };
        let key = self.iam.create_key(key).await?;
        match self
            .make_bucket(name.to_owned(), owner.to_owned(), new.public)
            .await
        {
            Ok(bucket) => Ok((key, bucket)),
            Err(error) => {
                if let Err(left) = self.iam.delete_key(key.id()).await {
                    let key = key.id();
                    tracing::error!(target: "admin", key, %left, "a key is left without a bucket");
                }
                Err(error)
            }
        }
    }

    /// Deletes a bucket, with `force` after everything in it; nothing is deleted while something in
    /// it is locked. Gives the number of objects deleted.
    async fn remove_bucket(
        &self,
        bucket: &oncilla_store::Bucket,
        force: bool,
    ) -> Result<u64, ApiError> {
        if force && self.store.has_locked_versions(bucket).await? {
            return Err(locked());
        }
        let mut objects_deleted = 0;
        let mut rounds_left = if force { EMPTYING_ROUNDS_MAX } else { 0 };
        loop {
            match self.store.delete_bucket(bucket).await {
                Ok(()) => return Ok(objects_deleted),
                Err(DeleteBucketError::NotEmpty) if rounds_left > 0 => {}
                Err(error) => return Err(error.into()),
            }
            rounds_left -= 1;
            objects_deleted += self.empty(bucket).await?;
        }
    }

    /// Deletes everything in a bucket. Delete markers go last, and only when nothing was locked
    /// meanwhile: whoever takes a key's marker away makes what is left of it current again.
    async fn empty(&self, bucket: &oncilla_store::Bucket) -> Result<u64, ApiError> {
        let mut found_markers = false;
        let is_object = |version: &ListedVersion| {
            let is_object = matches!(version.entry, VersionEntry::Object(_));
            found_markers |= !is_object;
            is_object
        };
        let mut objects_deleted = self.delete_chosen(bucket, is_object).await?;
        if found_markers {
            objects_deleted += self.delete_chosen(bucket, |_| true).await?;
        }
        Ok(objects_deleted)
    }

    /// Deletes the versions and delete markers that are chosen. Gives the number of objects.
    async fn delete_chosen(
        &self,
        bucket: &oncilla_store::Bucket,
        mut is_chosen: impl FnMut(&ListedVersion) -> bool + Send,
    ) -> Result<u64, ApiError> {
        let mut objects_deleted = 0;
        let mut marker = None;
        loop {
            let query = ListVersionsQuery {
                keys: ListQuery {
                    limit: OBJECTS_PER_BATCH,
                    ..ListQuery::default()
                },
                marker,
            };
            let page = self.store.list_versions(bucket, &query).await?;
            marker = page.entries.last().and_then(VersionMarker::behind);
            let chosen = page.entries.into_iter().filter(|entry| match entry {
                Entry::Item(_, version) => is_chosen(version),
                Entry::Group(_) => false,
            });
            let chosen: Vec<_> = chosen.collect();
            let deletions = stream::iter(chosen)
                .map(|entry| delete_listed(self.store.clone(), bucket.clone(), entry))
                .buffer_unordered(DELETES_AT_ONCE)
                .collect::<Vec<_>>();
            for deleted in deletions.await {
                objects_deleted += u64::from(deleted?);
            }
            if !page.truncated {
                return Ok(objects_deleted);
            }
        }
    }

    /// Deletes the keys of the bucket's owner that were granted this bucket and nothing else.
    async fn delete_keys_of(
        &self,
        bucket: &oncilla_store::Bucket,
        caller: &Caller,
    ) -> Result<Vec<String>, ApiError> {
        let owner = &bucket.record.owner;
        let mut deleted = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = self
                .iam
                .list_keys(owner, after.as_deref(), PAGE_ITEMS_MAX)
                .await?;
            for key in &page.items {
                if !is_only_for(key, &bucket.name) {
                    continue;
                }
                match self.iam.delete_key(&key.id).await {
                    Ok(()) => {
                        caller.note("DeleteKey", &key.id, "its bucket was destroyed");
                        deleted.push(key.id.clone());
                    }
                    // Somebody else was first.
                    Err(IamError::NoSuchKey) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(deleted);
            }
        }
    }
}

/// Deletes what a listing showed; tells whether it was there still.
async fn delete_listed(
    store: Store,
    bucket: oncilla_store::Bucket,
    entry: Entry<ListedVersion>,
) -> Result<bool, ApiError> {
    let Entry::Item(key, version) = entry else {
        return Ok(false);
    };
    match store
        .delete_version(
            &bucket,
            &key,
            version.version_id,
            &Conditions::default(),
            LockOverride::Nothing,
        )
        .await
    {
        Ok(deleted) => Ok(deleted.record.is_some()),
        Err(DeleteObjectError::NoSuchBucket) => Ok(false),
        Err(DeleteObjectError::Locked(_)) => Err(locked()),
        Err(DeleteObjectError::Fault(fault)) => Err(fault.into()),
        Err(DeleteObjectError::Condition(failure)) => Err(S3Error::from(failure).into()),
    }
}

fn locked() -> ApiError {
    let message = "The bucket holds versions that are protected by object lock, which nothing \
                   removes.";
    ApiError::conflict("ObjectLocked", message)
}

fn is_only_for(key: &AccessKeyInfo, bucket: &str) -> bool {
    let is_for =
        |grant: &Grant| matches!(&grant.bucket, BucketPattern::Exact(name) if name == bucket);
    !key.grants.is_empty() && key.grants.iter().all(is_for)
}

fn name_taken(taken: &oncilla_store::Bucket, owner: &str) -> ApiError {
    use oncilla_store::bucket::CreateBucketError;
    let error = match taken.record.owner == owner {
        true => CreateBucketError::AlreadyOwnedByYou(Box::new(taken.clone())),
        false => CreateBucketError::AlreadyExists,
    };
    error.into()
}
