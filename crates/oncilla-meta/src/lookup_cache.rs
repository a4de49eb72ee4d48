//! A cache of what was looked up by name in an engine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quick_cache::sync::Cache;

/// Keeps what was decoded from rows, such as buckets and access keys, which nearly every request
/// asks for and hardly any changes.
///
/// A row read before a change must never be served after the change was acknowledged. So every
/// entry carries the epoch that was current *before* its rows were read, an entry counts only
/// while that epoch lasts, and every change begins a new epoch after its commit and before its
/// acknowledgement. An entry of the current epoch was therefore read after the last change. No
/// lock, and no window between a check and an insertion.
///
/// A change makes all entries void, not only its own. It is rare and a miss costs a point read or
/// two, so that is cheap for being simple.
pub struct LookupCache<V> {
    epoch: AtomicU64,
    lifetime: Duration,
    entries: Cache<Box<str>, Entry<V>>,
}

struct Entry<V> {
    epoch: u64,
    read_at: Instant,
    found: Arc<V>,
}

impl<V> Clone for Entry<V> {
    fn clone(&self) -> Self {
        Self {
            epoch: self.epoch,
            read_at: self.read_at,
            found: Arc::clone(&self.found),
        }
    }
}

/// Taken before the rows of an entry are read.
#[derive(Debug)]
pub struct ReadTicket {
    epoch: u64,
    read_at: Instant,
}

/// Makes the cache forget when dropped; see [`LookupCache::forget_when_dropped`].
pub struct ForgetWhenDropped<'a> {
    epoch: &'a AtomicU64,
}

impl Drop for ForgetWhenDropped<'_> {
    fn drop(&mut self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }
}

impl<V> LookupCache<V> {
    /// A cache of at most `entries_max` entries. An entry counts for `lifetime`, which bounds how
    /// long a change by another process goes unseen.
    pub fn new(entries_max: usize, lifetime: Duration) -> Self {
        Self {
            epoch: AtomicU64::new(0),
            lifetime,
            entries: Cache::new(entries_max),
        }
    }

    /// What was found under `name`, if nothing has changed since.
    pub fn get(&self, name: &str) -> Option<Arc<V>> {
        let entry = self.entries.get(name)?;
        let counts = entry.epoch == self.epoch.load(Ordering::SeqCst)
            && entry.read_at.elapsed() < self.lifetime;
        counts.then_some(entry.found)
    }

    /// Call before reading what is then [`put`](Self::put).
    pub fn begin_read(&self) -> ReadTicket {
        ReadTicket {
            epoch: self.epoch.load(Ordering::SeqCst),
            read_at: Instant::now(),
        }
    }

    /// Keeps what was read since `ticket`.
    pub fn put(&self, ticket: ReadTicket, name: &str, found: Arc<V>) {
        let ReadTicket { epoch, read_at } = ticket;
        let entry = Entry {
            epoch,
            read_at,
            found,
        };
        self.entries.insert(name.into(), entry);
    }

    /// Held over a commit that changes or removes what may be cached, and dropped before the
    /// change is acknowledged. It forgets even if the commit failed or its caller went away: then
    /// nobody knows whether it was applied.
    pub fn forget_when_dropped(&self) -> ForgetWhenDropped<'_> {
        ForgetWhenDropped { epoch: &self.epoch }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(lifetime: Duration) -> LookupCache<u32> {
        LookupCache::new(10, lifetime)
    }

    #[test]
    fn a_change_makes_everything_void() {
        let cache = cache(Duration::from_secs(60));
        cache.put(cache.begin_read(), "a", Arc::new(1));
        assert_eq!(cache.get("a").as_deref(), Some(&1));
        assert_eq!(cache.get("b"), None);
        drop(cache.forget_when_dropped());
        assert_eq!(cache.get("a"), None);
    }

    #[test]
    fn what_was_read_before_a_change_does_not_count_after_it() {
        let cache = cache(Duration::from_secs(60));
        let ticket = cache.begin_read();
        drop(cache.forget_when_dropped());
        cache.put(ticket, "a", Arc::new(1));
        assert_eq!(cache.get("a"), None);
    }

    #[test]
    fn entries_end_with_their_lifetime_and_are_bounded() {
        let short = cache(Duration::ZERO);
        short.put(short.begin_read(), "a", Arc::new(1));
        assert_eq!(short.get("a"), None);
        let cache = cache(Duration::from_secs(60));
        for number in 0..1000 {
            cache.put(cache.begin_read(), &number.to_string(), Arc::new(number));
        }
        assert!(cache.entries.len() <= 10);
    }
}
