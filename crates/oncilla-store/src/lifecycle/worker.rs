//! The worker: walks over the buckets that have lifecycle rules and does what is due.
//!
//! A *pass* over a bucket goes through its keys in order, all versions of a key from the newest to
//! the oldest, then through its open uploads. It remembers the last key that it is done with, in the
//! engine, so that it goes on there after a restart; everything in it can be repeated. What it sees
//! makes candidates only: each is judged again when it is committed (`expiry`).
//!
//! Days end at midnight UTC, so a bucket is passed over once after each midnight, and after each
//! change of its configuration. Memory is bounded by a step: some hundred rows. Between steps the
//! worker rests as long as the step took, so that it never takes more than half of what there is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use oncilla_meta::{Mutation, Space};
use oncilla_wire::conditions::Conditions;

use crate::bucket::{Bucket, BucketError};
use crate::events::Origin;
use crate::fault::Fault;
use crate::history::Merge;
use crate::lifecycle::calendar::Calendar;
use crate::lifecycle::expiry::{Expiry, Superseded, written_ms};
use crate::lifecycle::rules::LifecycleRules;
use crate::list::{After, Entry, ListQuery};
use crate::multipart::UploadError;
use crate::object::DeleteObjectError;
use crate::object_lock::LockOverride;
use crate::rows::bucket::{bucket_name_key, bucket_of_name_row};
use crate::rows::codec::UnknownFields;
use crate::rows::document::{DocumentKind, all_documents, split_document_key};
use crate::rows::history::Past;
use crate::rows::key::{BucketId, UniqueId};
use crate::rows::lifecycle::{LifecycleProgress, lifecycle_key};
use crate::rows::version_id::VersionId;
use crate::store::Store;
use crate::walk::Rows;

/// Rows looked at in a step: a few hundred KiB at a time.
const STEP_ROWS: usize = 512;

/// Candidates handled side by side, so that they share commits.
const ACTIONS_AT_ONCE: usize = 32;

/// How often progress is written down: what a restart repeats at most is that much looking.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// Shortest rest between two steps.
const REST_MIN: Duration = Duration::from_millis(1);

/// How the worker works.
#[derive(Clone, Copy, Debug)]
pub struct LifecycleOptions {
    /// How days are counted.
    pub calendar: Calendar,
    /// How long it rests after it has looked at all buckets. With real days, a look that finds no bucket
    /// due costs a read per bucket with rules.
    pub interval: Duration,
}

impl Default for LifecycleOptions {
    fn default() -> Self {
        Self {
            calendar: Calendar::REAL,
            interval: Duration::from_secs(600),
        }
    }
}

/// Figures of the worker since the store was opened.
#[derive(Debug, Default)]
pub struct LifecycleState {
    expired_objects: AtomicU64,
    expired_versions: AtomicU64,
    expired_markers: AtomicU64,
    aborted_uploads: AtomicU64,
    transitions: AtomicU64,
    expired_bytes: AtomicU64,
    transitioned_bytes: AtomicU64,
    rows: AtomicU64,
    passes: AtomicU64,
    failures: AtomicU64,
    last_pass_ms: AtomicU64,
    lag_ms: AtomicU64,
}

/// A reading of the worker's figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LifecycleStats {
    /// Current versions that expired.
    pub expired_objects: u64,
    /// Noncurrent versions that were deleted.
    pub expired_versions: u64,
    /// Delete markers that stood alone and were deleted.
    pub expired_markers: u64,
    /// Uploads that were aborted.
    pub aborted_uploads: u64,
    /// Versions that were moved to another class.
    pub transitions: u64,
    /// Bytes of the versions that were deleted for good.
    pub expired_bytes: u64,
    /// Bytes of the versions that were moved.
    pub transitioned_bytes: u64,
    /// Rows looked at.
    pub rows: u64,
    /// Passes over a bucket that reached its end.
    pub passes: u64,
    /// Actions and looks that ended with an error.
    pub failures: u64,
    /// When the last pass over a bucket ended, in Unix milliseconds; 0 before.
    pub last_pass_ms: u64,
    /// How long the bucket has been waiting for its pass that has been longest, in milliseconds.
    pub lag_ms: u64,
}

/// Something that seems to be due.
#[derive(Clone, Debug)]
struct Candidate {
    key: Bytes,
    action: Action,
}

#[derive(Clone, Copy, Debug)]
enum Action {
    /// The current version expires.
    ExpireCurrent,
    /// A noncurrent version, or a delete marker that stands alone, is deleted.
    DeleteVersion(VersionId),
    /// A version goes to another class.
    Move(VersionId),
    /// An upload is aborted.
    Abort(UniqueId),
}

