//! The cache of looked-up keys.
//!
//! A row read before a change must never be served after the change was acknowledged. So every
//! entry carries the epoch that was current *before* its rows were read, an entry counts only
//! while that epoch lasts, and every change begins a new epoch after its commit and before its
//! acknowledgement. An entry of the current epoch was therefore read after the last change. No
//! lock, and no window between a check and an insertion.
//!
//! A change makes all entries void, not only its own. Changes to keys are rare and a miss costs
//! two point reads, so that is cheap for being simple.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::sync::Cache;

use super::KeyWithAccount;

/// Most keys cached: as many as one account may have, about 10 MB with few grants each.
const KEYS_CACHED_MAX: u64 = 10_000;

/// How long an entry lives, which bounds how long a change by another process goes unseen.
const ENTRY_LIFETIME: Duration = Duration::from_secs(5);

pub(super) struct KeyCache {
    epoch: AtomicU64,
    entries: Cache<Box<str>, Entry>,
}

#[derive(Clone)]
struct Entry {
    epoch: u64,
    found: Arc<KeyWithAccount>,
}

/// Taken before the rows of an entry are read.
pub(super) struct ReadTicket {
    epoch: u64,
}

/// Begins a new epoch when dropped.
pub(super) struct ForgetWhenDropped<'a> {
    epoch: &'a AtomicU64,
}

impl Drop for ForgetWhenDropped<'_> {
    fn drop(&mut self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }
}

impl Default for KeyCache {
    fn default() -> Self {
        Self::with_lifetime(ENTRY_LIFETIME)
    }
}

impl KeyCache {
    pub(super) fn with_lifetime(lifetime: Duration) -> Self {
        let entries = Cache::builder()
            .max_capacity(KEYS_CACHED_MAX)
            .time_to_live(lifetime)
            .build();
        Self {
            epoch: AtomicU64::new(0),
            entries,
        }
    }

    pub(super) fn get(&self, key_id: &str) -> Option<Arc<KeyWithAccount>> {
        let entry = self.entries.get(key_id)?;
        (entry.epoch == self.epoch.load(Ordering::SeqCst)).then_some(entry.found)
    }

    pub(super) fn begin_read(&self) -> ReadTicket {
        ReadTicket {
            epoch: self.epoch.load(Ordering::SeqCst),
        }
    }

    pub(super) fn put(&self, ticket: ReadTicket, key_id: &str, found: Arc<KeyWithAccount>) {
        self.entries.insert(
            key_id.into(),
            Entry {
                epoch: ticket.epoch,
                found,
            },
        );
    }

    pub(super) fn forget_when_dropped(&self) -> ForgetWhenDropped<'_> {
        ForgetWhenDropped { epoch: &self.epoch }
    }
}
