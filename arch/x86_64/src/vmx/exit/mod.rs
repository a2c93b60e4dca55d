// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exits, taken apart (SDM volume 3, 25.1, 27.2, appendix C).
//!
//! Each exit ends in one of two ways: the guest goes on, with an event if it is
//! to see one, or the CPU leaves. Nothing that the guest does has any other
//! outcome, and nothing here can fail, but by a bug of ours.
//!
//! For that case ([`mercury_hal::life`]) the guest's state, which is its fields of
//! the VMCS and the general registers in the area, stays as it was at the exit while
//! anything is asked, looked at or recorded. Only [`Handler::settle`] opens it, and
//! behind it stand plain stores and VMWRITEs. What a handler has done by then outside
//! of the guest may be done again: a register that was written is written the same
//! again, a store that was to be dropped goes natively to a frame that nobody needs
//! any more, and who called natively finds nobody. The fields for the next entry
//! (event, flush) are not the guest's.

mod control;
mod registers;

use mercury_hal::addr::GuestPhysical;
use mercury_hal::call::Answer;
use mercury_hal::call::Request;
use mercury_hal::event::Event;
use mercury_hal::exit::Policy;
use mercury_hal::exit::Reason;
use mercury_hal::exit::Touch;
use mercury_hal::repetition;
use x86::vmx::vmcs::guest;
use x86::vmx::vmcs::ro;

use super::event;
use super::field;
use super::initialize;
use super::operation;
use super::pending;
use super::sound;
use crate::area::Area;
use crate::area::Next;
use crate::area::register;
use crate::exception;
use crate::exit::Fault;
use crate::exit::Handler;
use crate::guest_memory::Paging;
use crate::instruction;

pub use registers::answer_identification;

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

/// Whether behind an exit of this reason no guest is left: a triple fault, or a
/// state that cannot be entered again.
#[must_use]
pub const fn is_final(why: u64) -> bool {
    why == reason::TRIPLE_FAULT || why & reason::ENTRY_FAILED != 0
}

/// Whether that is a hypercall.
#[must_use]
pub fn is_call() -> bool {
    why() == reason::VMCALL
}

/// Whether that is CPUID.
#[must_use]
pub fn is_identification() -> bool {
    why() == reason::CPUID
}

/// The guest's privilege level.
#[must_use]
pub fn privilege() -> u64 {
    field::read(guest::SS_ACCESS_RIGHTS) >> 5 & 3
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
        return exit.standstill(what);
    }
    let next = exit.dispatch();
    if next == Next::Dead {
        return next;
    }
    let came_on = field::read(guest::RIP) != place || event::waiting() != again;
    exit.area.repetition.entry(came_on);
    if policy.must_flush(&mut exit.area.logic) {
        operation::forget(exit.area.vmx.pointer);
    }
    next
}

/// Behind an instruction of this length. The guest that single-steps has its trap
/// pending.
fn skip(length: u64) {
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
fn skip_this() {
    skip(field::read(ro::VMEXIT_INSTRUCTION_LEN));
}

impl<P: Policy> Handler<P> for Exit<'_, P> {
    fn parts(&mut self) -> (&mut Area<P::Cpu>, &P) {
        (self.area, self.policy)
    }

    fn place(&self) -> u64 {
        field::read(guest::RIP)
    }

    fn flags(&self) -> u64 {
        field::read(guest::RFLAGS)
    }

    fn paging(&self) -> Paging {
        sound::paging()
    }

    fn is_long(&self) -> bool {
        const LONG: u64 = 1 << 13;
        field::read(guest::CS_ACCESS_RIGHTS) & LONG != 0
    }

    fn skip(&mut self, length: u8) {
        skip(u64::from(length));
    }

    fn inject(&mut self, fault: Fault) {
        event::inject(match fault {
            Fault::Undefined => event::UNDEFINED,
            Fault::Protection => event::PROTECTION,
        });
    }
}

