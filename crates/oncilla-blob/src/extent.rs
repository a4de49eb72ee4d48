//! Names of volumes and extents.

use std::fmt;

/// The unit of allocation in a volume. Every extent begins and ends at a multiple of it, so that
/// releasing one gives back whole blocks and never touches a neighbour. 4 KiB is the block size of
/// the common file systems and the page size of the common machines.
pub const BLOCK_BYTES: u64 = 4096;

/// The number of a volume. Numbers only grow and are never given twice in a data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VolumeId(pub u64);

impl VolumeId {
    /// The file name of this volume: sixteen hexadecimal digits and `.vol`.
    #[must_use]
    pub fn file_name(self) -> String {
        format!("{:016x}.vol", self.0)
    }

    /// The volume whose file has this name; `None` for any other file.
    #[must_use]
    pub fn from_file_name(name: &str) -> Option<VolumeId> {
        let digits = name.strip_suffix(".vol")?;
        let lower_case = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if digits.len() != 16 || !digits.bytes().all(lower_case) {
            return None;
        }
        u64::from_str_radix(digits, 16).ok().map(VolumeId)
    }
}

impl fmt::Display for VolumeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

/// The place of an immutable run of bytes, and its identity: a place is never used a second time,
/// not even by another run of the program, so equal extents are equal bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Extent {
    /// The volume that holds it.
    pub volume: VolumeId,
    /// Where its header begins in the volume file, in bytes; a multiple of [`BLOCK_BYTES`].
    pub offset: u64,
    /// Bytes of payload, without header and checksums.
    pub length: u64,
}

impl fmt::Display for Extent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Extent {
            volume,
            offset,
            length,
        } = self;
        write!(formatter, "{volume}+{offset:#x} ({length} bytes)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn file_names_round_trip(number: u64) {
            let id = VolumeId(number);
            prop_assert_eq!(VolumeId::from_file_name(&id.file_name()), Some(id));
        }

        #[test]
        fn only_canonical_file_names_are_volumes(name in ".{0,24}") {
            if let Some(id) = VolumeId::from_file_name(&name) {
                prop_assert_eq!(id.file_name(), name);
            }
        }
    }

    #[test]
    fn other_spellings_are_not_volumes() {
        for name in [
            "1.vol",
            "+00000000000000f.vol",
            "000000000000000A.vol",
            "next",
            ".vol",
        ] {
            assert_eq!(VolumeId::from_file_name(name), None, "{name}");
        }
    }
}
