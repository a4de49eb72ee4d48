//! Writing an object: one mutation that names the bytes and lets go of what was there before.

use bytes::Bytes;
use oncilla_meta::{CommitOutcome, Mutation, Space};
use oncilla_wire::conditions::{ConditionFailure, Conditions, Existing};

use crate::bucket::Bucket;
use crate::content::WrittenContent;
use crate::etag::ETag;
use crate::fault::Fault;
use crate::history::Newcomer;
use crate::rows::codec::UnknownFields;
use crate::rows::object::{OBJECT_KEY_OFFSET, ObjectRecord, StoredChecksum, object_key};
use crate::store::{CONFLICT_RETRIES_MAX, Store, to_its_end, unchanged};
use oncilla_wire::xml::acl::CannedAcl;

/// What is kept of an object beside its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewObject {
    /// Canonical id of the owner.
    pub owner: String,
    /// Storage class; empty means `STANDARD`.
    pub storage_class: String,
    /// Who may read it besides its owner.
    pub acl: CannedAcl,
    /// Standard headers (name in lower case, value as sent).
    pub headers: Vec<(Bytes, Bytes)>,
    /// User metadata (name in lower case without `x-amz-meta-`, value as sent).
    pub metadata: Vec<(Bytes, Bytes)>,
    /// Object tags.
    pub tags: Vec<(String, String)>,
}

/// Why an object was not written. Whatever was there before still is.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PutObjectError {
    /// The bucket was deleted meanwhile.
    #[error("no such bucket")]
    NoSuchBucket,
    /// A condition of the request does not hold.
    #[error(transparent)]
    Condition(#[from] ConditionFailure),
    /// A failure beneath.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// The present of a key while it is being replaced.
#[derive(Clone)]
pub(crate) struct Present {
    pub row_key: Bytes,
    pub row: Option<Bytes>,
    pub record: Option<ObjectRecord>,
}

impl Present {
    /// The entity tag as conditions compare it; empty if there is no object.
    pub fn etag(&self) -> String {
        self.record
            .as_ref()
            .map_or_else(String::new, |record| record.etag.to_string())
    }

    /// What conditions are evaluated against; `etag` is [`Present::etag`].
    pub fn existing<'a>(&self, etag: &'a str) -> Option<Existing<'a>> {
        self.record.as_ref().map(|record| record.existing(etag))
    }

    /// Evaluates a write's conditions against what is there.
    pub fn check(&self, conditions: &Conditions) -> Result<(), ConditionFailure> {
        conditions.evaluate_write(self.existing(&self.etag()))
    }
}

impl Store {
    /// Writes an object whose bytes are `content`.
    pub async fn put_object(
        &self,
        bucket: &Bucket,
        key: &[u8],
        new: NewObject,
        content: WrittenContent,
        conditions: &Conditions,
    ) -> Result<ObjectRecord, PutObjectError> {
        let (store, bucket, conditions) = (self.clone(), bucket.clone(), conditions.clone());
        let key = Bytes::copy_from_slice(key);
        to_its_end(async move {
            store
                .put_object_now(bucket, &key, new, content, &conditions)
                .await
        })
        .await
    }

    async fn put_object_now(
        &self,
        mut bucket: Bucket,
        key: &[u8],
        new: NewObject,
        mut content: WrittenContent,
        conditions: &Conditions,
    ) -> Result<ObjectRecord, PutObjectError> {
        let id = self.inner.clock.unique_id().map_err(Fault::from)?;
        let checksum = StoredChecksum {
            checksum: content.checksum,
            composite: false,
        };
        let mut record = ObjectRecord {
            id,
            size: content.size,
            etag: ETag::of_md5(content.md5),
            last_modified_ms: 0,
            time: 0,
            storage_class: new.storage_class,
            owner: new.owner,
            checksum: Some(checksum),
            placement: content.placement(),
            acl: new.acl,
            headers: new.headers,
            metadata: new.metadata,
            tags: new.tags,
            versioned: false,
            encryption: content.encryption.clone(),
            unknown: UnknownFields::default(),
        };
        let _turn = self.inner.locks.lock((bucket.id(), key)).await;
        for _ in 0..CONFLICT_RETRIES_MAX {
            let present = self.present(&bucket, key).await?;
            present.check(conditions)?;
            let mut mutation = Mutation::new();
            content.refer(&mut mutation, id);
            content.commit_begins();
            let outcome = self.replace(&bucket, present, &mut record, mutation).await;
            match outcome {
                Ok(Replaced::Done) => return Ok(record),
                Ok(Replaced::ChangedMeanwhile) => content.commit_refused(),
                Ok(Replaced::BucketChanged) => {
                    content.commit_refused();
                    let now = self.same_bucket(&bucket).await?;
                    bucket = now.ok_or(PutObjectError::NoSuchBucket)?;
                }
                Err(fault) => {
                    // A full device refuses before anything is applied; other failures may not.
                    if matches!(fault, Fault::NoSpace) {
                        content.commit_refused();
                    }
                    return Err(fault.into());
                }
            }
        }
        Err(too_many_writers().into())
    }

    /// What is under a key now.
    pub(crate) async fn present(&self, bucket: &Bucket, key: &[u8]) -> Result<Present, Fault> {
        let row_key = object_key(bucket.id(), key);
        let row = self.get(&row_key).await?;
        let record = row.clone().map(ObjectRecord::decode).transpose()?;
        Ok(Present {
            row_key,
            row,
            record,
        })
    }

    /// Commits `mutation` together with what makes `record` the present of a key; its times and
    /// whether it has a version id are set here. The caller holds the key's lock.
    pub(crate) async fn replace(
        &self,
        bucket: &Bucket,
        present: Present,
        record: &mut ObjectRecord,
        mut mutation: Mutation,
    ) -> Result<Replaced, Fault> {
        record.time = self.inner.clock.tick();
        record.last_modified_ms = self.inner.clock.now_ms();
        record.versioned = bucket.gives_version_ids();
        let bucket_unchanged = mutation.preconditions.len();
        mutation
            .require(bucket.unchanged())
            .require(unchanged(&present.row_key, present.row.as_ref()));
        let key = present.row_key.slice(OBJECT_KEY_OFFSET..);
        let way = self.make_way(&mut mutation, bucket, &key, &present, Newcomer::Object);
        let mut counts = way.await?;
        counts.add_object(record.size);
        counts.apply(&mut mutation, bucket.id());
        mutation.put(Space::Records, present.row_key, record.encode());
        match self.commit(mutation, record.time).await? {
            CommitOutcome::Committed { .. } => Ok(Replaced::Done),
            CommitOutcome::Conflict { precondition } if precondition == bucket_unchanged => {
                Ok(Replaced::BucketChanged)
            }
            CommitOutcome::Conflict { .. } => Ok(Replaced::ChangedMeanwhile),
        }
    }
}

impl ObjectRecord {
    /// What conditions are evaluated against; `etag` is the entity tag's text.
    pub fn existing<'a>(&self, etag: &'a str) -> Existing<'a> {
        Existing {
            etag,
            last_modified_ms: self.last_modified_ms as i64,
            size: self.size,
        }
    }
}

/// How a replacement ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replaced {
    /// Committed.
    Done,
    /// Somebody else changed something first: look again.
    ChangedMeanwhile,
    /// The bucket does not exist any more, or treats versions otherwise than it did.
    BucketChanged,
}

pub(crate) fn too_many_writers() -> Fault {
    Fault::Unavailable("too many concurrent writers of one key".to_owned())
}
