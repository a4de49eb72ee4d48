//! The library's journal files: telling a torn end from damage, and cutting off what was never
//! acknowledged.
//!
//! A journal is created with 64 MiB of zeros and written from its beginning; once reopened, it
//! ends with its last batch and grows. When it is full, it is synced, and only then the next one
//! begins (`journal/writer.rs`, `rotate`). So all files together, oldest first, are one log.
//!
//! # What a loss of power leaves
//!
//! At most one batch was written, but not synced: the committer is the only thread that writes
//! batches, and `batch/mod.rs`, `commit`, writes and syncs each under the journal's lock before
//! the next can begin. (Creating keyspaces writes to no journal, and neither do flushes.) Nobody
//! was told yet that this batch is durable. Each of its sectors may or may not have reached the
//! device, in any order: the file holds some of its bytes, zeros or old blocks for the rest, and
//! the file's end lies anywhere behind the last synced batch. A sector shared with that batch is
//! written whole or not at all, and holds the same older bytes either way.
//!
//! So the log is whole up to the last acknowledged batch, and behind it lies nothing, one whole
//! batch, or something unreadable, with no whole batch of a larger number behind. [`prepare`]
//! cuts off something unreadable. If a whole batch does follow, it was written after what is
//! unreadable had been synced and acknowledged: that is damage, and never cut off. (The last
//! acknowledged batch damaged later cannot be told from a torn one.)
//!
//! The library by itself would cut some torn ends, refuse others (`ChecksumMismatch`), and cut
//! some damaged places with all that follows.
//!
//! With [`Durability::Os`](super::Durability::Os) many batches can be on their way to the device
//! together, and after a loss of power whole ones can lie behind a torn one. That looks like
//! damage and is refused.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::database::io_error;
use crate::engine::EngineError;
use format::{Batch, Walk, has_later_batch};

mod format;

/// Name of the first journal of a new database.
pub(super) const FIRST_FILE: &str = "0.jnl";

const EXTENSION: &str = "jnl";

/// Bytes read at once: few calls for a file of 64 MiB.
const READ_BYTES: usize = 256 * 1024;

/// Journal files with their numbers, oldest first.
pub(super) fn files(directory: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if !is_journal(&path) {
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

/// Whether a file of the database is a journal, by its name.
pub(super) fn is_journal(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == EXTENSION)
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

/// Makes the journals readable for the library, or refuses to. The caller holds the lock of the
/// database: what a running engine is writing looks like a torn end.
///
/// # Errors
///
/// [`EngineError::Damaged`] if something unreadable is followed by whole batches; the files are
/// left as they are.
pub(super) fn prepare(directory: &Path) -> Result<(), EngineError> {
    let mut newest: Option<Place> = None;
    let mut torn: Vec<TornEnd> = Vec::new();
    for (_, path) in files(directory).map_err(io_error)? {
        let mut walk = Walk::new(open_buffered(&path).map_err(io_error)?);
        let mut end = 0;
        while let Some(batch) = walk.next_batch().map_err(io_error)? {
            if let Some(torn) = torn.first() {
                return Err(torn.is_damage());
            }
            if newest
                .as_ref()
                .is_some_and(|newest| batch.number <= newest.batch.number)
            {
                return Err(damaged_at(&path, batch.begin));
            }
            end = batch.end;
            newest = Some(Place {
                path: path.clone(),
                batch,
            });
        }
        let written_end = written_end(&path, end).map_err(io_error)?;
        if written_end == end {
            continue;
        }
        let torn_end = TornEnd {
            path,
            begin: end,
            end: written_end,
        };
        let bytes = torn_end.read().map_err(io_error)?;
        if has_later_batch(&bytes, newest.as_ref().map(|newest| newest.batch.number)) {
            return Err(torn_end.is_damage());
        }
        torn.push(torn_end);
    }
    for torn in &torn {
        torn.cut_off().map_err(io_error)?;
    }
    if let Some(newest) = newest {
        newest.write_again().map_err(io_error)?;
    }
    Ok(())
}

/// Bytes behind the last whole batch of a file that are not zero.
struct TornEnd {
    path: PathBuf,
    begin: u64,
    end: u64,
}

impl TornEnd {
    /// At most what a journal holds, 64 MiB and one batch.
    fn read(&self) -> io::Result<Vec<u8>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.begin))?;
        let mut bytes = Vec::new();
        file.take(self.end - self.begin).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn is_damage(&self) -> EngineError {
        damaged_at(&self.path, self.begin)
    }

    fn cut_off(&self) -> io::Result<()> {
        tracing::warn!(
            journal = %self.path.display(),
            from_byte = self.begin,
            to_byte = self.end,
            "the metadata journal ends with a batch that was not written to its end and never \
             acknowledged, as after a loss of power: cut off"
        );
        let file = OpenOptions::new().write(true).open(&self.path)?;
        file.set_len(self.begin)?;
        file.sync_all()
    }
}

