//! An engine around another that counts scans and lets a test act between a read and what the
//! reader does with it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use oncilla_meta::{
    Change, CommitOutcome, Engine, EngineFuture, EngineStats, Limits, Mutation, Reader, Scan,
    ScanPage, Space,
};
use parking_lot::Mutex;

type Action = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The engine. Scans through snapshots are counted too.
pub struct HookedEngine {
    inner: Arc<dyn Engine>,
    scans: Arc<AtomicU64>,
    rows: Arc<AtomicU64>,
    after_get: Mutex<Option<(Bytes, Action)>>,
    before_commit: Mutex<Option<Action>>,
}

impl HookedEngine {
    pub fn new(inner: Arc<dyn Engine>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            scans: Arc::default(),
            rows: Arc::default(),
            after_get: Mutex::new(None),
            before_commit: Mutex::new(None),
        })
    }

    /// Scans so far.
    pub fn scans(&self) -> u64 {
        self.scans.load(Ordering::Relaxed)
    }

    /// Rows that those scans gave.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// The next read of `key` is answered with what is there now, after `action` has run.
    pub fn after_next_get(&self, key: Bytes, action: impl Future<Output = ()> + Send + 'static) {
        *self.after_get.lock() = Some((key, Box::pin(action)));
    }

    /// The next commit comes after `action` has run.
    pub fn before_next_commit(&self, action: impl Future<Output = ()> + Send + 'static) {
        *self.before_commit.lock() = Some(Box::pin(action));
    }

    /// Whether an action is still to come.
    pub fn is_armed(&self) -> bool {
        self.after_get.lock().is_some() || self.before_commit.lock().is_some()
    }
}

impl Reader for HookedEngine {
    fn get<'a>(&'a self, space: Space, key: &'a [u8]) -> EngineFuture<'a, Option<Bytes>> {
        Box::pin(async move {
            let found = self.inner.get(space, key).await;
            let action = self.after_get.lock().take_if(|(of, _)| of == key);
            if let Some((_, action)) = action {
                action.await;
            }
            found
        })
    }

    fn scan(&self, scan: Scan) -> EngineFuture<'_, ScanPage> {
        Box::pin(async move {
            let page = self.inner.scan(scan).await?;
            self.scans.fetch_add(1, Ordering::Relaxed);
            self.rows
                .fetch_add(page.rows.len() as u64, Ordering::Relaxed);
            Ok(page)
        })
    }
}

impl Engine for HookedEngine {
    fn commit(&self, mutation: Mutation) -> EngineFuture<'_, CommitOutcome> {
        Box::pin(async move {
            let action = self.before_commit.lock().take();
            if let Some(action) = action {
                action.await;
            }
            self.inner.commit(mutation).await
        })
    }

    fn snapshot(&self) -> Arc<dyn Reader> {
        Arc::new(CountedSnapshot {
            inner: self.inner.snapshot(),
            scans: self.scans.clone(),
            rows: self.rows.clone(),
        })
    }

    fn changes_since(&self, sequence: u64, limit: usize) -> EngineFuture<'_, Vec<Change>> {
        self.inner.changes_since(sequence, limit)
    }

    fn forget_changes(&self, up_to: u64) -> EngineFuture<'_, ()> {
        self.inner.forget_changes(up_to)
    }

    fn limits(&self) -> Limits {
        self.inner.limits()
    }

    fn stats(&self) -> EngineStats {
        self.inner.stats()
    }
}

struct CountedSnapshot {
    inner: Arc<dyn Reader>,
    scans: Arc<AtomicU64>,
    rows: Arc<AtomicU64>,
}

impl Reader for CountedSnapshot {
    fn get<'a>(&'a self, space: Space, key: &'a [u8]) -> EngineFuture<'a, Option<Bytes>> {
        self.inner.get(space, key)
    }

    fn scan(&self, scan: Scan) -> EngineFuture<'_, ScanPage> {
        Box::pin(async move {
            let page = self.inner.scan(scan).await?;
            self.scans.fetch_add(1, Ordering::Relaxed);
            self.rows
                .fetch_add(page.rows.len() as u64, Ordering::Relaxed);
            Ok(page)
        })
    }
}
