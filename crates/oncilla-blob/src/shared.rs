//! What the handle, its writers and readers and the two threads all need.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;

use crate::error::WriteError;
use crate::extent::{Extent, VolumeId};
use crate::format::{
    EXTENT_BYTES_LIMIT, ExtentHeader, HeadError, VOLUME_HEADER_BYTES, head_bytes, region_bytes,
};
use crate::fs::{FileSystem, VolumeFile, read_full_at};
use crate::handles::HandleCache;
use crate::options::{VolumeGroup, VolumeOptions};
use crate::pins::Pins;
use crate::stats::{Counters, add};

/// What is freed with one call, in bytes. All syncs of the file system wait for the transaction that
/// frees blocks: on ext4 64 MiB at once held them up for 80 ms.
const PUNCH_STEP_BYTES: u64 = 4 << 20;

/// A volume that this run of the program created. It is kept alive by the allocator while it
/// takes extents, by every unfinished extent in it, and by the syncs that are queued for it.
#[derive(Debug)]
pub(crate) struct OwnVolume {
    pub id: VolumeId,
    /// The handle that writes and syncs. It stays the same for the life of the volume, because the
    /// kernel reports a failed write-back once per handle that was open when it failed.
    pub file: Arc<dyn VolumeFile>,
    /// No further extent is placed here.
    pub sealed: AtomicBool,
    /// A sync failed. Pages that could not be written may be marked clean by now, so a later sync
    /// that succeeds would prove nothing: no extent here is acknowledged any more.
    pub failure: OnceLock<Arc<io::Error>>,
}

impl OwnVolume {
    pub fn seal(&self) {
        self.sealed.store(true, Ordering::Release);
    }

    pub fn takes_extents(&self) -> bool {
        !self.sealed.load(Ordering::Acquire) && self.failure.get().is_none()
    }

    pub fn check(&self) -> Result<(), WriteError> {
        match self.failure.get() {
            None => Ok(()),
            Some(source) if is_no_space(source) => Err(WriteError::NoSpace),
            Some(source) => Err(WriteError::VolumeFailed {
                volume: self.id,
                source: Arc::clone(source),
            }),
        }
    }
}

