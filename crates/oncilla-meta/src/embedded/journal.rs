//! Reading the library's journal files, to tell a torn end from damage and to cut a batch off
//! that was never acknowledged.
//!
//! The layout is that of fjall 3.1.13, `journal/entry.rs`, all numbers little-endian: a batch is a
//! start entry (tag 1, item count `u32`, batch number `u64`), its items (tag 2, value type `u8`,
//! compression `u8`, keyspace `u64`, key length `u16`, value length `u32`, stored length `u32`, key,
//! value; or tag 4, keyspace `u64`) and an end entry (tag 3, checksum `u64`, magic). Files are
//! created with 64 MiB of zeros and written from their beginning.
//!
//! At recovery the library takes the first entry that it cannot read for the torn end of the
//! journal and cuts it off there. If whole batches follow, the entry was not torn but damaged,
//! and cutting would lose what was acknowledged: [`check_all`] refuses before that happens.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use super::database::io_error;
use crate::check::DEFAULT_LIMITS;
use crate::engine::EngineError;

/// Name of the first journal of a new database.
pub(super) const FIRST_FILE: &str = "0.jnl";

const EXTENSION: &str = "jnl";
const MAGIC: &[u8] = b"FJL\x03";
const TAG_START: u8 = 1;
const TAG_ITEM: u8 = 2;
const TAG_END: u8 = 3;
const TAG_CLEAR: u8 = 4;

/// Length of an end entry.
const END_BYTES: usize = 13;

/// Value types that the library knows, and compressions; it stops at any other.
const VALUE_TYPES: [u8; 4] = [0, 1, 2, 4];
const COMPRESSIONS: [u8; 2] = [0, 1];

