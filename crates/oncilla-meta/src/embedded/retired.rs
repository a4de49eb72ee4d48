//! Gives back the blocks of files that the library has deleted, in small steps.
//!
//! The file system frees the blocks of a deleted file at once and in one transaction, and every
//! sync waits for that transaction: on ext4 each deleted journal of 64 MiB held up the journal in
//! use by 75 to 80 ms (measured; one to two per second under full load, and the whole of the p99
//! of small writes). A deleted file that somebody has open keeps its blocks, though. So a thread
//! opens every larger file of the library when it appears; once its last name is gone, the
//! thread shortens it by [`STEP_BYTES`] at a time, and no sync waits longer than for one step
//! (3 to 5 ms, measured as above).
//!
//! Before the first step the directory is synced: a loss of power must not bring the name of a
//! shortened file back. Nothing else depends on this module: a file that is not noticed, or is
//! still open when the process ends, is freed by the file system as ever.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

use super::Shared;
use super::database::tables_directories;
use super::journal;

/// Bytes freed at once: a step takes 3 to 5 ms.
const STEP_BYTES: u64 = 1024 * 1024;

/// Time for others between two steps. Files are freed at some 150 MB/s then.
const STEP_PAUSE: Duration = Duration::from_millis(2);

/// Smaller files are freed at once: it takes as long as two steps.
const LARGE_FILE_BYTES: u64 = 2 * STEP_BYTES;

/// Files kept open. Beyond that the oldest are let go: a store of ten million small objects has
/// 700 tables, and a process has 1,024 descriptors where nobody has set more.
const OPEN_FILES_MAX: usize = 192;

/// Deleted files that may wait to be freed, half a gigabyte of journals; more are freed at once.
const DELETED_FILES_MAX: usize = 8;

/// Bytes committed between two looks: a file has at least that much time to be noticed, as none
/// is filled and emptied by less.
const LOOK_EVERY_BYTES: u64 = 4 * 1024 * 1024;

/// Time between two looks when nothing is committed: flushes and compaction may go on.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Bytes for reports of the kernel: some hundred at a time.
const REPORT_BYTES: usize = 16 * 1024;

#[derive(Debug, Default)]
struct State {
    committed_bytes: u64,
    stopped: bool,
}

/// Tells the thread when to look.
#[derive(Debug, Default)]
pub(super) struct RetiredSignal {
    state: Mutex<State>,
    changed: Condvar,
}

impl RetiredSignal {
    /// To be called after a batch of so many bytes.
    pub(super) fn note_committed(&self, bytes: u64) {
        let mut state = self.state.lock();
        let before = state.committed_bytes;
        state.committed_bytes = before.saturating_add(bytes);
        if before < LOOK_EVERY_BYTES && state.committed_bytes >= LOOK_EVERY_BYTES {
            self.changed.notify_one();
        }
    }

    /// Ends the thread.
    pub(super) fn stop(&self) {
        self.state.lock().stopped = true;
        self.changed.notify_one();
    }

    /// Waits for the next look; false when it is time to end.
    fn wait(&self) -> bool {
        let mut state = self.state.lock();
        if !state.stopped && state.committed_bytes < LOOK_EVERY_BYTES {
            self.changed.wait_for(&mut state, LOOK_EVERY);
        }
        state.committed_bytes = 0;
        !state.stopped
    }

    /// Lets others have the device; false when it is time to end.
    fn pause(&self) -> bool {
        let mut state = self.state.lock();
        if !state.stopped {
            self.changed.wait_for(&mut state, STEP_PAUSE);
        }
        !state.stopped
    }
}

/// The thread.
pub(super) struct RetiredFiles {
    shared: Arc<Shared>,
    reports: OwnedFd,
    /// Directories that are watched, by the number that reports name them with.
    watched: BTreeMap<i32, PathBuf>,
    /// Oldest first.
    open: VecDeque<OpenFile>,
}

struct OpenFile {
    path: PathBuf,
    file: File,
}

impl RetiredFiles {
    /// Watches the directories of an open database.
    pub(super) fn new(shared: Arc<Shared>) -> io::Result<Self> {
        let reports = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let mut watched = BTreeMap::new();
        let directories = tables_directories(&shared.path)?;
        for directory in directories.into_iter().chain([shared.path.clone()]) {
            let appears = WatchFlags::CREATE | WatchFlags::MOVED_TO;
            let number = inotify::add_watch(&reports, &directory, appears)?;
            watched.insert(number, directory);
        }
        let mut retired = Self {
            shared,
            reports,
            watched,
            open: VecDeque::new(),
        };
        for directory in retired.watched.values().cloned().collect::<Vec<_>>() {
            for entry in std::fs::read_dir(directory)? {
                retired.open(&entry?.path());
            }
        }
        Ok(retired)
    }

