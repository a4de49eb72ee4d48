//! Completing an upload: its parts become one object, and no byte is copied.

use bytes::Bytes;
use oncilla_hash::{Checksum, Md5, combine, composite};
use oncilla_meta::{Mutation, Precondition, Space};
use oncilla_wire::conditions::{ConditionFailure, Conditions};
use oncilla_wire::event::EventKind;

use crate::bucket::Bucket;
use crate::etag::ETag;
use crate::fault::Fault;
use crate::multipart::part::parts_page;
use crate::multipart::{ListedPart, Upload, UploadError};
use crate::object::put::too_many_writers;
use crate::object_lock::Locked;
use crate::rows::codec::UnknownFields;
use crate::rows::garbage::Garbage;
use crate::rows::history::{Past, history_key};
use crate::rows::key::UniqueId;
use crate::rows::layout::{Layout, layout_key};
use crate::rows::object::{ObjectRecord, StoredChecksum, object_key};
use crate::rows::placement::Placement;
use crate::rows::reference::upload_reference_key;
use crate::rows::upload::part_writes_key;
use crate::store::{CONFLICT_RETRIES_MAX, Store, unchanged};

/// Smallest part but for the last. Source: S3 API reference, "Multipart upload limits".
pub const PART_BYTES_MIN: u64 = 5 << 20;

/// Most parts of an upload. Source: as above.
pub const PARTS_MAX: usize = 10_000;

/// A part as the client names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletedPart {
    /// Its number.
    pub number: u16,
    /// Its entity tag; `None` if the text was not one.
    pub etag: Option<ETag>,
    /// Its checksum, if the client names it.
    pub checksum: Option<Checksum>,
}

/// An upload to complete.
pub struct CompleteUpload<'a> {
    /// The bucket.
    pub bucket: &'a Bucket,
    /// The key.
    pub key: &'a [u8],
    /// The upload.
    pub upload: UniqueId,
    /// The parts the object is to have.
    pub parts: &'a [CompletedPart],
    /// The checksum the object should have, in the upload's form.
    pub checksum: Option<Checksum>,
    /// The size the object should have (`x-amz-mp-object-size`).
    pub size: Option<u64>,
    /// Conditions on what is under the key.
    pub conditions: &'a Conditions,
}

