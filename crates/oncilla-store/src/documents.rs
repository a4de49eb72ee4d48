//! The configuration documents of a bucket: read with the bucket, kept with it in the cache, and
//! parsed once.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use oncilla_meta::{CommitOutcome, Mutation, Precondition, Reader, Space, next_key};

use crate::bucket::{Bucket, BucketError};
use crate::fault::Fault;
use crate::rows::bucket::{BucketRecord, bucket_key};
use crate::rows::codec::UnknownFields;
use crate::rows::document::{
    DocumentKind, DocumentRecord, all_documents, document_key, documents_of_bucket,
    split_document_key,
};
use crate::rows::key::BucketId;
use crate::store::{CONFLICT_RETRIES_MAX, Store};
use crate::walk::Rows;

/// Most documents of one kind that a bucket can have. Source: S3 API reference,
/// PutBucketInventoryConfiguration and its like.
pub const NAMED_DOCUMENTS_MAX: usize = 1_000;

/// A document of a bucket.
pub struct Document {
    record: DocumentRecord,
    parsed: OnceLock<Arc<dyn Any + Send + Sync>>,
}

impl Document {
    fn new(record: DocumentRecord) -> Self {
        Self {
            record,
            parsed: OnceLock::new(),
        }
    }

    /// The document, in the form that S3 answers.
    pub fn text(&self) -> &Bytes {
        &self.record.text
    }

    /// When it was set, in Unix milliseconds.
    pub fn set_ms(&self) -> u64 {
        self.record.set_ms
    }

    /// What the server keeps with it and no client sees.
    pub fn detail(&self) -> &Bytes {
        &self.record.detail
    }

    /// What the document says. It is parsed when it is first asked for, and the result is kept as
    /// long as the bucket is in the cache; so every reader of a kind has to use the same type.
    pub fn parsed<T, E>(&self, parse: impl FnOnce(&[u8]) -> Result<T, E>) -> Result<Arc<T>, E>
    where
        T: Send + Sync + 'static,
    {
        if let Some(kept) = self.parsed.get()
            && let Ok(kept) = Arc::clone(kept).downcast()
        {
            return Ok(kept);
        }
        let parsed = Arc::new(parse(&self.record.text)?);
        // Somebody else may have been faster, which comes to the same.
        let _ = self.parsed.set(parsed.clone());
        Ok(parsed)
    }
}

impl std::fmt::Debug for Document {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.record.fmt(formatter)
    }
}

impl PartialEq for Document {
    fn eq(&self, other: &Self) -> bool {
        self.record == other.record
    }
}

impl Eq for Document {}

/// All documents of a bucket. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Documents(Arc<BTreeMap<(DocumentKind, String), Document>>);

impl Documents {
    /// The documents of a new bucket.
    pub(crate) fn new(documents: &[(DocumentKind, NewDocument)], now_ms: u64) -> Self {
        let documents = documents.iter().map(|(kind, new)| {
            let document = Document::new(new.record(now_ms));
            ((*kind, String::new()), document)
        });
        Self(Arc::new(documents.collect()))
    }

    /// Adds to `mutation` that the bucket gets these documents.
    pub(crate) fn put(&self, mutation: &mut Mutation, bucket: BucketId) {
        for ((kind, name), document) in &*self.0 {
            let key = document_key(bucket, *kind, name);
            mutation.put(Space::Records, key, document.record.encode());
        }
    }

    /// The document of a kind of which there is one.
    pub fn get(&self, kind: DocumentKind) -> Option<&Document> {
        self.named(kind, "")
    }

    /// A document by its name.
    pub fn named(&self, kind: DocumentKind, name: &str) -> Option<&Document> {
        // Nearly every bucket has none, and then no key has to be made to look.
        if self.0.is_empty() {
            return None;
        }
        self.0.get(&(kind, name.to_owned()))
    }

    /// All documents of a kind in the order of their names.
    pub fn all(&self, kind: DocumentKind) -> impl Iterator<Item = (&str, &Document)> {
        let from = (kind, String::new());
        let of_kind = self
            .0
            .range(from..)
            .take_while(move |(key, _)| key.0 == kind);
        of_kind.map(|(key, document)| (key.1.as_str(), document))
    }

    /// Reads the documents of a bucket.
    pub(crate) async fn read(reader: &dyn Reader, bucket: BucketId) -> Result<Self, Fault> {
        let mut documents = BTreeMap::new();
        let mut rows = Rows::new(reader, documents_of_bucket(bucket));
        while let Some(row) = rows.next().await? {
            let (_, kind, name) = split_document_key(&row.key)?;
            // What only a newer version knows stays where it is.
            if let Some(kind) = kind {
                let record = DocumentRecord::decode(row.value)?;
                documents.insert((kind, name), Document::new(record));
            }
        }
        Ok(Self(Arc::new(documents)))
    }
}

/// Which document, of kinds that have names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentPlace {
    /// Id of the bucket.
    pub bucket: BucketId,
    /// The document's name.
    pub name: String,
}

/// What a document is to be.
#[derive(Clone, Debug, Default)]
pub struct NewDocument {
    /// The document, in the form that S3 answers.
    pub text: Bytes,
    /// What the server keeps with it and no client sees.
    pub detail: Bytes,
}

