//! Buckets: create, look up, configure, delete, list.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use oncilla_meta::{CommitOutcome, Mutation, Precondition, Reader, Space, next_key};

use crate::documents::{Documents, NAMED_DOCUMENTS_MAX, NewDocument};
use crate::fault::Fault;
use crate::object_lock::RemoveError;
use crate::rows::bucket::{
    BucketRecord, all_buckets, bucket_by_owner_key, bucket_key, bucket_name, bucket_name_by_owner,
    bucket_name_key, bucket_name_value, buckets_of_owner,
};
use crate::rows::codec::UnknownFields;
use crate::rows::document::{DocumentKind, documents_of_bucket};
use crate::rows::garbage::Garbage;
use crate::rows::history::history_of_bucket;
use crate::rows::key::{BucketId, successor};
use crate::rows::lifecycle::lifecycle_key;
use crate::rows::object::objects_of_bucket;
use crate::rows::usage::{self, Counter, Counts};
use crate::store::{CONFLICT_RETRIES_MAX, Store, is_empty, scan};
use oncilla_wire::xml::acl::CannedAcl;
use oncilla_wire::xml::object_lock::ObjectLockConfiguration;
use oncilla_wire::xml::versioning::VersioningStatus;

/// Most buckets cached: a few hundred bytes each.
pub(crate) const BUCKETS_CACHED_MAX: usize = 10_000;

/// How long a cached bucket counts, which bounds how long a change by another process goes unseen.
pub const BUCKET_CACHED_FOR: Duration = Duration::from_secs(5);

/// More documents than a bucket can have: a few kinds of which there are many, and the others.
const DOCUMENTS_MAX: usize = 16 * NAMED_DOCUMENTS_MAX;

/// A bucket as it was when it was looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// What it is.
    pub record: BucketRecord,
    /// How it is configured.
    pub documents: Documents,
}

impl Bucket {
    /// Identity under which its objects are kept.
    pub fn id(&self) -> BucketId {
        self.record.id
    }

    /// That the bucket exists, treats superseded versions as it did when it was looked up, and locks
    /// new ones as it did.
    pub(crate) fn unchanged(&self) -> Precondition {
        let value = bucket_name_value(&self.name, &self.record);
        Precondition::Equals(bucket_name_key(self.record.id), value)
    }
}

/// What a new bucket is to be.
#[derive(Clone, Debug, Default)]
pub struct NewBucket {
    /// A valid bucket name.
    pub name: String,
    /// Canonical id of the owner.
    pub owner: String,
    /// Location constraint, empty if none.
    pub location: String,
    /// Who may list it besides its owner.
    pub acl: CannedAcl,
    /// Whether everybody may read its objects.
    pub public_objects: bool,
    /// Bucket tags.
    pub tags: Vec<(String, String)>,
    /// Documents that it has from the start, each of a kind of which there is one.
    pub documents: Vec<(DocumentKind, NewDocument)>,
    /// Whether it has Object Lock, and so keeps versions.
    pub object_lock: bool,
    /// What else must hold, such as that the owner's account exists.
    pub require: Vec<Precondition>,
}

/// Why a bucket was not created.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CreateBucketError {
    /// The owner already has it; it was left as it is.
    #[error("the bucket exists and belongs to this account")]
    AlreadyOwnedByYou(Box<Bucket>),
    /// Another account has it.
    #[error("the bucket exists")]
    AlreadyExists,
    /// What the caller required does not hold.
    #[error("a requirement for the bucket's creation does not hold")]
    RequirementFailed,
    /// A failure beneath.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why a bucket could not be had.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BucketError {
    /// There is none of this name.
    #[error("no such bucket")]
    NoSuchBucket,
    /// A failure beneath.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why a bucket was not deleted.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DeleteBucketError {
    /// There is none of this name.
    #[error("no such bucket")]
    NoSuchBucket,
    /// It holds objects.
    #[error("the bucket is not empty")]
    NotEmpty,
    /// A failure beneath.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why the way in which a bucket keeps or locks versions was not changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SetVersionsError {
    /// The bucket is gone.
    #[error("no such bucket")]
    NoSuchBucket,
    /// Object Lock needs versioning, which is not enabled.
    #[error("versioning is not enabled")]
    NotVersioned,
    /// The bucket has Object Lock, so versioning stays enabled.
    #[error("the bucket has object lock")]
    HasObjectLock,
    /// A failure beneath.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<BucketError> for SetVersionsError {
    fn from(error: BucketError) -> Self {
        match error {
            BucketError::NoSuchBucket => Self::NoSuchBucket,
            BucketError::Fault(fault) => Self::Fault(fault),
        }
    }
}

