// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exits, taken apart.
//!
//! Each exit ends in one of two ways: the guest goes on, with an event if it is
//! to see one, or the CPU leaves. Nothing that the guest does has any other
//! outcome, and nothing here can fail, but by a bug of ours.
//!
//! For that case ([`mercury_hal::life`]) the guest's state, which is RIP, RAX, EFER
//! and the interrupt shadow in the control block and the general registers in the
//! area, stays as it was at the exit while anything is asked, looked at or
//! recorded. Only [`Handler::settle`] opens it, and behind it stand plain stores. What
//! a handler has done by then outside of the guest may be done again: a register
//! that was written is written the same again, a store that was to be dropped goes
//! natively to a frame that nobody needs any more, and who called natively finds
//! nobody. The fields for the next entry (event, flush) are not the guest's.
#![expect(unsafe_code, reason = "carries out register accesses of the guest")]

use mercury_hal::addr::GuestPhysical;
use mercury_hal::call::Answer;
use mercury_hal::call::Cause;
use mercury_hal::call::Request;
use mercury_hal::event::Event;
use mercury_hal::exit::Policy;
use mercury_hal::exit::Reason;
use mercury_hal::exit::Touch;
use mercury_hal::repetition;
use mercury_hal::repetition::Repetition;

use super::capabilities::Capabilities;
use super::permission;
use super::permission::Written;
use super::vmcb::ControlBlock;
use super::vmcb::code;
use super::vmcb::event;
use super::vmcb::flush;
use super::vmcb::intercept;
use crate::area::Area;
use crate::area::register;
use crate::exception;
use crate::exit::Fault;
use crate::exit::Handler;
use crate::guest_memory::Paging;
use crate::instruction;
use crate::registers;
use crate::store;

pub use crate::area::Next;

/// One exit of one CPU.
struct Exit<'a, P: Policy> {
    area: &'a mut Area<P::Cpu>,
    block: &'a mut ControlBlock,
    policy: &'a P,
    capabilities: Capabilities,
}

/// Handles the exit that the control block describes.
pub fn handle<P: Policy>(
    area: &mut Area<P::Cpu>,
    block: &mut ControlBlock,
    policy: &P,
    capabilities: Capabilities,
) -> Next {
    let calls = area.quick.take();
    policy.count_quick(&mut area.logic, calls);
    let again = event::again(block.exit_event);
    let what = [
        block.exit_code,
        block.rip,
        block.exit_info2,
        area.registers.0[register::RCX],
    ];
    let repeated = area
        .repetition
        .exit(what, block.exit_event & event::VALID != 0);
    block.event_injection = again;
    block.tlb_control = flush::NOTHING;
    let mut exit = Exit {
        area,
        block,
        policy,
        capabilities,
    };
    if repeated == repetition::LIMIT {
        return exit.standstill();
    }
    let next = exit.dispatch();
    if next == Next::Dead {
        return next;
    }
    let came_on = exit.block.rip != what[1] || exit.block.event_injection != again;
    exit.area.repetition.entry(came_on);
    if policy.must_flush(&mut exit.area.logic) {
        exit.block.tlb_control = if capabilities.flush_by_asid() {
            flush::GUEST
        } else {
            flush::EVERYTHING
        };
        exit.area.quick = policy.quick(&exit.area.logic);
    }
    next
}

impl<P: Policy> Handler<P> for Exit<'_, P> {
    fn parts(&mut self) -> (&mut Area<P::Cpu>, &P) {
        (self.area, self.policy)
    }

    fn place(&self) -> u64 {
        self.block.rip
    }

    fn flags(&self) -> u64 {
        self.block.rflags
    }

    fn paging(&self) -> Paging {
        self.block.paging()
    }

    fn is_long(&self) -> bool {
        const LONG: u16 = 1 << 9;
        self.block.cs.attributes & LONG != 0
    }

    fn skip(&mut self, length: u8) {
        self.block.rip = self.block.rip.wrapping_add(u64::from(length));
        self.block.interrupt_shadow &= !1;
    }

    fn inject(&mut self, fault: Fault) {
        self.block.event_injection = match fault {
            Fault::Undefined => event::UNDEFINED,
            Fault::Protection => event::PROTECTION,
        };
    }

    fn touching(&mut self, to: &mut [u8; store::LONGEST]) -> usize {
        if self.capabilities.decode_assists() && self.block.fetched != 0 {
            for (to, from) in to.iter_mut().zip(self.block.instruction_bytes) {
                *to = from;
            }
            return usize::from(self.block.fetched).min(store::LONGEST);
        }
        self.fetch(to)
    }
}

