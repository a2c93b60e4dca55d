// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exits, taken apart (SDM volume 3, 25.1, 27.2, appendix C).
//!
//! Each exit ends in one of two ways: the guest goes on, with an event if it is
//! to see one, or the CPU leaves. Nothing that the guest does has any other
//! outcome, and nothing here can fail.
#![expect(unsafe_code, reason = "carries out accesses on behalf of the guest")]

use core::sync::atomic::Ordering;

use mercury_hal::addr::GuestPhysical;
use mercury_hal::call::Answer;
use mercury_hal::call::Request;
use mercury_hal::event::Event;
use mercury_hal::exit::FaultAnswer;
use mercury_hal::exit::Policy;
use mercury_hal::exit::Reason;
use mercury_hal::exit::Touch;
use mercury_hal::repetition;
use x86::vmx::vmcs::control;
use x86::vmx::vmcs::guest;
use x86::vmx::vmcs::ro;

use super::event;
use super::field;
use super::initialize;
use super::operation;
use super::permission;
use crate::area::Area;
use crate::area::Next;
use crate::area::register;
use crate::exception;
use crate::guest_memory;
use crate::guest_memory::Paging;
use crate::guest_memory::PeekSlot;
use crate::hole;
use crate::instruction;
use crate::mutant;
use crate::mutant::Mutant;
use crate::pad::Pad;
use crate::store;
use crate::store::Store;

/// Basic exit reasons (appendix C).
mod reason {
    pub(super) const TRIPLE_FAULT: u64 = 2;
    pub(super) const INIT: u64 = 3;
    pub(super) const SIPI: u64 = 4;
    pub(super) const CPUID: u64 = 10;
    pub(super) const GETSEC: u64 = 11;
    pub(super) const INVD: u64 = 13;
    pub(super) const VMCALL: u64 = 18;
    pub(super) const VMCLEAR: u64 = 19;
    pub(super) const VMXON: u64 = 27;
    pub(super) const CONTROL_REGISTER: u64 = 28;
    pub(super) const READ_REGISTER: u64 = 31;
    pub(super) const WRITE_REGISTER: u64 = 32;
    pub(super) const MONITOR_TRAP: u64 = 37;
    pub(super) const MACHINE_CHECK: u64 = 41;
    pub(super) const EPT_VIOLATION: u64 = 48;
    pub(super) const INVEPT: u64 = 50;
    pub(super) const INVVPID: u64 = 53;
    pub(super) const XSETBV: u64 = 55;
    /// The guest's state was refused.
    pub(super) const ENTRY_FAILED: u64 = 1 << 31;
}

/// Primary control: an exit after the next instruction, or event.
const MONITOR_TRAP_FLAG: u32 = 1 << 27;

/// Why the guest is out, and whether it never was in.
#[must_use]
pub fn why() -> u64 {
    field::read(ro::EXIT_REASON)
}

/// Whether that is an entry that failed.
#[must_use]
pub fn entry_failed() -> bool {
    why() & reason::ENTRY_FAILED != 0
}

/// What became of a write to a control register.
enum Written {
    /// It is done.
    Done,
    /// The CPU carries it out when the instruction runs again.
    Again,
    /// It faults.
    Refused,
}

/// One exit of one CPU.
struct Exit<'a, P: Policy> {
    area: &'a mut Area<P::Cpu>,
    policy: &'a P,
}

/// Handles the exit that the current VMCS describes.
pub fn handle<P: Policy>(area: &mut Area<P::Cpu>, policy: &P) -> Next {
    event::inject_again();
    let again = event::waiting();
    let place = field::read(guest::RIP);
    let address = if why() == reason::EPT_VIOLATION {
        field::read(ro::GUEST_PHYSICAL_ADDR_FULL)
    } else {
        0
    };
    let what = [why(), place, address, area.registers.0[register::RCX]];
    let repeated = area.repetition.exit(what, again != 0);
    let mut exit = Exit { area, policy };
    if repeated == repetition::LIMIT {
        exit.standstill(what);
    }
    let next = exit.dispatch();
    let came_on = field::read(guest::RIP) != place || event::waiting() != again;
    exit.area.repetition.entry(came_on);
    if policy.must_flush(&mut exit.area.logic) {
        operation::forget(exit.area.vmx.pointer);
    }
    next
}

