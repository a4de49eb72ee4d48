//! Which objects a request was judged by. Only these may be given to the sender, or changed for it: one
//! that takes the place of such an object after the judgement may be somebody else's.

use std::sync::Arc;

use oncilla_store::object::GetObjectError;
use oncilla_store::rows::key::BucketId;
use oncilla_store::{Bucket, ObjectRecord, UniqueId, VersionId};
use oncilla_wire::error::S3Error;
use oncilla_wire::xml::acl::Acl;
use parking_lot::Mutex;

use crate::s3::errors;

/// An object as it was looked at, as far as judgements go by it.
#[derive(Debug)]
pub struct JudgedObject {
    id: UniqueId,
    /// Whose it is.
    pub owner: String,
    /// Its ACL.
    pub acl: Acl,
    /// Its tags; `None` if no policy asks for them.
    tags: Option<Vec<(String, String)>>,
}

impl JudgedObject {
    /// What is kept of a record; of its tags only if policies ask for them.
    pub fn new(record: ObjectRecord, with_tags: bool) -> Self {
        Self {
            id: record.id,
            owner: record.owner,
            acl: record.acl,
            tags: with_tags.then_some(record.tags),
        }
    }

    /// Its tags, if policies ask for them.
    pub fn tags(&self) -> &[(String, String)] {
        self.tags.as_deref().unwrap_or_default()
    }

    /// Whether a judgement by this object is one of the record too.
    pub fn is(&self, record: &ObjectRecord) -> bool {
        let tags = self.tags.as_ref();
        record.id == self.id && tags.is_none_or(|tags| *tags == record.tags)
    }
}

/// What was found under a key when it was looked at.
#[derive(Clone, Debug)]
pub enum Looked {
    /// This object.
    Found(Arc<JudgedObject>),
    /// None, for this reason.
    Absent(GetObjectError),
}

impl Looked {
    /// The object, if there was one.
    pub fn object(&self) -> Option<&JudgedObject> {
        match self {
            Self::Found(object) => Some(object),
            Self::Absent(_) => None,
        }
    }
}

/// What was looked at to judge a request. Every action on one key is judged by one look at it, so that
/// all of them are of the same object.
#[derive(Debug, Default)]
pub struct JudgedObjects(Mutex<Vec<JudgedKey>>);

#[derive(Debug)]
struct JudgedKey {
    bucket: BucketId,
    key: String,
    version: Option<VersionId>,
    looked: Looked,
}

impl JudgedKey {
    fn is_at(&self, bucket: &Bucket, key: &str, version: Option<VersionId>) -> bool {
        self.bucket == bucket.id() && self.version == version && self.key == key
    }
}

impl JudgedObjects {
    /// Notes what was found under a key.
    pub fn note(&self, bucket: &Bucket, key: &str, version: Option<VersionId>, looked: Looked) {
        self.0.lock().push(JudgedKey {
            bucket: bucket.id(),
            key: key.to_owned(),
            version,
            looked,
        });
    }

    /// What was found under a key; `None` if it was not looked at, because no judgement depends on it.
    pub fn at(&self, bucket: &Bucket, key: &str, version: Option<VersionId>) -> Option<Looked> {
        let judged = self.0.lock();
        let found = judged.iter().find(|each| each.is_at(bucket, key, version));
        found.map(|each| each.looked.clone())
    }

    /// Forgets what was found, because the request is judged anew.
    pub fn forget_all(&self) {
        self.0.lock().clear();
    }

    /// Forgets what was found under a key.
    pub fn forget(&self, bucket: &Bucket, key: &str, version: Option<VersionId>) {
        let mut judged = self.0.lock();
        judged.retain(|each| !each.is_at(bucket, key, version));
    }

    /// The object that has to be under a key; `None` if the judgement did not depend on it.
    pub fn id(&self, bucket: &Bucket, key: &str, version: Option<VersionId>) -> Option<UniqueId> {
        let looked = self.at(bucket, key, version)?;
        looked.object().map(|object| object.id)
    }

    /// Whether the judgement is one of what is under the key now. One that found nothing there is of
    /// no object.
    pub fn holds_for(
        &self,
        bucket: &Bucket,
        key: &str,
        version: Option<VersionId>,
        record: &ObjectRecord,
    ) -> bool {
        match self.at(bucket, key, version) {
            None => true,
            Some(looked) => looked.object().is_some_and(|object| object.is(record)),
        }
    }

    /// Refuses to give the sender another object than the one that was judged.
    ///
    /// # Errors
    /// `ServiceUnavailable`, which clients answer by asking again.
    pub fn check(
        &self,
        bucket: &Bucket,
        key: &str,
        version: Option<VersionId>,
        record: &ObjectRecord,
    ) -> Result<(), S3Error> {
        match self.holds_for(bucket, key, version, record) {
            true => Ok(()),
            false => Err(errors::replaced_while_judged()),
        }
    }
}
