//! A file system in memory that fails on demand and forgets what was not synced.
//!
//! It keeps two states of every file, the one programs see and the one on the imagined device, and
//! the same of the directory. [`FaultyFileSystem::power_cut`] goes back to the device's state,
//! except that each sector that was written but not synced may have made it or not: so a write
//! may be lost, kept or torn, at the granularity at which devices tear.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::io::Errno;

use crate::fs::{FileInfo, FileSystem, View, VolumeFile};

const PAGE_BYTES: u64 = 4096;
/// What a device writes all or nothing of.
const SECTOR_BYTES: usize = 512;
const SECTORS_PER_PAGE: usize = PAGE_BYTES as usize / SECTOR_BYTES;

/// A small reproducible source of random numbers (splitmix64), so that one seed means one history
/// on every machine and with every release of every crate.
#[derive(Clone, Debug)]
pub struct SeededRandom(u64);

impl SeededRandom {
    /// Starts a sequence.
    #[must_use]
    pub fn new(seed: u64) -> SeededRandom {
        SeededRandom(seed)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`, which must not be 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next_u64() % limit
    }

    /// A number of random magnitude, below two to the `bits`: small ones are as likely as large.
    pub fn magnitude(&mut self, bits: u64) -> u64 {
        let limit = 1 << (1 + self.below(bits));
        self.below(limit)
    }

    /// Heads or tails.
    pub fn coin(&mut self) -> bool {
        self.next_u64() >> 63 == 1
    }

    /// So many bytes.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend_from_slice(&self.next_u64().to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }
}

/// The calls that a fault can be laid on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `FileSystem::create_new`.
    Create,
    /// `FileSystem::open`.
    Open,
    /// `FileSystem::remove`.
    Remove,
    /// `FileSystem::sync_dir`.
    SyncDir,
    /// `VolumeFile::read_at` (reads without waiting then find nothing in memory).
    Read,
    /// `VolumeFile::write_at`.
    Write,
    /// `VolumeFile::allocate`.
    Allocate,
    /// `VolumeFile::punch_hole`.
    Punch,
    /// `VolumeFile::sync_data` and `sync_all`.
    Sync,
}

/// What happens to such a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails with EIO. A failed sync drops what it should have written: the pages count as
    /// clean from then on, and the next sync succeeds, as on Linux.
    DeviceError,
    /// It fails with ENOSPC.
    NoSpace,
    /// It fails with EINTR.
    Interrupted,
    /// A read or write does only a part, at least one byte.
    Short,
}

#[derive(Debug)]
struct Plan {
    operation: Operation,
    skip: u64,
    times: u64,
    fault: Fault,
}

type PageBytes = Box<[u8; PAGE_BYTES as usize]>;

#[derive(Clone, Debug, Default)]
struct Page {
    /// What programs read; `None` is a hole, or reserved and not yet written.
    seen: Option<PageBytes>,
    /// What a power cut goes back to.
    durable: Option<PageBytes>,
    /// Sectors of `seen` that no sync has carried over, one bit each.
    dirty_sectors: u8,
    /// Occupies the device.
    allocated: bool,
}

#[derive(Debug, Default)]
struct Node {
    pages: BTreeMap<u64, Page>,
    length: u64,
    durable_length: u64,
}

#[derive(Debug, Default)]
struct State {
    nodes: HashMap<u64, Node>,
    entries: BTreeMap<PathBuf, u64>,
    durable_entries: BTreeMap<PathBuf, u64>,
    /// Links and where they lead. They are kept by every power cut: that a volume's number is
    /// spent must not depend on them.
    links: BTreeMap<PathBuf, PathBuf>,
    next_node: u64,
    /// Handles of an earlier life fail.
    life: u64,
    plans: Vec<Plan>,
    capacity_bytes: Option<u64>,
    allocated_pages: u64,
    /// Changes since the start; and the one before which the power goes.
    changes: u64,
    cut_at_change: Option<u64>,
    counts: HashMap<Operation, u64>,
    punching_unsupported: bool,
}

/// The file system. Clones share everything.
#[derive(Clone, Default)]
pub struct FaultyFileSystem(Arc<Mutex<State>>);

impl fmt::Debug for FaultyFileSystem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("FaultyFileSystem")
    }
}

impl FaultyFileSystem {
    /// An empty one, without faults and without limit.
    #[must_use]
    pub fn new() -> FaultyFileSystem {
        FaultyFileSystem::default()
    }

    /// Lets the next `skip` calls of `operation` pass and does `fault` to the `times` after them.
    pub fn inject(&self, operation: Operation, skip: u64, times: u64, fault: Fault) {
        self.0.lock().plans.push(Plan {
            operation,
            skip,
            times,
            fault,
        });
    }

    /// Forgets all faults that are still to come, the limit of space included.
    pub fn heal(&self) {
        let mut state = self.0.lock();
        state.plans.clear();
        state.capacity_bytes = None;
        state.punching_unsupported = false;
    }

    /// Limits the space; `None` is unlimited.
    pub fn set_capacity_bytes(&self, capacity_bytes: Option<u64>) {
        self.0.lock().capacity_bytes = capacity_bytes;
    }

    /// Makes it one that cannot punch holes.
    pub fn set_punching_unsupported(&self) {
        self.0.lock().punching_unsupported = true;
    }

    /// Bytes that occupy the imagined device.
    #[must_use]
    pub fn allocated_bytes(&self) -> u64 {
        self.0.lock().allocated_pages * PAGE_BYTES
    }

    /// How often an operation was called.
    #[must_use]
    pub fn count(&self, operation: Operation) -> u64 {
        self.0.lock().counts.get(&operation).copied().unwrap_or(0)
    }

    /// Changes made so far: creations, removals, writes, reservations, holes and syncs.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.0.lock().changes
    }

    /// Lets so many more changes happen; then everything fails until [`Self::power_cut`].
    pub fn cut_after(&self, changes: u64) {
        let mut state = self.0.lock();
        state.cut_at_change = Some(state.changes + changes);
    }

    /// Flips one bit, on the device as well, as decay does.
    ///
    /// # Panics
    /// If there is no such file or a hole at that place: then the test has a fault.
    pub fn flip_bit(&self, path: &Path, byte: u64, bit: u8) {
        let mut state = self.0.lock();
        let node = *state.entries.get(path).expect("flip_bit needs a file");
        let node = state.nodes.get_mut(&node).expect("an entry has a node");
        let page = node
            .pages
            .get_mut(&(byte / PAGE_BYTES))
            .expect("flip_bit needs data");
        assert!(page.seen.is_some(), "flip_bit needs data");
        let at = (byte % PAGE_BYTES) as usize;
        for copy in [&mut page.seen, &mut page.durable].into_iter().flatten() {
            copy[at] ^= 1 << bit;
        }
    }

    /// Cuts the power and starts again: open handles are dead, unsynced sectors, lengths, files
    /// and removals have made it or not, as `seed` decides. Faults and limits are forgotten.
    pub fn power_cut(&self, seed: u64) {
        let mut random = SeededRandom::new(seed);
        let mut guard = self.0.lock();
        let state = &mut *guard;
        let mut entries = BTreeMap::new();
        for (path, node) in &state.durable_entries {
            let removed = !state.entries.contains_key(path);
            if !(removed && random.coin()) {
                entries.insert(path.clone(), *node);
            }
        }
        for (path, node) in &state.entries {
            if !state.durable_entries.contains_key(path) && random.coin() {
                entries.insert(path.clone(), *node);
            }
        }
        state
            .nodes
            .retain(|node, _| entries.values().any(|kept| kept == node));
        // In the order of the paths, for the seed to decide alike each time.
        for node in entries.values() {
            let Some(node) = state.nodes.get_mut(node) else {
                continue;
            };
            node.forget_unsynced(&mut random);
        }
        state.entries = entries.clone();
        state.durable_entries = entries;
        let pages = state.nodes.values().flat_map(|node| node.pages.values());
        state.allocated_pages = pages.filter(|page| page.allocated).count() as u64;
        state.life += 1;
        state.plans.clear();
        state.capacity_bytes = None;
        state.cut_at_change = None;
    }
}

impl Node {
    fn forget_unsynced(&mut self, random: &mut SeededRandom) {
        for page in self.pages.values_mut() {
            let mut after = page.durable.clone();
            for sector in 0..SECTORS_PER_PAGE {
                if page.dirty_sectors & (1 << sector) != 0 && random.coin() {
                    page.copy_sector_into(sector, &mut after);
                }
            }
            page.durable = after.clone();
            page.seen = after;
            page.dirty_sectors = 0;
            page.allocated = page.seen.is_some();
        }
        self.pages.retain(|_, page| page.allocated);
        if self.length != self.durable_length && random.coin() {
            self.durable_length = self.length;
        }
        self.length = self.durable_length;
        let length = self.length;
        self.pages.retain(|number, _| number * PAGE_BYTES < length);
    }

    fn carry_over(&mut self) {
        for page in self.pages.values_mut() {
            let mut durable = page.durable.take();
            for sector in 0..SECTORS_PER_PAGE {
                if page.dirty_sectors & (1 << sector) != 0 {
                    page.copy_sector_into(sector, &mut durable);
                }
            }
            page.durable = if page.seen.is_none() { None } else { durable };
            page.dirty_sectors = 0;
        }
        self.pages
            .retain(|_, page| page.allocated || page.durable.is_some());
        self.durable_length = self.length;
    }
}

impl Page {
    fn copy_sector_into(&self, sector: usize, target: &mut Option<PageBytes>) {
        let range = sector * SECTOR_BYTES..(sector + 1) * SECTOR_BYTES;
        match (&self.seen, target.as_mut()) {
            (Some(seen), Some(target)) => target[range.clone()].copy_from_slice(&seen[range]),
            (Some(seen), None) => {
                let mut fresh = Box::new([0; PAGE_BYTES as usize]);
                fresh[range.clone()].copy_from_slice(&seen[range]);
                *target = Some(fresh);
            }
            (None, Some(target)) => target[range].fill(0),
            (None, None) => {}
        }
    }
}

impl State {
    /// What every call does first: is there power, and is a fault laid on it?
    fn enter(&mut self, operation: Operation, life: u64) -> io::Result<Option<Fault>> {
        if life != self.life || self.cut_at_change.is_some_and(|cut| self.changes >= cut) {
            return Err(Errno::IO.into());
        }
        *self.counts.entry(operation).or_default() += 1;
        if !matches!(operation, Operation::Read | Operation::Open) {
            self.changes += 1;
        }
        let mut fault = None;
        for plan in &mut self.plans {
            if plan.operation != operation {
                continue;
            }
            if plan.skip > 0 {
                plan.skip -= 1;
            } else if plan.times > 0 && fault.is_none() {
                plan.times -= 1;
                fault = Some(plan.fault);
            }
        }
        match fault {
            Some(Fault::DeviceError) if operation != Operation::Sync => Err(Errno::IO.into()),
            Some(Fault::NoSpace) if operation != Operation::Sync => Err(Errno::NOSPC.into()),
            Some(Fault::Interrupted) => Err(Errno::INTR.into()),
            other => Ok(other),
        }
    }

    /// Whether one more page may be allocated; counts it.
    fn take_page(&mut self) -> io::Result<()> {
        let needed = (self.allocated_pages + 1) * PAGE_BYTES;
        if self
            .capacity_bytes
            .is_some_and(|capacity| needed > capacity)
        {
            return Err(Errno::NOSPC.into());
        }
        self.allocated_pages += 1;
        Ok(())
    }

    fn node(&mut self, node: u64) -> io::Result<&mut Node> {
        self.nodes.get_mut(&node).ok_or_else(|| Errno::IO.into())
    }

    /// Allocates the page if it is a hole.
    fn allocate_page(&mut self, node: u64, number: u64) -> io::Result<()> {
        let allocated = self
            .node(node)?
            .pages
            .get(&number)
            .is_some_and(|page| page.allocated);
        if !allocated {
            self.take_page()?;
            self.node(node)?.pages.entry(number).or_default().allocated = true;
        }
        Ok(())
    }
}

impl FileSystem for FaultyFileSystem {
    fn create_dir_all(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn VolumeFile>> {
        let mut state = self.0.lock();
        let life = state.life;
        state.enter(Operation::Create, life)?;
        if state.entries.contains_key(path) {
            return Err(Errno::EXIST.into());
        }
        let node = state.next_node;
        state.next_node += 1;
        state.nodes.insert(node, Node::default());
        state.entries.insert(path.to_owned(), node);
        Ok(Arc::new(FaultyFile {
            state: Arc::clone(&self.0),
            node,
            life,
        }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn VolumeFile>> {
        let mut state = self.0.lock();
        let life = state.life;
        state.enter(Operation::Open, life)?;
        let target = state.links.get(path).map_or(path, PathBuf::as_path);
        let node = *state.entries.get(target).ok_or(Errno::NOENT)?;
        Ok(Arc::new(FaultyFile {
            state: Arc::clone(&self.0),
            node,
            life,
        }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.0.lock();
        let paths = state
            .entries
            .keys()
            .chain(state.links.keys())
            .filter(|path| path.parent() == Some(dir));
        let names = paths.filter_map(|path| path.file_name()?.to_str().map(str::to_owned));
        Ok(names.collect())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        let life = state.life;
        state.enter(Operation::Remove, life)?;
        let link = state.links.remove(path);
        let was_link = link.is_some();
        let target = link.unwrap_or_else(|| path.to_owned());
        let node = match state.entries.remove(&target) {
            Some(node) => node,
            None if was_link => return Ok(()),
            None => return Err(Errno::NOENT.into()),
        };
        // The node stays, for the handles and for a removal that a power cut undoes; its space
        // counts as free.
        let pages = state.nodes.get(&node).map_or(0, |node| {
            node.pages.values().filter(|page| page.allocated).count() as u64
        });
        state.allocated_pages = state.allocated_pages.saturating_sub(pages);
        Ok(())
    }

    fn link(&self, target: &Path, link: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        let life = state.life;
        state.enter(Operation::Create, life)?;
        if state.entries.contains_key(link) || state.links.contains_key(link) {
            return Err(Errno::EXIST.into());
        }
        state.links.insert(link.to_owned(), target.to_owned());
        Ok(())
    }

    fn link_target(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        Ok(self.0.lock().links.get(path).cloned())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        let life = state.life;
        state.enter(Operation::SyncDir, life)?;
        let entries = state.entries.clone();
        state
            .durable_entries
            .retain(|path, _| path.parent() != Some(dir));
        let in_dir = entries
            .into_iter()
            .filter(|(path, _)| path.parent() == Some(dir));
        state.durable_entries.extend(in_dir);
        Ok(())
    }
}

struct FaultyFile {
    state: Arc<Mutex<State>>,
    node: u64,
    life: u64,
}

impl fmt::Debug for FaultyFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "FaultyFile({})", self.node)
    }
}

impl FaultyFile {
    fn sync(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        let fault = state.enter(Operation::Sync, self.life)?;
        let node = state.node(self.node)?;
        let errno = match fault {
            Some(Fault::DeviceError) => Errno::IO,
            Some(Fault::NoSpace) => Errno::NOSPC,
            _ => {
                node.carry_over();
                return Ok(());
            }
        };
        for page in node.pages.values_mut() {
            page.dirty_sectors = 0;
        }
        Err(errno.into())
    }
}

/// The pieces of a range, page by page: number, offset in the page, offset in the range, length.
fn pieces(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, usize, usize)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done >= length {
            return None;
        }
        let at = offset + done as u64;
        let in_page = (at % PAGE_BYTES) as usize;
        let count = (PAGE_BYTES as usize - in_page).min(length - done);
        let piece = (at / PAGE_BYTES, in_page, done, count);
        done += count;
        Some(piece)
    })
}

impl VolumeFile for FaultyFile {
    fn info(&self) -> io::Result<FileInfo> {
        let mut state = self.state.lock();
        let node = state.node(self.node)?;
        let pages = node.pages.values().filter(|page| page.allocated).count() as u64;
        Ok(FileInfo {
            length_bytes: node.length,
            allocated_bytes: pages * PAGE_BYTES,
        })
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.state.lock();
        let fault = state.enter(Operation::Read, self.life)?;
        let node = state.node(self.node)?;
        let available = node.length.saturating_sub(offset);
        let mut count = buffer
            .len()
            .min(usize::try_from(available).unwrap_or(usize::MAX));
        if fault == Some(Fault::Short) && count > 1 {
            count /= 2;
        }
        for (number, in_page, at, length) in pieces(offset, count) {
            let target = &mut buffer[at..at + length];
            match node.pages.get(&number).and_then(|page| page.seen.as_ref()) {
                Some(seen) => target.copy_from_slice(&seen[in_page..in_page + length]),
                None => target.fill(0),
            }
        }
        Ok(count)
    }

    fn read_at_nowait(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let faults_wait = {
            let state = self.state.lock();
            state
                .plans
                .iter()
                .any(|plan| plan.operation == Operation::Read && plan.times > 0)
        };
        if faults_wait {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.read_at(buffer, offset)
    }

    /// None: every read passes through the faults.
    fn view(&self, _offset: u64, _length: usize) -> Option<View> {
        None
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut state = self.state.lock();
        let fault = state.enter(Operation::Write, self.life)?;
        let count = match fault {
            Some(Fault::Short) if bytes.len() > 1 => bytes.len() / 2,
            _ => bytes.len(),
        };
        let mut written = 0;
        for (number, in_page, at, length) in pieces(offset, count) {
            if let Err(error) = state.allocate_page(self.node, number) {
                if written > 0 {
                    break;
                }
                return Err(error);
            }
            let page = state.node(self.node)?.pages.entry(number).or_default();
            let seen = page
                .seen
                .get_or_insert_with(|| Box::new([0; PAGE_BYTES as usize]));
            seen[in_page..in_page + length].copy_from_slice(&bytes[at..at + length]);
            for sector in in_page / SECTOR_BYTES..=(in_page + length - 1) / SECTOR_BYTES {
                page.dirty_sectors |= 1 << sector;
            }
            written = at + length;
        }
        let node = state.node(self.node)?;
        node.length = node.length.max(offset + written as u64);
        Ok(written)
    }

    fn allocate(&self, offset: u64, length: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        state.enter(Operation::Allocate, self.life)?;
        for number in offset / PAGE_BYTES..(offset + length).div_ceil(PAGE_BYTES) {
            state.allocate_page(self.node, number)?;
        }
        let node = state.node(self.node)?;
        node.length = node.length.max(offset + length);
        Ok(())
    }

    fn punch_hole(&self, offset: u64, length: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.punching_unsupported {
            return Err(io::ErrorKind::Unsupported.into());
        }
        state.enter(Operation::Punch, self.life)?;
        let whole_pages = offset.div_ceil(PAGE_BYTES)..offset.saturating_add(length) / PAGE_BYTES;
        let mut freed = 0;
        if whole_pages.is_empty() {
            return Ok(());
        }
        for (_, page) in state.node(self.node)?.pages.range_mut(whole_pages) {
            freed += u64::from(page.allocated);
            page.allocated = false;
            page.seen = None;
            page.dirty_sectors = u8::MAX;
        }
        state.allocated_pages = state.allocated_pages.saturating_sub(freed);
        Ok(())
    }

    fn data_after(&self, offset: u64) -> io::Result<Option<u64>> {
        let mut state = self.state.lock();
        let node = state.node(self.node)?;
        let mut pages = node.pages.range(offset / PAGE_BYTES..);
        let found = pages.find(|(_, page)| page.seen.is_some());
        Ok(found.map(|(number, _)| (number * PAGE_BYTES).max(offset)))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync()
    }
}
