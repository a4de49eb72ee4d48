//! Operations on the service: ListBuckets.

use oncilla_store::bucket::ListBuckets;
use oncilla_wire::error::S3Error;
use oncilla_wire::xml::list_buckets::{self, BucketEntry};

use crate::s3::answer::{Answer, xml};
use crate::s3::bucket::continuation_token;
use crate::s3::request::S3Request;
use crate::s3::{S3Service, errors};

/// Most buckets of one answer. Source: S3 API reference, ListBuckets.
const MAX_BUCKETS: u64 = 10_000;

pub async fn list_buckets(service: &S3Service, request: &mut S3Request) -> Answer {
    let limit = match request.query.get_number("max-buckets")? {
        Some(limit @ 1..=MAX_BUCKETS) => limit,
        Some(_) => {
            let asked = request.query.get("max-buckets").unwrap_or_default();
            let message = "Argument max-buckets must be an integer between 1 and 10000";
            return Err(S3Error::invalid_argument("max-buckets", asked, message));
        }
        None => MAX_BUCKETS,
    };
    let wanted_region = request.query.get("bucket-region");
    let prefix = request.query.get("prefix").unwrap_or_default();
    let mut after = match request.query.get("continuation-token") {
        Some(token) => continuation_token::decode_bucket(token)?,
        None => None,
    };
    let account = request.account_id();
    let mut entries: Vec<BucketEntry<'_>> = Vec::new();
    let mut token = None;
    // A key sees only the buckets it was granted, so a page may need several looks.
    while (entries.len() as u64) < limit && token.is_none() {
        let list = ListBuckets {
            owner: Some(account),
            prefix,
            after: after.as_deref(),
            limit: (limit - entries.len() as u64) as usize,
        };
        let page = service
            .store
            .list_buckets(list)
            .await
            .map_err(errors::fault)?;
        let last = page.buckets.last().map(|bucket| bucket.name.clone());
        for bucket in page.buckets {
            let region = service.region_of(&bucket.record.location);
            let is_wanted = wanted_region.is_none_or(|wanted| wanted == region);
            if is_wanted && request.principal.covers(&bucket.name) {
                entries.push(BucketEntry {
                    creation_date_ms: bucket.record.created_ms as i64,
                    region: Some(region.into()),
                    name: bucket.name.into(),
                });
            }
        }
        if !page.truncated {
            break;
        }
        if entries.len() as u64 == limit {
            token = last.as_deref().and_then(continuation_token::encode_bucket);
        } else {
            after = last;
        }
    }
    let owner = service.owner(account).await?;
    let answer = list_buckets::ListBuckets {
        owner: owner.as_xml(),
        buckets: entries,
        prefix: Some(prefix)
            .filter(|prefix| !prefix.is_empty())
            .map(Into::into),
        continuation_token: token.map(Into::into),
    };
    Ok(xml(answer.to_xml()))
}
