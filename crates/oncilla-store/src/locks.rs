//! Locks on keys, so that writers of one key in this process queue instead of conflicting.
//!
//! They are for fairness only: correctness between processes rests on the mutations'
//! preconditions.

use std::hash::{DefaultHasher, Hash, Hasher};

use tokio::sync::{Mutex, MutexGuard};

/// Two unrelated keys share a stripe with a chance of 1 in this; sharing costs only waiting.
const STRIPES: usize = 4096;

/// Striped locks.
pub struct KeyLocks {
    stripes: Box<[Mutex<()>]>,
}

impl KeyLocks {
    /// Nobody holds any.
    pub fn new() -> Self {
        Self {
            stripes: (0..STRIPES).map(|_| Mutex::new(())).collect(),
        }
    }

    /// Waits for the lock of `key`. Waiters are served in order.
    pub async fn lock(&self, key: impl Hash) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        self.stripes[hasher.finish() as usize % STRIPES]
            .lock()
            .await
    }
}
