//! Looking an object up and opening its body.

use bytes::Bytes;
use oncilla_blob::Pin;
use oncilla_keys::{CustomerKey, DataKey};

use crate::bucket::Bucket;
use crate::content::{BodyKey, BodyReader, BodySource, ByteRange, PinnedExtents, UploadSource};
use crate::encryption::{UnlockError, check_customer_key};
use crate::fault::Fault;
use crate::history::{find_version, newest_past};
use crate::rows::body;
use crate::rows::history::{DeleteMarker, Past};
use crate::rows::layout::{Layout, layout_key};
use crate::rows::object::{ObjectRecord, object_key};
use crate::rows::placement::Placement;
use crate::rows::version_id::VersionId;
use crate::store::Store;

/// Why an object could not be had, for reading or for changing what is kept beside its bytes.
#[derive(Clone, Debug, thiserror::Error)]
pub enum GetObjectError {
    /// There is none under the key.
    #[error("no such key")]
    NoSuchKey,
    /// There is none under the key, because it was deleted by this delete marker.
    #[error("the newest version is a delete marker")]
    Deleted(Box<DeleteMarker>),
    /// The key has no version of this id.
    #[error("no such version")]
    NoSuchVersion(VersionId),
    /// The version of this id is a delete marker, which can only be deleted.
    #[error("the version is a delete marker")]
    IsDeleteMarker(Box<DeleteMarker>),
    /// It is archived, in this class, and not restored.
    #[error("the object is archived")]
    Archived(String),
    /// A failure beneath.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// An object's record and the row it is in.
pub(crate) struct ObjectRow {
    pub row_key: Bytes,
    pub row: Bytes,
    pub record: ObjectRecord,
}

/// An object whose body can be read, whatever happens to its key meanwhile.
pub struct ObjectBody {
    /// The object.
    pub record: ObjectRecord,
    /// Its parts, if it was uploaded in parts.
    pub layout: Option<Layout>,
    source: BodySource,
    store: Store,
    data_key: Option<DataKey>,
}

impl ObjectBody {
    /// Gets the key of an encrypted body, so that what is wrong with it shows before anything is read.
    /// `customer` is the client's own key, if it sent one. Does nothing for a body that is not
    /// encrypted.
    ///
    /// # Errors
    /// See [`UnlockError`].
    pub fn unlock(&mut self, customer: Option<&CustomerKey>) -> Result<(), UnlockError> {
        let encryption = self.record.encryption.as_deref();
        check_customer_key(encryption, customer)?;
        if let Some(encryption) = encryption {
            self.data_key = Some(self.store.data_key(encryption, customer)?);
        }
        Ok(())
    }

    /// Reads `range` of the body, which must lie within it. An encrypted body is decrypted; one that
    /// was not [unlocked](ObjectBody::unlock) is if the server has the key, and otherwise the reader
    /// fails.
    pub fn read(self, range: ByteRange) -> BodyReader {
        debug_assert!(range.start <= range.end && range.end <= self.record.size);
        let reader = self.store.body_reader(self.source, range);
        let Some(encryption) = &self.record.encryption else {
            return reader;
        };
        let data_key = match self.data_key {
            Some(data_key) => Ok(data_key),
            None => self.store.data_key(encryption, None),
        };
        match data_key {
            Ok(data_key) => reader.with_key(BodyKey {
                data_key,
                salt: encryption.salt,
                body_bytes: self.record.size,
            }),
            Err(error) => reader.failing(error.into()),
        }
    }

    /// Reads the whole body as it is kept, encrypted or not. Not for a body in parts.
    pub(crate) fn read_kept(self) -> BodyReader {
        let range = ByteRange {
            start: 0,
            end: self.record.kept_bytes(),
        };
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
        self.object_version(bucket, key, None).await
    }

    /// The record of one version of an object; `None` is the newest.
    pub async fn object_version(
        &self,
        bucket: &Bucket,
        key: &[u8],
        version: Option<VersionId>,
    ) -> Result<ObjectRecord, GetObjectError> {
        Ok(self.object_row(bucket, key, version).await?.record)
    }