/// Before an entry: hands on what arrived while the CPU was in the image.
///
/// An NMI goes in front of a fault, which will be raised again. Behind an
/// interrupt whose delivery was cut short it has to wait: for as long as that
/// takes and no longer, by the monitor trap flag. While the guest is in its own
/// NMI handler it waits for an exit after that.
pub fn settle<L>(area: &mut Area<L>, pad: &Pad) {
    // Nothing can be injected into a CPU that waits for its SIPI (26.3.1.5); there
    // NMIs are shut.
    if field::read(guest::ACTIVITY_STATE) == initialize::WAIT_FOR_SIPI {
        return;
    }
    if pad.machine_checks.load(Ordering::Relaxed) != 0 && event::waiting() == 0 {
        pad.machine_checks.fetch_sub(1, Ordering::Relaxed);
        event::inject(event::MACHINE_CHECK);
    }
    if pad.nmis.load(Ordering::Relaxed) != 0 {
        let lost = u64::from(mutant::active(area.mutant, Mutant::LostNmi));
        area.vmx.held += pad.nmis.swap(0, Ordering::Relaxed) - lost;
    }
    if area.vmx.held == 0 || field::read(guest::INTERRUPTIBILITY_STATE) & event::NMI_SHUT != 0 {
        return;
    }
    let waiting = event::waiting();
    if waiting == 0 || event::repeats(waiting) {
        event::inject(event::NMI);
        event::change_interruptibility(event::SHADOWS, 0);
        area.vmx.held -= 1;
    } else {
        trap_next(area.vmx.primary, true);
    }
}

/// Before the CPU leaves: what the guest could not have any more, the way out
/// has to hand on.
pub fn hand_over<L>(area: &mut Area<L>, pad: &Pad) {
    let undelivered = u64::from(event::waiting() == event::NMI);
    pad.nmis
        .fetch_add(area.vmx.held + undelivered, Ordering::Relaxed);
    area.vmx.held = 0;
}

fn trap_next(primary: u32, on: bool) {
    let value = primary | if on { MONITOR_TRAP_FLAG } else { 0 };
    field::write(control::PRIMARY_PROCBASED_EXEC_CONTROLS, u64::from(value));
}