/// Where a batch lies.
struct Place {
    path: PathBuf,
    batch: Batch,
}

impl Place {
    /// Writes the same bytes to the same place, so that the next sync concerns them.
    ///
    /// If the sync of this batch failed, its pages can be marked as written although the device
    /// does not have them, and no later sync would write them. It was not acknowledged then, but
    /// once the database is open, it is read and others follow it.
    fn write_again(&self) -> io::Result<()> {
        let file = OpenOptions::new().read(true).write(true).open(&self.path)?;
        let mut buffer = vec![0; READ_BYTES];
        let mut at = self.batch.begin;
        while at < self.batch.end {
            let left = usize::try_from(self.batch.end - at).unwrap_or(usize::MAX);
            let part = &mut buffer[..left.min(READ_BYTES)];
            file.read_exact_at(part, at)?;
            file.write_all_at(part, at)?;
            at += part.len() as u64;
        }
        file.sync_all()
    }
}

fn damaged_at(path: &Path, position: u64) -> EngineError {
    EngineError::Damaged {
        detail: format!(
            "{} is unreadable from byte {position} on, and later batches follow",
            path.display()
        ),
    }
}

fn open_buffered(path: &Path) -> io::Result<BufReader<File>> {
    Ok(BufReader::with_capacity(READ_BYTES, File::open(path)?))
}

/// Where the bytes that are not zero end, from `position` on; `position` if there are none.
fn written_end(path: &Path, position: u64) -> io::Result<u64> {
    let mut file = File::open(path)?;
    let mut at = file.seek(SeekFrom::Start(position))?;
    let mut end = position;
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(end);
        }
        if let Some(last) = buffer[..read].iter().rposition(|byte| *byte != 0) {
            end = at + last as u64 + 1;
        }
        at += read as u64;
    }
}

/// Cuts off the log at the first batch with number `first` or above. The newest journal is
/// written to a new file up to there, synced and renamed over the old one.
///
/// Needed after a failed write: the batch may lie in the file in part or, once the library's
/// buffer is written out on closing, as a whole, although its senders were told that it was not
/// applied. A new file, because after a failed sync the old one's pages may be marked clean
/// without being on disk; what is read here was either synced before or is still in memory.
///
/// The caller holds the lock of the database.
pub(super) fn cut_off(directory: &Path, first: u64) -> io::Result<()> {
    let files = files(directory)?;
    let newest_file = files.len().saturating_sub(1);
    for (index, (_, path)) in files.iter().enumerate() {
        let mut walk = Walk::new(open_buffered(path)?);
        let mut keep_bytes = 0;
        let mut is_cut = false;
        while let Some(batch) = walk.next_batch()? {
            if batch.number >= first {
                is_cut = true;
                break;
            }
            keep_bytes = batch.end;
        }
        // The library may have begun another journal after the failure.
        is_cut = is_cut || written_end(path, keep_bytes)? > keep_bytes;
        if is_cut || index == newest_file {
            rewrite(path, keep_bytes)?;
        }
    }
    File::open(directory)?.sync_all()
}

fn rewrite(path: &Path, keep_bytes: u64) -> io::Result<()> {
    let rewritten = path.with_extension("rewritten");
    let mut from = File::open(path)?.take(keep_bytes);
    let mut to = File::create(&rewritten)?;
    io::copy(&mut from, &mut to)?;
    to.sync_all()?;
    fs::rename(&rewritten, path)
}

#[cfg(test)]
mod tests {
    use super::format::tests::batch_bytes;
    use super::*;

