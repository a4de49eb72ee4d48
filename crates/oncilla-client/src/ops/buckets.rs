//! ListBuckets, CreateBucket, HeadBucket, DeleteBucket.

use http::Method;
use oncilla_wire::header as s3_header;
use oncilla_wire::xml::bucket::CreateBucketConfiguration;
use oncilla_wire::xml::list_buckets::ListBuckets;

use crate::body::Body;
use crate::call::{Call, Repeat};
use crate::client::Client;
use crate::error::Error;
use crate::types::Bucket;

/// Regions that are the absence of a location constraint.
const UNCONSTRAINED_REGIONS: [&str; 2] = ["auto", "us-east-1"];

impl Client {
    /// The buckets of the account that the key belongs to, all pages of them.
    pub async fn list_buckets(&self) -> Result<Vec<Bucket>, Error> {
        self.list_buckets_with_prefix("").await
    }

    /// Whether a bucket is among those of the account that the key belongs to.
    pub async fn owns_bucket(&self, name: &str) -> Result<bool, Error> {
        let buckets = self.list_buckets_with_prefix(name).await?;
        Ok(buckets.iter().any(|bucket| bucket.name == name))
    }

    async fn list_buckets_with_prefix(&self, prefix: &str) -> Result<Vec<Bucket>, Error> {
        let prefix = (!prefix.is_empty()).then_some(prefix);
        let mut buckets = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let call = Call::new(Method::GET, None, None)
                .optional_query("prefix", prefix)
                .optional_query("continuation-token", token.as_deref());
            let document = self.send_for_document(call, Body::Empty).await?;
            let page = document.parse(ListBuckets::parse)?;
            buckets.extend(page.buckets.into_iter().map(|bucket| Bucket {
                name: bucket.name.into_owned(),
                creation_date_ms: bucket.creation_date_ms,
            }));
            match page.continuation_token.filter(|next| !next.is_empty()) {
                Some(next) => token = Some(next.into_owned()),
                None => return Ok(buckets),
            }
        }
    }

    /// Makes a bucket, with a canned ACL such as `public-read` if one is given.
    ///
    /// # Errors
    /// `BucketAlreadyOwnedByYou` and `BucketAlreadyExists` among others.
    pub async fn create_bucket(&self, bucket: &str, acl: Option<&str>) -> Result<(), Error> {
        let region = &self.settings().endpoint.region;
        let body = if UNCONSTRAINED_REGIONS.contains(&region.as_str()) {
            Body::Empty
        } else {
            let configuration = CreateBucketConfiguration {
                location_constraint: Some(region.clone()),
                ..CreateBucketConfiguration::default()
            };
            Body::Bytes(configuration.to_xml().into())
        };
        let mut call = Call::new(Method::PUT, Some(bucket), None)
            .optional_header(s3_header::X_AMZ_ACL, acl)?;
        // A second attempt would be told that the bucket exists already.
        call.repeat = Repeat::IfNotBegun;
        self.send_for_document(call, body).await.map(|_| ())
    }

    /// Whether the bucket exists and this key may see it.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it does not exist, [`Error::Auth`] if it is not to be seen.
    pub async fn head_bucket(&self, bucket: &str) -> Result<(), Error> {
        let call = Call::new(Method::HEAD, Some(bucket), None);
        self.send(call, Body::Empty).await.map(|_| ())
    }

    /// Removes an empty bucket.
    pub async fn delete_bucket(&self, bucket: &str) -> Result<(), Error> {
        let mut call = Call::new(Method::DELETE, Some(bucket), None);
        call.repeat = Repeat::IfNotBegun;
        self.send_for_document(call, Body::Empty).await.map(|_| ())
    }
}
