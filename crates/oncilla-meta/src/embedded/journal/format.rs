//! The layout of the library's journal files.
//!
//! It is that of fjall 3.1.13, `journal/entry.rs`, all numbers little-endian. A batch is
//!
//! - a start entry: tag 1, item count `u32`, batch number `u64`;
//! - its items: tag 2, value type `u8`, compression `u8`, keyspace `u64`, key length `u16`, value
//!   length `u32`, stored length `u32`, key, stored value; or tag 4, keyspace `u64`;
//! - an end entry: tag 3, checksum `u64`, magic.
//!
//! The checksum is XXH3-64 (seed 0) over the item entries as they lie in the file, tags included
//! (`journal/writer.rs`, `write_batch`). It covers neither the start entry nor the end entry, so a
//! changed batch number is only noticed by its being out of order.

use std::io::{self, Read};

use xxhash_rust::xxh3::Xxh3;

use crate::check::DEFAULT_LIMITS;

const MAGIC: &[u8] = b"FJL\x03";
const TAG_START: u8 = 1;
const TAG_ITEM: u8 = 2;
const TAG_END: u8 = 3;
const TAG_CLEAR: u8 = 4;

const START_BYTES: usize = 13;
const ITEM_HEAD_BYTES: usize = 21;
const CLEAR_BYTES: usize = 9;
const END_BYTES: usize = 13;

/// Value types that the library knows, and compressions; it stops at any other.
const VALUE_TYPES: [u8; 4] = [0, 1, 2, 4];
const COMPRESSIONS: [u8; 2] = [0, 1];

/// How often [`has_later_batch`] may walk over each byte, on average. Bytes that were written as
/// batches are walked over a few times at most; only bytes that somebody made up want more.
const WALKS_MAX: u64 = 16;

/// A whole batch: all its entries are there, and the checksum is that of its items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) number: u64,
    /// Where in the file it begins and ends.
    pub(super) begin: u64,
    pub(super) end: u64,
}

/// Reads batch after batch until the first that is not whole.
pub(super) struct Walk<R> {
    from: R,
    /// Bytes read so far, whether they belong to a whole batch or not.
    position: u64,
    checksum: Xxh3,
}

impl<R: Read> Walk<R> {
    pub(super) fn new(from: R) -> Self {
        Self {
            from,
            position: 0,
            checksum: Xxh3::new(),
        }
    }

