// SPDX-License-Identifier: MIT OR Apache-2.0
//! Counters of one CPU's exits.
//!
//! Only that CPU writes them and only that CPU reads them (a status request
//! asks every CPU for its own), so they are plain numbers in its own area.

use mercury_hal::exit::REASONS;
use mercury_hal::exit::Reason;

/// Exits by reason since this CPU last went in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct ExitCounters([u64; REASONS]);

impl ExitCounters {
    /// All zero.
    pub const ZERO: Self = Self([0; REASONS]);

    /// One more.
    pub fn count(&mut self, reason: Reason) {
        self.add(reason, 1);
    }

    /// So many more.
    pub fn add(&mut self, reason: Reason, times: u64) {
        // Every reason's number is below REASONS.
        if let Some(counter) = self.0.get_mut(reason as usize) {
            *counter = counter.wrapping_add(times);
        }
    }

    /// Eight counters from `first` on; those that do not exist read 0.
    #[must_use]
    pub fn eight_from(&self, first: u64) -> [u64; 8] {
        let mut words = [0; 8];
        for (word, offset) in words.iter_mut().zip(0u64..) {
            *word = usize::try_from(first.saturating_add(offset))
                .ok()
                .and_then(|index| self.0.get(index))
                .copied()
                .unwrap_or(0);
        }
        words
    }

    /// Exits of all reasons together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().fold(0, |sum, one| sum.wrapping_add(*one))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_beyond_the_end_gives_zero() {
        let mut counters = ExitCounters::ZERO;
        counters.count(Reason::Hypercall);
        counters.count(Reason::Other);
        assert_eq!(counters.eight_from(0)[0], 1);
        assert_eq!(counters.eight_from(8)[3], 1);
        assert_eq!(counters.eight_from(12), [0; 8]);
        assert_eq!(counters.eight_from(u64::MAX), [0; 8]);
        assert_eq!(counters.total(), 2);
    }
}