/// Which buckets to list.
#[derive(Clone, Debug, Default)]
pub struct ListBuckets<'a> {
    /// Canonical id of the owner; `None` lists everybody's.
    pub owner: Option<&'a str>,
    /// Only names that start so.
    pub prefix: &'a str,
    /// Only names after this one.
    pub after: Option<&'a str>,
    /// At most so many.
    pub limit: usize,
}

/// A bucket in a listing, which does not read how it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedBucket {
    /// Its name.
    pub name: String,
    /// What it is.
    pub record: BucketRecord,
}

/// A page of buckets.
#[derive(Clone, Debug, Default)]
pub struct BucketPage {
    /// In the order of their names.
    pub buckets: Vec<ListedBucket>,
    /// Whether more follow.
    pub truncated: bool,
}

/// What a bucket holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Live objects.
    pub objects: u64,
    /// Bytes in live objects.
    pub bytes: u64,
    /// Superseded versions and delete markers.
    pub past_entries: u64,
    /// Bytes in superseded versions.
    pub past_bytes: u64,
}

impl Store {
    /// Creates a bucket.
    pub async fn create_bucket(&self, new: NewBucket) -> Result<Bucket, CreateBucketError> {
        let _forget_when_dropped = self.inner.buckets.forget_when_dropped();
        loop {
            let time = self.inner.clock.tick();
            let mut id = [0; 8];
            getrandom::fill(&mut id).map_err(Fault::from)?;
            let record = BucketRecord {
                id: BucketId(u64::from_be_bytes(id)),
                owner: new.owner.clone(),
                created_ms: self.inner.clock.now_ms(),
                location: new.location.clone(),
                acl: new.acl,
                public_objects: new.public_objects,
                tags: new.tags.clone(),
                versioning: match new.object_lock {
                    true => VersioningStatus::Enabled,
                    false => VersioningStatus::Unversioned,
                },
                document_changes: 0,
                object_lock: new.object_lock.then(ObjectLockConfiguration::default),
                unknown: UnknownFields::default(),
            };
            let mut mutation = Mutation::new();
            mutation.preconditions.clone_from(&new.require);
            mutation
                .require(Precondition::Absent(bucket_key(&new.name)))
                .require(Precondition::Absent(bucket_name_key(record.id)))
                .put(Space::Records, bucket_key(&new.name), record.encode())
                .put(
                    Space::Records,
                    bucket_name_key(record.id),
                    bucket_name_value(&new.name, &record),
                )
                .put(
                    Space::Records,
                    bucket_by_owner_key(&new.owner, &new.name),
                    Bytes::new(),
                );
            let documents = Documents::new(&new.documents, record.created_ms);
            documents.put(&mut mutation, record.id);
            match self.commit(mutation, time).await? {
                CommitOutcome::Committed { .. } => {
                    return Ok(Bucket {
                        name: new.name,
                        record,
                        documents,
                    });
                }
                CommitOutcome::Conflict { precondition } if precondition < new.require.len() => {
                    return Err(CreateBucketError::RequirementFailed);
                }
                CommitOutcome::Conflict { .. } => {}
            }
            match self.read_bucket(&new.name).await {
                Ok(bucket) if bucket.record.owner == new.owner => {
                    return Err(CreateBucketError::AlreadyOwnedByYou(Box::new(bucket)));
                }
                Ok(_) => return Err(CreateBucketError::AlreadyExists),
                // Deleted meanwhile, or the random id was taken: try again.
                Err(BucketError::NoSuchBucket) => {}
                Err(BucketError::Fault(fault)) => return Err(fault.into()),
            }
        }
    }

    /// Looks a bucket up by its name.
    pub async fn bucket(&self, name: &str) -> Result<Arc<Bucket>, BucketError> {
        let cache = &self.inner.buckets;
        if let Some(cached) = cache.get(name) {
            return Ok(cached);
        }
        let ticket = cache.begin_read();
        // Absence is not cached: made-up names must not push out real buckets.
        let found = Arc::new(self.read_bucket(name).await?);
        cache.put(ticket, name, Arc::clone(&found));
        Ok(found)
    }

    async fn read_bucket(&self, name: &str) -> Result<Bucket, BucketError> {
        let snapshot = self.inner.engine.snapshot();
        let row = snapshot.get(Space::Records, &bucket_key(name)).await;
        let row = row.map_err(Fault::from)?;
        let row = row.ok_or(BucketError::NoSuchBucket)?;
        let record = BucketRecord::decode(row).map_err(Fault::from)?;
        let documents = Documents::read(&*snapshot, record.id).await?;
        Ok(Bucket {
            name: name.to_owned(),
            record,
            documents,
        })
    }

