// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writes to bits of CR0 and CR4 that the guest does not own (SDM volume 3, 24.6.6,
//! 25.1.3): it gets its way in what it reads, and in all other bits.

use mercury_hal::event::Event;
use mercury_hal::exit::Policy;
use mercury_hal::exit::Reason;
use x86::vmx::vmcs::control;
use x86::vmx::vmcs::guest;
use x86::vmx::vmcs::ro;

use super::Exit;
use super::skip_this;
use crate::area::Next;
use crate::exit::Fault;
use crate::exit::Handler;
use crate::instruction;
use crate::vmx::field;
use crate::vmx::operation;

impl<P: Policy> Exit<'_, P> {
    pub(super) fn control_register(&mut self) -> Next {
        self.count(Reason::Other);
        let how = field::read(ro::EXIT_QUALIFICATION);
        let value = match how >> 8 & 15 {
            4 => field::read(guest::RSP),
            number => self.area.registers.0[number as usize & 15],
        };
        // Bits 4 and 5: 0 is a MOV to the register. CLTS and LMSW do not reach
        // the bits in question.
        match (how & 15, how >> 4 & 3) {
            (0, 0) => self.write_cr0(value),
            (4, 0) => self.write_cr4(value),
            _ => self.raise(Fault::Protection),
        }
    }

    /// Linux starts a CPU with one write that sets NE and turns paging, and with it
    /// long mode, on. All of that the CPU knows best: the shadow gets the guest's
    /// word for the bits that it does not own, and the same instruction, run again,
    /// differs from it in nothing.
    fn write_cr0(&mut self, value: u64) -> Next {
        /// PE and PG.
        const MODE: u64 = 1 | 1 << 31;
        let old = field::read(guest::CR0);
        if value >> 32 != 0 {
            return self.raise(Fault::Protection);
        }
        let masked = self.area.vmx.masks[0];
        self.settled(|| {
            field::write(control::CR0_READ_SHADOW, value);
            if (value ^ old) & MODE == 0 {
                field::write(guest::CR0, value | masked);
                skip_this();
            }
        })
    }

    fn write_cr4(&mut self, value: u64) -> Next {
        const PCIDE: u64 = 1 << 17;
        let may = instruction::read_known_msr(x86::msr::IA32_VMX_CR4_FIXED1);
        let old = field::read(guest::CR4);
        let tagged = value & !old & PCIDE != 0 && field::read(guest::CR3) & 0xfff != 0;
        if value & !may != 0 || tagged {
            return self.raise(Fault::Protection);
        }
        self.record(Event::RegisterKept, [4, value, 0, 0, 0]);
        let (masked, pointer) = (self.area.vmx.masks[1], self.area.vmx.pointer);
        self.settled(|| {
            field::write(control::CR4_READ_SHADOW, value);
            field::write(guest::CR4, value | masked);
            // The instruction would have dropped translations.
            operation::forget(pointer);
            skip_this();
        })
    }
}
