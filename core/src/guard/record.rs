// SPDX-License-Identifier: MIT OR Apache-2.0
//! The record of a roll-back: what was there at the end of the time that did not happen.
//!
//! Words, as the tool reads them (`mercury postmortem`). The first frame begins with
//! the [`Head`]; from the second on each CPU has [`CPU_WORDS`].

/// Words for each CPU: whether it was there, and its registers in an order that is the
/// architecture's.
pub const CPU_WORDS: usize = 32;
/// CPUs in one frame.
const CPUS: u32 = 512 / CPU_WORDS as u32;

/// How many frames the record takes.
#[must_use]
pub const fn frames(cpus: u32) -> u64 {
    1 + cpus.div_ceil(CPUS) as u64
}

/// Which frame of the record, and which word of it, a CPU's registers begin at.
#[must_use]
pub const fn place(cpu: u32) -> (u64, usize) {
    (1 + (cpu / CPUS) as u64, (cpu % CPUS) as usize * CPU_WORDS)
}

/// The first words of the record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Which roll-back, from 1.
    pub number: u64,
    /// [`mercury_hal::call::Cause`].
    pub cause: u64,
    /// The CPU that asked for it.
    pub cpu: u64,
    /// The clock then.
    pub ticks: u64,
    /// Bytes of the kernel's story.
    pub story: u64,
    /// CPUs that have an entry.
    pub cpus: u64,
    /// Pages that were put back because they had changed.
    pub changed: u64,
    /// Frames of the record, which the story begins behind.
    pub frames: u64,
}

impl Head {
    /// As words, in the order of the fields.
    #[must_use]
    pub const fn words(&self) -> [u64; 8] {
        [
            self.number,
            self.cause,
            self.cpu,
            self.ticks,
            self.story,
            self.cpus,
            self.changed,
            self.frames,
        ]
    }
}
