//! Volumes: large append-only files that hold the bytes of objects.
//!
//! An *extent* is a contiguous run of bytes in a volume with the checksums of its frames beside it.
//! Extents are immutable and their place is never used again, so a reader needs no lock; what is
//! no longer wanted is *released*, which gives its blocks back to the file system at once
//! (hole punching), without moving a neighbour.
//!
//! ```
//! use std::sync::Arc;
//! use bytes::Bytes;
//! use oncilla_blob::{VolumeOptions, Volumes, fs::RealFileSystem};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let dir = dir.path();
//! let fs = Arc::new(RealFileSystem);
//! let volumes = Volumes::open(fs, dir.join("volumes"), VolumeOptions::default())?;
//!
//! let mut writer = volumes.begin(11).await?; // reserves the space
//! writer.write(Bytes::from_static(b"hello ")).await?;
//! writer.write(Bytes::from_static(b"world")).await?;
//! let extent = writer.finish().await?; // on the device from here on
//!
//! let mut reader = volumes.read(extent, 6..11);
//! assert_eq!(reader.next().await?.as_deref(), Some(&b"world"[..]));
//! drop(reader);
//!
//! volumes.release(extent).await?; // its blocks are free again
//! volumes.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! # On disk
//!
//! All integers are little-endian, all checksums CRC32C (Castagnoli). A volume is a file named by
//! its number, `<16 hexadecimal digits>.vol`. It begins with a header of 4096 bytes:
//!
//! | Offset | Bytes | Volume header |
//! |-------:|------:|---|
//! | 0 | 8 | `ONCILVOL` |
//! | 8 | 4 | checksum of bytes 12..4096 |
//! | 12 | 2 | format version, 1 |
//! | 14 | 2 | length of the group's name, at most 64 |
//! | 16 | 8 | number of the volume |
//! | 24 | 8 | created, milliseconds since 1970 |
//! | 32 | 64 | name of the group, UTF-8 |
//! | 96 | 4000 | zeros |
//!
//! Extents follow. Each begins and ends at a multiple of 4096, and is a header, the table of
//! checksums and the payload, without a gap; zeros fill its last block:
//!
//! | Offset | Bytes | Extent |
//! |-------:|------:|---|
//! | 0 | 8 | `ONCILEXT` |
//! | 8 | 4 | checksum of all from byte 12 to the end of the table |
//! | 12 | 2 | format version, 1 |
//! | 14 | 2 | cipher; 0 is none, no other exists yet |
//! | 16 | 8 | length of the payload |
//! | 24 | 8 | number of the volume |
//! | 32 | 8 | offset of this header in the volume |
//! | 40 | 4 | bytes per frame, a power of two from 4 KiB to 1 MiB |
//! | 44 | 12 | nonce of the cipher; zeros |
//! | 56 | 8 | reserved; zeros |
//! | 64 | 4 n | the table: one checksum per frame, the last of which may be short |
//! | 64 + 4 n | length | the payload |
//!
//! The header names its own volume and offset, so a write that went to a wrong place is noticed.
//! It is written last (or at once with all the rest), and its checksum covers the table, whose
//! checksums cover the payload: an extent is intact as a whole or known not to be. The volume's
//! header serves whoever finds the file, and stops an old program before a new format; no extent
//! depends on it.
//!
//! # A place is never used twice
//!
//! A number that came back would let a stale reference, such as a release repeated after a crash,
//! reach somebody else's bytes. Therefore:
//!
//! - Each run begins a volume of its own with its first extent, numbered one above all the files in
//!   the directory, and only ever appends to it. It never appends to a volume of an earlier run, in
//!   which nobody can tell what a crash has left.
//! - A new volume, header and directory entry, is synced before any extent is placed in it,
//!   whatever the durability of extents.
//! - The newest volume is never deleted. An older one is, when nothing is left in it and a newer
//!   one is durable. So after a crash at any moment the greatest number ever given to an extent is
//!   still in the directory, without a file that counts, which would itself have to be kept in step.
//!
//! # Groups
//!
//! Volumes may lie in further directories, on other devices. Such a volume is a link of its number's name
//! in the one directory, which leads to the file; so all numbers are in one place, and whoever
//! opens a volume needs not know of groups. The link is made, and synced, before the file: after a crash
//! between them it leads nowhere, and the number is spent. Each directory is marked, so that
//! one that is not mounted is not taken for one whose volumes were deleted.
//!
//! # Durability
//!
//! [`ExtentWriter::finish`] returns when one `fdatasync` after its last write has succeeded. One
//! thread syncs for all; those who come while it is busy share its next sync. After a sync
//! has *failed*, the kernel may count the pages it could not write as clean, so that the next one
//! succeeds and proves nothing. The volume is therefore sealed at once, everybody who waits for it
//! or would later gets the error, and new extents go to a new volume.
//!
//! What is left by a crash is garbage and never wrong bytes: space of extents that were not
//! acknowledged, and of releases that did not reach the device. [`Volumes::collect`] frees it,
//! given the extents that records refer to.
//!
//! # Memory
//!
//! A writer holds at most 512 KiB and its table, a reader one step of 256 KiB and its table (or one
//! frame, where frames are longer than that), unless the page cache has the bytes, which are then
//! given as they lie there; a table has 4 bytes per frame, 16 KiB for the
//! longest extent of the default options. At most 512 file handles are kept open.
//!
//! # Trying what cannot be tried
//!
//! [`testing::FaultyFileSystem`] loses power, fills up, fails and decays on demand;
//! [`conformance`] holds the promises above as checks that run on it and on the real one.

mod allocator;
pub mod conformance;
mod error;
mod extent;
pub mod format;
pub mod fs;
mod groups;
mod handles;
mod mapping;
mod options;
mod pins;
mod reader;
mod shared;
mod stats;
pub mod testing;
mod threads;
mod volumes;
mod writer;

pub use error::{Damage, OpenError, ReadError, WriteError};
pub use extent::{BLOCK_BYTES, Extent, VolumeId};
pub use groups::further_directories;
pub use options::{Durability, GroupId, VolumeGroup, VolumeOptions};
pub use reader::ExtentReader;
pub use stats::{SYNC_SECONDS_BOUNDS, SyncHistogram, VolumeStats};
pub use volumes::{Pin, Released, VolumeInfo, Volumes};
pub use writer::ExtentWriter;
