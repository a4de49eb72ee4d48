//! Room on the file systems that a server stands on.

use std::io;
use std::path::Path;

use oncilla_meta::embedded::RESERVE_BYTES;

const MIB: u64 = 1 << 20;

/// The size of a file system, and what of it is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes that this process may still use.
    pub free_bytes: u64,
    /// Bytes in all.
    pub total_bytes: u64,
}

impl Room {
    /// On the file system of a directory.
    ///
    /// # Errors
    /// Whatever the operating system says.
    pub fn at(directory: &Path) -> io::Result<Self> {
        let device = rustix::fs::statvfs(directory)?;
        Ok(Self {
            free_bytes: device.f_bavail.saturating_mul(device.f_frsize),
            total_bytes: device.f_blocks.saturating_mul(device.f_frsize),
        })
    }

    /// Whether so little is free that the metadata engine refuses writes.
    pub fn is_short(self) -> bool {
        self.free_bytes < RESERVE_BYTES
    }
}

/// What has to be free in a data directory for anything to be written, and what is.
pub fn shortage(directory: &Path) -> String {
    let free = match Room::at(directory) {
        Ok(room) => format!(", and {} MiB are free", room.free_bytes / MIB),
        Err(_) => String::new(),
    };
    format!(
        "the disk of {} has to have {} MiB free, which are reserved for metadata and deletions{free}",
        directory.display(),
        RESERVE_BYTES / MIB
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_says_what_is_needed_and_what_there_is() {
        let directory = tempfile::tempdir().unwrap();
        let room = Room::at(directory.path()).unwrap();
        assert!(room.total_bytes > 0 && room.free_bytes <= room.total_bytes);
        let told = shortage(directory.path());
        assert!(told.contains(" 128 MiB free,"), "{told}");
        assert!(told.contains(" MiB are free"), "{told}");
        assert!(told.contains(directory.path().to_str().unwrap()), "{told}");
        let gone = directory.path().join("gone");
        assert!(!shortage(&gone).contains("are free"));
    }

    #[test]
    fn it_is_short_when_less_than_the_reserve_is_free() {
        for (free_bytes, is_short) in [(RESERVE_BYTES - 1, true), (RESERVE_BYTES, false)] {
            let total_bytes = 2 * RESERVE_BYTES;
            let room = Room {
                free_bytes,
                total_bytes,
            };
            assert_eq!(room.is_short(), is_short);
        }
    }
}