    /// Runs until the signal says to stop.
    pub(super) fn run(mut self) {
        while self.shared.retired.wait() {
            self.notice_new_files();
            if !self.free_deleted_files() {
                return;
            }
        }
    }

    fn notice_new_files(&mut self) {
        let mut appeared = Vec::new();
        let mut buffer = [MaybeUninit::uninit(); REPORT_BYTES];
        let mut reports = inotify::Reader::new(&self.reports, &mut buffer);
        // Ends with an error when there is no report left. One that was lost costs a wait.
        while let Ok(report) = reports.next() {
            let directory = self.watched.get(&report.wd());
            let is_directory = report.events().contains(ReadFlags::ISDIR);
            if let (Some(directory), Some(name), false) =
                (directory, report.file_name(), is_directory)
                && let Ok(name) = name.to_str()
            {
                appeared.push(directory.join(name));
            }
        }
        for path in appeared {
            self.open(&path);
        }
    }

    /// Opens a journal or a table, unless it has gone already.
    fn open(&mut self, path: &Path) {
        let Some(directory) = path.parent() else {
            return;
        };
        let is_table = directory != self.shared.path;
        if !is_table && !journal::is_journal(path) {
            return;
        }
        let Ok(file) = File::options().write(true).open(path) else {
            return;
        };
        // A file system that counts no names at all could not tell when one is gone.
        if has_no_name(&file) {
            return;
        }
        if self.open.len() >= OPEN_FILES_MAX {
            self.open.pop_front();
        }
        self.open.push_back(OpenFile {
            path: path.into(),
            file,
        });
    }

    /// Frees what has no name any more; false when it is time to end.
    fn free_deleted_files(&mut self) -> bool {
        let (mut deleted, open): (VecDeque<OpenFile>, _) = std::mem::take(&mut self.open)
            .into_iter()
            .partition(|open| has_no_name(&open.file));
        self.open = open;
        deleted.truncate(DELETED_FILES_MAX);
        deleted.into_iter().all(|OpenFile { path, file }| {
            // Unless the deletion is durable, the file is left whole and freed by being closed.
            !matches!(is_durably_deleted(&path), Ok(true))
                || free_in_steps(&file, &self.shared.retired)
        })
    }
}

/// Whether nothing has this path, not even after a loss of power. What is shortened is lost, so the
/// count of a file's names is not all that decides; numbers of journals and tables never come back.
fn is_durably_deleted(path: &Path) -> io::Result<bool> {
    let Some(directory) = path.parent() else {
        return Ok(false);
    };
    if path.try_exists()? {
        return Ok(false);
    }
    File::open(directory)?.sync_all()?;
    Ok(true)
}

fn has_no_name(file: &File) -> bool {
    file.metadata().is_ok_and(|status| status.nlink() == 0)
}

/// Shortens a file to nothing; false when it is time to end. Closing it then frees the rest.
fn free_in_steps(file: &File, signal: &RetiredSignal) -> bool {
    let Ok(status) = file.metadata() else {
        return true;
    };
    if status.len() < LARGE_FILE_BYTES {
        return true;
    }
    let mut left = status.len();
    while left > 0 {
        left = left.saturating_sub(STEP_BYTES);
        if file.set_len(left).is_err() {
            return true;
        }
        if !signal.pause() {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deleted_file_is_freed_and_a_kept_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, vec![1; 3 * STEP_BYTES as usize + 17]).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let signal = RetiredSignal::default();
        assert!(free_in_steps(&file, &signal));
        assert_eq!(file.metadata().unwrap().len(), 0);
    }

    #[test]
    fn stopping_leaves_the_rest_to_the_file_system() {
        let directory = tempfile::tempdir().unwrap();
        let file = File::create(directory.path().join("file")).unwrap();
        file.set_len(64 * STEP_BYTES).unwrap();
        let signal = RetiredSignal::default();
        signal.stop();
        assert!(!free_in_steps(&file, &signal));
        assert!(file.metadata().unwrap().len() > 0);
    }
}
