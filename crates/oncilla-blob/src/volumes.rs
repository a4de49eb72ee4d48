//! The door: opening, and what is done to whole extents and volumes.

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;

use parking_lot::Mutex;

use crate::allocator::Allocator;
use crate::error::{OpenError, ReadError, WriteError};
use crate::extent::{Extent, VolumeId};
use crate::format::{FORMAT_VERSION, VOLUME_HEADER_BYTES, VolumeHeader, region_bytes};
use crate::fs::{FileSystem, read_full_at};
use crate::groups;
use crate::handles::HandleCache;
use crate::options::{GroupId, VolumeGroup, VolumeOptions};
use crate::pins::{Pins, ReleaseStart};
use crate::reader::ExtentReader;
use crate::shared::{Shared, VolumeTable};
use crate::stats::{Counters, VolumeStats};
use crate::threads::{SpaceMessage, SyncMessage, start_space_thread, start_sync_thread};
use crate::writer::{ExtentWriter, Region};

/// The volumes of one directory. Clones are cheap and share everything.
///
/// Only one process may open a directory at a time; the caller holds the lock of the data
/// directory. Asynchronous methods need a tokio runtime, because they use its blocking threads.
#[derive(Clone, Debug)]
pub struct Volumes {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub shared: Arc<Shared>,
    pub allocator: Allocator,
    pub sync: Sender<SyncMessage>,
    pub space: Sender<SpaceMessage>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What became of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    /// The space is given back.
    Done,
    /// Somebody reads the extent; its space is given back when the last of them ends. If the
    /// program ends before that, the release has to be asked for again: keep it on record until
    /// the answer is `Done`.
    Deferred,
}

/// A volume file, for operators and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VolumeInfo {
    /// Its number.
    pub id: VolumeId,
    /// It takes no further extents.
    pub sealed: bool,
    /// It was written by an earlier run, so it may be given to [`Volumes::collect`].
    pub earlier_run: bool,
    /// Its header is there and matches its checksum. Extents do not depend on it.
    pub header_intact: bool,
    /// Where the file ends, in bytes.
    pub end_offset_bytes: u64,
    /// Bytes that occupy the device.
    pub allocated_bytes: u64,
}

/// Keeps an extent from being released while it is alive. Readers hold one of their own.
#[derive(Debug)]
pub struct Pin {
    inner: Arc<Inner>,
    extent: Extent,
    in_time: bool,
}

impl Pin {
    pub(crate) fn new(inner: &Arc<Inner>, extent: Extent) -> Pin {
        let in_time = inner.shared.pins.pin(extent);
        Pin {
            inner: Arc::clone(inner),
            extent,
            in_time,
        }
    }

    /// The extent that is pinned.
    #[must_use]
    pub fn extent(&self) -> Extent {
        self.extent
    }

    /// Whether the pin protects. If it does not, the extent was being released when the pin was
    /// taken, and has to be regarded as gone.
    #[must_use]
    pub fn is_in_time(&self) -> bool {
        self.in_time
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        if !self.inner.shared.pins.unpin(self.extent) {
            return;
        }
        if self
            .inner
            .space
            .send(SpaceMessage::Release(self.extent))
            .is_err()
        {
            // After shutdown. The caller was told `Deferred` and asks again after a restart.
            self.inner.shared.pins.end_release(self.extent);
        }
    }
}

impl Volumes {
    /// Opens the volumes in `dir`, creating it if it is missing. Blocks.
    ///
    /// No volume is created or written yet: the first extent begins a new one, numbered above all
    /// that exist. Volumes in which nothing is left are deleted in the background.
    pub fn open(
        fs: Arc<dyn FileSystem>,
        dir: PathBuf,
        options: VolumeOptions,
    ) -> Result<Volumes, OpenError> {
        Self::open_with_groups(fs, dir, options, Vec::new())
    }