/// Why an upload was not completed. It stays open.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CompleteError {
    /// There is no such upload.
    #[error("no such upload")]
    NoSuchUpload,
    /// The bucket was deleted meanwhile.
    #[error("no such bucket")]
    NoSuchBucket,
    /// No part was named.
    #[error("no parts")]
    NoParts,
    /// A part is missing, or is not what the client says it is.
    #[error("part {number} is missing or different")]
    InvalidPart {
        /// Its number.
        number: u16,
    },
    /// The parts are not in ascending order.
    #[error("parts out of order")]
    InvalidPartOrder,
    /// A part that is not the last one is too small.
    #[error("part {number} has {size} bytes, less than {PART_BYTES_MIN}")]
    EntityTooSmall {
        /// Its number.
        number: u16,
        /// Its size.
        size: u64,
        /// Its entity tag.
        etag: ETag,
    },
    /// The object would not have the checksum the client says.
    #[error("the object's checksum differs from the declared one")]
    ChecksumMismatch,
    /// The object would not have the size the client says.
    #[error("the object has {actual} bytes, {declared} declared")]
    SizeMismatch {
        /// What the client says.
        declared: u64,
        /// What the parts add up to.
        actual: u64,
    },
    /// A condition does not hold.
    #[error(transparent)]
    Condition(#[from] ConditionFailure),
    /// What would be replaced is locked.
    #[error(transparent)]
    Locked(#[from] Locked),
    /// A failure beneath.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Store {
    /// Completes an upload. Completing one again that is already the object under its key gives
    /// the same answer: a client that lost the first answer can repeat the request.
    pub async fn complete_upload(
        &self,
        complete: CompleteUpload<'_>,
    ) -> Result<ObjectRecord, CompleteError> {
        if complete.parts.is_empty() {
            return Err(CompleteError::NoParts);
        }
        if !complete.parts.is_sorted_by(|a, b| a.number < b.number) {
            return Err(CompleteError::InvalidPartOrder);
        }
        let _turn = self
            .inner
            .locks
            .lock((complete.bucket.id(), complete.key))
            .await;
        let mut bucket = complete.bucket.clone();
        for _ in 0..CONFLICT_RETRIES_MAX {
            let upload = match self
                .upload(complete.bucket, complete.key, complete.upload)
                .await
            {
                Ok(upload) => upload,
                Err(UploadError::NoSuchUpload) => return self.completed_before(&complete).await,
                Err(UploadError::Fault(fault)) => return Err(fault.into()),
            };
            // Read before the parts: a part written afterwards changes it, and the commit is refused.
            let writes_key = part_writes_key(upload.id);
            let writes = self.get(&writes_key).await?;
            let snapshot = self.inner.engine.snapshot();
            let stored = parts_page(&*snapshot, upload.id, 0, PARTS_MAX).await?.parts;
            let chosen = choose(&stored, complete.parts)?;
            let mut record = completed_record(&upload, &chosen, &complete)?;
            record.id = self.inner.clock.unique_id().map_err(Fault::from)?;

            let present = self.present(complete.bucket, complete.key).await?;
            present.check(complete.conditions)?;
            let mut layout =
                Layout::of_parts(chosen.iter().map(|part| (part.number, part.record.size)));
            let time = self.inner.clock.tick();
            layout.completed_time = time;
            let mut mutation = Mutation::new();
            mutation
                .require(Precondition::Equals(
                    upload.row_key.clone(),
                    upload.row.clone(),
                ))
                .require(unchanged(&writes_key, writes.as_ref()))
                .put(Space::Records, layout_key(upload.id), layout.encode())
                .put(
                    Space::Records,
                    upload_reference_key(upload.id, record.id),
                    Bytes::new(),
                )
                .delete(Space::Records, upload.row_key.clone())
                .delete(Space::Records, writes_key);
            if chosen.len() < stored.len() {
                self.note_garbage(&mut mutation, Garbage::UnusedParts(upload.id))?;
            }
            let created = EventKind::CreatedMultipart;
            let replaced = self.replace(&bucket, present, &mut record, mutation, time, created);
            // The parts are the upload's, whatever comes of it.
            if self.is_done(replaced.await, &mut bucket, || {}).await? {
                return Ok(record);
            }
        }
        Err(too_many_writers().into())
    }

    /// The answer to a repeated completion: the object, if this upload made it and it is still the
    /// newest version of its key or another one.
    async fn completed_before(
        &self,
        complete: &CompleteUpload<'_>,
    ) -> Result<ObjectRecord, CompleteError> {
        let snapshot = self.inner.engine.snapshot();
        let get = async |key: Bytes| {
            let row = snapshot.get(Space::Records, &key).await;
            row.map_err(Fault::from)
        };
        let Some(layout) = get(layout_key(complete.upload)).await? else {
            return Err(CompleteError::NoSuchUpload);
        };
        let time = Layout::decode(layout).map_err(Fault::from)?.completed_time;
        let bucket = complete.bucket.id();
        let made_by = Placement::Upload(complete.upload);
        for row_key in [
            object_key(bucket, complete.key),
            history_key(bucket, complete.key, time),
        ] {
            let Some(row) = get(row_key).await? else {
                continue;
            };
            if let Past::Object(record) = Past::decode(row).map_err(Fault::from)?
                && record.placement == made_by
                // Since then something may have been appended to it.
                && record.time == time
            {
                return Ok(*record);
            }
        }
        Err(CompleteError::NoSuchUpload)
    }
}

/// Finds the parts the client names and checks each against what it says.
fn choose<'a>(
    stored: &'a [ListedPart],
    named: &[CompletedPart],
) -> Result<Vec<&'a ListedPart>, CompleteError> {
    let chosen: Vec<&ListedPart> = named
        .iter()
        .map(|name| find_part(stored, name))
        .collect::<Result<_, _>>()?;
    // The last part may be of any size. Sizes are judged last, as S3 does.
    let all_but_last = &chosen[..chosen.len().saturating_sub(1)];
    match all_but_last
        .iter()
        .find(|part| part.record.size < PART_BYTES_MIN)
    {
        Some(part) => Err(CompleteError::EntityTooSmall {
            number: part.number,
            size: part.record.size,
            etag: ETag::of_md5(part.record.md5),
        }),
        None => Ok(chosen),
    }
}