impl<P: Policy> Exit<'_, P> {
    fn dispatch(&mut self) -> Next {
        match why() {
            reason::VMCALL => self.hypercall(),
            reason::CPUID => self.identify(),
            reason::READ_REGISTER => self.register_read(),
            reason::WRITE_REGISTER => self.register_write(),
            reason::EPT_VIOLATION => self.violation(),
            reason::XSETBV => self.extended_control(),
            reason::CONTROL_REGISTER => self.control_register(),
            reason::INVD => {
                self.count(Reason::Other);
                instruction::write_back_caches();
                self.settled(skip_this)
            }
            reason::INIT => {
                self.count(Reason::Other);
                self.record(Event::Initialized, [0; 5]);
                if !self.settle() {
                    return Next::Dead;
                }
                initialize::initialize(&mut self.area.registers, self.area.vmx.masks);
                Next::Guest
            }
            reason::SIPI => {
                self.count(Reason::Other);
                let page = field::read(ro::EXIT_QUALIFICATION) & 0xff;
                self.record(Event::Started, [page, 0, 0, 0, 0]);
                self.settled(|| initialize::start(page))
            }
            reason::MONITOR_TRAP => {
                self.count(Reason::Interrupt);
                let primary = self.area.vmx.primary;
                self.settled(|| pending::trap_next(primary, false))
            }
            reason::MACHINE_CHECK => {
                self.count(Reason::Interrupt);
                self.settled(|| event::inject(event::MACHINE_CHECK))
            }
            reason::VMCLEAR..=reason::VMXON | reason::GETSEC | reason::INVEPT | reason::INVVPID => {
                self.virtualization(why())
            }
            // The guest's state cannot be entered again, and it was entered
            // before: nothing is left but what a bare CPU would do.
            exit if is_final(exit) => self.shutdown(),
            _ => self.unknown(),
        }
    }

    /// The guest is changed, and that is all.
    fn settled(&mut self, change: impl FnOnce()) -> Next {
        if !self.settle() {
            return Next::Dead;
        }
        change();
        Next::Guest
    }

    fn hypercall(&mut self) -> Next {
        let number = self.area.registers.0[register::RAX];
        let argument = self.area.registers.0[register::RDI];
        let privilege = privilege();
        let request = (privilege == 0)
            .then(|| Request::decode(number, argument))
            .flatten();
        let Some(request) = request else {
            self.count(Reason::HypercallRefused);
            let place = self.place();
            self.record(Event::HypercallRefused, [number, privilege, place, 0, 0]);
            return self.raise(Fault::Undefined);
        };
        self.count(Reason::Hypercall);
        let answer = self.policy.hypercall(&mut self.area.logic, request);
        if !self.settle() {
            return Next::Dead;
        }
        skip_this();
        self.area.answer(&answer);
        match answer {
            Answer::Leave => Next::Leave(answer.status()),
            // Nobody asks for it: there is no store under VMX.
            Answer::Failed(_) | Answer::Words(_) | Answer::Guard(_) => Next::Guest,
        }
    }

    fn violation(&mut self) -> Next {
        const UNBLOCKED_NMIS: u64 = 1 << 12;
        let info = field::read(ro::EXIT_QUALIFICATION);
        if info & UNBLOCKED_NMIS != 0 && event::waiting() == 0 {
            // An IRET faulted after it had opened NMIs; it will run again, here or,
            // if the image dies, natively, where nobody minds that they are open.
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
        self.nested_fault(address, touch)
    }

    fn shutdown(&mut self) -> ! {
        self.count(Reason::Reset);
        let place = self.place();
        self.record(Event::Reset, [place, why(), 0, 0, 0]);
        exception::reset()
    }

    /// The same exit, over and over (see [`repetition`]): nothing is left but to
    /// let the guest go on without us.
    fn standstill(&mut self, [why, place, address, _]: [u64; 4]) -> Next {
        self.count(Reason::Other);
        let waiting = event::waiting();
        let root = field::read(guest::CR3);
        self.record(Event::Standstill, [why, place, address, waiting, root]);
        self.policy.die();
        Next::Dead
    }

    fn unknown(&mut self) -> Next {
        self.count(Reason::Other);
        let how = field::read(ro::EXIT_QUALIFICATION);
        let address = field::read(ro::GUEST_PHYSICAL_ADDR_FULL);
        let place = self.place();
        self.record(Event::UnknownExit, [why(), how, address, place, 0]);
        self.raise(Fault::Undefined)
    }
}
