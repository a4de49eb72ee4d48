//! The bytes on disk: encoders and decoders. The crate's front page describes the layout in prose.
//!
//! Decoders take bytes that may be damaged: they never panic, and what they allocate is bounded by
//! the limits below.

use oncilla_hash::crc32c;

use crate::extent::{BLOCK_BYTES, Extent, VolumeId};

/// Shortest frame, in bytes. Shorter ones would only be reads of less than a page.
pub const FRAME_BYTES_MIN: u32 = 4 << 10;
/// Longest frame, in bytes: the memory that the smallest read needs.
pub const FRAME_BYTES_MAX: u32 = 1 << 20;
/// Longest payload of an extent, in bytes. With the shortest frames its table is 1 MiB, which
/// bounds what a reader of damaged bytes allocates.
pub const EXTENT_BYTES_LIMIT: u64 = 1 << 30;
/// Longest volume, in bytes; ext4 with 4 KiB blocks ends at 16 TiB.
pub const VOLUME_BYTES_LIMIT: u64 = 1 << 40;
/// Longest name of a volume's group, in bytes: the room its header has.
pub const GROUP_BYTES_MAX: usize = 64;

/// Size of a volume's header, in bytes: one block, so that extents stay aligned.
pub const VOLUME_HEADER_BYTES: u64 = BLOCK_BYTES;
/// Size of an extent's header without its table, in bytes.
pub const EXTENT_HEADER_BYTES: u64 = 64;
/// The version of both headers that this release writes, and the newest it reads.
pub const FORMAT_VERSION: u16 = 1;

const VOLUME_MAGIC: &[u8; 8] = b"ONCILVOL";
const EXTENT_MAGIC: &[u8; 8] = b"ONCILEXT";
/// Where the checksum of either header ends and the bytes it covers begin.
const CHECKSUMMED_FROM: usize = 12;
/// The only cipher there is so far: none.
const CIPHER_NONE: u16 = 0;

/// Bytes of header and table of an extent with this payload.
pub(crate) fn head_bytes(length: u64, frame_bytes: u32) -> u64 {
    EXTENT_HEADER_BYTES + 4 * length.div_ceil(u64::from(frame_bytes))
}

/// Bytes an extent with this payload occupies in its volume.
pub(crate) fn region_bytes(length: u64, frame_bytes: u32) -> u64 {
    (head_bytes(length, frame_bytes) + length).next_multiple_of(BLOCK_BYTES)
}

/// The header at the beginning of a volume file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeHeader {
    /// Format version of the volume.
    pub version: u16,
    /// Its number, as in its file name.
    pub id: VolumeId,
    /// When it was created, in milliseconds since 1970.
    pub created_unix_ms: u64,
    /// The group it belongs to.
    pub group: String,
}

impl VolumeHeader {
    /// The header's bytes, one block.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; VOLUME_HEADER_BYTES as usize];
        // VolumeOptions::check has refused longer names; the cut only keeps this free of panics.
        let group = &self.group.as_bytes()[..self.group.len().min(GROUP_BYTES_MAX)];
        bytes[..8].copy_from_slice(VOLUME_MAGIC);
        bytes[12..14].copy_from_slice(&self.version.to_le_bytes());
        bytes[14..16].copy_from_slice(&(group.len() as u16).to_le_bytes());
        bytes[16..24].copy_from_slice(&self.id.0.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.created_unix_ms.to_le_bytes());
        bytes[32..32 + group.len()].copy_from_slice(group);
        let checksum = crc32c(&bytes[CHECKSUMMED_FROM..]);
        bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads a header; `None` if it is damaged. One of a newer version decodes too (its place of
    /// magic, checksum and version is fixed for ever), for the caller to refuse.
    pub fn decode(bytes: &[u8]) -> Option<VolumeHeader> {
        let bytes = bytes.get(..VOLUME_HEADER_BYTES as usize)?;
        if !bytes.starts_with(VOLUME_MAGIC) {
            return None;
        }
        if crc32c(&bytes[CHECKSUMMED_FROM..]) != u32_at(bytes, 8) {
            return None;
        }
        let group_bytes = usize::from(u16_at(bytes, 14)).min(GROUP_BYTES_MAX);
        Some(VolumeHeader {
            version: u16_at(bytes, 12),
            id: VolumeId(u64_at(bytes, 16)),
            created_unix_ms: u64_at(bytes, 24),
            group: String::from_utf8_lossy(&bytes[32..32 + group_bytes]).into_owned(),
        })
    }
}

/// The header of an extent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtentHeader {
    /// The place it was written for and the length of its payload.
    pub extent: Extent,
    /// Bytes under one checksum.
    pub frame_bytes: u32,
}

