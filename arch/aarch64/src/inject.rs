// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exceptions that the guest gets from us.
//!
//! EL2 cannot ask the CPU to take an exception at EL1, so it does what the CPU
//! would do (Arm ARM D1.3.1, `AArch64.TakeException`): the syndrome and the
//! place go into EL1's registers, and the guest goes on at its own vector. Two
//! are needed: an undefined instruction, and a synchronous external abort for
//! what may not be had.

/// What EL1's state says about an exception that it is to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Before {
    /// SPSR_EL2: the state of the code that is interrupted.
    pub state: u64,
    /// SCTLR_EL1: some bits of the new state follow from it.
    pub sctlr: u64,
    /// VBAR_EL1.
    pub vectors: u64,
    /// Whether PSTATE has TCO (memory tagging).
    pub tagging: bool,
}

/// Where and in which state EL1 takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct After {
    /// For SPSR_EL2.
    pub state: u64,
    /// For ELR_EL2.
    pub address: u64,
}

const AARCH32: u64 = 1 << 4;
const MODE: u64 = 0b1_1111;
const EL1_OWN_STACK: u64 = 0b0101;
/// D, A, I and F.
const MASKED: u64 = 0b1111 << 6;
const SPECULATIVE_STORE: u64 = 1 << 12;
const PRIVILEGED_ACCESS_NEVER: u64 = 1 << 22;
const DATA_INDEPENDENT: u64 = 1 << 24;
const TAG_CHECK_OVERRIDE: u64 = 1 << 25;
const FLAGS: u64 = 0b1111 << 28;
/// SCTLR_EL1.SPAN: PAN stays as it is.
const SPAN: u64 = 1 << 23;
/// SCTLR_EL1.DSSBS: SSBS on taking an exception.
const DSSBS: u64 = 1 << 44;

impl Before {
    /// Whether the code that is interrupted ran at EL0.
    #[must_use]
    pub const fn is_user(self) -> bool {
        self.state & AARCH32 != 0 || self.state & 0b1100 == 0
    }

    /// What the CPU would do.
    #[must_use]
    pub const fn take(self) -> After {
        let offset = if self.state & AARCH32 != 0 {
            0x600
        } else if self.state & 0b1100 == 0 {
            0x400
        } else if self.state & MODE == EL1_OWN_STACK {
            0x200
        } else {
            0
        };
        let kept = if self.state & AARCH32 != 0 {
            FLAGS | PRIVILEGED_ACCESS_NEVER
        } else {
            FLAGS | PRIVILEGED_ACCESS_NEVER | DATA_INDEPENDENT
        };
        let mut state = self.state & kept | MASKED | EL1_OWN_STACK;
        if self.sctlr & SPAN == 0 {
            state |= PRIVILEGED_ACCESS_NEVER;
        }
        if self.sctlr & DSSBS != 0 {
            state |= SPECULATIVE_STORE;
        }
        if self.tagging {
            state |= TAG_CHECK_OVERRIDE;
        }
        After {
            state,
            address: self.vectors.wrapping_add(offset),
        }
    }
}

/// ESR_EL1 of a synchronous external abort, not on a walk, of the access whose
/// ESR_EL2 this is: FAR_EL1 is valid.
#[must_use]
pub const fn external_abort(esr: u64, is_user: bool) -> u64 {
    const EXTERNAL: u64 = 0b01_0000;
    let instruction = esr >> 26 & 0x3f == 0x20;
    let class = match (instruction, is_user) {
        (true, true) => 0x20,
        (true, false) => 0x21,
        (false, true) => 0x24,
        (false, false) => 0x25,
    };
    // IL, and WnR where it was a data access.
    let kept = esr & (1 << 25) | if instruction { 0 } else { esr & (1 << 6) };
    class << 26 | kept | EXTERNAL
}

/// ESR_EL1 of an undefined instruction of 32 bits.
pub const UNDEFINED: u64 = 1 << 25;

#[cfg(test)]
mod tests {
    use super::*;

    const KERNEL: Before = Before {
        state: 0x8000_03c5,
        sctlr: SPAN,
        vectors: 0xffff_8000_0801_0800,
        tagging: false,
    };

    #[test]
    fn each_origin_has_its_vector() {
        for (state, offset, user) in [
            (0x3c5, 0x200, false),
            (0x3c4, 0, false),
            (0, 0x400, true),
            (0x10, 0x600, true),
        ] {
            let before = Before { state, ..KERNEL };
            assert_eq!(before.take().address, KERNEL.vectors + offset);
            assert_eq!(before.is_user(), user);
        }
    }

    #[test]
    fn the_new_state_is_masked_and_keeps_the_flags() {
        // Step, illegal state and branch type are cleared, NZCV stays.
        let before = Before {
            state: 0x6000_0000 | 1 << 21 | 1 << 20 | 0b11 << 10,
            ..KERNEL
        };
        assert_eq!(before.take().state, 0x6000_0000 | 0x3c5);
    }

    #[test]
    fn bits_that_follow_from_sctlr() {
        let before = Before {
            sctlr: DSSBS,
            tagging: true,
            ..KERNEL
        };
        let state = before.take().state;
        assert_ne!(state & PRIVILEGED_ACCESS_NEVER, 0);
        assert_ne!(state & SPECULATIVE_STORE, 0);
        assert_ne!(state & TAG_CHECK_OVERRIDE, 0);
    }

    #[test]
    fn an_abort_says_who_and_what() {
        // A write of the kernel, a fetch of a program.
        assert_eq!(external_abort(0x9200_004f, false), 0x9600_0050);
        assert_eq!(external_abort(0x8200_000f, true), 0x8200_0010);
    }
}
