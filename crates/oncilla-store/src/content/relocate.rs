//! Writing bytes again in another group of volumes, as they are: what a record names is read, verified
//! frame by frame, and written there; nothing refers to the copy before a record does.

use bytes::Bytes;
use oncilla_blob::{Extent, GroupId};
use oncilla_meta::{Mutation, Space};

use crate::content::write::UncommittedExtents;
use crate::fault::Fault;
use crate::pins::UploadPin;
use crate::rows::garbage::Garbage;
use crate::rows::key::UniqueId;
use crate::rows::layout::{Layout, layout_key};
use crate::rows::part::{PartRecord, part_key};
use crate::rows::placement::Placement;
use crate::rows::reference::upload_reference_key;
use crate::rows::{body, reference};
use crate::store::Store;

/// Bytes at their new place, which no record names yet. Dropped, they are given back.
pub(crate) enum Relocated {
    /// Of an object with extents of its own.
    Extents(UncommittedExtents),
    /// Of an object in parts: an upload of its own. It was noted as garbage before it was begun, so
    /// that the collector frees it unless a record uses it once the pin is gone.
    Upload {
        upload: UniqueId,
        layout: Bytes,
        _pin: UploadPin,
    },
}

impl Relocated {
    /// Where a record has to say the bytes are.
    pub fn placement(&self) -> Placement {
        match self {
            Self::Extents(extents) => Placement::Extents(extents.list().to_vec()),
            Self::Upload { upload, .. } => Placement::Upload(*upload),
        }
    }

    /// Adds to `mutation` what makes `referrer` the user of these bytes, and says that it is about to be
    /// committed.
    pub fn refer(&mut self, mutation: &mut Mutation, referrer: UniqueId) {
        match self {
            Self::Extents(extents) => {
                extents.refer(mutation, referrer);
                extents.commit_begins();
            }
            Self::Upload { upload, layout, .. } => {
                mutation
                    .put(Space::Records, layout_key(*upload), layout.clone())
                    .put(
                        Space::Records,
                        upload_reference_key(*upload, referrer),
                        Bytes::new(),
                    );
            }
        }
    }

    /// The commit was refused, so nothing refers to the bytes after all.
    pub fn commit_refused(&mut self) {
        if let Self::Extents(extents) = self {
            extents.commit_refused();
        }
    }
}

impl Store {
    /// Writes what lies at `placement` again in `group`; `None` if that is not in volumes. The caller holds
    /// what keeps the bytes from being released.
    pub(crate) async fn relocate(
        &self,
        placement: &Placement,
        group: GroupId,
    ) -> Result<Option<Relocated>, Fault> {
        match placement {
            Placement::Empty | Placement::Inline(_) => Ok(None),
            Placement::Extents(extents) => {
                let extents = self.relocate_extents(extents, group).await?;
                Ok(Some(Relocated::Extents(extents)))
            }
            Placement::Upload(upload) => self.relocate_upload(*upload, group).await.map(Some),
        }
    }

    async fn relocate_extents(
        &self,
        extents: &[Extent],
        group: GroupId,
    ) -> Result<UncommittedExtents, Fault> {
        let volumes = &self.inner.volumes;
        let mut written = UncommittedExtents::new(volumes.clone());
        for extent in extents {
            let mut reader = volumes.read(*extent, 0..extent.length);
            let mut writer = volumes.begin_in(group, extent.length).await?;
            while let Some(bytes) = reader.next().await? {
                writer.write(bytes).await?;
            }
            written.push(writer.finish().await?);
        }
        Ok(written)
    }

    /// Parts keep their numbers, sizes and checksums.
    async fn relocate_upload(&self, from: UniqueId, group: GroupId) -> Result<Relocated, Fault> {
        let upload = self.inner.clock.unique_id()?;
        let pin = self.inner.upload_pins.pin(upload);
        let mut note = Mutation::new();
        self.note_garbage(&mut note, Garbage::Upload(upload))?;
        self.commit(note, self.inner.clock.tick()).await?;
        let layout = self.get(&layout_key(from)).await?;
        let layout = layout.ok_or_else(|| missing("layout"))?;
        for place in Layout::decode(layout.clone())?.parts() {
            let row = self.get(&part_key(from, place.number)).await?;
            let mut part = PartRecord::decode(row.ok_or_else(|| missing("part"))?)?;
            let mut mutation = Mutation::new();
            let extents = match &part.placement {
                Placement::Extents(extents) => {
                    let mut extents = self.relocate_extents(extents, group).await?;
                    extents.refer(&mut mutation, upload);
                    extents.commit_begins();
                    part.placement = Placement::Extents(extents.list().to_vec());
                    Some(extents)
                }
                Placement::Inline(id) => {
                    let value = self
                        .inner
                        .engine
                        .get(body::SPACE, &body::body_key(*id))
                        .await?;
                    let value = value.ok_or_else(|| missing("part's body"))?;
                    body::decode(value.clone())?;
                    let own = self.inner.clock.unique_id()?;
                    mutation.put(body::SPACE, body::body_key(own), value);
                    part.placement = Placement::Inline(own);
                    None
                }
                Placement::Empty | Placement::Upload(_) => None,
            };
            mutation.put(
                Space::Records,
                part_key(upload, place.number),
                part.encode(),
            );
            self.commit(mutation, self.inner.clock.tick()).await?;
            drop(extents);
        }
        Ok(Relocated::Upload {
            upload,
            layout,
            _pin: pin,
        })
    }
}

fn missing(what: &str) -> Fault {
    Fault::Damaged(format!("a {what} that a record names is missing"))
}

impl UncommittedExtents {
    /// Adds to `mutation` what makes `referrer` the user of the extents.
    pub fn refer(&self, mutation: &mut Mutation, referrer: UniqueId) {
        for extent in self.list() {
            let key = reference::extent_reference_key(extent, referrer);
            let value = reference::extent_reference_value(extent);
            mutation.put(Space::Records, key, value);
        }
    }
}
