//! Where the next extent goes.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use crate::error::WriteError;
use crate::extent::VolumeId;
use crate::format::{FORMAT_VERSION, VOLUME_HEADER_BYTES, VolumeHeader};
use crate::fs::{VolumeFile, write_all_at};
use crate::groups;
use crate::options::GroupId;
use crate::shared::{OwnVolume, Shared};

#[derive(Debug)]
struct Open {
    volume: Arc<OwnVolume>,
    next_offset: u64,
}

#[derive(Debug)]
struct Position {
    /// The volume of each group that takes extents.
    open: HashMap<GroupId, Open>,
    next_id: VolumeId,
    closed: bool,
}

/// A place that nobody else has or will ever have.
#[derive(Debug)]
pub(crate) struct Place {
    pub volume: Arc<OwnVolume>,
    pub offset: u64,
    /// Volumes worth another look for deletion, because a newer one exists now.
    pub deletion_candidates: BTreeSet<VolumeId>,
}

/// Hands out places, front to back, and begins a new volume when one is full or has failed.
#[derive(Debug)]
pub(crate) struct Allocator(Mutex<Position>);

impl Allocator {
    pub fn new(first: VolumeId) -> Allocator {
        Allocator(Mutex::new(Position {
            open: HashMap::new(),
            next_id: first,
            closed: false,
        }))
    }

    /// A place of `bytes` bytes (a multiple of the block). Blocks while a volume is created; the
    /// lock is held meanwhile, so that a crowd of writers creates one volume and not many.
    pub fn place(&self, shared: &Shared, group: GroupId, bytes: u64) -> Result<Place, WriteError> {
        let mut position = self.0.lock();
        if position.closed {
            return Err(WriteError::Closed);
        }
        if let Some(open) = position.open.get_mut(&group) {
            let fits = open.next_offset + bytes <= shared.options.volume_bytes;
            if fits && open.volume.takes_extents() {
                let offset = open.next_offset;
                open.next_offset += bytes;
                let volume = Arc::clone(&open.volume);
                return Ok(Place {
                    volume,
                    offset,
                    deletion_candidates: BTreeSet::new(),
                });
            }
            open.volume.seal();
        }
        position.open.remove(&group);
        let id = position.next_id;
        // The number is spent even if the creation fails: nobody can tell what of it will turn
        // up in the directory after a crash.
        position.next_id = VolumeId(
            id.0.checked_add(1)
                .ok_or_else(|| WriteError::from(io::Error::other("no volume number is left")))?,
        );
        let volume = create(shared, id, group)?;
        let open = Open {
            volume: Arc::clone(&volume),
            next_offset: VOLUME_HEADER_BYTES + bytes,
        };
        position.open.insert(group, open);
        let mut table = shared.table.lock();
        table.newest = Some(id);
        table.own.retain(|_, own| own.strong_count() > 0);
        table.own.insert(id, Arc::downgrade(&volume));
        let deletion_candidates = std::mem::take(&mut table.deletion_candidates);
        Ok(Place {
            volume,
            offset: VOLUME_HEADER_BYTES,
            deletion_candidates,
        })
    }

    /// The volumes that take extents now, one for each group.
    pub fn open_volumes(&self) -> Vec<VolumeId> {
        let position = self.0.lock();
        position
            .open
            .values()
            .filter(|open| open.volume.takes_extents())
            .map(|open| open.volume.id)
            .collect()
    }

    /// Hands out no more places.
    pub fn close(&self) {
        let mut position = self.0.lock();
        position.closed = true;
        position.open.clear();
    }
}

/// Creates a volume and makes it durable, whatever the durability of extents: from then on its
/// number cannot be given again, and an extent only needs its own bytes synced.
fn create(shared: &Shared, id: VolumeId, group: GroupId) -> Result<Arc<OwnVolume>, WriteError> {
    let path = shared.dir.join(id.file_name());
    let of_group = match group.0 {
        0 => None,
        number => Some(&shared.groups[number - 1]),
    };
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let header = VolumeHeader {
        version: FORMAT_VERSION,
        id,
        created_unix_ms: u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX),
        group: of_group
            .map_or(&shared.options.group, |of| &of.name)
            .clone(),
    };
    let file = match of_group {
        None => create_file(shared, &path, &shared.dir, &header)?,
        Some(of) => create_linked(shared, &path, &of.dir, &header)?,
    };
    shared.handles.insert(id, Arc::clone(&file));
    Ok(Arc::new(OwnVolume {
        id,
        file,
        sealed: AtomicBool::new(false),
        failure: OnceLock::new(),
    }))
}

/// Makes a volume's file in a further directory, and the link to it.
fn create_linked(
    shared: &Shared,
    path: &Path,
    dir: &Path,
    header: &VolumeHeader,
) -> io::Result<Arc<dyn VolumeFile>> {
    // The directory may have vanished under the server, with another one in its place: what was written
    // there would be missing when the right one is back.
    if !groups::is_marked(&*shared.fs, dir)? {
        let message = format!(
            "{} holds volumes and is missing or another directory: is it mounted?",
            dir.display()
        );
        return Err(io::Error::other(message));
    }
    let file_path = dir.join(header.id.file_name());
    shared.fs.link(&file_path, path)?;
    let made = shared
        .fs
        .sync_dir(&shared.dir)
        .and_then(|()| create_file(shared, &file_path, dir, header));
    if made.is_err() {
        remove_unfinished(shared, header.id, path);
    }
    made
}

/// Makes a volume's file, empty but for its header, so that it is there after a power loss.
fn create_file(
    shared: &Shared,
    path: &Path,
    dir: &Path,
    header: &VolumeHeader,
) -> io::Result<Arc<dyn VolumeFile>> {
    let file = shared.fs.create_new(path)?;
    let made_durable = write_all_at(&*file, &header.encode(), 0)
        .and_then(|()| file.sync_all())
        .and_then(|()| shared.fs.sync_dir(dir));
    if let Err(error) = made_durable {
        remove_unfinished(shared, header.id, path);
        return Err(error);
    }
    Ok(file)
}

/// Nothing is in it. If it cannot be removed either, the next start finds it empty.
fn remove_unfinished(shared: &Shared, id: VolumeId, path: &Path) {
    if let Err(error) = shared.fs.remove(path) {
        tracing::warn!(volume = %id, %error, "cannot remove a volume that was not completed");
    }
}
