//! Copying an object: metadata only. The copy refers to the same extents or parts; only a body
//! small enough to live in a row is written again, and one that is to be encrypted otherwise.
//!
//! A copy that stays under keys of the server's shares the bytes and their data key, which is wrapped
//! again if another key is to protect it. Bytes under a client's key are never shared, and an object
//! that was not encrypted becomes so by being written anew.

use bytes::Bytes;
use oncilla_hash::{ChecksumAlgorithm, ChecksumHasher};
use oncilla_keys::{CustomerKey, KeysError};
use oncilla_meta::{Mutation, Space};
use oncilla_wire::conditions::{ConditionFailure, Conditions};
use oncilla_wire::event::EventKind;
use oncilla_wire::header::X_AMZ_WEBSITE_REDIRECT_LOCATION;
use oncilla_wire::object_lock::NewLock;
use oncilla_wire::xml::acl::Acl;

use crate::bucket::Bucket;
use crate::content::{Declared, Relocated, WriteContentError, WrittenContent};
use crate::encryption::{EncryptionChoice, UnlockError, check_customer_key};
use crate::fault::Fault;
use crate::object::GetObjectError;
use crate::object::put::{NewObject, too_many_writers};
use crate::object_lock::Locked;
use crate::rows::encryption::{Encryption, Scheme};
use crate::rows::key::UniqueId;
use crate::rows::object::{ObjectRecord, StoredChecksum};
use crate::rows::placement::Placement;
use crate::rows::version_id::VersionId;
use crate::rows::{body, reference};
use crate::store::{CONFLICT_RETRIES_MAX, Store, unchanged};

/// Whether the copy keeps what the source has or gets its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Directive<T> {
    /// `COPY`.
    Copy,
    /// `REPLACE`.
    Replace(T),
}

/// A copy to make.
pub struct CopyObject<'a> {
    /// Where to copy from.
    pub source: (&'a Bucket, &'a [u8]),
    /// Which version of it; `None` is the newest.
    pub source_version: Option<VersionId>,
    /// The only object that may be copied, where the right to read it was judged by it; `None` is
    /// whichever is there.
    pub source_id: Option<UniqueId>,
    /// Conditions on the source (`x-amz-copy-source-if-…`).
    pub source_conditions: &'a Conditions,
    /// Where to copy to.
    pub destination: (&'a Bucket, &'a [u8]),
    /// Conditions on what is at the destination.
    pub conditions: &'a Conditions,
    /// Canonical id of the copy's owner.
    pub owner: String,
    /// Who may read the copy besides its owner.
    pub acl: Acl,
    /// Storage class of the copy; `None` is `STANDARD`, whatever the source's is, and no change of an
    /// object that is copied to itself.
    pub storage_class: Option<String>,
    /// Headers and user metadata; tags, owner, access and class of the value are not used.
    pub metadata: Directive<NewObject>,
    /// Where a website sends those who ask for the copy. The source's is not copied; with
    /// [`Directive::Replace`] it is among the new headers. Source: S3 API reference, CopyObject,
    /// `x-amz-website-redirect-location`.
    pub website_redirect: Option<Bytes>,
    /// Tags.
    pub tags: Directive<Vec<(String, String)>>,
    /// The checksum the copy should have; `None` keeps the source's.
    pub algorithm: Option<ChecksumAlgorithm>,
    /// How the copy is locked; the source's lock is not copied.
    pub lock: NewLock,
}

/// What encrypts source and copy.
#[derive(Clone, Debug, Default)]
pub struct CopyEncryption {
    /// The client's key of the source, if it sent one.
    pub source_key: Option<CustomerKey>,
    /// How the copy is to be encrypted. `None` leaves it under the server's key that the source is
    /// under, and puts what was under a client's key under the server's.
    pub choice: Option<EncryptionChoice>,
    /// Whether the client chose it for this copy, so that a copy to itself changes something.
    pub is_asked_for: bool,
}

