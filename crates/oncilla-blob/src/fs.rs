//! The file system as the volumes need it, so that tests can put a failing one underneath.
//!
//! Every call may block; [`Volumes`](crate::Volumes) makes them off the asynchronous threads.

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustix::fs::FallocateFlags;
use rustix::io::{Errno, ReadWriteFlags};

use crate::mapping::Mapping;
pub use crate::mapping::View;

/// A directory of volume files.
pub trait FileSystem: Debug + Send + Sync + 'static {
    /// Creates `dir` and its parents if they are missing.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Creates a file for reading and writing; `AlreadyExists` if there is one.
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn VolumeFile>>;
    /// Opens an existing file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn VolumeFile>>;
    /// The names of the files in `dir` that are valid UTF-8, in no order.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Removes a file, or a link and the file that it leads to; open handles keep working.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes `link` lead to `target`, which need not exist yet; `AlreadyExists` if there is such a
    /// file or link. Opening the link opens the target.
    fn link(&self, target: &Path, link: &Path) -> io::Result<()>;
    /// Where a link leads; `None` if it is none.
    fn link_target(&self, path: &Path) -> io::Result<Option<PathBuf>>;
    /// Makes creations and removals in `dir` durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// Size of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileInfo {
    /// Length in bytes, holes included.
    pub length_bytes: u64,
    /// Bytes that occupy the device.
    pub allocated_bytes: u64,
}

/// An open volume file. All access is positional, so threads share a handle freely.
pub trait VolumeFile: Debug + Send + Sync + 'static {
    /// The size of the file.
    fn info(&self) -> io::Result<FileInfo>;
    /// Reads at most `buffer.len()` bytes; 0 at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// As `read_at`, but only what is in memory already; `WouldBlock` if nothing is.
    /// Any error only means: use `read_at`.
    fn read_at_nowait(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// A view of what is in memory of a range, without a copy; `None` if not all of it is, or if
    /// there are no views of this file. `None` only means: use `read_at`.
    fn view(&self, offset: u64, length: usize) -> Option<View>;
    /// Writes at most `bytes.len()` bytes and says how many.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    /// Reserves space and extends the file over it; `Unsupported` if the file system cannot.
    fn allocate(&self, offset: u64, length: u64) -> io::Result<()>;
    /// Frees the blocks of a range, which then reads as zeros; `Unsupported` if the file system
    /// cannot.
    fn punch_hole(&self, offset: u64, length: u64) -> io::Result<()>;
    /// Where the first data at or after `offset` lies; `None` if only holes follow.
    fn data_after(&self, offset: u64) -> io::Result<Option<u64>>;
    /// Makes the contents durable (`fdatasync`).
    fn sync_data(&self) -> io::Result<()>;
    /// Makes contents and attributes durable (`fsync`).
    fn sync_all(&self) -> io::Result<()>;
}

/// Reads until `buffer` is full or the file ends; says how many bytes were read.
pub(crate) fn read_full_at(
    file: &dyn VolumeFile,
    buffer: &mut [u8],
    offset: u64,
) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Writes all of `bytes`, however many calls that takes.
pub(crate) fn write_all_at(
    file: &dyn VolumeFile,
    mut bytes: &[u8],
    mut offset: u64,
) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                bytes = &bytes[count..];
                offset += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The operating system's own.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealFileSystem;

impl FileSystem for RealFileSystem {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        if dir.is_dir() {
            return Ok(());
        }
        std::fs::create_dir_all(dir)?;
        match dir.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => self.sync_dir(parent),
            _ => self.sync_dir(Path::new(".")),
        }
    }

    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn VolumeFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)?;
        Ok(RealFile::new(file))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn VolumeFile>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(RealFile::new(file))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if let Some(target) = self.link_target(path)? {
            match std::fs::remove_file(target) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        std::fs::remove_file(path)
    }

    fn link(&self, target: &Path, link: &Path) -> io::Result<()> {
        std::os::unix::fs::symlink(target, link)
    }

    fn link_target(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        match std::fs::read_link(path) {
            Ok(target) => Ok(Some(target)),
            // What readlink(2) says of everything that is no link.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }
}

#[derive(Debug)]
struct RealFile {
    file: File,
    /// Made when the first view is wanted.
    mapping: OnceLock<Option<Arc<Mapping>>>,
}

impl RealFile {
    fn new(file: File) -> Arc<RealFile> {
        let mapping = OnceLock::new();
        Arc::new(RealFile { file, mapping })
    }
}

impl VolumeFile for RealFile {
    fn info(&self) -> io::Result<FileInfo> {
        let metadata = self.file.metadata()?;
        // st_blocks counts units of 512 bytes, whatever the block size is.
        Ok(FileInfo {
            length_bytes: metadata.len(),
            allocated_bytes: metadata.blocks() * 512,
        })
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn read_at_nowait(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut slices = [io::IoSliceMut::new(buffer)];
        Ok(rustix::io::preadv2(
            &self.file,
            &mut slices,
            offset,
            ReadWriteFlags::NOWAIT,
        )?)
    }

    fn view(&self, offset: u64, length: usize) -> Option<View> {
        let mapping = self.mapping.get_or_init(|| Mapping::new(&self.file));
        mapping.as_ref()?.view(offset, length)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.file.write_at(bytes, offset)
    }

    fn allocate(&self, offset: u64, length: u64) -> io::Result<()> {
        fallocate(&self.file, FallocateFlags::empty(), offset, length)
    }

    fn punch_hole(&self, offset: u64, length: u64) -> io::Result<()> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        fallocate(&self.file, flags, offset, length)
    }

    fn data_after(&self, offset: u64) -> io::Result<Option<u64>> {
        // The file position this moves is used by nobody: all access is positional.
        match rustix::fs::seek(&self.file, rustix::fs::SeekFrom::Data(offset)) {
            Ok(found) => Ok(Some(found)),
            Err(Errno::NXIO) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

fn fallocate(file: &File, flags: FallocateFlags, offset: u64, length: u64) -> io::Result<()> {
    loop {
        match rustix::fs::fallocate(file, flags, offset, length) {
            Ok(()) => return Ok(()),
            // A long reservation can be interrupted by a signal; it is repeatable.
            Err(Errno::INTR) => {}
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Err(io::ErrorKind::Unsupported.into()),
            Err(errno) => return Err(errno.into()),
        }
    }
}
