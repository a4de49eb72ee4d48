//! scrub: reads every byte that a record names and compares it with all its checksums.

use bytes::Bytes;
use oncilla_hash::{ChecksumHasher, Md5};
use oncilla_keys::KeysError;

use super::Finding;
use crate::bucket::{Bucket, ListBuckets};
use crate::content::{BodySource, ByteRange, PinnedExtents};
use crate::encryption::UnlockError;
use crate::fault::Fault;
use crate::object::{GetObjectError, ObjectBody};
use crate::rows::body;
use crate::rows::history::{history_of_bucket, split_history_key};
use crate::rows::key::UniqueId;
use crate::rows::layout::layout_key;
use crate::rows::object::{StoredChecksum, objects_of_bucket, split_object_key};
use crate::rows::part::{PartRecord, all_parts, split_part_key};
use crate::rows::placement::Placement;
use crate::rows::version_id::VersionId;
use crate::store::Store;
use crate::walk::Rows;

/// What scrub read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScrubSummary {
    /// Objects read, in their present versions.
    pub objects: u64,
    /// Past versions of objects read.
    pub past_versions: u64,
    /// Parts of uploads read.
    pub parts: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Objects and parts that are damaged.
    pub damaged: u64,
}

/// Buckets looked up at a time.
const BUCKETS_PER_STEP: usize = 1_000;

/// Parts looked up at a time.
const PARTS_PER_STEP: usize = 256;

impl Store {
    /// Reads everything. Every damaged object is given to `report`; `progress` is called after
    /// each object with what was read so far. Safe while the store is in use.
    pub async fn scrub(
        &self,
        report: &mut (dyn FnMut(Finding) + Send),
        progress: &mut (dyn FnMut(&ScrubSummary) + Send),
    ) -> Result<ScrubSummary, Fault> {
        let mut summary = ScrubSummary::default();
        let mut after: Option<String> = None;
        loop {
            let list = ListBuckets {
                after: after.as_deref(),
                limit: BUCKETS_PER_STEP,
                ..ListBuckets::default()
            };
            let page = self.list_buckets(list).await?;
            for listed in &page.buckets {
                // One that was deleted meanwhile has nothing to look at.
                let Some(bucket) = self.bucket_of_id(&listed.name, listed.record.id).await? else {
                    continue;
                };
                self.scrub_bucket(&bucket, &mut summary, report, progress)
                    .await?;
            }
            after = page
                .buckets
                .last()
                .filter(|_| page.truncated)
                .map(|bucket| bucket.name.clone());
            if after.is_none() {
                break;
            }
        }
        self.scrub_parts(&mut summary, report, progress).await?;
        Ok(summary)
    }

    async fn scrub_bucket(
        &self,
        bucket: &Bucket,
        summary: &mut ScrubSummary,
        report: &mut (dyn FnMut(Finding) + Send),
        progress: &mut (dyn FnMut(&ScrubSummary) + Send),
    ) -> Result<(), Fault> {
        let mut rows = Rows::new(&*self.inner.engine, objects_of_bucket(bucket.id()));
        while let Some(row) = rows.next().await? {
            let (_, key) = split_object_key(&row.key)?;
            let opened = self.hold_object_version(bucket, &key, None).await;
            let was_read = self.scrub_opened(opened, summary).await?;
            summary.objects += u64::from(was_read.is_some());
            if let Some(damage) = was_read.flatten() {
                report(Finding::damage(damage).of_object(&bucket.name, &key));
            }
            progress(summary);
        }
        let history = history_of_bucket(bucket.id());
        let mut rows = Rows::new(&*self.inner.engine, history);
        while let Some(row) = rows.next().await? {
            let (_, key, _) = split_history_key(&row.key)?;
            let opened = match VersionId::of_row(row.value) {
                Ok(version) => self.hold_object_version(bucket, &key, Some(version)).await,
                Err(error) => Err(Fault::from(error).into()),
            };
            let was_read = self.scrub_opened(opened, summary).await?;
            summary.past_versions += u64::from(was_read.is_some());
            if let Some(damage) = was_read.flatten() {
                report(Finding::damage(damage).of_object(&bucket.name, &key));
            }
            progress(summary);
        }
        Ok(())
    }

