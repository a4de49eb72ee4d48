//! Settings of the volumes and their limits.

use std::path::PathBuf;

use crate::error::OpenError;
use crate::extent::BLOCK_BYTES;
use crate::format::{EXTENT_BYTES_LIMIT, FRAME_BYTES_MAX, FRAME_BYTES_MIN, GROUP_BYTES_MAX};
use crate::format::{VOLUME_BYTES_LIMIT, region_bytes};

/// When a finished extent is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Durability {
    /// When the device says it has the bytes (`fdatasync`, shared by all that wait).
    #[default]
    Sync,
    /// When the operating system has the bytes: survives the end of the process, not of the power.
    Os,
}

/// Settings of [`Volumes`](crate::Volumes).
#[derive(Clone, Debug)]
pub struct VolumeOptions {
    /// A volume file takes no further extent beyond this size, in bytes. A gigabyte keeps the
    /// number of files small (a thousand per terabyte) and a file short enough to move or check.
    pub volume_bytes: u64,
    /// The longest payload of one extent, in bytes; longer objects have several extents.
    pub extent_bytes_max: u64,
    /// Bytes under one checksum: what the smallest read costs against the size of the table.
    /// A power of two.
    pub frame_bytes: u32,
    /// When a finished extent is acknowledged.
    pub durability: Durability,
    /// Written into each volume's header, for whoever finds the file: what it belongs to.
    /// At most [`GROUP_BYTES_MAX`] bytes of UTF-8.
    pub group: String,
}

/// A directory of its own for some of the volumes: another device, for what is seldom read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeGroup {
    /// Written into the headers of its volumes; at most [`GROUP_BYTES_MAX`] bytes.
    pub name: String,
    /// Where they are, as an absolute path. Made if it is missing.
    pub dir: PathBuf,
}

/// Where new extents go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct GroupId(pub(crate) usize);

impl GroupId {
    /// The directory of the volumes itself.
    pub const DEFAULT: Self = Self(0);
}

impl Default for VolumeOptions {
    fn default() -> VolumeOptions {
        VolumeOptions {
            volume_bytes: 1 << 30,
            extent_bytes_max: 256 << 20,
            frame_bytes: 64 << 10,
            durability: Durability::Sync,
            group: "default".to_owned(),
        }
    }
}

impl VolumeOptions {
    pub(crate) fn check(&self) -> Result<(), OpenError> {
        let wrong = |option, allowed| Err(OpenError::Option { option, allowed });
        if !self.frame_bytes.is_power_of_two()
            || !(FRAME_BYTES_MIN..=FRAME_BYTES_MAX).contains(&self.frame_bytes)
        {
            return wrong("frame_bytes", "a power of two from 4 KiB to 1 MiB");
        }
        if self.extent_bytes_max == 0 || self.extent_bytes_max > EXTENT_BYTES_LIMIT {
            return wrong("extent_bytes_max", "1 byte to 1 GiB");
        }
        if self.volume_bytes > VOLUME_BYTES_LIMIT
            || self.volume_bytes
                < BLOCK_BYTES + region_bytes(self.extent_bytes_max, self.frame_bytes)
        {
            return wrong(
                "volume_bytes",
                "room for the longest extent, and at most 1 TiB",
            );
        }
        if self.group.len() > GROUP_BYTES_MAX {
            return wrong("group", "at most 64 bytes");
        }
        Ok(())
    }
}
