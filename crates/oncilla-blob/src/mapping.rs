//! Views of a file's page cache: reading without a copy.
//!
//! A read through `pread` copies every byte once from the page cache into a buffer before a second
//! copy takes it to the socket. A view is the page cache itself, mapped into the process. For
//! objects of 1 MiB from memory that is about a third less work of the processor (measured).
//!
//! Views are given only of what is in memory already, so that nobody waits for a device in a page
//! fault; what is not is read with `read_at` on a thread that may block, and is in memory then.
//!
//! # What could go wrong with a mapping, and why it does not
//!
//! - *A page fault that cannot be served ends the process (`SIGBUS`)*: when the file is shorter
//!   than the mapping, or the device fails. A view is given only after the kernel has said that
//!   every page of it is in memory and valid (`mincore`), and is verified at once, which touches all
//!   of it. For a signal, the kernel would have to evict a page after that, while the client takes
//!   its time to read, *and* then fail to read again what it has just had. Even then a plain
//!   connection only breaks, since the kernel itself copies from the page (`EFAULT`); it is TLS
//!   that reads it in the process. (Asking the kernel to map the pages beforehand,
//!   `MADV_POPULATE_READ`, leaves the same window and costs a fifth of the whole GET, measured.)
//! - *The bytes change under a shared slice*: extents are immutable once they can be referred to,
//!   their place is never used twice, and a hole is punched only when no reader holds a pin. The
//!   data directory's lock keeps other servers out.
//! - *Mapped pages count as the process's memory*: at most [`MAPPED_BYTES_MAX`] stay mapped in
//!   the whole process; beyond that all are unmapped (not evicted) and come back as they are used.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::ops::Range;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use rustix::mm::{Advice, MapFlags, ProtFlags};

/// Pages that may stay mapped at a time, in bytes, over all files. It bounds what the resident
/// memory of the process shows beyond its own; a set of objects that is read again and again is
/// served without a page fault as long as it is smaller.
pub(crate) const MAPPED_BYTES_MAX: u64 = 48 << 20;

/// What is mapped is counted in blocks of this size, in bytes.
const BLOCK_BYTES: usize = 256 << 10;

/// Address space of one mapping, in bytes: that of a volume of the default size. A range beyond it
/// has no view.
const SPAN_BYTES: usize = 1 << 30;

/// The kernel's unit of memory, in bytes, or a divisor of it: mappings begin at a page, and
/// `mincore` wants addresses that are multiples of it.
const PAGE_BYTES: usize = 4096;

/// Pages asked about with one call: those of a step of a reader, its unaligned ends and more.
const RESIDENCY_PAGES_MAX: usize = 512;

/// Every mapping, and how much of all of them is mapped.
static LEDGER: Ledger = Ledger {
    mappings: Mutex::new(Vec::new()),
    mapped_bytes: AtomicU64::new(0),
};

struct Ledger {
    mappings: Mutex<Vec<Weak<Mapping>>>,
    mapped_bytes: AtomicU64,
}

impl Ledger {
    /// Unmaps the pages of all files once too many are mapped. Views stay valid: their pages come
    /// back when they are touched.
    fn make_room(&self) {
        if self.mapped_bytes.load(Ordering::Relaxed) <= MAPPED_BYTES_MAX {
            return;
        }
        // Whoever comes while another is at it goes on: the limit is not exact.
        let Some(mut mappings) = self.mappings.try_lock() else {
            return;
        };
        self.mapped_bytes.store(0, Ordering::Relaxed);
        mappings.retain(|mapping| match mapping.upgrade() {
            Some(mapping) => {
                mapping.unmap_pages();
                true
            }
            None => false,
        });
    }
}

/// The address space that stands for a file.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    /// A bit per block: whether it was counted as mapped.
    counted: Box<[AtomicU64]>,
}

