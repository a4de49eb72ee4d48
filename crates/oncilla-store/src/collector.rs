//! The collector: gives back what nothing refers to any more.
//!
//! Whoever drops a reference notes it in the same mutation. The collector waits a little (see
//! [`StoreOptions::collect_grace`](crate::StoreOptions)), looks whether other references remain,
//! and frees what nobody has pinned. Every step can be repeated, so a crash
//! between two of them loses nothing.
//!
//! What a crash leaves in volumes without any note (bytes of writes that were never committed) is
//! found by the *sweep*: once per volume of an earlier run, everything that no row refers to is
//! given back.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use oncilla_blob::{Extent, Released, VolumeId, WriteError};
use oncilla_meta::{CommitOutcome, Mutation, Precondition, Reader, Space, next_key};

use crate::fault::Fault;
use crate::rows::garbage::{Garbage, all_garbage};
use crate::rows::key::{BucketId, UniqueId};
use crate::rows::layout::{Layout, layout_key};
use crate::rows::part::{PartRecord, parts_after, split_part_key};
use crate::rows::reference::{
    decode_extent_reference, references_into_volume, references_to_extent, references_to_upload,
    volume_swept_key,
};
use crate::rows::rename_token::rename_tokens_of_bucket;
use crate::rows::upload::{split_upload_key, uploads_of_bucket};
use crate::store::{Store, is_empty, scan};
use crate::walk::Rows;

/// Notes remembered at a time; bounds the collector's memory to a few MiB. With the grace period
/// it also bounds its pace: this many per grace period.
const NOTES_MAX: usize = 65_536;

/// Rows handled in one mutation.
const ROWS_PER_STEP: usize = 1_000;

/// Operations after which a step is committed. A single part adds at most some hundreds to it, so
/// that no step comes near an engine's limit.
const OPERATIONS_PER_STEP: usize = 2_000;

/// Notes handled side by side, so that their steps share commits.
const NOTES_AT_ONCE: usize = 64;

/// Pause between rounds when there is nothing to do.
const IDLE_PAUSE: Duration = Duration::from_millis(500);

/// Figures of the collector since the store was opened.
#[derive(Debug, Default)]
pub struct CollectorState {
    freed_bytes: AtomicU64,
    freed_extents: AtomicU64,
    notes_waiting: AtomicU64,
    bytes_waiting: AtomicU64,
    failures: AtomicU64,
}

/// A reading of the collector's figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CollectorStats {
    /// Bytes given back.
    pub freed_bytes: u64,
    /// Extents given back.
    pub freed_extents: u64,
    /// Notes seen but not handled yet.
    pub notes_waiting: u64,
    /// Bytes in extents seen but not handled yet: the known garbage.
    pub bytes_waiting: u64,
    /// Rounds that ended with an error.
    pub failures: u64,
}

/// A note and when it was first seen.
struct Note {
    seen: Instant,
    key: Bytes,
    garbage: Garbage,
}

/// How handling a note ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Handled {
    Done,
    /// Somebody reads it: later.
    InUse,
}

impl Store {
    /// The collector's figures.
    pub fn collector_stats(&self) -> CollectorStats {
        let state = &self.inner.collector;
        CollectorStats {
            freed_bytes: state.freed_bytes.load(Ordering::Relaxed),
            freed_extents: state.freed_extents.load(Ordering::Relaxed),
            notes_waiting: state.notes_waiting.load(Ordering::Relaxed),
            bytes_waiting: state.bytes_waiting.load(Ordering::Relaxed),
            failures: state.failures.load(Ordering::Relaxed),
        }
    }

    /// Sweeps the volumes of earlier runs, then collects for as long as it is polled. Drop it to
    /// stop: every step can be repeated.
    pub async fn run_collector(&self) {
        if let Err(error) = self.sweep_volumes().await {
            self.inner
                .collector
                .failures
                .fetch_add(1, Ordering::Relaxed);
            tracing::error!(%error, "sweep of earlier volumes failed; it is tried again at the next start");
        }
        let mut notes = Notes::new();
        loop {
            match self.collect_round(&mut notes).await {
                Ok(true) => {}
                Ok(false) => tokio::time::sleep(IDLE_PAUSE).await,
                Err(error) => {
                    self.inner
                        .collector
                        .failures
                        .fetch_add(1, Ordering::Relaxed);
                    tracing::error!(%error, "collection failed; trying again");
                    tokio::time::sleep(IDLE_PAUSE).await;
                }
            }
        }
    }