impl<P: Policy> Exit<'_, P> {
    fn dispatch(&mut self) -> Next {
        match why() {
            reason::VMCALL => return self.hypercall(),
            reason::CPUID => self.identify(),
            reason::READ_REGISTER => self.register_read(),
            reason::WRITE_REGISTER => self.register_write(),
            reason::EPT_VIOLATION => self.nested_fault(),
            reason::XSETBV => self.extended_control(),
            reason::CONTROL_REGISTER => self.control_register(),
            reason::INVD => {
                self.count(Reason::Other);
                instruction::write_back_caches();
                self.skip_this();
            }
            reason::INIT => {
                self.count(Reason::Other);
                self.record(Event::Initialized, [0; 5]);
                initialize::initialize(&mut self.area.registers, self.area.vmx.masks);
            }
            reason::SIPI => {
                self.count(Reason::Other);
                let page = field::read(ro::EXIT_QUALIFICATION) & 0xff;
                self.record(Event::Started, [page, 0, 0, 0, 0]);
                initialize::start(page);
            }
            reason::MONITOR_TRAP => {
                self.count(Reason::Interrupt);
                trap_next(self.area.vmx.primary, false);
            }
            reason::MACHINE_CHECK => {
                self.count(Reason::Interrupt);
                event::inject(event::MACHINE_CHECK);
            }
            reason::VMCLEAR..=reason::VMXON | reason::GETSEC | reason::INVEPT | reason::INVVPID => {
                self.virtualization()
            }
            reason::TRIPLE_FAULT => self.shutdown(),
            // The guest's state cannot be entered again, and it was entered
            // before: nothing is left but what a bare CPU would do.
            exit if exit & reason::ENTRY_FAILED != 0 => self.shutdown(),
            _ => self.unknown(),
        }
        Next::Guest
    }

    fn count(&mut self, reason: Reason) {
        self.policy.count(&mut self.area.logic, reason);
    }

    fn record(&self, event: Event, arguments: [u64; 5]) {
        self.policy.record(&self.area.logic, event, arguments);
    }

    fn register(&self, number: usize) -> u64 {
        self.area.registers.0[number & 15]
    }

    /// An instruction is done: on to the next one. The guest that single-steps
    /// has its trap pending.
    fn skip(&mut self, length: u64) {
        const TRAP_FLAG: u64 = 1 << 8;
        const SINGLE_STEP: u64 = 1 << 14;
        let rip = field::read(guest::RIP).wrapping_add(length);
        field::write(guest::RIP, rip);
        event::change_interruptibility(event::SHADOWS, 0);
        if field::read(guest::RFLAGS) & TRAP_FLAG != 0 {
            let pending = field::read(guest::PENDING_DBG_EXCEPTIONS);
            field::write(guest::PENDING_DBG_EXCEPTIONS, pending | SINGLE_STEP);
        }
    }

    /// The instruction that exited is done.
    fn skip_this(&mut self) {
        self.skip(field::read(ro::VMEXIT_INSTRUCTION_LEN));
    }

    fn privilege() -> u64 {
        field::read(guest::SS_ACCESS_RIGHTS) >> 5 & 3
    }

    fn hypercall(&mut self) -> Next {
        let number = self.register(register::RAX);
        let argument = self.register(register::RDI);
        let privilege = Self::privilege();
        let request = (privilege == 0)
            .then(|| Request::decode(number, argument))
            .flatten();
        let Some(request) = request else {
            self.count(Reason::HypercallRefused);
            let rip = field::read(guest::RIP);
            self.record(Event::HypercallRefused, [number, privilege, rip, 0, 0]);
            event::inject(event::UNDEFINED);
            return Next::Guest;
        };
        self.count(Reason::Hypercall);
        let answer = self.policy.hypercall(&mut self.area.logic, request);
        self.skip_this();
        self.area.answer(&answer);
        match answer {
            Answer::Leave => Next::Leave(answer.status()),
            Answer::Failed(_) | Answer::Words(_) => Next::Guest,
        }
    }

    /// CPUID, as the CPU answers it, but for the bits that follow CR4: they
    /// follow the guest's.
    fn identify(&mut self) {
        const OSXSAVE: (u32, u64) = (27, 18);
        const OSPKE: (u32, u64) = (4, 22);
        self.count(Reason::Identification);
        let leaf = self.register(register::RAX) as u32;
        let subleaf = self.register(register::RCX) as u32;
        let [a, b, mut c, d] = instruction::identify(leaf, subleaf);
        let follows = match (leaf, subleaf) {
            (1, _) => Some(OSXSAVE),
            (7, 0) => Some(OSPKE),
            _ => None,
        };
        if let Some((bit, from)) = follows {
            let on = field::read(guest::CR4) >> from & 1 != 0;
            c = c & !(1 << bit) | u32::from(on) << bit;
        }
        let registers = &mut self.area.registers.0;
        registers[register::RAX] = u64::from(a);
        registers[register::RBX] = u64::from(b);
        registers[register::RCX] = u64::from(c);
        registers[register::RDX] = u64::from(d);
        self.skip_this();
    }

    fn register_read(&mut self) {
        self.count(Reason::RegisterRead);
        let number = self.register(register::RCX) as u32;
        // SAFETY: the exception table is in force: this is the image.
        let value = unsafe { instruction::try_read_msr(number) };
        match value {
            Some(value) => {
                self.area.registers.0[register::RAX] = value & 0xffff_ffff;
                self.area.registers.0[register::RDX] = value >> 32;
                self.skip_this();
            }
            None => self.register_fault(number),
        }
    }

    fn named_value(&self) -> u64 {
        self.register(register::RDX) << 32 | self.register(register::RAX) & 0xffff_ffff
    }

    fn register_write(&mut self) {
        self.count(Reason::RegisterWrite);
        let number = self.register(register::RCX) as u32;
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
            self.skip_this();
        } else {
            self.register_fault(number);
        }
    }

    fn register_fault(&mut self, number: u32) {
        self.record(Event::RegisterFault, [u64::from(number), 0, 0, 0, 0]);
        event::inject(event::PROTECTION);
    }

    fn extended_control(&mut self) {
        self.count(Reason::RegisterWrite);
        let number = self.register(register::RCX) as u32;
        // SAFETY: the exception table is in force, the host's CR4 has OSXSAVE
        // where the CPU has XSAVE, and the image uses no vector registers.
        let done = unsafe { instruction::try_set_extended_control(number, self.named_value()) };
        if done {
            self.skip_this();
        } else {
            event::inject(event::PROTECTION);
        }
    }

    /// A write to a bit of CR0 or CR4 that the guest does not own (25.1.3): it
    /// gets its way in what it reads, and in all other bits.
    fn control_register(&mut self) {
        self.count(Reason::Other);
        let how = field::read(ro::EXIT_QUALIFICATION);
        let value = match how >> 8 & 15 {
            4 => field::read(guest::RSP),
            number => self.register(number as usize),
        };
        // Bits 4 and 5: 0 is a MOV to the register. CLTS and LMSW do not reach
        // the bits in question.
        let written = match (how & 15, how >> 4 & 3) {
            (0, 0) => self.write_cr0(value),
            (4, 0) => self.write_cr4(value),
            _ => Written::Refused,
        };
        match written {
            Written::Done => self.skip_this(),
            Written::Again => {}
            Written::Refused => event::inject(event::PROTECTION),
        }
    }

    /// Linux starts a CPU with one write that sets NE and turns paging, and with it
    /// long mode, on. All of that the CPU knows best: the shadow gets the guest's
    /// word for the bits that it does not own, and the same instruction, run again,
    /// differs from it in nothing.
    fn write_cr0(&mut self, value: u64) -> Written {
        /// PE and PG.
        const MODE: u64 = 1 | 1 << 31;
        let old = field::read(guest::CR0);
        if value >> 32 != 0 {
            return Written::Refused;
        }
        field::write(control::CR0_READ_SHADOW, value);
        if (value ^ old) & MODE != 0 {
            return Written::Again;
        }
        field::write(guest::CR0, value | self.area.vmx.masks[0]);
        Written::Done
    }

    fn write_cr4(&mut self, value: u64) -> Written {
        const PCIDE: u64 = 1 << 17;
        let may = instruction::read_known_msr(x86::msr::IA32_VMX_CR4_FIXED1);
        let old = field::read(guest::CR4);
        let tagged = value & !old & PCIDE != 0 && field::read(guest::CR3) & 0xfff != 0;
        if value & !may != 0 || tagged {
            return Written::Refused;
        }
        self.record(Event::RegisterKept, [4, value, 0, 0, 0]);
        field::write(control::CR4_READ_SHADOW, value);
        field::write(guest::CR4, value | self.area.vmx.masks[1]);
        // The instruction would have dropped translations.
        operation::forget(self.area.vmx.pointer);
        Written::Done
    }

    fn nested_fault(&mut self) {
        const UNBLOCKED_NMIS: u64 = 1 << 12;
        let info = field::read(ro::EXIT_QUALIFICATION);
        if info & UNBLOCKED_NMIS != 0 && event::waiting() == 0 {
            // An IRET faulted after it had opened NMIs; it will run again.
            event::change_interruptibility(0, event::NMI_SHUT);
        }
        let address = GuestPhysical(field::read(ro::GUEST_PHYSICAL_ADDR_FULL));
        // Bits 7 and 8: of a linear address, and not of its translation.
        let touch = if info & 0x180 == 0x80 {
            Touch::Walk
        } else if info & 1 << 2 != 0 {
            Touch::Fetch
        } else if info & 1 << 1 != 0 {
            Touch::Write
        } else {
            Touch::Read
        };
        match self
            .policy
            .stage2_fault(&mut self.area.logic, address, touch)
        {
            FaultAnswer::Again => {}
            // Under VMX a dead image resets the machine before anybody asks.
            FaultAnswer::Dead => exception::reset(),
            FaultAnswer::Hole => self.hole(address, touch),
            FaultAnswer::Refuse => {
                self.count(Reason::Other);
                event::inject(event::PROTECTION);
            }
        }
    }

    /// The guest touched the hole in a way that the zero page does not allow.
    fn hole(&mut self, address: GuestPhysical, touch: Touch) {
        let rip = field::read(guest::RIP);
        let found = (touch == Touch::Write)
            .then(|| self.decode_store())
            .flatten();
        if let Some(found) = found {
            self.count(Reason::HoleStore);
            let size = u64::from(found.size);
            self.record(Event::HoleStore, [address.0, size, rip, 0, 0]);
            let (rflags, mutant) = (field::read(guest::RFLAGS), self.area.mutant);
            let registers = &mut self.area.registers;
            if let Some(length) = hole::drop_store(registers, rflags, found, address.0, mutant) {
                self.skip(u64::from(length));
            }
        } else {
            self.count(Reason::HoleRefused);
            self.record(Event::HoleRefused, [address.0, touch as u64, rip, 0, 0]);
            event::inject(event::PROTECTION);
        }
    }

    /// The store that faulted, if it is one (64-bit code only: nothing else can
    /// reach the hole by accident).
    fn decode_store(&self) -> Option<Store> {
        const LONG: u64 = 1 << 13;
        if field::read(guest::CS_ACCESS_RIGHTS) & LONG == 0 {
            return None;
        }
        let paging = Paging {
            cr0: field::read(guest::CR0),
            cr3: field::read(guest::CR3),
            cr4: field::read(guest::CR4),
            efer: field::read(guest::IA32_EFER_FULL),
        };
        let may_look = |page| self.policy.may_look(page);
        // SAFETY: the entry was computed at the preparation from the module's
        // word for it; only this CPU uses it, and only while it is here.
        let mut slot = unsafe { PeekSlot::new(self.area.index, self.area.peek_entry, may_look) };
        let mut bytes = [0; store::LONGEST];
        let rip = field::read(guest::RIP);
        let count = guest_memory::fetch(&mut slot, paging, rip, &mut bytes);
        store::decode(bytes.get(..count)?)
    }

    fn virtualization(&mut self) {
        self.count(Reason::Virtualization);
        let rip = field::read(guest::RIP);
        self.record(Event::VirtualizationRefused, [why(), rip, 0, 0, 0]);
        event::inject(event::UNDEFINED);
    }

    fn shutdown(&mut self) {
        self.count(Reason::Reset);
        self.record(Event::Reset, [field::read(guest::RIP), why(), 0, 0, 0]);
        exception::reset()
    }

    /// The same exit, over and over (see [`repetition`]).
    fn standstill(&mut self, [why, place, address, _]: [u64; 4]) {
        self.count(Reason::Reset);
        self.record(
            Event::Standstill,
            [
                why,
                place,
                address,
                event::waiting(),
                field::read(guest::CR3),
            ],
        );
        exception::reset()
    }

    fn unknown(&mut self) {
        self.count(Reason::Other);
        self.record(
            Event::UnknownExit,
            [
                why(),
                field::read(ro::EXIT_QUALIFICATION),
                field::read(ro::GUEST_PHYSICAL_ADDR_FULL),
                field::read(guest::RIP),
                0,
            ],
        );
        event::inject(event::UNDEFINED);
    }
}
