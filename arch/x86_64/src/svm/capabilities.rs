// SPDX-License-Identifier: MIT OR Apache-2.0
//! What this CPU's SVM can do (CPUID 8000_000A, APM volume 3 E.4.9).

use crate::instruction;

/// EDX of the leaf, by meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    raw: u32,
}

impl Capabilities {
    /// Reads them.
    #[must_use]
    pub fn read() -> Self {
        Self::from_edx(instruction::identify(0x8000_000a, 0)[3])
    }

    /// From a value of EDX.
    #[must_use]
    pub const fn from_edx(raw: u32) -> Self {
        Self { raw }
    }

    const fn bit(self, bit: u32) -> bool {
        self.raw & 1 << bit != 0
    }

    /// Nested paging.
    #[must_use]
    pub const fn nested_paging(self) -> bool {
        self.bit(0)
    }
    /// The control block says where the next instruction is.
    #[must_use]
    pub const fn next_rip(self) -> bool {
        self.bit(3)
    }
    /// A guest's TSC can run at another rate, so the rate must be set.
    #[must_use]
    pub const fn tsc_ratio(self) -> bool {
        self.bit(4)
    }
    /// One guest's translations can be dropped alone.
    #[must_use]
    pub const fn flush_by_asid(self) -> bool {
        self.bit(6)
    }
    /// The control block holds the bytes of a faulting instruction.
    #[must_use]
    pub const fn decode_assists(self) -> bool {
        self.bit(7)
    }
    /// Supervisor shadow stacks are switched with the guest.
    #[must_use]
    pub const fn shadow_stacks(self) -> bool {
        self.bit(19)
    }
    /// SPEC_CTRL is switched with the guest.
    #[must_use]
    pub const fn speculation_control(self) -> bool {
        self.bit(20)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tcg_offers_and_what_zen_offers() {
        let tcg = Capabilities::from_edx(0x1001_0001);
        assert!(tcg.nested_paging());
        assert!(!tcg.next_rip() && !tcg.decode_assists() && !tcg.flush_by_asid());
        let zen4 = Capabilities::from_edx(0x119b_9cff);
        assert!(zen4.next_rip() && zen4.decode_assists() && zen4.flush_by_asid());
        assert!(zen4.shadow_stacks() && zen4.speculation_control() && zen4.tsc_ratio());
    }
}
