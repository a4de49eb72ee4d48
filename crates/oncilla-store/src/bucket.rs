//! Buckets: create, look up, configure, delete, list.

use bytes::Bytes;
use oncilla_meta::{CommitOutcome, Mutation, Precondition, Reader, Space};

use crate::fault::Fault;
use crate::rows::bucket::{
    BucketRecord, all_buckets, bucket_by_owner_key, bucket_key, bucket_name, bucket_name_by_owner,
    bucket_name_key, buckets_of_owner,
};
use crate::rows::codec::UnknownFields;
use crate::rows::garbage::Garbage;
use crate::rows::key::{BucketId, successor};
use crate::rows::object::{history_of_bucket, objects_of_bucket};
use crate::rows::usage;
use crate::store::{CONFLICT_RETRIES_MAX, Store, is_empty, scan};
use oncilla_wire::xml::acl::CannedAcl;

/// A bucket as it was when it was looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// Everything else.
    pub record: BucketRecord,
}

impl Bucket {
    /// Identity under which its objects are kept.
    pub fn id(&self) -> BucketId {
        self.record.id
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

/// A page of buckets.
#[derive(Clone, Debug, Default)]
pub struct BucketPage {
    /// In the order of their names.
    pub buckets: Vec<Bucket>,
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
}

impl Store {
    /// Creates a bucket.
    pub async fn create_bucket(&self, new: NewBucket) -> Result<Bucket, CreateBucketError> {
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
                unknown: UnknownFields::default(),
            };
            let mut mutation = Mutation::new();
            mutation.preconditions.clone_from(&new.require);
            mutation
                .require(Precondition::Absent(bucket_key(&new.name)))
                .require(Precondition::Absent(bucket_name_key(record.id)))
                .put(Space::Records, bucket_key(&new.name), record.encode())
                .put(Space::Records, bucket_name_key(record.id), new.name.clone())
                .put(
                    Space::Records,
                    bucket_by_owner_key(&new.owner, &new.name),
                    Bytes::new(),
                );
            match self.commit(mutation, time).await? {
                CommitOutcome::Committed { .. } => {
                    return Ok(Bucket {
                        name: new.name,
                        record,
                    });
                }
                CommitOutcome::Conflict { precondition } if precondition < new.require.len() => {
                    return Err(CreateBucketError::RequirementFailed);
                }
                CommitOutcome::Conflict { .. } => {}
            }
            match self.bucket(&new.name).await {
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
    pub async fn bucket(&self, name: &str) -> Result<Bucket, BucketError> {
        let row = self
            .get(&bucket_key(name))
            .await?
            .ok_or(BucketError::NoSuchBucket)?;
        let record = BucketRecord::decode(row).map_err(Fault::from)?;
        Ok(Bucket {
            name: name.to_owned(),
            record,
        })
    }

    /// Changes a bucket's record by `change`, which may be called again if another change came
    /// first.
    pub async fn update_bucket(
        &self,
        name: &str,
        change: impl Fn(&mut BucketRecord),
    ) -> Result<Bucket, BucketError> {
        let key = bucket_key(name);
        for _ in 0..CONFLICT_RETRIES_MAX {
            let row = self.get(&key).await?.ok_or(BucketError::NoSuchBucket)?;
            let mut record = BucketRecord::decode(row.clone()).map_err(Fault::from)?;
            change(&mut record);
            let mut mutation = Mutation::new();
            mutation
                .require(Precondition::Equals(key.clone(), row))
                .put(Space::Records, key.clone(), record.encode());
            let time = self.inner.clock.tick();
            if let CommitOutcome::Committed { .. } = self.commit(mutation, time).await? {
                return Ok(Bucket {
                    name: name.to_owned(),
                    record,
                });
            }
        }
        Err(Fault::Unavailable("too many concurrent changes of one bucket".to_owned()).into())
    }

    /// Deletes a bucket that holds no object. Uploads still open in it are aborted. A bucket that
    /// took the name since `bucket` was looked up is left alone.
    pub async fn delete_bucket(&self, bucket: &Bucket) -> Result<(), DeleteBucketError> {
        let name = bucket.name.as_str();
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
                .delete(Space::Records, bucket_by_owner_key(&record.owner, name))
                .delete(Space::Records, usage::objects_key(record.id))
                .delete(Space::Records, usage::bytes_key(record.id));
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
            buckets.push(Bucket {
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
    pub async fn usage(&self, bucket: &Bucket) -> Result<Usage, Fault> {
        let objects = self.get(&usage::objects_key(bucket.id())).await?;
        let bytes = self.get(&usage::bytes_key(bucket.id())).await?;
        Ok(Usage {
            objects: usage::value(objects.as_ref()).max(0) as u64,
            bytes: usage::value(bytes.as_ref()).max(0) as u64,
        })
    }
}

/// The smallest key greater than `key`.
pub(crate) fn next_key(key: &[u8]) -> Bytes {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    Bytes::from(next)
}
