//! What can go wrong, one enum per door.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::extent::{Extent, VolumeId};

/// Why the volumes of a directory could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A setting is outside its limits.
    #[error("volume option {option}: {allowed}")]
    Option {
        /// The name of the field of [`VolumeOptions`](crate::VolumeOptions).
        option: &'static str,
        /// What is allowed.
        allowed: &'static str,
    },
    /// The newest volume was written by a newer release. Nothing was changed.
    #[error("volume {volume} has format version {version}, newer than this program reads")]
    NewerFormat {
        /// The volume.
        volume: VolumeId,
        /// The version it names.
        version: u16,
    },
    /// Volumes lie in a directory that is not the one they were put in: perhaps it is not mounted.
    #[error("{} holds volumes and is missing or another directory: is it mounted?", .0.display())]
    GroupMissing(PathBuf),
    /// Two groups have one name or directory.
    #[error("the volume group {0} is named twice, or its directory is")]
    GroupTwice(String),
    /// Every number is taken; it means a damaged directory, for nobody lives that long.
    #[error("no volume number is left above {0}")]
    NumbersExhausted(VolumeId),
    /// The file system refused.
    #[error("cannot open the volume directory: {0}")]
    Io(#[from] io::Error),
}

/// Why bytes were not written, or not released. Nothing was acknowledged, and what was reserved is
/// given back in the background.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WriteError {
    /// The file system or the quota is full. Service resumes by itself once there is space.
    #[error("no space left for volumes")]
    NoSpace,
    /// The extent would be longer than [`VolumeOptions::extent_bytes_max`](crate::VolumeOptions).
    #[error("an extent of {length} bytes exceeds the limit of {limit}")]
    TooLong {
        /// Bytes asked for.
        length: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// The bytes written are not as many as were announced to `begin`.
    #[error("{written} bytes written to an extent of {declared}")]
    LengthMismatch {
        /// Bytes announced.
        declared: u64,
        /// Bytes that came.
        written: u64,
    },
    /// A call to `write` was cancelled or failed, so the extent has a hole; only dropping is left.
    #[error("an earlier write to this extent was cancelled or failed")]
    Interrupted,
    /// The volume failed to sync and takes nothing more; the next `begin` uses another.
    #[error("volume {volume} failed: {source}")]
    VolumeFailed {
        /// The volume.
        volume: VolumeId,
        /// Its first error.
        source: Arc<io::Error>,
    },
    /// The place to release holds something else than this extent; nothing was touched. It means
    /// a damaged header or a damaged record that names the extent.
    #[error("{extent} is not what the volume holds there")]
    NotThisExtent {
        /// The extent asked for.
        extent: Extent,
    },
    /// The volume cannot be collected: this run of the program writes to it.
    #[error("volume {0} is in use")]
    VolumeInUse(VolumeId),
    /// The file system refused.
    #[error("volume write failed: {0}")]
    Io(Arc<io::Error>),
    /// [`Volumes::shutdown`](crate::Volumes::shutdown) was called.
    #[error("the volumes are shut down")]
    Closed,
}

impl From<io::Error> for WriteError {
    fn from(error: io::Error) -> WriteError {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => WriteError::NoSpace,
            _ => WriteError::Io(Arc::new(error)),
        }
    }
}

/// Why bytes could not be read. No byte of a frame is handed out before its checksum was verified.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// There is nothing at this place: no such volume, or zeros where the header was (released).
    #[error("{extent} does not exist")]
    Missing {
        /// The extent asked for.
        extent: Extent,
    },
    /// What is stored there is not what was written.
    #[error("{extent} is damaged: {damage}")]
    Damaged {
        /// The extent asked for.
        extent: Extent,
        /// What is wrong.
        damage: Damage,
    },
    /// The extent was written by a newer release, or with a cipher this one does not have.
    #[error("{extent} has format version {version} and cipher {cipher}, not known here")]
    Unsupported {
        /// The extent asked for.
        extent: Extent,
        /// The version in its header.
        version: u16,
        /// The cipher in its header.
        cipher: u16,
    },
    /// The range asked for does not lie in the extent.
    #[error("bytes {start}..{end} do not lie in {extent}")]
    Range {
        /// The extent asked for.
        extent: Extent,
        /// First byte asked for.
        start: u64,
        /// Byte after the last.
        end: u64,
    },
    /// The file system refused, a device error for instance.
    #[error("{extent} cannot be read: {source}")]
    Io {
        /// The extent asked for.
        extent: Extent,
        /// What it said.
        source: Arc<io::Error>,
    },
}

/// What is wrong with a damaged extent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The header is not one, or it and the table of checksums do not match their own checksum.
    #[error("the header or the table of checksums is damaged")]
    Header,
    /// An intact header, but of another extent: a misdirected write, or a wrong record.
    #[error("the header belongs to another extent")]
    OtherExtent,
    /// The file ends inside the extent.
    #[error("the volume file is too short")]
    Truncated,
    /// A frame does not match its checksum.
    #[error("frame {index} does not match its checksum")]
    Frame {
        /// Which frame, counted from zero.
        index: u32,
    },
}