/// Journal files with their numbers, oldest first.
pub(super) fn files(directory: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path
            .extension()
            .is_none_or(|extension| extension != EXTENSION)
        {
            continue;
        }
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        if let Some(number) = stem.and_then(|stem| stem.parse().ok()) {
            found.push((number, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Bytes that the journals occupy. Their files are longer: they begin as 64 MiB of nothing.
pub(super) fn disk_bytes(directory: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let files = files(directory).unwrap_or_default();
    // A block in `stat` is 512 bytes, whatever the file system uses.
    files
        .iter()
        .filter_map(|(_, path)| fs::metadata(path).ok())
        .map(|file| file.blocks() * 512)
        .sum()
}

/// Whether the journal holds nothing but the zeros it was created with.
pub(super) fn is_unwritten(path: &Path) -> io::Result<bool> {
    let mut first_byte = [0_u8];
    let read = File::open(path)?.read(&mut first_byte)?;
    Ok(read == 0 || first_byte[0] == 0)
}

/// Refuses journals with readable batches behind something that cannot be read.
pub(super) fn check_all(directory: &Path) -> Result<(), EngineError> {
    for (_, path) in files(directory).map_err(io_error)? {
        let file = File::open(&path).map_err(io_error)?;
        let mut walk = Walk::new(BufReader::with_capacity(256 * 1024, file));
        while walk.next_batch().map_err(io_error)?.is_some() {}
        let stop = walk.position;
        drop(walk);
        if has_batch_behind(&path, stop).map_err(io_error)? {
            return Err(EngineError::Damaged {
                detail: format!("{} is unreadable from byte {stop} on", path.display()),
            });
        }
    }
    Ok(())
}

/// Cuts off the newest journal at the first batch with number `first` or above, and writes what
/// is left to a new file, synced and renamed over the old one.
///
/// Needed after a failed write: the batch may lie in the file in part or, once the library's
/// buffer is written out on closing, as a whole, although its senders were told that it was not
/// applied. A new file, because after a failed sync the old one's pages may be marked clean
/// without being on disk; what is read here was either synced before or is still in memory.
pub(super) fn cut_off(directory: &Path, first: u64) -> io::Result<()> {
    let Some((_, path)) = files(directory)?.pop() else {
        return Ok(());
    };
    let mut walk = Walk::new(BufReader::new(File::open(&path)?));
    let mut keep_bytes = 0;
    while let Some(batch) = walk.next_batch()? {
        if batch.number >= first {
            break;
        }
        keep_bytes = batch.end;
    }

    let rewritten = path.with_extension("rewritten");
    let mut from = File::open(&path)?.take(keep_bytes);
    let mut to = File::create(&rewritten)?;
    io::copy(&mut from, &mut to)?;
    to.sync_all()?;
    fs::rename(&rewritten, &path)?;
    File::open(directory)?.sync_all()
}

/// A whole batch, as far as its structure tells.
struct Batch {
    number: u64,
    /// Where in the file it ends.
    end: u64,
}

/// Reads batch after batch until the first that is not whole.
struct Walk<R> {
    from: R,
    /// Begin of the entry that is read now, or could not be read.
    position: u64,
}

impl<R: Read> Walk<R> {
    fn new(from: R) -> Self {
        Self { from, position: 0 }
    }

    fn next_batch(&mut self) -> io::Result<Option<Batch>> {
        match self.read_batch() {
            Ok(batch) => Ok(batch),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read_batch(&mut self) -> io::Result<Option<Batch>> {
        let start: [u8; 13] = self.read()?;
        if start[0] != TAG_START {
            return Ok(None);
        }
        let items = u32::from_le_bytes([start[1], start[2], start[3], start[4]]);
        let number = u64_at(&start, 5);
        self.position += 13;
        for _ in 0..items {
            let Some(entry_bytes) = self.read_item()? else {
                return Ok(None);
            };
            self.position += entry_bytes;
        }
        let end: [u8; END_BYTES] = self.read()?;
        if end[0] != TAG_END || !end.ends_with(MAGIC) {
            return Ok(None);
        }
        self.position += END_BYTES as u64;
        Ok(Some(Batch {
            number,
            end: self.position,
        }))
    }

    /// Reads an item and returns how long its entry is; none if it is not an item.
    fn read_item(&mut self) -> io::Result<Option<u64>> {
        let [tag] = self.read()?;
        if tag == TAG_CLEAR {
            let _keyspace: [u8; 8] = self.read()?;
            return Ok(Some(9));
        }
        if tag != TAG_ITEM {
            return Ok(None);
        }
        let head: [u8; 20] = self.read()?;
        let (value_type, compression) = (head[0], head[1]);
        if !VALUE_TYPES.contains(&value_type) || !COMPRESSIONS.contains(&compression) {
            return Ok(None);
        }
        let key_bytes = u64::from(u16::from_le_bytes([head[10], head[11]]));
        let value_bytes = u64::from(u32::from_le_bytes([head[16], head[17], head[18], head[19]]));
        let limit = DEFAULT_LIMITS.value_bytes_max as u64;
        if value_bytes > limit {
            return Ok(None);
        }
        let body_bytes = key_bytes + value_bytes;
        let skipped = io::copy(&mut self.from.by_ref().take(body_bytes), &mut io::sink())?;
        if skipped < body_bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Some(21 + body_bytes))
    }

    fn read<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.from.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut digits = [0; 8];
    digits.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(digits)
}

/// Whether a whole batch begins right behind some end of a batch after `position`.
///
/// Looks for the magic of end entries, so one torn batch (a beginning, then zeros, perhaps its
/// end) is never taken for two.
fn has_batch_behind(path: &Path, position: u64) -> io::Result<bool> {
    use std::io::{Seek, SeekFrom};
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(position))?;
    // A journal has 64 MiB and at most one batch more.
    let mut rest = Vec::new();
    file.read_to_end(&mut rest)?;
    // The unreadable entry may be the end of a batch, with its magic damaged.
    let behind_end = rest.get(END_BYTES..).unwrap_or_default();
    if Walk::new(behind_end).next_batch()?.is_some() {
        return Ok(true);
    }
    let mut from = 0;
    while let Some(found) = find(&rest[from..], MAGIC) {
        let behind = from + found + MAGIC.len();
        if Walk::new(&rest[behind..]).next_batch()?.is_some() {
            return Ok(true);
        }
        from = behind;
    }
    Ok(false)
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}
