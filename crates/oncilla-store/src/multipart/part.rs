//! Parts: put and list.

use oncilla_meta::{CommitOutcome, Mutation, Precondition, Reader, Space, to_its_end};

use crate::content::WrittenContent;
use crate::fault::Fault;
use crate::multipart::{Upload, UploadError};
use crate::rows::codec::UnknownFields;
use crate::rows::encryption::Encryption;
use crate::rows::object::StoredChecksum;
use crate::rows::part::{PartRecord, part_key, parts_after, split_part_key};
use crate::rows::placement::Placement;
use crate::rows::upload::part_writes_key;
use crate::store::{CONFLICT_RETRIES_MAX, Store, scan, unchanged};

/// A part in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedPart {
    /// Its number.
    pub number: u16,
    /// What it is.
    pub record: PartRecord,
}

/// A page of parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartPage {
    /// In the order of their numbers.
    pub parts: Vec<ListedPart>,
    /// Whether more follow.
    pub truncated: bool,
}

impl Store {
    /// Writes a part, replacing an earlier one of the same number.
    pub async fn put_part(
        &self,
        upload: &Upload,
        number: u16,
        content: WrittenContent,
    ) -> Result<PartRecord, UploadError> {
        let (store, upload) = (self.clone(), upload.clone());
        to_its_end(async move { store.put_part_now(&upload, number, content).await }).await
    }

    async fn put_part_now(
        &self,
        upload: &Upload,
        number: u16,
        mut content: WrittenContent,
    ) -> Result<PartRecord, UploadError> {
        let wrapped_key = |kept: &Option<Box<Encryption>>| kept.as_ref().map(|it| it.wrapped_key);
        if wrapped_key(&content.encryption) != wrapped_key(&upload.record.encryption) {
            let detail = "a part is not encrypted as its upload is";
            return Err(Fault::Failed(detail.to_owned()).into());
        }
        let row_key = part_key(upload.id, number);
        let record = PartRecord::of_content(&content, self.inner.clock.now_ms());
        let _turn = self.inner.locks.lock((upload.id, number)).await;
        for _ in 0..CONFLICT_RETRIES_MAX {
            let old_row = self.get(&row_key).await?;
            let mut mutation = Mutation::new();
            mutation
                .require(Precondition::Present(upload.row_key.clone()))
                .require(unchanged(&row_key, old_row.as_ref()))
                .put(Space::Records, row_key.clone(), record.encode())
                .add(part_writes_key(upload.id), 1);
            if let Some(old_row) = old_row {
                let old = PartRecord::decode(old_row).map_err(Fault::from)?;
                self.drop_placement(&mut mutation, &old.placement, upload.id)?;
            }
            content.refer(&mut mutation, upload.id);
            content.commit_begins();
            match self.commit(mutation, self.inner.clock.tick()).await {
                Ok(CommitOutcome::Committed { .. }) => return Ok(record),
                Ok(CommitOutcome::Conflict { precondition: 0 }) => {
                    content.commit_refused();
                    return Err(UploadError::NoSuchUpload);
                }
                Ok(CommitOutcome::Conflict { .. }) => content.commit_refused(),
                Err(fault) => {
                    // A full device refuses before anything is applied; other failures may not.
                    if matches!(fault, Fault::NoSpace) {
                        content.commit_refused();
                    }
                    return Err(fault.into());
                }
            }
        }
        Err(Fault::Unavailable("too many concurrent writers of one part".to_owned()).into())
    }

    /// Lists the parts whose number is greater than `after`, at most `limit`.
    pub async fn list_parts(
        &self,
        upload: &Upload,
        after: u16,
        limit: usize,
    ) -> Result<PartPage, Fault> {
        parts_page(&*self.inner.engine.snapshot(), upload.id, after, limit).await
    }

    /// Lists the parts of a completed upload; see [`Store::list_parts`]. Parts that its completion
    /// did not choose may still be there, and are left out.
    pub async fn list_object_parts(
        &self,
        record: &crate::ObjectRecord,
        after: u16,
        limit: usize,
    ) -> Result<PartPage, Fault> {
        let Placement::Upload(upload) = record.placement else {
            return Ok(PartPage::default());
        };
        let Some(layout) = self.layout(record).await? else {
            return Ok(PartPage::default());
        };
        let reader = self.inner.engine.snapshot();
        let (mut parts, mut after) = (Vec::new(), after);
        loop {
            let page = parts_page(&*reader, upload, after, limit.saturating_add(1)).await?;
            after = page.parts.last().map_or(after, |part| part.number);
            let of_object = |part: &ListedPart| layout.part(part.number).is_some();
            parts.extend(page.parts.into_iter().filter(of_object));
            if parts.len() > limit || !page.truncated {
                break;
            }
        }
        let truncated = parts.len() > limit;
        parts.truncate(limit);
        Ok(PartPage { parts, truncated })
    }
}

impl PartRecord {
    /// A part whose bytes are `content`.
    pub(crate) fn of_content(content: &WrittenContent, last_modified_ms: u64) -> Self {
        Self {
            size: content.size,
            md5: content.md5,
            last_modified_ms,
            checksum: Some(StoredChecksum::full_object(content.checksum)),
            placement: content.placement(),
            salt: content.encryption.as_ref().and_then(|kept| kept.salt),
            unknown: UnknownFields::default(),
        }
    }
}

/// A page of an upload's parts.
pub(crate) async fn parts_page(
    reader: &dyn Reader,
    upload: crate::UniqueId,
    after: u16,
    limit: usize,
) -> Result<PartPage, Fault> {
    let (start, end) = parts_after(upload, after);
    let page = reader.scan(scan(start, end, limit)).await?;
    let mut parts = Vec::with_capacity(page.rows.len());
    for row in page.rows {
        let (_, number) = split_part_key(&row.key)?;
        parts.push(ListedPart {
            number,
            record: PartRecord::decode(row.value)?,
        });
    }
    Ok(PartPage {
        parts,
        truncated: page.more,
    })
}