    /// Reads what was opened; says what is wrong with it, if anything is. `None` if there is nothing
    /// to read.
    async fn scrub_opened(
        &self,
        opened: Result<ObjectBody, GetObjectError>,
        summary: &mut ScrubSummary,
    ) -> Result<Option<Option<String>>, Fault> {
        let damage = match opened {
            // The bytes of parts are read part by part, further below. Encrypted ones are opened by
            // the key of their object, so they are read with it.
            Ok(body) if is_in_parts(&body) && body.record.encryption.is_none() => None,
            Ok(body) => self.scrub_object(body, summary).await?,
            // Deleted since, or without bytes; that something is archived is told to readers only.
            Err(
                GetObjectError::Archived(_)
                | GetObjectError::NoSuchKey
                | GetObjectError::Deleted(_)
                | GetObjectError::NoSuchVersion(_)
                | GetObjectError::IsDeleteMarker(_),
            ) => return Ok(None),
            Err(GetObjectError::Fault(Fault::Damaged(detail))) => Some(detail),
            Err(GetObjectError::Fault(fault)) => return Err(fault),
        };
        summary.damaged += u64::from(damage.is_some());
        Ok(Some(damage))
    }

    async fn scrub_object(
        &self,
        mut body: ObjectBody,
        summary: &mut ScrubSummary,
    ) -> Result<Option<String>, Fault> {
        match body.unlock(None) {
            Ok(()) => {}
            Err(UnlockError::Keys(error @ (KeysError::OpenFailed(_) | KeysError::NotFound(_)))) => {
                return Ok(Some(format!("its data key: {error}")));
            }
            // A client's own key, a disabled one, or no master key.
            Err(_) => return self.scrub_kept(body, summary).await,
        }
        let (etag, stored) = (body.record.etag, body.record.checksum.clone());
        let has_md5 = etag.parts == 0 && body.record.etag_is_md5();
        let mut reader = body.read_all();
        verify(&mut reader, has_md5.then_some(etag.md5), stored, summary).await
    }

    /// Reads a body without its key: what is kept is compared with its checksums, and what it would be
    /// decrypted is not looked at.
    async fn scrub_kept(
        &self,
        body: ObjectBody,
        summary: &mut ScrubSummary,
    ) -> Result<Option<String>, Fault> {
        if !is_in_parts(&body) {
            let mut reader = body.read_kept();
            return verify(&mut reader, None, None, summary).await;
        }
        let mut after = 0;
        loop {
            let page = self.list_object_parts(&body.record, after, PARTS_PER_STEP);
            let page = page.await?;
            for part in &page.parts {
                after = part.number;
                if let Some(detail) = self.scrub_part(&part.record, summary).await? {
                    return Ok(Some(format!("part {after}: {detail}")));
                }
            }
            if !page.truncated {
                return Ok(None);
            }
        }
    }

    async fn scrub_parts(
        &self,
        summary: &mut ScrubSummary,
        report: &mut (dyn FnMut(Finding) + Send),
        progress: &mut (dyn FnMut(&ScrubSummary) + Send),
    ) -> Result<(), Fault> {
        let mut rows = Rows::new(&*self.inner.engine, all_parts());
        while let Some(row) = rows.next().await? {
            let (upload, number) = split_part_key(&row.key)?;
            let pin = self.inner.upload_pins.pin(upload);
            // Looked up again behind the pin, which keeps it from being collected.
            let Some(row_value) = self.get(&row.key).await? else {
                continue;
            };
            let damage = match PartRecord::decode(row_value.clone()) {
                // Read with its object.
                Ok(part) if part.salt.is_some() && self.is_completed(upload).await? => continue,
                Ok(part) => self.scrub_part(&part, summary).await?,
                Err(error) => Some(error.to_string()),
            };
            // A part of an open upload may have been replaced under the reader.
            if damage.is_some() && self.get(&row.key).await? != Some(row_value) {
                continue;
            }
            drop(pin);
            summary.parts += 1;
            if let Some(detail) = damage {
                summary.damaged += 1;
                report(Finding::damage(format!(
                    "part {number} of upload {upload:?}: {detail}"
                )));
            }
            progress(summary);
        }
        Ok(())
    }

