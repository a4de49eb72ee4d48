//! A global allocator that counts, and on request notes where each allocation was made.
//!
//! It counts for the whole process: engine and volumes work for a request on threads of their own,
//! and what they allocate is part of its price. Whoever measures must not allocate meanwhile.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a test that cannot go on should fail there"
)]
// A global allocator cannot be implemented without it. The three calls below pass their arguments
// on to the system's allocator unchanged.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::Sub;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Frames that are shown of each site, from the allocation outwards.
const FRAMES_SHOWN: usize = 6;

/// Functions that stand between an allocation and whoever wanted it, by how their names begin.
const PLUMBING: [&str; 7] = [
    "std::", "core::", "alloc::", "__rust", "<alloc::", "<core::", "<std::",
];

/// Files of the same, by what their paths contain: the standard library's and this one.
const PLUMBING_FILES: [&str; 2] = ["/rustc/", "/allocation_support/"];

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static ALLOCATED_BYTES: AtomicU64 = AtomicU64::new(0);
static NOTES_SITES: AtomicBool = AtomicBool::new(false);
static SITES: Mutex<Vec<(usize, Backtrace)>> = Mutex::new(Vec::new());

thread_local! {
    /// Set while this thread notes a site, which allocates too.
    static IS_NOTING: Cell<bool> = const { Cell::new(false) };
}

/// The system's allocator, counted. A reallocation counts as an allocation of the new size.
pub struct CountingAllocator;

// SAFETY: every method passes its arguments on to `System`, which keeps the contract; counting
// touches nothing of the memory.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps the contract of `alloc`, which is `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: all memory given out here came from `System`, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: as for `dealloc`; the caller keeps the contract for `size`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

fn count(size: usize) {
    ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    ALLOCATED_BYTES.fetch_add(size as u64, Ordering::Relaxed);
    if NOTES_SITES.load(Ordering::Relaxed) && !IS_NOTING.replace(true) {
        let backtrace = Backtrace::force_capture();
        SITES.lock().unwrap().push((size, backtrace));
        IS_NOTING.set(false);
    }
}

/// Allocations and bytes, since the process began or between two moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Allocated {
    pub allocations: u64,
    pub bytes: u64,
}

impl Allocated {
    /// Since the process began.
    pub fn so_far() -> Self {
        Self {
            allocations: ALLOCATIONS.load(Ordering::Relaxed),
            bytes: ALLOCATED_BYTES.load(Ordering::Relaxed),
        }
    }
}

impl Sub for Allocated {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            allocations: self.allocations - before.allocations,
            bytes: self.bytes - before.bytes,
        }
    }
}

/// Runs `work` and tells where it allocated, most frequent first: how often, how many bytes, and
/// the innermost functions that are not the standard library's.
pub fn sites_of(work: impl FnOnce()) -> String {
    NOTES_SITES.store(true, Ordering::Relaxed);
    work();
    NOTES_SITES.store(false, Ordering::Relaxed);
    let mut sites: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for (size, backtrace) in std::mem::take(&mut *SITES.lock().unwrap()) {
        let (count, bytes) = sites.entry(callers(&backtrace)).or_default();
        *count += 1;
        *bytes += size;
    }
    let mut sites: Vec<_> = sites.into_iter().collect();
    sites.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
    let mut text = String::new();
    for (callers, (count, bytes)) in sites {
        writeln!(text, "{count:5} × {bytes:9} bytes\n{callers}").unwrap();
    }
    text
}

/// The innermost callers in a backtrace, a line each, with file and line where they are known.
fn callers(backtrace: &Backtrace) -> String {
    let text = backtrace.to_string();
    let mut callers = String::new();
    let mut shown = 0;
    let mut lines = text.lines().map(str::trim).peekable();
    while let Some(line) = lines.next() {
        let place = lines.next_if(|next| next.starts_with("at "));
        let function = line.split_once(": ").map_or(line, |(_, name)| name);
        let is_in = |file: &&str| place.is_some_and(|place| place.contains(file));
        let is_plumbing = PLUMBING_FILES.iter().any(is_in)
            || PLUMBING.iter().any(|begin| function.starts_with(begin));
        if is_plumbing {
            continue;
        }
        writeln!(callers, "        {function} {}", place.unwrap_or_default()).unwrap();
        shown += 1;
        if shown == FRAMES_SHOWN {
            break;
        }
    }
    callers
}