fn find_part<'a>(
    stored: &'a [ListedPart],
    name: &CompletedPart,
) -> Result<&'a ListedPart, CompleteError> {
    let invalid = CompleteError::InvalidPart {
        number: name.number,
    };
    let found = stored.binary_search_by_key(&name.number, |part| part.number);
    let part = &stored[found.map_err(|_| invalid.clone())?];
    if name.etag != Some(ETag::of_md5(part.record.md5)) {
        return Err(invalid);
    }
    let checksum = part.record.checksum.as_ref().map(|stored| &stored.checksum);
    if name
        .checksum
        .as_ref()
        .is_some_and(|named| Some(named) != checksum)
    {
        return Err(invalid);
    }
    Ok(part)
}

/// The object's record, apart from its identity and times.
fn completed_record(
    upload: &Upload,
    chosen: &[&ListedPart],
    complete: &CompleteUpload<'_>,
) -> Result<ObjectRecord, CompleteError> {
    let size: u64 = chosen.iter().map(|part| part.record.size).sum();
    if let Some(declared) = complete.size.filter(|&declared| declared != size) {
        return Err(CompleteError::SizeMismatch {
            declared,
            actual: size,
        });
    }
    let checksum = object_checksum(upload, chosen);
    if let Some(declared) = &complete.checksum
        && checksum.as_ref().map(|stored| &stored.checksum) != Some(declared)
    {
        return Err(CompleteError::ChecksumMismatch);
    }
    let mut md5 = Md5::new();
    for part in chosen {
        md5.update(&part.record.md5);
    }
    Ok(ObjectRecord {
        id: upload.id,
        size,
        etag: ETag {
            md5: md5.finish(),
            parts: chosen.len() as u16,
        },
        last_modified_ms: 0,
        time: 0,
        storage_class: upload.record.storage_class.clone(),
        owner: upload.record.owner.clone(),
        checksum,
        placement: Placement::Upload(upload.id),
        acl: upload.record.acl.clone(),
        headers: upload.record.headers.clone(),
        metadata: upload.record.metadata.clone(),
        tags: upload.record.tags.clone(),
        versioned: false,
        retention: upload.record.retention,
        legal_hold: upload.record.legal_hold,
        restoration: None,
        encryption: upload.record.encryption.clone(),
        unknown: UnknownFields::default(),
    })
}

/// The object's checksum out of its parts' checksums; `None` if a part has none.
fn object_checksum(upload: &Upload, chosen: &[&ListedPart]) -> Option<StoredChecksum> {
    let parts: Option<Vec<&Checksum>> = chosen
        .iter()
        .map(|part| Some(&part.record.checksum.as_ref()?.checksum))
        .collect();
    let parts = parts?;
    if upload.record.composite {
        let checksum = composite(upload.record.algorithm, parts)?;
        return Some(StoredChecksum {
            checksum,
            composite: true,
        });
    }
    let (first, rest) = parts.split_first()?;
    let mut checksum = **first;
    for (next, part) in rest.iter().zip(&chosen[1..]) {
        checksum = combine(&checksum, next, part.record.size)?;
    }
    Some(StoredChecksum::full_object(checksum))
}
