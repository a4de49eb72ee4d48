//! Looking an object up and opening its body.

use bytes::Bytes;
use oncilla_blob::Pin;

use crate::bucket::Bucket;
use crate::content::{BodyReader, BodySource, ByteRange, PinnedExtents, UploadSource};
use crate::fault::Fault;
use crate::rows::body;
use crate::rows::layout::{Layout, layout_key};
use crate::rows::object::{ObjectRecord, object_key};
use crate::rows::placement::Placement;
use crate::store::Store;

/// Why an object could not be had.
#[derive(Clone, Debug, thiserror::Error)]
pub enum GetObjectError {
    /// There is none under the key.
    #[error("no such key")]
    NoSuchKey,
    /// A failure beneath.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// An object whose body can be read, whatever happens to its key meanwhile.
pub struct ObjectBody {
    /// The object.
    pub record: ObjectRecord,
    /// Its parts, if it was uploaded in parts.
    pub layout: Option<Layout>,
    source: BodySource,
    store: Store,
}

impl ObjectBody {
    /// Reads `range` of the body, which must lie within it.
    pub fn read(self, range: ByteRange) -> BodyReader {
        debug_assert!(range.start <= range.end && range.end <= self.record.size);
        self.store.body_reader(self.source, range)
    }

    /// Reads the whole body.
    pub fn read_all(self) -> BodyReader {
        let range = ByteRange {
            start: 0,
            end: self.record.size,
        };
        self.read(range)
    }
}

/// Lookups tried while the object is being replaced again and again under the reader.
const LOOKUPS_MAX: usize = 64;

impl Store {
    /// The object's record.
    pub async fn object(
        &self,
        bucket: &Bucket,
        key: &[u8],
    ) -> Result<ObjectRecord, GetObjectError> {
        let row = self.get(&object_key(bucket.id(), key)).await?;
        let row = row.ok_or(GetObjectError::NoSuchKey)?;
        Ok(ObjectRecord::decode(row).map_err(Fault::from)?)
    }

    /// The layout of an object uploaded in parts; `None` for one that was not.
    pub async fn layout(&self, record: &ObjectRecord) -> Result<Option<Layout>, Fault> {
        let Placement::Upload(upload) = record.placement else {
            return Ok(None);
        };
        let row = self.get(&layout_key(upload)).await?;
        let row = row.ok_or_else(|| Fault::Damaged("an object's layout is missing".to_owned()))?;
        Ok(Some(Layout::decode(row)?))
    }

    /// Opens an object for reading.
    pub async fn open_object(
        &self,
        bucket: &Bucket,
        key: &[u8],
    ) -> Result<ObjectBody, GetObjectError> {
        let row_key = object_key(bucket.id(), key);
        for _ in 0..LOOKUPS_MAX {
            let row = self.get(&row_key).await?.ok_or(GetObjectError::NoSuchKey)?;
            let record = ObjectRecord::decode(row.clone()).map_err(Fault::from)?;
            let opened = self.open_body(&record, &row_key, &row).await?;
            if let Some((source, layout)) = opened {
                return Ok(ObjectBody {
                    record,
                    layout,
                    source,
                    store: self.clone(),
                });
            }
        }
        Err(
            Fault::Unavailable("the object is being replaced too quickly to be read".to_owned())
                .into(),
        )
    }

    /// Takes hold of a record's bytes; `None` if they went away because the record was replaced.
    async fn open_body(
        &self,
        record: &ObjectRecord,
        row_key: &Bytes,
        row: &Bytes,
    ) -> Result<Option<(BodySource, Option<Layout>)>, Fault> {
        match &record.placement {
            Placement::Empty => Ok(Some((BodySource::Empty, None))),
            Placement::Inline(id) => {
                match self
                    .inner
                    .engine
                    .get(body::SPACE, &body::body_key(*id))
                    .await?
                {
                    Some(value) => Ok(Some((BodySource::Inline(body::decode(value)?), None))),
                    None => self.gone_or_damaged(row_key, row, "body").await,
                }
            }
            Placement::Extents(extents) => {
                let pins: Vec<Pin> = extents
                    .iter()
                    .map(|extent| self.inner.volumes.pin(*extent))
                    .collect();
                let all_hold = pins.iter().all(Pin::is_in_time);
                let source = PinnedExtents {
                    extents: extents.clone(),
                    _pins: pins,
                };
                if all_hold && self.is_current(row_key, row).await? {
                    return Ok(Some((BodySource::Extents(source), None)));
                }
                Ok(None)
            }
            Placement::Upload(upload) => {
                let pin = self.inner.upload_pins.pin(*upload);
                let Some(value) = self.get(&layout_key(*upload)).await? else {
                    return self.gone_or_damaged(row_key, row, "layout").await;
                };
                if !self.is_current(row_key, row).await? {
                    return Ok(None);
                }
                let layout = Layout::decode(value)?;
                let engine = self.inner.engine.clone();
                let source = UploadSource {
                    engine,
                    upload: *upload,
                    layout: layout.clone(),
                    pin,
                };
                Ok(Some((BodySource::Upload(source), Some(layout))))
            }
        }
    }

    /// Whether the record is still what was read. Asked after its bytes were pinned: a record that
    /// is current then has kept their reference until then, so whoever finds them without one and
    /// wants to free them does so later, and finds the pin.
    async fn is_current(&self, row_key: &Bytes, row: &Bytes) -> Result<bool, Fault> {
        Ok(self.get(row_key).await?.as_ref() == Some(row))
    }

    /// What a record names is missing: because the record was replaced, or because of damage.
    async fn gone_or_damaged<T>(
        &self,
        row_key: &Bytes,
        row: &Bytes,
        what: &str,
    ) -> Result<Option<T>, Fault> {
        if self.is_current(row_key, row).await? {
            return Err(Fault::Damaged(format!(
                "the {what} that an object's record names is missing"
            )));
        }
        Ok(None)
    }
}

impl std::fmt::Debug for ObjectBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectBody")
            .field("record", &self.record)
            .finish_non_exhaustive()
    }
}
