//! Pins on the parts of completed uploads, so that the collector waits for readers.
//! (Extents have pins of their own, in the volumes.)

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::rows::key::UniqueId;

/// How many readers each upload has.
#[derive(Clone, Default)]
pub struct UploadPins {
    counts: Arc<Mutex<HashMap<UniqueId, usize>>>,
}

impl UploadPins {
    /// Keeps the upload's parts until the pin is dropped.
    pub fn pin(&self, upload: UniqueId) -> UploadPin {
        *self.counts.lock().entry(upload).or_insert(0) += 1;
        UploadPin {
            pins: self.clone(),
            upload,
        }
    }

    /// Whether somebody reads the upload's parts.
    pub fn is_pinned(&self, upload: UniqueId) -> bool {
        self.counts.lock().contains_key(&upload)
    }
}

/// One reader of an upload's parts.
pub struct UploadPin {
    pins: UploadPins,
    upload: UniqueId,
}

impl Drop for UploadPin {
    fn drop(&mut self) {
        let mut counts = self.pins.counts.lock();
        if let Some(count) = counts.get_mut(&self.upload) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.upload);
            }
        }
    }
}
