//! Headers of volumes and extents.

use oncilla_blob::format::{
    EXTENT_BYTES_LIMIT, EXTENT_HEADER_BYTES, ExtentHeader, FRAME_BYTES_MAX, FRAME_BYTES_MIN,
    GROUP_BYTES_MAX, HeadError, VOLUME_HEADER_BYTES, VolumeHeader, fuzz_decode,
};
use oncilla_hash::crc32c;

/// Where the checksum lies in both headers, after the magic.
const CHECKSUM_AT: usize = 8;
const CHECKSUMMED_FROM: usize = 12;

/// A volume's header, as it is and with its magic and checksum put right, since chance never finds
/// either. What is read is written as the same; a header with one byte changed is refused.
pub fn volume_header(data: &[u8]) {
    fuzz_decode(data);
    check_volume(data);
    let mut header = data.to_vec();
    header.resize(VOLUME_HEADER_BYTES as usize, 0);
    put_right(&mut header, b"ONCILVOL");
    assert!(VolumeHeader::decode(&header).is_some());
    check_volume(&header);
    check_damage(data, &mut header, |header| {
        VolumeHeader::decode(header).is_some()
    });
}

fn check_volume(data: &[u8]) {
    let Some(header) = VolumeHeader::decode(data) else {
        return;
    };
    // What is not UTF-8 becomes longer by being shown.
    if header.group.len() <= GROUP_BYTES_MAX {
        assert_eq!(VolumeHeader::decode(&header.encode()), Some(header));
    }
}

/// An extent's header with its table, likewise.
pub fn extent_header(data: &[u8]) {
    fuzz_decode(data);
    check_extent(data);
    let mut head = data.to_vec();
    head.resize(head.len().max(EXTENT_HEADER_BYTES as usize), 0);
    head[..CHECKSUM_AT].copy_from_slice(b"ONCILEXT");
    if let Err(HeadError::Short { needed_bytes }) = ExtentHeader::decode(&head) {
        let needed = usize::try_from(needed_bytes).unwrap_or(usize::MAX);
        assert!(needed > head.len());
        // Long tables tell nothing that short ones do not.
        const HEAD_BYTES_TRIED: usize = 64 << 10;
        if needed > HEAD_BYTES_TRIED {
            return;
        }
        head.resize(needed, 0);
    }
    put_right_extent(&mut head);
    if check_extent(&head) {
        check_damage(data, &mut head, |head| ExtentHeader::decode(head).is_ok());
    }
}

/// The checksum covers only as much as the length asks for.
fn put_right_extent(head: &mut Vec<u8>) {
    let number = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&head[at..at + 8]);
        u64::from_le_bytes(bytes)
    };
    let length = number(16);
    let frame_bytes = number(40) & u64::from(u32::MAX);
    if length > EXTENT_BYTES_LIMIT || frame_bytes == 0 {
        return;
    }
    let needed = EXTENT_HEADER_BYTES + 4 * length.div_ceil(frame_bytes);
    let needed = usize::try_from(needed).unwrap_or(usize::MAX);
    if needed <= head.len() {
        head.truncate(needed);
        put_right(head, b"ONCILEXT");
    }
}

/// Whether it is an intact header.
fn check_extent(data: &[u8]) -> bool {
    match ExtentHeader::decode(data) {
        Ok(header) => {
            let frame_bytes = header.frame_bytes;
            assert!(frame_bytes.is_power_of_two());
            assert!((FRAME_BYTES_MIN..=FRAME_BYTES_MAX).contains(&frame_bytes));
            assert!(header.extent.length <= EXTENT_BYTES_LIMIT);
            let frames = header.extent.length.div_ceil(u64::from(frame_bytes));
            assert!(data.len() as u64 >= EXTENT_HEADER_BYTES + 4 * frames);
            true
        }
        Err(HeadError::Short { needed_bytes }) => {
            assert!(needed_bytes > data.len() as u64);
            assert!(needed_bytes <= EXTENT_HEADER_BYTES + (1 << 20));
            false
        }
        Err(HeadError::Absent) => {
            assert!(
                data.iter()
                    .take(EXTENT_HEADER_BYTES as usize)
                    .all(|byte| *byte == 0)
            );
            false
        }
        Err(HeadError::Damaged | HeadError::Unsupported { .. }) => false,
    }
}

fn put_right(header: &mut [u8], magic: &[u8; CHECKSUM_AT]) {
    header[..CHECKSUM_AT].copy_from_slice(magic);
    let checksum = crc32c(&header[CHECKSUMMED_FROM..]);
    header[CHECKSUM_AT..CHECKSUMMED_FROM].copy_from_slice(&checksum.to_le_bytes());
}

/// One byte changed, at a place that the input decides, is noticed.
fn check_damage(data: &[u8], header: &mut [u8], is_intact: impl Fn(&[u8]) -> bool) {
    let at = crc32c(data) as usize % header.len();
    for change in [1, 0x80, 0xff] {
        header[at] ^= change;
        assert!(
            !is_intact(header),
            "byte {at} changed by {change} goes unnoticed"
        );
        header[at] ^= change;
    }
}
