//! Changes of what is kept beside an object's bytes: tags and access.

use oncilla_wire::event::EventKind;

use crate::bucket::Bucket;
use crate::object::GetObjectError;
use crate::rows::object::ObjectRecord;
use crate::rows::version_id::VersionId;
use crate::store::Store;

impl Store {
    /// Changes the record of an object by `change`, which may be called again if another change
    /// came first. `version` says of which version; `None` is the newest. Identity, bytes and
    /// modification time stay, and so do its locks, which have rules of their own
    /// ([`object_lock`](crate::object_lock)).
    pub async fn update_object(
        &self,
        bucket: &Bucket,
        key: &[u8],
        version: Option<VersionId>,
        change: impl Fn(&mut ObjectRecord),
    ) -> Result<ObjectRecord, GetObjectError> {
        self.update_object_and_tell(bucket, key, version, change, None)
            .await
    }

    /// As [`Store::update_object`]; the change is told as `kind`.
    pub async fn update_object_and_tell(
        &self,
        bucket: &Bucket,
        key: &[u8],
        version: Option<VersionId>,
        change: impl Fn(&mut ObjectRecord),
        kind: Option<EventKind>,
    ) -> Result<ObjectRecord, GetObjectError> {
        let keeping_locks = |record: &mut ObjectRecord| {
            let (retention, legal_hold) = (record.retention, record.legal_hold);
            change(record);
            record.retention = retention;
            record.legal_hold = legal_hold;
            Ok(())
        };
        self.change_object(bucket, key, version, keeping_locks, kind)
            .await
    }
}