    /// Finds a version of an object and its row; `None` is the newest.
    pub(crate) async fn object_row(
        &self,
        bucket: &Bucket,
        key: &[u8],
        version: Option<VersionId>,
    ) -> Result<ObjectRow, GetObjectError> {
        let Some(version) = version else {
            let row_key = object_key(bucket.id(), key);
            let Some(row) = self.get(&row_key).await? else {
                return Err(self.nothing_present(bucket, key).await?);
            };
            let record = ObjectRecord::decode(row.clone()).map_err(Fault::from)?;
            return Ok(ObjectRow {
                row_key,
                row,
                record,
            });
        };
        let snapshot = self.inner.engine.snapshot();
        let found = find_version(&*snapshot, bucket.id(), key, version).await?;
        let found = found.ok_or(GetObjectError::NoSuchVersion(version))?;
        match found.version {
            Past::Object(record) => Ok(ObjectRow {
                row_key: found.row_key,
                row: found.row,
                record: *record,
            }),
            Past::DeleteMarker(marker) => Err(GetObjectError::IsDeleteMarker(Box::new(marker))),
        }
    }

    /// Why a key has no present record.
    async fn nothing_present(&self, bucket: &Bucket, key: &[u8]) -> Result<GetObjectError, Fault> {
        if !bucket.keeps_history() {
            return Ok(GetObjectError::NoSuchKey);
        }
        let newest = newest_past(&*self.inner.engine, bucket.id(), key, 1).await?;
        Ok(match newest.into_iter().next().map(|found| found.version) {
            Some(Past::DeleteMarker(marker)) => GetObjectError::Deleted(Box::new(marker)),
            // An object there: it was uncovered since.
            Some(Past::Object(_)) | None => GetObjectError::NoSuchKey,
        })
    }

    /// The layout of an object uploaded in parts; `None` for one that was not.
    pub async fn layout(&self, record: &ObjectRecord) -> Result<Option<Layout>, Fault> {
        let Placement::Upload(upload) = record.placement else {
            return Ok(None);
        };
        let row = self.get(&layout_key(upload)).await?;
        let row = row.ok_or_else(|| Fault::Damaged("an object's layout is missing".to_owned()))?;
        Ok(Some(Layout::decode(row)?.of_first(record.size)))
    }

    /// Opens an object for reading.
    pub async fn open_object(
        &self,
        bucket: &Bucket,
        key: &[u8],
    ) -> Result<ObjectBody, GetObjectError> {
        self.open_object_version(bucket, key, None).await
    }

    /// Opens one version of an object for reading; `None` is the newest.
    ///
    /// # Errors
    /// `Archived` for an object that has to be restored first.
    pub async fn open_object_version(
        &self,
        bucket: &Bucket,
        key: &[u8],
        version: Option<VersionId>,
    ) -> Result<ObjectBody, GetObjectError> {
        let body = self.hold_object_version(bucket, key, version).await?;
        body.record.check_readable(self.inner.clock.now_ms())?;
        Ok(body)
    }

    /// As [`Store::open_object_version`], to look at how the object is laid out: its bytes may be
    /// archived.
    pub async fn hold_object_version(
        &self,
        bucket: &Bucket,
        key: &[u8],
        version: Option<VersionId>,
    ) -> Result<ObjectBody, GetObjectError> {
        for _ in 0..LOOKUPS_MAX {
            let ObjectRow {
                row_key,
                row,
                record,
            } = self.object_row(bucket, key, version).await?;
            let opened = self.open_body(&record, &row_key, &row).await?;
            if let Some((source, layout)) = opened {
                return Ok(ObjectBody {
                    record,
                    layout,
                    source,
                    store: self.clone(),
                    data_key: None,
                });
            }
        }
        Err(
            Fault::Unavailable("the object is being replaced too quickly to be read".to_owned())
                .into(),
        )
    }

    /// Takes hold of a record's bytes; `None` if they went away because the record was replaced.
    pub(crate) async fn open_body(
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
                let layout = Layout::decode(value)?.of_first(record.size);
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

impl ObjectRecord {
    /// Refuses to read what is archived.
    pub(crate) fn check_readable(&self, now_ms: u64) -> Result<(), GetObjectError> {
        match self.archive_state(now_ms).is_readable() {
            true => Ok(()),
            false => Err(GetObjectError::Archived(self.storage_class().to_owned())),
        }
    }
}

impl std::fmt::Debug for ObjectBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectBody")
            .field("record", &self.record)
            .finish_non_exhaustive()
    }
}
