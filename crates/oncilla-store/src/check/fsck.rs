//! fsck: does every record name what exists, and is everything that exists named by a record?

use std::collections::{HashMap, HashSet};

use oncilla_blob::{Extent, VolumeId};
use oncilla_meta::{Reader, Space};

use super::Finding;
use crate::bucket::counts;
use crate::fault::Fault;
use crate::rows::body;
use crate::rows::bucket::{
    BucketRecord, all_buckets, bucket_by_owner_key, bucket_name, bucket_name_key, bucket_name_value,
};
use crate::rows::document::{DocumentRecord, all_documents, split_document_key};
use crate::rows::event::{EventRecord, all_events, split_event_key};
use crate::rows::garbage::{Garbage, all_garbage};
use crate::rows::key::{BucketId, UniqueId};
use crate::rows::layout::{Layout, layout_key};
use crate::rows::object::{ObjectRecord, all_objects, split_object_key};
use crate::rows::part::{PartRecord, all_parts, part_key, split_part_key};
use crate::rows::placement::Placement;
use crate::rows::reference::{
    all_extent_references, all_upload_references, decode_extent_reference, decode_upload_reference,
    extent_reference_key, upload_reference_key,
};
use crate::rows::upload::{all_uploads, split_upload_key};
use crate::rows::usage::Counts;
use crate::store::Store;
use crate::walk::Rows;
use oncilla_wire::xml::versioning::VersioningStatus;

/// What fsck looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FsckSummary {
    /// Buckets.
    pub buckets: u64,
    /// Objects, in their present versions.
    pub objects: u64,
    /// Past versions of objects.
    pub past_versions: u64,
    /// Delete markers.
    pub delete_markers: u64,
    /// Parts of uploads, open or completed.
    pub parts: u64,
    /// References to extents.
    pub extents: u64,
    /// Findings of severity *damage*.
    pub damages: u64,
    /// Findings of severity *leak*.
    pub leaks: u64,
}

/// Who may refer to bytes, by identifier. Sixteen bytes for each object outside its row.
#[derive(Default)]
struct Referrers {
    /// Objects with extents of their own, and uploads.
    of_extents: HashSet<UniqueId>,
    /// Objects made by uploads.
    of_uploads: HashSet<UniqueId>,
}

pub(super) struct Fsck<'a> {
    pub(super) reader: &'a dyn Reader,
    volumes: HashSet<VolumeId>,
    pub(super) buckets: HashMap<BucketId, String>,
    referrers: Referrers,
    /// Uploads with a garbage note: their parts go away by themselves.
    noted_uploads: HashSet<UniqueId>,
    open_uploads: HashSet<UniqueId>,
    referenced_uploads: HashSet<UniqueId>,
    pub(super) used: HashMap<BucketId, Counts>,
    pub(super) summary: FsckSummary,
    report: &'a mut (dyn FnMut(Finding) + Send),
}

impl Store {
    /// Compares records with each other and with the volumes; every finding is given to `report`.
    /// Exact on a store that is not in use; while it is in use, run it on a snapshot of quiet hours.
    pub async fn fsck(
        &self,
        report: &mut (dyn FnMut(Finding) + Send),
    ) -> Result<FsckSummary, Fault> {
        let volumes = self.inner.volumes.clone();
        let infos = tokio::task::spawn_blocking(move || volumes.volumes()).await;
        let infos = infos.map_err(std::io::Error::other).and_then(|infos| infos);
        let infos =
            infos.map_err(|error| Fault::Failed(format!("cannot list volumes: {error}")))?;
        let snapshot = self.inner.engine.snapshot();
        let mut fsck = Fsck {
            reader: &*snapshot,
            volumes: infos.into_iter().map(|info| info.id).collect(),
            buckets: HashMap::new(),
            referrers: Referrers::default(),
            noted_uploads: HashSet::new(),
            open_uploads: HashSet::new(),
            referenced_uploads: HashSet::new(),
            used: HashMap::new(),
            summary: FsckSummary::default(),
            report,
        };
        fsck.buckets().await?;
        fsck.documents().await?;
        fsck.events().await?;
        fsck.garbage().await?;
        fsck.uploads().await?;
        fsck.objects().await?;
        fsck.history().await?;
        fsck.null_versions().await?;
        fsck.upload_references().await?;
        fsck.parts().await?;
        fsck.extent_references().await?;
        fsck.usage().await?;
        Ok(fsck.summary)
    }
}