    /// The next batch, or none if what follows the last one is not a whole batch. After none, the
    /// walk must not be continued.
    pub(super) fn next_batch(&mut self) -> io::Result<Option<Batch>> {
        match self.read_batch() {
            Ok(batch) => Ok(batch),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read_batch(&mut self) -> io::Result<Option<Batch>> {
        let begin = self.position;
        let start: [u8; START_BYTES] = self.read()?;
        let Some((items, number)) = parse_start(&start) else {
            return Ok(None);
        };
        self.checksum.reset();
        for _ in 0..items {
            if !self.read_item()? {
                return Ok(None);
            }
        }
        let end: [u8; END_BYTES] = self.read()?;
        if end[0] != TAG_END || !end.ends_with(MAGIC) {
            return Ok(None);
        }
        if u64_at(&end, 1) != self.checksum.digest() {
            return Ok(None);
        }
        Ok(Some(Batch {
            number,
            begin,
            end: self.position,
        }))
    }

    /// Reads an item; false if it is none.
    fn read_item(&mut self) -> io::Result<bool> {
        let [tag] = self.read()?;
        self.checksum.update(&[tag]);
        if tag == TAG_CLEAR {
            let keyspace: [u8; CLEAR_BYTES - 1] = self.read()?;
            self.checksum.update(&keyspace);
            return Ok(true);
        }
        if tag != TAG_ITEM {
            return Ok(false);
        }
        let head: [u8; ITEM_HEAD_BYTES - 1] = self.read()?;
        self.checksum.update(&head);
        let (value_type, compression) = (head[0], head[1]);
        if !VALUE_TYPES.contains(&value_type) || !COMPRESSIONS.contains(&compression) {
            return Ok(false);
        }
        let key_bytes = u64::from(u16::from_le_bytes([head[10], head[11]]));
        let value_bytes = u64::from(u32::from_le_bytes([head[16], head[17], head[18], head[19]]));
        if value_bytes > DEFAULT_LIMITS.value_bytes_max as u64 {
            return Ok(false);
        }
        self.read_body(key_bytes + value_bytes)?;
        Ok(true)
    }

    fn read_body(&mut self, mut left: u64) -> io::Result<()> {
        let mut buffer = [0_u8; 4096];
        while left > 0 {
            let part = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
            self.from.read_exact(&mut buffer[..part])?;
            self.checksum.update(&buffer[..part]);
            self.position += part as u64;
            left -= part as u64;
        }
        Ok(())
    }

    fn read<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.from.read_exact(&mut bytes)?;
        self.position += N as u64;
        Ok(bytes)
    }
}

/// Item count and batch number of a start entry. The library writes no empty batches; without
/// items the checksum would say nothing.
fn parse_start(start: &[u8; START_BYTES]) -> Option<(u32, u64)> {
    let items = u32::from_le_bytes([start[1], start[2], start[3], start[4]]);
    (start[0] == TAG_START && items > 0).then(|| (items, u64_at(start, 5)))
}

/// Whether a whole batch begins anywhere in `bytes` whose number is larger than `newest`, that of
/// the last whole batch before them.
///
/// Batches with smaller numbers do not count: blocks of a deleted journal can come up again in
/// space that was allotted, but not yet written, when the power was lost.
///
/// Bodies are their senders' bytes, and a sender can write batches into them. So this can answer
/// true although nothing was written behind a torn batch, never false although something was; and
/// if the bytes are made up so that telling would take for ever, it answers true as well.
pub(super) fn has_later_batch(bytes: &[u8], newest: Option<u64>) -> bool {
    let walked_max = WALKS_MAX.saturating_mul(bytes.len() as u64);
    let mut walked = 0;
    let mut begin = 0;
    while let Some(found) = bytes[begin..].iter().position(|byte| *byte == TAG_START) {
        begin += found;
        let candidate = &bytes[begin..];
        begin += 1;
        let start = candidate.first_chunk::<START_BYTES>();
        let Some((items, number)) = start.and_then(parse_start) else {
            continue;
        };
        let has_room = items as usize <= candidate.len() / CLEAR_BYTES;
        if !has_room || newest.is_some_and(|newest| number <= newest) {
            continue;
        }
        let mut walk = Walk::new(candidate);
        // Reading from memory does not fail.
        if let Ok(Some(_)) = walk.next_batch() {
            return true;
        }
        walked += walk.position;
        if walked > walked_max {
            return true;
        }
    }
    false
}

/// Reads a journal from memory as far as it is whole.
#[cfg(test)]
pub(super) fn whole_batches(bytes: &[u8]) -> Vec<Batch> {
    let mut walk = Walk::new(bytes);
    let mut batches = Vec::new();
    while let Ok(Some(batch)) = walk.next_batch() {
        batches.push(batch);
    }
    batches
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut digits = [0; 8];
    digits.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(digits)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A batch as the library writes it, with one item per value.
    pub(in crate::embedded::journal) fn batch_bytes(number: u64, values: &[&[u8]]) -> Vec<u8> {
        let mut items = Vec::new();
        for value in values {
            items.extend([TAG_ITEM, 0, 0]);
            items.extend(7_u64.to_le_bytes());
            items.extend(3_u16.to_le_bytes());
            items.extend((value.len() as u32).to_le_bytes());
            items.extend((value.len() as u32).to_le_bytes());
            items.extend(b"key");
            items.extend(*value);
        }
        let mut bytes = vec![TAG_START];
        bytes.extend((values.len() as u32).to_le_bytes());
        bytes.extend(number.to_le_bytes());
        bytes.extend(&items);
        bytes.push(TAG_END);
        bytes.extend(xxhash_rust::xxh3::xxh3_64(&items).to_le_bytes());
        bytes.extend(MAGIC);
        bytes
    }

    #[test]
    fn whole_batches_are_read_and_anything_else_ends_the_walk() {
        let first = batch_bytes(3, &[b"a", &[9; 10_000]]);
        let second = batch_bytes(4, &[b""]);
        let mut journal = [first.clone(), second.clone()].concat();
        let ends = [first.len() as u64, (first.len() + second.len()) as u64];
        let read = |bytes: &[u8]| -> Vec<u64> {
            whole_batches(bytes).iter().map(|batch| batch.end).collect()
        };
        assert_eq!(read(&journal), ends);
        assert_eq!(read(&journal[..journal.len() - 1]), ends[..1]);
        journal.extend([0; 5000]);
        assert_eq!(read(&journal), ends, "zeros follow");
        for at in first.len() + START_BYTES..first.len() + second.len() {
            journal[at] ^= 0x40;
            assert_eq!(read(&journal), ends[..1], "byte {at}");
            journal[at] ^= 0x40;
        }
        assert_eq!(read(&[1, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0]), [0_u64; 0]);
    }

    #[test]
    fn later_batches_are_found_wherever_they_begin() {
        let mut bytes = batch_bytes(10, &[b"torn"]);
        bytes.truncate(30);
        assert!(!has_later_batch(&bytes, Some(9)));
        bytes.extend(batch_bytes(11, &[b"whole"]));
        assert!(has_later_batch(&bytes, Some(9)));
        assert!(has_later_batch(&bytes, None));
        assert!(
            !has_later_batch(&bytes, Some(11)),
            "an old block came up again"
        );
        bytes.truncate(bytes.len() - 1);
        assert!(!has_later_batch(&bytes, Some(9)));
    }

    /// Starts nested in items, each of which reads all items behind it: quadratic if let.
    #[test]
    fn made_up_bytes_take_no_longer_than_their_length_allows() {
        let mut bytes = Vec::new();
        while bytes.len() < 4 << 20 {
            bytes.extend([TAG_ITEM, 0, 0]);
            bytes.extend([7; 8]);
            bytes.extend((START_BYTES as u16).to_le_bytes());
            bytes.extend([0; 8]);
            bytes.push(TAG_START);
            bytes.extend(100_000_u32.to_le_bytes());
            bytes.extend(99_u64.to_le_bytes());
        }
        let began = std::time::Instant::now();
        assert!(has_later_batch(&bytes, None), "undecided counts as found");
        assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(
            noise in prop::collection::vec(prop_oneof![0_u8..5, any::<u8>()], 0..300),
            cut in 0_usize..200,
        ) {
            let mut bytes = batch_bytes(1, &[b"value", b"another value"]);
            bytes.truncate(cut);
            bytes.extend(&noise);
            for batch in whole_batches(&bytes) {
                prop_assert!(batch.begin < batch.end && batch.end <= bytes.len() as u64);
            }
            has_later_batch(&bytes, None);
        }
    }
}
