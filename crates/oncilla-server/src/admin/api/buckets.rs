//! Buckets with their owners and what they hold.

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use oncilla_iam::IamError;
use oncilla_meta::to_its_end;
use oncilla_store::bucket::{BucketError, ListBuckets, NewBucket};
use oncilla_wire::names::check_bucket_name;
use serde::{Deserialize, Serialize};

use super::access::Caller;
use super::document::{Document, ListParameters, Name, Nothing, Page, Parameters};
use super::error::ApiError;
use super::{AdminApi, Api};
use crate::s3::access::BucketAccess;

/// A new bucket.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewBucketDocument {
    name: String,
    account: Option<String>,
    #[serde(default)]
    public: bool,
}

/// A bucket in an answer.
#[derive(Serialize)]
pub struct Bucket {
    name: String,
    account_id: String,
    created_ms: u64,
    /// Whether its policy, its ACL or how it was made let everybody in.
    public: bool,
    /// Live objects.
    objects: u64,
    /// Bytes in live objects.
    bytes: u64,
}

impl AdminApi {
    /// A bucket as answers show it.
    pub(super) async fn described(
        &self,
        bucket: &oncilla_store::Bucket,
    ) -> Result<Bucket, ApiError> {
        let usage = self.store.usage(bucket.id()).await?;
        Ok(Bucket {
            name: bucket.name.clone(),
            account_id: bucket.record.owner.clone(),
            created_ms: bucket.record.created_ms,
            public: is_public(bucket),
            objects: usage.objects,
            bytes: usage.bytes,
        })
    }

    /// Makes a bucket for an account that exists and still exists afterwards: the account may be
    /// deleted at the same time by somebody who does not see the bucket yet.
    pub(super) async fn make_bucket(
        &self,
        name: String,
        owner: String,
        public: bool,
    ) -> Result<oncilla_store::Bucket, ApiError> {
        check_bucket_name(&name)?;
        let new = NewBucket {
            name,
            owner,
            // Readable by everybody; who may list it is another matter.
            public_objects: public,
            ..NewBucket::default()
        };
        let bucket = self.store.create_bucket(new).await?;
        match self.iam.account(&bucket.record.owner).await {
            Err(IamError::NoSuchAccount) => {
                self.store.delete_bucket(&bucket).await?;
                Err(IamError::NoSuchAccount.into())
            }
            Err(error) => Err(error.into()),
            Ok(_) => Ok(bucket),
        }
    }
}

pub async fn list(
    State(api): State<Api>,
    Parameters(list): Parameters<ListParameters>,
) -> Result<Json<Page<Bucket>>, ApiError> {
    let limit = list.limit()?;
    let owner = match &list.account {
        Some(account) => Some(api.account(account).await?.id),
        None => None,
    };
    let query = ListBuckets {
        owner: owner.as_deref(),
        prefix: "",
        after: list.after.as_deref(),
        limit,
    };
    let page = api.store.list_buckets(query).await?;
    let last = page.buckets.last().map(|bucket| bucket.name.clone());
    let next = last.filter(|_| page.truncated);
    let mut items = Vec::with_capacity(page.buckets.len());
    for bucket in page.buckets {
        match api.store.bucket(&bucket.name).await {
            Ok(bucket) => items.push(api.described(&bucket).await?),
            // Deleted since it was listed.
            Err(BucketError::NoSuchBucket) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Json(Page { items, next }))
}

pub async fn create(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Parameters(Nothing {}): Parameters<Nothing>,
    Document(new): Document<NewBucketDocument>,
) -> Result<(StatusCode, Json<Bucket>), ApiError> {
    to_its_end(async move {
        let owner = api.account_id_or_root(new.account.as_deref()).await?;
        let bucket = api.make_bucket(new.name, owner, new.public).await?;
        caller.note("CreateBucket", &bucket.name, &summary(&bucket));
        let bucket = api.described(&bucket).await?;
        Ok((StatusCode::CREATED, Json(bucket)))
    })
    .await
}

/// Whether the bucket is public. One whose documents cannot be read, which is logged, lets nobody in.
fn is_public(bucket: &oncilla_store::Bucket) -> bool {
    let access = BucketAccess::of(bucket);
    let public = access.and_then(|access| access.lets_the_public_in());
    public.unwrap_or(false)
}

/// What the log says of a bucket.
pub fn summary(bucket: &oncilla_store::Bucket) -> String {
    let public = if bucket.record.public_objects {
        " public"
    } else {
        ""
    };
    format!("account {}{public}", bucket.record.owner)
}

pub async fn show(
    State(api): State<Api>,
    Name(name): Name,
    Parameters(Nothing {}): Parameters<Nothing>,
) -> Result<Json<Bucket>, ApiError> {
    let bucket = api.store.bucket(&name).await?;
    Ok(Json(api.described(&bucket).await?))
}

pub async fn delete(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Name(name): Name,
    Parameters(Nothing {}): Parameters<Nothing>,
) -> Result<StatusCode, ApiError> {
    to_its_end(async move {
        let bucket = api.store.bucket(&name).await?;
        api.store.delete_bucket(&bucket).await?;
        caller.note("DeleteBucket", &name, "");
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