// SAFETY: the mapping is read-only memory that belongs to the whole process; nothing about it is
// tied to a thread. The pointer is only turned into shared slices.
unsafe impl Send for Mapping {}
// SAFETY: as above; all that changes are atomics.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Reserves address space for `file`, which may grow. `None` if the system gives none.
    pub fn new(file: &File) -> Option<Arc<Mapping>> {
        // SAFETY: a new mapping at an address of the kernel's choice overlaps nothing. That it
        // reaches beyond the end of the file is allowed; `view` touches nothing there.
        let address = unsafe {
            rustix::mm::mmap(
                null_mut(),
                SPAN_BYTES,
                ProtFlags::READ,
                MapFlags::SHARED,
                file,
                0,
            )
        };
        let base = NonNull::new(address.ok()?.cast::<u8>())?;
        let words = SPAN_BYTES / BLOCK_BYTES / 64;
        let mapping = Arc::new(Mapping {
            base,
            counted: (0..words).map(|_| AtomicU64::new(0)).collect(),
        });
        let mut mappings = LEDGER.mappings.lock();
        if mappings.len() == mappings.capacity() {
            mappings.retain(|mapping| mapping.strong_count() > 0);
        }
        mappings.push(Arc::downgrade(&mapping));
        drop(mappings);
        Some(mapping)
    }

    /// The bytes of a range of the file, if all of them are in memory.
    pub fn view(self: &Arc<Mapping>, offset: u64, length: usize) -> Option<View> {
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(length).filter(|end| *end <= SPAN_BYTES)?;
        if length == 0 {
            return None;
        }
        LEDGER.make_room();
        if !self.is_resident(start..end) {
            return None;
        }
        self.count(start..end);
        Some(View {
            mapping: Arc::clone(self),
            range: start..end,
        })
    }

    /// Whether the pages of a range are in the page cache. Pages beyond the end of the file never
    /// are.
    fn is_resident(&self, range: Range<usize>) -> bool {
        let pages = pages_of(range);
        let mut resident = [0u8; RESIDENCY_PAGES_MAX];
        for first in pages.clone().step_by(RESIDENCY_PAGES_MAX) {
            let count = (pages.end - first).min(RESIDENCY_PAGES_MAX);
            // SAFETY: the pages lie within the mapping, which `range` was checked against, and
            // `resident` has a byte for each of them. Nothing is read from the pages.
            let outcome = unsafe {
                libc::mincore(
                    self.base.as_ptr().add(first * PAGE_BYTES).cast(),
                    count * PAGE_BYTES,
                    resident.as_mut_ptr().cast(),
                )
            };
            // The lowest bit says it; the others are reserved.
            if outcome != 0 || resident[..count].iter().any(|page| page & 1 == 0) {
                return false;
            }
        }
        true
    }

    fn count(&self, range: Range<usize>) {
        for block in range.start / BLOCK_BYTES..=(range.end - 1) / BLOCK_BYTES {
            let (word, bit) = (&self.counted[block / 64], 1 << (block % 64));
            if word.load(Ordering::Relaxed) & bit == 0
                && word.fetch_or(bit, Ordering::Relaxed) & bit == 0
            {
                LEDGER
                    .mapped_bytes
                    .fetch_add(BLOCK_BYTES as u64, Ordering::Relaxed);
            }
        }
    }

    fn unmap_pages(&self) {
        for word in &self.counted {
            word.store(0, Ordering::Relaxed);
        }
        // SAFETY: the range is the whole mapping. It is shared and read-only, so dropping its
        // pages loses nothing: whoever touches a view gets the same pages from the page cache.
        let outcome = unsafe {
            rustix::mm::madvise(self.base.as_ptr().cast(), SPAN_BYTES, Advice::LinuxDontNeed)
        };
        if let Err(error) = outcome.map_err(io::Error::from) {
            tracing::debug!(%error, "pages not unmapped");
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this is the mapping that `new` made, whole; views hold an `Arc` of it, so there
        // are none.
        if let Err(error) = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), SPAN_BYTES) } {
            tracing::error!(%error, "address space not returned");
        }
    }
}