/// Why the head of an extent, which is its header and table, cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    /// Zeros: never written, or released.
    Absent,
    /// It needs this many bytes from the start of the extent to be checked.
    Short {
        /// Bytes needed, at most 1 MiB and a bit.
        needed_bytes: u64,
    },
    /// Not a header, or not matching its checksum.
    Damaged,
    /// Intact, but of another version or cipher.
    Unsupported {
        /// The version it names.
        version: u16,
        /// The cipher it names.
        cipher: u16,
    },
}

impl ExtentHeader {
    /// Bytes of header and table.
    pub(crate) fn head_bytes(&self) -> u64 {
        head_bytes(self.extent.length, self.frame_bytes)
    }

    /// Writes header and table into `head`, whose length must be [`Self::head_bytes`].
    pub(crate) fn encode_into(&self, head: &mut [u8], checksums: &[u32]) {
        let (header, table) = head.split_at_mut(EXTENT_HEADER_BYTES as usize);
        header.fill(0);
        header[..8].copy_from_slice(EXTENT_MAGIC);
        header[12..14].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        header[14..16].copy_from_slice(&CIPHER_NONE.to_le_bytes());
        header[16..24].copy_from_slice(&self.extent.length.to_le_bytes());
        header[24..32].copy_from_slice(&self.extent.volume.0.to_le_bytes());
        header[32..40].copy_from_slice(&self.extent.offset.to_le_bytes());
        header[40..44].copy_from_slice(&self.frame_bytes.to_le_bytes());
        // 44..56 is the nonce and 56..64 reserved, zeros both as long as there is no cipher.
        debug_assert_eq!(table.len(), 4 * checksums.len());
        for (entry, checksum) in table.chunks_exact_mut(4).zip(checksums) {
            entry.copy_from_slice(&checksum.to_le_bytes());
        }
        let checksum = crc32c(&head[CHECKSUMMED_FROM..]);
        head[8..12].copy_from_slice(&checksum.to_le_bytes());
    }

    /// Checks the head of an extent at the start of `bytes`, which may be longer.
    pub fn decode(bytes: &[u8]) -> Result<ExtentHeader, HeadError> {
        let Some(header) = bytes.get(..EXTENT_HEADER_BYTES as usize) else {
            return Err(HeadError::Short {
                needed_bytes: EXTENT_HEADER_BYTES,
            });
        };
        if header.iter().all(|byte| *byte == 0) {
            return Err(HeadError::Absent);
        }
        let length = u64_at(header, 16);
        let frame_bytes = u32_at(header, 40);
        if !header.starts_with(EXTENT_MAGIC)
            || length > EXTENT_BYTES_LIMIT
            || !frame_bytes.is_power_of_two()
            || !(FRAME_BYTES_MIN..=FRAME_BYTES_MAX).contains(&frame_bytes)
        {
            return Err(HeadError::Damaged);
        }
        let needed_bytes = head_bytes(length, frame_bytes);
        let Some(head) = bytes.get(..needed_bytes as usize) else {
            return Err(HeadError::Short { needed_bytes });
        };
        if crc32c(&head[CHECKSUMMED_FROM..]) != u32_at(head, 8) {
            return Err(HeadError::Damaged);
        }
        let (version, cipher) = (u16_at(head, 12), u16_at(head, 14));
        if version != FORMAT_VERSION || cipher != CIPHER_NONE {
            return Err(HeadError::Unsupported { version, cipher });
        }
        let volume = VolumeId(u64_at(head, 24));
        let extent = Extent {
            volume,
            offset: u64_at(head, 32),
            length,
        };
        Ok(ExtentHeader {
            extent,
            frame_bytes,
        })
    }
}