    /// As [`Volumes::open`], with further directories for some of the volumes. Volumes in directories
    /// that are not named any more are found all the same.
    pub fn open_with_groups(
        fs: Arc<dyn FileSystem>,
        dir: PathBuf,
        options: VolumeOptions,
        groups: Vec<VolumeGroup>,
    ) -> Result<Volumes, OpenError> {
        options.check()?;
        fs.create_dir_all(&dir)?;
        groups::open(&*fs, &dir, &groups)?;
        let ids = list_volumes(&*fs, &dir)?;
        let newest = ids.last().copied();
        if let Some(newest) = newest {
            refuse_newer_format(&*fs, &dir, newest)?;
        }
        // What an earlier run created may not have reached the device; the newest must have, for
        // its number not to be given again.
        fs.sync_dir(&dir)?;
        let first_own = match newest {
            None => VolumeId(1),
            Some(newest) => VolumeId(
                newest
                    .0
                    .checked_add(1)
                    .ok_or(OpenError::NumbersExhausted(newest))?,
            ),
        };
        let shared = Arc::new(Shared {
            fs,
            dir,
            groups,
            options,
            first_own,
            counters: Counters::default(),
            handles: HandleCache::default(),
            pins: Pins::default(),
            table: Mutex::new(VolumeTable {
                newest,
                ..VolumeTable::default()
            }),
            warned_punch_unsupported: AtomicBool::new(false),
        });
        let (sync, sync_thread) = start_sync_thread(Arc::clone(&shared))?;
        let (space, space_thread) = start_space_thread(Arc::clone(&shared))?;
        let _ = space.send(SpaceMessage::DeleteIfEmpty(ids));
        let threads = Mutex::new(vec![sync_thread, space_thread]);
        let allocator = Allocator::new(first_own);
        Ok(Volumes {
            inner: Arc::new(Inner {
                shared,
                allocator,
                sync,
                space,
                threads,
            }),
        })
    }

    /// The group of this name.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<GroupId> {
        let groups = &self.inner.shared.groups;
        let index = groups.iter().position(|group| group.name == name)?;
        Some(GroupId(index + 1))
    }

    /// As [`Volumes::begin_in`] the directory of the volumes itself.
    pub async fn begin(&self, length: u64) -> Result<ExtentWriter, WriteError> {
        self.begin_in(GroupId::DEFAULT, length).await
    }

    /// Takes the place for `length` bytes of payload in a group. Space on the device is reserved as the bytes
    /// come, some way ahead of them: a device that is full already shows here.
    ///
    /// # Errors
    /// `TooLong` above the limit of the options, `NoSpace`, `Closed` after shutdown, `Io`.
    pub async fn begin_in(&self, group: GroupId, length: u64) -> Result<ExtentWriter, WriteError> {
        let shared = &self.inner.shared;
        let limit = shared.options.extent_bytes_max;
        if length > limit {
            return Err(WriteError::TooLong { length, limit });
        }
        let inner = Arc::clone(&self.inner);
        let bytes = region_bytes(length, shared.options.frame_bytes);
        let region = blocking(move || {
            let place = inner.allocator.place(&inner.shared, group, bytes)?;
            if !place.deletion_candidates.is_empty() {
                let candidates = place.deletion_candidates.into_iter().collect();
                let _ = inner.space.send(SpaceMessage::DeleteIfEmpty(candidates));
            }
            // From here on the region abandons itself, also if the reservation fails half-way.
            let region = Region::new(&inner, place.volume, place.offset, bytes);
            region.reserve(0).map(|()| region)
        })
        .await??;
        Ok(ExtentWriter::new(Arc::clone(&self.inner), region, length))
    }

    /// A reader of `range` of an extent's payload. Nothing is read before its first `next`. The
    /// extent is pinned as long as the reader lives.
    #[must_use]
    pub fn read(&self, extent: Extent, range: Range<u64>) -> ExtentReader {
        ExtentReader::new(
            Pin::new(&self.inner, extent),
            Arc::clone(&self.inner),
            range,
        )
    }

    /// Keeps an extent from being released while the pin is alive.
    #[must_use]
    pub fn pin(&self, extent: Extent) -> Pin {
        Pin::new(&self.inner, extent)
    }

    /// Gives an extent's space back to the file system, at once or when the last pin is gone, and
    /// deletes the volume file when nothing is left in it. May be repeated.
    ///
    /// The release is not synced: after a loss of power the extent may be there again, as garbage
    /// that [`Volumes::collect`] finds.
    ///
    /// # Errors
    /// `NotThisExtent` if something else is at that place, which is then left alone; `Io`.
    pub async fn release(&self, extent: Extent) -> Result<Released, WriteError> {
        if self.inner.shared.pins.start_release(extent) == ReleaseStart::Deferred {
            return Ok(Released::Deferred);
        }
        let shared = Arc::clone(&self.inner.shared);
        // The closure ends what was started even if this future is dropped.
        blocking(move || {
            let released = shared.release_now(extent);
            shared.pins.end_release(extent);
            released
        })
        .await??;
        Ok(Released::Done)
    }

    /// Reads a whole extent and checks every frame.
    pub async fn verify(&self, extent: Extent) -> Result<(), ReadError> {
        let mut reader = self.read(extent, 0..extent.length);
        while reader.next().await?.is_some() {}
        Ok(())
    }

    /// Frees everything in a volume of an earlier run but the extents in `live` and those that are
    /// pinned: extents whose acknowledgement was lost, and releases that did not survive a loss of
    /// power. Returns the bytes freed.
    ///
    /// `live` must name every extent in that volume that any record refers to. Extents of other
    /// volumes in it are ignored. No new reference to an extent of an earlier run can arise but
    /// from a record that exists, so the list may be taken at leisure.
    ///
    /// # Errors
    /// `VolumeInUse` for a volume of this run, `Io`.
    pub async fn collect(&self, volume: VolumeId, live: Vec<Extent>) -> Result<u64, WriteError> {
        let shared = Arc::clone(&self.inner.shared);
        blocking(move || shared.collect(volume, live)).await?
    }

    /// All volume files, oldest first. Blocks, and looks at each file.
    pub fn volumes(&self) -> io::Result<Vec<VolumeInfo>> {
        let shared = &self.inner.shared;
        let open = self.inner.allocator.open_volumes();
        let mut infos = Vec::new();
        for id in list_volumes(&*shared.fs, &shared.dir)? {
            // Not through the cache: this visits every file once and would empty it.
            let file = match shared.fs.open(&shared.dir.join(id.file_name())) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let size = file.info()?;
            let header = read_volume_header(&*file)?;
            infos.push(VolumeInfo {
                id,
                sealed: !open.contains(&id),
                earlier_run: id < shared.first_own,
                header_intact: header.is_some_and(|header| header.id == id),
                end_offset_bytes: size.length_bytes,
                allocated_bytes: size.allocated_bytes,
            });
        }
        Ok(infos)
    }

    /// Totals since the opening.
    #[must_use]
    pub fn stats(&self) -> VolumeStats {
        self.inner.shared.counters.snapshot()
    }

    /// Takes no more extents, finishes the syncs and releases that are queued, and ends the
    /// threads. Readers may go on; writers that have not finished get `Closed`.
    pub async fn shutdown(&self) {
        self.inner.allocator.close();
        let _ = self.inner.sync.send(SyncMessage::Stop);
        let _ = self.inner.space.send(SpaceMessage::Stop);
        let threads = std::mem::take(&mut *self.inner.threads.lock());
        let joined = blocking(move || threads.into_iter().try_for_each(JoinHandle::join)).await;
        if !matches!(joined, Ok(Ok(()))) {
            tracing::error!("a volume thread did not end as it should");
        }
    }
}

