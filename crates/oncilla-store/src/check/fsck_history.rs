//! fsck of the history: is every key's newest version where readers look for it, and is every
//! version found by its id?

use bytes::Bytes;
use oncilla_meta::Space;

use super::Finding;
use super::fsck::Fsck;
use crate::fault::Fault;
use crate::rows::history::{
    Past, all_history, all_null_versions, history_key, null_version_key, split_history_key,
    split_null_version_key,
};
use crate::rows::key::BucketId;
use crate::rows::object::object_key;
use crate::rows::version_id::{VersionId, decode_null_time};
use crate::walk::Rows;

impl Fsck<'_> {
    /// Every row of the history.
    pub(super) async fn history(&mut self) -> Result<(), Fault> {
        let mut rows = Rows::new(self.reader, all_history());
        let mut key_before: Option<(BucketId, Bytes)> = None;
        while let Some(row) = rows.next().await? {
            let (bucket, key, time) = split_history_key(&row.key)?;
            let past = Past::decode(row.value);
            match past {
                Ok(Past::DeleteMarker(_)) => self.summary.delete_markers += 1,
                Ok(Past::Object(_)) | Err(_) => self.summary.past_versions += 1,
            }
            let Some(name) = self.buckets.get(&bucket).cloned() else {
                let detail = format!("a version in the missing bucket with id {:016x}", bucket.0);
                self.find(Finding::damage(detail));
                continue;
            };
            let past = match past {
                Ok(past) => past,
                Err(error) => {
                    self.find(Finding::damage(error.to_string()).of_object(&name, &key));
                    continue;
                }
            };
            self.used.entry(bucket).or_default().add_past(past.size());
            let mut problems = Vec::new();
            if past.time() != time {
                problems.push("it is kept under another time than its own".to_owned());
            }
            let place = (bucket, key.clone());
            if key_before.as_ref() != Some(&place) {
                problems.extend(self.newest_problem(bucket, &key, &past).await?);
                key_before = Some(place);
            }
            if past.version_id() == VersionId::Null {
                problems.extend(self.null_problem(bucket, &key, time).await?);
            }
            if let Past::Object(record) = &past {
                problems.extend(self.object_problems(record).await?);
            }
            for problem in problems {
                let detail = format!("version {}: {problem}", past.version_id());
                self.find(Finding::damage(detail).of_object(&name, &key));
            }
        }
        Ok(())
    }

    /// What is wrong with the newest entry in the history of a key, next to its present.
    async fn newest_problem(
        &self,
        bucket: BucketId,
        key: &[u8],
        newest: &Past,
    ) -> Result<Option<String>, Fault> {
        let row_key = object_key(bucket, key);
        let present = self.reader.get(Space::Records, &row_key).await?;
        // A present that cannot be read is reported with the objects.
        let present = present.map(Past::decode).and_then(Result::ok);
        Ok(match (present, newest) {
            (Some(present), newest) if present.time() <= newest.time() => {
                Some("it is newer than what its key shows".to_owned())
            }
            (None, Past::Object(_)) => {
                Some("it is the newest of its key, which does not show it".to_owned())
            }
            (Some(_), _) | (None, Past::DeleteMarker(_)) => None,
        })
    }

    /// What is wrong with how a null version in the history is found.
    async fn null_problem(
        &self,
        bucket: BucketId,
        key: &[u8],
        time: u64,
    ) -> Result<Option<String>, Fault> {
        let row_key = null_version_key(bucket, key);
        let row = self.reader.get(Space::Records, &row_key).await?;
        if row.map(|row| decode_null_time(&row)) != Some(Ok(time)) {
            return Ok(Some("it is not found by its id".to_owned()));
        }
        let present = self
            .reader
            .get(Space::Records, &object_key(bucket, key))
            .await?;
        let present = present.map(VersionId::of_row).and_then(Result::ok);
        Ok((present == Some(VersionId::Null)).then(|| "its key has two of them".to_owned()))
    }

    /// Every row that says where a null version is.
    pub(super) async fn null_versions(&mut self) -> Result<(), Fault> {
        let mut rows = Rows::new(self.reader, all_null_versions());
        while let Some(row) = rows.next().await? {
            let (bucket, key) = split_null_version_key(&row.key)?;
            let named = match decode_null_time(&row.value) {
                Ok(time) => {
                    let row_key = history_key(bucket, &key, time);
                    self.reader.get(Space::Records, &row_key).await?
                }
                Err(_) => None,
            };
            // A row that cannot be read is reported with the history.
            if named.is_some() {
                continue;
            }
            let finding = Finding::leak("a null version is kept in mind that is gone");
            let name = self.buckets.get(&bucket).cloned().unwrap_or_default();
            self.find(finding.of_object(&name, &key));
        }
        Ok(())
    }
}
