//! Appending to an object: what is there stays where it is, and what comes is a further part.
//!
//! An object that was appended to is one of parts, as if it had been uploaded in parts: its first
//! part is what it was before, and each appended body is one more. Parts are only ever added to
//! an upload, and its layout only ever becomes longer, so an object that shares the parts (a copy)
//! goes on having the first of them ([`Layout::of_first`]).

use std::sync::Arc;

use bytes::Bytes;
use oncilla_hash::{Checksum, Md5, combine};
use oncilla_meta::{Interrupted, Mutation, Precondition, Reader, Space, to_its_end};
use oncilla_wire::conditions::{ConditionFailure, Conditions};
use oncilla_wire::event::EventKind;

use crate::bucket::Bucket;
use crate::content::WrittenContent;
use crate::etag::ETag;
use crate::fault::Fault;
use crate::multipart::{PARTS_MAX, parts_page};
use crate::object::put::{NewObject, new_record, too_many_writers};
use crate::object_lock::Locked;
use crate::rows::codec::UnknownFields;
use crate::rows::key::UniqueId;
use crate::rows::layout::{Layout, layout_key};
use crate::rows::object::{ObjectRecord, StoredChecksum};
use crate::rows::part::{PartRecord, part_key};
use crate::rows::placement::Placement;
use crate::rows::reference::upload_reference_key;
use crate::store::{CONFLICT_RETRIES_MAX, Store, unchanged};

/// Most parts that are listed anew in one commit, for an object whose parts are shared with one to
/// which something else was appended. Each has some twenty extents at most, and an engine takes
/// tens of thousands of operations.
const RELISTED_PARTS_MAX: usize = 1_000;

/// Which objects may be appended to.
pub type IsWanted = Arc<dyn Fn(&ObjectRecord) -> bool + Send + Sync>;

/// What is appended, and to what.
#[derive(Clone)]
pub struct AppendObject {
    /// The bucket.
    pub bucket: Bucket,
    /// The key.
    pub key: Bytes,
    /// Whether an object that is under the key may be appended to: the right to it may have been
    /// judged by another one, or by none. Nothing is told of one that may not.
    pub is_wanted: IsWanted,
    /// The size that the object must have; 0 also if there is none.
    pub offset: u64,
    /// What is kept of the object beside its bytes, if there is none yet.
    pub new: NewObject,
    /// Conditions on the object.
    pub conditions: Conditions,
    /// A checksum of the appended bytes by the algorithm of the object's own, if that is another one
    /// than the content was summed by.
    pub checksum: Option<Checksum>,
}