/// A copy that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// The copy.
    pub record: ObjectRecord,
    /// The version that was copied.
    pub source_id: VersionId,
}

/// Why an object was not copied.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CopyError {
    /// There is no source object.
    #[error("on the source: {0}")]
    Source(GetObjectError),
    /// Another object than [`CopyObject::source_id`] is there by now.
    #[error("the source was replaced meanwhile")]
    SourceReplaced,
    /// The destination bucket was deleted meanwhile.
    #[error("no such bucket")]
    NoSuchBucket,
    /// A condition on the source does not hold.
    #[error("on the source: {0}")]
    SourceCondition(ConditionFailure),
    /// The source is longer than `size_bytes_max`.
    #[error("the source is too large to be copied in one operation")]
    TooLarge,
    /// The copy would change nothing.
    #[error("the object would be copied to itself unchanged")]
    Unchanged,
    /// The source cannot be decrypted.
    #[error("on the source: {0}")]
    Unlock(#[from] UnlockError),
    /// The key that is to encrypt the copy cannot be had.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// A condition on the destination does not hold.
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
    /// Copies an object. `size_bytes_max` is S3's limit for one copy.
    pub async fn copy_object(
        &self,
        copy: CopyObject<'_>,
        size_bytes_max: u64,
    ) -> Result<Copied, CopyError> {
        self.copy_object_as(copy, &CopyEncryption::default(), size_bytes_max)
            .await
    }

    /// As [`Store::copy_object`], with what encrypts source and copy. A copy that has to be written
    /// anew holds what a reader and a writer hold.
    pub async fn copy_object_as(
        &self,
        copy: CopyObject<'_>,
        encryption: &CopyEncryption,
        size_bytes_max: u64,
    ) -> Result<Copied, CopyError> {
        let (to_bucket, to_key) = copy.destination;
        let mut to_bucket = to_bucket.clone();
        // Summing a large source takes long, so it is done without the lock.
        let mut summed: Option<(UniqueId, StoredChecksum)> = None;
        // And so is writing its bytes again, for another key or another place.
        let mut written: Option<(UniqueId, Prepared)> = None;
        for _ in 0..CONFLICT_RETRIES_MAX {
            let turn = self.inner.locks.lock((to_bucket.id(), to_key)).await;
            let (bucket, key) = copy.source;
            let source = self.object_row(bucket, key, copy.source_version).await;
            let source = source.map_err(source_error)?;
            let from = &source.record;
            if copy.source_id.is_some_and(|id| id != from.id) {
                return Err(CopyError::SourceReplaced);
            }
            check_customer_key(from.encryption.as_deref(), encryption.source_key.as_ref())?;
            check_source(from, copy.source_conditions).map_err(CopyError::SourceCondition)?;
            from.check_readable(self.inner.clock.now_ms())
                .map_err(source_error)?;
            if from.size > size_bytes_max {
                return Err(CopyError::TooLarge);
            }
            let present = self.present(&to_bucket, to_key).await?;
            // An older version that is copied to its own key becomes the newest.
            let to_itself = present.row_key == source.row_key;
            if to_itself && !encryption.is_asked_for && changes_nothing(&copy, from) {
                return Err(CopyError::Unchanged);
            }
            present.check(copy.conditions)?;

            let mut record = copied_record(&copy, from);
            record.id = self.inner.clock.unique_id().map_err(Fault::from)?;
            let way = way_to_encrypt(from, encryption, self.encrypts_at_rest());
            if let Some(algorithm) = copy.algorithm
                && !has_checksum(from, algorithm)
                && !matches!(way, Way::WriteAnew(_))
            {
                match &summed {
                    Some((id, checksum)) if *id == from.id => {
                        record.checksum = Some(checksum.clone());
                    }
                    _ => {
                        drop(turn);
                        summed = Some(self.checksum_of(&copy, encryption, algorithm).await?);
                        continue;
                    }
                }
            }
            let group = self.group_of_class(&record.storage_class);
            let moves = group != self.group_of_class(&from.storage_class);
            let before = written.take();
            let before = before.filter(|(id, prepared)| *id == from.id && prepared.suits(&way));
            let mut prepared = match (before, &way) {
                (Some((_, prepared)), _) => Some(prepared),
                (None, Way::WriteAnew(choice)) => {
                    drop(turn);
                    written = Some(self.write_anew(&copy, encryption, choice).await?);
                    continue;
                }
                (None, Way::Share(_)) if moves => {
                    drop(turn);
                    let held = self.open_body(from, &source.row_key, &source.row).await?;
                    if held.is_some() {
                        let moved = self.relocate(&from.placement, group).await?;
                        written = Some((from.id, moved.map_or(Prepared::InPlace, Prepared::Moved)));
                    }
                    continue;
                }
                (None, Way::Share(_)) => None,
            };
            let mut mutation = Mutation::new();
            // `present` may have been read after a change of the source, if it is the same row.
            mutation.require(unchanged(&source.row_key, Some(&source.row)));
            match &mut prepared {
                Some(Prepared::Anew(content)) => {
                    record.set_content(content);
                    content.refer(&mut mutation, record.id);
                    content.commit_begins();
                }
                other => {
                    match (&way, from.encryption.as_deref()) {
                        (Way::Share(Some(choice)), _) => {
                            self.protect_copy(&mut record, choice).await?;
                        }
                        // A key that is disabled protects nothing new, not even what it protects already.
                        (Way::Share(None), Some(kept)) => {
                            self.data_key(kept, None)?;
                        }
                        _ => {}
                    }
                    if let Some(Prepared::Moved(moved)) = other {
                        record.placement = moved.placement();
                        moved.refer(&mut mutation, record.id);
                    } else {
                        let shared = self
                            .share(&mut mutation, &from.placement, record.id)
                            .await?;
                        let Some(placement) = shared else {
                            self.fail_if_unchanged(&source.row_key, Some(&source.row))
                                .await?;
                            continue;
                        };
                        record.placement = placement;
                    }
                }
            }
            let time = self.inner.clock.tick();
            let created = EventKind::CreatedCopy;
            let replaced = self
                .replace(&to_bucket, present, &mut record, mutation, time, created)
                .await;
            let refused = || {
                if let Some(prepared) = &mut prepared {
                    prepared.commit_refused();
                }
            };
            if self.is_done(replaced, &mut to_bucket, refused).await? {
                return Ok(Copied {
                    record,
                    source_id: source.record.version_id(),
                });
            }
        }
        Err(too_many_writers().into())
    }

    /// Puts the data key of a copy, which shares its source's bytes, under the chosen key.
    async fn protect_copy(
        &self,
        record: &mut ObjectRecord,
        choice: &EncryptionChoice,
    ) -> Result<(), CopyError> {
        let Some(kept) = record.encryption.as_deref() else {
            return Ok(());
        };
        let data_key = self.data_key(kept, None)?;
        let protected = Encryption {
            salt: kept.salt,
            ..self.protect(&data_key, choice).await?
        };
        if kept.scheme.etag_is_md5() && !protected.scheme.etag_is_md5() {
            record.etag.md5 = data_key.entity_tag(record.etag.md5);
        }
        record.encryption = Some(Box::new(protected));
        Ok(())
    }

    /// Writes the source's bytes anew, encrypted as chosen; says of which version.
    async fn write_anew(
        &self,
        copy: &CopyObject<'_>,
        encryption: &CopyEncryption,
        choice: &EncryptionChoice,
    ) -> Result<(UniqueId, Prepared), CopyError> {
        let (bucket, key) = copy.source;
        let opened = self.open_object_version(bucket, key, copy.source_version);
        let mut body = opened.await.map_err(source_error)?;
        body.unlock(encryption.source_key.as_ref())?;
        let record = &body.record;
        let id = record.id;
        let kept = record
            .checksum
            .as_ref()
            .map(|kept| kept.checksum.algorithm());
        let algorithm = copy.algorithm.or(kept).unwrap_or(ALGORITHM_DEFAULT);
        let new = self.new_encryption(choice).await?;
        let class = copy.storage_class.as_deref().unwrap_or_default();
        let begun = self.begin_content_as(class, record.size, algorithm, false, Some(&new));
        let mut writer = begun.await?;
        let mut reader = body.read_all();
        while let Some(bytes) = reader.next().await? {
            writer.write(bytes).await.map_err(not_rewritten)?;
        }
        let written = writer.finish(&Declared::default()).await;
        Ok((id, Prepared::Anew(written.map_err(not_rewritten)?)))
    }

    /// Adds to `mutation` what makes `referrer` a user of the bytes at `placement`, and says where
    /// they are for it; `None` if they went away meanwhile.
    pub(crate) async fn share(
        &self,
        mutation: &mut Mutation,
        placement: &Placement,
        referrer: UniqueId,
    ) -> Result<Option<Placement>, Fault> {
        match placement {
            Placement::Empty => {}
            Placement::Inline(id) => {
                let Some(value) = self
                    .inner
                    .engine
                    .get(body::SPACE, &body::body_key(*id))
                    .await?
                else {
                    return Ok(None);
                };
                body::decode(value.clone())?;
                let own = self.inner.clock.unique_id()?;
                mutation.put(body::SPACE, body::body_key(own), value);
                return Ok(Some(Placement::Inline(own)));
            }
            Placement::Extents(extents) => {
                for extent in extents {
                    let key = reference::extent_reference_key(extent, referrer);
                    mutation.put(
                        Space::Records,
                        key,
                        reference::extent_reference_value(extent),
                    );
                }
            }
            Placement::Upload(upload) => {
                let key = reference::upload_reference_key(*upload, referrer);
                mutation.put(Space::Records, key, Bytes::new());
            }
        }
        Ok(Some(placement.clone()))
    }

    /// Bytes that a record names are missing: damage, unless the record was replaced meanwhile.
    pub(crate) async fn fail_if_unchanged(
        &self,
        row_key: &Bytes,
        row: Option<&Bytes>,
    ) -> Result<(), Fault> {
        if self.get(row_key).await?.as_ref() == row {
            return Err(Fault::Damaged(
                "the body that an object's record names is missing".to_owned(),
            ));
        }
        Ok(())
    }

    /// Sums the source's bytes; says of which version.
    async fn checksum_of(
        &self,
        copy: &CopyObject<'_>,
        encryption: &CopyEncryption,
        algorithm: ChecksumAlgorithm,
    ) -> Result<(UniqueId, StoredChecksum), CopyError> {
        let (bucket, key) = copy.source;
        let opened = self.open_object_version(bucket, key, copy.source_version);
        let mut body = opened.await.map_err(source_error)?;
        body.unlock(encryption.source_key.as_ref())?;
        let id = body.record.id;
        let mut hasher = ChecksumHasher::new(algorithm);
        let mut reader = body.read_all();
        while let Some(bytes) = reader.next().await? {
            hasher.update(&bytes);
        }
        Ok((id, StoredChecksum::full_object(hasher.finish())))
    }
}