/// Runs what may block on a thread made for it.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    // Fails only if the work panicked or the runtime is going down.
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)
}

/// The numbers of all volume files in a directory, ascending.
pub(crate) fn list_volumes(
    fs: &dyn FileSystem,
    dir: &std::path::Path,
) -> io::Result<Vec<VolumeId>> {
    let names = fs.list(dir)?;
    let mut ids: Vec<_> = names
        .iter()
        .filter_map(|name| VolumeId::from_file_name(name))
        .collect();
    ids.sort_unstable();
    Ok(ids)
}

fn read_volume_header(file: &dyn crate::fs::VolumeFile) -> io::Result<Option<VolumeHeader>> {
    let mut header = vec![0; VOLUME_HEADER_BYTES as usize];
    let count = read_full_at(file, &mut header, 0)?;
    Ok(VolumeHeader::decode(&header[..count]))
}

fn refuse_newer_format(
    fs: &dyn FileSystem,
    dir: &std::path::Path,
    newest: VolumeId,
) -> Result<(), OpenError> {
    let file = match fs.open(&dir.join(newest.file_name())) {
        Ok(file) => file,
        // A link whose file a crash has kept from being made.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    match read_volume_header(&*file)? {
        Some(header) if header.version > FORMAT_VERSION => Err(OpenError::NewerFormat {
            volume: newest,
            version: header.version,
        }),
        Some(_) => Ok(()),
        None => {
            // What a crash during the creation leaves. It holds no extent then; and if it does,
            // extents are checked by themselves.
            tracing::warn!(volume = %newest, "the newest volume has no intact header");
            Ok(())
        }
    }
}
