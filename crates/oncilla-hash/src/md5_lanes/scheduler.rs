//! Pieces of any length in lanes.

use std::collections::VecDeque;

use super::kernel::{LANES_MAX, Md5Kernel};
use crate::md5::{BLOCK_BYTES, Block, Md5};

/// Adds pieces of data to the digests of many streams, several at a time. When a piece is through,
/// the next one that waits takes its lane. The pieces of one stream have to be given one after the
/// other, each when the one before it is through.
///
/// Holds what it was given and nothing else; all work is done by [`Md5Lanes::advance`], in the
/// thread that calls it.
pub struct Md5Lanes<T> {
    kernel: Md5Kernel,
    running: Vec<Lane<T>>,
    waiting: VecDeque<Lane<T>>,
}

/// A piece under way.
struct Lane<T> {
    md5: Md5,
    piece: T,
    /// How much of the piece is in the digest.
    position: usize,
}

impl<T: AsRef<[u8]>> Md5Lanes<T> {
    /// Lanes of this kernel, all of them free.
    pub fn new(kernel: Md5Kernel) -> Self {
        Self {
            kernel,
            running: Vec::with_capacity(kernel.lanes()),
            waiting: VecDeque::new(),
        }
    }

    /// Pieces that are not through.
    pub fn len(&self) -> usize {
        self.running.len() + self.waiting.len()
    }

    /// Whether all pieces are through.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many more pieces would run at once instead of waiting.
    pub fn free(&self) -> usize {
        self.kernel.lanes().saturating_sub(self.len())
    }

    /// Takes a piece that is to be added to `md5`.
    pub fn push(&mut self, md5: Md5, piece: T) {
        self.waiting.push_back(Lane {
            md5,
            piece,
            position: 0,
        });
    }

    /// Takes up to `bytes_max` bytes (rounded to whole blocks, and at least one) of every piece that
    /// has a lane, and appends to `finished` the pieces that are through, with their digests.
    ///
    /// At least one byte is taken or one piece ended, unless there are none; so calling it until
    /// [`Md5Lanes::is_empty`] comes to an end.
    pub fn advance(&mut self, bytes_max: usize, finished: &mut Vec<(Md5, T)>) {
        self.fill_lanes(finished);
        let remaining = self.running.iter().map(|lane| lane.blocks().len());
        let Some(shortest) = remaining.min() else {
            return;
        };
        let count = shortest.min(bytes_max / BLOCK_BYTES).max(1);
        self.compress(count);
        let mut index = 0;
        while index < self.running.len() {
            self.running[index].take_blocks(count);
            if self.running[index].blocks().is_empty() {
                finished.push(self.running.swap_remove(index).end());
            } else {
                index += 1;
            }
        }
    }

    /// Gives free lanes to pieces that have whole blocks; those that have none end here.
    fn fill_lanes(&mut self, finished: &mut Vec<(Md5, T)>) {
        while self.running.len() < self.kernel.lanes() {
            let Some(mut lane) = self.waiting.pop_front() else {
                return;
            };
            lane.position = lane.md5.complete_block(lane.piece.as_ref());
            match lane.blocks().is_empty() {
                true => finished.push(lane.end()),
                false => self.running.push(lane),
            }
        }
    }

    /// Compresses the next `count` blocks of every lane; each has that many.
    fn compress(&mut self, count: usize) {
        let lanes = self.running.len();
        let mut registers = [[0; 4]; LANES_MAX];
        let mut blocks: [&[Block]; LANES_MAX] = [&[]; LANES_MAX];
        for (index, lane) in self.running.iter_mut().enumerate() {
            registers[index] = *lane.md5.registers_mut();
        }
        for (index, lane) in self.running.iter().enumerate() {
            blocks[index] = &lane.blocks()[..count];
        }
        self.kernel
            .compress(&mut registers[..lanes], &blocks[..lanes]);
        for (lane, registers) in self.running.iter_mut().zip(registers) {
            *lane.md5.registers_mut() = registers;
        }
    }
}

impl<T: AsRef<[u8]>> Lane<T> {
    /// The whole blocks that are left.
    fn blocks(&self) -> &[Block] {
        self.piece.as_ref()[self.position..].as_chunks().0
    }

    fn take_blocks(&mut self, count: usize) {
        self.md5.count_blocks(count);
        self.position += count * BLOCK_BYTES;
    }

    /// Takes what is left of the piece, which is less than a block.
    fn end(mut self) -> (Md5, T) {
        self.md5
            .complete_block(&self.piece.as_ref()[self.position..]);
        (self.md5, self.piece)
    }
}