/// Why nothing was appended. The object is as it was.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// The bucket was deleted meanwhile.
    #[error("no such bucket")]
    NoSuchBucket,
    /// The bucket keeps versions, which never change.
    #[error("the bucket keeps versions")]
    KeepsVersions,
    /// An object is there by now that [`AppendObject::is_wanted`] says no to.
    #[error("the object was replaced meanwhile")]
    Replaced,
    /// The offset is not the object's size.
    #[error("the object has {size} bytes")]
    InvalidOffset {
        /// The object's size in bytes; 0 if there is none.
        size: u64,
    },
    /// The object or what is appended is encrypted.
    #[error("an encrypted object cannot be appended to")]
    Encrypted,
    /// The object has as many parts as an object can have.
    #[error("the object has too many parts")]
    TooManyParts,
    /// A condition does not hold.
    #[error(transparent)]
    Condition(#[from] ConditionFailure),
    /// The object is locked.
    #[error(transparent)]
    Locked(#[from] Locked),
    /// A failure beneath.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<Interrupted> for AppendError {
    fn from(error: Interrupted) -> Self {
        Self::Fault(error.into())
    }
}

/// The parts of an object, of which one more is to be added.
struct Extended {
    upload: UniqueId,
    layout: Layout,
    /// The number of the part that comes.
    number: u16,
}

impl Store {
    /// Appends `content` to an object, or makes one of it.
    pub async fn append_object(
        &self,
        append: AppendObject,
        content: WrittenContent,
    ) -> Result<ObjectRecord, AppendError> {
        let store = self.clone();
        to_its_end(async move { store.append_object_now(append, content).await }).await
    }

    async fn append_object_now(
        &self,
        append: AppendObject,
        mut content: WrittenContent,
    ) -> Result<ObjectRecord, AppendError> {
        let AppendObject {
            mut bucket, key, ..
        } = append.clone();
        let _turn = self.inner.locks.lock((bucket.id(), &key[..])).await;
        for _ in 0..CONFLICT_RETRIES_MAX {
            if bucket.keeps_history() {
                return Err(AppendError::KeepsVersions);
            }
            let present = self.present(&bucket, &key).await?;
            let is_wanted = |record: &ObjectRecord| (append.is_wanted)(record);
            if !present.record.as_ref().is_none_or(is_wanted) {
                return Err(AppendError::Replaced);
            }
            present.check(&append.conditions)?;
            let size = present.record.as_ref().map_or(0, |record| record.size);
            if size != append.offset {
                return Err(AppendError::InvalidOffset { size });
            }
            // The bytes of an object are all encrypted by one data key, or none of them is; and one that
            // is encrypted could not be gone on with.
            let is_encrypted = |record: &ObjectRecord| record.encryption.is_some();
            if content.encryption.is_some() || present.record.as_ref().is_some_and(is_encrypted) {
                return Err(AppendError::Encrypted);
            }
            let id = self.inner.clock.unique_id().map_err(Fault::from)?;
            let mut mutation = Mutation::new();
            let mut record = match &present.record {
                None => {
                    content.refer(&mut mutation, id);
                    new_record(id, append.new.clone(), &content)
                }
                // Nothing to add: nothing changes.
                Some(old) if content.size == 0 => return Ok(old.clone()),
                Some(old) if old.size == 0 => {
                    content.refer(&mut mutation, id);
                    first_bytes(id, old, &content)
                }
                Some(old) => {
                    let Some(extended) = self.extend(&mut mutation, old).await? else {
                        self.fail_if_unchanged(&present.row_key, present.row.as_ref())
                            .await?;
                        continue;
                    };
                    self.add_part(&mut mutation, &extended, &content);
                    content.refer(&mut mutation, extended.upload);
                    let upload = extended.upload;
                    let reference = upload_reference_key(upload, id);
                    mutation.put(Space::Records, reference, Bytes::new());
                    appended_record(id, old, upload, &extended, &content, append.checksum)
                }
            };
            content.commit_begins();
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

    /// Adds to `mutation` that the bytes of an object are the parts of an upload which can have one
    /// more, and says which; `None` if they went away meanwhile.
    async fn extend(
        &self,
        mutation: &mut Mutation,
        old: &ObjectRecord,
    ) -> Result<Option<Extended>, AppendError> {
        match &old.placement {
            Placement::Upload(upload) => self.extend_upload(mutation, old, *upload).await,
            Placement::Empty | Placement::Inline(_) | Placement::Extents(_) => {
                let upload = self.inner.clock.unique_id().map_err(Fault::from)?;
                let shared = self.share(mutation, &old.placement, upload).await?;
                let Some(placement) = shared else {
                    return Ok(None);
                };
                let first = PartRecord {
                    size: old.size,
                    md5: old.etag.md5,
                    last_modified_ms: old.last_modified_ms,
                    checksum: old.checksum.clone(),
                    placement,
                    salt: None,
                    unknown: UnknownFields::default(),
                };
                mutation.put(Space::Records, part_key(upload, 1), first.encode());
                Ok(Some(Extended {
                    upload,
                    layout: Layout::of_parts([(1, old.size)]),
                    number: 2,
                }))
            }
        }
    }

    async fn extend_upload(
        &self,
        mutation: &mut Mutation,
        old: &ObjectRecord,
        upload: UniqueId,
    ) -> Result<Option<Extended>, AppendError> {
        let row_key = layout_key(upload);
        let row = self.get(&row_key).await?;
        let missing = || Fault::Damaged("an object's layout is missing".to_owned());
        let row = row.ok_or_else(missing)?;
        let layout = Layout::decode(row.clone()).map_err(Fault::from)?;
        let own = layout.clone().of_first(old.size);
        if own.part_count() >= PARTS_MAX {
            return Err(AppendError::TooManyParts);
        }
        // Parts that a completion did not choose may still be there, behind those of the object.
        let engine: &dyn Reader = &*self.inner.engine;
        let behind = parts_page(engine, upload, layout.last_number(), PARTS_MAX).await?;
        let last = behind.parts.last().map(|part| part.number);
        let number = usize::from(last.unwrap_or(layout.last_number())) + 1;
        if layout.size() == old.size && number <= PARTS_MAX {
            mutation.require(Precondition::Equals(row_key, row));
            return Ok(Some(Extended {
                upload,
                layout,
                number: number as u16,
            }));
        }
        self.relist(mutation, &own, upload).await
    }

    /// Adds to `mutation` that the parts of an object, which share their upload with other parts,
    /// are listed in one of their own.
    async fn relist(
        &self,
        mutation: &mut Mutation,
        parts: &Layout,
        from: UniqueId,
    ) -> Result<Option<Extended>, AppendError> {
        if parts.part_count() > RELISTED_PARTS_MAX {
            return Err(AppendError::TooManyParts);
        }
        let upload = self.inner.clock.unique_id().map_err(Fault::from)?;
        let mut layout = Layout::default();
        for (place, number) in parts.parts().zip(1u16..) {
            let row = self.get(&part_key(from, place.number)).await?;
            let missing = || Fault::Damaged("a part of an object is missing".to_owned());
            let row = row.ok_or_else(missing)?;
            let mut part = PartRecord::decode(row).map_err(Fault::from)?;
            let shared = self.share(mutation, &part.placement, upload).await?;
            let Some(placement) = shared else {
                return Ok(None);
            };
            part.placement = placement;
            layout.push(number, place.size);
            mutation.put(Space::Records, part_key(upload, number), part.encode());
        }
        let number = layout.last_number() + 1;
        Ok(Some(Extended {
            upload,
            layout,
            number,
        }))
    }

    /// Adds to `mutation` the part that comes, and the layout with it.
    fn add_part(&self, mutation: &mut Mutation, extended: &Extended, content: &WrittenContent) {
        let part = PartRecord::of_content(content, self.inner.clock.now_ms());
        let row_key = part_key(extended.upload, extended.number);
        let mut layout = extended.layout.clone();
        layout.push(extended.number, content.size);
        mutation
            .require(unchanged(&row_key, None))
            .put(Space::Records, row_key, part.encode())
            .put(Space::Records, layout_key(extended.upload), layout.encode());
    }
}

/// The record of an empty object that gets its first bytes.
fn first_bytes(id: UniqueId, old: &ObjectRecord, content: &WrittenContent) -> ObjectRecord {
    let mut record = old.clone();
    record.id = id;
    record.set_content(content);
    record
}

/// The record of an object that one more part was appended to, apart from its times.
///
/// The entity tag is no digest of the bytes: S3 says that of appended objects, and computing one would
/// mean reading them all. It follows from the tag before and the part's digest, so it differs
/// whenever the bytes do.
fn appended_record(
    id: UniqueId,
    old: &ObjectRecord,
    upload: UniqueId,
    extended: &Extended,
    content: &WrittenContent,
    of_algorithm: Option<Checksum>,
) -> ObjectRecord {
    let mut md5 = Md5::new();
    md5.update(&old.etag.encode());
    md5.update(&content.md5);
    let mut record = old.clone();
    record.id = id;
    record.size = old.size + content.size;
    record.etag = ETag {
        md5: md5.finish(),
        parts: extended.layout.part_count() as u16 + 1,
    };
    record.checksum = appended_checksum(old, content, of_algorithm);
    record.placement = Placement::Upload(upload);
    record
}

/// The checksum of the whole: that of two CRCs. Others cannot be had without reading every byte, so
/// the object has none any more; its parts keep theirs.
fn appended_checksum(
    old: &ObjectRecord,
    content: &WrittenContent,
    of_algorithm: Option<Checksum>,
) -> Option<StoredChecksum> {
    let before = old.checksum.as_ref().filter(|stored| !stored.composite)?;
    let same_algorithm = |checksum: &Checksum| checksum.algorithm() == before.checksum.algorithm();
    let after = [Some(content.checksum), of_algorithm]
        .into_iter()
        .flatten()
        .find(same_algorithm)?;
    let checksum = combine(&before.checksum, &after, content.size)?;
    Some(StoredChecksum::full_object(checksum))
}
