// SPDX-License-Identifier: MIT OR Apache-2.0
//! What one step cost, in ticks of the time-stamp counter.

use crate::abi;
use crate::codes::SampleKind;

/// One measured step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// From 1, without gaps unless the ring overflowed.
    pub sequence: u64,
    /// Which step.
    pub kind: SampleKind,
    /// On which CPU, if on one.
    pub cpu: Option<u32>,
    /// Time-stamp counter at the start.
    pub begin: u64,
    /// Time-stamp counter at the end.
    pub end: u64,
}

impl Sample {
    /// How long it took; 0 if the clock went backwards, which it must not.
    #[must_use]
    pub const fn ticks(&self) -> u64 {
        self.end.saturating_sub(self.begin)
    }
}

impl From<&abi::Sample> for Sample {
    fn from(raw: &abi::Sample) -> Self {
        Self {
            sequence: raw.sequence,
            kind: SampleKind::from_code(raw.kind),
            cpu: (raw.cpu != abi::NO_CPU).then_some(raw.cpu),
            begin: raw.begin,
            end: raw.end,
        }
    }
}