    /// Notices new notes and handles those whose time has come. Says whether it is done with any.
    async fn collect_round(&self, notes: &mut Notes) -> Result<bool, Fault> {
        let state = &self.inner.collector;
        notes.notice(self).await?;
        state
            .notes_waiting
            .store(notes.waiting.len() as u64, Ordering::Relaxed);
        state
            .bytes_waiting
            .store(notes.waiting_bytes, Ordering::Relaxed);
        let due = notes.take_due(self.inner.options.collect_grace);
        if due.is_empty() {
            return Ok(false);
        }
        let outcomes = join_all(due.iter().map(|note| self.handle(&note.garbage))).await;
        let mut forget = Mutation::new();
        let mut touched = HashSet::new();
        let mut failure = None;
        for (note, outcome) in due.into_iter().zip(outcomes) {
            match outcome {
                Ok(Handled::Done) => {
                    forget.delete(Space::Records, note.key.clone());
                    notes.known.remove(&note.key);
                    if let Garbage::Extent(extent) = note.garbage {
                        touched.insert(extent.volume);
                    }
                }
                Ok(Handled::InUse) => notes.again(note),
                Err(error) => {
                    notes.again(note);
                    failure = Some(error);
                }
            }
        }
        // A release is not synced, so a loss of power may undo it: the volume has to be swept again.
        for volume in touched {
            forget.delete(Space::Records, volume_swept_key(volume));
        }
        // What is in use is no progress: looking at it again at once would keep a thread busy.
        let progress = !forget.is_empty();
        if progress {
            self.inner.engine.commit(forget).await?;
        }
        failure.map_or(Ok(progress), Err)
    }

    async fn handle(&self, garbage: &Garbage) -> Result<Handled, Fault> {
        match garbage {
            Garbage::Extent(extent) => self.free_extent(*extent).await,
            Garbage::Upload(upload) => self.free_upload(*upload).await,
            Garbage::UnusedParts(upload) => self.free_unused_parts(*upload).await,
            Garbage::BucketUploads(bucket) => self.abort_uploads(*bucket).await,
        }
    }

    /// Frees an extent that nobody refers to. New references only come from records that refer to
    /// it already, so once there is none there never will be.
    async fn free_extent(&self, extent: Extent) -> Result<Handled, Fault> {
        if !is_empty(
            &*self.inner.engine as &dyn Reader,
            references_to_extent(&extent),
        )
        .await?
        {
            return Ok(Handled::Done);
        }
        let released = match self.inner.volumes.release(extent).await {
            // Its header is damaged: it cannot be freed alone, but the next sweep of its volume
            // frees everything that nobody refers to.
            Err(error @ WriteError::NotThisExtent { .. }) => {
                tracing::error!(%error, "damaged extent left to the next sweep of its volume");
                return Ok(Handled::Done);
            }
            released => released?,
        };
        match released {
            Released::Done => {
                let state = &self.inner.collector;
                state
                    .freed_bytes
                    .fetch_add(extent.length, Ordering::Relaxed);
                state.freed_extents.fetch_add(1, Ordering::Relaxed);
                Ok(Handled::Done)
            }
            Released::Deferred => Ok(Handled::InUse),
        }
    }