impl Fsck<'_> {
    pub(super) fn find(&mut self, finding: Finding) {
        match finding.severity {
            super::Severity::Damage => self.summary.damages += 1,
            super::Severity::Leak => self.summary.leaks += 1,
        }
        (self.report)(finding);
    }

    async fn exists(&self, space: Space, key: &[u8]) -> Result<bool, Fault> {
        Ok(self.reader.get(space, key).await?.is_some())
    }

    async fn buckets(&mut self) -> Result<(), Fault> {
        let mut rows = Rows::new(self.reader, all_buckets());
        while let Some(row) = rows.next().await? {
            self.summary.buckets += 1;
            let name = bucket_name(&row.key)?;
            let record = match BucketRecord::decode(row.value) {
                Ok(record) => record,
                Err(error) => {
                    self.find(Finding::damage(format!("bucket {name}: {error}")));
                    continue;
                }
            };
            let row_key = bucket_name_key(record.id);
            let named = self.reader.get(Space::Records, &row_key).await?;
            if named.is_none() {
                self.find(Finding::damage(format!(
                    "bucket {name} is not listed by its id"
                )));
            } else if named != Some(bucket_name_value(&name, &record)) {
                // Nothing can be written to it, as every write requires what its record says.
                self.find(Finding::damage(format!(
                    "bucket {name} is listed by its id with another name or way of keeping versions"
                )));
            }
            if record.object_lock.is_some() && record.versioning != VersioningStatus::Enabled {
                self.find(Finding::damage(format!(
                    "bucket {name} has object lock, but does not keep versions"
                )));
            }
            if !self
                .exists(Space::Records, &bucket_by_owner_key(&record.owner, &name))
                .await?
            {
                self.find(Finding::damage(format!(
                    "bucket {name} is not listed under its owner"
                )));
            }
            self.buckets.insert(record.id, name);
        }
        Ok(())
    }

    async fn documents(&mut self) -> Result<(), Fault> {
        let mut rows = Rows::new(self.reader, all_documents());
        while let Some(row) = rows.next().await? {
            let (bucket, kind, _) = split_document_key(&row.key)?;
            let Some(name) = self.buckets.get(&bucket) else {
                let detail = format!("a document of the missing bucket with id {:016x}", bucket.0);
                self.find(Finding::leak(detail));
                continue;
            };
            if let Err(error) = DocumentRecord::decode(row.value) {
                let detail = format!("bucket {name}, {kind:?}: {error}");
                self.find(Finding::damage(detail));
            }
        }
        Ok(())
    }

    async fn events(&mut self) -> Result<(), Fault> {
        let mut rows = Rows::new(self.reader, all_events());
        while let Some(row) = rows.next().await? {
            let (target, _) = split_event_key(&row.key)?;
            if let Err(error) = EventRecord::decode(row.value) {
                let detail = format!("an event for {target}: {error}");
                self.find(Finding::damage(detail));
            }
        }
        Ok(())
    }

    async fn garbage(&mut self) -> Result<(), Fault> {
        let mut rows = Rows::new(self.reader, all_garbage());
        while let Some(row) = rows.next().await? {
            match Garbage::decode(row.value) {
                Ok(Garbage::Upload(upload)) => {
                    self.noted_uploads.insert(upload);
                }
                Ok(Garbage::Extent(_) | Garbage::UnusedParts(_) | Garbage::BucketUploads(_)) => {}
                Err(error) => self.find(Finding::leak(error.to_string())),
            }
        }
        Ok(())
    }

    async fn uploads(&mut self) -> Result<(), Fault> {
        let mut rows = Rows::new(self.reader, all_uploads());
        while let Some(row) = rows.next().await? {
            match split_upload_key(&row.key) {
                Ok((_, _, upload)) => {
                    self.open_uploads.insert(upload);
                    self.referrers.of_extents.insert(upload);
                }
                Err(error) => self.find(Finding::damage(error.to_string())),
            }
        }
        Ok(())
    }

    async fn objects(&mut self) -> Result<(), Fault> {
        let mut rows = Rows::new(self.reader, all_objects());
        while let Some(row) = rows.next().await? {
            self.summary.objects += 1;
            let (bucket, key) = split_object_key(&row.key)?;
            let Some(name) = self.buckets.get(&bucket).cloned() else {
                let detail = format!("an object of the missing bucket with id {:016x}", bucket.0);
                self.find(Finding::damage(detail));
                continue;
            };
            match ObjectRecord::decode(row.value) {
                Ok(record) => {
                    let used = self.used.entry(bucket).or_default();
                    used.add_object(record.size);
                    for detail in self.object_problems(&record).await? {
                        self.find(Finding::damage(detail).of_object(&name, &key));
                    }
                }
                Err(error) => self.find(Finding::damage(error.to_string()).of_object(&name, &key)),
            }
        }
        Ok(())
    }

    /// What is wrong with where an object's record says its bytes are.
    pub(super) async fn object_problems(
        &mut self,
        record: &ObjectRecord,
    ) -> Result<Vec<String>, Fault> {
        match &record.placement {
            Placement::Empty if record.size == 0 => Ok(Vec::new()),
            Placement::Empty => Ok(vec![format!("{} bytes recorded, none kept", record.size)]),
            Placement::Inline(id) => self.inline_problems(*id, record.kept_bytes()).await,
            Placement::Extents(extents) => {
                self.referrers.of_extents.insert(record.id);
                let bytes = record.kept_bytes();
                self.extent_problems(extents, record.id, bytes).await
            }
            Placement::Upload(upload) => {
                self.referrers.of_extents.insert(*upload);
                self.referrers.of_uploads.insert(record.id);
                self.upload_problems(*upload, record).await
            }
        }
    }

    async fn inline_problems(&self, id: UniqueId, size: u64) -> Result<Vec<String>, Fault> {
        let Some(value) = self.reader.get(body::SPACE, &body::body_key(id)).await? else {
            return Ok(vec!["the body is missing".to_owned()]);
        };
        Ok(match body::decode(value) {
            Ok(body) if body.len() as u64 == size => Vec::new(),
            Ok(body) => vec![format!("{size} bytes recorded, {} kept", body.len())],
            Err(error) => vec![error.to_string()],
        })
    }

    async fn extent_problems(
        &self,
        extents: &[Extent],
        referrer: UniqueId,
        size: u64,
    ) -> Result<Vec<String>, Fault> {
        let mut problems = Vec::new();
        let kept: u64 = extents.iter().map(|extent| extent.length).sum();
        if kept != size {
            problems.push(format!("{size} bytes recorded, {kept} kept"));
        }
        for extent in extents {
            if !self.volumes.contains(&extent.volume) {
                problems.push(format!("{extent} lies in a volume that is missing"));
            }
            if !self
                .exists(Space::Records, &extent_reference_key(extent, referrer))
                .await?
            {
                problems.push(format!("{extent} is used without a reference"));
            }
        }
        Ok(problems)
    }

    async fn upload_problems(
        &self,
        upload: UniqueId,
        record: &ObjectRecord,
    ) -> Result<Vec<String>, Fault> {
        let mut problems = Vec::new();
        if !self
            .exists(Space::Records, &upload_reference_key(upload, record.id))
            .await?
        {
            problems.push("its parts are used without a reference".to_owned());
        }
        let Some(value) = self.reader.get(Space::Records, &layout_key(upload)).await? else {
            problems.push("its layout is missing".to_owned());
            return Ok(problems);
        };
        let layout = match Layout::decode(value) {
            // More may have been appended to an object that shares the parts.
            Ok(layout) => layout.of_first(record.size),
            Err(error) => {
                problems.push(error.to_string());
                return Ok(problems);
            }
        };
        if layout.size() != record.size {
            problems.push(format!(
                "{} bytes recorded, {} in its parts",
                record.size,
                layout.size()
            ));
        }
        for place in layout.parts() {
            let row = self
                .reader
                .get(Space::Records, &part_key(upload, place.number))
                .await?;
            match row.map(PartRecord::decode).transpose() {
                Ok(Some(part)) if part.salt.is_some() != record.encryption.is_some() => {
                    let detail = "is not encrypted as the object's record says";
                    problems.push(format!("part {} {detail}", place.number));
                }
                Ok(Some(part)) if part.size == place.size => {}
                Ok(Some(_)) => problems.push(format!("part {} has another size", place.number)),
                Ok(None) => problems.push(format!("part {} is missing", place.number)),
                Err(error) => problems.push(format!("part {}: {error}", place.number)),
            }
        }
        Ok(problems)
    }

    async fn upload_references(&mut self) -> Result<(), Fault> {
        let mut rows = Rows::new(self.reader, all_upload_references());
        while let Some(row) = rows.next().await? {
            let (upload, object) = decode_upload_reference(&row.key)?;
            self.referenced_uploads.insert(upload);
            self.referrers.of_extents.insert(upload);
            if !self.referrers.of_uploads.contains(&object) {
                let detail =
                    format!("parts of upload {upload:?} are kept for an object that is gone");
                self.find(Finding::leak(detail));
            }
        }
        Ok(())
    }

    async fn parts(&mut self) -> Result<(), Fault> {
        let mut rows = Rows::new(self.reader, all_parts());
        while let Some(row) = rows.next().await? {
            self.summary.parts += 1;
            let (upload, number) = split_part_key(&row.key)?;
            let of_noted = self.noted_uploads.contains(&upload);
            let known = of_noted
                || self.open_uploads.contains(&upload)
                || self.referenced_uploads.contains(&upload);
            if !known {
                let detail = format!("part {number} of upload {upload:?} belongs to nothing");
                self.find(Finding::leak(detail));
            }
            self.referrers.of_extents.insert(upload);
            let part = match PartRecord::decode(row.value) {
                Ok(part) => part,
                Err(error) => {
                    let detail = format!("part {number} of upload {upload:?}: {error}");
                    self.find(Finding::damage(detail));
                    continue;
                }
            };
            let problems = match &part.placement {
                Placement::Inline(id) => self.inline_problems(*id, part.kept_bytes()).await?,
                Placement::Extents(extents) => {
                    let bytes = part.kept_bytes();
                    self.extent_problems(extents, upload, bytes).await?
                }
                Placement::Empty if part.size == 0 => Vec::new(),
                Placement::Empty | Placement::Upload(_) => vec!["its bytes are missing".to_owned()],
            };
            for problem in problems {
                let detail = format!("part {number} of upload {upload:?}: {problem}");
                self.find(Finding::damage(detail));
            }
        }
        Ok(())
    }

    async fn extent_references(&mut self) -> Result<(), Fault> {
        let mut rows = Rows::new(self.reader, all_extent_references());
        while let Some(row) = rows.next().await? {
            self.summary.extents += 1;
            let (extent, referrer) = decode_extent_reference(&row.key, &row.value)?;
            if !self.referrers.of_extents.contains(&referrer) {
                let detail = format!("{extent} is kept for {referrer:?}, which is gone");
                self.find(Finding::leak(detail));
            }
        }
        Ok(())
    }

    async fn usage(&mut self) -> Result<(), Fault> {
        for (bucket, name) in self.buckets.clone() {
            let used = self.used.get(&bucket).copied().unwrap_or_default();
            let counted = counts(self.reader, bucket).await?;
            if counted != used {
                self.find(Finding::leak(format!(
                    "bucket {name} is counted as {}, and has {}",
                    counts_text(&counted),
                    counts_text(&used)
                )));
            }
        }
        Ok(())
    }
}

fn counts_text(counts: &Counts) -> String {
    format!(
        "{} objects with {} bytes and {} past versions with {} bytes",
        counts.objects, counts.bytes, counts.past_entries, counts.past_bytes
    )
}