/// The checksum of a rewritten copy whose source has none.
const ALGORITHM_DEFAULT: ChecksumAlgorithm = ChecksumAlgorithm::Crc64Nvme;

/// The bytes of a copy, written before its turn came. Dropped, they are given back.
enum Prepared {
    /// Encrypted by a data key of their own.
    Anew(WrittenContent),
    /// As the source has them, where the copy's class lies.
    Moved(Relocated),
    /// They lie nowhere in particular, so the copy shares them.
    InPlace,
}

impl Prepared {
    /// Whether they are what a copy by this way needs.
    fn suits(&self, way: &Way<'_>) -> bool {
        matches!(self, Self::Anew(_)) || matches!(way, Way::Share(_))
    }

    /// The commit was refused, so nothing refers to the bytes after all.
    fn commit_refused(&mut self) {
        match self {
            Self::Anew(content) => content.commit_refused(),
            Self::Moved(moved) => moved.commit_refused(),
            Self::InPlace => {}
        }
    }
}

/// How a copy comes to its bytes.
enum Way<'a> {
    /// It uses the source's; their data key is put under another key, if one is chosen.
    Share(Option<&'a EncryptionChoice>),
    /// They are written anew.
    WriteAnew(&'a EncryptionChoice),
}

fn way_to_encrypt<'a>(
    from: &ObjectRecord,
    encryption: &'a CopyEncryption,
    at_rest: bool,
) -> Way<'a> {
    const BY_SERVER: &EncryptionChoice = &EncryptionChoice::S3;
    let scheme = from.encryption.as_ref().map(|kept| kept.scheme);
    match (scheme, &encryption.choice) {
        (None, None) if !at_rest => Way::Share(None),
        (None | Some(Scheme::Customer), None) => Way::WriteAnew(BY_SERVER),
        (Some(Scheme::S3 | Scheme::Kms), None) => Way::Share(None),
        (None | Some(Scheme::Customer), Some(choice))
        | (_, Some(choice @ EncryptionChoice::Customer(_))) => Way::WriteAnew(choice),
        // Its entity tag has to become an MD5, which is not known.
        (Some(Scheme::Kms), Some(choice @ EncryptionChoice::S3)) => Way::WriteAnew(choice),
        (Some(Scheme::S3 | Scheme::Kms), Some(choice)) => Way::Share(Some(choice)),
    }
}