    /// Frees the parts of an upload that no object refers to and that is not open.
    async fn free_upload(&self, upload: UniqueId) -> Result<Handled, Fault> {
        // Looked at before the references too: who writes an object's bytes again holds the parts by a pin
        // until a reference does, and readers take theirs before they look whether there is one.
        if self.inner.upload_pins.is_pinned(upload) {
            return Ok(Handled::InUse);
        }
        let engine: &dyn Reader = &*self.inner.engine;
        if !is_empty(engine, references_to_upload(upload)).await? {
            return Ok(Handled::Done);
        }
        if self.inner.upload_pins.is_pinned(upload) {
            return Ok(Handled::InUse);
        }
        self.free_parts(upload, &Layout::default(), None).await?;
        let mut mutation = Mutation::new();
        mutation.delete(Space::Records, layout_key(upload));
        self.inner.engine.commit(mutation).await?;
        Ok(Handled::Done)
    }

    /// Frees the parts that a completed upload's object does not have. Readers never see them.
    async fn free_unused_parts(&self, upload: UniqueId) -> Result<Handled, Fault> {
        // Without a layout the upload is gone altogether, and so are its parts.
        let Some(row) = self.get(&layout_key(upload)).await? else {
            return Ok(Handled::Done);
        };
        let layout = Layout::decode(row.clone())?;
        // A part that is appended meanwhile is in the next layout.
        let unchanged = Precondition::Equals(layout_key(upload), row);
        match self.free_parts(upload, &layout, Some(unchanged)).await? {
            true => Ok(Handled::Done),
            false => Ok(Handled::InUse),
        }
    }

    /// Frees the parts of an upload but for those in `keep`, in steps of bounded size: a part may
    /// have many extents, and a mutation only so many operations. Stops, and says false, when what
    /// it requires does not hold any more.
    async fn free_parts(
        &self,
        upload: UniqueId,
        keep: &Layout,
        require: Option<Precondition>,
    ) -> Result<bool, Fault> {
        let commit = async |mut mutation: Mutation| {
            mutation.preconditions.extend(require.clone());
            let outcome = self.inner.engine.commit(mutation).await?;
            Ok::<_, Fault>(matches!(outcome, CommitOutcome::Committed { .. }))
        };
        let mut mutation = Mutation::new();
        let mut rows = Rows::new(&*self.inner.engine, parts_after(upload, 0));
        while let Some(row) = rows.next().await? {
            let (_, number) = split_part_key(&row.key)?;
            if keep.part(number).is_some() {
                continue;
            }
            let part = PartRecord::decode(row.value)?;
            mutation.delete(Space::Records, row.key);
            self.drop_placement(&mut mutation, &part.placement, upload)?;
            let is_full = mutation.puts.len() + mutation.deletes.len() >= OPERATIONS_PER_STEP;
            if is_full && !commit(std::mem::take(&mut mutation)).await? {
                return Ok(false);
            }
        }
        Ok(mutation.is_empty() || commit(mutation).await?)
    }

    /// Aborts the uploads that were open when their bucket was deleted.
    async fn abort_uploads(&self, bucket: BucketId) -> Result<Handled, Fault> {
        let (start, end) = uploads_of_bucket(bucket);
        loop {
            let page = self
                .inner
                .engine
                .scan(scan(start.clone(), end.clone(), ROWS_PER_STEP))
                .await?;
            for row in page.rows {
                let (_, _, upload) = split_upload_key(&row.key)?;
                self.drop_upload(row.key, row.value, upload).await?;
            }
            if !page.more {
                break;
            }
        }
        self.forget_rename_tokens(bucket).await
    }

    /// Removes the tokens that renames in a deleted bucket came with.
    async fn forget_rename_tokens(&self, bucket: BucketId) -> Result<Handled, Fault> {
        let (start, end) = rename_tokens_of_bucket(bucket);
        loop {
            let page = scan(start.clone(), end.clone(), ROWS_PER_STEP);
            let page = self.inner.engine.scan(page).await?;
            let mut mutation = Mutation::new();
            for row in page.rows {
                mutation.delete(Space::Records, row.key);
            }
            if !mutation.is_empty() {
                self.inner.engine.commit(mutation).await?;
            }
            if !page.more {
                return Ok(Handled::Done);
            }
        }
    }

