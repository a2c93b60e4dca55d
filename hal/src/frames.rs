// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames that the kernel lent, as the logic sees them.

use crate::addr::HostPhysical;

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
}

/// Where frames for new tables come from.
pub trait FrameSource {
    /// One frame that nobody else has, or nothing. Its content is anything.
    fn take(&mut self) -> Option<HostPhysical>;
}

/// How the machine reaches a lent frame, by the number that the module gave it
/// ([`crate::door`]). The same contract as [`TableMemory`].
pub trait FrameAccess {
    /// The 64-bit word at `index` (0..512) of a frame.
    fn read(&self, frame: u64, index: usize) -> u64;
    /// Stores one word.
    fn write(&mut self, frame: u64, index: usize, value: u64);
}