impl NewDocument {
    /// A document that says nothing which clients do not see.
    pub fn of_text(text: impl Into<Bytes>) -> Self {
        Self {
            text: text.into(),
            detail: Bytes::new(),
        }
    }

    fn record(&self, now_ms: u64) -> DocumentRecord {
        DocumentRecord {
            text: self.text.clone(),
            set_ms: now_ms,
            detail: self.detail.clone(),
            unknown: UnknownFields::default(),
        }
    }
}

/// Why a document was not set.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PutDocumentError {
    /// The bucket is gone.
    #[error("no such bucket")]
    NoSuchBucket,
    /// The bucket has [`NAMED_DOCUMENTS_MAX`] of this kind.
    #[error("the bucket has {NAMED_DOCUMENTS_MAX} of them")]
    TooMany,
    /// A failure beneath.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<BucketError> for PutDocumentError {
    fn from(error: BucketError) -> Self {
        match error {
            BucketError::NoSuchBucket => Self::NoSuchBucket,
            BucketError::Fault(fault) => Self::Fault(fault),
        }
    }
}

impl Store {
    /// The documents of one kind, of all buckets, at most `limit`, in the order of buckets' ids and
    /// documents' names: for jobs, which look at them one after the other. `after` is where an
    /// earlier page ended.
    pub async fn documents_of_kind(
        &self,
        kind: DocumentKind,
        after: Option<&DocumentPlace>,
        limit: usize,
    ) -> Result<Vec<DocumentPlace>, Fault> {
        let (mut start, end) = all_documents();
        if let Some(after) = after {
            start = next_key(&document_key(after.bucket, kind, &after.name));
        }
        let mut places = Vec::new();
        let mut rows = Rows::new(&*self.inner.engine, (start, end));
        while places.len() < limit
            && let Some(row) = rows.next().await?
        {
            let (bucket, found, name) = split_document_key(&row.key)?;
            if found == Some(kind) {
                places.push(DocumentPlace { bucket, name });
            }
        }
        Ok(places)
    }

    /// Sets what the server keeps with a document, if that still says `text`. Says whether it did.
    pub async fn set_document_detail(
        &self,
        bucket: &Bucket,
        kind: DocumentKind,
        name: &str,
        text: &[u8],
        detail: Bytes,
    ) -> Result<bool, Fault> {
        let _forget_when_dropped = self.inner.buckets.forget_when_dropped();
        let key = document_key(bucket.id(), kind, name);
        for _ in 0..CONFLICT_RETRIES_MAX {
            let Some(row) = self.get(&key).await? else {
                return Ok(false);
            };
            let mut record = DocumentRecord::decode(row.clone())?;
            if record.text != text {
                return Ok(false);
            }
            record.detail = detail.clone();
            let mut mutation = Mutation::new();
            mutation
                .require(Precondition::Equals(key.clone(), row))
                .put(Space::Records, key.clone(), record.encode());
            let time = self.inner.clock.tick();
            if let CommitOutcome::Committed { .. } = self.commit(mutation, time).await? {
                return Ok(true);
            }
        }
        Err(Fault::Unavailable(
            "too many concurrent changes of one document".to_owned(),
        ))
    }

    /// Sets a document of a bucket, or removes it with `None`; `name` is empty for kinds of which
    /// there is one. Readers see it at once, those of other processes after
    /// [`BUCKET_CACHED_FOR`](crate::bucket::BUCKET_CACHED_FOR).
    pub async fn put_document(
        &self,
        bucket: &Bucket,
        kind: DocumentKind,
        name: &str,
        new: Option<NewDocument>,
    ) -> Result<(), PutDocumentError> {
        let _forget_when_dropped = self.inner.buckets.forget_when_dropped();
        let bucket_row = bucket_key(&bucket.name);
        let key = document_key(bucket.id(), kind, name);
        for _ in 0..CONFLICT_RETRIES_MAX {
            let row = self.get(&bucket_row).await?;
            let row = row.ok_or(PutDocumentError::NoSuchBucket)?;
            let mut record = BucketRecord::decode(row.clone()).map_err(Fault::from)?;
            if record.id != bucket.id() {
                return Err(PutDocumentError::NoSuchBucket);
            }
            let before = self.get(&key).await?;
            if before.is_none() && new.is_none() {
                return Ok(());
            }
            if before.is_none() && !name.is_empty() {
                let documents = Documents::read(&*self.inner.engine, bucket.id()).await?;
                if documents.all(kind).count() >= NAMED_DOCUMENTS_MAX {
                    return Err(PutDocumentError::TooMany);
                }
            }
            // So that changes of one bucket, and its deletion, come one after the other.
            record.document_changes = record.document_changes.wrapping_add(1);
            let mut mutation = Mutation::new();
            mutation
                .require(Precondition::Equals(bucket_row.clone(), row))
                .put(Space::Records, bucket_row.clone(), record.encode());
            match &new {
                Some(new) => {
                    let document = new.record(self.inner.clock.now_ms());
                    mutation.put(Space::Records, key.clone(), document.encode());
                }
                None => {
                    mutation.delete(Space::Records, key.clone());
                }
            }
            let time = self.inner.clock.tick();
            if let CommitOutcome::Committed { .. } = self.commit(mutation, time).await? {
                return Ok(());
            }
        }
        Err(Fault::Unavailable("too many concurrent changes of one bucket".to_owned()).into())
    }
}
