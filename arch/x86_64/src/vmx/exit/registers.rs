// SPDX-License-Identifier: MIT OR Apache-2.0
//! CPUID, model-specific registers and XCR0 on behalf of the guest (SDM volume 3,
//! 25.1.2, 25.1.3).
#![expect(unsafe_code, reason = "carries out accesses on behalf of the guest")]

use mercury_hal::event::Event;
use mercury_hal::exit::Policy;
use mercury_hal::exit::Reason;
use x86::vmx::vmcs::guest;

use super::Exit;
use super::skip_this;
use crate::area::Next;
use crate::area::Registers;
use crate::area::register;
use crate::exit::Fault;
use crate::exit::Handler;
use crate::instruction;
use crate::vmx::field;
use crate::vmx::permission;

/// CPUID, as the CPU answers it, but for the bits that follow CR4: they follow the
/// guest's.
fn identify(leaf: u32, subleaf: u32, cr4: u64) -> [u32; 4] {
    const OSXSAVE: (u32, u64) = (27, 18);
    const OSPKE: (u32, u64) = (4, 22);
    let mut answer = instruction::identify(leaf, subleaf);
    let follows = match (leaf, subleaf) {
        (1, _) => Some(OSXSAVE),
        (7, 0) => Some(OSPKE),
        _ => None,
    };
    if let Some((bit, from)) = follows {
        let on = cr4 >> from & 1 != 0;
        answer[2] = answer[2] & !(1 << bit) | u32::from(on) << bit;
    }
    answer
}

/// The whole of a CPUID's exit, and nothing else: also for an image that is dead,
/// beneath a guest that cannot be freed just here.
pub fn answer_identification(registers: &mut Registers) {
    let leaf = registers.0[register::RAX] as u32;
    let subleaf = registers.0[register::RCX] as u32;
    let [a, b, c, d] = identify(leaf, subleaf, field::read(guest::CR4));
    registers.0[register::RAX] = u64::from(a);
    registers.0[register::RBX] = u64::from(b);
    registers.0[register::RCX] = u64::from(c);
    registers.0[register::RDX] = u64::from(d);
    skip_this();
}

impl<P: Policy> Exit<'_, P> {
    pub(super) fn identify(&mut self) -> Next {
        self.count(Reason::Identification);
        if !self.settle() {
            return Next::Dead;
        }
        answer_identification(&mut self.area.registers);
        Next::Guest
    }

    fn named_register(&self) -> u32 {
        self.area.registers.0[register::RCX] as u32
    }

    fn named_value(&self) -> u64 {
        let registers = &self.area.registers.0;
        registers[register::RDX] << 32 | registers[register::RAX] & 0xffff_ffff
    }

    pub(super) fn register_read(&mut self) -> Next {
        self.count(Reason::RegisterRead);
        let number = self.named_register();
        // SAFETY: the exception table is in force: this is the image.
        let value = unsafe { instruction::try_read_msr(number) };
        let Some(value) = value else {
            return self.register_fault(number);
        };
        if !self.settle() {
            return Next::Dead;
        }
        self.area.registers.0[register::RAX] = value & 0xffff_ffff;
        self.area.registers.0[register::RDX] = value >> 32;
        skip_this();
        Next::Guest
    }

    pub(super) fn register_write(&mut self) -> Next {
        self.count(Reason::RegisterWrite);
        let number = self.named_register();
        let value = self.named_value();
        let done = if number == permission::MSR_UPDATE_TRIGGER {
            self.record(Event::MicrocodeRefused, [0; 5]);
            true
        } else {
            if permission::is_memory_type(number) {
                self.record(Event::MemoryType, [u64::from(number), value, 0, 0, 0]);
            }
            // SAFETY: the exception table is in force. Neither the MTRRs nor
            // registers outside the map's ranges hold what the image runs on.
            unsafe { instruction::try_write_msr(number, value) }
        };
        if done {
            self.settled(skip_this)
        } else {
            self.register_fault(number)
        }
    }

    /// XSETBV.
    pub(super) fn extended_control(&mut self) -> Next {
        self.count(Reason::RegisterWrite);
        let (number, value) = (self.named_register(), self.named_value());
        // SAFETY: the exception table is in force, the host's CR4 has OSXSAVE
        // where the CPU has XSAVE, and the image uses no vector registers.
        let done = unsafe { instruction::try_set_extended_control(number, value) };
        if done {
            self.settled(skip_this)
        } else {
            self.raise(Fault::Protection)
        }
    }
}
