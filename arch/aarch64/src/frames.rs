// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lent frames as the memory of tables that every CPU may be walking.

use mercury_hal::frames::FrameAccess;

use crate::el2;
use crate::el2::El2;

/// The words of lent frames, 512 to a frame.
pub trait Words {
    /// One 64-bit load.
    fn load(&self, frame: u64, index: usize) -> u64;
    /// One single-copy atomic 64-bit store.
    fn store(&mut self, frame: u64, index: usize, value: u64);
}

/// Frames, and the CPU that is at work on them.
#[derive(Clone, Copy, Debug)]
pub struct Frames<C, W> {
    cpu: C,
    words: W,
}

impl<C, W> Frames<C, W> {
    /// These words, by this CPU.
    pub const fn new(cpu: C, words: W) -> Self {
        Self { cpu, words }
    }
}

impl<C: El2, W: Words> FrameAccess for Frames<C, W> {
    fn read(&self, frame: u64, index: usize) -> u64 {
        self.words.load(frame, index)
    }

    /// A walk that sees this entry sees all that was written before it
    /// (Arm ARM B2.7: the barrier orders stores for walks, too).
    fn write(&mut self, frame: u64, index: usize, value: u64) {
        self.cpu.dmb_ishst();
        self.words.store(frame, index, value);
    }

    /// No walk can see these yet: the barrier that matters is the one before the
    /// entry that will point here.
    fn fill(&mut self, frame: u64, with: impl Fn(usize) -> u64) {
        for index in 0..512 {
            self.words.store(frame, index, with(index));
        }
    }

    fn forget(&mut self) {
        el2::forget_everywhere(&self.cpu);
    }
}