impl<P: Policy> Exit<'_, P> {
    fn dispatch(&mut self) -> Next {
        match self.block.exit_code {
            code::VMMCALL => self.hypercall(),
            code::REGISTER if self.block.exit_info1 & 1 != 0 => self.register_write(),
            code::REGISTER => self.register_read(),
            code::NESTED_FAULT => self.nested(),
            code::NMI => self.non_maskable(),
            code::IRET => self.interrupt_return(),
            code::VMRUN..=code::SKINIT | code::INVLPGA => self.virtualization(self.block.exit_code),
            code::SHUTDOWN if self.policy.guards() => {
                Next::Guard(Request::RollBack(Cause::Shutdown as u64))
            }
            code::SHUTDOWN => self.shutdown(),
            // The guest's state cannot be entered again, and it was entered
            // before: nothing is left but what a bare CPU would do.
            exit if exit as u32 == code::INVALID => self.shutdown(),
            _ => self.unknown(),
        }
    }

    /// Length of the instruction that exited; `opcode` is its two or three bytes.
    /// CPUs without next-RIP leave it to us; prefixes are rare, so a guest page
    /// that cannot be read counts as an instruction without any.
    fn length(&mut self, opcode: &[u8]) -> u8 {
        if self.capabilities.next_rip() && self.block.next_rip != 0 {
            return self.block.next_rip.wrapping_sub(self.block.rip) as u8;
        }
        let mut bytes = [0; store::LONGEST];
        let count = self.fetch(&mut bytes);
        let length = bytes
            .get(..count)
            .and_then(|bytes| store::length_with_prefixes(bytes, opcode));
        length.unwrap_or(opcode.len() as u8)
    }

    fn hypercall(&mut self) -> Next {
        let number = self.block.rax;
        let argument = self.area.registers.0[register::RDI];
        let request = (self.block.cpl == 0)
            .then(|| Request::decode(number, argument))
            .flatten();
        let Some(request) = request else {
            self.count(Reason::HypercallRefused);
            self.record(
                Event::HypercallRefused,
                [number, u64::from(self.block.cpl), self.block.rip, 0, 0],
            );
            return self.raise(Fault::Undefined);
        };
        self.count(Reason::Hypercall);
        let answer = self.policy.hypercall(&mut self.area.logic, request);
        let length = self.length(&[0x0f, 0x01, 0xd9]);
        if !self.settle() {
            return Next::Dead;
        }
        self.skip(length);
        self.block.rax = answer.status();
        self.area.answer(&answer);
        match answer {
            Answer::Leave => Next::Leave(answer.status()),
            Answer::Failed(_) | Answer::Words(_) => Next::Guest,
            Answer::Guard(request) => Next::Guard(request),
        }
    }

    fn register_read(&mut self) -> Next {
        self.count(Reason::RegisterRead);
        let number = self.area.registers.0[register::RCX] as u32;
        let value = if number == registers::MSR_VM_HSAVE_PA {
            Some(self.area.save_area_found)
        } else {
            // SAFETY: the exception table is in force: this is the image.
            unsafe { instruction::try_read_msr(number) }
        };
        match value {
            Some(value) => {
                let length = self.length(&[0x0f, 0x32]);
                if !self.settle() {
                    return Next::Dead;
                }
                self.block.rax = value & 0xffff_ffff;
                self.area.registers.0[register::RDX] = value >> 32;
                self.skip(length);
                Next::Guest
            }
            None => self.register_fault(number),
        }
    }

    fn register_write(&mut self) -> Next {
        self.count(Reason::RegisterWrite);
        let number = self.area.registers.0[register::RCX] as u32;
        let high = self.area.registers.0[register::RDX] << 32;
        let value = high | self.block.rax & 0xffff_ffff;
        let mut efer = self.block.efer;
        let done = match permission::written(number) {
            Written::Efer => match self.write_efer(value) {
                Some(written) => {
                    efer = written;
                    true
                }
                None => false,
            },
            Written::Kept => {
                self.record(Event::RegisterKept, [u64::from(number), value, 0, 0, 0]);
                true
            }
            Written::Microcode => {
                self.record(Event::MicrocodeRefused, [0; 5]);
                true
            }
            // SAFETY: the exception table is in force. Registers outside the
            // map's ranges hold nothing that the image runs on.
            Written::Passed => unsafe { instruction::try_write_msr(number, value) },
        };
        if !done {
            return self.register_fault(number);
        }
        let length = self.length(&[0x0f, 0x30]);
        if !self.settle() {
            return Next::Dead;
        }
        self.block.efer = efer;
        self.skip(length);
        Next::Guest
    }

    /// A write of EFER ([`permission::efer`]). Whether its bits are allowed only
    /// the CPU knows, so those that the image does not run on are tried on the
    /// real register, and put back. What the CPU kept of them is the guest's: one
    /// that drops reserved bits instead of faulting (QEMU's) would refuse the next
    /// entry with them. Gives what the guest's is then.
    fn write_efer(&mut self, value: u64) -> Option<u64> {
        let ours =
            registers::EFER_LME | registers::EFER_LMA | registers::EFER_NXE | registers::EFER_SVME;
        // SAFETY: every CPU in long mode has EFER.
        let host = unsafe { instruction::read_msr(x86::msr::IA32_EFER) };
        // SAFETY: the bits that the image runs on keep their values.
        let allowed =
            unsafe { instruction::try_write_msr(x86::msr::IA32_EFER, host & ours | value & !ours) };
        // SAFETY: as above.
        let kept = unsafe { instruction::read_msr(x86::msr::IA32_EFER) };
        // SAFETY: the value that was there.
        unsafe { instruction::write_msr(x86::msr::IA32_EFER, host) };
        let value = kept & !ours | value & ours;
        let new = permission::efer(value, self.block.efer, self.block.cr0);
        let new = new.filter(|_| allowed)?;
        if value & registers::EFER_SVME == 0 {
            self.record(
                Event::RegisterKept,
                [u64::from(x86::msr::IA32_EFER), value, 0, 0, 0],
            );
        }
        Some(new)
    }

    fn nested(&mut self) -> Next {
        let info = self.block.exit_info1;
        let address = GuestPhysical(self.block.exit_info2);
        let touch = if info & 1 << 33 != 0 {
            Touch::Walk
        } else if info & 1 << 4 != 0 {
            Touch::Fetch
        } else if info & 1 << 1 != 0 {
            Touch::Write
        } else {
            Touch::Read
        };
        self.nested_fault(address, touch)
    }

    /// An NMI, intercepted while there is a store. It is still pending: taken here, and
    /// handed on, unless it is a knock.
    fn non_maskable(&mut self) -> Next {
        // SAFETY: this is the image, whose tables are loaded, with interrupts off.
        unsafe { instruction::let_nmi_in() };
        if self.policy.gathers() {
            return Next::Gather;
        }
        self.count(Reason::Interrupt);
        if !self.settle() {
            return Next::Dead;
        }
        if self.area.nmi.arrived() {
            self.deliver_nmi();
        }
        Next::Guest
    }

    fn deliver_nmi(&mut self) {
        self.block.event_injection = event::NMI_NOW;
        self.block.intercept_events |= intercept::IRET;
    }

    /// The end of the guest's NMI handler; the IRET has not been carried out.
    fn interrupt_return(&mut self) -> Next {
        self.count(Reason::Interrupt);
        if !self.settle() {
            return Next::Dead;
        }
        self.block.intercept_events &= !intercept::IRET;
        if self.area.nmi.returns() {
            self.deliver_nmi();
        }
        // It stands where it stood, and that is no standstill.
        self.area.repetition = Repetition::default();
        Next::Guest
    }

    fn shutdown(&mut self) -> ! {
        self.count(Reason::Reset);
        self.record(Event::Reset, [self.block.rip, 0, 0, 0, 0]);
        exception::reset()
    }

    /// The same exit, over and over (see [`repetition`]): nothing is left but to
    /// let the guest go on without us.
    fn standstill(&mut self) -> Next {
        self.count(Reason::Other);
        self.record(
            Event::Standstill,
            [
                self.block.exit_code,
                self.block.rip,
                self.block.exit_info2,
                self.block.exit_event,
                self.block.cr3,
            ],
        );
        self.policy.die();
        Next::Dead
    }

    fn unknown(&mut self) -> Next {
        self.count(Reason::Other);
        self.record(
            Event::UnknownExit,
            [
                self.block.exit_code,
                self.block.exit_info1,
                self.block.exit_info2,
                self.block.rip,
                0,
            ],
        );
        self.raise(Fault::Undefined)
    }
}