/// Where a pass is within a key.
#[derive(Clone, Debug)]
struct WithinKey {
    key: Bytes,
    /// Time of the last row, by which the next one is found.
    time: u64,
    /// When the last row superseded the next one, and how many noncurrent objects have been passed.
    superseded: Superseded,
    /// The key's newest version, if that is a delete marker that may stand alone: no other row of
    /// the key was seen yet.
    alone: Option<VersionId>,
}

impl Store {
    /// The worker's figures.
    pub fn lifecycle_stats(&self) -> LifecycleStats {
        let state = &self.inner.lifecycle;
        let read = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        LifecycleStats {
            expired_objects: read(&state.expired_objects),
            expired_versions: read(&state.expired_versions),
            expired_markers: read(&state.expired_markers),
            aborted_uploads: read(&state.aborted_uploads),
            transitions: read(&state.transitions),
            expired_bytes: read(&state.expired_bytes),
            transitioned_bytes: read(&state.transitioned_bytes),
            rows: read(&state.rows),
            passes: read(&state.passes),
            failures: read(&state.failures),
            last_pass_ms: read(&state.last_pass_ms),
            lag_ms: read(&state.lag_ms),
        }
    }

    /// Does what lifecycle rules say for as long as it is polled. Drop it to stop: every step can be
    /// repeated.
    pub async fn run_lifecycle(&self, options: LifecycleOptions) {
        loop {
            if let Err(error) = self.lifecycle_round(options.calendar).await {
                count(&self.inner.lifecycle.failures, 1);
                tracing::error!(%error, "lifecycle round failed; trying again");
            }
            tokio::time::sleep(options.interval).await;
        }
    }

    /// Passes over every bucket whose rules have something to do since its last pass.
    pub async fn lifecycle_round(&self, calendar: Calendar) -> Result<(), Fault> {
        let store = self.acting_for(Origin::lifecycle());
        let mut lag_ms = 0;
        let mut rows = Rows::new(&*self.inner.engine, all_documents());
        while let Some(row) = rows.next().await? {
            let (bucket, kind, _) = split_document_key(&row.key)?;
            if kind != Some(DocumentKind::Lifecycle) {
                continue;
            }
            // One bucket whose data is damaged must not keep the others from their turn.
            match store.lifecycle_turn(bucket, calendar).await {
                Ok(waited_ms) => lag_ms = waited_ms.max(lag_ms),
                Err(error) => {
                    count(&self.inner.lifecycle.failures, 1);
                    tracing::error!(bucket = bucket.0, %error, "lifecycle pass failed");
                }
            }
        }
        self.inner.lifecycle.lag_ms.store(lag_ms, Ordering::Relaxed);
        Ok(())
    }

    /// Passes over a bucket if it is time; says how long it had been waiting.
    async fn lifecycle_turn(&self, id: BucketId, calendar: Calendar) -> Result<u64, Fault> {
        let Some(bucket) = self.named_bucket(id).await? else {
            return Ok(0);
        };
        let row = self.get(&lifecycle_key(id)).await?;
        let before = row.map(LifecycleProgress::decode).transpose()?;
        let now_ms = self.inner.clock.now_ms();
        let changes = bucket.record.document_changes;
        let same_rules = before
            .as_ref()
            .filter(|before| before.document_changes == changes);
        let progress = match same_rules {
            Some(done) if done.done => {
                if calendar.is_real() && done.began_ms >= calendar.last_midnight_ms(now_ms) {
                    return Ok(0);
                }
                None
            }
            // Begun before a restart, or ended by an error.
            Some(begun) => Some(begun.clone()),
            None => None,
        };
        let document = bucket.documents.get(DocumentKind::Lifecycle);
        let set_ms = document.map_or(now_ms, |document| document.set_ms());
        let due_since_ms = match progress.is_none() && same_rules.is_some() {
            true => calendar.last_midnight_ms(now_ms).max(set_ms),
            false => set_ms.max(before.as_ref().map_or(0, |before| before.began_ms)),
        };
        let progress = progress.unwrap_or(LifecycleProgress {
            began_ms: now_ms,
            document_changes: changes,
            after_key: None,
            done: false,
            unknown: UnknownFields::default(),
        });
        self.lifecycle_pass(&bucket.name, id, calendar, progress)
            .await?;
        Ok(now_ms.saturating_sub(due_since_ms))
    }

