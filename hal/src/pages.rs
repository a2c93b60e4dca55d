// SPDX-License-Identifier: MIT OR Apache-2.0
//! All memory, a page at a time, for checkpoints.
//!
//! The image maps nothing of the guest. For the moment of a checkpoint or a roll-back
//! one CPU, alone on the machine, reaches every page through slots of its own. Pages
//! are named by host physical address, which is the guest's too.

use crate::addr::HostPhysical;

/// Words of a page.
pub const WORDS: usize = 512;

/// All memory, a page at a time.
pub trait Pages {
    /// The word at `index` (below [`WORDS`]) of a page.
    fn read(&mut self, page: HostPhysical, index: usize) -> u64;
    /// Stores the word at `index` of a page.
    fn write(&mut self, page: HostPhysical, index: usize, word: u64);
    /// Copies a page, and gives the [`Sum`] of what was copied.
    fn copy(&mut self, from: HostPhysical, to: HostPhysical) -> u64;
    /// The [`Sum`] of a page.
    fn sum(&mut self, page: HostPhysical) -> u64;
    /// Makes `to` the same as `from`, and says whether it was not.
    fn put_back(&mut self, from: HostPhysical, to: HostPhysical) -> bool;
}

/// A checksum of words: a flipped byte, a lost page and two pages that changed places
/// are noticed. It is no protection against somebody who means it.
#[derive(Clone, Copy, Debug)]
pub struct Sum(u64);

impl Default for Sum {
    fn default() -> Self {
        Self::new()
    }
}

impl Sum {
    /// Of nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    /// With one word more. Multiplication by an odd number loses nothing, so neither
    /// does this: two sums of as many words that differ in one word differ.
    #[must_use]
    pub const fn with(self, word: u64) -> Self {
        Self((self.0.rotate_left(5) ^ word).wrapping_mul(0xd6e8_feb8_6659_fd93))
    }

    /// The sum.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0
    }
}
