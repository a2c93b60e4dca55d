// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether a CPU really is under a second stage.
//!
//! The module asks the hypervisor to let one page's guest address point at
//! another page, reads it, then to unmap it, and reads it again. A guest sees
//! the other contents and raises a counted fault; a native CPU sees neither.

use crate::abi;

/// What one CPU saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Which CPU.
    pub cpu: u32,
    /// Whether it answered as a guest.
    pub answered: bool,
    /// What the page holds.
    pub plain: u64,
    /// What the other page holds.
    pub other: u64,
    /// What was read while the page was flipped.
    pub read_flipped: u64,
    /// What was read after the page had been unmapped.
    pub read_unmapped: u64,
    /// How many nested faults the second read raised.
    pub faults_raised: u64,
}

/// What the observations of one CPU add up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProofVerdict {
    /// All of them say guest.
    Guest,
    /// All of them say native.
    Native,
    /// They do not agree: this must never be seen.
    Contradiction,
}

impl Proof {
    /// What the observations add up to.
    #[must_use]
    pub const fn verdict(&self) -> ProofVerdict {
        if self.plain == self.other || self.read_unmapped != self.plain {
            return ProofVerdict::Contradiction;
        }
        match (self.answered, self.faults_raised) {
            (true, 1) if self.read_flipped == self.other => ProofVerdict::Guest,
            (false, 0) if self.read_flipped == self.plain => ProofVerdict::Native,
            _ => ProofVerdict::Contradiction,
        }
    }
}

impl From<&abi::Proof> for Proof {
    fn from(raw: &abi::Proof) -> Self {
        Self {
            cpu: raw.cpu,
            answered: raw.answered != 0,
            plain: raw.plain,
            other: raw.other,
            read_flipped: raw.read_flipped,
            read_unmapped: raw.read_unmapped,
            faults_raised: raw.faults_raised,
        }
    }
}

/// What empty hypercalls cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NullCalls {
    /// Which CPU.
    pub cpu: u32,
    /// How many were made.
    pub count: u32,
    /// Whether the CPU is a guest; if not, nothing was measured.
    pub answered: bool,
    /// Ticks of all of them together.
    pub ticks: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUEST: Proof = Proof {
        cpu: 0,
        answered: true,
        plain: 1,
        other: 2,
        read_flipped: 2,
        read_unmapped: 1,
        faults_raised: 1,
    };
    const NATIVE: Proof = Proof {
        answered: false,
        read_flipped: 1,
        faults_raised: 0,
        ..GUEST
    };

    #[test]
    fn every_observation_counts() {
        assert_eq!(GUEST.verdict(), ProofVerdict::Guest);
        assert_eq!(NATIVE.verdict(), ProofVerdict::Native);
        for broken in [
            Proof {
                answered: false,
                ..GUEST
            },
            Proof {
                read_flipped: 1,
                ..GUEST
            },
            Proof {
                read_unmapped: 2,
                ..GUEST
            },
            Proof {
                faults_raised: 0,
                ..GUEST
            },
            Proof {
                faults_raised: 2,
                ..GUEST
            },
            Proof {
                other: 1,
                read_flipped: 1,
                ..GUEST
            },
            Proof {
                answered: true,
                ..NATIVE
            },
            Proof {
                read_flipped: 2,
                ..NATIVE
            },
            Proof {
                faults_raised: 1,
                ..NATIVE
            },
        ] {
            assert_eq!(broken.verdict(), ProofVerdict::Contradiction, "{broken:?}");
        }
    }
}