    /// The bucket with this identity, if it is still there.
    async fn named_bucket(&self, id: BucketId) -> Result<Option<std::sync::Arc<Bucket>>, Fault> {
        let Some(value) = self.get(&bucket_name_key(id)).await? else {
            return Ok(None);
        };
        let name = bucket_of_name_row(&value)?;
        self.bucket_with_rules(&name, id).await
    }

    async fn bucket_with_rules(
        &self,
        name: &str,
        id: BucketId,
    ) -> Result<Option<std::sync::Arc<Bucket>>, Fault> {
        match self.bucket(name).await {
            Ok(bucket) => Ok(Some(bucket).filter(|bucket| bucket.id() == id)),
            Err(BucketError::NoSuchBucket) => Ok(None),
            Err(BucketError::Fault(fault)) => Err(fault),
        }
    }

    async fn lifecycle_pass(
        &self,
        name: &str,
        id: BucketId,
        calendar: Calendar,
        mut progress: LifecycleProgress,
    ) -> Result<(), Fault> {
        let began = Instant::now();
        let before = self.lifecycle_stats();
        let mut written = Instant::now();
        let mut within: Option<WithinKey> = None;
        let mut all_went_well = true;
        let mut walks_versions = true;
        let mut uploads_after = None;
        loop {
            let step_began = Instant::now();
            // Rules that change meanwhile count from the next step on.
            let Some(bucket) = self.bucket_with_rules(name, id).await? else {
                return Ok(());
            };
            let Some(rules) = LifecycleRules::of_bucket(&bucket)? else {
                return Ok(());
            };
            let expiry = Expiry {
                rules,
                calendar,
                now_ms: self.inner.clock.now_ms(),
            };
            let is_end = if walks_versions {
                let (candidates, is_end) = self
                    .look_at_versions(&bucket, &expiry, &mut progress, &mut within)
                    .await?;
                all_went_well &= self.act(&bucket, &expiry, candidates).await;
                walks_versions = !is_end;
                false
            } else {
                let (candidates, is_end) = self
                    .look_at_uploads(&bucket, &expiry, &mut uploads_after)
                    .await?;
                all_went_well &= self.act(&bucket, &expiry, candidates).await;
                is_end
            };
            if is_end {
                break;
            }
            if written.elapsed() >= PROGRESS_INTERVAL {
                self.write_progress(id, &progress).await?;
                written = Instant::now();
            }
            tokio::time::sleep(step_began.elapsed().max(REST_MIN)).await;
        }
        // After a failure the bucket is passed over again.
        progress.done = all_went_well;
        progress.after_key = None;
        self.write_progress(id, &progress).await?;
        let state = &self.inner.lifecycle;
        count(&state.passes, 1);
        let now_ms = self.inner.clock.now_ms();
        state.last_pass_ms.store(now_ms, Ordering::Relaxed);
        let after = self.lifecycle_stats();
        tracing::info!(
            bucket = name,
            rows = after.rows - before.rows,
            expired_objects = after.expired_objects - before.expired_objects,
            expired_versions = after.expired_versions - before.expired_versions,
            expired_markers = after.expired_markers - before.expired_markers,
            aborted_uploads = after.aborted_uploads - before.aborted_uploads,
            transitions = after.transitions - before.transitions,
            took_ms = began.elapsed().as_millis() as u64,
            complete = all_went_well,
            "lifecycle pass ended"
        );
        Ok(())
    }

    async fn write_progress(
        &self,
        bucket: BucketId,
        progress: &LifecycleProgress,
    ) -> Result<(), Fault> {
        let mut mutation = Mutation::new();
        // Nothing is left of a bucket that was deleted.
        mutation
            .require(oncilla_meta::Precondition::Present(bucket_name_key(bucket)))
            .put(Space::Records, lifecycle_key(bucket), progress.encode());
        self.inner.engine.commit(mutation).await?;
        Ok(())
    }