    /// Reads a part; says what is wrong, if anything is.
    async fn scrub_part(
        &self,
        part: &PartRecord,
        summary: &mut ScrubSummary,
    ) -> Result<Option<String>, Fault> {
        let range = ByteRange {
            start: 0,
            end: part.kept_bytes(),
        };
        let (md5, checksum) = match part.salt {
            None => (Some(part.md5), part.checksum.clone()),
            // What is kept has no digests but those of its frames.
            Some(_) => (None, None),
        };
        match self.open_part(part).await? {
            Ok(source) => {
                let mut reader = self.body_reader(source, range);
                verify(&mut reader, md5, checksum, summary).await
            }
            Err(detail) => Ok(Some(detail)),
        }
    }

    async fn is_completed(&self, upload: UniqueId) -> Result<bool, Fault> {
        Ok(self.get(&layout_key(upload)).await?.is_some())
    }

    /// Opens a part; the inner error says what is wrong with it.
    async fn open_part(&self, part: &PartRecord) -> Result<Result<BodySource, String>, Fault> {
        match &part.placement {
            Placement::Empty => Ok(Ok(BodySource::Empty)),
            Placement::Extents(extents) => {
                let pins = extents
                    .iter()
                    .map(|extent| self.inner.volumes.pin(*extent))
                    .collect();
                Ok(Ok(BodySource::Extents(PinnedExtents {
                    extents: extents.clone(),
                    _pins: pins,
                })))
            }
            Placement::Inline(id) => {
                let row: Option<Bytes> = self
                    .inner
                    .engine
                    .get(body::SPACE, &body::body_key(*id))
                    .await?;
                let Some(row) = row else {
                    return Ok(Err("its bytes are missing".to_owned()));
                };
                Ok(body::decode(row)
                    .map(BodySource::Inline)
                    .map_err(|error| error.to_string()))
            }
            Placement::Upload(_) => Ok(Err("it refers to another upload".to_owned())),
        }
    }
}

fn is_in_parts(body: &ObjectBody) -> bool {
    matches!(body.record.placement, Placement::Upload(_))
}

/// Reads to the end and compares; says what is wrong, if anything is.
async fn verify(
    reader: &mut crate::BodyReader,
    md5: Option<[u8; 16]>,
    stored: Option<StoredChecksum>,
    summary: &mut ScrubSummary,
) -> Result<Option<String>, Fault> {
    let stored = stored
        .filter(|stored| !stored.composite)
        .map(|stored| stored.checksum);
    let mut hasher = stored
        .as_ref()
        .map(|stored| ChecksumHasher::new(stored.algorithm()));
    let mut actual_md5 = Md5::new();
    loop {
        match reader.next().await {
            Ok(Some(bytes)) => {
                summary.bytes += bytes.len() as u64;
                actual_md5.update(&bytes);
                if let Some(hasher) = &mut hasher {
                    hasher.update(&bytes);
                }
            }
            Ok(None) => break,
            // One bad sector must not end the scrub of all that is behind it.
            Err(Fault::Damaged(detail) | Fault::Failed(detail)) => return Ok(Some(detail)),
            Err(fault) => return Err(fault),
        }
    }
    if md5.is_some_and(|md5| md5 != actual_md5.finish()) {
        return Ok(Some("its MD5 does not match its entity tag".to_owned()));
    }
    match (hasher.map(ChecksumHasher::finish), stored) {
        (Some(actual), Some(stored)) if actual != stored => {
            Ok(Some(format!("its {} does not match", stored.algorithm())))
        }
        _ => Ok(None),
    }
}