fn is_no_space(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

#[derive(Debug, Default)]
pub(crate) struct VolumeTable {
    /// The greatest number whose file is durably in the directory. That file is never deleted,
    /// because it is what keeps its number from being given again after a restart.
    pub newest: Option<VolumeId>,
    /// Volumes of this run, for as long as anybody may still write to them.
    pub own: HashMap<VolumeId, Weak<OwnVolume>>,
    /// Volumes that could not be deleted when their last extent went, because they were in use or
    /// the newest. Looked at again whenever a new volume is created.
    pub deletion_candidates: BTreeSet<VolumeId>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub fs: Arc<dyn FileSystem>,
    pub dir: PathBuf,
    /// Further directories; the group with the number 1 is the first of them.
    pub groups: Vec<VolumeGroup>,
    pub options: VolumeOptions,
    /// Volumes from this number on belong to this run of the program.
    pub first_own: VolumeId,
    pub counters: Counters,
    pub handles: HandleCache,
    pub pins: Pins,
    pub table: Mutex<VolumeTable>,
    pub warned_punch_unsupported: AtomicBool,
}

impl Shared {
    pub fn open_volume(&self, volume: VolumeId) -> io::Result<Arc<dyn VolumeFile>> {
        self.handles.open(&*self.fs, &self.dir, volume)
    }

    /// Frees blocks, the last ones first: an extent keeps its header, and so can be released again,
    /// until all the rest is freed. A file system that cannot is not an error: the space then comes
    /// back when the whole volume is deleted.
    pub fn punch(&self, file: &dyn VolumeFile, offset: u64, bytes: u64) -> io::Result<()> {
        let mut end = offset + bytes;
        while end > offset {
            // At multiples of the step, so that no block of the file system is cut in two and kept.
            let start = ((end - 1) / PUNCH_STEP_BYTES * PUNCH_STEP_BYTES).max(offset);
            self.punch_step(file, start, end - start)?;
            end = start;
        }
        Ok(())
    }

    fn punch_step(&self, file: &dyn VolumeFile, offset: u64, bytes: u64) -> io::Result<()> {
        match file.punch_hole(offset, bytes) {
            Ok(()) => {
                add(&self.counters.released_bytes, bytes);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                if !self.warned_punch_unsupported.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        dir = %self.dir.display(),
                        "this file system cannot punch holes: deleted objects keep their space"
                    );
                }
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Releases an extent that nobody pins. Blocks.
    pub fn release_now(&self, extent: Extent) -> Result<(), WriteError> {
        let file = match self.open_volume(extent.volume) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        // A record that names a wrong place must not cost a neighbour its bytes, so the place has
        // to identify itself first.
        match read_header(&*file, extent, self.options.frame_bytes)? {
            Ok(header) if header.extent == extent => {
                let bytes = region_bytes(extent.length, header.frame_bytes);
                self.punch(&*file, extent.offset, bytes)?;
            }
            Err(HeadError::Absent) => {}
            Ok(_) | Err(_) => return Err(WriteError::NotThisExtent { extent }),
        }
        self.delete_if_empty(extent.volume);
        Ok(())
    }

    /// Frees everything in a volume of an earlier run but `live` and what is pinned. Blocks.
    pub fn collect(&self, volume: VolumeId, live: Vec<Extent>) -> Result<u64, WriteError> {
        if volume >= self.first_own {
            return Err(WriteError::VolumeInUse(volume));
        }
        let file = match self.open_volume(volume) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(error.into()),
        };
        let mut kept = live;
        kept.retain(|extent| extent.volume == volume);
        kept.extend(self.pins.pinned_in(volume));
        kept.sort_unstable();
        let before = file.info()?;
        let mut cursor = VOLUME_HEADER_BYTES;
        for (index, extent) in kept.iter().enumerate() {
            if extent.offset > cursor {
                self.punch(&*file, cursor, extent.offset - cursor)?;
            }
            let end = match read_header(&*file, *extent, self.options.frame_bytes)? {
                Ok(header) if header.extent == *extent => extent
                    .offset
                    .saturating_add(region_bytes(extent.length, header.frame_bytes)),
                // Damaged, so its size is not known for sure: leave everything up to the next.
                Ok(_) | Err(_) => kept.get(index + 1).map_or(u64::MAX, |next| next.offset),
            };
            cursor = cursor.max(end);
        }
        if before.length_bytes > cursor {
            self.punch(&*file, cursor, before.length_bytes - cursor)?;
        }
        // The caller notes that this volume needs no more collecting. Without a sync, a loss of
        // power could bring the bytes back after that, and nobody would look for them again.
        file.sync_all()?;
        let after = file.info()?;
        self.delete_if_empty(volume);
        Ok(before.allocated_bytes.saturating_sub(after.allocated_bytes))
    }

    /// Deletes a volume file in which nothing is left, unless it may still be written to or is the
    /// newest. The file system is asked, not a count in memory: only it knows what earlier runs
    /// left behind. Failures are logged, for nothing depends on the deletion. Blocks.
    pub fn delete_if_empty(&self, volume: VolumeId) {
        {
            // First of all: once nobody can write any more, what is seen below stays true.
            let mut table = self.table.lock();
            let in_use = table
                .own
                .get(&volume)
                .is_some_and(|own| own.strong_count() > 0);
            if in_use || table.newest.is_none_or(|newest| volume >= newest) {
                table.deletion_candidates.insert(volume);
                return;
            }
            table.own.remove(&volume);
            table.deletion_candidates.remove(&volume);
        }
        match self.try_delete(volume) {
            Ok(true) => tracing::debug!(%volume, "deleted an empty volume"),
            Ok(false) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(%volume, %error, "cannot delete an empty volume"),
        }
    }

    fn try_delete(&self, volume: VolumeId) -> io::Result<bool> {
        let file = self.open_volume(volume)?;
        if file.data_after(VOLUME_HEADER_BYTES)?.is_some() {
            return Ok(false);
        }
        // Some file systems had faults that took data not yet written out for a hole. This is the
        // one irreversible step here, so write it out and look again.
        file.sync_all()?;
        if file.data_after(VOLUME_HEADER_BYTES)?.is_some() {
            return Ok(false);
        }
        self.fs.remove(&self.dir.join(volume.file_name()))?;
        self.handles.remove(volume);
        Ok(true)
    }
}

/// Reads and checks the header and the table of an extent. Blocks.
pub(crate) fn read_header(
    file: &dyn VolumeFile,
    extent: Extent,
    frame_bytes_guess: u32,
) -> io::Result<Result<ExtentHeader, HeadError>> {
    let mut wanted = head_bytes(extent.length.min(EXTENT_BYTES_LIMIT), frame_bytes_guess);
    loop {
        let mut head = vec![0; wanted as usize];
        let count = read_full_at(file, &mut head, extent.offset)?;
        head.truncate(count);
        match ExtentHeader::decode(&head) {
            // Behind the end of the file there is nothing; inside the head, it was cut.
            Err(HeadError::Short { .. }) if count == 0 => return Ok(Err(HeadError::Absent)),
            Err(HeadError::Short { needed_bytes }) if needed_bytes > wanted => {
                wanted = needed_bytes;
            }
            decoded => return Ok(decoded),
        }
    }
}