    /// Changes a bucket's record by `change`, which may be called again if another change came
    /// first. How it keeps and locks versions stays: see [`Store::set_versioning`] and
    /// [`Store::set_object_lock`].
    pub async fn update_bucket(
        &self,
        name: &str,
        change: impl Fn(&mut BucketRecord),
    ) -> Result<Bucket, BucketError> {
        let keeping_versions = |record: &mut BucketRecord| {
            let (versioning, object_lock) = (record.versioning, record.object_lock);
            change(record);
            record.versioning = versioning;
            record.object_lock = object_lock;
            Ok(())
        };
        self.change_bucket(name, keeping_versions).await
    }

    /// Enables or suspends versioning.
    pub async fn set_versioning(
        &self,
        bucket: &Bucket,
        versioning: VersioningStatus,
    ) -> Result<Bucket, SetVersionsError> {
        let change = |record: &mut BucketRecord| {
            if record.id != bucket.id() {
                return Err(SetVersionsError::NoSuchBucket);
            }
            // Without versioning a write would replace what may be locked.
            if record.object_lock.is_some() && versioning != VersioningStatus::Enabled {
                return Err(SetVersionsError::HasObjectLock);
            }
            record.versioning = versioning;
            Ok(())
        };
        self.change_bucket(&bucket.name, change).await
    }

    /// Enables Object Lock, which cannot be taken back, or changes the retention of new versions.
    pub async fn set_object_lock(
        &self,
        bucket: &Bucket,
        configuration: ObjectLockConfiguration,
    ) -> Result<Bucket, SetVersionsError> {
        let change = |record: &mut BucketRecord| {
            if record.id != bucket.id() {
                return Err(SetVersionsError::NoSuchBucket);
            }
            if record.versioning != VersioningStatus::Enabled {
                return Err(SetVersionsError::NotVersioned);
            }
            record.object_lock = Some(configuration);
            Ok(())
        };
        self.change_bucket(&bucket.name, change).await
    }

    async fn change_bucket<E>(
        &self,
        name: &str,
        change: impl Fn(&mut BucketRecord) -> Result<(), E>,
    ) -> Result<Bucket, E>
    where
        E: From<BucketError> + From<Fault>,
    {
        let key = bucket_key(name);
        let _forget_when_dropped = self.inner.buckets.forget_when_dropped();
        for _ in 0..CONFLICT_RETRIES_MAX {
            let row = self.get(&key).await?.ok_or(BucketError::NoSuchBucket)?;
            let mut record = BucketRecord::decode(row.clone()).map_err(Fault::from)?;
            let value_before = bucket_name_value(name, &record);
            change(&mut record)?;
            let mut mutation = Mutation::new();
            mutation
                .require(Precondition::Equals(key.clone(), row))
                .put(Space::Records, key.clone(), record.encode());
            let value = bucket_name_value(name, &record);
            if value != value_before {
                mutation.put(Space::Records, bucket_name_key(record.id), value);
            }
            let time = self.inner.clock.tick();
            if let CommitOutcome::Committed { .. } = self.commit(mutation, time).await? {
                let documents = Documents::read(&*self.inner.engine, record.id).await?;
                return Ok(Bucket {
                    name: name.to_owned(),
                    record,
                    documents,
                });
            }
        }
        Err(Fault::Unavailable("too many concurrent changes of one bucket".to_owned()).into())
    }

    /// The bucket as it is now, for a write that would be refused by what it was. It may be gone,
    /// even if another has its name.
    pub(crate) async fn same_bucket(&self, bucket: &Bucket) -> Result<Bucket, RemoveError> {
        let now = self.bucket_of_id(&bucket.name, bucket.id()).await?;
        now.ok_or(RemoveError::NoSuchBucket)
    }

    /// Whether writes that went by `bucket` would be refused: it is gone, or treats versions
    /// otherwise by now.
    pub(crate) async fn has_changed(&self, bucket: &Bucket) -> Result<bool, Fault> {
        let row = self.get(&bucket_name_key(bucket.id())).await?;
        Ok(row != Some(bucket_name_value(&bucket.name, &bucket.record)))
    }

    /// The bucket of this name, if it has this identity.
    pub(crate) async fn bucket_of_id(
        &self,
        name: &str,
        id: BucketId,
    ) -> Result<Option<Bucket>, Fault> {
        match self.read_bucket(name).await {
            Ok(now) => Ok(Some(now).filter(|now| now.id() == id)),
            Err(BucketError::NoSuchBucket) => Ok(None),
            Err(BucketError::Fault(fault)) => Err(fault),
        }
    }