fn not_rewritten(error: WriteContentError) -> Fault {
    match error {
        WriteContentError::Fault(fault) => fault,
        WriteContentError::Length { .. } | WriteContentError::Mismatch(_) => {
            Fault::Failed(format!("a copy could not be written: {error}"))
        }
    }
}

fn source_error(error: GetObjectError) -> CopyError {
    match error {
        GetObjectError::Fault(fault) => CopyError::Fault(fault),
        error => CopyError::Source(error),
    }
}

/// Evaluates conditions on the source of a copy or a rename.
pub(super) fn check_source(
    source: &ObjectRecord,
    conditions: &Conditions,
) -> Result<(), ConditionFailure> {
    let etag = source.etag.to_string();
    conditions.evaluate_copy_source(source.existing(&etag))
}

fn changes_nothing(copy: &CopyObject<'_>, from: &ObjectRecord) -> bool {
    let same_class = copy
        .storage_class
        .as_deref()
        .is_none_or(|class| class == from.storage_class);
    let keeps_headers = copy.metadata == Directive::Copy && copy.website_redirect.is_none();
    keeps_headers && same_class && copy.algorithm.is_none()
}

fn has_checksum(record: &ObjectRecord, algorithm: ChecksumAlgorithm) -> bool {
    let stored = record.checksum.as_ref();
    stored.is_some_and(|stored| !stored.composite && stored.checksum.algorithm() == algorithm)
}

/// The copy's record, apart from its identity, times and placement.
fn copied_record(copy: &CopyObject<'_>, from: &ObjectRecord) -> ObjectRecord {
    let mut record = from.clone();
    record.owner = copy.owner.clone();
    record.acl = copy.acl.clone();
    record.retention = copy.lock.retention;
    record.legal_hold = copy.lock.legal_hold;
    record.storage_class = copy.storage_class.clone().unwrap_or_default();
    record.restoration = None;
    match &copy.metadata {
        Directive::Replace(new) => {
            record.headers = new.headers.clone();
            record.metadata = new.metadata.clone();
        }
        Directive::Copy => {
            let name = X_AMZ_WEBSITE_REDIRECT_LOCATION;
            let name = Bytes::copy_from_slice(name.as_str().as_bytes());
            record.headers.retain(|(stored, _)| *stored != name);
            let own = copy.website_redirect.clone();
            record.headers.extend(own.map(|value| (name, value)));
        }
    }
    if let Directive::Replace(tags) = &copy.tags {
        record.tags = tags.clone();
    }
    record
}