    /// Looks at the next rows of a bucket; says what seems due, and whether that was the end.
    async fn look_at_versions(
        &self,
        bucket: &Bucket,
        expiry: &Expiry,
        progress: &mut LifecycleProgress,
        within: &mut Option<WithinKey>,
    ) -> Result<(Vec<Candidate>, bool), Fault> {
        let mut candidates = Vec::new();
        if !expiry.rules.is_about(false) {
            return Ok((candidates, true));
        }
        let snapshot = self.inner.engine.snapshot();
        let mut looked = 0;
        for prefix in expiry.rules.prefixes() {
            let after = match within.as_ref() {
                Some(within) => Some((&within.key[..], Some(within.time))),
                None => progress.after_key.as_deref().map(|key| (key, None)),
            };
            // All keys with the prefix lie before what is done.
            if after.is_some_and(|(key, _)| key > prefix && !key.starts_with(prefix)) {
                continue;
            }
            let after = after.map(|(key, time)| (Bytes::copy_from_slice(key), time));
            let after = after.as_ref().map(|(key, time)| (&key[..], *time));
            let mut rows = Merge::rows(&*snapshot, bucket.id(), prefix, after);
            while let Some((key, row, is_present)) = rows.next_row().await? {
                if within.as_ref().is_some_and(|within| within.key != key) {
                    leave_key(within, progress, expiry, &mut candidates);
                }
                let version = Past::decode(row.value)?;
                look_at_version(
                    expiry,
                    bucket,
                    key,
                    version,
                    is_present,
                    within,
                    &mut candidates,
                );
                looked += 1;
                if looked == STEP_ROWS {
                    count(&self.inner.lifecycle.rows, looked as u64);
                    return Ok((candidates, false));
                }
            }
            leave_key(within, progress, expiry, &mut candidates);
        }
        count(&self.inner.lifecycle.rows, looked as u64);
        Ok((candidates, true))
    }

    async fn look_at_uploads(
        &self,
        bucket: &Bucket,
        expiry: &Expiry,
        after: &mut Option<(Bytes, UniqueId)>,
    ) -> Result<(Vec<Candidate>, bool), Fault> {
        let mut candidates = Vec::new();
        if !expiry.rules.is_about(true) {
            return Ok((candidates, true));
        }
        let query = ListQuery {
            limit: STEP_ROWS,
            after: match after.as_ref() {
                Some((key, _)) => After::Key(key.clone()),
                None => After::Nothing,
            },
            ..ListQuery::default()
        };
        let behind = after.as_ref().map(|(_, upload)| *upload);
        let page = self.list_uploads(bucket, &query, behind).await?;
        count(&self.inner.lifecycle.rows, page.entries.len() as u64);
        for entry in &page.entries {
            let Entry::Item(key, upload) = entry else {
                continue;
            };
            *after = Some((key.clone(), upload.id));
            let started_ms = upload.record.started_ms;
            let due = expiry.rules.abort(key, started_ms, expiry.calendar);
            if due.is_some_and(|due| due.at_ms <= expiry.now_ms) {
                candidates.push(Candidate {
                    key: key.clone(),
                    action: Action::Abort(upload.id),
                });
            }
        }
        Ok((candidates, !page.truncated))
    }

    /// Does what the candidates say, as far as it is due; says whether all went well. Those of one key
    /// come one after the other, the oldest version first: so what makes a version due is there still
    /// when its turn comes.
    async fn act(&self, bucket: &Bucket, expiry: &Expiry, candidates: Vec<Candidate>) -> bool {
        let mut of_keys: Vec<Vec<Candidate>> = Vec::new();
        for candidate in candidates {
            match of_keys.last_mut() {
                Some(of_key) if of_key[0].key == candidate.key => of_key.push(candidate),
                _ => of_keys.push(vec![candidate]),
            }
        }
        let actions: Vec<_> = of_keys
            .into_iter()
            .map(|of_key| self.act_on_key(bucket, expiry, of_key))
            .collect();
        let outcomes = stream::iter(actions).buffer_unordered(ACTIONS_AT_ONCE);
        let outcomes: Vec<u64> = outcomes.collect().await;
        let failed = outcomes.iter().sum();
        count(&self.inner.lifecycle.failures, failed);
        failed == 0
    }

    /// Says how many of the actions failed.
    async fn act_on_key(&self, bucket: &Bucket, expiry: &Expiry, of_key: Vec<Candidate>) -> u64 {
        let mut failed = 0;
        for candidate in of_key.iter().rev() {
            if let Err(error) = self.act_on(bucket, expiry, candidate).await {
                let key = String::from_utf8_lossy(&candidate.key).into_owned();
                tracing::warn!(bucket = bucket.name, key, %error, "lifecycle action failed");
                failed += 1;
            }
        }
        failed
    }

