// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the VMCS says of whether its exit can be taken back ([`crate::sound`]; SDM
//! volume 3, 24.4.2, 27.2.4, 27.3).
//!
//! NMIs that the guest holds shut are no obstacle: the way out ends with an IRETQ,
//! which opens them, and a handler of Linux' that is interrupted by another NMI
//! notes it and runs once more.

use x86::vmx::vmcs::guest;
use x86::vmx::vmcs::ro;

use super::event;
use super::exit;
use super::field;
use crate::guest_memory::Paging;
use crate::registers;
use crate::sound::Obstacle;

/// What is looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Situation {
    /// The exit reason.
    pub why: u64,
    /// The event that was being delivered.
    pub cut_short: u64,
    /// Interruptibility.
    pub interruptibility: u64,
    /// Debug traps that wait.
    pub traps: u64,
    /// 0 of a CPU that runs.
    pub activity: u64,
    /// Privilege level.
    pub privilege: u64,
    /// CR4.
    pub cr4: u64,
}

impl Situation {
    /// Of the current VMCS.
    #[must_use]
    pub fn read() -> Self {
        Self {
            why: exit::why(),
            cut_short: field::read(ro::IDT_VECTORING_INFO),
            interruptibility: field::read(guest::INTERRUPTIBILITY_STATE),
            traps: field::read(guest::PENDING_DBG_EXCEPTIONS),
            activity: field::read(guest::ACTIVITY_STATE),
            privilege: exit::privilege(),
            cr4: field::read(guest::CR4),
        }
    }

    /// What stands against it.
    #[must_use]
    pub const fn obstacle(self) -> Option<Obstacle> {
        if exit::is_final(self.why) || self.activity != 0 {
            Some(Obstacle::Shutdown)
        } else if self.cut_short & event::VALID != 0 {
            Some(Obstacle::Delivery)
        } else if self.interruptibility & event::SHADOWS != 0 || self.traps != 0 {
            Some(Obstacle::Shadow)
        } else if self.privilege == 3 && self.cr4 & registers::CR4_CET != 0 {
            Some(Obstacle::ShadowStack)
        } else {
            None
        }
    }
}

/// What the guest's paging follows.
#[must_use]
pub fn paging() -> Paging {
    Paging {
        cr0: field::read(guest::CR0),
        cr3: field::read(guest::CR3),
        cr4: field::read(guest::CR4),
        efer: field::read(guest::IA32_EFER_FULL),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_exit_can_be_taken_back_and_others_not() {
        let plain = Situation {
            why: 10,
            interruptibility: event::NMI_SHUT,
            ..Situation::default()
        };
        assert_eq!(plain.obstacle(), None);
        let delivery = Situation {
            cut_short: event::NMI,
            ..plain
        };
        assert_eq!(delivery.obstacle(), Some(Obstacle::Delivery));
        for shadow in [1, 2] {
            let one = Situation {
                interruptibility: shadow,
                ..plain
            };
            assert_eq!(one.obstacle(), Some(Obstacle::Shadow));
        }
        let trap = Situation {
            traps: 1 << 14,
            ..plain
        };
        assert_eq!(trap.obstacle(), Some(Obstacle::Shadow));
        // A triple fault, a state that was refused, a CPU that waits.
        for why in [2, 1 << 31 | 33] {
            let one = Situation { why, ..delivery };
            assert_eq!(one.obstacle(), Some(Obstacle::Shutdown));
        }
        let waits = Situation {
            activity: 3,
            ..plain
        };
        assert_eq!(waits.obstacle(), Some(Obstacle::Shutdown));
        let program = Situation {
            privilege: 3,
            ..plain
        };
        assert_eq!(program.obstacle(), None);
        let stack = Situation {
            cr4: registers::CR4_CET,
            ..program
        };
        assert_eq!(stack.obstacle(), Some(Obstacle::ShadowStack));
    }
}
