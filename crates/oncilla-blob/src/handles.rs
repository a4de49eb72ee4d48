//! Open volume files, a bounded number of them.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::extent::VolumeId;
use crate::fs::{FileSystem, VolumeFile};

/// Handles kept open: half of the 1024 file descriptors that systems commonly allow by default.
/// With volumes of 1 GiB that is half a terabyte without reopening.
const HANDLES_MAX: usize = 512;

#[derive(Debug)]
struct Handle {
    file: Arc<dyn VolumeFile>,
    used_at: u64,
}

#[derive(Debug, Default)]
struct Table {
    handles: HashMap<VolumeId, Handle>,
    clock: u64,
}

/// The most recently used handles. One that is dropped here stays open for whoever holds it.
#[derive(Debug, Default)]
pub(crate) struct HandleCache(Mutex<Table>);

impl HandleCache {
    /// The handle, if it is open.
    pub fn get(&self, volume: VolumeId) -> Option<Arc<dyn VolumeFile>> {
        let mut table = self.0.lock();
        table.clock += 1;
        let clock = table.clock;
        let handle = table.handles.get_mut(&volume)?;
        handle.used_at = clock;
        Some(Arc::clone(&handle.file))
    }

    /// The handle, opened if it must be. Blocks.
    pub fn open(
        &self,
        fs: &dyn FileSystem,
        dir: &Path,
        volume: VolumeId,
    ) -> io::Result<Arc<dyn VolumeFile>> {
        if let Some(file) = self.get(volume) {
            return Ok(file);
        }
        let file = fs.open(&dir.join(volume.file_name()))?;
        self.insert(volume, Arc::clone(&file));
        Ok(file)
    }

    pub fn insert(&self, volume: VolumeId, file: Arc<dyn VolumeFile>) {
        let mut table = self.0.lock();
        table.clock += 1;
        let used_at = table.clock;
        table.handles.insert(volume, Handle { file, used_at });
        if table.handles.len() <= HANDLES_MAX {
            return;
        }
        // A scan of 512 entries costs a microsecond, next to an open that cost several.
        let oldest = table
            .handles
            .iter()
            .min_by_key(|(_, handle)| handle.used_at);
        if let Some(oldest) = oldest.map(|(volume, _)| *volume) {
            table.handles.remove(&oldest);
        }
    }

    pub fn remove(&self, volume: VolumeId) {
        self.0.lock().handles.remove(&volume);
    }
}