    async fn act_on(
        &self,
        bucket: &Bucket,
        expiry: &Expiry,
        candidate: &Candidate,
    ) -> Result<(), Fault> {
        let state = &self.inner.lifecycle;
        let key = &candidate.key[..];
        let unconditional = Conditions::default();
        match candidate.action {
            Action::ExpireCurrent => {
                let expires = |record: Option<&crate::ObjectRecord>| {
                    record.is_some_and(|record| expiry.current_expires(key, record))
                };
                let deleted = self.delete_object_if(bucket, key, &unconditional, expires);
                if let Some(deleted) = self.unless_kept(deleted.await)? {
                    count(&state.expired_objects, 1);
                    let freed = deleted.record.filter(|_| !deleted.delete_marker);
                    count(&state.expired_bytes, freed.map_or(0, |record| record.size));
                }
            }
            Action::DeleteVersion(version) => {
                // Lifecycle overrides no lock.
                let nothing = LockOverride::Nothing;
                let deleted = self.delete_version_if(
                    bucket,
                    key,
                    version,
                    &unconditional,
                    nothing,
                    Some(expiry),
                );
                match self.unless_kept(deleted.await)? {
                    Some(deleted) if deleted.delete_marker => count(&state.expired_markers, 1),
                    Some(deleted) => {
                        count(&state.expired_versions, 1);
                        let size = deleted.record.map_or(0, |record| record.size);
                        count(&state.expired_bytes, size);
                    }
                    None => {}
                }
            }
            Action::Move(version) => {
                let moved = self
                    .transition_version(bucket, key, version, expiry)
                    .await?;
                if let Some(moved) = moved {
                    count(&state.transitions, 1);
                    count(&state.transitioned_bytes, moved.size);
                    tracing::debug!(bucket = bucket.name, class = moved.class.as_str(), "moved");
                }
            }
            Action::Abort(upload) => match self.abort_upload(bucket, key, upload).await {
                Ok(()) => count(&state.aborted_uploads, 1),
                // Completed or aborted meanwhile.
                Err(UploadError::NoSuchUpload) => {}
                Err(UploadError::Fault(fault)) => return Err(fault),
            },
        }
        Ok(())
    }

    /// What a deletion came to. One that the bucket or the version does not allow is none.
    fn unless_kept<T>(
        &self,
        deleted: Result<Option<T>, DeleteObjectError>,
    ) -> Result<Option<T>, Fault> {
        match deleted {
            Ok(deleted) => Ok(deleted),
            Err(
                DeleteObjectError::NoSuchBucket
                | DeleteObjectError::Condition(_)
                | DeleteObjectError::Locked(_),
            ) => Ok(None),
            Err(DeleteObjectError::Fault(fault)) => Err(fault),
        }
    }
}

/// Looks at one version of a key; the newest comes first.
fn look_at_version(
    expiry: &Expiry,
    bucket: &Bucket,
    key: Bytes,
    version: Past,
    is_present: bool,
    within: &mut Option<WithinKey>,
    candidates: &mut Vec<Candidate>,
) {
    let mut seems_due = |action| {
        candidates.push(Candidate {
            key: key.clone(),
            action,
        });
    };
    let is_object = matches!(version, Past::Object(_));
    let mut newer_versions = 0;
    let mut alone = None;
    match within.take() {
        None => match &version {
            Past::Object(record) => {
                let expires = expiry.current_expires(&key, record);
                // Where expiring means to delete for good, there is no sense in moving before.
                let moves = !expires || bucket.keeps_history();
                // In reverse: what is hidden by a delete marker is moved before.
                if expires && is_present {
                    seems_due(Action::ExpireCurrent);
                }
                if moves && expiry.current_moves(&key, record).is_some() {
                    seems_due(Action::Move(version.version_id()));
                }
            }
            Past::DeleteMarker(_) => alone = Some(version.version_id()),
        },
        Some(before) => {
            let superseded = &before.superseded;
            newer_versions = superseded.newer_versions + u64::from(is_object);
            if expiry.noncurrent_expires(&key, &version, superseded) {
                seems_due(Action::DeleteVersion(version.version_id()));
            } else if let Past::Object(record) = &version
                && expiry.noncurrent_moves(&key, record, superseded).is_some()
            {
                seems_due(Action::Move(version.version_id()));
            }
        }
    }
    *within = Some(WithinKey {
        superseded: Superseded {
            since_ms: written_ms(&version),
            newer_versions,
        },
        time: version.time(),
        alone,
        key,
    });
}

/// All versions of a key were looked at.
fn leave_key(
    within: &mut Option<WithinKey>,
    progress: &mut LifecycleProgress,
    expiry: &Expiry,
    candidates: &mut Vec<Candidate>,
) {
    let Some(left) = within.take() else {
        return;
    };
    if let Some(marker) = left.alone
        && expiry.marker_expires(&left.key, left.superseded.since_ms)
    {
        candidates.push(Candidate {
            key: left.key.clone(),
            action: Action::DeleteVersion(marker),
        });
    }
    progress.after_key = Some(left.key);
}

fn count(figure: &AtomicU64, amount: u64) {
    figure.fetch_add(amount, Ordering::Relaxed);
}