/// Bytes of a file where the page cache has them. Whoever holds one has to see to it that nobody
/// changes them.
#[derive(Clone, Debug)]
pub struct View {
    mapping: Arc<Mapping>,
    range: Range<usize>,
}

impl AsRef<[u8]> for View {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the range lies within the mapping, which lives as long as `self`, and within the
        // file, since its pages were in memory; see the module's page on why they stay readable
        // and unchanged.
        unsafe {
            std::slice::from_raw_parts(
                self.mapping.base.as_ptr().add(self.range.start),
                self.range.len(),
            )
        }
    }
}

/// The pages that a range of bytes touches.
fn pages_of(range: Range<usize>) -> Range<usize> {
    range.start / PAGE_BYTES..range.end.div_ceil(PAGE_BYTES)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::FileExt;

    use proptest::prelude::*;

    use super::*;

    fn file_of(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn pattern(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at * 31 / 7) as u8).collect()
    }

    proptest! {
        #[test]
        fn views_are_what_is_read(start in 0usize..3_000_000, length in 1usize..1_500_000) {
            let bytes = pattern(3_000_000);
            let file = file_of(&bytes);
            let mapping = Mapping::new(&file).unwrap();
            let view = mapping.view(start as u64, length);
            // The last page is in memory as a whole, with zeros beyond the end of the file.
            if start + length <= bytes.len() {
                let view = view.unwrap();
                prop_assert_eq!(view.as_ref(), &bytes[start..start + length]);
            } else if start + length > bytes.len().next_multiple_of(PAGE_BYTES) {
                prop_assert!(view.is_none());
            }
        }
    }

    #[test]
    fn a_file_that_grows_has_views_of_what_was_added() {
        let file = file_of(b"");
        let mapping = Mapping::new(&file).unwrap();
        assert!(mapping.view(0, 10).is_none());
        let bytes = pattern(1 << 20);
        file.write_all_at(&bytes, 0).unwrap();
        assert_eq!(mapping.view(5, 1000).unwrap().as_ref(), &bytes[5..1005]);
        assert!(mapping.view(SPAN_BYTES as u64 - 1, 2).is_none());
        assert!(mapping.view(u64::MAX, 1).is_none());
    }

    #[test]
    fn views_outlive_their_mapping_handle_and_unmapping() {
        let bytes = pattern(10_000_000);
        let file = file_of(&bytes);
        let mapping = Mapping::new(&file).unwrap();
        let views: Vec<View> = bytes
            .chunks(1 << 20)
            .enumerate()
            .map(|(index, chunk)| mapping.view((index << 20) as u64, chunk.len()).unwrap())
            .collect();
        mapping.unmap_pages();
        drop((mapping, file));
        for (view, chunk) in views.iter().zip(bytes.chunks(1 << 20)) {
            assert_eq!(view.as_ref(), chunk);
        }
    }

    #[test]
    fn no_more_stays_mapped_than_the_limit() {
        let file = file_of(&pattern(2 * MAPPED_BYTES_MAX as usize));
        let mapping = Mapping::new(&file).unwrap();
        for step in 0..2 * MAPPED_BYTES_MAX as usize / BLOCK_BYTES {
            let view = mapping.view((step * BLOCK_BYTES) as u64, BLOCK_BYTES);
            assert_eq!(view.unwrap().as_ref().len(), BLOCK_BYTES);
        }
        let counted: u32 = mapping
            .counted
            .iter()
            .map(|word| word.load(Ordering::Relaxed).count_ones())
            .sum();
        // Other tests of this process share the limit and may be mapping at the same time.
        assert!(u64::from(counted) * BLOCK_BYTES as u64 <= MAPPED_BYTES_MAX + (1 << 20));
    }
}