/// The checksums of consecutive frames, the last of which may be short.
pub(crate) fn frame_checksums(payload: &[u8], frame_bytes: u32) -> Vec<u32> {
    payload.chunks(frame_bytes as usize).map(crc32c).collect()
}

/// Entry for fuzzers: decodes arbitrary bytes as either header, and must not panic.
pub fn fuzz_decode(bytes: &[u8]) {
    let _ = VolumeHeader::decode(bytes);
    let _ = ExtentHeader::decode(bytes);
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(header: &ExtentHeader) -> Vec<u8> {
        let frames = header.extent.length.div_ceil(u64::from(header.frame_bytes));
        let checksums: Vec<u32> = (0..frames as u32).map(|frame| frame ^ 0x5a5a).collect();
        let mut head = vec![0; header.head_bytes() as usize];
        header.encode_into(&mut head, &checksums);
        head
    }

    fn any_header() -> impl Strategy<Value = ExtentHeader> {
        (any::<u64>(), any::<u64>(), 0..4_000_000u64, 12..=20u32).prop_map(
            |(volume, offset, length, frame_bits)| ExtentHeader {
                extent: Extent {
                    volume: VolumeId(volume),
                    offset,
                    length,
                },
                frame_bytes: 1 << frame_bits,
            },
        )
    }

    proptest! {
        #[test]
        fn extent_headers_round_trip(header in any_header()) {
            prop_assert_eq!(ExtentHeader::decode(&encoded(&header)), Ok(header));
        }

        #[test]
        fn any_flipped_bit_in_an_extent_head_is_noticed(header in any_header(), at: prop::sample::Index) {
            let mut head = encoded(&header);
            let bit = at.index(head.len() * 8);
            head[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(ExtentHeader::decode(&head).is_err());
        }

        #[test]
        fn cut_heads_ask_for_what_they_need(header in any_header(), at: prop::sample::Index) {
            let head = encoded(&header);
            let cut = at.index(head.len());
            let needed_bytes = if cut < 64 { 64 } else { head.len() as u64 };
            prop_assert_eq!(
                ExtentHeader::decode(&head[..cut]),
                Err(HeadError::Short { needed_bytes })
            );
        }

        #[test]
        fn volume_headers_round_trip_and_notice_flips(
            version: u16, id: u64, created_unix_ms: u64, group in "[a-z]{0,64}", bit in 0..4096usize * 8
        ) {
            let header = VolumeHeader { version, id: VolumeId(id), created_unix_ms, group };
            let mut bytes = header.encode();
            prop_assert_eq!(VolumeHeader::decode(&bytes), Some(header));
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(VolumeHeader::decode(&bytes), None);
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..9000), magic: bool) {
            if magic && bytes.len() > 64 {
                bytes[..8].copy_from_slice(EXTENT_MAGIC);
                bytes[40..44].copy_from_slice(&65536u32.to_le_bytes());
            }
            fuzz_decode(&bytes);
        }
    }

    #[test]
    fn newer_versions_are_told_from_damage() {
        let extent = Extent {
            volume: VolumeId(3),
            offset: 4096,
            length: 10,
        };
        let mut head = encoded(&ExtentHeader {
            extent,
            frame_bytes: 4096,
        });
        head[12] = 2;
        let checksum = crc32c(&head[CHECKSUMMED_FROM..]);
        head[8..12].copy_from_slice(&checksum.to_le_bytes());
        let unsupported = HeadError::Unsupported {
            version: 2,
            cipher: 0,
        };
        assert_eq!(ExtentHeader::decode(&head), Err(unsupported));
    }
}