    /// Deletes a bucket that holds no object, no version and no delete marker. Uploads still open in
    /// it are aborted. A bucket that took the name since `bucket` was looked up is left alone.
    pub async fn delete_bucket(&self, bucket: &Bucket) -> Result<(), DeleteBucketError> {
        let name = bucket.name.as_str();
        let _forget_when_dropped = self.inner.buckets.forget_when_dropped();
        let key = bucket_key(name);
        for _ in 0..CONFLICT_RETRIES_MAX {
            let row = self
                .get(&key)
                .await?
                .ok_or(DeleteBucketError::NoSuchBucket)?;
            let record = BucketRecord::decode(row.clone()).map_err(Fault::from)?;
            if record.id != bucket.id() {
                return Err(DeleteBucketError::NoSuchBucket);
            }
            let (objects, history) = (objects_of_bucket(record.id), history_of_bucket(record.id));
            let engine: &dyn Reader = &*self.inner.engine;
            if !is_empty(engine, objects.clone()).await?
                || !is_empty(engine, history.clone()).await?
            {
                return Err(DeleteBucketError::NotEmpty);
            }
            let mut mutation = Mutation::new();
            mutation
                .require(Precondition::Equals(key.clone(), row))
                .require(Precondition::RangeEmpty(objects.0, objects.1))
                .require(Precondition::RangeEmpty(history.0, history.1))
                .delete(Space::Records, key.clone())
                .delete(Space::Records, bucket_name_key(record.id))
                .delete(Space::Records, bucket_by_owner_key(&record.owner, name));
            mutation.delete(Space::Records, lifecycle_key(record.id));
            for counter in Counter::ALL {
                mutation.delete(Space::Records, counter.key(record.id));
            }
            for key in document_keys(engine, record.id).await? {
                mutation.delete(Space::Records, key);
            }
            self.note_garbage(&mut mutation, Garbage::BucketUploads(record.id))?;
            let time = self.inner.clock.tick();
            if let CommitOutcome::Committed { .. } = self.commit(mutation, time).await? {
                return Ok(());
            }
        }
        Err(Fault::Unavailable("too many concurrent changes of one bucket".to_owned()).into())
    }

    /// Lists buckets in the order of their names.
    pub async fn list_buckets(&self, list: ListBuckets<'_>) -> Result<BucketPage, Fault> {
        let (start, end) = match list.owner {
            Some(owner) => buckets_of_owner(owner, list.prefix),
            None => {
                let start = bucket_key(list.prefix);
                let end = successor(&start).unwrap_or_else(|| all_buckets().1);
                (start, end)
            }
        };
        let start = match (list.after, list.owner) {
            (Some(after), Some(owner)) => start.max(next_key(&bucket_by_owner_key(owner, after))),
            (Some(after), None) => start.max(next_key(&bucket_key(after))),
            (None, _) => start,
        };
        let snapshot = self.inner.engine.snapshot();
        let page = snapshot.scan(scan(start, end, list.limit)).await?;
        let mut buckets = Vec::with_capacity(page.rows.len());
        for row in page.rows {
            let (name, value) = match list.owner {
                None => (bucket_name(&row.key)?, row.value),
                Some(_) => {
                    let name = bucket_name_by_owner(&row.key)?;
                    let value = snapshot.get(Space::Records, &bucket_key(&name)).await?;
                    let missing = || Fault::Damaged(format!("bucket {name} is listed but missing"));
                    let value = value.ok_or_else(missing)?;
                    (name, value)
                }
            };
            buckets.push(ListedBucket {
                name,
                record: BucketRecord::decode(value)?,
            });
        }
        Ok(BucketPage {
            buckets,
            truncated: page.more,
        })
    }

    /// What a bucket holds.
    pub async fn usage(&self, bucket: BucketId) -> Result<Usage, Fault> {
        let counts = counts(&*self.inner.engine.snapshot(), bucket).await?;
        Ok(Usage {
            objects: counts.objects.max(0) as u64,
            bytes: counts.bytes.max(0) as u64,
            past_entries: counts.past_entries.max(0) as u64,
            past_bytes: counts.past_bytes.max(0) as u64,
        })
    }
}

/// Keys of all documents of a bucket, also of those that only a newer version knows.
async fn document_keys(reader: &dyn Reader, bucket: BucketId) -> Result<Vec<Bytes>, Fault> {
    let (start, end) = documents_of_bucket(bucket);
    let rows = reader.scan(scan(start, end, DOCUMENTS_MAX)).await?.rows;
    Ok(rows.into_iter().map(|row| row.key).collect())
}

/// Reads the counters of a bucket.
pub(crate) async fn counts(reader: &dyn Reader, bucket: BucketId) -> Result<Counts, Fault> {
    let mut counts = Counts::default();
    for counter in Counter::ALL {
        let row = reader.get(Space::Records, &counter.key(bucket)).await?;
        *counts.of(counter) = usage::value(row.as_ref());
    }
    Ok(counts)
}