    /// Gives back what crashes left in the volumes of earlier runs.
    pub async fn sweep_volumes(&self) -> Result<(), Fault> {
        let volumes = self.inner.volumes.clone();
        let infos = tokio::task::spawn_blocking(move || volumes.volumes()).await;
        let infos = infos.map_err(std::io::Error::other).and_then(|infos| infos);
        let infos =
            infos.map_err(|error| Fault::Failed(format!("cannot list volumes: {error}")))?;
        for volume in infos.into_iter().filter(|info| info.earlier_run) {
            if self.get(&volume_swept_key(volume.id)).await?.is_none() {
                self.sweep_volume(volume.id).await?;
            }
        }
        Ok(())
    }

    async fn sweep_volume(&self, volume: VolumeId) -> Result<(), Fault> {
        // No reference into a volume of an earlier run can appear but to what is referred to now.
        let mut live: Vec<Extent> = Vec::new();
        let mut rows = Rows::new(&*self.inner.engine, references_into_volume(volume));
        while let Some(row) = rows.next().await? {
            let (extent, _) = decode_extent_reference(&row.key, &row.value)?;
            if live.last() != Some(&extent) {
                live.push(extent);
            }
        }
        let freed = self.inner.volumes.collect(volume, live).await?;
        self.inner
            .collector
            .freed_bytes
            .fetch_add(freed, Ordering::Relaxed);
        tracing::info!(%volume, freed_bytes = freed, "volume of an earlier run swept");
        let mut mutation = Mutation::new();
        mutation.put(Space::Records, volume_swept_key(volume), Bytes::new());
        self.inner.engine.commit(mutation).await?;
        Ok(())
    }
}

/// The notes seen so far that are not handled yet.
struct Notes {
    /// In the order they were seen.
    waiting: VecDeque<Note>,
    /// Bytes of extents among them.
    waiting_bytes: u64,
    /// Their keys.
    known: HashSet<Bytes>,
    /// Where the next look begins.
    scan_from: Bytes,
    /// When the last look from the beginning began.
    last_full_look: Instant,
}

impl Notes {
    fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            known: HashSet::new(),
            scan_from: all_garbage().0,
            last_full_look: Instant::now(),
        }
    }

    /// Looks for notes not seen yet. They are keyed by time, but one of an earlier time may be
    /// committed later, so every now and then the look begins at the beginning.
    async fn notice(&mut self, store: &Store) -> Result<(), Fault> {
        let room = NOTES_MAX.saturating_sub(self.waiting.len());
        if room == 0 {
            return Ok(());
        }
        let end = all_garbage().1;
        let page = scan(self.scan_from.clone(), end, room.min(ROWS_PER_STEP));
        let page = store.inner.engine.scan(page).await?;
        let seen = Instant::now();
        for row in page.rows {
            self.scan_from = next_key(&row.key);
            if self.known.insert(row.key.clone()) {
                let garbage = Garbage::decode(row.value)?;
                self.push(Note {
                    seen,
                    key: row.key,
                    garbage,
                });
            }
        }
        if !page.more && self.last_full_look.elapsed() > store.inner.options.collect_grace {
            self.scan_from = all_garbage().0;
            self.last_full_look = Instant::now();
        }
        Ok(())
    }

    fn push(&mut self, note: Note) {
        self.waiting_bytes += note.bytes();
        self.waiting.push_back(note);
    }

    /// Puts a note back that could not be handled.
    fn again(&mut self, note: Note) {
        self.push(Note {
            seen: Instant::now(),
            ..note
        });
    }

    /// Takes notes that were seen at least `grace` ago.
    fn take_due(&mut self, grace: Duration) -> Vec<Note> {
        let due = self
            .waiting
            .iter()
            .take(NOTES_AT_ONCE)
            .take_while(|note| note.seen.elapsed() >= grace);
        let count = due.count();
        let due: Vec<Note> = self.waiting.drain(..count).collect();
        self.waiting_bytes -= due.iter().map(Note::bytes).sum::<u64>();
        due
    }
}

impl Note {
    fn bytes(&self) -> u64 {
        match self.garbage {
            Garbage::Extent(extent) => extent.length,
            Garbage::Upload(_) | Garbage::UnusedParts(_) | Garbage::BucketUploads(_) => 0,
        }
    }
}
