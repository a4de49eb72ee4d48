//! Reading a bucket from its first object to its last, with everything that records say: for inventories.

use bytes::Bytes;
use oncilla_meta::next_key;

use crate::bucket::Bucket;
use crate::fault::Fault;
use crate::history::Merge;
use crate::rows::bucket::{bucket_name_key, bucket_of_name_row};
use crate::rows::history::Past;
use crate::rows::key::{BucketId, successor};
use crate::rows::object::{OBJECT_KEY_OFFSET, ObjectRecord, object_key, objects_of_bucket};
use crate::store::{Store, scan};

/// A version of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InventoryEntry {
    /// The key.
    pub key: Bytes,
    /// What it is.
    pub version: Past,
    /// Whether it is the newest of its key.
    pub is_latest: bool,
}

/// Which versions to read.
#[derive(Clone, Debug, Default)]
pub struct InventoryQuery<'a> {
    /// Only keys that begin so.
    pub prefix: &'a [u8],
    /// All versions and delete markers; otherwise the objects that a listing shows.
    pub all_versions: bool,
    /// The last entry of the page before.
    pub after: Option<&'a InventoryEntry>,
    /// At most so many.
    pub limit: usize,
}

impl Store {
    /// A page of a bucket's versions, in the order of keys and newest first. Pages are not of one moment:
    /// what changes meanwhile is seen or not, as in S3's inventories.
    pub async fn inventory_page(
        &self,
        bucket: &Bucket,
        query: &InventoryQuery<'_>,
    ) -> Result<Vec<InventoryEntry>, Fault> {
        match query.all_versions {
            true => self.all_versions(bucket.id(), query).await,
            false => self.current_versions(bucket.id(), query).await,
        }
    }

    async fn current_versions(
        &self,
        bucket: BucketId,
        query: &InventoryQuery<'_>,
    ) -> Result<Vec<InventoryEntry>, Fault> {
        let start = match query.after {
            Some(after) => next_key(&object_key(bucket, &after.key)),
            None => object_key(bucket, query.prefix),
        };
        let end = match successor(query.prefix) {
            Some(next) => object_key(bucket, &next),
            None => objects_of_bucket(bucket).1,
        };
        let page = self
            .inner
            .engine
            .scan(scan(start, end, query.limit))
            .await?;
        let entries = page.rows.into_iter().map(|row| {
            Ok(InventoryEntry {
                key: row.key.slice(OBJECT_KEY_OFFSET..),
                version: Past::Object(Box::new(ObjectRecord::decode(row.value)?)),
                is_latest: true,
            })
        });
        entries.collect()
    }

    async fn all_versions(
        &self,
        bucket: BucketId,
        query: &InventoryQuery<'_>,
    ) -> Result<Vec<InventoryEntry>, Fault> {
        let snapshot = self.inner.engine.snapshot();
        let after = query
            .after
            .map(|entry| (&entry.key[..], Some(entry.version.time())));
        let mut rows = Merge::rows(&*snapshot, bucket, query.prefix, after);
        let mut last_key = query.after.map(|entry| entry.key.clone());
        let mut entries = Vec::new();
        while entries.len() < query.limit
            && let Some((key, row, _)) = rows.next_row().await?
        {
            let is_latest = last_key.as_ref() != Some(&key);
            last_key = Some(key.clone());
            entries.push(InventoryEntry {
                key,
                version: Past::decode(row.value)?,
                is_latest,
            });
        }
        Ok(entries)
    }

    /// The bucket of this identity; `None` if it is gone.
    pub async fn bucket_with_id(&self, id: BucketId) -> Result<Option<Bucket>, Fault> {
        let Some(value) = self.get(&bucket_name_key(id)).await? else {
            return Ok(None);
        };
        self.bucket_of_id(&bucket_of_name_row(&value)?, id).await
    }
}
