// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames that the kernel lent, as the logic sees them.

use crate::addr::HostPhysical;
use crate::addr::PAGE_SIZE;

/// Memory that tables are made of: 512 entries of 64 bits in each frame.
///
/// # Contract
/// `write` to a table that the hardware can reach is one single-copy atomic
/// 64-bit store, and is ordered after all earlier `write`s (fill before
/// publish). Addresses are only those of frames that [`FrameSource::take`] of
/// the same object gave out.
pub trait TableMemory {
    /// The entry at `index` (0..512) of the table in this frame.
    fn read(&self, table: HostPhysical, index: usize) -> u64;
    /// Stores one entry.
    fn write(&mut self, table: HostPhysical, index: usize, value: u64);
    /// Stores every entry of a table that the hardware cannot reach yet, by its
    /// index.
    fn fill(&mut self, table: HostPhysical, with: impl Fn(usize) -> u64) {
        for index in 0..(PAGE_SIZE / 8) as usize {
            self.write(table, index, with(index));
        }
    }
    /// Every CPU forgets what it has cached of the nested map. Needed only
    /// where [`crate::paging::Stage2Format::BREAK_BEFORE_MAKE`] is.
    fn forget(&mut self);
}

/// Where frames for new tables come from.
pub trait FrameSource {
    /// One frame that nobody else has, or nothing. Its content is anything.
    fn take(&mut self) -> Option<HostPhysical>;

    /// `count` frames that follow each other, the first at a multiple of
    /// `align` frames. Those that are passed over to find them stay unused.
    fn take_run(&mut self, count: u64, align: u64) -> Option<HostPhysical> {
        let mut first = self.take()?;
        let mut length = 1;
        loop {
            if !first.0.is_multiple_of(align * PAGE_SIZE) {
                (first, length) = (self.take()?, 1);
                continue;
            }
            if length == count {
                return Some(first);
            }
            let next = self.take()?;
            if next.0 == first.0 + length * PAGE_SIZE {
                length += 1;
            } else {
                (first, length) = (next, 1);
            }
        }
    }
}

/// How the machine reaches a lent frame, by the number that the module gave it
/// ([`crate::door`]). The same contract as [`TableMemory`].
pub trait FrameAccess {
    /// The 64-bit word at `index` (0..512) of a frame.
    fn read(&self, frame: u64, index: usize) -> u64;
    /// Stores one word.
    fn write(&mut self, frame: u64, index: usize, value: u64);
    /// As [`TableMemory::fill`].
    fn fill(&mut self, frame: u64, with: impl Fn(usize) -> u64) {
        for index in 0..(PAGE_SIZE / 8) as usize {
            self.write(frame, index, with(index));
        }
    }
    /// As [`TableMemory::forget`].
    fn forget(&mut self) {}
}
