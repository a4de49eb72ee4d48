//! Writing an object: one mutation that names the bytes and lets go of what was there before.

use bytes::Bytes;
use oncilla_meta::{CommitOutcome, Interrupted, Mutation, Space, to_its_end};
use oncilla_wire::conditions::{ConditionFailure, Conditions, Existing};
use oncilla_wire::event::EventKind;

use crate::bucket::Bucket;
use crate::content::WrittenContent;
use crate::etag::ETag;
use crate::events::Event;
use crate::fault::Fault;
use crate::history::Newcomer;
use crate::object_lock::{Locked, RemoveError};
use crate::rows::codec::UnknownFields;
use crate::rows::key::UniqueId;
use crate::rows::object::{OBJECT_KEY_OFFSET, ObjectRecord, StoredChecksum, object_key};
use crate::rows::usage::Counts;
use crate::store::{CONFLICT_RETRIES_MAX, Store, unchanged};
use oncilla_wire::object_lock::NewLock;
use oncilla_wire::xml::acl::Acl;

/// What is kept of an object beside its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewObject {
    /// Canonical id of the owner.
    pub owner: String,
    /// Storage class; empty means `STANDARD`.
    pub storage_class: String,
    /// Who may read it besides its owner.
    pub acl: Acl,
    /// Standard headers (name in lower case, value as sent).
    pub headers: Vec<(Bytes, Bytes)>,
    /// User metadata (name in lower case without `x-amz-meta-`, value as sent).
    pub metadata: Vec<(Bytes, Bytes)>,
    /// Object tags.
    pub tags: Vec<(String, String)>,
    /// How the version is locked; without a retention it gets the bucket's default. Only in a
    /// bucket with Object Lock.
    pub lock: NewLock,
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
    /// What would be replaced is locked.
    #[error(transparent)]
    Locked(#[from] Locked),
    /// A failure beneath.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<Interrupted> for PutObjectError {
    fn from(error: Interrupted) -> Self {
        Self::Fault(error.into())
    }
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
        let retention = new.lock.retention;
        let mut record = new_record(id, new, &content);
        let _turn = self.inner.locks.lock((bucket.id(), key)).await;
        for _ in 0..CONFLICT_RETRIES_MAX {
            let present = self.present(&bucket, key).await?;
            present.check(conditions)?;
            let mut mutation = Mutation::new();
            content.refer(&mut mutation, id);
            content.commit_begins();
            record.retention = retention;
            let time = self.inner.clock.tick();
            let created = EventKind::CreatedPut;
            let replaced = self.replace(&bucket, present, &mut record, mutation, time, created);
            let (replaced, refused) = (replaced.await, || content.commit_refused());
            if self.is_done(replaced, &mut bucket, refused).await? {
                return Ok(record);
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

    /// Commits `mutation` together with what makes `record` the present of a key; its times,
    /// whether it has a version id, and the bucket's retention if it has none of its own, are set
    /// here, and that it is there is told as `created`. `time` is a new one of the clock. The caller
    /// holds the key's lock.
    pub(crate) async fn replace(
        &self,
        bucket: &Bucket,
        present: Present,
        record: &mut ObjectRecord,
        mut mutation: Mutation,
        time: u64,
        created: EventKind,
    ) -> Result<Replaced, RemoveError> {
        record.time = time;
        record.last_modified_ms = self.inner.clock.now_ms();
        let bucket_unchanged = mutation.preconditions.len();
        mutation.require(bucket.unchanged());
        let written_ms = record.last_modified_ms;
        let key = present.row_key.slice(OBJECT_KEY_OFFSET..);
        let placed = self.take_place(&mut mutation, bucket, &present, record, written_ms);
        let counts = match placed.await {
            Ok(counts) => counts,
            // In the bucket as it is now, what is there may be kept as a version.
            Err(RemoveError::Locked(_)) if self.has_changed(bucket).await? => {
                return Ok(Replaced::BucketChanged);
            }
            Err(error) => return Err(error),
        };
        counts.apply(&mut mutation, bucket.id());
        let event = Event::of_object(created, &key, record.time, record);
        self.announce(&mut mutation, bucket, &event)?;
        match self.commit(mutation, time).await? {
            CommitOutcome::Committed { .. } => Ok(Replaced::Done),
            CommitOutcome::Conflict { precondition } if precondition == bucket_unchanged => {
                Ok(Replaced::BucketChanged)
            }
            CommitOutcome::Conflict { .. } => Ok(Replaced::ChangedMeanwhile),
        }
    }

    /// What follows from how [`Store::replace`] ended: whether the record is there, or is to be
    /// tried again, by the bucket as it is then. `refused` is called first if nothing was applied,
    /// so that what the mutation would have referred to can be given back.
    pub(crate) async fn is_done(
        &self,
        replaced: Result<Replaced, RemoveError>,
        bucket: &mut Bucket,
        refused: impl FnOnce(),
    ) -> Result<bool, RemoveError> {
        let applied_nothing = match &replaced {
            Ok(replaced) => *replaced != Replaced::Done,
            Err(error) => error.applied_nothing(),
        };
        if applied_nothing {
            refused();
        }
        match replaced? {
            Replaced::Done => return Ok(true),
            Replaced::ChangedMeanwhile => {}
            Replaced::BucketChanged => *bucket = self.same_bucket(bucket).await?,
        }
        Ok(false)
    }

    /// Adds to `mutation` what makes `record` the present of a key, if `present` still is what is
    /// there; whether the record has a version id is set here, and the bucket's retention of what
    /// is written at `written_ms`, if it has none of its own. The mutation must require that the
    /// bucket is unchanged. The counts are left to the caller.
    pub(crate) async fn take_place(
        &self,
        mutation: &mut Mutation,
        bucket: &Bucket,
        present: &Present,
        record: &mut ObjectRecord,
        written_ms: u64,
    ) -> Result<Counts, RemoveError> {
        record.versioned = bucket.gives_version_ids();
        if let Some(lock) = &bucket.record.object_lock
            && record.retention.is_none()
        {
            let default = lock.default_retention;
            record.retention = default.map(|default| default.of_version(written_ms as i64));
        }
        mutation.require(unchanged(&present.row_key, present.row.as_ref()));
        let key = present.row_key.slice(OBJECT_KEY_OFFSET..);
        let way = self.make_way(mutation, bucket, &key, present, Newcomer::Object);
        let mut counts = way.await?;
        counts.add_object(record.size);
        mutation.put(Space::Records, present.row_key.clone(), record.encode());
        Ok(counts)
    }
}

impl ObjectRecord {
    /// Says that the bytes are `content`, in place of what they were.
    pub(crate) fn set_content(&mut self, content: &WrittenContent) {
        self.size = content.size;
        self.etag = ETag::of_md5(content.md5);
        self.checksum = Some(StoredChecksum::full_object(content.checksum));
        self.encryption = content.encryption.clone();
        self.placement = content.placement();
    }

    /// What conditions are evaluated against; `etag` is the entity tag's text.
    pub fn existing<'a>(&self, etag: &'a str) -> Existing<'a> {
        Existing {
            etag,
            last_modified_ms: self.last_modified_ms as i64,
            size: self.size,
        }
    }
}

/// The record of an object whose bytes are `content`, apart from its times.
pub(crate) fn new_record(id: UniqueId, new: NewObject, content: &WrittenContent) -> ObjectRecord {
    ObjectRecord {
        id,
        size: content.size,
        etag: ETag::of_md5(content.md5),
        last_modified_ms: 0,
        time: 0,
        storage_class: new.storage_class,
        owner: new.owner,
        checksum: Some(StoredChecksum::full_object(content.checksum)),
        placement: content.placement(),
        acl: new.acl,
        headers: new.headers,
        metadata: new.metadata,
        tags: new.tags,
        versioned: false,
        retention: new.lock.retention,
        legal_hold: new.lock.legal_hold,
        restoration: None,
        encryption: content.encryption.clone(),
        unknown: UnknownFields::default(),
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

/// What a change fails with that others were always faster than.
pub fn too_many_writers() -> Fault {
    Fault::Unavailable("too many concurrent writers of one key".to_owned())
}