    /// Journals with these contents, in a directory of their own.
    fn journals(contents: &[&[u8]]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (number, bytes) in contents.iter().enumerate() {
            fs::write(directory.path().join(format!("{number}.jnl")), bytes).unwrap();
        }
        directory
    }

    fn read(directory: &tempfile::TempDir, number: u64) -> Vec<u8> {
        fs::read(directory.path().join(format!("{number}.jnl"))).unwrap()
    }

    #[track_caller]
    fn assert_refused(contents: &[&[u8]]) {
        let directory = journals(contents);
        let error = prepare(directory.path()).unwrap_err();
        assert!(matches!(error, EngineError::Damaged { .. }), "{error}");
        for (number, bytes) in contents.iter().enumerate() {
            assert_eq!(read(&directory, number as u64), *bytes, "left as it was");
        }
    }

    #[test]
    fn a_torn_end_is_cut_off_whatever_is_left_of_it() {
        let kept = batch_bytes(5, &[b"acknowledged"]);
        let torn = batch_bytes(6, &[&[7; 3000], &[8; 3000]]);
        for (from, to, fill) in [
            (0, 100, 0),
            (100, 3000, 0),
            (3000, 6000, 0xa5),
            (6000, torn.len(), 0),
            (10, 11, 1),
        ] {
            let mut bytes = [&kept[..], &torn[..]].concat();
            bytes[kept.len() + from..kept.len() + to].fill(fill);
            bytes.extend([0; 10_000]);
            let directory = journals(&[&bytes]);
            // The whole batch with a changed number is the library's to read.
            prepare(directory.path()).unwrap();
            let left = read(&directory, 0);
            if (from, to) == (10, 11) {
                assert_eq!(left, bytes);
            } else {
                assert_eq!(left, kept, "{from}..{to} was {fill}");
            }
        }
    }

    #[test]
    fn an_end_of_zeros_is_left_to_the_library() {
        let bytes = [batch_bytes(5, &[b"acknowledged"]), vec![0; 5000]].concat();
        let directory = journals(&[&bytes, &[0; 5000]]);
        prepare(directory.path()).unwrap();
        assert_eq!(read(&directory, 0), bytes);
        assert_eq!(read(&directory, 1), [0; 5000]);
    }

    #[test]
    fn damage_before_whole_batches_is_refused_also_across_files() {
        let [first, second, third] = [5, 6, 7].map(|number| batch_bytes(number, &[b"value"]));
        let mut damaged = second.clone();
        damaged[40] ^= 1;
        assert_refused(&[&[&first[..], &damaged, &third].concat()]);
        assert_refused(&[&[&first[..], &damaged].concat(), &third]);
        assert_refused(&[&damaged, &[0; 100], &third]);
        assert_refused(&[&[&first[..], &third, &second].concat()]);
        assert_refused(&[&second, &[&first[..], &third].concat()]);
        // A write failed, and the library began another journal before it was closed.
        let directory = journals(&[&[&first[..], &damaged].concat(), &[0; 100]]);
        prepare(directory.path()).unwrap();
        assert_eq!(read(&directory, 0), first);
    }

    #[test]
    fn old_blocks_behind_a_torn_batch_are_no_damage() {
        let kept = batch_bytes(50, &[b"acknowledged"]);
        let torn = batch_bytes(51, &[&[7; 3000]]);
        let old = batch_bytes(12, &[b"of a journal that was deleted"]);
        let bytes = [&kept[..], &torn[..2000], &[0; 500], &old, &old].concat();
        let directory = journals(&[&bytes]);
        prepare(directory.path()).unwrap();
        assert_eq!(read(&directory, 0), kept);
    }

    #[test]
    fn a_failed_batch_is_cut_off_in_whichever_file_it_lies() {
        let [first, second] = [5, 6].map(|number| batch_bytes(number, &[b"value"]));
        let both = [&first[..], &second].concat();
        let torn = [&first[..], &second[..20]].concat();
        for files in [[&first[..], &second[..]], [&both, &[0; 9]], [&torn, &[]]] {
            let directory = journals(&files);
            cut_off(directory.path(), 6).unwrap();
            assert_eq!(read(&directory, 0), first);
            assert!(read(&directory, 1).iter().all(|byte| *byte == 0));
        }
    }
}
